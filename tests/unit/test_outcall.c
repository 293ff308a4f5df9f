/*
 * Calls to third parties, against one on the loopback that lies, drips and redirects: size,
 * deadline, redirects, proxies, and whom it may call at all (SECURITY T24, F27).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "quoin/base/clock.h"
#include "quoin/base/buf.h"
#include "quoin/net/form.h"
#include "quoin/net/outcall.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MS       INT64_C(1000)
#define MOST     ((size_t)100000)
#define SHORT_MS 1000
#define LONG_MS  20000

/* the third party */

static int listener = -1, wake[2];
static unsigned port;
static pthread_t thread;
static _Atomic(int) calls,
    elsewhere; /* connections; requests that only a redirect or a proxy can cause */

static void say(int fd, const char *text)
{
	send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* A body of n bytes, with or without its length said before. */
static void say_body(int fd, size_t n, bool length)
{
	char block[8192];

	memset(block, 'x', sizeof(block));
	if (length) {
		snprintf(block, sizeof(block), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", n);
		say(fd, block);
		memset(block, 'x', sizeof(block));
	} else {
		say(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
	}
	while (n > 0) {
		size_t part = n < sizeof(block) ? n : sizeof(block);
		if (send(fd, block, part, MSG_NOSIGNAL) < 0)
			return;
		n -= part;
	}
}

/* Until the caller hangs up. */
static void drip(int fd, const char *text)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (poll(&p, 1, 20) == 0)
		say(fd, text);
}

static void silent(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	poll(&p, 1, 2 * LONG_MS);
}

static bool asks(const char *request, const char *path)
{
	const char *at = strchr(request, ' ');
	size_t n = strlen(path);

	return at != NULL && strncmp(at + 1, path, n) == 0 && at[1 + n] == ' ';
}

/* "client%20one" and "s%3Acret" by Basic, a form, and what is wanted; and a bearer token. */
static const char *const credentials[] = {
    "\r\nAuthorization: Basic Y2xpZW50JTIwb25lOnMlM0FjcmV0\r\n", "\r\nAccept: application/json\r\n",
    "\r\nContent-Type: application/x-www-form-urlencoded\r\n", "\r\n\r\ncode=a%26b&x=%C3%A9", NULL};
static const char *const token[] = {
    "\r\nAuthorization: Bearer abc.def~+/==\r\n", "\r\nAccept: application/json\r\n", NULL};

static bool asks_all(
    const char *request, const char *path, const char *method, const char *const *parts)
{
	size_t m = strlen(method), n = strlen(path);

	if (strncmp(request, method, m) != 0 || strncmp(request + m + 1, path, n) != 0 ||
	    request[m + 1 + n] != ' ')
		return false;
	for (; *parts != NULL; parts++)
		if (strstr(request, *parts) == NULL)
			return false;
	return true;
}

static const char *const told_heads[] = {"\r\nContent-Type: application/json\r\n",
    "\r\nwebhook-id: 1\r\n", "\r\nContent-Length: 9\r\n", "\r\n\r\n{\"a\":\"b\"}", NULL};

static void answer(int fd, const char *request)
{
	char text[200];

	if (asks_all(request, "/told", "POST", told_heads))
		say(fd, "HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nheard");
	else if (asks_all(request, "/token", "POST", credentials))
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nby post");
	else if (asks_all(request, "/user", "GET", token))
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nby key");
	else if (asks(request, "/hello"))
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
	else if (asks(request, "/empty"))
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	else if (asks(request, "/fits"))
		say_body(fd, MOST, true);
	else if (asks(request, "/fits-unsaid"))
		say_body(fd, MOST, false);
	else if (asks(request, "/large"))
		say_body(fd, MOST + 1, true);
	else if (asks(request, "/large-unsaid"))
		say_body(fd, MOST + 1, false);
	else if (asks(request, "/huge"))
		say_body(fd, (size_t)1 << 30, false);
	else if (asks(request, "/liar")) {
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort");
	} else if (asks(request, "/redirect")) {
		snprintf(text, sizeof(text),
		    "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%u/elsewhere\r\n"
		    "Content-Length: 0\r\n\r\n",
		    port);
		say(fd, text);
	} else if (asks(request, "/missing"))
		say(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello");
	else if (asks(request, "/broken"))
		say(fd, "HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\nhello");
	else if (asks(request, "/created"))
		say(fd, "HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello");
	else if (asks(request, "/no-http"))
		say(fd, "hello\r\n");
	else if (asks(request, "/hang-up"))
		return;
	else if (asks(request, "/silent"))
		silent(fd);
	else if (asks(request, "/drip-header")) {
		say(fd, "HTTP/1.1 200 OK\r\n");
		drip(fd, "X-More: x\r\n");
	} else if (asks(request, "/drip-body")) {
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n");
		drip(fd, "x");
	} else {
		elsewhere++;
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nelsewhere");
	}
}

static void *serve(void *arg)
{
	struct pollfd p[2] = {
	    {.fd = listener, .events = POLLIN}, {.fd = wake[0], .events = POLLIN}};
	char request[4096];

	(void)arg;
	while (poll(p, 2, -1) > 0 && p[1].revents == 0) {
		int fd = accept(listener, NULL, NULL);
		calls++;
		ssize_t n = recv(fd, request, sizeof(request) - 1, 0);
		if (n > 0) {
			request[n] = '\0';
			answer(fd, request);
		}
		close(fd);
	}
	return NULL;
}

static struct qn_arena *arena;

static int start(void **state)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(at);

	(void)state;
	arena = qn_arena_new((size_t)4 << 20);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_return_code(bind(listener, (struct sockaddr *)&at, sizeof(at)), errno);
	assert_return_code(listen(listener, 50), errno);
	assert_return_code(getsockname(listener, (struct sockaddr *)&at, &n), errno);
	port = ntohs(at.sin_port);
	assert_return_code(pipe(wake), errno);
	assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	assert_int_equal(write(wake[1], "", 1), 1);
	pthread_join(thread, NULL);
	close(listener);
	close(wake[0]);
	close(wake[1]);
	qn_arena_free(arena);
	return 0;
}

/* the caller */

static int64_t timeout_ms = LONG_MS;

static enum qn_err get(const char *url, bool local_ok, struct qn_span *ret, const char **ret_why)
{
	struct qn_outcall call = {
	    .url = url, .timeout_ms = timeout_ms, .most = MOST, .local_ok = local_ok};

	*ret = (struct qn_span){NULL, 0};
	*ret_why = "untouched";
	return qn_outcall_get(arena, &call, ret, ret_why);
}

static const struct {
	const char *path;
	bool good;
	size_t n;
	int64_t timeout_ms; /* 0: there is time enough */
} answers[] = {
    {"/hello", true, 5, 0},
    {"/empty", true, 0, 0},
    {"/fits", true, MOST, 0},
    {"/fits-unsaid", true, MOST, 0},
    {"/large", false, 0, 0},
    {"/large-unsaid", false, 0, 0},
    {"/huge", false, 0, 0},
    {"/liar", false, 0, 0},
    {"/redirect", false, 0, 0},
    {"/missing", false, 0, 0},
    {"/broken", false, 0, 0},
    {"/created", false, 0, 0},
    {"/no-http", false, 0, 0},
    {"/hang-up", false, 0, 0},
    {"/silent", false, 0, SHORT_MS},
    {"/drip-header", false, 0, SHORT_MS},
    {"/drip-body", false, 0, SHORT_MS},
};

static void credentials_and_forms_are_sent(void **state)
{
	struct qn_buf form;
	struct qn_span body;
	const char *why;
	char url[60];

	(void)state;
	qn_buf_init(&form, 1000);
	qn_form_add(&form, "code", "a&b");
	qn_form_add(&form, "x", "\xc3\xa9");
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/token", port);
	struct qn_outcall call = {.url = url,
	    .timeout_ms = LONG_MS,
	    .most = MOST,
	    .local_ok = true,
	    .json = true,
	    .form = {form.p, form.n},
	    .user = qn_form_encode(arena, "client one"),
	    .password = qn_form_encode(arena, "s:cret")};
	assert_int_equal(qn_outcall_post(arena, &call, &body, &why), QN_OK);
	assert_true(qn_span_is(body, "by post"));
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/user", port);
	call = (struct qn_outcall){.url = url,
	    .timeout_ms = LONG_MS,
	    .most = MOST,
	    .local_ok = true,
	    .json = true,
	    .bearer = "abc.def~+/=="};
	assert_int_equal(qn_outcall_get(arena, &call, &body, &why), QN_OK);
	assert_true(qn_span_is(body, "by key"));
	qn_buf_done(&form);
}

static const struct {
	const char *value, *encoded;
} encodings[] = {
    {"", ""},
    {"az-AZ_09.~", "az-AZ_09.~"},
    {" +&=%?#/", "%20%2B%26%3D%25%3F%23%2F"},
    {"\xc3\xa9\r\n\x7f", "%C3%A9%0D%0A%7F"},
};

static void values_of_forms_are_encoded(void **state)
{
	struct qn_buf b;

	(void)state;
	for (size_t i = 0; i < COUNT(encodings); i++)
		assert_string_equal(
		    qn_form_encode(arena, encodings[i].value), encodings[i].encoded);
	qn_buf_init(&b, 100);
	qn_buf_str(&b, "https://x/?");
	qn_form_add(&b, "a b", "1");
	qn_form_add(&b, "c", "");
	assert_string_equal(b.p, "https://x/?a%20b=1&c=");
	qn_buf_done(&b);
}

static void only_a_whole_200_within_size_and_time_is_an_answer(void **state)
{
	char url[100];
	struct qn_span body;
	const char *why;

	(void)state;
	for (size_t i = 0; i < COUNT(answers); i++) {
		int64_t began = qn_mono_us();
		timeout_ms = answers[i].timeout_ms != 0 ? answers[i].timeout_ms : LONG_MS;
		snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", port, answers[i].path);
		enum qn_err e = get(url, true, &body, &why);
		int64_t us = qn_mono_us() - began;
		if (e != (answers[i].good ? QN_OK : QN_DB_DOWN))
			fail_msg("%s: %s", answers[i].path, qn_err_code(e));
		if (us > LONG_MS / 2 * MS)
			fail_msg("%s took %lld ms", answers[i].path, (long long)(us / MS));
		if (answers[i].good) {
			assert_null(why);
			assert_int_equal(body.n, answers[i].n);
			assert_int_equal(strlen(body.p), answers[i].n);
		} else {
			assert_null(body.p);
			assert_true(why != NULL && why[0] != '\0' && strcmp(why, "untouched") != 0);
		}
	}
	timeout_ms = LONG_MS;
	assert_int_equal(elsewhere, 0);
}

static void nobody_there_is_no_answer(void **state)
{
	char url[100];
	struct qn_span body;
	const char *why;
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	/* Bound and not listening, so that nobody else is there. */
	assert_return_code(bind(fd, (struct sockaddr *)&at, sizeof(at)), errno);
	assert_return_code(getsockname(fd, (struct sockaddr *)&at, &n), errno);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/hello", ntohs(at.sin_port));
	assert_int_equal(get(url, true, &body, &why), QN_DB_DOWN);
	close(fd);
	assert_int_equal(get("http://name.invalid/hello", true, &body, &why), QN_DB_DOWN);
	assert_int_equal(get("", true, &body, &why), QN_DB_DOWN);
	assert_int_equal(get("no url", true, &body, &why), QN_DB_DOWN);
}

static void proxies_of_the_environment_are_not_used(void **state)
{
	static const char *const names[] = {
	    "http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"};
	char url[100];
	struct qn_span body;
	const char *why;

	(void)state;
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
	for (size_t i = 0; i < COUNT(names); i++)
		setenv(names[i], url, 1);
	int before = calls;
	assert_int_equal(get("http://name.invalid/hello", true, &body, &why), QN_DB_DOWN);
	assert_int_equal(get("https://name.invalid/hello", false, &body, &why), QN_DB_DOWN);
	assert_int_equal(calls, before);
	assert_int_equal(elsewhere, 0);
	for (size_t i = 0; i < COUNT(names); i++)
		unsetenv(names[i]);
}

static const struct {
	const char *before, *after; /* of the address */
	bool http;
} schemes[] = {
    {"http://", "/hello", true},
    {"HTTP://", "/hello", true},
    {"", "/hello", true},
    {"ftp://", "/hello", false},
    {"gopher://", "/_hello", false},
    {"dict://", "/hello", false},
    {"telnet://", "", false},
    {"ldap://", "/", false},
    {"smtp://", "", false},
};

/* Others are never spoken, and http only where it is allowed. */
static void only_https_is_spoken(void **state)
{
	char url[100];
	struct qn_span body;
	const char *why;
	int before = calls;

	(void)state;
	for (size_t i = 0; i < COUNT(schemes); i++) {
		snprintf(url, sizeof(url), "%s127.0.0.1:%u%s", schemes[i].before, port,
		    schemes[i].after);
		if (get(url, false, &body, &why) == QN_OK)
			fail_msg("%s was called", url);
		if (!schemes[i].http && get(url, true, &body, &why) == QN_OK)
			fail_msg("%s was called", url);
	}
	assert_int_equal(get("file:///etc/passwd", true, &body, &why), QN_DB_DOWN);
	assert_int_equal(get("file:///etc/passwd", false, &body, &why), QN_DB_DOWN);
	assert_int_equal(calls, before);
	/* TLS is demanded of whom https calls. */
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/hello", port);
	assert_int_equal(get(url, true, &body, &why), QN_DB_DOWN);
}

static const char *const closed[] = {
    "127.0.0.1",
    "127.1.2.3",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "localhost",
    "0.0.0.0",
    "0",
    "10.0.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:10.0.0.1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[fe80::1]",
    "[fc00::1]",
    "[fd12::1]",
    "[ff02::1]",
    "[2001:db8::1]",
    "[2001::1]",
    "[2002:7f00:1::1]",
};

static void addresses_that_are_not_public_are_not_called(void **state)
{
	char url[100];
	struct qn_span body;
	const char *why;
	int before = calls;

	(void)state;
	for (size_t i = 0; i < COUNT(closed); i++) {
		int64_t began = qn_mono_us();
		snprintf(url, sizeof(url), "https://%s:%u/hello", closed[i], port);
		if (get(url, false, &body, &why) == QN_OK)
			fail_msg("%s was called", url);
		/* Not for another reason, such as that there is no way there. */
		if (strcmp(why, "the address is not public") != 0)
			fail_msg("%s: %s", url, why);
		assert_in_range(qn_mono_us() - began, 0, LONG_MS / 2 * MS);
	}
	snprintf(url, sizeof(url), "https://user:word@127.0.0.1:%u/hello", port);
	assert_int_equal(get(url, false, &body, &why), QN_DB_DOWN);
	snprintf(url, sizeof(url), "https://example.com@127.0.0.1:%u/hello", port);
	assert_int_equal(get(url, false, &body, &why), QN_DB_DOWN);
	assert_string_equal(why, "the address is not public");
	assert_int_equal(calls, before);
}

/* What is told has been heard when there is a status, whatever else is said. */
static const struct {
	const char *path;
	int64_t status;
	const char *text; /* begins with it */
	size_t n;
	const char *why;
	int64_t timeout_ms; /* 0: there is time enough */
} told[] = {
    {"/told", 202, "heard", 5, NULL, 0},
    {"/hello", 200, "hello", 5, NULL, 0},
    {"/empty", 200, "", 0, NULL, 0},
    {"/fits", 200, "xxx", 100, NULL, 0},
    {"/large-unsaid", 200, "xxx", 100, NULL, 0},
    {"/huge", 200, "xxx", 100, NULL, 0},
    {"/redirect", 302, "", 0, NULL, 0},
    {"/missing", 404, "hello", 5, NULL, 0},
    {"/broken", 500, "hello", 5, NULL, 0},
    {"/created", 201, "hello", 5, NULL, 0},
    {"/silent", 0, NULL, 0, "there was no answer in time", SHORT_MS},
    {"/drip-header", 200, NULL, 0, "there was no answer in time", SHORT_MS},
    {"/drip-body", 200, NULL, 0, "there was no answer in time", SHORT_MS},
    {"/hang-up", 0, NULL, 0, "", 0},
    {"/no-http", 0, NULL, 0, "", 0},
    {"/liar", 200, NULL, 0, "", 0},
};

static void what_is_told_is_heard(void **state)
{
	static const char *const headers[] = {
	    "Content-Type: application/json", "webhook-id: 1", NULL};
	char url[100];
	int before = elsewhere;

	(void)state;
	for (size_t i = 0; i < COUNT(told); i++) {
		struct qn_outcall_told t;
		snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", port, told[i].path);
		struct qn_outcall call = {.url = url,
		    .timeout_ms = told[i].timeout_ms != 0 ? told[i].timeout_ms : LONG_MS,
		    .most = 100,
		    .local_ok = true,
		    .headers = headers,
		    .form = qn_span_of("{\"a\":\"b\"}")};
		qn_outcall_tell(arena, &call, &t);
		if (t.status != told[i].status || (t.why == NULL) != (told[i].why == NULL) ||
		    (t.why != NULL && strstr(t.why, told[i].why) == NULL))
			fail_msg("%s: %lld %s", told[i].path, (long long)t.status, t.why);
		assert_in_range(t.us, 0, LONG_MS / 2 * MS);
		if (t.why != NULL)
			continue;
		assert_int_equal(t.text.n, told[i].n);
		assert_memory_equal(t.text.p, told[i].text, strlen(told[i].text));
	}
	assert_int_equal(elsewhere, before);
}

static void what_is_told_stays_outside(void **state)
{
	char url[100];
	int before = calls;

	(void)state;
	for (size_t i = 0; i <= COUNT(closed); i++) {
		struct qn_outcall_told t;
		snprintf(url, sizeof(url), "https://%s:%u/told",
		    i < COUNT(closed) ? closed[i] : "name.invalid", port);
		struct qn_outcall call = {
		    .url = url, .timeout_ms = LONG_MS, .most = 100, .form = qn_span_of("{}")};
		qn_outcall_tell(arena, &call, &t);
		if (t.why == NULL || strcmp(t.why, "its host has no public address") != 0)
			fail_msg("%s: %s", url, t.why);
	}
	assert_int_equal(calls, before);
}

static const struct {
	const char *url;
	bool good, good_here; /* without and with local_ok */
} urls[] = {
    {"https://example.com/hooks", true, true},
    {"https://example.com", true, true},
    {"HTTPS://example.com:8443/a?b=c%20d&e", true, true},
    {"https://8.8.8.8/", true, true},
    {"https://[2606:4700::1]/", true, true},
    {"http://example.com/", false, true},
    {"http://127.0.0.1:8080/", false, true},
    {"https://localhost/", true, true}, /* a name: who it is is asked when it is called */
    {"", false, false},
    {"https://", false, false},
    {"https:///example.com/", false, false},
    {"https:/example.com/", false, false},
    {"https:\\\\example.com/", false, false},
    {"https://\\example.com/", false, false},
    {"example.com", false, false},
    {"//example.com/", false, false},
    {"ftp://example.com/", false, false},
    {"file:///etc/passwd", false, false},
    {"gopher://example.com/", false, false},
    {"https://user@example.com/", false, false},
    {"https://user:word@example.com/", false, false},
    {"https://:@example.com/", false, false},
    {"https://example.com/#part", false, false},
    {"https://example.com/a b", false, false},
    {"https://example.com/\n", false, false},
    {"https://ex\xc3\xa4mple.com/", false, false},
    {"https://example.com:99999/", false, false},
    {"https://[::1/", false, false},
};

static void urls_are_judged(void **state)
{
	char url[100];

	(void)state;
	for (size_t i = 0; i < COUNT(urls); i++)
		if ((qn_outcall_fault(urls[i].url, false) == NULL) != urls[i].good ||
		    (qn_outcall_fault(urls[i].url, true) == NULL) != urls[i].good_here)
			fail_msg("%s", urls[i].url);
	for (size_t i = 0; i < COUNT(closed); i++) {
		snprintf(url, sizeof(url), "https://%s/", closed[i]);
		if (strcmp(closed[i], "localhost") != 0 && qn_outcall_fault(url, false) == NULL)
			fail_msg("%s", url);
		assert_null(qn_outcall_fault(url, true));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(credentials_and_forms_are_sent),
	    cmocka_unit_test(values_of_forms_are_encoded),
	    cmocka_unit_test(only_a_whole_200_within_size_and_time_is_an_answer),
	    cmocka_unit_test(nobody_there_is_no_answer),
	    cmocka_unit_test(proxies_of_the_environment_are_not_used),
	    cmocka_unit_test(only_https_is_spoken),
	    cmocka_unit_test(addresses_that_are_not_public_are_not_called),
	    cmocka_unit_test(what_is_told_is_heard),
	    cmocka_unit_test(what_is_told_stays_outside),
	    cmocka_unit_test(urls_are_judged),
	};
	return cmocka_run_group_tests_name("outcall", tests, start, stop);
}
