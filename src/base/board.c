#include "quoin/base/board.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "quoin/base/clock.h"

#define MAGIC   UINT32_C(0x514e4244)
#define LIVE_US (2 * INT64_C(1000000))

enum { BOARD_MODE = 0640 };

const int64_t qn_board_bounds[QN_BOARD_BUCKETS] = {
    100,
    250,
    500,
    1000,
    2500,
    5000,
    10000,
    25000,
    50000,
    100000,
    250000,
    1000000,
    5000000,
    INT64_MAX,
};

const char *qn_pool_name(enum qn_pool p)
{
	static const char *const names[QN_POOL__MAX] = {"none", "api", "slow", "ingest", "jobs"};
	return (unsigned)p < QN_POOL__MAX ? names[p] : names[QN_POOL_NONE];
}

enum qn_pool qn_pool_by_name(const char *name)
{
	for (int p = QN_POOL_API; p < QN_POOL__MAX; p++)
		if (strcmp(qn_pool_name((enum qn_pool)p), name) == 0)
			return (enum qn_pool)p;
	return QN_POOL_NONE;
}

static uint32_t fnv1a(const char *s)
{
	uint32_t h = UINT32_C(2166136261);

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * UINT32_C(16777619);
	return h;
}

/* Two builds agree when the sizes do and the counters have the same names in the same order. */
static uint32_t layout_id(void)
{
	static const char counters[] = ""
#define X(name, metric, help) metric ","
	    QN_BOARD_COUNTERS(X)
#undef X
	    ;
	return fnv1a(counters) ^ (uint32_t)sizeof(struct qn_board);
}

