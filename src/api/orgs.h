/* What the files about organizations share. */
#ifndef QUOIN_API_ORGS_H
#define QUOIN_API_ORGS_H

#include "api.h"

/*
 * Notes in the log of the request's organization what was done to `type` `id`. `details` as api_details gives
 * them. In the transaction that is open.
 */
enum qn_err org_audit(struct qn_request *r, const char *action, const char *type, const char *id,
    struct qn_span details) QN_MUST_CHECK;

/* A route of an organization: by a session or a bearer token, never by an API key. */
#define ORG(role_) \
	.pool = QN_POOL_API, .auth = QN_AUTH_USER, .tenant = "org_id", \
	.missing = QN_ORGANIZATION_NOT_FOUND, .role = (role_)

#endif
