// Signing programs in: a device without a browser (RFC 8628), and a CLI that listens on the loopback (CONTRACT X4;
// SECURITY T6, T9, T14, T16).
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { hold, more } from '../lib/attempts.mjs';
import { Browser } from '../lib/idp.mjs';
import { ok, problem } from '../lib/setup.mjs';
import { Stack } from '../lib/stack.mjs';
import { inParallel } from '../lib/wait.mjs';

const APP = 'coditect';
const ORIGIN = 'https://coditect.example.com';
const GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
let stack, http, ada;

const address = () => `devices.${randomBytes(6).toString('hex')}@example.com`;
const signIn = async (who) => ok(await http.post('/api/v1/auth/login', { email: who.email, password: who.password })).access_token;
const ask = async (body = {}) => ok(await http.post('/api/v1/auth/device', body));
const poll = (device_code, more = {}) => http.post('/api/v1/auth/device/token', { grant_type: GRANT, device_code, ...more });
const answer = (token, user_code, more = {}) => http.post('/api/v1/auth/device/approve', { user_code, ...more }, { token });
const look = (token, user_code) => http.get(`/api/v1/auth/device?user_code=${encodeURIComponent(user_code)}`, { token });
/** The next poll is not too early. */
const rest = () => stack.rows(`UPDATE device_grants SET polled_at = polled_at - interval '61 s'`);
const sessionOf = (access_token) => JSON.parse(Buffer.from(access_token.split('.')[1], 'base64url'));

before(async () => {
	stack = Stack.attach();
	http = stack.http(APP);
	ada = await stack.account(APP, address());
	ada.token = await signIn(ada);
});
after(() => http?.close());

