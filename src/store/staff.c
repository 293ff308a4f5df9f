#include "quoin/store/staff.h"

#include "rows.h"

#define COLUMNS \
	"id, email, display_name, plan, platform_role, email_verified, mfa_enabled, " \
	"suspended_at IS NOT NULL AS suspended, password_hash IS NOT NULL AS has_password, created_at, " \
	"last_login_at, delete_after"
#define ONE " WHERE app_id = $1 AND id = $2 RETURNING " COLUMNS

#define STAFF_STMTS(X) \
	X(STAFF_USERS, READ, 4, \
	    "SELECT " COLUMNS " FROM users WHERE app_id = $1 AND ($2::text IS NULL OR " \
	    "starts_with(lower(email), lower($2))) AND id < " \
	    "coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid) ORDER BY id DESC LIMIT $4") \
	X(STAFF_USER, FRESH, 2, "SELECT " COLUMNS " FROM users WHERE app_id = $1 AND id = $2") \
	X(STAFF_SUSPEND, WRITE, 3, \
	    "UPDATE users SET suspended_at = CASE WHEN $3::boolean THEN coalesce(suspended_at, now()) END, " \
	    "updated_at = clock_timestamp()" ONE) \
	X(STAFF_SET_ROLE, WRITE, 3, \
	    "UPDATE users SET platform_role = $3, updated_at = clock_timestamp()" ONE)

QN_STATEMENTS(staff, STAFF_STMTS);

static const struct qn_field staff_user_fields[] = {
    QN_FIELD(struct staff_user, id, UUID, QN_F_USER, 0, 0, "Id of the user."),
    QN_FIELD(struct staff_user, email, STR, QN_F_NULLABLE, 0, 320, "Address."),
    QN_FIELD(struct staff_user, display_name, STR, QN_F_NULLABLE, 0, 200, "Shown name."),
    QN_FIELD(struct staff_user, plan, STR, 0, 0, 0, "Code of the plan."),
    QN_FIELD(struct staff_user, platform_role, STR, QN_F_NULLABLE, 0, 0, "support or admin."),
    QN_FIELD(struct staff_user, email_verified, BOOL, 0, 0, 0,
	"Whether the address is known to be the user's."),
    QN_FIELD(struct staff_user, mfa_enabled, BOOL, 0, 0, 0, "Whether there is a second factor."),
    QN_FIELD(struct staff_user, suspended, BOOL, 0, 0, 0, "Whether the account is suspended."),
    QN_FIELD(struct staff_user, has_password, BOOL, 0, 0, 0, "Whether there is a password."),
    QN_FIELD(struct staff_user, created_at, TIME, 0, 0, 0, "When the account was made."),
    QN_FIELD(struct staff_user, last_login_at, TIME, QN_F_NULLABLE, 0, 0, "Last sign-in."),
    QN_FIELD(struct staff_user, delete_after, TIME, QN_F_NULLABLE, 0, 0, "When it is erased."),
};
const struct qn_object staff_user_object =
    QN_OBJECT("StaffUser", struct staff_user, staff_user_fields);

enum qn_err staff_users(struct qn_db *db, struct qn_arena *a, const char *app, const char *email,
    struct page page, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, staff_set, STAFF_USERS, &rows, qn_a_str(app), qn_a_str(email),
	    qn_a_str(page.after), qn_a_i64(page.limit)));
	*ret = qn_rows_list(rows, a, &staff_user_object);
	return QN_OK;
}

enum qn_err staff_user(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *id, struct staff_user *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, staff_set, STAFF_USER, &rows, qn_a_str(app), qn_a_str(id)));
	return qn_rows_one(rows, &staff_user_object, QN_USER_NOT_FOUND, ret);
}

enum qn_err staff_suspend(struct qn_db *db, struct qn_arena *a, const char *app, const char *id,
    bool suspended, struct staff_user *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, staff_set, STAFF_SUSPEND, &rows, qn_a_str(app), qn_a_str(id),
	    qn_a_bool(suspended)));
	return qn_rows_one(rows, &staff_user_object, QN_USER_NOT_FOUND, ret);
}

enum qn_err staff_set_role(struct qn_db *db, struct qn_arena *a, const char *app, const char *id,
    const char *role, struct staff_user *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(
	    db, a, staff_set, STAFF_SET_ROLE, &rows, qn_a_str(app), qn_a_str(id), qn_a_str(role)));
	return qn_rows_one(rows, &staff_user_object, QN_USER_NOT_FOUND, ret);
}
