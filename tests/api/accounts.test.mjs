// Accounts from the first mail to the last: register, verify, forgotten and changed passwords, links that
// sign in, a new address, the end (CONTRACT B2, B4, D4, D7, D8, X1, X2, X5, X8, E14; SECURITY T4, T6, T11-T13,
// T19, T33, T36, T41).
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { after, before, describe, test } from 'node:test';

import { generateSync } from 'otplib';

import { hold } from '../lib/attempts.mjs';
import { Copy } from '../lib/copy.mjs';
import { Mailbox } from '../lib/mailbox.mjs';
import { ok, problem } from '../lib/setup.mjs';
import { Stack } from '../lib/stack.mjs';
import { inParallel, until } from '../lib/wait.mjs';

const APP = 'coditect', PASSWORD = 'Correct-horse-7-battery', OTHER = 'Another-staple-8-tree';
let stack, http, box;

const address = (name) => `${name}.${randomBytes(6).toString('hex')}@example.com`;
const post = (route, body, options) => http.post(`/api/v1/auth/${route}`, body, options);
const login = (email, password = PASSWORD, more = {}) => post('login', { email, password, ...more });
const verify = (token) => http.get(`/api/v1/auth/verify-email?token=${token}`);
const forget = () => stack.rows('DELETE FROM attempts');

/** Somebody with a verified address, signed in. */
async function person(name, password = PASSWORD) {
	const email = address(name);
	ok(await post('register', { email, password, name }));
	ok(await verify((await box.next(email, /Confirm/)).token));
	const tokens = ok(await login(email, password));
	return { email, id: tokens.user.id.replace('usr_', ''), tokens, as: http.as(tokens.access_token) };
}

before(async () => {
	stack = Stack.attach();
	http = stack.http(APP);
	box = new Mailbox(stack);
	await forget();
});
after(() => http?.close());

