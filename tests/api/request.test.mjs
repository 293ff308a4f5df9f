// Requests that no client library sends: paths, headers and methods by hand, through nginx (SECURITY
// S5, S6, T16, T29, T30).
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { ok, problem, setup } from '../lib/setup.mjs';

let t, ann, g, host;

before(async () => {
	t = await setup();
	ann = await t.user('ann');
	g = await t.graph(ann);
	host = `fig-nodes.localhost:${t.stack.port}`;
});
after(() => t?.stop());

/** One request of these very bytes in its first line; the first reply. */
async function send(line, headers = [], body = '') {
	const lines = [line, `host: ${host}`, ...headers, 'connection: close', '', ''];
	const bytes = Buffer.concat(lines.map((l, i) => Buffer.concat([Buffer.isBuffer(l) ? l : Buffer.from(l, 'latin1'), Buffer.from(i === lines.length - 1 ? '' : '\r\n')])));
	const r = await t.stack.raw(Buffer.concat([bytes, Buffer.from(body)]));
	return r.replies[0];
}
const auth = () => `authorization: Bearer ${ann.token}`;

describe('paths', () => {
	test('the plain one works (or nothing below means anything)', async () => {
		assert.equal((await send(`GET ${g.path} HTTP/1.1`, [auth()])).status, 200);
	});

	// Other spellings of a path must not reach the same thing.
	const spell = () => {
		const p = g.path;
		return {
			'%2f for a slash': p.replace('/graphs/', '/graphs%2f'), '%2F in capitals': p.replace('/v1/', '%2Fv1/'), '%5c': p.replace('/graphs/', '%5cgraphs%5c'), 'back slashes': p.replaceAll('/', '\\'),
			'%00 at the end': `${p}%00`, '%00 inside': p.replace('graphs', 'gra%00phs'), '%0a at the end': `${p}%0a`, '%0d%0a': `${p}%0d%0ax-injected:%201`, '%09': `${p}%09`, '%20 at the end': `${p}%20`, '%7f': `${p}%7f`,
			'..': '/api/v1/workspaces/../graphs/' + g.id, 'encoded ..': '/api/v1/workspaces/%2e%2e/graphs/' + g.id, 'encoded .. with %2f': '/api/v1/workspaces/..%2fgraphs/' + g.id, '. inside': p.replace('/v1/', '/v1/./'), 'above the root': `/../..${p}`,
			'two slashes': p.replace('/v1/', '/v1//'), 'a leading pair': `/${p}`, 'a slash at the end': `${p}/`, 'two at the end': `${p}//`, ';jsessionid': `${p};x=1`, '.json': `${p}.json`, 'a dot at the end': `${p}.`,
			'overlong slash': p.replace('/graphs', '%c0%afgraphs'), 'overlong dot': `/api/v1/%c0%ae%c0%ae/v1/graphs/${g.id}`, '%ff': `${p}%ff`, 'cut UTF-8': `${p}%e2%82`, 'encoded surrogate': `${p}%ed%a0%80`, 'half a percent': `${p}%`, 'bad percent': `${p}%zz`, 'one digit': `${p}%4`, '%u0041': `${p}%u0041`,
			'capital segment': p.replace('graphs', 'Graphs'), 'encoded letter of the id': p.replace(g.id[0], `%${g.id.charCodeAt(0).toString(16)}`), 'encoded twice': p.replace(g.id[0], `%25${g.id.charCodeAt(0).toString(16)}`), 'fullwidth': p.replace('/v1', '/v%ef%bc%91'), 'php': `${p}/x.php`, 'newline split': `/api/v1/me%0a.php/${g.id}`,
		};
	};

	test('no other spelling of a path opens it, and none breaks anything', async () => {
		const wrong = [];
		for (const [name, path] of Object.entries(spell())) {
			const r = await send(`GET ${path} HTTP/1.1`, [auth()]);
			if (!r) {
				wrong.push(`${name}: no reply`);
				continue;
			}
			const plain = name === 'encoded letter of the id'; // RFC 3986 calls these two equal
			if (!plain && !(r.status >= 300 && r.status < 500))
				wrong.push(`${name}: ${r}`);
			if (plain && ![200, 400, 404].includes(r.status))
				wrong.push(`${name}: ${r}`);
			if (r.headers['x-injected'])
				wrong.push(`${name}: a header was injected`);
			if (r.status >= 300 && r.status < 400 && !(r.headers.location ?? '').startsWith(`http://${host}/`) && !/^\/[^/\\]/.test(r.headers.location ?? ''))
				wrong.push(`${name}: sent elsewhere: ${r.headers.location}`);
		}
		assert.deepEqual(wrong, []);
	});

	test('bytes that are no HTTP: control bytes, raw UTF-8, spaces, no version', async () => {
		for (const line of [
			Buffer.from('GET /api/v1/\x00me HTTP/1.1', 'latin1'), Buffer.from('GET /api/v1/me\x01 HTTP/1.1', 'latin1'), Buffer.from('GET /łódź HTTP/1.1'), Buffer.from([0x47, 0x45, 0x54, 0x20, 0x2f, 0xc0, 0xaf, 0x20, 0x48, 0x54, 0x54, 0x50, 0x2f, 0x31, 0x2e, 0x31]),
			'GET /api/v1/me /x HTTP/1.1', 'GET  HTTP/1.1', 'GET', '', 'GET /api/v1/me HTTP/9.9', 'GET /api/v1/me HTTP/1.1 x', 'GET http://elsewhere.example/api/v1/me HTTP/1.1', 'GET api/v1/me HTTP/1.1', 'GET * HTTP/1.1', 'CONNECT elsewhere.example:443 HTTP/1.1', 'PRI * HTTP/2.0', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
		]) {
			const r = await send(line, [auth()]);
			assert.ok(r === undefined || r.status >= 400 || /elsewhere/.test(String(line)), `${line}: ${r}`);
			if (/http:\/\/elsewhere/.test(String(line)) && r)
				assert.ok(!r.text.includes('elsewhere.example'), 'the name of a request is no name of ours');
		}
		ok(await ann.as.get(g.path));
	});

	test('/api/v2 is the same door as /api/v1 while it has no rows of its own (D2)', async () => {
		const v2 = (path) => path.replace('/v1/', '/v2/');
		const quiet = { record: false }; // the description has one name for each
		const got = await ann.as.get(v2(g.path), quiet);
		assert.deepEqual(ok(got), ok(await ann.as.get(g.path)));
		problem(await t.http.get(v2(g.path), quiet), 'not-authenticated');
		problem(await ann.as.request('PATCH', v2(g.path), quiet), 'method-not-allowed');
		problem(await ann.as.get('/api/v2/graphs/shared/x', quiet), 'not-found');
		for (const odd of ['/api/v2', '/api/v3/graphs', '/api/v2/v2/graphs', '/api/v2/v1/graphs', '/v2/graphs', '/api/v22/graphs'])
			assert.equal((await ann.as.get(odd, quiet)).code, 'not-found', odd);
		const coditect = t.stack.http('coditect');
		try { // of the slow pool, which nginx's map knows by the other name
			const r = await coditect.post('/api/v2/auth/login', { email: 'nobody@example.com', password: 'x' }, quiet);
			problem(r, 'invalid-credentials');
		} finally {
			coditect.close();
		}
	});

	test('long ones: 414 or 404, at once', async () => {
		for (const n of [2000, 7000, 9000, 40_000, 200_000]) {
			const r = await send(`GET /api/v1/graphs/${'a'.repeat(n)} HTTP/1.1`, [auth()]);
			assert.ok(r === undefined || [400, 404, 414].includes(r.status), String(r));
		}
		for (const n of [500, 3000])
			assert.ok([404, 414].includes((await send(`GET /${'a/'.repeat(n)} HTTP/1.1`, [auth()])).status));
	});

	test('a query that is none of ours', async () => {
		const r = async (query) => send(`GET /api/v1/workspaces?${query} HTTP/1.1`, [auth()]);
		for (const query of ['limit=1&limit=2', 'limit=%00', 'limit=1%00', 'cursor=%ff%fe', 'limit=%', 'cursor=%c0%af', 'limit[]=1', 'limit=1;limit=2', `cursor=${'x'.repeat(6000)}`, 'nosuch=1']) {
			const x = await r(query);
			assert.ok([200, 400, 422].includes(x.status), `${query}: ${x}`);
			if (/%00|%ff|%c0|limit=1&/.test(query))
				assert.notEqual(x.status, 200, query);
		}
		for (const query of ['', '&', '&&&', '=']) {
			const x = await r(query);
			assert.ok([200, 422].includes(x.status), `${query}: ${x}`);
		}
		const many = await r(Array.from({ length: 1500 }, (_, i) => `a${i}=1`).join('&'));
		assert.ok([200, 400, 414, 422].includes(many.status), String(many));
	});

	test('what is nowhere is 404 as a problem, with or without a token', async () => {
		for (const path of ['/api', '/api/v1', '/api/v1/', '/api/v3/workspaces', '/api/v1/nothing', '/api/v1/graphs/x/y/z', '/.env', '/.git/config', '/api/v1/../../etc/passwd'])
			for (const token of [undefined, ann.token]) {
				const r = await t.http.get(path, { token });
				assert.ok([401, 404, 400].includes(r.status), `${path}: ${r}`);
				if (path.startsWith('/api/v1/n'))
					problem(r, 'not-found', 'not-authenticated');
			}
	});
});