describe('a device', () => {
	test('is given a code for itself and one for its user (RFC 8628 §3.2)', async () => {
		const r = await ask({ client_id: 'coditect-cli', scope: 'anything', device_name: 'Build server' });
		assert.match(r.device_code, /^[\w-]{43}$/);
		assert.match(r.user_code, /^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/);
		assert.deepEqual([r.verification_uri, r.verification_uri_complete, r.expires_in, r.interval], [`${ORIGIN}/device`, `${ORIGIN}/device?user_code=${r.user_code}`, 600, 5]);
		const dump = JSON.stringify(await stack.rows('SELECT d::text FROM device_grants d'));
		assert.ok(!dump.includes(r.device_code));
	});

	test('waits, is approved, and has tokens once (§3.5)', async () => {
		const codes = await ask({ device_id: 'server-7', device_name: 'Build server' });
		const said = await poll(codes.device_code);
		problem(said, 'authorization-pending');
		assert.deepEqual([said.status, said.json.error], [400, 'authorization_pending']);
		const shown = ok(await look(ada.token, codes.user_code));
		assert.deepEqual([shown.device_id, shown.device_name, shown.ip], ['server-7', 'Build server', '127.0.0.1']);
		assert.equal(ok(await answer(ada.token, codes.user_code.toLowerCase().replace('-', ' '))).approved, true);
		assert.equal(ok(await answer(ada.token, codes.user_code)).approved, true, 'twice is once');
		await rest();
		const r = ok(await poll(codes.device_code));
		assert.equal(r.token_type, 'bearer');
		assert.equal(ok(await http.get('/api/v1/me', { token: r.access_token })).user.email, ada.email);
		ok(await http.post('/api/v1/auth/refresh', { refresh_token: r.refresh_token }));
		const { sessions } = ok(await http.get('/api/v1/auth/sessions', { token: r.access_token }));
		const mine = sessions.find((s) => s.current);
		assert.deepEqual([mine.method, mine.device_id, mine.device_name], ['device', 'server-7', 'Build server']);
		problem(await poll(codes.device_code), 'invalid-grant');
	});

	test('speaks as RFC 6749 wants it, too: a form', async () => {
		const form = (path, fields) => http.request('POST', path, { body: String(new URLSearchParams(fields)), headers: { 'content-type': 'application/x-www-form-urlencoded' } });
		const codes = ok(await form('/api/v1/auth/device', { client_id: 'cli', scope: 'a b', device_name: 'Räder & Co' }));
		problem(await form('/api/v1/auth/device/token', { grant_type: GRANT, device_code: codes.device_code, client_id: 'cli' }), 'authorization-pending');
		assert.equal(ok(await answer(ada.token, codes.user_code)).device_name, 'Räder & Co');
		await rest();
		ok(await form('/api/v1/auth/device/token', { grant_type: GRANT, device_code: codes.device_code, client_id: 'cli' }));
		problem(await form('/api/v1/auth/device/token', { grant_type: 'password', device_code: codes.device_code }), 'invalid-body');
		problem(await form('/api/v1/auth/device/token', {}), 'invalid-body');
		problem(await http.request('POST', '/api/v1/auth/device/token', { body: `device_code=%ff`, headers: { 'content-type': 'application/x-www-form-urlencoded' } }), 'invalid-body');
		problem(await http.request('POST', '/api/v1/auth/device/token', { body: 'device_code=a&device_code=b', headers: { 'content-type': 'application/x-www-form-urlencoded' } }), 'invalid-body');
		problem(await http.request('POST', '/api/v1/auth/login', { body: 'email=a&password=b', headers: { 'content-type': 'application/x-www-form-urlencoded' } }), 'unsupported-media-type');
	});

	test('that is refused, that asks too often, that is too late is told so (§3.5)', async () => {
		const codes = await ask();
		problem(await poll(codes.device_code), 'authorization-pending');
		for (let n = 0; n < 3; n++)
			problem(await poll(codes.device_code), 'slow-down');
		assert.equal(await stack.one(`SELECT interval_s FROM device_grants WHERE user_code = '${codes.user_code.replace('-', '')}'`), '20');
		assert.equal(ok(await answer(ada.token, codes.user_code, { approve: false })).approved, false);
		problem(await answer(ada.token, codes.user_code), 'device-code-not-found');
		await rest();
		problem(await poll(codes.device_code), 'access-denied');
		problem(await poll(codes.device_code), 'invalid-grant');

		const late = await ask();
		await stack.rows(`UPDATE device_grants SET expires_at = now() WHERE user_code = '${late.user_code.replace('-', '')}'`);
		problem(await answer(ada.token, late.user_code), 'device-code-not-found');
		problem(await poll(late.device_code), 'expired-token');
		for (const odd of [randomBytes(32).toString('base64url'), 'x', `${late.device_code}A`])
			problem(await poll(odd), 'invalid-grant');
	});

	test('fifty polls at once after the approval: one session', async () => {
		const codes = await ask({ device_id: `race-${randomBytes(4).toString('hex')}` });
		ok(await answer(ada.token, codes.user_code));
		const replies = await inParallel(Array.from({ length: 50 }), 25, () => poll(codes.device_code));
		assert.equal(replies.filter((r) => r.status === 200).length, 1);
		assert.ok(replies.every((r) => r.status === 200 || ['slow-down', 'invalid-grant'].includes(r.code)));
	});

	test('a code of one app is nobody’s in another', async () => {
		const codes = await ask();
		const there = await stack.account('cue', address());
		const other = stack.http('cue');
		const { access_token } = ok(await other.post('/api/v1/auth/login', { email: there.email, password: there.password }));
		problem(await other.post('/api/v1/auth/device/approve', { user_code: codes.user_code }, { token: access_token }), 'device-code-not-found');
		problem(await other.post('/api/v1/auth/device/token', { device_code: codes.device_code }), 'invalid-grant');
		other.close();
	});

	test('guesses at codes are counted; another user goes on (T9)', async () => {
		const eve = await stack.account(APP, address());
		const token = await signIn(eve);
		const codes = await ask();
		const guess = () => Array.from({ length: 8 }, () => 'BCDFGHJKLMNPQRSTVWXZ'[randomBytes(1)[0] % 20]).join('');
		const from = performance.now();
		const answers = await inParallel(Array.from({ length: 60 }), 12, async (_, n) => (await (n % 2 ? answer(token, guess()) : look(token, guess()))).code);
		assert.ok(answers.filter((c) => c === 'device-code-not-found').length <= 5 + more(from), String(answers));
		await hold(stack);
		assert.ok(answers.every((c) => c === 'device-code-not-found' || c === 'too-many-attempts'));
		const r = await answer(token, codes.user_code);
		problem(r, 'too-many-attempts');
		assert.ok(Number(r.headers['retry-after']) >= 1);
		problem(await look(token, codes.user_code), 'too-many-attempts');
		ok(await answer(ada.token, codes.user_code));
		await stack.rows('DELETE FROM attempts');
	});

	test('no page elsewhere can approve in somebody’s name (T16)', async () => {
		const codes = await ask();
		const browser = new Browser(http);
		ok(await browser.post('/api/v1/auth/login', { email: ada.email, password: ada.password, session: 'cookie' }));
		const approve = (headers) => browser.post('/api/v1/auth/device/approve', { user_code: codes.user_code }, { headers });
		for (const origin of [undefined, 'null', 'https://evil.example'])
			problem(await approve({ origin }), 'origin-refused');
		problem(await browser.request('POST', '/api/v1/auth/device/approve', { body: `user_code=${codes.user_code}`, headers: { origin: ORIGIN, 'content-type': 'application/x-www-form-urlencoded' } }), 'unsupported-media-type');
		problem(await http.post('/api/v1/auth/device/approve', { user_code: codes.user_code }), 'not-authenticated');
		problem(await poll(codes.device_code), 'authorization-pending');
		ok(await approve({ origin: ORIGIN }));
	});

	test('gets what its user has: a second factor that was shown there, or none; nothing when suspended (T14)', async () => {
		const fay = await stack.account(APP, address());
		const token = await signIn(fay);
		const [one, two, three] = [await ask(), await ask(), await ask()];
		for (const c of [one, two, three])
			ok(await answer(token, c.user_code));
		await stack.rows(`UPDATE users SET mfa_enabled = true WHERE id = '${fay.id}'`);
		const asked = ok(await poll(one.device_code));
		assert.ok(asked.mfa_required && asked.mfa_token && !asked.access_token);
		await stack.rows(`UPDATE device_grants SET aal = 2 WHERE user_code = '${two.user_code.replace('-', '')}'`);
		ok(await http.get('/api/v1/me', { token: ok(await poll(two.device_code)).access_token }));
		await stack.rows(`UPDATE users SET suspended_at = now() WHERE id = '${fay.id}'`);
		problem(await poll(three.device_code), 'account-suspended');
	});

	test('approved, it signs in nobody who has signed out everywhere since (T15)', async () => {
		const hal = await stack.account(APP, address());
		const token = await signIn(hal);
		const code = await ask();
		ok(await answer(token, code.user_code));
		ok(await http.delete('/api/v1/auth/sessions', { token }));
		problem(await poll(code.device_code), 'invalid-grant');
	});

	test('bodies that are none', async () => {
		for (const path of ['/api/v1/auth/device', '/api/v1/auth/device/token', '/api/v1/auth/device-token']) {
			problem(await http.request('POST', path, { body: '{' }), 'bad-json');
			problem(await http.post(path, { odd: 1 }), 'invalid-body');
			problem(await http.post(path, { device_code: 'x'.repeat(5000) }), 'body-too-large');
			problem(await http.request('POST', path, { body: '{}', headers: { 'content-type': 'text/plain' } }), 'unsupported-media-type');
		}
		problem(await look(ada.token, ''), 'invalid-body');
		for (const odd of ['AEIO-UAEI', 'BBBB-BBB', 'BBBB-BBBBB', 'BBBBBBB0'])
			problem(await look(ada.token, odd), 'device-code-not-found');
		await stack.rows('DELETE FROM attempts');
	});
});