static void *map(int fd, int prot, int flags)
{
	void *p = mmap(NULL, sizeof(struct qn_board), prot, flags, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

static void fill(struct qn_board *b, enum qn_pool pool)
{
	b->magic = MAGIC;
	b->layout = layout_id();
	atomic_store(&b->pool, (int32_t)pool);
	atomic_store(&b->master, (int32_t)getpid());
	atomic_store(&b->started_us, qn_now());
	atomic_store(&b->all_revoked_us, qn_now()); /* nobody heard what came before */
	for (int i = 0; i < QN_BOARD_WORKERS; i++)
		atomic_store(&b->worker[i].route, -1);
}

/* The room is reserved: a full disk is an error here and not a SIGBUS in a worker later. */
static struct qn_board *map_new_file(const char *path)
{
	struct qn_board *b = NULL;
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, BOARD_MODE), failed;

	if (fd < 0)
		return NULL;
	failed = posix_fallocate(fd, 0, sizeof(*b));
	if (failed == 0 && fchmod(fd, BOARD_MODE) == 0)
		b = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
	if (b == NULL && failed == 0)
		failed = errno;
	close(fd);
	if (b == NULL)
		unlink(path);
	errno = failed;
	return b;
}

static bool board_path(
    char *out, size_t room, const char *run_dir, enum qn_pool pool, const char *suffix)
{
	int n = snprintf(out, room, "%s/%s.board%s", run_dir, qn_pool_name(pool), suffix);

	if (n > 0 && (size_t)n < room)
		return true;
	errno = ENAMETOOLONG;
	return false;
}

/* Readers open the name: what they find there is always whole. */
static struct qn_board *create_in(const char *run_dir, enum qn_pool pool)
{
	char path[512], temp[512], suffix[24];
	struct qn_board *b;

	snprintf(suffix, sizeof(suffix), ".%ld", (long)getpid());
	if (!board_path(path, sizeof(path), run_dir, pool, "") ||
	    !board_path(temp, sizeof(temp), run_dir, pool, suffix))
		return NULL;
	unlink(temp); /* of a process that had this pid and was killed just here */
	b = map_new_file(temp);
	if (b == NULL)
		return NULL;
	fill(b, pool);
	if (rename(temp, path) == 0)
		return b;
	int failed = errno;
	qn_board_unmap(b);
	unlink(temp);
	errno = failed;
	return NULL;
}

struct qn_board *qn_board_create(const char *run_dir, enum qn_pool pool)
{
	if (run_dir != NULL)
		return create_in(run_dir, pool);
	struct qn_board *b = map(-1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
	if (b != NULL)
		fill(b, pool);
	return b;
}

const struct qn_board *qn_board_map(const char *run_dir, enum qn_pool pool)
{
	const struct qn_board *b = NULL;
	char path[512];
	struct stat st;

	if (!board_path(path, sizeof(path), run_dir, pool, ""))
		return NULL;
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == (off_t)sizeof(*b))
		b = map(fd, PROT_READ, MAP_SHARED);
	close(fd);
	if (b != NULL && (b->magic != MAGIC || b->layout != layout_id())) {
		qn_board_unmap(b);
		b = NULL;
	}
	return b;
}

void qn_board_unmap(const struct qn_board *b)
{
	if (b != NULL)
		munmap((void *)(uintptr_t)b, sizeof(*b));
}

static struct qn_board_worker *line_of(struct qn_board *b, int slot)
{
	return slot >= 0 && slot < QN_BOARD_WORKERS ? &b->worker[slot] : NULL;
}

/* The time goes first: who sees the new stage must not see the time of the one before, or the
 * watchdog would take a long rest for a long request. */
void qn_board_stage(struct qn_board *b, int slot, enum qn_stage stage, int route)
{
	struct qn_board_worker *w = line_of(b, slot);

	if (w == NULL)
		return;
	atomic_store_explicit(&w->since_us, qn_mono_us(), memory_order_relaxed);
	atomic_store_explicit(&w->route, route, memory_order_relaxed);
	atomic_store_explicit(&w->stage, (int32_t)stage, memory_order_release);
}

static void add(_Atomic(uint64_t) *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static void raise_to(_Atomic(uint64_t) *peak, uint64_t n)
{
	uint64_t seen = atomic_load_explicit(peak, memory_order_relaxed);

	while (seen < n && !atomic_compare_exchange_weak_explicit(
			       peak, &seen, n, memory_order_relaxed, memory_order_relaxed))
		;
}

void qn_board_count(struct qn_board *b, enum qn_board_counter c, uint64_t n)
{
	if ((unsigned)c < QN_COUNT__MAX)
		add(&b->counter[c], n);
}

static int bucket_of(int64_t us)
{
	int i = 0;

	while (us > qn_board_bounds[i])
		i++;
	return i;
}

void qn_board_request(
    struct qn_board *b, int slot, int route, int status, int64_t us, uint64_t arena_peak)
{
	struct qn_board_worker *w = line_of(b, slot);

	if (w != NULL) {
		add(&w->requests, 1);
		raise_to(&w->arena_peak, arena_peak);
	}
	if (route < 0 || route >= QN_BOARD_ROUTES)
		return;
	struct qn_board_route *r = &b->route[route];
	add(&r->status[status >= 100 && status < 600 ? status / 100 : 0], 1);
	add(&r->bucket[bucket_of(us)], 1);
	add(&r->total_us, us > 0 ? (uint64_t)us : 0);
	raise_to(&r->arena_peak, arena_peak);
}

static uint32_t revoke_slot(const char *subject)
{
	uint32_t h = fnv1a(subject);
	return (h ^ h >> 16) % QN_BOARD_REVOKE;
}

/* Acquire and release: who sees the new number also sees what was written before it was raised. */
uint32_t qn_board_generation(const struct qn_board *b, const char *subject)
{
	return atomic_load_explicit(&b->revoke[revoke_slot(subject)], memory_order_acquire);
}

/*
 * A clock that was ahead has left copies that look young until its time has come. What is revoked now is revoked
 * for them, too.
 */
static qn_time revoked_now(const struct qn_board *b)
{
	qn_time now = qn_now(), latest = atomic_load(&b->latest_us);

	return now > latest ? now : latest;
}

/* First the count, then the line: who sees the line's new value has seen the count change too. */
void qn_board_bump(struct qn_board *b, const char *subject)
{
	uint32_t slot = revoke_slot(subject);

	atomic_fetch_add(&b->revocations, 1);
	atomic_store_explicit(&b->revoked_us[slot], revoked_now(b), memory_order_release);
	atomic_fetch_add_explicit(&b->revoke[slot], 1, memory_order_release);
}

qn_time qn_board_revoked_at(const struct qn_board *b, const char *subject)
{
	qn_time one =
	    atomic_load_explicit(&b->revoked_us[revoke_slot(subject)], memory_order_acquire);
	qn_time all = atomic_load_explicit(&b->all_revoked_us, memory_order_acquire);

	return one > all ? one : all;
}

uint32_t qn_board_revocations(const struct qn_board *b)
{
	return atomic_load(&b->revocations);
}

void qn_board_bump_all(struct qn_board *b)
{
	atomic_fetch_add(&b->revocations, 1);
	atomic_store_explicit(&b->all_revoked_us, revoked_now(b), memory_order_release);
	for (size_t i = 0; i < QN_BOARD_REVOKE; i++)
		atomic_fetch_add_explicit(&b->revoke[i], 1, memory_order_release);
}

void qn_board_listens(struct qn_board *b)
{
	qn_time now = qn_now();

	if (now > atomic_load(&b->latest_us)) /* it has one writer */
		atomic_store(&b->latest_us, now);
	atomic_store_explicit(&b->listener_us, qn_mono_us(), memory_order_release);
}

bool qn_board_live(const struct qn_board *b)
{
	int64_t seen = atomic_load_explicit(&b->listener_us, memory_order_acquire);
	return seen != 0 && qn_mono_us() - seen <= LIVE_US;
}
