// The audit log of an organisation (CONTRACT E8, E17): what is in it, that nobody can change it, that a change
// past all guards is found, and that retention keeps it provable.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { ok, problem, setup } from '../lib/setup.mjs';
import { team } from '../lib/teams.mjs';
import { until } from '../lib/wait.mjs';

let t, ann, bob, eve;

before(async () => {
	t = await setup();
	[ann, bob, eve] = [await t.user('ann'), await t.user('bob'), await t.user('eve')];
});
after(() => t?.stop());

const logs = async (who, o, query = '') => ok(await who.as.get(`${o.path}/audit-logs${query}`));
const verify = (...args) => t.stack.ctl('audit', 'verify', ...args);

/** Past the guards, as somebody could who owns the machine; the tables in the order in which a job may just be writing them. */
const tamper = (sql) => t.stack.rows(`BEGIN; ALTER TABLE audit_heads DISABLE TRIGGER USER; ALTER TABLE audit_logs DISABLE TRIGGER USER; ${sql}; ALTER TABLE audit_logs ENABLE TRIGGER USER; ALTER TABLE audit_heads ENABLE TRIGGER USER; COMMIT`, '-U', 'postgres');

/** Rows below `seq` as time would have made them: older, with hashes to fit. */
const age = (o, days, seq) => tamper(`DO $$
	DECLARE a audit_logs; before bytea;
	BEGIN
		SELECT anchor INTO before FROM audit_heads WHERE chain = '${o.id}';
		FOR a IN SELECT * FROM audit_logs WHERE chain = '${o.id}' ORDER BY audit_logs.seq LOOP
			IF a.seq < ${seq} THEN a.created_at := a.created_at - ${days} * interval '1 day'; END IF;
			a.hash := audit_hash(before, a);
			UPDATE audit_logs x SET created_at = a.created_at, hash = a.hash WHERE x.chain = a.chain AND x.seq = a.seq;
			before := a.hash;
		END LOOP;
		UPDATE audit_heads SET hash = before WHERE chain = '${o.id}';
	END $$`);

async function busy(changes) {
	const o = await team(t, ann, { admin: bob });
	for (let i = 0; i < changes; i++)
		ok(await (i % 2 ? bob : ann).as.put(o.path, { name: `name ${i}` }));
	return o;
}

describe('what is in it', () => {
	test('who did what to whom, from where, in which request', async () => {
		const o = await team(t, ann, { member: bob });
		const r = await ann.as.put(`${o.path}/members/${bob.id}`, { role: 'admin' }, { headers: { 'user-agent': 'a test "1.0"' } });
		ok(r);
		const [e] = (await logs(ann, o)).audit_logs;
		const { id, created_at: when, ...rest } = e;
		assert.match(id, /^[0-9a-f-]{36}$/);
		assert.ok(Math.abs(Date.parse(when) - Date.now()) < 60_000);
		assert.deepEqual(rest, {
			seq: 2, user_id: ann.id, action: 'org.member.role', resource_type: 'user', resource_id: bob.id,
			details: { role: 'admin', was: 'member' }, ip_address: '127.0.0.1', user_agent: 'a test "1.0"', request_id: r.headers['x-request-id'],
		});
	});

	test('nothing of what was refused, or rolled back', async () => {
		const o = await team(t, ann, { member: bob });
		problem(await ann.as.delete(`${o.path}/members/me`), 'last-owner');
		problem(await bob.as.put(o.path, { name: 'his' }), 'insufficient-role');
		problem(await ann.as.post(`${o.path}/invitations`, { email: 'no-at-sign' }), 'invalid-body');
		assert.deepEqual((await logs(ann, o)).audit_logs.map((e) => e.action), ['org.create']);
	});

	test('a client whose name is no text does not keep a change from being made', async () => {
		const o = await team(t, ann);
		ok(await ann.as.put(o.path, { name: 'still' }, { headers: { 'user-agent': 'caf\u00e9 \u00ff' } }));
		assert.equal((await logs(ann, o)).audit_logs[0].action, 'org.update');
	});
});

