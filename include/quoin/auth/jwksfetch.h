/* Fetching the key sets of issuers (SECURITY T2, F27): by slow and jobs, at most once a minute each. */
#ifndef QUOIN_AUTH_JWKSFETCH_H
#define QUOIN_AUTH_JWKSFETCH_H

#include "quoin/base/conf.h"
#include "quoin/store/db.h"

/*
 * Fetches the set unless somebody did within the minute; waits for one that is under way. What came
 * of it is in the issuer's row: a set that cannot be used never replaces one that can.
 */
void qn_jwks_refetch(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const char *issuer_id, const char *jwks_url);

#endif
