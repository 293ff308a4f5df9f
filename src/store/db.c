#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn.h"
#include "quoin/base/log.h"
#include "rows.h"

/* libpq keeps the room of its largest answer and question: a connection that grew so far is opened anew. */
enum { FAT_CONNECTION = 2 * 1024 * 1024 };

/* A standby that cannot be reached is left alone for longer, as the primary answers in its place. */
enum {
	CONNECT_US = 2000000,
	REST_US = 100000,
	REPLICA_CONNECT_US = 500000,
	REPLICA_REST_US = 2000000
};

struct qn_db {
	struct conn primary, replica;
	struct conn *used; /* by the last statement */
	char *url, *replica_url;
	int depth;   /* of transactions open in C */
	bool begun;  /* BEGIN was sent */
	bool doomed; /* an inner transaction was given up: the outer one may not commit */
	bool lost;   /* the transaction went with its connection: nothing more is sent in it */
};

static char *copy(const char *s)
{
	char *p = strdup(s);

	if (p == NULL)
		qn_fatal("out of memory");
	return p;
}

struct qn_db *qn_db_new(const char *url, const char *replica_url, int64_t timeout_ms,
    const char *name, struct qn_board *board)
{
	struct qn_db *db = calloc(1, sizeof(*db));

	if (db == NULL)
		qn_fatal("out of memory");
	db->url = copy(url);
	db->replica_url = copy(replica_url);
	db->primary = (struct conn){.url = db->url,
	    .name = name,
	    .board = board,
	    .timeout_us = timeout_ms * 1000,
	    .connect_us = CONNECT_US,
	    .rest_us = REST_US};
	db->replica = db->primary;
	db->replica.url = db->replica_url;
	db->replica.connect_us = REPLICA_CONNECT_US;
	db->replica.rest_us = REPLICA_REST_US;
	db->used = &db->primary;
	return db;
}

void qn_db_free(struct qn_db *db)
{
	if (db == NULL)
		return;
	conn_close(&db->primary);
	conn_close(&db->replica);
	free(db->url);
	free(db->replica_url);
	free(db);
}

struct qn_arg qn_a_str(const char *s)
{
	return (struct qn_arg){.p = s};
}

struct qn_arg qn_a_i64(int64_t v)
{
	struct qn_arg a = {.number = v != QN_I64_NULL};

	if (a.number)
		snprintf(a.digits, sizeof(a.digits), "%lld", (long long)v);
	return a;
}

struct qn_arg qn_a_bool(qn_tri v)
{
	return (struct qn_arg){.p = v == QN_UNSET ? NULL : v ? "t" : "f"};
}

struct qn_arg qn_a_json(struct qn_span v)
{
	return qn_a_bytes(v.p, v.n);
}

struct qn_arg qn_a_bytes(const void *p, size_t n)
{
	return (struct qn_arg){.p = p, .n = n, .binary = true};
}

/* Statements are numbered across all sets, in the order of qn_stmt_sets. */
static int number_of(const struct qn_stmt_set *set, int stmt)
{
	int base = 0;

	for (size_t i = 0; qn_stmt_sets[i] != NULL; i++) {
		if (qn_stmt_sets[i] == set)
			return base + stmt;
		base += (int)qn_stmt_sets[i]->n;
	}
	qn_fatal("statements of %s are not listed", set->domain);
}

/* What Postgres' refusal means to a caller (SQLSTATE, appendix A of its manual). */
static enum qn_err meaning(const PGresult *res)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	if (state == NULL)
		return QN_DB_DOWN;
	if (strcmp(state, "40001") == 0 || strcmp(state, "40P01") == 0 ||
	    strcmp(state, "55P03") == 0)
		return QN_RETRY;
	if (strcmp(state, "23505") == 0 || strcmp(state, "23503") == 0)
		return QN_CONFLICT;
	if (strncmp(state, "22", 2) == 0 || strncmp(state, "23", 2) == 0)
		return QN_INVALID;
	if (strncmp(state, "08", 2) == 0 || strncmp(state, "53", 2) == 0 ||
	    strncmp(state, "57", 2) == 0 || strcmp(state, "25006") == 0 ||
	    strcmp(state, "25P03") == 0)
		return QN_DB_DOWN;
	return QN_INTERNAL;
}

