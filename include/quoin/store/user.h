/* Users and the identities that lead to them, as stored (CONTRACT A5, K8). */
#ifndef QUOIN_STORE_USER_H
#define QUOIN_STORE_USER_H

#include "quoin/store/db.h"

struct user {
	const char *id, *email, *display_name, *plan;
	qn_tri email_verified, suspended;
	qn_time created_at;
};

extern const struct qn_object user_object;

/* What a verified token says of its subject; strings may be NULL but for issuer and subject. */
struct identity {
	const char *issuer, *subject, *email, *name;
	bool email_verified;
};

/* The user behind an identity, made at first sight. Never by address (SECURITY T4). */
enum qn_err user_of_identity(struct qn_db *db, struct qn_arena *a, const char *app_id,
    const struct identity *who, struct user *ret) QN_MUST_CHECK;
/* QN_USER_NOT_FOUND. */
enum qn_err user_by_id(struct qn_db *db, struct qn_arena *a, const char *app_id, const char *id,
    struct user *ret) QN_MUST_CHECK;
enum qn_err user_by_email(struct qn_db *db, struct qn_arena *a, const char *app_id,
    const char *email, struct user *ret) QN_MUST_CHECK;
/* By an operator, who vouches for the address. QN_CONFLICT when it is taken. */
enum qn_err user_add(struct qn_db *db, struct qn_arena *a, const char *app_id, const char *email,
    struct user *ret) QN_MUST_CHECK;

#endif
