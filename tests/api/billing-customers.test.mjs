// A customer whose making Stripe never answered is found again, also when it has forgotten our key (CONTRACT C12, D25;
// SECURITY T39, F28).
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { problem } from '../lib/setup.mjs';
import { Shop } from '../lib/shop.mjs';
import { Stack } from '../lib/stack.mjs';

const stack = Stack.attach();
let shop, stripe, prices;

before(async () => {
	shop = await Shop.open(stack, 'coditect');
	({ stripe, prices } = shop);
});
after(() => shop?.close());

const at = '/api/v1/billing';

describe('a customer whose making had no answer', () => {
	const made = (u) => [...stripe.customers.values()].filter((c) => c.metadata.user_id === u.id).map((c) => c.id);
	const lose = async (u) => {
		stripe.fail(/POST \/v1\/customers$/, 'cut-after', Infinity);
		problem(await u.as.post(`${at}/create-checkout-session`, { price_id: prices.month }), 'payment-provider-down');
		stripe.failures.length = 0;
		assert.equal(made(u).length, 1);
	};
	const aDayLater = async (u) => {
		stripe.forget();
		await stack.rows(`UPDATE billing_customers SET making_at = making_at - interval '25 hours' WHERE user_id = '${u.id}'`);
	};
	const searches = () => stripe.asked(/customers\/search$/).length;

	test('is the same for who asks again within a day, by the key', async () => {
		const u = await shop.buyer();
		await lose(u);
		const was = searches();
		await shop.checkout(u);
		assert.deepEqual(made(u), [await shop.customer(u)]);
		assert.equal(searches(), was, 'nothing had to be looked for');
	});

	test('and later, when Stripe has forgotten its keys: it is looked for and taken', async () => {
		const u = await shop.buyer();
		await lose(u);
		await aDayLater(u);
		stripe.index();
		const url = await shop.checkout(u);
		assert.deepEqual(made(u), [await shop.customer(u)]);
		assert.equal(stripe.session(url).customer, made(u)[0]);
		assert.equal(stripe.customers.get(made(u)[0]).email, u.email, 'and described');
		assert.equal(stripe.asked(/customers\/search$/).at(-1).params.query, `metadata['user_id']:'${u.id}' AND metadata['app_id']:'${await stack.one("SELECT id FROM apps WHERE slug = 'coditect'")}'`);
	});

	test('an organization’s likewise; of two the first', async () => {
		const u = await shop.buyer('owner');
		const org = await shop.team(u);
		const app = await stack.one("SELECT id FROM apps WHERE slug = 'coditect'");
		const [one, two] = [stripe.join(), stripe.join()].map((c) => stripe.customers.get(c));
		for (const c of [one, two])
			c.metadata = { organization_id: org.id, app_id: app };
		two.created = one.created - 100;
		stripe.index();
		await stack.rows(`INSERT INTO billing_customers (id, app_id, organization_id, making_at) VALUES ('${randomUUID()}', '${app}', '${org.id}', now() - interval '2 days')`);
		await shop.checkout(u, prices.team, { at: org.billing });
		assert.equal(await shop.customer(org, 'organization_id'), two.id);
	});

	test('is made when there is none: of nobody else’s is one taken, nor where search is refused', async () => {
		for (const refused of [false, true]) {
			const u = await shop.buyer();
			stripe.fail(/POST \/v1\/customers$/, 'cut', Infinity);
			problem(await u.as.post(`${at}/create-checkout-session`, { price_id: prices.month }), 'payment-provider-down');
			stripe.failures.length = 0;
			await aDayLater(u);
			if (refused)
				stripe.fail(/customers\/search$/, 400);
			await shop.checkout(u);
			assert.deepEqual(made(u), [await shop.customer(u)]);
		}
	});

	test('while search cannot be reached nothing is made', async () => {
		const u = await shop.buyer();
		await lose(u);
		await aDayLater(u);
		stripe.fail(/customers\/search$/, 500, Infinity);
		problem(await u.as.post(`${at}/create-checkout-session`, { price_id: prices.month }), 'payment-provider-down');
		stripe.failures.length = 0;
		assert.equal(made(u).length, 1);
	});
});
