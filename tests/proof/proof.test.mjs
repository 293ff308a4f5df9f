// Files that the server's code has made (tests/vectors/proof), and what becomes of them when somebody meddles: the program
// quoin-verify (C, OpenSSL), quoin-verify.mjs (Web Cryptography) and a third verifier (node:crypto) say the same of each.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createCipheriv, createPrivateKey, pbkdf2Sync, sign as signText } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { readKeys, verify } from '../../verify/quoin-verify.mjs';
import { independent } from './independent.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const vectors = JSON.parse(readFileSync(path.join(here, '../vectors/proof/proof.json'), 'utf8'));
const program = process.env.QUOIN_VERIFY ?? 'quoin-verify';
const { now } = vectors;
const ID = '01a1fcc9-9805-790a-a896-365bf2d2a0c3', KEY = 'CODITECT-PRO-A7F3E9D2C4B1-8F2A', MACHINE = '3f0d9c1e5a7b42d6';
const LABEL = { license: 'LICENSE FILE', machine: 'MACHINE FILE', revocations: 'LICENSE REVOCATIONS' };
const jwk = ({ kid, x }) => ({ kty: 'OKP', crv: 'Ed25519', x, use: 'sig', alg: 'EdDSA', kid });
const ours = vectors.keys.filter((k) => k.app === 'coditect').map(jwk), all = vectors.keys.map(jwk);
const vector = Object.fromEntries(vectors.files.map((f) => [f.name, f]));
let dir, n = 0;

before(() => { dir = mkdtempSync(path.join(os.tmpdir(), 'quoin-proof-')); });
after(() => rmSync(dir, { recursive: true }));

const b64 = (x) => Buffer.from(x, 'latin1').toString('base64');
const unb64 = (x) => Buffer.from(x, 'base64').toString('latin1');
const privateKey = ({ x, d }) => createPrivateKey({ key: { kty: 'OKP', crv: 'Ed25519', x, d }, format: 'jwk' });
const signature = (text, key = vectors.keys[0]) => signText(null, Buffer.from(text, 'latin1'), privateKey(key));

function armour(text, label = 'LICENSE FILE') {
	return `-----BEGIN ${label}-----\n${b64(text).replace(/.{64}(?=.)/g, '$&\n')}\n-----END ${label}-----\n`;
}

/** The envelope of a file, as an object. */
const opened = (file) => JSON.parse(unb64(file.split('\n').slice(1, -2).join('')));
const payloadOf = (file) => JSON.parse(unb64(opened(file).enc));

/** A file from payload text or object, signed well; `change` is for the envelope. */
function made(payload, { kind = 'license', key = vectors.keys[0], change = (e) => e, prefix = `${kind}/`, enc, alg = 'base64+ed25519', label = LABEL[kind] } = {}) {
	enc ??= b64(typeof payload === 'string' ? payload : JSON.stringify(payload));
	const e = change({ enc, sig: signature(prefix + enc, key).toString('base64'), alg, kid: key.kid });
	return armour(typeof e === 'string' ? e : JSON.stringify(e), label);
}

/** The file of a vector with another envelope, or with other members in its payload, signed again. */
const enveloped = (name, change) => armour(JSON.stringify({ ...opened(vector[name].text), ...change }), LABEL[vector[name].kind]);
const resigned = (name, change) => made({ ...payloadOf(vector[name].text), ...change }, { kind: vector[name].kind });

function sealed(payload, { ivBytes = 12, spoil = false, kind = 'license', password = KEY } = {}) {
	const iv = Buffer.alloc(12, 7);
	const c = createCipheriv('aes-256-gcm', pbkdf2Sync(password, Buffer.concat([Buffer.from(`${kind}/`), iv]), 200_000, 32, 'sha256'), iv);
	const text = Buffer.concat([c.update(JSON.stringify(payload)), c.final()]);
	const tag = c.getAuthTag();
	tag[0] ^= spoil ? 1 : 0;
	return made(null, { kind, alg: 'aes-256-gcm+ed25519', enc: [text, iv.subarray(0, ivBytes), tag].map((x) => x.toString('base64')).join('.') });
}

function put(text) {
	const file = path.join(dir, `f${n++}`);
	writeFileSync(file, text);
	return file;
}

