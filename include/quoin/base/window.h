/*
 * A limit of so many a minute, rolling: two adjacent windows, the older weighted by what of it lies within
 * the last minute (CONTRACT D24, K22), rounded up.
 */
#ifndef QUOIN_BASE_WINDOW_H
#define QUOIN_BASE_WINDOW_H

#include <stdint.h>

#define QN_WINDOW_US INT64_C(60000000)

struct qn_window {
	int64_t age_us;       /* since the newer one began: 0 to QN_WINDOW_US */
	uint64_t before, now; /* hits in the older and in the newer, less than 2^36 each */
};

/* How much of a limit is used. */
int64_t qn_window_used(const struct qn_window *w);
/* Microseconds until `limit` has room for one more: 0 when it has. With a limit of 0 there is never any: two windows. */
int64_t qn_window_wait(const struct qn_window *w, int64_t limit);

#endif
