// Stripe away, slow, at its limit, or answering into the void (SECURITY F28, T39); no account at all; each route's refusals.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { ok, problem } from '../lib/setup.mjs';
import { Shop } from '../lib/shop.mjs';
import { Stack } from '../lib/stack.mjs';

const stack = Stack.attach();
let shop, stripe, routes;

const at = '/api/v1/billing';

before(async () => {
	shop = await Shop.open(stack, 'cue');
	({ stripe } = shop);
	const u = await shop.buyer('subscriber');
	await shop.subscribed(u);
	const org = await shop.team(u);
	await shop.subscribed(u, shop.prices.team, { at: org.billing, org });
	const anew = async () => {
		const v = await shop.buyer('newcomer');
		return [v, await shop.team(v)];
	};
	const change = { price_id: shop.prices.year };
	// Every route that asks Stripe: whom it needs, and what it is told.
	routes = {
		'POST checkout': async () => (await anew())[0].as.post(`${at}/create-checkout-session`, change),
		'GET portal': () => u.as.get(`${at}/portal`),
		'POST change-plan': () => u.as.post(`${at}/change-plan`, change),
		'POST change-plan, later': () => u.as.post(`${at}/change-plan`, { price_id: shop.prices.month }),
		'POST cancel': () => u.as.post(`${at}/cancel-subscription`, {}),
		'POST resume': () => u.as.post(`${at}/resume-subscription`),
		'POST org checkout': async () => {
			const [v, o] = await anew();
			return v.as.post(`${o.billing}/create-checkout-session`, change);
		},
		'POST org portal': () => u.as.post(`${org.billing}/portal`),
		'POST org change-plan': () => u.as.post(`${org.billing}/change-plan`, { price_id: shop.prices.team, seats: 7 }),
		'POST org seats': () => u.as.post(`${org.billing}/seats`, { seats: 9 }),
		'POST org cancel': () => u.as.post(`${org.billing}/cancel-subscription`, {}),
		'POST org resume': () => u.as.post(`${org.billing}/resume-subscription`),
		'POST once': async () => (await anew())[0].as.post('/api/payments/create-checkout-session', {}),
		'POST subscribe': async () => (await anew())[0].as.post('/api/payments/create-subscription', change),
		'POST Cue cancel': () => u.as.post('/api/payments/cancel-subscription'),
	};
});
after(() => shop?.close());

