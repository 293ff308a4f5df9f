#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#include "../lib/jose.h"
#include "quoin/auth/token.h"
#include "quoin/base/rand.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define S        1000000LL
#define NOW      1800000000LL /* seconds: the tests' present */

static struct qn_arena *arena;
static struct qn_jwks *keys;

static int setup(void **state)
{
	(void)state;
	arena = qn_arena_new((size_t)8 << 20);
	keys = qn_jwks_parse(QN_SPAN_LIT(JOSE_JWKS), NULL);
	return keys == NULL;
}

static int teardown(void **state)
{
	(void)state;
	qn_jwks_free(keys);
	qn_arena_free(arena);
	return 0;
}

#define ISS     "https://issuer.example/"
#define ANY_ALG (QN_ALG_BIT(QN_ALG_RS256) | QN_ALG_BIT(QN_ALG_ES256) | QN_ALG_BIT(QN_ALG_EDDSA))

static const struct qn_issuer_policy policy = {
    .issuer = ISS, .audiences = {"quoin", "quoin-2"}, .algs = ANY_ALG, .skew_s = 60};

#define RS         "{\"alg\":\"RS256\",\"kid\":\"rsa\"}"
#define RS_AND(x)  "{\"alg\":\"RS256\",\"kid\":\"rsa\"," x "}"
#define ES         "{\"alg\":\"ES256\",\"kid\":\"ec\"}"
#define ED         "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}"
#define EXP        "\"exp\":1800000600"
#define WHO        "\"iss\":\"" ISS "\",\"aud\":\"quoin\",\"sub\":\"u1\""
#define P          "{" WHO "," EXP "}"
#define P_AND(x)   "{" WHO "," EXP "," x "}"
#define P_TIMES(x) "{" WHO x "}"
#define P_AUD(x)   "{\"iss\":\"" ISS "\",\"sub\":\"u1\"," EXP x "}"
#define P_SUB(x)   "{\"iss\":\"" ISS "\",\"aud\":\"quoin\"," EXP x "}"
#define P_ISS(x)   "{\"aud\":\"quoin\",\"sub\":\"u1\"," EXP x "}"

static enum qn_err judge_by(
    const char *token, const struct qn_issuer_policy *p, struct qn_claims *ret)
{
	struct qn_token t;
	enum qn_err err = qn_token_open(arena, qn_span_of(token), &t);

	if (err == QN_OK)
		err = qn_token_verify(&t, p, keys, NOW * S, ret);
	assert_int_equal(ERR_peek_error(), 0);
	return err;
}

static enum qn_err judge(const char *token)
{
	struct qn_claims c;

	return judge_by(token, &policy, &c);
}

static char *sign(enum jose_by by, const char *header, const char *payload)
{
	return jose_sign(arena, by, qn_span_of(header), qn_span_of(payload));
}

static void expect(const char *name, enum qn_err got, enum qn_err want)
{
	if (got != want)
		fail_msg("%s: %s, not %s", name, qn_err_code(got), qn_err_code(want));
}

