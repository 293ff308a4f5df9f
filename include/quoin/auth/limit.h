/*
 * Rate limits (CONTRACT B7, B33-B38, D3, D24; SECURITY T10; docs/limits.md). A caller is held to what his plan
 * allows a minute, by class of route, and a day; who is not known is held by his address. Counted in the tally
 * of this host, shared with other hosts through memcached; days are Postgres's.
 */
#ifndef QUOIN_AUTH_LIMIT_H
#define QUOIN_AUTH_LIMIT_H

#include "quoin/auth/principal.h"
#include "quoin/auth/rate.h"
#include "quoin/base/tally.h"

struct qn_limits; /* per worker */

/* `tally` outlives it. */
struct qn_limits *qn_limits_new(
    const struct qn_conf *conf, struct qn_tally *tally, struct qn_board *board);
void qn_limits_free(struct qn_limits *l);

/* One limit as it stands after a request. */
struct qn_policy {
	const char *name, *suffix; /* the two make its name: "api", "api-address", "free-day" */
	int64_t quota, window_s;
	int64_t left, reset_s; /* reset: until there is room again, or else until the window ends */
};

struct qn_limit_state {
	struct qn_policy policy[2];
	size_t n;              /* 0: no limit */
	size_t nearest;        /* the one that has least left, or that refused */
	int64_t retry_after_s; /* of a refusal */
};

struct qn_limit_ask {
	enum qn_rate rate;
	const struct qn_app *app;       /* NULL: none, the settings decide */
	const struct qn_principal *who; /* known: he is held, otherwise his address */
	const char *remote_addr;
};

/*
 * Counts one request. QN_OK; QN_RATE_LIMITED; QN_DB_DOWN and its like when the day's sum must be read and
 * cannot: nobody passes unseen. *ret lives as long as the registry's state.
 */
enum qn_err qn_limit_take(struct qn_limits *l, struct qn_db *db, struct qn_cache *cache,
    struct qn_arena *a, const struct qn_limit_ask *ask, struct qn_limit_state *ret) QN_MUST_CHECK;

/* Stores what the tally owes: when it is time and nobody else does (whether it was), or all of it now. */
bool qn_limits_tick(struct qn_limits *l, struct qn_db *db, struct qn_arena *a);
enum qn_err qn_limits_store(
    struct qn_limits *l, struct qn_db *db, struct qn_arena *a) QN_MUST_CHECK;

#endif
