// Our Stripe and our requests held against the official package: its client gets on with the first, its types accept the
// second: those of the release that has the version that we pin, and those of the newest.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import Stripe from 'stripe';
import Pinned from 'stripe-basil';
import ts from 'typescript';

import { ok } from '../lib/setup.mjs';
import { Shop } from '../lib/shop.mjs';
import { Stack } from '../lib/stack.mjs';
import { VERSION } from '../lib/stripe.mjs';

const pinnedVersion = new Pinned('sk_test_x').getApiField('version');
const stack = Stack.attach();
let shop, stripe, sdk;

before(async () => {
	shop = await Shop.open(stack, 'cue', { account: { promotion_codes: true } });
	({ stripe } = shop);
	sdk = new Stripe(stripe.key, { host: '127.0.0.1', port: stripe.port, protocol: 'http', apiVersion: VERSION, maxNetworkRetries: 0, telemetry: false });
});
after(() => shop?.close());

const refused = (call, type = 'StripeInvalidRequestError', status = 400) => assert.rejects(call, (e) => e.type === type && e.statusCode === status);

describe('the official client', () => {
	test('buys, lists, changes and ends', async () => {
		const customer = await sdk.customers.create({ email: 'sdk@example.com', metadata: { user_id: 'x' } });
		assert.equal((await sdk.customers.update(customer.id, { name: 'Sdk' })).name, 'Sdk');
		const session = await sdk.checkout.sessions.create({ mode: 'subscription', customer: customer.id, line_items: [{ price: shop.prices.month, quantity: 2 }], success_url: 'https://example.com/{CHECKOUT_SESSION_ID}' });
		assert.equal(session.object, 'checkout.session');
		stripe.complete(session.url);
		const [listed] = (await sdk.checkout.sessions.list({ customer: customer.id, expand: ['data.line_items'] })).data;
		assert.equal(listed.line_items.data[0].quantity, 2);
		const [s] = (await sdk.subscriptions.list({ customer: customer.id, status: 'all' })).data;
		assert.equal(s.items.data[0].quantity, 2);
		const [invoice] = (await sdk.invoices.list({ customer: customer.id, expand: ['data.payments'] })).data;
		assert.equal(invoice.parent.subscription_details.subscription, s.id);
		const [payment] = (await sdk.paymentIntents.list({ customer: customer.id, expand: ['data.latest_charge'] })).data;
		assert.deepEqual([payment.latest_charge.disputed, invoice.payments.data[0].payment.payment_intent], [false, payment.id]);
		stripe.dispute(payment.id);
		assert.equal((await sdk.disputes.list({ payment_intent: payment.id })).data[0].status, 'needs_response');
		const incomplete = await sdk.subscriptions.create({ customer: customer.id, items: [{ price: shop.prices.month }], payment_behavior: 'default_incomplete', expand: ['latest_invoice.confirmation_secret'] });
		const schedule = await sdk.subscriptionSchedules.create({ from_subscription: s.id });
		const [{ start_date, end_date }] = schedule.phases;
		const phases = [{ start_date, end_date, items: [{ price: shop.prices.month, quantity: 2 }] }, { items: [{ price: shop.prices.month, quantity: 1 }], iterations: 1, proration_behavior: 'none' }];
		assert.equal((await sdk.subscriptionSchedules.update(schedule.id, { phases, metadata: { by: 'sdk' } })).phases[1].start_date, end_date);
		assert.equal((await sdk.subscriptions.retrieve(s.id, { expand: ['schedule'] })).schedule.metadata.by, 'sdk');
		await refused(sdk.subscriptions.update(s.id, { cancel_at_period_end: true }));
		await refused(sdk.subscriptionSchedules.create({ from_subscription: s.id }));
		await refused(sdk.subscriptionSchedules.update(schedule.id, { phases: phases.slice(1) }));
		await refused(sdk.subscriptionSchedules.create({ from_subscription: incomplete.id, end_behavior: 'release' }));
		assert.equal((await sdk.subscriptionSchedules.release(schedule.id)).released_subscription, s.id);
		await refused(sdk.subscriptionSchedules.release(schedule.id));
		assert.equal((await sdk.subscriptionSchedules.retrieve(schedule.id)).status, 'released');
		const search = { query: "metadata['user_id']:'x'" };
		assert.deepEqual((await sdk.customers.search(search)).data, [], 'it is behind');
		stripe.index();
		assert.deepEqual((await sdk.customers.search(search)).data.map((c) => c.id), [customer.id]);
		assert.equal((await sdk.subscriptions.update(s.id, { cancel_at_period_end: true })).cancel_at_period_end, true);
		assert.match((await sdk.billingPortal.sessions.create({ customer: customer.id, return_url: 'https://example.com' })).url, /portal/);
		assert.match(incomplete.latest_invoice.confirmation_secret.client_secret, /_secret_/);
		assert.equal((await sdk.subscriptions.cancel(s.id)).status, 'canceled');
		assert.equal((await sdk.billing.meterEvents.create({ event_name: 'commands', payload: { stripe_customer_id: customer.id, value: '3' }, identifier: 'once' })).event_name, 'commands');
	});

	test('is refused where Stripe would refuse it', async () => {
		await refused(sdk.customers.create({ nonsense: 'x' }), 'StripeInvalidRequestError', 400);
		await refused(sdk.checkout.sessions.create({ mode: 'subscription', line_items: [{ price: 'price_none', quantity: 1 }], success_url: 'https://example.com' }), 'StripeInvalidRequestError', 400);
		await refused(sdk.subscriptions.retrieve('sub_none'), 'StripeInvalidRequestError', 404);
		await refused(sdk.customers.create({ name: 'a' }, { idempotencyKey: 'same' }).then(() => sdk.customers.create({ name: 'b' }, { idempotencyKey: 'same' })), 'StripeIdempotencyError', 400);
		const other = new Stripe('sk_test_other', { host: '127.0.0.1', port: stripe.port, protocol: 'http', apiVersion: VERSION, maxNetworkRetries: 0 });
		await refused(other.customers.create({}), 'StripeAuthenticationError', 401);
		const late = new Stripe(stripe.key, { host: '127.0.0.1', port: stripe.port, protocol: 'http', maxNetworkRetries: 0 });
		await refused(late.customers.create({}), 'StripeInvalidRequestError', 400);
		stripe.fail(/customers/, 429);
		await refused(sdk.customers.create({}), 'StripeRateLimitError', 429);
	});
});

