/* Workspaces (CONTRACT A12-A13, E4, K10) and what the seed forgot: read, rename, delete. */
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

struct list_query {
	struct qn_page_query page;
	const char *organization_id;
};
static const struct qn_field query_fields[] = {
    QN_PAGE_FIELDS(struct list_query, 1000),
    QN_FIELD(struct list_query, organization_id, UUID, 0, 0, 0, "Only those of this organization."),
};
static const struct qn_object query_object =
    QN_OBJECT("WorkspaceQuery", struct list_query, query_fields);

#define IN(name_flags) \
	QN_FIELD(struct workspace, name, STR, name_flags, 1, 200, "Shown name."), \
	    QN_FIELD(struct workspace, description, STR, 0, 0, 2000, "What it is for."), \
	    QN_FIELD(struct workspace, require_base, BOOL, 0, 0, 0, \
		"Whether every save must name the version that it edited."), \
	    QN_FIELD_ENUM(struct workspace, visibility, 0, workspace_visibilities, NULL, \
		"private: its owner; team: the organization's members too, which is the " \
		"rule there; public: and anyone may read its graphs."), \
	    QN_FIELD(struct workspace, project_type, STR, 0, 0, 100, \
		"What kind of project it is for."), \
	    QN_FIELD(struct workspace, git_repository, STR, 0, 0, 2000, "Where its sources are."), \
	    QN_FIELD(struct workspace, local_path, STR, 0, 0, 2000, \
		"Where it is on its owner's machine."), \
	    QN_FIELD(struct workspace, settings, JSON, QN_F_OBJECT, 0, 8192, \
		"What its clients keep there.")

static const struct qn_field new_fields[] = {
    IN(QN_F_REQUIRED),
    QN_FIELD(struct workspace, organization_id, UUID, 0, 0, 0,
	"Makes it an organization's, of which the caller is a member."),
};
static const struct qn_object new_object = QN_OBJECT("WorkspaceNew", struct workspace, new_fields);

static const struct qn_field change_fields[] = {IN(0)};
static const struct qn_object change_object =
    QN_OBJECT("WorkspaceChange", struct workspace, change_fields);

static enum qn_err list(struct qn_request *r)
{
	struct list_reply *out = qn_new(r->arena, struct list_reply);
	const struct list_query *q = r->query;
	const char *after;
	int64_t limit;

	QN_TRY(qn_page_start(r, &after, &limit));
	QN_TRY(workspace_list(r->db, r->arena, r->who.app->id, r->who.user_id, q->organization_id,
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

/* What is done to an organization's workspace stands in its audit log. */
static enum qn_err note(struct qn_request *r, const char *action, const struct workspace *w)
{
	if (w->organization_id == NULL)
		return QN_OK;
	return api_audit(
	    r, &(struct audit_event){.organization = w->organization_id,
		   .action = action,
		   .resource_type = "workspace",
		   .resource_id = w->id,
		   .details = api_details(r, "name", w->name, "visibility", w->visibility, NULL)});
}

/* A personal one is one statement. */
static enum qn_err make(struct qn_request *r, const struct workspace *in, struct workspace *w)
{
	if (in->organization_id == NULL)
		return workspace_create(r->db, r->arena, r->who.app->id, r->who.user_id, in, w);
	QN_TX(tx, r->db);
	QN_TRY(workspace_create(r->db, r->arena, r->who.app->id, r->who.user_id, in, w));
	QN_TRY(note(r, "workspace.create", w));
	return qn_tx_commit(&tx);
}

static enum qn_err create(struct qn_request *r)
{
	struct workspace *w = qn_new(r->arena, struct workspace);

	QN_TRY(make(r, r->in, w));
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

	QN_TX(tx, r->db);
	QN_TRY(workspace_update(
	    r->db, r->arena, r->who.app->id, r->who.user_id, r->param[0], r->in, w));
	QN_TRY(note(r, "workspace.update", w));
	QN_TRY(qn_tx_commit(&tx));
	return reply_one(r, w);
}

static enum qn_err delete (struct qn_request *r) {
	struct workspace w;

	QN_TX(tx, r->db);
	QN_TRY(workspace_delete(r->db, r->arena, r->who.app->id, r->who.user_id, r->param[0], &w));
	QN_TRY(note(r, "workspace.delete", &w));
	QN_TRY(qn_tx_commit(&tx));
	return api_success(r);
}

#define USER .pool = QN_POOL_API, .auth = QN_AUTH_USER | QN_AUTH_KEY
#define ONE  USER, .tenant = "workspace_id", .missing = QN_WORKSPACE_NOT_FOUND

static const struct qn_route routes[] = {
    {QN_GET, "/api/v1/workspaces", "workspace.list", "List the caller's workspaces.", USER,
	.flags = QN_R_PAGED, .query = &query_object, .reply = &list_object, .handler = list},
    {QN_POST, "/api/v1/workspaces", "workspace.create", "Make a workspace.", USER,
	.flags = QN_R_ONCE | QN_R_QUERY_BODY, .body = &new_object, .body_max = 16384,
	.reply = &made_object, .errors = {QN_ORGANIZATION_NOT_FOUND}, .handler = create},
    {QN_GET, "/api/v1/workspaces/{workspace_id}", "workspace.get", "Show a workspace.", ONE,
	.reply = &one_object, .handler = get},
    {QN_PUT, "/api/v1/workspaces/{workspace_id}", "workspace.update",
	"Rename or describe a workspace.", ONE, .body = &change_object, .body_max = 16384,
	.reply = &one_object, .errors = {QN_DENIED}, .handler = update},
    {QN_DELETE, "/api/v1/workspaces/{workspace_id}", "workspace.delete",
	"Delete a workspace and all that is in it.", ONE, .reply = &api_success_object,
	.errors = {QN_DENIED}, .handler = delete},
};
API_TABLE(workspace_table, routes);
