/*
 * JSON from outside. A strict scan comes first (RFC 8259 and SECURITY S4): only what passed it is
 * read. json-c is the oracle of the fuzz target and no part of it: see qn_json_unescape.
 */
#ifndef QUOIN_BASE_JSON_H
#define QUOIN_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "quoin/base/arena.h"
#include "quoin/base/span.h"

enum qn_json_err {
	QN_JSON_OK,
	QN_JSON_SYNTAX,    /* not RFC 8259, or bytes after the value, or none at all */
	QN_JSON_UTF8,      /* not UTF-8 (overlong, surrogate, above U+10FFFF, cut short) */
	QN_JSON_NUL,       /* U+0000, raw or escaped, in a string or a name */
	QN_JSON_SURROGATE, /* \ud800 without its other half */
	QN_JSON_DUPLICATE, /* a name twice in one object, compared unescaped */
	QN_JSON_DEPTH,     /* nested deeper than the limit */
	QN_JSON_NUMBER,    /* a number no double can hold (1e400) */
	QN_JSON_NODES,     /* more values than the limit, or more to list than QN_JSON_LIST_MAX */
	QN_JSON_ERR__MAX
};

/* One static sentence for each, for the `msg` of a field error. */
const char *qn_json_err_text(enum qn_json_err e);

struct qn_json_limits {
	unsigned depth; /* of arrays and objects; the root is 1 */
	size_t nodes;   /* values in all */
};

/* What the routes use unless they say otherwise: 64 deep, 4 Mi values. */
extern const struct qn_json_limits qn_json_default_limits;

/* A member of an object: the name unescaped, the value's raw bytes without surrounding space. */
struct qn_json_member {
	struct qn_span name;
	struct qn_span value;
};

struct qn_json_object {
	struct qn_json_member *members; /* in order of appearance, in the arena; NULL: no object */
	size_t n;
};

/*
 * How many members or elements are listed at most, so that no body that a route accepts can fill
 * the arena. Values that are only scanned may have more.
 */
#define QN_JSON_LIST_MAX 262144

/*
 * Scans all of `text`. On QN_JSON_OK, when ret_root is not NULL and the value is an object, its
 * members are listed there ({NULL, 0} when it is not an object). On an error *ret_offset (may be
 * NULL) is the byte where the scan stopped. Time and memory are linear in text.n whatever the
 * names: up to five bytes of the heap for each of the text while it runs, in the arena only the
 * list.
 */
enum qn_json_err qn_json_scan(struct qn_arena *a, struct qn_span text,
    const struct qn_json_limits *limits, struct qn_json_object *ret_root, size_t *ret_offset)
    __attribute__((warn_unused_result));

/* The value of a name, or {NULL, 0}. */
struct qn_span qn_json_get(const struct qn_json_object *o, const char *name);

/*
 * What kind of value a scanned span holds: one of { [ " 0 t f n (0 for any number, n for null), or
 * NUL for an absent one.
 */
char qn_json_kind(struct qn_span value);

/*
 * Readers of one scanned value. false when it is absent, of another kind or out of range, and then
 * nothing is written. Numbers are read from their own digits: 1.0 and 1e2 are not integers. A
 * string ends with a NUL that *ret_len (may be NULL) does not count.
 */
bool qn_json_str(struct qn_arena *a, struct qn_span value, const char **ret, size_t *ret_len);
bool qn_json_i64(struct qn_span value, int64_t *ret);
bool qn_json_bool(struct qn_span value, bool *ret);

/*
 * Members of a scanned object value, elements of a scanned array value. false: another kind, or
 * more than QN_JSON_LIST_MAX.
 */
bool qn_json_members(struct qn_arena *a, struct qn_span value, struct qn_json_object *ret);
bool qn_json_elements(
    struct qn_arena *a, struct qn_span value, struct qn_span **ret, size_t *ret_n);

#endif
