// F11, F12, F13: transactions that fail, are cut off from their answer, or are left behind.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

import { fault, kinds, median, ms, refused, slack, times } from '../lib/fault.mjs';
import { ok, problem } from '../lib/setup.mjs';
import { inParallel, until } from '../lib/wait.mjs';

const ATTEMPTS = 4; // the first and three more

/** A trigger on saves of the graphs of one workspace; gone with the fault. */
async function trigger(b, workspace, body) {
	b.defer(() => b.copy.sql(`DROP TRIGGER IF EXISTS fault ON documents; DROP FUNCTION IF EXISTS fault(); DROP SEQUENCE IF EXISTS fault_calls`));
	await b.copy.sql(`CREATE SEQUENCE fault_calls; GRANT USAGE ON SEQUENCE fault_calls TO quoin;
		CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('fault_calls'); ${body} RETURN NEW; END $$;
		CREATE TRIGGER fault BEFORE UPDATE ON documents FOR EACH ROW WHEN (NEW.workspace_id = '${workspace}') EXECUTE FUNCTION fault()`);
}

/** Deadlocks are looked for at once, until the fault is over. */
async function impatience({ copy, defer }) {
	const patience = async (change) => {
		await copy.sql(`ALTER SYSTEM ${change}`); // in no transaction
		await copy.sql('SELECT pg_reload_conf()');
	};
	defer(() => patience('RESET deadlock_timeout'));
	await patience('SET deadlock_timeout = 10');
}

const deadlocks = ({ copy }) => copy.value(`SELECT pg_stat_clear_snapshot()::text || deadlocks FROM pg_stat_database WHERE datname = 'quoin'`).then(Number);

fault('F11', 'deadlocks, serialization failures and a hot row: retried three times at most, never applied twice', async (b) => {
	const { copy, t, users } = b;
	const owner = users[0];
	const ws = await t.workspace(owner);
	const hot = [];
	for (let i = 0; i < 3; i++)
		hot.push(await t.graph(owner, { workspace: ws }));
	await impatience(b);
	// Every save takes two locks, one way round or the other, and one in twenty fails as a serialization would.
	await trigger(b, ws.id, `
		IF random() < 0.05 THEN RAISE EXCEPTION 'made to fail' USING ERRCODE = '40001'; END IF;
		IF random() < 0.5 THEN PERFORM pg_advisory_xact_lock(1); PERFORM pg_sleep(0.003); PERFORM pg_advisory_xact_lock(2);
		ELSE PERFORM pg_advisory_xact_lock(2); PERFORM pg_sleep(0.003); PERFORM pg_advisory_xact_lock(1); END IF;`);
	const [dead, retries] = [await deadlocks(b), await copy.metric('quoin_transaction_retries_total')];

	// Saves without a base (the last one wins) and restores with a key: each is one version, or none.
	const n = times(240, 4000);
	const sent = new Map(); // what was acknowledged: data or key
	const other = [];
	await inParallel(Array.from({ length: n }, (_, i) => i), 16, async (i) => {
		const g = hot[i % hot.length];
		if (i % 4 === 0) {
			const headers = { 'idempotency-key': randomUUID() };
			let r;
			for (let k = 0; k < 50 && r?.status !== 200; k++)
				r = await owner.as.request('POST', `${g.path}/restore/1`, { headers });
			const again = await owner.as.request('POST', `${g.path}/restore/1`, { headers });
			assert.equal(again.text, r.text);
			sent.set(headers['idempotency-key'], { graph: g.id, version: ok(r).new_version });
			return;
		}
		const u = randomUUID();
		const r = await owner.as.put(g.path, { data: { u } });
		if (r.status === 200)
			sent.set(u, { graph: g.id, version: r.json.graph.version });
		else
			other.push({ status: r.status, code: r.code, retryAfter: r.headers['retry-after'] });
	});
	assert.ok(other.every((x) => refused(x) && x.code === 'contention'), kinds(other));
	const rows = await copy.sql(`SELECT document_id, version, data->>'u' FROM document_versions WHERE document_id IN (${hot.map((g) => `'${g.id}'`).join()}) AND version > 1`);
	assert.equal(rows.length, sent.size, 'as many versions as acknowledged writes');
	const at = new Map([...sent].map(([k, x]) => [`${x.graph} ${x.version}`, k]));
	assert.equal(at.size, sent.size, 'two writes were told the same version');
	for (const [id, version, u] of rows) {
		const k = at.get(`${id} ${version}`);
		assert.ok(k !== undefined && (u === undefined || u === k), `v${version} of ${id} is not what was acknowledged for it`);
	}
	const seen = { deadlocks: (await deadlocks(b)) - dead, retries: (await copy.metric('quoin_transaction_retries_total')) - retries };
	assert.ok(seen.deadlocks > 0 && seen.retries > 0, `nothing collided: ${JSON.stringify(seen)}`);

	// One that fails every time is given up after the fourth.
	await copy.sql(`DROP TRIGGER fault ON documents; DROP FUNCTION fault(); DROP SEQUENCE fault_calls`);
	await trigger(b, ws.id, `RAISE EXCEPTION 'made to fail' USING ERRCODE = '40001';`);
	const before = await copy.value(`SELECT count(*) FROM document_versions WHERE document_id = '${hot[0].id}'`);
	for (const headers of [{}, { 'idempotency-key': randomUUID() }]) {
		await copy.sql(`ALTER SEQUENCE fault_calls RESTART`);
		const r = headers['idempotency-key'] ? await owner.as.request('POST', `${hot[0].path}/restore/1`, { headers }) : await owner.as.put(hot[0].path, { data: { never: 1 } });
		problem(r, 'contention');
		assert.ok(Number(r.headers['retry-after']) >= 1);
		assert.equal(await copy.value(`SELECT last_value FROM fault_calls`), String(ATTEMPTS));
	}
	assert.equal(await copy.value(`SELECT count(*) FROM document_versions WHERE document_id = '${hot[0].id}'`), before);
	await copy.sql(`DROP TRIGGER fault ON documents`);

	// A row that somebody holds for long: refused in time, by all who want it, and the rest is served.
	const lock = b.session();
	await lock.run(`BEGIN; SELECT 1 FROM documents WHERE id = '${hot[0].id}' FOR UPDATE`);
	const began = Date.now();
	const waiting = await inParallel([1, 2, 3], 3, (k) => owner.as.put(hot[0].path, { data: { k } }));
	const slowest = Date.now() - began;
	await lock.run('ROLLBACK');
	for (const r of waiting)
		problem(r, 'contention', 'try-later'); // lock_timeout, or statement_timeout for one behind another
	assert.ok(slowest <= 5000 + slack(), `refused after ${slowest} ms`);
	assert.equal(await copy.value(`SELECT count(*) FROM document_versions WHERE document_id = '${hot[0].id}'`), before);
	return { writes: n, acknowledged: sent.size, refused: other.length, ...seen, 'a row held for long: refused after': ms(slowest) };
});

