// F06: settings read anew and keys rotated under load. Nobody is refused, and a token of an old key is good to
// its last second.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

import { POOLS } from '../lib/copy.mjs';
import { fault, kinds, times } from '../lib/fault.mjs';
import { admitted, ok, problem } from '../lib/setup.mjs';
import { until } from '../lib/wait.mjs';

const APP = 'coditect';
const LASTS_S = 8;
const part = (token, n) => JSON.parse(Buffer.from(token.split('.')[n], 'base64url'));

/** A token that is over in a few seconds, of an app whose key is then another; until it is refused it is asked for. */
async function lastOf(b) {
	const { stack } = b.t, app = 'memorygraph', http = stack.http(app);
	b.defer(() => http.close());
	b.defer(() => stack.useIssuers(app, []));
	const who = await stack.account(app, `f06.${randomBytes(6).toString('hex')}@example.com`);
	await b.copy.sql(`UPDATE apps SET config = jsonb_set(config::jsonb, '{token}', '{"lifetime": ${LASTS_S}}')::json WHERE slug = '${app}'; NOTIFY quoin_apps`);
	// The callers sign in meanwhile.
	const login = async () => ok(await admitted(() => http.post('/api/v1/auth/login', { email: who.email, password: who.password })));
	const { access_token: token } = await until('tokens are short-lived', async () => {
		const r = await login();
		return r.expires_in === LASTS_S && r;
	});
	await stack.ctl('keys', 'rotate', '--app', app);
	await b.copy.sql("UPDATE signing_keys SET created_at = created_at - interval '11 seconds', signs_at = signs_at - interval '11 seconds'");
	assert.notEqual(part((await login()).access_token, 0).kid, part(token, 0).kid);
	const { exp } = part(token, 1);
	let taken = 0;
	const refused = await until('its end', async () => {
		const asked = Date.now(), r = await http.get('/api/v1/auth/whoami', { token, record: false });
		taken += r.status === 200;
		if (r.status !== 200)
			return r;
		assert.ok(asked < (exp + 1) * 1000, 'it was taken after its end');
	}, { within: 3000 * LASTS_S, every: 20 });
	problem(refused, 'token-expired');
	assert.ok(Date.now() >= exp * 1000, `it was refused ${exp * 1000 - Date.now()} ms before its end`);
	assert.ok(taken > 0);
	return taken;
}

fault('F06', 'HUP, and keys rotated: no error, and old tokens are good to their end', async (b, ledger, _t, callers) => {
	const { stack } = b.t, http = stack.http(APP);
	b.defer(() => http.close());
	const at = Date.now();
	const email = `f06.${randomBytes(6).toString('hex')}@example.com`;
	await stack.ctl('user', 'add', '--app', APP, email);
	const token = async () => (await stack.ctl('token', '--app', APP, email)).trim();
	const whoami = (t) => http.get('/api/v1/auth/whoami', { token: t, record: false });
	const kids = async () => ok(await http.get('/.well-known/jwks.json')).keys.map((k) => k.kid);
	const n = times(3, 20);
	const tokens = [await token()];
	const last = lastOf(b);
	last.catch(() => {}); // heard of below
	for (let i = 0; i < n; i++) {
		const before = await kids();
		await stack.ctl('keys', 'rotate', '--app', APP);
		await b.copy.reload(...POOLS);
		await until('the new key is published beside the old', async () => {
			const now = await kids();
			return now.length > before.length && before.every((k) => now.includes(k));
		});
		// The ten seconds until it signs pass at once.
		await b.copy.sql("UPDATE signing_keys SET created_at = created_at - interval '11 seconds', signs_at = signs_at - interval '11 seconds'");
		tokens.push(await token());
		assert.ok(!before.includes(part(tokens.at(-1), 0).kid), 'the new key signs');
		for (const t of tokens)
			ok(await whoami(t));
		await ledger.during(40);
		await callers.during(40);
	}
	assert.equal(new Set(tokens.map((t) => part(t, 0).kid)).size, n + 1);
	const taken = await last;
	const bad = [...ledger.since(at).bad, ...callers.failed(at)];
	assert.equal(bad.length, 0, kinds(bad));
	return { 'rotations and reloads': n, 'failed requests': 0, 'a token of an old key was taken': `${taken} times until it expired` };
}, { callers: { rate: 40 } });
