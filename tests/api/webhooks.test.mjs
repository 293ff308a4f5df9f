// Webhooks that go out (ECOSYSTEM "Webhooks out"; SECURITY T17, T19, T20, T24, T33, F30): kept by an app's administrators
// and by an organisation's, signed by Standard Webhooks, sent at least once, each subject in order.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { after, afterEach, before, describe, test } from 'node:test';

import { Copy, signal } from '../lib/copy.mjs';
import { Mailbox } from '../lib/mailbox.mjs';
import { Receiver, verified } from '../lib/receiver.mjs';
import { ok, problem, setup } from '../lib/setup.mjs';
import { root } from '../lib/stack.mjs';
import { team } from '../lib/teams.mjs';
import { until } from '../lib/wait.mjs';

const ADMIN = '/api/v1/admin/webhooks';
const PAUSES = [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400];
let t, copy, boss, ann, bob, eve, org, mails;
const receivers = [];
const secrets = [];

before(async () => {
	t = await setup();
	copy = new Copy(t.stack);
	mails = new Mailbox(t.stack);
	[boss, ann, bob, eve] = [await t.user('boss'), await t.user('ann'), await t.user('bob'), await t.user('eve')];
	await t.stack.rows(`UPDATE users SET platform_role = 'admin' WHERE id = '${boss.id}'`);
	org = await team(t, ann, { member: bob });
	await until('he is staff everywhere', async () => {
		for (let n = 0; n < 12; n++)
			if ((await boss.as.get(ADMIN)).status !== 200)
				return false;
		return true;
	});
});
afterEach(async () => {
	await t.stack.rows('DELETE FROM webhook_endpoints');
	await Promise.all(receivers.splice(0).map((r) => r.down().catch(() => {})));
});
after(() => t?.stop());

async function receiver(answer) {
	const r = await Receiver.start(answer);
	receivers.push(r);
	return r;
}

const of = (o) => `${o.path}/webhooks`;

/** An endpoint at `r`, of the organisation unless it is said whose: {id, secret, path}. */
async function hook(r, more = {}, { base = of(org), as = ann.as } = {}) {
	const { secret, webhook } = ok(await as.post(base, { url: typeof r === 'string' ? r : r.url, ...more }));
	secrets.push(secret);
	return { ...webhook, secret, path: `${base}/${webhook.id}`, as };
}

/** As another part of Quoin would, in a transaction of its own. */
const emitSql = (type, { organization = org.id, user, data = {} } = {}) =>
	`SELECT event_emit((SELECT id FROM apps WHERE slug = 'fig-nodes'), '${type}', ${organization ? `'${organization}'` : 'NULL'}, ${user ? `'${user}'` : 'NULL'}, '${JSON.stringify(data)}')`;
const emit = (...args) => t.stack.rows(emitSql(...args));

const deliveries = async (h, query = '') => ok(await h.as.get(`${h.path}/deliveries${query}`)).deliveries;
const show = async (h) => ok(await h.as.get(h.path)).webhook;
const becomes = (h, what, look) => until(what, async () => {
	const [d] = await deliveries(h);
	return d && look(d) && d;
});
/** The waits that their back-off ends, and the rest of the endpoint. */
const due = (h) => t.stack.rows(`UPDATE webhook_deliveries SET next_at = now() WHERE endpoint_id = '${h.id}' AND state = 'pending';
	UPDATE webhook_endpoints SET rest_until = '-infinity' WHERE id = '${h.id}'; NOTIFY quoin_jobs`);

/** For how many seconds an endpoint rests once `n` calls in a row met nobody; from now on it rests longer than any test takes. */
const rests = (h, n) => until(`it has met nobody ${n} times`, async () => (await t.stack.rows(`UPDATE webhook_endpoints x SET rest_until = now() + interval '4 min' FROM webhook_endpoints was
	WHERE x.id = '${h.id}' AND was.id = x.id AND was.silent = ${n} RETURNING extract(epoch FROM was.rest_until - now())`))[0]?.[0]);

/** What waits for its next attempt waits longer than any test takes. */
const later = (h) => t.stack.rows(`UPDATE webhook_deliveries SET next_at = now() + interval '1 hour' WHERE endpoint_id = '${h.id}' AND state = 'pending'`);

