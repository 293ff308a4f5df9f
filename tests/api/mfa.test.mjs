// Two-step sign-in with an authenticator app, which is otplib here, and with recovery codes: enrolled, shown once,
// counted, kept through all other ways of signing in, lost (CONTRACT D10, X6; SECURITY T6, T9, T14, T15).
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import jsqr from 'jsqr';
import { generateSync } from 'otplib';

import { hold, more } from '../lib/attempts.mjs';
import { Mailbox } from '../lib/mailbox.mjs';
import { ok, problem } from '../lib/setup.mjs';
import { Stack } from '../lib/stack.mjs';
import { inParallel, until } from '../lib/wait.mjs';

const APP = 'coditect', ORIGIN = 'https://coditect.example.com', MFA = '/api/v1/auth/mfa';
let stack, http, box;

const now = () => Math.floor(Date.now() / 1000);
/** The code of now, or of so many steps away. */
const codeOf = (secret, steps = 0) => generateSync({ secret, epoch: now() + 30 * steps });
/** Six digits that are wrong now, and a step before and after. */
function wrongCode(secret) {
	const right = new Set([-2, -1, 0, 1, 2].map((n) => codeOf(secret, n)));
	return ['000000', '111111', '222222', '333333', '444444', '555555'].find((c) => !right.has(c));
}
const forget = () => stack.rows('DELETE FROM attempts');
const login = (who, more = {}) => http.post('/api/v1/auth/login', { email: who.email, password: who.password, ...more });
const challenge = (body, options) => http.post(`${MFA}/challenge`, body, options);
const waiting = async (who, more) => ok(await login(who, more)).mfa_token;
/** What was used may be used again: for tests that would wait half a minute otherwise. */
const unuse = (who) => stack.rows(`UPDATE totp_factors SET last_step = 0 WHERE user_id = '${who.id}'`);
const aalOf = async (as) => ok(await as.get('/api/v1/auth/sessions')).sessions.find((s) => s.current).aal;
const mfaEnabled = (who) => stack.one(`SELECT mfa_enabled FROM users WHERE id = '${who.id}'`);
const audited = (who, action) => stack.one(`SELECT count(*) FROM audit_logs WHERE resource_id = '${who.id}' AND action = '${action}'`).then(Number);

async function person() {
	const who = await stack.account(APP, `mfa.${randomBytes(6).toString('hex')}@example.com`);
	who.as = http.as(ok(await login(who)).access_token);
	return who;
}

/** Somebody with an authenticator app whose codes are all unused. */
async function enrolled() {
	const who = await person();
	who.secret = ok(await who.as.post(`${MFA}/enroll`)).secret;
	who.codes = ok(await who.as.post(`${MFA}/verify`, { code: codeOf(who.secret) })).backup_codes;
	await unuse(who);
	return who;
}

/** How to ask with the cookie that came with a reply. */
function shows(reply) {
	const value = /__Host-session=([^;]*)/.exec(reply.headers['set-cookie'].join('\n'))[1];
	return (headers = { origin: ORIGIN }) => ({ token: null, headers: { cookie: `__Host-session=${value}`, ...headers } });
}

/** A cookie session of one factor. */
async function browser(who) {
	const r = await login(who, { session: 'cookie' });
	return { reply: ok(r), how: shows(r) };
}

