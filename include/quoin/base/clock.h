/* Wall time is microseconds since 1970-01-01 UTC; durations come from the monotonic clock. */
#ifndef QUOIN_BASE_CLOCK_H
#define QUOIN_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int64_t qn_time; /* microseconds since 1970-01-01T00:00:00Z */
#define QN_TIME_NULL INT64_MIN

#define QN_RFC3339_MAX 40 /* bytes that qn_time_print may write, NUL included */

qn_time qn_now(void);
int64_t qn_mono_us(void); /* microseconds, monotonic */

/*
 * Whether `at` is at most `within_us` before `now`. What lies more than a minute after it was noted by a clock
 * that was ahead: it says nothing, and is not late for as long as that clock was wrong (SECURITY F23).
 */
bool qn_lately(qn_time at, int64_t within_us, qn_time now);

/*
 * "2026-11-21T08:30:00.123456Z" (RFC 3339); the fraction is left out when it is zero. A time before
 * the year 1 or after 9999 is shown as the nearest that is not.
 */
size_t qn_time_print(char out[QN_RFC3339_MAX], qn_time t);

/*
 * RFC 3339 with an offset or Z. false and nothing written when it is not one, or not in the years
 * 1 to 9999 (UTC). Digits past microseconds are dropped.
 */
bool qn_time_parse(const char *s, size_t n, qn_time *ret);

#endif