/* Properly signed, over these two texts. */
static const struct {
	const char *name;
	enum jose_by by;
	const char *header, *payload;
	enum qn_err want;
} signed_cases[] = {
    {"RS256", JOSE_RSA, RS, P, QN_OK},
    {"ES256", JOSE_EC, ES, P, QN_OK},
    {"EdDSA", JOSE_ED, ED, P, QN_OK},
    {"space in the JSON", JOSE_RSA, " {\"alg\" : \"RS256\",\n\"kid\":\"rsa\"} ", " " P "\n", QN_OK},

    /* algorithms: T1 */
    {"alg none", JOSE_RSA, "{\"alg\":\"none\",\"kid\":\"rsa\"}", P, QN_TOKEN_ALGORITHM},
    {"alg None", JOSE_RSA, "{\"alg\":\"None\",\"kid\":\"rsa\"}", P, QN_TOKEN_ALGORITHM},
    {"alg rs256", JOSE_RSA, "{\"alg\":\"rs256\",\"kid\":\"rsa\"}", P, QN_TOKEN_ALGORITHM},
    {"HS256 under the public PEM", JOSE_HMAC, "{\"alg\":\"HS256\",\"kid\":\"rsa\"}", P,
	QN_TOKEN_ALGORITHM},
    {"the same, said to be RS256", JOSE_HMAC, RS, P, QN_TOKEN_SIGNATURE},
    {"PS256", JOSE_RSA, "{\"alg\":\"PS256\",\"kid\":\"rsa\"}", P, QN_TOKEN_ALGORITHM},
    {"RS512", JOSE_RSA, "{\"alg\":\"RS512\",\"kid\":\"rsa\"}", P, QN_TOKEN_ALGORITHM},
    {"RS256 for an EC key", JOSE_RSA, "{\"alg\":\"RS256\",\"kid\":\"ec\"}", P, QN_TOKEN_ALGORITHM},
    {"ES256 for an RSA key", JOSE_EC, "{\"alg\":\"ES256\",\"kid\":\"rsa\"}", P, QN_TOKEN_ALGORITHM},
    {"EdDSA for an EC key", JOSE_ED, "{\"alg\":\"EdDSA\",\"kid\":\"ec\"}", P, QN_TOKEN_ALGORITHM},
    {"alg twice", JOSE_RSA, "{\"alg\":\"RS256\",\"alg\":\"RS256\",\"kid\":\"rsa\"}", P,
	QN_TOKEN_MALFORMED},
    {"alg twice by an escape", JOSE_RSA, RS_AND("\"\\u0061lg\":\"none\""), P, QN_TOKEN_MALFORMED},
    {"alg missing", JOSE_RSA, "{\"kid\":\"rsa\"}", P, QN_TOKEN_MALFORMED},
    {"alg empty", JOSE_RSA, "{\"alg\":\"\",\"kid\":\"rsa\"}", P, QN_TOKEN_MALFORMED},
    {"alg null", JOSE_RSA, "{\"alg\":null,\"kid\":\"rsa\"}", P, QN_TOKEN_MALFORMED},
    {"alg a list", JOSE_RSA, "{\"alg\":[\"RS256\"],\"kid\":\"rsa\"}", P, QN_TOKEN_MALFORMED},

    /* keys: T2 */
    {"another's signature", JOSE_EC, RS, P, QN_TOKEN_SIGNATURE},
    {"Ed25519 for ES256, both 64 bytes", JOSE_ED, ES, P, QN_TOKEN_SIGNATURE},
    {"kid missing", JOSE_RSA, "{\"alg\":\"RS256\"}", P, QN_TOKEN_MALFORMED},
    {"kid empty", JOSE_RSA, "{\"alg\":\"RS256\",\"kid\":\"\"}", P, QN_TOKEN_MALFORMED},
    {"kid a number", JOSE_RSA, "{\"alg\":\"RS256\",\"kid\":1}", P, QN_TOKEN_MALFORMED},
    {"kid with NUL", JOSE_RSA, "{\"alg\":\"RS256\",\"kid\":\"rsa\\u0000\"}", P, QN_TOKEN_MALFORMED},
    {"kid with a line end", JOSE_RSA, "{\"alg\":\"RS256\",\"kid\":\"rsa\\n\"}", P,
	QN_TOKEN_MALFORMED},
    {"kid unknown", JOSE_RSA, "{\"alg\":\"RS256\",\"kid\":\"rsa2\"}", P, QN_KEY_UNKNOWN},
    {"kid in other case", JOSE_RSA, "{\"alg\":\"RS256\",\"kid\":\"RSA\"}", P, QN_KEY_UNKNOWN},
    {"kid a path", JOSE_RSA, "{\"alg\":\"RS256\",\"kid\":\"../../dev/null\"}", P, QN_KEY_UNKNOWN},
    {"the attacker's jwk", JOSE_EC, RS_AND("\"jwk\":{" JOSE_EC_JWK "}"), P, QN_TOKEN_SIGNATURE},
    {"jwk, jku, x5u, x5c of anyone are not looked at", JOSE_RSA,
	RS_AND("\"jwk\":{" JOSE_EC_JWK "},\"jku\":\"http://127.0.0.1/\",\"x5u\":7,\"x5c\":[\"x\"]"),
	P, QN_OK},

    /* header */
    {"crit", JOSE_RSA, RS_AND("\"crit\":[\"exp\"]"), P, QN_TOKEN_MALFORMED},
    {"crit empty", JOSE_RSA, RS_AND("\"crit\":[]"), P, QN_TOKEN_MALFORMED},
    {"b64 false", JOSE_RSA, RS_AND("\"b64\":false"), P, QN_TOKEN_MALFORMED},
    {"b64 true", JOSE_RSA, RS_AND("\"b64\":true"), P, QN_TOKEN_MALFORMED},
    {"typ JWT", JOSE_RSA, RS_AND("\"typ\":\"JWT\""), P, QN_OK},
    {"typ jwt", JOSE_RSA, RS_AND("\"typ\":\"jwt\""), P, QN_OK},
    {"typ at+jwt", JOSE_RSA, RS_AND("\"typ\":\"at+jwt\""), P, QN_OK},
    {"typ application/AT+JWT", JOSE_RSA, RS_AND("\"typ\":\"Application/AT+JWT\""), P, QN_OK},
    {"typ logout+jwt", JOSE_RSA, RS_AND("\"typ\":\"logout+jwt\""), P, QN_TOKEN_MALFORMED},
    {"typ dpop+jwt", JOSE_RSA, RS_AND("\"typ\":\"dpop+jwt\""), P, QN_TOKEN_MALFORMED},
    {"typ twice application", JOSE_RSA, RS_AND("\"typ\":\"application/application/jwt\""), P,
	QN_TOKEN_MALFORMED},
    {"typ application/", JOSE_RSA, RS_AND("\"typ\":\"application/\""), P, QN_TOKEN_MALFORMED},
    {"typ empty", JOSE_RSA, RS_AND("\"typ\":\"\""), P, QN_TOKEN_MALFORMED},
    {"typ null", JOSE_RSA, RS_AND("\"typ\":null"), P, QN_TOKEN_MALFORMED},
    {"header an array", JOSE_RSA, "[\"RS256\"]", P, QN_TOKEN_MALFORMED},
    {"header no JSON", JOSE_RSA, "RS256", P, QN_TOKEN_MALFORMED},
    {"header with bytes behind", JOSE_RSA, RS "x", P, QN_TOKEN_MALFORMED},
    {"header of nothing", JOSE_RSA, "{}", P, QN_TOKEN_MALFORMED},

    /* payload */
    {"payload an array", JOSE_RSA, RS, "[" P "]", QN_TOKEN_MALFORMED},
    {"payload a string", JOSE_RSA, RS, "\"x\"", QN_TOKEN_MALFORMED},
    {"payload two objects", JOSE_RSA, RS, P P, QN_TOKEN_MALFORMED},
    {"payload of nothing", JOSE_RSA, RS, "{}", QN_TOKEN_MALFORMED},
    {"payload not UTF-8", JOSE_RSA, RS, P_AND("\"name\":\"\xff\""), QN_TOKEN_MALFORMED},
    {"payload with NUL", JOSE_RSA, RS, P_AND("\"name\":\"a\\u0000\""), QN_TOKEN_MALFORMED},
    {"payload with half a surrogate", JOSE_RSA, RS, P_AND("\"name\":\"\\ud800\""),
	QN_TOKEN_MALFORMED},
    {"payload with NaN", JOSE_RSA, RS, P_AND("\"x\":NaN"), QN_TOKEN_MALFORMED},
    {"payload too deep", JOSE_RSA, RS, P_AND("\"x\":[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]"),
	QN_TOKEN_MALFORMED},
    {"sub twice", JOSE_RSA, RS, P_AND("\"sub\":\"admin\""), QN_TOKEN_MALFORMED},
    {"exp twice", JOSE_RSA, RS, P_AND("\"exp\":1900000000"), QN_TOKEN_MALFORMED},
    {"a nested member twice", JOSE_RSA, RS, P_AND("\"x\":{\"a\":1,\"a\":2}"), QN_TOKEN_MALFORMED},

    /* issuer: T5 */
    {"iss missing", JOSE_RSA, RS, P_ISS(""), QN_TOKEN_ISSUER},
    {"iss null", JOSE_RSA, RS, P_ISS(",\"iss\":null"), QN_TOKEN_ISSUER},
    {"iss a list", JOSE_RSA, RS, P_ISS(",\"iss\":[\"" ISS "\"]"), QN_TOKEN_ISSUER},
    {"iss empty", JOSE_RSA, RS, P_ISS(",\"iss\":\"\""), QN_TOKEN_ISSUER},
    {"iss without its slash", JOSE_RSA, RS, P_ISS(",\"iss\":\"https://issuer.example\""),
	QN_TOKEN_ISSUER},
    {"iss with one more", JOSE_RSA, RS, P_ISS(",\"iss\":\"" ISS "/\""), QN_TOKEN_ISSUER},
    {"iss with a tail", JOSE_RSA, RS, P_ISS(",\"iss\":\"" ISS "evil\""), QN_TOKEN_ISSUER},
    {"iss as a prefix of another host", JOSE_RSA, RS,
	P_ISS(",\"iss\":\"https://issuer.example.evil.test/\""), QN_TOKEN_ISSUER},
    {"iss as the tail of another host", JOSE_RSA, RS,
	P_ISS(",\"iss\":\"https://evilissuer.example/\""), QN_TOKEN_ISSUER},
    {"iss by http", JOSE_RSA, RS, P_ISS(",\"iss\":\"http://issuer.example/\""), QN_TOKEN_ISSUER},
    {"iss in capitals", JOSE_RSA, RS, P_ISS(",\"iss\":\"https://Issuer.example/\""),
	QN_TOKEN_ISSUER},
    {"iss before a space", JOSE_RSA, RS, P_ISS(",\"iss\":\"" ISS " \""), QN_TOKEN_ISSUER},
    {"iss with an escape that says the same", JOSE_RSA, RS,
	P_ISS(",\"iss\":\"https:\\/\\/issuer.example/\""), QN_OK},

    /* times: T3 */
    {"exp missing", JOSE_RSA, RS, P_TIMES(""), QN_TOKEN_CLAIMS},
    {"exp a string", JOSE_RSA, RS, P_TIMES(",\"exp\":\"1800000600\""), QN_TOKEN_CLAIMS},
    {"exp a float", JOSE_RSA, RS, P_TIMES(",\"exp\":1800000600.0"), QN_TOKEN_CLAIMS},
    {"exp with an exponent", JOSE_RSA, RS, P_TIMES(",\"exp\":18e8"), QN_TOKEN_CLAIMS},
    {"exp negative", JOSE_RSA, RS, P_TIMES(",\"exp\":-1"), QN_TOKEN_CLAIMS},
    {"exp null", JOSE_RSA, RS, P_TIMES(",\"exp\":null"), QN_TOKEN_CLAIMS},
    {"exp true", JOSE_RSA, RS, P_TIMES(",\"exp\":true"), QN_TOKEN_CLAIMS},
    {"exp beyond 64 bits", JOSE_RSA, RS, P_TIMES(",\"exp\":18446744073709551616"), QN_TOKEN_CLAIMS},
    {"exp the largest integer", JOSE_RSA, RS, P_TIMES(",\"exp\":9223372036854775807"),
	QN_TOKEN_CLAIMS},
    {"exp after the year 9999", JOSE_RSA, RS, P_TIMES(",\"exp\":253402300800"), QN_TOKEN_CLAIMS},
    {"exp at the end of the year 9999", JOSE_RSA, RS, P_TIMES(",\"exp\":253402300799"), QN_OK},
    {"exp 0", JOSE_RSA, RS, P_TIMES(",\"exp\":0"), QN_TOKEN_EXPIRED},
    {"expired", JOSE_RSA, RS, P_TIMES(",\"exp\":1799990000"), QN_TOKEN_EXPIRED},
    {"expired by the skew", JOSE_RSA, RS, P_TIMES(",\"exp\":1799999940"), QN_TOKEN_EXPIRED},
    {"expired within the skew", JOSE_RSA, RS, P_TIMES(",\"exp\":1799999941"), QN_OK},
    {"nbf past", JOSE_RSA, RS, P_AND("\"nbf\":1700000000"), QN_OK},
    {"nbf within the skew", JOSE_RSA, RS, P_AND("\"nbf\":1800000060"), QN_OK},
    {"nbf beyond the skew", JOSE_RSA, RS, P_AND("\"nbf\":1800000061"), QN_TOKEN_EARLY},
    {"nbf a string", JOSE_RSA, RS, P_AND("\"nbf\":\"1700000000\""), QN_TOKEN_CLAIMS},
    {"nbf a float", JOSE_RSA, RS, P_AND("\"nbf\":1.5"), QN_TOKEN_CLAIMS},
    {"nbf huge", JOSE_RSA, RS, P_AND("\"nbf\":1e99"), QN_TOKEN_CLAIMS},
    {"iat past", JOSE_RSA, RS, P_AND("\"iat\":1799999000"), QN_OK},
    {"iat within the skew", JOSE_RSA, RS, P_AND("\"iat\":1800000060"), QN_OK},
    {"iat in the future", JOSE_RSA, RS, P_AND("\"iat\":1800000061"), QN_TOKEN_EARLY},
    {"iat negative", JOSE_RSA, RS, P_AND("\"iat\":-5"), QN_TOKEN_CLAIMS},
    {"iat a string", JOSE_RSA, RS, P_AND("\"iat\":\"1\""), QN_TOKEN_CLAIMS},

    /* audience: T3 */
    {"aud missing", JOSE_RSA, RS, P_AUD(""), QN_TOKEN_AUDIENCE},
    {"aud the second of ours", JOSE_RSA, RS, P_AUD(",\"aud\":\"quoin-2\""), QN_OK},
    {"aud another", JOSE_RSA, RS, P_AUD(",\"aud\":\"other\""), QN_TOKEN_AUDIENCE},
    {"aud longer", JOSE_RSA, RS, P_AUD(",\"aud\":\"quoin-22\""), QN_TOKEN_AUDIENCE},
    {"aud shorter", JOSE_RSA, RS, P_AUD(",\"aud\":\"quoi\""), QN_TOKEN_AUDIENCE},
    {"aud in capitals", JOSE_RSA, RS, P_AUD(",\"aud\":\"QUOIN\""), QN_TOKEN_AUDIENCE},
    {"aud empty", JOSE_RSA, RS, P_AUD(",\"aud\":\"\""), QN_TOKEN_AUDIENCE},
    {"aud null", JOSE_RSA, RS, P_AUD(",\"aud\":null"), QN_TOKEN_AUDIENCE},
    {"aud an object", JOSE_RSA, RS, P_AUD(",\"aud\":{\"quoin\":1}"), QN_TOKEN_AUDIENCE},
    {"aud a list with ours", JOSE_RSA, RS, P_AUD(",\"aud\":[\"other\",\"quoin\"]"), QN_OK},
    {"aud a list without ours", JOSE_RSA, RS, P_AUD(",\"aud\":[\"other\",\"another\"]"),
	QN_TOKEN_AUDIENCE},
    {"aud a list of nothing", JOSE_RSA, RS, P_AUD(",\"aud\":[]"), QN_TOKEN_AUDIENCE},
    {"aud a list with a number", JOSE_RSA, RS, P_AUD(",\"aud\":[\"quoin\",1]"), QN_TOKEN_AUDIENCE},
    {"aud a list in a list", JOSE_RSA, RS, P_AUD(",\"aud\":[[\"quoin\"]]"), QN_TOKEN_AUDIENCE},
    {"several aud and azp", JOSE_RSA, RS, P_AUD(",\"aud\":[\"quoin\",\"b\"],\"azp\":\"spa\""),
	QN_OK},
    {"several aud and azp a number", JOSE_RSA, RS, P_AUD(",\"aud\":[\"quoin\",\"b\"],\"azp\":1"),
	QN_TOKEN_CLAIMS},
    {"azp null", JOSE_RSA, RS, P_AND("\"azp\":null"), QN_TOKEN_CLAIMS},
    {"client_id a list", JOSE_RSA, RS, P_AND("\"client_id\":[\"spa\"]"), QN_TOKEN_CLAIMS},

    /* subject and the rest */
    {"sub missing", JOSE_RSA, RS, P_SUB(""), QN_TOKEN_CLAIMS},
    {"sub empty", JOSE_RSA, RS, P_SUB(",\"sub\":\"\""), QN_TOKEN_CLAIMS},
    {"sub a number", JOSE_RSA, RS, P_SUB(",\"sub\":42"), QN_TOKEN_CLAIMS},
    {"sub with a control byte", JOSE_RSA, RS, P_SUB(",\"sub\":\"a\\u001fb\""), QN_TOKEN_CLAIMS},
    {"sub with a line end", JOSE_RSA, RS, P_SUB(",\"sub\":\"a\\r\\n\""), QN_TOKEN_CLAIMS},
    {"sub with DEL", JOSE_RSA, RS, P_SUB(",\"sub\":\"a\x7f\""), QN_TOKEN_CLAIMS},
    {"sub of Auth0's form", JOSE_RSA, RS, P_SUB(",\"sub\":\"auth0|5f7c8ec7c33c6c004bbafe82\""),
	QN_OK},
    {"sub beyond ASCII", JOSE_RSA, RS, P_SUB(",\"sub\":\"J\u00f6rg\""), QN_OK},
    {"jti a number", JOSE_RSA, RS, P_AND("\"jti\":7"), QN_TOKEN_CLAIMS},
    {"jti empty", JOSE_RSA, RS, P_AND("\"jti\":\"\""), QN_TOKEN_CLAIMS},
};

