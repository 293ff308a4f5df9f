// What becomes of a subscription: teams and seats, other plans, debts and grace, trials, refunds and disputes, Stripe's old
// and new shapes, and CODITECT's spelling (CONTRACT B22, C19, D25-D36, K18, S; SECURITY T23).
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { ok, problem } from '../lib/setup.mjs';
import { Shop } from '../lib/shop.mjs';
import { Stack } from '../lib/stack.mjs';
import { sameDay, until } from '../lib/wait.mjs';

const stack = Stack.attach();
let shop, stripe;

before(async () => {
	shop = await Shop.open(stack, 'coditect', { account: { grace_days: 14, promotion_codes: true } });
	({ stripe } = shop);
});
after(() => shop?.close());

const at = '/api/v1/billing';
const seen = async (u) => ok(await u.as.get(`${at}/subscription`)).subscription;
const ends = (u) => stack.one(`SELECT round(extract(epoch FROM ends_at - now()) / 86400) FROM grants WHERE user_id = '${u.id}' AND source = 'subscription'`);

describe('a team', () => {
	test('seats are paid for, bought, given back, and are those of the organization (D36, E45)', async () => {
		const u = await shop.buyer('owner');
		const org = await shop.team(u);
		const max = () => stack.one(`SELECT max_seats FROM organizations WHERE id = '${org.id}'`);
		assert.deepEqual(ok(await u.as.get(`${org.billing}/subscription`)), { subscription: null });
		assert.deepEqual(ok(await u.as.get(`${org.billing}/invoices`)), { invoices: [] });
		problem(await u.as.post(`${org.billing}/portal`), 'subscription-not-found');
		const s = await shop.subscribed(u, shop.prices.team, { at: org.billing, org, seats: 8 });
		await shop.hasPlan(org, 'team', 'organizations');
		assert.deepEqual(s.items.data.map((i) => [i.price.id, i.quantity]), [[shop.prices.team, 1], [shop.prices.seat, 3]]);
		assert.equal(await max(), '8');
		await shop.hasPlan(u, 'team');
		assert.equal(await stack.one(`SELECT user_id FROM grants WHERE organization_id = '${org.id}'`), undefined);
		assert.equal((await seen(u)), null, 'it is the team’s, not the owner’s own');
		const { subscription } = ok(await u.as.get(`${org.billing}/subscription`));
		assert.deepEqual([subscription.organization_id, subscription.user_id, subscription.tier, subscription.status, subscription.seats], [org.id, null, 'TEAM', 'ACTIVE', 8]);
		const seats = async (n) => ok(await u.as.post(`${org.billing}/seats`, { seats: n })).subscription.seats;
		assert.equal(await seats(12), 12);
		assert.equal(await max(), '12');
		assert.equal(await seats(5), 12, 'what is paid for stays until its end');
		assert.equal(await max(), '12');
		await shop.sendAll(stripe.renew(s.id));
		await until('the seats of the next period', async () => (await max()) === '5');
		assert.equal(stripe.subscriptions.get(s.id).items.data.length, 1, 'the line of further seats is gone');
		assert.equal(await seats(6), 6);
		assert.equal(ok(await u.as.post(`${org.billing}/change-plan`, { price_id: shop.prices.each, seats: 3 })).subscription.tier, 'ENTERPRISE');
		assert.deepEqual(stripe.subscriptions.get(s.id).items.data.map((i) => [i.price.id, i.quantity]), [[shop.prices.each, 3]]);
		await shop.hasPlan(org, 'enterprise', 'organizations');
		assert.equal(await max(), '3');
		assert.match(ok(await u.as.post(`${org.billing}/portal`)).portal_url, /\/portal\//);
		assert.equal(ok(await u.as.post(`${org.billing}/cancel-subscription`, { at_period_end: true })).subscription.cancel_at_period_end, true);
		assert.equal(ok(await u.as.post(`${org.billing}/resume-subscription`)).subscription.cancel_at_period_end, false);
		assert.deepEqual((await stack.rows(`SELECT action FROM audit_logs WHERE organization_id = '${org.id}' AND action ~ '^billing\\.[a-z-]+$' ORDER BY seq`)).flat(), ['billing.change-plan', 'billing.change-plan', 'billing.change-plan', 'billing.change-plan', 'billing.cancel', 'billing.resume']);
		await shop.sendAll(stripe.end(s.id));
		await shop.hasPlan(org, 'free', 'organizations');
		await shop.hasPlan(u, 'free');
		assert.deepEqual(await shop.mails(u), ['CODITECT: your payment of 156.00 USD', 'CODITECT: your plan will change', 'CODITECT: your payment of 99.00 USD', 'CODITECT: your subscription has ended']);
	});

	test('seats that are not sold, or none at all: refused', async () => {
		const u = await shop.buyer('owner');
		const org = await shop.team(u);
		for (const [price_id, seats] of [[shop.prices.month, 2], [shop.prices.team, 100_001], [shop.prices.team, 0]])
			problem(await u.as.post(`${org.billing}/create-checkout-session`, { price_id, seats }), 'invalid-body');
		problem(await u.as.post(`${org.billing}/seats`, { seats: 6 }), 'subscription-not-found');
		await shop.subscribed(u, shop.prices.month, { at: org.billing, org });
		problem(await u.as.post(`${org.billing}/seats`, { seats: 2 }), 'invalid-body');
		problem(await u.as.post(`${org.billing}/create-checkout-session`, { price_id: shop.prices.team }), 'already-subscribed');
	});

	test('further seats are no way into the plan: alone they are not for sale (T23)', async () => {
		const [u, payer] = [await shop.buyer('owner'), await shop.buyer()];
		const org = await shop.team(u);
		await shop.subscribed(payer);
		const price_id = shop.prices.seat;
		for (const [as, path] of [[u.as, `${at}/create-checkout-session`], [u.as, `${org.billing}/create-checkout-session`], [u.as, '/api/payments/create-subscription'], [payer.as, `${at}/change-plan`]])
			problem(await as.post(path, { price_id }), 'unknown-price');
		assert.deepEqual(stripe.subscriptionsOf(await shop.customer(payer)).map((s) => s.items.data.map((i) => i.price.id)), [[shop.prices.month]]);
		assert.match(await shop.checkout(u, shop.prices.each), /^http/, 'a plan that is sold by the seat is sold so');
	});

	test('a customer for the user and one for each of his organizations', async () => {
		const u = await shop.buyer('owner');
		const orgs = [await shop.team(u), await shop.team(u)];
		const urls = await Promise.all([shop.checkout(u), ...orgs.flatMap((o) => [shop.checkout(u, shop.prices.team, { at: o.billing }), shop.checkout(u, shop.prices.team, { at: o.billing })])]);
		assert.equal(new Set(urls.map((x) => stripe.session(x).customer)).size, 3);
		const made = [...stripe.customers.values()].filter((c) => c.metadata.organization_id === orgs[0].id);
		assert.deepEqual(made.map((c) => [c.name, c.email]), [['a team', u.email]]);
	});
});

describe('a user', () => {
	test('another plan, and back; at once over; CODITECT’s spelling (B22, D29, D30, K18)', async () => {
		const u = await shop.buyer();
		assert.equal(await seen(u), null);
		for (const [path, body] of [['change-plan', { price_id: shop.prices.year }], ['cancel-subscription', {}], ['resume-subscription', undefined]])
			problem(await u.as.post(`${at}/${path}`, body), 'subscription-not-found');
		problem(await u.as.get(`${at}/portal`), 'subscription-not-found');
		const s = await shop.subscribed(u);
		assert.equal(stripe.asked(/POST .*sessions/).slice(-1)[0].params.allow_promotion_codes, 'true');
		const { subscription } = ok(await u.as.post(`${at}/change-plan`, { price_id: 'pro_yearly' }));
		assert.deepEqual([subscription.price_id, subscription.tier, subscription.status, subscription.user_id], [shop.prices.year, 'PRO', 'ACTIVE', `usr_${u.id}`]);
		assert.equal(stripe.asked(/POST \/v1\/subscriptions\/sub/).slice(-1)[0].params.proration_behavior, 'create_prorations');
		problem(await u.as.post(`${at}/change-plan`, { price_id: shop.prices.once }), 'unknown-price');
		problem(await u.as.post(`${at}/change-plan`, { price_id: 'price_none' }), 'unknown-price');
		ok(await u.as.post(`${at}/change-plan`, { price_id: shop.prices.each }));
		await shop.hasPlan(u, 'enterprise');
		const [invoice] = ok(await u.as.get(`${at}/invoices`)).invoices;
		assert.deepEqual([invoice.status, invoice.currency, invoice.amount_cents], ['PAID', 'USD', 2000]);
		assert.match(ok(await u.as.get(`${at}/portal`)).portal_url, /\/portal\/bps_/);
		assert.equal(stripe.asked(/POST .*portal/).slice(-1)[0].params.return_url, 'https://coditect.example.com/settings');
		const ended = ok(await u.as.post(`${at}/cancel-subscription`, { at_period_end: false })).subscription;
		assert.deepEqual([ended.status, ended.tier], ['CANCELED', 'ENTERPRISE']);
		await shop.hasPlan(u, 'free');
		for (const [path, body] of [['change-plan', { price_id: shop.prices.year }], ['cancel-subscription', {}], ['resume-subscription', undefined]])
			problem(await u.as.post(`${at}/${path}`, body), 'subscription-over');
		await shop.subscribed(u, shop.prices.year);
		await shop.hasPlan(u, 'pro');
		assert.equal(s.status, 'canceled');
	});

	test('owes money: told each time, goes on for the days of grace, then not, and again once it is paid (C19)', async () => {
		const u = await shop.buyer('debtor');
		const s = await shop.subscribed(u);
		await shop.hasPlan(u, 'pro');
		assert.equal(await ends(u), '44', 'a period, and as long as it takes to hear of the next');
		await shop.sendAll(stripe.renew(s.id, { paid: false }));
		await shop.applied();
		assert.equal((await seen(u)).status, 'PAST_DUE');
		assert.equal(await shop.plan(u), 'pro');
		assert.equal(await ends(u), '14');
		await shop.sendAll(stripe.retry(s.id));
		await shop.applied();
		assert.deepEqual(await shop.mails(u), ['CODITECT: your payment of 20.00 USD', ...Array(2).fill('CODITECT: your payment of 20.00 USD did not go through')]);
		// two weeks later
		stripe.invoices.get(s.latest_invoice).status_transitions.finalized_at -= 15 * 86_400;
		await stack.ctl('billing', 'reconcile', '--app', 'coditect', u.email);
		await shop.hasPlan(u, 'free');
		await shop.sendAll(stripe.settle(s.id));
		await shop.hasPlan(u, 'pro');
		assert.equal((await seen(u)).status, 'ACTIVE');
		assert.deepEqual((await shop.told(u)).filter((x) => x.startsWith('invoice')), ['invoice.paid', 'invoice.payment_failed', 'invoice.payment_failed', 'invoice.paid']);
		await shop.sendAll(stripe.set(s.id, { status: 'unpaid' }));
		await shop.hasPlan(u, 'free');
	});

	test('renewed, paused, resumed', async () => {
		const u = await shop.buyer();
		const s = await shop.subscribed(u);
		await shop.sendAll(stripe.renew(s.id));
		await until('its end is a period later', async () => (await ends(u)) === '74');
		await shop.sendAll(stripe.set(s.id, { status: 'paused' }, 'customer.subscription.paused'));
		await shop.hasPlan(u, 'free');
		await shop.sendAll(stripe.set(s.id, { status: 'active' }, 'customer.subscription.resumed'));
		await shop.hasPlan(u, 'pro');
		assert.deepEqual(await shop.mails(u), ['CODITECT: your payment of 20.00 USD', 'CODITECT: your payment of 20.00 USD']);
	});

	test('a trial is for the first time; its end is announced once', async () => {
		await shop.apply(stripe.account({ ...shop.account, trial_days: 10 }));
		const u = await shop.buyer();
		const s = await shop.subscribed(u);
		await shop.hasPlan(u, 'pro');
		assert.deepEqual([(await seen(u)).status, stripe.subscriptions.get(s.id).trial_end - s.created], ['TRIALING', 864_000]);
		assert.deepEqual(await shop.mails(u), [], 'nothing was paid');
		const soon = Math.floor(Date.now() / 1000) + 2 * 86_400;
		for (let i = 0; i < 3; i++)
			await shop.sendAll(stripe.set(s.id, { trial_end: soon }, 'customer.subscription.trial_will_end'));
		await shop.applied();
		assert.deepEqual(await shop.mails(u), ['CODITECT: your trial ends soon']);
		await shop.sendAll(stripe.end(s.id));
		await shop.hasPlan(u, 'free');
		assert.equal(stripe.session(await shop.checkout(u)).subscription_data.trial_period_days, undefined);
		const v = await shop.buyer();
		const started = ok(await v.as.post('/api/payments/create-subscription', { price_id: shop.prices.month }));
		assert.match(started.client_secret, /^seti_/);
		await shop.apply(stripe.account(shop.account));
	});

	test('refunds and disputes suspend, of purchases and of subscriptions; what is won is restored', async () => {
		const u = await shop.buyer();
		await shop.sendAll(stripe.complete(await shop.checkout(u, shop.prices.forever)));
		await shop.hasPlan(u, 'enterprise');
		const customer = await shop.customer(u);
		const [p] = stripe.paymentsOf(customer);
		await shop.sendAll(stripe.refund(p.id, 900));
		await shop.applied();
		assert.equal(await shop.plan(u), 'enterprise', 'a part is no refund');
		await shop.sendAll(stripe.dispute(p.id));
		await shop.hasPlan(u, 'free');
		await shop.sendAll(stripe.dispute(p.id, 'under_review'));
		await shop.sendAll(stripe.dispute(p.id, 'won'));
		await shop.hasPlan(u, 'enterprise');
		await shop.sendAll(stripe.refund(p.id));
		await shop.hasPlan(u, 'free');
		assert.deepEqual((await shop.told(u)).filter((x) => x.startsWith('payment')), ['payment.succeeded', 'payment.returned', 'payment.restored', 'payment.returned']);
		const s = await shop.subscribed(u);
		await shop.hasPlan(u, 'pro');
		const paid = stripe.paymentsOf(customer).slice(-1)[0];
		await shop.sendAll(stripe.refund(paid.id));
		await shop.hasPlan(u, 'free');
		await shop.sendAll(stripe.renew(s.id));
		await shop.hasPlan(u, 'pro');
		assert.deepEqual(await shop.mails(u), ['payment of 99.00 USD', 'payment of 99.00 USD was returned', 'payment of 20.00 USD', 'payment of 20.00 USD was returned', 'payment of 20.00 USD'].map((x) => `CODITECT: your ${x}`));
	});

	test('a checkout that costs nothing gives what it is for, and no receipt', async () => {
		const u = await shop.buyer();
		await shop.sendAll(stripe.complete(await shop.checkout(u, shop.prices.forever), { amount: 0 }));
		await shop.hasPlan(u, 'enterprise');
		assert.deepEqual(await shop.mails(u), []);
	});

	test('a price that is in no file gives nothing, and is seen as such (E40)', async () => {
		const u = await shop.buyer();
		const s = await shop.subscribed(u);
		await shop.hasPlan(u, 'pro');
		s.items.data[0].price = stripe.prices.get(stripe.price(1, 'month'));
		await shop.sendAll(stripe.set(s.id, {}));
		await shop.hasPlan(u, 'free');
		assert.deepEqual([(await seen(u)).tier, (await seen(u)).status], [null, 'ACTIVE']);
	});

	test('whose account is erased, or organization deleted, pays no more; the books stay', async () => {
		const u = await shop.buyer();
		const s = await shop.subscribed(u);
		const org = await shop.team(u);
		const t = await shop.subscribed(u, shop.prices.team, { at: org.billing, org });
		await stack.rows(`DELETE FROM organizations WHERE id = '${org.id}'`);
		await until('the team’s subscription is ended', () => stripe.subscriptions.get(t.id).status === 'canceled', { within: 40_000 });
		await shop.hasPlan(u, 'pro');
		await stack.rows(`UPDATE users SET delete_after = now() - interval '1 s' WHERE id = '${u.id}'`);
		await until('the user’s subscription is ended', () => stripe.subscriptions.get(s.id).status === 'canceled', { within: 40_000 });
		await until('and known to be', async () => (await stack.one(`SELECT status FROM subscriptions WHERE stripe_subscription_id = '${s.id}'`)) === 'canceled');
		assert.equal(await stack.one(`SELECT count(*) FROM invoices i JOIN billing_customers c ON c.id = i.customer_id WHERE c.stripe_customer_id IN ('${s.customer}', '${t.customer}') AND c.user_id IS NULL AND c.organization_id IS NULL`), '2');
	});

	test('an event once more, by hand', async () => {
		const u = await shop.buyer();
		const s = await shop.subscribed(u);
		const [e] = stripe.end(s.id);
		const { url } = stripe;
		await shop.apply(stripe.account({ ...shop.account, api_base: 'http://127.0.0.1:9' }));
		ok(await shop.send(e));
		await until('it was tried', () => stack.one(`SELECT failure FROM jobs WHERE unique_key LIKE 'billing.event:%:${e.id}'`), { within: 20_000 });
		assert.equal(await shop.plan(u), 'pro');
		await shop.apply(stripe.account({ ...shop.account, api_base: url }));
		await stack.rows(`DELETE FROM jobs WHERE unique_key LIKE 'billing.event:%:${e.id}'`);
		await stack.ctl('billing', 'replay', '--app', 'coditect', e.id);
		await shop.hasPlan(u, 'free');
		await assert.rejects(stack.ctl('billing', 'replay', '--app', 'coditect', 'evt_none'), /not-found|Not Found/);
	});
});

describe('use that is paid for by the meter (D28)', () => {
	test('each unit is told once, from the day on that it is paid for, whatever is lost on the way', async () => {
		const metered = stripe.price(2, 'month', { recurring: { interval: 'month', interval_count: 1, usage_type: 'metered' } });
		await shop.apply(stripe.account({ ...shop.account, meters: { commands: 'coditect_commands', api_calls: 'coditect_calls' } }), (file) => ({
			...file, plans: file.plans.map((p) => (p.code === 'enterprise' ? { ...p, prices: [...p.prices, { stripe: metered, interval: 'month', amount: null, currency: 'usd', per: 'plan' }], limits: [{ meter: 'commands', period: 'day', max: -1 }] } : p)),
		}));
		const u = await shop.buyer('enterprise');
		const use = (n) => stack.rows(`SELECT meter_take(app_id, id, NULL, 'commands', ${n}) FROM users WHERE id = '${u.id}'`);
		const report = () => shop.report();
		const told = (meter) => [...stripe.meterEvents.values()].filter((e) => e.event_name === meter).map((e) => Number(e.payload.value));
		await sameDay();
		await use(5); // as long as it costs nothing
		await shop.hasPlan(u, 'free');
		const s = await shop.subscribed(u, metered);
		await shop.hasPlan(u, 'enterprise');
		await report();
		assert.deepEqual(told('coditect_commands'), [], 'not what came before');
		await use(7);
		await report();
		await report();
		assert.deepEqual(told('coditect_commands'), [7]);
		await use(1);
		stripe.fail(/meter_events/, 'cut-after', 9);
		await use(1);
		await shop.beginReport();
		await until('it is on its way', () => stack.one("SELECT 1 FROM jobs WHERE kind = 'billing.usage' AND failure IS NOT NULL"), { within: 20_000 });
		await use(10);
		stripe.failures.length = 0;
		await report();
		await report();
		assert.deepEqual(told('coditect_commands'), [7, 2, 10], 'what was on its way first, then the rest');
		assert.deepEqual([...new Set([...stripe.meterEvents.values()].map((e) => e.payload.stripe_customer_id))], [s.customer]);
		await stack.rows(`INSERT INTO usage_daily SELECT app_id, id, current_date, 40 FROM users WHERE id = '${u.id}' ON CONFLICT (app_id, user_id, day) DO UPDATE SET api_calls = usage_daily.api_calls + 40`);
		await report();
		assert.ok(told('coditect_calls').reduce((a, b) => a + b) >= 40);
		await shop.sendAll(stripe.end(s.id));
		await shop.hasPlan(u, 'free');
		await use(1);
		const was = stripe.meterEvents.size;
		await report();
		assert.equal(stripe.meterEvents.size, was, 'who pays no more is not counted');
		await shop.apply(stripe.account(shop.account));
	});
});

describe('Stripe’s shapes from before 2025-03-31 (CONTRACT S)', () => {
	let old;
	before(async () => {
		old = await Shop.open(stack, 'flowscope', { legacy: true });
	});
	after(() => old?.close());

	test('periods, invoices, payments and secrets are found where they stood', async () => {
		const u = await old.buyer();
		const s = await old.subscribed(u);
		await old.hasPlan(u, 'pro');
		const is = ok(await u.as.get(`${at}/subscription`)).subscription;
		assert.equal(Date.parse(is.current_period_end) / 1000, s.items.data[0].current_period_end);
		assert.equal(ok(await u.as.get(`${at}/invoices`)).invoices[0].subscription_id, is.subscription_id);
		await old.sendAll(old.stripe.refund(old.stripe.paymentsOf(s.customer)[0].id));
		await old.hasPlan(u, 'free');
		const v = await old.buyer();
		assert.match(ok(await v.as.post('/api/payments/create-subscription', { price_id: old.prices.month })).client_secret, /_secret_/);
	});
});