describe('register and verify', () => {
	test('an account is made, its mail verifies it once (X1, X2)', async () => {
		const email = address('ada');
		const r = ok(await post('register', { email, password: PASSWORD, name: 'Ada Lovelace' }));
		assert.deepEqual(Object.keys(r).sort(), ['email', 'email_verified', 'tier', 'user_id', 'verification_email_sent']);
		assert.deepEqual([r.email, r.email_verified, r.tier, r.verification_email_sent], [email, false, 'FREE', true]);
		assert.match(r.user_id, /^usr_[0-9a-f-]{36}$/);
		const mail = await box.next(email, /Confirm your address/);
		assert.ok(mail.text.includes('https://coditect.example.com/verify-email#token='), mail.text);
		const v = ok(await verify(mail.token));
		assert.deepEqual([v.user_id, v.email_verified], [r.user_id, true]);
		problem(await verify(mail.token), 'link-invalid');
		await box.next(email, /Welcome/i);
		const signedIn = ok(await login(email));
		assert.deepEqual([signedIn.user.id, signedIn.user.email_verified, signedIn.user.display_name], [r.user_id, true, 'Ada Lovelace']);
	});

	test('links lead where the settings say, whatever the request claims (T12)', async () => {
		const email = address('host');
		ok(await post('register', { email, password: PASSWORD }, { headers: { 'x-forwarded-host': 'evil.example', forwarded: 'host=evil.example', origin: 'https://evil.example', referer: 'https://evil.example/' } }));
		const mail = await box.next(email, /Confirm/);
		assert.ok(!mail.raw.includes('evil.example'));
	});

	test('an address that is taken: the same answer in the same time, and its owner is told (T11)', async () => {
		const ada = await person('taken');
		const was = await stack.one(`SELECT row_to_json(u)::text FROM users u WHERE id = '${ada.id}'`);
		const fresh = address('fresh');
		const [a, b] = [await post('register', { email: ada.email.toUpperCase(), password: OTHER, name: 'Eve' }), await post('register', { email: fresh, password: OTHER, name: 'Eve' })];
		for (const r of [a, b])
			assert.deepEqual(Object.keys(ok(r)).sort(), ['email', 'email_verified', 'tier', 'user_id', 'verification_email_sent']);
		assert.notEqual(a.json.user_id, `usr_${ada.id}`);
		assert.equal(a.json.email_verified, b.json.email_verified);
		await box.next(ada.email, /already/i);
		problem(await login(ada.email, OTHER), 'invalid-credentials');
		assert.equal(await stack.one(`SELECT row_to_json(u)::text FROM users u WHERE id = '${ada.id}'`), was);
	});

	test('who registers with it again and again does not fill its owner’s mailbox (T9)', async () => {
		const email = address('taken');
		ok(await post('register', { email, password: PASSWORD }));
		const before = JSON.stringify(Object.keys(ok(await post('register', { email, password: PASSWORD }))));
		for (let n = 0; n < 8; n++) {
			await hold(stack);
			const r = await post('register', { email: n % 2 ? email.toUpperCase() : email, password: PASSWORD });
			assert.equal(JSON.stringify(Object.keys(ok(r))), before);
			assert.equal(r.headers['retry-after'], undefined);
			await hold(stack); // a second after the last free one there may be one more, and hashing takes its time
		}
		assert.equal(await stack.one(`SELECT count(*) FROM mails WHERE template = 'account-exists' AND to_address = '${email}'`), '4');
		await forget();
	});

	test('fifty at once with one address: one account', async () => {
		const email = address('race');
		await inParallel(Array.from({ length: 30 }), 10, () => post('register', { email, password: PASSWORD }));
		assert.equal(await stack.one(`SELECT count(*) FROM users WHERE lower(email) = '${email}'`), '1');
		await forget();
	});

	test('a password of the list of breached ones is none: 422, and nothing made (T41)', async () => {
		const copy = new Copy(stack), settings = path.join(stack.state, 'quoin.env'), list = path.join(stack.state, 'breached');
		const was = readFileSync(settings, 'utf8'), email = address('known'), known = 'Everybody-knows-7-of-it';
		const sha1 = (text) => createHash('sha1').update(text).digest('hex').toUpperCase();
		const anew = async (text) => {
			writeFileSync(settings, text);
			await copy.shell('eval', 'stop TERM 30 slow; up_pools');
		};
		writeFileSync(list, [known, ...Array.from({ length: 1000 }, (_, i) => `No-${i}`)].map((p) => `${sha1(p)}:7\n`).sort().join(''));
		try {
			await anew(`${was}QUOIN_BREACHED_PASSWORDS=${list}\n`);
			const r = await post('register', { email, password: known });
			problem(r, 'invalid-body');
			assert.equal(r.json.errors[0].type, 'password_breached', String(r));
			assert.equal(await stack.one(`SELECT count(*) FROM users WHERE email = '${email}'`), '0');
			ok(await post('register', { email, password: `${known}.` }));
		} finally {
			await anew(was);
		}
		ok(await post('register', { email: address('known'), password: known }));
	});

	test('passwords that will not do: 422 with the reason, and nothing made (X8, T41)', async () => {
		const email = address('weak');
		for (const [password, type] of [
			['Short-1a', 'string_too_short'],
			['alllowercaseletters', 'password_classes'],
			[`${email.split('@')[0]}A1-`, 'password_email'],
			['Password123!Password', 'password_common'],
			['Qwertyuiop123!', 'password_common'],
			[`Aa1-${'x'.repeat(1021)}`, 'string_too_long'],
		]) {
			const r = await post('register', { email, password });
			problem(r, 'invalid-body');
			assert.equal(r.json.errors[0].type, type, `${password}: ${r}`);
			assert.ok(!r.text.includes(password.slice(0, 40)), 'it is not said again');
		}
		assert.equal(await stack.one(`SELECT count(*) FROM users WHERE email = '${email}'`), '0');
		const long = `Aa1-${'dieser Satz über Überraschungen ist lang genug, '.repeat(10)}`;
		ok(await post('register', { email, password: long }));
		problem(await login(email, long.slice(0, -1)), 'invalid-credentials');
		ok(await login(email, long));
	});

	test('what is no address, and members that nobody asked for (T19, T36)', async () => {
		for (const email of ['x', 'a@b', 'a@b.example\r\nBcc: c@d.example', 'a b@c.example', '"a"@c.example', 'a@@b.example', 'a@[127.0.0.1]', `${'a'.repeat(320)}@b.example`, 5, ['a@b.example', 'c@d.example'], { a: 1 }])
			assert.ok([400, 422].includes((await post('register', { email, password: PASSWORD })).status), JSON.stringify(email));
		for (const more of [{ email_verified: true }, { tier: 'PRO' }, { plan: 'enterprise' }, { platform_role: 'admin' }, { id: 'x' }])
			problem(await post('register', { email: address('mass'), password: PASSWORD, ...more }), 'invalid-body');
	});

	test('the link comes again on demand, and only the newest is good', async () => {
		const email = address('again');
		ok(await post('register', { email, password: PASSWORD }));
		const first = await box.next(email, /Confirm/);
		const answer = ok(await post('resend-verification', { email }));
		assert.deepEqual(ok(await post('resend-verification', { email: address('nobody') })), answer);
		const second = await box.next(email, /Confirm/, 2);
		problem(await verify(first.token), 'link-invalid');
		ok(await verify(second.token));
	});

	test('mail to one address is for who can wait, whatever asks for it', async () => {
		const mara = await person('mara');
		const asks = {
			'resend-verification': (email) => post('resend-verification', { email }),
			'magic-link': (email) => post('magic-link', { email }),
			'change-email': (email) => mara.as.post('/api/v1/auth/change-email', { email, password: PASSWORD }),
		};
		for (const [what, ask] of Object.entries(asks)) {
			const email = address('often');
			let r, n = 0;
			do
				r = await ask(email);
			while (r.status === 200 && ++n < 20);
			problem(r, 'too-many-attempts');
			assert.ok(n >= 3 && n < 20 && Number(r.headers['retry-after']) > 0, `${what}: ${n}`);
			await forget();
		}
	});

	test('fifty accounts are enough for one network at once, tries among them', async () => {
		await inParallel(Array.from({ length: 50 }), 10, () => post('register', { email: address('many'), password: 'weak' }));
		await hold(stack);
		const r = await post('register', { email: address('many'), password: PASSWORD });
		problem(r, 'too-many-attempts');
		assert.ok(Number(r.headers['retry-after']) > 0);
		await forget();
	});

	test('tokens that are none', async () => {
		for (const token of ['', 'x', randomBytes(32).toString('base64url'), `${randomBytes(32).toString('base64url')}A`])
			assert.ok([410, 422].includes((await verify(token)).status), token);
	});
});

