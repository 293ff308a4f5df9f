// Machines and leases of licences (CONTRACT D18, D21; SECURITY T21): who comes first has the seat, however many come at
// once; a seat is freed by its holder, a silent machine loses it, and a lease comes back by itself.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import process from 'node:process';
import { after, before, describe, test } from 'node:test';

import { Copy, signal } from '../lib/copy.mjs';
import { check, code, Licences } from '../lib/licences.mjs';
import { ok, problem } from '../lib/setup.mjs';
import { inParallel, until } from '../lib/wait.mjs';

/** SEATS_FULL=1: as often as the issue says. */
const ROUNDS = process.env.SEATS_FULL === '1' ? 100 : 4;
const CROWD = 200;
let w, ann, http;

before(async () => {
	w = await Licences.open();
	http = w.http;
	ann = await w.person('ann');
});
after(() => w?.close());

const beat = (l, machine_id) => http.put('/api/v1/licenses/heartbeat', { license_key: l.license_key, machine_id }).then((r) => ok(r));
const lease = (l, machine_id) => http.post('/api/v1/licenses/leases', { license_key: l.license_key, machine_id }).then((r) => ok(r));
const back = (l, machine_id) => http.post('/api/v1/licenses/leases/release', { license_key: l.license_key, machine_id }).then((r) => ok(r));
const leave = (l, machine_id) => http.post('/api/v1/licenses/release', { license_key: l.license_key, machine_id });
const tally = (codes) => codes.reduce((n, c) => ({ ...n, [c]: (n[c] ?? 0) + 1 }), {});

describe('seats', () => {
	test(`${CROWD} machines come at once for the last seat: one has it, ${ROUNDS} times`, async () => {
		for (let round = 0; round < ROUNDS; round++) {
			const l = await w.issue({ plan: 'pro', max_devices: 3 });
			for (const m of ['a', 'b'])
				assert.equal(await code(http, l, m), 'VALID');
			const codes = await inParallel(Array.from({ length: CROWD }, (_, n) => n), 64, (n) => code(http, l, `crowd-${n}`));
			assert.deepEqual(tally(codes), { VALID: 1, TOO_MANY_DEVICES: CROWD - 1 });
			assert.equal((await w.devices(l)).length, 3);
			assert.equal((await w.told(l)).filter((t) => t === 'device.added').length, 3);
		}
	});

	test('one machine comes many times at once: it has one', async () => {
		const l = await w.issue({ plan: 'pro', max_devices: 2 });
		const codes = await inParallel(Array.from({ length: 40 }, (_, n) => n), 32, () => code(http, l, 'me'));
		assert.deepEqual(tally(codes), { VALID: 40 });
		assert.equal((await w.devices(l)).length, 1);
	});

	test('-1 is any number, overage lets more in, the plan’s number is the rule', async () => {
		for (const [policy, most] of [[{ plan: 'enterprise' }, 6], [{ plan: 'pro', max_devices: -1 }, 6], [{ plan: 'pro', max_devices: 1, overage: true }, 6], [{ plan: 'free' }, 1], [{ plan: 'team' }, 5]]) {
			const l = await w.issue(policy);
			const codes = [];
			for (let n = 0; n < 6; n++)
				codes.push(await code(http, l, `m${n}`));
			assert.equal(codes.filter((c) => c === 'VALID').length, most, JSON.stringify(policy));
		}
	});

	test('are listed, named and freed by who looks after the licence: so many times in 30 days', async () => {
		const l = await w.issue({ plan: 'pro', user_id: ann.id, max_releases: 2 });
		for (const m of ['a', 'b', 'c'])
			assert.equal(await code(http, l, m, { name: `of ${m}`, platform: 'linux', version: '1.0' }), 'VALID');
		assert.equal(await code(http, l, 'd'), 'TOO_MANY_DEVICES');
		const path = `/api/v1/licenses/${l.id}/devices`;
		const { devices } = ok(await ann.as.get(path));
		assert.deepEqual(devices.map((d) => [d.machine_id, d.name, d.platform, d.version, d.ip]), ['a', 'b', 'c'].map((m) => [m, `of ${m}`, 'linux', '1.0', '127.0.0.1']));
		assert.equal(ok(await ann.as.put(`${path}/${devices[0].id}`, { name: 'desk' })).device.name, 'desk');
		assert.deepEqual(ok(await ann.as.delete(`${path}/${devices[1].id}`)), { success: true });
		assert.equal(await code(http, l, 'd'), 'VALID'); // the very next
		assert.equal(await code(http, l, 'b'), 'TOO_MANY_DEVICES');
		problem(await ann.as.delete(`${path}/${devices[1].id}`), 'device-not-found');
		problem(await ann.as.put(`${path}/${randomUUID()}`, { name: 'x' }), 'device-not-found');
		ok(await ann.as.delete(`${path}/${devices[2].id}`));
		problem(await ann.as.delete(`${path}/${devices[0].id}`), 'release-limit');
		ok(await w.boss.as.delete(`${path}/${devices[0].id}`)); // staff may
		assert.equal((await w.told(l)).filter((t) => t === 'device.released').length, 3);
		assert.deepEqual(await w.audited(l), await w.told(l));
	});

	test('are given back by the machine itself, by the same count', async () => {
		const l = await w.issue({ plan: 'free', max_releases: 1 });
		assert.equal(await code(http, l, 'old'), 'VALID');
		ok(await leave(l, 'old'));
		assert.equal(await code(http, l, 'new'), 'VALID');
		problem(await leave(l, 'old'), 'device-not-found');
		problem(await leave({ license_key: 'CODITECT-PRO-000000000000-0000' }, 'x'), 'device-not-found');
		problem(await leave(l, 'new'), 'release-limit');
	});

	test('of a plan that allows fewer now, the first stay; one is freed, and the next is in', async () => {
		const who = await w.person('less');
		await w.stack.ctl('grant', 'set', '--app', 'coditect', '--user', who.email, '--plan', 'pro');
		const l = await w.issue({ user_id: who.id });
		const codes = () => Promise.all(['a', 'b', 'c'].map((m) => code(http, l, m)));
		for (const m of ['a', 'b', 'c'])
			assert.equal(await code(http, l, m), 'VALID');
		await w.stack.ctl('grant', 'drop', '--app', 'coditect', '--user', who.email);
		await until('one is left', async () => (await codes()).join() === 'VALID,TOO_MANY_DEVICES,TOO_MANY_DEVICES', { within: 5000 });
		const [first] = await w.devices(l);
		ok(await who.as.delete(`/api/v1/licenses/${l.id}/devices/${first.id}`));
		assert.deepEqual(await Promise.all(['b', 'c'].map((m) => code(http, l, m))), ['VALID', 'TOO_MANY_DEVICES']);
	});
});

