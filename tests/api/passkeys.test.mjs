// Passkeys by an authenticator in software, which can also do what no real one does: made, used alone and as the
// second factor, each challenge once, for one's own domain and origins, with counts that grow (SECURITY T6, T14).
// With a real browser: tests/web/passkeys.test.mjs.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { generateSync } from 'otplib';

import { hold, more } from '../lib/attempts.mjs';
import { Passkey } from '../lib/authenticator.mjs';
import { Mailbox } from '../lib/mailbox.mjs';
import { ok, problem } from '../lib/setup.mjs';
import { Stack } from '../lib/stack.mjs';
import { inParallel, until } from '../lib/wait.mjs';

const APP = 'coditect', ORIGIN = 'https://coditect.example.com', RP = 'coditect.example.com';
const KEYS = '/api/v1/auth/passkeys', MFA = '/api/v1/auth/mfa';
let stack, http, box;

const forget = () => stack.rows('DELETE FROM attempts');
const passwordLogin = (who) => http.post('/api/v1/auth/login', { email: who.email, password: who.password });
const waiting = async (who) => ok(await passwordLogin(who)).mfa_token;

async function person(app = http, slug = APP) {
	const who = await stack.account(slug, `passkeys.${randomBytes(6).toString('hex')}@example.com`);
	who.as = app.as(ok(await app.post('/api/v1/auth/login', { email: who.email, password: who.password })).access_token);
	return who;
}

const askNew = async (who) => ok(await who.as.post(`${KEYS}/options`)).options;
async function register(who, key = new Passkey(ORIGIN), more = {}) {
	who.made = ok(await who.as.post(KEYS, { credential: key.create(await askNew(who)), ...more }));
	return key;
}
/** Somebody with one passkey. */
async function owner() {
	const who = await person();
	who.key = await register(who);
	return who;
}

const askLogin = async () => ok(await http.post(`${KEYS}/login/options`)).options;
const login = (credential, more = {}) => http.post(`${KEYS}/login`, { credential, ...more });
const askFactor = async (mfa_token) => ok(await http.post(`${MFA}/passkey/options`, { mfa_token })).options;
const factor = (mfa_token, credential) => http.post(`${MFA}/passkey`, { mfa_token, credential });

before(async () => {
	stack = Stack.attach();
	http = stack.http(APP);
	box = new Mailbox(stack);
	await forget();
});
after(() => http?.close());

