/* The board: made whole under its name, read by others, counted by many, revoked by slot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "quoin/base/board.h"
#include "quoin/base/clock.h"

static char dir[] = "/tmp/quoin-board-XXXXXX";

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
	unlink(in_dir("api.board"));
	unlink(in_dir("slow.board"));
	return rmdir(dir); /* fails when a temporary file was left behind */
}

static void names_go_both_ways(void **state)
{
	(void)state;
	for (int p = QN_POOL_API; p < QN_POOL__MAX; p++)
		assert_int_equal(qn_pool_by_name(qn_pool_name((enum qn_pool)p)), p);
	assert_int_equal(qn_pool_by_name("none"), QN_POOL_NONE);
	assert_int_equal(qn_pool_by_name(""), QN_POOL_NONE);
	assert_string_equal(qn_pool_name(QN_POOL__MAX), "none");
}

static void file_is_whole_and_private(void **state)
{
	mode_t before = umask(0);
	struct stat st;
	struct qn_board *b = qn_board_create(dir, QN_POOL_API);

	(void)state;
	umask(before);
	assert_non_null(b);
	assert_int_equal(stat(in_dir("api.board"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(st.st_size, sizeof(*b));
	assert_int_equal(b->pool, QN_POOL_API);
	assert_int_equal(b->master, getpid());
	assert_int_equal(b->worker[0].route, -1);
	assert_false(qn_board_live(b));
	qn_board_unmap(b);
}

static void others_read_what_workers_write(void **state)
{
	struct qn_board *b = qn_board_create(dir, QN_POOL_API);
	const struct qn_board *seen = qn_board_map(dir, QN_POOL_API);

	(void)state;
	assert_non_null(seen);
	int64_t before = qn_mono_us();
	qn_board_stage(b, 3, QN_STAGE_HANDLE, 7);
	assert_int_equal(seen->worker[3].stage, QN_STAGE_HANDLE);
	assert_int_equal(seen->worker[3].route, 7);
	assert_in_range(seen->worker[3].since_us, before, qn_mono_us());
	assert_null(qn_board_map(dir, QN_POOL_SLOW));
	qn_board_unmap(seen);
	qn_board_unmap(b);
}

static void reader_keeps_the_old_one(void **state)
{
	struct qn_board *old = qn_board_create(dir, QN_POOL_API);
	const struct qn_board *seen = qn_board_map(dir, QN_POOL_API);
	struct qn_board *new = qn_board_create(dir, QN_POOL_API);

	(void)state;
	qn_board_count(old, QN_COUNT_REPLAYS, 1);
	qn_board_count(new, QN_COUNT_REPLAYS, 5);
	assert_int_equal(seen->counter[QN_COUNT_REPLAYS], 1);
	qn_board_unmap(seen);
	seen = qn_board_map(dir, QN_POOL_API);
	assert_int_equal(seen->counter[QN_COUNT_REPLAYS], 5);
	qn_board_unmap(seen);
	qn_board_unmap(old);
	qn_board_unmap(new);
}

static void put_u32(const char *path, off_t at, uint32_t v)
{
	int fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, &v, sizeof(v), at), sizeof(v));
	close(fd);
}

static void another_layout_is_refused(void **state)
{
	const char *path = in_dir("slow.board");
	struct qn_board *b = qn_board_create(dir, QN_POOL_SLOW);
	uint32_t magic = b->magic, layout = b->layout;

	(void)state;
	put_u32(path, offsetof(struct qn_board, magic), magic + 1);
	assert_null(qn_board_map(dir, QN_POOL_SLOW));
	put_u32(path, offsetof(struct qn_board, magic), magic);
	put_u32(path, offsetof(struct qn_board, layout), layout + 1);
	assert_null(qn_board_map(dir, QN_POOL_SLOW));
	put_u32(path, offsetof(struct qn_board, layout), layout);
	assert_int_equal(truncate(path, sizeof(*b) + 1), 0);
	assert_null(qn_board_map(dir, QN_POOL_SLOW));
	assert_int_equal(truncate(path, 4), 0);
	assert_null(qn_board_map(dir, QN_POOL_SLOW));
	qn_board_unmap(b);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("api.board", path), 0);
	assert_null(qn_board_map(dir, QN_POOL_SLOW));
}

static void failure_leaves_nothing(void **state)
{
	char longer[600];

	(void)state;
	errno = 0;
	assert_null(qn_board_create("/nonexistent/quoin", QN_POOL_API));
	assert_int_equal(errno, ENOENT);
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_null(qn_board_create(longer, QN_POOL_API));
	assert_int_equal(errno, ENAMETOOLONG);
	assert_null(qn_board_map(longer, QN_POOL_API));
}

static void requests_fall_into_buckets(void **state)
{
	static const struct {
		int64_t us;
		int bucket;
	} cases[] = {
	    {-5, 0},
	    {0, 0},
	    {100, 0},
	    {101, 1},
	    {250, 1},
	    {999, 3},
	    {50000, 8},
	    {5000000, 12},
	    {5000001, 13},
	    {INT64_MAX, 13},
	};
	struct qn_board *b = qn_board_create(NULL, QN_POOL_API);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t before = b->route[2].bucket[cases[i].bucket];
		qn_board_request(b, 0, 2, 200, cases[i].us, i);
		assert_int_equal(b->route[2].bucket[cases[i].bucket], before + 1);
	}
	assert_int_equal(b->route[2].status[2], 10);
	assert_int_equal(b->worker[0].requests, 10);
	assert_int_equal(b->worker[0].arena_peak, 9);
	qn_board_request(b, 0, 2, 200, 1, 5);
	assert_int_equal(b->worker[0].arena_peak, 9);
	assert_int_equal(b->route[2].arena_peak, 9);
	qn_board_unmap(b);
}

