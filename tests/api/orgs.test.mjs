// Teams (CONTRACT E2-E4, E15, E17, E18, K10, D13; SECURITY T17-T19, T21, T40, T11 of invitations).
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { hold } from '../lib/attempts.mjs';
import { Mailbox } from '../lib/mailbox.mjs';
import { ok, problem, setup } from '../lib/setup.mjs';
import { accept, audited, invited, newToken, roles, team } from '../lib/teams.mjs';
import { inParallel } from '../lib/wait.mjs';

let t, mailbox, ann, bob, eve, zoe;

before(async () => {
	t = await setup();
	mailbox = new Mailbox(t.stack);
	[ann, bob, eve, zoe] = await inParallel(['ann', 'bob', 'eve', 'zoe'], 4, (n) => t.user(n));
});
after(() => t?.stop());

const seats = (org, n) => t.stack.rows(`UPDATE organizations SET max_seats = ${n} WHERE id = '${org.id}'`);
const stale = async (user) => t.http.as(await t.issuer.token(user.sub, { iat: Math.floor(Date.now() / 1000) - 1000 }));

describe('an organisation', () => {
	test('made, shown, listed with the caller’s role, changed, deleted', async () => {
		const { organization: o } = ok(await ann.as.post('/api/v1/orgs', { name: 'FlowScope Team', slug: `flowscope-${randomUUID().slice(0, 8)}` }));
		assert.deepEqual(Object.keys(o).sort(), ['audit_log_retention_days', 'created_at', 'id', 'max_seats', 'name', 'role', 'seats_used', 'settings', 'slug', 'sso_domain', 'sso_enabled', 'tier', 'updated_at']);
		assert.deepEqual({ role: o.role, tier: o.tier, seats: o.max_seats, used: o.seats_used, days: o.audit_log_retention_days, settings: o.settings, sso: o.sso_enabled }, { role: 'owner', tier: 'free', seats: 5, used: 1, days: 90, settings: {}, sso: false });
		const at = `/api/v1/orgs/${o.id}`;
		assert.deepEqual(ok(await ann.as.get(at)).organization, o);
		assert.deepEqual(ok(await ann.as.get('/api/v1/orgs')).organizations.find((x) => x.id === o.id), { id: o.id, name: o.name, slug: o.slug, tier: 'free', role: 'owner' });
		const changed = ok(await ann.as.put(at, { name: 'renamed', settings: { colour: 'blue', nested: [1, { a: null }] }, audit_log_retention_days: 30 })).organization;
		assert.deepEqual({ name: changed.name, settings: changed.settings, days: changed.audit_log_retention_days }, { name: 'renamed', settings: { colour: 'blue', nested: [1, { a: null }] }, days: 30 });
		assert.equal(ok(await ann.as.put(at, { name: 'again' })).organization.audit_log_retention_days, 30);
		assert.deepEqual(ok(await ann.as.get(`${at}/seats`)), { seats: { max: 5, used: 1, invited: 0 } });
		assert.deepEqual(ok(await ann.as.delete(at)), { success: true });
		problem(await ann.as.get(at), 'organization-not-found');
		assert.deepEqual(await audited(t, o), ['org.create', 'org.update', 'org.update', 'org.delete']);
		assert.equal(await t.stack.one(`SELECT count(*) FROM audit_logs WHERE organization_id IS NULL AND action = 'org.delete' AND resource_id = '${o.id}'`), '1', 'the app’s log has it too');
	});

	test('its slug: made of the name, once in the app, never like an id (T40)', async () => {
		const made = async (body) => ok(await ann.as.post('/api/v1/orgs', body)).organization.slug;
		assert.match(await made({ name: 'Łódź & Söhne GmbH!' }), /^d-s-hne-gmbh-[0-9a-f]{6}$/);
		assert.match(await made({ name: '日本' }), /^[0-9a-f]{6}$/);
		assert.match(await made({ name: 'x'.repeat(200) }), /^x{23}-[0-9a-f]{6}$/);
		assert.notEqual(await made({ name: 'same' }), await made({ name: 'same' }));
		const slug = `s${randomUUID().slice(0, 8)}`;
		await made({ name: 'x', slug });
		problem(await bob.as.post('/api/v1/orgs', { name: 'y', slug }), 'conflict');
		for (const bad of [randomUUID(), randomUUID().replaceAll('-', ''), 'Upper', '-a', 'a-', 'a b', 'a/b', 'ä', '', 'x'.repeat(31), 'a\u0000', null, 7])
			if (bad !== null)
				problem(await ann.as.post('/api/v1/orgs', { name: 'x', slug: bad }), 'invalid-body', 'bad-json');
	});

	test('bounds, and nothing that is not the caller’s to set (T19)', async () => {
		const o = await team(t, ann);
		const was = await t.stack.one(`SELECT o::text FROM organizations o WHERE id = '${o.id}'`);
		for (const body of [{}, { name: '' }, { name: 'x'.repeat(201) }, { name: ['x'] }, { name: 'x', plan: 'enterprise' }, { name: 'x', tier: 'enterprise' }, { name: 'x', max_seats: 99 }, { name: 'x', app_id: randomUUID() }, { name: 'x', id: randomUUID() }])
			problem(await ann.as.post('/api/v1/orgs', body), 'invalid-body');
		for (const body of [{ plan: 'enterprise' }, { tier: 'enterprise' }, { max_seats: 99 }, { maxSeats: 99 }, { slug: 'mine' }, { role: 'owner' }, { sso_domain: 'example.com' }, { sso_enabled: true }, { settings: [] }, { settings: 'x' }, { audit_log_retention_days: 0 }, { audit_log_retention_days: 3651 }, { name: '' }])
			problem(await ann.as.put(o.path, body), 'invalid-body');
		problem(await ann.as.put(o.path, { settings: { x: 'y'.repeat(17_000) } }), 'body-too-large');
		assert.equal(await t.stack.one(`SELECT o::text FROM organizations o WHERE id = '${o.id}'`), was);
	});

	test('pages of the list and of members, by signed cursors', async () => {
		const u = await t.user('lister');
		const made = [];
		for (let i = 0; i < 5; i++)
			made.unshift((await team(t, u)).id);
		const first = ok(await u.as.get('/api/v1/orgs?limit=3'));
		const second = ok(await u.as.get(`/api/v1/orgs?limit=3&cursor=${first.next_cursor}`));
		assert.deepEqual([...first.organizations, ...second.organizations].map((o) => o.id), made);
		assert.deepEqual([first.has_more, second.has_more, second.next_cursor], [true, false, null]);
		problem(await ann.as.get(`/api/v1/orgs?cursor=${first.next_cursor}`), 'invalid-body');
		const o = await team(t, u, { member: [ann, bob], admin: eve });
		const a = ok(await u.as.get(`${o.path}/members?limit=3`));
		const b = ok(await u.as.get(`${o.path}/members?limit=3&cursor=${a.next_cursor}`));
		const all = [...a.members, ...b.members];
		assert.equal(all.length, 4);
		assert.deepEqual(Object.keys(all[0]).sort(), ['display_name', 'email', 'joined_at', 'role', 'user_id']);
		assert.deepEqual(Object.fromEntries(all.map((m) => [m.user_id, m.role])), await roles(t, o));
		assert.equal(all.find((m) => m.user_id === ann.id).email, ann.email);
	});

	test('a POST sent twice with one key has one effect', async () => {
		const headers = { 'idempotency-key': randomUUID() };
		const body = { name: 'once' };
		const a = ok(await zoe.as.post('/api/v1/orgs', body, { headers }));
		assert.deepEqual(ok(await zoe.as.post('/api/v1/orgs', body, { headers })), a);
		assert.equal(await t.stack.one(`SELECT count(*) FROM organization_members WHERE user_id = '${zoe.id}'`), '1');
	});
});

