/* What a new password must be, and the search in a file of breached ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "quoin/auth/password.h"
#include "quoin/auth/passrule.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static enum qn_password_fault judge(struct qn_span password, const char *email)
{
	enum qn_password_fault fault = QN_PASSWORD__MAX;

	assert_int_equal(qn_password_judge(NULL, password, qn_span_of(email), &fault), QN_OK);
	return fault;
}

static void test_rules(void **state)
{
	static const struct {
		const char *password, *email;
		enum qn_password_fault fault;
	} cases[] = {
	    {"correct Horse 7 battery", "a@example.com", QN_PASSWORD_OK},
	    {"xK9#mQ2$vL5!", "a@example.com", QN_PASSWORD_OK},
	    {"xK9#mQ2$vL5", "a@example.com", QN_PASSWORD_SHORT},
	    {"", "a@example.com", QN_PASSWORD_SHORT},
	    {"Пароль7-xKv9", "a@example.com", QN_PASSWORD_OK}, /* 12 characters, 18 bytes */
	    {"Пароль7-xK9", "a@example.com", QN_PASSWORD_SHORT},
	    {"xk9#mq2$vl5!", "a@example.com", QN_PASSWORD_CLASSES},
	    {"XK9#MQ2$VL5!", "a@example.com", QN_PASSWORD_CLASSES},
	    {"xKc#mQd$vLe!", "a@example.com", QN_PASSWORD_CLASSES},
	    {"xK9fmQ2dvL5a", "a@example.com", QN_PASSWORD_CLASSES},
	    {"xK9fmQ2dvL5é", "a@example.com", QN_PASSWORD_OK}, /* é is another */
	    {"Jonathan.Gray7", "jonathan.gray@example.com", QN_PASSWORD_EMAIL},
	    {"#1jonathan.GRAY", "Jonathan.Gray@example.com", QN_PASSWORD_EMAIL},
	    {"Jonathan.Gray", "jonathan.gray", QN_PASSWORD_CLASSES},
	    {"Jonathan.Gray-umbrella9", "jonathan.gray@example.com", QN_PASSWORD_OK},
	    {"info-Quartz-vane-31", "info@example.com", QN_PASSWORD_OK},
	    {"xK9#mQ2$vL5!", "xk@example.com", QN_PASSWORD_OK}, /* two letters are in every other */
	    {"xK9#mQ2$vL5!", "", QN_PASSWORD_OK},
	    {"xK9#mQ2$vL5!", "@example.com", QN_PASSWORD_OK},
	    {"Password123!", "a@example.com", QN_PASSWORD_COMMON},
	    {"P@ssw0rd1234", "a@example.com", QN_PASSWORD_COMMON},
	    {"P@$$w0rd2024!!", "a@example.com", QN_PASSWORD_COMMON},
	    {"123!!Password", "a@example.com", QN_PASSWORD_COMMON},
	    {"Pass-word-1234", "a@example.com", QN_PASSWORD_COMMON},
	    {"Welcome@2024", "a@example.com", QN_PASSWORD_COMMON},
	    {"$ecretPassw0rd!", "a@example.com", QN_PASSWORD_COMMON},
	    {"1Loveyou!2024", "a@example.com", QN_PASSWORD_COMMON},
	    {"L3tme1nL3tme1n!", "a@example.com", QN_PASSWORD_COMMON},
	    {"Summer2024Winter!", "a@example.com", QN_PASSWORD_COMMON},
	    {"FootballMonkeyDragon#9", "a@example.com", QN_PASSWORD_COMMON},
	    {"Qwerty123456!", "a@example.com", QN_PASSWORD_COMMON},
	    {"1qaz@WSX3edc", "a@example.com", QN_PASSWORD_COMMON},
	    {"!QAZ2wsx#EDC", "a@example.com", QN_PASSWORD_COMMON},
	    {"Zxcvbnm,./123", "a@example.com", QN_PASSWORD_COMMON},
	    {"Abcdefgh1234!", "a@example.com", QN_PASSWORD_COMMON},
	    {"POIuytrewq321!", "a@example.com", QN_PASSWORD_COMMON},
	    {"Aaaaaaaaaaa1!", "a@example.com", QN_PASSWORD_COMMON},
	    {"Ab1!Ab1!Ab1!", "a@example.com", QN_PASSWORD_COMMON},
	    {"Password for my old Cello 7", "a@example.com", QN_PASSWORD_OK},
	    {"Dragonfly-Umbrella-81", "a@example.com", QN_PASSWORD_OK},
	    {"qwe7!Rty-velvet", "a@example.com", QN_PASSWORD_OK},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		enum qn_password_fault fault = judge(qn_span_of(cases[i].password), cases[i].email);
		if (fault != cases[i].fault)
			fail_msg("%s: %s", cases[i].password, qn_password_fault_type(fault));
	}
}

