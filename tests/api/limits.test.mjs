// Rate limits (CONTRACT B7, B33-B38, D3, D24; SECURITY T9, T10, F14-F16): what a plan and an address are
// allowed a minute and a day, told in headers, exact on one host whatever becomes of memcached.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { chownSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Copy, signal } from '../lib/copy.mjs';
import { fcgiExchange, fcgiReply, fcgiRequest } from '../lib/fcgi.mjs';
import { ok, problem } from '../lib/setup.mjs';
import { Stack } from '../lib/stack.mjs';
import { inParallel, sameDay, until } from '../lib/wait.mjs';

const APP = 'memorygraph';
const CALL = '/api/v1/workspaces'; // an ordinary route
const DAY_S = 86_400;
let stack, copy, http, app;

/** The app with these limits in place of its own: {plan: [[meter, period, max], …]}, and of addresses. */
async function limits(plans, addresses) {
	const rows = (list) => list.map(([meter, period, max]) => ({ meter, period, max }));
	await stack.useIssuers(APP, [], (file) => ({
		...file,
		plans: file.plans.map((p) => ({ ...p, limits: rows(plans[p.code] ?? []) })),
		...(addresses ? { address_limits: rows(addresses) } : {}),
	}));
	await settled(plans);
}

/** Until every worker has read the app again: each is asked more than once. */
async function settled(plans) {
	const of_free = plans.free[0];
	let in_a_row = 0;
	const probe = await user();
	await until('the limits are known', async () => {
		const { usage } = ok(await probe.get('/api/v1/usage'));
		const said = of_free[0] === 'api_calls' ? usage.api_calls_per_day : usage.requests_per_minute;
		in_a_row = said === of_free[2] ? in_a_row + 1 : 0;
		return in_a_row >= 12;
	}, { every: 5 });
}

async function user(plan = 'free') {
	const email = `limits.${randomBytes(8).toString('hex')}@example.com`;
	const id = (await stack.ctl('user', 'add', '--app', APP, email)).split(' ')[0];
	if (plan !== 'free')
		await stack.rows(`UPDATE users SET plan = '${plan}' WHERE id = '${id}'`);
	const token = (await stack.ctl('token', '--app', APP, email)).trim();
	const as = http.as(token);
	return Object.assign(Object.create(as), { id, email, token });
}

const base62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const letters = (n) => Array.from({ length: n }, () => base62[randomBytes(1)[0] % 62]).join('');

/** An API key of a user's, as one who calls. */
async function key(of) {
	const body = `mg_${letters(42)}`;
	let v = createHash('sha256').update(body).digest().readUInt32BE(0);
	let check = '';
	for (let i = 0; i < 6; i++, v = Math.floor(v / 62))
		check = base62[v % 62] + check;
	const text = body + check;
	await stack.rows(`INSERT INTO api_keys (id, app_id, user_id, name, public_id, key_prefix, key_hash, scopes)
		VALUES ('${randomUUID()}', '${app}', '${of.id}', 'a key', '${text.slice(3, 13)}', '${text.slice(0, 8)}', sha256('${text}'), '{write}')`);
	return http.as(text);
}

/** RateLimit and RateLimit-Policy as {name: {q, w, r, t}}. */
function policies(reply) {
	const all = {};
	for (const field of ['ratelimit-policy', 'ratelimit'])
		for (const item of (reply.headers[field] ?? '').split(', ').filter(Boolean)) {
			const [name, ...params] = item.split(';');
			assert.match(name, /^"[a-z0-9_-]+"$/, field);
			all[name.slice(1, -1)] = { ...all[name.slice(1, -1)], ...Object.fromEntries(params.map((p) => [p.split('=')[0], Number(p.split('=')[1])])) };
		}
	return all;
}

/** A minute of the windows that has still this many seconds, so that a test ends in the one where it began. */
async function roomy(seconds = 20) {
	const probe = await user();
	await until('the next minute', async () => policies(await probe.get('/api/v1/me')).account.t >= seconds, { within: 70_000, every: 100 });
}

/** Seconds from a reply to the end of its day. */
const untilMidnight = (reply) => DAY_S - Date.parse(reply.headers.date) / 1000 % DAY_S;
const today = "(now() AT TIME ZONE 'UTC')::date";

