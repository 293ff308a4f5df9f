// Runs last: what all the other files saw, held against docs/openapi.json.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, test } from 'node:test';

import { Contract, recorded } from '../lib/openapi.mjs';
import { root, Stack } from '../lib/stack.mjs';

const stack = Stack.attach();
const dir = path.join(stack.state, 'exchanges');
const files = readdirSync(import.meta.dirname).filter((f) => f.endsWith('.test.mjs') && !f.startsWith('z-'));
const missing = files.filter((f) => !existsSync(path.join(dir, f.replace('.test.mjs', '.jsonl'))));
let contract;

/** The first words of the rows of each X-macro table in a header. */
function headerTable(file) {
	const text = readFileSync(path.join(root, file), 'utf8').replaceAll('\\\n', ' ');
	return Object.fromEntries([...text.matchAll(/^#define (\w+)\(X\)(.*)$/gm)].map(([, name, rows]) => [name, [...rows.matchAll(/\bX\("([^"]+)"/g)].map((m) => m[1])]));
}

before(() => {
	contract = new Contract(JSON.parse(readFileSync(path.join(root, 'docs/openapi.json'), 'utf8')));
});

describe('the contract', () => {
	test('openapi.json as served is the one that is committed', async () => {
		const http = stack.http();
		assert.deepEqual((await http.get('/openapi.json')).json, contract.doc);
		http.close();
	});

	test('every schema of it compiles, and every reference leads somewhere', () => {
		for (const name of Object.keys(contract.doc.components?.schemas ?? {}))
			assert.doesNotThrow(() => contract.ajv.compile({ $ref: `quoin:openapi#/components/schemas/${name}` }), name);
	});

	test('every recorded reply is documented', () => {
		const faults = new Map();
		let n = 0;
		for (const x of recorded(dir)) {
			n++;
			for (const f of contract.check(x)) {
				const key = `${x.method} ${contract.find(x.method, x.target)?.template ?? x.target.split('?')[0]}: ${f}`;
				faults.set(key, [...(faults.get(key) ?? []), x]);
			}
		}
		assert.ok(n > 0, 'something was recorded');
		const said = [...faults].slice(0, 60).map(([k, xs]) => `${k} (${xs.length} times, first in ${xs[0].file})`);
		assert.deepEqual(said, []);
	});

	test('every type of event that was emitted can be listened to', async () => {
		const { WEBHOOK_EVENTS: listed } = headerTable('include/quoin/store/webhook.h');
		const emitted = (await stack.rows("SELECT DISTINCT type FROM events WHERE type <> 'webhook.test' ORDER BY type")).flat();
		assert.deepEqual(emitted.filter((x) => !listed.includes(x)), []);
	});

	test('every route was visited, and every declared error seen', { skip: missing.length > 0 && `the tier did not run as a whole: ${missing}` }, () => {
		assert.deepEqual(contract.unseen(), []);
	});
});
