#include "quoin/auth/issue.h"

#include <stdint.h>
#include <stdio.h>

#include "quoin/base/buf.h"
#include "quoin/base/rand.h"

#define SECOND 1000000LL

static bool given(const char *s)
{
	return s != NULL && s[0] != '\0';
}

static void add_str(struct qn_buf *b, const char *name, const char *value)
{
	if (value == NULL)
		return;
	qn_buf_printf(b, ",\"%s\":", name);
	qn_buf_json(b, value, strlen(value));
}

static void add_claims(struct qn_buf *b, const struct qn_claims_out *c)
{
	char jti[QN_UUID_LEN + 1];

	qn_buf_printf(b, "{\"iat\":%lld,\"exp\":%lld", (long long)(c->iat / SECOND),
	    (long long)(c->exp / SECOND));
	add_str(b, "iss", c->iss);
	add_str(b, "sub", c->sub);
	add_str(b, "aud", c->aud);
	if (c->jti == NULL)
		qn_uuid_new(jti);
	add_str(b, "jti", c->jti != NULL ? c->jti : jti);
	add_str(b, "azp", c->client);
	add_str(b, "scope", c->scope);
	add_str(b, "email", c->email);
	if (c->email != NULL)
		qn_buf_printf(b, ",\"email_verified\":%s", c->email_verified ? "true" : "false");
	add_str(b, "name", c->name);
	if (c->more.n != 0) {
		qn_buf_char(b, ',');
		qn_buf_add(b, c->more.p, c->more.n);
	}
	qn_buf_char(b, '}');
}

/* header.payload.signature, in the arena: the heap never sees a token. NULL when OpenSSL failed. */
static char *join(struct qn_arena *a, const struct qn_signing_key *k, enum qn_token_typ typ,
    struct qn_span payload, size_t *ret_n)
{
	char header[128];
	uint8_t sig[QN_SIGNATURE_LEN];
	int header_n =
	    snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"typ\":\"%s\",\"kid\":\"%s\"}",
		typ == QN_TYP_ACCESS ? "at+jwt" : "JWT", qn_signing_key_kid(k));
	char *token = qn_alloc(a, 4 * (sizeof(header) + payload.n + sizeof(sig)) / 3 + 8);
	size_t n = qn_b64url_encode(header, (size_t)header_n, token);

	token[n++] = '.';
	n += qn_b64url_encode(payload.p, payload.n, token + n);
	if (!qn_signing_key_sign(k, (struct qn_span){token, n}, sig))
		return NULL;
	token[n++] = '.';
	*ret_n = n + qn_b64url_encode(sig, sizeof(sig), token + n);
	return token;
}

enum qn_err qn_token_issue(struct qn_arena *a, const struct qn_signing_key *k,
    const struct qn_claims_out *c, const char **ret)
{
	struct qn_buf payload;
	struct qn_token check;
	char *token = NULL;
	size_t n = 0;

	if (!given(c->iss) || !given(c->sub) || !given(c->aud) || c->iat < 0 || c->exp <= c->iat ||
	    (c->typ != QN_TYP_ACCESS && c->typ != QN_TYP_JWT))
		return QN_INTERNAL;
	qn_buf_init(&payload, QN_TOKEN_MAX);
	add_claims(&payload, c);
	if (!payload.over)
		token = join(a, k, c->typ, (struct qn_span){payload.p, payload.n}, &n);
	qn_buf_done(&payload);
	if (token == NULL || qn_token_open(a, (struct qn_span){token, n}, &check) != QN_OK)
		return QN_INTERNAL;
	*ret = token;
	return QN_OK;
}
