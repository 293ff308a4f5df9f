// Reads licence files, machine files and revocation lists of Quoin, without a network: one ES module, Web Cryptography
// and nothing else; Node 20, and browsers that know Ed25519 (Chrome 137, Firefox 129, Safari 17). The format is in
// Quoin's include/quoin/auth/proof.h and docs/offline.md; quoin-verify.c is its twin and gives the same codes.
// Apache-2.0.
//
//     const keys = readKeys(jwks);                 // of https://YOUR-HOST/.well-known/quoin-licence-keys.json, built in
//     const list = await verify(text, keys, { kind: 'revocations', product, now, sequence: highestSeen });
//     if (list.code !== 'ok') …                   // it has no payload then, and without a list nothing is revoked
//     const r = await verify(text, keys, { kind: 'machine', product, machine, now, lastSeen, revocations: list.payload });
//     if (r.code !== 'ok') refuse(r.code); else use(r.payload);
//
// Expectations: kind ('license' unless given), product, machine (of a machine file), licenseKey (opens an encrypted
// file; another must be for it), nonce, encrypted (a file that is not will not do), now and lastSeen (seconds since
// 1970-01-01 UTC; now is the clock's unless given), sequence, revocations (the payload of a verified list).
// Codes, in the order in which they are looked for: see QUOIN_CODES in quoin-verify.h.

const FILE_MOST = 16 << 20, SKEW = 300, DEPTH = 8, MEMBERS = 64, ROUNDS = 200_000;
const PLAIN = 'base64+ed25519', SECRET = 'aes-256-gcm+ed25519';
const KINDS = {
	license: { begin: '-----BEGIN LICENSE FILE-----\n', end: '\n-----END LICENSE FILE-----', prefix: 'license/' },
	machine: { begin: '-----BEGIN MACHINE FILE-----\n', end: '\n-----END MACHINE FILE-----', prefix: 'machine/' },
	revocations: { begin: '-----BEGIN LICENSE REVOCATIONS-----\n', end: '\n-----END LICENSE REVOCATIONS-----', prefix: 'revocations/' },
};

class Refusal extends Error {}

function refuse(when, code) {
	if (when)
		throw new Refusal(code);
}

const bytesOf = (binary) => Uint8Array.from(binary, (c) => c.charCodeAt(0));
const isText = (v) => typeof v === 'string';
const isWhole = (v) => Number.isSafeInteger(v) && v >= 0;

/** Strict base64 as a string of bytes: what it decodes to is encoded as it was. */
function base64(text) {
	let binary;
	try {
		binary = atob(text);
	} catch {
		throw new Refusal('bad-encoding');
	}
	refuse(btoa(binary) !== text, 'bad-encoding');
	return binary;
}

