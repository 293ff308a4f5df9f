// Signing in with a password and staying signed in: tokens and cookies, refresh with reuse detection, ends
// that take effect at once, and what a browser may be made to send (CONTRACT X3, X4, X7, C1, D23, K7; T8,
// T9, T11, T14-T16, F14).
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import net from 'node:net';
import process from 'node:process';
import { after, before, describe, test } from 'node:test';

import { hold, more } from '../lib/attempts.mjs';
import { Mailbox } from '../lib/mailbox.mjs';
import { ok, problem } from '../lib/setup.mjs';
import { Stack } from '../lib/stack.mjs';
import { inParallel, until } from '../lib/wait.mjs';

const APP = 'coditect';
const ORIGIN = 'https://coditect.example.com';
let stack, http, ada;

const login = (who, more = {}, options) => http.post('/api/v1/auth/login', { email: who.email, password: who.password, ...more }, options);
const signIn = async (who, more) => ok(await login(who, more));
const me = (how) => http.get('/api/v1/me', how);
const bearer = (token) => ({ token });
const refresh = (refresh_token) => http.post('/api/v1/auth/refresh', { refresh_token });
const address = () => `sessions.${randomBytes(6).toString('hex')}@example.com`;

/** The value of our cookie in a reply, '' when it is taken away. */
function cookieOf(reply) {
	const line = (reply.headers['set-cookie'] ?? []).find((c) => c.startsWith('__Host-session='));
	return line && { line, value: /^__Host-session=([^;]*)/.exec(line)[1] };
}
const withCookie = (value, headers = {}) => ({ token: null, headers: { cookie: `__Host-session=${value}`, ...headers } });
const browser = async (who) => cookieOf(await login(who, { session: 'cookie' })).value;

before(async () => {
	stack = Stack.attach();
	http = stack.http(APP);
	ada = await stack.account(APP, address());
});
after(() => http?.close());

