/*
 * Calls to Stripe's API (CONTRACT A22-A26, C11-C14, D25-D28, E35; SECURITY F28). The version is pinned, so that
 * what comes back does not change with the account. What may have failed on the way is tried again with the same
 * Idempotency-Key, and so has one effect. Only slow and jobs call.
 */
#ifndef QUOIN_NET_STRIPE_H
#define QUOIN_NET_STRIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "quoin/base/arena.h"
#include "quoin/base/buf.h"
#include "quoin/base/conf.h"
#include "quoin/base/err.h"
#include "quoin/base/json.h"

/* The first with periods in the lines of a subscription and confirmation secrets (CONTRACT S). */
#define QN_STRIPE_VERSION "2025-03-31.basil"

enum { QN_STRIPE_KEY_MAX = 255, QN_STRIPE_FORM_BYTES = 16384 };

/* One account. All outlive the calls. */
struct qn_stripe {
	const struct qn_conf *conf;
	struct qn_arena *arena;
	const char *base; /* without a slash at the end */
	const char *key;  /* secret */
};

struct qn_stripe_ask {
	const char *method, *path; /* "POST", "/v1/customers"; a GET's query is part of the path */
	const struct qn_buf
	    *form; /* of a POST; NULL: empty. Names are nested as "items[0][price]" */
	const char
	    *idempotency_key; /* a POST must have one; printable ASCII, QN_STRIPE_KEY_MAX at most */
};

/*
 * QN_OK and the object. QN_PAYMENT_REFUSED: it says no, and *ret_why what (its code, or its message); QN_NOT_FOUND;
 * QN_KEY_REUSED: the Idempotency-Key was used with other parameters; QN_BILLING: it does not know the key;
 * QN_PAYMENT_DOWN: it cannot be reached, or not now, also after trying again for some seconds. *ret_why is for
 * operators, in the arena.
 */
enum qn_err qn_stripe_call(const struct qn_stripe *s, const struct qn_stripe_ask *ask,
    struct qn_json_object *ret, const char **ret_why) QN_MUST_CHECK;

/* What is wrong with the address of an API, or NULL. http is for this host, and for QUOIN_OUTBOUND_LOCAL. */
const char *qn_stripe_base_fault(const struct qn_conf *conf, const char *base);

/* A string member, or NULL. */
const char *qn_stripe_str(struct qn_arena *a, const struct qn_json_object *o, const char *name);
/* A member that is an object; false: it is none. */
bool qn_stripe_object(struct qn_arena *a, const struct qn_json_object *o, const char *name,
    struct qn_json_object *ret);
/* The id in a member that is an id or a whole object, as expand wanted it; NULL: neither. */
const char *qn_stripe_id(struct qn_arena *a, const struct qn_json_object *o, const char *name);

#endif
