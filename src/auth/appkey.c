#include "quoin/auth/appkey.h"

#include "quoin/store/app.h"

enum { JWK_BYTES = 4096, SETTLE_S = 10, TOKEN_OVERLAP_S = 7200 };

static struct qn_secret secret_of(const struct qn_conf *conf)
{
	return (struct qn_secret){1, qn_span_of(qn_conf_str(conf, QN_CONF_KEY_QUOIN_SECRET_KEY))};
}

static enum qn_err add_token_key(
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
	struct signing_key_new row = {.kid = qn_signing_key_kid(key),
	    .app_id = app_id,
	    .use = SIGNING_TOKENS,
	    .algorithm = "ES256",
	    .public_jwk = {jwk.p, jwk.n},
	    .private_sealed = {(const char *)sealed, n},
	    .signs_in_s = SETTLE_S};
	enum qn_err e = n == 0 ? QN_INTERNAL : signing_key_add(db, a, &row);
	qn_buf_done(&jwk);
	qn_signing_key_free(key);
	return e;
}

enum qn_err qn_app_key(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const char *app_id, struct qn_signing_key **ret)
{
	struct qn_secret secret = secret_of(conf);
	struct signing_key_row row;
	enum qn_err e = signing_key_current(db, a, app_id, SIGNING_TOKENS, &row);

	if (e == QN_NOT_FOUND) {
		QN_TRY(add_token_key(conf, db, a, app_id));
		e = signing_key_current(db, a, app_id, SIGNING_TOKENS, &row);
	}
	QN_TRY(e);
	*ret = qn_signing_key_unseal(&secret, qn_span_of(row.kid), row.private_sealed);
	return *ret != NULL ? QN_OK : QN_INTERNAL;
}

enum qn_err qn_app_key_rotate(
    const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a, const char *app_id)
{
	QN_TX(tx, db);
	QN_TRY(signing_key_retire(db, a, app_id, SIGNING_TOKENS, TOKEN_OVERLAP_S));
	QN_TRY(add_token_key(conf, db, a, app_id));
	return qn_tx_commit(&tx);
}

static enum qn_err add_proof_key(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const char *app_id, int64_t after_s)
{
	struct qn_secret secret = secret_of(conf);
	struct qn_proof_key *key = qn_proof_key_new();
	uint8_t sealed[QN_PROOFKEY_SEALED_LEN];
	struct qn_buf jwk;

	qn_buf_init(&jwk, JWK_BYTES);
	qn_proof_key_jwk(key, &jwk);
	struct signing_key_new row = {.kid = qn_proof_key_kid(key),
	    .app_id = app_id,
	    .use = SIGNING_LICENSES,
	    .algorithm = "EdDSA",
	    .public_jwk = {jwk.p, jwk.n},
	    .private_sealed = {(const char *)sealed, sizeof(sealed)},
	    .signs_in_s = after_s > SETTLE_S ? after_s : SETTLE_S};
	enum qn_err e =
	    qn_proof_key_seal(key, &secret, sealed) ? signing_key_add(db, a, &row) : QN_INTERNAL;
	qn_buf_done(&jwk);
	qn_proof_key_free(key);
	return e;
}

enum qn_err qn_app_proof_key(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const char *app_id, struct qn_proof_key **ret)
{
	struct qn_secret secret = secret_of(conf);
	struct signing_key_row row;
	enum qn_err e = signing_key_current(db, a, app_id, SIGNING_LICENSES, &row);

	if (e == QN_NOT_FOUND) {
		QN_TRY(add_proof_key(conf, db, a, app_id, 0));
		e = signing_key_current(db, a, app_id, SIGNING_LICENSES, &row);
	}
	QN_TRY(e);
	*ret = qn_proof_key_unseal(&secret, qn_span_of(row.kid), row.private_sealed);
	return *ret != NULL ? QN_OK : QN_INTERNAL;
}

enum qn_err qn_app_proof_key_rotate(const struct qn_conf *conf, struct qn_db *db,
    struct qn_arena *a, const char *app_id, int64_t after_s, int64_t overlap_s)
{
	struct signing_key_row row;

	QN_TX(tx, db);
	enum qn_err e = signing_key_current(db, a, app_id, SIGNING_LICENSES, &row);
	if (e == QN_NOT_FOUND)
		after_s = 0; /* nobody waits for the first */
	else if (e != QN_OK)
		return e;
	QN_TRY(signing_key_retire(db, a, app_id, SIGNING_LICENSES, after_s + overlap_s));
	QN_TRY(add_proof_key(conf, db, a, app_id, after_s));
	return qn_tx_commit(&tx);
}
