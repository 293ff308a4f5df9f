#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "quoin/auth/jwksfetch.h"
#include "server.h"

#define SESSION_COOKIE "__Host-session"

/* An API key may come as a bearer token: its prefix tells (K7). */
static void bearer(const struct qn_request *r, const char *token, struct qn_presented *ret)
{
	const char *prefix = r->who.app->key_prefix;

	if (prefix[0] != '\0' && strncmp(token, prefix, strlen(prefix)) == 0)
		ret->key = qn_span_of(token);
	else
		ret->bearer = qn_span_of(token);
}

/* What the request shows; of two kinds nobody knows which was meant (T25). */
static enum qn_err presented(const struct qn_request *r, struct qn_presented *ret)
{
	const char *auth = qn_fcgi_param(r->fcgi, "HTTP_AUTHORIZATION"),
		   *key = qn_fcgi_param(r->fcgi, "HTTP_X_API_KEY");

	*ret = (struct qn_presented){.remote_addr = r->remote_addr};
	QN_TRY(qn_request_cookie(r, SESSION_COOKIE, &ret->cookie));
	if ((auth != NULL) + (key != NULL) + (ret->cookie.p != NULL) > 1)
		return QN_MIXED_CREDENTIALS;
	if (key != NULL)
		ret->key = qn_span_of(key);
	if (auth == NULL)
		return key != NULL || ret->cookie.p != NULL ? QN_OK : QN_UNAUTHENTICATED;
	if (strncasecmp(auth, "Bearer ", 7) != 0 || auth[7] == '\0')
		return QN_UNAUTHENTICATED;
	bearer(r, auth + 7, ret);
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
	return qn_registry_stale(registry) ? QN_DB_DOWN : QN_NOT_FOUND;
}

/* With the tables as they are now. */
static enum qn_err identify_anew(
    struct qn_request *r, const struct qn_presented *shown, const struct qn_issuer **ret_refetch)
{
	QN_TRY(qn_registry_reload(qn_auth_registry(r->server->auth), r->db, r->arena));
	QN_TRY(find_app(r));
	return qn_auth_identify(
	    r->server->auth, r->db, r->cache, r->arena, shown, &r->who, ret_refetch);
}

/* Keys that the api pool may not fetch are fetched by the slow pool, which answers in its place. */
static enum qn_err fetch_keys(
    struct qn_request *r, const struct qn_issuer *issuer, const struct qn_presented *shown)
{
	if (r->server->spec.pool == QN_POOL_API) {
		r->escalate = true;
		return QN_OK;
	}
	QN_TRY(qn_turn_take(&r->server->calls));
	qn_jwks_refetch(r->server->spec.conf, r->db, r->arena, &qn_jwks_of_issuers, issuer->id,
	    issuer->jwks_url);
	qn_turn_end(&r->server->calls);
	return identify_anew(r, shown, NULL);
}

static enum qn_err identify(struct qn_request *r)
{
	const struct qn_issuer *refetch = NULL;
	struct qn_presented shown;

	QN_TRY(find_app(r));
	QN_TRY(presented(r, &shown));
	bool stale = (r->route->flags & QN_R_STALE) && !qn_board_live(r->server->spec.board);
	if (stale && qn_auth_recall(r->server->auth, r->arena, &shown, &r->who))
		return QN_OK;
	enum qn_err e =
	    qn_auth_identify(r->server->auth, r->db, r->cache, r->arena, &shown, &r->who, &refetch);
	/* Another pool may have made it a moment ago, and the board not have told it here: an issuer, an app's first key. */
	if (refetch == NULL && (e == QN_TOKEN_ISSUER || e == QN_KEY_UNKNOWN) &&
	    !qn_registry_fresh(qn_auth_registry(r->server->auth)))
		e = identify_anew(r, &shown, &refetch);
	if (stale && e == QN_DB_DOWN)
		return QN_OK; /* somebody, who counts for his address */
	return refetch != NULL ? fetch_keys(r, refetch, &shown) : e;
}

static bool safe(const struct qn_request *r)
{
	return r->method == QN_GET;
}

/* A browser sends cookies whoever asks it to; only its Origin tells who did (T16). */
static enum qn_err check_origin(const struct qn_request *r)
{
	const char *origin = qn_fcgi_param(r->fcgi, "HTTP_ORIGIN");

	if (!r->who.cookie || safe(r))
		return QN_OK;
	for (const char *const *o = r->who.app->origins; origin != NULL && *o != NULL; o++)
		if (strcmp(*o, origin) == 0)
			return QN_OK;
	return QN_ORIGIN;
}

/* An API key may do what its scopes say, on the routes that take keys. */
static enum qn_err check_kind(const struct qn_request *r)
{
	const char *id = r->route->id;
	char area[32];

