/*
 * A real master with workers that speak one-letter requests over its socket. Each test has a run
 * directory, a settings file and a master of its own; states are polled for, against a deadline.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "quoin/auth/turn.h"
#include "quoin/base/clock.h"
#include "quoin/base/log.h"
#include "quoin/pool/master.h"
#include "quoin/pool/notify.h"

#define MS INT64_C(1000)
/* How much longer than usual all may take: the runner says so where valgrind slows it (TEST_SLOWNESS). */
static int64_t slowness(void)
{
	const char *said = getenv("TEST_SLOWNESS");
	long n = said != NULL ? strtol(said, NULL, 10) : 1;

	return n >= 1 && n <= 100 ? n : 1;
}

#define DEADLINE (20000 * MS) /* far more than anything here takes, even under valgrind */

enum { STARTS = 64 };

/* What the test's processes share. */
struct shared {
	_Atomic(int) fork_fails; /* errno for fork(2) in the master, 0 to let it work */
	_Atomic(int) starts;
	_Atomic(int64_t) start_us[STARTS];
	_Atomic(int) answered, refused; /* of the hammer */
};
static struct shared *shared;

static pid_t test_pid;
pid_t __real_fork(void);
pid_t __wrap_fork(void);

pid_t __wrap_fork(void)
{
	if (shared->fork_fails != 0 && getpid() != test_pid) {
		errno = shared->fork_fails;
		return -1;
	}
	return __real_fork();
}

/* waiting */

static void nap(void)
{
	poll(NULL, 0, 1);
}

