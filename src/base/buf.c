#include "quoin/base/buf.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quoin/base/log.h"
#include "quoin/base/utf8.h"

void qn_buf_init(struct qn_buf *b, size_t ceiling)
{
	*b = (struct qn_buf){.ceiling = ceiling};
}

void qn_buf_done(struct qn_buf *b)
{
	free(b->p);
	b->p = NULL;
	b->n = b->room = 0;
}

void qn_buf_clear(struct qn_buf *b)
{
	b->n = 0;
	b->over = false;
	if (b->p != NULL)
		b->p[0] = '\0';
}

/* Room for `more` bytes and a NUL. */
static bool make_room(struct qn_buf *b, size_t more)
{
	if (b->over || more >= b->ceiling || b->n > b->ceiling - more - 1) {
		b->over = true;
		return false;
	}
	size_t need = b->n + more + 1;
	if (need <= b->room)
		return true;
	size_t room = b->room ? b->room : 256;
	while (room < need)
		room *= 2;
	if (room > b->ceiling)
		room = b->ceiling;
	char *p = realloc(b->p, room);
	if (p == NULL)
		qn_fatal("out of memory (%zu bytes)", room);
	b->p = p;
	b->room = room;
	return true;
}

void qn_buf_add(struct qn_buf *b, const void *p, size_t n)
{
	if (n == 0 || !make_room(b, n))
		return;
	memcpy(b->p + b->n, p, n);
	b->n += n;
	b->p[b->n] = '\0';
}

void qn_buf_str(struct qn_buf *b, const char *s)
{
	qn_buf_add(b, s, strlen(s));
}

void qn_buf_char(struct qn_buf *b, char c)
{
	qn_buf_add(b, &c, 1);
}

void qn_buf_i64(struct qn_buf *b, int64_t v)
{
	char digits[24];
	char *p = digits + sizeof(digits);
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	do
		*--p = (char)('0' + u % 10);
	while ((u /= 10) != 0);
	if (v < 0)
		*--p = '-';
	qn_buf_add(b, p, (size_t)(digits + sizeof(digits) - p));
}

void qn_buf_printf(struct qn_buf *b, const char *fmt, ...)
{
	va_list ap;
	char small[256];

	va_start(ap, fmt);
	int n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->over = true;
		return;
	}
	if ((size_t)n < sizeof(small)) {
		qn_buf_add(b, small, (size_t)n);
		return;
	}
	if (!make_room(b, (size_t)n))
		return;
	va_start(ap, fmt);
	vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->n += (size_t)n;
}

static void json_escape(struct qn_buf *b, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	const char u[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

	switch (c) {
	case '"':
		qn_buf_add(b, "\\\"", 2);
		break;
	case '\\':
		qn_buf_add(b, "\\\\", 2);
		break;
	case '\n':
		qn_buf_add(b, "\\n", 2);
		break;
	case '\t':
		qn_buf_add(b, "\\t", 2);
		break;
	case '\r':
		qn_buf_add(b, "\\r", 2);
		break;
	default:
		qn_buf_add(b, u, sizeof(u));
	}
}

void qn_buf_json(struct qn_buf *b, const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t plain = 0; /* start of the run not yet added */
	size_t i = 0;

	qn_buf_char(b, '"');
	if (n == 0)
		s = "";
	while (i < n) {
		if (p[i] >= 0x20 && p[i] < 0x7f && p[i] != '"' && p[i] != '\\') {
			i++;
			continue;
		}
		size_t len = p[i] >= 0x80 ? qn_utf8_len(p + i, n - i) : 0;
		if (len != 0) {
			i += len;
			continue;
		}
		qn_buf_add(b, s + plain, i - plain);
		if (p[i] >= 0x80)
			qn_buf_add(b, "\\ufffd", 6);
		else
			json_escape(b, p[i]);
		plain = ++i;
	}
	qn_buf_add(b, s + plain, n - plain);
	qn_buf_char(b, '"');
}
