import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { rawMember } from '../lib/http.mjs';
import { ok, problem, setup } from '../lib/setup.mjs';
import { inParallel } from '../lib/wait.mjs';

let t, ann, bob, g;
const FIELDS = ['completed_at', 'error', 'graph_id', 'id', 'progress', 'results', 'started_at', 'status', 'version'];

before(async () => {
	t = await setup();
	[ann, bob] = [await t.user('ann'), await t.user('bob')];
	g = await t.graph(ann);
});
after(() => t?.stop());

const start = async (body = {}, who = ann, on = g) => ok(await who.as.post(`${on.path}/executions`, body)).execution;
const put = (x, body, who = ann) => who.as.put(`/api/v1/executions/${x.id}`, body);

describe('a run of a graph', () => {
	test('pending, running with progress, completed with results', async () => {
		let x = await start();
		assert.deepEqual(Object.keys(x).sort(), FIELDS);
		assert.deepEqual([x.graph_id, x.version, x.status, x.progress, x.completed_at, x.error, x.results], [g.id, 1, 'pending', 0, null, null, null]);
		assert.deepEqual(ok(await ann.as.get(`/api/v1/executions/${x.id}`)).execution, x);
		x = ok(await put(x, { status: 'running' })).execution;
		assert.equal(x.status, 'running');
		for (const progress of [10, 10, 60, 99])
			assert.equal(ok(await put(x, { progress })).execution.progress, progress);
		const results = '{"outputs": [ 1.0, "łódź" ], "x":-0}';
		const r = await ann.as.request('PUT', `/api/v1/executions/${x.id}`, { body: `{"status":"completed","results":${results}}` });
		x = ok(r).execution;
		assert.equal(x.status, 'completed');
		assert.ok(x.completed_at >= x.started_at);
		assert.equal(rawMember((await ann.as.get(`/api/v1/executions/${x.id}`)).text, 'execution', 'results'), results);
	});

	test('failed with an error', async () => {
		const x = await start();
		ok(await put(x, { status: 'running' }));
		const done = ok(await put(x, { status: 'failed', error: 'node 7: division by zero' })).execution;
		assert.deepEqual([done.status, done.error, done.results], ['failed', 'node 7: division by zero', null]);
		assert.ok(done.completed_at);
	});

	test('every step, allowed or not', async () => {
		const states = ['pending', 'running', 'completed', 'failed'];
		const way = { pending: [], running: ['running'], completed: ['running', 'completed'], failed: ['running', 'failed'] };
		const may = { 'pending running': 1, 'running completed': 1, 'running failed': 1 };
		const lenient = { 'pending pending': 1, 'running running': 1, 'pending failed': 1 }; // a repetition, or a run that never began
		for (const from of states)
			for (const to of states) {
				const x = await start();
				for (const s of way[from])
					ok(await put(x, { status: s }));
				const r = await put(x, { status: to });
				const step = `${from} ${to}`;
				if (may[step])
					assert.equal(r.status, 200, `${step}: ${r}`);
				else if (!(lenient[step] && r.status === 200))
					problem(r, 'execution-state');
				const now = ok(await ann.as.get(`/api/v1/executions/${x.id}`)).execution;
				assert.equal(now.status, r.status === 200 ? to : from, step);
				assert.equal(now.completed_at !== null, ['completed', 'failed'].includes(now.status), step);
			}
	});

	test('what is over stays as it is', async () => {
		const x = await start();
		ok(await put(x, { status: 'running' }));
		ok(await put(x, { status: 'completed', results: { a: 1 } }));
		const before_ = ok(await ann.as.get(`/api/v1/executions/${x.id}`)).execution;
		for (const body of [{ progress: 5 }, { results: { a: 2 } }, { error: 'late' }, { status: 'failed', error: 'late' }])
			problem(await put(x, body), 'execution-state');
		assert.deepEqual(ok(await ann.as.get(`/api/v1/executions/${x.id}`)).execution, before_);
	});

	test('two workers finish one run: one of them wins', async () => {
		for (let round = 0; round < 20; round++) {
			const x = await start();
			ok(await put(x, { status: 'running' }));
			const rs = await inParallel([0, 1, 2, 3], 4, (i) => put(x, i % 2 ? { status: 'failed', error: `by ${i}` } : { status: 'completed', results: { by: i } }));
			assert.deepEqual(rs.map((r) => r.status).sort(), [200, 409, 409, 409]);
			const winner = rs.findIndex((r) => r.status === 200);
			const now = ok(await ann.as.get(`/api/v1/executions/${x.id}`)).execution;
			assert.deepEqual(now, rs[winner].json.execution);
			assert.equal(now.results?.by ?? Number(/\d/.exec(now.error)[0]), winner);
		}
	});

	test('it keeps the version that it ran', async () => {
		const h = await t.graph(ann, { data: { v: 1 } });
		const x = await start({}, ann, h);
		ok(await ann.as.put(h.path, { data: { v: 2 } }));
		const y = await start({}, ann, h);
		assert.deepEqual([x.version, y.version], [1, 2]);
		assert.equal(ok(await ann.as.get(`/api/v1/executions/${x.id}`)).execution.version, 1);
	});

	test('bounds', async () => {
		const x = await start();
		ok(await put(x, { status: 'running' }));
		for (const body of [{ progress: -1 }, { progress: 101 }, { progress: 1.5 }, { progress: '5' }, { status: 'done' }, { status: null }, { status: 'Running' }, { error: 'x'.repeat(10001) }, { graph_id: g.id }, { user_id: bob.id }, { version: 9 }, { completed_at: null }]) {
			const r = await put(x, body);
			if (body.status === null && r.status === 200)
				continue; // null may read as absent
			problem(r, 'invalid-body');
		}
		ok(await put(x, { error: 'é'.repeat(10000), status: 'failed' }));
	});
});

describe('whose', () => {
	test('the list of a graph: newest first, pages', async () => {
		const h = await t.graph(ann);
		const made = [];
		for (let i = 0; i < 7; i++)
			made.unshift((await start({}, ann, h)).id);
		const seen = [];
		let cursor;
		do {
			const r = ok(await ann.as.get(`${h.path}/executions?limit=3${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`));
			seen.push(...r.executions.map((x) => x.id));
			cursor = r.next_cursor;
		} while (cursor);
		assert.deepEqual(seen, made);
	});

	test('nobody else reads, changes or starts one', async () => {
		const x = await start();
		problem(await bob.as.get(`/api/v1/executions/${x.id}`), 'execution-not-found');
		problem(await put(x, { status: 'running' }, bob), 'execution-not-found');
		problem(await bob.as.get(`${g.path}/executions`), 'graph-not-found');
		problem(await bob.as.post(`${g.path}/executions`, {}), 'graph-not-found');
		assert.equal(ok(await ann.as.get(`/api/v1/executions/${x.id}`)).execution.status, 'pending');
	});

	test('gone with its graph', async () => {
		const h = await t.graph(ann);
		const x = await start({}, ann, h);
		ok(await ann.as.delete(h.path));
		problem(await ann.as.get(`/api/v1/executions/${x.id}`), 'execution-not-found');
	});

	test('not there at all', async () => {
		for (const id of ['01890a5d-ac96-774b-bcce-b302099a8057', 'x', '0', `${g.id}`]) {
			problem(await ann.as.get(`/api/v1/executions/${id}`), 'execution-not-found', 'not-found');
			problem(await ann.as.put(`/api/v1/executions/${id}`, { status: 'running' }), 'execution-not-found', 'not-found');
		}
	});
});