/** What the program in C says: the code, or the payload when it is "ok". */
function fromC(text, keys, want) {
	const option = (name, value) => (value === undefined ? [] : [`--${name}`, String(value)]);
	const args = [...option('keys', put(JSON.stringify({ keys }, null, 2))), ...option('product', want.product), ...option('now', want.now), ...option('last-seen', want.lastSeen), ...option('sequence', want.sequence), ...option('nonce', want.nonce)];
	if (want.kind === 'machine')
		args.push('--machine', want.machine);
	if (want.kind === 'revocations')
		args.push('--list');
	if (want.encrypted)
		args.push('--encrypted');
	if (want.licenseKey !== undefined)
		args.push('--license-key-file', put(`${want.licenseKey}\n`));
	if (want.listText !== undefined)
		args.push('--revocations', put(want.listText));
	const file = put(text);
	return new Promise((resolve, reject) => execFile(program, [...args, file], { encoding: 'latin1' }, (e, stdout, stderr) => {
		if (!e)
			return resolve({ code: 'ok', payload: JSON.parse(stdout) });
		const said = stderr.startsWith(`quoin-verify: ${file}: `) && e.code === 1 ? stderr.slice(`quoin-verify: ${file}: `.length).trim() : undefined;
		return said ? resolve({ code: said }) : reject(new Error(`${program}: ${e.code} ${e.signal} ${stderr}`));
	}));
}

/** What all of them say; a list is verified first by each that is given its payload. */
async function verdicts(text, want, keys = ours) {
	want = { kind: 'license', product: 'coditect', now, ...want };
	if (want.listText !== undefined) {
		const list = await verify(want.listText, readKeys({ keys }), { kind: 'revocations', product: want.product, now: want.now });
		assert.equal(list.code, 'ok');
		want.revocations = list.payload;
	}
	return { c: await fromC(text, keys, want), mjs: await verify(text, readKeys({ keys }), want), node: { code: independent(text, keys, want) } };
}

async function says(code, text, want, keys) {
	const v = await verdicts(text, want, keys);
	assert.deepEqual(Object.fromEntries(Object.entries(v).map(([k, x]) => [k, x.code])), { c: code, mjs: code, node: code });
	return v;
}

const wants = {
	license: {},
	rotated: {},
	revoked: {},
	other: { product: 'other' },
	secret: { licenseKey: KEY, encrypted: true },
	machine: { kind: 'machine', machine: MACHINE, nonce: 'bm9uY2U', licenseKey: KEY },
	'secret-machine': { kind: 'machine', machine: MACHINE, nonce: 'bm9uY2U', licenseKey: KEY, encrypted: true },
	revocations: { kind: 'revocations', sequence: 7 },
};

describe('what the server made', () => {
	for (const name of Object.keys(wants))
		test(`${name} is taken by all, and they read the same`, async () => {
			const v = await says('ok', vector[name].text, wants[name], name === 'other' ? all : ours);
			assert.deepEqual(v.c.payload, v.mjs.payload);
			assert.equal(v.c.payload.kind, vector[name].kind);
		});

	test('as some editors leave it: with CRLF, without the last line end; with a list that does not name it', async () => {
		const { text } = vector.license;
		await says('ok', text.replaceAll('\n', '\r\n'));
		await says('ok', text.slice(0, -1));
		await says('ok', text.replaceAll('\n', '\r\n').slice(0, -2));
		await says('ok', text, { listText: vector.revocations.text });
		await says('ok', text, { now: now - 300 });
		await says('ok', text, { lastSeen: now + 300 });
		await says('ok', resigned('license', { later: { members: ['that', 1, 'reader', null, 'leaves', true, 'alone'] } }));
	});
});

/** S + L instead of S: the same signature to whoever does not look (RFC 8032 §5.1.7). */
function malleable(sig) {
	const bytes = Buffer.from(sig, 'base64');
	let s = BigInt(`0x${Buffer.from(bytes.subarray(32)).reverse().toString('hex')}`) + 2n ** 252n + 27742317777372353535851937790883648493n;
	for (let i = 32; i < 64; i++, s >>= 8n)
		bytes[i] = Number(s & 255n);
	return bytes.toString('base64');
}

