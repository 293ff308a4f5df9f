#include "quoin/store/workspace.h"

#include "quoin/base/rand.h"

#define COLUMNS \
	"w.id, w.name, w.description, w.require_base, w.organization_id, w.visibility, w.project_type, " \
	"w.git_repository, w.local_path, w.settings, w.created_at, w.updated_at"
/* The user's right to one workspace; no row when it is not there for him. */
#define RIGHTS \
	"SELECT max(a.level) AS level FROM workspace_access a " \
	"WHERE a.app_id = $1 AND a.user_id = $2 AND a.workspace_id = $3 HAVING max(a.level) IS NOT NULL"

/* The page is chosen by ids alone, which both arms of the view find in an index. */
#define WORKSPACE_STMTS(X) \
	X(WORKSPACE_LIST, READ, 5, \
	    "SELECT w.id, w.name, w.description, w.organization_id, " \
	    "CASE WHEN w.organization_id IS NOT NULL THEN w.visibility END AS visibility, w.created_at " \
	    "FROM workspaces w WHERE w.id = ANY (ARRAY(SELECT a.workspace_id FROM workspace_access a " \
	    "WHERE a.app_id = $1 AND a.user_id = $2 AND a.workspace_id < " \
	    "coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid) " \
	    "AND ($5::uuid IS NULL OR a.organization_id = $5) ORDER BY a.workspace_id DESC LIMIT $4)) " \
	    "ORDER BY w.id DESC") \
	X(WORKSPACE_CREATE, WRITE, 12, \
	    "INSERT INTO workspaces AS w (id, app_id, owner_id, name, description, require_base, " \
	    "organization_id, visibility, project_type, git_repository, local_path, settings) " \
	    "SELECT $3::uuid, $1::uuid, $2::uuid, $4, $5, coalesce($6, false), $7::uuid, " \
	    "coalesce($8, CASE WHEN $7::uuid IS NULL THEN 'private' ELSE 'team' END), $9, $10, $11, " \
	    "coalesce($12::json, '{}') WHERE $7::uuid IS NULL OR EXISTS (SELECT 1 FROM organization_members m " \
	    "WHERE m.app_id = $1 AND m.organization_id = $7 AND m.user_id = $2) RETURNING " COLUMNS) \
	X(WORKSPACE_BY_ID, READ, 3, \
	    "SELECT " COLUMNS \
	    " FROM workspace_access a JOIN workspaces w ON w.id = a.workspace_id " \
	    "WHERE a.app_id = $1 AND a.user_id = $2 AND a.workspace_id = $3 LIMIT 1") \
	X(WORKSPACE_UPDATE, WRITE, 11, \
	    "WITH r AS (" RIGHTS "), w AS (UPDATE workspaces w SET name = coalesce($4, w.name), " \
	    "description = coalesce($5, w.description), require_base = coalesce($6, w.require_base), " \
	    "visibility = coalesce($7, w.visibility), project_type = coalesce($8, w.project_type), " \
	    "git_repository = coalesce($9, w.git_repository), local_path = coalesce($10, w.local_path), " \
	    "settings = coalesce($11::json, w.settings), updated_at = clock_timestamp() " \
	    "WHERE w.app_id = $1 AND w.id = $3 AND (SELECT r.level FROM r) >= 3 RETURNING " COLUMNS \
	    ") " \
	    "SELECT w.* FROM r LEFT JOIN w ON true") \
	X(WORKSPACE_DELETE, WRITE, 3, \
	    "WITH r AS (" RIGHTS \
	    "), w AS (DELETE FROM workspaces w WHERE w.app_id = $1 AND w.id = $3 " \
	    "AND (SELECT r.level FROM r) >= 3 RETURNING w.id, w.organization_id) " \
	    "SELECT w.* FROM r LEFT JOIN w ON true")

QN_STATEMENTS(workspace, WORKSPACE_STMTS);

const char *const workspace_visibilities[] = {"private", "team", "public", NULL};

#define ID   QN_FIELD(struct workspace, id, UUID, 0, 0, 0, "Id of the workspace.")
#define NAME QN_FIELD(struct workspace, name, STR, 0, 1, 200, "Shown name.")
#define DESCRIPTION \
	QN_FIELD(struct workspace, description, STR, QN_F_NULLABLE, 0, 2000, "What it is for.")
