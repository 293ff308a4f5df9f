// Bad bodies: what json-c alone would take (SECURITY S4), wrong types, unknown members, sizes, depths,
// media types and lengths that lie. Nothing of a refused body may be stored.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';

import { rawMember } from '../lib/http.mjs';
import { ok, problem, setup } from '../lib/setup.mjs';
import { until } from '../lib/wait.mjs';

let t, ann, bob, ws, g;

before(async () => {
	t = await setup();
	ann = await t.user('ann');
	bob = await t.user('bob');
	ws = await t.workspace(ann);
	g = await t.graph(ann, { workspace: ws, data: '{"first":1}' });
});
after(() => t?.stop());

const put = (body, headers) => ann.as.request('PUT', g.path, { body, headers });
const post = (target, body, headers) => ann.as.request('POST', target, { body, headers });
async function unchanged() {
	assert.equal(rawMember((await ann.as.get(g.path)).text, 'graph', 'data'), '{"first":1}');
}

const U = (...bytes) => Buffer.from(bytes);
const q = (...bytes) => Buffer.concat([U(0x22), U(...bytes), U(0x22)]);

// Values that RFC 8259 does not have, or that we cannot keep apart from another. As JSON texts.
const broken = {
	NaN: 'NaN', Infinity: 'Infinity', '-Infinity': '-Infinity', '-NaN': '-NaN', nan: 'nan', inf: 'inf', 'single quotes': "'a'", 'single-quoted name': "{'a':1}",
	'bare name': '{a:1}', '-01': '-01', '01': '01', '00': '00', '2.': '2.', '2.e3': '2.e3', '.5': '.5', '-.5': '-.5', '+1': '+1', '++1': '++1', '1+1': '1+1', '0x10': '0x10',
	'1e': '1e', '1e+': '1e+', '1.5e': '1.5e', '0e': '0e', '0.e1': '0.e1', '1eE2': '1eE2', '-': '-', '--1': '--1', '1_000': '1_000', '1,000': '1,000', '１': '１', '1.0.0': '1.0.0',
	'raw tab in a string': '"a\tb"', 'raw newline in a string': '"a\nb"', 'raw NUL in a string': '"a\0b"', 'raw 0x1f in a string': '"\x1f"', 'raw 0x01 in a name': '{"\x01":1}',
	'NUL after a number': '123\0', 'NUL after a value': '{}\0', 'NUL before': '\0{}', 'escaped NUL': '"\\u0000"', 'escaped NUL in a name': '{"a\\u0000b":1}', 'escaped NUL before admin': '{"\\u0000admin":1}',
	'lone high surrogate': '"\\ud800"', 'lone low surrogate': '"\\udc00"', 'two high': '"\\ud800\\ud800"', 'high, then a letter': '"\\ud800a"', 'swapped pair': '"\\udc00\\ud800"', 'lone in a name': '{"\\udead":1}',
	'bad escape x': '"\\x41"', 'bad escape a': '"\\a"', 'bad escape 0': '"\\0"', 'bad escape quote': '"\\\'"', 'short \\u': '"\\u12"', '\\u of no hex': '"\\u12G4"', '\\u with a space': '"\\u 041"', '\\U': '"\\U00000041"', 'escape at the end': '"\\',
	'1e400': '1e400', '-1e400': '-1e400', '1e99999999999': '1e99999999999', 'digits without end': '9'.repeat(400),
	'duplicate names': '{"a":1,"a":1}', 'duplicates, once escaped': '{"a":1,"\\u0061":2}', 'duplicates far inside': '[[{"x":{"b":1,"c":2,"b":3}}]]', 'empty name twice': '{"":1,"":2}', 'duplicates by surrogates': '{"😀":1,"\\ud83d\\ude00":2}',
	'last comma in an object': '{"a":1,}', 'last comma in a list': '[1,]', 'first comma': '[,1]', 'two commas': '[1,,2]', 'only a comma': '[,]', 'no comma': '[1 2]', 'no colon': '{"a" 1}', 'two colons': '{"a"::1}', 'no value': '{"a":}', 'number as a name': '{1:1}',
	'null as a name': '{null:1}', 'open list': '[1', 'open object': '{"a":1', 'open string': '"abc', 'closing only': ']', 'wrong closing': '[1}', 'one too many': '[1]]', 'two values': '{} {}', 'value, then a letter': '{}x', 'comment': '{/*a*/}', 'line comment': '{}//', hash: '{}#',
	True: 'True', tru: 'tru', trueX: 'truex', nul: 'nul', NULL: 'NULL', undefined: 'undefined', 'a function': 'Date()', 'back quotes': '`a`', 'form feed as space': '[\f1]', 'vertical tab as space': '[\v1]', 'nbsp as space': '[\u00a01]', 'U+2028 as space': '[\u20281]', 'BOM in front': '\ufeff{}', 'BOM inside': '[\ufeff]',
	'overlong slash': q(0xc0, 0xaf), 'overlong NUL': q(0xc0, 0x80), 'overlong three': q(0xe0, 0x80, 0xaf), 'overlong four': q(0xf0, 0x80, 0x80, 0xaf), 'raw surrogate': q(0xed, 0xa0, 0x80), 'raw surrogate pair': q(0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80),
	'above U+10FFFF': q(0xf4, 0x90, 0x80, 0x80), 'five bytes': q(0xf8, 0x88, 0x80, 0x80, 0x80), 'lone continuation': q(0x80), 'cut short': q(0xe2, 0x82), 'cut by a quote': Buffer.concat([U(0x22, 0xe2), U(0x22)]), 'latin-1': q(0xe9), 'byte ff': q(0xff), 'bad name': Buffer.concat([U(0x7b), q(0xc0, 0xae), Buffer.from(':1}')]), 'bytes outside strings': U(0xc3, 0xa9),
};

