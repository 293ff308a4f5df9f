/* Turns at hashing and at calls: as many as there are seats, a queue that ends, and nothing lost with the dead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "quoin/auth/turn.h"
#include "quoin/base/clock.h"

#define SECOND_US INT64_C(1000000)

static struct qn_board *board;

static int setup(void **state)
{
	(void)state;
	board = qn_board_create(NULL, QN_POOL_SLOW);
	return board == NULL;
}

static int teardown(void **state)
{
	(void)state;
	qn_board_unmap(board);
	return 0;
}

static struct qn_turns turns_of(int slot, int workers)
{
	struct qn_turns t;

	qn_turns_init(&t, QN_TURN_HASH, board, slot, workers);
	return t;
}

static struct qn_turns calls_of(int slot, int workers)
{
	struct qn_turns t;

	qn_turns_init(&t, QN_TURN_CALL, board, slot, workers);
	return t;
}

static int taken(void)
{
	int n = 0;

	for (int i = 0; i < QN_BOARD_SEATS; i++)
		n += atomic_load(&board->turns[QN_TURN_HASH].seat[i]) != 0;
	return n;
}

static int taken_by_calls(void)
{
	int n = 0;

	for (int i = 0; i < QN_BOARD_SEATS; i++)
		n += atomic_load(&board->turns[QN_TURN_CALL].seat[i]) != 0;
	return n;
}

static uint64_t refused(void)
{
	return atomic_load(&board->counter[QN_COUNT_TURNS_REFUSED]);
}

static void await_flag(_Atomic(int32_t) *flag, int32_t value)
{
	int64_t until = qn_mono_us() + 20 * SECOND_US;

	while (atomic_load(flag) != value)
		assert_true(qn_mono_us() < until);
}

/* A worker that takes a turn, keeps it until it is killed or, when `brief`, gives it back. Exits with 0
 * when it got one. */
static pid_t worker(int slot, int workers, bool brief)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid != 0)
		return pid;
	struct qn_turns t = turns_of(slot, workers);
	enum qn_err e = qn_turn_take(&t);
	if (e == QN_OK && !brief)
		pause();
	if (e == QN_OK)
		qn_turn_end(&t);
	_exit(e == QN_OK ? 0 : 1);
}

static int end_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void kill_worker(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(end_of(pid), -SIGKILL);
}

static void test_sizes(void **state)
{
	static const struct {
		int workers, seats, queue, calls, calls_queue;
	} cases[] = {{1, 1, 0, 1, 0}, {2, 1, 1, 1, 1}, {3, 1, 1, 2, 1}, {4, 2, 1, 3, 1},
	    {5, 2, 2, 4, 1}, {8, 4, 3, 7, 1}, {512, 256, 255, 256, 255}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int workers = cases[i].workers;
		struct qn_turns t = turns_of(0, workers), calls = calls_of(0, workers);
		assert_int_equal(t.seats, cases[i].seats);
		assert_int_equal(t.queue, cases[i].queue);
		assert_true(t.seats + t.queue <= workers);
		assert_int_equal(calls.seats, cases[i].calls);
		assert_int_equal(calls.queue, cases[i].calls_queue);
		assert_true(calls.seats + calls.queue <= workers);
	}
}

static void test_alone(void **state)
{
	struct qn_turns t;

	(void)state;
	qn_turns_init(&t, QN_TURN_HASH, NULL, -1, 1);
	assert_int_equal(qn_turn_take(&t), QN_OK);
	assert_int_equal(qn_turn_take(&t), QN_OK);
	qn_turn_end(&t);
}

static void test_take_and_end(void **state)
{
	struct qn_turns a = turns_of(0, 4), b = turns_of(511, 4);

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(qn_turn_take(&a), QN_OK);
		assert_int_equal(qn_turn_take(&b), QN_OK);
		assert_int_equal(taken(), 2);
		qn_turn_end(&a);
		assert_int_equal(taken(), 1);
		qn_turn_end(&b);
		assert_int_equal(taken(), 0);
	}
	assert_int_equal(refused(), 0);
}

/* One worker: nobody may wait, so the answer comes at once. */
static void test_full_queue_refuses(void **state)
{
	struct qn_turns holder = turns_of(0, 1), late = turns_of(1, 1);
	int64_t start = qn_mono_us();

	(void)state;
	assert_int_equal(qn_turn_take(&holder), QN_OK);
	assert_int_equal(qn_turn_take(&late), QN_BUSY);
	assert_true(qn_mono_us() - start < QN_TURN_WAIT_MS * INT64_C(1000));
	assert_int_equal(refused(), 1);
	assert_int_equal(atomic_load(&board->worker[1].waits), 0);
	qn_turn_end(&holder);
	assert_int_equal(qn_turn_take(&late), QN_OK);
}

static void test_waiter_gets_the_seat(void **state)
{
	struct qn_turns holder = turns_of(0, 2), third = turns_of(2, 2);

	(void)state;
	assert_int_equal(qn_turn_take(&holder), QN_OK);
	pid_t pid = worker(1, 2, true);
	await_flag(&board->worker[1].waits, 1);
	assert_int_equal(qn_turn_take(&third), QN_BUSY); /* one waits already */
	qn_turn_end(&holder);
	assert_int_equal(end_of(pid), 0);
	assert_int_equal(taken(), 0);
	assert_int_equal(atomic_load(&board->worker[1].waits), 0);
	assert_int_equal(refused(), 1);
}

