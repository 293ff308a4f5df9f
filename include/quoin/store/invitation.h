/*
 * Invitations to an organisation (SECURITY T6, T11). Of the token that is mailed only the SHA-256 is stored;
 * accepting it deletes the row.
 */
#ifndef QUOIN_STORE_INVITATION_H
#define QUOIN_STORE_INVITATION_H

#include "quoin/store/member.h"

struct invitation {
	const char *id, *email, *role;
	const char *invited_by; /* a user; NULL an operator */
	qn_time created_at, expires_at;
};
extern const struct qn_object invitation_object;

/*
 * For `days` days. QN_ORGANIZATION_NOT_FOUND; QN_ROLE: to a role above the actor's; QN_CONFLICT: who has that
 * address is a member, or was invited; QN_LIMIT: a hundred wait.
 */
enum qn_err invitation_create(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *org, const char *actor, const struct invitation *in, const uint8_t hash[32],
    int64_t days, struct invitation *ret) QN_MUST_CHECK;
/* The same with a new token, which takes the old one's place. QN_INVITATION_NOT_FOUND, QN_ROLE. */
enum qn_err invitation_renew(struct qn_db *db, struct qn_arena *a, const char *app, const char *org,
    const char *actor, const char *id, const uint8_t hash[32], int64_t days,
    struct invitation *ret) QN_MUST_CHECK;
enum qn_err invitation_list(struct qn_db *db, struct qn_arena *a, const char *app, const char *org,
    struct page page, struct qn_list *ret) QN_MUST_CHECK;
/* QN_INVITATION_NOT_FOUND. */
enum qn_err invitation_by_id(struct qn_db *db, struct qn_arena *a, const char *app, const char *org,
    const char *id, struct invitation *ret) QN_MUST_CHECK;
enum qn_err invitation_delete(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *org, const char *id) QN_MUST_CHECK;

/* What was accepted. */
struct accepted {
	const char *organization_id, *role, *invitation_id;
};
/*
 * The user joins. QN_EMAIL_UNVERIFIED; QN_LINK_INVALID: the token is none, was used, is over, or was sent to
 * another address, and nobody is told which; QN_CONFLICT: he is a member; QN_SEATS.
 */
enum qn_err invitation_accept(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const uint8_t hash[32], struct accepted *ret) QN_MUST_CHECK;

/* Forgets those that were over thirty days ago, a thousand at a time; *ret_n of them. */
enum qn_err invitation_prune(struct qn_db *db, struct qn_arena *a, int64_t *ret_n) QN_MUST_CHECK;

#endif
