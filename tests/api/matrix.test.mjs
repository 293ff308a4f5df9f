// The attack matrix: every route of the table × everybody who may not × ids that are not theirs. It is
// made from `quoinctl routes --json`, so a new route is attacked without anybody writing a test; one
// whose parameters or body cannot be made up here fails until it can.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { ok, problem, setup } from '../lib/setup.mjs';
import { dev } from '../lib/stack.mjs';
import { invitation, membersSql, newToken, team } from '../lib/teams.mjs';
import { until } from '../lib/wait.mjs';

let t, routes, schemas, people, world, seat;

/** What there is to attack: all of it is the owner's. */
async function makeWorld() {
	const { owner } = people;
	const workspace = await t.workspace(owner);
	const graph = await t.graph(owner, { workspace, data: { secret: randomUUID() } });
	ok(await owner.as.put(graph.path, { data: { secret: randomUUID() } }));
	const { execution } = ok(await owner.as.post(`${graph.path}/executions`));
	for (const permission of ['read', 'write', 'admin'])
		ok(await owner.as.post(`${graph.path}/shares`, { user_id: people[permission].id, permission }));
	if (world) // a hundred are the most
		await t.stack.rows(`DELETE FROM api_keys WHERE id = '${world.key_id}'`);
	const { key } = ok(await owner.as.post('/api/v1/api-keys', {}));
	const session = await t.stack.one(`INSERT INTO sessions (id, app_id, user_id, method, expires_at)
		SELECT gen_random_uuid(), app_id, id, 'password', now() + interval '1 day' FROM users WHERE id = '${owner.id}' RETURNING id`);
	const { user_code: waiting } = ok(await t.http.post('/api/v1/auth/device', {}, { token: null }));
	const [org, ...others] = await Promise.all([owner, ...Array(4).fill(people.second)].map(async (who) => ok(await who.as.post('/api/v1/orgs', { name: 'a team' })).organization));
	const guest = invitation(org, `matrix.${randomUUID()}@example.com`);
	const welcome = others.map((o) => invitation(o, owner.email));
	await t.stack.rows([membersSql(org, { owner: people.second, admin: people.admin, member: people.read }), `UPDATE organizations SET plan = 'enterprise' WHERE id = '${org.id}';`, ...[guest, ...welcome].map((i) => i.sql)].join('\n'));
	// Without what follows from it: the owner, whose tokens are another issuer's, has shown one factor.
	const [[passkey]] = await t.stack.rows(`SET session_replication_role = replica;
		DELETE FROM passkeys WHERE user_id = '${owner.id}'; INSERT INTO passkeys (id, app_id, user_id, credential_id, public_key, name)
		SELECT gen_random_uuid(), app_id, id, sha256(gen_random_uuid()::text::bytea), '', 'key' FROM users WHERE id = '${owner.id}' RETURNING id`, '-U', 'postgres');
	const [[licence, device, licenceKey]] = await t.stack.rows(`SELECT x.id, y.id, l.license_key FROM (SELECT gen_random_uuid() AS id, gen_random_uuid() AS device) x,
		LATERAL license_issue((SELECT app_id FROM users WHERE id = '${owner.id}'), x.id, 'matrix-' || x.id, json_build_object('user_id', '${owner.id}', 'plan', 'enterprise', 'term_days', 30, 'imported', true)::jsonb, '{}') i,
		LATERAL (SELECT x.device AS id) y, LATERAL (SELECT 'matrix-' || x.id AS license_key) l`);
	await t.stack.rows(`INSERT INTO license_devices (id, license_id, machine_id) VALUES ('${device}', '${licence}', 'matrix')`);
	seat = { license_key: licenceKey, machine_id: 'matrix' };
	const ofOrg = ok(await owner.as.post(`/api/v1/orgs/${org.id}/webhooks`, { url: 'http://127.0.0.1:9/' })).webhook.id;
	await t.stack.rows('DELETE FROM webhook_endpoints WHERE organization_id IS NULL');
	const ofApp = ok(await owner.as.post('/api/v1/admin/webhooks', { url: 'http://127.0.0.1:9/' })).webhook.id;
	const delivery = async (id, base) => ok(await owner.as.post(`${base}/webhooks/${id}/test`)).delivery_id;
	const staff = { webhook_id: ofApp, delivery_id: await delivery(ofApp, '/api/v1/admin') };
	world = { license_id: licence, device_id: device, staff, webhook_id: ofOrg, delivery_id: await delivery(ofOrg, `/api/v1/orgs/${org.id}`), waiting, provider: 'google', org_id: org.id, invitation_id: guest.id, tokens: welcome.map((i) => i.token), passkey_id: passkey, workspace_id: workspace.id, graph_id: graph.id, execution_id: execution.id, user_id: people.read.id, version: 1, key_id: key.id, session_id: session };
}

