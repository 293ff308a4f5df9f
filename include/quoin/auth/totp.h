/*
 * One-time passwords by the clock (RFC 6238): SHA-1, six digits, a new one every 30 seconds, as all
 * authenticator apps make them (CONTRACT D10, X6). The secret is sealed where it is stored (seal.h).
 */
#ifndef QUOIN_AUTH_TOTP_H
#define QUOIN_AUTH_TOTP_H

#include <stdbool.h>
#include <stdint.h>

#include "quoin/base/arena.h"
#include "quoin/base/clock.h"
#include "quoin/base/span.h"

#define QN_TOTP_SECRET_LEN 20 /* bytes: what RFC 4226 §4 recommends and SHA-1 makes use of */
#define QN_TOTP_BASE32_LEN 32 /* characters of them; there is no padding */
#define QN_TOTP_DIGITS     6
#define QN_TOTP_PERIOD_S   30

void qn_totp_new(uint8_t ret_secret[QN_TOTP_SECRET_LEN]);

/* For those who type the secret; NUL-terminated. */
void qn_totp_base32(
    const uint8_t secret[QN_TOTP_SECRET_LEN], char ret_text[QN_TOTP_BASE32_LEN + 1]);

/*
 * otpauth://totp/ISSUER:LABEL?secret=…, what the QR code holds; percent-encoded UTF-8, in the arena.
 * Issuer and label are not empty and have 100 and 320 bytes at most; NULL otherwise.
 */
const char *qn_totp_uri(struct qn_arena *a, const uint8_t secret[QN_TOTP_SECRET_LEN],
    struct qn_span issuer, struct qn_span label);

/*
 * Whether `code` is that of now, or of one step before or after, for clocks differ. The step it
 * belongs to comes out, for the caller to move forward what the account has used last, in one
 * statement: UPDATE … SET last_step = $n WHERE last_step < $n. No row: the code was used (T14). Of two
 * steps with the same code it is the later, so that it cannot be used for the other one either.
 * Spaces in `code` are skipped; anything else but six digits is wrong.
 */
bool qn_totp_verify(const uint8_t secret[QN_TOTP_SECRET_LEN], struct qn_span code, qn_time now,
    int64_t *ret_step) __attribute__((warn_unused_result));

#endif
