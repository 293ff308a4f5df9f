// Files that prove licences without a network, checked out through nginx and read by the verifier that vendors ship
// (CONTRACT X10, X11; SECURITY T22).
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { readKeys, verify } from '../../verify/quoin-verify.mjs';
import { Copy } from '../lib/copy.mjs';
import { check, code, Licences } from '../lib/licences.mjs';
import { ok, problem } from '../lib/setup.mjs';
import { until } from '../lib/wait.mjs';

const product = 'coditect', seconds = () => Math.floor(Date.now() / 1000);
let w, owner, other;

const path = (licence, rest = '') => `/api/v1/licenses/${licence.id}${rest}`;
const out = async (who, licence, wish = {}, device = '') => ok(await who.as.post(path(licence, `${device}/check-out`), wish)).license_file;
const own = (json, http = w.http) => http.post('/api/v1/licenses/check-out', json);
const keys = async () => readKeys(ok(await w.http.get('/.well-known/quoin-licence-keys.json')));
const read = async (text, want = {}) => verify(text, await keys(), { product, now: seconds(), ...want });
const list = async () => (await w.http.get('/api/v1/licenses/revocations')).text;

before(async () => {
	w = await Licences.open(product);
	[owner, other] = [await w.person('owner'), await w.person('other')];
});
after(() => w?.close());

describe('a licence file', () => {
	test('is read by the verifier, and says what the licence says', async () => {
		const licence = await w.issue({ plan: 'pro', user_id: owner.id, max_devices: 4 });
		const file = await out(owner, licence);
		assert.match(file.certificate, /^-----BEGIN LICENSE FILE-----\n/);
		assert.equal(Date.parse(file.expires_at) - Date.parse(file.issued_at), 7 * 86_400_000);
		const r = await read(file.certificate);
		assert.equal(r.code, 'ok');
		assert.deepEqual([r.payload.kid, r.payload.license_id, r.payload.key, r.payload.plan, r.payload.seats, r.payload.license_expires, r.payload.limits.commands_per_day],
			[file.kid, licence.id, licence.license_key, 'pro', 4, null, -1]);
		assert.equal((await read(file.certificate, { product: 'cue' })).code, 'wrong-product');
		assert.equal((await read(file.certificate, { now: seconds() + 8 * 86_400 })).code, 'expired');
		assert.equal(await w.stack.one(`SELECT count(*) FROM audit_logs WHERE action = 'licence.check-out' AND resource_id = '${licence.id}'`), '1');
	});

	test('ends with its licence, and never later than its holder may have it', async () => {
		const licence = await w.issue({ plan: 'pro', user_id: owner.id, expires_at: new Date(Date.now() + 7_200_000).toISOString() });
		assert.equal((await out(owner, licence)).expires_at, licence.expires_at);
		const long = await w.issue({ plan: 'pro', user_id: owner.id });
		problem(await owner.as.post(path(long, '/check-out'), { ttl_seconds: 31 * 86_400 }), 'invalid-body');
		assert.equal((await read((await out(w.boss, long, { ttl_seconds: 365 * 86_400 })).certificate, { now: seconds() + 364 * 86_400 })).code, 'ok');
	});

	test('encrypted, only the key opens it', async () => {
		const licence = await w.issue({ plan: 'pro', user_id: owner.id });
		const { certificate, algorithm } = await out(owner, licence, { encrypt: true });
		assert.equal(algorithm, 'aes-256-gcm+ed25519');
		assert.equal((await read(certificate, { licenseKey: licence.license_key })).code, 'ok');
		assert.notEqual((await read(certificate, { licenseKey: `${licence.license_key}x` })).code, 'ok');
		assert.notEqual((await read(certificate)).code, 'ok');
	});

	test('is made for nobody else, and of no licence that may not be used', async () => {
		const licence = await w.issue({ plan: 'pro', user_id: owner.id });
		problem(await other.as.post(path(licence, '/check-out'), {}), 'license-not-found');
		await w.change(licence, 'suspend');
		problem(await owner.as.post(path(licence, '/check-out'), {}), 'license-state');
		assert.equal((await own({ license_key: licence.license_key, machine_id: 'm1' })).json.code, 'SUSPENDED');
		await w.change(licence, 'revoke');
		problem(await owner.as.post(path(licence, '/check-out'), {}), 'license-state');
	});

	test('nor of one that is over, be it as it may online', async () => {
		const licence = await w.issue({ plan: 'pro', user_id: owner.id, expiry: 'maintain', expires_at: new Date(Date.now() + 3_600_000).toISOString() });
		await check(w.http, licence, 'm1');
		const [device] = ok(await owner.as.get(path(licence, '/devices'))).devices;
		await w.stack.rows(`UPDATE licenses SET expires_at = now() - interval '1 min' WHERE id = '${licence.id}'`);
		await until('it has expired, and is good all the same', async () => (await check(w.http, licence, 'm1')).code === 'EXPIRED');
		problem(await owner.as.post(path(licence, `/devices/${device.id}/check-out`), {}), 'license-state');
		problem(await own({ license_key: licence.license_key, machine_id: 'm1' }), 'license-state');
		const request = { version: 1, kind: 'activation-request', product, key: licence.license_key, machine: 'm1', nonce: 'n' };
		problem(await w.http.post('/api/v1/licenses/activate', { request }), 'license-state');
	});
});

