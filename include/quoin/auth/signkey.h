/*
 * Keys that Quoin itself signs tokens with: ES256 (P-256). The public half is published as a JWK,
 * the private half is stored sealed and leaves the process in no other form.
 */
#ifndef QUOIN_AUTH_SIGNKEY_H
#define QUOIN_AUTH_SIGNKEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "quoin/auth/seal.h"
#include "quoin/base/buf.h"
#include "quoin/base/span.h"

#define QN_SIGNING_KID_LEN    43 /* a kid is the key's thumbprint (RFC 7638) in base64url */
#define QN_SIGNATURE_LEN      64 /* r||s */
#define QN_SIGNKEY_SEALED_MAX 256

struct qn_signing_key; /* heap object; freeing it wipes the private half */

/* A new key; the caller owns it. NULL: OpenSSL failed. */
struct qn_signing_key *qn_signing_key_new(void) __attribute__((warn_unused_result));
void qn_signing_key_free(struct qn_signing_key *k);

const char *qn_signing_key_kid(const struct qn_signing_key *k); /* lives as long as the key */

/* Adds the public half, one JSON object (kty, crv, x, y, use, alg, kid): an element of "keys". */
void qn_signing_key_jwk(const struct qn_signing_key *k, struct qn_buf *out);

/*
 * The private half (PKCS #8) sealed with the kid as its context, so a row's text opens for no other
 * row. Returns the bytes written to `out`; 0: OpenSSL failed.
 */
size_t qn_signing_key_seal(const struct qn_signing_key *k, const struct qn_secret *secret,
    uint8_t out[QN_SIGNKEY_SEALED_MAX]) __attribute__((warn_unused_result));

/*
 * The caller owns the result. NULL when the text does not open, or holds another key than the kid
 * says.
 */
struct qn_signing_key *qn_signing_key_unseal(const struct qn_secret *secret, struct qn_span kid,
    struct qn_span sealed) __attribute__((warn_unused_result));

/* The ES256 signature of `text`. false: OpenSSL failed. */
bool qn_signing_key_sign(const struct qn_signing_key *k, struct qn_span text,
    uint8_t out[QN_SIGNATURE_LEN]) __attribute__((warn_unused_result));

#endif
