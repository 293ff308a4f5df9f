/* Signing in, and staying signed in: login, refresh, logout (CONTRACT X3, X4, C9; SECURITY T8, T9, T11). */
#include "signin.h"
#include "counts.h"
#include "licences.h"
#include "mails.h"

#include <string.h>

#include "quoin/auth/appkey.h"
#include "quoin/auth/issue.h"
#include "quoin/auth/opaque.h"
#include "quoin/store/attempt.h"
#include "quoin/store/credential.h"
#include "quoin/store/session.h"

enum { MFA_TOKEN_S = 300, JSON_BYTES = 4096 };

const char *const signin_sessions[] = {"token", "cookie", NULL};

static const struct qn_field user_fields[] = {
    QN_FIELD(struct api_user, id, STR, 0, 0, 0, "Id of the user."),
    QN_FIELD(struct api_user, email, STR, QN_F_NULLABLE, 0, 320, "Address."),
    QN_FIELD(struct api_user, display_name, STR, QN_F_NULLABLE, 0, 200, "Shown name."),
    QN_FIELD(struct api_user, tier, STR, 0, 0, 0, "The plan, in the app's spelling."),
    QN_FIELD(struct api_user, email_verified, BOOL, 0, 0, 0,
	"Whether the address is known to be the user's."),
    QN_FIELD(struct api_user, mfa_enabled, BOOL, 0, 0, 0, "Whether there is a second factor."),
    QN_FIELD(struct api_user, created_at, TIME, 0, 0, 0, "When the account was made."),
    QN_FIELD(struct api_user, license_key, STR, QN_F_OPTIONAL, 0, 0,
	"The licence that each user has, where the app gives one."),
};
const struct qn_object api_user_object = QN_OBJECT("User", struct api_user, user_fields);

#define PART(name, type, doc) QN_FIELD(struct signin_reply, name, type, QN_F_OPTIONAL, 0, 0, doc)

static const struct qn_field reply_fields[] = {
    PART(access_token, STR, "A JWT for Authorization: Bearer."),
    PART(refresh_token, STR, "Good once, for the next pair."),
    PART(token_type, STR, "bearer."),
    PART(expires_in, I64, "Seconds that the access token lasts."),
    QN_FIELD_SUB(struct signin_reply, user, OBJ, QN_F_OPTIONAL, &api_user_object, "Who signed in."),
    PART(mfa_required, BOOL, "A second factor has to be shown."),
    PART(mfa_token, STR, "With which it is shown: good for five minutes."),
};
const struct qn_object signin_reply_object = QN_OBJECT("SignIn", struct signin_reply, reply_fields);

struct api_user *api_user_of(struct qn_request *r, const struct account *who)
{
	struct api_user *u = qn_new(r->arena, struct api_user);

	*u = (struct api_user){
	    .id = qn_printf(r->arena, "%s%s", r->who.app->id_prefix, who->id),
	    .email = who->email,
	    .display_name = who->display_name,
	    .tier = api_shown_tier(r, who->plan),
	    .email_verified = who->email_verified,
	    .mfa_enabled = who->mfa_enabled,
	    .created_at = who->created_at,
	};
	return u;
}

/* tokens */

/* What a token says besides who it is of: of which session, and what he has (CONTRACT X9). */
static void add_claims(const struct account *who, const char *session_id, int64_t aal,
    const struct api_user *shown, struct qn_buf *b)
{
	qn_buf_printf(b,
	    "\"sid\":\"%s\",\"amr\":[\"%s\"],\"scopes\":[\"read\",\"write\"],\"tier\":", session_id,
	    aal == 2 ? "mfa" : "pwd");
	qn_buf_json(b, shown->tier, strlen(shown->tier));
	if (who->organization_id != NULL)
		qn_buf_printf(b, ",\"org_id\":\"%s\"", who->organization_id);
	if (shown->license_key == NULL)
		return;
	qn_buf_str(b, ",\"license_key\":");
	qn_buf_json(b, shown->license_key, strlen(shown->license_key));
}

