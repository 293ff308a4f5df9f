#include "quoin/store/audit.h"

#include "quoin/base/rand.h"
#include "rows.h"

#define AUDIT_STMTS(X) \
	X(AUDIT_WRITE, WRITE, 11, "SELECT audit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)") \
	X(AUDIT_LIST, FRESH, 8, \
	    "SELECT a.seq, a.id, a.user_id, a.action, a.resource_type, a.resource_id, a.details, a.ip_address, " \
	    "a.user_agent, a.request_id, a.created_at FROM audit_logs a WHERE a.chain = $2 AND a.app_id = $1 " \
	    "AND a.seq < coalesce($3, 9223372036854775807) AND ($4::text IS NULL OR a.action = $4) " \
	    "AND ($5::uuid IS NULL OR a.user_id = $5) " \
	    "AND ($6::bigint IS NULL OR a.created_at >= to_timestamp($6 / 1000000.0)) " \
	    "AND ($7::bigint IS NULL OR a.created_at < to_timestamp($7 / 1000000.0)) " \
	    "ORDER BY a.seq DESC LIMIT $8") \
	X(AUDIT_CHAINS, FRESH, 2, \
	    "SELECT h.chain, h.app_id, h.organization_id, h.seq, h.anchor_seq FROM audit_heads h " \
	    "WHERE ($1::uuid IS NULL OR h.app_id = $1) AND ($2::uuid IS NULL OR h.organization_id = $2) " \
	    "ORDER BY h.app_id, h.organization_id NULLS FIRST") \
	X(AUDIT_VERIFY, FRESH, 1, "SELECT seq, id, why FROM audit_verify($1)") \
	X(AUDIT_PRUNE, WRITE, 0, "SELECT audit_prune(2000)")

QN_STATEMENTS(audit, AUDIT_STMTS);

static const struct qn_field row_fields[] = {
    QN_FIELD(struct audit_row, seq, I64, 0, 0, 0, "Its place in the log, from 1."),
    QN_FIELD(struct audit_row, id, UUID, 0, 0, 0, "Id of the entry."),
    QN_FIELD(struct audit_row, user_id, UUID, QN_F_NULLABLE | QN_F_USER, 0, 0,
	"Who did it, also when that user was erased since; null: an operator, or nobody signed in."),
    QN_FIELD(struct audit_row, action, STR, 0, 1, 64, "What was done: org.member.remove, …"),
    QN_FIELD(struct audit_row, resource_type, STR, QN_F_NULLABLE, 0, 0, "To what kind of thing."),
    QN_FIELD(struct audit_row, resource_id, STR, QN_F_NULLABLE, 0, 0, "To which."),
    QN_FIELD(struct audit_row, details, JSON, QN_F_OBJECT, 0, 0, "With what."),
    QN_FIELD(struct audit_row, ip_address, STR, QN_F_NULLABLE, 0, 0, "From where."),
    QN_FIELD(struct audit_row, user_agent, STR, QN_F_NULLABLE, 0, 500, "With which program."),
    QN_FIELD(struct audit_row, request_id, STR, QN_F_NULLABLE, 0, 0, "In which request."),
    QN_FIELD(struct audit_row, created_at, TIME, 0, 0, 0, "When."),
};
const struct qn_object audit_row_object = QN_OBJECT("AuditEntry", struct audit_row, row_fields);

static const struct qn_field chain_fields[] = {
    QN_FIELD(struct audit_chain, chain, UUID, 0, 0, 0, "Whose it is."),
    QN_FIELD(struct audit_chain, app_id, UUID, 0, 0, 0, "Of which app."),
    QN_FIELD(struct audit_chain, organization_id, UUID, QN_F_NULLABLE, 0, 0, "The organization."),
    QN_FIELD(struct audit_chain, seq, I64, 0, 0, 0, "Of its last row."),
    QN_FIELD(struct audit_chain, anchor_seq, I64, 0, 0, 0, "Of the last row that was taken."),
};
static const struct qn_object chain_object =
    QN_OBJECT("AuditChain", struct audit_chain, chain_fields);

static const struct qn_field fault_fields[] = {
    QN_FIELD(struct audit_fault, seq, I64, 0, 0, 0, "Of the row."),
    QN_FIELD(struct audit_fault, id, UUID, QN_F_NULLABLE, 0, 0, "Its id."),
    QN_FIELD(struct audit_fault, why, STR, QN_F_NULLABLE, 0, 0, "What is wrong."),
};
static const struct qn_object fault_object =
    QN_OBJECT("AuditFault", struct audit_fault, fault_fields);

enum qn_err audit_write(struct qn_db *db, struct qn_arena *a, const struct audit_event *e)
{
	char id[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(id);
	return QN_EXEC(db, a, audit_set, AUDIT_WRITE, &rows, qn_a_str(id), qn_a_str(e->app),
	    qn_a_str(e->organization), qn_a_str(e->user), qn_a_str(e->action),
	    qn_a_str(e->resource_type), qn_a_str(e->resource_id), qn_a_json(e->details),
	    qn_a_str(e->ip), qn_a_str(e->user_agent), qn_a_str(e->request_id));
}

enum qn_err audit_list(struct qn_db *db, struct qn_arena *a, const char *app, const char *org,
    const struct audit_filter *filter, const char *before, int64_t limit, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, audit_set, AUDIT_LIST, &rows, qn_a_str(app), qn_a_str(org),
	    qn_a_str(before), qn_a_str(filter->action), qn_a_str(filter->user_id),
	    qn_a_i64(filter->from), qn_a_i64(filter->to), qn_a_i64(limit)));
	*ret = qn_rows_list(rows, a, &audit_row_object);
	return QN_OK;
}

enum qn_err audit_chains(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *org, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, audit_set, AUDIT_CHAINS, &rows, qn_a_str(app), qn_a_str(org)));
	*ret = qn_rows_list(rows, a, &chain_object);
	return QN_OK;
}

enum qn_err audit_verify(
    struct qn_db *db, struct qn_arena *a, const char *chain, struct audit_fault *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, audit_set, AUDIT_VERIFY, &rows, qn_a_str(chain)));
	qn_object_init(&fault_object, ret);
	if (qn_rows_n(rows) > 0)
		qn_rows_get(rows, 0, &fault_object, ret);
	return QN_OK;
}

enum qn_err audit_prune(struct qn_db *db, struct qn_arena *a, int64_t *ret_n)
{
	return qn_exec_number(db, a, &audit_set, AUDIT_PRUNE, ret_n);
}
