/* Sign-ins by a provider that are under way, and what they end in (SECURITY T4-T6). */
#ifndef QUOIN_STORE_FLOW_H
#define QUOIN_STORE_FLOW_H

#include "quoin/base/rand.h"
#include "quoin/store/db.h"

struct flow {
	const char *provider_id, *nonce, *return_path;
	struct qn_span verifier_sealed;
};

/* Good for ten minutes. state: what the address bar holds, browser: what its cookie does. */
enum qn_err flow_put(struct qn_db *db, struct qn_arena *a, const char *app,
    const uint8_t state[QN_SHA256_LEN], const uint8_t browser[QN_SHA256_LEN],
    const struct flow *in) QN_MUST_CHECK;
/* Takes it: nobody else can, and another browser cannot. QN_NOT_FOUND. */
enum qn_err flow_take(struct qn_db *db, struct qn_arena *a, const char *app,
    const uint8_t state[QN_SHA256_LEN], const uint8_t browser[QN_SHA256_LEN],
    struct flow *ret) QN_MUST_CHECK;

/* Who a provider says it was; strings may be NULL but for issuer and subject. */
struct flow_identity {
	const char *issuer, *subject, *email;
	const char *first_name, *last_name, *name, *avatar_url;
	const char *domain; /* that its provider answers for; NULL: none */
	bool verified;      /* there is an email, and it may be believed to be the subject's */
};

enum flow_outcome { FLOW_KNOWN, FLOW_LINKED, FLOW_NEW, FLOW_EXISTS };
/* Finds, links or makes the user. FLOW_EXISTS: the address is another user's, and nothing was done. */
enum qn_err flow_sign_in(struct qn_db *db, struct qn_arena *a, const char *app,
    const struct flow_identity *who, enum flow_outcome *ret, const char **ret_user) QN_MUST_CHECK;

#endif
