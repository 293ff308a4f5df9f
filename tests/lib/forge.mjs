// An issuer whose keys are ours, so that tokens can be made good (jose) and bad (by hand, byte for
// byte). hostile() lists every class of SECURITY S1, T1-T3, T5; each says which refusals are right.
import { constants, createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign as cryptoSign } from 'node:crypto';

import { SignJWT } from 'jose';

import { JwksServer } from './jwks-server.mjs';

export const b64 = (x) => Buffer.from(x).toString('base64url');
const now = () => Math.floor(Date.now() / 1000);

export function newKey(algorithm = 'RS256', { kid = `${algorithm.toLowerCase()}-${randomBytes(6).toString('hex')}`, bits = 2048 } = {}) {
	// By way of PEM: exporting a key that generateKeyPairSync returned can lock up Node 20, when the garbage
	// collector meanwhile ends the generation, which shares the key's lock.
	const pem = { publicKeyEncoding: { type: 'spki', format: 'pem' }, privateKeyEncoding: { type: 'pkcs8', format: 'pem' } };
	const made =
		algorithm === 'ES256'
			? generateKeyPairSync('ec', { namedCurve: 'P-256', ...pem })
			: algorithm === 'EdDSA'
				? generateKeyPairSync('ed25519', pem)
				: generateKeyPairSync('rsa', { modulusLength: bits, ...pem });
	const pair = { publicKey: createPublicKey(made.publicKey), privateKey: createPrivateKey(made.privateKey) };
	return {
		...pair,
		kid,
		algorithm,
		jwk: { ...pair.publicKey.export({ format: 'jwk' }), kid, alg: algorithm, use: 'sig' },
	};
}

/** The signature bytes of `input` under JWS algorithm `alg`. */
export function signature(alg, privateKey, input) {
	const data = Buffer.from(input);
	const hash = `sha${alg.slice(2)}`;
	if (alg.startsWith('PS'))
		return cryptoSign(hash, data, { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST });
	if (alg.startsWith('ES'))
		return cryptoSign(hash, data, { key: privateKey, dsaEncoding: 'ieee-p1363' });
	if (alg === 'EdDSA')
		return cryptoSign(null, data, privateKey);
	return cryptoSign(hash, data, privateKey);
}

export const hmac = (alg, secret, input) => createHmac(`sha${alg.slice(2)}`, secret).update(input).digest();

/** A compact JWS of parts that may be objects, or text and bytes taken as they are. */
export function jws(header, payload, sign) {
	const part = (x) => b64(typeof x === 'string' || Buffer.isBuffer(x) ? x : JSON.stringify(x));
	const input = `${part(header)}.${part(payload)}`;
	return `${input}.${b64(sign(input))}`;
}

export class Issuer {
	static async start({ audience = 'https://api.fignodes.com', algorithm = 'RS256', issuer, extraKeys = [] } = {}) {
		const i = new Issuer();
		i.audience = audience;
		i.algorithm = algorithm;
		i.key = newKey(algorithm);
		i.server = await JwksServer.start([i.key.jwk, ...extraKeys.map((k) => k.jwk ?? k)]);
		i.issuer = issuer ?? `http://127.0.0.1:${i.server.port}/`; // Auth0's have that slash
		return i;
	}

	get row() {
		return { issuer: this.issuer, audience: this.audience, jwks_url: this.server.url, algorithms: [this.algorithm] };
	}

	stop() {
		return this.server.down();
	}

	claims(sub, more = {}) {
		return { iss: this.issuer, aud: this.audience, sub, iat: now() - 5, exp: now() + 3600, ...more };
	}

	/** A good token, unless `more`, `header` or `key` make it otherwise. */
	token(sub, more = {}, { header = {}, key = this.key } = {}) {
		return new SignJWT(this.claims(sub, more)).setProtectedHeader({ alg: key.algorithm, kid: key.kid, typ: 'JWT', ...header }).sign(key.privateKey);
	}

	/** A token with an e-mail address that the issuer vouches for. */
	userToken(sub, email = `${sub.replace(/[^a-z0-9.-]/gi, '.')}@example.com`, name = sub) {
		return this.token(sub, { email, email_verified: true, name });
	}

