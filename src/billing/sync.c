/*
 * The whole state of a customer at Stripe, and the tables made like it (SECURITY T23). It takes four questions;
 * what is older than a hundred of a kind stays as it was stored.
 */
#include "billing.h"

#include <string.h>
#include <time.h>

#include "quoin/auth/outbox.h"
#include "quoin/base/log.h"
#include "quoin/net/form.h"

enum { STATE_BYTES = 8 * 1024 * 1024 };

/* The lists of a customer. Of subscriptions the schedule is wanted, for what is to come; of payments the charge is wanted, for what was refunded; of sessions what was bought. */
static const struct {
	const char *name, *path;
} lists[] = {
    {"subscriptions",
	"/v1/subscriptions?limit=100&status=all&expand%5B0%5D=data.schedule&customer="},
    {"invoices", "/v1/invoices?limit=100&expand%5B0%5D=data.payments&customer="},
    {"sessions", "/v1/checkout/sessions?limit=100&expand%5B0%5D=data.line_items&customer="},
    {"payments", "/v1/payment_intents?limit=100&expand%5B0%5D=data.latest_charge&customer="},
};
enum { LISTS = sizeof(lists) / sizeof(lists[0]) };

static void add_member(struct qn_buf *state, const char *name, struct qn_span list)
{
	qn_buf_printf(state, "%s\"%s\":", state->n > 1 ? "," : "", name);
	qn_buf_add(state, list.p, list.n);
}

static enum qn_err ask_list(struct qn_billing *b, const char *path, struct qn_span *ret)
{
	struct qn_json_object answer;

	QN_TRY(billing_get(b, path, &answer));
	*ret = qn_json_get(&answer, "data");
	return qn_json_kind(*ret) == '[' ? QN_OK : QN_PAYMENT_DOWN;
}

/* Whether the charge of a payment was ever disputed; a dispute that was won is told from others by itself alone. */
static bool was_disputed(struct qn_arena *a, const struct qn_json_object *payment)
{
	struct qn_json_object charge;
	bool disputed = false;

	return qn_stripe_object(a, payment, "latest_charge", &charge) &&
	       qn_json_bool(qn_json_get(&charge, "disputed"), &disputed) && disputed;
}

static enum qn_err add_disputes(struct qn_billing *b, struct qn_span payments, struct qn_buf *state)
{
	struct qn_arena *a = b->stripe.arena;
	struct qn_json_object payment, answer;
	struct qn_span *list = NULL, found, *one;
	size_t n = 0, k, count = 0;

	if (!qn_json_elements(a, payments, &list, &n))
		return QN_PAYMENT_DOWN;
	qn_buf_str(state, ",\"disputes\":[");
	for (size_t i = 0; i < n; i++) {
		const char *id =
		    qn_json_members(a, list[i], &payment) ? qn_stripe_str(a, &payment, "id") : NULL;
		if (id == NULL || !was_disputed(a, &payment))
			continue;
		QN_TRY(billing_get(b,
		    qn_printf(a, "/v1/disputes?limit=10&payment_intent=%s", qn_form_encode(a, id)),
		    &answer));
		found = qn_json_get(&answer, "data");
		if (!qn_json_elements(a, found, &one, &k))
			return QN_PAYMENT_DOWN;
		for (size_t d = 0; d < k; d++) {
			qn_buf_str(state, count++ > 0 ? "," : "");
			qn_buf_add(state, one[d].p, one[d].n);
		}
	}
	qn_buf_char(state, ']');
	return QN_OK;
}

static enum qn_err fetch(struct qn_billing *b, const char *customer, struct qn_buf *state)
{
	struct qn_arena *a = b->stripe.arena;
	const char *who = qn_form_encode(a, customer);
	struct qn_span list = {NULL, 0};

	qn_buf_char(state, '{');
	for (size_t i = 0; i < LISTS; i++) {
		QN_TRY(ask_list(b, qn_printf(a, "%s%s", lists[i].path, who), &list));
		add_member(state, lists[i].name, list);
	}
	QN_TRY(add_disputes(b, list, state));
	qn_buf_char(state, '}');
	return state->over ? QN_PAYMENT_DOWN : QN_OK;
}

/* As in other mail: "21 November 2026, 08:30 UTC". */
static const char *shown_time(struct qn_arena *a, qn_time t)
{
	time_t s = (time_t)(t / 1000000);
	char text[64];
	struct tm tm;

	gmtime_r(&s, &tm);
	strftime(text, sizeof(text), "%d %B %Y, %H:%M UTC", &tm);
	return qn_strdup(a, text[0] == '0' ? text + 1 : text);
}

static enum qn_err queue_mail(struct qn_billing *b, const struct billing_news *n)
{
	struct qn_arena *a = b->stripe.arena;
	struct qn_mail_order order = {.app_id = b->account.app_id,
	    .user_id = n->user_id,
	    .to = n->email,
	    .template = qn_mail_template_by_name(n->template)};

	if (order.template == QN_MAIL__MAX)
		return QN_INTERNAL;
	order.vars.v[QN_MAIL_VAR_PLAN] = n->plan;
	if (qn_mail_template_has(order.template, QN_MAIL_VAR_AMOUNT))
		order.vars.v[QN_MAIL_VAR_AMOUNT] = n->amount;
	if (qn_mail_template_has(order.template, QN_MAIL_VAR_WHEN))
		order.vars.v[QN_MAIL_VAR_WHEN] = n->at != QN_TIME_NULL ? shown_time(a, n->at) : "";
	enum qn_err e = qn_mail_queue(b->stripe.conf, b->db, a, &order, NULL);
	return e == QN_INVALID ? QN_OK : e; /* what is no address gets no mail */
}

static enum qn_err apply(struct qn_billing *b, const char *customer,
    const struct billing_question *q, struct qn_span state)
{
	struct qn_list news;

	QN_TX(tx, b->db);
	QN_TRY(billing_apply(b->db, b->stripe.arena, customer, q, state, &news));
	const struct billing_news *n = news.items;
	for (size_t i = 0; i < news.n; i++)
		QN_TRY(queue_mail(b, &n[i]));
	return qn_tx_commit(&tx);
}

enum qn_err qn_billing_sync(struct qn_billing *b, const char *customer)
{
	struct billing_question q;
	struct qn_buf state;

	enum qn_err e = billing_ask(b->db, b->stripe.arena, customer, &q);
	if (e == QN_NOT_FOUND)
		return QN_OK;
	QN_TRY(e);
	if (strcmp(q.app_id, b->account.app_id) != 0)
		return QN_INTERNAL;
	qn_buf_init(&state, STATE_BYTES);
	e = fetch(b, q.stripe_customer_id, &state);
	if (e == QN_OK)
		e = apply(b, customer, &q, (struct qn_span){state.p, state.n});
	qn_buf_done(&state);
	return e;
}
