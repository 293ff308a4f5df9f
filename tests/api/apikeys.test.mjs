// API keys: shown once, held only as a digest, and worth no more than their scopes, their networks and
// their time (CONTRACT B6, B24-B26, B28, E10, E19, X13; SECURITY T18, T22, T33, T35).
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { after, before, describe, test } from 'node:test';

import { ok, problem } from '../lib/setup.mjs';
import { Stack } from '../lib/stack.mjs';
import { inParallel, until } from '../lib/wait.mjs';

const APP = 'memorygraph', PREFIX = 'mg_';
let stack, http, ann, as;

const account = async (name) => {
	const who = await stack.account(APP, `${name}.${randomBytes(6).toString('hex')}@example.com`);
	const { access_token } = ok(await http.post('/api/v1/auth/login', { email: who.email, password: who.password }));
	return { ...who, as: http.as(access_token) };
};
const make = async (who, body = {}) => ok(await who.post('/api/v1/api-keys', body));
const by = (key) => ({ token: null, headers: { 'x-api-key': key } });
const me = (how) => http.get('/api/v1/me', how);
const refusedSoon = (how, code) => until('refused by every worker', async () => {
	for (let n = 0; n < 12; n++)
		if ((await me(how)).code !== code)
			return false;
	return true;
}, { within: 5000 });

before(async () => {
	stack = Stack.attach();
	http = stack.http(APP);
	ann = await account('ann');
	as = ann.as;
});
after(() => http?.close());

describe('a key', () => {
	test('is made and shown once; of it the table holds a digest (T35)', async () => {
		const { api_key, key } = await make(as, { name: 'laptop' });
		assert.match(api_key, /^mg_[0-9A-Za-z]{48}$/);
		assert.equal(key.key_prefix, api_key.slice(0, 8));
		assert.deepEqual([key.scopes, key.ip_allow, key.expires_at, key.last_used_at], [['read', 'write'], [], null, null]);
		const row = await stack.one(`SELECT row_to_json(k)::text FROM api_keys k WHERE id = '${key.id}'`);
		assert.ok(!row.includes(api_key.slice(8)));
		assert.equal(JSON.parse(row).key_hash, `\\x${createHash('sha256').update(api_key).digest('hex')}`);
		const { api_keys } = ok(await as.get('/api/v1/api-keys'));
		assert.equal(api_keys[0].id, key.id);
		assert.ok(!JSON.stringify(api_keys).includes(api_key.slice(8)));
	});

	test('is taken as X-API-Key and as a bearer token (E19, B6)', async () => {
		const { api_key, key } = await make(as);
		assert.equal(ok(await me(by(api_key))).user.id, ann.id);
		assert.equal(ok(await me({ token: api_key })).user.id, ann.id);
		await until('its use is noted', async () => (await stack.one(`SELECT last_used_at IS NOT NULL FROM api_keys WHERE id = '${key.id}'`)) === 't');
		problem(await me({ token: api_key, headers: { 'x-api-key': api_key } }), 'mixed-credentials');
	});

	test('with a slip in it is none, and costs no query', async () => {
		const { api_key } = await make(as);
		const flip = (i) => api_key.slice(0, i) + (api_key[i] === 'a' ? 'b' : 'a') + api_key.slice(i + 1);
		for (const bad of [flip(5), flip(20), flip(50), api_key.slice(0, -1), `${api_key}a`, api_key.toUpperCase(), 'mg_', 'x', `${PREFIX}${'a'.repeat(48)}`]) {
			const r = await me(by(bad));
			problem(r, 'invalid-api-key');
			assert.equal(r.json.error, 'Invalid or expired API key');
		}
		// A right checksum over a made-up secret is still nobody's.
		const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
		const body = api_key.slice(0, 13) + 'x'.repeat(32);
		let v = createHash('sha256').update(body).digest().readUInt32BE(0), sum = '';
		for (let i = 0; i < 6; i++, v = Math.floor(v / 62))
			sum = alphabet[v % 62] + sum;
		problem(await me(by(body + sum)), 'invalid-api-key');
	});

	test('of one app is none in another', async () => {
		const { api_key } = await make(as);
		const there = stack.http('coditect');
		problem(await there.get('/api/v1/me', by(api_key)), 'invalid-api-key');
		there.close();
	});

	test('makes, lists and revokes no keys, ends no sessions: it is no session (T18)', async () => {
		const { api_key, key } = await make(as);
		for (const [method, target, json] of [['GET', '/api/v1/api-keys'], ['POST', '/api/v1/api-keys', {}], ['DELETE', `/api/v1/api-keys/${key.id}`], ['GET', '/api/v1/auth/sessions'], ['DELETE', '/api/v1/auth/sessions'], ['POST', '/api/v1/auth/logout']])
			problem(await http.request(method, target, { json, ...by(api_key) }), 'api-key-refused');
		ok(await me(by(api_key)));
	});

	test('is never in a log', async () => {
		const { api_key } = await make(as);
		ok(await me(by(api_key)));
		ok(await me({ token: api_key }));
		problem(await me(by(`${api_key}x`)), 'invalid-api-key');
		for (const file of ['api.log', 'slow.log', 'nginx.log', 'postgres.log', 'access.log'])
			assert.ok(!readFileSync(path.join(process.env.TEST_STATE, 'log', file), 'utf8').includes(api_key.slice(3, 40)), file);
	});
});

