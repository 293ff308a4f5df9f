// Order and repetition do not matter (SECURITY T23): all 120 orders of the five events of a subscription's life, each event
// sent once or more, many at a time, while workers of jobs are killed: one end, one effect, one mail each. And how fast
// events are taken.
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { Copy, signal } from '../lib/copy.mjs';
import { ok } from '../lib/setup.mjs';
import { Shop } from '../lib/shop.mjs';
import { Stack } from '../lib/stack.mjs';
import { inParallel, until } from '../lib/wait.mjs';

const stack = Stack.attach();
let shop, stripe;

before(async () => {
	shop = await Shop.open(stack, 'cue');
	({ stripe } = shop);
});
after(() => shop?.close());

const permutations = (list) => (list.length < 2 ? [list] : list.flatMap((x, i) => permutations([...list.slice(0, i), ...list.slice(i + 1)]).map((rest) => [x, ...rest])));

/** Users whom Stripe knows. */
async function people(n) {
	const made = Array.from({ length: n }, () => {
		const customer = stripe.join();
		return { id: randomUUID(), customer, email: `life.${randomBytes(6).toString('hex')}@example.com` };
	});
	const app = "(SELECT id FROM apps WHERE slug = 'cue')";
	await stack.rows(`INSERT INTO users (id, app_id, email, email_verified) VALUES ${made.map((u) => `('${u.id}', ${app}, '${u.email}', true)`)};
		INSERT INTO billing_customers (id, app_id, user_id, stripe_customer_id) VALUES ${made.map((u) => `('${randomUUID()}', ${app}, '${u.id}', '${u.customer}')`)}`);
	return made;
}

/** The five events, as five steps that happen at Stripe. */
function life(u) {
	const url = stripe.open(u.customer, shop.prices.month);
	const steps = [
		() => {
			const [done, created, paid] = stripe.complete(url);
			u.later = [created, paid];
			return done;
		},
		() => u.later[0],
		() => u.later[1],
		() => stripe.set(stripe.session(url).subscription, { cancel_at_period_end: true })[0],
		() => stripe.end(stripe.session(url).subscription)[0],
	];
	return steps;
}

const random = (n) => Math.floor(Math.random() * n);

/** Each at least once, some again, the first times in this order. */
function withRepetition(events) {
	const all = [...events];
	for (let i = random(4); i > 0; i--)
		all.splice(random(all.length + 1), 0, events[random(events.length)]);
	return all;
}

/** What is left of each life, to the row. */
async function sameEnd(users) {
	const list = users.map((u) => `'${u.id}'`);
	await shop.applied(120_000);
	const ends = await stack.rows(`SELECT u.plan, s.status, s.cancel_at_period_end, s.plan,
			(SELECT count(*) FROM grants g WHERE g.user_id = u.id), (SELECT string_agg(i.status || i.amount_cents, ',') FROM invoices i WHERE i.customer_id = c.id),
			(SELECT string_agg(p.amount || coalesce(p.plan, '-'), ',') FROM payments p WHERE p.customer_id = c.id),
			(SELECT string_agg(m.template, ',' ORDER BY m.template) FROM mails m WHERE m.user_id = u.id),
			(SELECT string_agg(n.kind, ',' ORDER BY n.kind) FROM billing_notices n WHERE n.customer_id = c.id),
			(SELECT string_agg(e.type, ',' ORDER BY e.type) FROM events e WHERE e.user_id = u.id AND e.type IN ('subscription.created', 'subscription.deleted', 'invoice.paid', 'invoice.payment_failed')),
			(SELECT count(*) FROM audit_logs a WHERE a.user_id = u.id AND a.action IN ('billing.subscription.created', 'billing.subscription.deleted', 'billing.invoice.paid')), count(*)
		FROM users u JOIN billing_customers c ON c.user_id = u.id LEFT JOIN subscriptions s ON s.customer_id = c.id WHERE u.id IN (${list}) GROUP BY u.id, c.id, s.id`);
	assert.equal(ends.length, users.length, 'each has one subscription');
	const once = ['free', 'canceled', 't', 'pro', '0', 'paid2000', '2000-', 'receipt,subscription-ended', 'receipt,subscription-ended', 'invoice.paid,subscription.created,subscription.deleted', '3', '1'];
	for (const e of ends)
		assert.deepEqual(e, once);
	await until('all mail is out', async () => (await stack.one(`SELECT count(*) FROM mails WHERE user_id IN (${list}) AND state <> 'sent'`)) === '0', { within: 60_000 });
	const mails = users.map((u) => shop.mailbox.to(u.email).map((m) => m.subject).sort().join());
	assert.deepEqual([...new Set(mails)], ['Cue: your payment of 20.00 USD,Cue: your subscription has ended']);
}

