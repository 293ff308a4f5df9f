/* Apps, their issuers and their signing keys as stored (DESIGN §3, §5). */
#ifndef QUOIN_STORE_APP_H
#define QUOIN_STORE_APP_H

#include "quoin/store/db.h"

struct app_row {
	const char *id, *slug, *name;
	struct qn_span config; /* the app's file, checked when it was applied */
	qn_tri has_imports;    /* licences with keys that were made elsewhere; only in the list */
};

struct issuer_row {
	const char *id, *app_id, *issuer, *audience, *jwks_url;
	const char *algorithms; /* "RS256 ES256" */
	struct qn_span jwks;    /* absent until it was fetched */
	qn_time fetched_at, attempted_at, settled_at;
	const char *failure;
};

/* What a key signs: `use` of signing_keys. */
#define SIGNING_TOKENS   "token"   /* ES256 */
#define SIGNING_LICENSES "license" /* EdDSA (Ed25519) */

struct signing_key_row {
	const char *kid, *app_id, *use;
	struct qn_span public_jwk;
	struct qn_span private_sealed;
	qn_time created_at;
	qn_time signs_at;   /* published before, but it signs nothing yet */
	qn_time retired_at; /* published no longer; QN_TIME_NULL while there is none after it */
};

struct signing_key_new {
	const char *kid, *app_id, *use, *algorithm;
	struct qn_span public_jwk, private_sealed;
	int64_t signs_in_s;
};

extern const struct qn_object app_row_object, issuer_row_object, signing_key_row_object;

/* All of them, by slug; lists of struct app_row, issuer_row, signing_key_row. */
enum qn_err app_list(struct qn_db *db, struct qn_arena *a, struct qn_list *ret) QN_MUST_CHECK;
enum qn_err issuer_list(struct qn_db *db, struct qn_arena *a, struct qn_list *ret) QN_MUST_CHECK;
/* Newest first; the sealed half is left out. */
enum qn_err signing_key_list(
    struct qn_db *db, struct qn_arena *a, struct qn_list *ret) QN_MUST_CHECK;

/* QN_NOT_FOUND when there is none. */
enum qn_err app_by_slug(
    struct qn_db *db, struct qn_arena *a, const char *slug, struct app_row *ret) QN_MUST_CHECK;
/* Makes or changes; *ret_id is the app's. */
enum qn_err app_put(struct qn_db *db, struct qn_arena *a, const char *slug, const char *name,
    struct qn_span config, const char **ret_id) QN_MUST_CHECK;
enum qn_err issuer_put(struct qn_db *db, struct qn_arena *a, const char *app_id, const char *issuer,
    const char *audience, const char *jwks_url, const char *algorithms) QN_MUST_CHECK;
/* Removes the issuers of an app whose names are not in `keep` (a JSON array of strings). */
enum qn_err issuer_prune(
    struct qn_db *db, struct qn_arena *a, const char *app_id, struct qn_span keep) QN_MUST_CHECK;

/* Whether this caller is to fetch the key set now: at most one caller a minute is. */
enum qn_err issuer_claim(
    struct qn_db *db, struct qn_arena *a, const char *id, bool *ret_mine) QN_MUST_CHECK;
/* The fetch ended: with a key set, or with a reason why not. */
enum qn_err issuer_settle(struct qn_db *db, struct qn_arena *a, const char *id, struct qn_span jwks,
    const char *failure) QN_MUST_CHECK;
/* Whether a fetch that was claimed has not ended yet, and is not given up. */
enum qn_err issuer_under_way(
    struct qn_db *db, struct qn_arena *a, const char *id, bool *ret) QN_MUST_CHECK;
/* Url and id of one issuer; QN_NOT_FOUND. */
enum qn_err issuer_by_id(
    struct qn_db *db, struct qn_arena *a, const char *id, struct issuer_row *ret) QN_MUST_CHECK;

/*
 * The newest key of an app and a use whose time to sign has come, else the one whose time comes first; sealed half
 * included. QN_NOT_FOUND.
 */
enum qn_err signing_key_current(struct qn_db *db, struct qn_arena *a, const char *app_id,
    const char *use, struct signing_key_row *ret) QN_MUST_CHECK;
/* None of the app's keys of that use outlives in_s seconds from now. */
enum qn_err signing_key_retire(struct qn_db *db, struct qn_arena *a, const char *app_id,
    const char *use, int64_t in_s) QN_MUST_CHECK;
/* Nothing when somebody else has just made the app's one licence key that is not retired. */
enum qn_err signing_key_add(
    struct qn_db *db, struct qn_arena *a, const struct signing_key_new *k) QN_MUST_CHECK;

#endif