/** All of the owner's rows as one digest: an attack that changes anything changes it. */
const digest = () => t.stack.one(`
	SELECT md5(string_agg(x, '|' ORDER BY x)) FROM (
		SELECT w::text AS x FROM workspaces w WHERE owner_id = '${people.owner.id}'
		UNION ALL SELECT d::text FROM documents d JOIN workspaces w ON w.id = d.workspace_id WHERE w.owner_id = '${people.owner.id}'
		UNION ALL SELECT v.document_id || ' ' || v.version || encode(v.sha256, 'hex') FROM document_versions v
			JOIN documents d ON d.id = v.document_id JOIN workspaces w ON w.id = d.workspace_id WHERE w.owner_id = '${people.owner.id}'
		UNION ALL SELECT k.id || k.name || k.scopes::text || coalesce(k.revoked_at, k.expires_at, k.created_at) FROM api_keys k WHERE user_id = '${people.owner.id}'
		UNION ALL SELECT s.id || coalesce(s.revoked_at::text, '') FROM sessions s WHERE user_id = '${people.owner.id}'
		UNION ALL SELECT o::text FROM organizations o WHERE id = '${world.org_id}'
		UNION ALL SELECT m::text FROM organization_members m WHERE organization_id = '${world.org_id}'
		UNION ALL SELECT i::text FROM organization_invitations i WHERE organization_id = '${world.org_id}'
		UNION ALL SELECT concat_ws('|', w.id, w.url, w.description, w.events, w.enabled, w.secret_sealed) FROM webhook_endpoints w WHERE organization_id = '${world.org_id}' OR id = '${world.staff.webhook_id}'
		UNION ALL SELECT d.id::text FROM webhook_deliveries d WHERE endpoint_id = '${world.webhook_id}'
		UNION ALL SELECT h::text FROM audit_heads h WHERE chain = '${world.org_id}'
		UNION ALL SELECT l::text FROM licenses l WHERE user_id = '${people.owner.id}'
		UNION ALL SELECT d.id || coalesce(d.name, '') FROM license_devices d JOIN licenses l ON l.id = d.license_id WHERE l.user_id = '${people.owner.id}'
		UNION ALL SELECT p::text FROM passkeys p WHERE user_id = '${people.owner.id}'
		UNION ALL SELECT s::text FROM document_shares s WHERE document_id = '${world.graph_id}'
		UNION ALL SELECT e.id || e.status || e.progress || coalesce(e.results::text, '') FROM executions e WHERE document_id = '${world.graph_id}') all_of_it`);

const params = (route) => [...route.path.matchAll(/\{(\w+)\}/g)].map((m) => m[1]);

function target(route, ids = world) {
	return route.path.replace(/\{(\w+)\}/g, (_, name) => {
		const id = (route.flags.includes('staff') ? ids.staff[name] : undefined) ?? ids[name];
		assert.ok(id !== undefined, `${route.id}: what is a {${name}}? Say it in makeWorld()`);
		return id;
	});
}

