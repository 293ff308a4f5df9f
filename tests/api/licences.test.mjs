// Licences (CONTRACT D14-D20, X2, X3, X10, K13, K23; SECURITY T22, T35): their keys, every answer, their lives, and who may
// look after them.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { ALPHABET, ask, check, code, Licences, made } from '../lib/licences.mjs';
import { Mailbox } from '../lib/mailbox.mjs';
import { ok, problem } from '../lib/setup.mjs';
import { sameDay, until } from '../lib/wait.mjs';

let w, ann, http;

before(async () => {
	w = await Licences.open();
	http = w.http;
	ann = await w.person('ann');
});
after(() => w?.close());

const soon = (ms) => new Date(Date.now() + ms).toISOString();
const same = ({ cached_until: _, ...rest }) => rest;

describe('keys', () => {
	test('are PREFIX-TIER-12-4 with a checksum that anybody can count', async () => {
		const keys = await Promise.all(['free', 'pro', 'team', 'enterprise'].map(async (plan) => (await w.issue({ plan })).license_key));
		for (const [i, tier] of ['FREE', 'PRO', 'TEAM', 'ENT'].entries()) {
			assert.match(keys[i], new RegExp(`^CODITECT-${tier}-[${ALPHABET}]{12}-[${ALPHABET}]{4}$`));
			assert.equal(keys[i], made(keys[i].slice(0, -5)));
		}
	});

	test('may be typed in small letters, with space around them, with O, I and L for 0 and 1', async () => {
		const l = await w.issue({ plan: 'pro', max_devices: 9 });
		const head = l.license_key.slice(0, 'CODITECT-PRO-'.length);
		const tail = l.license_key.slice(head.length).replaceAll('0', 'o').replaceAll('1', 'l');
		for (const typed of [l.license_key.toLowerCase(), ` ${l.license_key}\n`, head + tail])
			assert.equal(await code(http, typed), 'VALID', typed);
	});

	test('of others are not there, of another product they say so; nothing of it needs the database', async () => {
		const l = await w.issue({ plan: 'pro' });
		const wrong = `${l.license_key.slice(0, -1)}${l.license_key.endsWith('7') ? '8' : '7'}`;
		assert.equal(await code(http, wrong), 'NOT_FOUND');
		assert.equal(await code(http, made('CODITECT-PRO-A7F3E9D2C4B1')), 'NOT_FOUND');
		assert.equal(await code(http, made('OTHER-PRO-A7F3E9D2C4B1')), 'WRONG_PRODUCT');
		assert.equal(await code(http, 'CODITECT-PRO-A7F3E9D2C4B1-8F2A'), 'NOT_FOUND');
		assert.equal(await code(http, 'short'), 'NOT_FOUND');
		assert.equal(await code(http, 'ä'.repeat(20)), 'NOT_FOUND');
		const elsewhere = w.stack.http('cue');
		assert.equal(await code(elsewhere, l), 'WRONG_PRODUCT');
		assert.deepEqual(same(await check(elsewhere, l)), { valid: false, code: 'WRONG_PRODUCT', reason: 'The license is for another product, or for another version of it.', tier: null, expires_at: null, features: {}, quotas: {} });
		elsewhere.close();
	});

	test('each user has one that follows his plan: shown when his address is verified, and at each sign-in (X2, X3)', async () => {
		const box = new Mailbox(w.stack);
		const email = `licences.${randomUUID()}@example.com`;
		const password = 'Correct-horse-7-battery';
		assert.equal(ok(await http.post('/api/v1/auth/register', { email, password })).license_key, undefined);
		const { token } = await box.next(email, /Confirm your address/);
		const { license_key: key, user_id: id } = ok(await http.get(`/api/v1/auth/verify-email?token=${token}`));
		assert.match(key, /^CODITECT-FREE-/);
		const { user } = ok(await http.post('/api/v1/auth/login', { email, password }));
		assert.equal(user.license_key, key);
		assert.deepEqual(await check(http, key).then((a) => [a.valid, a.tier, a.expires_at, a.quotas]), [true, 'FREE', null, { commands_per_day: 10, max_devices: 1 }]);
		await w.stack.ctl('grant', 'set', '--app', 'coditect', '--user', email, '--plan', 'team');
		await until('it follows', async () => (await check(http, key)).tier === 'TEAM', { within: 5000 });
		assert.deepEqual(await check(http, key).then((a) => [a.features.cloud_sync, a.quotas.max_devices]), [true, 5]);
		assert.equal(await w.stack.one(`SELECT count(*) FROM licenses WHERE user_id = '${id.replace(/^usr_/, '')}'`), '1');
		const other = await w.stack.account('cue', `licences.${randomUUID()}@example.com`);
		const cue = w.stack.http('cue');
		assert.equal(ok(await cue.post('/api/v1/auth/login', { email: other.email, password: other.password })).user.license_key, undefined);
		cue.close();
	});

	test('of one user at first need, asked for many times at once: one', async () => {
		const who = await w.stack.account('coditect', `licences.${randomUUID()}@example.com`);
		const all = await Promise.all(Array.from({ length: 2 }, () => http.post('/api/v1/auth/login', { email: who.email, password: who.password })));
		assert.equal(new Set(all.map((r) => ok(r).user.license_key)).size, 1);
	});
});

