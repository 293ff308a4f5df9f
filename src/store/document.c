#include "quoin/store/document.h"

#include <string.h>

#include "quoin/base/rand.h"
#include "rows.h"

/* $1 app, $2 user, $3 kind, $4 document, in every statement about one document. */
#define ACCESS(least) \
	"EXISTS (SELECT 1 FROM document_access a WHERE a.document_id = d.id AND a.app_id = $1 " \
	"AND a.user_id = $2 AND a.level >= " least ")"
#define ONE   "d.id = $4 AND d.app_id = $1 AND d.kind = $3"
#define ITEM  "d.id, d.workspace_id, d.name, d.version, d.is_public, d.created_at, d.updated_at"
#define TAG   "document_tag(d.version, d.touched) AS tag"
#define MEANT "($5::text[] IS NULL OR document_tag(d.version, d.touched) = ANY ($5))"
/* Not a join: with the id a constant, a join may be planned to walk all versions of the document. */
#define DATA_NOW \
	"(SELECT v.data FROM document_versions v WHERE v.document_id = d.id AND v.version = d.version) AS data"
#define BELOW "coalesce($4, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)"

#define DOCUMENT_STMTS(X) \
	X(DOCUMENT_LIST, READ, 6, \
	    "SELECT d.* FROM workspace_access a LEFT JOIN LATERAL (SELECT " ITEM \
	    " FROM documents d WHERE d.workspace_id = a.workspace_id AND d.kind = $3 AND " \
	    "d.id < " BELOW " ORDER BY d.id DESC LIMIT $5) d ON true " \
	    "WHERE a.app_id = $1 AND a.user_id = $2 AND a.workspace_id = $6 LIMIT $5") \
	X(DOCUMENT_LIST_OWN, READ, 5, \
	    "SELECT d.* FROM workspaces w CROSS JOIN LATERAL (SELECT " ITEM \
	    " FROM documents d WHERE d.workspace_id = w.id AND d.kind = $3 AND d.id < " BELOW \
	    " ORDER BY d.id DESC LIMIT $5) d " \
	    "WHERE w.app_id = $1 AND w.owner_id = $2 ORDER BY d.id DESC LIMIT $5") \
	X(DOCUMENT_LIST_SHARED, READ, 5, \
	    "SELECT " ITEM \
	    ", s.permission FROM document_shares s JOIN documents d ON d.id = s.document_id " \
	    "WHERE s.app_id = $1 AND s.user_id = $2 AND d.kind = $3 AND s.document_id < " BELOW \
	    " ORDER BY s.document_id DESC LIMIT $5") \
	X(DOCUMENT_CREATE, WRITE, 9, \
	    "WITH w AS (SELECT app_id, workspace_id FROM workspace_access WHERE app_id = $1 AND " \
	    "user_id = $2 AND workspace_id = $5 AND level >= 2 LIMIT 1), " \
	    "d AS (INSERT INTO documents (id, app_id, workspace_id, kind, name, sha256, is_public) " \
	    "SELECT $4, app_id, workspace_id, $3, $6, $7, coalesce($8, false) FROM w " \
	    "RETURNING id, name, version, touched), " \
	    "v AS (INSERT INTO document_versions (document_id, version, data, sha256, size, created_by) " \
	    "SELECT id, version, $9::json, $7, octet_length($9::json::text), $2 FROM d) " \
	    "SELECT id, name, version, " TAG " FROM d") \
	X(DOCUMENT_BY_ID, READ, 4, \
	    "SELECT " ITEM ", " TAG ", " DATA_NOW " FROM documents d WHERE " ONE \
	    " AND " ACCESS("1")) \
	X(DOCUMENT_PUBLIC, READ, 3, \
	    "SELECT " ITEM ", " TAG ", " DATA_NOW " FROM documents d " \
	    "WHERE d.id = $3 AND d.app_id = $1 AND d.kind = $2 AND (d.is_public OR EXISTS (" \
	    "SELECT 1 FROM workspaces w WHERE w.id = d.workspace_id AND w.visibility = 'public'))") \
	X(DOCUMENT_SAVE, WRITE, 11, \
	    "SELECT outcome, version, updated_at, tag FROM " \
	    "document_save($1, $2, $3, $4, $5, $11, $6, $7, $8::json, $9, octet_length($8::json::text), $10)") \
	X(DOCUMENT_RESTORE, WRITE, 6, \
	    "SELECT outcome, version, tag FROM document_restore($1, $2, $3, $4, $5, $6)") \
	X(DOCUMENT_DELETE, WRITE, 5, \
	    "WITH gone AS (DELETE FROM documents d WHERE " ONE \
	    " AND " ACCESS("3") " AND " MEANT " RETURNING d.id) " \
				"SELECT d.id, (SELECT count(*) FROM gone) AS gone, (" ACCESS( \
				    "3") ")::integer AS may, " MEANT "::integer AS meant, " TAG \
					 " FROM documents d WHERE " ONE " AND " ACCESS("1")) \
	X(VERSION_LIST, READ, 6, \
	    "SELECT v.* FROM documents d LEFT JOIN LATERAL (" \
	    "SELECT o.version, n.message AS commit_message, n.created_at FROM document_versions o " \
	    "JOIN document_versions n ON n.document_id = o.document_id AND n.version = o.version + 1 " \
	    "WHERE o.document_id = d.id AND o.version < least($5, d.version) " \
	    "ORDER BY o.version DESC LIMIT $6) v ON true WHERE " ONE " AND " ACCESS("1")) \
	X(VERSION_GET, READ, 5, \
	    "SELECT v.version, v.data, v.sha256, v.size, v.message AS commit_message, v.created_by, " \
	    "v.created_at FROM documents d LEFT JOIN document_versions v ON v.document_id = d.id " \
	    "AND v.version = $5 WHERE " ONE " AND " ACCESS("1"))

