/*
 * Members of organisations and their roles (CONTRACT E3, E18). Who may do what to whom, the last owner and the
 * seats are decided in the database under the organisation's lock. `actor` is who asks: a user's id, or NULL for
 * an operator, who may all.
 */
#ifndef QUOIN_STORE_MEMBER_H
#define QUOIN_STORE_MEMBER_H

#include "quoin/store/workspace.h"

/* Each may what those before it may. */
enum qn_role { QN_ROLE_NONE, QN_ROLE_MEMBER, QN_ROLE_ADMIN, QN_ROLE_OWNER };

extern const char *const member_roles[];            /* "member", "admin", "owner", NULL */
const char *member_role_name(enum qn_role role);    /* "" for none */
enum qn_role member_role_by_name(const char *name); /* QN_ROLE_NONE for any other */

struct member {
	const char *user_id, *email, *display_name, *role;
	qn_time joined_at;
};
extern const struct qn_object member_object;

/* What a request to an organisation needs to know of its caller. */
struct membership {
	enum qn_role role;
	const char *plan; /* of the organisation */
};

/* QN_ORGANIZATION_NOT_FOUND: it is not there, or the user is no member. */
enum qn_err member_find(struct qn_db *db, struct qn_arena *a, const char *app, const char *org,
    const char *user, struct membership *ret) QN_MUST_CHECK;
enum qn_err member_list(struct qn_db *db, struct qn_arena *a, const char *app, const char *org,
    struct page page, struct qn_list *ret) QN_MUST_CHECK;

/*
 * The four below: QN_ORGANIZATION_NOT_FOUND; QN_ROLE: the actor's role does not reach that far;
 * QN_MEMBER_NOT_FOUND; QN_LAST_OWNER. *ret_was is the role before. Nothing is changed unless QN_OK.
 */
enum qn_err member_set_role(struct qn_db *db, struct qn_arena *a, const char *app, const char *org,
    const char *actor, const char *user, const char *role, const char **ret_was) QN_MUST_CHECK;
/* The member becomes an owner, and the actor, who was one, an admin. */
enum qn_err member_transfer(struct qn_db *db, struct qn_arena *a, const char *app, const char *org,
    const char *actor, const char *user, const char **ret_was) QN_MUST_CHECK;
/* Also leaving: user is the actor. What he has there passes to an owner. */
enum qn_err member_remove(struct qn_db *db, struct qn_arena *a, const char *app, const char *org,
    const char *actor, const char *user, const char **ret_was) QN_MUST_CHECK;
/* An operator's. QN_CONFLICT: he is a member; QN_SEATS. */
enum qn_err member_add(struct qn_db *db, struct qn_arena *a, const char *app, const char *org,
    const char *user, const char *role) QN_MUST_CHECK;

/*
 * Of somebody whom the provider of a mail domain signed in (E52): he becomes a member of the domain's organisation,
 * once, if a seat is free. *ret_org: its id; NULL when nothing was done.
 */
enum qn_err member_join_by_domain(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *domain, const char *user, const char **ret_org) QN_MUST_CHECK;

/* What the functions of the database answer in their column `outcome`, the first. */
enum qn_err member_outcome(const struct qn_rows *rows) QN_MUST_CHECK;

#endif
