// quoin-saml, asked on its socket as Quoin asks it (CONTRACT D6, E52; SECURITY T5, T24, T32): it says who somebody is for
// a response that is right in every respect, and for no other.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { describe, test } from 'node:test';
import { inflateRawSync } from 'node:zlib';

import { Idp, askSaml, instant, serviceProvider, wrapped } from '../lib/saml.mjs';
import { Stack } from '../lib/stack.mjs';
import { until } from '../lib/wait.mjs';

const socket = path.join(process.env.TEST_RUN ?? '', 'saml.sock');
const skip = existsSync(socket) ? false : 'quoin-saml was not built: lasso is missing';

const idp = new Idp();
const other = new Idp('https://other.example.test/metadata');
const sp = 'https://quoin.example.test/api/v1/auth/saml/metadata';
const acs = 'https://quoin.example.test/auth/saml/callback';
const ask = (more) => askSaml(socket, { sp: serviceProvider(sp, acs), idp: idp.metadata, ...more });
const base = { requestId: '_request-1', acs, sp, nameId: 'ann@a.example', attributes: { email: 'ann@a.example', firstName: 'Ann', lastName: 'Ö & <Co>' } };
const respond = (xml, more = {}) => ask({ verb: 'response', request_id: base.requestId, response: Buffer.from(xml).toString('base64'), ...more });

async function refused(xml, reason, more) {
	assert.deepEqual(await respond(xml, more), { reason, ok: false });
}

