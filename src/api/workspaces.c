/* Workspaces (CONTRACT A12-A13, K10) and what the seed forgot: read, rename, delete. */
#include "api.h"
#include "quoin/store/workspace.h"

struct list_reply {
	struct qn_list workspaces;
	qn_tri has_more;
	const char *next_cursor;
};

struct one_reply {
	const struct workspace *workspace;
};

static const struct qn_field list_fields[] = {
    QN_FIELD_SUB(struct list_reply, workspaces, LIST, 0, &workspace_item_object,
	"The caller's, newest first."),
    API_PAGE_FIELDS(struct list_reply),
};
static const struct qn_object list_object =
    QN_OBJECT("WorkspaceList", struct list_reply, list_fields);

static const struct qn_field made_fields[] = {
    QN_FIELD_SUB(struct one_reply, workspace, OBJ, 0, &workspace_made_object, "What was made."),
};
static const struct qn_object made_object =
    QN_OBJECT("WorkspaceMadeReply", struct one_reply, made_fields);

static const struct qn_field one_fields[] = {
    QN_FIELD_SUB(struct one_reply, workspace, OBJ, 0, &workspace_object, "The workspace."),
};
static const struct qn_object one_object =
    QN_OBJECT("WorkspaceReply", struct one_reply, one_fields);

#define IN(name_flags) \
	QN_FIELD(struct workspace, name, STR, name_flags, 1, 200, "Shown name."), \
	    QN_FIELD(struct workspace, description, STR, 0, 0, 2000, "What it is for."), \
	    QN_FIELD(struct workspace, require_base, BOOL, 0, 0, 0, \
		"Whether every save must name the version that it edited.")

static const struct qn_field new_fields[] = {IN(QN_F_REQUIRED)};
static const struct qn_object new_object = QN_OBJECT("WorkspaceNew", struct workspace, new_fields);

static const struct qn_field change_fields[] = {IN(0)};
static const struct qn_object change_object =
    QN_OBJECT("WorkspaceChange", struct workspace, change_fields);

static enum qn_err list(struct qn_request *r)
{
	struct list_reply *out = qn_new(r->arena, struct list_reply);
	const char *after;
	int64_t limit;

	QN_TRY(qn_page_start(r, &after, &limit));
	QN_TRY(workspace_list(r->db, r->arena, r->who.app->id, r->who.user_id,
	    (struct page){after, limit + 1}, &out->workspaces));
	out->has_more = qn_page_more(&out->workspaces, limit);
	if (out->has_more)
		qn_page_next(r, ((const struct workspace *)out->workspaces.items)[limit - 1].id);
	out->next_cursor = r->next;
	return qn_reply(r, out);
}

static enum qn_err reply_one(struct qn_request *r, const struct workspace *w)
{
	struct one_reply *out = qn_new(r->arena, struct one_reply);

	out->workspace = w;
	return qn_reply(r, out);
}

static enum qn_err create(struct qn_request *r)
{
	struct workspace *w = qn_new(r->arena, struct workspace);

	QN_TRY(workspace_create(r->db, r->arena, r->who.app->id, r->who.user_id, r->in, w));
	return reply_one(r, w);
}

static enum qn_err get(struct qn_request *r)
{
	struct workspace *w = qn_new(r->arena, struct workspace);

	QN_TRY(workspace_by_id(r->db, r->arena, r->who.app->id, r->who.user_id, r->param[0], w));
	return reply_one(r, w);
}

static enum qn_err update(struct qn_request *r)
{
	struct workspace *w = qn_new(r->arena, struct workspace);

	QN_TRY(workspace_update(
	    r->db, r->arena, r->who.app->id, r->who.user_id, r->param[0], r->in, w));
	return reply_one(r, w);
}

static enum qn_err delete (struct qn_request *r) {
	QN_TRY(workspace_delete(r->db, r->arena, r->who.app->id, r->who.user_id, r->param[0]));
	return api_success(r);
}

#define USER .pool = QN_POOL_API, .auth = QN_AUTH_USER | QN_AUTH_KEY
#define ONE  USER, .tenant = "workspace_id", .missing = QN_WORKSPACE_NOT_FOUND

static const struct qn_route routes[] = {
    {QN_GET, "/api/v1/workspaces", "workspace.list", "List the caller's workspaces.", USER,
	.flags = QN_R_PAGED, .query = &qn_page_query_object, .reply = &list_object,
	.handler = list},
    {QN_POST, "/api/v1/workspaces", "workspace.create", "Make a workspace.", USER,
	.flags = QN_R_ONCE | QN_R_QUERY_BODY, .body = &new_object, .body_max = 16384,
	.reply = &made_object, .handler = create},
    {QN_GET, "/api/v1/workspaces/{workspace_id}", "workspace.get", "Show a workspace.", ONE,
	.reply = &one_object, .handler = get},
    {QN_PUT, "/api/v1/workspaces/{workspace_id}", "workspace.update",
	"Rename or describe a workspace.", ONE, .body = &change_object, .body_max = 16384,
	.reply = &one_object, .handler = update},
    {QN_DELETE, "/api/v1/workspaces/{workspace_id}", "workspace.delete",
	"Delete a workspace and all that is in it.", ONE, .reply = &api_success_object,
	.handler = delete},
};
API_TABLE(workspace_table, routes);
