#include <string.h>
#include <strings.h>

#include "quoin/auth/jwksfetch.h"
#include "server.h"

/* Bearer tokens and API keys never travel together: whoever sends both is asked to make up his mind (K7). */
static enum qn_err bearer(const struct qn_request *r, struct qn_span *ret)
{
	const char *auth = qn_fcgi_param(r->fcgi, "HTTP_AUTHORIZATION");

	*ret = (struct qn_span){NULL, 0};
	if (qn_fcgi_param(r->fcgi, "HTTP_X_API_KEY") != NULL)
		return auth != NULL ? QN_MIXED_CREDENTIALS : QN_UNAUTHENTICATED;
	if (auth == NULL)
		return QN_OK;
	if (strncasecmp(auth, "Bearer ", 7) != 0 || auth[7] == '\0')
		return QN_UNAUTHENTICATED;
	*ret = qn_span_of(auth + 7);
	return QN_OK;
}

static bool local(const struct qn_request *r)
{
	return strcmp(r->remote_addr, "127.0.0.1") == 0 || strcmp(r->remote_addr, "::1") == 0 ||
	       strcmp(r->remote_addr, "unix:") == 0;
}

/* The app of the host that was called: set by nginx, never by the client (DESIGN §3). */
static enum qn_err find_app(struct qn_request *r)
{
	const char *slug = qn_fcgi_param(r->fcgi, "QUOIN_APP");
	struct qn_registry *registry = qn_auth_registry(r->server->auth);

	QN_TRY(qn_registry_refresh(registry, r->db, r->arena));
	r->who.app = qn_registry_app(registry, slug != NULL ? slug : "");
	if (r->who.app != NULL)
		return QN_OK;
	r->why = "no such app";
	return QN_NOT_FOUND;
}

/* Keys that the api pool may not fetch are fetched by the slow pool, which answers in its place. */
static enum qn_err fetch_keys(
    struct qn_request *r, const struct qn_issuer *issuer, struct qn_span token)
{
	if (r->server->spec.pool == QN_POOL_API) {
		r->escalate = true;
		return QN_OK;
	}
	qn_jwks_refetch(r->server->spec.conf, r->db, r->arena, issuer->id, issuer->jwks_url);
	QN_TRY(qn_registry_reload(qn_auth_registry(r->server->auth), r->db, r->arena));
	QN_TRY(find_app(r));
	return qn_auth_bearer(r->server->auth, r->db, r->arena, token, &r->who, NULL);
}

static enum qn_err identify(struct qn_request *r)
{
	const struct qn_issuer *refetch = NULL;
	struct qn_span token;

	QN_TRY(bearer(r, &token));
	if (token.p == NULL)
		return QN_UNAUTHENTICATED;
	QN_TRY(find_app(r));
	enum qn_err e = qn_auth_bearer(r->server->auth, r->db, r->arena, token, &r->who, &refetch);
	return refetch != NULL ? fetch_keys(r, refetch, token) : e;
}

enum qn_err qn_guard(struct qn_request *r)
{
	unsigned auth = r->route->auth;

	if (auth & QN_AUTH_LOCAL)
		return local(r) ? QN_OK : QN_DENIED;
	if (auth & QN_AUTH_USER)
		return identify(r);
	if (auth & QN_AUTH_PUBLIC)
		return r->route->missing != QN_OK || r->route->tenant != NULL ? find_app(r) : QN_OK;
	return QN_DENIED;
}
