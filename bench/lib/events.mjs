// Stripe's events for the webhook intake: each of its own id and signed as Stripe signs, prepared in a file that
// lua/load.lua reads, since wrk cannot sign.
import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { checkpoint, psql } from './seed.mjs';
import { until } from './sh.mjs';
import { CONNECTIONS, wrk } from './wrk.mjs';

const PATH = '/api/v1/billing/webhook';
const SECRET = `whsec_${randomBytes(24).toString('hex')}`;
const PLACE = 'evt_000000000000000000000000'; // where the id goes
const SPARE = 3; // so many times the events that the round before took

// A paid invoice of somebody we do not know: kept, with a job that looks at it, and nobody at Stripe is asked.
function make_event() {
  const at = Math.floor(Date.now() / 1000), customer = 'cus_BenchNobody0', subscription = 'sub_BenchNobody0';
  const line = (i) => ({
    id: `il_BenchLine${i}`, object: 'line_item', amount: 2000, currency: 'usd', description: '1 × Pro (at $20.00 / month)',
    discountable: true, discounts: [], livemode: false, metadata: {}, period: { end: at + 2_592_000, start: at }, quantity: 1,
    pricing: { price_details: { price: `price_Bench${i}`, product: `prod_Bench${i}` }, type: 'price_details', unit_amount_decimal: '2000' },
  });
  return JSON.stringify({
    id: PLACE, object: 'event', api_version: '2025-03-31.basil', created: at,
    data: {
      object: {
        id: 'in_BenchInvoice', object: 'invoice', account_country: 'US', amount_due: 4000, amount_paid: 4000, amount_remaining: 0,
        attempt_count: 1, attempted: true, auto_advance: false, billing_reason: 'subscription_cycle', collection_method: 'charge_automatically',
        created: at, currency: 'usd', customer, customer_email: 'nobody@example.com', lines: { object: 'list', data: [line(1), line(2)], has_more: false },
        parent: { subscription_details: { metadata: {}, subscription }, type: 'subscription_details' }, period_end: at, period_start: at,
        status: 'paid', status_transitions: { finalized_at: at, paid_at: at }, subtotal: 4000, total: 4000,
      },
    },
    livemode: false, pending_webhooks: 1, request: { id: null, idempotency_key: null }, type: 'invoice.paid',
  }, null, 2);
}

const signed = (body, at) => `t=${at},v1=${createHmac('sha256', SECRET).update(`${at}.${body}`).digest('hex')}`;

// The app sells, by an account whose webhooks are signed with our secret.
async function open_shop(stack, dir) {
  const app = JSON.parse(readFileSync(fileURLToPath(new URL(`../../apps/${stack.app}.json`, import.meta.url)), 'utf8'));
  const { optional: _, ...stripe } = app.stripe;
  writeFileSync(`${dir}/shop.json`, JSON.stringify({ ...app, stripe: { ...stripe, secret_key: `sk_test_${randomBytes(16).toString('hex')}`, webhook_secrets: SECRET } }));
  await stack.ctl('app', 'apply', `${dir}/shop.json`);
  await until('the first event is taken', async () => {
    const at = Math.floor(Date.now() / 1000), body = make_event().replace(PLACE, `evt_${randomBytes(12).toString('hex')}`);
    const reply = await fetch(`http://127.0.0.1:${stack.quoin.port}${PATH}`, { method: 'POST', body, headers: { 'stripe-signature': signed(body, at) } });
    return reply.ok;
  });
}

export async function webhook_contender(stack, dir) {
  const { admin, quoin } = stack;
  const [events, body] = [`${dir}/events`, `${dir}/event.json`];
  let most = 3000, prefix; // events a second
  await open_shop(stack, dir);

  // As many as will do, so new that nobody has seen one; what the jobs have not looked at yet does not wait for them.
  async function prepare(seconds) {
    const text = make_event(), at = Math.floor(Date.now() / 1000);
    prefix = `evt_${randomBytes(6).toString('hex')}`;
    writeFileSync(body, text);
    writeFileSync(events, Array.from({ length: SPARE * most * seconds }, (_, i) => {
      const id = prefix + i.toString(16).padStart(12, '0');
      return `${id} ${signed(text.replace(PLACE, id), at)}\n`;
    }).join(''));
    await psql(admin, "DELETE FROM jobs WHERE kind = 'billing.event'");
    await checkpoint(admin);
  }
  return {
    name: 'quoin',
    serving: () => [...quoin.serving(), ...stack.jobs()],
    before: prepare,
    async run(seconds) {
      const r = await wrk(quoin, 'webhook', { seconds, path: PATH, body, events });
      const kept = Number(await psql(admin, `SELECT count(*) FROM billing_events WHERE id LIKE '${prefix}%'`));
      if (kept < r.answered || kept > r.answered + CONNECTIONS) throw new Error(`${r.answered} events were acknowledged and ${kept} kept`);
      most = Math.ceil(r.rps);
      return r;
    },
  };
}