describe('reading it', () => {
	test('filtered by action, user and time', async () => {
		const o = await busy(6);
		const actions = async (q) => (await logs(ann, o, q)).audit_logs.map((e) => e.seq);
		assert.deepEqual(await actions(''), [7, 6, 5, 4, 3, 2, 1]);
		assert.deepEqual(await actions('?action=org.create'), [1]);
		assert.deepEqual(await actions('?action=org.nothing'), []);
		assert.deepEqual(await actions(`?user_id=${bob.id}`), [7, 5, 3]);
		assert.deepEqual(await actions(`?user_id=${bob.id}&action=org.create`), []);
		const all = (await logs(ann, o)).audit_logs;
		const at = (seq) => encodeURIComponent(all.find((e) => e.seq === seq).created_at);
		assert.deepEqual(await actions(`?from=${at(3)}&to=${at(6)}`), [5, 4, 3]);
		assert.deepEqual(await actions(`?to=${at(2)}`), [1]);
		for (const q of ['user_id=x', 'from=yesterday', 'action=', 'limit=0', 'limit=101', 'cursor=x', "cursor=' OR 1=1"])
			problem(await ann.as.get(`${o.path}/audit-logs?${encodeURI(q)}`), 'invalid-body');
	});

	test('in pages, by cursors of this log and this reader only (T20)', async () => {
		const o = await busy(6);
		const other = await busy(6);
		const first = await logs(ann, o, '?limit=3');
		const second = await logs(ann, o, `?limit=3&cursor=${first.next_cursor}`);
		ok(await ann.as.put(o.path, { name: 'between' }));
		const third = await logs(ann, o, `?limit=3&cursor=${second.next_cursor}`);
		assert.deepEqual([first, second, third].map((p) => p.audit_logs.map((e) => e.seq)), [[7, 6, 5], [4, 3, 2], [1]]);
		assert.equal(third.has_more, false);
		problem(await ann.as.get(`${other.path}/audit-logs?cursor=${first.next_cursor}`), 'invalid-body');
		problem(await bob.as.get(`${o.path}/audit-logs?cursor=${first.next_cursor}`), 'invalid-body');
	});

	test('an organisation’s own, and never another’s', async () => {
		const o = await busy(1);
		problem(await eve.as.get(`${o.path}/audit-logs`), 'organization-not-found');
		const hers = await team(t, eve);
		assert.ok((await logs(eve, hers)).audit_logs.every((e) => e.resource_id === hers.id));
		await t.stack.rows(`INSERT INTO organization_members (organization_id, user_id, app_id, role) SELECT '${hers.id}', '${bob.id}', app_id, 'member' FROM organizations WHERE id = '${hers.id}'`);
		problem(await bob.as.get(`${hers.path}/audit-logs`), 'insufficient-role');
	});

	test('to have it proved takes a team’s plan: the organisation’s, not the caller’s (E17)', async () => {
		const o = await busy(2);
		await t.stack.rows(`UPDATE users SET plan = 'enterprise' WHERE id = '${ann.id}'`);
		const p = problem(await ann.as.get(`${o.path}/audit-logs/verify`), 'insufficient-tier');
		assert.equal(p.error, 'Insufficient subscription tier');
		await t.stack.ctl('org', 'set-plan', '--app', 'fig-nodes', o.id, 'pro');
		problem(await ann.as.get(`${o.path}/audit-logs/verify`), 'insufficient-tier');
		await t.stack.ctl('org', 'set-plan', '--app', 'fig-nodes', o.id, 'enterprise');
		assert.deepEqual(ok(await ann.as.get(`${o.path}/audit-logs/verify`)), { intact: true, seq: null, why: null });
		await tamper(`UPDATE audit_logs SET details = '{}' WHERE chain = '${o.id}' AND seq = 2`);
		assert.deepEqual(ok(await ann.as.get(`${o.path}/audit-logs/verify`)), { intact: false, seq: 2, why: 'it was changed' });
	});
});

describe('nobody changes it', () => {
	for (const role of ['quoin', 'quoin_owner', 'postgres'])
		test(`not as ${role}`, async () => {
			const o = await busy(1);
			for (const sql of [`UPDATE audit_logs SET action = 'x' WHERE chain = '${o.id}'`, `DELETE FROM audit_logs WHERE chain = '${o.id}'`, 'TRUNCATE audit_logs', `UPDATE audit_heads SET seq = 0 WHERE chain = '${o.id}'`, `DELETE FROM audit_heads WHERE chain = '${o.id}'`])
				await assert.rejects(t.stack.rows(sql, '-U', role), /the audit log cannot be changed|permission denied|must be owner/, sql);
			await verify('--org', o.id);
		});

	test('not as the workers’ role with the word that opens the door', async () => {
		const o = await busy(1);
		await assert.rejects(t.stack.rows(`SET quoin.audit_door = 'open'; DELETE FROM audit_logs WHERE chain = '${o.id}'`, '-U', 'quoin'), /the audit log cannot be changed/);
	});

	test('forty writers at once make one chain', async () => {
		const o = await team(t, ann, { admin: bob });
		const replies = await Promise.all(Array.from({ length: 40 }, (_, i) => (i % 2 ? ann : bob).as.put(o.path, { name: `n${i}` })));
		const made = replies.filter((r) => r.status === 200).length;
		for (const r of replies.filter((x) => x.status !== 200))
			problem(r, 'contention');
		assert.match(await verify('--org', o.id), new RegExp(`organization ${o.id}: ${made + 1} rows are as they were written`));
	});
});

