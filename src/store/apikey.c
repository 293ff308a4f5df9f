#include "quoin/store/apikey.h"

#include "quoin/base/rand.h"
#include "rows.h"

#define COLUMNS \
	"id, name, key_prefix, public_id, array_to_json(scopes) AS scopes, array_to_json(ip_allow) AS ip_allow, " \
	"created_at, last_used_at, expires_at"
#define LIVE "app_id = $1 AND user_id = $2 AND revoked_at IS NULL"

#define APIKEY_STMTS(X) \
	X(APIKEY_HOLD, WRITE, 2, \
	    "SELECT id FROM users WHERE app_id = $1 AND id = $2 FOR NO KEY UPDATE") \
	X(APIKEY_CREATE, WRITE, 11, \
	    "INSERT INTO api_keys (app_id, user_id, id, name, public_id, key_prefix, key_hash, scopes, " \
	    "ip_allow, expires_at) SELECT $1, $2, $3, $4, $5, $6, $7, " \
	    "ARRAY(SELECT json_array_elements_text($8::json)), " \
	    "ARRAY(SELECT json_array_elements_text(coalesce($9::json, '[]'))::cidr), " \
	    "to_timestamp($10::bigint / 1000000.0) FROM users u WHERE u.app_id = $1 AND u.id = $2 " \
	    "AND (SELECT count(*) FROM api_keys WHERE " LIVE \
	    ") < $11::integer RETURNING " COLUMNS) \
	X(APIKEY_LIST, FRESH, 2, \
	    "SELECT " COLUMNS " FROM api_keys WHERE " LIVE " ORDER BY id DESC") \
	X(APIKEY_LIKE, WRITE, 3, \
	    "SELECT name, array_to_json(scopes) AS scopes, array_to_json(ip_allow) AS ip_allow, " \
	    "CASE WHEN rerolled THEN own_expires_at ELSE expires_at END AS expires_at FROM api_keys WHERE " LIVE \
	    " AND id = $3 FOR UPDATE") \
	X(APIKEY_RENAME, WRITE, 4, \
	    "UPDATE api_keys SET name = $4 WHERE " LIVE " AND id = $3 RETURNING " COLUMNS) \
	X(APIKEY_END, WRITE, 4, \
	    "UPDATE api_keys SET rerolled = true, " \
	    "own_expires_at = CASE WHEN rerolled THEN own_expires_at ELSE expires_at END, " \
	    "expires_at = least(expires_at, clock_timestamp() + $4::integer * interval '1 second') " \
	    "WHERE " LIVE " AND id = $3 RETURNING id") \
	X(APIKEY_REVOKE, WRITE, 3, \
	    "UPDATE api_keys SET revoked_at = clock_timestamp() WHERE " LIVE \
	    " AND id = $3 RETURNING id") \
	X(APIKEY_REVOKE_ALL, WRITE, 2, \
	    "UPDATE api_keys SET revoked_at = clock_timestamp() WHERE " LIVE)

QN_STATEMENTS(apikey, APIKEY_STMTS);

static const struct qn_field apikey_fields[] = {
    QN_FIELD(struct apikey, id, UUID, 0, 0, 0, "Id of the key."),
    QN_FIELD(struct apikey, name, STR, 0, 1, 100, "Shown name."),
    QN_FIELD(struct apikey, key_prefix, STR, 0, 0, 0, "Its first characters, to tell keys apart."),
    QN_FIELD(struct apikey, scopes, JSON, 0, 0, 0, "What it may do."),
    QN_FIELD(struct apikey, ip_allow, JSON, 0, 0, 0, "Networks it may come from; empty: any."),
    QN_FIELD(struct apikey, created_at, TIME, 0, 0, 0, "When it was made."),
    QN_FIELD(struct apikey, last_used_at, TIME, QN_F_NULLABLE, 0, 0, "When it was used last."),
    QN_FIELD(struct apikey, expires_at, TIME, QN_F_NULLABLE, 0, 0, "When it ends."),
};
const struct qn_object apikey_object = QN_OBJECT("ApiKey", struct apikey, apikey_fields);

enum qn_err apikey_create(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const struct apikey *in, const uint8_t hash[32], struct apikey *ret)
{
	char id[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(id);
	QN_TRY(QN_EXEC(db, a, apikey_set, APIKEY_HOLD, &rows, qn_a_str(app), qn_a_str(user)));
	QN_TRY(QN_EXEC(db, a, apikey_set, APIKEY_CREATE, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(id), qn_a_str(in->name), qn_a_str(in->public_id), qn_a_str(in->key_prefix),
	    qn_a_bytes(hash, QN_SHA256_LEN), qn_a_json(in->scopes), qn_a_json(in->ip_allow),
	    qn_a_i64(in->expires_at), qn_a_i64(APIKEY_MOST)));
	return qn_rows_n(rows) == 0 ? QN_LIMIT
	                            : qn_rows_one(rows, &apikey_object, QN_KEY_NOT_FOUND, ret);
}

enum qn_err apikey_list(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *user, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, apikey_set, APIKEY_LIST, &rows, qn_a_str(app), qn_a_str(user)));
	*ret = qn_rows_list(rows, a, &apikey_object);
	return QN_OK;
}

enum qn_err apikey_like(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *id, struct apikey *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(
	    db, a, apikey_set, APIKEY_LIKE, &rows, qn_a_str(app), qn_a_str(user), qn_a_str(id)));
	QN_TRY(qn_rows_one(rows, &apikey_object, QN_KEY_NOT_FOUND, ret));
	return ret->expires_at != QN_TIME_NULL && ret->expires_at <= qn_now() ? QN_KEY_OVER : QN_OK;
}

enum qn_err apikey_rename(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *id, const char *name, struct apikey *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, apikey_set, APIKEY_RENAME, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(id), qn_a_str(name)));
	return qn_rows_one(rows, &apikey_object, QN_KEY_NOT_FOUND, ret);
}

enum qn_err apikey_end(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *id, int64_t seconds)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, apikey_set, APIKEY_END, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(id), qn_a_i64(seconds)));
	return qn_rows_n(rows) == 0 ? QN_KEY_NOT_FOUND : QN_OK;
}

enum qn_err apikey_revoke(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *user, const char *id)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(
	    db, a, apikey_set, APIKEY_REVOKE, &rows, qn_a_str(app), qn_a_str(user), qn_a_str(id)));
	return qn_rows_n(rows) == 0 ? QN_KEY_NOT_FOUND : QN_OK;
}

enum qn_err apikey_revoke_all(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *user)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, apikey_set, APIKEY_REVOKE_ALL, &rows, qn_a_str(app), qn_a_str(user));
}
