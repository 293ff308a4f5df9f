/*
 * The children of the pools that serve nobody: the queue's worker and the listener, each as a
 * process of its own, with the real schema (DESIGN §2, §7).
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
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pg.h"
#include "quoin/base/clock.h"
#include "quoin/base/log.h"
#include "quoin/pool/worker.h"
#include "quoin/store/job.h"
#include "quoin/store/migrate.h"
#include "settings.h"

#define APP      "00000000-0000-7000-8000-0000000000aa"
#define USER     "00000000-0000-7000-8000-000000000001"
#define OTHER    "00000000-0000-7000-8000-000000000002"
#define DEADLINE INT64_C(30000000)

static struct pg pg;
static struct qn_conf *conf;
static struct qn_board *board;

#define UNTIL(condition) \
	do { \
		int64_t until_ = qn_mono_us() + DEADLINE; \
		while (!(condition)) { \
			if (qn_mono_us() > until_) \
				fail_msg("waited too long for: %s", #condition); \
			poll(NULL, 0, 1); \
		} \
	} while (0)

static int start(void **state)
{
	char url[160];

	(void)state;
	qn_log_init("test", QN_ERROR + 1);
	pg_start(&pg);
	struct migrate_options o = {.url = pg.url, .dir = TEST_MIGRATIONS, .role = ""};
	FILE *null = fopen("/dev/null", "w");
	assert_int_equal(migrate_run(&o, null), QN_OK);
	fclose(null);
	snprintf(url, sizeof(url), "DATABASE_URL=%s", pg.url);
	conf = test_settings((const char *const[]){url, NULL});
	pg_do(&pg,
	    "INSERT INTO apps (id, slug, name, config) VALUES ('" APP "', 'fig-nodes', 'F', '{}');"
	    "INSERT INTO users (id, app_id, email) VALUES ('" USER "', '" APP "', 'a@example.com'),"
	    "('" OTHER "', '" APP "', 'b@example.com')");
	return 0;
}

static int stop(void **state)
{
	(void)state;
	qn_conf_free(conf);
	pg_stop(&pg);
	return 0;
}

/* A child of the master's, without one: TERM stays blocked in it. */
static pid_t child_pid;