/** Reads our SVG as a camera would. */
function scan(svg) {
	const size = Number(/viewBox="0 0 (\d+)/.exec(svg)[1]), scale = 4, side = size * scale;
	const pixels = new Uint8ClampedArray(side * side * 4).fill(255);
	for (const [, x, y, n] of [...svg.matchAll(/M(\d+) (\d+)h(\d+)v1h-\d+z/g)].map((m) => m.map(Number)))
		for (let py = y * scale; py < (y + 1) * scale; py++)
			for (let px = x * scale; px < (x + n) * scale; px++)
				pixels.fill(0, (py * side + px) * 4, (py * side + px) * 4 + 3);
	return (jsqr.default ?? jsqr)(pixels, side, side).data;
}

before(async () => {
	stack = Stack.attach();
	http = stack.http(APP);
	box = new Mailbox(stack);
	await forget();
});
after(() => http?.close());

describe('an authenticator app', () => {
	test('is enrolled: secret, URL and picture say the same; a code confirms it (X6)', async () => {
		const who = await person();
		const first = ok(await who.as.post(`${MFA}/enroll`));
		const e = ok(await who.as.post(`${MFA}/enroll`));
		assert.notEqual(e.secret, first.secret, 'an unconfirmed one is replaced');
		assert.match(e.secret, /^[A-Z2-7]{32}$/);
		const url = new URL(e.otpauth_url);
		assert.deepEqual([url.protocol, url.host, url.searchParams.get('secret')], ['otpauth:', 'totp', e.secret]);
		assert.equal(decodeURIComponent(url.pathname).slice(1), `${url.searchParams.get('issuer')}:${who.email}`);
		assert.equal(scan(e.qr_svg), e.otpauth_url);

		problem(await who.as.post(`${MFA}/verify`, { code: codeOf(first.secret) }), 'invalid-code');
		assert.equal(await mfaEnabled(who), 'f');
		const other = http.as(ok(await login(who)).access_token);
		const { backup_codes } = ok(await who.as.post(`${MFA}/verify`, { code: codeOf(e.secret) }));
		assert.equal(new Set(backup_codes).size, 10);
		for (const c of backup_codes)
			assert.match(c, /^([0-9a-z]{4}-){3}[0-9a-z]{4}$/);
		assert.equal(ok(await who.as.get('/api/v1/me')).user.mfa_enabled, true);
		assert.equal(await aalOf(who.as), 2);
		assert.deepEqual(ok(await who.as.get(MFA)), { enabled: true, totp: true, passkeys: 0, recovery_codes: 10 });
		await until('the other session has to show it', async () => (await other.get('/api/v1/me')).code === 'mfa-required');
		await box.next(who.email, /Two-step sign-in .* switched on/);
		assert.equal(await audited(who, 'mfa.enable'), 1);

		problem(await who.as.post(`${MFA}/enroll`), 'conflict');
		problem(await who.as.post(`${MFA}/verify`, { code: codeOf(e.secret) }), 'conflict');
	});

	test('at rest the secret is sealed, and opens for no other user (D10)', async () => {
		const [a, b] = [await enrolled(), await enrolled()];
		const bytes = Buffer.from(await stack.one(`SELECT encode(secret_sealed, 'hex') FROM totp_factors WHERE user_id = '${a.id}'`), 'hex');
		assert.equal(bytes.length, 49);
		assert.ok(!bytes.includes(Buffer.from(a.secret)));
		await stack.rows(`UPDATE totp_factors SET secret_sealed = (SELECT secret_sealed FROM totp_factors WHERE user_id = '${a.id}') WHERE user_id = '${b.id}'`);
		assert.equal((await challenge({ mfa_token: await waiting(b), code: codeOf(a.secret) })).status, 500);
	});

	test('a caller without a session of ours cannot have one', async () => {
		const who = await person();
		const as = http.as((await stack.ctl('token', '--app', APP, who.email)).trim());
		for (const [route, body] of [['enroll'], ['verify', { code: '123456' }], ['challenge', { code: '123456' }], ['disable', { password: who.password }]])
			problem(await as.post(`${MFA}/${route}`, body), 'reauthentication-required');
	});
});

describe('showing the second factor', () => {
	test('a right password gives an mfa_token and nothing else; a code turns it into a session', async () => {
		const who = await enrolled();
		const first = ok(await login(who, { device_id: 'd-1', device_name: 'Desk' }));
		assert.deepEqual(Object.keys(first).sort(), ['mfa_required', 'mfa_token']);
		assert.equal(first.mfa_required, true);
		const { mfa_token } = first;
		problem(await http.get('/api/v1/me', { token: mfa_token }), 'token-malformed');
		problem(await challenge({ mfa_token, code: wrongCode(who.secret) }), 'invalid-code');
		const r = ok(await challenge({ mfa_token, code: codeOf(who.secret) }));
		assert.equal(r.user.mfa_enabled, true);
		const as = http.as(r.access_token);
		const session = ok(await as.get('/api/v1/auth/sessions')).sessions.find((s) => s.current);
		assert.deepEqual([session.aal, session.method, session.device_id, session.device_name], [2, 'password', 'd-1', 'Desk']);
		await unuse(who);
		problem(await challenge({ mfa_token, code: codeOf(who.secret) }), 'invalid-mfa-token');
		assert.equal(ok(await http.post('/api/v1/auth/refresh', { refresh_token: r.refresh_token })).user.id, r.user.id);
	});

	test('neither token nor session, none or both of the codes, tokens of another app or that are none', async () => {
		const who = await enrolled();
		const mfa_token = await waiting(who);
		problem(await challenge({ code: '123456' }), 'not-authenticated');
		problem(await challenge({ mfa_token }), 'invalid-body');
		problem(await challenge({ mfa_token, code: '123456', recovery_code: who.codes[0] }), 'invalid-body');
		problem(await challenge({ mfa_token: 'x', code: '123456' }), 'invalid-mfa-token');
		problem(await challenge({ mfa_token: randomBytes(32).toString('base64url'), code: '123456' }), 'invalid-mfa-token');
		const cue = stack.http('cue');
		problem(await cue.post(`${MFA}/challenge`, { mfa_token, code: codeOf(who.secret) }), 'invalid-mfa-token');
		cue.close();
		await stack.rows(`UPDATE one_time_tokens SET expires_at = now() WHERE user_id = '${who.id}'`);
		problem(await challenge({ mfa_token, code: codeOf(who.secret) }), 'invalid-mfa-token');
	});

	test('a code is good for its step and one around it, once, and none older after it (T14)', async () => {
		const who = await enrolled();
		for (const steps of [-1, 1]) {
			const mfa_token = await waiting(who);
			await until('the step will last', () => now() % 30 < 20, { within: 20_000 });
			ok(await challenge({ mfa_token, code: codeOf(who.secret, steps) }));
			await unuse(who);
		}
		// three steps, as one may pass between here and there
		for (const steps of [-3, 3])
			problem(await challenge({ mfa_token: await waiting(who), code: codeOf(who.secret, steps) }), 'invalid-code');
		await forget();
		const code = codeOf(who.secret);
		const before = codeOf(who.secret, -1);
		ok(await challenge({ mfa_token: await waiting(who), code }));
		problem(await challenge({ mfa_token: await waiting(who), code }), 'invalid-code');
		problem(await challenge({ mfa_token: await waiting(who), code: before }), 'invalid-code');
	});

	test('one code, fifty at once from everywhere, each with a sign-in of its own: one session', async () => {
		const who = await enrolled();
		await forget();
		const from = (n) => `127.0.${1 + n}.1`;
		const tokens = await inParallel(Array.from({ length: 50 }), 1, async (_, n) => {
			if (n % 20 === 0)
				await forget();
			const one = stack.http(APP, { from: from(n) });
			const r = ok(await one.post('/api/v1/auth/login', { email: who.email, password: who.password }));
			one.close();
			return r.mfa_token;
		});
		await forget();
		const was = Number(await stack.one(`SELECT count(*) FROM sessions WHERE user_id = '${who.id}'`));
		const code = codeOf(who.secret);
		const answers = await inParallel(tokens, 50, async (mfa_token, n) => {
			const one = stack.http(APP, { from: from(n) });
			const r = await one.post(`${MFA}/challenge`, { mfa_token, code });
			one.close();
			return r.code ?? r.status;
		});
		assert.equal(answers.filter((a) => a === 200).length, 1, answers.join(' '));
		assert.ok(answers.filter((a) => a === 'invalid-code').length >= 20, `more than a few came that far: ${answers.join(' ')}`);
		assert.equal(Number(await stack.one(`SELECT count(*) FROM sessions WHERE user_id = '${who.id}'`)), was + 1);
		await forget();
	});

	test('one mfa_token, many at once, each with a code of its own that is right: one session (T6)', async () => {
		const who = await enrolled();
		const mfa_token = await waiting(who);
		const answers = await inParallel(who.codes.slice(0, 5), 5, async (recovery_code, n) => {
			const one = stack.http(APP, { from: `127.1.${1 + n}.1` });
			const r = await one.post(`${MFA}/challenge`, { mfa_token, recovery_code });
			one.close();
			return r.code ?? r.status;
		});
		assert.deepEqual(answers.filter((a) => a !== 'invalid-mfa-token'), [200], answers.join(' '));
		assert.equal(ok(await http.as(ok(await challenge({ mfa_token: await waiting(who), code: codeOf(who.secret) })).access_token).get(MFA)).recovery_codes, 9, 'what did not sign in was not used up');
	});

	test('five wrong ones: then it waits, and the sign-in is given up (T9)', async () => {
		const who = await enrolled();
		await forget();
		const mfa_token = await waiting(who);
		const code = wrongCode(who.secret);
		for (let n = 0; n < 5; n++)
			problem(await challenge({ mfa_token, code }), 'invalid-code');
		await hold(stack);
		const r = await challenge({ mfa_token, code: codeOf(who.secret) });
		problem(r, 'too-many-attempts');
		assert.ok(Number(r.headers['retry-after']) >= 1);
		await forget();
		problem(await challenge({ mfa_token, code: codeOf(who.secret) }), 'invalid-mfa-token');
		ok(await challenge({ mfa_token: await waiting(who), code: codeOf(who.secret) }));
	});

	test('two hundred guesses at once: five are looked at', async () => {
		const who = await enrolled();
		await forget();
		const mfa_token = await waiting(who);
		const code = wrongCode(who.secret);
		const from = performance.now();
		const answers = await inParallel(Array.from({ length: 200 }), 20, async () => (await challenge({ mfa_token, code })).code);
		const n = (c) => answers.filter((a) => a === c).length;
		assert.ok(n('invalid-code') <= 5, `${n('invalid-code')} were looked at`);
		assert.equal(n('invalid-code') + n('too-many-attempts') + n('invalid-mfa-token'), 200);
		const subject = createHash('sha256').update(`mfa\n${who.id}\n127.0.0.1`).digest('hex');
		const tried = Number(await stack.one(`SELECT tried FROM attempts WHERE subject = '\\x${subject}'`));
		assert.ok(tried >= 5 && tried <= 5 + more(from), `${tried} were counted`);
		await forget();
	});

	test('a browser’s session of one factor is raised in its place, by its own pages only', async () => {
		const who = await enrolled();
		const { reply, how } = await browser(who);
		assert.deepEqual(reply, { mfa_required: true });
		problem(await http.get('/api/v1/me', how()), 'mfa-required');
		problem(await http.get(MFA, how()), 'mfa-required');
		problem(await challenge({ code: codeOf(who.secret) }, how({ origin: 'https://evil.example' })), 'origin-refused');
		problem(await challenge({ code: wrongCode(who.secret) }, how()), 'invalid-code');
		const code = codeOf(who.secret);
		const raised = await challenge({ code }, how());
		assert.equal(ok(raised).user.email, who.email);
		await until('it is good now, with its new cookie', async () => (await http.get('/api/v1/me', shows(raised)())).status === 200);
		await until('and not with the one of one factor', async () => (await http.get('/api/v1/me', how())).status === 401, { within: 5000 });
		problem(await challenge({ code }, shows(raised)()), 'invalid-code'); // that one: where a step has ended meanwhile, its successor is good
	});

	test('a suspended user is told so only then', async () => {
		const who = await enrolled();
		const mfa_token = await waiting(who);
		await stack.rows(`UPDATE users SET suspended_at = now() WHERE id = '${who.id}'`);
		problem(await challenge({ mfa_token, code: wrongCode(who.secret) }), 'invalid-code');
		problem(await challenge({ mfa_token, code: codeOf(who.secret) }), 'account-suspended');
	});
});

describe('recovery codes', () => {
	test('each lets in once, however it is typed, and its owner hears of it', async () => {
		const who = await enrolled();
		const recovery_code = who.codes[3].toUpperCase().replaceAll('-', ' ');
		const { access_token } = ok(await challenge({ mfa_token: await waiting(who), recovery_code }));
		assert.equal(ok(await http.as(access_token).get(MFA)).recovery_codes, 9);
		await box.next(who.email, /recovery code/);
		problem(await challenge({ mfa_token: await waiting(who), recovery_code: who.codes[3] }), 'invalid-code');
		problem(await challenge({ mfa_token: await waiting(who), recovery_code: 'nonsense' }), 'invalid-code');
		const other = await enrolled();
		problem(await challenge({ mfa_token: await waiting(other), recovery_code: who.codes[4] }), 'invalid-code');
	});

	test('one code, ten at once: one session', async () => {
		const who = await enrolled();
		await forget();
		const tokens = await inParallel(Array.from({ length: 10 }), 2, () => waiting(who));
		const answers = await inParallel(tokens, 10, async (mfa_token, n) => {
			const one = stack.http(APP, { from: `127.2.${1 + n}.1` });
			const r = await one.post(`${MFA}/challenge`, { mfa_token, recovery_code: who.codes[0] });
			one.close();
			return r.code ?? r.status;
		});
		assert.equal(answers.filter((a) => a === 200).length, 1, answers.join(' '));
		assert.equal(answers.filter((a) => a === 'invalid-code').length, 9, answers.join(' '));
	});

	test('new ones end the old; only soon after a factor was shown', async () => {
		const who = await enrolled();
		const { backup_codes } = ok(await who.as.post(`${MFA}/recovery-codes`));
		assert.equal(backup_codes.filter((c) => who.codes.includes(c)).length, 0);
		problem(await challenge({ mfa_token: await waiting(who), recovery_code: who.codes[0] }), 'invalid-code');
		ok(await challenge({ mfa_token: await waiting(who), recovery_code: backup_codes[0] }));
		await stack.rows(`UPDATE sessions SET proved_at = now() - interval '1 hour' WHERE user_id = '${who.id}'`);
		for (const [route, body] of [['recovery-codes'], ['disable', { password: who.password }]])
			await until('workers know that it was long ago', async () => (await who.as.post(`${MFA}/${route}`, body)).code === 'reauthentication-required');
		ok(await challenge({ code: codeOf(who.secret) }, { token: who.as.token }));
		ok(await who.as.post(`${MFA}/recovery-codes`));
		problem(await (await person()).as.post(`${MFA}/recovery-codes`), 'conflict');
	});
});

describe('the end of it', () => {
	test('switched off by the password or a code, not by wrong ones; the codes go too', async () => {
		for (const proof of [(who) => ({ password: who.password }), (who) => ({ code: codeOf(who.secret) })]) {
			const who = await enrolled();
			await forget();
			problem(await who.as.post(`${MFA}/disable`, { password: 'Not-the-password-1' }), 'invalid-credentials');
			problem(await who.as.post(`${MFA}/disable`, {}), 'invalid-credentials');
			problem(await who.as.post(`${MFA}/disable`, { code: wrongCode(who.secret) }), 'invalid-code');
			assert.equal(await mfaEnabled(who), 't');
			assert.deepEqual(ok(await who.as.post(`${MFA}/disable`, proof(who))), { enabled: false, totp: false, passkeys: 0, recovery_codes: 0 });
			assert.ok(ok(await login(who)).access_token);
			await box.next(who.email, /Two-step sign-in .* switched off/);
			assert.equal(await audited(who, 'mfa.disable'), 1);
			problem(await who.as.post(`${MFA}/disable`, proof(who)), 'conflict');
		}
	});

	test('guesses of who is signed in are counted too', async () => {
		const who = await enrolled();
		await forget();
		const code = wrongCode(who.secret);
		for (let n = 0; n < 5; n++)
			problem(await who.as.post(`${MFA}/disable`, { code }), 'invalid-code');
		await hold(stack);
		problem(await who.as.post(`${MFA}/disable`, { code: codeOf(who.secret) }), 'too-many-attempts');
		const fresh = await person();
		const { secret } = ok(await fresh.as.post(`${MFA}/enroll`));
		for (let n = 0; n < 5; n++)
			problem(await fresh.as.post(`${MFA}/verify`, { code: wrongCode(secret) }), 'invalid-code');
		await hold(stack);
		problem(await fresh.as.post(`${MFA}/verify`, { code: codeOf(secret) }), 'too-many-attempts');
		await forget();
	});

	test('a new password and a mailed link leave it as it was (T14)', async () => {
		const who = await enrolled();
		ok(await http.post('/api/v1/auth/request-password-reset', { email: who.email }));
		who.password = 'Another-staple-8-tree';
		ok(await http.post('/api/v1/auth/reset-password', { token: (await box.next(who.email, /password/i)).token, password: who.password }));
		assert.deepEqual(Object.keys(ok(await login(who))).sort(), ['mfa_required', 'mfa_token']);
		ok(await http.post('/api/v1/auth/magic-link', { email: who.email }));
		const mail = await until('a mail with a link that signs in', () => box.to(who.email).find((m) => m.text.includes('/magic-link#')));
		const r = ok(await http.post('/api/v1/auth/magic-link/verify', { token: mail.token }));
		assert.deepEqual(Object.keys(r).sort(), ['mfa_required', 'mfa_token']);
		const { access_token } = ok(await challenge({ mfa_token: r.mfa_token, code: codeOf(who.secret) }));
		const session = ok(await http.as(access_token).get('/api/v1/auth/sessions')).sessions.find((s) => s.current);
		assert.deepEqual([session.method, session.aal], ['magic-link', 2]);
	});

	test('a reset ends a sign-in that waited', async () => {
		const who = await enrolled();
		const mfa_token = await waiting(who);
		ok(await http.post('/api/v1/auth/request-password-reset', { email: who.email }));
		ok(await http.post('/api/v1/auth/reset-password', { token: (await box.next(who.email, /password/i)).token, password: 'Another-staple-8-tree' }));
		problem(await challenge({ mfa_token, code: codeOf(who.secret) }), 'invalid-mfa-token');
	});

	test('an operator takes it away from who lost it: audited, and all sessions end', async () => {
		const who = await enrolled();
		assert.match(await stack.ctl('user', 'mfa-reset', '--app', APP, who.email), /no second factor/);
		await until('the session has ended', async () => (await who.as.get('/api/v1/me')).code === 'not-authenticated');
		assert.deepEqual(await stack.rows(`SELECT (SELECT count(*) FROM totp_factors WHERE user_id = u.id), (SELECT count(*) FROM recovery_codes WHERE user_id = u.id), mfa_enabled FROM users u WHERE id = '${who.id}'`), [['0', '0', 'f']]);
		assert.ok(ok(await login(who)).access_token);
		assert.equal(await audited(who, 'mfa.reset'), 1);
	});
});
