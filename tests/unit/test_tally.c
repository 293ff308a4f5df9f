/* What the limits count: the arithmetic of windows, and the lines that all processes of a host share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "quoin/base/clock.h"
#include "quoin/base/siphash.h"
#include "quoin/base/tally.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SECOND   INT64_C(1000000)
#define MINUTE   QN_WINDOW_US

static char dir[] = "/tmp/quoin-tally-XXXXXX";

static const char *in_dir(const char *name)
{
	static char path[sizeof(dir) + 64];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(in_dir("limits.tally"));
	return rmdir(dir); /* fails when a temporary file was left behind */
}

/* windows */

static const struct {
	uint64_t before, now;
	int64_t age_s, used, limit, wait_s;
} windows[] = {
    {0, 0, 0, 0, 10, 0},
    {0, 9, 30, 9, 10, 0},
    {0, 10, 30, 10, 10, 36}, /* 30 s to the next window, in which 10 weigh 9 after 6 s */
    {0, 10, 0, 10, 10, 66},
    {10, 0, 0, 10, 10, 6},
    {10, 0, 6, 9, 10, 0},
    {10, 0, 5, 10, 10, 1},  /* 9.17, rounded up */
    {10, 5, 30, 10, 10, 6}, /* 5 and half of 10; 4 of them after 36 s */
    {10, 9, 0, 19, 10, 60}, /* when nothing of the older weighs any more */
    {10, 10, 59, 11, 10, 7},
    {1, 0, 59, 1, 1, 1}, /* one a minute is one a minute */
    {1, 0, 60, 0, 1, 0},
    {0, 1, 0, 1, 1, 120},
    {1000000, 0, 30, 500000, 1000000, 0},
    {7, 3, -5, 10, 10, 9}, /* outside of the window: as at its edge */
    {7, 3, 99, 3, 10, 0},
    {0, 0, 0, 0, 0, 120}, /* nothing is allowed at all */
    {UINT32_MAX, UINT32_MAX, 0, 2 * (int64_t)UINT32_MAX, 1, 120},
};

static void windows_are_weighted(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(windows); i++) {
		struct qn_window w = {windows[i].age_s * SECOND, windows[i].before, windows[i].now};
		int64_t wait = qn_window_wait(&w, windows[i].limit);
		if (qn_window_used(&w) != windows[i].used ||
		    (wait + SECOND - 1) / SECOND != windows[i].wait_s)
			fail_msg("case %zu: used %lld, wait %lld us", i,
			    (long long)qn_window_used(&w), (long long)wait);
	}
}

/* After the wait that was told there is room, and a microsecond before there was none. */
static void waits_are_exact(void **state)
{
	(void)state;
	for (uint64_t before = 0; before < 40; before += 3)
		for (uint64_t now = 0; now < 40; now += 7)
			for (int64_t age = 0; age < MINUTE; age += 7777777) {
				struct qn_window w = {age, before, now};
				int64_t limit = 20, wait = qn_window_wait(&w, limit);
				bool next = age + wait >= MINUTE;
				struct qn_window then = {age + wait - (next ? MINUTE : 0),
				    next ? now : before, next ? 0 : now};
				assert_true(qn_window_used(&then) < limit);
				then.age_us--;
				if (wait > 0 && then.age_us >= 0)
					assert_true(qn_window_used(&then) >= limit);
			}
}

/* the hash */

static void siphash_is_the_published_one(void **state)
{
	static const struct {
		size_t n;
		uint64_t hash;
	} vectors[] = {/* of the reference implementation */
	    {0, UINT64_C(0x726fdb47dd0e0e31)}, {1, UINT64_C(0x74f839c593dc67fd)},
	    {7, UINT64_C(0xab0200f58b01d137)}, {8, UINT64_C(0x93f5f5799a932462)},
	    {15, UINT64_C(0xa129ca6149be45e5)}, {63, UINT64_C(0x958a324ceb064572)}};
	const struct qn_sipkey key = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
	uint8_t text[64];

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)i;
	for (size_t i = 0; i < COUNT(vectors); i++)
		assert_true(qn_siphash(&key, text, vectors[i].n) == vectors[i].hash);
}