#define UNTIL(condition) \
	do { \
		int64_t until_ = qn_mono_us() + DEADLINE; \
		while (!(condition)) { \
			if (qn_mono_us() > until_) \
				fail_msg("waited too long for: %s", #condition); \
			nap(); \
		} \
	} while (0)

/* the workers under test */

static void take_turn(const struct qn_child *child)
{
	struct qn_turns turns;

	qn_turns_init(&turns, QN_TURN_HASH, child->board, child->slot, 2);
	if (qn_turn_take(&turns) != QN_OK)
		_exit(3);
}

static int serve_one(const struct qn_child *child, int fd)
{
	char c = 0, reply[32];
	int result = -1;

	qn_board_stage(child->board, child->slot, QN_STAGE_READ, -1);
	if (read(fd, &c, 1) != 1)
		return result;
	qn_board_stage(child->board, child->slot, QN_STAGE_HANDLE, 5);
	if (c == 't') /* stuck with a turn at hashing */
		take_turn(child);
	if (c == 's' || c == 't') /* stuck */
		for (;;)
			pause();
	if (c == 'c') /* crash */
		_exit(3);
	if (c == 'x') /* the last one of this worker */
		result = 0;
	if (c == 'h' && (write(fd, "in", 2) != 2 || read(fd, &c, 1) != 1)) /* held */
		return result;
	int n = snprintf(reply, sizeof(reply), "%ld", (long)getpid());
	if (write(fd, reply, (size_t)n) != n)
		return result;
	qn_board_request(child->board, child->slot, 5, 200, 1, 1);
	return result;
}

static int serve(const struct qn_child *child)
{
	struct pollfd p = {.fd = child->listen_fd, .events = POLLIN};
	sigset_t mask;
	int result = -1;

	qn_child_wait_mask(&mask);
	while (result < 0 && !qn_child_leaving()) {
		qn_board_stage(child->board, child->slot, QN_STAGE_IDLE, -1);
		if (ppoll(&p, 1, NULL, &mask) != 1)
			continue;
		int fd = accept4(child->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		result = serve_one(child, fd);
		close(fd);
	}
	qn_board_stage(child->board, child->slot, QN_STAGE_LEAVE, -1);
	return result < 0 ? 0 : result;
}

static int fail_at_start(const struct qn_child *child)
{
	int n = atomic_fetch_add(&shared->starts, 1);

	(void)child;
	if (n < STARTS)
		shared->start_us[n] = qn_mono_us();
	return 3;
}

static int serve_in_the_first_slot(const struct qn_child *child)
{
	return child->slot == 0 ? serve(child) : fail_at_start(child);
}

/* Up, and busy with itself: hears TERM only by asking. */
static int busy(const struct qn_child *child)
{
	qn_board_stage(child->board, child->slot, QN_STAGE_IDLE, -1);
	while (!qn_child_leaving())
		;
	return 0;
}

static int listen_to_nobody(const struct qn_child *child)
{
	struct timespec soon = {.tv_nsec = 10 * 1000 * 1000};
	sigset_t mask;

	qn_child_wait_mask(&mask);
	while (!qn_child_leaving()) {
		atomic_store(&child->board->apps_gen, (uint32_t)getpid());
		atomic_store(&child->board->listener_us, qn_mono_us());
		ppoll(NULL, 0, &soon, &mask);
	}
	return 0;
}

/* the master under test */

struct rig {
	char dir[64], sock[96], conf[96];
	struct qn_pool_spec spec;
	int fd0; /* handed over as fd 0; -1: /dev/null */
	pid_t pid;
	const struct qn_board *board;
};

static void configure(struct rig *r, int workers, const char *more)
{
	FILE *f = fopen(r->conf, "w");

	assert_non_null(f);
	fprintf(f, "QUOIN_RUN_DIR=%s\nQUOIN_API_WORKERS=%d\nQUOIN_DRAIN_S=10\n%s", r->dir, workers,
	    more);
	assert_int_equal(fclose(f), 0);
}

static int set_up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	strcpy(r->dir, "/tmp/quoin-master-XXXXXX");
	if (mkdtemp(r->dir) == NULL)
		return -1;
	snprintf(r->sock, sizeof(r->sock), "%s/api.sock", r->dir);
	snprintf(r->conf, sizeof(r->conf), "%s/quoin.env", r->dir);
	r->spec = (struct qn_pool_spec){
	    .pool = QN_POOL_API,
	    .config_path = r->conf,
	    .listen_path = r->sock,
	    .listen_mode = 0600,
	    .workers = QN_CONF_KEY_QUOIN_API_WORKERS,
	    .worker = serve,
	};
	r->fd0 = -1;
	memset(shared, 0, sizeof(*shared));
	*state = r;
	return 0;
}

static void start(struct rig *r)
{
	fflush(NULL);
	r->pid = fork();
	assert_true(r->pid >= 0);
	if (r->pid != 0)
		return;
	int fd = r->fd0 >= 0 ? r->fd0 : open("/dev/null", O_RDWR);
	dup2(fd, STDIN_FILENO);
	struct qn_conf *conf = qn_conf_load(r->conf);
	exit(conf == NULL ? 99 : qn_master_run(&r->spec, conf));
}

static int up(const struct rig *r)
{
	int n = 0;

	for (int i = 0; r->board != NULL && i < QN_BOARD_WORKERS; i++)
		n += r->board->worker[i].pid > 0 && r->board->worker[i].stage >= QN_STAGE_IDLE &&
		     r->board->worker[i].stage < QN_STAGE_LEAVE;
	return n;
}

/* The board of this master: under the name there may still be that of the one before. */
static bool map_board(struct rig *r)
{
	if (r->board == NULL)
		r->board = qn_board_map(r->dir, QN_POOL_API);
	if (r->board != NULL && r->board->master == r->pid)
		return true;
	qn_board_unmap(r->board);
	r->board = NULL;
	return false;
}

static void start_and_wait(struct rig *r, int workers)
{
	start(r);
	UNTIL(map_board(r));
	UNTIL(up(r) == workers);
}

/* What was read from the board may be 0 still, which kill() takes for all of this process's group: `make` too. */
static void tell(pid_t pid, int sig)
{
	assert_true(pid > 0);
	assert_return_code(kill(pid, sig), errno);
}

/* The exit status of a child of this process, waited for; 128 + signal when it was killed. */
static int status_of(pid_t pid)
{
	int status = -1;

	UNTIL(waitpid(pid, &status, WNOHANG) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int stop(struct rig *r)
{
	pid_t pid = r->pid;

	r->pid = 0;
	tell(pid, SIGTERM);
	return status_of(pid);
}

static int tear_down(void **state)
{
	struct rig *r = *state;
	char path[160];

	if (r->pid > 0) {
		kill(r->pid, SIGKILL); /* its children hear of it and leave */
		waitpid(r->pid, NULL, 0);
	}
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	unlink(r->sock);
	unlink(r->conf);
	snprintf(path, sizeof(path), "%s/api.board", r->dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/limits.tally", r->dir);
	unlink(path);
	qn_board_unmap(r->board);
	int left = rmdir(r->dir); /* fails when a temporary file was left behind */
	free(r);
	return left;
}

static int pids(const struct rig *r, pid_t *out)
{
	int n = 0;

	for (int i = 0; i < QN_BOARD_WORKERS; i++)
		if (r->board->worker[i].pid > 0)
			out[n++] = r->board->worker[i].pid;
	return n;
}

static bool has(const struct rig *r, pid_t pid)
{
	for (int i = 0; i < QN_BOARD_WORKERS; i++)
		if (r->board->worker[i].pid == pid)
			return true;
	return false;
}

static uint64_t counted(const struct rig *r, enum qn_board_counter c)
{
	return r->board->counter[c];
}

/* the client */

static int try_connect(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strncpy(to.sun_path, path, sizeof(to.sun_path) - 1);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int ask(const struct rig *r, char c)
{
	int fd = try_connect(r->sock);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, &c, 1), 1);
	return fd;
}

/* The pid that answered, 0 when the connection ended without an answer. */
static pid_t answer(int fd)
{
	char text[32] = "";
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (poll(&p, 1, (int)(DEADLINE / MS)) != 1)
		fail_msg("no answer in time");
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	return (pid_t)atoi(text);
}

static int hold(const struct rig *r)
{
	char text[2];
	int fd = ask(r, 'h');

	assert_int_equal(read(fd, text, 2), 2);
	return fd;
}

static pid_t release(int fd)
{
	assert_int_equal(write(fd, "r", 1), 1);
	return answer(fd);
}

/* Asks without a pause until it is killed. */
static pid_t hammer(const char *path)
{
	fflush(NULL);
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	for (;;) {
		char text[32];
		int fd = try_connect(path);
		bool ok = fd >= 0 && write(fd, "p", 1) == 1 && read(fd, text, sizeof(text)) > 0;
		atomic_fetch_add(ok ? &shared->answered : &shared->refused, 1);
		if (fd >= 0)
			close(fd);
	}
}

static void end_hammer(pid_t pid)
{
	int so_far = shared->answered;

	UNTIL(shared->answered > so_far + 20);
	tell(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(shared->refused, 0);
}

/* sockets of the test's own */

static int listen_at(const char *path, bool listening, int type)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	strncpy(at.sun_path, path, sizeof(at.sun_path) - 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	if (listening)
		assert_int_equal(listen(fd, 10), 0);
	return fd;
}

static int notify_socket(struct rig *r)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/notify", r->dir);
	setenv("NOTIFY_SOCKET", path, 1);
	return listen_at(path, false, SOCK_DGRAM);
}

static void no_notify_socket(int fd)
{
	unlink(getenv("NOTIFY_SOCKET"));
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	close(fd);
}

/* Reads on until a message begins with `what`; the rest of what it says goes to `ret`. */
static void hear(int fd, const char *what, char *ret, size_t room)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char text[256];

	for (;;) {
		if (poll(&p, 1, (int)(DEADLINE / MS)) != 1)
			fail_msg("systemd never heard %s", what);
		ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
		assert_true(n > 0);
		text[n] = '\0';
		if (strncmp(text, what, strlen(what)) == 0)
			break;
	}
	snprintf(ret, room, "%s", text + strlen(what));
}

/* serving and respawning */

static void serves_and_stops(void **state)
{
	struct rig *r = *state;
	struct stat st;
	mode_t before = umask(0);

	configure(r, 3, "");
	start_and_wait(r, 3);
	umask(before);
	assert_true(has(r, answer(ask(r, 'p'))));
	assert_int_equal(stat(r->sock, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(r->board->master, r->pid);
	assert_int_equal(r->board->config_gen, 1);
	assert_int_equal(counted(r, QN_COUNT_WORKER_STARTS), 3);
	assert_int_equal(stop(r), 0);
	assert_int_equal(r->board->master, 0);
	assert_int_equal(up(r), 0);
	assert_int_equal(counted(r, QN_COUNT_WORKER_DEATHS), 0);
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static void killed_worker_is_replaced_at_once(void **state)
{
	struct rig *r = *state;
	int64_t took[9];
	pid_t pid[QN_BOARD_WORKERS];

	configure(r, 3, "");
	start_and_wait(r, 3);
	for (int i = 0; i < 9; i++) {
		assert_int_equal(pids(r, pid), 3);
		int64_t killed = qn_mono_us();
		tell(pid[i % 3], SIGKILL);
		UNTIL(!has(r, pid[i % 3]) && up(r) == 3);
		took[i] = qn_mono_us() - killed;
	}
	qsort(took, 9, sizeof(took[0]), by_value);
	print_message("respawn: median %.1f ms, worst %.1f ms\n", (double)took[4] / 1e3,
	    (double)took[8] / 1e3);
	assert_true(took[4] <= 1000 * MS * slowness()); /* pauses as of failures: 1600 */
	assert_int_equal(counted(r, QN_COUNT_WORKER_DEATHS), 9);
	assert_int_equal(counted(r, QN_COUNT_WORKER_STARTS), 12);
	assert_int_equal(stop(r), 0);
}

static void all_killed_come_back(void **state)
{
	struct rig *r = *state;
	pid_t pid[QN_BOARD_WORKERS];

	configure(r, 4, "");
	start_and_wait(r, 4);
	assert_int_equal(pids(r, pid), 4);
	int64_t killed = qn_mono_us();
	for (int i = 0; i < 4; i++)
		tell(pid[i], SIGKILL);
	assert_true(answer(ask(r, 'p')) > 0 || answer(ask(r, 'p')) > 0);
	UNTIL(up(r) == 4);
	print_message("all killed: %.1f ms\n", (double)(qn_mono_us() - killed) / 1e3);
	assert_true(qn_mono_us() - killed <= 10000 * MS * slowness());
	assert_int_equal(stop(r), 0);
}

static void crash_loop_is_slowed(void **state)
{
	struct rig *r = *state;
	int64_t from = qn_mono_us(), pauses = 0;

	configure(r, 1, "");
	r->spec.worker = fail_at_start;
	start(r);
	UNTIL(shared->start_us[4] != 0);
	for (int i = 0; i < 4; i++) {
		pauses += 100 * MS << i;
		print_message("start %d after %.0f ms\n", i + 1,
		    (double)(shared->start_us[i + 1] - from) / 1e3);
		assert_true(
		    shared->start_us[i + 1] - from >= pauses); /* it may be late, never early */
	}
	assert_int_equal(stop(r), 0); /* in the middle of a pause */
}

static void siblings_that_fail_wait_together(void **state)
{
	struct rig *r = *state;
	int64_t from = qn_mono_us();

	configure(r, 4, "");
	r->spec.worker = fail_at_start;
	start(r);
	UNTIL(shared->start_us[8] != 0 && shared->start_us[11] != 0);
	/* three rounds of four: 100 and 200 ms between them, not a doubling for each that failed (70 s) */
	assert_true(shared->start_us[11] - from < 6000 * MS * slowness());
	assert_true(shared->start_us[8] - from >= 300 * MS);
	assert_int_equal(stop(r), 0);
}

static void young_failure_does_not_hold_up_others(void **state)
{
	struct rig *r = *state;
	pid_t pid[QN_BOARD_WORKERS];

	configure(r, 2, "");
	r->spec.worker = serve_in_the_first_slot;
	start(r);
	UNTIL(map_board(r));
	UNTIL(counted(r, QN_COUNT_WORKER_DEATHS) == 5);
	UNTIL(up(r) == 1 && pids(r, pid) == 1); /* the pause is 1600 ms now */
	int64_t killed = qn_mono_us();
	tell(pid[0], SIGKILL);
	UNTIL(!has(r, pid[0]) && up(r) >= 1);
	assert_true(qn_mono_us() - killed < 1200 * MS * slowness());
	assert_int_equal(stop(r), 0);
}

static void worn_out_worker_is_replaced_at_once(void **state)
{
	struct rig *r = *state;

	configure(r, 1, "");
	start_and_wait(r, 1);
	int64_t from = qn_mono_us();
	for (int i = 0; i < 10; i++)
		assert_true(answer(ask(r, 'x')) > 0);
	UNTIL(up(r) == 1 && counted(r, QN_COUNT_WORKER_STARTS) == 11);
	print_message("ten worn out: %.1f ms\n", (double)(qn_mono_us() - from) / 1e3);
	assert_true(
	    qn_mono_us() - from < 10000 * MS * slowness()); /* pauses as of failures: 45 s */
	assert_int_equal(counted(r, QN_COUNT_WORKER_DEATHS), 0);
	assert_int_equal(stop(r), 0);
}

static void failing_fork_leaves_fewer(void **state)
{
	struct rig *r = *state;
	pid_t pid[QN_BOARD_WORKERS];

	configure(r, 2, "");
	start_and_wait(r, 2);
	pids(r, pid);
	shared->fork_fails = EAGAIN;
	tell(pid[0], SIGKILL);
	UNTIL(!has(r, pid[0]));
	int64_t since = qn_mono_us();
	while (qn_mono_us() - since < 350 * MS) /* over several tries */
		assert_int_equal(answer(ask(r, 'p')), pid[1]);
	assert_int_equal(up(r), 1);
	shared->fork_fails = 0;
	UNTIL(up(r) == 2);
	assert_int_equal(stop(r), 0);
}

static void nothing_can_be_forked_at_first(void **state)
{
	struct rig *r = *state;

	configure(r, 2, "");
	shared->fork_fails = ENOMEM;
	start(r);
	UNTIL(map_board(r) && r->board->config_gen == 1);
	int fd = ask(r, 'p'); /* waits in the backlog */
	shared->fork_fails = 0;
	assert_true(answer(fd) > 0);
	assert_int_equal(stop(r), 0);
}

/* stopping */

static void term_finishes_the_request_in_hand(void **state)
{
	static const int by[] = {SIGTERM, SIGINT, SIGQUIT};

	for (int i = 0; i < 3; i++) {
		struct rig *r = *state;
		configure(r, 2, "");
		start_and_wait(r, 2);
		int fd = hold(r);
		tell(r->pid, by[i]);
		UNTIL(up(r) == 1);
		tell(r->pid, by[i]); /* a second one changes nothing */
		assert_true(release(fd) > 0);
		assert_int_equal(status_of(r->pid), 0);
		r->pid = 0;
		assert_int_equal(up(r), 0);
		qn_board_unmap(r->board);
		r->board = NULL;
	}
}

static void drain_ends(void **state)
{
	struct rig *r = *state;

	configure(r, 2, "QUOIN_DRAIN_S=1\n");
	start_and_wait(r, 2);
	int fd = hold(r);
	int64_t from = qn_mono_us();
	assert_int_equal(stop(r), 0);
	assert_true(qn_mono_us() - from >= 1000 * MS);
	assert_int_equal(answer(fd), 0);
}

static void busy_worker_hears_term(void **state)
{
	struct rig *r = *state;

	configure(r, 1, "");
	r->spec.worker = busy;
	start_and_wait(r, 1);
	int64_t from = qn_mono_us();
	assert_int_equal(stop(r), 0);
	assert_true(qn_mono_us() - from < 5000 * MS * slowness());
}

static void watchdog_kills_the_stuck(void **state)
{
	struct rig *r = *state;

	configure(r, 2, "QUOIN_REQUEST_TIMEOUT_S=1\n");
	start_and_wait(r, 2);
	int64_t from = qn_mono_us();
	int fd = ask(r, 's');
	UNTIL(counted(r, QN_COUNT_WATCHDOG_KILLS) == 1);
	print_message("watchdog of 1 s: %.1f ms\n", (double)(qn_mono_us() - from) / 1e3);
	assert_true(qn_mono_us() - from >= 1000 * MS);
	assert_int_equal(answer(fd), 0);
	UNTIL(up(r) == 2);
	assert_true(answer(ask(r, 'p')) > 0);
	assert_int_equal(stop(r), 0);
}

static void turn_of_the_dead_is_free_again(void **state)
{
	struct rig *r = *state;

	configure(r, 2, "");
	start_and_wait(r, 2);
	for (int i = 0; i < 3; i++) {
		int fd = ask(r, 't');
		UNTIL(r->board->turns[QN_TURN_HASH].seat[0] != 0);
		tell(r->board->worker[r->board->turns[QN_TURN_HASH].seat[0] - 1].pid, SIGKILL);
		assert_int_equal(answer(fd), 0);
		UNTIL(r->board->turns[QN_TURN_HASH].seat[0] == 0 && up(r) == 2);
	}
	assert_int_equal(counted(r, QN_COUNT_WORKER_DEATHS), 3);
	assert_int_equal(stop(r), 0);
}

/* A worker that rested longer than the limit is not taken for one that works so long. */
static void watchdog_spares_the_rested(void **state)
{
	struct rig *r = *state;

	configure(r, 1, "QUOIN_REQUEST_TIMEOUT_S=1\n");
	start_and_wait(r, 1);
	int64_t since = qn_mono_us();
	pid_t only = answer(ask(r, 'p'));
	UNTIL(qn_mono_us() - since > 1200 * MS);
	for (int i = 0; i < 200; i++)
		assert_int_equal(answer(ask(r, 'p')), only);
	assert_int_equal(counted(r, QN_COUNT_WATCHDOG_KILLS), 0);
	assert_int_equal(stop(r), 0);
}

static void children_leave_with_their_master(void **state)
{
	struct rig *r = *state;
	pid_t pid[QN_BOARD_WORKERS], held = 0;

	prctl(PR_SET_CHILD_SUBREAPER, 1); /* the orphans become ours to wait for */
	configure(r, 3, "");
	start_and_wait(r, 3);
	assert_int_equal(pids(r, pid), 3);
	int fd = hold(r);
	for (int i = 0; i < 3; i++)
		if (r->board->worker[i].stage == QN_STAGE_HANDLE)
			held = r->board->worker[i].pid;
	int64_t from = qn_mono_us();
	tell(r->pid, SIGKILL);
	assert_int_equal(status_of(r->pid), 128 + SIGKILL);
	r->pid = 0;
	for (int i = 0; i < 3; i++)
		if (pid[i] != held)
			assert_int_equal(status_of(pid[i]), 0);
	print_message("idle orphans left in %.1f ms\n", (double)(qn_mono_us() - from) / 1e3);
	assert_int_equal(release(fd), held);
	assert_int_equal(status_of(held), 0);
	assert_int_equal(try_connect(r->sock), -1);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
}

/* reloading */

static void hup_replaces_all_without_a_refusal(void **state)
{
	struct rig *r = *state;
	pid_t before[QN_BOARD_WORKERS], client;
	int fewest = 4;

	configure(r, 4, "");
	start_and_wait(r, 4);
	client = hammer(r->sock);
	UNTIL(shared->answered > 50);
	for (uint32_t round = 2; round < 5; round++) {
		pids(r, before);
		tell(r->pid, SIGHUP);
		UNTIL(r->board->config_gen == round);
		for (bool done = false; !done; nap()) {
			int n = up(r);
			fewest = n < fewest ? n : fewest;
			done = n == 4;
			for (int i = 0; i < 4; i++)
				done = done && !has(r, before[i]);
		}
	}
	end_hammer(client);
	print_message("three reloads under %d requests: none refused, never fewer than %d up\n",
	    shared->answered, fewest);
	assert_int_equal(fewest, 4);
	assert_int_equal(counted(r, QN_COUNT_WORKER_DEATHS), 0);
	assert_int_equal(stop(r), 0);
}

static void hup_lets_the_request_in_hand_finish(void **state)
{
	struct rig *r = *state;
	pid_t held;

	configure(r, 1, "");
	start_and_wait(r, 1);
	held = r->board->worker[0].pid;
	int fd = hold(r);
	tell(r->pid, SIGHUP);
	UNTIL(up(r) == 2); /* the new one serves, the old one still works */
	pid_t fresh = answer(ask(r, 'p'));
	assert_int_not_equal(fresh, held);
	assert_int_equal(release(fd), held);
	UNTIL(!has(r, held));
	assert_true(has(r, fresh));
	assert_int_equal(stop(r), 0);
}

static void hup_changes_the_number(void **state)
{
	struct rig *r = *state;
	static const int numbers[] = {5, 1, 3};

	configure(r, 2, "");
	start_and_wait(r, 2);
	for (uint32_t i = 0; i < 3; i++) {
		configure(r, numbers[i], "");
		tell(r->pid, SIGHUP);
		UNTIL(r->board->config_gen == i + 2 && up(r) == numbers[i]);
		pid_t pid[QN_BOARD_WORKERS];
		UNTIL(pids(r, pid) == numbers[i]);
	}
	assert_int_equal(stop(r), 0);
}

static void refused_settings_change_nothing(void **state)
{
	static const char *const bad[] = {
	    "QUOIN_NO_SUCH_KEY=1\n", "QUOIN_API_WORKERS=0\n", "QUOIN_LOG_LEVEL=loud\n",
	    "MEMCACHED_PREFIX=other\n", /* may not change on HUP */
	};
	struct rig *r = *state;
	char rest[256];
	int fd = notify_socket(r);

	configure(r, 1, "");
	start_and_wait(r, 1);
	hear(fd, "READY=1", rest, sizeof(rest));
	pid_t before = answer(ask(r, 'p'));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		configure(r, 1, bad[i]);
		tell(r->pid, SIGHUP);
		hear(fd, "READY=1", rest, sizeof(rest));
		assert_int_equal(answer(ask(r, 'p')), before);
	}
	configure(r, 1, "");
	tell(r->pid, SIGHUP);
	UNTIL(r->board->config_gen == 2); /* the first that was accepted */
	UNTIL(!has(r, before) && up(r) == 1);
	assert_int_equal(stop(r), 0);
	no_notify_socket(fd);
}

static void hup_forgives_a_crash_loop(void **state)
{
	struct rig *r = *state;

	configure(r, 1, "");
	r->spec.worker = fail_at_start;
	start(r);
	UNTIL(map_board(r));
	UNTIL(counted(r, QN_COUNT_WORKER_DEATHS) == 6); /* the next pause is 3200 ms */
	int64_t told = qn_mono_us();
	tell(r->pid, SIGHUP);
	UNTIL(shared->start_us[6] != 0);
	assert_true(shared->start_us[6] - told < 1600 * MS * slowness());
	assert_int_equal(stop(r), 0);
}

/* the socket */

static void serves_an_inherited_socket(void **state)
{
	struct rig *r = *state;

	configure(r, 2, "");
	r->spec.listen_path = NULL;
	r->fd0 = listen_at(r->sock, true, SOCK_STREAM);
	int early = ask(r, 'p'); /* before anybody is there */
	start_and_wait(r, 2);
	assert_true(has(r, answer(early)));
	assert_true(has(r, answer(ask(r, 'p'))));
	assert_int_equal(stop(r), 0);
	int fd = try_connect(r->sock); /* it is not ours to close */
	assert_true(fd >= 0);
	close(fd);
	close(r->fd0);
}

static void refuses_what_does_not_listen(void **state)
{
	struct rig *r = *state;
	char path[128];
	int pair[2], pipes[2];

	configure(r, 1, "");
	r->spec.listen_path = NULL;
	snprintf(path, sizeof(path), "%s/other", r->dir);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(pipe(pipes), 0);
	int bound = listen_at(r->sock, false, SOCK_STREAM),
	    datagram = listen_at(path, false, SOCK_DGRAM);
	int bad[] = {-1, pair[0], pipes[0], bound, datagram};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		r->fd0 = bad[i];
		start(r);
		assert_int_equal(status_of(r->pid), 1);
		r->pid = 0;
		if (bad[i] >= 0)
			close(bad[i]);
	}
	close(pair[1]);
	close(pipes[1]);
	unlink(path);
	assert_null(qn_board_map(r->dir, QN_POOL_API));
}

static void refuses_a_path_that_cannot_be(void **state)
{
	struct rig *r = *state;
	char longer[160];

	configure(r, 1, "");
	memset(longer, 'x', sizeof(longer));
	memcpy(longer, "/tmp/", 5);
	longer[sizeof(longer) - 1] = '\0';
	const char *bad[] = {longer, "/nonexistent/api.sock", r->dir};
	for (size_t i = 0; i < 3; i++) {
		r->spec.listen_path = bad[i];
		start(r);
		assert_int_equal(status_of(r->pid), 1);
		r->pid = 0;
	}
}

static void successor_takes_the_name_over(void **state)
{
	struct rig *r = *state, next = *r;
	pid_t client;

	configure(r, 2, "");
	start_and_wait(r, 2);
	client = hammer(r->sock);
	UNTIL(shared->answered > 50);
	start_and_wait(&next, 2);
	UNTIL(has(&next, answer(ask(&next, 'p'))));
	assert_int_equal(stop(r), 0);
	end_hammer(client);
	assert_true(has(&next, answer(ask(&next, 'p'))));
	assert_int_equal(stop(&next), 0);
	qn_board_unmap(next.board);
}

/* the listener */

static void listener_is_kept(void **state)
{
	struct rig *r = *state;

	configure(r, 1, "");
	r->spec.listener = listen_to_nobody;
	start_and_wait(r, 1);
	UNTIL(qn_board_live(r->board));
	pid_t first = (pid_t)r->board->apps_gen;
	tell(first, SIGKILL);
	UNTIL(r->board->apps_gen != (uint32_t)first && qn_board_live(r->board));
	pid_t second = (pid_t)r->board->apps_gen;
	tell(r->pid, SIGHUP); /* it gets the new settings too */
	UNTIL(r->board->apps_gen != (uint32_t)second && qn_board_live(r->board));
	assert_int_equal(stop(r), 0);
	assert_false(qn_board_live(r->board));
}

/* systemd */

static void tells_systemd(void **state)
{
	struct rig *r = *state;
	char rest[256];
	int fd = notify_socket(r);
	int64_t began = qn_mono_us();

	setenv("WATCHDOG_USEC", "200000", 1);
	configure(r, 2, "");
	start(r);
	hear(fd, "READY=1", rest, sizeof(rest));
	UNTIL(map_board(r));
	assert_int_equal(up(r), 2);
	hear(fd, "STATUS=2 of 2 workers serving", rest, sizeof(rest));
	int64_t from = qn_mono_us();
	for (int i = 0; i < 8; i++) /* every 100 ms; some may have been there already */
		hear(fd, "WATCHDOG=1", rest, sizeof(rest));
	assert_true(qn_mono_us() - began >= 700 * MS);
	tell(r->pid, SIGHUP);
	hear(fd, "RELOADING=1\nMONOTONIC_USEC=", rest, sizeof(rest));
	assert_true(atoll(rest) >= from);
	hear(fd, "READY=1", rest, sizeof(rest));
	assert_int_equal(r->board->config_gen, 2);
	tell(r->pid, SIGTERM);
	hear(fd, "STOPPING=1\nEXTEND_TIMEOUT_USEC=", rest, sizeof(rest));
	assert_int_equal(atoll(rest), 15000000); /* QUOIN_DRAIN_S and 5 */
	assert_int_equal(status_of(r->pid), 0);
	r->pid = 0;
	no_notify_socket(fd);
}

static void ready_in_the_end(void **state)
{
	struct rig *r = *state;
	char rest[256];
	int fd = notify_socket(r);

	configure(r, 1, "");
	r->spec.worker = fail_at_start;
	int64_t from = qn_mono_us();
	start(r);
	hear(fd, "STATUS=0 of 1 workers serving", rest, sizeof(rest));
	hear(fd, "READY=1", rest, sizeof(rest));
	assert_true(qn_mono_us() - from >= 5000 * MS);
	assert_int_equal(stop(r), 0);
	no_notify_socket(fd);
}

static void notify_knows_its_addresses(void **state)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	char name[64], text[16] = "";
	socklen_t n;

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(qn_notify("READY=1"), 0);
	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_int_equal(qn_notify("READY=1"), -1);
	assert_int_equal(errno, EINVAL);
	setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
	assert_int_equal(qn_notify("READY=1"), -1);
	assert_int_equal(errno, ENOENT);

	snprintf(name, sizeof(name), "@quoin-test-%ld", (long)getpid());
	memcpy(at.sun_path + 1, name + 1, strlen(name) - 1);
	n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, n), 0);
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(qn_notify("READY=1"), 0);
	assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), 7);
	assert_string_equal(text, "READY=1");
	unsetenv("NOTIFY_SOCKET");
	close(fd);
}

