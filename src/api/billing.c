/*
 * Billing of users and of organizations (CONTRACT A22, A26, A27, B18, B22, D25-D30, E35, K12, K18): the same
 * handlers, for whoever pays on the route.
 */
#include "billing.h"

#include <ctype.h>
#include <string.h>

#include "orgs.h"
#include "quoin/base/rand.h"

struct payer billing_payer(const struct qn_request *r)
{
	return (struct payer){
	    r->who.app->id, r->who.user_id, r->who.org_id[0] != '\0' ? r->who.org_id : NULL};
}

enum qn_err billing_open(struct qn_request *r, struct qn_billing *b)
{
	enum qn_err e =
	    qn_billing_open(qn_server_conf(r->server), r->db, r->arena, r->who.app->id, b);

	r->why = b->why;
	return e;
}

const char *billing_once(struct qn_request *r)
{
	const char *header = qn_fcgi_param(r->fcgi, "HTTP_IDEMPOTENCY_KEY");
	char own[QN_UUID_LEN + 1], hex[2 * QN_SHA256_LEN + 1];
	uint8_t hash[QN_SHA256_LEN];

	if (header == NULL) {
		qn_uuid_new(own);
		header = own;
	}
	const char *text = qn_printf(r->arena, "%s\n%s\n%s\n%s\n%s", r->who.app->id, r->who.user_id,
	    r->who.org_id, r->route->id, header);
	qn_sha256(text, strlen(text), hash);
	qn_hex(hash, sizeof(hash), hex);
	return qn_printf(r->arena, "quoin-request-%s", hex);
}

enum qn_err billing_end(struct qn_request *r, const struct qn_billing *b, enum qn_err e)
{
	if (b->why != NULL)
		r->why = b->why;
	if (e == QN_INVALID)
		qn_fault_add(r, "body", "seats", "There are not so many to be had.", "range");
	return e == QN_NOT_FOUND ? QN_PAYMENT_REFUSED : e;
}

enum qn_err billing_subscription(struct qn_request *r, struct subscription *ret)
{
	struct payer p = billing_payer(r);
	enum qn_err e = subscription_current(r->db, r->arena, &p, ret);

	if (e == QN_NOT_FOUND)
		return QN_SUBSCRIPTION_NOT_FOUND;
	QN_TRY(e);
	return subscription_is_live(ret) ? QN_OK : QN_SUBSCRIPTION_OVER;
}

enum qn_err billing_note(
    struct qn_request *r, const char *action, const char *id, struct qn_span details)
{
	return api_audit(r, &(struct audit_event){.organization = billing_payer(r).org,
				.action = action,
				.resource_type = "subscription",
				.resource_id = id,
				.details = details});
}

const char *billing_spell(struct qn_request *r, const char *state)
{
	char *s = state != NULL ? qn_strdup(r->arena, state) : NULL;

	for (char *p = s; p != NULL && *p != '\0' && r->who.app->tier_upper; p++)
		*p = (char)toupper((unsigned char)*p);
	return s;
}

const char *billing_shown(const struct qn_request *r, const char *plan)
{
	const struct qn_plan *known = plan != NULL ? qn_app_plan(r->who.app, plan) : NULL;

	return known != NULL ? known->shown : plan;
}

static const struct qn_field checkout_fields[] = {
    QN_FIELD(struct billing_checkout_reply, checkout_url, STR, 0, 0, 0,
	"Send the browser there to pay."),
};
const struct qn_object billing_checkout_object =
    QN_OBJECT("Checkout", struct billing_checkout_reply, checkout_fields);

enum qn_err billing_checkout(struct qn_request *r, const struct price *price, int64_t seats)
{
	struct billing_checkout_reply *out = qn_new(r->arena, struct billing_checkout_reply);
	struct payer p = billing_payer(r);
	struct qn_checkout c = {.payer = &p,
	    .price = price,
	    .seats = seats,
	    .frontend_url = r->who.app->frontend_url,
	    .key = billing_once(r)};
	struct qn_billing b;

