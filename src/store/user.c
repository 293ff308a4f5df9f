#include "quoin/store/user.h"

#include "quoin/base/rand.h"
#include "rows.h"

#define COLUMNS \
	"id, email, email_verified, display_name, plan, suspended_at IS NOT NULL AS suspended, created_at"

/* The user behind an identity counts as a read: run again, it finds whom it made, and a GET that only asked
 * who is calling has no uncertain outcome. */
#define USER_STMTS(X) \
	X(USER_OF_IDENTITY, FRESH, 7, \
	    "SELECT id, email, plan, suspended FROM user_of_identity($1, $2, $3, $4, $5, $6, $7)") \
	X(USER_BY_ID, FRESH, 2, "SELECT " COLUMNS " FROM users WHERE app_id = $1 AND id = $2") \
	X(USER_BY_EMAIL, FRESH, 2, \
	    "SELECT " COLUMNS " FROM users WHERE app_id = $1 AND lower(email) = lower($2)") \
	X(USER_ADD, WRITE, 3, \
	    "INSERT INTO users (id, app_id, email, email_verified) VALUES ($2, $1, $3, true) " \
	    "RETURNING " COLUMNS)

QN_STATEMENTS(user, USER_STMTS);

static const struct qn_field user_fields[] = {
    QN_FIELD(struct user, id, UUID, 0, 0, 0, "Id of the user."),
    QN_FIELD(struct user, email, STR, QN_F_NULLABLE, 0, 320, "Address."),
    QN_FIELD(struct user, email_verified, BOOL, 0, 0, 0,
	"Whether the address is known to be the user's."),
    QN_FIELD(struct user, display_name, STR, QN_F_NULLABLE, 0, 200, "Shown name."),
    QN_FIELD(struct user, plan, STR, 0, 0, 0, "Code of the plan."),
    QN_FIELD(struct user, suspended, BOOL, 0, 0, 0, "Whether the account is suspended."),
    QN_FIELD(struct user, created_at, TIME, 0, 0, 0, "When it was made."),
};
const struct qn_object user_object = QN_OBJECT("UserRow", struct user, user_fields);

enum qn_err user_of_identity(struct qn_db *db, struct qn_arena *a, const char *app_id,
    const struct identity *who, struct user *ret)
{
	char id[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(id);
	QN_TRY(QN_EXEC(db, a, user_set, USER_OF_IDENTITY, &rows, qn_a_str(id), qn_a_str(app_id),
	    qn_a_str(who->issuer), qn_a_str(who->subject), qn_a_str(who->email),
	    qn_a_bool(who->email_verified && who->email != NULL), qn_a_str(who->name)));
	return qn_rows_one(rows, &user_object, QN_USER_NOT_FOUND, ret);
}

enum qn_err user_by_id(
    struct qn_db *db, struct qn_arena *a, const char *app_id, const char *id, struct user *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, user_set, USER_BY_ID, &rows, qn_a_str(app_id), qn_a_str(id)));
	return qn_rows_one(rows, &user_object, QN_USER_NOT_FOUND, ret);
}

enum qn_err user_by_email(
    struct qn_db *db, struct qn_arena *a, const char *app_id, const char *email, struct user *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, user_set, USER_BY_EMAIL, &rows, qn_a_str(app_id), qn_a_str(email)));
	return qn_rows_one(rows, &user_object, QN_USER_NOT_FOUND, ret);
}

enum qn_err user_add(
    struct qn_db *db, struct qn_arena *a, const char *app_id, const char *email, struct user *ret)
{
	char id[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(id);
	QN_TRY(QN_EXEC(
	    db, a, user_set, USER_ADD, &rows, qn_a_str(app_id), qn_a_str(id), qn_a_str(email)));
	return qn_rows_one(rows, &user_object, QN_USER_NOT_FOUND, ret);
}