describe('roles', () => {
	test('who may do what (E18)', async () => {
		const o = await team(t, ann, { admin: bob, member: eve });
		for (const path of ['', '/seats', '/members'])
			for (const who of [ann, bob, eve])
				ok(await who.as.get(`${o.path}${path}`));
		for (const path of ['/invitations', '/audit-logs']) {
			for (const who of [ann, bob])
				ok(await who.as.get(`${o.path}${path}`));
			problem(await eve.as.get(`${o.path}${path}`), 'insufficient-role');
		}
		const p = problem(await eve.as.put(o.path, { name: 'hers' }), 'insufficient-role');
		assert.equal(p.error, 'Insufficient organization permissions');
		ok(await bob.as.put(o.path, { name: 'his' }));
		problem(await bob.as.put(o.path, { audit_log_retention_days: 1 }), 'insufficient-role');
		problem(await bob.as.delete(o.path), 'insufficient-role');
		problem(await bob.as.put(`${o.path}/owner`, { user_id: bob.id }), 'insufficient-role');
		for (const path of ['', '/seats', '/members', '/invitations', '/audit-logs'])
			problem(await zoe.as.get(`${o.path}${path}`), 'organization-not-found');
	});

	test('nobody grants above the own role, nor touches whose is above it (T18)', async () => {
		const o = await team(t, ann, { admin: bob, member: eve });
		const put = (who, whom, role) => who.as.put(`${o.path}/members/${whom.id}`, { role });
		const was = await roles(t, o);
		for (const [who, whom, role] of [[bob, bob, 'owner'], [bob, eve, 'owner'], [bob, ann, 'member'], [bob, ann, 'owner'], [eve, eve, 'admin'], [eve, bob, 'member']])
			problem(await put(who, whom, role), 'insufficient-role');
		problem(await bob.as.delete(`${o.path}/members/${ann.id}`), 'insufficient-role');
		problem(await bob.as.post(`${o.path}/invitations`, { email: zoe.email, role: 'owner' }), 'insufficient-role');
		problem(await put(zoe, zoe, 'owner'), 'organization-not-found');
		problem(await put(ann, zoe, 'admin'), 'member-not-found');
		problem(await put(ann, { id: randomUUID() }, 'admin'), 'member-not-found');
		problem(await ann.as.delete(`${o.path}/members/${zoe.id}`), 'member-not-found');
		for (const body of [{}, { role: 'king' }, { role: null }, { role: ['owner'] }, { role: 'admin', user_id: zoe.id }, { roles: 'admin' }])
			problem(await ann.as.put(`${o.path}/members/${eve.id}`, body), 'invalid-body');
		assert.deepEqual(await roles(t, o), was);
		ok(await put(bob, eve, 'admin'));
		ok(await put(ann, bob, 'owner'));
		assert.deepEqual(await roles(t, o), { [ann.id]: 'owner', [bob.id]: 'owner', [eve.id]: 'admin' });
	});

	test('a role that was lowered counts from the next request on', async () => {
		const o = await team(t, ann, { admin: bob });
		ok(await bob.as.get(`${o.path}/invitations`));
		ok(await ann.as.put(`${o.path}/members/${bob.id}`, { role: 'member' }));
		problem(await bob.as.get(`${o.path}/invitations`), 'insufficient-role');
		ok(await ann.as.delete(`${o.path}/members/${bob.id}`));
		problem(await bob.as.get(o.path), 'organization-not-found');
	});

	test('an organisation keeps an owner; two who give it up at once leave one', async () => {
		const o = await team(t, ann, { admin: bob });
		problem(await ann.as.put(`${o.path}/members/${ann.id}`, { role: 'admin' }), 'last-owner');
		problem(await ann.as.delete(`${o.path}/members/me`), 'last-owner');
		problem(await ann.as.delete(`${o.path}/members/${ann.id}`), 'last-owner');
		for (let round = 0; round < 10; round++) {
			await t.stack.rows(`UPDATE organization_members SET role = 'owner' WHERE organization_id = '${o.id}'`);
			const replies = await Promise.all([
				ann.as.put(`${o.path}/members/${ann.id}`, { role: 'member' }),
				bob.as.put(`${o.path}/members/${bob.id}`, { role: 'member' }),
			]);
			assert.deepEqual(replies.map((r) => r.code ?? r.status).sort(), [200, 'last-owner']);
			assert.deepEqual(Object.values(await roles(t, o)).sort(), ['member', 'owner']);
		}
	});

	test('two owners who leave, or put each other out, at once: one stays', async () => {
		for (let round = 0; round < 10; round++) {
			const o = await team(t, ann, { owner: bob });
			const replies = await Promise.all(round % 2
				? [ann.as.delete(`${o.path}/members/me`), bob.as.delete(`${o.path}/members/me`)]
				: [ann.as.delete(`${o.path}/members/${bob.id}`), bob.as.delete(`${o.path}/members/${ann.id}`)]);
			assert.equal(replies.filter((r) => r.status === 200).length, 1, replies.map(String).join('\n'));
			assert.deepEqual(Object.values(await roles(t, o)), ['owner']);
		}
	});

	test('ownership is handed over, by who proved himself just now', async () => {
		const o = await team(t, ann, { member: bob });
		problem(await (await stale(ann)).put(`${o.path}/owner`, { user_id: bob.id }), 'reauthentication-required');
		problem(await (await stale(ann)).delete(o.path), 'reauthentication-required');
		problem(await ann.as.put(`${o.path}/owner`, { user_id: zoe.id }), 'member-not-found');
		ok(await ann.as.put(`${o.path}/owner`, { user_id: bob.id }));
		assert.deepEqual(await roles(t, o), { [ann.id]: 'admin', [bob.id]: 'owner' });
		problem(await ann.as.put(`${o.path}/owner`, { user_id: ann.id }), 'insufficient-role');
		assert.deepEqual((await audited(t, o)).slice(-1), ['org.owner.transfer']);
	});
});

