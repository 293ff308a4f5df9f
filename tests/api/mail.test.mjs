// Mail: what a real SMTP server receives, what becomes of mail that one refuses or that nobody takes, and SendGrid's
// API (CONTRACT B4, C29, D11, E14; SECURITY T12, T33, T36, F29).
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import dns from 'node:dns/promises';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';

import { Copy, signal } from '../lib/copy.mjs';
import { Script, Smtp } from '../lib/smtp.mjs';
import { Stack } from '../lib/stack.mjs';
import { until } from '../lib/wait.mjs';

const TEMPLATES = ['welcome', 'verify-email', 'reset-password', 'password-changed', 'magic-link', 'change-email', 'email-changed',
	'account-exists', 'invitation', 'new-sign-in', 'mfa-changed', 'account-deletion', 'quota-near', 'webhook-disabled', 'receipt', 'payment-failed', 'payment-returned', 'paid-twice', 'trial-ending', 'plan-changing', 'subscription-ended', 'test'];
const WITH_TOKEN = { 'verify-email': '/verify-email', 'reset-password': '/reset-password', 'magic-link': '/magic-link', 'change-email': '/change-email', invitation: '/invitation' };
const TOKEN = 'an-example-and-no-token';
const FRONTEND = 'https://web.fignodes.example/app';
const PASSWORD = 'p@ss-word/of:nobody';
const KEY = 'SG.0123456789abcdefghijkl.MNOPQRSTUVWXYZ';

let stack, copy, env, file, scratch;
const open = [];
const opened = (s) => (open.push(s), s);

before(async () => {
	stack = Stack.attach();
	copy = new Copy(stack);
	file = path.join(stack.state, 'quoin.env');
	env = readFileSync(file, 'utf8');
	scratch = mkdtempSync(path.join(stack.state, 'mail-'));
	chmodSync(scratch, 0o755);
	await app();
});
after(async () => {
	if (!env)
		return;
	await stack.rows('DELETE FROM mails');
	await settings();
	await stack.useIssuers('fig-nodes', []);
	rmSync(scratch, { recursive: true });
});
afterEach(async () => {
	await Promise.all(open.splice(0).map((s) => s.down().catch(() => {})));
});

/** The app, with a frontend of its own and these changes. */
function app(change = {}) {
	return stack.useIssuers('fig-nodes', [], (x) => ({ ...x, frontend_url: FRONTEND, ...change }));
}

/** The jobs pool with these settings more, and no mail or job of before. */
async function settings(more = {}) {
	writeFileSync(file, env + Object.entries(more).map(([k, v]) => `${k}=${v}\n`).join(''));
	await copy.reload('jobs');
	await stack.rows("DELETE FROM mails; DELETE FROM jobs WHERE kind = 'mail.send'");
}

const smtp = (s, more = {}) => settings({ EMAIL_SERVER: `smtp://127.0.0.1:${s.port}`, ...more });

const send = async (to, ...args) => (await stack.ctl('mail', 'test', '--app', 'fig-nodes', ...args, to)).trim();

/** {state, attempts, error, wiped, job} of a mail. */
async function of(id) {
	const [row] = await stack.rows(`SELECT state, attempts, last_error, variables IS NULL, message_id,
		(SELECT j.attempts FROM jobs j WHERE j.unique_key = 'mail:' || m.id) FROM mails m WHERE id = '${id}'`);
	return { state: row[0], attempts: Number(row[1]), error: row[2], wiped: row[3] === 't', messageId: row[4], job: row[5] };
}

const becomes = (id, state, more = {}) => until(`${id} is ${state}`, async () => {
	const m = await of(id);
	if (m.state !== state || m.attempts < (more.attempts ?? 1) || (state !== 'queued' && m.job !== undefined))
		throw new Error(JSON.stringify(m));
	return m;
}, { within: 30_000 });

/** Waits that its back-off ends now. */
const due = (id) => stack.rows(`UPDATE jobs SET run_at = now() WHERE unique_key = 'mail:${id}'`);

const refused = async (...args) => {
	try {
		await stack.ctl(...args);
	} catch (e) {
		return e.stderr;
	}
	throw new Error(`quoinctl ${args.join(' ')} was done`);
};

