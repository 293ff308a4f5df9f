#include "quoin/store/app.h"

#include "quoin/base/rand.h"

#define ISSUER_COLUMNS \
	"id, app_id, issuer, audience, jwks_url, array_to_string(algorithms, ' ') AS algorithms, " \
	"jwks, fetched_at, attempted_at, settled_at, failure"

#define APP_STMTS(X) \
	X(APP_LIST, FRESH, 0, \
	    "SELECT id, slug, name, config, EXISTS (SELECT 1 FROM licenses l WHERE l.app_id = apps.id " \
	    "AND l.imported) AS has_imports FROM apps ORDER BY slug") \
	X(APP_BY_SLUG, READ, 1, "SELECT id, slug, name, config FROM apps WHERE slug = $1") \
	X(APP_PUT, WRITE, 4, \
	    "INSERT INTO apps (id, slug, name, config) VALUES ($1, $2, $3, $4) " \
	    "ON CONFLICT (slug) DO UPDATE SET name = excluded.name, config = excluded.config, " \
	    "updated_at = now() RETURNING id") \
	X(ISSUER_LIST, FRESH, 0, "SELECT " ISSUER_COLUMNS " FROM issuers ORDER BY app_id, issuer") \
	X(ISSUER_BY_ID, FRESH, 1, "SELECT " ISSUER_COLUMNS " FROM issuers WHERE id = $1") \
	X(ISSUER_PUT, WRITE, 6, \
	    "INSERT INTO issuers (id, app_id, issuer, audience, jwks_url, algorithms) " \
	    "VALUES ($1, $2, $3, $4, $5, string_to_array($6, ' ')) " \
	    "ON CONFLICT (app_id, issuer) DO UPDATE SET audience = excluded.audience, " \
	    "algorithms = excluded.algorithms, jwks_url = excluded.jwks_url, " \
	    "jwks = CASE WHEN issuers.jwks_url = excluded.jwks_url THEN issuers.jwks END, " \
	    "fetched_at = CASE WHEN issuers.jwks_url = excluded.jwks_url THEN issuers.fetched_at END, " \
	    "attempted_at = CASE WHEN issuers.jwks_url = excluded.jwks_url THEN issuers.attempted_at END") \
	X(ISSUER_PRUNE, WRITE, 2, \
	    "DELETE FROM issuers WHERE app_id = $1 AND issuer NOT IN " \
	    "(SELECT json_array_elements_text($2::json))") \
	X(ISSUER_CLAIM, WRITE, 1, \
	    "UPDATE issuers SET attempted_at = clock_timestamp(), settled_at = NULL WHERE id = $1 AND " \
	    "(" QN_LATELY("attempted_at", "60 s") ") IS NOT TRUE RETURNING id") \
	X(ISSUER_SETTLE, WRITE, 3, \
	    "UPDATE issuers SET settled_at = clock_timestamp(), failure = $3, " \
	    "jwks = coalesce($2, jwks), " \
	    "fetched_at = CASE WHEN $2 IS NULL THEN fetched_at ELSE clock_timestamp() END " \
	    "WHERE id = $1") \
	X(ISSUER_UNDER_WAY, FRESH, 1, \
	    "SELECT coalesce(" QN_LATELY("attempted_at", \
		"6 s") " AND " \
		       "(settled_at IS NULL OR settled_at < attempted_at), false) FROM issuers WHERE id = $1") \
	X(SIGNING_KEY_LIST, FRESH, 0, \
	    "SELECT kid, app_id, use, public_jwk, created_at, signs_at, retired_at FROM signing_keys " \
	    "ORDER BY created_at DESC") \
	X(SIGNING_KEY_CURRENT, FRESH, 2, \
	    "SELECT kid, app_id, use, public_jwk, private_sealed, created_at, signs_at, retired_at " \
	    "FROM signing_keys WHERE app_id = $1 AND use = $2 AND (retired_at IS NULL OR retired_at > now()) " \
	    "ORDER BY signs_at < clock_timestamp() DESC, " \
	    "CASE WHEN signs_at < clock_timestamp() THEN created_at END DESC NULLS LAST, signs_at LIMIT 1") \
	X(SIGNING_KEY_RETIRE, WRITE, 3, \
	    "UPDATE signing_keys SET retired_at = clock_timestamp() + $3::bigint * interval '1 second' " \
	    "WHERE app_id = $1 AND use = $2 AND " \
	    "(retired_at IS NULL OR retired_at > clock_timestamp() + $3::bigint * interval '1 second')") \
	X(SIGNING_KEY_ADD, WRITE, 7, \
	    "INSERT INTO signing_keys (kid, app_id, use, algorithm, public_jwk, private_sealed, signs_at) " \
	    "VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + $7::bigint * interval '1 second') " \
	    "ON CONFLICT DO NOTHING")