static void test_signed_tokens(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(signed_cases); i++)
		expect(signed_cases[i].name,
		    judge(
			sign(signed_cases[i].by, signed_cases[i].header, signed_cases[i].payload)),
		    signed_cases[i].want);
}

/* Damage done to a good token's text. */
static char *last(char *s)
{
	return s + strlen(s) - 1;
}

static char *signature_of(char *token)
{
	return strrchr(token, '.') + 1;
}

static char *with_tail(char *token, const char *tail)
{
	return qn_printf(arena, "%s%s", token, tail);
}

static char *dot_behind(char *token)
{
	return with_tail(token, ".");
}

static char *padding(char *token)
{
	return with_tail(token, "==");
}

static char *four_parts(char *token)
{
	return with_tail(token, ".AAAA");
}

static char *line_end(char *token)
{
	return with_tail(token, "\n");
}

static char *space_within(char *token)
{
	char *sig = signature_of(token);

	return qn_printf(arena, "%.*s %s", (int)(sig + 4 - token), token, sig + 4);
}

static char *line_end_within(char *token)
{
	char *sig = signature_of(token);

	return qn_printf(arena, "%.*s\n%s", (int)(sig + 4 - token), token, sig + 4);
}

static char *bang_within(char *token)
{
	char *sig = signature_of(token);

	return qn_printf(arena, "%.*s!%s", (int)(sig + 4 - token), token, sig + 4);
}