/** So many calls at once: how many were let in. All others were refused by the limit. */
async function burst(who, n, target = CALL) {
	const replies = await inParallel(Array.from({ length: n }), 8, () => who.get(target));
	for (const r of replies.filter((x) => x.status !== 200))
		problem(r, 'rate-limited');
	return replies.filter((r) => r.status === 200).length;
}

/** The reply itself, when it is a 200. */
const fine = (reply) => {
	ok(reply);
	return reply;
};

/** What a refusal says, whole. */
function refused(reply, policy, quota, window) {
	const p = problem(reply, 'rate-limited');
	assert.equal(reply.status, 429);
	assert.equal(p.detail, 'Rate limit exceeded. Try again later.');
	const now = Date.parse(reply.headers.date) / 1000;
	const retry = reply.headers['retry-after'];
	assert.match(retry, /^[1-9]\d*$/);
	const all = policies(reply);
	assert.deepEqual({ ...all[policy], t: undefined }, { q: quota, w: window, r: 0, t: undefined });
	assert.equal(all[policy].t, Number(retry));
	assert.equal(reply.headers['x-ratelimit-limit'], String(quota));
	assert.equal(reply.headers['x-ratelimit-remaining'], '0');
	assert.ok(Math.abs(Number(reply.headers['x-ratelimit-reset']) - now - Number(retry)) <= 1, reply.headers['x-ratelimit-reset']);
	return Number(retry);
}

before(async () => {
	stack = Stack.attach();
	copy = new Copy(stack);
	http = stack.http(APP);
	app = await stack.one(`SELECT id FROM apps WHERE slug = '${APP}'`);
});
after(async () => {
	await stack?.useIssuers(APP, []);
	http?.close();
});

describe('a minute of a caller', () => {
	test('as many as the plan says and not one more, of calls made at once; each reply tells how many are left', async () => {
		await limits({ free: [['requests', 'minute', 20]], pro: [['requests', 'minute', 30]] });
		const [ann, bob] = [await user(), await user()];
		await roomy();
		const replies = await inParallel(Array.from({ length: 35 }), 8, () => ann.get(CALL));
		const let_in = replies.filter((r) => r.status === 200);
		assert.equal(let_in.length, 20);
		assert.deepEqual(let_in.map((r) => policies(r).api.r).sort((a, b) => b - a), Array.from({ length: 20 }, (_, i) => 19 - i));
		for (const r of let_in) {
			const { q, w, r: left, t } = policies(r).api;
			assert.deepEqual([q, w], [20, 60]);
			assert.ok(t >= 1 && t <= 60);
			assert.equal(r.headers['x-ratelimit-limit'], '20');
			assert.equal(r.headers['x-ratelimit-remaining'], String(left));
			assert.equal(r.headers['retry-after'], undefined);
		}
		for (const r of replies.filter((x) => x.status !== 200))
			assert.ok(refused(r, 'api', 20, 60) <= 120);

		assert.equal(policies(fine(await bob.get(CALL))).api.r, 19, 'another user has a count of his own');
		assert.equal((await ann.get('/api/v1/me')).status, 200, 'another class has a count of its own');
		await stack.rows(`UPDATE users SET plan = 'pro' WHERE id = '${ann.id}'`);
		const more = await until('the higher plan counts', async () => {
			const r = await ann.get(CALL);
			return r.status === 200 && r;
		}, { within: 5000, every: 10 });
		assert.equal(policies(more).api.q, 30);
		assert.equal(await burst(ann, 15), 9, 'what was used before counts against the higher limit');
	});

	test('each API key is a caller, and so is its user', async () => {
		await limits({ free: [['requests', 'minute', 6]] });
		const ann = await user();
		const [one, two] = [await key(ann), await key(ann)];
		await roomy();
		assert.equal(await burst(one, 9), 6);
		assert.equal(await burst(two, 9), 6);
		assert.equal(await burst(ann, 9), 6);
		refused(await one.get(CALL), 'api', 6, 60);
	});

	test('a request that is refused for another reason counts; one whose limit is over is refused before its body is read', async () => {
		await limits({ free: [['requests', 'minute', 3]] });
		const ann = await user();
		await roomy();
		problem(await ann.get(`${CALL}/${randomUUID()}`), 'workspace-not-found');
		problem(await ann.request('POST', CALL, { body: '{' }), 'bad-json');
		assert.equal((await ann.request('HEAD', CALL)).headers['x-ratelimit-remaining'], '0');
		refused(await ann.request('POST', CALL, { body: '{' }), 'api', 3, 60);
		assert.equal(await stack.one(`SELECT count(*) FROM workspaces WHERE owner_id = '${ann.id}'`), '0');
	});

	test('-1 is no limit, and then there is nothing to tell; 0 lets nobody in; an unknown plan has the lowest', async () => {
		await limits({ free: [['requests', 'minute', 0]], pro: [['requests', 'minute', -1]], team: [['requests', 'minute', 7]] });
		const [none, all, lost] = [await user(), await user('pro'), await user('no_such_plan')];
		refused(await none.get(CALL), 'api', 0, 60);
		refused(await lost.get(CALL), 'api', 0, 60);
		const r = fine(await all.get(CALL));
		assert.equal(r.headers.ratelimit, undefined);
		assert.equal(r.headers['x-ratelimit-limit'], undefined);
	});
});

