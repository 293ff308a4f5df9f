#include "quoin/store/organization.h"

#include "quoin/base/rand.h"
#include "rows.h"

#include <string.h>

#define COLUMNS \
	"o.id, o.name, o.slug, o.plan, o.sso_domain, o.sso_enabled, o.audit_log_retention_days, " \
	"o.max_seats, o.settings, o.created_at, o.updated_at"
#define SEATS_USED \
	"(SELECT count(*) FROM organization_members s WHERE s.organization_id = o.id) AS seats_used"

#define ORGANIZATION_STMTS(X) \
	X(ORGANIZATION_LIST, FRESH, 4, \
	    "SELECT o.id, o.name, o.slug, o.plan, m.role FROM organization_members m " \
	    "JOIN organizations o ON o.id = m.organization_id " \
	    "WHERE m.app_id = $1 AND m.user_id = $2 AND m.organization_id < " \
	    "coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid) " \
	    "ORDER BY m.organization_id DESC LIMIT $4") \
	X(ORGANIZATION_CREATE, WRITE, 5, \
	    "WITH o AS (INSERT INTO organizations (id, app_id, name, slug) VALUES ($3, $1, $4, $5) " \
	    "RETURNING *), m AS (INSERT INTO organization_members (organization_id, user_id, app_id, role) " \
	    "SELECT id, $2::uuid, app_id, 'owner' FROM o) " \
	    "SELECT " COLUMNS ", 'owner' AS role, 1 AS seats_used FROM o") \
	X(ORGANIZATION_BY_ID, FRESH, 3, \
	    "SELECT " COLUMNS ", m.role, " SEATS_USED \
	    " FROM organizations o JOIN organization_members m ON m.organization_id = o.id " \
	    "WHERE o.app_id = $1 AND m.user_id = $2 AND o.id = $3") \
	X(ORGANIZATION_UPDATE, WRITE, 6, \
	    "UPDATE organizations o SET name = coalesce($4, o.name), " \
	    "settings = coalesce($5, o.settings), " \
	    "audit_log_retention_days = coalesce($6, o.audit_log_retention_days), " \
	    "updated_at = clock_timestamp() FROM organization_members m WHERE o.app_id = $1 AND o.id = $3 " \
	    "AND m.organization_id = o.id AND m.user_id = $2 " \
	    "AND role_rank(m.role) >= CASE WHEN $6::integer IS NULL THEN 2 ELSE 3 END " \
	    "RETURNING " COLUMNS ", m.role, " SEATS_USED) \
	X(ORGANIZATION_DELETE, WRITE, 3, \
	    "DELETE FROM organizations o USING organization_members m WHERE o.app_id = $1 AND o.id = $3 " \
	    "AND m.organization_id = o.id AND m.user_id = $2 AND m.role = 'owner' RETURNING o.id") \
	X(ORGANIZATION_SEATS, FRESH, 2, \
	    "SELECT o.max_seats AS max, (SELECT count(*) FROM organization_members m " \
	    "WHERE m.organization_id = o.id) AS used, (SELECT count(*) FROM organization_invitations i " \
	    "WHERE i.organization_id = o.id AND i.expires_at > now()) AS invited " \
	    "FROM organizations o WHERE o.app_id = $1 AND o.id = $2") \
	X(ORGANIZATION_LIST_ALL, FRESH, 1, \
	    "SELECT " COLUMNS ", " SEATS_USED \
	    " FROM organizations o WHERE o.app_id = $1 ORDER BY o.slug LIMIT 1000") \
	X(ORGANIZATION_FIND, FRESH, 3, \
	    "SELECT " COLUMNS ", " SEATS_USED \
	    " FROM organizations o WHERE o.app_id = $1 AND (o.id = $2 OR o.slug = $3)") \
	X(ORGANIZATION_SET_PLAN, WRITE, 4, \
	    "SELECT o.id FROM organizations o, grant_set($1, NULL, o.id, 'override', o.id::text, $3, " \
	    "coalesce($4, o.max_seats), NULL) WHERE o.app_id = $1 AND o.id = $2") \
	X(ORGANIZATION_SET_SSO, WRITE, 3, \
	    "UPDATE organizations o SET sso_domain = $3, sso_enabled = true, " \
	    "updated_at = clock_timestamp() WHERE o.app_id = $1 AND o.id = $2 " \
	    "AND (NOT o.sso_enabled OR o.sso_domain = $3) RETURNING o.id") \
	X(ORGANIZATION_CLEAR_SSO, WRITE, 2, \
	    "UPDATE organizations o SET sso_domain = NULL, sso_enabled = false, " \
	    "updated_at = clock_timestamp() WHERE o.app_id = $1 AND o.sso_domain = $2 AND o.sso_enabled " \
	    "RETURNING o.id")