fault('F11', 'deadlocks and serialization failures of events and of seats: tried again, never applied twice', async (b, ledger, t, callers, trade) => {
	const { copy } = b;
	await impatience(b);
	// Each takes two locks, one way round or the other, and one in ten fails as a serialization would.
	const tables = { billing_events: 'INSERT', subscriptions: 'INSERT OR UPDATE', license_devices: 'INSERT' };
	b.defer(async () => {
		for (const x of Object.keys(tables))
			await copy.sql(`DROP TRIGGER IF EXISTS fault ON ${x}`);
		await copy.sql('DROP FUNCTION IF EXISTS fault_trade()');
	});
	await copy.sql(`CREATE FUNCTION fault_trade() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF random() < 0.1 THEN RAISE EXCEPTION 'made to fail' USING ERRCODE = '40001'; END IF;
			IF random() < 0.5 THEN PERFORM pg_advisory_xact_lock(3); PERFORM pg_sleep(0.003); PERFORM pg_advisory_xact_lock(4);
			ELSE PERFORM pg_advisory_xact_lock(4); PERFORM pg_sleep(0.003); PERFORM pg_advisory_xact_lock(3); END IF;
			RETURN NEW; END $$`);
	for (const [x, on] of Object.entries(tables)) // one table at a time: those at work would meet who holds several
		await copy.sql(`CREATE TRIGGER fault BEFORE ${on} ON ${x} FOR EACH ROW EXECUTE FUNCTION fault_trade()`);
	const [dead, retries] = [await deadlocks(b), await copy.metric('quoin_transaction_retries_total')];
	const [lives, machines] = [times(15, 150), times(120, 2000)];
	await until('Stripe has told enough, and enough machines came', () => trade.lived.length > lives && trade.machines.length > machines, { within: 300_000 });
	await trade.stop();
	const seen = { deadlocks: (await deadlocks(b)) - dead, retries: (await copy.metric('quoin_transaction_retries_total')) - retries };
	assert.ok(seen.deadlocks > 0 && seen.retries > 0, `nothing collided: ${JSON.stringify(seen)}`);
	return seen;
}, { trade: { lives: times(40, 400), rate: 40 } });

