/* The lines that count days, until Postgres has the count. */
#include <string.h>

#include "tally.h"

/* A line that was used just now may still be in somebody's hand. */
#define IN_USE_US INT64_C(30000000)

enum { COUNT_BITS = 40 };
#define COUNT_MASK ((UINT64_C(1) << COUNT_BITS) - 1)

static inline uint64_t pack(uint32_t day, uint64_t n)
{
	return (uint64_t)day << COUNT_BITS | (n < COUNT_MASK ? n : COUNT_MASK);
}

static inline uint32_t day_of(uint64_t v)
{
	return (uint32_t)(v >> COUNT_BITS);
}

static inline uint64_t count_of(uint64_t v, uint32_t day)
{
	return day_of(v) == day ? v & COUNT_MASK : 0;
}

static bool idle(struct qn_tally *t, size_t line, int64_t now, int64_t *ret_age)
{
	struct day_line *d = &t->day[line];

	*ret_age = now - atomic_load(&d->used_at);
	return *ret_age > IN_USE_US && (atomic_load(&d->owed[0]) & COUNT_MASK) == 0 &&
	       (atomic_load(&d->owed[1]) & COUNT_MASK) == 0;
}

static void store_id(_Atomic(uint64_t) to[2], const char *uuid)
{
	uint8_t bytes[16];
	uint64_t words[2];

	qn_uuid_bytes(uuid, bytes);
	memcpy(words, bytes, sizeof(words));
	atomic_store(&to[0], words[0]);
	atomic_store(&to[1], words[1]);
}

static void load_id(char uuid[QN_UUID_LEN + 1], _Atomic(uint64_t) from[2])
{
	uint64_t words[2] = {atomic_load(&from[0]), atomic_load(&from[1])};
	uint8_t bytes[16];

	memcpy(bytes, words, sizeof(words));
	qn_uuid_print(uuid, bytes);
}

static void ready(struct qn_tally *t, size_t line, const void *arg)
{
	const struct qn_tally_user *who = arg;
	struct day_line *d = &t->day[line];

	store_id(d->app, who->app);
	store_id(d->user, who->user);
	atomic_store(&d->sum, 0);
	atomic_store(&d->owed[0], 0);
	atomic_store(&d->owed[1], 0);
}

static uint64_t good(uint64_t key)
{
	return key + (key == 0);
}

static _Atomic(uint64_t) *key_at(struct qn_tally *t, size_t line)
{
	return &t->day_keys[line / WAYS].key[line % WAYS];
}

static void mark(struct qn_tally *t, size_t line)
{
	_Atomic(uint64_t) *word = &t->dirty[line / 64];
	uint64_t bit = UINT64_C(1) << line % 64;

	if ((atomic_load(word) & bit) == 0)
		atomic_fetch_or(word, bit);
}

static void owe(struct qn_tally *t, size_t line, uint32_t day, uint64_t n)
{
	cell *owed = &t->day[line].owed[day & 1];
	uint64_t seen = atomic_load(owed);

	while (!atomic_compare_exchange_weak(owed, &seen, pack(day, count_of(seen, day) + n)))
		;
	mark(t, line);
}

/* Adds one to the day's sum, if it is known and the limit has room. */
static enum qn_tally_day count(struct day_line *d, uint32_t day, int64_t limit, uint64_t *ret_used)
{
	uint64_t seen = atomic_load(&d->sum);

	do {
		*ret_used = count_of(seen, day);
		if (day_of(seen) != day)
			return limit < 0 ? QN_DAY_COUNTED : QN_DAY_UNKNOWN;
		if (limit >= 0 && *ret_used >= (uint64_t)limit)
			return QN_DAY_OVER;
	} while (!atomic_compare_exchange_weak(&d->sum, &seen, pack(day, *ret_used + 1)));
	++*ret_used;
	return QN_DAY_COUNTED;
}

