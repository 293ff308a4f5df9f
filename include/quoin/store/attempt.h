/* Counted guesses (SECURITY T9): before anything is verified, committed at once, always in Postgres. */
#ifndef QUOIN_STORE_ATTEMPT_H
#define QUOIN_STORE_ATTEMPT_H

#include "quoin/store/db.h"

/*
 * Counts one attempt at `subject` (any text: "password:ada@example.com 203.0.113.7"). The first `free` in an
 * hour go on, then each waits twice as long as the last, up to 15 minutes. *ret_wait_s: 0, or how long to
 * wait. Not to be called inside a transaction: what it counts must not be rolled back.
 */
enum qn_err attempt_count(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *subject, int64_t free, int64_t *ret_wait_s) QN_MUST_CHECK;
/* It was right, and others stay counted: takes one attempt back. */
enum qn_err attempt_refund(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *subject, int64_t free) QN_MUST_CHECK;
/* It was right: the count begins anew. */
enum qn_err attempt_forget(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *subject) QN_MUST_CHECK;

#endif