/** Bodies whose schema does not say all; others are made of their required members. */
const bodies = {
	LicenseHere: () => seat,
	LicenseUsage: () => ({ license_key: seat.license_key }),
	MachineCheckOut: () => seat,
	LicenseActivate: () => ({ request: { version: 1, kind: 'activation-request', product: 'fig-nodes', key: seat.license_key, machine: seat.machine_id, nonce: 'n' } }),
	DeviceAnswer: () => ({ user_code: world.waiting }),
	CueProfileChange: () => ({ firstName: 'Ada' }),
	ShareNew: () => ({ user_id: people.stranger.id, permission: 'read' }),
	GraphChange: () => ({ data: { changed: randomUUID() } }),
	WorkspaceChange: () => ({ name: `changed ${randomUUID()}` }),
	InvitationNew: () => ({ email: `matrix.${randomUUID()}@example.com` }),
	InvitationAccept: () => ({ token: world.tokens.pop() ?? newToken() }),
	WebhookNew: () => ({ url: 'http://127.0.0.1:9/' }),
	WebhookChange: () => ({ description: `changed ${randomUUID()}` }),
	OrganizationChange: () => ({ name: `changed ${randomUUID()}` }),
	ExecutionChange: () => ({ progress: 50 }),
	PasswordChange: () => ({ new_password: `Matrix-${randomUUID()}` }),
	AddressChange: () => ({ email: `matrix.${randomUUID()}@example.com` }),
};

/** Queries of routes that cannot do without one. */
const queries = { 'device.look': () => `user_code=${world.waiting}` };
/** Queries that are wrong, where none would be right. */
const wrong = { 'billing.invoices': 'limit=0', 'org.billing-invoices': 'limit=0', 'admin.figures': 'from=x', 'oauth.google': 'return_to=//', 'oauth.github': 'return_to=//', 'oauth.start': 'return_to=//', 'oauth.callback': 'state=a&state=b', 'saml.finish': 'ticket=a&ticket=b' };

function valueOf(name, schema) {
	if (world[name] !== undefined)
		return world[name];
	if (schema.enum)
		return schema.enum[0];
	const type = [schema.type].flat()[0];
	if (schema.format === 'uuid')
		return randomUUID();
	return { string: 'x'.repeat(schema.minLength || 1), integer: schema.minimum ?? 1, boolean: true, object: {} }[type];
}

function body(route) {
	if (!route.body)
		return undefined;
	if (bodies[route.body])
		return bodies[route.body]();
	const s = schemas[route.body];
	return Object.fromEntries((s.required ?? []).map((name) => [name, valueOf(name, s.properties[name])]));
}

const call = (who, route, { ids, json = body(route), ...more } = {}) =>
	who.request(route.method, `${target(route, ids)}${queries[route.id] && !route.path.includes('?') ? `?${queries[route.id]()}` : ''}`, { ...(more.body === undefined && json !== undefined ? { json } : {}), ...more });

/** What a user of another issuer cannot do, or does once: see accounts.test.mjs. */
const OWN = new Set(['password.change', 'password.reauthenticate', 'account.delete',
	// see mfa.test.mjs and passkeys.test.mjs
	'mfa.enroll', 'mfa.verify', 'mfa.challenge', 'mfa.disable', 'mfa.recovery-codes', 'mfa.passkey-options', 'mfa.passkey', 'passkey.options', 'passkey.create']);

/** The only routes for who has shown one factor of two. */
const ONE_FACTOR = ['auth.logout', 'auth.whoami', 'mfa.challenge', 'mfa.passkey-options', 'mfa.passkey', 'profile.logout', 'licence.check-out-own', 'licence.activate', 'licence.validate', 'licence.use', 'licence.heartbeat', 'licence.leave', 'licence.lease', 'licence.give-back'];

const ofUsers = () => routes.filter((r) => r.auth.includes('user'));
const ofCallers = () => routes.filter((r) => r.auth.includes('user') || r.auth.includes('key'));
const ofTenants = () => routes.filter((r) => r.tenant);
/** Who has a licence's key needs no other right: with none he is let in, with a wrong one he is not. */
const byLicence = (route) => route.auth.includes('public') && route.auth.includes('key');
const has = (route, code) => route.errors.some((e) => e.code === code);