	QN_TRY(billing_open(r, &b));
	QN_TRY(billing_end(r, &b, qn_billing_checkout(&b, &c, &out->checkout_url)));
	return qn_reply(r, out);
}

struct price_in {
	const char *price_id;
	int64_t seats;
};

static const struct qn_field price_fields[] = {
    QN_FIELD(struct price_in, price_id, STR, QN_F_REQUIRED, 1, 255,
	"A price of the app: Stripe's id, or its plan and how often, as pro_monthly, pro_yearly."),
    QN_FIELD(struct price_in, seats, I64, 0, 1, 100000,
	"Seats in all, where they are sold. Otherwise those that the price includes."),
};
static const struct qn_object price_object =
    QN_OBJECT("PriceChoice", struct price_in, price_fields);

static enum qn_err create_checkout(struct qn_request *r)
{
	const struct price_in *in = r->in;
	struct price price;
	struct qn_billing b;

	QN_TRY(billing_open(r, &b)); /* first: an app without an account has no prices either */
	QN_TRY(price_find(r->db, r->arena, r->who.app->id, in->price_id, &price));
	return billing_checkout(r, &price, in->seats);
}

struct portal_reply {
	const char *portal_url;
};

static const struct qn_field portal_fields[] = {
    QN_FIELD(struct portal_reply, portal_url, STR, 0, 0, 0,
	"Send the browser there to see invoices, change the card, or cancel."),
};
static const struct qn_object portal_object =
    QN_OBJECT("Portal", struct portal_reply, portal_fields);

static enum qn_err portal(struct qn_request *r)
{
	struct portal_reply *out = qn_new(r->arena, struct portal_reply);
	struct payer p = billing_payer(r);
	struct qn_billing b;

	QN_TRY(billing_open(r, &b));
	QN_TRY(billing_end(r, &b,
	    qn_billing_portal(
		&b, &p, r->who.app->frontend_url, billing_once(r), &out->portal_url)));
	return qn_reply(r, out);
}

struct subscription_reply {
	const struct subscription *subscription;
};

static const struct qn_field subscription_fields[] = {
    QN_FIELD_SUB(struct subscription_reply, subscription, OBJ, QN_F_NULLABLE, &subscription_object,
	"The one that counts, or the last one; null: there never was any."),
};
static const struct qn_object subscription_reply_object =
    QN_OBJECT("SubscriptionReply", struct subscription_reply, subscription_fields);

static enum qn_err get_subscription(struct qn_request *r)
{
	struct subscription_reply *out = qn_new(r->arena, struct subscription_reply);
	struct subscription *s = qn_new(r->arena, struct subscription);
	struct payer p = billing_payer(r);
	enum qn_err e = subscription_current(r->db, r->arena, &p, s);

	if (e != QN_OK && e != QN_NOT_FOUND)
		return e;
	if (e == QN_OK) {
		s->status = billing_spell(r, s->status);
		s->tier = billing_shown(r, s->plan);
		s->pending_tier = billing_shown(r, s->pending_plan);
		if (s->user_id != NULL)
			s->user_id = qn_printf(r->arena, "%s%s", r->who.app->id_prefix, s->user_id);
		out->subscription = s;
	}
	return qn_reply(r, out);
}

struct invoices_query {
	int64_t limit;
};

static const struct qn_field invoices_query_fields[] = {
    QN_FIELD_DEF(struct invoices_query, limit, I64, 0, 1, 100, "100", "How many."),
};
static const struct qn_object invoices_query_object =
    QN_OBJECT("InvoicesQuery", struct invoices_query, invoices_query_fields);

struct invoices_reply {
	struct qn_list invoices;
};

static const struct qn_field invoices_fields[] = {
    QN_FIELD_SUB(struct invoices_reply, invoices, LIST, 0, &invoice_object, "Newest first."),
};
static const struct qn_object invoices_object =
    QN_OBJECT("InvoiceList", struct invoices_reply, invoices_fields);

static enum qn_err list_invoices(struct qn_request *r)
{
	const struct invoices_query *q = r->query;
	struct invoices_reply *out = qn_new(r->arena, struct invoices_reply);
	struct payer p = billing_payer(r);

