// One subscription of a customer (CONTRACT A22, B18, C12, E35; SECURITY T23, T39, F28): of all pages and forms that were opened
// only the last can be paid; of two that are paid all the same the first stays, and the other is ended and paid back, once.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { Copy, signal } from '../lib/copy.mjs';
import { admitted, ok, problem } from '../lib/setup.mjs';
import { Shop } from '../lib/shop.mjs';
import { Stack } from '../lib/stack.mjs';
import { until } from '../lib/wait.mjs';

const stack = Stack.attach();
let shop, stripe;

before(async () => {
	shop = await Shop.open(stack, 'cue');
	({ stripe } = shop);
});
after(() => shop?.close());

const AT = '/api/v1/billing';
const element = async (u, price_id = shop.prices.month) => ok(await admitted(() => u.as.post('/api/payments/create-subscription', { price_id }))).subscription_id;
const state = (url) => stripe.session(url).status;
const reconcile = (u) => stack.ctl('billing', 'reconcile', '--app', 'cue', u.email);
const known = (id, status) => until(`${id} is known to be ${status}`, async () => (await stack.one(`SELECT status FROM subscriptions WHERE stripe_subscription_id = '${id}'`)) === status, { within: 30_000 });

/** Of a customer at Stripe: what can still be paid. */
const payable = (customer) => [
	...[...stripe.sessions.values()].filter((s) => s.customer === customer && s.mode === 'subscription' && s.status === 'open').map((s) => s.id),
	...stripe.subscriptionsOf(customer).filter((s) => s.status === 'incomplete' || stripe.invoices.get(s.latest_invoice).status === 'open').map((s) => s.id),
];

/** An organization with an admin besides its owner. */
async function twoAdmins() {
	const [owner, admin] = [await shop.buyer('owner'), await shop.buyer('admin')];
	const org = await shop.team(owner);
	await stack.rows(`INSERT INTO organization_members (organization_id, user_id, app_id, role) SELECT '${org.id}', id, app_id, 'admin' FROM users WHERE id = '${admin.id}'`);
	return { owner, admin, org };
}

