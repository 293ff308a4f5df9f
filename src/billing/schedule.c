/*
 * What is to become of a subscription when its period ends: a schedule at Stripe (docs.stripe.com/api/
 * subscription_schedules), made of it as it is and then given two phases: as it is until then, and as it will be. It
 * ends a period later and lets go of the subscription. While there is one, Stripe takes no cancellation.
 */
#include "billing.h"
#include "quoin/base/rand.h"
#include "quoin/net/form.h"

#include <string.h>

static enum qn_err read_line(struct qn_billing *b, struct qn_span text, struct billing_line *ret)
{
	struct qn_arena *a = b->stripe.arena;
	struct qn_json_object item;

	if (!qn_json_members(a, text, &item))
		return QN_PAYMENT_DOWN;
	*ret = (struct billing_line){qn_stripe_str(a, &item, "id"), qn_stripe_id(a, &item, "price"),
	    QN_I64_NULL, qn_json_get(&item, "tax_rates")};
	if (!qn_json_i64(qn_json_get(&item, "quantity"), &ret->quantity))
		ret->quantity = QN_I64_NULL;
	return ret->item != NULL && ret->price != NULL ? QN_OK : QN_PAYMENT_DOWN;
}

/* Periods stood at the top until 2025-03-31, and are with the lines since. */
static bool read_period(struct qn_arena *a, const struct qn_json_object *whole,
    struct qn_span first, struct billing_now *ret)
{
	static const char name[] = "current_period_end";
	struct qn_json_object item;

	return qn_json_i64(qn_json_get(whole, name), &ret->period_end) ||
	       (qn_json_members(a, first, &item) &&
		   qn_json_i64(qn_json_get(&item, name), &ret->period_end));
}

static bool is_ending(const struct qn_json_object *whole)
{
	bool with_period = false;
	int64_t at;

	return (qn_json_bool(qn_json_get(whole, "cancel_at_period_end"), &with_period) &&
		   with_period) ||
	       qn_json_i64(qn_json_get(whole, "cancel_at"), &at);
}

enum qn_err billing_now(struct qn_billing *b, const struct subscription *s, struct billing_now *ret)
{
	struct qn_arena *a = b->stripe.arena;
	struct qn_json_object whole, items;
	struct qn_span *list;

	QN_TRY(billing_get(b,
	    qn_printf(
		a, "/v1/subscriptions/%s?expand%%5B0%%5D=schedule", s->stripe_subscription_id),
	    &whole));
	*ret = (struct billing_now){
	    .status = qn_stripe_str(a, &whole, "status"), .ends = is_ending(&whole)};
	if (!qn_stripe_object(a, &whole, "items", &items))
		return QN_PAYMENT_DOWN;
	ret->items = qn_json_get(&items, "data");
	if (!qn_json_elements(a, ret->items, &list, &ret->n) || ret->n == 0 ||
	    ret->n > BILLING_LINES || ret->status == NULL || !read_period(a, &whole, list[0], ret))
		return QN_PAYMENT_DOWN;
	for (size_t i = 0; i < ret->n; i++)
		QN_TRY(read_line(b, list[i], &ret->lines[i]));
	if (qn_stripe_object(a, &whole, "schedule", &ret->schedule))
		ret->schedule_id = qn_stripe_str(a, &ret->schedule, "id");
	return QN_OK;
}

enum qn_err billing_unschedule(struct qn_billing *b, const struct billing_now *now)
{
	struct qn_json_object released;
	struct qn_buf form;

	if (now->schedule_id == NULL)
		return QN_OK;
	qn_buf_init(&form, QN_STRIPE_FORM_BYTES);
	return billing_post(b,
	    qn_printf(b->stripe.arena, "/v1/subscription_schedules/%s/release", now->schedule_id),
	    &form, billing_key(b, "release", now->schedule_id, NULL), &released);
}

/* Of an active schedule when its phase began, and that phase. */
static bool read_phase(struct qn_arena *a, const struct qn_json_object *schedule,
    int64_t *ret_start, struct qn_json_object *ret)
{
	struct qn_json_object current;
	struct qn_span *list;
	int64_t start;
	size_t n = 0;

	if (!qn_stripe_object(a, schedule, "current_phase", &current) ||
	    !qn_json_i64(qn_json_get(&current, "start_date"), ret_start) ||
	    !qn_json_elements(a, qn_json_get(schedule, "phases"), &list, &n))
		return false;
	for (size_t i = 0; i < n; i++)
		if (qn_json_members(a, list[i], ret) &&
		    qn_json_i64(qn_json_get(ret, "start_date"), &start) && start == *ret_start)
			return true;
	return false;
}

static void add(
    struct qn_billing *b, struct qn_buf *form, int phase, const char *member, const char *value)
{
	qn_form_add(form, qn_printf(b->stripe.arena, "phases[%d]%s", phase, member), value);
}

static void add_i64(
    struct qn_billing *b, struct qn_buf *form, int phase, const char *member, int64_t value)
{
	billing_form_i64(form, qn_printf(b->stripe.arena, "phases[%d]%s", phase, member), value);
}

/* A list of ids, or of objects that have one. */
static void add_ids(
    struct qn_billing *b, struct qn_buf *form, int phase, const char *member, struct qn_span ids)
{
	struct qn_arena *a = b->stripe.arena;
	struct qn_json_object o;
	struct qn_span *list;
	const char *id;
	size_t n = 0;

