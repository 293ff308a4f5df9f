#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/jose.h"
#include "quoin/auth/jwk.h"
#include "quoin/base/buf.h"
#include "quoin/base/rand.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct qn_arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = qn_arena_new((size_t)64 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	qn_arena_free(arena);
	return 0;
}

static void test_algorithm_names(void **state)
{
	static const char *const others[] = {
	    "", "none", "HS256", "rs256", "RS256 ", "ES256K", "PS256", "eddsa"};

	(void)state;
	for (int alg = QN_ALG_NONE + 1; alg < QN_ALG__MAX; alg++)
		assert_int_equal(qn_alg_by_name(qn_alg_name((enum qn_alg)alg)), alg);
	for (size_t i = 0; i < COUNT(others); i++)
		assert_int_equal(qn_alg_by_name(others[i]), QN_ALG_NONE);
	assert_int_equal(qn_alg_by_name(NULL), QN_ALG_NONE);
	assert_string_equal(qn_alg_name(QN_ALG_NONE), "");
	assert_string_equal(qn_alg_name(QN_ALG__MAX), "");
}

/* An odd number of so many bits, in base64url, after `zeros` zero bytes. */
static const char *number(unsigned bits, unsigned zeros, bool odd)
{
	unsigned bytes = (bits + 7) / 8;
	uint8_t *p = qn_alloc(arena, zeros + bytes);
	char *out = qn_alloc(arena, 2 * (zeros + bytes) + 4);

	memset(p + zeros, 0xff, bytes);
	if (bits % 8 != 0)
		p[zeros] = (uint8_t)((1u << bits % 8) - 1);
	if (!odd)
		p[zeros + bytes - 1] = 0xfe;
	qn_b64url_encode(p, zeros + bytes, out);
	return out;
}

