/*
 * Reads licence files, machine files and revocation lists of Quoin, without a network: one C file, OpenSSL 1.1.1 or
 * later (libcrypto) and nothing else. The format is in Quoin's include/quoin/auth/proof.h and docs/offline.md;
 * quoin-verify.mjs is its twin and gives the same codes. Copy both files into your program, with the public keys
 * from https://YOUR-HOST/.well-known/quoin-licence-keys.json. Apache-2.0.
 *
 * OpenSSL and not libsodium, because libsodium's AES-256-GCM is only there on some processors.
 *
 *     struct quoin_keys keys = {0};
 *     struct quoin_proof proof;
 *     struct quoin_expect want = {.kind = QUOIN_MACHINE, .product = "coditect", .machine = id, .now = time(NULL),
 *         .last_seen = stored};
 *     if (quoin_key_add(&keys, "…kid…", "…x…") &&
 *         (code = quoin_verify(&proof, text, n, &keys, &want)) == QUOIN_OK) {
 *             seats = quoin_number(&proof, "seats", -1);
 *             quoin_proof_free(&proof);
 *     }
 */
#ifndef QUOIN_VERIFY_H
#define QUOIN_VERIFY_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* In the order in which they are looked for: of several, the first is told. */
#define QUOIN_CODES(X) \
	X(OK, "ok") \
	X(BAD_ARMOR, "bad-armor")       /* the lines around it are not as they must be, or it is too long */ \
	X(WRONG_KIND, "wrong-kind")     /* a licence file for a machine file, or another of the three */ \
	X(BAD_ENCODING, "bad-encoding") /* not strict base64 */ \
	X(BAD_JSON, "bad-json")         /* not strict JSON, or a member is missing or of another type */ \
	X(BAD_ALGORITHM, "bad-algorithm") \
	X(NOT_ENCRYPTED, "not-encrypted") /* though it was asked to be */ \
	X(UNKNOWN_KEY, "unknown-key")     /* signed by a key that is not in the set */ \
	X(BAD_SIGNATURE, "bad-signature") \
	X(CANNOT_DECRYPT, "cannot-decrypt") /* another licence key or machine, or none was given */ \
	X(BAD_VERSION, "bad-version") \
	X(WRONG_KEY_ID, "wrong-key-id") /* the key that it says inside is not the one that signed it */ \
	X(WRONG_PRODUCT, "wrong-product") \
	X(WRONG_MACHINE, "wrong-machine") \
	X(WRONG_NONCE, "wrong-nonce")             /* it answers another activation request */ \
	X(WRONG_LICENSE, "wrong-license")         /* it is for another licence key */ \
	X(CLOCK_ROLLED_BACK, "clock-rolled-back") /* it is earlier than it has been */ \
	X(NOT_YET_VALID, "not-yet-valid")         /* it was issued later than now: the clock is behind */ \
	X(EXPIRED, "expired")                     /* the file; a new one may be had */ \
	X(STALE_LIST, "stale-list")               /* a later revocation list was seen */ \
	X(REVOKED, "revoked") \
	X(NOT_ACTIVE, "not-active") /* the licence's status */ \
	X(LICENSE_EXPIRED, "license-expired") \
	X(NO_MEMORY, "no-memory")

enum quoin_code {
#define X(name, text) QUOIN_##name,
	QUOIN_CODES(X)
#undef X
};

/* "bad-signature" */
static inline const char *quoin_code_name(enum quoin_code code)
{
#define X(name, text) text,
	static const char *const names[] = {QUOIN_CODES(X)};
#undef X
	return (size_t)code < sizeof(names) / sizeof(names[0]) ? names[code] : "";
}

#define QUOIN_KEYS_MOST    16
#define QUOIN_MEMBERS_MOST 64
#define QUOIN_FILE_MOST    ((size_t)16 << 20) /* bytes */
#define QUOIN_CLOCK_SKEW   300                /* seconds that clocks may differ */

/* Ed25519 keys, and no other: no file chooses its algorithm. */
struct quoin_keys {
	size_t n;
	struct quoin_key {
		char kid[64];
		unsigned char bytes[32];
	} key[QUOIN_KEYS_MOST];
};

/*
 * Adds a key of the published set: its kid and x. 1, or 0 when it cannot be one or there is no room.
 */
int quoin_key_add(struct quoin_keys *keys, const char *kid, const char *x);

struct quoin_slice {
	const char *p;
	size_t n;
};

/* JSON that was read: after quoin_verify(), what is known to be true. */
struct quoin_proof {
	char *payload; /* JSON, with a NUL behind it */
	size_t n, members;
	struct quoin_slice name[QUOIN_MEMBERS_MOST], value[QUOIN_MEMBERS_MOST]; /* of the payload, raw */
};

static inline void quoin_proof_free(struct quoin_proof *proof)
{
	free(proof->payload);
	memset(proof, 0, sizeof(*proof));
}

/* A member's raw JSON; {NULL, 0}: it is not there. */
static inline struct quoin_slice quoin_member(const struct quoin_proof *proof, const char *name)
{
	struct quoin_slice none = {NULL, 0};
	for (size_t i = 0; i < proof->members; i++)
		if (proof->name[i].n == strlen(name) && memcmp(proof->name[i].p, name, proof->name[i].n) == 0)
			return proof->value[i];
	return none;
}

/* The inside of a member that is a string; {NULL, 0}: it is none. */
static inline struct quoin_slice quoin_text(const struct quoin_proof *proof, const char *name)
{
	struct quoin_slice v = quoin_member(proof, name), inside = {NULL, 0};
	if (v.p != NULL && v.p[0] == '"') {
		inside.p = v.p + 1;
		inside.n = v.n - 2;
	}
	return inside;
}

/* A member that is an integer, of the payload of a proof. */
static inline int64_t quoin_number(const struct quoin_proof *proof, const char *name, int64_t otherwise)
{
	struct quoin_slice v = quoin_member(proof, name);
	return v.p != NULL && (*v.p == '-' || (*v.p >= '0' && *v.p <= '9')) ? strtoll(v.p, NULL, 10) : otherwise;
}

/* Reads JSON of the strict kind that the format asks for, an object; its slices point into it. 1, or 0: it is none. */
int quoin_read_object(struct quoin_proof *ret, const char *json, size_t n);

enum quoin_kind { QUOIN_LICENSE, QUOIN_MACHINE, QUOIN_REVOCATIONS };

/* Members that are NULL or 0 ask for nothing, but for product, and machine of a machine file. */
struct quoin_expect {
	enum quoin_kind kind;
	const char *product;
	const char *machine;                   /* id of this device */
	const char *license_key;               /* opens an encrypted file; another must be for it */
	const char *nonce;                     /* of the activation request */
	int encrypted;                         /* a file that is not will not do */
	int64_t now;                           /* seconds since 1970-01-01 UTC */
	int64_t last_seen;                     /* the latest such time that this device has seen */
	int64_t sequence;                      /* of the latest revocation list that it has seen */
	const struct quoin_proof *revocations; /* such a list, of this product, that was verified */
};

/* Fills *ret on QUOIN_OK alone, to be freed by quoin_proof_free(). */
enum quoin_code quoin_verify(struct quoin_proof *ret, const char *file, size_t n, const struct quoin_keys *keys,
    const struct quoin_expect *want);

#ifdef __cplusplus
}
#endif
#endif
