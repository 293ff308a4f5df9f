// F23: the machine's clock jumps a day ahead, and back to an hour before the truth. What is good for a time is judged by the
// clock of now; nothing that the wrong clock has noted opens a door, or keeps one shut, once it is right; nothing hangs.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

import { generateSync } from 'otplib';

import { hold } from '../lib/attempts.mjs';
import { signal } from '../lib/copy.mjs';
import { fault, ms } from '../lib/fault.mjs';
import { Mailbox } from '../lib/mailbox.mjs';
import { admitted, ok, problem } from '../lib/setup.mjs';
import { inParallel, until } from '../lib/wait.mjs';

const APP = 'coditect', ORIGIN = 'https://coditect.example.com', MFA = '/api/v1/auth/mfa';
/** Postgres keeps its time limits by the machine's clock: what it has in hand at a jump may be over one, and gets a 503. */
const JUMP_MS = 6000;
const DAY_S = 86_400, HOUR_S = 3600, LIMIT = 30;
const address = () => `f23.${randomBytes(6).toString('hex')}@example.com`;
const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

/** Tokens of the documents' writers that are good on all days that they will meet. */
const longTokens = (b) => Promise.all(b.users.map((u) => long(b, u.sub)));
function long(b, sub, more = {}) {
	const s = Math.floor(Date.now() / 1000);
	return b.t.issuer.token(sub, { iat: s - 3 * HOUR_S, exp: s + 3 * DAY_S, ...more });
}

class People {
	constructor(b) {
		Object.assign(this, { b, http: b.t.stack.http(APP) });
		b.defer(() => this.http.close());
	}

	async account() {
		return this.b.t.stack.account(APP, address());
	}

	/** The callers sign in, too. */
	login(who, more = {}) {
		return admitted(() => this.http.post('/api/v1/auth/login', { email: who.email, password: who.password, ...more }));
	}

	/** Guesses until no more are free: a second's wait is made one that no slow machine outlasts. */
	async shutOut(who) {
		for (let n = 0; n < 5; n++) { // one that met too many others counts as well
			const r = await this.http.post('/api/v1/auth/login', { email: who.email, password: `Wrong-guess-no-${n}` });
			problem(r, 'invalid-credentials', 'busy');
		}
		await hold(this.b.t.stack);
		problem(await this.login(who), 'too-many-attempts');
	}

	async cookie(who) {
		const line = (await this.login(who, { session: 'cookie' })).headers['set-cookie'].find((c) => c.startsWith('__Host-session='));
		return { token: null, headers: { cookie: line.split(';')[0], origin: ORIGIN } };
	}

	whoami(how) {
		return this.http.get('/api/v1/auth/whoami', { ...how, record: false });
	}

	/** All workers, or nearly: the statuses that they give. */
	async everywhere(how) {
		return [...new Set((await inParallel(Array.from({ length: 24 }), 12, () => this.whoami(how))).map((r) => r.status))];
	}

	refresh(refresh_token) {
		return this.http.post('/api/v1/auth/refresh', { refresh_token });
	}

	/** With an authenticator app, whose clock is `ahead` seconds ahead of ours. */
	async enrolled(ahead) {
		const who = await this.account();
		const as = this.http.as(ok(await this.login(who)).access_token);
		who.code = (offset) => generateSync({ secret: who.secret, epoch: Math.floor(Date.now() / 1000) + offset });
		who.secret = ok(await as.post(`${MFA}/enroll`)).secret;
		ok(await as.post(`${MFA}/verify`, { code: who.code(ahead) }));
		await this.b.copy.sql(`UPDATE totp_factors SET last_step = 0 WHERE user_id = '${who.id}'`);
		return who;
	}

	async second(who, code) {
		return this.http.post(`${MFA}/challenge`, { mfa_token: ok(await this.login(who)).mfa_token, code });
	}
}

/** A caller with a limit of LIMIT a minute; how many of a burst of his are let in. */
async function limited(b) {
	const { stack } = b.t, app = 'memorygraph', http = stack.http(app);
	b.defer(() => http.close());
	await stack.useIssuers(app, [], (f) => ({ ...f, plans: f.plans.map((p) => ({ ...p, limits: [{ meter: 'requests', period: 'minute', max: LIMIT }] })) }));
	b.defer(() => stack.useIssuers(app, []));
	const email = address();
	await stack.ctl('user', 'add', '--app', app, email);
	const as = http.as((await stack.ctl('token', '--app', app, email)).trim());
	const { api_key } = ok(await as.post('/api/v1/api-keys', { scopes: ['read'] }));
	const ask = () => http.get('/api/v1/workspaces', { token: null, headers: { 'x-api-key': api_key }, record: false });
	let known = 0;
	await until('the limit is known, and the minute has room', async () => {
		known = ok(await as.get('/api/v1/usage')).usage.requests_per_minute === LIMIT ? known + 1 : 0;
		return known >= 12 && Number(/"account";r=\d+;t=(\d+)/.exec((await as.get('/api/v1/me')).headers.ratelimit)?.[1]) >= 45;
	}, { within: 70_000, every: 10 });
	return async (n) => (await inParallel(Array.from({ length: n }), 6, ask)).filter((r) => r.status === 200).length;
}

