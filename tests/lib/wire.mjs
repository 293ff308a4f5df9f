// A proxy in the place of Postgres' socket that understands enough of the protocol (version 3, "Message
// Formats" of Postgres' manual) to hold, drop or cut a connection at a given statement: before it reaches
// the server, or after it was done and before its answer is heard.
import { chmodSync, renameSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';

import { until } from './wait.mjs';

/** Whole messages at the beginning of `bytes`: [{type, body, end}]; `untyped`: the first has no type. */
function messages(bytes, untyped) {
	const list = [];
	let at = 0;
	for (;;) {
		const head = untyped && at === 0 && list.length === 0 ? 0 : 1;
		if (bytes.length - at < head + 4)
			break;
		const n = bytes.readInt32BE(at + head);
		if (bytes.length - at < head + n)
			break;
		list.push({ type: head ? String.fromCharCode(bytes[at]) : '', body: bytes.subarray(at + head + 4, at + head + n), end: at + head + n });
		at += head + n;
	}
	return list;
}

const text = (body, from) => {
	const end = body.indexOf(0, from);
	return [body.toString('utf8', from, end), end + 1];
};

/** One connection of a worker's. */
class Link {
	constructor(wire, client) {
		this.wire = wire;
		this.client = client;
		this.server = net.connect(wire.real);
		this.backend = 0; // pid
		this.prepared = new Map(); // name → text
		this.batch = undefined; // texts executed since the last Sync, and what their parameters were
		this.mute = undefined; // 'cut' or 'hold': nothing of the server's reaches the worker any more
		this.begun = false;
		this.toServer = Buffer.alloc(0);
		this.toClient = Buffer.alloc(0);
		for (const [a, b] of [[client, this.server], [this.server, client]]) {
			a.on('error', () => b.destroy());
			a.on('close', () => b.destroy());
		}
		client.on('end', () => (this.gone = true));
		client.on('data', (d) => this.fromClient(d));
		this.server.on('data', (d) => this.fromServer(d));
	}

	cut() {
		this.client.destroy();
		this.server.destroy();
	}

	fromClient(data) {
		this.toServer = Buffer.concat([this.toServer, data]);
		let sent = 0;
		this.batch = { texts: [], bytes: [] }; // what waits for its Sync is read again from its beginning
		for (const m of messages(this.toServer, !this.begun)) {
			this.begun = true;
			this.read(m);
			if (!['S', 'Q', '', 'X', 'p'].includes(m.type))
				continue;
			const { batch } = this;
			this.batch = { texts: [], bytes: [] };
			this.decide(batch, Buffer.from(this.toServer.subarray(sent, m.end)));
			sent = m.end;
		}
		this.toServer = Buffer.from(this.toServer.subarray(sent));
	}

	read({ type, body }) {
		if (type === 'Q') {
			this.batch.texts.push(text(body, 0)[0]);
		} else if (type === 'P') {
			const [name, at] = text(body, 0);
			this.prepared.set(name, text(body, at)[0]);
		} else if (type === 'B') {
			const [, at] = text(body, 0);
			this.bound = text(body, at)[0];
			this.batch.bytes.push(Buffer.from(body));
		} else if (type === 'E') {
			this.batch.texts.push(this.prepared.get(this.bound) ?? '');
		}
	}

	/**
	 * The rule of the wire says what becomes of a batch: 'pass', 'drop' (it never reaches the server), 'cut'
	 * (the server does it, its answer is lost), 'hold' (the same, but nobody is told), 'race' (sent, and cut
	 * at once), or a promise of one of these.
	 */
	decide(batch, whole) {
		const verdict = batch.texts.length > 0 && this.wire.rule ? this.wire.rule(batch, this) : 'pass';
		if (typeof verdict === 'string')
			return this.act(verdict, whole);
		verdict.then((v) => this.act(v, whole));
	}

	act(verdict, whole) {
		if (this.gone || this.client.destroyed || this.server.destroyed)
			return this.cut(); // as the kernel would: what was not sent is not sent
		if (verdict === 'drop')
			return this.cut();
		if (verdict === 'cut' || verdict === 'hold')
			this.mute = verdict;
		this.server.write(whole, verdict === 'race' ? () => this.cut() : undefined);
	}

	fromServer(data) {
		this.toClient = Buffer.concat([this.toClient, data]);
		let end = 0;
		for (const m of messages(this.toClient, false)) {
			if (m.type === 'K')
				this.backend = m.body.readInt32BE(0);
			end = m.end;
			if (m.type === 'Z' && this.mute === 'hold')
				this.wire.onHeld?.(this);
			else if (m.type === 'Z' && this.mute)
				return this.cut();
		}
		this.toClient = Buffer.from(this.toClient.subarray(end));
		if (!this.mute)
			this.client.write(data);
	}
}

const SOCKET = '.s.PGSQL.5432';

export class Wire {
	constructor(place, real) {
		this.path = place;
		this.real = real;
		this.links = new Set();
		this.rule = undefined;
		this.server = net.createServer((client) => {
			const link = new Link(this, client);
			this.links.add(link);
			client.on('close', () => this.links.delete(link));
		});
	}

	async listen() {
		await new Promise((resolve, reject) => this.server.once('error', reject).listen(this.path, resolve));
		chmodSync(this.path, 0o777);
		return this;
	}

	/** Takes the place of the socket in `dir`; those who are connected already stay so. */
	static async into(dir) {
		const place = path.join(dir, SOCKET);
		const w = new Wire(place, `${place}.real`);
		renameSync(place, w.real);
		w.instead = true;
		try {
			return await w.listen();
		} catch (e) {
			renameSync(w.real, place);
			throw e;
		}
	}

	/** In a directory of its own, for those who are told of it. */
	static beside(dir, own) {
		return new Wire(path.join(own, SOCKET), path.join(dir, SOCKET)).listen();
	}

	/**
	 * Once: when the connection that has spoken of `mark` comes to a batch where `isHere(texts)`, `verdict` is what
	 * becomes of it, or it is kept ('keep': the server never hears of it, nor the worker that it did not). Resolves to the
	 * connection when that is so.
	 */
	once(mark, isHere, verdict) {
		let link, ready;
		this.onHeld = (l) => (ready = l);
		this.rule = ({ texts, bytes }, l) => {
			if (bytes.some((x) => x.includes(mark)))
				l.named = mark;
			if (l.named !== mark || link || !isHere(texts))
				return 'pass';
			link = l;
			if (verdict !== 'hold')
				ready = l;
			return verdict === 'keep' ? new Promise(() => {}) : verdict;
		};
		const done = until(`${mark} is where it is waited for`, () => ready, { within: 30_000, every: 1 });
		done.catch(() => {}); // whoever waits for it is told
		return done;
	}

	/** Gives the place back; connections through us end. */
	async out() {
		const closed = new Promise((resolve) => this.server.close(resolve)); // removes its name, so it comes first
		if (this.instead)
			renameSync(this.real, this.path);
		for (const l of this.links)
			l.cut();
		await closed;
	}
}
