#include "quoin/auth/appkey.h"

#include "quoin/store/app.h"

enum { JWK_BYTES = 4096 };

static struct qn_secret secret_of(const struct qn_conf *conf)
{
	return (struct qn_secret){1, qn_span_of(qn_conf_str(conf, QN_CONF_KEY_QUOIN_SECRET_KEY))};
}

static enum qn_err add(
    const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a, const char *app_id)
{
	struct qn_secret secret = secret_of(conf);
	struct qn_signing_key *key = qn_signing_key_new();
	uint8_t sealed[QN_SIGNKEY_SEALED_MAX];
	struct qn_buf jwk;

	if (key == NULL)
		return QN_INTERNAL;
	size_t n = qn_signing_key_seal(key, &secret, sealed);
	qn_buf_init(&jwk, JWK_BYTES);
	qn_signing_key_jwk(key, &jwk);
	enum qn_err e =
	    n == 0 ? QN_INTERNAL
		   : signing_key_add(db, a, qn_signing_key_kid(key), app_id,
			 (struct qn_span){jwk.p, jwk.n}, (struct qn_span){(const char *)sealed, n});
	qn_buf_done(&jwk);
	qn_signing_key_free(key);
	return e;
}

enum qn_err qn_app_key(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const char *app_id, struct qn_signing_key **ret)
{
	struct qn_secret secret = secret_of(conf);
	struct signing_key_row row;
	enum qn_err e = signing_key_current(db, a, app_id, &row);

	if (e == QN_NOT_FOUND) {
		QN_TRY(add(conf, db, a, app_id));
		e = signing_key_current(db, a, app_id, &row);
	}
	QN_TRY(e);
	*ret = qn_signing_key_unseal(&secret, qn_span_of(row.kid), row.private_sealed);
	return *ret != NULL ? QN_OK : QN_INTERNAL;
}

enum qn_err qn_app_key_rotate(
    const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a, const char *app_id)
{
	QN_TX(tx, db);
	QN_TRY(signing_key_retire(db, a, app_id));
	QN_TRY(add(conf, db, a, app_id));
	return qn_tx_commit(&tx);
}
