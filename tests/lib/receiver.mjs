// Whoever receives webhooks: a server on the loopback that keeps what it was told and answers as a test wants.
// Signatures are checked by the library that Standard Webhooks publishes.
import http from 'node:http';

import { Webhook } from 'standardwebhooks';

import { until } from './wait.mjs';

export class Receiver {
	/** {id, at, path, headers, body, json} of each call, in order. */
	calls = [];
	connections = 0;
	#open = new Set();

	/** `answer(call, res)` may write to `res`, or return a status or [status, headers, text]; 204 otherwise. */
	static async start(answer, port = 0) {
		const r = new Receiver();
		r.answer = answer;
		await r.up(port);
		return r;
	}

	get url() {
		return `http://127.0.0.1:${this.port}/hooks`;
	}

	async up(port = this.port) {
		this.server = http.createServer((req, res) => this.#take(req, res));
		this.server.on('connection', (c) => {
			this.connections++;
			this.#open.add(c);
			c.on('close', () => this.#open.delete(c));
		});
		await new Promise((resolve, reject) => this.server.once('error', reject).listen(port, '127.0.0.1', resolve));
		this.port = this.server.address().port;
	}

	/** Nothing listens there afterwards; up() takes the same port again. */
	async down() {
		for (const c of this.#open)
			c.destroy();
		await new Promise((resolve) => this.server.close(resolve));
	}

	async #take(req, res) {
		const blocks = [];
		for await (const b of req)
			blocks.push(b);
		const body = Buffer.concat(blocks).toString('utf8');
		const call = { id: req.headers['webhook-id'], at: Date.now(), method: req.method, path: req.url, headers: req.headers, body, json: JSON.parse(body) };
		this.calls.push(call);
		const said = await this.answer?.(call, res);
		if (res.writableEnded || res.headersSent || said === null)
			return;
		const [status, headers, text] = [said ?? 204].flat();
		res.writeHead(status, headers).end(text);
	}

	/** Calls of a type (any), once there are `n`. */
	heard(n = 1, type = undefined, options = {}) {
		const those = () => this.calls.filter((c) => !type || c.json.type === type);
		return until(`${n} calls${type ? ` of ${type}` : ''}`, () => those().length >= n && those(), options);
	}
}

/** The payload of a call, if it is signed with `secret`; throws otherwise. */
export const verified = (call, secret) => new Webhook(secret).verify(call.body, call.headers);