describe('making one', () => {
	test('the question: domain and origins of the app’s file, user verification, a handle that tells nothing', async () => {
		const who = await person();
		const o = await askNew(who);
		assert.equal(o.rp.id, RP);
		assert.equal(o.authenticatorSelection.userVerification, 'required');
		assert.deepEqual(o.pubKeyCredParams.map((p) => p.alg).sort((a, b) => a - b), [-257, -8, -7]);
		assert.equal(Buffer.from(o.challenge, 'base64url').length, 32);
		assert.equal(o.user.name, who.email);
		assert.ok(!Buffer.from(o.user.id, 'base64url').toString().includes('@'));
		assert.notEqual((await askNew(who)).challenge, o.challenge);
	});

	test('the first switches two-step sign-in on, with recovery codes; the session is raised, others fall', async () => {
		const who = await person();
		const other = http.as(ok(await passwordLogin(who)).access_token);
		await register(who, undefined, { name: 'Laptop' });
		assert.equal(who.made.passkey.name, 'Laptop');
		assert.equal(who.made.backup_codes.length, 10);
		assert.deepEqual(ok(await who.as.get(MFA)), { enabled: true, totp: false, passkeys: 1, recovery_codes: 10 });
		await until('the other session has to show it', async () => (await other.get('/api/v1/me')).code === 'mfa-required');
		await box.next(who.email, /switched on with a passkey/);
		const second = await register(who);
		assert.equal(who.made.backup_codes, null, 'the codes that there are stay');
		await box.next(who.email, /a passkey was added/);
		assert.equal((await askNew(who)).excludeCredentials.length, 2);
		assert.equal(ok(await login(second.get(await askLogin()))).user.email, who.email);
	});

	test('what is not right is refused, and its challenge is gone', async () => {
		const who = await person();
		for (const [why, how] of [
			['another origin', { origin: 'https://evil.example' }],
			['another domain', { rpId: 'evil.example' }],
			['no user verification', { verified: false }],
			['a challenge that nobody asked', { challenge: randomBytes(32).toString('base64url') }],
			['a challenge that is none', { challenge: 'x' }],
		]) {
			const options = await askNew(who);
			const r = await who.as.post(KEYS, { credential: new Passkey(ORIGIN).create(options, how) });
			problem(r, 'invalid-body');
			assert.equal(r.json.errors[0].type, 'passkey', why);
			if (!how.challenge)
				problem(await who.as.post(KEYS, { credential: new Passkey(ORIGIN).create(options) }), 'invalid-body');
		}
		problem(await who.as.post(KEYS, { credential: {} }), 'invalid-body');
		const options = await askNew(who);
		const other = await person();
		problem(await other.as.post(KEYS, { credential: new Passkey(ORIGIN).create(options) }), 'invalid-body');
		const late = await askNew(who);
		await stack.rows(`UPDATE one_time_tokens SET expires_at = now() WHERE user_id = '${who.id}'`);
		problem(await who.as.post(KEYS, { credential: new Passkey(ORIGIN).create(late) }), 'invalid-body');
		const login = await askLogin();
		problem(await who.as.post(KEYS, { credential: new Passkey(ORIGIN).create({ ...login, rp: { id: RP }, user: { id: 'eA' } }) }), 'invalid-body');
		assert.deepEqual(ok(await who.as.get(KEYS)).passkeys, []);
	});

	test('one answer many times at once: one passkey; an id that is taken: refused', async () => {
		const who = await person();
		const credential = new Passkey(ORIGIN).create(await askNew(who));
		const answers = await inParallel(Array.from({ length: 10 }), 10, async () => (await who.as.post(KEYS, { credential })).status);
		assert.deepEqual(answers.filter((s) => s === 200).length, 1, answers.join(' '));
		const key = await register(who);
		const thief = await person();
		problem(await thief.as.post(KEYS, { credential: key.create(await askNew(thief)) }), 'conflict');
	});

	test('twenty of them and no more; nobody without a session of ours', async () => {
		const who = await owner();
		await stack.rows(`INSERT INTO passkeys (id, app_id, user_id, credential_id, public_key, name)
			SELECT gen_random_uuid(), app_id, id, sha256(n::text::bytea || convert_to(id::text, 'UTF8')), '', 'one' FROM users, generate_series(2, 20) n WHERE id = '${who.id}'`);
		problem(await who.as.post(KEYS, { credential: new Passkey(ORIGIN).create(await askNew(who)) }), 'limit-reached');
		const as = http.as((await stack.ctl('token', '--app', APP, who.email)).trim());
		problem(await as.post(`${KEYS}/options`), 'reauthentication-required');
		problem(await as.post(KEYS, { credential: {} }), 'reauthentication-required');
		problem(await as.post(`${MFA}/passkey/options`, {}), 'reauthentication-required');
		problem(await as.post(`${MFA}/passkey`, { credential: {} }), 'reauthentication-required');
	});
});