describe('scopes', () => {
	const post = (key) => http.post('/api/v1/workspaces', { name: 'by key' }, by(key));

	test('read reads, write writes, an area is itself only', async () => {
		const cases = [
			[['read'], true, false],
			[['write'], true, true],
			[['workspace:read'], true, false],
			[['workspace:write'], true, true],
			[['graph:write'], false, false],
			[['workspaces:write', 'workspac:write'], false, false],
		];
		for (const [scopes, reads, writes] of cases) {
			const { api_key } = await make(as, { scopes });
			const r = await http.get('/api/v1/workspaces', by(api_key));
			assert.equal(r.status, reads ? 200 : 403, `${scopes}: ${r}`);
			const w = await post(api_key);
			assert.equal(w.status, writes ? 200 : 403, `${scopes}: ${w}`);
			if (!writes)
				problem(w, 'insufficient-scope');
		}
	});

	test('what is no scope, no network or no list is refused, and nothing made', async () => {
		const count = () => stack.one('SELECT count(*) FROM api_keys');
		const was = await count();
		for (const body of [{ scopes: [] }, { scopes: ['admin'] }, { scopes: ['READ'] }, { scopes: ['graph:read '] }, { scopes: ['*'] }, { scopes: 'read' }, { scopes: [1] }, { scopes: Array(17).fill('read') }, { scopes: ["read','x"] },
			{ ip_allow: ['10.0.0.0/33'] }, { ip_allow: ['10.0.0.1/8'] }, { ip_allow: ['somewhere'] }, { ip_allow: ['::/0/0'] }, { ip_allow: '10.0.0.1' },
			{ expires_in_days: 0 }, { expires_in_days: 99_999 }, { name: '' }, { user_id: ann.id }, { key_hash: 'x' }])
			assert.equal((await as.post('/api/v1/api-keys', body)).status, 422, JSON.stringify(body));
		assert.equal(await count(), was);
	});
});

describe('a key’s networks and time', () => {
	test('it comes from nowhere else', async () => {
		const local = (await make(as, { ip_allow: ['127.0.0.1', '10.0.0.0/8'] })).api_key;
		const away = (await make(as, { ip_allow: ['203.0.113.0/24', '2001:db8::/32'] })).api_key;
		ok(await me(by(local)));
		problem(await me(by(away)), 'invalid-api-key');
		const other = stack.http(APP, { from: '127.0.0.2' });
		problem(await other.get('/api/v1/me', by(local)), 'invalid-api-key');
		problem(await other.get('/api/v1/me', { token: null, headers: { 'x-api-key': local, 'x-forwarded-for': '127.0.0.1', 'x-real-ip': '127.0.0.1' } }), 'invalid-api-key');
		other.close();
		ok(await me(by(local)));
	});

	test('it ends when it is over, also where it is remembered', async () => {
		const { api_key, key } = await make(as, { expires_in_days: 1 });
		assert.ok(Math.abs(new Date(key.expires_at) - Date.now() - 86_400_000) < 60_000);
		ok(await me(by(api_key)));
		await stack.rows(`UPDATE api_keys SET expires_at = now() + interval '300 milliseconds' WHERE id = '${key.id}'`);
		await refusedSoon(by(api_key), 'invalid-api-key');
	});

	test('a suspended user’s keys are refused', async () => {
		const sue = await account('sue');
		const { api_key } = await make(sue.as);
		ok(await me(by(api_key)));
		await stack.rows(`UPDATE users SET suspended_at = now() WHERE id = '${sue.id}'`);
		await refusedSoon(by(api_key), 'account-suspended');
	});
});