static char *standard_alphabet(char *token)
{
	size_t n = strcspn(signature_of(token), "-_");
	char *p = signature_of(token) + n;

	assert_int_not_equal(*p, '\0');
	*p = *p == '-' ? '+' : '/';
	return token;
}

/* The last character of 256 bytes has four bits to spare. */
static char *spare_bits(char *token)
{
	assert_true(*last(token) == 'A' || *last(token) == 'Q' || *last(token) == 'g' ||
		    *last(token) == 'w');
	++*last(token);
	return token;
}

static char *other_signature(char *token)
{
	char *p = signature_of(token) + 5;

	*p = *p == 'x' ? 'y' : 'x';
	return token;
}

static char *other_payload(char *token)
{
	char *end = signature_of(token) - 1, *begin = strchr(token, '.') + 1;
	char json[] = "{" WHO "," EXP ",\"scope\":\"admin\"}", b64[2 * sizeof(json)];

	qn_b64url_encode(json, strlen(json), b64);
	return qn_printf(arena, "%.*s%s%s", (int)(begin - token), token, b64, end);
}

static char *no_signature(char *token)
{
	*signature_of(token) = '\0';
	return token;
}

static char *two_parts(char *token)
{
	signature_of(token)[-1] = '\0';
	return token;
}

static char *no_payload(char *token)
{
	return qn_printf(
	    arena, "%.*s.%s", (int)(strchr(token, '.') + 1 - token), token, signature_of(token));
}

