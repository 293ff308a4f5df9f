// The deployment's administrators (D47): who is one, what they may, and that nobody makes himself one (T18).
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { ok, problem } from '../lib/setup.mjs';
import { Stack } from '../lib/stack.mjs';
import { until } from '../lib/wait.mjs';

const APP = 'flowscope';
let stack, http, boss, ann;

async function account(name) {
	const who = await stack.account(APP, `${name}.${randomBytes(6).toString('hex')}@example.com`);
	const { access_token } = ok(await http.post('/api/v1/auth/login', { email: who.email, password: who.password }));
	return { ...who, token: access_token, as: http.as(access_token) };
}
const staff = (who, role) => stack.ctl('user', 'staff', '--app', APP, '--role', role, who.email);

before(async () => {
	stack = Stack.attach();
	http = stack.http(APP);
	[boss, ann] = [await account('boss'), await account('ann')];
	await staff(boss, 'admin');
	await until('he is staff everywhere', async () => {
		for (let n = 0; n < 12; n++)
			if ((await boss.as.get('/api/v1/admin/users')).status !== 200)
				return false;
		return true;
	});
});
after(() => http?.close());

describe('staff', () => {
	test('finds users, in pages, those of this app only', async () => {
		const { users } = ok(await boss.as.get(`/api/v1/admin/users?email=${ann.email.slice(0, 12)}`));
		assert.equal(users.length, 1);
		assert.deepEqual([users[0].id, users[0].email_verified, users[0].suspended, users[0].platform_role], [ann.id, true, false, null]);
		assert.ok(!JSON.stringify(users).includes('argon2'));
		const page = ok(await boss.as.get('/api/v1/admin/users?limit=1'));
		assert.equal(page.has_more, true);
		const next = ok(await boss.as.get(`/api/v1/admin/users?limit=1&cursor=${page.next_cursor}`));
		assert.notEqual(next.users[0].id, page.users[0].id);
		const elsewhere = await stack.account('cue', `else.${randomBytes(6).toString('hex')}@example.com`);
		problem(await boss.as.get(`/api/v1/admin/users/${elsewhere.id}`), 'user-not-found');
		for (const verb of ['suspend', 'unsuspend', 'sign-out'])
			problem(await boss.as.post(`/api/v1/admin/users/${elsewhere.id}/${verb}`), 'user-not-found');
	});

	test('suspends at once, and lets in again; not himself', async () => {
		assert.equal(ok(await boss.as.post(`/api/v1/admin/users/${ann.id}/suspend`)).user.suspended, true);
		await until('she is refused everywhere', async () => {
			for (let n = 0; n < 12; n++)
				if ((await ann.as.get('/api/v1/me')).code !== 'account-suspended')
					return false;
			return true;
		}, { within: 5000 });
		ok(await boss.as.post(`/api/v1/admin/users/${ann.id}/unsuspend`));
		await until('she is in again', async () => (await ann.as.get('/api/v1/me')).status === 200);
		problem(await boss.as.post(`/api/v1/admin/users/${boss.id}/suspend`), 'conflict');
		problem(await boss.as.post(`/api/v1/admin/users/${boss.id}/unsuspend`), 'conflict');
		const trail = await stack.rows(`SELECT action FROM audit_logs WHERE resource_id = '${ann.id}' AND user_id = '${boss.id}' ORDER BY seq`);
		assert.deepEqual(trail.map(([a]) => a), ['user.suspend', 'user.unsuspend']);
	});

	test('signs somebody out', async () => {
		const ben = await account('ben');
		ok(await ben.as.get('/api/v1/me'));
		ok(await boss.as.post(`/api/v1/admin/users/${ben.id}/sign-out`));
		await until('he is out', async () => (await ben.as.get('/api/v1/me')).status === 401, { within: 5000 });
	});

	test('nobody else is: not a key, not who was one, and support looks at users and licences only', async () => {
		const cy = await account('cy');
		const routes = JSON.parse(await stack.ctl('routes', '--json')).routes.filter((r) => r.flags.includes('staff'));
		assert.ok(routes.length >= 5);
		const call = (who, r, how) => who.request(r.method, r.path.replace(/\{\w+\}/g, ann.id), how);
		for (const r of routes)
			problem(await call(cy.as, r), 'denied');
		await staff(cy, 'support');
		const open = ['admin.users', 'admin.user', 'admin.licences'];
		await until('she is support', async () => (await cy.as.get('/api/v1/admin/users')).status === 200);
		for (const r of routes) {
			const reply = await call(cy.as, r);
			if (open.includes(r.id))
				ok(reply);
			else
				problem(reply, 'denied');
		}
		await staff(cy, 'admin');
		await until('he is staff', async () => (await cy.as.get('/api/v1/admin/users')).status === 200);
		const { api_key } = ok(await cy.as.post('/api/v1/api-keys', {}));
		for (const r of routes)
			problem(await call(http, r, { token: null, headers: { 'x-api-key': api_key } }), 'api-key-refused');
		await staff(cy, 'none');
		await until('he is none any more', async () => {
			for (let n = 0; n < 12; n++)
				if ((await cy.as.get('/api/v1/admin/users')).status !== 403)
					return false;
			return true;
		}, { within: 5000 });
		assert.ok((await stack.ctl('user', 'list', '--app', APP, cy.email)).includes(cy.id));
	});
});

