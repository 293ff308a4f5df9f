#include "quoin/auth/jwk.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdint.h>
#include <stdlib.h>

#include "quoin/base/arena.h"
#include "quoin/base/json.h"
#include "quoin/base/log.h"
#include "quoin/base/rand.h"

enum {
	RSA_BITS_LEAST = 2048,
	RSA_BITS_MOST = 8192,
	RSA_E_BITS_MOST = 64, /* what OpenSSL itself allows beside a large modulus */
	P256_BYTES = 32,      /* a coordinate, r or s */
	P256_RS_BYTES = 64,
	P256_DER_MAX = 72, /* an ECDSA-Sig-Value of two such numbers */
	ED25519_BYTES = 32,
	SCRATCH_BYTES = 4 * 1024 * 1024, /* a ceiling; a usual set takes kilobytes */
};

struct qn_key {
	char *kid;
	size_t kid_n;
	enum qn_alg alg;
	EVP_MD_CTX *ready; /* set up to verify; a copy of it is cheaper than a new one */
	bool ambiguous;    /* another key of the set has the same kid */
};

struct qn_jwks {
	size_t n;
	struct qn_key keys[QN_JWKS_KEYS];
};

static const char *const alg_names[QN_ALG__MAX] = {
    [QN_ALG_NONE] = "",
    [QN_ALG_RS256] = "RS256",
    [QN_ALG_ES256] = "ES256",
    [QN_ALG_EDDSA] = "EdDSA",
};

const char *qn_alg_name(enum qn_alg alg)
{
	return (unsigned)alg < QN_ALG__MAX ? alg_names[alg] : "";
}

enum qn_alg qn_alg_by_name(const char *name)
{
	for (int alg = QN_ALG_NONE + 1; name != NULL && alg < QN_ALG__MAX; alg++)
		if (strcmp(name, alg_names[alg]) == 0)
			return (enum qn_alg)alg;
	return QN_ALG_NONE;
}

/* A string member; absent reads as {NULL, 0}. false: it is there and of another kind. */
static bool get_str(
    struct qn_arena *a, const struct qn_json_object *o, const char *name, struct qn_span *ret)
{
	struct qn_span value = qn_json_get(o, name);

	*ret = (struct qn_span){NULL, 0};
	return value.p == NULL || qn_json_str(a, value, &ret->p, &ret->n);
}

/* A required base64url member, decoded, without leading zeros when `number`. */
static bool get_bytes(struct qn_arena *a, const struct qn_json_object *o, const char *name,
    bool number, struct qn_span *ret)
{
	struct qn_span text;

	if (!get_str(a, o, name, &text) || text.p == NULL)
		return false;
	uint8_t *out = qn_alloc(a, 3 * text.n / 4 + 1);
	long n = qn_b64url_decode(text.p, text.n, out);
	if (n <= 0)
		return false;
	/* RFC 7518 §6.3.1.1 knows of implementers who put a zero byte before the modulus. */
	for (; number && n > 0 && *out == 0; n--)
		out++;
	*ret = (struct qn_span){(const char *)out, (size_t)n};
	return true;
}

static EVP_PKEY *pkey_from(const char *type, OSSL_PARAM *params)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *pkey = NULL;

	if (ctx == NULL || params == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1) {
		EVP_PKEY_free(pkey);
		pkey = NULL;
	}
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}

static bool rsa_fits(const BIGNUM *n, const BIGNUM *e)
{
	return n != NULL && e != NULL && BN_num_bits(n) >= RSA_BITS_LEAST &&
	       BN_num_bits(n) <= RSA_BITS_MOST && BN_is_odd(n) &&
	       BN_num_bits(e) <= RSA_E_BITS_MOST && BN_is_odd(e) && !BN_is_one(e);
}

static EVP_PKEY *rsa_key(struct qn_arena *a, const struct qn_json_object *o)
{
	struct qn_span n_bytes, e_bytes;
	EVP_PKEY *pkey = NULL;

	if (!get_bytes(a, o, "n", true, &n_bytes) || !get_bytes(a, o, "e", true, &e_bytes) ||
	    n_bytes.n > RSA_BITS_MOST / 8 || e_bytes.n > RSA_E_BITS_MOST / 8)
		return NULL;
	BIGNUM *n = BN_bin2bn((const uint8_t *)n_bytes.p, (int)n_bytes.n, NULL);
	BIGNUM *e = BN_bin2bn((const uint8_t *)e_bytes.p, (int)e_bytes.n, NULL);
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params = NULL;
	if (bld != NULL && rsa_fits(n, e) &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e) == 1) {
		params = OSSL_PARAM_BLD_to_param(bld);
		pkey = pkey_from("RSA", params);
	}
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(bld);
	BN_free(e);
	BN_free(n);
	return pkey;
}

