/*
 * Tokens that this worker has verified lately, least recently used out first. It only saves work:
 * what it says is a minute old at most, and its caller compares the generation with the revocation
 * board (base/board.h) before believing it. Private to a process; no locks.
 */
#ifndef QUOIN_AUTH_TOKENCACHE_H
#define QUOIN_AUTH_TOKENCACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "quoin/base/clock.h"
#include "quoin/base/rand.h"
#include "quoin/base/span.h"

#define QN_TOKENCACHE_ENTRIES 1024
#define QN_TOKENCACHE_BYTES   ((size_t)512 * 1024) /* all of a cache, at most */
#define QN_TOKENCACHE_AGE_S   60

struct qn_tokencache;

/* SHA-256 of a token and its realm: the app, say, for two may judge one token differently. */
struct qn_tokencache_key {
	uint8_t digest[QN_SHA256_LEN];
};

struct qn_moment {
	qn_time wall;    /* qn_now() */
	int64_t mono_us; /* qn_mono_us() */
};

/*
 * `value_size` is that of the one kind of record that the cache will hold. The caller owns the
 * result; pages are touched only as they are used. A record of 416 bytes fits
 * QN_TOKENCACHE_ENTRIES times. NULL when `entries` is 0 or all would be more
 * than QN_TOKENCACHE_BYTES.
 */
struct qn_tokencache *qn_tokencache_new(size_t entries, size_t value_size)
    __attribute__((warn_unused_result));
/* The same of `bytes` at most, for records that may be `age_s` old. */
struct qn_tokencache *qn_tokencache_new_of(size_t entries, size_t value_size, size_t bytes,
    int64_t age_s) __attribute__((warn_unused_result));
void qn_tokencache_free(struct qn_tokencache *c); /* wipes it */

struct qn_tokencache_key qn_tokencache_key(const char *realm, struct qn_span token);

/*
 * The record put there under this key, while it is fresh by both clocks; NULL otherwise, and then
 * an entry that is no longer fresh is gone. Lives until the next call that is given the cache
 * without const. *ret_generation is what was put there with it, written only when there is a
 * record.
 */
const void *qn_tokencache_get(struct qn_tokencache *c, const struct qn_tokencache_key *key,
    struct qn_moment now, uint32_t *ret_generation);

/*
 * Copies `value_size` bytes in (not from the cache itself), over an older entry of this key, and
 * wipes the entry that has to leave. It is fresh until the token's `exp`, QN_TOKENCACHE_AGE_S at
 * most. `generation` must have been read from the board before the record was made: a revocation
 * in between is then noticed.
 */
void qn_tokencache_put(struct qn_tokencache *c, const struct qn_tokencache_key *key,
    const void *value, uint32_t generation, qn_time exp, struct qn_moment now);

/* And wipes it. Nothing to do when there is none. */
void qn_tokencache_drop(struct qn_tokencache *c, const struct qn_tokencache_key *key);

/* Everything, wiped: when issuers or their keys have changed. */
void qn_tokencache_clear(struct qn_tokencache *c);

#endif
