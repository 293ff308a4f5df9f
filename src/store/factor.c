#include "quoin/store/factor.h"

#define OF_USER "user_id IN (SELECT id FROM users WHERE app_id = $1 AND id = $2)"

#define FACTOR_STMTS(X) \
	X(FACTORS_OF, FRESH, 2, \
	    "SELECT u.mfa_enabled AS enabled, t.confirmed_at IS NOT NULL AS totp, " \
	    "(SELECT count(*) FROM passkeys WHERE user_id = u.id) AS passkeys, " \
	    "(SELECT count(*) FROM recovery_codes WHERE user_id = u.id AND used_at IS NULL) AS recovery_codes " \
	    "FROM users u LEFT JOIN totp_factors t ON t.user_id = u.id WHERE u.app_id = $1 AND u.id = $2") \
	X(TOTP_OF, FRESH, 2, \
	    "SELECT secret_sealed, confirmed_at IS NOT NULL AS confirmed FROM totp_factors WHERE " OF_USER) \
	X(TOTP_ENROLL, WRITE, 3, \
	    "INSERT INTO totp_factors (user_id, secret_sealed) SELECT id, $3 FROM users WHERE app_id = $1 " \
	    "AND id = $2 ON CONFLICT (user_id) DO UPDATE SET secret_sealed = excluded.secret_sealed, " \
	    "created_at = excluded.created_at WHERE totp_factors.confirmed_at IS NULL RETURNING user_id") \
	X(TOTP_CONFIRM, WRITE, 4, \
	    "UPDATE totp_factors SET confirmed_at = clock_timestamp(), last_step = $4::bigint WHERE " OF_USER \
	    " AND confirmed_at IS NULL AND secret_sealed = $3 RETURNING user_id") \
	X(TOTP_USE, WRITE, 3, \
	    "UPDATE totp_factors SET last_step = $3::bigint WHERE " OF_USER \
	    " AND confirmed_at IS NOT NULL AND last_step < $3::bigint RETURNING user_id") \
	X(TOTP_DROP, WRITE, 2, \
	    "DELETE FROM totp_factors WHERE " OF_USER \
	    " AND confirmed_at IS NOT NULL RETURNING user_id") \
	X(RECOVERY_REPLACE, WRITE, 3, \
	    "WITH old AS (DELETE FROM recovery_codes WHERE " OF_USER \
	    ") INSERT INTO recovery_codes (user_id, hash) SELECT u.id, decode(h, 'hex') FROM users u, " \
	    "json_array_elements_text($3::json) h WHERE u.app_id = $1 AND u.id = $2") \
	X(RECOVERY_USE, WRITE, 3, \
	    "UPDATE recovery_codes SET used_at = clock_timestamp() WHERE " OF_USER \
	    " AND hash = $3 AND used_at IS NULL RETURNING user_id") \
	X(FACTORS_RESET, WRITE, 2, \
	    "WITH totp AS (DELETE FROM totp_factors WHERE " OF_USER \
	    "), keys AS (DELETE FROM passkeys WHERE " OF_USER \
	    ") DELETE FROM recovery_codes WHERE " OF_USER)

QN_STATEMENTS(factor, FACTOR_STMTS);

static const struct qn_field factors_fields[] = {
    QN_FIELD(struct factors, enabled, BOOL, 0, 0, 0,
	"Whether a second factor is demanded: there is an authenticator app or a passkey."),
    QN_FIELD(struct factors, totp, BOOL, 0, 0, 0, "Whether there is an authenticator app."),
    QN_FIELD(struct factors, passkeys, I64, 0, 0, 0, "How many passkeys."),
    QN_FIELD(struct factors, recovery_codes, I64, 0, 0, 0, "How many codes are still unused."),
};
const struct qn_object factors_object = QN_OBJECT("Factors", struct factors, factors_fields);

static const struct qn_field totp_fields[] = {
    QN_FIELD(struct totp, secret_sealed, JSON, 0, 0, 0, "Never shown."),
    QN_FIELD(struct totp, confirmed, BOOL, 0, 0, 0, "Whether a code of it was shown."),
};
static const struct qn_object totp_object = QN_OBJECT("TotpRow", struct totp, totp_fields);

enum qn_err factors_of(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *user, struct factors *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, factor_set, FACTORS_OF, &rows, qn_a_str(app), qn_a_str(user)));
	if (qn_rows_n(rows) == 0)
		return QN_USER_NOT_FOUND;
	qn_rows_get(rows, 0, &factors_object, ret);
	return QN_OK;
}

enum qn_err totp_of(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *user, struct totp *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, factor_set, TOTP_OF, &rows, qn_a_str(app), qn_a_str(user)));
	if (qn_rows_n(rows) == 0)
		return QN_NOT_FOUND;
	qn_rows_get(rows, 0, &totp_object, ret);
	return QN_OK;
}

enum qn_err totp_enroll(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    struct qn_span secret_sealed)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, factor_set, TOTP_ENROLL, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_bytes(secret_sealed.p, secret_sealed.n)));
	return qn_rows_n(rows) == 0 ? QN_CONFLICT : QN_OK;
}

enum qn_err totp_confirm(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    struct qn_span secret_sealed, int64_t step)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, factor_set, TOTP_CONFIRM, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_bytes(secret_sealed.p, secret_sealed.n), qn_a_i64(step)));
	return qn_rows_n(rows) == 0 ? QN_CONFLICT : QN_OK;
}

enum qn_err totp_use(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *user, int64_t step)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(
	    db, a, factor_set, TOTP_USE, &rows, qn_a_str(app), qn_a_str(user), qn_a_i64(step)));
	return qn_rows_n(rows) == 0 ? QN_BAD_CODE : QN_OK;
}

enum qn_err totp_drop(struct qn_db *db, struct qn_arena *a, const char *app, const char *user)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, factor_set, TOTP_DROP, &rows, qn_a_str(app), qn_a_str(user)));
	return qn_rows_n(rows) == 0 ? QN_CONFLICT : QN_OK;
}

enum qn_err recovery_replace(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *user, struct qn_span hashes)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, factor_set, RECOVERY_REPLACE, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_json(hashes));
}

enum qn_err recovery_use(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *user, struct qn_span hash)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, factor_set, RECOVERY_USE, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_bytes(hash.p, hash.n)));
	return qn_rows_n(rows) == 0 ? QN_BAD_CODE : QN_OK;
}

enum qn_err factors_reset(struct qn_db *db, struct qn_arena *a, const char *app, const char *user)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, factor_set, FACTORS_RESET, &rows, qn_a_str(app), qn_a_str(user));
}
