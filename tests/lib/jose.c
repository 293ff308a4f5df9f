#include "jose.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

#include "quoin/base/rand.h"

#define RSA_D \
	"Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol" \
	"2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn43" \
	"9X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8" \
	"bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ"
#define EC_D "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"
#define ED_D "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "jose: %s failed\n", what);
	abort();
}

static size_t bytes_of(const char *b64, unsigned char out[260])
{
	long n = qn_b64url_decode(b64, strlen(b64), out);

	must(n > 0, "base64url");
	return (size_t)n;
}

static void push_number(OSSL_PARAM_BLD *bld, const char *name, const char *b64, BIGNUM **ret)
{
	unsigned char bytes[260];
	size_t n = bytes_of(b64, bytes);

	*ret = BN_bin2bn(bytes, (int)n, NULL);
	must(*ret != NULL && OSSL_PARAM_BLD_push_BN(bld, name, *ret) == 1, name);
}

static EVP_PKEY *from_bld(const char *type, OSSL_PARAM_BLD *bld)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *pkey = NULL;

	must(params != NULL && ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
		 EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_KEYPAIR, params) == 1,
	    type);
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(bld);
	return pkey;
}

static EVP_PKEY *rsa_key(void)
{
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	BIGNUM *n, *e, *d;

	must(bld != NULL, "OSSL_PARAM_BLD_new");
	push_number(bld, OSSL_PKEY_PARAM_RSA_N, JOSE_RSA_N, &n);
	push_number(bld, OSSL_PKEY_PARAM_RSA_E, "AQAB", &e);
	push_number(bld, OSSL_PKEY_PARAM_RSA_D, RSA_D, &d);
	EVP_PKEY *pkey = from_bld("RSA", bld);
	BN_free(n);
	BN_free(e);
	BN_free(d);
	return pkey;
}

static EVP_PKEY *ec_key(void)
{
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	unsigned char point[1 + 260 + 260] = {POINT_CONVERSION_UNCOMPRESSED};
	BIGNUM *d;

	must(bld != NULL && bytes_of(JOSE_EC_X, point + 1) == 32 &&
		 bytes_of(JOSE_EC_Y, point + 33) == 32,
	    "P-256");
	must(OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) == 1 &&
		 OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, 65) == 1,
	    "P-256");
	push_number(bld, OSSL_PKEY_PARAM_PRIV_KEY, EC_D, &d);
	EVP_PKEY *pkey = from_bld("EC", bld);
	BN_free(d);
	return pkey;
}

static EVP_PKEY *ed_key(void)
{
	unsigned char d[260];
	size_t n = bytes_of(ED_D, d);
	EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, d, n);

	must(pkey != NULL, "Ed25519");
	return pkey;
}

EVP_PKEY *jose_key(enum jose_by by)
{
	static EVP_PKEY *made[JOSE__MAX]; /* for as long as the process lives */

	if (made[by] == NULL)
		made[by] = by == JOSE_EC ? ec_key() : by == JOSE_ED ? ed_key() : rsa_key();
	must(EVP_PKEY_up_ref(made[by]) == 1, "EVP_PKEY_up_ref");
	return made[by];
}

static size_t hmac_under_pem(EVP_PKEY *pkey, struct qn_span text, unsigned char *out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *pem;

	must(bio != NULL && PEM_write_bio_PUBKEY(bio, pkey) == 1, "PEM");
	long n = BIO_get_mem_data(bio, &pem);
	qn_hmac_sha256(pem, (size_t)n, text.p, text.n, out);
	BIO_free(bio);
	return QN_SHA256_LEN;
}

static size_t raw_of_der(const unsigned char *der, size_t n, unsigned char *out)
{
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)n);

	must(sig != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, 32) == 32 &&
		 BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + 32, 32) == 32,
	    "ECDSA");
	ECDSA_SIG_free(sig);
	return 64;
}

size_t jose_sign_raw(enum jose_by by, struct qn_span text, unsigned char out[256])
{
	EVP_PKEY *pkey = jose_key(by);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char sig[256];
	size_t n = sizeof(sig);

	if (by == JOSE_HMAC) {
		n = hmac_under_pem(pkey, text, out);
	} else {
		must(ctx != NULL &&
			 EVP_DigestSignInit(
			     ctx, NULL, by == JOSE_ED ? NULL : EVP_sha256(), NULL, pkey) == 1 &&
			 EVP_DigestSign(ctx, sig, &n, (const unsigned char *)text.p, text.n) == 1,
		    "EVP_DigestSign");
		if (by == JOSE_EC)
			n = raw_of_der(sig, n, out);
		else
			memcpy(out, sig, n);
	}
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	return n;
}

char *jose_sign(struct qn_arena *a, enum jose_by by, struct qn_span header, struct qn_span payload)
{
	unsigned char sig[256];
	char *token = qn_alloc(a, 4 * (header.n + payload.n + sizeof(sig)) / 3 + 16);
	size_t n = qn_b64url_encode(header.p, header.n, token);

	token[n++] = '.';
	n += qn_b64url_encode(payload.p, payload.n, token + n);
	size_t sig_n = jose_sign_raw(by, (struct qn_span){token, n}, sig);
	token[n++] = '.';
	qn_b64url_encode(sig, sig_n, token + n);
	return token;
}
