#include "jsonnames.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "jsonscan.h"
#include "quoin/base/log.h"
#include "quoin/base/rand.h"

/*
 * Up to SMALL names are compared with each other: fast, and bounded whatever they are. A larger
 * object gets an open-addressing table under SipHash-1-3 with a seed drawn for this scan, so nobody
 * can send names that collide. It is filled to a half at most.
 */
enum { SMALL = 24, FIRST_TABLE = 64 /* a power of two, over 2 * SMALL */ };

#define OWN 0x80000000u

void qn_names_init(struct qn_names *s, const char *text)
{
	*s = (struct qn_names){.text = text};
}

void qn_names_done(struct qn_names *s)
{
	free(s->list);
	free(s->slots);
	free(s->own);
}

void qn_names_open(struct qn_names *s, struct qn_names_object *o)
{
	*o = (struct qn_names_object){.first = s->n, .slots = s->slots_n, .own = s->own_n};
}

void qn_names_close(struct qn_names *s, const struct qn_names_object *o)
{
	s->n = o->first;
	s->slots_n = o->slots;
	s->own_n = o->own;
}

struct qn_span qn_names_bytes(const struct qn_names *s, const struct qn_name *name)
{
	if (name->place & OWN)
		return (struct qn_span){s->own + (name->place & ~OWN), name->n};
	return (struct qn_span){s->text + name->place, name->n};
}

void *qn_names_grow(void *p, size_t *room, size_t need, size_t size)
{
	if (need <= *room)
		return p;
	size_t more = *room ? *room : 64;
	while (more < need)
		more *= 2;
	p = realloc(p, more * size);
	if (p == NULL)
		qn_fatal("out of memory (%zu bytes)", more * size);
	*room = more;
	return p;
}

static uint64_t load(const char *p, size_t n /* at most 8 */)
{
	uint64_t w = 0;

	memcpy(&w, p, n);
	return le64toh(w);
}

/* Differs for most names that differ. Not secret: only for few names. */
static uint64_t fingerprint(const char *p, size_t n)
{
	uint64_t a = n, b = 0;

	if (n >= 8) {
		a += load(p, 8);
		b = load(p + n - 8, 8);
	} else if (n >= 4) {
		a += load(p, 4) << 8;
		b = load(p + n - 4, 4);
	} else if (n > 0) {
		a += (uint64_t)(unsigned char)p[0] << 8;
		b = (uint64_t)(unsigned char)p[n / 2] << 8 | (unsigned char)p[n - 1];
	}
	return (a * 0x9e3779b97f4a7c15u ^ b) * 0xd6e8feb86659fd93u;
}

static uint64_t turn(uint64_t v, unsigned by)
{
	return v << by | v >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = turn(v[1], 13) ^ v[0];
	v[3] = turn(v[3], 16) ^ v[2];
	v[0] = turn(v[0], 32) + v[3];
	v[2] += v[1];
	v[3] = turn(v[3], 21) ^ v[0];
	v[1] = turn(v[1], 17) ^ v[2];
	v[2] = turn(v[2], 32);
}

static uint64_t siphash13(const uint64_t seed[2], const char *p, size_t n)
{
	uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du,
	    seed[0] ^ 0x6c7967656e657261u, seed[1] ^ 0x7465646279746573u};

	for (size_t left = n;; p += 8, left -= 8) {
		uint64_t w = left >= 8 ? load(p, 8) : load(p, left) | (uint64_t)n << 56;
		v[3] ^= w;
		sip_round(v);
		v[0] ^= w;
		if (left < 8)
			break;
	}
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static bool same(const struct qn_names *s, const struct qn_name *a, const struct qn_name *b)
{
	return a->key == b->key && a->n == b->n &&
	       memcmp(qn_names_bytes(s, a).p, qn_names_bytes(s, b).p, a->n) == 0;
}

/* Puts the name at .list[first + i] into the table; false when it is there. */
static bool table_put(struct qn_names *s, const struct qn_names_object *o, size_t i)
{
	const struct qn_name *names = s->list + o->first;
	uint32_t *slots = s->slots + o->slots;
	size_t at = names[i].key & o->mask;

	for (; slots[at] != 0; at = (at + 1) & o->mask)
		if (same(s, &names[slots[at] - 1], &names[i]))
			return false;
	slots[at] = (uint32_t)(i + 1);
	return true;
}

/* A table of twice the size for the `n` names so far, or the first one. */
static void table_grow(struct qn_names *s, struct qn_names_object *o, size_t n)
{
	size_t size = o->mask ? 2 * (o->mask + 1) : FIRST_TABLE;

	if (!s->seeded)
		qn_random(s->seed, sizeof(s->seed));
	s->seeded = true;
	for (size_t i = 0; o->mask == 0 && i < n; i++) {
		struct qn_name *name = &s->list[o->first + i];
		name->key = siphash13(s->seed, qn_names_bytes(s, name).p, name->n);
	}
	s->slots_n = o->slots + size;
	s->slots = qn_names_grow(s->slots, &s->slots_room, s->slots_n, sizeof(*s->slots));
	memset(s->slots + o->slots, 0, size * sizeof(*s->slots));
	o->mask = size - 1;
	for (size_t i = 0; i < n; i++)
		table_put(s, o, i);
}

/* `n` names came before this one, which is .list[first + n]. */
static bool add_large(struct qn_names *s, struct qn_names_object *o, size_t n)
{
	struct qn_name *name = &s->list[o->first + n];
	struct qn_span bytes = qn_names_bytes(s, name);

	if (2 * n >= o->mask)
		table_grow(s, o, n);
	name->key = siphash13(s->seed, bytes.p, bytes.n);
	return table_put(s, o, n);
}

static bool add_small(struct qn_names *s, struct qn_names_object *o, size_t n)
{
	struct qn_name *names = s->list + o->first;
	struct qn_span bytes = qn_names_bytes(s, &names[n]);

	names[n].key = fingerprint(bytes.p, bytes.n);
	uint64_t class = 1ull << (names[n].key >> 58);
	bool maybe = (o->seen & class) != 0;
	o->seen |= class;
	for (size_t i = 0; maybe && i < n; i++)
		if (same(s, &names[i], &names[n]))
			return false;
	return true;
}

static void keep_unescaped(struct qn_names *s, struct qn_name *name, const char *raw, size_t n)
{
	s->own = qn_names_grow(s->own, &s->own_room, s->own_n + n, 1);
	name->place = OWN | (uint32_t)s->own_n;
	name->n = (uint32_t)qn_json_unescape(raw, n, s->own + s->own_n);
	s->own_n += name->n;
}

bool qn_names_add(
    struct qn_names *s, struct qn_names_object *o, const char *raw, size_t n, bool escaped)
{
	size_t before = s->n - o->first;

	s->list = qn_names_grow(s->list, &s->room, s->n + 1, sizeof(*s->list));
	struct qn_name *name = &s->list[s->n++];
	if (escaped)
		keep_unescaped(s, name, raw, n);
	else
		*name = (struct qn_name){.place = (uint32_t)(raw - s->text), .n = (uint32_t)n};
	return before < SMALL ? add_small(s, o, before) : add_large(s, o, before);
}
