#include "quoin/store/provider.h"

#include "quoin/base/rand.h"
#include "rows.h"

#define SHOWN \
	"id, app_id, name, domain, kind, issuer, client_id, token_auth, authorize_url, token_url, " \
	"userinfo_url, emails_url, jwks_url, scopes, trusted_email"
#define PUT(key) \
	"INSERT INTO identity_providers AS p (id, app_id, name, domain, kind, issuer, client_id, token_auth, " \
	"authorize_url, token_url, userinfo_url, emails_url, jwks_url, scopes, trusted_email, secret_sealed) " \
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, '') " \
	"ON CONFLICT (app_id, " key \
	") DO UPDATE SET kind = excluded.kind, issuer = excluded.issuer, " \
	"client_id = excluded.client_id, token_auth = excluded.token_auth, " \
	"authorize_url = excluded.authorize_url, token_url = excluded.token_url, " \
	"userinfo_url = excluded.userinfo_url, emails_url = excluded.emails_url, " \
	"jwks_url = excluded.jwks_url, scopes = excluded.scopes, trusted_email = excluded.trusted_email, " \
	"jwks = CASE WHEN p.jwks_url = excluded.jwks_url THEN p.jwks END, " \
	"attempted_at = CASE WHEN p.jwks_url = excluded.jwks_url THEN p.attempted_at END, " \
	"updated_at = now() RETURNING id"

#define PROVIDER_STMTS(X) \
	X(PROVIDER_BY_NAME, FRESH, 2, \
	    "SELECT " SHOWN " FROM identity_providers WHERE app_id = $1 AND name = $2") \
	X(PROVIDER_BY_DOMAIN, FRESH, 2, \
	    "SELECT " SHOWN " FROM identity_providers WHERE app_id = $1 AND domain = lower($2)") \
	X(PROVIDER_BY_ID, FRESH, 1, \
	    "SELECT " SHOWN \
	    ", secret_sealed, jwks, fetched_at FROM identity_providers WHERE id = $1") \
	X(PROVIDER_PUT_NAME, WRITE, 15, PUT("name")) \
	X(PROVIDER_PUT_DOMAIN, WRITE, 15, PUT("domain")) \
	X(PROVIDER_SET_SECRET, WRITE, 2, \
	    "UPDATE identity_providers SET secret_sealed = $2 WHERE id = $1") \
	X(PROVIDER_PRUNE, WRITE, 2, \
	    "DELETE FROM identity_providers WHERE app_id = $1 AND name IS NOT NULL AND name NOT IN " \
	    "(SELECT json_array_elements_text($2::json))") \
	X(PROVIDER_DOMAINS, FRESH, 1, \
	    "SELECT " SHOWN " FROM identity_providers WHERE app_id = $1 AND domain IS NOT NULL " \
	    "ORDER BY domain") \
	X(PROVIDER_REMOVE_DOMAIN, WRITE, 2, \
	    "DELETE FROM identity_providers WHERE app_id = $1 AND domain = lower($2) RETURNING id") \
	X(PROVIDER_CLAIM, WRITE, 1, \
	    "UPDATE identity_providers SET attempted_at = clock_timestamp(), settled_at = NULL WHERE id = $1 AND " \
	    "(" QN_LATELY("attempted_at", "60 s") ") IS NOT TRUE RETURNING id") \
	X(PROVIDER_SETTLE, WRITE, 3, \
	    "UPDATE identity_providers SET settled_at = clock_timestamp(), failure = $3, " \
	    "jwks = coalesce($2, jwks), " \
	    "fetched_at = CASE WHEN $2 IS NULL THEN fetched_at ELSE clock_timestamp() END " \
	    "WHERE id = $1") \
	X(PROVIDER_UNDER_WAY, FRESH, 1, \
	    "SELECT coalesce(" QN_LATELY("attempted_at", \
		"6 s") " AND " \
		       "(settled_at IS NULL OR settled_at < attempted_at), false) FROM identity_providers WHERE id = $1")

QN_STATEMENTS(provider, PROVIDER_STMTS);

#undef PUT
#define TEXT(name, doc) QN_FIELD(struct provider, name, STR, QN_F_NULLABLE, 0, 0, doc)

