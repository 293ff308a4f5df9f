// An HTTP client that keeps what it saw. Every exchange is written to a JSONL file for the contract
// check (openapi.mjs); what no client library would send goes through raw().
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import process from 'node:process';

const KEEP_PER_KIND = 300; // exchanges of one method, path shape, status and code
const FLUSH = 1 << 20;

/** Ids and numbers of a path as stars: how exchanges are told apart before a template is known. */
export function pathShape(target) {
	return target
		.split('?')[0]
		.split('/')
		.map((s) => (/^[0-9a-f-]{32,36}$/i.test(s) || /^\d+$/.test(s) ? '*' : s.length > 40 ? '…' : s))
		.join('/');
}

export class Recorder {
	#file;
	#lines = [];
	#size = 0;
	#kept = new Map();

	/** Of this process: DIR/exchanges/NAME.jsonl in the state directory of the copy under test. */
	constructor(dir = process.env.TEST_STATE && path.join(process.env.TEST_STATE, 'exchanges')) {
		if (!dir)
			return;
		mkdirSync(dir, { recursive: true });
		this.#file = path.join(dir, `${path.basename(process.argv[1] ?? 'node', '.test.mjs')}.jsonl`);
		writeFileSync(this.#file, '');
		process.on('exit', () => this.flush());
	}

	add(exchange) {
		if (!this.#file)
			return;
		const kind = `${exchange.host} ${exchange.method} ${pathShape(exchange.target)} ${exchange.status} ${exchange.code ?? ''}`;
		const n = (this.#kept.get(kind) ?? 0) + 1;
		this.#kept.set(kind, n);
		if (n > KEEP_PER_KIND)
			return;
		const line = `${JSON.stringify(exchange)}\n`;
		this.#lines.push(line);
		this.#size += line.length;
		if (this.#size > FLUSH)
			this.flush();
	}

	flush() {
		if (this.#file && this.#lines.length)
			appendFileSync(this.#file, this.#lines.join(''));
		this.#lines = [];
		this.#size = 0;
	}
}

const shared = new Recorder();

export class Reply {
	constructor(status, headers, bytes, rawHeaders = []) {
		this.status = status;
		this.headers = headers;
		this.bytes = bytes;
		this.rawHeaders = rawHeaders;
	}

	get text() {
		return this.bytes.toString('utf8');
	}

	get json() {
		return JSON.parse(this.text);
	}

	/** The `code` of a problem document, else undefined. */
	get code() {
		if (!/^application\/problem\+json/.test(this.headers['content-type'] ?? ''))
			return undefined;
		try {
			return this.json.code;
		} catch {
			return undefined;
		}
	}

	/** For assertion messages. */
	toString() {
		const shown = this.text;
		return `${this.status} ${this.headers['content-type'] ?? ''} ${shown.length > 600 ? `${shown.slice(0, 600)}…` : shown}`;
	}
}

function note(http, method, target, sent, bytes, reply) {
	http.recorder.add({
		host: http.host,
		method,
		target,
		auth: sent.authorization !== undefined,
		request_type: sent['content-type'],
		request_body: bytes && bytes.length <= 65_536 ? bytes.toString('utf8') : undefined,
		status: reply.status,
		code: reply.code,
		headers: reply.headers,
		body: reply.text,
	});
}

export class Http {
	constructor({ port, host, address = '127.0.0.1', from, token, keepAlive = true, recorder = shared, timeout = 30_000 }) {
		Object.assign(this, { port, host, address, from, token, recorder, timeout });
		this.agent = new http.Agent({ keepAlive, maxSockets: 64 });
	}

	/** The same server and recorder as another caller. */
	as(token) {
		const other = Object.create(this);
		other.token = token;
		return other;
	}

	close() {
		this.agent.destroy();
	}

	/**
	 * Resolves to a Reply, rejects when the connection broke. `json` is serialised here, `body` (string
	 * or Buffer) goes as it is; `headers` win over what is made here, and undefined removes one.
	 */
	request(method, target, { json, body, headers = {}, token = this.token, record = true, timeout = this.timeout, signal } = {}) {
		const bytes = json !== undefined ? Buffer.from(JSON.stringify(json)) : body === undefined ? undefined : Buffer.from(body);
		const sent = { host: `${this.host}:${this.port}`, accept: 'application/json' };
		if (token)
			sent.authorization = `Bearer ${token}`;
		if (bytes) {
			sent['content-type'] = 'application/json';
			sent['content-length'] = bytes.length;
		} else if (method !== 'GET' && method !== 'HEAD' && method !== 'OPTIONS') {
			sent['content-length'] = 0;
		}
		for (const [k, v] of Object.entries(headers)) {
			if (v === undefined)
				delete sent[k.toLowerCase()];
			else
				sent[k.toLowerCase()] = v;
		}
		return new Promise((resolve, reject) => {
			const req = http.request(
				{ host: this.address, localAddress: this.from, port: this.port, method, path: target, headers: sent, agent: this.agent, signal },
				(res) => {
					const chunks = [];
					res.on('data', (c) => chunks.push(c));
					res.on('error', reject);
					res.on('aborted', () => reject(new Error('reply cut short')));
					res.on('end', () => {
						if (!res.complete)
							return reject(new Error('reply cut short'));
						const reply = new Reply(res.statusCode, res.headers, Buffer.concat(chunks), res.rawHeaders);
						if (record)
							note(this, method, target, sent, bytes, reply);
						resolve(reply);
					});
				},
			);
			req.setTimeout(timeout, () => req.destroy(new Error(`no reply within ${timeout} ms`)));
			req.on('error', reject);
			req.end(bytes);
		});
	}

	get(target, options) {
		return this.request('GET', target, options);
	}
	post(target, json, options) {
		return this.request('POST', target, { json, ...options });
	}
	put(target, json, options) {
		return this.request('PUT', target, { json, ...options });
	}
	delete(target, options) {
		return this.request('DELETE', target, options);
	}
}

/**
 * Sends bytes as they are and reads until the other side closes (or `timeout` ms without a byte, after
 * which we close). Returns {replies, rest, closed}: the HTTP/1.1 replies that could be read.
 */
export function raw(port, bytes, { address = '127.0.0.1', timeout = 3000, end = false } = {}) {
	return new Promise((resolve) => {
		const chunks = [];
		let closed = false;
		const socket = net.connect({ host: address, port, allowHalfOpen: true }, () => {
			socket.write(bytes);
			if (end)
				socket.end();
		});
		socket.setTimeout(timeout, () => socket.destroy());
		socket.on('data', (c) => {
			chunks.push(c);
			const { replies, rest } = parseReplies(Buffer.concat(chunks));
			if (replies.length && !rest.length && /close/i.test(replies.at(-1).headers.connection ?? ''))
				socket.end();
		});
		socket.on('end', () => {
			closed = true;
			socket.end();
		});
		socket.on('error', () => {
			closed = true;
		});
		socket.on('close', () => resolve({ ...parseReplies(Buffer.concat(chunks)), closed }));
	});
}

function parseReplies(bytes) {
	const replies = [];
	let at = 0;
	for (;;) {
		const end = bytes.indexOf('\r\n\r\n', at);
		if (end < 0)
			break;
		const [first, ...lines] = bytes.subarray(at, end).toString('latin1').split('\r\n');
		const m = /^HTTP\/1\.[01] (\d{3})/.exec(first);
		if (!m)
			break;
		const headers = {};
		for (const l of lines) {
			const i = l.indexOf(':');
			headers[l.slice(0, i).toLowerCase()] = l.slice(i + 1).trim();
		}
		let from = end + 4;
		let body = Buffer.alloc(0);
		if (headers['transfer-encoding'] === 'chunked') {
			const parts = [];
			for (;;) {
				const nl = bytes.indexOf('\r\n', from);
				if (nl < 0)
					return { replies, rest: bytes.subarray(at) };
				const n = parseInt(bytes.subarray(from, nl).toString('latin1'), 16);
				if (bytes.length < nl + 2 + n + 2)
					return { replies, rest: bytes.subarray(at) };
				parts.push(bytes.subarray(nl + 2, nl + 2 + n));
				from = nl + 2 + n + 2;
				if (n === 0)
					break;
			}
			body = Buffer.concat(parts);
		} else if (headers['content-length'] !== undefined) {
			const n = Number(headers['content-length']);
			if (bytes.length < from + n)
				return { replies, rest: bytes.subarray(at) };
			body = bytes.subarray(from, from + n);
			from += n;
		} else if (!/^(204|304|1..)$/.test(m[1])) {
			body = bytes.subarray(from);
			from = bytes.length;
		}
		replies.push(new Reply(Number(m[1]), headers, body, lines));
		at = from;
	}
	return { replies, rest: bytes.subarray(at) };
}

/**
 * The raw bytes of a member of a JSON text, found without parsing it into values:
 * rawMember('{"graph":{"data": [1.0] }}', 'graph', 'data') is '[1.0]'.
 */
export function rawMember(text, ...names) {
	let span = [0, text.length];
	for (const name of names) {
		span = memberOf(text, span[0], name);
		if (!span)
			return undefined;
	}
	return text.slice(span[0], span[1]);
}

function space(text, i) {
	while (i < text.length && ' \t\r\n'.includes(text[i]))
		i++;
	return i;
}

function valueEnd(text, i) {
	if (text[i] === '"') {
		for (i++; text[i] !== '"'; i++)
			if (text[i] === '\\')
				i++;
		return i + 1;
	}
	if (text[i] !== '{' && text[i] !== '[') {
		while (i < text.length && !',]} \t\r\n'.includes(text[i]))
			i++;
		return i;
	}
	let depth = 0;
	do {
		if (text[i] === '"') {
			i = valueEnd(text, i);
			continue;
		}
		if (text[i] === '{' || text[i] === '[')
			depth++;
		if (text[i] === '}' || text[i] === ']')
			depth--;
		i++;
	} while (depth > 0 && i < text.length);
	return i;
}

function memberOf(text, at, name) {
	let i = space(text, at);
	if (text[i] !== '{')
		return undefined;
	i = space(text, i + 1);
	while (text[i] === '"') {
		const keyEnd = valueEnd(text, i);
		const key = JSON.parse(text.slice(i, keyEnd));
		const from = space(text, space(text, keyEnd) + 1);
		const to = valueEnd(text, from);
		if (key === name)
			return [from, to];
		i = space(text, to);
		if (text[i] !== ',')
			return undefined;
		i = space(text, i + 1);
	}
	return undefined;
}
