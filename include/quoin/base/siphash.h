/* SipHash-2-4 (Aumasson, Bernstein 2012): a hash that nobody without its key can make collide (SECURITY T32). */
#ifndef QUOIN_BASE_SIPHASH_H
#define QUOIN_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct qn_sipkey {
	uint64_t k0, k1;
};

uint64_t qn_siphash(const struct qn_sipkey *key, const void *p, size_t n);

#endif