describe('JSON that is none', () => {
	for (const [name, value] of Object.entries(broken)) {
		test(`${name}: 400 as data, as a member and as the body`, async () => {
			const bytes = Buffer.from(value);
			for (const body of [
				Buffer.concat([Buffer.from('{"data":{"x":'), bytes, Buffer.from('}}')]),
				Buffer.concat([Buffer.from('{"data":{},"name":'), bytes, Buffer.from('}')]),
				bytes,
			])
				problem(await put(body), 'bad-json');
			await unchanged();
		});
	}

	test('an empty body, spaces, and the wrong value for a body', async () => {
		for (const body of ['', ' ', '\n\n'])
			problem(await put(body), 'bad-json', 'invalid-body');
		for (const body of ['null', '[]', '"x"', '1', 'true', '[{"data":{}}]'])
			problem(await put(body), 'bad-json', 'invalid-body');
		for (const body of [Buffer.from('{"data":{}}', 'utf16le'), Buffer.concat([U(0xff, 0xfe), Buffer.from('{"data":{}}', 'utf16le')])])
			problem(await put(body), 'bad-json');
		await unchanged();
	});

	test('what is legal stays legal', async () => {
		const h = await t.graph(ann, { workspace: ws });
		for (const [i, data] of ['{"a":[0,-0,1E5,1e-5,0.1,-1.5e+300,true,false,null,"",[],{}]}', ' \t\r\n{ } ', '{"a":"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9"}', '{"\u007f":"\uffff\u2028"}', `{"n":${'9'.repeat(300)}}`, '{"a":{"a":{"a":1}}}', '{"A":1,"a":2,"á":3,"a\u0301":4}'].entries()) {
			const r = await ann.as.request('PUT', h.path, { body: `{"data":${data},"commit_message":"${i}"}` });
			assert.equal(r.status, 200, `${data}: ${r}`);
		}
	});
});

