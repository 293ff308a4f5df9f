// The Fig Nodes editor against the house: its own nine calls (CONTRACT A33), tokens of a real OpenID
// provider, graphs that the real litegraph.js serialised.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { FigNodesClient } from '../lib/client.mjs';
import { graphs, reload, smallGraph } from '../lib/graphs.mjs';
import { rawMember } from '../lib/http.mjs';
import { Oidc } from '../lib/oidc.mjs';
import { problem } from '../lib/setup.mjs';
import { Stack } from '../lib/stack.mjs';
import { until } from '../lib/wait.mjs';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/;

let stack, http, rs, es;
const run = Math.random().toString(36).slice(2);

async function editor(provider, login) {
	const session = await provider.login(login);
	const c = new FigNodesClient(http);
	c.setToken(session.access_token);
	c.session = session;
	// The first sight of an issuer may have to fetch its keys.
	await until('the provider is known', async () => {
		const r = await http.get('/api/v1/me', { token: session.access_token });
		if (r.status !== 200)
			throw new Error(String(r));
		return true;
	});
	return c;
}

before(async () => {
	stack = Stack.attach();
	http = stack.http();
	const claims = (id) => ({ email: `${id.replace(/[^a-z0-9]/g, '.')}@example.com`, email_verified: true, name: `User ${id}` });
	rs = await Oidc.start({ algorithm: 'RS256', claims });
	es = await Oidc.start({ algorithm: 'ES256', claims });
	await stack.useIssuers('fig-nodes', [rs.row, es.row]);
});

after(async () => {
	http?.close();
	await rs?.stop();
	await es?.stop();
});

const keysOf = (o) => Object.keys(o).sort();

