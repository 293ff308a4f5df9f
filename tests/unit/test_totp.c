/* One-time passwords, the address in their QR code, and the code drawn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <qrencode.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quoin/auth/qr.h"
#include "quoin/auth/totp.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SECOND   INT64_C(1000000)

static const uint8_t *const rfc_secret = (const uint8_t *)"12345678901234567890";
static struct qn_arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = qn_arena_new((size_t)8 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	qn_arena_free(arena);
	return 0;
}

/* RFC 6238 appendix B, the last six of its eight digits. */
static const struct {
	int64_t second;
	const char *code;
} rfc[] = {
    {59, "287082"},
    {1111111109, "081804"},
    {1111111111, "050471"},
    {1234567890, "005924"},
    {2000000000, "279037"},
    {20000000000, "353130"},
};

static void test_rfc_6238(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rfc); i++) {
		int64_t step = -1;
		assert_true(qn_totp_verify(
		    rfc_secret, qn_span_of(rfc[i].code), rfc[i].second * SECOND, &step));
		assert_int_equal(step, rfc[i].second / 30);
	}
}

/* A code holds from 30 s before its step to 30 s after it, and names its own step all the time. */
static void test_window(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rfc); i++) {
		int64_t step = rfc[i].second / 30, starts = step * 30 * SECOND, found;
		struct qn_span code = qn_span_of(rfc[i].code);
		for (int64_t d = -30; d < 60; d++) {
			found = -1;
			assert_true(qn_totp_verify(rfc_secret, code, starts + d * SECOND, &found));
			assert_int_equal(found, step);
		}
		found = -1;
		assert_false(qn_totp_verify(rfc_secret, code, starts - 30 * SECOND - 1, &found));
		assert_false(qn_totp_verify(rfc_secret, code, starts + 60 * SECOND, &found));
		assert_int_equal(found, -1);
	}
}

static void test_only_six_digits(void **state)
{
	static const struct {
		struct qn_span code;
		bool right;
	} cases[] = {
	    {QN_SPAN_LIT("287082"), true}, {QN_SPAN_LIT("287 082"), true},
	    {QN_SPAN_LIT(" 28 70 82 "), true}, {QN_SPAN_LIT(""), false},
	    {QN_SPAN_LIT("28708"), false}, {QN_SPAN_LIT("2870820"), false},
	    {QN_SPAN_LIT("94287082"), false}, {QN_SPAN_LIT("287083"), false},
	    {QN_SPAN_LIT("-87082"), false}, {QN_SPAN_LIT("+87082"), false},
	    {QN_SPAN_LIT("0x4616a"), false}, {QN_SPAN_LIT("287-082"), false},
	    {QN_SPAN_LIT("287082\n"), false}, {QN_SPAN_LIT("287082\0"), false},
	    {QN_SPAN_LIT("28708\0"), false},
	    {QN_SPAN_LIT("\xd9\xa2\xd9\xa8\xd9\xa7"), false}, /* digits elsewhere */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t step;
		assert_int_equal(
		    qn_totp_verify(rfc_secret, cases[i].code, 59 * SECOND, &step), cases[i].right);
	}
}

static void test_start_of_time(void **state)
{
	int64_t step = -1;

	(void)state;
	assert_true(qn_totp_verify(rfc_secret, QN_SPAN_LIT("755224"), 0, &step)); /* RFC 4226 D */
	assert_int_equal(step, 0);
	assert_true(qn_totp_verify(rfc_secret, QN_SPAN_LIT("287082"), 0, &step));
	assert_int_equal(step, 1);
	assert_false(qn_totp_verify(rfc_secret, QN_SPAN_LIT("755224"), -1, &step));
	assert_false(qn_totp_verify(rfc_secret, QN_SPAN_LIT("755224"), INT64_MIN, &step));
	assert_false(qn_totp_verify(rfc_secret, QN_SPAN_LIT("755224"), INT64_MAX, &step));
}

