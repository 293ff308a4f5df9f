// An authenticator in software: what a browser and its passkey would do with the options of a route, so that
// all that a real one never does can be done too. ES256, attestation "none".
import { createHash, randomBytes, sign } from 'node:crypto';

import { newKey } from './forge.mjs';

const b64 = (bytes) => Buffer.from(bytes).toString('base64url');
const sha256 = (bytes) => createHash('sha256').update(bytes).digest();

const head = (major, n) => (n < 24 ? Buffer.from([(major << 5) | n]) : n < 256 ? Buffer.from([(major << 5) | 24, n]) : Buffer.from([(major << 5) | 25, n >> 8, n & 255]));
/** CBOR of integers, texts, bytes and Maps. */
function cbor(v) {
	if (typeof v === 'number')
		return v >= 0 ? head(0, v) : head(1, -1 - v);
	if (typeof v === 'string')
		return Buffer.concat([head(3, Buffer.byteLength(v)), Buffer.from(v)]);
	if (v instanceof Map)
		return Buffer.concat([head(5, v.size), ...[...v].flatMap(([k, x]) => [cbor(k), cbor(x)])]);
	return Buffer.concat([head(2, v.length), v]);
}

const FLAGS = { present: 1, verified: 4, attested: 64 };

export class Passkey {
	constructor(origin) {
		this.origin = origin;
		this.id = randomBytes(32);
		this.count = 0;
		this.counts = true;
		Object.assign(this, newKey('ES256'));
	}

	#clientData(type, challenge, { origin = this.origin, ...more } = {}) {
		return Buffer.from(JSON.stringify({ type, challenge, origin, crossOrigin: false, ...more }));
	}

	#authData(rpId, { verified = true } = {}, attested = Buffer.alloc(0)) {
		this.count += this.counts ? 1 : 0;
		const flags = FLAGS.present | (verified ? FLAGS.verified : 0) | (attested.length ? FLAGS.attested : 0);
		const count = Buffer.alloc(4);
		count.writeUInt32BE(this.count);
		return Buffer.concat([sha256(rpId), Buffer.from([flags]), count, attested]);
	}

	/** RegistrationResponseJSON. `how` departs from what is asked: {origin, verified, rpId, challenge}. */
	create(options, how = {}) {
		this.userHandle = options.user.id;
		this.rpId = how.rpId ?? options.rp.id;
		const key = cbor(new Map([[1, 2], [3, -7], [-1, 1], [-2, Buffer.from(this.jwk.x, 'base64url')], [-3, Buffer.from(this.jwk.y, 'base64url')]]));
		const attested = Buffer.concat([Buffer.alloc(16), Buffer.from([this.id.length >> 8, this.id.length & 255]), this.id, key]);
		const authData = this.#authData(this.rpId, how, attested);
		return {
			id: b64(this.id),
			rawId: b64(this.id),
			type: 'public-key',
			clientExtensionResults: {},
			response: {
				clientDataJSON: b64(this.#clientData('webauthn.create', how.challenge ?? options.challenge, how.origin ? { origin: how.origin } : {})),
				attestationObject: b64(cbor(new Map([['fmt', 'none'], ['attStmt', new Map()], ['authData', authData]]))),
				transports: ['internal'],
			},
		};
	}

	/** AuthenticationResponseJSON. `how` as above, and {userHandle, damage}. */
	get(options, how = {}) {
		const clientData = this.#clientData('webauthn.get', how.challenge ?? options.challenge, how.origin ? { origin: how.origin } : {});
		const authData = this.#authData(how.rpId ?? options.rpId, how);
		const signature = sign('sha256', Buffer.concat([authData, sha256(clientData)]), this.privateKey);
		if (how.damage)
			signature[signature.length - 1] ^= 1;
		return {
			id: b64(this.id),
			rawId: b64(this.id),
			type: 'public-key',
			clientExtensionResults: {},
			response: {
				clientDataJSON: b64(clientData),
				authenticatorData: b64(authData),
				signature: b64(signature),
				userHandle: how.userHandle ?? this.userHandle,
			},
		};
	}
}
