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
/*
 * A guess at a secret: counted as three attempts, one after the other until one has to wait, in one round trip.
 * The same order everywhere: who guesses at once waits for another, and never for one who waits for him.
 */
struct attempt_guess {
	const char *network, *client,
	    *all; /* subjects: from a network; at one thing from there; at it from anywhere */
	int64_t free_network, free_client, free_all;
};
enum qn_err attempt_guess(struct qn_db *db, struct qn_arena *a, const char *app,
    const struct attempt_guess *g, int64_t *ret_wait_s) QN_MUST_CHECK;
/* A subject as it is stored, in the arena; NULL is null. For src/store. */
struct qn_arg attempt_subject(struct qn_arena *a, const char *subject);
/* It was right: one is taken back of the network and of all, and the client's count begins anew. */
enum qn_err attempt_guessed(struct qn_db *db, struct qn_arena *a, const char *app,
    const struct attempt_guess *g) QN_MUST_CHECK;

#endif