QN_STATEMENTS(document, DOCUMENT_STMTS);

#define ID   QN_FIELD(struct document, id, UUID, 0, 0, 0, "Id of the document.")
#define NAME QN_FIELD(struct document, name, STR, 0, 1, 200, "Shown name.")
#define DOC_VERSION \
	QN_FIELD(struct document, version, I64, 0, 1, 2147483647, "Present version, from 1.")
#define CREATED_AT QN_FIELD(struct document, created_at, TIME, 0, 0, 0, "When it was made.")
#define UPDATED_AT QN_FIELD(struct document, updated_at, TIME, 0, 0, 0, "When it was last saved.")
#define DATA       QN_FIELD(struct document, data, JSON, 0, 0, 0, "What was saved, byte for byte.")
#define PERMISSION QN_FIELD(struct document, permission, STR, 0, 0, 0, "read, write or admin.")

static const struct qn_field item_fields[] = {ID, NAME, DOC_VERSION, CREATED_AT, UPDATED_AT};
const struct qn_object document_item_object = QN_OBJECT("GraphItem", struct document, item_fields);

static const struct qn_field shared_fields[] = {
    ID, NAME, DOC_VERSION, PERMISSION, CREATED_AT, UPDATED_AT};
const struct qn_object document_shared_object =
    QN_OBJECT("SharedGraphItem", struct document, shared_fields);

static const struct qn_field made_fields[] = {ID, NAME};
const struct qn_object document_made_object = QN_OBJECT("GraphMade", struct document, made_fields);

static const struct qn_field saved_fields[] = {ID, DOC_VERSION};
const struct qn_object document_saved_object =
    QN_OBJECT("GraphSaved", struct document, saved_fields);

static const struct qn_field all_fields[] = {ID, NAME, DATA, DOC_VERSION, CREATED_AT, UPDATED_AT};
const struct qn_object document_object = QN_OBJECT("Graph", struct document, all_fields);

/* Everything that a statement may select, for filling the struct. */
static const struct qn_field row_fields[] = {
    ID,
    NAME,
    DATA,
    DOC_VERSION,
    CREATED_AT,
    UPDATED_AT,
    PERMISSION,
    QN_FIELD(struct document, workspace_id, UUID, 0, 0, 0, "Its workspace."),
    QN_FIELD(struct document, is_public, BOOL, 0, 0, 0, "Whether anyone may read it."),
    QN_FIELD(struct document, tag, STR, 0, 0, 0, "Entity tag, without its quotes."),
};
static const struct qn_object row_object = QN_OBJECT("DocumentRow", struct document, row_fields);

