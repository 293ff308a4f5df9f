// A Stripe of our own on a socket: it holds callers to version, key, form encoding, parameters and idempotency keys as
// Stripe does, keeps what they make, lets the test act as Stripe's customers do, and signs webhooks by the official SDK.
// It answers in the shapes of 2025-03-31.basil, or, with `legacy`, in those from before.
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';

import Stripe from 'stripe';

export const VERSION = '2025-03-31.basil';
const MONTH = 30 * 86_400;
const now = () => Math.floor(Date.now() / 1000);
const id = (prefix) => `${prefix}_${randomBytes(12).toString('hex')}`;

/** "a[b][0][c]=x&a[d]=y" as {a: {b: [{c: 'x'}], d: 'y'}}. */
export function parseForm(text) {
	const out = {};
	for (const [name, value] of new URLSearchParams(text)) {
		const parts = name.replaceAll(']', '').split('[');
		let at = out;
		parts.forEach((part, i) => {
			if (i === parts.length - 1) {
				if (at[part] !== undefined)
					throw new Error(`${name} twice`);
				at[part] = value;
			} else {
				at = at[part] ??= {};
			}
		});
	}
	const lists = (o) => {
		if (typeof o !== 'object')
			return o;
		const keys = Object.keys(o);
		const all = keys.map((k) => lists(o[k]));
		return keys.length > 0 && keys.every((k, i) => k === String(i)) ? all : Object.fromEntries(keys.map((k, i) => [k, all[i]]));
	};
	return lists(out);
}

const any = Symbol('any names');
const page = { limit: 'int', expand: ['string'], starting_after: 'string', ending_before: 'string' };
const PRORATES = ['create_prorations', 'always_invoice', 'none'];
const ENDS = ['cancel', 'none', 'release', 'renew'];
const PHASE = {
	start_date: 'int', end_date: 'int', iterations: 'int', proration_behavior: PRORATES, items: [{ price: 'string', quantity: 'int', tax_rates: ['string'] }],
	discounts: [{ coupon: 'string', discount: 'string', promotion_code: 'string' }], default_tax_rates: ['string'], metadata: any,
};
// What each address takes. A name that is not here is refused, as Stripe does.
const TAKES = {
	'POST /v1/customers': { email: 'string', name: 'string', metadata: any },
	'POST /v1/customers/{id}': { email: 'string', name: 'string', metadata: any },
	'GET /v1/customers': { ...page, email: 'string' },
	'GET /v1/customers/search': { query: 'string', limit: 'int', page: 'string', expand: ['string'] },
	'POST /v1/checkout/sessions': {
		mode: ['payment', 'subscription', 'setup'], customer: 'string', client_reference_id: 'string', payment_method_types: ['string'],
		line_items: [{ price: 'string', quantity: 'int' }], success_url: 'url', cancel_url: 'url', metadata: any, allow_promotion_codes: 'bool',
		subscription_data: { metadata: any, trial_period_days: 'int' },
	},
	'GET /v1/checkout/sessions': { ...page, customer: 'string', payment_intent: 'string', subscription: 'string', status: ['open', 'complete', 'expired'] },
	'POST /v1/checkout/sessions/{id}/expire': { expand: ['string'] },
	'POST /v1/billing_portal/sessions': { customer: 'string', return_url: 'url' },
	'POST /v1/subscriptions': {
		customer: 'string', items: [{ price: 'string', quantity: 'int' }], payment_behavior: ['default_incomplete', 'allow_incomplete', 'error_if_incomplete', 'pending_if_incomplete'],
		payment_settings: { save_default_payment_method: ['on_subscription', 'off'] }, metadata: any, trial_period_days: 'int', expand: ['string'],
	},
	'GET /v1/subscriptions': { ...page, customer: 'string', status: 'string' },
	'GET /v1/subscriptions/{id}': { expand: ['string'] },
	'POST /v1/subscriptions/{id}': {
		cancel_at_period_end: 'bool', items: [{ id: 'string', price: 'string', quantity: 'int', deleted: 'bool' }],
		proration_behavior: PRORATES, metadata: any, expand: ['string'],
	},
	'DELETE /v1/subscriptions/{id}': {},
	'POST /v1/subscription_schedules': { from_subscription: 'string', customer: 'string', phases: [PHASE], end_behavior: ENDS, metadata: any, expand: ['string'] },
	'GET /v1/subscription_schedules/{id}': { expand: ['string'] },
	'POST /v1/subscription_schedules/{id}': { phases: [PHASE], end_behavior: ENDS, proration_behavior: PRORATES, metadata: any, expand: ['string'] },
	'POST /v1/subscription_schedules/{id}/release': { preserve_cancel_date: 'bool', expand: ['string'] },
	'GET /v1/invoices': { ...page, customer: 'string', subscription: 'string', status: 'string' },
	'POST /v1/invoices/{id}/void': { expand: ['string'] },
	'POST /v1/refunds': { payment_intent: 'string', charge: 'string', amount: 'int', reason: ['duplicate', 'fraudulent', 'requested_by_customer'], metadata: any, expand: ['string'] },
	'GET /v1/payment_intents': { ...page, customer: 'string' },
	'GET /v1/disputes': { ...page, payment_intent: 'string', charge: 'string' },
	'POST /v1/billing/meter_events': { event_name: 'string', payload: any, identifier: 'string', timestamp: 'int' },
};

