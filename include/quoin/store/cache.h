/*
 * memcached: copies, never decisions (DESIGN §7). Every operation is short: a server that does not
 * answer within the time-out is left alone for a moment, and then everything is a miss. Keys are a
 * kind and the SHA-256 of what identifies the thing, so nothing of a client's reaches the protocol.
 */
#ifndef QUOIN_STORE_CACHE_H
#define QUOIN_STORE_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "quoin/base/arena.h"
#include "quoin/base/board.h"
#include "quoin/base/span.h"

struct qn_cache;

/* `servers`: a libmemcached configuration string; "" makes a cache that never has anything. */
struct qn_cache *qn_cache_new(
    const char *servers, const char *prefix, int64_t timeout_ms, struct qn_board *board);
void qn_cache_free(struct qn_cache *c);

/* The value, in the arena; false when it is not there or nobody answers. `kind` is a short word. */
bool qn_cache_get(
    struct qn_cache *c, struct qn_arena *a, const char *kind, const char *id, struct qn_span *ret);
/*
 * seconds: 1 to 2592000 (longer would be read as a date, CONTRACT K21). Failure is not an error: the
 * value that was there may stay. One of more than half a mebibyte is not kept, and takes the old one away.
 */
void qn_cache_set(
    struct qn_cache *c, const char *kind, const char *id, struct qn_span value, int64_t seconds);
void qn_cache_delete(struct qn_cache *c, const char *kind, const char *id);

/*
 * Adds `n` to a number that everyone adds to; where there is none any more it begins with `all`, which is what
 * this caller ever added, n included. It lives `seconds` from its beginning. false when nobody answers; then
 * it may have been added all the same.
 */
bool qn_cache_add(struct qn_cache *c, const char *kind, const char *id, uint64_t n, uint64_t all,
    int64_t seconds, uint64_t *ret_sum);

/* Whether it answers now. */
bool qn_cache_ping(struct qn_cache *c);

#endif
