// F01, F02, F03: workers killed, with and without a request or a transaction in hand.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

import { POOLS, signal } from '../lib/copy.mjs';
import { fault, kinds, median, ms, slack, times } from '../lib/fault.mjs';
import { ask } from '../lib/licences.mjs';
import { ok } from '../lib/setup.mjs';
import { until } from '../lib/wait.mjs';

fault('F01', 'kill -9 of one worker: at most one request each, another within 200 ms', async ({ copy }, ledger) => {
	const n = times(30, 300);
	const took = [], kills = [];
	const began = Date.now();
	for (let i = 0; i < n; i++) {
		let victim; // two of three times one with a request in hand
		const all = copy.workers();
		if (i % 3)
			victim = await until('a worker is busy', () => copy.board().find((w) => w.stage === 'handle')?.pid, { every: 0 });
		else
			victim = all[Math.floor(Math.random() * all.length)];
		const at = Date.now();
		signal(victim, 'SIGKILL');
		kills.push({ at, failed: [] });
		await until('another worker serves', () => {
			const now = copy.workers();
			return now.length === all.length && !now.includes(victim);
		}, { every: 2 });
		took.push(Date.now() - at);
		await ledger.during(30);
		await until('what it failed has been told', () => Date.now() - at >= 250);
	}
	const failed = ledger.since(began).bad;
	for (const x of failed) // a client hears of it at once: it was the last kill before
		kills.findLast((k) => k.at <= x.at + x.ms).failed.push(x);
	for (const k of kills)
		assert.ok(k.failed.length <= 1, `one kill failed ${k.failed.length} requests: ${kinds(k.failed)}`);
	assert.ok(failed.every((x) => x.status === 502), kinds(failed));
	assert.ok(failed.length > 0, 'no kill ever met a request in hand');
	assert.ok(Math.max(...took) <= 200 + slack(), `another worker after ${took.map(ms)}`);
	return { kills: n, 'failed requests': failed.length, 'another worker after': `${ms(median(took))}, at most ${ms(Math.max(...took))}` };
}, { rate: 30 });

fault('F02', 'kill -9 of a worker inside a transaction: whole or not at all, locks free within 1 s', async (b) => {
	const { copy, t, users } = b;
	const wire = await b.wire();
	const ws = await t.workspace(users[0]);
	const n = times(12, 60);
	const freed = [];
	const points = {
		'after its first effect': (texts) => texts.some((x) => x.startsWith('INSERT INTO idempotency_keys')),
		'before COMMIT': (texts) => texts.includes('COMMIT'),
		'after COMMIT': (texts) => texts.includes('COMMIT'),
	};
	for (let i = 0; i < n; i++) {
		const [when, isHere] = Object.entries(points)[i % 3];
		const committed = when === 'after COMMIT';
		const name = `in hand ${i} ${randomUUID()}`;
		const held = wire.once(name, isHere, committed ? 'hold' : 'keep');
		const sent = Date.now();
		const body = { workspace_id: ws.id, name, data: { i } };
		const key = { headers: { 'idempotency-key': randomUUID() } };
		const answer = users[0].as.post('/api/v1/graphs', body, key).catch((e) => e);
		const link = await held;
		// Of all who are at work the one that does not come to its end; who began before we asked is another. Where others are slow,
		// too, it is the one who is left.
		const victim = await until('the worker that waits', () => {
			const slow = copy.board().filter((w) => w.stage === 'handle' && w.since > 0.15 && w.since * 1000 < Date.now() - sent + 5);
			return slow.length === 1 && slow[0].pid;
		}, { every: 2 });
		const at = Date.now();
		signal(victim, 'SIGKILL');
		await until('its locks are free', async () => (await copy.value(`SELECT count(*) FROM pg_locks WHERE pid = ${link.backend}`)) === '0', { every: 5 });
		freed.push(Date.now() - at);
		const first = await answer;
		assert.equal(first.status, 502, `killed ${when}: ${first}`);
		const count = () => copy.value(`SELECT count(*) FROM documents WHERE name = '${name}'`);
		assert.equal(await count(), committed ? '1' : '0', `killed ${when}`);
		const again = await users[0].as.post('/api/v1/graphs', body, key);
		ok(again);
		assert.equal(again.headers['idempotent-replayed'], committed ? 'true' : undefined, when);
		assert.equal(await count(), '1');
	}
	wire.rule = undefined;
	assert.ok(Math.max(...freed) <= 1000 + slack(), `locks were free after ${freed.map(ms)}`);
	return { kills: n, 'locks free after': `${ms(median(freed))}, at most ${ms(Math.max(...freed))}` };
});