describe('what can be paid', () => {
	test('two tabs: the page that was opened last', async () => {
		const u = await shop.buyer();
		const first = await shop.checkout(u);
		const second = await shop.checkout(u, shop.prices.year);
		assert.deepEqual([state(first), state(second)], ['expired', 'open']);
		assert.throws(() => stripe.complete(first), /expired/);
		await shop.sendAll(stripe.complete(second));
		await shop.hasPlan(u, 'pro');
		assert.deepEqual(payable(await shop.customer(u)), []);
		problem(await u.as.post(`${AT}/create-checkout-session`, { price_id: shop.prices.month }), 'already-subscribed');
	});

	test('two admins: likewise, and another customer’s page is left alone', async () => {
		const { owner, admin, org } = await twoAdmins();
		const own = await shop.checkout(owner);
		const first = await shop.checkout(owner, shop.prices.team, { at: org.billing });
		const second = await shop.checkout(admin, shop.prices.team, { at: org.billing, seats: 7 });
		assert.deepEqual([state(own), state(first), state(second)], ['open', 'expired', 'open']);
		await shop.sendAll(stripe.complete(second));
		await shop.hasPlan(org, 'team', 'organizations');
		problem(await owner.as.post(`${org.billing}/create-checkout-session`, { price_id: shop.prices.team }), 'already-subscribed');
	});

	test('a Payment Element beside a page, and another price: each ends what was before', async () => {
		const u = await shop.buyer();
		const page = await shop.checkout(u);
		const month = await element(u);
		const customer = await shop.customer(u);
		assert.equal(state(page), 'expired');
		assert.deepEqual(payable(customer), [month]);
		const year = await element(u, shop.prices.year);
		assert.deepEqual(payable(customer), [year]);
		assert.throws(() => stripe.confirm(month), /incomplete_expired/);
		const again = await element(u);
		assert.notEqual(again, month, 'not the one that is over, by whatever key');
		assert.deepEqual(payable(customer), [again]);
		assert.equal(await element(u), again, 'what waits is found');
		const last = await shop.checkout(u);
		assert.deepEqual(payable(customer), [stripe.session(last).id]);
		await shop.sendAll(stripe.complete(last));
		await shop.hasPlan(u, 'pro');
		assert.deepEqual(await shop.mails(u), ['Cue: your payment of 20.00 USD'], 'what was never paid ends without a word');
	});

	test('many at once: one of them, which is among those that were answered', async () => {
		const { owner, admin, org } = await twoAdmins();
		const urls = await Promise.all(Array.from({ length: 6 }, (_, i) => shop.checkout(i % 2 ? owner : admin, i % 3 ? shop.prices.team : shop.prices.each, { at: org.billing })));
		const customer = await shop.customer(org, 'organization_id');
		const open = payable(customer);
		assert.equal(open.length, 1);
		assert.ok(urls.some((x) => stripe.session(x).id === open[0]));
		const u = await shop.buyer();
		const made = await Promise.all([shop.checkout(u), element(u), shop.checkout(u, shop.prices.year), element(u)]);
		const [left, ...more] = payable(await shop.customer(u));
		assert.deepEqual(more, []);
		assert.ok(made.some((x) => x.endsWith(left)));
		const v = await shop.buyer();
		await shop.checkout(v);
		stripe.fail(/GET \/v1\/subscriptions$/, 'late', Infinity); // after it is seen what is open, before a page is made
		await Promise.all([shop.checkout(v), shop.checkout(v)]);
		stripe.failures.length = 0;
		assert.equal(payable(await shop.customer(v)).length, 1);
		assert.equal(await stack.one('SELECT count(*) FROM billing_customers WHERE till IS NOT NULL'), '0');
	});

	test('the same request again stays good, also when its answer was lost; what came later wins', async () => {
		const u = await shop.buyer();
		const headers = { 'idempotency-key': randomUUID() };
		const ask = () => admitted(() => u.as.post(`${AT}/create-checkout-session`, { price_id: 'pro_monthly' }, { headers }));
		const same = await Promise.all([ask(), ask(), ask()]);
		const [url, ...others] = new Set(same.map((r) => ok(r).checkout_url));
		assert.deepEqual(others, []);
		assert.equal(state(url), 'open');
		assert.equal(ok(await ask()).checkout_url, url);
		assert.equal(state(url), 'open');
		const v = await shop.buyer();
		stripe.fail(/POST .*sessions$/, 'cut-after', Infinity);
		problem(await v.as.post(`${AT}/create-checkout-session`, { price_id: 'pro_monthly' }, { headers }), 'payment-provider-down');
		stripe.failures.length = 0;
		assert.equal(state(ok(await v.as.post(`${AT}/create-checkout-session`, { price_id: 'pro_monthly' }, { headers })).checkout_url), 'open');
		assert.equal(payable(await shop.customer(v)).length, 1);
	});

	test('what is paid for once is left alone, and leaves alone', async () => {
		const u = await shop.buyer();
		const once = await shop.checkout(u, shop.prices.forever);
		const page = await shop.checkout(u);
		const other = ok(await u.as.post('/api/payments/create-checkout-session', {})).checkout_url;
		assert.deepEqual([once, page, other].map(state), ['open', 'open', 'open']);
		await shop.sendAll(stripe.complete(page));
		await shop.hasPlan(u, 'pro');
		await shop.sendAll(stripe.complete(once));
		await shop.hasPlan(u, 'enterprise');
		await shop.applied();
		assert.equal(stripe.refunds.size, 0);
	});

	test('one that was paid, of which nothing was heard: already subscribed, and the plan is there', async () => {
		for (const pay of [async (u) => stripe.complete(await shop.checkout(u)), async (u) => stripe.confirm(await element(u))]) {
			const [u, v] = [await shop.buyer(), await shop.buyer()];
			await pay(u);
			problem(await u.as.post(`${AT}/create-checkout-session`, { price_id: shop.prices.year }), 'already-subscribed');
			await shop.hasPlan(u, 'pro');
			await pay(v);
			problem(await v.as.post('/api/payments/create-subscription', { price_id: shop.prices.year }), 'already-subscribed');
			await shop.hasPlan(v, 'pro');
		}
	});

	test('who died at the till keeps others from it for a minute at most; of Stripe away nothing is left', async () => {
		const u = await shop.buyer();
		const page = await shop.checkout(u);
		const stand = (ends) => stack.rows(`UPDATE billing_customers SET till = gen_random_uuid(), till_until = clock_timestamp() + interval '${ends}' WHERE user_id = '${u.id}'`);
		await stand('50 s');
		problem(await u.as.post(`${AT}/create-checkout-session`, { price_id: shop.prices.year }), 'busy');
		problem(await u.as.post('/api/payments/create-subscription', { price_id: shop.prices.year }), 'busy');
		assert.equal(state(page), 'open');
		await stand('-1 s');
		stripe.fail(/GET /, 500, Infinity);
		problem(await u.as.post(`${AT}/create-checkout-session`, { price_id: shop.prices.year }), 'payment-provider-down');
		stripe.failures.length = 0;
		assert.equal(state(await shop.checkout(u, shop.prices.year)), 'open');
	});
});