enum qn_tally_day qn_tally_day(struct qn_tally *t, const struct qn_tally_user *who, uint32_t day,
    int64_t limit, int64_t now, uint64_t *ret_used)
{
	struct tally_claim c = {t->day_keys, DAY_BUCKETS, idle, ready, who};
	long at = tally_claim(t, &c, good(who->key), now);

	if (at < 0)
		return QN_DAY_FULL;
	struct day_line *d = &t->day[at];
	atomic_store_explicit(&d->used_at, now, memory_order_relaxed);
	if (atomic_load(key_at(t, (size_t)at)) != good(who->key))
		return QN_DAY_FULL; /* it was given away a moment ago; from now on nobody would */
	enum qn_tally_day got = count(d, day, limit, ret_used);
	if (got == QN_DAY_COUNTED)
		owe(t, (size_t)at, day, 1);
	return got;
}

static long find(struct qn_tally *t, uint64_t key)
{
	size_t bucket = good(key) % DAY_BUCKETS;
	long way = tally_find(&t->day_keys[bucket], good(key));

	return way < 0 ? -1 : (long)(bucket * WAYS) + way;
}

/* What is owed came on top of it. Within a day a sum never gets less. */
void qn_tally_learn(struct qn_tally *t, uint64_t key, uint32_t day, uint64_t sum)
{
	long at = find(t, key);

	if (at < 0)
		return;
	struct day_line *d = &t->day[at];
	uint64_t seen = atomic_load(&d->sum), next;
	do {
		next = pack(day, sum + count_of(atomic_load(&d->owed[day & 1]), day));
		if (day_of(seen) == day && seen >= next)
			return;
	} while (!atomic_compare_exchange_weak(&d->sum, &seen, next));
}

/* What one cell owes; false when that is nothing. */
static bool take_cell(struct qn_tally *t, size_t line, int parity, struct qn_tally_owed *ret)
{
	struct day_line *d = &t->day[line];
	uint64_t v = atomic_load(&d->owed[parity]);

	while ((v & COUNT_MASK) != 0)
		if (atomic_compare_exchange_weak(&d->owed[parity], &v, v & ~COUNT_MASK)) {
			*ret = (struct qn_tally_owed){.day = day_of(v), .n = v & COUNT_MASK};
			ret->key = atomic_load(key_at(t, line));
			load_id(ret->app, d->app);
			load_id(ret->user, d->user);
			return true;
		}
	return false;
}

/* A mark goes first: what comes on top marks the line again. */
static size_t take_word(struct qn_tally *t, size_t word, struct qn_tally_owed *out, size_t room)
{
	uint64_t bits = atomic_load(&t->dirty[word]);
	size_t n = 0;

	for (size_t i = 0; i < 64 && n + 2 <= room; i++) {
		uint64_t bit = UINT64_C(1) << i;
		if ((bits & bit) == 0)
			continue;
		atomic_fetch_and(&t->dirty[word], ~bit);
		n += take_cell(t, word * 64 + i, 0, &out[n]);
		n += take_cell(t, word * 64 + i, 1, &out[n]);
	}
	return n;
}

size_t qn_tally_take(struct qn_tally *t, struct qn_tally_owed *out, size_t room)
{
	size_t n = 0;

	for (size_t w = 0; w < sizeof(t->dirty) / sizeof(t->dirty[0]) && n + 2 <= room; w++)
		if (atomic_load_explicit(&t->dirty[w], memory_order_relaxed) != 0)
			n += take_word(t, w, out + n, room - n);
	return n;
}

void qn_tally_give_back(struct qn_tally *t, const struct qn_tally_owed *owed)
{
	long at = find(t, owed->key);

	if (at >= 0)
		owe(t, (size_t)at, owed->day, owed->n);
}

void tally_mark_all(struct qn_tally *t)
{
	for (size_t line = 0; line < (size_t)DAY_BUCKETS * WAYS; line++)
		if ((atomic_load(&t->day[line].owed[0]) & COUNT_MASK) != 0 ||
		    (atomic_load(&t->day[line].owed[1]) & COUNT_MASK) != 0)
			mark(t, line);
}
