#include "quoin/pool/throttle.h"

#define FIRST_US INT64_C(100000)
#define MOST_US  INT64_C(10000000)

void throttle_reset(struct throttle *t)
{
	*t = (struct throttle){0};
}

/* A child that was started when the pause ended and failed young has done so by then: silence since
 * means that it lived. */
static bool calm(const struct throttle *t, int64_t now)
{
	return t->pause_us == 0 || now > t->until_us + QN_YOUNG_US + QN_YOUNG_US / 2;
}

void throttle_fail(struct throttle *t, int64_t started, int64_t now)
{
	if (calm(t, now)) {
		t->pause_us = FIRST_US;
		t->grown_us = now;
	} else if (started >= t->grown_us) {
		t->pause_us = t->pause_us * 2 < MOST_US ? t->pause_us * 2 : MOST_US;
		t->grown_us = now;
	}
	t->until_us = now + t->pause_us;
}