describe('members', () => {
	// [method, path, body, where] → 422, with the place of the fault.
	const cases = () => [
		['POST', '/api/v1/workspaces', { name: 1 }, 'name'],
		['POST', '/api/v1/workspaces', { name: ['x'] }, 'name'],
		['POST', '/api/v1/workspaces', { name: { a: 1 } }, 'name'],
		['POST', '/api/v1/workspaces', { name: true }, 'name'],
		['POST', '/api/v1/workspaces', { name: 'x', description: 5 }, 'description'],
		['POST', '/api/v1/workspaces', { name: 'x', require_base: 'yes' }, 'require_base'],
		['POST', '/api/v1/workspaces', { name: 'x', require_base: 1 }, 'require_base'],
		['POST', '/api/v1/workspaces', { name: 'x', owner_id: bob.id }, 'owner_id'],
		['POST', '/api/v1/workspaces', { name: 'x', id: ws.id }, 'id'],
		['POST', '/api/v1/workspaces', { name: 'x', user_id: bob.id }, 'user_id'],
		['POST', '/api/v1/workspaces', { name: 'x', __proto__: null, constructor: {} }, 'constructor'],
		['POST', '/api/v1/workspaces', { name: 'x', Name: 'y' }, 'Name'],
		['PUT', `/api/v1/workspaces/${ws.id}`, { owner_id: bob.id }, 'owner_id'],
		['PUT', `/api/v1/workspaces/${ws.id}`, { created_at: '2020-01-01T00:00:00Z' }, 'created_at'],
		['POST', '/api/v1/graphs', { name: 'x', data: {} }, 'workspace_id'],
		['POST', '/api/v1/graphs', { workspace_id: ws.id, data: {} }, 'name'],
		['POST', '/api/v1/graphs', { workspace_id: ws.id, name: 'x' }, 'data'],
		['POST', '/api/v1/graphs', { workspace_id: ws.id, name: 'x', data: null }, 'data'],
		['POST', '/api/v1/graphs', { workspace_id: ws.id, name: 'x', data: [] }, 'data'],
		['POST', '/api/v1/graphs', { workspace_id: ws.id, name: 'x', data: '{}' }, 'data'],
		['POST', '/api/v1/graphs', { workspace_id: ws.id, name: 'x', data: 1 }, 'data'],
		['POST', '/api/v1/graphs', { workspace_id: 'x', name: 'x', data: {} }, 'workspace_id'],
		['POST', '/api/v1/graphs', { workspace_id: 1, name: 'x', data: {} }, 'workspace_id'],
		['POST', '/api/v1/graphs', { workspace_id: [ws.id], name: 'x', data: {} }, 'workspace_id'],
		['POST', '/api/v1/graphs', { workspace_id: ws.id, name: 'x', data: {}, version: 9 }, 'version'],
		['POST', '/api/v1/graphs', { workspace_id: ws.id, name: 'x', data: {}, id: g.id }, 'id'],
		['POST', '/api/v1/graphs', { workspace_id: ws.id, name: 'x', data: {}, is_public: 'true' }, 'is_public'],
		['PUT', g.path, { data: 'x' }, 'data'],
		['PUT', g.path, { name: 7 }, 'name'],
		['PUT', g.path, { name: '' }, 'name'],
		['PUT', g.path, { name: 'x'.repeat(201) }, 'name'],
		['PUT', g.path, { data: {}, commit_message: 'x'.repeat(2001) }, 'commit_message'],
		['PUT', g.path, { data: {}, commit_message: {} }, 'commit_message'],
		['PUT', g.path, { data: {}, base_version: '1' }, 'base_version'],
		['PUT', g.path, { data: {}, base_version: 1.5 }, 'base_version'],
		['PUT', g.path, { data: {}, base_version: 0 }, 'base_version'],
		['PUT', g.path, { data: {}, base_version: -1 }, 'base_version'],
		['PUT', g.path, { data: {}, base_version: 2 ** 40 }, 'base_version'],
		['PUT', g.path, { data: {}, workspace_id: ws.id }, 'workspace_id'],
		['PUT', g.path, { data: {}, version: 5 }, 'version'],
		['PUT', g.path, { data: {}, sha256: 'x' }, 'sha256'],
		['POST', `${g.path}/shares`, { email: bob.email, permission: 'read', granted_by: bob.id }, 'granted_by'],
		['POST', `${g.path}/shares`, { email: 5, permission: 'read' }, 'email'],
		['POST', `${g.path}/executions`, { status: 'completed' }, 'status'],
		['POST', `${g.path}/executions`, { results: {} }, 'results'],
	];

	test('wrong types, missing ones and unknown ones (T19): 422, each with its place', async () => {
		const wrong = [];
		for (const [method, target, body, where] of cases()) {
			const r = await ann.as.request(method, target, { json: body });
			try {
				const p = problem(r, 'invalid-body');
				const e = p.errors.find((x) => x.loc.at(-1) === where);
				assert.ok(e, `no error at ${where}`);
				assert.equal(e.loc[0], 'body');
				assert.ok(e.msg && e.type);
			} catch (x) {
				wrong.push(`${method} ${target.replace(g.id, '…')} ${JSON.stringify(body).slice(0, 90)}: ${x.message}`);
			}
		}
		assert.deepEqual(wrong, []);
		await unchanged();
	});

	test('1.0 and 1e0 are not the integer 1', async () => {
		for (const n of ['1.0', '1e0', '10e-1', '-0', '99999999999999999999'])
			problem(await put(`{"data":{},"base_version":${n}}`), 'invalid-body');
		await unchanged();
	});

	test('all faults of one body are told at once, and none of its values come back', async () => {
		const p = problem(await ann.as.post('/api/v1/graphs', { name: 5, data: 'SECRET-VALUE', extra: 'SECRET-VALUE' }), 'invalid-body');
		assert.deepEqual(p.errors.map((e) => e.loc.at(-1)).sort(), ['data', 'extra', 'name', 'workspace_id']);
		assert.ok(!JSON.stringify(p).includes('SECRET-VALUE'));
	});

	test('camelCase names of the same members are taken as well (K5)', async () => {
		const r = await ann.as.post('/api/v1/graphs', { workspaceId: ws.id, name: 'camel', data: {} });
		assert.ok(r.status === 200 || r.code === 'invalid-body', String(r));
		const both = await ann.as.post('/api/v1/graphs', { workspaceId: ws.id, workspace_id: ws.id, name: 'both', data: {} });
		assert.equal(both.status >= 400, true, 'one member under two names');
	});

	test('names with quotes, tags, line ends, SQL: kept as they are', async () => {
		for (const name of ["Robert'); DROP TABLE documents;--", '<script>alert(1)</script>', 'a\nb\r\nc', '"', '\\', '%s%n', '\u202e', '${x}', '$1', '../..', '\u0001\u001f', ' ', 'łódź 🏳️‍🌈']) {
			const h = await t.graph(ann, { workspace: ws, name });
			assert.equal(ok(await ann.as.get(h.path)).graph.name, name);
		}
	});
});

