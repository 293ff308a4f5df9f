// Signing in by SAML, the whole way: request, answer, session; what is forged, replayed, stolen or led elsewhere
// (CONTRACT D6, E52; SECURITY T4-T7, T12). What a response has to be is in saml.test.mjs.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { inflateRawSync } from 'node:zlib';

import { Browser } from '../lib/idp.mjs';
import { Idp, byXmlsec, instant, wrapped } from '../lib/saml.mjs';
import { ok, problem } from '../lib/setup.mjs';
import { Stack, dev } from '../lib/stack.mjs';
import { inParallel } from '../lib/wait.mjs';

const APP = 'cue';
const DOMAIN = 'saml.example';
const OTHER = 'rival-saml.example';
const skip = existsSync(path.join(process.env.TEST_RUN ?? '', 'saml.sock')) ? false : 'quoin-saml was not built: lasso is missing';
const email = (name = 'ann', domain = DOMAIN) => `${name}.${randomBytes(5).toString('hex')}@${domain}`;

let stack, http, idp, rival, home, frontend;

/** quoinctl; {code, said}. */
const ctl = (...args) =>
	new Promise((resolve) => {
		execFile(dev, ['ctl', '--state', stack.state, ...args], (e, out, err) => resolve({ code: e?.code ?? 0, said: out + err }));
	});

function metadataFile(provider, change = (x) => x) {
	const file = path.join(stack.state, `saml-${randomBytes(4).toString('hex')}.xml`);
	writeFileSync(file, change(provider.metadata));
	return file;
}

before(async () => {
	if (skip)
		return;
	stack = Stack.attach();
	http = stack.http(APP);
	home = `http://${APP}.localhost:${stack.port}`;
	idp = new Idp();
	rival = new Idp('https://rival.example.test/metadata');
	for (const [domain, provider] of [[DOMAIN, idp], [OTHER, rival]]) {
		const r = await ctl('sso', 'add', '--app', APP, '--domain', domain, '--metadata', metadataFile(provider));
		assert.deepEqual(r, { code: 0, said: `${APP}: users of ${domain} sign in at ${provider.entity}\n` });
	}
	frontend = (await http.get('/auth/callback', { token: null })).headers.location.split('/?')[0];
});
after(async () => {
	if (skip)
		return;
	for (const domain of [DOMAIN, OTHER])
		await ctl('sso', 'remove', '--app', APP, '--domain', domain);
	http.close();
});

/** To the provider; what its answer has to say. */
async function begin(browser, { address = email(), returnTo = '/team' } = {}) {
	const { redirect_url } = ok(await browser.post('/api/v1/auth/saml/start', { email: address, return_to: returnTo }));
	const url = new URL(redirect_url);
	const xml = inflateRawSync(Buffer.from(url.searchParams.get('SAMLRequest'), 'base64')).toString();
	return {
		state: url.searchParams.get('RelayState'),
		plan: { requestId: / ID="([^"]+)"/.exec(xml)[1], acs: `${home}/auth/saml/callback`, sp: `${home}/api/v1/auth/saml/metadata`, nameId: address, attributes: { email: address, givenName: 'Ann', sn: 'Lee' } },
	};
}

/** As the provider's page has the browser post it: of another site, so no cookie of ours comes along. */
const post = (xml, state) =>
	http.request('POST', '/auth/saml/callback', {
		token: null,
		headers: { 'content-type': 'application/x-www-form-urlencoded', origin: 'https://idp.example.test', referer: 'https://idp.example.test/' },
		body: new URLSearchParams({ SAMLResponse: Buffer.from(xml).toString('base64'), RelayState: state }).toString(),
	});

function target(reply) {
	assert.equal(reply.status, 302, String(reply));
	assert.equal(reply.headers['set-cookie'], undefined);
	const { location } = reply.headers;
	assert.ok(location.startsWith(`${home}/api/v1/auth/saml/finish?ticket=`), location);
	return location.slice(home.length);
}

function landed(reply, where) {
	assert.equal(reply.status, 302, String(reply));
	assert.equal(reply.headers.location, `${frontend}${where}`);
}

async function signIn(change = {}, { browser = new Browser(http), ...how } = {}) {
	const { state, plan } = await begin(browser, how);
	const reply = await post(idp.answer({ ...plan, ...change }), state);
	return { browser, state, plan, reply, end: reply.headers.location?.includes('ticket=') ? await browser.get(target(reply)) : reply };
}

