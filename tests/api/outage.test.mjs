// Every route of the table when the database refuses, quarrels or breaks: the answer says so and nothing
// else, nobody is let in because of it, nothing is left half done, and the next request is served.
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { made } from '../lib/licences.mjs';
import { Requests } from '../lib/requests.mjs';
import { ok, problem, setup } from '../lib/setup.mjs';
import { inParallel, until } from '../lib/wait.mjs';

let t, routes, requests, ann, bob, graph, execution;
const superuser = ['-U', 'postgres'];

before(async () => {
	t = await setup();
	routes = JSON.parse(await t.stack.ctl('routes', '--json')).routes;
	[ann, bob] = [await t.user('ann'), await t.user('bob')];
	graph = await t.graph(ann, { data: { v: 1 } });
	ok(await ann.as.put(graph.path, { data: { v: 2 } }));
	ok(await ann.as.post(`${graph.path}/shares`, { user_id: bob.id, permission: 'read' }));
	execution = ok(await ann.as.post(`${graph.path}/executions`)).execution;
	ok(await ann.as.put(`/api/v1/executions/${execution.id}`, { status: 'running' }));
	const world = { workspace_id: graph.workspace.id, graph_id: graph.id, user_id: bob.id, execution_id: execution.id, license_key: made('FIGNODES-FREE-000000000000'), version: 1, permission: 'write', name: 'outage', data: {} };
	requests = new Requests((await t.http.get('/openapi.json')).json, world, bodies);
});
after(() => t?.stop());

/** What a schema does not say. */
const bodies = {
	GraphChange: () => ({ data: { u: randomUUID() } }),
	WorkspaceChange: () => ({ name: `outage ${randomUUID()}` }),
	ShareNew: () => ({ user_id: bob.id, permission: 'write' }),
	ExecutionChange: () => ({ progress: 50 }),
	LicenseActivate: () => ({ request: { version: 1, kind: 'activation-request', product: 'fig-nodes', key: made('FIGNODES-FREE-000000000000'), machine: 'm', nonce: 'n' } }),
	SamlAnswer: () => ({ SAMLResponse: 'x', RelayState: randomBytes(32).toString('base64url') }),
};

const call = (route, who, options = {}) => who.request(route.method, requests.target(route), { json: requests.body(route), ...options });

/** All that these users have, as one digest. */
const digest = () => t.stack.one(`
	SELECT md5(coalesce(string_agg(x, '|' ORDER BY x), '')) FROM (
		SELECT w::text AS x FROM workspaces w WHERE owner_id = '${ann.id}'
		UNION ALL SELECT d::text FROM documents d WHERE workspace_id IN (SELECT id FROM workspaces WHERE owner_id = '${ann.id}')
		UNION ALL SELECT v.version || encode(v.sha256, 'hex') FROM document_versions v WHERE document_id = '${graph.id}'
		UNION ALL SELECT s::text FROM document_shares s WHERE document_id = '${graph.id}'
		UNION ALL SELECT e.id || e.status || e.progress FROM executions e WHERE document_id = '${graph.id}'
		UNION ALL SELECT encode(key_hash, 'hex') FROM idempotency_keys WHERE principal = '${ann.id}') all_of_it`);

/** Those of documents: what they do is seen in `digest`. */
const writes = () => routes.filter((r) => /^(workspace|graph|share|execution)\./.test(r.id) && r.method !== 'GET');

describe('the database takes no connections', () => {
	// What is refused by its form, as nobody here can make a right one.
	const formal = { 'auth.refresh': 'invalid-refresh-token', 'passkey.login': 'invalid-passkey' };
	// What is answered from memory or needs no database at all.
	const alone = new Set(['health.alive', 'health.metrics', 'health.openapi', 'account.jwks', 'license.keys', 'saml.metadata']);

	// Without a sign-in of its own to come back to.
	const elsewhere = { 'oauth.callback': /error=oauth_failed$/, 'saml.finish': /error=sso_failed$/ };

	test('503 on every route, with Retry-After; nobody is let in; nothing is changed', async () => {
		const was = await digest();
		await t.stack.rows('ALTER ROLE quoin CONNECTION LIMIT 0', ...superuser);
		try {
			await t.stack.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'quoin'", ...superuser);
			await until('it is felt', async () => (await t.http.get('/health')).status === 503);
			const forged = `${ann.token.slice(0, -6)}AAAAAA`;
			for (const route of routes) {
				const from = performance.now();
				const r = await call(route, ann.as);
				assert.ok(performance.now() - from < 10_000, `${route.id} took ${performance.now() - from} ms`);
				if (alone.has(route.id)) {
					assert.equal(r.status, 200, `${route.id}: ${r}`);
					continue;
				}
				if (formal[route.id]) {
					problem(r, formal[route.id]);
					continue;
				}
				if (elsewhere[route.id]) {
					assert.match(r.headers.location, elsewhere[route.id]);
					continue;
				}
				assert.equal(r.status, 503, `${route.id}: ${r}`);
				assert.match(r.headers['retry-after'] ?? '', /^[1-9]\d*$/, route.id);
				if (!route.flags.includes('health'))
					problem(r, 'try-later');
				if (route.auth.includes('user')) {
					problem(await call(route, t.http, { token: null }), route.auth.includes('key') && route.auth.includes('public') ? 'try-later' : 'not-authenticated');
					const f = await call(route, t.http, { token: forged });
					assert.ok([401, 503].includes(f.status), `${route.id}, a forged token: ${f}`);
				}
			}
		} finally {
			await t.stack.rows('ALTER ROLE quoin CONNECTION LIMIT -1', ...superuser);
		}
		// Each worker asks again by itself, after a rest.
		await until('it is well again, whichever worker answers', async () => (await inParallel(Array.from({ length: 32 }), 16, () => ann.as.get(graph.path))).every((r) => r.status === 200));
		assert.equal(await digest(), was);
	});
});