describe('what a validation says', () => {
	test('all that D15 promises, for who has the key, whoever he is (K23, T22)', async () => {
		const l = await w.issue({ plan: 'pro', user_id: ann.id, term_days: 30 });
		const stranger = await w.person('stranger');
		const { api_key } = ok(await ann.as.post('/api/v1/api-keys', {}));
		const first = await check(ann.as, l, 'sha256:1', { version: '1.4.0', name: 'desk', platform: 'linux' });
		const at = Date.parse(first.cached_until) - Date.now();
		assert.ok(at > 86_300_000 && at <= 86_401_000, first.cached_until);
		assert.deepEqual(same(first), {
			valid: true, code: 'VALID', reason: 'The license is valid.', tier: 'PRO', expires_at: l.expires_at,
			features: { all_agents: true, cloud_sync: true, mfa: true, on_premise: false, sso: false, unlimited_commands: true },
			quotas: { commands_per_day: -1, max_devices: 3 },
		});
		for (const who of [http, stranger.as])
			assert.deepEqual(same(await check(who, l, 'sha256:1', { version: '1.4.0' })), same(first));
		const keyed = await http.post('/api/v1/licenses/validate', { license_key: l.license_key, machine_id: 'sha256:1', version: '1.4.0' }, { headers: { 'x-api-key': api_key } });
		assert.deepEqual(same(ok(keyed)), same(first));
		const unknown = made('CODITECT-PRO-000000000000');
		assert.deepEqual(same(await check(stranger.as, unknown)), same(await check(http, unknown)));
		problem(await ask(http.as('ey.no.token'), l), 'token-malformed');
	});

	test('cached_until is never behind the end', async () => {
		const l = await w.issue({ plan: 'pro', expires_at: soon(3_600_000) });
		for (let n = 0; n < 2; n++)
			assert.equal((await check(http, l)).cached_until, l.expires_at);
	});

	test('SUSPENDED, and valid again; REVOKED, for ever', async () => {
		const l = await w.issue({ plan: 'pro', user_id: ann.id });
		assert.equal(await code(http, l), 'VALID');
		assert.equal(ok(await w.change(l, 'suspend')).license.status, 'SUSPENDED');
		assert.deepEqual(await check(http, l).then((a) => [a.valid, a.code, a.features, a.cached_until <= new Date().toISOString()]), [false, 'SUSPENDED', {}, true]);
		assert.equal(ok(await w.change(l, 'suspend')).license.status, 'SUSPENDED'); // once more is nothing
		assert.equal(ok(await w.change(l, 'reinstate')).license.status, 'ACTIVE');
		assert.equal(ok(await w.change(l, 'reinstate')).license.status, 'ACTIVE');
		assert.equal(await code(http, l), 'VALID');
		assert.equal(ok(await w.change(l, 'revoke')).license.status, 'REVOKED');
		assert.equal(await code(http, l), 'REVOKED');
		ok(await w.change(l, 'revoke'));
		for (const verb of ['suspend', 'reinstate', 'renew', 'transfer'])
			problem(await w.change(l, verb, ['renew', 'transfer'].includes(verb) ? {} : undefined), 'license-state');
		problem(await ann.as.post(`/api/v1/licenses/${l.id}/check-in`), 'license-state');
		assert.deepEqual(await w.told(l), ['licence.created', 'device.added', 'licence.suspended', 'licence.reinstated', 'licence.revoked']);
		assert.deepEqual(await w.audited(l), await w.told(l));
	});

	test('SUSPENDED with its owner', async () => {
		const who = await w.person('gone');
		const l = await w.issue({ plan: 'pro', user_id: who.id });
		assert.equal(await code(http, l), 'VALID');
		ok(await w.boss.as.post(`/api/v1/admin/users/${who.id}/suspend`));
		await until('it is told', async () => (await code(http, l)) === 'SUSPENDED', { within: 5000 });
	});

	test('EXPIRED at its end, or not where it is maintained; told once; renewed', async () => {
		const end = soon(4000);
		const l = await w.issue({ plan: 'pro', expires_at: end, term_days: 30 });
		const kept = await w.issue({ plan: 'pro', expires_at: end, expiry: 'maintain' });
		assert.deepEqual([await code(http, l), await code(http, kept)], ['VALID', 'VALID']);
		await until('it is over', async () => (await code(http, l)) === 'EXPIRED');
		assert.deepEqual(await check(http, kept).then((a) => [a.valid, a.code, a.features.cloud_sync]), [true, 'EXPIRED', true]);
		assert.deepEqual(await check(http, l).then((a) => [a.valid, a.expires_at]), [false, l.expires_at]);
		assert.equal(ok(await w.boss.as.get(`/api/v1/licenses/${l.id}`)).license.status, 'EXPIRED');
		await until('it is told', async () => (await w.told(l)).includes('licence.expired'), { within: 25_000 });
		const { license } = ok(await w.change(l, 'renew', {}));
		assert.equal(Date.parse(license.expires_at) - Date.parse(l.expires_at), 30 * 86_400_000);
		assert.equal(await code(http, l), 'VALID');
		assert.deepEqual(await w.told(l), ['licence.created', 'device.added', 'licence.expired', 'licence.renewed']);
	});

	test('renewals count from the end or from now, or to a day; not of what has no end', async () => {
		const l = await w.issue({ plan: 'pro', term_days: 10, renewal: 'from_now' });
		await w.set(l, "expires_at = now() - interval '90 days'");
		const left = Date.parse(ok(await w.change(l, 'renew', {})).license.expires_at) - Date.now();
		assert.ok(Math.abs(left - 10 * 86_400_000) < 60_000, String(left));
		const to = soon(99 * 86_400_000);
		assert.equal(Date.parse(ok(await w.change(l, 'renew', { expires_at: to })).license.expires_at), Date.parse(to));
		problem(await w.change(l, 'renew', { expires_at: '2020-01-01T00:00:00Z' }), 'license-state');
		problem(await w.change(await w.issue({ plan: 'pro' }), 'renew', {}), 'license-state');
	});

	test('OVERDUE until somebody checks in', async () => {
		const l = await w.issue({ plan: 'pro', check_in_days: 7, user_id: ann.id });
		const { cached_until: until_ } = await check(http, l);
		assert.ok(Date.parse(until_) - Date.now() <= 86_401_000);
		await w.set(l, "checked_in_at = now() - interval '8 days'");
		await until('it is overdue', async () => (await code(http, l)) === 'OVERDUE');
		ok(await ann.as.post(`/api/v1/licenses/${l.id}/check-in`));
		assert.equal(await code(http, l), 'VALID');
	});

	test('WRONG_PRODUCT for a version that it is not good for', async () => {
		const l = await w.issue({ plan: 'pro', max_version: '3.2' });
		for (const version of ['3.2', '3.2.99', 'v1.0', '3.1.9', '2'])
			assert.equal(await code(http, l, 'm1', { version }), 'VALID', version);
		for (const version of ['3.3', '4', '10.0.1', 'beta', undefined])
			assert.equal(await code(http, l, 'm1', { version }), 'WRONG_PRODUCT', version);
	});

	test('QUOTA_EXCEEDED: what is used is counted with the answer, all or nothing, by owner or by licence', async () => {
		await sameDay();
		const who = await w.person('user');
		for (const l of [await w.issue({ plan: 'free', user_id: who.id }), await w.issue({ plan: 'free' })]) {
			assert.deepEqual(await check(http, l, 'm1', { commands: 9 }).then((a) => [a.valid, a.code]), [true, 'VALID']);
			assert.deepEqual(await check(http, l, 'm1', { commands: 2 }).then((a) => [a.valid, a.code]), [false, 'QUOTA_EXCEEDED']);
			const use = async (n) => ok(await http.post('/api/v1/licenses/usage', { license_key: l.license_key, n }));
			const last = await use(1);
			assert.deepEqual([last.taken, last.code, last.used, last.max, last.remaining], [true, 'VALID', 10, 10, 0]);
			assert.equal(last.resets_at, `${new Date(Math.ceil(Date.now() / 86_400_000) * 86_400_000).toISOString().slice(0, 19)}Z`);
			const none = await use(1);
			assert.deepEqual([none.taken, none.code, none.used, none.remaining], [false, 'QUOTA_EXCEEDED', 10, 0]);
			assert.equal(await code(http, l), 'VALID'); // what is left of it may be used
		}
		const pro = await w.issue({ plan: 'pro' });
		assert.deepEqual(await http.post('/api/v1/licenses/usage', { license_key: pro.license_key, n: 1000 }).then((r) => [ok(r).taken, r.json.remaining]), [true, -1]);
		assert.deepEqual(await http.post('/api/v1/licenses/usage', { license_key: made('CODITECT-PRO-111111111111') }).then((r) => [ok(r).taken, r.json.code, r.json.used]), [false, 'NOT_FOUND', null]);
		problem(await http.post('/api/v1/licenses/usage', { license_key: pro.license_key, meter: 'Not a word' }), 'invalid-body');
	});

	test('counted once for an Idempotency-Key, which is a holder’s own; a refusal is not kept (T39)', async () => {
		await sameDay();
		const who = await w.person('retries');
		const at = '/api/v1/licenses/usage';
		for (const [l, as] of [[await w.issue({ plan: 'free' }), http], [await w.issue({ plan: 'free', user_id: who.id }), who.as]]) {
			const other = await w.issue({ plan: 'free' });
			const once = { headers: { 'idempotency-key': randomUUID() } };
			const use = (licence, n, how = once) => as.post(at, { license_key: licence.license_key, n }, how);
			const first = ok(await use(l, 3));
			for (let i = 0; i < 3; i++) {
				const again = await use(l, 3);
				assert.deepEqual([ok(again), again.headers['idempotent-replayed']], [first, 'true']);
			}
			assert.equal(first.used, 3);
			problem(await use(l, 4), 'idempotency-key-reused');
			if (as === http)
				assert.equal(ok(await use(other, 3)).used, 3, 'another holder’s key is another key');
			const burst = await Promise.all(Array.from({ length: 12 }, () => use(l, 1, { headers: { 'idempotency-key': 'burst' } })));
			for (const r of burst.filter((x) => x.status !== 200))
				problem(r, 'request-in-progress');
			assert.equal(ok(await use(l, 1, {})).used, 5);
			const late = { headers: { 'idempotency-key': randomUUID() } };
			assert.equal(ok(await use(l, 6, late)).code, 'QUOTA_EXCEEDED');
			await w.stack.rows(`DELETE FROM license_usage WHERE license_id = '${l.id}'; DELETE FROM usage_meters WHERE user_id = '${who.id}'`);
			assert.deepEqual([ok(await use(l, 6, late)).used, ok(await use(l, 6, late)).used], [6, 6]);
		}
		assert.equal(await w.stack.one("SELECT count(*) FROM idempotency_keys WHERE principal LIKE '%CODITECT-%'"), '0');
	});

	test('UNKNOWN_METER: with a key nobody uses up what Quoin counts itself, nor a meter that is none (T22)', async () => {
		await sameDay();
		const who = await w.person('victim');
		const owned = await w.issue({ plan: 'pro', user_id: who.id, limits: { exports: 2 } });
		for (const l of [owned, await w.issue({ plan: 'pro', limits: { exports: 2 } })]) {
			const use = async (meter, n = 1) => ok(await http.post('/api/v1/licenses/usage', { license_key: l.license_key, meter, n }));
			for (const meter of ['storage_bytes', 'seats', 'devices', 'api_calls', 'comands'])
				assert.deepEqual(await use(meter, 1_000_000), { taken: false, code: 'UNKNOWN_METER', reason: 'The license counts nothing of that name.', used: null, max: null, remaining: null, resets_at: null }, meter);
			assert.deepEqual([(await use('exports', 2)).code, (await use('exports')).code], ['VALID', 'QUOTA_EXCEEDED']);
			assert.equal((await use('commands')).code, 'VALID');
		}
		assert.deepEqual((await w.stack.rows(`SELECT meter FROM usage_meters WHERE user_id = '${who.id}' ORDER BY meter`)).flat(), ['commands', 'exports']);
	});

	test('its own limits and flags come before the plan’s, and count', async () => {
		await sameDay();
		const who = await w.person('special');
		const l = await w.issue({ plan: 'pro', user_id: who.id, limits: { commands: 3 }, features: { sso: true, cloud_sync: false, beta: true }, max_devices: 7 });
		const a = await check(http, l);
		assert.deepEqual(a.quotas, { commands_per_day: 3, max_devices: 7 });
		assert.deepEqual([a.features.sso, a.features.cloud_sync, a.features.beta, a.features.mfa], [true, false, true, true]);
		const use = async (n) => ok(await http.post('/api/v1/licenses/usage', { license_key: l.license_key, n })).code;
		assert.deepEqual([await use(3), await use(1)], ['VALID', 'QUOTA_EXCEEDED']);
	});

	test('what is wrong with a question', async () => {
		const l = await w.issue({ plan: 'pro' });
		const { license_key } = l;
		for (const body of [{ license_key }, { license_key, machine_id: 'a b' }, { license_key, machine_id: 'ü' }, { license_key, machine_id: 'x'.repeat(257) }, { license_key, machine_id: 'x', version: '1 0' }, { license_key, machine_id: 'x', commands: 0 }, { license_key, machine_id: 'x', tier: 'ENT' }, { machine_id: 'x' }])
			problem(await http.post('/api/v1/licenses/validate', body), 'invalid-body');
		assert.equal((await w.devices(l)).length, 0);
	});
});

