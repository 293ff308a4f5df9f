#include "quoin/store/account.h"

#include "quoin/base/rand.h"
#include "rows.h"

#define COLUMNS \
	"id, email, display_name, plan, password_hash, first_name, last_name, avatar_url, company_name, " \
	"industry, job_role, usage_purpose, email_verified, suspended_at IS NOT NULL AS suspended, " \
	"mfa_enabled, created_at, updated_at, delete_after, " \
	"(SELECT m.organization_id FROM organization_members m WHERE m.user_id = users.id " \
	"ORDER BY m.joined_at, m.organization_id LIMIT 1) AS organization_id"
#define CHANGE "UPDATE users SET updated_at = clock_timestamp(), "
#define ONE    " WHERE app_id = $1 AND id = $2"

/*
 * Only A to Z have another case, as where guesses at an address are counted (SECURITY T9, T40): lower() in the
 * database's own collation also takes a Kelvin sign for a k.
 */
#define FOLDED(param) "lower(" param " COLLATE \"C\") COLLATE \"default\""

/* One that was made by a clock that was ahead would last until that one's time, and is none. */
#define LASTS "expires_at > clock_timestamp() AND created_at <= clock_timestamp()"

#define ACCOUNT_STMTS(X) \
	X(ACCOUNT_CREATE, WRITE, 8, \
	    "INSERT INTO users (app_id, id, email, display_name, password_hash, email_verified, first_name, " \
	    "last_name) VALUES ($1, $2, $3, $4, $5, coalesce($6, false), $7, $8) RETURNING " COLUMNS) \
	X(ACCOUNT_BY_ID, FRESH, 2, "SELECT " COLUMNS " FROM users" ONE) \
	X(ACCOUNT_BY_EMAIL, FRESH, 2, \
	    "SELECT " COLUMNS " FROM users WHERE app_id = $1 AND lower(email) = " FOLDED("$2")) \
	X(ACCOUNT_GUESS, WRITE, 8, \
	    "SELECT g.wait, " COLUMNS " FROM (SELECT guess($1, ARRAY[$2, $4, $6]::bytea[], " \
	    "ARRAY[$3, $5, $7]::integer[]) AS wait) g LEFT JOIN users " \
	    "ON g.wait = 0 AND app_id = $1 AND lower(email) = " FOLDED("$8")) \
	X(ACCOUNT_PASSWORDS, FRESH, 2, \
	    "SELECT h.password_hash FROM password_history h JOIN users u ON u.id = h.user_id " \
	    "WHERE u.app_id = $1 AND u.id = $2 ORDER BY h.created_at DESC LIMIT 5") \
	X(ACCOUNT_SET_PASSWORD, WRITE, 3, \
	    "WITH u AS (" CHANGE "password_hash = $3" ONE " RETURNING id), " \
	    "kept AS (INSERT INTO password_history (user_id, password_hash) SELECT id, $3 FROM u), " \
	    "old AS (DELETE FROM password_history WHERE user_id = $2 AND created_at IN (" \
	    "SELECT created_at FROM password_history WHERE user_id = $2 ORDER BY created_at DESC OFFSET 4)) " \
	    "SELECT id FROM u") \
	X(ACCOUNT_DROP_PASSWORD, WRITE, 2, CHANGE "password_hash = NULL" ONE) \
	X(ACCOUNT_REHASH, WRITE, 4, \
	    "UPDATE users SET password_hash = $4" ONE " AND password_hash = $3") \
	X(ACCOUNT_STILL, WRITE, 3, \
	    "SELECT id FROM users" ONE " AND password_hash = $3 FOR NO KEY UPDATE") \
	X(ACCOUNT_VERIFY_EMAIL, WRITE, 3, \
	    CHANGE "email_verified = true" ONE " AND lower(email) = lower($3) RETURNING " COLUMNS) \
	X(ACCOUNT_SET_EMAIL, WRITE, 3, \
	    CHANGE "email = $3, email_verified = true" ONE " RETURNING " COLUMNS) \
	X(ACCOUNT_SET_PROFILE, WRITE, 10, \
	    CHANGE \
	    "display_name = coalesce($3, display_name), first_name = coalesce($4, first_name), " \
	    "last_name = coalesce($5, last_name), avatar_url = coalesce($6, avatar_url), " \
	    "company_name = coalesce($7, company_name), industry = coalesce($8, industry), " \
	    "job_role = coalesce($9, job_role), usage_purpose = coalesce($10, usage_purpose)" ONE \
	    " RETURNING " COLUMNS) \
	X(ACCOUNT_GIVE_UP, WRITE, 3, \
	    CHANGE "delete_after = CASE WHEN $3::integer > 0 THEN clock_timestamp() + " \
		   "$3::integer * interval '1 day' END" ONE " RETURNING " COLUMNS) \
	X(ACCOUNT_ERASE, WRITE, 0, \
	    "WITH gone AS (DELETE FROM users WHERE id IN (SELECT id FROM users WHERE delete_after < now() " \
	    "LIMIT 10) RETURNING 1) SELECT count(*) FROM gone") \
	X(ONE_TIME_PUT, WRITE, 6, \
	    "INSERT INTO one_time_tokens (app_id, purpose, hash, user_id, payload, expires_at) VALUES " \
	    "($1, $2, $3, $4, coalesce($5::json, '{}'), clock_timestamp() + $6::integer * interval '1 second')") \
	X(ONE_TIME_TAKE, WRITE, 3, \
	    "DELETE FROM one_time_tokens WHERE app_id = $1 AND purpose = $2 AND hash = $3 AND " LASTS \
	    " RETURNING user_id, payload") \
	X(ONE_TIME_PEEK, FRESH, 3, \
	    "SELECT user_id, payload FROM one_time_tokens WHERE app_id = $1 AND purpose = $2 AND hash = $3 " \
	    "AND " LASTS) \
	X(ONE_TIME_TRY, WRITE, 4, \
	    "UPDATE one_time_tokens SET tried = tried + 1 WHERE app_id = $1 AND purpose = $2 AND hash = $3 " \
	    "AND " LASTS " AND tried < $4::integer RETURNING user_id, payload") \
	X(ONE_TIME_DROP, WRITE, 3, \
	    "DELETE FROM one_time_tokens WHERE app_id = $1 AND user_id = $2 AND purpose = $3")