static char *no_header(char *token)
{
	return strchr(token, '.');
}

static char *only_dots(char *token)
{
	(void)token;
	return qn_strdup(arena, "..");
}

static char *nothing(char *token)
{
	(void)token;
	return qn_strdup(arena, "");
}

static char *short_signature(char *token)
{
	signature_of(token)[4] = '\0';
	return token;
}

static char *bearer_before(char *token)
{
	return qn_printf(arena, "Bearer %s", token);
}

static char *twice(char *token)
{
	return qn_printf(arena, "%s,%s", token, token);
}

/* An ES256 signature replaced by these bytes. */
static char *resigned(char *token, const void *sig, size_t n)
{
	char b64[400];

	qn_b64url_encode(sig, n, b64);
	return qn_printf(arena, "%.*s%s", (int)(signature_of(token) - token), token, b64);
}

static void decode_es256(char *token, uint8_t rs[64])
{
	assert_int_equal(
	    qn_b64url_decode(signature_of(token), strlen(signature_of(token)), rs), 64);
}

static char *as_der(char *token)
{
	uint8_t rs[64 + 2], der[80], *p = der;
	ECDSA_SIG *sig = ECDSA_SIG_new();

	decode_es256(token, rs);
	assert_int_equal(
	    ECDSA_SIG_set0(sig, BN_bin2bn(rs, 32, NULL), BN_bin2bn(rs + 32, 32, NULL)), 1);
	int n = i2d_ECDSA_SIG(sig, &p);
	ECDSA_SIG_free(sig);
	return resigned(token, der, (size_t)n);
}

static char *r_zero(char *token)
{
	uint8_t rs[64 + 2];

	decode_es256(token, rs);
	memset(rs, 0, 32);
	return resigned(token, rs, 64);
}

static char *s_zero(char *token)
{
	uint8_t rs[64 + 2];

	decode_es256(token, rs);
	memset(rs + 32, 0, 32);
	return resigned(token, rs, 64);
}

static char *all_zero(char *token)
{
	uint8_t rs[64] = {0};

	return resigned(token, rs, 64);
}

static const struct {
	const char *name;
	enum jose_by by;
	const char *header;
	char *(*damage)(char *token);
	enum qn_err want;
} damaged_cases[] = {
    {"trailing dot", JOSE_RSA, RS, dot_behind, QN_TOKEN_MALFORMED},
    {"padding", JOSE_RSA, RS, padding, QN_TOKEN_MALFORMED},
    {"four parts", JOSE_RSA, RS, four_parts, QN_TOKEN_MALFORMED},
    {"line end behind", JOSE_RSA, RS, line_end, QN_TOKEN_MALFORMED},
    {"space in the signature", JOSE_RSA, RS, space_within, QN_TOKEN_MALFORMED},
    {"line end in the signature", JOSE_RSA, RS, line_end_within, QN_TOKEN_MALFORMED},
    {"! in the signature", JOSE_RSA, RS, bang_within, QN_TOKEN_MALFORMED},
    {"standard alphabet", JOSE_RSA, RS, standard_alphabet, QN_TOKEN_MALFORMED},
    {"spare bits", JOSE_RSA, RS, spare_bits, QN_TOKEN_MALFORMED},
    {"changed signature", JOSE_RSA, RS, other_signature, QN_TOKEN_SIGNATURE},
    {"changed signature, ES256", JOSE_EC, ES, other_signature, QN_TOKEN_SIGNATURE},
    {"changed signature, EdDSA", JOSE_ED, ED, other_signature, QN_TOKEN_SIGNATURE},
    {"changed payload", JOSE_RSA, RS, other_payload, QN_TOKEN_SIGNATURE},
    {"changed payload, ES256", JOSE_EC, ES, other_payload, QN_TOKEN_SIGNATURE},
    {"changed payload, EdDSA", JOSE_ED, ED, other_payload, QN_TOKEN_SIGNATURE},
    {"no signature", JOSE_RSA, RS, no_signature, QN_TOKEN_MALFORMED},
    {"no signature, alg none", JOSE_RSA, "{\"alg\":\"none\",\"kid\":\"rsa\"}", no_signature,
	QN_TOKEN_MALFORMED},
    {"two parts", JOSE_RSA, RS, two_parts, QN_TOKEN_MALFORMED},
    {"no payload", JOSE_RSA, RS, no_payload, QN_TOKEN_MALFORMED},
    {"no header", JOSE_RSA, RS, no_header, QN_TOKEN_MALFORMED},
    {"only dots", JOSE_RSA, RS, only_dots, QN_TOKEN_MALFORMED},
    {"nothing", JOSE_RSA, RS, nothing, QN_TOKEN_MALFORMED},
    {"short signature", JOSE_RSA, RS, short_signature, QN_TOKEN_SIGNATURE},
    {"short signature, ES256", JOSE_EC, ES, short_signature, QN_TOKEN_SIGNATURE},
    {"short signature, EdDSA", JOSE_ED, ED, short_signature, QN_TOKEN_SIGNATURE},
    {"Bearer before", JOSE_RSA, RS, bearer_before, QN_TOKEN_MALFORMED},
    {"two of them", JOSE_RSA, RS, twice, QN_TOKEN_MALFORMED},
    {"ES256 as DER", JOSE_EC, ES, as_der, QN_TOKEN_SIGNATURE},
    {"r zero", JOSE_EC, ES, r_zero, QN_TOKEN_SIGNATURE},
    {"s zero", JOSE_EC, ES, s_zero, QN_TOKEN_SIGNATURE},
    {"both zero", JOSE_EC, ES, all_zero, QN_TOKEN_SIGNATURE},
    {"both zero, EdDSA", JOSE_ED, ED, all_zero, QN_TOKEN_SIGNATURE},
};