describe('heartbeats', () => {
	const silent = (l, machine, seconds) => w.stack.rows(`UPDATE license_devices SET last_heartbeat_at = now() - interval '${seconds} s' WHERE license_id = '${l.id}' AND machine_id = '${machine}'; UPDATE licenses SET updated_at = now() WHERE id = '${l.id}'`);

	test('a machine that was silent is missed, and is back with a sign of life', async () => {
		const l = await w.issue({ plan: 'pro', heartbeat_seconds: 60 });
		const a = await check(http, l, 'a');
		assert.ok(Date.parse(a.cached_until) - Date.now() <= 61_000, a.cached_until);
		await silent(l, 'a', 61);
		await until('it is missed', async () => (await code(http, l, 'a')) === 'HEARTBEAT_MISSED', { within: 5000 });
		assert.deepEqual(await beat(l, 'a').then((r) => [r.valid, r.code]), [true, 'VALID']);
		assert.equal(await code(http, l, 'a'), 'VALID');
		assert.deepEqual(await beat(l, 'never-seen').then((r) => [r.valid, r.code]), [false, 'NEW_DEVICE']);
		assert.equal((await beat({ license_key: 'nothing-like-a-key' }, 'a')).code, 'NOT_FOUND');
		ok(await w.change(l, 'suspend'));
		assert.equal((await beat(l, 'a')).code, 'SUSPENDED');
	});

	test('it makes room for another, and does not come back where that one sits (T22)', async () => {
		const l = await w.issue({ plan: 'pro', max_devices: 1, heartbeat_seconds: 60 });
		assert.equal(await code(http, l, 'a'), 'VALID');
		assert.equal(await code(http, l, 'b'), 'TOO_MANY_DEVICES');
		await silent(l, 'a', 61);
		assert.equal(await code(http, l, 'b'), 'VALID');
		assert.equal((await beat(l, 'a')).code, 'NEW_DEVICE');
		await until('it has lost its seat everywhere', async () => (await code(http, l, 'a')) === 'TOO_MANY_DEVICES');
	});

	test('twice as long, and its seat is gone by itself', async () => {
		const l = await w.issue({ plan: 'pro', heartbeat_seconds: 30 });
		assert.equal(await code(http, l, 'a'), 'VALID');
		await silent(l, 'a', 61);
		await until('it is swept', async () => (await w.devices(l)).length === 0, { within: 25_000 });
		assert.deepEqual(await w.told(l), ['licence.created', 'device.added', 'device.released']);
	});
});

