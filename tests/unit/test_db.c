/*
 * The connection to Postgres, against a real one: what is prepared, retried, rolled back and given
 * up, and what the caller is told, when backends are killed, frozen or cut off (SECURITY F02,
 * F07-F13).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "pg.h"
#include "quoin/base/log.h"
#include "quoin/base/rand.h"
#include "quoin/store/db.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ID       "0190a2b3-0000-7000-8000-00000000aaaa"
#define SHORT_MS 1000 /* deadline where it is meant to pass */
#define LONG_MS  15000
#define TRIES    10 /* where a busy machine may let the second come first */
#define MS       INT64_C(1000)
#define LARGE    ((size_t)8 << 20)

/* Statements of the test's own: this list takes the place of the library's. */
#define TEST_STMTS(X) \
	X(PID, READ, 0, "SELECT pg_backend_pid() AS n") \
	X(PID_FRESH, FRESH, 0, "SELECT pg_backend_pid() AS n") \
	X(PID_WRITE, WRITE, 0, "SELECT pg_backend_pid() AS n") \
	X(PREPARED, FRESH, 0, "SELECT count(*) FROM pg_prepared_statements") \
	X(DATABASE, READ, 0, "SELECT current_database()::text") \
	X(DATABASE_FRESH, FRESH, 0, "SELECT current_database()::text") \
	X(DATABASE_WRITE, WRITE, 0, "SELECT current_database()::text") \
	X(TYPES, READ, 8, \
	    "SELECT $1::text AS text, $2::uuid AS id, $3::bigint AS whole, $4::integer AS small, " \
	    "$5::boolean AS truth, $6::json AS json, $7::bytea AS bytes, " \
	    "'epoch'::timestamptz + $8::bigint * interval '1 us' AS at, $7::bytea AS raw") \
	X(SLEEP, READ, 1, "SELECT pg_sleep($1)::text") \
	X(SLEEP_WRITE, WRITE, 1, "SELECT pg_sleep($1)::text") \
	X(ADD, WRITE, 2, "INSERT INTO rows (id, name) VALUES ($1, $2)") \
	X(CHANGE, WRITE, 2, "UPDATE rows SET name = $2 WHERE id = $1") \
	X(COUNT_ROWS, FRESH, 0, "SELECT count(*) FROM rows") \
	X(ADD_CHILD, WRITE, 2, "INSERT INTO children (id, parent) VALUES ($1, $2)") \
	X(ADD_DEFERRED, WRITE, 2, "INSERT INTO deferred_children (id, parent) VALUES ($1, $2)") \
	X(FAIL, WRITE, 1, "SELECT fail($1)") \
	X(DIE, READ, 0, "SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(9)") \
	X(DIE_WRITE, WRITE, 0, "SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(9)") \
	X(DIE_ONCE, READ, 0, "SELECT die_once()") \
	X(DIE_ONCE_WRITE, WRITE, 0, "SELECT die_once()") \
	X(MANY, READ, 1, "SELECT i AS n, 'x' || i AS text FROM generate_series(1, $1::integer) i") \
	X(LENGTH, READ, 1, "SELECT octet_length($1::text)") \
	X(NONSENSE, READ, 0, "SELECT no_such_column FROM rows") \
	X(MISCOUNTED, READ, 2, "SELECT $1::text") \
	X(WRONG_JSON, READ, 1, "SELECT $1::json") \
	X(SET_SOMETHING, WRITE, 0, "SELECT set_config('search_path', 'nowhere', true)")

QN_STATEMENTS(test, TEST_STMTS);
const struct qn_stmt_set *const qn_stmt_sets[] = {&test_set, NULL};

static struct pg pg;
static struct qn_arena *arena;
static struct qn_board *board;
static struct qn_db *db;

static int start(void **state)
{
	(void)state;
	qn_log_init("test", QN_ERROR + 1);
	arena = qn_arena_new((size_t)64 << 20);
	board = qn_board_create(NULL, QN_POOL_API);
	pg_start(&pg);
	pg_do(&pg,
	    "CREATE TABLE rows (id integer PRIMARY KEY, name text CHECK (name <> ''));"
	    "CREATE TABLE children (id integer, parent integer NOT NULL REFERENCES rows);"
	    "CREATE TABLE deferred_children (id integer, parent integer REFERENCES rows DEFERRABLE "
	    "INITIALLY DEFERRED);"
	    "CREATE FUNCTION fail(state text) RETURNS void LANGUAGE plpgsql AS "
	    "$$ BEGIN RAISE EXCEPTION 'as told' USING ERRCODE = state; END $$;"
	    "CREATE SEQUENCE deaths;"
	    "CREATE FUNCTION die_once() RETURNS text LANGUAGE plpgsql AS $$ BEGIN "
	    "IF nextval('deaths') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(9); END IF; "
	    "RETURN 'alive'; END $$");
	return 0;
}

static int stop(void **state)
{
	(void)state;
	pg_stop(&pg);
	qn_board_unmap(board);
	qn_arena_free(arena);
	return 0;
}

static struct qn_db *open_db(int64_t timeout_ms)
{
	return qn_db_new(pg.url, "", timeout_ms, "test", board);
}

static int set_up(void **state)
{
	(void)state;
	pg_do(&pg, "TRUNCATE rows, children, deferred_children; SELECT setval('deaths', 1, false)");
	db = open_db(LONG_MS);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	qn_db_free(db);
	db = NULL;
	qn_arena_reset(arena);
	return 0;
}

/* A deadline that passes; the old connection is given up. */
static void hurry(void)
{
	qn_db_free(db);
	db = open_db(SHORT_MS);
}

static enum qn_err run(int stmt)
{
	struct qn_rows *rows;

	return qn_exec(db, arena, &test_set, stmt, NULL, 0, &rows);
}

static enum qn_err run_1(int stmt, struct qn_arg a)
{
	struct qn_rows *rows;

	return QN_EXEC(db, arena, test_set, stmt, &rows, a);
}

static enum qn_err run_2(int stmt, int64_t a, const char *b)
{
	struct qn_rows *rows;

	return QN_EXEC(db, arena, test_set, stmt, &rows, qn_a_i64(a), qn_a_str(b));
}

static int64_t number(int stmt)
{
	struct qn_rows *rows;

	assert_int_equal(qn_exec(db, arena, &test_set, stmt, NULL, 0, &rows), QN_OK);
	return qn_rows_i64(rows, 0, 0);
}

static const char *word(int stmt)
{
	struct qn_rows *rows;

	assert_int_equal(qn_exec(db, arena, &test_set, stmt, NULL, 0, &rows), QN_OK);
	return qn_rows_str(rows, 0, 0);
}

