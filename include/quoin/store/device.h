/* Device logins (RFC 8628): a program waits until somebody who is signed in approves it. */
#ifndef QUOIN_STORE_DEVICE_H
#define QUOIN_STORE_DEVICE_H

#include "quoin/base/rand.h"
#include "quoin/store/db.h"

enum {
	DEVICE_S = 600,
	DEVICE_INTERVAL_S = 5
}; /* how long it is good; least seconds between polls */

struct device {
	const char *user; /* who approved */
	int64_t aal;      /* of that session */
	const char *device_id, *device_name;
	const char *ip;
	qn_time expires_at;
};

/* QN_CONFLICT: the user code is taken. Strings of `in` may be NULL. */
enum qn_err device_put(struct qn_db *db, struct qn_arena *a, const char *app,
    const uint8_t hash[QN_SHA256_LEN], const char *user_code,
    const struct device *in) QN_MUST_CHECK;

/* What waits for an answer, or was approved by this very user. QN_DEVICE_NOT_FOUND. */
enum qn_err device_by_code(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user_code, const char *user, struct device *ret) QN_MUST_CHECK;
/* Only while it waits, or again by the same user. QN_DEVICE_NOT_FOUND. */
enum qn_err device_approve(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user_code, const char *user, int64_t aal, struct device *ret) QN_MUST_CHECK;
enum qn_err device_deny(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user_code, struct device *ret) QN_MUST_CHECK;

/*
 * QN_OK once, when it was approved; else QN_GRANT_PENDING, QN_SLOW_DOWN, QN_GRANT_EXPIRED, QN_GRANT_DENIED, or
 * QN_BAD_GRANT when there is none. Whatever it says, what it noted is to be committed.
 */
enum qn_err device_poll(struct qn_db *db, struct qn_arena *a, const char *app,
    const uint8_t hash[QN_SHA256_LEN], struct device *ret) QN_MUST_CHECK;

#endif