describe('invitations', () => {
	test('mailed, and accepted once by the one they were sent to', async () => {
		const o = await team(t, ann, {}, { name: 'Ends & Means <b>' });
		const { invitation: i } = ok(await ann.as.post(`${o.path}/invitations`, { email: bob.email.toUpperCase(), role: 'admin' }));
		assert.deepEqual(Object.keys(i).sort(), ['created_at', 'email', 'expires_at', 'id', 'invited_by', 'role']);
		assert.equal(i.invited_by, ann.id);
		assert.ok(Math.abs(Date.parse(i.expires_at) - Date.parse(i.created_at) - 7 * 86_400_000) < 60_000);
		const mail = await mailbox.next(bob.email, /invite/);
		assert.match(mail.subject, /Ends & Means <b>/);
		assert.match(mail.token, /^[A-Za-z0-9_-]{43}$/);
		assert.equal(await t.stack.one(`SELECT count(*) FROM organization_invitations i WHERE i::text LIKE '%${mail.token}%'`), '0', 'the token is stored nowhere');
		assert.deepEqual(ok(await ann.as.get(`${o.path}/invitations`)).invitations, [i]);
		assert.deepEqual(ok(await ann.as.get(`${o.path}/seats`)).seats.invited, 1);
		problem(await accept(eve, mail.token), 'link-invalid');
		assert.deepEqual(ok(await accept(bob, mail.token)), { organization_id: o.id, role: 'admin' });
		problem(await accept(bob, mail.token), 'link-invalid');
		assert.deepEqual(await roles(t, o), { [ann.id]: 'owner', [bob.id]: 'admin' });
		assert.deepEqual(ok(await ann.as.get(`${o.path}/invitations`)).invitations, []);
		assert.deepEqual((await audited(t, o)).slice(-2), ['org.invitation.create', 'org.member.join']);
	});

	test('sent again the old link is void; taken back both are', async () => {
		const o = await team(t, ann);
		const who = await t.user('again');
		const { invitation: i } = ok(await ann.as.post(`${o.path}/invitations`, { email: who.email }));
		const first = await mailbox.next(who.email, /invite/, 1);
		const again = ok(await ann.as.post(`${o.path}/invitations/${i.id}/resend`)).invitation;
		assert.equal(again.id, i.id);
		assert.ok(again.expires_at > i.expires_at);
		const second = await mailbox.next(who.email, /invite/, 2);
		assert.notEqual(first.token, second.token);
		problem(await accept(who, first.token), 'link-invalid');
		ok(await ann.as.delete(`${o.path}/invitations/${i.id}`));
		problem(await accept(who, second.token), 'link-invalid');
		problem(await ann.as.delete(`${o.path}/invitations/${i.id}`), 'invitation-not-found');
		problem(await ann.as.post(`${o.path}/invitations/${i.id}/resend`), 'invitation-not-found');
		assert.deepEqual((await audited(t, o)).slice(-3), ['org.invitation.create', 'org.invitation.resend', 'org.invitation.revoke']);
	});

	test('nobody learns from them who has an account, or why a link is not taken (T11)', async () => {
		const o = await team(t, ann);
		const known = ok(await ann.as.post(`${o.path}/invitations`, { email: zoe.email })).invitation;
		const unknown = ok(await ann.as.post(`${o.path}/invitations`, { email: `${randomUUID()}@example.com` })).invitation;
		assert.deepEqual(Object.keys(known), Object.keys(unknown));
		const [over] = await invited(t, await team(t, ann), eve.email, 'member', '-1 s');
		const [others] = await invited(t, await team(t, ann), bob.email);
		const said = [];
		for (const token of [over.token, others.token, newToken(), 'x', 'A'.repeat(43), '"', '𝔘'])
			said.push(problem(await accept(eve, token), 'link-invalid').detail);
		assert.equal(new Set(said).size, 1);
		const token = newToken();
		const loose = await t.issuer.token(`auth0|loose-${randomUUID()}`, { email: `${randomUUID()}@example.com`, email_verified: false });
		problem(await t.http.as(loose).post('/api/v1/orgs/invitations/accept', { token }), 'email-unverified');
	});

	test('who cannot be invited', async () => {
		const o = await team(t, ann, { member: bob });
		const post = (body) => ann.as.post(`${o.path}/invitations`, body);
		problem(await post({ email: bob.email }), 'conflict');
		ok(await post({ email: eve.email }));
		problem(await post({ email: eve.email.toUpperCase() }), 'conflict');
		for (const body of [{}, { email: 'x' }, { email: 'no-at-sign' }, { email: 'a@b\r\nBcc: c@d' }, { email: [eve.email, zoe.email] }, { email: zoe.email, role: 'king' }, { email: `${'x'.repeat(320)}@example.com` }, { email: zoe.email, invited_by: bob.id }, { email: zoe.email, token_hash: 'x' }])
			problem(await post(body), 'invalid-body');
		await invited(t, o, Array.from({ length: 99 }, (_, i) => `guest${i}@example.com`));
		problem(await post({ email: zoe.email }), 'limit-reached');
		assert.equal(await t.stack.one(`SELECT count(*) FROM organization_invitations WHERE organization_id = '${o.id}'`), '100');
		const [{ token }] = await invited(t, await team(t, ann, { member: eve }), eve.email);
		problem(await accept(eve, token), 'conflict');
	});

	test('nobody’s mailbox is filled, from however many organisations', async () => {
		const victim = `victim.${randomUUID()}@example.com`;
		const replies = [];
		for (let i = 0; i < 12; i++) {
			const { path } = await team(t, ann);
			if (i >= 10)
				await hold(t.stack);
			replies.push(await ann.as.post(`${path}/invitations`, { email: i % 2 ? victim : victim.toUpperCase() }));
		}
		assert.equal(replies.filter((r) => r.status === 200).length, 10);
		problem(replies[11], 'too-many-attempts');
		assert.ok(Number(replies[11].headers['retry-after']) >= 1);
		const mine = await team(t, ann);
		const [{ id }] = await invited(t, mine, victim);
		problem(await ann.as.post(`${mine.path}/invitations/${id}/resend`), 'too-many-attempts');
	});

	test('one token fifty times at once: one membership', async () => {
		const o = await team(t, ann);
		const who = await t.user('fifty');
		const [{ token }] = await invited(t, o, who.email);
		const replies = await Promise.all(Array.from({ length: 50 }, () => accept(who, token)));
		assert.equal(replies.filter((r) => r.status === 200).length, 1);
		for (const r of replies.filter((x) => x.status !== 200))
			problem(r, 'link-invalid');
		assert.deepEqual(await roles(t, o), { [ann.id]: 'owner', [who.id]: 'member' });
		assert.equal((await audited(t, o)).filter((a) => a === 'org.member.join').length, 1);
	});

	test('two hundred join at once where one seat is left: exactly one (T21)', async () => {
		const o = await team(t, ann, { member: bob });
		await seats(o, 3);
		const users = await inParallel(Array.from({ length: 200 }), 8, (_, i) => t.user(`joiner${i}`));
		const made = await invited(t, o, users.map((u) => u.email));
		const replies = await Promise.all(users.map((u, i) => accept(u, made[i].token)));
		assert.equal(replies.filter((r) => r.status === 200).length, 1);
		for (const r of replies.filter((x) => x.status !== 200))
			problem(r, 'no-seats-left', 'contention');
		assert.equal(Object.keys(await roles(t, o)).length, 3);
		assert.equal(await t.stack.one(`SELECT count(*) FROM organization_invitations WHERE organization_id = '${o.id}'`), '199', 'whom there was no seat for may still come');
		await seats(o, 4);
		const late = replies.findIndex((r) => r.status !== 200);
		ok(await accept(users[late], made[late].token));
	});
});

