/*
 * What the limits count: shared memory of all pools of one host, a file in QUOIN_RUN_DIR that outlives them
 * (DESIGN §7). Its lines are found by a keyed hash of the subject; counts are atomics, and a process may be
 * killed between any two of them. Nothing is evicted that still weighs: a line is taken over only when its
 * count is nought, or is in Postgres.
 *
 * Times are monotonic microseconds: a step of the clock changes no window (SECURITY F23).
 */
#ifndef QUOIN_BASE_TALLY_H
#define QUOIN_BASE_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "quoin/base/rand.h"
#include "quoin/base/window.h"

struct qn_tally;

/*
 * RUN_DIR/limits.tally, made when there is none that this build can read; NULL and errno on failure.
 * `run_dir` NULL: anonymous, shared with children. A pool of another build keeps its own until it restarts.
 */
struct qn_tally *qn_tally_open(const char *run_dir);
void qn_tally_close(struct qn_tally *t);

/* Minutes. Addresses have lines of their own: a flood of them takes none of the callers'. */
enum qn_tally_set { QN_TALLY_CALLERS, QN_TALLY_ADDRESSES, QN_TALLY__MAX };

struct qn_tally_line;

/*
 * Counts one hit, if `limit` has room for it; what is refused is not counted. *ret: what was counted, this
 * hit included. *ret_line: for what follows here; NULL when all lines near the key are in use: then
 * it was counted on one that all such newcomers share.
 */
bool qn_tally_hit(struct qn_tally *t, enum qn_tally_set set, uint64_t key, int64_t limit,
    int64_t now, struct qn_window *ret, struct qn_tally_line **ret_line);

/* Hits of this host that the others have to be told of. */
struct qn_tally_debt {
	uint32_t window; /* on this host */
	uint64_t n, all; /* hits; with those told before */
};
/*
 * Takes what is owed for the window of `now`, if that is `least` or more and no other process is telling this
 * line's just now: two at once could not tell each other's hits from those of other hosts. Ends with one of
 * the next two, within a second.
 */
bool qn_tally_owes(struct qn_tally *t, struct qn_tally_line *line, uint32_t least, int64_t now,
    struct qn_tally_debt *ret);
/* They were told; `sum` is what all hosts have. */
void qn_tally_told(struct qn_tally_line *line, const struct qn_tally_debt *debt, uint64_t sum);
/* They could not be told: they are owed again. */
void qn_tally_untold(struct qn_tally_line *line, const struct qn_tally_debt *debt);
/* The same window for all hosts: whole minutes of `wall`, which is `now` by the wall clock. */
int64_t qn_tally_minute(
    const struct qn_tally *t, const struct qn_tally_debt *debt, int64_t now, int64_t wall);

/* Days. What was counted and is not in Postgres is owed to it. */
struct qn_tally_user {
	uint64_t key;
	const char *app, *user; /* UUIDs */
};
enum qn_tally_day {
	QN_DAY_COUNTED,
	QN_DAY_OVER,    /* not counted */
	QN_DAY_UNKNOWN, /* not counted: first the day's sum must be learnt */
	QN_DAY_FULL     /* not counted: no line is free */
};
/* `day` since 1970; a limit of -1: none, and no sum is needed. *ret_used: that day's sum, as far as it is known. */
enum qn_tally_day qn_tally_day(struct qn_tally *t, const struct qn_tally_user *who, uint32_t day,
    int64_t limit, int64_t now, uint64_t *ret_used);
/* Postgres has `sum` for that day. */
void qn_tally_learn(struct qn_tally *t, uint64_t key, uint32_t day, uint64_t sum);

struct qn_tally_owed {
	uint64_t key;
	char app[QN_UUID_LEN + 1], user[QN_UUID_LEN + 1];
	uint32_t day;
	uint64_t n;
};
/* Takes up to `room` of what is owed to Postgres. */
size_t qn_tally_take(struct qn_tally *t, struct qn_tally_owed *out, size_t room);
/* It was not stored: it is owed again. */
void qn_tally_give_back(struct qn_tally *t, const struct qn_tally_owed *owed);
/* Whether this process is to store now what is owed: one of the host every `every` µs. */
bool qn_tally_due(struct qn_tally *t, int64_t every, int64_t now);

#endif
