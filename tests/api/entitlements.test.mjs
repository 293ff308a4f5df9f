// Plans, what they allow, and what was used of it (CONTRACT B23, B34-B39, K6, K13, E45; SECURITY T17, T21).
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { randomBytes } from 'node:crypto';

import { Mailbox } from '../lib/mailbox.mjs';
import { ok, problem } from '../lib/setup.mjs';
import { Stack } from '../lib/stack.mjs';
import { inParallel, sameDay, until } from '../lib/wait.mjs';

const APP = 'coditect';
let stack, box, count = 0;
const clients = [];

/** Somebody new, who is signed in. */
async function person(app = APP) {
	const who = await stack.account(app, `entitled${++count}.${randomBytes(6).toString('hex')}@example.com`);
	const http = stack.http(app);
	clients.push(http);
	who.app = app;
	who.as = http.as(ok(await http.post('/api/v1/auth/login', { email: who.email, password: who.password })).access_token);
	return who;
}
const entitled = async (who, path = '/api/v1') => ok(await who.as.get(`${path}/entitlements`)).entitlement;
const ctl = (...args) => stack.ctl('grant', ...args, '--app', APP);
const take = async (who, meter, n) => (await stack.rows(`SELECT taken, used FROM meter_take((SELECT id FROM apps WHERE slug = '${who.app}'), '${who.id}', NULL, '${meter}', ${n})`))[0];

before(() => {
	stack = Stack.attach();
	box = new Mailbox(stack);
});
after(() => clients.forEach((http) => http.close()));

describe('what counts', () => {
	test('is the lowest plan to begin with, with its limits and what is left of them', async () => {
		const e = await entitled(await person());
		assert.deepEqual([e.plan, e.tier, e.rank, e.source, e.ends_at, e.seats, e.features], ['free', 'FREE', 0, null, null, undefined, []]);
		assert.deepEqual(e.limits.map((l) => [l.meter, l.period, l.max, l.used, l.resets_at !== null]), [['commands', 'day', 10, 0, true], ['devices', 'none', 1, 0, false]]);
	});

	test('follows an override at once, in every answer, and its end', async () => {
		const who = await person();
		await ctl('set', '--user', who.email, '--plan', 'enterprise', '--limit', 'commands=7', '--limit', 'extra=3', '--feature', 'beta', '--note', 'a pilot');
		await until('workers know', async () => (await entitled(who)).tier === 'ENT', { within: 5000 });
		const e = await entitled(who);
		assert.deepEqual([e.plan, e.rank, e.source], ['enterprise', 3, 'override']);
		assert.ok(e.features.includes('beta') && e.features.includes('sso'));
		assert.deepEqual(e.limits.filter((l) => ['commands', 'extra'].includes(l.meter)).map((l) => [l.meter, l.max]), [['commands', 7], ['extra', 3]]);
		assert.equal(ok(await who.as.get('/api/v1/auth/whoami')).tier, 'ENT');
		assert.match(await ctl('list', '--user', who.email), /override +\S+ enterprise +counts - .*"commands": ?7.*beta.*a pilot/);
		await ctl('drop', '--user', who.email);
		await until('it is over', async () => (await entitled(who)).tier === 'FREE', { within: 5000 });
		await assert.rejects(ctl('drop', '--user', who.email), /not found/i);
	});

	test('ends by itself when its time is over', async () => {
		const who = await person();
		await ctl('set', '--user', who.email, '--plan', 'pro', '--until', new Date(Date.now() + 8000).toISOString());
		await until('it begins', async () => (await entitled(who)).plan === 'pro');
		await until('it ends', async () => (await entitled(who)).plan === 'free', { within: 30_000 });
		assert.equal(ok(await who.as.get('/api/v1/me')).user.tier, 'FREE');
	});

	test('of an organization: its members have its plan as long as they are in it', async () => {
		const [ann, bob] = [await person(), await person()];
		const org = ok(await ann.as.post('/api/v1/orgs', { name: 'Entitled' })).organization;
		await stack.ctl('grant', 'set', '--app', APP, '--org', org.slug, '--plan', 'team', '--seats', '2');
		await stack.ctl('org', 'add-member', '--app', APP, org.slug, bob.email, 'member');
		await until('it reached both', async () => (await entitled(ann)).plan === 'team' && (await entitled(bob)).plan === 'team');
		assert.deepEqual([(await entitled(bob)).source, (await entitled(bob)).tier], ['organization', 'TEAM']);
		const its = await entitled(bob, `/api/v1/orgs/${org.id}`);
		assert.deepEqual([its.plan, its.seats, its.source], ['team', 2, 'override']);
		assert.deepEqual(its.limits.find((l) => l.meter === 'seats').used, 2);
		await stack.ctl('org', 'remove-member', '--app', APP, org.slug, bob.email);
		await until('he has it no more', async () => (await entitled(bob)).plan === 'free');
		problem(await bob.as.get(`/api/v1/orgs/${org.id}/entitlements`), 'organization-not-found');
	});

	test('who is nobody reads the words of his app (E17, C8)', async () => {
		for (const [app, words] of [['flowscope', 'Unauthorized'], ['cue', 'Not authenticated']]) {
			const http = stack.http(app);
			clients.push(http);
			const r = await http.get('/api/v1/entitlements', { token: null });
			assert.deepEqual([r.status, r.code, r.json.error, r.json.detail], [401, 'not-authenticated', words, words]);
		}
	});

	test('what an operator misspells changes nothing', async () => {
		const who = await person();
		await assert.rejects(ctl('set', '--user', who.email, '--plan', 'gold'), /has no plan 'gold'/);
		for (const args of [['--seats', '0'], ['--limit', 'commands'], ['--limit', 'Commands=1'], ['--limit', 'commands=-2'], ['--limit', 'commands=9223372036854775807'], ['--feature', 'a b'], ['--until', 'tomorrow']])
			await assert.rejects(ctl('set', '--user', who.email, ...args), /Usage/);
		await assert.rejects(ctl('set', '--plan', 'pro'), /Usage/);
		await assert.rejects(ctl('set', '--user', who.email, '--plan', 'pro', '--until', '2020-01-01T00:00:00Z'), /is over already/);
		assert.equal(await stack.one(`SELECT count(*) FROM grants WHERE user_id = '${who.id}'`), '0');
	});
});

