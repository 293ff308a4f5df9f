/*
 * Bearer tokens that are JWTs: a strict reader of JWS Compact Serialization and of the claims
 * (SECURITY S1, T1-T3, T5). Opening a token tells who is said to have issued it, so that the caller
 * can find the issuer's record; nothing of it is true before qn_token_verify() said QN_OK.
 */
#ifndef QUOIN_AUTH_TOKEN_H
#define QUOIN_AUTH_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

#include "quoin/auth/jwk.h"
#include "quoin/base/arena.h"
#include "quoin/base/clock.h"
#include "quoin/base/err.h"
#include "quoin/base/json.h"
#include "quoin/base/span.h"

#define QN_TOKEN_MAX       8192 /* bytes of a compact token */
#define QN_TOKEN_AUDIENCES 8
#define QN_TOKEN_SKEW_S    60  /* the most that clocks may differ */
#define QN_SUB_MAX         255 /* bytes; also of jti, azp and client_id */

/* The header's typ, read without regard to case and to "application/" before it. */
enum qn_token_typ {
	QN_TYP_ANY,    /* in a policy: either of the two, or none. In a token: it has none */
	QN_TYP_JWT,    /* "JWT" */
	QN_TYP_ACCESS, /* "at+jwt", RFC 9068 */
	QN_TYP__MAX
};

/* What a token says of itself. Strings have no NUL inside, end with one, and live in the arena. */
struct qn_token {
	struct qn_arena *arena;
	const char *alg, *kid; /* of the header */
	enum qn_token_typ typ;
	const char *iss;
	struct qn_json_object claims;
	struct qn_span signed_text; /* in the compact form: header, dot, payload */
	struct qn_span signature;   /* decoded */
};

/*
 * Takes a compact token apart; `compact` must outlive *ret. QN_TOKEN_MALFORMED: longer than
 * QN_TOKEN_MAX; not exactly three non-empty parts of base64url without padding, other characters
 * and spare bits; header or payload not one JSON object, or with a member twice; alg or kid (1 to
 * QN_KID_MAX bytes) missing or no string; a typ other than the above; a crit or b64 header.
 * QN_TOKEN_ISSUER: no iss, or not a string. Keys and links to keys in the header (jwk, jku, x5u,
 * x5c) are never looked at. *ret is written only on QN_OK.
 */
enum qn_err qn_token_open(
    struct qn_arena *a, struct qn_span compact, struct qn_token *ret) QN_MUST_CHECK;

/* What is demanded of an issuer's tokens. All zero refuses every token. */
struct qn_issuer_policy {
	const char *issuer;                        /* exact, byte by byte: a slash counts */
	const char *audiences[QN_TOKEN_AUDIENCES]; /* the token must be meant for one of them */
	unsigned algs;                             /* QN_ALG_BIT() of those allowed */
	enum qn_token_typ typ;
	const char *const *clients; /* a list that ends with NULL; NULL: any client */
	unsigned skew_s;            /* more than QN_TOKEN_SKEW_S counts as that */
};

/* Strings live in the token's arena; those that may be NULL say so. */
struct qn_claims {
	const char *iss, *sub;
	const char *jti;    /* NULL: none */
	const char *client; /* azp, else client_id; NULL: none */
	qn_time exp;
	qn_time iat; /* QN_TIME_NULL: none */
	enum qn_token_typ typ;
	const char *scope;         /* NULL: none */
	const char *email;         /* NULL: none */
	bool email_verified;       /* there is an email, and the issuer says the JSON value true */
	const char *name;          /* NULL: none */
	struct qn_json_object all; /* every claim, for what has no place above */
};

/*
 * Whether an opened token holds, in this order; the first that fails is the answer:
 *   QN_TOKEN_ISSUER     iss is not the policy's
 *   QN_KEY_UNKNOWN      `keys` (may be NULL) has no such kid: the set may be fetched again
 *   QN_TOKEN_ALGORITHM  alg is not the key's own, or not allowed
 *   QN_TOKEN_SIGNATURE
 *   QN_TOKEN_CLAIMS     exp is missing; exp, nbf or iat is no integer from 0 to the year 9999
 *   QN_TOKEN_EXPIRED    exp is not later than `now` less the skew
 *   QN_TOKEN_EARLY      nbf or iat is later than `now` and the skew
 *   QN_TOKEN_AUDIENCE   aud is missing, no string nor array of strings, or names none of ours
 *   QN_TOKEN_CLAIMS     - the typ is not the policy's;
 *                       - sub is missing, or no string of 1 to QN_SUB_MAX bytes, none of them a
 *                         control byte;
 *                       - jti, client_id or azp (whatever aud is) is there and not such a string;
 *                       - the policy lists clients, and azp and client_id are both missing, or one
 *                         that is there is not on the list
 * What describes the subject and is no such string (scope; email, to 320 bytes; name, to 200) reads
 * as none: it can only take something away. *ret is written only on QN_OK.
 */
enum qn_err qn_token_verify(const struct qn_token *t, const struct qn_issuer_policy *p,
    const struct qn_jwks *keys, qn_time now, struct qn_claims *ret) QN_MUST_CHECK;

#endif