static void test_damaged_tokens(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(damaged_cases); i++) {
		char *token = sign(damaged_cases[i].by, damaged_cases[i].header, P);
		expect(damaged_cases[i].name, judge(damaged_cases[i].damage(token)),
		    damaged_cases[i].want);
	}
}

static void test_lengths(void **state)
{
	static const struct {
		const char *name, *claim;
		size_t n;
		enum qn_err want;
	} cases[] = {
	    {"sub of 255 bytes", "sub", 255, QN_OK},
	    {"sub of 256 bytes", "sub", 256, QN_TOKEN_CLAIMS},
	    {"jti of 255 bytes", "jti", 255, QN_OK},
	    {"jti of 256 bytes", "jti", 256, QN_TOKEN_CLAIMS},
	    {"azp of 256 bytes", "azp", 256, QN_TOKEN_CLAIMS},
	    {"a large token", "x", 5000, QN_OK},
	    {"too large a token", "x", 6000, QN_TOKEN_MALFORMED},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[8192];
		memset(text, 'a', sizeof(text));
		bool is_sub = strcmp(cases[i].claim, "sub") == 0;
		char *payload = qn_printf(arena,
		    "{\"iss\":\"" ISS "\",\"aud\":\"quoin\"," EXP ",%s\"%s\":\"%.*s\"}",
		    is_sub ? "" : "\"sub\":\"u1\",", cases[i].claim, (int)cases[i].n, text);
		expect(cases[i].name, judge(sign(JOSE_EC, ES, payload)), cases[i].want);
	}
}

/* One byte more than the cap, all else well. */
static void test_length_cap_is_exact(void **state)
{
	size_t longest = 0;

	(void)state;
	for (size_t n = 5700; n < 6100; n++) {
		char *pad = qn_alloc(arena, n + 1);
		memset(pad, 'a', n);
		char *token = sign(JOSE_EC, ES, qn_printf(arena, P_AND("\"x\":\"%s\""), pad));
		size_t len = strlen(token);
		expect(
		    "a long token", judge(token), len <= QN_TOKEN_MAX ? QN_OK : QN_TOKEN_MALFORMED);
		if (len <= QN_TOKEN_MAX)
			longest = len;
		else
			break;
		qn_arena_reset(arena);
	}
	assert_true(longest >= QN_TOKEN_MAX - 1);
}

/* Every byte of a token, changed: it is never the same token afterwards. */
static void test_no_byte_is_free(void **state)
{
	char *token = sign(JOSE_EC, "{\"alg\":\"ES256\",\"kid\":\"ec\",\"typ\":\"JWT\"}", P);
	static const char others[] = "A.=+/-_ \n!z";

	(void)state;
	assert_int_equal(judge(token), QN_OK);
	for (size_t i = 0; token[i] != '\0'; i++) {
		char was = token[i];
		for (size_t k = 0; k < sizeof(others) - 1; k++) {
			token[i] = others[k];
			if (token[i] != was && judge(token) == QN_OK)
				fail_msg("byte %zu as '%c'", i, others[k]);
		}
		token[i] = was;
	}
}

static const char *const clients[] = {"spa", "cli", NULL};
static const char *const no_clients[] = {NULL};

