/* What every way of signing in ends with: a session, and a reply or cookies (CONTRACT X3, C1, D23). */
#ifndef QUOIN_API_SIGNIN_H
#define QUOIN_API_SIGNIN_H

#include "api.h"
#include "quoin/store/account.h"
#include "quoin/store/attempt.h"
#include "quoin/store/flow.h"

/* The user as replies show him. */
struct api_user {
	const char *id, *email, *display_name, *tier;
	qn_tri email_verified, mfa_enabled;
	qn_time created_at;
	const char *license_key; /* NULL: left out */
};
extern const struct qn_object api_user_object;
struct api_user *api_user_of(struct qn_request *r, const struct account *who);

struct signin_reply {
	const char *access_token, *refresh_token, *token_type;
	int64_t expires_in; /* seconds */
	struct api_user *user;
	qn_tri mfa_required;
	const char *mfa_token;
};
extern const struct qn_object signin_reply_object;

/* How somebody signed in. Strings may be NULL but for method. */
struct signin {
	const char *method; /* "password", "magic-link", "google", … */
	int64_t aal;        /* factors shown: 1 or 2 */
	bool cookie;        /* a browser session instead of tokens */
	const char *device_id, *device_name;
	const struct attempt_guess
	    *right;                /* a guess that was right and is still counted; NULL: none */
	const char *password_hash; /* that was found to be right; NULL: no password was shown */
};

/*
 * Signs `who` in: 403 when suspended; one who gave the account up has it back. Who has a second factor and
 * showed one gets an mfa_token (for a browser: a session that is good for showing the second), else a
 * session. Fills *ret, or sets r->set_cookie.
 */
enum qn_err api_sign_in(struct qn_request *r, const struct account *who, const struct signin *how,
    struct signin_reply *ret);

/* Members of every body that signs somebody in; struct with session, device_id, device_name. */
extern const char *const signin_sessions[];
#define SIGNIN_FIELDS(s) \
	QN_FIELD_ENUM(s, session, 0, signin_sessions, "token", \
	    "token: the reply has tokens; cookie: the browser gets a cookie."), \
	    QN_FIELD(s, device_id, STR, 0, 1, 200, "What the client calls this device."), \
	    QN_FIELD(s, device_name, STR, 0, 1, 200, "Shown name of the device.")

/* Tokens of a session; `generation` is that of the refresh token. */
enum qn_err api_session_tokens(struct qn_request *r, const struct account *who,
    const char *session_id, int64_t generation, int64_t aal, struct signin_reply *ret);

/* A path of the app's own pages, for after the sign-in: nothing in it can lead elsewhere (T7). */
enum qn_err api_check_path(struct qn_request *r, const char *path);
/* Sends the browser to `path` of the app's pages, with this query. */
enum qn_err api_land(struct qn_request *r, const char *path, const char *result);
/* Whether an address (NULL: none) is of a domain. */
bool api_of_domain(const char *email, const char *domain);
/*
 * Signs in who a provider says it is, with a cookie: finds, links or makes the user (T4), who joins the
 * organization of his provider's domain (E52). QN_CONFLICT when the address is another user's. *ret_second: he has still to show a second factor.
 */
enum qn_err api_sign_in_by(
    struct qn_request *r, const struct flow_identity *who, const char *method, bool *ret_second);

/* A handler: ends the session of the request, and takes its cookie away. */
enum qn_err api_logout(struct qn_request *r);

enum { SIGNIN_DAYS = 30 };

#endif
