// One POST, sent as often as one likes, has one effect (SECURITY T39).
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { ok, problem, setup } from '../lib/setup.mjs';
import { inParallel } from '../lib/wait.mjs';

let t, ann, bob;
before(async () => {
	t = await setup();
	[ann, bob] = [await t.user('ann'), await t.user('bob')];
});
after(() => t?.stop());

const key = (k = randomUUID()) => ({ headers: { 'idempotency-key': k } });
const post = (who, target, body, k) => who.as.post(target, body, { headers: { 'idempotency-key': k } });
const count = (ws) => t.stack.one(`SELECT count(*) FROM documents WHERE workspace_id = '${ws.id}'`);

describe('Idempotency-Key', () => {
	test('the second answer is the first, to the byte, and says so', async () => {
		const ws = await t.workspace(ann);
		const k = randomUUID();
		const body = { workspace_id: ws.id, name: 'once', data: { a: 1 } };
		const first = await post(ann, '/api/v1/graphs', body, k);
		ok(first);
		assert.equal(first.headers['idempotent-replayed'], undefined);
		for (let i = 0; i < 5; i++) {
			const again = await post(ann, '/api/v1/graphs', body, k);
			assert.equal(again.text, first.text);
			assert.equal(again.status, first.status);
			assert.equal(again.headers['content-type'], first.headers['content-type']);
			assert.equal(again.headers['idempotent-replayed'], 'true');
			assert.notEqual(again.headers['x-request-id'], first.headers['x-request-id']);
		}
		assert.equal(await count(ws), '1');
	});

	test('forty at once: one effect; who came meanwhile is told to wait or gets the same answer', async () => {
		for (let round = 0; round < 10; round++) {
			const ws = await t.workspace(ann);
			const k = randomUUID();
			const rs = await inParallel(Array.from({ length: 40 }), 40, () => post(ann, '/api/v1/graphs', { workspace_id: ws.id, name: 'race', data: { round } }, k));
			const good = rs.filter((r) => r.status === 200);
			assert.ok(good.length >= 1);
			assert.equal(new Set(good.map((r) => r.text)).size, 1);
			assert.equal(good.filter((r) => !r.headers['idempotent-replayed']).length, 1);
			for (const r of rs)
				if (r.status !== 200)
					problem(r, 'request-in-progress');
			assert.equal(await count(ws), '1');
		}
	});

	test('another body, or the same in another spelling, is 422 and has no effect', async () => {
		const ws = await t.workspace(ann);
		const k = randomUUID();
		ok(await post(ann, '/api/v1/graphs', { workspace_id: ws.id, name: 'a', data: {} }, k));
		problem(await post(ann, '/api/v1/graphs', { workspace_id: ws.id, name: 'b', data: {} }, k), 'idempotency-key-reused');
		problem(await ann.as.request('POST', '/api/v1/graphs', { body: `{"workspace_id":"${ws.id}","name":"a","data":{ }}`, ...key(k) }), 'idempotency-key-reused');
		assert.equal(await count(ws), '1');
	});

	test('the query belongs to the request', async () => {
		const k = randomUUID();
		const a = ok(await ann.as.request('POST', '/api/v1/workspaces?name=one', key(k)));
		problem(await ann.as.request('POST', '/api/v1/workspaces?name=two', key(k)), 'idempotency-key-reused');
		assert.equal(ok(await ann.as.request('POST', '/api/v1/workspaces?name=one', key(k))).workspace.id, a.workspace.id);
	});

	test('a key is one user’s and one route’s', async () => {
		const k = randomUUID();
		const [a, b] = [ok(await post(ann, '/api/v1/workspaces', { name: 'same' }, k)), ok(await post(bob, '/api/v1/workspaces', { name: 'same' }, k))];
		assert.notEqual(a.workspace.id, b.workspace.id);
		ok(await post(ann, '/api/v1/graphs', { workspace_id: a.workspace.id, name: 'same', data: {} }, k));
	});

	test('a path is part of the request: one key for two graphs’ restores', async () => {
		const ws = await t.workspace(ann);
		const gs = [];
		for (let i = 0; i < 2; i++) {
			const g = await t.graph(ann, { workspace: ws });
			ok(await ann.as.put(g.path, { data: { i } }));
			gs.push(g);
		}
		const k = randomUUID();
		assert.equal(ok(await ann.as.request('POST', `${gs[0].path}/restore/1`, key(k))).new_version, 3);
		const second = await ann.as.request('POST', `${gs[1].path}/restore/1`, key(k));
		if (second.status === 200)
			assert.equal(ok(await ann.as.get(gs[1].path)).graph.version, 3, 'it answered 200 and did nothing');
		else
			problem(second, 'idempotency-key-reused');
		assert.equal(ok(await ann.as.request('POST', `${gs[0].path}/restore/1`, key(k))).new_version, 3);
		assert.equal(ok(await ann.as.get(gs[0].path)).graph.version, 3);
	});

	test('a refusal takes no key: the corrected request may use it', async () => {
		const ws = await t.workspace(ann);
		const k = randomUUID();
		problem(await post(ann, '/api/v1/graphs', { workspace_id: ws.id, name: '', data: {} }, k), 'invalid-body');
		problem(await post(ann, '/api/v1/graphs', { workspace_id: '01890a5d-ac96-774b-bcce-b302099a8057', name: 'x', data: {} }, k), 'workspace-not-found');
		const r = await post(ann, '/api/v1/graphs', { workspace_id: ws.id, name: 'right', data: {} }, k);
		assert.ok(r.status === 200 || r.code === 'idempotency-key-reused', String(r));
	});

	test('without the right to it, a stored answer is not shown', async () => {
		const g = await t.graph(ann);
		ok(await ann.as.post(`${g.path}/shares`, { email: bob.email, permission: 'write' }));
		const k = randomUUID();
		ok(await post(bob, `${g.path}/executions`, {}, k));
		const stranger = await t.user('stranger');
		problem(await post(stranger, `${g.path}/executions`, {}, k), 'graph-not-found');
		problem(await t.http.post(`${g.path}/executions`, {}, { headers: { 'idempotency-key': k } }), 'not-authenticated');
	});

	test('every POST takes one', async () => {
		const g = await t.graph(ann);
		ok(await ann.as.put(g.path, { data: { n: 2 } }));
		for (const [target, body] of [['/api/v1/workspaces', { name: 'x' }], ['/api/v1/graphs', { workspace_id: g.workspace.id, name: 'x', data: {} }], [`${g.path}/restore/1`, undefined], [`${g.path}/shares`, { email: bob.email, permission: 'read' }], [`${g.path}/executions`, {}]]) {
			const k = randomUUID();
			const a = await post(ann, target, body, k);
			ok(a);
			const b = await post(ann, target, body, k);
			assert.equal(b.text, a.text, target);
			assert.equal(b.headers['idempotent-replayed'], 'true', target);
		}
		assert.equal(ok(await ann.as.get(`${g.path}/executions`)).executions.length, 1);
		assert.equal(ok(await ann.as.get(g.path)).graph.version, 3);
	});

	test('keys that are none', async () => {
		for (const k of ['x'.repeat(300), 'é', ' ', '']) {
			const r = await ann.as.post('/api/v1/workspaces', { name: 'x' }, { headers: { 'idempotency-key': k === 'é' ? '\u00e9' : k } });
			assert.ok(r.status === 200 || r.code === 'bad-request' || r.code === 'invalid-body', String(r));
			if (k.length > 255)
				assert.notEqual(r.status, 200, 'a long key must not be cut');
		}
	});

	test('the effect and the key go together: what is stored is one transaction', async () => {
		const ws = await t.workspace(ann);
		const before_ = Number(await t.stack.one('SELECT count(*) FROM idempotency_keys'));
		const n = 30;
		await inParallel(Array.from({ length: n }), 8, (_, i) => post(ann, '/api/v1/graphs', { workspace_id: ws.id, name: `g${i}`, data: { i } }, randomUUID()).then((r) => ok(r)));
		assert.equal(await count(ws), String(n));
		assert.equal(Number(await t.stack.one('SELECT count(*) FROM idempotency_keys')) - before_, n);
	});
});