fault('F12', 'connection cut before, at and after COMMIT: the outcome is learnt by the key', async (b, ledger) => {
	const wire = await b.wire();
	const n = times(120, 1000);
	const cuts = { drop: 0, cut: 0, race: 0 };
	const total = () => cuts.drop + cuts.cut + cuts.race;
	const words = Object.keys(cuts);
	const at = Date.now();
	wire.rule = ({ texts }) => {
		if (total() >= n)
			return 'pass';
		const last = texts.at(-1);
		const write = last === 'COMMIT' || /^(WITH|INSERT|DELETE|SELECT outcome)/.test(last);
		if (Math.random() > (last === 'COMMIT' ? 0.4 : write ? 0.2 : 0.03))
			return 'pass';
		const word = words[Math.floor(Math.random() * words.length)];
		cuts[word]++;
		return word;
	};
	await until(`${n} cuts`, () => total() >= n, { within: 120_000, every: 20 });
	wire.rule = undefined;
	const { bad } = ledger.since(at);
	assert.ok(bad.length > 0, 'nobody noticed');
	assert.ok(bad.every(refused), `not every failure was a 503 with Retry-After: ${kinds(bad.filter((x) => !refused(x)))}`);
	const uncertain = bad.filter((x) => x.code === 'uncertain').length;
	assert.ok(uncertain > 0, 'no outcome was ever uncertain');
	assert.ok(bad.every((x) => x.method !== 'GET' || x.code === 'try-later'), 'a read has no uncertain outcome');

	// One by one, each way: what the key then says is what the table holds.
	const { copy, t, users } = b;
	const ws = await t.workspace(users[0]);
	const outcomes = [];
	for (const word of [...words, ...words]) {
		const name = `cut ${randomUUID()}`;
		const headers = { 'idempotency-key': randomUUID() };
		let armed = true;
		wire.rule = ({ texts, bytes }, link) => {
			if (bytes.some((x) => x.includes(name)))
				link.named = name;
			if (!armed || link.named !== name || texts[0] !== 'COMMIT')
				return 'pass';
			armed = false;
			return word;
		};
		const first = await users[0].as.post('/api/v1/graphs', { workspace_id: ws.id, name, data: { word } }, { headers });
		problem(first, 'uncertain');
		wire.rule = undefined;
		const second = await until('the key is free', async () => {
			const r = await users[0].as.post('/api/v1/graphs', { workspace_id: ws.id, name, data: { word } }, { headers });
			return r.code === 'request-in-progress' ? undefined : r;
		});
		const committed = second.headers['idempotent-replayed'] === 'true';
		assert.deepEqual(await copy.sql(`SELECT id FROM documents WHERE name = '${name}'`), [[ok(second).graph.id]]);
		assert.ok(word === 'race' || committed === (word === 'cut'), `${word}: ${committed}`);
		outcomes.push(`${word} ${committed ? 'was' : 'was not'} committed`);
	}
	return { cuts: JSON.stringify(cuts), 'failed requests': `${bad.length} (${uncertain} uncertain)`, 'by key': outcomes.join(', ') };
});

fault('F12', 'connection cut before, at and after the COMMIT of an event and of a seat: each is there once', async (b, ledger, t, callers, trade) => {
	const { copy } = b;
	const wire = await b.wire();
	const rounds = times(2, 20);
	const cuts = {};
	const cut = (place, word, mark, isHere) => {
		cuts[place] = (cuts[place] ?? 0) + 1;
		return wire.once(mark, isHere, word);
	};
	const takes = (texts) => texts.some((x) => x.includes('billing_event_take('));
	const commits = (texts) => texts.includes('COMMIT');
	const seats = (texts) => texts.some((x) => x.includes('license_seat('));
	for (const [i, word] of Array(rounds).fill(['drop', 'cut', 'race']).flat().entries()) {
		const u = trade.next();
		const [first, ...rest] = trade.lives.of(u);
		const event = first();
		const asked = trade.refused;
		let done = cut('taking an event', word, event.id, takes);
		await trade.send(event); // until it is taken
		await done;
		assert.ok(trade.refused > asked, `${word}: Stripe was told that all is well`);
		await trade.shop.applied(60_000);
		const ours = await copy.value(`SELECT id FROM billing_customers WHERE user_id = '${u.id}'`);
		for (const [k, step] of rest.entries()) {
			if (k === i % rest.length)
				done = cut('applying an event', word, ours, commits);
			await trade.send(step());
			await done;
			wire.rule = undefined;
			await trade.shop.applied(60_000);
		}
		const m = trade.machines.length;
		const met = trade.unanswered;
		const machine = trade.machine(trade.licences[0], true);
		done = cut('a seat', word, trade.machines[m].id, seats);
		await machine;
		await done;
		assert.equal(trade.machines[m].outcome, 'VALID');
		assert.ok(trade.unanswered > met, `${word}: a machine was told that it is let in`);
		wire.rule = undefined;
	}
	return { cuts: JSON.stringify(cuts) };
}, { trade: { lives: times(6, 60), loops: false } });

