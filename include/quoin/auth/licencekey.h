/*
 * Licence keys (CONTRACT D14, X10): PREFIX-TIER-RANDOM-CHECK, as in CODITECT-PRO-A7F3E9D2C4B1-8F2A. PREFIX is the
 * app's; TIER the plan's spelling when the key was made, of which only capitals and digits are left; RANDOM twelve
 * characters of Crockford's base 32 (60 bits); CHECK the first twenty bits of the SHA-256 of all before it, in the
 * same alphabet. It is no secret: it tells a slip of the pen from a key before anybody is asked.
 *
 * Keys that another maker made are known by their text, up to QN_LICENCE_KEY_MAX printable characters: X10's on-premise
 * form carries an RSA signature, which is not looked at, as the table is asked.
 */
#ifndef QUOIN_AUTH_LICENCEKEY_H
#define QUOIN_AUTH_LICENCEKEY_H

#include "quoin/base/rand.h"
#include "quoin/base/span.h"

enum { QN_LICENCE_KEY_MAX = 750, QN_LICENCE_PREFIX_MAX = 32, QN_LICENCE_TIER_MAX = 16 };

struct qn_licence_key {
	char text[QN_LICENCE_KEY_MAX + 1];
	uint8_t hash[QN_SHA256_LEN]; /* of the text */
};

/* `prefix` is of capitals and digits; `shown` is the plan's spelling. */
void qn_licence_key_new(const char *prefix, const char *shown, struct qn_licence_key *ret);

enum qn_licence_key_kind {
	QN_LICENCE_KEY_OWN,     /* of this prefix */
	QN_LICENCE_KEY_OTHER,   /* of another product: well-formed, with another prefix */
	QN_LICENCE_KEY_FOREIGN, /* not of this form: perhaps another maker's */
	QN_LICENCE_KEY_BROKEN,  /* of this prefix and form, but for its checksum */
	QN_LICENCE_KEY_NONE     /* nothing that can be a key */
};

/*
 * Reads what somebody typed: small letters, space around it, and O for 0, I or L for 1 in what is random are
 * forgiven. *ret is written but for QN_LICENCE_KEY_NONE; of FOREIGN and BROKEN it has the text as it came.
 */
enum qn_licence_key_kind qn_licence_key_read(
    const char *prefix, struct qn_span text, struct qn_licence_key *ret);

#endif
