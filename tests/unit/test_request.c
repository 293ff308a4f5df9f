/* Targets to canonical paths, and the parts of a query (SECURITY S6, T30). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quoin/http/request.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct qn_arena *arena;

static int set_up(void **state)
{
	(void)state;
	arena = qn_arena_new((size_t)16 << 20);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	qn_arena_free(arena);
	return 0;
}

static const struct {
	const char *name, *target, *path, *query; /* path NULL: refused */
} paths[] = {
    {"root", "/", "/", ""},
    {"root with a query", "/?a=1", "/", "a=1"},
    {"root with an empty query", "/?", "/", ""},
    {"one segment", "/a", "/a", ""},
    {"two segments", "/a/b", "/a/b", ""},
    {"query", "/a?x=1&y=2", "/a", "x=1&y=2"},
    {"query with a question mark", "/a?x=?", "/a", "x=?"},
    {"query with a slash", "/a?/b/../c", "/a", "/b/../c"},
    {"escape", "/%61", "/a", ""},
    {"escape in capitals and small letters", "/%c3%A9", "/\xc3\xa9", ""},
    {"raw UTF-8", "/\xc3\xa9", "/\xc3\xa9", ""},
    {"four bytes of UTF-8", "/%F0%9F%98%80", "/\xf0\x9f\x98\x80", ""},
    {"escaped space", "/a%20b", "/a b", ""},
    {"plus is a plus", "/a+b", "/a+b", ""},
    {"escaped percent is not read again", "/%2541", "/%41", ""},
    {"escaped question mark", "/a%3fb", "/a?b", ""},
    {"escaped hash", "/a%23", "/a#", ""},
    {"dots inside a name", "/a..b/.c/d./...", "/a..b/.c/d./...", ""},
    {"delimiters", "/a;b=c,d:e@f&g!$'()*~", "/a;b=c,d:e@f&g!$'()*~", ""},

    {"nothing", "", NULL, ""},
    {"only a query", "?a=1", NULL, "a=1"},
    {"no slash", "a/b", NULL, ""},
    {"star", "*", NULL, ""},
    {"absolute", "http://host/a", NULL, ""},
    {"empty segment first", "//a", NULL, ""},
    {"empty segment", "/a//b", NULL, ""},
    {"empty segment last", "/a/", NULL, ""},
    {"two slashes", "//", NULL, ""},
    {"dot", "/.", NULL, ""},
    {"two dots", "/..", NULL, ""},
    {"dot inside", "/a/./b", NULL, ""},
    {"two dots inside", "/a/../b", NULL, ""},
    {"two dots last", "/a/..", NULL, ""},
    {"escaped dot", "/a/%2e/b", NULL, ""},
    {"escaped dots", "/a/%2e%2E/b", NULL, ""},
    {"half escaped dots", "/a/.%2e", NULL, ""},
    {"escaped slash", "/a%2fb", NULL, ""},
    {"escaped slash in capitals", "/a%2Fb", NULL, ""},
    {"escaped slash alone", "/%2f", NULL, ""},
    {"dots and an escaped slash", "/..%2fadmin", NULL, ""},
    {"backslash", "/a\\b", NULL, ""},
    {"escaped backslash", "/a%5cb", NULL, ""},
    {"escaped NUL", "/a%00", NULL, ""},
    {"escaped NUL inside", "/a%00b", NULL, ""},
    {"escaped newline", "/admin%0aX", NULL, ""},
    {"escaped CR", "/a%0d", NULL, ""},
    {"escaped tab", "/a%09b", NULL, ""},
    {"escaped escape", "/a%1bb", NULL, ""},
    {"escaped DEL", "/a%7f", NULL, ""},
    {"raw newline", "/a\nb", NULL, ""},
    {"raw control byte", "/a\x01", NULL, ""},
    {"raw DEL", "/a\x7f", NULL, ""},
    {"raw space", "/a b", NULL, ""},
    {"raw control byte in the query", "/a?x\r\nSet-Cookie:y", NULL, "x\r\nSet-Cookie:y"},
    {"raw space in the query", "/a?x y", NULL, "x y"},
    {"overlong slash", "/%c0%af", NULL, ""},
    {"overlong dot", "/%c0%ae%c0%ae/a", NULL, ""},
    {"overlong of three bytes", "/%e0%80%af", NULL, ""},
    {"lone continuation", "/%80", NULL, ""},
    {"sequence cut short", "/%c3", NULL, ""},
    {"sequence cut by a slash", "/%c3/%a9", NULL, ""},
    {"surrogate", "/%ed%a0%80", NULL, ""},
    {"above U+10FFFF", "/%f4%90%80%80", NULL, ""},
    {"never a byte of UTF-8", "/%ff", NULL, ""},
    {"escape cut after the percent", "/a%", NULL, ""},
    {"escape cut after a digit", "/a%4", NULL, ""},
    {"escape cut by a slash", "/a%4/1", NULL, ""},
    {"escape that is none", "/a%zz", NULL, ""},
    {"escape with a sign", "/a%+1", NULL, ""},
    {"escape of Microsoft's", "/a%u0041", NULL, ""},
    {"escape cut by the query", "/a%4?1", NULL, "1"},
};