#define V_VERSION QN_FIELD(struct document_version, version, I64, 0, 1, 2147483647, "The version.")
#define V_MESSAGE \
	QN_FIELD(struct document_version, commit_message, STR, QN_F_NULLABLE, 0, 2000, \
	    "What its editor said; in a list, of the save that replaced it.")
#define V_CREATED \
	QN_FIELD(struct document_version, created_at, TIME, 0, 0, 0, \
	    "When it was made; in a list, when it was replaced.")

static const struct qn_field version_item_fields[] = {V_VERSION, V_MESSAGE, V_CREATED};
const struct qn_object version_item_object =
    QN_OBJECT("GraphVersionItem", struct document_version, version_item_fields);

static const struct qn_field version_fields[] = {
    V_VERSION,
    QN_FIELD(struct document_version, data, JSON, 0, 0, 0, "What was saved, byte for byte."),
    V_MESSAGE,
    QN_FIELD(struct document_version, size, I64, 0, 0, 0, "Bytes of data."),
    QN_FIELD(struct document_version, sha256, STR, 0, 64, 64, "SHA-256 of data, in hexadecimal."),
    QN_FIELD(struct document_version, created_by, UUID, QN_F_NULLABLE | QN_F_USER, 0, 0,
	"Who saved it."),
    V_CREATED,
};
const struct qn_object version_object =
    QN_OBJECT("GraphVersion", struct document_version, version_fields);

#define WHO(w) qn_a_str((w)->app), qn_a_str((w)->user), qn_a_str((w)->kind)
#define REF(r) WHO(r), qn_a_str((r)->id)

enum qn_err document_list(struct qn_db *db, struct qn_arena *a, const struct document_ref *who,
    const char *workspace, struct page page, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, document_set, DOCUMENT_LIST, &rows, WHO(who), qn_a_str(page.after),
	    qn_a_i64(page.limit), qn_a_str(workspace)));
	if (qn_rows_n(rows) == 0)
		return QN_WORKSPACE_NOT_FOUND;
	*ret = qn_rows_list(rows, a, &row_object);
	if (((const struct document *)ret->items)->id ==
	    NULL) /* the workspace is there, and empty */
		ret->n = 0;
	return QN_OK;
}

static enum qn_err list_of_user(struct qn_db *db, struct qn_arena *a, int stmt,
    const struct document_ref *who, struct page page, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, document_set, stmt, &rows, WHO(who), qn_a_str(page.after),
	    qn_a_i64(page.limit)));
	*ret = qn_rows_list(rows, a, &row_object);
	return QN_OK;
}

enum qn_err document_list_own(struct qn_db *db, struct qn_arena *a, const struct document_ref *who,
    struct page page, struct qn_list *ret)
{
	return list_of_user(db, a, DOCUMENT_LIST_OWN, who, page, ret);
}

enum qn_err document_list_shared(struct qn_db *db, struct qn_arena *a,
    const struct document_ref *who, struct page page, struct qn_list *ret)
{
	return list_of_user(db, a, DOCUMENT_LIST_SHARED, who, page, ret);
}

enum qn_err document_create(struct qn_db *db, struct qn_arena *a, const struct document_ref *who,
    const char *workspace, const struct document_save *in, struct document *ret)
{
	char id[QN_UUID_LEN + 1];
	uint8_t digest[QN_SHA256_LEN];
	struct qn_rows *rows;

	qn_uuid_new(id);
	qn_sha256(in->data.p, in->data.n, digest);
	QN_TRY(QN_EXEC(db, a, document_set, DOCUMENT_CREATE, &rows, WHO(who), qn_a_str(id),
	    qn_a_str(workspace), qn_a_str(in->name), qn_a_bytes(digest, sizeof(digest)),
	    qn_a_bool(in->is_public), qn_a_json(in->data)));
	if (qn_rows_n(rows) == 0)
		return QN_WORKSPACE_NOT_FOUND;
	qn_rows_get(rows, 0, &row_object, ret);
	return QN_OK;
}

enum qn_err document_by_id(
    struct qn_db *db, struct qn_arena *a, const struct document_ref *ref, struct document *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, document_set, DOCUMENT_BY_ID, &rows, REF(ref)));
	return qn_rows_one(rows, &row_object, QN_NOT_FOUND, ret);
}

