#include "quoin/store/execution.h"

#include <string.h>

#include "quoin/base/rand.h"

#define ITEM \
	"e.id, e.document_id AS graph_id, e.version, e.status, e.progress, e.started_at, " \
	"e.completed_at, e.error"
#define RIGHTS \
	"SELECT d.app_id, d.id, d.version, max(a.level) AS level FROM documents d " \
	"JOIN document_access a ON a.document_id = d.id " \
	"WHERE d.app_id = $1 AND a.user_id = $2 AND d.kind = $3 AND d.id = $4 GROUP BY d.id"

/* By id the document is asked for apart: only a value is brought into the arms of the view. */
#define EXECUTION_STMTS(X) \
	X(EXECUTION_LIST, READ, 6, \
	    "SELECT x.* FROM (" RIGHTS ") r LEFT JOIN LATERAL (SELECT " ITEM " FROM executions e " \
	    "WHERE e.document_id = r.id AND e.id < " \
	    "coalesce($5, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid) ORDER BY e.id DESC LIMIT $6) x ON true") \
	X(EXECUTION_START, WRITE, 5, \
	    "WITH r AS (" RIGHTS \
	    "), e AS (INSERT INTO executions (id, app_id, document_id, user_id, version) " \
	    "SELECT $5, app_id, id, $2, version FROM r WHERE level >= 2 RETURNING *) " \
	    "SELECT " ITEM ", e.results, r.level FROM r LEFT JOIN e ON true") \
	X(EXECUTION_BY_ID, FRESH, 3, \
	    "SELECT " ITEM \
	    ", e.results FROM executions e WHERE e.app_id = $1 AND e.id = $3 AND EXISTS " \
	    "(SELECT 1 FROM document_access a WHERE a.document_id = " \
	    "(SELECT x.document_id FROM executions x WHERE x.id = $3) AND a.user_id = $2)") \
	X(EXECUTION_UPDATE, WRITE, 7, \
	    "SELECT outcome FROM execution_update($1, $2, $3, $4, $5, $6, $7)")

QN_STATEMENTS(execution, EXECUTION_STMTS);

const char *const execution_states[] = {"pending", "running", "completed", "failed", NULL};

#define FIELDS \
	QN_FIELD(struct execution, id, UUID, 0, 0, 0, "Id of the execution."), \
	    QN_FIELD(struct execution, graph_id, UUID, 0, 0, 0, "What was executed."), \
	    QN_FIELD( \
		struct execution, version, I64, 0, 1, 2147483647, "Its version at the start."), \
	    QN_FIELD_ENUM(struct execution, status, 0, execution_states, NULL, "How far it is."), \
	    QN_FIELD(struct execution, progress, I64, 0, 0, 100, "Per cent done."), \
	    QN_FIELD(struct execution, started_at, TIME, 0, 0, 0, "When it was started."), \
	    QN_FIELD(struct execution, completed_at, TIME, QN_F_NULLABLE, 0, 0, "When it ended."), \
	    QN_FIELD(struct execution, error, STR, QN_F_NULLABLE, 0, 10000, "Why it failed.")

static const struct qn_field item_fields[] = {FIELDS};
const struct qn_object execution_item_object =
    QN_OBJECT("ExecutionItem", struct execution, item_fields);

static const struct qn_field all_fields[] = {
    FIELDS,
    QN_FIELD(struct execution, results, JSON, QN_F_NULLABLE, 0, 0, "What came out."),
};
const struct qn_object execution_object = QN_OBJECT("Execution", struct execution, all_fields);

#define REF(r) qn_a_str((r)->app), qn_a_str((r)->user), qn_a_str((r)->kind), qn_a_str((r)->id)

enum qn_err execution_list(struct qn_db *db, struct qn_arena *a, const struct document_ref *ref,
    struct page page, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, execution_set, EXECUTION_LIST, &rows, REF(ref), qn_a_str(page.after),
	    qn_a_i64(page.limit)));
	if (qn_rows_n(rows) == 0)
		return QN_NOT_FOUND;
	*ret = qn_rows_list(rows, a, &execution_object);
	if (((const struct execution *)ret->items)->id == NULL)
		ret->n = 0;
	return QN_OK;
}

enum qn_err execution_start(
    struct qn_db *db, struct qn_arena *a, const struct document_ref *ref, struct execution *ret)
{
	char id[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(id);
	QN_TRY(QN_EXEC(db, a, execution_set, EXECUTION_START, &rows, REF(ref), qn_a_str(id)));
	if (qn_rows_n(rows) == 0)
		return QN_NOT_FOUND;
	qn_rows_get(rows, 0, &execution_object, ret);
	return ret->id == NULL ? QN_DENIED : QN_OK;
}

enum qn_err execution_by_id(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *id, struct execution *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, execution_set, EXECUTION_BY_ID, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(id)));
	if (qn_rows_n(rows) == 0)
		return QN_EXECUTION_NOT_FOUND;
	qn_rows_get(rows, 0, &execution_object, ret);
	return QN_OK;
}

static enum qn_err change(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *id, const struct execution *in)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, execution_set, EXECUTION_UPDATE, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(id), qn_a_str(in->status), qn_a_i64(in->progress), qn_a_json(in->results),
	    qn_a_str(in->error)));
	const char *word = qn_rows_str(rows, 0, 0);
	if (strcmp(word, "saved") == 0)
		return QN_OK;
	return strcmp(word, "missing") == 0  ? QN_EXECUTION_NOT_FOUND
	       : strcmp(word, "denied") == 0 ? QN_DENIED
	                                     : QN_EXECUTION_STATE;
}

enum qn_err execution_update(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const char *id, const struct execution *in, struct execution *ret)
{
	QN_TX(tx, db);

	QN_TRY(change(db, a, app, user, id, in));
	QN_TRY(execution_by_id(db, a, app, user, id, ret));
	return qn_tx_commit(&tx);
}