describe('methods', () => {
	test('405 with Allow, for each path and each method it has not', async () => {
		for (const [path, allowed] of [
			['/api/v1/me', ['GET', 'PUT', 'DELETE']],
			['/api/v1/workspaces', ['GET', 'POST']],
			[g.path, ['GET', 'PUT', 'DELETE']],
			[`${g.path}/restore/1`, ['POST']],
			['/health', ['GET']],
		])
			for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH']) {
				if (allowed.includes(method))
					continue;
				const r = await ann.as.request(method, path, method === 'GET' || method === 'DELETE' ? {} : { json: {} });
				problem(r, 'method-not-allowed');
				const allow = (r.headers.allow ?? '').split(/\s*,\s*/);
				for (const m of allowed)
					assert.ok(allow.includes(m), `${method} ${path}: Allow is ${r.headers.allow}`);
				assert.ok(!allow.includes(method));
			}
	});

	test('methods of nobody', async () => {
		for (const method of ['TRACE', 'TRACK', 'CONNECT', 'PROPFIND', 'MKCOL', 'GETX', 'get', 'G', 'X'.repeat(300), 'DEBUG']) {
			const r = await send(`${method} ${g.path} HTTP/1.1`, [auth(), 'content-length: 0']);
			assert.ok(r === undefined || (r.status >= 400 && r.status < 600 && r.status !== 500 && r.status !== 502), `${method}: ${r}`);
			assert.ok(!r?.text.includes(ann.token), 'TRACE tells the token');
		}
		for (const override of ['x-http-method-override: DELETE', 'x-method-override: DELETE', 'x-http-method: DELETE'])
			await send(`GET ${g.path}?_method=DELETE HTTP/1.1`, [auth(), override]);
		ok(await ann.as.get(g.path));
	});

	test('HEAD is GET without the body', async () => {
		for (const path of [g.path, '/api/v1/me', '/health', '/api/v1/workspaces']) {
			const [head, get] = [await ann.as.request('HEAD', path), await ann.as.get(path)];
			assert.equal(head.status, get.status, path);
			assert.equal(head.bytes.length, 0);
			assert.equal(head.headers['content-type'], get.headers['content-type']);
			assert.equal(head.headers.etag, get.headers.etag);
		}
		const missing = await ann.as.request('HEAD', '/api/v1/graphs/01890a5d-ac96-774b-bcce-b302099a8057');
		assert.equal(missing.status, 404);
		assert.equal(missing.bytes.length, 0);
	});

	test('OPTIONS needs no token and does nothing', async () => {
		const r = await t.http.request('OPTIONS', g.path);
		assert.ok([200, 204].includes(r.status), String(r));
		assert.equal(r.bytes.length, 0);
	});
});