/** A certificate for `names`, signed by an authority of its own: {key, cert, ca} as paths. */
function certificate(name, names) {
	const at = (x) => path.join(scratch, `${name}.${x}`);
	const run = (...args) => execFileSync('openssl', args, { stdio: 'ignore', timeout: 30_000 });
	const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
	writeFileSync(at('ext'), `subjectAltName=${names}\n`);
	run('req', '-x509', ...key, '-days', '2', '-subj', `/CN=${name} authority`, '-keyout', at('ca.key'), '-out', at('ca'));
	run('req', ...key, '-subj', `/CN=${name}`, '-keyout', at('key'), '-out', at('csr'));
	run('x509', '-req', '-in', at('csr'), '-CA', at('ca'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', '2', '-extfile', at('ext'), '-out', at('cert'));
	return { key: readFileSync(at('key')), cert: readFileSync(at('cert')), ca: at('ca') };
}

describe('what is received', () => {
	test('each template: from the app, to whom it is for, in text and HTML', async () => {
		const s = opened(await Smtp.start());
		await smtp(s);
		for (const name of TEMPLATES) {
			const to = `${name}@example.org`, id = await send(to, '--template', name);
			const m = await becomes(id, 'sent');
			assert.deepEqual([m.wiped, m.error], [true, undefined], name);
			assert.equal(s.mails.length, 1, name);
			const got = s.mails.pop(), { mail } = got;
			assert.deepEqual([got.from, got.to, got.greeting], ['no-reply@fignodes.com', [to], 'localhost']);
			assert.deepEqual([mail.from.name, mail.from.address], ['Fig Nodes', 'no-reply@fignodes.com']);
			assert.deepEqual(mail.to.map((x) => x.address), [to]);
			assert.equal(mail.messageId, `<${id}@fignodes.com>`);
			assert.equal(m.messageId, mail.messageId);
			assert.ok(Math.abs(Date.parse(mail.date) - Date.now()) < 60_000, mail.date);
			const header = (k) => mail.headers.filter((h) => h.key === k).map((h) => h.value);
			assert.deepEqual(header('auto-submitted'), ['auto-generated']);
			assert.match(header('content-type')[0], /^multipart\/alternative;/);
			assert.match(mail.subject, /Fig Nodes/);
			for (const part of [mail.text, mail.html]) {
				assert.match(part, /Fig Nodes/);
				assert.doesNotMatch(part, /\{\{|\}\}/);
				const links = part.match(/https?:\/\/[^\s"<]*/g);
				assert.ok(links.length > 0 && links.every((l) => l.startsWith(FRONTEND)), `${name}: ${links}`);
				if (WITH_TOKEN[name])
					assert.ok(links.includes(`${FRONTEND}${WITH_TOKEN[name]}#token=${TOKEN}`), `${name}: ${links}`);
				else
					assert.ok(!part.includes(TOKEN));
			}
			assert.match(mail.html, /^<!DOCTYPE html>/);
			for (const line of got.raw.split('\r\n'))
				assert.ok(line.length <= 78 && !/[\n\r\x80-\xff]/.test(line), line);
		}
		const metrics = await copy.metric('quoin_mails_sent_total', 'pool="jobs"');
		assert.ok(metrics >= TEMPLATES.length, String(metrics));
	});

	test('names in other letters', async () => {
		const s = opened(await Smtp.start());
		await smtp(s);
		const name = 'Bücher & Söhne <Café> “Ωmega” – ' + '€'.repeat(60);
		try {
			await app({ name, mail: { from: 'Bücher "und" mehr <no-reply@fignodes.com>' } });
			await becomes(await send('ann@example.org'), 'sent');
		} finally {
			await app();
		}
		const { mail, raw } = s.mails[0];
		assert.equal(mail.subject, `A test of ${name}'s mail`);
		assert.equal(mail.from.name, 'Bücher "und" mehr');
		assert.ok(mail.text.includes(`mail of ${name} reaches`));
		assert.ok(mail.html.includes('Bücher &amp; Söhne &lt;Café&gt; “Ωmega”'));
		assert.doesNotMatch(raw, /[^\x00-\x7f]/);
	});

	test('texts of the app’s own; one that is broken does not keep the mail', async () => {
		const s = opened(await Smtp.start());
		const dir = path.join(scratch, 'texts');
		mkdirSync(path.join(dir, 'fig-nodes'), { recursive: true });
		writeFileSync(path.join(dir, 'fig-nodes', 'magic-link.txt'), 'Subject: In to {{app_name}}\n\nHere: {{app_url}}/in?t={{token}}\n');
		writeFileSync(path.join(dir, 'fig-nodes', 'magic-link.html'), '<p title="{{organization}}">x</p>\n');
		await smtp(s, { QUOIN_MAIL_TEMPLATES: dir });
		assert.match(await refused('mail', 'test', '--app', 'fig-nodes', 'ann@example.org'), /magic-link\.html: line 1: there is no variable organization/);
		const start = spawnSync(path.join(copy.build, 'quoind'), ['--pool=jobs'], { env: { PATH: process.env.PATH, QUOIN_CONFIG: file }, encoding: 'utf8', timeout: 30_000 });
		assert.equal(start.status, 1);
		assert.match(start.stderr, /^quoind: mail: .*magic-link\.html: line 1: there is no variable organization$/m);
		writeFileSync(path.join(dir, 'fig-nodes', 'magic-link.html'), '<p title="{{token}}">x</p>\n');
		await becomes(await send('ann@example.org', '--template', 'magic-link'), 'sent');
		assert.equal(s.mails[0].mail.subject, 'In to Fig Nodes');
		assert.equal(s.mails[0].mail.text.trim(), `Here: ${FRONTEND}/in?t=${TOKEN}`);
		assert.equal(s.mails[0].mail.html.trim(), `<p title="${TOKEN}">x</p>`);
		s.refuse = { rcpt: [451, 'later'] };
		const id = await send('ann@example.org', '--template', 'magic-link');
		await becomes(id, 'queued');
		writeFileSync(path.join(dir, 'fig-nodes', 'magic-link.html'), '{{nobody}}\n');
		s.refuse = {};
		await due(id);
		await becomes(id, 'sent', { attempts: 2 });
		assert.match(s.mails[1].mail.html, /<p>Here: https:/);
		assert.match(copy.log('jobs'), /a text of mail is passed over: .*magic-link\.html: line 1: there is no variable nobody/);
	});
});

describe('nothing slips in', () => {
	const bad = ['', 'ann', 'ann@', 'ann@example', 'ann@@example.org', 'ann@example.org,bob@example.org', 'ann@example.org\r\nBcc: eve@example.net',
		'ann@example.org\nBcc: eve@example.net', 'ann@example.org>\r\nRCPT TO:<eve@example.net', '"ann eve"@example.org', 'ann(x)@example.org', 'Ann <ann@example.org>',
		'ann@[127.0.0.1]', ' ann@example.org', 'änn@example.org', `${'a'.repeat(65)}@example.org`, `a@${'b.'.repeat(160)}org`];

	test('by an address', async () => {
		const s = opened(await Smtp.start());
		await smtp(s);
		for (const to of bad) {
			assert.match(await refused('mail', 'test', '--app', 'fig-nodes', to), /is no e-mail address/, to);
			assert.match(await refused('user', 'add', '--app', 'fig-nodes', to), /is no e-mail address/, to);
		}
		assert.equal(await stack.one("SELECT (SELECT count(*) FROM mails) + (SELECT count(*) FROM jobs WHERE kind = 'mail.send')"), '0');
		assert.equal(s.commands.length, 0);
	});

	test('by an app’s file', async () => {
		for (const from of ['Fig Nodes', 'Fig <a@b>', 'Fig\r\nBcc: eve@example.net <a@b.co>', 'a@b.co\r\nBcc: eve@example.net', ''])
			await assert.rejects(app({ mail: { from } }), /mail/, from);
		for (const frontend_url of ['javascript:alert(1)', 'ftp://x.example', 'https://', 'https:///x', 'https://x.example/?a=', 'https://x.example/#', 'https://x.example/\r\nx', 'https://x.example/"><b>', 'https://me@x.example', ''])
			await assert.rejects(app({ frontend_url }), /frontend_url/, frontend_url);
	});

	test('by what a server says', async () => {
		const said = [];
		const s = opened(await Script.start((line, lines) => {
			if (line.startsWith('EHLO'))
				return '250 hello\r\n';
			if (line.startsWith('MAIL') || line === 'QUIT')
				return '250 ok\r\n';
			if (line.startsWith('RCPT'))
				return said[0] === 'data' ? '250 ok\r\n' : `550-5.1.1 \x1b[31mno\x07 such\xff\r\n550 5.1.1 <user>\x00 ${'x'.repeat(900)}\r\n`;
			if (line === 'DATA')
				return '354 go on\r\n';
			if (line === '.')
				return `554 5.7.1 spam: ${lines.join('\n').replaceAll('=\n', '').match(/token=3D(\S+)/)[1]}\r\n`;
		}));
		await smtp(s);
		const bounced = await becomes(await send('ann@example.org'), 'bounced');
		assert.match(bounced.error, /^RCPT: 550 5\.1\.1 \[31mno such\? 5\.1\.1 /);
		assert.doesNotMatch(bounced.error, /[\x00-\x1f\x7f]/);
		assert.ok(bounced.error.length < 500);
		said.push('data');
		const failed = await becomes(await send('ann@example.org', '--template', 'reset-password'), 'failed');
		assert.equal(failed.error, 'a reason that repeats a secret');
		assert.ok(!copy.log('jobs').includes(TOKEN));
	});
});

describe('a server that does not take it', () => {
	test('is away: the mail waits and arrives when it is back, once', async () => {
		const s = await Smtp.start();
		await s.down();
		await smtp(s);
		const id = await send('ann@example.org', '--template', 'verify-email');
		const waits = await becomes(id, 'queued');
		assert.match(waits.error, /^EMAIL_SERVER: Couldn't connect/);
		assert.equal(waits.wiped, false);
		opened(s);
		await s.up();
		await becomes(id, 'sent', { attempts: 2 }); // by itself: the first back-off is two seconds
		assert.deepEqual(s.mails.map((m) => m.to), [['ann@example.org']]);
		await s.down();
		const later = await send('bob@example.org');
		await becomes(later, 'queued');
		await stack.rows(`UPDATE jobs SET run_at = now() + interval '1 hour' WHERE unique_key = 'mail:${later}'`);
		const { attempts } = await of(later);
		assert.match(await stack.ctl('mail', 'list', '--state', 'queued', '--app', 'fig-nodes'), new RegExp(`${later} .* queued .*bob@example\\.org EMAIL_SERVER: Couldn't connect`));
		await s.up();
		await stack.ctl('mail', 'retry', later); // or by hand
		await becomes(later, 'sent', { attempts: attempts + 1 });
		assert.match(await refused('mail', 'retry', later), /is sent/);
		assert.match(await refused('mail', 'retry', '01900000-0000-7000-8000-000000000000'), /Not Found/);
	});

	test('550 to the receiver: bounced at once', async () => {
		const s = opened(await Smtp.start({ refuse: { rcpt: [550, '5.1.1 no such user'] } }));
		await smtp(s);
		const id = await send('ann@example.org', '--template', 'reset-password');
		const m = await becomes(id, 'bounced');
		assert.deepEqual(m, { state: 'bounced', attempts: 1, error: 'RCPT: 550 5.1.1 no such user', wiped: true, messageId: undefined, job: undefined });
		assert.match(await stack.ctl('mail', 'list', '--state', 'bounced'), new RegExp(`^${id} .* attempts=1 fig-nodes reset-password ann@example\\.org RCPT: 550 5\\.1\\.1 no such user$`, 'm'));
		assert.match(await refused('mail', 'retry', id), /is bounced: what stood in it is gone/);
	});

	test('5xx to the mail: failed at once', async () => {
		const s = opened(await Smtp.start());
		await smtp(s);
		for (const [what, word] of [['mail', 'MAIL'], ['data', 'DATA']]) {
			s.refuse = { [what]: [552, 'too much'] };
			const m = await becomes(await send('ann@example.org'), 'failed');
			assert.deepEqual([m.error, m.attempts, m.wiped], [`${word}: 552 too much`, 1, true]);
		}
		assert.equal(s.mails.length, 0);
	});

	test('451: tried again until it is taken', async () => {
		const s = opened(await Smtp.start());
		await smtp(s);
		for (const what of ['mail', 'rcpt', 'data']) {
			s.refuse = { [what]: [451, '4.7.1 greylisted'] };
			const id = await send(`${what}@example.org`);
			const m = await becomes(id, 'queued');
			assert.match(m.error, /^(MAIL|RCPT|DATA): 451 4\.7\.1 greylisted$/);
			s.refuse = {};
			await due(id);
			await becomes(id, 'sent', { attempts: 2 });
			assert.deepEqual(s.mails.pop().to, [`${what}@example.org`]);
		}
	});

	test('the two days are over: failed', async () => {
		const s = opened(await Smtp.start({ refuse: { rcpt: [451, 'later'] } }));
		await smtp(s);
		const id = await send('ann@example.org');
		await becomes(id, 'queued');
		await stack.rows(`UPDATE jobs SET attempts = max_attempts - 1, run_at = now() WHERE unique_key = 'mail:${id}'`);
		const m = await becomes(id, 'failed', { attempts: 2 });
		assert.deepEqual([m.error, m.wiped], ['RCPT: 451 later', true]);
	});

	test('the worker dies before it hears that the mail was taken: it is sent again, as the same', async () => {
		const s = opened(await Smtp.start());
		await smtp(s);
		let killed;
		s.beforeReply = () => {
			if (killed)
				return;
			[killed] = copy.workers('jobs');
			signal(killed, 'SIGKILL');
			return until('the worker is gone', () => !copy.children(copy.pid('jobs')).includes(killed));
		};
		const id = await send('ann@example.org');
		await until('it was taken', () => s.mails.length === 1);
		assert.equal((await of(id)).state, 'queued');
		await due(id); // and not when its lease of a minute ends
		await becomes(id, 'sent');
		assert.equal(s.mails.length, 2);
		assert.equal(s.mails[0].raw, s.mails[1].raw);
	});

	test('it lets time pass: the deadline ends it, and mail rests for a while', async () => {
		const s = opened(await Script.start(() => undefined, ''));
		await smtp(s, { QUOIN_OUTBOUND_TIMEOUT_MS: 300 });
		const from = performance.now(), id = await send('ann@example.org');
		const m = await becomes(id, 'queued');
		assert.match(m.error, /^EMAIL_SERVER: Timeout was reached$/);
		assert.ok(performance.now() - from < 15_000);
		const next = await send('bob@example.org');
		await until('it was put off', async () => (await stack.one(`SELECT attempts = 0 AND run_at > now() + interval '1 s' FROM jobs WHERE unique_key = 'mail:${next}'`)) === 't');
		assert.equal((await of(next)).attempts, 0);
		assert.equal(s.lines.length, 0);
		// a byte at a time is not fast either
		const drip = opened(await Script.start(() => undefined, ''));
		drip.server.on('connection', (c) => {
			const t = setInterval(() => c.write('2'), 20);
			c.on('close', () => clearInterval(t));
		});
		await smtp(drip, { QUOIN_OUTBOUND_TIMEOUT_MS: 300 });
		assert.match((await becomes(await send('ann@example.org'), 'queued')).error, /Timeout was reached/);
	});
});

describe('TLS and sign-in', () => {
	let good, other;
	const auth = {
		disabledCommands: [],
		authOptional: false,
		allowInsecureAuth: false,
		onAuth: (a, _s, done) => (a.username === 'quoin@example.org' && a.password === PASSWORD ? done(null, { user: a.username }) : done(Object.assign(new Error('5.7.8 wrong'), { responseCode: 535 }))),
	};
	const url = (s, scheme = 'smtp', password = PASSWORD, host = 'localhost') => `${scheme}://${encodeURIComponent('quoin@example.org')}:${encodeURIComponent(password)}@${host}:${s.port}`;
	before(() => {
		good = certificate('good', 'DNS:localhost');
		other = certificate('other', 'DNS:mail.example.net');
	});

	test('STARTTLS, then AUTH', async () => {
		const s = opened(await Smtp.start({ ...auth, ...good }));
		await settings({ EMAIL_SERVER: url(s), EMAIL_CA_FILE: good.ca });
		await becomes(await send('ann@example.org'), 'sent');
		assert.deepEqual([s.mails[0].secure, s.mails[0].user], [true, 'quoin@example.org']);
	});

	test('smtps', async () => {
		const s = opened(await Smtp.start({ ...auth, ...good, secure: true }));
		await settings({ EMAIL_SERVER: url(s, 'smtps'), EMAIL_CA_FILE: good.ca });
		await becomes(await send('ann@example.org'), 'sent');
		assert.deepEqual([s.mails[0].secure, s.mails[0].user], [true, 'quoin@example.org']);
	});

	test('a certificate that nobody vouches for, or of another name: nothing is said', async () => {
		for (const [tls, ca] of [[good, ''], [good, other.ca], [other, other.ca]]) {
			for (const secure of [false, true]) {
				const s = opened(await Smtp.start({ ...auth, ...tls, secure }));
				await settings({ EMAIL_SERVER: url(s, secure ? 'smtps' : 'smtp'), EMAIL_CA_FILE: ca });
				const m = await becomes(await send('ann@example.org'), 'queued');
				assert.match(m.error, /certificate|SSL/i);
				assert.deepEqual([s.commands.length, s.mails.length], [0, 0]);
			}
		}
	});

	test('the wrong password: it waits for the right one, and the password is told to nobody', async () => {
		const s = opened(await Smtp.start({ ...auth, ...good }));
		const wrong = 'wrong-Pa55word%of@nobody';
		await settings({ EMAIL_SERVER: url(s, 'smtp', wrong), EMAIL_CA_FILE: good.ca });
		const id = await send('ann@example.org');
		const m = await becomes(id, 'queued');
		assert.match(m.error, /^AUTH: 535 5\.7\.8 wrong|^EMAIL_SERVER: Login denied/);
		for (const text of [copy.log('jobs'), await stack.ctl('mail', 'list'), await stack.ctl('config')])
			for (const secret of [wrong, encodeURIComponent(wrong), Buffer.from(`\0quoin@example.org\0${wrong}`).toString('base64')])
				assert.ok(!text.includes(secret));
		const row = await stack.one(`SELECT variables IS NOT NULL FROM mails WHERE id = '${id}'`);
		assert.equal(row, 't');
	});

	test('another host without STARTTLS is told nothing', async (t) => {
		const address = await dns.lookup(os.hostname(), { family: 4 }).catch(() => undefined);
		if (!address)
			return t.skip('this host does not know its own name');
		const s = opened(await Smtp.start({ host: address.address, authOptional: true, allowInsecureAuth: true, onAuth: (_a, _s, done) => (s.commands.push('auth'), done(null, { user: 'x' })) }));
		await settings({ EMAIL_SERVER: url(s, 'smtp', PASSWORD, os.hostname()) });
		const m = await becomes(await send('ann@example.org'), 'queued');
		assert.match(m.error, /SSL|TLS/);
		assert.deepEqual(s.commands, []);
		// By its loopback name it is this host itself, where nobody listens in.
		const here = opened(await Smtp.start({ authOptional: false, allowInsecureAuth: true, onAuth: auth.onAuth }));
		await settings({ EMAIL_SERVER: url(here) });
		await becomes(await send('ann@example.org'), 'sent');
		assert.equal(here.mails[0].user, 'quoin@example.org');
	});
});

describe('SendGrid', () => {
	/** Their API: checks the key and the body, and answers as `behave` says. */
	class SendGrid {
		calls = [];
		elsewhere = 0;
		behave = (res) => res.writeHead(202).end();

		static async start() {
			const s = new SendGrid();
			s.server = http.createServer(async (req, res) => {
				let body = '';
				for await (const b of req)
					body += b;
				if (req.url !== '/v3/mail/send' || req.method !== 'POST') {
					s.elsewhere++;
					return res.writeHead(404).end();
				}
				s.calls.push({ headers: req.headers, json: JSON.parse(body) });
				if (req.headers.authorization !== `Bearer ${KEY}`)
					return res.writeHead(401, { 'content-type': 'application/json' }).end(JSON.stringify({ errors: [{ message: `not ${req.headers.authorization}` }] }));
				s.behave(res);
			});
			await new Promise((resolve) => s.server.listen(0, '127.0.0.1', resolve));
			s.port = s.server.address().port;
			return s;
		}

		down() {
			this.server.closeAllConnections();
			return new Promise((resolve) => this.server.close(resolve));
		}
	}
	const use = (s, more = {}) => settings({ SENDGRID_API_KEY: KEY, SENDGRID_URL: `http://127.0.0.1:${s.port}`, ...more });

	test('takes it', async () => {
		const s = opened(await SendGrid.start());
		await use(s);
		const id = await send('ann@example.org', '--template', 'invitation');
		await becomes(id, 'sent');
		assert.equal(s.calls.length, 1);
		const { headers, json } = s.calls[0];
		assert.equal(headers['content-type'], 'application/json');
		assert.deepEqual(Object.keys(json).sort(), ['content', 'custom_args', 'from', 'headers', 'personalizations', 'subject', 'tracking_settings']);
		assert.deepEqual(json.personalizations, [{ to: [{ email: 'ann@example.org' }] }]);
		assert.deepEqual(json.from, { email: 'no-reply@fignodes.com', name: 'Fig Nodes' });
		assert.equal(json.subject, 'ann@example.com invites you to Example Ltd on Fig Nodes');
		assert.deepEqual(json.content.map((c) => c.type), ['text/plain', 'text/html']);
		for (const c of json.content)
			assert.ok(c.value.includes(`${FRONTEND}/invitation#token=${TOKEN}`));
		assert.deepEqual(json.custom_args, { mail_id: id });
		assert.equal(json.headers['Message-ID'], `<${id}@fignodes.com>`);
		assert.deepEqual(json.tracking_settings, { click_tracking: { enable: false, enable_text: false }, open_tracking: { enable: false } });
	});

	test('refuses the mail: failed; is busy, broken, slow, elsewhere or endless: tried again', async () => {
		const s = opened(await SendGrid.start());
		await use(s, { QUOIN_OUTBOUND_TIMEOUT_MS: 2000 }); // for the last; all others answer, if they have their turn
		const json = { 'content-type': 'application/json' };
		const cases = [
			['failed', /^SendGrid: 400 .*bad address/, (r) => r.writeHead(400, json).end('{"errors":[{"message":"bad address\\u001b"}]}')],
			['failed', /^SendGrid: 413/, (r) => r.writeHead(413).end()],
			['queued', /^SendGrid: 429/, (r) => r.writeHead(429).end()],
			['queued', /^SendGrid: 500 oops/, (r) => r.writeHead(500).end('oops\r\n')],
			['queued', /^SendGrid: 403/, (r) => r.writeHead(403).end()],
			['queued', /^SendGrid: 302/, (r) => r.writeHead(302, { location: `http://127.0.0.1:${s.port}/elsewhere` }).end()],
			['queued', /too large/, (r) => r.writeHead(202).end('x'.repeat(1 << 20))],
			['queued', /Timeout was reached/, () => {}],
		];
		for (const [state, error, behave] of cases) {
			s.behave = behave;
			const m = await becomes(await send('ann@example.org'), state);
			assert.match(m.error, error);
			assert.equal(m.wiped, state === 'failed');
		}
		assert.equal(s.elsewhere, 0);
	});

	test('does not know the key: it waits, and the key is told to nobody', async () => {
		const s = opened(await SendGrid.start()), wrong = `${KEY}-wrong`;
		await use(s, { SENDGRID_API_KEY: wrong });
		const id = await send('ann@example.org');
		const m = await becomes(id, 'queued');
		assert.equal(m.error, 'a reason that repeats a secret');
		for (const text of [copy.log('jobs'), await stack.ctl('mail', 'list'), await stack.ctl('config')])
			assert.ok(!text.includes(KEY));
	});
});

describe('nobody to send it', () => {
	test('it becomes a file, which ./dev mail shows', async () => {
		await settings();
		await app({ name: 'Fíg Nodes' });
		try {
			const id = await send('ann@example.org', '--template', 'magic-link');
			await becomes(id, 'sent');
			const text = readFileSync(path.join(stack.state, 'mail', `${id}.eml`), 'latin1');
			assert.match(text, /^Subject: =\?UTF-8\?Q\?Sign_in_to_F=C3=ADg_Nodes\?=\r$/m);
			const { stdout } = await stack.dev('mail', '1');
			assert.match(stdout, /^To: ann@example\.org$/m);
			assert.match(stdout, /^Subject: Sign in to Fíg Nodes$/m);
			assert.match(stdout, new RegExp(`^${FRONTEND}/magic-link#token=${TOKEN}$`, 'm'));
			assert.doesNotMatch(stdout, /<p>|=3D|=C3/);
		} finally {
			await app();
		}
	});
});

