#include "rows.h"

#include <stdlib.h>
#include <string.h>

#include "quoin/base/log.h"
#include "quoin/base/rand.h"

/* Types of Postgres, from its catalog (pg_type.dat); they never change. */
enum {
	T_BOOL = 16,
	T_BYTEA = 17,
	T_INT8 = 20,
	T_INT2 = 21,
	T_INT4 = 23,
	T_TIMESTAMPTZ = 1184,
	T_UUID = 2950
};

/* Postgres counts from 2000-01-01. */
#define PG_EPOCH_US 946684800000000LL

struct qn_rows *qn_rows_new(struct qn_arena *a, PGresult *res)
{
	struct qn_rows *rows = qn_new(a, struct qn_rows);

	rows->res = res;
	rows->arena = a;
	return rows;
}

size_t qn_rows_n(const struct qn_rows *rows)
{
	return (size_t)PQntuples(rows->res);
}

static uint64_t big_endian(const char *p, int n)
{
	uint64_t v = 0;

	for (int i = 0; i < n; i++)
		v = v << 8 | (uint8_t)p[i];
	return v;
}

int64_t qn_rows_i64(const struct qn_rows *rows, size_t row, int column)
{
	if (PQgetisnull(rows->res, (int)row, column))
		return QN_I64_NULL;
	const char *p = PQgetvalue(rows->res, (int)row, column);
	switch (PQftype(rows->res, column)) {
	case T_BOOL:
		return *p != 0;
	case T_INT2:
		return (int16_t)big_endian(p, 2);
	case T_INT4:
		return (int32_t)big_endian(p, 4);
	case T_INT8:
		return (int64_t)big_endian(p, 8);
	case T_TIMESTAMPTZ:
		return (int64_t)big_endian(p, 8) + PG_EPOCH_US;
	default:
		qn_fatal("column %s is no number", PQfname(rows->res, column));
	}
}

const char *qn_rows_str(const struct qn_rows *rows, size_t row, int column)
{
	if (PQgetisnull(rows->res, (int)row, column))
		return NULL;
	const char *p = PQgetvalue(rows->res, (int)row, column);
	if (PQftype(rows->res, column) == T_UUID) {
		char *text = qn_alloc(rows->arena, QN_UUID_LEN + 1);
		qn_uuid_print(text, (const uint8_t *)p);
		return text;
	}
	if (PQftype(rows->res, column) == T_BYTEA) {
		size_t n = (size_t)PQgetlength(rows->res, (int)row, column);
		char *text = qn_alloc(rows->arena, 2 * n + 1);
		qn_hex((const uint8_t *)p, n, text);
		return text;
	}
	return p;
}

struct qn_span qn_rows_bytes(const struct qn_rows *rows, size_t row, int column)
{
	if (PQgetisnull(rows->res, (int)row, column))
		return (struct qn_span){NULL, 0};
	return (struct qn_span){PQgetvalue(rows->res, (int)row, column),
	    (size_t)PQgetlength(rows->res, (int)row, column)};
}

/* PQfnumber would copy and fold each name: those of our statements are in lower case. */
static int column_of(const PGresult *res, const char *name)
{
	int n = PQnfields(res);

	for (int i = 0; i < n; i++)
		if (strcmp(PQfname(res, i), name) == 0)
			return i;
	return -1;
}

static void map_columns(struct qn_rows *rows, const struct qn_object *o)
{
	if (o->n > ROWS_FIELDS)
		qn_fatal("object %s has too many fields", o->name);
	for (size_t i = 0; i < o->n; i++)
		rows->column[i] = column_of(rows->res, o->fields[i].name);
	rows->mapped = o;
}

static void get_field(
    struct qn_rows *rows, size_t row, int column, const struct qn_field *f, void *at)
{
	switch (f->type) {
	case QN_T_STR:
	case QN_T_UUID:
	case QN_T_ENUM:
		*(const char **)at = qn_rows_str(rows, row, column);
		break;
	case QN_T_I64:
	case QN_T_TIME:
		*(int64_t *)at = qn_rows_i64(rows, row, column);
		break;
	case QN_T_BOOL: {
		int64_t v = qn_rows_i64(rows, row, column);
		*(qn_tri *)at = v == QN_I64_NULL ? QN_UNSET : (qn_tri)(v != 0);
		break;
	}
	case QN_T_JSON:
		*(struct qn_span *)at = qn_rows_bytes(rows, row, column);
		break;
	default:
		qn_fatal("field %s cannot come from a column", f->name);
	}
}

void qn_rows_get(struct qn_rows *rows, size_t row, const struct qn_object *o, void *dst)
{
	if (rows->mapped != o)
		map_columns(rows, o);
	qn_object_init(o, dst);
	for (size_t i = 0; i < o->n; i++)
		if (rows->column[i] >= 0)
			get_field(rows, row, rows->column[i], &o->fields[i],
			    (char *)dst + o->fields[i].offset);
}

struct qn_list qn_rows_list(struct qn_rows *rows, struct qn_arena *a, const struct qn_object *o)
{
	size_t n = qn_rows_n(rows);
	char *items = qn_alloc_array(a, n, o->size);

	for (size_t i = 0; i < n; i++)
		qn_rows_get(rows, i, o, items + i * o->size);
	return (struct qn_list){items, n};
}

enum qn_err qn_rows_one(
    struct qn_rows *rows, const struct qn_object *o, enum qn_err none, void *ret)
{
	if (qn_rows_n(rows) == 0)
		return none;
	qn_rows_get(rows, 0, o, ret);
	return QN_OK;
}

enum qn_err qn_exec_number(
    struct qn_db *db, struct qn_arena *a, const struct qn_stmt_set *set, int stmt, int64_t *ret)
{
	struct qn_rows *rows;

	QN_TRY(qn_exec(db, a, set, stmt, NULL, 0, &rows));
	*ret = qn_rows_i64(rows, 0, 0);
	return QN_OK;
}
