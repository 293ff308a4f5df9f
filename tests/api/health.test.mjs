import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import os from 'node:os';
import { after, before, describe, test } from 'node:test';

import { Copy, signal } from '../lib/copy.mjs';
import { problem, setup } from '../lib/setup.mjs';
import { inParallel, until } from '../lib/wait.mjs';

let t;
before(async () => {
	t = await setup();
});
after(() => t?.stop());

describe('health', () => {
	test('/health says what it depends on (A28, K17)', async () => {
		const r = await t.http.get('/health');
		assert.equal(r.status, 200);
		assert.deepEqual(Object.keys(r.json).sort(), ['cache', 'database', 'status', 'version']);
		assert.equal(r.json.status, 'healthy');
		assert.equal(r.json.database, 'connected');
		assert.equal(r.json.cache, 'connected');
		assert.match(r.json.version, /^\d+\.\d+/);
		assert.match(r.headers['cache-control'] ?? '', /no-store/);
	});

	test('/health/alive is constant', async () => {
		const [a, b] = [await t.http.get('/health/alive'), await t.http.get('/health/alive')];
		assert.equal(a.status, 200);
		assert.equal(a.text, b.text);
	});

	test('/ready', async () => {
		assert.equal((await t.http.get('/ready')).status, 200);
	});

	test('without a database: 503 from /health and /ready, which say so, and 200 when it is back', async () => {
		await t.stack.rows('ALTER ROLE quoin CONNECTION LIMIT 0', '-U', 'postgres');
		try {
			await t.stack.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'quoin'", '-U', 'postgres');
			const r = await until('/health says 503', async () => {
				const reply = await t.http.get('/health');
				return reply.status === 503 && reply;
			});
			assert.equal(r.json.status, 'unhealthy');
			assert.equal(r.json.database, 'disconnected');
			assert.equal(typeof r.json.error, 'string');
			assert.equal(r.headers['retry-after'], '1');
			assert.equal((await t.http.get('/ready')).status, 503);
			assert.equal((await t.http.get('/health/alive')).status, 200);
		} finally {
			await t.stack.rows('ALTER ROLE quoin CONNECTION LIMIT -1', '-U', 'postgres');
		}
		// Each worker asks again by itself, after a rest.
		for (const path of ['/health', '/ready'])
			await until(`${path} says 200, whichever worker answers`, async () => (await inParallel(Array.from({ length: 32 }), 16, () => t.http.get(path))).every((r) => r.status === 200));
	});

	test('all who hash and work through queues give way, however many start at once', { skip: (!existsSync('/proc/self/autogroup') || os.getPriority() >= 10) && 'sessions are not weighed here, or we give way ourselves' }, async () => {
		const copy = new Copy(t.stack);
		for (const pool of ['slow', 'jobs']) {
			const old = copy.workers(pool);
			signal(copy.pid(pool), 'SIGHUP');
			const fresh = await until(`${pool} has other workers`, () => {
				const now = copy.workers(pool);
				return now.length === copy.wanted(pool) && !now.some((pid) => old.includes(pid)) && now;
			});
			for (const pid of fresh)
				assert.match(readFileSync(`/proc/${pid}/autogroup`, 'utf8'), / nice 10$/m, `a worker of ${pool}`);
			assert.match(readFileSync(`/proc/${copy.pid(pool)}/autogroup`, 'utf8'), / nice 0$/m);
		}
	});

	test('every app answers, and localhost is fig-nodes', async () => {
		for (const app of ['fig-nodes', 'memorygraph', 'cue', 'coditect', 'flowscope']) {
			const h = t.stack.http(app);
			assert.equal((await h.get('/health')).status, 200, app);
			h.close();
		}
		const r = await t.stack.raw('GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n');
		assert.equal(r.replies[0].status, 200);
	});
});

describe('/metrics', () => {
	const parse = (text) => {
		const samples = new Map();
		const types = new Map();
		for (const line of text.trimEnd().split('\n')) {
			const type = /^# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge|histogram|summary|untyped)$/.exec(line);
			if (type) {
				assert.ok(!types.has(type[1]), `${type[1]} is declared twice`);
				types.set(type[1], type[2]);
				continue;
			}
			if (/^# HELP [a-zA-Z_:][\w:]* .+/.test(line))
				continue;
			const m = /^([a-zA-Z_:][\w:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)$/.exec(line);
			assert.ok(m, `not Prometheus text: ${line}`);
			assert.ok(!Number.isNaN(Number(m[3].replace('+Inf', 'Infinity'))), line);
			const key = `${m[1]}{${m[2] ?? ''}}`;
			assert.ok(!samples.has(key), `${key} is there twice`);
			samples.set(key, Number(m[3]));
			const base = m[1].replace(/_(bucket|sum|count)$/, '');
			assert.ok(types.has(m[1]) || types.has(base), `${m[1]} has no TYPE above it`);
		}
		return samples;
	};

	test('is Prometheus text whose counters count', async () => {
		const sum = (samples, re) => [...samples].filter(([k]) => re.test(k)).reduce((n, [, v]) => n + v, 0);
		const first = await t.http.get('/metrics');
		assert.equal(first.status, 200);
		assert.match(first.headers['content-type'], /^text\/plain/);
		const a = parse(first.text);
		for (let i = 0; i < 50; i++)
			await t.http.get('/api/v1/me');
		const b = parse((await t.http.get('/metrics')).text);
		const requests = /requests_total|request_duration\w*_count/;
		assert.ok(sum(b, requests) - sum(a, requests) >= 50, 'fifty more requests, over all workers');
		for (const [k, v] of a)
			if (/_total\{|_count\{|_bucket\{/.test(k) && b.has(k))
				assert.ok(b.get(k) >= v, `${k} went down`);
	});

	test('is for this host’s own address only', async () => {
		const h = t.stack.http('fig-nodes', { from: '127.0.0.2' });
		problem(await h.get('/metrics'), 'denied');
		h.close();
	});

	test('is for loopback only', async () => {
		const outside = Object.values(os.networkInterfaces()).flat().find((i) => !i.internal && i.family === 'IPv4');
		if (outside) {
			const h = t.stack.http('fig-nodes', { address: outside.address });
			let r;
			try {
				r = await h.get('/metrics');
			} catch (e) {
				assert.equal(e.code, 'ECONNREFUSED'); // nothing listens there: better still
			}
			h.close();
			assert.ok(!r || [403, 404].includes(r.status), String(r));
		}
		for (const headers of [{ 'x-forwarded-for': '8.8.8.8' }, { 'x-real-ip': '8.8.8.8' }])
			assert.equal((await t.http.get('/metrics', { headers })).status, 200, 'who asks is who connects');
	});
});

describe('documents', () => {
	test('/openapi.json is OpenAPI 3.1 and needs no token', async () => {
		const r = await t.http.get('/openapi.json');
		assert.equal(r.status, 200);
		assert.match(r.headers['content-type'], /json/);
		assert.match(r.json.openapi, /^3\.1/);
	});

	test('/.well-known/jwks.json', async () => {
		const r = await t.http.get('/.well-known/jwks.json');
		assert.equal(r.status, 200);
		assert.ok(Array.isArray(r.json.keys));
	});

	test('only GET', async () => {
		for (const path of ['/health', '/ready', '/openapi.json', '/.well-known/jwks.json'])
			problem(await t.http.request('POST', path), 'method-not-allowed');
	});
});
