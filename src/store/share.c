#include "quoin/store/share.h"

#include <string.h>

#define RIGHTS \
	"SELECT d.id, d.is_public, max(a.level) AS level FROM documents d JOIN document_access a " \
	"ON a.document_id = d.id WHERE d.app_id = $1 AND a.user_id = $2 AND d.kind = $3 AND d.id = $4 " \
	"GROUP BY d.id"

#define SHARE_STMTS(X) \
	X(SHARE_LIST, FRESH, 4, \
	    "SELECT r.level, r.is_public, s.user_id, u.email, s.permission, s.created_at " \
	    "FROM (" RIGHTS ") r LEFT JOIN document_shares s ON s.document_id = r.id " \
	    "LEFT JOIN users u ON u.id = s.user_id ORDER BY s.created_at, s.user_id LIMIT 1000") \
	X(SHARE_PUT, WRITE, 8, \
	    "SELECT outcome, user_id, email, permission, created_at " \
	    "FROM document_share($1, $2, $3, $4, $5, $6, $7, $8)") \
	X(SHARE_DELETE, WRITE, 5, \
	    "WITH r AS (" RIGHTS "), gone AS (DELETE FROM document_shares s USING r " \
	    "WHERE s.document_id = r.id AND s.user_id = $5 AND (r.level >= 3 OR $5 = $2) " \
	    "RETURNING s.user_id) SELECT r.level, (SELECT count(*) FROM gone) FROM r")

QN_STATEMENTS(share, SHARE_STMTS);

const char *const share_permissions[] = {"read", "write", "admin", NULL};

static const struct qn_field share_fields[] = {
    QN_FIELD(struct share, user_id, UUID, QN_F_USER, 0, 0, "With whom it is shared."),
    QN_FIELD(struct share, email, STR, QN_F_NULLABLE, 0, 320, "That user's address."),
    QN_FIELD_ENUM(struct share, permission, 0, share_permissions, NULL, "What the user may do."),
    QN_FIELD(struct share, created_at, TIME, 0, 0, 0, "When it was first shared."),
};
const struct qn_object share_object = QN_OBJECT("Share", struct share, share_fields);

#define REF(r) qn_a_str((r)->app), qn_a_str((r)->user), qn_a_str((r)->kind), qn_a_str((r)->id)

enum qn_err share_list(struct qn_db *db, struct qn_arena *a, const struct document_ref *ref,
    qn_tri *ret_public, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, share_set, SHARE_LIST, &rows, REF(ref)));
	if (qn_rows_n(rows) == 0)
		return QN_NOT_FOUND;
	if (qn_rows_i64(rows, 0, 0) < 3)
		return QN_DENIED;
	*ret_public = (qn_tri)qn_rows_i64(rows, 0, 1);
	*ret = qn_rows_list(rows, a, &share_object);
	if (((const struct share *)ret->items)->user_id == NULL)
		ret->n = 0;
	return QN_OK;
}

static enum qn_err outcome(const char *word)
{
	static const struct {
		const char *word;
		enum qn_err err;
	} words[] = {{"saved", QN_OK}, {"missing", QN_NOT_FOUND}, {"denied", QN_DENIED},
	    {"share", QN_SHARE_NOT_FOUND}, {"user", QN_USER_NOT_FOUND}, {"owner", QN_CONFLICT}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i].word, word) == 0)
			return words[i].err;
	return QN_INTERNAL;
}

/* Every call of document_share answers with one row. */
static enum qn_err put(struct qn_db *db, struct qn_arena *a, const struct document_ref *ref,
    const struct share *in, bool change, struct share *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, share_set, SHARE_PUT, &rows, REF(ref), qn_a_str(in->user_id),
	    qn_a_str(in->email), qn_a_str(in->permission), qn_a_bool(change)));
	QN_TRY(outcome(qn_rows_str(rows, 0, 0)));
	qn_rows_get(rows, 0, &share_object, ret);
	return QN_OK;
}

enum qn_err share_grant(struct qn_db *db, struct qn_arena *a, const struct document_ref *ref,
    const struct share *in, struct share *ret)
{
	return put(db, a, ref, in, false, ret);
}

enum qn_err share_change(struct qn_db *db, struct qn_arena *a, const struct document_ref *ref,
    const struct share *in, struct share *ret)
{
	return put(db, a, ref, in, true, ret);
}

enum qn_err share_delete(
    struct qn_db *db, struct qn_arena *a, const struct document_ref *ref, const char *who)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, share_set, SHARE_DELETE, &rows, REF(ref), qn_a_str(who)));
	if (qn_rows_n(rows) == 0)
		return QN_NOT_FOUND;
	if (qn_rows_i64(rows, 0, 1) == 1)
		return QN_OK;
	return qn_rows_i64(rows, 0, 0) >= 3 || strcmp(who, ref->user) == 0 ? QN_SHARE_NOT_FOUND
	                                                                   : QN_DENIED;
}
