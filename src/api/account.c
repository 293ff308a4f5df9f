/* The caller. Accounts proper have their room here. */
#include <ctype.h>

#include "api.h"

struct me {
	const char *id, *email, *display_name, *tier;
	qn_time created_at;
};

struct me_reply {
	const struct me *user;
};

static const struct qn_field me_fields[] = {
    QN_FIELD(struct me, id, STR, 0, 0, 0, "Id of the user."),
    QN_FIELD(struct me, email, STR, QN_F_NULLABLE, 0, 320, "Address."),
    QN_FIELD(struct me, display_name, STR, QN_F_NULLABLE, 0, 200, "Shown name."),
    QN_FIELD(struct me, tier, STR, 0, 0, 0, "The plan, in the app's spelling."),
    QN_FIELD(struct me, created_at, TIME, 0, 0, 0, "When the account was made."),
};
static const struct qn_object me_object = QN_OBJECT("User", struct me, me_fields);

static const struct qn_field me_reply_fields[] = {
    QN_FIELD_SUB(struct me_reply, user, OBJ, 0, &me_object, "The caller."),
};
static const struct qn_object me_reply_object =
    QN_OBJECT("UserReply", struct me_reply, me_reply_fields);

/* Tiers are stored in lower case and shown as the app spells them (CONTRACT K6). */
static const char *shown_tier(struct qn_arena *a, const struct qn_app *app, const char *plan)
{
	char *tier = qn_strdup(a, plan);

	for (char *p = tier; app->tier_upper && *p != '\0'; p++)
		*p = (char)toupper((unsigned char)*p);
	return tier;
}

static enum qn_err me_get(struct qn_request *r)
{
	struct me *me = qn_new(r->arena, struct me);
	struct me_reply *out = qn_new(r->arena, struct me_reply);
	struct user user;

	QN_TRY(user_by_id(r->db, r->arena, r->who.app->id, r->who.user_id, &user));
	*me = (struct me){
	    .id = qn_printf(r->arena, "%s%s", r->who.app->id_prefix, user.id),
	    .email = user.email,
	    .display_name = user.display_name,
	    .tier = shown_tier(r->arena, r->who.app, user.plan),
	    .created_at = user.created_at,
	};
	out->user = me;
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