static enum qn_err access_token(struct qn_request *r, const struct account *who,
    const char *session_id, int64_t aal, const struct api_user *shown, const char **ret)
{
	const struct qn_app *app = r->who.app;
	struct qn_signing_key *key = NULL;
	struct qn_buf more;

	QN_TRY(qn_app_key(qn_server_conf(r->server), r->db, r->arena, app->id, &key));
	qn_buf_init(&more, JSON_BYTES);
	add_claims(who, session_id, aal, shown, &more);
	struct qn_claims_out claims = {.typ = QN_TYP_ACCESS,
	    .iss = app->own_issuer,
	    .sub = shown->id,
	    .aud = app->own_audience,
	    .iat = qn_now(),
	    .email = who->email,
	    .email_verified = who->email_verified == 1,
	    .name = who->display_name,
	    .more = {more.p, more.n}};
	claims.exp = claims.iat + app->token_lifetime_s * 1000000;
	enum qn_err e = qn_token_issue(r->arena, key, &claims, ret);
	qn_buf_done(&more);
	qn_signing_key_free(key);
	return e;
}

enum qn_err api_session_tokens(struct qn_request *r, const struct account *who,
    const char *session_id, int64_t generation, int64_t aal, struct signin_reply *ret)
{
	char *refresh = qn_alloc(r->arena, QN_REFRESH_LEN + 1);

	ret->user = api_user_of(r, who);
	QN_TRY(api_licence_of_user(r, who->id, &ret->user->license_key));
	QN_TRY(access_token(r, who, session_id, aal, ret->user, &ret->access_token));
	qn_refresh_make(qn_conf_str(qn_server_conf(r->server), QN_CONF_KEY_QUOIN_SECRET_KEY),
	    r->who.app->id, session_id, generation, refresh);
	ret->refresh_token = refresh;
	ret->token_type = "bearer";
	ret->expires_in = r->who.app->token_lifetime_s;
	return QN_OK;
}

/* sessions */

static struct qn_span details_of(struct qn_request *r, const struct signin *how)
{
	struct qn_buf b;

	qn_buf_init(&b, JSON_BYTES);
	qn_buf_str(&b, "{\"method\":");
	qn_buf_json(&b, how->method, strlen(how->method));
	qn_buf_printf(&b, ",\"aal\":%d}", (int)how->aal);
	struct qn_span details = {qn_strndup(r->arena, b.p, b.n), b.n};
	qn_buf_done(&b);
	return details;
}

/* The owner hears of a sign-in that is like none before. */
static enum qn_err begin_session(struct qn_request *r, const struct account *who,
    const struct signin *how, const char *id, const struct qn_opaque *cookie)
{
	struct session_new in = {.id = id,
	    .app = r->who.app->id,
	    .user = who->id,
	    .method = how->method,
	    .cookie_hash = cookie != NULL ? cookie->hash : NULL,
	    .aal = how->aal,
	    .days = SIGNIN_DAYS,
	    .device_id = how->device_id,
	    .device_name = how->device_name,
	    .ip = r->remote_addr,
	    .user_agent = api_user_agent(r),
	    .right = how->right,
	    .password_hash = how->password_hash,
	    .details = details_of(r, how),
	    .request_id = r->id};
	bool unlike;

	QN_TRY(session_begin(r->db, r->arena, &in, &unlike));
	return unlike && who->email != NULL && who->email_verified == 1
	           ? api_mail(r, who->id, who->email, QN_MAIL_NEW_SIGN_IN, NULL)
	           : QN_OK;
}

/* The first factor was right; what it was is kept until the second is shown. */
static enum qn_err ask_for_second(struct qn_request *r, const struct account *who,
    const struct signin *how, struct signin_reply *ret)
{
	struct qn_opaque token;
	struct qn_buf b;

	qn_opaque_new(&token);
	qn_buf_init(&b, JSON_BYTES);
	qn_buf_str(&b, "{\"method\":");
	qn_buf_json(&b, how->method, strlen(how->method));
	if (how->device_id != NULL) {
		qn_buf_str(&b, ",\"device_id\":");
		qn_buf_json(&b, how->device_id, strlen(how->device_id));
	}
	if (how->device_name != NULL) {
		qn_buf_str(&b, ",\"device_name\":");
		qn_buf_json(&b, how->device_name, strlen(how->device_name));
	}
	qn_buf_char(&b, '}');
	struct one_time what = {who->id, {b.p, b.n}};
	enum qn_err e =
	    one_time_put(r->db, r->arena, r->who.app->id, "mfa", token.hash, &what, MFA_TOKEN_S);
	qn_buf_done(&b);
	ret->mfa_token = qn_strdup(r->arena, token.text);
	qn_wipe(&token, sizeof(token));
	return e;
}

/* A guess that led to no session was right all the same. */
static enum qn_err note_right(struct qn_request *r, const struct signin *how)
{
	return how->right == NULL ? QN_OK
	                          : attempt_guessed(r->db, r->arena, r->who.app->id, how->right);
}