static pid_t backend(void)
{
	return (pid_t)number(PID_FRESH);
}

static void killed(pid_t pid)
{
	char gone[128];

	pg_do(&pg, "SELECT pg_terminate_backend(%d)", (int)pid);
	snprintf(gone, sizeof(gone),
	    "SELECT NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = %d)", (int)pid);
	pg_until(&pg, gone);
}

static void took(int64_t began, int64_t least_ms, int64_t most_ms)
{
	int64_t us = qn_mono_us() - began;

	if (us < least_ms * MS || us > most_ms * MS)
		fail_msg("it took %lld ms, not %lld to %lld", (long long)(us / MS),
		    (long long)least_ms, (long long)most_ms);
}

/* values */

struct types {
	const char *text, *id, *bytes;
	int64_t whole, small, missing;
	qn_tri truth;
	qn_time at;
	struct qn_span json, raw;
};
static const struct qn_field types_fields[] = {
    QN_FIELD(struct types, text, STR, 0, 0, 0, "."),
    QN_FIELD(struct types, id, UUID, 0, 0, 0, "."),
    QN_FIELD(struct types, bytes, STR, 0, 0, 0, "."),
    QN_FIELD(struct types, whole, I64, 0, 0, 0, "."),
    QN_FIELD(struct types, small, I64, 0, 0, 0, "."),
    QN_FIELD(struct types, missing, I64, 0, 0, 0, "."),
    QN_FIELD(struct types, truth, BOOL, 0, 0, 0, "."),
    QN_FIELD(struct types, at, TIME, 0, 0, 0, "."),
    QN_FIELD(struct types, json, JSON, 0, 0, 0, "."),
    QN_FIELD(struct types, raw, JSON, 0, 0, 0, "."),
};
static const struct qn_object types_object = QN_OBJECT("Types", struct types, types_fields);

static struct types fetch(const struct qn_arg *args)
{
	struct qn_rows *rows;
	struct types t;

	assert_int_equal(qn_exec(db, arena, &test_set, TYPES, args, 8, &rows), QN_OK);
	assert_int_equal(qn_rows_n(rows), 1);
	qn_rows_get(rows, 0, &types_object, &t);
	return t;
}

static void values_come_back_as_they_went(void **state)
{
	const struct qn_arg args[8] = {qn_a_str("a'b\"c\\\xc3\xa9"), qn_a_str(ID),
	    qn_a_i64(INT64_MAX), qn_a_i64(-2147483647), qn_a_bool(1),
	    qn_a_json(QN_SPAN_LIT("{ \"a\" : 1.50 }")), qn_a_bytes("\x00\xff\n", 3),
	    qn_a_i64(1700000000123456)};
	struct types t = fetch(args);

	(void)state;
	assert_string_equal(t.text, "a'b\"c\\\xc3\xa9");
	assert_string_equal(t.id, ID);
	assert_int_equal(t.whole, INT64_MAX);
	assert_int_equal(t.small, -2147483647);
	assert_int_equal(t.missing, QN_I64_NULL);
	assert_int_equal(t.truth, 1);
	assert_int_equal(t.at, 1700000000123456);
	assert_true(qn_span_is(t.json, "{ \"a\" : 1.50 }"));
	assert_string_equal(t.bytes, "00ff0a");
	assert_int_equal(t.raw.n, 3);
	assert_memory_equal(t.raw.p, "\x00\xff\n", 3);
}

static void nulls_come_back_as_nulls(void **state)
{
	const struct qn_arg args[8] = {qn_a_str(NULL), qn_a_str(NULL), qn_a_i64(QN_I64_NULL),
	    qn_a_i64(QN_I64_NULL), qn_a_bool(QN_UNSET), qn_a_json((struct qn_span){NULL, 0}),
	    qn_a_bytes(NULL, 7), qn_a_i64(QN_I64_NULL)};
	struct types t = fetch(args);

	(void)state;
	assert_null(t.text);
	assert_null(t.id);
	assert_null(t.bytes);
	assert_null(t.json.p);
	assert_null(t.raw.p);
	assert_int_equal(t.whole, QN_I64_NULL);
	assert_int_equal(t.small, QN_I64_NULL);
	assert_int_equal(t.truth, QN_UNSET);
	assert_int_equal(t.at, QN_TIME_NULL);
}

static void empty_is_not_null(void **state)
{
	const struct qn_arg args[8] = {qn_a_str(""), qn_a_str(NULL), qn_a_i64(0), qn_a_i64(-1),
	    qn_a_bool(0), qn_a_json(QN_SPAN_LIT("null")), qn_a_bytes("", 0), qn_a_i64(0)};
	struct types t = fetch(args);

	(void)state;
	assert_string_equal(t.text, "");
	assert_int_equal(t.whole, 0);
	assert_int_equal(t.small, -1);
	assert_int_equal(t.truth, 0);
	assert_int_equal(t.at, 0);
	assert_true(qn_span_is(t.json, "null"));
	assert_non_null(t.raw.p);
	assert_int_equal(t.raw.n, 0);
}

struct numbered {
	int64_t n;
	const char *text;
};
static const struct qn_field numbered_fields[] = {
    QN_FIELD(struct numbered, n, I64, 0, 0, 0, "."),
    QN_FIELD(struct numbered, text, STR, 0, 0, 0, "."),
};
static const struct qn_object numbered_object =
    QN_OBJECT("Numbered", struct numbered, numbered_fields);

static void many_rows_are_listed(void **state)
{
	struct qn_rows *rows;

	(void)state;
	for (int64_t n = 0; n <= 20000; n += 10000) {
		assert_int_equal(QN_EXEC(db, arena, test_set, MANY, &rows, qn_a_i64(n)), QN_OK);
		struct qn_list list = qn_rows_list(rows, arena, &numbered_object);
		const struct numbered *items = list.items;
		assert_int_equal(list.n, n);
		for (size_t i = 0; i < list.n; i++)
			assert_int_equal(items[i].n, i + 1);
		if (n > 0)
			assert_string_equal(items[9999].text, "x10000");
	}
}

static void large_values_pass_both_ways(void **state)
{
	char *text = malloc(LARGE + 1);
	struct qn_rows *rows;

	(void)state;
	memset(text, 'x', LARGE);
	text[LARGE] = '\0';
	assert_int_equal(QN_EXEC(db, arena, test_set, LENGTH, &rows, qn_a_str(text)), QN_OK);
	assert_int_equal(qn_rows_i64(rows, 0, 0), LARGE);
	const struct qn_arg args[8] = {qn_a_str(text), qn_a_str(NULL), qn_a_i64(0), qn_a_i64(0),
	    qn_a_bool(0), qn_a_json(QN_SPAN_LIT("null")), qn_a_bytes("", 0), qn_a_i64(0)};
	assert_string_equal(fetch(args).text, text);
	free(text);
}

