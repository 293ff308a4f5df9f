// Issuers whose keys are slow, huge, elsewhere, broken, away, or change (SECURITY T2, F27). No request
// may wait for them, none may be asked more than once a minute, and the last good set lasts a day.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Issuer, newKey } from '../lib/forge.mjs';
import { JwksServer } from '../lib/jwks-server.mjs';
import { problem, setup } from '../lib/setup.mjs';
import { inParallel, until } from '../lib/wait.mjs';

let t, trap;
const made = [];
const me = (token) => t.http.get('/api/v1/me', { token });
const record = async (i) => {
	const [row] = await t.stack.rows(`SELECT failure, fetched_at IS NOT NULL, jwks IS NOT NULL,
		attempted_at > now() - interval '1 minute' AND settled_at >= attempted_at FROM issuers WHERE issuer = '${i.issuer}'`);
	// A failure is told until the next attempt is over: this one's only when it is `over`.
	return { failure: row[3] === 't' ? row[0] : undefined, fetched: row[1] === 't', jwks: row[2] === 't', over: row[3] === 't' };
};
// The minute between two attempts passes at once, and the workers hear of it.
const later = (i, what = "attempted_at = attempted_at - interval '2 minutes', settled_at = settled_at - interval '2 minutes'") =>
	t.stack.rows(`UPDATE issuers SET ${what} WHERE issuer = '${i.issuer}'; NOTIFY quoin_apps`);

async function issuer(behaviour, options) {
	const i = await Issuer.start();
	if (behaviour)
		i.server.behave(behaviour, options);
	made.push(i);
	return i;
}

/** Until a fresh token of `i` is taken; tokens differ, so that no cache of tokens answers. */
const taken = (i, within) => until(`tokens of ${i.issuer} are taken`, async () => {
	const r = await me(await i.token('somebody', { n: Math.random() }));
	if (r.status !== 200)
		throw new Error(String(r));
	return true;
}, { within });

/** Shows an unknown kid until the keys are asked for: a worker may not have heard yet that it may. */
async function asks(i) {
	const from = i.server.fetches;
	await until(`the keys of ${i.issuer} are asked for`, async () => {
		problem(await me(await i.token('x', {}, { key: { ...i.key, kid: `asks-${Math.random()}` } })), 'signing-key-unknown');
		return i.server.fetches > from;
	});
}

const bad = {
	'slow, 30 s': ['slow', { ms: 30_000 }],
	'a byte each 200 ms': ['dribble', { ms: 200 }],
	'100 MB': ['huge'],
	'without end': ['endless'],
	'redirecting to good keys': ['redirect', {}],
	'redirecting to itself': ['loop'],
	'not JSON': ['garbage'],
	'a page in HTML': ['html'],
	'JSON of another kind': ['garbage', { text: '[]' }],
	'keys that are no list': ['garbage', { text: '{"keys":{"a":1}}' }],
	'no keys': ['garbage', { text: '{"keys":[]}' }],
	'keys nested deep': ['garbage', { text: `{"keys":${'['.repeat(5000)}${']'.repeat(5000)}}` }],
	'an error with good keys in it': ['status', { status: 500 }],
	'a 404': ['status', { status: 404 }],
	'cut short': ['truncated'],
	'silent': ['silent'],
};
const issuers = {};
let closed, badTls, loaded;

