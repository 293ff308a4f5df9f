/*
 * Tokens, key sets and sealed texts from outside. The first byte of the input says what the rest
 * is: j  a JWK Set; whatever keys it has judge a signature t  a compact token s  header and payload
 * with a line end between, properly signed (ES256), so that the claims are reached x  a sealed text
 * What must hold beside not crashing is asserted.
 */
#include <openssl/err.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/jose.h"
#include "quoin/auth/seal.h"
#include "quoin/auth/signkey.h"
#include "quoin/auth/token.h"
#include "quoin/base/rand.h"

#define NOW (1800000000LL * 1000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct qn_arena *arena;
static struct qn_jwks *keys;

#define ALL_ALGS (QN_ALG_BIT(QN_ALG_RS256) | QN_ALG_BIT(QN_ALG_ES256) | QN_ALG_BIT(QN_ALG_EDDSA))

static const char *const clients[] = {"c", "d", NULL};

static const struct qn_issuer_policy policies[] = {
    {.issuer = "i", .audiences = {"a", "b"}, .algs = ALL_ALGS, .skew_s = 60},
    {.issuer = "i",
	.audiences = {"b"},
	.algs = QN_ALG_BIT(QN_ALG_ES256),
	.typ = QN_TYP_ACCESS,
	.clients = clients},
};

static void must(int ok)
{
	if (!ok)
		abort();
}

static void fuzz_set(struct qn_span text)
{
	const char *why = NULL;
	struct qn_jwks *set = qn_jwks_parse(text, &why);
	uint8_t sig[64] = {0};

	must((set == NULL) == (why != NULL));
	sig[31] = sig[63] = 1;
	static const char *const kids[] = {"a", "b", "rsa", "ec", "ed"};
	for (size_t i = 0; set != NULL && i < sizeof(kids) / sizeof(kids[0]); i++) {
		const struct qn_key *key = qn_jwks_find(set, qn_span_of(kids[i]));
		if (key == NULL)
			continue;
		must(qn_key_alg(key) > QN_ALG_NONE && qn_key_alg(key) < QN_ALG__MAX);
		(void)!qn_key_verify(key, text, (struct qn_span){(char *)sig, sizeof(sig)});
	}
	qn_jwks_free(set);
}

static void verify(const struct qn_token *t, const struct qn_issuer_policy *p)
{
	qn_time skew = p->skew_s * 1000000LL;
	struct qn_claims c;
	enum qn_err err = qn_token_verify(t, p, keys, NOW, &c);

	must(err == QN_OK || qn_err_status(err) == 401);
	if (err != QN_OK)
		return;
	must(strcmp(c.iss, "i") == 0 && c.sub[0] != '\0' && strlen(c.sub) <= QN_SUB_MAX);
	must(c.exp > NOW - skew && (c.iat == QN_TIME_NULL || c.iat <= NOW + skew));
	must(!c.email_verified || c.email != NULL);
	must(qn_json_get(&c.all, "aud").p != NULL);
	must(p->typ == QN_TYP_ANY || p->typ == c.typ);
	must(p->clients == NULL || c.client[0] == 'c' || c.client[0] == 'd');
}

static void fuzz_compact(struct qn_span text)
{
	struct qn_token t;
	enum qn_err err = qn_token_open(arena, text, &t);

	must(err == QN_OK || err == QN_TOKEN_MALFORMED || err == QN_TOKEN_ISSUER);
	if (err != QN_OK)
		return;
	must(text.n <= QN_TOKEN_MAX && t.signature.n > 0 && t.iss[0] != '\0');
	must(t.signed_text.p == text.p && text.p[t.signed_text.n] == '.');
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++)
		verify(&t, &policies[i]);
}

static void fuzz_signed(struct qn_span text)
{
	const char *end = memchr(text.p, '\n', text.n);

	if (end == NULL)
		return;
	struct qn_span header = {text.p, (size_t)(end - text.p)},
		       payload = {end + 1, text.n - header.n - 1};
	fuzz_compact(qn_span_of(jose_sign(arena, JOSE_EC, header, payload)));
}

static void fuzz_sealed(struct qn_span text)
{
	static const struct qn_secret secret = {1, {"0123456789abcdef0123456789abcdef", 32}};

	uint8_t *out = malloc(text.n + 1); /* of just this size, so that a byte too many is seen */
	(void)!qn_unseal(&secret, "test", QN_SPAN_LIT("row 7"), text, out);
	free(out);
	qn_signing_key_free(qn_signing_key_unseal(
	    &secret, QN_SPAN_LIT("oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"), text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (arena == NULL) {
		arena = qn_arena_new((size_t)32 << 20);
		keys = qn_jwks_parse(QN_SPAN_LIT(JOSE_JWKS), NULL);
		must(keys != NULL);
	}
	if (size == 0)
		return 0;
	char *copy = malloc(size); /* ends where its memory ends */
	memcpy(copy, data + 1, size - 1);
	struct qn_span text = {copy, size - 1};
	switch (data[0]) {
	case 'j':
		fuzz_set(text);
		break;
	case 't':
		fuzz_compact(text);
		break;
	case 's':
		fuzz_signed(text);
		break;
	case 'x':
		fuzz_sealed(text);
		break;
	default:
		break;
	}
	must(ERR_peek_error() == 0);
	free(copy);
	qn_arena_reset(arena);
	return 0;
}
