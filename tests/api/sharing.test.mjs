import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { ok, problem, setup } from '../lib/setup.mjs';

let t, ann, bob, cid, dee, ws;

before(async () => {
	t = await setup();
	[ann, bob, cid, dee] = [await t.user('ann'), await t.user('bob'), await t.user('cid'), await t.user('dee')];
	ws = await t.workspace(ann);
});
after(() => t?.stop());

const graph = (more) => t.graph(ann, { workspace: ws, ...more });
const share = (who, g, whom, permission) => who.as.post(`${g.path}/shares`, { email: whom.email, permission });

describe('giving and taking', () => {
	test('by address or by id; listed; changed; taken back', async () => {
		const g = await graph();
		const made = ok(await share(ann, g, bob, 'read')).share;
		assert.deepEqual(Object.keys(made).sort(), ['created_at', 'email', 'permission', 'user_id']);
		assert.deepEqual([made.user_id, made.email, made.permission], [bob.id, bob.email, 'read']);
		ok(await ann.as.post(`${g.path}/shares`, { user_id: cid.id, permission: 'write' }));
		let list = ok(await ann.as.get(`${g.path}/shares`));
		assert.equal(list.is_public, false);
		assert.deepEqual(Object.fromEntries(list.shares.map((s) => [s.user_id, s.permission])), { [bob.id]: 'read', [cid.id]: 'write' });
		ok(await ann.as.put(`${g.path}/shares/${bob.id}`, { permission: 'write' }));
		list = ok(await ann.as.get(`${g.path}/shares`));
		assert.equal(list.shares.find((s) => s.user_id === bob.id).permission, 'write');
		assert.deepEqual(ok(await ann.as.delete(`${g.path}/shares/${bob.id}`)), { success: true });
		problem(await bob.as.get(g.path), 'graph-not-found');
		problem(await ann.as.delete(`${g.path}/shares/${bob.id}`), 'share-not-found');
		problem(await ann.as.put(`${g.path}/shares/${bob.id}`, { permission: 'read' }), 'share-not-found');
	});

	test('whoever was given a share may leave it; nobody may take another’s', async () => {
		const g = await graph();
		ok(await share(ann, g, bob, 'write'));
		ok(await share(ann, g, cid, 'read'));
		problem(await bob.as.delete(`${g.path}/shares/${cid.id}`), 'denied');
		assert.deepEqual(ok(await bob.as.delete(`${g.path}/shares/${bob.id}`)), { success: true });
		problem(await bob.as.get(g.path), 'graph-not-found');
		ok(await cid.as.get(g.path));
		assert.deepEqual(ok(await ann.as.get(`${g.path}/shares`)).shares.map((s) => s.user_id), [cid.id]);
	});

	test('the address in any case', async () => {
		const g = await graph();
		ok(await ann.as.post(`${g.path}/shares`, { email: bob.email.toUpperCase(), permission: 'read' }));
		ok(await bob.as.get(g.path));
	});

	test('twice is once', async () => {
		const g = await graph();
		ok(await share(ann, g, bob, 'read'));
		const again = await share(ann, g, bob, 'write');
		assert.ok([200, 409].includes(again.status), String(again));
		const { shares } = ok(await ann.as.get(`${g.path}/shares`));
		assert.equal(shares.length, 1);
		assert.equal(shares[0].permission, again.status === 200 ? 'write' : 'read');
	});

	test('with nobody, with oneself, with both or no names', async () => {
		const g = await graph();
		problem(await ann.as.post(`${g.path}/shares`, { email: 'nobody@example.com', permission: 'read' }), 'user-not-found');
		problem(await ann.as.post(`${g.path}/shares`, { user_id: g.id, permission: 'read' }), 'user-not-found');
		const self = await share(ann, g, ann, 'read');
		assert.ok(self.status >= 400 && self.status < 500, `sharing with the owner: ${self}`);
		problem(await ann.as.post(`${g.path}/shares`, { permission: 'read' }), 'invalid-body', 'bad-request');
		problem(await ann.as.post(`${g.path}/shares`, { email: bob.email, permission: 'owner' }), 'invalid-body');
		problem(await ann.as.post(`${g.path}/shares`, { email: bob.email }), 'invalid-body');
		problem(await ann.as.post(`${g.path}/shares`, { email: [bob.email, cid.email], permission: 'read' }), 'invalid-body');
		problem(await ann.as.post(`${g.path}/shares`, { user_id: 'x', permission: 'read' }), 'invalid-body', 'user-not-found');
		assert.deepEqual(ok(await ann.as.get(`${g.path}/shares`)).shares, []);
	});

	test('an address of another app is nobody here', async () => {
		const email = `elsewhere.${Date.now()}@example.com`;
		await t.stack.ctl('user', 'add', '--app', 'cue', email);
		const g = await graph();
		problem(await ann.as.post(`${g.path}/shares`, { email, permission: 'read' }), 'user-not-found');
	});

	test('an address that was only claimed, not verified, gets nothing (T4)', async () => {
		const email = `claimed.${Date.now()}@example.com`;
		const token = await t.issuer.token(`auth0|claims-${Date.now()}`, { email, email_verified: false });
		const r = await t.http.get('/api/v1/me', { token });
		assert.equal(ok(r).user.email, null);
		const g = await graph();
		problem(await ann.as.post(`${g.path}/shares`, { email, permission: 'read' }), 'user-not-found');
	});
});

