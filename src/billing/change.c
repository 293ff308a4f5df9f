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

/* Ending it at once is a DELETE, which Stripe does not do twice: what is gone already is a success. */
static enum qn_err end_now(struct qn_billing *b, const struct subscription *s)
{
	struct qn_stripe_ask ask = {"DELETE", address(b, s), NULL, NULL};
	struct qn_json_object ended;
	enum qn_err e = qn_stripe_call(&b->stripe, &ask, &ended, &b->why);

	return e == QN_NOT_FOUND ? QN_OK : e;
}

enum qn_err qn_billing_cancel(
    struct qn_billing *b, const struct subscription *s, enum qn_ending ending, const char *key)
{
	struct qn_json_object changed;
	struct qn_buf form;
	enum qn_err e;

	if (ending == QN_ENDS_NOW) {
		e = end_now(b, s);
	} else {
		qn_buf_init(&form, QN_STRIPE_FORM_BYTES);
		qn_form_add(&form, "cancel_at_period_end",
		    ending == QN_ENDS_WITH_PERIOD ? "true" : "false");
		e = billing_post(b, address(b, s), &form, key, &changed);
	}
	if (e == QN_OK)
		look(b, s);
	return e;
}

/* A line of the subscription as Stripe has it now. */
struct line {
	const char *item, *price;
	bool of_seats; /* it is the new plan's, or the old one's, price of further seats */
};
enum { LINES = 20 };

static enum qn_err read_lines(struct qn_billing *b, const struct subscription *s,
    const char *seat_price, struct line *out, size_t *ret_n)
{
	struct qn_arena *a = b->stripe.arena;
	struct qn_json_object whole, items, item;
	struct qn_span *list;
	size_t n = 0;

	QN_TRY(billing_get(b, address(b, s), &whole));
	if (!qn_stripe_object(a, &whole, "items", &items) ||
	    !qn_json_elements(a, qn_json_get(&items, "data"), &list, &n) || n > LINES)
		return QN_PAYMENT_DOWN;
	for (size_t i = 0; i < n; i++) {
		if (!qn_json_members(a, list[i], &item))
			return QN_PAYMENT_DOWN;
		out[i].item = qn_stripe_str(a, &item, "id");
		out[i].price = qn_stripe_id(a, &item, "price");
		if (out[i].item == NULL || out[i].price == NULL)
			return QN_PAYMENT_DOWN;
		out[i].of_seats = seat_price != NULL && strcmp(out[i].price, seat_price) == 0;
	}
	*ret_n = n;
	return QN_OK;
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
static void add_lines(struct qn_billing *b, struct qn_buf *form, const struct subscription *s,
    const struct price *price, const struct line *lines, size_t n, int64_t quantity, int64_t more)
{
	bool seats_done = more == 0;

	for (size_t i = 0; i < n; i++) {
		add_item(b, form, i, "id", lines[i].item);
		if (strcmp(lines[i].item, s->item) == 0) {
			add_item(b, form, i, "price", price->price);
			add_quantity(b, form, i, quantity);
		} else if (lines[i].of_seats && !seats_done) {
			add_quantity(b, form, i, more);
			seats_done = true;
		} else {
			add_item(b, form, i, "deleted", "true");
		}
	}
	if (!seats_done) {
		add_item(b, form, n, "price", price->seat_price);
		add_quantity(b, form, n, more);
	}
}

enum qn_err qn_billing_change(struct qn_billing *b, const struct subscription *s,
    const struct price *price, int64_t seats, const char *key)
{
	struct qn_json_object changed;
	struct line lines[LINES];
	int64_t quantity, more;
	struct qn_buf form;
	size_t n;

	if (strcmp(price->interval, "once") == 0 || s->item == NULL)
		return QN_PRICE;
	QN_TRY(billing_seats(price, seats, &quantity, &more));
	QN_TRY(read_lines(b, s, price->seat_price, lines, &n));
	qn_buf_init(&form, QN_STRIPE_FORM_BYTES);
	add_lines(b, &form, s, price, lines, n, quantity, more);
	qn_form_add(&form, "proration_behavior", "create_prorations");
	/* Asked again after it was done, the lines are others: that is another call, which changes nothing. */
	key = billing_key(b, "change", key, form.p, NULL);
	QN_TRY(billing_post(b, address(b, s), &form, key, &changed));
	look(b, s);
	return QN_OK;
}

enum qn_err qn_billing_look(struct qn_billing *b, const char *customer)
{
	struct qn_list orphans;

	QN_TRY(qn_billing_sync(b, customer));
	QN_TRY(subscription_orphans(b->db, b->stripe.arena, customer, &orphans));
	const struct subscription *s = orphans.items;
	for (size_t i = 0; i < orphans.n; i++)
		QN_TRY(end_now(b, &s[i]));
	return orphans.n > 0 ? qn_billing_sync(b, customer) : QN_OK;
}
