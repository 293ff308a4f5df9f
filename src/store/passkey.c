#include "quoin/store/passkey.h"

#include "quoin/base/rand.h"
#include "rows.h"

#define COLUMNS \
	"id, user_id, name, credential_id, public_key, aaguid, sign_count, transports::bigint AS transports, " \
	"backup_eligible, backed_up, created_at, last_used_at"
#define ONE "app_id = $1 AND user_id = $2 AND id = $3"

#define PASSKEY_STMTS(X) \
	X(PASSKEY_CREATE, WRITE, 12, \
	    "INSERT INTO passkeys (app_id, user_id, id, name, credential_id, public_key, aaguid, sign_count, " \
	    "transports, backup_eligible, backed_up) SELECT $1, $2, $3, $4, $5, $6, $7, $8::bigint, " \
	    "$9::integer, coalesce($10, false), coalesce($11, false) FROM users u WHERE u.app_id = $1 " \
	    "AND u.id = $2 AND (SELECT count(*) FROM passkeys WHERE user_id = u.id) < $12::integer " \
	    "RETURNING " COLUMNS) \
	X(PASSKEY_LIST, FRESH, 2, \
	    "SELECT " COLUMNS " FROM passkeys WHERE app_id = $1 AND user_id = $2 ORDER BY id") \
	X(PASSKEY_BY_CREDENTIAL, FRESH, 2, \
	    "SELECT " COLUMNS " FROM passkeys WHERE app_id = $1 AND credential_id = $2") \
	X(PASSKEY_USED, WRITE, 5, \
	    "UPDATE passkeys SET sign_count = $4::bigint, backed_up = $5, last_used_at = clock_timestamp() " \
	    "WHERE " ONE " AND (sign_count < $4::bigint OR (sign_count = 0 AND $4::bigint = 0)) " \
	    "RETURNING id") \
	X(PASSKEY_RENAME, WRITE, 4, \
	    "UPDATE passkeys SET name = $4 WHERE " ONE " RETURNING " COLUMNS) \
	X(PASSKEY_DROP, WRITE, 3, "DELETE FROM passkeys WHERE " ONE " RETURNING id")

QN_STATEMENTS(passkey, PASSKEY_STMTS);

#define SHOWN \
	QN_FIELD(struct passkey, id, UUID, 0, 0, 0, "Id of the passkey."), \
	    QN_FIELD(struct passkey, name, STR, 0, 1, 100, "Shown name."), \
	    QN_FIELD(struct passkey, backed_up, BOOL, 0, 0, 0, \
		"Whether it is copied to other devices of its owner."), \
	    QN_FIELD(struct passkey, created_at, TIME, 0, 0, 0, "When it was made."), \
	    QN_FIELD( \
		struct passkey, last_used_at, TIME, QN_F_NULLABLE, 0, 0, "When it was used last.")

static const struct qn_field shown_fields[] = {SHOWN};
const struct qn_object passkey_object = QN_OBJECT("Passkey", struct passkey, shown_fields);

static const struct qn_field row_fields[] = {
    SHOWN,
    QN_FIELD(struct passkey, user_id, UUID, 0, 0, 0, "Whose it is."),
    QN_FIELD(struct passkey, credential_id, JSON, 0, 0, 0, "Bytes."),
    QN_FIELD(struct passkey, public_key, JSON, 0, 0, 0, "COSE_Key."),
    QN_FIELD(struct passkey, aaguid, JSON, QN_F_NULLABLE, 0, 0, "The model."),
    QN_FIELD(struct passkey, sign_count, I64, 0, 0, 0, "Signatures, as it counts."),
    QN_FIELD(struct passkey, transports, I64, 0, 0, 0, "Bits."),
    QN_FIELD(struct passkey, backup_eligible, BOOL, 0, 0, 0, "Whether it may be copied."),
};
static const struct qn_object row_object = QN_OBJECT("PasskeyRow", struct passkey, row_fields);

enum qn_err passkey_create(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const struct passkey *in, struct passkey *ret)
{
	char id[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(id);
	QN_TRY(QN_EXEC(db, a, passkey_set, PASSKEY_CREATE, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(id), qn_a_str(in->name), qn_a_bytes(in->credential_id.p, in->credential_id.n),
	    qn_a_bytes(in->public_key.p, in->public_key.n), qn_a_bytes(in->aaguid.p, in->aaguid.n),
	    qn_a_i64(in->sign_count), qn_a_i64(in->transports), qn_a_bool(in->backup_eligible),
	    qn_a_bool(in->backed_up), qn_a_i64(PASSKEY_MOST)));
	return qn_rows_n(rows) == 0 ? QN_LIMIT
	                            : qn_rows_one(rows, &row_object, QN_PASSKEY_NOT_FOUND, ret);
}

enum qn_err passkey_list(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *user, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, passkey_set, PASSKEY_LIST, &rows, qn_a_str(app), qn_a_str(user)));
	*ret = qn_rows_list(rows, a, &row_object);
	return QN_OK;
}

enum qn_err passkey_by_credential(struct qn_db *db, struct qn_arena *a, const char *app,
    struct qn_span credential_id, struct passkey *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, passkey_set, PASSKEY_BY_CREDENTIAL, &rows, qn_a_str(app),
	    qn_a_bytes(credential_id.p, credential_id.n)));
	return qn_rows_one(rows, &row_object, QN_PASSKEY_NOT_FOUND, ret);
}

enum qn_err passkey_used(struct qn_db *db, struct qn_arena *a, const char *app,
    const struct passkey *key, int64_t sign_count, bool backed_up)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, passkey_set, PASSKEY_USED, &rows, qn_a_str(app),
	    qn_a_str(key->user_id), qn_a_str(key->id), qn_a_i64(sign_count), qn_a_bool(backed_up)));
	return qn_rows_n(rows) == 0 ? QN_PASSKEY_NOT_FOUND : QN_OK;
}

enum qn_err passkey_rename(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *id, const char *name, struct passkey *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, passkey_set, PASSKEY_RENAME, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(id), qn_a_str(name)));
	return qn_rows_one(rows, &row_object, QN_PASSKEY_NOT_FOUND, ret);
}

enum qn_err passkey_drop(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *user, const char *id)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(
	    db, a, passkey_set, PASSKEY_DROP, &rows, qn_a_str(app), qn_a_str(user), qn_a_str(id)));
	return qn_rows_n(rows) == 0 ? QN_PASSKEY_NOT_FOUND : QN_OK;
}
