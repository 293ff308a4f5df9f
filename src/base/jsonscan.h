/* What the files behind json.h share. */
#ifndef QUOIN_BASE_JSONSCAN_H
#define QUOIN_BASE_JSONSCAN_H

#include "quoin/base/json.h"

struct qn_json_array {
	struct qn_span *items; /* NULL: the value is no array */
	size_t n;
};

/* As qn_json_scan, and the children of an array can be listed too. Any ret_ may be NULL. */
enum qn_json_err qn_jsonscan(struct qn_arena *a, struct qn_span text,
    const struct qn_json_limits *limits, struct qn_json_object *ret_object,
    struct qn_json_array *ret_array, size_t *ret_offset) __attribute__((warn_unused_result));

/*
 * The inside of a scanned string without its escapes, no longer than with them; returns its length.
 * json-c is not used for it: 0.16 reads "\ud836\udc00" (U+1D800, and all whose lower half looks
 * like a surrogate) as U+FFFD, json-c/json-c#893.
 */
size_t qn_json_unescape(const char *raw, size_t n, char *out);

#endif