/* the file */

static void pools_share_one_file(void **state)
{
	struct qn_tally *a = qn_tally_open(dir), *b = qn_tally_open(dir);
	struct qn_tally_line *line;
	struct qn_window w;
	struct stat st;
	int64_t now = qn_mono_us();

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	assert_int_equal(stat(in_dir("limits.tally"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_true(qn_tally_hit(a, QN_TALLY_CALLERS, 7, 2, now, &w, &line));
	assert_true(qn_tally_hit(b, QN_TALLY_CALLERS, 7, 2, now, &w, &line));
	assert_false(qn_tally_hit(a, QN_TALLY_CALLERS, 7, 2, now, &w, &line));
	qn_tally_close(a);
	qn_tally_close(b);
	a = qn_tally_open(dir); /* after a restart of all pools */
	assert_false(qn_tally_hit(a, QN_TALLY_CALLERS, 7, 2, now, &w, &line));
	qn_tally_close(a);
}

static void put_byte(off_t at, uint8_t v)
{
	int fd = open(in_dir("limits.tally"), O_WRONLY);
	assert_int_equal(pwrite(fd, &v, 1, at), 1);
	close(fd);
}

static void what_is_not_ours_is_replaced(void **state)
{
	struct qn_tally_line *line;
	struct qn_window w;
	struct stat before, after;

	(void)state;
	for (int what = 0; what < 4; what++) {
		struct qn_tally *t = qn_tally_open(dir);
		assert_non_null(t);
		assert_int_equal(stat(in_dir("limits.tally"), &before), 0);
		qn_tally_close(t);
		if (what == 0)
			put_byte(0, 0x7f); /* another kind of file */
		else if (what == 1)
			put_byte(4, 0x7f); /* another layout */
		else if (what == 2)
			put_byte(23, 0x7f); /* of a boot that lasted longer than this one */
		else
			assert_int_equal(truncate(in_dir("limits.tally"), 100), 0);
		t = qn_tally_open(dir);
		assert_non_null(t);
		assert_true(qn_tally_hit(t, QN_TALLY_CALLERS, 1, 1, qn_mono_us(), &w, &line));
		qn_tally_close(t);
		assert_int_equal(stat(in_dir("limits.tally"), &after), 0);
		assert_true(before.st_ino != after.st_ino);
	}
	errno = 0;
	assert_null(qn_tally_open("/nonexistent/quoin"));
	assert_int_equal(errno, ENOENT);
}

/* minutes */

/* The beginning of a window of `t`. */
static int64_t fresh_minute(struct qn_tally *t)
{
	struct qn_tally_line *line;
	struct qn_window w;
	int64_t now = qn_mono_us();

	assert_true(qn_tally_hit(t, QN_TALLY_ADDRESSES, 4711, -1, now, &w, &line));
	return now - w.age_us + MINUTE;
}

static int hits(struct qn_tally *t, uint64_t key, int64_t limit, int tries, int64_t now)
{
	struct qn_tally_line *line;
	struct qn_window w;
	int n = 0;

	for (int i = 0; i < tries; i++)
		n += qn_tally_hit(t, QN_TALLY_CALLERS, key, limit, now, &w, &line);
	return n;
}

static void limits_are_exact(void **state)
{
	struct qn_tally *t = qn_tally_open(NULL);
	int64_t at = fresh_minute(t);

	(void)state;
	assert_int_equal(hits(t, 1, 10, 15, at), 10);
	assert_int_equal(hits(t, 2, 10, 5, at), 5);           /* another's count is another's */
	assert_int_equal(hits(t, 1, 12, 15, at + SECOND), 2); /* a higher plan raises at once */
	assert_int_equal(hits(t, 1, 10, 5, at + SECOND), 0);
	assert_int_equal(hits(t, 1, 10, 15, at + MINUTE), 0);
	assert_int_equal(hits(t, 1, 12, 15, at + MINUTE + 30 * SECOND), 6); /* half of 12 weigh */
	assert_int_equal(hits(t, 1, 12, 15, at + 3 * MINUTE), 12);
	assert_int_equal(hits(t, 3, 0, 3, at), 0);
	assert_int_equal(hits(t, 3, -1, 3, at), 3);
	qn_tally_close(t);
	t = qn_tally_open(NULL);
	assert_int_equal(hits(t, 0, 3, 5, at), 3); /* a key of nought is a key */
	qn_tally_close(t);
}

/* One whose clock reading is minutes old neither begins the present window anew nor is counted apart. */
static void late_ones_count_now(void **state)
{
	struct qn_tally *t = qn_tally_open(NULL);
	int64_t at = fresh_minute(t);

	(void)state;
	assert_int_equal(hits(t, 1, 10, 6, at + 2 * MINUTE), 6);
	assert_int_equal(hits(t, 1, 10, 9, at), 4);
	assert_int_equal(hits(t, 1, 10, 9, at + 2 * MINUTE), 0);
	qn_tally_close(t);
}

static void in_children(int children, void (*work)(struct qn_tally *, int), struct qn_tally *t)
{
	int status;

	for (int i = 0; i < children; i++)
		if (fork() == 0) {
			work(t, i);
			_exit(0);
		}
	for (int i = 0; i < children; i++)
		assert_true(wait(&status) > 0 && status == 0);
}

enum { CHILDREN = 8, ROUNDS = 20000, KEYS = 64 };
static int64_t contended_at;

/* All on one key, and all on many keys that none had a line for. */
static void hit_a_lot(struct qn_tally *t, int child)
{
	struct qn_tally_line *line;
	struct qn_window w;

	for (int i = 0; i < ROUNDS; i++) {
		if (!qn_tally_hit(t, QN_TALLY_CALLERS, 1, -1, contended_at, &w, &line))
			_exit(1);
		if (!qn_tally_hit(t, QN_TALLY_CALLERS,
			(uint64_t)(100 + (i + child * 7) % KEYS) * 4096, -1, contended_at, &w,
			&line))
			_exit(1);
	}
}

static uint64_t counted(struct qn_tally *t, uint64_t key)
{
	struct qn_tally_line *line;
	struct qn_window w = {0, 0, 0};

	assert_false(qn_tally_hit(t, QN_TALLY_CALLERS, key, 0, contended_at, &w, &line));
	return w.now;
}

static void processes_lose_no_hit(void **state)
{
	struct qn_tally *t = qn_tally_open(NULL);
	uint64_t sum = 0;
	int lines = 0;

	(void)state;
	contended_at = fresh_minute(t);
	in_children(CHILDREN, hit_a_lot, t);
	assert_int_equal(counted(t, 1), CHILDREN * ROUNDS);
	/* All 64 keys are of one bucket: eight have lines, the others share (here each another one). */
	for (uint64_t k = 100; k < 100 + KEYS; k++) {
		struct qn_tally_line *line;
		struct qn_window w;
		assert_false(
		    qn_tally_hit(t, QN_TALLY_CALLERS, k * 4096, 0, contended_at, &w, &line));
		lines += line != NULL;
		sum += line != NULL ? w.now : 0;
		assert_false(qn_tally_hit(
		    t, QN_TALLY_CALLERS, (k + 1024) * 4096, 0, contended_at, &w, &line));
		assert_null(line);
		sum += w.now;
	}
	assert_int_equal(lines, 8);
	assert_int_equal(sum, CHILDREN * ROUNDS);
	qn_tally_close(t);
}

enum { LIMIT = 1000 };

static void hit_until_refused(struct qn_tally *t, int child)
{
	struct qn_tally_line *line;
	struct qn_window w;
	int in = 0;

	(void)child;
	for (int i = 0; i < LIMIT; i++)
		in += qn_tally_hit(t, QN_TALLY_CALLERS, 5, LIMIT, contended_at, &w, &line);
	for (; in > 0; in--) /* how many it was let */
		qn_tally_hit(t, QN_TALLY_ADDRESSES, 5, -1, contended_at, &w, &line);
}

static void processes_share_an_exact_limit(void **state)
{
	struct qn_tally *t = qn_tally_open(NULL);
	struct qn_tally_line *line;
	struct qn_window w;

	(void)state;
	contended_at = fresh_minute(t);
	in_children(CHILDREN, hit_until_refused, t);
	assert_false(qn_tally_hit(t, QN_TALLY_ADDRESSES, 5, 0, contended_at, &w, &line));
	assert_int_equal(w.now, LIMIT);
	qn_tally_close(t);
}

/* Lines are given away when they weigh nothing, and not before: then newcomers share one. */
static void full_buckets_give_nothing_away(void **state)
{
	enum { WAYS = 8, BUCKETS = 4096 };
	struct qn_tally *t = qn_tally_open(NULL);
	int64_t at = fresh_minute(t);
	struct qn_tally_line *line, *lines[WAYS];
	struct qn_window w;

	(void)state;
	for (uint64_t k = 0; k < WAYS; k++) {
		assert_int_equal(hits(t, (k + 1) * BUCKETS, 5, 9, at), 5);
		qn_tally_hit(t, QN_TALLY_CALLERS, (k + 1) * BUCKETS, 5, at, &w, &lines[k]);
	}
	int in = 0;
	for (uint64_t k = 0; k < 1024 * 3; k++) { /* three newcomers on each shared line */
		in += qn_tally_hit(t, QN_TALLY_CALLERS, (100 + k) * BUCKETS, 2, at, &w, &line);
		assert_null(line);
	}
	assert_int_equal(in, 1024 * 2);
	for (uint64_t k = 0; k < WAYS; k++) /* those who were there are where they were */
		assert_int_equal(hits(t, (k + 1) * BUCKETS, 5, 3, at), 0);
	/* A minute later the old window still weighs; two later the first comer has a line. */
	assert_int_equal(hits(t, 1 * BUCKETS, 5, 1, at + MINUTE + 30 * SECOND), 1);
	qn_tally_hit(t, QN_TALLY_CALLERS, 99 * BUCKETS, 5, at + MINUTE, &w, &line);
	assert_null(line);
	assert_true(qn_tally_hit(t, QN_TALLY_CALLERS, 99 * BUCKETS, 5, at + 2 * MINUTE, &w, &line));
	assert_non_null(line);
	assert_ptr_not_equal(line, lines[0]); /* that one was used meanwhile */
	assert_int_equal(w.before + w.now, 1);
	/* A flood of addresses takes no line of a caller's. */
	for (uint64_t k = 0; k < 100; k++)
		qn_tally_hit(
		    t, QN_TALLY_ADDRESSES, (k + 1) * BUCKETS, 5, at + 2 * MINUTE, &w, &line);
	assert_null(line);
	assert_true(qn_tally_hit(t, QN_TALLY_CALLERS, 77 * BUCKETS, 5, at + 2 * MINUTE, &w, &line));
	assert_non_null(line);
	qn_tally_close(t);
}

/* Who is killed while he holds the lock of a bucket passes it on. */
static void hit_and_be_killed(struct qn_tally *t, int child, _Atomic(int) *done)
{
	struct qn_tally_line *line;
	struct qn_window w;

	for (uint64_t k = 0;; k++) {
		qn_tally_hit(t, QN_TALLY_CALLERS, k * 64 * 64 + (uint64_t)child, -1,
		    contended_at + (int64_t)(k / 8) * 3 * MINUTE, &w, &line);
		atomic_fetch_add(done, 1);
	}
}

static void the_killed_hold_nothing(void **state)
{
	struct qn_tally *t = qn_tally_open(NULL);
	struct qn_tally_line *line;
	struct qn_window w;
	int64_t at = fresh_minute(t);
	_Atomic(int) *done =
	    mmap(NULL, sizeof(*done), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(done != MAP_FAILED);
	for (int i = 0; i < 200; i++) {
		contended_at = at + i * INT64_C(1000000) * MINUTE;
		atomic_store(done, 0);
		pid_t pid = fork();
		if (pid == 0)
			hit_and_be_killed(t, 3, done);
		while (atomic_load(done) < i * 7 % 1700) /* then it is at another one */
			;
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		assert_true(qn_tally_hit(t, QN_TALLY_CALLERS, 3 + UINT64_C(4096) * 1000003, -1,
		    contended_at + 999999 * MINUTE, &w, &line));
		assert_non_null(line);
	}
	munmap((void *)(uintptr_t)done, sizeof(*done));
	qn_tally_close(t);
}

/* other hosts */

static void debts_are_told_once(void **state)
{
	struct qn_tally *t = qn_tally_open(NULL);
	int64_t at = fresh_minute(t);
	struct qn_tally_line *line;
	struct qn_tally_debt d, e;
	struct qn_window w;

	(void)state;
	for (int i = 0; i < 9; i++)
		assert_true(qn_tally_hit(t, QN_TALLY_CALLERS, 1, 100, at, &w, &line));
	assert_false(qn_tally_owes(t, line, 10, at, &d));
	assert_true(qn_tally_owes(t, line, 9, at, &d));
	assert_int_equal(d.n, 9);
	assert_int_equal(d.all, 9);
	assert_false(qn_tally_owes(t, line, 0, at, &e)); /* in another process' hands */
	qn_tally_untold(line, &d);
	assert_true(qn_tally_owes(t, line, 1, at, &d));
	assert_int_equal(d.n, 9);
	qn_tally_told(line, &d, 49); /* 40 are others' */
	assert_int_equal(hits(t, 1, 100, 100, at), 51);
	assert_true(qn_tally_owes(t, line, 1, at, &d));
	assert_int_equal(d.n, 51);
	assert_int_equal(d.all, 60);
	qn_tally_told(line, &d, 51); /* memcached was emptied: what we knew stays */
	assert_int_equal(hits(t, 1, 100, 100, at), 0);
	qn_tally_told(line, &d, 130);
	assert_int_equal(hits(t, 1, 120, 100, at), 0);
	/* In the next window the older weighs with all that is known. */
	assert_true(qn_tally_hit(t, QN_TALLY_CALLERS, 1, 200, at + MINUTE, &w, &line));
	assert_int_equal(w.before, 130);
	assert_false(qn_tally_owes(t, line, 1, at, &e)); /* of the older nothing is told any more */
	assert_true(qn_tally_owes(t, line, 1, at + MINUTE, &e));
	assert_int_equal(e.all, 1);
	qn_tally_told(line, &d, 500); /* a late answer */
	assert_true(qn_tally_hit(t, QN_TALLY_CALLERS, 1, 1000, at + MINUTE, &w, &line));
	assert_int_equal(w.now, 2);
	qn_tally_close(t);
}

/* Hosts that booted at other times, and whose clocks differ by seconds, mean the same minute. */
static void minutes_are_the_walls(void **state)
{
	struct qn_tally *t = qn_tally_open(NULL);
	int64_t at = fresh_minute(t), wall = qn_now() - qn_mono_us() + at;
	struct qn_tally_line *line;
	struct qn_tally_debt d;
	struct qn_window w;

	(void)state;
	assert_true(qn_tally_hit(t, QN_TALLY_CALLERS, 1, 100, at, &w, &line));
	assert_true(qn_tally_owes(t, line, 1, at, &d));
	int64_t minute = (wall + 30 * SECOND) / MINUTE;
	for (int64_t off = -29 * SECOND; off <= 29 * SECOND; off += SECOND)
		assert_int_equal(qn_tally_minute(t, &d, at, wall + off), minute);
	assert_int_equal(qn_tally_minute(t, &d, at, wall + 3600 * SECOND), minute + 60);
	qn_tally_close(t);
}

/* days */

static const char app[] = "01890a5d-ac96-774b-bcce-b302099a8057",
		  user[] = "01890a5d-ac96-774b-bcce-b302099a8fed";

static enum qn_tally_day day_hit(
    struct qn_tally *t, uint64_t key, uint32_t day, int64_t limit, int64_t now, uint64_t *used)
{
	struct qn_tally_user who = {key, app, user};

	return qn_tally_day(t, &who, day, limit, now, used);
}

static void days_are_counted_and_owed(void **state)
{
	struct qn_tally *t = qn_tally_open(NULL);
	struct qn_tally_owed owed[4];
	uint64_t used = 99;
	int64_t now = qn_mono_us();

	(void)state;
	assert_int_equal(day_hit(t, 1, 20000, 3, now, &used), QN_DAY_UNKNOWN);
	assert_int_equal(qn_tally_take(t, owed, 4), 0);
	qn_tally_learn(t, 1, 20000, 1);
	assert_int_equal(day_hit(t, 1, 20000, 3, now, &used), QN_DAY_COUNTED);
	assert_int_equal(used, 2);
	assert_int_equal(day_hit(t, 1, 20000, 3, now, &used), QN_DAY_COUNTED);
	assert_int_equal(day_hit(t, 1, 20000, 3, now, &used), QN_DAY_OVER);
	assert_int_equal(used, 3);
	assert_int_equal(day_hit(t, 1, 20000, 4, now, &used), QN_DAY_COUNTED);
	assert_int_equal(qn_tally_take(t, owed, 4), 1);
	assert_int_equal(owed[0].n, 3);
	assert_int_equal(owed[0].day, 20000);
	assert_string_equal(owed[0].app, app);
	assert_string_equal(owed[0].user, user);
	assert_int_equal(qn_tally_take(t, owed + 1, 3), 0);
	qn_tally_give_back(t, &owed[0]); /* Postgres was away */
	assert_int_equal(qn_tally_take(t, owed, 4), 1);
	assert_int_equal(owed[0].n, 3);
	qn_tally_learn(t, 1, 20000, 2); /* a late answer lowers nothing */
	assert_int_equal(day_hit(t, 1, 20000, 4, now, &used), QN_DAY_OVER);
	qn_tally_learn(t, 1, 20000, 50); /* another host's */
	assert_int_equal(day_hit(t, 1, 20000, 100, now, &used), QN_DAY_COUNTED);
	assert_int_equal(used, 51);
	/* The next day: unknown, and what is left of the last is still owed. */
	assert_int_equal(day_hit(t, 1, 20001, 100, now, &used), QN_DAY_UNKNOWN);
	qn_tally_learn(t, 1, 20001, 0);
	assert_int_equal(day_hit(t, 1, 20001, 100, now, &used), QN_DAY_COUNTED);
	assert_int_equal(used, 1);
	assert_int_equal(qn_tally_take(t, owed, 4), 2);
	assert_int_equal(owed[0].day + owed[1].day, 40001);
	/* The clock is set back: that day is asked for again. */
	assert_int_equal(day_hit(t, 1, 20000, 100, now, &used), QN_DAY_UNKNOWN);
	/* Without a limit nothing needs to be known. */
	assert_int_equal(day_hit(t, 2, 20000, -1, now, &used), QN_DAY_COUNTED);
	qn_tally_close(t);
}

static void days_keep_what_is_owed(void **state)
{
	enum { WAYS = 8, BUCKETS = 2048 };
	struct qn_tally *t = qn_tally_open(NULL);
	struct qn_tally_owed owed[2 * WAYS + 2];
	uint64_t used;
	int64_t now = qn_mono_us();

	(void)state;
	for (uint64_t k = 1; k <= WAYS; k++)
		assert_int_equal(day_hit(t, k * BUCKETS, 20000, -1, now, &used), QN_DAY_COUNTED);
	assert_int_equal(
	    day_hit(t, 50 * BUCKETS, 20000, -1, now + 100 * SECOND, &used), QN_DAY_FULL);
	assert_int_equal(qn_tally_take(t, owed, sizeof(owed) / sizeof(owed[0])), WAYS);
	assert_int_equal(day_hit(t, 50 * BUCKETS, 20000, -1, now + SECOND, &used), QN_DAY_FULL);
	assert_int_equal(
	    day_hit(t, 3 * BUCKETS, 20000, -1, now + 90 * SECOND, &used), QN_DAY_COUNTED);
	assert_int_equal(
	    day_hit(t, 50 * BUCKETS, 20000, 5, now + 100 * SECOND, &used), QN_DAY_UNKNOWN);
	qn_tally_learn(
	    t, 50 * BUCKETS, 20000, 4); /* nothing of the line's last owner is left in it */
	assert_int_equal(
	    day_hit(t, 50 * BUCKETS, 20000, 5, now + 100 * SECOND, &used), QN_DAY_COUNTED);
	assert_int_equal(used, 5);
	assert_int_equal(qn_tally_take(t, owed, sizeof(owed) / sizeof(owed[0])), 2);
	qn_tally_close(t);
}

static void count_and_store(struct qn_tally *t, int child)
{
	struct qn_tally_owed owed[64];
	uint64_t used;
	struct qn_tally_line *line;
	struct qn_window w;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t key = 1 + (uint64_t)((i + child) % 100);
		if (day_hit(t, key, 20000 + (uint32_t)(i > ROUNDS / 2), -1, contended_at, &used) !=
		    QN_DAY_COUNTED)
			_exit(1);
		if (i % 50 != 0)
			continue;
		size_t n = qn_tally_take(t, owed, 64);
		for (size_t k = 0; k < n; k++) { /* one in three fails */
			if (k % 3 == 2) {
				qn_tally_give_back(t, &owed[k]);
				continue;
			}
			for (uint64_t m = 0; m < owed[k].n; m++)
				qn_tally_hit(t, QN_TALLY_CALLERS, 1, -1, contended_at, &w, &line);
		}
	}
}

static void processes_lose_no_call(void **state)
{
	struct qn_tally *t = qn_tally_open(NULL);
	struct qn_tally_owed owed[64];
	uint64_t sum = 0;
	size_t n;

	(void)state;
	contended_at = fresh_minute(t);
	in_children(CHILDREN, count_and_store, t);
	sum = counted(t, 1);
	while ((n = qn_tally_take(t, owed, 64)) > 0)
		for (size_t i = 0; i < n; i++)
			sum += owed[i].n;
	assert_int_equal(sum, CHILDREN * ROUNDS);
	qn_tally_close(t);
}

/* What the killed left without a mark is found when a pool starts. */
static void restarts_find_what_is_owed(void **state)
{
	struct qn_tally *t = qn_tally_open(dir);
	struct qn_tally_owed owed[4];
	uint64_t used;

	(void)state;
	assert_int_equal(day_hit(t, 77, 20000, -1, qn_mono_us(), &used), QN_DAY_COUNTED);
	qn_tally_close(t);
	t = qn_tally_open(dir);
	assert_int_equal(qn_tally_take(t, owed, 4), 1);
	assert_int_equal(owed[0].key, 77);
	qn_tally_close(t);
}

static void one_process_stores(void **state)
{
	struct qn_tally *t = qn_tally_open(NULL);
	int64_t now = qn_mono_us();

	(void)state;
	assert_true(qn_tally_due(t, 2 * SECOND, now));
	assert_false(qn_tally_due(t, 2 * SECOND, now + SECOND));
	assert_true(qn_tally_due(t, 2 * SECOND, now + 2 * SECOND));
	assert_true(
	    qn_tally_due(t, SECOND, now)); /* a time that is too far ahead is no reason to wait */
	qn_tally_close(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(windows_are_weighted),
	    cmocka_unit_test(waits_are_exact),
	    cmocka_unit_test(siphash_is_the_published_one),
	    cmocka_unit_test(pools_share_one_file),
	    cmocka_unit_test(what_is_not_ours_is_replaced),
	    cmocka_unit_test(limits_are_exact),
	    cmocka_unit_test(late_ones_count_now),
	    cmocka_unit_test(processes_lose_no_hit),
	    cmocka_unit_test(processes_share_an_exact_limit),
	    cmocka_unit_test(full_buckets_give_nothing_away),
	    cmocka_unit_test(the_killed_hold_nothing),
	    cmocka_unit_test(debts_are_told_once),
	    cmocka_unit_test(minutes_are_the_walls),
	    cmocka_unit_test(days_are_counted_and_owed),
	    cmocka_unit_test(days_keep_what_is_owed),
	    cmocka_unit_test(processes_lose_no_call),
	    cmocka_unit_test(restarts_find_what_is_owed),
	    cmocka_unit_test(one_process_stores),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
