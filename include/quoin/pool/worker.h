/* What the children of a pool's master do (master.h): each runs until qn_child_leaving(). */
#ifndef QUOIN_POOL_WORKER_H
#define QUOIN_POOL_WORKER_H

#include "quoin/pool/master.h"

int qn_worker_main(const struct qn_child *child); /* api, slow, ingest: answers FastCGI requests */
int qn_jobs_main(const struct qn_child *child);   /* jobs: takes work from the queue */
int qn_listener_main(
    const struct qn_child *child); /* every pool: hears Postgres, moves the board */

#endif
