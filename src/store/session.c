#include "quoin/store/session.h"

#include "quoin/base/rand.h"
#include "rows.h"

#define SESSION_STMTS(X) \
	X(SESSION_BEGIN, WRITE, 20, \
	    "SELECT session_begin($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, " \
	    "CASE WHEN $15::bytea IS NOT NULL THEN ARRAY[$15, $16, $17]::bytea[] END, " \
	    "ARRAY[$18, NULL, $19]::integer[], $12, $13, $14, $20)::integer") \
	X(SESSION_ROTATE, WRITE, 4, \
	    "UPDATE sessions SET generation = generation + 1, rotated_at = clock_timestamp(), " \
	    "last_used_at = clock_timestamp(), expires_at = clock_timestamp() + $4::integer * interval '1 day' " \
	    "WHERE app_id = $1 AND id = $2 AND generation = $3::integer AND cookie_hash IS NULL " \
	    "AND revoked_at IS NULL AND expires_at > clock_timestamp() RETURNING user_id") \
	X(SESSION_END_REUSED, WRITE, 3, \
	    "UPDATE sessions SET revoked_at = clock_timestamp(), revoked_for = 'refresh token reused' " \
	    "WHERE app_id = $1 AND id = $2 AND cookie_hash IS NULL AND revoked_at IS NULL " \
	    "AND (generation > $3::integer + 1 OR (generation = $3::integer + 1 AND " \
	    "(" QN_LATELY("rotated_at", "10 s") ") IS NOT TRUE)) RETURNING user_id") \
	X(SESSION_SUCCESSOR, FRESH, 3, \
	    "SELECT user_id FROM sessions WHERE app_id = $1 AND id = $2 AND generation = $3::integer + 1 " \
	    "AND revoked_at IS NULL AND expires_at > clock_timestamp()") \
	X(SESSION_LIST, FRESH, 2, \
	    "SELECT id, method, device_id, device_name, ip, user_agent, aal::integer AS aal, created_at, " \
	    "last_used_at, expires_at FROM sessions WHERE app_id = $1 AND user_id = $2 AND " \
	    "revoked_at IS NULL AND expires_at > now() ORDER BY id DESC LIMIT 100") \
	X(SESSION_REVOKE, WRITE, 4, \
	    "UPDATE sessions SET revoked_at = clock_timestamp(), revoked_for = $4 WHERE app_id = $1 AND " \
	    "user_id = $2 AND id = $3 AND revoked_at IS NULL RETURNING id") \
	X(SESSION_REVOKE_ALL, WRITE, 4, "SELECT sign_out_everywhere($1, $2, $3, $4)") \
	X(SESSION_PROVE, WRITE, 4, \
	    "UPDATE sessions SET proved_at = clock_timestamp(), aal = greatest(aal, $3::integer), " \
	    "cookie_hash = coalesce($4, cookie_hash) " \
	    "WHERE app_id = $1 AND id = $2 AND revoked_at IS NULL RETURNING id") \
	X(SESSION_PRUNE, WRITE, 0, \
	    "WITH gone AS (DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE " \
	    "expires_at < now() - interval '1 day' LIMIT 1000) RETURNING 1), " \
	    "links AS (DELETE FROM one_time_tokens WHERE hash IN (SELECT hash FROM one_time_tokens WHERE " \
	    "expires_at < now() - interval '1 day' LIMIT 1000) RETURNING 1), " \
	    "flows AS (DELETE FROM oauth_flows WHERE state_hash IN (SELECT state_hash FROM oauth_flows WHERE " \
	    "expires_at < now() LIMIT 1000) RETURNING 1), " \
	    "devices AS (DELETE FROM device_grants WHERE device_hash IN (SELECT device_hash FROM device_grants " \
	    "WHERE expires_at < now() - interval '1 hour' LIMIT 1000) RETURNING 1), " \
	    "shown AS (DELETE FROM saml_assertions WHERE (connection_id, assertion_id) IN (SELECT connection_id, " \
	    "assertion_id FROM saml_assertions WHERE expires_at < now() LIMIT 1000) RETURNING 1), " \
	    "tries AS (DELETE FROM attempts a WHERE a.last_at < now() - interval '1 day' RETURNING 1) " \
	    "SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM links) + " \
	    "(SELECT count(*) FROM flows) + (SELECT count(*) FROM devices) + " \
	    "(SELECT count(*) FROM shown) + (SELECT count(*) FROM tries)")

QN_STATEMENTS(session, SESSION_STMTS);

