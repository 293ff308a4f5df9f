import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { Copy } from '../lib/copy.mjs';
import { rawMember } from '../lib/http.mjs';
import { ok, problem, setup } from '../lib/setup.mjs';
import { inParallel, until } from '../lib/wait.mjs';

let t, ann, bob, ws;

before(async () => {
	t = await setup();
	ann = await t.user('ann');
	bob = await t.user('bob');
	ws = await t.workspace(ann);
});
after(() => t?.stop());

const graph = (more) => t.graph(ann, { workspace: ws, ...more });
const putRaw = (g, body, headers) => ann.as.request('PUT', g.path, { body, headers });

// Each is as legal as JSON.stringify's own, and comes back as it was sent.
const spellings = {
	'spaces and newlines': '{ "a" :\t1 ,\r\n "b":[ ] }',
	'numbers as written': '{"a":1.0,"b":1e2,"c":-0,"d":1E+2,"e":0.10,"f":12345678901234567890123,"g":1e-400,"h":-0.0e-0}',
	'escapes as written': '{"\\u0061":"\\u00e9\\/\\u2028\\ud83d\\ude00","\\"":"\\b\\f\\n\\r\\t\\\\"}',
	'order of members': '{"z":1,"a":2,"10":3,"9":4}',
	'members like ours': '{"id":"x","graph":{"data":{"graph":1}},"data":2,"error":"no"}',
	'raw unicode': '{"é":"\u2028\u2029\u0085\ufeff\uffff🏳️‍🌈"}',
	'DEL and quotes of others': '{"a":"\u007f\'`"}',
	empty: '{}',
};

describe('data comes back as the bytes that were sent', () => {
	for (const [name, text] of Object.entries(spellings)) {
		test(name, async () => {
			const g = await graph({ data: text });
			let r = await ann.as.get(g.path);
			assert.equal(rawMember(r.text, 'graph', 'data'), text);
			const second = `{"then":${text}}`;
			assert.equal(ok(await putRaw(g, `{"data":${second}}`)).graph.version, 2);
			r = await ann.as.get(g.path);
			assert.equal(rawMember(r.text, 'graph', 'data'), second);
			r = await ann.as.get(`${g.path}/versions/1`);
			assert.equal(rawMember(r.text, 'version', 'data'), text);
			assert.equal(r.json.version.size, Buffer.byteLength(text));
			assert.equal(r.json.version.sha256, createHash('sha256').update(text).digest('hex'));
			// Identical bytes make no version; the same value spelt otherwise does.
			assert.equal(ok(await putRaw(g, `{"data":${second}}`)).graph.version, 2);
			assert.equal(ok(await putRaw(g, `{"data": ${second} }`)).graph.version, 2);
			assert.equal(ok(await putRaw(g, `{"data":{"then": ${text}}}`)).graph.version, 3);
		});
	}

	test('data in the middle of the body, with members before and behind', async () => {
		const r = ok(await ann.as.request('POST', '/api/v1/graphs', { body: `{"data" :\n{"x" : 1.50}\n, "name":"n","workspace_id":"${ws.id}"}` }));
		assert.equal(rawMember((await ann.as.get(`/api/v1/graphs/${r.graph.id}`)).text, 'graph', 'data'), '{"x" : 1.50}');
	});
});

