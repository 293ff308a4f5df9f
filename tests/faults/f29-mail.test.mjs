// F29: the mail server goes and comes back, and a worker dies with a mail in hand. What was promised arrives.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

import { signal } from '../lib/copy.mjs';
import { fault, kinds, ms, times } from '../lib/fault.mjs';
import { Smtp } from '../lib/smtp.mjs';
import { inParallel, until } from '../lib/wait.mjs';

const APP = 'coditect';
const address = (what) => `f29.${what}.${randomBytes(6).toString('hex')}@example.com`;

/** Accounts as somebody left them who never showed a password. */
async function accounts(b, n) {
	const emails = Array.from({ length: n }, () => address('known'));
	await b.copy.sql(`INSERT INTO users (id, app_id, email, email_verified) SELECT gen_random_uuid(), a.id, e, true
		FROM apps a, unnest('{${emails}}'::text[]) e WHERE a.slug = '${APP}'`);
	return emails;
}

/** What is asked of Quoin that ends in a mail, or in none: {target, json, subject, to} where `to` is whom one is owed. */
async function wishes(b, n) {
	const known = await accounts(b, 2 * n), all = [];
	for (let i = 0; i < n; i++) {
		const signUp = address('new');
		all.push({ kind: 'reset', target: '/api/v1/auth/request-password-reset', json: { email: known[i] }, to: known[i] });
		all.push({ kind: 'reset', target: '/api/v1/auth/request-password-reset', json: { email: address('nobody') } });
		all.push({ kind: 'link', target: '/api/v1/auth/magic-link', json: { email: known[n + i] }, to: known[n + i] });
		all.push({ kind: 'link', target: '/api/v1/auth/magic-link', json: { email: address('nobody') } });
		if (i % 3 === 0)
			all.push({ kind: 'account', target: '/api/v1/auth/register', json: { email: signUp, password: 'Correct-horse-7-battery' }, to: signUp });
	}
	return all;
}

fault('F29', 'the mail server down, and back: queued, answered alike, sent at least once', async (b, ledger) => {
	const { stack } = b.t, { copy } = b;
	const http = stack.http(APP);
	b.defer(() => http.close());
	const server = await Smtp.start();
	b.defer(() => server.down());
	b.defer(await copy.configure(['jobs'], { EMAIL_SERVER: `smtp://127.0.0.1:${server.port}` }));
	const at = Date.now(), asked = await wishes(b, times(9, 20));

	await server.down();
	await inParallel(asked, 6, async (w) => {
		const from = performance.now();
		w.reply = await http.post(w.target, w.json, { record: false });
		w.ms = performance.now() - from;
	});
	// Whether there is an account, and a mail server, does not show.
	assert.deepEqual([...new Set(asked.map((w) => w.reply.status))], [200], String(asked.find((w) => w.reply.status !== 200)?.reply));
	for (const kind of ['reset', 'link'])
		assert.equal(new Set(asked.filter((w) => w.kind === kind).map((w) => w.reply.text)).size, 1);
	const slowest = Math.max(...asked.map((w) => w.ms));
	const owed = asked.filter((w) => w.to), to = `'{${owed.map((w) => w.to)}}'`;
	const states = async () => Object.fromEntries((await copy.sql(`SELECT state, count(*) FROM mails WHERE to_address = ANY (${to}) GROUP BY 1`)).map(([s, n]) => [s, Number(n)]));
	const waiting = await until('each is queued and was tried', async () => {
		const [[n, tried]] = await copy.sql(`SELECT count(*), count(*) FILTER (WHERE attempts > 0) FROM mails WHERE to_address = ANY (${to})`);
		return Number(n) === owed.length && n === tried && Number(n);
	}, { within: 20_000 });
	assert.deepEqual(await states(), { queued: owed.length });
	assert.equal(server.mails.length, 0);

	// It is back. The first that it takes, nobody hears of: the worker is gone by then.
	const killed = [];
	server.beforeReply = () => {
		if (killed.length > 0)
			return;
		killed.push(copy.workers('jobs')[0]);
		signal(killed[0], 'SIGKILL');
		return copy.gone(killed, 'the worker');
	};
	const back = Date.now();
	await server.up();
	await until('a worker died with a mail in hand', () => killed.length > 0, { within: 20_000 });
	await until('all are sent', async () => {
		// A lease of a minute, and back-offs that have grown, pass at once.
		await copy.sql("UPDATE jobs SET run_at = now() WHERE kind = 'mail.send' AND run_at > now() + interval '1 s'");
		return (await states()).sent === owed.length;
	}, { within: 20_000, every: 200 });
	const took = Date.now() - back;
	const got = (w) => server.mails.filter((m) => m.to[0] === w.to);
	const lost = owed.filter((w) => got(w).length === 0);
	assert.deepEqual(lost.map((w) => w.to), [], 'mails that were promised and never came');
	for (const w of owed)
		assert.equal(new Set(got(w).map((m) => m.raw)).size, 1, 'a mail that comes again is the same');
	const strangers = server.mails.filter((m) => !owed.some((w) => w.to === m.to[0]));
	assert.deepEqual(strangers.filter((m) => m.to[0].startsWith('f29.nobody')), [], 'mails to nobody');
	const { bad } = ledger.since(at);
	assert.equal(bad.length, 0, kinds(bad));
	return {
		'acknowledged requests': asked.length, 'mails owed': owed.length, 'queued while it was down': waiting, 'slowest reply meanwhile': ms(slowest),
		received: server.mails.length - strangers.length, lost: lost.length, twice: owed.filter((w) => got(w).length > 1).length, 'all sent after': ms(took),
	};
});
