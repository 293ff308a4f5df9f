/*
 * Targets to canonical paths, and parts of a query: whatever comes in, what comes out is UTF-8
 * without control bytes, without empty or dot segments, and canonical itself (SECURITY S6).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quoin/base/utf8.h"
#include "quoin/http/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what); \
			abort(); \
		} \
	} while (0)

static struct qn_arena *arena;

static void must_be_clean(const char *s)
{
	for (size_t i = 0, n = strlen(s); i < n;) {
		size_t len = qn_utf8_len(s + i, n - i);
		MUST(len > 0);
		MUST((unsigned char)s[i] >= 0x20 && s[i] != 0x7f);
		i += len;
	}
}

static void must_have_no_control_bytes(const char *s)
{
	for (; *s != '\0'; s++)
		MUST((unsigned char)*s > 0x20 && *s != 0x7f);
}

static void must_be_canonical(const char *path)
{
	MUST(path[0] == '/');
	must_be_clean(path);
	MUST(strchr(path, '\\') == NULL);
	for (const char *p = path; p != NULL && path[1] != '\0'; p = strchr(p, '/')) {
		size_t n = strcspn(++p, "/");
		MUST(n > 0);
		MUST(!(n == 1 && p[0] == '.'));
		MUST(!(n == 2 && p[0] == '.' && p[1] == '.'));
	}
}

/* As a client would that escapes more than it has to. */
static char *escaped(const char *s, const char *plain)
{
	char *out = qn_alloc(arena, 3 * strlen(s) + 1), *o = out;

	for (; *s != '\0'; s++) {
		if (strchr(plain, *s) != NULL)
			*o++ = *s;
		else
			o += snprintf(o, 4, "%%%02x", (unsigned char)*s);
	}
	return out;
}

static void try_query(const char *p)
{
	while (*p != '\0') {
		size_t n = strcspn(p, "&");
		char *part = malloc(n ? n : 1); /* nothing behind it may be read */
		memcpy(part, p, n);
		const char *text = qn_query_decode(arena, part, n);
		if (text != NULL) {
			must_be_clean(text);
			const char *again = escaped(text, "");
			const char *same = qn_query_decode(arena, again, strlen(again));
			MUST(same != NULL && strcmp(same, text) == 0);
		}
		free(part);
		p += n + (p[n] == '&');
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *target = malloc(size + 1);
	const char *query = NULL, *none = NULL;

	if (arena == NULL)
		arena = qn_arena_new((size_t)64 << 20);
	memcpy(target, data, size);
	target[size] = '\0';
	const char *path = qn_path_canonical(arena, target, &query);
	MUST(query != NULL);
	if (path != NULL) {
		must_be_canonical(path);
		MUST(strlen(path) <= strlen(target));
		const char *same = qn_path_canonical(arena, escaped(path, "/"), &none);
		MUST(same != NULL && strcmp(same, path) == 0 && none[0] == '\0');
		must_have_no_control_bytes(query);
	}
	try_query(query);
	free(target);
	qn_arena_reset(arena);
	return 0;
}