fault('F13', 'a request that fails in its transaction leaves a clean session', async (b) => {
	const { copy, t, users } = b;
	const [ann, bob] = users;
	const ws = await t.workspace(ann);
	const graph = await t.graph(ann, { workspace: ws });
	ok(await ann.as.put(graph.path, { data: { n: 2 } }));
	b.defer(() => copy.sql('DROP TABLE IF EXISTS fault_mode'));
	await copy.sql(`CREATE TABLE fault_mode AS SELECT 'none' AS word; GRANT SELECT ON fault_mode TO quoin`);
	await trigger(b, ws.id, `
		CASE (SELECT word FROM fault_mode) WHEN 'error' THEN RAISE EXCEPTION 'made to fail' USING ERRCODE = 'P0001';
		WHEN 'refused' THEN RAISE EXCEPTION 'made to fail' USING ERRCODE = '23514';
		WHEN 'killed' THEN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1);
		ELSE NULL; END CASE;`);
	const expected = { error: ['internal'], refused: ['invalid-body'], killed: ['try-later', 'uncertain'], missing: ['workspace-not-found'], held: ['request-in-progress'] };
	// Between two statements of a request that is under way a session looks the same, for as long as its worker has no turn: that
	// passes. One that was forgotten stays for eight seconds.
	const open_ = async () => new Set((await copy.sql(`SELECT pid, xact_start FROM pg_stat_activity WHERE usename = 'quoin' AND state LIKE 'idle in transaction%'`)).map((x) => x.join()));
	const noneForgotten = async (what) => {
		const then = await open_();
		await until(what, async () => {
			const now = await open_();
			return ![...then].some((x) => now.has(x));
		}, { within: 4000, every: 10 });
	};
	const backends = () => copy.sql(`SELECT pid FROM pg_stat_activity WHERE usename = 'quoin' AND application_name = 'quoin' ORDER BY 1`);
	const restore = (headers = { 'idempotency-key': randomUUID() }) => ann.as.request('POST', `${graph.path}/restore/1`, { headers });
	const n = times(15, 150);
	const worker = copy.wanted('api');
	const codes = {};
	const mine = await t.graph(bob, { name: 'of somebody else' });
	for (let i = 0; i < n; i++) {
		const kind = Object.keys(expected)[i % 5];
		const here = await backends();
		const replies = [];
		if (kind === 'missing') { // after BEGIN, by the handler
			replies.push(await ann.as.post('/api/v1/graphs', { workspace_id: randomUUID(), name: 'x', data: {} }, { headers: { 'idempotency-key': randomUUID() } }));
		} else if (kind === 'held') { // after BEGIN, before the handler
			const headers = { 'idempotency-key': randomUUID() };
			const lock = b.session();
			await lock.run(`BEGIN; SELECT 1 FROM documents WHERE id = '${graph.id}' FOR UPDATE`);
			const first = restore(headers);
			await until('the first waits', async () => (await copy.value(`SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'quoin'`)) !== '0', { every: 5 });
			replies.push(await restore(headers));
			await lock.end();
			ok(await first);
		} else { // by Postgres: of a statement by itself, and in the middle of a transaction
			await copy.sql(`UPDATE fault_mode SET word = '${kind}'`);
			replies.push(await ann.as.put(graph.path, { data: { i } }), await restore());
			await copy.sql(`UPDATE fault_mode SET word = 'none'`);
		}
		for (const r of replies) {
			problem(r, ...expected[kind]);
			codes[`${kind}: ${r.code}`] = (codes[`${kind}: ${r.code}`] ?? 0) + 1;
		}
		await noneForgotten(`${kind} left no transaction open`);
		// The next ones on every worker see nothing of it, and what they do is kept.
		const next = Array.from({ length: 3 * worker }, () => randomUUID());
		await inParallel(next, worker, async (u) => {
			ok(await bob.as.put(mine.path, { data: { u } }));
			ok(await bob.as.get(mine.path));
		});
		const kept = new Set((await copy.sql(`SELECT data->>'u' FROM document_versions WHERE document_id = '${mine.id}'`)).map(([u]) => u));
		assert.ok(next.every((u) => kept.has(u)), `after ${kind}: an acknowledged save is gone`);
		if (kind !== 'killed')
			assert.deepEqual(await backends(), here, `${kind} cost a connection`);
	}
	return { failures: n, answers: JSON.stringify(codes), 'transactions left open': 0 };
});
