/* Addresses: sign in by a mailed link, change the address (CONTRACT E14; SECURITY T4, T11, T13). */
#include <string.h>

#include "password.h"
#include "quoin/auth/opaque.h"
#include "quoin/base/json.h"
#include "quoin/store/session.h"
#include "signin.h"
#include "counts.h"
#include "mails.h"

enum { CHANGE_S = 3600, PAYLOAD_BYTES = 2048 };

#define CHANGE_PURPOSE "change-email"

static enum qn_err ask_magic(struct qn_request *r)
{
	return api_ask_link(r, QN_LINK_MAGIC);
}

struct magic_in {
	const char *token, *session, *device_id, *device_name;
};

static const struct qn_field magic_fields[] = {
    QN_FIELD(struct magic_in, token, STR, QN_F_REQUIRED, 1, 200, "From the link in the mail."),
    SIGNIN_FIELDS(struct magic_in),
};
static const struct qn_object magic_object = QN_OBJECT("MagicLink", struct magic_in, magic_fields);

/* Who reads the mail has the address; whatever somebody set up before is of no use to that one then (T4). */
static enum qn_err own_address(
    struct qn_request *r, const struct one_time *link, const char *email, struct account *ret)
{
	const char *app = r->who.app->id;

	QN_TRY(account_by_id(r->db, r->arena, app, link->user, ret));
	bool stranger = ret->email_verified != 1;
	enum qn_err e = account_verify_email(r->db, r->arena, app, link->user, email, ret);
	if (e != QN_OK)
		return e == QN_USER_NOT_FOUND ? QN_LINK_INVALID : e;
	if (!stranger)
		return QN_OK;
	int64_t ended;
	QN_TRY(account_drop_password(r->db, r->arena, app, link->user));
	QN_TRY(api_reclaim(r, link->user));
	QN_TRY(
	    session_revoke_all(r->db, r->arena, app, link->user, NULL, "address verified", &ended));
	return account_by_id(r->db, r->arena, app, link->user, ret);
}

static enum qn_err magic(struct qn_request *r)
{
	const struct magic_in *in = r->in;
	struct signin how = {.method = "magic-link",
	    .aal = 1,
	    .cookie = strcmp(in->session, "cookie") == 0,
	    .device_id = in->device_id,
	    .device_name = in->device_name};
	struct signin_reply *out = qn_new(r->arena, struct signin_reply);
	uint8_t hash[QN_SHA256_LEN];
	struct one_time link;
	struct account who;
	const char *email;

	if (!qn_opaque_hash(qn_span_of(in->token), hash))
		return QN_LINK_INVALID;
	QN_TX(tx, r->db);
	QN_TRY(api_take_link(r, QN_LINK_MAGIC, hash, &link, &email));
	QN_TRY(own_address(r, &link, email, &who));
	QN_TRY(api_sign_in(r, &who, &how, out));
	QN_TRY(qn_tx_commit(&tx));
	return qn_reply(r, out);
}

/* change of address */

struct change_in {
	const char *email, *password;
};

static const struct qn_field change_fields[] = {
    QN_FIELD(struct change_in, email, STR, QN_F_REQUIRED, 3, 320, "The new address."),
    QN_FIELD(struct change_in, password, STR, 0, 1, 1024,
	"Password; not for who has none, who must have signed in lately."),
};
static const struct qn_object change_object =
    QN_OBJECT("AddressChange", struct change_in, change_fields);

/* The token goes to the new address; whether somebody has it already shows only there. */
static enum qn_err mail_change(struct qn_request *r, const char *email)
{
	const char *app = r->who.app->id;
	struct qn_opaque token;
	struct account owner;
	struct qn_buf b;

	enum qn_err e = account_by_email(r->db, r->arena, app, email, &owner);
	if (e == QN_OK)
		return api_mail(r, owner.id, owner.email, QN_MAIL_ACCOUNT_EXISTS, NULL);
	if (e != QN_USER_NOT_FOUND)
		return e;
	QN_TRY(one_time_drop(r->db, r->arena, app, r->who.user_id, CHANGE_PURPOSE));
	qn_opaque_new(&token);
	qn_buf_init(&b, PAYLOAD_BYTES);
	qn_buf_str(&b, "{\"email\":");
	qn_buf_json(&b, email, strlen(email));
	qn_buf_char(&b, '}');
	struct one_time what = {r->who.user_id, {b.p, b.n}};
	struct qn_mail_vars vars = {
	    .v = {[QN_MAIL_VAR_TOKEN] = token.text, [QN_MAIL_VAR_EXPIRES] = "one hour"}};
	e = one_time_put(r->db, r->arena, app, CHANGE_PURPOSE, token.hash, &what, CHANGE_S);
	qn_buf_done(&b);
	if (e == QN_OK)
		e = api_mail(r, r->who.user_id, email, QN_MAIL_CHANGE_EMAIL, &vars);
	qn_wipe(&token, sizeof(token));
	return e;
}

