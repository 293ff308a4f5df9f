/* OpenID Connect: the ID token, and what it leaves to the userinfo endpoint (OpenID Connect Core §3.1.3, §5.3). */
#include <string.h>

#include "oauth.h"
#include "quoin/auth/jwksfetch.h"
#include "quoin/auth/token.h"
#include "quoin/net/outcall.h"

enum { NAME_MOST = 400, PICTURE_MOST = 2000, EMAIL_MOST = 320, DISCOVERY_BYTES = 64 * 1024 };

#define DAY_US 86400000000LL

static struct qn_issuer_policy policy_of(const struct provider *p)
{
	return (struct qn_issuer_policy){.issuer = p->issuer,
	    .audiences = {p->client_id},
	    .algs = QN_ALG_BIT(QN_ALG_RS256) | QN_ALG_BIT(QN_ALG_ES256) | QN_ALG_BIT(QN_ALG_EDDSA),
	    .skew_s = QN_TOKEN_SKEW_S};
}

static enum qn_err verify_with(
    const struct provider *p, const struct qn_token *token, struct qn_claims *ret)
{
	struct qn_issuer_policy policy = policy_of(p);
	bool fresh = p->jwks.p != NULL && qn_lately(p->fetched_at, DAY_US, qn_now());
	struct qn_jwks *keys = fresh ? qn_jwks_parse(p->jwks, NULL) : NULL;

	enum qn_err e = qn_token_verify(token, &policy, keys, qn_now(), ret);
	qn_jwks_free(keys);
	return e;
}

/* A key that is not known may be new: the set is fetched, at most once a minute (T2). */
static enum qn_err verify(
    const struct qn_oauth_try *t, const struct qn_token *token, struct qn_claims *ret)
{
	const struct qn_oauth_answer *in = t->in;
	struct provider again;

	enum qn_err e = verify_with(in->provider, token, ret);
	if (e != QN_KEY_UNKNOWN)
		return e;
	qn_jwks_refetch(in->conf, in->db, in->arena, &qn_jwks_of_providers, in->provider->id,
	    in->provider->jwks_url);
	QN_TRY(provider_by_id(in->db, in->arena, in->provider->id, &again));
	return verify_with(&again, token, ret);
}

/* For us and nobody else: azp is ours if it is there, and it is when there are several audiences. */
static bool for_us(const struct qn_oauth_try *t, const struct qn_claims *c)
{
	const char *azp = qn_oauth_str(t->in->arena, &c->all, "azp", QN_SUB_MAX);
	struct qn_span *list, aud = qn_json_get(&c->all, "aud");
	size_t n = 1;

	if (qn_json_kind(aud) == '[' && !qn_json_elements(t->in->arena, aud, &list, &n))
		return false;
	if (qn_json_get(&c->all, "azp").p == NULL)
		return n == 1;
	return azp != NULL && strcmp(azp, t->in->provider->client_id) == 0;
}

static bool nonce_is_ours(const struct qn_oauth_try *t, const struct qn_claims *c)
{
	const char *nonce = qn_oauth_str(t->in->arena, &c->all, "nonce", QN_OPAQUE_LEN);

	return nonce != NULL && strlen(nonce) == QN_OPAQUE_LEN &&
	       strlen(t->in->nonce) == QN_OPAQUE_LEN &&
	       qn_equal_ct(nonce, t->in->nonce, QN_OPAQUE_LEN);
}

/* If the token names its access token (§3.1.3.6), it is this one. SHA-256 is that of RS256 and ES256. */
static bool at_hash_fits(const struct qn_oauth_try *t, const struct qn_token *token,
    const struct qn_claims *c, const char *access)
{
	uint8_t hash[QN_SHA256_LEN];
	char want[QN_SHA256_LEN];

	if (qn_json_get(&c->all, "at_hash").p == NULL || strcmp(token->alg, "EdDSA") == 0)
		return true;
	const char *said = qn_oauth_str(t->in->arena, &c->all, "at_hash", sizeof(want));
	if (said == NULL || access == NULL)
		return false;
	qn_sha256(access, strlen(access), hash);
	want[qn_b64url_encode(hash, QN_SHA256_LEN / 2, want)] = '\0';
	return strcmp(said, want) == 0;
}

static enum qn_err read_id_token(struct qn_oauth_try *t, const struct qn_json_object *tokens,
    const char *access, struct qn_claims *ret)
{
	const char *text = qn_oauth_str(t->in->arena, tokens, "id_token", QN_TOKEN_MAX);
	struct qn_token token;

	if (text == NULL)
		return qn_oauth_refuse(t, "there is no ID token");
	enum qn_err e = qn_token_open(t->in->arena, qn_span_of(text), &token);
	if (e == QN_OK)
		e = verify(t, &token, ret);
	if (e == QN_DB_DOWN)
		return e;
	if (e != QN_OK)
		return qn_oauth_refuse(t, qn_err_code(e));
	if (ret->typ == QN_TYP_ACCESS || ret->iat == QN_TIME_NULL)
		return qn_oauth_refuse(t, "it is no ID token");
	if (!for_us(t, ret))
		return qn_oauth_refuse(t, "the ID token is for another client");
	if (!nonce_is_ours(t, ret))
		return qn_oauth_refuse(t, "the ID token has another nonce");
	if (!at_hash_fits(t, &token, ret, access))
		return qn_oauth_refuse(t, "the ID token belongs to another access token");
	return QN_OK;
}

