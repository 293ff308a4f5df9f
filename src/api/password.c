/* Passwords: forgotten, reset, changed (CONTRACT B4, D8, X5, X8; SECURITY T11-T14, T41). */
#include "password.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "quoin/auth/opaque.h"
#include "quoin/auth/passrule.h"
#include "quoin/base/json.h"
#include "quoin/net/address.h"
#include "quoin/store/apikey.h"
#include "quoin/store/factor.h"
#include "quoin/store/session.h"
#include "counts.h"
#include "mails.h"

/* Replies that could tell whether there is an account leave at the next multiple of this. */
#define EVEN_US 150000

enum { LINKS_NET = 50 };

static const struct qn_field address_fields[] = {
    QN_FIELD(struct api_address_in, email, STR, QN_F_REQUIRED, 3, 320, "Address."),
};
const struct qn_object api_address_object =
    QN_OBJECT("Address", struct api_address_in, address_fields);

void api_even_out(int64_t began_us)
{
	int64_t rest = EVEN_US - (qn_mono_us() - began_us) % EVEN_US;
	struct timespec t = {.tv_sec = 0, .tv_nsec = (long)rest * 1000};

	while (nanosleep(&t, &t) != 0 && errno == EINTR)
		;
}

/* what comes in */

enum qn_err api_check_address(struct qn_request *r, const char *field, const char *email)
{
	if (qn_address_ok(qn_span_of(email)))
		return QN_OK;
	qn_fault_add(r, "body", field, "This is no e-mail address.", "email");
	return QN_INVALID;
}

enum qn_err api_judge_password(
    struct qn_request *r, const char *field, const char *password, const char *email)
{
	enum qn_password_fault fault;

	QN_TRY(qn_password_judge(
	    qn_server_breached(r->server), qn_span_of(password), qn_span_of(email), &fault));
	if (fault == QN_PASSWORD_OK)
		return QN_OK;
	qn_fault_add(r, "body", field, qn_password_fault_msg(fault), qn_password_fault_type(fault));
	return QN_INVALID;
}

/* links */

enum qn_err api_ask_link(struct qn_request *r, enum qn_link link)
{
	static const struct api_message sent = {
	    "If there is such an account, a mail is on its way to its address."};
	const struct api_address_in *in = r->in;

	QN_TRY(api_check_address(r, "email", in->email));
	QN_TRY(api_count(r, qn_link_purpose(link), LINKS_NET));
	QN_TRY(api_count_mail(r, qn_link_purpose(link), in->email));
	QN_TRY(qn_link_ask(r->db, r->arena, r->who.app->id, link, in->email));
	return qn_reply(r, &sent);
}

static enum qn_err address_of(
    struct qn_request *r, const struct one_time *link, const char **ret_email)
{
	struct qn_json_object o;

	if (link->user == NULL || !qn_json_members(r->arena, link->payload, &o) ||
	    !qn_json_str(r->arena, qn_json_get(&o, "email"), ret_email, NULL))
		return QN_LINK_INVALID;
	return QN_OK;
}

enum qn_err api_take_link(struct qn_request *r, enum qn_link link, const uint8_t hash[32],
    struct one_time *ret, const char **ret_email)
{
	QN_TRY(one_time_take(r->db, r->arena, r->who.app->id, qn_link_purpose(link), hash, ret));
	return address_of(r, ret, ret_email);
}

enum qn_err api_reclaim(struct qn_request *r, const char *user)
{
	const char *app = r->who.app->id;

	QN_TRY(apikey_revoke_all(r->db, r->arena, app, user));
	QN_TRY(factors_reset(r->db, r->arena, app, user));
	return api_audit(r, &(struct audit_event){.user = user,
				.action = "account.reclaim",
				.resource_type = "user",
				.resource_id = user});
}

/* a new password */

/* None of the last five: each is as slow to compare as a sign-in. */
static enum qn_err check_history(
    struct qn_request *r, const char *field, const char *user, const char *password)
{
	struct qn_list old;
	bool same = false, stale;

	QN_TRY(account_passwords(r->db, r->arena, r->who.app->id, user, &old));
	const struct account_secret *rows = old.items;
	for (size_t i = 0; i < old.n && !same; i++)
		QN_TRY(qn_password_verify(qn_server_hasher(r->server), qn_span_of(password),
		    rows[i].password_hash, &same, &stale));
	if (!same)
		return QN_OK;
	qn_fault_add(
	    r, "body", field, "This was one of your last five passwords.", "password_used");
	return QN_INVALID;
}