/* Before the session, from which on all sign-ins of the app wait for one another. */
static enum qn_err answer(struct qn_request *r, const struct account *who, const struct signin *how,
    const char *session_id, struct signin_reply *ret)
{
	if (!how->cookie)
		return api_session_tokens(r, who, session_id, 1, how->aal, ret);
	if (ret->mfa_required == 1)
		return QN_OK;
	ret->user = api_user_of(r, who);
	return api_licence_of_user(r, who->id, &ret->user->license_key);
}

/* Within the transaction of what follows from the password. */
static enum qn_err ask_in_time(struct qn_request *r, const struct account *who,
    const struct signin *how, struct signin_reply *ret)
{
	QN_TX(tx, r->db);
	if (how->password_hash != NULL)
		QN_TRY(account_still(r->db, r->arena, r->who.app->id, who->id, how->password_hash));
	QN_TRY(ask_for_second(r, who, how, ret));
	return qn_tx_commit(&tx);
}

enum qn_err api_sign_in(struct qn_request *r, const struct account *who, const struct signin *how,
    struct signin_reply *ret)
{
	bool second = who->mfa_enabled == 1 && how->aal < 2;
	char *id = qn_alloc(r->arena, QN_UUID_LEN + 1);
	struct account back;
	struct qn_opaque cookie;

	qn_object_init(&signin_reply_object, ret);
	if (who->suspended == 1 || (second && !how->cookie))
		QN_TRY(note_right(r, how));
	if (who->suspended == 1)
		return QN_SUSPENDED;
	ret->mfa_required = second ? 1 : QN_UNSET;
	if (second && !how->cookie)
		return ask_in_time(r, who, how, ret);
	qn_uuid_new(id);
	QN_TX(tx, r->db);
	if (who->delete_after != QN_TIME_NULL)
		QN_TRY(account_give_up(r->db, r->arena, r->who.app->id, who->id, 0, &back));
	QN_TRY(answer(r, who, how, id, ret));
	if (how->cookie) {
		qn_opaque_new(&cookie);
		r->set_cookie = qn_strdup(r->arena, cookie.text);
	}
	enum qn_err e = begin_session(r, who, how, id, how->cookie ? &cookie : NULL);
	qn_wipe(&cookie, sizeof(cookie));
	QN_TRY(e);
	return qn_tx_commit(&tx);
}

/* login */

struct login_in {
	const char *email, *password, *session, *device_id, *device_name;
};

static const struct qn_field login_fields[] = {
    QN_FIELD(struct login_in, email, STR, QN_F_REQUIRED, 3, 320, "Address."),
    QN_FIELD(struct login_in, password, STR, QN_F_REQUIRED, 1, 1024, "Password."),
    SIGNIN_FIELDS(struct login_in),
};
static const struct qn_object login_object = QN_OBJECT("Login", struct login_in, login_fields);

static enum qn_err renew_hash(struct qn_request *r, struct account *who, const char *password)
{
	char hash[QN_PASSWORD_HASH_MAX];

	QN_TRY(qn_password_hash(qn_server_hasher(r->server), qn_span_of(password), hash));
	QN_TRY(account_rehash(r->db, r->arena, r->who.app->id, who->id, who->password_hash, hash));
	who->password_hash = qn_strdup(r->arena, hash);
	return QN_OK;
}

/* An unknown account costs what a known one does, and is refused in the same words (T11). */
static enum qn_err login(struct qn_request *r)
{
	const struct login_in *in = r->in;
	struct signin_reply *out = qn_new(r->arena, struct signin_reply);
	struct attempt_guess guess = api_guess_at(r, "password", api_lower(r, in->email));
	struct signin how = {.method = "password",
	    .aal = 1,
	    .cookie = strcmp(in->session, "cookie") == 0,
	    .device_id = in->device_id,
	    .device_name = in->device_name,
	    .right = &guess};
	struct account who = {.password_hash = NULL};
	int64_t wait = 0;
	bool right, old;

	enum qn_err e =
	    account_guess(r->db, r->arena, r->who.app->id, &guess, in->email, &wait, &who);
	QN_TRY(api_wait(r, wait));
	if (e != QN_OK && e != QN_USER_NOT_FOUND)
		return e;
	QN_TRY(qn_password_verify(qn_server_hasher(r->server), qn_span_of(in->password),
	    e == QN_OK ? who.password_hash : NULL, &right, &old));
	if (!right)
		return QN_BAD_CREDENTIALS;
	if (old && renew_hash(r, &who, in->password) != QN_OK)
		r->why = "the password was not hashed anew";
	how.password_hash = who.password_hash;
	QN_TRY(api_sign_in(r, &who, &how, out));
	return qn_reply(r, out);
}

