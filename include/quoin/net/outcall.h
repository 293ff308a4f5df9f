/*
 * Calls to third parties, through libcurl, which is seen nowhere but in src/net. Every call has a
 * deadline and a size; redirects and proxies are not followed; addresses that are not public are
 * refused after the name was resolved (SECURITY T24). Only slow and jobs make them.
 */
#ifndef QUOIN_NET_OUTCALL_H
#define QUOIN_NET_OUTCALL_H

#include <stdbool.h>
#include <stdint.h>

#include "quoin/base/arena.h"
#include "quoin/base/err.h"
#include "quoin/base/span.h"

struct qn_outcall {
	const char *url;
	int64_t timeout_ms;
	size_t most;   /* bytes of the answer */
	bool local_ok; /* http:// and addresses that are not public: QUOIN_OUTBOUND_LOCAL */
	/* The rest may be left out. */
	bool json;                   /* says that it wants JSON */
	struct qn_span form;         /* of qn_outcall_post */
	const char *user, *password; /* Authorization: Basic */
	const char *bearer; /* Authorization: Bearer; of the characters of RFC 6750 §2.1 */
};

/* GET. QN_OK for a 200 whole within size and time; else QN_DB_DOWN and *ret_why, static, for operators. */
enum qn_err qn_outcall_get(struct qn_arena *a, const struct qn_outcall *call,
    struct qn_span *ret_body, const char **ret_why) QN_MUST_CHECK;
/* The same, but a POST of call->form. */
enum qn_err qn_outcall_post(struct qn_arena *a, const struct qn_outcall *call,
    struct qn_span *ret_body, const char **ret_why) QN_MUST_CHECK;

#endif