static enum qn_err new_hash(struct qn_request *r, const struct account *who, const char *field,
    const char *password, char hash[QN_PASSWORD_HASH_MAX])
{
	QN_TRY(api_judge_password(r, field, password, who->email != NULL ? who->email : ""));
	QN_TRY(check_history(r, field, who->id, password));
	return qn_password_hash(qn_server_hasher(r->server), qn_span_of(password), hash);
}

/* Whoever was signed in with the old one is not any more, but for `spared` (T13). In the transaction. */
static enum qn_err put_password(struct qn_request *r, const struct account *who, const char *hash,
    const char *spared, const char *action)
{
	const char *app = r->who.app->id;
	int64_t ended;

	QN_TRY(account_set_password(r->db, r->arena, app, who->id, hash));
	QN_TRY(
	    session_revoke_all(r->db, r->arena, app, who->id, spared, "password changed", &ended));
	QN_TRY(api_audit(r, &(struct audit_event){.user = who->id,
				.action = action,
				.resource_type = "user",
				.resource_id = who->id}));
	return api_mail(r, who->id, who->email, QN_MAIL_PASSWORD_CHANGED, NULL);
}

/* reset */

static enum qn_err ask_reset(struct qn_request *r)
{
	return api_ask_link(r, QN_LINK_RESET);
}

struct reset_in {
	const char *token, *password;
};

static const struct qn_field reset_fields[] = {
    QN_FIELD(struct reset_in, token, STR, QN_F_REQUIRED, 1, 200, "From the link in the mail."),
    QN_FIELD(struct reset_in, password, STR, QN_F_REQUIRED, 1, 1024, "The new password."),
};
static const struct qn_object reset_object =
    QN_OBJECT("PasswordReset", struct reset_in, reset_fields);

/*
 * Looked at before the slow part, taken with its effect: of two at once, one has it (T6). Whoever had the account while
 * nobody had shown the address to be his may be a stranger to who reads the mail (T4).
 */
static enum qn_err reset(struct qn_request *r)
{
	static const struct api_message done = {"The password is set. Sign in with it."};
	const struct reset_in *in = r->in;
	const char *app = r->who.app->id, *email;
	uint8_t token[QN_SHA256_LEN];
	char hash[QN_PASSWORD_HASH_MAX];
	struct one_time link;
	struct account who;

	if (!qn_opaque_hash(qn_span_of(in->token), token))
		return QN_LINK_INVALID;
	QN_TRY(one_time_peek(r->db, r->arena, app, qn_link_purpose(QN_LINK_RESET), token, &link));
	QN_TRY(address_of(r, &link, &email));
	QN_TRY(account_by_id(r->db, r->arena, app, link.user, &who));
	QN_TRY(new_hash(r, &who, "password", in->password, hash));
	bool stranger = who.email_verified != 1;
	QN_TX(tx, r->db);
	QN_TRY(api_take_link(r, QN_LINK_RESET, token, &link, &email));
	enum qn_err e = account_verify_email(r->db, r->arena, app, link.user, email, &who);
	if (e != QN_OK) /* the address is another by now */
		return e == QN_USER_NOT_FOUND ? QN_LINK_INVALID : e;
	if (stranger)
		QN_TRY(api_reclaim(r, link.user));
	QN_TRY(put_password(r, &who, hash, NULL, "password.reset"));
	QN_TRY(qn_tx_commit(&tx));
	return qn_reply(r, &done);
}

/* change */

struct change_in {
	const char *current_password, *new_password;
};

static const struct qn_field change_fields[] = {
    QN_FIELD(struct change_in, current_password, STR, 0, 1, 1024,
	"The password now; not for who has none, who must have signed in lately."),
    QN_FIELD(struct change_in, new_password, STR, QN_F_REQUIRED, 1, 1024, "The new password."),
};
static const struct qn_object change_object =
    QN_OBJECT("PasswordChange", struct change_in, change_fields);

enum qn_err api_prove(struct qn_request *r, const struct account *who, const char *password)
{
	bool right, old;

