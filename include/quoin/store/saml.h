/* SAML identity providers of mail domains, and the assertions of theirs that were accepted (CONTRACT D6, E52). */
#ifndef QUOIN_STORE_SAML_H
#define QUOIN_STORE_SAML_H

#include "quoin/store/db.h"

struct saml_connection {
	const char *id, *domain;
	const char *idp_entity;   /* what the provider is called */
	const char *idp_metadata; /* XML; NULL in lists */
};

/* Both QN_NOT_FOUND. */
enum qn_err saml_by_domain(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *domain, struct saml_connection *ret) QN_MUST_CHECK;
enum qn_err saml_by_id(struct qn_db *db, struct qn_arena *a, const char *app, const char *id,
    struct saml_connection *ret) QN_MUST_CHECK;

/* Makes or changes the one of this app and domain. QN_CONFLICT when another domain has this entity. */
enum qn_err saml_put(struct qn_db *db, struct qn_arena *a, const char *app,
    const struct saml_connection *in) QN_MUST_CHECK;
/* By domain: a list of struct saml_connection. */
enum qn_err saml_list(
    struct qn_db *db, struct qn_arena *a, const char *app, struct qn_list *ret) QN_MUST_CHECK;
/* QN_NOT_FOUND. */
enum qn_err saml_remove(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *domain) QN_MUST_CHECK;

/* Notes that an assertion was accepted; it is kept until `expires_s` (Unix time). QN_CONFLICT: it was before. */
enum qn_err saml_accept(struct qn_db *db, struct qn_arena *a, const char *connection,
    const char *assertion, int64_t expires_s) QN_MUST_CHECK;

#endif