static const struct {
	const char *name;
	struct qn_issuer_policy policy;
	const char *header, *payload;
	enum qn_err want;
} policy_cases[] = {
    {"all zero", {0}, ES, P, QN_TOKEN_ISSUER},
    {"no audience", {.issuer = ISS, .algs = ANY_ALG}, ES, P, QN_TOKEN_AUDIENCE},
    {"no algorithm", {.issuer = ISS, .audiences = {"quoin"}}, ES, P, QN_TOKEN_ALGORITHM},
    {"another algorithm", {.issuer = ISS, .audiences = {"quoin"}, .algs = QN_ALG_BIT(QN_ALG_RS256)},
	ES, P, QN_TOKEN_ALGORITHM},
    {"this algorithm", {.issuer = ISS, .audiences = {"quoin"}, .algs = QN_ALG_BIT(QN_ALG_ES256)},
	ES, P, QN_OK},
    {"audience in the last place",
	{.issuer = ISS, .audiences = {"1", "2", "3", "4", "5", "6", "7", "quoin"}, .algs = ANY_ALG},
	ES, P, QN_OK},
    {"no skew, exp now", {.issuer = ISS, .audiences = {"quoin"}, .algs = ANY_ALG}, ES,
	P_TIMES(",\"exp\":1800000000"), QN_TOKEN_EXPIRED},
    {"no skew, exp in a second", {.issuer = ISS, .audiences = {"quoin"}, .algs = ANY_ALG}, ES,
	P_TIMES(",\"exp\":1800000001"), QN_OK},
    {"no skew, iat now", {.issuer = ISS, .audiences = {"quoin"}, .algs = ANY_ALG}, ES,
	P_AND("\"iat\":1800000000"), QN_OK},
    {"no skew, iat in a second", {.issuer = ISS, .audiences = {"quoin"}, .algs = ANY_ALG}, ES,
	P_AND("\"iat\":1800000001"), QN_TOKEN_EARLY},
    {"too wide a skew", {.issuer = ISS, .audiences = {"quoin"}, .algs = ANY_ALG, .skew_s = 100000},
	ES, P_TIMES(",\"exp\":1799999940"), QN_TOKEN_EXPIRED},
    {"the widest skew there is",
	{.issuer = ISS, .audiences = {"quoin"}, .algs = ANY_ALG, .skew_s = UINT32_MAX}, ES,
	P_AND("\"nbf\":1800000061"), QN_TOKEN_EARLY},
    {"access token wanted, has none",
	{.issuer = ISS, .audiences = {"quoin"}, .algs = ANY_ALG, .typ = QN_TYP_ACCESS}, ES, P,
	QN_TOKEN_CLAIMS},
    {"access token wanted, is JWT",
	{.issuer = ISS, .audiences = {"quoin"}, .algs = ANY_ALG, .typ = QN_TYP_ACCESS},
	"{\"alg\":\"ES256\",\"kid\":\"ec\",\"typ\":\"JWT\"}", P, QN_TOKEN_CLAIMS},
    {"access token wanted and given",
	{.issuer = ISS, .audiences = {"quoin"}, .algs = ANY_ALG, .typ = QN_TYP_ACCESS},
	"{\"alg\":\"ES256\",\"kid\":\"ec\",\"typ\":\"at+jwt\"}", P, QN_OK},
    {"JWT wanted, is access token",
	{.issuer = ISS, .audiences = {"quoin"}, .algs = ANY_ALG, .typ = QN_TYP_JWT},
	"{\"alg\":\"ES256\",\"kid\":\"ec\",\"typ\":\"at+jwt\"}", P, QN_TOKEN_CLAIMS},
    {"client listed", {.issuer = ISS, .audiences = {"quoin"}, .algs = ANY_ALG, .clients = clients},
	ES, P_AND("\"azp\":\"cli\""), QN_OK},
    {"client listed by client_id",
	{.issuer = ISS, .audiences = {"quoin"}, .algs = ANY_ALG, .clients = clients}, ES,
	P_AND("\"client_id\":\"spa\""), QN_OK},
    {"client not listed",
	{.issuer = ISS, .audiences = {"quoin"}, .algs = ANY_ALG, .clients = clients}, ES,
	P_AND("\"azp\":\"evil\""), QN_TOKEN_CLAIMS},
    {"one of two not listed",
	{.issuer = ISS, .audiences = {"quoin"}, .algs = ANY_ALG, .clients = clients}, ES,
	P_AND("\"azp\":\"spa\",\"client_id\":\"evil\""), QN_TOKEN_CLAIMS},
    {"client missing", {.issuer = ISS, .audiences = {"quoin"}, .algs = ANY_ALG, .clients = clients},
	ES, P, QN_TOKEN_CLAIMS},
    {"no client allowed",
	{.issuer = ISS, .audiences = {"quoin"}, .algs = ANY_ALG, .clients = no_clients}, ES,
	P_AND("\"azp\":\"spa\""), QN_TOKEN_CLAIMS},
    /* CONTRACT A1: Auth0 ends its issuer with a slash */
    {"Auth0",
	{.issuer = "https://fig.eu.auth0.com/",
	    .audiences = {"https://api.fig-nodes.example"},
	    .algs = QN_ALG_BIT(QN_ALG_RS256),
	    .skew_s = 60},
	RS,
	"{\"iss\":\"https://fig.eu.auth0.com/\",\"sub\":\"auth0|5f7c8ec7\",\"aud\":[\"https://api.fig-nodes.example\","
	"\"https://fig.eu.auth0.com/userinfo\"],\"iat\":1799999990,\"exp\":1800086390,\"azp\":\"my_client\",\"scope\":\"openid\"}",
	QN_OK},
    /* CONTRACT A3 */
    {"Firebase",
	{.issuer = "https://securetoken.google.com/fig-prod",
	    .audiences = {"fig-prod"},
	    .algs = QN_ALG_BIT(QN_ALG_RS256),
	    .skew_s = 60},
	RS,
	"{\"iss\":\"https://securetoken.google.com/fig-prod\",\"aud\":\"fig-prod\",\"auth_time\":1799999000,\"user_id\":\"Zx9\","
	"\"sub\":\"Zx9\",\"iat\":1799999990,\"exp\":1800003590,\"email\":\"a@b.example\",\"email_verified\":true,"
	"\"firebase\":{\"identities\":{\"email\":[\"a@b.example\"]},\"sign_in_provider\":\"password\"}}",
	QN_OK},
    {"another Firebase project",
	{.issuer = "https://securetoken.google.com/fig-prod",
	    .audiences = {"fig-prod"},
	    .algs = QN_ALG_BIT(QN_ALG_RS256)},
	RS,
	"{\"iss\":\"https://securetoken.google.com/fig-prod2\",\"aud\":\"fig-prod\",\"sub\":\"Zx9\",\"exp\":1800003590}",
	QN_TOKEN_ISSUER},
};