static void test_rsa_sizes(void **state)
{
	static const struct {
		const char *name;
		unsigned n_bits, n_zeros, e_bits;
		bool n_odd, e_odd, usable;
	} cases[] = {
	    {"2048", 2048, 0, 17, true, true, true},
	    {"2047", 2047, 0, 17, true, true, false},
	    {"1024", 1024, 0, 17, true, true, false},
	    {"3000", 3000, 0, 17, true, true, true},
	    {"8192", 8192, 0, 17, true, true, true},
	    {"8193", 8193, 0, 17, true, true, false},
	    {"a zero byte before the modulus", 2048, 1, 17, true, true, true},
	    {"small behind many zeros", 1024, 128, 17, true, true, false},
	    {"even modulus", 2048, 0, 17, false, true, false},
	    {"e = 3", 2048, 0, 2, true, true, true},
	    {"e = 1", 2048, 0, 1, true, true, false},
	    {"even e", 2048, 0, 17, true, false, false},
	    {"e of 64 bits", 2048, 0, 64, true, true, true},
	    {"e of 65 bits", 2048, 0, 65, true, true, false},
	    {"e as long as n", 2048, 0, 2048, true, true, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *text = qn_printf(arena,
		    "{\"keys\":[{\"kid\":\"k\",\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}]}",
		    number(cases[i].n_bits, cases[i].n_zeros, cases[i].n_odd),
		    number(cases[i].e_bits, 0, cases[i].e_odd));
		struct qn_jwks *set = qn_jwks_parse(qn_span_of(text), NULL);
		if ((set != NULL) != cases[i].usable)
			fail_msg("%s", cases[i].name);
		qn_jwks_free(set);
	}
}

#define EC_X(x) "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" x "\",\"y\":\"" JOSE_EC_Y "\""
#define ZEROS   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define ONES    "__________________________________________8"

/* One key of a set, by its members beside `"kid":"k"`. */
static void test_one_key(void **state)
{
	static const struct {
		const char *name, *members;
		enum qn_alg alg; /* QN_ALG_NONE: ignored */
	} cases[] = {
	    {"RSA", JOSE_RSA_JWK, QN_ALG_RS256},
	    {"EC", JOSE_EC_JWK, QN_ALG_ES256},
	    {"Ed25519", JOSE_ED_JWK, QN_ALG_EDDSA},
	    {"alg agrees, RSA", JOSE_RSA_JWK ",\"alg\":\"RS256\",\"use\":\"sig\"", QN_ALG_RS256},
	    {"alg agrees, EC", JOSE_EC_JWK ",\"alg\":\"ES256\",\"use\":\"sig\"", QN_ALG_ES256},
	    {"alg agrees, Ed25519", JOSE_ED_JWK ",\"alg\":\"EdDSA\",\"use\":\"sig\"", QN_ALG_EDDSA},
	    {"certificates beside it",
		JOSE_RSA_JWK ",\"x5t\":\"abc\",\"x5c\":[\"MII\"],\"x5u\":\"http://x/\"",
		QN_ALG_RS256},
	    {"key_ops verify", JOSE_RSA_JWK ",\"key_ops\":[\"encrypt\",\"verify\"]", QN_ALG_RS256},
	    {"key_ops empty", JOSE_RSA_JWK ",\"key_ops\":[]", QN_ALG_NONE},
	    {"key_ops others", JOSE_RSA_JWK ",\"key_ops\":[\"sign\",\"wrapKey\",7]", QN_ALG_NONE},
	    {"key_ops no array", JOSE_RSA_JWK ",\"key_ops\":\"verify\"", QN_ALG_NONE},
	    {"use enc", JOSE_RSA_JWK ",\"use\":\"enc\"", QN_ALG_NONE},
	    {"use null", JOSE_RSA_JWK ",\"use\":null", QN_ALG_NONE},
	    {"alg RS512", JOSE_RSA_JWK ",\"alg\":\"RS512\"", QN_ALG_NONE},
	    {"alg PS256", JOSE_RSA_JWK ",\"alg\":\"PS256\"", QN_ALG_NONE},
	    {"alg RSA-OAEP", JOSE_RSA_JWK ",\"alg\":\"RSA-OAEP\"", QN_ALG_NONE},
	    {"alg HS256 on RSA", JOSE_RSA_JWK ",\"alg\":\"HS256\"", QN_ALG_NONE},
	    {"alg ES256 on RSA", JOSE_RSA_JWK ",\"alg\":\"ES256\"", QN_ALG_NONE},
	    {"alg RS256 on EC", JOSE_EC_JWK ",\"alg\":\"RS256\"", QN_ALG_NONE},
	    {"alg none", JOSE_RSA_JWK ",\"alg\":\"none\"", QN_ALG_NONE},
	    {"alg empty", JOSE_RSA_JWK ",\"alg\":\"\"", QN_ALG_NONE},
	    {"alg a number", JOSE_RSA_JWK ",\"alg\":256", QN_ALG_NONE},
	    {"private RSA", JOSE_RSA_JWK ",\"d\":\"AQAB\"", QN_ALG_NONE},
	    {"private by a prime", JOSE_RSA_JWK ",\"p\":\"AQAB\"", QN_ALG_NONE},
	    {"private EC", JOSE_EC_JWK ",\"d\":null", QN_ALG_NONE},
	    {"symmetric", "\"kty\":\"oct\",\"k\":\"c2VjcmV0\",\"alg\":\"HS256\"", QN_ALG_NONE},
	    {"symmetric without alg", "\"kty\":\"oct\",\"k\":\"c2VjcmV0\"", QN_ALG_NONE},
	    {"kty missing", "\"n\":\"" JOSE_RSA_N "\",\"e\":\"AQAB\"", QN_ALG_NONE},
	    {"kty lower case", "\"kty\":\"rsa\",\"n\":\"" JOSE_RSA_N "\",\"e\":\"AQAB\"",
		QN_ALG_NONE},
	    {"kty a list", "\"kty\":[\"RSA\"],\"n\":\"" JOSE_RSA_N "\",\"e\":\"AQAB\"",
		QN_ALG_NONE},
	    {"n missing", "\"kty\":\"RSA\",\"e\":\"AQAB\"", QN_ALG_NONE},
	    {"n empty", "\"kty\":\"RSA\",\"n\":\"\",\"e\":\"AQAB\"", QN_ALG_NONE},
	    {"n zeros", "\"kty\":\"RSA\",\"n\":\"" ZEROS "\",\"e\":\"AQAB\"", QN_ALG_NONE},
	    {"n padded", "\"kty\":\"RSA\",\"n\":\"" JOSE_RSA_N "==\",\"e\":\"AQAB\"", QN_ALG_NONE},
	    {"e missing", "\"kty\":\"RSA\",\"n\":\"" JOSE_RSA_N "\"", QN_ALG_NONE},
	    {"e zero", "\"kty\":\"RSA\",\"n\":\"" JOSE_RSA_N "\",\"e\":\"AAAA\"", QN_ALG_NONE},
	    {"e a number", "\"kty\":\"RSA\",\"n\":\"" JOSE_RSA_N "\",\"e\":65537", QN_ALG_NONE},
	    {"curve P-384",
		"\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" JOSE_EC_X "\",\"y\":\"" JOSE_EC_Y "\"",
		QN_ALG_NONE},
	    {"curve secp256k1",
		"\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"" JOSE_EC_X "\",\"y\":\"" JOSE_EC_Y
		"\"",
		QN_ALG_NONE},
	    {"curve missing", "\"kty\":\"EC\",\"x\":\"" JOSE_EC_X "\",\"y\":\"" JOSE_EC_Y "\"",
		QN_ALG_NONE},
	    {"point off the curve", EC_X(JOSE_EC_Y), QN_ALG_NONE},
	    {"x zero", EC_X(ZEROS), QN_ALG_NONE},
	    {"x beyond the field", EC_X(ONES), QN_ALG_NONE},
	    {"point zero",
		"\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" ZEROS "\",\"y\":\"" ZEROS "\"",
		QN_ALG_NONE},
	    {"x short", EC_X("AQAB"), QN_ALG_NONE},
	    {"x of 33 bytes", EC_X(JOSE_EC_X "A"), QN_ALG_NONE},
	    {"y missing", "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" JOSE_EC_X "\"", QN_ALG_NONE},
	    {"X25519", "\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" JOSE_ED_X "\"", QN_ALG_NONE},
	    {"Ed448", "\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"" JOSE_ED_X "\"", QN_ALG_NONE},
	    {"Ed25519 short", "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AQAB\"", QN_ALG_NONE},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *why = NULL;
		char *text = qn_printf(arena, "{\"keys\":[{%s,\"kid\":\"k\"}]}", cases[i].members);
		struct qn_jwks *set = qn_jwks_parse(qn_span_of(text), &why);
		const struct qn_key *key = qn_jwks_find(set, QN_SPAN_LIT("k"));
		if ((key != NULL ? qn_key_alg(key) : QN_ALG_NONE) != cases[i].alg ||
		    (set == NULL) != (why != NULL))
			fail_msg("%s: %s", cases[i].name, why);
		assert_int_equal(ERR_peek_error(), 0);
		qn_jwks_free(set);
	}
}

static char *repeat(const char *what, size_t n)
{
	size_t len = strlen(what);
	char *out = qn_alloc(arena, n * len + 1);

	for (size_t i = 0; i < n * len; i++)
		out[i] = what[i % len];
	return out;
}

#define K(kid, jwk) "{\"kid\":\"" kid "\"," jwk "}"

/* How many of the names that the cases below use lead to a key. */
static size_t found(const struct qn_jwks *set)
{
	const char *const kids[] = {
	    "", "a", "b", "rsa", "ec", "ed", repeat("k", 255), repeat("k", 256)};
	size_t n = 0;

	for (size_t i = 0; i < COUNT(kids); i++)
		n += qn_jwks_find(set, qn_span_of(kids[i])) != NULL;
	return n;
}

static void test_sets(void **state)
{
	const struct {
		const char *name, *text;
		size_t keys;
	} cases[] = {
	    {"three", JOSE_JWKS, 3},
	    {"unknown members",
		"{\"a\":1,\"keys\":[" K("a", JOSE_RSA_JWK ",\"z\":{}") "],\"b\":[]}", 1},
	    {"space around", " \n{ \"keys\" : [ " K("a", JOSE_EC_JWK) " ] }\r\n", 1},
	    {"one kid twice",
		"{\"keys\":[" K("a", JOSE_RSA_JWK) "," K("b", JOSE_ED_JWK) "," K(
		    "a", JOSE_EC_JWK) "]}",
		1},
	    {"one kid three times",
		"{\"keys\":[" K("a", JOSE_RSA_JWK) "," K("a", JOSE_EC_JWK) "," K(
		    "a", JOSE_ED_JWK) "]}",
		0},
	    {"the same key twice", "{\"keys\":[" K("a", JOSE_EC_JWK) "," K("a", JOSE_EC_JWK) "]}",
		0},
	    {"an ignored key of the same kid",
		"{\"keys\":[" K("a", JOSE_RSA_JWK ",\"alg\":\"PS256\"") "," K(
		    "a", JOSE_RSA_JWK) "]}",
		1},
	    {"kid spelt with an escape",
		"{\"keys\":[" K("a", JOSE_RSA_JWK) "," K("\\u0061", JOSE_EC_JWK) "]}", 0},
	    {"kid empty", "{\"keys\":[" K("", JOSE_RSA_JWK) "]}", 0},
	    {"kid missing", "{\"keys\":[{" JOSE_RSA_JWK "}]}", 0},
	    {"kid a number", "{\"keys\":[{\"kid\":1," JOSE_RSA_JWK "}]}", 0},
	    {"kid of 255 bytes",
		qn_printf(arena, "{\"keys\":[{\"kid\":\"%s\",%s}]}", repeat("k", 255), JOSE_EC_JWK),
		1},
	    {"kid of 256 bytes",
		qn_printf(arena, "{\"keys\":[{\"kid\":\"%s\",%s}]}", repeat("k", 256), JOSE_EC_JWK),
		0},
	    {"kid with NUL", "{\"keys\":[" K("a\\u0000", JOSE_RSA_JWK) "]}", 0},
	    {"duplicate member", "{\"keys\":[" K("a", JOSE_RSA_JWK ",\"kty\":\"RSA\"") "]}", 0},
	    {"duplicate keys", "{\"keys\":[],\"keys\":[" K("a", JOSE_RSA_JWK) "]}", 0},
	    {"no keys", "{\"keys\":[]}", 0},
	    {"keys missing", "{}", 0},
	    {"keys an object", "{\"keys\":{}}", 0},
	    {"a key alone", "{" JOSE_RSA_JWK ",\"kid\":\"a\"}", 0},
	    {"an array", "[" K("a", JOSE_RSA_JWK) "]", 0},
	    {"a string among keys", "{\"keys\":[" K("a", JOSE_RSA_JWK) ",\"x\"]}", 0},
	    {"bytes after it", "{\"keys\":[" K("a", JOSE_RSA_JWK) "]}x", 0},
	    {"cut short", "{\"keys\":[" K("a", JOSE_RSA_JWK) "]", 0},
	    {"64 entries",
		qn_printf(arena, "{\"keys\":[%s%s]}", repeat("{},", 63), K("a", JOSE_EC_JWK)), 1},
	    {"65 entries",
		qn_printf(arena, "{\"keys\":[%s%s]}", repeat("{},", 64), K("a", JOSE_EC_JWK)), 0},
	    {"256 KB",
		qn_printf(arena, "{\"keys\":[%s]}%s", K("a", JOSE_EC_JWK), repeat(" ", 200000)), 1},
	    {"larger",
		qn_printf(
		    arena, "{\"keys\":[%s]}%s", K("a", JOSE_EC_JWK), repeat(" ", QN_JWKS_BYTES)),
		0},
	    {"deep",
		qn_printf(arena, "{\"keys\":[%s],\"z\":%s%s}", K("a", JOSE_EC_JWK), repeat("[", 20),
		    repeat("]", 20)),
		0},
	    {"many values",
		qn_printf(arena, "{\"keys\":[%s],\"z\":[%s0]}", K("a", JOSE_EC_JWK),
		    repeat("0,", 120000)),
		0},
	    {"not JSON", "-----BEGIN CERTIFICATE-----", 0},
	    {"empty", "", 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *why = NULL;
		struct qn_jwks *set = qn_jwks_parse(qn_span_of(cases[i].text), &why);
		if (found(set) != cases[i].keys || (set == NULL) != (cases[i].keys == 0) ||
		    (set == NULL) != (why != NULL))
			fail_msg("%s: %s", cases[i].name, why);
		qn_jwks_free(set);
	}
	assert_null(qn_jwks_parse((struct qn_span){NULL, 0}, NULL));
	assert_null(qn_jwks_find(NULL, QN_SPAN_LIT("a")));
	qn_jwks_free(NULL);
}

/* What of a set is largest and still allowed to be read must fit the memory set aside for it. */
static void test_worst_sets_fit(void **state)
{
	struct qn_buf b;

	(void)state;
	for (int shape = 0; shape < 3; shape++) {
		qn_buf_init(&b, QN_JWKS_BYTES);
		qn_buf_str(&b, shape == 0   ? "{\"z\":0"
			       : shape == 1 ? "{\"keys\":[{\"z\":0"
					    : "{\"keys\":[{\"key_ops\":[\"x\"");
		for (int i = 0; i < 15000; i++)
			qn_buf_printf(&b, shape == 2 ? ",\"%x\\n\"" : ",\"%x\":0", (unsigned)i);
		qn_buf_str(&b, shape == 0 ? "}" : shape == 1 ? "}]}" : "]}]}");
		assert_false(b.over);
		assert_null(qn_jwks_parse((struct qn_span){b.p, b.n}, NULL));
		qn_buf_done(&b);
	}
}

static const struct {
	const char *name, *kid, *text, *signature;
} vectors[] = {
    {"RFC 7515 A.2", "rsa",
	"eyJhbGciOiJSUzI1NiJ9."
	"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
	"cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5"
	"jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb"
	"1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QO"
	"YEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"},
    {"RFC 7515 A.3", "ec",
	"eyJhbGciOiJFUzI1NiJ9."
	"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
	"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"},
    {"RFC 8037 A.4", "ed", "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
	"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"},
};

static void test_rfc_vectors(void **state)
{
	struct qn_jwks *set = qn_jwks_parse(QN_SPAN_LIT(JOSE_JWKS), NULL);

	(void)state;
	for (size_t i = 0; i < COUNT(vectors); i++) {
		uint8_t sig[300] = {0};
		long n = qn_b64url_decode(vectors[i].signature, strlen(vectors[i].signature), sig);
		struct qn_span text = qn_span_of(vectors[i].text),
			       signature = {(const char *)sig, (size_t)n};
		assert_true(n > 0);
		for (size_t k = 0; k < COUNT(vectors); k++) {
			const struct qn_key *key = qn_jwks_find(set, qn_span_of(vectors[k].kid));
			if (qn_key_verify(key, text, signature) != (i == k))
				fail_msg("%s under the key %s", vectors[i].name, vectors[k].kid);
			assert_int_equal(ERR_peek_error(), 0);
		}
		const struct qn_key *key = qn_jwks_find(set, qn_span_of(vectors[i].kid));
		text.n--;
		assert_false(qn_key_verify(key, text, signature));
		text.n++;
		signature.n--;
		assert_false(qn_key_verify(key, text, signature));
		signature.n += 2;
		assert_false(qn_key_verify(key, text, signature));
		signature.n--;
		for (long bit = 0; bit < n * 8; bit += 5) {
			sig[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_false(qn_key_verify(key, text, signature));
			sig[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		assert_true(qn_key_verify(key, text, signature)); /* the key is as it was */
		assert_false(qn_key_verify(key, text, (struct qn_span){NULL, 0}));
		assert_false(qn_key_verify(key, text, (struct qn_span){"", 0}));
	}
	qn_jwks_free(set);
}

/* The order of P-256. */
#define N256 \
	"\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xbc\xe6\xfa\xad\xa7\x17" \
	"\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51"
#define Z256   "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define ONE256 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"

static void test_odd_es256_signatures(void **state)
{
	static const struct {
		const char *name;
		struct qn_span rs;
	} cases[] = {
	    {"both zero", {Z256 Z256, 64}},
	    {"r zero", {Z256 ONE256, 64}},
	    {"s zero", {ONE256 Z256, 64}},
	    {"r = n", {N256 ONE256, 64}},
	    {"s = n", {ONE256 N256, 64}},
	    {"both one", {ONE256 ONE256, 64}},
	    {"63 bytes", {ONE256 ONE256, 63}},
	    {"65 bytes", {ONE256 ONE256 "x", 65}},
	    {"128 bytes", {ONE256 ONE256 ONE256 ONE256, 128}},
	};
	struct qn_jwks *set = qn_jwks_parse(QN_SPAN_LIT(JOSE_JWKS), NULL);
	const struct qn_key *key = qn_jwks_find(set, QN_SPAN_LIT("ec"));

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		if (qn_key_verify(key, QN_SPAN_LIT("text"), cases[i].rs))
			fail_msg("%s", cases[i].name);
	assert_int_equal(ERR_peek_error(), 0);
	qn_jwks_free(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_algorithm_names),
	    cmocka_unit_test_setup_teardown(test_rsa_sizes, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_one_key, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_sets, setup, teardown),
	    cmocka_unit_test(test_worst_sets_fit),
	    cmocka_unit_test(test_rfc_vectors),
	    cmocka_unit_test(test_odd_es256_signatures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