/* libpq keeps the room of its largest answer: such a connection is replaced. */
static void a_connection_that_grew_is_replaced(void **state)
{
	struct qn_rows *rows;
	pid_t before = backend();

	(void)state;
	qn_db_reset(db);
	assert_int_equal(backend(), before);
	assert_int_equal(QN_EXEC(db, arena, test_set, MANY, &rows, qn_a_i64(200000)), QN_OK);
	assert_int_equal(backend(), before);
	qn_arena_reset(arena);
	qn_db_reset(db);
	assert_int_not_equal(backend(), before);
}

/* preparing */

static void statements_are_prepared_at_first_use(void **state)
{
	(void)state;
	assert_int_equal(number(PREPARED), 1);
	assert_int_equal(number(PREPARED), 1);
	backend();
	backend();
	assert_int_equal(number(PREPARED), 2);
	qn_db_reset(db);
	assert_int_equal(number(PREPARED), 2);
	killed(backend());
	assert_int_equal(number(PREPARED), 1);
}

static void all_can_be_prepared_without_being_run(void **state)
{
	(void)state;
	assert_int_equal(qn_db_prepare(db, &test_set, DIE_WRITE), QN_OK);
	assert_int_equal(qn_db_prepare(db, &test_set, ADD), QN_OK);
	assert_int_equal(qn_db_prepare(db, &test_set, ADD), QN_OK);
	assert_int_equal(number(COUNT_ROWS), 0);
	assert_int_equal(qn_db_prepare(db, &test_set, NONSENSE), QN_INTERNAL);
	assert_non_null(strstr(qn_db_why(db), "no_such_column"));
	assert_int_equal(qn_db_prepare(db, &test_set, MISCOUNTED), QN_INTERNAL);
	assert_non_null(strstr(qn_db_why(db), "1"));
	assert_int_equal(qn_db_prepare(db, &test_set, PID), QN_OK);
}

static void a_statement_that_cannot_be_prepared_costs_nothing_else(void **state)
{
	pid_t before = backend();

	(void)state;
	assert_int_equal(run(NONSENSE), QN_INTERNAL);
	assert_int_equal(run(NONSENSE), QN_INTERNAL);
	assert_int_equal(backend(), before);
}

/* what Postgres refuses */

static const struct {
	const char *state;
	enum qn_err err;
} states[] = {
    {"40001", QN_RETRY},
    {"40P01", QN_RETRY},
    {"55P03", QN_RETRY},
    {"23505", QN_CONFLICT},
    {"23503", QN_CONFLICT},
    {"23502", QN_INVALID},
    {"23514", QN_INVALID},
    {"22001", QN_INVALID},
    {"22P02", QN_INVALID},
    {"22021", QN_INVALID},
    {"57014", QN_DB_DOWN},
    {"57P03", QN_DB_DOWN},
    {"53300", QN_DB_DOWN},
    {"53100", QN_DB_DOWN},
    {"08006", QN_DB_DOWN},
    {"25006", QN_DB_DOWN},
    {"42601", QN_INTERNAL},
    {"42P01", QN_INTERNAL},
    {"P0001", QN_INTERNAL},
    {"XX000", QN_INTERNAL},
};

static void sqlstates_have_a_meaning(void **state)
{
	pid_t before = backend();

	(void)state;
	for (size_t i = 0; i < COUNT(states); i++) {
		enum qn_err e = run_1(FAIL, qn_a_str(states[i].state));
		if (e != states[i].err)
			fail_msg("%s is %s", states[i].state, qn_err_code(e));
		assert_non_null(strstr(qn_db_why(db), "as told"));
	}
	assert_int_equal(backend(), before);
	assert_string_equal(qn_db_why(db), "");
}

static void values_that_do_not_fit_are_invalid(void **state)
{
	(void)state;
	assert_int_equal(run_2(ADD, 1, "a"), QN_OK);
	assert_int_equal(run_2(ADD, 1, "a"), QN_CONFLICT);
	assert_int_equal(run_2(ADD, 2, ""), QN_INVALID);
	assert_int_equal(run_2(ADD, 3000000000, "a"), QN_INVALID);
	assert_int_equal(run_2(ADD, 3, "\xff"), QN_INVALID);
	assert_int_equal(run_2(ADD_CHILD, 1, "77"), QN_CONFLICT);
	assert_int_equal(run_2(ADD_CHILD, 1, NULL), QN_INVALID);
	assert_int_equal(run_2(ADD_CHILD, 1, "x"), QN_INVALID);
	assert_int_equal(run_1(WRONG_JSON, qn_a_json(QN_SPAN_LIT("{"))), QN_INVALID);
	assert_int_equal(number(COUNT_ROWS), 1);
}

/* connections that end */

static void an_idle_connection_that_was_killed_is_replaced(void **state)
{
	static const struct {
		const char *name;
		int stmt;
	} stmts[] = {{"read", PID}, {"fresh", PID_FRESH}, {"write", PID_WRITE}};

	(void)state;
	for (size_t i = 0; i < COUNT(stmts); i++) {
		pid_t before = backend();
		killed(before);
		struct qn_rows *rows;
		enum qn_err e = qn_exec(db, arena, &test_set, stmts[i].stmt, NULL, 0, &rows);
		if (e != QN_OK)
			fail_msg("%s: %s", stmts[i].name, qn_err_code(e));
		assert_int_not_equal(qn_rows_i64(rows, 0, 0), before);
	}
	killed(backend());
	assert_int_equal(qn_db_ping(db), QN_OK);
	killed(backend());
	{
		QN_TX(tx, db);
		assert_int_equal(run_2(ADD, 1, "a"), QN_OK);
		assert_int_equal(qn_tx_commit(&tx), QN_OK);
	}
	assert_int_equal(number(COUNT_ROWS), 1);
}

/* Not even a statement fails over it: nothing is logged as an error of a request. */
static void a_restart_of_the_server_is_not_noticed_by_the_idle(void **state)
{
	static const int signals[] = {SIGINT, SIGQUIT, SIGKILL};

	(void)state;
	for (size_t i = 0; i < COUNT(signals); i++) {
		backend();
		pg_server_down(&pg, signals[i]);
		pg_server_up(&pg);
		assert_int_equal(run_2(ADD, (int64_t)i, "a"), QN_OK);
		assert_int_equal(number(COUNT_ROWS), i + 1);
	}
}