static void test_bytes(void **state)
{
	static const struct qn_span bad[] = {QN_SPAN_LIT("xK9#mQ2$vL5!\xff"),
	    QN_SPAN_LIT("xK9#mQ2$vL5!\xc3"), QN_SPAN_LIT("\xc0\xafxK9#mQ2$vL5!"),
	    QN_SPAN_LIT("xK9#mQ2$\xed\xa0\x80vL5!"), QN_SPAN_LIT("xK9#mQ\0002$vL5!")};
	char text[QN_PASSWORD_MOST + 1];

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(judge(bad[i], ""), QN_PASSWORD_TEXT);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = "xK9#mQ2$vL5!"[i % 12];
	assert_int_equal(judge((struct qn_span){text, sizeof(text)}, ""), QN_PASSWORD_LONG);
	assert_int_equal(judge((struct qn_span){text, QN_PASSWORD_MOST}, ""), QN_PASSWORD_OK);
}

static void test_texts(void **state)
{
	(void)state;
	for (int f = QN_PASSWORD_OK + 1; f < QN_PASSWORD__MAX; f++) {
		assert_true(qn_password_fault_type((enum qn_password_fault)f)[0] != '\0');
		assert_true(qn_password_fault_msg((enum qn_password_fault)f)[0] != '\0');
	}
	assert_string_equal(qn_password_fault_type(QN_PASSWORD__MAX), "");
	assert_string_equal(qn_password_fault_msg(QN_PASSWORD__MAX), "");
}

/* breached ones */

#define LINES 1000

static char path[] = "/tmp/quoin-breached-XXXXXX";
static char hashes[LINES][41];

static void nth(int i, char *out, size_t room)
{
	snprintf(out, room, "xK9#mQ2$vL5! %d", i);
}