const { license, revoked, other, secret, machine, revocations } = Object.fromEntries(Object.entries(vector).map(([k, v]) => [k, v.text]));
const L = payloadOf(license), M = payloadOf(machine), E = opened(license), SECRET = opened(secret);
const lines = license.split('\n');
const line = (i, f) => lines.map((l, k) => (k === i ? f(l) : l)).join('\n');
const lastLine = lines.length - 3;
const flip = (text, i) => text.slice(0, i) + (text[i] === 'A' ? 'B' : 'A') + text.slice(i + 1);
const without = (o, name) => Object.fromEntries(Object.entries(o).filter(([k]) => k !== name));
const text = JSON.stringify(L);
const deep = (levels) => JSON.parse('['.repeat(levels) + ']'.repeat(levels));
const wide = (k) => Object.fromEntries(Array.from({ length: k }, (_, i) => [`m${i}`, i]));

/** name, code, file, expectations, keys */
const mutations = [
	// signature
	['a bit of the signature', 'bad-signature', enveloped('license', { sig: flip(E.sig, 3) })],
	['a character of the payload', 'bad-signature', enveloped('license', { enc: flip(E.enc, 40) })],
	['another licence under the old signature', 'bad-signature', enveloped('license', { enc: b64(JSON.stringify({ ...L, plan: 'enterprise' })) })],
	['the signature of another file', 'bad-signature', enveloped('license', { sig: opened(revoked).sig })],
	['a signature of zeros', 'bad-signature', enveloped('license', { sig: Buffer.alloc(64).toString('base64') })],
	['a signature that is malleable', 'bad-signature', enveloped('license', { sig: malleable(E.sig) })],
	['a signature of 63 bytes', 'bad-encoding', enveloped('license', { sig: Buffer.alloc(63).toString('base64') })],
	['a signature of 65 bytes', 'bad-encoding', enveloped('license', { sig: Buffer.alloc(65).toString('base64') })],
	['a signature of 66 bytes', 'bad-encoding', enveloped('license', { sig: Buffer.alloc(66).toString('base64') })],
	['no signature', 'bad-encoding', enveloped('license', { sig: '' })],
	['spare bits in the signature', 'bad-encoding', enveloped('license', { sig: E.sig.replace(/.==$/, (x) => `${'BRhx'['AQgw'.indexOf(x[0])]}==`) })],
	['signed without the prefix', 'bad-signature', made(L, { prefix: '' })],
	['signed with the prefix of machine files', 'bad-signature', made(L, { prefix: 'machine/' })],
	// kinds
	['a machine file for a licence file', 'wrong-kind', machine],
	['a licence file for a machine file', 'wrong-kind', license, { kind: 'machine', machine: MACHINE }],
	['a revocation list for a licence file', 'wrong-kind', revocations],
	['a machine file in the armour of a licence file', 'bad-signature', armour(JSON.stringify(opened(machine)), 'LICENSE FILE')],
	['a licence file in the armour of a machine file', 'bad-signature', armour(JSON.stringify(E), 'MACHINE FILE'), { kind: 'machine', machine: MACHINE }],
	['a licence signed as a machine file', 'wrong-kind', made(L, { kind: 'machine' }), { kind: 'machine', machine: MACHINE }],
	// keys
	['a key that nobody knows', 'unknown-key', enveloped('license', { kid: 'x'.repeat(43) })],
	['a key without a name', 'unknown-key', enveloped('license', { kid: '' })],
	['the name of the app’s other key', 'bad-signature', enveloped('license', { kid: vectors.keys[1].kid })],
	['the key of another app', 'unknown-key', made({ ...L, kid: vectors.keys[2].kid }, { key: vectors.keys[2] })],
	['the key of another app under the name of ours', 'bad-signature', made(L, { key: { ...vectors.keys[2], kid: vectors.keys[0].kid } })],
	['another key’s name inside', 'wrong-key-id', resigned('license', { kid: vectors.keys[1].kid })],
	['no key’s name inside', 'wrong-key-id', made(without(L, 'kid'))],
	// algorithms
	['alg none', 'bad-algorithm', enveloped('license', { alg: 'none' })],
	['alg of another signature', 'bad-algorithm', enveloped('license', { alg: 'base64+rsa-sha256' })],
	['alg in capitals', 'bad-algorithm', enveloped('license', { alg: 'BASE64+ED25519' })],
	['alg with something behind it', 'bad-algorithm', enveloped('license', { alg: 'base64+ed25519 ' })],
	['a plain file where an encrypted one is asked for', 'not-encrypted', license, { encrypted: true, licenseKey: KEY }],
	['an encrypted file that calls itself plain', 'bad-encoding', enveloped('secret', { alg: 'base64+ed25519' }), { licenseKey: KEY }],
	['a plain file that calls itself encrypted', 'bad-encoding', enveloped('license', { alg: 'aes-256-gcm+ed25519' }), { licenseKey: KEY }],
	['the same to who has no licence key', 'bad-encoding', enveloped('license', { alg: 'aes-256-gcm+ed25519' })],
	['an encrypted list', 'bad-algorithm', enveloped('revocations', { alg: 'aes-256-gcm+ed25519' }), { kind: 'revocations', licenseKey: KEY }],
	// encryption
	['no licence key to open it with', 'cannot-decrypt', secret],
	['another licence key', 'cannot-decrypt', secret, { licenseKey: `${KEY}0` }],
	['another machine', 'cannot-decrypt', vector['secret-machine'].text, { kind: 'machine', machine: 'other', licenseKey: KEY }],
	['a bit of the tag, signed again', 'cannot-decrypt', sealed(L, { spoil: true }), { licenseKey: KEY }],
	['a short iv, signed again', 'bad-encoding', sealed(L, { ivBytes: 9 }), { licenseKey: KEY }],
	['a tag of 18 bytes, signed again', 'bad-encoding', made(null, { alg: 'aes-256-gcm+ed25519', enc: `AAAA.${'A'.repeat(16)}.${'A'.repeat(24)}` }), { licenseKey: KEY }],
	['the ciphertext of another file', 'bad-signature', enveloped('secret', { enc: opened(vector['secret-machine'].text).enc }), { licenseKey: KEY }],
	['well encrypted, for another licence', 'wrong-license', sealed({ ...L, key: 'other' }), { licenseKey: KEY }],
	['well encrypted, but no JSON', 'bad-json', sealed('no object'), { licenseKey: KEY }],
	['a part of the ciphertext taken away', 'bad-signature', enveloped('secret', { enc: SECRET.enc.slice(4) }), { licenseKey: KEY }],
	// encoding
	['base64url in the armour', 'bad-encoding', line(2, (l) => `-_${l.slice(2)}`)],
	['a space in a line', 'bad-encoding', line(2, (l) => ` ${l.slice(1)}`)],
	['a space behind a line', 'bad-encoding', line(2, (l) => `${l} `)],
	['lines of 63', 'bad-encoding', line(2, (l) => l.slice(1))],
	['lines of 65', 'bad-encoding', line(2, (l) => `${l}A`)],
	['all in one line', 'bad-encoding', `${lines[0]}\n${lines.slice(1, -2).join('')}\n${lines.at(-2)}\n`],
	['a blank line', 'bad-encoding', line(2, (l) => `${l}\n`)],
	['a blank line first', 'bad-encoding', line(0, (l) => `${l}\n`)],
	['padding in the middle', 'bad-encoding', line(2, (l) => `${l.slice(0, 62)}==`)],
	['one character too few', 'bad-encoding', line(lastLine, (l) => l.slice(0, -1))],
	['padding too much', 'bad-encoding', line(lastLine, (l) => `${l}====`)],
	['a byte that is no text', 'bad-encoding', line(2, (l) => `\u0000${l.slice(1)}`)],
	['a carriage return in a line', 'bad-encoding', line(2, (l) => `${l.slice(0, 20)}\r${l.slice(21)}`)],
	['a payload without its padding, signed again', 'bad-encoding', made(null, { enc: `${b64('{}').slice(0, -1)}` })],
	['a payload in base64url, signed again', 'bad-encoding', made(null, { enc: '-_-_' })],
	['a payload with spare bits, signed again', 'bad-encoding', made(null, { enc: 'e31=' })],
	// armour
	['an empty file', 'bad-armor', ''],
	['a line end alone', 'bad-armor', '\n'],
	['the armour alone', 'bad-armor', `${lines[0]}\n${lines.at(-2)}\n`],
	['small letters in the armour', 'bad-armor', line(0, (l) => l.toLowerCase())],
	['another label', 'bad-armor', license.replaceAll('LICENSE FILE', 'LICENCE FILE')],
	['two labels', 'bad-armor', license.replace('BEGIN LICENSE', 'BEGIN MACHINE')],
	['text before it', 'bad-armor', `x\n${license}`],
	['a blank line before it', 'bad-armor', `\n${license}`],
	['a byte order mark', 'bad-armor', `\ufeff${license}`],
	['text behind it', 'bad-armor', `${license}x`],
	['a blank line behind it', 'bad-armor', `${license}\n`],
	['a file behind it', 'bad-encoding', license + license],
	['no end', 'bad-armor', lines.slice(0, -2).join('\n')],
	['half of it', 'bad-armor', license.slice(0, license.length / 2)],
	['a space behind the first line', 'bad-armor', line(0, (l) => `${l} `)],
	['lines that end with CR alone', 'bad-armor', license.replaceAll('\n', '\r')],
	['the envelope cut short', 'bad-json', armour(JSON.stringify(E).slice(0, -20))],
	// envelope
	['a member twice', 'bad-json', armour(JSON.stringify(E).replace('{', '{"alg":"base64+ed25519",'))],
	['a member more', 'bad-json', enveloped('license', { typ: 'x' })],
	['a member less', 'bad-json', armour(JSON.stringify(without(E, 'kid')))],
	['a member that is no string', 'bad-json', enveloped('license', { sig: 7 })],
	['a space', 'bad-json', armour(JSON.stringify(E).replace(':', ': '))],
	['an escape', 'bad-json', armour(JSON.stringify(E).replace('"alg":"b', '"alg":"\\u0062'))],
	['an escape in a name', 'bad-json', armour(JSON.stringify(E).replace('"alg"', '"\\u0061lg"'))],
	['something behind it', 'bad-json', armour(`${JSON.stringify(E)}{}`)],
	['an array', 'bad-json', armour(JSON.stringify([E]))],
	['nested without end', 'bad-json', armour('['.repeat(100_000))],
	['objects nested without end', 'bad-json', armour('{"a":'.repeat(50_000))],
	['a NUL behind it', 'bad-json', armour(`${JSON.stringify(E)}\0`)],
	// payload, signed again
	['a member twice in the payload', 'bad-json', made(text.replace('"plan"', '"plan":"free","plan"'))],
	['a member twice further down', 'bad-json', made(text.replace('"most":5', '"most":5,"most":6'))],
	['a space in the payload', 'bad-json', made(text.replace(',', ', '))],
	['a line end behind the payload', 'bad-json', made(`${text}\n`)],
	['something behind the payload', 'bad-json', made(`${text},`)],
	['a comma too much', 'bad-json', made(text.replace('}}', '},}'))],
	['an escape in the payload', 'bad-json', made(text.replace('"pro"', '"pr\\u006f"'))],
	['a letter beyond ASCII', 'bad-json', made(Buffer.from(text.replace('"pro"', '"prö"')).toString('latin1'))],
	['a control byte', 'bad-json', made(text.replace('"pro"', '"pro\u0001"'))],
	['a fraction', 'bad-json', made(text.replace('"seats":5', '"seats":5.0'))],
	['an exponent', 'bad-json', made(text.replace('"seats":5', '"seats":1e3'))],
	['a zero before a number', 'bad-json', made(text.replace('"seats":5', '"seats":05'))],
	['minus zero', 'bad-json', made(text.replace('"seats":5', '"seats":-0'))],
	['a number too large', 'bad-json', made(text.replace('"seats":5', '"seats":9007199254740992'))],
	['a number of a hundred digits', 'bad-json', made(text.replace('"seats":5', `"seats":${'9'.repeat(100)}`))],
	['a name that is a number', 'bad-json', made(text.replace('"plan"', '"1"'))],
	['a name that is empty', 'bad-json', made(text.replace('"plan"', '""'))],
	['a word that is none', 'bad-json', made(text.replace('"seats":5', '"seats":nul'))],
	['a payload that is a string', 'bad-json', made('"x"')],
	['no payload', 'bad-json', made('')],
	['a payload cut short', 'bad-json', made(text.slice(0, -1))],
	['nested too deep', 'bad-json', resigned('license', { x: deep(8) })],
	['too many members', 'bad-json', resigned('license', { x: wide(65) })],
	['expires as text', 'bad-json', resigned('license', { expires: String(L.expires) })],
	['expires below zero', 'bad-json', resigned('license', { expires: -1 })],
	['no expires', 'bad-json', made(without(L, 'expires'))],
	['no issued', 'bad-json', made(without(L, 'issued'))],
	['no end of the licence', 'bad-json', made(without(L, 'license_expires'))],
	['no licence', 'bad-json', made(without(L, 'license_id'))],
	['another version', 'bad-version', resigned('license', { version: 2 })],
	['the version as text', 'bad-version', resigned('license', { version: '1' })],
	['no version', 'bad-version', made(without(L, 'version'))],
	// product, machine, licence, request
	['another product', 'wrong-product', license, { product: 'other' }],
	['the licence of another app, whose key is known', 'wrong-product', other, {}, all],
	['no product', 'wrong-product', made(without(L, 'product'))],
	['another machine file', 'wrong-machine', machine, { kind: 'machine', machine: 'other' }],
	['a machine with something behind it', 'wrong-machine', machine, { kind: 'machine', machine: `${MACHINE}0` }],
	['a machine file without a machine', 'wrong-machine', made(without(M, 'machine'), { kind: 'machine' }), { kind: 'machine', machine: MACHINE }],
	['another request', 'wrong-nonce', machine, { kind: 'machine', machine: MACHINE, nonce: 'other' }],
	['no request', 'wrong-nonce', license, { nonce: 'bm9uY2U' }],
	['another licence key than the plain file’s', 'wrong-license', license, { licenseKey: 'other' }],
	// time
	['the file is over', 'expired', license, { now: L.expires + 1 }],
	['the file is over this second', 'expired', license, { now: L.expires }],
	['the clock was set back', 'clock-rolled-back', license, { lastSeen: now + 301 }],
	['the clock was set back before the file', 'not-yet-valid', license, { now: L.issued - 301 }],
	['a file of next year', 'not-yet-valid', resigned('license', { issued: now + 3e7, expires: now + 4e7 })],
	['the licence is over', 'license-expired', resigned('license', { license_expires: now })],
	['the licence is suspended', 'not-active', resigned('license', { status: 'suspended' })],
	['the licence has no status', 'not-active', made(without(L, 'status'))],
	// revocation
	['a licence that is revoked', 'revoked', revoked, { listText: revocations }],
	['a list below the last one', 'stale-list', revocations, { kind: 'revocations', sequence: 8 }],
	['a list that is over', 'expired', revocations, { kind: 'revocations', now: now + 86400 }],
	['a list of another product', 'wrong-product', revocations, { kind: 'revocations', product: 'other' }],
	['a list whose entry was taken out', 'bad-signature', enveloped('revocations', { enc: b64(JSON.stringify({ ...payloadOf(revocations), revoked: [] })) }), { kind: 'revocations' }],
	['a list with a sequence of 0', 'bad-json', resigned('revocations', { sequence: 0 }), { kind: 'revocations' }],
	['a list without its entries', 'bad-json', resigned('revocations', { revoked: 'none' }), { kind: 'revocations' }],
	['a list with half an entry', 'bad-json', resigned('revocations', { revoked: ['0'.repeat(32)] }), { kind: 'revocations' }],
	['a licence signed as a list', 'wrong-kind', made(L, { kind: 'revocations' }), { kind: 'revocations' }],
];