	QN_TRY(invoice_list(r->db, r->arena, &p, q->limit, &out->invoices));
	struct invoice *i = (struct invoice *)(uintptr_t)out->invoices.items;
	for (size_t k = 0; k < out->invoices.n; k++) {
		i[k].status = billing_spell(r, i[k].status);
		i[k].currency = billing_spell(r, i[k].currency);
	}
	return qn_reply(r, out);
}

/* The subscription as it is after what was done to it. */
static enum qn_err change(struct qn_request *r, const char *price_id, int64_t seats)
{
	struct subscription s;
	struct qn_billing b;
	struct price price;

	QN_TRY(billing_subscription(r, &s));
	if (price_id == NULL)
		price_id = s.price_id;
	QN_TRY(
	    price_find(r->db, r->arena, r->who.app->id, price_id != NULL ? price_id : "", &price));
	QN_TRY(billing_open(r, &b));
	QN_TRY(billing_note(r, "billing.change-plan", s.stripe_subscription_id,
	    api_details(r, "price", price.price, "plan", price.plan, "was", s.plan, NULL)));
	QN_TRY(billing_end(r, &b, qn_billing_change(&b, &s, &price, seats, billing_once(r))));
	return get_subscription(r);
}

static enum qn_err change_plan(struct qn_request *r)
{
	const struct price_in *in = r->in;

	return change(r, in->price_id, in->seats);
}

struct seats_in {
	int64_t seats;
};

static const struct qn_field seats_fields[] = {
    QN_FIELD(struct seats_in, seats, I64, QN_F_REQUIRED, 1, 100000, "Seats in all."),
};
static const struct qn_object seats_object =
    QN_OBJECT("SeatsChange", struct seats_in, seats_fields);

/* Not below the members that there are: whom it would put out is not ours to choose. */
static enum qn_err change_seats(struct qn_request *r)
{
	const struct seats_in *in = r->in;

	return change(r, NULL, in->seats);
}

static enum qn_err end(struct qn_request *r, enum qn_ending ending, const char *action)
{
	struct subscription s;
	struct qn_billing b;

	QN_TRY(billing_subscription(r, &s));
	QN_TRY(billing_open(r, &b));
	QN_TRY(billing_note(r, action, s.stripe_subscription_id, (struct qn_span){NULL, 0}));
	return billing_end(r, &b, qn_billing_cancel(&b, &s, ending, billing_once(r)));
}

struct cancel_in {
	qn_tri at_period_end;
};

static const struct qn_field cancel_fields[] = {
    QN_FIELD_DEF(struct cancel_in, at_period_end, BOOL, 0, 0, 0, "true",
	"Whether it ends with what is paid for; false: at once, and nothing is paid back."),
};
static const struct qn_object cancel_object =
    QN_OBJECT("SubscriptionCancel", struct cancel_in, cancel_fields);

static enum qn_err cancel(struct qn_request *r)
{
	const struct cancel_in *in = r->in;

	QN_TRY(
	    end(r, in->at_period_end == 0 ? QN_ENDS_NOW : QN_ENDS_WITH_PERIOD, "billing.cancel"));
	return get_subscription(r);
}

static enum qn_err resume(struct qn_request *r)
{
	QN_TRY(end(r, QN_ENDS_NOT, "billing.resume"));
	return get_subscription(r);
}

#define USER_API .pool = QN_POOL_API, .auth = QN_AUTH_USER
#define ALL      "/api/v1/billing"
#define OF_ORG   "/api/v1/orgs/{org_id}/billing"
#define CHECKOUT \
	.flags = QN_R_QUERY_BODY | QN_R_KEYED, .body = &price_object, .body_max = 4096, \
	.reply = &billing_checkout_object, .errors = {QN_PRICE, QN_SUBSCRIBED, BILLING_ERRORS}, \
	.handler = create_checkout
#define CHANGED QN_SUBSCRIPTION_NOT_FOUND, QN_SUBSCRIPTION_OVER, BILLING_ERRORS