static void watchdog_is_for_one_process(void **state)
{
	char pid[16];

	(void)state;
	unsetenv("WATCHDOG_PID");
	unsetenv("WATCHDOG_USEC");
	assert_int_equal(qn_notify_interval_us(), 0);
	setenv("WATCHDOG_USEC", "30000000", 1);
	assert_int_equal(qn_notify_interval_us(), 15000000);
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(qn_notify_interval_us(), 0);
	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(qn_notify_interval_us(), 15000000);
	setenv("WATCHDOG_USEC", "often", 1);
	assert_int_equal(qn_notify_interval_us(), 0);
	unsetenv("WATCHDOG_PID");
	unsetenv("WATCHDOG_USEC");
}

#define RIG(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    RIG(serves_and_stops),
	    RIG(killed_worker_is_replaced_at_once),
	    RIG(all_killed_come_back),
	    RIG(crash_loop_is_slowed),
	    RIG(siblings_that_fail_wait_together),
	    RIG(young_failure_does_not_hold_up_others),
	    RIG(worn_out_worker_is_replaced_at_once),
	    RIG(failing_fork_leaves_fewer),
	    RIG(nothing_can_be_forked_at_first),
	    RIG(term_finishes_the_request_in_hand),
	    RIG(drain_ends),
	    RIG(busy_worker_hears_term),
	    RIG(watchdog_kills_the_stuck),
	    RIG(watchdog_spares_the_rested),
	    RIG(turn_of_the_dead_is_free_again),
	    RIG(children_leave_with_their_master),
	    RIG(hup_replaces_all_without_a_refusal),
	    RIG(hup_lets_the_request_in_hand_finish),
	    RIG(hup_changes_the_number),
	    RIG(refused_settings_change_nothing),
	    RIG(hup_forgives_a_crash_loop),
	    RIG(serves_an_inherited_socket),
	    RIG(refuses_what_does_not_listen),
	    RIG(refuses_a_path_that_cannot_be),
	    RIG(successor_takes_the_name_over),
	    RIG(listener_is_kept),
	    RIG(tells_systemd),
	    RIG(ready_in_the_end),
	    cmocka_unit_test(notify_knows_its_addresses),
	    cmocka_unit_test(watchdog_is_for_one_process),
	};

	signal(SIGPIPE, SIG_IGN);
	test_pid = getpid();
	shared =
	    mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return shared == MAP_FAILED ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
