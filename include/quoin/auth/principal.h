/*
 * Who is calling (DESIGN §5). One resolver turns the credential of a request into a principal; nothing
 * else of the request decides who somebody is.
 */
#ifndef QUOIN_AUTH_PRINCIPAL_H
#define QUOIN_AUTH_PRINCIPAL_H

#include <stdbool.h>

#include "quoin/auth/registry.h"
#include "quoin/base/rand.h"
#include "quoin/store/cache.h"
#include "quoin/store/user.h"

struct qn_principal {
	const struct qn_app *app; /* of the host that was called, whoever calls */
	bool known;               /* a user, the rest of which follows */
	char user_id[QN_UUID_LEN + 1];
	char plan[32];
};

struct qn_auth; /* per worker: the registry and the tokens verified lately */

struct qn_auth *qn_auth_new(const struct qn_conf *conf, struct qn_board *board);
void qn_auth_free(struct qn_auth *auth);
struct qn_registry *qn_auth_registry(struct qn_auth *auth);

/*
 * The user behind a bearer token, for ret->app, which the caller has set. The errors of qn_token_open
 * and qn_token_verify, QN_SUSPENDED, QN_DB_DOWN. With QN_KEY_UNKNOWN *ret_refetch (may be NULL) is an
 * issuer whose keys may be fetched again now, or NULL.
 */
enum qn_err qn_auth_bearer(struct qn_auth *auth, struct qn_db *db, struct qn_arena *a,
    struct qn_span token, struct qn_principal *ret,
    const struct qn_issuer **ret_refetch) QN_MUST_CHECK;

#endif