static void a_read_in_flight_is_run_again_once(void **state)
{
	(void)state;
	assert_string_equal(word(DIE_ONCE), "alive");
	assert_int_equal(pg_ask_i(&pg, "SELECT last_value FROM deaths"), 2);
	assert_int_equal(run(DIE), QN_DB_DOWN);
	assert_string_equal(word(DATABASE), "quoin");
}

static void a_write_in_flight_is_uncertain(void **state)
{
	(void)state;
	assert_int_equal(run(DIE_ONCE_WRITE), QN_UNCERTAIN);
	assert_int_equal(pg_ask_i(&pg, "SELECT last_value FROM deaths"), 1);
	assert_int_equal(run(DIE_WRITE), QN_UNCERTAIN);
	assert_int_equal(run_2(ADD, 1, "a"), QN_OK);
}

static void a_transaction_goes_with_its_connection(void **state)
{
	(void)state;
	{
		QN_TX(tx, db);
		assert_int_equal(run_2(ADD, 1, "a"), QN_OK);
		killed((pid_t)number(PID));
		assert_int_equal(run_2(ADD, 2, "b"), QN_DB_DOWN);
		assert_int_equal(run_2(ADD, 3, "c"), QN_DB_DOWN);
		assert_int_not_equal(qn_tx_commit(&tx), QN_OK);
	}
	assert_int_equal(number(COUNT_ROWS), 0);
	assert_int_equal(run_2(ADD, 4, "d"), QN_OK);
}

/* The first statement, which took BEGIN with it, is lost: the next must not begin a transaction of
 * its own. */
static void a_transaction_whose_beginning_was_lost_is_lost(void **state)
{
	(void)state;
	assert_int_equal(qn_db_prepare(db, &test_set, ADD), QN_OK);
	{
		QN_TX(tx, db);
		assert_int_equal(run(DIE_WRITE), QN_DB_DOWN);
		assert_int_not_equal(run_2(ADD, 1, "a"), QN_OK);
		assert_int_not_equal(qn_tx_commit(&tx), QN_OK);
	}
	assert_int_equal(number(COUNT_ROWS), 0);
	{
		QN_TX(tx, db);
		assert_int_equal(run_2(ADD, 2, "b"), QN_OK);
		assert_int_equal(qn_tx_commit(&tx), QN_OK);
	}
	assert_int_equal(number(COUNT_ROWS), 1);
}

static void without_a_server_it_is_down_at_once(void **state)
{
	int64_t began;

	(void)state;
	backend();
	pg_server_down(&pg, SIGINT);
	began = qn_mono_us();
	for (int i = 0; i < 3; i++) {
		assert_int_equal(run(PID), QN_DB_DOWN);
		assert_int_equal(run_2(ADD, 1, "a"), QN_DB_DOWN);
		assert_int_equal(qn_db_ping(db), QN_DB_DOWN);
		QN_TX(tx, db);
		assert_int_equal(run_2(ADD, 1, "a"), QN_DB_DOWN);
		qn_tx_done(&tx);
		qn_db_reset(db);
	}
	assert_true(qn_db_why(db)[0] != '\0');
	took(began, 0, 5000);
	pg_server_up(&pg);
	for (began = qn_mono_us(); qn_db_ping(db) != QN_OK; poll(NULL, 0, 1))
		took(began, 0, 10000);
	assert_int_equal(run_2(ADD, 1, "a"), QN_OK);
}

static void no_more_connections_is_down(void **state)
{
	(void)state;
	pg_do(&pg,
	    "CREATE ROLE lodger LOGIN SUPERUSER; ALTER ROLE lodger NOSUPERUSER CONNECTION LIMIT 0");
	char url[200];
	snprintf(url, sizeof(url), "host=%s user=lodger dbname=quoin", pg.daemon.dir);
	struct qn_db *other = qn_db_new(url, "", LONG_MS, "test", NULL);
	int64_t began = qn_mono_us();
	for (int i = 0; i < 20; i++)
		assert_int_equal(qn_db_ping(other), QN_DB_DOWN);
	took(began, 0, 5000);
	assert_non_null(strstr(qn_db_why(other), "too many connections"));
	pg_do(&pg, "ALTER ROLE lodger CONNECTION LIMIT 1");
	for (began = qn_mono_us(); qn_db_ping(other) != QN_OK; poll(NULL, 0, 1))
		took(began, 0, 10000);
	qn_db_free(other);
	pg_until(
	    &pg, "SELECT NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE usename = 'lodger')");
	pg_do(&pg, "DROP ROLE lodger");
}

/* deadlines */

/* By the server, shortly before we would give up: the connection stays. */
static void a_slow_statement_is_ended(void **state)
{
	static const int stmts[] = {SLEEP, SLEEP_WRITE};

	(void)state;
	hurry();
	for (size_t i = 0; i < COUNT(stmts); i++) {
		bool ended = false;
		for (int tries = 0; tries < TRIES && !ended; tries++) {
			pid_t before = backend();
			int64_t began = qn_mono_us();
			assert_int_equal(run_1(stmts[i], qn_a_str("30")), QN_DB_DOWN);
			took(began, SHORT_MS / 2, 4 * SHORT_MS);
			ended = strstr(qn_db_why(db), "statement timeout") != NULL &&
			        backend() == before;
		}
		assert_true(ended);
	}
}

static void a_frozen_backend_costs_one_deadline(void **state)
{
	static const struct {
		const char *name;
		int stmt;
		bool prepared;
		enum qn_err err;
	} cases[] = {
	    {"read", PID, true, QN_DB_DOWN},
	    {"write", PID_WRITE, true, QN_UNCERTAIN},
	    {"read not prepared", PID, false, QN_DB_DOWN},
	    {"write not prepared", PID_WRITE, false, QN_DB_DOWN},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		hurry();
		if (cases[i].prepared)
			assert_int_equal(qn_db_prepare(db, &test_set, cases[i].stmt), QN_OK);
		pid_t pid = backend();
		process_freeze(pid);
		int64_t began = qn_mono_us();
		enum qn_err e = run(cases[i].stmt);
		int64_t us = qn_mono_us() - began;
		process_thaw(pid);
		if (e != cases[i].err)
			fail_msg("%s: %s", cases[i].name, qn_err_code(e));
		if (us < (SHORT_MS - 10) * MS || us > (2 * SHORT_MS - 50) * MS)
			fail_msg("%s: took %lld ms", cases[i].name, (long long)(us / MS));
		assert_int_not_equal(backend(), pid);
	}
}

