/*
 * Migrations, against a real Postgres: order, checksums, two at once, and one that is killed at
 * every step (SECURITY F31).
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pg.h"
#include "quoin/base/clock.h"
#include "quoin/store/migrate.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct pg pg;
static char dir[128], url[128], errors[160];
static FILE *out;
static char said[65536], wrong[65536];

static int start(void **state)
{
	(void)state;
	pg_start(&pg);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	pg_stop(&pg);
	return 0;
}

/* A database and a folder of the test's own, inside of what is removed at the end. */
static int set_up(void **state)
{
	static int n;

	(void)state;
	pg_do(&pg, "CREATE DATABASE m%d", ++n);
	snprintf(url, sizeof(url), "host=%s user=quoin dbname=m%d", pg.daemon.dir, n);
	snprintf(dir, sizeof(dir), "%s/m%d", pg.daemon.dir, n);
	snprintf(errors, sizeof(errors), "%s/errors", dir);
	return mkdir(dir, 0700);
}

static void file(const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void drop(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_return_code(remove(path), errno);
}

static void slurp(const char *path, char *into, size_t n)
{
	FILE *f = fopen(path, "r");

	into[0] = '\0';
	if (f == NULL)
		return;
	into[fread(into, 1, n - 1, f)] = '\0';
	fclose(f);
}

/* Runs it with what it says in `said` and `wrong`. */
static enum qn_err migrate_with(const char *role, bool dry_run, bool status)
{
	struct migrate_options o = {
	    .url = url, .dir = dir, .role = role, .dry_run = dry_run, .status = status};
	char path[256];
	int saved = dup(STDERR_FILENO);

	snprintf(path, sizeof(path), "%s/out", dir);
	out = fopen(path, "w");
	fflush(stderr);
	assert_non_null(freopen(errors, "w", stderr));
	enum qn_err e = migrate_run(&o, out);
	fclose(out);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	slurp(path, said, sizeof(said));
	slurp(errors, wrong, sizeof(wrong));
	drop("out");
	drop("errors");
	return e;
}

static enum qn_err migrate(void)
{
	return migrate_with("", false, false);
}

/* The first value of a statement in the migrated database. */
static const char *ask(const char *sql)
{
	static char value[512];
	PGconn *c = PQconnectdb(url);
	PGresult *res = PQexec(c, sql);

	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(c));
	snprintf(value, sizeof(value), "%s", PQntuples(res) > 0 ? PQgetvalue(res, 0, 0) : "");
	PQclear(res);
	PQfinish(c);
	return value;
}

static void says(const char *what)
{
	if (strstr(said, what) == NULL)
		fail_msg("it says '%s', not '%s'", said, what);
}

static void complains(enum qn_err got, enum qn_err want, const char *what)
{
	if (got != want || strstr(wrong, what) == NULL)
		fail_msg("%s: it says '%s', not '%s'", qn_err_code(got), wrong, what);
}

static void three_files(void)
{
	file("0001_one.sql",
	    "CREATE TABLE one (a int);\n-- a comment; with a semicolon\nINSERT INTO one VALUES (1);\n");
	file("0002_two.sql",
	    "CREATE TABLE two (a int); ALTER TABLE one ADD b text DEFAULT 'it''s';");
	file("0003_three.sql",
	    "CREATE FUNCTION three() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 3; END $$;\n"
	    "INSERT INTO two SELECT three();");
}

static void all_are_applied_once_in_order(void **state)
{
	(void)state;
	three_files();
	file("README", "no migration");
	assert_int_equal(migrate(), QN_OK);
	says("applying 0001_one.sql\napplying 0002_two.sql\napplying 0003_three.sql\n3 applied\n");
	assert_string_equal(wrong, "");
	assert_string_equal(ask("SELECT a FROM two"), "3");
	assert_string_equal(
	    ask("SELECT string_agg(version || name, ' ' ORDER BY version) FROM schema_migrations"),
	    "10001_one.sql 20002_two.sql 30003_three.sql");
	assert_int_equal(migrate(), QN_OK);
	assert_string_equal(said, "up to date\n");
	file("0004_four.sql", "INSERT INTO two VALUES (4)");
	assert_int_equal(migrate(), QN_OK);
	assert_string_equal(said, "applying 0004_four.sql\n1 applied\n");
	assert_string_equal(ask("SELECT count(*) FROM two"), "2");
}

