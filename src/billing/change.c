#include "billing.h"
#include "quoin/base/log.h"
#include "quoin/net/form.h"

#include <string.h>

/* What was changed stands at Stripe, whatever comes of looking at it: its event, or the next look, brings the rest. */
static void look(struct qn_billing *b, const struct subscription *s)
{
	if (qn_billing_sync(b, s->customer_id) != QN_OK)
		qn_log(QN_WARNING, "a subscription was changed, and is not looked at yet: %s",
		    b->why != NULL ? b->why : qn_db_why(b->db));
	b->why = NULL;
}

static const char *address(struct qn_billing *b, const struct subscription *s)
{
	return qn_printf(b->stripe.arena, "/v1/subscriptions/%s", s->stripe_subscription_id);
}

/* A DELETE, which Stripe does not do twice. */
enum qn_err billing_end_now(struct qn_billing *b, const char *subscription)
{
	struct qn_stripe_ask ask = {
	    "DELETE", qn_printf(b->stripe.arena, "/v1/subscriptions/%s", subscription), NULL, NULL};
	struct qn_json_object ended;
	enum qn_err e = qn_stripe_call(&b->stripe, &ask, &ended, &b->why);

	return e == QN_NOT_FOUND ? QN_OK : e;
}

/*
 * Cancelling wins over a change that was to come: Stripe takes none while the subscription is under a schedule. One that
 * does not end needs nothing to go on.
 */
static enum qn_err end_later(
    struct qn_billing *b, const struct subscription *s, enum qn_ending ending, const char *key)
{
	struct qn_json_object changed;
	struct billing_now now;
	struct qn_buf form;

	QN_TRY(billing_now(b, s, &now));
	if (ending == QN_ENDS_NOT && !now.ends)
		return QN_OK;
	QN_TRY(billing_unschedule(b, &now));
	qn_buf_init(&form, QN_STRIPE_FORM_BYTES);
	qn_form_add(
	    &form, "cancel_at_period_end", ending == QN_ENDS_WITH_PERIOD ? "true" : "false");
	return billing_post(b, address(b, s), &form, key, &changed);
}

enum qn_err qn_billing_cancel(
    struct qn_billing *b, const struct subscription *s, enum qn_ending ending, const char *key)
{
	enum qn_err e = ending == QN_ENDS_NOW ? billing_end_now(b, s->stripe_subscription_id)
	                                      : end_later(b, s, ending, key);

	if (e == QN_OK)
		look(b, s);
	return e;
}

static void add_item(
    struct qn_billing *b, struct qn_buf *form, size_t i, const char *member, const char *value)
{
	qn_form_add(form, qn_printf(b->stripe.arena, "items[%zu][%s]", i, member), value);
}

static void add_quantity(struct qn_billing *b, struct qn_buf *form, size_t i, int64_t quantity)
{
	billing_form_i64(form, qn_printf(b->stripe.arena, "items[%zu][quantity]", i), quantity);
}

/* The line of the plan gets the price, that of further seats their number; other lines of ours go. */
static void add_lines(struct qn_billing *b, struct qn_buf *form, const struct billing_now *now,
    const char *plan_item, const struct billing_next *next)
{
	const char *seat_price = next->price->seat_price;
	bool seats_done = next->more == 0;

	for (size_t i = 0; i < now->n; i++) {
		const struct billing_line *line = &now->lines[i];
		add_item(b, form, i, "id", line->item);
		if (strcmp(line->item, plan_item) == 0) {
			add_item(b, form, i, "price", next->price->price);
			add_quantity(b, form, i, next->quantity);
		} else if (seat_price != NULL && strcmp(line->price, seat_price) == 0 &&
			   !seats_done) {
			add_quantity(b, form, i, next->more);
			seats_done = true;
		} else {
			add_item(b, form, i, "deleted", "true");
		}
	}
	if (!seats_done) {
		add_item(b, form, now->n, "price", seat_price);
		add_quantity(b, form, now->n, next->more);
	}
}

static enum qn_err change_now(struct qn_billing *b, const struct subscription *s,
    const struct billing_now *now, const char *plan_item, const struct billing_next *next,
    const char *key)
{
	struct qn_json_object changed;
	struct qn_buf form;

	QN_TRY(billing_unschedule(b, now));
	qn_buf_init(&form, QN_STRIPE_FORM_BYTES);
	add_lines(b, &form, now, plan_item, next);
	qn_form_add(&form, "proration_behavior", "create_prorations");
	/* Asked again after it was done, the lines are others: that is another call, which changes nothing. */
	key = billing_key(b, "change", key, form.p, NULL);
	return billing_post(b, address(b, s), &form, key, &changed);
}

/* Of a trial, or of one that rests, nothing is paid for that could be lost. */
static bool has_paid_time(const struct billing_now *now)
{
	return strcmp(now->status, "trialing") != 0 && strcmp(now->status, "paused") != 0;
}

enum qn_err qn_billing_change(struct qn_billing *b, const struct subscription *s,
    const struct price *price, int64_t seats, const char *key)
{
	struct billing_next next = {.price = price};
	struct billing_now now;
	const char *plan_item;
	bool later;

	if (strcmp(price->interval, "once") == 0)
		return QN_PRICE;
	QN_TRY(billing_seats(price, seats, &next.quantity, &next.more));
	QN_TRY(billing_now(b, s, &now));
	QN_TRY(subscription_comes_later(b->db, b->stripe.arena, b->account.app_id, now.items,
	    price->price, next.quantity, next.more, &plan_item, &later));
	if (plan_item == NULL)
		return QN_PRICE;
	if (later && has_paid_time(&now) && now.ends)
		return QN_CONFLICT;
	if (later && has_paid_time(&now))
		QN_TRY(billing_schedule(b, s, &now, &next, key));
	else
		QN_TRY(change_now(b, s, &now, plan_item, &next, key));
	look(b, s);
	return QN_OK;
}

/* A schedule of ours that is over, or was only half made, is in the way of others: on Stripe's own pages too. */
static enum qn_err release_idle(struct qn_billing *b, const char *customer, size_t *ret_n)
{
	struct qn_list idle;

	QN_TRY(subscription_idle_schedules(b->db, b->stripe.arena, customer, &idle));
	const struct subscription *s = idle.items;
	for (size_t i = 0; i < idle.n; i++) {
		struct billing_now now = {.schedule_id = s[i].schedule};
		enum qn_err e = billing_unschedule(b, &now);
		if (e != QN_OK && e != QN_PAYMENT_REFUSED) /* which says that it is over */
			return e;
	}
	*ret_n = idle.n;
	return QN_OK;
}

enum qn_err qn_billing_look(struct qn_billing *b, const char *customer)
{
	struct qn_list orphans;
	size_t released, given_back;

	QN_TRY(qn_billing_sync(b, customer));
	QN_TRY(release_idle(b, customer, &released));
	QN_TRY(subscription_orphans(b->db, b->stripe.arena, customer, &orphans));
	const struct subscription *s = orphans.items;
	for (size_t i = 0; i < orphans.n; i++)
		QN_TRY(billing_end_now(b, s[i].stripe_subscription_id));
	QN_TRY(billing_give_back(b, customer, &given_back));
	return orphans.n + released + given_back > 0 ? qn_billing_sync(b, customer) : QN_OK;
}
