/* Sharing a graph (CONTRACT A10): list, grant, change, revoke. */
#include "api.h"
#include "quoin/store/share.h"

struct list_reply {
	qn_tri is_public;
	struct qn_list shares;
};

struct one_reply {
	const struct share *share;
};

struct share_in {
	const char *user_id, *email, *permission;
};

static const struct qn_field list_fields[] = {
    QN_FIELD(struct list_reply, is_public, BOOL, 0, 0, 0, "Whether anyone may read the graph."),
    QN_FIELD_SUB(
	struct list_reply, shares, LIST, 0, &share_object, "With whom it is shared, oldest first."),
};
static const struct qn_object list_object = QN_OBJECT("ShareList", struct list_reply, list_fields);

static const struct qn_field one_fields[] = {
    QN_FIELD_SUB(struct one_reply, share, OBJ, 0, &share_object, "The share."),
};
static const struct qn_object one_object = QN_OBJECT("ShareReply", struct one_reply, one_fields);

#define PERMISSION \
	QN_FIELD_ENUM(struct share_in, permission, QN_F_REQUIRED, share_permissions, NULL, \
	    "What the user may do: read; write: save and run; admin: share and delete.")

static const struct qn_field new_fields[] = {
    QN_FIELD(struct share_in, user_id, UUID, QN_F_USER, 0, 0, "With whom; or by"),
    QN_FIELD(struct share_in, email, STR, 0, 3, 320, "the user's verified address."),
    PERMISSION,
};
static const struct qn_object new_object = QN_OBJECT("ShareNew", struct share_in, new_fields);

static const struct qn_field change_fields[] = {PERMISSION};
static const struct qn_object change_object =
    QN_OBJECT("ShareChange", struct share_in, change_fields);

static struct document_ref graph(const struct qn_request *r)
{
	return (struct document_ref){r->who.app->id, r->who.user_id, "graph", r->param[0]};
}

static enum qn_err list(struct qn_request *r)
{
	struct list_reply *out = qn_new(r->arena, struct list_reply);
	struct document_ref ref = graph(r);

	QN_TRY(share_list(r->db, r->arena, &ref, &out->is_public, &out->shares));
	return qn_reply(r, out);
}

static enum qn_err reply_one(struct qn_request *r, const struct share *share)
{
	struct one_reply *out = qn_new(r->arena, struct one_reply);

	out->share = share;
	return qn_reply(r, out);
}

static enum qn_err create(struct qn_request *r)
{
	struct share *share = qn_new(r->arena, struct share);
	struct document_ref ref = graph(r);
	const struct share_in *in = r->in;
	struct share wanted = {in->user_id, in->email, in->permission, 0};

	if ((in->user_id == NULL) == (in->email == NULL)) {
		qn_fault_add(r, "body", "user_id",
		    "Name the user by user_id or by email, not both.", "one_of");
		return QN_INVALID;
	}
	QN_TRY(share_grant(r->db, r->arena, &ref, &wanted, share));
	return reply_one(r, share);
}

static enum qn_err update(struct qn_request *r)
{
	struct share *share = qn_new(r->arena, struct share);
	struct document_ref ref = graph(r);
	const struct share_in *in = r->in;
	struct share wanted = {r->param[1], NULL, in->permission, 0};

	QN_TRY(share_change(r->db, r->arena, &ref, &wanted, share));
	return reply_one(r, share);
}

static enum qn_err delete (struct qn_request *r) {
	struct document_ref ref = graph(r);

	QN_TRY(share_delete(r->db, r->arena, &ref, r->param[1]));
	return api_success(r);
}

#define GRAPH \
	.pool = QN_POOL_API, .auth = QN_AUTH_USER | QN_AUTH_KEY, .tenant = "graph_id", \
	.missing = QN_GRAPH_NOT_FOUND

static const struct qn_route routes[] = {
    {QN_GET, "/api/v1/graphs/{graph_id}/shares", "share.list", "List with whom a graph is shared.",
	GRAPH, .reply = &list_object, .errors = {QN_DENIED}, .handler = list},
    {QN_POST, "/api/v1/graphs/{graph_id}/shares", "share.create",
	"Share a graph with a user of the app.", GRAPH, .flags = QN_R_ONCE, .body = &new_object,
	.body_max = 4096, .reply = &one_object,
	.errors = {QN_DENIED, QN_USER_NOT_FOUND, QN_CONFLICT}, .handler = create},
    {QN_PUT, "/api/v1/graphs/{graph_id}/shares/{user_id}", "share.update",
	"Change what a user may do with a graph.", GRAPH, .body = &change_object, .body_max = 4096,
	.reply = &one_object, .errors = {QN_DENIED, QN_SHARE_NOT_FOUND}, .handler = update},
    {QN_DELETE, "/api/v1/graphs/{graph_id}/shares/{user_id}", "share.delete",
	"Stop sharing a graph with a user, or leave one that is shared with the caller.", GRAPH,
	.reply = &api_success_object, .errors = {QN_DENIED, QN_SHARE_NOT_FOUND}, .handler = delete},
};
API_TABLE(share_table, routes);
