#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "quoin/auth/licencecheck.h"
#include "quoin/auth/licencekey.h"

static enum qn_licence_key_kind read_key(const char *text, struct qn_licence_key *ret)
{
	return qn_licence_key_read("CODITECT", qn_span_of(text), ret);
}

static void test_form(void **state)
{
	static const struct {
		const char *prefix, *shown, *head;
	} cases[] = {
	    {"CODITECT", "PRO", "CODITECT-PRO-"},
	    {"CUE", "Pro Plan", "CUE-PROPLAN-"},
	    {"A1", "enterprise (yearly)!", "A1-ENTERPRISEYEARLY-"},
	    {"X", "", "X-PLAN-"},
	    {"X", "äöü", "X-PLAN-"},
	    {"X", "a plan whose name is far too long", "X-APLANWHOSENAMEIS-"},
	};
	struct qn_licence_key key, again;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t n = strlen(cases[i].head);
		qn_licence_key_new(cases[i].prefix, cases[i].shown, &key);
		assert_memory_equal(key.text, cases[i].head, n);
		assert_int_equal(strlen(key.text), n + 12 + 1 + 4);
		assert_int_equal(key.text[n + 12], '-');
		assert_int_equal(qn_licence_key_read(cases[i].prefix, qn_span_of(key.text), &again),
		    QN_LICENCE_KEY_OWN);
		assert_string_equal(again.text, key.text);
		assert_memory_equal(again.hash, key.hash, sizeof(key.hash));
	}
}

/* Counted elsewhere: by the text of the header. */
static void test_checksum(void **state)
{
	struct qn_licence_key key;

	(void)state;
	assert_int_equal(read_key("CODITECT-PRO-A7F3E9D2C4B1-", &key), QN_LICENCE_KEY_FOREIGN);
	assert_int_equal(read_key("CODITECT-PRO-A7F3E9D2C4B1-ZFWG", &key), QN_LICENCE_KEY_OWN);
	assert_int_equal(read_key("CODITECT-PRO-A7F3E9D2C4B1-8F2A", &key), QN_LICENCE_KEY_BROKEN);
	assert_string_equal(key.text, "CODITECT-PRO-A7F3E9D2C4B1-8F2A");
}

static void test_typed(void **state)
{
	struct qn_licence_key made, key;
	char typed[QN_LICENCE_KEY_MAX + 16];

	(void)state;
	for (int round = 0; round < 200; round++) {
		qn_licence_key_new("CODITECT", "PRO", &made);
		size_t n = (size_t)snprintf(typed, sizeof(typed), " \t%s\r\n", made.text);
		for (size_t i = 0; i < n; i++) {
			if (typed[i] >= 'A' && typed[i] <= 'Z')
				typed[i] = (char)(typed[i] + 32);
			if (i > 15 && typed[i] == '0')
				typed[i] = 'o';
			if (i > 15 && typed[i] == '1')
				typed[i] = round % 2 == 0 ? 'l' : 'I';
		}
		assert_int_equal(read_key(typed, &key), QN_LICENCE_KEY_OWN);
		assert_string_equal(key.text, made.text);
	}
}

/* One character that is another: of 32 bits of luck not one in these. */
static void test_slips(void **state)
{
	struct qn_licence_key made, key;

	(void)state;
	qn_licence_key_new("CODITECT", "PRO", &made);
	for (size_t i = 0; made.text[i] != '\0'; i++) {
		char was = made.text[i];
		made.text[i] = was == '7' ? '8' : '7';
		enum qn_licence_key_kind kind = read_key(made.text, &key);
		assert_true(kind == QN_LICENCE_KEY_BROKEN || kind == QN_LICENCE_KEY_FOREIGN);
		made.text[i] = was;
	}
	assert_int_equal(
	    qn_licence_key_read("CUE", qn_span_of(made.text), &key), QN_LICENCE_KEY_OTHER);
	assert_int_equal(
	    qn_licence_key_read("CODI", qn_span_of(made.text), &key), QN_LICENCE_KEY_OTHER);
}

