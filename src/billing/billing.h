/* What the files of billing share. */
#ifndef QUOIN_SRC_BILLING_H
#define QUOIN_SRC_BILLING_H

#include "quoin/base/rand.h"
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

/* Ends one at Stripe at once; QN_OK too when it is gone already. */
enum qn_err billing_end_now(struct qn_billing *b, const char *subscription) QN_MUST_CHECK;

/*
 * Where a customer begins to pay for a subscription, one at a time, so that of all that was begun only the last can be
 * paid. Whoever comes to the till with QN_OK leaves it. QN_BUSY: somebody stands there for too long.
 */
struct billing_till {
	const struct billing_customer *customer;
	char who[QN_UUID_LEN + 1];
};
enum qn_err billing_till_come(struct qn_billing *b, const struct billing_customer *customer,
    struct billing_till *ret) QN_MUST_CHECK;
void billing_till_go(struct qn_billing *b, const struct billing_till *t);

/* What is spared when a till is cleared, each NULL for none, and what was found. */
struct billing_begun {
	/* A checkout that stays open, by the Idempotency-Key that made it; a price of what still waits and stays. */
	const char *session_key, *price;
	/* At Stripe: the one that waits; the last subscription of any kind, NULL when there never was one. */
	const char *waiting, *newest;
};
/*
 * Ends at Stripe all that could still be paid for: open checkouts of subscriptions, and subscriptions of ours that wait
 * for their first payment. QN_SUBSCRIBED: one was paid meanwhile.
 */
enum qn_err billing_till_clear(struct qn_billing *b, const struct billing_till *t,
    const struct payer *p, struct billing_begun *begun) QN_MUST_CHECK;

/* Ends what a customer paid for twice, and gives back what was paid for it; *ret_n of them. */
enum qn_err billing_give_back(
    struct qn_billing *b, const char *customer, size_t *ret_n) QN_MUST_CHECK;

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
