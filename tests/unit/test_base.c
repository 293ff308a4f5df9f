#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "quoin/base/arena.h"
#include "quoin/base/buf.h"
#include "quoin/base/clock.h"
#include "quoin/base/err.h"
#include "quoin/base/field.h"
#include "quoin/base/json.h"
#include "quoin/base/log.h"
#include "quoin/base/netaddr.h"
#include "quoin/base/rand.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Runs fn in a child; returns its wait status and what it wrote to stderr. */
static int in_child(void (*fn)(void), char *ret_said, size_t room)
{
	int fd[2], status = 0;
	ssize_t got;
	size_t n = 0;

	assert_int_equal(pipe(fd), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(fd[1], STDERR_FILENO);
		close(fd[0]);
		fn();
		_exit(0);
	}
	close(fd[1]);
	while (n + 1 < room && (got = read(fd[0], ret_said + n, room - 1 - n)) > 0)
		n += (size_t)got;
	ret_said[n] = '\0';
	close(fd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* A log line is one JSON object; returns a member of it as a string. */
static const char *logged(struct qn_arena *a, const char *line, const char *member)
{
	struct qn_json_object o;
	const char *s = NULL;

	assert_non_null(strchr(line, '\n'));
	assert_string_equal(strchr(line, '\n'), "\n");
	assert_int_equal(
	    qn_json_scan(a, qn_span_of(line), &qn_json_default_limits, &o, NULL), QN_JSON_OK);
	(void)qn_json_str(a, qn_json_get(&o, member), &s, NULL);
	return s;
}

/* arena */

static bool all_zero(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != 0)
			return false;
	return true;
}

static void test_arena_memory(void **state)
{
	static const size_t sizes[] = {
	    0, 1, 7, 16, 17, 100, 8191, 8192, 8193, 32768, 32769, 300000};
	struct qn_arena *a = qn_arena_new(4 << 20);
	char *p[COUNT(sizes)];

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < COUNT(sizes); i++) {
			p[i] = qn_alloc(a, sizes[i]);
			assert_int_equal((uintptr_t)p[i] % _Alignof(max_align_t), 0);
			assert_true(all_zero(p[i], sizes[i]));
			memset(p[i], (int)i + 1, sizes[i]);
		}
		for (size_t i = 0; i < COUNT(sizes); i++)
			for (size_t j = 0; j < sizes[i]; j++)
				assert_int_equal(p[i][j], i + 1);
		qn_arena_reset(a);
		assert_int_equal(qn_arena_peak(a), 0);
	}
	qn_arena_free(a);
	qn_arena_free(NULL);
}

static void test_arena_counts(void **state)
{
	struct qn_arena *a = qn_arena_new(1000);

	(void)state;
	qn_alloc(a, 1);
	assert_int_equal(qn_arena_peak(a), 16);
	qn_alloc(a, 976);
	assert_int_equal(qn_arena_peak(a), 992);
	qn_arena_reset(a);
	qn_alloc_array(a, 31, 32);
	assert_int_equal(qn_arena_peak(a), 992);
	qn_arena_free(a);
}

static struct qn_arena *doomed; /* of a child: its end is no leak */

static struct qn_arena *doom(size_t ceiling)
{
	doomed = qn_arena_new(ceiling);
	return doomed;
}

static void over_by_one(void)
{
	qn_alloc(doom(1024), 1008);
	qn_alloc(doomed, 16);
	qn_alloc(doomed, 1);
}

static void over_at_once(void)
{
	qn_alloc(doom(1024), 1025);
}

static void over_by_rounding(void)
{
	qn_alloc(doom(1020), 1018);
}

static void over_by_size_max(void)
{
	qn_alloc(doom(SIZE_MAX), SIZE_MAX - 3);
}

static void over_by_product(void)
{
	qn_alloc_array(doom(1 << 20), SIZE_MAX / 2 + 2, 2);
}

static void over_by_string(void)
{
	qn_strndup(doom(1 << 20), "a", SIZE_MAX);
}

static void over_by_large(void)
{
	doom(1 << 20);
	for (;;)
		qn_alloc(doomed, 100000);
}

static void test_arena_ceiling_dies(void **state)
{
	static void (*const ways[])(void) = {over_by_one, over_at_once, over_by_rounding,
	    over_by_size_max, over_by_product, over_by_string, over_by_large};
	struct qn_arena *a = qn_arena_new(1 << 20);
	char said[4096];

	(void)state;
	for (size_t i = 0; i < COUNT(ways); i++) {
		int status = in_child(ways[i], said, sizeof(said));
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 1);
		assert_string_equal(logged(a, said, "level"), "ERROR");
		assert_non_null(strstr(logged(a, said, "message"), "memory"));
	}
	qn_arena_free(a);
}

static char kept_order[8];
static size_t kept_n;

static void note_kept(void *p)
{
	kept_order[kept_n++] = *(const char *)p;
}

