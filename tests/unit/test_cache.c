/*
 * The cache, against a real memcached: what it keeps, what it does not let through, and what it
 * costs when memcached is frozen, killed or started again (SECURITY S2, S3, F14-F16).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon.h"
#include "quoin/base/clock.h"
#include "quoin/base/log.h"
#include "quoin/store/cache.h"

#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))
#define MS         INT64_C(1000)
#define LONG_MS    5000 /* where memcached is meant to answer, however slow the machine */
#define TIMEOUT_MS 100
#define TRIES      5 /* a busy machine may be late itself, but not each time */
#define DEADLINE   (20000 * MS)

static struct daemon memcached;
static char socket_path[64], servers[96];
static struct qn_arena *arena;
static struct qn_board *board;
static struct qn_cache *cache;

static bool answers(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", socket_path);
	bool ok = connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
	close(fd);
	return ok;
}

static void up(void)
{
	int64_t until = qn_mono_us() + DEADLINE;

	unlink(socket_path);
	daemon_run(&memcached, (const char *const[]){"memcached", "-s", socket_path, "-a", "0700",
				   "-m", "16", "-t", "1", "-U", "0", NULL});
	while (!answers()) {
		if (qn_mono_us() > until) {
			daemon_show_log(&memcached);
			fail_msg("memcached does not answer");
		}
		poll(NULL, 0, 1);
	}
}

static int start(void **state)
{
	(void)state;
	qn_log_init("test", QN_ERROR);
	arena = qn_arena_new((size_t)64 << 20);
	board = qn_board_create(NULL, QN_POOL_API);
	daemon_new(&memcached, SIGTERM);
	snprintf(socket_path, sizeof(socket_path), "%s/s", memcached.dir);
	snprintf(servers, sizeof(servers), "--SOCKET=\"%s\"", socket_path);
	up();
	return 0;
}

static int stop(void **state)
{
	(void)state;
	daemon_free(&memcached);
	qn_board_unmap(board);
	qn_arena_free(arena);
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	cache = qn_cache_new(servers, "", LONG_MS, board);
	return 0;
}

static void hurry(int64_t timeout_ms)
{
	qn_cache_free(cache);
	cache = qn_cache_new(servers, "", timeout_ms, board);
}

static int tear_down(void **state)
{
	(void)state;
	qn_cache_free(cache);
	qn_arena_reset(arena);
	return 0;
}

static uint64_t counted(enum qn_board_counter c)
{
	return atomic_load(&board->counter[c]);
}

/* What it has, or NULL. */
static const char *get(const char *kind, const char *id)
{
	struct qn_span v = {"untouched", 9};

	if (!qn_cache_get(cache, arena, kind, id, &v)) {
		assert_string_equal(v.p, "untouched");
		return NULL;
	}
	assert_int_equal(strlen(v.p), v.n);
	return v.p;
}

static void set(const char *kind, const char *id, const char *value, int64_t seconds)
{
	qn_cache_set(cache, kind, id, qn_span_of(value), seconds);
}

static void has(const char *kind, const char *id, const char *value)
{
	const char *got = get(kind, id);

	if (got == NULL || strcmp(got, value) != 0)
		fail_msg("%s %s: %s, not %s", kind, id, got != NULL ? got : "(nothing)", value);
}

/* An answer of memcached to a text of ours, the last of its lines that says so included. */
static const char *raw(const char *text, const char *until)
{
	static char said[65536];
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t n = 0;
	ssize_t got;

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", socket_path);
	assert_return_code(connect(fd, (struct sockaddr *)&at, sizeof(at)), errno);
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	said[0] = '\0';
	while (strstr(said, until) == NULL && n < sizeof(said) - 1) {
		got = recv(fd, said + n, sizeof(said) - 1 - n, 0);
		assert_true(got > 0);
		n += (size_t)got;
		said[n] = '\0';
	}
	close(fd);
	return said;
}

static void flush_all(void)
{
	raw("flush_all\r\n", "OK\r\n");
}

/* what it keeps */

static void what_was_put_in_comes_out(void **state)
{
	uint64_t hits = counted(QN_COUNT_CACHE_HITS), misses = counted(QN_COUNT_CACHE_MISSES);

	(void)state;
	assert_null(get("session", "a"));
	set("session", "a", "value of a", 60);
	has("session", "a", "value of a");
	assert_null(get("session", "b"));
	assert_null(get("licence", "a"));
	set("session", "a", "another", 60);
	has("session", "a", "another");
	qn_cache_delete(cache, "session", "a");
	assert_null(get("session", "a"));
	qn_cache_delete(cache, "session", "a");
	assert_int_equal(counted(QN_COUNT_CACHE_HITS) - hits, 2);
	assert_int_equal(counted(QN_COUNT_CACHE_MISSES) - misses, 4);
	assert_int_equal(counted(QN_COUNT_CACHE_ERRORS), 0);
}

