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

#endif