describe('every route that asks Stripe', () => {
	test('works', async () => {
		for (const [name, call] of Object.entries(routes))
			assert.equal((await call()).status, 200, `${name}: ${await call()}`);
	});

	test('500, cut off, or a limit that lasts: 503, some tries, all with one key, and nothing is half done', async () => {
		for (const [name, call] of Object.entries(routes)) {
			for (const how of [500, 'cut']) {
				stripe.fail(/^(POST|GET) /, how, Infinity);
				const r = await call();
				stripe.failures.length = 0;
				assert.equal(r.status, 503, `${name} ${how}: ${r}`);
				assert.equal(problem(r, 'payment-provider-down').detail, 'The payment provider cannot be reached. Try again later.', name);
				assert.ok(r.headers['retry-after'], name);
			}
		}
	});

	test('a refusal is a 400 (A22), and is not tried again', async () => {
		for (const [name, call] of Object.entries(routes)) {
			stripe.fail(/ \/v1\//, 402, Infinity);
			const r = await call();
			stripe.failures.length = 0;
			assert.equal(r.status, 400, `${name}: ${r}`);
			problem(r, 'payment-refused');
		}
	});

	test('without an account, or with a key that Stripe does not know: 503 billing-not-configured', async () => {
		const e = stripe.event('product.updated', { id: 'prod_1', object: 'product' });
		for (const account of [undefined, stripe.account({ secret_key: 'sk_test_another' })]) {
			await shop.apply(account);
			for (const [name, call] of Object.entries(routes)) {
				const r = await call();
				assert.equal(r.status, 503, `${name}: ${r}`);
				assert.equal(problem(r, 'billing-not-configured').detail, 'Billing is not configured.', name);
			}
			for (const path of ['/api/v1/billing/webhook', '/api/v1/webhooks/stripe', '/api/webhooks/stripe', '/api/v1/billing/webhooks/stripe']) {
				const r = await shop.send(e, { path });
				assert.equal(r.status, account ? 200 : 503, `${path}: ${r}`);
			}
			// On day one there are no prices either: what is missing is the account.
			const nobody = await shop.buyer();
			for (const [path, body] of [['/api/v1/billing/create-checkout-session', { price_id: 'pro_daily' }], ['/api/payments/create-subscription', { price_id: 'pro_daily' }], ['/api/payments/create-checkout-session', { amount: 1 }]])
				problem(await nobody.as.post(path, body), account ? 'unknown-price' : 'billing-not-configured');
		}
		await shop.apply(stripe.account());
	});

	test('what each refuses of its own accord', async () => {
		const [v] = [await shop.buyer()];
		const org = await shop.team(v);
		const none = { price_id: 'price_none' };
		problem(await v.as.post(`${org.billing}/create-checkout-session`, none), 'unknown-price');
		for (const [path, body] of [['change-plan', none], ['seats', { seats: 3 }], ['cancel-subscription', {}], ['resume-subscription', undefined]])
			problem(await v.as.post(`${org.billing}/${path}`, body), 'subscription-not-found');
		problem(await v.as.post('/api/payments/create-subscription', none), 'unknown-price');
		const s = await shop.subscribed(v, shop.prices.team, { at: org.billing, org });
		problem(await v.as.post(`${org.billing}/change-plan`, none), 'unknown-price');
		s.items.data[0].price = stripe.prices.get(stripe.price(5, 'month'));
		ok(await v.as.post(`${org.billing}/resume-subscription`));
		problem(await v.as.post(`${org.billing}/seats`, { seats: 3 }), 'unknown-price');
		await shop.sendAll(stripe.end(s.id));
		await shop.hasPlan(org, 'free', 'organizations');
		for (const [path, body] of [['change-plan', { price_id: shop.prices.each }], ['seats', { seats: 3 }], ['cancel-subscription', {}], ['resume-subscription', undefined]])
			problem(await v.as.post(`${org.billing}/${path}`, body), 'subscription-over');
	});

	test('one Idempotency-Key stands for one request (T39)', async () => {
		const u = await shop.buyer();
		const org = await shop.team(u);
		await shop.subscribed(u);
		await shop.subscribed(u, shop.prices.team, { at: org.billing, org });
		const twice = [
			[`${at}/change-plan`, { price_id: shop.prices.year }, { price_id: shop.prices.each }], [`${at}/cancel-subscription`, {}], [`${at}/resume-subscription`],
			[`${org.billing}/cancel-subscription`, {}], [`${org.billing}/resume-subscription`], [`${org.billing}/portal`], ['/api/payments/cancel-subscription'],
			[`${org.billing}/change-plan`, { price_id: shop.prices.team, seats: 6 }, { price_id: shop.prices.team, seats: 7 }], [`${org.billing}/seats`, { seats: 8 }, { seats: 9 }],
			['/api/payments/create-checkout-session', { amount: 2000 }, { amount: 9900 }],
		];
		for (const [path, one, other] of twice) {
			const headers = { 'idempotency-key': randomUUID() };
			ok(await u.as.post(path, one, { headers }));
			ok(await u.as.post(path, one, { headers }));
			problem(await u.as.post(other ? path : `${path}?again`, other ?? one, { headers }), 'idempotency-key-reused');
		}
		const headers = { 'idempotency-key': randomUUID() };
		const v = await shop.buyer();
		const mine = await shop.team(v);
		ok(await v.as.post(`${mine.billing}/create-checkout-session`, { price_id: shop.prices.team }, { headers }));
		problem(await v.as.post(`${mine.billing}/create-checkout-session`, { price_id: shop.prices.each }, { headers }), 'idempotency-key-reused');
	});
});

describe('F28: an answer that never comes', () => {
	test('the effect is there, the answer lost: the next try finds it', async () => {
		const before = () => ({ customers: stripe.customers.size, sessions: stripe.sessions.size, subscriptions: stripe.subscriptions.size });
		for (const how of ['cut-after', 500, 429]) {
			const u = await shop.buyer();
			const was = before();
			stripe.fail(/POST \/v1\/customers$/, how, 2);
			stripe.fail(/POST .*sessions$/, how, 2);
			await shop.checkout(u);
			assert.deepEqual(before(), { customers: was.customers + 1, sessions: was.sessions + 1, subscriptions: was.subscriptions }, how);
			stripe.fail(/POST \/v1\/subscriptions$/, how, 3);
			ok(await u.as.post('/api/payments/create-subscription', { price_id: shop.prices.month }));
			assert.equal(stripe.subscriptions.size, was.subscriptions + 1, how);
		}
	});

	test('hanging after the effect, until our own patience ends: one subscription all the same', async () => {
		const u = await shop.buyer();
		await shop.checkout(u);
		stripe.fail(/POST \/v1\/subscriptions$/, 'hang-after', 1);
		const { subscription_id } = ok(await u.as.post('/api/payments/create-subscription', { price_id: shop.prices.month }));
		assert.deepEqual(stripe.subscriptionsOf(await shop.customer(u)).map((s) => s.id), [subscription_id]);
		assert.equal(new Set(stripe.asked(/POST \/v1\/subscriptions$/).filter((r) => r.params.customer && r.key).slice(-2).map((r) => r.key)).size, 1);
		for (const res of stripe.held)
			res.destroy();
	});

	test('the client gives up too, and comes again', async () => {
		const u = await shop.buyer();
		stripe.fail(/POST .*sessions$/, 'cut-after', Infinity);
		const headers = { 'idempotency-key': randomUUID() };
		const body = { price_id: shop.prices.month };
		const was = stripe.sessions.size;
		problem(await u.as.post(`${at}/create-checkout-session`, body, { headers }), 'payment-provider-down');
		stripe.failures.length = 0;
		const { checkout_url } = ok(await u.as.post(`${at}/create-checkout-session`, body, { headers }));
		assert.equal(stripe.sessions.size, was + 1);
		// paid at the page whose address was lost at first, and not a word from Stripe
		stripe.complete(checkout_url);
		await stack.ctl('billing', 'reconcile', '--app', 'cue', u.email);
		await shop.hasPlan(u, 'pro');
	});

	test('a limit: Stripe’s own word on when to come again', async () => {
		const u = await shop.buyer();
		stripe.fail(/POST .*sessions$/, 429, 1, { 'retry-after': '1' });
		const began = Date.now();
		await shop.checkout(u);
		assert.ok(Date.now() - began >= 1000);
		stripe.fail(/POST .*sessions$/, 429, 1, { 'stripe-should-retry': 'false' });
		problem(await u.as.post(`${at}/create-checkout-session`, { price_id: shop.prices.month }), 'payment-provider-down');
	});

	test('while events come in: they are kept, and applied once Stripe is back', async () => {
		const u = await shop.buyer();
		const events = stripe.complete(await shop.checkout(u));
		stripe.fail(/GET /, 500, 9);
		await shop.sendAll(events);
		await shop.hasPlan(u, 'pro');
		await shop.applied();
		assert.deepEqual(await shop.mails(u), ['Cue: your payment of 20.00 USD']);
	});

	test('a change whose look afterwards fails is done, and is seen when its event comes', async () => {
		const u = await shop.buyer();
		const s = await shop.subscribed(u);
		stripe.fail(/GET \/v1\/invoices/, 402, 1);
		ok(await u.as.post(`${at}/cancel-subscription`, {}));
		await shop.sendAll(stripe.set(s.id, {}));
		await shop.applied();
		assert.equal(ok(await u.as.get(`${at}/subscription`)).subscription.cancel_at_period_end, true);
	});
});