static const struct qn_route routes[] = {
    {QN_POST, ALL "/create-checkout-session", "billing.checkout",
	"Begin to pay for a price of the app.", BILLING_SLOW, CHECKOUT},
    {QN_GET, ALL "/portal", "billing.portal", "Look after payments on Stripe's own pages.",
	BILLING_SLOW, .reply = &portal_object,
	.errors = {QN_SUBSCRIPTION_NOT_FOUND, BILLING_ERRORS}, .handler = portal},
    {QN_GET, ALL "/subscription", "billing.subscription", "Show the caller's subscription.",
	USER_API, .reply = &subscription_reply_object, .handler = get_subscription},
    {QN_GET, ALL "/invoices", "billing.invoices", "List the caller's invoices.", USER_API,
	.query = &invoices_query_object, .reply = &invoices_object, .handler = list_invoices},
    {QN_POST, ALL "/change-plan", "billing.change-plan",
	"Go on with another price: at once for more, with the end of the period for less.",
	BILLING_SLOW, .flags = QN_R_KEYED, .body = &price_object, .body_max = 4096,
	.reply = &subscription_reply_object, .errors = {QN_PRICE, QN_CONFLICT, CHANGED},
	.handler = change_plan},
    {QN_POST, ALL "/cancel-subscription", "billing.cancel", "End the subscription.", BILLING_SLOW,
	.flags = QN_R_KEYED, .body = &cancel_object, .body_max = 1024,
	.reply = &subscription_reply_object, .errors = {CHANGED}, .handler = cancel},
    {QN_POST, ALL "/resume-subscription", "billing.resume",
	"Let the subscription go on that was to end with its period.", BILLING_SLOW,
	.flags = QN_R_KEYED, .reply = &subscription_reply_object, .errors = {CHANGED},
	.handler = resume},

    {QN_POST, OF_ORG "/create-checkout-session", "org.billing-checkout",
	"Begin to pay for a price of the app, for an organization.", BILLING_ORG, CHECKOUT},
    {QN_POST, OF_ORG "/portal", "org.billing-portal",
	"Look after an organization's payments on Stripe's own pages.", BILLING_ORG,
	.flags = QN_R_KEYED, .reply = &portal_object,
	.errors = {QN_SUBSCRIPTION_NOT_FOUND, BILLING_ERRORS}, .handler = portal},
    {QN_GET, OF_ORG "/subscription", "org.billing-subscription",
	"Show an organization's subscription.", ORG(QN_ROLE_ADMIN),
	.reply = &subscription_reply_object, .handler = get_subscription},
    {QN_GET, OF_ORG "/invoices", "org.billing-invoices", "List an organization's invoices.",
	ORG(QN_ROLE_ADMIN), .query = &invoices_query_object, .reply = &invoices_object,
	.handler = list_invoices},
    {QN_POST, OF_ORG "/change-plan", "org.billing-change-plan",
	"Go on with another price: at once for more, with the end of the period for less.",
	BILLING_ORG, .flags = QN_R_KEYED, .body = &price_object, .body_max = 4096,
	.reply = &subscription_reply_object, .errors = {QN_PRICE, QN_CONFLICT, CHANGED},
	.handler = change_plan},
    {QN_POST, OF_ORG "/seats", "org.billing-seats",
	"Have more seats at once, or fewer from the next period on.", BILLING_ORG,
	.flags = QN_R_KEYED, .body = &seats_object, .body_max = 1024,
	.reply = &subscription_reply_object, .errors = {QN_PRICE, QN_CONFLICT, CHANGED},
	.handler = change_seats},
    {QN_POST, OF_ORG "/cancel-subscription", "org.billing-cancel",
	"End an organization's subscription.", BILLING_ORG, .flags = QN_R_KEYED,
	.body = &cancel_object, .body_max = 1024, .reply = &subscription_reply_object,
	.errors = {CHANGED}, .handler = cancel},
    {QN_POST, OF_ORG "/resume-subscription", "org.billing-resume",
	"Let an organization's subscription go on that was to end with its period.", BILLING_ORG,
	.flags = QN_R_KEYED, .reply = &subscription_reply_object, .errors = {CHANGED},
	.handler = resume},
};
API_TABLE(billing_table, routes);