static void a_dry_run_changes_nothing(void **state)
{
	(void)state;
	three_files();
	assert_int_equal(migrate_with("", true, false), QN_OK);
	assert_string_equal(said,
	    "would apply 0001_one.sql\nwould apply 0002_two.sql\nwould apply 0003_three.sql\n");
	assert_string_equal(
	    ask("SELECT to_regclass('one') IS NULL AND to_regclass('schema_migrations') IS NULL"),
	    "t");
	drop("0003_three.sql");
	assert_int_equal(migrate(), QN_OK);
	three_files();
	assert_int_equal(migrate_with("", true, false), QN_OK);
	assert_string_equal(said, "would apply 0003_three.sql\n");
	assert_string_equal(ask("SELECT count(*) FROM schema_migrations"), "2");
}

static void the_status_is_told(void **state)
{
	(void)state;
	three_files();
	assert_int_equal(migrate_with("", false, true), QN_OK);
	assert_string_equal(
	    said, "0001_one.sql pending\n0002_two.sql pending\n0003_three.sql pending\n");
	assert_string_equal(ask("SELECT to_regclass('schema_migrations') IS NULL"), "t");
	drop("0003_three.sql");
	assert_int_equal(migrate(), QN_OK);
	three_files();
	assert_int_equal(migrate_with("", false, true), QN_OK);
	says("0001_one.sql 20");
	says("Z\n0003_three.sql pending\n");
}

/* what is refused */

static void a_change_is_refused(void **state)
{
	(void)state;
	three_files();
	assert_int_equal(migrate(), QN_OK);
	file("0002_two.sql",
	    "CREATE TABLE two (a int); ALTER TABLE one ADD b text DEFAULT 'other';");
	file("0004_four.sql", "CREATE TABLE four (a int)");
	complains(migrate(), QN_INVALID, "0002_two.sql: was changed after it was applied");
	assert_string_equal(ask("SELECT to_regclass('four') IS NULL"), "t");
	complains(migrate_with("", false, true), QN_INVALID, "was changed");
}

static const struct {
	const char *name, *files[4], *says;
} folders[] = {
    {"gap", {"0001_a.sql", "0003_c.sql"}, "0003_c.sql"},
    {"does not begin at one", {"0002_b.sql"}, "0002_b.sql"},
    {"number twice", {"0001_a.sql", "0001_b.sql"}, "repetition"},
    {"nothing", {NULL}, "holds no migrations"},
    {"number too short", {"0001_a.sql", "002_b.sql"}, "002_b.sql"},
    {"number zero", {"0001_a.sql", "0000_b.sql"}, "0000_b.sql"},
    {"no number", {"0001_a.sql", "next.sql"}, "next.sql"},
    {"no name", {"0001_.sql"}, "0001_.sql"},
    {"a name that quotes", {"0001_a'b.sql"}, "0001_a'b.sql"},
};

static void folders_with_a_fault_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(folders); i++) {
		for (size_t k = 0; k < 4 && folders[i].files[k] != NULL; k++)
			file(folders[i].files[k], "CREATE TABLE t (a int)");
		enum qn_err e = migrate();
		if (e != QN_INVALID || strstr(wrong, folders[i].says) == NULL)
			fail_msg("%s: %s '%s'", folders[i].name, qn_err_code(e), wrong);
		assert_string_equal(ask("SELECT to_regclass('t') IS NULL"), "t");
		for (size_t k = 0; k < 4 && folders[i].files[k] != NULL; k++)
			drop(folders[i].files[k]);
	}
	snprintf(dir + strlen(dir), sizeof(dir) - strlen(dir), "/no");
	struct migrate_options o = {.url = url, .dir = dir, .role = ""};
	assert_int_equal(migrate_run(&o, stdout), QN_INVALID);
}