	if (who->password_hash == NULL)
		return qn_proved_lately(&r->who) ? QN_OK : QN_REAUTHENTICATE;
	QN_TRY(api_guess(r, "password", who->id));
	QN_TRY(qn_password_verify(qn_server_hasher(r->server),
	    qn_span_of(password != NULL ? password : ""), who->password_hash, &right, &old));
	return right ? api_guessed(r, "password", who->id) : QN_BAD_CREDENTIALS;
}

enum qn_err api_still(struct qn_request *r, const struct account *who)
{
	return who->password_hash == NULL
	           ? QN_OK
	           : account_still(r->db, r->arena, r->who.app->id, who->id, who->password_hash);
}

static enum qn_err change(struct qn_request *r)
{
	static const struct api_message done = {"The password is changed."};
	const struct change_in *in = r->in;
	char hash[QN_PASSWORD_HASH_MAX];
	struct account who;

	QN_TRY(account_by_id(r->db, r->arena, r->who.app->id, r->who.user_id, &who));
	QN_TRY(api_prove(r, &who, in->current_password));
	QN_TRY(new_hash(r, &who, "new_password", in->new_password, hash));
	QN_TX(tx, r->db);
	QN_TRY(api_still(r, &who));
	QN_TRY(put_password(r, &who, hash, r->who.session_id[0] != '\0' ? r->who.session_id : NULL,
	    "password.change"));
	QN_TRY(qn_tx_commit(&tx));
	return qn_reply(r, &done);
}

/* a factor shown again, for what asks for it (T14) */

struct prove_in {
	const char *password;
};

static const struct qn_field prove_fields[] = {
    QN_FIELD(struct prove_in, password, STR, QN_F_REQUIRED, 1, 1024, "Password."),
};
static const struct qn_object prove_object =
    QN_OBJECT("Reauthenticate", struct prove_in, prove_fields);

static enum qn_err reauthenticate(struct qn_request *r)
{
	const struct prove_in *in = r->in;
	struct account who;

	QN_TRY(account_by_id(r->db, r->arena, r->who.app->id, r->who.user_id, &who));
	if (who.password_hash == NULL || r->who.session_id[0] == '\0')
		return QN_BAD_CREDENTIALS;
	QN_TRY(api_prove(r, &who, in->password));
	QN_TRY(session_prove(r->db, r->arena, r->who.app->id, r->who.session_id, 1, NULL));
	return api_success(r);
}

#define PUBLIC .auth = QN_AUTH_PUBLIC, .flags = QN_R_APP | QN_R_UNKEPT
#define USER   .pool = QN_POOL_SLOW, .auth = QN_AUTH_USER, .flags = QN_R_UNKEPT

static const struct qn_route routes[] = {
    {QN_POST, "/api/v1/auth/request-password-reset", "password.request-reset",
	"Mail a link that sets a new password.", .pool = QN_POOL_API, PUBLIC,
	.body = &api_address_object, .body_max = 4096, .reply = &api_message_object,
	.errors = {QN_TOO_MANY}, .rate = QN_RATE_MAIL, .handler = ask_reset},
    {QN_POST, "/api/v1/auth/reset-password", "password.reset",
	"Set a new password with the token of a mailed link.", .pool = QN_POOL_SLOW, PUBLIC,
	.body = &reset_object, .body_max = 16384, .reply = &api_message_object,
	.errors = {QN_LINK_INVALID}, .rate = QN_RATE_SIGN_IN, .handler = reset},
    {QN_POST, "/api/v1/auth/change-password", "password.change",
	"Change the caller's password; all other sessions end.", USER, .body = &change_object,
	.body_max = 16384, .reply = &api_message_object,
	.errors = {QN_BAD_CREDENTIALS, QN_TOO_MANY, QN_REAUTHENTICATE}, .rate = QN_RATE_SIGN_IN,
	.handler = change},
    {QN_POST, "/api/v1/auth/reauthenticate", "password.reauthenticate",
	"Show the password again, for what demands it.", USER, .body = &prove_object,
	.body_max = 16384, .reply = &api_success_object,
	.errors = {QN_BAD_CREDENTIALS, QN_TOO_MANY}, .rate = QN_RATE_SIGN_IN,
	.handler = reauthenticate},
};
API_TABLE(password_table, routes);