describe('a minute of an address', () => {
	const strange = `/api/v1/public/graphs/${randomUUID()}`;

	test('who is not signed in is held by his address, whatever he sends; who is, is not', async () => {
		await limits({ free: [['requests', 'minute', 50]] }, [['requests', 'minute', 6]]);
		const ann = await user();
		await roomy();
		const far = stack.http(APP, { from: '127.0.0.77' });
		problem(await far.get(strange), 'graph-not-found');
		problem(await far.get(CALL, { token: 'a.b.c' }), 'token-malformed');
		problem(await far.get(CALL, { token: `mg_${letters(48)}` }), 'invalid-api-key');
		problem(await far.get(CALL, { headers: { cookie: `__Host-session=${'x'.repeat(43)}` } }), 'not-authenticated');
		problem(await far.get(CALL), 'not-authenticated');
		const last = await far.get(strange, { headers: { 'x-forwarded-for': '203.0.113.1' } });
		assert.deepEqual(Object.keys(policies(last)), ['api-address']);
		assert.equal(policies(last)['api-address'].r, 0);
		for (const headers of [{}, { 'x-forwarded-for': '203.0.113.9' }, { 'x-real-ip': '203.0.113.9' }, { forwarded: 'for=203.0.113.9' }])
			refused(await far.get(strange, { headers }), 'api-address', 6, 60);
		refused(await far.get(CALL, { token: 'a.b.c' }), 'api-address', 6, 60);
		ok(await far.as(ann.token).get(CALL));
		const near = stack.http(APP, { from: '127.0.0.78' });
		problem(await near.get(strange), 'graph-not-found');
		far.close();
		near.close();
	});
});

