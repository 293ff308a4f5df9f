// Signing in by a provider: Google's way (a real OpenID provider), GitHub's, and that of a mail domain; forged
// answers of every kind; what is replayed, stolen or sent elsewhere (CONTRACT C3-C10, D6, E14, E52, K3; SECURITY
// T2-T7, T12, T14, T16, T24, T38, F27).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { b64, hmac, jws, newKey, signature } from '../lib/forge.mjs';
import { Browser, Idp } from '../lib/idp.mjs';
import { Oidc } from '../lib/oidc.mjs';
import { ok, problem } from '../lib/setup.mjs';
import { dev, Stack } from '../lib/stack.mjs';
import { inParallel, until } from '../lib/wait.mjs';

const APP = 'cue';
const FRONTEND = 'http://localhost:5000';
const SECRET = 'a-secret-of-the-good-provider';
const people = new Map(); // what the honest provider says of whom
let stack, http, good, idp, bad, callback;

const address = (name = 'user') => `oauth.${name}.${randomBytes(6).toString('hex')}@example.com`;
const subject = () => `sub-${randomBytes(8).toString('hex')}`;
const back = (code, state, more = {}) => `/auth/callback?${new URLSearchParams({ code, state, ...more })}`;
const stateOf = (url) => new URL(url).searchParams.get('state');

/** Where a sign-in by `name` sends the browser. */
async function start(browser, name, query = '') {
	const r = await browser.get(`/api/v1/auth/oauth/${name}${query}`);
	assert.equal(r.status, 302, String(r));
	return r.headers.location;
}

/** What a browser does with 503 and Refresh: comes again. */
const patient = (come) => until('it has its turn', async () => {
	const r = await come();
	return r.code === 'busy' && r.headers.refresh === '1' ? false : r;
}, { within: 30_000 });

/** The whole way by the provider that does as it is told; the reply to the callback. */
async function signIn(plan, { browser = new Browser(http), name = 'told', query = '', more } = {}) {
	const url = await start(browser, name, query);
	const code = idp.code(url, { sub: subject(), ...plan });
	return { browser, url, code, reply: await patient(() => browser.get(back(code, stateOf(url), more))) };
}

function landed(reply, where) {
	assert.equal(reply.status, 302, String(reply));
	assert.equal(reply.headers.location, `${FRONTEND}${where}`);
}

const rowsOf = (sub) => stack.one(`SELECT count(*) FROM identities WHERE subject = '${sub}'`);
const sessions = () => stack.one('SELECT count(*) FROM sessions').then(Number);
const me = async (browser) => ok(await browser.get('/api/auth/user'));

const config = (oauth) => ({ ...stack.appFile(APP), issuers: [], frontend_url: FRONTEND, public_url: '', oauth });
function file(value) {
	const name = path.join(stack.state, `oauth-${randomUUID()}.json`);
	writeFileSync(name, JSON.stringify(value));
	return name;
}
const apply = (oauth) => stack.ctl('app', 'apply', file(config(oauth)));

