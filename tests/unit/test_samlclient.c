/* Questions to quoin-saml, against one on a socket that answers well, badly, late or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "quoin/base/clock.h"
#include "quoin/net/samlclient.h"

enum { SHORT_MS = 300, LONG_MS = 20000, ARENA = 4 << 20 };

/* the other side: says `answer` to one question, which it keeps */

static char dir[] = "/tmp/samlclient-XXXXXX", path[64], asked[300000];
static const char *answer; /* NULL: nothing, until the asker leaves */
static size_t answer_n;
static int listener;

static void *serve(void *arg)
{
	unsigned char head[4];
	int fd = accept(listener, NULL, NULL);

	(void)arg;
	assert_true(fd >= 0);
	if (recv(fd, head, sizeof(head), MSG_WAITALL) == 4) {
		size_t n = (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
		ssize_t got = recv(fd, asked, n, MSG_WAITALL);
		asked[got > 0 ? got : 0] = '\0';
	}
	if (answer != NULL)
		send(fd, answer, answer_n, MSG_NOSIGNAL);
	else
		(void)!recv(fd, head, 1, 0);
	close(fd);
	return NULL;
}

static struct qn_arena *arena;
static struct qn_saml_sides sides = {.socket = path,
    .timeout_ms = LONG_MS,
    .sp_entity = "https://a.example/sp?x=\"<&",
    .acs = "https://a.example/acs",
    .idp = "<idp>\n</idp>"};
static const char *why;

static void speak(const char *text, size_t n)
{
	static char frame[300000];

	assert_true(n + 4 <= sizeof(frame));
	frame[0] = (char)(n >> 24);
	frame[1] = (char)(n >> 16);
	frame[2] = (char)(n >> 8);
	frame[3] = (char)n;
	memcpy(frame + 4, text, n);
	answer = frame;
	answer_n = n + 4;
}

static enum qn_err respond(struct qn_saml_subject *who)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
	enum qn_err e = qn_saml_response(arena, &sides, "PHg+", "_1", who, &why);
	assert_int_equal(pthread_join(thread, NULL), 0);
	return e;
}

static enum qn_err respond_to(const char *text)
{
	struct qn_saml_subject who;

	speak(text, strlen(text));
	return respond(&who);
}

static void test_subject(void **state)
{
	static const char text[] =
	    "{\"ok\":true,\"issuer\":\"i\",\"name_id\":\"n\\u00e9\",\"assertion_id\":\"_a\","
	    "\"expires\":1893456000,\"email\":\"a@b.example\"}";
	struct qn_saml_subject who;

	(void)state;
	speak(text, sizeof(text) - 1);
	assert_int_equal(respond(&who), QN_OK);
	assert_string_equal(who.issuer, "i");
	assert_string_equal(who.name_id, "n\xc3\xa9");
	assert_string_equal(who.assertion_id, "_a");
	assert_int_equal(who.expires_s, 1893456000);
	assert_string_equal(who.email, "a@b.example");
	assert_null(who.first_name);
	assert_non_null(strstr(
	    asked, "{\"verb\":\"response\",\"request_id\":\"_1\",\"response\":\"PHg+\",\"sp\":"));
	assert_non_null(strstr(asked, "entityID=\\\"https://a.example/sp?x=&quot;&lt;&amp;\\\""));
	assert_non_null(strstr(asked, "\"idp\":\"<idp>\\n</idp>\"}"));
}

static void test_refused(void **state)
{
	(void)state;
	assert_int_equal(respond_to("{\"reason\":\"signature\",\"ok\":false}"), QN_DENIED);
	assert_string_equal(why, "signature");
}

static void test_no_answers(void **state)
{
	static const char *const bad[] = {"", "x", "[]", "{}", "{\"ok\":true}",
	    "{\"ok\":1,\"reason\":2}", "{\"ok\":\"true\",\"issuer\":\"i\"}",
	    "{\"ok\":true,\"issuer\":\"i\",\"name_id\":\"n\",\"assertion_id\":\"_a\",\"expires\":\"1\"}",
	    "{\"ok\":true,\"issuer\":\"i\",\"name_id\":7,\"assertion_id\":\"_a\",\"expires\":1}"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(respond_to(bad[i]), QN_DB_DOWN);
}

static void test_cut_and_huge(void **state)
{
	static const char cut[] = {0, 0, 0, 9, '{'}, huge[] = {0x7f, 0, 0, 0, '{'}, none[] = {0};
	struct qn_saml_subject who;

	(void)state;
	answer = cut, answer_n = sizeof(cut);
	assert_int_equal(respond(&who), QN_DB_DOWN);
	answer = huge, answer_n = sizeof(huge);
	assert_int_equal(respond(&who), QN_DB_DOWN);
	answer = none, answer_n = 0;
	assert_int_equal(respond(&who), QN_DB_DOWN);
}

static void test_deadline(void **state)
{
	struct qn_saml_subject who;
	int64_t began = qn_mono_us();

	(void)state;
	answer = NULL;
	sides.timeout_ms = SHORT_MS;
	assert_int_equal(respond(&who), QN_DB_DOWN);
	sides.timeout_ms = LONG_MS;
	int64_t took = (qn_mono_us() - began) / 1000;
	assert_true(took >= SHORT_MS - 1 && took < LONG_MS / 2);
}

static void test_nobody_there(void **state)
{
	struct qn_saml_sides nowhere = sides;
	struct qn_saml_asked asked_for;

	(void)state;
	nowhere.socket = "/tmp/there-is-no-such-socket";
	assert_int_equal(qn_saml_request(arena, &nowhere, "r", &asked_for, &why), QN_DB_DOWN);
	assert_string_equal(why, "quoin-saml is not there");
}

static void test_too_much(void **state)
{
	struct qn_saml_sides large = sides;
	struct qn_saml_asked asked_for;
	char *idp = malloc(300001);

	(void)state;
	assert_non_null(idp);
	memset(idp, 'x', 300000);
	idp[300000] = '\0';
	large.idp = idp;
	assert_int_equal(qn_saml_request(arena, &large, "r", &asked_for, &why), QN_DENIED);
	assert_string_equal(why, "too-large");
	free(idp);
}

static int set_up(void **state)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	(void)state;
	arena = qn_arena_new(ARENA);
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/s", dir);
	memcpy(at.sun_path, path, strlen(path));
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	return listener >= 0 && bind(listener, (struct sockaddr *)&at, sizeof(at)) == 0 &&
	               listen(listener, 4) == 0
	           ? 0
	           : -1;
}

static int tear_down(void **state)
{
	(void)state;
	qn_arena_free(arena);
	close(listener);
	unlink(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_subject),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_no_answers),
	    cmocka_unit_test(test_cut_and_huge),
	    cmocka_unit_test(test_deadline),
	    cmocka_unit_test(test_nobody_there),
	    cmocka_unit_test(test_too_much),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