/* EVP_PKEY_fromdata() refuses a point that is not on the curve. */
static EVP_PKEY *p256_key(struct qn_arena *a, const struct qn_json_object *o)
{
	struct qn_span crv, x, y;
	uint8_t point[1 + 2 * P256_BYTES] = {POINT_CONVERSION_UNCOMPRESSED};
	char group[] = "P-256";

	if (!get_str(a, o, "crv", &crv) || !qn_span_is(crv, group) ||
	    !get_bytes(a, o, "x", false, &x) || !get_bytes(a, o, "y", false, &y) ||
	    x.n != P256_BYTES || y.n != P256_BYTES)
		return NULL;
	memcpy(point + 1, x.p, x.n);
	memcpy(point + 1 + P256_BYTES, y.p, y.n);
	OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
	    OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)),
	    OSSL_PARAM_construct_end(),
	};
	return pkey_from("EC", params);
}

static EVP_PKEY *ed25519_key(struct qn_arena *a, const struct qn_json_object *o)
{
	struct qn_span crv, x;
	uint8_t point[ED25519_BYTES];

	if (!get_str(a, o, "crv", &crv) || !qn_span_is(crv, "Ed25519") ||
	    !get_bytes(a, o, "x", false, &x) || x.n != sizeof(point))
		return NULL;
	memcpy(point, x.p, sizeof(point));
	OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)),
	    OSSL_PARAM_construct_end(),
	};
	return pkey_from("ED25519", params);
}

static const struct kind {
	const char *kty;
	enum qn_alg alg;
	EVP_PKEY *(*read)(struct qn_arena *a, const struct qn_json_object *o);
} kinds[] = {
    {"RSA", QN_ALG_RS256, rsa_key},
    {"EC", QN_ALG_ES256, p256_key},
    {"OKP", QN_ALG_EDDSA, ed25519_key},
};

static const struct kind *kind_of(struct qn_arena *a, const struct qn_json_object *o)
{
	struct qn_span kty, alg;

	if (!get_str(a, o, "kty", &kty) || !get_str(a, o, "alg", &alg))
		return NULL;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (qn_span_is(kty, kinds[i].kty) &&
		    (alg.p == NULL || qn_span_is(alg, alg_names[kinds[i].alg])))
			return &kinds[i];
	return NULL;
}

/* "key_ops" is absent, or an array with "verify" in it. */
static bool may_verify(struct qn_arena *a, const struct qn_json_object *o)
{
	struct qn_span value = qn_json_get(o, "key_ops"), *ops, op;
	size_t n;

	if (value.p == NULL)
		return true;
	if (!qn_json_elements(a, value, &ops, &n))
		return false;
	for (size_t i = 0; i < n; i++)
		if (qn_json_str(a, ops[i], &op.p, &op.n) && qn_span_is(op, "verify"))
			return true;
	return false;
}

