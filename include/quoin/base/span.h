/* A piece of somebody else's bytes: not owned, not NUL-terminated. */
#ifndef QUOIN_BASE_SPAN_H
#define QUOIN_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct qn_span {
	const char *p; /* NULL: absent */
	size_t n;      /* bytes */
};

#define QN_SPAN_LIT(s) ((struct qn_span){(s), sizeof(s) - 1})

static inline struct qn_span qn_span_of(const char *s)
{
	return (struct qn_span){s, s ? strlen(s) : 0};
}

static inline bool qn_span_is(struct qn_span a, const char *s)
{
	return a.p != NULL && a.n == strlen(s) && memcmp(a.p, s, a.n) == 0;
}

#endif