QN_STATEMENTS(app, APP_STMTS);

static const struct qn_field app_row_fields[] = {
    QN_FIELD(struct app_row, id, UUID, 0, 0, 0, "Id."),
    QN_FIELD(struct app_row, slug, STR, 0, 0, 0, "Slug."),
    QN_FIELD(struct app_row, name, STR, 0, 0, 0, "Name."),
    QN_FIELD(struct app_row, config, JSON, 0, 0, 0, "Its file."),
    QN_FIELD(struct app_row, has_imports, BOOL, QN_F_NULLABLE, 0, 0, "Licences made elsewhere."),
};
const struct qn_object app_row_object = QN_OBJECT("AppRow", struct app_row, app_row_fields);

static const struct qn_field issuer_row_fields[] = {
    QN_FIELD(struct issuer_row, id, UUID, 0, 0, 0, "Id."),
    QN_FIELD(struct issuer_row, app_id, UUID, 0, 0, 0, "App."),
    QN_FIELD(struct issuer_row, issuer, STR, 0, 0, 0, "The iss claim."),
    QN_FIELD(struct issuer_row, audience, STR, 0, 0, 0, "The aud claim."),
    QN_FIELD(struct issuer_row, jwks_url, STR, 0, 0, 0, "Where its keys are."),
    QN_FIELD(struct issuer_row, algorithms, STR, 0, 0, 0, "Accepted algorithms."),
    QN_FIELD(struct issuer_row, jwks, JSON, 0, 0, 0, "Its keys."),
    QN_FIELD(struct issuer_row, fetched_at, TIME, 0, 0, 0, "When they were fetched."),
    QN_FIELD(struct issuer_row, attempted_at, TIME, 0, 0, 0, "When the last fetch began."),
    QN_FIELD(struct issuer_row, settled_at, TIME, 0, 0, 0, "When it ended."),
    QN_FIELD(struct issuer_row, failure, STR, 0, 0, 0, "Why it failed."),
};
const struct qn_object issuer_row_object =
    QN_OBJECT("IssuerRow", struct issuer_row, issuer_row_fields);

static const struct qn_field signing_key_row_fields[] = {
    QN_FIELD(struct signing_key_row, kid, STR, 0, 0, 0, "Key id."),
    QN_FIELD(struct signing_key_row, app_id, UUID, 0, 0, 0, "App."),
    QN_FIELD(struct signing_key_row, use, STR, 0, 0, 0, "What it signs."),
    QN_FIELD(struct signing_key_row, public_jwk, JSON, 0, 0, 0, "Public half."),
    QN_FIELD(struct signing_key_row, private_sealed, JSON, 0, 0, 0, "Private half, sealed."),
    QN_FIELD(struct signing_key_row, created_at, TIME, 0, 0, 0, "When it was made."),
    QN_FIELD(struct signing_key_row, signs_at, TIME, 0, 0, 0, "From when it signs."),
    QN_FIELD(struct signing_key_row, retired_at, TIME, 0, 0, 0, "When it was retired."),
};
const struct qn_object signing_key_row_object =
    QN_OBJECT("SigningKeyRow", struct signing_key_row, signing_key_row_fields);

static enum qn_err list(
    struct qn_db *db, struct qn_arena *a, int stmt, const struct qn_object *o, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(qn_exec(db, a, &app_set, stmt, NULL, 0, &rows));
	*ret = qn_rows_list(rows, a, o);
	return QN_OK;
}

enum qn_err app_list(struct qn_db *db, struct qn_arena *a, struct qn_list *ret)
{
	return list(db, a, APP_LIST, &app_row_object, ret);
}

enum qn_err issuer_list(struct qn_db *db, struct qn_arena *a, struct qn_list *ret)
{
	return list(db, a, ISSUER_LIST, &issuer_row_object, ret);
}