	rotate(key = newKey(this.algorithm), { keepOld = false } = {}) {
		const old = this.key;
		this.key = key;
		this.server.keys = keepOld ? [key.jwk, old.jwk] : [key.jwk];
		return old;
	}
}

const ALG = ['token-algorithm'];
const SIG = ['token-signature'];
const KEY = ['signing-key-unknown'];
const BAD = ['token-malformed'];
const CLAIMS = ['token-claims'];
const any = (...lists) => lists.flat();

/**
 * Every hostile token against `issuer` (RS256), as [{name, token, codes}]: the server must answer 401
 * with one of `codes`. `other` is another trusted issuer of the same app, `trap` a JwksServer that must
 * never be asked, `extra` the keys put into the issuer's set that must never verify anything
 * ({oct, enc, other}).
 */
export function hostile({ issuer, other, trap, extra, sub }) {
	const { key } = issuer;
	const H = { alg: 'RS256', kid: key.kid, typ: 'JWT' };
	const P = issuer.claims(sub);
	const rs = (input) => signature('RS256', key.privateKey, input);
	const good = (header = H, payload = P) => jws(header, payload, rs);
	const withClaims = (more) => good(H, { ...P, ...more });
	const without = (name) => {
		const { [name]: _, ...rest } = P;
		return good(H, rest);
	};
	const rawClaims = (text) => good(H, `${JSON.stringify(P).slice(0, -1)},${text}}`);
	const rawOnly = (name, text) => {
		const { [name]: _, ...rest } = P;
		return good(H, `${JSON.stringify(rest).slice(0, -1)},"${name}":${text}}`);
	};
	const list = [];
	const add = (name, token, codes) => list.push({ name, token, codes });

	// The algorithm is the key record's, never the header's.
	for (const alg of ['none', 'None', 'NONE', 'nOnE']) {
		add(`alg ${alg}, no signature`, `${b64(JSON.stringify({ ...H, alg }))}.${b64(JSON.stringify(P))}.`, any(ALG, BAD));
		add(`alg ${alg}, real signature`, good({ ...H, alg }), ALG);
	}
	add('alg none, no kid', `${b64('{"alg":"none"}')}.${b64(JSON.stringify(P))}.`, any(ALG, BAD, KEY));
	const pub = key.publicKey;
	const secrets = {
		'SPKI PEM': pub.export({ type: 'spki', format: 'pem' }),
		'SPKI PEM without its last newline': pub.export({ type: 'spki', format: 'pem' }).trimEnd(),
		'PKCS1 PEM': pub.export({ type: 'pkcs1', format: 'pem' }),
		'SPKI DER': pub.export({ type: 'spki', format: 'der' }),
		'PKCS1 DER': pub.export({ type: 'pkcs1', format: 'der' }),
		'JWK text': JSON.stringify(key.jwk),
		'modulus text': key.jwk.n,
		'modulus bytes': Buffer.from(key.jwk.n, 'base64url'),
		'empty key': '',
		'one zero byte': Buffer.alloc(1),
		kid: key.kid,
	};
	for (const [name, secret] of Object.entries(secrets))
		for (const alg of ['HS256', 'HS384', 'HS512'])
			add(`${alg} keyed with the public key's ${name}`, jws({ ...H, alg }, P, (i) => hmac(alg, secret, i)), ALG);
	for (const alg of ['RS384', 'RS512', 'PS256', 'PS384'])
		add(`${alg} by the right key, which is pinned to RS256`, jws({ ...H, alg }, P, (i) => signature(alg, key.privateKey, i)), ALG);
	const ec = newKey('ES256');
	const ed = newKey('EdDSA');
	add('ES256 by a stranger under an RSA kid', jws({ ...H, alg: 'ES256' }, P, (i) => signature('ES256', ec.privateKey, i)), ALG);
	add('EdDSA by a stranger', jws({ ...H, alg: 'EdDSA' }, P, (i) => signature('EdDSA', ed.privateKey, i)), ALG);
	for (const alg of ['rs256', 'RS256 ', '', 'RS256\u0000', null, 256, ['RS256'], { alg: 'RS256' }, true])
		add(`alg ${JSON.stringify(alg)}`, good({ ...H, alg }), any(ALG, BAD));
	add('no alg', good({ kid: key.kid, typ: 'JWT' }), any(ALG, BAD));
	add('alg twice: RS256 then HS256, MACed', jws(`{"alg":"RS256","kid":"${key.kid}","alg":"HS256"}`, P, (i) => hmac('HS256', secrets['SPKI PEM'], i)), any(BAD, ALG));
	add('alg twice: HS256 then RS256, signed', good(`{"alg":"HS256","kid":"${key.kid}","alg":"RS256"}`), any(BAD, ALG));
	add('alg twice, once escaped', good(`{"alg":"RS256","kid":"${key.kid}","\\u0061lg":"none"}`), any(BAD, ALG));

	// Keys come from the issuer's own stored set.
	const mine = newKey('RS256', { kid: key.kid });
	const byMine = (header) => jws(header, P, (i) => signature('RS256', mine.privateKey, i));
	add('a stranger under the right kid', byMine(H), SIG);
	add('jwk in the header', byMine({ ...H, jwk: mine.jwk }), SIG);
	add('jwk in the header, no kid', byMine({ alg: 'RS256', typ: 'JWT', jwk: mine.jwk }), any(KEY, BAD, SIG));
	add('jku', byMine({ ...H, jku: trap.url }), SIG);
	add('jku, unknown kid', byMine({ ...H, kid: 'elsewhere', jku: trap.url }), KEY);
	add('x5u', byMine({ ...H, x5u: trap.url }), SIG);
	add('x5c', byMine({ ...H, x5c: [pub.export({ type: 'spki', format: 'der' }).toString('base64')] }), SIG);
	add('x5t', byMine({ ...H, x5t: b64(randomBytes(20)) }), SIG);
	add('unknown kid', good({ ...H, kid: 'no-such-key' }), KEY);
	add('no kid', good({ alg: 'RS256', typ: 'JWT' }), any(KEY, BAD));
	for (const kid of ['', '../../etc/passwd', "' OR 1=1 --", `${key.kid}\u0000x`, `${key.kid} `, key.kid.toUpperCase(), 'x'.repeat(1000)])
		add(`kid ${JSON.stringify(kid.slice(0, 40))}`, good({ ...H, kid }), any(KEY, BAD));
	for (const kid of [null, 1, [key.kid], { kid: key.kid }])
		add(`kid ${JSON.stringify(kid)}`, good({ ...H, kid }), any(KEY, BAD));
	add('kid twice', good(`{"alg":"RS256","kid":"nothing","kid":"${key.kid}"}`), any(BAD, KEY));
	add("another issuer's key and kid", jws({ ...H, kid: other.key.kid }, P, (i) => signature('RS256', other.key.privateKey, i)), KEY);
	add('HS256 under an oct key that the set holds', jws({ ...H, alg: 'HS256', kid: extra.oct.kid }, P, (i) => hmac('HS256', Buffer.from(extra.oct.k, 'base64url'), i)), any(ALG, KEY));
	add('RS256 under a key for encryption', jws({ ...H, kid: extra.enc.kid }, P, (i) => signature('RS256', extra.enc.privateKey, i)), any(KEY, ALG));
	add('RS256 under a key that says RS512', jws({ ...H, kid: extra.other.kid }, P, (i) => signature('RS256', extra.other.privateKey, i)), any(KEY, ALG));
	add('RS256 under a 512 bit key', jws({ ...H, kid: extra.weak.kid }, P, (i) => signature('RS256', extra.weak.privateKey, i)), any(KEY, ALG, SIG));

	// Signature bytes.
	const ok = good();
	const [h, p, s] = ok.split('.');
	const flipped = Buffer.from(s, 'base64url');
	flipped[100] ^= 1;
	add('one bit of the signature', `${h}.${p}.${b64(flipped)}`, SIG);
	add('no signature', `${h}.${p}.`, any(BAD, SIG));
	add('short signature', `${h}.${p}.${b64(Buffer.from(s, 'base64url').subarray(0, 255))}`, any(SIG, BAD));
	add('long signature', `${h}.${p}.${b64(Buffer.concat([Buffer.from(s, 'base64url'), Buffer.alloc(1)]))}`, any(SIG, BAD));
	add('signature of zeros', `${h}.${p}.${b64(Buffer.alloc(256))}`, SIG);
	add('payload of another token', `${h}.${b64(JSON.stringify({ ...P, sub: `${sub}-victim` }))}.${s}`, SIG);
	add('header of another token', `${b64(JSON.stringify({ ...H, x: 1 }))}.${p}.${s}`, SIG);

	// The text around it: one token has one spelling.
	add('a dot at the end', `${ok}.`, BAD);
	add('a dot in front', `.${ok}`, BAD);
	add('one part', h, BAD);
	add('two parts', `${h}.${p}`, BAD);
	add('four parts', `${ok}.${s}`, BAD);
	add('five parts, as a JWE has', `${ok}.${s}.${s}`, BAD);
	add('two dots', '..', BAD);
	add('one dot', '.', BAD);
	add('an empty header', `.${p}.${s}`, BAD);
	add('an empty payload', jws(H, '', rs), BAD);
	add('padding on the signature', `${ok}==`, BAD);
	add('padding on the header', `${h}=.${p}.${s}`, BAD);
	add('padding on the payload', `${h}.${p}=.${s}`, BAD);
	add('a space in the signature', `${h}.${p}.${s.slice(0, 50)} ${s.slice(50)}`, any(BAD, ['not-authenticated']));
	add('a tab in the signature', `${h}.${p}.${s.slice(0, 50)}\t${s.slice(50)}`, any(BAD, ['not-authenticated']));
	add('! in the signature', `${h}.${p}.${s.slice(0, 50)}!${s.slice(50)}`, BAD);
	add('something after a space', `${ok} x`, any(BAD, ['not-authenticated']));
	add('two tokens, comma between', `${ok},${ok}`, any(BAD, ['not-authenticated']));
	const std = findStandard(H, P, rs);
	add('standard base64 alphabet', std, BAD);
	const spare = s.slice(0, -1) + 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'[('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'.indexOf(s.at(-1)) | 1)];
	add('spare bits set', `${h}.${p}.${spare}`, BAD);
	add('a percent escape', ok.replace('.', '%2E'), BAD);
	add('quotes around it', `"${ok}"`, any(BAD, ['not-authenticated']));
	add('a JSON serialisation', JSON.stringify({ protected: h, payload: p, signature: s }), any(BAD, ['not-authenticated']));

	// What the parts hold.
	for (const [name, text] of Object.entries({
		'not JSON': 'alg=RS256', 'an array': '["RS256"]', 'a string': '"RS256"', null: 'null', empty: '', 'cut short': JSON.stringify(H).slice(0, -1),
		'more behind it': `${JSON.stringify(H)}{}`, 'a NUL behind it': `${JSON.stringify(H)}\0`, 'a BOM': `\ufeff${JSON.stringify(H)}`,
		'single quotes': JSON.stringify(H).replaceAll('"', "'"), 'a comment': `${JSON.stringify(H)}//`, 'a last comma': `${JSON.stringify(H).slice(0, -1)},}`,
		nested: `{"alg":"RS256","kid":"${key.kid}","x":${'['.repeat(2000)}${']'.repeat(2000)}}`,
	}))
		add(`header: ${name}`, good(text), BAD);
	const claims = JSON.stringify(P);
	for (const [name, text] of Object.entries({
		'not JSON': 'sub=x', 'an array': `[${claims}]`, 'a string': '"x"', null: 'null', 'a number': '1', 'cut short': claims.slice(0, -1),
		'more behind it': `${claims}{}`, 'a NUL behind it': `${claims}\0`, 'a BOM': `\ufeff${claims}`, NaN: `${claims.slice(0, -1)},"x":NaN}`,
		'a last comma': `${claims.slice(0, -1)},}`, 'a lone surrogate': `${claims.slice(0, -1)},"x":"\\ud800"}`, 'nested 5,000 deep': `${claims.slice(0, -1)},"x":${'['.repeat(2500)}${']'.repeat(2500)}}`,
	}))
		add(`claims: ${name}`, good(H, text), any(BAD, CLAIMS));
	add('claims: invalid UTF-8', good(H, Buffer.concat([Buffer.from(`${claims.slice(0, -1)},"x":"`), Buffer.from([0xc0, 0xae]), Buffer.from('"}')])), BAD);
	add('claims: UTF-16', good(H, Buffer.from(claims, 'utf16le')), BAD);
	add('sub twice', rawClaims(`"sub":"${sub}-victim"`), any(BAD, CLAIMS));
	add('exp twice', rawClaims('"exp":1'), any(BAD, CLAIMS));
	add('iss twice, once escaped', rawClaims('"\\u0069ss":"https://elsewhere/"'), any(BAD, CLAIMS));

	// Extensions and purposes.
	add('crit, unknown', good({ ...H, crit: ['x-unknown'], 'x-unknown': 1 }), any(BAD, CLAIMS));
	add('crit, empty', good({ ...H, crit: [] }), any(BAD, CLAIMS));
	add('crit: exp', good({ ...H, crit: ['exp'], exp: now() + 60 }), any(BAD, CLAIMS));
	add('b64 false', good({ ...H, b64: false, crit: ['b64'] }), any(BAD, CLAIMS));
	for (const typ of ['dpop+jwt', 'logout+jwt', 'secevent+jwt', 'JOSE+JSON', 'mfa', 1, null])
		add(`typ ${JSON.stringify(typ)}`, good({ ...H, typ }), any(BAD, CLAIMS));

	// Claims.
	const EXP = any(['token-expired'], CLAIMS);
	add('expired an hour ago', withClaims({ exp: now() - 3600 }), ['token-expired']);
	add('expired 75 seconds ago', withClaims({ exp: now() - 75 }), ['token-expired']);
	add('no exp', without('exp'), CLAIMS);
	for (const [name, text] of Object.entries({
		'a string': `"${now() + 3600}"`, 'a fraction': `${now() + 3600}.5`, 'an exponent': '9e99', 'no double': '1e400', 'beyond 64 bits': '99999999999999999999',
		true: 'true', null: 'null', 'an array': `[${now() + 3600}]`, 'an object': '{}',
	}))
		add(`exp is ${name}`, rawOnly('exp', text), any(CLAIMS, BAD));
	add('exp is 0', withClaims({ exp: 0 }), EXP);
	add('exp is negative', withClaims({ exp: -1 }), EXP);
	add('nbf in an hour', withClaims({ nbf: now() + 3600 }), ['token-not-yet-valid']);
	add('nbf is a string', withClaims({ nbf: '1' }), CLAIMS);
	add('iat in an hour', withClaims({ iat: now() + 3600 }), any(['token-not-yet-valid'], CLAIMS));
	add('iat is a string', withClaims({ iat: 'yesterday' }), CLAIMS);
	const ISS = ['token-issuer'];
	add('no iss', without('iss'), any(ISS, CLAIMS));
	for (const iss of [
		'https://elsewhere.example/', issuer.issuer.slice(0, -1), `${issuer.issuer}/`, issuer.issuer.toUpperCase(), `${issuer.issuer}x`, ` ${issuer.issuer}`,
		`${issuer.issuer}\u0000`, issuer.issuer.replace('http:', 'https:'), `${issuer.issuer}?`, '',
	])
		add(`iss ${JSON.stringify(iss)}`, withClaims({ iss }), any(ISS, CLAIMS, BAD));
	for (const iss of [1, null, [issuer.issuer], { iss: issuer.issuer }])
		add(`iss ${JSON.stringify(iss)}`, withClaims({ iss }), any(ISS, CLAIMS));
	add("another trusted issuer's name over our key", withClaims({ iss: other.issuer }), any(KEY, ISS, SIG));
	const AUD = ['token-audience'];
	add('no aud', without('aud'), any(AUD, CLAIMS));
	for (const aud of [
		'https://elsewhere.example', 'fig-nodes-web', `${issuer.audience}/`, issuer.audience.slice(0, -1), issuer.audience.toUpperCase(), '', [], ['https://elsewhere.example'],
		[[issuer.audience]], { [issuer.audience]: true }, 1, null, true, `${issuer.audience}\u0000`,
	])
		add(`aud ${JSON.stringify(aud)}`, withClaims({ aud }), any(AUD, CLAIMS, BAD));
	add('no sub', without('sub'), CLAIMS);
	for (const bad of ['', 'x'.repeat(256), 'a\u0000b', 1, null, true, ['x'], {}])
		add(`sub ${JSON.stringify(bad).slice(0, 30)}`, withClaims({ sub: bad }), any(CLAIMS, BAD));
	return list;
}

