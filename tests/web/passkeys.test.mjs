// Passkeys in a real browser: Chromium with an authenticator of its own (DevTools protocol), on a page of the copy
// itself. What it makes and signs is judged by the routes; what our options say is read by the browser.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { chromium } from 'playwright-core';

import { ok } from '../lib/setup.mjs';
import { Stack } from '../lib/stack.mjs';

const APP = 'fig-nodes';
const ARGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
	'--disable-component-update', '--disable-sync'];
let stack, http, profile, browser, page, devtools, authenticator, ada;

/** A call of the page's: same origin, with its cookie. */
const call = (method, url, body) => page.evaluate(async ([method, url, body]) => {
	const r = await fetch(url, { method, headers: body === undefined ? {} : { 'content-type': 'application/json' }, body: body === undefined ? undefined : JSON.stringify(body) });
	return { status: r.status, json: await r.json() };
}, [method, `/api/v1/auth/${url}`, body]);

async function good(method, url, body) {
	const r = await call(method, url, body);
	assert.equal(r.status, 200, `${method} ${url}: ${JSON.stringify(r.json)}`);
	return r.json;
}

const create = (options) => page.evaluate(async (o) => (await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(o) })).toJSON(), options);
const get = (options) => page.evaluate(async (o) => (await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(o) })).toJSON(), options);
const verified = (isUserVerified) => devtools.send('WebAuthn.setUserVerified', { authenticatorId: authenticator, isUserVerified });

before(async () => {
	stack = Stack.attach();
	http = stack.http(APP);
	await stack.useIssuers(APP, [], (app) => ({ ...app, frontend_url: `http://localhost:${stack.port}` }));
	ada = await stack.account(APP, `web.${randomBytes(6).toString('hex')}@example.com`);
	profile = mkdtempSync(path.join(os.tmpdir(), 'quoin-chromium-'));
	browser = await chromium.launchPersistentContext(profile, { executablePath: '/usr/bin/chromium', headless: true, args: ARGS });
	page = await browser.newPage();
	await page.goto(`http://localhost:${stack.port}/docs/`);
	devtools = await browser.newCDPSession(page);
	await devtools.send('WebAuthn.enable');
	({ authenticatorId: authenticator } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
		options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
	}));
});
after(async () => {
	await browser?.close();
	http?.close();
	if (profile)
		rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

describe('a passkey in Chromium', () => {
	test('is made by who signed in with a password', async () => {
		await good('POST', 'login', { email: ada.email, password: ada.password, session: 'cookie' });
		const { options } = await good('POST', 'passkeys/options');
		assert.equal(options.rp.id, 'localhost');
		const { passkey, backup_codes } = await good('POST', 'passkeys', { credential: await create(options), name: 'Chromium' });
		assert.equal(passkey.name, 'Chromium');
		assert.equal(backup_codes.length, 10);
		const { credentials } = await devtools.send('WebAuthn.getCredentials', { authenticatorId: authenticator });
		assert.deepEqual(credentials.map((c) => [c.rpId, c.isResidentCredential]), [['localhost', true]]);
		assert.deepEqual((await good('GET', 'passkeys')).passkeys.map((p) => p.name), ['Chromium']);
	});

	test('the same device makes no second one for the account', async () => {
		const { options } = await good('POST', 'passkeys/options');
		await assert.rejects(create(options), /InvalidStateError/);
	});

	test('signs in alone: no address, no password, both factors', async () => {
		await good('POST', 'logout');
		assert.equal((await call('GET', 'mfa')).status, 401);
		const { options } = await good('POST', 'passkeys/login/options');
		const credential = await get(options);
		const reply = await good('POST', 'passkeys/login', { credential, session: 'cookie' });
		assert.equal(reply.user.email, ada.email);
		assert.deepEqual(await good('GET', 'mfa'), { enabled: true, totp: false, passkeys: 1, recovery_codes: 10 });
		const { sessions } = await good('GET', 'sessions');
		assert.deepEqual(sessions.filter((s) => s.current).map((s) => [s.method, s.aal]), [['passkey', 2]]);
		assert.equal((await call('POST', 'passkeys/login', { credential, session: 'cookie' })).status, 401, 'once');
	});

	test('is the second factor after a password', async () => {
		await good('POST', 'logout');
		assert.deepEqual(await good('POST', 'login', { email: ada.email, password: ada.password, session: 'cookie' }), { mfa_required: true });
		assert.equal((await call('GET', 'sessions')).json.code, 'mfa-required');
		const { options } = await good('POST', 'mfa/passkey/options', {});
		assert.equal(options.allowCredentials.length, 1);
		await good('POST', 'mfa/passkey', { credential: await get(options) });
		assert.equal((await good('GET', 'sessions')).sessions.find((s) => s.current).aal, 2);
	});

	test('does nothing without its owner’s finger', async () => {
		await verified(false);
		const { options } = await good('POST', 'passkeys/login/options');
		await assert.rejects(get({ ...options, timeout: 2000 }), /NotAllowedError/);
		const lax = await get({ ...options, userVerification: 'discouraged' });
		assert.equal((await call('POST', 'passkeys/login', { credential: lax })).json.code, 'invalid-passkey', 'nor does a page get around it');
		await verified(true);
	});

	test('is of no use to a page of another origin', async () => {
		const { options } = await good('POST', 'passkeys/login/options');
		const elsewhere = await browser.newPage();
		await elsewhere.goto(`http://127.0.0.1:${stack.port}/docs/`);
		const failed = await elsewhere.evaluate((o) => navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(o) }).then(() => 'given', (e) => e.name), options);
		assert.equal(failed, 'SecurityError');
		await elsewhere.close();
	});

	test('is removed; what remains on the device signs in no more', async () => {
		const [{ id }] = (await good('GET', 'passkeys')).passkeys;
		await good('DELETE', `passkeys/${id}`);
		const { options } = await good('POST', 'passkeys/login/options');
		assert.equal((await call('POST', 'passkeys/login', { credential: await get(options) })).json.code, 'invalid-passkey');
		assert.ok(ok(await http.post('/api/v1/auth/login', { email: ada.email, password: ada.password })).access_token);
	});
});
