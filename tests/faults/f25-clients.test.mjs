// F25, F26: clients that hang up, and clients that say nothing.
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import net from 'node:net';
import path from 'node:path';

import { fault, kinds, ms, seconds, slack, times } from '../lib/fault.mjs';
import { fcgiExchange, fcgiReply, fcgiRequest } from '../lib/fcgi.mjs';
import { ok } from '../lib/setup.mjs';
import { inParallel, until } from '../lib/wait.mjs';

const sha = (x) => createHash('sha256').update(x).digest('hex');
const LARGE = 3 << 20;

/** JSON of about `n` bytes that says nothing twice. */
function large(n) {
	let text = `{"u":"${randomUUID()}","nodes":[`;
	const node = `{"id":1,"type":"basic/watch","pos":[100.5,200],"title":"Größe ✓"},`.repeat(400);
	while (text.length < n)
		text += node;
	return `${text}{}]}`;
}

/** Sends bytes to nginx, reads up to `read` of the answer, and resets the connection. */
function reset(port, bytes, read) {
	return new Promise((resolve, reject) => {
		let n = 0;
		const s = net.connect(port, '127.0.0.1', () => s.write(bytes, () => read === 0 && s.resetAndDestroy()));
		s.setTimeout(30_000, () => s.destroy(new Error('nothing for 30 s')));
		s.on('data', (d) => {
			n += d.length;
			if (n >= read)
				s.resetAndDestroy();
		});
		s.on('error', (e) => (['EPIPE', 'ECONNRESET'].includes(e.code) ? undefined : reject(e)));
		s.on('close', () => resolve(n));
	});
}

fault('F25', 'clients that hang up during upload and download: nothing by half, no worker dies', async (b, ledger) => {
	const { copy, t, users } = b;
	const socket = path.join(copy.run, 'api.sock');
	const owner = users[0];
	const ws = await t.workspace(owner);
	const data = large(LARGE);
	const graph = await t.graph(owner, { workspace: ws, name: 'large', data });
	const deaths = await copy.metric('quoin_worker_deaths_total');
	const lost = await copy.metric('quoin_lost_replies_total');
	const at = Date.now();
	const sent = new Map(); // name → {whole, sha}
	const n = times(160, 1000);
	const counts = { 'upload to nginx': 0, 'upload to a worker': 0, 'download from nginx': 0, 'download from a worker': 0 };
	const kindsOf = Object.keys(counts);

	await inParallel(Array.from({ length: n }, (_, i) => i), 4, async (i) => {
		const kind = kindsOf[i % 4];
		counts[kind]++;
		const p = Math.random();
		if (kind.startsWith('upload')) {
			const name = `aborted ${i} ${randomUUID()}`;
			const text = large(i % 8 < 4 ? LARGE : 20_000);
			const body = Buffer.from(`{"workspace_id":"${ws.id}","name":"${name}","data":${text}}`);
			const headers = { 'idempotency-key': randomUUID() };
			const entire = kind.endsWith('nginx')
				? Buffer.concat([Buffer.from(`POST /api/v1/graphs HTTP/1.1\r\nhost: fig-nodes.localhost\r\nauthorization: Bearer ${owner.token}\r\nidempotency-key: ${headers['idempotency-key']}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`), body])
				: Buffer.concat(Object.values(fcgiRequest('POST', '/api/v1/graphs', { token: owner.token, headers, body })));
			// Anywhere; near the end; or all of it, and away before the answer.
			const k = p < 0.6 ? Math.floor(Math.random() * entire.length) : p < 0.8 ? entire.length - 1 - Math.floor(Math.random() * 20) : entire.length;
			sent.set(name, { kind, whole: k >= entire.length - 8, sha: sha(text) }); // the last record of a worker's is an empty one
			if (kind.endsWith('nginx'))
				await reset(t.stack.port, entire.subarray(0, k), 0);
			else
				await fcgiExchange(socket, entire.subarray(0, k), { most: 0 });
		} else if (kind.endsWith('nginx')) {
			const k = Math.floor(p * data.length) + 1;
			await reset(t.stack.port, `GET ${graph.path} HTTP/1.1\r\nhost: fig-nodes.localhost\r\nauthorization: Bearer ${owner.token}\r\n\r\n`, k);
		} else {
			await fcgiExchange(socket, Buffer.concat(Object.values(fcgiRequest('GET', graph.path, { token: owner.token }))), { most: Math.floor(p * data.length) + 1 });
		}
	});
	await until('every worker is at rest or at work', () => copy.board().every((w) => w.stage === 'idle' || w.since < 0.5), { within: 15_000 });

	const rows = new Map((await copy.sql(`SELECT d.name, encode(sha256(convert_to(v.data::text, 'UTF8')), 'hex') FROM documents d JOIN document_versions v ON v.document_id = d.id WHERE d.workspace_id = '${ws.id}'`)).map(([name, sum]) => [name, sum]));
	rows.delete('large');
	let there = 0;
	for (const [name, x] of sent) {
		const sum = rows.get(name);
		rows.delete(name);
		assert.ok(sum === undefined || x.whole, `${x.kind}: a part of a request had an effect`);
		assert.ok(sum === undefined || sum === x.sha, `${x.kind}: a graph is there by half`);
		there += sum !== undefined;
	}
	assert.equal(rows.size, 0);
	const read = (await owner.as.get(graph.path)).text;
	assert.ok(read.includes(data), 'the large graph is no longer what it was');
	// A worker's socket tells when somebody has gone: this must have happened, and killed nobody.
	const gone = (await copy.metric('quoin_lost_replies_total')) - lost;
	assert.ok(gone > 0, 'no worker ever spoke to nobody');
	assert.equal(await copy.metric('quoin_worker_deaths_total'), deaths, 'a worker died');
	const { bad } = ledger.since(at);
	assert.equal(bad.length, 0, kinds(bad));
	return { aborts: JSON.stringify(counts), 'wholly there': `${there} of ${[...sent.values()].filter((x) => x.whole).length} that were wholly sent`, 'replies to nobody': gone, 'workers that died': 0 };
});

