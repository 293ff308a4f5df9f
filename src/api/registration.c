/* Accounts of one's own making: register, verify the address (CONTRACT B2, D4, D7, X1, X2; SECURITY T4, T11). */
#include "signin.h"

#include "licences.h"
#include "password.h"
#include "counts.h"
#include "mails.h"
#include "quoin/auth/opaque.h"

enum { REGISTRATIONS = 50 };

struct register_in {
	const char *email, *password, *name;
};

static const struct qn_field register_fields[] = {
    QN_FIELD(struct register_in, email, STR, QN_F_REQUIRED, 3, 320, "Address."),
    QN_FIELD(struct register_in, password, STR, QN_F_REQUIRED, 1, 1024, "At least 12 characters."),
    QN_FIELD(struct register_in, name, STR, 0, 1, 200, "Shown name."),
};
static const struct qn_object register_object =
    QN_OBJECT("Register", struct register_in, register_fields);

struct registered {
	const char *user_id, *email, *tier;
	qn_tri email_verified, verification_email_sent;
	const char *license_key; /* NULL: left out */
};

static const struct qn_field registered_fields[] = {
    QN_FIELD(struct registered, user_id, STR, 0, 0, 0, "Id of the user."),
    QN_FIELD(struct registered, email, STR, 0, 0, 320, "Address."),
    QN_FIELD(struct registered, email_verified, BOOL, 0, 0, 0,
	"Whether the address is known to be the user's."),
    QN_FIELD(struct registered, tier, STR, 0, 0, 0, "The plan, in the app's spelling."),
    QN_FIELD(struct registered, verification_email_sent, BOOL, QN_F_OPTIONAL, 0, 0,
	"A mail is on its way."),
    QN_FIELD(struct registered, license_key, STR, QN_F_OPTIONAL, 0, 0,
	"The licence that each user has, where the app gives one: once the address is verified."),
};
static const struct qn_object registered_object =
    QN_OBJECT("Registered", struct registered, registered_fields);

static struct registered *shown(struct qn_request *r, const struct account *who)
{
	const struct api_user *u = api_user_of(r, who);
	struct registered *out = qn_new(r->arena, struct registered);

	*out = (struct registered){.user_id = u->id,
	    .email = u->email,
	    .tier = u->tier,
	    .email_verified = who->email_verified,
	    .verification_email_sent = QN_UNSET};
	return out;
}

/* Whether the owner of the address would hear of it once more: nobody's mailbox is filled through us (T9). */
static enum qn_err may_tell(struct qn_request *r, bool *ret)
{
	const struct register_in *in = r->in;

	enum qn_err e = api_count_mail(r, "account-exists", in->email);
	*ret = e == QN_OK;
	r->retry_after_s = 0; /* the caller sees nothing of it */
	return e == QN_TOO_MANY ? QN_OK : e;
}

/* Somebody has the address: he is told, and the caller sees what he would see otherwise. */
static enum qn_err tell_owner(
    struct qn_request *r, const struct account *owner, bool may, struct account *ret)
{
	char *id = qn_alloc(r->arena, QN_UUID_LEN + 1);
	const struct register_in *in = r->in;

	qn_uuid_new(id);
	*ret = (struct account){
	    .id = id, .email = in->email, .plan = "free", .email_verified = 0, .mfa_enabled = 0};
	return may ? api_mail(r, owner->id, owner->email, QN_MAIL_ACCOUNT_EXISTS, NULL) : QN_OK;
}

static enum qn_err make_account(struct qn_request *r, const char *hash, struct account *ret)
{
	const struct register_in *in = r->in;
	struct account wanted = {.email = in->email,
	    .display_name = in->name,
	    .password_hash = hash,
	    .email_verified = 0};

	QN_TRY(account_create(r->db, r->arena, r->who.app->id, &wanted, ret));
	QN_TRY(account_set_password(r->db, r->arena, r->who.app->id, ret->id, hash));
	QN_TRY(api_audit(r, &(struct audit_event){.user = ret->id,
				.action = "account.create",
				.resource_type = "user",
				.resource_id = ret->id}));
	return qn_link_mail(qn_server_conf(r->server), r->db, r->arena, r->who.app->id,
	    QN_LINK_VERIFY, ret->id, ret->email);
}

