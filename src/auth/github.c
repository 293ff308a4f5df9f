/*
 * GitHub signs users in by OAuth alone: who it was is asked of its API, over a connection that we made and with
 * a token that we were just given (CONTRACT C6).
 */
#include <inttypes.h>

#include "oauth.h"

enum { NAME_MOST = 400, PICTURE_MOST = 2000, EMAIL_MOST = 320 };

static bool is_true(const struct qn_json_object *o, const char *name)
{
	struct qn_span value = qn_json_get(o, name);
	bool yes = false;

	return value.p != NULL && qn_json_bool(value, &yes) && yes;
}

/* The address that is both primary and verified; the one of the profile may be anybody's. */
static enum qn_err read_emails(struct qn_oauth_try *t, const char *access, struct qn_profile *ret)
{
	struct qn_arena *a = t->in->arena;
	struct qn_span text, *list = NULL;
	struct qn_json_object o;
	size_t n = 0;

	QN_TRY(qn_oauth_get(t, t->in->provider->emails_url, access, &text));
	if (!qn_oauth_scan(a, text, NULL) || !qn_json_elements(a, text, &list, &n))
		return qn_oauth_refuse(t, "the list of addresses is none");
	for (size_t i = 0; i < n && ret->email == NULL; i++) {
		if (!qn_json_members(a, list[i], &o) || !is_true(&o, "primary") ||
		    !is_true(&o, "verified"))
			continue;
		ret->email = qn_oauth_str(a, &o, "email", EMAIL_MOST);
		ret->email_verified = ret->email != NULL;
	}
	return QN_OK;
}

enum qn_err qn_github_profile(
    struct qn_oauth_try *t, const struct qn_json_object *tokens, struct qn_profile *ret)
{
	struct qn_arena *a = t->in->arena;
	const char *access = qn_oauth_access_token(a, tokens);
	struct qn_json_object o = {NULL, 0};
	struct qn_span text;
	int64_t id;

	if (access == NULL) /* what it refuses comes with a 200, too */
		return qn_oauth_refuse(t, "there is no access token");
	QN_TRY(qn_oauth_get(t, t->in->provider->userinfo_url, access, &text));
	if (!qn_oauth_scan(a, text, &o) || !qn_json_i64(qn_json_get(&o, "id"), &id) || id <= 0)
		return qn_oauth_refuse(t, "the user has no id");
	ret->subject = qn_printf(a, "%" PRId64, id);
	ret->name = qn_oauth_str(a, &o, "name", NAME_MOST);
	if (ret->name == NULL)
		ret->name = qn_oauth_str(a, &o, "login", NAME_MOST);
	ret->picture = qn_oauth_str(a, &o, "avatar_url", PICTURE_MOST);
	return read_emails(t, access, ret);
}