	if (qn_json_kind(ids) != '[' || !qn_json_elements(a, ids, &list, &n))
		return;
	for (size_t i = 0; i < n; i++)
		if ((qn_json_kind(list[i]) == '{' && qn_json_members(a, list[i], &o) &&
			(id = qn_stripe_str(a, &o, "id")) != NULL) ||
		    qn_json_str(a, list[i], &id, NULL))
			add(b, form, phase, qn_printf(a, "%s[%zu]", member, i), id);
}

/* A phase that names no discounts has none but the customer's own: those of now are named in both. */
static void add_terms(
    struct qn_billing *b, struct qn_buf *form, int phase, const struct qn_json_object *now)
{
	static const char *const kinds[] = {"discount", "promotion_code", "coupon"};
	struct qn_arena *a = b->stripe.arena;
	struct qn_json_object discount;
	struct qn_span *list, all = qn_json_get(now, "discounts");
	const char *id = NULL;
	size_t n = 0;

	add_ids(b, form, phase, "[default_tax_rates]", qn_json_get(now, "default_tax_rates"));
	if (qn_json_kind(all) != '[' || !qn_json_elements(a, all, &list, &n))
		return;
	for (size_t i = 0; i < n; i++, id = NULL)
		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]) && id == NULL; k++)
			if (qn_json_members(a, list[i], &discount) &&
			    (id = qn_stripe_id(a, &discount, kinds[k])) != NULL)
				add(b, form, phase,
				    qn_printf(a, "[discounts][%zu][%s]", i, kinds[k]), id);
}

static void add_item(
    struct qn_billing *b, struct qn_buf *form, int phase, size_t i, const struct billing_line *line)
{
	struct qn_arena *a = b->stripe.arena;

	add(b, form, phase, qn_printf(a, "[items][%zu][price]", i), line->price);
	if (line->quantity != QN_I64_NULL)
		add_i64(b, form, phase, qn_printf(a, "[items][%zu][quantity]", i), line->quantity);
	add_ids(b, form, phase, qn_printf(a, "[items][%zu][tax_rates]", i), line->tax_rates);
}

/* As it is until its period ends, and for a period as it will be. */
static enum qn_err fill(struct qn_billing *b, const struct billing_now *now,
    const struct billing_next *next, const struct qn_json_object *schedule, struct qn_buf *form)
{
	struct billing_line line = {NULL, next->price->price, next->quantity, {NULL, 0}};
	struct qn_json_object phase;
	int64_t start;

	if (!read_phase(b->stripe.arena, schedule, &start, &phase))
		return QN_PAYMENT_DOWN;
	qn_form_add(form, "end_behavior", "release");
	qn_form_add(form, "proration_behavior", "none");
	qn_form_add(form, "metadata[quoin]", "change");
	add_i64(b, form, 0, "[start_date]", start);
	add_i64(b, form, 0, "[end_date]", now->period_end);
	for (size_t i = 0; i < now->n; i++)
		add_item(b, form, 0, i, &now->lines[i]);
	add_terms(b, form, 0, &phase);
	add_item(b, form, 1, 0, &line);
	line = (struct billing_line){NULL, next->price->seat_price, next->more, {NULL, 0}};
	if (next->more > 0)
		add_item(b, form, 1, 1, &line);
	add(b, form, 1, "[iterations]", "1");
	add(b, form, 1, "[proration_behavior]", "none");
	add_terms(b, form, 1, &phase);
	return QN_OK;
}

/*
 * Of it as it is, which takes no other parameters. The key is of this call alone: whether there is one was just asked,
 * and one that Stripe would remember may have been released since.
 */
static enum qn_err begin(
    struct qn_billing *b, const struct subscription *s, struct qn_json_object *ret)
{
	char once[QN_UUID_LEN + 1];
	struct qn_buf form;

	qn_uuid_new(once);
	QN_TRY(subscription_scheduling(b->db, b->stripe.arena, s->subscription_id));
	qn_buf_init(&form, QN_STRIPE_FORM_BYTES);
	qn_form_add(&form, "from_subscription", s->stripe_subscription_id);
	return billing_post(
	    b, "/v1/subscription_schedules", &form, billing_key(b, "schedule", once, NULL), ret);
}

enum qn_err billing_schedule(struct qn_billing *b, const struct subscription *s,
    const struct billing_now *now, const struct billing_next *next, const char *key)
{
	struct qn_json_object schedule = now->schedule, changed;
	const char *id = now->schedule_id;
	struct qn_buf form;

	if (id == NULL) {
		QN_TRY(begin(b, s, &schedule));
		id = qn_stripe_str(b->stripe.arena, &schedule, "id");
	}
	qn_buf_init(&form, QN_STRIPE_FORM_BYTES);
	enum qn_err e = id != NULL ? fill(b, now, next, &schedule, &form) : QN_PAYMENT_DOWN;
	if (e != QN_OK) {
		qn_buf_done(&form);
		return e;
	}
	return billing_post(b, qn_printf(b->stripe.arena, "/v1/subscription_schedules/%s", id),
	    &form, billing_key(b, "phases", key, id, form.p, NULL), &changed);
}
