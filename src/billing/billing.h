/* What the files of billing share. */
#ifndef QUOIN_SRC_BILLING_H
#define QUOIN_SRC_BILLING_H

#include "quoin/billing/billing.h"

/* A key of our own making: the same for the same parts, NULL at the end. In the arena. */
const char *billing_key(struct qn_billing *b, const char *what, ...) __attribute__((sentinel));

/* POST of a form, which is freed. */
enum qn_err billing_post(struct qn_billing *b, const char *path, struct qn_buf *form,
    const char *key, struct qn_json_object *ret) QN_MUST_CHECK;
enum qn_err billing_get(
    struct qn_billing *b, const char *path, struct qn_json_object *ret) QN_MUST_CHECK;

/* Adds name=number. */
void billing_form_i64(struct qn_buf *form, const char *name, int64_t value);

/*
 * How many of the price itself, and how many further seats beside it, `seats` in all are. QN_INVALID: fewer than one,
 * or more than are included where none are sold.
 */
enum qn_err billing_seats(const struct price *price, int64_t seats, int64_t *ret_quantity,
    int64_t *ret_more) QN_MUST_CHECK;

/* A line of a subscription. */
struct billing_line {
	const char *item, *price;
	int64_t quantity; /* QN_I64_NULL: it is paid for by use */
	struct qn_span tax_rates;
};
enum { BILLING_LINES = 20 };

/* A subscription as it is at Stripe at this moment. */
struct billing_now {
	struct qn_span items; /* its lines as they came */
	struct billing_line lines[BILLING_LINES];
	size_t n;
	const char *status;
	int64_t period_end;      /* seconds since 1970, of its first line */
	bool ends;               /* with this period, or at a time that is set */
	const char *schedule_id; /* NULL: it is under none */
	struct qn_json_object schedule;
};
enum qn_err billing_now(
    struct qn_billing *b, const struct subscription *s, struct billing_now *ret) QN_MUST_CHECK;

/* Takes it from under its schedule, if there is one: nothing of it comes any more, what is stays. */
enum qn_err billing_unschedule(struct qn_billing *b, const struct billing_now *now) QN_MUST_CHECK;

/* `quantity` of the price, with `more` seats beside it, from the end of the period on. */
struct billing_next {
	const struct price *price;
	int64_t quantity, more;
};
enum qn_err billing_schedule(struct qn_billing *b, const struct subscription *s,
    const struct billing_now *now, const struct billing_next *next, const char *key) QN_MUST_CHECK;

#endif