const me = async (browser) => ok(await browser.get('/api/auth/user'));
const sessions = () => stack.one('SELECT count(*) FROM sessions').then(Number);

describe('signing in by SAML', { skip }, () => {
	test('makes a user of who the provider vouches for, and knows him again', async () => {
		const { browser, end, plan } = await signIn();
		landed(end, '/team?success=true');
		assert.ok(browser.session);
		assert.equal(browser.cookies.get('__Host-flow'), undefined);
		const user = await me(browser);
		assert.equal(user.email, plan.nameId);
		assert.deepEqual(ok(await browser.get('/api/v1/auth/sessions')).sessions.map((s) => s.method), ['saml']);
		assert.deepEqual(await stack.rows(`SELECT issuer, email_verified FROM identities WHERE subject = '${plan.nameId}'`), [[`saml:${idp.entity}`, 't']]);
		const again = await signIn({ attributes: { email: email('moved') } , nameId: plan.nameId });
		assert.equal((await me(again.browser)).id, user.id);
	});

	test('takes an answer that comes in lines, as MIME has base64', async () => {
		const browser = new Browser(http);
		const { state, plan } = await begin(browser);
		const lines = Buffer.from(idp.answer(plan)).toString('base64').replace(/.{76}/g, '$&\r\n');
		const body = new URLSearchParams({ SAMLResponse: lines, RelayState: state }).toString();
		assert.ok(body.includes('%0D%0A'));
		const reply = await http.request('POST', '/auth/saml/callback', { token: null, headers: { 'content-type': 'application/x-www-form-urlencoded' }, body });
		landed(await browser.get(target(reply)), '/team?success=true');
	});

	test('says what providers want to know of us', async () => {
		const r = await http.get('/api/v1/auth/saml/metadata', { token: null });
		assert.equal(r.status, 200);
		assert.match(r.headers['content-type'], /^application\/samlmetadata\+xml/);
		assert.ok(r.text.includes(`entityID="${home}/api/v1/auth/saml/metadata"`), r.text);
		assert.ok(r.text.includes(`Location="${home}/auth/saml/callback"`), r.text);
	});

	test('an answer is good once, and so is its ticket, of any number at once (T6)', async () => {
		const browser = new Browser(http);
		const { state, plan } = await begin(browser);
		const xml = idp.answer(plan);
		const replies = await inParallel(Array(6).fill(), 6, () => post(xml, state));
		const good = replies.filter((r) => r.headers.location.includes('ticket='));
		assert.equal(good.length, 1);
		for (const r of replies.filter((x) => x !== good[0]))
			landed(r, '/?error=sso_failed');
		const at = target(good[0]);
		const before = await sessions();
		const cookie = `__Host-flow=${browser.cookies.get('__Host-flow')}`;
		const ends = await inParallel(Array(6).fill(), 6, () => http.get(at, { token: null, headers: { cookie } }));
		assert.equal(ends.filter((r) => r.headers.location === `${frontend}/team?success=true`).length, 1);
		assert.equal(await sessions(), before + 1);
	});

	for (const [what, answer] of [['an assertion', (p) => byXmlsec(idp).answer(p)], ['a response', (p) => byXmlsec(idp).answerSigned(p)]])
		test(`${what} that xmlsec signed is accepted, once`, async () => {
			const browser = new Browser(http);
			const { state, plan } = await begin(browser);
			const assertionId = `_xmlsec-${what.length}`;
			const xml = answer({ ...plan, assertionId });
			const at = target(await post(xml, state));
			landed(await post(xml, state), '/?error=sso_failed');
			landed(await browser.get(at), '/team?success=true');
			landed(await browser.get(at), '/?error=sso_failed');
			assert.equal((await me(browser)).email, plan.nameId);
			landed((await signIn({ assertionId })).end, '/?error=sso_failed');
		});

	test('an assertion that was accepted is not accepted in another answer (T6)', async () => {
		const first = await signIn({ assertionId: '_the-same' });
		landed(first.end, '/team?success=true');
		landed((await signIn({ assertionId: '_the-same' })).end, '/?error=sso_failed');
	});

	test('an answer to the sign-in of another, or to none, is refused', async () => {
		const a = await begin(new Browser(http)), b = await begin(new Browser(http));
		landed(await post(idp.answer(a.plan), b.state), '/?error=sso_failed');
		for (const state of ['', 'x', randomBytes(32).toString('base64url')])
			landed(await post(idp.answer(a.plan), state), '/?error=sso_failed');
		landed((await http.request('POST', '/auth/saml/callback', { token: null, headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'a=b' })), '/?error=sso_failed');
	});

	test('only the browser that began gets the session: nobody is signed in as another unawares (T16)', async () => {
		const attacker = new Browser(http), victim = new Browser(http);
		const { state, plan } = await begin(attacker);
		await begin(victim);
		const at = target(await post(idp.answer(plan), state));
		for (const other of [victim, new Browser(http)]) {
			landed(await other.get(at), '/?error=sso_failed');
			assert.equal(other.session, undefined);
		}
		landed(await attacker.get(at), '/team?success=true');
	});

	for (const [name, forge] of [
		['unsigned', (p) => idp.response(idp.assertion(p), p)],
		['stripped of its signature', (p) => idp.answer(p).replace(/<ds:Signature .*<\/ds:Signature>/, '')],
		['signed by another key', (p) => idp.answer(p, { by: rival })],
		['of another domain\'s provider', (p) => rival.answer(p)],
		['for another audience', (p) => idp.answer({ ...p, audience: 'https://elsewhere.example' })],
		['for another recipient', (p) => idp.answer({ ...p, recipient: 'https://elsewhere.example' })],
		['for another destination', (p) => idp.answer({ ...p, destination: 'https://elsewhere.example' })],
		['expired', (p) => idp.answer({ ...p, notOnOrAfter: instant(-61) })],
		['to another request', (p) => idp.answer({ ...p, inResponseTo: '_x' })],
		['with a comment in the name', (p) => idp.answer({ ...p, rawNameId: 'boss@saml.example.evil' }).replace('boss@saml.example.evil', 'boss@saml.example<!-- -->.evil')],
		['with a DTD', (p) => `<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>${idp.answer(p)}`],
		['that is no XML', () => 'x'],
		...['XSW1', 'XSW2', 'XSW3', 'XSW4', 'XSW5', 'XSW6', 'XSW7', 'XSW8'].flatMap((v) => [
			[`that is wrapped (${v})`, (p) => wrapped(idp, v, p, { nameId: `boss@${DOMAIN}` })],
			[`that xmlsec signed, wrapped (${v})`, (p) => wrapped(byXmlsec(idp), v, p, { nameId: `boss@${DOMAIN}` })],
		]),
	])
		test(`refuses an answer ${name}`, async () => {
			const before = await sessions();
			const { state, plan } = await begin(new Browser(http));
			landed(await post(forge(plan), state), '/?error=sso_failed');
			assert.equal(await sessions(), before);
			landed(await post(idp.answer(plan), state), '/?error=sso_failed'); // a sign-in has one answer
		});

	test('a provider speaks for its domain alone, and for its own users (T4, T5)', async () => {
		for (const address of [email('x', OTHER), `x@sub.${DOMAIN}`, `x@${DOMAIN}.evil.example`, 'nobody', ''])
			landed((await signIn({ attributes: { email: address } })).end, '/?error=sso_failed');
		const ann = await signIn();
		const browser = new Browser(http);
		const { state, plan } = await begin(browser, { address: email('eve', OTHER) });
		const reply = await post(rival.answer({ ...plan, nameId: ann.plan.nameId }), state);
		landed(await browser.get(target(reply)), '/team?success=true');
		assert.notEqual((await me(browser)).id, (await me(ann.browser)).id);
	});

	test('an address leads to an account that has verified it, and to no other (T4)', async () => {
		const known = await stack.account(APP, email('known'));
		const { browser, end } = await signIn({}, { address: known.email });
		landed(end, '/team?success=true');
		assert.equal((await me(browser)).email, known.email);
		const squatted = await stack.account(APP, email('squatted'));
		await stack.rows(`UPDATE users SET email_verified = false WHERE email = '${squatted.email}'`);
		landed((await signIn({}, { address: squatted.email })).end, '/?error=account_exists');
		await ctl('user', 'suspend', '--app', APP, known.email);
		landed((await signIn({}, { address: known.email })).end, '/?error=account_suspended');
	});

	test('the browser is led to the app\'s own pages only (T7)', async () => {
		for (const to of ['https://evil.example', '//evil.example', '/\\evil.example', '/a/../b', 'x', '/?x'])
			problem(await http.post('/api/v1/auth/saml/start', { email: email(), return_to: to }, { token: null }), 'invalid-body');
		const { state, plan } = await begin(new Browser(http));
		assert.notEqual(state, undefined);
		landed(await post(idp.answer(plan), 'https://evil.example'), '/?error=sso_failed');
	});

	test('an address without a provider is told of, whatever it is', async () => {
		for (const address of ['a@nowhere.example', `a@sub.${DOMAIN}`, 'a@b', '@@@', `a@${DOMAIN}\n`])
			problem(await http.post('/api/v1/auth/saml/start', { email: address }, { token: null }), 'sso-not-configured');
	});

	test('bodies that are none are refused', async () => {
		const call = (target_, headers, body) => http.request('POST', target_, { token: null, headers, body });
		const form = { 'content-type': 'application/x-www-form-urlencoded' };
		problem(await call('/auth/saml/callback', { 'content-type': 'text/plain' }, 'SAMLResponse=x'), 'unsupported-media-type');
		problem(await call('/auth/saml/callback', form, `SAMLResponse=${'A'.repeat(400_000)}`), 'body-too-large');
		problem(await call('/auth/saml/callback', form, `SAMLResponse=${'A'.repeat(200_000)}`), 'invalid-body');
		problem(await call('/auth/saml/callback', form, 'RelayState=%ff'), 'invalid-body');
		problem(await call('/auth/saml/callback', form, 'RelayState=a&RelayState=b'), 'invalid-body');
		problem(await call('/api/v1/auth/saml/start', form, 'email=a%40b.example'), 'unsupported-media-type');
		problem(await call('/api/v1/auth/saml/start', { 'content-type': 'application/json' }, '{'), 'bad-json');
	});

	test('nothing that signs somebody in is kept in clear', async () => {
		const { state, plan } = await begin(new Browser(http));
		const at = target(await post(idp.answer(plan), state));
		const kept = JSON.stringify(await stack.rows('SELECT t::text FROM one_time_tokens t'));
		const ticket = new URL(at, home).searchParams.get('ticket');
		assert.ok(kept.includes('saml-ticket') && !kept.includes(ticket) && !kept.includes(state));
	});
});

