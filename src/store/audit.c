#include "quoin/store/audit.h"

#include "quoin/base/rand.h"

#define AUDIT_STMTS(X) \
	X(AUDIT_WRITE, WRITE, 11, "SELECT audit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")

QN_STATEMENTS(audit, AUDIT_STMTS);

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
