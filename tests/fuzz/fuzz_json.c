/*
 * The scanner is stricter than json-c: what it lets pass json-c must accept, and the readers must
 * read as json-c does where json-c is right.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "quoin/base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what); \
			abort(); \
		} \
	} while (0)

static struct qn_arena *arena;

static struct json_object *by_json_c(const char *text, size_t n)
{
	struct json_tokener *tok = json_tokener_new_ex((int)qn_json_default_limits.depth + 1);

	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	/* With its NUL, which ends a number. */
	struct json_object *o = json_tokener_parse_ex(tok, text, (int)n + 1);
	MUST(json_tokener_get_error(tok) == json_tokener_success);
	MUST(json_tokener_get_parse_end(tok) == n);
	json_tokener_free(tok);
	return o;
}

/* json-c 0.16 reads some escaped surrogate pairs as U+FFFD (json-c/json-c#893). */
static bool comparable(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] >= 0xf0)
			return false;
	return true;
}

static void same_string(struct qn_span value, struct json_object *o)
{
	const char *s = NULL;
	size_t n = 0;

	MUST(qn_json_str(arena, value, &s, &n) && strlen(s) == n);
	MUST(json_object_is_type(o, json_type_string));
	if (comparable(s, n)) {
		MUST((size_t)json_object_get_string_len(o) == n);
		MUST(memcmp(json_object_get_string(o), s, n) == 0);
	}
}

static void same_number(struct qn_span value, struct json_object *o)
{
	int64_t i = 0;

	MUST(json_object_is_type(o, json_type_int) || json_object_is_type(o, json_type_double));
	if (qn_json_i64(value, &i))
		MUST(json_object_is_type(o, json_type_int) && json_object_get_int64(o) == i);
	/* The scan lets no number through that a double cannot hold. */
	MUST(isfinite(json_object_get_double(o)));
}

static void same_value(struct qn_span value, struct json_object *o);

static void same_members(struct qn_span value, struct json_object *o)
{
	struct qn_json_object object;

	MUST(qn_json_members(arena, value, &object));
	MUST(json_object_is_type(o, json_type_object));
	for (size_t i = 0; i < object.n; i++) {
		const struct qn_json_member *m = &object.members[i];
		char *name = qn_strndup(arena, m->name.p, m->name.n);
		struct json_object *child = NULL;
		MUST(strlen(name) == m->name.n);
		MUST(qn_json_get(&object, name).p == m->value.p);
		if (!comparable(name, m->name.n))
			continue;
		MUST(json_object_object_get_ex(o, name, &child));
		if (strstr(name, "\xef\xbf\xbd") == NULL)
			same_value(m->value, child);
	}
}

static void same_elements(struct qn_span value, struct json_object *o)
{
	struct qn_span *items = NULL;
	size_t n = 0;

	MUST(qn_json_elements(arena, value, &items, &n));
	MUST(json_object_is_type(o, json_type_array) && json_object_array_length(o) == n);
	for (size_t i = 0; i < n; i++)
		same_value(items[i], json_object_array_get_idx(o, i));
}

static void same_value(struct qn_span value, struct json_object *o)
{
	bool b = false;

	MUST(qn_json_scan(arena, value, &qn_json_default_limits, NULL, NULL) == QN_JSON_OK);
	switch (qn_json_kind(value)) {
	case '{':
		same_members(value, o);
		break;
	case '[':
		same_elements(value, o);
		break;
	case '"':
		same_string(value, o);
		break;
	case '0':
		same_number(value, o);
		break;
	case 'n':
		MUST(o == NULL);
		break;
	default:
		MUST(qn_json_bool(value, &b) && b == json_object_get_boolean(o));
	}
}

/* What any reader makes of any bytes does not matter, as long as it ends well. */
static void read_refused(struct qn_span text)
{
	int64_t i;
	bool b;

	(void)qn_json_kind(text);
	(void)qn_json_i64(text, &i);
	(void)qn_json_bool(text, &b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qn_json_object root;
	size_t offset = 0, c_n = 0;

	if (arena == NULL)
		arena = qn_arena_new((size_t)64 << 20);
	struct qn_span text = {(const char *)data, size};
	if (qn_json_scan(arena, text, &qn_json_default_limits, &root, &offset) != QN_JSON_OK) {
		MUST(offset <= size);
		read_refused(text);
	} else {
		char *copy = malloc(size + 1);
		memcpy(copy, data, size);
		copy[size] = '\0';
		struct json_object *o = by_json_c(copy, size);
		c_n = strspn(copy, " \t\r\n");
		text = (struct qn_span){text.p + c_n, size - c_n};
		while (strchr(" \t\r\n", text.p[text.n - 1]) != NULL)
			text.n--;
		same_value(text, o);
		json_object_put(o);
		free(copy);
	}
	qn_arena_reset(arena);
	return 0;
}