describe('reroll, rename, revoke', () => {
	test('a rerolled key and its successor are both good for a while (B26)', async () => {
		const old = await make(as, { name: 'ci', scopes: ['read'] });
		const fresh = ok(await as.post(`/api/v1/api-keys/${old.key.id}/reroll`, { overlap_hours: 2 }));
		assert.notEqual(fresh.api_key, old.api_key);
		assert.deepEqual([fresh.key.name, fresh.key.scopes], ['ci', ['read']]);
		ok(await me(by(old.api_key)));
		ok(await me(by(fresh.api_key)));
		const left = await stack.one(`SELECT round(extract(epoch FROM expires_at - now()) / 3600) FROM api_keys WHERE id = '${old.key.id}'`);
		assert.equal(left, '2');
	});

	test('rerolled again, as by who never saw the reply: that successor has the same end, not the old key’s', async () => {
		for (const more of [{}, { expires_in_days: 90 }]) {
			const old = await make(as, more);
			for (let n = 0; n < 3; n++) {
				const fresh = ok(await as.post(`/api/v1/api-keys/${old.key.id}/reroll`, { overlap_hours: 1 }));
				assert.equal(fresh.key.expires_at, old.key.expires_at);
			}
		}
	});

	test('of one that is over there is no successor, which would be over too', async () => {
		const old = await make(as, { expires_in_days: 1 });
		await stack.rows(`UPDATE api_keys SET expires_at = now() - interval '1 s' WHERE id = '${old.key.id}'`);
		problem(await as.post(`/api/v1/api-keys/${old.key.id}/reroll`, {}), 'api-key-expired');
		assert.equal(ok(await as.get('/api/v1/api-keys')).api_keys.filter((k) => k.name === old.key.name && k.id > old.key.id).length, 0);
	});

	test('without overlap the old one is gone at once', async () => {
		const old = await make(as);
		ok(await me(by(old.api_key)));
		const fresh = ok(await as.post(`/api/v1/api-keys/${old.key.id}/reroll`, { overlap_hours: 0 }));
		await refusedSoon(by(old.api_key), 'invalid-api-key');
		ok(await me(by(fresh.api_key)));
	});

	test('a key is renamed and nothing else', async () => {
		const { api_key, key } = await make(as, { name: 'old', scopes: ['read'] });
		assert.equal(ok(await as.put(`/api/v1/api-keys/${key.id}`, { name: 'new' })).key.name, 'new');
		for (const body of [{ name: 'x', scopes: ['write'] }, { scopes: ['write'] }, {}])
			assert.equal((await as.put(`/api/v1/api-keys/${key.id}`, body)).status, 422);
		problem(await http.post('/api/v1/workspaces', { name: 'x' }, by(api_key)), 'insufficient-scope');
	});

	test('a revoked key is refused by every worker within a second (B25)', async () => {
		const { api_key, key } = await make(as);
		for (let n = 0; n < 12; n++)
			ok(await me(by(api_key)));
		assert.deepEqual(ok(await as.delete(`/api/v1/api-keys/${key.id}`)), { status: 'revoked' });
		await refusedSoon(by(api_key), 'invalid-api-key');
		problem(await as.delete(`/api/v1/api-keys/${key.id}`), 'api-key-not-found');
	});

	test('nobody touches another’s keys', async () => {
		const bob = await account('bob');
		const { api_key, key } = await make(as);
		problem(await bob.as.delete(`/api/v1/api-keys/${key.id}`), 'api-key-not-found');
		problem(await bob.as.put(`/api/v1/api-keys/${key.id}`, { name: 'mine' }), 'api-key-not-found');
		problem(await bob.as.post(`/api/v1/api-keys/${key.id}/reroll`, {}), 'api-key-not-found');
		ok(await me(by(api_key)));
	});

	test('a hundred are enough', async () => {
		const many = await account('many');
		await stack.rows(`INSERT INTO api_keys (id, app_id, user_id, name, public_id, key_prefix, key_hash, scopes)
			SELECT gen_random_uuid(), u.app_id, u.id, 'n', u.id::text || n, 'mg_', sha256(n::text::bytea), '{read}' FROM users u, generate_series(1, 99) n WHERE u.id = '${many.id}'`);
		const { key } = await make(many.as);
		problem(await many.as.post('/api/v1/api-keys', {}), 'limit-reached');
		problem(await many.as.post(`/api/v1/api-keys/${key.id}/reroll`, { overlap_hours: 1 }), 'limit-reached');
		const eager = await account('eager');
		const made = await inParallel(Array.from({ length: 130 }), 32, () => eager.as.post('/api/v1/api-keys', {}));
		assert.equal(made.filter((r) => r.status === 200).length, 100, 'also at once');
	});
});
