/* One request, from the first parameter to the log line. Everything in it lives in its arena. */
#ifndef QUOIN_HTTP_REQUEST_H
#define QUOIN_HTTP_REQUEST_H

#include <stdbool.h>

#include "quoin/auth/limit.h"
#include "quoin/auth/principal.h"
#include "quoin/auth/proofkey.h"
#include "quoin/base/arena.h"
#include "quoin/http/accept.h"
#include "quoin/http/route.h"
#include "quoin/store/cache.h"
#include "quoin/store/db.h"

struct qn_server;

/* Where a body or a query departs from its table, for `errors` of the problem (422). */
struct qn_fault {
	const char *where; /* "body" or "query" */
	const char *field; /* "" for the whole */
	const char *msg;   /* static */
	const char *type;  /* static: "missing", "extra_forbidden", … */
};
enum { QN_FAULTS = 16 };

struct qn_request {
	struct qn_server *server;
	struct qn_arena *arena;
	struct qn_db *db;
	struct qn_cache *cache;
	struct qn_fcgi *fcgi;

	/* as it came */
	const char *id; /* request id */
	enum qn_method method;
	bool head;
	const char *path; /* canonical: decoded, no dot segments, no empty ones, valid UTF-8 */
	const char *query_string;
	const char *remote_addr;
	struct qn_span body;

	/* as it was understood */
	const struct qn_route *route; /* NULL: none matched */
	int route_index;
	unsigned allowed; /* methods of the path */
	const char *param[QN_PATH_PARAMS];
	int64_t param_int[QN_PATH_PARAMS];
	struct qn_principal who;
	void *in, *query; /* structs of route->body and route->query */

	/* as it is answered */
	const void *out;      /* struct of route->reply */
	struct qn_span raw;   /* or bytes of route->content_type */
	int status;           /* 0: that of the error, or 200 */
	const char *etag;     /* with its quotes */
	const char *next;     /* cursor of the next page */
	const char *location; /* of a redirect */
	const char
	    *set_cookie; /* the session's cookie: its value, "" to take it away, NULL to leave it */
	const char *set_flow;  /* likewise the cookie that binds a sign-in to its browser */
	int64_t retry_after_s; /* of an error; 0: that of its kind */
	struct qn_limit_state limits;
	const char *
	    revoked; /* a subject that this pool's board is to be told of after the commit, before Postgres does */
	bool replayed, escalate;
	bool without_effect; /* a handler's word: its answer is kept for no Idempotency-Key */
	const struct qn_proof_key *signer; /* of the reply; NULL: it is not signed */
	const char *nonce;                 /* of the request, for the signature; NULL: none */
	const char *why;                   /* for the log only */
	struct qn_fault faults[QN_FAULTS];
	size_t nfaults;
};

/* The reply of a handler: `out` is the struct that the route's reply describes. */
static inline enum qn_err qn_reply(struct qn_request *r, const void *out)
{
	r->out = out;
	return QN_OK;
}

void qn_fault_add(
    struct qn_request *r, const char *where, const char *field, const char *msg, const char *type);

/* Reads parameters, path and body. Refuses what is not one whole, unambiguous request (S5-S7, T29, T30). */
enum qn_err qn_request_read(struct qn_request *r) QN_MUST_CHECK;
/* After the route is known: its path parameters, and the body up to its size. */
enum qn_err qn_request_params(struct qn_request *r, const struct qn_match *m) QN_MUST_CHECK;
enum qn_err qn_request_body(struct qn_request *r) QN_MUST_CHECK;
/* Reads and forgets what is left of the body, so that the connection ends in order. */
void qn_request_drain(struct qn_request *r);

/* The value of a cookie; p NULL: none. Twice is refused, as nobody can say which of the two was meant. */
enum qn_err qn_request_cookie(
    const struct qn_request *r, const char *name, struct qn_span *ret) QN_MUST_CHECK;

/* The canonical path of a request target, in the arena; NULL when it has none. For tests and fuzzers too. */
const char *qn_path_canonical(struct qn_arena *a, const char *target, const char **ret_query);
/* Percent-decodes a query component ('+' is a space); NULL when it is not UTF-8 or has control bytes. */
const char *qn_query_decode(struct qn_arena *a, const char *p, size_t n);

#endif