static void a_frozen_server_costs_one_deadline(void **state)
{
	(void)state;
	hurry();
	pid_t pid = backend();
	process_freeze(pid);
	process_freeze(pg.daemon.pid);
	int64_t began = qn_mono_us();
	enum qn_err first = run(PID), second = QN_OK;
	int64_t us = qn_mono_us() - began;
	began = qn_mono_us();
	second = run(PID); /* has to connect */
	int64_t again = qn_mono_us() - began;
	process_thaw(pg.daemon.pid);
	process_thaw(pid);
	assert_int_equal(first, QN_DB_DOWN);
	assert_int_equal(second, QN_DB_DOWN);
	assert_in_range(us, 0, (2 * SHORT_MS - 50) * MS);
	assert_in_range(again, 0, (2 * SHORT_MS - 50) * MS);
	for (began = qn_mono_us(); run(PID) != QN_OK; poll(NULL, 0, 1))
		took(began, 0, 5000);
}

static void a_frozen_backend_in_a_transaction(void **state)
{
	(void)state;
	hurry();
	assert_int_equal(qn_db_prepare(db, &test_set, ADD), QN_OK);
	pid_t pid = backend();
	int64_t began = qn_mono_us();
	{
		QN_TX(tx, db);
		assert_int_equal(run_2(ADD, 1, "a"), QN_OK);
		process_freeze(pid);
		assert_int_equal(run_2(ADD, 2, "b"), QN_DB_DOWN);
		assert_int_equal(qn_tx_commit(&tx), QN_DB_DOWN);
	}
	took(began, 0, 4 * SHORT_MS);
	process_thaw(pid);
	assert_int_equal(number(COUNT_ROWS), 0);

	pid = backend();
	{
		QN_TX(tx, db);
		assert_int_equal(run_2(ADD, 1, "a"), QN_OK);
		process_freeze(pid);
		began = qn_mono_us();
		assert_int_equal(qn_tx_commit(&tx), QN_UNCERTAIN);
		took(began, SHORT_MS - 10, 4 * SHORT_MS);
	}
	process_thaw(pid);
	pg_until(&pg, "SELECT count(*) = 1 FROM rows"); /* it was sent */
}

/* locks and deadlocks */

static void a_lock_that_is_not_had_is_contention(void **state)
{
	PGconn *other = pg_connect(&pg);

	(void)state;
	hurry();
	assert_int_equal(run_2(ADD, 1, "a"), QN_OK);
	PQclear(PQexec(other, "BEGIN; UPDATE rows SET name = 'b' WHERE id = 1"));
	enum qn_err e = QN_DB_DOWN;
	for (int tries = 0; tries < TRIES && e == QN_DB_DOWN; tries++) {
		int64_t began = qn_mono_us();
		e = run_2(CHANGE, 1, "c");
		took(began, SHORT_MS / 2, 4 * SHORT_MS);
	}
	assert_int_equal(e, QN_RETRY);
	PQfinish(other);
	assert_int_equal(run_2(CHANGE, 1, "c"), QN_OK);
}

static void a_deadlock_is_contention(void **state)
{
	PGconn *other = pg_connect(&pg);

	(void)state;
	assert_int_equal(run_2(ADD, 1, "a"), QN_OK);
	assert_int_equal(run_2(ADD, 2, "a"), QN_OK);
	/* It waits first and does not look: ours is the one that finds the circle, and has to go.
	 */
	PQclear(PQexec(other,
	    "SET deadlock_timeout = '60s'; BEGIN; UPDATE rows SET name = 'other' WHERE id = 1"));
	{
		QN_TX(tx, db);
		assert_int_equal(run_2(CHANGE, 2, "ours"), QN_OK);
		assert_int_equal(
		    PQsendQuery(other, "UPDATE rows SET name = 'other' WHERE id = 2"), 1);
		pg_until(&pg, "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)");
		assert_int_equal(run_2(CHANGE, 1, "ours"), QN_RETRY);
		assert_int_equal(
		    qn_tx_commit(&tx), QN_INTERNAL); /* it is gone, whoever says otherwise */
	}
	for (PGresult *res; (res = PQgetResult(other)) != NULL; PQclear(res))
		assert_int_equal(PQresultStatus(res), PGRES_COMMAND_OK);
	PQclear(PQexec(other, "COMMIT"));
	PQfinish(other);
	assert_int_equal(pg_ask_i(&pg, "SELECT count(*) FROM rows WHERE name = 'other'"), 2);
}

/* transactions */

static void a_guard_rolls_back(void **state)
{
	(void)state;
	{
		QN_TX(tx, db);
		assert_int_equal(run_2(ADD, 1, "a"), QN_OK);
		assert_int_equal(number(COUNT_ROWS), 1);
	}
	assert_int_equal(number(COUNT_ROWS), 0);
	{
		QN_TX(tx, db);
		assert_int_equal(run_2(ADD, 1, "a"), QN_OK);
		assert_int_equal(qn_tx_commit(&tx), QN_OK);
	}
	assert_int_equal(number(COUNT_ROWS), 1);
	{
		QN_TX(tx, db);
		assert_int_equal(run_2(ADD, 2, "a"), QN_OK);
		qn_tx_done(&tx);
		qn_tx_done(&tx);
	}
	assert_int_equal(number(COUNT_ROWS), 1);
}

static void an_empty_transaction_costs_nothing(void **state)
{
	int64_t statements, us;

	(void)state;
	{
		QN_TX(tx, db);
		assert_int_equal(qn_tx_commit(&tx), QN_OK);
	}
	{
		QN_TX(tx, db);
		(void)tx;
	}
	qn_db_cost(db, &statements, &us);
	assert_int_equal(statements, 0);
	assert_int_equal(us, 0);
}

static void a_failed_statement_fails_its_transaction(void **state)
{
	(void)state;
	{
		QN_TX(tx, db);
		assert_int_equal(run_2(ADD, 1, "a"), QN_OK);
		assert_int_equal(run_2(ADD, 1, "a"), QN_CONFLICT);
		assert_int_not_equal(run_2(ADD, 2, "a"), QN_OK);
		assert_int_equal(qn_tx_commit(&tx), QN_INTERNAL);
	}
	{
		QN_TX(tx, db); /* the same of the one that BEGIN travels with */
		assert_int_equal(run_2(ADD, 1, ""), QN_INVALID);
		assert_int_not_equal(run_2(ADD, 2, "a"), QN_OK);
		assert_int_equal(qn_tx_commit(&tx), QN_INTERNAL);
	}
	{
		QN_TX(tx, db); /* and of one that cannot be prepared */
		assert_int_equal(run_2(ADD, 1, "a"), QN_OK);
		assert_int_equal(run(NONSENSE), QN_INTERNAL);
		assert_int_equal(qn_tx_commit(&tx), QN_INTERNAL);
	}
	assert_int_equal(number(COUNT_ROWS), 0);
	qn_db_reset(db);
	assert_int_equal(run_2(ADD, 1, "a"), QN_OK);
}