describe('a machine file', () => {
	test('is had with the key alone: the machine has a seat then, and no other can use it', async () => {
		const licence = await w.issue({ plan: 'pro', user_id: owner.id, max_devices: 1 });
		const r = ok(await own({ license_key: licence.license_key, machine_id: 'm1', nonce: 'n-1' }));
		assert.deepEqual([r.valid, r.code], [true, 'VALID']);
		const want = { kind: 'machine', machine: 'm1', nonce: 'n-1' };
		assert.equal((await read(r.machine_file.certificate, want)).code, 'ok');
		assert.equal((await read(r.machine_file.certificate, { ...want, machine: 'm2' })).code, 'wrong-machine');
		assert.equal((await read(r.machine_file.certificate)).code, 'wrong-kind', 'it is no licence file');
		const full = ok(await own({ license_key: licence.license_key, machine_id: 'm2' }));
		assert.deepEqual([full.valid, full.code, full.machine_file], [false, 'TOO_MANY_DEVICES', null]);
		assert.equal(ok(await own({ license_key: `${licence.license_key.slice(0, -1)}!`, machine_id: 'm1' })).code, 'NOT_FOUND');
	});

	test('is made for a seat by who looks after the licence', async () => {
		const licence = await w.issue({ plan: 'pro', user_id: owner.id });
		await check(w.http, licence, 'laptop');
		const [device] = ok(await owner.as.get(path(licence, '/devices'))).devices;
		const { certificate } = await out(owner, licence, {}, `/devices/${device.id}`);
		assert.equal((await read(certificate, { kind: 'machine', machine: 'laptop' })).code, 'ok');
		problem(await owner.as.post(path(licence, `/devices/${licence.id}/check-out`), {}), 'device-not-found');
		problem(await other.as.post(path(licence, `/devices/${device.id}/check-out`), {}), 'license-not-found');
	});

	test('of what a person carried from a machine without a network', async () => {
		const licence = await w.issue({ plan: 'pro', user_id: owner.id });
		const request = { version: 1, kind: 'activation-request', product, key: licence.license_key, machine: 'bunker', name: 'The bunker', nonce: randomBytes(8).toString('hex') };
		const r = ok(await w.http.post('/api/v1/licenses/activate', { request }));
		assert.equal((await read(r.machine_file.certificate, { kind: 'machine', machine: 'bunker', nonce: request.nonce })).code, 'ok');
		assert.equal(await code(w.http, licence, 'bunker'), 'VALID');
		for (const wrong of [{ product: 'cue' }, { version: 2 }, { machine: 'a"b' }, { nonce: undefined }])
			problem(await w.http.post('/api/v1/licenses/activate', { request: { ...request, ...wrong } }), 'invalid-body');
	});

	test('for what no file can hold there is none', async () => {
		const licence = await w.issue({ plan: 'pro', user_id: owner.id });
		for (const wrong of [{ machine_id: 'a"b' }, { machine_id: 'a\\b' }, { nonce: 'é' }, { ttl_seconds: 31 * 86_400 }, { ttl_seconds: 60 }])
			problem(await own({ license_key: licence.license_key, machine_id: 'm', ...wrong }), 'invalid-body');
		assert.equal(await w.stack.one(`SELECT count(*) FROM license_devices WHERE license_id = '${licence.id}'`), '0');
	});
});

