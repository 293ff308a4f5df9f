#include "quoin/auth/tokencache.h"

#include <openssl/evp.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "quoin/base/log.h"

/* Entries are named by their place in the slab, plus one: 0 is none. */
typedef uint16_t place;

struct entry {
	struct qn_tokencache_key key;
	qn_time put, until; /* wall clock */
	int64_t mono_until; /* monotonic clock */
	uint32_t generation;
	place newer, older; /* by use */
	place chain;        /* the next of the same bucket, or of the free list */
	alignas(max_align_t) unsigned char value[];
};

struct qn_tokencache {
	size_t entries, value_size, stride;
	int64_t age_us;
	place newest, oldest, free;
	size_t virgin;  /* entries never used so far are beyond this one */
	size_t buckets; /* a power of two */
	place *bucket;
	unsigned char *slab;
};

static size_t stride_of(size_t value_size)
{
	size_t align = alignof(struct entry);

	return (sizeof(struct entry) + value_size + align - 1) / align * align;
}

static size_t buckets_for(size_t entries)
{
	size_t n = 1;

	while (n < 2 * entries)
		n *= 2;
	return n;
}

struct qn_tokencache *qn_tokencache_new(size_t entries, size_t value_size)
{
	return qn_tokencache_new_of(entries, value_size, QN_TOKENCACHE_BYTES, QN_TOKENCACHE_AGE_S);
}

struct qn_tokencache *qn_tokencache_new_of(
    size_t entries, size_t value_size, size_t bytes, int64_t age_s)
{
	if (entries == 0 || entries >= UINT16_MAX || value_size > bytes)
		return NULL;
	struct qn_tokencache init = {
	    .entries = entries, .value_size = value_size, .age_us = age_s * 1000000};
	init.stride = stride_of(value_size);
	init.buckets = buckets_for(entries);
	if (sizeof(init) + init.buckets * sizeof(place) + entries * init.stride > bytes)
		return NULL;
	struct qn_tokencache *c = malloc(sizeof(*c));
	init.bucket = calloc(init.buckets, sizeof(place));
	init.slab = calloc(entries, init.stride);
	if (c == NULL || init.bucket == NULL || init.slab == NULL)
		qn_fatal("out of memory");
	*c = init;
	return c;
}

void qn_tokencache_free(struct qn_tokencache *c)
{
	if (c == NULL)
		return;
	qn_tokencache_clear(c);
	free(c->slab);
	free(c->bucket);
	free(c);
}

struct qn_tokencache_key qn_tokencache_key(const char *realm, struct qn_span token)
{
	struct qn_tokencache_key key;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	/* the NUL parts the two: no realm has one inside */
	if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1 ||
	    EVP_DigestUpdate(ctx, realm, strlen(realm) + 1) != 1 ||
	    EVP_DigestUpdate(ctx, token.p, token.n) != 1 ||
	    EVP_DigestFinal_ex(ctx, key.digest, NULL) != 1)
		qn_fatal("SHA-256 failed");
	EVP_MD_CTX_free(ctx);
	return key;
}

static struct entry *at(const struct qn_tokencache *c, place p)
{
	return (struct entry *)(void *)(c->slab + (size_t)(p - 1) * c->stride);
}

/* A digest is as good as random: its first bytes are its hash. */
static place *bucket_of(const struct qn_tokencache *c, const struct qn_tokencache_key *key)
{
	uint32_t h;

	memcpy(&h, key->digest, sizeof(h));
	return &c->bucket[h & (c->buckets - 1)];
}

/* What names the entry of this key in its bucket's chain; it holds 0 when there is none. */
static place *find(const struct qn_tokencache *c, const struct qn_tokencache_key *key)
{
	place *link = bucket_of(c, key);

	while (*link != 0 && !qn_equal_ct(at(c, *link)->key.digest, key->digest, QN_SHA256_LEN))
		link = &at(c, *link)->chain;
	return link;
}

static void unlink_use(struct qn_tokencache *c, place p)
{
	struct entry *e = at(c, p);

	*(e->newer != 0 ? &at(c, e->newer)->older : &c->newest) = e->older;
	*(e->older != 0 ? &at(c, e->older)->newer : &c->oldest) = e->newer;
}

static void link_newest(struct qn_tokencache *c, place p)
{
	struct entry *e = at(c, p);

	e->newer = 0;
	e->older = c->newest;
	*(c->newest != 0 ? &at(c, c->newest)->newer : &c->oldest) = p;
	c->newest = p;
}

/* `link` is what find() returned and names an entry. */
static void drop(struct qn_tokencache *c, place *link)
{
	place p = *link;
	struct entry *e = at(c, p);

	*link = e->chain;
	unlink_use(c, p);
	qn_wipe(e, c->stride);
	e->chain = c->free;
	c->free = p;
}

/* A clock set back must not make an entry older than its age fresh again, hence both. */
static bool is_fresh(const struct entry *e, struct qn_moment now)
{
	return now.wall >= e->put && now.wall < e->until && now.mono_us < e->mono_until;
}

const void *qn_tokencache_get(struct qn_tokencache *c, const struct qn_tokencache_key *key,
    struct qn_moment now, uint32_t *ret_generation)
{
	place *link = find(c, key), p = *link;

	if (p == 0)
		return NULL;
	if (!is_fresh(at(c, p), now)) {
		drop(c, link);
		return NULL;
	}
	if (c->newest != p) {
		unlink_use(c, p);
		link_newest(c, p);
	}
	*ret_generation = at(c, p)->generation;
	return at(c, p)->value;
}

/* An entry that is in no list. */
static place take(struct qn_tokencache *c)
{
	if (c->free == 0 && c->virgin < c->entries)
		return (place)++c->virgin;
	if (c->free == 0)
		drop(c, find(c, &at(c, c->oldest)->key));
	place p = c->free;
	c->free = at(c, p)->chain;
	return p;
}

void qn_tokencache_put(struct qn_tokencache *c, const struct qn_tokencache_key *key,
    const void *value, uint32_t generation, qn_time exp, struct qn_moment now)
{
	qn_tokencache_drop(c, key);
	if (exp <= now.wall)
		return;
	place p = take(c), *bucket = bucket_of(c, key);
	struct entry *e = at(c, p);
	e->key = *key;
	e->put = now.wall;
	e->until = exp < now.wall + c->age_us ? exp : now.wall + c->age_us;
	e->mono_until = now.mono_us + (e->until - now.wall);
	e->generation = generation;
	e->chain = *bucket;
	*bucket = p;
	memcpy(e->value, value, c->value_size);
	link_newest(c, p);
}

void qn_tokencache_drop(struct qn_tokencache *c, const struct qn_tokencache_key *key)
{
	place *link = find(c, key);

	if (*link != 0)
		drop(c, link);
}

void qn_tokencache_clear(struct qn_tokencache *c)
{
	qn_wipe(c->slab, c->virgin * c->stride);
	memset(c->bucket, 0, c->buckets * sizeof(place));
	c->newest = c->oldest = c->free = 0;
	c->virgin = 0;
}
