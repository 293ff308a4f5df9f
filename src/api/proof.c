/* What programs need to prove licences by themselves (CONTRACT X10, X11). The licences are others' business. */
#include "api.h"
#include "quoin/base/rand.h"

enum { FRESH_S = 3600, TAG_BYTES = 16 };

/*
 * A JWK Set (RFC 7517, RFC 8037), as every client that knows key ids expects one; apart from jwks.json, so that nobody
 * takes a token that a licence key has signed. A new key is in it before it signs; signed on request, so that a
 * program that knows one key can learn the next.
 */
static enum qn_err keys_get(struct qn_request *r)
{
	uint8_t digest[QN_SHA256_LEN];
	char tag[2 * TAG_BYTES + 1];

	r->raw = qn_span_of(r->who.app->proof_jwks);
	qn_sha256(r->raw.p, r->raw.n, digest);
	qn_hex(digest, TAG_BYTES, tag);
	r->etag = qn_printf(r->arena, "\"%s\"", tag);
	return QN_OK;
}

static const struct qn_route routes[] = {
    {QN_GET, "/.well-known/quoin-licence-keys.json", "license.keys",
	"Show the keys that this app's licence files and signed replies are proved with.",
	.pool = QN_POOL_API, .auth = QN_AUTH_PUBLIC, .flags = QN_R_ETAG | QN_R_SIGNED,
	.missing = QN_NOT_FOUND, .content_type = "application/jwk-set+json", .fresh_s = FRESH_S,
	.handler = keys_get},
};
API_TABLE(proof_table, routes);