describe('a licence with a plan gives it to its owner', () => {
	const plan = async (who) => ok(await who.as.get('/api/v1/entitlements')).entitlement.plan;
	const becomes = (who, what) => until(`the plan is ${what}`, async () => (await plan(who)) === what, { within: 5000 });

	test('while it is in force: issued, suspended, reinstated, transferred, revoked', async () => {
		const [a, b] = [await w.person('a'), await w.person('b')];
		const l = await w.issue({ plan: 'team', user_id: a.id });
		await becomes(a, 'team');
		ok(await w.change(l, 'suspend'));
		await becomes(a, 'free');
		ok(await w.change(l, 'reinstate'));
		await becomes(a, 'team');
		assert.equal(await code(http, l), 'VALID');
		ok(await w.change(l, 'transfer', { user_id: b.id }));
		await becomes(a, 'free');
		await becomes(b, 'team');
		assert.equal((await w.devices(l)).length, 0);
		ok(await w.change(l, 'revoke'));
		await becomes(b, 'free');
		assert.deepEqual(await w.told(l), ['licence.created', 'licence.suspended', 'licence.reinstated', 'device.added', 'licence.transferred', 'licence.revoked']);
	});

	test('to an organization and its members, and to nobody', async () => {
		const owner = await w.person('owner');
		const { organization } = ok(await owner.as.post('/api/v1/orgs', { name: 'a team' }));
		const l = await w.issue({ plan: 'team', organization_id: organization.id });
		await becomes(owner, 'team');
		ok(await w.change(l, 'transfer', {}));
		await becomes(owner, 'free');
		problem(await w.change(l, 'transfer', { user_id: randomUUID() }), 'owner-unknown');
		problem(await w.change(l, 'transfer', { organization_id: randomUUID() }), 'owner-unknown');
		problem(await w.change(l, 'transfer', { user_id: owner.id, organization_id: organization.id }), 'invalid-body');
	});
});