static void bounds_are_ascending(void **state)
{
	(void)state;
	for (int i = 1; i < QN_BOARD_BUCKETS; i++)
		assert_true(qn_board_bounds[i - 1] < qn_board_bounds[i]);
	assert_true(qn_board_bounds[QN_BOARD_BUCKETS - 1] == INT64_MAX);
}

/* An unknown route, a child without a line, a status that is none: counted where it can be. */
static void odd_values_stay_inside(void **state)
{
	struct qn_board *b = qn_board_create(NULL, QN_POOL_API);

	(void)state;
	qn_board_stage(b, -1, QN_STAGE_IDLE, 0);
	qn_board_stage(b, QN_BOARD_WORKERS, QN_STAGE_IDLE, 0);
	qn_board_request(b, -1, -1, 404, 1, 1);
	qn_board_request(b, 1, QN_BOARD_ROUTES, 404, 1, 1);
	qn_board_request(b, QN_BOARD_WORKERS, 1, 700, 1, 1);
	qn_board_request(b, 1, 1, -200, 1, 1);
	assert_int_equal(b->worker[1].requests, 2);
	assert_int_equal(b->route[1].status[0], 2);
	qn_board_unmap(b);
}

static void processes_lose_no_count(void **state)
{
	struct qn_board *b = qn_board_create(NULL, QN_POOL_API);
	enum { CHILDREN = 4, ROUNDS = 20000 };
	int status;

	(void)state;
	for (int i = 0; i < CHILDREN; i++) {
		if (fork() == 0) {
			for (int n = 0; n < ROUNDS; n++)
				qn_board_count(b, QN_COUNT_DB_QUERIES, 2);
			_exit(0);
		}
	}
	for (int i = 0; i < CHILDREN; i++)
		assert_true(wait(&status) > 0 && status == 0);
	assert_int_equal(b->counter[QN_COUNT_DB_QUERIES], 2 * CHILDREN * ROUNDS);
	qn_board_unmap(b);
}

static void revocation_moves_one_slot(void **state)
{
	struct qn_board *b = qn_board_create(NULL, QN_POOL_API);
	uint32_t a = qn_board_generation(b, "user:a"), c = qn_board_generation(b, "user:c");

	(void)state;
	qn_board_bump(b, "user:a");
	assert_int_equal(qn_board_generation(b, "user:a"), a + 1);
	assert_int_equal(qn_board_generation(b, "user:c"), c);
	qn_board_bump_all(b);
	assert_int_equal(qn_board_generation(b, "user:a"), a + 2);
	assert_int_equal(qn_board_generation(b, "user:c"), c + 1);
	qn_board_unmap(b);
}

/* Ids that differ in little must not share slots more than chance has it: 4000 of them in 65536. */
static void subjects_spread(void **state)
{
	static bool seen[QN_BOARD_REVOKE];
	struct qn_board *b = qn_board_create(NULL, QN_POOL_API);
	int slots = 0;

	(void)state;
	for (int i = 0; i < 4000; i++) {
		char subject[64];
		snprintf(subject, sizeof(subject), "user:01890a5d-ac96-774b-bcce-%012d", i);
		qn_board_bump(b, subject);
	}
	for (size_t i = 0; i < QN_BOARD_REVOKE; i++) {
		seen[i] = b->revoke[i] > 0;
		slots += seen[i];
	}
	assert_true(slots > 3700);
	qn_board_unmap(b);
}

static void listener_lives_two_seconds(void **state)
{
	struct qn_board *b = qn_board_create(NULL, QN_POOL_API);

	(void)state;
	assert_false(qn_board_live(b));
	static const int64_t ages[] = {0, 1500000};
	for (size_t i = 0; i < 2; i++) {
		int64_t now;
		bool live;
		do { /* once more, if the clock ran on too far meanwhile */
			now = qn_mono_us();
			b->listener_us = now - ages[i];
			live = qn_board_live(b);
		} while (qn_mono_us() - now > 400000);
		assert_true(live);
	}
	b->listener_us = qn_mono_us() - 2000001;
	assert_false(qn_board_live(b));
	qn_board_unmap(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_go_both_ways),
	    cmocka_unit_test(file_is_whole_and_private),
	    cmocka_unit_test(others_read_what_workers_write),
	    cmocka_unit_test(reader_keeps_the_old_one),
	    cmocka_unit_test(another_layout_is_refused),
	    cmocka_unit_test(failure_leaves_nothing),
	    cmocka_unit_test(requests_fall_into_buckets),
	    cmocka_unit_test(bounds_are_ascending),
	    cmocka_unit_test(odd_values_stay_inside),
	    cmocka_unit_test(processes_lose_no_count),
	    cmocka_unit_test(revocation_moves_one_slot),
	    cmocka_unit_test(subjects_spread),
	    cmocka_unit_test(listener_lives_two_seconds),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