describe('what a file rests on', () => {
	const ttl_seconds = 30 * 86_400;
	const endsOf = async (licence, machine_id = 'm1') => ok(await own({ license_key: licence.license_key, machine_id, ttl_seconds })).machine_file?.expires_at;
	const near = (when, expected) => assert.ok(Math.abs(Date.parse(when) - expected) < 60_000, `${when} is not ${new Date(expected).toISOString()}`);

	test('a lease: one that is given back leaves nothing that is good for a month (T22)', async () => {
		const licence = await w.issue({ plan: 'team', user_id: owner.id, kind: 'floating', max_leases: 1, lease_seconds: 120 });
		const lease = (verb, machine_id) => w.http.post(`/api/v1/licenses/${verb}`, { license_key: licence.license_key, machine_id });
		assert.equal(await endsOf(licence), undefined, 'without a lease there is no file');
		const { expires_at } = ok(await lease('leases', 'm1'));
		assert.equal(await endsOf(licence), expires_at);
		problem(await owner.as.post(path(licence, '/check-out'), { ttl_seconds }), 'license-state');
		ok(await lease('leases/release', 'm1'));
		ok(await lease('leases', 'm2'));
		await until('the first has no more', async () => (await endsOf(licence, 'm1')) === undefined);
	});

	test('signs of life and check-ins', async () => {
		const silent = await w.issue({ plan: 'pro', max_devices: 1, heartbeat_seconds: 600 });
		near(await endsOf(silent), Date.now() + 600_000);
		const kept = await w.issue({ plan: 'pro', check_in_days: 2 });
		near(await endsOf(kept), Date.now() + 2 * 86_400_000);
		near(await endsOf(await w.issue({ plan: 'pro' })), Date.now() + ttl_seconds * 1000);
	});

	test('the plan of its owner, where the licence follows that: a validation too', async () => {
		const who = await w.person('pilot');
		const licence = await w.issue({ user_id: who.id });
		const ends = new Date(Math.ceil(Date.now() / 1000) * 1000 + 3_600_000);
		await w.stack.ctl('grant', 'set', '--app', product, '--user', who.email, '--plan', 'pro', '--until', ends.toISOString());
		const a = await until('it has the plan', async () => { const x = await check(w.http, licence); return x.tier === 'PRO' && x; });
		assert.equal(Date.parse(a.cached_until), ends.getTime(), 'nobody believes it for longer');
		assert.equal(Date.parse(await endsOf(licence)), ends.getTime());
		assert.equal(Date.parse((await check(w.http, await w.issue({ plan: 'pro', user_id: who.id }))).cached_until) > ends.getTime(), true, 'one with a plan of its own has it on');
	});
});

describe('the list of what was revoked', () => {
	test('has the licences of who is suspended too, of which there are no files then', async () => {
		const who = await w.person('gone');
		const licence = await w.issue({ plan: 'pro', user_id: who.id });
		const { certificate } = await out(who, licence);
		const listed = async () => (await read(certificate, { revocations: (await read(await list(), { kind: 'revocations' })).payload })).code;
		assert.equal(await listed(), 'ok');
		await w.stack.ctl('user', 'suspend', '--app', product, who.email);
		assert.equal(await listed(), 'revoked');
		problem(await w.boss.as.post(path(licence, '/check-out'), {}), 'license-state');
		await w.stack.ctl('user', 'unsuspend', '--app', product, who.email);
		assert.equal(await listed(), 'ok');
	});

	test('makes the verifier refuse, until it is reinstated; its sequence grows', async () => {
		const licence = await w.issue({ plan: 'pro', user_id: owner.id });
		const { certificate } = await out(owner, licence);
		const was = await read(await list(), { kind: 'revocations' });
		assert.equal(was.code, 'ok');
		assert.equal((await read(certificate, { revocations: was.payload })).code, 'ok');
		await w.change(licence, 'suspend');
		const now = await read(await list(), { kind: 'revocations', sequence: was.payload.sequence });
		assert.equal((await read(certificate, { revocations: now.payload })).code, 'revoked');
		assert.ok(now.payload.sequence >= was.payload.sequence);
		await w.change(licence, 'reinstate');
		assert.equal((await read(certificate, { revocations: (await read(await list(), { kind: 'revocations' })).payload })).code, 'ok');
	});
});