describe('every write fails in its transaction', () => {
	const tables = ['workspaces', 'documents', 'document_versions', 'document_shares', 'executions'];

	/** While `run` runs, each statement that writes to those tables says `raise`, and is counted. */
	async function failing(raise, run) {
		await t.stack.rows(`
			CREATE SEQUENCE test_attempts;
			GRANT USAGE ON SEQUENCE test_attempts TO quoin;
			CREATE FUNCTION test_fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('test_attempts'); ${raise}; END $$;
			${tables.map((x) => `CREATE TRIGGER test_fail AFTER INSERT OR UPDATE OR DELETE ON ${x} FOR EACH ROW EXECUTE FUNCTION test_fail();`).join('\n')}`);
		try {
			await run(async () => Number(await t.stack.one('SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM test_attempts')));
		} finally {
			await t.stack.rows('DROP FUNCTION test_fail CASCADE; DROP SEQUENCE test_attempts');
		}
	}

	test('contention that does not end: tried four times, then 503, nothing stored, the key is free', async () => {
		for (const [code, name] of [['40001', 'serialization failure'], ['40P01', 'deadlock']]) {
			const was = await digest();
			await failing(`RAISE EXCEPTION 'no' USING ERRCODE = '${code}'`, async (attempts) => {
				for (const route of writes()) {
					const before_ = await attempts();
					const headers = route.flags.includes('once') ? { 'idempotency-key': randomUUID() } : {};
					const r = await call(route, ann.as, { headers });
					assert.equal(r.status, 503, `${route.id}, ${name}: ${r}`);
					problem(r, 'contention');
					assert.match(r.headers['retry-after'] ?? '', /^[1-9]\d*$/);
					assert.equal((await attempts()) - before_, 4, `${route.id}, ${name}: attempts`);
				}
			});
			assert.equal(await digest(), was);
		}
	});

	test('contention that ends is not noticed, and the effect is there once', async () => {
		await failing("IF currval('test_attempts') % 3 <> 0 THEN RAISE EXCEPTION 'not yet' USING ERRCODE = '40001'; END IF; RETURN NULL", async () => {
			for (let i = 0; i < 10; i++) {
				const name = `once ${randomUUID()}`;
				ok(await ann.as.post('/api/v1/workspaces', { name }, { headers: { 'idempotency-key': randomUUID() } }));
				assert.equal(await t.stack.one(`SELECT count(*) FROM workspaces WHERE name = '${name}'`), '1');
			}
		});
	});

	test('an error that nobody foresaw: 500 without a word of it, and a clean session behind it', async () => {
		const was = await digest();
		await failing("RAISE EXCEPTION 'the secret of relation documents' USING ERRCODE = 'XX000', DETAIL = 'SELECT secret', HINT = 'secret'", async () => {
			for (const route of writes()) {
				const r = await call(route, ann.as, { headers: route.flags.includes('once') ? { 'idempotency-key': randomUUID() } : {} });
				assert.equal(r.status, 500, `${route.id}: ${r}`);
				problem(r, 'internal');
				assert.ok(!/secret|relation|select|XX000|plpgsql|trigger/i.test(r.text), `${route.id} tells: ${r}`);
				ok(await ann.as.get(graph.path));
			}
		});
		assert.equal(await digest(), was);
		// Jobs have transactions of their own, and are at times between two of their statements; one that was left open stays for long.
		await until('no transaction is open', async () => (await t.stack.one("SELECT count(*) FROM pg_stat_activity WHERE usename = 'quoin' AND state LIKE 'idle in transaction%'", ...superuser)) === '0', { within: 3000 });
	});

	test('a statement that takes too long is given up, and the worker is not', async () => {
		await failing('PERFORM pg_sleep(60); RETURN NULL', async () => {
			const from = performance.now();
			const r = await ann.as.put(graph.path, { data: { slow: 1 } });
			assert.ok(performance.now() - from < 20_000, `${performance.now() - from} ms`);
			assert.equal(r.status, 503, String(r));
			problem(r, 'try-later', 'uncertain');
			ok(await ann.as.get(graph.path));
		});
		await until('no statement of it is left', async () => (await t.stack.one("SELECT count(*) FROM pg_stat_activity WHERE usename = 'quoin' AND query LIKE '%document_save%' AND state = 'active'", ...superuser)) === '0', { within: 20_000 });
	});
});
