// An identity provider that speaks SAML 2.0, honest or not. What it signs is written in canonical form (exclusive
// XML canonicalization leaves it as it is), so a digest of the text is the digest that a verifier computes.
import { execFileSync } from 'node:child_process';
import { createHash, createPrivateKey, randomBytes, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

const PROTOCOL = 'urn:oasis:names:tc:SAML:2.0:protocol';
const ASSERTION = 'urn:oasis:names:tc:SAML:2.0:assertion';
const EXC_C14N = 'http://www.w3.org/2001/10/xml-exc-c14n#';
const ENVELOPED = 'http://www.w3.org/2000/09/xmldsig#enveloped-signature';
export const ALGORITHMS = {
	sha256: { method: 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256', digest: 'http://www.w3.org/2001/04/xmlenc#sha256' },
	sha512: { method: 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha512', digest: 'http://www.w3.org/2001/04/xmlenc#sha512' },
	sha1: { method: 'http://www.w3.org/2000/09/xmldsig#rsa-sha1', digest: 'http://www.w3.org/2000/09/xmldsig#sha1' },
};

const newId = () => `_${randomBytes(16).toString('hex')}`;
export const instant = (seconds) => new Date(Date.now() + seconds * 1000).toISOString();
const escape = (s) => s.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

export class Idp {
	constructor(entity = 'https://idp.example.test/metadata') {
		this.entity = entity;
		this.sso = 'https://idp.example.test/sso?tenant=1';
		const pem = execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=idp', '-days', '2', '-keyout', '-', '-out', '-'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
		this.key = createPrivateKey(pem);
		this.certificate = pem.match(/-----BEGIN CERTIFICATE-----([^-]+)-/)[1].replace(/\s/g, '');
	}

	get metadata() {
		return `<?xml version="1.0" encoding="UTF-8"?>
<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="${this.entity}"><md:IDPSSODescriptor WantAuthnRequestsSigned="false" protocolSupportEnumeration="${PROTOCOL}"><md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>${this.certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor><md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="${escape(this.sso)}"/></md:IDPSSODescriptor></md:EntityDescriptor>`;
	}

	/** The Signature element over `xml`, whose root has this id; `by` may be the key of another. */
	signature(xml, id, { hash = 'sha256', by = this, uri = `#${id}`, transforms = [ENVELOPED, EXC_C14N] } = {}) {
		const { method, digest } = ALGORITHMS[hash];
		const value = createHash(hash).update(xml).digest('base64');
		const body = `<ds:CanonicalizationMethod Algorithm="${EXC_C14N}"></ds:CanonicalizationMethod><ds:SignatureMethod Algorithm="${method}"></ds:SignatureMethod><ds:Reference URI="${uri}"><ds:Transforms>${transforms.map((t) => `<ds:Transform Algorithm="${t}"></ds:Transform>`).join('')}</ds:Transforms><ds:DigestMethod Algorithm="${digest}"></ds:DigestMethod><ds:DigestValue>${value}</ds:DigestValue></ds:Reference>`;
		const info = `<ds:SignedInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#">${body}</ds:SignedInfo>`;
		const signed = sign(hash, Buffer.from(info), by.key).toString('base64');
		return `<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo>${body}</ds:SignedInfo><ds:SignatureValue>${signed}</ds:SignatureValue></ds:Signature>`;
	}

	/** Puts a signature behind the first Issuer, where the schema has it. */
	static withSignature(xml, signature) {
		return xml.replace('</saml:Issuer>', () => `</saml:Issuer>${signature}`);
	}

	signed(xml, options) {
		return Idp.withSignature(xml, this.signature(xml, xml.match(/ ID="([^"]+)"/)[1], options));
	}

	assertion(o) {
		const attributes = Object.entries(o.attributes ?? {}).map(([name, value]) => `<saml:Attribute Name="${name}"><saml:AttributeValue>${escape(value)}</saml:AttributeValue></saml:Attribute>`).join('');
		return `<saml:Assertion xmlns:saml="${ASSERTION}" ID="${o.assertionId ?? newId()}" IssueInstant="${instant(0)}" Version="2.0"><saml:Issuer>${o.assertionIssuer ?? this.entity}</saml:Issuer><saml:Subject><saml:NameID Format="${o.format ?? 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent'}">${o.rawNameId ?? escape(o.nameId)}</saml:NameID><saml:SubjectConfirmation Method="${o.confirmation ?? 'urn:oasis:names:tc:SAML:2.0:cm:bearer'}"><saml:SubjectConfirmationData InResponseTo="${o.inResponseTo ?? o.requestId}" NotOnOrAfter="${o.notOnOrAfter ?? instant(300)}" Recipient="${o.recipient ?? o.acs}"></saml:SubjectConfirmationData></saml:SubjectConfirmation></saml:Subject><saml:Conditions NotBefore="${o.notBefore ?? instant(-30)}" NotOnOrAfter="${o.conditionsUntil ?? instant(300)}">${o.audience === null ? '' : `<saml:AudienceRestriction><saml:Audience>${o.audience ?? o.sp}</saml:Audience></saml:AudienceRestriction>`}</saml:Conditions><saml:AuthnStatement AuthnInstant="${instant(-5)}" SessionIndex="session-1"><saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>${attributes && `<saml:AttributeStatement>${attributes}</saml:AttributeStatement>`}</saml:Assertion>`;
	}

	response(assertion, o) {
		return `<samlp:Response xmlns:samlp="${PROTOCOL}" Destination="${o.destination ?? o.acs}" ID="${newId()}" InResponseTo="${o.responseTo ?? o.requestId}" IssueInstant="${instant(0)}" Version="2.0"><saml:Issuer xmlns:saml="${ASSERTION}">${o.issuer ?? this.entity}</saml:Issuer><samlp:Status><samlp:StatusCode Value="${o.status ?? 'urn:oasis:names:tc:SAML:2.0:status:Success'}"></samlp:StatusCode></samlp:Status>${assertion}</samlp:Response>`;
	}

	/** A response whose assertion is signed. */
	answer(o, options) {
		return this.response(this.signed(this.assertion(o), options), o);
	}

	/** A response that is signed as a whole. */
	answerSigned(o, options) {
		return this.signed(this.response(this.assertion(o), o), options);
	}
}

/** The text as few write it who sign what a library canonicalizes for them: between elements in lines of its own. */
const loose = (xml) => xml.replaceAll('><', '>\n\t<').replace(/ (Version|Method|Recipient|NotBefore|Destination)="([^"]+)"/g, "\n\t$1='$2'");

/** The provider, but xmlsec1 canonicalizes and signs: nothing of how this file does it is in its answers. */
export function byXmlsec(idp) {
	const { method, digest } = ALGORITHMS.sha256;
	const template = (id) => `<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="${EXC_C14N}"/><ds:SignatureMethod Algorithm="${method}"/><ds:Reference URI="#${id}"><ds:Transforms><ds:Transform Algorithm="${ENVELOPED}"/><ds:Transform Algorithm="${EXC_C14N}"/></ds:Transforms><ds:DigestMethod Algorithm="${digest}"/><ds:DigestValue/></ds:Reference></ds:SignedInfo><ds:SignatureValue/><ds:KeyInfo><ds:X509Data/></ds:KeyInfo></ds:Signature>`;
	function signature(xml, id) {
		const dir = mkdtempSync(path.join(tmpdir(), 'saml-'));
		const file = (name, text) => {
			writeFileSync(path.join(dir, name), text);
			return path.join(dir, name);
		};
		try {
			const key = file('key.pem', idp.key.export({ type: 'pkcs8', format: 'pem' }));
			const cert = file('cert.pem', `-----BEGIN CERTIFICATE-----\n${idp.certificate.replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`);
			const signed = execFileSync('xmlsec1', ['--sign', '--privkey-pem', `${key},${cert}`, '--id-attr:ID', `${ASSERTION}:Assertion`, '--id-attr:ID', `${PROTOCOL}:Response`, file('in.xml', Idp.withSignature(xml, template(id)))], { encoding: 'utf8' });
			return signed.match(/<ds:Signature [^]*<\/ds:Signature>/)[0];
		} finally {
			rmSync(dir, { recursive: true });
		}
	}
	return Object.assign(Object.create(idp), {
		signature,
		assertion: (o) => loose(idp.assertion(o)),
		response: (assertion, o) => idp.response('#', o).replace(/[^#]+/g, loose).replace('#', () => assertion),
	});
}

/** Signature wrapping (Somorovsky et al., "On Breaking SAML", 2012): what is signed stays in the document somewhere, and another says who it is. */
export function wrapped(idp, variant, o, evil) {
	const id = newId();
	const good = idp.assertion({ ...o, assertionId: id });
	const signature = idp.signature(good, id);
	const forged = idp.assertion({ ...o, ...evil, assertionId: variant === 'same id' ? id : '_evil' });
	const whole = Idp.withSignature(good, signature);
	switch (variant) {
		case 'XSW1': { // the response is signed; the signed one goes into its signature
			const original = idp.response(idp.assertion(o), o);
			const originalId = original.match(/ ID="([^"]+)"/)[1];
			const sig = idp.signature(original, originalId);
			return Idp.withSignature(idp.response(forged, o).replace(/ ID="[^"]+"/, ' ID="_evil-response"'), sig.replace('</ds:Signature>', `<ds:Object>${original}</ds:Object></ds:Signature>`));
		}
		case 'XSW2': { // the signature is detached, the signed response stands before it
			const original = idp.response(idp.assertion(o), o);
			const originalId = original.match(/ ID="([^"]+)"/)[1];
			return Idp.withSignature(idp.response(forged, o).replace(/ ID="[^"]+"/, ' ID="_evil-response"'), original + idp.signature(original, originalId));
		}
		case 'XSW3': // the forged one comes first, beside the signed one
			return idp.response(forged + whole, o);
		case 'XSW4': // the forged one holds the signed one
			return idp.response(forged.replace('</saml:Assertion>', () => `${whole}</saml:Assertion>`), o);
		case 'XSW5': // the signature moves to the forged one, the signed one comes last
			return idp.response(Idp.withSignature(forged, signature) + good, o);
		case 'XSW6': // the signed one goes into the signature of the forged one
			return idp.response(Idp.withSignature(forged, signature.replace('</ds:SignatureValue>', () => `</ds:SignatureValue>${good}`)), o);
		case 'XSW7': // the signed one hides in the extensions
			return idp.response(`<samlp:Extensions>${whole}</samlp:Extensions>${forged}`, o);
		case 'XSW8': // the signed one hides in an object of the signature
			return idp.response(Idp.withSignature(forged, signature.replace('</ds:Signature>', () => `<ds:Object>${good}</ds:Object></ds:Signature>`)), o);
		case 'same id':
			return idp.response(forged + whole, o);
		default:
			throw new Error(`no variant ${variant}`);
	}
}

/** Asks quoin-saml. `question` is an object, or bytes that go as they are; undefined when it hangs up. */
export function askSaml(socket, question, { raw = false } = {}) {
	const body = Buffer.from(raw ? question : JSON.stringify(question));
	const head = Buffer.alloc(4);
	head.writeUInt32BE(body.length);
	return new Promise((resolve, reject) => {
		const c = net.connect(socket, () => c.end(raw ? body : Buffer.concat([head, body])));
		const got = [];
		c.setTimeout(20_000, () => c.destroy(new Error('quoin-saml does not answer')));
		c.on('data', (d) => got.push(d)).on('error', (e) => (['ECONNRESET', 'EPIPE'].includes(e.code) ? resolve(undefined) : reject(e))).on('end', () => {
			const all = Buffer.concat(got);
			resolve(all.length === 0 ? undefined : JSON.parse(all.subarray(4, 4 + all.readUInt32BE(0)).toString()));
		});
	});
}

/** The metadata of a service provider that is not ours. */
export const serviceProvider = (entity, acs) =>
	`<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="${entity}"><md:SPSSODescriptor AuthnRequestsSigned="false" WantAssertionsSigned="true" protocolSupportEnumeration="${PROTOCOL}"><md:AssertionConsumerService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="${acs}" index="0" isDefault="true"/></md:SPSSODescriptor></md:EntityDescriptor>`;