fault('F02', 'kill -9 of a worker at the COMMIT of what Stripe told, and at the seat of a machine: whole or not at all', async (b, ledger, t, callers, trade) => {
	const { copy } = b;
	const wire = await b.wire();
	const n = times(8, 40);
	const freed = [];
	const busy = (pool, since) => until('the worker that waits', () => {
		const slow = copy.board(pool).filter((w) => w.stage === 'handle' && w.since > 0.15 && w.since < since());
		return slow.length === 1 && slow[0].pid;
	}, { every: 2 });
	/** Kills who is held there, whose locks must go; until it is known to be gone nothing else is held. */
	const kill = async (pool, link, since) => {
		const victim = await busy(pool, since);
		const at = Date.now();
		signal(victim, 'SIGKILL');
		await until('its locks are free', async () => (await copy.value(`SELECT count(*) FROM pg_locks WHERE pid = ${link.backend}`)) === '0', { every: 5 });
		freed.push(Date.now() - at);
		await until('another serves', () => copy.workers(pool).length === copy.wanted(pool) && !copy.workers(pool).includes(victim));
	};
	const counts = { event: 0, machine: 0 };
	for (let i = 0; i < n; i++) {
		const committed = i % 2 === 1;
		const how = committed ? 'hold' : 'keep';
		const began = Date.now();
		const since = () => (Date.now() - began + 5) / 1000;
		if (i % 4 < 2) {
			counts.event++;
			const u = trade.next();
			const [first, ...rest] = trade.lives.of(u);
			const ours = await copy.value(`SELECT id FROM billing_customers WHERE user_id = '${u.id}'`);
			const held = wire.once(ours, (texts) => texts.includes('COMMIT'), how);
			await trade.send(first());
			await kill('jobs', await held, since);
			const there = committed ? '1' : '0';
			assert.deepEqual((await copy.sql(`SELECT (SELECT count(*) FROM subscriptions WHERE customer_id = '${ours}'), (SELECT count(*) FROM mails WHERE user_id = '${u.id}'), (SELECT count(*) FROM billing_notices WHERE customer_id = '${ours}'),
				(SELECT count(*) FROM billing_events WHERE customer = '${u.customer}' AND applied_at IS NOT NULL)`))[0], [there, there, there, there], `killed ${how}`);
			wire.rule = undefined;
			await copy.sql("UPDATE jobs SET run_at = now() WHERE kind = 'billing.event'"); // in place of the minute of its lease
			for (const step of rest)
				await trade.send(step());
			await trade.shop.applied(60_000);
		} else {
			counts.machine++;
			const licence = trade.licences[0];
			const m = { licence, id: `machine-${randomUUID()}`, outcome: 'VALID' };
			trade.machines.push(m);
			const held = wire.once(m.id, (texts) => texts.some((x) => x.includes('license_seat(')), how);
			const answer = ask(trade.office.http, licence, m.id).catch((e) => e);
			await kill('api', await held, since);
			assert.equal((await answer).status, 502, `killed ${how}`);
			const seats = () => copy.value(`SELECT count(*) FROM license_devices WHERE machine_id = '${m.id}'`);
			assert.equal(await seats(), committed ? '1' : '0', `killed ${how}`);
			wire.rule = undefined;
			assert.equal(ok(await ask(trade.office.http, licence, m.id)).code, 'VALID');
			assert.equal(await seats(), '1');
		}
	}
	assert.ok(Math.max(...freed) <= 1000 + slack(), `locks were free after ${freed.map(ms)}`);
	return { kills: `${counts.event} at an event, ${counts.machine} at a seat`, 'locks free after': `${ms(median(freed))}, at most ${ms(Math.max(...freed))}` };
}, { trade: { lives: times(4, 20), loops: false } });

fault('F03', 'kill -9 of all workers of all pools: service within 2 s', async (b, ledger) => {
	const { copy, http, t, users } = b;
	const n = times(5, 20);
	const took = [];
	let failed = 0;
	const graph = await t.graph(users[0]);
	const lock = b.session();
	for (let i = 0; i < n; i++) {
		// Something is in hand: saves that wait for a row.
		await lock.run(`BEGIN; SELECT 1 FROM documents WHERE id = '${graph.id}' FOR UPDATE`);
		const saves = Array.from({ length: 2 }, (_, k) => users[0].as.put(graph.path, { data: { i, k } }).catch((e) => e));
		await until('two workers wait', () => copy.board().filter((w) => w.stage === 'handle' && w.since > 0.02).length >= 2, { every: 2 });
		const all = POOLS.flatMap((p) => copy.children(copy.pid(p)));
		const at = Date.now();
		for (const pid of all)
			signal(pid, 'SIGKILL');
		await until('service', async () => (await http.get('/health', { timeout: 1000 })).status === 200, { every: 5 });
		const served = Date.now() - at;
		await lock.run('ROLLBACK');
		for (const s of await Promise.all(saves))
			assert.equal(s.status, 502, String(s));
		await ledger.during(60);
		const { failedUntil, failed: lost, bad } = ledger.since(at - 100);
		assert.ok(bad.every((x) => x.status === 502), kinds(bad));
		took.push(Math.max(served, failedUntil - 100));
		failed += lost;
		await until('all workers serve', () => POOLS.every((p) => copy.workers(p).length === copy.wanted(p)), { within: 15_000 });
		// Postgres did not hear that they were gone: what it had begun it may have finished.
		const read = ok(await users[0].as.get(graph.path)).graph;
		assert.equal(await copy.value(`SELECT count(*) FROM document_versions WHERE document_id = '${graph.id}'`), String(read.version));
	}
	assert.ok(Math.max(...took) <= 2000 + slack(), `service after ${took.map(ms)}`);
	return { kills: n, 'failed requests': failed, 'service after': `${ms(median(took))}, at most ${ms(Math.max(...took))}` };
});