describe('one graph', () => {
	test('a rename alone makes no version; both at once make one', async () => {
		const g = await graph({ name: 'old', data: '{"a":1}' });
		assert.deepEqual(ok(await ann.as.put(g.path, { name: 'new' })).graph, { id: g.id, version: 1 });
		let read = ok(await ann.as.get(g.path)).graph;
		assert.equal(read.name, 'new');
		assert.ok(read.updated_at > read.created_at);
		assert.deepEqual(ok(await ann.as.get(`${g.path}/versions`)).versions, []);
		assert.equal(ok(await ann.as.put(g.path, { name: 'newer', data: { a: 2 }, commit_message: 'both' })).graph.version, 2);
		read = ok(await ann.as.get(g.path)).graph;
		assert.deepEqual([read.name, read.version, read.data], ['newer', 2, { a: 2 }]);
	});

	test('is_public is no version either', async () => {
		const g = await graph();
		const open = `/api/v1/public/graphs/${g.id}`;
		problem(await t.http.get(open), 'graph-not-found');
		assert.equal(ok(await ann.as.put(g.path, { is_public: true })).graph.version, 1);
		const r = await t.http.get(open);
		assert.deepEqual(ok(r).graph.data, { n: 1 });
		for (const secret of [ann.id, ann.email, ann.sub, g.workspace.id])
			assert.ok(!r.text.includes(secret), 'a public graph names nobody');
		assert.equal(r.headers.etag, '"v1.1"');
		assert.equal((await t.http.get(open, { headers: { 'if-none-match': '"v1.1"' } })).status, 304);
		ok(await ann.as.put(g.path, { is_public: false }));
		problem(await t.http.get(open), 'graph-not-found');
	});

	test('made public at once', async () => {
		const { graph: g } = ok(await ann.as.post('/api/v1/graphs', { workspace_id: ws.id, name: 'open', data: {}, is_public: true }));
		ok(await t.http.get(`/api/v1/public/graphs/${g.id}`));
	});

	test('ids are compared as ids: upper case is the same, another spelling is not found', async () => {
		const g = await graph();
		const r = await ann.as.get(`/api/v1/graphs/${g.id.toUpperCase()}`);
		assert.ok(r.status === 200 || r.code === 'graph-not-found', String(r));
		for (const bad of [g.id.replaceAll('-', ''), `{${g.id}}`, `${g.id}x`, g.id.slice(1), 'x', '0', `${g.id}%20`, `%20${g.id}`, `${g.id}'`, 'null', '-', g.id.replace('-', '_')])
			problem(await ann.as.get(`/api/v1/graphs/${bad}`), 'graph-not-found', 'not-found');
	});

	test('409 and 412 change nothing', async () => {
		const g = await graph({ name: 'steady', data: { a: 1 } });
		ok(await ann.as.put(g.path, { data: { a: 2 } }));
		problem(await ann.as.put(g.path, { data: { a: 3 }, name: 'no', base_version: 1 }), 'version-conflict');
		problem(await ann.as.put(g.path, { data: { a: 3 }, name: 'no' }, { headers: { 'if-match': '"v1"' } }), 'precondition-failed');
		problem(await ann.as.put(g.path, { name: 'no', base_version: 3 }), 'version-conflict');
		const read = ok(await ann.as.get(g.path)).graph;
		assert.deepEqual([read.name, read.version, read.data], ['steady', 2, { a: 2 }]);
		assert.equal(ok(await ann.as.put(g.path, { data: { a: 3 }, base_version: 2 })).graph.version, 3);
		assert.equal(ok(await ann.as.put(g.path, { data: { a: 4 } }, { headers: { 'if-match': '"v3"' } })).graph.version, 4);
	});
});