QN_STATEMENTS(organization, ORGANIZATION_STMTS);

#define ID   QN_FIELD(struct organization, id, UUID, 0, 0, 0, "Id of the organization.")
#define NAME QN_FIELD(struct organization, name, STR, 0, 1, 200, "Shown name.")
#define SLUG \
	QN_FIELD(struct organization, slug, STR, 0, 1, 30, \
	    "Its name in addresses: once in the app, and it stays.")
#define TIER QN_FIELD(struct organization, tier, STR, 0, 0, 0, "The plan, in the app's spelling.")
#define ROLE \
	QN_FIELD(struct organization, role, STR, 0, 0, 0, "The caller's: member, admin, owner.")
#define REST \
	QN_FIELD(struct organization, sso_domain, STR, QN_F_NULLABLE, 0, 253, \
	    "Whose addresses sign in through its identity provider."), \
	    QN_FIELD(struct organization, sso_enabled, BOOL, 0, 0, 0, "Whether they do."), \
	    QN_FIELD(struct organization, audit_log_retention_days, I64, 0, 1, 3650, \
		"How long its audit log is kept."), \
	    QN_FIELD(struct organization, max_seats, I64, 0, -1, 1000000, \
		"Members that it may have; -1: no limit."), \
	    QN_FIELD(struct organization, seats_used, I64, 0, 0, 0, "Members that it has."), \
	    QN_FIELD(struct organization, settings, JSON, QN_F_OBJECT, 0, 0, \
		"What its clients keep there."), \
	    QN_FIELD(struct organization, created_at, TIME, 0, 0, 0, "When it was made."), \
	    QN_FIELD(struct organization, updated_at, TIME, 0, 0, 0, "When it was last changed.")

static const struct qn_field item_fields[] = {ID, NAME, SLUG, TIER, ROLE};
const struct qn_object organization_item_object =
    QN_OBJECT("OrganizationItem", struct organization, item_fields);

static const struct qn_field all_fields[] = {ID, NAME, SLUG, TIER, ROLE, REST};
const struct qn_object organization_object =
    QN_OBJECT("Organization", struct organization, all_fields);

/* As selected: the plan's code in place of the tier. */
static const struct qn_field row_fields[] = {
    ID,
    NAME,
    SLUG,
    QN_FIELD(struct organization, plan, STR, 0, 0, 0, "Code of the plan."),
    ROLE,
    REST,
};
static const struct qn_object row_object =
    QN_OBJECT("OrganizationRow", struct organization, row_fields);

static const struct qn_field seats_fields[] = {
    QN_FIELD(struct organization_seats, max, I64, 0, -1, 1000000,
	"Members that it may have; -1: no limit."),
    QN_FIELD(struct organization_seats, used, I64, 0, 0, 0, "Members that it has."),
    QN_FIELD(struct organization_seats, invited, I64, 0, 0, 0,
	"Invitations that wait. They hold no seat."),
};
const struct qn_object organization_seats_object =
    QN_OBJECT("Seats", struct organization_seats, seats_fields);

