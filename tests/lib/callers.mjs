// Who calls, while something is broken: users of coditect with cookies, tokens of sessions and API keys, who sign in,
// ask who they are, and sign out all the time. It is noted what was acknowledged to whom. At the end verdict()
// says whether that held: nobody was refused whose credential had been given out and not taken back, nobody was
// let in with one whose end had been acknowledged a second before, and nobody was told that he is another.
import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';

import { random } from './graphs.mjs';

const APP = 'coditect';
const ORIGIN = 'https://coditect.example.com';
const HEARD_MS = 1000; // by all workers, of what was revoked (SECURITY T15)
const KINDS = ['session', 'token', 'api_key'];
const LEAST = 2; // that stay, of each kind and user

const withCookie = (value, headers = {}) => ({ token: null, headers: { cookie: `__Host-session=${value}`, ...headers } });
const cookieOf = (reply) => reply.headers['set-cookie']?.map((c) => /^__Host-session=([^;]+)/.exec(c)?.[1]).find(Boolean);

/** One credential: `how` it is shown, `end` the request that takes it back. */
class Credential {
	constructor(user, kind, how, end) {
		Object.assign(this, { user, kind, how, end, state: 'live', ended: 0 });
	}
}

export class Callers {
	/** `users` accounts, each with credentials of these kinds, who together ask `rate` times a second. */
	static async start(stack, { users = 3, rate = 60, kinds = KINDS } = {}) {
		const c = new Callers();
		Object.assign(c, { http: stack.http(APP), rate, kinds, r: random(Date.now() % 1e6), all: [], notes: [], failures: [], made: 0, ended: 0, heard: 0 });
		c.users = await Promise.all(Array.from({ length: users }, (_, n) => stack.account(APP, `callers.${n}.${randomBytes(6).toString('hex')}@example.com`)));
		for (const u of c.users) {
			u.cookie = cookieOf(await c.signIn(u, { session: 'cookie' })); // with which keys are made: it is not among what ends
			for (const kind of kinds)
				for (let i = 0; i < LEAST; i++)
					await c.make(u, kind);
		}
		c.failed().forEach((n) => c.fail(`before it began: ${n.what} got ${n.status || n.failure}`));
		c.running = true;
		c.loops = c.users.map((u) => c.live(u));
		return c;
	}

	fail(what) {
		if (this.failures.length < 50)
			this.failures.push(what);
	}

	/** A request; undefined where no answer came, or one that says nothing. */
	async ask(what, method, target, how) {
		const at = Date.now();
		let reply, failure;
		try {
			reply = await this.http.request(method, target, { record: false, timeout: 15_000, ...how });
		} catch (e) {
			failure = e.message;
		}
		this.notes.push({ what, at, ms: Date.now() - at, status: reply?.status ?? 0, code: reply?.code, failure });
		return reply && reply.status < 500 && reply.status !== 429 ? reply : undefined;
	}

	signIn(u, more) {
		return this.ask('sign in', 'POST', '/api/v1/auth/login', { token: null, json: { email: u.email, password: u.password, ...more } });
	}

	async make(u, kind) {
		const reply = kind === 'api_key' ? await this.ask('make a key', 'POST', '/api/v1/api-keys', { ...withCookie(u.cookie, { origin: ORIGIN }), json: { scopes: ['auth:read'] } })
			: await this.signIn(u, kind === 'session' ? { session: 'cookie' } : {});
		if (reply === undefined)
			return;
		if (reply.status >= 300)
			return this.fail(`${u.email} was refused a ${kind}: ${reply}`);
		const logout = ['POST', '/api/v1/auth/logout'];
		if (kind === 'api_key') {
			const { api_key, key } = reply.json;
			this.all.push(new Credential(u, kind, { token: null, headers: { 'x-api-key': api_key } }, ['DELETE', `/api/v1/api-keys/${key.id}`, withCookie(u.cookie, { origin: ORIGIN })]));
		} else if (kind === 'session') {
			const cookie = cookieOf(reply);
			this.all.push(new Credential(u, kind, withCookie(cookie), [...logout, withCookie(cookie, { origin: ORIGIN })]));
		} else {
			const token = reply.json.access_token;
			this.all.push(new Credential(u, kind, { token }, [...logout, { token }]));
		}
		this.made++;
	}

