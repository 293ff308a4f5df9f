/*
 * The keys that an app's own tokens are signed with, and those that its licences are proved with; their rotation
 * (CONTRACT X9, X10; DESIGN §3, §5).
 */
#ifndef QUOIN_AUTH_APPKEY_H
#define QUOIN_AUTH_APPKEY_H

#include "quoin/auth/proofkey.h"
#include "quoin/auth/signkey.h"
#include "quoin/base/conf.h"
#include "quoin/store/db.h"

/*
 * The key to sign tokens with now, made when the app has none; the caller frees it. QN_INTERNAL: it was sealed
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

/* As qn_app_key, of the key for licences. Between requests it is kept by a ring (proofring.h). */
enum qn_err qn_app_proof_key(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const char *app_id, struct qn_proof_key **ret) QN_MUST_CHECK;

/*
 * Adds a key for licences. It is published at once and signs after_s seconds later (ten at least), so that programs
 * can be shipped with it before they meet it; the one before signs until then, and those before it are published for
 * overlap_s more at most: no less than the longest life of a file. With both 0 they are gone at once.
 */
enum qn_err qn_app_proof_key_rotate(const struct qn_conf *conf, struct qn_db *db,
    struct qn_arena *a, const char *app_id, int64_t after_s, int64_t overlap_s) QN_MUST_CHECK;

#endif
