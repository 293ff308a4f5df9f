import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { ok, problem, setup } from '../lib/setup.mjs';

let t, ann, bob;

before(async () => {
	t = await setup();
	ann = await t.user('ann');
	bob = await t.user('bob');
});
after(() => t?.stop());

const at = (w) => `/api/v1/workspaces/${w.id}`;

describe('one workspace', () => {
	test('made by a JSON body or by the query, answered 200 as the seed did', async () => {
		const a = ok(await ann.as.post('/api/v1/workspaces', { name: 'by body', description: 'd' }));
		const b = ok(await ann.as.request('POST', '/api/v1/workspaces?name=by%20query&description=%C5%82%C3%B3d%C5%BA'));
		const c = ok(await ann.as.request('POST', '/api/v1/workspaces?name=plus+is+a+space'));
		assert.equal(a.workspace.name, 'by body');
		assert.equal(b.workspace.name, 'by query');
		assert.equal(c.workspace.name, 'plus is a space');
		const read = ok(await ann.as.get(at(b.workspace))).workspace;
		assert.deepEqual(Object.keys(read).sort(), ['created_at', 'description', 'git_repository', 'id', 'local_path', 'name', 'organization_id', 'project_type', 'require_base', 'settings', 'updated_at', 'visibility']);
		assert.equal(read.description, 'łódź');
		assert.equal(read.require_base, false);
		assert.deepEqual([read.organization_id, read.visibility, read.settings], [null, 'private', {}]);
		assert.equal(read.updated_at, read.created_at);
	});

	test('changed in parts', async () => {
		const w = await t.workspace(ann, { name: 'before', description: 'kept' });
		let r = ok(await ann.as.put(at(w), { name: 'after' })).workspace;
		assert.equal(r.name, 'after');
		assert.equal(r.description, 'kept');
		r = ok(await ann.as.put(at(w), { require_base: true })).workspace;
		assert.equal(r.require_base, true);
		assert.equal(r.name, 'after');
		assert.ok(r.updated_at > r.created_at);
		assert.deepEqual(ok(await ann.as.get(at(w))).workspace, r);
	});

	test('deleted with all its graphs', async () => {
		const g = await t.graph(ann);
		assert.deepEqual(ok(await ann.as.delete(at(g.workspace))), { success: true });
		problem(await ann.as.get(at(g.workspace)), 'workspace-not-found');
		problem(await ann.as.get(g.path), 'graph-not-found');
		problem(await ann.as.delete(at(g.workspace)), 'workspace-not-found');
		assert.equal(await t.stack.one(`SELECT count(*) FROM document_versions WHERE document_id = '${g.id}'`), '0');
	});

	test('nobody else can see, change or delete it', async () => {
		const w = await t.workspace(ann, { name: 'hers' });
		for (const r of [await bob.as.get(at(w)), await bob.as.put(at(w), { name: 'his' }), await bob.as.delete(at(w)), await bob.as.get(`${at(w)}/graphs`)])
			problem(r, 'workspace-not-found');
		assert.equal(ok(await ann.as.get(at(w))).workspace.name, 'hers');
	});

	test('bounds of a name and a description', async () => {
		const post = (body) => ann.as.post('/api/v1/workspaces', body);
		ok(await post({ name: 'x' }));
		ok(await post({ name: '𝔘'.repeat(200) })); // characters, not bytes
		ok(await post({ name: 'x', description: 'é'.repeat(2000) }));
		for (const body of [{}, { name: '' }, { name: null }, { name: 'x'.repeat(201) }, { name: 'x', description: 'x'.repeat(2001) }]) {
			const p = problem(await post(body), 'invalid-body');
			assert.ok(p.errors.length >= 1, JSON.stringify(body).slice(0, 60));
			assert.equal(p.errors[0].loc.at(-1), 'name' in body && body.description ? 'description' : 'name');
			for (const e of p.errors)
				assert.deepEqual(Object.keys(e).sort(), ['loc', 'msg', 'type']);
		}
	});
});

describe('the list', () => {
	test('newest first, in pages of any size, each once', async () => {
		const u = await t.user('lister');
		const made = [];
		for (let i = 0; i < 23; i++)
			made.unshift((await t.workspace(u, { name: `w${i}` })).id);
		for (const limit of [1, 5, 22, 23, 24, 100]) {
			const seen = [];
			let target = `/api/v1/workspaces?limit=${limit}`;
			for (let page = 0; target && page < 30; page++) {
				const r = await u.as.get(target);
				const body = ok(r);
				assert.deepEqual(Object.keys(body).sort(), ['has_more', 'next_cursor', 'workspaces']);
				assert.ok(body.workspaces.length <= limit);
				seen.push(...body.workspaces.map((w) => w.id));
				const link = /^<([^>]+)>; rel="next"$/.exec(r.headers.link ?? '');
				assert.equal(Boolean(link), body.has_more);
				assert.equal(body.next_cursor !== null, body.has_more);
				if (!link)
					break;
				const url = new URL(link[1], `http://fig-nodes.localhost:${t.stack.port}`);
				assert.equal(url.searchParams.get('cursor'), body.next_cursor);
				assert.equal(url.searchParams.get('limit'), String(limit));
				target = url.pathname + url.search;
			}
			assert.deepEqual(seen, made, `limit ${limit}`);
		}
	});

	test('a workspace made between two pages disturbs nothing', async () => {
		const u = await t.user('between');
		const old = [];
		for (let i = 0; i < 6; i++)
			old.unshift((await t.workspace(u)).id);
		const first = ok(await u.as.get('/api/v1/workspaces?limit=3'));
		await t.workspace(u);
		const second = ok(await u.as.get(`/api/v1/workspaces?limit=3&cursor=${encodeURIComponent(first.next_cursor)}`));
		assert.deepEqual([...first.workspaces, ...second.workspaces].map((w) => w.id), old);
	});

	test('cursors are ours, for this list and this user (T20)', async () => {
		const u = await t.user('cursors');
		for (let i = 0; i < 3; i++)
			await t.workspace(u);
		const { next_cursor: c } = ok(await u.as.get('/api/v1/workspaces?limit=1'));
		const get = (cursor, who = u, path = '/api/v1/workspaces') => who.as.get(`${path}?limit=1&cursor=${encodeURIComponent(cursor)}`);
		ok(await get(c));
		const bytes = Buffer.from(c, 'base64url');
		const flips = Array.from({ length: bytes.length * 8 }, (_, i) => {
			const b = Buffer.from(bytes);
			b[i >> 3] ^= 1 << (i & 7);
			return b.toString('base64url');
		});
		for (const bad of [...flips, `${c}A`, c.slice(0, -1), c.slice(1), '', 'AAAA', "' OR 1=1", `${c}==`, `${c}\0`, 'x'.repeat(3000)]) {
			const r = await get(bad);
			if (bad === '' && r.status === 200)
				continue; // an empty cursor may read as none
			problem(r, 'invalid-body', 'bad-request');
		}
		assert.notEqual((await get(c, u, '/api/v1/graphs')).status, 200, 'a cursor of another list');
		assert.notEqual((await get(c, bob)).status, 200, 'a cursor of another user');
	});

	test('limits out of bounds are refused, not bent', async () => {
		for (const limit of ['0', '-1', '1000000', '1.5', 'x', '1e1', '', ' 1', '0x10', '99999999999999999999'])
			problem(await ann.as.get(`/api/v1/workspaces?limit=${encodeURIComponent(limit)}`), 'invalid-body', 'bad-request');
	});
});
