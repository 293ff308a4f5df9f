// The copies of licence answers (CONTRACT D22; DESIGN §7): a day old at most, never a lie, and of use while Postgres is
// away. Whatever state memcached is in, a change is seen by the next question.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { alive, Copy, signal } from '../lib/copy.mjs';
import { ask, check, code, Licences } from '../lib/licences.mjs';
import { ok, problem } from '../lib/setup.mjs';
import { inParallel, until } from '../lib/wait.mjs';

let w, http, copy;
const superuser = ['-U', 'postgres'];

before(async () => {
	w = await Licences.open();
	http = w.http;
	copy = new Copy(w.stack);
	await old();
});
after(() => w?.close());

/** A copy in memcached is believed, by a worker that has none of its own, when it is five seconds younger than the last
 * change that this host heard of, and all before its listener began may have changed. */
async function old() {
	const from = Date.now();
	await until('what changed before is old', () => Date.now() - from > 6000, { every: 100 });
}

/** Each worker asks Postgres again by itself, after a rest. */
const ready = () => until('it is well, whichever worker answers', async () => (await inParallel(Array.from({ length: 32 }), 16, () => http.get('/health'))).every((r) => r.status === 200));
/** A counter of all pools. */
const counted = async (name) => [...(await http.get('/metrics')).text.matchAll(new RegExp(`^quoin_${name}_total(?:\\{[^}]*\\})? (\\d+)$`, 'gm'))].reduce((n, m) => n + Number(m[1]), 0);
const statements = () => counted('db_queries');

/** Asked often enough that every worker of the pool has an answer of its own. */
const warm = (l, machine = 'm1', who = http) => inParallel(Array.from({ length: 32 }, (_, n) => n), 16, () => code(who, l, machine));

describe('a warm copy', () => {
	test('asks Postgres for nothing, with a token beside it or without', async () => {
		const ann = await w.person('ann');
		const l = await w.issue({ plan: 'pro', user_id: ann.id });
		await until('the workers have it', async () => {
			await warm(l, 'm1', ann.as);
			const from = await statements(), began = performance.now();
			await inParallel(Array.from({ length: 64 }, (_, n) => n), 8, () => code(ann.as, l));
			// What else goes on: validations are stored, a statement a second and worker, listeners ask, and jobs. Sixteen a second.
			return (await statements()) - from < 24 + (16 * (performance.now() - began)) / 1000;
		}, { within: 15_000 });
	});

	test('survives the workers that made it: another finds it in memcached', async () => {
		const l = await w.issue({ plan: 'pro' });
		assert.equal(await code(http, l), 'VALID');
		const before_ = copy.workers('api');
		for (const pid of before_)
			signal(pid, 'SIGTERM');
		await until('others are there', () => copy.workers('api').length === copy.wanted('api') && !copy.workers('api').some((pid) => before_.includes(pid)));
		const hits = await counted('cache_hits');
		assert.equal(await code(http, l), 'VALID');
		assert.ok(await counted('cache_hits') > hits);
	});
});

describe('while Postgres is away', () => {
	test('what was known serves, and says so; what was revoked, what is new, and all else is refused', async () => {
		const ann = await w.person('ann');
		const known = await w.issue({ plan: 'pro', user_id: ann.id });
		const revoked = await w.issue({ plan: 'pro' });
		const unknown = await w.issue({ plan: 'pro' });
		const unseen = (await w.stack.ctl('token', '--app', 'coditect', ann.email)).trim();
		await old();
		await warm(known, 'm1', ann.as);
		await warm(revoked);
		ok(await w.change(revoked, 'revoke'));
		await w.stack.rows('ALTER ROLE quoin CONNECTION LIMIT 0', ...superuser);
		try {
			await w.stack.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'quoin'", ...superuser);
			// By who answers, and by the listener, who tells all.
			await until('it is felt', async () => (await http.get('/health')).status === 503 && (await check(http, known)).stale === true);
			for (const who of [http, ann.as])
				for (let n = 0; n < 12; n++) {
					const a = await check(who, known);
					assert.deepEqual([a.valid, a.code, a.tier, a.features.cloud_sync, a.stale], [true, 'VALID', 'PRO', true, true]);
					assert.ok(Date.parse(a.cached_until) < Date.now() + 86_400_000);
				}
			problem(await ask(http, revoked), 'try-later');
			problem(await ask(http, unknown), 'try-later');
			problem(await ask(http, known, 'a-new-machine'), 'try-later');
			problem(await ask(http, known, 'm1', { commands: 1 }), 'try-later');
			assert.equal((await check(http, 'no key')).code, 'NOT_FOUND');
			const forged = `${ann.token.slice(0, -6)}AAAAAA`;
			problem(await ask(http.as(forged), known), 'token-signature');
			for (let n = 0; n < 12; n++)
				assert.equal((await check(http.as(unseen), known)).stale, true);
		} finally {
			await w.stack.rows('ALTER ROLE quoin CONNECTION LIMIT -1', ...superuser);
		}
		await ready();
		await until('it is asked again', async () => (await check(http, known)).stale === undefined);
		await until('the revoked one is refused as such', async () => (await code(http, revoked)) === 'REVOKED');
	});

	test('a worker that is worn out stays: the next one would know nothing', async () => {
		const known = await w.issue({ plan: 'pro' });
		const undo = await copy.configure(['api'], { QUOIN_WORKER_REQUESTS: '40' });
		try {
			await old();
			await warm(known);
			await w.stack.rows('ALTER ROLE quoin CONNECTION LIMIT 0', ...superuser);
			await w.stack.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'quoin'", ...superuser);
			await until('it is felt', async () => (await check(http, known)).stale === true);
			const workers = copy.workers('api');
			await inParallel(Array.from({ length: 400 }, (_, n) => n), 8, async () => assert.equal((await check(http, known)).stale, true));
			assert.deepEqual(copy.children(copy.pid('api')).filter((pid) => workers.includes(pid)), workers);
		} finally {
			await w.stack.rows('ALTER ROLE quoin CONNECTION LIMIT -1', ...superuser);
			await ready();
			await undo();
		}
	});
});

