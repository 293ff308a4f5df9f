// Business figures (CONTRACT D55): who may see them, that they follow what people do and pay, that days are kept, and
// that /metrics and quoinctl say the same.
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { after, before, beforeEach, describe, test } from 'node:test';

import { check, Licences } from '../lib/licences.mjs';
import { ok, problem } from '../lib/setup.mjs';
import { Shop } from '../lib/shop.mjs';
import { sameDay, until } from '../lib/wait.mjs';

const APP = 'memorygraph';
let licences, shop, stack, stripe, boss;

before(async () => {
	licences = await Licences.open(APP);
	({ stack, boss } = licences);
	shop = await Shop.open(stack, APP);
	({ stripe } = shop);
});
after(async () => {
	await shop?.close();
	licences?.close();
});

const figures = async (query = '') => ok(await boss.as.get(`/api/v1/admin/figures${query}`));
const day = (ago = 0) => new Date(Date.now() - ago * 86_400_000).toISOString().slice(0, 10);
const usd = (d) => d.money.find((m) => m.currency === 'USD') ?? { mrr: 0, arr: 0, mrr_new: 0, mrr_lost: 0, mrr_expanded: 0, mrr_contracted: 0, mrr_past_due: 0 };

/** What `act` changes in today's figures: the names that have another value, by how much. Who was there is known two seconds later, of everybody. */
async function changes(act) {
	const flat = ({ money: _, dau: __, mau: ___, ...d }, m) => ({ ...d, ...m });
	const a = (await figures()).today;
	await act();
	await shop.applied();
	const b = (await figures()).today;
	assert.equal(a.day, b.day, 'a test over midnight cannot tell: run it again');
	const [was, is] = [flat(a, usd(a)), flat(b, usd(b))];
	return Object.fromEntries(Object.keys(is).filter((k) => typeof is[k] === 'number' && is[k] !== (was[k] ?? 0)).map((k) => [k, is[k] - (was[k] ?? 0)]));
}

/** Has jobs count now, which it does every hour. */
async function roll() {
	const id = randomUUID();
	await stack.rows(`UPDATE figures_daily SET computed_at = now() - interval '11 min' WHERE NOT complete; INSERT INTO jobs (id, kind) VALUES ('${id}', 'figures.roll')`);
	await until('days were counted', async () => (await stack.one(`SELECT count(*) FROM jobs WHERE id = '${id}'`)) === '0', { within: 30_000 });
}

describe('who sees them', () => {
	test('staff of the app, and nobody else', async () => {
		const ann = await licences.person('ann');
		problem(await ann.as.get('/api/v1/admin/figures'), 'denied');
		problem(await licences.http.get('/api/v1/admin/figures'), 'not-authenticated');
		await stack.ctl('user', 'staff', '--app', APP, '--role', 'support', ann.email);
		problem(await ann.as.get('/api/v1/admin/figures'), 'denied');
	});

	test('what is no day, or no range of days, is refused with its name', async () => {
		for (const [query, field] of [['from=yesterday!', 'from'], ['to=2026-02-30', 'to'], ['from=2026-1-1', 'from'], ['from=2026-03-02&to=2026-03-01', 'from'],
			['from=2025-01-01&to=2026-01-02', 'from'], ['to=2026-01-01T00:00:00Z', 'to'], ['to=%27%20OR%2010', 'to']]) {
			const r = await boss.as.get(`/api/v1/admin/figures?${query}`);
			problem(r, 'invalid-body');
			assert.deepEqual(r.json.errors[0].loc, ['query', field], query);
		}
		for (const query of ['from=2025-01-01&to=2026-01-01', 'from=2024-02-29&to=2024-02-29', 'from=9999-12-31&to=9999-12-31', 'from=0001-01-01&to=0001-01-01'])
			assert.deepEqual((await figures(`?${query}`)).figures, [], query);
	});
});