describe('a forgotten password', () => {
	const ask = (email) => post('request-password-reset', { email });
	const reset = (token, password) => post('reset-password', { token, password });

	test('the link sets a new one, once, and ends every session (X5, T13)', async () => {
		const bea = await person('bea');
		ok(await ask(bea.email));
		const { token } = await box.next(bea.email, /password/i);
		ok(await reset(token, OTHER));
		problem(await reset(token, 'Third-password-9-x'), 'link-invalid');
		problem(await login(bea.email), 'invalid-credentials');
		ok(await login(bea.email, OTHER));
		await until('the old session is over', async () => (await bea.as.get('/api/v1/me')).status === 401, { within: 5000 });
		problem(await post('refresh', { refresh_token: bea.tokens.refresh_token }), 'invalid-refresh-token');
		await box.next(bea.email, /password.*changed|changed.*password/i);
	});

	test('whether there is an account does not show (T11)', async () => {
		const cat = await person('cat');
		const [known, unknown] = [await ask(cat.email), await ask(address('nobody'))];
		assert.deepEqual(ok(known), ok(unknown));
		await box.next(cat.email, /password/i);
	});

	test('an array of addresses is no address (T13)', async () => {
		assert.equal((await ask(['a@example.com', 'b@example.com'])).status, 422);
	});

	test('fifty at once with one token: one of them has it (T6)', async () => {
		const dan = await person('dan');
		ok(await ask(dan.email));
		const { token } = await box.next(dan.email, /password/i);
		const all = await inParallel(Array.from({ length: 12 }), 4, async (_, n) => [n, await reset(token, `Parallel-reset-${n}-Zz`)]);
		const won = all.filter(([, r]) => r.status === 200);
		assert.equal(won.length, 1, all.map(([, r]) => r.status).join(' '));
		for (const [, r] of all)
			assert.ok([200, 410, 503].includes(r.status), String(r));
		ok(await login(dan.email, `Parallel-reset-${won[0][0]}-Zz`));
	});

	test('an older link dies with a newer one; one for an address that was left is none', async () => {
		const eli = await person('eli');
		ok(await ask(eli.email));
		const first = await box.next(eli.email, /password/i);
		ok(await ask(eli.email));
		const second = await box.next(eli.email, /password/i, 2);
		problem(await reset(first.token, OTHER), 'link-invalid');
		await stack.rows(`UPDATE users SET email = '${address('left')}' WHERE id = '${eli.id}'`);
		problem(await reset(second.token, OTHER), 'link-invalid');
	});

	test('it is over after half an hour', async () => {
		const fay = await person('fay');
		ok(await ask(fay.email));
		const { token } = await box.next(fay.email, /password/i);
		await stack.rows(`UPDATE one_time_tokens SET expires_at = now() WHERE user_id = '${fay.id}' AND purpose = 'reset-password'`);
		problem(await reset(token, OTHER), 'link-invalid');
		ok(await login(fay.email));
	});

	test('a weak new password leaves the link good; the last five are refused (X8)', async () => {
		const gus = await person('gus');
		ok(await ask(gus.email));
		const { token } = await box.next(gus.email, /password/i);
		problem(await reset(token, 'weak'), 'invalid-body');
		const r = await reset(token, PASSWORD);
		problem(r, 'invalid-body');
		assert.equal(r.json.errors[0].type, 'password_used');
		ok(await reset(token, OTHER));
	});

	test('asked for too often, it waits: by address and by network', async () => {
		const email = address('often');
		for (let n = 0; n < 5; n++)
			ok(await ask(email));
		await hold(stack);
		for (const same of [email, email.toUpperCase(), email.replace('often', 'Often')]) {
			const r = await ask(same);
			problem(r, 'too-many-attempts');
			assert.ok(Number(r.headers['retry-after']) > 0);
		}
		await forget();
	});

	test('the new password ends a change of the address that somebody else began (T13)', async () => {
		const una = await person('una');
		const elsewhere = address('thief');
		ok(await una.as.post('/api/v1/auth/change-email', { email: elsewhere, password: PASSWORD }));
		const { token } = await box.next(elsewhere, /address/i);
		ok(await ask(una.email));
		ok(await reset((await box.next(una.email, /password/i)).token, OTHER));
		problem(await post('change-email/confirm', { token }), 'link-invalid');
		ok(await login(una.email, OTHER));
	});

	test('who is just signing in with the old one is not signed in when it has changed (T13)', async () => {
		const ova = await person('ova');
		const password_hash = await stack.one(`SELECT password_hash FROM users WHERE id = '${ova.id}'`);
		const otherHash = await stack.one(`SELECT password_hash FROM users WHERE id = '${(await person('eva', OTHER)).id}'`);
		for (const more of [{}, { session: 'cookie' }]) {
			const copy = new Copy(stack), change = copy.session({ user: 'quoin' });
			try {
				await change.run(`BEGIN; UPDATE users SET password_hash = '${otherHash}' WHERE id = '${ova.id}'`);
				const late = login(ova.email, PASSWORD, more);
				await until('the sign-in waits for the change', () => copy.value(`SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'quoin'`));
				await change.run('COMMIT');
				problem(await late, 'invalid-credentials');
			} finally {
				await change.end();
			}
			await stack.rows(`UPDATE users SET password_hash = '${password_hash}' WHERE id = '${ova.id}'`);
			ok(await login(ova.email, PASSWORD, more));
		}
		assert.equal(await stack.one(`SELECT count(*) FROM sessions WHERE user_id = '${ova.id}'`), '3');
	});
});

