// The keys that licences are proved with, their rotation, and signed replies (CONTRACT X10; SECURITY T22; RFC 9421, RFC 9530).
import assert from 'node:assert/strict';
import { createHash, createPublicKey, verify as verifySignature } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { readKeys, verifyReply } from '../../verify/quoin-verify.mjs';
import { ok, problem } from '../lib/setup.mjs';
import { Stack } from '../lib/stack.mjs';
import { inParallel, until } from '../lib/wait.mjs';

const PATH = '/.well-known/quoin-licence-keys.json';
const APP = 'coditect', OTHER = 'memorygraph';
const stack = Stack.attach();
const http = stack.http(APP), other = stack.http(OTHER);
const nonce = () => createHash('sha256').update(String(Math.random())).digest('base64');
const signed = (h = http, n = nonce()) => h.get(PATH, { headers: { 'quoin-nonce': n } });
const keysOf = async (h = http) => ok(await h.get(PATH)).keys;
const signer = (r) => /keyid="([^"]+)"/.exec(r.headers['signature-input'])?.[1];
/** As fetch() would give it. */
const reply = (r, more = {}) => ({ status: r.status, headers: new Headers(Object.entries(r.headers).map(([k, v]) => [k, String(v)])), body: r.bytes, ...more });

before(() => stack.rows(`DELETE FROM signing_keys WHERE use = 'license'`));
after(() => {
	http.close();
	other.close();
});

describe('the keys', () => {
	test('are none at first; one is made when it is wanted, and one only', async () => {
		await until('none is published', async () => (await keysOf(other)).length === 0);
		const replies = await inParallel(Array.from({ length: 16 }), 16, () => signed(other));
		assert.equal(new Set(replies.map(signer)).size, 1);
		await until('it is published', async () => (await keysOf(other)).length === 1);
		assert.equal((await keysOf(other))[0].kid, signer(replies[0]));
		assert.equal(await stack.one(`SELECT count(*) FROM signing_keys k JOIN apps a ON a.id = k.app_id WHERE a.slug = '${OTHER}' AND use = 'license'`), '1');
	});

	test('are a JWK Set of public halves that anyone may keep for an hour, apart from those for tokens', async () => {
		await stack.ctl('keys', 'rotate', '--app', APP, '--use', 'license');
		await until('the key is published', async () => (await keysOf()).length === 1);
		const r = await http.get(PATH);
		assert.equal(r.headers['content-type'], 'application/jwk-set+json');
		assert.equal(r.headers['cache-control'], 'public, max-age=3600');
		const [{ x, kid, ...rest }] = r.json.keys;
		assert.deepEqual(rest, { kty: 'OKP', crv: 'Ed25519', use: 'sig', alg: 'EdDSA' });
		assert.equal(Buffer.from(x, 'base64url').length, 32);
		assert.equal(kid, createHash('sha256').update(JSON.stringify({ crv: 'Ed25519', kty: 'OKP', x })).digest('base64url'));
		const again = await http.get(PATH, { headers: { 'if-none-match': r.headers.etag } });
		assert.equal(again.status, 304);
		assert.equal(again.headers['cache-control'], 'public, max-age=3600');
		const tokens = ok(await http.get('/.well-known/jwks.json')).keys;
		assert.ok(!tokens.some((k) => k.kid === kid || k.kty !== 'EC'));
		assert.ok(!(await keysOf(other)).some((k) => k.kid === kid));
		problem(await http.request('POST', PATH), 'method-not-allowed');
	});

	test('a new one is published before it signs, and the old one after', async () => {
		const [old] = await keysOf();
		assert.equal(signer(await signed()), old.kid);
		await stack.ctl('keys', 'rotate', '--app', APP, '--use', 'license', '--after', '30', '--overlap', '60');
		const both = await until('both are published', async () => {
			const keys = await keysOf();
			return keys.length === 2 && keys;
		});
		const fresh = both.find((k) => k.kid !== old.kid);
		assert.equal(signer(await signed()), old.kid);
		const listed = await stack.ctl('keys', 'list', '--app', APP);
		assert.match(listed, new RegExp(`license +${old.kid} +signing`));
		assert.match(listed, new RegExp(`license +${fresh.kid} +waiting`));
		assert.doesNotMatch(listed, /memorygraph/);
		assert.equal(await stack.one(`SELECT round(extract(epoch FROM retired_at - now()) / 86400) FROM signing_keys WHERE kid = '${old.kid}'`), '90');
		await stack.rows(`UPDATE signing_keys SET signs_at = now() - interval '1 second' WHERE kid IN ('${old.kid}', '${fresh.kid}')`);
		await until('the new one signs', async () => signer(await signed()) === fresh.kid);
		assert.match(await stack.ctl('keys', 'list'), new RegExp(`license +${old.kid} +published`));
		assert.equal((await keysOf()).length, 2);
	});

	test('one that others have goes at once', async () => {
		const was = await keysOf();
		await stack.ctl('keys', 'rotate', '--app', APP, '--use', 'license', '--after', '0', '--overlap', '0');
		await until('the new one is there alone', async () => {
			const keys = await keysOf();
			return keys.length === 1 && !was.some((k) => k.kid === keys[0].kid);
		});
		assert.equal(signer(await signed()), (await keysOf())[0].kid);
		assert.match(await stack.ctl('keys', 'list', '--app', APP), /license +\S+ +retired/);
	});

	test('quoinctl refuses what it does not understand', async () => {
		for (const args of [['rotate'], ['list', 'x'], ['rotate', '--app', APP, '--use', 'x'], ['rotate', '--app', APP, '--after', '3'], ['rotate', '--app', APP, '--use', 'license', '--after', '-1'], ['rotate', '--app', APP, '--use', 'license', '--overlap', 'x'], ['rotate', '--app', APP, '--use', 'license', '--after', '99999'], ['rotate', '--app', 'none'], ['list', '--app', 'none']])
			await assert.rejects(stack.ctl('keys', ...args), args.join(' '));
	});
});

