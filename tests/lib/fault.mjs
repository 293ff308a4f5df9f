// One fault of SECURITY §2.2 under load, judged by the ledger: what every test of the faults tier does
// before and after its own part.
import assert from 'node:assert/strict';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { after, test } from 'node:test';
import process from 'node:process';

import { Callers } from './callers.mjs';
import { Copy, POOLS, signal } from './copy.mjs';
import { Ledger } from './ledger.mjs';
import { setup } from './setup.mjs';
import { Trade } from './trade.mjs';
import { until } from './wait.mjs';
import { Wire } from './wire.mjs';

/** FAULTS_FULL=1 runs the counts of the table; else fewer, so that the whole tier ends within minutes. */
export const FULL = process.env.FAULTS_FULL === '1';
export const times = (few, all) => (FULL ? all : few);

const held = monitorEventLoopDelay({ resolution: 5 });
held.enable();
/** What a ceiling has room for besides, in ms: how long this machine let us wait for a turn since the fault began, thrice, as
 * there are several in a row who wait for theirs. On one that has nothing else to do it is some tens. */
export const slack = () => (3 * held.max) / 1e6;

const WRITERS = 6;
let opened;

async function open() {
	const t = await setup();
	const copy = new Copy(t.stack);
	const users = [];
	for (let i = 0; i < WRITERS; i++)
		users.push(await t.user(`writer${i}`));
	const undo = [];
	return {
		t,
		copy,
		users,
		http: t.http,

		/** To be done when the fault's own part is over, well or not; the last first. */
		defer(fn) {
			undo.push(fn);
		},

		async cleanUp() {
			const failures = [];
			while (undo.length)
				await Promise.resolve().then(undo.pop()).catch((e) => failures.push(e));
			if (failures.length)
				throw new AggregateError(failures, failures.map((e) => e.message).join('; '));
		},

		/** A session of psql's that ends with the fault. */
		session(options) {
			const s = copy.session(options);
			this.defer(() => s.end());
			return s;
		},

		/**
		 * A proxy between the workers and Postgres until the fault is over. Those who serve now have their
		 * connections past it: they make room for others.
		 */
		async wire() {
			const w = await Wire.into(copy.run);
			this.defer(() => w.out());
			const old = POOLS.flatMap((p) => copy.workers(p));
			for (const pid of old)
				signal(pid, 'SIGTERM');
			await copy.gone(old, 'who is connected past the proxy');
			return w;
		},
	};
}

/** The stack, its processes and users: made once a file. */
export function bench() {
	opened ??= open();
	return opened;
}

after(async () => {
	const b = await opened?.catch(() => undefined);
	await b?.t.stop();
});

/** 80 % reads, 15 % POSTs with an Idempotency-Key, 5 % saves and deletions. */
async function mixed() {
	const p = this.r();
	const live = this.live();
	const doc = live[Math.floor(this.r() * live.length)];
	const open_ = this.docs.find((d) => d.id === undefined);
	if (!doc || p < 0.15)
		return void (open_ ? await this.repeat(open_, 1) : await this.create());
	if (p < 0.19)
		return this.save(doc);
	if (p < 0.2 && live.length > 3)
		return this.remove(doc);
	return this.settle(doc);
}

/** A ledger that is writing. `rate`: requests a second of each of the writers; `tokens(b)`: theirs, in place of the usual. */
export async function load({ rate = 20, http, timeout, writers = WRITERS, tokens } = {}) {
	const b = await bench();
	const ledger = new Ledger({ http: http ?? b.http, tokens: tokens ? await tokens(b) : b.users.slice(0, writers).map((u) => u.token), stack: b.t.stack, rate, timeout, seed: Date.now() % 1e6 });
	for (const w of ledger.writers)
		w.step = mixed;
	await ledger.start();
	return ledger;
}

/** A reply that an operator would expect while something is away: 503, and when to come back. */
export const refused = (n) => n.status === 503 && Number(n.retryAfter) >= 1;

/** Requests that failed, as words: how many of which kind. */
export function kinds(notes) {
	const all = {};
	for (const n of notes) {
		const k = `${n.status || n.failure}${n.code ? ` ${n.code}` : ''}`;
		all[k] = (all[k] ?? 0) + 1;
	}
	return Object.entries(all).map(([k, n]) => `${n} × ${k}`).join(', ') || 'none';
}

