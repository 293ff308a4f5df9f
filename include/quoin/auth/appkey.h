/* The keys that an app's own tokens are signed with, and their rotation (CONTRACT X9; DESIGN §5). */
#ifndef QUOIN_AUTH_APPKEY_H
#define QUOIN_AUTH_APPKEY_H

#include "quoin/auth/signkey.h"
#include "quoin/base/conf.h"
#include "quoin/store/db.h"

/*
 * The key to sign with now, made when the app has none; the caller frees it. QN_INTERNAL: it was sealed
 * under another QUOIN_SECRET_KEY.
 */
enum qn_err qn_app_key(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const char *app_id, struct qn_signing_key **ret) QN_MUST_CHECK;

/*
 * Adds a key, which signs ten seconds from now, when every worker knows it; the ones before are published
 * until the last token that they signed is over, two hours later.
 */
enum qn_err qn_app_key_rotate(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const char *app_id) QN_MUST_CHECK;

#endif
