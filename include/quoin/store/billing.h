/*
 * Billing as stored (CONTRACT D29, D30, K1, K2; SECURITY T23): the app's account at Stripe, customers, what they
 * bought, the ledger of events. What a state of Stripe's means is decided in the database (migrations/0014).
 */
#ifndef QUOIN_STORE_BILLING_H
#define QUOIN_STORE_BILLING_H

#include "quoin/store/workspace.h"

struct stripe_account {
	const char *app_id;
	struct qn_span key_sealed, webhooks_sealed;
	const char *api_base; /* "": STRIPE_API_BASE */
	const char *success_path, *cancel_path, *portal_path;
	int64_t trial_days, grace_days;
	qn_tri promotion_codes;
	struct qn_span meters; /* {"meter":"event_name"} */
};

/* QN_NOT_FOUND. */
enum qn_err stripe_account_get(struct qn_db *db, struct qn_arena *a, const char *app,
    struct stripe_account *ret) QN_MUST_CHECK;
enum qn_err stripe_account_put(
    struct qn_db *db, struct qn_arena *a, const struct stripe_account *in) QN_MUST_CHECK;
enum qn_err stripe_account_remove(
    struct qn_db *db, struct qn_arena *a, const char *app) QN_MUST_CHECK;

/* An event as it was sent. `customer` and `payment` are Stripe's ids, NULL where it names none. */
struct billing_event {
	const char *id, *type, *customer, *payment;
	int64_t created; /* seconds since 1970 */
	uint8_t hash[32];
};
/* Keeps it, and adds the job that acts on it. *ret_new: it was not there before. */
enum qn_err billing_event_take(struct qn_db *db, struct qn_arena *a, const char *app,
    const struct billing_event *e, bool *ret_new) QN_MUST_CHECK;
/* Whose it is, when it is still to be applied: *ret_customer is ours, NULL: nothing is to be done. */
enum qn_err billing_event_open(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *id, const char **ret_customer) QN_MUST_CHECK;
/* Makes it one that is still to be applied. QN_NOT_FOUND. */
enum qn_err billing_event_replay(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *id) QN_MUST_CHECK;

/* Who pays: a user, or an organisation when `org` is one. */
struct payer {
	const char *app, *user, *org;
};

struct billing_customer {
	const char *id, *stripe_customer_id; /* Stripe's is NULL until it is made */
	const char *email,
	    *name;          /* of the user, or of the organisation and its owner; may be NULL */
	qn_tri making_lost; /* Stripe was asked to make it, and knows our key no more */
};
/* Makes it at first sight. */
enum qn_err billing_customer_claim(struct qn_db *db, struct qn_arena *a, const struct payer *p,
    struct billing_customer *ret) QN_MUST_CHECK;
/* Stripe is about to be asked to make it. */
enum qn_err billing_customer_making(
    struct qn_db *db, struct qn_arena *a, const char *id) QN_MUST_CHECK;
/* Its name at Stripe, unless it has one; *ret is the one that it has then. */
enum qn_err billing_customer_name(struct qn_db *db, struct qn_arena *a, const char *id,
    const char *stripe_id, const char **ret) QN_MUST_CHECK;
/* QN_NOT_FOUND when nobody made one that Stripe knows. */
enum qn_err billing_customer_find(struct qn_db *db, struct qn_arena *a, const struct payer *p,
    struct billing_customer *ret) QN_MUST_CHECK;
/* Somebody is at the till: it is looked at every hour for a day, also when Stripe says nothing. */
enum qn_err billing_customer_watch(
    struct qn_db *db, struct qn_arena *a, const char *id) QN_MUST_CHECK;
/*
 * Who begins to pay for a subscription stands at the till, and nobody else of the same customer: false in *ret_taken
 * when somebody does. `who` is an id of the caller's own. It is free again when he leaves, or a minute later.
 */
enum qn_err billing_till_take(struct qn_db *db, struct qn_arena *a, const char *customer,
    const char *who, bool *ret_taken) QN_MUST_CHECK;
enum qn_err billing_till_leave(
    struct qn_db *db, struct qn_arena *a, const char *customer, const char *who) QN_MUST_CHECK;
/*
 * Has customers looked at: all of an app, in their turn, or before others those of a user and of what he owns.
 * *ret_n of them.
 */
enum qn_err billing_customers_look(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, int64_t *ret_n) QN_MUST_CHECK;

/* A question to Stripe for the state of a customer. */
struct billing_question {
	int64_t seq;
	const char *app_id, *stripe_customer_id;
	const char *events; /* those that it will answer, as Postgres writes an array */
};
/* QN_NOT_FOUND: no such customer, or Stripe does not know it yet. */
enum qn_err billing_ask(struct qn_db *db, struct qn_arena *a, const char *customer,
    struct billing_question *ret) QN_MUST_CHECK;

/* Mail that is to be sent because of what was applied. */
struct billing_news {
	const char *template, *user_id, *email, *plan, *amount;
	qn_time at;
};
/* Makes the tables like the answer, in the open transaction. A list of struct billing_news. */
enum qn_err billing_apply(struct qn_db *db, struct qn_arena *a, const char *customer,
    const struct billing_question *q, struct qn_span state, struct qn_list *ret) QN_MUST_CHECK;