#define ORGANIZATION(flags) \
	QN_FIELD(struct workspace, organization_id, UUID, flags, 0, 0, \
	    "Whose it is, when it is an organization's.")
#define VISIBILITY(flags) \
	QN_FIELD_ENUM(struct workspace, visibility, flags, workspace_visibilities, NULL, \
	    "private: its owner; team: the organization's members too; public: and anyone may read its graphs.")
#define TEXT(m, most, doc) QN_FIELD(struct workspace, m, STR, QN_F_NULLABLE, 0, most, doc)
#define CREATED_AT         QN_FIELD(struct workspace, created_at, TIME, 0, 0, 0, "When it was made.")

static const struct qn_field item_fields[] = {
    ID,
    NAME,
    DESCRIPTION,
    ORGANIZATION(QN_F_OPTIONAL),
    VISIBILITY(QN_F_OPTIONAL),
    CREATED_AT,
};
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
    ORGANIZATION(QN_F_NULLABLE),
    VISIBILITY(0),
    TEXT(project_type, 100, "What kind of project it is for."),
    TEXT(git_repository, 2000, "Where its sources are."),
    TEXT(local_path, 2000, "Where it is on its owner's machine."),
    QN_FIELD(struct workspace, settings, JSON, QN_F_OBJECT, 0, 0, "What its clients keep there."),
    CREATED_AT,
    QN_FIELD(struct workspace, updated_at, TIME, 0, 0, 0, "When it was last changed."),
};
const struct qn_object workspace_object = QN_OBJECT("Workspace", struct workspace, all_fields);

static enum qn_err one(struct qn_rows *rows, enum qn_err none, struct workspace *ret)
{
	if (qn_rows_n(rows) == 0)
		return none;
	qn_rows_get(rows, 0, &workspace_object, ret);
	return ret->id == NULL ? QN_DENIED : QN_OK; /* it is there, and was left as it is */
}

enum qn_err workspace_list(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *organization, struct page page, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, workspace_set, WORKSPACE_LIST, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(page.after), qn_a_i64(page.limit), qn_a_str(organization)));
	*ret = qn_rows_list(rows, a, &workspace_object);
	return QN_OK;
}

enum qn_err workspace_create(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const struct workspace *in, struct workspace *ret)
{
	char id[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(id);
	enum qn_err e = QN_EXEC(db, a, workspace_set, WORKSPACE_CREATE, &rows, qn_a_str(app),
	    qn_a_str(user), qn_a_str(id), qn_a_str(in->name), qn_a_str(in->description),
	    qn_a_bool(in->require_base), qn_a_str(in->organization_id), qn_a_str(in->visibility),
	    qn_a_str(in->project_type), qn_a_str(in->git_repository), qn_a_str(in->local_path),
	    qn_a_json(in->settings));
	if (e == QN_CONFLICT) /* the user was put out just now: the membership is no more */
		return QN_ORGANIZATION_NOT_FOUND;
	QN_TRY(e);
	return one(rows, QN_ORGANIZATION_NOT_FOUND, ret);
}

enum qn_err workspace_by_id(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *id, struct workspace *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, workspace_set, WORKSPACE_BY_ID, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(id)));
	return one(rows, QN_WORKSPACE_NOT_FOUND, ret);
}

enum qn_err workspace_update(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const char *id, const struct workspace *in, struct workspace *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, workspace_set, WORKSPACE_UPDATE, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(id), qn_a_str(in->name), qn_a_str(in->description),
	    qn_a_bool(in->require_base), qn_a_str(in->visibility), qn_a_str(in->project_type),
	    qn_a_str(in->git_repository), qn_a_str(in->local_path), qn_a_json(in->settings)));
	return one(rows, QN_WORKSPACE_NOT_FOUND, ret);
}

enum qn_err workspace_delete(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const char *id, struct workspace *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, workspace_set, WORKSPACE_DELETE, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(id)));
	return one(rows, QN_WORKSPACE_NOT_FOUND, ret);
}
