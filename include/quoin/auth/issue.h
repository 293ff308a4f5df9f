/*
 * Tokens that Quoin issues (CONTRACT X9): ES256, with a kid, and a typ that says what they are for.
 * OpenSSL signs, not libjwt: libjwt 1.10 writes typ "JWT" over any other, and an access token would
 * then look like an ID token (SECURITY T3); it also wants the private key as PEM text for every
 * token.
 */
#ifndef QUOIN_AUTH_ISSUE_H
#define QUOIN_AUTH_ISSUE_H

#include <stdbool.h>

#include "quoin/auth/signkey.h"
#include "quoin/auth/token.h"
#include "quoin/base/arena.h"
#include "quoin/base/clock.h"
#include "quoin/base/err.h"
#include "quoin/base/span.h"

struct qn_claims_out {
	enum qn_token_typ typ;       /* QN_TYP_ACCESS or QN_TYP_JWT */
	const char *iss, *sub, *aud; /* required, not empty */
	qn_time iat, exp;            /* required, exp the later; written as seconds, rounded down */
	const char *jti;             /* NULL: a new UUIDv7 */
	const char *client;          /* azp; NULL: left out, as those below */
	const char *scope, *email, *name;
	bool email_verified; /* written when there is an email */
	struct qn_span more; /* further members, none of the above, as JSON text without braces:
	                        "tier":"pro","scopes":["graphs:read"] */
};

/*
 * The compact token, in the arena. QN_INTERNAL: a required claim is missing, the signature failed,
 * or the token would be refused by qn_token_open(), because it is too long or `more` is not what it
 * must be.
 */
enum qn_err qn_token_issue(struct qn_arena *a, const struct qn_signing_key *k,
    const struct qn_claims_out *c, const char **ret) QN_MUST_CHECK;

#endif