before(async () => {
	t = await setup();
	routes = JSON.parse(await t.stack.ctl('routes', '--json')).routes;
	schemas = (await t.http.get('/openapi.json')).json.components.schemas;
	people = {};
	for (const name of ['owner', 'second', 'read', 'write', 'admin', 'stranger', 'suspended'])
		people[name] = await t.user(name);
	await t.stack.rows(`UPDATE users SET suspended_at = now() WHERE id = '${people.suspended.id}'; UPDATE users SET platform_role = 'admin' WHERE id = '${people.owner.id}'`);
	await makeWorld();
});
after(async () => {
	await t?.stack.rows('DELETE FROM webhook_endpoints');
	await t?.stop();
});

describe('who has no right to be here at all', () => {
	test('no token, a stranger’s word, an old one, one for somebody else, two kinds: refused on every route, nothing changed', async () => {
		const { owner, suspended } = people;
		const otherApp = t.stack.http('memorygraph');
		const cases = [
			['no token', { token: null }, 401, 'not-authenticated'],
			['not a bearer token', { token: null, headers: { authorization: 'Basic YTpi' } }, 401, 'not-authenticated'],
			['an expired token', { token: await t.issuer.token(owner.sub, { exp: 1_000_000_000, iat: 999_999_000 }) }, 401, 'token-expired'],
			['a token for another audience', { token: await t.issuer.token(owner.sub, { aud: 'https://elsewhere.example' }) }, 401, 'token-audience'],
			['a token and a key', { token: owner.token, headers: { 'x-api-key': 'fn_x' } }, 400, 'mixed-credentials'],
			['a suspended user', { token: suspended.token }, 403, 'account-suspended'],
		];
		const was = await digest();
		for (const route of ofUsers()) {
			for (const [name, how, status, code] of cases.slice(byLicence(route) ? 1 : 0)) {
				const r = await call(t.http, route, how);
				assert.equal(r.status, status, `${route.id}, ${name}: ${r}`);
				problem(r, code);
			}
			const r = await call(otherApp, route, { token: owner.token });
			assert.equal(r.status, 401, `${route.id}, a token of another app: ${r}`);
		}
		otherApp.close();
		assert.equal(await digest(), was);
	});
});

describe('who is somebody, but not in the way that it takes', () => {
	const by = (key) => ({ token: null, headers: { 'x-api-key': key } });

	test('keys: none that is over, none where a session is wanted, none beyond its scopes', async () => {
		const { owner } = people;
		const key = async (body) => ok(await owner.as.post('/api/v1/api-keys', body));
		const reads = (await key({ scopes: ['read'] })).api_key;
		const elsewhere = (await key({ scopes: ['nothing:read'] })).api_key;
		const over = await key({});
		await t.stack.rows(`UPDATE api_keys SET expires_at = now() WHERE id = '${over.key.id}'`);
		const was = await digest();
		for (const route of ofCallers()) {
			problem(await call(t.http, route, by(over.api_key)), 'invalid-api-key');
			const takes = route.auth.includes('key');
			problem(await call(t.http, route, by(elsewhere)), takes ? 'insufficient-scope' : 'api-key-refused');
			if (route.method !== 'GET')
				problem(await call(t.http, route, by(reads)), takes ? 'insufficient-scope' : 'api-key-refused');
		}
		assert.equal(await digest(), was);
	});

	test('a cookie without the right Origin, and a user whose second factor is still to be shown', async () => {
		const pending = await t.stack.account('fig-nodes', `matrix.pending.${randomUUID()}@example.com`);
		const login = async () => /__Host-session=([^;]+)/.exec((await t.http.post('/api/v1/auth/login', { email: pending.email, password: pending.password, session: 'cookie' }, { token: null })).headers['set-cookie'][0])[1];
		const cookie = await login();
		const how = (headers) => ({ token: null, headers: { cookie: `__Host-session=${cookie}`, ...headers } });
		for (const route of ofUsers().filter((r) => r.method !== 'GET'))
			problem(await call(t.http, route, how({ origin: 'https://elsewhere.example' })), 'origin-refused');
		const origin = `http://fig-nodes.localhost:${t.stack.port}`;
		await t.stack.rows(`UPDATE sessions SET proved_at = now() - interval '1 hour' WHERE user_id = '${pending.id}'`);
		// Each pool hears of it by itself; those come first that find nothing to change at who has no second factor: others may delete him.
		const harmless = (r) => ['mfa.recovery-codes', 'mfa.disable'].includes(r.id);
		const recent = ofUsers().filter((r) => r.flags.includes('recent')).sort((a, b) => harmless(b) - harmless(a));
		assert.deepEqual(new Set(recent.filter(harmless).map((r) => r.pool)), new Set(recent.map((r) => r.pool)));
		for (const route of recent)
			await until(`${route.id} asks for a factor again`, async () => (await call(t.http, route, how({ origin }))).code === 'reauthentication-required');
		await t.stack.rows(`UPDATE users SET mfa_enabled = true WHERE id = '${pending.id}'`);
		await until('workers know of the second factor', async () => (await t.http.get('/api/v1/me', how({}))).code === 'mfa-required');
		for (const route of ofUsers().filter((r) => !r.flags.includes('one_factor')))
			problem(await call(t.http, route, how({ origin })), 'mfa-required');
		assert.deepEqual(routes.filter((r) => r.flags.includes('one_factor')).map((r) => r.id), ONE_FACTOR);
	});
});

