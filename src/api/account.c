/* The caller. */
#include "quoin/store/session.h"
#include "signin.h"
#include "mails.h"

enum { GRACE_DAYS = 30 };

struct me_reply {
	const struct api_user *user;
};

static const struct qn_field me_reply_fields[] = {
    QN_FIELD_SUB(struct me_reply, user, OBJ, 0, &api_user_object, "The caller."),
};
static const struct qn_object me_reply_object =
    QN_OBJECT("UserReply", struct me_reply, me_reply_fields);

static enum qn_err me_get(struct qn_request *r)
{
	struct me_reply *out = qn_new(r->arena, struct me_reply);
	struct account who;

	QN_TRY(account_by_id(r->db, r->arena, r->who.app->id, r->who.user_id, &who));
	out->user = api_user_of(r, &who);
	return qn_reply(r, out);
}

/* the profile */

static const struct qn_field profile_fields[] = {
    QN_FIELD(struct account, display_name, STR, 0, 1, 200, "Shown name."),
    QN_FIELD(struct account, first_name, STR, 0, 0, 100, "Given name."),
    QN_FIELD(struct account, last_name, STR, 0, 0, 100, "Family name."),
    QN_FIELD(struct account, avatar_url, STR, 0, 0, 2000, "Picture."),
    QN_FIELD(struct account, company_name, STR, 0, 0, 200, "Company."),
    QN_FIELD(struct account, industry, STR, 0, 0, 100, "Industry."),
    QN_FIELD(struct account, job_role, STR, 0, 0, 100, "Role in the company."),
    QN_FIELD(struct account, usage_purpose, STR, 0, 0, 500, "What the product is used for."),
};
static const struct qn_object profile_object =
    QN_OBJECT("ProfileChange", struct account, profile_fields);

static enum qn_err me_put(struct qn_request *r)
{
	struct me_reply *out = qn_new(r->arena, struct me_reply);
	struct account who;

	QN_TRY(account_set_profile(r->db, r->arena, r->who.app->id, r->who.user_id, r->in, &who));
	out->user = api_user_of(r, &who);
	return qn_reply(r, out);
}

/* Given up for thirty days, in which signing in brings it back; then it is erased. */
static enum qn_err me_delete(struct qn_request *r)
{
	static const struct api_message done = {
	    "The account will be erased in 30 days. Sign in before then to keep it."};
	const char *app = r->who.app->id;
	struct account who;
	int64_t ended;

	QN_TX(tx, r->db);
	QN_TRY(account_give_up(r->db, r->arena, app, r->who.user_id, GRACE_DAYS, &who));
	QN_TRY(session_revoke_all(
	    r->db, r->arena, app, r->who.user_id, NULL, "account given up", &ended));
	QN_TRY(api_audit(r, &(struct audit_event){.action = "account.delete",
				.resource_type = "user",
				.resource_id = r->who.user_id}));
	struct qn_mail_vars vars = {
	    .v = {[QN_MAIL_VAR_WHEN] = api_shown_time(r, who.delete_after)}};
	if (who.email != NULL)
		QN_TRY(api_mail(r, who.id, who.email, QN_MAIL_ACCOUNT_DELETION, &vars));
	QN_TRY(qn_tx_commit(&tx));
	r->set_cookie = r->who.cookie ? "" : NULL;
	return qn_reply(r, &done);
}

static enum qn_err jwks_get(struct qn_request *r)
{
	r->raw = qn_span_of(r->who.app->own_jwks);
	return QN_OK;
}

static const struct qn_route routes[] = {
    {QN_GET, "/api/v1/me", "account.me", "Show the caller.", .pool = QN_POOL_API,
	.auth = QN_AUTH_USER | QN_AUTH_KEY, .rate = QN_RATE_ACCOUNT, .reply = &me_reply_object,
	.handler = me_get},
    {QN_PUT, "/api/v1/me", "account.update", "Change the caller's profile.", .pool = QN_POOL_API,
	.auth = QN_AUTH_USER, .body = &profile_object, .body_max = 16384, .reply = &me_reply_object,
	.rate = QN_RATE_ACCOUNT, .handler = me_put},
    {QN_DELETE, "/api/v1/me", "account.delete", "Give the account up.", .pool = QN_POOL_API,
	.auth = QN_AUTH_USER, .flags = QN_R_RECENT, .reply = &api_message_object,
	.rate = QN_RATE_ACCOUNT, .handler = me_delete},
    {QN_GET, "/.well-known/jwks.json", "account.jwks",
	"Show the keys that this app's tokens are signed with.", .pool = QN_POOL_API,
	.auth = QN_AUTH_PUBLIC, .missing = QN_NOT_FOUND, .content_type = "application/json",
	.handler = jwks_get},
};
API_TABLE(account_table, routes);
