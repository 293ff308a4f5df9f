/*
 * Recovery codes: each lets its owner in once, when the second factor is lost (CONTRACT X6). Ten of
 * them, "4k7m-x2rq-9w0h-tb3e": 80 bits in Crockford's base 32, whose letters cannot be misread. 80 bits
 * are more than anybody tries, also offline and by those who hold the deployment's secret, so that no
 * slow hash is needed and a code is found by its hash; and still few enough to be typed from paper.
 */
#ifndef QUOIN_AUTH_RECOVERY_H
#define QUOIN_AUTH_RECOVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "quoin/auth/seal.h"
#include "quoin/base/span.h"

#define QN_RECOVERY_CODES    10
#define QN_RECOVERY_TEXT_LEN 19 /* characters, dashes included */
#define QN_RECOVERY_HASH_LEN 33 /* bytes: key id (as in seal.h), HMAC-SHA256 */

/* NUL-terminated. */
void qn_recovery_new(char ret_text[QN_RECOVERY_TEXT_LEN + 1]);

/*
 * What is stored, and what a typed code is found by: `DELETE … WHERE user_id = $1 AND hash = $2
 * RETURNING`, which also lets nobody use it twice. It is keyed with the secret and bound to the user,
 * so that nobody can aim at a hash, and the time that the database takes to compare says nothing.
 * Case, spaces and dashes do not matter, o is 0, i and l are 1. false: no code of ours, or no secret.
 */
bool qn_recovery_hash(const struct qn_secret *secret, struct qn_span user_id, struct qn_span text,
    uint8_t ret_hash[QN_RECOVERY_HASH_LEN]) __attribute__((warn_unused_result));

#endif
