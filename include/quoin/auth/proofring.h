/* The keys for licences that a worker has at hand: unsealed once, not for every reply. */
#ifndef QUOIN_AUTH_PROOFRING_H
#define QUOIN_AUTH_PROOFRING_H

#include "quoin/auth/proofkey.h"
#include "quoin/auth/registry.h"

struct qn_proof_ring;

struct qn_proof_ring *qn_proof_ring_new(const struct qn_conf *conf);
void qn_proof_ring_free(struct qn_proof_ring *ring); /* wipes the keys */

/*
 * The key that an app's licences are proved with now, made when the app has none; it lives until `a` is reset.
 * It is read again when `generation` (that of the registry that has the app) is another than then, and every half
 * minute, as the time of a new key to sign comes by itself. Only a key that the app's set publishes is kept: another
 * may be of a transaction that is rolled back. While Postgres is away the last one serves. Else the errors of
 * qn_app_proof_key().
 */
enum qn_err qn_proof_ring_get(struct qn_proof_ring *ring, struct qn_db *db, struct qn_arena *a,
    const struct qn_app *app, uint32_t generation, const struct qn_proof_key **ret) QN_MUST_CHECK;

#endif