QN_STATEMENTS(account, ACCOUNT_STMTS);

#define TEXT(name, most, doc) QN_FIELD(struct account, name, STR, QN_F_NULLABLE, 0, most, doc)

static const struct qn_field account_fields[] = {
    QN_FIELD(struct account, id, UUID, 0, 0, 0, "Id of the user."),
    QN_FIELD(struct account, organization_id, UUID, QN_F_NULLABLE, 0, 0,
	"Of the organizations that he is a member of, the one for longest."),
    TEXT(email, 320, "Address."),
    TEXT(display_name, 200, "Shown name."),
    QN_FIELD(struct account, plan, STR, 0, 0, 0, "Code of the plan."),
    TEXT(password_hash, 256, "Never shown."),
    TEXT(first_name, 100, "Given name."),
    TEXT(last_name, 100, "Family name."),
    TEXT(avatar_url, 2000, "Picture."),
    TEXT(company_name, 200, "Company."),
    TEXT(industry, 100, "Industry."),
    TEXT(job_role, 100, "Role in the company."),
    TEXT(usage_purpose, 500, "What the product is used for."),
    QN_FIELD(struct account, email_verified, BOOL, 0, 0, 0, "Whether the address is the user's."),
    QN_FIELD(struct account, suspended, BOOL, 0, 0, 0, "Whether the account is suspended."),
    QN_FIELD(struct account, mfa_enabled, BOOL, 0, 0, 0, "Whether there is a second factor."),
    QN_FIELD(struct account, created_at, TIME, 0, 0, 0, "When it was made."),
    QN_FIELD(struct account, updated_at, TIME, 0, 0, 0, "When it was last changed."),
    QN_FIELD(struct account, delete_after, TIME, QN_F_NULLABLE, 0, 0, "When it is erased."),
};
const struct qn_object account_object = QN_OBJECT("AccountRow", struct account, account_fields);

static const struct qn_field secret_fields[] = {
    QN_FIELD(struct account_secret, password_hash, STR, 0, 0, 0, "Never shown."),
};
static const struct qn_object secret_object =
    QN_OBJECT("AccountSecret", struct account_secret, secret_fields);

enum qn_err account_create(struct qn_db *db, struct qn_arena *a, const char *app,
    const struct account *in, struct account *ret)
{
	char id[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(id);
	QN_TRY(QN_EXEC(db, a, account_set, ACCOUNT_CREATE, &rows, qn_a_str(app), qn_a_str(id),
	    qn_a_str(in->email), qn_a_str(in->display_name), qn_a_str(in->password_hash),
	    qn_a_bool(in->email_verified), qn_a_str(in->first_name), qn_a_str(in->last_name)));
	return qn_rows_one(rows, &account_object, QN_USER_NOT_FOUND, ret);
}

enum qn_err account_by_id(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *id, struct account *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, account_set, ACCOUNT_BY_ID, &rows, qn_a_str(app), qn_a_str(id)));
	return qn_rows_one(rows, &account_object, QN_USER_NOT_FOUND, ret);
}

enum qn_err account_by_email(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *email, struct account *ret)
{
	struct qn_rows *rows;

	QN_TRY(
	    QN_EXEC(db, a, account_set, ACCOUNT_BY_EMAIL, &rows, qn_a_str(app), qn_a_str(email)));
	return qn_rows_one(rows, &account_object, QN_USER_NOT_FOUND, ret);
}