static void what_commit_refuses_is_told(void **state)
{
	(void)state;
	{
		QN_TX(tx, db);
		assert_int_equal(run_2(ADD_DEFERRED, 1, "77"), QN_OK);
		assert_int_equal(qn_tx_commit(&tx), QN_CONFLICT);
	}
	assert_int_equal(pg_ask_i(&pg, "SELECT count(*) FROM deferred_children"), 0);
	assert_int_equal(run_2(ADD, 1, "a"), QN_OK);
}

static enum qn_err inner(int64_t id, bool commit)
{
	QN_TX(tx, db);

	QN_TRY(run_2(ADD, id, "inner"));
	return commit ? qn_tx_commit(&tx) : QN_DENIED;
}

static void an_inner_transaction_joins_the_outer(void **state)
{
	(void)state;
	{
		QN_TX(tx, db);
		assert_int_equal(inner(1, true), QN_OK);
		assert_int_equal(run_2(ADD, 2, "outer"), QN_OK);
		assert_int_equal(pg_ask_i(&pg, "SELECT count(*) FROM rows"), 0);
		assert_int_equal(qn_tx_commit(&tx), QN_OK);
	}
	assert_int_equal(number(COUNT_ROWS), 2);
	{
		QN_TX(tx, db);
		assert_int_equal(inner(3, true), QN_OK);
	}
	assert_int_equal(number(COUNT_ROWS), 2);
}

static void an_inner_one_given_up_dooms_the_outer(void **state)
{
	(void)state;
	{
		QN_TX(tx, db);
		assert_int_equal(run_2(ADD, 1, "outer"), QN_OK);
		assert_int_equal(inner(2, false), QN_DENIED);
		assert_int_equal(run_2(ADD, 3, "outer"), QN_OK);
		assert_int_equal(qn_tx_commit(&tx), QN_INTERNAL);
	}
	assert_int_equal(number(COUNT_ROWS), 0);
	assert_int_equal(inner(4, true), QN_OK); /* the next knows nothing of it */
	assert_int_equal(number(COUNT_ROWS), 1);
}

/* An inner one given up before any statement: the outer may not commit, the one after may. */
static void doom_ends_with_its_transaction(void **state)
{
	(void)state;
	{
		QN_TX(tx, db);
		{
			QN_TX(given_up, db);
			(void)given_up;
		}
		assert_int_equal(qn_tx_commit(&tx), QN_INTERNAL);
	}
	assert_int_equal(inner(1, true), QN_OK);
	{
		QN_TX(tx, db);
		assert_int_equal(inner(2, true), QN_OK);
		assert_int_equal(run_2(ADD, 3, "outer"), QN_OK);
		assert_int_equal(qn_tx_commit(&tx), QN_OK);
	}
	assert_int_equal(number(COUNT_ROWS), 3);
}

static void begin_travels_with_the_first_statement(void **state)
{
	(void)state;
	assert_int_equal(qn_db_prepare(db, &test_set, ADD), QN_OK);
	QN_TX(tx, db);
	pid_t pid = (pid_t)pg_ask_i(
	    &pg, "SELECT pid FROM pg_stat_activity WHERE application_name = 'test'");
	assert_string_equal(
	    pg_ask(&pg, "SELECT state FROM pg_stat_activity WHERE pid = %d", (int)pid), "idle");
	assert_int_equal(run_2(ADD, 1, "a"), QN_OK);
	assert_string_equal(
	    pg_ask(&pg, "SELECT state FROM pg_stat_activity WHERE pid = %d", (int)pid),
	    "idle in transaction");
	assert_int_equal(qn_tx_commit(&tx), QN_OK);
	assert_string_equal(
	    pg_ask(&pg, "SELECT state FROM pg_stat_activity WHERE pid = %d", (int)pid), "idle");
}

/* between requests (F13) */

static void what_a_request_left_open_is_dropped(void **state)
{
	pid_t before = backend();

	(void)state;
	(void)qn_tx_begin(db);
	assert_int_equal(run_2(ADD, 1, "a"), QN_OK);
	qn_db_reset(db);
	assert_int_not_equal(backend(), before);
	assert_int_equal(number(COUNT_ROWS), 0);
	assert_int_equal(run_2(ADD, 1, "b"), QN_OK); /* and is not inside any other */
	assert_int_equal(pg_ask_i(&pg, "SELECT count(*) FROM rows"), 1);

	before = backend();
	(void)qn_tx_begin(db); /* failed as well */
	assert_int_equal(run_2(ADD, 1, ""), QN_INVALID);
	qn_db_reset(db);
	assert_int_not_equal(backend(), before);

	before = backend();
	(void)qn_tx_begin(db); /* never begun */
	qn_db_reset(db);
	assert_int_equal(backend(), before);
	assert_int_equal(run_2(ADD, 2, "b"), QN_OK);
	assert_int_equal(pg_ask_i(&pg, "SELECT count(*) FROM rows"), 2);
}

static void sessions_have_their_settings(void **state)
{
	static const struct {
		const char *name, *value;
	} settings[] = {{"statement_timeout", "13125ms"}, {"lock_timeout", "11250ms"},
	    {"idle_in_transaction_session_timeout", "30s"}, {"client_encoding", "UTF8"},
	    {"TimeZone", "UTC"}};

	(void)state;
	pid_t pid = backend();
	assert_string_equal(
	    pg_ask(&pg, "SELECT application_name FROM pg_stat_activity WHERE pid = %d", (int)pid),
	    "test");
	for (size_t i = 0; i < COUNT(settings); i++) {
		pg_do(&pg,
		    "CREATE OR REPLACE FUNCTION fail(state text) RETURNS void LANGUAGE plpgsql AS "
		    "$$ BEGIN RAISE EXCEPTION 'as told: %%', current_setting(state); END $$");
		assert_int_equal(run_1(FAIL, qn_a_str(settings[i].name)), QN_INTERNAL);
		char said[100];
		snprintf(said, sizeof(said), "as told: %s", settings[i].value);
		if (strstr(qn_db_why(db), said) == NULL)
			fail_msg("%s: %s", settings[i].name, qn_db_why(db));
	}
	/* A setting made within a transaction ends with it. */
	{
		QN_TX(tx, db);
		assert_int_equal(run(SET_SOMETHING), QN_OK);
		assert_int_equal(qn_tx_commit(&tx), QN_OK);
	}
	assert_int_equal(number(COUNT_ROWS), 0);
	pg_do(&pg, "CREATE OR REPLACE FUNCTION fail(state text) RETURNS void LANGUAGE plpgsql AS "
		   "$$ BEGIN RAISE EXCEPTION 'as told' USING ERRCODE = state; END $$");
}

