/* What the deployment's own staff, and its operator, see and do of accounts (issue of accounts; T18). */
#ifndef QUOIN_STORE_STAFF_H
#define QUOIN_STORE_STAFF_H

#include "quoin/store/db.h"
#include "quoin/store/workspace.h"

struct staff_user {
	const char *id, *email, *display_name, *plan, *platform_role;
	qn_tri email_verified, mfa_enabled, suspended, has_password;
	qn_time created_at, last_login_at, delete_after;
};
extern const struct qn_object staff_user_object;

/* The app's, newest first; those whose address begins with `email` unless NULL. */
enum qn_err staff_users(struct qn_db *db, struct qn_arena *a, const char *app, const char *email,
    struct page page, struct qn_list *ret) QN_MUST_CHECK;
/* All QN_USER_NOT_FOUND. */
enum qn_err staff_user(struct qn_db *db, struct qn_arena *a, const char *app, const char *id,
    struct staff_user *ret) QN_MUST_CHECK;
enum qn_err staff_suspend(struct qn_db *db, struct qn_arena *a, const char *app, const char *id,
    bool suspended, struct staff_user *ret) QN_MUST_CHECK;
/* role: "support", "admin" or NULL. */
enum qn_err staff_set_role(struct qn_db *db, struct qn_arena *a, const char *app, const char *id,
    const char *role, struct staff_user *ret) QN_MUST_CHECK;

#endif
