#include "quoin/store/device.h"

#include <string.h>

#include "rows.h"

#define SHOWN \
	" RETURNING user_id AS \"user\", aal::integer AS aal, device_id, device_name, ip, expires_at"

#define DEVICE_STMTS(X) \
	X(DEVICE_PUT, WRITE, 7, \
	    "INSERT INTO device_grants (app_id, device_hash, user_code, device_id, device_name, ip, expires_at, " \
	    "interval_s) VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + interval '10 minutes', $7::integer)") \
	X(DEVICE_BY_CODE, FRESH, 3, \
	    "SELECT user_id AS \"user\", aal::integer AS aal, device_id, device_name, ip, expires_at " \
	    "FROM device_grants WHERE app_id = $1 AND user_code = $2 AND expires_at > clock_timestamp() AND " \
	    "(status = 'pending' OR (status = 'approved' AND user_id = $3))") \
	X(DEVICE_APPROVE, WRITE, 4, \
	    "UPDATE device_grants SET status = 'approved', user_id = $3, aal = $4::integer WHERE app_id = $1 AND " \
	    "user_code = $2 AND expires_at > clock_timestamp() AND " \
	    "(status = 'pending' OR (status = 'approved' AND user_id = $3))" SHOWN) \
	X(DEVICE_DENY, WRITE, 2, \
	    "UPDATE device_grants SET status = 'denied' WHERE app_id = $1 AND user_code = $2 AND " \
	    "expires_at > clock_timestamp() AND status = 'pending'" SHOWN) \
	X(DEVICE_POLL, WRITE, 2, \
	    "SELECT outcome, account AS \"user\", aal, device_id, device_name FROM device_poll($1, $2)")

QN_STATEMENTS(device, DEVICE_STMTS);

static const struct qn_field device_fields[] = {
    QN_FIELD(struct device, user, UUID, QN_F_NULLABLE, 0, 0, "Who approved."),
    QN_FIELD(struct device, aal, I64, QN_F_NULLABLE, 1, 2, "Of the session that approved."),
    QN_FIELD(struct device, device_id, STR, QN_F_NULLABLE, 0, 0, "What the device calls itself."),
    QN_FIELD(struct device, device_name, STR, QN_F_NULLABLE, 0, 0, "Shown name."),
    QN_FIELD(struct device, ip, STR, QN_F_NULLABLE, 0, 0, "Where it asked from."),
    QN_FIELD(struct device, expires_at, TIME, 0, 0, 0, "Until when."),
};
static const struct qn_object device_object = QN_OBJECT("DeviceRow", struct device, device_fields);

enum qn_err device_put(struct qn_db *db, struct qn_arena *a, const char *app,
    const uint8_t hash[QN_SHA256_LEN], const char *user_code, const struct device *in)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, device_set, DEVICE_PUT, &rows, qn_a_str(app),
	    qn_a_bytes(hash, QN_SHA256_LEN), qn_a_str(user_code), qn_a_str(in->device_id),
	    qn_a_str(in->device_name), qn_a_str(in->ip), qn_a_i64(DEVICE_INTERVAL_S));
}

enum qn_err device_by_code(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user_code, const char *user, struct device *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, device_set, DEVICE_BY_CODE, &rows, qn_a_str(app), qn_a_str(user_code),
	    qn_a_str(user)));
	return qn_rows_one(rows, &device_object, QN_DEVICE_NOT_FOUND, ret);
}

enum qn_err device_approve(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user_code, const char *user, int64_t aal, struct device *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, device_set, DEVICE_APPROVE, &rows, qn_a_str(app), qn_a_str(user_code),
	    qn_a_str(user), qn_a_i64(aal)));
	return qn_rows_one(rows, &device_object, QN_DEVICE_NOT_FOUND, ret);
}

enum qn_err device_deny(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user_code, struct device *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, device_set, DEVICE_DENY, &rows, qn_a_str(app), qn_a_str(user_code)));
	return qn_rows_one(rows, &device_object, QN_DEVICE_NOT_FOUND, ret);
}

static enum qn_err meaning(const char *outcome)
{
	static const struct {
		const char *word;
		enum qn_err e;
	} meanings[] = {
	    {"approved", QN_OK},
	    {"pending", QN_GRANT_PENDING},
	    {"slow", QN_SLOW_DOWN},
	    {"expired", QN_GRANT_EXPIRED},
	    {"denied", QN_GRANT_DENIED},
	};

	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (strcmp(meanings[i].word, outcome) == 0)
			return meanings[i].e;
	return QN_BAD_GRANT;
}

enum qn_err device_poll(struct qn_db *db, struct qn_arena *a, const char *app,
    const uint8_t hash[QN_SHA256_LEN], struct device *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(
	    db, a, device_set, DEVICE_POLL, &rows, qn_a_str(app), qn_a_bytes(hash, QN_SHA256_LEN)));
	qn_rows_get(rows, 0, &device_object, ret);
	return meaning(qn_rows_str(rows, 0, 0));
}