/** Whether a value is of integers and plain strings alone, not too deep, and its names are names. */
function sound(v, depth) {
	if (typeof v === 'string')
		return /^[ -~]*$/.test(v) && !/["\\]/.test(v);
	if (typeof v === 'number')
		return Number.isSafeInteger(v);
	if (v === null || typeof v === 'boolean')
		return true;
	if (depth > DEPTH)
		return false;
	if (Array.isArray(v))
		return v.every((x) => sound(x, depth + 1));
	const members = Object.entries(v);
	return members.length <= MEMBERS && members.every(([name, x]) => name !== '' && !/^[0-9]/.test(name) && sound(name, 0) && sound(x, depth + 1));
}

/** JSON as JSON.stringify writes it: so no name stands twice, and there are no spaces and no escapes. An object. */
function readObject(text) {
	try {
		const v = JSON.parse(text);
		if (typeof v === 'object' && v !== null && !Array.isArray(v) && JSON.stringify(v) === text && sound(v, 1))
			return v;
	} catch {
		// refused below
	}
	throw new Refusal('bad-json');
}

/** Keys by kid, from a JWK Set (an object, or its text). Only Ed25519: no file chooses its algorithm. */
export function readKeys(jwks) {
	const set = isText(jwks) ? JSON.parse(jwks) : jwks;
	const ours = (set?.keys ?? []).filter((k) => k.kty === 'OKP' && k.crv === 'Ed25519' && k.alg === 'EdDSA' && isText(k.kid) && isText(k.x) && k.d === undefined);
	if (ours.length === 0)
		throw new Error('the key set has no Ed25519 key');
	return new Map(ours.map(({ kid, x }) => [kid, { kty: 'OKP', crv: 'Ed25519', x }]));
}

/** What stands in the armour, decoded: base64 in lines of 64, each but the last of them full. */
function unarmour(file, kind) {
	refuse(!isText(file) || file.length > FILE_MOST, 'bad-armor');
	const text = file.replaceAll('\r\n', '\n').replace(/\n$/, '');
	const found = Object.keys(KINDS).find((k) => text.length > KINDS[k].begin.length + KINDS[k].end.length && text.startsWith(KINDS[k].begin) && text.endsWith(KINDS[k].end));
	refuse(found === undefined, 'bad-armor');
	refuse(found !== kind, 'wrong-kind');
	const lines = text.slice(KINDS[kind].begin.length, -KINDS[kind].end.length).split('\n');
	const last = lines.at(-1).length;
	refuse(last === 0 || last > 64 || lines.slice(0, -1).some((l) => l.length !== 64), 'bad-encoding');
	return base64(lines.join(''));
}

async function signedBy(jwk, text, signature) {
	try {
		const key = await crypto.subtle.importKey('jwk', jwk, 'Ed25519', false, ['verify']);
		return await crypto.subtle.verify('Ed25519', key, signature, bytesOf(text));
	} catch {
		return false;
	}
}

/** enc of an encrypted file is base64(ciphertext) "." base64(iv) "." base64(tag). */
async function decrypt(enc, prefix, { kind, licenseKey, machine }) {
	refuse(enc.length < 42 || enc.at(-25) !== '.' || enc.at(-42) !== '.', 'bad-encoding');
	const [text, iv, tag] = [enc.slice(0, -42), enc.slice(-41, -25), enc.slice(-24)].map((part) => bytesOf(base64(part)));
	refuse(iv.length !== 12 || tag.length !== 16, 'bad-encoding');
	refuse(!isText(licenseKey) || licenseKey === '', 'cannot-decrypt');
	const password = kind === 'machine' && machine != null ? `${licenseKey}\n${machine}` : licenseKey;
	try {
		const from = await crypto.subtle.importKey('raw', new TextEncoder().encode(password), 'PBKDF2', false, ['deriveKey']);
		const how = { name: 'PBKDF2', hash: 'SHA-256', iterations: ROUNDS, salt: new Uint8Array([...bytesOf(prefix), ...iv]) };
		const key = await crypto.subtle.deriveKey(how, from, { name: 'AES-GCM', length: 256 }, false, ['decrypt']);
		const plain = await crypto.subtle.decrypt({ name: 'AES-GCM', iv }, key, new Uint8Array([...text, ...tag]));
		return Array.from(new Uint8Array(plain), (b) => String.fromCharCode(b)).join('');
	} catch {
		throw new Refusal('cannot-decrypt');
	}
}

/** The payload of a file that one of the keys has signed, and the kid of that key. */
async function unwrap(file, keys, want) {
	const { prefix } = KINDS[want.kind];
	const { enc, sig, alg, kid, ...more } = readObject(unarmour(file, want.kind));
	refuse(![enc, sig, alg, kid].every(isText) || Object.keys(more).length > 0, 'bad-json');
	const secret = alg === SECRET && want.kind !== 'revocations';
	refuse(!secret && alg !== PLAIN, 'bad-algorithm');
	refuse(want.encrypted && !secret, 'not-encrypted');
	const key = keys.get(kid);
	refuse(key === undefined, 'unknown-key');
	const signature = bytesOf(base64(sig));
	refuse(signature.length !== 64, 'bad-encoding');
	refuse(!await signedBy(key, prefix + enc, signature), 'bad-signature');
	if (!secret)
		return { kid, payload: readObject(base64(enc)) };
	return { kid, payload: readObject(await decrypt(enc, prefix, want)) };
}

async function listed(list, id) {
	const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytesOf(id)));
	return list.revoked.includes(Array.from(hash, (b) => b.toString(16).padStart(2, '0')).join(''));
}

