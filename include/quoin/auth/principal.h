/*
 * Who is calling (DESIGN §5, CONTRACT K7). One resolver turns the credential of a request into a
 * principal; nothing else of the request decides who somebody is.
 */
#ifndef QUOIN_AUTH_PRINCIPAL_H
#define QUOIN_AUTH_PRINCIPAL_H

#include <stdbool.h>

#include "quoin/auth/registry.h"
#include "quoin/base/rand.h"
#include "quoin/store/cache.h"
#include "quoin/store/member.h"
#include "quoin/store/user.h"

/* What a request shows: at most one of the three; p NULL: not shown. */
struct qn_presented {
	struct qn_span bearer, key, cookie;
	const char *remote_addr; /* as nginx saw it */
};

enum { QN_SCOPES_MAX = 80, QN_NETWORKS_MAX = 112 }; /* bytes of a key's lists, NUL included */

struct qn_principal {
	const struct qn_app *app; /* of the host that was called, whoever calls */
	bool known;               /* a user, the rest of which follows */
	char user_id[QN_UUID_LEN + 1];
	char plan[32];
	char session_id[QN_UUID_LEN + 1]; /* "": not of a session */
	char key_id[QN_UUID_LEN + 1];     /* "": not an API key */
	char platform_role[12];           /* "": none */
	char scopes[QN_SCOPES_MAX];       /* of a key, with spaces between */
	bool cookie;                      /* a browser sent it by itself (T16) */
	bool mfa;                         /* the user has a second factor */
	int aal;                          /* factors shown: 1 or 2; of an API key 2 */
	qn_time proved_at;                /* when one was shown last */
	/* On a route of an organization, which says what role it asks for: */
	char org_id[QN_UUID_LEN + 1]; /* "": on any other route */
	enum qn_role role;
	char org_plan[32];
};

/* Whether a factor was shown within the last quarter of an hour (T14). */
bool qn_proved_lately(const struct qn_principal *who);

struct qn_auth; /* per worker: the registry and the credentials verified lately */

struct qn_auth *qn_auth_new(const struct qn_conf *conf, struct qn_board *board);
void qn_auth_free(struct qn_auth *auth);
struct qn_registry *qn_auth_registry(struct qn_auth *auth);

/*
 * The user behind what was shown, for ret->app, which the caller has set. The errors of qn_token_open and
 * qn_token_verify for a JWT; QN_BAD_KEY; QN_UNAUTHENTICATED for a session that is none any more, or a user
 * who left; QN_SUSPENDED, QN_DB_DOWN. With QN_KEY_UNKNOWN *ret_refetch (may be NULL) is an issuer whose keys
 * may be fetched again now, or NULL.
 */
enum qn_err qn_auth_identify(struct qn_auth *auth, struct qn_db *db, struct qn_cache *cache,
    struct qn_arena *a, const struct qn_presented *shown, struct qn_principal *ret,
    const struct qn_issuer **ret_refetch) QN_MUST_CHECK;

/*
 * The user behind a bearer token as far as this worker can tell while the board is not live and Postgres need not be
 * asked: as it knew him within the last minute, else as the token says that we issued. What was revoked since is
 * not known, so only a route asks (QN_R_STALE) that answers the same to anybody, and for its limits alone. *ret is filled when
 * it is true.
 */
bool qn_auth_recall(struct qn_auth *auth, struct qn_arena *a, const struct qn_presented *shown,
    struct qn_principal *ret);

/*
 * Makes the principal one of an organization, on a route of which it is the tenant. QN_ORGANIZATION_NOT_FOUND:
 * it is not there, or the user is no member.
 */
enum qn_err qn_auth_enter(
    struct qn_db *db, struct qn_arena *a, const char *org, struct qn_principal *who) QN_MUST_CHECK;

/* Whether `scopes` allow `verb` ("read", "write") in `area` ("graph"): "write", "graph:read", … */
bool qn_scopes_allow(const char *scopes, const char *area, const char *verb);
/* Whether `addr` is in one of `networks` (CIDR, spaces between); "" is any. */
bool qn_networks_hold(const char *networks, const char *addr);

#endif
