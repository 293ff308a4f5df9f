#include "quoin/store/cache.h"

#include <inttypes.h>
#include <libmemcached/memcached.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quoin/base/clock.h"
#include "quoin/base/log.h"
#include "quoin/base/rand.h"

enum { KEY_MAX = 40 + 16 + 2 * QN_SHA256_LEN + 2 };

/* After a failure memcached is not asked for this long. */
#define REST_US 1000000

/* Well below the mebibyte above which memcached refuses an item: what is larger is no copy worth keeping. */
enum { VALUE_MAX = 512 * 1024 };

struct qn_cache {
	memcached_st *mc; /* NULL: no cache */
	struct qn_board *board;
	char prefix[41];
	int64_t rest_until; /* monotonic µs */
};

static void set_up(memcached_st *mc, int64_t timeout_ms)
{
	uint64_t ms = (uint64_t)timeout_ms, us = ms * 1000;

	memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_VERIFY_KEY, 1);
	memcached_behavior_set(
	    mc, MEMCACHED_BEHAVIOR_DISTRIBUTION, MEMCACHED_DISTRIBUTION_CONSISTENT_KETAMA);
	memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_POLL_TIMEOUT, ms);
	memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_CONNECT_TIMEOUT, ms);
	memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_SND_TIMEOUT, us);
	memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_RCV_TIMEOUT, us);
	memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_TCP_NODELAY, 1);
}

struct qn_cache *qn_cache_new(
    const char *servers, const char *prefix, int64_t timeout_ms, struct qn_board *board)
{
	struct qn_cache *c = calloc(1, sizeof(*c));

	if (c == NULL)
		qn_fatal("out of memory");
	c->board = board;
	snprintf(c->prefix, sizeof(c->prefix), "%s", prefix);
	for (const char *p = prefix; *p != '\0'; p++)
		if (*p <= ' ' || *p == 0x7f)
			qn_fatal("MEMCACHED_PREFIX must be of printable ASCII without spaces");
	if (servers[0] == '\0')
		return c;
	c->mc = memcached(servers, strlen(servers));
	if (c->mc == NULL)
		qn_fatal("MEMCACHED_SERVERS is not understood: %s", servers);
	set_up(c->mc, timeout_ms);
	return c;
}

void qn_cache_free(struct qn_cache *c)
{
	if (c == NULL)
		return;
	if (c->mc != NULL)
		memcached_free(c->mc);
	free(c);
}

static size_t make_key(
    const struct qn_cache *c, const char *kind, const char *id, char key[KEY_MAX])
{
	uint8_t digest[QN_SHA256_LEN];
	char hex[2 * QN_SHA256_LEN + 1];

	qn_sha256(id, strlen(id), digest);
	qn_hex(digest, sizeof(digest), hex);
	return (size_t)snprintf(key, KEY_MAX, "%s%.15s:%s", c->prefix, kind, hex);
}

static bool resting(const struct qn_cache *c)
{
	return c->mc == NULL || qn_mono_us() < c->rest_until;
}

static void count(const struct qn_cache *c, enum qn_board_counter what)
{
	if (c->board != NULL)
		qn_board_count(c->board, what, 1);
}

/* Hit and miss are answers. Anything else: hang up, so that no late reply is taken for another's. */
static void settle(struct qn_cache *c, memcached_return_t rc)
{
	if (rc == MEMCACHED_SUCCESS || rc == MEMCACHED_NOTFOUND || rc == MEMCACHED_STORED ||
	    rc == MEMCACHED_DELETED || rc == MEMCACHED_NOTSTORED)
		return;
	memcached_quit(c->mc);
	c->rest_until = qn_mono_us() + REST_US;
	count(c, QN_COUNT_CACHE_ERRORS);
}

bool qn_cache_get(
    struct qn_cache *c, struct qn_arena *a, const char *kind, const char *id, struct qn_span *ret)
{
	char key[KEY_MAX];
	size_t n = 0;
	uint32_t flags;
	memcached_return_t rc;

	if (resting(c))
		return false;
	char *value = memcached_get(c->mc, key, make_key(c, kind, id, key), &n, &flags, &rc);
	settle(c, rc);
	if (rc != MEMCACHED_SUCCESS) {
		count(c, QN_COUNT_CACHE_MISSES);
		free(value);
		return false;
	}
	count(c, QN_COUNT_CACHE_HITS); /* with value NULL when it is empty */
	*ret = (struct qn_span){qn_strndup(a, value, n), n};
	free(value);
	return true;
}

void qn_cache_set(
    struct qn_cache *c, const char *kind, const char *id, struct qn_span value, int64_t seconds)
{
	char key[KEY_MAX];

	if (value.n > VALUE_MAX)
		qn_cache_delete(c, kind, id); /* the value that it had is no longer right */
	else if (!resting(c))
		settle(c, memcached_set(c->mc, key, make_key(c, kind, id, key), value.p, value.n,
			      (time_t)seconds, 0));
}

void qn_cache_delete(struct qn_cache *c, const char *kind, const char *id)
{
	char key[KEY_MAX];

	if (!resting(c))
		settle(c, memcached_delete(c->mc, key, make_key(c, kind, id, key), 0));
}

static bool increment(
    struct qn_cache *c, const char *key, size_t len, uint64_t n, uint64_t *ret, bool *ret_none)
{
	memcached_return_t rc = memcached_increment(c->mc, key, len, (uint32_t)n, ret);

	settle(c, rc);
	*ret_none = rc == MEMCACHED_NOTFOUND;
	return rc == MEMCACHED_SUCCESS;
}

/* Who is late for the beginning adds all that he would have begun with. */
static bool begin(
    struct qn_cache *c, const char *key, size_t len, uint64_t all, int64_t seconds, uint64_t *ret)
{
	char digits[24];
	int n = snprintf(digits, sizeof(digits), "%" PRIu64, all);
	memcached_return_t rc =
	    memcached_add(c->mc, key, len, digits, (size_t)n, (time_t)seconds, 0);
	bool none;

	settle(c, rc);
	*ret = all;
	if (rc == MEMCACHED_NOTSTORED)
		return increment(c, key, len, all, ret, &none);
	return rc == MEMCACHED_SUCCESS;
}

bool qn_cache_add(struct qn_cache *c, const char *kind, const char *id, uint64_t n, uint64_t all,
    int64_t seconds, uint64_t *ret_sum)
{
	char key[KEY_MAX];
	bool none = false;

	if (resting(c) || n > UINT32_MAX || all > UINT32_MAX)
		return false;
	size_t len = make_key(c, kind, id, key);
	if (increment(c, key, len, n, ret_sum, &none))
		return true;
	return none && begin(c, key, len, all, seconds, ret_sum);
}

bool qn_cache_ping(struct qn_cache *c)
{
	char key[KEY_MAX];
	memcached_return_t rc;

	if (resting(c))
		return false;
	rc = memcached_exist(c->mc, key, make_key(c, "ping", "", key));
	settle(c, rc);
	return rc == MEMCACHED_SUCCESS || rc == MEMCACHED_NOTFOUND;
}