describe('signed replies', () => {
	test('say status, digest and date under the nonce that was sent; two verifiers agree', async () => {
		const n = nonce(), r = await signed(http, n);
		const { 'signature-input': input, signature, 'content-digest': digest, date } = r.headers;
		assert.equal(digest, `sha-256=:${createHash('sha256').update(r.bytes).digest('base64')}:`);
		const kid = signer(r), keys = await keysOf();
		const created = /^quoin=\("@status" "content-digest" "date"\);created=(\d+);keyid="[\w-]{43}";alg="ed25519";nonce="([^"]+)"$/.exec(input);
		assert.ok(created, input);
		assert.equal(created[2], n);
		assert.equal(Date.parse(date) / 1000, Number(created[1]));
		assert.ok(Math.abs(Date.now() / 1000 - created[1]) < 60);
		assert.equal(r.headers['cache-control'], 'no-store');
		const base = `"@status": 200\n"content-digest": ${digest}\n"date": ${date}\n"@signature-params": ${input.slice('quoin='.length)}`;
		const { x } = keys.find((k) => k.kid === kid);
		assert.ok(verifySignature(null, Buffer.from(base), createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' }), Buffer.from(signature.slice('quoin=:'.length, -1), 'base64')));
		assert.equal(await verifyReply(reply(r), readKeys({ keys }), { nonce: n }), 'ok');
	});

	test('are refused when anything is another', async () => {
		const n = nonce(), r = await signed(http, n), keys = readKeys({ keys: await keysOf() });
		const says = (more, want = {}, by = keys) => verifyReply(reply(r, more), by, { nonce: n, ...want });
		const headers = (change) => ({ headers: new Headers({ ...r.headers, ...change }) });
		assert.equal(await says({ body: `${r.text} ` }), 'bad-digest');
		assert.equal(await says({ status: 201 }), 'bad-signature');
		assert.equal(await says(headers({ date: 'Sat, 21 Nov 2026 00:00:00 GMT' })), 'bad-signature');
		assert.equal(await says({ body: 'x', ...headers({ 'content-digest': `sha-256=:${createHash('sha256').update('x').digest('base64')}:` }) }), 'bad-signature');
		assert.equal(await says(headers({ 'signature-input': r.headers['signature-input'].replace(n, nonce()) })), 'bad-signature');
		assert.equal(await says({}, { nonce: nonce() }), 'wrong-nonce');
		assert.equal(await says({}, { now: Date.now() / 1000 + 400 }), 'stale');
		assert.equal(await says({}, {}, readKeys({ keys: await keysOf(other) })), 'unknown-key');
		assert.equal(await verifyReply(reply(await http.get(PATH)), keys, { nonce: n }), 'unsigned');
	});

	test('are signed when asked by Accept-Signature, without a nonce; not when nobody asks; nor where nothing is said', async () => {
		const r = await http.get(PATH, { headers: { 'accept-signature': 'sig1=("@status" "content-digest")' } });
		assert.doesNotMatch(r.headers['signature-input'], /nonce/);
		assert.equal(await verifyReply(reply(r), readKeys({ keys: await keysOf() }), {}), 'ok');
		const plain = await http.get(PATH);
		for (const name of ['signature', 'signature-input', 'content-digest'])
			assert.equal(plain.headers[name], undefined);
		const unchanged = await http.get(PATH, { headers: { 'quoin-nonce': nonce(), 'if-none-match': plain.headers.etag } });
		assert.deepEqual([unchanged.status, unchanged.headers.signature], [304, undefined]);
		assert.equal((await http.get('/.well-known/jwks.json', { headers: { 'quoin-nonce': nonce() } })).headers.signature, undefined);
	});

	test('a nonce that is none is refused', async () => {
		for (const n of ['short', 'x'.repeat(129), 'with space', 'quo"te-quote', 'b,c,d,e,f,g'])
			problem(await signed(http, n), 'bad-request');
		assert.equal((await signed(http, 'x'.repeat(128))).status, 200);
	});
});
