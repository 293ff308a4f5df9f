/*
 * Signing in by a provider: authorization code with PKCE (RFC 6749 §4.1, RFC 7636, OpenID Connect Core §3.1, and
 * GitHub's own way). What a provider answers is not believed before it was checked (SECURITY T1-T6).
 */
#ifndef QUOIN_AUTH_OAUTH_H
#define QUOIN_AUTH_OAUTH_H

#include <stdbool.h>

#include "quoin/auth/opaque.h"
#include "quoin/base/conf.h"
#include "quoin/store/provider.h"

/* What is made up for one sign-in; the caller wipes it. */
struct qn_oauth_flow {
	struct qn_opaque state;    /* in the address bar */
	struct qn_opaque browser;  /* in the browser's cookie */
	struct qn_opaque nonce;    /* in the ID token */
	struct qn_opaque verifier; /* of PKCE: its hash is the challenge */
};
void qn_oauth_flow_new(struct qn_oauth_flow *ret);

/* Where the browser is sent to. In the arena. */
const char *qn_oauth_address(struct qn_arena *a, const struct provider *p,
    const struct qn_oauth_flow *f, const char *redirect_uri);

/* The verifier while the browser is away: sealed for the hash of its state. In the arena; false: no secret. */
bool qn_oauth_seal_verifier(const struct qn_conf *conf, struct qn_arena *a,
    const uint8_t state[QN_SHA256_LEN], const struct qn_opaque *verifier,
    struct qn_span *ret) QN_MUST_CHECK;
bool qn_oauth_open_verifier(const struct qn_conf *conf, struct qn_arena *a,
    const uint8_t state[QN_SHA256_LEN], struct qn_span sealed, const char **ret) QN_MUST_CHECK;

/* A client secret as it is stored: sealed for the id of its provider. */
bool qn_provider_seal(const struct qn_conf *conf, struct qn_arena *a, const char *provider_id,
    const char *secret, struct qn_span *ret) QN_MUST_CHECK;

/* Who it was. Strings may be NULL but for subject; not longer than their columns but for names. */
struct qn_profile {
	const char *subject;
	const char *email;   /* an address by its form (net/address.h) */
	bool email_verified; /* the provider says so, with the JSON value true */
	const char *first_name, *last_name, *name;
	const char *picture; /* http:// or https:// */
};

struct qn_oauth_answer {
	const struct qn_conf *conf;
	struct qn_db *db;
	struct qn_arena *arena;
	const struct provider *provider; /* all of it: provider_by_id */
	const char *redirect_uri, *code, *verifier, *nonce;
};

/*
 * Exchanges the code and finds out who it was. All calls together have the deadline of one
 * (QUOIN_OUTBOUND_TIMEOUT_MS), but for keys that somebody else is fetching. QN_BAD_CODE, and *ret_why for the
 * log, whatever the reason; QN_DB_DOWN when it is our own.
 */
enum qn_err qn_oauth_finish(const struct qn_oauth_answer *answer, struct qn_profile *ret,
    const char **ret_why) QN_MUST_CHECK;

/*
 * What an OpenID provider says of itself (OpenID Connect Discovery §4): fills kind, issuer, token_auth and the
 * addresses of *ret. It must name `issuer` to the byte. QN_INVALID and *ret_why, static.
 */
enum qn_err qn_oidc_discover(const struct qn_conf *conf, struct qn_arena *a, const char *issuer,
    struct provider *ret, const char **ret_why) QN_MUST_CHECK;

/* Whether it is the address of an endpoint: https (or http, where QUOIN_OUTBOUND_LOCAL), a host, no fragment. */
bool qn_oauth_url_ok(const struct qn_conf *conf, const char *url);

#endif
