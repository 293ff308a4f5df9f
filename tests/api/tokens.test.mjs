// Hostile tokens: every class of SECURITY S1 and T1-T5, each refused with 401 and its own text.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { createLocalJWKSet, jwtVerify } from 'jose';
import { OAuth2Server } from 'oauth2-mock-server';

import { Copy, signal } from '../lib/copy.mjs';
import { badKeys, hostile, hostileEs, Issuer } from '../lib/forge.mjs';
import { JwksServer } from '../lib/jwks-server.mjs';
import { ok, problem, setup } from '../lib/setup.mjs';
import { inParallel, until } from '../lib/wait.mjs';

let t, other, es, trap, mock, extra;
const run = Math.random().toString(36).slice(2);
const me = (token, headers) => t.http.get('/api/v1/me', { token, headers });

before(async () => {
	extra = badKeys();
	trap = await JwksServer.start();
	other = await Issuer.start();
	es = await Issuer.start({ algorithm: 'ES256' });
	mock = new OAuth2Server();
	await mock.issuer.keys.generate('RS256');
	await mock.start(0, '127.0.0.1');
	mock.issuer.url = `http://127.0.0.1:${mock.address().port}`;
	t = await setup({
		issuers: { extraKeys: Object.values(extra) },
		rows: [other.row, es.row, { issuer: mock.issuer.url, audience: 'https://api.fignodes.com', jwks_url: `${mock.issuer.url}/jwks`, algorithms: ['RS256'] }],
	});
});
after(async () => {
	await t?.stop();
	await other?.stop();
	await es?.stop();
	await trap?.down();
	await mock?.stop();
});

async function takes(what, make) {
	await until(`${what} is taken`, async () => {
		const r = await me(await make());
		if (r.status !== 200)
			throw new Error(String(r));
		return true;
	});
}

describe('good tokens', () => {
	test('RS256 and ES256, of three issuers', async () => {
		for (const i of [t.issuer, other, es])
			await takes(i.algorithm, () => i.token(`good|${run}`));
	});

	test('aud as a list, typ in its spellings or none, claims that mean nothing to us', async () => {
		const i = t.issuer;
		for (const [what, token] of [
			['aud list', await i.token(`a|${run}`, { aud: ['https://other.example', i.audience] })],
			['aud list of one', await i.token(`a|${run}`, { aud: [i.audience] })],
			['at+jwt', await i.token(`a|${run}`, {}, { header: { typ: 'at+jwt' } })],
			['no typ', await i.token(`a|${run}`, {}, { header: { typ: undefined } })],
			['nbf past', await i.token(`a|${run}`, { nbf: 1 })],
			['extras', await i.token(`a|${run}`, { azp: 'x', scope: 'openid', permissions: ['a', { b: [1, 2.5, null] }], 'https://fignodes.com/roles': ['admin'] })],
			['subject of 255', await i.token('s'.repeat(255))],
			['subject of any script', await i.token(`łódź|東京|${run}`)],
		])
			assert.equal((await me(token)).status, 200, what);
	});

	test('the scheme in any case, and only one credential', async () => {
		const token = await t.issuer.token(`a|${run}`);
		for (const scheme of ['Bearer', 'bearer', 'BEARER'])
			assert.equal((await me(undefined, { authorization: `${scheme} ${token}` })).status, 200, scheme);
		for (const value of ['', 'Bearer', 'Bearer ', token, `Basic ${Buffer.from('a:b').toString('base64')}`, `Token ${token}`, `Bearer${token}`, `Digest ${token}`]) {
			const r = await me(undefined, { authorization: value });
			problem(r, 'not-authenticated', 'token-malformed');
		}
		problem(await me(token, { 'x-api-key': 'anything' }), 'mixed-credentials');
		problem(await t.http.get(`/api/v1/me?access_token=${token}`), 'not-authenticated');
		problem(await me(undefined, { cookie: `auth_token=${token}` }), 'not-authenticated');
		const two = await t.stack.raw(`GET /api/v1/me HTTP/1.1\r\nhost: fig-nodes.localhost:${t.stack.port}\r\nauthorization: Bearer ${token}\r\nauthorization: Bearer ${token}\r\nconnection: close\r\n\r\n`);
		assert.equal(two.replies[0].status, 400, 'two Authorization headers');
	});

	test('a token stops on the second that it says, cached or not', async () => {
		const exp = Math.floor(Date.now() / 1000) - 57; // three seconds of life, if a minute's skew is granted
		const token = await t.issuer.token(`short|${run}`, { exp, iat: exp - 60 });
		const first = await me(token);
		if (first.status === 200)
			await until('it is refused', async () => (await me(token)).status === 401, { within: 8000 });
		problem(await me(token), 'token-expired');
	});
});