describe('signing in with one alone', () => {
	test('no address, no password: a session of two factors, as tokens or as a cookie', async () => {
		const who = await owner();
		const options = await askLogin();
		assert.deepEqual([options.rpId, options.userVerification], [RP, 'required']);
		assert.equal(options.allowCredentials?.length ?? 0, 0);
		const r = ok(await login(who.key.get(options), { device_name: 'Desk' }));
		const session = ok(await http.as(r.access_token).get('/api/v1/auth/sessions')).sessions.find((s) => s.current);
		assert.deepEqual([session.aal, session.method, session.device_name], [2, 'passkey', 'Desk']);
		const cookie = await login(who.key.get(await askLogin()), { session: 'cookie' });
		assert.equal(ok(cookie).user.email, who.email);
		assert.match(cookie.headers['set-cookie'].join(), /__Host-session=/);
		const [key] = ok(await who.as.get(KEYS)).passkeys;
		assert.ok(Date.parse(key.last_used_at) >= Date.parse(key.created_at));
	});

	test('one answer, fifty at once: one session; and never again (T6)', async () => {
		const who = await owner();
		const credential = who.key.get(await askLogin());
		const answers = await inParallel(Array.from({ length: 50 }), 25, async () => (await login(credential)).code ?? 200);
		assert.equal(answers.filter((a) => a === 200).length, 1, answers.join(' '));
		assert.equal(answers.filter((a) => a === 'invalid-passkey').length, 49, answers.join(' '));
		problem(await login(credential), 'invalid-passkey');
	});

	test('what is not right is refused', async () => {
		const who = await owner();
		for (const how of [
			{ damage: true }, { origin: 'https://evil.example' }, { rpId: 'evil.example' }, { verified: false },
			{ challenge: randomBytes(32).toString('base64url') }, { challenge: 'x' },
			{ userHandle: Buffer.from('somebody else').toString('base64url') },
		])
			problem(await login(who.key.get(await askLogin(), how)), 'invalid-passkey');
		const stranger = new Passkey(ORIGIN);
		stranger.userHandle = who.key.userHandle;
		problem(await login(stranger.get(await askLogin())), 'invalid-passkey');
		problem(await login({}), 'invalid-passkey');
		const cue = stack.http('cue');
		problem(await cue.post(`${KEYS}/login`, { credential: who.key.get(await askLogin()) }), 'invalid-passkey');
		cue.close();
		const { userHandle, ...rest } = who.key.get(await askLogin()).response;
		assert.ok(userHandle);
		problem(await login({ ...who.key.get(await askLogin()), response: rest }), 'invalid-passkey');
		ok(await login(who.key.get(await askLogin())));
	});

	test('a count that does not grow speaks of a copy: refused and noted; one that counts nothing is taken', async () => {
		const who = await owner();
		ok(await login(who.key.get(await askLogin())));
		who.key.count -= 1;
		problem(await login(who.key.get(await askLogin())), 'invalid-passkey');
		assert.equal(await stack.one(`SELECT count(*) FROM audit_logs WHERE user_id = '${who.id}' AND action = 'passkey.regressed'`), '1');
		ok(await login(who.key.get(await askLogin())));

		const other = await person();
		const key = new Passkey(ORIGIN);
		key.counts = false;
		await register(other, key);
		for (let n = 0; n < 2; n++)
			ok(await login(key.get(await askLogin())));
	});

	test('a suspended user, a passkey that was removed, too many questions', async () => {
		const who = await owner();
		await stack.rows(`UPDATE users SET suspended_at = now() WHERE id = '${who.id}'`);
		problem(await login(who.key.get(await askLogin())), 'account-suspended');
		const other = await owner();
		await other.as.delete(`${KEYS}/${other.made.passkey.id}`);
		problem(await login(other.key.get(await askLogin())), 'invalid-passkey');
		await forget();
		const from = performance.now();
		const answers = await inParallel(Array.from({ length: 105 }), 8, async () => (await http.post(`${KEYS}/login/options`)).code ?? 200);
		const n = answers.filter((a) => a === 200).length;
		assert.ok(n >= 100 && n <= 100 + more(from), `${n} were answered`);
		await hold(stack);
		problem(await http.post(`${KEYS}/login/options`), 'too-many-attempts');
		await forget();
		const third = await owner();
		const asked = () => stack.one(`SELECT sum(tried) FROM attempts WHERE subject = sha256('passkey-login\n\n127.0.0.1'::bytea)`);
		const was = Number(await asked() ?? 0);
		ok(await login(third.key.get(await askLogin())));
		assert.equal(Number(await asked()), was, 'who got in is not counted');
	});
});

describe('as the second factor', () => {
	test('after the password: the account’s passkeys are named, one of them answers', async () => {
		const who = await owner();
		const mfa_token = await waiting(who);
		const options = await askFactor(mfa_token);
		assert.deepEqual(options.allowCredentials.map((c) => c.id), [who.key.id.toString('base64url')]);
		const credential = who.key.get(options);
		const answers = await inParallel(Array.from({ length: 5 }), 5, async () => (await factor(mfa_token, credential)).code ?? 200);
		assert.equal(answers.filter((a) => a === 200).length, 1, answers.join(' '));
		problem(await factor(mfa_token, credential), 'invalid-mfa-token', 'too-many-attempts');
		await forget();
		const again = await waiting(who);
		const r = ok(await factor(again, who.key.get(await askFactor(again))));
		const session = ok(await http.as(r.access_token).get('/api/v1/auth/sessions')).sessions.find((s) => s.current);
		assert.deepEqual([session.aal, session.method], [2, 'password']);
		problem(await http.post(`${MFA}/passkey/options`, { mfa_token: again }), 'invalid-mfa-token');
		problem(await factor(again, who.key.get(await askLogin())), 'invalid-mfa-token');
	});

	test('not another’s passkey, not the answer to another question, not one who has none', async () => {
		const [a, b] = [await owner(), await owner()];
		const token = await waiting(a);
		problem(await factor(token, b.key.get(await askFactor(token))), 'invalid-passkey');
		problem(await factor(token, b.key.get(await askFactor(await waiting(b)))), 'invalid-passkey');
		problem(await factor(token, a.key.get(await askLogin())), 'invalid-passkey');
		problem(await login(a.key.get(await askFactor(token))), 'invalid-passkey');
		problem(await factor(token, a.key.get(await askFactor(token), { verified: false })), 'invalid-passkey');
		ok(await factor(token, a.key.get(await askFactor(token))));
		problem(await (await person()).as.post(`${MFA}/passkey/options`, {}), 'passkey-not-found');
	});

	test('a session of one factor is raised by it; a count that went back is noted there too', async () => {
		const who = await person();
		const pending = http.as(ok(await passwordLogin(who)).access_token);
		who.key = await register(who);
		await until('it has to show it', async () => (await pending.get('/api/v1/me')).code === 'mfa-required');
		const ask = async () => ok(await pending.post(`${MFA}/passkey/options`, {})).options;
		who.key.count -= 1;
		problem(await pending.post(`${MFA}/passkey`, { credential: who.key.get(await ask()) }), 'invalid-passkey');
		assert.equal(await stack.one(`SELECT count(*) FROM audit_logs WHERE user_id = '${who.id}' AND action = 'passkey.regressed'`), '1');
		ok(await pending.post(`${MFA}/passkey`, { credential: who.key.get(await ask()) }));
		await until('it is good now', async () => (await pending.get('/api/v1/me')).status === 200);
	});

	test('guesses are counted, questions too', async () => {
		const who = await owner();
		await forget();
		const token = await waiting(who);
		for (let n = 0; n < 5; n++)
			problem(await factor(token, {}), 'invalid-passkey');
		await hold(stack);
		problem(await factor(token, {}), 'too-many-attempts');
		await inParallel(Array.from({ length: 100 }), 8, () => http.post(`${MFA}/passkey/options`, { mfa_token: token }));
		await hold(stack);
		problem(await http.post(`${MFA}/passkey/options`, { mfa_token: token }), 'too-many-attempts');
		await forget();
	});
});