describe('what somebody meddled with', () => {
	assert.ok(mutations.length >= 40);
	for (const [name, code, file, want, keys] of mutations)
		test(`${name}: ${code}`, () => says(code, file, want, keys));

	test('every code is told by one of them', () => {
		const header = readFileSync(path.join(here, '../../verify/quoin-verify.h'), 'utf8');
		const codes = [...header.matchAll(/^\tX\([A-Z_]+, "([a-z-]+)"\)/gm)].map((m) => m[1]).filter((c) => c !== 'ok' && c !== 'no-memory');
		assert.ok(codes.length > 20);
		assert.deepEqual(codes.filter((c) => !mutations.some((m) => m[1] === c)), []);
	});
});

/** The same numbers each time. */
function* numbers(seed) {
	for (let s = seed; ; ) {
		s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
		yield s / 2 ** 32;
	}
}

describe('what nobody thought of', () => {
	const random = numbers(20261121), next = (m) => Math.floor(random.next().value * m);
	const bits = ['"', '\\', '{', '}', '[', ']', ',', ':', '0', '-', ' ', 'null', '\u0000', '\u00ff', '"a":1', '=', '.', '\n', '\r', '1e9'];
	const spoil = (s) => {
		const i = next(s.length), w = bits[next(bits.length)];
		return [s.slice(0, i) + s.slice(i + 1), s.slice(0, i) + w + s.slice(i), s.slice(0, i) + w + s.slice(i + 1), s.slice(0, i) + s.slice(i, i + 9) + s.slice(i)][next(4)];
	};

	for (const [what, make] of [
		['the file', () => Buffer.from(spoil(license), 'latin1').toString('utf8')],
		['the envelope', () => armour(spoil(JSON.stringify(E)))],
		['the payload, signed again', () => made(spoil(text))],
	])
		test(`100 changes of ${what}: all say the same`, async () => {
			for (let i = 0; i < 100; i++) {
				const file = make();
				const v = await verdicts(file);
				assert.ok(v.c.code === v.mjs.code && v.c.code === v.node.code, `${v.c.code} ${v.mjs.code} ${v.node.code}: ${JSON.stringify(file)}`);
			}
		});
});

