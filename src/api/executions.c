/* Executions of a graph (CONTRACT A9): start, progress, results, error. */
#include "api.h"
#include "quoin/store/execution.h"

struct list_reply {
	struct qn_list executions;
	qn_tri has_more;
	const char *next_cursor;
};

struct one_reply {
	const struct execution *execution;
};

static const struct qn_field list_fields[] = {
    QN_FIELD_SUB(struct list_reply, executions, LIST, 0, &execution_item_object,
	"Executions of the graph, newest first, without their results."),
    API_PAGE_FIELDS(struct list_reply),
};
static const struct qn_object list_object =
    QN_OBJECT("ExecutionList", struct list_reply, list_fields);

static const struct qn_field one_fields[] = {
    QN_FIELD_SUB(struct one_reply, execution, OBJ, 0, &execution_object, "The execution."),
};
static const struct qn_object one_object =
    QN_OBJECT("ExecutionReply", struct one_reply, one_fields);

static const struct qn_field change_fields[] = {
    QN_FIELD_ENUM(struct execution, status, 0, execution_states, NULL,
	"pending, then running, then completed or failed, which are final."),
    QN_FIELD(struct execution, progress, I64, 0, 0, 100, "Per cent done."),
    QN_FIELD(struct execution, results, JSON, 0, 0, 1024 * 1024, "What came out."),
    QN_FIELD(struct execution, error, STR, 0, 0, 10000, "Why it failed."),
};
static const struct qn_object change_object =
    QN_OBJECT("ExecutionChange", struct execution, change_fields);

static enum qn_err list(struct qn_request *r)
{
	struct list_reply *out = qn_new(r->arena, struct list_reply);
	struct document_ref ref = {r->who.app->id, r->who.user_id, "graph", r->param[0]};
	const char *after;
	int64_t limit;

	QN_TRY(qn_page_start(r, &after, &limit));
	QN_TRY(execution_list(
	    r->db, r->arena, &ref, (struct page){after, limit + 1}, &out->executions));
	out->has_more = qn_page_more(&out->executions, limit);
	if (out->has_more)
		qn_page_next(r, ((const struct execution *)out->executions.items)[limit - 1].id);
	out->next_cursor = r->next;
	return qn_reply(r, out);
}

static enum qn_err reply_one(struct qn_request *r, const struct execution *e)
{
	struct one_reply *out = qn_new(r->arena, struct one_reply);

	out->execution = e;
	return qn_reply(r, out);
}

static enum qn_err start(struct qn_request *r)
{
	struct execution *e = qn_new(r->arena, struct execution);
	struct document_ref ref = {r->who.app->id, r->who.user_id, "graph", r->param[0]};

	QN_TRY(execution_start(r->db, r->arena, &ref, e));
	return reply_one(r, e);
}

static enum qn_err get(struct qn_request *r)
{
	struct execution *e = qn_new(r->arena, struct execution);

	QN_TRY(execution_by_id(r->db, r->arena, r->who.app->id, r->who.user_id, r->param[0], e));
	return reply_one(r, e);
}

static enum qn_err update(struct qn_request *r)
{
	struct execution *e = qn_new(r->arena, struct execution);

	QN_TRY(execution_update(
	    r->db, r->arena, r->who.app->id, r->who.user_id, r->param[0], r->in, e));
	return reply_one(r, e);
}

#define USER      .pool = QN_POOL_API, .auth = QN_AUTH_USER | QN_AUTH_KEY
#define GRAPH     USER, .tenant = "graph_id", .missing = QN_GRAPH_NOT_FOUND
#define EXECUTION USER, .tenant = "execution_id", .missing = QN_EXECUTION_NOT_FOUND

static const struct qn_route routes[] = {
    {QN_GET, "/api/v1/graphs/{graph_id}/executions", "execution.list",
	"List the executions of a graph.", GRAPH, .flags = QN_R_PAGED,
	.query = &qn_page_short_object, .reply = &list_object, .handler = list},
    {QN_POST, "/api/v1/graphs/{graph_id}/executions", "execution.start",
	"Start an execution of a graph.", GRAPH, .flags = QN_R_ONCE, .reply = &one_object,
	.errors = {QN_DENIED}, .handler = start},
    {QN_GET, "/api/v1/executions/{execution_id}", "execution.get", "Show an execution.", EXECUTION,
	.reply = &one_object, .handler = get},
    {QN_PUT, "/api/v1/executions/{execution_id}", "execution.update",
	"Tell how far an execution is, or how it ended.", EXECUTION, .body = &change_object,
	.body_max = 1024 * 1024 + 32768, .reply = &one_object,
	.errors = {QN_DENIED, QN_EXECUTION_STATE}, .handler = update},
};
API_TABLE(execution_table, routes);
