// Attacks that concern no single part: guesses by the thousand, SQL in whatever takes a text, files that nobody offered
// (SECURITY T9, T26, T27). docs/security-tests.md says where the other rows are tried.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { generateSync } from 'otplib';

import { ok, setup } from '../lib/setup.mjs';
import { inParallel } from '../lib/wait.mjs';

const APP = 'coditect';
let t;
const open = [];
const from = (address) => {
	const http = t.stack.http(APP, { from: address });
	open.push(http);
	return http;
};
before(async () => {
	t = await setup();
});
after(async () => {
	open.forEach((h) => h.close());
	await t?.stop();
});

describe('a thousand guesses at once (T9)', () => {
	const GUESSES = 1000, FREE = 5, NETWORK = 100;
	const counts = async (...subject) => {
		const hash = createHash('sha256').update(subject.join('\n')).digest('hex');
		const [row] = await t.stack.rows(`SELECT tried, refused FROM attempts WHERE subject = '\\x${hash}'`);
		return row.map(Number);
	};
	const person = () => t.stack.account(APP, `attacks.${randomBytes(6).toString('hex')}@example.com`);
	const of = (codes, ...wanted) => codes.filter((c) => wanted.includes(c)).length;

	/**
	 * Counted to the last one: by the network all of them, by what was guessed at those that it let through. Of these
	 * five were looked at, and one more after each second, two seconds, four seconds that went by meanwhile.
	 */
	async function judge(what, whom, net, codes, looked_at, seconds) {
		const more = Math.floor(Math.log2(seconds + 1)) + 1;
		const [passed, refused] = await counts(what, '', net);
		assert.equal(passed + refused, GUESSES, 'each is counted');
		assert.ok(passed >= NETWORK && passed <= NETWORK + more, `${passed} of the network`);
		const [tried, waited] = await counts(what, whom, net);
		assert.equal(tried + waited, passed);
		assert.equal(looked_at, tried);
		assert.ok(tried >= FREE && tried <= FREE + more, `${tried} were looked at in ${seconds} s`);
		assert.equal(of(codes, 'too-many-attempts'), GUESSES - tried);
	}

	test('at a password: each is counted, and a handful is looked at', async () => {
		const ann = await person(), net = '127.0.0.91', http = from(net);
		const began = performance.now();
		const guess = (password) => http.post('/api/v1/auth/login', { email: ann.email, password }, { record: false });
		const codes = await inParallel(Array.from({ length: GUESSES }), 32, async (_, n) => (await guess(`Guess-number-${n}`)).code);
		await judge('password', ann.email, net, codes, of(codes, 'invalid-credentials', 'busy'), (performance.now() - began) / 1000); // busy: too many hashes at once
		await t.stack.rows('DELETE FROM attempts');
	});

	test('at a code of an authenticator app: each is counted, and a handful is looked at', async () => {
		const bob = await person(), net = '127.0.0.92', http = from(net);
		const login = async () => ok(await http.post('/api/v1/auth/login', { email: bob.email, password: bob.password }));
		const as = http.as((await login()).access_token);
		const { secret } = ok(await as.post('/api/v1/auth/mfa/enroll'));
		const code = (steps) => generateSync({ secret, epoch: Math.floor(Date.now() / 1000) + 30 * steps });
		ok(await as.post('/api/v1/auth/mfa/verify', { code: code(0) }));
		await t.stack.rows('DELETE FROM attempts');
		const { mfa_token } = await login();
		const right = [-1, 0, 1, 2].map(code);
		const wrong = ['000000', '111111', '222222', '333333', '444444'].find((c) => !right.includes(c));
		const began = performance.now();
		const codes = await inParallel(Array.from({ length: GUESSES }), 32, async () => (await http.post('/api/v1/auth/mfa/challenge', { mfa_token, code: wrong }, { record: false })).code);
		await judge('mfa', bob.id, net, codes, of(codes, 'invalid-code', 'invalid-mfa-token'), (performance.now() - began) / 1000);
		await t.stack.rows('DELETE FROM attempts');
	});
});

