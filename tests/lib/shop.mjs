// An app that sells through a Stripe of our own: its file with prices and an account, people who buy, and webhooks.
import { randomBytes, randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';

import { Mailbox } from './mailbox.mjs';
import { admitted, ok } from './setup.mjs';
import { StripeDouble } from './stripe.mjs';
import { until } from './wait.mjs';

const limit = (meter, period, max) => ({ meter, period, max });

export class Shop {
	/** `app` is one of the shipped ones; its plans are those below until stop(). */
	static async open(stack, app, { account = {}, legacy = false } = {}) {
		const s = new Shop();
		Object.assign(s, { stack, app, http: stack.http(app), mailbox: new Mailbox(stack) });
		s.stripe = await StripeDouble.start({ legacy });
		s.opened = await stack.one('SELECT clock_timestamp()');
		const price = (amount, interval, more = {}) => ({ stripe: s.stripe.price(amount, interval), interval, amount, currency: 'usd', per: 'plan', ...more });
		const p = { month: price(2000, 'month'), year: price(20_000, 'year'), once: price(2000, 'once'), forever: price(9900, 'once'), team: price(9900, 'month', { seats: 5 }), seat: price(1900, 'month', { per: 'seat' }), each: price(1500, 'month', { per: 'seat' }) };
		s.prices = Object.fromEntries(Object.entries(p).map(([k, v]) => [k, v.stripe]));
		const { tier_case } = stack.appFile(app).dialect;
		const shown = (x) => (tier_case === 'upper' ? x.toUpperCase() : x);
		s.plans = [
			{ code: 'free', shown: shown('free'), rank: 0, prices: [], limits: [], features: [] },
			{ code: 'pro', shown: app === 'cue' ? 'Pro Plan' : shown('pro'), rank: 1, prices: [p.month, p.year, p.once], limits: [], features: ['sync'] },
			{ code: 'team', shown: shown('team'), rank: 2, prices: [p.team, p.seat], limits: [limit('seats', 'none', 5)], features: ['sync'] },
			{ code: 'enterprise', shown: shown('enterprise'), rank: 3, prices: [p.each, p.forever], limits: [], features: ['sync', 'sso'] },
		];
		s.account = account;
		await s.apply(s.stripe.account(account));
		return s;
	}

	/** Loads the app with this account, undefined for none. */
	async apply(account, change = (x) => x) {
		const file = path.join(this.stack.state, `shop-${this.app}-${randomUUID()}.json`);
		const { stripe: _, ...rest } = this.stack.appFile(this.app);
		writeFileSync(file, JSON.stringify(change({ ...rest, plans: this.plans, ...(account ? { stripe: account } : {}) }), null, '\t'));
		await this.stack.ctl('app', 'apply', file);
	}

	async close() {
		await this.stack.ctl('app', 'apply', path.join(this.stack.appsDir, `${this.app}.json`));
		this.http.close();
		await this.stripe.stop();
	}

	/** Somebody new; `as` speaks for them. */
	async buyer(name = 'buyer') {
		const email = `${name}.${randomBytes(6).toString('hex')}@example.com`;
		const id = (await this.stack.ctl('user', 'add', '--app', this.app, email)).split(' ')[0];
		const token = (await this.stack.ctl('token', '--app', this.app, email)).trim();
		return { id, email, token, as: this.http.as(token) };
	}

	async team(owner, more = {}) {
		const { organization } = ok(await owner.as.post('/api/v1/orgs', { name: 'a team', ...more }));
		return { ...organization, billing: `/api/v1/orgs/${organization.id}/billing` };
	}

	async checkout(user, price = this.prices.month, { at = '/api/v1/billing', ...more } = {}) {
		return ok(await admitted(() => user.as.post(`${at}/create-checkout-session`, { price_id: price, ...more }))).checkout_url;
	}

	send(event, options) {
		return this.stripe.send(this.http, event, options);
	}

	async sendAll(events, options) {
		for (const e of events)
			ok(await this.send(e, options));
	}

	/** A subscription that is paid for, and known here. */
	async subscribed(user, price = this.prices.month, { org, ...more } = {}) {
		await this.sendAll(this.stripe.complete(await this.checkout(user, price, more)));
		const customer = org ? await this.customer(org, 'organization_id') : await this.customer(user);
		const [s] = this.stripe.subscriptionsOf(customer).slice(-1);
		await until('the subscription is known', () => this.stack.one(`SELECT 1 FROM subscriptions WHERE stripe_subscription_id = '${s.id}' AND EXISTS (SELECT 1 FROM invoices WHERE stripe_invoice_id = '${s.latest_invoice}')`), { within: 30_000 });
		return s;
	}

	customer(who, column = 'user_id') {
		return this.stack.one(`SELECT stripe_customer_id FROM billing_customers WHERE ${column} = '${who.id}'`);
	}

	plan(who, table = 'users') {
		return this.stack.one(`SELECT plan FROM ${table} WHERE id = '${who.id}'`);
	}

	hasPlan(who, plan, table) {
		return until(`the plan of ${who.email ?? who.name} is ${plan}`, async () => {
			const is = await this.plan(who, table);
			if (is !== plan)
				throw new Error(`it is ${is}`);
			return true;
		}, { within: 30_000 });
	}

	/** All that was sent is applied: to this app since it was opened, for what somebody else left behind may never be. */
	applied(within = 60_000) {
		return until('all events are applied', async () => (await this.stack.one(`SELECT count(*) FROM billing_events e JOIN apps a ON a.id = e.app_id WHERE a.slug = '${this.app}' AND received_at >= '${this.opened}' AND applied_at IS NULL`)) === '0', { within });
	}

	/** Has jobs tell Stripe now what was used, which it does every hour. */
	beginReport() {
		return this.stack.rows("DELETE FROM jobs WHERE kind = 'billing.usage'; INSERT INTO jobs (id, kind, unique_key, max_attempts) VALUES (gen_random_uuid(), 'billing.usage', 'billing.usage', 3)");
	}

	async report() {
		await this.beginReport();
		await until('use was reported', async () => (await this.stack.one("SELECT count(*) FROM jobs WHERE kind = 'billing.usage' AND run_at < date_trunc('hour', now()) + interval '1 hour'")) === '0', { within: 30_000 }); // the next is at the full hour
	}

	/** Subjects of the mail that somebody got, once no mail is on its way. */
	async mails(user) {
		await until('no mail is on its way', async () => (await this.stack.one(`SELECT count(*) FROM mails WHERE to_address = '${user.email}' AND state = 'queued'`)) === '0');
		return this.mailbox.to(user.email).map((m) => m.subject);
	}

	/** What outbound webhooks are told about somebody, in order. */
	async told(user) {
		return (await this.stack.rows(`SELECT type FROM events WHERE user_id = '${user.id}' AND type <> 'user.created' ORDER BY seq`)).map((r) => r[0]);
	}
}