static void test_arena_kept(void **state)
{
	struct qn_arena *a = qn_arena_new(1 << 20);
	char one[] = "1", two[] = "2", three[] = "3";

	(void)state;
	assert_ptr_equal(qn_keep(a, note_kept, one), one);
	assert_null(qn_keep(a, note_kept, NULL));
	qn_keep(a, note_kept, two);
	qn_arena_reset(a);
	assert_string_equal(kept_order, "21");
	qn_arena_reset(a);
	assert_string_equal(kept_order, "21");
	qn_keep(a, note_kept, three);
	qn_arena_free(a);
	assert_string_equal(kept_order, "213");
}

static void test_arena_strings(void **state)
{
	struct qn_arena *a = qn_arena_new(1 << 20);

	(void)state;
	assert_string_equal(qn_strdup(a, ""), "");
	assert_string_equal(qn_strdup(a, "hello"), "hello");
	assert_string_equal(qn_strndup(a, "hello", 4), "hell");
	assert_string_equal(qn_strndup(a, NULL, 0), "");
	assert_string_equal(qn_printf(a, "%s-%d", "x", 42), "x-42");
	assert_int_equal(strlen(qn_printf(a, "%*d", 50000, 1)), 50000);
	qn_arena_free(a);
}

/* buf */

static void test_buf_grows(void **state)
{
	struct qn_buf b;

	(void)state;
	qn_buf_init(&b, 1 << 20);
	assert_null(b.p);
	qn_buf_add(&b, NULL, 0);
	for (int i = 0; i < 10000; i++) {
		qn_buf_str(&b, "ab");
		qn_buf_char(&b, 'c');
		assert_int_equal(b.p[b.n], '\0');
	}
	assert_int_equal(b.n, 30000);
	assert_int_equal(strlen(b.p), 30000);
	assert_false(b.over);
	size_t room = b.room;
	qn_buf_clear(&b);
	assert_int_equal(b.n, 0);
	assert_string_equal(b.p, "");
	assert_int_equal(b.room, room);
	qn_buf_done(&b);
	assert_null(b.p);
	qn_buf_str(&b, "again");
	assert_string_equal(b.p, "again");
	qn_buf_done(&b);
}

/* What did not fit is not there in part, and nothing is added behind the gap. */
static void test_buf_ceiling(void **state)
{
	struct qn_buf b;

	(void)state;
	qn_buf_init(&b, 10);
	qn_buf_str(&b, "123456789");
	assert_false(b.over);
	assert_int_equal(b.room, 10);
	qn_buf_char(&b, 'x');
	assert_true(b.over);
	assert_string_equal(b.p, "123456789");
	qn_buf_clear(&b);
	assert_false(b.over);
	qn_buf_str(&b, "1234");
	qn_buf_str(&b, "567890");
	qn_buf_str(&b, "x");
	assert_true(b.over);
	assert_string_equal(b.p, "1234");
	qn_buf_clear(&b);
	qn_buf_printf(&b, "%d", 1234567890);
	assert_true(b.over);
	assert_string_equal(b.p, "");
	qn_buf_done(&b);
	qn_buf_init(&b, 0);
	qn_buf_str(&b, "");
	assert_false(b.over);
	qn_buf_char(&b, 'x');
	assert_true(b.over);
	assert_null(b.p);
	qn_buf_done(&b);
}

static void test_buf_numbers(void **state)
{
	static const int64_t numbers[] = {
	    0, 1, -1, 9, 10, -10, 1234567890123, INT64_MAX, INT64_MIN};
	char wanted[32];
	struct qn_buf b;

	(void)state;
	qn_buf_init(&b, 1000);
	for (size_t i = 0; i < COUNT(numbers); i++) {
		qn_buf_clear(&b);
		qn_buf_i64(&b, numbers[i]);
		snprintf(wanted, sizeof(wanted), "%lld", (long long)numbers[i]);
		assert_string_equal(b.p, wanted);
	}
	qn_buf_clear(&b);
	qn_buf_printf(&b, "%255d|", 1); /* on both sides of the stack's part */
	qn_buf_printf(&b, "%256d|%s", 2, "end");
	assert_int_equal(b.n, 255 + 1 + 256 + 4);
	assert_string_equal(b.p + b.n - 5, "2|end");
	qn_buf_done(&b);
}

