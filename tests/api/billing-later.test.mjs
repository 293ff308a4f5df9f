// Less is for later: a lower plan, a month in place of a year, fewer seats begin when what is paid for ends, by a schedule at
// Stripe, whatever is lost on the way (CONTRACT B22, D26, D36; SECURITY F28).
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { ok, problem } from '../lib/setup.mjs';
import { Shop } from '../lib/shop.mjs';
import { Stack } from '../lib/stack.mjs';
import { until } from '../lib/wait.mjs';

const stack = Stack.attach();
let shop, stripe, prices;

before(async () => {
	shop = await Shop.open(stack, 'coditect');
	({ stripe, prices } = shop);
});
after(() => shop?.close());

const at = '/api/v1/billing';
const seen = async (u) => ok(await u.as.get(`${at}/subscription`)).subscription;
const change = async (u, price_id, more = {}) => ok(await u.as.post(`${at}/change-plan`, { price_id, ...more })).subscription;
const cancel = async (u) => ok(await u.as.post(`${at}/cancel-subscription`, {})).subscription;
const pending = (s) => [s.pending_tier, s.pending_price_id, s.pending_seats, s.pending_at];
const NOTHING = [null, null, null, null];
const end = (s) => new Date(s.items.data[0].current_period_end * 1000).toISOString().replace('.000', '');
const lines = (s) => s.items.data.map((i) => [i.price.id, i.quantity]);
const scheduleOf = (s) => stripe.schedules.get(s.schedule);
const reconcile = (u) => stack.ctl('billing', 'reconcile', '--app', 'coditect', u.email);

/** Somebody who has paid for a price, and the subscription as Stripe has it. */
async function payer(price, plan) {
	const u = await shop.buyer();
	const s = await shop.subscribed(u, price);
	await shop.hasPlan(u, plan);
	return [u, s];
}