	if (r->who.key_id[0] == '\0')
		return r->route->auth & QN_AUTH_USER ? QN_OK : QN_KEY_REQUIRED;
	if (!(r->route->auth & QN_AUTH_KEY))
		return QN_KEY_REFUSED;
	snprintf(area, sizeof(area), "%.*s", (int)strcspn(id, "."), id);
	return qn_scopes_allow(r->who.scopes, area, safe(r) ? "read" : "write") ? QN_OK : QN_SCOPE;
}

/* Who has a second factor shows it, on every route that does not say otherwise (T14). */
static enum qn_err check_assurance(const struct qn_request *r)
{
	unsigned flags = r->route->flags;

	if (r->who.mfa && r->who.aal < 2 && !(flags & QN_R_ONE_FACTOR))
		return QN_MFA_REQUIRED;
	if ((flags & QN_R_RECENT) && !qn_proved_lately(&r->who))
		return QN_REAUTHENTICATE;
	return QN_OK;
}

static enum qn_err check_staff(const struct qn_request *r)
{
	const char *role = r->who.platform_role;
	unsigned flags = r->route->flags;

	if (!(flags & QN_R_STAFF) || strcmp(role, "admin") == 0)
		return QN_OK;
	return (flags & QN_R_SUPPORT) && strcmp(role, "support") == 0 ? QN_OK : QN_DENIED;
}

/* The value of the path parameter `name`, which the path has. */
static const char *path_param(const struct qn_request *r, const char *name)
{
	size_t n = strlen(name), i = 0;

	for (const char *p = r->route->path; (p = strchr(p, '{')) != NULL; p++, i++)
		if (strncmp(p + 1, name, n) == 0 && strchr(":}", p[1 + n]) != NULL)
			return r->param[i];
	return "";
}

/* Who is no member of an organization learns nothing of it, not even that it is there (T17). */
static enum qn_err check_role(struct qn_request *r)
{
	if (r->route->role == QN_ROLE_NONE)
		return QN_OK;
	QN_TRY(qn_auth_enter(r->db, r->arena, path_param(r, r->route->tenant), &r->who));
	return r->who.role >= r->route->role ? QN_OK : QN_ROLE;
}

/* The plan counts of whoever pays: the organization on its routes, else the user (E17). */
static enum qn_err check_rank(const struct qn_request *r)
{
	const char *plan = r->who.org_id[0] != '\0' ? r->who.org_plan : r->who.plan;

	return r->route->rank <= qn_app_rank(r->who.app, plan) ? QN_OK : QN_TIER;
}

/* Nothing at all: neither a credential nor what was meant for one. */
static bool shows_nothing(const struct qn_request *r)
{
	const char *cookies = qn_fcgi_param(r->fcgi, "HTTP_COOKIE");

	return qn_fcgi_param(r->fcgi, "HTTP_AUTHORIZATION") == NULL &&
	       qn_fcgi_param(r->fcgi, "HTTP_X_API_KEY") == NULL &&
	       (cookies == NULL || strstr(cookies, SESSION_COOKIE "=") == NULL);
}

/* What a caller that is known may do here. */
static enum qn_err check_rights(struct qn_request *r)
{
	QN_TRY(check_origin(r));
	QN_TRY(check_kind(r));
	QN_TRY(check_assurance(r));
	QN_TRY(check_staff(r));
	QN_TRY(check_role(r));
	return check_rank(r);
}

/* Who is calling, as far as the route wants to know. */
static enum qn_err find_caller(struct qn_request *r)
{
	unsigned auth = r->route->auth;

	if (auth & QN_AUTH_LOCAL)
		return local(r) ? QN_OK : QN_DENIED;
	if (auth & (QN_AUTH_USER | QN_AUTH_KEY))
		return (auth & QN_AUTH_PUBLIC) && shows_nothing(r) ? find_app(r) : identify(r);
	if (auth & QN_AUTH_PUBLIC)
		return r->route->missing != QN_OK || (r->route->flags & QN_R_APP) ? find_app(r)
		                                                                  : QN_OK;
	return QN_DENIED;
}

/* Who is not known counts for his address: on a public route, and when what he showed was refused with `e`. */
static enum qn_err count(struct qn_request *r, enum qn_err e)
{
	struct qn_limit_ask ask = {r->route->rate, r->who.app, &r->who, r->remote_addr};

	if (r->escalate || ask.rate == QN_RATE_NONE || qn_err_status(e) >= 500)
		return e;
	enum qn_err over =
	    qn_limit_take(r->server->limits, r->db, r->cache, r->arena, &ask, &r->limits);
	if (over == QN_RATE_LIMITED)
		r->retry_after_s = r->limits.retry_after_s;
	return over != QN_OK ? over : e;
}

/* Who is over his limit costs no question about his rights. */
enum qn_err qn_guard(struct qn_request *r)
{
	QN_TRY(count(r, find_caller(r)));
	if (r->escalate)
		return QN_OK;
	if (r->who.known)
		return check_rights(r);
	return r->route->auth & (QN_AUTH_PUBLIC | QN_AUTH_LOCAL) ? QN_OK : QN_UNAUTHENTICATED;
}
