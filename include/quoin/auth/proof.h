/*
 * Proof that needs no network (CONTRACT X10, X11; SECURITY T22; DESIGN §3): what a vendor's program can hold against
 * the public keys that it was built with. This is the whole definition of the files; verify/quoin-verify.[ch] and
 * verify/quoin-verify.mjs read them, and docs/offline.md says how they are used. The shape is keygen's.
 *
 * A FILE is text:
 *     -----BEGIN LICENSE FILE-----           or MACHINE FILE, or LICENSE REVOCATIONS
 *     base64 (RFC 4648 §4) of the envelope, in lines of 64, the last one shorter or equal
 *     -----END LICENSE FILE-----
 * Lines end with LF (CRLF is read too); nothing stands before, between or after them.
 *
 * JSON in it is as JSON.stringify writes it: no space, no name twice, integers of at most 2^53-1 and no other
 * numbers, and further: strings are printable ASCII without " and \, so that none has an escape; names are
 * [A-Za-z_][A-Za-z0-9_.-]*, at most 64 in an object; depth at most 8.
 *
 * The ENVELOPE has exactly these members, all strings:
 *     enc  the payload: its base64; or, encrypted, base64(ciphertext) "." base64(iv) "." base64(tag)
 *     sig  base64 of the Ed25519 signature over "license/", "machine/" or "revocations/" (as the armour says) and enc
 *     alg  "base64+ed25519" or "aes-256-gcm+ed25519"; a revocation list is never encrypted
 *     kid  the name of the signing key: its thumbprint (RFC 7638)
 *
 * The PAYLOAD of a licence or machine file; times are whole seconds since 1970-01-01 UTC:
 *     version          1
 *     kind             "license" or "machine"
 *     kid              as in the envelope: here it is signed
 *     product          slug of the app
 *     license_id, key  the licence
 *     plan, status     of the licence; only "active" is good
 *     seats            integer, or null for no limit
 *     features         array or object, as the vendor has it
 *     limits           object
 *     issued, expires  of this file
 *     license_expires  of the licence, or null for never
 *     machine          of a machine file: the id of the device
 *     nonce            of the activation request that it answers, when there was one
 * and of a revocation list:
 *     version, kind ("revocations"), kid, product, issued, expires
 *     sequence         grows with every list; a program refuses one below the highest it saw
 *     revoked          array of lower-case hex SHA-256 of licence ids, ascending
 * Readers leave members alone that they do not know.
 *
 * ENCRYPTION is AES-256-GCM without associated data (the signature is over the ciphertext). The key is
 * PBKDF2-HMAC-SHA256 of the licence key, for a machine file of the licence key, LF and the machine's id; the salt is
 * "license/" or "machine/" and the 12 bytes of the iv; QN_PROOF_ROUNDS rounds. Licence keys have as little as 48
 * random bits: with one SHA-256, as keygen has it, an encrypted file would give its key away to a day of guessing.
 * For the same reason revocation lists hold ids and not keys.
 */
#ifndef QUOIN_AUTH_PROOF_H
#define QUOIN_AUTH_PROOF_H

#include <stdbool.h>

#include "quoin/auth/licencekey.h"
#include "quoin/auth/proofkey.h"
#include "quoin/base/arena.h"
#include "quoin/base/clock.h"
#include "quoin/base/err.h"
#include "quoin/base/field.h"
#include "quoin/base/span.h"

#define QN_PROOF_VERSION   1
#define QN_PROOF_ROUNDS    200000 /* of PBKDF2: some 60 ms, so only slow workers encrypt */
#define QN_PROOF_MOST      ((size_t)64 << 10) /* bytes of a licence's payload */
#define QN_PROOF_LIST_MOST 100000             /* entries of a revocation list */
#define QN_PROOF_WORD_MOST 255                /* characters of a string */

/* A licence as a file shows it. Strings live as long as the call. */
struct qn_proof_license {
	const char *product, *license_id, *key, *plan, *status; /* all required */
	int64_t seats;                                          /* QN_I64_NULL: no limit */
	struct qn_span features; /* JSON array or object; absent: [] */
	struct qn_span limits;   /* JSON object; absent: {} */
	qn_time issued, expires; /* of the file; rounded down to seconds */
	qn_time license_expires; /* QN_TIME_NULL: never */
	const char *machine;     /* NULL makes a licence file, else a machine file */
	const char *nonce;       /* NULL: none */
};

/*
 * The text of a file, in the arena. QN_INVALID when a verifier would not read it: a required string is missing, a
 * string or name has other characters than above, features or limits are no such JSON, or all of it is too long.
 * QN_INTERNAL: OpenSSL failed.
 */
enum qn_err qn_proof_file(struct qn_arena *a, const struct qn_proof_key *k,
    const struct qn_proof_license *l, bool encrypt, const char **ret) QN_MUST_CHECK;

struct qn_proof_list {
	const char *product;
	int64_t sequence; /* 1 or more */
	qn_time issued, expires;
	const char *const *license_ids; /* n of them, in any order */
	size_t n;
};

/* The text of a revocation list, in the arena. QN_INVALID: no product, no sequence, or too many. */
enum qn_err qn_proof_revocations(struct qn_arena *a, const struct qn_proof_key *k,
    const struct qn_proof_list *l, const char **ret) QN_MUST_CHECK;

/*
 * An ACTIVATION REQUEST is what a program without a network writes, for a person to carry: JSON, in any form,
 *     {"version":1,"kind":"activation-request","product":…,"key":…,"machine":…,"name":…,"nonce":…}
 * with an optional name for people and a nonce of the program's, which the machine file gives back.
 */
struct qn_activation {
	const char *product, *key, *machine, *nonce;
	const char *name; /* NULL: none; UTF-8 of any length, for people, and in no file */
};

#define QN_ACTIVATION_MOST ((size_t)16 << 10) /* bytes of a request */

/* Reads one into the arena. QN_INVALID; then *ret_why (may be NULL) is a static sentence for a person. */
enum qn_err qn_activation_read(struct qn_arena *a, struct qn_span text, struct qn_activation *ret,
    const char **ret_why) QN_MUST_CHECK;

/* Whether it can stand in a file: 1 to QN_PROOF_WORD_MOST characters of printable ASCII, no " and no \. */
bool qn_proof_word(const char *s);
/* The same of a licence's key, of up to QN_LICENCE_KEY_MAX. */
bool qn_proof_licence_key(const char *s);

#endif