describe('login', () => {
	test('gives a pair of tokens and the user (X3)', async () => {
		const r = await signIn(ada, { device_id: 'laptop-1', device_name: 'Laptop' });
		assert.equal(r.token_type, 'bearer');
		assert.equal(r.expires_in, 3600);
		assert.equal(r.user.email, ada.email);
		assert.equal(r.user.id, `usr_${ada.id}`);
		assert.equal(r.user.tier, 'FREE');
		const claims = JSON.parse(Buffer.from(r.access_token.split('.')[1], 'base64url'));
		assert.equal(claims.sub, `usr_${ada.id}`);
		assert.equal(claims.aud, 'coditect');
		assert.deepEqual([claims.email, claims.tier, claims.license_key, claims.scopes, claims.org_id], [ada.email, 'FREE', r.user.license_key, ['read', 'write'], undefined], 'X9');
		assert.match(claims.license_key, /^CODITECT-FREE-/);
		assert.equal(claims.exp - claims.iat, 3600);
		assert.equal(ok(await me(bearer(r.access_token))).user.email, ada.email);
		const { sessions } = ok(await http.get('/api/v1/auth/sessions', bearer(r.access_token)));
		const current = sessions.find((s) => s.current);
		assert.deepEqual([current.device_id, current.device_name, current.method, current.aal], ['laptop-1', 'Laptop', 'password', 1]);
	});

	test('its token names the team, and a client of another dialect sees the bare id (X9, K8)', async () => {
		const claimsOf = (r) => JSON.parse(Buffer.from(r.access_token.split('.')[1], 'base64url'));
		const lin = await stack.account(APP, address());
		const { organization } = ok(await http.post('/api/v1/orgs', { name: 'X9', slug: `x9-${randomBytes(4).toString('hex')}` }, bearer((await signIn(lin)).access_token)));
		const again = await signIn(lin);
		assert.equal(claimsOf(again).org_id, organization.id);
		assert.equal(claimsOf(ok(await refresh(again.refresh_token))).org_id, organization.id);
		const cue = stack.http('cue'), her = await stack.account('cue', address());
		try {
			const { access_token } = ok(await cue.post('/api/v1/auth/login', { email: her.email, password: her.password }));
			assert.equal(claimsOf({ access_token }).sub, her.id);
			ok(await cue.get('/api/v1/me', bearer(access_token)));
		} finally {
			cue.close();
		}
	});

	test('who he is is said in one way wherever it is said, and understood in both (K8)', async () => {
		const [nan, nat] = [await stack.account(APP, address()), await stack.account(APP, address())];
		const as = http.as((await signIn(nan)).access_token);
		const org = ok(await as.post('/api/v1/orgs', { name: 'K8', slug: `k8-${randomBytes(4).toString('hex')}` })).organization;
		await stack.ctl('org', 'add-member', '--app', APP, org.id, nat.email, 'member');
		const path = `/api/v1/orgs/${org.id}`;
		assert.deepEqual(ok(await as.get(`${path}/members`)).members.map((m) => m.user_id).sort(), [`usr_${nan.id}`, `usr_${nat.id}`].sort());
		ok(await as.put(`${path}/members/usr_${nat.id}`, { role: 'admin' }));
		ok(await as.put(`${path}/members/${nat.id}`, { role: 'member' }));
		for (const odd of [`usr_usr_${nat.id}`, `_${nat.id}`, `USR_${nat.id}`, 'usr_', 'usr_x'])
			assert.equal((await as.put(`${path}/members/${odd}`, { role: 'member' })).status, 404, odd);
		ok(await as.put(`${path}/owner`, { user_id: `usr_${nat.id}` }));
		problem(await as.put(`${path}/owner`, { user_id: `cue_${nat.id}` }), 'insufficient-role', 'invalid-body');
		const { audit_logs: rows } = ok(await as.get(`${path}/audit-logs?user_id=usr_${nan.id}`));
		assert.ok(rows.length >= 3 && rows.every((row) => row.user_id === `usr_${nan.id}`));
		const graph = ok(await as.post('/api/v1/graphs', { workspace_id: ok(await as.post('/api/v1/workspaces', { name: 'w' })).workspace.id, name: 'g', data: {} })).graph;
		assert.equal(ok(await as.post(`/api/v1/graphs/${graph.id}/shares`, { user_id: `usr_${nat.id}`, permission: 'read' })).share.user_id, `usr_${nat.id}`);
		ok(await as.delete(`/api/v1/graphs/${graph.id}/shares/usr_${nat.id}`));
		const there = stack.http('flowscope'), her = await stack.account('flowscope', address());
		try { // where there is no prefix, none is shown
			const token = ok(await there.post('/api/v1/auth/login', { email: her.email, password: her.password })).access_token;
			const { organization } = ok(await there.post('/api/v1/orgs', { name: 'K8', slug: `k8-${randomBytes(4).toString('hex')}` }, bearer(token)));
			assert.equal(ok(await there.get(`/api/v1/orgs/${organization.id}/members`, bearer(token))).members[0].user_id, her.id);
		} finally {
			there.close();
		}
	});

	test('any case of the address; the password is one string of bytes', async () => {
		await signIn({ ...ada, email: ada.email.toUpperCase() });
		problem(await login({ ...ada, password: `${ada.password} ` }), 'invalid-credentials');
	});

	test('unknown address, wrong password, an account without one: the same answer to the byte (T11)', async () => {
		const bare = address();
		await stack.ctl('user', 'add', '--app', APP, bare);
		const replies = [
			await login({ email: address(), password: ada.password }),
			await login({ email: bare, password: ada.password }),
			await login({ ...ada, password: 'Something-else-77' }),
		];
		const shown = replies.map((r) => {
			problem(r, 'invalid-credentials');
			const { request_id, ...rest } = r.json;
			assert.ok(request_id);
			const { date, 'x-request-id': id, ...headers } = r.headers;
			assert.ok(date && id);
			for (const name of ['ratelimit', 'x-ratelimit-remaining', 'x-ratelimit-reset'])
				delete headers[name]; // which request of this address it was
			return JSON.stringify([r.status, rest, headers]);
		});
		assert.equal(new Set(shown).size, 1, shown.join('\n'));
		assert.equal(replies[0].json.detail, 'Invalid email or password');
	});

	test('a user of another app is nobody here', async () => {
		const there = await stack.account('cue', address());
		problem(await login(there), 'invalid-credentials');
	});

	test('the sixth guess waits, right or wrong; others go on (T9, X8)', async () => {
		const eve = await stack.account(APP, address());
		for (let n = 0; n < 5; n++)
			problem(await login({ ...eve, password: `Wrong-guess-no-${n}` }), 'invalid-credentials');
		await hold(stack);
		const r = await login(eve);
		problem(r, 'too-many-attempts');
		assert.ok(Number(r.headers['retry-after']) >= 1);
		await signIn(ada);
		await stack.rows(`UPDATE attempts SET blocked_until = '-infinity'`);
		await signIn(eve);
	});

	test('other letters that a database may take for the same are another address: no guess is free (T9, T40)', async () => {
		const kiki = await stack.account(APP, address().replace('sessions', 'kiki'));
		for (const [letter, like] of [['k', '\u212a'], ['i', '\u0130'], ['e', '\u0435']])
			problem(await login({ ...kiki, email: kiki.email.replace(letter, like) }), 'invalid-credentials');
		await signIn({ ...kiki, email: kiki.email.toUpperCase() });
		await stack.rows('DELETE FROM attempts');
	});

	test('signing in does not count: an office does it all day', async () => {
		await stack.rows('DELETE FROM attempts');
		for (let n = 0; n < 12; n++)
			await signIn(ada);
		const [[most]] = await stack.rows('SELECT coalesce(max(tried), 0) FROM attempts');
		assert.equal(most, '0');
	});

	test('two hundred guesses at once: five are looked at, each is counted', async () => {
		const mallory = await stack.account(APP, address());
		const from = performance.now();
		const answers = await inParallel(Array.from({ length: 200 }), 20, async (_, n) => (await login({ ...mallory, password: `Parallel-guess-${n}` })).status);
		const seen = Object.groupBy?.(answers, (s) => s) ?? answers.reduce((o, s) => ({ ...o, [s]: [...(o[s] ?? []), s] }), {});
		assert.ok((seen[401]?.length ?? 0) + (seen[503]?.length ?? 0) <= 5 + more(from), JSON.stringify(Object.fromEntries(Object.entries(seen).map(([k, v]) => [k, v.length]))));
		const subject = createHash('sha256').update(`password\n${mallory.email}\n127.0.0.1`).digest('hex');
		const [[tried, refused]] = await stack.rows(`SELECT tried, refused FROM attempts WHERE subject = '\\x${subject}'`);
		assert.ok(Number(tried) >= 5 && Number(tried) <= 5 + more(from), tried);
		assert.ok(Number(tried) + Number(refused) <= 200);
		await stack.rows('DELETE FROM attempts');
	});

	test('a suspended account is told so only by the right password', async () => {
		const sam = await stack.account(APP, address());
		await stack.rows(`UPDATE users SET suspended_at = now() WHERE id = '${sam.id}'`);
		problem(await login({ ...sam, password: 'Not-the-password-1' }), 'invalid-credentials');
		problem(await login(sam), 'account-suspended');
	});

	test('nor do a refresh token and a mailed link open a suspended account', async () => {
		const sue = await stack.account(APP, address());
		const tokens = ok(await login(sue));
		ok(await http.post('/api/v1/auth/magic-link', { email: sue.email }));
		const { token } = await new Mailbox(stack).next(sue.email, /sign in/i);
		await stack.rows(`UPDATE users SET suspended_at = now() WHERE id = '${sue.id}'`);
		problem(await http.post('/api/v1/auth/refresh', { refresh_token: tokens.refresh_token }), 'account-suspended');
		problem(await http.post('/api/v1/auth/magic-link/verify', { token }), 'account-suspended');
	});
});