describe('other origins', () => {
	const preflight = (origin, method = 'PUT', headers = 'authorization,content-type,if-match,idempotency-key') =>
		t.http.request('OPTIONS', g.path, { headers: { origin, 'access-control-request-method': method, 'access-control-request-headers': headers } });

	test('those that the app names may, with what the editor needs', async () => {
		const allowed = t.stack.appFile('fig-nodes').origins ?? [];
		assert.ok(allowed.length > 0, 'fig-nodes names its origins');
		for (const origin of allowed) {
			const r = await preflight(origin);
			assert.ok([200, 204].includes(r.status), String(r));
			assert.equal(r.headers['access-control-allow-origin'], origin);
			for (const m of ['PUT', 'POST', 'DELETE', 'GET'])
				assert.match(r.headers['access-control-allow-methods'], new RegExp(m));
			for (const h of ['authorization', 'content-type', 'if-match', 'idempotency-key'])
				assert.match(r.headers['access-control-allow-headers'].toLowerCase(), new RegExp(h));
			assert.match(r.headers.vary ?? '', /origin/i);
			const real = await ann.as.get(g.path, { headers: { origin } });
			assert.equal(real.headers['access-control-allow-origin'], origin);
			assert.match((real.headers['access-control-expose-headers'] ?? '').toLowerCase(), /etag/);
			const refused = await t.http.get(g.path, { headers: { origin } });
			assert.equal(refused.status, 401);
			assert.equal(refused.headers['access-control-allow-origin'], origin, 'or the editor cannot read the 401');
		}
	});

	test('whatever headers the app’s own pages send, as Cue’s were promised (C2)', async () => {
		const cue = t.stack.http('cue');
		try {
			for (const headers of ['content-type', 'x-requested-with,sentry-trace,baggage,traceparent', undefined]) {
				const ask = { origin: 'http://localhost:5000', 'access-control-request-method': 'PUT', 'access-control-request-headers': headers };
				const r = await cue.request('OPTIONS', '/api/auth/profile', { headers: ask });
				assert.equal(r.status, 204, String(r));
				assert.equal(r.headers['access-control-allow-origin'], 'http://localhost:5000');
				assert.equal(r.headers['access-control-allow-credentials'], 'true');
				assert.equal(r.headers['access-control-allow-headers'], headers);
				assert.equal((await cue.request('OPTIONS', '/api/auth/profile', { headers: { ...ask, origin: 'http://localhost:5001' } })).headers['access-control-allow-headers'], undefined);
			}
		} finally {
			cue.close();
		}
	});

	test('all others may not: suffixes, prefixes, null, other ports and schemes', async () => {
		const [origin] = t.stack.appFile('fig-nodes').origins;
		const u = new URL(origin);
		for (const bad of [
			'https://evil.example', 'null', `${origin}.evil.example`, `${u.protocol}//evil-${u.host}`, `${u.protocol}//evil.example/${u.host}`, `${u.protocol === 'https:' ? 'http:' : 'https:'}//${u.host}`, `${u.protocol}//${u.hostname}:1`, origin.toUpperCase(), `${origin}/`, `${origin}\u0000`, `${origin},https://evil.example`, 'file://', '*', '',
		]) {
			if (/[\0]/.test(bad))
				continue;
			for (const r of [await preflight(bad), await ann.as.get(g.path, { headers: { origin: bad } })]) {
				const a = r.headers['access-control-allow-origin'];
				assert.ok(a === undefined || a === origin, `${bad}: ${a}`);
				assert.notEqual(a, bad);
			}
		}
		assert.equal((await ann.as.get(g.path)).headers['access-control-allow-origin'], undefined, 'nor without an Origin');
	});
});