/** A signed token whose signature, in standard base64, holds + or / (so that the spelling differs). */
function findStandard(header, payload, sign) {
	for (let i = 0; ; i++) {
		const t = jws(header, { ...payload, n: i }, sign);
		const [h, p, s] = t.split('.');
		if (/[-_]/.test(s))
			return `${h}.${p}.${s.replaceAll('-', '+').replaceAll('_', '/')}`;
	}
}

/** Hostile tokens against an ES256 issuer. */
export function hostileEs({ issuer, sub }) {
	const { key } = issuer;
	const H = { alg: 'ES256', kid: key.kid, typ: 'JWT' };
	const P = issuer.claims(sub);
	const good = jws(H, P, (i) => signature('ES256', key.privateKey, i));
	const [h, p, s] = good.split('.');
	const bytes = Buffer.from(s, 'base64url');
	const order = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex');
	const with_ = (sig) => `${h}.${p}.${b64(sig)}`;
	const rsa = newKey('RS256', { kid: key.kid });
	return [
		{ name: 'r and s zero', token: with_(Buffer.alloc(64)), codes: any(SIG, BAD) },
		{ name: 'r and s the order', token: with_(Buffer.concat([order, order])), codes: any(SIG, BAD) },
		{ name: 'r one, s one', token: with_(Buffer.concat([Buffer.alloc(31), Buffer.from([1]), Buffer.alloc(31), Buffer.from([1])])), codes: any(SIG, BAD) },
		{ name: '63 bytes', token: with_(bytes.subarray(0, 63)), codes: any(SIG, BAD) },
		{ name: '65 bytes', token: with_(Buffer.concat([bytes, Buffer.alloc(1)])), codes: any(SIG, BAD) },
		{ name: '132 bytes', token: with_(Buffer.alloc(132, 1)), codes: any(SIG, BAD) },
		{ name: 'DER', token: with_(cryptoSign('sha256', Buffer.from(`${h}.${p}`), key.privateKey)), codes: any(SIG, BAD) },
		{ name: 'empty', token: `${h}.${p}.`, codes: any(SIG, BAD) },
		{ name: 'a stranger', token: jws(H, P, (i) => signature('ES256', newKey('ES256').privateKey, i)), codes: SIG },
		{ name: 'RS256 by a stranger', token: jws({ ...H, alg: 'RS256' }, P, (i) => signature('RS256', rsa.privateKey, i)), codes: ALG },
		{ name: 'HS256 with the point', token: jws({ ...H, alg: 'HS256' }, P, (i) => hmac('HS256', Buffer.from(key.jwk.x, 'base64url'), i)), codes: ALG },
		{ name: 'HS256 with the PEM', token: jws({ ...H, alg: 'HS256' }, P, (i) => hmac('HS256', key.publicKey.export({ type: 'spki', format: 'pem' }), i)), codes: ALG },
		{ name: 'none', token: `${b64(JSON.stringify({ ...H, alg: 'none' }))}.${p}.`, codes: any(ALG, BAD) },
		{ name: 'spare bits', token: `${h}.${p}.${s.slice(0, -1)}${nextSpare(s.at(-1))}`, codes: BAD },
	];
}

function nextSpare(c) {
	const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
	return alphabet[alphabet.indexOf(c) | 1];
}

/** Keys that an issuer's set may hold but that must verify nothing; give them as Issuer.start's extraKeys. */
export function badKeys() {
	const oct = { kty: 'oct', kid: 'oct-1', alg: 'HS256', k: b64(randomBytes(32)) };
	const enc = newKey('RS256', { kid: 'enc-1' });
	enc.jwk = { ...enc.jwk, use: 'enc', alg: 'RSA-OAEP' };
	const other = newKey('RS256', { kid: 'rs512-1' });
	other.jwk = { ...other.jwk, alg: 'RS512' };
	const weak = newKey('RS256', { kid: 'weak-1', bits: 512 });
	return { oct, enc, other, weak };
}