describe('ETag, If-None-Match, If-Match', () => {
	test('304 has no body and the tag', async () => {
		const g = await graph();
		const r = await ann.as.get(g.path);
		assert.equal(r.headers.etag, '"v1"');
		for (const v of ['"v1"', 'W/"v1"', '"v0", "v1"', '"x","v1" , W/"v9"', '*']) {
			const n = await ann.as.get(g.path, { headers: { 'if-none-match': v } });
			assert.equal(n.status, 304, v);
			assert.equal(n.bytes.length, 0);
			assert.equal(n.headers.etag, '"v1"');
		}
		for (const v of ['"v2"', 'v1', '"V1"', '"v1', '""', 'garbage'])
			assert.equal((await ann.as.get(g.path, { headers: { 'if-none-match': v } })).status, 200, v);
		ok(await ann.as.put(g.path, { data: { n: 2 } }));
		assert.equal((await ann.as.get(g.path, { headers: { 'if-none-match': '"v1"' } })).status, 200);
	});

	test('the tag says all that is shown: a new name is no 304, nor to be overwritten unseen', async () => {
		const g = await graph({ name: 'old' });
		const renamed = await ann.as.put(g.path, { name: 'new' }, { headers: { 'if-match': '"v1"' } });
		const tag = ok(renamed) && renamed.headers.etag;
		assert.notEqual(tag, '"v1"');
		const read = await ann.as.get(g.path, { headers: { 'if-none-match': '"v1"' } });
		assert.equal(ok(read).graph.name, 'new');
		assert.equal(read.headers.etag, tag);
		assert.equal((await ann.as.get(g.path, { headers: { 'if-none-match': tag } })).status, 304);
		const late = await ann.as.put(g.path, { name: 'mine' }, { headers: { 'if-match': '"v1"' } });
		problem(late, 'precondition-failed');
		assert.equal(late.headers.etag, tag);
		const published = await ann.as.put(g.path, { is_public: true }, { headers: { 'if-match': tag } });
		assert.ok(ok(published) && ![tag, '"v1"'].includes(published.headers.etag));
		assert.equal((await t.http.get(`/api/v1/public/graphs/${g.id}`)).headers.etag, published.headers.etag);
		assert.equal((await ann.as.put(g.path, { name: 'new' })).headers.etag, published.headers.etag, 'nothing changed');
		assert.equal((await ann.as.put(g.path, { data: { n: 2 } }, { headers: { 'if-match': published.headers.etag } })).headers.etag, '"v2"');
		assert.equal(ok(await ann.as.put(g.path, { name: 'newer', base_version: 2 })).graph.version, 2);
		assert.equal(ok(await ann.as.put(g.path, { data: { n: 3 }, base_version: 2 })).graph.version, 3, 'a name is no other version');
	});

	test('who deletes or restores what somebody changed meanwhile, and says what he saw, is told', async () => {
		const g = await graph();
		ok(await ann.as.put(g.path, { data: { n: 2 } }));
		const stale = { headers: { 'if-match': '"v1"' } };
		for (const r of [await ann.as.delete(g.path, stale), await ann.as.post(`${g.path}/restore/1`, undefined, stale)]) {
			problem(r, 'precondition-failed');
			assert.equal(r.headers.etag, '"v2"');
		}
		assert.deepEqual(ok(await ann.as.get(g.path)).graph.data, { n: 2 });
		const back = await ann.as.post(`${g.path}/restore/1`, undefined, { headers: { 'if-match': '"v2"' } });
		assert.deepEqual([ok(back), back.headers.etag], [{ success: true, new_version: 3 }, '"v3"']);
		problem(await (await t.user('eve')).as.delete(g.path, { headers: { 'if-match': '"v3"' } }), 'graph-not-found');
		ok(await ann.as.delete(g.path, { headers: { 'if-match': '"v9", "v3"' } }));
		problem(await ann.as.get(g.path), 'graph-not-found');
	});

	test('who deletes while somebody else changes or deletes is told what is there then', async () => {
		const copy = new Copy(t.stack), other = copy.session();
		const during = async (g, change, options) => {
			await other.run(`BEGIN; ${change} WHERE id = '${g.id}'`);
			const late = ann.as.delete(g.path, options);
			await until('it waits for the change', () => copy.value("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'DELETE FROM documents'"));
			await other.run('COMMIT');
			return late;
		};
		try {
			const [saw, was, will] = [await graph(), await graph(), await graph()];
			const late = await during(saw, 'UPDATE documents SET touched = touched + 1', { headers: { 'if-match': '"v1"' } });
			problem(late, 'precondition-failed');
			assert.equal(late.headers.etag, '"v1.1"');
			problem(await during(was, 'DELETE FROM documents'), 'graph-not-found');
			ok(await during(will, 'UPDATE documents SET touched = touched + 1'));
			problem(await ann.as.get(will.path), 'graph-not-found');
		} finally {
			await other.end();
		}
	});

	test('a stranger learns nothing from If-None-Match: *', async () => {
		const g = await graph();
		problem(await bob.as.get(g.path, { headers: { 'if-none-match': '*' } }), 'graph-not-found');
	});

	test('replies with data are private to the caller for every cache between', async () => {
		const g = await graph();
		const r = await ann.as.get(g.path);
		assert.match(r.headers['cache-control'] ?? '', /private|no-store/);
	});

	test('If-Match: any spelling that RFC 9110 has; what cannot match is 412', async () => {
		const g = await graph({ data: { a: 0 } });
		let v = 1;
		for (const m of ['"v1"', '*', '"v7", "v3"']) {
			const r = await ann.as.put(g.path, { data: { a: v } }, { headers: { 'if-match': m } });
			assert.equal(r.status, 200, `${m}: ${r}`);
			v++;
		}
		for (const m of ['"v1"', 'W/"v4"', 'v4', '"4"', '""', '"v4x"', '"v04"', '"v99999999999999999999"', '"v-1"']) {
			const r = await ann.as.put(g.path, { data: { a: 'no' } }, { headers: { 'if-match': m } });
			problem(r, 'precondition-failed', 'bad-request');
		}
		assert.equal(ok(await ann.as.get(g.path)).graph.version, 4);
	});
});

describe('a workspace that demands a base', () => {
	test('428 without, 200 with, and renames need none', async () => {
		const w = await t.workspace(ann, { require_base: true });
		const g = await t.graph(ann, { workspace: w, data: { a: 1 } });
		problem(await ann.as.put(g.path, { data: { a: 2 } }), 'precondition-required');
		ok(await ann.as.put(g.path, { name: 'renamed' }));
		assert.equal(ok(await ann.as.put(g.path, { data: { a: 2 }, base_version: 1 })).graph.version, 2);
		assert.equal(ok(await ann.as.put(g.path, { data: { a: 3 } }, { headers: { 'if-match': '"v2"' } })).graph.version, 3);
		problem(await ann.as.put(g.path, { data: { a: 4 }, base_version: 2 }), 'version-conflict');
		ok(await ann.as.put(`/api/v1/workspaces/${w.id}`, { require_base: false }));
		assert.equal(ok(await ann.as.put(g.path, { data: { a: 4 } })).graph.version, 4);
	});
});