describe('two that are paid all the same', () => {
	/** Two pages that both can be paid, for Stripe does not expire one that is just being paid. */
	async function twoPages(u, prices = [shop.prices.month, shop.prices.year], { second: other = u, ...more } = {}) {
		const first = await shop.checkout(u, prices[0], more);
		stripe.fail(/expire$/, 400, Infinity);
		const second = await shop.checkout(other, prices[1], more);
		stripe.failures.length = 0;
		return [first, second];
	}

	/** Pays both; the second a second later. */
	function payBoth([first, second]) {
		const events = [...stripe.complete(first), ...stripe.complete(second)];
		const subs = [first, second].map((x) => stripe.subscriptions.get(stripe.session(x).subscription));
		stripe.invoices.get(subs[1].latest_invoice).status_transitions.paid_at++;
		return { events, stays: subs[0], goes: subs[1] };
	}

	const refundsOf = (s) => [...stripe.refunds.values()].filter((r) => r.payment_intent === stripe.invoices.get(s.latest_invoice).payment);
	const given = (s) => until('it is given back', async () => (await stack.one(`SELECT p.refunded FROM payments p WHERE p.stripe_payment_id = '${stripe.invoices.get(s.latest_invoice).payment}'`)) === String(stripe.invoices.get(s.latest_invoice).total), { within: 30_000 });

	test('the first that was paid stays, the other is ended and paid back, once; told, mailed, noted', async () => {
		const u = await shop.buyer();
		const { events, stays, goes } = payBoth(await twoPages(u));
		await shop.sendAll([...events, ...events.reverse()]);
		await shop.applied();
		await known(goes.id, 'canceled');
		await given(goes);
		assert.deepEqual([stays.status, goes.status], ['active', 'canceled']);
		assert.deepEqual(refundsOf(goes).map((r) => [r.amount, r.reason, r.metadata.subscription]), [[20_000, 'duplicate', goes.id]]);
		assert.equal(refundsOf(stays).length, 0);
		assert.equal(await shop.plan(u), 'pro');
		assert.equal(ok(await u.as.get(`${AT}/subscription`)).subscription.stripe_subscription_id, stays.id);
		const told = await shop.told(u);
		for (const [type, n] of [['subscription.created', 2], ['subscription.duplicate', 1], ['subscription.deleted', 1], ['payment.returned', 1], ['entitlement.changed', 1]])
			assert.equal(told.filter((x) => x === type).length, n, `${type}: ${told}`);
		assert.equal(await stack.one(`SELECT details ->> 'duplicate_of' FROM audit_logs WHERE user_id = '${u.id}' AND action = 'billing.subscription.duplicate'`), stays.id);
		assert.deepEqual((await shop.mails(u)).sort(), ['Cue: 200.00 USD is paid back', 'Cue: your payment of 20.00 USD', 'Cue: your payment of 200.00 USD']);
		assert.doesNotMatch(await stack.ctl('billing', 'show', '--app', 'cue', u.email), /duplicate/);
		assert.equal(await stack.one(`SELECT count(*) FROM billing_states WHERE object = '${goes.id}'`), '0', 'figures never counted it');
		// later events and looks change nothing, and the one that stays can end as any other
		await shop.sendAll(events);
		await reconcile(u);
		await shop.applied();
		await shop.sendAll(stripe.end(stays.id));
		await shop.hasPlan(u, 'free');
		assert.equal(refundsOf(goes).length, 1);
		assert.equal(refundsOf(stays).length, 0);
		ok(await u.as.post(`${AT}/create-checkout-session`, { price_id: shop.prices.month }));
	});

	test('two admins, by seats; a Payment Element beside a page', async () => {
		const { owner, admin, org } = await twoAdmins();
		const team = payBoth(await twoPages(owner, [shop.prices.team, shop.prices.each], { at: org.billing, second: admin }));
		await shop.sendAll(team.events);
		await given(team.goes);
		assert.deepEqual([team.stays.status, team.goes.status], ['active', 'canceled']);
		await shop.hasPlan(org, 'team', 'organizations');
		const u = await shop.buyer();
		const page = await shop.checkout(u);
		stripe.fail(/expire$/, 400, Infinity);
		const form = await element(u, shop.prices.year);
		stripe.failures.length = 0;
		const events = [...stripe.confirm(form), ...stripe.complete(page)];
		const [goes, stays] = [stripe.subscriptions.get(stripe.session(page).subscription), stripe.subscriptions.get(form)];
		stripe.invoices.get(goes.latest_invoice).status_transitions.paid_at++;
		await shop.sendAll(events);
		await given(goes);
		assert.deepEqual([stays.status, goes.status], ['active', 'canceled']);
	});

	test('the job dies with each of its steps done and not heard of: repeated, there is one refund', async () => {
		const copy = new Copy(stack);
		for (const step of [/^DELETE /, /refunds$/]) {
			const u = await shop.buyer();
			const { stays, goes } = payBoth(await twoPages(u));
			stripe.fail(step, 'hang-after');
			await reconcile(u);
			await until('it is done, and nobody heard', () => stripe.held.size > 0, { within: 30_000 });
			for (const w of copy.board('jobs').filter((x) => x.stage === 'handle'))
				signal(w.pid, 'SIGKILL');
			for (const res of stripe.held)
				res.destroy();
			stripe.held.clear();
			assert.equal(await shop.plan(u), 'pro');
			stripe.forget(); // and a day later
			const near = await stack.one(`SELECT look_at < now() + interval '61 s' FROM billing_customers WHERE user_id = '${u.id}'`);
			assert.equal(near, 't', 'it is looked at again by itself');
			await stack.rows(`UPDATE jobs SET run_at = now() WHERE unique_key = 'billing.look:' || (SELECT id FROM billing_customers WHERE user_id = '${u.id}')`); // and not when its lease of a minute ends
			await given(goes);
			await known(goes.id, 'canceled');
			assert.deepEqual([stays.status, goes.status, refundsOf(goes).length, refundsOf(stays).length], ['active', 'canceled', 1, 0]);
			assert.equal((await shop.told(u)).filter((x) => x === 'subscription.duplicate').length, 1);
			assert.equal((await shop.mails(u)).filter((x) => x === 'Cue: 200.00 USD is paid back').length, 1);
		}
	});

	test('Stripe does not pay back: seen by the operator, and tried again', async () => {
		const u = await shop.buyer();
		const { events, goes } = payBoth(await twoPages(u));
		stripe.fail(/refunds$/, 402, Infinity);
		await shop.sendAll(events);
		await known(goes.id, 'canceled');
		await shop.applied();
		const shown = await stack.ctl('billing', 'show', '--app', 'cue', u.email);
		assert.match(shown, new RegExp(`\\nduplicate {4}${goes.id} canceled, to be paid back: ${stripe.invoices.get(goes.latest_invoice).payment}\\n`));
		assert.equal((await shop.mails(u)).filter((x) => x.includes('paid back')).length, 0);
		stripe.failures.length = 0;
		await reconcile(u);
		await given(goes);
		assert.equal(refundsOf(goes).length, 1);
	});

	test('what the vendor makes at Stripe, or gave back in part, is left to him', async () => {
		const u = await shop.buyer();
		const s = await shop.subscribed(u);
		await shop.sendAll(stripe.complete(stripe.open(s.customer, shop.prices.each)));
		await shop.hasPlan(u, 'enterprise');
		await shop.applied();
		assert.deepEqual(stripe.subscriptionsOf(s.customer).map((x) => x.status), ['active', 'active']);
		const v = await shop.buyer();
		const { events, goes } = payBoth(await twoPages(v));
		stripe.refund(stripe.invoices.get(goes.latest_invoice).payment, 100);
		await shop.sendAll(events);
		await known(goes.id, 'canceled');
		assert.equal(refundsOf(goes).length, 0);
	});

	test('a trial that waits for its card is one, however many ask; in a trial there is nothing to pay back', async () => {
		await shop.apply(stripe.account({ ...shop.account, trial_days: 10 }));
		const u = await shop.buyer();
		const { events, stays, goes } = payBoth(await twoPages(u));
		await shop.sendAll(events);
		await known(goes.id, 'canceled');
		assert.deepEqual([stays.status, goes.status], ['trialing', 'canceled']);
		assert.equal(await shop.plan(u), 'pro');
		assert.deepEqual(await shop.mails(u), []);
		const v = await shop.buyer();
		const [secret, ...others] = new Set(await Promise.all([1, 2, 3].map(async () => ok(await admitted(() => v.as.post('/api/payments/create-subscription', { price_id: shop.prices.month }))).client_secret)));
		assert.match(secret, /^seti_/);
		assert.deepEqual(others, []);
		await shop.apply(stripe.account(shop.account));
	});
});