function fault(takes, given, at = '') {
	for (const [name, value] of Object.entries(given)) {
		const want = Array.isArray(takes) ? takes[0] : takes[name];
		const where = at ? `${at}[${name}]` : name;
		if (want === undefined)
			return `Received unknown parameter: ${where}`;
		if (want === any) {
			if (typeof value !== 'object' || Object.values(value).some((v) => typeof v !== 'string'))
				return `${where} must be a hash of strings`;
		} else if (Array.isArray(want) && typeof want[0] === 'string' && want.length > 1) {
			if (!want.includes(value))
				return `Invalid ${where}: must be one of ${want.join(', ')}`;
		} else if (Array.isArray(want)) {
			if (!Array.isArray(value))
				return `Invalid array: ${where}`;
			for (const [i, v] of value.entries()) {
				const f = typeof want[0] === 'object' ? fault(want[0], v, `${where}[${i}]`) : typeof v === 'string' ? undefined : `Invalid string: ${where}[${i}]`;
				if (f)
					return f;
			}
		} else if (typeof want === 'object') {
			const f = typeof value === 'object' ? fault(want, value, where) : `Invalid object: ${where}`;
			if (f)
				return f;
		} else if (typeof value !== 'string' || (want === 'int' && !/^\d+$/.test(value)) || (want === 'bool' && !/^(true|false)$/.test(value)) || (want === 'url' && !/^https?:\/\/\S+$/.test(value))) {
			return `Invalid ${want}: ${where}`;
		}
	}
	return undefined;
}

class Refusal extends Error {
	constructor(status, code, message, type = 'invalid_request_error') {
		super(message);
		Object.assign(this, { status, code, type });
	}
}

export class StripeDouble {
	constructor({ legacy = false } = {}) {
		this.legacy = legacy;
		this.key = `sk_test_${randomBytes(16).toString('hex')}`;
		this.secret = `whsec_${randomBytes(16).toString('hex')}`;
		this.sdk = new Stripe(this.key);
		this.requests = [];
		this.failures = [];
		this.kept = new Map();
		this.held = new Set();
		this.searchable = new Set();
		for (const kind of ['customers', 'prices', 'sessions', 'subscriptions', 'schedules', 'invoices', 'payments', 'charges', 'refunds', 'disputes', 'meterEvents', 'events'])
			this[kind] = new Map();
	}

	static async start(options) {
		const s = new StripeDouble(options);
		s.server = http.createServer((req, res) => s.#serve(req, res));
		await new Promise((resolve, reject) => s.server.once('error', reject).listen(0, '127.0.0.1', resolve));
		s.port = s.server.address().port;
		s.url = `http://127.0.0.1:${s.port}`;
		return s;
	}

	stop() {
		this.server.closeAllConnections();
		return new Promise((resolve) => this.server.close(resolve));
	}

	/** The `stripe` member of an app's file. */
	account(more = {}) {
		return { secret_key: this.key, webhook_secrets: this.secret, api_base: this.url, ...more };
	}

	price(amount, interval = 'month', more = {}) {
		const p = { id: id('price'), object: 'price', unit_amount: amount, currency: 'usd', recurring: interval === 'once' ? null : { interval, interval_count: 1, usage_type: 'licensed' }, ...more };
		this.prices.set(p.id, p);
		return p.id;
	}

	/**
	 * The next `times` requests that match fail so: a status; 'cut' before or 'cut-after' the effect; 'hang-after' it; 'late' is well, but
	 * takes its time; what a function does happens between the effect and its answer.
	 */
	fail(match, how, times = 1, headers = {}) {
		this.failures.push({ match, how, times, headers });
	}

	/** A day has passed: Stripe knows no Idempotency-Key of before. */
	forget() {
		this.kept.clear();
	}

	/** Search has caught up: it knows the customers of now. */
	index() {
		for (const c of this.customers.values())
			this.searchable.add(c.id);
	}

	asked(match) {
		return this.requests.filter((r) => match.test(`${r.method} ${r.path}`));
	}

	#failure(line) {
		const f = this.failures.find((x) => x.times > 0 && x.match.test(line));
		if (f)
			f.times--;
		return f;
	}

