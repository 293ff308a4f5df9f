/*
 * The member names of the objects that are open during a scan. The object opened last closes first,
 * so everything here is a stack: what an inner object used is used again.
 */
#ifndef QUOIN_BASE_JSONNAMES_H
#define QUOIN_BASE_JSONNAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "quoin/base/span.h"

#define QN_NAMES_TEXT_MAX ((size_t)INT32_MAX) /* bytes: places in the text are 31 bits */

struct qn_name {
	uint64_t key;   /* of its bytes: a fingerprint, a keyed hash once its object has a table */
	uint32_t place; /* in the text, or in .own with the top bit set */
	uint32_t n;     /* bytes */
};

struct qn_names {
	const char *text;
	struct qn_name *list;
	uint32_t *slots; /* of the hash tables: 1 + index in the object, 0 free */
	char *own;       /* names that had escapes, without them */
	size_t n, room;
	size_t slots_n, slots_room;
	size_t own_n, own_room;
	uint64_t seed[2];
	bool seeded;
};

/* One open object: where its part of the stacks begins. */
struct qn_names_object {
	uint64_t seen; /* which of 64 classes of fingerprints have come */
	size_t first;  /* its names: .list[first] to the top */
	size_t slots, own;
	size_t mask; /* of its hash table; 0: it has none */
};

void qn_names_init(struct qn_names *s, const char *text);
void qn_names_done(struct qn_names *s);

void qn_names_open(struct qn_names *s, struct qn_names_object *o);
void qn_names_close(struct qn_names *s, const struct qn_names_object *o);

/* false: the innermost object `o` has this name already. `raw` lies in the text and was scanned. */
bool qn_names_add(
    struct qn_names *s, struct qn_names_object *o, const char *raw, size_t n, bool escaped);

/* The bytes of one name, until the next call that changes `s`. */
struct qn_span qn_names_bytes(const struct qn_names *s, const struct qn_name *name);

/* `p`, on the heap, with room for `need` items of `size` bytes: by doubling. Never NULL. */
void *qn_names_grow(void *p, size_t *room, size_t need, size_t size);

#endif
