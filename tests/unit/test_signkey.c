#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jwt.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#include "../lib/jose.h"
#include "quoin/auth/issue.h"
#include "quoin/auth/signkey.h"
#include "quoin/auth/token.h"
#include "quoin/base/rand.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define S        1000000LL
#define NOW      (1800000000LL * S)

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

/* RFC 7515 A.3's key: its thumbprint and its sealed form, made with Python's cryptography. */
#define A3_KID "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"
#define A3_SEALED \
	"AQABAgMEBQYHCAkKCx8sAl5raHJMaVz6S8iAD3S8naVL7nVvsLf7uiZ2HuTz5IUlXdusWgHSZ5F8-4kkB90JFv_hxDEBk6T9" \
	"W_QcZYt1CcpvRldKMVmKOXpR9WqxIHcILmK23v5plo2vLeW79CltvvtoaQYphmnZrfwwbg43Ils8it3ppLqkZ-_TDKy8XSmp" \
	"WEEerqccjBFu9sN_Pko6KrwpSO31Su8"

static void test_stored_key(void **state)
{
	struct qn_span sealed = unb64(A3_SEALED);
	struct qn_buf jwk;

	(void)state;
	struct qn_signing_key *k = qn_signing_key_unseal(&secret, QN_SPAN_LIT(A3_KID), sealed);
	assert_non_null(k);
	assert_string_equal(qn_signing_key_kid(k), A3_KID);
	qn_buf_init(&jwk, 1000);
	qn_signing_key_jwk(k, &jwk);
	assert_string_equal(
	    jwk.p, "{" JOSE_EC_JWK ",\"use\":\"sig\",\"alg\":\"ES256\",\"kid\":\"" A3_KID "\"}");
	qn_buf_done(&jwk);
	qn_signing_key_free(k);
	assert_null(qn_signing_key_unseal(
	    &secret, QN_SPAN_LIT("oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-V"), sealed));
	assert_null(qn_signing_key_unseal(&secret, QN_SPAN_LIT(""), sealed));
	sealed.n--;
	assert_null(qn_signing_key_unseal(&secret, QN_SPAN_LIT(A3_KID), sealed));
	assert_null(qn_signing_key_unseal(&secret, QN_SPAN_LIT(A3_KID), (struct qn_span){NULL, 0}));
	qn_signing_key_free(NULL);
}

/* Whether a text, well sealed under this kid, is taken for a key. */
static bool opens_as_key(const char *kid, struct qn_span text)
{
	uint8_t sealed[QN_SIGNKEY_SEALED_MAX];
	struct qn_span all = {(char *)sealed, text.n + QN_SEAL_OVERHEAD};

	assert_true(all.n <= sizeof(sealed));
	assert_true(qn_seal(&secret, "quoin signing key 1", qn_span_of(kid), text, sealed));
	struct qn_signing_key *k = qn_signing_key_unseal(&secret, qn_span_of(kid), all);
	bool opens = k != NULL;
	qn_signing_key_free(k);
	assert_int_equal(ERR_peek_error(), 0);
	return opens;
}

static bool pkey_opens_as_key(const char *kid, EVP_PKEY *pkey)
{
	uint8_t *der = NULL;
	int n = i2d_PrivateKey(pkey, &der);
	bool opens = opens_as_key(kid, (struct qn_span){(char *)der, (size_t)n});

	OPENSSL_free(der);
	EVP_PKEY_free(pkey);
	return opens;
}