static void test_buf_json(void **state)
{
	static const struct {
		const char *s;
		size_t n;
		const char *json;
	} cases[] = {
	    {"", 0, "\"\""},
	    {NULL, 0, "\"\""},
	    {"plain", 5, "\"plain\""},
	    {"\"\\/", 3, "\"\\\"\\\\/\""},
	    {"\n\t\r\b\f", 5, "\"\\n\\t\\r\\u0008\\u000c\""},
	    {"a\0b", 3, "\"a\\u0000b\""},
	    {"\x01\x1f\x7f", 3, "\"\\u0001\\u001f\\u007f\""},
	    {"caf\xc3\xa9", 5, "\"caf\xc3\xa9\""},
	    {"\xe2\x82\xac\xf0\x9f\x98\x80", 7, "\"\xe2\x82\xac\xf0\x9f\x98\x80\""},
	    {"\xff", 1, "\"\\ufffd\""},
	    {"\xc3", 1, "\"\\ufffd\""},
	    {"\xc3(", 2, "\"\\ufffd(\""},
	    {"\xc0\xaf", 2, "\"\\ufffd\\ufffd\""},
	    {"\xed\xa0\x80", 3, "\"\\ufffd\\ufffd\\ufffd\""},
	    {"\xf4\x90\x80\x80", 4, "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
	    {"ab\xe2\x82", 4, "\"ab\\ufffd\\ufffd\""},
	};
	struct qn_buf b;

	(void)state;
	qn_buf_init(&b, 1000);
	for (size_t i = 0; i < COUNT(cases); i++) {
		qn_buf_clear(&b);
		qn_buf_json(&b, cases[i].s, cases[i].n);
		assert_string_equal(b.p, cases[i].json);
	}
	qn_buf_done(&b);
}

/* Whatever the bytes, the result is JSON; ASCII comes back as it was. */
static void test_buf_json_is_json(void **state)
{
	struct qn_arena *a = qn_arena_new(1 << 20);
	struct qn_buf b;
	unsigned char bytes[24];
	const char *s;
	size_t n;

	(void)state;
	qn_buf_init(&b, 1000);
	for (int i = 0; i < 20000; i++) {
		bool ascii = i % 2 == 0;
		qn_random(bytes, sizeof(bytes));
		for (size_t j = 0; j < sizeof(bytes); j++) {
			if (ascii)
				bytes[j] &= 0x7f;
			if (bytes[j] == 0) /* the scan refuses U+0000 */
				bytes[j] = 1;
		}
		qn_buf_clear(&b);
		qn_buf_json(&b, (char *)bytes, sizeof(bytes));
		struct qn_span text = {b.p, b.n};
		assert_int_equal(
		    qn_json_scan(a, text, &qn_json_default_limits, NULL, NULL), QN_JSON_OK);
		assert_true(qn_json_str(a, text, &s, &n));
		if (ascii) {
			assert_int_equal(n, sizeof(bytes));
			assert_memory_equal(s, bytes, n);
		}
		qn_arena_reset(a);
	}
	qn_buf_done(&b);
	qn_arena_free(a);
}

/* clock */

static void test_clocks(void **state)
{
	int64_t before = qn_mono_us();
	qn_time now = qn_now();

	(void)state;
	assert_true(llabs((long long)(now / 1000000 - (int64_t)time(NULL))) < 5);
	for (int i = 0; i < 1000; i++) {
		int64_t t = qn_mono_us();
		assert_true(t >= before);
		before = t;
	}
}

static void test_lately(void **state)
{
	const int64_t s = 1000000, now = INT64_C(1795000000) * s;
	static const struct {
		int64_t before_s; /* now */
		bool is;
	} cases[] = {{0, true}, {1, true}, {900, true}, {901, false}, {90000, false},
	    /* a minute of what other clocks may differ, and no more */
	    {-1, true}, {-60, true}, {-61, false}, {-86400, false}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(qn_lately(now - cases[i].before_s * s, 900 * s, now), cases[i].is);
	assert_false(qn_lately(QN_TIME_NULL, 900 * s, now));
	assert_false(qn_lately(QN_TIME_NULL, INT64_MAX / 2, now));
	assert_false(qn_lately(INT64_MAX, 900 * s, now));
}

static void test_time_print(void **state)
{
	static const struct {
		qn_time t;
		const char *text;
	} cases[] = {
	    {0, "1970-01-01T00:00:00Z"},
	    {1, "1970-01-01T00:00:00.000001Z"},
	    {-1, "1969-12-31T23:59:59.999999Z"},
	    {-1000000, "1969-12-31T23:59:59Z"},
	    {100000, "1970-01-01T00:00:00.100000Z"},
	    {951782400000000, "2000-02-29T00:00:00Z"},
	    {951868800000000, "2000-03-01T00:00:00Z"},
	    {1709164800000000, "2024-02-29T00:00:00Z"},
	    {4107456000000000, "2100-02-28T00:00:00Z"},
	    {4107542400000000, "2100-03-01T00:00:00Z"},
	    {1795249800123456, "2026-11-21T08:30:00.123456Z"},
	    {-62135596800000000, "0001-01-01T00:00:00Z"},
	    {253402300799999999, "9999-12-31T23:59:59.999999Z"},
	    {-62135596800000001, "0001-01-01T00:00:00Z"},
	    {253402300800000000, "9999-12-31T23:59:59.999999Z"},
	    {INT64_MAX, "9999-12-31T23:59:59.999999Z"},
	    {QN_TIME_NULL, "0001-01-01T00:00:00Z"},
	};
	char out[QN_RFC3339_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(qn_time_print(out, cases[i].t), strlen(cases[i].text));
		assert_string_equal(out, cases[i].text);
	}
}

static void test_time_parse(void **state)
{
	static const struct {
		const char *text;
		qn_time t;
	} cases[] = {
	    {"1970-01-01T00:00:00Z", 0},
	    {"1970-01-01t00:00:00z", 0},
	    {"1970-01-01 00:00:00Z", 0},
	    {"1970-01-01T00:00:00+00:00", 0},
	    {"1970-01-01T00:00:00-00:00", 0},
	    {"1970-01-01T01:00:00+01:00", 0},
	    {"1969-12-31T19:00:00-05:00", 0},
	    {"1970-01-01T05:45:00+05:45", 0},
	    {"1970-01-01T23:59:00+23:59", 0},
	    {"1970-01-01T00:00:00.5Z", 500000},
	    {"1970-01-01T00:00:00.000001Z", 1},
	    {"1970-01-01T00:00:00.0000019Z", 1},
	    {"1970-01-01T00:00:00.999999999999Z", 999999},
	    {"1969-12-31T23:59:59.999999Z", -1},
	    {"2000-02-29T12:00:00Z", 951825600000000},
	    {"2024-02-29T23:59:59+02:00", 1709243999000000},
	    {"2016-12-31T23:59:60Z", 1483228800000000}, /* a leap second is the next one */
	    {"2026-11-21T08:30:00.123456Z", 1795249800123456},
	    {"0001-01-01T00:00:00Z", -62135596800000000},
	    {"9999-12-31T23:59:59.999999Z", 253402300799999999},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		qn_time t = 77;
		assert_true(qn_time_parse(cases[i].text, strlen(cases[i].text), &t));
		assert_int_equal(t, cases[i].t);
	}
}

static void test_time_refused(void **state)
{
	static const char *const cases[] = {"", "now", "1970", "1970-01-01", "1970-01-01T00:00:00",
	    "1970-01-01T00:00Z", "1970-01-01T00:00:00ZZ", "1970-01-01T00:00:00Z ",
	    " 1970-01-01T00:00:00Z", "1970-1-01T00:00:00Z", "70-01-01T00:00:00Z",
	    "+1970-01-01T00:00:00Z", "-001-01-01T00:00:00Z", "12026-01-01T00:00:00Z",
	    "1970-00-01T00:00:00Z", "1970-13-01T00:00:00Z", "1970-01-00T00:00:00Z",
	    "1970-01-32T00:00:00Z", "1970-04-31T00:00:00Z", "1970-02-29T00:00:00Z",
	    "2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2100-02-29T00:00:00Z",
	    "2024-02-30T00:00:00Z", "1970-01-01T24:00:00Z", "1970-01-01T00:60:00Z",
	    "1970-01-01T00:00:61Z", "1970-01-01T0:00:00Z", "1970-01-01T00:00:00.Z",
	    "1970-01-01T00:00:00,5Z", "1970-01-01T00:00:00.5", "1970-01-01T00:00:00.-5Z",
	    "1970-01-01T00:00:00+0000", "1970-01-01T00:00:00+00", "1970-01-01T00:00:00+24:00",
	    "1970-01-01T00:00:00+00:60", "1970-01-01T00:00:00+01:00Z", "1970-01-01T00:00:00UTC",
	    "1970/01/01T00:00:00Z", "1970-01-01_00:00:00Z", "1970-01-01T00.00.00Z",
	    "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
	    "9999-12-31T23:59:60Z", "197\xef\xbc\x90-01-01T00:00:00Z"};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		qn_time t = 77;
		assert_false(qn_time_parse(cases[i], strlen(cases[i]), &t));
		assert_int_equal(t, 77);
	}
	qn_time t = 77;
	assert_false(qn_time_parse("1970-01-01T00:00:00\0Z", 21, &t));
	assert_false(qn_time_parse("1970-01-01\x00 0:00:00Z", 20, &t));
	for (size_t n = 0; n < 20; n++) /* no byte past n is looked at */
		assert_false(qn_time_parse("1970-01-01T00:00:00Z", n, &t));
}

/* Every thirteenth day of the years 1 to 9999, against the C library. */
static void test_time_round_trip(void **state)
{
	const int64_t day = 86400LL * 1000000;
	char out[QN_RFC3339_MAX], wanted[64];

	(void)state;
	for (qn_time t = -62135596800000000; t < 253402300800000000; t += 13 * day + 1234567) {
		time_t s = (time_t)(t / 1000000 - (t % 1000000 < 0));
		struct tm tm;
		qn_time back = 77;
		gmtime_r(&s, &tm);
		size_t n = qn_time_print(out, t);
		snprintf(wanted, sizeof(wanted), "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900,
		    tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
		assert_memory_equal(out, wanted, 19);
		assert_true(qn_time_parse(out, n, &back));
		assert_int_equal(back, t);
	}
}

/* rand */

/* Who has a /64 is one client, however many addresses he makes up in it (T10). */
static void test_networks_of_clients(void **state)
{
	static const struct {
		const char *addr, *net;
	} cases[] = {
	    {"203.0.113.7", "203.0.113.7"},
	    {"::ffff:203.0.113.7", "203.0.113.7"},
	    {"::ffff:cb00:7107", "203.0.113.7"},
	    {"2001:db8:1:2::1", "2001:db8:1:2::"},
	    {"2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::"},
	    {"2001:0DB8:0001:0002:0:0:0:7", "2001:db8:1:2::"},
	    {"2001:db8:1:3::1", "2001:db8:1:3::"},
	    {"::1", "::"},
	    {"", "none"},
	    {"203.0.113.7, 198.51.100.1", "none"},
	    {"203.0.113.07", "none"},
	    {" 203.0.113.7", "none"},
	    {"2001:db8::1%eth0", "none"},
	    {"unix:", "none"},
	};
	char net[QN_NET_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		qn_net_of(cases[i].addr, net);
		assert_string_equal(net, cases[i].net);
	}
}

static void test_networks_hold(void **state)
{
	static const struct {
		const char *net, *addr;
		bool is;
	} cases[] = {
	    {"203.0.113.0/24", "203.0.113.255", true},
	    {"203.0.113.0/24", "203.0.114.0", false},
	    {"203.0.113.0/25", "203.0.113.128", false},
	    {"203.0.113.0/24", "::ffff:203.0.113.9", true},
	    {"203.0.113.7", "203.0.113.7", true},
	    {"203.0.113.7", "203.0.113.8", false},
	    {"0.0.0.0/0", "198.51.100.1", true},
	    {"0.0.0.0/0", "2001:db8::1", false},
	    {"2001:db8::/33", "2001:db8:7fff::1", true},
	    {"2001:db8::/33", "2001:db8:8000::1", false},
	    {"203.0.113.0/33", "203.0.113.0", false},
	    {"203.0.113.0/24", "nobody", false},
	    {"everybody", "203.0.113.7", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(qn_net_holds(cases[i].net, cases[i].addr), cases[i].is);
}

static void test_uuid_shape(void **state)
{
	char id[QN_UUID_LEN + 1], low[QN_UUID_LEN + 1];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		qn_time before = qn_now() / 1000;
		qn_uuid_new(id);
		qn_time after = qn_now() / 1000;
		assert_int_equal(strlen(id), QN_UUID_LEN);
		assert_int_equal(strspn(id, "0123456789abcdef-"), QN_UUID_LEN);
		assert_true(id[8] == '-' && id[13] == '-' && id[18] == '-' && id[23] == '-');
		assert_int_equal(id[14], '7');
		assert_non_null(strchr("89ab", id[19]));
		assert_true(qn_uuid_parse(id, strlen(id), low));
		assert_string_equal(id, low);
		char ms[13] = {0};
		memcpy(ms, id, 8);
		memcpy(ms + 8, id + 9, 4);
		long long at = strtoll(ms, NULL, 16);
		assert_true(at >= before && at <= after);
	}
}

static void test_uuid_order(void **state)
{
	char one[QN_UUID_LEN + 1], two[QN_UUID_LEN + 1];

	(void)state;
	for (int i = 0; i < 5; i++) {
		qn_uuid_new(one);
		qn_time ms = qn_now() / 1000;
		while (qn_now() / 1000 == ms)
			;
		qn_uuid_new(two);
		assert_true(strcmp(one, two) < 0);
	}
	qn_uuid_new(one);
	qn_uuid_new(two);
	assert_string_not_equal(one, two);
}

static void test_uuid_parse(void **state)
{
	static const char *const bad[] = {"", "0", "0190d0c8-7e5a-7abc-8def-0123456789a",
	    "0190d0c8-7e5a-7abc-8def-0123456789abc", "0190d0c87e5a7abc8def0123456789ab",
	    "{0190d0c8-7e5a-7abc-8def-0123456789ab}", "0190d0c8-7e5a-7abc-8def-0123456789ag",
	    "0190d0c8_7e5a_7abc_8def_0123456789ab", "0190d0c-87e5a-7abc-8def-0123456789ab",
	    "0190d0c8-7e5a-7abc-8def-0123456789 b", "urn:uuid:0190d0c8-7e5a-7abc-8def-012",
	    "0190d0c8-7e5a-7abc-8def--123456789ab"};
	char out[QN_UUID_LEN + 1] = "untouched";

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_false(qn_uuid_parse(bad[i], strlen(bad[i]), out));
		assert_string_equal(out, "untouched");
	}
	assert_false(qn_uuid_parse("0190d0c8-7e5a-7abc-8def-0123456789\0b", 36, out));
	assert_true(qn_uuid_parse("0190D0C8-7E5A-4ABC-8DEF-0123456789AB", 36, out));
	assert_string_equal(out, "0190d0c8-7e5a-4abc-8def-0123456789ab");
	qn_uuid_print(out,
	    (const uint8_t *)"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff");
	assert_string_equal(out, "00112233-4455-6677-8899-aabbccddeeff");
}

static void say_random(void)
{
	uint8_t bytes[16];
	char hex[33];

	qn_random(bytes, sizeof(bytes));
	qn_hex(bytes, sizeof(bytes), hex);
	(void)!write(STDERR_FILENO, hex, 32);
}

/* Workers forked from one master must not draw the same numbers. */
static void test_random_after_fork(void **state)
{
	char one[64], two[64];
	uint8_t mine[16], none[16] = {0};

	(void)state;
	qn_random(mine, sizeof(mine));
	assert_memory_not_equal(mine, none, sizeof(mine));
	assert_int_equal(in_child(say_random, one, sizeof(one)), 0);
	assert_int_equal(in_child(say_random, two, sizeof(two)), 0);
	assert_int_equal(strlen(one), 32);
	assert_string_not_equal(one, two);
}

static void test_digests(void **state)
{
	uint8_t out[QN_SHA256_LEN];
	char hex[2 * QN_SHA256_LEN + 1];

	(void)state;
	qn_sha256("abc", 3, out);
	qn_hex(out, sizeof(out), hex);
	assert_string_equal(
	    hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	qn_sha256("", 0, out);
	qn_hex(out, sizeof(out), hex);
	assert_string_equal(
	    hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	/* RFC 4231, cases 2 and 6 */
	qn_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, out);
	qn_hex(out, sizeof(out), hex);
	assert_string_equal(
	    hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	char key[131];
	memset(key, 0xaa, sizeof(key));
	qn_hmac_sha256(
	    key, sizeof(key), "Test Using Larger Than Block-Size Key - Hash Key First", 54, out);
	qn_hex(out, sizeof(out), hex);
	assert_string_equal(
	    hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	qn_hmac_sha256("", 0, "", 0, out);
	qn_hex(out, sizeof(out), hex);
	assert_string_equal(
	    hex, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
	qn_hex(NULL, 0, hex);
	assert_string_equal(hex, "");
}

static void test_equal_and_wipe(void **state)
{
	char a[] = "secret", b[] = "secreT";

	(void)state;
	assert_true(qn_equal_ct(a, "secret", 6));
	assert_false(qn_equal_ct(a, b, 6));
	assert_true(qn_equal_ct(a, b, 5));
	assert_true(qn_equal_ct(a, b, 0));
	qn_wipe(a, 6);
	assert_true(all_zero(a, 6));
	qn_wipe(NULL, 0);
}

static void test_b64url(void **state)
{
	static const struct {
		const char *plain, *coded;
	} cases[] = {
	    {"", ""},
	    {"f", "Zg"},
	    {"fo", "Zm8"},
	    {"foo", "Zm9v"},
	    {"foob", "Zm9vYg"},
	    {"fooba", "Zm9vYmE"},
	    {"foobar", "Zm9vYmFy"},
	    {"\xfb\xff\xfe", "-__-"},
	    {"\xff", "_w"},
	};
	char coded[200];
	uint8_t plain[200];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t n = strlen(cases[i].plain);
		assert_int_equal(
		    qn_b64url_encode(cases[i].plain, n, coded), strlen(cases[i].coded));
		assert_string_equal(coded, cases[i].coded);
		assert_int_equal(qn_b64url_decode(cases[i].coded, strlen(coded), plain), n);
		assert_memory_equal(plain, cases[i].plain, n);
	}
	for (size_t n = 0; n < 100; n++) {
		uint8_t random[100];
		qn_random(random, sizeof(random));
		size_t coded_n = qn_b64url_encode(random, n, coded);
		assert_int_equal(coded_n, (4 * n + 2) / 3);
		assert_int_equal(qn_b64url_decode(coded, coded_n, plain), n);
		assert_memory_equal(plain, random, n);
	}
}

static void test_b64url_refused(void **state)
{
	static const char *const bad[] = {"Z", "Zg=", "Zg==", "Zm8=", "Zm9vYg==", "Zm9vY", "Zh",
	    "Zm9", "_x", "Zm9vYmF", "Zm+v", "Zm/v", "Zm9v\n", "Zm 9v", " Zm9v", "Zm9v ",
	    "Zm9v.Zm9v", "Zm9\xff", "=", "====", "Z===", "Zg=Zg"};
	uint8_t out[32];

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(qn_b64url_decode(bad[i], strlen(bad[i]), out), -1);
	assert_int_equal(qn_b64url_decode("Zm\0v", 4, out), -1);
}

/* field */

struct inner {
	const char *label;
};

static const struct qn_field inner_fields[] = {
    QN_FIELD(struct inner, label, STR, QN_F_REQUIRED, 1, 50, "Shown text."),
};
static const struct qn_object inner_object = QN_OBJECT("Inner", struct inner, inner_fields);

struct sample {
	const char *name, *id, *state;
	int64_t seats;
	qn_tri frozen;
	qn_time created_at;
	struct qn_span data;
	struct qn_list parts;
	const struct inner *one;
};

static const char *const states[] = {"on", "off", NULL};
static const struct qn_field sample_fields[] = {
    QN_FIELD(struct sample, name, STR, QN_F_REQUIRED, 1, 200, "Shown name."),
    QN_FIELD(struct sample, id, UUID, 0, 0, 0, "Id."),
    QN_FIELD_ENUM(struct sample, state, 0, states, "on", "State."),
    QN_FIELD_DEF(struct sample, seats, I64, 0, 1, 100, "5", "Seats."),
    QN_FIELD(struct sample, frozen, BOOL, 0, 0, 0, "True while unpaid."),
    QN_FIELD(struct sample, created_at, TIME, 0, 0, 0, "When it was made."),
    QN_FIELD(struct sample, data, JSON, QN_F_OBJECT, 0, 1000, "Anything."),
    QN_FIELD_SUB(struct sample, parts, LIST, 0, &inner_object, "Parts."),
    QN_FIELD_SUB(struct sample, one, OBJ, QN_F_NULLABLE, &inner_object, "One part."),
};
static const struct qn_object sample_object = QN_OBJECT("Sample", struct sample, sample_fields);

static void test_field_init(void **state)
{
	struct sample s;

	(void)state;
	memset(&s, 0x55, sizeof(s));
	qn_object_init(&sample_object, &s);
	assert_null(s.name);
	assert_null(s.id);
	assert_null(s.state);
	assert_true(s.seats == QN_I64_NULL);
	assert_int_equal(s.frozen, QN_UNSET);
	assert_true(s.created_at == QN_TIME_NULL);
	assert_null(s.data.p);
	assert_int_equal(s.data.n, 0);
	assert_null(s.parts.items);
	assert_int_equal(s.parts.n, 0);
	assert_null(s.one);
}

static void test_field_camel(void **state)
{
	static const struct {
		const char *snake, *camel;
	} cases[] = {
	    {"", ""},
	    {"id", "id"},
	    {"created_at", "createdAt"},
	    {"last_used_ip_address", "lastUsedIpAddress"},
	    {"a_b_c", "aBC"},
	    {"_private", "Private"},
	    {"trailing_", "trailing_"},
	    {"double__score", "double_Score"},
	    {"sha_256", "sha_256"},
	    {"x2_y", "x2Y"},
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(qn_camel(cases[i].snake, out), strlen(cases[i].camel));
		assert_string_equal(out, cases[i].camel);
	}
}

static const struct qn_object endless_object;
static const struct qn_field endless_fields[] = {
    {.name = "next", .type = QN_T_OBJ, .sub = &endless_object, .doc = "Itself."},
};
static const struct qn_object endless_object = {"Endless", endless_fields, 1, sizeof(void *)};

static void test_field_faults(void **state)
{
	static const char *const nothing[] = {NULL};
	static const struct qn_object faulty;
	const struct qn_field bad[] = {
	    {.type = QN_T_STR, .doc = "No name."},
	    {.name = "", .type = QN_T_STR, .doc = "Empty name."},
	    {.name = "a", .doc = "No type."},
	    {.name = "a", .type = QN_T__MAX, .doc = "No such type."},
	    {.name = "a", .type = QN_T_STR},
	    {.name = "a", .type = QN_T_STR, .doc = ""},
	    {.name = "a", .type = QN_T_ENUM, .doc = "No choices."},
	    {.name = "a", .type = QN_T_ENUM, .choices = nothing, .doc = "Empty choices."},
	    {.name = "a", .type = QN_T_OBJ, .doc = "No table."},
	    {.name = "a", .type = QN_T_LIST, .doc = "No table."},
	    {.name = "a", .type = QN_T_I64, .least = 5, .most = 4, .doc = "Bounds."},
	    {.name = "a", .type = QN_T_LIST, .sub = &faulty, .doc = "A faulty table."},
	};
	const struct qn_field twice[] = {inner_fields[0], inner_fields[0]};

	(void)state;
	assert_null(qn_object_fault(&sample_object));
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_non_null(qn_object_fault(&(struct qn_object){"Bad", &bad[i], 1, 8}));
	assert_non_null(qn_object_fault(&(struct qn_object){NULL, inner_fields, 1, 8}));
	assert_non_null(qn_object_fault(&(struct qn_object){"None", NULL, 1, 8}));
	assert_non_null(qn_object_fault(&(struct qn_object){"None", inner_fields, 0, 8}));
	assert_non_null(qn_object_fault(&(struct qn_object){"Twice", twice, 2, 8}));
	assert_non_null(qn_object_fault(&endless_object));
}

/* err */

static enum qn_err tried(enum qn_err e)
{
	QN_TRY(e);
	return QN_CONFLICT;
}

static void test_err(void **state)
{
	(void)state;
	for (int i = 0; i < QN_ERR__MAX; i++) {
		enum qn_err e = (enum qn_err)i;
		assert_true(qn_err_status(e) >= 200 && qn_err_status(e) < 600);
		assert_true(strlen(qn_err_code(e)) > 0);
		assert_int_equal(qn_err_text(e)[0] != '\0', qn_err_status(e) >= 400);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(qn_err_code(e), qn_err_code((enum qn_err)j));
	}
	assert_int_equal(qn_err_status(QN_NOT_FOUND), 404);
	assert_string_equal(qn_err_code(QN_NOT_FOUND), "not-found");
	assert_int_equal(qn_err_status(QN_ERR__MAX), 500);
	assert_int_equal(qn_err_status((enum qn_err)9999), 500);
	assert_int_equal(tried(QN_DENIED), QN_DENIED);
	assert_int_equal(tried(QN_OK), QN_CONFLICT);
}

/* log */

static void log_nasty(void)
{
	qn_log(QN_INFO, "a \"quoted\"\nline\x1b[31m \xff %s", "caf\xc3\xa9");
}

static void log_long(void)
{
	struct qn_logline l;
	char long_text[3000], wide[3000], name[16];

	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	memset(wide, '\x01', sizeof(wide) - 1);
	wide[sizeof(wide) - 1] = '\0';
	qn_log_begin(&l, QN_ERROR, wide);
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		qn_log_str(&l, name, i % 2 ? long_text : wide);
		name[0] = 'n';
		qn_log_i64(&l, name, INT64_MIN);
	}
	qn_log_str(&l, "absent", NULL);
	qn_log_end(&l);
}

static void log_little(void)
{
	qn_log(QN_DEBUG, "not shown");
}

static void test_log(void **state)
{
	struct qn_arena *a = qn_arena_new(1 << 20);
	char said[16384];
	qn_time t;

	(void)state;
	qn_log_init("quoind.test", QN_INFO);
	assert_int_equal(qn_log_level(), QN_INFO);
	assert_int_equal(in_child(log_nasty, said, sizeof(said)), 0);
	assert_string_equal(
	    logged(a, said, "message"), "a \"quoted\"\nline\x1b[31m \xef\xbf\xbd caf\xc3\xa9");
	assert_string_equal(logged(a, said, "logger"), "quoind.test");
	assert_string_equal(logged(a, said, "level"), "INFO");
	const char *at = logged(a, said, "timestamp");
	assert_true(qn_time_parse(at, strlen(at), &t));
	assert_int_equal(in_child(log_long, said, sizeof(said)), 0);
	assert_true(strlen(said) < 8192);
	assert_string_equal(logged(a, said, "level"), "ERROR");
	assert_int_equal(in_child(log_little, said, sizeof(said)), 0);
	assert_string_equal(said, "");
	qn_arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_arena_memory),
	    cmocka_unit_test(test_arena_counts),
	    cmocka_unit_test(test_arena_ceiling_dies),
	    cmocka_unit_test(test_arena_kept),
	    cmocka_unit_test(test_arena_strings),
	    cmocka_unit_test(test_buf_grows),
	    cmocka_unit_test(test_buf_ceiling),
	    cmocka_unit_test(test_buf_numbers),
	    cmocka_unit_test(test_buf_json),
	    cmocka_unit_test(test_buf_json_is_json),
	    cmocka_unit_test(test_clocks),
	    cmocka_unit_test(test_lately),
	    cmocka_unit_test(test_time_print),
	    cmocka_unit_test(test_time_parse),
	    cmocka_unit_test(test_time_refused),
	    cmocka_unit_test(test_time_round_trip),
	    cmocka_unit_test(test_networks_of_clients),
	    cmocka_unit_test(test_networks_hold),
	    cmocka_unit_test(test_uuid_shape),
	    cmocka_unit_test(test_uuid_order),
	    cmocka_unit_test(test_uuid_parse),
	    cmocka_unit_test(test_random_after_fork),
	    cmocka_unit_test(test_digests),
	    cmocka_unit_test(test_equal_and_wipe),
	    cmocka_unit_test(test_b64url),
	    cmocka_unit_test(test_b64url_refused),
	    cmocka_unit_test(test_field_init),
	    cmocka_unit_test(test_field_camel),
	    cmocka_unit_test(test_field_faults),
	    cmocka_unit_test(test_err),
	    cmocka_unit_test(test_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
