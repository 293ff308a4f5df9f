// Two editors of one graph: a thousand rounds with If-Match, in which nothing may be lost, and a
// thousand without, in which the last writer wins but every save is a version of its own.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import process from 'node:process';
import { after, before, describe, test } from 'node:test';

import { ok, problem, setup } from '../lib/setup.mjs';
import { inParallel } from '../lib/wait.mjs';

const ROUNDS = Number(process.env.TEST_ROUNDS ?? 1000);
const sha = (x) => createHash('sha256').update(x).digest('hex');

let t, ann, bob;
before(async () => {
	t = await setup();
	[ann, bob] = [await t.user('ann'), await t.user('bob')];
});
after(() => t?.stop());

const versions = async (g) =>
	new Map((await t.stack.rows(`SELECT version, encode(sha256(convert_to(data::text, 'UTF8')), 'hex'), message FROM document_versions WHERE document_id = '${g.id}'`)).map(([v, h, m]) => [Number(v), { hash: h, message: m }]));

async function shared(more) {
	const g = await t.graph(ann, { data: '{"round":0}', ...more });
	ok(await ann.as.post(`${g.path}/shares`, { email: bob.email, permission: 'write' }));
	return g;
}

describe(`two editors, ${ROUNDS} rounds`, () => {
	test('with If-Match: in each round one wins, the other is told, nothing is lost', async () => {
		const g = await shared();
		const wins = { ann: 0, bob: 0 };
		const sent = new Map([[1, sha('{"round":0}')]]);
		let v = 1;
		for (let round = 1; round <= ROUNDS; round++) {
			const bodies = { ann: `{"round":${round},"by":"ann"}`, bob: `{"round":${round},"by":"bob"}` };
			const save = (name, who) => who.as.request('PUT', g.path, { body: `{"data":${bodies[name]},"commit_message":"${name} ${round}"}`, headers: { 'if-match': `"v${v}"` } });
			const pair = round % 2 ? [save('ann', ann), save('bob', bob)] : [save('bob', bob), save('ann', ann)].reverse(); // each comes first as often
			const [a, b] = await Promise.all(pair);
			assert.deepEqual([a.status, b.status].sort(), [200, 412], `round ${round}: ${a} / ${b}`);
			problem(a.status === 412 ? a : b, 'precondition-failed');
			const winner = a.status === 200 ? 'ann' : 'bob';
			wins[winner]++;
			v++;
			assert.equal((a.status === 200 ? a : b).json.graph.version, v);
			sent.set(v, sha(bodies[winner]));
		}
		const there = await versions(g);
		assert.equal(there.size, ROUNDS + 1);
		for (const [n, hash] of sent)
			assert.equal(there.get(n)?.hash, hash, `version ${n}`);
		assert.ok(wins.ann > 0 && wins.bob > 0, `both were there: ${JSON.stringify(wins)}`);
	});

	test('without: all are versions, in order, and the last is current', async () => {
		const g = await shared();
		const acked = new Map([[1, sha('{"round":0}')]]);
		await inParallel([ann, bob], 2, async (who, n) => {
			let last = 0;
			for (let round = 1; round <= ROUNDS; round++) {
				const data = `{"round":${round},"by":${n}}`;
				const r = await who.as.request('PUT', g.path, { body: `{"data":${data},"commit_message":"${n} ${round}"}` });
				const { version } = ok(r).graph;
				assert.ok(version > last, 'one editor sees versions rise');
				assert.ok(!acked.has(version), `version ${version} was given twice`);
				acked.set(version, sha(data));
				last = version;
			}
		});
		assert.equal(acked.size, 2 * ROUNDS + 1);
		const there = await versions(g);
		assert.equal(there.size, 2 * ROUNDS + 1);
		for (const [n, hash] of acked)
			assert.equal(there.get(n)?.hash, hash, `version ${n}`);
		const read = ok(await ann.as.get(g.path)).graph;
		assert.equal(read.version, 2 * ROUNDS + 1);
		assert.equal(sha(JSON.stringify(read.data)), acked.get(read.version));
	});

	test('base_version does as If-Match does', async () => {
		const g = await shared();
		let v = 1;
		for (let round = 1; round <= Math.ceil(ROUNDS / 5); round++) {
			const rs = await Promise.all([ann, bob].map((who, n) => who.as.put(g.path, { data: { round, n }, base_version: v })));
			assert.deepEqual(rs.map((r) => r.status).sort(), [200, 409], `round ${round}`);
			v++;
		}
		assert.equal((await versions(g)).size, v);
	});

	test('twelve at once, in mixed ways, with restores and renames between', async () => {
		const g = await shared({ data: '{"n":0}' });
		ok(await ann.as.put(g.path, { data: { n: 1 } }));
		let made = 2;
		const rs = await inParallel(Array.from({ length: Math.ceil(ROUNDS / 2) }), 12, async (_, i) => {
			if (i % 7 === 0)
				return ann.as.request('POST', `${g.path}/restore/1`);
			if (i % 11 === 0)
				return bob.as.put(g.path, { name: `renamed ${i}` });
			return (i % 2 ? ann : bob).as.put(g.path, { data: { i } });
		});
		for (const r of rs) {
			assert.equal(r.status, 200, String(r));
			if (r.json.new_version || r.json.graph?.version)
				made++;
		}
		made -= rs.filter((_, i) => i % 7 !== 0 && i % 11 === 0).length;
		const there = await versions(g);
		assert.equal(there.size, made, 'each save and restore made one version');
		assert.deepEqual([...there.keys()].sort((a, b) => a - b), Array.from({ length: made }, (_, i) => i + 1));
	});

	test('a delete among saves: all saves before it worked, none after it', async () => {
		for (let round = 0; round < 20; round++) {
			const g = await shared();
			const rs = await inParallel(Array.from({ length: 12 }), 12, (_, i) => (i === 6 ? ann.as.delete(g.path) : bob.as.put(g.path, { data: { i } })));
			for (const [i, r] of rs.entries())
				if (r.status !== 200)
					problem(r, i === 6 ? 'none' : 'graph-not-found');
			problem(await ann.as.get(g.path), 'graph-not-found');
			assert.equal((await versions(g)).size, 0);
		}
	});
});