describe('headers', () => {
	test('those that a proxy would set are not taken from a client', async () => {
		for (const h of ['x-forwarded-for: 10.0.0.1', 'x-real-ip: 10.0.0.1', 'forwarded: for=10.0.0.1;host=evil.example', 'x-forwarded-host: evil.example', 'x-forwarded-proto: https', 'x-original-url: /health', 'x-rewrite-url: /health', 'x-accel-redirect: /etc/passwd', 'quoin-app: cue', 'x-quoin-app: cue', 'proxy: http://evil.example:1', 'x-user-id: 1', 'x_real_ip: 10.0.0.1', 'x-sendfile: /etc/passwd', 'remote-addr: 10.0.0.1', 'remote_user: root', 'script-name: /x', 'document-uri: /health', 'http-proxy: evil']) {
			const r = await send(`GET ${g.path} HTTP/1.1`, [auth(), h]);
			assert.equal(r.status, 200, `${h}: ${r}`);
			assert.ok(!r.text.includes('evil.example'));
		}
		const log = t.stack.logs();
		assert.ok(!/"(client|address|remote)[a-z_]*":"10\.0\.0\.1"/.test(log), 'a client named its own address');
	});

	test('twice: security headers twice are refused', async () => {
		for (const pair of [
			[auth(), auth()], [auth(), 'authorization: Basic YTpi'], ['content-type: application/json', 'content-type: text/plain', auth()], ['idempotency-key: a', 'idempotency-key: b', auth()], ['if-match: "v1"', 'if-match: "v2"', auth()],
		]) {
			const b = '{"name":"twice"}';
			const r = await send('POST /api/v1/workspaces HTTP/1.1', [...pair, ...(pair.some((h) => h.startsWith('content-type')) ? [] : ['content-type: application/json']), `content-length: ${b.length}`], b);
			if (!pair.some((h) => h.startsWith('if-match'))) // which this route does not read
				assert.ok(r.status >= 400 && r.status < 500, `${pair.map((h) => h.slice(0, 30))}: ${r}`);
		}
		const two = await t.stack.raw(`GET ${g.path} HTTP/1.1\r\nhost: ${host}\r\nhost: cue.localhost\r\n${auth()}\r\nconnection: close\r\n\r\n`);
		assert.equal(two.replies[0].status, 400);
	});

	test('the app is the host’s, whatever its spelling', async () => {
		const as = (h) => t.stack.raw(`GET /api/v1/me HTTP/1.1\r\nhost: ${h}\r\n${auth()}\r\nconnection: close\r\n\r\n`).then((r) => r.replies[0]);
		assert.equal((await as(host)).status, 200);
		assert.equal((await as(host.toUpperCase())).status, 200);
		assert.equal((await as(`localhost:${t.stack.port}`)).status, 200);
		for (const h of ['cue.localhost', 'evil.example', 'fig-nodes.localhost.evil.example', 'x.fig-nodes.localhost', '127.0.0.1.evil.example', '', 'fig-nodes.localhost@evil.example', '[::1', 'fig-nodes_localhost']) {
			const r = await as(h);
			assert.ok(r === undefined || r.status !== 200 || h === '', `${h}: ${r}`);
			assert.ok(!r?.text.includes('evil.example'));
		}
		const none = await t.stack.raw(`GET /api/v1/me HTTP/1.1\r\n${auth()}\r\nconnection: close\r\n\r\n`);
		assert.equal(none.replies[0].status, 400);
	});

	test('many or large ones', async () => {
		assert.equal((await send(`GET ${g.path} HTTP/1.1`, [auth(), ...Array.from({ length: 80 }, (_, i) => `x-${i}: ${i}`)])).status, 200);
		for (const more of [Array.from({ length: 3000 }, (_, i) => `x-${i}: ${'y'.repeat(50)}`), [`x: ${'y'.repeat(60_000)}`], [`cookie: ${'a=b; '.repeat(3000)}`]]) {
			const r = await send(`GET ${g.path} HTTP/1.1`, [auth(), ...more]);
			assert.ok(r === undefined || [400, 414, 431].includes(r.status), String(r));
		}
		ok(await ann.as.get(g.path));
	});

	test('folded, without a name, with a space before the colon, bare CR or LF', async () => {
		for (const raw of [' folded: x', ': x', 'x : y', 'x\ty: z', 'no colon', 'x: a\rb', 'x: a\0b', 'x\0: a'])
			assert.doesNotReject(send(`GET ${g.path} HTTP/1.1`, [auth(), raw]));
		const r = await t.stack.raw(`GET ${g.path} HTTP/1.1\nhost: ${host}\n${auth()}\nconnection: close\n\n`);
		assert.ok([200, 400].includes(r.replies[0]?.status ?? 400));
	});

	test('X-Request-Id comes back when it is sane, and is made when not', async () => {
		const id = 'abc-DEF.123_456';
		const r = await ann.as.get(g.path, { headers: { 'x-request-id': id } });
		assert.equal(r.headers['x-request-id'], id);
		const seen = new Set();
		for (const bad of [undefined, '', 'x'.repeat(500), 'a b', '"quoted"', '<b>', 'é', '{"a":1}']) {
			const x = await ann.as.get(g.path, { headers: { 'x-request-id': bad === 'é' ? '\u00e9' : bad } });
			assert.match(x.headers['x-request-id'], /^[\x21-\x7e]{8,128}$/);
			assert.notEqual(x.headers['x-request-id'], bad);
			assert.ok(!seen.has(x.headers['x-request-id']));
			seen.add(x.headers['x-request-id']);
		}
		const e = await t.http.get(g.path, { headers: { 'x-request-id': id } });
		assert.equal(problem(e, 'not-authenticated').request_id, id);
	});

	test('every reply carries the headers that keep a browser honest', async () => {
		for (const r of [await ann.as.get(g.path), await t.http.get(g.path), await t.http.get('/health'), await t.http.get('/api/v1/nothing')]) {
			assert.equal(r.headers['x-content-type-options'], 'nosniff', String(r));
			assert.ok(!r.headers['x-powered-by']);
			assert.ok(!/\d/.test(r.headers.server ?? ''), `server: ${r.headers.server}`);
		}
	});

	test('pipelined requests are answered in order, each with its own', async () => {
		const one = (path) => `GET ${path} HTTP/1.1\r\nhost: ${host}\r\n${auth()}\r\n\r\n`;
		const { replies } = await t.stack.raw(`${one(g.path)}${one('/api/v1/me')}${one('/api/v1/nothing')}GET ${g.path} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
		assert.deepEqual(replies.map((r) => r.status), [200, 200, 404, 401]);
		assert.equal(replies[0].json.graph.id, g.id);
		assert.equal(replies[1].json.user.id, ann.id);
	});
});
