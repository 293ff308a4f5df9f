#include "jsonscan.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "jsonnames.h"
#include "quoin/base/utf8.h"

/*
 * One pass without recursion and without memory per value: a frame for each open container, and the
 * names of the open objects (jsonnames.h). Most functions are given the place where they begin and
 * return the place behind what they took, or NULL once fail() has noted why not.
 */

const struct qn_json_limits qn_json_default_limits = {.depth = 64, .nodes = 4 << 20};

struct frame {
	struct qn_names_object names; /* of an object */
	uint8_t closer;               /* } or ] */
};

struct child {
	uint32_t at, n; /* in the text */
};

struct scan {
	const uint8_t *text, *end;
	struct qn_json_limits limits;
	size_t nodes;
	struct frame *frames;
	size_t depth, frames_room;
	struct qn_names names;

	struct qn_json_object *ret_object; /* what is asked for, may be NULL */
	struct qn_json_array *ret_array;
	uint8_t root;         /* { or [, or 0: neither */
	bool listing;         /* the root is of a kind asked for */
	const uint8_t *child; /* where the child in hand begins */
	struct child *children;
	size_t children_n, children_room;

	enum qn_json_err err;
	const uint8_t *stop;
};

const char *qn_json_err_text(enum qn_json_err e)
{
	static const char *const texts[QN_JSON_ERR__MAX] = {
	    [QN_JSON_OK] = "",
	    [QN_JSON_SYNTAX] = "The text is not valid JSON.",
	    [QN_JSON_UTF8] = "The text is not valid UTF-8.",
	    [QN_JSON_NUL] = "A string holds the character U+0000.",
	    [QN_JSON_SURROGATE] = "A string holds half of a surrogate pair.",
	    [QN_JSON_DUPLICATE] = "An object holds the same name twice.",
	    [QN_JSON_DEPTH] = "The text is nested too deeply.",
	    [QN_JSON_NUMBER] = "A number is too large.",
	    [QN_JSON_NODES] = "The text holds too many values.",
	};
	return (unsigned)e < QN_JSON_ERR__MAX ? texts[e] : texts[QN_JSON_SYNTAX];
}

static const uint8_t *fail(struct scan *s, enum qn_json_err err, const uint8_t *at)
{
	s->err = err;
	s->stop = at;
	return NULL;
}

#define EACH(byte) (0x0101010101010101u * (byte)) /* the byte in all eight of a word */

static uint64_t load8(const uint8_t *p)
{
	uint64_t w;

	memcpy(&w, p, 8);
	return le64toh(w);
}

static const uint8_t *skip_space(const uint8_t *p, const uint8_t *end)
{
	for (;;) {
		while (end - p >= 8 && load8(p) == EACH(' '))
			p += 8;
		if (p == end || (*p != ' ' && *p != '\n' && *p != '\r' && *p != '\t'))
			return p;
		p++;
	}
}

static inline const uint8_t *space_end(const uint8_t *p, const uint8_t *end)
{
	if (p != end && *p > ' ')
		return p;
	return skip_space(p, end);
}

/* To the first quote, backslash, control byte or byte of several-byte UTF-8, or the end. */
static inline const uint8_t *plain_end(const uint8_t *p, const uint8_t *end)
{
	for (; end - p >= 8; p += 8) {
		uint64_t w = load8(p);
		/*
		 * Subtraction sets the top bit of a byte that is sought, and by its borrow perhaps
		 * of bytes above: the lowest one set is right.
		 */
		uint64_t found = w | (w - EACH(0x20));
		found |= (w ^ EACH('"')) - EACH(1);
		found |= (w ^ EACH('\\')) - EACH(1);
		found &= EACH(0x80);
		if (found != 0)
			return p + (__builtin_ctzll(found) >> 3);
	}
	while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\')
		p++;
	return p;
}

static int hex4(const uint8_t *p, const uint8_t *end)
{
	int v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		uint8_t c = p[i];
		if (c >= '0' && c <= '9')
			v = v << 4 | (c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v = v << 4 | ((c | 0x20) - 'a' + 10);
		else
			return -1;
	}
	return v;
}