static void bytes_are_kept_as_they_are(void **state)
{
	struct qn_span v = {NULL, 0};
	char bytes[256];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)i;
	qn_cache_set(cache, "k", "bytes", (struct qn_span){bytes, sizeof(bytes)}, 60);
	assert_true(qn_cache_get(cache, arena, "k", "bytes", &v));
	assert_int_equal(v.n, sizeof(bytes));
	assert_memory_equal(v.p, bytes, sizeof(bytes));
	set("k", "protocol", "\r\nEND\r\nVALUE x 0 1\r\n", 60);
	has("k", "protocol", "\r\nEND\r\nVALUE x 0 1\r\n");
	set("k", "empty", "", 60);
	has("k", "empty", "");
}

/* K21: so many seconds, and never a date. */
static void time_is_counted_in_seconds(void **state)
{
	int64_t began = qn_mono_us();

	(void)state;
	set("k", "soon", "x", 1);
	set("k", "late", "x", 2592000);
	has("k", "late", "x");
	while (get("k", "soon") != NULL) {
		assert_in_range(qn_mono_us() - began, 0, DEADLINE);
		poll(NULL, 0, 10);
	}
	has("k", "late", "x");
}

static void deployments_do_not_mix(void **state)
{
	struct qn_cache *ours = cache, *theirs = qn_cache_new(servers, "theirs.", LONG_MS, board);

	(void)state;
	set("k", "a", "ours", 60);
	cache = theirs;
	assert_null(get("k", "a"));
	set("k", "a", "theirs", 60);
	has("k", "a", "theirs");
	qn_cache_free(theirs);
	cache = ours;
	has("k", "a", "ours");
}

/* A number that several add to: each is told the sum, whoever begins and whenever it is lost. */
static void sums_are_added_up(void **state)
{
	uint64_t sum = 0, errors = counted(QN_COUNT_CACHE_ERRORS);

	(void)state;
	assert_true(qn_cache_add(cache, "rate", "a", 3, 10, 60, &sum));
	assert_int_equal(sum, 10); /* it began with all */
	assert_true(qn_cache_add(cache, "rate", "a", 3, 13, 60, &sum));
	assert_int_equal(sum, 13);
	assert_true(qn_cache_add(cache, "rate", "b", 1, 1, 60, &sum));
	assert_int_equal(sum, 1);
	flush_all();
	assert_true(qn_cache_add(cache, "rate", "a", 2, 15, 60, &sum));
	assert_int_equal(sum, 15);
	assert_true(qn_cache_add(cache, "rate", "a", 7, 7, 60, &sum)); /* another's */
	assert_int_equal(sum, 22);
	assert_false(qn_cache_add(cache, "rate", "a", (uint64_t)1 << 32, 1, 60, &sum));
	assert_int_equal(counted(QN_COUNT_CACHE_ERRORS), errors);
	set("rate", "c", "no number", 60);
	assert_false(qn_cache_add(cache, "rate", "c", 1, 1, 60, &sum));
}

static void no_cache_has_nothing(void **state)
{
	struct qn_cache *some = cache;
	uint64_t misses = counted(QN_COUNT_CACHE_MISSES);

	(void)state;
	cache = qn_cache_new("", "", TIMEOUT_MS, NULL);
	set("k", "a", "x", 60);
	assert_null(get("k", "a"));
	qn_cache_delete(cache, "k", "a");
	assert_false(qn_cache_ping(cache));
	qn_cache_free(cache);
	cache = some;
	assert_int_equal(counted(QN_COUNT_CACHE_MISSES), misses);
	qn_cache_free(NULL);
}

/* what it does not let through (S2) */

static const char *const hostile[] = {
    "x\r\nset k:victim 0 0 5\r\nADMIN\r\n",
    "x\r\nflush_all\r\n",
    "x 0 0 1\r\ny\r\n",
    "\r\n",
    "\n",
    " ",
    "",
    "\x01\x7f\xff",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
};

static void ids_do_not_reach_the_protocol(void **state)
{
	uint64_t errors = counted(QN_COUNT_CACHE_ERRORS);

	(void)state;
	flush_all();
	set("k", "kept", "kept", 60);
	for (size_t i = 0; i < COUNT(hostile); i++) {
		set("k", hostile[i], hostile[i], 60);
		has("k", hostile[i], hostile[i]);
		has("k", "kept", "kept");
	}
	for (size_t i = 0; i < COUNT(hostile); i++) {
		qn_cache_delete(cache, "k", hostile[i]);
		assert_null(get("k", hostile[i]));
	}
	has("k", "kept", "kept");
	assert_int_equal(counted(QN_COUNT_CACHE_ERRORS), errors);
	assert_non_null(strstr(raw("get k:victim\r\n", "END\r\n"), "END"));
	assert_null(strstr(raw("get k:victim\r\n", "END\r\n"), "VALUE"));
}