describe('its workspaces', () => {
	const ws = async (who, o, more = {}) => ok(await who.as.post('/api/v1/workspaces', { name: 'shared', organization_id: o.id, ...more })).workspace;
	const at = (w) => `/api/v1/workspaces/${w.id}`;

	test('members reach what is the team’s, by their role; what is private nobody but its owner', async () => {
		const o = await team(t, ann, { admin: bob, member: eve });
		const w = await ws(eve, o, { project_type: 'agent', git_repository: 'https://example.com/r.git', local_path: '/home/eve/r', settings: { a: [1] } });
		const shown = ok(await bob.as.get(at(w))).workspace;
		assert.deepEqual([shown.organization_id, shown.visibility, shown.project_type, shown.git_repository, shown.local_path, shown.settings], [o.id, 'team', 'agent', 'https://example.com/r.git', '/home/eve/r', { a: [1] }]);
		const g = await t.graph(eve, { workspace: w, data: { n: 1 } });
		for (const who of [ann, bob, eve]) {
			ok(await who.as.get(g.path));
			ok(await who.as.put(g.path, { data: { by: who.id } }));
			assert.ok(ok(await who.as.get('/api/v1/workspaces')).workspaces.some((x) => x.id === w.id && x.organization_id === o.id && x.visibility === 'team'));
		}
		problem(await zoe.as.get(g.path), 'graph-not-found');
		problem(await zoe.as.get(at(w)), 'workspace-not-found');
		// eve owns this one; of bob's she is a member only
		const other = await ws(bob, o);
		const his = await t.graph(bob, { workspace: other });
		problem(await eve.as.put(at(other), { name: 'hers' }), 'denied');
		problem(await eve.as.delete(at(other)), 'denied');
		problem(await eve.as.delete(his.path), 'denied');
		ok(await ann.as.put(at(other), { visibility: 'private' }));
		for (const who of [ann, eve]) {
			problem(await who.as.get(at(other)), 'workspace-not-found');
			problem(await who.as.get(his.path), 'graph-not-found');
		}
		ok(await bob.as.get(his.path));
		ok(await ann.as.delete(at(w)));
		assert.deepEqual((await audited(t, o)).slice(1), ['workspace.create', 'workspace.create', 'workspace.update', 'workspace.delete']);
	});

	test('listed by organisation, in pages', async () => {
		const o = await team(t, ann, { member: bob });
		const other = await team(t, ann, { member: bob });
		await t.workspace(bob);
		const made = [];
		for (let i = 0; i < 5; i++)
			made.unshift((await ws(i % 2 ? ann : bob, o)).id);
		await ws(ann, other);
		const list = async (q) => ok(await bob.as.get(`/api/v1/workspaces?organization_id=${o.id}${q}`));
		const first = await list('&limit=2');
		const second = await list(`&limit=2&cursor=${first.next_cursor}`);
		const third = await list(`&limit=2&cursor=${second.next_cursor}`);
		assert.deepEqual([first, second, third].flatMap((p) => p.workspaces.map((w) => w.id)), made);
		assert.equal(third.has_more, false);
		assert.deepEqual(ok(await zoe.as.get(`/api/v1/workspaces?organization_id=${o.id}`)).workspaces, []);
	});

	test('a foreign organisation is not there; a personal workspace has no team (K10)', async () => {
		const o = await team(t, ann);
		for (const id of [o.id, randomUUID()])
			problem(await bob.as.post('/api/v1/workspaces', { name: 'x', organization_id: id }), 'organization-not-found');
		problem(await bob.as.post('/api/v1/workspaces', { name: 'x', visibility: 'team' }), 'invalid-body');
		problem(await bob.as.post('/api/v1/workspaces', { name: 'x', visibility: 'secret' }), 'invalid-body');
		const mine = await t.workspace(bob);
		problem(await bob.as.put(at(mine), { visibility: 'team' }), 'invalid-body');
		problem(await bob.as.put(at(mine), { organization_id: o.id }), 'invalid-body');
		const item = ok(await bob.as.get('/api/v1/workspaces')).workspaces.find((w) => w.id === mine.id);
		assert.deepEqual(Object.keys(item).sort(), ['created_at', 'description', 'id', 'name'], 'as it was before there were teams');
	});

	test('what is public anyone may read who has its id, and nobody else may write', async () => {
		const o = await team(t, ann);
		const w = await ws(ann, o, { visibility: 'public' });
		const g = await t.graph(ann, { workspace: w, data: { n: 1 } });
		assert.deepEqual(ok(await t.http.get(`/api/v1/public/graphs/${g.id}`)).graph.data, { n: 1 });
		problem(await zoe.as.put(g.path, { data: {} }), 'graph-not-found');
		ok(await ann.as.put(at(w), { visibility: 'team' }));
		problem(await t.http.get(`/api/v1/public/graphs/${g.id}`), 'graph-not-found');
	});

	test('who leaves has nothing there any more, and what he made stays', async () => {
		const o = await team(t, ann, { admin: bob, member: eve });
		const his = await ws(bob, o);
		const secret = await ws(bob, o, { visibility: 'private' });
		const g = await t.graph(bob, { workspace: his });
		const kept = await t.graph(ann, { workspace: await ws(ann, o, { visibility: 'private' }) });
		ok(await ann.as.post(`${kept.path}/shares`, { user_id: bob.id, permission: 'admin' }));
		ok(await bob.as.delete(`${o.path}/members/me`));
		for (const path of [at(his), at(secret), g.path, kept.path])
			assert.equal((await bob.as.get(path)).status, 404, path);
		for (const path of [at(his), at(secret), g.path])
			ok(await ann.as.get(path));
		ok(await eve.as.get(g.path));
		problem(await eve.as.get(at(secret)), 'workspace-not-found');
		assert.deepEqual((await audited(t, o)).slice(-1), ['org.member.leave']);
	});

	test('an organisation takes its workspaces along', async () => {
		const o = await team(t, ann, { member: bob });
		const g = await t.graph(bob, { workspace: await ws(bob, o) });
		ok(await ann.as.delete(o.path));
		problem(await bob.as.get(g.path), 'graph-not-found');
		assert.equal(await t.stack.one(`SELECT count(*) FROM workspaces WHERE organization_id = '${o.id}'`), '0');
	});
});