/** quoinctl with something on its standard input. */
async function ctlWith(input, ...args) {
	const child = spawn(dev, ['ctl', '--state', stack.state, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
	let said = '';
	for (const s of [child.stdout, child.stderr])
		s.on('data', (d) => {
			said += d;
		});
	child.stdin.on('error', () => {});
	child.stdin.end(input);
	const code = await new Promise((resolve) => child.once('close', resolve));
	return { code, said };
}

let providers;
before(async () => {
	stack = Stack.attach();
	http = stack.http(APP);
	callback = `http://${APP}.localhost:${stack.port}/auth/callback`;
	good = await Oidc.start({
		claims: (id) => people.get(id),
		clients: [
			{ client_id: 'quoin-cue', client_secret: SECRET, token_endpoint_auth_method: 'client_secret_basic', redirect_uris: [callback] },
			{ client_id: 'quoin-acme', client_secret: SECRET, token_endpoint_auth_method: 'client_secret_basic', redirect_uris: [callback] },
		],
	});
	idp = await Idp.start();
	bad = await Idp.start({ tls: true });
	const google = {
		name: 'google', issuer: good.issuer, client_id: 'quoin-cue', client_secret: SECRET, authorize_url: `${good.issuer}/auth`, token_url: `${good.issuer}/token`,
		userinfo_url: `${good.issuer}/me`, jwks_url: good.jwksUrl,
	};
	providers = [google, idp.github(), idp.provider('told'), idp.provider('untrusted', { trusted_email: false }), idp.provider('lone', { userinfo_url: undefined })];
	await apply(providers);
	await until('workers know the pages of the app', async () => (await new Browser(http).get('/auth/callback')).headers.location?.startsWith(`${FRONTEND}/`));
});
after(async () => {
	await stack.ctl('app', 'apply', path.join(path.dirname(dev), 'apps', `${APP}.json`));
	http.close();
	await Promise.all([good, idp, bad].map((s) => s.stop()));
});

describe('what is configured', () => {
	test('a provider that is not there is told of, one that cannot be a name too', async () => {
		const there = stack.http('memorygraph');
		for (const r of [await there.get('/auth/google'), await there.get('/auth/github'), await there.get('/api/v1/auth/oauth/google'), await http.get('/api/v1/auth/oauth/nobody'), await http.get('/api/v1/auth/oauth/No%20name')])
			problem(r, 'provider-not-configured');
		there.close();
	});

	test('no secret is kept in clear or shown; a changed one shows as a change (T38)', async () => {
		const shown = await stack.ctl('app', 'show', APP);
		assert.ok(!shown.includes(SECRET) && !shown.includes(idp.secret));
		assert.match(JSON.parse(shown).oauth[0].client_secret, /^sealed:[0-9a-f]{12}$/);
		const dump = JSON.stringify(await stack.rows(`SELECT p::text, a.config::text FROM identity_providers p JOIN apps a ON a.id = p.app_id`));
		for (const s of [SECRET, idp.secret])
			assert.ok(!dump.includes(s) && !dump.includes(Buffer.from(s).toString('hex')));
		assert.equal(await apply(providers), `${APP}: unchanged\n`);
		assert.equal(await apply(providers.map((p) => (p.name === 'told' ? { ...p, client_secret: 'another' } : p))), `${APP}: ~ oauth\n`);
		assert.equal(await apply(providers), `${APP}: ~ oauth\n`);
	});

	test('one that lacks a variable is left out, if it may be; then its routes know of none', async () => {
		const optional = { name: 'later', client_id: '${LATER_ID}', client_secret: '${LATER_SECRET}', optional: true, ...Object.fromEntries(['issuer', 'authorize_url', 'token_url', 'jwks_url'].map((k) => [k, 'https://later.example'])) };
		await apply([...providers, optional]);
		problem(await http.get('/api/v1/auth/oauth/later'), 'provider-not-configured');
		await assert.rejects(apply([...providers, { ...optional, optional: undefined }]), /later: names a variable that has no value/);
		await apply(providers);
	});

	test('an entry that is wrong is refused by its name, and nothing is changed', async () => {
		const p = idp.provider('odd');
		const cases = [
			[{ ...p, name: 'Odd' }, /"name" must be/],
			[{ ...p, name: 'told' }, /told: stands twice/],
			[{ ...p, kind: 'saml' }, /"kind" must be oidc or github/],
			[{ ...p, token_auth: 'none' }, /"token_auth" must be/],
			[{ ...p, client_id: '' }, /"client_id" must be/],
			[{ ...p, client_secret: undefined }, /"client_id" and "client_secret"/],
			[{ ...p, token_url: 'ftp://x' }, /"token_url" must be an https address/],
			[{ ...p, authorize_url: 'http://x/\r\nSet-Cookie: a' }, /"authorize_url" must be/],
			[{ ...p, jwks_url: undefined }, /"jwks_url" must be/],
			[{ ...p, trusted_email: 'yes' }, /"trusted_email" must be/],
			[{ ...p, secret: 'x' }, /"secret" is not known/],
			[{ ...p, scopes: 5 }, /"scopes" must be/],
			['odd', /must be an object/],
		];
		for (const [entry, said] of cases)
			await assert.rejects(apply([...providers, entry]), said, JSON.stringify(entry));
		await assert.rejects(apply([...providers, ...Array.from({ length: 8 }, (_, n) => idp.provider(`p${n}`))]), /one more than there may be/);
		await assert.rejects(stack.ctl('app', 'apply', file({ ...config(providers), public_url: 'javascript:x' })), /public_url/);
		assert.equal(await apply(providers), `${APP}: unchanged\n`);
	});
});

describe('an honest OpenID provider', () => {
	test('signs in, all the way: state, PKCE, nonce, keys, userinfo, cookie (C3, C5, C7)', async () => {
		const id = subject(), email = address('ada');
		people.set(id, { email, email_verified: true, given_name: 'Ada', family_name: 'King Lovelace', picture: 'https://pictures.example/ada.png' });
		const browser = new Browser(http);
		const go = await browser.get('/auth/google');
		assert.equal(go.status, 302);
		assert.equal(go.headers['cache-control'], 'no-store');
		const flow = go.headers['set-cookie'].find((c) => c.startsWith('__Host-flow='));
		for (const part of ['Path=/', 'Secure', 'HttpOnly', 'SameSite=Lax', 'Max-Age=600'])
			assert.ok(flow.includes(`; ${part}`), flow);
		const q = new URL(go.headers.location).searchParams;
		assert.deepEqual([q.get('redirect_uri'), q.get('response_type'), q.get('code_challenge_method'), q.get('client_id'), q.get('scope')], [callback, 'code', 'S256', 'quoin-cue', 'openid email profile']);
		for (const k of ['state', 'nonce', 'code_challenge'])
			assert.match(q.get(k), /^[\w-]{43}$/);

		const there = new Map();
		const arrived = await good.browse(go.headers.location, id, callback, there);
		const r = await browser.get(arrived.slice(arrived.indexOf('/auth/callback')));
		landed(r, '/?success=true');
		assert.ok(!browser.cookies.has('__Host-flow'), 'the flow’s cookie is taken away');
		const user = await me(browser);
		assert.deepEqual([user.email, user.firstName, user.lastName, user.profileImageUrl], [email, 'Ada', 'King Lovelace', 'https://pictures.example/ada.png']);

		// again: the same user, whatever the address is by now
		people.set(id, { ...people.get(id), email: address('ada2') });
		const again = new Browser(http);
		const second = await good.browse(await start(again, 'google'), id, callback, there);
		landed(await again.get(second.slice(second.indexOf('/auth/callback'))), '/?success=true');
		assert.equal((await me(again)).id, user.id);
		assert.equal((await me(again)).email, email);
		const { sessions: list } = ok(await again.get('/api/v1/auth/sessions'));
		assert.deepEqual(new Set(list.map((s) => s.method)), new Set(['google']));
	});

	test('a name in one piece is split; what the user said himself stays (C7, C10)', async () => {
		const sub = subject();
		const { browser } = await signIn({ sub, claims: { email: address(), email_verified: true, name: 'Grace Brewster Hopper', picture: 'javascript:alert(1)' } });
		let user = await me(browser);
		assert.deepEqual([user.firstName, user.lastName, user.profileImageUrl], ['Grace', 'Brewster Hopper', null]);
		ok(await browser.put('/api/auth/profile', { firstName: 'Amazing' }, { headers: { origin: FRONTEND } }));
		user = await me((await signIn({ sub, claims: { email: address(), name: 'Grace Hopper' } })).browser);
		assert.deepEqual([user.firstName, user.lastName], ['Amazing', 'Brewster Hopper']);
	});

	test('on to a page of the app’s own, and to no other (T7)', async () => {
		landed((await signIn({}, { query: '?return_to=/workspace/one' })).reply, '/workspace/one?success=true');
		const elsewhere = ['//evil.example', '/\\evil.example', '\\\\evil.example', 'https://evil.example', 'evil.example', '/%2fevil.example', '/a//evil.example', '/..', '/../x', '/.evil', '/a\tb', '/a%0d%0aSet-Cookie:x', '/@evil.example', '/?next=//evil', '/#x', 'javascript:alert(1)', '/a b', '/é', '', `/${'a'.repeat(200)}`];
		for (const to of elsewhere) {
			problem(await http.get(`/auth/google?return_to=${encodeURIComponent(to)}`), 'invalid-body');
			problem(await http.get(`/auth/github?return_to=${encodeURIComponent(to)}`), 'invalid-body');
			problem(await http.get(`/api/v1/auth/oauth/told?return_to=${encodeURIComponent(to)}`), 'invalid-body');
			problem(await http.post('/api/v1/auth/sso', { email: 'a@acme.example', return_to: to }), 'invalid-body');
		}
		problem(await http.get('/auth/google?return_to=/a&return_to=/b'), 'invalid-body');
	});

	test('whoever is called by whatever name, the address is that of the settings (T12)', async () => {
		const r = await http.get('/auth/google', { headers: { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https', forwarded: 'host=evil.example', referer: 'https://evil.example/' } });
		assert.equal(new URL(r.headers.location).searchParams.get('redirect_uri'), callback);
		assert.ok(!r.headers.location.includes('evil'));
	});
});

describe('GitHub', () => {
	const github = async (plan, browser = new Browser(http)) => {
		const go = await browser.get('/auth/github');
		const code = idp.code(go.headers.location, plan);
		return { browser, url: go.headers.location, code, reply: await browser.get(back(code, stateOf(go.headers.location))) };
	};
	let id = 1_000_000 + Math.floor(Math.random() * 1e9);

	test('signs in with the address that is primary and verified (C4, C6)', async () => {
		const email = address('octo');
		const plan = { user: { id: ++id, login: 'octocat', name: 'Octo Cat', avatar_url: 'https://avatars.example/1', email: 'public@example.com' }, emails: [{ email: 'other@example.com', primary: false, verified: true }, { email, primary: true, verified: true, visibility: null }] };
		const { browser, url, reply } = await github(plan);
		landed(reply, '/?success=true');
		const q = new URL(url).searchParams;
		assert.deepEqual([q.get('scope'), q.get('nonce'), q.get('redirect_uri')], ['user:email', null, callback]);
		const user = await me(browser);
		assert.deepEqual([user.email, user.firstName, user.lastName, user.profileImageUrl], [email, 'Octo', 'Cat', 'https://avatars.example/1']);
		assert.equal((await me((await github(plan)).browser)).id, user.id);
		const asked = idp.calls.filter((c) => c.path === '/user').at(-1);
		assert.match(asked.headers['user-agent'], /^quoin\//);
		assert.equal(idp.calls.filter((c) => c.path === '/login/oauth/access_token').at(-1).headers.accept, 'application/json');
	});

	test('an address that is not both is none', async () => {
		for (const emails of [[{ email: address(), primary: true, verified: false }], [{ email: address(), primary: false, verified: true }], [{ email: address(), primary: 'true', verified: 1 }], []]) {
			const { browser, reply } = await github({ user: { id: ++id, login: 'nomail', email: 'public@example.com' }, emails });
			landed(reply, '/?success=true');
			assert.deepEqual([(await me(browser)).email, (await me(browser)).firstName], [null, 'nomail']);
		}
	});

	test('what is none of its answers is refused', async () => {
		const was = await sessions();
		const user = { id: ++id, login: 'x' };
		for (const plan of [{ user: { login: 'x' } }, { user: { id: '12', login: 'x' } }, { user: { id: -1 } }, { user: { id: 1.5 } }, { user: [] }, { user, emails: {} }, { user, emails: 'x' }, { user, emails: '[{' }, { user, response: { access_token: undefined, error: 'bad_verification_code' } }, { user, response: { access_token: 'a\r\nX: y' } }])
			landed((await github(plan)).reply, '/?error=oauth_failed');
		assert.equal(await sessions(), was);
	});
});

describe('forged answers', () => {
	const now = () => Math.floor(Date.now() / 1000);
	const H = () => ({ alg: 'RS256', kid: idp.key.kid, typ: 'JWT' });
	const stranger = newKey('RS256');
	const json = (res, value) => res.writeHead(200, { 'content-type': 'application/json' }).end(typeof value === 'string' ? value : JSON.stringify(value));
	const fill = (res, n) => {
		const block = Buffer.alloc(1 << 16, 0x20);
		const more = () => {
			while (n > 0 && !res.destroyed) {
				n -= block.length;
				if (!res.write(block))
					return res.once('drain', more);
			}
			res.end();
		};
		res.writeHead(200, { 'content-type': 'application/json' });
		more();
	};
	const cases = {
		'another issuer': { claims: { iss: 'https://accounts.google.com' } },
		'the issuer with a slash': { claims: () => ({ iss: `${idp.issuer}/` }) },
		'the issuer in capitals': { claims: () => ({ iss: idp.issuer.toUpperCase() }) },
		'no issuer': { claims: { iss: undefined } },
		'another audience': { claims: { aud: 'quoin-cue' } },
		'no audience': { claims: { aud: undefined } },
		'two audiences and no azp': { claims: () => ({ aud: [idp.client, 'other'] }) },
		'another azp': { claims: () => ({ aud: [idp.client, 'other'], azp: 'other' }) },
		'another azp, one audience': { claims: { azp: 'other' } },
		'an azp that is a list': { claims: () => ({ azp: [idp.client] }) },
		'another nonce': { claims: { nonce: 'A'.repeat(43) } },
		'no nonce': { claims: { nonce: undefined } },
		'a nonce that is a list': { claims: (k) => ({ nonce: [k.nonce] }) },
		expired: { claims: () => ({ iat: now() - 4000, exp: now() - 400 }) },
		'no exp': { claims: { exp: undefined } },
		'exp as a string': { claims: () => ({ exp: String(now() + 300) }) },
		'from the future': { claims: () => ({ iat: now() + 4000 }) },
		'no iat': { claims: { iat: undefined } },
		'no sub': { claims: { sub: undefined } },
		'an empty sub': { claims: { sub: '' } },
		'sub is a number': { claims: { sub: 12 } },
		'alg none': { token: (c) => `${b64(JSON.stringify({ ...H(), alg: 'none' }))}.${b64(JSON.stringify(c))}.` },
		'HS256 with the public key': { token: (c) => jws({ ...H(), alg: 'HS256' }, c, (i) => hmac('HS256', idp.key.publicKey.export({ type: 'spki', format: 'pem' }), i)) },
		'HS256 with the client secret': { token: (c) => jws({ ...H(), alg: 'HS256' }, c, (i) => hmac('HS256', idp.secret, i)) },
		'RS512 by the right key': { token: (c) => jws({ ...H(), alg: 'RS512' }, c, (i) => signature('RS512', idp.key.privateKey, i)) },
		'another key of the same name': { token: (c) => jws(H(), c, (i) => signature('RS256', stranger.privateKey, i)) },
		'an unknown key': { token: (c) => idp.idToken(c, { key: stranger }) },
		'a key in the header': { token: (c) => jws({ ...H(), kid: stranger.kid, jwk: stranger.jwk }, c, (i) => signature('RS256', stranger.privateKey, i)) },
		'a link to a key in the header': { token: (c) => jws({ ...H(), kid: stranger.kid, jku: `${idp.issuer}/jwks` }, c, (i) => signature('RS256', stranger.privateKey, i)) },
		'no kid': { token: (c) => idp.idToken(c, { header: { kid: undefined } }) },
		'a changed payload': { token: (c) => idp.idToken(c).replace(/\.[^.]+\./, `.${b64(JSON.stringify({ ...c, sub: 'somebody-else' }))}.`) },
		'an access token in its place': { token: (c) => idp.idToken(c, { header: { typ: 'at+jwt' } }) },
		'sub twice': { token: (c) => jws(H(), `${JSON.stringify(c).slice(0, -1)},"sub":"somebody-else"}`, (i) => signature('RS256', idp.key.privateKey, i)) },
		'a NUL in a claim': { claims: { email: 'ada@example.com\u0000' } },
		'no ID token': { response: { id_token: undefined } },
		'an ID token that is a list': { response: { id_token: ['x'] } },
		'an ID token of a megabyte': { response: { id_token: 'x'.repeat(1 << 20) } },
		'another access token’s hash': { claims: { at_hash: 'A'.repeat(22) } },
		'no JSON': { raw: (_q, res) => json(res, '<html>') },
		'JSON twice': { raw: (_q, res) => json(res, '{}{}') },
		'a list': { raw: (_q, res) => json(res, []) },
		'a member twice': { raw: (_q, res) => json(res, '{"id_token":"a","id_token":"b"}') },
		'deeply nested': { raw: (_q, res) => json(res, '['.repeat(60_000)) },
		'a 500': { raw: (_q, res) => res.writeHead(500).end('{}') },
		'a redirection to the right answer': { raw: (_q, res) => res.writeHead(307, { location: `${idp.issuer}/token` }).end() },
		'a redirection without an end': { raw: (q, res) => res.writeHead(302, { location: q.url }).end() },
		'a hundred megabytes': { raw: (_q, res) => fill(res, 100 << 20) },
		'a connection that breaks': { raw: (q) => q.socket.destroy() },
		'an answer cut short': { raw: (_q, res) => res.writeHead(200, { 'content-length': 500 }).end('{"id_token":') && res.destroy() },
		'userinfo of another subject': { rawUserinfo: (_q, res) => json(res, { sub: 'somebody-else', email: 'a@example.com', email_verified: true }) },
		'userinfo without a subject': { rawUserinfo: (_q, res) => json(res, { email: 'a@example.com', email_verified: true }) },
		'userinfo that is no JSON': { rawUserinfo: (_q, res) => json(res, 'eyJhbGciOiJub25lIn0.e30.') },
		'userinfo that leads elsewhere': { rawUserinfo: (_q, res) => res.writeHead(302, { location: `${idp.issuer}/userinfo?again` }).end() },
		'a hundred megabytes of userinfo': { rawUserinfo: (_q, res) => fill(res, 100 << 20) },
		'an access token that is a header': { response: { access_token: 'x\r\nX-Injected: 1' } },
	};

	test('the same, untouched, signs in', async () => {
		landed((await signIn({})).reply, '/?success=true');
	});

	for (const [name, plan] of Object.entries(cases))
		test(name, async () => {
			const sub = subject();
			const was = await sessions();
			const { browser, reply } = await signIn({ sub, ...plan });
			landed(reply, '/?error=oauth_failed');
			assert.equal(browser.session, undefined);
			assert.equal(await rowsOf(sub), '0');
			assert.equal(await rowsOf('somebody-else'), '0');
			assert.equal(await sessions(), was);
		});

	test('an answer that does not come costs a worker no more than the deadline (F27)', async () => {
		const plans = [{ raw: () => {} }, { rawUserinfo: () => {} }, {
			raw: (_q, res) => { // a byte now and then
				res.writeHead(200);
				const t = setInterval(() => res.write(' '), 200);
				res.on('close', () => clearInterval(t));
			},
		}];
		await Promise.all(plans.map(async (plan) => {
			const began = Date.now();
			landed((await signIn(plan)).reply, '/?error=oauth_failed');
			assert.ok(Date.now() - began < 15_000, // the third may wait for another's turn to end
				 `${Date.now() - began} ms`);
		}));
	});

	test('a certificate that nobody vouches for, keys that do not come', async () => {
		const slow = await Idp.start(), huge = await Idp.start(), moved = await Idp.start(), none = await Idp.start();
		slow.jwks = () => {};
		huge.jwks = (_q, res) => fill(res, 100 << 20);
		moved.jwks = (_q, res) => res.writeHead(302, { location: `${idp.issuer}/jwks` }).end();
		none.keys = [{ ...slow.key.jwk, d: 'secret' }];
		const all = { bad, slow, huge, moved, none };
		await apply([...providers, ...Object.entries(all).map(([name, i]) => i.provider(name))]);
		for (const [name, i] of Object.entries(all)) {
			const browser = new Browser(http);
			const url = await start(browser, name);
			const code = i.code(url, { sub: subject() });
			const began = Date.now();
			landed(await browser.get(back(code, stateOf(url))), '/?error=oauth_failed');
			assert.ok(Date.now() - began < 15_000, name);
		}
		assert.equal(bad.calls.length, 0, 'nothing was said to the one without a certificate');
		await apply(providers);
		await Promise.all([slow, huge, moved, none].map((i) => i.stop()));
	});

	test('unknown keys make one fetch a minute, however many come (T2)', async () => {
		const fetches = () => idp.calls.filter((c) => c.path === '/jwks').length;
		const was = fetches();
		for (let n = 0; n < 5; n++)
			landed((await signIn({ token: (c) => idp.idToken(c, { key: newKey('RS256') }) })).reply, '/?error=oauth_failed');
		assert.ok(fetches() - was <= 1);
		const fresh = newKey('RS256');
		idp.keys = [idp.key.jwk, fresh.jwk];
		await stack.rows(`UPDATE identity_providers SET attempted_at = now() - interval '61 s'`);
		landed((await signIn({ token: (c) => idp.idToken(c, { key: fresh }) })).reply, '/?success=true');
		idp.keys = [idp.key.jwk];
	});
});

describe('whose sign-in it is', () => {
	test('a code and its state fifty times at once: one session (T6)', async () => {
		const browser = new Browser(http);
		const url = await start(browser, 'told');
		const sub = subject();
		const code = idp.code(url, { sub });
		const cookie = `__Host-flow=${browser.cookies.get('__Host-flow')}`;
		const replies = await inParallel(Array.from({ length: 50 }), 25, () => patient(() => http.get(back(code, stateOf(url)), { headers: { cookie } })));
		const won = replies.filter((r) => r.headers.location === `${FRONTEND}/?success=true`);
		assert.equal(won.length, 1);
		assert.ok(replies.every((r) => r.status === 302));
		assert.equal(idp.used(code), 1, 'the provider was asked once');
		assert.equal(await stack.one(`SELECT count(*) FROM sessions s JOIN identities i ON i.user_id = s.user_id WHERE i.subject = '${sub}'`), '1');
	});

	test('fifty first sign-ins of one subject at once: one user', async () => {
		const sub = subject(), email = address();
		const replies = await inParallel(Array.from({ length: 50 }), 8, async () => (await signIn({ sub, claims: { email, email_verified: true } })).reply);
		assert.deepEqual(new Set(replies.map((r) => r.headers.location)), new Set([`${FRONTEND}/?success=true`]));
		assert.equal(await rowsOf(sub), '1');
		assert.equal(await stack.one(`SELECT count(*) FROM users WHERE email = '${email}'`), '1');
	});

	test('another browser has no use for it, with a cookie of its own or none: no login CSRF', async () => {
		const attacker = new Browser(http), victim = new Browser(http);
		const url = await start(attacker, 'told');
		await start(victim, 'told');
		const code = idp.code(url, { sub: subject() });
		landed(await victim.get(back(code, stateOf(url))), '/?error=oauth_failed');
		landed(await new Browser(http).get(back(code, stateOf(url))), '/?error=oauth_failed');
		assert.equal(victim.session, undefined);
		assert.ok(victim.cookies.has('__Host-flow'), 'and the victim’s own sign-in goes on');
		assert.equal(idp.used(code), 0, 'the provider was not even asked');
		landed(await attacker.get(back(code, stateOf(url))), '/?success=true');
	});

	test('no state, another, an old one, one of another app, two cookies', async () => {
		const browser = new Browser(http);
		const url = await start(browser, 'told');
		const code = idp.code(url, { sub: subject() });
		const state = stateOf(url);
		for (const target of ['/auth/callback', `/auth/callback?code=${code}`, back(code, ''), back(code, 'x'), back(code, `${state}A`), back(code, randomBytes(32).toString('base64url'))])
			landed(await browser.get(target), '/?error=oauth_failed');
		problem(await browser.get(`${back(code, state)}&state=${state}`), 'invalid-body');
		problem(await browser.get(`${back(code, state)}&code=other`), 'invalid-body');
		const cookie = `__Host-flow=${browser.cookies.get('__Host-flow')}`;
		landed(await http.get(back(code, state), { headers: { cookie: `${cookie}; ${cookie}` } }), '/?error=oauth_failed');
		const there = stack.http('flowscope');
		const r = await there.get(back(code, state), { headers: { cookie } });
		assert.match(r.headers.location, /^https:\/\/flowscope\.example\.com\/\?error=oauth_failed$/);
		there.close();
		await stack.rows(`UPDATE oauth_flows SET expires_at = now() WHERE state_hash = sha256('${state}')`);
		landed(await browser.get(back(code, state)), '/?error=oauth_failed');
		assert.equal(idp.used(code), 0);
	});

	test('a provider that refuses, or answers for another (RFC 9207), ends it', async () => {
		const one = new Browser(http);
		const url = await start(one, 'told');
		landed(await one.get(`/auth/callback?${new URLSearchParams({ error: 'access_denied', state: stateOf(url) })}`), '/?error=oauth_failed');
		landed(await one.get(back(idp.code(url, { sub: subject() }), stateOf(url))), '/?error=oauth_failed');
		landed((await signIn({}, { more: { iss: 'https://accounts.google.com' } })).reply, '/?error=oauth_failed');
		landed((await signIn({}, { more: { iss: idp.issuer } })).reply, '/?success=true');
	});

	test('a code of another sign-in does not go with this one’s verifier', async () => {
		const one = new Browser(http), two = new Browser(http);
		const [a, b] = [await start(one, 'told'), await start(two, 'told')];
		const stolen = idp.code(a, { sub: subject() });
		landed(await two.get(back(stolen, stateOf(b))), '/?error=oauth_failed');
	});

	test('nothing that the browser holds is in the database, and no verifier in clear', async () => {
		const browser = new Browser(http);
		const url = await start(browser, 'told');
		const dump = JSON.stringify(await stack.rows('SELECT f::text FROM oauth_flows f'));
		assert.ok(!dump.includes(stateOf(url)) && !dump.includes(browser.cookies.get('__Host-flow')));
	});

	test('a new session for each, whatever cookie the browser had: no fixation', async () => {
		const browser = new Browser(http);
		browser.cookies.set('__Host-session', randomBytes(32).toString('base64url'));
		const was = browser.session;
		await signIn({}, { browser });
		assert.notEqual(browser.session, was);
		problem(await http.get('/api/auth/user', { token: null, headers: { cookie: `__Host-session=${was}` } }), 'not-authenticated');
	});
});

describe('whose account it is (T4)', () => {
	const verified = (email) => ({ claims: { email, email_verified: true } });
	const users = (email) => stack.one(`SELECT count(*) FROM users WHERE lower(email) = lower('${email}')`);

	test('an address that both sides have verified leads to the account that is there', async () => {
		const local = await stack.account(APP, address('both'));
		const sub = subject();
		const { browser, reply } = await signIn({ sub, claims: { email: local.email.toUpperCase(), email_verified: true } });
		landed(reply, '/?success=true');
		assert.equal((await me(browser)).id, local.id);
		assert.equal(await stack.one(`SELECT count(*) FROM audit_logs WHERE action = 'identity.link' AND user_id = '${local.id}'`), '1');
		ok(await http.post('/api/v1/auth/login', { email: local.email, password: local.password }));
		// once linked, by what the provider calls him, not by the address
		assert.equal((await me((await signIn({ sub, claims: {} })).browser)).id, local.id);
	});

	test('no takeover: unverified here, unverified there, not believed, or not said with a true', async () => {
		const victim = await stack.account(APP, address('victim'));
		const careless = await stack.account(APP, address('careless'));
		await stack.rows(`UPDATE users SET email_verified = false WHERE id = '${careless.id}'`);
		const cases = [
			[verified(careless.email), 'told'], // somebody set a password on an address that is not his
			[{ claims: { email: victim.email, email_verified: false } }, 'told'],
			[{ claims: { email: victim.email } }, 'told'],
			[{ claims: { email: victim.email, email_verified: 'true' } }, 'told'],
			[{ claims: { email: victim.email, email_verified: 1 } }, 'told'],
			[{ rawUserinfo: (_q, res) => res.end('{}'), claims: { email: victim.email, email_verified: null } }, 'told'],
			[verified(victim.email), 'untrusted'],
		];
		for (const [plan, name] of cases) {
			const sub = subject();
			const { browser, reply } = await signIn({ sub, ...plan }, { name });
			landed(reply, '/?error=account_exists');
			assert.equal(browser.session, undefined);
			assert.equal(await rowsOf(sub), '0');
		}
		for (const who of [victim, careless]) {
			assert.equal(await users(who.email), '1');
			assert.equal(await stack.one(`SELECT count(*) FROM identities WHERE user_id = '${who.id}'`), '0');
		}
	});

	test('an odd address is none: a list, two, another’s behind a comma', async () => {
		const victim = await stack.account(APP, address('listed'));
		for (const email of [[victim.email], [victim.email, 'x@example.com'], { address: victim.email }, `${victim.email},x@example.com`, `${victim.email}\t`, ` ${victim.email}`, `"${victim.email}"@x.example`, '@', 12]) {
			const { browser, reply } = await signIn({ claims: { email, email_verified: true } }, { name: 'lone' });
			landed(reply, '/?success=true');
			const user = await me(browser);
			assert.equal(user.email, null, JSON.stringify(email));
			assert.notEqual(user.id, victim.id);
		}
	});

	test('an address that nobody vouches for is not the new account’s, and takes it from nobody', async () => {
		for (const [claims, name] of [[{ email_verified: false }, 'told'], [{ email_verified: true }, 'untrusted']]) {
			const email = address('squat');
			const { browser } = await signIn({ claims: { email, ...claims } }, { name });
			assert.equal((await me(browser)).email, null);
			const owner = await signIn(verified(email));
			landed(owner.reply, '/?success=true');
			assert.equal((await me(owner.browser)).email, email);
		}
	});

	test('two providers, one address: the second leads to the same account when both are believed', async () => {
		const email = address('two');
		const first = await signIn(verified(email));
		const browser = new Browser(http);
		const id = subject();
		people.set(id, { email, email_verified: true });
		const url = await good.browse(await start(browser, 'google'), id, callback);
		landed(await browser.get(url.slice(url.indexOf('/auth/callback'))), '/?success=true');
		assert.equal((await me(browser)).id, (await me(first.browser)).id);
	});

	test('who is suspended stays so, and a second factor is still asked for (T14)', async () => {
		const sub = subject();
		const { browser } = await signIn({ sub });
		const { id } = await me(browser);
		await stack.rows(`UPDATE users SET mfa_enabled = true WHERE id = '${id}'`);
		const again = await signIn({ sub });
		landed(again.reply, '/?success=true&mfa_required=true');
		await until('workers know of the second factor', async () => (await again.browser.get('/api/auth/user')).code === 'mfa-required');
		ok(await again.browser.post('/api/auth/logout', undefined, { headers: { origin: FRONTEND } }));
		await stack.rows(`UPDATE users SET suspended_at = now() WHERE id = '${id}'`);
		const third = await signIn({ sub });
		landed(third.reply, '/?error=account_suspended');
		assert.equal(third.browser.session, undefined);
	});

	test('an ID token opens no other door: it is no bearer token (T3)', async () => {
		const { url } = await signIn({});
		const nonce = new URL(url).searchParams.get('nonce');
		problem(await http.get('/api/v1/me', { token: idp.idToken(idp.claims(subject(), nonce)) }), 'token-issuer');
	});
});

describe('the provider of a mail domain (D6, E52)', () => {
	const domain = `acme-${randomBytes(4).toString('hex')}.example`;
	const add = (secret, ...more) => ctlWith(secret, 'sso', 'add', '--app', APP, '--domain', domain, '--issuer', good.issuer, '--client-id', 'quoin-acme', ...more);
	const sso = async (email, browser = new Browser(http)) => {
		const r = ok(await browser.post('/api/v1/auth/sso', { email, return_to: '/team' }));
		const url = await good.browse(r.redirect_url, email, callback);
		return { browser, reply: await browser.get(url.slice(url.indexOf('/auth/callback'))) };
	};

	test('is added by an operator, who gives the secret on standard input', async () => {
		problem(await http.post('/api/v1/auth/sso', { email: `a@${domain}` }), 'sso-not-configured');
		assert.deepEqual(await add(''), { code: 1, said: 'quoinctl: the client secret is read from standard input, and there is none\n' });
		assert.deepEqual(await add(`${SECRET}\n`), { code: 0, said: `${APP}: users of ${domain} sign in at ${good.issuer}\n` });
		assert.match((await ctlWith('', 'sso', 'list', '--app', APP)).said, new RegExp(`^${domain} +${good.issuer} quoin-acme$`, 'm'));
		assert.equal((await ctlWith('', 'sso', 'add', '--app', APP)).code, 2);
		for (const args of [['--domain', 'no domain'], ['--domain', 'localhost'], ['--issuer', 'ftp://x'], ['--issuer', `${good.issuer}/`], ['--issuer', 'http://127.0.0.1:1'], ['--app', 'nobody']]) {
			const all = { '--app': APP, '--domain': domain, '--issuer': good.issuer, '--client-id': 'x', ...Object.fromEntries([args]) };
			const r = await ctlWith('s\n', 'sso', 'add', ...Object.entries(all).flat());
			assert.equal(r.code, 1, r.said);
			assert.match(r.said, /^quoinctl: /);
		}
	});

	test('signs its users in, new and old, and brings them to their page', async () => {
		const email = `Ada@${domain}`;
		people.set(email, { email, email_verified: true, name: 'Ada Lovelace' });
		const first = await sso(email);
		landed(first.reply, '/team?success=true');
		assert.equal((await me(first.browser)).email, email);
		assert.equal(ok(await first.browser.get('/api/v1/auth/sessions')).sessions[0].method, 'sso');
		assert.equal((await me((await sso(email)).browser)).id, (await me(first.browser)).id);
		await apply([]); // the app's own file does not know of it
		landed((await sso(email)).reply, '/team?success=true');
		problem(await http.get('/auth/google'), 'provider-not-configured');
		await apply(providers);
	});

	test('brings them to the domain\'s organization, if it has verified the address', async () => {
		const owner = await stack.account(APP, `owner@${domain}`);
		const made = await ctlWith('', 'org', 'create', '--app', APP, 'Acme', domain.split('.')[0], owner.email);
		assert.equal((await add(`${SECRET}\n`, '--org', domain.split('.')[0])).code, 0);
		for (const [verified, roles] of [[true, [['member']]], [false, []]]) {
			const email = `joins.${verified}@${domain}`;
			people.set(email, { email, email_verified: verified });
			const { browser, reply } = await sso(email);
			landed(reply, '/team?success=true');
			assert.deepEqual(await stack.rows(`SELECT role FROM organization_members WHERE organization_id = '${made.said.split(' ')[0]}' AND user_id = '${(await me(browser)).id}'`), roles);
		}
	});

	test('vouches for no address of another domain', async () => {
		const victim = await stack.account(APP, address('elsewhere'));
		for (const claim of [victim.email, `a@sub.${domain}`, `a@${domain}.example`, undefined]) {
			const login = `mallory.${randomBytes(4).toString('hex')}@${domain}`;
			people.set(login, { email: claim, email_verified: true });
			const { browser, reply } = await sso(login);
			landed(reply, '/?error=oauth_failed');
			assert.equal(browser.session, undefined);
		}
		assert.equal(await stack.one(`SELECT count(*) FROM identities WHERE user_id = '${victim.id}'`), '0');
	});

	test('any other address is answered in the same words (T11)', async () => {
		const said = new Set();
		for (const email of ['a@nobody.example', `a@x.${domain}`, domain, `a@${domain}@evil.example`, '@@@', (await stack.account(APP, address('known'))).email]) {
			const r = await http.post('/api/v1/auth/sso', { email });
			problem(r, 'sso-not-configured');
			const { request_id, ...rest } = r.json;
			assert.ok(request_id && !r.headers['set-cookie']);
			said.add(JSON.stringify(rest));
		}
		assert.equal(said.size, 1);
	});

	test('bodies that are none', async () => {
		problem(await http.request('POST', '/api/v1/auth/sso', { body: '{' }), 'bad-json');
		problem(await http.post('/api/v1/auth/sso', { email: ['a@b.example'] }), 'invalid-body');
		problem(await http.post('/api/v1/auth/sso', { email: 'x'.repeat(5000) }), 'body-too-large');
		problem(await http.request('POST', '/api/v1/auth/sso', { body: '{"email":"a@b.example"}', headers: { 'content-type': 'text/plain' } }), 'unsupported-media-type');
	});

	test('is removed, and is gone for those who are on their way', async () => {
		const email = `late@${domain}`;
		people.set(email, { email, email_verified: true });
		const browser = new Browser(http);
		const { redirect_url } = ok(await browser.post('/api/v1/auth/sso', { email }));
		const url = await good.browse(redirect_url, email, callback);
		assert.equal((await ctlWith('', 'sso', 'remove', '--app', APP, '--domain', domain)).code, 0);
		assert.equal((await ctlWith('', 'sso', 'remove', '--app', APP, '--domain', domain)).code, 1);
		landed(await browser.get(url.slice(url.indexOf('/auth/callback'))), '/?error=oauth_failed');
		problem(await http.post('/api/v1/auth/sso', { email }), 'sso-not-configured');
	});
});

describe('the user as Cue’s pages see him (C8-C10)', () => {
	const KEYS = ['id', 'email', 'firstName', 'lastName', 'profileImageUrl', 'companyName', 'industry', 'role', 'usagePurpose', 'createdAt', 'updatedAt'];
	const origin = { headers: { origin: FRONTEND } };

	test('is shown whole; nobody is told so', async () => {
		const { browser } = await signIn({});
		assert.deepEqual(Object.keys(await me(browser)), KEYS);
		const r = await http.get('/api/auth/user');
		problem(r, 'not-authenticated');
		assert.equal(r.json.detail, 'Not authenticated');
		problem(await http.put('/api/auth/profile', { firstName: 'x' }), 'not-authenticated');
	});

	test('may be changed where the list says, and nowhere else', async () => {
		const { browser } = await signIn({});
		const set = { firstName: 'Ada', lastName: 'Lovelace', companyName: 'Engines', industry: 'Looms', role: 'Countess', usagePurpose: 'notes', profileImageUrl: 'https://x.example/a.png' };
		const before = await me(browser);
		const changed = ok(await browser.put('/api/auth/profile', { ...set, id: randomUUID(), email: 'other@example.com', plan: 'pro', emailVerified: true }, origin));
		assert.deepEqual(changed, { ...before, ...set, updatedAt: changed.updatedAt });
		assert.ok(changed.updatedAt > before.updatedAt);
		assert.deepEqual(await me(browser), changed);
		assert.equal((ok(await browser.put('/api/auth/profile', { company_name: '' }, origin))).companyName, '');
		for (const none of [{}, { email: 'other@example.com' }, { password: 'x', isAdmin: true }, { firstName: null }]) {
			const r = await browser.put('/api/auth/profile', none, origin);
			problem(r, 'no-valid-fields');
			assert.deepEqual([r.status, r.json.detail], [400, 'No valid fields to update']);
		}
		for (const odd of [{ firstName: 5 }, { firstName: 'x'.repeat(101) }, { profileImageUrl: 'javascript:alert(1)' }, { firstName: 'a', first_name: 'b' }])
			problem(await browser.put('/api/auth/profile', odd, origin), 'invalid-body');
		problem(await browser.put('/api/auth/profile', { firstName: 'x' }, { headers: { origin: 'https://evil.example' } }), 'origin-refused');
	});

	test('leaves, and his cookie with him', async () => {
		const { browser } = await signIn({});
		const was = browser.session;
		problem(await browser.post('/api/auth/logout', undefined, { headers: { origin: 'https://evil.example' } }), 'origin-refused');
		assert.deepEqual(ok(await browser.post('/api/auth/logout', undefined, origin)), { message: 'Logged out successfully' });
		assert.equal(browser.session, undefined);
		await until('no worker takes it', async () => (await http.get('/api/auth/user', { headers: { cookie: `__Host-session=${was}` } })).code === 'not-authenticated', { within: 5000 });
	});
});

describe('a provider that hangs', () => {
	test('takes some of the workers and never all; who is told to come later has his state yet (S9)', async () => {
		const who = await stack.account(APP, address('hang'));
		const held = new Set();
		let hangs = true;
		const raw = (_q, res) => {
			if (!hangs)
				return res.end('{}');
			held.add(res);
			res.on('close', () => held.delete(res));
		};
		const tries = await Promise.all(Array.from({ length: 12 }, async () => {
			const browser = new Browser(http), url = await start(browser, 'told');
			const code = idp.code(url, { sub: subject(), raw });
			return { browser, code, come: () => browser.get(back(code, stateOf(url))) };
		}));
		const answers = tries.map((t) => t.come());
		const first = await until('some wait for the provider', () => held.size > 0 && [...held]);
		ok(await http.post('/api/v1/auth/login', { email: who.email, password: who.password }, { token: null }));
		assert.ok(first.every((res) => held.has(res)), 'the password was checked while the provider was waited for');
		const replies = await Promise.all(answers);
		const refused = tries.filter((_t, i) => replies[i].status === 503);
		assert.ok(refused.length > 0 && refused.length < tries.length, `${refused.length} were refused`);
		for (const r of replies) {
			if (r.status !== 503) {
				landed(r, '/?error=oauth_failed');
				continue;
			}
			problem(r, 'busy');
			assert.deepEqual([r.headers['retry-after'], r.headers.refresh], ['1', '1']);
		}
		hangs = false;
		assert.deepEqual(refused.map((t) => idp.used(t.code)), refused.map(() => 0));
		landed(await refused[0].come(), '/?error=oauth_failed');
		assert.equal(idp.used(refused[0].code), 1);
	});
});

describe('the session as FlowScope’s pages see it (E15)', () => {
	test('carries id, tier and organizations with the user’s role in each', async () => {
		const { browser } = await signIn({ claims: { email: address('team'), email_verified: true, name: 'Ada Lovelace' } });
		const user = await me(browser);
		const before = ok(await browser.get('/api/v1/auth/session'));
		assert.deepEqual(before, { id: user.id, email: user.email, name: 'Ada Lovelace', image: null, tier: 'free', organizations: [] });
		const { organization } = ok(await browser.post('/api/v1/orgs', { name: 'Engines' }, { headers: { origin: FRONTEND } }));
		const { organizations } = ok(await browser.get('/api/v1/auth/session'));
		assert.deepEqual(organizations.map(({ id, name, role }) => [id, name, role]), [[organization.id, 'Engines', 'owner']]);
	});
});
