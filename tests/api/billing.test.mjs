// Billing by Stripe (CONTRACT A22-A27, B18-B22, C11-C19, D25-D36, E35-E40, K1, K2, K12, K18, S; SECURITY T23, T39, F28).
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { admitted, ok, problem } from '../lib/setup.mjs';
import { Shop } from '../lib/shop.mjs';
import { Stack } from '../lib/stack.mjs';
import { until } from '../lib/wait.mjs';

const HOOKS = ['/api/v1/billing/webhook', '/api/v1/webhooks/stripe', '/api/webhooks/stripe', '/api/v1/billing/webhooks/stripe'];

const stack = Stack.attach();
let shop, stripe, http;

before(async () => {
	shop = await Shop.open(stack, 'cue', { account: { success_path: '/payment/success?session_id={CHECKOUT_SESSION_ID}', cancel_path: '/payment/cancel' } });
	({ stripe, http } = shop);
});
after(() => shop?.close());

describe('webhooks', () => {
	const event = (more = {}) => ({ id: `evt_${randomUUID()}`, object: 'event', created: Math.floor(Date.now() / 1000), type: 'product.updated', data: { object: { id: 'prod_1', object: 'product' } }, ...more });

	test('the four paths are one: signed by the official SDK, taken once, answered as A, C and D want it', async () => {
		for (const path of HOOKS) {
			const e = event();
			for (let i = 0; i < 3; i++)
				assert.deepEqual(ok(await shop.send(e, { path })), { success: true, status: 'success' });
			assert.equal(await stack.one(`SELECT count(*) FROM billing_events WHERE id = '${e.id}'`), '1');
		}
		const e = event();
		await Promise.all(HOOKS.flatMap((path) => Array.from({ length: 5 }, async () => ok(await shop.send(e, { path })))));
		assert.equal(await stack.one(`SELECT count(*) FROM billing_events WHERE id = '${e.id}'`), '1');
		assert.equal(await stack.one(`SELECT outcome FROM billing_events WHERE id = '${e.id}'`), 'not handled');
	});

	test('forged, old, of another time, of another body, without any: refused, and nothing kept (T23)', async () => {
		const e = event();
		const payload = JSON.stringify(e);
		const s = Math.floor(Date.now() / 1000);
		const good = stripe.sign(payload);
		const [, stamp, mac] = /t=(\d+),v1=([0-9a-f]+)/.exec(good);
		const headers = {
			none: null, empty: '', rubbish: 'x', 'no time': `v1=${mac}`, 'no signature': `t=${stamp}`, 'only v0': `t=${stamp},v0=${mac}`,
			'another secret': stripe.sign(payload, { secret: 'whsec_another' }), 'another body': stripe.sign(`${payload} `),
			'301 s old': stripe.sign(payload, { timestamp: s - 301 }), 'an hour early': stripe.sign(payload, { timestamp: s + 3600 }),
			'another time': `t=${s - 1},v1=${stripe.sign(payload, { timestamp: s - 2 }).split('v1=')[1]}`, 'a time that is none': `t=${stamp}x,v1=${mac}`, 'a negative time': `t=-${stamp},v1=${mac}`,
			'cut short': good.slice(0, -1), 'one more digit': `${good}0`, capitals: `t=${stamp},v1=${mac.toUpperCase()}`, 'far too long': `t=${stamp},${'v1=00,'.repeat(1000)}`,
		};
		for (const path of HOOKS)
			for (const [what, header] of Object.entries(headers)) {
				const r = await shop.send(e, { path, payload, header });
				assert.equal(problem(r, 'invalid-signature').detail, 'Invalid signature', `${path} ${what}`);
				assert.equal(r.status, 400);
			}
		assert.equal(await stack.one(`SELECT count(*) FROM billing_events WHERE id = '${e.id}'`), '0');
		// and what the SDK itself accepts: nearly 300 s old, and one good signature among others
		ok(await shop.send(e, { payload, header: stripe.sign(payload, { timestamp: Math.floor(Date.now() / 1000) - 290 }) }));
		const two = event();
		const text = JSON.stringify(two);
		ok(await shop.send(two, { payload: text, header: `${stripe.sign(text).replace(',v1=', `,v1=${'0'.repeat(64)},v1=`)},v0=x` }));
		assert.equal(stripe.sdk.webhooks.constructEvent(text, stripe.sign(text), stripe.secret).id, two.id, 'the oracle agrees');
	});

	test('signed, and yet no event: 400 Invalid payload', async () => {
		const bad = ['', '{', '[]', '"x"', 'null', '{}', JSON.stringify({ ...event(), id: 7 }), JSON.stringify({ ...event(), id: '' }), JSON.stringify({ ...event(), id: 'x'.repeat(256) }), JSON.stringify({ ...event(), created: '1' }), JSON.stringify({ ...event(), created: -1 }),
			JSON.stringify({ ...event(), data: {} }), JSON.stringify({ ...event(), data: { object: 'x' } }), JSON.stringify({ ...event(), type: undefined }), `${JSON.stringify(event()).slice(0, -1)},"id":"evt_2"}`, JSON.stringify({ ...event(), type: 'a\u0000b' })];
		for (const path of HOOKS)
			for (const payload of bad) {
				const r = await shop.send(null, { path, payload });
				assert.equal(problem(r, 'invalid-payload').detail, 'Invalid payload', payload);
				assert.equal(r.status, 400);
			}
		for (const path of HOOKS)
			problem(await shop.send(null, { path, payload: `{"x":"${'y'.repeat(300_000)}"}` }), 'body-too-large');
	});

	test('several secrets while one is changed for another', async () => {
		await shop.apply(stripe.account({ ...shop.account, webhook_secrets: `whsec_new, ${stripe.secret}` }));
		const sent = async (secret) => {
			const payload = JSON.stringify(event());
			return shop.send(null, { payload, header: stripe.sign(payload, { secret }) });
		};
		ok(await sent('whsec_new'));
		ok(await sent(stripe.secret));
		await shop.apply(stripe.account({ ...shop.account, webhook_secrets: 'whsec_new' }));
		problem(await sent(stripe.secret), 'invalid-signature');
		await shop.apply(stripe.account(shop.account));
		problem(await sent('whsec_new'), 'invalid-signature');
	});

	test('an event of another app’s customer, or of nobody we know, is kept and does nothing', async () => {
		const other = await Shop.open(stack, 'coditect');
		try {
			const victim = await shop.buyer('victim');
			const s = await shop.subscribed(victim);
			await shop.hasPlan(victim, 'pro');
			// the other app's Stripe says that this app's subscription is over, and the customer another's
			const lie = other.stripe.event('customer.subscription.deleted', { ...s, status: 'canceled' });
			ok(await other.send(lie));
			const stranger = stripe.event('customer.subscription.updated', { ...s, id: 'sub_none', customer: 'cus_none', metadata: { user_id: victim.id } });
			ok(await shop.send(stranger));
			await Promise.all([shop.applied(), other.applied()]);
			for (const e of [lie, stranger])
				assert.equal(await stack.one(`SELECT outcome FROM billing_events WHERE id = '${e.id}'`), 'unknown customer');
			assert.equal(await shop.plan(victim), 'pro');
		} finally {
			await other.close();
		}
	});

	test('what an event says of itself is not believed: Stripe is asked', async () => {
		const u = await shop.buyer('liar');
		const url = await shop.checkout(u);
		const customer = await shop.customer(u);
		ok(await shop.send(stripe.event('checkout.session.completed', { id: stripe.session(url).id, object: 'checkout.session', customer, mode: 'payment', payment_status: 'paid', metadata: { plan: 'enterprise' } })));
		ok(await shop.send(stripe.event('customer.subscription.created', { id: 'sub_made_up', object: 'subscription', customer, status: 'active', items: { data: [{ price: { id: shop.prices.each } }] } })));
		await shop.applied();
		assert.equal(await shop.plan(u), 'free');
	});
});

