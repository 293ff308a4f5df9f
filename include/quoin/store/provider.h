/* Identity providers: the clients that an app is at others who may sign its users in (CONTRACT C3-C6, D6, E52). */
#ifndef QUOIN_STORE_PROVIDER_H
#define QUOIN_STORE_PROVIDER_H

#include "quoin/store/db.h"

struct provider {
	const char *id, *app_id;
	const char *name; /* NULL: of a domain */
	const char
	    *domain;      /* of the addresses that it signs in; NULL: offered to all by its name */
	const char *kind; /* "oidc" or "github" */
	const char *issuer, *client_id;
	const char *token_auth; /* how we prove who we are there: "basic" or "post" */
	const char *authorize_url, *token_url;
	const char *userinfo_url, *emails_url, *jwks_url; /* NULL: it has none */
	const char *scopes;                               /* with spaces between */
	qn_tri trusted_email;
	struct qn_span secret_sealed; /* of provider_by_id alone */
	struct qn_span jwks;          /* likewise; absent until it was fetched */
	qn_time fetched_at;
};

/* What signing in needs to begin: neither secret nor keys. Both QN_NOT_FOUND. */
enum qn_err provider_by_name(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *name, struct provider *ret) QN_MUST_CHECK;
enum qn_err provider_by_domain(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *domain, struct provider *ret) QN_MUST_CHECK;
/* All of it. QN_NOT_FOUND. */
enum qn_err provider_by_id(
    struct qn_db *db, struct qn_arena *a, const char *id, struct provider *ret) QN_MUST_CHECK;

/* Makes or changes the one of this app and name or domain. Its id stays: *ret_id. */
enum qn_err provider_put(struct qn_db *db, struct qn_arena *a, const struct provider *in,
    const char **ret_id) QN_MUST_CHECK;
/* Its secret, sealed for its id. */
enum qn_err provider_set_secret(
    struct qn_db *db, struct qn_arena *a, const char *id, struct qn_span sealed) QN_MUST_CHECK;
/* Removes those of the app that have a name which is not in `keep` (a JSON array of strings). */
enum qn_err provider_prune(
    struct qn_db *db, struct qn_arena *a, const char *app, struct qn_span keep) QN_MUST_CHECK;
/* Those of domains, by domain: a list of struct provider. */
enum qn_err provider_domains(
    struct qn_db *db, struct qn_arena *a, const char *app, struct qn_list *ret) QN_MUST_CHECK;
/* QN_NOT_FOUND. */
enum qn_err provider_remove_domain(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *domain) QN_MUST_CHECK;

/* As issuer_claim, issuer_settle and issuer_under_way (store/app.h), of a provider's key set. */
enum qn_err provider_claim(
    struct qn_db *db, struct qn_arena *a, const char *id, bool *ret_mine) QN_MUST_CHECK;
enum qn_err provider_settle(struct qn_db *db, struct qn_arena *a, const char *id,
    struct qn_span jwks, const char *failure) QN_MUST_CHECK;
enum qn_err provider_under_way(
    struct qn_db *db, struct qn_arena *a, const char *id, bool *ret) QN_MUST_CHECK;

#endif
