/*
 * Webhooks as stored (ECOSYSTEM "Webhooks out"; SECURITY T17, T24, T33, F30): endpoints of an app (`org` NULL) or
 * of one of its organizations, and the deliveries that wait for them or went out. What happened is written by
 * event_emit() of the database, in the transaction of the effect. A secret is here only sealed.
 */
#ifndef QUOIN_STORE_WEBHOOK_H
#define QUOIN_STORE_WEBHOOK_H

#include "quoin/store/db.h"

/* type, sentence: what an endpoint can listen to. Whoever emits a new type adds its row. */
#define WEBHOOK_EVENTS(X) \
	X("user.created", "An account was made.") \
	X("user.deleted", "An account was erased.") \
	X("member.added", "Somebody became a member of an organization.") \
	X("member.updated", "A member of an organization has another role.") \
	X("member.removed", "Somebody is no longer a member of an organization.") \
	X("licence.created", "A licence was issued.") \
	X("licence.renewed", "A licence has a later end.") \
	X("licence.suspended", "A licence may not be used for now.") \
	X("licence.reinstated", "A licence that was suspended may be used again.") \
	X("licence.revoked", "A licence was revoked.") \
	X("licence.transferred", "A licence is somebody else's, or nobody's.") \
	X("licence.checked_in", "Somebody still looks after a licence.") \
	X("licence.expired", "A licence has come to its end.") \
	X("device.added", "A licence is used on another device.") \
	X("device.released", "A device gave its place in a licence back.") \
	X("subscription.created", "A subscription began.") \
	X("subscription.updated", "A subscription changed: plan, seats, state.") \
	X("subscription.deleted", "A subscription has ended.") \
	X("subscription.duplicate", \
	    "A subscription was paid for although there was one: it is ended and paid back.") \
	X("invoice.paid", "An invoice was paid.") \
	X("invoice.payment_failed", "An invoice could not be paid.") \
	X("payment.succeeded", "Something was paid for once.") \
	X("payment.returned", "A payment was refunded, or is disputed.") \
	X("payment.restored", "A payment that was disputed stands after all.") \
	X("entitlement.changed", "What somebody may use is another.") \
	X("usage.warning", "A meter nears its limit, or has reached it.")

struct webhook_event {
	const char *type, *description;
};
extern const struct qn_object webhook_event_object;
struct qn_list webhook_events(void); /* static: those above */
bool webhook_is_event(const char *type);

struct webhook {
	const char *id, *url, *description;
	struct qn_span events; /* a JSON list of types; empty: all */
	qn_tri ordered, enabled;
	const char *disabled_reason; /* paused, gone, failing; NULL: it is enabled */
	qn_time failing_since, old_secret_until, created_at, updated_at;
};
extern const struct qn_object webhook_object;

/* Whose endpoints: of an app, and of an organization unless NULL. */
struct webhook_scope {
	const char *app, *org;
};

enum { WEBHOOK_MOST = 20 }; /* endpoints of one scope */

enum qn_err webhook_list(struct qn_db *db, struct qn_arena *a, struct webhook_scope of,
    struct qn_list *ret) QN_MUST_CHECK;
/* `in` gives id, url, description, events and ordered; `by` may be NULL. QN_LIMIT: there are WEBHOOK_MOST. */
enum qn_err webhook_create(struct qn_db *db, struct qn_arena *a, struct webhook_scope of,
    const char *by, const struct webhook *in, struct qn_span sealed,
    struct webhook *ret) QN_MUST_CHECK;
/* All below: QN_WEBHOOK_NOT_FOUND. */
enum qn_err webhook_by_id(struct qn_db *db, struct qn_arena *a, struct webhook_scope of,
    const char *id, struct webhook *ret) QN_MUST_CHECK;
/* What is null in `in` stays. Enabled again, what waited goes out. */
enum qn_err webhook_update(struct qn_db *db, struct qn_arena *a, struct webhook_scope of,
    const char *id, const struct webhook *in, struct webhook *ret) QN_MUST_CHECK;
enum qn_err webhook_delete(
    struct qn_db *db, struct qn_arena *a, struct webhook_scope of, const char *id) QN_MUST_CHECK;
/* A new secret; the old one signs beside it for some hours (0: no longer). */
enum qn_err webhook_rotate(struct qn_db *db, struct qn_arena *a, struct webhook_scope of,
    const char *id, struct qn_span sealed, int64_t hours, struct webhook *ret) QN_MUST_CHECK;
/* Queues an event of type webhook.test for this endpoint alone. QN_CONFLICT: it is disabled. */
enum qn_err webhook_test(struct qn_db *db, struct qn_arena *a, struct webhook_scope of,
    const char *id, const char **ret_delivery) QN_MUST_CHECK;

struct webhook_delivery {
	int64_t seq; /* of the event: later is larger */
	const char *id, *event_id, *type, *state, *error, *response_body;
	int64_t attempts, response_status, duration_ms;
	qn_time created_at, next_at, ended_at;
};
extern const struct qn_object webhook_delivery_object;
extern const char *const webhook_states[]; /* NULL at the end */

/* NULL: any. */
struct webhook_filter {
	const char *state, *type;
};

/* Newest first, below `before` (NULL: from the newest), `limit` rows at most. */
enum qn_err webhook_deliveries(struct qn_db *db, struct qn_arena *a, struct webhook_scope of,
    const char *id, const struct webhook_filter *filter, const char *before, int64_t limit,
    struct qn_list *ret) QN_MUST_CHECK;
/*
 * Queues a delivery once more, or now instead of later. QN_DELIVERY_NOT_FOUND; QN_CONFLICT: the endpoint is
 * disabled, or an earlier delivery has to come first.
 */
enum qn_err webhook_resend(struct qn_db *db, struct qn_arena *a, struct webhook_scope of,
    const char *id, const char *delivery, struct webhook_delivery *ret) QN_MUST_CHECK;

/* One that is due, with all that it takes to make it. */
struct webhook_due {
	const char *id, *endpoint_id, *event_id, *type, *url;
	struct qn_span data, secret_sealed, old_secret_sealed; /* the last may be empty */
	int64_t attempts;                                      /* this one included */
	qn_time created_at;                                    /* of the event */
};

/* Takes it for a minute. QN_NOT_FOUND: none is due. */
enum qn_err webhook_take(
    struct qn_db *db, struct qn_arena *a, struct webhook_due *ret) QN_MUST_CHECK;

/* What came of it. */
struct webhook_result {
	bool ok, silent;   /* silent: no answer, or one that asks for a pause */
	int64_t status;    /* QN_I64_NULL: no answer */
	const char *error; /* NULL: it answered */
	const char *response;
	int64_t duration_ms;
};

struct webhook_settled {
	const char *outcome;  /* stale, delivered, later, failed */
	const char *disabled; /* why the endpoint was disabled just now; NULL */
	const char *app_id, *user_id, *notify, *url; /* then: whom that is to be told, if anybody */
};
enum qn_err webhook_settle(struct qn_db *db, struct qn_arena *a, const struct webhook_due *due,
    const struct webhook_result *result, struct webhook_settled *ret) QN_MUST_CHECK;

/* Lets go what waits for nothing any more. */
enum qn_err webhook_release(struct qn_db *db, struct qn_arena *a) QN_MUST_CHECK;
/* Takes events and deliveries older than thirty days, some thousand at a time; *ret_n of them. */
enum qn_err webhook_prune(struct qn_db *db, struct qn_arena *a, int64_t *ret_n) QN_MUST_CHECK;

#endif