describe('a time that is none', () => {
	const ends = { product: 'coditect', ...wants.license };
	const said = async (want) => (await verify(license, readKeys({ keys: ours }), { ...ends, ...want })).code;

	test('is no way around the end of a file: what is left out is the clock’s, what is no number refuses', async () => {
		assert.equal(await said({ now }), 'ok');
		const clock = await said({});
		for (const none of [undefined, null])
			assert.equal(await said({ now: none }), clock);
		assert.equal(await said({ now, lastSeen: undefined, sequence: null, kind: undefined }), 'ok');
		for (const bad of [NaN, 'soon', {}])
			for (const want of [{ now: bad }, { now, lastSeen: bad }])
				assert.notEqual(await said(want), 'ok', JSON.stringify(want));
	});

	test('nothing expected at all is an answer, too', async () => {
		for (const none of [undefined, null, {}])
			assert.deepEqual(await verify(license, readKeys({ keys: ours }), none), { code: 'wrong-product' });
	});
});

describe('the program', () => {
	const run = (...args) => new Promise((resolve) => execFile(program, args, (e, stdout, stderr) => resolve({ code: e?.code ?? 0, stdout, stderr })));

	test('says how it is used, and refuses what is no key set', async () => {
		const file = put(license), keys = put(JSON.stringify({ keys: ours }));
		assert.match((await run('--help')).stdout, /^Usage: quoin-verify /);
		assert.match((await run('--version')).stdout, /^quoin-verify \(quoin\) \d/);
		for (const args of [[], [file], ['--keys', keys, file], ['--product', 'coditect', file], ['--keys', keys, '--product', 'coditect'], ['--keys', keys, '--product', 'coditect', file, file], ['--keys', keys, '--product', 'coditect', '--now', '-1', file], ['--keys', keys, '--product', 'coditect', '--now', '1x', file], ['--nonsense']])
			assert.equal((await run(...args)).code, 2, args.join(' '));
		const { x, d, kid } = vectors.keys[0];
		for (const set of ['', '{}', '[]', '{"keys":[]}', '{"keys":{}}', '{"keys":[1]}', JSON.stringify({ keys: [{ ...jwk(vectors.keys[0]), d }] }), JSON.stringify({ keys: [{ kty: 'OKP', crv: 'X25519', alg: 'EdDSA', kid, x }] }), JSON.stringify({ keys: [{ ...ours[0], x: `${x}A` }] })]) {
			const r = await run('--keys', put(set), '--product', 'coditect', '--now', String(now), file);
			assert.equal(r.code, 1, set);
			assert.match(r.stderr, /key set/);
		}
		assert.equal((await run('--keys', keys, '--product', 'coditect', `${file}.none`)).code, 1);
		const ok = await run('--keys', put(JSON.stringify({ keys: [{ kty: 'EC', crv: 'P-256', x: 'a', y: 'b', kid: 'c' }, ...ours] })), '--product', 'coditect', '--now', String(now), file);
		assert.deepEqual([ok.code, ok.stderr, JSON.parse(ok.stdout).license_id], [0, '', ID]);
	});
});
