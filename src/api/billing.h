/* What the routes about money share. */
#ifndef QUOIN_API_BILLING_H
#define QUOIN_API_BILLING_H

#include "api.h"
#include "quoin/billing/billing.h"

/* Who pays on this route: its organization, else the caller. */
struct payer billing_payer(const struct qn_request *r);

/* The app's account. QN_BILLING. */
enum qn_err billing_open(struct qn_request *r, struct qn_billing *b) QN_MUST_CHECK;

/* What Stripe gets as Idempotency-Key: made of the request's own, else one of this request alone. */
const char *billing_once(struct qn_request *r);

/* What a call ends with: `e` in the words of a route, and why, for the log. */
enum qn_err billing_end(struct qn_request *r, const struct qn_billing *b, enum qn_err e);

/* The subscription that counts, when it can still be changed. QN_SUBSCRIPTION_NOT_FOUND, QN_SUBSCRIPTION_OVER. */
enum qn_err billing_subscription(struct qn_request *r, struct subscription *ret) QN_MUST_CHECK;

/* Notes who asked for it, before it is asked for. */
enum qn_err billing_note(
    struct qn_request *r, const char *action, const char *id, struct qn_span details) QN_MUST_CHECK;

/* As the app spells states: "active" or "ACTIVE". */
const char *billing_spell(struct qn_request *r, const char *state);
/* The plan as the app shows it; NULL: none of the app's. */
const char *billing_shown(const struct qn_request *r, const char *plan);

/* {"checkout_url":"…"} */
struct billing_checkout_reply {
	const char *checkout_url;
};
extern const struct qn_object billing_checkout_object;
/* Answers with the page at Stripe where `price` is paid for. */
enum qn_err billing_checkout(struct qn_request *r, const struct price *price, int64_t seats);

/* What every route that calls Stripe may answer. */
#define BILLING_ERRORS QN_BILLING, QN_PAYMENT_DOWN, QN_PAYMENT_REFUSED
#define BILLING_SLOW \
	.pool = QN_POOL_SLOW, .auth = QN_AUTH_USER, .rate = QN_RATE_EXPENSIVE, .calls_out = true
#define BILLING_ORG \
	.pool = QN_POOL_SLOW, .auth = QN_AUTH_USER, .rate = QN_RATE_EXPENSIVE, .calls_out = true, \
	.tenant = "org_id", .missing = QN_ORGANIZATION_NOT_FOUND, .role = QN_ROLE_ADMIN

#endif