before(async () => {
	trap = await JwksServer.start([newKey().jwk]);
	for (const [name, [kind, options]] of Object.entries(bad)) {
		const i = (issuers[name] = await issuer(kind, kind === 'redirect' ? { to: trap.url } : kind === 'status' ? { ...options } : options));
		if (kind === 'status')
			i.server.behave('status', { ...options, text: i.server.body() });
	}
	trap.keys = [issuers['redirecting to good keys'].key.jwk];
	closed = await issuer();
	await closed.server.down();
	badTls = await issuer();
	// The same keys behind a certificate that nobody signed.
	const dir = mkdtempSync(path.join(os.tmpdir(), 'quoin-tls-'));
	execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1', '-subj', '/CN=127.0.0.1', '-keyout', path.join(dir, 'k'), '-out', path.join(dir, 'c')], { stdio: 'ignore', timeout: 30_000 });
	badTls.tls = https.createServer({ key: readFileSync(path.join(dir, 'k')), cert: readFileSync(path.join(dir, 'c')) }, (_q, res) => {
		badTls.asked = true;
		res.setHeader('content-type', 'application/json');
		res.end(badTls.server.body());
	});
	rmSync(dir, { recursive: true });
	await new Promise((resolve) => badTls.tls.listen(0, '127.0.0.1', resolve));
	loaded = performance.now();
	t = await setup({ rows: [...Object.values(issuers).map((i) => i.row), closed.row, { ...badTls.row, jwks_url: `https://127.0.0.1:${badTls.tls.address().port}/jwks.json` }] });
});

after(async () => {
	for (const i of made)
		await i.stop().catch(() => {});
	badTls?.tls?.closeAllConnections();
	badTls?.tls?.close();
	await trap?.down();
	await t?.stop();
});

describe('keys that cannot be had', () => {
	for (const name of [...Object.keys(bad), 'closed', 'bad TLS']) {
		test(`${name}: one attempt, given up within its deadline, the reason kept; nobody else waits`, async () => {
			const i = issuers[name] ?? (name === 'closed' ? closed : badTls);
			const from = performance.now();
			const asking = me(await i.token('somebody', { asks: 1 })).then((r) => [r, performance.now() - from]);
			// Meanwhile the tokens of a good issuer, and calls without one, are answered as ever.
			const others = await inParallel(Array.from({ length: 40 }), 4, async (_, n) => {
				const begun = performance.now();
				const r = n % 2 ? await me(await t.issuer.token('fine', { n })) : await t.http.get('/health');
				assert.equal(r.status, 200);
				return performance.now() - begun;
			});
			assert.ok(Math.max(...others) < 3000, `somebody else waited ${Math.max(...others)} ms`);
			const [r, ms] = await asking;
			problem(r, 'signing-key-unknown');
			assert.ok(ms < 10_000, `${ms} ms`);
			// Where a minute has passed since, it is that of the next attempt, which a job makes when its turn comes.
			const kept = await until('the failure is noted', async () => {
				const x = await record(i);
				return x.failure && x;
			}, { within: 90_000 });
			assert.equal(kept.fetched, false);
			assert.equal(kept.jwks, false);
			const again = performance.now();
			problem(await me(await i.token('somebody', { after: 1 })), 'signing-key-unknown');
			assert.ok(performance.now() - again < 3000, 'the next one waits for nothing');
			// When the app was loaded, or now; one more in each minute since, which a slow machine may take for all of them.
			if (i !== closed && i !== badTls)
				assert.ok(i.server.fetches >= 1 && i.server.fetches <= 1 + Math.floor((performance.now() - loaded) / 60_000), `${i.server.fetches} attempts`);
		});
	}

	test('nothing was read beyond a bound, and no redirect followed', () => {
		assert.equal(trap.fetches, 0);
		assert.ok(issuers['100 MB'].server.sent < 16 << 20, `${issuers['100 MB'].server.sent} bytes were taken`);
		assert.ok(!badTls.asked, 'a request went over an unverified connection');
	});

	test('good issuers did not suffer', async () => {
		const from = performance.now();
		assert.equal((await me(await t.issuer.token('fine'))).status, 200);
		assert.ok(performance.now() - from < 3000);
	});

	test('once the server is well and a minute has passed, tokens are taken', async () => {
		for (const name of ['slow, 30 s', '100 MB', 'not JSON', 'silent']) {
			issuers[name].server.behave('ok');
			await later(issuers[name]);
		}
		for (const name of ['slow, 30 s', '100 MB', 'not JSON', 'silent']) {
			await taken(issuers[name], 15_000);
			const r = await record(issuers[name]);
			assert.deepEqual([r.over, r.failure, r.jwks], [true, undefined, true]);
		}
	});
});