async function judge(p, want, kid) {
	const { now, lastSeen, revocations: list } = want;
	const isList = want.kind === 'revocations';

	refuse(p.version !== 1, 'bad-version');
	refuse(p.kind !== want.kind, 'wrong-kind');
	refuse(p.kid !== kid, 'wrong-key-id');
	refuse(!isText(p.product) || p.product !== want.product, 'wrong-product');
	refuse(!isWhole(p.issued) || !isWhole(p.expires), 'bad-json');
	refuse(isList && (!isWhole(p.sequence) || p.sequence === 0 || !Array.isArray(p.revoked)), 'bad-json');
	refuse(isList && !p.revoked.every((x) => isText(x) && x.length === 64), 'bad-json');
	refuse(!isList && (!isText(p.license_id) || !isText(p.key)), 'bad-json');
	refuse(!isList && p.license_expires !== null && !isWhole(p.license_expires), 'bad-json');
	refuse(want.kind === 'machine' && (!isText(p.machine) || p.machine !== want.machine), 'wrong-machine');
	refuse(want.nonce != null && p.nonce !== want.nonce, 'wrong-nonce');
	refuse(want.licenseKey != null && p.key !== want.licenseKey, 'wrong-license');
	// Asked so that a time which is none refuses: it is neither before nor after anything.
	refuse(!(now + SKEW >= lastSeen), 'clock-rolled-back');
	refuse(!(p.issued <= now + SKEW), 'not-yet-valid');
	refuse(!(p.expires > now), 'expired');
	refuse(isList && !(p.sequence >= want.sequence), 'stale-list');
	if (isList)
		return;
	refuse(list != null && list.kind !== 'revocations', 'wrong-kind');
	refuse(list != null && list.product !== want.product, 'wrong-product');
	refuse(list != null && await listed(list, p.license_id), 'revoked');
	refuse(p.status !== 'active', 'not-active');
	refuse(p.license_expires !== null && !(p.license_expires > now), 'license-expired');
}

/** Resolves to { code: 'ok', payload }, or to { code } that says why not. */
export async function verify(file, keys, expectations) {
	const given = Object.entries(expectations ?? {}).filter(([, v]) => v != null); // null and undefined are as good as absent
	const want = { kind: 'license', now: Math.floor(Date.now() / 1000), lastSeen: 0, sequence: 0, ...Object.fromEntries(given) };
	try {
		const { payload, kid } = await unwrap(file, keys, want);
		await judge(payload, want, kid);
		return { code: 'ok', payload };
	} catch (e) {
		if (e instanceof Refusal)
			return { code: e.message };
		throw e;
	}
}

/**
 * Whether a reply is signed by one of the keys (RFC 9421, RFC 9530): { status, headers (a Headers), body (a string or
 * bytes) }, with the Quoin-Nonce that the request sent. Resolves to 'ok', 'unsigned', 'bad-digest', 'unknown-key',
 * 'bad-signature', 'wrong-nonce' or 'stale' (more than five minutes from now).
 */
export async function verifyReply({ status, headers, body }, keys, { nonce, now = Math.floor(Date.now() / 1000) }) {
	const [input, signature, digest, date] = ['signature-input', 'signature', 'content-digest', 'date'].map((n) => headers.get(n) ?? '');
	const params = /^quoin=(\("@status" "content-digest" "date"\);created=(\d{1,12});keyid="([\w-]+)";alg="ed25519"(?:;nonce="([\w+/=-]+)")?)$/.exec(input);
	const sig = /^quoin=:([A-Za-z0-9+/]{86}==):$/.exec(signature);
	if (!params || !sig)
		return 'unsigned';
	const bytes = isText(body) ? new TextEncoder().encode(body) : body;
	const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
	if (digest !== `sha-256=:${btoa(String.fromCharCode(...hash))}:`)
		return 'bad-digest';
	const key = keys.get(params[3]);
	if (!key)
		return 'unknown-key';
	const base = `"@status": ${status}\n"content-digest": ${digest}\n"date": ${date}\n"@signature-params": ${params[1]}`;
	if (!await signedBy(key, base, bytesOf(atob(sig[1]))))
		return 'bad-signature';
	if (nonce != null && params[4] !== nonce)
		return 'wrong-nonce';
	return Math.abs(Number(params[2]) - now) <= SKEW ? 'ok' : 'stale';
}
