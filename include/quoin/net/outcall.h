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
	struct qn_span form;         /* of qn_outcall_post; the body of qn_outcall_tell */
	const char *const *headers;  /* more lines of the head, NULL at the end */
	const char *user, *password; /* Authorization: Basic */
	const char *bearer; /* Authorization: Bearer; of the characters of RFC 6750 §2.1 */
	const char *method; /* of qn_outcall_any */
};

/* What qn_outcall_any was answered. */
struct qn_outcall_answer {
	long status;
	struct qn_span body;
	const char *retry_after, *should_retry; /* of those headers; NULL: not there */
};

/* GET. QN_OK for a 200 whole within size and time; else QN_DB_DOWN and *ret_why, static, for operators. */
enum qn_err qn_outcall_get(struct qn_arena *a, const struct qn_outcall *call,
    struct qn_span *ret_body, const char **ret_why) QN_MUST_CHECK;
/* The same, but a POST of call->form. */
enum qn_err qn_outcall_post(struct qn_arena *a, const struct qn_outcall *call,
    struct qn_span *ret_body, const char **ret_why) QN_MUST_CHECK;
/* call->method, with call->form when there is one. QN_OK for any status whole within size and time. */
enum qn_err qn_outcall_any(struct qn_arena *a, const struct qn_outcall *call,
    struct qn_outcall_answer *ret, const char **ret_why) QN_MUST_CHECK;

/* What was said to a call that only tells something. */
struct qn_outcall_told {
	int64_t status;      /* of an answer, whatever it is; 3xx are not followed */
	struct qn_span text; /* how its body begins: call->most bytes of it */
	int64_t us;
	const char
	    *why; /* NULL: there was an answer; else static, and one that a client may read */
};

/*
 * POST of call->form. An answer needs no more than a status; what comes behind the first 64 KiB of it is not read.
 * Nobody learns from *ret whether a name that leads to no public address exists.
 */
void qn_outcall_tell(
    struct qn_arena *a, const struct qn_outcall *call, struct qn_outcall_told *ret);

/*
 * What is wrong with a URL that a client gave, static; NULL when it may be called as far as its text tells: https
 * (with local_ok also http), a host, no password, no fragment, and no address that is not public.
 */
const char *qn_outcall_fault(const char *url, bool local_ok);

#endif