static void test_policies(void **state)
{
	struct qn_claims c;

	(void)state;
	for (size_t i = 0; i < COUNT(policy_cases); i++)
		expect(policy_cases[i].name,
		    judge_by(sign(strcmp(policy_cases[i].header, RS) == 0 ? JOSE_RSA : JOSE_EC,
				 policy_cases[i].header, policy_cases[i].payload),
			&policy_cases[i].policy, &c),
		    policy_cases[i].want);
}

static void test_what_is_read(void **state)
{
	struct qn_claims c;
	struct qn_token t;
	int64_t n;
	char *token = sign(JOSE_RSA, RS_AND("\"typ\":\"application/at+jwt\""),
	    P_AND(
		"\"iat\":1799999000,\"jti\":\"j1\",\"scope\":\"a b\",\"email\":\"a@b.example\",\"email_verified\":true,"
		"\"name\":\"A \\u00dc \\ud83d\\ude00\",\"client_id\":\"cli\",\"org\":{\"n\":1},\"n\":7"));

	(void)state;
	assert_int_equal(qn_token_open(arena, qn_span_of(token), &t), QN_OK);
	assert_string_equal(t.alg, "RS256");
	assert_string_equal(t.kid, "rsa");
	assert_string_equal(t.iss, ISS);
	assert_int_equal(t.signature.n, 256);
	assert_int_equal(t.signed_text.n, strrchr(token, '.') - token);
	assert_int_equal(qn_token_verify(&t, &policy, keys, NOW * S, &c), QN_OK);
	assert_string_equal(c.iss, ISS);
	assert_string_equal(c.sub, "u1");
	assert_string_equal(c.jti, "j1");
	assert_string_equal(c.client, "cli");
	assert_string_equal(c.scope, "a b");
	assert_string_equal(c.email, "a@b.example");
	assert_string_equal(c.name, "A \u00dc \U0001f600");
	assert_true(c.email_verified);
	assert_true(c.exp == 1800000600 * S && c.iat == 1799999000 * S);
	assert_int_equal(c.typ, QN_TYP_ACCESS);
	assert_true(qn_json_i64(qn_json_get(&c.all, "n"), &n) && n == 7);
}

/* Only the JSON value true verifies an address; a claim of the profile that is odd is not there
 * (T4). */
static void test_odd_profiles(void **state)
{
	static const struct {
		const char *more;
		bool email, verified, name, scope;
	} cases[] = {
	    {"\"x\":1", false, false, false, false},
	    {"\"email\":\"a@b.example\"", true, false, false, false},
	    {"\"email\":\"a@b.example\",\"email_verified\":false", true, false, false, false},
	    {"\"email\":\"a@b.example\",\"email_verified\":\"true\"", true, false, false, false},
	    {"\"email\":\"a@b.example\",\"email_verified\":1", true, false, false, false},
	    {"\"email\":\"a@b.example\",\"email_verified\":[true]", true, false, false, false},
	    {"\"email\":\"a@b.example\",\"email_verified\":true", true, true, false, false},
	    {"\"email_verified\":true", false, false, false, false},
	    {"\"email\":null,\"email_verified\":true", false, false, false, false},
	    {"\"email\":[\"a@b.example\"],\"email_verified\":true", false, false, false, false},
	    {"\"email\":\"\",\"email_verified\":true", false, false, false, false},
	    {"\"email\":\"a@b.example\\r\\nBcc: c@d.example\",\"email_verified\":true", false,
		false, false, false},
	    {"\"name\":\"N\",\"scope\":\"s\"", false, false, true, true},
	    {"\"name\":{\"first\":\"N\"},\"scope\":[\"s\"]", false, false, false, false},
	};
	struct qn_claims c = {0};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *token = sign(JOSE_EC, ES, qn_printf(arena, P_AND("%s"), cases[i].more));
		expect(cases[i].more, judge_by(token, &policy, &c), QN_OK);
		if ((c.email != NULL) != cases[i].email || c.email_verified != cases[i].verified ||
		    (c.name != NULL) != cases[i].name || (c.scope != NULL) != cases[i].scope)
			fail_msg("%s", cases[i].more);
		assert_true(c.iat == QN_TIME_NULL && c.jti == NULL && c.client == NULL);
	}
}

/* *ret is written only on QN_OK, and without keys there is none of that name. */
static void test_failures_write_nothing(void **state)
{
	struct qn_claims c, same;
	struct qn_token t, as_before;

	(void)state;
	memset(&c, 0x5a, sizeof(c));
	memset(&same, 0x5a, sizeof(same));
	memset(&t, 0x5a, sizeof(t));
	memset(&as_before, 0x5a, sizeof(as_before));
	assert_int_equal(qn_token_open(arena, (struct qn_span){NULL, 0}, &t), QN_TOKEN_MALFORMED);
	assert_int_equal(qn_token_open(arena, QN_SPAN_LIT("a.b.c"), &t), QN_TOKEN_MALFORMED);
	assert_memory_equal(&t, &as_before, sizeof(t));
	assert_int_equal(qn_token_open(arena, qn_span_of(sign(JOSE_EC, ES, P_SUB(""))), &t), QN_OK);
	assert_int_equal(qn_token_verify(&t, &policy, NULL, NOW * S, &c), QN_KEY_UNKNOWN);
	assert_int_equal(qn_token_verify(&t, &policy, keys, NOW * S, &c), QN_TOKEN_CLAIMS);
	assert_memory_equal(&c, &same, sizeof(c));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_signed_tokens),
	    TEST(test_damaged_tokens),
	    TEST(test_lengths),
	    TEST(test_length_cap_is_exact),
	    TEST(test_no_byte_is_free),
	    TEST(test_policies),
	    TEST(test_what_is_read),
	    TEST(test_odd_profiles),
	    TEST(test_failures_write_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
