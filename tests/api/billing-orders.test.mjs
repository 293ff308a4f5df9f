// Order and repetition do not matter (SECURITY T23): all 120 orders of the five events of a subscription's life, each event
// sent once or more, many at a time, while workers of jobs are killed: one end, one effect, one mail each. And how fast
// events are taken.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Copy, signal } from '../lib/copy.mjs';
import { Lives, random, withRepetition } from '../lib/lives.mjs';
import { ok } from '../lib/setup.mjs';
import { Shop } from '../lib/shop.mjs';
import { Stack } from '../lib/stack.mjs';
import { inParallel, until } from '../lib/wait.mjs';

const stack = Stack.attach();
let shop, stripe, lives;

before(async () => {
	shop = await Shop.open(stack, 'cue');
	({ stripe } = shop);
	lives = new Lives(shop);
});
after(() => shop?.close());

const permutations = (list) => (list.length < 2 ? [list] : list.flatMap((x, i) => permutations([...list.slice(0, i), ...list.slice(i + 1)]).map((rest) => [x, ...rest])));

const KILLS = 12;

/** Kills workers of jobs that have a job in hand, now and then, while `work(killed)` goes on, which may ask how many. A job that was lost so comes again after its lease, a minute. */
async function whileKilling(work) {
	const copy = new Copy(stack);
	const applied = async () => Number(await stack.one('SELECT count(*) FROM billing_events WHERE applied_at IS NOT NULL'));
	let over = false, kills = 0;
	const done = work(() => kills).finally(() => {
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
		const users = await lives.people(120);
		const live = async (u, order) => {
			const events = lives.of(u).map((step) => step());
			await shop.sendAll(withRepetition(order.map((k) => events[k])));
		};
		const kills = await whileKilling(async (killed) => {
			await inParallel(users, 4, (u, i) => live(u, orders[i]));
			// Who sends faster than one can kill goes on: there have to be jobs, besides those that wait for their lease, as long as some are to be lost.
			await until('three were killed', async () => {
				if (killed() >= 3)
					return true;
				if (Number(await stack.one('SELECT count(*) FROM billing_events WHERE applied_at IS NULL')) > 2 * KILLS)
					return false;
				const more = await lives.people(12);
				users.push(...more);
				await inParallel(more, 4, (u) => live(u, orders[random(orders.length)]));
			}, { within: 60_000 });
		});
		assert.ok(kills >= 3, `${kills} were killed`);
		await lives.sameEnd(users);
	});

	test('of a life that goes on meanwhile: each step is followed by events in their order', async () => {
		const users = await lives.people(120);
		await inParallel(users, 8, async (u, i) => {
			const steps = lives.of(u);
			const events = [];
			for (let k = 0; k < steps.length; k++) {
				events[k] = steps[k]();
				// whatever of the order could have been sent by now, and something again
				for (const j of orders[i].filter((x) => x <= k && (random(2) || k === 4)))
					ok(await shop.send(events[j]));
			}
			await shop.sendAll(withRepetition(orders[i].map((k) => events[k])));
		});
		await lives.sameEnd(users);
	});

	test('of one event sent by all, at once, over four addresses: one job, one effect', async () => {
		const [u] = await lives.people(1);
		const events = lives.of(u).map((step) => step());
		await Promise.all(events.flatMap((e) => ['/api/v1/billing/webhook', '/api/webhooks/stripe', '/api/v1/webhooks/stripe', '/api/v1/billing/webhooks/stripe'].flatMap((path) => Array.from({ length: 3 }, async () => ok(await shop.send(e, { path }))))));
		await lives.sameEnd([u]);
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
