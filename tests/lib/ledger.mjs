// The ledger: clients that write all the time and note what was acknowledged. At the end decide() says
// whether anything was lost (SECURITY.md, first paragraph): every write answered 2xx is there, once,
// with the same bytes; every other one is wholly there or wholly absent; a POST repeated with its
// Idempotency-Key had one effect; no reply held another tenant's bytes.
//
// Every client is one user with one workspace and is the only writer of its graphs, so what a read may
// answer is known: the last acknowledged bytes, or those of a save whose outcome was never learnt.
import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';

import { rawMember } from './http.mjs';
import { random } from './graphs.mjs';

const sha = (text) => createHash('sha256').update(text).digest('hex');

/** Outcomes of one request. */
const ACKED = 'acked'; // 2xx
const REFUSED = 'refused'; // 4xx: it did not happen
const UNKNOWN = 'unknown'; // 5xx, time-out, broken connection: it may have

class Doc {
	constructor(name, key) {
		this.name = name;
		this.key = key;
		this.id = undefined; // once acknowledged
		this.version = 0; // last known
		this.sent = new Map(); // version → sha of the bytes that were acknowledged for it
		this.created = undefined; // sha of what the POST carried
		this.maybe = []; // shas of saves of unknown outcome
		this.deleted = false; // acknowledged, or 'maybe'
	}
}

class Writer {
	constructor(ledger, http, token, n) {
		Object.assign(this, { ledger, http, token, n });
		this.mark = `writer-${n}-${ledger.mark}`;
		this.r = random(ledger.seed + n);
		this.docs = [];
		this.i = 0;
	}

	/** One graph's bytes: unlike any other, and marked as this user's. */
	data() {
		this.i++;
		const pad = 'łódź '.repeat(Math.floor(this.r() * 60));
		return `{"owner":"${this.mark}", "i":${this.i}, "u":"${randomUUID()}", "f":1.50, "pad":"${pad}"}`;
	}

	async send(method, target, { body, headers } = {}) {
		const at = Date.now();
		let status = 0;
		let reply, failure;
		try {
			reply = await this.http.request(method, target, {
				token: this.token,
				body,
				headers,
				record: false,
				timeout: this.ledger.timeout,
			});
			status = reply.status;
		} catch (e) {
			failure = e.message;
		}
		const outcome = status >= 200 && status < 300 ? ACKED : status >= 400 && status < 500 ? REFUSED : UNKNOWN;
		this.ledger.note({ at, ms: Date.now() - at, writer: this.n, method, target, status, code: reply?.code, failure, outcome, retryAfter: reply?.headers['retry-after'] });
		return { outcome, reply, status };
	}

	async prepare() {
		const { outcome, reply } = await this.send('POST', '/api/v1/workspaces', { body: JSON.stringify({ name: this.mark }) });
		if (outcome !== ACKED)
			throw new Error(`ledger: workspace of writer ${this.n}: ${reply ?? 'no reply'}`);
		this.workspace = reply.json.workspace.id;
		await this.create();
	}

	async create() {
		const doc = new Doc(`doc ${this.n}.${this.docs.length} ${this.ledger.mark}`, randomUUID());
		const bytes = this.data();
		doc.body = `{"workspace_id":"${this.workspace}","name":${JSON.stringify(doc.name)},"data":${bytes}}`;
		doc.created = sha(bytes);
		this.docs.push(doc);
		await this.repeat(doc, 1);
		return doc;
	}

	/** The POST, again with its key while the outcome is unknown, `tries` times. */
	async repeat(doc, tries) {
		for (let i = 0; i < tries && doc.id === undefined; i++) {
			const { outcome, reply, status } = await this.send('POST', '/api/v1/graphs', { body: doc.body, headers: { 'idempotency-key': doc.key } });
			if (outcome === ACKED) {
				doc.id = reply.json.graph.id;
				doc.version = 1;
				doc.sent.set(1, doc.created);
			} else if (outcome === REFUSED && status !== 409) {
				this.ledger.fail(`a create was refused: ${reply}`);
				return;
			}
		}
	}

	async save(doc) {
		const bytes = this.data();
		const base = doc.version;
		const { outcome, reply, status } = await this.send('PUT', `/api/v1/graphs/${doc.id}`, {
			body: `{"data":${bytes},"commit_message":"save ${this.i}"}`,
			headers: { 'if-match': `"v${base}"` },
		});
		if (outcome === ACKED) {
			const { version } = reply.json.graph;
			if (version !== base + 1)
				this.ledger.fail(`${doc.name}: a save over v${base} made v${version}`);
			doc.version = version;
			doc.sent.set(version, sha(bytes));
		} else if (outcome === UNKNOWN) {
			doc.maybe.push(sha(bytes));
			await this.settle(doc);
		} else if (status === 412) {
			await this.settle(doc); // a save of unknown outcome did happen, later than we looked
		} else {
			this.ledger.fail(`${doc.name}: a save was refused: ${reply}`);
		}
	}

