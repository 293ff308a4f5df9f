#include "quoin/auth/jwksfetch.h"

#include <poll.h>
#include <string.h>

#include "quoin/auth/jwk.h"
#include "quoin/base/log.h"
#include "quoin/net/outcall.h"
#include "quoin/store/app.h"
#include "quoin/store/provider.h"

enum { LOOK_AGAIN_MS = 50, LOOKS = 100 };

const struct qn_jwks_rows qn_jwks_of_issuers = {issuer_claim, issuer_settle, issuer_under_way},
			  qn_jwks_of_providers = {
			      provider_claim, provider_settle, provider_under_way};

static void fetch(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const struct qn_jwks_rows *rows, const char *id, const char *jwks_url)
{
	struct qn_outcall call = {
	    .url = jwks_url,
	    .timeout_ms = qn_conf_int(conf, QN_CONF_KEY_QUOIN_OUTBOUND_TIMEOUT_MS),
	    .most = QN_JWKS_BYTES,
	    .local_ok = qn_conf_bool(conf, QN_CONF_KEY_QUOIN_OUTBOUND_LOCAL),
	};
	struct qn_span text = {NULL, 0};
	const char *why = NULL;

	if (qn_outcall_get(a, &call, &text, &why) == QN_OK) {
		struct qn_jwks *keys = qn_jwks_parse(text, &why);
		if (keys == NULL)
			text = (struct qn_span){NULL, 0};
		else
			why = NULL;
		qn_jwks_free(keys);
	}
	if (why != NULL)
		qn_log(QN_WARNING, "the keys of %s were not fetched: %s", jwks_url, why);
	if (rows->settle(db, a, id, text, why) != QN_OK)
		qn_log(QN_WARNING, "the keys of %s were not stored: %s", jwks_url, qn_db_why(db));
}

/* Whether the fetch that somebody else began has ended. */
static bool settled(
    struct qn_db *db, struct qn_arena *a, const struct qn_jwks_rows *rows, const char *id)
{
	bool under_way = false;

	return rows->under_way(db, a, id, &under_way) != QN_OK || !under_way;
}

void qn_jwks_refetch(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const struct qn_jwks_rows *rows, const char *id, const char *jwks_url)
{
	bool mine = false;

	if (rows->claim(db, a, id, &mine) != QN_OK)
		return;
	if (mine) {
		fetch(conf, db, a, rows, id, jwks_url);
		return;
	}
	for (int i = 0; i < LOOKS && !settled(db, a, rows, id); i++)
		poll(NULL, 0, LOOK_AGAIN_MS);
}