describe('who is signed in', () => {
	test('and just changes the account with the old password does not when that has changed (T13)', async () => {
		const otto = await person('otto');
		const otherHash = await stack.one(`SELECT password_hash FROM users WHERE id = '${(await person('ines', OTHER)).id}'`);
		const password_hash = await stack.one(`SELECT password_hash FROM users WHERE id = '${otto.id}'`);
		const changes = {
			'change-password': { current_password: PASSWORD, new_password: 'Third-saddle-9-cloud' },
			'change-email': { email: address('thief'), password: PASSWORD },
		};
		for (const [route, body] of Object.entries(changes)) {
			const copy = new Copy(stack), change = copy.session({ user: 'quoin' });
			try {
				await change.run(`BEGIN; UPDATE users SET password_hash = '${otherHash}' WHERE id = '${otto.id}'`);
				const late = otto.as.post(`/api/v1/auth/${route}`, body);
				await until('it waits for the change', () => copy.value(`SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'quoin'`));
				await change.run('COMMIT');
				problem(await late, 'invalid-credentials');
			} finally {
				await change.end();
			}
			assert.equal(await stack.one(`SELECT password_hash FROM users WHERE id = '${otto.id}'`), otherHash);
			assert.equal(await stack.one(`SELECT count(*) FROM one_time_tokens WHERE user_id = '${otto.id}' AND purpose = 'change-email'`), '0');
			await stack.rows(`UPDATE users SET password_hash = '${password_hash}' WHERE id = '${otto.id}'`);
		}
	});

	test('changes the password with the old one; other sessions end, this one stays', async () => {
		const hal = await person('hal');
		const other = ok(await login(hal.email));
		problem(await hal.as.post('/api/v1/auth/change-password', { current_password: OTHER, new_password: OTHER }), 'invalid-credentials');
		ok(await hal.as.post('/api/v1/auth/change-password', { current_password: PASSWORD, new_password: OTHER }));
		ok(await hal.as.get('/api/v1/me'));
		await until('the other session is over', async () => (await http.get('/api/v1/me', { token: other.access_token })).status === 401, { within: 5000 });
		ok(await login(hal.email, OTHER));
		for (const [n, password] of ['One-more-password-1', 'One-more-password-2', 'One-more-password-3'].entries())
			ok(await hal.as.post('/api/v1/auth/change-password', { current_password: n ? `One-more-password-${n}` : OTHER, new_password: password }));
		const r = await hal.as.post('/api/v1/auth/change-password', { current_password: 'One-more-password-3', new_password: PASSWORD });
		assert.equal(r.json.errors?.[0].type, 'password_used', String(r));
	});

	test('guesses at the password are counted there too', async () => {
		const ida = await person('ida');
		for (let n = 0; n < 5; n++)
			problem(await ida.as.post('/api/v1/auth/change-password', { current_password: `Guess-number-${n}`, new_password: OTHER }), 'invalid-credentials');
		await hold(stack);
		problem(await ida.as.post('/api/v1/auth/change-password', { current_password: PASSWORD, new_password: OTHER }), 'too-many-attempts');
		problem(await ida.as.post('/api/v1/auth/reauthenticate', { password: PASSWORD }), 'too-many-attempts');
		await forget();
	});

	test('moves to a new address by a link sent there; the old one is told', async () => {
		const jan = await person('jan');
		const next = address('jan-new');
		problem(await jan.as.post('/api/v1/auth/change-email', { email: next, password: OTHER }), 'invalid-credentials');
		ok(await jan.as.post('/api/v1/auth/change-email', { email: next, password: PASSWORD }));
		const { token } = await box.next(next, /address/i);
		assert.equal(ok(await jan.as.get('/api/v1/me')).user.email, jan.email);
		ok(await post('change-email/confirm', { token }));
		problem(await post('change-email/confirm', { token }), 'link-invalid');
		await until('the new address shows', async () => ok(await jan.as.get('/api/v1/me')).user.email === next);
		const told = await box.next(jan.email, /address.*changed|changed.*address/i);
		assert.ok(told.text.includes(next));
		ok(await login(next));
		problem(await login(jan.email), 'invalid-credentials');
	});

	test('to a taken address: the same answer, and its owner is told', async () => {
		const [kim, lea] = [await person('kim'), await person('lea')];
		const r = await kim.as.post('/api/v1/auth/change-email', { email: lea.email, password: PASSWORD });
		const s = await kim.as.post('/api/v1/auth/change-email', { email: address('free'), password: PASSWORD });
		assert.deepEqual(ok(r), ok(s));
		await box.next(lea.email, /already/i);
	});

	test('changes the profile, and nothing else (T19)', async () => {
		const max = await person('max');
		assert.equal(ok(await max.as.put('/api/v1/me', { display_name: 'Max M.', company_name: 'ACME' })).user.display_name, 'Max M.');
		for (const more of [{ plan: 'pro' }, { email: 'x@example.com' }, { email_verified: true }, { platform_role: 'admin' }, { mfa_enabled: true }, { password_hash: 'x' }])
			problem(await max.as.put('/api/v1/me', { display_name: 'x', ...more }), 'invalid-body');
	});

	test('who has no password must have signed in lately', async () => {
		const nia = await person('nia');
		// Asked before all have heard of it, the password would be set.
		await new Copy(stack).heard(() => stack.rows(`UPDATE users SET password_hash = NULL WHERE id = '${nia.id}'; UPDATE sessions SET proved_at = now() - interval '1 hour' WHERE user_id = '${nia.id}'`));
		problem(await nia.as.post('/api/v1/auth/change-password', { new_password: OTHER }), 'reauthentication-required');
		problem(await nia.as.post('/api/v1/auth/change-email', { email: address('nia') }), 'reauthentication-required');
	});

	test('shows the password again before what cannot be undone (T14)', async () => {
		const ned = await person('ned');
		await new Copy(stack).heard(() => stack.rows(`UPDATE sessions SET proved_at = now() - interval '1 hour' WHERE user_id = '${ned.id}'`));
		problem(await ned.as.delete('/api/v1/me'), 'reauthentication-required');
		problem(await ned.as.post('/api/v1/auth/reauthenticate', { password: OTHER }), 'invalid-credentials');
		ok(await ned.as.post('/api/v1/auth/reauthenticate', { password: PASSWORD }));
		await until('it may be done', async () => (await ned.as.delete('/api/v1/me')).status === 200);
	});

	test('gives the account up, and has it back by signing in within a month', async () => {
		const ole = await person('ole');
		ok(await ole.as.delete('/api/v1/me'));
		await box.next(ole.email, /deleted/);
		await until('the session is over', async () => (await ole.as.get('/api/v1/me')).status === 401, { within: 5000 });
		ok(await login(ole.email));
		assert.equal(await stack.one(`SELECT delete_after IS NULL FROM users WHERE id = '${ole.id}'`), 't');
		const again = ok(await login(ole.email));
		ok(await http.delete('/api/v1/me', { token: again.access_token }));
		await stack.rows(`UPDATE users SET delete_after = now() WHERE id = '${ole.id}';
			INSERT INTO jobs (id, kind, unique_key) VALUES (gen_random_uuid(), 'account.erase', 'erase') ON CONFLICT DO NOTHING`);
		await until('it is erased', async () => (await stack.one(`SELECT count(*) FROM users WHERE id = '${ole.id}'`)) === '0');
		problem(await login(ole.email), 'invalid-credentials');
		const [[trail, where]] = await stack.rows(`SELECT count(*), count(coalesce(ip_address, user_agent)) FROM audit_logs WHERE user_id = '${ole.id}'`);
		assert.ok(Number(trail) > 3, 'the trail stays');
		assert.equal(where, '0', 'and does not tell where he was (T37)');
		assert.match(await stack.ctl('audit', 'verify', '--app', APP), /are as they were written/);
	});
});