describe('a CLI that listens on the loopback (X4)', () => {
	const verifier = () => randomBytes(32).toString('base64url');
	const challenge = (v) => createHash('sha256').update(v).digest('base64url');
	const make = (body = {}, token = ada.token) => http.post('/api/v1/auth/cli-code', body, { token });
	const exchange = (body) => http.post('/api/v1/auth/device-token', body);

	test('has its user’s page hand a code over, and exchanges it, once', async () => {
		const code_verifier = verifier();
		const made = ok(await make({ code_challenge: challenge(code_verifier), redirect_uri: 'http://127.0.0.1:53111/callback', state: 'a&b=c d' }));
		const to = new URL(made.redirect_url);
		assert.equal(`${to.origin}${to.pathname}`, 'http://127.0.0.1:53111/callback');
		assert.deepEqual([...to.searchParams], [['auth_code', made.auth_code], ['state', 'a&b=c d']]);
		assert.equal(made.expires_in, 60);
		const r = ok(await exchange({ auth_code: made.auth_code, code_verifier, device_id: 'laptop', device_name: 'Laptop' }));
		assert.equal(ok(await http.get('/api/v1/me', { token: r.access_token })).user.email, ada.email);
		const row = await stack.rows(`SELECT method, device_id, device_name FROM sessions WHERE id = '${sessionOf(r.access_token).sid}'`);
		assert.deepEqual(row, [['cli', 'laptop', 'Laptop']]);
		problem(await exchange({ auth_code: made.auth_code, code_verifier }), 'invalid-code');
		assert.equal(await stack.one(`SELECT count(*) FROM one_time_tokens WHERE payload::text LIKE '%${made.auth_code}%'`), '0');
	});

	test('an old one knows no PKCE, and the address of old', async () => {
		const made = ok(await make());
		assert.equal(new URL(made.redirect_url).href.split('?')[0], 'http://localhost:8787/callback');
		ok(await exchange({ auth_code: made.auth_code, device_id: 'old', device_name: 'Old CLI' }));
	});

	test('a verifier that is wrong, missing or not wanted ends the code', async () => {
		const v = verifier();
		for (const [asked, shown] of [[{ code_challenge: challenge(v) }, verifier()], [{ code_challenge: challenge(v) }, undefined], [{ code_challenge: challenge(v) }, challenge(v)], [{}, v]]) {
			const { auth_code } = ok(await make(asked));
			problem(await exchange({ auth_code, code_verifier: shown }), 'invalid-code');
			problem(await exchange({ auth_code, code_verifier: asked.code_challenge && v }), 'invalid-code');
		}
	});

	test('goes to the loopback, and nowhere else (T7)', async () => {
		const elsewhere = ['http://evil.example/callback', 'https://localhost:8787/callback', 'http://localhost/callback', 'http://localhost:8787/', 'http://localhost:8787/callback/x', 'http://localhost:8787/callback?x=1', 'http://localhost:8787/callback#x',
			'http://localhost:8787@evil.example/callback', 'http://localhost:@evil.example:1/callback', 'http://localhost.evil.example:8787/callback', 'http://127.0.0.1.evil.example:1/callback', 'http://localhost:123456/callback', 'http://localhost:08787/callback',
			'http://localhost:8787\\@evil.example/callback', 'http://LOCALHOST:8787/callback', 'http://0x7f.1:80/callback', '//localhost:8787/callback', 'javascript:alert(1)', 'http://localhost:8787/callback\r\nX: y', ''];
		for (const redirect_uri of elsewhere)
			problem(await make({ redirect_uri }), 'invalid-body');
		for (const redirect_uri of ['http://localhost:1/callback', 'http://[::1]:65535/callback'])
			ok(await make({ redirect_uri }));
		for (const code_challenge of ['x', 'A'.repeat(42), 'A'.repeat(44), `${'A'.repeat(42)}=`, `${'A'.repeat(42)}B`])
			problem(await make({ code_challenge }), 'invalid-body');
		problem(await make({ code_challenge: challenge('x'), code_challenge_method: 'plain' }), 'invalid-body');
	});

	test('fifty exchanges at once: one session; an old code, a made-up one, one of another app: none', async () => {
		const { auth_code } = ok(await make());
		const replies = await inParallel(Array.from({ length: 50 }), 25, () => exchange({ auth_code }));
		assert.equal(replies.filter((r) => r.status === 200).length, 1);
		assert.ok(replies.every((r) => r.status === 200 || r.code === 'invalid-code'));
		const late = ok(await make()).auth_code;
		await stack.rows(`UPDATE one_time_tokens SET expires_at = now() WHERE purpose = 'cli-code'`);
		problem(await exchange({ auth_code: late }), 'invalid-code');
		for (const odd of [randomBytes(32).toString('base64url'), 'x'])
			problem(await exchange({ auth_code: odd }), 'invalid-code');
		const other = stack.http('cue');
		problem(await other.post('/api/v1/auth/device-token', { auth_code: ok(await make()).auth_code }), 'invalid-code');
		other.close();
	});

	test('ends with the sign-in that made it, and with the account', async () => {
		const gil = await stack.account(APP, address());
		const { auth_code } = ok(await make({}, await signIn(gil)));
		const last = await signIn(gil);
		ok(await http.delete('/api/v1/auth/sessions', { token: last }));
		problem(await exchange({ auth_code }), 'invalid-code');
		const suspended = ok(await make({}, await signIn(gil))).auth_code;
		await stack.rows(`UPDATE users SET suspended_at = now() WHERE id = '${gil.id}'`);
		problem(await exchange({ auth_code: suspended }), 'account-suspended');
	});
});
