// A real OpenID provider on loopback (oidc-provider), and a browser with no head that signs in to it:
// authorization code with PKCE for a public client, as the editor's Auth0 SDK does. Access tokens are
// JWTs for the API's audience, asked for by resource indicator.
import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';

import Provider from 'oidc-provider';

import { newKey } from './forge.mjs';

const CLIENT = 'fig-nodes-web';

export class Oidc {
	static async start({ audience = 'https://api.fignodes.com', algorithm = 'RS256', port = 0, claims = () => ({}), clients = [] } = {}) {
		const o = new Oidc();
		o.audience = audience;
		o.algorithm = algorithm;
		o.server = http.createServer();
		await new Promise((resolve, reject) => o.server.once('error', reject).listen(port, '127.0.0.1', resolve));
		o.port = o.server.address().port;
		o.issuer = `http://127.0.0.1:${o.port}`;
		o.jwksUrl = `${o.issuer}/jwks`;
		o.redirect = `${o.issuer}/signed-in`;
		const { privateKey, kid } = newKey(algorithm);
		const key = { ...privateKey.export({ format: 'jwk' }), kid, alg: algorithm, use: 'sig' };
		o.provider = new Provider(o.issuer, {
			clients: [
				{
					client_id: CLIENT,
					token_endpoint_auth_method: 'none',
					application_type: 'web',
					grant_types: ['authorization_code', 'refresh_token'],
					response_types: ['code'],
					redirect_uris: [o.redirect],
					id_token_signed_response_alg: algorithm,
				},
				...clients.map((c) => ({ grant_types: ['authorization_code'], response_types: ['code'], id_token_signed_response_alg: algorithm, ...c })),
			],
			jwks: { keys: [key] },
			cookies: { keys: [randomBytes(16).toString('hex')] },
			pkce: { required: () => true },
			scopes: ['openid', 'email', 'profile', 'offline_access'],
			claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'given_name', 'family_name', 'picture'] },
			findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id, ...claims(id) }) }),
			extraTokenClaims: (_ctx, token) => (token.accountId ? claims(token.accountId) : undefined),
			ttl: { AccessToken: 3600, Session: 3600, Grant: 3600, Interaction: 600, IdToken: 600 },
			features: {
				devInteractions: { enabled: true },
				resourceIndicators: {
					enabled: true,
					defaultResource: () => undefined,
					useGrantedResource: () => true,
					getResourceServerInfo: (_ctx, resource) => ({
						scope: 'openid email profile',
						audience: resource,
						accessTokenFormat: 'jwt',
						accessTokenTTL: 3600,
						jwt: { sign: { alg: algorithm } },
					}),
				},
			},
		});
		o.server.on('request', o.provider.callback());
		return o;
	}

	/** The entry of an app file's `issuers`. */
	get row() {
		return { issuer: this.issuer, audience: this.audience, jwks_url: this.jwksUrl, algorithms: [this.algorithm] };
	}

	stop() {
		this.server.closeAllConnections();
		return new Promise((resolve) => this.server.close(resolve));
	}

	/** Signs `login` in; returns {access_token, id_token, cookies} or throws with the provider's answer. */
	async login(login, { audience = this.audience, scope = 'openid email profile', cookies = new Map(), prompt } = {}) {
		const verifier = randomBytes(32).toString('base64url');
		const state = randomBytes(16).toString('hex');
		const query = new URLSearchParams({
			client_id: CLIENT,
			response_type: 'code',
			redirect_uri: this.redirect,
			scope,
			state,
			nonce: randomBytes(8).toString('hex'),
			code_challenge: createHash('sha256').update(verifier).digest('base64url'),
			code_challenge_method: 'S256',
			...(audience ? { resource: audience } : {}),
			...(prompt ? { prompt } : {}),
		});
		const url = await this.browse(`${this.issuer}/auth?${query}`, login, this.redirect, cookies);
		const back = new URL(url);
		if (back.searchParams.get('state') !== state)
			throw new Error(`login ended at ${url}`);
		if (back.searchParams.has('error'))
			throw new Error(`${back.searchParams.get('error')}: ${back.searchParams.get('error_description')}`);
		const res = await fetch(`${this.issuer}/token`, {
			method: 'POST',
			body: new URLSearchParams({
				grant_type: 'authorization_code',
				code: back.searchParams.get('code'),
				redirect_uri: this.redirect,
				client_id: CLIENT,
				code_verifier: verifier,
				...(audience ? { resource: audience } : {}),
			}),
		});
		const tokens = await res.json();
		if (!res.ok)
			throw new Error(`token endpoint: ${res.status} ${JSON.stringify(tokens)}`);
		return { ...tokens, cookies };
	}

	/** What a browser does from `url` on: signs `login` in, consents, and ends at an address that begins with `until`. */
	async browse(url, login, until, cookies = new Map()) {
		let form;
		for (let hop = 0; hop < 12; hop++) {
			if (url.startsWith(until))
				return url;
			const res = await fetch(url, {
				method: form ? 'POST' : 'GET',
				body: form,
				redirect: 'manual',
				headers: { cookie: [...cookies].map(([k, v]) => `${k}=${v}`).join('; ') },
			});
			for (const c of res.headers.getSetCookie()) {
				const [, k, v] = /^([^=]+)=([^;]*)/.exec(c);
				cookies.set(k, v);
			}
			if (res.status >= 300 && res.status < 400) {
				await res.arrayBuffer();
				url = new URL(res.headers.get('location'), url).href;
				form = undefined;
				continue;
			}
			const page = await res.text();
			const action = /<form[^>]*action="([^"]+)"/.exec(page)?.[1];
			if (!action)
				throw new Error(`no form at ${url}: ${res.status} ${page.slice(0, 400)}`);
			form = /name="prompt" value="login"/.test(page)
				? new URLSearchParams({ prompt: 'login', login, password: 'any' })
				: new URLSearchParams({ prompt: 'consent' });
			url = new URL(action, url).href;
		}
		throw new Error(`login ended at ${url}`);
	}

	/** The silent renewal of the editor: the provider's session, no interaction. */
	renew(login, cookies) {
		return this.login(login, { cookies, prompt: 'none' });
	}
}
