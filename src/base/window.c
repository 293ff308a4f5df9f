#include "quoin/base/window.h"

static int64_t clamp_age(int64_t age)
{
	return age < 0 ? 0 : age > QN_WINDOW_US ? QN_WINDOW_US : age;
}

int64_t qn_window_used(const struct qn_window *w)
{
	uint64_t rest = (uint64_t)(QN_WINDOW_US - clamp_age(w->age_us));

	return (int64_t)(w->now + (w->before * rest + QN_WINDOW_US - 1) / QN_WINDOW_US);
}

/* The age at which a window after one of `before` hits leaves `room` of them. */
static int64_t age_with_room(uint64_t before, uint64_t room)
{
	return before <= room ? 0 : QN_WINDOW_US - (int64_t)(room * QN_WINDOW_US / before);
}

int64_t qn_window_wait(const struct qn_window *w, int64_t limit)
{
	int64_t age = clamp_age(w->age_us), until_next = QN_WINDOW_US - age;

	if (limit <= 0)
		return 2 * QN_WINDOW_US;
	if (w->now < (uint64_t)limit) {
		int64_t at = age_with_room(w->before, (uint64_t)limit - 1 - w->now);
		return at > age ? at - age : 0;
	}
	return until_next + age_with_room(w->now, (uint64_t)limit - 1);
}