/* too large a value */

static void a_value_that_is_too_large_is_not_kept(void **state)
{
	char *large = malloc((2 << 20) + 1);
	uint64_t errors = counted(QN_COUNT_CACHE_ERRORS);

	(void)state;
	memset(large, 'x', 2 << 20);
	large[2 << 20] = '\0';
	set("k", "large", "small", 60);
	set("k", "other", "other", 60);
	set("k", "large", large, 60);
	/* The older value is gone too, and the cache as good as before. */
	assert_null(get("k", "large"));
	has("k", "other", "other");
	assert_true(qn_cache_ping(cache));
	assert_int_equal(counted(QN_COUNT_CACHE_ERRORS), errors);
	/* Up to half a mebibyte is. */
	large[1 << 19] = '\0';
	set("k", "large", large, 60);
	has("k", "large", large);
	free(large);
}

/* a memcached that is full does not turn into errors (F16) */
static void a_full_memcached_forgets(void **state)
{
	char *value = malloc(100001), id[16];
	uint64_t errors = counted(QN_COUNT_CACHE_ERRORS);
	int found = 0;

	(void)state;
	memset(value, 'x', 100000);
	value[100000] = '\0';
	for (int i = 0; i < 400; i++) { /* 40 MB into 16 */
		snprintf(id, sizeof(id), "%d", i);
		set("full", id, value, 60);
	}
	for (int i = 0; i < 400; i++) {
		snprintf(id, sizeof(id), "%d", i);
		found += get("full", id) != NULL;
	}
	assert_in_range(found, 1, 399);
	assert_int_equal(counted(QN_COUNT_CACHE_ERRORS), errors);
	free(value);
	flush_all();
}

/* frozen, killed, started again */

static int64_t cost_of(void (*what)(void))
{
	int64_t began = qn_mono_us();

	what();
	return qn_mono_us() - began;
}

static void get_a(void)
{
	struct qn_span v;

	assert_false(qn_cache_get(cache, arena, "k", "a", &v));
}

static void set_a(void)
{
	set("k", "a", "later", 60);
}

static void delete_a(void)
{
	qn_cache_delete(cache, "k", "a");
}

static void ping(void)
{
	assert_false(qn_cache_ping(cache));
}

static void works_again(void)
{
	int64_t until = qn_mono_us() + DEADLINE;

	while (!qn_cache_ping(cache)) {
		assert_true(qn_mono_us() < until);
		poll(NULL, 0, 5);
	}
	set("k", "again", "again", 60);
	has("k", "again", "again");
}

/* What it costs to find out that memcached is frozen, and what 80 operations cost then. */
static bool cheap_to_find_out(void (*what)(void), int64_t *ret_us, int64_t *ret_rest)
{
	uint64_t errors = counted(QN_COUNT_CACHE_ERRORS);

	process_freeze(memcached.pid);
	*ret_us = cost_of(what);
	*ret_rest = 0;
	for (int k = 0; k < 20; k++)
		*ret_rest += cost_of(get_a) + cost_of(set_a) + cost_of(delete_a) + cost_of(ping);
	process_thaw(memcached.pid);
	errors = counted(QN_COUNT_CACHE_ERRORS) - errors;
	works_again();
	return *ret_us < 2 * TIMEOUT_MS * MS && *ret_rest < TIMEOUT_MS / 2 * MS && errors == 1;
}

/* Each operation in turn is the one that finds out: it pays the time-out, the others nothing. */
static void a_frozen_memcached_costs_its_timeout_once(void **state)
{
	static const struct {
		const char *name;
		void (*what)(void);
	} first[] = {{"get", get_a}, {"set", set_a}, {"delete", delete_a}, {"ping", ping}};
	int64_t us = 0, rest = 0;

	(void)state;
	hurry(TIMEOUT_MS);
	for (size_t i = 0; i < COUNT(first); i++) {
		bool cheap = false;
		works_again();
		for (int tries = 0; tries < TRIES && !cheap; tries++)
			cheap = cheap_to_find_out(first[i].what, &us, &rest);
		if (!cheap)
			fail_msg("%s took %lld ms, the rest %lld ms", first[i].name,
			    (long long)(us / MS), (long long)(rest / MS));
	}
}

