/* The loop of a worker that answers requests: DESIGN §4, one way for every one of them. */
#ifndef QUOIN_HTTP_SERVER_H
#define QUOIN_HTTP_SERVER_H

#include <signal.h>
#include <stdbool.h>

#include "quoin/auth/breached.h"
#include "quoin/auth/licencecheck.h"
#include "quoin/auth/limit.h"
#include "quoin/auth/password.h"
#include "quoin/base/board.h"
#include "quoin/base/conf.h"
#include "quoin/http/route.h"

struct qn_server;
struct qn_request;
struct qn_proof_key;

struct qn_server_spec {
	enum qn_pool pool;
	const struct qn_conf *conf;
	struct qn_board *board;
	struct qn_tally *tally; /* NULL: one of its own */
	int listen_fd, slot;
	const struct qn_route_table *const *tables; /* NULL-terminated */
};

struct qn_server *qn_server_new(const struct qn_server_spec *spec);
void qn_server_free(struct qn_server *s);

/* Waits up to timeout_ms for one request and answers it. Whether there was one. */
bool qn_server_step(struct qn_server *s, int timeout_ms, const sigset_t *mask);
/* Answers the request that a connected socket carries. For tests and fuzzers. */
bool qn_server_take(struct qn_server *s, int fd);

/* For handlers. */
const struct qn_conf *qn_server_conf(const struct qn_server *s);
const struct qn_board *qn_server_board(const struct qn_server *s);
const struct qn_routes *qn_server_routes(const struct qn_server *s);
struct qn_limits *qn_server_limits(const struct qn_server *s);
struct qn_licences *qn_server_licences(const struct qn_server *s);
const struct qn_hasher *qn_server_hasher(const struct qn_server *s);
/*
 * The key that licences of the request's app are proved with now, until the request is over (auth/proof.h). QN_DB_DOWN;
 * QN_INTERNAL: it was sealed under another QUOIN_SECRET_KEY.
 */
enum qn_err qn_server_proof_key(
    struct qn_request *r, const struct qn_proof_key **ret) QN_MUST_CHECK;
/* The list of breached passwords: NULL when there is none, and outside the slow pool. */
const struct qn_breached *qn_server_breached(const struct qn_server *s);

#endif