static enum qn_err sign_up(struct qn_request *r)
{
	const struct register_in *in = r->in;
	char hash[QN_PASSWORD_HASH_MAX];
	int64_t began = qn_mono_us();
	struct account who, owner;
	bool tell;

	QN_TRY(api_count(r, "register", REGISTRATIONS));
	QN_TRY(api_check_address(r, "email", in->email));
	QN_TRY(api_judge_password(r, "password", in->password, in->email));
	QN_TRY(qn_password_hash(qn_server_hasher(r->server), qn_span_of(in->password), hash));
	QN_TRY(may_tell(r, &tell));
	QN_TX(tx, r->db);
	enum qn_err e = account_by_email(r->db, r->arena, r->who.app->id, in->email, &owner);
	if (e == QN_OK)
		QN_TRY(tell_owner(r, &owner, tell, &who));
	else if (e == QN_USER_NOT_FOUND)
		e = make_account(r, hash, &who);
	if (e == QN_CONFLICT) /* somebody was faster: once more, and he is found */
		return QN_RETRY;
	QN_TRY(e);
	QN_TRY(qn_tx_commit(&tx));
	struct registered *out = shown(r, &who);
	out->verification_email_sent = 1;
	api_even_out(began);
	return qn_reply(r, out);
}

/* verify-email */

struct verify_in {
	const char *token;
};

static const struct qn_field verify_fields[] = {
    QN_FIELD(struct verify_in, token, STR, QN_F_REQUIRED, 1, 200, "From the link in the mail."),
};
static const struct qn_object verify_object =
    QN_OBJECT("VerifyEmailQuery", struct verify_in, verify_fields);

static enum qn_err verify_email(struct qn_request *r)
{
	const struct verify_in *in = r->query;
	uint8_t hash[QN_SHA256_LEN];
	struct one_time link;
	struct account who;
	const char *email;

	if (!qn_opaque_hash(qn_span_of(in->token), hash))
		return QN_LINK_INVALID;
	QN_TX(tx, r->db);
	QN_TRY(api_take_link(r, QN_LINK_VERIFY, hash, &link, &email));
	enum qn_err e =
	    account_verify_email(r->db, r->arena, r->who.app->id, link.user, email, &who);
	if (e != QN_OK)
		return e == QN_USER_NOT_FOUND ? QN_LINK_INVALID : e;
	QN_TRY(api_audit(r, &(struct audit_event){.user = link.user,
				.action = "account.verify-email",
				.resource_type = "user",
				.resource_id = link.user}));
	QN_TRY(api_mail(r, who.id, who.email, QN_MAIL_WELCOME, NULL));
	struct registered *out = shown(r, &who);
	QN_TRY(api_licence_of_user(r, who.id, &out->license_key));
	QN_TRY(qn_tx_commit(&tx));
	return qn_reply(r, out);
}

/* resend */

static enum qn_err resend(struct qn_request *r)
{
	return api_ask_link(r, QN_LINK_VERIFY);
}

#define PUBLIC .auth = QN_AUTH_PUBLIC, .flags = QN_R_APP | QN_R_UNKEPT

static const struct qn_route routes[] = {
    {QN_POST, "/api/v1/auth/register", "auth.register", "Make an account.", .pool = QN_POOL_SLOW,
	PUBLIC, .body = &register_object, .body_max = 16384, .reply = &registered_object,
	.errors = {QN_TOO_MANY}, .rate = QN_RATE_MAIL, .handler = sign_up},
    {QN_GET, "/api/v1/auth/verify-email", "auth.verify-email", "Verify an address.",
	.pool = QN_POOL_API, PUBLIC, .query = &verify_object, .reply = &registered_object,
	.errors = {QN_LINK_INVALID}, .rate = QN_RATE_SIGN_IN, .handler = verify_email},
    {QN_POST, "/api/v1/auth/resend-verification", "auth.resend-verification",
	"Mail the link that verifies an address once more.", .pool = QN_POOL_API, PUBLIC,
	.body = &api_address_object, .body_max = 4096, .reply = &api_message_object,
	.errors = {QN_TOO_MANY}, .rate = QN_RATE_MAIL, .handler = resend},
};
API_TABLE(registration_table, routes);
