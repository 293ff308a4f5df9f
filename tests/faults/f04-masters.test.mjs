// F04, F05: the master of a pool killed, reloaded, restarted, as systemd would: the socket is another's.
import assert from 'node:assert/strict';

import { alive, signal } from '../lib/copy.mjs';
import { fault, kinds, ms, seconds, slack, times } from '../lib/fault.mjs';
import { ok } from '../lib/setup.mjs';
import { until } from '../lib/wait.mjs';

/** Two saves that wait for a row, for `hold` ms at least: release() lets them end, and they must end well. */
async function inHand(b, hold = 2000) {
	const { copy, t, users } = b;
	const graphs = [await t.graph(users[0]), await t.graph(users[1])];
	const lock = b.session();
	await lock.run(`BEGIN; SELECT 1 FROM documents WHERE id IN (${graphs.map((g) => `'${g.id}'`)}) FOR UPDATE`);
	const began = Date.now();
	const saves = graphs.map((g, i) => users[i].as.put(g.path, { data: { kept: true } }));
	const busy = await until('two workers wait', () => {
		const w = copy.board().filter((x) => x.stage === 'handle' && x.since > 0.02);
		return w.length >= 2 && w.map((x) => x.pid);
	}, { every: 2 });
	return {
		busy,
		release: async () => {
			await until('they have waited', () => Date.now() - began >= hold, { every: 50 });
			await lock.run('COMMIT');
			const took = Date.now() - began;
			for (const r of await Promise.all(saves))
				assert.equal(ok(r).graph.version, 2, 'a request in hand did not end well');
			await lock.end();
			return took;
		},
	};
}

fault('F04', 'kill -9 of a master: what is in hand ends well, no worker stays, another within 3 s', async (b, ledger) => {
	const { copy, http } = b;
	const n = times(3, 20);
	const supervisor = await copy.supervise('api');
	b.defer(() => supervisor.end());
	const took = [], left = [];
	const at = Date.now();
	for (let i = 0; i < n; i++) {
		const { release } = await inHand(b);
		const old = [supervisor.master, ...copy.children(supervisor.master)];
		const killed = Date.now();
		signal(supervisor.master, 'SIGKILL');
		await until('another master', () => supervisor.master !== old[0], { every: 5 });
		await supervisor.serving();
		took.push(Date.now() - killed);
		const held = await release();
		await copy.gone(old, 'what the old master had', { every: 5 });
		left.push(Date.now() - killed - held);
		await ledger.during(60);
	}
	const seen = ledger.since(at);
	assert.equal(seen.failed, 0, kinds(seen.bad));
	assert.ok(Math.max(...took) <= 3000 + slack(), `another pool after ${took.map(ms)}`);
	assert.ok(Math.max(...left) <= 1000 + slack(), `old workers left ${left.map(ms)} after their requests`);
	await supervisor.end();

	// Without somebody who holds the socket: nobody is there until another master is.
	const old = [copy.pid('api'), ...copy.children(copy.pid('api'))];
	const killed = Date.now();
	signal(old[0], 'SIGKILL');
	await copy.shell('up_pools');
	await until('service', async () => (await http.get('/health', { timeout: 1000 })).status === 200, { every: 5 });
	const alone = Date.now() - killed;
	await copy.gone(old, 'what the old master had');
	await ledger.during(60);
	const { failed, bad, failedUntil } = ledger.since(killed);
	assert.ok(bad.every((x) => x.status === 502 && Number(x.retryAfter) > 0), kinds(bad));
	assert.ok(Math.max(alone, failedUntil) <= 3000 + slack(), `service after ${alone} ms`);
	return { kills: n, 'all workers of another master after': `at most ${ms(Math.max(...took))}`, 'failed requests': seen.failed, 'longest wait': seconds(seen.slowest), 'with a socket of its own': `service after ${ms(alone)}, ${failed} × 502` };
}, { timeout: 30_000 });

fault('F05', 'reload and restart with requests in hand: they end well, and nobody is refused', async (b, ledger) => {
	const { copy } = b;
	const n = times(3, 20);
	const supervisor = await copy.supervise('api', { restart: 0 });
	b.defer(() => supervisor.end());
	const at = Date.now();
	for (let i = 0; i < n; i++) { // HUP: the workers are replaced
		const { release, busy } = await inHand(b, 1000);
		const old = copy.workers();
		const { master } = supervisor;
		signal(master, 'SIGHUP');
		await until('new workers serve', () => copy.workers().filter((p) => !old.includes(p)).length >= copy.wanted('api') - busy.length, { every: 5 });
		await release();
		await copy.gone(old, 'the old workers');
		assert.equal(supervisor.master, master);
		await ledger.during(30);
	}
	const reloaded = ledger.since(at);
	assert.equal(reloaded.failed, 0, kinds(reloaded.bad));

	for (let i = 0; i < 2 * n; i++) { // TERM to single workers
		const { release, busy } = await inHand(b, 300);
		for (const pid of busy)
			signal(pid, 'SIGTERM');
		await release();
		await copy.gone(busy, 'workers that were told to leave');
		await supervisor.serving();
	}
	const told = ledger.since(at);
	assert.equal(told.failed, 0, kinds(told.bad));

	const restarted = Date.now();
	for (let i = 0; i < n; i++) { // TERM to the master, and another in its place
		const { release } = await inHand(b);
		const old = [supervisor.master, ...copy.children(supervisor.master)];
		signal(supervisor.master, 'SIGTERM');
		await release();
		await copy.gone(old, 'the old pool');
		await supervisor.serving();
		await ledger.during(30);
	}
	const seen = ledger.since(restarted);
	assert.equal(seen.failed, 0, kinds(seen.bad));
	return { reloads: n, 'longest wait': seconds(reloaded.slowest), 'workers told to leave': 4 * n, restarts: n, 'longest wait then': seconds(seen.slowest), 'failed requests': 0 };
}, { timeout: 30_000 });