	async take(c) {
		c.state = 'leaving';
		const reply = await this.ask('end', ...c.end);
		if (reply === undefined) {
			c.state = 'unknown';
			return;
		}
		if (reply.status >= 300)
			return this.fail(`the end of a ${c.kind} was refused: ${reply}`);
		c.state = 'ended';
		c.ended = Date.now();
		this.ended++;
	}

	/** Who am I? Judged by what was acknowledged before the question and is so still. */
	async show(c) {
		const { state } = c, at = Date.now();
		const reply = await this.ask(`${state} ${c.kind}`, 'GET', '/api/v1/auth/whoami', c.how);
		if (reply === undefined)
			return;
		if (reply.status === 200) {
			if (reply.json.user_id !== `usr_${c.user.id}` || reply.json.kind !== c.kind)
				this.fail(`a ${c.kind} of ${c.user.id} was answered ${reply.text}`);
			if (state === 'ended' && at - c.ended >= HEARD_MS)
				this.fail(`a ${c.kind} was accepted ${at - c.ended} ms after its end was acknowledged`);
			else if (state === 'ended')
				this.heard = Math.max(this.heard, at - c.ended);
		} else if (reply.status !== 401) {
			this.fail(`a ${c.kind} got ${reply}`);
		} else if (state === 'live' && c.state === 'live') {
			this.fail(`a ${c.kind} was given out and is refused: ${reply}`);
		}
	}

	of(u, state, kind) {
		return this.all.filter((c) => c.user === u && c.state === state && (kind === undefined || c.kind === kind));
	}

	async step(u) {
		const p = this.r(), one = (list) => list[Math.floor(this.r() * list.length)];
		const kind = one(this.kinds), live = this.of(u, 'live', kind);
		if (live.length < LEAST || p < 0.06)
			return this.make(u, kind);
		if (p < 0.15 && live.length > LEAST)
			return this.take(one(live));
		const gone = this.of(u, 'ended');
		if (p < 0.4 && gone.length > 0)
			return this.show(this.r() < 0.5 ? gone.at(-1) : one(gone)); // the last one most: somebody may not have heard
		return this.show(one(live));
	}

	async live(u) {
		let due = Date.now();
		while (this.running) {
			await this.step(u);
			due = Math.max(due + (1000 * this.users.length) / this.rate, Date.now() - 500);
			if (due > Date.now())
				await pause(due - Date.now());
		}
	}

	/** Some credentials that are good, one kind after the other. */
	good(n) {
		const byKind = this.kinds.map((k) => this.all.filter((c) => c.state === 'live' && c.kind === k));
		return Array.from({ length: n }, (_, i) => byKind[i % byKind.length]).map((list, i) => list[Math.floor(i / byKind.length) % list.length]);
	}

	/** Questions that had no good answer. A sign-in that is told to come later met the bound of hashing, no fault. */
	failed(from = 0) {
		return this.notes.filter((n) => n.at >= from && n.code !== 'busy' && (n.status === 0 || n.status >= 500 || n.status === 429));
	}

	/** Runs until `n` more questions were answered. */
	async during(n, within = 30_000) {
		const from = this.notes.length, end = Date.now() + within;
		while (this.notes.slice(from).filter((x) => x.status > 0 && x.status < 500).length < n) {
			if (Date.now() > end)
				throw new Error(`callers: fewer than ${n} answers within ${within} ms`);
			await pause(10);
		}
	}

	async stop() {
		this.running = false;
		await Promise.all(this.loops);
	}

	/** Everything is well again: each credential is shown once more. */
	async verdict() {
		await this.stop();
		const last = Math.max(0, ...this.all.map((c) => c.ended));
		if (Date.now() - last < HEARD_MS)
			await pause(HEARD_MS - (Date.now() - last));
		for (const c of this.all)
			if (c.state === 'live' || c.state === 'ended')
				await this.show(c);
		this.http.close();
		const { made, ended, heard, failures } = this;
		return { made, ended, heard, failures, asked: this.notes.length, failed: this.failed().length };
	}
}
