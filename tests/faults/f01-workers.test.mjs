// F01, F02, F03: workers killed, with and without a request or a transaction in hand.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

import { POOLS, signal } from '../lib/copy.mjs';
import { fault, kinds, median, ms, slack, times } from '../lib/fault.mjs';
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
		let link; // of the worker that has our request, once it is held where we want it
		const held = new Promise((resolve) => {
			wire.onHeld = resolve;
			wire.rule = ({ texts, bytes }, l) => {
				if (bytes.some((x) => x.includes(name)))
					l.named = name;
				if (l.named !== name || link || !isHere(texts))
					return 'pass';
				link = l;
				if (committed)
					return 'hold';
				resolve();
				return new Promise(() => {}); // never heard
			};
		});
		const sent = Date.now();
		const body = { workspace_id: ws.id, name, data: { i } };
		const key = { headers: { 'idempotency-key': randomUUID() } };
		const answer = users[0].as.post('/api/v1/graphs', body, key).catch((e) => e);
		await held;
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
