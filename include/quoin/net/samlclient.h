/*
 * Questions to quoin-saml, the process that reads SAML 2.0 (CONTRACT D6, E52; src/saml/verbs.h has the words).
 * It is on this host and may be missing: then nobody signs in by SAML, and all else works.
 */
#ifndef QUOIN_NET_SAMLCLIENT_H
#define QUOIN_NET_SAMLCLIENT_H

#include <stdint.h>

#include "quoin/base/arena.h"
#include "quoin/base/err.h"

/* Whom it is asked for. */
struct qn_saml_sides {
	const char *socket;    /* path of quoin-saml's */
	int64_t timeout_ms;    /* of the whole exchange */
	const char *sp_entity; /* what we are called */
	const char *acs;       /* URL that responses are posted to */
	const char *idp;       /* metadata of the identity provider, XML */
};

/* A request to an identity provider. In the arena. */
struct qn_saml_asked {
	const char *url; /* send the browser there */
	const char *id;  /* of the request: responses name it */
	const char *idp; /* entity id of the provider */
};

/* What an identity provider says of somebody. In the arena; those from session_index on may be NULL. */
struct qn_saml_subject {
	const char *issuer, *name_id, *assertion_id;
	int64_t expires_s; /* Unix time until which the assertion could be shown again */
	const char *session_index, *email, *first_name, *last_name;
};

/* Metadata that an identity provider wants of us. */
const char *qn_saml_metadata(struct qn_arena *a, const char *sp_entity, const char *acs);

/*
 * Both: QN_OK; QN_DENIED when quoin-saml refuses, and *ret_why is its reason; QN_DB_DOWN when it does not
 * answer in time, and *ret_why is for operators.
 */
enum qn_err qn_saml_request(struct qn_arena *a, const struct qn_saml_sides *sides,
    const char *relay_state, struct qn_saml_asked *ret, const char **ret_why) QN_MUST_CHECK;
/* `response` is the base64 text as it was posted, `request_id` what qn_saml_request gave. */
enum qn_err qn_saml_response(struct qn_arena *a, const struct qn_saml_sides *sides,
    const char *response, const char *request_id, struct qn_saml_subject *ret,
    const char **ret_why) QN_MUST_CHECK;

#endif
