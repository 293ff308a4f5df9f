#include "quoin/store/migrate.h"

#include <dirent.h>
#include <errno.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "quoin/base/arena.h"
#include "quoin/base/rand.h"

enum { FILES_MAX = 1000, FILE_MAX_BYTES = 4 * 1024 * 1024, ARENA_BYTES = 64 * 1024 * 1024 };

/* "Quoin" as a number: any two programs that migrate this database take the same lock. */
#define LOCK_SQL "SELECT pg_advisory_lock(348967594350)"
#define LEDGER_SQL \
	"CREATE TABLE IF NOT EXISTS schema_migrations (version integer PRIMARY KEY, name text NOT NULL, " \
	"sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"

struct migration {
	int version;
	const char *name; /* "0001_foundation.sql" */
	const char *sql;
	char sha256[2 * QN_SHA256_LEN + 1];
	const char *applied_at; /* NULL: not applied */
};

struct run {
	const struct migrate_options *o;
	FILE *out;
	struct qn_arena *arena;
	PGconn *pg;
	struct migration list[FILES_MAX];
	size_t n;
};

static enum qn_err fail(enum qn_err e, const char *what, const char *detail)
{
	fprintf(stderr, "quoinctl: migrate: %s: %s\n", what, detail);
	return e;
}

static const char *read_sql(struct run *r, const char *name)
{
	const char *path = qn_printf(r->arena, "%s/%s", r->o->dir, name);
	FILE *f = fopen(path, "re");

	if (f == NULL)
		return NULL;
	long size = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
	char *text = NULL;
	if (size >= 0 && size <= FILE_MAX_BYTES) {
		rewind(f);
		text = qn_alloc(r->arena, (size_t)size + 1);
		if (fread(text, 1, (size_t)size, f) != (size_t)size)
			text = NULL;
	}
	fclose(f);
	return text;
}

static bool is_sql(const char *name)
{
	size_t n = strlen(name);

	return n > 4 && name[0] != '.' && strcmp(name + n - 4, ".sql") == 0;
}

/* Of NNNN_name.sql, where the name is of small letters, digits and underscores; 0 for any other. */
static int version_of(const char *name)
{
	size_t digits = strspn(name, "0123456789"),
	       n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");

	if (digits != 4 || name[4] != '_' || n < 6 || strcmp(name + n, ".sql") != 0)
		return 0;
	return (int)strtol(name, NULL, 10);
}

static int by_version(const void *a, const void *b)
{
	return ((const struct migration *)a)->version - ((const struct migration *)b)->version;
}

static enum qn_err add_file(struct run *r, const char *name, int version)
{
	uint8_t digest[QN_SHA256_LEN];
	struct migration *m = &r->list[r->n];

	if (version == 0)
		return fail(QN_INVALID, name, "is no name for a migration: NNNN_name.sql");
	if (r->n == FILES_MAX)
		return fail(QN_INVALID, name, "too many files");
	m->version = version;
	m->name = qn_strdup(r->arena, name);
	m->sql = read_sql(r, name);
	if (m->sql == NULL)
		return fail(QN_INVALID, name, "cannot be read, or is too large");
	qn_sha256(m->sql, strlen(m->sql), digest);
	qn_hex(digest, sizeof(digest), m->sha256);
	r->n++;
	return QN_OK;
}

static enum qn_err list_files(struct run *r)
{
	DIR *d = opendir(r->o->dir);
	struct dirent *e;
	enum qn_err err = QN_OK;

	if (d == NULL)
		return fail(QN_INVALID, r->o->dir, strerror(errno));
	while (err == QN_OK && (e = readdir(d)) != NULL)
		if (is_sql(e->d_name))
			err = add_file(r, e->d_name, version_of(e->d_name));
	closedir(d);
	QN_TRY(err);
	qsort(r->list, r->n, sizeof(r->list[0]), by_version);
	for (size_t i = 0; i < r->n; i++)
		if (r->list[i].version != (int)i + 1)
			return fail(QN_INVALID, r->list[i].name,
			    "the numbers have a gap or a repetition before it");
	return r->n == 0 ? fail(QN_INVALID, r->o->dir, "holds no migrations") : QN_OK;
}

/* Runs a text of one or more statements; its last result, or NULL after saying what failed. */
static PGresult *run_sql(struct run *r, const char *what, const char *sql)
{
	PGresult *last = NULL, *res;

	if (PQsendQuery(r->pg, sql) == 0) {
		fail(QN_DB_DOWN, what, PQerrorMessage(r->pg));
		return NULL;
	}
	while ((res = PQgetResult(r->pg)) != NULL) {
		PQclear(last);
		last = res;
	}
	ExecStatusType status = PQresultStatus(last);
	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
		return last;
	fail(QN_DB_DOWN, what, PQerrorMessage(r->pg));
	PQclear(last);
	return NULL;
}

static enum qn_err run_done(struct run *r, const char *what, const char *sql)
{
	PGresult *res = run_sql(r, what, sql);

	PQclear(res);
	return res != NULL ? QN_OK : QN_DB_DOWN;
}

