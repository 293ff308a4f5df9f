/* Workspaces as stored (CONTRACT A6, K10). `user` and `app` are ids; each statement checks access. */
#ifndef QUOIN_STORE_WORKSPACE_H
#define QUOIN_STORE_WORKSPACE_H

#include "quoin/store/db.h"

struct workspace {
	const char *id, *name, *description;
	qn_tri require_base;
	const char *organization_id; /* NULL: personal */
	const char *visibility;      /* NULL in an item of a personal one */
	const char *project_type, *git_repository, *local_path;
	struct qn_span settings;
	qn_time created_at, updated_at;
};
extern const char *const workspace_visibilities[];

/* {id,name,description,created_at}, and whose where it is an organization's; {id,name}; all of it. */
extern const struct qn_object workspace_item_object, workspace_made_object, workspace_object;

/* Which page of a list: ids below `after` (NULL: from the newest), `limit` rows at most. */
struct page {
	const char *after;
	int64_t limit;
};

/* Of one organization, unless NULL. */
enum qn_err workspace_list(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *organization, struct page page, struct qn_list *ret) QN_MUST_CHECK;
/* QN_ORGANIZATION_NOT_FOUND: the user is no member of it. */
enum qn_err workspace_create(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const struct workspace *in, struct workspace *ret) QN_MUST_CHECK;
/* QN_WORKSPACE_NOT_FOUND when it is not there for this user. */
enum qn_err workspace_by_id(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *id, struct workspace *ret) QN_MUST_CHECK;
/* Null members of `in` stay as they are. QN_DENIED: the user may not administer it. */
enum qn_err workspace_update(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const char *id, const struct workspace *in,
    struct workspace *ret) QN_MUST_CHECK;
/* QN_DENIED likewise. ret->organization_id is that of what is gone. */
enum qn_err workspace_delete(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const char *id, struct workspace *ret) QN_MUST_CHECK;

#endif