/* The most that may be set: 200 ms (F15); also of one that has no connection yet. */
static void the_longest_timeout_holds(void **state)
{
	int64_t known = INT64_MAX, fresh = INT64_MAX;

	(void)state;
	for (int tries = 0; tries < TRIES; tries++) {
		hurry(200);
		works_again();
		process_freeze(memcached.pid);
		int64_t us = cost_of(get_a);
		known = us < known ? us : known;
		hurry(200); /* the kernel accepts it, and nobody reads */
		us = cost_of(get_a);
		fresh = us < fresh ? us : fresh;
		process_thaw(memcached.pid);
	}
	assert_in_range(known, 100 * MS, 250 * MS);
	assert_in_range(fresh, 100 * MS, 250 * MS);
}

/* A late answer to one question is never taken for that to another. */
static void late_answers_are_nobodys(void **state)
{
	struct qn_cache *patient = cache;

	(void)state;
	for (int i = 0; i < 5; i++) {
		struct qn_span v;
		cache = patient;
		set("k", "one", "of one", 60);
		set("k", "two", "of two", 60);
		cache = qn_cache_new(servers, "", TIMEOUT_MS, board);
		works_again();
		process_freeze(memcached.pid);
		bool there = qn_cache_get(cache, arena, "k", "one", &v);
		process_thaw(memcached.pid);
		assert_false(there);
		/* Whatever it is told now, it is not the answer to the question before. */
		for (int k = 0; k < 20; k++) {
			const char *two = get("k", "two"), *one = get("k", "one");
			assert_true(two == NULL || strcmp(two, "of two") == 0);
			assert_true(one == NULL || strcmp(one, "of one") == 0);
			works_again();
		}
		qn_cache_free(cache);
	}
	cache = patient;
}

static void a_frozen_memcached_is_asked_again_after_a_rest(void **state)
{
	int64_t until = qn_mono_us() + 3500 * MS;
	uint64_t errors = counted(QN_COUNT_CACHE_ERRORS);
	int64_t spent = 0;

	(void)state;
	hurry(TIMEOUT_MS);
	process_freeze(memcached.pid);
	while (qn_mono_us() < until) {
		spent += cost_of(get_a);
		poll(NULL, 0, 1);
	}
	process_thaw(memcached.pid);
	errors = counted(QN_COUNT_CACHE_ERRORS) - errors;
	assert_in_range(errors, 2, 4);
	assert_in_range(spent, 0, 1750 * MS); /* half of the time, where it is a tenth */
	works_again();
}

static void a_memcached_that_is_killed_is_used_when_it_is_back(void **state)
{
	static const int signals[] = {SIGKILL, SIGTERM};

	(void)state;
	for (size_t i = 0; i < COUNT(signals); i++) {
		set("k", "a", "value", 60);
		daemon_kill(&memcached, signals[i]);
		int64_t spent = 0;
		for (int k = 0; k < 50; k++)
			spent +=
			    cost_of(get_a) + cost_of(set_a) + cost_of(delete_a) + cost_of(ping);
		assert_in_range(spent, 0, LONG_MS / 2 * MS);
		up();
		works_again();
		assert_null(get("k", "a"));
	}
}

static void one_that_was_never_there_is_a_miss(void **state)
{
	struct qn_cache *some = cache;
	char nowhere[128];

	(void)state;
	snprintf(nowhere, sizeof(nowhere), "--SOCKET=\"%s/nowhere\"", memcached.dir);
	cache = qn_cache_new(nowhere, "", LONG_MS, board);
	int64_t spent = 0;
	for (int k = 0; k < 50; k++)
		spent += cost_of(get_a) + cost_of(set_a) + cost_of(delete_a) + cost_of(ping);
	assert_in_range(spent, 0, LONG_MS / 2 * MS);
	qn_cache_free(cache);
	cache = some;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(what_was_put_in_comes_out),
	    TEST(bytes_are_kept_as_they_are),
	    TEST(time_is_counted_in_seconds),
	    TEST(deployments_do_not_mix),
	    TEST(sums_are_added_up),
	    TEST(no_cache_has_nothing),
	    TEST(ids_do_not_reach_the_protocol),
	    TEST(a_value_that_is_too_large_is_not_kept),
	    TEST(a_full_memcached_forgets),
	    TEST(a_frozen_memcached_costs_its_timeout_once),
	    TEST(the_longest_timeout_holds),
	    TEST(late_answers_are_nobodys),
	    TEST(a_frozen_memcached_is_asked_again_after_a_rest),
	    TEST(a_memcached_that_is_killed_is_used_when_it_is_back),
	    TEST(one_that_was_never_there_is_a_miss),
	};
	if (system("command -v memcached >/dev/null") != 0)
		return 77;
	return cmocka_run_group_tests_name("cache", tests, start, stop);
}
