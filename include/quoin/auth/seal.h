/*
 * Sealing of secrets that are stored: AES-256-GCM under a key derived (HKDF-SHA256) from a secret
 * of the deployment and a label, so that what was sealed for one purpose opens for no other.
 *
 * A sealed text is: key id (1 byte) | nonce (12, random) | ciphertext | tag (16). The key id says
 * which of the deployment's secrets was used, so that the secret can be changed while old rows
 * remain.
 */
#ifndef QUOIN_AUTH_SEAL_H
#define QUOIN_AUTH_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "quoin/base/span.h"

#define QN_SEAL_OVERHEAD 29                         /* bytes that a sealed text is longer */
#define QN_SEAL_MOST     ((size_t)16 * 1024 * 1024) /* bytes of plain text or of context */

struct qn_secret {
	uint8_t id;           /* of this secret among those that the deployment had: 1, 2, … */
	struct qn_span bytes; /* QUOIN_SECRET_KEY; not owned */
};

/*
 * Writes plain.n + QN_SEAL_OVERHEAD bytes to `out`. `label` names the purpose, `context` is bound
 * to the text (the id of its row, say) and must be the same when it is opened. false: too long, no
 * secret, or OpenSSL failed; then `out` holds nothing of the plain text.
 */
bool qn_seal(const struct qn_secret *secret, const char *label, struct qn_span context,
    struct qn_span plain, uint8_t *out) __attribute__((warn_unused_result));

/*
 * Writes sealed.n - QN_SEAL_OVERHEAD bytes to `out`, which the caller wipes. false: another secret,
 * label or context, a changed or short text, or OpenSSL failed; then that part of `out` is zeroed.
 */
bool qn_unseal(const struct qn_secret *secret, const char *label, struct qn_span context,
    struct qn_span sealed, uint8_t *out) __attribute__((warn_unused_result));

/* The id of the secret that opens it; 0 for a text too short to be sealed. */
uint8_t qn_sealed_by(struct qn_span sealed);

#endif
