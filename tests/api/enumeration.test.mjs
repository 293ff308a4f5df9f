// Whether there is an account does not show in the time that an answer takes (SECURITY T11): Welch's t of
// interleaved samples stays below 4.5. ATTACK_SAMPLES=2000 takes as many as an attacker would; the default
// is what a run of all tests has time for.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import process from 'node:process';
import { after, before, describe, test } from 'node:test';

import { Stack } from '../lib/stack.mjs';

const APP = 'coditect', SAMPLES = Number(process.env.ATTACK_SAMPLES ?? 60), ADDRESSES = 12;
let stack, http;
const known = [], unknown = [];

const address = (name) => `${name}.${randomBytes(6).toString('hex')}@example.com`;

/** Welch's t; the slowest twentieth of each is left out, which is the machine's and not ours. */
function welch(a, b) {
	const [m, n] = [a, b].map((x) => [...x].sort((p, q) => p - q).slice(0, Math.ceil(x.length * 0.95)));
	const mean = (x) => x.reduce((s, v) => s + v, 0) / x.length;
	const variance = (x) => x.reduce((s, v) => s + (v - mean(x)) ** 2, 0) / (x.length - 1);
	return Math.abs(mean(m) - mean(n)) / Math.sqrt(variance(m) / m.length + variance(n) / n.length);
}

/** As many of either, in random order. */
function shuffled(samples) {
	const list = Array.from({ length: 2 * samples }, (_, n) => n % 2);
	for (let n = list.length - 1; n > 0; n--) {
		const other = Math.floor(Math.random() * (n + 1));
		[list[n], list[other]] = [list[other], list[n]];
	}
	return list;
}

/**
 * Two requests as often, in random order, one at a time: [ms of the first, ms of the second]. Not in pairs: what one leaves
 * to do afterwards, as mail to somebody known, is in the way of the next, which would then be the other one most times.
 */
async function timed(first, second, samples) {
	const times = [[], []];
	const asks = [0, 1, 0, 1, 0, 1, ...shuffled(samples)]; // the first few warm up
	for (const [n, k] of asks.entries()) {
		const from = performance.now();
		await [first, second][k]();
		if (n >= 6)
			times[k].push(performance.now() - from);
		if (n % 8 === 7)
			await stack.rows('DELETE FROM attempts');
	}
	return times;
}

async function alike(t, first, second, samples = SAMPLES) {
	let value;
	for (let tries = 0; tries < 3; tries++) { // a machine with other work may lean on one of them once
		const [a, b] = await timed(first, second, samples);
		value = welch(a, b);
		t.diagnostic(`t = ${value.toFixed(2)} of ${samples} each`);
		if (value < 4.5)
			return;
	}
	assert.fail(`the times tell them apart: t = ${value}`);
}

const expect = (status, call) => async () => {
	const r = await call();
	assert.equal(r.status, status, String(r));
};

// As many of either kind, of one length, each asked as often: what a repeated question costs is no difference.
before(async () => {
	stack = Stack.attach();
	http = stack.http(APP);
	for (let n = 0; n < ADDRESSES; n++) {
		known.push((await stack.account(APP, address('person'))).email);
		unknown.push(address('nobody'));
	}
});
after(() => http?.close());

describe('known and unknown addresses take the same time', () => {
	const post = (route, body) => http.post(`/api/v1/auth/${route}`, body, { record: false });

	const one_of = (list, n = 0) => () => list[n++ % list.length];
	const pair = (route, status, body, samples) => (t) => {
		const ask = (next) => expect(status, () => post(route, { email: next(), ...body }));
		return alike(t, ask(one_of(known)), ask(one_of(unknown)), samples);
	};

	test('login', pair('login', 401, { password: 'Not-the-password-7' }));

	// An address is new once only.
	test('register', (t) => {
		const taken = one_of(known), body = { password: 'Correct-horse-7-battery' };
		return alike(t,
			expect(200, () => post('register', { email: taken(), ...body })),
			expect(200, () => post('register', { email: address('nobody'), ...body })),
			Math.ceil(SAMPLES / 3));
	});

	for (const route of ['request-password-reset', 'magic-link', 'resend-verification'])
		test(route, pair(route, 200, {}, SAMPLES * 2));
});
