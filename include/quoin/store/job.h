/*
 * The queue of the jobs pool. A job is taken with FOR UPDATE SKIP LOCKED and leased for a minute, so one
 * that takes longer, or ends its worker, is taken again. One that fails comes back later and later, and
 * in the end is kept as a dead letter.
 */
#ifndef QUOIN_STORE_JOB_H
#define QUOIN_STORE_JOB_H

#include "quoin/store/db.h"

struct job {
	const char *id, *kind, *app_id, *failure;
	struct qn_span payload;
	int64_t attempts, max_attempts;
	qn_time run_at, dead_at;
};

extern const struct qn_object job_object;

/* unique_key may be NULL; a job whose key already waits is not added again. */
enum qn_err job_add(struct qn_db *db, struct qn_arena *a, const char *kind, const char *app_id,
    struct qn_span payload, const char *unique_key) QN_MUST_CHECK;
/*
 * The next due job; QN_NOT_FOUND. `attempts` counts this one too: more than max_attempts means that the
 * last never came to its end.
 */
enum qn_err job_take(struct qn_db *db, struct qn_arena *a, struct job *ret) QN_MUST_CHECK;
enum qn_err job_done(struct qn_db *db, struct qn_arena *a, const char *id) QN_MUST_CHECK;
/* Comes back after 2^attempts seconds (an hour at most), or is dead after its last attempt. */
enum qn_err job_failed(
    struct qn_db *db, struct qn_arena *a, const char *id, const char *why) QN_MUST_CHECK;
/* Comes back in ten seconds; the attempt does not count. */
enum qn_err job_put_off(struct qn_db *db, struct qn_arena *a, const char *id) QN_MUST_CHECK;
/* Adds what recurs and is due: key sets older than ten minutes, the pruning of what is old. */
enum qn_err job_schedule(struct qn_db *db, struct qn_arena *a) QN_MUST_CHECK;
/* Waiting and dead ones, for quoinctl; a dead one is made to run again. */
enum qn_err job_list(struct qn_db *db, struct qn_arena *a, struct qn_list *ret) QN_MUST_CHECK;
enum qn_err job_retry(struct qn_db *db, struct qn_arena *a, const char *id) QN_MUST_CHECK;

#endif