	/** Reads the graph: it must be what was acknowledged last, or one of the maybes above that. */
	async settle(doc) {
		const { outcome, reply, status } = await this.send('GET', `/api/v1/graphs/${doc.id}`);
		if (outcome === UNKNOWN)
			return;
		if (status === 404 && doc.deleted)
			return;
		if (outcome === REFUSED) {
			this.ledger.fail(`${doc.name}: an acknowledged graph cannot be read: ${reply}`);
			return;
		}
		const text = reply.text;
		if (!text.includes(this.mark))
			this.ledger.fail(`${doc.name}: a reply without this user's bytes: ${text.slice(0, 300)}`);
		for (const m of text.matchAll(/writer-\d+-[0-9a-f-]+/g))
			if (m[0] !== this.mark)
				this.ledger.fail(`${doc.name}: a reply with ${m[0]}'s bytes`);
		let version, hash;
		try {
			version = reply.json.graph.version;
			hash = sha(rawMember(text, 'graph', 'data'));
		} catch (e) {
			this.ledger.fail(`${doc.name}: a reply that is none (${e.message}): ${text.slice(0, 300)}`);
			return;
		}
		if (version < doc.version) {
			this.ledger.fail(`${doc.name}: v${version} was read after v${doc.version} had been acknowledged`);
		} else if (version === doc.version) {
			if (doc.sent.get(version) !== hash)
				this.ledger.fail(`${doc.name}: v${version} was read with other bytes than acknowledged`);
		} else if (doc.maybe.includes(hash)) {
			doc.maybe.splice(doc.maybe.indexOf(hash), 1);
			doc.version = version;
			doc.sent.set(version, hash);
		} else {
			this.ledger.fail(`${doc.name}: v${version} was read, of bytes never sent over v${doc.version}`);
		}
	}

	async remove(doc) {
		const { outcome, reply } = await this.send('DELETE', `/api/v1/graphs/${doc.id}`);
		if (outcome === ACKED)
			doc.deleted = true;
		else if (outcome === UNKNOWN)
			doc.deleted = 'maybe';
		else
			this.ledger.fail(`${doc.name}: a delete was refused: ${reply}`);
	}

	live() {
		return this.docs.filter((d) => d.id !== undefined && d.deleted === false);
	}

	async step() {
		const p = this.r();
		const live = this.live();
		const doc = live[Math.floor(this.r() * live.length)];
		const open = this.docs.find((d) => d.id === undefined);
		if (open && p < 0.3)
			return this.repeat(open, 1);
		if (!doc || p < 0.04)
			return void (await this.create());
		if (p < 0.05 && live.length > 3)
			return this.remove(doc);
		if (p < 0.2)
			return this.save(doc);
		return this.settle(doc);
	}
}

export class Ledger {
	/** `http`: an Http; `tokens`: one bearer token per writer; `rate`: requests a second of one writer. */
	constructor({ http, tokens, stack, seed = 1, rate = 25, timeout = 15_000 }) {
		Object.assign(this, { http, stack, seed, rate, timeout });
		this.mark = randomUUID().slice(0, 13);
		this.writers = tokens.map((t, n) => new Writer(this, http, t, n));
		this.notes = [];
		this.failures = [];
		this.running = false;
	}

	note(n) {
		this.notes.push(n);
	}

	fail(what) {
		if (this.failures.length < 50)
			this.failures.push(what);
	}

	async start() {
		await Promise.all(this.writers.map((w) => w.prepare()));
		this.running = true;
		this.loops = this.writers.map(async (w) => {
			let due = Date.now();
			while (this.running) {
				await w.step();
				due = Math.max(due + 1000 / this.rate, Date.now() - 1000); // the pace, caught up after a stall
				if (due > Date.now())
					await pause(due - Date.now());
			}
		});
		return this;
	}

	async stop() {
		this.running = false;
		await Promise.all(this.loops);
	}

	/** Runs until `n` more requests were answered well. */
	async during(n = 50, within = 30_000) {
		const from = this.notes.length;
		const end = Date.now() + within;
		while (this.notes.slice(from).filter((x) => x.outcome !== UNKNOWN).length < n) {
			if (Date.now() > end)
				throw new Error(`ledger: fewer than ${n} good answers within ${within} ms`);
			await pause(10);
		}
	}