describe('an operator', () => {
	const ctl = (...args) => t.stack.ctl('org', ...args, '--app', 'fig-nodes');

	test('makes one, adds and changes members, sets its plan', async () => {
		const slug = `flowscope-${randomUUID().slice(0, 8)}`;
		const id = (await ctl('create', 'FlowScope Team', slug, ann.email)).split(' ')[0];
		const o = { id, path: `/api/v1/orgs/${id}` };
		assert.equal(ok(await ann.as.get(o.path)).organization.role, 'owner');
		await ctl('add-member', slug, bob.email, 'member');
		await ctl('set-role', id, bob.email, 'admin');
		await ctl('set-plan', slug, 'enterprise', '--seats', '2');
		const shown = ok(await bob.as.get(o.path)).organization;
		assert.deepEqual([shown.tier, shown.max_seats, shown.seats_used, shown.role], ['enterprise', 2, 2, 'admin']);
		await assert.rejects(ctl('add-member', slug, eve.email, 'member'), /All seats/);
		await assert.rejects(ctl('set-role', slug, ann.email, 'member'), /at least one owner/);
		await assert.rejects(ctl('set-plan', slug, 'gold'), /has no plan 'gold'/);
		await assert.rejects(ctl('show', randomUUID()), /Organization not found/);
		assert.match(await ctl('members', slug), new RegExp(`${bob.id} admin +${bob.email}`));
		assert.match(await ctl('list'), new RegExp(`${id} ${slug} +enterprise +2/2 FlowScope Team`));
		assert.match(await ctl('show', id), /seats +2 of 2/);
		await ctl('remove-member', slug, bob.email);
		problem(await bob.as.get(o.path), 'organization-not-found');
		assert.deepEqual(await audited(t, o), ['org.create', 'org.member.join', 'org.member.role', 'org.plan', 'org.member.remove']);
		assert.equal(await t.stack.one(`SELECT count(*) FROM audit_logs WHERE chain = '${id}' AND user_id IS NOT NULL`), '0');
	});
});