/* refresh */

struct refresh_in {
	const char *refresh_token;
};

static const struct qn_field refresh_fields[] = {
    QN_FIELD(struct refresh_in, refresh_token, STR, QN_F_REQUIRED, 1, 200, "The one that is good."),
};
static const struct qn_object refresh_object =
    QN_OBJECT("Refresh", struct refresh_in, refresh_fields);

static enum qn_err note_reuse(struct qn_request *r, const char *user, const char *session)
{
	QN_TRY(api_audit(r, &(struct audit_event){.user = user,
				.action = "session.reused",
				.resource_type = "session",
				.resource_id = session}));
	return QN_BAD_REFRESH;
}

/* No transaction around it: the end of a family that was reused must stay when the answer is 401 (T8). */
static enum qn_err refresh(struct qn_request *r)
{
	const struct refresh_in *in = r->in;
	const char *app = r->who.app->id, *user = NULL;
	struct signin_reply *out = qn_new(r->arena, struct signin_reply);
	char session[QN_UUID_LEN + 1];
	enum session_rotated how;
	struct credential now;
	struct account who;
	int64_t generation;

	qn_object_init(&signin_reply_object, out);
	if (!qn_refresh_read(qn_conf_str(qn_server_conf(r->server), QN_CONF_KEY_QUOIN_SECRET_KEY),
		app, qn_span_of(in->refresh_token), session, &generation))
		return QN_BAD_REFRESH;
	QN_TRY(session_rotate(r->db, r->arena, app, session, generation, SIGNIN_DAYS, &how, &user));
	if (how == SESSION_REUSED)
		return note_reuse(r, user, session);
	if (how == SESSION_GONE)
		return QN_BAD_REFRESH;
	enum qn_err e = credential_of_session(r->db, r->arena, app, session, &now);
	if (e != QN_OK)
		return e == QN_UNAUTHENTICATED ? QN_BAD_REFRESH : e;
	if (now.suspended == 1)
		return QN_SUSPENDED;
	QN_TRY(account_by_id(r->db, r->arena, app, user, &who));
	QN_TRY(api_session_tokens(r, &who, session, generation + 1, now.aal, out));
	return qn_reply(r, out);
}

/* logout */

enum qn_err api_logout(struct qn_request *r)
{
	static const struct api_message bye = {"Logged out successfully"};

	r->set_cookie = r->who.cookie ? "" : NULL;
	QN_TX(tx, r->db);
	if (r->who.session_id[0] != '\0') {
		enum qn_err e = session_revoke(r->db, r->arena, r->who.app->id, r->who.user_id,
		    r->who.session_id, "signed out");
		if (e != QN_OK && e != QN_SESSION_NOT_FOUND)
			return e;
		QN_TRY(api_audit(r, &(struct audit_event){.action = "session.end",
					.resource_type = "session",
					.resource_id = r->who.session_id}));
	}
	QN_TRY(qn_tx_commit(&tx));
	return qn_reply(r, &bye);
}

#define PUBLIC_POST .auth = QN_AUTH_PUBLIC, .flags = QN_R_APP | QN_R_UNKEPT, .body_max = 16384

static const struct qn_route routes[] = {
    {QN_POST, "/api/v1/auth/login", "auth.login", "Sign in with address and password.",
	.pool = QN_POOL_SLOW, PUBLIC_POST, .body = &login_object, .reply = &signin_reply_object,
	.errors = {QN_BAD_CREDENTIALS, QN_TOO_MANY, QN_SUSPENDED}, .rate = QN_RATE_SIGN_IN,
	.handler = login},
    {QN_POST, "/api/v1/auth/refresh", "auth.refresh", "Change a refresh token for new tokens.",
	.pool = QN_POOL_API, PUBLIC_POST, .body = &refresh_object, .reply = &signin_reply_object,
	.errors = {QN_BAD_REFRESH, QN_SUSPENDED}, .rate = QN_RATE_ACCOUNT, .handler = refresh},
    {QN_POST, "/api/v1/auth/logout", "auth.logout", "End this session.", .pool = QN_POOL_API,
	.auth = QN_AUTH_USER, .flags = QN_R_UNKEPT | QN_R_ONE_FACTOR, .reply = &api_message_object,
	.rate = QN_RATE_ACCOUNT, .handler = api_logout},
};
API_TABLE(signin_table, routes);
