/* A result and how its columns map to the fields of one object. For src/store only. */
#ifndef QUOIN_STORE_ROWS_H
#define QUOIN_STORE_ROWS_H

#include <libpq-fe.h>

#include "quoin/store/db.h"

enum { ROWS_FIELDS = 40 };

struct qn_rows {
	PGresult *res;
	struct qn_arena *arena;
	const struct qn_object *mapped; /* whose columns are in `column` */
	int column[ROWS_FIELDS];        /* by field; -1 none */
};

struct qn_rows *qn_rows_new(struct qn_arena *a, PGresult *res);

/* The one row, by its object; `none` when there is no row, and then nothing is written. */
enum qn_err qn_rows_one(
    struct qn_rows *rows, const struct qn_object *o, enum qn_err none, void *ret) QN_MUST_CHECK;
/* Of a statement without parameters that answers with one number. */
enum qn_err qn_exec_number(struct qn_db *db, struct qn_arena *a, const struct qn_stmt_set *set,
    int stmt, int64_t *ret) QN_MUST_CHECK;

#endif