describe('a lower plan', () => {
	test('begins with the next period, and plan and features follow by themselves', async () => {
		const [u, s] = await payer(prices.each, 'enterprise');
		const now = await change(u, prices.month);
		assert.deepEqual([now.tier, now.price_id, ...pending(now)], ['ENTERPRISE', prices.each, 'PRO', prices.month, null, end(s)]);
		assert.deepEqual(lines(s), [[prices.each, 1]], 'at Stripe nothing is other than it was');
		assert.deepEqual(await seen(u), now);
		assert.equal(await shop.plan(u), 'enterprise');
		const { status, end_behavior, metadata, phases } = scheduleOf(s);
		assert.deepEqual([status, end_behavior, metadata.quoin], ['active', 'release', 'change']);
		assert.deepEqual(phases.map((p) => [p.items.map((i) => [i.price, i.quantity]), p.proration_behavior]), [[[[prices.each, 1]], 'create_prorations'], [[[prices.month, 1]], 'none']]);
		assert.equal(stripe.asked(/POST .*subscription_schedules\/\w+$/).at(-1).params.proration_behavior, 'none', 'nothing is paid back');
		const words = await stack.ctl('billing', 'show', '--app', 'coditect', u.email);
		assert.match(words, /plan {9}enterprise\n(.*\n)+then {9}pro\n/);

		const paidUntil = s.items.data[0].current_period_end;
		await shop.sendAll(stripe.renew(s.id));
		await shop.hasPlan(u, 'pro');
		await shop.applied();
		const then = await seen(u);
		assert.deepEqual([then.tier, then.price_id, ...pending(then)], ['PRO', prices.month, ...NOTHING]);
		await until('what has done its work lets go of it', () => s.schedule === null);
		assert.deepEqual((await stack.rows(`SELECT g.plan FROM grants g WHERE g.user_id = '${u.id}'`)).flat(), ['pro']);
		assert.deepEqual(ok(await u.as.get(`${at}/invoices`)).invoices.map((i) => i.amount_cents).sort(), [1500, 2000], 'the lower price, for the next period'); // of one second, perhaps
		assert.deepEqual(await shop.mails(u), ['CODITECT: your payment of 15.00 USD', 'CODITECT: your plan will change', 'CODITECT: your payment of 20.00 USD']);
		assert.deepEqual(await shop.told(u), ['subscription.created', 'invoice.paid', 'entitlement.changed', 'subscription.updated', 'subscription.updated', 'invoice.paid', 'entitlement.changed']);
		assert.deepEqual(await stack.rows(`SELECT data ->> 'pending_plan', extract(epoch FROM (data ->> 'pending_at')::timestamptz)::bigint FROM events WHERE user_id = '${u.id}' AND type = 'subscription.updated' ORDER BY seq`), [['pro', String(paidUntil)], [undefined, undefined]]);
		assert.deepEqual((await stack.rows(`SELECT action FROM audit_logs WHERE user_id = '${u.id}' AND action LIKE 'billing.%' ORDER BY seq`)).flat(), ['billing.subscription.created', 'billing.invoice.paid', 'billing.change-plan', 'billing.subscription.updated', 'billing.subscription.updated', 'billing.invoice.paid']);
	});

	test('of a year: a month comes after it, and so does a lower plan; a higher one for a month at once', async () => {
		const [u, s] = await payer(prices.year, 'pro');
		assert.deepEqual(pending(await change(u, prices.month)), ['PRO', prices.month, null, end(s)]);
		assert.equal(await shop.plan(u), 'pro');
		const now = await change(u, prices.each);
		assert.deepEqual([now.tier, ...pending(now)], ['ENTERPRISE', ...NOTHING]);
		assert.equal(s.schedule, null);
		assert.equal(stripe.asked(/POST \/v1\/subscriptions\/sub/).at(-1).params.proration_behavior, 'create_prorations');
		await shop.hasPlan(u, 'enterprise');
		assert.deepEqual(pending(await change(u, prices.year)), ['PRO', prices.year, null, end(s)]);
		await shop.sendAll(stripe.renew(s.id));
		await shop.hasPlan(u, 'pro');
		// and from a month to a year is more
		const v = await payer(prices.month, 'pro');
		assert.deepEqual([(await change(v[0], prices.year)).price_id, v[1].schedule], [prices.year, null]);
	});

	test('taken back by choosing what is, or more; chosen anew it is another', async () => {
		const [u, s] = await payer(prices.each, 'enterprise');
		await change(u, prices.month);
		assert.deepEqual(pending(await change(u, prices.each)), NOTHING);
		assert.deepEqual([s.schedule, lines(s)], [null, [[prices.each, 1]]]);
		await change(u, prices.month);
		assert.deepEqual(pending(await change(u, prices.team)), ['TEAM', prices.team, 5, end(s)]);
		assert.equal(scheduleOf(s).phases.length, 2, 'in the place of the other');
		const more = await change(u, prices.each, { seats: 4 });
		assert.deepEqual([more.seats, ...pending(more)], [4, ...NOTHING]);
		assert.equal(s.schedule, null);
		await shop.sendAll(stripe.renew(s.id));
		await shop.applied();
		assert.equal(await shop.plan(u), 'enterprise');
		assert.deepEqual((await shop.mails(u)).filter((m) => /change/.test(m)).length, 2);
	});

	test('cancelling wins, whichever way; what is to end has no next period', async () => {
		const [u, s] = await payer(prices.each, 'enterprise');
		await change(u, prices.month);
		const gone = await cancel(u);
		assert.deepEqual([gone.cancel_at_period_end, ...pending(gone)], [true, ...NOTHING]);
		assert.equal(s.schedule, null);
		for (const price_id of [prices.month, prices.team])
			problem(await u.as.post(`${at}/change-plan`, { price_id }), 'conflict');
		assert.equal(s.schedule, null);
		const back = ok(await u.as.post(`${at}/resume-subscription`)).subscription;
		assert.deepEqual([back.cancel_at_period_end, ...pending(back)], [false, ...NOTHING]);
		await change(u, prices.month);
		assert.deepEqual(pending(ok(await u.as.post(`${at}/resume-subscription`)).subscription)[0], 'PRO', 'to go on takes nothing back');
		assert.deepEqual(pending(await seen(u))[0], 'PRO');
		const ended = ok(await u.as.post(`${at}/cancel-subscription`, { at_period_end: false })).subscription;
		assert.deepEqual([ended.status, ...pending(ended)], ['CANCELED', ...NOTHING]);
		await shop.hasPlan(u, 'free');
	});

	test('Cue’s way to see it, and to cancel', async () => {
		const [u, s] = await payer(prices.each, 'enterprise');
		const status = async () => ok(await u.as.get('/api/payments/subscription-status'));
		assert.deepEqual(Object.keys(await status()), ['has_subscription', 'status', 'current_period_end', 'plan_name']);
		await change(u, prices.month);
		const { current_period_end } = await status();
		assert.deepEqual(await status(), { has_subscription: true, status: 'ACTIVE', current_period_end, plan_name: 'ENTERPRISE', pending_plan_name: 'PRO', pending_at: current_period_end });
		ok(await u.as.post('/api/payments/cancel-subscription'));
		assert.deepEqual([s.schedule, s.cancel_at_period_end], [null, true]);
		assert.deepEqual(Object.keys(await status()), ['has_subscription', 'status', 'current_period_end', 'plan_name']);
	});

	test('in a trial nothing is paid for: at once; in debt it is as ever', async () => {
		await shop.apply(stripe.account({ trial_days: 10 }));
		const [u, s] = await payer(prices.each, 'enterprise');
		assert.deepEqual([(await change(u, prices.month)).tier, s.schedule], ['PRO', null]);
		await shop.hasPlan(u, 'pro');
		await shop.apply(stripe.account());
		const [v, t] = await payer(prices.each, 'enterprise');
		await shop.sendAll(stripe.renew(t.id, { paid: false }));
		await shop.applied();
		assert.deepEqual(pending(await change(v, prices.month)), ['PRO', prices.month, null, end(t)]);
	});

	test('discounts stay, in this period and after it', async () => {
		const [u, s] = await payer(prices.each, 'enterprise');
		s.discounts = [{ discount: 'di_1' }, { promotion_code: 'promo_1', coupon: 'coupon_1' }];
		s.items.data[0].tax_rates = [{ id: 'txr_1', object: 'tax_rate' }];
		await change(u, prices.month);
		const { phases } = stripe.asked(/POST .*subscription_schedules\/\w+$/).at(-1).params;
		assert.deepEqual(phases.map((p) => p.discounts), Array(2).fill([{ discount: 'di_1' }, { promotion_code: 'promo_1' }]));
		assert.deepEqual(phases[0].items[0].tax_rates, ['txr_1']);
	});
});

