#include "pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "quoin/base/clock.h"

#define PATIENCE_US INT64_C(60000000)

/* A program of the newest Postgres in Debian's places, or by its name alone to be found in PATH. */
static const char *program(const char *name)
{
	static char path[2][256];
	static int turn;
	char *out = path[turn++ % 2];
	glob_t found;

	snprintf(out, sizeof(path[0]), "/usr/lib/postgresql/*/bin/%s", name);
	if (glob(out, 0, NULL, &found) != 0) {
		snprintf(out, sizeof(path[0]), "%s", name);
		return out;
	}
	double newest = 0;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		double version = strtod(found.gl_pathv[i] + strlen("/usr/lib/postgresql/"), NULL);
		if (version < newest)
			continue;
		newest = version;
		snprintf(out, sizeof(path[0]), "%s", found.gl_pathv[i]);
	}
	globfree(&found);
	return out;
}

static bool in_path(const char *name)
{
	const char *path = getenv("PATH");
	char file[512];

	for (const char *p = path != NULL ? path : ""; *p != '\0';) {
		size_t n = strcspn(p, ":");
		snprintf(file, sizeof(file), "%.*s/%s", (int)n, p, name);
		if (access(file, X_OK) == 0)
			return true;
		p += n + (p[n] == ':');
	}
	return false;
}

static bool installed(const char *name)
{
	const char *path = program(name);

	return path[0] == '/' ? access(path, X_OK) == 0 : in_path(name);
}

bool pg_installed(void)
{
	return installed("initdb") && installed("postgres");
}

void pg_server_up(struct pg *pg)
{
	char sockets[96];
	int64_t until = qn_mono_us() + PATIENCE_US;

	snprintf(sockets, sizeof(sockets), "unix_socket_directories=%s", pg->daemon.dir);
	daemon_run(&pg->daemon,
	    (const char *const[]){program("postgres"), "-D", "data", "-c", sockets, "-c",
		"listen_addresses=", "-c", "fsync=off", "-c", "full_page_writes=off", "-c",
		"shared_buffers=16MB", "-c", "max_connections=40", "-c", "deadlock_timeout=10ms",
		"-c", "autovacuum=off", "-c", "jit=off", "-c", "max_parallel_workers=0", NULL});
	while (PQping(pg->url) != PQPING_OK) {
		if (qn_mono_us() > until) {
			daemon_show_log(&pg->daemon);
			fail_msg("Postgres does not answer");
		}
		poll(NULL, 0, 2);
	}
}

void pg_server_down(struct pg *pg, int sig)
{
	PQfinish(pg->asking);
	pg->asking = NULL;
	daemon_kill(&pg->daemon, sig);
}

void pg_start(struct pg *pg)
{
	*pg = (struct pg){.asking = NULL};
	daemon_new(&pg->daemon, SIGQUIT);
	if (daemon_do(&pg->daemon,
		(const char *const[]){program("initdb"), "-D", "data", "-U", "quoin",
		    "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8", NULL}) != 0) {
		daemon_show_log(&pg->daemon);
		fail_msg("initdb failed");
	}
	snprintf(pg->url, sizeof(pg->url), "host=%s user=quoin dbname=postgres", pg->daemon.dir);
	pg_server_up(pg);
	pg_do(pg, "CREATE DATABASE quoin");
	PQfinish(pg->asking);
	pg->asking = NULL;
	snprintf(pg->url, sizeof(pg->url), "host=%s user=quoin dbname=quoin", pg->daemon.dir);
}

void pg_stop(struct pg *pg)
{
	PQfinish(pg->asking);
	pg->asking = NULL;
	daemon_free(&pg->daemon);
}

PGconn *pg_connect(const struct pg *pg)
{
	PGconn *c = PQconnectdb(pg->url);

	if (PQstatus(c) != CONNECTION_OK)
		fail_msg("%s", PQerrorMessage(c));
	PQsetNoticeProcessor(c, NULL, NULL);
	PQclear(PQexec(c, "SET client_min_messages = warning"));
	return c;
}

static PGresult *run(struct pg *pg, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

static PGresult *run(struct pg *pg, const char *fmt, va_list ap)
{
	char sql[8192];

	assert_in_range(vsnprintf(sql, sizeof(sql), fmt, ap), 1, sizeof(sql) - 1);
	if (pg->asking == NULL || PQstatus(pg->asking) != CONNECTION_OK) {
		PQfinish(pg->asking);
		pg->asking = pg_connect(pg);
	}
	PGresult *res = PQexec(pg->asking, sql);
	ExecStatusType status = PQresultStatus(res);
	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(pg->asking));
	return res;
}

void pg_do(struct pg *pg, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	PQclear(run(pg, fmt, ap));
	va_end(ap);
}

static const char *first(PGresult *res)
{
	static char value[4096];

	snprintf(value, sizeof(value), "%s", PQntuples(res) > 0 ? PQgetvalue(res, 0, 0) : "");
	PQclear(res);
	return value;
}

const char *pg_ask(struct pg *pg, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	PGresult *res = run(pg, fmt, ap);
	va_end(ap);
	return first(res);
}

long pg_ask_i(struct pg *pg, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	PGresult *res = run(pg, fmt, ap);
	va_end(ap);
	return strtol(first(res), NULL, 10);
}

void pg_until(struct pg *pg, const char *sql)
{
	int64_t until = qn_mono_us() + PATIENCE_US;

	while (strcmp(pg_ask(pg, "%s", sql), "t") != 0) {
		if (qn_mono_us() > until)
			fail_msg("waited too long for: %s", sql);
		poll(NULL, 0, 1);
	}
}