/* COMMIT and its answer (F12) */

struct relay {
	struct sockaddr_un at, server;
	bool pass; /* COMMIT reaches the server */
	int listener;
	pthread_t thread;
};

/* Copies what is there from one to the other. 0: the end; -1: COMMIT was seen. */
static int copy(int from, int to, bool looking, bool pass)
{
	char block[8192];
	ssize_t n = recv(from, block, sizeof(block), 0);

	if (n <= 0)
		return 0;
	bool commit = looking && memmem(block, (size_t)n, "COMMIT", 6) != NULL;
	if (!commit || pass)
		if (send(to, block, (size_t)n, MSG_NOSIGNAL) != n)
			return 0;
	return commit ? -1 : 1;
}

static void *relay(void *arg)
{
	struct relay *r = arg;
	int client = accept(r->listener, NULL, NULL), server = socket(AF_UNIX, SOCK_STREAM, 0);
	struct pollfd p[2] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
	char block[8192];
	int state = connect(server, (struct sockaddr *)&r->server, sizeof(r->server)) == 0 ? 1 : 0;

	while (state > 0 && poll(p, 2, -1) > 0) {
		if (p[0].revents != 0)
			state = copy(client, server, true, r->pass);
		if (state > 0 && p[1].revents != 0)
			state = copy(server, client, false, true);
	}
	if (state < 0 && r->pass) /* the answer is waited for, and kept back */
		state = (int)recv(server, block, sizeof(block), 0);
	close(client);
	close(server);
	return NULL;
}

static struct qn_db *through_relay(struct relay *r)
{
	char url[200];

	r->at.sun_family = r->server.sun_family = AF_UNIX;
	snprintf(r->at.sun_path, sizeof(r->at.sun_path), "%s/.s.PGSQL.7777", pg.daemon.dir);
	snprintf(r->server.sun_path, sizeof(r->server.sun_path), "%s/.s.PGSQL.5432", pg.daemon.dir);
	unlink(r->at.sun_path);
	r->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_return_code(bind(r->listener, (struct sockaddr *)&r->at, sizeof(r->at)), errno);
	assert_return_code(listen(r->listener, 5), errno);
	assert_int_equal(pthread_create(&r->thread, NULL, relay, r), 0);
	snprintf(url, sizeof(url),
	    "host=%s port=7777 user=quoin dbname=quoin sslmode=disable gssencmode=disable",
	    pg.daemon.dir);
	return qn_db_new(url, "", LONG_MS, "test", board);
}

static void a_commit_without_an_answer_is_uncertain(void **state)
{
	(void)state;
	for (int pass = 0; pass <= 1; pass++) {
		struct relay r = {.pass = pass != 0};
		qn_db_free(db);
		db = through_relay(&r);
		{
			QN_TX(tx, db);
			assert_int_equal(run_2(ADD, pass, "a"), QN_OK);
			assert_int_equal(qn_tx_commit(&tx), QN_UNCERTAIN);
		}
		assert_int_equal(pthread_join(r.thread, NULL), 0);
		close(r.listener);
		unlink(r.at.sun_path);
		assert_int_equal(pg_ask_i(&pg, "SELECT count(*) FROM rows"), pass);
		qn_db_reset(db);
	}
}

/* the standby */

static void reads_go_to_the_standby(void **state)
{
	char url[200];

	(void)state;
	/* Another database in its place, so that it shows who answers. */
	pg_do(&pg, "CREATE DATABASE standby TEMPLATE template0");
	snprintf(url, sizeof(url), "host=%s user=quoin dbname=standby", pg.daemon.dir);
	qn_db_free(db);
	db = qn_db_new(pg.url, url, LONG_MS, "test", board);
	assert_string_equal(word(DATABASE), "standby");
	assert_string_equal(word(DATABASE_FRESH), "quoin");
	assert_string_equal(word(DATABASE_WRITE), "quoin");
	{
		QN_TX(tx, db);
		assert_string_equal(word(DATABASE), "quoin");
		assert_int_equal(qn_tx_commit(&tx), QN_OK);
	}
	assert_string_equal(word(DATABASE), "standby");
	killed((pid_t)number(PID));
	assert_string_equal(word(DATABASE), "standby");
	/* Without it the primary answers, at once and every time. */
	pg_do(&pg, "UPDATE pg_database SET datallowconn = false WHERE datname = 'standby'");
	killed((pid_t)number(PID));
	int64_t began = qn_mono_us();
	for (int i = 0; i < 5; i++)
		assert_string_equal(word(DATABASE), "quoin");
	took(began, 0, 5000);
	pg_do(&pg, "UPDATE pg_database SET datallowconn = true WHERE datname = 'standby'");
	for (began = qn_mono_us(); strcmp(word(DATABASE), "standby") != 0; poll(NULL, 0, 1))
		took(began, 0, 5000);
	qn_db_free(db);
	db = NULL;
	pg_until(
	    &pg, "SELECT NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = 'standby')");
	pg_do(&pg, "DROP DATABASE standby");
}

/* A standby that does not answer at all (a host that is cut off) must not slow every read down. */
static void a_standby_that_is_silent_is_left_alone(void **state)
{
	char url[200];
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int silent = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	snprintf(at.sun_path, sizeof(at.sun_path), "%s/.s.PGSQL.7778", pg.daemon.dir);
	unlink(at.sun_path);
	assert_return_code(bind(silent, (struct sockaddr *)&at, sizeof(at)), errno);
	assert_return_code(listen(silent, 100), errno);
	snprintf(url, sizeof(url), "host=%s port=7778 user=quoin dbname=quoin", pg.daemon.dir);
	qn_db_free(db);
	db = qn_db_new(pg.url, url, SHORT_MS, "test", board);
	int64_t began = qn_mono_us();
	assert_string_equal(word(DATABASE), "quoin");
	took(began, 0, 4 * SHORT_MS);
	/* Not one read after the other waits for it. */
	int reads = 0;
	for (began = qn_mono_us(); qn_mono_us() - began < 2 * SHORT_MS * MS; reads++)
		assert_string_equal(word(DATABASE), "quoin");
	assert_in_range(reads, 6, 1000000);
	close(silent);
	unlink(at.sun_path);
}

