#include "quoin/auth/seal.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "quoin/base/rand.h"

enum { KEY_BYTES = 32, NONCE_BYTES = 12, TAG_BYTES = 16, HEAD_BYTES = 1 + NONCE_BYTES };

_Static_assert(HEAD_BYTES + TAG_BYTES == QN_SEAL_OVERHEAD, "seal.h says so");

static bool derive(const struct qn_secret *secret, const char *label, uint8_t key[KEY_BYTES])
{
	char digest[] = "SHA256";
	/* OSSL_PARAM has no const; nothing is written through these */
	void *secret_p = (void *)(uintptr_t)secret->bytes.p, *info = (void *)(uintptr_t)label;
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_HKDF, NULL);
	EVP_KDF_CTX *ctx = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
	OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
	    OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, secret_p, secret->bytes.n),
	    OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, strlen(label)),
	    OSSL_PARAM_construct_end(),
	};
	bool ok = ctx != NULL && EVP_KDF_derive(ctx, key, KEY_BYTES, params) == 1;

	EVP_KDF_CTX_free(ctx); /* wipes its copy of the secret */
	EVP_KDF_free(kdf);
	return ok;
}

static bool start(EVP_CIPHER_CTX *ctx, bool encrypt, const uint8_t key[KEY_BYTES],
    const uint8_t nonce[NONCE_BYTES], struct qn_span context)
{
	int n;

	return ctx != NULL &&
	       EVP_CipherInit_ex2(ctx, EVP_aes_256_gcm(), key, nonce, encrypt, NULL) == 1 &&
	       (context.n == 0 || EVP_CipherUpdate(ctx, NULL, &n, (const uint8_t *)context.p,
				      (int)context.n) == 1);
}

/* An empty text has no update: GCM would read a NULL input as the end. */
static bool update(EVP_CIPHER_CTX *ctx, const uint8_t *in, size_t n, uint8_t *out)
{
	int done = 0;

	return n == 0 || (EVP_CipherUpdate(ctx, out, &done, in, (int)n) == 1 && (size_t)done == n);
}

bool qn_seal(const struct qn_secret *secret, const char *label, struct qn_span context,
    struct qn_span plain, uint8_t *out)
{
	uint8_t key[KEY_BYTES], *nonce = out + 1, *text = out + HEAD_BYTES, *tag = text + plain.n;
	EVP_CIPHER_CTX *ctx;
	int n = 0;

	if (secret->bytes.n == 0 || secret->id == 0 || plain.n > QN_SEAL_MOST ||
	    context.n > QN_SEAL_MOST)
		return false;
	out[0] = secret->id;
	qn_random(nonce, NONCE_BYTES);
	ctx = EVP_CIPHER_CTX_new();
	bool ok = derive(secret, label, key) && start(ctx, true, key, nonce, context) &&
	          update(ctx, (const uint8_t *)plain.p, plain.n, text) &&
	          EVP_CipherFinal_ex(ctx, tag, &n) == 1 && n == 0 &&
	          EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, tag) == 1;
	EVP_CIPHER_CTX_free(ctx);
	qn_wipe(key, sizeof(key));
	if (!ok) {
		qn_wipe(out, plain.n + QN_SEAL_OVERHEAD);
		ERR_clear_error();
	}
	return ok;
}

bool qn_unseal(const struct qn_secret *secret, const char *label, struct qn_span context,
    struct qn_span sealed, uint8_t *out)
{
	const uint8_t *p = (const uint8_t *)sealed.p;
	uint8_t key[KEY_BYTES], tag[TAG_BYTES];
	EVP_CIPHER_CTX *ctx;
	int n = 0;

	if (sealed.n < QN_SEAL_OVERHEAD || sealed.n - QN_SEAL_OVERHEAD > QN_SEAL_MOST ||
	    context.n > QN_SEAL_MOST)
		return false;
	size_t plain_n = sealed.n - QN_SEAL_OVERHEAD;
	memcpy(tag, p + sealed.n - TAG_BYTES, TAG_BYTES);
	ctx = EVP_CIPHER_CTX_new();
	bool ok = secret->bytes.n != 0 && p[0] == secret->id && derive(secret, label, key) &&
	          start(ctx, false, key, p + 1, context) &&
	          update(ctx, p + HEAD_BYTES, plain_n, out) &&
	          EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) == 1 &&
	          EVP_CipherFinal_ex(ctx, tag, &n) == 1;
	EVP_CIPHER_CTX_free(ctx);
	qn_wipe(key, sizeof(key));
	if (!ok) {
		qn_wipe(out, plain_n); /* it was deciphered before the tag was seen to be wrong */
		ERR_clear_error();
	}
	return ok;
}

uint8_t qn_sealed_by(struct qn_span sealed)
{
	return sealed.n < QN_SEAL_OVERHEAD ? 0 : (uint8_t)sealed.p[0];
}
