#include "quoin/store/credential.h"

#include "rows.h"

#define USER \
	"u.id AS user_id, u.plan, u.platform_role, u.suspended_at IS NOT NULL AS suspended, u.mfa_enabled"
#define SESSION \
	"SELECT " USER \
	", s.id AS session_id, s.aal::integer AS aal, s.proved_at, s.last_used_at AS used_at, s.expires_at " \
	"FROM sessions s JOIN users u ON u.id = s.user_id " \
	"WHERE s.app_id = $1 AND s.revoked_at IS NULL AND s.expires_at > now() AND u.delete_after IS NULL AND "

#define CREDENTIAL_STMTS(X) \
	X(CREDENTIAL_OF_USER, FRESH, 2, \
	    "SELECT " USER \
	    ", u.signed_out_at FROM users u WHERE u.app_id = $1 AND u.id = $2 AND u.delete_after IS NULL") \
	X(CREDENTIAL_OF_SESSION, FRESH, 2, SESSION "s.id = $2") \
	X(CREDENTIAL_OF_COOKIE, FRESH, 2, SESSION "s.cookie_hash = $2") \
	X(CREDENTIAL_OF_KEY, FRESH, 2, \
	    "SELECT " USER ", k.id AS key_id, array_to_string(k.scopes, ' ') AS scopes, " \
	    "array_to_string(k.ip_allow, ' ') AS ip_allow, encode(k.key_hash, 'hex') AS key_hash, " \
	    "k.last_used_at AS used_at, k.expires_at FROM api_keys k JOIN users u ON u.id = k.user_id " \
	    "WHERE k.app_id = $1 AND k.public_id = $2 AND k.revoked_at IS NULL " \
	    "AND (k.expires_at IS NULL OR k.expires_at > now()) AND u.delete_after IS NULL") \
	X(CREDENTIAL_SESSION_USED, WRITE, 2, \
	    "UPDATE sessions SET last_used_at = now(), expires_at = greatest(expires_at, " \
	    "now() + $2::integer * interval '1 day') WHERE id = $1 AND revoked_at IS NULL") \
	X(CREDENTIAL_KEY_USED, WRITE, 1, "UPDATE api_keys SET last_used_at = now() WHERE id = $1")

QN_STATEMENTS(credential, CREDENTIAL_STMTS);

static const struct qn_field fields[] = {
    QN_FIELD(struct credential, user_id, UUID, 0, 0, 0, "Whose it is."),
    QN_FIELD(struct credential, plan, STR, 0, 0, 0, "Code of the plan."),
    QN_FIELD(struct credential, platform_role, STR, QN_F_NULLABLE, 0, 0, "Of the staff."),
    QN_FIELD(struct credential, session_id, UUID, QN_F_NULLABLE, 0, 0, "The session."),
    QN_FIELD(struct credential, key_id, UUID, QN_F_NULLABLE, 0, 0, "The API key."),
    QN_FIELD(struct credential, scopes, STR, QN_F_NULLABLE, 0, 0, "Of the key."),
    QN_FIELD(struct credential, ip_allow, STR, QN_F_NULLABLE, 0, 0, "Of the key."),
    QN_FIELD(struct credential, key_hash, STR, QN_F_NULLABLE, 0, 0, "Of the key."),
    QN_FIELD(struct credential, suspended, BOOL, 0, 0, 0, "Whether the account is suspended."),
    QN_FIELD(struct credential, mfa_enabled, BOOL, 0, 0, 0, "Whether there is a second factor."),
    QN_FIELD(struct credential, aal, I64, QN_F_NULLABLE, 0, 0, "Factors shown."),
    QN_FIELD(struct credential, proved_at, TIME, QN_F_NULLABLE, 0, 0, "When one was shown last."),
    QN_FIELD(struct credential, used_at, TIME, QN_F_NULLABLE, 0, 0, "When its use was noted."),
    QN_FIELD(struct credential, expires_at, TIME, QN_F_NULLABLE, 0, 0, "Its end."),
    QN_FIELD(struct credential, signed_out_at, TIME, QN_F_NULLABLE, 0, 0,
	"Until when tokens were taken back."),
};
static const struct qn_object object = QN_OBJECT("Credential", struct credential, fields);

enum qn_err credential_of_user(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *user, struct credential *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(
	    db, a, credential_set, CREDENTIAL_OF_USER, &rows, qn_a_str(app), qn_a_str(user)));
	return qn_rows_one(rows, &object, QN_UNAUTHENTICATED, ret);
}

enum qn_err credential_of_session(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *session, struct credential *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(
	    db, a, credential_set, CREDENTIAL_OF_SESSION, &rows, qn_a_str(app), qn_a_str(session)));
	return qn_rows_one(rows, &object, QN_UNAUTHENTICATED, ret);
}

enum qn_err credential_of_cookie(struct qn_db *db, struct qn_arena *a, const char *app,
    const uint8_t hash[32], struct credential *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, credential_set, CREDENTIAL_OF_COOKIE, &rows, qn_a_str(app),
	    qn_a_bytes(hash, 32)));
	return qn_rows_one(rows, &object, QN_UNAUTHENTICATED, ret);
}

enum qn_err credential_of_key(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *public_id, struct credential *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(
	    db, a, credential_set, CREDENTIAL_OF_KEY, &rows, qn_a_str(app), qn_a_str(public_id)));
	return qn_rows_one(rows, &object, QN_UNAUTHENTICATED, ret);
}

enum qn_err credential_used(
    struct qn_db *db, struct qn_arena *a, const struct credential *c, int64_t days)
{
	struct qn_rows *rows;

	if (c->key_id != NULL)
		return QN_EXEC(
		    db, a, credential_set, CREDENTIAL_KEY_USED, &rows, qn_a_str(c->key_id));
	return QN_EXEC(db, a, credential_set, CREDENTIAL_SESSION_USED, &rows,
	    qn_a_str(c->session_id), qn_a_i64(days));
}