static enum qn_err judge(struct conn *c, const PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		return QN_OK;
	enum qn_err e = meaning(res);
	const char *why = PQresultErrorMessage(res);
	snprintf(c->why, sizeof(c->why), "%.*s", (int)strcspn(why, "\n"), why);
	if (c->board != NULL && (e == QN_INTERNAL || e == QN_DB_DOWN))
		qn_board_count(c->board, QN_COUNT_DB_ERRORS, 1);
	return e;
}

static void clear_rows(void *p)
{
	struct qn_rows *rows = p;

	PQclear(rows->res);
}

/* BEGIN (when it is due) and the statement, in one round trip. */
static enum qn_err run_statement(
    struct qn_db *db, struct conn *c, struct qn_arena *a, struct step *s, struct qn_rows **ret)
{
	struct step steps[2] = {{.text = "BEGIN"}, *s};
	bool begin = db->depth > 0 && !db->begun;
	struct step *first = begin ? steps : steps + 1;

	QN_TRY(conn_run(c, first, begin ? 2 : 1));
	db->begun = db->depth > 0;
	PQclear(begin ? steps[0].res : NULL);
	struct qn_rows *rows = qn_rows_new(a, steps[1].res);
	qn_keep(a, clear_rows, rows);
	enum qn_err e = judge(c, rows->res);
	if (PQstatus(c->pg) != CONNECTION_OK)
		conn_close(c);
	if (e == QN_OK)
		*ret = rows;
	return e;
}

static struct conn *choose(struct qn_db *db, const struct qn_stmt *stmt)
{
	if (stmt->kind == QN_STMT_READ && db->depth == 0 && db->replica.url[0] != '\0' &&
	    conn_ready(&db->replica) == QN_OK)
		return &db->replica;
	return &db->primary;
}

enum qn_err qn_exec(struct qn_db *db, struct qn_arena *a, const struct qn_stmt_set *set, int stmt,
    const struct qn_arg *args, size_t nargs, struct qn_rows **ret)
{
	const struct qn_stmt *row = &set->list[stmt];
	struct step s = {.stmt = row, .number = number_of(set, stmt), .args = args, .nargs = nargs};

	if (nargs != (size_t)row->params || nargs > CONN_ARGS || s.number >= CONN_STATEMENTS)
		qn_fatal("statement %s was given %zu parameters", row->name, nargs);
	for (int attempt = 0; !db->lost; attempt++) {
		struct conn *c = db->used = choose(db, row);
		enum qn_err e = db->begun ? QN_OK : conn_ready(c);
		bool ready = e == QN_OK;
		if (ready)
			e = run_statement(db, c, a, &s, ret);
		db->lost = db->depth > 0 && c->pg == NULL;
		if (!ready || e != QN_DB_DOWN || c->pg != NULL || db->depth > 0)
			return e;
		if (row->kind == QN_STMT_WRITE && c->sent)
			return QN_UNCERTAIN;
		if (attempt > 0 || c->timed_out) /* what was slow once is not tried twice */
			return e;
	}
	return QN_DB_DOWN;
}

enum qn_err qn_db_prepare(struct qn_db *db, const struct qn_stmt_set *set, int stmt)
{
	struct step s = {.stmt = &set->list[stmt], .number = number_of(set, stmt)};

	QN_TRY(conn_ready(&db->primary));
	return conn_prepare(&db->primary, &s);
}

const char *qn_db_why(const struct qn_db *db)
{
	return db->used->why;
}

void qn_db_cost(const struct qn_db *db, int64_t *ret_statements, int64_t *ret_us)
{
	*ret_statements = db->primary.statements + db->replica.statements;
	*ret_us = db->primary.waited_us + db->replica.waited_us;
}

static enum qn_err run_text(struct conn *c, const char *text, PGresult **ret)
{
	struct step s = {.text = text};
	enum qn_err e = conn_run(c, &s, 1);

	*ret = s.res;
	return e;
}

/* A transaction left open, or a session that is not as it was made, is given up whole. */
static void clean(struct conn *c)
{
	c->statements = c->waited_us = 0;
	if (c->pg == NULL)
		return;
	PGTransactionStatusType status = PQtransactionStatus(c->pg);
	if (status == PQTRANS_IDLE && c->largest < FAT_CONNECTION)
		return;
	if (status != PQTRANS_IDLE && status != PQTRANS_UNKNOWN)
		qn_log(QN_ERROR, "a request left its transaction open; the connection is dropped");
	conn_close(c);
}