enum qn_err organization_list(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, struct page page, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, organization_set, ORGANIZATION_LIST, &rows, qn_a_str(app),
	    qn_a_str(user), qn_a_str(page.after), qn_a_i64(page.limit)));
	*ret = qn_rows_list(rows, a, &row_object);
	return QN_OK;
}

enum qn_err organization_create(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const char *name, const char *slug, struct organization *ret)
{
	char id[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(id);
	QN_TRY(QN_EXEC(db, a, organization_set, ORGANIZATION_CREATE, &rows, qn_a_str(app),
	    qn_a_str(user), qn_a_str(id), qn_a_str(name), qn_a_str(slug)));
	return qn_rows_one(rows, &row_object, QN_INTERNAL, ret);
}

enum qn_err organization_by_id(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const char *id, struct organization *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, organization_set, ORGANIZATION_BY_ID, &rows, qn_a_str(app),
	    qn_a_str(user), qn_a_str(id)));
	return qn_rows_one(rows, &row_object, QN_ORGANIZATION_NOT_FOUND, ret);
}

enum qn_err organization_update(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const char *id, const struct organization *in, struct organization *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, organization_set, ORGANIZATION_UPDATE, &rows, qn_a_str(app),
	    qn_a_str(user), qn_a_str(id), qn_a_str(in->name), qn_a_json(in->settings),
	    qn_a_i64(in->audit_log_retention_days)));
	return qn_rows_one(rows, &row_object, QN_ROLE, ret);
}

enum qn_err organization_delete(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *user, const char *id)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, organization_set, ORGANIZATION_DELETE, &rows, qn_a_str(app),
	    qn_a_str(user), qn_a_str(id)));
	return qn_rows_n(rows) == 0 ? QN_ROLE : QN_OK;
}

enum qn_err organization_seats(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *id, struct organization_seats *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(
	    db, a, organization_set, ORGANIZATION_SEATS, &rows, qn_a_str(app), qn_a_str(id)));
	if (qn_rows_n(rows) == 0)
		return QN_ORGANIZATION_NOT_FOUND;
	qn_rows_get(rows, 0, &organization_seats_object, ret);
	return QN_OK;
}

enum qn_err organization_list_all(
    struct qn_db *db, struct qn_arena *a, const char *app, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, organization_set, ORGANIZATION_LIST_ALL, &rows, qn_a_str(app)));
	*ret = qn_rows_list(rows, a, &row_object);
	return QN_OK;
}

/* A slug cannot look like an id, so at most one of the two is meant (SECURITY T40). */
enum qn_err organization_find(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *id_or_slug, struct organization *ret)
{
	char id[QN_UUID_LEN + 1];
	bool by_id = qn_uuid_parse(id_or_slug, strlen(id_or_slug), id);
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, organization_set, ORGANIZATION_FIND, &rows, qn_a_str(app),
	    qn_a_str(by_id ? id : NULL), qn_a_str(by_id ? NULL : id_or_slug)));
	return qn_rows_one(rows, &row_object, QN_ORGANIZATION_NOT_FOUND, ret);
}

enum qn_err organization_set_plan(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *id, const char *plan, int64_t seats)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, organization_set, ORGANIZATION_SET_PLAN, &rows, qn_a_str(app),
	    qn_a_str(id), qn_a_str(plan), qn_a_i64(seats)));
	return qn_rows_n(rows) == 0 ? QN_ORGANIZATION_NOT_FOUND : QN_OK;
}

enum qn_err organization_set_sso(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *id, const char *domain)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, organization_set, ORGANIZATION_SET_SSO, &rows, qn_a_str(app),
	    qn_a_str(id), qn_a_str(domain)));
	return qn_rows_n(rows) == 0 ? QN_CONFLICT : QN_OK;
}

enum qn_err organization_clear_sso(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *domain, const char **ret_id)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, organization_set, ORGANIZATION_CLEAR_SSO, &rows, qn_a_str(app),
	    qn_a_str(domain)));
	*ret_id = qn_rows_n(rows) == 0 ? NULL : qn_rows_str(rows, 0, 0);
	return QN_OK;
}
