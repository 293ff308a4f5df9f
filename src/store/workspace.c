#include "quoin/store/workspace.h"

#include "quoin/base/rand.h"

#define COLUMNS "w.id, w.name, w.description, w.require_base, w.created_at, w.updated_at"
#define MINE \
	"EXISTS (SELECT 1 FROM workspace_access a WHERE a.workspace_id = w.id AND a.user_id = $2 " \
	"AND a.level >= 3)"

#define WORKSPACE_STMTS(X) \
	X(WORKSPACE_LIST, READ, 4, \
	    "SELECT " COLUMNS \
	    " FROM workspace_access a JOIN workspaces w ON w.id = a.workspace_id " \
	    "WHERE a.app_id = $1 AND a.user_id = $2 AND w.id < " \
	    "coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid) ORDER BY w.id DESC LIMIT $4") \
	X(WORKSPACE_CREATE, WRITE, 6, \
	    "INSERT INTO workspaces AS w (id, app_id, owner_id, name, description, require_base) " \
	    "VALUES ($3, $1, $2, $4, $5, coalesce($6, false)) RETURNING " COLUMNS) \
	X(WORKSPACE_BY_ID, READ, 3, \
	    "SELECT " COLUMNS \
	    " FROM workspace_access a JOIN workspaces w ON w.id = a.workspace_id " \
	    "WHERE a.app_id = $1 AND a.user_id = $2 AND a.workspace_id = $3 LIMIT 1") \
	X(WORKSPACE_UPDATE, WRITE, 6, \
	    "UPDATE workspaces w SET name = coalesce($4, w.name), " \
	    "description = coalesce($5, w.description), require_base = coalesce($6, w.require_base), " \
	    "updated_at = clock_timestamp() WHERE w.app_id = $1 AND w.id = $3 AND " MINE \
	    " RETURNING " COLUMNS) \
	X(WORKSPACE_DELETE, WRITE, 3, \
	    "DELETE FROM workspaces w WHERE w.app_id = $1 AND w.id = $3 AND " MINE \
	    " RETURNING w.id")

QN_STATEMENTS(workspace, WORKSPACE_STMTS);

#define ID   QN_FIELD(struct workspace, id, UUID, 0, 0, 0, "Id of the workspace.")
#define NAME QN_FIELD(struct workspace, name, STR, 0, 1, 200, "Shown name.")
#define DESCRIPTION \
	QN_FIELD(struct workspace, description, STR, QN_F_NULLABLE, 0, 2000, "What it is for.")
#define CREATED_AT QN_FIELD(struct workspace, created_at, TIME, 0, 0, 0, "When it was made.")

static const struct qn_field item_fields[] = {ID, NAME, DESCRIPTION, CREATED_AT};
const struct qn_object workspace_item_object =
    QN_OBJECT("WorkspaceItem", struct workspace, item_fields);

static const struct qn_field made_fields[] = {ID, NAME};
const struct qn_object workspace_made_object =
    QN_OBJECT("WorkspaceMade", struct workspace, made_fields);

static const struct qn_field all_fields[] = {
    ID,
    NAME,
    DESCRIPTION,
    QN_FIELD(struct workspace, require_base, BOOL, 0, 0, 0,
	"Whether every save must name the version that it edited."),
    CREATED_AT,
    QN_FIELD(struct workspace, updated_at, TIME, 0, 0, 0, "When it was last changed."),
};
const struct qn_object workspace_object = QN_OBJECT("Workspace", struct workspace, all_fields);

static enum qn_err one(struct qn_rows *rows, struct workspace *ret)
{
	if (qn_rows_n(rows) == 0)
		return QN_WORKSPACE_NOT_FOUND;
	qn_rows_get(rows, 0, &workspace_object, ret);
	return QN_OK;
}

enum qn_err workspace_list(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    struct page page, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, workspace_set, WORKSPACE_LIST, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(page.after), qn_a_i64(page.limit)));
	*ret = qn_rows_list(rows, a, &workspace_object);
	return QN_OK;
}

enum qn_err workspace_create(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const struct workspace *in, struct workspace *ret)
{
	char id[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(id);
	QN_TRY(QN_EXEC(db, a, workspace_set, WORKSPACE_CREATE, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(id), qn_a_str(in->name), qn_a_str(in->description),
	    qn_a_bool(in->require_base)));
	return one(rows, ret);
}

enum qn_err workspace_by_id(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *id, struct workspace *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, workspace_set, WORKSPACE_BY_ID, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(id)));
	return one(rows, ret);
}

enum qn_err workspace_update(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const char *id, const struct workspace *in, struct workspace *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, workspace_set, WORKSPACE_UPDATE, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(id), qn_a_str(in->name), qn_a_str(in->description),
	    qn_a_bool(in->require_base)));
	return one(rows, ret);
}

enum qn_err workspace_delete(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *user, const char *id)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, workspace_set, WORKSPACE_DELETE, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(id)));
	return qn_rows_n(rows) == 0 ? QN_WORKSPACE_NOT_FOUND : QN_OK;
}
