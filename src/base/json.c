#include "quoin/base/json.h"

#include <stdlib.h>
#include <string.h>

#include "jsonscan.h"
#include "quoin/base/log.h"

/* The value was scanned already, under its route's limits. */
static const struct qn_json_limits no_limits = {.depth = UINT32_MAX, .nodes = SIZE_MAX};

enum qn_json_err qn_json_scan(struct qn_arena *a, struct qn_span text,
    const struct qn_json_limits *limits, struct qn_json_object *ret_root, size_t *ret_offset)
{
	return qn_jsonscan(a, text, limits, ret_root, NULL, ret_offset);
}

struct qn_span qn_json_get(const struct qn_json_object *o, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < o->n; i++) {
		struct qn_span have = o->members[i].name;
		if (have.n == n && memcmp(have.p, name, n) == 0)
			return o->members[i].value;
	}
	return (struct qn_span){NULL, 0};
}

char qn_json_kind(struct qn_span value)
{
	if (value.p == NULL || value.n == 0)
		return '\0';
	return value.p[0] == '-' || (value.p[0] >= '0' && value.p[0] <= '9') ? '0' : value.p[0];
}

static unsigned hex4(const char *p)
{
	unsigned v = 0;

	for (int i = 0; i < 4; i++) {
		unsigned c = (unsigned char)p[i] | 0x20;
		v = v << 4 | (c >= 'a' ? c - 'a' + 10 : c - '0');
	}
	return v;
}

static char *put_utf8(char *o, unsigned c)
{
	if (c < 0x80) {
		*o++ = (char)c;
	} else if (c < 0x800) {
		*o++ = (char)(0xc0 | c >> 6);
		*o++ = (char)(0x80 | (c & 63));
	} else if (c < 0x10000) {
		*o++ = (char)(0xe0 | c >> 12);
		*o++ = (char)(0x80 | (c >> 6 & 63));
		*o++ = (char)(0x80 | (c & 63));
	} else {
		*o++ = (char)(0xf0 | c >> 18);
		*o++ = (char)(0x80 | (c >> 12 & 63));
		*o++ = (char)(0x80 | (c >> 6 & 63));
		*o++ = (char)(0x80 | (c & 63));
	}
	return o;
}

/* The escape at *p, moved past it. Halves of surrogate pairs come in twos: the scan saw to it. */
static char *put_escape(char *o, const char **p)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	const char *known = strchr(from, (*p)[1]);
	unsigned c;

	if ((*p)[1] != 'u') {
		*o = known != NULL ? to[known - from] : (*p)[1];
		*p += 2;
		return o + 1;
	}
	c = hex4(*p + 2);
	*p += 6;
	if (c >= 0xd800 && c < 0xdc00) {
		c = 0x10000 + ((c - 0xd800) << 10) + (hex4(*p + 2) - 0xdc00);
		*p += 6;
	}
	return put_utf8(o, c);
}

size_t qn_json_unescape(const char *raw, size_t n, char *out)
{
	const char *end = raw + n;
	char *o = out;

	while (raw < end) {
		if (*raw == '\\')
			o = put_escape(o, &raw);
		else
			*o++ = *raw++;
	}
	return (size_t)(o - out);
}

bool qn_json_str(struct qn_arena *a, struct qn_span value, const char **ret, size_t *ret_len)
{
	if (qn_json_kind(value) != '"' || value.n < 2)
		return false;
	char *s = qn_alloc(a, value.n);
	size_t n = qn_json_unescape(value.p + 1, value.n - 2, s);
	*ret = s;
	if (ret_len != NULL)
		*ret_len = n;
	return true;
}

bool qn_json_i64(struct qn_span value, int64_t *ret)
{
	bool minus = value.n > 0 && value.p[0] == '-';
	uint64_t v = 0, most = (uint64_t)INT64_MAX + minus;

	if (qn_json_kind(value) != '0')
		return false;
	for (size_t i = minus; i < value.n; i++) {
		if (value.p[i] < '0' || value.p[i] > '9')
			return false;
		unsigned digit = (unsigned)(value.p[i] - '0');
		if (v > (most - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*ret = (int64_t)(minus ? 0 - v : v);
	return true;
}

bool qn_json_bool(struct qn_span value, bool *ret)
{
	char kind = qn_json_kind(value);

	if (kind != 't' && kind != 'f')
		return false;
	*ret = kind == 't';
	return true;
}

bool qn_json_members(struct qn_arena *a, struct qn_span value, struct qn_json_object *ret)
{
	return qn_json_kind(value) == '{' &&
	       qn_jsonscan(a, value, &no_limits, ret, NULL, NULL) == QN_JSON_OK;
}

bool qn_json_elements(struct qn_arena *a, struct qn_span value, struct qn_span **ret, size_t *ret_n)
{
	struct qn_json_array items;

	if (qn_json_kind(value) != '[' ||
	    qn_jsonscan(a, value, &no_limits, NULL, &items, NULL) != QN_JSON_OK)
		return false;
	*ret = items.items;
	*ret_n = items.n;
	return true;
}