describe('a sign-in that is like none before', () => {
	const told = (who) => stack.one(`SELECT count(*) FROM mails WHERE user_id = '${who.id}' AND template = 'new-sign-in'`);
	const from = (who, agent, more = {}) => login(who, more, { headers: { 'user-agent': agent } });

	test('is told to the owner; the first one is not, nor one by a known program or device', async () => {
		const who = await stack.account(APP, address());
		ok(await from(who, 'Firefox'));
		ok(await from(who, 'Firefox'));
		assert.equal(await told(who), '0');
		ok(await from(who, 'Burglar/1.0', { device_id: 'laptop' }));
		const mail = await new Mailbox(stack).next(who.email, /sign-in/i);
		assert.ok(mail.text.includes('Burglar/1.0') && mail.text.includes('127.0.0.1'), mail.text);
		ok(await from(who, 'Burglar/2.0', { device_id: 'laptop' }));
		assert.equal(await told(who), '1');
	});
});

describe('refresh', () => {
	test('each token is good once; the next pair works', async () => {
		let r = await signIn(ada);
		for (let n = 0; n < 5; n++) {
			const next = ok(await refresh(r.refresh_token));
			assert.notEqual(next.refresh_token, r.refresh_token);
			ok(await me(bearer(next.access_token)));
			r = next;
		}
	});

	test('fifty at once get the same successor, within the grace', async () => {
		const r = await signIn(ada);
		const replies = await inParallel(Array.from({ length: 50 }), 16, async () => ok(await refresh(r.refresh_token)).refresh_token);
		assert.equal(new Set(replies).size, 1);
		ok(await refresh(replies[0]));
	});

	test('an older one ends the family, and that stays (T8)', async () => {
		const first = await signIn(ada);
		const second = ok(await refresh(first.refresh_token));
		const third = ok(await refresh(second.refresh_token));
		ok(await me(bearer(third.access_token)));
		problem(await refresh(first.refresh_token), 'invalid-refresh-token');
		problem(await refresh(third.refresh_token), 'invalid-refresh-token');
		await until('the access token is refused', async () => (await me(bearer(third.access_token))).status === 401, { within: 5000 });
		assert.equal(await stack.one(`SELECT count(*) FROM audit_logs WHERE action = 'session.reused' AND user_id = '${ada.id}'`), '1');
	});

	test('the one before, after the grace, ends it too', async () => {
		const first = await signIn(ada);
		const second = ok(await refresh(first.refresh_token));
		await stack.rows(`UPDATE sessions SET rotated_at = rotated_at - interval '11 seconds' WHERE user_id = '${ada.id}'`);
		problem(await refresh(first.refresh_token), 'invalid-refresh-token');
		problem(await refresh(second.refresh_token), 'invalid-refresh-token');
	});

	test('no other text is one: changed, cut, of another app, an access token', async () => {
		const r = await signIn(ada);
		const there = await stack.account('cue', address());
		const other = stack.http('cue');
		const foreign = ok(await other.post('/api/v1/auth/login', { email: there.email, password: there.password })).refresh_token;
		other.close();
		const flipped = r.refresh_token.slice(0, 30) + (r.refresh_token[30] === 'A' ? 'B' : 'A') + r.refresh_token.slice(31);
		for (const t of [flipped, r.refresh_token.slice(0, -1), `${r.refresh_token}A`, foreign, r.access_token, 'qr_', ''])
			assert.ok([401, 422].includes((await refresh(t)).status), t);
		ok(await refresh(r.refresh_token));
	});
});

