/* The audit log of an organization (CONTRACT E8): read, filtered, and proved whole. */
#include "orgs.h"

#include <inttypes.h>

enum { VERIFY_RANK = 2 };

struct list_query {
	struct qn_page_query page;
	const char *action, *user_id;
	qn_time from, to;
};

static const struct qn_field query_fields[] = {
    QN_PAGE_FIELDS(struct list_query, 100),
    QN_FIELD(struct list_query, action, STR, 0, 1, 64, "Only this: org.member.remove, …"),
    QN_FIELD(struct list_query, user_id, UUID, QN_F_USER, 0, 0, "Only what this user did."),
    QN_FIELD(struct list_query, from, TIME, 0, 0, 0, "Only from then on."),
    QN_FIELD(struct list_query, to, TIME, 0, 0, 0, "Only before then."),
};
static const struct qn_object query_object =
    QN_OBJECT("AuditQuery", struct list_query, query_fields);

struct list_reply {
	struct qn_list audit_logs;
	qn_tri has_more;
	const char *next_cursor;
};

static const struct qn_field list_fields[] = {
    QN_FIELD_SUB(struct list_reply, audit_logs, LIST, 0, &audit_row_object, "Newest first."),
    API_PAGE_FIELDS(struct list_reply),
};
static const struct qn_object list_object = QN_OBJECT("AuditLog", struct list_reply, list_fields);

struct verify_reply {
	qn_tri intact;
	int64_t seq;
	const char *why;
};

static const struct qn_field verify_fields[] = {
    QN_FIELD(struct verify_reply, intact, BOOL, 0, 0, 0,
	"Whether every entry is as it was written, and none is missing."),
    QN_FIELD(struct verify_reply, seq, I64, QN_F_NULLABLE, 0, 0, "The first that is not."),
    QN_FIELD(struct verify_reply, why, STR, QN_F_NULLABLE, 0, 0, "What is wrong with it."),
};
static const struct qn_object verify_object =
    QN_OBJECT("AuditVerified", struct verify_reply, verify_fields);

static enum qn_err list(struct qn_request *r)
{
	const struct list_query *q = r->query;
	const struct audit_filter filter = {q->action, q->user_id, q->from, q->to};
	struct list_reply *out = qn_new(r->arena, struct list_reply);
	const char *before;
	int64_t limit;

	QN_TRY(qn_page_start(r, &before, &limit));
	QN_TRY(audit_list(r->db, r->arena, r->who.app->id, r->who.org_id, &filter, before,
	    limit + 1, &out->audit_logs));
	out->has_more = qn_page_more(&out->audit_logs, limit);
	if (out->has_more)
		qn_page_next(
		    r, qn_printf(r->arena, "%" PRId64,
			   ((const struct audit_row *)out->audit_logs.items)[limit - 1].seq));
	out->next_cursor = r->next;
	return qn_reply(r, out);
}

static enum qn_err verify(struct qn_request *r)
{
	struct verify_reply *out = qn_new(r->arena, struct verify_reply);
	struct audit_fault fault;

	QN_TRY(audit_verify(r->db, r->arena, r->who.org_id, &fault));
	*out = (struct verify_reply){fault.why == NULL, fault.seq, fault.why};
	return qn_reply(r, out);
}

#define ALL "/api/v1/orgs/{org_id}/audit-logs"

static const struct qn_route routes[] = {
    {QN_GET, ALL, "org.audit-list", "Read the audit log of an organization.", ORG(QN_ROLE_ADMIN),
	.flags = QN_R_PAGED, .query = &query_object, .reply = &list_object, .handler = list},
    {QN_GET, ALL "/verify", "org.audit-verify", "Prove that an audit log was not tampered with.",
	ORG(QN_ROLE_ADMIN), .rank = VERIFY_RANK, .rate = QN_RATE_EXPENSIVE, .reply = &verify_object,
	.handler = verify},
};
API_TABLE(audit_table, routes);
