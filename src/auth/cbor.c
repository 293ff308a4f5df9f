#include "cbor.h"

#include "quoin/base/utf8.h"

enum { UINT, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE };
enum { FALSE = 20, UNDEFINED = 23 };

static size_t left(const struct cbor *c)
{
	return (size_t)(c->end - c->p);
}

static bool head(struct cbor *c, int *ret_major, uint64_t *ret_value)
{
	if (left(c) == 0)
		return false;
	int major = *c->p >> 5, info = *c->p & 31;
	size_t more = info < 24 ? 0 : (size_t)1 << (info - 24);
	uint64_t value = info < 24 ? (uint64_t)info : 0;

	if (info > 27 || left(c) - 1 < more || (major == SIMPLE && info >= 24))
		return false;
	c->p++;
	for (size_t i = 0; i < more; i++)
		value = value << 8 | *c->p++;
	*ret_major = major;
	*ret_value = value;
	return true;
}

bool cbor_int(struct cbor *c, int64_t *ret)
{
	uint64_t value;
	int major;

	if (!head(c, &major, &value) || major > NEGATIVE || value > INT64_MAX)
		return false;
	*ret = major == UINT ? (int64_t)value : -1 - (int64_t)value;
	return true;
}

static bool is_utf8(const uint8_t *p, size_t n)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i += len) {
		len = qn_utf8_len(p + i, n - i);
		if (len == 0)
			return false;
	}
	return true;
}

/* The content of a string, after its head. */
static bool content(struct cbor *c, int major, uint64_t n, struct qn_span *ret)
{
	if (n > left(c) || (major == TEXT && !is_utf8(c->p, (size_t)n)))
		return false;
	*ret = (struct qn_span){(const char *)c->p, (size_t)n};
	c->p += n;
	return true;
}

static bool string(struct cbor *c, int wanted, struct qn_span *ret)
{
	uint64_t n;
	int major;

	return head(c, &major, &n) && major == wanted && content(c, major, n, ret);
}

bool cbor_bytes(struct cbor *c, struct qn_span *ret)
{
	return string(c, BYTES, ret);
}

bool cbor_text(struct cbor *c, struct qn_span *ret)
{
	return string(c, TEXT, ret);
}

/* Every pair takes two bytes or more, so no count can exceed what is there. */
bool cbor_map(struct cbor *c, size_t *ret_pairs)
{
	uint64_t n;
	int major;

	if (!head(c, &major, &n) || major != MAP || n > left(c) / 2)
		return false;
	*ret_pairs = (size_t)n;
	return true;
}

bool cbor_at_map(const struct cbor *c)
{
	return left(c) > 0 && *c->p >> 5 == MAP;
}

/* How many items follow the head of one that holds others; 0 for the rest. */
static bool step(struct cbor *c, uint64_t *ret_inside)
{
	struct qn_span ignored;
	uint64_t value;
	int major;

	if (!head(c, &major, &value))
		return false;
	*ret_inside = 0;
	switch (major) {
	case UINT:
	case NEGATIVE:
		return true;
	case BYTES:
	case TEXT:
		return content(c, major, value, &ignored);
	case ARRAY:
	case MAP:
		*ret_inside = major == MAP ? 2 * value : value;
		return value <= left(c) && *ret_inside <= left(c);
	case SIMPLE:
		return value >= FALSE && value <= UNDEFINED;
	default:
		return false;
	}
}

bool cbor_skip(struct cbor *c, struct qn_span *ret_item)
{
	uint64_t inside[CBOR_DEPTH + 1] = {1}; /* items still to come, at each depth */
	const uint8_t *start = c->p;
	int depth = 0;

	while (depth >= 0) {
		uint64_t more;
		if (inside[depth] == 0) {
			depth--;
			continue;
		}
		inside[depth]--;
		if (!step(c, &more) || (more > 0 && depth == CBOR_DEPTH))
			return false;
		if (more > 0)
			inside[++depth] = more;
	}
	if (ret_item != NULL)
		*ret_item = (struct qn_span){(const char *)start, (size_t)(c->p - start)};
	return true;
}