describe('fewer seats', () => {
	test('are not paid back: they go with the period, more come at once (D36)', async () => {
		const u = await shop.buyer('owner');
		const org = await shop.team(u);
		const s = await shop.subscribed(u, prices.team, { at: org.billing, org, seats: 9 });
		await shop.hasPlan(org, 'team', 'organizations');
		const max = () => stack.one(`SELECT max_seats FROM organizations WHERE id = '${org.id}'`);
		const seats = async (n) => ok(await u.as.post(`${org.billing}/seats`, { seats: n })).subscription;
		const less = await seats(6);
		assert.deepEqual([less.seats, ...pending(less)], [9, 'TEAM', prices.team, 6, end(s)]);
		assert.equal(await max(), '9');
		assert.deepEqual(pending(await seats(9)), NOTHING, 'as they are: taken back');
		assert.deepEqual(pending(await seats(7)), ['TEAM', prices.team, 7, end(s)]);
		const more = await seats(11);
		assert.deepEqual([more.seats, ...pending(more)], [11, ...NOTHING]);
		await seats(5);
		const { text } = await shop.mailbox.next(u.email, /will change/, 3);
		assert.match(text.replaceAll(/\s+/g, ' '), /changes to TEAM with 5 seats on \d+ \w+ \d{4}, \d\d:\d\d UTC/);
		ok(await u.as.post(`${org.billing}/cancel-subscription`, {}));
		problem(await u.as.post(`${org.billing}/seats`, { seats: 5 }), 'conflict');
		problem(await u.as.post(`${org.billing}/change-plan`, { price_id: prices.month }), 'conflict');
		ok(await u.as.post(`${org.billing}/resume-subscription`));
		await seats(5);
		await shop.sendAll(stripe.renew(s.id));
		await until('the seats of the next period', async () => (await max()) === '5');
		assert.deepEqual(lines(s), [[prices.team, 1]]);
	});

	test('of a higher plan are part of it, at once', async () => {
		const u = await shop.buyer('owner');
		const org = await shop.team(u);
		await shop.subscribed(u, prices.team, { at: org.billing, org, seats: 9 });
		const now = ok(await u.as.post(`${org.billing}/change-plan`, { price_id: prices.each, seats: 3 })).subscription;
		assert.deepEqual([now.tier, now.seats, ...pending(now)], ['ENTERPRISE', 3, ...NOTHING]);
	});
});