void qn_db_reset(struct qn_db *db)
{
	db->depth = 0;
	db->begun = db->doomed = db->lost = false;
	clean(&db->primary);
	clean(&db->replica);
}

static enum qn_err select_1(struct conn *c)
{
	PGresult *res;

	QN_TRY(run_text(c, "SELECT 1", &res));
	enum qn_err e = judge(c, res);
	PQclear(res);
	return e;
}

enum qn_err qn_db_ping(struct qn_db *db)
{
	QN_TRY(conn_ready(&db->primary));
	return select_1(&db->primary);
}

enum qn_err qn_db_still_listens(struct qn_db *db)
{
	return db->primary.pg != NULL ? select_1(&db->primary) : QN_DB_DOWN;
}

struct qn_tx qn_tx_begin(struct qn_db *db)
{
	db->depth++;
	return (struct qn_tx){db, true};
}

/* COMMIT of a failed transaction answers ROLLBACK: only the tag COMMIT means that it is there. */
static enum qn_err commit(struct qn_db *db)
{
	PGresult *res;
	enum qn_err e = run_text(&db->primary, "COMMIT", &res);

	if (e != QN_OK)
		return db->primary.sent ? QN_UNCERTAIN : e;
	e = judge(&db->primary, res);
	if (e == QN_OK && strcmp(PQcmdStatus(res), "COMMIT") != 0)
		e = QN_INTERNAL;
	PQclear(res);
	return e == QN_DB_DOWN ? QN_UNCERTAIN : e;
}

enum qn_err qn_tx_commit(struct qn_tx *tx)
{
	struct qn_db *db = tx->db;

	if (db->lost || (db->doomed && db->depth == 1))
		return db->lost ? QN_DB_DOWN : QN_INTERNAL; /* the guard rolls back */
	tx->open = false;
	if (db->depth > 1 || !db->begun) {
		db->depth--;
		return QN_OK;
	}
	enum qn_err e = commit(db);
	db->depth = 0;
	db->begun = false;
	return e;
}

void qn_tx_done(struct qn_tx *tx)
{
	struct qn_db *db = tx->db;
	PGresult *res = NULL;

	if (!tx->open)
		return;
	tx->open = false;
	if (--db->depth > 0) {
		db->doomed = true;
		return;
	}
	if (db->begun && db->primary.pg != NULL &&
	    run_text(&db->primary, "ROLLBACK", &res) == QN_OK)
		PQclear(res);
	db->begun = db->doomed = db->lost = false;
}

enum qn_err qn_db_listen(struct qn_db *db, const char *const *channels)
{
	char text[128];
	PGresult *res;

	QN_TRY(conn_ready(&db->primary));
	for (; *channels != NULL; channels++) {
		char *name = PQescapeIdentifier(db->primary.pg, *channels, strlen(*channels));
		if (name == NULL)
			return QN_INTERNAL;
		snprintf(text, sizeof(text), "LISTEN %s", name); /* LISTEN takes no parameters */
		PQfreemem(name);
		QN_TRY(run_text(&db->primary, text, &res));
		enum qn_err e = judge(&db->primary, res);
		PQclear(res);
		QN_TRY(e);
	}
	return QN_OK;
}

static bool tell(struct conn *c, qn_notify_fn *fn, void *arg)
{
	PGnotify *note;
	bool any = false;

	while ((note = PQnotifies(c->pg)) != NULL) {
		fn(arg, note->relname, note->extra);
		PQfreemem(note);
		any = true;
	}
	return any;
}

enum qn_err qn_db_wait(struct qn_db *db, int64_t timeout_ms, qn_notify_fn *fn, void *arg)
{
	struct conn *c = &db->primary;

	if (c->pg == NULL)
		return QN_DB_DOWN;
	if (tell(c, fn, arg)) /* some came along with an earlier answer */
		return QN_OK;
	if (conn_wait(c, POLLIN, qn_mono_us() + timeout_ms * 1000) &&
	    (PQconsumeInput(c->pg) == 0 || PQstatus(c->pg) != CONNECTION_OK)) {
		conn_close(c);
		return QN_DB_DOWN;
	}
	tell(c, fn, arg);
	return QN_OK;
}