enum qn_err account_guess(struct qn_db *db, struct qn_arena *a, const char *app,
    const struct attempt_guess *g, const char *email, int64_t *ret_wait_s, struct account *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, account_set, ACCOUNT_GUESS, &rows, qn_a_str(app),
	    attempt_subject(a, g->network), qn_a_i64(g->free_network),
	    attempt_subject(a, g->client), qn_a_i64(g->free_client), attempt_subject(a, g->all),
	    qn_a_i64(g->free_all), qn_a_str(email)));
	*ret_wait_s = qn_rows_i64(rows, 0, 0);
	QN_TRY(qn_rows_one(rows, &account_object, QN_USER_NOT_FOUND, ret));
	return ret->id != NULL ? QN_OK : QN_USER_NOT_FOUND;
}

enum qn_err account_passwords(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *user, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(
	    QN_EXEC(db, a, account_set, ACCOUNT_PASSWORDS, &rows, qn_a_str(app), qn_a_str(user)));
	*ret = qn_rows_list(rows, a, &secret_object);
	return QN_OK;
}

enum qn_err account_set_password(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *user, const char *hash)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, account_set, ACCOUNT_SET_PASSWORD, &rows, qn_a_str(app),
	    qn_a_str(user), qn_a_str(hash)));
	return qn_rows_n(rows) == 0 ? QN_USER_NOT_FOUND : QN_OK;
}

enum qn_err account_drop_password(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *user)
{
	struct qn_rows *rows;

	return QN_EXEC(
	    db, a, account_set, ACCOUNT_DROP_PASSWORD, &rows, qn_a_str(app), qn_a_str(user));
}

enum qn_err account_rehash(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *old, const char *hash)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, account_set, ACCOUNT_REHASH, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(old), qn_a_str(hash));
}

enum qn_err account_still(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *password_hash)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, account_set, ACCOUNT_STILL, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(password_hash)));
	return qn_rows_n(rows) == 0 ? QN_RETRY : QN_OK;
}

enum qn_err account_verify_email(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const char *email, struct account *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, account_set, ACCOUNT_VERIFY_EMAIL, &rows, qn_a_str(app),
	    qn_a_str(user), qn_a_str(email)));
	return qn_rows_one(rows, &account_object, QN_USER_NOT_FOUND, ret);
}

enum qn_err account_set_email(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const char *email, struct account *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, account_set, ACCOUNT_SET_EMAIL, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(email)));
	return qn_rows_one(rows, &account_object, QN_USER_NOT_FOUND, ret);
}

enum qn_err account_set_profile(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const struct account *in, struct account *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, account_set, ACCOUNT_SET_PROFILE, &rows, qn_a_str(app),
	    qn_a_str(user), qn_a_str(in->display_name), qn_a_str(in->first_name),
	    qn_a_str(in->last_name), qn_a_str(in->avatar_url), qn_a_str(in->company_name),
	    qn_a_str(in->industry), qn_a_str(in->job_role), qn_a_str(in->usage_purpose)));
	return qn_rows_one(rows, &account_object, QN_USER_NOT_FOUND, ret);
}

enum qn_err account_give_up(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    int64_t days, struct account *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, account_set, ACCOUNT_GIVE_UP, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_i64(days)));
	return qn_rows_one(rows, &account_object, QN_USER_NOT_FOUND, ret);
}

enum qn_err account_erase(struct qn_db *db, struct qn_arena *a, int64_t *ret_n)
{
	return qn_exec_number(db, a, &account_set, ACCOUNT_ERASE, ret_n);
}

enum qn_err one_time_put(struct qn_db *db, struct qn_arena *a, const char *app, const char *purpose,
    const uint8_t hash[32], const struct one_time *what, int64_t seconds)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, account_set, ONE_TIME_PUT, &rows, qn_a_str(app), qn_a_str(purpose),
	    qn_a_bytes(hash, QN_SHA256_LEN), qn_a_str(what->user), qn_a_json(what->payload),
	    qn_a_i64(seconds));
}

static enum qn_err token(struct qn_rows *rows, struct one_time *ret)
{
	if (qn_rows_n(rows) == 0)
		return QN_LINK_INVALID;
	ret->user = qn_rows_str(rows, 0, 0);
	ret->payload = qn_rows_bytes(rows, 0, 1);
	return QN_OK;
}

enum qn_err one_time_take(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *purpose, const uint8_t hash[32], struct one_time *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, account_set, ONE_TIME_TAKE, &rows, qn_a_str(app), qn_a_str(purpose),
	    qn_a_bytes(hash, QN_SHA256_LEN)));
	return token(rows, ret);
}

enum qn_err one_time_peek(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *purpose, const uint8_t hash[32], struct one_time *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, account_set, ONE_TIME_PEEK, &rows, qn_a_str(app), qn_a_str(purpose),
	    qn_a_bytes(hash, QN_SHA256_LEN)));
	return token(rows, ret);
}

enum qn_err one_time_try(struct qn_db *db, struct qn_arena *a, const char *app, const char *purpose,
    const uint8_t hash[32], int64_t most, struct one_time *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, account_set, ONE_TIME_TRY, &rows, qn_a_str(app), qn_a_str(purpose),
	    qn_a_bytes(hash, QN_SHA256_LEN), qn_a_i64(most)));
	return token(rows, ret);
}

enum qn_err one_time_drop(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *user, const char *purpose)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, account_set, ONE_TIME_DROP, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(purpose));
}