describe('an on-premise key of before, with an RSA signature in it (X10)', () => {
	const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 4096 });
	const head = `CODITECT-ENT-${randomBytes(16).toString('hex').toUpperCase()}-250-20991231`;
	const key = `${head}-${sign('sha256', head, privateKey).toString('base64')}`;
	const temporary = (name, text) => {
		const file = join(w.stack.state, `${head}-${name}`);
		writeFileSync(file, text);
		return file;
	};
	/** What the C verifier says; it names the code when it refuses. */
	const inC = (text, keysText, { machine, licenseKey }) => new Promise((resolve) => {
		const args = ['--keys', temporary('keys', keysText), '--product', product, '--machine', machine, '--license-key-file', temporary('key', licenseKey), temporary('file', text)];
		execFile(join(new Copy(w.stack).build, 'quoin-verify'), args, (e, _, stderr) => resolve(e === null ? 'ok' : stderr.trim().split(' ').at(-1)));
	});

	test('comes in as it is, is good online, and gets files that both verifiers read', async () => {
		assert.ok(key.length > 730);
		await w.stack.ctl('licence', 'import', '--app', product, temporary('csv', `license_key,plan,expires_at,max_devices\n${key},enterprise,2099-12-31T00:00:00Z,250\n`));
		await until('it is known', async () => (await code(w.http, key)) === 'VALID', { within: 5000 });
		assert.deepEqual([(await check(w.http, key)).tier, await code(w.http, `${key.slice(0, -3)}A==`), await code(w.http, key.toLowerCase())], ['ENT', 'NOT_FOUND', 'NOT_FOUND']);
		const published = (await w.http.get('/.well-known/quoin-licence-keys.json')).text;
		for (const encrypt of [false, true]) {
			const { machine_file: { certificate } } = ok(await own({ license_key: key, machine_id: 'm'.repeat(255), encrypt }));
			const want = { kind: 'machine', machine: 'm'.repeat(255), licenseKey: key };
			const r = await read(certificate, want);
			assert.deepEqual([r.code, r.payload?.key, r.payload?.seats], ['ok', key, 250]);
			assert.equal(await inC(certificate, published, want), 'ok');
			const wrong = { ...want, licenseKey: `${key}x` }, why = encrypt ? 'cannot-decrypt' : 'wrong-license';
			assert.deepEqual([(await read(certificate, wrong)).code, await inC(certificate, published, wrong)], [why, why]);
		}
		const request = { version: 1, kind: 'activation-request', product, key, machine: 'bunker', nonce: 'n' };
		const carried = ok(await w.http.post('/api/v1/licenses/activate', { request })).machine_file.certificate;
		assert.equal((await read(carried, { kind: 'machine', machine: 'bunker', nonce: 'n' })).code, 'ok');
	});

	test('a longer one is refused', async () => {
		const long = `${key}${'x'.repeat(751 - key.length)}`;
		await assert.rejects(w.stack.ctl('licence', 'import', '--app', product, temporary('csv', `license_key,plan\n${long},enterprise\n`)), /1 of 1 refused/);
		assert.equal(await code(w.http, long), 'NOT_FOUND');
		problem(await w.http.post('/api/v1/licenses/validate', { license_key: 'x'.repeat(783), machine_id: 'm' }), 'invalid-body');
	});
});
