// F07-F10: Postgres restarted, killed, frozen, full.
import assert from 'node:assert/strict';

import { alive, cpuTicks, POOLS, signal } from '../lib/copy.mjs';
import { fault, kinds, ms, refused, seconds, slack, times } from '../lib/fault.mjs';
import { until } from '../lib/wait.mjs';

const RECOVERED = 3000; // ms after Postgres is there again
const DEADLINE = 5000; // of every answer

/** Postgres again after its end; resolves to when it took connections. */
async function again(copy, gone) {
	await until('Postgres is gone', () => gone.every((p) => !alive(p)), { within: 30_000, every: 5 });
	// After a kill it will not start while a process is left that came after we had counted them.
	const started = until('Postgres has started', () => copy.shell('up_postgres').then(() => true), { within: 30_000 });
	started.catch(() => {});
	await until('Postgres answers', () => copy.answers(), { every: 5, within: 30_000 });
	const up = Date.now();
	await started;
	return up;
}

/** What clients saw of an outage from `at` to `up`: 503 that says when to come back, and no longer than it may. */
async function outage(ledger, at, up) {
	await ledger.during(60);
	const seen = ledger.since(at - 100);
	assert.ok(seen.bad.every(refused), `not every failure was a 503 with Retry-After: ${kinds(seen.bad.filter((x) => !refused(x)))}`);
	const after = at - 100 + seen.failedUntil - up; // of the last failure
	assert.ok(after <= RECOVERED + slack(), `failures until ${after} ms after Postgres was there`);
	assert.ok(seen.slowest <= DEADLINE + slack(), `an answer took ${seen.slowest} ms`);
	return { failed: seen.failed, after: Math.max(0, after), slowest: seen.slowest };
}

fault('F07', 'Postgres restarted, fast and immediate: 503 while it is down, well within 3 s', async ({ copy }, ledger, t, callers, trade) => {
	const n = times(4, 40);
	const downs = [];
	let failed = 0, recovered = 0, slowest = 0;
	for (let i = 0; i < n; i++) {
		const [events, machines] = [trade.taken, trade.machines.length];
		await until('Stripe has told more, and machines came', () => trade.taken > events + 3 && trade.machines.length > machines + 3, { within: 60_000 });
		const pid = copy.pid('postgres');
		const all = [pid, ...copy.children(pid)];
		const at = Date.now();
		signal(pid, i % 2 ? 'SIGQUIT' : 'SIGINT');
		const up = await again(copy, all);
		const seen = await outage(ledger, at, up);
		downs.push(up - at);
		failed += seen.failed;
		recovered = Math.max(recovered, seen.after);
		slowest = Math.max(slowest, seen.slowest);
	}
	assert.ok(failed > 0, 'nobody noticed');
	return { restarts: n, down: `at most ${seconds(Math.max(...downs))}`, '503s': failed, 'last 503': `${ms(recovered)} after it was there`, 'slowest answer': ms(slowest) };
}, { trade: { lives: times(60, 600) } });

fault('F08', 'kill -9 of a backend, and of the postmaster: every connection replaced', async ({ copy }, ledger) => {
	const n = times(4, 20);
	let failed = 0, recovered = 0, slowest = 0;
	for (let i = 0; i < n; i++) {
		const postmaster = copy.pid('postgres');
		const all = [postmaster, ...copy.children(postmaster)];
		const backends = (await copy.sql(`SELECT pid FROM pg_stat_activity WHERE usename = 'quoin' AND application_name = 'quoin'`)).map((r) => Number(r[0]));
		const at = Date.now();
		let up;
		if (i % 2) {
			signal(postmaster, 'SIGKILL');
			up = await again(copy, all);
		} else {
			signal(backends[0], 'SIGKILL'); // the postmaster then ends all the others and recovers
			await until('all backends are gone', () => backends.every((p) => !alive(p)), { every: 5 });
			await until('Postgres answers', () => copy.answers(), { every: 5, within: 30_000 });
			up = Date.now();
		}
		const seen = await outage(ledger, at, up);
		failed += seen.failed;
		recovered = Math.max(recovered, seen.after);
		slowest = Math.max(slowest, seen.slowest);
		const now = (await copy.sql(`SELECT pid FROM pg_stat_activity WHERE usename = 'quoin'`)).map((r) => Number(r[0]));
		assert.ok(now.length > 0 && now.every((p) => !all.includes(p)));
	}
	assert.ok(failed > 0, 'nobody noticed');
	return { kills: n, '503s': failed, 'last 503': `${ms(recovered)} after it was there`, 'slowest answer': ms(slowest) };
});

