// F14, F15, F16: memcached gone, emptied, frozen, full. It holds copies and decides nothing.
import assert from 'node:assert/strict';

import { alive, signal } from '../lib/copy.mjs';
import { fault, kinds, median, ms, times } from '../lib/fault.mjs';
import { problem } from '../lib/setup.mjs';
import { until } from '../lib/wait.mjs';

const cacheIs = (http, state) => async () => {
	const r = await http.get('/health', { record: false });
	return r.status === 200 && r.json.cache === state;
};

/** Median latency in ms of `n` reads, one after the other. */
async function latency(user, n = 150) {
	const all = [];
	for (let i = 0; i < n; i++) {
		const at = process.hrtime.bigint();
		assert.equal((await user.as.get('/api/v1/workspaces', { record: false })).status, 200);
		all.push(Number(process.hrtime.bigint() - at) / 1e6);
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
	await until('a suspended user is refused', async () => (await eve.as.get('/api/v1/me')).code === 'account-suspended', { within: 2000 });
}

fault('F14', 'memcached killed, restarted, flushed: nobody notices', async (b, ledger) => {
	const { copy, http, users } = b;
	const n = times(3, 20);
	const at = Date.now();
	const usual = await latency(users[0]);
	let without = 0;
	for (let i = 0; i < n; i++) {
		const pid = copy.pid('memcached');
		signal(pid, i % 2 ? 'SIGTERM' : 'SIGKILL');
		await until('memcached is gone', () => !alive(pid), { every: 5 });
		await until('/health says so', cacheIs(http, 'disconnected'), { every: 5 });
		without = Math.max(without, await latency(users[0]));
		await decisions(b);
		await copy.shell('up_memcached');
		await until('/health sees it again', cacheIs(http, 'connected'), { within: 5000, every: 5 });
		await copy.memcached('flush_all\r\n', 'OK');
		await ledger.during(30);
	}
	const { bad } = ledger.since(at);
	assert.equal(bad.length, 0, kinds(bad));
	assert.ok(without <= 2 * usual + 2, `a read took ${without} ms without memcached, ${usual} with`);
	return { kills: n, 'failed requests': 0, 'a read takes': `${usual.toFixed(1)} ms with, ${without.toFixed(1)} ms without` };
});

fault('F15', 'memcached frozen: 200 ms more at most, once in a while', async (b, ledger) => {
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
	await until('/health sees it again', cacheIs(http, 'connected'), { within: 5000 });
	const { bad } = ledger.since(at);
	assert.equal(bad.length, 0, kinds(bad));
	assert.ok(asked.some((a) => a.cache === 'disconnected'));
	const slow = asked.filter((a) => a.ms > 60);
	const most = Math.max(...asked.map((a) => a.ms));
	assert.ok(most <= 200 + Math.max(...usual), `an answer took ${most} ms`);
	// Each worker waits for it once in its breaker's second.
	const windows = copy.wanted('api') * ((end - at) / 1000 + 1);
	assert.ok(slow.length <= windows, `${slow.length} answers were slow in ${windows} windows`);
	return { asked: asked.length, slow: `${slow.length} of at most ${windows}`, slowest: ms(most), usual: ms(median(usual)) };
});

fault('F16', 'memcached full and evicting: no decision turns open', async (b, ledger) => {
	const { copy } = b;
	const at = Date.now();
	const junk = 'x'.repeat(900_000);
	const evicted = async () => Number(/STAT evictions (\d+)/.exec(await copy.memcached('stats\r\n', 'END'))[1]);
	let n = 0;
	await until('it evicts', async () => {
		for (let i = 0; i < 20; i++)
			await copy.memcached(`set junk${n++} 0 0 ${junk.length}\r\n${junk}\r\n`, '\r\n');
		return (await evicted()) > 0;
	}, { every: 0 });
	await decisions(b);
	await ledger.during(60);
	const { bad } = ledger.since(at);
	assert.equal(bad.length, 0, kinds(bad));
	const evictions = await evicted();
	await copy.memcached('flush_all\r\n', 'OK');
	return { 'items put in': n, evictions, 'failed requests': 0 };
});