describe('those that there are', () => {
	test('named, renamed, removed: nobody else’s; the last one switches two-step sign-in off', async () => {
		const [who, other] = [await owner(), await owner()];
		const { id } = who.made.passkey;
		assert.deepEqual(ok(await who.as.get(KEYS)).passkeys.map((p) => [p.id, p.name, p.last_used_at]), [[id, 'Passkey', null]]);
		assert.equal(ok(await who.as.put(`${KEYS}/${id}`, { name: 'Schlüssel' })).passkey.name, 'Schlüssel');
		problem(await other.as.put(`${KEYS}/${id}`, { name: 'mine' }), 'passkey-not-found');
		problem(await other.as.delete(`${KEYS}/${id}`), 'passkey-not-found');
		ok(await who.as.delete(`${KEYS}/${id}`));
		problem(await who.as.delete(`${KEYS}/${id}`), 'passkey-not-found');
		assert.deepEqual(ok(await who.as.get(MFA)), { enabled: false, totp: false, passkeys: 0, recovery_codes: 0 });
		assert.ok(ok(await passwordLogin(who)).access_token);
		await box.next(who.email, /switched off/);
	});

	test('beside an authenticator app: either is enough, and without one of them the other stays', async () => {
		const who = await owner();
		const { secret } = ok(await who.as.post(`${MFA}/enroll`));
		assert.equal(ok(await who.as.post(`${MFA}/verify`, { code: generateSync({ secret }) })).backup_codes, null);
		assert.equal(ok(await who.as.post(`${MFA}/disable`, { password: who.password })).enabled, true);
		assert.ok(await waiting(who));
		const again = ok(await who.as.post(`${MFA}/enroll`));
		ok(await who.as.post(`${MFA}/verify`, { code: generateSync({ secret: again.secret }) }));
		ok(await who.as.delete(`${KEYS}/${who.made.passkey.id}`));
		assert.deepEqual(ok(await who.as.get(MFA)), { enabled: true, totp: true, passkeys: 0, recovery_codes: 10 });
		await box.next(who.email, /a passkey was removed/);
	});

	test('the two last factors removed at once: two-step sign-in is off, not locked', async () => {
		const who = await owner();
		await register(who);
		const ids = ok(await who.as.get(KEYS)).passkeys.map((p) => p.id);
		for (const r of await inParallel(ids, 2, (id) => who.as.delete(`${KEYS}/${id}`)))
			ok(r);
		assert.equal(ok(await who.as.get(MFA)).enabled, false);
	});
});

describe('the domain', () => {
	test('is that of the frontend or one above it, by the app’s file alone', async () => {
		const file = path.join(stack.state, 'test-webauthn.json');
		const apply = async (webauthn) => {
			writeFileSync(file, JSON.stringify({ ...stack.appFile(APP), slug: 'webauthn-test', name: 'Test', hosts: ['webauthn-test.localhost'], frontend_url: 'https://app.example.com', api_key_prefix: undefined, webauthn }));
			return stack.ctl('app', 'apply', file);
		};
		for (const rp_id of ['evil.com', 'example.org', 'com', 'pp.example.com', 'x.app.example.com', '', 5])
			await assert.rejects(apply({ rp_id }), /webauthn/, String(rp_id));
		await apply({ rp_id: 'example.com' });
		await apply(undefined);
		await stack.rows("DELETE FROM apps WHERE slug = 'webauthn-test'");
		const o = ok(await http.post(`${KEYS}/login/options`, undefined, { headers: { 'x-forwarded-host': 'evil.example', origin: 'https://evil.example' } })).options;
		assert.equal(o.rpId, RP);
	});
});
