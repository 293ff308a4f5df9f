// Lives of subscriptions, each of five events, and what is left of one in the tables however its events came.
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';

import { until } from './wait.mjs';

export const random = (n) => Math.floor(Math.random() * n);

/** Each at least once, some again, the first times in this order. */
export function withRepetition(events) {
	const all = [...events];
	for (let i = random(4); i > 0; i--)
		all.splice(random(all.length + 1), 0, events[random(events.length)]);
	return all;
}

export class Lives {
	constructor(shop) {
		this.shop = shop;
	}

	/** Users whom Stripe knows. */
	async people(n) {
		const { stack, stripe, app: slug } = this.shop;
		const made = Array.from({ length: n }, () => {
			const customer = stripe.join();
			return { id: randomUUID(), customer, email: `life.${randomBytes(6).toString('hex')}@example.com` };
		});
		const app = `(SELECT id FROM apps WHERE slug = '${slug}')`;
		await stack.rows(`INSERT INTO users (id, app_id, email, email_verified) VALUES ${made.map((u) => `('${u.id}', ${app}, '${u.email}', true)`)};
			INSERT INTO billing_customers (id, app_id, user_id, stripe_customer_id) VALUES ${made.map((u) => `('${randomUUID()}', ${app}, '${u.id}', '${u.customer}')`)}`);
		return made;
	}

	/** The five events, as five steps that happen at Stripe. */
	of(u) {
		const { stripe, prices } = this.shop;
		const url = stripe.open(u.customer, prices.month);
		return [
			() => {
				const [done, created, paid] = stripe.complete(url);
				u.later = [created, paid];
				return done;
			},
			() => u.later[0],
			() => u.later[1],
			() => stripe.set(stripe.session(url).subscription, { cancel_at_period_end: true })[0],
			() => stripe.end(stripe.session(url).subscription)[0],
		];
	}

	/** What is left of each life, to the row, once all events are applied. */
	async ends(users) {
		await this.shop.applied(120_000);
		return this.shop.stack.rows(`SELECT u.plan, s.status, s.cancel_at_period_end, s.plan,
				(SELECT count(*) FROM grants g WHERE g.user_id = u.id), (SELECT string_agg(i.status || i.amount_cents, ',') FROM invoices i WHERE i.customer_id = c.id),
				(SELECT string_agg(p.amount || coalesce(p.plan, '-'), ',') FROM payments p WHERE p.customer_id = c.id),
				(SELECT string_agg(m.template, ',' ORDER BY m.template) FROM mails m WHERE m.user_id = u.id),
				(SELECT string_agg(n.kind, ',' ORDER BY n.kind) FROM billing_notices n WHERE n.customer_id = c.id),
				(SELECT string_agg(e.type, ',' ORDER BY e.type) FROM events e WHERE e.user_id = u.id AND e.type IN ('subscription.created', 'subscription.deleted', 'invoice.paid', 'invoice.payment_failed')),
				(SELECT count(*) FROM audit_logs a WHERE a.user_id = u.id AND a.action IN ('billing.subscription.created', 'billing.subscription.deleted', 'billing.invoice.paid')), count(*)
			FROM users u JOIN billing_customers c ON c.user_id = u.id LEFT JOIN subscriptions s ON s.customer_id = c.id WHERE u.id IN (${users.map((u) => `'${u.id}'`)}) GROUP BY u.id, c.id, s.id`);
	}

	async sameEnd(users) {
		const { stack, mailbox } = this.shop;
		const ends = await this.ends(users);
		assert.equal(ends.length, users.length, 'each has one subscription');
		for (const e of ends)
			assert.deepEqual(e, Lives.END);
		// One whose worker was killed comes again after its lease, a minute.
		await until('all mail is out', async () => (await stack.one(`SELECT count(*) FROM mails WHERE user_id IN (${users.map((u) => `'${u.id}'`)}) AND state <> 'sent'`)) === '0', { within: 120_000 });
		const mails = users.map((u) => mailbox.to(u.email).map((m) => m.subject).sort().join());
		assert.deepEqual([...new Set(mails)], ['Cue: your payment of 20.00 USD,Cue: your subscription has ended']);
	}
}

/** A row of ends(): every effect once. */
Lives.END = ['free', 'canceled', 't', 'pro', '0', 'paid2000', '2000-', 'receipt,subscription-ended', 'receipt,subscription-ended', 'invoice.paid,subscription.created,subscription.deleted', '3', '1'];