fault('F23', 'the clock jumps a day ahead, and an hour back: one rule, and nothing hangs', async (b, ledger, _t, callers) => {
	const { copy } = b, { stack, issuer } = b.t;
	const p = new People(b), box = new Mailbox(stack);
	const clock = await copy.clock();
	b.defer(() => clock.end());
	await until('all is up', async () => (await b.http.get('/ready')).json.status === 'ready');
	await ledger.during(60);

	const [ann, bob, eve, joe, kim] = await Promise.all(Array.from({ length: 5 }, () => p.account()));
	const before = ok(await p.login(ann)), cookie = await p.cookie(ann);
	const burst = await limited(b);
	assert.equal(await burst(20), 20);
	const at = Date.now();

	const jumps = [Date.now()];
	await clock.set('+1d');
	assert.equal(await burst(20), 10, 'the minute of a limit is no matter of the clock');
	problem(await p.whoami({ token: before.access_token }), 'token-expired');
	ok(await p.whoami(cookie));
	const then = ok(await p.refresh(before.refresh_token));
	assert.ok(Math.abs(claims(then.access_token).iat - Date.now() / 1000 - DAY_S) < 5);
	const otp = await p.enrolled(DAY_S);
	problem(await p.second(otp, otp.code(0)), 'invalid-code');
	ok(await p.second(otp, otp.code(DAY_S)));
	await p.shutOut(bob);
	const [gone, proud] = [await p.cookie(eve), await p.cookie(joe)];
	await until('there are copies of it', async () => (await p.everywhere(gone)).join() === '200');
	const replayed = ok(await p.login(kim)).refresh_token;
	ok(await p.refresh(replayed));
	// A mail, asked for and not yet taken in hand when the clock is put right.
	const frozen = copy.workers('jobs');
	frozen.forEach((pid) => signal(pid, 'SIGSTOP'));
	b.defer(() => frozen.forEach((pid) => signal(pid, 'SIGCONT')));
	ok(await p.http.post('/api/v1/auth/request-password-reset', { email: joe.email }));
	await ledger.during(60);
	await callers.during(60);

	issuer.rotate(undefined, { keepOld: true }); // after its keys were fetched
	const back = Date.now();
	jumps.push(back);
	await clock.set('-1h');
	frozen.forEach((pid) => signal(pid, 'SIGCONT'));
	assert.equal(await burst(5), 0);
	ok(await p.whoami(cookie));
	problem(await p.whoami({ token: then.access_token }), 'token-not-yet-valid');
	const now = ok(await p.refresh(then.refresh_token));
	ok(await p.whoami({ token: now.access_token }));
	problem(await p.second(otp, otp.code(-HOUR_S)), 'invalid-code'); // before a step that was shown: never again
	const late = await p.enrolled(-HOUR_S);
	ok(await p.second(late, late.code(-HOUR_S)));
	// What the clock of tomorrow noted: no lock-out until then, no copy that outlives a revocation, no proof, no grace.
	const waits = await p.login(bob);
	assert.ok(waits.status === 200 || Number(waits.headers['retry-after']) <= 900, `the account is shut for ${waits.headers['retry-after']} s`);
	ok(await p.http.post('/api/v1/auth/logout', undefined, gone));
	assert.deepEqual(await p.everywhere(gone), [401], 'an end that was acknowledged');
	problem(await p.http.post(`${MFA}/enroll`, undefined, proud), 'reauthentication-required');
	problem(await p.refresh(replayed), 'invalid-refresh-token');
	await box.next(joe.email, /password/i);
	const mailed = Date.now() - back;
	// Keys that were fetched tomorrow are fetched again when they are wanted.
	const fresh = await long(b, `auth0|f23-${randomBytes(6).toString('hex')}`, { email: address(), email_verified: true });
	await until('a new key of a provider is learnt', async () => (await b.http.get('/api/v1/me', { token: fresh, record: false })).status === 200);
	const learnt = Date.now() - back;
	await ledger.during(60);
	await callers.during(60);
	const failed = [...ledger.since(at).bad, ...callers.failed(at)];
	const cut = failed.filter((n) => n.status === 503 && jumps.some((j) => n.at + n.ms >= j && n.at <= j + JUMP_MS));
	assert.deepEqual(failed.filter((n) => !cut.includes(n)).map((n) => ({ ...n, at: jumps.map((j) => n.at - j) })), []);
	assert.ok(cut.length <= copy.wanted('api'), `${cut.length} were cut by a jump`);
	return {
		'failed requests': 0, 'cut by a jump': cut.length, 'slowest answer': ms(Math.max(...ledger.notes.filter((n) => n.at >= at).map((n) => n.ms))), 'a mail of tomorrow came after': ms(mailed),
		'a new key was learnt after': ms(learnt),
	};
}, { callers: { kinds: ['session', 'api_key'], rate: 40 }, tokens: longTokens });