describe('floating leases', () => {
	test('as many as there are, however many come at once; given back, taken again, made longer', async () => {
		const l = await w.issue({ plan: 'team', kind: 'floating', max_leases: 3, lease_seconds: 60 });
		assert.equal(await code(http, l, 'a'), 'LEASE_REQUIRED');
		const codes = await inParallel(Array.from({ length: 60 }, (_, n) => n), 32, (n) => lease(l, `m${n}`).then((r) => r.code));
		assert.deepEqual(tally(codes), { VALID: 3, NO_LEASE_LEFT: 57 });
		const [first, second] = codes.flatMap((c, n) => (c === 'VALID' ? [`m${n}`] : []));
		assert.deepEqual(await check(http, l, first).then((a) => [a.code, a.quotas.max_leases]), ['VALID', 3]);
		assert.equal(await code(http, l, 'other'), 'LEASE_REQUIRED');
		const longer = await lease(l, first);
		assert.deepEqual([longer.valid, longer.leases, longer.max_leases], [true, 3, 3]);
		assert.ok(Math.abs(Date.parse(longer.expires_at) - Date.now() - 60_000) < 10_000, longer.expires_at);
		assert.deepEqual(ok(await w.boss.as.get(`/api/v1/licenses/${l.id}/leases`)).leases.length, 3);
		assert.deepEqual(await back(l, first).then((r) => [r.valid, r.code, r.leases]), [false, 'LEASE_REQUIRED', 2]);
		assert.equal(await code(http, l, first), 'LEASE_REQUIRED'); // the very next
		assert.equal((await lease(l, 'other')).code, 'VALID');
		assert.equal(await code(http, l, second), 'VALID');
		assert.equal((await w.devices(l)).length, 0);
	});

	test('one that is not made longer ends, and is swept', async () => {
		const l = await w.issue({ plan: 'team', kind: 'floating', max_leases: 1, lease_seconds: 30 });
		assert.equal((await lease(l, 'a')).code, 'VALID');
		assert.equal(await code(http, l, 'a'), 'VALID');
		await w.stack.rows(`UPDATE license_leases SET expires_at = now() + interval '1 s' WHERE license_id = '${l.id}'; UPDATE licenses SET updated_at = now() WHERE id = '${l.id}'`);
		await until('it is over', async () => (await code(http, l, 'a')) === 'LEASE_REQUIRED');
		assert.equal((await lease(l, 'b')).code, 'VALID');
		await w.stack.rows(`UPDATE license_leases SET expires_at = now() WHERE license_id = '${l.id}'`);
		await until('it is swept', async () => (await w.stack.one(`SELECT count(*) FROM license_leases WHERE license_id = '${l.id}'`)) === '0', { within: 25_000 });
	});

	test('of what does not float there are none', async () => {
		const l = await w.issue({ plan: 'team' });
		assert.equal((await lease(l, 'a')).code, 'NOT_FLOATING');
		assert.equal((await lease({ license_key: 'nothing-like-a-key' }, 'a')).code, 'NOT_FOUND');
	});
});

describe('what was validated', () => {
	test('is stored within a second or so, each of it, once (D21)', async () => {
		const l = await w.issue({ plan: 'pro', max_devices: 1 });
		await inParallel(Array.from({ length: 120 }, (_, n) => n), 16, () => code(http, l, 'a', { version: '2.1' }));
		assert.equal(await code(http, l, 'b', { version: '2.1' }), 'TOO_MANY_DEVICES');
		const sums = () => w.stack.rows(`SELECT machine_id, code, version, ip_address, sum(times) FROM license_validations WHERE license_id = '${l.id}' GROUP BY 1, 2, 3, 4 ORDER BY 1`);
		await until('all are there', async () => (await sums()).map((r) => r[4]).join() === '120,1', { within: 15_000 });
		assert.deepEqual(await sums(), [['a', undefined, '2.1', '127.0.0.1', '120'], ['b', 'TOO_MANY_DEVICES', '2.1', '127.0.0.1', '1']]);
	});

	test('outlives the workers that counted it: kill -9, and whoever comes next stores it', async () => {
		const copy = new Copy(w.stack);
		const many = await w.issue({ plan: 'pro', max_devices: -1 });
		const machines = Array.from({ length: 400 }, (_, n) => `m${n}`);
		for (const m of machines) // more than are stored at once
			assert.equal(await code(http, many, m), 'VALID');
		for (let round = 0; round < 3; round++) {
			await inParallel(machines, 32, (m) => code(http, many, m));
			const workers = copy.workers('api');
			workers.forEach((pid) => signal(pid, 'SIGKILL'));
			await until('others are there', () => copy.workers('api').length === copy.wanted('api') && !copy.workers('api').some((pid) => workers.includes(pid)));
		}
		await until('all are there', async () => Number(await w.stack.one(`SELECT sum(times) FROM license_validations WHERE license_id = '${many.id}'`)) >= 1600, { within: 30_000, every: 200 });
		assert.equal((await w.devices(many)).length, 400);
	});

	test('moves the machine’s last_seen_at on, in steps of ten minutes', async () => {
		const l = await w.issue({ plan: 'pro' });
		assert.equal(await code(http, l, 'a'), 'VALID');
		await w.stack.rows(`UPDATE license_devices SET last_seen_at = now() - interval '1 hour' WHERE license_id = '${l.id}'; UPDATE licenses SET updated_at = now() WHERE id = '${l.id}'`);
		await until('it was seen', async () => {
			await code(http, l, 'a');
			const [d] = await w.devices(l);
			return Date.now() - Date.parse(d.last_seen_at) < 600_000;
		}, { within: 20_000, every: 200 });
	});
});
