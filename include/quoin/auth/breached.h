/*
 * Passwords known from breaches, offline: the file that Have I Been Pwned publishes, ordered by hash.
 * Each line is the SHA-1 of a password in 40 hexadecimal digits, a colon and a count (which may be
 * left out), ended by LF or CRLF. It is searched where it lies: some 35 short reads for 40 GB.
 */
#ifndef QUOIN_AUTH_BREACHED_H
#define QUOIN_AUTH_BREACHED_H

#include <stdbool.h>

#include "quoin/base/err.h"
#include "quoin/base/span.h"

struct qn_breached; /* an open file; nothing changes in it, so that workers may share one */

/* NULL when it cannot be read or its first line is none of such a file; *ret_why says why (static, or
 * strerror's). */
struct qn_breached *qn_breached_open(const char *path, const char **ret_why);
void qn_breached_close(struct qn_breached *b);

/* `b` NULL: no list, nothing is found. QN_INTERNAL: it could not be read, or is not of that form. */
enum qn_err qn_breached_find(
    const struct qn_breached *b, struct qn_span password, bool *ret_found) QN_MUST_CHECK;

#endif
