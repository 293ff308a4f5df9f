/* Passkeys of users (CONTRACT X6, SECURITY T14): what of a credential is kept, and that it was used. */
#ifndef QUOIN_STORE_PASSKEY_H
#define QUOIN_STORE_PASSKEY_H

#include "quoin/store/db.h"

enum { PASSKEY_MOST = 20 }; /* of a user */

struct passkey {
	const char *id, *user_id, *name;
	struct qn_span credential_id, public_key, aaguid; /* bytes, in the arena */
	int64_t sign_count, transports;
	qn_tri backup_eligible, backed_up;
	qn_time created_at, last_used_at;
};
extern const struct qn_object passkey_object; /* what its owner sees of it */

/* `in` without id and times. QN_CONFLICT when the app knows the credential, QN_LIMIT. */
enum qn_err passkey_create(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const struct passkey *in, struct passkey *ret) QN_MUST_CHECK;
/* The user's, oldest first. */
enum qn_err passkey_list(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    struct qn_list *ret) QN_MUST_CHECK;
/* Whose ever it is. QN_PASSKEY_NOT_FOUND, as all below. */
enum qn_err passkey_by_credential(struct qn_db *db, struct qn_arena *a, const char *app,
    struct qn_span credential_id, struct passkey *ret) QN_MUST_CHECK;
/* Notes a use. Not found also when its count of signatures is not above the one kept (both 0: it counts none). */
enum qn_err passkey_used(struct qn_db *db, struct qn_arena *a, const char *app,
    const struct passkey *key, int64_t sign_count, bool backed_up) QN_MUST_CHECK;
enum qn_err passkey_rename(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *id, const char *name, struct passkey *ret) QN_MUST_CHECK;
enum qn_err passkey_drop(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *id) QN_MUST_CHECK;

#endif