describe('races between what must not meet', () => {
	test('a workspace made by who is just put out is the team’s, or not made', async () => {
		for (let round = 0; round < 10; round++) {
			const o = await team(t, ann, { member: bob });
			const [made, gone] = await Promise.all([
				bob.as.post('/api/v1/workspaces', { name: 'late', organization_id: o.id }),
				ann.as.delete(`${o.path}/members/${bob.id}`),
			]);
			ok(gone);
			assert.ok(made.status === 200 || made.code === 'organization-not-found', String(made));
			assert.equal(await t.stack.one(`SELECT count(*) FROM workspaces WHERE organization_id = '${o.id}' AND owner_id = '${bob.id}'`), '0');
			if (made.status === 200)
				assert.equal((await bob.as.get(`/api/v1/workspaces/${made.json.workspace.id}`)).status, 404);
		}
	});

	test('an admin who is put out while he invites has invited nobody', async () => {
		for (let round = 0; round < 5; round++) {
			const o = await team(t, ann, { admin: bob });
			const [, gone] = await Promise.all([
				bob.as.post(`${o.path}/invitations`, { email: `${randomUUID()}@example.com`, role: 'admin' }),
				ann.as.delete(`${o.path}/members/${bob.id}`),
			]);
			ok(gone);
			assert.equal(await t.stack.one(`SELECT count(*) FROM organization_invitations WHERE organization_id = '${o.id}'`), '0');
		}
	});
});
