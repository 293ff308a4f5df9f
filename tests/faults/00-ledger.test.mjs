// The ledger judges the faults tier, so it is judged first: a pretended server that loses, doubles,
// halves or mixes up writes must be found out, and an honest one that merely breaks must not.
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';

import { Ledger } from '../lib/ledger.mjs';
import { random } from '../lib/graphs.mjs';
import { rawMember, Reply } from '../lib/http.mjs';

const sha = (x) => createHash('sha256').update(x).digest('hex');
const problem = (status, code) => new Reply(status, { 'content-type': 'application/problem+json' }, Buffer.from(JSON.stringify({ code })));
const good = (json, text = JSON.stringify(json)) => new Reply(200, { 'content-type': 'application/json' }, Buffer.from(text));

/** Graphs in memory, with the outages of `fault` and the lies of `lie`. */
class Pretended {
	constructor({ lie, failing = 0 } = {}) {
		Object.assign(this, { lie, failing, docs: new Map(), keys: new Map(), r: random(5), n: 0 });
	}

	async request(method, target, { body, headers = {}, token }) {
		await new Promise(setImmediate);
		const fails = this.r() < this.failing;
		if (fails && this.r() < 0.5)
			throw new Error('cut before');
		const reply = this.handle(method, target, body, headers, token);
		if (fails && reply.status < 300)
			throw new Error('cut after');
		return reply;
	}

	handle(method, target, body, headers, token) {
		const id = target.split('/')[4];
		if (method === 'POST' && target.endsWith('/workspaces'))
			return good({ workspace: { id: randomUUID() } });
		this.n++;
		if (method === 'POST') {
			const key = headers['idempotency-key'];
			if (this.keys.has(key) && this.lie !== 'no keys')
				return this.keys.get(key);
			const doc = { id: randomUUID(), name: JSON.parse(body).name, workspace: JSON.parse(body).workspace_id, owner: token, versions: [rawMember(body, 'data')] };
			if (this.lie === 'halves' && this.n > 30 && this.r() < 0.2)
				doc.versions = [];
			if (!(this.lie === 'forgets' && this.n > 20 && this.r() < 0.1))
				this.docs.set(doc.id, doc);
			const reply = good({ graph: { id: doc.id, name: doc.name } });
			this.keys.set(key, reply);
			return reply;
		}
		const doc = this.docs.get(id);
		if (!doc || doc.owner !== token)
			return problem(404, 'graph-not-found');
		if (method === 'GET') {
			const shown = this.lie === 'mixes' && this.n % 40 === 0 ? [...this.docs.values()].find((d) => d.owner !== token) ?? doc : doc;
			return good(null, `{"graph":{"id":"${doc.id}","version":${doc.versions.length},"data":${shown.versions.at(-1)}}}`);
		}
		if (method === 'DELETE') {
			this.docs.delete(id);
			return good({ success: true });
		}
		if (headers['if-match'] !== `"v${doc.versions.length}"`)
			return problem(412, 'precondition-failed');
		const data = rawMember(body, 'data');
		doc.versions.push(this.lie === 'spells anew' && this.n % 25 === 0 ? JSON.stringify(JSON.parse(data)) : data);
		if (this.lie === 'loses saves' && this.n % 25 === 0)
			doc.versions[doc.versions.length - 1] = doc.versions.at(-2);
		if (this.lie === 'loses history' && this.n % 25 === 0)
			doc.versions[0] = undefined;
		return good({ graph: { id, version: doc.versions.length } });
	}

	async rows(sql) {
		const ws = /workspace_id = '([^']+)'/.exec(sql)[1];
		return [...this.docs.values()].filter((d) => d.workspace === ws).flatMap((d) => {
			const head = d.versions.length || 1;
			const top = sha(d.versions.at(-1) ?? '');
			const rows = d.versions.map((v, i) => v !== undefined && [d.id, d.name, String(head), String(i + 1), sha(v), sha(v), top]).filter(Boolean);
			return rows.length ? rows : [[d.id, d.name, String(head), undefined, undefined, undefined, top]];
		});
	}
}

async function judge(server) {
	const ledger = new Ledger({ http: server, tokens: ['a', 'b', 'c'], stack: server, rate: 100_000 });
	server.quiet = server.failing;
	server.failing = 0;
	await ledger.start();
	server.failing = server.quiet;
	await ledger.during(3000);
	await ledger.stop();
	server.failing = 0;
	return ledger.decide();
}

describe('the ledger', () => {
	test('finds nothing at an honest server', async () => {
		const r = await judge(new Pretended());
		assert.deepEqual(r.failures, []);
		assert.ok(r.acked > 300, JSON.stringify(r));
		assert.equal(r.unknown, 0);
	});

	test('finds nothing at an honest server that breaks off one request in five', async () => {
		const r = await judge(new Pretended({ failing: 0.2 }));
		assert.deepEqual(r.failures, []);
		assert.ok(r.unknown > 30, JSON.stringify(r));
	});

	for (const lie of ['forgets', 'halves', 'mixes', 'spells anew', 'loses saves', 'loses history']) {
		test(`finds out a server that ${lie}`, async () => {
			const r = await judge(new Pretended({ lie }));
			assert.ok(r.failures.length > 0);
		});
	}

	test('finds out a server that breaks off and knows no keys', async () => {
		const r = await judge(new Pretended({ lie: 'no keys', failing: 0.2 }));
		assert.ok(r.failures.length > 0);
	});
});