describe('SQL in whatever takes a text (T27)', () => {
	const HOSTILE = ["' OR '1'='1", "'; DROP TABLE users; --", "x') UNION SELECT password_hash FROM users --", '$1', '\\\'; SELECT pg_sleep(8); --', "' || (SELECT pg_sleep(8)) || '", '%27%20OR%201=1', '{"$ne":null}'];
	const SPARED = ['DELETE /api/v1/me', 'POST /api/v1/auth/logout', 'DELETE /api/v1/auth/sessions', 'POST /api/auth/logout'];
	const log = () => readFileSync(path.join(t.stack.state, 'log', 'postgres.log'), 'utf8');
	let paths, schemas;

	const resolve = (s) => (s?.$ref ? schemas[s.$ref.split('/').at(-1)] : s);
	/** A value of a schema with this text wherever a text may be. */
	function filled(schema, text) {
		const s = resolve(schema);
		if (s.enum)
			return s.enum[0];
		const type = [s.type].flat()[0];
		if (type === 'object' || s.properties)
			return Object.fromEntries(Object.entries(s.properties ?? {}).map(([k, v]) => [k, filled(v, text)]));
		return { array: () => [filled(s.items ?? { type: 'string' }, text)], integer: () => s.minimum ?? 1, number: () => s.minimum ?? 1, boolean: () => true }[type]?.() ?? text;
	}

	test('every route, its path, its query and its body: no 5xx, no delay, nothing that Postgres had to refuse to read', async () => {
		({ paths, components: { schemas } } = (await t.http.get('/openapi.json')).json);
		const eve = await t.user('eve');
		const users = await t.stack.one('SELECT count(*) FROM users');
		const said = log().length;
		const asks = [];
		for (const [template, item] of Object.entries(paths))
			for (const [method, op] of Object.entries(item).filter(([m]) => ['get', 'post', 'put', 'delete'].includes(m))) {
				if (SPARED.includes(`${method.toUpperCase()} ${template}`))
					continue;
				const queries = (op.parameters ?? []).map(resolve).filter((p) => p.in === 'query').map((p) => p.name);
				const schema = op.requestBody?.content?.['application/json']?.schema;
				for (const text of HOSTILE) {
					const q = encodeURIComponent(text);
					const target = template.replace(/\{[^}]*\}/g, q);
					for (const name of [undefined, ...queries])
						asks.push([method.toUpperCase(), name ? `${target}?${name}=${q}` : target, schema && filled(schema, text)]);
				}
			}
		assert.ok(asks.length > 500, String(asks.length));
		await inParallel(asks, 6, async ([method, target, json]) => {
			const began = performance.now();
			const r = await t.http.request(method, target, { json, token: eve.token, record: false });
			assert.ok(r.status < 500 || r.code === 'busy' || r.code === 'billing-not-configured', `${method} ${target} ${JSON.stringify(json)}: ${r}`);
			assert.ok(performance.now() - began < 7000, `${method} ${target} took ${performance.now() - began} ms`); // pg_sleep(8), if it ran
			assert.doesNotMatch(r.text, /SQLSTATE|syntax error|\$argon2/);
		});
		assert.doesNotMatch(log().slice(said), /syntax error|unterminated|invalid input syntax|pg_sleep\(8\)\)? (AS|FROM)/);
		assert.ok(Number(await t.stack.one('SELECT count(*) FROM users')) >= Number(users));
		await t.stack.rows('DELETE FROM attempts');
	});
});

describe('files that nobody offered (T26)', () => {
	test('no path leads out of the folders that are served', async () => {
		const up = ['..', '%2e%2e', '.%2e', '..%2f..', '..%5c..', '%252e%252e', '....//..', '..;', '%c0%ae%c0%ae', '%u002e%u002e'];
		const goals = ['quoin.env', 'etc/passwd', 'nginx/nginx.conf', 'log/api.log', 'mail/', 'docs/.git/config'];
		const { QUOIN_SECRET_KEY: secret } = Object.fromEntries(readFileSync(path.join(t.stack.state, 'quoin.env'), 'utf8').split('\n').map((l) => [l.split('=')[0], l.slice(l.indexOf('=') + 1)]));
		for (const folder of ['/docs/', '/', '/assets/'])
			for (const u of up)
				for (const goal of goals)
					for (const n of [1, 2, 6]) {
						const target = `${folder}${`${u}/`.repeat(n)}${goal}`;
						const { replies: [r] } = await t.stack.raw(`GET ${target} HTTP/1.1\r\nhost: fig-nodes.localhost\r\nconnection: close\r\n\r\n`, { timeout: 30_000 });
						assert.ok(r, target);
						assert.ok(!r.text.includes(secret) && !/root:.*:0:0|worker_processes|"logger":"quoind/.test(r.text), `${target}: ${r}`);
						assert.ok(r.status < 500, `${target}: ${r}`);
					}
	});

	test('no folder is listed, and no file is taken for another type', async () => {
		const page = await t.http.get('/docs/', { record: false });
		assert.match(page.headers['content-type'], /^text\/html/);
		for (const r of [page, await t.http.get('/docs/docs.css', { record: false }), await t.http.get('/docs/nothing', { record: false })]) {
			assert.equal(r.headers['x-content-type-options'], 'nosniff');
			assert.doesNotMatch(r.text, /Index of|\.\.\/<\/a>/);
		}
	});
});
