// F14, F15, F16: memcached gone, emptied, frozen, full. It holds copies and decides nothing.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

import { alive, signal } from '../lib/copy.mjs';
import { fault, kinds, median, ms, slack, times } from '../lib/fault.mjs';
import { problem } from '../lib/setup.mjs';
import { inParallel, until } from '../lib/wait.mjs';

const cacheIs = (http, state) => async () => {
	const r = await http.get('/health', { record: false });
	return r.status === 200 && r.json.cache === state;
};

/** Median latency in ms of `n` reads by cookie, token and key, one after the other. */
async function latency(callers, n = 180) {
	const all = [];
	for (const who of callers.good(n)) {
		const at = process.hrtime.bigint();
		const r = await callers.http.get('/api/v1/auth/whoami', { ...who.how, record: false });
		all.push(Number(process.hrtime.bigint() - at) / 1e6);
		assert.ok(r.status === 200 || who.state !== 'live', String(r)); // he may have signed out meanwhile
	}
	return median(all);
}

/** Who may and who may not: this must not depend on a cache. */
async function decisions({ t, copy, http, users }) {
	const [ann, bob] = users;
	const graph = await t.graph(ann);
	problem(await http.get(graph.path), 'not-authenticated');
	problem(await bob.as.get(graph.path), 'graph-not-found');
	problem(await bob.as.put(graph.path, { data: {} }), 'graph-not-found');
	assert.equal((await ann.as.get(graph.path)).status, 200);
	const eve = await t.user('eve');
	await copy.sql(`UPDATE users SET suspended_at = now() WHERE id = '${eve.id}'`);
	await until('a suspended user is refused', async () => (await eve.as.get('/api/v1/me')).code === 'account-suspended', { within: 5000 });
}

fault('F14', 'memcached killed, restarted, flushed: nobody notices', async (b, ledger, _t, callers) => {
	const { copy, http } = b;
	const n = times(3, 20);
	const at = Date.now();
	let usual = 0, without = 0;
	for (let i = 0; i < n; i++) {
		usual = Math.max(usual, await latency(callers));
		const pid = copy.pid('memcached');
		signal(pid, i % 2 ? 'SIGTERM' : 'SIGKILL');
		await until('memcached is gone', () => !alive(pid), { every: 5 });
		await until('/health says so', cacheIs(http, 'disconnected'), { every: 5 });
		without = Math.max(without, await latency(callers));
		await decisions(b);
		await copy.shell('up_memcached');
		await until('/health sees it again', cacheIs(http, 'connected'), { every: 5 });
		await copy.memcached('flush_all\r\n', 'OK');
		await ledger.during(30);
		await callers.during(60);
	}
	const bad = [...ledger.since(at).bad, ...callers.failed(at)];
	assert.equal(bad.length, 0, kinds(bad));
	assert.ok(without <= 2 * usual + 2 + slack() / 10, `a read took ${without} ms without memcached, ${usual} with`);
	return { kills: n, 'failed requests': 0, 'a read takes': `${usual.toFixed(1)} ms with, ${without.toFixed(1)} ms without` };
}, { callers: true });

fault('F15', 'memcached frozen: 200 ms more at most, once in a while', async (b, ledger, _t, callers) => {
	const { copy, http } = b;
	const ask = async () => {
		const at = Date.now();
		const r = await http.get('/health', { record: false });
		assert.equal(r.status, 200);
		return { ms: Date.now() - at, cache: r.json.cache };
	};
	const usual = [];
	for (let i = 0; i < 50; i++)
		usual.push((await ask()).ms);
	const pid = copy.pid('memcached');
	b.defer(() => signal(pid, 'SIGCONT'));
	const at = Date.now();
	signal(pid, 'SIGSTOP');
	const asked = [];
	const end = at + times(4000, 20_000);
	while (Date.now() < end)
		asked.push(await ask());
	signal(pid, 'SIGCONT');
	await until('/health sees it again', cacheIs(http, 'connected'));
	const bad = [...ledger.since(at).bad, ...callers.failed(at)];
	assert.equal(bad.length, 0, kinds(bad));
	assert.ok(asked.some((a) => a.cache === 'disconnected'));
	const shown = callers.notes.filter((x) => x.at >= at && /session|token|api_key/.test(x.what));
	const slow = [...asked, ...shown.filter((x) => x.ms >= 150)].filter((a) => a.ms > 60);
	const most = Math.max(...asked.map((a) => a.ms));
	assert.ok(most <= 200 + Math.max(...usual) + slack(), `an answer took ${most} ms`);
	// Each worker waits for it once in its breaker's second.
	const windows = copy.wanted('api') * ((end - at) / 1000 + 1);
	assert.ok(slow.length <= windows, `${slow.length} answers were slow in ${windows} windows`);
	return { asked: asked.length, slow: `${slow.length} of at most ${windows}`, slowest: ms(most), usual: ms(median(usual)), 'callers’ slowest answer': ms(Math.max(...shown.map((x) => x.ms))) };
}, { callers: { rate: 40 } });