describe('who looks after them', () => {
	test('staff issues what fits together, and nothing else', async () => {
		const issue = (policy) => w.boss.as.post('/api/v1/admin/licenses', policy);
		problem(await issue({ plan: 'gold' }), 'plan-unknown');
		problem(await issue({ plan: 'pro', user_id: randomUUID() }), 'owner-unknown');
		problem(await issue({ plan: 'pro', organization_id: randomUUID() }), 'owner-unknown');
		for (const policy of [{ kind: 'term', plan: 'pro' }, { kind: 'perpetual', plan: 'pro', term_days: 3 }, { kind: 'floating', plan: 'pro' }, { limits: { commands: 1 } }, { plan: 'pro', limits: { commands: 'many' } }, { plan: 'pro', features: { sso: 1 } }, { plan: 'pro', max_version: 'x' }, { plan: 'pro', metadata: [] }, { plan: 'pro', max_devices: 0 }])
			problem(await issue(policy), 'invalid-body');
		const floating = await w.issue({ plan: 'pro', kind: 'floating', max_leases: 2, metadata: { note: 'x'.repeat(5000) } });
		assert.equal(floating.metadata.note.length, 5000);
		problem(await ann.as.post('/api/v1/admin/licenses', { plan: 'pro' }), 'denied');
	});

	test('an issue sent twice makes one', async () => {
		const headers = { 'idempotency-key': randomUUID() };
		const [a, b] = [await w.boss.as.post('/api/v1/admin/licenses', { plan: 'pro' }, { headers }), await w.boss.as.post('/api/v1/admin/licenses', { plan: 'pro' }, { headers })];
		assert.equal(ok(a).license.id, ok(b).license.id);
	});

	test('staff finds them: by owner, status, plan, metadata; in pages', async () => {
		const order = randomUUID();
		const mine = [];
		for (let n = 0; n < 3; n++)
			mine.unshift(await w.issue({ plan: 'pro', user_id: ann.id, metadata: { order, n } }));
		ok(await w.change(mine[0], 'revoke'));
		const find = async (query) => ok(await w.boss.as.get(`/api/v1/admin/licenses?${new URLSearchParams(query)}`));
		const metadata = JSON.stringify({ order });
		assert.deepEqual((await find({ metadata })).licenses.map((l) => l.id), mine.map((l) => l.id));
		assert.deepEqual((await find({ metadata: JSON.stringify({ order, n: 1 }) })).licenses.map((l) => l.id), [mine[1].id]);
		assert.deepEqual((await find({ metadata, status: 'REVOKED' })).licenses.map((l) => l.id), [mine[0].id]);
		assert.deepEqual((await find({ metadata, user_id: w.boss.id })).licenses, []);
		assert.deepEqual((await find({ metadata, plan: 'team' })).licenses, []);
		const page = await find({ metadata, limit: 2 });
		assert.deepEqual([page.licenses.length, page.has_more], [2, true]);
		assert.deepEqual((await find({ metadata, limit: 2, cursor: page.next_cursor })).licenses.map((l) => l.id), [mine[2].id]);
		problem(await w.boss.as.get('/api/v1/admin/licenses?metadata=[1]'), 'invalid-body');
		problem(await ann.as.get('/api/v1/admin/licenses'), 'denied');
	});

	test('a user sees his own, an organization’s owners and admins theirs, and nobody another’s', async () => {
		const [owner, admin, member, stranger] = await Promise.all(['owner', 'admin', 'member', 'stranger'].map((n) => w.person(n)));
		const { organization } = ok(await owner.as.post('/api/v1/orgs', { name: 'a team' }));
		await w.stack.rows([[admin, 'admin'], [member, 'member']].map(([u, role]) => `INSERT INTO organization_members (organization_id, user_id, app_id, role) SELECT id, '${u.id}', app_id, '${role}' FROM organizations WHERE id = '${organization.id}'`).join(';'));
		const theirs = await w.issue({ plan: 'team', organization_id: organization.id });
		const his = await w.issue({ plan: 'pro', user_id: member.id });
		for (const [who, ids] of [[owner, [theirs.id]], [admin, [theirs.id]], [member, [his.id]], [stranger, []]]) {
			assert.deepEqual(ok(await who.as.get('/api/v1/licenses')).licenses.map((l) => l.id), ids);
			for (const l of [theirs, his]) {
				const mine = ids.includes(l.id);
				for (const path of ['', '/devices', '/leases']) {
					const r = await who.as.get(`/api/v1/licenses/${l.id}${path}`);
					if (mine)
						ok(r);
					else
						problem(r, 'license-not-found');
				}
				if (!mine) {
					problem(await who.as.post(`/api/v1/licenses/${l.id}/check-in`), 'license-not-found');
					problem(await who.as.put(`/api/v1/licenses/${l.id}/devices/${randomUUID()}`, { name: 'x' }), 'license-not-found');
					problem(await who.as.delete(`/api/v1/licenses/${l.id}/devices/${randomUUID()}`), 'license-not-found');
				}
			}
		}
		for (const verb of ['renew', 'suspend', 'reinstate', 'revoke', 'transfer'])
			problem(await owner.as.post(`/api/v1/admin/licenses/${theirs.id}/${verb}`, ['renew', 'transfer'].includes(verb) ? {} : undefined), 'denied');
		const none = randomUUID();
		for (const verb of ['renew', 'suspend', 'reinstate', 'revoke', 'transfer'])
			problem(await w.boss.as.post(`/api/v1/admin/licenses/${none}/${verb}`, ['renew', 'transfer'].includes(verb) ? {} : undefined), 'license-not-found');
	});

	test('what is erased with its owner is gone at the next question', async () => {
		const who = await w.person('erased');
		const l = await w.issue({ plan: 'pro', user_id: who.id });
		assert.equal(await code(http, l), 'VALID');
		await until('it was noted', async () => (await w.stack.one(`SELECT count(*) FROM license_validations WHERE license_id = '${l.id}'`)) === '1', { within: 15_000 });
		await w.stack.rows(`DELETE FROM users WHERE id = '${who.id}'`);
		await until('it is not there', async () => (await code(http, l)) === 'NOT_FOUND', { within: 5000 });
		assert.equal(await w.stack.one(`SELECT count(*) FROM license_validations WHERE license_id = '${l.id}'`), '0');
	});
});
