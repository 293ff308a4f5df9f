/* The shared memory behind base/tally.h: laid out here, mapped in tally.c, counted in tallyminute.c and tallyday.c. */
#ifndef QUOIN_BASE_TALLY_PRIVATE_H
#define QUOIN_BASE_TALLY_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "quoin/base/tally.h"

/* A key may stand in any of the lines of one bucket. Their keys share a cache line, and each line is one. */
enum { WAYS = 8, BUCKETS = 4096, DAY_BUCKETS = 2048, SPILLS = 1024, LOCKS = 64 };

/* A cell holds a window or a day, and what was counted in it: a stale one reads as nought and needs no clearing. */
typedef _Atomic(uint64_t) cell;

struct qn_tally_line {
	cell here[2];             /* hits on this host: the window of even number, and of odd */
	cell told[2];             /* those that the other hosts know of */
	cell away[2];             /* hits on the other hosts, as far as this one knows */
	_Atomic(int64_t) telling; /* until when a process is at it; 0: none is */
	cell spare;
};

struct day_line {
	_Atomic(uint64_t) app[2], user[2]; /* the subject: it stands while its key does */
	cell sum;                          /* of a day, on all hosts */
	cell owed[2]; /* not in Postgres yet: the day of even number, and of odd */
	_Atomic(int64_t) used_at;
};

struct keys {
	_Atomic(uint64_t) key[WAYS]; /* 0: free */
};

struct qn_tally {
	uint32_t magic, layout;
	int64_t ahead; /* of the monotonic clock: windows begin with the minutes of the wall's */
	_Atomic(int64_t)
	    seen_at; /* a monotonic time that was: a clock before it is that of another boot */
	_Atomic(int64_t) due_at; /* when what is owed to Postgres is stored next */
	pthread_mutex_t claim[LOCKS];
	struct keys keys[QN_TALLY__MAX][BUCKETS];
	struct keys day_keys[DAY_BUCKETS];
	_Atomic(uint64_t) dirty[DAY_BUCKETS * WAYS / 64]; /* day lines that owe */
	struct qn_tally_line line[QN_TALLY__MAX][BUCKETS * WAYS];
	struct qn_tally_line spill[QN_TALLY__MAX][SPILLS];
	struct day_line day[DAY_BUCKETS * WAYS];
};

/* Lines: the place of a key, or -1. */
static inline long tally_find(struct keys *bucket, uint64_t key)
{
	for (int i = 0; i < WAYS; i++)
		if (atomic_load_explicit(&bucket->key[i], memory_order_acquire) == key)
			return i;
	return -1;
}

/* Whether a taken line may be given to another key, and how long ago it was used: the oldest is taken. */
typedef bool tally_idle_fn(struct qn_tally *t, size_t line, int64_t now, int64_t *ret_age);
/* Prepares a line for a key that is about to stand there. */
typedef void tally_ready_fn(struct qn_tally *t, size_t line, const void *arg);

struct tally_claim {
	struct keys *keys; /* of all buckets */
	size_t buckets;
	tally_idle_fn *idle;
	tally_ready_fn *ready; /* NULL: nothing to prepare */
	const void *arg;
};
/* The line of a key, which is given one if it has none; -1 when none is free. */
long tally_claim(struct qn_tally *t, const struct tally_claim *c, uint64_t key, int64_t now);

/* Marks all that owe: who was killed at the wrong moment has left some without. */
void tally_mark_all(struct qn_tally *t);

#endif