	async #serve(req, res) {
		const chunks = [];
		for await (const c of req)
			chunks.push(c);
		const url = new URL(req.url, 'http://stripe.invalid');
		const line = `${req.method} ${url.pathname}`;
		const f = this.#failure(line);
		const reply = async (status, body, headers = {}) => {
			const text = JSON.stringify(body, null, 2);
			if (typeof f?.how === 'function')
				await f.how();
			res.writeHead(status, { 'content-type': 'application/json', 'request-id': id('req'), ...headers });
			res.end(text);
		};
		if (f?.how === 'late')
			await pause(200);
		if (f?.how === 'cut')
			return req.socket.destroy();
		if (typeof f?.how === 'number')
			return reply(f.how, { error: { type: f.how === 429 ? 'rate_limit_error' : 'api_error', message: 'made to fail' } }, f.headers);
		let status = 200;
		let body;
		try {
			body = this.#once(req, url, Buffer.concat(chunks).toString());
		} catch (e) {
			if (!(e instanceof Refusal))
				throw e;
			status = e.status;
			body = { error: { type: e.type, code: e.code, message: e.message } };
		}
		if (f?.how === 'cut-after')
			return req.socket.destroy();
		if (f?.how === 'hang-after') {
			this.held.add(res);
			return undefined;
		}
		return reply(status, body);
	}

	#once(req, url, text) {
		if (req.headers.authorization !== `Bearer ${this.key}`)
			throw new Refusal(401, undefined, 'Invalid API Key provided');
		if (req.headers['stripe-version'] !== VERSION)
			throw new Refusal(400, undefined, `Invalid Stripe API version: ${req.headers['stripe-version']}`);
		if (req.method === 'POST' && req.headers['content-type']?.split(';')[0] !== 'application/x-www-form-urlencoded')
			throw new Refusal(400, undefined, `The content type is ${req.headers['content-type']}`);
		const params = parseForm(req.method === 'POST' ? text : url.search);
		const given = req.headers['idempotency-key'];
		this.requests.push({ method: req.method, path: url.pathname, params, key: given, at: Date.now() });
		if (req.method !== 'POST')
			return this.#answer(req.method, url.pathname, params);
		if (!given || given.length > 255)
			throw new Refusal(400, undefined, 'every POST of ours has an Idempotency-Key');
		const asked = `${url.pathname}\n${text}`;
		const before = this.kept.get(given);
		if (before && before.asked !== asked)
			throw new Refusal(400, undefined, 'Keys for idempotent requests can only be used with the same parameters they were first used with.', 'idempotency_error');
		if (before)
			return before.answer;
		const answer = structuredClone(this.#answer(req.method, url.pathname, params));
		this.kept.set(given, { asked, answer });
		return answer;
	}

	#answer(method, path, params) {
		const parts = path.split('/');
		const plain = TAKES[`${method} ${path}`];
		const shape = plain ? path : [`${parts.slice(0, -1).join('/')}/{id}`, `${parts.slice(0, -2).join('/')}/{id}/${parts.at(-1)}`].find((x) => TAKES[`${method} ${x}`]);
		const takes = TAKES[`${method} ${shape}`];
		if (!takes)
			throw new Refusal(404, undefined, `Unrecognized request URL (${method}: ${path})`);
		const wrong = fault(takes, params);
		if (wrong)
			throw new Refusal(400, 'parameter_unknown', wrong);
		const name = parts[shape.split('/').indexOf('{id}')];
		switch (`${method} ${shape}`) {
		case 'POST /v1/customers': return this.#keep('customers', { id: id('cus'), object: 'customer', created: now(), email: null, name: null, metadata: {}, ...params });
		case 'POST /v1/customers/{id}': return Object.assign(this.#get('customers', name), params);
		case 'GET /v1/customers': return this.#list('customers', params, (c) => !params.email || c.email === params.email);
		case 'GET /v1/customers/search': return this.#search(params);
		case 'POST /v1/checkout/sessions': return this.#session(params);
		case 'GET /v1/checkout/sessions': return this.#list('sessions', params, (s) => !params.status || s.status === params.status);
		case 'POST /v1/checkout/sessions/{id}/expire': return this.#expire(this.#get('sessions', name));
		case 'POST /v1/billing_portal/sessions': return this.#portal(params);
		case 'POST /v1/subscriptions': return this.#shown(this.#subscribe(params.customer, params.items, { waits: true, trial: Number(params.trial_period_days ?? 0), metadata: params.metadata }), params.expand);
		case 'GET /v1/subscriptions': return this.#list('subscriptions', params, (s) => (params.status && params.status !== 'all' ? s.status === params.status : params.status) || !['canceled', 'incomplete_expired'].includes(s.status));
		case 'GET /v1/subscriptions/{id}': return this.#shown(this.#get('subscriptions', name), params.expand);
		case 'POST /v1/subscriptions/{id}': return this.#shown(this.#change(this.#get('subscriptions', name), params), params.expand);
		case 'DELETE /v1/subscriptions/{id}': return this.#shown(this.#end(this.#get('subscriptions', name)), []);
		case 'POST /v1/subscription_schedules': return this.#schedule(params);
		case 'GET /v1/subscription_schedules/{id}': return structuredClone(this.#get('schedules', name));
		case 'POST /v1/subscription_schedules/{id}': return this.#phase(this.#get('schedules', name), params);
		case 'POST /v1/subscription_schedules/{id}/release': return this.#release(this.#get('schedules', name));
		case 'GET /v1/invoices': return this.#list('invoices', params);
		case 'POST /v1/invoices/{id}/void': return this.#shown(this.#void(this.#get('invoices', name)));
		case 'POST /v1/refunds': return this.#refund(params);
		case 'GET /v1/payment_intents': return this.#list('payments', params);
		case 'GET /v1/disputes': return this.#list('disputes', params, (d) => (!params.payment_intent || d.payment_intent === params.payment_intent) && (!params.charge || d.charge === params.charge));
		case 'POST /v1/billing/meter_events': return this.#meter(params);
		default: throw new Refusal(404, undefined, `Unrecognized request URL (${method}: ${path})`);
		}
	}

	#keep(kind, o) {
		this[kind].set(o.id, o);
		return o;
	}

	#get(kind, name) {
		const o = this[kind].get(name);
		if (!o)
			throw new Refusal(404, 'resource_missing', `No such ${kind.slice(0, -1)}: '${name}'`);
		return o;
	}

	/** Newest first, as Stripe lists. */
	#list(kind, params, fits = () => true) {
		const all = [...this[kind].values()].reverse().filter((o) => (!params.customer || o.customer === params.customer) && fits(o));
		const limit = Number(params.limit ?? 10);
		return { object: 'list', url: '/', has_more: all.length > limit, data: all.slice(0, limit).map((o) => this.#shown(o, params.expand?.map((e) => e.replace(/^data\./, '')))) };
	}

	/** Finds what was made before the last index(): "metadata['a']:'b' AND metadata['c']:'d'" is all it knows of Stripe's language. */
	#search({ query, limit }) {
		const clauses = (query ?? '').split(' AND ').map((c) => /^metadata\['(\w+)'\]:'([^']*)'$/.exec(c));
		if (clauses.includes(null))
			throw new Refusal(400, undefined, `We were unable to parse your search query: ${query}`);
		const all = [...this.customers.values()].reverse().filter((o) => this.searchable.has(o.id) && clauses.every(([, k, v]) => o.metadata[k] === v));
		return { object: 'search_result', url: '/v1/customers/search', has_more: false, next_page: null, data: structuredClone(all.slice(0, Number(limit ?? 10))) };
	}

	/** As this version shows it; what is not expanded is an id. */
	#shown(o, expand = []) {
		const x = structuredClone(o);
		if (o.object === 'checkout.session' && !expand.includes('line_items'))
			delete x.line_items;
		if (o.object === 'payment_intent' && expand.includes('latest_charge') && o.latest_charge)
			x.latest_charge = structuredClone(this.charges.get(o.latest_charge));
		if (o.object === 'invoice')
			return this.#shownInvoice(o, expand);
		if (o.object === 'subscription') {
			const invoice = this.invoices.get(o.latest_invoice);
			if (expand.some((e) => e.startsWith('latest_invoice')) && invoice)
				x.latest_invoice = this.#shownInvoice(invoice, ['confirmation_secret']);
			if (o.schedule && expand.includes('schedule'))
				x.schedule = structuredClone(this.schedules.get(o.schedule));
			if (o.pending_setup_intent)
				x.pending_setup_intent = expand.includes('pending_setup_intent') ? { id: o.pending_setup_intent, object: 'setup_intent', client_secret: `${o.pending_setup_intent}_secret_x` } : o.pending_setup_intent;
			if (this.legacy) {
				const [first] = x.items.data;
				Object.assign(x, { current_period_start: first.current_period_start, current_period_end: first.current_period_end });
				for (const i of x.items.data) {
					delete i.current_period_start;
					delete i.current_period_end;
				}
			}
		}
		return x;
	}

	#shownInvoice(i, expand) {
		const { payment, subscription, ...x } = structuredClone(i);
		const secret = payment && `${payment}_secret_x`;
		if (this.legacy)
			return { ...x, subscription, payment_intent: expand.includes('confirmation_secret') && payment ? { id: payment, object: 'payment_intent', client_secret: secret } : payment };
		x.parent = subscription ? { type: 'subscription_details', quote_details: null, subscription_details: { subscription, metadata: {} } } : null;
		if (expand.includes('payments'))
			x.payments = { object: 'list', has_more: false, data: payment ? [{ id: id('inpay'), object: 'invoice_payment', status: i.status === 'paid' ? 'paid' : 'open', payment: { type: 'payment_intent', payment_intent: payment } }] : [] };
		if (expand.includes('confirmation_secret'))
			x.confirmation_secret = payment ? { client_secret: secret, type: 'payment_intent' } : null;
		return x;
	}

	#price(name) {
		const p = this.prices.get(name);
		if (!p)
			throw new Refusal(400, 'resource_missing', `No such price: '${name}'`);
		return p;
	}

	#session(p) {
		for (const must of ['mode', 'success_url', 'line_items'])
			if (!p[must])
				throw new Refusal(400, 'parameter_missing', `Missing required param: ${must}`);
		if (p.customer)
			this.#get('customers', p.customer);
		const prices = p.line_items.map((l) => this.#price(l.price));
		if (prices.some((x) => (x.recurring === null) !== (p.mode === 'payment')))
			throw new Refusal(400, undefined, `You specified \`${p.mode}\` mode but passed a price that does not fit it.`);
		const name = id('cs_test');
		return this.#keep('sessions', {
			id: name, object: 'checkout.session', created: now(), mode: p.mode, customer: p.customer ?? null, client_reference_id: p.client_reference_id ?? null,
			metadata: p.metadata ?? {}, status: 'open', payment_status: 'unpaid', payment_intent: null, subscription: null, currency: 'usd', success_url: p.success_url,
			cancel_url: p.cancel_url ?? null, url: `${this.url}/pay/${name}`, subscription_data: p.subscription_data,
			line_items: { object: 'list', has_more: false, data: p.line_items.map((l, i) => ({ id: id('li'), object: 'item', price: prices[i], quantity: Number(l.quantity ?? 1) })) },
		});
	}

	#expire(s) {
		if (s.status !== 'open')
			throw new Refusal(400, undefined, `Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of \`${s.status}\`.`);
		return this.#shown(Object.assign(s, { status: 'expired', url: null }));
	}

	/** What is void can no more be paid. */
	#void(i) {
		if (!['open', 'uncollectible'].includes(i.status))
			throw new Refusal(400, 'invoice_not_editable', `You can only pass in open or uncollectible invoices. This invoice is ${i.status}.`);
		if (i.payment)
			this.payments.get(i.payment).status = 'canceled';
		return Object.assign(i, { status: 'void' });
	}

	/** The whole charge, or a part; what was given back already is not given back again. */
	#refund(p) {
		const charge = p.charge ?? this.#get('payments', p.payment_intent).latest_charge;
		if (!charge)
			throw new Refusal(400, undefined, 'This PaymentIntent does not have a successful charge to refund.');
		const c = this.#get('charges', charge);
		const amount = Number(p.amount ?? c.amount - c.amount_refunded);
		if (c.disputed)
			throw new Refusal(400, 'charge_disputed', `Charge ${c.id} has been charged back; cannot issue a refund.`);
		if (c.refunded)
			throw new Refusal(400, 'charge_already_refunded', `Charge ${c.id} has already been refunded.`);
		if (amount > c.amount - c.amount_refunded)
			throw new Refusal(400, undefined, `Refund amount (${amount}) is greater than unrefunded amount on charge (${c.amount - c.amount_refunded})`);
		this.refund(c.payment_intent, amount);
		return this.#keep('refunds', { id: id('re'), object: 'refund', amount, charge: c.id, payment_intent: c.payment_intent, currency: c.currency, created: now(), metadata: p.metadata ?? {}, reason: p.reason ?? null, status: 'succeeded' });
	}

	#portal(p) {
		this.#get('customers', p.customer);
		const name = id('bps');
		return { id: name, object: 'billing_portal.session', created: now(), customer: p.customer, return_url: p.return_url, url: `${this.url}/portal/${name}` };
	}

	#item(price, quantity, from, to) {
		return { id: id('si'), object: 'subscription_item', created: now(), price: this.#price(price), quantity: Number(quantity ?? 1), current_period_start: from, current_period_end: to };
	}

	#subscribe(customer, items, { waits = false, trial = 0, metadata = {} } = {}) {
		this.#get('customers', customer);
		const from = now();
		const to = from + (trial ? trial * 86_400 : MONTH);
		const s = this.#keep('subscriptions', {
			id: id('sub'), object: 'subscription', customer, created: from, start_date: from, status: trial ? 'trialing' : waits ? 'incomplete' : 'active', metadata,
			items: { object: 'list', has_more: false, data: items.map((i) => this.#item(i.price, i.quantity, from, to)) },
			cancel_at_period_end: false, cancel_at: null, canceled_at: null, ended_at: null, trial_start: trial ? from : null, trial_end: trial ? to : null,
			latest_invoice: null, schedule: null, discounts: [], pending_setup_intent: trial && waits ? id('seti') : null,
		});
		this.#invoice(s, { paid: !waits || trial > 0, reason: 'subscription_create', free: trial > 0 });
		return s;
	}

	#total(s) {
		return s.items.data.reduce((sum, i) => sum + i.price.unit_amount * i.quantity, 0);
	}

	#invoice(s, { paid, reason, free = false }) {
		const total = free ? 0 : this.#total(s);
		const payment = total ? this.#pay(s.customer, total, paid) : null;
		const i = this.#keep('invoices', {
			id: id('in'), object: 'invoice', customer: s.customer, created: now(), number: `Q-${this.invoices.size + 1}`, currency: 'usd', total, amount_due: total, amount_paid: paid ? total : 0,
			status: paid ? 'paid' : 'open', attempt_count: paid ? 1 : 0, billing_reason: reason, due_date: null, hosted_invoice_url: `${this.url}/i`, invoice_pdf: `${this.url}/i.pdf`,
			status_transitions: { finalized_at: now(), paid_at: paid ? now() : null }, subscription: s.id, payment: payment?.id ?? null,
		});
		s.latest_invoice = i.id;
		return i;
	}

	#pay(customer, amount, succeeded) {
		const p = this.#keep('payments', { id: id('pi'), object: 'payment_intent', customer, created: now(), amount, amount_received: succeeded ? amount : 0, currency: 'usd', status: succeeded ? 'succeeded' : 'requires_payment_method', latest_charge: null, metadata: {} });
		if (succeeded)
			this.#charge(p);
		return p;
	}

	#charge(p) {
		const c = this.#keep('charges', { id: id('ch'), object: 'charge', customer: p.customer, payment_intent: p.id, amount: p.amount, amount_refunded: 0, refunded: false, disputed: false, currency: p.currency, created: now() });
		Object.assign(p, { status: 'succeeded', amount_received: p.amount, latest_charge: c.id });
	}

	#change(s, p) {
		if (s.status === 'canceled')
			throw new Refusal(400, undefined, 'A canceled subscription can only update its cancellation_details and metadata.');
		if (p.cancel_at_period_end !== undefined && s.schedule)
			throw new Refusal(400, undefined, `The subscription is managed by the subscription schedule \`${s.schedule}\`, and updating any cancelation behavior directly is not allowed. Please update the schedule instead.`);
		if (p.cancel_at_period_end !== undefined) {
			s.cancel_at_period_end = p.cancel_at_period_end === 'true';
			s.canceled_at = s.cancel_at_period_end ? now() : null;
			s.cancel_at = s.cancel_at_period_end ? s.items.data[0].current_period_end : null;
		}
		for (const i of p.items ?? []) {
			const old = s.items.data.find((x) => x.id === i.id);
			if (i.id && !old)
				throw new Refusal(400, 'resource_missing', `No such subscription item: '${i.id}'`);
			if (i.deleted === 'true')
				s.items.data.splice(s.items.data.indexOf(old), 1);
			else if (old)
				Object.assign(old, { price: i.price ? this.#price(i.price) : old.price, quantity: i.quantity ? Number(i.quantity) : old.quantity });
			else
				s.items.data.push(this.#item(i.price, i.quantity, s.items.data[0].current_period_start, s.items.data[0].current_period_end));
		}
		return s;
	}

	/** Of the subscription as it is, and of nothing else besides. */
	#schedule(p) {
		const others = Object.keys(p).filter((k) => !['from_subscription', 'expand'].includes(k));
		if (!p.from_subscription || others.length)
			throw new Refusal(400, undefined, `You cannot set \`${others}\` if \`from_subscription\` is set.`);
		const s = this.#get('subscriptions', p.from_subscription);
		if (s.schedule)
			throw new Refusal(400, undefined, `You cannot migrate a subscription that is already attached to a schedule: \`${s.schedule}\`.`);
		if (['canceled', 'incomplete', 'incomplete_expired'].includes(s.status))
			throw new Refusal(400, undefined, `You cannot create a subscription schedule from a subscription that is ${s.status}.`);
		const [{ current_period_start: start_date, current_period_end: end_date }] = s.items.data;
		const o = this.#keep('schedules', {
			id: id('sub_sched'), object: 'subscription_schedule', application: null, canceled_at: null, completed_at: null, created: now(), current_phase: { start_date, end_date },
			customer: s.customer, default_settings: { billing_cycle_anchor: 'automatic', collection_method: 'charge_automatically' }, end_behavior: s.cancel_at_period_end ? 'cancel' : 'release', livemode: false, metadata: {},
			phases: [this.#phased({ start_date, end_date, items: s.items.data.map((i) => ({ price: i.price.id, quantity: i.quantity })), discounts: s.discounts })],
			released_at: null, released_subscription: null, status: 'active', subscription: s.id, test_clock: null,
		});
		s.schedule = o.id;
		return structuredClone(o);
	}

	#phased(p) {
		return {
			add_invoice_items: [], billing_cycle_anchor: null, collection_method: null, currency: 'usd', default_payment_method: null, default_tax_rates: p.default_tax_rates ?? [], description: null, invoice_settings: null, metadata: p.metadata ?? {},
			proration_behavior: p.proration_behavior ?? 'create_prorations', start_date: Number(p.start_date), end_date: Number(p.end_date), trial_end: null,
			discounts: (p.discounts ?? []).map((d) => ({ coupon: null, discount: null, promotion_code: null, ...d })),
			items: p.items.map((i) => ({ billing_thresholds: null, discounts: [], metadata: {}, price: this.#price(i.price).id, plan: i.price, quantity: i.quantity === undefined ? undefined : Number(i.quantity), tax_rates: i.tax_rates ?? [] })),
		};
	}

	/** Other phases: that of now as it is, and what comes one after another. */
	#phase(o, p) {
		if (o.status !== 'active')
			throw new Refusal(400, undefined, `You cannot update a subscription schedule that is in the \`${o.status}\` status.`);
		let from = o.current_phase.start_date;
		const phases = (p.phases ?? []).map((x, i) => {
			if (!x.items?.length)
				throw new Refusal(400, 'parameter_missing', `Missing required param: phases[${i}][items].`);
			if ((x.end_date === undefined) === (x.iterations === undefined))
				throw new Refusal(400, undefined, `You must pass one of phases[${i}][end_date] and phases[${i}][iterations].`);
			if (i === 0 ? Number(x.start_date) !== from : x.start_date !== undefined && Number(x.start_date) !== from)
				throw new Refusal(400, undefined, i === 0 ? 'You can not modify the start date of the current phase.' : 'The start date of a phase must be the end date of the one before.');
			const length = this.#price(x.items[0].price).recurring.interval === 'year' ? 365 * 86_400 : MONTH;
			const made = this.#phased({ ...x, start_date: from, end_date: x.end_date ?? from + Number(x.iterations) * length });
			if (made.end_date <= from)
				throw new Refusal(400, undefined, 'The end date of a phase must be after its start date.');
			from = made.end_date;
			return made;
		});
		const s = this.subscriptions.get(o.subscription);
		const lines = (items) => JSON.stringify(items.map((i) => [i.price.id ?? i.price, i.quantity]));
		if (phases.length && lines(phases[0].items) !== lines(s.items.data))
			throw new Refusal(400, undefined, 'The phase of now was to stay as it is.'); // where Stripe would change it
		if (phases.length)
			Object.assign(o, { phases, current_phase: { start_date: phases[0].start_date, end_date: phases[0].end_date } });
		Object.assign(o, { end_behavior: p.end_behavior ?? o.end_behavior, metadata: { ...o.metadata, ...p.metadata } });
		return structuredClone(o);
	}

	#release(o) {
		if (o.status !== 'active')
			throw new Refusal(400, undefined, `You cannot release a subscription schedule that is currently in the \`${o.status}\` status.`);
		this.subscriptions.get(o.subscription).schedule = null;
		Object.assign(o, { status: 'released', released_at: now(), released_subscription: o.subscription, subscription: null, current_phase: null });
		return structuredClone(o);
	}

	/** A period is over: the next phase, if there is one, says what the subscription is. */
	#next(s) {
		const o = this.schedules.get(s.schedule);
		const [{ current_period_end: at }] = s.items.data;
		if (!o || o.current_phase.end_date > at)
			return;
		const next = o.phases.find((p) => p.start_date === o.current_phase.end_date);
		if (!next)
			return void this.#release(o);
		o.current_phase = { start_date: next.start_date, end_date: next.end_date };
		s.items.data = next.items.map((i) => {
			const same = s.items.data.find((x) => x.price.id === i.price);
			return same ? Object.assign(same, { quantity: i.quantity }) : this.#item(i.price, i.quantity, s.items.data[0].current_period_start, at);
		});
	}

	#end(s) {
		if (['canceled', 'incomplete_expired'].includes(s.status))
			throw new Refusal(404, 'resource_missing', `No such subscription: '${s.id}'`);
		if (s.status === 'incomplete') {
			const i = this.invoices.get(s.latest_invoice);
			if (i.status === 'open')
				this.#void(i);
			return Object.assign(s, { status: 'incomplete_expired', canceled_at: now(), ended_at: now() });
		}
		if (s.schedule)
			Object.assign(this.schedules.get(s.schedule), { status: 'canceled', canceled_at: now(), current_phase: null });
		return Object.assign(s, { status: 'canceled', canceled_at: s.canceled_at ?? now(), ended_at: now() });
	}

	#meter(p) {
		for (const must of ['event_name', 'payload'])
			if (!p[must])
				throw new Refusal(400, 'parameter_missing', `Missing required param: ${must}`);
		if (!p.payload.stripe_customer_id || !/^\d+$/.test(p.payload.value ?? ''))
			throw new Refusal(400, undefined, 'The payload lacks stripe_customer_id or value');
		const identifier = p.identifier ?? id('mev');
		if (this.meterEvents.has(identifier))
			throw new Refusal(400, 'meter_event_duplicate', `An event already exists with identifier ${identifier}`);
		const e = { object: 'billing.meter_event', created: now(), identifier, event_name: p.event_name, payload: p.payload, timestamp: Number(p.timestamp ?? now()) };
		this.meterEvents.set(identifier, e);
		return e;
	}

	// What Stripe's customers do, and time. Each returns the events that Stripe would send of it.

	event(type, object, more = {}) {
		const e = { id: id('evt'), object: 'event', api_version: VERSION, created: now(), livemode: false, pending_webhooks: 1, request: { id: null, idempotency_key: null }, type, data: { object: this.#shown(object) }, ...more };
		this.events.set(e.id, e);
		return e;
	}

	session(url) {
		return this.sessions.get(url.split('/').at(-1));
	}

	/** A customer, and the page of a checkout of theirs, that nobody asked for through the API. */
	join() {
		return this.#keep('customers', { id: id('cus'), object: 'customer', created: now(), email: null, name: null, metadata: {} }).id;
	}

	open(customer, price) {
		return this.#session({ mode: 'subscription', customer, success_url: 'https://example.com', line_items: [{ price, quantity: '1' }] }).url;
	}

	/** The vendor makes a schedule on Stripe's own pages. */
	schedule(subscription, phases) {
		const { id: name } = this.#schedule({ from_subscription: subscription });
		this.#phase(this.schedules.get(name), { phases });
		return this.schedules.get(name);
	}

	/** Pays at the page of a checkout. */
	complete(url, { amount } = {}) {
		const s = this.session(url);
		if (s.status !== 'open')
			throw new Error(`the session is ${s.status}`);
		Object.assign(s, { status: 'complete', payment_status: 'paid' });
		if (s.mode === 'payment') {
			const total = amount ?? s.line_items.data.reduce((sum, l) => sum + l.price.unit_amount * l.quantity, 0);
			if (total === 0) {
				s.payment_status = 'no_payment_required';
				return [this.event('checkout.session.completed', s)];
			}
			const p = this.#pay(s.customer, total, true);
			s.payment_intent = p.id;
			return [this.event('payment_intent.succeeded', p), this.event('checkout.session.completed', s)];
		}
		const sub = this.#subscribe(s.customer, s.line_items.data.map((l) => ({ price: l.price.id, quantity: l.quantity })), { trial: Number(s.subscription_data?.trial_period_days ?? 0), metadata: s.subscription_data?.metadata });
		s.subscription = sub.id;
		return [this.event('checkout.session.completed', s), this.event('customer.subscription.created', sub), this.event('invoice.paid', this.invoices.get(sub.latest_invoice))];
	}

	/** The Payment Element's first payment comes through. */
	confirm(subscription) {
		const s = this.subscriptions.get(subscription);
		const i = this.invoices.get(s.latest_invoice);
		if (s.status !== 'incomplete' || i.status !== 'open')
			throw new Error(`the subscription is ${s.status}, its invoice ${i.status}`);
		s.status = 'active';
		this.#settle(i);
		return [this.event('customer.subscription.updated', s), this.event('invoice.paid', i), this.event('payment_intent.succeeded', this.payments.get(i.payment))];
	}

	#settle(i) {
		this.#charge(this.payments.get(i.payment));
		Object.assign(i, { status: 'paid', amount_paid: i.total, status_transitions: { ...i.status_transitions, paid_at: now() } });
	}

	/** The next period begins, paid or not. */
	renew(subscription, { paid = true } = {}) {
		const s = this.subscriptions.get(subscription);
		this.#next(s);
		for (const i of s.items.data)
			Object.assign(i, { current_period_start: i.current_period_end, current_period_end: i.current_period_end + MONTH });
		const i = this.#invoice(s, { paid, reason: 'subscription_cycle' });
		s.status = paid ? 'active' : 'past_due';
		if (!paid)
			i.attempt_count = 1;
		return [this.event('customer.subscription.updated', s), this.event(paid ? 'invoice.paid' : 'invoice.payment_failed', i)];
	}

	/** Stripe tries once more, and fails again. */
	retry(subscription) {
		const i = this.invoices.get(this.subscriptions.get(subscription).latest_invoice);
		i.attempt_count++;
		return [this.event('invoice.payment_failed', i)];
	}

	/** The debt is paid. */
	settle(subscription) {
		const s = this.subscriptions.get(subscription);
		const i = this.invoices.get(s.latest_invoice);
		this.#settle(i);
		s.status = 'active';
		return [this.event('invoice.paid', i), this.event('customer.subscription.updated', s)];
	}

	/** Ends at Stripe, for whatever reason. */
	end(subscription) {
		return [this.event('customer.subscription.deleted', this.#end(this.subscriptions.get(subscription)))];
	}

	set(subscription, more, type = 'customer.subscription.updated') {
		return [this.event(type, Object.assign(this.subscriptions.get(subscription), more))];
	}

	refund(payment, amount) {
		const c = this.charges.get(this.payments.get(payment).latest_charge);
		c.amount_refunded = Math.min(c.amount, c.amount_refunded + (amount ?? c.amount));
		c.refunded = c.amount_refunded === c.amount;
		return [this.event('charge.refunded', c)];
	}

	dispute(payment, status = 'needs_response') {
		const c = this.charges.get(this.payments.get(payment).latest_charge);
		c.disputed = true;
		let d = [...this.disputes.values()].find((x) => x.charge === c.id);
		const type = !d ? 'charge.dispute.created' : ['won', 'lost'].includes(status) ? 'charge.dispute.closed' : 'charge.dispute.updated';
		d = Object.assign(d ?? this.#keep('disputes', { id: id('dp'), object: 'dispute', charge: c.id, payment_intent: payment, amount: c.amount, created: now() }), { status });
		return [this.event(type, d)];
	}

	/** The payment intents of a customer, oldest first. */
	paymentsOf(customer) {
		return [...this.payments.values()].filter((p) => p.customer === customer);
	}

	subscriptionsOf(customer) {
		return [...this.subscriptions.values()].filter((s) => s.customer === customer);
	}

	/** Stripe-Signature as the official SDK makes it. */
	sign(payload, { secret = this.secret, timestamp } = {}) {
		return this.sdk.webhooks.generateTestHeaderString({ payload, secret, timestamp });
	}

	/** Sends an event as Stripe does. */
	send(client, event, { path = '/api/v1/billing/webhook', payload = JSON.stringify(event, null, 2), header = this.sign(payload), record } = {}) {
		return client.request('POST', path, { body: payload, token: null, record, headers: { 'content-type': 'application/json; charset=utf-8', ...(header ? { 'stripe-signature': header } : {}) } });
	}
}