enum qn_err document_public(
    struct qn_db *db, struct qn_arena *a, const struct document_ref *ref, struct document *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, document_set, DOCUMENT_PUBLIC, &rows, qn_a_str(ref->app),
	    qn_a_str(ref->kind), qn_a_str(ref->id)));
	return qn_rows_one(rows, &row_object, QN_NOT_FOUND, ret);
}

/* What the functions of the database answer in their column `outcome`. */
static enum qn_err outcome(const struct qn_rows *rows)
{
	static const struct {
		const char *word;
		enum qn_err err;
	} words[] = {{"saved", QN_OK}, {"same", QN_OK}, {"missing", QN_NOT_FOUND},
	    {"denied", QN_DENIED}, {"conflict", QN_VERSION_CONFLICT},
	    {"base", QN_PRECONDITION_REQUIRED}, {"version", QN_VERSION_NOT_FOUND}};
	const char *word = qn_rows_n(rows) == 1 ? qn_rows_str(rows, 0, 0) : "";

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i].word, word) == 0)
			return words[i].err;
	return QN_INTERNAL;
}

enum qn_err document_save(struct qn_db *db, struct qn_arena *a, const struct document_ref *ref,
    const struct document_save *in, struct document *ret)
{
	uint8_t digest[QN_SHA256_LEN];
	struct qn_rows *rows;

	if (in->data.p != NULL)
		qn_sha256(in->data.p, in->data.n, digest);
	QN_TRY(QN_EXEC(db, a, document_set, DOCUMENT_SAVE, &rows, REF(ref), qn_a_str(in->bases),
	    qn_a_str(in->name), qn_a_bool(in->is_public), qn_a_json(in->data),
	    qn_a_bytes(in->data.p != NULL ? digest : NULL, sizeof(digest)), qn_a_str(in->message),
	    qn_a_str(in->tags)));
	qn_rows_get(rows, 0, &row_object, ret);
	ret->id = ref->id;
	return outcome(rows);
}

enum qn_err document_restore(struct qn_db *db, struct qn_arena *a, const struct document_ref *ref,
    int64_t version, const char *tags, struct document *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, document_set, DOCUMENT_RESTORE, &rows, REF(ref), qn_a_i64(version),
	    qn_a_str(tags)));
	qn_rows_get(rows, 0, &row_object, ret);
	return outcome(rows);
}

enum qn_err document_delete(struct qn_db *db, struct qn_arena *a, const struct document_ref *ref,
    const char *tags, struct document *ret)
{
	struct qn_rows *rows;

	/*
	 * The outer SELECT sees the state before: whether the document was there for the user at all. What was to be
	 * deleted then, and was not, is another by now or gone: all is looked at again.
	 */
	QN_TRY(QN_EXEC(db, a, document_set, DOCUMENT_DELETE, &rows, REF(ref), qn_a_str(tags)));
	QN_TRY(qn_rows_one(rows, &row_object, QN_NOT_FOUND, ret));
	if (qn_rows_i64(rows, 0, 1) == 1)
		return QN_OK;
	if (qn_rows_i64(rows, 0, 2) == 0)
		return QN_DENIED;
	return qn_rows_i64(rows, 0, 3) == 1 ? QN_RETRY : QN_VERSION_CONFLICT;
}

enum qn_err version_list(struct qn_db *db, struct qn_arena *a, const struct document_ref *ref,
    int64_t below, int64_t limit, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(
	    db, a, document_set, VERSION_LIST, &rows, REF(ref), qn_a_i64(below), qn_a_i64(limit)));
	if (qn_rows_n(rows) == 0)
		return QN_NOT_FOUND;
	*ret = qn_rows_list(rows, a, &version_object);
	if (((const struct document_version *)ret->items)->version == QN_I64_NULL)
		ret->n = 0;
	return QN_OK;
}

enum qn_err version_get(struct qn_db *db, struct qn_arena *a, const struct document_ref *ref,
    int64_t version, struct document_version *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, document_set, VERSION_GET, &rows, REF(ref), qn_a_i64(version)));
	if (qn_rows_n(rows) == 0)
		return QN_NOT_FOUND;
	qn_rows_get(rows, 0, &version_object, ret);
	return ret->version == QN_I64_NULL ? QN_VERSION_NOT_FOUND : QN_OK;
}