static const struct qn_field session_fields[] = {
    QN_FIELD(struct session, id, UUID, 0, 0, 0, "Id of the session."),
    QN_FIELD(struct session, method, STR, 0, 0, 0, "How the user signed in: password, google, …"),
    QN_FIELD(
	struct session, device_id, STR, QN_F_NULLABLE, 0, 200, "What the client called itself."),
    QN_FIELD(struct session, device_name, STR, QN_F_NULLABLE, 0, 200, "Shown name of the device."),
    QN_FIELD(struct session, ip, STR, QN_F_NULLABLE, 0, 0, "Address that it was begun from."),
    QN_FIELD(struct session, user_agent, STR, QN_F_NULLABLE, 0, 500, "Program that began it."),
    QN_FIELD(struct session, aal, I64, 0, 1, 2, "2 when a second factor was shown, else 1."),
    QN_FIELD(struct session, created_at, TIME, 0, 0, 0, "When it began."),
    QN_FIELD(struct session, last_used_at, TIME, 0, 0, 0, "When it was used last, to the hour."),
    QN_FIELD(struct session, expires_at, TIME, 0, 0, 0, "When it ends, if it is not used."),
    QN_FIELD(struct session, current, BOOL, 0, 0, 0, "Whether this request belongs to it."),
};
const struct qn_object session_object = QN_OBJECT("Session", struct session, session_fields);

enum qn_err session_begin(
    struct qn_db *db, struct qn_arena *a, const struct session_new *in, bool *ret_unlike)
{
	static const struct attempt_guess none = {NULL, NULL, NULL, 0, 0, 0};
	const struct attempt_guess *right = in->right != NULL ? in->right : &none;
	char audit[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(audit);
	QN_TRY(QN_EXEC(db, a, session_set, SESSION_BEGIN, &rows, qn_a_str(in->id),
	    qn_a_str(in->app), qn_a_str(in->user), qn_a_str(in->method),
	    qn_a_bytes(in->cookie_hash, in->cookie_hash != NULL ? QN_SHA256_LEN : 0),
	    qn_a_i64(in->aal), qn_a_i64(in->days), qn_a_str(in->device_id),
	    qn_a_str(in->device_name), qn_a_str(in->ip), qn_a_str(in->user_agent), qn_a_str(audit),
	    qn_a_json(in->details), qn_a_str(in->request_id), attempt_subject(a, right->network),
	    attempt_subject(a, right->client), attempt_subject(a, right->all),
	    qn_a_i64(right->free_network), qn_a_i64(right->free_all), qn_a_str(in->password_hash)));
	*ret_unlike = qn_rows_i64(rows, 0, 0) == 1;
	return QN_OK;
}

static bool found(const struct qn_rows *rows, const char **ret_user)
{
	if (qn_rows_n(rows) == 0)
		return false;
	*ret_user = qn_rows_str(rows, 0, 0);
	return true;
}

enum qn_err session_rotate(struct qn_db *db, struct qn_arena *a, const char *app, const char *id,
    int64_t generation, int64_t days, enum session_rotated *ret, const char **ret_user)
{
	struct qn_rows *rows;

	*ret = SESSION_ROTATED;
	QN_TRY(QN_EXEC(db, a, session_set, SESSION_ROTATE, &rows, qn_a_str(app), qn_a_str(id),
	    qn_a_i64(generation), qn_a_i64(days)));
	if (found(rows, ret_user))
		return QN_OK;
	*ret = SESSION_REUSED;
	QN_TRY(QN_EXEC(db, a, session_set, SESSION_END_REUSED, &rows, qn_a_str(app), qn_a_str(id),
	    qn_a_i64(generation)));
	if (found(rows, ret_user))
		return QN_OK;
	*ret = SESSION_REPEATED;
	QN_TRY(QN_EXEC(db, a, session_set, SESSION_SUCCESSOR, &rows, qn_a_str(app), qn_a_str(id),
	    qn_a_i64(generation)));
	if (!found(rows, ret_user))
		*ret = SESSION_GONE;
	return QN_OK;
}

enum qn_err session_list(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *user, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, session_set, SESSION_LIST, &rows, qn_a_str(app), qn_a_str(user)));
	*ret = qn_rows_list(rows, a, &session_object);
	return QN_OK;
}

enum qn_err session_revoke(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *id, const char *why)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, session_set, SESSION_REVOKE, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(id), qn_a_str(why)));
	return qn_rows_n(rows) == 0 ? QN_SESSION_NOT_FOUND : QN_OK;
}

enum qn_err session_revoke_all(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const char *except, const char *why, int64_t *ret_n)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, session_set, SESSION_REVOKE_ALL, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(except), qn_a_str(why)));
	*ret_n = qn_rows_i64(rows, 0, 0);
	return QN_OK;
}

enum qn_err session_prove(struct qn_db *db, struct qn_arena *a, const char *app, const char *id,
    int64_t aal, const uint8_t cookie_hash[])
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, session_set, SESSION_PROVE, &rows, qn_a_str(app), qn_a_str(id),
	    qn_a_i64(aal), qn_a_bytes(cookie_hash, cookie_hash != NULL ? QN_SHA256_LEN : 0)));
	return qn_rows_n(rows) == 0 ? QN_SESSION_NOT_FOUND : QN_OK;
}

enum qn_err session_prune(struct qn_db *db, struct qn_arena *a, int64_t *ret)
{
	return qn_exec_number(db, a, &session_set, SESSION_PRUNE, ret);
}