	/** What happened since `from` (ms): {requests, lost, statuses, slowest, until} of requests begun then. */
	since(from, to = Infinity) {
		const some = this.notes.filter((n) => n.at >= from && n.at < to);
		const bad = some.filter((n) => n.outcome === UNKNOWN);
		const statuses = {};
		for (const n of some)
			statuses[n.status || n.failure] = (statuses[n.status || n.failure] ?? 0) + 1;
		return {
			requests: some.length,
			failed: bad.length,
			bad,
			statuses,
			slowest: Math.max(0, ...some.map((n) => n.ms)),
			failedUntil: bad.length ? Math.max(...bad.map((n) => n.at + n.ms)) - from : 0, // ms after `from`
			median: some.map((n) => n.ms).sort((a, b) => a - b)[Math.floor(some.length / 2)],
		};
	}

	/**
	 * After the faults: every POST of unknown outcome is repeated with its key, then all is compared with
	 * the tables and with what the API answers. Returns {acked, unknown, checked, failures}.
	 */
	async decide() {
		let acked = 0, unknown = 0, checked = 0;
		for (const n of this.notes) {
			if (n.method !== 'GET')
				n.outcome === ACKED ? acked++ : n.outcome === UNKNOWN && unknown++;
		}
		for (const w of this.writers) {
			const open = w.docs.filter((d) => d.id === undefined);
			for (const [i, d] of open.entries())
				if (i % 2 === 0) // the others stay unknown: whole or absent
					await w.repeat(d, 200);
			for (const d of open.filter((d, i) => i % 2 === 0 && d.id === undefined))
				this.fail(`${d.name}: its POST never succeeded again with its Idempotency-Key`);
		}
		for (const w of this.writers) {
			const rows = await this.stack.rows(
				`SELECT d.id, d.name, d.version, v.version, encode(sha256(convert_to(v.data::text, 'UTF8')), 'hex'), encode(v.sha256, 'hex'), encode(d.sha256, 'hex')
				   FROM documents d LEFT JOIN document_versions v ON v.document_id = d.id WHERE d.workspace_id = '${w.workspace}'`,
			);
			const byName = new Map();
			for (const [id, name, head, version, hash, stored, headHash] of rows) {
				const d = byName.get(name) ?? { ids: new Set(), versions: new Map(), head: Number(head), headHash };
				d.ids.add(id);
				d.versions.set(Number(version), hash);
				if (hash !== stored)
					this.fail(`${name} v${version}: the stored sum is not that of the bytes`);
				byName.set(name, d);
			}
			for (const doc of w.docs) {
				checked++;
				const row = byName.get(doc.name);
				byName.delete(doc.name);
				if (row && row.ids.size > 1)
					this.fail(`${doc.name} is there ${row.ids.size} times`);
				if (doc.id === undefined) {
					if (row && (row.versions.size !== 1 || row.versions.get(1) !== doc.created))
						this.fail(`${doc.name}: unacknowledged, and half there`);
					continue;
				}
				if (doc.deleted === true) {
					if (row)
						this.fail(`${doc.name}: deleted, and there`);
					continue;
				}
				if (!row) {
					if (doc.deleted === false)
						this.fail(`${doc.name}: acknowledged, and gone`);
					continue;
				}
				if (!row.ids.has(doc.id))
					this.fail(`${doc.name}: another id than acknowledged`);
				if (row.versions.get(row.head) !== row.headHash)
					this.fail(`${doc.name}: the head is not its version ${row.head}`);
				for (let v = 1; v <= row.head; v++)
					if (!row.versions.has(v))
						this.fail(`${doc.name}: v${v} is missing below v${row.head}`);
				if (row.versions.size !== row.head)
					this.fail(`${doc.name}: ${row.versions.size} versions under v${row.head}`);
				for (const [v, hash] of doc.sent)
					if (row.versions.get(v) !== hash)
						this.fail(`${doc.name} v${v}: acknowledged bytes are not there`);
				const known = new Set([...doc.sent.values(), ...doc.maybe]);
				for (const [v, hash] of row.versions)
					if (!known.has(hash))
						this.fail(`${doc.name} v${v}: bytes that were never sent`);
				if (new Set(row.versions.values()).size !== row.versions.size)
					this.fail(`${doc.name}: one save is there twice`);
				await w.settle(doc);
			}
			for (const name of byName.keys())
				this.fail(`${name}: never created by this writer`);
		}
		return { acked, unknown, checked, failures: this.failures };
	}
}