static void a_newer_schema_is_refused(void **state)
{
	(void)state;
	three_files();
	assert_int_equal(migrate(), QN_OK);
	drop("0003_three.sql");
	complains(migrate(), QN_INVALID, "newer");
}

static void one_that_fails_leaves_nothing_behind(void **state)
{
	(void)state;
	three_files();
	file("0002_two.sql",
	    "CREATE TABLE two (a int); INSERT INTO two VALUES (1); SELECT 1/0; CREATE TABLE x (a int)");
	complains(migrate(), QN_DB_DOWN, "division by zero");
	assert_non_null(strstr(wrong, "0002_two.sql"));
	assert_string_equal(ask("SELECT count(*) FROM schema_migrations"), "1");
	assert_string_equal(
	    ask("SELECT to_regclass('two') IS NULL AND to_regclass('one') IS NOT NULL"), "t");
	three_files();
	assert_int_equal(migrate(), QN_OK);
	says("2 applied");
}

static void without_a_server_it_says_so(void **state)
{
	(void)state;
	three_files();
	snprintf(url, sizeof(url), "host=/nonexistent dbname=x");
	complains(migrate(), QN_DB_DOWN, "connect");
}

/* rights */

static void the_role_is_granted_rows_and_no_more(void **state)
{
	(void)state;
	pg_do(&pg, "CREATE ROLE \"a \"\"worker\"");
	three_files();
	assert_int_equal(migrate_with("a \"worker", false, false), QN_OK);
#define MAY(what, right) ask("SELECT has_table_privilege('a \"worker', '" what "', '" right "')")
	assert_string_equal(MAY("one", "SELECT"), "t");
	assert_string_equal(MAY("two", "INSERT"), "t");
	assert_string_equal(MAY("two", "UPDATE"), "t");
	assert_string_equal(MAY("two", "DELETE"), "t");
	assert_string_equal(MAY("two", "TRUNCATE"), "f");
	assert_string_equal(MAY("schema_migrations", "SELECT"), "t");
	assert_string_equal(MAY("schema_migrations", "INSERT"), "f");
	assert_string_equal(MAY("schema_migrations", "UPDATE"), "f");
	assert_string_equal(
	    ask("SELECT has_schema_privilege('a \"worker', 'public', 'CREATE')"), "f");
	/* Tables that come later, and a run that finds the schema up to date. */
	file("0004_four.sql", "CREATE TABLE four (a int)");
	assert_int_equal(migrate(), QN_OK);
	assert_string_equal(MAY("four", "SELECT"), "f");
	assert_int_equal(migrate_with("a \"worker", false, false), QN_OK);
	assert_string_equal(MAY("four", "SELECT"), "t");
	complains(migrate_with("nobody there", false, false), QN_DB_DOWN, "grant");
}

/* Programs that run meanwhile use what is there, whatever becomes of the migrations after it. */
static void rights_come_with_their_table(void **state)
{
	(void)state;
	pg_do(&pg, "CREATE ROLE early");
	three_files();
	file("0003_three.sql", "SELECT no_such_thing()");
	complains(migrate_with("early", false, false), QN_DB_DOWN, "no_such_thing");
	assert_string_equal(ask("SELECT has_table_privilege('early', 'two', 'INSERT')"), "t");
	assert_string_equal(
	    ask("SELECT has_table_privilege('early', 'schema_migrations', 'INSERT')"), "f");
}

/* at once, and killed */

static pid_t migrate_in_child(void)
{
	fflush(NULL);
	pid_t pid = fork();

	assert_return_code(pid, errno);
	if (pid == 0) {
		struct migrate_options o = {.url = url, .dir = dir, .role = ""};
		FILE *null = fopen("/dev/null", "w");
		_exit(null != NULL && migrate_run(&o, null) == QN_OK ? 0 : 1);
	}
	return pid;
}