describe('a checkout', () => {
	test('of a subscription: customer reused, server-side price, what Stripe is told, then the plan (A22, A24, B18, E35, E36)', async () => {
		const u = await shop.buyer();
		const url = await shop.checkout(u);
		const session = stripe.session(url);
		assert.equal(url, session.url);
		const [asked] = stripe.asked(/POST .*sessions/).slice(-1);
		const front = stack.appFile('cue').frontend_url.replace(/.*:-(.*)}/, '$1');
		assert.deepEqual({ ...asked.params, customer: undefined }, {
			mode: 'subscription', customer: undefined, client_reference_id: u.id, payment_method_types: ['card'], line_items: [{ price: shop.prices.month, quantity: '1' }],
			success_url: `${front}/payment/success?session_id={CHECKOUT_SESSION_ID}`, cancel_url: `${front}/payment/cancel`, metadata: { user_id: u.id, userId: u.id, quoin: asked.key }, subscription_data: { metadata: { user_id: u.id, userId: u.id, quoin: 'checkout' } },
		});
		const customer = stripe.customers.get(session.customer);
		assert.deepEqual({ email: customer.email, user: customer.metadata.user_id }, { email: u.email, user: u.id });
		await shop.checkout(u, shop.prices.year);
		assert.equal(session.status, 'expired', 'what can be paid is the last page alone');
		assert.equal(stripe.asked(/POST \/v1\/customers$/).filter((r) => r.params.metadata.user_id === u.id).length, 1, 'the customer is made once');
		assert.equal(await shop.plan(u), 'free');
		await shop.sendAll(stripe.complete(await shop.checkout(u)));
		await shop.hasPlan(u, 'pro');
		assert.deepEqual(await shop.told(u), ['subscription.created', 'invoice.paid', 'entitlement.changed']);
		assert.deepEqual(await shop.mails(u), ['Cue: your payment of 20.00 USD']);
		const { subscription } = ok(await u.as.get('/api/v1/billing/subscription'));
		const s = stripe.subscriptionsOf(session.customer)[0];
		assert.deepEqual({ ...subscription, subscription_id: undefined, created_at: undefined, updated_at: undefined, current_period_start: undefined }, {
			tier: 'Pro Plan', subscription_id: undefined, user_id: u.id, organization_id: null, stripe_customer_id: session.customer, stripe_subscription_id: s.id, status: 'active', price_id: shop.prices.month,
			quantity: 1, seats: null, current_period_start: undefined, current_period_end: new Date(s.items.data[0].current_period_end * 1000).toISOString().replace('.000', ''), cancel_at_period_end: false, cancel_at: null, trial_end: null, pending_tier: null, pending_price_id: null, pending_seats: null, pending_at: null, created_at: undefined, updated_at: undefined,
		});
		const { invoices } = ok(await u.as.get('/api/v1/billing/invoices'));
		assert.deepEqual(invoices.map((i) => [i.stripe_invoice_id, i.amount_cents, i.currency, i.status, i.subscription_id]), [[s.latest_invoice, 2000, 'usd', 'paid', subscription.subscription_id]]);
		assert.deepEqual((await stack.rows(`SELECT action FROM audit_logs WHERE user_id = '${u.id}' AND action LIKE 'billing.%' ORDER BY seq`)).flat(), ['billing.subscription.created', 'billing.invoice.paid']);
		problem(await u.as.post('/api/v1/billing/create-checkout-session', { price_id: shop.prices.year }), 'already-subscribed');
	});

	test('prices by name (A27), as a query parameter, and none that the app does not sell (E40)', async () => {
		const u = await shop.buyer();
		const asked = async (name) => stripe.session(await shop.checkout(u, name)).line_items.data[0].price.id;
		assert.equal(await asked('pro_monthly'), shop.prices.month);
		assert.equal(await asked('pro_yearly'), shop.prices.year);
		const { checkout_url } = ok(await u.as.request('POST', `/api/v1/billing/create-checkout-session?price_id=${shop.prices.year}`));
		assert.equal(stripe.session(checkout_url).line_items.data[0].price.id, shop.prices.year);
		const before = stripe.sessions.size;
		const foreign = stripe.price(1, 'month');
		for (const price_id of [foreign, 'price_none', 'pro_daily', 'free_monthly', 'x'.repeat(255)]) {
			const r = await u.as.post('/api/v1/billing/create-checkout-session', { price_id });
			assert.equal(r.status, 400);
			problem(r, 'unknown-price');
		}
		problem(await u.as.post('/api/v1/billing/create-checkout-session', {}), 'invalid-body');
		problem(await u.as.post('/api/v1/billing/create-checkout-session', { price_id: shop.prices.month, amount: 1 }), 'invalid-body');
		assert.equal(stripe.sessions.size, before);
	});

	test('many at once are one customer; one Idempotency-Key is one session (T39)', async () => {
		const u = await shop.buyer();
		const all = await Promise.all(Array.from({ length: 12 }, () => shop.checkout(u)));
		assert.equal(new Set(all.map((x) => stripe.session(x).customer)).size, 1);
		assert.equal([...stripe.customers.values()].filter((c) => c.metadata.user_id === u.id).length, 1);
		assert.equal(await stack.one(`SELECT count(*) FROM billing_customers WHERE user_id = '${u.id}'`), '1');
		assert.equal(new Set(all).size, 12);
		const once = { headers: { 'idempotency-key': randomUUID() } };
		const again = await Promise.all(Array.from({ length: 6 }, async () => ok(await admitted(() => u.as.post('/api/v1/billing/create-checkout-session', { price_id: 'pro_monthly' }, once))).checkout_url));
		assert.equal(new Set(again).size, 1);
		problem(await u.as.post('/api/v1/billing/create-checkout-session', { price_id: 'pro_yearly' }, once), 'idempotency-key-reused');
		const other = await shop.buyer();
		assert.notEqual(ok(await other.as.post('/api/v1/billing/create-checkout-session', { price_id: 'pro_monthly' }, once)).checkout_url, again[0], 'a key is its user’s');
		problem(await u.as.post('/api/v1/billing/create-checkout-session', { price_id: 'pro_monthly' }, { headers: { 'idempotency-key': 'a b' } }), 'bad-request');
	});

	test('healed without any webhook, as is an end that nobody told of', async () => {
		const u = await shop.buyer();
		stripe.complete(await shop.checkout(u));
		assert.equal(await shop.plan(u), 'free');
		assert.match(await stack.ctl('billing', 'reconcile', '--app', 'cue', u.email), /^1 to be looked at/);
		await shop.hasPlan(u, 'pro');
		const [s] = stripe.subscriptionsOf(await shop.customer(u));
		stripe.end(s.id);
		await stack.ctl('billing', 'reconcile', '--app', 'cue', u.email);
		await shop.hasPlan(u, 'free');
		assert.equal(await stack.ctl('billing', 'reconcile', '--app', 'cue'), `${await stack.one("SELECT count(*) FROM billing_customers c JOIN apps a ON a.id = c.app_id WHERE a.slug = 'cue' AND c.stripe_customer_id IS NOT NULL")} to be looked at\n`);
		assert.deepEqual(await shop.mails(u), ['Cue: your payment of 20.00 USD', 'Cue: your subscription has ended']);
		const shown = await stack.ctl('billing', 'show', '--app', 'cue', u.email);
		assert.match(shown, new RegExp(`customer     ${s.customer}\nsubscription ${s.id}\nplan         pro\nstatus       canceled`));
		assert.match(shown, /invoice      in_\S+ \S+ 2000 usd paid/);
	});
});

