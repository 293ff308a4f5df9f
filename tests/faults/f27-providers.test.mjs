// F27: providers that are away, slow, endless, circular or of a false name, for their keys and for the codes that
// they are to change. Sign-ins there end within the deadline; nobody else waits for them.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';

import { fault, kinds, median, ms, slack, times } from '../lib/fault.mjs';
import { Browser, Idp } from '../lib/idp.mjs';
import { until } from '../lib/wait.mjs';

const APP = 'cue';
const FRONTEND = 'http://localhost:5000';
const DEADLINE_MS = 5000;
const MOST_BYTES = 256 * 1024;

/** Spaces without end, and how many were taken. */
function flood(of) {
	return (_q, res) => {
		const block = Buffer.alloc(1 << 14, 0x20);
		let left = 100 << 20;
		of.sent = 0;
		const more = () => {
			while (left > 0 && !res.destroyed) {
				left -= block.length;
				of.sent += block.length;
				if (!res.write(block))
					return res.once('drain', more);
			}
			res.end();
		};
		res.writeHead(200, { 'content-type': 'application/json' });
		more();
	};
}

const slow = (_q, res) => {
	const t = setTimeout(() => res.end('{}'), 30_000);
	res.on('close', () => clearTimeout(t));
};
const circle = (q, res) => res.writeHead(302, { location: q.url }).end();

/** Providers by name, each wrong in its way; `plan` is what becomes of the code. */
async function providers(b) {
	const all = {};
	const add = async (name, change = () => {}, options) => {
		const i = (all[name] = await Idp.start(options));
		b.defer(() => i.stop().catch(() => {}));
		i.plan = {};
		await change(i);
	};
	await add('good');
	await add('down', (i) => i.stop());
	await add('untrusted', undefined, { tls: true });
	for (const [name, how] of Object.entries({ slow: () => slow, flood, circle: () => circle })) {
		await add(`token-${name}`, (i) => (i.plan.raw = how(i)));
		await add(`keys-${name}`, (i) => (i.jwks = how(i)));
	}
	return all;
}

fault('F27', 'providers down, slow, endless, circular, of a false name: nobody else waits', async (b, ledger, _t, callers) => {
	const { stack, issuer } = b.t, http = stack.http(APP);
	b.defer(() => http.close());
	const all = await providers(b);
	const file = path.join(stack.state, `f27-${randomBytes(4).toString('hex')}.json`);
	writeFileSync(file, JSON.stringify({ ...stack.appFile(APP), issuers: [], frontend_url: FRONTEND, public_url: '', oauth: Object.entries(all).map(([name, i]) => i.provider(name)) }));
	await stack.ctl('app', 'apply', file);
	b.defer(() => stack.useIssuers(APP, []));
	/** The whole way: where the browser lands, and after how long the callback was answered. */
	const signIn = async (name) => {
		const browser = new Browser(http), i = all[name];
		const begun = await browser.get(`/api/v1/auth/oauth/${name}`, { record: false });
		if (begun.status !== 302)
			throw new Error(String(begun));
		const to = new URL(begun.headers.location);
		const code = i.code(to.href, { sub: `f27-${randomBytes(8).toString('hex')}`, ...i.plan });
		const from = performance.now();
		const back = `/auth/callback?${new URLSearchParams({ code, state: to.searchParams.get('state') })}`;
		// So many at once are too many: some are told to come again, and may.
		const reply = await until(`${name} has its turn`, async () => {
			const r = await browser.get(back, { record: false, timeout: 60_000 });
			return r.status === 503 && r.headers['retry-after'] ? false : r;
		}, { within: 60_000, every: 100 });
		return { name, ms: performance.now() - from, where: reply.headers.location, status: reply.status, session: browser.session };
	};
	await until('the providers are known', async () => (await signIn('good')).where === `${FRONTEND}/?success=true`);

	const usual = median(ledger.notes.map((n) => n.ms));
	const at = Date.now();
	const keysDown = issuer.server;
	await keysDown.down(); // the keys of those who write documents: the last good ones serve on
	b.defer(() => keysDown.up());
	const bad = Object.keys(all).filter((n) => n !== 'good');
	const landed = [];
	for (let i = 0; i < times(1, 5); i++)
		landed.push(...(await Promise.all([...bad, 'good'].map(signIn))));
	for (const l of landed) {
		const good = l.name === 'good';
		assert.equal(l.status, 302, l.name);
		assert.equal(l.where, `${FRONTEND}/?${good ? 'success=true' : 'error=oauth_failed'}`, l.name);
		assert.equal(l.session !== undefined, good, l.name);
	}
	// Two of them take all of the deadline; they may have waited for one another.
	const slowest = Math.max(...landed.map((l) => l.ms));
	assert.ok(slowest <= 2 * DEADLINE_MS + 1000 + slack(), `a sign-in took ${slowest} ms`);
	const taken = Math.max(all['token-flood'].sent, all['keys-flood'].sent);
	assert.ok(taken < 16 << 20, `${taken} bytes were sent before anybody hung up`); // what the sockets hold is more than what was read
	assert.equal(all.untrusted.calls.length, 0, 'something was said over an unverified connection');
	assert.equal(await b.copy.value(`SELECT count(*) FROM identity_providers WHERE octet_length(jwks::text) > ${MOST_BYTES}`), '0');
	await callers.during(60);
	const since = ledger.since(at);
	const failed = [...since.bad, ...callers.failed(at)];
	assert.equal(failed.length, 0, kinds(failed));
	const others = callers.notes.filter((n) => n.at >= at && /session|token|api_key/.test(n.what)).map((n) => n.ms);
	assert.ok(Math.max(since.slowest, ...others) < 2000 + slack(), `somebody else waited ${since.slowest} ms, ${Math.max(...others)} ms`);
	return {
		'sign-ins that failed as they should': landed.length - landed.filter((l) => l.name === 'good').length, 'slowest of them': ms(slowest),
		'failed requests of others': 0, 'a document read takes': `${ms(usual)} before, ${ms(since.median)} meanwhile, at most ${ms(since.slowest)}`, 'slowest of the callers': ms(Math.max(...others)),
	};
}, { callers: { rate: 40 } });
