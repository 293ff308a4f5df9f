/*
 * A reader of CBOR (RFC 8949) as far as authenticators write it: CTAP2's form, that is, integers, byte
 * strings, text in UTF-8, arrays, maps, false, true, null and undefined, each with its length before it. No
 * indefinite lengths, tags or floats. Heads need not be the shortest: nothing is compared as bytes.
 */
#ifndef QUOIN_AUTH_CBOR_H
#define QUOIN_AUTH_CBOR_H

#include <stdbool.h>
#include <stdint.h>

#include "quoin/base/span.h"

#define CBOR_DEPTH 8 /* of arrays and maps in an item that is skipped */

struct cbor {
	const uint8_t *p, *end; /* what is left */
};

static inline struct cbor cbor_of(struct qn_span s)
{
	const uint8_t *p = (const uint8_t *)s.p;
	return (struct cbor){p, p + s.n};
}

/* Each takes one item, or the head of a map; false: it is another, or cut short. Nothing is written
 * then, but some may have been taken. */
bool cbor_int(struct cbor *c, int64_t *ret);
bool cbor_bytes(struct cbor *c, struct qn_span *ret);
bool cbor_text(struct cbor *c, struct qn_span *ret);
bool cbor_map(struct cbor *c, size_t *ret_pairs);
bool cbor_skip(struct cbor *c, struct qn_span *ret_item); /* any; ret_item may be NULL */

/* Whether the next item is a map. */
bool cbor_at_map(const struct cbor *c);

#endif
