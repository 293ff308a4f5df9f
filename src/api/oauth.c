/*
 * Signing in by a provider: Google, GitHub, any OpenID provider, that of a mail domain (CONTRACT C3-C7, D6, E14,
 * E52, K3). Whatever goes wrong on the way back, the browser lands on the app's page with ?error=…, and nothing
 * of why is told (C5).
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "quoin/auth/oauth.h"
#include "quoin/base/buf.h"
#include "quoin/net/address.h"
#include "quoin/store/member.h"
#include "quoin/store/session.h"
#include "signin.h"

enum { ATTEMPTS = 3, JSON_BYTES = 2048 };

/* Where the user is brought afterwards. */

static bool good_path(const char *s)
{
	static const char fit[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";

	return s[0] == '/' && strspn(s, fit) == strlen(s) && strstr(s, "//") == NULL &&
	       strstr(s, "/.") == NULL;
}

enum qn_err api_check_path(struct qn_request *r, const char *path)
{
	if (good_path(path))
		return QN_OK;
	qn_fault_add(r, r->in != NULL ? "body" : "query", "return_to",
	    "This must be a path of the app: /, letters, digits, - . _ ~", "path");
	return QN_INVALID;
}

enum qn_err api_land(struct qn_request *r, const char *path, const char *result)
{
	r->location = qn_printf(r->arena, "%s%s?%s", r->who.app->frontend_url, path, result);
	return QN_OK;
}

/* there */

static enum qn_err begin(
    struct qn_request *r, const struct provider *p, const char *return_to, const char **ret_url)
{
	const struct qn_conf *conf = qn_server_conf(r->server);
	struct flow flow = {.provider_id = p->id, .return_path = return_to};
	struct qn_oauth_flow made;

	qn_oauth_flow_new(&made);
	flow.nonce = qn_strdup(r->arena, made.nonce.text);
	*ret_url = qn_oauth_address(r->arena, p, &made, r->who.app->callback_url);
	r->set_flow = qn_strdup(r->arena, made.browser.text);
	enum qn_err e = qn_oauth_seal_verifier(
			    conf, r->arena, made.state.hash, &made.verifier, &flow.verifier_sealed)
	                    ? flow_put(r->db, r->arena, r->who.app->id, made.state.hash,
				  made.browser.hash, &flow)
	                    : QN_INTERNAL;
	qn_wipe(&made, sizeof(made));
	return e;
}

struct start_query {
	const char *return_to;
};

static const struct qn_field start_fields[] = {
    QN_FIELD_DEF(struct start_query, return_to, STR, 0, 1, 200, "/",
	"Where on the app's own pages the user wants to be afterwards."),
};
static const struct qn_object start_object =
    QN_OBJECT("SignInStart", struct start_query, start_fields);

static enum qn_err start_by(struct qn_request *r, const char *name)
{
	const struct start_query *in = r->query;
	struct provider p;

	QN_TRY(api_check_path(r, in->return_to));
	enum qn_err e = provider_by_name(r->db, r->arena, r->who.app->id, name, &p);
	if (e == QN_NOT_FOUND)
		return QN_PROVIDER;
	QN_TRY(e);
	return begin(r, &p, in->return_to, &r->location);
}

static enum qn_err start_google(struct qn_request *r)
{
	return start_by(r, "google");
}

static enum qn_err start_github(struct qn_request *r)
{
	return start_by(r, "github");
}

static enum qn_err start_any(struct qn_request *r)
{
	return start_by(r, r->param[0]);
}

/* by the domain of an address */

struct sso_in {
	const char *email, *return_to;
};

static const struct qn_field sso_fields[] = {
    QN_FIELD(struct sso_in, email, STR, QN_F_REQUIRED, 3, 320, "Address."),
    QN_FIELD_DEF(struct sso_in, return_to, STR, 0, 1, 200, "/",
	"Where on the app's own pages the user wants to be afterwards."),
};
static const struct qn_object sso_object = QN_OBJECT("SsoStart", struct sso_in, sso_fields);

struct sso_reply {
	const char *redirect_url;
};

static const struct qn_field sso_reply_fields[] = {
    QN_FIELD(struct sso_reply, redirect_url, STR, 0, 0, 0, "Send the browser there."),
};
static const struct qn_object sso_reply_object =
    QN_OBJECT("SsoReply", struct sso_reply, sso_reply_fields);

static enum qn_err sso(struct qn_request *r)
{
	const struct sso_in *in = r->in;
	struct sso_reply *out = qn_new(r->arena, struct sso_reply);
	struct provider p;

	QN_TRY(api_check_path(r, in->return_to));
	if (!qn_address_ok(qn_span_of(in->email)))
		return QN_SSO;
	enum qn_err e =
	    provider_by_domain(r->db, r->arena, r->who.app->id, strrchr(in->email, '@') + 1, &p);
	if (e == QN_NOT_FOUND)
		return QN_SSO;
	QN_TRY(e);
	QN_TRY(begin(r, &p, in->return_to, &out->redirect_url));
	return qn_reply(r, out);
}

/* and back */

struct callback_query {
	const char *state, *code, *error, *iss;
};

static const struct qn_field callback_fields[] = {
    QN_FIELD(struct callback_query, state, STR, 0, 0, 1000, "What the sign-in began with."),
    QN_FIELD(struct callback_query, code, STR, 0, 0, 4000, "The provider's code."),
    QN_FIELD(struct callback_query, error, STR, 0, 0, 1000, "Why there is none."),
    QN_FIELD(struct callback_query, iss, STR, 0, 0, 1000, "Who answers (RFC 9207)."),
};
static const struct qn_object callback_object =
    QN_OBJECT("SignInCallback", struct callback_query, callback_fields);

/* One way back. */
struct back {
	struct qn_request *r;
	struct flow flow;
	struct provider provider;
	struct qn_profile profile;
	bool second; /* a second factor is still to be shown */
};

static enum qn_err refuse(struct qn_request *r, const char *why)
{
	r->why = why;
	return QN_BAD_CODE;
}

/*
 * The flow of this state, begun by this browser. It is taken before the provider is asked, and stays taken
 * whatever comes of that: of any number of requests with one state only one has a code to exchange (T6).
 */
static enum qn_err take_flow(struct back *b, uint8_t state[QN_SHA256_LEN])
{
	const struct callback_query *in = b->r->query;
	uint8_t browser[QN_SHA256_LEN];
	struct qn_span cookie;

	QN_TRY(qn_request_cookie(b->r, "__Host-flow", &cookie));
	if (in->state == NULL || !qn_opaque_hash(qn_span_of(in->state), state) ||
	    cookie.p == NULL || !qn_opaque_hash(cookie, browser))
		return refuse(b->r, "no state, or no cookie");
	enum qn_err e =
	    flow_take(b->r->db, b->r->arena, b->r->who.app->id, state, browser, &b->flow);
	if (e == QN_NOT_FOUND)
		return refuse(b->r, "no sign-in of this browser has this state");
	QN_TRY(e);
	b->r->set_flow = "";
	return provider_by_id(b->r->db, b->r->arena, b->flow.provider_id, &b->provider);
}

bool api_of_domain(const char *email, const char *domain)
{
	const char *at = email != NULL ? strrchr(email, '@') : NULL;

	return at != NULL && strcasecmp(at + 1, domain) == 0;
}

static enum qn_err ask_provider(struct back *b, const uint8_t state[QN_SHA256_LEN])
{
	const struct callback_query *in = b->r->query;
	const struct qn_conf *conf = qn_server_conf(b->r->server);
	struct qn_oauth_answer answer = {.conf = conf,
	    .db = b->r->db,
	    .arena = b->r->arena,
	    .provider = &b->provider,
	    .redirect_uri = b->r->who.app->callback_url,
	    .code = in->code,
	    .nonce = b->flow.nonce};

	if (in->error != NULL || in->code == NULL || in->code[0] == '\0')
		return refuse(b->r, "the provider gave no code");
	if (in->iss != NULL && strcmp(in->iss, b->provider.issuer) != 0)
		return refuse(b->r, "another provider answers");
	if (!qn_oauth_open_verifier(
		conf, b->r->arena, state, b->flow.verifier_sealed, &answer.verifier))
		return refuse(b->r, "the verifier was sealed with another QUOIN_SECRET_KEY");
	QN_TRY(qn_oauth_finish(&answer, &b->profile, &b->r->why));
	if (b->provider.domain != NULL && !api_of_domain(b->profile.email, b->provider.domain))
		return refuse(b->r, "the address is not of the provider's domain");
	return QN_OK;
}

static enum qn_err note_link(
    struct qn_request *r, const char *issuer, const char *user, enum flow_outcome outcome)
{
	struct qn_buf details;

	if (outcome == FLOW_KNOWN)
		return QN_OK;
	qn_buf_init(&details, JSON_BYTES);
	qn_buf_str(&details, "{\"issuer\":");
	qn_buf_json(&details, issuer, strlen(issuer));
	qn_buf_char(&details, '}');
	enum qn_err e =
	    api_audit(r, &(struct audit_event){.user = user,
			     .action = outcome == FLOW_NEW ? "account.create" : "identity.link",
			     .resource_type = "user",
			     .resource_id = user,
			     .details = {details.p, details.n}});
	qn_buf_done(&details);
	return e;
}

/* The users of a domain join its organization, once, as far as there are seats (E52). */
static enum qn_err join(struct qn_request *r, const struct flow_identity *who, const char *user)
{
	const char *org;

	if (who->domain == NULL || !who->verified)
		return QN_OK;
	QN_TRY(member_join_by_domain(r->db, r->arena, r->who.app->id, who->domain, user, &org));
	if (org == NULL)
		return QN_OK;
	return api_audit(
	    r, &(struct audit_event){.organization = org,
		   .user = user,
		   .action = "org.member.join",
		   .resource_type = "user",
		   .resource_id = user,
		   .details = api_details(r, "role", "member", "domain", who->domain, NULL)});
}

enum qn_err api_sign_in_by(
    struct qn_request *r, const struct flow_identity *who, const char *method, bool *ret_second)
{
	struct signin how = {.method = method, .aal = 1, .cookie = true};
	struct signin_reply reply;
	struct account account;
	enum flow_outcome outcome;
	const char *user;

	QN_TX(tx, r->db);
	QN_TRY(flow_sign_in(r->db, r->arena, r->who.app->id, who, &outcome, &user));
	if (outcome == FLOW_EXISTS)
		return QN_CONFLICT;
	QN_TRY(note_link(r, who->issuer, user, outcome));
	QN_TRY(join(r, who, user)); /* whose plan the account then has */
	QN_TRY(account_by_id(r->db, r->arena, r->who.app->id, user, &account));
	QN_TRY(api_sign_in(r, &account, &how, &reply));
	*ret_second = reply.mfa_required == 1;
	return qn_tx_commit(&tx);
}

static enum qn_err sign_in_once(struct back *b)
{
	const struct qn_profile *p = &b->profile;
	struct flow_identity who = {.issuer = b->provider.issuer,
	    .subject = p->subject,
	    .email = p->email,
	    .first_name = p->first_name,
	    .last_name = p->last_name,
	    .name = p->name,
	    .avatar_url = p->picture,
	    .domain = b->provider.domain,
	    .verified = p->email_verified && b->provider.trusted_email == 1};

	return api_sign_in_by(
	    b->r, &who, b->provider.name != NULL ? b->provider.name : "sso", &b->second);
}

/* Contention is dealt with here: run anew as a whole, the request would find its state used. */
static enum qn_err sign_in(struct back *b)
{
	enum qn_err e = QN_RETRY;

	for (int i = 0; i < ATTEMPTS && e == QN_RETRY; i++)
		e = sign_in_once(b);
	return e;
}

/* What the page is told. Our own trouble is none of a sign-in's ends: it can be tried again. */
static enum qn_err ending(struct qn_request *r, enum qn_err e)
{
	r->set_cookie = NULL;
	switch (e) {
	case QN_DB_DOWN:
	case QN_UNCERTAIN:
	case QN_RETRY:
	case QN_BUSY:
	case QN_INTERNAL:
		return e == QN_RETRY ? QN_DB_DOWN : e;
	case QN_CONFLICT:
		r->why = "the address is another user's";
		return api_land(r, "/", "error=account_exists");
	case QN_SUSPENDED:
		return api_land(r, "/", "error=account_suspended");
	default:
		return api_land(r, "/", "error=oauth_failed");
	}
}

static enum qn_err callback(struct qn_request *r)
{
	struct back b = {.r = r};
	uint8_t state[QN_SHA256_LEN];

	enum qn_err e = take_flow(&b, state);
	if (e == QN_OK)
		e = ask_provider(&b, state);
	if (e == QN_OK)
		e = sign_in(&b);
	if (e != QN_OK)
		return ending(r, e);
	return api_land(
	    r, b.flow.return_path, b.second ? "success=true&mfa_required=true" : "success=true");
}

#define START \
	.pool = QN_POOL_API, .auth = QN_AUTH_PUBLIC, .query = &start_object, .errors = {QN_PROVIDER}

static const struct qn_route routes[] = {
    {QN_GET, "/auth/google", "oauth.google", "Sign in by Google.", START,
	.flags = QN_R_APP | QN_R_REDIRECT, .rate = QN_RATE_SIGN_IN, .handler = start_google},
    {QN_GET, "/auth/github", "oauth.github", "Sign in by GitHub.", START,
	.flags = QN_R_APP | QN_R_REDIRECT, .rate = QN_RATE_SIGN_IN, .handler = start_github},
    {QN_GET, "/api/v1/auth/oauth/{provider:name}", "oauth.start", "Sign in by a provider.", START,
	.flags = QN_R_APP | QN_R_REDIRECT, .missing = QN_PROVIDER, .rate = QN_RATE_SIGN_IN,
	.handler = start_any},
    {QN_GET, "/auth/callback", "oauth.callback", "Come back from a provider.", .pool = QN_POOL_SLOW,
	.calls_out = true, .auth = QN_AUTH_PUBLIC, .flags = QN_R_APP | QN_R_REDIRECT,
	.query = &callback_object, .rate = QN_RATE_SIGN_IN, .handler = callback},
    {QN_POST, "/api/v1/auth/sso", "oauth.sso", "Sign in where the domain of an address says.",
	.pool = QN_POOL_API, .auth = QN_AUTH_PUBLIC, .flags = QN_R_APP | QN_R_UNKEPT,
	.body = &sso_object, .body_max = 4096, .reply = &sso_reply_object, .errors = {QN_SSO},
	.rate = QN_RATE_SIGN_IN, .handler = sso},
};
API_TABLE(oauth_table, routes);