describe('a day of a user', () => {
	const stored = (u, what = 'api_calls') => stack.one(`SELECT ${what} FROM usage_daily WHERE user_id = '${u.id}' AND day = ${today}`);
	const plans = { free: [['api_calls', 'day', 10]], pro: [['api_calls', 'day', 14]], team: [['api_calls', 'day', -1]] };

	before(async () => {
		await sameDay(300);
		await limits(plans);
	});

	test('all keys of a user together; until midnight UTC; in Postgres within seconds; more with a higher plan', async () => {
		const ann = await user();
		const mine = await key(ann);
		assert.equal(await burst(ann, 6), 6);
		const r = fine(await mine.get(CALL));
		assert.deepEqual({ ...policies(r)['free-day'], t: 0 }, { q: 10, w: DAY_S, r: 3, t: 0 });
		assert.deepEqual([r.headers['x-ratelimit-limit'], r.headers['x-ratelimit-remaining']], ['10', '3']);
		assert.equal(await burst(mine, 8), 3);
		for (const who of [ann, mine]) {
			const r = await who.get(CALL);
			assert.ok(Math.abs(refused(r, 'free-day', 10, DAY_S) - untilMidnight(r)) <= 2, String(r));
		}
		await until('Postgres has them', async () => (await stored(ann)) === '10');
		ok(await ann.get('/api/v1/me')); // who looks after his account is let in
		const { usage } = ok(await mine.get('/api/v1/usage'));
		assert.deepEqual(usage, { ...usage, tier: 'free', api_calls_per_day: 10, api_calls_today: 10, api_calls_this_month: 10 });
		assert.equal(Date.parse(usage.resets_at), (Math.floor(Date.now() / 1000 / DAY_S) + 1) * DAY_S * 1000);
		await stack.rows(`UPDATE users SET plan = 'pro' WHERE id = '${ann.id}'`);
		await until('the higher plan counts', async () => (await ann.get(CALL)).status === 200, { within: 5000, every: 10 });
		assert.equal(await burst(ann, 9), 3);
		refused(await ann.get(CALL), 'pro-day', 14, DAY_S);
	});

	test('what was counted before, on any host, counts: Postgres is asked at the first call of a day', async () => {
		const [ann, bob] = [await user(), await user()];
		await stack.rows(`INSERT INTO usage_daily VALUES ('${app}', '${ann.id}', ${today}, 8), ('${app}', '${ann.id}', ${today} - 1, 1000), ('${app}', '${bob.id}', ${today}, 10)`);
		assert.equal(await burst(ann, 5), 2);
		refused(await bob.get(CALL), 'free-day', 10, DAY_S);
		assert.equal(await stored(bob), '10', 'a refused call is no call');
	});

	test('without a limit the calls are counted all the same, and by the month', async () => {
		const ann = await user('team');
		await stack.rows(`INSERT INTO usage_daily SELECT '${app}', '${ann.id}', d, 100 FROM (VALUES (date_trunc('month', ${today})::date), (date_trunc('month', ${today})::date - 1)) v (d)`);
		const first = Number((await stored(ann)) ?? 0); // on the first of a month that is today
		assert.equal(await burst(ann, 25), 25);
		const { usage } = ok(await ann.get('/api/v1/usage'));
		assert.deepEqual([usage.api_calls_per_day, usage.api_calls_today, usage.api_calls_this_month], [-1, 25 + first, 125]);
		assert.equal(Number(await stored(ann)), 25 + first);
	});

	test('a restart of everything forgets nobody: with the memory gone, Postgres knows', async () => {
		const [ann, bob] = [await user(), await user()];
		assert.equal(await burst(ann, 12), 10);
		assert.equal(await burst(bob, 7), 7);
		await copy.shell('stop', 'TERM', '30', 'api', 'slow', 'ingest');
		assert.equal(await stored(bob), '7', 'the last worker has stored what was counted');
		rmSync(path.join(copy.run, 'limits.tally'));
		await copy.shell('up_pools');
		await until('it is ready', async () => (await http.get('/ready', { record: false })).status === 200);
		refused(await ann.get(CALL), 'free-day', 10, DAY_S);
		assert.equal(await burst(bob, 7), 3);
	});

	test('a worker that is killed takes no limit with it', async () => {
		const ann = await user();
		let let_in = await burst(ann, 5);
		for (const pid of copy.workers('api'))
			signal(pid, 'SIGKILL');
		await until('others serve', () => copy.workers('api').length >= copy.wanted('api'));
		let_in += await burst(ann, 12);
		assert.equal(let_in, 10);
	});

	test('who is deleted in the middle of a day leaves nothing behind, and holds up nobody', async () => {
		const [ann, bob] = [await user(), await user()];
		assert.equal(await burst(ann, 3) + (await burst(bob, 3)), 6);
		await stack.rows(`DELETE FROM users WHERE id = '${ann.id}'`);
		await until('the other is stored', async () => (await stored(bob)) === '3');
		assert.equal(await stored(ann), undefined);
	});
});

