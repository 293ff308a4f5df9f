/* What the files about licences share. */
#ifndef QUOIN_API_LICENCES_H
#define QUOIN_API_LICENCES_H

#include "api.h"
#include "quoin/auth/licencecheck.h"
#include "quoin/store/licence.h"

/* Who did it, as the functions of the database note it: a JSON object. */
struct qn_span api_licence_by(struct qn_request *r);
/* What is kept of it is not believed any more, once this request is committed: the very next question sees it. */
void api_licence_changed(struct qn_request *r, const char *id);
/* The caller of a route about one licence; staff is whoever administers the deployment. */
struct licence_who api_licence_who(const struct qn_request *r);
/* A new key for a plan of the app; NULL: its lowest. */
void api_licence_key(const struct qn_request *r, const char *plan, struct qn_licence_key *ret);
/* The key of the licence that each user has (X2, X3); NULL where the app's file does not ask for one. */
enum qn_err api_licence_of_user(
    struct qn_request *r, const char *user, const char **ret) QN_MUST_CHECK;

/* Of a key as a person or program sends it, with space around it perhaps. */
enum { API_LICENCE_KEY_MOST = QN_LICENCE_KEY_MAX + 32 };

#define LICENCE_ONE \
	.pool = QN_POOL_API, .auth = QN_AUTH_USER, .tenant = "license_id", \
	.missing = QN_LICENCE_NOT_FOUND

#endif