describe('they follow', () => {
	beforeEach(() => sameDay());

	test('a life: signs up, upgrades, changes, gives notice, goes', async () => {
		let u, s;
		const email = `life.${randomBytes(6).toString('hex')}@example.com`;
		assert.deepEqual(await changes(async () => {
			await shop.http.post('/api/v1/auth/register', { email, password: 'Correct-horse-7-battery' });
			u = await until('the account is there', async () => {
				const id = await stack.one(`SELECT id FROM users WHERE email = '${email}'`);
				return id && { id, email };
			});
			const token = (await stack.ctl('token', '--app', APP, email)).trim();
			Object.assign(u, { token, as: shop.http.as(token) });
		}), { signups: 1 });
		assert.deepEqual(await changes(async () => {
			s = await shop.subscribed(u);
		}), { conversions: 1, paying_customers: 1, new_customers: 1, mrr: 2000, arr: 24_000, mrr_new: 2000 });
		assert.ok((await figures()).today.conversions_by_plan.pro >= 1);
		const there = `SELECT count(*) FROM usage_daily d JOIN apps a ON a.id = d.app_id WHERE a.slug = '${APP}' AND d.day = current_date`;
		await until('he is stored to have been there', async () => (await stack.one(`${there} AND d.user_id = '${u.id}'`)) === '1');
		await until('and counted', async () => {
			const [n, { today }] = [await stack.one(there), await figures()];
			return n === (await stack.one(there)) && today.dau === Number(n) && today.mau >= today.dau;
		});
		const yearly = await changes(async () => {
			ok(await u.as.post('/api/v1/billing/change-plan', { price_id: shop.prices.year }));
			await shop.applied();
		});
		assert.deepEqual(yearly, { mrr: -333, arr: -4000, mrr_new: -333 }, 'of a year a twelfth');
		assert.deepEqual(await changes(async () => {
			ok(await u.as.post('/api/v1/billing/cancel-subscription', { at_period_end: true }));
		}), {}, 'until the period ends nothing changes');
		assert.deepEqual(await changes(() => shop.sendAll(stripe.end(s.id))), { paying_customers: -1, churned_customers: 1, mrr: -1667, arr: -20_000, mrr_new: 333, mrr_lost: 2000 });
	});

	test('a team by its seats; debts; a trial; a purchase; an operator’s gift', async () => {
		const owner = await shop.buyer('owner');
		const org = await shop.team(owner);
		let s;
		const money = (x) => Object.fromEntries(['conversions', 'paying_customers', 'past_due', 'trials', 'churned_customers', 'mrr', 'arr', 'mrr_past_due'].filter((k) => k in x).map((k) => [k, x[k]]));
		const of = async (act) => money(await changes(act));
		assert.deepEqual(await of(async () => {
			s = await shop.subscribed(owner, shop.prices.each, { at: org.billing, org, seats: 3 });
		}), { conversions: 1, paying_customers: 1, mrr: 4500, arr: 54_000 });
		assert.deepEqual(await of(async () => ok(await owner.as.post(`${org.billing}/seats`, { seats: 5 }))), { mrr: 3000, arr: 36_000 });
		assert.deepEqual(await of(() => shop.sendAll(stripe.renew(s.id, { paid: false }))), { past_due: 1, mrr_past_due: 7500 });
		assert.deepEqual(await of(() => shop.sendAll(stripe.settle(s.id))), { past_due: -1, mrr_past_due: -7500 });
		const buyer = await shop.buyer();
		assert.deepEqual(await of(async () => {
			await shop.sendAll(stripe.complete(await shop.checkout(buyer, shop.prices.forever)));
			await shop.hasPlan(buyer, 'enterprise');
		}), { conversions: 1 });
		const guest = await shop.buyer();
		assert.deepEqual(await of(() => stack.ctl('grant', 'set', '--app', APP, '--user', guest.email, '--plan', 'pro')), {});
		await shop.apply(stripe.account({ trial_days: 10 }));
		let trial;
		assert.deepEqual(await of(async () => {
			trial = await shop.subscribed(guest);
		}), { trials: 1 });
		assert.deepEqual(await of(() => shop.sendAll(stripe.renew(trial.id))), { conversions: 1, paying_customers: 1, trials: -1, mrr: 2000, arr: 24_000 });
		await shop.apply(stripe.account({}));
	});

	test('programs validate: each time counts, and the licence’s owner was there', async () => {
		const owner = await licences.person('holder');
		const l = await licences.issue({ plan: 'pro', user_id: owner.id });
		const gone = await licences.issue({ plan: 'pro' });
		await licences.change(gone, 'revoke');
		const a = (await figures()).today;
		for (let n = 0; n < 3; n++)
			await check(licences.http, l);
		assert.equal((await check(licences.http, gone)).valid, false);
		const b = await until('what was validated is stored', async () => {
			const { today } = await figures();
			return today.validations - a.validations >= 4 && today;
		}, { within: 20_000 });
		assert.deepEqual([b.validations - a.validations, b.validations_refused - a.validations_refused], [4, 1]);
		await roll();
		assert.equal(await stack.one(`SELECT api_calls FROM usage_daily WHERE user_id = '${owner.id}'`), '0', 'who called nothing else');
	});
});