describe('size and depth', () => {
	const nested = (n) => `${'{"a":'.repeat(n - 1)}{}${'}'.repeat(n - 1)}`;

	test('depth: 60 is fine; 65, 100,000 in a list or an object are refused fast', async () => {
		const h = await t.graph(ann, { workspace: ws });
		ok(await ann.as.request('PUT', h.path, { body: `{"data":${nested(60)}}` }));
		for (const data of [nested(65), nested(1000), nested(100_000), `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, `{"a":${'['.repeat(100_000)}`, `{"a":${'[{"b":'.repeat(50_000)}1${'}]'.repeat(50_000)}}`]) {
			const from = performance.now();
			problem(await ann.as.request('PUT', h.path, { body: `{"data":${data}}` }), 'bad-json');
			assert.ok(performance.now() - from < 5000);
		}
	});

	test('100,000 names that would meet in a weak hash, and as many values: linear', async () => {
		const h = await t.graph(ann, { workspace: ws });
		const names = Array.from({ length: 100_000 }, (_, i) => `"${i.toString(2).replaceAll('0', 'Aa').replaceAll('1', 'BB')}":0`).join(',');
		const from = performance.now();
		const r = await ann.as.request('PUT', h.path, { body: `{"data":{${names}}}` });
		assert.ok([200, 400, 413].includes(r.status), String(r));
		assert.ok(performance.now() - from < 15_000, `${performance.now() - from} ms`);
	});

	test('8 MiB of data are kept; a byte more is 413, as is any larger body, and nothing of them is stored', async () => {
		const h = await t.graph(ann, { workspace: ws });
		const most = 8 << 20;
		const send = (n) => ann.as.request('PUT', h.path, { body: `{"data":{"pad":"${'x'.repeat(n - 10)}"}}`, record: false });
		assert.equal((await send(most)).status, 200);
		for (const n of [most + 1, most + (64 << 10), most + (512 << 10), 16 << 20, 64 << 20]) // ours, then nginx's
			problem(await send(n), 'body-too-large');
		const r = await ann.as.get(h.path, { record: false });
		assert.ok(rawMember(r.text, 'graph', 'data') === `{"pad":"${'x'.repeat(most - 10)}"}`);
		assert.equal(rawMember(r.text, 'graph', 'version'), '2');
	});

	test('a small route takes only small bodies', async () => {
		problem(await ann.as.post('/api/v1/workspaces', { name: 'x', description: 'x'.repeat(4 << 20) }), 'body-too-large', 'invalid-body');
		problem(await ann.as.post(`${g.path}/shares`, { email: `${'x'.repeat(4 << 20)}@example.com`, permission: 'read' }), 'body-too-large', 'invalid-body');
	});
});

describe('what the body says it is', () => {
	test('application/json, with any parameters that change nothing', async () => {
		const h = await t.graph(ann, { workspace: ws });
		for (const type of ['application/json', 'Application/JSON', 'application/json; charset=utf-8', 'application/json;charset="UTF-8"', 'application/json ; charset=utf8'])
			assert.notEqual((await ann.as.request('PUT', h.path, { body: '{"data":{}}', headers: { 'content-type': type } })).status, 415, type);
	});

	test('anything else is 415', async () => {
		for (const type of [undefined, 'text/plain', 'text/json', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/jsonp', 'application/json5', 'application/xml', 'application', '', 'application/json, text/plain', 'text/plain; application/json', 'application/octet-stream'])
			problem(await put('{"data":{"no":1}}', { 'content-type': type }), 'unsupported-media-type');
		await unchanged();
	});

	test('a compressed body is not unpacked', async () => {
		const r = await put(gzipSync('{"data":{"no":1}}'), { 'content-encoding': 'gzip' });
		problem(r, 'unsupported-media-type', 'bad-json');
		await unchanged();
	});

	test('a body where none belongs does no harm', async () => {
		for (const [method, target] of [['GET', g.path], ['POST', `${g.path}/restore/9`]]) {
			const r = await ann.as.request(method, target, { body: '{"x":1}' });
			assert.ok(r.status < 500, String(r));
		}
		ok(await ann.as.get(g.path));
	});
});

describe('lengths that lie', () => {
	const head = (method, target, more = '') => `${method} ${target} HTTP/1.1\r\nhost: fig-nodes.localhost:${t.stack.port}\r\nauthorization: Bearer ${ann.token}\r\ncontent-type: application/json\r\n${more}`;
	const count = () => t.stack.one(`SELECT count(*) FROM documents WHERE workspace_id = '${ws.id}'`);
	const body = () => `{"workspace_id":"${ws.id}","name":"lied","data":{}}`;
	const answered = { timeout: 10_000 }; // of what has an answer: nginx closes after it, and nobody waits in vain

	test('longer than what comes: nothing is stored, nothing hangs', async () => {
		const n = await count();
		for (const extra of [1, 100, 10_000]) {
			const r = await t.stack.raw(`${head('POST', '/api/v1/graphs')}content-length: ${body().length + extra}\r\n\r\n${body()}`, { end: true, timeout: 2000 });
			assert.ok(!r.replies.some((x) => x.status < 400), 'answered as if whole');
		}
		assert.equal(await count(), n);
		ok(await ann.as.get(g.path));
	});

	test('shorter than what comes: the cut body is refused; the rest is no second request', async () => {
		const n = await count();
		const inner = `DELETE ${g.path} HTTP/1.1\r\nhost: x\r\n\r\n`;
		const r = await t.stack.raw(`${head('POST', '/api/v1/graphs')}content-length: ${body().length - 3}\r\n\r\n${body()}${inner}`, answered);
		assert.equal(r.replies[0].status, 400);
		assert.ok(r.replies.slice(1).every((x) => x.status === 400 || x.status === 404 || x.status === 405), 'what follows is no request of ours');
		assert.equal(await count(), n);
		ok(await ann.as.get(g.path));
	});

	test('two lengths, both ways, signs, hex, nothing', async () => {
		const n = await count();
		const L = body().length;
		for (const more of [
			`content-length: ${L}\r\ncontent-length: ${L}\r\n`, `content-length: ${L}\r\ncontent-length: ${L + 1}\r\n`, `content-length: ${L}, ${L}\r\n`, `content-length: +${L}\r\n`, `content-length: -${L}\r\n`,
			`content-length: 0x${L.toString(16)}\r\n`, `content-length: ${L}.0\r\n`, 'content-length: 99999999999999999999\r\n', 'content-length: x\r\n', 'content-length:\r\n', `content-length: ${L}\r\ntransfer-encoding: chunked\r\n`,
			'transfer-encoding: gzip\r\n', 'transfer-encoding: chunked, identity\r\n', `content-length : ${L}\r\n`, `content_length: ${L}\r\n`,
		]) {
			const r = await t.stack.raw(`${head('POST', '/api/v1/graphs', more)}\r\n${body()}`, { timeout: 1200 });
			assert.ok((r.replies[0]?.status ?? 400) >= 400, `${more.trim()}: ${r.replies[0]}`);
		}
		assert.equal(await count(), n);
	});

	test('chunked is fine when it is right, and refused when not', async () => {
		const chunk = (s) => `${Buffer.byteLength(s).toString(16)}\r\n${s}\r\n`;
		const b = body();
		const good = await t.stack.raw(`${head('POST', '/api/v1/graphs', 'transfer-encoding: chunked\r\nconnection: close\r\n')}\r\n${chunk(b.slice(0, 10))}${chunk(b.slice(10))}0\r\n\r\n`, answered);
		assert.equal(good.replies[0].status, 200, String(good.replies[0]));
		const n = await count();
		for (const bad of [`${chunk(b.slice(0, 10))}zz\r\n`, `${chunk(b)}-1\r\n`, `ffffffffffffffff\r\n${b}\r\n0\r\n\r\n`, chunk(b), `5\r\n${b}\r\n0\r\n\r\n`]) {
			const r = await t.stack.raw(`${head('POST', '/api/v1/graphs', 'transfer-encoding: chunked\r\nconnection: close\r\n')}\r\n${bad}`, { end: true, timeout: 1500 });
			assert.ok((r.replies[0]?.status ?? 400) >= 400, String(r.replies[0]));
		}
		assert.equal(await count(), n);
	});

	test('Expect: 100-continue', async () => {
		const b = body();
		const r = await t.stack.raw(`${head('POST', '/api/v1/graphs', `expect: 100-continue\r\ncontent-length: ${b.length}\r\nconnection: close\r\n`)}\r\n${b}`, answered);
		assert.equal(r.replies.filter((x) => x.status >= 200)[0].status, 200, r.replies.map(String).join());
	});

	test('a client that stops half-way holds no worker', async () => {
		const open = Array.from({ length: 40 }, () => t.stack.raw(`${head('POST', '/api/v1/graphs')}content-length: 5000\r\n\r\n{"workspace_id":`, { timeout: 7500 }));
		await until('others are served', async () => {
			const from = performance.now();
			ok(await ann.as.get(g.path));
			return performance.now() - from < 500;
		}, { within: 5000 });
		await Promise.all(open);
	});
});
