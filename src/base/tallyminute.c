/* The lines that count minutes. */
#include "tally.h"

#define TELLING_US INT64_C(1000000)

static inline uint64_t pack(uint32_t window, uint64_t n)
{
	return (uint64_t)window << 32 | (n < UINT32_MAX ? n : UINT32_MAX);
}

static inline uint32_t window_of(uint64_t v)
{
	return (uint32_t)(v >> 32);
}

/* What the cell of a window holds for it. */
static inline uint64_t count_in(cell *cells, uint32_t window)
{
	uint64_t v = atomic_load(&cells[window & 1]);
	return window_of(v) == window ? (uint32_t)v : 0;
}

static uint32_t window_at(const struct qn_tally *t, int64_t now, int64_t *ret_age)
{
	int64_t at = now + t->ahead;

	*ret_age = at % QN_WINDOW_US;
	return (uint32_t)(at / QN_WINDOW_US);
}

/* A window so many before now; a slow reader of the clock meets some of after. */
static bool weighs(uint32_t age)
{
	return (int32_t)age <= 1;
}

static bool idle(
    struct qn_tally *t, enum qn_tally_set set, size_t line, int64_t now, int64_t *ret_age)
{
	struct qn_tally_line *l = &t->line[set][line];
	int64_t within;
	uint32_t window = window_at(t, now, &within);
	uint32_t even = window - window_of(atomic_load(&l->here[0])),
		 odd = window - window_of(atomic_load(&l->here[1]));

	*ret_age = even < odd ? even : odd;
	return !weighs(even) && !weighs(odd);
}

static bool idle_caller(struct qn_tally *t, size_t line, int64_t now, int64_t *ret_age)
{
	return idle(t, QN_TALLY_CALLERS, line, now, ret_age);
}

static bool idle_address(struct qn_tally *t, size_t line, int64_t now, int64_t *ret_age)
{
	return idle(t, QN_TALLY_ADDRESSES, line, now, ret_age);
}

static long place(struct qn_tally *t, enum qn_tally_set set, uint64_t key, int64_t now)
{
	struct tally_claim c = {.keys = t->keys[set],
	    .buckets = BUCKETS,
	    .idle = set == QN_TALLY_CALLERS ? idle_caller : idle_address};

	return tally_claim(t, &c, key, now);
}

/* Someone who was stopped for minutes between reading the clock and here counts in the window of now. */
static void catch_up(uint64_t seen, uint32_t *window, int64_t *age)
{
	if ((int32_t)(window_of(seen) - *window) <= 0)
		return;
	*window = window_of(seen);
	*age = 0;
}

static bool hit(
    struct qn_tally *t, struct qn_tally_line *l, int64_t limit, int64_t now, struct qn_window *ret)
{
	uint32_t w = window_at(t, now, &ret->age_us);
	cell *here = &l->here[w & 1];
	uint64_t seen = atomic_load(here), mine;

	do {
		catch_up(seen, &w, &ret->age_us);
		mine = window_of(seen) == w ? (uint32_t)seen : 0;
		ret->before = count_in(l->here, w - 1) + count_in(l->away, w - 1);
		ret->now = mine + count_in(l->away, w);
		if (limit >= 0 && qn_window_used(ret) >= limit)
			return false;
	} while (!atomic_compare_exchange_weak(here, &seen, pack(w, mine + 1)));
	ret->now++;
	return true;
}

bool qn_tally_hit(struct qn_tally *t, enum qn_tally_set set, uint64_t key, int64_t limit,
    int64_t now, struct qn_window *ret, struct qn_tally_line **ret_line)
{
	key += key == 0;
	for (int tries = 0; tries < 3; tries++) {
		long at = place(t, set, key, now);
		if (at < 0)
			break;
		struct qn_tally_line *l = &t->line[set][at];
		bool counted = hit(t, l, limit, now, ret);
		*ret_line = l;
		/* Else the line was given away while we were at it: once more, on ours. */
		if (atomic_load(&t->keys[set][at / WAYS].key[at % WAYS]) == key)
			return counted;
	}
	*ret_line = NULL;
	return hit(t, &t->spill[set][key / BUCKETS % SPILLS], limit, now, ret);
}

/* Adds to the cell of a window, as long as it is that window's. */
static void add(cell *cells, uint32_t window, int64_t n)
{
	cell *c = &cells[window & 1];
	uint64_t seen = atomic_load(c);

	while (window_of(seen) == window)
		if (atomic_compare_exchange_weak(
			c, &seen, pack(window, (uint64_t)((int64_t)(uint32_t)seen + n))))
			return;
}

/* Of one that was killed meanwhile nobody hears; what it had taken the others never do. */
static bool begin_telling(struct qn_tally_line *line, int64_t now)
{
	int64_t until = atomic_load(&line->telling);

	return until <= now &&
	       atomic_compare_exchange_strong(&line->telling, &until, now + TELLING_US);
}

static bool take_debt(struct qn_tally_line *line, uint32_t w, struct qn_tally_debt *ret)
{
	cell *told = &line->told[w & 1];
	uint64_t seen = atomic_load(told), before, here;

	do {
		before = window_of(seen) == w ? (uint32_t)seen : 0;
		here = count_in(line->here, w);
		if (here <= before || (int32_t)(window_of(seen) - w) > 0)
			return false;
	} while (!atomic_compare_exchange_weak(told, &seen, pack(w, here)));
	*ret = (struct qn_tally_debt){w, here - before, here};
	return true;
}

bool qn_tally_owes(struct qn_tally *t, struct qn_tally_line *line, uint32_t least, int64_t now,
    struct qn_tally_debt *ret)
{
	int64_t age;
	uint32_t w = window_at(t, now, &age);

	if (count_in(line->here, w) < count_in(line->told, w) + least || !begin_telling(line, now))
		return false;
	if (take_debt(line, w, ret))
		return true;
	atomic_store(&line->telling, 0);
	return false;
}

/* A sum never gets less within a window: memcached may forget, this host does not. */
void qn_tally_told(struct qn_tally_line *line, const struct qn_tally_debt *debt, uint64_t sum)
{
	cell *away = &line->away[debt->window & 1];
	uint64_t seen = atomic_load(away), theirs = sum > debt->all ? sum - debt->all : 0;

	while ((int32_t)(window_of(seen) - debt->window) < 0 ||
	       (window_of(seen) == debt->window && (uint32_t)seen < theirs))
		if (atomic_compare_exchange_weak(away, &seen, pack(debt->window, theirs)))
			break;
	atomic_store(&line->telling, 0);
}

void qn_tally_untold(struct qn_tally_line *line, const struct qn_tally_debt *debt)
{
	add(line->told, debt->window, -(int64_t)debt->n);
	atomic_store(&line->telling, 0);
}

/* By the middle of the window, so that hosts whose clocks differ by less than half a minute mean the same. */
int64_t qn_tally_minute(
    const struct qn_tally *t, const struct qn_tally_debt *debt, int64_t now, int64_t wall)
{
	int64_t middle = (int64_t)debt->window * QN_WINDOW_US + QN_WINDOW_US / 2 - t->ahead;

	return (middle - now + wall) / QN_WINDOW_US;
}