describe('quoin-saml', { skip }, () => {
	test('asks the identity provider for somebody', async () => {
		const { ok, url, id } = await ask({ verb: 'authn-request', relay_state: 'a&b=c' });
		assert.equal(ok, true);
		const at = new URL(url);
		assert.equal(at.origin + at.pathname, 'https://idp.example.test/sso');
		assert.equal(at.searchParams.get('tenant'), '1');
		assert.equal(at.searchParams.get('RelayState'), 'a&b=c');
		const xml = inflateRawSync(Buffer.from(at.searchParams.get('SAMLRequest'), 'base64')).toString();
		assert.match(xml, /^<samlp:AuthnRequest /);
		assert.ok(xml.includes(`ID="${id}"`) && id.length >= 33, id);
		assert.ok(xml.includes('Destination="https://idp.example.test/sso?tenant=1"'), xml);
		assert.ok(xml.includes(`>${sp}</saml:Issuer>`), xml);
		const again = await ask({ verb: 'authn-request', relay_state: 'x' });
		assert.notEqual(again.id, id);
	});

	test('knows Quoin by the metadata that it serves', async () => {
		const stack = Stack.attach();
		const http = stack.http('cue');
		const { text } = await http.get('/api/v1/auth/saml/metadata', { token: null });
		http.close();
		const { ok, url } = await ask({ verb: 'authn-request', relay_state: 'x', sp: text });
		assert.equal(ok, true);
		const xml = inflateRawSync(Buffer.from(new URL(url).searchParams.get('SAMLRequest'), 'base64')).toString();
		assert.ok(xml.includes(`>http://cue.localhost:${stack.port}/api/v1/auth/saml/metadata</saml:Issuer>`), xml);
	});

	for (const [name, xml] of [
		['a signed assertion', () => idp.answer({ ...base, assertionId: '_a1' })],
		['a signed response', () => idp.answerSigned({ ...base, assertionId: '_a1' })],
		['both signed', () => idp.signed(idp.response(idp.signed(idp.assertion({ ...base, assertionId: '_a1' })), base))],
		['RSA with SHA-512', () => idp.answer({ ...base, assertionId: '_a1' }, { hash: 'sha512' })],
		['an XML declaration', () => `<?xml version="1.0" encoding="UTF-8"?>\n${idp.answer({ ...base, assertionId: '_a1' })}`],
		['a clock that is 50 s off', () => idp.answer({ ...base, assertionId: '_a1', notBefore: instant(50) })],
	])
		test(`believes ${name}`, async () => {
			const { expires, ...who } = await respond(xml());
			assert.deepEqual(who, { ok: true, issuer: idp.entity, name_id: 'ann@a.example', assertion_id: '_a1', session_index: 'session-1', email: 'ann@a.example', first_name: 'Ann', last_name: 'Ö & <Co>' });
			assert.ok(Math.abs(expires - Date.now() / 1000 - 360) < 30, String(expires));
		});

	test('takes the name for the address only if it says that it is one', async () => {
		const format = 'urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress';
		assert.equal((await respond(idp.answer({ ...base, attributes: {} }))).email, undefined);
		assert.equal((await respond(idp.answer({ ...base, attributes: {}, format }))).email, 'ann@a.example');
	});

	const evil = { nameId: 'boss@a.example' };
	const strip = (xml) => xml.replace(/<ds:Signature .*<\/ds:Signature>/, '');
	for (const [name, xml, reason] of [
		['unsigned', () => idp.response(idp.assertion(base), base), 'unsigned'],
		['its signature stripped', () => strip(idp.answer(base)), 'unsigned'],
		['an empty signature', () => idp.response(Idp.withSignature(idp.assertion(base), '<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"></ds:Signature>'), base), 'structure'],
		['signed by another key', () => idp.answer(base, { by: other }), 'signature'],
		['the whole signed by another key', () => idp.answerSigned(base, { by: other }), 'signature'],
		['of another identity provider', () => other.answer(base), 'issuer'],
		['changed after it was signed', () => idp.answer(base).replaceAll('ann@a.example', 'boss@a.example'), 'signature'],
		['changed around a signed assertion whose response was signed too', () => idp.signed(idp.response(idp.signed(idp.assertion(base)), base)).replace(/IssueInstant="20\d\d/, 'IssueInstant="2001'), 'signature'],
		['an assertion signed by another key in a response that is signed', () => idp.signed(idp.response(idp.signed(idp.assertion(base), { by: other }), base)), 'signature'],
		['a response signed by another key around an assertion that is signed', () => idp.signed(idp.response(idp.signed(idp.assertion(base)), base), { by: other }), 'signature'],
		['signed with SHA-1', () => idp.answer(base, { hash: 'sha1' }), 'algorithm'],
		['a reference to the whole document', () => idp.answerSigned(base, { uri: '' }), 'structure'],
		['a transform that chooses', () => idp.answer(base, { transforms: ['http://www.w3.org/TR/1999/REC-xpath-19991116'] }), 'algorithm'],
		['canonical with comments', () => idp.answer(base, { transforms: ['http://www.w3.org/2001/10/xml-exc-c14n#WithComments'] }), 'algorithm'],
		['for another audience', () => idp.answer({ ...base, audience: 'https://elsewhere.example' }), 'audience'],
		['for no audience', () => idp.answer({ ...base, audience: null }), 'audience'],
		['for another recipient', () => idp.answer({ ...base, recipient: 'https://elsewhere.example/acs' }), 'recipient'],
		['for another destination', () => idp.answer({ ...base, destination: 'https://elsewhere.example/acs' }), 'destination'],
		['an answer to another request', () => idp.answer({ ...base, inResponseTo: '_request-2' }), 'in-response-to'],
		['a response to another request', () => idp.answer({ ...base, responseTo: '_request-2' }), 'in-response-to'],
		['expired', () => idp.answer({ ...base, notOnOrAfter: instant(-61) }), 'expired'],
		['under conditions that have ended', () => idp.answer({ ...base, conditionsUntil: instant(-61) }), 'expired'],
		['not yet valid', () => idp.answer({ ...base, notBefore: instant(90) }), 'early'],
		['a time that is none', () => idp.answer({ ...base, notOnOrAfter: '2099-13-01T00:00:00Z' }), 'confirmation'],
		['a time of another zone', () => idp.answer({ ...base, conditionsUntil: '2099-01-01T00:00:00+02:00' }), 'malformed'],
		['by another issuer', () => idp.answer({ ...base, assertionIssuer: 'https://evil.example' }), 'issuer'],
		['a response of another issuer', () => idp.answer({ ...base, issuer: 'https://evil.example' }), 'issuer'],
		['not a bearer\'s', () => idp.answer({ ...base, confirmation: 'urn:oasis:names:tc:SAML:2.0:cm:holder-of-key' }), 'confirmation'],
		['a name for this time only', () => idp.answer({ ...base, format: 'urn:oasis:names:tc:SAML:2.0:nameid-format:transient' }), 'name-id'],
		['a name of elements', () => idp.answer({ ...base, rawNameId: 'ann@a.example<x xmlns="urn:x"></x>.evil' }), 'name-id'],
		['an empty name', () => idp.answer({ ...base, nameId: ' ' }), 'name-id'],
		['a failure', () => idp.answer({ ...base, status: 'urn:oasis:names:tc:SAML:2.0:status:Responder' }), 'status'],
		['a failure without an assertion', () => idp.signed(idp.response('', { ...base, status: 'urn:oasis:names:tc:SAML:2.0:status:Responder' })), 'status'],
		['two assertions', () => idp.response(idp.signed(idp.assertion(base)) + idp.signed(idp.assertion(base)), base), 'structure'],
		['a comment in the name', () => idp.answer({ ...base, rawNameId: 'ann@a.example.evil' }).replace('ann@a.example.evil', 'ann@a.example<!-- -->.evil'), 'markup'],
		['a DTD', () => `<!DOCTYPE r [<!ENTITY e "x">]>${idp.answer(base)}`, 'markup'],
		['a DTD behind a declaration', () => `<?xml version="1.0"?><!DOCTYPE r [<!ENTITY e SYSTEM "file:///etc/passwd">]>${idp.answer(base)}`, 'markup'],
		['an entity', () => idp.answer({ ...base, rawNameId: '&e;' }), 'malformed'],
		['CDATA in the name', () => idp.answer({ ...base, rawNameId: '<![CDATA[ann@a.example]]>' }), 'markup'],
		['a processing instruction', () => idp.answer(base).replace('<samlp:Status>', '<?x y?><samlp:Status>'), 'markup'],
		['another encoding', () => `<?xml version="1.0" encoding="UTF-7"?>${idp.answer(base)}`, 'malformed'],
		['too deep', () => idp.answer({ ...base, rawNameId: '<a>'.repeat(40) + '</a>'.repeat(40) }), 'too-deep'],
		['too many elements', () => idp.answer({ ...base, rawNameId: '<a></a>'.repeat(5000) }), 'too-large'],
		['no XML', () => 'hello', 'malformed'],
		['another root', () => idp.signed(idp.assertion(base)), 'structure'],
	])
		test(`refuses ${name}`, () => refused(xml(), reason));

	for (const variant of ['XSW1', 'XSW2', 'XSW3', 'XSW4', 'XSW5', 'XSW6', 'XSW7', 'XSW8', 'same id'])
		test(`refuses a signature that is wrapped (${variant})`, () => refused(wrapped(idp, variant, base, evil), 'structure'));

	test('refuses metadata that is none', async () => {
		for (const metadata of ['', 'x', '<a/>', idp.metadata.replace('<md:Ent', '<!DOCTYPE a><md:Ent'), idp.metadata.replace(/MII[^<]*/, 'AAAA')])
			assert.equal((await ask({ verb: 'response', request_id: base.requestId, response: Buffer.from(idp.answer(base)).toString('base64'), idp: metadata })).ok, false, metadata);
	});

	test('refuses questions that are none, and serves on', async () => {
		for (const question of [{}, { verb: 'x' }, { verb: 'response' }, [], 'x', { verb: { a: 1 } }, { verb: 'authn-request' }])
			assert.equal((await askSaml(socket, question)).ok, false);
		assert.deepEqual(await askSaml(socket, Buffer.from('\0\0\0\x01{'), { raw: true }), { reason: 'question', ok: false });
		for (const raw of ['', '\0', '\0\0\0\0', '\xff\xff\xff\xff{}', '\0\x04\0\x01{}', '\0\0\x01\0{}'])
			assert.equal(await askSaml(socket, Buffer.from(raw, 'latin1'), { raw: true }), undefined);
		assert.equal((await respond(idp.answer(base))).ok, true);
	});

	test('answers others while some say nothing, and drops those', async () => {
		const idle = await Promise.all(Array.from({ length: 4 }, () => new Promise((resolve, reject) => {
			const c = net.connect(socket, () => resolve(c));
			c.on('error', reject);
		})));
		let gone = 0;
		for (const c of idle)
			c.on('close', () => gone++).resume();
		assert.equal((await respond(idp.answer(base))).ok, true);
		await until('the silent are dropped', () => gone === 4, { within: 15_000 });
	});
});
