/* The caller. */
#include "signin.h"

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

static enum qn_err jwks_get(struct qn_request *r)
{
	r->raw = qn_span_of(r->who.app->own_jwks);
	return QN_OK;
}

static const struct qn_route routes[] = {
    {QN_GET, "/api/v1/me", "account.me", "Show the caller.", .pool = QN_POOL_API,
	.auth = QN_AUTH_USER | QN_AUTH_KEY, .reply = &me_reply_object, .handler = me_get},
    {QN_GET, "/.well-known/jwks.json", "account.jwks",
	"Show the keys that this app's tokens are signed with.", .pool = QN_POOL_API,
	.auth = QN_AUTH_PUBLIC, .missing = QN_NOT_FOUND, .content_type = "application/json",
	.handler = jwks_get},
};
API_TABLE(account_table, routes);
