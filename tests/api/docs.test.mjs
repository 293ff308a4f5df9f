// The guides as they are written: every ```sh block of each, one after the other in one shell,
// against this copy. A command that fails ends it.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';

import { Webhook } from 'standardwebhooks';

import { dev, root, Stack } from '../lib/stack.mjs';

const run = promisify(execFile);
let stack, dir;

before(async () => {
	stack = Stack.attach();
	await stack.rows('DELETE FROM attempts');
	dir = mkdtempSync(path.join(os.tmpdir(), 'quoin-docs-'));
	// The reader's ./dev is the one of this copy.
	writeFileSync(path.join(dir, 'dev'), `#!/bin/sh\nverb=$1; shift\nexec '${dev}' "$verb" --state '${stack.state}' "$@"\n`, { mode: 0o755 });
});
after(() => dir && rmSync(dir, { recursive: true }));

describe('docs', () => {
	for (const name of ['accounts', 'licences', 'webhooks'])
		test(`${name}.md works as written`, async () => {
			const text = readFileSync(path.join(root, 'docs', `${name}.md`), 'utf8');
			const blocks = [...text.matchAll(/^```sh\n([^]*?)^```$/gm)].map((m) => m[1].replaceAll(':8080', `:${stack.port}`));
			assert.ok(blocks.length >= 3);
			const script = `set -eo pipefail\n${blocks.map((b, n) => `echo; echo "== block ${n + 1}"\n${b}`).join('\n')}`;
			writeFileSync(path.join(dir, name), script);
			const { stdout } = await run('bash', [name], { cwd: dir, timeout: 120_000 }).catch((e) => {
				throw new Error(`${e.killed ? 'killed' : e.code}: ${e.stderr}\n${e.stdout}`); // where it ended, before what it said
			});
			assert.equal((stdout.match(/^== block/gm) ?? []).length, blocks.length);
		});

	test('webhooks.md verifies what the published library signs, and nothing else', async () => {
		const text = readFileSync(path.join(root, 'docs/webhooks.md'), 'utf8');
		writeFileSync(path.join(dir, 'verify.mjs'), /^```js\n([^]*?)^```$/m.exec(text)[1]);
		const { verify } = await import(path.join(dir, 'verify.mjs'));
		const secret = `whsec_${randomBytes(32).toString('base64')}`;
		const body = '{"type":"invoice.paid","data":{"text":"Grüße"}}';
		const now = new Date();
		const headers = (at = now, by = secret) => ({ 'webhook-id': 'an-id', 'webhook-timestamp': String(Math.floor(at / 1000)), 'webhook-signature': new Webhook(by).sign('an-id', at, body) });
		assert.deepEqual(verify(headers(), body, secret), JSON.parse(body));
		const other = headers(new Date(), `whsec_${randomBytes(32).toString('base64')}`)['webhook-signature'];
		assert.deepEqual(verify({ ...headers(), 'webhook-signature': `${other} v1a,x ${headers()['webhook-signature']}` }, body, secret), JSON.parse(body));
		for (const [h, b] of [[headers(), `${body} `], [{ ...headers(), 'webhook-id': 'another' }, body], [headers(new Date(Date.now() - 301_000)), body], [headers(new Date(Date.now() + 330_000)), body],
			[{ ...headers(), 'webhook-signature': other }, body], [{ ...headers(), 'webhook-signature': undefined }, body], [{ ...headers(), 'webhook-timestamp': 'x' }, body], [{}, body]])
			assert.throws(() => verify(h, b, secret), /too old|not signed/);
	});
});
