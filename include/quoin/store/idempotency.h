/* Replies kept for a day, so that a request sent twice has one effect (SECURITY T39). */
#ifndef QUOIN_STORE_IDEMPOTENCY_H
#define QUOIN_STORE_IDEMPOTENCY_H

#include "quoin/store/db.h"

struct idempotency_key {
	const char *app, *principal;
	uint8_t key[32];     /* SHA-256 of route and key */
	uint8_t request[32]; /* SHA-256 of what was asked */
};

struct idempotency_reply {
	int64_t status; /* 0: the key is new, go on */
	struct qn_span body;
	const char *etag;
};

/*
 * Inside the transaction of the effect: takes the key. QN_IN_PROGRESS while another transaction has
 * it, QN_KEY_REUSED when it stands for another request, and the kept reply when there is one.
 */
enum qn_err idempotency_take(struct qn_db *db, struct qn_arena *a, const struct idempotency_key *k,
    struct idempotency_reply *ret) QN_MUST_CHECK;
/* Outside any transaction: the kept reply, or status 0. QN_KEY_REUSED. */
enum qn_err idempotency_look(struct qn_db *db, struct qn_arena *a, const struct idempotency_key *k,
    struct idempotency_reply *ret) QN_MUST_CHECK;
/* QN_RETRY when another transaction kept one since: roll back and take it. */
enum qn_err idempotency_keep(struct qn_db *db, struct qn_arena *a, const struct idempotency_key *k,
    const struct idempotency_reply *reply) QN_MUST_CHECK;
/* Drops those older than a day, a thousand at most; how many there were. */
enum qn_err idempotency_prune(struct qn_db *db, struct qn_arena *a, int64_t *ret_n) QN_MUST_CHECK;

#endif
