// F30: a receiver of webhooks is down for an hour, while workers die too, and then it is there again.
import assert from 'node:assert/strict';

import { signal } from '../lib/copy.mjs';
import { fault, times } from '../lib/fault.mjs';
import { Receiver, verified } from '../lib/receiver.mjs';
import { ok } from '../lib/setup.mjs';
import { team } from '../lib/teams.mjs';
import { until } from '../lib/wait.mjs';

fault('F30', 'a receiver down for an hour, then there: nothing lost, each subject in order', async (b, ledger) => {
	const { copy, t, users } = b;
	const orgs = await Promise.all(users.slice(0, 5).map((u) => team(t, u)));
	const r = await Receiver.start();
	b.defer(() => r.down());
	await copy.sql(`UPDATE users SET platform_role = 'admin' WHERE id = '${users[0].id}'`);
	b.defer(() => copy.sql('DELETE FROM webhook_endpoints'));
	const { secret, webhook } = ok(await until('he is staff', async () => {
		const made = await users[0].as.post('/api/v1/admin/webhooks', { url: r.url, events: ['device.added'] });
		return made.status === 200 && made;
	}));
	await r.down();
	const each = times(20, 200);
	const count = (state) => copy.value(`SELECT count(*) FROM webhook_deliveries WHERE endpoint_id = '${webhook.id}' AND state = '${state}'`).then(Number);
	for (let n = 0; n < each; n++)
		await copy.sql(orgs.map((o) => `SELECT event_emit(app_id, 'device.added', id, NULL, '{"n":${n}}') FROM organizations WHERE id = '${o.id}'`).join(';'));
	await until('it was tried', async () => Number(await copy.value(`SELECT silent FROM webhook_endpoints WHERE id = '${webhook.id}'`)) > 0);
	const kill = async () => {
		const old = copy.workers('jobs');
		for (const pid of old)
			signal(pid, 'SIGKILL');
		await until('others are there', () => copy.workers('jobs').some((p) => !old.includes(p)));
	};
	await kill();
	await ledger.during(60);
	assert.equal(await count('delivered'), 0);
	// An hour goes by.
	const hour = `UPDATE webhook_deliveries SET next_at = next_at - interval '1 hour' WHERE endpoint_id = '${webhook.id}' AND state = 'pending';
		UPDATE webhook_endpoints SET rest_until = rest_until - interval '1 hour' WHERE id = '${webhook.id}' AND rest_until > '-infinity'; NOTIFY quoin_jobs`;
	await r.up();
	const began = Date.now();
	await copy.sql(hour);
	await until('some are delivered', async () => await count('delivered') > each);
	await kill(); // with one in hand, perhaps
	await until('all are delivered', async () => {
		if (await count('waiting') + await count('pending') > 0)
			await copy.sql(hour); // the lease of what the dead had in hand
		return await count('delivered') === each * orgs.length;
	}, { within: 60_000 });
	const took = Date.now() - began;
	const first = new Map(r.calls.map((c) => [c.id, c]).reverse());
	assert.equal(first.size, each * orgs.length);
	for (const c of r.calls)
		verified(c, secret);
	const seq = new Map((await copy.sql(`SELECT event_id, order_key, seq FROM webhook_deliveries WHERE endpoint_id = '${webhook.id}'`)).map(([id, key, s]) => [id, { key, seq: Number(s) }]));
	const last = new Map();
	for (const c of r.calls.filter((x, i) => r.calls.findIndex((y) => y.id === x.id) === i)) {
		const { key, seq: s } = seq.get(c.id);
		assert.ok(s > (last.get(key) ?? 0), 'an event overtook one of its own subject');
		last.set(key, s);
	}
	assert.equal(last.size, orgs.length);
	return { events: first.size, 'calls more than events': r.calls.length - first.size, 'delivered within': `${took} ms` };
});