static const uint8_t *scan_unicode(struct scan *s, const uint8_t *p)
{
	int c = hex4(p + 2, s->end);

	if (c < 0)
		return fail(s, QN_JSON_SYNTAX, p);
	if (c == 0)
		return fail(s, QN_JSON_NUL, p);
	if (c < 0xd800 || c > 0xdfff)
		return p + 6;
	int low = -1;
	if (c < 0xdc00 && s->end - p >= 12 && p[6] == '\\' && p[7] == 'u')
		low = hex4(p + 8, s->end);
	if (low < 0xdc00 || low > 0xdfff)
		return fail(s, QN_JSON_SURROGATE, p);
	return p + 12;
}

static const uint8_t *scan_escape(struct scan *s, const uint8_t *p)
{
	if (s->end - p < 2)
		return fail(s, QN_JSON_SYNTAX, s->end);
	if (p[1] == 'u')
		return scan_unicode(s, p);
	if (p[1] == '\0' || strchr("\"\\/bfnrt", p[1]) == NULL)
		return fail(s, QN_JSON_SYNTAX, p);
	return p + 2;
}

static const uint8_t *scan_utf8(struct scan *s, const uint8_t *p)
{
	while (p < s->end && *p >= 0x80) {
		size_t n = qn_utf8_len(p, (size_t)(s->end - p));
		if (n == 0)
			return fail(s, QN_JSON_UTF8, p);
		p += n;
	}
	return p;
}

/* From behind the opening quote to behind the closing one. */
static inline const uint8_t *scan_string(struct scan *s, const uint8_t *p, bool *ret_escaped)
{
	*ret_escaped = false;
	for (;;) {
		p = plain_end(p, s->end);
		if (p == s->end)
			return fail(s, QN_JSON_SYNTAX, p);
		if (*p == '"')
			return p + 1;
		if (*p < 0x20)
			return fail(s, *p == 0 ? QN_JSON_NUL : QN_JSON_SYNTAX, p);
		*ret_escaped |= *p == '\\';
		p = *p == '\\' ? scan_escape(s, p) : scan_utf8(s, p);
		if (p == NULL)
			return NULL;
	}
}