describe('meters', () => {
	before(() => sameDay());

	test('forty at once for the last ten: ten have one (T21)', async () => {
		const who = await person();
		const got = await inParallel(Array.from({ length: 40 }), 8, () => take(who, 'commands', 1));
		assert.equal(got.filter(([taken]) => taken === 't').length, 10);
		assert.equal((await entitled(who)).limits.find((l) => l.meter === 'commands').used, 10);
	});

	test('four fifths and all of it are told by mail, once each', async () => {
		const who = await person();
		await take(who, 'commands', 8);
		const near = await box.next(who.email, /commands/i);
		assert.match(near.text, /8\D+10/);
		await take(who, 'commands', 1);
		await take(who, 'commands', 1);
		assert.match((await box.next(who.email, /commands/i, 2)).text, /10\D+10/);
		assert.equal(await stack.one(`SELECT count(*) FROM mails WHERE user_id = '${who.id}' AND template = 'quota-near'`), '2');
		assert.equal(await stack.one(`SELECT count(*) FROM events WHERE user_id = '${who.id}' AND type = 'usage.warning'`), '2');
	});

	test('the dashboard adds them up (B23)', async () => {
		const who = await person('memorygraph');
		await take(who, 'storage_bytes', 3 * 1024 * 1024 + 1);
		await take(who, 'memories', 2);
		ok(await who.as.get('/api/v1/workspaces'));
		const s = ok(await who.as.get('/api/v1/dashboard/stats'));
		assert.deepEqual([s.memory_count, s.storage_used_mb, s.subscription_tier], [2, 4, 'free']);
		assert.ok(s.api_calls_this_month >= 1);
	});
});