static void hash_hex(const char *text, char out[41])
{
	uint8_t hash[SHA_DIGEST_LENGTH];

	SHA1((const uint8_t *)text, strlen(text), hash);
	for (size_t i = 0; i < sizeof(hash); i++)
		snprintf(out + 2 * i, 3, "%02X", (unsigned)hash[i]);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int make_hashes(void **state)
{
	char text[64];

	(void)state;
	for (int i = 0; i < LINES; i++) {
		nth(2 * i, text, sizeof(text));
		hash_hex(text, hashes[i]);
	}
	qsort(hashes, LINES, sizeof(hashes[0]), by_text);
	return close(mkstemp(path));
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static void write_file(const void *text, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

/* Lines of several lengths, as the counts differ. */
static void write_lines(int n, const char *end, bool end_last, bool counts)
{
	FILE *f = fopen(path, "w");
	unsigned long count = 1;

	assert_non_null(f);
	for (int i = 0; i < n; i++, count = count * 7 % 99999989) {
		fputs(hashes[i], f);
		if (counts)
			fprintf(f, ":%lu", count);
		fputs(i + 1 < n || end_last ? end : "", f);
	}
	assert_int_equal(fclose(f), 0);
}

static void check_lines(int n)
{
	const char *why;
	struct qn_breached *b = qn_breached_open(path, &why);
	int found = 0;

	assert_non_null(b);
	for (int i = 0; i < 2 * LINES; i++) {
		char text[64];
		bool is = false;
		nth(i, text, sizeof(text));
		assert_int_equal(qn_breached_find(b, qn_span_of(text), &is), QN_OK);
		assert_true(i % 2 == 0 || !is);
		found += is;
	}
	assert_int_equal(found, n);
	qn_breached_close(b);
}

static void test_breached_found(void **state)
{
	static const int sizes[] = {1, 2, 3, 7, 64, LINES};

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		write_lines(sizes[i], "\r\n", true, true);
		check_lines(sizes[i]);
		write_lines(sizes[i], "\n", false, true);
		check_lines(sizes[i]);
		write_lines(sizes[i], "\n", true, false);
		check_lines(sizes[i]);
	}
}

static void test_breached_in_small_letters(void **state)
{
	(void)state;
	for (int i = 0; i < LINES; i++)
		for (char *p = hashes[i]; *p != '\0'; p++)
			*p |= 0x20;
	write_lines(LINES, "\n", true, true);
	check_lines(LINES);
}

static void test_breached_judged(void **state)
{
	enum qn_password_fault fault;
	const char *why;

	(void)state;
	write_lines(LINES, "\r\n", true, true);
	struct qn_breached *b = qn_breached_open(path, &why);
	assert_non_null(b);
	assert_int_equal(
	    qn_password_judge(b, QN_SPAN_LIT("xK9#mQ2$vL5! 14"), QN_SPAN_LIT(""), &fault), QN_OK);
	assert_int_equal(fault, QN_PASSWORD_BREACHED);
	assert_int_equal(
	    qn_password_judge(b, QN_SPAN_LIT("xK9#mQ2$vL5! 15"), QN_SPAN_LIT(""), &fault), QN_OK);
	assert_int_equal(fault, QN_PASSWORD_OK);
	qn_breached_close(b);
	qn_breached_close(NULL);
}

static void test_breached_refused(void **state)
{
	static const char *const texts[] = {"", "\n", "password\n",
	    "0018A45C4D1DEF81644B54AB7F969B88D65F3B3\n",
	    "0018A45C4D1DEF81644B54AB7F969B88D65F3B3:12345\n",
	    "0018A45C4D1DEF81644B54AB7F969B88D65F3B3X:1\n",
	    "0018A45C4D1DEF81644B54AB7F969B88D65F3B31:\n",
	    "0018A45C4D1DEF81644B54AB7F969B88D65F3B31:x\n",
	    "0018A45C4D1DEF81644B54AB7F969B88D65F3B31 1\n",
	    "0018A45C4D1DEF81644B54AB7F969B88D65F3B31:123456789012345678901234\n"};
	const char *why = NULL;

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		write_file(texts[i], strlen(texts[i]));
		assert_null(qn_breached_open(path, &why));
		assert_string_equal(why, "not lines of SHA-1 in hexadecimal, a colon and a count");
	}
	assert_null(qn_breached_open("/nonexistent/file", &why));
	assert_string_equal(why, "No such file or directory");
	assert_null(qn_breached_open("/tmp", &why));
}

/* A file that is damaged behind its first line: an error, never an answer, and an end. */
static void test_breached_damaged(void **state)
{
	char *text = calloc(1, 60 * LINES);
	const char *why;
	size_t n = 0;
	bool found;

	(void)state;
	for (int i = 0; i < LINES; i++)
		n += (size_t)sprintf(text + n, "%s:%d\n", hashes[i], i);
	memset(text + 60, 'z', n - 60); /* no line ends at all */
	write_file(text, n);
	struct qn_breached *b = qn_breached_open(path, &why);
	assert_non_null(b);
	assert_int_equal(qn_breached_find(b, QN_SPAN_LIT("x"), &found), QN_INTERNAL);
	memset(text + 60, '\n', n - 60); /* nothing but empty lines */
	write_file(text, n);
	assert_int_equal(qn_breached_find(b, QN_SPAN_LIT("x"), &found), QN_INTERNAL);
	qn_breached_close(b);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rules),
	    cmocka_unit_test(test_bytes),
	    cmocka_unit_test(test_texts),
	    cmocka_unit_test_setup_teardown(test_breached_found, make_hashes, NULL),
	    cmocka_unit_test(test_breached_judged),
	    cmocka_unit_test(test_breached_in_small_letters),
	    cmocka_unit_test(test_breached_refused),
	    cmocka_unit_test_setup_teardown(test_breached_damaged, NULL, remove_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
