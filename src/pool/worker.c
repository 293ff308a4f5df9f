/* A worker of api, slow or ingest: one request after the other until it is told to leave. */
#include "quoin/pool/worker.h"

#include "quoin/api/tables.h"
#include "quoin/base/clock.h"
#include "quoin/base/rand.h"
#include "quoin/http/server.h"

/* How long it waits at a time: whoever changes the settings or ages is noticed at the latest then. */
enum { WAIT_MS = 1000 };

/* A limit, give or take a tenth, so that workers born together do not leave together. 0: none. */
static int64_t around(int64_t limit)
{
	uint32_t r;

	qn_random(&r, sizeof(r));
	return limit + (int64_t)(r % (uint64_t)(limit / 5 + 1)) - limit / 10;
}

int qn_worker_main(const struct qn_child *child)
{
	struct qn_server_spec spec = {.pool = child->pool,
	    .conf = child->conf,
	    .board = child->board,
	    .tally = child->tally,
	    .listen_fd = child->listen_fd,
	    .slot = child->slot,
	    .tables = qn_api_tables};
	struct qn_server *server = qn_server_new(&spec);
	int64_t requests = around(qn_conf_int(child->conf, QN_CONF_KEY_QUOIN_WORKER_REQUESTS));
	int64_t age = around(qn_conf_int(child->conf, QN_CONF_KEY_QUOIN_WORKER_AGE_S)) * 1000000;
	int64_t born = qn_mono_us(), done = 0;
	sigset_t mask;

	qn_child_wait_mask(&mask);
	qn_board_stage(child->board, child->slot, QN_STAGE_IDLE, -1);
	while (!qn_child_leaving()) {
		done += qn_server_step(server, WAIT_MS, &mask);
		bool worn =
		    (requests > 0 && done >= requests) || (age > 0 && qn_mono_us() - born >= age);
		/* While Postgres is away the next one would know of no app, and serve nobody. */
		if (worn && qn_board_live(child->board))
			break;
	}
	qn_board_stage(child->board, child->slot, QN_STAGE_LEAVE, -1);
	qn_server_free(server);
	return 0;
}
