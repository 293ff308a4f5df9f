#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/err.h>
#include <string.h>

#include "quoin/auth/seal.h"
#include "quoin/base/arena.h"
#include "quoin/base/rand.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct qn_arena *arena;
static const struct qn_secret secret = {1, {"0123456789abcdef0123456789abcdef", 32}};

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

static struct qn_span unb64(const char *text)
{
	uint8_t *out = qn_alloc(arena, strlen(text));
	long n = qn_b64url_decode(text, strlen(text), out);

	assert_true(n > 0);
	return (struct qn_span){(const char *)out, (size_t)n};
}

/* Made with Python's cryptography: HKDF(SHA-256, no salt, info "test"), AES-256-GCM, nonce 00 to
 * 0b. */
static void test_sealed_elsewhere(void **state)
{
	static const struct {
		const char *sealed, *context, *plain;
	} cases[] = {
	    {"AQABAgMEBQYHCAkKCwzlh2ZqVQwPjmQo4DNSS7eHlEqj7Bcz3-9Vi-HjYWfvD6YS", "row 7",
		"the quick brown fox"},
	    {"AQABAgMEBQYHCAkKCzoR49gOZ3aZuSwe2VN1_kM", "", ""},
	};
	uint8_t out[64];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct qn_span sealed = unb64(cases[i].sealed);
		assert_int_equal(sealed.n, strlen(cases[i].plain) + QN_SEAL_OVERHEAD);
		assert_int_equal(qn_sealed_by(sealed), 1);
		assert_true(qn_unseal(&secret, "test", qn_span_of(cases[i].context), sealed, out));
		assert_memory_equal(out, cases[i].plain, strlen(cases[i].plain));
	}
}

static void test_seal_and_unseal(void **state)
{
	static const size_t sizes[] = {0, 1, 15, 16, 17, 1000, 100000};
	uint8_t *plain = qn_alloc(arena, 100000),
		*sealed = qn_alloc(arena, 100000 + QN_SEAL_OVERHEAD);
	uint8_t *again = qn_alloc(arena, 100000 + QN_SEAL_OVERHEAD), *out = qn_alloc(arena, 100000);

	(void)state;
	memset(plain, 0x42, 100000);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		size_t n = sizes[i] + QN_SEAL_OVERHEAD;
		struct qn_span text = {(const char *)plain, sizes[i]};
		assert_true(qn_seal(&secret, "test", QN_SPAN_LIT("row"), text, sealed));
		assert_true(qn_seal(&secret, "test", QN_SPAN_LIT("row"), text, again));
		assert_memory_not_equal(sealed + 1, again + 1, 12); /* a nonce is used once */
		assert_true(qn_unseal(
		    &secret, "test", QN_SPAN_LIT("row"), (struct qn_span){(char *)sealed, n}, out));
		assert_memory_equal(out, plain, sizes[i]);
	}
}

static void test_unseal_refuses(void **state)
{
	static const struct qn_secret others[] = {
	    {2, {"0123456789abcdef0123456789abcdef", 32}}, /* the id is another */
	    {1, {"0123456789abcdef0123456789abcdeF", 32}},
	    {1, {"0123456789abcdef0123456789abcde", 31}},
	    {1, {NULL, 0}},
	};
	static const char text[] = "the quick brown fox";
	uint8_t sealed[sizeof(text) + QN_SEAL_OVERHEAD], out[sizeof(text)],
	    zero[sizeof(text)] = {0};
	struct qn_span all = {(const char *)sealed, sizeof(sealed)};

	(void)state;
	assert_true(qn_seal(
	    &secret, "test", QN_SPAN_LIT("row"), (struct qn_span){text, sizeof(text)}, sealed));
	for (size_t i = 0; i < COUNT(others); i++)
		assert_false(qn_unseal(&others[i], "test", QN_SPAN_LIT("row"), all, out));
	assert_false(qn_unseal(&secret, "tesu", QN_SPAN_LIT("row"), all, out));
	assert_false(qn_unseal(&secret, "test", QN_SPAN_LIT("rov"), all, out));
	assert_false(qn_unseal(&secret, "test", (struct qn_span){NULL, 0}, all, out));
	for (size_t i = 0; i < sizeof(sealed) * 8; i++) {
		sealed[i / 8] ^= (uint8_t)(1u << i % 8);
		memset(out, 0x42, sizeof(out));
		assert_false(qn_unseal(&secret, "test", QN_SPAN_LIT("row"), all, out));
		assert_memory_equal(out, zero, sizeof(out));
		sealed[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	for (all.n = 0; all.n < sizeof(sealed); all.n++)
		assert_false(qn_unseal(&secret, "test", QN_SPAN_LIT("row"), all, out));
	assert_int_equal(qn_sealed_by((struct qn_span){"\1", 1}), 0);
	assert_int_equal(ERR_peek_error(), 0);
	assert_true(qn_unseal(&secret, "test", QN_SPAN_LIT("row"), all, out));
}

static void test_seal_refuses(void **state)
{
	static const struct qn_secret none = {1, {NULL, 0}}, no_id = {0, {"0123456789abcdef", 16}};
	uint8_t out[64];

	(void)state;
	assert_false(qn_seal(&none, "test", QN_SPAN_LIT("row"), QN_SPAN_LIT("x"), out));
	assert_false(qn_seal(&no_id, "test", QN_SPAN_LIT("row"), QN_SPAN_LIT("x"), out));
	assert_false(qn_seal(
	    &secret, "test", QN_SPAN_LIT("row"), (struct qn_span){"x", QN_SEAL_MOST + 1}, out));
	assert_false(qn_seal(
	    &secret, "test", (struct qn_span){"x", QN_SEAL_MOST + 1}, QN_SPAN_LIT("x"), out));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_sealed_elsewhere),
	    TEST(test_seal_and_unseal),
	    TEST(test_unseal_refuses),
	    TEST(test_seal_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