/* Compares what was applied with the files. */
static enum qn_err read_ledger(struct run *r)
{
	PGresult *res = run_sql(r, "ledger",
	    "SELECT version, sha256, to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') "
	    "FROM schema_migrations ORDER BY version");

	if (res == NULL)
		return QN_DB_DOWN;
	enum qn_err err = QN_OK;
	for (int i = 0; i < PQntuples(res) && err == QN_OK; i++) {
		long v = strtol(PQgetvalue(res, i, 0), NULL, 10);
		if (v < 1 || v > (long)r->n)
			err =
			    fail(QN_INVALID, PQgetvalue(res, i, 0), "was applied by a newer Quoin");
		else if (strcmp(r->list[v - 1].sha256, PQgetvalue(res, i, 1)) != 0)
			err = fail(
			    QN_INVALID, r->list[v - 1].name, "was changed after it was applied");
		else
			r->list[v - 1].applied_at = qn_strdup(r->arena, PQgetvalue(res, i, 2));
	}
	PQclear(res);
	return err;
}

static enum qn_err grant(struct run *r)
{
	if (r->o->role[0] == '\0')
		return QN_OK;
	char *role = PQescapeIdentifier(r->pg, r->o->role, strlen(r->o->role));

	if (role == NULL)
		return fail(QN_INVALID, "role", PQerrorMessage(r->pg));
	const char *sql = qn_printf(r->arena,
	    "GRANT USAGE ON SCHEMA public TO %s; "
	    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO %s; "
	    "REVOKE INSERT, UPDATE, DELETE ON schema_migrations FROM %s; "
	    "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO %s",
	    role, role, role, role);
	PQfreemem(role);
	return run_done(r, "grant", sql);
}

/* With its rights: triggers reach new tables at once, also when a later migration has to be tried again. */
static enum qn_err apply(struct run *r, const struct migration *m)
{
	const char *record = qn_printf(r->arena,
	    "INSERT INTO schema_migrations (version, name, sha256) VALUES (%d, '%s', '%s'); COMMIT",
	    m->version, m->name, m->sha256);

	fprintf(r->out, "applying %s\n", m->name);
	fflush(r->out);
	QN_TRY(run_done(r, m->name, "BEGIN"));
	QN_TRY(run_done(r, m->name, m->sql));
	QN_TRY(grant(r));
	return run_done(r, m->name, record);
}

static enum qn_err bring_up_to_date(struct run *r)
{
	size_t applied = 0;

	for (size_t i = 0; i < r->n; i++) {
		struct migration *m = &r->list[i];
		if (r->o->status)
			fprintf(r->out, "%s %s\n", m->name,
			    m->applied_at != NULL ? m->applied_at : "pending");
		if (m->applied_at != NULL || r->o->status)
			continue;
		applied++;
		if (r->o->dry_run)
			fprintf(r->out, "would apply %s\n", m->name);
		else
			QN_TRY(apply(r, m));
	}
	if (r->o->status || r->o->dry_run)
		return QN_OK;
	QN_TRY(grant(r));
	fprintf(r->out, applied == 0 ? "up to date\n" : "%zu applied\n", applied);
	return QN_OK;
}

/* To look, nothing is made and nobody waited for: without a ledger nothing was applied yet. */
static enum qn_err look(struct run *r)
{
	PGresult *res =
	    run_sql(r, "ledger", "SELECT 1 WHERE to_regclass('schema_migrations') IS NOT NULL");
	bool there = PQntuples(res) == 1, asked = res != NULL;

	PQclear(res);
	if (!asked)
		return QN_DB_DOWN;
	return there ? read_ledger(r) : QN_OK;
}

static enum qn_err connect_and_run(struct run *r)
{
	r->pg = PQconnectdb(r->o->url);
	if (PQstatus(r->pg) != CONNECTION_OK)
		return fail(QN_DB_DOWN, "connect", PQerrorMessage(r->pg));
	PQsetNoticeProcessor(r->pg, NULL, NULL);
	QN_TRY(run_done(r, "settings", "SET client_min_messages = warning"));
	if (r->o->dry_run || r->o->status) {
		QN_TRY(look(r));
		return bring_up_to_date(r);
	}
	QN_TRY(run_done(r, "lock", LOCK_SQL));
	/* Requests queue behind a lock that is waited for, three seconds at most (conn.c): be gone before. */
	QN_TRY(run_done(r, "settings", "SET lock_timeout = '2s'"));
	QN_TRY(run_done(r, "ledger", LEDGER_SQL));
	QN_TRY(read_ledger(r));
	return bring_up_to_date(r);
}

enum qn_err migrate_run(const struct migrate_options *o, FILE *out)
{
	struct run *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return fail(QN_INTERNAL, "start", "out of memory");
	r->o = o;
	r->out = out;
	r->arena = qn_arena_new(ARENA_BYTES);
	enum qn_err err = list_files(r);
	if (err == QN_OK)
		err = connect_and_run(r);
	PQfinish(r->pg);
	qn_arena_free(r->arena);
	free(r);
	return err;
}
