#include "quoin/store/saml.h"

#include "quoin/base/rand.h"

#define SAML_STMTS(X) \
	X(SAML_BY_DOMAIN, READ, 2, \
	    "SELECT id, domain, idp_entity, idp_metadata FROM saml_connections WHERE app_id = $1 AND " \
	    "domain = lower($2)") \
	X(SAML_BY_ID, READ, 2, \
	    "SELECT id, domain, idp_entity, idp_metadata FROM saml_connections WHERE app_id = $1 AND id = $2") \
	X(SAML_PUT, WRITE, 5, \
	    "INSERT INTO saml_connections (id, app_id, domain, idp_entity, idp_metadata) VALUES ($1, $2, " \
	    "$3, $4, $5) ON CONFLICT (app_id, domain) DO UPDATE SET idp_entity = excluded.idp_entity, " \
	    "idp_metadata = excluded.idp_metadata, updated_at = clock_timestamp()") \
	X(SAML_LIST, READ, 1, \
	    "SELECT id, domain, idp_entity FROM saml_connections WHERE app_id = $1 ORDER BY domain") \
	X(SAML_REMOVE, WRITE, 2, \
	    "DELETE FROM saml_connections WHERE app_id = $1 AND domain = $2 RETURNING id") \
	X(SAML_ACCEPT, WRITE, 3, \
	    "INSERT INTO saml_assertions (connection_id, assertion_id, expires_at) VALUES ($1, $2, " \
	    "to_timestamp($3::bigint))")

QN_STATEMENTS(saml, SAML_STMTS);

static const struct qn_field saml_fields[] = {
    QN_FIELD(struct saml_connection, id, UUID, 0, 0, 0, "Id."),
    QN_FIELD(struct saml_connection, domain, STR, 0, 0, 0, "Of the addresses that it signs in."),
    QN_FIELD(struct saml_connection, idp_entity, STR, 0, 0, 0, "Name of the provider."),
    QN_FIELD(struct saml_connection, idp_metadata, STR, QN_F_NULLABLE, 0, 0, "Its metadata."),
};
static const struct qn_object saml_object =
    QN_OBJECT("SamlConnectionRow", struct saml_connection, saml_fields);

static enum qn_err only(struct qn_rows *rows, struct saml_connection *ret)
{
	if (qn_rows_n(rows) == 0)
		return QN_NOT_FOUND;
	qn_rows_get(rows, 0, &saml_object, ret);
	return QN_OK;
}

enum qn_err saml_by_domain(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *domain, struct saml_connection *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, saml_set, SAML_BY_DOMAIN, &rows, qn_a_str(app), qn_a_str(domain)));
	return only(rows, ret);
}

enum qn_err saml_by_id(struct qn_db *db, struct qn_arena *a, const char *app, const char *id,
    struct saml_connection *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, saml_set, SAML_BY_ID, &rows, qn_a_str(app), qn_a_str(id)));
	return only(rows, ret);
}

enum qn_err saml_put(
    struct qn_db *db, struct qn_arena *a, const char *app, const struct saml_connection *in)
{
	char id[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(id);
	return QN_EXEC(db, a, saml_set, SAML_PUT, &rows, qn_a_str(id), qn_a_str(app),
	    qn_a_str(in->domain), qn_a_str(in->idp_entity), qn_a_str(in->idp_metadata));
}

enum qn_err saml_list(struct qn_db *db, struct qn_arena *a, const char *app, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, saml_set, SAML_LIST, &rows, qn_a_str(app)));
	*ret = qn_rows_list(rows, a, &saml_object);
	return QN_OK;
}

enum qn_err saml_remove(struct qn_db *db, struct qn_arena *a, const char *app, const char *domain)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, saml_set, SAML_REMOVE, &rows, qn_a_str(app), qn_a_str(domain)));
	return qn_rows_n(rows) > 0 ? QN_OK : QN_NOT_FOUND;
}

enum qn_err saml_accept(struct qn_db *db, struct qn_arena *a, const char *connection,
    const char *assertion, int64_t expires_s)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, saml_set, SAML_ACCEPT, &rows, qn_a_str(connection),
	    qn_a_str(assertion), qn_a_i64(expires_s));
}