// What each permission allows, written once.
const rights = {
	stranger: { see: false, save: false, admin: false, own: false },
	read: { see: true, save: false, admin: false, own: false },
	write: { see: true, save: true, admin: false, own: false },
	admin: { see: true, save: true, admin: true, own: false },
	owner: { see: true, save: true, admin: true, own: true },
};
const actions = [
	['see', 'GET', ''],
	['see', 'GET', '/versions'],
	['see', 'GET', '/versions/1'],
	['save', 'PUT', '', { data: { by: 'me' } }],
	['save', 'PUT', '', { name: 'renamed' }],
	['save', 'POST', '/restore/1'],
	['admin', 'PUT', '', { is_public: true }],
	['admin', 'POST', '/shares', (who) => ({ email: who.dee.email, permission: 'read' })],
	['admin', 'PUT', '/shares/dee', { permission: 'write' }],
	['admin', 'DELETE', '/shares/dee'],
	['see', 'GET', '/executions'],
	['save', 'POST', '/executions', {}],
	['own', 'DELETE', ''],
];

describe('what a permission allows', () => {
	for (const [role, may] of Object.entries(rights)) {
		for (const [need, method, tail, body] of actions) {
			test(`${role}: ${method} …${tail} ${body && typeof body !== 'function' ? JSON.stringify(body) : ''}`, async () => {
				const g = await graph({ data: { v: 1 } });
				ok(await ann.as.put(g.path, { data: { v: 2 } }));
				if (tail.endsWith('/dee'))
					ok(await share(ann, g, dee, 'read'));
				const who = role === 'owner' ? ann : bob;
				if (!['owner', 'stranger'].includes(role))
					ok(await share(ann, g, bob, role));
				const json = typeof body === 'function' ? body({ dee }) : body;
				const before_ = await dump(g);
				const r = await who.as.request(method, `${g.path}${tail.replace('dee', dee.id)}`, { json });
				if (!may.see)
					problem(r, 'graph-not-found');
				else if (may[need])
					assert.equal(r.status, 200, String(r));
				else if (need === 'own' && role === 'admin' && r.status === 200)
					return; // an administrator of a graph may be allowed to delete it
				else
					problem(r, 'denied');
				if (r.status !== 200)
					assert.deepEqual(await dump(g), before_, 'a refusal changes nothing');
			});
		}
	}

	async function dump(g) {
		return t.stack.rows(`SELECT d.*::text, s.user_id::text, s.permission, e.id::text FROM documents d
			LEFT JOIN document_shares s ON s.document_id = d.id LEFT JOIN executions e ON e.document_id = d.id WHERE d.id = '${g.id}' ORDER BY 1, 2, 4`);
	}

	test('an admin share cannot raise itself or lower the owner', async () => {
		const g = await graph();
		ok(await share(ann, g, bob, 'admin'));
		for (const permission of ['owner', 'root', 4, '4'])
			problem(await bob.as.put(`${g.path}/shares/${bob.id}`, { permission }), 'invalid-body');
		for (const r of [await bob.as.put(`${g.path}/shares/${ann.id}`, { permission: 'read' }), await bob.as.delete(`${g.path}/shares/${ann.id}`)])
			problem(r, 'share-not-found', 'denied', 'conflict');
		ok(await ann.as.get(g.path));
	});

	test('a share with the graph does not open its workspace or its neighbours', async () => {
		const [g, neighbour] = [await graph(), await graph()];
		ok(await share(ann, g, bob, 'admin'));
		problem(await bob.as.get(neighbour.path), 'graph-not-found');
		problem(await bob.as.get(`/api/v1/workspaces/${ws.id}`), 'workspace-not-found');
		problem(await bob.as.get(`/api/v1/workspaces/${ws.id}/graphs`), 'workspace-not-found');
		problem(await bob.as.post('/api/v1/graphs', { workspace_id: ws.id, name: 'x', data: {} }), 'workspace-not-found', 'denied');
	});

	test('taking a share back works at once, however often it was just used', async () => {
		const g = await graph();
		for (let i = 0; i < 20; i++) {
			ok(await share(ann, g, bob, 'write'));
			ok(await bob.as.get(g.path));
			ok(await bob.as.put(g.path, { data: { i } }));
			ok(await ann.as.delete(`${g.path}/shares/${bob.id}`));
			problem(await bob.as.get(g.path), 'graph-not-found');
			problem(await bob.as.put(g.path, { data: { i: 'late' } }), 'graph-not-found');
		}
	});
});

describe('/graphs/shared', () => {
	test('what others share with me, with my permission, in pages; not my own', async () => {
		const made = [];
		for (const p of ['read', 'write', 'admin', 'read', 'write']) {
			const g = await graph({ name: `shared ${p}` });
			ok(await share(ann, g, cid, p));
			made.push([g.id, p]);
		}
		await t.graph(cid, { name: 'own' });
		const seen = [];
		let cursor;
		do {
			const r = ok(await cid.as.get(`/api/v1/graphs/shared?limit=2${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`));
			for (const g of r.graphs)
				assert.deepEqual(Object.keys(g).sort(), ['created_at', 'id', 'name', 'permission', 'updated_at', 'version']);
			seen.push(...r.graphs.map((g) => [g.id, g.permission]));
			cursor = r.next_cursor;
		} while (cursor);
		const first = seen.filter(([id]) => made.some(([m]) => m === id));
		assert.deepEqual(new Map(first), new Map(made));
		assert.equal(new Set(seen.map(([id]) => id)).size, seen.length);
		assert.ok(!ok(await ann.as.get('/api/v1/graphs/shared')).graphs.some((g) => made.some(([m]) => m === g.id)));
		assert.ok(!ok(await cid.as.get('/api/v1/graphs')).graphs.some((g) => made.some(([m]) => m === g.id)), 'own means own');
	});
});