describe('keys that change', () => {
	let i;
	before(async () => {
		i = await issuer();
		await t.stack.useIssuers('fig-nodes', [t.issuer.row, i.row]);
		await taken(i);
	});

	test('a flood of unknown kids is one fetch a minute', async () => {
		await later(i);
		const from = i.server.fetches;
		await inParallel(Array.from({ length: 400 }), 16, async (_, n) => {
			const k = { ...i.key, kid: `made-up-${n}` };
			problem(await me(await i.token('x', { n }, { key: k })), 'signing-key-unknown');
		});
		await until('the one fetch', () => i.server.fetches > from);
		await inParallel(Array.from({ length: 100 }), 16, async (_, n) => me(await i.token('x', { n }, { key: { ...i.key, kid: `again-${n}` } })));
		assert.equal(i.server.fetches - from, 1);
	});

	test('a rotation is learnt from the first new token, and the old key dies with it', async () => {
		const old = i.rotate();
		const oldToken = await i.token('x', {}, { key: old });
		assert.equal((await me(oldToken)).status, 200, 'good until we know better');
		await later(i);
		await taken(i);
		await until('the old key is refused everywhere', async () => {
			for (let n = 0; n < 12; n++) // each worker has its own memory
				if ((await me(oldToken)).status === 200)
					return false;
			return true;
		}, { within: 5000 });
		problem(await me(oldToken), 'signing-key-unknown');
	});

	test('both keys of an overlap are good', async () => {
		const old = i.rotate(undefined, { keepOld: true });
		await later(i);
		await taken(i);
		assert.equal((await me(await i.token('x', { o: 1 }, { key: old }))).status, 200);
	});

	test('fifteen rotations', async () => {
		for (let n = 0; n < 15; n++) {
			i.rotate();
			await later(i);
			await taken(i);
		}
	});

	test('a key replaced under its own kid is replaced', async () => {
		const old = i.key;
		i.rotate(newKey('RS256', { kid: old.kid }));
		await later(i);
		await asks(i);
		await taken(i);
		await until('the old one is refused', async () => (await me(await i.token('x', { z: Math.random() }, { key: old }))).status === 401);
		problem(await me(await i.token('x', { z: 2 }, { key: old })), 'token-signature');
	});

	test('the server goes away: the last good set serves on; a broken answer does not replace it', async () => {
		await i.server.down();
		await later(i);
		await until('the failure is noted', async () => {
			problem(await me(await i.token('x', {}, { key: { ...i.key, kid: `asks-${Math.random()}` } })), 'signing-key-unknown');
			return (await record(i)).failure;
		}, { within: 15_000 });
		assert.equal((await me(await i.token('x', { down: 1 }))).status, 200);
		await i.server.up();
		for (const [kind, options] of [['garbage'], ['garbage', { text: '{"keys":[]}' }], ['status', { status: 500 }], ['huge']]) {
			i.server.behave(kind, options);
			await later(i);
			await asks(i);
			await until('the failure is noted', async () => (await record(i)).failure, { within: 15_000 });
			assert.equal((await me(await i.token('x', { [kind]: Math.random() }))).status, 200, kind);
		}
	});

	test('but no longer than a day', async () => {
		i.server.behave('status', { status: 500 });
		await later(i, "fetched_at = now() - interval '25 hours', attempted_at = now(), settled_at = now()");
		await until('refused', async () => (await me(await i.token('x', { n: Math.random() }))).status === 401, { within: 90_000, every: 100 });
		problem(await me(await i.token('x', { n: 3 })), 'signing-key-unknown');
		i.server.behave('ok');
		await later(i);
		await taken(i, 15_000);
	});

	test('an issuer taken out of the app is nobody at once', async () => {
		const token = await i.token('x', { last: 1 });
		assert.equal((await me(token)).status, 200);
		await t.stack.useIssuers('fig-nodes', [t.issuer.row]);
		await until('refused everywhere', async () => {
			for (let n = 0; n < 12; n++)
				if ((await me(token)).status === 200)
					return false;
			return true;
		}, { within: 5000 });
		problem(await me(token), 'token-issuer');
	});
});
