/* Organisations as stored (CONTRACT E2, D13, E15). `user` and `app` are ids. */
#ifndef QUOIN_STORE_ORGANIZATION_H
#define QUOIN_STORE_ORGANIZATION_H

#include "quoin/store/workspace.h"

struct organization {
	const char *id, *name, *slug;
	const char *plan; /* its code */
	const char *tier; /* as the app shows it: for the caller of these to fill in */
	const char *role; /* the user's, where there is one */
	const char *sso_domain;
	qn_tri sso_enabled;
	int64_t audit_log_retention_days;
	int64_t max_seats, seats_used; /* max_seats -1: no limit */
	struct qn_span settings;
	qn_time created_at, updated_at;
};
/* {id,name,slug,tier,role}; all but the plan's code. */
extern const struct qn_object organization_item_object, organization_object;

struct organization_seats {
	int64_t max, used, invited;
};
extern const struct qn_object organization_seats_object;

/* Those that the user is a member of, with his role. */
enum qn_err organization_list(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, struct page page, struct qn_list *ret) QN_MUST_CHECK;
/* The user becomes its owner. QN_CONFLICT: the slug is taken. */
enum qn_err organization_create(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const char *name, const char *slug, struct organization *ret) QN_MUST_CHECK;
/* QN_ORGANIZATION_NOT_FOUND when it is not there for this user. */
enum qn_err organization_by_id(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const char *id, struct organization *ret) QN_MUST_CHECK;
/*
 * Null members of `in` stay as they are: name, settings, audit_log_retention_days. QN_ROLE: an admin may do
 * that, and how long the log is kept an owner only.
 */
enum qn_err organization_update(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const char *id, const struct organization *in,
    struct organization *ret) QN_MUST_CHECK;
/* With its workspaces and all in them. QN_ROLE: the user is no owner. */
enum qn_err organization_delete(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const char *id) QN_MUST_CHECK;
enum qn_err organization_seats(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *id, struct organization_seats *ret) QN_MUST_CHECK;

/* An operator's: a thousand of an app; one by id or slug, QN_ORGANIZATION_NOT_FOUND; its plan and seats. */
enum qn_err organization_list_all(
    struct qn_db *db, struct qn_arena *a, const char *app, struct qn_list *ret) QN_MUST_CHECK;
enum qn_err organization_find(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *id_or_slug, struct organization *ret) QN_MUST_CHECK;
/* seats QN_I64_NULL: as they are. */
enum qn_err organization_set_plan(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *id, const char *plan, int64_t seats) QN_MUST_CHECK;
/* The mail domain (in lower case) whose users join it. QN_CONFLICT: it has another, or another has this one. */
enum qn_err organization_set_sso(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *id, const char *domain) QN_MUST_CHECK;
/* They join it no longer. *ret_id: whose it was; NULL: nobody's. */
enum qn_err organization_clear_sso(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *domain, const char **ret_id) QN_MUST_CHECK;

#endif