describe('quoinctl', () => {
	test('what an operator does of an account stands in the app’s log (E8)', async () => {
		const dot = await account('dot');
		for (const verb of ['suspend', 'unsuspend', 'sign-out', 'mfa-reset'])
			await stack.ctl('user', verb, '--app', APP, dot.email);
		await staff(dot, 'support');
		await staff(dot, 'none');
		const trail = await stack.rows(`SELECT action, details FROM audit_logs WHERE resource_id = '${dot.id}' AND resource_type = 'user' AND user_id IS NULL ORDER BY seq`);
		assert.deepEqual(trail.map(([a]) => a), ['account.create', 'password.set', 'user.suspend', 'user.unsuspend', 'user.sign-out', 'mfa.reset', 'user.staff', 'user.staff']);
		assert.deepEqual(trail.slice(-2).map(([, d]) => JSON.parse(d)), [{ role: 'support' }, { role: 'none' }]);
		assert.match(await stack.ctl('audit', 'verify', '--app', APP), /are as they were written/);
	});

	const fails = (...args) => stack.ctl(...args).then(() => assert.fail(`${args} went well`), (e) => e.stderr);

	test('lists the keys and sessions of a user, and ends one of them', async () => {
		const eli = await account('eli'), other = await account('other');
		const { api_key, key } = ok(await eli.as.post('/api/v1/api-keys', { name: 'laptop', scopes: ['read'] }));
		const { sessions: [session] } = ok(await eli.as.get('/api/v1/auth/sessions'));
		const by_key = () => http.get('/api/v1/me', { token: null, headers: { 'x-api-key': api_key } });
		ok(await by_key());
		const keys = await stack.ctl('key', 'list', '--app', APP, eli.email);
		assert.ok(keys.includes(key.id) && keys.includes('laptop') && !keys.includes(api_key), keys);
		const list = await stack.ctl('session', 'list', '--app', APP, eli.email);
		assert.match(list, new RegExp(`^${session.id} password aal=1 `));
		for (const [verb, id, code] of [['key', key.id, /key/i], ['session', session.id, /session/i]]) {
			assert.match(await fails(verb, 'revoke', '--app', APP, other.email, id), code);
			await stack.ctl(verb, 'revoke', '--app', APP, eli.email, id);
			assert.match(await fails(verb, 'revoke', '--app', APP, eli.email, id), code);
			assert.match(await fails(verb, 'revoke', '--app', APP, eli.email, 'x'), /^Usage/);
		}
		await until('the key is refused', async () => (await by_key()).code === 'invalid-api-key', { within: 5000 });
		await until('the session is over', async () => (await eli.as.get('/api/v1/me')).status === 401, { within: 5000 });
		assert.equal(await stack.ctl('key', 'list', '--app', APP, eli.email), '');
		const trail = await stack.rows(`SELECT action FROM audit_logs WHERE resource_id IN ('${key.id}', '${session.id}') AND user_id IS NULL ORDER BY seq`);
		assert.deepEqual(trail.map(([a]) => a), ['api-key.revoke', 'session.revoke']);
	});

	test('explains each verb to who asks, and says in words what is wrong', async () => {
		const verbs = [...(await stack.ctl('--help')).matchAll(/^ {2}([a-z]+) /gm)].map((m) => m[1]);
		assert.ok(verbs.length > 15);
		for (const verb of verbs)
			assert.match(await stack.ctl(verb, '--help'), new RegExp(`^Usage: quoinctl ${verb}\\b`));
		assert.match(await fails('user', 'add', '--app', APP, ann.email), /has a user with the address .* already\n$/);
		assert.match(await fails('app', 'show', 'nosuch'), /there is no app 'nosuch'/);
	});
});