describe('memcached', () => {
	const LIMIT = 48; // told to others by threes
	const exact = async (break_it, mend) => {
		const [ann, bob] = [await user(), await user()];
		await roomy();
		let let_in = await burst(ann, 20);
		await break_it();
		try {
			let_in += await burst(ann, 45);
			assert.equal(let_in, LIMIT);
			assert.equal(await burst(bob, 60), LIMIT, 'and for one that was not seen before');
		} finally {
			await mend?.();
		}
		assert.equal(await burst(ann, 5), 0, 'nor when it is back');
		assert.equal(await burst(bob, 5), 0);
	};
	/** Every worker has met the new one: its first call finds the old connection broken. */
	const back = async () => {
		await copy.shell('up_memcached');
		await until('it is back', async () => {
			const all = await inParallel(Array.from({ length: 64 }), 16, () => http.get('/health', { record: false }));
			return all.every((r) => r.json.cache === 'connected');
		});
	};

	before(() => limits({ free: [['requests', 'minute', LIMIT]] }));

	test('killed: no limit opens (F14)', () => exact(async () => {
		const pid = copy.pid('memcached');
		signal(pid, 'SIGKILL');
		await copy.gone([pid], 'memcached');
	}, back));

	test('flushed: no limit opens (F14)', () => exact(() => copy.memcached('flush_all\r\n', 'OK')));

	test('frozen: no limit opens (F15)', async () => {
		const pid = copy.pid('memcached');
		await exact(() => signal(pid, 'SIGSTOP'), async () => {
			signal(pid, 'SIGCONT');
			await back();
		});
	});

	test('one mebibyte, and full: no limit opens (F16)', async () => {
		const was = copy.pid('memcached');
		signal(was, 'SIGTERM');
		await copy.gone([was], 'memcached');
		const { uid, gid } = statSync(copy.run);
		const own = process.getuid() === 0 ? { uid, gid } : {};
		const small = spawn('memcached', ['-s', path.join(copy.run, 'memcached.sock'), '-a', '0700', '-m', '1', '-I', '512k'], { ...own, stdio: 'ignore' });
		try {
			const junk = 'x'.repeat(200_000);
			let n = 0;
			await until('it evicts', async () => {
				await copy.memcached(`set junk${n++} 0 0 ${junk.length}\r\n${junk}\r\n`, '\r\n');
				return Number(/STAT evictions (\d+)/.exec(await copy.memcached('stats\r\n', 'END'))[1]) > 0;
			}, { every: 0 });
			await exact(() => undefined);
		} finally {
			small.kill();
			await new Promise((resolve) => (small.exitCode !== null || small.signalCode ? resolve() : small.once('exit', resolve)));
			await back();
		}
	});

	test('hosts share a limit: the second lets in what the first has left, and at most a sixteenth more', async () => {
		await back();
		const [ann, bob, eve] = [await user(), await user(), await user()];
		const dir = mkdtempSync(path.join(path.dirname(copy.run), 'quoin-host-'));
		const { uid, gid } = statSync(copy.run);
		const own = process.getuid() === 0 ? { uid, gid } : {};
		if (own.uid !== undefined)
			chownSync(dir, uid, gid);
		const other = spawn(path.join(copy.build, 'quoind'), ['--pool=api', `--listen=${dir}/api.sock`, '--workers=2'], {
			...own, stdio: 'ignore', env: { PATH: process.env.PATH, HOME: '/nonexistent', QUOIN_CONFIG: path.join(stack.state, 'quoin.env'), QUOIN_RUN_DIR: dir },
		});
		const there = async (who) => {
			const { head, body } = fcgiRequest('GET', CALL, { app: APP, token: who.token });
			const { text } = fcgiReply(await fcgiExchange(`${dir}/api.sock`, Buffer.concat([head, body])));
			return text.startsWith('Status: 429') ? 429 : /^Status: (\d+)/.exec(text) ? Number(/^Status: (\d+)/.exec(text)[1]) : 200;
		};
		// One after the other: while a host asks, others of its workers let in what comes.
		const let_in = async (n, ask) => (await inParallel(Array.from({ length: n }), 1, ask)).filter((s) => s === 200).length;
		const here = async (who) => (await who.get(CALL)).status;
		try {
			await until('the other host serves', async () => (await there(eve)) === 200);
			await roomy(25);
			assert.equal(await let_in(30, () => here(ann)), 30);
			const second = await let_in(40, () => there(ann));
			assert.ok(second >= 18 && second <= 18 + LIMIT / 16, `30 here and ${second} there`);
			assert.equal(await let_in(60, () => there(bob)), LIMIT);
			const rest = await let_in(10, () => here(bob));
			assert.ok(rest <= LIMIT / 16, `${LIMIT} there and ${rest} here`);
		} finally {
			const over = new Promise((resolve) => other.once('exit', resolve));
			other.kill('SIGTERM');
			await over;
			rmSync(dir, { recursive: true });
		}
	});
});