describe('the nine calls', () => {
	let me, workspace;

	before(async () => {
		me = await editor(rs, `auth0|ada-${run}`);
	});

	test('createWorkspace, then listWorkspaces shows it', async () => {
		const made = await me.createWorkspace('Mine', 'All of it – łódź');
		assert.equal(me.last.status, 200);
		assert.deepEqual(keysOf(made), ['workspace']);
		assert.deepEqual(keysOf(made.workspace), ['id', 'name']);
		assert.match(made.workspace.id, UUID);
		assert.equal(made.workspace.name, 'Mine');
		const list = await me.listWorkspaces();
		assert.equal(me.last.status, 200);
		const mine = list.workspaces.filter((w) => w.id === made.workspace.id);
		assert.equal(mine.length, 1);
		assert.deepEqual(keysOf(mine[0]), ['created_at', 'description', 'id', 'name']);
		assert.equal(mine[0].description, 'All of it – łódź');
		assert.match(mine[0].created_at, TIME);
		workspace = made.workspace;
	});

	test('a workspace without a description, as JSON.stringify sends undefined', async () => {
		const { workspace: w } = await me.createWorkspace('Bare');
		const { workspaces } = await me.listWorkspaces();
		assert.equal(workspaces.find((x) => x.id === w.id).description, null);
		assert.equal(workspaces[0].id, w.id, 'newest first');
	});

	for (const { name, data } of graphs()) {
		test(`createGraph, getGraph: ${name}, byte for byte`, async () => {
			const sent = JSON.stringify(data);
			const { graph } = await me.createGraph(workspace.id, name, data);
			assert.equal(me.last.status, 200, String(me.last));
			assert.deepEqual(keysOf(graph), ['id', 'name']);
			assert.match(graph.id, UUID);
			const read = (await me.getGraph(graph.id)).graph;
			assert.equal(me.last.status, 200);
			assert.deepEqual(keysOf(read), ['created_at', 'data', 'id', 'name', 'updated_at', 'version']);
			assert.ok(rawMember(me.last.text, 'graph', 'data') === sent, 'the bytes of data');
			assert.equal(read.version, 1);
			assert.equal(read.name, name);
			assert.match(read.created_at, TIME);
			assert.match(read.updated_at, TIME);
			// And the editor can open it.
			assert.deepEqual(reload(read.data), reload(data));
		});
	}

	test('the largest is more than a mebibyte', () => {
		assert.equal(graphs().length, 20);
		assert.ok(Math.max(...graphs().map((g) => Buffer.byteLength(JSON.stringify(g.data)))) > 1 << 20);
	});

	test('listGraphs', async () => {
		const { graphs: list } = await me.listGraphs(workspace.id);
		assert.deepEqual(list.map((g) => g.name).sort(), graphs().map((g) => g.name).sort());
		for (const g of list) {
			assert.deepEqual(keysOf(g), ['created_at', 'id', 'name', 'updated_at', 'version']);
			assert.equal(g.version, 1);
		}
	});

	test('updateGraph over all twenty, listGraphVersions, restoreGraphVersion', async () => {
		const { graph } = await me.createGraph(workspace.id, 'one of all', graphs()[0].data);
		for (const [i, { name, data }] of graphs().entries()) {
			if (i === 0)
				continue;
			const saved = (await me.updateGraph(graph.id, data, `now ${name}`)).graph;
			assert.deepEqual(saved, { id: graph.id, version: i + 1 });
		}
		const { versions } = await me.listGraphVersions(graph.id);
		assert.deepEqual(keysOf(versions[0]), ['commit_message', 'created_at', 'version']);
		// A version's row came with the save that replaced it, and has its message.
		assert.deepEqual(
			versions.map((v) => [v.version, v.commit_message]),
			graphs().slice(1).map((g, i) => [i + 1, `now ${g.name}`]).reverse(),
		);
		const big = graphs().findIndex((g) => g.name === 'more than a mebibyte');
		const back = await me.restoreGraphVersion(graph.id, big + 1);
		assert.deepEqual(back, { success: true, new_version: 21 });
		assert.equal((await me.getGraph(graph.id)).graph.version, 21);
		assert.ok(rawMember(me.last.text, 'graph', 'data') === JSON.stringify(graphs()[big].data));
		const after_ = (await me.listGraphVersions(graph.id)).versions;
		assert.equal(after_.length, 20);
		assert.equal(after_[0].version, 20);
		assert.equal(after_[0].commit_message, `Before restoring to version ${big + 1}`);
	});

	test('deleteGraph', async () => {
		const { graph } = await me.createGraph(workspace.id, 'short-lived', smallGraph(1));
		assert.deepEqual(await me.deleteGraph(graph.id), { success: true });
		await me.getGraph(graph.id);
		problem(me.last, 'graph-not-found');
		await me.deleteGraph(graph.id);
		problem(me.last, 'graph-not-found');
		assert.ok(!(await me.listGraphs(workspace.id)).graphs.some((g) => g.id === graph.id));
	});

	test('what is not there: the texts the editor shows', async () => {
		const none = '01890a5d-ac96-774b-bcce-b302099a8057';
		const error = async (call) => {
			const body = await call;
			assert.equal(body.error, body.detail);
			return [me.last.status, body.detail];
		};
		assert.deepEqual(await error(me.listGraphs(none)), [404, 'Workspace not found']);
		assert.deepEqual(await error(me.createGraph(none, 'x', {})), [404, 'Workspace not found']);
		assert.deepEqual(await error(me.getGraph(none)), [404, 'Graph not found']);
		assert.deepEqual(await error(me.updateGraph(none, {})), [404, 'Graph not found']);
		assert.deepEqual(await error(me.deleteGraph(none)), [404, 'Graph not found']);
		assert.deepEqual(await error(me.listGraphVersions(none)), [404, 'Graph not found']);
		assert.deepEqual(await error(me.restoreGraphVersion(none, 1)), [404, 'Graph not found']);
		const { graph } = await me.createGraph(workspace.id, 'has one version', {});
		assert.deepEqual(await error(me.restoreGraphVersion(graph.id, 7)), [404, 'Version not found']);
		assert.deepEqual(await error(me.restoreGraphVersion(graph.id, 1)), [404, 'Version not found'], 'the current one is no old version');
	});

	test('without a token, or with one gone bad, the browser is sent to /login', async () => {
		const calls = (c) => [
			() => c.listWorkspaces(), () => c.createWorkspace('x'), () => c.listGraphs(workspace.id), () => c.getGraph(workspace.id),
			() => c.createGraph(workspace.id, 'x', {}), () => c.updateGraph(workspace.id, {}), () => c.deleteGraph(workspace.id),
			() => c.listGraphVersions(workspace.id), () => c.restoreGraphVersion(workspace.id, 1),
		];
		for (const token of [null, `${me.session.access_token.slice(0, -4)}AAAA`]) {
			const c = new FigNodesClient(http);
			c.setToken(token);
			assert.equal(calls(c).length, 9);
			for (const call of calls(c)) {
				c.wentTo = null;
				await assert.rejects(call, /Unauthorized/);
				assert.equal(c.wentTo, '/login');
				problem(c.last, token ? 'token-signature' : 'not-authenticated');
				assert.match(c.last.headers['www-authenticate'] ?? '', /^Bearer/);
			}
		}
	});
});

