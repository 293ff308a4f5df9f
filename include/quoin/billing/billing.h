/*
 * What an app sells through Stripe (CONTRACT A22-A27, C11-C19, D25-D36, E35-E40, K12). Calls that change something
 * at Stripe are followed by a look at the whole customer, so that what an answer says is what is stored. Nothing
 * here is inside a transaction but where it says so: no lock is held while Stripe thinks. Slow and jobs only, but
 * for qn_billing_secrets.
 */
#ifndef QUOIN_BILLING_BILLING_H
#define QUOIN_BILLING_BILLING_H

#include "quoin/net/stripe.h"
#include "quoin/store/billing.h"

/* An app's account at Stripe, opened; lives as long as the arena, which wipes it. */
struct qn_billing {
	struct qn_db *db;
	struct stripe_account account;
	struct qn_stripe stripe;
	const char *why; /* of the last error, for the log; NULL */
};

/* QN_BILLING: the app's file has no account, or it was sealed with another QUOIN_SECRET_KEY. */
enum qn_err qn_billing_open(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const char *app, struct qn_billing *ret) QN_MUST_CHECK;
/* Only the secrets of its webhooks, with spaces between. */
enum qn_err qn_billing_secrets(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const char *app, const char **ret) QN_MUST_CHECK;
/* Seals key and secrets for the account of `in->app_id`, and stores it. */
enum qn_err qn_billing_put(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    struct stripe_account *in, const char *key, const char *secrets) QN_MUST_CHECK;

/* The customer, made at Stripe if need be. However many ask at once, there is one. */
enum qn_err qn_billing_customer(
    struct qn_billing *b, const struct payer *p, struct billing_customer *ret) QN_MUST_CHECK;

/*
 * The rest answers what qn_stripe_call does, and what is named. `key` is the Idempotency-Key that Stripe gets.
 */

struct qn_checkout {
	const struct payer *payer;
	const struct price *price;
	int64_t seats;            /* in all; QN_I64_NULL: those that are included */
	const char *frontend_url; /* without a slash at the end */
	const char *key;
};
/*
 * Where the browser is to go and pay; for a subscription, the only place where that can be done: what was begun before
 * is over. QN_SUBSCRIBED; QN_INVALID: more seats than can be bought; QN_BUSY: others of the customer are at it.
 */
enum qn_err qn_billing_checkout(
    struct qn_billing *b, const struct qn_checkout *c, const char **ret_url) QN_MUST_CHECK;

struct qn_started {
	const char *subscription, *client_secret; /* client_secret NULL: there is nothing to pay */
};
/* Likewise a subscription that a Payment Element pays for (C12); one that still waits for its payment is found. */
enum qn_err qn_billing_start(struct qn_billing *b, const struct payer *p, const struct price *price,
    struct qn_started *ret) QN_MUST_CHECK;

/* Where customers look after it themselves. QN_SUBSCRIPTION_NOT_FOUND: nobody ever went to pay. */
enum qn_err qn_billing_portal(struct qn_billing *b, const struct payer *p, const char *frontend_url,
    const char *key, const char **ret_url) QN_MUST_CHECK;

/* Ends it with the period, at once, or not at all after all. What else was to come does not. */
enum qn_ending { QN_ENDS_WITH_PERIOD, QN_ENDS_NOW, QN_ENDS_NOT };
enum qn_err qn_billing_cancel(struct qn_billing *b, const struct subscription *s,
    enum qn_ending ending, const char *key) QN_MUST_CHECK;

/*
 * Another price, or another number of seats (QN_I64_NULL: as many as are included). More begins at once, and what was
 * paid is set against it; less (a plan of lower rank, a shorter period, fewer seats) begins when what is paid for ends.
 * Either takes the place of what was to come before: asking for what is takes that back. QN_INVALID as above;
 * QN_CONFLICT: there is no next period, as it is cancelled.
 */
enum qn_err qn_billing_change(struct qn_billing *b, const struct subscription *s,
    const struct price *price, int64_t seats, const char *key) QN_MUST_CHECK;

/* Looks at a customer of ours at Stripe, and makes the tables like it; what is to be told is told. */
enum qn_err qn_billing_sync(struct qn_billing *b, const char *customer) QN_MUST_CHECK;

/*
 * The same, and ends what a customer still pays for whose user or organisation is gone, and what was paid for although
 * there was one: that is given back.
 */
enum qn_err qn_billing_look(struct qn_billing *b, const char *customer) QN_MUST_CHECK;

/* Tells Stripe of the use of meters that came on top of what it knows (D28). The first error, after all were tried. */
enum qn_err qn_billing_report(struct qn_billing *b) QN_MUST_CHECK;

/* Whether `header` (Stripe-Signature) signs `body` with one of `secrets`, at most 300 s from `now` (in s). */
bool qn_billing_signed(
    const char *header, struct qn_span body, const char *secrets, int64_t now) QN_MUST_CHECK;

#endif
