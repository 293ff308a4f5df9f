/* Graphs (CONTRACT A14-A21): documents of kind "graph", with the preconditions that the seed lacks. */
#include <string.h>

#include "api.h"
#include "quoin/base/json.h"
#include "quoin/store/document.h"

#define DATA_MAX (8 * 1024 * 1024)
#define BODY_MAX (DATA_MAX + 64 * 1024)

struct list_reply {
	struct qn_list graphs;
	qn_tri has_more;
	const char *next_cursor;
};

struct one_reply {
	const struct document *graph;
};

struct versions_reply {
	struct qn_list versions;
	qn_tri has_more;
	const char *next_cursor;
};

struct version_reply {
	const struct document_version *version;
};

struct restored_reply {
	qn_tri success;
	int64_t new_version;
};

struct graph_in {
	const char *workspace_id, *name, *commit_message;
	struct qn_span data;
	int64_t base_version;
	qn_tri is_public;
};

#define LIST_OBJECT(var, shown, item, doc) \
	static const struct qn_field var##_fields[] = { \
	    QN_FIELD_SUB(struct list_reply, graphs, LIST, 0, &(item), doc), \
	    API_PAGE_FIELDS(struct list_reply), \
	}; \
	static const struct qn_object var = QN_OBJECT(shown, struct list_reply, var##_fields)
LIST_OBJECT(list_object, "GraphList", document_item_object, "Graphs, newest first.");
LIST_OBJECT(shared_object, "SharedGraphList", document_shared_object,
    "Graphs shared with the caller, newest first.");

#define ONE_OBJECT(var, shown, item, doc) \
	static const struct qn_field var##_fields[] = { \
	    QN_FIELD_SUB(struct one_reply, graph, OBJ, 0, &(item), doc), \
	}; \
	static const struct qn_object var = QN_OBJECT(shown, struct one_reply, var##_fields)
ONE_OBJECT(one_object, "GraphReply", document_object, "The graph.");
ONE_OBJECT(made_object, "GraphMadeReply", document_made_object, "What was made.");
ONE_OBJECT(saved_object, "GraphSavedReply", document_saved_object, "What was saved.");

static const struct qn_field versions_fields[] = {
    QN_FIELD_SUB(struct versions_reply, versions, LIST, 0, &version_item_object,
	"The versions that were replaced, newest first."),
    API_PAGE_FIELDS(struct versions_reply),
};
static const struct qn_object versions_object =
    QN_OBJECT("GraphVersionList", struct versions_reply, versions_fields);

static const struct qn_field version_reply_fields[] = {
    QN_FIELD_SUB(struct version_reply, version, OBJ, 0, &version_object, "The version."),
};
static const struct qn_object version_reply_object =
    QN_OBJECT("GraphVersionReply", struct version_reply, version_reply_fields);

static const struct qn_field restored_fields[] = {
    QN_FIELD(struct restored_reply, success, BOOL, 0, 0, 0, "Always true."),
    QN_FIELD(
	struct restored_reply, new_version, I64, 0, 1, 2147483647, "The version that it became."),
};
static const struct qn_object restored_object =
    QN_OBJECT("GraphRestored", struct restored_reply, restored_fields);

#define DATA(flags) \
	QN_FIELD(struct graph_in, data, JSON, (flags) | QN_F_OBJECT, 2, DATA_MAX, \
	    "The graph as its editor serialised it; kept byte for byte.")
#define PUBLIC QN_FIELD(struct graph_in, is_public, BOOL, 0, 0, 0, "Whether anyone may read it.")

static const struct qn_field new_fields[] = {
    QN_FIELD(struct graph_in, workspace_id, UUID, QN_F_REQUIRED, 0, 0, "Where it is put."),
    QN_FIELD(struct graph_in, name, STR, QN_F_REQUIRED, 1, 200, "Shown name."),
    DATA(QN_F_REQUIRED),
    PUBLIC,
};
static const struct qn_object new_object = QN_OBJECT("GraphNew", struct graph_in, new_fields);

static const struct qn_field change_fields[] = {
    QN_FIELD(struct graph_in, name, STR, 0, 1, 200, "Shown name."),
    DATA(0),
    QN_FIELD(
	struct graph_in, commit_message, STR, 0, 0, 2000, "What was changed, for the history."),
    QN_FIELD(struct graph_in, base_version, I64, 0, 1, 2147483647,
	"The version that was edited: 409 when it is not the present one."),
    PUBLIC,
};
static const struct qn_object change_object =
    QN_OBJECT("GraphChange", struct graph_in, change_fields);

static struct document_ref caller(const struct qn_request *r)
{
	return (struct document_ref){r->who.app->id, r->who.user_id, "graph", r->param[0]};
}

static void set_etag(struct qn_request *r, const struct document *d)
{
	r->etag = qn_printf(r->arena, "\"%s\"", d->tag);
}

typedef enum qn_err list_fn(struct qn_db *db, struct qn_arena *a, const struct document_ref *who,
    struct page page, struct qn_list *ret);

static enum qn_err finish_list(struct qn_request *r, struct list_reply *out, int64_t limit)
{
	out->has_more = qn_page_more(&out->graphs, limit);
	if (out->has_more)
		qn_page_next(r, ((const struct document *)out->graphs.items)[limit - 1].id);
	out->next_cursor = r->next;
	return qn_reply(r, out);
}

static enum qn_err list_of_caller(struct qn_request *r, list_fn *fn)
{
	struct list_reply *out = qn_new(r->arena, struct list_reply);
	struct document_ref who = caller(r);
	const char *after;
	int64_t limit;

	QN_TRY(qn_page_start(r, &after, &limit));
	QN_TRY(fn(r->db, r->arena, &who, (struct page){after, limit + 1}, &out->graphs));
	return finish_list(r, out, limit);
}

static enum qn_err list_own(struct qn_request *r)
{
	return list_of_caller(r, document_list_own);
}

static enum qn_err list_shared(struct qn_request *r)
{
	return list_of_caller(r, document_list_shared);
}

static enum qn_err list(struct qn_request *r)
{
	struct list_reply *out = qn_new(r->arena, struct list_reply);
	struct document_ref who = caller(r);
	const char *after;
	int64_t limit;

	QN_TRY(qn_page_start(r, &after, &limit));
	QN_TRY(document_list(
	    r->db, r->arena, &who, r->param[0], (struct page){after, limit + 1}, &out->graphs));
	return finish_list(r, out, limit);
}

static enum qn_err reply_one(struct qn_request *r, const struct document *d)
{
	struct one_reply *out = qn_new(r->arena, struct one_reply);

	out->graph = d;
	set_etag(r, d);
	return qn_reply(r, out);
}

static enum qn_err create(struct qn_request *r)
{
	struct document *d = qn_new(r->arena, struct document);
	struct document_ref who = caller(r);
	const struct graph_in *in = r->in;
	struct document_save save = {
	    .name = in->name, .data = in->data, .is_public = in->is_public};

	QN_TRY(document_create(r->db, r->arena, &who, in->workspace_id, &save, d));
	return reply_one(r, d);
}

static enum qn_err get(struct qn_request *r)
{
	struct document *d = qn_new(r->arena, struct document);
	struct document_ref ref = caller(r);

	QN_TRY(document_by_id(r->db, r->arena, &ref, d));
	return reply_one(r, d);
}

static enum qn_err get_public(struct qn_request *r)
{
	struct document *d = qn_new(r->arena, struct document);
	struct document_ref ref = caller(r);

	QN_TRY(document_public(r->db, r->arena, &ref, d));
	return reply_one(r, d);
}

/* The length of an ETag at p, quotes included; 0 when there is none. */
static size_t tag_length(const char *p)
{
	const char *end = *p == '"' ? strchr(p + 1, '"') : NULL;

	return end != NULL ? (size_t)(end - p) + 1 : 0;
}

/* Whether it can be one of ours, quotes included: "v7", "v7.1". */
static bool is_tag(const char *tag, size_t n)
{
	return n >= 4 && n <= 26 && tag[1] == 'v' && strspn(tag + 2, "0123456789.") == n - 3;
}

/*
 * The tags that If-Match names, as "{v7,v3.1}"; those that are none of ours, weak ones among them, match
 * nothing. NULL without a header or with a star (RFC 9110 §13.1.1).
 */
static const char *if_match(const struct qn_request *r)
{
	const char *h = qn_fcgi_param(r->fcgi, "HTTP_IF_MATCH"), *tags = "{none";
	size_t n;

	if (h == NULL || strcmp(h, "*") == 0)
		return NULL;
	for (const char *p = h; *p != '\0'; p += n > 0 ? n : 1) {
		n = tag_length(p);
		if (is_tag(p, n) && (p == h || p[-1] != '/'))
			tags = qn_printf(r->arena, "%s,%.*s", tags, (int)n - 2, p + 1);
	}
	return qn_printf(r->arena, "%s}", tags);
}

/* What was to be changed is another by now: the reply's tag is that of what is there. */
static enum qn_err conflict(
    struct qn_request *r, enum qn_err e, const struct document *now, bool matched)
{
	if (e != QN_VERSION_CONFLICT)
		return e;
	set_etag(r, now);
	return matched ? QN_PRECONDITION : e;
}

static const char *base_version(const struct qn_request *r, int64_t version)
{
	return version == QN_I64_NULL ? NULL : qn_printf(r->arena, "{%lld}", (long long)version);
}

static enum qn_err update(struct qn_request *r)
{
	struct document *d = qn_new(r->arena, struct document);
	struct document_ref ref = caller(r);
	const struct graph_in *in = r->in;
	struct document_save save = {.name = in->name,
	    .data = in->data,
	    .message = in->commit_message,
	    .tags = if_match(r),
	    .is_public = in->is_public};

	if (save.tags == NULL)
		save.bases = base_version(r, in->base_version);
	QN_TRY(conflict(r, document_save(r->db, r->arena, &ref, &save, d), d, save.tags != NULL));
	return reply_one(r, d);
}

static enum qn_err delete (struct qn_request *r) {
	struct document *was = qn_new(r->arena, struct document);
	struct document_ref ref = caller(r);

	QN_TRY(conflict(r, document_delete(r->db, r->arena, &ref, if_match(r), was), was, true));
	return api_success(r);
}

/* The cursor of this list is a version number. */
static enum qn_err start_below(struct qn_request *r, int64_t *ret_below, int64_t *ret_limit)
{
	const char *after;

	*ret_below = QN_I64_NULL;
	QN_TRY(qn_page_start(r, &after, ret_limit));
	return after == NULL || qn_json_i64(qn_span_of(after), ret_below) ? QN_OK : QN_INVALID;
}

static enum qn_err versions(struct qn_request *r)
{
	struct versions_reply *out = qn_new(r->arena, struct versions_reply);
	struct document_ref ref = caller(r);
	int64_t below, limit;

	QN_TRY(start_below(r, &below, &limit));
	QN_TRY(version_list(r->db, r->arena, &ref, below, limit + 1, &out->versions));
	out->has_more = qn_page_more(&out->versions, limit);
	if (out->has_more) {
		const struct document_version *last =
		    (const struct document_version *)out->versions.items + limit - 1;
		qn_page_next(r, qn_printf(r->arena, "%lld", (long long)last->version));
	}
	out->next_cursor = r->next;
	return qn_reply(r, out);
}

static enum qn_err version(struct qn_request *r)
{
	struct version_reply *out = qn_new(r->arena, struct version_reply);
	struct document_version *v = qn_new(r->arena, struct document_version);
	struct document_ref ref = caller(r);

	QN_TRY(version_get(r->db, r->arena, &ref, r->param_int[1], v));
	out->version = v;
	return qn_reply(r, out);
}

static enum qn_err restore(struct qn_request *r)
{
	struct restored_reply *out = qn_new(r->arena, struct restored_reply);
	struct document *d = qn_new(r->arena, struct document);
	struct document_ref ref = caller(r);

	QN_TRY(conflict(
	    r, document_restore(r->db, r->arena, &ref, r->param_int[1], if_match(r), d), d, true));
	set_etag(r, d);
	out->success = 1;
	out->new_version = d->version;
	return qn_reply(r, out);
}

#define USER  .pool = QN_POOL_API, .auth = QN_AUTH_USER | QN_AUTH_KEY
#define GRAPH .tenant = "graph_id", .missing = QN_GRAPH_NOT_FOUND
#define PAGED .flags = QN_R_PAGED, .query = &qn_page_query_object

static const struct qn_route routes[] = {
    {QN_GET, "/api/v1/workspaces/{workspace_id}/graphs", "graph.list",
	"List the graphs of a workspace.", USER, PAGED, .tenant = "workspace_id",
	.missing = QN_WORKSPACE_NOT_FOUND, .reply = &list_object, .handler = list},
    {QN_GET, "/api/v1/graphs", "graph.list_own", "List the caller's graphs.", USER, PAGED,
	.reply = &list_object, .handler = list_own},
    {QN_GET, "/api/v1/graphs/shared", "graph.list_shared",
	"List the graphs that others share with the caller.", USER, PAGED, .reply = &shared_object,
	.handler = list_shared},
    {QN_POST, "/api/v1/graphs", "graph.create", "Make a graph.", USER, .flags = QN_R_ONCE,
	.body = &new_object, .body_max = BODY_MAX, .reply = &made_object,
	.errors = {QN_WORKSPACE_NOT_FOUND}, .handler = create},
    {QN_GET, "/api/v1/graphs/{graph_id}", "graph.get", "Show a graph.", USER, GRAPH,
	.flags = QN_R_ETAG, .reply = &one_object, .handler = get},
    {QN_PUT, "/api/v1/graphs/{graph_id}", "graph.update",
	"Save a graph, rename it or make it public. New data makes a new version.", USER, GRAPH,
	.flags = QN_R_IF_MATCH, .body = &change_object, .body_max = BODY_MAX,
	.reply = &saved_object,
	.errors = {QN_DENIED, QN_VERSION_CONFLICT, QN_PRECONDITION_REQUIRED}, .handler = update},
    {QN_DELETE, "/api/v1/graphs/{graph_id}", "graph.delete", "Delete a graph and its history.",
	USER, GRAPH, .flags = QN_R_IF_MATCH, .reply = &api_success_object, .errors = {QN_DENIED},
	.handler = delete},
    {QN_GET, "/api/v1/graphs/{graph_id}/versions", "graph.versions",
	"List the versions of a graph.", USER, GRAPH, PAGED, .reply = &versions_object,
	.handler = versions},
    {QN_GET, "/api/v1/graphs/{graph_id}/versions/{version:int}", "graph.version",
	"Show a version of a graph.", USER, GRAPH, .reply = &version_reply_object,
	.errors = {QN_VERSION_NOT_FOUND}, .handler = version},
    {QN_POST, "/api/v1/graphs/{graph_id}/restore/{version:int}", "graph.restore",
	"Make an old version the present one again, as a new version.", USER, GRAPH,
	.flags = QN_R_ONCE | QN_R_IF_MATCH, .reply = &restored_object,
	.errors = {QN_DENIED, QN_VERSION_NOT_FOUND}, .handler = restore},
    {QN_GET, "/api/v1/public/graphs/{graph_id}", "graph.get_public",
	"Show a public graph to anyone.", .pool = QN_POOL_API, .auth = QN_AUTH_PUBLIC,
	.missing = QN_GRAPH_NOT_FOUND, .flags = QN_R_ETAG, .reply = &one_object,
	.handler = get_public},
};
API_TABLE(graph_table, routes);
