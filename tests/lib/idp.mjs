// An identity provider that does what it is told: it speaks the protocol (code, token, keys, userinfo, and
// GitHub's API), and each sign-in says beforehand what will be answered, true or forged.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';

import { jws, newKey, signature } from './forge.mjs';

const now = () => Math.floor(Date.now() / 1000);
const rs256 = (key) => (input) => signature('RS256', key.privateKey, input);

export class Idp {
	calls = []; // {path, authorization, form}
	#codes = new Map();
	#tokens = new Map();
	#open = new Set();

	static async start({ tls = false } = {}) {
		const i = new Idp();
		i.key = newKey('RS256');
		i.keys = [i.key.jwk];
		i.client = `client-${randomBytes(4).toString('hex')}`;
		i.secret = `secret ${randomBytes(12).toString('hex')} & more`;
		i.server = tls ? https.createServer(selfSigned(), (req, res) => i.#answer(req, res)) : http.createServer((req, res) => i.#answer(req, res));
		i.server.on('connection', (c) => {
			i.#open.add(c);
			c.on('close', () => i.#open.delete(c));
		});
		await new Promise((resolve, reject) => i.server.once('error', reject).listen(0, '127.0.0.1', resolve));
		i.issuer = `${tls ? 'https' : 'http'}://127.0.0.1:${i.server.address().port}`;
		return i;
	}

	async stop() {
		for (const c of this.#open)
			c.destroy();
		await new Promise((resolve) => this.server.close(resolve));
	}

	/** The entry of an app file's `oauth`. */
	provider(name, more = {}) {
		return {
			name, kind: 'oidc', issuer: this.issuer, client_id: this.client, client_secret: this.secret, authorize_url: `${this.issuer}/authorize`,
			token_url: `${this.issuer}/token`, userinfo_url: `${this.issuer}/userinfo`, jwks_url: `${this.issuer}/jwks`, trusted_email: true, ...more,
		};
	}

	github(name = 'github', more = {}) {
		return {
			name, kind: 'github', issuer: `${this.issuer}/github`, client_id: this.client, client_secret: this.secret, authorize_url: `${this.issuer}/login/oauth/authorize`,
			token_url: `${this.issuer}/login/oauth/access_token`, userinfo_url: `${this.issuer}/user`, emails_url: `${this.issuer}/user/emails`, ...more,
		};
	}

	claims(sub, nonce, more = {}) {
		return { iss: this.issuer, aud: this.client, sub, nonce, iat: now(), exp: now() + 300, ...more };
	}

	/** A signed ID token, good unless told otherwise. */
	idToken(claims, { header = {}, key = this.key, sign = rs256(key) } = {}) {
		return jws({ alg: 'RS256', kid: key.kid, typ: 'JWT', ...header }, claims, sign);
	}

	/**
	 * A code for the sign-in that `address` began. `plan` says what is answered: {claims, token, response,
	 * userinfo, emails} are values or functions of what is known of the sign-in; {raw, rawUserinfo} answer by hand.
	 */
	code(address, plan = {}) {
		const q = new URL(address).searchParams;
		const code = randomBytes(16).toString('base64url');
		this.#codes.set(code, { ...plan, nonce: q.get('nonce'), challenge: q.get('code_challenge'), redirect: q.get('redirect_uri'), used: 0 });
		return code;
	}

	used(code) {
		return this.#codes.get(code).used;
	}

	async #answer(req, res) {
		const chunks = [];
		for await (const c of req)
			chunks.push(c);
		const form = new URLSearchParams(Buffer.concat(chunks).toString());
		const at = new URL(req.url, this.issuer).pathname;
		this.calls.push({ path: at, method: req.method, headers: req.headers, form });
		const json = (value, status = 200) => res.writeHead(status, { 'content-type': 'application/json' }).end(typeof value === 'string' ? value : JSON.stringify(value));
		if (at === '/jwks')
			return this.jwks ? this.jwks(req, res) : json({ keys: this.keys });
		if (at === '/.well-known/openid-configuration')
			return json({
				issuer: this.issuer, authorization_endpoint: `${this.issuer}/authorize`, token_endpoint: `${this.issuer}/token`,
				userinfo_endpoint: `${this.issuer}/userinfo`, jwks_uri: `${this.issuer}/jwks`, ...this.discovery,
			});
		if (at === '/token' || at === '/login/oauth/access_token')
			return this.#exchange(req, res, form, json, at !== '/token');
		const plan = this.#tokens.get(/^Bearer (.+)$/.exec(req.headers.authorization ?? '')?.[1]);
		if (!plan)
			return json({ error: 'invalid_token' }, 401);
		if (at === '/userinfo')
			return plan.rawUserinfo ? plan.rawUserinfo(req, res) : json(plan.userinfo ?? { sub: plan.sub });
		if (at === '/user')
			return json(plan.user ?? { id: 1 });
		if (at === '/user/emails')
			return json(plan.emails ?? []);
		return json({}, 404);
	}

	/** As strict as a real one: client, redirection and verifier must be right, and a code is good once. */
	#exchange(req, res, form, json, post) {
		const plan = this.#codes.get(form.get('code'));
		const basic = /^Basic (.+)$/.exec(req.headers.authorization ?? '')?.[1];
		const [client, secret] = post ? [form.get('client_id'), form.get('client_secret')] : basic ? Buffer.from(basic, 'base64').toString().split(':').map(decodeURIComponent) : [];
		const challenge = createHash('sha256').update(form.get('code_verifier') ?? '').digest('base64url');
		if (client !== this.client || secret !== this.secret)
			return json({ error: 'invalid_client' }, post ? 200 : 401);
		if (!plan || plan.used++ > 0 || plan.challenge !== challenge || plan.redirect !== form.get('redirect_uri') || form.get('grant_type') !== 'authorization_code')
			return json({ error: 'invalid_grant' }, post ? 200 : 400);
		if (plan.raw)
			return plan.raw(req, res);
		const access_token = randomBytes(16).toString('base64url');
		const known = { ...plan, access_token };
		const value = (x) => (typeof x === 'function' ? x(known) : x);
		const claims = { ...this.claims(plan.sub, plan.nonce), ...value(plan.claims) };
		for (const k of Object.keys(claims))
			if (claims[k] === undefined)
				delete claims[k];
		this.#tokens.set(access_token, plan);
		if (post)
			return json({ access_token, token_type: 'bearer', scope: 'user:email', ...value(plan.response) });
		const id_token = plan.token ? plan.token(claims, known) : this.idToken(claims);
		return json({ access_token, token_type: 'Bearer', expires_in: 300, id_token, ...value(plan.response) });
	}
}

/** A certificate that nobody trusts. */
function selfSigned() {
	const dir = mkdtempSync(path.join(os.tmpdir(), 'quoin-tls-'));
	execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1',
		'-keyout', path.join(dir, 'key'), '-out', path.join(dir, 'cert')], { stdio: 'ignore' });
	const pair = { key: readFileSync(path.join(dir, 'key')), cert: readFileSync(path.join(dir, 'cert')) };
	rmSync(dir, { recursive: true });
	return pair;
}

/** A browser: keeps our cookies of one host, and follows nothing by itself. */
export class Browser {
	constructor(http) {
		this.http = http;
		this.cookies = new Map();
	}

	async request(method, target, { headers = {}, ...how } = {}) {
		const cookie = [...this.cookies].map(([k, v]) => `${k}=${v}`).join('; ');
		const reply = await this.http.request(method, target, { token: null, ...how, headers: { cookie: cookie || undefined, ...headers } });
		for (const line of reply.headers['set-cookie'] ?? []) {
			const [, k, v] = /^([^=]+)=([^;]*)/.exec(line);
			if (v === '')
				this.cookies.delete(k);
			else
				this.cookies.set(k, v);
		}
		return reply;
	}

	get(target, how) {
		return this.request('GET', target, how);
	}
	post(target, json, how) {
		return this.request('POST', target, { json, ...how });
	}
	put(target, json, how) {
		return this.request('PUT', target, { json, ...how });
	}

	get session() {
		return this.cookies.get('__Host-session');
	}
}
