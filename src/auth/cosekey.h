/* Public keys of passkeys (RFC 9053), and what they have signed. */
#ifndef QUOIN_AUTH_COSEKEY_H
#define QUOIN_AUTH_COSEKEY_H

#include <stdbool.h>
#include <stdint.h>

#include "quoin/base/span.h"

/* The algorithms we ask for, the first rather than the last. */
enum { COSE_ES256 = -7, COSE_EDDSA = -8, COSE_RS256 = -257 };

struct cose_key {
	int alg;
	uint8_t bytes[259]; /* as libfido2 wants it: x y; or x; or n e */
	size_t n;
};

/* `map` is one COSE_Key and nothing behind it. false: another algorithm, a member too many or too few
 * or of another length, or no key (a point off the curve). */
bool cose_key_read(struct qn_span map, struct cose_key *ret);

struct cose_signed {
	const char *rp_id;
	struct qn_span authdata;
	const uint8_t *client_hash; /* 32 bytes */
	struct qn_span signature;
	bool user_verification;
	bool hmac_secret; /* among the extensions: libfido2 wants to know beforehand */
};

/* The signature, and once more the party, presence and verification, by libfido2. */
bool cose_key_verify(const struct cose_key *k, const struct cose_signed *s);

#endif