static void read_claims(struct qn_arena *a, const struct qn_json_object *o, struct qn_profile *ret)
{
	struct qn_span verified = qn_json_get(o, "email_verified");
	bool yes = false;

	ret->email = qn_oauth_str(a, o, "email", EMAIL_MOST);
	ret->email_verified = verified.p != NULL && qn_json_bool(verified, &yes) && yes;
	ret->first_name = qn_oauth_str(a, o, "given_name", NAME_MOST);
	ret->last_name = qn_oauth_str(a, o, "family_name", NAME_MOST);
	ret->name = qn_oauth_str(a, o, "name", NAME_MOST);
	ret->picture = qn_oauth_str(a, o, "picture", PICTURE_MOST);
}

/* It answers for whoever the access token belongs to: that must be who the ID token names (§5.3.2). */
static enum qn_err ask_userinfo(struct qn_oauth_try *t, const char *access, struct qn_profile *ret)
{
	struct qn_json_object o = {NULL, 0};
	struct qn_span text;

	if (access == NULL)
		return qn_oauth_refuse(t, "there is no access token");
	QN_TRY(qn_oauth_get(t, t->in->provider->userinfo_url, access, &text));
	if (!qn_oauth_scan(t->in->arena, text, &o) || o.members == NULL)
		return qn_oauth_refuse(t, "what userinfo says is no JSON object");
	const char *sub = qn_oauth_str(t->in->arena, &o, "sub", QN_SUB_MAX);
	if (sub == NULL || strcmp(sub, ret->subject) != 0)
		return qn_oauth_refuse(t, "userinfo is of another subject");
	read_claims(t->in->arena, &o, ret);
	return QN_OK;
}

enum qn_err qn_oidc_profile(
    struct qn_oauth_try *t, const struct qn_json_object *tokens, struct qn_profile *ret)
{
	const char *access = qn_oauth_access_token(t->in->arena, tokens);
	struct qn_claims claims = {.sub = NULL};

	QN_TRY(read_id_token(t, tokens, access, &claims));
	if (claims.sub == NULL)
		return qn_oauth_refuse(t, "the ID token names nobody");
	ret->subject = claims.sub;
	if (qn_json_get(&claims.all, "email").p != NULL || t->in->provider->userinfo_url == NULL) {
		read_claims(t->in->arena, &claims.all, ret);
		return QN_OK;
	}
	return ask_userinfo(t, access, ret);
}

/* discovery */

static const char *endpoint(const struct qn_conf *conf, struct qn_arena *a,
    const struct qn_json_object *o, const char *name)
{
	const char *url = qn_oauth_str(a, o, name, 500);

	return url != NULL && qn_oauth_url_ok(conf, url) ? url : NULL;
}

/* "basic" is what is meant when it says nothing. */
static const char *token_auth(struct qn_arena *a, const struct qn_json_object *o)
{
	struct qn_span *list = NULL;
	bool basic = false, post = false;
	size_t n = 0;

	if (!qn_json_elements(
		a, qn_json_get(o, "token_endpoint_auth_methods_supported"), &list, &n))
		return "basic";
	for (size_t i = 0; i < n; i++) {
		basic = basic || qn_span_is(list[i], "\"client_secret_basic\"");
		post = post || qn_span_is(list[i], "\"client_secret_post\"");
	}
	return post && !basic ? "post" : "basic";
}

static enum qn_err fetch(const struct qn_conf *conf, struct qn_arena *a, const char *issuer,
    struct qn_json_object *ret, const char **ret_why)
{
	size_t n = strlen(issuer);
	struct qn_outcall call = {.url = qn_printf(a, "%.*s/.well-known/openid-configuration",
				      (int)(n > 0 && issuer[n - 1] == '/' ? n - 1 : n), issuer),
	    .timeout_ms = qn_conf_int(conf, QN_CONF_KEY_QUOIN_OUTBOUND_TIMEOUT_MS),
	    .most = DISCOVERY_BYTES,
	    .local_ok = qn_conf_bool(conf, QN_CONF_KEY_QUOIN_OUTBOUND_LOCAL),
	    .json = true};
	struct qn_span text;

	if (qn_outcall_get(a, &call, &text, ret_why) != QN_OK)
		return QN_INVALID;
	*ret_why = "what it says of itself is no JSON object";
	return qn_oauth_scan(a, text, ret) && ret->members != NULL ? QN_OK : QN_INVALID;
}

enum qn_err qn_oidc_discover(const struct qn_conf *conf, struct qn_arena *a, const char *issuer,
    struct provider *ret, const char **ret_why)
{
	struct qn_json_object o = {NULL, 0};

	*ret_why = "the issuer must be an https address";
	if (!qn_oauth_url_ok(conf, issuer) || strpbrk(issuer, "?&") != NULL)
		return QN_INVALID;
	QN_TRY(fetch(conf, a, issuer, &o, ret_why));
	const char *said = qn_oauth_str(a, &o, "issuer", 500);
	*ret_why = "it calls itself by another name";
	if (said == NULL || strcmp(said, issuer) != 0)
		return QN_INVALID;
	ret->kind = "oidc";
	ret->issuer = issuer;
	ret->token_auth = token_auth(a, &o);
	ret->authorize_url = endpoint(conf, a, &o, "authorization_endpoint");
	ret->token_url = endpoint(conf, a, &o, "token_endpoint");
	ret->userinfo_url = endpoint(conf, a, &o, "userinfo_endpoint");
	ret->jwks_url = endpoint(conf, a, &o, "jwks_uri");
	*ret_why = "it does not name its endpoints";
	return ret->authorize_url != NULL && ret->token_url != NULL && ret->jwks_url != NULL
	           ? QN_OK
	           : QN_INVALID;
}