describe('who it is', () => {
	test('an ES256 provider of the same app, and two people see nothing of each other', async () => {
		const ada = await editor(rs, `auth0|ada2-${run}`);
		const eve = await editor(es, `auth0|eve-${run}`);
		const { workspace } = await ada.createWorkspace('hers');
		const { graph } = await ada.createGraph(workspace.id, 'secret', smallGraph(7));
		for (const call of [() => eve.getGraph(graph.id), () => eve.updateGraph(graph.id, {}), () => eve.deleteGraph(graph.id), () => eve.listGraphVersions(graph.id), () => eve.restoreGraphVersion(graph.id, 1)]) {
			await call();
			problem(eve.last, 'graph-not-found');
		}
		await eve.listGraphs(workspace.id);
		problem(eve.last, 'workspace-not-found');
		await eve.createGraph(workspace.id, 'foot in the door', {});
		problem(eve.last, 'workspace-not-found');
		assert.deepEqual((await eve.listWorkspaces()).workspaces, []);
		await ada.getGraph(graph.id);
		assert.equal(ada.last.status, 200);
	});

	test('the same subject of two providers is two users', async () => {
		const a = await editor(rs, `same-${run}`);
		const b = await editor(es, `same-${run}`);
		const me = async (c) => (await http.get('/api/v1/me', { token: c.token })).json.user;
		const [ua, ub] = [await me(a), await me(b)];
		assert.notEqual(ua.id, ub.id);
		assert.equal(ua.email, `same.${run}@example.com`);
		assert.equal(ub.email, null, 'an address that another user has is not taken over');
	});

	test('a silent renewal gives another token of the same user; /me says who', async () => {
		const login = `google-oauth2|1${run}`;
		const c = await editor(rs, login);
		const { workspace } = await c.createWorkspace('kept');
		const again = await rs.renew(login, c.session.cookies);
		assert.notEqual(again.access_token, c.session.access_token);
		c.setToken(again.access_token);
		assert.deepEqual((await c.listWorkspaces()).workspaces.map((w) => w.id), [workspace.id]);
		const { user } = (await http.get('/api/v1/me', { token: again.access_token })).json;
		assert.deepEqual(keysOf(user), ['created_at', 'display_name', 'email', 'email_verified', 'id', 'mfa_enabled', 'tier']);
		assert.match(user.id, UUID);
		assert.equal(user.tier, 'free');
		assert.equal(user.display_name, `User ${login}`);
	});

	test('an id token is not an access token; nor is one for another audience', async () => {
		const s = await rs.login(`auth0|x-${run}`);
		problem(await http.get('/api/v1/workspaces', { token: s.id_token }), 'token-audience');
		const elsewhere = await rs.login(`auth0|x-${run}`, { audience: 'https://billing.example.com' });
		problem(await http.get('/api/v1/workspaces', { token: elsewhere.access_token }), 'token-audience');
	});
});

describe('autosave (A34)', () => {
	test('what has not changed makes no version, whoever serialised it', async () => {
		const me = await editor(rs, `auth0|saver-${run}`);
		const { workspace } = await me.createWorkspace('autosaved');
		const data = graphs().find((g) => g.name === 'chain of 200').data;
		const { graph } = await me.createGraph(workspace.id, 'open all day', data);
		for (let i = 0; i < 5; i++)
			assert.deepEqual((await me.updateGraph(graph.id, data)).graph, { id: graph.id, version: 1 });
		assert.deepEqual((await me.listGraphVersions(graph.id)).versions, []);
		const opened = reload((await me.getGraph(graph.id)).graph.data);
		assert.deepEqual((await me.updateGraph(graph.id, opened)).graph, { id: graph.id, version: 1 });
		opened.nodes[0].pos = [1, 2];
		assert.deepEqual((await me.updateGraph(graph.id, opened)).graph, { id: graph.id, version: 2 });
		assert.equal((await me.listGraphVersions(graph.id)).versions[0].commit_message, null);
	});
});
