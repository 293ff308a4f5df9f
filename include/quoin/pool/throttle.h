/*
 * The growing pause before children that fail young are started again: 100 ms, doubled with every
 * round up to 10 s, and back to the start once a child has lived. All times are monotonic µs.
 */
#ifndef QUOIN_POOL_THROTTLE_H
#define QUOIN_POOL_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#define QN_YOUNG_US INT64_C(1000000) /* a child that lived so long has not failed at its start */

struct throttle {
	int64_t pause_us; /* 0: nothing failed yet */
	int64_t until_us; /* nothing is started before */
	int64_t grown_us; /* children started before this failed in the same round */
};

void throttle_reset(struct throttle *t);
/* A child started at `started` failed at `now`: moves `until_us`. */
void throttle_fail(struct throttle *t, int64_t started, int64_t now);

#endif