describe('who has a right, but not to this', () => {
	test('another user: 404 for every route with somebody’s id, and nothing changed', async () => {
		const was = await digest();
		for (const route of ofTenants().filter((r) => r.auth.includes('user'))) {
			const r = await call(people.stranger.as, route);
			assert.equal(r.status, 404, `${route.id}: ${r}`);
			assert.equal(r.code, route.missing, route.id);
		}
		assert.equal(await digest(), was);
	});

	test('what belongs to one app is not there in another, for its own users too', async () => {
		const email = `matrix.${randomUUID()}@example.com`;
		await t.stack.ctl('user', 'add', '--app', 'memorygraph', email);
		const token = (await t.stack.ctl('token', '--app', 'memorygraph', email)).trim();
		const there = t.stack.http('memorygraph').as(token);
		ok(await there.get('/api/v1/me'));
		problem(await t.http.as(token).get('/api/v1/me'), 'token-issuer');
		const was = await digest();
		for (const route of ofTenants()) {
			const r = await call(there, route);
			assert.equal(r.status, 404, `${route.id}: ${r}`);
		}
		assert.equal(await digest(), was);
		there.close();
	});

	test('ids that nobody has, and that are none, are answered as foreign ones', async () => {
		for (const route of ofTenants().filter((r) => r.auth.includes('user'))) {
			for (const id of [randomUUID(), 'none', `${randomUUID()}0`]) {
				const r = await call(people.owner.as, route, { ids: { ...world, [route.tenant]: id } });
				assert.equal(r.status, 404, `${route.id} ${id}: ${r}`);
				assert.equal(r.code, route.missing, `${route.id} ${id}`);
			}
		}
	});

	test('a foreign id in a body: not found, and nothing made', async () => {
		const count = () => t.stack.one('SELECT count(*) FROM documents');
		const was = await count();
		for (const route of ofUsers().filter((r) => r.body && !r.tenant)) {
			const b = body(route);
			if (!Object.keys(b).some((k) => world[k] !== undefined))
				continue;
			const r = await call(people.stranger.as, route, { json: b });
			assert.equal(r.status, 404, `${route.id}: ${r}`);
		}
		assert.equal(await count(), was);
	});

	test('shares: a reader changes nothing; who may write may not share, publish or delete', async () => {
		const leaves = new Set(['share.delete']); // of one's own share; tried below with somebody else's
		const writes = new Set(['graph.update', 'graph.restore', 'execution.start', 'execution.update']);
		const was = await digest();
		for (const route of ofTenants().filter((r) => r.tenant === 'graph_id' && r.auth.includes('user'))) {
			const ids = leaves.has(route.id) ? { ...world, user_id: people.write.id } : world;
			const r = await call(people.read.as, route, { ids });
			if (route.method === 'GET' && !has(route, 'denied'))
				assert.equal(r.status, 200, `${route.id}: ${r}`);
			else
				problem(r, 'denied');
		}
		problem(await call(people.read.as, routes.find((r) => r.id === 'execution.update')), 'denied');
		problem(await people.write.as.put(`/api/v1/graphs/${world.graph_id}`, { is_public: true }), 'denied');
		for (const route of ofTenants().filter((r) => r.tenant === 'graph_id' && has(r, 'denied') && !writes.has(r.id)))
			problem(await call(people.write.as, route), 'denied');
		for (const route of ofTenants().filter((r) => r.tenant === 'workspace_id'))
			for (const who of ['read', 'write', 'admin'])
				assert.equal((await call(people[who].as, route)).status, 404, `${route.id} as ${who}`);
		assert.equal(await digest(), was);
	});

	test('teams: each role does what its rows say, and no more; the owner of another does nothing', async () => {
		const rank = { member: 1, admin: 2, owner: 3 };
		const ofTeams = routes.filter((r) => r.role);
		const was = await digest();
		for (const route of ofTeams) {
			for (const [role, who] of [['member', people.read], ['admin', people.admin]]) {
				if (rank[role] < rank[route.role])
					problem(await call(who.as, route), 'insufficient-role');
				else if (route.method === 'GET')
					assert.equal((await call(who.as, route)).status, 200, `${route.id} as ${role}`);
			}
		}
		const his = await team(t, people.stranger);
		for (const route of ofTeams) {
			problem(await call(people.stranger.as, route), 'organization-not-found');
			// in his own, with what is another's
			if (params(route).length > 1 || route.body === 'OwnerChange')
				problem(await call(people.stranger.as, route, { ids: { ...world, org_id: his.id } }), 'member-not-found', 'invitation-not-found', 'webhook-not-found');
		}
		assert.equal(await digest(), was);
	});

	test('a right that was taken back is gone with the next request', async () => {
		const g = await t.graph(people.owner);
		ok(await people.owner.as.post(`${g.path}/shares`, { user_id: people.stranger.id, permission: 'admin' }));
		ok(await people.stranger.as.get(g.path));
		ok(await people.owner.as.delete(`${g.path}/shares/${people.stranger.id}`));
		for (const route of ofTenants().filter((r) => r.tenant === 'graph_id' && r.auth.includes('user'))) {
			const r = await call(people.stranger.as, route, { ids: { ...world, graph_id: g.id } });
			assert.equal(r.status, 404, `${route.id}: ${r}`);
		}
	});
});

