/*
 * A browser and an authenticator for tests: the keys of jose.h, and hands that will sign whatever they
 * are told to. Everything is in the arena. Ends the process on failure.
 */
#ifndef TESTS_LIB_AUTHENTICATOR_H
#define TESTS_LIB_AUTHENTICATOR_H

#include "jose.h"
#include "quoin/auth/webauthn.h"

enum { UP = 0x01, UV = 0x04, BE = 0x08, BS = 0x10, AT = 0x40, ED = 0x80 };

struct authenticator {
	enum jose_by by; /* JOSE_EC, JOSE_ED or JOSE_RSA */
	struct qn_span id;
	const char *party, *origin;
	const char *more; /* members of the client data after the usual ones: ,"x":1 */
	unsigned flags;   /* AT is set for a creation */
	uint32_t count;
	struct qn_span cose;       /* NULL: the key's own */
	struct qn_span extensions; /* CBOR; put there whether ED is set or not */
};

struct qn_span joined(struct qn_arena *a, struct qn_span one, struct qn_span two);
struct qn_span cbor_head(struct qn_arena *a, unsigned major, size_t value);
struct qn_span cbor_string(struct qn_arena *a, unsigned major, struct qn_span bytes);

struct qn_span authenticator_cose(struct qn_arena *a, enum jose_by by);
struct qn_span authenticator_data(
    struct qn_arena *a, const struct authenticator *d, bool with_credential);
struct qn_span authenticator_attestation(
    struct qn_arena *a, const char *fmt, struct qn_span statement, struct qn_span authdata);
/* What the browser writes; `challenge` as it stands in it. */
struct qn_span authenticator_client_data(
    struct qn_arena *a, const struct authenticator *d, const char *type, const char *challenge);
struct qn_span authenticator_sign(
    struct qn_arena *a, enum jose_by by, struct qn_span authdata, struct qn_span client_data);

/* toJSON() of what came of it. A handle of NULL is left out. */
struct qn_span authenticator_created(
    struct qn_arena *a, struct qn_span id, struct qn_span client_data, struct qn_span attestation);
struct qn_span authenticator_got(struct qn_arena *a, struct qn_span id, struct qn_span client_data,
    struct qn_span authdata, struct qn_span signature, struct qn_span handle);

const char *authenticator_b64(struct qn_arena *a, struct qn_span bytes);

#endif
