/* API keys as stored (CONTRACT B6, B24-B26, E10, E19): the SHA-256 of a key, never the key. */
#ifndef QUOIN_STORE_APIKEY_H
#define QUOIN_STORE_APIKEY_H

#include "quoin/store/db.h"

struct apikey {
	const char *id, *name, *key_prefix, *public_id;
	struct qn_span scopes, ip_allow; /* JSON lists of strings */
	qn_time created_at, last_used_at, expires_at;
};
extern const struct qn_object apikey_object;

enum { APIKEY_MOST = 100 }; /* live ones of a user */

/*
 * QN_LIMIT: the user has APIKEY_MOST. QN_INVALID: a network in ip_allow is none. In a transaction: keys of one user
 * are made one after the other, so that the limit holds.
 */
enum qn_err apikey_create(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const struct apikey *in, const uint8_t hash[32], struct apikey *ret) QN_MUST_CHECK;
enum qn_err apikey_list(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    struct qn_list *ret) QN_MUST_CHECK;
/* All below: QN_KEY_NOT_FOUND. */
/* What a successor of this key has of it: name, scopes, networks, and the end that it had before it was rerolled.
 * QN_KEY_OVER: that end has come. */
enum qn_err apikey_like(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *id, struct apikey *ret) QN_MUST_CHECK;
enum qn_err apikey_rename(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *id, const char *name, struct apikey *ret) QN_MUST_CHECK;
/* Ends it `seconds` from now, or when it would end anyway. */
enum qn_err apikey_end(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *id, int64_t seconds) QN_MUST_CHECK;
enum qn_err apikey_revoke(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *id) QN_MUST_CHECK;
/* All of a user's; there may be none. */
enum qn_err apikey_revoke_all(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *user) QN_MUST_CHECK;

#endif