describe('the end of a session', () => {
	const gone = (how) => until('it is refused by every worker', async () => {
		for (let n = 0; n < 12; n++)
			if ((await me(how)).status !== 401)
				return false;
		return true;
	}, { within: 5000 });

	test('logout ends this one only (C9)', async () => {
		const [a, b] = [await signIn(ada), await signIn(ada)];
		assert.deepEqual(ok(await http.post('/api/v1/auth/logout', undefined, bearer(a.access_token))), { message: 'Logged out successfully' });
		await gone(bearer(a.access_token));
		problem(await refresh(a.refresh_token), 'invalid-refresh-token');
		ok(await me(bearer(b.access_token)));
	});

	test('one by its id; nobody else’s', async () => {
		const [a, b] = [await signIn(ada), await signIn(ada)];
		const bob = await stack.account(APP, address());
		const his = await signIn(bob);
		const { sessions } = ok(await http.get('/api/v1/auth/sessions', bearer(a.access_token)));
		const other = sessions.find((s) => s.id === JSON.parse(Buffer.from(b.access_token.split('.')[1], 'base64url')).sid);
		problem(await http.delete(`/api/v1/auth/sessions/${other.id}`, bearer(his.access_token)), 'session-not-found');
		ok(await me(bearer(b.access_token)));
		ok(await http.delete(`/api/v1/auth/sessions/${other.id}`, bearer(a.access_token)));
		await gone(bearer(b.access_token));
		ok(await me(bearer(a.access_token)));
	});

	test('everywhere, within a second, on every kind of credential (T15)', async () => {
		const dora = await stack.account(APP, address());
		const token = await signIn(dora);
		const cookie = await browser(dora);
		ok(await me(bearer(token.access_token)));
		ok(await me(withCookie(cookie)));
		assert.equal(ok(await http.delete('/api/v1/auth/sessions?keep_current=true', bearer(token.access_token))).ended, 1);
		await gone(withCookie(cookie));
		ok(await me(bearer(token.access_token)));
		ok(await http.delete('/api/v1/auth/sessions', bearer(token.access_token)));
		await gone(bearer(token.access_token));
		problem(await refresh(token.refresh_token), 'invalid-refresh-token');
	});

	test('a new password by the operator ends them all', async () => {
		const fay = await stack.account(APP, address());
		const token = await signIn(fay);
		ok(await me(bearer(token.access_token)));
		await stack.rows(`SELECT sign_out_everywhere((SELECT id FROM apps WHERE slug = '${APP}'), '${fay.id}', NULL, 'test')`);
		await gone(bearer(token.access_token));
	});
});