static void test_base32(void **state)
{
	uint8_t secret[QN_TOTP_SECRET_LEN], other[QN_TOTP_SECRET_LEN];
	char text[QN_TOTP_BASE32_LEN + 1];

	(void)state;
	qn_totp_base32(rfc_secret, text);
	assert_string_equal(text, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
	memset(secret, 0xff, sizeof(secret));
	qn_totp_base32(secret, text);
	assert_string_equal(text, "77777777777777777777777777777777");
	for (size_t i = 0; i < sizeof(secret); i++)
		secret[i] = (uint8_t)(i * 13 + 1);
	qn_totp_base32(secret, text); /* Python's base64.b32encode */
	assert_string_equal(text, "AEHBWKBVIJHVY2LWQOIJ3KVXYTI5527Y");
	qn_totp_new(secret);
	qn_totp_new(other);
	assert_memory_not_equal(secret, other, sizeof(secret));
}

static void test_uri(void **state)
{
	char long_label[322];

	(void)state;
	assert_string_equal(qn_totp_uri(arena, rfc_secret, QN_SPAN_LIT("FIG Nodes"),
				QN_SPAN_LIT("ann+x@example.com")),
	    "otpauth://totp/FIG%20Nodes:ann%2Bx%40example.com?secret="
	    "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=FIG%20Nodes&algorithm=SHA1&digits=6&period=30");
	assert_string_equal(
	    qn_totp_uri(arena, rfc_secret, QN_SPAN_LIT("a:b&c=d?/#%"), QN_SPAN_LIT("\xc3\xa9~_.-")),
	    "otpauth://totp/a%3Ab%26c%3Dd%3F%2F%23%25:%C3%A9~_.-?secret="
	    "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=a%3Ab%26c%3Dd%3F%2F%23%25&algorithm=SHA1"
	    "&digits=6&period=30");
	memset(long_label, 'x', sizeof(long_label));
	assert_null(qn_totp_uri(arena, rfc_secret, QN_SPAN_LIT(""), QN_SPAN_LIT("a")));
	assert_null(qn_totp_uri(arena, rfc_secret, QN_SPAN_LIT("a"), QN_SPAN_LIT("")));
	assert_null(
	    qn_totp_uri(arena, rfc_secret, QN_SPAN_LIT("a"), (struct qn_span){long_label, 321}));
	assert_non_null(
	    qn_totp_uri(arena, rfc_secret, QN_SPAN_LIT("a"), (struct qn_span){long_label, 320}));
	assert_null(
	    qn_totp_uri(arena, rfc_secret, (struct qn_span){long_label, 101}, QN_SPAN_LIT("a")));
}

/* the drawing */

struct grid {
	int size;
	bool dark[185][185];
};

/* Reads what qr.c draws: "M x y h n v1 h-n z" for each run. */
static void read_svg(const char *svg, struct grid *g)
{
	int size, x, y, n, back, used;
	const char *at = strstr(svg, "\"/><path d=\"");

	memset(g, 0, sizeof(*g));
	assert_int_equal(
	    sscanf(
		svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" ", &size, &n),
	    2);
	assert_int_equal(size, n);
	assert_in_range(size, 21 + 8, 185);
	g->size = size;
	assert_non_null(at);
	at += strlen("\"/><path d=\"");
	for (; sscanf(at, "M%d %dh%dv1h-%dz%n", &x, &y, &n, &back, &used) == 4; at += used) {
		assert_int_equal(n, back);
		assert_true(n > 0 && x >= 0 && y >= 0 && y < size && x + n <= size);
		for (int i = 0; i < n; i++) {
			assert_false(g->dark[y][x + i]);
			g->dark[y][x + i] = true;
		}
	}
	assert_string_equal(at, "\"/></svg>");
}

static void compare(const char *text)
{
	static struct grid g;
	const char *svg = qn_qr_svg(arena, text);
	QRcode *code = QRcode_encodeString(text, 0, QR_ECLEVEL_M, QR_MODE_8, 1);

	assert_non_null(svg);
	assert_non_null(code);
	read_svg(svg, &g);
	assert_int_equal(g.size, code->width + 8);
	for (int y = 0; y < g.size; y++) {
		for (int x = 0; x < g.size; x++) {
			bool inside =
			    x >= 4 && y >= 4 && x < code->width + 4 && y < code->width + 4;
			bool dark = inside && code->data[(y - 4) * code->width + x - 4] & 1;
			assert_int_equal(g.dark[y][x], dark);
		}
	}
	QRcode_free(code);
}

static void test_qr(void **state)
{
	char text[QN_QR_MOST + 2];

	(void)state;
	compare("x");
	compare(qn_totp_uri(
	    arena, rfc_secret, QN_SPAN_LIT("FIG Nodes"), QN_SPAN_LIT("ann@example.com")));
	memset(text, 'x', sizeof(text));
	text[QN_QR_MOST] = '\0';
	compare(text);
	text[QN_QR_MOST] = 'x';
	text[QN_QR_MOST + 1] = '\0';
	assert_null(qn_qr_svg(arena, text));
	assert_null(qn_qr_svg(arena, ""));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_rfc_6238),
	    TEST(test_window),
	    TEST(test_only_six_digits),
	    TEST(test_start_of_time),
	    TEST(test_base32),
	    TEST(test_uri),
	    TEST(test_qr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