describe('what is lost on the way', () => {
	const schedules = (s) => [...stripe.schedules.values()].filter((x) => [x.subscription, x.released_subscription].includes(s.id));

	test('an answer: asked again, there is one change', async () => {
		for (const path of [/POST \/v1\/subscription_schedules$/, /POST \/v1\/subscription_schedules\/\w+$/])
			for (const how of ['cut-after', 500, 429]) {
				const [u, s] = await payer(prices.each, 'enterprise');
				stripe.fail(path, how, 2);
				assert.equal(pending(await change(u, prices.month))[0], 'PRO', `${path} ${how}`);
				assert.equal(schedules(s).length, 1);
			}
	});

	test('all of them: the change is seen when Stripe is looked at, and asking again is no second one', async () => {
		const [u, s] = await payer(prices.each, 'enterprise');
		stripe.fail(/POST \/v1\/subscription_schedules\/\w+$/, 'cut-after', Infinity);
		const headers = { 'idempotency-key': randomUUID() };
		problem(await u.as.post(`${at}/change-plan`, { price_id: prices.month }, { headers }), 'payment-provider-down');
		stripe.failures.length = 0;
		assert.deepEqual(pending(await seen(u)), NOTHING, 'not known yet');
		await reconcile(u);
		await until('it is seen', async () => pending(await seen(u))[0] === 'PRO');
		const again = ok(await u.as.post(`${at}/change-plan`, { price_id: prices.month }, { headers })).subscription;
		assert.equal(pending(again)[0], 'PRO');
		assert.equal(schedules(s).length, 1);
		await shop.mails(u);
		assert.equal((await shop.mails(u)).filter((m) => /will change/.test(m)).length, 1);
	});

	test('half of it made, and nobody asks again: it is taken away; who asks again has it whole', async () => {
		const [u, s] = await payer(prices.each, 'enterprise');
		const half = async () => {
			stripe.fail(/POST \/v1\/subscription_schedules\/\w+$/, 'cut', Infinity);
			problem(await u.as.post(`${at}/change-plan`, { price_id: prices.month }), 'payment-provider-down');
			stripe.failures.length = 0;
			assert.equal(scheduleOf(s).phases.length, 1);
		};
		await half();
		assert.equal(pending(await change(u, prices.month))[0], 'PRO');
		assert.equal(schedules(s).length, 1);
		await change(u, prices.each);
		await half();
		assert.equal(await stack.one(`SELECT look_at < now() + interval '31 min' FROM billing_customers WHERE user_id = '${u.id}'`), 't', 'it is looked at soon');
		await reconcile(u);
		const synced = () => stack.one(`SELECT synced_at FROM billing_customers WHERE user_id = '${u.id}'`);
		const was = await synced();
		await reconcile(u);
		await until('it was looked at', async () => (await synced()) !== was, { within: 40_000 });
		assert.ok(s.schedule, 'somebody may be at it');
		await stack.rows(`UPDATE subscriptions SET scheduling_at = scheduling_at - interval '16 min' WHERE stripe_subscription_id = '${s.id}'`);
		await reconcile(u);
		await until('it is taken away', () => s.schedule === null, { within: 40_000 });
		await until('and forgotten', () => stack.one(`SELECT 1 FROM subscriptions WHERE stripe_subscription_id = '${s.id}' AND schedule IS NULL AND scheduling_at IS NULL`));
		assert.equal(await shop.plan(u), 'enterprise');
		ok(await u.as.post(`${at}/cancel-subscription`, {}));
	});

	test('the news of the next period: Stripe is asked once it was to begin', async () => {
		const [u, s] = await payer(prices.each, 'enterprise');
		await change(u, prices.month);
		assert.equal(await stack.one(`SELECT count(*) FROM billing_customers c JOIN subscriptions s ON s.customer_id = c.id WHERE c.user_id = '${u.id}' AND c.look_at > s.pending_at`), '0');
		stripe.renew(s.id); // and not a word
		await stack.rows(`UPDATE billing_customers SET look_at = now() WHERE user_id = '${u.id}'`);
		await shop.hasPlan(u, 'pro');
	});

	test('customers of an app that has no account at Stripe keep nobody waiting', async () => {
		const [u] = await payer(prices.each, 'enterprise');
		await stack.rows(`INSERT INTO billing_customers (id, app_id, user_id, stripe_customer_id, look_at)
			SELECT gen_random_uuid(), a.id, NULL, 'cus_waits_' || n || '_${u.id}', '-infinity' FROM apps a, generate_series(1, 40) n WHERE a.slug = 'flowscope'`);
		try {
			const synced = () => stack.one(`SELECT synced_at FROM billing_customers WHERE user_id = '${u.id}'`);
			const was = await synced();
			await stack.rows(`UPDATE billing_customers SET look_at = now() WHERE user_id = '${u.id}'`);
			await until('it was looked at', async () => (await synced()) !== was, { within: 40_000 });
		} finally {
			await stack.rows(`DELETE FROM billing_customers WHERE stripe_customer_id LIKE 'cus_waits_%_${u.id}'`);
		}
	});

	test('what comes while a look is under way is looked at after it', async () => {
		const [u, s] = await payer(prices.each, 'enterprise');
		await change(u, prices.month);
		await shop.applied();
		// The first has what was, and another is asked for before it is stored.
		stripe.fail(/GET \/v1\/subscriptions$/, async () => {
			stripe.renew(s.id);
			await reconcile(u);
		});
		await shop.sendAll([stripe.event('customer.subscription.updated', s)]);
		await shop.hasPlan(u, 'pro');
	});

	test('a schedule that the vendor made is shown, and left alone', async () => {
		const [u, s] = await payer(prices.each, 'enterprise');
		const { data: [{ current_period_start: from, current_period_end: to }] } = s.items;
		const o = stripe.schedule(s.id, [{ start_date: from, end_date: to, items: [{ price: prices.each, quantity: 1 }] }, { iterations: 1, items: [{ price: prices.team, quantity: 1 }] }]);
		await shop.sendAll([stripe.event('subscription_schedule.updated', o)]);
		await until('it is shown', async () => pending(await seen(u))[0] === 'TEAM');
		await reconcile(u);
		await shop.sendAll(stripe.renew(s.id));
		await shop.hasPlan(u, 'team');
		await shop.applied();
		assert.equal(s.schedule, o.id, 'it is not ours to take away');
	});
});
