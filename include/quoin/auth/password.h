/*
 * Passwords as they are stored: Argon2id strings of libsodium, "$argon2id$v=19$m=…,t=…,p=1$salt$hash"
 * (DESIGN §5, SECURITY T11, T32, T41). A password is counted bytes: a NUL in it is a byte like any
 * other. The caller's copy is the caller's to wipe; the request's arena is wiped when it is reset.
 */
#ifndef QUOIN_AUTH_PASSWORD_H
#define QUOIN_AUTH_PASSWORD_H

#include <stdbool.h>
#include <stdint.h>

#include "quoin/auth/turn.h"
#include "quoin/base/conf.h"
#include "quoin/base/err.h"
#include "quoin/base/span.h"

#define QN_PASSWORD_MOST     1024 /* bytes; a longer one is nobody's */
#define QN_PASSWORD_HASH_MAX 128  /* bytes of a stored hash, NUL included */

/* The most that a stored hash may ask of us, wherever it was made. */
#define QN_PASSWORD_MOST_KIB    65536
#define QN_PASSWORD_MOST_PASSES 10

/* How a worker hashes. */
struct qn_hasher {
	struct qn_turns turns;
	unsigned passes;
	size_t bytes; /* of memory for each hash */
};

/* The cost is that of the settings. `b` NULL: a program of its own, outside any pool. Ends the process
 * when libsodium does not start. */
void qn_hasher_init(
    struct qn_hasher *h, const struct qn_conf *c, struct qn_board *b, int slot, int workers);

/*
 * Writes the hash, NUL-terminated. QN_BUSY: too many hash already; QN_INVALID: empty or longer than
 * QN_PASSWORD_MOST; QN_INTERNAL: no memory. What a password must be besides is passrule.h's.
 */
enum qn_err qn_password_hash(const struct qn_hasher *h, struct qn_span password,
    char ret_hash[QN_PASSWORD_HASH_MAX]) QN_MUST_CHECK;

/*
 * Whether the password is that of `stored`, in *ret_right; and whether it should be hashed again, as
 * the cost in the settings is another now, in *ret_old (false when the password is wrong). NULL, or
 * a hash that qn_password_hash_sound() refuses, costs as much as one made today and is never right:
 * nobody can tell an unknown account by the time it takes. QN_BUSY, QN_INTERNAL as above.
 */
enum qn_err qn_password_verify(const struct qn_hasher *h, struct qn_span password,
    const char *stored, bool *ret_right, bool *ret_old) QN_MUST_CHECK;

/* While there is nothing to hash: gives back the memory that is kept from one hash to the next. */
void qn_hasher_rest(void);

/* A hash that we can check within QN_PASSWORD_MOST_*: for what is imported. `p` is 1, as libsodium's. */
bool qn_password_hash_sound(const char *stored);

#endif