async function idle(copy) {
	const [[open_, locks]] = await copy.sql(`SELECT (SELECT count(*) FROM pg_stat_activity WHERE usename = 'quoin' AND state LIKE 'idle in transaction%'),
		(SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.usename = 'quoin' AND a.state = 'idle')`);
	return open_ === '0' && locks === '0';
}

async function workersBack(b) {
	const { json } = await b.http.get('/ready');
	return json.status === 'ready' && POOLS.every((p) => json.pools.find((x) => x.name === p)?.workers === b.copy.wanted(p));
}

/** After the fault: green within five seconds, everybody back, nothing open, and nothing lost. */
async function judge(b, ledger) {
	const over = Date.now();
	await until('/health is green', async () => (await b.http.get('/health', { timeout: 5000 })).status === 200, { within: 20_000, every: 10 });
	const green = Date.now() - over;
	assert.ok(green <= 5000 + slack(), `/health was green after ${green} ms`);
	if (ledger.running)
		await ledger.during(60);
	await until('every pool has its workers', () => workersBack(b), { within: 15_000 });
	await ledger.stop();
	await until('no transaction is open and no lock is held', () => idle(b.copy));
	const verdict = await ledger.decide();
	assert.deepEqual(verdict.failures, [], 'the ledger lost something');
	return { green, verdict };
}

/**
 * fault('F01', 'kill -9 of a worker', async (b, ledger, t, callers, trade) => figures): runs it under load and judges.
 * What the body returns is printed beside the verdict. `callers`, `trade`: true, or options of theirs: they are there, too.
 */
export function fault(id, what, body, { callers: wanted, trade: sold, ...options } = {}) {
	test(`${id} ${what}`, { timeout: 1_800_000 }, async (t) => {
		const b = await bench();
		held.reset();
		const callers = wanted && await Callers.start(b.t.stack, wanted === true ? {} : wanted);
		const trade = sold && await Trade.start(b.t.stack, sold === true ? {} : sold);
		const ledger = await load(options);
		let figures, judged;
		try {
			await ledger.during(60);
			figures = await body(b, ledger, t, callers, trade).finally(() => b.cleanUp()) ?? {};
			judged = await judge(b, ledger);
		} finally {
			if (!judged) // where it failed, nothing runs on
				await Promise.all([ledger.stop(), callers?.stop(), trade?.close()]);
		}
		const { green, verdict } = judged;
		const said = Object.entries({ ...figures, 'health green after': `${green} ms` }).map(([k, v]) => `${k}: ${v}`);
		t.diagnostic(`${id}: lost ${verdict.failures.length} of ${verdict.acked} acknowledged writes (${verdict.unknown} not acknowledged, ${ledger.notes.length} requests); ${said.join('; ')}`);
		if (callers)
			await judgeCallers(id, callers, t);
		if (trade)
			await judgeTrade(id, trade, t);
	});
}

async function judgeTrade(id, trade, t) {
	const v = await trade.verdict();
	t.diagnostic(`${id}: ${v.taken} events of ${v.lives} subscriptions were taken (${v.refused} of ${v.sent} times not at once), ${v.machines} machines came (${v.unanswered} of ${v.asked} times without an answer) and have ${v.seats} seats; lost: ${v.lost.length}; applied twice: ${v.twice.length}`);
	assert.deepEqual({ lost: v.lost, twice: v.twice }, { lost: [], twice: [] });
	assert.ok(v.lives > 0 && v.seats > 0, 'there was no trade');
}

async function judgeCallers(id, callers, t) {
	const v = await callers.verdict();
	t.diagnostic(`${id}: ${v.made} credentials were acknowledged and ${v.ended} ends of them; ${v.asked} requests, ${v.failed} without an answer; refused wrongly or let in wrongly: ${v.failures.length}; the end of one was heard of within ${v.heard} ms`);
	assert.deepEqual(v.failures, [], 'the callers were lied to');
	assert.ok(v.ended > 0, 'nobody signed out');
}

export const ms = (n) => `${Math.round(n)} ms`;
export const seconds = (n) => `${(n / 1000).toFixed(1)} s`;
export const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