describe('quoinctl audit verify', () => {
	test('names the first row that is not as it was written', async () => {
		const o = await busy(6);
		await tamper(`UPDATE audit_logs SET resource_id = 'x' WHERE chain = '${o.id}' AND seq IN (4, 6)`);
		const id = await t.stack.one(`SELECT id FROM audit_logs WHERE chain = '${o.id}' AND seq = 4`);
		await assert.rejects(verify('--app', 'fig-nodes', '--org', o.slug), (e) => {
			assert.match(e.stdout, new RegExp(`organization ${o.id}: broken at row 4 \\(${id}\\): it was changed`));
			return true;
		});
		const gone = await busy(3);
		await tamper(`DELETE FROM audit_logs WHERE chain = '${gone.id}' AND seq = 2`);
		await assert.rejects(verify('--org', gone.id), (e) => /broken at row 3 .*rows before it are missing/.test(e.stdout));
		await assert.rejects(verify('--app', 'fig-nodes'), (e) => e.stdout.includes(o.id) && e.stdout.includes(gone.id));
		// so that the copy is whole again for who comes after
		await tamper(`DELETE FROM audit_logs WHERE chain IN ('${o.id}', '${gone.id}'); DELETE FROM audit_heads WHERE chain IN ('${o.id}', '${gone.id}')`);
	});

	test('the log of an organisation that is gone is still there, and whole', async () => {
		const o = await busy(2);
		ok(await ann.as.delete(o.path));
		assert.match(await verify('--org', o.id), /: 4 rows are as they were written/);
	});

	test('wrong arguments', async () => {
		await assert.rejects(verify('--app', 'nothing'), /there is no app/);
		await assert.rejects(verify('--org', 'a-slug'), /say which with --app/);
		await assert.rejects(verify('--app', 'fig-nodes', '--org', 'no-such'), /Organization not found/);
		await assert.rejects(t.stack.ctl('audit'), /Usage/);
	});
});

describe('quoinctl audit list', () => {
	const list = async (...args) => (await t.stack.ctl('audit', 'list', '--app', 'fig-nodes', ...args)).split('\n').filter(Boolean).map((l) => JSON.parse(l));

	test('has what the route has, in the same order and with its filters', async () => {
		const o = await busy(6);
		const { audit_logs: said } = await logs(ann, o);
		assert.deepEqual(await list('--org', o.slug), said);
		assert.deepEqual(await list('--org', o.id, '--before', '4'), said.filter((e) => e.seq < 4));
		const { action } = said[0];
		assert.deepEqual(await list('--org', o.id, '--action', action), said.filter((e) => e.action === action));
	});

	test('reads the app’s own log: what somebody’s account went through', async () => {
		const who = await t.stack.account('fig-nodes', `audited.${randomUUID()}@example.com`);
		const as = t.http.as(ok(await t.http.post('/api/v1/auth/login', { email: who.email, password: who.password }, { token: null })).access_token);
		ok(await as.post('/api/v1/api-keys', {}));
		const rows = await list('--user', who.email);
		assert.deepEqual(rows.map((e) => e.action), ['api-key.create', 'session.begin']);
		assert.deepEqual(await list('--user', who.id, '--action', 'api-key.create'), rows.slice(0, 1));
		assert.ok(rows[0].seq > rows[1].seq && rows[0].ip_address && rows[0].request_id);
	});

	test('wrong arguments', async () => {
		for (const args of [['list'], ['list', '--app', 'fig-nodes', '--before', 'x'], ['verify', '--user', 'a@example.com'], ['list', 'x', '--app', 'fig-nodes']])
			await assert.rejects(t.stack.ctl('audit', ...args), /Usage/);
		await assert.rejects(list('--user', 'nobody@example.com'), /nobody@example.com/);
	});
});

describe('retention', () => {
	test('what is older than the organisation keeps goes, what is left is whole', async () => {
		const o = await busy(9);
		const other = await busy(9);
		for (const x of [o, other])
			await age(x, 40, 7);
		ok(await ann.as.put(o.path, { audit_log_retention_days: 30 }));
		await until('the job has been and gone', async () => {
			await t.stack.rows("UPDATE jobs SET run_at = now() WHERE unique_key = 'audit.prune' AND dead_at IS NULL");
			return (await logs(ann, o)).audit_logs.at(-1).seq === 7;
		}, { within: 40_000 });
		assert.deepEqual((await logs(ann, o)).audit_logs.map((e) => e.seq), [11, 10, 9, 8, 7]);
		assert.equal((await logs(ann, other)).audit_logs.length, 10, 'another keeps its own for ninety days');
		assert.match(await verify('--org', o.id), /: 5 rows are as they were written/);
		ok(await ann.as.put(o.path, { name: 'and on' }));
		assert.match(await verify('--org', o.id), /: 6 rows are as they were written/);
		await tamper(`DELETE FROM audit_logs WHERE chain = '${o.id}' AND seq = 7`);
		await assert.rejects(verify('--org', o.id), (e) => /broken at row 8 .*rows before it are missing/.test(e.stdout));
		await tamper(`DELETE FROM audit_logs WHERE chain = '${o.id}'; DELETE FROM audit_heads WHERE chain = '${o.id}'`);
	});

	test('how long is an owner’s to say, and stands in the log', async () => {
		const o = await team(t, ann, { admin: bob });
		problem(await bob.as.put(o.path, { audit_log_retention_days: 1, name: randomUUID() }), 'insufficient-role');
		ok(await ann.as.put(o.path, { audit_log_retention_days: 365 }));
		assert.deepEqual((await logs(ann, o)).audit_logs[0].details, { audit_log_retention_days: '365' });
	});
});
