/* What the caller's credential is worth, without a look at any table: for clients, gateways and SDKs. */
#include "signin.h"

struct whoami {
	const char *user_id, *tier, *kind, *scopes, *session_id, *key_id;
	int64_t aal;
	qn_tri mfa_enabled;
};

static const char *const kinds[] = {"token", "session", "api_key", NULL};

static const struct qn_field whoami_fields[] = {
    QN_FIELD(struct whoami, user_id, STR, 0, 0, 0, "Id of the user."),
    QN_FIELD(struct whoami, tier, STR, 0, 0, 0, "The plan, in the app's spelling."),
    QN_FIELD_ENUM(struct whoami, kind, 0, kinds, NULL, "What was shown."),
    QN_FIELD(
	struct whoami, scopes, STR, QN_F_OPTIONAL, 0, 0, "Of an API key, with spaces between."),
    QN_FIELD(
	struct whoami, session_id, STR, QN_F_OPTIONAL, 0, 0, "The session that it belongs to."),
    QN_FIELD(struct whoami, key_id, STR, QN_F_OPTIONAL, 0, 0, "The API key."),
    QN_FIELD(struct whoami, aal, I64, 0, 1, 2, "2 when a second factor was shown, else 1."),
    QN_FIELD(struct whoami, mfa_enabled, BOOL, 0, 0, 0, "Whether there is a second factor."),
};
static const struct qn_object whoami_object = QN_OBJECT("Whoami", struct whoami, whoami_fields);

static const char *given(const char *s)
{
	return s[0] != '\0' ? s : NULL;
}

static enum qn_err whoami(struct qn_request *r)
{
	struct whoami *out = qn_new(r->arena, struct whoami);
	const struct qn_principal *w = &r->who;

	*out = (struct whoami){
	    .user_id = qn_printf(r->arena, "%s%s", w->app->id_prefix, w->user_id),
	    .tier = api_shown_tier(r, w->plan),
	    .kind = kinds[w->key_id[0] != '\0' ? 2
			  : w->cookie          ? 1
					       : 0],
	    .scopes = given(w->scopes),
	    .session_id = given(w->session_id),
	    .key_id = given(w->key_id),
	    .aal = w->aal,
	    .mfa_enabled = w->mfa ? 1 : 0,
	};
	return qn_reply(r, out);
}

static const struct qn_route routes[] = {
    {QN_GET, "/api/v1/auth/whoami", "auth.whoami", "Say what the credential shown is worth.",
	.pool = QN_POOL_API, .auth = QN_AUTH_USER | QN_AUTH_KEY, .flags = QN_R_ONE_FACTOR,
	.reply = &whoami_object, .rate = QN_RATE_ACCOUNT, .handler = whoami},
};
API_TABLE(whoami_table, routes);
