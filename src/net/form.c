#include "quoin/net/form.h"

#include <string.h>

/* Unreserved characters (RFC 3986 §2.3) stand for themselves; of all else nobody can mistake the escape. */
static void add_value(struct qn_buf *b, const char *s)
{
	static const char plain[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

	for (; *s != '\0'; s++)
		if (strchr(plain, *s) != NULL)
			qn_buf_char(b, *s);
		else
			qn_buf_printf(b, "%%%02X", (unsigned)(unsigned char)*s);
}

void qn_form_add(struct qn_buf *b, const char *name, const char *value)
{
	if (b->n > 0 && b->p[b->n - 1] != '?' && b->p[b->n - 1] != '&')
		qn_buf_char(b, '&');
	add_value(b, name);
	qn_buf_char(b, '=');
	add_value(b, value);
}

const char *qn_form_encode(struct qn_arena *a, const char *value)
{
	struct qn_buf b;

	qn_buf_init(&b, 3 * strlen(value) + 1);
	add_value(&b, value);
	const char *out = qn_strndup(a, b.p != NULL ? b.p : "", b.n);
	qn_buf_done(&b);
	return out;
}