static void test_others(void **state)
{
	static const struct {
		const char *text;
		enum qn_licence_key_kind kind;
	} cases[] = {
	    {"", QN_LICENCE_KEY_NONE},
	    {"short", QN_LICENCE_KEY_NONE},
	    {"has a space", QN_LICENCE_KEY_NONE},
	    {"b\xc3\xa4ren-und-so", QN_LICENCE_KEY_NONE},
	    {"12345678", QN_LICENCE_KEY_FOREIGN},
	    {"AAAAA-BBBBB-CCCCC-DDDDD-EEEEE", QN_LICENCE_KEY_FOREIGN},
	    {"-PRO-A7F3E9D2C4B1-8F2A", QN_LICENCE_KEY_FOREIGN},
	    {"CODITECT--A7F3E9D2C4B1-8F2A", QN_LICENCE_KEY_FOREIGN},
	    {"CODITECT-A7F3E9D2C4B1-8F2A", QN_LICENCE_KEY_FOREIGN},
	    {"CODITECT-P-R-A7F3E9D2C4B1-8F2A", QN_LICENCE_KEY_FOREIGN},
	    {"CODITECT-PRO-A7F3E9D2C4BU-8F2A", QN_LICENCE_KEY_FOREIGN},
	};
	char longest[QN_LICENCE_KEY_MAX + 2];
	struct qn_licence_key key;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(read_key(cases[i].text, &key), cases[i].kind);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(read_key(longest, &key), QN_LICENCE_KEY_NONE);
	longest[QN_LICENCE_KEY_MAX] = '\0';
	assert_int_equal(read_key(longest, &key), QN_LICENCE_KEY_FOREIGN);
	assert_string_equal(key.text, longest);
}

/* Which keys an app asks the database for. */
static void test_asked_for(void **state)
{
	struct qn_app app = {.licence_prefix = "CODITECT"};
	enum qn_licence_code why = QN_LICENCE_IS_VALID;
	struct qn_licence_key key, other;
	uint8_t hash[QN_SHA256_LEN];

	(void)state;
	qn_licence_key_new("CODITECT", "PRO", &key);
	qn_licence_key_new("CUE", "PRO", &other);
	assert_true(qn_licence_key_of(&app, qn_span_of(key.text), hash, &why));
	assert_memory_equal(hash, key.hash, sizeof(hash));
	assert_false(qn_licence_key_of(&app, qn_span_of("of-another-maker"), hash, &why));
	assert_int_equal(why, QN_LICENCE_IS_NOT_FOUND);
	assert_false(qn_licence_key_of(&app, qn_span_of(other.text), hash, &why));
	assert_int_equal(why, QN_LICENCE_IS_WRONG_PRODUCT);
	app.licence_imports = true;
	assert_true(qn_licence_key_of(&app, qn_span_of("of-another-maker"), hash, &why));
	assert_false(qn_licence_key_of(&app, qn_span_of("short"), hash, &why));
	assert_int_equal(why, QN_LICENCE_IS_NOT_FOUND);
}

static void test_codes(void **state)
{
	(void)state;
	for (int i = 0; i < QN_LICENCE_IS__MAX; i++) {
		const char *name = qn_licence_code_name((enum qn_licence_code)i);
		assert_int_equal(qn_licence_code_by_name(name), i);
		assert_true(strlen(qn_licence_code_reason((enum qn_licence_code)i)) > 10);
	}
	assert_int_equal(qn_licence_code_by_name("valid"), QN_LICENCE_IS__MAX);
	assert_string_equal(qn_licence_code_name(QN_LICENCE_IS__MAX), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_form),
	    cmocka_unit_test(test_checksum),
	    cmocka_unit_test(test_typed),
	    cmocka_unit_test(test_slips),
	    cmocka_unit_test(test_others),
	    cmocka_unit_test(test_asked_for),
	    cmocka_unit_test(test_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
