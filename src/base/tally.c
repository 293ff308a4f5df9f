#include "tally.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "quoin/base/clock.h"

#define MAGIC  UINT32_C(0x514e544c)
#define LAYOUT (UINT32_C(1) << 24 ^ (uint32_t)sizeof(struct qn_tally))

enum { TALLY_MODE = 0640, LOCK_NS = 10000000 };

_Static_assert(
    sizeof(struct qn_tally_line) == 64 && sizeof(struct day_line) == 64, "one cache line");

/* the file */

static void *map(int fd, int flags)
{
	void *p = mmap(NULL, sizeof(struct qn_tally), PROT_READ | PROT_WRITE, flags, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

/* Who dies with a lock passes it on; a lock that nobody passes on is not waited for (tally_claim). */
static bool fill(struct qn_tally *t)
{
	pthread_mutexattr_t attr;

	t->ahead = qn_now() - qn_mono_us();
	atomic_store(&t->seen_at, qn_mono_us());
	if (pthread_mutexattr_init(&attr) != 0)
		return false;
	bool ok = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED) == 0 &&
	          pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST) == 0;
	for (int i = 0; i < LOCKS; i++)
		ok = ok && pthread_mutex_init(&t->claim[i], &attr) == 0;
	pthread_mutexattr_destroy(&attr);
	t->magic = MAGIC;
	t->layout = LAYOUT;
	return ok;
}

static struct qn_tally *map_existing(int dir)
{
	struct qn_tally *t = NULL;
	struct stat st;
	int fd = openat(dir, "limits.tally", O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == (off_t)sizeof(*t))
		t = map(fd, MAP_SHARED);
	close(fd);
	if (t != NULL &&
	    (t->magic != MAGIC || t->layout != LAYOUT || atomic_load(&t->seen_at) > qn_mono_us())) {
		qn_tally_close(t);
		t = NULL;
	}
	if (t != NULL)
		tally_mark_all(t);
	return t;
}

/* The room is reserved: a full disk is an error here and not a SIGBUS in a worker later. */
static struct qn_tally *map_new(int dir)
{
	struct qn_tally *t = NULL;
	int fd, failed;

	unlinkat(dir, "limits.tally.new", 0); /* of a process that was killed just here */
	fd = openat(dir, "limits.tally.new", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	    TALLY_MODE);
	if (fd < 0)
		return NULL;
	failed = posix_fallocate(fd, 0, sizeof(*t));
	if (failed == 0 && (t = map(fd, MAP_SHARED)) == NULL)
		failed = errno;
	close(fd);
	if (t != NULL &&
	    (!fill(t) || renameat(dir, "limits.tally.new", dir, "limits.tally") != 0)) {
		failed = errno;
		qn_tally_close(t);
		t = NULL;
	}
	errno = failed;
	return t;
}

/* Pools that start together make one file: the folder's lock is held meanwhile. */
static struct qn_tally *open_in(const char *run_dir)
{
	struct qn_tally *t = NULL;
	int dir = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return NULL;
	if (flock(dir, LOCK_EX) == 0) {
		t = map_existing(dir);
		if (t == NULL)
			t = map_new(dir);
	}
	int failed = errno;
	close(dir);
	errno = failed;
	return t;
}

struct qn_tally *qn_tally_open(const char *run_dir)
{
	if (run_dir != NULL)
		return open_in(run_dir);
	struct qn_tally *t = map(-1, MAP_SHARED | MAP_ANONYMOUS);
	if (t == NULL || fill(t))
		return t;
	qn_tally_close(t);
	return NULL;
}

void qn_tally_close(struct qn_tally *t)
{
	if (t != NULL)
		munmap(t, sizeof(*t));
}

/* lines */

static bool lock(pthread_mutex_t *m)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += LOCK_NS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	int rc = pthread_mutex_clocklock(m, CLOCK_MONOTONIC, &until);
	/* What the dead one was at is either done or not begun: a key is one store. */
	return rc == 0 || (rc == EOWNERDEAD && pthread_mutex_consistent(m) == 0);
}

/* A free line of the bucket, else the one that was idle for longest. */
static long choose(struct qn_tally *t, const struct tally_claim *c, size_t bucket, int64_t now)
{
	struct keys *keys = &c->keys[bucket];
	int64_t oldest = -1, age = 0;
	long best = -1;

	for (size_t i = 0; i < WAYS; i++) {
		if (atomic_load(&keys->key[i]) == 0)
			return (long)i;
		if (c->idle(t, bucket * WAYS + i, now, &age) && age > oldest) {
			oldest = age;
			best = (long)i;
		}
	}
	return best;
}

static long claim_locked(
    struct qn_tally *t, const struct tally_claim *c, uint64_t key, size_t bucket, int64_t now)
{
	struct keys *keys = &c->keys[bucket];
	long way = tally_find(keys, key); /* somebody may have been faster */

	if (way >= 0)
		return way;
	way = choose(t, c, bucket, now);
	if (way < 0)
		return -1;
	if (c->ready != NULL) {
		atomic_store(&keys->key[way], 0);
		c->ready(t, bucket * WAYS + (size_t)way, c->arg);
	}
	atomic_store(&keys->key[way], key);
	return way;
}

long tally_claim(struct qn_tally *t, const struct tally_claim *c, uint64_t key, int64_t now)
{
	size_t bucket = key % c->buckets;
	long way = tally_find(&c->keys[bucket], key);

	if (way < 0) {
		pthread_mutex_t *m = &t->claim[bucket % LOCKS];
		if (!lock(m))
			return -1;
		way = claim_locked(t, c, key, bucket, now);
		pthread_mutex_unlock(m);
	}
	return way < 0 ? -1 : (long)(bucket * WAYS) + way;
}

bool qn_tally_due(struct qn_tally *t, int64_t every, int64_t now)
{
	int64_t due = atomic_load_explicit(&t->due_at, memory_order_relaxed);

	if (now < due && due - now <= every)
		return false;
	if (!atomic_compare_exchange_strong(&t->due_at, &due, now + every))
		return false;
	atomic_store(&t->seen_at, now);
	return true;
}
