/*
 * Public keys of those whose tokens we accept, from their JWK Set (RFC 7517). The algorithm belongs
 * to the key and is fixed when the set is read: no token can choose it (SECURITY T1).
 */
#ifndef QUOIN_AUTH_JWK_H
#define QUOIN_AUTH_JWK_H

#include <stdbool.h>
#include <stddef.h>

#include "quoin/base/span.h"

enum qn_alg { QN_ALG_NONE, QN_ALG_RS256, QN_ALG_ES256, QN_ALG_EDDSA, QN_ALG__MAX };
#define QN_ALG_BIT(alg) (1u << (alg))

const char *qn_alg_name(enum qn_alg alg);     /* "RS256", as in a header; "" for QN_ALG_NONE */
enum qn_alg qn_alg_by_name(const char *name); /* exact; QN_ALG_NONE for every other name and NULL */

#define QN_JWKS_BYTES ((size_t)256 * 1024) /* a longer text is refused */
#define QN_JWKS_KEYS  64                   /* a set with more entries is refused */
#define QN_KID_MAX    255                  /* bytes */

struct qn_jwks; /* heap object; nothing in it changes after it was read */
struct qn_key;  /* lives as long as its set */

/*
 * Reads a JWK Set. The text must be one JSON object without duplicate members, "keys" an array of
 * objects; whatever else is in it is ignored, and so is every key that we have no use for:
 *   - without a kid of 1 to QN_KID_MAX bytes, with a "use" other than "sig", or with "key_ops" that
 *     lack "verify";
 *   - of another kind than RSA (2048 to 8192 bits, e odd, 3 to 2^64-1), EC P-256 (a point on the
 *     curve) and OKP Ed25519, or damaged;
 *   - whose "alg" is not RS256, ES256 or EdDSA, as its kind demands; it may be absent;
 *   - with private members: it is no secret any more.
 * Usable keys that share a kid are all left out: the name says nothing, and to take the first or
 * the last would be our choice, not the issuer's. (An ignored key takes no name away.)
 *
 * The caller owns the result. NULL when the text is refused or holds no usable key; then *ret_why,
 * unless ret_why is NULL, is a static sentence that may be shown to an operator.
 */
struct qn_jwks *qn_jwks_parse(struct qn_span text, const char **ret_why)
    __attribute__((warn_unused_result));
void qn_jwks_free(struct qn_jwks *set);

/* NULL when there is none, and for a NULL set. */
const struct qn_key *qn_jwks_find(const struct qn_jwks *set, struct qn_span kid);

enum qn_alg qn_key_alg(const struct qn_key *key);

/*
 * Whether `signature` is the key's over `text`, by the key's own algorithm. ES256 takes r||s of 64
 * bytes (RFC 7518 §3.4) and nothing else. false also when OpenSSL fails; its error queue is left
 * empty.
 */
bool qn_key_verify(const struct qn_key *key, struct qn_span text, struct qn_span signature)
    __attribute__((warn_unused_result));

#endif