describe('the organization of a domain (E52)', { skip }, () => {
	const domain = `org-${randomBytes(4).toString('hex')}.example`;
	const slug = `sso-${randomBytes(4).toString('hex')}`;
	const theirs = skip ? null : new Idp(`https://${domain}/metadata`);
	const add = (...more) => ctl('sso', 'add', '--app', APP, '--domain', domain, '--metadata', metadataFile(theirs), ...more);
	const create = async (name) => {
		const owner = await stack.account(APP, email('owner', domain));
		const r = await ctl('org', 'create', '--app', APP, 'A team', name, owner.email);
		assert.equal(r.code, 0, r.said);
		return { owner, id: r.said.split(' ')[0] };
	};
	const enter = async (address = email('member', domain)) => {
		const browser = new Browser(http);
		const { state, plan } = await begin(browser, { address });
		landed(await browser.get(target(await post(theirs.answer(plan), state))), '/team?success=true');
		return (await me(browser)).id;
	};
	const role = async (user) => (await stack.rows(`SELECT role FROM organization_members WHERE organization_id = '${org.id}' AND user_id = '${user}'`))[0]?.[0];
	const seats = (n) => stack.rows(`UPDATE organizations SET max_seats = ${n} WHERE id = '${org.id}'`);
	const audited = async () => (await stack.rows(`SELECT action FROM audit_logs WHERE chain = '${org.id}' ORDER BY seq`)).map((r) => r[0]);
	let org;

	before(async () => {
		org = await create(slug);
	});
	after(() => ctl('sso', 'remove', '--app', APP, '--domain', domain));

	test('is named by an operator; without one nobody joins anything', async () => {
		assert.equal((await add()).code, 0);
		const early = await enter();
		assert.equal(await role(early), undefined);
		assert.equal((await add('--org', 'no-such-team')).code, 1);
		assert.deepEqual(await add('--org', slug), { code: 0, said: `${APP}: users of ${domain} sign in at ${theirs.entity}\n` });
		assert.match((await ctl('org', 'show', '--app', APP, slug)).said, new RegExp(`^sso +${domain}$`, 'm'));
		assert.equal((await add()).code, 0); // a new certificate
		assert.match((await ctl('org', 'show', '--app', APP, slug)).said, new RegExp(`^sso +${domain}$`, 'm'));
		assert.deepEqual(await audited(), ['org.create', 'org.sso']);
	});

	test('is joined by who signs in, as a member, and it is written down', async () => {
		const address = email('joins', domain);
		const user = await enter(address);
		assert.equal(await role(user), 'member');
		assert.equal(await enter(address), user);
		assert.deepEqual((await audited()).slice(2), ['org.member.join']);
		const [[who, details]] = await stack.rows(`SELECT user_id, details FROM audit_logs WHERE chain = '${org.id}' AND action = 'org.member.join'`);
		assert.deepEqual([who, JSON.parse(details)], [user, { role: 'member', domain }]);
	});

	test('keeps its members as what they are', async () => {
		assert.equal(await enter(org.owner.email), org.owner.id);
		assert.equal(await role(org.owner.id), 'owner');
	});

	test('is joined once: who was taken out does not come back by signing in', async () => {
		const address = email('leaves', domain);
		const user = await enter(address);
		assert.equal((await ctl('org', 'remove-member', '--app', APP, slug, address)).code, 0);
		assert.equal(await enter(address), user);
		assert.equal(await role(user), undefined);
		assert.equal((await ctl('org', 'add-member', '--app', APP, slug, address, 'admin')).code, 0);
		await enter(address);
		assert.equal(await role(user), 'admin');
	});

	test('gives no seat that it has not; who found none joins when there is one', async () => {
		const used = Number(await stack.one(`SELECT count(*) FROM organization_members WHERE organization_id = '${org.id}'`));
		await seats(used);
		const address = email('waits', domain);
		const user = await enter(address);
		assert.equal(await role(user), undefined);
		await seats(used + 3);
		await enter(address);
		assert.equal(await role(user), 'member');
		const several = await inParallel(Array(5).fill(), 5, () => enter());
		const roles = await Promise.all(several.map(role));
		assert.deepEqual(roles.filter((x) => x === 'member').length, 2);
		assert.equal(roles.filter((x) => x === undefined).length, 3);
	});

	test('has one domain, and a domain one organization', async () => {
		const other = await create(`other-${slug}`);
		const r = await add('--org', other.id);
		assert.equal(r.code, 1);
		assert.match(r.said, /another domain, or another has/);
		const fresh = new Idp(`https://second.${domain}/metadata`);
		assert.equal((await ctl('sso', 'add', '--app', APP, '--domain', `second.${domain}`, '--metadata', metadataFile(fresh), '--org', slug)).code, 1);
		problem(await http.post('/api/v1/auth/saml/start', { email: `a@second.${domain}` }, { token: null }), 'sso-not-configured');
		assert.match((await ctl('org', 'show', '--app', APP, slug)).said, new RegExp(`^sso +${domain}$`, 'm'));
		assert.match((await ctl('org', 'show', '--app', APP, other.id)).said, /^sso +-$/m);
	});

	test('keeps who joined when the provider goes', async () => {
		await seats(-1);
		const user = await enter();
		assert.equal((await ctl('sso', 'remove', '--app', APP, '--domain', domain, '--org', slug)).code, 2);
		assert.equal((await ctl('sso', 'remove', '--app', APP, '--domain', domain)).code, 0);
		assert.equal(await role(user), 'member');
		assert.match((await ctl('org', 'show', '--app', APP, slug)).said, /^sso +-$/m);
		assert.equal((await audited()).at(-1), 'org.sso');
		assert.equal((await add()).code, 0);
		assert.equal(await role(await enter()), undefined);
	});
});

describe('quoinctl sso with SAML', { skip }, () => {
	const add = (file, domain = 'new-saml.example') => ctl('sso', 'add', '--app', APP, '--domain', domain, '--metadata', file);

	test('lists it', async () => {
		assert.match((await ctl('sso', 'list', '--app', APP)).said, new RegExp(`^${DOMAIN} +${idp.entity} SAML$`, 'm'));
	});

	test('refuses metadata that is none, and a provider of another domain', async () => {
		for (const change of [() => 'x', () => '', (x) => x.replace('<md:Ent', '<!DOCTYPE a><md:Ent'), (x) => x.replaceAll('IDPSSODescriptor', 'SPSSODescriptor')]) {
			const r = await add(metadataFile(idp, change));
			assert.equal(r.code, 1, r.said);
		}
		assert.equal((await add('/nowhere')).code, 1);
		const r = await add(metadataFile(idp));
		assert.equal(r.code, 1);
		assert.match(r.said, /signs another domain in already/);
		assert.equal((await ctl('sso', 'add', '--app', APP, '--domain', 'a.example', '--metadata', 'x', '--issuer', 'y', '--client-id', 'z')).code, 2);
	});
});