fault('F26', 'silent and slow clients at a worker’s socket: freed within 5 s, the pool serves on', async (b, ledger) => {
	const { copy, users } = b;
	const socket = path.join(copy.run, 'api.sock');
	const limit = Number(copy.settings.QUOIN_READ_TIMEOUT_S ?? 5) * 1000;
	const never = `never ${randomUUID()}`;
	const whole = fcgiRequest('POST', '/api/v1/workspaces', { token: users[0].token, body: JSON.stringify({ name: never }) });
	const workers = copy.workers();
	const figures = {};

	/** Connects, sends, and sends a byte more every `drip` ms; resolves to the ms until the worker hung up. */
	const silent = (bytes, drip) => new Promise((resolve, reject) => {
		let timer, k = bytes.length;
		const rest = Buffer.concat([whole.head, whole.body]);
		const s = net.connect(socket);
		const began = Date.now();
		s.on('connect', () => {
			if (bytes.length)
				s.write(bytes);
			if (drip)
				timer = setInterval(() => s.write(rest.subarray(k, ++k)), drip);
		});
		s.on('data', () => {});
		s.on('error', () => {});
		s.on('close', () => {
			clearInterval(timer);
			resolve(Date.now() - began);
		});
		setTimeout(() => {
			clearInterval(timer);
			s.destroy();
			reject(new Error(`the worker still waits after ${4 * limit} ms`));
		}, 4 * limit).unref();
	});

	// As many as there are workers but one: nobody else notices.
	const at = Date.now();
	const cases = {
		'nothing': silent(Buffer.alloc(0)),
		'one byte': silent(whole.head.subarray(0, 1)),
		'half of the parameters': silent(whole.head.subarray(0, whole.head.length >> 1)),
	};
	assert.ok(Object.keys(cases).length < copy.wanted('api'));
	for (const [name, p] of Object.entries(cases))
		figures[name] = await p;
	await ledger.during(30);
	const meanwhile = ledger.since(at);
	assert.equal(meanwhile.failed, 0, kinds(meanwhile.bad));
	assert.ok(meanwhile.slowest < 2000 + slack(), `somebody waited ${meanwhile.slowest} ms`);

	// And those that a deadline for each read would not end.
	const more = {
		'parameters and no body': silent(whole.head),
		'half of the body': silent(Buffer.concat([whole.head, whole.body.subarray(0, whole.body.length >> 1)])),
		'a byte every 0.5 s': silent(Buffer.alloc(0), 500),
		'parameters, and a byte of the body every 0.5 s': silent(whole.head, 500),
	};
	for (const [name, p] of Object.entries(more))
		figures[name] = await p;

	// More than there are workers: everybody waits, nobody is refused.
	const crowded = Date.now();
	const crowd = await Promise.all(Array.from({ length: copy.wanted('api') + 2 }, () => silent(whole.head.subarray(0, 1))));
	await ledger.during(30);
	const seen = ledger.since(crowded);
	assert.equal(seen.failed, 0, kinds(seen.bad));
	figures[`${crowd.length} at once`] = Math.max(...crowd.slice(0, copy.wanted('api')));

	for (const [name, took] of Object.entries(figures))
		assert.ok(took <= limit + 500 + slack(), `${name}: freed after ${took} ms`);
	assert.deepEqual(copy.workers(), workers, 'a worker was replaced');
	assert.equal(await copy.value(`SELECT count(*) FROM workspaces WHERE name = '${never}'`), '0');
	ok(await users[0].as.get('/api/v1/workspaces'));
	return Object.fromEntries([...Object.entries(figures).map(([k, v]) => [k, ms(v)]), ['others waited at most', seconds(Math.max(meanwhile.slowest, seen.slowest))]]);
}, { timeout: 30_000 });