static void path_becomes_canonical(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(paths); i++) {
		const char *query = NULL;
		/* From a copy of its own, so that reading past it is seen. */
		char *target = strdup(paths[i].target);
		const char *path = qn_path_canonical(arena, target, &query);
		if (path == NULL ? paths[i].path != NULL
				 : paths[i].path == NULL || strcmp(path, paths[i].path) != 0)
			fail_msg("%s: %s, not %s", paths[i].name, path != NULL ? path : "(refused)",
			    paths[i].path != NULL ? paths[i].path : "(refused)");
		if (strcmp(query, paths[i].query) != 0)
			fail_msg("%s: the query is '%s'", paths[i].name, query);
		free(target);
	}
}

static void path_is_its_own_canonical_form(void **state)
{
	const char *query;

	(void)state;
	for (size_t i = 0; i < COUNT(paths); i++) {
		char *escaped, *o;
		const char *path = qn_path_canonical(arena, paths[i].target, &query);
		if (path == NULL)
			continue;
		o = escaped = qn_alloc(arena, 3 * strlen(path) + 1);
		for (const char *p = path; *p != '\0'; p++)
			o += *p == '/' ? sprintf(o, "/") : sprintf(o, "%%%02X", (unsigned char)*p);
		const char *again = qn_path_canonical(arena, escaped, &query);
		assert_non_null(again);
		assert_string_equal(again, path);
	}
}

static void long_paths_are_read_whole(void **state)
{
	size_t n = 200000;
	char *target = malloc(n + 1);
	const char *query;

	(void)state;
	for (size_t i = 0; i < n; i++)
		target[i] = i % 2 == 0 ? '/' : 'a';
	target[n] = '\0';
	assert_string_equal(qn_path_canonical(arena, target, &query), target);
	target[n - 1] = '/';
	assert_null(qn_path_canonical(arena, target, &query));
	for (size_t i = 0; i + 3 <= n; i += 3)
		memcpy(target + i, "%2e", 3);
	target[0] = '/';
	assert_null(qn_path_canonical(arena, target, &query));
	free(target);
}

static const struct {
	const char *name, *text, *decoded; /* NULL: refused */
} queries[] = {
    {"nothing", "", ""},
    {"plain", "abc", "abc"},
    {"plus is a space", "a+b", "a b"},
    {"escaped plus", "a%2Bb", "a+b"},
    {"escaped space", "a%20b", "a b"},
    {"escaped delimiters", "%26%3D%3f%2f%5c", "&=?/\\"},
    {"percent is read once", "%2541", "%41"},
    {"UTF-8", "%C3%A9", "\xc3\xa9"},
    {"escaped NUL", "a%00b", NULL},
    {"escaped newline", "a%0Ab", NULL},
    {"escaped tab", "%09", NULL},
    {"escaped DEL", "%7f", NULL},
    {"raw control byte", "a\x1f", NULL},
    {"overlong", "%c0%80", NULL},
    {"surrogate", "%ed%bf%bf", NULL},
    {"cut short", "%c3", NULL},
    {"raw byte that is no UTF-8", "\xff", NULL},
    {"escape cut short", "%4", NULL},
    {"percent alone", "%", NULL},
    {"bad digits", "%4g", NULL},
};

static void query_parts_are_decoded(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(queries); i++) {
		size_t n = strlen(queries[i].text);
		char *text = malloc(n ? n : 1); /* no NUL behind it */
		memcpy(text, queries[i].text, n);
		const char *got = qn_query_decode(arena, text, n);
		if (got == NULL
			? queries[i].decoded != NULL
			: queries[i].decoded == NULL || strcmp(got, queries[i].decoded) != 0)
			fail_msg("%s: %s", queries[i].name, got != NULL ? got : "(refused)");
		free(text);
	}
}

static void faults_are_counted_to_their_limit(void **state)
{
	struct qn_request r = {.arena = arena};

	(void)state;
	for (int i = 0; i < 3 * QN_FAULTS; i++)
		qn_fault_add(&r, "body", "x", "m", "t");
	assert_int_equal(r.nfaults, QN_FAULTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(path_becomes_canonical),
	    cmocka_unit_test(path_is_its_own_canonical_form),
	    cmocka_unit_test(long_paths_are_read_whole),
	    cmocka_unit_test(query_parts_are_decoded),
	    cmocka_unit_test(faults_are_counted_to_their_limit),
	};
	return cmocka_run_group_tests_name("request", tests, set_up, tear_down);
}
