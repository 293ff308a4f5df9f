/* Sessions: what a sign-in leaves behind, until it is revoked or over (CONTRACT D23, X4, X7; DESIGN §5). */
#ifndef QUOIN_STORE_SESSION_H
#define QUOIN_STORE_SESSION_H

#include "quoin/store/attempt.h"
#include "quoin/store/db.h"

/* What a session is made with. Strings may be NULL but for id, app, user and method. */
struct session_new {
	const char *id; /* of qn_uuid_new() */
	const char *app, *user, *method;
	const uint8_t *cookie_hash; /* 32 bytes; NULL: it has refresh tokens */
	int64_t aal, days;
	const char *device_id, *device_name, *ip, *user_agent;
	const struct attempt_guess
	    *right; /* the guess that led here, as attempt_guessed() has it; NULL: none */
	const char
	    *password_hash;     /* that was just found to be right; NULL: no password was shown */
	struct qn_span details; /* for the audit log, with the request's id */
	const char *request_id;
};

struct session {
	const char *id, *method, *device_id, *device_name, *ip, *user_agent;
	int64_t aal;
	qn_time created_at, last_used_at, expires_at;
	qn_tri current; /* set by the handler */
};
extern const struct qn_object session_object;

/*
 * Begins it, notes it in the audit log and as the user's last sign-in. The user's oldest beyond a hundred end.
 * *ret_unlike: it is like none of the others: neither their device, nor their program from about there.
 * QN_RETRY when the hash is the user's no more.
 */
enum qn_err session_begin(struct qn_db *db, struct qn_arena *a, const struct session_new *in,
    bool *ret_unlike) QN_MUST_CHECK;

enum session_rotated { SESSION_GONE, SESSION_ROTATED, SESSION_REPEATED, SESSION_REUSED };
/*
 * Moves a session from `generation` of its refresh token to the next (SECURITY T8). ROTATED; REPEATED: it
 * was moved by the same token within the last ten seconds, and the next one is still unused; REUSED: an
 * older one was shown, and the session has been revoked, which is committed; GONE: no such session.
 */
enum qn_err session_rotate(struct qn_db *db, struct qn_arena *a, const char *app, const char *id,
    int64_t generation, int64_t days, enum session_rotated *ret,
    const char **ret_user) QN_MUST_CHECK;

/* The user's that live, newest first. */
enum qn_err session_list(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    struct qn_list *ret) QN_MUST_CHECK;
/* QN_SESSION_NOT_FOUND. */
enum qn_err session_revoke(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *id, const char *why) QN_MUST_CHECK;
/* All of the user's but `except` (NULL: all), with the links that could make new ones. */
enum qn_err session_revoke_all(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const char *except, const char *why, int64_t *ret_n) QN_MUST_CHECK;
/* A factor was shown again: `aal` 2 when it was the second. From then on its cookie is another (NULL: as it was). */
enum qn_err session_prove(struct qn_db *db, struct qn_arena *a, const char *app, const char *id,
    int64_t aal, const uint8_t cookie_hash[]) QN_MUST_CHECK;
/* Rows that are of no use any more, a thousand at most; *ret how many. */
enum qn_err session_prune(struct qn_db *db, struct qn_arena *a, int64_t *ret) QN_MUST_CHECK;

#endif