static void run(int (*what)(const struct qn_child *child), enum qn_pool pool)
{
	board = qn_board_create(NULL, pool);
	assert_false(qn_board_live(board));
	struct qn_child child = {
	    .pool = pool, .conf = conf, .board = board, .listen_fd = -1, .slot = 0};
	sigset_t told, before;

	sigemptyset(&told);
	sigaddset(&told, SIGTERM);
	fflush(NULL);
	sigprocmask(SIG_BLOCK, &told, &before);
	child_pid = fork();
	if (child_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(what(&child));
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	assert_return_code(child_pid, errno);
}

static void tell_to_leave(void)
{
	int status;

	assert_return_code(kill(child_pid, SIGTERM), errno);
	assert_int_equal(waitpid(child_pid, &status, 0), child_pid);
	child_pid = 0;
	assert_int_equal(status, 0);
}

static int tear_down(void **state)
{
	(void)state;
	if (child_pid > 0) { /* the test failed */
		kill(child_pid, SIGKILL);
		waitpid(child_pid, NULL, 0);
	}
	child_pid = 0;
	qn_board_unmap(board);
	board = NULL;
	return 0;
}

/* jobs */

static void add(const char *id, const char *kind, const char *payload, int attempts, int most)
{
	pg_do(&pg,
	    "INSERT INTO jobs (id, kind, payload, attempts, max_attempts) VALUES "
	    "('00000000-0000-7000-8000-0000000000%s', '%s', '%s', %d, %d)",
	    id, kind, payload, attempts, most);
}

static const char *state_of(const char *id)
{
	return pg_ask(&pg,
	    "SELECT CASE WHEN dead_at IS NOT NULL THEN 'dead' ELSE 'waits' END "
	    "|| ' ' || attempts || ' ' || coalesce(failure, '') FROM jobs WHERE "
	    "id = '00000000-0000-7000-8000-0000000000%s'",
	    id);
}

static bool is(const char *id, const char *state)
{
	return strcmp(state_of(id), state) == 0;
}

static void jobs_are_done(void **state)
{
	(void)state;
	run(qn_jobs_main, QN_POOL_JOBS);
	pg_do(&pg,
	    "INSERT INTO idempotency_keys (app_id, principal, key_hash, request_hash, status, reply, created_at) "
	    "SELECT '" APP
	    "', n::text, '', '', 200, '', now() - CASE WHEN n <= 5000 THEN interval '24.5 h' ELSE '0' END "
	    "FROM generate_series(1, 5100) n");
	add("01", "idempotency.prune", "{}", 0, 1);
	UNTIL(is("01", ""));
	/* All that are old at once, however many, and no other. */
	assert_int_equal(pg_ask_i(&pg, "SELECT count(*) FROM idempotency_keys"), 100);
	assert_int_equal(board->counter[QN_COUNT_JOBS_FAILED], 0);
	/* An issuer that is gone is nothing to do. */
	add("02", "jwks.refresh", "{\"issuer\":\"" USER "\"}", 0, 1);
	UNTIL(is("02", ""));
	assert_int_equal(board->counter[QN_COUNT_JOBS_DONE], 2);
	tell_to_leave();
}

static void jobs_that_fail_come_back_and_die(void **state)
{
	(void)state;
	run(qn_jobs_main, QN_POOL_JOBS);
	add("11", "no such kind", "{}", 0, 2);
	add("12", "jwks.refresh", "{\"issuer\":5}", 1, 2);
	UNTIL(strstr(state_of("11"), "The request does not match the schema.") != NULL);
	assert_string_equal(pg_ask(&pg, "SELECT run_at >= created_at + interval '2 s' FROM jobs "
					"WHERE kind = 'no such kind'"),
	    "t");
	UNTIL(is("12", "dead 2 The request does not match the schema."));
	pg_do(&pg, "UPDATE jobs SET run_at = now() WHERE kind = 'no such kind'");
	UNTIL(is("11", "dead 2 The request does not match the schema."));
	assert_int_equal(board->counter[QN_COUNT_JOBS_FAILED], 3);
	tell_to_leave();
}

static void mail_whose_attempts_all_kill_their_worker_has_failed(void **state)
{
	(void)state;
	pg_do(&pg, "INSERT INTO mails (id, app_id, to_address, template, variables) VALUES "
		   "('" OTHER "', '" APP "', 'a@example.com', 'welcome', 'x')");
	add("22", "mail.send", "{\"mail\":\"" OTHER "\"}", 3, 3);
	run(qn_jobs_main, QN_POOL_JOBS);
	UNTIL(strncmp(state_of("22"), "dead 4 ", 7) == 0);
	assert_string_equal(
	    pg_ask(&pg, "SELECT state || (variables IS NULL) || last_error FROM mails"),
	    "failedtrueNo attempt came to its end: each ended its worker.");
	tell_to_leave();
}

/* One that ends its worker is taken again when its lease is over, but not for ever. */
static void jobs_that_kill_their_worker_die_too(void **state)
{
	(void)state;
	run(qn_jobs_main, QN_POOL_JOBS);
	add("21", "idempotency.prune", "{}", 3, 3);
	UNTIL(strncmp(state_of("21"), "dead 4 ", 7) == 0);
	tell_to_leave();
}

static void what_recurs_is_scheduled(void **state)
{
	(void)state;
	pg_do(&pg,
	    "INSERT INTO issuers (id, app_id, issuer, audience, jwks_url, algorithms) VALUES "
	    "('" OTHER "', '" APP "', 'https://i/', 'a', 'https://127.0.0.1:1/jwks', '{RS256}')");
	run(qn_jobs_main, QN_POOL_JOBS);
	/* It is tried, and the reason why not is kept. */
	UNTIL(strcmp(pg_ask(&pg, "SELECT failure FROM issuers"), "the address is not public") == 0);
	UNTIL(
	    pg_ask_i(&pg,
		"SELECT count(*) FROM jobs WHERE kind = 'jwks.refresh' AND dead_at IS NULL") == 0);
	tell_to_leave();
	pg_do(&pg, "DELETE FROM issuers");
}

static void the_worker_outlives_its_connection(void **state)
{
	(void)state;
	run(qn_jobs_main, QN_POOL_JOBS);
	add("31", "idempotency.prune", "{}", 0, 1);
	UNTIL(is("31", ""));
	pg_do(&pg,
	    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'quoin-jobs'");
	add("32", "idempotency.prune", "{}", 0, 1);
	UNTIL(is("32", ""));
	pg_server_down(&pg, SIGINT);
	pg_server_up(&pg);
	add("33", "idempotency.prune", "{}", 0, 1);
	UNTIL(is("33", ""));
	tell_to_leave();
}

static void a_dead_job_can_be_run_again(void **state)
{
	struct qn_arena *a = qn_arena_new((size_t)4 << 20);
	struct qn_db *db = qn_db_new(pg.url, "", 15000, "test", NULL);
	struct job job;

	(void)state;
	pg_do(&pg, "DELETE FROM jobs");
	assert_int_equal(job_take(db, a, &job), QN_NOT_FOUND);
	assert_int_equal(job_add(db, a, "k", APP, QN_SPAN_LIT("{ \"a\": 1 }"), "key"), QN_OK);
	assert_int_equal(
	    job_add(db, a, "k", APP, QN_SPAN_LIT("{}"), "key"), QN_OK); /* waits already */
	assert_int_equal(pg_ask_i(&pg, "SELECT count(*) FROM jobs"), 1);
	assert_int_equal(job_take(db, a, &job), QN_OK);
	assert_true(qn_span_is(job.payload, "{ \"a\": 1 }"));
	assert_string_equal(job.app_id, APP);
	assert_int_equal(job.attempts, 1);
	struct job other;
	assert_int_equal(job_take(db, a, &other), QN_NOT_FOUND); /* leased */
	pg_do(&pg, "UPDATE jobs SET max_attempts = 1");
	assert_int_equal(job_failed(db, a, job.id, "why"), QN_OK);
	assert_int_equal(
	    job_add(db, a, "k", NULL, QN_SPAN_LIT("{}"), "key"), QN_OK); /* the dead do not wait */
	assert_int_equal(pg_ask_i(&pg, "SELECT count(*) FROM jobs"), 2);
	assert_int_equal(job_retry(db, a, job.id), QN_CONFLICT); /* while another waits */
	assert_int_equal(job_take(db, a, &other), QN_OK);
	assert_int_equal(job_done(db, a, other.id), QN_OK);
	assert_int_equal(job_retry(db, a, job.id), QN_OK);
	assert_int_equal(job_take(db, a, &other), QN_OK);
	assert_string_equal(other.id, job.id);
	assert_int_equal(job_retry(db, a, USER), QN_NOT_FOUND);
	qn_db_free(db);
	qn_arena_free(a);
}

/* the listener */

static void changes_are_heard(void **state)
{
	(void)state;
	run(qn_listener_main, QN_POOL_API);
	UNTIL(qn_board_live(board));
	uint32_t user = qn_board_generation(board, "user:" USER),
		 other = qn_board_generation(board, "user:" OTHER);
	uint32_t apps = board->apps_gen, all = qn_board_revocations(board);
	pg_do(&pg, "UPDATE users SET display_name = 'A' WHERE id = '" USER "'");
	pg_do(&pg, "UPDATE users SET plan = 'pro' WHERE id = '" USER "'");
	UNTIL(qn_board_generation(board, "user:" USER) != user);
	assert_int_equal(
	    qn_board_generation(board, "user:" USER), user + 1); /* a name is nothing to forget */
	assert_int_equal(qn_board_generation(board, "user:" OTHER), other);
	assert_int_equal(qn_board_revocations(board), all + 1);
	pg_do(&pg, "UPDATE users SET suspended_at = now() WHERE id = '" USER "'");
	UNTIL(qn_board_generation(board, "user:" USER) == user + 2);
	assert_int_equal(board->apps_gen, apps);
	pg_do(&pg, "UPDATE apps SET name = 'G'");
	UNTIL(board->apps_gen == apps + 1);
	pg_do(&pg, "BEGIN; UPDATE users SET plan = 'free' WHERE id = '" OTHER "'; ROLLBACK");
	pg_do(&pg, "DELETE FROM users WHERE id = '" USER "'");
	UNTIL(qn_board_generation(board, "user:" USER) == user + 3);
	assert_int_equal(qn_board_generation(board, "user:" OTHER), other);
	tell_to_leave();
}

/* While it hears nothing the board is not live; when it hears again, all is forgotten. */
static void what_was_not_heard_is_forgotten_whole(void **state)
{
	(void)state;
	run(qn_listener_main, QN_POOL_API);
	UNTIL(qn_board_live(board));
	uint32_t other = qn_board_generation(board, "user:" OTHER), apps = board->apps_gen;
	pg_server_down(&pg, SIGINT);
	UNTIL(!qn_board_live(board));
	pg_server_up(&pg);
	UNTIL(qn_board_live(board));
	assert_true(qn_board_generation(board, "user:" OTHER) != other);
	assert_true(board->apps_gen != apps);
	tell_to_leave();
}

static void a_frozen_server_is_no_sign_of_life(void **state)
{
	(void)state;
	run(qn_listener_main, QN_POOL_API);
	UNTIL(qn_board_live(board));
	/* That of the test before may be about to end. */
	pg_until(&pg,
	    "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'quoin-listener'");
	pid_t backend = (pid_t)pg_ask_i(
	    &pg, "SELECT pid FROM pg_stat_activity WHERE application_name = 'quoin-listener'");
	uint32_t other = qn_board_generation(board, "user:" OTHER);
	process_freeze(pg.daemon.pid);
	process_freeze(backend);
	UNTIL(!qn_board_live(board));
	process_thaw(pg.daemon.pid);
	process_thaw(backend);
	UNTIL(qn_board_live(board));
	assert_true(qn_board_generation(board, "user:" OTHER) != other);
	tell_to_leave();
}

/* A session that took the place of the one that listened would be well, and deaf for ever. */
static void a_new_session_listens_too(void **state)
{
	(void)state;
	run(qn_listener_main, QN_POOL_API);
	UNTIL(qn_board_live(board));
	for (int i = 0; i < 20; i++) {
		uint32_t all = qn_board_revocations(board);
		pg_do(&pg,
		    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
		    "'quoin-listener'");
		UNTIL(qn_board_revocations(board) != all); /* it listens anew, and forgot all */
		UNTIL(qn_board_live(board));
		uint32_t apps = board->apps_gen;
		pg_do(&pg, "UPDATE apps SET name = 'H'");
		UNTIL(board->apps_gen != apps);
	}
	tell_to_leave();
}

#define TEST(f) cmocka_unit_test_teardown(f, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(jobs_are_done),
	    TEST(jobs_that_fail_come_back_and_die),
	    TEST(jobs_that_kill_their_worker_die_too),
	    TEST(mail_whose_attempts_all_kill_their_worker_has_failed),
	    TEST(what_recurs_is_scheduled),
	    TEST(the_worker_outlives_its_connection),
	    TEST(a_dead_job_can_be_run_again),
	    TEST(changes_are_heard),
	    TEST(what_was_not_heard_is_forgotten_whole),
	    TEST(a_frozen_server_is_no_sign_of_life),
	    TEST(a_new_session_listens_too),
	};
	if (!pg_installed())
		return 77;
	return cmocka_run_group_tests_name("jobs", tests, start, stop);
}
