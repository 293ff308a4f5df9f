/* What the ways of signing in by a provider share. */
#ifndef QUOIN_AUTH_OAUTH_PRIVATE_H
#define QUOIN_AUTH_OAUTH_PRIVATE_H

#include "quoin/auth/oauth.h"
#include "quoin/base/json.h"

struct qn_oauth_try {
	const struct qn_oauth_answer *in;
	const char *secret;
	int64_t until; /* monotonic µs */
	const char *why;
};

/* QN_BAD_CODE, after noting why. */
enum qn_err qn_oauth_refuse(struct qn_oauth_try *t, const char *why);
/* The JSON object at an address, asked for with an access token. */
enum qn_err qn_oauth_get(struct qn_oauth_try *t, const char *url, const char *access_token,
    struct qn_span *ret) QN_MUST_CHECK;
/* One JSON value of a bounded size and shape. */
bool qn_oauth_scan(struct qn_arena *a, struct qn_span text, struct qn_json_object *ret_root);
/* A string member of 1 to `most` bytes without control bytes, or NULL. */
const char *qn_oauth_str(
    struct qn_arena *a, const struct qn_json_object *o, const char *name, size_t most);

/* Both are given the token endpoint's answer. */
enum qn_err qn_oidc_profile(struct qn_oauth_try *t, const struct qn_json_object *tokens,
    struct qn_profile *ret) QN_MUST_CHECK;
enum qn_err qn_github_profile(struct qn_oauth_try *t, const struct qn_json_object *tokens,
    struct qn_profile *ret) QN_MUST_CHECK;

/* The access token, if it is one that can be sent; else NULL. */
const char *qn_oauth_access_token(struct qn_arena *a, const struct qn_json_object *tokens);

#endif
