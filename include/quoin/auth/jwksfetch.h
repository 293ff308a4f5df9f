/* Fetching the key sets of issuers (SECURITY T2, F27): by slow and jobs, at most once a minute each. */
#ifndef QUOIN_AUTH_JWKSFETCH_H
#define QUOIN_AUTH_JWKSFETCH_H

#include "quoin/base/conf.h"
#include "quoin/store/db.h"

/* Where the set of an issuer or of a provider is kept, and who fetches it (store/app.h, store/provider.h). */
struct qn_jwks_rows {
	enum qn_err (*claim)(struct qn_db *db, struct qn_arena *a, const char *id, bool *ret_mine);
	enum qn_err (*settle)(struct qn_db *db, struct qn_arena *a, const char *id,
	    struct qn_span jwks, const char *failure);
	enum qn_err (*under_way)(struct qn_db *db, struct qn_arena *a, const char *id, bool *ret);
};
extern const struct qn_jwks_rows qn_jwks_of_issuers, qn_jwks_of_providers;

/*
 * Fetches the set unless somebody did within the minute; waits for one that is under way. What came
 * of it is in the row: a set that cannot be used never replaces one that can.
 */
void qn_jwks_refetch(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const struct qn_jwks_rows *rows, const char *id, const char *jwks_url);

#endif