describe('days are kept', () => {
	beforeEach(() => sameDay());

	test('each that is over, also those that were missed; the same by the command', async () => {
		await stack.rows(`UPDATE apps SET figures_since = current_date - 3 WHERE slug = '${APP}'`);
		await stack.rows(`DELETE FROM figures_daily`);
		await roll();
		const all = await figures();
		assert.deepEqual(all.figures.map((d) => d.day), [day(3), day(2), day(1)]);
		assert.deepEqual([all.today.day, all.today.complete, all.figures[0].complete], [day(), false, true]);
		const kept = await stack.rows(`SELECT f.paying_customers, f.conversions, m.arr FROM figures_daily f JOIN figures_money m USING (app_id, day) JOIN apps a ON a.id = f.app_id WHERE a.slug = '${APP}' AND f.day = current_date AND m.currency = 'usd'`);
		assert.deepEqual(kept, [[String(all.today.paying_customers), String(all.today.conversions), String(usd(all.today).arr)]], 'today is kept as it was shown');
		await stack.rows(`DELETE FROM figures_daily WHERE day = current_date - 2`);
		assert.deepEqual((await figures()).figures.map((d) => d.day), [day(3), day(1)]);
		await roll();
		const range = `?from=${day(2)}&to=${day(1)}`;
		assert.deepEqual((await figures(range)).figures.map((d) => d.day), [day(2), day(1)]);
		// Who was there a moment ago is stored by and by: between two questions, perhaps.
		let shown;
		await until('both say the same', async () => {
			const told = JSON.parse(await stack.ctl('figures', '--app', APP, '--json', '--from', day(2), '--to', day(1)));
			shown = await figures(range);
			assert.deepEqual(told.figures, shown.figures);
			assert.deepEqual({ ...told.today, computed_at: 0 }, { ...shown.today, computed_at: 0 });
			return true;
		});
		const table = await stack.ctl('figures', '--app', APP, '--from', day(1));
		assert.match(table, new RegExp(`^${day(1)} .*\\n(  .*\\n)*${day()}\\* .*\\n  USD mrr ${usd(shown.today).mrr} arr ${usd(shown.today).arr} `, 'm'));
		await assert.rejects(stack.ctl('figures', '--app', APP, '--from', 'soon'), /--from: This must be a day/);
		await assert.rejects(stack.ctl('figures', '--from', day(1)), /Usage: quoinctl figures/);
		await assert.rejects(stack.ctl('figures', '--app', 'none'), /none/);
	});

	test('/metrics shows them, of each app', async () => {
		// As they were counted last: with everybody in them who was there until now.
		const { figures: days, today } = await until('what is counted is what is stored', async () => {
			await roll();
			const now = await figures();
			return String(now.today.mau) === (await stack.one(`SELECT f.mau FROM figures_daily f JOIN apps a ON a.id = f.app_id WHERE a.slug = '${APP}' AND f.day = current_date`)) && now;
		}, { within: 60_000 });
		const text = (await stack.http(APP).get('/metrics')).text;
		const value = (name, labels = '') => Number(new RegExp(`^quoin_business_${name}\\{app="${APP}"${labels}\\} (\\d+)$`, 'm').exec(text)?.[1]);
		assert.deepEqual(['mrr', 'arr'].map((x) => value(x, ',currency="usd"')), [usd(today).mrr, usd(today).arr]);
		assert.deepEqual(['paying_customers', 'trials', 'past_due', 'active_users_month'].map((x) => value(x)), [today.paying_customers, today.trials, today.past_due, today.mau]);
		const whole = days.at(-1);
		assert.deepEqual(['active_users_day', 'signups', 'validations', 'validations_refused', 'conversions', 'churned_customers'].map((x) => value(x)), [whole.dau, whole.signups, whole.validations, whole.validations_refused, whole.conversions, whole.churned_customers]);
		for (const app of ['cue', 'coditect', 'fig-nodes', 'flowscope'])
			assert.match(text, new RegExp(`^quoin_business_paying_customers\\{app="${app}"\\} \\d+$`, 'm'));
	});
});
