// A loopback JWKS endpoint that can be good, slow, huge, redirecting, broken or away. It counts fetches.
import http from 'node:http';

export class JwksServer {
	fetches = 0;
	mode = { kind: 'ok' };
	#open = new Set();

	static async start(keys = [], port = 0) {
		const s = new JwksServer();
		s.keys = keys;
		await s.up(port);
		return s;
	}

	get url() {
		return `http://127.0.0.1:${this.port}/jwks.json`;
	}

	/** ok | slow | dribble | huge | endless | redirect | loop | garbage | html | status | truncated | silent | private */
	behave(kind, options = {}) {
		this.mode = { kind, ...options };
	}

	async up(port = this.port) {
		this.server = http.createServer((req, res) => this.#answer(req, res));
		this.server.on('connection', (c) => {
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

	body() {
		return JSON.stringify({ keys: this.keys });
	}

	#answer(req, res) {
		this.fetches++;
		const { kind, ...o } = this.mode;
		const json = { 'content-type': 'application/json' };
		switch (kind) {
			case 'ok':
				res.writeHead(200, json).end(this.body());
				break;
			case 'slow': { // the right answer, too late
				const t = setTimeout(() => res.writeHead(200, json).end(this.body()), o.ms ?? 30_000);
				res.on('close', () => clearTimeout(t));
				break;
			}
			case 'dribble': { // a byte at a time: each one resets a naive idle time-out
				const text = this.body();
				let i = 0;
				res.writeHead(200, { ...json, 'content-length': text.length });
				const t = setInterval(() => (i < text.length ? res.write(text[i++]) : res.end()), o.ms ?? 200);
				res.on('close', () => clearInterval(t));
				break;
			}
			case 'huge': { // right keys, then 100 MB of space
				const text = this.body();
				const total = o.bytes ?? 100 * 1024 * 1024;
				res.writeHead(200, { ...json, 'content-length': total });
				res.write(text);
				this.#fill(res, total - text.length);
				break;
			}
			case 'endless':
				res.writeHead(200, json);
				this.#fill(res, Infinity);
				break;
			case 'redirect':
				res.writeHead(302, { location: o.to }).end();
				break;
			case 'loop':
				res.writeHead(302, { location: req.url }).end();
				break;
			case 'garbage':
				res.writeHead(200, json).end(o.text ?? '{"keys":[{"kty":"RSA","kid":');
				break;
			case 'html':
				res.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Sign in to the hotel network</h1>');
				break;
			case 'status':
				res.writeHead(o.status ?? 500, json).end(o.text ?? '{"error":"no"}');
				break;
			case 'truncated': {
				const text = this.body();
				res.writeHead(200, { ...json, 'content-length': text.length + 500 });
				res.write(text);
				setImmediate(() => res.destroy());
				break;
			}
			case 'silent':
				break; // accepted, never answered
			default:
				throw new Error(`jwks-server: no behaviour ${kind}`);
		}
	}

	#fill(res, left) {
		const block = Buffer.alloc(1 << 16, 0x20);
		this.sent = 0;
		const more = () => {
			while (left > 0 && !res.destroyed) {
				const n = Math.min(left, block.length);
				left -= n;
				this.sent += n;
				if (!res.write(block.subarray(0, n)))
					return res.once('drain', more);
			}
			res.end();
		};
		more();
	}
}