struct subscription {
	const char *subscription_id, *user_id, *organization_id;
	const char *stripe_customer_id, *stripe_subscription_id;
	const char *plan, *tier; /* its code; as the app shows it, which the caller fills in */
	const char *status, *price_id;
	int64_t quantity, seats;
	qn_time current_period_start, current_period_end, cancel_at, trial_end;
	qn_tri cancel_at_period_end;
	qn_time created_at, updated_at;
	const char *item; /* its line at Stripe */
	const char *customer_id;
	const char *pending_plan, *pending_tier, *pending_price_id; /* as plan, tier and price_id */
	int64_t pending_seats;
	qn_time pending_at;   /* when that is what it is for; QN_TIME_NULL: it stays as it is */
	const char *schedule; /* Stripe's, that it is under; NULL: none is known */
};
extern const struct qn_object subscription_object; /* D29 */

/* The one that counts: a live one before others, of these the newest. QN_NOT_FOUND. */
enum qn_err subscription_current(struct qn_db *db, struct qn_arena *a, const struct payer *p,
    struct subscription *ret) QN_MUST_CHECK;
/* Notes that a schedule of it is being begun at Stripe, and has it looked at whether it became whole. */
enum qn_err subscription_scheduling(
    struct qn_db *db, struct qn_arena *a, const char *id) QN_MUST_CHECK;
/*
 * Of `items`, its lines as Stripe has them: *ret_item is the one that says the plan, NULL when there is none.
 * *ret_later: to go over to `quantity` of the price with `more` seats beside it takes away what is paid for.
 */
enum qn_err subscription_comes_later(struct qn_db *db, struct qn_arena *a, const char *app,
    struct qn_span items, const char *price, int64_t quantity, int64_t more, const char **ret_item,
    bool *ret_later) QN_MUST_CHECK;
/* Whether it gives, or may give again, what it is for. */
bool subscription_is_live(const struct subscription *s);

/* Those of a customer whose user or organisation is gone, that have not ended: a list of struct subscription. */
enum qn_err subscription_orphans(
    struct qn_db *db, struct qn_arena *a, const char *customer, struct qn_list *ret) QN_MUST_CHECK;
/* Those of a customer that are under a schedule of ours with which nothing is to come: likewise. */
enum qn_err subscription_idle_schedules(
    struct qn_db *db, struct qn_arena *a, const char *customer, struct qn_list *ret) QN_MUST_CHECK;

/* What is to be done about a subscription that was paid for although there was one. */
struct billing_surplus {
	const char *subscription, *status; /* at Stripe */
	const char *payment;               /* to give back; NULL: none */
};
/* Those of a customer: a list, in which one with several payments stands several times. */
enum qn_err billing_surplus_due(
    struct qn_db *db, struct qn_arena *a, const char *customer, struct qn_list *ret) QN_MUST_CHECK;

struct invoice {
	const char *invoice_id, *subscription_id, *stripe_invoice_id, *number, *currency, *status;
	int64_t amount_cents;
	qn_time invoice_date, due_date, paid_at;
	const char *hosted_url, *pdf_url;
};
extern const struct qn_object invoice_object; /* D30 */
/* Newest first, at most `limit`. */
enum qn_err invoice_list(struct qn_db *db, struct qn_arena *a, const struct payer *p, int64_t limit,
    struct qn_list *ret) QN_MUST_CHECK;

/* What is sold at a price. */
struct price {
	const char *price, *plan, *interval, *per;
	int64_t amount, seats;  /* QN_I64_NULL: the file does not say */
	const char *seat_price; /* of a further seat, at the same interval; NULL: none is sold */
	int64_t rank;
};
/* By Stripe's id, or as PLAN_monthly, PLAN_yearly, PLAN_once (A27). QN_PRICE. */
enum qn_err price_find(struct qn_db *db, struct qn_arena *a, const char *app, const char *name,
    struct price *ret) QN_MUST_CHECK;
/* The one that is paid once, of that amount unless QN_I64_NULL. QN_PRICE. */
enum qn_err price_once(struct qn_db *db, struct qn_arena *a, const char *app, int64_t amount,
    struct price *ret) QN_MUST_CHECK;

/* Use that Stripe is to be told of. */
struct billing_usage {
	const char *customer, *stripe_customer_id, *meter, *event_name;
	const char *period;        /* "2026-11-21" */
	int64_t reported, sending; /* what it knows, and what it is to know */
	qn_time at;
};
/* Those of an app, noted as on their way: a list, `most` at most. */
enum qn_err billing_usage_due(struct qn_db *db, struct qn_arena *a, const char *app, int64_t most,
    struct qn_list *ret) QN_MUST_CHECK;
/* It arrived. */
enum qn_err billing_usage_sent(
    struct qn_db *db, struct qn_arena *a, const struct billing_usage *u) QN_MUST_CHECK;
/* The apps that report use: a list of struct stripe_account with app_id alone. */
enum qn_err billing_metering(
    struct qn_db *db, struct qn_arena *a, struct qn_list *ret) QN_MUST_CHECK;

/* Forgets events that were applied a while ago, a thousand at a time; *ret_n of them. */
enum qn_err billing_prune(struct qn_db *db, struct qn_arena *a, int64_t *ret_n) QN_MUST_CHECK;

#endif