describe('what is wrong with the request itself', () => {
	const { stringify } = JSON;

	test('every route refuses what it must, with the right status, and changes nothing', async () => {
		const was = await digest();
		for (const route of routes.filter((r) => !r.auth.includes('local'))) {
			const as = route.auth.includes('public') ? t.http : people.owner.as;
			const tries = [];
			if (has(route, 'bad-json'))
				tries.push(['bad-json', { body: '{' }]);
			if (has(route, 'unsupported-media-type'))
				tries.push(['unsupported-media-type', { headers: { 'content-type': 'text/plain' } }]);
			if (has(route, 'body-too-large'))
				tries.push(['body-too-large', { body: `${stringify(body(route))}${' '.repeat(route.body_max)}` }]);
			if (has(route, 'invalid-body'))
				tries.push(['invalid-body', route.method === 'GET' ? { query: wrong[route.id] ?? (route.flags.includes('paged') ? 'limit=0' : '') } : { body: route.flags.includes('pick') ? '[]' : '{"__proto":1}' }]);
			if (has(route, 'precondition-failed'))
				tries.push(['precondition-failed', { headers: { 'if-match': '"v999"' } }]);
			for (const [code, { query, ...how }] of tries) {
				const r = await call(as, { ...route, path: query !== undefined ? `${route.path}?${query}` : route.path }, how);
				problem(r, code);
			}
		}
		assert.equal(await digest(), was);
	});

	test('a key used for another request, and one whose first request is not over', async () => {
		const { owner } = people;
		const app = await t.stack.one("SELECT id FROM apps WHERE slug = 'fig-nodes'");
		for (const route of ofUsers().filter((r) => r.flags.includes('once'))) {
			await makeWorld();
			const key = randomUUID();
			const headers = { 'idempotency-key': key };
			ok(await call(owner.as, route, { headers }));
			problem(await call(owner.as, { ...route, path: `${route.path}?again` }, { headers }), 'idempotency-key-reused');

			const busy = randomUUID();
			const hash = createHash('sha256').update(`${route.id}\n${busy}`).digest('hex');
			const release = await holdLock(`hashtextextended('${app}' || '${owner.id}' || '${hash}', 1)`);
			const r = await call(owner.as, route, { headers: { 'idempotency-key': busy } });
			await release();
			problem(r, 'request-in-progress');
			assert.equal(r.headers['retry-after'], '1');
			ok(await call(owner.as, route, { headers: { 'idempotency-key': busy } }));
		}
	});

	/** The lock that a request with this key holds while it runs, held by a session of our own. */
	async function holdLock(expression) {
		const psql = spawn(dev, ['psql', '--state', t.stack.state, '-X', '-q'], { stdio: ['pipe', 'pipe', 'inherit'] });
		let said = '';
		psql.stdout.on('data', (d) => {
			said += d;
		});
		const say = async (statement, word) => {
			psql.stdin.write(`${statement};\n\\echo ${word}\n`);
			await until(word, () => said.includes(word));
		};
		await say(`SELECT pg_advisory_lock(${expression})`, 'lock-is-held');
		return async () => {
			await say(`SELECT pg_advisory_unlock(${expression})`, 'lock-is-free');
			psql.stdin.end();
		};
	}

	test('every error that needs a state of its own', async () => {
		const { owner, read } = people;
		const g = await t.graph(owner);
		const none = randomUUID();
		problem(await owner.as.get(`${g.path}/versions/99`), 'version-not-found');
		problem(await owner.as.post(`${g.path}/restore/99`), 'version-not-found');
		problem(await owner.as.put(g.path, { data: { a: 2 }, base_version: 99 }), 'version-conflict');
		problem(await owner.as.post(`${g.path}/shares`, { user_id: none, permission: 'read' }), 'user-not-found');
		problem(await owner.as.post(`${g.path}/shares`, { user_id: owner.id, permission: 'read' }), 'conflict');
		problem(await owner.as.put(`${g.path}/shares/${none}`, { permission: 'read' }), 'share-not-found');
		problem(await owner.as.delete(`${g.path}/shares/${none}`), 'share-not-found');
		problem(await read.as.get('/api/v1/public/graphs/none'), 'graph-not-found');
		problem(await read.as.get(`/api/v1/public/graphs/${world.graph_id}`), 'graph-not-found');
		const { execution } = ok(await owner.as.post(`${g.path}/executions`));
		problem(await owner.as.put(`/api/v1/executions/${execution.id}`, { status: 'completed' }), 'execution-state');
		const strict = await t.graph(owner, { workspace: await t.workspace(owner, { require_base: true }) });
		problem(await owner.as.put(strict.path, { data: { a: 2 } }), 'precondition-required');
	});

	test('the owner may do all of it: the matrix attacks what works', async () => {
		for (const method of ['GET', 'POST', 'PUT', 'DELETE']) {
			// what is Stripe's to answer: see billing-faults.test.mjs
			for (const route of ofUsers().filter((r) => r.method === method && !OWN.has(r.id) && !has(r, 'billing-not-configured'))) {
				if (method !== 'GET')
					await makeWorld();
				const r = await call(people.owner.as, route);
				assert.equal(r.status, 200, `${route.id}: ${r}`);
				if (route.id === 'session.revoke-all') // and of the token that it was called with
					people.owner.as = t.http.as(await t.issuer.token(people.owner.sub, { iat: Math.floor(Date.now() / 1000) + 2 }));
			}
		}
	});
});