static const struct qn_field provider_fields[] = {
    QN_FIELD(struct provider, id, UUID, 0, 0, 0, "Id."),
    QN_FIELD(struct provider, app_id, UUID, 0, 0, 0, "App."),
    TEXT(name, "Name."),
    TEXT(domain, "Domain of addresses."),
    TEXT(kind, "What it speaks."),
    TEXT(issuer, "The iss claim."),
    TEXT(client_id, "What we are called there."),
    TEXT(token_auth, "How the secret is shown."),
    TEXT(authorize_url, "Where browsers go."),
    TEXT(token_url, "Where codes are exchanged."),
    TEXT(userinfo_url, "Who it was."),
    TEXT(emails_url, "The addresses of that user."),
    TEXT(jwks_url, "Its keys."),
    TEXT(scopes, "What is asked for."),
    QN_FIELD(struct provider, trusted_email, BOOL, 0, 0, 0, "Whether addresses are believed."),
    QN_FIELD(struct provider, secret_sealed, JSON, 0, 0, 0, "Sealed."),
    QN_FIELD(struct provider, jwks, JSON, 0, 0, 0, "Its keys."),
    QN_FIELD(struct provider, fetched_at, TIME, 0, 0, 0, "When they were fetched."),
};
static const struct qn_object provider_object =
    QN_OBJECT("ProviderRow", struct provider, provider_fields);

enum qn_err provider_by_name(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *name, struct provider *ret)
{
	struct qn_rows *rows;

	QN_TRY(
	    QN_EXEC(db, a, provider_set, PROVIDER_BY_NAME, &rows, qn_a_str(app), qn_a_str(name)));
	return qn_rows_one(rows, &provider_object, QN_NOT_FOUND, ret);
}

enum qn_err provider_by_domain(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *domain, struct provider *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(
	    db, a, provider_set, PROVIDER_BY_DOMAIN, &rows, qn_a_str(app), qn_a_str(domain)));
	return qn_rows_one(rows, &provider_object, QN_NOT_FOUND, ret);
}

enum qn_err provider_by_id(
    struct qn_db *db, struct qn_arena *a, const char *id, struct provider *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, provider_set, PROVIDER_BY_ID, &rows, qn_a_str(id)));
	return qn_rows_one(rows, &provider_object, QN_NOT_FOUND, ret);
}

enum qn_err provider_put(
    struct qn_db *db, struct qn_arena *a, const struct provider *in, const char **ret_id)
{
	char id[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(id);
	QN_TRY(
	    QN_EXEC(db, a, provider_set, in->name != NULL ? PROVIDER_PUT_NAME : PROVIDER_PUT_DOMAIN,
		&rows, qn_a_str(id), qn_a_str(in->app_id), qn_a_str(in->name), qn_a_str(in->domain),
		qn_a_str(in->kind), qn_a_str(in->issuer), qn_a_str(in->client_id),
		qn_a_str(in->token_auth), qn_a_str(in->authorize_url), qn_a_str(in->token_url),
		qn_a_str(in->userinfo_url), qn_a_str(in->emails_url), qn_a_str(in->jwks_url),
		qn_a_str(in->scopes), qn_a_bool(in->trusted_email)));
	*ret_id = qn_rows_str(rows, 0, 0);
	return QN_OK;
}

enum qn_err provider_set_secret(
    struct qn_db *db, struct qn_arena *a, const char *id, struct qn_span sealed)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, provider_set, PROVIDER_SET_SECRET, &rows, qn_a_str(id),
	    qn_a_bytes(sealed.p, sealed.n));
}

enum qn_err provider_prune(
    struct qn_db *db, struct qn_arena *a, const char *app, struct qn_span keep)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, provider_set, PROVIDER_PRUNE, &rows, qn_a_str(app), qn_a_json(keep));
}

enum qn_err provider_domains(
    struct qn_db *db, struct qn_arena *a, const char *app, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, provider_set, PROVIDER_DOMAINS, &rows, qn_a_str(app)));
	*ret = qn_rows_list(rows, a, &provider_object);
	return QN_OK;
}

enum qn_err provider_remove_domain(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *domain)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(
	    db, a, provider_set, PROVIDER_REMOVE_DOMAIN, &rows, qn_a_str(app), qn_a_str(domain)));
	return qn_rows_n(rows) == 0 ? QN_NOT_FOUND : QN_OK;
}

enum qn_err provider_claim(struct qn_db *db, struct qn_arena *a, const char *id, bool *ret_mine)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, provider_set, PROVIDER_CLAIM, &rows, qn_a_str(id)));
	*ret_mine = qn_rows_n(rows) == 1;
	return QN_OK;
}

enum qn_err provider_settle(
    struct qn_db *db, struct qn_arena *a, const char *id, struct qn_span jwks, const char *failure)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, provider_set, PROVIDER_SETTLE, &rows, qn_a_str(id), qn_a_json(jwks),
	    qn_a_str(failure));
}

enum qn_err provider_under_way(struct qn_db *db, struct qn_arena *a, const char *id, bool *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, provider_set, PROVIDER_UNDER_WAY, &rows, qn_a_str(id)));
	*ret = qn_rows_n(rows) == 1 && qn_rows_i64(rows, 0, 0) == 1;
	return QN_OK;
}
