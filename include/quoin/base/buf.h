/* A growing buffer born with a ceiling, over which it stops growing and says so once asked. */
#ifndef QUOIN_BASE_BUF_H
#define QUOIN_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "quoin/base/span.h"

struct qn_buf {
	char *p;
	size_t n;       /* bytes used; p[n] is NUL when p is not NULL */
	size_t room;    /* bytes allocated */
	size_t ceiling; /* bytes; never more */
	bool over;      /* something did not fit: the content is not whole */
};

void qn_buf_init(struct qn_buf *b, size_t ceiling);
void qn_buf_done(struct qn_buf *b);
void qn_buf_clear(struct qn_buf *b); /* keeps the room */

void qn_buf_add(struct qn_buf *b, const void *p, size_t n);
void qn_buf_str(struct qn_buf *b, const char *s);
void qn_buf_char(struct qn_buf *b, char c);
void qn_buf_i64(struct qn_buf *b, int64_t v);
void qn_buf_printf(struct qn_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* `s` as a JSON string, quotes included; control bytes are escaped, invalid UTF-8 is replaced. */
void qn_buf_json(struct qn_buf *b, const char *s, size_t n);

#endif
