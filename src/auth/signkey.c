#include "quoin/auth/signkey.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#include "quoin/base/log.h"
#include "quoin/base/rand.h"

enum {
	P256_BYTES = 32,
	COORD_LEN = 43, /* a coordinate in base64url */
	DER_MAX = QN_SIGNKEY_SEALED_MAX - QN_SEAL_OVERHEAD,
	SIG_DER_MAX = 72,
};

static const char label[] = "quoin signing key 1";

struct qn_signing_key {
	EVP_PKEY *pkey;
	char x[COORD_LEN + 2], y[COORD_LEN + 2]; /* qn_b64url_encode() wants a byte more */
	char kid[QN_SIGNING_KID_LEN + 2];
};

static bool coordinate(const EVP_PKEY *pkey, const char *param, char out[COORD_LEN + 2])
{
	uint8_t bytes[P256_BYTES];
	BIGNUM *n = NULL;
	bool ok = EVP_PKEY_get_bn_param(pkey, param, &n) == 1 &&
	          BN_bn2binpad(n, bytes, P256_BYTES) == P256_BYTES;

	if (ok)
		qn_b64url_encode(bytes, sizeof(bytes), out);
	BN_free(n);
	return ok;
}

/* RFC 7638 §3.2: the required members in the order of their names, without spaces. */
static void thumbprint(struct qn_signing_key *k)
{
	char text[160];
	uint8_t digest[QN_SHA256_LEN];
	int n = snprintf(text, sizeof(text),
	    "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", k->x, k->y);

	qn_sha256(text, (size_t)n, digest);
	qn_b64url_encode(digest, sizeof(digest), k->kid);
}

static bool is_p256(const EVP_PKEY *pkey)
{
	char group[32];
	size_t n;

	return EVP_PKEY_is_a(pkey, "EC") &&
	       EVP_PKEY_get_group_name(pkey, group, sizeof(group), &n) == 1 &&
	       strcmp(group, SN_X9_62_prime256v1) == 0;
}

/* Takes `pkey` over, also when it fails. */
static struct qn_signing_key *key_of(EVP_PKEY *pkey)
{
	struct qn_signing_key *k = calloc(1, sizeof(*k));

	if (k == NULL)
		qn_fatal("out of memory");
	k->pkey = pkey;
	if (pkey == NULL || !is_p256(pkey) || !coordinate(pkey, OSSL_PKEY_PARAM_EC_PUB_X, k->x) ||
	    !coordinate(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, k->y)) {
		qn_signing_key_free(k);
		ERR_clear_error();
		return NULL;
	}
	thumbprint(k);
	return k;
}

struct qn_signing_key *qn_signing_key_new(void)
{
	return key_of(EVP_EC_gen(SN_X9_62_prime256v1));
}

void qn_signing_key_free(struct qn_signing_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pkey); /* clears the private number */
	free(k);
}

const char *qn_signing_key_kid(const struct qn_signing_key *k)
{
	return k->kid;
}

void qn_signing_key_jwk(const struct qn_signing_key *k, struct qn_buf *out)
{
	qn_buf_printf(out,
	    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\","
	    "\"use\":\"sig\",\"alg\":\"ES256\",\"kid\":\"%s\"}",
	    k->x, k->y, k->kid);
}

/* The private half as PKCS #8, to be wiped by the caller. Returns its length, 0 on failure. */
static size_t private_der(const EVP_PKEY *pkey, uint8_t out[DER_MAX])
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pkey);
	int n = info != NULL ? i2d_PKCS8_PRIV_KEY_INFO(info, NULL) : 0;

	n = n > 0 && n <= DER_MAX ? i2d_PKCS8_PRIV_KEY_INFO(info, &out) : 0;
	PKCS8_PRIV_KEY_INFO_free(info); /* wipes its octets */
	return n > 0 ? (size_t)n : 0;
}

size_t qn_signing_key_seal(const struct qn_signing_key *k, const struct qn_secret *secret,
    uint8_t out[QN_SIGNKEY_SEALED_MAX])
{
	uint8_t der[DER_MAX];
	size_t n = private_der(k->pkey, der);
	bool ok = n != 0 && qn_seal(secret, label, qn_span_of(k->kid),
				(struct qn_span){(const char *)der, n}, out);

	qn_wipe(der, sizeof(der));
	ERR_clear_error();
	return ok ? n + QN_SEAL_OVERHEAD : 0;
}

struct qn_signing_key *qn_signing_key_unseal(
    const struct qn_secret *secret, struct qn_span kid, struct qn_span sealed)
{
	uint8_t der[DER_MAX];
	const uint8_t *p = der;

	if (sealed.n > QN_SIGNKEY_SEALED_MAX || !qn_unseal(secret, label, kid, sealed, der))
		return NULL;
	long der_n = (long)(sealed.n - QN_SEAL_OVERHEAD);
	struct qn_signing_key *k = key_of(d2i_AutoPrivateKey(NULL, &p, der_n));
	qn_wipe(der, sizeof(der));
	ERR_clear_error();
	if (k != NULL && !(kid.n == QN_SIGNING_KID_LEN && memcmp(kid.p, k->kid, kid.n) == 0)) {
		qn_signing_key_free(k);
		return NULL;
	}
	return k;
}

/* OpenSSL's ECDSA-Sig-Value as r||s. */
static bool raw_signature(const uint8_t *der, size_t n, uint8_t out[QN_SIGNATURE_LEN])
{
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)n);
	bool ok = sig != NULL &&
	          BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, P256_BYTES) == P256_BYTES &&
	          BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + P256_BYTES, P256_BYTES) == P256_BYTES;

	ECDSA_SIG_free(sig);
	return ok;
}

bool qn_signing_key_sign(
    const struct qn_signing_key *k, struct qn_span text, uint8_t out[QN_SIGNATURE_LEN])
{
	uint8_t der[SIG_DER_MAX];
	size_t n = sizeof(der);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx != NULL && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, k->pkey) == 1 &&
	          EVP_DigestSign(ctx, der, &n, (const uint8_t *)text.p, text.n) == 1 &&
	          raw_signature(der, n, out);

	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}
