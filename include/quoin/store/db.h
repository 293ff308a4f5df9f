/*
 * Postgres. Statements are listed in tables, prepared on first use of a connection, and always given
 * their parameters apart from their text. Every wait has a deadline. One connection per worker (two
 * where there is a standby); a broken one is replaced at its next use.
 */
#ifndef QUOIN_STORE_DB_H
#define QUOIN_STORE_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "quoin/base/arena.h"
#include "quoin/base/board.h"
#include "quoin/base/conf.h"
#include "quoin/base/err.h"
#include "quoin/base/field.h"

/*
 * Outside a transaction READ may run on a standby; FRESH reads what was just written. Both are run
 * again once when their connection is lost; WRITE never is.
 */
enum qn_stmt_kind { QN_STMT_NONE, QN_STMT_READ, QN_STMT_FRESH, QN_STMT_WRITE };

struct qn_stmt {
	const char *name;
	enum qn_stmt_kind kind;
	int params;
	const char *sql;
};

struct qn_stmt_set {
	const char *domain;
	const struct qn_stmt *list;
	size_t n;
};

/* All of them, NULL at the end: for preparing whole (tests, quoinctl statements). */
extern const struct qn_stmt_set *const qn_stmt_sets[];

/*
 * #define ORG_STMTS(X) X(ORG_BY_ID, READ, 1, "SELECT …")
 * QN_STATEMENTS(org, ORG_STMTS)   makes the enumerators and `org_set`
 */
/*
 * Whether a column says a time within the last `span_`, by Postgres' clock. What lies ahead of it was noted by a
 * clock that was wrong, and is not late for as long as that (SECURITY F23).
 */
#define QN_LATELY(column_, span_) \
	column_ " BETWEEN clock_timestamp() - interval '" span_ "' AND clock_timestamp()"

#define QN_STMT_ENUM(name_, kind_, params_, sql_) name_,
#define QN_STMT_ROW(name_, kind_, params_, sql_)  {#name_, QN_STMT_##kind_, params_, sql_},
#define QN_STATEMENTS(domain_, LIST) \
	enum { LIST(QN_STMT_ENUM) domain_##__MAX }; \
	static const struct qn_stmt domain_##_stmts[] = {LIST(QN_STMT_ROW)}; \
	extern const struct qn_stmt_set domain_##_set; \
	const struct qn_stmt_set domain_##_set = {#domain_, domain_##_stmts, domain_##__MAX}

/* A parameter. Text goes as text; JSON and bytes go as they are. */
struct qn_arg {
	const char *p; /* NULL: null, unless number */
	size_t n;
	bool binary, number;
	char digits[24];
};

struct qn_arg qn_a_str(const char *s); /* NULL is null */
struct qn_arg qn_a_i64(int64_t v);     /* QN_I64_NULL is null */
struct qn_arg qn_a_bool(qn_tri v);     /* QN_UNSET is null */
struct qn_arg qn_a_json(struct qn_span v);
struct qn_arg qn_a_bytes(const void *p, size_t n);

struct qn_db;
struct qn_rows; /* a result; lives in the arena */

/* Connects at first use. `board` may be NULL. */
struct qn_db *qn_db_new(const char *url, const char *replica_url, int64_t timeout_ms,
    const char *name, struct qn_board *board);
void qn_db_free(struct qn_db *db);

/*
 * One statement. QN_OK and the rows; QN_RETRY after a serialization failure, a deadlock or a lock that
 * was not had in time; QN_CONFLICT after a unique or foreign key violation; QN_INVALID when Postgres
 * refuses a value; QN_DB_DOWN when nothing happened; QN_UNCERTAIN when a write outside a transaction
 * was sent and its answer was lost. A transaction that loses its connection answers QN_DB_DOWN from
 * then on.
 */
enum qn_err qn_exec(struct qn_db *db, struct qn_arena *a, const struct qn_stmt_set *set, int stmt,
    const struct qn_arg *args, size_t nargs, struct qn_rows **ret) QN_MUST_CHECK;
#define QN_EXEC(db, a, set, stmt, ret, ...) \
	qn_exec((db), (a), &(set), (stmt), (const struct qn_arg[]){__VA_ARGS__}, \
	    sizeof((const struct qn_arg[]){__VA_ARGS__}) / sizeof(struct qn_arg), (ret))

/* Has the server parse and plan a statement, without running it. */
enum qn_err qn_db_prepare(struct qn_db *db, const struct qn_stmt_set *set, int stmt) QN_MUST_CHECK;

/* What went wrong, for the log: static or until the next statement; "" when nothing did. */
const char *qn_db_why(const struct qn_db *db);

/* Statements sent and microseconds waited since the last qn_db_reset. */
void qn_db_cost(const struct qn_db *db, int64_t *ret_statements, int64_t *ret_us);

/*
 * Between requests: a transaction that the last one left open goes with its connection (SECURITY F13,
 * T34). There is nothing else to undo, as no statement changes its session.
 */
void qn_db_reset(struct qn_db *db);

/* SELECT 1 within the deadline. */
enum qn_err qn_db_ping(struct qn_db *db) QN_MUST_CHECK;

/*
 * A transaction is a guard: any return before qn_tx_commit rolls back. BEGIN travels with the first
 * statement. Inside another transaction it joins that one: its commit waits for the outer one.
 */
struct qn_tx {
	struct qn_db *db;
	bool open;
};
struct qn_tx qn_tx_begin(struct qn_db *db);
/*
 * QN_UNCERTAIN when COMMIT was sent and its answer was lost; QN_DB_DOWN when the connection was lost
 * before; QN_INTERNAL when a statement failed or an inner transaction was given up. In the last two the
 * guard rolls back.
 */
enum qn_err qn_tx_commit(struct qn_tx *tx) QN_MUST_CHECK;
void qn_tx_done(struct qn_tx *tx);
#define QN_TX(name, db) __attribute__((cleanup(qn_tx_done))) struct qn_tx name = qn_tx_begin(db)

/* Rows. Strings and JSON point into the result and live as long as the arena. */
size_t qn_rows_n(const struct qn_rows *rows);
/* Fills the struct from the columns named as its fields; a field without a column stays null. */
void qn_rows_get(struct qn_rows *rows, size_t row, const struct qn_object *o, void *dst);
/* All rows as an array of structs. */
struct qn_list qn_rows_list(struct qn_rows *rows, struct qn_arena *a, const struct qn_object *o);
const char *qn_rows_str(const struct qn_rows *rows, size_t row, int column); /* NULL: null */
int64_t qn_rows_i64(const struct qn_rows *rows, size_t row, int column);     /* QN_I64_NULL: null */
struct qn_span qn_rows_bytes(const struct qn_rows *rows, size_t row, int column);

/* NOTIFY, for the listener: waits for one on the named channels. */
typedef void qn_notify_fn(void *arg, const char *channel, const char *payload);
enum qn_err qn_db_listen(struct qn_db *db, const char *const *channels) QN_MUST_CHECK;
/*
 * SELECT 1 on the very connection that listens. QN_DB_DOWN when it is gone: it is never replaced here, for
 * a new one would hear nothing and seem well.
 */
enum qn_err qn_db_still_listens(struct qn_db *db) QN_MUST_CHECK;
/* Waits up to timeout_ms; calls fn for each notification. QN_DB_DOWN when the connection is gone. */
enum qn_err qn_db_wait(
    struct qn_db *db, int64_t timeout_ms, qn_notify_fn *fn, void *arg) QN_MUST_CHECK;

#endif
