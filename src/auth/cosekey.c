#include "cosekey.h"

#include <fido.h>
#include <fido/eddsa.h>
#include <fido/es256.h>
#include <fido/rs256.h>
#include <openssl/err.h>
#include <string.h>

#include "cbor.h"

enum { KTY = 1, ALG = 3, CRV = -1, X = -2, Y = -3, N = -1, E = -2 };
enum { OKP = 1, EC2 = 2, RSA_KEY = 3, P256 = 1, ED25519 = 6 };
enum { COORDINATE = 32, MODULUS = 256, EXPONENT = 3, MEMBERS_MOST = 5 };

/* The members that the keys here have: labels -3 to 3, each an integer or a byte string. */
struct members {
	size_t n;
	bool has[7], is_int[7];
	int64_t number[7];
	struct qn_span bytes[7];
};

static bool read_member(struct cbor *c, struct members *m)
{
	struct cbor before;
	int64_t label;

	if (!cbor_int(c, &label) || label < -3 || label > 3 || m->has[label + 3])
		return false;
	size_t at = (size_t)(label + 3);
	before = *c;
	m->has[at] = true;
	m->is_int[at] = cbor_int(c, &m->number[at]);
	if (m->is_int[at])
		return true;
	*c = before;
	return cbor_bytes(c, &m->bytes[at]);
}

static bool read_members(struct qn_span map, struct members *m)
{
	struct cbor c = cbor_of(map);

	*m = (struct members){0};
	if (!cbor_map(&c, &m->n) || m->n > MEMBERS_MOST)
		return false;
	for (size_t i = 0; i < m->n; i++)
		if (!read_member(&c, m))
			return false;
	return c.p == c.end;
}

static bool is(const struct members *m, int label, int64_t value)
{
	return m->is_int[label + 3] && m->number[label + 3] == value;
}

static bool add(const struct members *m, int label, size_t n, struct cose_key *k)
{
	struct qn_span b = m->bytes[label + 3];

	if (m->is_int[label + 3] || b.p == NULL || b.n != n || k->n + n > sizeof(k->bytes))
		return false;
	memcpy(k->bytes + k->n, b.p, n);
	k->n += n;
	return true;
}

static bool take(const struct members *m, struct cose_key *k)
{
	if (is(m, ALG, COSE_ES256)) {
		k->alg = COSE_ES256;
		return m->n == 5 && is(m, KTY, EC2) && is(m, CRV, P256) &&
		       add(m, X, COORDINATE, k) && add(m, Y, COORDINATE, k);
	}
	if (is(m, ALG, COSE_EDDSA)) {
		k->alg = COSE_EDDSA;
		return m->n == 4 && is(m, KTY, OKP) && is(m, CRV, ED25519) &&
		       add(m, X, COORDINATE, k);
	}
	if (is(m, ALG, COSE_RS256)) {
		k->alg = COSE_RS256;
		return m->n == 4 && is(m, KTY, RSA_KEY) && add(m, N, MODULUS, k) &&
		       add(m, E, EXPONENT, k);
	}
	return false;
}

/* All 2048 bits, and odd; e is odd, and not 1. libfido2 takes anything. */
static bool sound_rsa(const struct cose_key *k)
{
	const uint8_t *n = k->bytes, *e = k->bytes + MODULUS;
	bool one = e[0] == 0 && e[1] == 0 && e[2] == 1;

	return (n[0] & 0x80) != 0 && (n[MODULUS - 1] & 1) != 0 && (e[2] & 1) != 0 && !one;
}

union fido_key {
	es256_pk_t *es256;
	eddsa_pk_t *eddsa;
	rs256_pk_t *rs256;
	void *any;
};

static void fido_key_free(int alg, union fido_key *f)
{
	if (alg == COSE_ES256)
		es256_pk_free(&f->es256);
	else if (alg == COSE_EDDSA)
		eddsa_pk_free(&f->eddsa);
	else
		rs256_pk_free(&f->rs256);
}

/* A point off the curve is refused; in any case the caller frees. */
static bool fido_key_new(const struct cose_key *k, union fido_key *ret)
{
	int e = FIDO_ERR_INTERNAL;

	if (k->alg == COSE_ES256 && (ret->es256 = es256_pk_new()) != NULL)
		e = es256_pk_from_ptr(ret->es256, k->bytes, k->n);
	else if (k->alg == COSE_EDDSA && (ret->eddsa = eddsa_pk_new()) != NULL)
		e = eddsa_pk_from_ptr(ret->eddsa, k->bytes, k->n);
	else if (k->alg == COSE_RS256 && (ret->rs256 = rs256_pk_new()) != NULL)
		e = rs256_pk_from_ptr(ret->rs256, k->bytes, k->n);
	return e == FIDO_OK;
}

static bool sound(const struct cose_key *k)
{
	union fido_key f = {.any = NULL};
	bool ok = fido_key_new(k, &f) && (k->alg != COSE_RS256 || sound_rsa(k));

	fido_key_free(k->alg, &f);
	ERR_clear_error();
	return ok;
}

bool cose_key_read(struct qn_span map, struct cose_key *ret)
{
	struct cose_key k = {0};
	struct members m;

	if (!read_members(map, &m) || !take(&m, &k) || !sound(&k))
		return false;
	*ret = k;
	return true;
}

static bool fill(fido_assert_t *a, const struct cose_signed *s)
{
	return fido_assert_set_clientdata_hash(a, s->client_hash, 32) == FIDO_OK &&
	       fido_assert_set_rp(a, s->rp_id) == FIDO_OK &&
	       fido_assert_set_up(a, FIDO_OPT_TRUE) == FIDO_OK &&
	       fido_assert_set_uv(a, s->user_verification ? FIDO_OPT_TRUE : FIDO_OPT_OMIT) ==
	           FIDO_OK &&
	       fido_assert_set_extensions(a, s->hmac_secret ? FIDO_EXT_HMAC_SECRET : 0) ==
	           FIDO_OK &&
	       fido_assert_set_count(a, 1) == FIDO_OK &&
	       fido_assert_set_authdata_raw(
		   a, 0, (const unsigned char *)s->authdata.p, s->authdata.n) == FIDO_OK &&
	       fido_assert_set_sig(a, 0, (const unsigned char *)s->signature.p, s->signature.n) ==
	           FIDO_OK;
}

bool cose_key_verify(const struct cose_key *k, const struct cose_signed *s)
{
	union fido_key f = {.any = NULL};
	fido_assert_t *a;

	fido_init(0);
	a = fido_assert_new();
	bool ok = a != NULL && fido_key_new(k, &f) && fill(a, s) &&
	          fido_assert_verify(a, 0, k->alg, f.any) == FIDO_OK;
	fido_assert_free(&a);
	fido_key_free(k->alg, &f);
	ERR_clear_error();
	return ok;
}