describe('lists', () => {
	test('/graphs: all of the caller, over workspaces, in pages, none of anybody else', async () => {
		const u = await t.user('owner');
		const [w1, w2] = [await t.workspace(u), await t.workspace(u)];
		const made = [];
		for (let i = 0; i < 9; i++)
			made.unshift((await t.graph(u, { workspace: i % 2 ? w1 : w2, name: `g${i}` })).id);
		await t.graph(bob);
		const seen = [];
		let cursor;
		do {
			const r = ok(await u.as.get(`/api/v1/graphs?limit=4${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`));
			seen.push(...r.graphs.map((g) => g.id));
			cursor = r.has_more ? r.next_cursor : undefined;
		} while (cursor);
		assert.deepEqual(seen, made);
		const one = ok(await u.as.get(`/api/v1/workspaces/${w1.id}/graphs?limit=3`));
		assert.equal(one.graphs.length, 3);
		assert.equal(one.has_more, true);
		const rest = ok(await u.as.get(`/api/v1/workspaces/${w1.id}/graphs?limit=3&cursor=${encodeURIComponent(one.next_cursor)}`));
		assert.deepEqual([...one.graphs, ...rest.graphs].map((g) => g.name), ['g7', 'g5', 'g3', 'g1']);
		assert.equal(rest.has_more, false);
		assert.equal(rest.next_cursor, null);
	});

	test('a cursor of one workspace does not open another', async () => {
		const [w1, w2] = [await t.workspace(ann), await t.workspace(ann)];
		for (const w of [w1, w1, w2, w2])
			await t.graph(ann, { workspace: w });
		const { next_cursor: c } = ok(await ann.as.get(`/api/v1/workspaces/${w1.id}/graphs?limit=1`));
		problem(await ann.as.get(`/api/v1/workspaces/${w2.id}/graphs?limit=1&cursor=${encodeURIComponent(c)}`), 'invalid-body', 'bad-request');
	});
});

describe('versions', () => {
	test('one version in full; restore to each', async () => {
		const g = await graph({ data: '{"v":1}' });
		for (let v = 2; v <= 6; v++)
			ok(await ann.as.put(g.path, { data: { v }, commit_message: `made ${v}` }));
		for (let v = 1; v <= 5; v++) {
			const { version } = ok(await ann.as.get(`${g.path}/versions/${v}`));
			assert.deepEqual(Object.keys(version).sort(), ['commit_message', 'created_at', 'created_by', 'data', 'sha256', 'size', 'version']);
			assert.deepEqual([version.version, version.data, version.created_by], [v, { v }, ann.id]);
		}
		for (const bad of ['0', '7', '-1', '01', '1.0', 'x', '2147483648', '99999999999999999999', '1%20', "1'"]) {
			problem(await ann.as.get(`${g.path}/versions/${bad}`), 'version-not-found', 'not-found');
			problem(await ann.as.request('POST', `${g.path}/restore/${bad}`), 'version-not-found', 'not-found');
		}
		assert.deepEqual(ok(await ann.as.request('POST', `${g.path}/restore/2`)), { success: true, new_version: 7 });
		assert.deepEqual(ok(await ann.as.get(g.path)).graph.data, { v: 2 });
		assert.deepEqual(ok(await ann.as.request('POST', `${g.path}/restore/2`)), { success: true, new_version: 8 }, 'the seed counts on');
		const { versions } = ok(await ann.as.get(`${g.path}/versions`));
		assert.deepEqual(versions.map((v) => v.version), [7, 6, 5, 4, 3, 2, 1]);
		assert.deepEqual(versions.slice(0, 3).map((v) => v.commit_message), ['Before restoring to version 2', 'Before restoring to version 2', 'made 6']);
	});

	test('300 versions in pages', async () => {
		const g = await graph({ data: { v: 0 } });
		for (let v = 1; v <= 300; v++)
			ok(await ann.as.put(g.path, { data: { v } }));
		const seen = [];
		let cursor;
		do {
			const r = ok(await ann.as.get(`${g.path}/versions?limit=70${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`));
			seen.push(...r.versions.map((v) => v.version));
			cursor = r.next_cursor;
		} while (cursor);
		assert.deepEqual(seen, Array.from({ length: 300 }, (_, i) => 300 - i));
	});
});

describe('what the tables hold against', () => {
	test('300 creates at once are 300 graphs', async () => {
		const w = await t.workspace(ann);
		const ids = await inParallel(Array.from({ length: 300 }), 16, async (_, i) => (await t.graph(ann, { workspace: w, name: `g${i}`, data: { i } })).id);
		assert.equal(new Set(ids).size, 300);
		assert.equal(await t.stack.one(`SELECT count(*) FROM documents WHERE workspace_id = '${w.id}'`), '300');
	});

	test('the stored sum is that of the bytes', async () => {
		const g = await graph({ data: '{"łódź":  1.0}' });
		assert.equal(await t.stack.one(`SELECT encode(sha256, 'hex') FROM documents WHERE id = '${g.id}'`), createHash('sha256').update('{"łódź":  1.0}').digest('hex'));
	});
});