static enum qn_err change(struct qn_request *r)
{
	static const struct api_message sent = {"A mail is on its way to the new address."};
	const struct change_in *in = r->in;
	struct account who;

	QN_TRY(api_check_address(r, "email", in->email));
	QN_TRY(account_by_id(r->db, r->arena, r->who.app->id, r->who.user_id, &who));
	QN_TRY(api_prove(r, &who, in->password));
	QN_TRY(api_count_mail(r, CHANGE_PURPOSE, in->email));
	QN_TX(tx, r->db);
	QN_TRY(api_still(r, &who));
	QN_TRY(mail_change(r, in->email));
	QN_TRY(qn_tx_commit(&tx));
	return qn_reply(r, &sent);
}

struct confirm_in {
	const char *token;
};

static const struct qn_field confirm_fields[] = {
    QN_FIELD(struct confirm_in, token, STR, QN_F_REQUIRED, 1, 200, "From the link in the mail."),
};
static const struct qn_object confirm_object =
    QN_OBJECT("AddressConfirm", struct confirm_in, confirm_fields);

static enum qn_err new_address(struct qn_request *r, const struct one_time *link, const char **ret)
{
	struct qn_json_object o;

	if (link->user == NULL || !qn_json_members(r->arena, link->payload, &o) ||
	    !qn_json_str(r->arena, qn_json_get(&o, "email"), ret, NULL))
		return QN_LINK_INVALID;
	return QN_OK;
}

/* The old address is told: it may not have been its owner who changed it. */
static enum qn_err confirm(struct qn_request *r)
{
	static const struct api_message done = {"The address is changed."};
	const struct confirm_in *in = r->in;
	const char *app = r->who.app->id, *email;
	uint8_t hash[QN_SHA256_LEN];
	struct account before, after;
	struct one_time link;

	if (!qn_opaque_hash(qn_span_of(in->token), hash))
		return QN_LINK_INVALID;
	QN_TX(tx, r->db);
	QN_TRY(one_time_take(r->db, r->arena, app, CHANGE_PURPOSE, hash, &link));
	QN_TRY(new_address(r, &link, &email));
	QN_TRY(account_by_id(r->db, r->arena, app, link.user, &before));
	enum qn_err e = account_set_email(r->db, r->arena, app, link.user, email, &after);
	if (e != QN_OK)
		return e == QN_CONFLICT ? QN_LINK_INVALID : e;
	struct qn_mail_vars vars = {.v = {[QN_MAIL_VAR_NEW_ADDRESS] = email}};
	if (before.email != NULL)
		QN_TRY(api_mail(r, link.user, before.email, QN_MAIL_EMAIL_CHANGED, &vars));
	QN_TRY(one_time_drop(r->db, r->arena, app, link.user, qn_link_purpose(QN_LINK_RESET)));
	QN_TRY(one_time_drop(r->db, r->arena, app, link.user, qn_link_purpose(QN_LINK_MAGIC)));
	QN_TRY(api_audit(r, &(struct audit_event){.user = link.user,
				.action = "account.change-email",
				.resource_type = "user",
				.resource_id = link.user}));
	QN_TRY(qn_tx_commit(&tx));
	return qn_reply(r, &done);
}

#define PUBLIC .auth = QN_AUTH_PUBLIC, .flags = QN_R_APP | QN_R_UNKEPT, .pool = QN_POOL_API

static const struct qn_route routes[] = {
    {QN_POST, "/api/v1/auth/magic-link", "address.magic-link", "Mail a link that signs in.", PUBLIC,
	.body = &api_address_object, .body_max = 4096, .reply = &api_message_object,
	.errors = {QN_TOO_MANY}, .rate = QN_RATE_MAIL, .handler = ask_magic},
    {QN_POST, "/api/v1/auth/magic-link/verify", "address.magic-sign-in",
	"Sign in with the token of a mailed link.", PUBLIC, .body = &magic_object, .body_max = 4096,
	.reply = &signin_reply_object, .errors = {QN_LINK_INVALID, QN_SUSPENDED},
	.rate = QN_RATE_SIGN_IN, .handler = magic},
    {QN_POST, "/api/v1/auth/change-email", "address.change", "Mail a link to a new address.",
	.pool = QN_POOL_SLOW, .auth = QN_AUTH_USER, .flags = QN_R_UNKEPT, .body = &change_object,
	.body_max = 4096, .reply = &api_message_object,
	.errors = {QN_BAD_CREDENTIALS, QN_TOO_MANY, QN_REAUTHENTICATE}, .rate = QN_RATE_MAIL,
	.handler = change},
    {QN_POST, "/api/v1/auth/change-email/confirm", "address.confirm",
	"Make the new address the account's.", PUBLIC, .body = &confirm_object, .body_max = 4096,
	.reply = &api_message_object, .errors = {QN_LINK_INVALID}, .rate = QN_RATE_SIGN_IN,
	.handler = confirm},
};
API_TABLE(address_table, routes);
