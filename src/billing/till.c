/*
 * Where subscriptions begin. A page of Stripe's stays open for a day, and a Payment Element waits for 23 hours: two
 * tabs, or two admins, could both pay. So whoever begins one ends what was begun before (docs.stripe.com/api/checkout/
 * sessions/expire, docs.stripe.com/api/invoices/void), and nobody else of the customer begins one meanwhile. That is a
 * row that says who is at it, not a lock: nothing is held while Stripe thinks.
 */
#include "billing.h"
#include "quoin/base/clock.h"
#include "quoin/base/log.h"
#include "quoin/net/form.h"

#include <poll.h>
#include <string.h>

enum { WAIT_US = 3000000, PAUSE_MS = 50 };

enum qn_err billing_till_come(
    struct qn_billing *b, const struct billing_customer *customer, struct billing_till *ret)
{
	int64_t until = qn_mono_us() + WAIT_US;
	bool taken = false;

	ret->customer = customer;
	qn_uuid_new(ret->who);
	for (;;) {
		QN_TRY(billing_till_take(b->db, b->stripe.arena, customer->id, ret->who, &taken));
		if (taken)
			return QN_OK;
		if (qn_mono_us() > until)
			return QN_BUSY;
		poll(NULL, 0, PAUSE_MS);
	}
}

void billing_till_go(struct qn_billing *b, const struct billing_till *t)
{
	if (billing_till_leave(b->db, b->stripe.arena, t->customer->id, t->who) != QN_OK)
		qn_log(QN_WARNING, "a till is free in a minute only: %s", qn_db_why(b->db));
}

/* A POST without parameters, of what may be over already: then Stripe refuses, and what it is will be seen. */
static enum qn_err stop(struct qn_billing *b, const char *path)
{
	struct qn_json_object stopped;
	struct qn_buf form;

	qn_buf_init(&form, QN_STRIPE_FORM_BYTES);
	enum qn_err e = billing_post(b, path, &form, billing_key(b, "stop", path, NULL), &stopped);
	return e == QN_PAYMENT_REFUSED || e == QN_NOT_FOUND ? QN_OK : e;
}

/* What ours say of where they come from; NULL: it is none of ours. */
static const char *mark_of(struct qn_arena *a, const struct qn_json_object *o)
{
	struct qn_json_object metadata;

	return qn_stripe_object(a, o, "metadata", &metadata) ? qn_stripe_str(a, &metadata, "quoin")
	                                                     : NULL;
}

static bool is(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static enum qn_err list(struct qn_billing *b, const char *path, const char *customer,
    struct qn_span **ret, size_t *ret_n)
{
	struct qn_arena *a = b->stripe.arena;
	struct qn_json_object answer;

	QN_TRY(billing_get(b, qn_printf(a, "%s%s", path, qn_form_encode(a, customer)), &answer));
	return qn_json_elements(a, qn_json_get(&answer, "data"), ret, ret_n) ? QN_OK
	                                                                     : QN_PAYMENT_DOWN;
}

static enum qn_err expire_sessions(struct qn_billing *b, const char *customer, const char *spared)
{
	struct qn_arena *a = b->stripe.arena;
	struct qn_json_object s;
	struct qn_span *all = NULL;
	size_t n = 0;

	QN_TRY(
	    list(b, "/v1/checkout/sessions?limit=100&status=open&customer=", customer, &all, &n));
	for (size_t i = 0; i < n; i++) {
		const char *id = qn_json_members(a, all[i], &s) ? qn_stripe_str(a, &s, "id") : NULL;
		if (id == NULL || !is(qn_stripe_str(a, &s, "mode"), "subscription") ||
		    is(mark_of(a, &s), spared))
			continue;
		QN_TRY(stop(b, qn_printf(a, "/v1/checkout/sessions/%s/expire", id)));
	}
	return QN_OK;
}

/* Of its first line. */
static const char *price_of(struct qn_arena *a, const struct qn_json_object *s)
{
	struct qn_json_object items, first;
	struct qn_span *lines;
	size_t n;

	if (!qn_stripe_object(a, s, "items", &items) ||
	    !qn_json_elements(a, qn_json_get(&items, "data"), &lines, &n) || n != 1 ||
	    !qn_json_members(a, lines[0], &first))
		return NULL;
	return qn_stripe_id(a, &first, "price");
}

/* The invoice first: it is what can be paid, and one that was paid is not voided. */
static enum qn_err end_waiting(
    struct qn_billing *b, const struct qn_json_object *s, const char *id, bool *ret_live)
{
	struct qn_arena *a = b->stripe.arena;
	const char *invoice = qn_stripe_id(a, s, "latest_invoice");
	struct subscription now = {.status = NULL};
	struct qn_json_object o;

	if (invoice != NULL)
		QN_TRY(stop(b, qn_printf(a, "/v1/invoices/%s/void", invoice)));
	QN_TRY(billing_get(b, qn_printf(a, "/v1/subscriptions/%s", id), &o));
	now.status = qn_stripe_str(a, &o, "status");
	if (is(now.status, "incomplete"))
		return billing_end_now(b, id);
	*ret_live = *ret_live || (now.status != NULL && subscription_is_live(&now));
	return QN_OK;
}

/* For its first payment, or in a trial for the card. */
static bool is_waiting(struct qn_arena *a, const struct qn_json_object *s, const char *status)
{
	return is(status, "incomplete") ||
	       (is(status, "trialing") && qn_stripe_id(a, s, "pending_setup_intent") != NULL);
}

static enum qn_err end_subscriptions(
    struct qn_billing *b, const char *customer, struct billing_begun *begun, bool *ret_live)
{
	struct qn_arena *a = b->stripe.arena;
	struct qn_json_object s;
	struct qn_span *all = NULL;
	size_t n = 0;

	QN_TRY(list(b, "/v1/subscriptions?limit=100&status=all&customer=", customer, &all, &n));
	for (size_t i = 0; i < n; i++) {
		const char *id = qn_json_members(a, all[i], &s) ? qn_stripe_str(a, &s, "id") : NULL;
		struct subscription state = {
		    .status = id != NULL ? qn_stripe_str(a, &s, "status") : NULL};
		if (id == NULL || state.status == NULL)
			return QN_PAYMENT_DOWN;
		if (begun->newest == NULL)
			begun->newest = id;
		if (begun->waiting == NULL && is_waiting(a, &s, state.status) &&
		    is(price_of(a, &s), begun->price))
			begun->waiting = id;
		else if (subscription_is_live(&state))
			*ret_live = true;
		else if (is(state.status, "incomplete") && mark_of(a, &s) != NULL)
			QN_TRY(end_waiting(b, &s, id, ret_live));
	}
	return QN_OK;
}

/* Asked after the pages were closed: what was paid there is seen here, whether or not its event came. */
enum qn_err billing_till_clear(struct qn_billing *b, const struct billing_till *t,
    const struct payer *p, struct billing_begun *begun)
{
	const char *customer = t->customer->stripe_customer_id;
	struct subscription current;
	bool live = false;

	begun->waiting = begun->newest = NULL;
	QN_TRY(expire_sessions(b, customer, begun->session_key));
	QN_TRY(end_subscriptions(b, customer, begun, &live));
	b->why = NULL;
	if (!live)
		return QN_OK;
	QN_TRY(qn_billing_sync(b, t->customer->id));
	enum qn_err e = subscription_current(b->db, b->stripe.arena, p, &current);
	if (e == QN_OK && subscription_is_live(&current))
		return QN_SUBSCRIBED;
	return e == QN_NOT_FOUND ? QN_OK : e;
}