describe('hostile tokens', () => {
	test('every one is refused with 401, its code and its text, and no key is fetched for any', async () => {
		await takes('the issuer', () => t.issuer.token(`warm|${run}`));
		await takes('the other issuer', () => other.token(`warm|${run}`));
		const list = hostile({ issuer: t.issuer, other, trap, extra, sub: `mallory|${run}` });
		assert.ok(list.length > 200);
		const wrong = [];
		await inParallel(list, 8, async ({ name, token, codes }) => {
			const r = await me(token);
			try {
				problem(r, ...codes);
				assert.equal(r.status, 401);
				assert.match(r.headers['www-authenticate'] ?? '', /^Bearer/);
			} catch (e) {
				wrong.push(`${name}: ${e.message}`);
			}
		});
		assert.deepEqual(wrong, []);
		assert.equal(trap.fetches, 0, 'an address in a token was asked');
		assert.equal((await me(await t.issuer.token(`after|${run}`))).status, 200, 'the good one still is');
	});

	test('against an ES256 issuer', async () => {
		await takes('ES256', () => es.token(`warm|${run}`));
		for (const { name, token, codes } of hostileEs({ issuer: es, sub: `mallory|${run}` }))
			assert.ok(codes.includes(problem(await me(token), ...codes).code), name);
	});

	test('no hostile token made a user', async () => {
		assert.equal(await t.stack.one(`SELECT count(*) FROM identities WHERE subject LIKE 'mallory|${run}%'`), '0');
	});

	test('a header beyond nginx’s limit never comes to a worker', async () => {
		problem(await me(await t.issuer.token(`long|${run}`, { pad: 'x'.repeat(9000) })), 'headers-too-large');
	});
});

