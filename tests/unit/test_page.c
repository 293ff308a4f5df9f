/* Cursors: only ours, only for their list and their caller (SECURITY T20). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "quoin/base/rand.h"
#include "quoin/http/page.h"
#include "server.h"
#include "settings.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ID       "0190a2b3-0000-7000-8000-000000000001"
#define KEY      "0190a2b3-0000-7000-8000-00000000aaaa"

static struct qn_server server;
static struct qn_arena *arena;
static const struct qn_app fig = {.slug = "fig-nodes"}, cue = {.slug = "cue"};

static int set_up(void **state)
{
	(void)state;
	arena = qn_arena_new((size_t)4 << 20);
	server.spec.conf = test_settings(NULL);
	return 0;
}

static int tear_down(void **state)
{
	struct qn_conf *conf;

	(void)state;
	memcpy(&conf, &server.spec.conf, sizeof(conf)); /* ours after all */
	qn_conf_free(conf);
	qn_arena_free(arena);
	return 0;
}

static struct qn_page_query query = {.limit = 10};

static struct qn_request request(void)
{
	struct qn_request r = {
	    .server = &server, .arena = arena, .path = "/api/v1/graphs", .query = &query};

	r.who.app = &fig;
	r.who.known = true;
	memcpy(r.who.user_id, ID, sizeof(ID));
	return r;
}

static enum qn_err open_with(struct qn_request *r, const char *cursor, const char **ret)
{
	int64_t limit = 0;
	enum qn_err e;

	query.cursor = cursor;
	*ret = "untouched";
	e = qn_page_start(r, ret, &limit);
	assert_int_equal(limit, 10);
	return e;
}

static const char *cursor_of(const char *key)
{
	struct qn_request r = request();

	qn_page_next(&r, key);
	return r.next;
}

static void cursors_come_back(void **state)
{
	static const char *const keys[] = {KEY, "1", "2147483647",
	    "0123456789012345678901234567890123456789012345678901234567890123"};
	const char *after;

	(void)state;
	for (size_t i = 0; i < COUNT(keys); i++) {
		struct qn_request r = request();
		const char *cursor = cursor_of(keys[i]);
		assert_non_null(cursor);
		assert_in_range(strlen(cursor), 1, 200);
		assert_int_equal(
		    strspn(
			cursor, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"),
		    strlen(cursor));
		assert_int_equal(open_with(&r, cursor, &after), QN_OK);
		assert_string_equal(after, keys[i]);
	}
}

static void first_page_has_none(void **state)
{
	struct qn_request r = request();
	const char *after;

	(void)state;
	assert_int_equal(open_with(&r, NULL, &after), QN_OK);
	assert_null(after);
}

static void refused(const char *name, struct qn_request *r, const char *cursor)
{
	const char *after;

	r->nfaults = 0;
	if (open_with(r, cursor, &after) != QN_INVALID || r->nfaults != 1)
		fail_msg("%s: '%s' was taken", name, cursor);
	assert_string_equal(r->faults[0].where, "query");
	assert_string_equal(r->faults[0].field, "cursor");
}

static void foreign_cursors_are_refused(void **state)
{
	const char *cursor = cursor_of(KEY);
	struct qn_request r = request();

	(void)state;
	r.who.user_id[0] = '1';
	refused("another user", &r, cursor);
	r = request();
	r.who.app = &cue;
	refused("another app", &r, cursor);
	r = request();
	r.path = "/api/v1/workspaces";
	refused("another list", &r, cursor);
	r = request();
	r.path = "/api/v1/graphs/";
	refused("another path", &r, cursor);
}

static void changed_cursors_are_refused(void **state)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	struct qn_request r = request();
	char cursor[256];

	(void)state;
	snprintf(cursor, sizeof(cursor), "%s", cursor_of(KEY));
	for (size_t i = 0; i < strlen(cursor); i++) {
		char was = cursor[i];
		for (size_t k = 0; k < 64; k++) {
			cursor[i] = digits[k];
			if (digits[k] != was)
				refused("one letter changed", &r, cursor);
		}
		cursor[i] = was;
	}
	for (size_t n = strlen(cursor); n-- > 0;) {
		cursor[n] = '\0';
		refused("cut short", &r, cursor);
	}
}

static void what_is_no_cursor_is_refused(void **state)
{
	static const char *const none[] = {"", "x", "=", "AAAA", "AAAAAAAAAAAAAAAAAAAAAAAA", KEY,
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==", "' OR 1=1 --", "%00", "a b", "\xff"};
	struct qn_request r = request();
	char text[400];

	(void)state;
	for (size_t i = 0; i < COUNT(none); i++)
		refused("no cursor", &r, none[i]);
	/* Of every length, to the last that fits and beyond. */
	for (size_t n = 0; n < sizeof(text) - 1; n++) {
		memset(text, 'A', n);
		text[n] = '\0';
		refused("as long as this", &r, text);
	}
	snprintf(text, sizeof(text), "%s=", cursor_of(KEY));
	refused("padded", &r, text);
	snprintf(text, sizeof(text), "%s\n", cursor_of(KEY));
	refused("with a line end", &r, text);
}

/* The MAC of another secret, made as ours is. */
static void forged_cursors_are_refused(void **state)
{
	static const char *const secrets[] = {"", "secret", "00000000000000000000000000000000"};
	struct qn_request r = request();
	const char *text = "cursor\nfig-nodes\n" ID "\n/api/v1/graphs\n" KEY;
	uint8_t bytes[QN_SHA256_LEN + sizeof(KEY)];
	char cursor[256];

	(void)state;
	for (size_t i = 0; i < COUNT(secrets); i++) {
		qn_hmac_sha256(secrets[i], strlen(secrets[i]), text, strlen(text), bytes);
		memcpy(bytes + 16, KEY, strlen(KEY));
		cursor[qn_b64url_encode(bytes, 16 + strlen(KEY), cursor)] = '\0';
		refused("another secret", &r, cursor);
	}
	/* So that this shows that it tries the right thing. */
	qn_hmac_sha256(TEST_SECRET, strlen(TEST_SECRET), text, strlen(text), bytes);
	memcpy(bytes + 16, KEY, strlen(KEY));
	cursor[qn_b64url_encode(bytes, 16 + strlen(KEY), cursor)] = '\0';
	assert_string_equal(cursor, cursor_of(KEY));
}

static void the_row_too_many_says_that_there_is_more(void **state)
{
	struct qn_list list = {"", 0};

	(void)state;
	assert_false(qn_page_more(&list, 10));
	assert_int_equal(list.n, 0);
	list.n = 10;
	assert_false(qn_page_more(&list, 10));
	assert_int_equal(list.n, 10);
	list.n = 11;
	assert_true(qn_page_more(&list, 10));
	assert_int_equal(list.n, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(cursors_come_back),
	    cmocka_unit_test(first_page_has_none),
	    cmocka_unit_test(foreign_cursors_are_refused),
	    cmocka_unit_test(changed_cursors_are_refused),
	    cmocka_unit_test(what_is_no_cursor_is_refused),
	    cmocka_unit_test(forged_cursors_are_refused),
	    cmocka_unit_test(the_row_too_many_says_that_there_is_more),
	};
	return cmocka_run_group_tests_name("page", tests, set_up, tear_down);
}
