/* Who a credential belongs to, as stored: what the resolver needs, in one statement each (DESIGN §5, K7). */
#ifndef QUOIN_STORE_CREDENTIAL_H
#define QUOIN_STORE_CREDENTIAL_H

#include "quoin/store/db.h"

/* The caller behind it. Strings may be NULL where they say so. */
struct credential {
	const char *user_id, *plan;
	const char *platform_role; /* NULL: none */
	const char *session_id;    /* NULL: not a session's */
	const char *key_id;        /* NULL: not an API key */
	const char *scopes;        /* of a key, with spaces between; else NULL */
	const char *ip_allow;      /* of a key: networks with spaces between, "" any; else NULL */
	const char *key_hash;      /* of a key: hex SHA-256 of the whole key; else NULL */
	qn_tri suspended, mfa_enabled;
	int64_t aal;           /* of a session; QN_I64_NULL otherwise */
	qn_time proved_at;     /* of a session: when a factor was shown last */
	qn_time used_at;       /* when its use was last noted */
	qn_time expires_at;    /* QN_TIME_NULL: never */
	qn_time signed_out_at; /* of a user: no token issued until then counts */
};

/*
 * All answer QN_UNAUTHENTICATED when there is no such credential, it was taken back, it is over, or its
 * user gave up the account.
 */
enum qn_err credential_of_user(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, struct credential *ret) QN_MUST_CHECK;
enum qn_err credential_of_session(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *session, struct credential *ret) QN_MUST_CHECK;
/* By the SHA-256 of the cookie's value. */
enum qn_err credential_of_cookie(struct qn_db *db, struct qn_arena *a, const char *app,
    const uint8_t hash[32], struct credential *ret) QN_MUST_CHECK;
/* By the part of an API key that is no secret: the caller compares key_hash. */
enum qn_err credential_of_key(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *public_id, struct credential *ret) QN_MUST_CHECK;

/* Notes that a session or key was used now; slides a session's end to `days` from now. */
enum qn_err credential_used(
    struct qn_db *db, struct qn_arena *a, const struct credential *c, int64_t days) QN_MUST_CHECK;

#endif