describe('endpoints', () => {
	test('are added, shown without their secret, changed, paused, removed; each change is in the audit log', async () => {
		for (const [as, base, chain] of [[ann.as, of(org), org.id], [boss.as, ADMIN, null]]) {
			const h = await hook('http://127.0.0.1:9/a', { description: 'a test', events: ['licence.created', 'invoice.paid'] }, { base, as });
			assert.match(h.secret, /^whsec_[A-Za-z0-9+/]{43}=$/);
			const { id, created_at: c, updated_at: u, ...rest } = await show(h);
			assert.ok(id === h.id && c === u);
			assert.deepEqual(rest, { url: 'http://127.0.0.1:9/a', description: 'a test', events: ['licence.created', 'invoice.paid'], ordered: true, enabled: true, disabled_reason: null, failing_since: null, old_secret_until: null });
			const { webhook } = ok(await as.put(h.path, { url: 'http://127.0.0.1:9/b', description: '', events: [], ordered: false, enabled: false }));
			assert.deepEqual([webhook.url, webhook.description, webhook.events, webhook.ordered, webhook.enabled, webhook.disabled_reason], ['http://127.0.0.1:9/b', '', [], false, false, 'paused']);
			assert.equal(ok(await as.put(h.path, {})).webhook.url, 'http://127.0.0.1:9/b');
			assert.equal(ok(await as.put(h.path, { enabled: true })).webhook.disabled_reason, null);
			const listed = await as.get(base);
			assert.deepEqual(ok(listed).webhooks.map((w) => w.id), [h.id]);
			assert.ok(!listed.text.includes('whsec_'));
			ok(await as.delete(h.path));
			problem(await as.get(h.path), 'webhook-not-found');
			problem(await as.delete(h.path), 'webhook-not-found');
			problem(await as.put(h.path, {}), 'webhook-not-found');
			problem(await as.post(`${h.path}/test`), 'webhook-not-found');
			problem(await as.post(`${h.path}/rotate-secret`, {}), 'webhook-not-found');
			problem(await as.get(`${h.path}/deliveries`), 'webhook-not-found');
			problem(await as.post(`${h.path}/deliveries/${randomUUID()}/resend`), 'webhook-not-found');
			const trail = await t.stack.rows(`SELECT action, organization_id FROM audit_logs WHERE resource_id = '${h.id}' ORDER BY seq`);
			assert.deepEqual(trail.map(([a, o]) => [a, o ?? null]), ['webhook.create', 'webhook.update', 'webhook.update', 'webhook.update', 'webhook.delete'].map((a) => [a, chain]));
		}
	});

	test('what is wrong is refused, and nothing is made', async () => {
		const bad = {
			url: ['', 'x', 'hooks.example.com/a', 'ftp://example.com/', 'file:///etc/passwd', 'javascript:alert(1)', 'https://', 'https:///a', 'https:/a', 'https://\\a', 'https:a', 'https://a b.example/', 'https://user:word@example.com/', 'https://user@example.com/', 'https://example.com/#x', 'https://exämple.com/', 'https://example.com/\n', 'https://example.com:99999/', `https://example.com/${'a'.repeat(2000)}`, 5, null],
			events: ['licence.created', ['licence.*'], ['nothing.happened'], [5], {}, Array(65).fill('invoice.paid')],
			description: ['x'.repeat(501), 5],
			ordered: ['yes'],
			secret: ['whsec_mine'],
			organization_id: [org.id],
			enabled: [false],
		};
		for (const [name, values] of Object.entries(bad)) {
			for (const value of values) {
				const p = problem(await ann.as.post(of(org), { url: 'https://example.com/', [name]: value }), 'invalid-body');
				assert.ok(p.errors.some((e) => e.loc.at(-1) === name), `${name} ${JSON.stringify(value)}: ${JSON.stringify(p.errors)}`);
			}
		}
		const h = await hook('https://example.com/hooks');
		for (const change of [{ url: 'x' }, { events: ['x'] }, { secret: 'x' }])
			problem(await ann.as.put(h.path, change), 'invalid-body');
		for (const hours of [-1, 169, '1'])
			problem(await ann.as.post(`${h.path}/rotate-secret`, { overlap_hours: hours }), 'invalid-body');
		const { created_at: c, updated_at: u } = await show(h);
		assert.equal(c, u);
		assert.equal(ok(await ann.as.get(of(org))).webhooks.length, 1);
	});

	test('twenty of an organisation and twenty of the app, no more', async () => {
		for (const [as, base] of [[ann.as, of(org)], [boss.as, ADMIN]]) {
			for (let n = 0; n < 20; n++)
				await hook('https://example.com/', {}, { as, base });
			problem(await as.post(base, { url: 'https://example.com/' }), 'limit-reached');
		}
	});

	test('the types of events are told', async () => {
		const types = ok(await ann.as.get(`${of(org)}/event-types`)).event_types;
		assert.deepEqual(ok(await boss.as.get(`${ADMIN}/event-types`)).event_types, types);
		for (const type of ['licence.created', 'licence.revoked', 'licence.expired', 'device.added', 'device.released', 'subscription.created', 'subscription.updated', 'subscription.deleted', 'invoice.paid', 'invoice.payment_failed', 'entitlement.changed', 'usage.warning', 'member.added', 'user.created'])
			assert.ok(types.find((x) => x.type === type)?.description, type);
		const page = readFileSync(path.join(root, 'docs/webhooks.md'), 'utf8');
		assert.deepEqual(types.map((x) => x.type).filter((type) => !page.includes(`\`${type}\``)), [], 'and stand in docs/webhooks.md');
	});

	test('whatever befalls a licence can be listened to, and is told', async () => {
		const said = ['created', 'suspended', 'reinstated', 'renewed', 'checked_in', 'transferred', 'revoked'].map((x) => `licence.${x}`);
		const r = await receiver();
		await hook(r, { events: said }, { base: ADMIN, as: boss.as });
		const { license } = ok(await boss.as.post('/api/v1/admin/licenses', { term_days: 30 }));
		for (const [verb, json] of [['suspend'], ['reinstate'], ['renew', {}], ['transfer', { user_id: eve.id }]])
			ok(await boss.as.post(`/api/v1/admin/licenses/${license.id}/${verb}`, json));
		ok(await eve.as.post(`/api/v1/licenses/${license.id}/check-in`));
		ok(await boss.as.post(`/api/v1/admin/licenses/${license.id}/revoke`));
		const calls = await r.heard(said.length);
		assert.deepEqual(calls.map((c) => c.json.type).sort(), [...said].sort());
		assert.ok(calls.every((c) => c.json.data.license_id === license.id && !c.body.includes(license.license_key)));
	});

	test('nobody sees, changes or hears of another’s (T17)', async () => {
		const his = await team(t, eve);
		const [r, mine, hers, vendors] = [await receiver(), await receiver(), await receiver(), await receiver()];
		const h = await hook(mine);
		const v = await hook(vendors, {}, { base: ADMIN, as: boss.as });
		const other = await hook(hers, {}, { base: of(his), as: eve.as });
		await emit('licence.created');
		await becomes(h, 'delivered', (x) => x.state === 'delivered');
		const [d] = await deliveries(h);
		const tries = [['get', ''], ['put', '', { enabled: false }], ['delete', ''], ['post', '/test'], ['post', '/rotate-secret', {}], ['get', '/deliveries'], ['post', `/deliveries/${d.id}/resend`]];
		for (const [method, tail, body] of tries) {
			for (const [as, base] of [[eve.as, of(his)], [boss.as, ADMIN]])
				problem(await (body ? as[method](`${base}/${h.id}${tail}`, body) : as[method](`${base}/${h.id}${tail}`)), 'webhook-not-found');
			problem(await (body ? ann.as[method](`${of(org)}/${v.id}${tail}`, body) : ann.as[method](`${of(org)}/${v.id}${tail}`)), 'webhook-not-found');
			problem(await (body ? eve.as[method](`${h.path}${tail}`, body) : eve.as[method](`${h.path}${tail}`)), 'organization-not-found');
			problem(await (body ? bob.as[method](`${h.path}${tail}`, body) : bob.as[method](`${h.path}${tail}`)), 'insufficient-role');
			problem(await (body ? ann.as[method](`${v.path}${tail}`, body) : ann.as[method](`${v.path}${tail}`)), 'denied');
		}
		problem(await ann.as.post(`${h.path}/deliveries/${randomUUID()}/resend`), 'delivery-not-found');
		problem(await boss.as.post(`${v.path}/deliveries/${d.id}/resend`), 'delivery-not-found');
		problem(await eve.as.post(`${other.path}/deliveries/${d.id}/resend`), 'delivery-not-found');
		await emit('licence.revoked', { organization: his.id });
		await emit('user.created', { organization: null, user: ann.id });
		await vendors.heard(3);
		await hers.heard(1);
		assert.deepEqual(vendors.calls.map((c) => c.json.type).sort(), ['licence.created', 'licence.revoked', 'user.created']);
		assert.deepEqual([mine, hers].map((x) => x.calls.map((c) => c.json.type)), [['licence.created'], ['licence.revoked']]);
		assert.equal(r.calls.length, 0);
	});
});

