/*
 * Field tables: an object is described once, and the same rows decode a body or a query, fill the
 * struct from a row of a result, print the reply and write the schema of openapi.json.
 */
#ifndef QUOIN_BASE_FIELD_H
#define QUOIN_BASE_FIELD_H

#include <stddef.h>
#include <stdint.h>

#include "quoin/base/clock.h"
#include "quoin/base/span.h"

enum qn_type {
	QN_T_NONE, /* a forgotten row fails at start */
	QN_T_STR,  /* const char *; NULL is null */
	QN_T_UUID, /* const char *, 36 bytes, lower case */
	QN_T_ENUM, /* const char *, one of .choices */
	QN_T_I64,  /* int64_t; QN_I64_NULL is null */
	QN_T_BOOL, /* qn_tri */
	QN_T_TIME, /* qn_time; QN_TIME_NULL is null */
	QN_T_JSON, /* struct qn_span: any JSON value, its bytes kept as they are */
	QN_T_OBJ,  /* pointer to a struct described by .sub; NULL is null */
	QN_T_LIST, /* struct qn_list of structs described by .sub */
	QN_T__MAX
};

#define QN_I64_NULL INT64_MIN
typedef int8_t qn_tri; /* QN_UNSET, 0, 1 */
#define QN_UNSET ((qn_tri)-1)

struct qn_list {
	const void *items; /* n structs in a row */
	size_t n;
};

enum {
	QN_F_REQUIRED = 1 << 0, /* in: must be there and not null */
	QN_F_NULLABLE = 1 << 1, /* out: may be null */
	QN_F_OPTIONAL = 1 << 2, /* out: left out when null */
	QN_F_OBJECT = 1 << 3,   /* QN_T_JSON: must be a JSON object */
	QN_F_USER =
	    1 << 5, /* QN_T_UUID: of a user, whose id a dialect may put a prefix before (K8) */
	QN_F_LINES = 1 << 4, /* QN_T_STR in a form: base64, whose line ends are left out */
};

struct qn_object;

struct qn_field {
	const char *name; /* snake_case; the route's dialect may show it in camelCase */
	enum qn_type type;
	unsigned flags;
	int64_t least, most; /* characters of a string, bytes of QN_T_JSON, bounds of an integer */
	const char *def;     /* in: what an absent member reads as; NULL: null */
	const char *const *choices;
	const struct qn_object *sub;
	size_t offset;
	const char *doc;
};

struct qn_object {
	const char *name; /* "Graph": the schema's name in openapi.json */
	const struct qn_field *fields;
	size_t n;
	size_t size; /* of the struct */
};

/* A wrong C type for the row's qn_type does not compile. */
#define QN_FIELD_C(type_, s, m) \
	(offsetof(s, m) + 0 * sizeof(char[QN_FIELD_FITS_##type_(((s *)0)->m) ? 1 : -1]))
#define QN_FIELD_FITS_STR(x)  _Generic((x), const char * : 1, default : 0)
#define QN_FIELD_FITS_UUID(x) _Generic((x), const char * : 1, default : 0)
#define QN_FIELD_FITS_ENUM(x) _Generic((x), const char * : 1, default : 0)
#define QN_FIELD_FITS_I64(x)  _Generic((x), int64_t : 1, default : 0)
#define QN_FIELD_FITS_TIME(x) _Generic((x), qn_time : 1, default : 0)
#define QN_FIELD_FITS_BOOL(x) _Generic((x), qn_tri : 1, default : 0)
#define QN_FIELD_FITS_JSON(x) _Generic((x), struct qn_span : 1, default : 0)
#define QN_FIELD_FITS_LIST(x) _Generic((x), struct qn_list : 1, default : 0)
#define QN_FIELD_FITS_OBJ(x)  (sizeof(*(x)) != 0) /* a pointer to a struct that is known */

/* QN_FIELD(struct graph, name, STR, QN_F_REQUIRED, 1, 200, "Shown name.") */
#define QN_FIELD(s, m, type_, flags_, least_, most_, doc_) \
	{ \
		.name = #m, .type = QN_T_##type_, .flags = (flags_), .least = (least_), \
		.most = (most_), .offset = QN_FIELD_C(type_, s, m), .doc = (doc_) \
	}
#define QN_FIELD_DEF(s, m, type_, flags_, least_, most_, def_, doc_) \
	{ \
		.name = #m, .type = QN_T_##type_, .flags = (flags_), .least = (least_), \
		.most = (most_), .def = (def_), .offset = QN_FIELD_C(type_, s, m), .doc = (doc_) \
	}
#define QN_FIELD_ENUM(s, m, flags_, choices_, def_, doc_) \
	{ \
		.name = #m, .type = QN_T_ENUM, .flags = (flags_), .choices = (choices_), \
		.def = (def_), .offset = QN_FIELD_C(ENUM, s, m), .doc = (doc_) \
	}
#define QN_FIELD_SUB(s, m, type_, flags_, sub_, doc_) \
	{ \
		.name = #m, .type = QN_T_##type_, .flags = (flags_), .sub = (sub_), \
		.offset = QN_FIELD_C(type_, s, m), .doc = (doc_) \
	}

#define QN_OBJECT(shown, s, rows) \
	{ \
		.name = (shown), .fields = (rows), .n = sizeof(rows) / sizeof((rows)[0]), \
		.size = sizeof(s) \
	}

/* Every value null: QN_UNSET, QN_I64_NULL, NULL, and defaults are not applied. */
void qn_object_init(const struct qn_object *o, void *dst);
/* The field of that name; NULL: there is none, or no table. */
const struct qn_field *qn_object_field(const struct qn_object *o, const char *name);

/* "created_at" as "createdAt". `out` holds n+1 bytes; returns its length. */
size_t qn_camel(const char *snake, char *out);

/* First fault of a table (a row without type, a list without .sub, …), or NULL. */
const char *qn_object_fault(const struct qn_object *o);

#endif
