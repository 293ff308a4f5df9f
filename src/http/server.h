/* What the files of src/http share about the worker that they serve in. */
#ifndef QUOIN_HTTP_SERVER_PRIVATE_H
#define QUOIN_HTTP_SERVER_PRIVATE_H

#include "quoin/auth/proofring.h"
#include "quoin/base/conf.h"
#include "quoin/http/request.h"
#include "quoin/http/server.h"

struct qn_server {
	struct qn_server_spec spec;
	struct qn_arena *arena;
	struct qn_fcgi *fcgi;
	struct qn_db *db;
	struct qn_cache *cache;
	struct qn_auth *auth;
	struct qn_tally *own_tally; /* where the spec has none */
	struct qn_limits *limits;
	struct qn_licences *licences;
	struct qn_routes *routes;
	struct qn_proof_ring *proof_keys;
	struct qn_hasher hasher;
	struct qn_turns calls;        /* out */
	struct qn_breached *breached; /* NULL: there is no list, or this is not the slow pool */
};

/* Whether this caller may use this route; fills r->who. */
enum qn_err qn_guard(struct qn_request *r) QN_MUST_CHECK;

/* Fills r->in and r->query by the tables of the route. */
enum qn_err qn_body_decode(struct qn_request *r) QN_MUST_CHECK;

/*
 * Runs the handler inside a transaction that also keeps its reply under the request's Idempotency-Key;
 * or fills the reply kept before. `print` makes the body of the reply.
 */
typedef enum qn_err qn_run_fn(struct qn_request *r);
enum qn_err qn_once(struct qn_request *r, qn_run_fn *run) QN_MUST_CHECK;

#endif