enum qn_err signing_key_list(struct qn_db *db, struct qn_arena *a, struct qn_list *ret)
{
	return list(db, a, SIGNING_KEY_LIST, &signing_key_row_object, ret);
}

enum qn_err app_by_slug(struct qn_db *db, struct qn_arena *a, const char *slug, struct app_row *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, app_set, APP_BY_SLUG, &rows, qn_a_str(slug)));
	if (qn_rows_n(rows) == 0)
		return QN_NOT_FOUND;
	qn_rows_get(rows, 0, &app_row_object, ret);
	return QN_OK;
}

enum qn_err app_put(struct qn_db *db, struct qn_arena *a, const char *slug, const char *name,
    struct qn_span config, const char **ret_id)
{
	char id[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(id);
	QN_TRY(QN_EXEC(db, a, app_set, APP_PUT, &rows, qn_a_str(id), qn_a_str(slug), qn_a_str(name),
	    qn_a_json(config)));
	*ret_id = qn_rows_str(rows, 0, 0);
	return QN_OK;
}

enum qn_err issuer_put(struct qn_db *db, struct qn_arena *a, const char *app_id, const char *issuer,
    const char *audience, const char *jwks_url, const char *algorithms)
{
	char id[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(id);
	return QN_EXEC(db, a, app_set, ISSUER_PUT, &rows, qn_a_str(id), qn_a_str(app_id),
	    qn_a_str(issuer), qn_a_str(audience), qn_a_str(jwks_url), qn_a_str(algorithms));
}

enum qn_err issuer_prune(
    struct qn_db *db, struct qn_arena *a, const char *app_id, struct qn_span keep)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, app_set, ISSUER_PRUNE, &rows, qn_a_str(app_id), qn_a_json(keep));
}

enum qn_err issuer_claim(struct qn_db *db, struct qn_arena *a, const char *id, bool *ret_mine)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, app_set, ISSUER_CLAIM, &rows, qn_a_str(id)));
	*ret_mine = qn_rows_n(rows) == 1;
	return QN_OK;
}

enum qn_err issuer_by_id(
    struct qn_db *db, struct qn_arena *a, const char *id, struct issuer_row *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, app_set, ISSUER_BY_ID, &rows, qn_a_str(id)));
	if (qn_rows_n(rows) == 0)
		return QN_NOT_FOUND;
	qn_rows_get(rows, 0, &issuer_row_object, ret);
	return QN_OK;
}

enum qn_err issuer_under_way(struct qn_db *db, struct qn_arena *a, const char *id, bool *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, app_set, ISSUER_UNDER_WAY, &rows, qn_a_str(id)));
	*ret = qn_rows_n(rows) == 1 && qn_rows_i64(rows, 0, 0) == 1;
	return QN_OK;
}

enum qn_err issuer_settle(
    struct qn_db *db, struct qn_arena *a, const char *id, struct qn_span jwks, const char *failure)
{
	struct qn_rows *rows;

	return QN_EXEC(
	    db, a, app_set, ISSUER_SETTLE, &rows, qn_a_str(id), qn_a_json(jwks), qn_a_str(failure));
}

enum qn_err signing_key_current(struct qn_db *db, struct qn_arena *a, const char *app_id,
    const char *use, struct signing_key_row *ret)
{
	struct qn_rows *rows;

	QN_TRY(
	    QN_EXEC(db, a, app_set, SIGNING_KEY_CURRENT, &rows, qn_a_str(app_id), qn_a_str(use)));
	if (qn_rows_n(rows) == 0)
		return QN_NOT_FOUND;
	qn_rows_get(rows, 0, &signing_key_row_object, ret);
	return QN_OK;
}

enum qn_err signing_key_add(struct qn_db *db, struct qn_arena *a, const struct signing_key_new *k)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, app_set, SIGNING_KEY_ADD, &rows, qn_a_str(k->kid),
	    qn_a_str(k->app_id), qn_a_str(k->use), qn_a_str(k->algorithm), qn_a_json(k->public_jwk),
	    qn_a_bytes(k->private_sealed.p, k->private_sealed.n), qn_a_i64(k->signs_in_s));
}

enum qn_err signing_key_retire(
    struct qn_db *db, struct qn_arena *a, const char *app_id, const char *use, int64_t in_s)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, app_set, SIGNING_KEY_RETIRE, &rows, qn_a_str(app_id), qn_a_str(use),
	    qn_a_i64(in_s));
}
