/* What users used, by UTC day, as stored (CONTRACT B33, K13). */
#ifndef QUOIN_STORE_USAGE_H
#define QUOIN_STORE_USAGE_H

#include "quoin/base/rand.h"
#include "quoin/store/db.h"

/* Calls of one user on one day. */
struct usage_calls {
	char app[QN_UUID_LEN + 1], user[QN_UUID_LEN + 1];
	int64_t day; /* since 1970-01-01 */
	int64_t n;   /* in: to be added, 0 reads the sum; out: that day's sum */
	bool stored; /* out: false when there is no such user (any more) */
};
enum { USAGE_BATCH = 256 };

/* Adds all of up to USAGE_BATCH rows, or none: each (app, user, day) once. */
enum qn_err usage_add(
    struct qn_db *db, struct qn_arena *a, struct usage_calls *rows, size_t n) QN_MUST_CHECK;
/* Adds one, unless the day has `max` already (-1: no limit): then *ret_sum is -1. */
enum qn_err usage_count(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    int64_t day, int64_t max, int64_t *ret_sum) QN_MUST_CHECK;
/* The sums of a day and of the days of its month up to it. */
enum qn_err usage_of(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    int64_t day, int64_t *ret_day, int64_t *ret_month) QN_MUST_CHECK;

#endif