static inline const uint8_t *digits_end(const uint8_t *p, const uint8_t *end)
{
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

/* 2^1024 - 2^970: from here on a double is infinite. The first digit counts 10^308. */
static const char infinite[] =
    "1797693134862315807937289714053034150799341327100378269361737789804449682927647509466490"
    "1797758720709633028641669288791094655554785194040263065748867150582068190890200070838367"
    "6273854845817711531764475730270069855571366959622842914819860834936475292719074168444365"
    "510704342711559699508093042880177904174497792";

/* Digits from p, a point perhaps among them; the first one counts 10^power. */
static bool overflows(const uint8_t *p, const uint8_t *end, int64_t power)
{
	for (; p < end && (*p == '0' || *p == '.'); p++)
		power -= *p == '0';
	if (p == end || power != 308)
		return p < end && power > 308;
	for (const char *t = infinite; *t != '\0'; t++) {
		if (p < end && *p == '.')
			p++;
		char digit = p < end ? (char)*p++ : '0';
		if (digit != *t)
			return digit > *t;
	}
	return true;
}

/* The exponent from p. Past 10^11 more digits change nothing: no text has so many places. */
static const uint8_t *scan_exponent(struct scan *s, const uint8_t *p, int64_t *ret)
{
	bool minus = p < s->end && *p == '-';
	int64_t v = 0;

	if (p < s->end && (*p == '-' || *p == '+'))
		p++;
	const uint8_t *end = digits_end(p, s->end);
	if (p == end)
		return fail(s, QN_JSON_SYNTAX, p);
	for (; p < end; p++)
		if (v < 100000000000)
			v = v * 10 + (*p - '0');
	*ret = minus ? -v : v;
	return end;
}

static inline const uint8_t *scan_number(struct scan *s, const uint8_t *p)
{
	const uint8_t *whole = *p == '-' ? p + 1 : p;
	const uint8_t *end = digits_end(whole, s->end);
	int64_t whole_n = end - whole, exponent = 0;

	if (whole_n == 0 || (*whole == '0' && whole_n > 1))
		return fail(s, QN_JSON_SYNTAX, whole);
	if (end < s->end && *end == '.') {
		const uint8_t *fraction = end + 1;
		end = digits_end(fraction, s->end);
		if (end == fraction)
			return fail(s, QN_JSON_SYNTAX, end);
	}
	const uint8_t *digits = end;
	if (end < s->end && (*end == 'e' || *end == 'E')) {
		end = scan_exponent(s, end + 1, &exponent);
		if (end == NULL)
			return NULL;
	}
	if (whole_n + exponent > 308 && overflows(whole, digits, whole_n - 1 + exponent))
		return fail(s, QN_JSON_NUMBER, p);
	return end;
}

static const uint8_t *scan_word(struct scan *s, const uint8_t *p, const char *word, size_t n)
{
	if ((size_t)(s->end - p) < n || memcmp(p, word, n) != 0)
		return fail(s, QN_JSON_SYNTAX, p);
	return p + n;
}

/* A member's name and the colon behind it. */
static inline const uint8_t *scan_name(struct scan *s, const uint8_t *p)
{
	bool escaped;

	if (p == s->end || *p != '"')
		return fail(s, QN_JSON_SYNTAX, p);
	const uint8_t *after = scan_string(s, p + 1, &escaped);
	if (after == NULL)
		return NULL;
	if (!qn_names_add(&s->names, &s->frames[s->depth - 1].names, (const char *)p + 1,
		(size_t)(after - p) - 2, escaped))
		return fail(s, QN_JSON_DUPLICATE, p);
	p = space_end(after, s->end);
	if (p == s->end || *p != ':')
		return fail(s, QN_JSON_SYNTAX, p);
	return p + 1;
}

/* p is behind an opening bracket. An empty container is taken whole and leaves *ret_open false. */
static inline const uint8_t *scan_open(struct scan *s, const uint8_t *p, bool *ret_open)
{
	uint8_t closer = p[-1] == '{' ? '}' : ']';

	if (s->depth == s->limits.depth)
		return fail(s, QN_JSON_DEPTH, p - 1);
	if (s->depth == 0) {
		s->root = p[-1];
		s->listing = s->root == '{' ? s->ret_object != NULL : s->ret_array != NULL;
	}
	p = space_end(p, s->end);
	if (p < s->end && *p == closer)
		return p + 1;
	*ret_open = true;
	s->frames = qn_names_grow(s->frames, &s->frames_room, s->depth + 1, sizeof(*s->frames));
	struct frame *f = &s->frames[s->depth++];
	f->closer = closer;
	if (closer == ']')
		return p;
	qn_names_open(&s->names, &f->names);
	return scan_name(s, p);
}

/* A scalar, or the beginning of a container up to its first value. */
static inline const uint8_t *scan_value(struct scan *s, const uint8_t *p, bool *ret_open)
{
	bool escaped;

	*ret_open = false;
	if (p == s->end)
		return fail(s, QN_JSON_SYNTAX, p);
	if (s->nodes++ == s->limits.nodes)
		return fail(s, QN_JSON_NODES, p);
	if (s->depth == 1)
		s->child = p;
	switch (*p) {
	case '{':
	case '[':
		return scan_open(s, p + 1, ret_open);
	case '"':
		return scan_string(s, p + 1, &escaped);
	case 't':
		return scan_word(s, p, "true", 4);
	case 'f':
		return scan_word(s, p, "false", 5);
	case 'n':
		return scan_word(s, p, "null", 4);
	default:
		return scan_number(s, p);
	}
}

/* Whether one more child of the root may be listed; it ends at p. */
static bool add_child(struct scan *s, const uint8_t *p)
{
	if (s->children_n == QN_JSON_LIST_MAX)
		return false;
	s->children =
	    qn_names_grow(s->children, &s->children_room, s->children_n + 1, sizeof(*s->children));
	struct child *c = &s->children[s->children_n++];
	c->at = (uint32_t)(s->child - s->text);
	c->n = (uint32_t)(p - s->child);
	return true;
}

/* p is behind a value: closes what closes here, up to the next value or the end of the root. */
static inline const uint8_t *scan_after(struct scan *s, const uint8_t *p)
{
	while (s->depth > 0) {
		const struct frame *f = &s->frames[s->depth - 1];
		if (s->depth == 1 && s->listing && !add_child(s, p))
			return fail(s, QN_JSON_NODES, s->child);
		p = space_end(p, s->end);
		if (p < s->end && *p == ',') {
			p = space_end(p + 1, s->end);
			return f->closer == '}' ? scan_name(s, p) : p;
		}
		if (p == s->end || *p != f->closer)
			return fail(s, QN_JSON_SYNTAX, p);
		p++;
		s->depth--;
		if (s->depth > 0 && f->closer == '}') /* the root's names are still to be listed */
			qn_names_close(&s->names, &f->names);
	}
	return p;
}

static bool scan_text(struct scan *s)
{
	const uint8_t *p = s->text;

	do {
		bool open;
		p = scan_value(s, space_end(p, s->end), &open);
		if (p != NULL && !open)
			p = scan_after(s, p);
	} while (p != NULL && s->depth > 0);
	if (p == NULL)
		return false;
	p = space_end(p, s->end);
	if (p != s->end)
		fail(s, QN_JSON_SYNTAX, p);
	return p == s->end;
}

static struct qn_span child_span(const struct scan *s, size_t i)
{
	return (struct qn_span){(const char *)s->text + s->children[i].at, s->children[i].n};
}

static void list_members(const struct scan *s, struct qn_arena *a, struct qn_json_object *ret)
{
	struct qn_names names = s->names;

	names.own = qn_strndup(a, s->names.own, s->names.own_n); /* the others lie in the text */
	ret->n = s->children_n;
	ret->members = qn_alloc_array(a, ret->n, sizeof(*ret->members));
	for (size_t i = 0; i < ret->n; i++) {
		ret->members[i].name = qn_names_bytes(&names, &names.list[i]);
		ret->members[i].value = child_span(s, i);
	}
}

static void list_items(const struct scan *s, struct qn_arena *a, struct qn_json_array *ret)
{
	ret->n = s->children_n;
	ret->items = qn_alloc_array(a, ret->n, sizeof(*ret->items));
	for (size_t i = 0; i < ret->n; i++)
		ret->items[i] = child_span(s, i);
}

static void list_root(const struct scan *s, struct qn_arena *a)
{
	struct qn_json_object object = {0};
	struct qn_json_array array = {0};

	if (s->listing && s->root == '{')
		list_members(s, a, &object);
	else if (s->listing)
		list_items(s, a, &array);
	if (s->ret_object != NULL)
		*s->ret_object = object;
	if (s->ret_array != NULL)
		*s->ret_array = array;
}

enum qn_json_err qn_jsonscan(struct qn_arena *a, struct qn_span text,
    const struct qn_json_limits *limits, struct qn_json_object *ret_object,
    struct qn_json_array *ret_array, size_t *ret_offset)
{
	static const uint8_t none[1];
	const uint8_t *start = text.p != NULL ? (const uint8_t *)text.p : none;
	struct scan s = {.text = start, .end = start + text.n, .limits = *limits};

	s.ret_object = ret_object;
	s.ret_array = ret_array;
	qn_names_init(&s.names, text.p);
	if (text.n > QN_NAMES_TEXT_MAX)
		fail(&s, QN_JSON_NODES, start);
	else if (scan_text(&s))
		list_root(&s, a);
	qn_names_done(&s.names);
	free(s.frames);
	free(s.children);
	if (s.err != QN_JSON_OK && ret_offset != NULL)
		*ret_offset = (size_t)(s.stop - start);
	return s.err;
}
