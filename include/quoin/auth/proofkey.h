/*
 * Keys that licences are proved with (CONTRACT X10, X11; SECURITY T22): Ed25519, one per app, so that a proof of one
 * product is none of another. The public half is built into the vendor's programs and published as a JWK (RFC 8037);
 * the private half is stored sealed and leaves the process in no other form.
 *
 * libsodium signs: it takes 21 us where OpenSSL 3.0 takes 55 (measured), and signed replies are on the hot path. The
 * programs that verify use OpenSSL and Web Cryptography, so each signature is seen by two implementations.
 */
#ifndef QUOIN_AUTH_PROOFKEY_H
#define QUOIN_AUTH_PROOFKEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "quoin/auth/seal.h"
#include "quoin/base/buf.h"
#include "quoin/base/span.h"

#define QN_PROOFKEY_KID_LEN    43 /* a kid is the key's thumbprint (RFC 7638) in base64url */
#define QN_PROOF_SIG_LEN       64
#define QN_PROOFKEY_SEED_LEN   32
#define QN_PROOFKEY_SEALED_LEN (QN_PROOFKEY_SEED_LEN + QN_SEAL_OVERHEAD)

struct qn_proof_key; /* heap object; freeing it wipes the private half */

/* A new key; the caller owns it. */
struct qn_proof_key *qn_proof_key_new(void) __attribute__((warn_unused_result, returns_nonnull));
void qn_proof_key_free(struct qn_proof_key *k);

const char *qn_proof_key_kid(const struct qn_proof_key *k); /* lives as long as the key */

/* Adds the public half, one JSON object (kty, crv, x, use, alg, kid): an element of "keys". */
void qn_proof_key_jwk(const struct qn_proof_key *k, struct qn_buf *out);

/* The seed sealed with the kid as its context, so a row's text opens for no other row. false: OpenSSL failed. */
bool qn_proof_key_seal(const struct qn_proof_key *k, const struct qn_secret *secret,
    uint8_t out[QN_PROOFKEY_SEALED_LEN]) __attribute__((warn_unused_result));

/* The caller owns the result. NULL when the text does not open, or holds another key than the kid says. */
struct qn_proof_key *qn_proof_key_unseal(const struct qn_secret *secret, struct qn_span kid,
    struct qn_span sealed) __attribute__((warn_unused_result));

/* The Ed25519 signature (RFC 8032) of `text`. */
void qn_proof_key_sign(
    const struct qn_proof_key *k, struct qn_span text, uint8_t out[QN_PROOF_SIG_LEN]);

#endif