describe('every route', () => {
	test('has a limit, of its caller or his address, and says so; what tells whether Quoin is well has none', async () => {
		const classes = ['requests', 'account_requests', 'sign_in_requests', 'mail_requests', 'expensive_requests', 'ingest_requests', 'licence_requests'];
		const nothing = classes.map((meter) => [meter, 'minute', 0]);
		const ann = await user();
		await stack.useIssuers(APP, [], (file) => ({
			...file,
			plans: file.plans.map((p) => ({ ...p, limits: nothing.map(([meter, period, max]) => ({ meter, period, max })) })),
			address_limits: nothing.map(([meter, period, max]) => ({ meter, period, max })),
		}));
		const { routes } = JSON.parse(await stack.ctl('routes', '--json'));
		const call = (route) => {
			const target = route.path.replace(/\{(\w+)\}/g, (_, name) => ({ version: '1', provider: 'google' })[name] ?? randomUUID());
			return (route.auth.includes('public') ? http : ann).request(route.method, target);
		};
		// Each pool hears of it by itself: one route of each, for who is signed in.
		const of_pools = [...new Map(routes.filter((r) => !r.auth.includes('public') && r.rate !== 'none').map((r) => [r.pool, r])).values()];
		assert.ok(of_pools.length > 1);
		let in_a_row = 0;
		await until('nothing is allowed', async () => {
			const replies = await Promise.all(of_pools.map(call));
			in_a_row = replies.every((r) => r.status === 429) ? in_a_row + 1 : 0;
			return in_a_row >= 12;
		}, { every: 5 });
		for (const route of routes) {
			const r = await call(route);
			if (route.rate === 'none') {
				assert.equal(r.headers.ratelimit, undefined, route.id);
				assert.notEqual(r.status, 429, route.id);
				assert.match(route.id, /^(health|stripe)\./);
				continue;
			}
			const name = route.auth.includes('public') ? `${route.rate}-address` : route.rate;
			assert.equal(r.status, 429, `${route.id}: ${r}`);
			refused(r, name, 0, 60);
		}
	});
});

describe('limits of an app’s file', () => {
	test('what cannot be meant is refused, and changes nothing', async () => {
		await stack.useIssuers(APP, []);
		const was = await stack.ctl('app', 'show', APP);
		const plan = (more) => (f) => ({ ...f, plans: [{ ...f.plans[0], ...more }] });
		const limit = (meter, period, max) => plan({ limits: [{ meter, period, max }] });
		const twice = { meter: 'requests', period: 'minute', max: 1 };
		for (const [what, change] of [
			['a class by the day', limit('requests', 'day', 1)],
			['a class by the month', limit('mail_requests', 'month', 1)],
			['calls by the minute', limit('api_calls', 'minute', 1)],
			['calls by the month', limit('api_calls', 'month', 1)],
			['things by the minute', limit('memories', 'minute', 1)],
			['an unknown period', limit('memories', 'week', 1)],
			['less than -1', limit('requests', 'minute', -2)],
			['half of one', limit('requests', 'minute', 0.5)],
			['a word for a number', limit('requests', 'minute', '5')],
			['a meter that is none', limit('Requests', 'minute', 5)],
			['a meter twice', plan({ limits: [twice, twice] })],
			['more than a limit has', plan({ limits: [{ ...twice, burst: 1 }] })],
			['limits that are no list', plan({ limits: {} })],
			['no plan', (f) => ({ ...f, plans: [] })],
			['none of rank 0', plan({ rank: 1 })],
			['a rank twice', (f) => ({ ...f, plans: [f.plans[0], { ...f.plans[1], rank: 0 }] })],
			['a code twice', (f) => ({ ...f, plans: [f.plans[0], { ...f.plans[1], code: 'free' }] })],
			['a code that is none', plan({ code: 'Free plan' })],
			['addresses by the day', (f) => ({ ...f, address_limits: [{ meter: 'api_calls', period: 'day', max: 1 }] })],
			['a prefix of small letters', (f) => ({ ...f, licence: { prefix: 'fig' } })],
			['a prefix with a dash', (f) => ({ ...f, licence: { prefix: 'FIG-NODES' } })],
			['more than a licence has', (f) => ({ ...f, licence: { prefix: 'FIG', each: true } })],
			['addresses that are no list', (f) => ({ ...f, address_limits: 5 })],
		])
			await assert.rejects(stack.useIssuers(APP, [], change), /quoinctl: .*: (plans|licence|address_limits)/, what);
		assert.equal(await stack.ctl('app', 'show', APP), was);
	});
});