/** memcached with one mebibyte, full and evicting, in the place of the copy's own. */
async function small(b) {
	const { copy } = b;
	const was = copy.pid('memcached');
	signal(was, 'SIGTERM');
	await copy.gone([was], 'memcached');
	const { uid, gid } = statSync(copy.run);
	const own = process.getuid() === 0 ? { uid, gid } : {};
	const child = spawn('memcached', ['-s', path.join(copy.run, 'memcached.sock'), '-a', '0700', '-m', '1', '-I', '512k'], { ...own, stdio: 'ignore' });
	b.defer(async () => {
		const over = new Promise((resolve) => child.once('exit', resolve));
		child.kill();
		await over;
		await copy.shell('up_memcached');
		await until('/health sees it again', cacheIs(b.http, 'connected'));
	});
	const junk = 'x'.repeat(200_000);
	let n = 0;
	await until('it evicts', async () => {
		await copy.memcached(`set junk${n++} 0 0 ${junk.length}\r\n${junk}\r\n`, '\r\n');
		return (await evictions(copy)) > 0;
	}, { every: 0 });
	return child;
}

const evictions = async (copy) => Number(/STAT evictions (\d+)/.exec(await copy.memcached('stats\r\n', 'END'))[1]);

/** A limit of LIMIT calls a minute: of so many at once, as many are let in. */
const LIMIT = 30;
async function limited(b) {
	const { stack } = b.t, app = 'memorygraph';
	await stack.useIssuers(app, [], (f) => ({ ...f, plans: f.plans.map((p) => ({ ...p, limits: [{ meter: 'requests', period: 'minute', max: LIMIT }] })) }));
	b.defer(() => stack.useIssuers(app, []));
	const http = stack.http(app);
	b.defer(() => http.close());
	const user = async () => {
		const email = `f16.${randomBytes(6).toString('hex')}@example.com`;
		await stack.ctl('user', 'add', '--app', app, email);
		return http.as((await stack.ctl('token', '--app', app, email)).trim());
	};
	const probe = await user();
	let known = 0;
	await until('the limit is known, and the minute has room for a burst', async () => {
		const r = await probe.get('/api/v1/me');
		const { usage } = (await probe.get('/api/v1/usage')).json;
		known = usage.requests_per_minute === LIMIT ? known + 1 : 0;
		return known >= 12 && Number(/"account";r=\d+;t=(\d+)/.exec(r.headers.ratelimit)?.[1]) >= 5;
	}, { within: 30_000, every: 5 });
	const who = await user();
	const statuses = await inParallel(Array.from({ length: 3 * LIMIT }), 8, async () => (await who.get('/api/v1/workspaces')).status);
	assert.deepEqual([...new Set(statuses)].sort(), [200, 429]);
	assert.equal(statuses.filter((s) => s === 200).length, LIMIT);
}

/** Guesses at a password, all at once: a handful is looked at, each is counted. */
async function guessed(b) {
	const { stack } = b.t;
	const mallory = await stack.account('cue', `f16.${randomBytes(6).toString('hex')}@example.com`);
	const http = stack.http('cue');
	b.defer(() => http.close());
	const began = performance.now();
	const codes = await inParallel(Array.from({ length: 40 }), 10, async (_, n) =>
		(await http.post('/api/v1/auth/login', { email: mallory.email, password: `Parallel-guess-${n}` })).code);
	const subject = createHash('sha256').update(`password\n${mallory.email}\n127.0.0.1`).digest('hex');
	const [[tried, refused]] = await b.copy.sql(`SELECT tried, refused FROM attempts WHERE subject = '\\x${subject}'`);
	const of = (...wanted) => codes.filter((c) => wanted.includes(c)).length;
	assert.equal(of('invalid-credentials', 'busy'), Number(tried), String(codes));
	assert.equal(of('too-many-attempts'), Number(refused), String(codes));
	assert.equal(Number(tried) + Number(refused), 40);
	// Five, and one more after each second, two, four that went by meanwhile.
	assert.ok(tried >= 5 && tried <= 6 + Math.log2((performance.now() - began) / 1000 + 1), `${tried} were looked at`);
	return `${tried} of 40`;
}

fault('F16', 'memcached of one mebibyte, full and evicting: no decision turns open', async (b, ledger, _t, callers) => {
	const { copy } = b;
	const child = await small(b);
	const at = Date.now();
	await decisions(b);
	await limited(b);
	const looked_at = await guessed(b);
	await ledger.during(60);
	await callers.during(100);
	const bad = [...ledger.since(at).bad, ...callers.failed(at)];
	assert.equal(bad.length, 0, kinds(bad));
	assert.equal(child.exitCode, null);
	return { evictions: await evictions(copy), 'failed requests': 0, 'let in by a limit of 30': LIMIT, 'guesses looked at': looked_at };
}, { callers: true });