describe('a link that signs in (E14)', () => {
	const ask = (email) => post('magic-link', { email });
	const use = (token, more = {}) => post('magic-link/verify', { token, ...more });

	test('signs in once, with tokens or a cookie', async () => {
		const pam = await person('pam');
		ok(await ask(pam.email));
		const { token } = await box.next(pam.email, /sign in/i);
		const r = ok(await use(token));
		ok(await http.get('/api/v1/me', { token: r.access_token }));
		problem(await use(token), 'link-invalid');
		ok(await ask(pam.email));
		const second = await box.next(pam.email, /sign in/i, 2);
		const cookie = await use(second.token, { session: 'cookie' });
		ok(cookie);
		assert.match(cookie.headers['set-cookie'][0], /^__Host-session=.{43};/);
	});

	test('fifty at once: one session', async () => {
		const quin = await person('quin');
		ok(await ask(quin.email));
		const { token } = await box.next(quin.email, /sign in/i);
		const all = await inParallel(Array.from({ length: 50 }), 16, () => use(token));
		assert.equal(all.filter((r) => r.status === 200).length, 1);
		assert.equal(await stack.one(`SELECT count(*) FROM sessions WHERE user_id = '${quin.id}' AND method = 'magic-link'`), '1');
	});

	test('whoever reads the mail has the account: a password that somebody set before is gone with its sessions (T4)', async () => {
		const email = address('squat');
		ok(await post('register', { email, password: PASSWORD, name: 'not the owner' }));
		const squatter = ok(await login(email));
		ok(await ask(email));
		const { token } = await box.next(email, /sign in/i);
		const owner = ok(await use(token));
		assert.equal(owner.user.email_verified, true);
		problem(await login(email), 'invalid-credentials');
		await until('the squatter is out', async () => (await http.get('/api/v1/me', { token: squatter.access_token })).status === 401, { within: 5000 });
		ok(await http.get('/api/v1/me', { token: owner.access_token }));
	});

	test('nor has a key or a second factor that somebody made on an address which he never showed to be his (T4)', async () => {
		const owners = {
			'magic-link': async (email, nth) => ok(await use((await box.next(email, /^Sign in/, nth)).token)),
			'request-password-reset': async (email, nth) => {
				const password = `${OTHER}-${nth}`;
				ok(await post('reset-password', { token: (await box.next(email, /^Set a new/, nth)).token, password }));
				return ok(await login(email, password));
			},
		};
		for (const [by, takes] of Object.entries(owners)) {
			const email = address('trojan');
			ok(await post('register', { email, password: PASSWORD, name: 'not the owner' }));
			const squatter = http.as(ok(await login(email)).access_token);
			const { api_key } = ok(await squatter.post('/api/v1/api-keys', {}));
			const by_key = () => http.get('/api/v1/me', { token: null, headers: { 'x-api-key': api_key } });
			const { secret } = ok(await squatter.post('/api/v1/auth/mfa/enroll'));
			ok(await squatter.post('/api/v1/auth/mfa/verify', { code: generateSync({ secret }) }));
			ok(await by_key());
			ok(await post(by, { email }));
			const owner = await takes(email, 1);
			assert.equal(owner.mfa_required, undefined, by);
			assert.deepEqual([owner.user.email_verified, owner.user.mfa_enabled], [true, false], by);
			await until('the key is nobody’s', async () => (await by_key()).code === 'invalid-api-key', { within: 5000 });
			const as = http.as(owner.access_token);
			assert.deepEqual(ok(await as.get('/api/v1/api-keys')).api_keys, []);
			const mine = ok(await as.post('/api/v1/api-keys', {})).api_key;
			ok(await post(by, { email }));
			await takes(email, 2); // of an address that is verified, it takes nothing away
			ok(await http.get('/api/v1/me', { token: null, headers: { 'x-api-key': mine } }));
		}
	});

	test('unknown addresses get the same answer', async () => {
		const rae = await person('rae');
		assert.deepEqual(ok(await ask(rae.email)), ok(await ask(address('nobody'))));
	});
});