describe('our requests', () => {
	/** The parameters of a call, by its address. */
	const types = [
		[/^POST \/v1\/customers$/, 'Stripe.CustomerCreateParams'], [/^POST \/v1\/customers\/\w+$/, 'Stripe.CustomerUpdateParams'],
		[/^GET \/v1\/customers\/search$/, 'Stripe.CustomerSearchParams'],
		[/^POST \/v1\/subscription_schedules$/, 'Stripe.SubscriptionScheduleCreateParams'], [/^POST \/v1\/subscription_schedules\/\w+$/, 'Stripe.SubscriptionScheduleUpdateParams'],
		[/^POST \/v1\/subscription_schedules\/\w+\/release$/, 'Stripe.SubscriptionScheduleReleaseParams'],
		[/^POST \/v1\/checkout\/sessions$/, 'Stripe.Checkout.SessionCreateParams'], [/^GET \/v1\/checkout\/sessions$/, 'Stripe.Checkout.SessionListParams'],
		[/^POST \/v1\/billing_portal\/sessions$/, 'Stripe.BillingPortal.SessionCreateParams'],
		[/^POST \/v1\/subscriptions$/, 'Stripe.SubscriptionCreateParams'], [/^GET \/v1\/subscriptions$/, 'Stripe.SubscriptionListParams'],
		[/^GET \/v1\/subscriptions\/\w+$/, 'Stripe.SubscriptionRetrieveParams'], [/^POST \/v1\/subscriptions\/\w+$/, 'Stripe.SubscriptionUpdateParams'],
		[/^DELETE \/v1\/subscriptions\/\w+$/, 'Stripe.SubscriptionCancelParams'],
		[/^GET \/v1\/invoices$/, 'Stripe.InvoiceListParams'], [/^GET \/v1\/payment_intents$/, 'Stripe.PaymentIntentListParams'], [/^GET \/v1\/disputes$/, 'Stripe.DisputeListParams'],
		[/^POST \/v1\/billing\/meter_events$/, 'Stripe.Billing.MeterEventCreateParams'],
	];
	const TEXTS = /^(metadata|payload)$/;

	/** A form has only text: numbers and truths are read back, but where any text may stand. */
	const typed = (x, name = '') => {
		if (typeof x === 'object')
			return Array.isArray(x) ? x.map((v) => typed(v)) : Object.fromEntries(Object.entries(x).map(([k, v]) => [k, TEXTS.test(k) ? v : typed(v, k)]));
		return /^\d+$/.test(x) ? Number(x) : x === 'true' || x === 'false' ? x === 'true' : x;
	};

	// Declares the module 'stripe', and comes before the one that is installed under that name.
	const PINNED = path.join(import.meta.dirname, '../node_modules/stripe-basil/types/index.d.ts');

	function faults(text, more = []) {
		const name = path.join(import.meta.dirname, '../requests.ts');
		const options = { noEmit: true, strict: true, skipLibCheck: true, target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext, types: [] };
		const host = ts.createCompilerHost(options);
		const { getSourceFile, fileExists, readFile } = host;
		host.getSourceFile = (f, ...more) => (f === name ? ts.createSourceFile(f, text, ts.ScriptTarget.ES2022) : getSourceFile.call(host, f, ...more));
		host.fileExists = (f) => f === name || fileExists.call(host, f);
		host.readFile = (f) => (f === name ? text : readFile.call(host, f));
		return ts.getPreEmitDiagnostics(ts.createProgram([name, ...more], options, host)).map((d) => ts.flattenDiagnosticMessageText(d.messageText, '\n'));
	}

	const program = (list) => `import Stripe from 'stripe';\n${list.map(([type, params], i) => `export const r${i}: ${type} = ${JSON.stringify(params)};`).join('\n')}\n`;

	test('are all accepted by its types', async () => {
		stripe.requests.length = 0;
		const u = await shop.buyer();
		await stack.rows(`INSERT INTO billing_customers (id, app_id, user_id, making_at) SELECT gen_random_uuid(), app_id, id, now() - interval '2 days' FROM users WHERE id = '${u.id}'`);
		const org = await shop.team(u);
		const bought = await shop.subscribed(u, shop.prices.team, { at: org.billing, org, seats: 7 });
		bought.discounts = [{ discount: 'di_1' }];
		for (const seats of [9, 5, 10])
			ok(await u.as.post(`${org.billing}/seats`, { seats }));
		ok(await u.as.post(`${org.billing}/portal`));
		ok(await u.as.post(`${org.billing}/cancel-subscription`, {}));
		ok(await u.as.post(`${org.billing}/cancel-subscription`, { at_period_end: false }));
		ok(await u.as.post('/api/payments/create-checkout-session', {}));
		const started = ok(await u.as.post('/api/payments/create-subscription', { price_id: shop.prices.month }));
		ok(await shop.send(stripe.event('customer.subscription.created', stripe.subscriptions.get(started.subscription_id))));
		await shop.applied();
		ok(await u.as.post('/api/payments/create-subscription', { price_id: shop.prices.month }));
		const [p] = stripe.paymentsOf(await shop.customer(org, 'organization_id'));
		ok(await shop.send(stripe.dispute(p.id)[0]));
		await shop.applied();
		const v = await shop.buyer();
		const s = await shop.subscribed(v);
		s.items.data[0].price.recurring.usage_type = 'metered';
		await shop.apply(stripe.account({ meters: { commands: 'commands' } }));
		await shop.sendAll(stripe.set(s.id, {}));
		await shop.applied();
		await stack.rows(`SELECT meter_take(app_id, id, NULL, 'commands', 3) FROM users WHERE id = '${v.id}'`);
		await stack.rows(`UPDATE usage_meters SET period_start = current_date WHERE user_id = '${v.id}'`);
		await shop.report();
		const asked = stripe.requests.map((r) => {
			const type = types.find(([at]) => at.test(`${r.method} ${r.path}`));
			assert.ok(type, `${r.method} ${r.path} has no type here`);
			return [type[1], typed(r.params)];
		});
		assert.deepEqual(types.filter(([, t]) => !asked.some(([a]) => a === t)).map(([, t]) => t), [], 'every kind of request was made');
		assert.equal(pinnedVersion, VERSION);
		// Two that are wrong are with them: what is found is these, or nothing was looked at.
		const wrong = [['Stripe.CustomerCreateParams', { email: 1 }], ['Stripe.Checkout.SessionCreateParams', { mode: 'payment', nonsense: 1 }]];
		const found = (list, more) => faults(program([...list, ...wrong]), more).map((f) => f.split('\n')[0]);
		const both = [/^Type 'number' is not assignable to type 'string'/, /^Object literal may only specify known properties, and '"nonsense"'/];
		const matches = (list) => list.length === 2 && both.every((b, i) => b.test(list[i]));
		const basil = found(asked, [PINNED]);
		assert.ok(matches(basil), basil.join('; '));
		// The newest have two names less: they are called otherwise there.
		const newest = found(asked.map(([type, { payment_method_types: methods, phases, ...params }]) => {
			assert.deepEqual(methods ?? ['card'], ['card']);
			const anew = phases?.map(({ iterations: n, ...phase }) => (n ? { ...phase, duration: { interval: 'month', interval_count: n } } : phase));
			return [type, { ...params, ...(methods && { allowed_payment_method_types: methods }), ...(anew && { phases: anew }) }];
		}));
		assert.ok(matches(newest), newest.join('; '));
	});
});