static void test_wait_ends(void **state)
{
	struct qn_turns holder = turns_of(0, 2), late = turns_of(1, 2);
	int64_t start = qn_mono_us();

	(void)state;
	assert_int_equal(qn_turn_take(&holder), QN_OK);
	assert_int_equal(qn_turn_take(&late), QN_BUSY);
	assert_true(qn_mono_us() - start >= QN_TURN_WAIT_MS * INT64_C(1000));
	assert_int_equal(taken(), 1);
	assert_int_equal(atomic_load(&board->worker[1].waits), 0);
}

/* What the master does when it buries a worker: the waiting one is woken, not only allowed. */
static void test_killed_holder(void **state)
{
	(void)state;
	pid_t holder = worker(0, 2, false);
	await_flag(&board->turns[QN_TURN_HASH].seat[0], 1);
	pid_t waiter = worker(1, 2, true);
	await_flag(&board->worker[1].waits, 1);
	kill_worker(holder);
	assert_int_equal(taken(), 1);
	qn_turn_forget(board, 0);
	assert_int_equal(end_of(waiter), 0);
	assert_int_equal(taken(), 0);
}

static void test_killed_waiter(void **state)
{
	struct qn_turns holder = turns_of(0, 2);

	(void)state;
	assert_int_equal(qn_turn_take(&holder), QN_OK);
	pid_t dead = worker(1, 2, true);
	await_flag(&board->worker[1].waits, 1);
	kill_worker(dead);
	qn_turn_forget(board, 1);
	assert_int_equal(taken(), 1); /* the holder's */
	pid_t next = worker(1, 2, true);
	await_flag(&board->worker[1].waits, 1);
	qn_turn_end(&holder);
	assert_int_equal(end_of(next), 0);
}

/* Calls that hang take no seat of those who hash, nor does who waits for one count among them. */
static void test_kinds_are_apart(void **state)
{
	struct qn_turns call = calls_of(0, 2), late = calls_of(1, 2), hash = turns_of(1, 2),
			other = turns_of(2, 2);

	(void)state;
	assert_int_equal(qn_turn_take(&call), QN_OK);
	assert_int_equal(qn_turn_take(&late), QN_BUSY);
	assert_int_equal(refused(), 0);
	assert_int_equal(atomic_load(&board->counter[QN_COUNT_CALLS_REFUSED]), 1);
	assert_int_equal(qn_turn_take(&hash), QN_OK);
	atomic_store(&board->worker[3].waits, QN_TURN_CALL + 1);
	pid_t waiter = worker(4, 2, true);
	await_flag(&board->worker[4].waits, QN_TURN_HASH + 1);
	assert_int_equal(qn_turn_take(&other), QN_BUSY);
	qn_turn_end(&hash);
	assert_int_equal(end_of(waiter), 0);
	assert_int_equal(taken_by_calls(), 1);
	qn_turn_end(&call);
	assert_int_equal(qn_turn_take(&late), QN_OK);
}

/* Whatever a worker held goes with it. */
static void test_forgets_all_kinds(void **state)
{
	struct qn_turns call = calls_of(0, 4), hash = turns_of(0, 4);

	(void)state;
	assert_int_equal(qn_turn_take(&call), QN_OK);
	assert_int_equal(qn_turn_take(&hash), QN_OK);
	qn_turn_forget(board, 0);
	assert_int_equal(taken() + taken_by_calls(), 0);
}

/* Six in a hurry: never more than three at a time, and all of them get there. */
static void test_never_too_many(void **state)
{
	enum { WORKERS = 7, SEATS = 3, ROUNDS = 2000 }; /* 3 seats, 3 may wait */
	_Atomic(uint64_t) *inside = &board->counter[QN_COUNT_RETRIES],
			  *most = &board->counter[QN_COUNT_REPLAYS];
	pid_t pid[SEATS * 2];

	(void)state;
	for (int i = 0; i < SEATS * 2; i++) {
		pid[i] = fork();
		assert_true(pid[i] >= 0);
		if (pid[i] != 0)
			continue;
		struct qn_turns t = turns_of(i, WORKERS);
		for (int n = 0; n < ROUNDS; n++) {
			if (qn_turn_take(&t) != QN_OK)
				_exit(1);
			uint64_t now = atomic_fetch_add(inside, 1) + 1;
			if (now > atomic_load(most))
				atomic_store(most, now);
			if (now > SEATS)
				_exit(2);
			atomic_fetch_sub(inside, 1);
			qn_turn_end(&t);
		}
		_exit(0);
	}
	for (int i = 0; i < SEATS * 2; i++)
		assert_int_equal(end_of(pid[i]), 0);
	assert_in_range(atomic_load(most), 1, SEATS);
	assert_int_equal(taken(), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_sizes),
	    TEST(test_alone),
	    TEST(test_take_and_end),
	    TEST(test_full_queue_refuses),
	    TEST(test_waiter_gets_the_seat),
	    TEST(test_wait_ends),
	    TEST(test_killed_holder),
	    TEST(test_killed_waiter),
	    TEST(test_kinds_are_apart),
	    TEST(test_forgets_all_kinds),
	    TEST(test_never_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
