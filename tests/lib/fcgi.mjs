// A FastCGI client that says what it is told, whole or not (FastCGI 1.0, §3): nginx's part at a worker's socket.
import net from 'node:net';

const BEGIN = 1, END = 3, PARAMS = 4, STDIN = 5, STDOUT = 6;

function record(type, content) {
	const head = Buffer.alloc(8);
	head[0] = 1;
	head[1] = type;
	head.writeUInt16BE(1, 2);
	head.writeUInt16BE(content.length, 4);
	return Buffer.concat([head, content]);
}

function stream(type, bytes) {
	const parts = [];
	for (let at = 0; at < bytes.length; at += 32_768)
		parts.push(record(type, bytes.subarray(at, at + 32_768)));
	parts.push(record(type, Buffer.alloc(0)));
	return Buffer.concat(parts);
}

function length(n) {
	if (n < 128)
		return Buffer.from([n]);
	const b = Buffer.alloc(4);
	b.writeUInt32BE((n | 0x80000000) >>> 0);
	return b;
}

/** A whole request: {head (to the end of the parameters), body (records of standard input)}. */
export function fcgiRequest(method, target, { app = 'fig-nodes', token, headers = {}, body = '' } = {}) {
	const bytes = Buffer.from(body);
	const params = {
		REQUEST_METHOD: method,
		REQUEST_URI: target,
		CONTENT_TYPE: bytes.length ? 'application/json' : '',
		CONTENT_LENGTH: bytes.length ? String(bytes.length) : '',
		REMOTE_ADDR: '127.0.0.1',
		QUOIN_APP: app,
		...(token ? { HTTP_AUTHORIZATION: `Bearer ${token}` } : {}),
	};
	for (const [k, v] of Object.entries(headers))
		params[`HTTP_${k.toUpperCase().replaceAll('-', '_')}`] = v;
	const pairs = Object.entries(params).flatMap(([k, v]) => [length(Buffer.byteLength(k)), length(Buffer.byteLength(v)), Buffer.from(k), Buffer.from(v)]);
	return {
		head: Buffer.concat([record(BEGIN, Buffer.from([0, 1, 0, 0, 0, 0, 0, 0])), stream(PARAMS, Buffer.concat(pairs))]),
		body: stream(STDIN, bytes),
	};
}

/** The standard output in the records of `bytes`, and whether the request was ended. */
export function fcgiReply(bytes) {
	const out = [];
	let ended = false;
	for (let at = 0; bytes.length - at >= 8; ) {
		const n = bytes.readUInt16BE(at + 4);
		if (bytes.length - at < 8 + n)
			break;
		if (bytes[at + 1] === STDOUT)
			out.push(bytes.subarray(at + 8, at + 8 + n));
		ended ||= bytes[at + 1] === END;
		at += 8 + n + bytes[at + 6];
	}
	return { text: Buffer.concat(out).toString('utf8'), ended };
}

/** Sends `bytes`, reads up to `most` bytes, hangs up; resolves to what was read. A peer that hangs up first is no error. */
export function fcgiExchange(socket, bytes, { most = Infinity, within = 30_000 } = {}) {
	return new Promise((resolve, reject) => {
		const chunks = [];
		let n = 0;
		const s = net.connect(socket);
		s.setTimeout(within, () => s.destroy(new Error(`no answer within ${within} ms`)));
		s.on('connect', () => s.write(bytes, () => n >= most && s.destroy()));
		s.on('data', (d) => {
			chunks.push(d);
			n += d.length;
			if (n >= most)
				s.destroy();
		});
		s.on('error', (e) => (['EPIPE', 'ECONNRESET'].includes(e.code) ? undefined : reject(e)));
		s.on('close', () => resolve(Buffer.concat(chunks)));
	});
}
