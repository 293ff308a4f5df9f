#include "quoin/auth/proofkey.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "quoin/base/log.h"
#include "quoin/base/rand.h"

_Static_assert(QN_PROOF_SIG_LEN == crypto_sign_BYTES, "libsodium's signatures fit");
_Static_assert(QN_PROOFKEY_SEED_LEN == crypto_sign_SEEDBYTES, "libsodium's seeds fit");

static const char label[] = "quoin licence key 1";

struct qn_proof_key {
	uint8_t seed[crypto_sign_SEEDBYTES], secret[crypto_sign_SECRETKEYBYTES];
	char x[QN_PROOFKEY_KID_LEN + 2]; /* qn_b64url_encode() wants a byte more */
	char kid[QN_PROOFKEY_KID_LEN + 2];
};

/* RFC 7638 §3.2 for RFC 8037: the required members in the order of their names, without spaces. */
static void thumbprint(struct qn_proof_key *k)
{
	char text[160];
	uint8_t digest[QN_SHA256_LEN];
	int n = snprintf(
	    text, sizeof(text), "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%s\"}", k->x);

	qn_sha256(text, (size_t)n, digest);
	qn_b64url_encode(digest, sizeof(digest), k->kid);
}

/* Wipes the seed. */
static struct qn_proof_key *key_of(uint8_t seed[QN_PROOFKEY_SEED_LEN])
{
	struct qn_proof_key *k = calloc(1, sizeof(*k));
	uint8_t public[crypto_sign_PUBLICKEYBYTES];

	if (k == NULL || sodium_init() < 0)
		qn_fatal("out of memory, or libsodium does not start");
	memcpy(k->seed, seed, sizeof(k->seed));
	qn_wipe(seed, QN_PROOFKEY_SEED_LEN);
	crypto_sign_seed_keypair(public, k->secret, k->seed);
	qn_b64url_encode(public, sizeof(public), k->x);
	thumbprint(k);
	return k;
}

struct qn_proof_key *qn_proof_key_new(void)
{
	uint8_t seed[QN_PROOFKEY_SEED_LEN];

	qn_random(seed, sizeof(seed));
	return key_of(seed);
}

void qn_proof_key_free(struct qn_proof_key *k)
{
	if (k == NULL)
		return;
	qn_wipe(k, sizeof(*k));
	free(k);
}

const char *qn_proof_key_kid(const struct qn_proof_key *k)
{
	return k->kid;
}

void qn_proof_key_jwk(const struct qn_proof_key *k, struct qn_buf *out)
{
	qn_buf_printf(out,
	    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\","
	    "\"use\":\"sig\",\"alg\":\"EdDSA\",\"kid\":\"%s\"}",
	    k->x, k->kid);
}

bool qn_proof_key_seal(const struct qn_proof_key *k, const struct qn_secret *secret,
    uint8_t out[QN_PROOFKEY_SEALED_LEN])
{
	return qn_seal(secret, label, qn_span_of(k->kid),
	    (struct qn_span){(const char *)k->seed, sizeof(k->seed)}, out);
}

struct qn_proof_key *qn_proof_key_unseal(
    const struct qn_secret *secret, struct qn_span kid, struct qn_span sealed)
{
	uint8_t seed[QN_PROOFKEY_SEED_LEN];

	if (sealed.n != QN_PROOFKEY_SEALED_LEN || !qn_unseal(secret, label, kid, sealed, seed))
		return NULL;
	struct qn_proof_key *k = key_of(seed);
	if (!qn_span_is(kid, k->kid)) {
		qn_proof_key_free(k);
		return NULL;
	}
	return k;
}

void qn_proof_key_sign(
    const struct qn_proof_key *k, struct qn_span text, uint8_t out[QN_PROOF_SIG_LEN])
{
	crypto_sign_detached(out, NULL, (const uint8_t *)text.p, text.n, k->secret);
}