describe('whose token', () => {
	test('an issuer of one app is nobody in another', async () => {
		const cue = t.stack.http('cue');
		const token = await t.issuer.token(`x|${run}`);
		const r = await cue.get('/api/v1/me', { token });
		assert.ok([401, 404].includes(r.status), String(r));
		cue.close();
	});

	test("Quoin's own token works for its app only, and names its user", async () => {
		const email = `own.${run}@example.com`;
		await t.stack.ctl('user', 'add', '--app', 'fig-nodes', email);
		const token = (await t.stack.ctl('token', '--app', 'fig-nodes', email)).trim();
		assert.equal(ok(await me(token)).user.email, email);
		const elsewhere = `own.${run}@example.org`;
		await t.stack.ctl('user', 'add', '--app', 'cue', elsewhere);
		const foreign = (await t.stack.ctl('token', '--app', 'cue', elsewhere)).trim();
		problem(await me(foreign), 'signing-key-unknown', 'token-issuer', 'token-audience');
	});

	test('the published key verifies our own token, with no private half', async () => {
		const r = await t.http.get('/.well-known/jwks.json');
		assert.equal(r.status, 200);
		assert.ok(r.json.keys.length >= 1);
		for (const k of r.json.keys)
			for (const secret of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k'])
				assert.ok(!(secret in k), `a key is published with its ${secret}`);
		const email = `jwks.${run}@example.com`;
		await t.stack.ctl('user', 'add', '--app', 'fig-nodes', email);
		const token = (await t.stack.ctl('token', '--app', 'fig-nodes', email)).trim();
		const { payload } = await jwtVerify(token, createLocalJWKSet(r.json));
		assert.equal(typeof payload.exp, 'number');
	});

	test('of another issuer, or vouched for by an operator: over for who has signed out everywhere since (T15)', async () => {
		const email = `left.${run}@example.com`, left = await t.user('left');
		await t.stack.ctl('user', 'add', '--app', 'fig-nodes', email);
		const vouch = async () => (await t.stack.ctl('token', '--app', 'fig-nodes', email)).trim();
		const now = Math.floor(Date.now() / 1000);
		for (const [before, after] of [[left.token, () => t.issuer.token(left.sub, { iat: now + 30 })], [await vouch(), vouch]]) {
			const [same, others] = [() => me(before), await t.user('stays')];
			for (let i = 0; i < 10; i++) // whichever worker answers, and remembers it
				ok(await same());
			ok(await t.http.delete('/api/v1/auth/sessions', { token: before }));
			await until('it is over', async () => (await same()).status === 401, { within: 1000, every: 5 });
			for (let i = 0; i < 10; i++)
				problem(await same(), 'not-authenticated');
			ok(await me(await after()));
			ok(await others.as.get('/api/v1/me'));
		}
		const old = await t.issuer.token(left.sub, { iat: now - 60 });
		problem(await me(old), 'not-authenticated');
	});

	test('a suspended user is refused at once, and let in again', async () => {
		const u = await t.user('suspended');
		for (let i = 0; i < 5; i++)
			ok(await u.as.get('/api/v1/me'));
		await t.stack.rows(`UPDATE users SET suspended_at = now() WHERE id = '${u.id}'`);
		await until('refused', async () => (await u.as.get('/api/v1/me')).status === 403, { within: 5000, every: 5 });
		for (let i = 0; i < 10; i++) // whichever worker answers
			problem(await u.as.get('/api/v1/me'), 'account-suspended');
		await t.stack.rows(`UPDATE users SET suspended_at = NULL WHERE id = '${u.id}'`);
		await until('let in', async () => (await u.as.get('/api/v1/me')).status === 200, { within: 5000, every: 5 });
	});

	test('twenty first sights at once are one user', async () => {
		for (let round = 0; round < 5; round++) {
			const token = await t.issuer.userToken(`race-${round}|${run}`);
			const ids = await inParallel(Array.from({ length: 20 }), 20, async () => ok(await me(token)).user.id);
			assert.equal(new Set(ids).size, 1);
		}
		assert.equal(await t.stack.one(`SELECT count(*) FROM identities WHERE subject LIKE 'race-%|${run}'`), '5');
	});
});

describe('addresses are claims, not identities (T4)', () => {
	// oauth2-mock-server signs whatever its hook says: the hostile provider.
	async function signed(claims) {
		mock.service.once('beforeTokenSigning', (token) => Object.assign(token.payload, { aud: 'https://api.fignodes.com' }, claims));
		const r = await fetch(`${mock.issuer.url}/token`, { method: 'POST', body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'x' }) });
		return (await r.json()).access_token;
	}

	test("a second provider's claim to somebody's address gives it nothing", async () => {
		const victim = await t.user('victim');
		const w = await t.workspace(victim, { name: 'private' });
		await takes('the mock', () => signed({ sub: `warm-${run}` }));
		for (const claim of [
			{ email: victim.email, email_verified: true },
			{ email: victim.email, email_verified: false },
			{ email: victim.email },
			{ email: victim.email.toUpperCase(), email_verified: true },
			{ email: victim.email, email_verified: 'true' },
			{ email: [victim.email], email_verified: true },
		]) {
			const token = await signed({ sub: `attacker-${Math.random()}`, ...claim });
			const r = await me(token);
			if (r.status === 200) {
				assert.notEqual(r.json.user.id, victim.id);
				assert.equal(r.json.user.email, null);
			}
			assert.deepEqual((await t.http.get('/api/v1/workspaces', { token })).json.workspaces ?? [], []);
			problem(await t.http.get(`/api/v1/workspaces/${w.id}`, { token }), 'workspace-not-found', 'token-claims');
		}
		const same = await signed({ sub: victim.sub });
		assert.notEqual((await me(same)).json.user.id, victim.id, 'nor does the same subject');
	});

	test('its word counts for itself only: an issuer it merely names is refused', async () => {
		const token = await signed({ iss: t.issuer.issuer, sub: `x-${run}` });
		problem(await me(token), 'signing-key-unknown', 'token-signature', 'token-issuer');
	});
});

describe('an issuer of this moment', () => {
	test('is taken before the pool was told of it', async () => {
		const fresh = await Issuer.start();
		const copy = new Copy(t.stack), workers = copy.workers('api');
		const listener = copy.children(copy.pid('api')).filter((pid) => !workers.includes(pid));
		assert.equal(listener.length, 1);
		signal(listener[0], 'SIGSTOP');
		try {
			await t.stack.useIssuers('fig-nodes', [t.issuer.row, fresh.row]);
			const token = await fresh.token(`fresh|${run}`);
			await until('it is taken', async () => (await me(token)).status === 200, { within: 2500, every: 50 });
		} finally {
			signal(listener[0], 'SIGCONT');
			await fresh.stop();
		}
	});
});