describe('a browser', () => {
	test('gets a cookie that no script reads and no other host gets, and no tokens', async () => {
		const r = await login(ada, { session: 'cookie' });
		const { line, value } = cookieOf(r);
		assert.match(value, /^[A-Za-z0-9_-]{43}$/);
		for (const part of ['Path=/', 'Secure', 'HttpOnly', 'SameSite=Lax', 'Max-Age=2592000'])
			assert.ok(line.includes(`; ${part}`), line);
		assert.ok(!/domain/i.test(line));
		assert.deepEqual(Object.keys(ok(r)), ['user']);
		assert.equal(ok(await me(withCookie(value))).user.email, ada.email);
		assert.equal(await stack.one(`SELECT count(*) FROM sessions WHERE cookie_hash = '\\x${createHash('sha256').update(value).digest('hex')}'`), '1');
	});

	test('a changing call needs an Origin that is the app’s own, exactly (T16)', async () => {
		const cookie = await browser(ada);
		const call = (headers) => http.post('/api/v1/workspaces', { name: 'by cookie' }, withCookie(cookie, headers));
		for (const origin of [undefined, 'null', 'https://evil.example', `${ORIGIN}.evil.example`, `https://evil${ORIGIN.slice(8)}`, `${ORIGIN}/`, ORIGIN.toUpperCase(), ORIGIN.replace('https', 'http'), `${ORIGIN}:443`])
			problem(await call(origin === undefined ? {} : { origin }), 'origin-refused');
		ok(await call({ origin: ORIGIN }));
		ok(await call({ origin: `http://${APP}.localhost:${stack.port}` }));
	});

	test('forms and other media are refused: a page elsewhere cannot send JSON unasked', async () => {
		const cookie = await browser(ada);
		const r = await http.request('POST', '/api/v1/workspaces', { body: '{"name":"x"}', ...withCookie(cookie, { origin: ORIGIN, 'content-type': 'text/plain' }) });
		problem(r, 'unsupported-media-type');
	});

	test('two kinds of credential, or our cookie twice, are refused (T25)', async () => {
		const cookie = await browser(ada);
		const { access_token } = await signIn(ada);
		problem(await me({ token: access_token, headers: { cookie: `__Host-session=${cookie}` } }), 'mixed-credentials');
		problem(await me({ token: null, headers: { cookie: `__Host-session=${cookie}`, 'x-api-key': 'cdt_x' } }), 'mixed-credentials');
		problem(await me({ token: null, headers: { cookie: `__Host-session=${cookie}; __Host-session=${cookie}` } }), 'bad-request');
		ok(await me({ token: null, headers: { cookie: `theme=dark; __Host-session=${cookie}; x=1` } }));
	});

	test('a cookie that we did not set is nobody’s: no fixation', async () => {
		const made = randomBytes(32).toString('base64url');
		problem(await me(withCookie(made)), 'not-authenticated');
		const r = await login(ada, { session: 'cookie' }, { headers: { cookie: `__Host-session=${made}` } });
		assert.notEqual(cookieOf(r).value, made);
		problem(await me(withCookie(made)), 'not-authenticated');
		for (const odd of ['', 'x', `${made}A`, `${made.slice(0, -1)}!`, '%00', '"'])
			assert.equal((await me(withCookie(odd))).status, 401, odd);
	});

	test('logout takes the cookie away', async () => {
		const cookie = await browser(ada);
		const r = await http.post('/api/v1/auth/logout', undefined, withCookie(cookie, { origin: ORIGIN }));
		ok(r);
		assert.equal(cookieOf(r).value, '');
		assert.match(cookieOf(r).line, /Max-Age=0/);
		await until('it is refused', async () => (await me(withCookie(cookie))).code === 'not-authenticated', { within: 5000 });
	});
});

