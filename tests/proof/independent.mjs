// A third reading of include/quoin/auth/proof.h, by node:crypto, which shares no code with the two that are shipped.
import { createDecipheriv, createHash, createPublicKey, pbkdf2Sync, verify as verifySignature } from 'node:crypto';

const LABEL = { license: 'LICENSE FILE', machine: 'MACHINE FILE', revocations: 'LICENSE REVOCATIONS' };

class No extends Error {}
const no = (code) => { throw new No(code); };

/** RFC 4648 §4 by its grammar, then by its bits. */
function decode(text) {
	const groups = text.match(/[^]{4}/g) ?? [];
	if (text.length % 4 !== 0 || groups.slice(0, -1).some((g) => !/^[A-Za-z0-9+/]{4}$/.test(g)) || (groups.length > 0 && !/^([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=|[A-Za-z0-9+/][AQgw]==)$/.test(groups.at(-1))))
		no('bad-encoding');
	return Buffer.from(text, 'base64');
}

/** JSON token by token, into Maps, so that nothing is silently put right. */
function parse(text) {
	let at = 0;
	const take = (re) => {
		re.lastIndex = at;
		const m = re.exec(text);
		if (!m)
			no('bad-json');
		at = re.lastIndex;
		return m[0];
	};
	const string = () => take(/"[\x20\x21\x23-\x5b\x5d-\x7e]*"/y).slice(1, -1);
	const member = (o) => {
		const name = string();
		if (name === '' || /\d/.test(name[0]) || o.has(name) || o.size === 64)
			no('bad-json');
		take(/:/y);
		return [name];
	};
	const value = (depth) => {
		const c = text[at];
		if ((c === '{' || c === '[') && depth > 8)
			no('bad-json');
		if (c === '{') {
			const o = new Map();
			for (at++; text[at] !== '}'; ) {
				if (o.size > 0)
					take(/,/y);
				const [name] = member(o);
				o.set(name, value(depth + 1));
			}
			at++;
			return o;
		}
		if (c === '[') {
			const list = [];
			for (at++; text[at] !== ']'; ) {
				if (list.length > 0)
					take(/,/y);
				list.push(value(depth + 1));
			}
			at++;
			return list;
		}
		if (c === '"')
			return string();
		const word = take(/null|true|false|0|-?[1-9]\d{0,15}/y);
		if (/\d/.test(word)) {
			if (BigInt(word) > 9007199254740991n || BigInt(word) < -9007199254740991n)
				no('bad-json');
			return Number(word);
		}
		return { null: null, true: true, false: false }[word];
	};
	const v = value(1);
	if (at !== text.length || !(v instanceof Map))
		no('bad-json');
	return v;
}

function body(file, kind) {
	const m = /^-----BEGIN ([A-Z ]+)-----\r?\n([^]+?)\r?\n-----END ([A-Z ]+)-----(\r?\n)?$/.exec(file);
	const found = m && m[1] === m[3] ? Object.keys(LABEL).find((k) => LABEL[k] === m[1]) : undefined;
	if (!found)
		no('bad-armor');
	if (found !== kind)
		no('wrong-kind');
	const lines = m[2].split(/\r?\n/);
	if (!lines.every((l, i) => (i < lines.length - 1 ? l.length === 64 : l.length >= 1 && l.length <= 64)))
		no('bad-encoding');
	return decode(lines.join('')).toString('latin1');
}

function decrypt(enc, kind, want) {
	const parts = /^(.*)\.(.{16})\.(.{24})$/s.exec(enc) ?? no('bad-encoding');
	const [text, iv, tag] = parts.slice(1).map(decode);
	if (iv.length !== 12 || tag.length !== 16)
		no('bad-encoding');
	if (!want.licenseKey)
		no('cannot-decrypt');
	const password = kind === 'machine' && want.machine !== undefined ? `${want.licenseKey}\n${want.machine}` : want.licenseKey;
	const d = createDecipheriv('aes-256-gcm', pbkdf2Sync(password, Buffer.concat([Buffer.from(`${kind}/`), iv]), 200_000, 32, 'sha256'), iv);
	d.setAuthTag(tag);
	try {
		return Buffer.concat([d.update(text), d.final()]).toString('latin1');
	} catch {
		return no('cannot-decrypt');
	}
}

function open(file, keys, want) {
	const { kind } = want;
	const e = parse(body(file, kind));
	const [enc, sig, alg, kid] = ['enc', 'sig', 'alg', 'kid'].map((n) => e.get(n));
	if (e.size !== 4 || [enc, sig, alg, kid].some((v) => typeof v !== 'string'))
		no('bad-json');
	if (!(alg === 'base64+ed25519' || (alg === 'aes-256-gcm+ed25519' && kind !== 'revocations')))
		no('bad-algorithm');
	if (want.encrypted && alg === 'base64+ed25519')
		no('not-encrypted');
	const jwk = keys.find((k) => k.kid === kid) ?? no('unknown-key');
	const signature = decode(sig);
	if (signature.length !== 64)
		no('bad-encoding');
	if (!verifySignature(null, Buffer.from(`${kind}/${enc}`, 'latin1'), createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: jwk.x }, format: 'jwk' }), signature))
		no('bad-signature');
	return [parse(alg === 'base64+ed25519' ? decode(enc).toString('latin1') : decrypt(enc, kind, want)), kid];
}

const whole = (v, least = 0) => Number.isSafeInteger(v) && v >= least;

function judge(p, kid, { kind, product, machine, nonce, licenseKey, now, lastSeen = 0, sequence = 0, revocations }) {
	const { version, kind: said, kid: inside, product: of, issued, expires, ...m } = Object.fromEntries(p);
	if (version !== 1)
		no('bad-version');
	if (said !== kind)
		no('wrong-kind');
	if (inside !== kid)
		no('wrong-key-id');
	if (typeof of !== 'string' || of !== product)
		no('wrong-product');
	const good = kind === 'revocations'
		? whole(m.sequence, 1) && Array.isArray(m.revoked) && m.revoked.every((x) => typeof x === 'string' && x.length === 64)
		: typeof m.license_id === 'string' && typeof m.key === 'string' && (m.license_expires === null || whole(m.license_expires));
	if (!good || !whole(issued) || !whole(expires))
		no('bad-json');
	if (kind === 'machine' && m.machine !== machine)
		no('wrong-machine');
	if (nonce !== undefined && m.nonce !== nonce)
		no('wrong-nonce');
	if (licenseKey !== undefined && m.key !== licenseKey)
		no('wrong-license');
	if (now < lastSeen - 300)
		no('clock-rolled-back');
	if (now < issued - 300)
		no('not-yet-valid');
	if (now >= expires)
		no('expired');
	if (kind === 'revocations') {
		if (m.sequence < sequence)
			no('stale-list');
		return;
	}
	if (revocations) {
		if (revocations.kind !== 'revocations')
			no('wrong-kind');
		if (revocations.product !== product)
			no('wrong-product');
		if (revocations.revoked.includes(createHash('sha256').update(m.license_id).digest('hex')))
			no('revoked');
	}
	if (m.status !== 'active')
		no('not-active');
	if (m.license_expires !== null && now >= m.license_expires)
		no('license-expired');
}

/** `keys`: public JWKs. Returns the code. */
export function independent(file, keys, want) {
	try {
		const [payload, kid] = open(file, keys, want);
		judge(payload, kid, want);
		return 'ok';
	} catch (e) {
		if (e instanceof No)
			return e.message;
		throw e;
	}
}