static bool is_private(const struct qn_json_object *o)
{
	static const char *const names[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (qn_json_get(o, names[i]).p != NULL)
			return true;
	return false;
}

static void key_done(struct qn_key *key)
{
	EVP_MD_CTX_free(key->ready);
	free(key->kid);
}

static bool key_read(struct qn_arena *a, const struct qn_json_object *o, struct qn_key *ret)
{
	struct qn_span kid, use;

	if (!get_str(a, o, "kid", &kid) || kid.n == 0 || kid.n > QN_KID_MAX ||
	    !get_str(a, o, "use", &use) || (use.p != NULL && !qn_span_is(use, "sig")) ||
	    !may_verify(a, o) || is_private(o))
		return false;
	const struct kind *kind = kind_of(a, o);
	EVP_PKEY *pkey = kind != NULL ? kind->read(a, o) : NULL;
	if (pkey == NULL)
		return false;
	struct qn_key key = {.kid_n = kid.n, .alg = kind->alg};
	key.kid = strndup(kid.p, kid.n);
	key.ready = EVP_MD_CTX_new();
	/* Ed25519 hashes by itself. RSA's padding is PKCS #1 v1.5 unless one asks for another. */
	const EVP_MD *md = key.alg == QN_ALG_EDDSA ? NULL : EVP_sha256();
	bool ok = key.kid != NULL && key.ready != NULL &&
	          EVP_DigestVerifyInit(key.ready, NULL, md, NULL, pkey) == 1;
	EVP_PKEY_free(pkey); /* the context keeps its own reference */
	if (ok)
		*ret = key;
	else
		key_done(&key);
	return ok;
}

static void leave_ambiguous_out(struct qn_jwks *set)
{
	size_t kept = 0;

	for (size_t i = 0; i < set->n; i++)
		for (size_t k = 0; k < i; k++)
			if (set->keys[i].kid_n == set->keys[k].kid_n &&
			    memcmp(set->keys[i].kid, set->keys[k].kid, set->keys[i].kid_n) == 0)
				set->keys[i].ambiguous = set->keys[k].ambiguous = true;
	for (size_t i = 0; i < set->n; i++) {
		if (set->keys[i].ambiguous)
			key_done(&set->keys[i]);
		else
			set->keys[kept++] = set->keys[i];
	}
	set->n = kept;
}

/* NULL, or why the text is refused. */
static const char *set_read(struct qn_arena *a, struct qn_span text, struct qn_jwks *set)
{
	static const struct qn_json_limits limits = {.depth = 8, .nodes = 16384};
	struct qn_json_object root, key;
	struct qn_span *keys;
	size_t n;

	if (text.p == NULL || text.n > QN_JWKS_BYTES)
		return "The key set is empty or larger than 256 KB.";
	if (qn_json_scan(a, text, &limits, &root, NULL) != QN_JSON_OK)
		return "The key set is not acceptable JSON.";
	struct qn_span list = qn_json_get(&root, "keys");
	if (list.p == NULL || !qn_json_elements(a, list, &keys, &n))
		return "The key set has no array of keys.";
	if (n > QN_JWKS_KEYS)
		return "The key set has more than 64 keys.";
	for (size_t i = 0; i < n; i++) {
		if (!qn_json_members(a, keys[i], &key))
			return "The key set has a key that is not an object.";
		if (key_read(a, &key, &set->keys[set->n]))
			set->n++;
	}
	leave_ambiguous_out(set);
	return set->n != 0 ? NULL : "The key set has no key that could verify a token here.";
}

struct qn_jwks *qn_jwks_parse(struct qn_span text, const char **ret_why)
{
	struct qn_jwks *set = calloc(1, sizeof(*set));

	if (set == NULL)
		qn_fatal("out of memory");
	struct qn_arena *scratch = qn_arena_new(SCRATCH_BYTES);
	const char *why = set_read(scratch, text, set);
	qn_arena_free(scratch);
	ERR_clear_error(); /* keys that were ignored leave their complaints */
	if (why == NULL)
		return set;
	if (ret_why != NULL)
		*ret_why = why;
	qn_jwks_free(set);
	return NULL;
}

void qn_jwks_free(struct qn_jwks *set)
{
	if (set == NULL)
		return;
	for (size_t i = 0; i < set->n; i++)
		key_done(&set->keys[i]);
	free(set);
}

const struct qn_key *qn_jwks_find(const struct qn_jwks *set, struct qn_span kid)
{
	if (set == NULL || kid.p == NULL)
		return NULL;
	for (size_t i = 0; i < set->n; i++)
		if (set->keys[i].kid_n == kid.n && memcmp(set->keys[i].kid, kid.p, kid.n) == 0)
			return &set->keys[i];
	return NULL;
}

enum qn_alg qn_key_alg(const struct qn_key *key)
{
	return key->alg;
}

/* r||s as the ECDSA-Sig-Value that OpenSSL reads. Returns its length, 0 when it cannot be made. */
static size_t ecdsa_der(struct qn_span rs, uint8_t out[P256_DER_MAX])
{
	if (rs.n != P256_RS_BYTES)
		return 0;
	const uint8_t *p = (const uint8_t *)rs.p;
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(p, P256_BYTES, NULL);
	BIGNUM *s = BN_bin2bn(p + P256_BYTES, P256_BYTES, NULL);
	int n = 0;

	if (sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s) == 1) {
		r = s = NULL; /* the signature's now */
		n = i2d_ECDSA_SIG(sig, NULL);
		n = n > 0 && n <= P256_DER_MAX ? i2d_ECDSA_SIG(sig, &out) : 0;
	}
	ECDSA_SIG_free(sig);
	BN_free(r);
	BN_free(s);
	return n > 0 ? (size_t)n : 0;
}

static bool verify(const struct qn_key *key, struct qn_span text, const uint8_t *sig, size_t sig_n)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx != NULL && EVP_MD_CTX_copy_ex(ctx, key->ready) == 1 &&
	          EVP_DigestVerify(ctx, sig, sig_n, (const uint8_t *)text.p, text.n) == 1;

	EVP_MD_CTX_free(ctx);
	return ok;
}

bool qn_key_verify(const struct qn_key *key, struct qn_span text, struct qn_span signature)
{
	uint8_t der[P256_DER_MAX];
	bool ok;

	if (key->alg == QN_ALG_ES256) {
		size_t n = ecdsa_der(signature, der);
		ok = n != 0 && verify(key, text, der, n);
	} else {
		ok = verify(key, text, (const uint8_t *)signature.p, signature.n);
	}
	ERR_clear_error(); /* or it would be read as the fault of whoever calls OpenSSL next */
	return ok;
}
