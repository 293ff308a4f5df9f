/*
 * What Stripe sends (CONTRACT A23, B19, C15, D31, K1; SECURITY T23): one handler behind four addresses. The event
 * and the job that acts on it are kept in one statement; only then is the answer 200.
 */
#include "api.h"

#include "quoin/base/json.h"
#include "quoin/base/rand.h"
#include "quoin/billing/billing.h"

enum { BODY_BYTES = 256 * 1024, ID_MOST = 255 };

struct event_in {
	const char *id, *type;
	int64_t created;
	struct qn_span data;
};

/* For those who read openapi.json: what is done is decided by `hook`. */
static const struct qn_field event_fields[] = {
    QN_FIELD(struct event_in, id, STR, QN_F_REQUIRED, 1, ID_MOST, "Once."),
    QN_FIELD(struct event_in, type, STR, QN_F_REQUIRED, 1, ID_MOST, "What happened."),
    QN_FIELD(struct event_in, created, I64, QN_F_REQUIRED, 0, INT64_MAX, "Seconds since 1970."),
    QN_FIELD(struct event_in, data, JSON, QN_F_REQUIRED | QN_F_OBJECT, 0, BODY_BYTES, "To what."),
};
static const struct qn_object event_object =
    QN_OBJECT("StripeEvent", struct event_in, event_fields);

struct taken_reply {
	qn_tri success;
	const char *status;
};

static const struct qn_field taken_fields[] = {
    QN_FIELD(struct taken_reply, success, BOOL, 0, 0, 0, "Always true."),
    QN_FIELD(struct taken_reply, status, STR, 0, 0, 0, "Always success."),
};
static const struct qn_object taken_object =
    QN_OBJECT("StripeEventTaken", struct taken_reply, taken_fields);

/* The customer of the object: itself, or whom it names. */
static const char *customer_of(struct qn_arena *a, const struct qn_json_object *o)
{
	const char *kind = qn_stripe_str(a, o, "object");

	return kind != NULL && strcmp(kind, "customer") == 0 ? qn_stripe_str(a, o, "id")
	                                                     : qn_stripe_id(a, o, "customer");
}

static bool fits(const char *s)
{
	return s != NULL && s[0] != '\0' && strlen(s) <= ID_MOST;
}

static enum qn_err read_event(struct qn_request *r, struct billing_event *ret)
{
	struct qn_json_object event, data, o;
	struct qn_arena *a = r->arena;

	if (qn_json_scan(a, r->body, &qn_json_default_limits, &event, NULL) != QN_JSON_OK ||
	    event.members == NULL || !qn_stripe_object(a, &event, "data", &data) ||
	    !qn_stripe_object(a, &data, "object", &o))
		return QN_BAD_PAYLOAD;
	*ret = (struct billing_event){.id = qn_stripe_str(a, &event, "id"),
	    .type = qn_stripe_str(a, &event, "type"),
	    .customer = customer_of(a, &o),
	    .payment = qn_stripe_id(a, &o, "payment_intent")};
	if (!fits(ret->id) || !fits(ret->type) ||
	    !qn_json_i64(qn_json_get(&event, "created"), &ret->created) || ret->created < 0 ||
	    ret->created > INT64_C(99999999999))
		return QN_BAD_PAYLOAD;
	qn_sha256(r->body.p, r->body.n, ret->hash);
	return QN_OK;
}

/* Who cannot sign learns nothing of what a body has to be. */
static enum qn_err hook(struct qn_request *r)
{
	static const struct taken_reply taken = {1, "success"};
	const char *secrets, *app = r->who.app->id;
	struct billing_event event;
	bool is_new;

	QN_TRY(qn_billing_secrets(qn_server_conf(r->server), r->db, r->arena, app, &secrets));
	if (!qn_billing_signed(qn_fcgi_param(r->fcgi, "HTTP_STRIPE_SIGNATURE"), r->body, secrets,
		qn_now() / 1000000))
		return QN_BAD_SIGNATURE;
	QN_TRY(read_event(r, &event));
	QN_TRY(billing_event_take(r->db, r->arena, app, &event, &is_new));
	r->why = is_new ? NULL : "the event was there before";
	return qn_reply(r, &taken);
}

#define HOOK \
	"Take an event of Stripe's.", \
	    .pool = QN_POOL_API, .auth = QN_AUTH_PUBLIC, .rate = QN_RATE_NONE, \
	    .flags = QN_R_APP | QN_R_RAW | QN_R_UNKEPT, .body = &event_object, \
	    .body_max = BODY_BYTES, .reply = &taken_object, \
	    .errors = {QN_BAD_PAYLOAD, QN_BAD_SIGNATURE, QN_BILLING}, .handler = hook

static const struct qn_route routes[] = {
    {QN_POST, "/api/v1/billing/webhook", "stripe.webhook", HOOK},
    {QN_POST, "/api/v1/webhooks/stripe", "stripe.webhook-b", HOOK},
    {QN_POST, "/api/webhooks/stripe", "stripe.webhook-c", HOOK},
    {QN_POST, "/api/v1/billing/webhooks/stripe", "stripe.webhook-d", HOOK},
};
API_TABLE(stripe_table, routes);