describe('never lies', () => {
	const states = {
		'memcached up': [async () => {}, async () => {}],
		'memcached down': [async () => {
			const pid = copy.pid('memcached');
			signal(pid, 'SIGKILL');
			await until('memcached is gone', () => !alive(pid), { every: 5 });
		}, () => copy.shell('up_memcached')],
		'memcached frozen': [async () => signal(copy.pid('memcached'), 'SIGSTOP'), async () => signal(copy.pid('memcached'), 'SIGCONT')],
		'memcached flushed': [() => copy.memcached('flush_all\r\n', 'OK'), async () => {}],
	};
	/** A change, and what the next question is to be answered; [made, verb, machine, answer]. */
	const changes = {
		revoke: async (l) => {
			ok(await w.change(l, 'revoke'));
			return 'REVOKED';
		},
		suspend: async (l) => {
			ok(await w.change(l, 'suspend'));
			return 'SUSPENDED';
		},
		'device release': async (l) => {
			const [d] = await w.devices(l);
			ok(await w.boss.as.delete(`/api/v1/licenses/${l.id}/devices/${d.id}`));
			assert.equal(await code(http, l, 'another'), 'VALID');
			return 'TOO_MANY_DEVICES';
		},
		transfer: async (l) => {
			ok(await w.change(l, 'transfer', {}));
			assert.equal(await code(http, l, 'another'), 'VALID');
			return 'TOO_MANY_DEVICES';
		},
		expire: async (l) => {
			const { license } = ok(await w.change(l, 'renew', { expires_at: new Date(Date.now() + 2000).toISOString() })); // still to come when it is read
			const end = Date.parse(license.expires_at), said = await code(http, l);
			assert.ok(said === 'VALID' || Date.now() > end, said);
			await until('its end is there', () => Date.now() > end, { every: 5 });
			return 'EXPIRED';
		},
	};

	for (const [state, [begin, end]] of Object.entries(states))
		test(state, async () => {
			await ready();
			const licences = {};
			for (const what of Object.keys(changes)) {
				licences[what] = await w.issue({ plan: 'pro', max_devices: 1, kind: 'term', term_days: 30 });
				await warm(licences[what]);
			}
			const who = await w.person('plan');
			const follows = await w.issue({ user_id: who.id, max_devices: 9 });
			await warm(follows);
			await begin();
			try {
				for (const [what, change] of Object.entries(changes)) {
					const answer = await change(licences[what]);
					for (let n = 0; n < 12; n++) // whichever worker
						assert.equal(await code(http, licences[what]), answer, `${what}, question ${n + 1}`);
				}
				assert.equal((await check(http, follows)).tier, 'FREE');
				await w.stack.rows(`SELECT grant_set(app_id, id, NULL, 'override', id::text, 'team', NULL, NULL) FROM users WHERE id = '${who.id}'`);
				await until('the plan is another', async () => (await check(http, follows)).tier === 'TEAM', { within: 5000, every: 5 });
				for (let n = 0; n < 12; n++)
					assert.equal((await check(http, follows)).tier, 'TEAM');
			} finally {
				await end();
			}
		});

	test('a change of what the plans allow, in the app’s file', async () => {
		const l = await w.issue({ plan: 'pro' });
		await warm(l);
		const config = await w.stack.one("SELECT config FROM apps WHERE slug = 'coditect'");
		const changed = JSON.parse(config);
		changed.plans.find((p) => p.code === 'pro').features.push('telepathy');
		const put = (text) => w.stack.rows(`UPDATE apps SET config = '${text.replaceAll("'", "''")}' WHERE slug = 'coditect'`);
		await put(JSON.stringify(changed));
		try {
			await until('it is seen', async () => (await check(http, l)).features.telepathy === true, { within: 5000 });
			for (let n = 0; n < 12; n++)
				assert.equal((await check(http, l)).features.telepathy, true);
		} finally {
			await put(config);
		}
		await until('it is as it was', async () => (await check(http, l)).features.telepathy === undefined, { within: 5000 });
	});

	test('nobody writes an answer into memcached: what is changed there is not believed', async () => {
		const l = await w.issue({ plan: 'pro', max_devices: 1 });
		assert.equal(await code(http, l), 'VALID');
		// While its own crawler is at work it says BUSY, and nothing more; a key may have END in it.
		const dump = await until('memcached lists its keys', () => copy.memcached('lru_crawler metadump all\r\n', 'END\r\n'), { within: 60_000 });
		const keys = [...dump.matchAll(/key=(\S*license\S*)/g)].map((m) => decodeURIComponent(m[1]));
		assert.ok(keys.length > 0);
		for (const key of keys.slice(0, 50))
			await copy.memcached(`set ${key} 0 0 5\r\nVALID\r\n`, 'STORED');
		ok(await w.change(l, 'revoke'));
		for (let n = 0; n < 12; n++)
			assert.equal(await code(http, l), 'REVOKED');
	});
});