fault('F09', 'Postgres frozen: 503 within 5 s, no worker stuck', async (b, ledger) => {
	const { copy, users } = b;
	const kills = await copy.metric('quoin_watchdog_kills_total');
	const deaths = await copy.metric('quoin_worker_deaths_total');
	const figures = {};

	for (const whole of [true, false]) {
		const postmaster = copy.pid('postgres');
		const backends = (await copy.sql(`SELECT pid FROM pg_stat_activity WHERE usename = 'quoin' AND application_name = 'quoin'`)).map((r) => Number(r[0]));
		const frozen = whole ? [postmaster, ...copy.children(postmaster)] : backends.slice(0, 1);
		const at = Date.now();
		const thaw = () => frozen.forEach((p) => signal(p, 'SIGCONT'));
		b.defer(thaw);
		for (const pid of frozen)
			signal(pid, 'SIGSTOP');
		// A crowd comes at once, ten for each worker, and again and again; those who queue wait no longer either.
		const crowd = [];
		const end = at + times(7000, 30_000);
		const come = async () => {
			const began = Date.now();
			const r = await users[0].as.get('/api/v1/workspaces', { record: false });
			crowd.push({ status: r.status, retryAfter: r.headers['retry-after'], ms: Date.now() - began });
		};
		while (Date.now() < end)
			await Promise.all(Array.from({ length: 40 }, come));
		const asked = ledger.since(at);
		if (whole) {
			const from = Date.now();
			await copy.metric('quoin_watchdog_kills_total');
			assert.ok(Date.now() - from < 1000 + slack(), '/metrics waited for Postgres');
		}
		thaw();
		const up = Date.now();
		const worst = Math.max(...crowd.map((x) => x.ms));
		assert.ok(crowd.every((x) => x.status === 200 || refused(x)), kinds(crowd));
		assert.ok(worst <= DEADLINE + slack(), `an answer took ${worst} ms`);
		const seen = await outage(ledger, at, up);
		if (whole)
			assert.ok(crowd.slice(0, -40).every((x) => x.status === 503), 'it answered without Postgres');
		figures[whole ? 'all of it frozen' : 'one backend frozen'] = `${seconds(up - at)}, ${asked.requests + crowd.length} requests, ${asked.failed + crowd.filter((x) => x.status === 503).length} × 503, slowest ${ms(Math.max(worst, seen.slowest))}, last 503 ${ms(seen.after)} after the thaw`;
		await until('every worker is at rest or at work', () => copy.board().every((w) => w.stage === 'idle' || w.since < 1), { within: 15_000 });
	}
	assert.equal(await copy.metric('quoin_watchdog_kills_total'), kills, 'the watchdog had to kill');
	assert.equal(await copy.metric('quoin_worker_deaths_total'), deaths, 'a worker died');
	return figures;
}, { timeout: 30_000 });

fault('F10', 'connections of Postgres used up: 503 and no spin', async (b, ledger) => {
	const { copy } = b;
	const FATAL = /too many connections for role/g;
	const said = () => (copy.log('postgres').match(FATAL) ?? []).length;
	const workers = () => POOLS.flatMap((p) => copy.children(copy.pid(p)));
	const before = said();
	b.defer(() => copy.sql('ALTER ROLE quoin CONNECTION LIMIT -1'));
	const at = Date.now();
	await copy.sql(`ALTER ROLE quoin CONNECTION LIMIT 5; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'quoin'`);
	const pids = workers();
	const ticks = pids.reduce((n, p) => n + cpuTicks(p), 0);
	const end = at + times(5000, 30_000);
	await until('the shortage is over', () => Date.now() >= end, { within: 40_000, every: 100 });
	const attempts = said() - before;
	const cpu = (pids.reduce((n, p) => n + cpuTicks(p), 0) - ticks) / 100 / ((Date.now() - at) / 1000);
	assert.deepEqual(workers(), pids, 'workers came or went');
	assert.ok((await copy.value(`SELECT count(*) FROM pg_stat_activity WHERE usename = 'quoin'`)) <= '5');
	const asked = ledger.since(at);
	await copy.sql('ALTER ROLE quoin CONNECTION LIMIT -1');
	const up = Date.now();
	const seen = await outage(ledger, at, up);
	const rate = attempts / ((up - at) / 1000);
	assert.ok(attempts > 0, 'the limit was never met');
	// Each of those who are left without waits 100 ms between attempts, and listeners and jobs longer.
	assert.ok(rate <= pids.length * 10, `${rate} attempts a second by ${pids.length} processes`);
	assert.ok(cpu <= 0.5, `${cpu} of a core`);
	return { 'for': seconds(up - at), requests: asked.requests, '503s': seen.failed, 'attempts to connect': `${rate.toFixed(0)} a second`, CPU: `${(100 * cpu).toFixed(0)} % of a core`, 'last 503': `${ms(seen.after)} after the limit was lifted`, 'slowest answer': ms(seen.slowest) };
});