describe('a delivery', () => {
	test('is a POST that the published library verifies: type, time and data, and nothing of it can be changed', async () => {
		const r = await receiver();
		const h = await hook(r);
		const data = { licence_id: randomUUID(), text: 'Grüße \u{1f600} "quoted"', list: [1, 2.5, null], nested: { a: true } };
		await emit('licence.created', { data });
		const [c] = await r.heard();
		assert.deepEqual([c.method, c.path, c.headers['content-type']], ['POST', '/hooks', 'application/json']);
		assert.match(c.headers['user-agent'], /^quoin\//);
		const payload = verified(c, h.secret);
		assert.deepEqual(Object.keys(payload), ['type', 'timestamp', 'data']);
		assert.deepEqual([payload.type, payload.data], ['licence.created', data]);
		assert.ok(Math.abs(Date.parse(payload.timestamp) - Date.now()) < 30_000);
		assert.ok(Math.abs(Number(c.headers['webhook-timestamp']) - Date.now() / 1000) < 30);
		const d = await becomes(h, 'delivered', (x) => x.state === 'delivered');
		assert.deepEqual([d.event_id, d.type, d.attempts, d.response_status, d.error, d.next_at], [c.id, 'licence.created', 1, 204, null, null]);
		assert.ok(d.ended_at && d.duration_ms >= 0);
		for (const change of [{ body: c.body.replace('created', 'revoked') }, { headers: { ...c.headers, 'webhook-id': randomUUID() } }, { headers: { ...c.headers, 'webhook-timestamp': String(Number(c.headers['webhook-timestamp']) + 1) } }])
			assert.throws(() => verified({ ...c, ...change }, h.secret), /No matching signature/);
		assert.throws(() => verified(c, `whsec_${Buffer.alloc(32).toString('base64')}`), /No matching signature/);
	});

	test('is made of what an endpoint listens to, while it is enabled, and of nothing that was rolled back', async () => {
		const [some, all, off] = [await receiver(), await receiver(), await receiver()];
		await hook(some, { events: ['device.added', 'invoice.paid'] });
		await hook(all);
		const paused = await hook(off);
		ok(await ann.as.put(paused.path, { enabled: false }));
		await t.stack.rows(`BEGIN; ${emitSql('licence.expired')}; ROLLBACK`);
		await t.stack.rows(`BEGIN; ${emitSql('device.added')}; ${emitSql('device.released')}; ${emitSql('invoice.paid')}; COMMIT`);
		assert.deepEqual((await all.heard(3)).map((c) => c.json.type), ['device.added', 'device.released', 'invoice.paid']);
		assert.deepEqual((await some.heard(2)).map((c) => c.json.type), ['device.added', 'invoice.paid']);
		ok(await ann.as.put(paused.path, { enabled: true }));
		await emit('usage.warning');
		assert.deepEqual((await off.heard(1)).map((c) => c.json.type), ['usage.warning']);
	});

	test('tells of users and members as they come and go', async () => {
		const r = await receiver();
		await hook(r, { events: ['user.created', 'user.deleted', 'member.added', 'member.updated', 'member.removed'] }, { base: ADMIN, as: boss.as });
		const cy = await t.user('cy');
		assert.deepEqual((await r.heard(1, 'user.created'))[0].json.data, { user_id: cy.id, email: cy.email, email_verified: true, plan: 'free' });
		const his = await team(t, cy, { member: bob });
		ok(await cy.as.put(`${his.path}/members/${bob.id}`, { role: 'admin' }));
		ok(await cy.as.delete(`${his.path}/members/${bob.id}`));
		await r.heard(1, 'member.removed');
		const about = (type) => r.calls.filter((c) => c.json.type === type && c.json.data.organization_id === his.id).map((c) => [c.json.data.user_id, c.json.data.role]);
		assert.deepEqual([about('member.added'), about('member.updated'), about('member.removed')], [[[cy.id, 'owner'], [bob.id, 'member']], [[bob.id, 'admin']], [[bob.id, 'admin']]]);
		await t.stack.rows(`DELETE FROM users WHERE id = '${cy.id}'`);
		assert.deepEqual((await r.heard(1, 'user.deleted'))[0].json.data, { user_id: cy.id });
		assert.deepEqual(await t.stack.rows(`SELECT DISTINCT data FROM events WHERE user_id = '${cy.id}' AND type LIKE 'user.%'`), [[`{"user_id": "${cy.id}"}`]]);
	});

	test('of an endpoint that is tried out', async () => {
		for (const [as, base] of [[ann.as, of(org)], [boss.as, ADMIN]]) {
			const r = await receiver();
			const h = await hook(r, { events: ['invoice.paid'] }, { as, base });
			const { delivery_id } = ok(await as.post(`${h.path}/test`));
			const [c] = await r.heard(1, 'webhook.test');
			assert.deepEqual(verified(c, h.secret).data, { webhook_id: h.id });
			assert.equal((await becomes(h, 'delivered', (x) => x.state === 'delivered')).id, delivery_id);
			ok(await as.put(h.path, { enabled: false }));
			problem(await as.post(`${h.path}/test`), 'conflict');
		}
	});

	test('that fails comes again, later and later, the same each time, and ends well', async () => {
		let bad = 2;
		const r = await receiver((c) => (bad-- > 0 ? [500, { 'content-type': 'text/plain' }, `no\0\x1b[31m \u00e9 ${'x'.repeat(3000)}`] : 200));
		const h = await hook(r);
		await emit('invoice.paid', { data: { n: 1 } });
		for (let n = 1; n <= 2; n++) {
			const d = await becomes(h, `attempt ${n} is over`, (x) => x.attempts === n && x.response_status === 500 && (n === 1 || Date.parse(x.next_at) > Date.now() + 100_000));
			assert.equal(d.state, 'pending');
			const pause = (Date.parse(d.next_at) - r.calls.at(-1).at) / 1000;
			assert.ok(pause > PAUSES[n - 1] - 1 && pause < PAUSES[n - 1] * 1.2 + 5, `${pause} s after attempt ${n}`);
			assert.match(d.response_body, /^no\?\?\[31m é x+$/);
			assert.equal(Buffer.byteLength(d.response_body), 1024);
			assert.ok((await show(h)).failing_since);
			await due(h);
		}
		const d = await becomes(h, 'delivered', (x) => x.state === 'delivered');
		assert.deepEqual([d.attempts, d.response_status, d.response_body], [3, 200, '']);
		assert.equal((await show(h)).failing_since, null);
		assert.equal(new Set(r.calls.map((c) => `${c.id} ${c.body}`)).size, 1);
		for (const c of r.calls)
			verified(c, h.secret);
	});

	test('is given up after ten attempts in three days', async () => {
		const r = await receiver(() => 500);
		const h = await hook(r);
		await emit('invoice.paid');
		for (let n = 1; n <= 9; n++) {
			const d = await becomes(h, `attempt ${n} is over`, (x) => x.attempts === n && (n === 1 ? x.response_status : x.next_at > new Date(Date.now() + 60_000).toISOString()));
			const pause = (Date.parse(d.next_at) - r.calls.at(-1).at) / 1000;
			assert.ok(pause > PAUSES[n - 1] - 1 && pause < PAUSES[n - 1] * 1.2 + 5, `${pause} s after attempt ${n}`);
			await due(h);
		}
		const d = await becomes(h, 'failed', (x) => x.state === 'failed');
		assert.deepEqual([d.attempts, d.response_status, d.next_at], [10, 500, null]);
		await due(h);
		await emit('invoice.payment_failed');
		await r.heard(1, 'invoice.payment_failed');
		assert.equal(r.calls.length, 11);
		assert.equal((await show(h)).enabled, true);
	});

	test('survives its worker: it comes once more, under the same id', async () => {
		let hold;
		const held = new Promise((resolve) => (hold = resolve));
		const r = await receiver(() => (r.calls.length === 1 ? (hold(), null) : 200));
		const h = await hook(r);
		await emit('licence.revoked', { data: { n: 1 } });
		await held;
		const old = copy.workers('jobs');
		for (const pid of old)
			signal(pid, 'SIGKILL');
		await until('others are there', () => copy.workers('jobs').filter((p) => !old.includes(p)).length >= copy.wanted('jobs'));
		const [d] = await deliveries(h);
		assert.deepEqual([d.state, d.attempts], ['pending', 1]);
		const lease = (Date.parse(d.next_at) - r.calls[0].at) / 1000;
		assert.ok(lease > 50 && lease <= 61, `${lease} s`);
		await due(h); // the minute is over
		const [first, second] = await r.heard(2);
		assert.equal(second.id, first.id);
		assert.equal(second.body, first.body);
		verified(second, h.secret);
		await becomes(h, 'delivered', (x) => x.state === 'delivered' && x.attempts === 2);
	});

	test('is sent again when somebody asks, under the same id', async () => {
		for (const [as, base, organization] of [[ann.as, of(org), org.id], [boss.as, ADMIN, null]]) {
			let status = 200;
			const r = await receiver(() => status);
			const h = await hook(r, {}, { as, base });
			await emit('invoice.paid', { organization });
			const d = await becomes(h, 'delivered', (x) => x.state === 'delivered');
			const again = ok(await as.post(`${h.path}/deliveries/${d.id}/resend`)).delivery;
			assert.deepEqual([again.id, again.state, again.attempts, again.event_id], [d.id, 'pending', 0, d.event_id]);
			const [first, second] = await r.heard(2);
			assert.deepEqual([second.id, second.body], [first.id, first.body]);
			await becomes(h, 'delivered again', (x) => x.state === 'delivered');
			// One that waits for its next attempt does not wait any more; one behind it has to.
			status = 500;
			await emit('licence.created', { organization });
			const late = await becomes(h, 'tried', (x) => x.response_status === 500);
			await later(h);
			await emit('licence.renewed', { organization });
			const [behind] = await deliveries(h);
			assert.deepEqual([behind.state, behind.type, behind.next_at], ['waiting', 'licence.renewed', null]);
			problem(await as.post(`${h.path}/deliveries/${behind.id}/resend`), 'conflict');
			status = 200;
			ok(await as.post(`${h.path}/deliveries/${late.id}/resend`));
			assert.deepEqual((await r.heard(5)).slice(-3).map((c) => c.json.type), ['licence.created', 'licence.created', 'licence.renewed']);
			ok(await as.put(h.path, { enabled: false }));
			problem(await as.post(`${h.path}/deliveries/${d.id}/resend`), 'conflict');
		}
	});

	test('has its log: newest first, filtered, in pages by cursors of this list and reader only (T20)', async () => {
		const r = await receiver((c) => (c.json.type === 'usage.warning' ? 500 : 200));
		const h = await hook(r, { ordered: false });
		const other = await hook(r, {}, { base: ADMIN, as: boss.as });
		for (let n = 0; n < 6; n++)
			await emit(n % 3 ? 'device.added' : 'usage.warning', { data: { n } });
		await until('all are tried', async () => (await deliveries(h)).filter((d) => d.attempts > 0 && d.response_status).length === 6);
		const all = await deliveries(h);
		assert.deepEqual(all.map((d) => d.seq), all.map((d) => d.seq).sort((a, b) => b - a));
		const types = async (q) => (await deliveries(h, q)).map((d) => d.type);
		assert.deepEqual(await types('?state=pending'), ['usage.warning', 'usage.warning']);
		assert.equal((await types('?state=delivered')).length, 4);
		assert.deepEqual(await types('?type=usage.warning&state=delivered'), []);
		assert.equal((await types('?type=device.added')).length, 4);
		const first = ok(await ann.as.get(`${h.path}/deliveries?limit=4`));
		const second = ok(await ann.as.get(`${h.path}/deliveries?limit=4&cursor=${first.next_cursor}`));
		assert.deepEqual([...first.deliveries, ...second.deliveries].map((d) => d.id), all.map((d) => d.id));
		assert.deepEqual([first.has_more, second.has_more, second.next_cursor], [true, false, null]);
		problem(await boss.as.get(`${other.path}/deliveries?cursor=${first.next_cursor}`), 'invalid-body');
		for (const q of ['cursor=x', "cursor=' OR 1=1", 'limit=0', 'limit=101', 'state=x', 'type=', `cursor=${Buffer.from('0000000000000000999').toString('base64url')}`])
			problem(await ann.as.get(`${h.path}/deliveries?${encodeURI(q)}`), 'invalid-body');
	});
});

describe('order', () => {
	test('an event waits for those before it of its organisation, and nobody else does', async () => {
		const other = await team(t, eve);
		const down = new Set([1]);
		const r = await receiver((c) => (down.has(c.json.data.n) ? 500 : 200));
		const h = await hook(r, { events: ['licence.created', 'licence.renewed', 'licence.revoked'] }, { base: ADMIN, as: boss.as });
		await emit('licence.created', { data: { n: 1 } });
		await becomes(h, 'the first has failed', (d) => d.response_status === 500);
		await later(h);
		await emit('licence.renewed', { data: { n: 2 } });
		await emit('licence.revoked', { data: { n: 3 } });
		await emit('licence.created', { organization: other.id, data: { n: 4 } });
		await emit('licence.created', { organization: null, user: bob.id, data: { n: 5 } });
		await r.heard(3);
		const state = async () => Object.fromEntries((await deliveries(h)).map((d) => [d.seq, d.state]));
		await until('the others are delivered', async () => Object.values(await state()).filter((s) => s === 'delivered').length === 2);
		assert.deepEqual(Object.values(await state()), ['pending', 'waiting', 'waiting', 'delivered', 'delivered']);
		await due(h);
		await becomes(h, 'the second attempt has failed', (_d) => r.calls.filter((c) => c.json.data.n === 1).length === 2);
		down.clear();
		await until('the second attempt is kept', async () => (await deliveries(h)).at(-1).attempts === 2 && Date.parse((await deliveries(h)).at(-1).next_at) > Date.now() + 100_000);
		await due(h);
		await r.heard(7);
		assert.deepEqual(r.calls.map((c) => c.json.data.n).filter((n) => n < 4), [1, 1, 1, 2, 3]);
		await until('all are delivered', async () => Object.values(await state()).every((s) => s === 'delivered'));
	});

	test('one that was given up lets the next go', async () => {
		const r = await receiver((c) => (c.json.data.n === 1 ? 500 : 200));
		const h = await hook(r);
		await emit('licence.created', { data: { n: 1 } });
		await becomes(h, 'it has failed', (d) => d.response_status === 500);
		await emit('licence.renewed', { data: { n: 2 } });
		await t.stack.rows(`UPDATE webhook_deliveries SET attempts = 9 WHERE endpoint_id = '${h.id}' AND state = 'pending'`);
		await due(h);
		await r.heard(1, 'licence.renewed');
		await until('both are over', async () => (await deliveries(h)).map((d) => d.state).join() === 'delivered,failed');
	});

	test('who does not want it does not wait', async () => {
		const r = await receiver((c) => (c.json.data.n === 1 ? 500 : 200));
		const h = await hook(r, { ordered: false });
		await emit('licence.created', { data: { n: 1 } });
		await becomes(h, 'it has failed', (d) => d.response_status === 500);
		await emit('licence.renewed', { data: { n: 2 } });
		await r.heard(1, 'licence.renewed');
	});

	test('one whose turn nobody saw is found', async () => {
		const r = await receiver();
		const h = await hook(r);
		await t.stack.rows(`BEGIN; ${emitSql('licence.renewed')}; UPDATE webhook_deliveries SET state = 'waiting' WHERE endpoint_id = '${h.id}'; COMMIT`);
		await r.heard(1, 'licence.renewed', { within: 25_000 });
	});
});

describe('a receiver', () => {
	test('that is down is left alone for a while, and then gets all that waited, in order (F30)', async () => {
		const r = await receiver();
		const h = await hook(r);
		await r.down();
		await emit('device.added', { data: { n: 0 } });
		const d = await becomes(h, 'it has failed', (x) => x.error !== null);
		assert.deepEqual([d.state, d.response_status, d.response_body], ['pending', null, null]);
		assert.match(d.error, /connect/i);
		let rest = await rests(h, 1);
		// The last is of another subject: it is due, and yet does not try a receiver that was not there a second ago.
		const waiting = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => emitSql('device.added', { data: { n } }));
		await t.stack.rows([...waiting, emitSql('device.added', { organization: null, user: bob.id, data: { n: 100 } })].join(';'));
		for (let n = 1; n <= 3; n++) {
			assert.ok(Number(rest) > 0 && Number(rest) <= 5 * 2 ** (n - 1), `${rest} s`);
			await due(h);
			rest = await rests(h, n + 1);
		}
		await r.up();
		await due(h);
		const calls = await r.heard(10);
		assert.deepEqual(calls.map((c) => c.json.data.n), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
		for (const c of calls)
			verified(c, h.secret);
		assert.equal(await t.stack.one(`SELECT silent || ' ' || rest_until FROM webhook_endpoints WHERE id = '${h.id}'`), '0 -infinity');
	});

	test('that says 410 is told no more, and its owner is; switched on again it gets what waited', async () => {
		for (const [who, base, organization] of [[ann, of(org), org.id], [boss, ADMIN, null]]) {
			let status = 410;
			const r = await receiver(() => status);
			const h = await hook(`${r.url}?token=not-for-mail`, {}, { as: who.as, base });
			await emit('invoice.paid', { organization, data: { n: 1 } });
			const d = await becomes(h, 'failed', (x) => x.state === 'failed');
			assert.deepEqual([d.attempts, d.response_status], [1, 410]);
			const { enabled, disabled_reason } = await show(h);
			assert.deepEqual([enabled, disabled_reason], [false, 'gone']);
			const mail = await mails.next(who.email, /A webhook of .* was switched off/);
			assert.ok(mail.text.includes(`127.0.0.1:${r.port}/hooks`) && !mail.text.includes(r.url) && mail.text.includes('410') && !mail.text.includes('not-for-mail'), mail.text);
			await emit('invoice.paid', { organization, data: { n: 2 } });
			status = 200;
			ok(await who.as.put(h.path, { enabled: true }));
			await emit('invoice.paid', { organization, data: { n: 3 } });
			await r.heard(2);
			assert.deepEqual(r.calls.map((c) => c.json.data.n), [1, 3]);
		}
	});

	test('that has failed for five days is told no more; one success in between begins them anew', async () => {
		let status = 500;
		const r = await receiver(() => status);
		const h = await hook(r, { ordered: false });
		const fail = async (n) => {
			await emit('usage.warning', { data: { n } });
			await becomes(h, `${n} has failed`, (d) => d.response_status === 500);
		};
		const age = () => t.stack.rows(`UPDATE webhook_endpoints SET failing_since = now() - interval '121 hours' WHERE id = '${h.id}'`);
		await fail(1);
		await age();
		status = 200;
		await emit('usage.warning', { data: { n: 2 } });
		await becomes(h, 'one is delivered', (d) => d.state === 'delivered');
		status = 500;
		await fail(3);
		assert.equal((await show(h)).enabled, true);
		await age();
		await fail(4);
		const { enabled, disabled_reason } = await show(h);
		assert.deepEqual([enabled, disabled_reason], [false, 'failing']);
		assert.match((await mails.next(ann.email, /was switched off/, 2)).text, /no call to it has succeeded for five days/);
	});

	test('that answers too much is not read to the end, and its word counts', async () => {
		const r = await receiver((_c, res) => {
			res.writeHead(200, { 'content-type': 'text/plain' });
			const more = () => {
				while (!res.destroyed && res.write('x'.repeat(65_536)));
				if (!res.destroyed)
					res.once('drain', more);
			};
			more();
			return null;
		});
		const h = await hook(r);
		await emit('invoice.paid');
		const d = await becomes(h, 'delivered', (x) => x.state === 'delivered');
		assert.equal(d.response_body, 'x'.repeat(1024));
		assert.ok(d.duration_ms < 20_000);
	});

	test('that leads elsewhere is not followed (T24)', async () => {
		const trap = await receiver();
		for (const status of [301, 302, 303, 307, 308]) {
			const r = await receiver(() => [status, { location: trap.url }]);
			const h = await hook(r);
			await emit('invoice.paid');
			const d = await becomes(h, 'it has failed', (x) => x.response_status !== null);
			assert.deepEqual([d.state, d.response_status], ['pending', status]);
			ok(await ann.as.delete(h.path));
		}
		assert.equal(trap.connections, 0);
	});

	test('that is removed meanwhile fails nobody', async () => {
		const r = await receiver();
		const h = await hook(r);
		const session = copy.session({ user: 'quoin' });
		await session.run('BEGIN');
		await session.run(emitSql('licence.created'));
		ok(await ann.as.delete(h.path));
		await session.run(emitSql('licence.renewed'));
		assert.match(await session.run(`COMMIT; SELECT 'it is ' || count(*) FROM events WHERE organization_id = '${org.id}' AND type = 'licence.renewed' AND created_at > now() - interval '20 s'`), /it is [1-9]/);
		await session.end();
	});
});

describe('addresses that are not public (T24)', () => {
	/** The jobs pool as it is outside of tests. */
	async function strict(work) {
		await copy.shell('stop', 'TERM', '30', 'jobs');
		process.env.QUOIN_OUTBOUND_LOCAL = 'no';
		try {
			await copy.shell('start', 'jobs', 'strict', `${copy.build}/quoind`, '--pool=jobs');
			delete process.env.QUOIN_OUTBOUND_LOCAL;
			await work();
		} finally {
			delete process.env.QUOIN_OUTBOUND_LOCAL;
			await copy.shell('stop', 'TERM', '30', 'jobs');
			await copy.shell('up_pools');
			await until('jobs are done again', () => copy.workers('jobs').length >= copy.wanted('jobs'));
		}
	}

	test('are not called, by number or by name, and a name that does not exist is answered alike', async () => {
		const r = await receiver();
		const hosts = ['127.0.0.1', 'localhost', '[::1]', '0.0.0.0', '2130706433', '[::ffff:127.0.0.1]', '10.0.0.1', '169.254.169.254', 'nobody.invalid'];
		const hooks = [];
		for (const host of hosts)
			hooks.push(await hook(`https://${host}:${r.port}/hooks`));
		const plain = await hook(r);
		await strict(async () => {
			await emit('invoice.paid');
			for (const [i, h] of hooks.entries()) {
				const d = await becomes(h, `${hosts[i]} is refused`, (x) => x.error !== null);
				assert.deepEqual([hosts[i], d.error, d.state], [hosts[i], 'its host has no public address', 'pending']);
			}
			const d = await becomes(plain, 'http is refused', (x) => x.error !== null);
			assert.match(d.error, /protocol/i);
		});
		assert.equal(r.connections, 0);
	});
});

describe('secrets', () => {
	test('are changed: both sign for a while, then only the new one', async () => {
		for (const [as, base, organization] of [[ann.as, of(org), org.id], [boss.as, ADMIN, null]]) {
			const r = await receiver();
			const h = await hook(r, {}, { as, base });
			const rotate = async (body) => {
				const made = ok(await as.post(`${h.path}/rotate-secret`, body));
				secrets.push(made.secret);
				return made;
			};
			const next = async (n) => {
				await emit('invoice.paid', { organization });
				return (await r.heard(n))[n - 1];
			};
			const { secret, webhook } = await rotate({});
			const hours = (Date.parse(webhook.old_secret_until) - Date.now()) / 3600_000;
			assert.ok(hours > 23.9 && hours <= 24);
			const both = await next(1);
			assert.equal(both.headers['webhook-signature'].split(' ').length, 2);
			verified(both, secret);
			verified(both, h.secret);
			await t.stack.rows(`UPDATE webhook_endpoints SET old_secret_until = now() WHERE id = '${h.id}'`);
			const one = await next(2);
			assert.equal(one.headers['webhook-signature'].split(' ').length, 1);
			verified(one, secret);
			assert.throws(() => verified(one, h.secret), /No matching signature/);
			assert.equal((await show(h)).old_secret_until, null);
			const last = await rotate({ overlap_hours: 0 });
			assert.equal(last.webhook.old_secret_until, null);
			const only = await next(3);
			verified(only, last.secret);
			assert.throws(() => verified(only, secret), /No matching signature/);
		}
	});

	test('are in no log, no list and not in the database as they are (T33)', async () => {
		const r = await receiver(() => 500);
		const h = await hook(`${r.url}?key=a-token-of-theirs`);
		await emit('invoice.paid', { data: { note: 'what-happened-inside' } });
		await becomes(h, 'it has failed', (x) => x.response_status === 500);
		const dir = path.join(t.stack.state, 'log');
		const said = readdirSync(dir).filter((f) => /^(api|slow|ingest|jobs|nginx|access)/.test(f)).map((f) => readFileSync(path.join(dir, f), 'utf8')).join('\n');
		assert.ok(said.includes(h.id));
		for (const secret of [...secrets, 'whsec_', 'a-token-of-theirs', 'what-happened-inside'])
			assert.ok(!said.includes(secret));
		const kept = await t.stack.rows(`SELECT w::text, encode(w.secret_sealed, 'escape') FROM webhook_endpoints w UNION ALL SELECT details::text, '' FROM audit_logs WHERE action LIKE 'webhook.%'`);
		for (const secret of secrets)
			assert.ok(!JSON.stringify(kept).includes(secret) && !JSON.stringify(kept).includes(Buffer.from(secret).toString('hex')));
	});
});

describe('quoinctl webhook', () => {
	const ctl = (...args) => t.stack.ctl('webhook', args[0], '--app', 'fig-nodes', ...args.slice(1));

	test('adds, lists, removes, shows deliveries and sends them again, of an app and of an organisation', async () => {
		for (const scope of [[], ['--org', org.slug]]) {
			let status = 500;
			const r = await receiver(() => status);
			const [id, secret] = (await ctl('add', ...scope, '--events', 'invoice.paid,licence.created', r.url)).trim().split(' ');
			assert.equal((await ctl('list', ...scope)).trim(), `${id} enabled  ${r.url} ["invoice.paid","licence.created"]`);
			await emit('invoice.paid');
			verified((await r.heard())[0], secret);
			const line = await until('its failure is kept', async () => /^(\S+) \S+ pending +attempts=1 invoice.paid 500$/m.exec(await ctl('deliveries', ...scope, id)));
			status = 200;
			await ctl('resend', ...scope, id, line[1]);
			await until('it is delivered', async () => / delivered attempts=2 invoice.paid 200/.test(await ctl('deliveries', ...scope, id)));
			await ctl('remove', ...scope, id);
			assert.equal(await ctl('list', ...scope), '');
			await assert.rejects(ctl('remove', ...scope, id), /Webhook not found/);
		}
		const trail = await t.stack.rows(`SELECT action FROM audit_logs WHERE action LIKE 'webhook.%' AND details->>'by' = 'operator' AND organization_id = '${org.id}' ORDER BY seq`);
		assert.deepEqual(trail.map(([a]) => a), ['webhook.create', 'webhook.resend', 'webhook.delete']);
	});

	test('wrong arguments', async () => {
		await assert.rejects(ctl('add', 'ftp://example.com'), /must begin with https/);
		await assert.rejects(ctl('add', '--events', 'no.such', 'https://example.com'), /there is no event 'no.such'/);
		await assert.rejects(ctl('list', '--org', 'no-such'), /Organization not found/);
		for (const args of [['add'], ['remove', 'x'], ['list', 'x'], ['resend', randomUUID()], ['list', '--events', 'invoice.paid']])
			await assert.rejects(ctl(...args), /Usage/);
		await assert.rejects(t.stack.ctl('webhook', 'list', '--app', 'nothing'), /there is no app/);
	});
});