/* costs */

static void costs_are_counted(void **state)
{
	int64_t statements = -1, us = -1;
	uint64_t queries = board->counter[QN_COUNT_DB_QUERIES],
		 connects = board->counter[QN_COUNT_DB_CONNECTS];

	(void)state;
	backend();
	backend();
	qn_db_cost(db, &statements, &us);
	assert_int_equal(statements, 2);
	assert_true(us > 0);
	assert_int_equal(board->counter[QN_COUNT_DB_QUERIES] - queries, 2);
	assert_int_equal(board->counter[QN_COUNT_DB_CONNECTS] - connects, 1);
	qn_db_reset(db);
	qn_db_cost(db, &statements, &us);
	assert_int_equal(statements, 0);
	assert_int_equal(us, 0);
	uint64_t errors = board->counter[QN_COUNT_DB_ERRORS];
	assert_int_equal(run_1(FAIL, qn_a_str("23505")), QN_CONFLICT);
	assert_int_equal(board->counter[QN_COUNT_DB_ERRORS] - errors, 0); /* an expected refusal */
	assert_int_equal(run_1(FAIL, qn_a_str("XX000")), QN_INTERNAL);
	assert_int_equal(board->counter[QN_COUNT_DB_ERRORS] - errors, 1);
}

/* NOTIFY */

struct heard {
	int n;
	char last[100];
};

static void hear(void *arg, const char *channel, const char *payload)
{
	struct heard *h = arg;

	h->n++;
	snprintf(h->last, sizeof(h->last), "%s=%s", channel, payload);
}

static const char *const channels[] = {"quoin_one", "Quoin \"two\"", NULL};

static void notifications_are_heard(void **state)
{
	struct heard h = {0};

	(void)state;
	assert_int_equal(qn_db_wait(db, 0, hear, &h), QN_DB_DOWN);
	assert_int_equal(qn_db_listen(db, channels), QN_OK);
	int64_t began = qn_mono_us();
	assert_int_equal(qn_db_wait(db, 50, hear, &h), QN_OK);
	took(began, 50, 5000);
	assert_int_equal(h.n, 0);
	pg_do(&pg, "NOTIFY quoin_one, 'x'; NOTIFY other, 'y'");
	assert_int_equal(qn_db_wait(db, LONG_MS, hear, &h), QN_OK);
	assert_int_equal(h.n, 1);
	assert_string_equal(h.last, "quoin_one=x");
	pg_do(&pg, "NOTIFY \"Quoin \"\"two\"\"\", 'z'");
	assert_int_equal(qn_db_wait(db, LONG_MS, hear, &h), QN_OK);
	assert_string_equal(h.last, "Quoin \"two\"=z");
	/* Those that come along with an answer are not lost. */
	pg_do(&pg, "NOTIFY quoin_one, '1'; NOTIFY quoin_one, '2'");
	assert_int_equal(qn_db_ping(db), QN_OK);
	for (began = qn_mono_us(); h.n < 4; took(began, 0, LONG_MS))
		assert_int_equal(qn_db_wait(db, 10, hear, &h), QN_OK);
	assert_string_equal(h.last, "quoin_one=2");
	/* Between requests nothing is forgotten. */
	qn_db_reset(db);
	pg_do(&pg, "NOTIFY quoin_one, '3'");
	assert_int_equal(qn_db_wait(db, LONG_MS, hear, &h), QN_OK);
	assert_int_equal(h.n, 5);
}

static void a_listener_notices_its_end(void **state)
{
	struct heard h = {0};

	(void)state;
	assert_int_equal(qn_db_listen(db, channels), QN_OK);
	killed(backend());
	int64_t began = qn_mono_us();
	while (qn_db_wait(db, LONG_MS, hear, &h) == QN_OK)
		took(began, 0, 5000);
	took(began, 0, 5000);
	assert_int_equal(qn_db_wait(db, LONG_MS, hear, &h), QN_DB_DOWN);
	assert_int_equal(qn_db_listen(db, channels), QN_OK);
	pg_do(&pg, "NOTIFY quoin_one, 'x'");
	assert_int_equal(qn_db_wait(db, LONG_MS, hear, &h), QN_OK);
	assert_int_equal(h.n, 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(values_come_back_as_they_went),
	    TEST(nulls_come_back_as_nulls),
	    TEST(empty_is_not_null),
	    TEST(many_rows_are_listed),
	    TEST(large_values_pass_both_ways),
	    TEST(a_connection_that_grew_is_replaced),
	    TEST(statements_are_prepared_at_first_use),
	    TEST(all_can_be_prepared_without_being_run),
	    TEST(a_statement_that_cannot_be_prepared_costs_nothing_else),
	    TEST(sqlstates_have_a_meaning),
	    TEST(values_that_do_not_fit_are_invalid),
	    TEST(an_idle_connection_that_was_killed_is_replaced),
	    TEST(a_restart_of_the_server_is_not_noticed_by_the_idle),
	    TEST(a_read_in_flight_is_run_again_once),
	    TEST(a_write_in_flight_is_uncertain),
	    TEST(a_transaction_goes_with_its_connection),
	    TEST(a_transaction_whose_beginning_was_lost_is_lost),
	    TEST(without_a_server_it_is_down_at_once),
	    TEST(no_more_connections_is_down),
	    TEST(a_slow_statement_is_ended),
	    TEST(a_frozen_backend_costs_one_deadline),
	    TEST(a_frozen_server_costs_one_deadline),
	    TEST(a_frozen_backend_in_a_transaction),
	    TEST(a_lock_that_is_not_had_is_contention),
	    TEST(a_deadlock_is_contention),
	    TEST(a_guard_rolls_back),
	    TEST(an_empty_transaction_costs_nothing),
	    TEST(a_failed_statement_fails_its_transaction),
	    TEST(what_commit_refuses_is_told),
	    TEST(an_inner_transaction_joins_the_outer),
	    TEST(an_inner_one_given_up_dooms_the_outer),
	    TEST(doom_ends_with_its_transaction),
	    TEST(begin_travels_with_the_first_statement),
	    TEST(what_a_request_left_open_is_dropped),
	    TEST(sessions_have_their_settings),
	    TEST(a_commit_without_an_answer_is_uncertain),
	    TEST(reads_go_to_the_standby),
	    TEST(a_standby_that_is_silent_is_left_alone),
	    TEST(costs_are_counted),
	    TEST(notifications_are_heard),
	    TEST(a_listener_notices_its_end),
	};
	if (!pg_installed())
		return 77;
	return cmocka_run_group_tests_name("db", tests, start, stop);
}