describe('whoami', () => {
	const whoami = (how) => http.get('/api/v1/auth/whoami', how);

	test('says what was shown and what it is worth', async () => {
		const { access_token } = await signIn(ada);
		const byToken = ok(await whoami(bearer(access_token)));
		assert.deepEqual([byToken.kind, byToken.user_id, byToken.tier, byToken.aal, byToken.mfa_enabled], ['token', `usr_${ada.id}`, 'FREE', 1, false]);
		assert.equal(byToken.session_id, JSON.parse(Buffer.from(access_token.split('.')[1], 'base64url')).sid);
		const byCookie = ok(await whoami(withCookie(await browser(ada))));
		assert.equal(byCookie.kind, 'session');
		const { api_key, key } = ok(await http.post('/api/v1/api-keys', { scopes: ['auth:read'] }, bearer(access_token)));
		const byKey = ok(await whoami({ token: null, headers: { 'x-api-key': api_key } }));
		assert.deepEqual([byKey.kind, byKey.key_id, byKey.scopes, byKey.session_id], ['api_key', key.id, 'auth:read', undefined]);
		problem(await whoami({ token: null }), 'not-authenticated');
	});
});

describe('copies of sessions in memcached', () => {
	const hex = (text) => createHash('sha256').update(text).digest('hex');
	let app;
	before(async () => {
		app = await stack.one(`SELECT id FROM apps WHERE slug = '${APP}'`);
	});

	/** Speaks memcached's own protocol; resolves to the whole answer. */
	const memcached = (command, last) => new Promise((resolve, reject) => {
		const socket = net.connect(`${process.env.TEST_RUN}/memcached.sock`, () => socket.write(command));
		const got = [];
		socket.on('error', reject);
		socket.on('data', (d) => {
			got.push(d);
			if (last.test(Buffer.concat(got).toString('latin1'))) {
				socket.destroy();
				resolve(Buffer.concat(got));
			}
		});
	});
	const keyOf = (cookie) => `session:${hex(`${app} ${hex(cookie)}`)}`;
	const hits = async () => Number(/^quoin_cache_hits_total\{pool="api"\} (\d+)/m.exec((await stack.http(APP).get('/metrics', { token: null })).text)?.[1] ?? 0);
	/** Asks once, and then all workers at once, so that not one of them answers it all. */
	const everywhere = async (cookie) => {
		ok(await me(withCookie(cookie)));
		for (const r of await inParallel(Array.from({ length: 24 }), 12, () => me(withCookie(cookie))))
			ok(r);
	};

	test('serve every worker but the first (D23)', async () => {
		await until('a copy is old enough to be told from what came before this host’s start', async () => {
			const cookie = await browser(ada);
			const was = await hits();
			await everywhere(cookie);
			return (await hits()) > was;
		}, { within: 15_000, every: 500 });
	});

	test('one that somebody made up, or took from another session, is nobody’s (T28, T31)', async () => {
		const cookie = await browser(ada);
		await everywhere(cookie);
		const answer = await memcached(`get ${keyOf(cookie)}\r\n`, /END\r\n$/);
		const head = answer.indexOf('\r\n') + 2;
		assert.ok(answer.toString('latin1').startsWith('VALUE '), 'there is a copy');
		const value = answer.subarray(head, answer.length - '\r\nEND\r\n'.length);
		for (const forged of [value, Buffer.alloc(value.length, 1), Buffer.alloc(1)]) {
			const mine = randomBytes(32).toString('base64url');
			await memcached(Buffer.concat([Buffer.from(`set ${keyOf(mine)} 0 60 ${forged.length}\r\n`), forged, Buffer.from('\r\n')]), /STORED\r\n$/);
			problem(await me(withCookie(mine)), 'not-authenticated');
		}
	});

	test('gone, all of them: sessions go on from Postgres (F14)', async () => {
		const cookie = await browser(ada);
		await everywhere(cookie);
		await memcached('flush_all\r\n', /OK\r\n$/);
		await everywhere(cookie);
	});

	test('of a session that was revoked: not believed by anybody within a second', async () => {
		const gil = await stack.account(APP, address());
		const cookie = await browser(gil);
		await everywhere(cookie);
		await stack.rows(`UPDATE sessions SET revoked_at = now() WHERE user_id = '${gil.id}'`);
		await until('refused by all', async () => {
			for (let n = 0; n < 12; n++)
				if ((await me(withCookie(cookie))).status !== 401)
					return false;
			return true;
		}, { within: 5000 });
	});
});