static void two_at_once_wait_for_each_other(void **state)
{
	pid_t pids[4];
	int status;

	(void)state;
	three_files();
	file("0002_two.sql", "CREATE TABLE two (a int); SELECT pg_sleep(0.2)");
	for (size_t i = 0; i < COUNT(pids); i++)
		pids[i] = migrate_in_child();
	for (size_t i = 0; i < COUNT(pids); i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_string_equal(ask("SELECT count(*) FROM schema_migrations"), "3");
	assert_string_equal(ask("SELECT count(*) FROM one"), "1");
}

/* Where the child stands: it waits for a lock that the test holds. */
static bool waits_at(PGconn *c, long key)
{
	char sql[200];

	snprintf(sql, sizeof(sql),
	    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = %ld AND "
	    "database = (SELECT oid FROM pg_database WHERE datname = current_database())",
	    key);
	PGresult *res = PQexec(c, sql);
	bool waits = strcmp(PQgetvalue(res, 0, 0), "1") == 0;
	PQclear(res);
	return waits;
}

/* Killed at each statement of the second of three: the first is whole, and a run after it
 * completes. */
static void one_that_is_killed_is_completed_by_the_next(void **state)
{
	static const char two[] = "SELECT pg_advisory_xact_lock(1); CREATE TABLE two (a int);"
				  "SELECT pg_advisory_xact_lock(2); INSERT INTO two VALUES (1);"
				  "SELECT pg_advisory_xact_lock(3); CREATE INDEX two_a ON two (a);"
				  "SELECT pg_advisory_xact_lock(4)";
	char sql[100];
	int status;

	(void)state;
	three_files();
	file("0002_two.sql", two);
	PGconn *holder = PQconnectdb(url);
	for (long at = 1; at <= 4; at++) {
		int64_t until = qn_mono_us() + 20000000;
		snprintf(sql, sizeof(sql), "SELECT pg_advisory_lock(%ld)", at);
		PQclear(PQexec(holder, sql));
		pid_t pid = migrate_in_child();
		while (!waits_at(holder, at)) {
			assert_true(qn_mono_us() < until);
			poll(NULL, 0, 1);
		}
		assert_return_code(kill(pid, SIGKILL), errno);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		PQclear(PQexec(holder, "SELECT pg_advisory_unlock_all()"));
		/* Nothing of the second, all of the first. */
		assert_string_equal(
		    ask("SELECT to_regclass('two') IS NULL AND to_regclass('one') IS NOT NULL"),
		    "t");
		assert_string_equal(ask("SELECT count(*) FROM schema_migrations"), "1");
	}
	PQfinish(holder);
	assert_int_equal(migrate(), QN_OK);
	says("2 applied");
	assert_string_equal(ask("SELECT count(*) FROM two"), "2");
}

/* Never in front of the service in the queue for a lock. */
static void a_lock_that_is_not_had_is_given_up(void **state)
{
	(void)state;
	three_files();
	drop("0003_three.sql");
	drop("0002_two.sql");
	assert_int_equal(migrate(), QN_OK);
	file("0002_two.sql", "ALTER TABLE one ADD b text");
	PGconn *reader = PQconnectdb(url);
	PQclear(PQexec(reader, "BEGIN; SELECT * FROM one"));
	int64_t began = qn_mono_us();
	complains(migrate(), QN_DB_DOWN, "lock timeout");
	assert_in_range(qn_mono_us() - began, 1000000, 15000000);
	PQfinish(reader);
	assert_int_equal(migrate(), QN_OK);
}

#define TEST(f) cmocka_unit_test_setup(f, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(all_are_applied_once_in_order),
	    TEST(a_dry_run_changes_nothing),
	    TEST(the_status_is_told),
	    TEST(a_change_is_refused),
	    TEST(folders_with_a_fault_are_refused),
	    TEST(a_newer_schema_is_refused),
	    TEST(one_that_fails_leaves_nothing_behind),
	    TEST(without_a_server_it_says_so),
	    TEST(the_role_is_granted_rows_and_no_more),
	    TEST(rights_come_with_their_table),
	    TEST(two_at_once_wait_for_each_other),
	    TEST(one_that_is_killed_is_completed_by_the_next),
	    TEST(a_lock_that_is_not_had_is_given_up),
	};
	if (!pg_installed())
		return 77;
	return cmocka_run_group_tests_name("migrate", tests, start, stop);
}