describe('what must not be seen', () => {
	test('no password and no token is in a log, in the queue or in the table of mails (T33)', async () => {
		const email = address('log');
		const secret = `Secret-${randomBytes(8).toString('hex')}-Aa`;
		ok(await post('register', { email, password: secret }));
		const { token } = await box.next(email, /Confirm/);
		ok(await verify(token));
		ok(await login(email, secret));
		ok(await post('magic-link', { email }));
		const magic = (await box.next(email, /sign in/i)).token;
		const { refresh_token, access_token } = ok(await post('magic-link/verify', { token: magic }));
		const logs = ['api.log', 'slow.log', 'jobs.log', 'nginx.log', 'postgres.log', 'access.log'].map((f) => readFileSync(path.join(process.env.TEST_STATE, 'log', f), 'latin1')).join('\n');
		const tables = JSON.stringify(await stack.rows(`SELECT j::text FROM jobs j UNION ALL SELECT m::text FROM mails m UNION ALL SELECT s::text FROM sessions s UNION ALL SELECT o::text FROM one_time_tokens o UNION ALL SELECT a::text FROM audit_logs a`));
		for (const [name, s] of Object.entries({ secret, token, magic, refresh_token, access_token })) {
			assert.ok(!logs.includes(s), `${name} is in a log`);
			assert.ok(!tables.includes(s), `${name} is in a table`);
		}
	});
});
