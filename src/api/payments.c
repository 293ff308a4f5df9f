/* Cue's way of paying (CONTRACT C11-C14, K12), its texts and keys. */
#include "billing.h"

#include <string.h>

struct once_in {
	const char *product_name, *currency;
	int64_t amount;
};

static const struct qn_field once_fields[] = {
    QN_FIELD(struct once_in, product_name, STR, 0, 0, 250, "Not used: the price says what it is."),
    QN_FIELD(struct once_in, amount, I64, 0, 0, 99999999,
	"Which of the app's own amounts is meant, in the smallest unit. Otherwise its first."),
    QN_FIELD(struct once_in, currency, STR, 0, 0, 3, "Not used: the price says what it is."),
};
static const struct qn_object once_object =
    QN_OBJECT("OneTimePayment", struct once_in, once_fields);

/* The client may say which price of the app it means, never what that is (CONTRACT S). */
static enum qn_err create_checkout(struct qn_request *r)
{
	const struct once_in *in = r->in;
	struct price price;
	struct qn_billing b;

	QN_TRY(billing_open(r, &b));
	QN_TRY(price_once(r->db, r->arena, r->who.app->id, in->amount, &price));
	return billing_checkout(r, &price, QN_I64_NULL);
}

struct start_in {
	const char *price_id;
};

static const struct qn_field start_fields[] = {
    QN_FIELD(struct start_in, price_id, STR, QN_F_REQUIRED, 1, 255,
	"A price of the app: Stripe's id, or its plan and how often."),
};
static const struct qn_object start_object =
    QN_OBJECT("SubscriptionNew", struct start_in, start_fields);

struct started_reply {
	const char *subscription_id, *client_secret;
};

static const struct qn_field started_fields[] = {
    QN_FIELD(struct started_reply, subscription_id, STR, 0, 0, 0, "The subscription at Stripe."),
    QN_FIELD(struct started_reply, client_secret, STR, QN_F_NULLABLE, 0, 0,
	"For Stripe's Payment Element; null: there is nothing to pay."),
};
static const struct qn_object started_object =
    QN_OBJECT("SubscriptionStarted", struct started_reply, started_fields);

static enum qn_err start(struct qn_request *r)
{
	const struct start_in *in = r->in;
	struct started_reply *out = qn_new(r->arena, struct started_reply);
	struct payer p = billing_payer(r);
	struct qn_started started;
	struct qn_billing b;
	struct price price;

	QN_TRY(billing_open(r, &b));
	QN_TRY(price_find(r->db, r->arena, r->who.app->id, in->price_id, &price));
	QN_TRY(billing_end(r, &b, qn_billing_start(&b, &p, &price, &started)));
	*out = (struct started_reply){started.subscription, started.client_secret};
	return qn_reply(r, out);
}

struct status_reply {
	qn_tri has_subscription;
	const char *status, *plan_name, *pending_plan_name;
	int64_t current_period_end, pending_at;
};

static const struct qn_field status_fields[] = {
    QN_FIELD(struct status_reply, has_subscription, BOOL, 0, 0, 0, "Whether there is one."),
    QN_FIELD(struct status_reply, status, STR, 0, 0, 0, "Stripe's word, or none."),
    QN_FIELD(struct status_reply, current_period_end, I64, QN_F_OPTIONAL, 0, 0,
	"When it ends or is renewed: seconds since 1970."),
    QN_FIELD(struct status_reply, plan_name, STR, QN_F_OPTIONAL, 0, 0, "What was bought."),
    QN_FIELD(struct status_reply, pending_plan_name, STR, QN_F_OPTIONAL, 0, 0,
	"What it is to be from pending_at on."),
    QN_FIELD(struct status_reply, pending_at, I64, QN_F_OPTIONAL, 0, 0,
	"When a change begins that was asked for: seconds since 1970."),
};
static const struct qn_object status_object =
    QN_OBJECT("SubscriptionStatus", struct status_reply, status_fields);

static enum qn_err status(struct qn_request *r)
{
	struct status_reply *out = qn_new(r->arena, struct status_reply);
	struct payer p = billing_payer(r);
	struct subscription s;
	enum qn_err e = subscription_current(r->db, r->arena, &p, &s);

	if (e != QN_OK && e != QN_NOT_FOUND)
		return e;
	*out = (struct status_reply){.has_subscription = 0,
	    .status = "none",
	    .current_period_end = QN_I64_NULL,
	    .pending_at = QN_I64_NULL};
	if (e == QN_OK && subscription_is_live(&s)) {
		out->has_subscription = 1;
		out->status = billing_spell(r, s.status);
		out->plan_name = billing_shown(r, s.plan);
		if (s.current_period_end != QN_TIME_NULL)
			out->current_period_end = s.current_period_end / 1000000;
		out->pending_plan_name = billing_shown(r, s.pending_plan);
		if (s.pending_at != QN_TIME_NULL)
			out->pending_at = s.pending_at / 1000000;
	}
	return qn_reply(r, out);
}

static enum qn_err cancel(struct qn_request *r)
{
	static const struct api_message done = {"Subscription will cancel at period end"};
	struct subscription s;
	struct qn_billing b;

	QN_TRY(billing_subscription(r, &s));
	QN_TRY(billing_open(r, &b));
	QN_TRY(
	    billing_note(r, "billing.cancel", s.stripe_subscription_id, (struct qn_span){NULL, 0}));
	QN_TRY(billing_end(r, &b, qn_billing_cancel(&b, &s, QN_ENDS_WITH_PERIOD, billing_once(r))));
	return qn_reply(r, &done);
}

#define ALL "/api/payments"

static const struct qn_route routes[] = {
    {QN_POST, ALL "/create-checkout-session", "payment.checkout",
	"Begin to pay for what is paid for once.", BILLING_SLOW, .flags = QN_R_KEYED,
	.body = &once_object, .body_max = 4096, .reply = &billing_checkout_object,
	.errors = {QN_PRICE, BILLING_ERRORS}, .handler = create_checkout},
    {QN_POST, ALL "/create-subscription", "payment.subscribe",
	"Begin a subscription that a Payment Element pays for.", BILLING_SLOW, .flags = QN_R_UNKEPT,
	.body = &start_object, .body_max = 4096, .reply = &started_object,
	.errors = {QN_PRICE, QN_SUBSCRIBED, BILLING_ERRORS}, .handler = start},
    {QN_GET, ALL "/subscription-status", "payment.status", "Show how the subscription stands.",
	.pool = QN_POOL_API, .auth = QN_AUTH_USER, .reply = &status_object, .handler = status},
    {QN_POST, ALL "/cancel-subscription", "payment.cancel",
	"End the subscription with what is paid for.", BILLING_SLOW, .flags = QN_R_KEYED,
	.reply = &api_message_object,
	.errors = {QN_SUBSCRIPTION_NOT_FOUND, QN_SUBSCRIPTION_OVER, BILLING_ERRORS},
	.handler = cancel},
};
API_TABLE(payment_table, routes);