describe('keys that sign', () => {
	test('are rotated without one refused request (F06)', async () => {
		const r = await signIn(ada);
		const chains = [];
		for (let n = 0; n < 6; n++)
			chains.push(await signIn(ada));
		let refused = 0, asked = 0, done = false;
		const load = inParallel(chains, chains.length, async (chain) => {
			while (!done) {
				chain = ok(await refresh(chain.refresh_token));
				asked++;
				for (const token of [r.access_token, chain.access_token])
					refused += (await me(bearer(token))).status !== 200;
			}
		});
		const kids = async () => ok(await http.get('/.well-known/jwks.json')).keys.map((k) => k.kid);
		const was = await kids();
		await stack.ctl('keys', 'rotate', '--app', APP);
		await until('the new key is published beside the old', async () => {
			const now = await kids();
			return now.length > was.length && was.every((k) => now.includes(k));
		});
		await stack.rows(`UPDATE signing_keys SET signs_at = signs_at - interval '1 minute'`);
		const kid = async () => JSON.parse(Buffer.from((await signIn(ada)).access_token.split('.')[0], 'base64url')).kid;
		await until('the new key signs', async () => !was.includes(await kid()));
		done = true;
		await load;
		assert.equal(refused, 0);
		assert.ok(asked > 10);
	});
});