/* The thumbprint that a key would have, were it P-256. */
static char *thumbprint_of(EVP_PKEY *pkey)
{
	static const char *const names[] = {OSSL_PKEY_PARAM_EC_PUB_X, OSSL_PKEY_PARAM_EC_PUB_Y};
	char xy[2][46], *out = qn_alloc(arena, 46);
	uint8_t bytes[32];

	for (int i = 0; i < 2; i++) {
		BIGNUM *n = NULL;
		assert_int_equal(EVP_PKEY_get_bn_param(pkey, names[i], &n), 1);
		assert_int_equal(BN_bn2binpad(n, bytes, 32), 32);
		qn_b64url_encode(bytes, 32, xy[i]);
		BN_free(n);
	}
	char *text = qn_printf(
	    arena, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", xy[0], xy[1]);
	qn_sha256(text, strlen(text), bytes);
	qn_b64url_encode(bytes, 32, out);
	return out;
}

static void test_sealed_otherwise(void **state)
{
	EVP_PKEY *other = EVP_EC_gen("secp256k1");

	(void)state;
	assert_false(opens_as_key("kid", QN_SPAN_LIT("")));
	assert_false(opens_as_key("kid", QN_SPAN_LIT("no key")));
	assert_true(pkey_opens_as_key(A3_KID, jose_key(JOSE_EC)));
	assert_false(pkey_opens_as_key("kid", jose_key(JOSE_EC)));
	assert_false(pkey_opens_as_key(A3_KID, jose_key(JOSE_ED)));
	assert_false(pkey_opens_as_key(A3_KID, EVP_EC_gen("P-384")));
	assert_false(
	    pkey_opens_as_key(thumbprint_of(other), other)); /* another curve of 256 bits */
}

/* The public halves of `k` as a set that the verifier reads. */
static struct qn_jwks *published(const struct qn_signing_key *k)
{
	struct qn_buf text;

	qn_buf_init(&text, 1000);
	qn_buf_str(&text, "{\"keys\":[");
	qn_signing_key_jwk(k, &text);
	qn_buf_str(&text, "]}");
	struct qn_jwks *set = qn_jwks_parse((struct qn_span){text.p, text.n}, NULL);
	qn_buf_done(&text);
	assert_non_null(set);
	return set;
}

/* Often enough that r and s with leading zeros occur: one in 128. */
static void test_new_keys_sign(void **state)
{
	uint8_t sealed[QN_SIGNKEY_SEALED_MAX], sig[QN_SIGNATURE_LEN];

	(void)state;
	for (int i = 0; i < 8; i++) {
		struct qn_signing_key *k = qn_signing_key_new();
		assert_non_null(k);
		size_t n = qn_signing_key_seal(k, &secret, sealed);
		assert_true(n > 0 && n <= sizeof(sealed));
		struct qn_signing_key *again = qn_signing_key_unseal(&secret,
		    qn_span_of(qn_signing_key_kid(k)), (struct qn_span){(char *)sealed, n});
		assert_non_null(again);
		struct qn_jwks *set = published(k);
		const struct qn_key *key = qn_jwks_find(set, qn_span_of(qn_signing_key_kid(again)));
		assert_int_equal(qn_key_alg(key), QN_ALG_ES256);
		for (size_t len = 1; len <= 64; len++) {
			struct qn_span text = {JOSE_RSA_N, len};
			assert_true(qn_signing_key_sign(again, text, sig));
			assert_true(
			    qn_key_verify(key, text, (struct qn_span){(char *)sig, sizeof(sig)}));
			assert_false(qn_key_verify(
			    key, QN_SPAN_LIT("x!"), (struct qn_span){(char *)sig, sizeof(sig)}));
		}
		qn_jwks_free(set);
		qn_signing_key_free(again);
		qn_signing_key_free(k);
	}
}

#define MORE "\"tier\":\"pro\",\"scopes\":[\"graphs:read\"]"

static const struct qn_claims_out full = {
    .typ = QN_TYP_ACCESS,
    .iss = "https://quoin.example/",
    .sub = "usr_1",
    .aud = "https://quoin.example/api",
    .iat = NOW,
    .exp = NOW + 900 * S + 999999,
    .jti = "j1",
    .client = "spa",
    .scope = "graphs:read graphs:write",
    .email = "a\"b\\@example.org",
    .email_verified = true,
    .name = "J\u00f6rg\tE",
    .more = {MORE, sizeof(MORE) - 1},
};

static void test_issued_tokens_hold(void **state)
{
	static const struct qn_issuer_policy policy = {.issuer = "https://quoin.example/",
	    .audiences = {"https://quoin.example/api"},
	    .algs = QN_ALG_BIT(QN_ALG_ES256),
	    .typ = QN_TYP_ACCESS};
	struct qn_signing_key *k = qn_signing_key_new();
	struct qn_jwks *set = published(k);
	struct qn_claims_out plain = {.typ = QN_TYP_JWT,
	    .iss = full.iss,
	    .sub = full.sub,
	    .aud = full.aud,
	    .iat = NOW,
	    .exp = NOW + S};
	struct qn_token t;
	struct qn_claims c;
	const char *text;

	(void)state;
	assert_int_equal(qn_token_issue(arena, k, &full, &text), QN_OK);
	assert_int_equal(qn_token_open(arena, qn_span_of(text), &t), QN_OK);
	assert_int_equal(qn_token_verify(&t, &policy, set, NOW, &c), QN_OK);
	assert_string_equal(c.sub, "usr_1");
	assert_string_equal(c.jti, "j1");
	assert_string_equal(c.client, "spa");
	assert_string_equal(c.scope, full.scope);
	assert_string_equal(c.email, full.email);
	assert_true(
	    c.email_verified && c.iat == NOW && c.exp == NOW + 900 * S && c.typ == QN_TYP_ACCESS);
	assert_null(c.name); /* it has a tab; the reader takes no control bytes */
	assert_true(qn_span_is(qn_json_get(&c.all, "tier"), "\"pro\""));
	assert_int_equal(qn_token_verify(&t, &policy, set, NOW + 900 * S, &c), QN_TOKEN_EXPIRED);

	/* the least there is: not an access token, with a jti of its own */
	assert_int_equal(qn_token_issue(arena, k, &plain, &text), QN_OK);
	assert_int_equal(qn_token_open(arena, qn_span_of(text), &t), QN_OK);
	assert_int_equal(t.typ, QN_TYP_JWT);
	assert_int_equal(qn_token_verify(&t, &policy, set, NOW, &c), QN_TOKEN_CLAIMS);
	struct qn_span jti = qn_json_get(&t.claims, "jti");
	assert_int_equal(jti.n, QN_UUID_LEN + 2);
	assert_null(qn_json_get(&t.claims, "email").p);
	assert_null(qn_json_get(&t.claims, "email_verified").p);
	qn_jwks_free(set);
	qn_signing_key_free(k);
}

static void test_issue_refuses(void **state)
{
	struct qn_signing_key *k = qn_signing_key_new();
	struct qn_claims_out cases[12];
	const char *text = "untouched";
	char *large = qn_alloc(arena, 7001);

	(void)state;
	memset(large, 'a', 7000);
	for (size_t i = 0; i < COUNT(cases); i++)
		cases[i] = full;
	cases[0].typ = QN_TYP_ANY;
	cases[1].iss = NULL;
	cases[2].sub = "";
	cases[3].aud = NULL;
	cases[4].exp = cases[4].iat;
	cases[5].iat = QN_TIME_NULL;
	cases[6].more = QN_SPAN_LIT("\"sub\":\"admin\""); /* twice */
	cases[7].more = QN_SPAN_LIT("\"a\":");
	cases[8].more = QN_SPAN_LIT("\"a\":1},{\"b\":2");
	cases[9].name = large;
	cases[10].scope = qn_printf(arena, "%s%s", large, large);
	cases[11].typ = QN_TYP__MAX;
	for (size_t i = 0; i < COUNT(cases); i++)
		if (qn_token_issue(arena, k, &cases[i], &text) != QN_INTERNAL)
			fail_msg("case %zu", i);
	assert_string_equal(text, "untouched");
	qn_signing_key_free(k);
}

/* libjwt as a second opinion: what we issue, others can read. It refuses every typ but "JWT". */
static void test_libjwt_agrees(void **state)
{
	struct qn_signing_key *k =
	    qn_signing_key_unseal(&secret, QN_SPAN_LIT(A3_KID), unb64(A3_SEALED));
	EVP_PKEY *pkey = jose_key(JOSE_EC);
	BIO *bio = BIO_new(BIO_s_mem());
	struct qn_claims_out claims = full;
	const char *text;
	char *pem;
	jwt_t *jwt;

	(void)state;
	assert_int_equal(PEM_write_bio_PUBKEY(bio, pkey), 1);
	long n = BIO_get_mem_data(bio, &pem);
	claims.typ = QN_TYP_JWT;
	for (int i = 0; i < 200; i++) {
		assert_int_equal(qn_token_issue(arena, k, &claims, &text), QN_OK);
		assert_int_equal(jwt_decode(&jwt, text,
				     (unsigned char *)qn_strndup(arena, pem, (size_t)n), (int)n),
		    0);
		assert_int_equal(jwt_get_alg(jwt), JWT_ALG_ES256);
		assert_string_equal(jwt_get_header(jwt, "kid"), A3_KID);
		assert_string_equal(jwt_get_header(jwt, "typ"), "JWT");
		assert_string_equal(jwt_get_grant(jwt, "sub"), "usr_1");
		assert_string_equal(jwt_get_grant(jwt, "email"), full.email);
		assert_string_equal(jwt_get_grant(jwt, "name"), full.name);
		assert_int_equal(jwt_get_grant_int(jwt, "exp"), 1800000900);
		jwt_free(jwt);
	}
	BIO_free(bio);
	EVP_PKEY_free(pkey);
	qn_signing_key_free(k);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_stored_key),
	    TEST(test_sealed_otherwise),
	    TEST(test_new_keys_sign),
	    TEST(test_issued_tokens_hold),
	    TEST(test_issue_refuses),
	    TEST(test_libjwt_agrees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
