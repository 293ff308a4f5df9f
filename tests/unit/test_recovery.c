/* Recovery codes: how they look, how they are read, and what is stored of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "quoin/auth/recovery.h"
#include "quoin/base/rand.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define USER     QN_SPAN_LIT("0190a8c0-0000-7000-8000-000000000001")

static const struct qn_secret secret = {1, {"kD8f2-PzQ0vXw7LmNs41RtYbHcJe9UgA", 32}};

static void test_form(void **state)
{
	static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";
	char text[2000][QN_RECOVERY_TEXT_LEN + 1];
	unsigned seen[256] = {0};

	(void)state;
	for (size_t i = 0; i < COUNT(text); i++) {
		qn_recovery_new(text[i]);
		assert_int_equal(strlen(text[i]), QN_RECOVERY_TEXT_LEN);
		for (size_t j = 0; j < QN_RECOVERY_TEXT_LEN; j++) {
			assert_int_equal(text[i][j] == '-', j % 5 == 4);
			if (text[i][j] != '-')
				assert_non_null(strchr(alphabet, text[i][j]));
			seen[(unsigned char)text[i][j]]++;
		}
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(text[i], text[j]);
	}
	/* 1000 of each are expected; 8 deviations around them: once in 10^14 runs */
	for (const char *c = alphabet; *c != '\0'; c++)
		assert_in_range(seen[(unsigned char)*c], 750, 1250);
}

static void test_hash_known(void **state)
{
	uint8_t hash[QN_RECOVERY_HASH_LEN];
	char hex[2 * QN_RECOVERY_HASH_LEN + 1];

	(void)state; /* with Python's hmac */
	assert_true(qn_recovery_hash(&secret, USER, QN_SPAN_LIT("4k7m-x2rq-9w0h-tb3e"), hash));
	qn_hex(hash, sizeof(hash), hex);
	assert_string_equal(
	    hex, "010f5b102e8a3f9bd3cd50adc071a4a3b4fce42de545cd8a0766145b72253b9a17");
}

static void test_reading(void **state)
{
	static const struct {
		struct qn_span text;
		bool same;
	} cases[] = {
	    {QN_SPAN_LIT("4k7m-x2rq-9w0h-1b3e"), true},
	    {QN_SPAN_LIT("4K7M-X2RQ-9W0H-1B3E"), true},
	    {QN_SPAN_LIT("4k7mx2rq9w0h1b3e"), true},
	    {QN_SPAN_LIT("  4k7m x2rq 9w0h 1b3e "), true},
	    {QN_SPAN_LIT("4k7m-x2rq-9woh-ib3e"), true},
	    {QN_SPAN_LIT("4k7m-x2rq-9wOh-lb3e"), true},
	    {QN_SPAN_LIT("4k7m-x2rq-9wOh-Lb3E"), true},
	    {QN_SPAN_LIT("4k7m-x2rq-9w0h-1b3f"), false},
	    {QN_SPAN_LIT("5k7m-x2rq-9w0h-1b3e"), false},
	    {QN_SPAN_LIT("k47m-x2rq-9w0h-1b3e"), false},
	};
	uint8_t right[QN_RECOVERY_HASH_LEN], hash[QN_RECOVERY_HASH_LEN];

	(void)state;
	assert_true(qn_recovery_hash(&secret, USER, cases[0].text, right));
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_true(qn_recovery_hash(&secret, USER, cases[i].text, hash));
		assert_int_equal(memcmp(hash, right, sizeof(hash)) == 0, cases[i].same);
	}
}

static void test_no_codes(void **state)
{
	static const struct qn_span texts[] = {
	    {NULL, 0},
	    QN_SPAN_LIT(""),
	    QN_SPAN_LIT("---"),
	    QN_SPAN_LIT("4k7m-x2rq-9w0h-1b3"),
	    QN_SPAN_LIT("4k7m-x2rq-9w0h-1b3e0"),
	    QN_SPAN_LIT("4k7m-x2rq-9w0h-1b3u"), /* no letter of ours */
	    QN_SPAN_LIT("4k7m_x2rq_9w0h_1b3e"),
	    QN_SPAN_LIT("4k7m-x2rq-9w0h-1b3\0"),
	    QN_SPAN_LIT("4k7m-x2rq-9w0h-1b3e\0"),
	    QN_SPAN_LIT("4k7m-x2rq-9w0h-1b3e\n"),
	    QN_SPAN_LIT("4k7m-x2rq-9w0h-1b3\xc3\xa9"),
	    QN_SPAN_LIT("287082"),
	};
	uint8_t hash[QN_RECOVERY_HASH_LEN], before[QN_RECOVERY_HASH_LEN];

	(void)state;
	memset(hash, 0x5a, sizeof(hash));
	memcpy(before, hash, sizeof(hash));
	for (size_t i = 0; i < COUNT(texts); i++) {
		assert_false(qn_recovery_hash(&secret, USER, texts[i], hash));
		assert_memory_equal(hash, before, sizeof(hash));
	}
}

/* Another user, another secret, another key id: another hash. */
static void test_bound(void **state)
{
	static const struct qn_secret others[] = {{1, {"kD8f2-PzQ0vXw7LmNs41RtYbHcJe9UgB", 32}},
	    {2, {"kD8f2-PzQ0vXw7LmNs41RtYbHcJe9UgA", 32}}};
	static const struct qn_secret none[] = {
	    {1, {NULL, 0}}, {0, {"kD8f2-PzQ0vXw7LmNs41Rt", 22}}};
	static const struct qn_span code = QN_SPAN_LIT("4k7m-x2rq-9w0h-1b3e");
	uint8_t right[QN_RECOVERY_HASH_LEN], hash[QN_RECOVERY_HASH_LEN];
	char user[65] = {0};

	(void)state;
	assert_true(qn_recovery_hash(&secret, USER, code, right));
	assert_int_equal(right[0], 1);
	assert_true(qn_recovery_hash(
	    &secret, QN_SPAN_LIT("0190a8c0-0000-7000-8000-000000000002"), code, hash));
	assert_memory_not_equal(hash, right, sizeof(hash));
	for (size_t i = 0; i < COUNT(others); i++) {
		assert_true(qn_recovery_hash(&others[i], USER, code, hash));
		assert_memory_not_equal(hash, right, sizeof(hash));
	}
	for (size_t i = 0; i < COUNT(none); i++)
		assert_false(qn_recovery_hash(&none[i], USER, code, hash));
	assert_false(qn_recovery_hash(&secret, QN_SPAN_LIT(""), code, hash));
	assert_true(qn_recovery_hash(&secret, (struct qn_span){user, 64}, code, hash));
	assert_false(qn_recovery_hash(&secret, (struct qn_span){user, 65}, code, hash));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_form),
	    cmocka_unit_test(test_hash_known),
	    cmocka_unit_test(test_reading),
	    cmocka_unit_test(test_no_codes),
	    cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