const KILLS = 12;

/** Kills workers of jobs that have a job in hand, now and then, while `work` goes on. A job that was lost so comes again after its lease, a minute. */
async function whileKilling(work) {
	const copy = new Copy(stack);
	const applied = async () => Number(await stack.one('SELECT count(*) FROM billing_events WHERE applied_at IS NOT NULL'));
	let over = false, kills = 0;
	const done = work().finally(() => {
		over = true;
	});
	for (let last = await applied(); !over && kills < KILLS; last = await applied()) {
		const busy = await until('a worker has a job in hand', () => over || copy.board('jobs').find((w) => w.stage === 'handle')?.pid, { within: 60_000, every: 1 });
		if (busy !== true && signal(busy, 'SIGKILL'))
			kills++;
		await until('others go on', async () => over || (await applied()) > last + 8, { within: 60_000 });
	}
	await done;
	return kills;
}

describe('all 120 orders of five events', () => {
	const orders = permutations([0, 1, 2, 3, 4]);
	assert.equal(orders.length, 120);

	test('of a life that is over, in parallel, while workers are killed', async () => {
		const users = await people(120);
		const kills = await whileKilling(async () => {
			await inParallel(users, 4, async (u, i) => {
				const events = life(u).map((step) => step());
				await shop.sendAll(withRepetition(orders[i].map((k) => events[k])));
			});
		});
		assert.ok(kills >= 3, `${kills} were killed`);
		await sameEnd(users);
	});

	test('of a life that goes on meanwhile: each step is followed by events in their order', async () => {
		const users = await people(120);
		await inParallel(users, 8, async (u, i) => {
			const steps = life(u);
			const events = [];
			for (let k = 0; k < steps.length; k++) {
				events[k] = steps[k]();
				// whatever of the order could have been sent by now, and something again
				for (const j of orders[i].filter((x) => x <= k && (random(2) || k === 4)))
					ok(await shop.send(events[j]));
			}
			await shop.sendAll(withRepetition(orders[i].map((k) => events[k])));
		});
		await sameEnd(users);
	});

	test('of one event sent by all, at once, over four addresses: one job, one effect', async () => {
		const [u] = await people(1);
		const events = life(u).map((step) => step());
		await Promise.all(events.flatMap((e) => ['/api/v1/billing/webhook', '/api/webhooks/stripe', '/api/v1/webhooks/stripe', '/api/v1/billing/webhooks/stripe'].flatMap((path) => Array.from({ length: 3 }, async () => ok(await shop.send(e, { path }))))));
		await sameEnd([u]);
	});
});

describe('intake', () => {
	test('three thousand events that come at once are all kept', async (t) => {
		const n = 3000;
		const made = Array.from({ length: n }, () => {
			const payload = JSON.stringify(stripe.event('product.updated', { id: 'prod_1', object: 'product' }));
			return [payload, stripe.sign(payload)];
		});
		const began = Date.now();
		await inParallel(made, 32, async ([payload, header]) => assert.equal((await shop.stripe.send(shop.http, null, { payload, header, record: false })).status, 200));
		t.diagnostic(`${Math.round((1000 * n) / (Date.now() - began))} a second; the bench holds them to 500`);
		assert.equal(await stack.one(`SELECT count(*) FROM billing_events WHERE id IN (${made.map(([p]) => `'${JSON.parse(p).id}'`)})`), String(n));
	});
});