describe('Cue’s way (C11-C14)', () => {
	const P = '/api/payments';

	test('once: the price is the app’s, whatever the client says; paid, it is there for good (C11, C16)', async () => {
		const u = await shop.buyer();
		const once = async (body) => stripe.session(ok(await u.as.post(`${P}/create-checkout-session`, body)).checkout_url);
		const s = await once({});
		assert.deepEqual([s.mode, s.line_items.data[0].price.id], ['payment', shop.prices.once]);
		assert.equal((await once({ product_name: 'Cue Pro Plan', amount: 2000 })).line_items.data[0].price.id, shop.prices.once);
		assert.equal((await once({ productName: 'x', amount: 9900 })).line_items.data[0].price.id, shop.prices.forever);
		for (const amount of [1, 1999, 0, 2001])
			problem(await u.as.post(`${P}/create-checkout-session`, { amount }), 'unknown-price');
		problem(await u.as.post(`${P}/create-checkout-session`, { amount: -1 }), 'invalid-body');
		await shop.sendAll(stripe.complete(s.url));
		await shop.hasPlan(u, 'pro');
		assert.deepEqual(ok(await u.as.get(`${P}/subscription-status`)), { has_subscription: false, status: 'none' });
		assert.deepEqual(await shop.mails(u), ['Cue: your payment of 20.00 USD']);
		assert.deepEqual(await shop.told(u), ['payment.succeeded', 'entitlement.changed']);
	});

	test('a Payment Element: one subscription for however many asks, then its payment (C12, C17)', async () => {
		const u = await shop.buyer();
		const asks = await Promise.all(Array.from({ length: 5 }, async () => ok(await admitted(() => u.as.post(`${P}/create-subscription`, { price_id: shop.prices.month })))));
		assert.equal(new Set(asks.map((a) => JSON.stringify(a))).size, 1);
		const { subscription_id, client_secret } = asks[0];
		assert.deepEqual(Object.keys(asks[0]), ['subscription_id', 'client_secret']);
		assert.match(client_secret, /^pi_\w+_secret_/);
		assert.deepEqual(stripe.asked(/POST \/v1\/subscriptions$/).slice(-1)[0].params.expand, ['latest_invoice.confirmation_secret', 'pending_setup_intent']);
		await shop.send(stripe.event('customer.subscription.created', stripe.subscriptions.get(subscription_id)));
		await shop.applied();
		assert.equal(await shop.plan(u), 'free', 'nothing is paid yet');
		assert.deepEqual(ok(await u.as.post(`${P}/create-subscription`, { priceId: shop.prices.month })), asks[0], 'it is found again');
		await shop.sendAll(stripe.confirm(subscription_id));
		await shop.hasPlan(u, 'pro');
		const status = ok(await u.as.get(`${P}/subscription-status`));
		assert.deepEqual(status, { has_subscription: true, status: 'active', current_period_end: stripe.subscriptions.get(subscription_id).items.data[0].current_period_end, plan_name: 'Pro Plan' });
		problem(await u.as.post(`${P}/create-subscription`, { price_id: shop.prices.month }), 'already-subscribed');
		problem(await u.as.post(`${P}/create-subscription`, { price_id: shop.prices.once }), 'unknown-price');
	});

	test('cancelled with its period; the texts of having none (C13, C14, C18)', async () => {
		const u = await shop.buyer();
		assert.deepEqual(ok(await u.as.get(`${P}/subscription-status`)), { has_subscription: false, status: 'none' });
		assert.equal(problem(await u.as.post(`${P}/cancel-subscription`), 'subscription-not-found').detail, 'No subscription found');
		const s = await shop.subscribed(u);
		await shop.hasPlan(u, 'pro');
		assert.deepEqual(ok(await u.as.post(`${P}/cancel-subscription`)), { message: 'Subscription will cancel at period end' });
		assert.equal(stripe.subscriptions.get(s.id).cancel_at_period_end, true);
		assert.equal(ok(await u.as.get('/api/v1/billing/subscription')).subscription.cancel_at_period_end, true, 'seen at once');
		assert.equal(await shop.plan(u), 'pro');
		await shop.sendAll(stripe.end(s.id));
		await shop.hasPlan(u, 'free');
		assert.equal(problem(await u.as.post(`${P}/cancel-subscription`), 'subscription-over').detail, 'No active subscription found');
		assert.deepEqual(await shop.mails(u), ['Cue: your payment of 20.00 USD', 'Cue: your subscription has ended']);
	});
});
