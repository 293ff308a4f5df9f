/* See quoin-verify.h. Apache-2.0. */
#include "quoin-verify.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>

enum { LINE = 64, HEX = 64, DEPTH = 8, IV = 12, TAG = 16, SIG = 64, ROUNDS = 200000 };
#define SAFE_MOST 9007199254740991 /* 2^53-1 */

#define REFUSE(when, code) \
	if (when) \
	return QUOIN_##code

typedef struct quoin_slice slice;

static const struct {
	const char *begin, *end, *prefix, *name;
} kinds[] = {
    {"-----BEGIN LICENSE FILE-----\n", "\n-----END LICENSE FILE-----", "license/", "license"},
    {"-----BEGIN MACHINE FILE-----\n", "\n-----END MACHINE FILE-----", "machine/", "machine"},
    {"-----BEGIN LICENSE REVOCATIONS-----\n", "\n-----END LICENSE REVOCATIONS-----", "revocations/", "revocations"},
};

static int is(slice s, const char *text)
{
	return s.p != NULL && text != NULL && s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

/* Strict base64; `out` has room for `room` bytes and may be where it stands. Returns the bytes, -1: it is none. */
static long base64(slice s, unsigned char *out, size_t room)
{
	unsigned char *o = out, three[4], four[5];
	size_t i = 0;
	for (; i + 4 <= s.n; i += 4) {
		int n = s.p[i + 3] != '=' ? 3 : s.p[i + 2] != '=' ? 2 : 1;
		if ((n < 3 && i + 4 < s.n) || (size_t)(o - out) + (size_t)n > room ||
		    EVP_DecodeBlock(three, (const unsigned char *)s.p + i, 4) != 3)
			return -1;
		EVP_EncodeBlock(four, three, n); /* spare bits and other liberties do not come back */
		if (memcmp(four, s.p + i, 4) != 0)
			return -1;
		for (int k = 0; k < n; k++)
			*o++ = three[k];
	}
	return i == s.n ? o - out : -1;
}

/* JSON as JSON.stringify writes it, of integers and plain strings. Each reader moves *p behind what it read. */
static int string(const char **p, const char *end, slice *ret)
{
	const char *s = *p;
	if (s == end || *s++ != '"')
		return 0;
	for (*ret = (slice){s, 0}; s < end && *s >= ' ' && *s <= '~' && *s != '"' && *s != '\\'; s++)
		ret->n++;
	*p = s + 1;
	return s < end && *s == '"';
}

static int integer(slice s)
{
	char text[24] = "";
	memcpy(text, s.p, s.n < 20 ? s.n : 20);
	long long n = strtoll(text, NULL, 10);
	snprintf(text, sizeof(text), "%lld", n);
	return is(s, text) && n <= SAFE_MOST && n >= -SAFE_MOST;
}

static int value(const char **p, const char *end, int depth);

/* An object, whose members go to *o, or with o NULL an array; at its first byte. */
static int container(const char **p, const char *end, int depth, struct quoin_proof *o)
{
	const char closer = o != NULL ? '}' : ']';
	slice name = {NULL, 0};
	if (depth > DEPTH)
		return 0;
	if (++*p < end && **p == closer)
		return (*p)++, 1;
	do {
		if (o != NULL && (o->members == QUOIN_MEMBERS_MOST || !string(p, end, &name) || name.n == 0 ||
				     (name.p[0] >= '0' && name.p[0] <= '9') || *p == end || *(*p)++ != ':'))
			return 0;
		for (size_t i = 0; o != NULL && i < o->members; i++)
			if (o->name[i].n == name.n && memcmp(o->name[i].p, name.p, name.n) == 0)
				return 0;
		const char *start = *p;
		if (!value(p, end, depth + 1) || *p == end)
			return 0;
		if (o != NULL) {
			o->name[o->members] = name;
			o->value[o->members++] = (slice){start, (size_t)(*p - start)};
		}
	} while (*(*p)++ == ',');
	return (*p)[-1] == closer;
}

static int value(const char **p, const char *end, int depth)
{
	struct quoin_proof inner;
	slice s = {*p, 0};
	inner.members = 0;
	if (*p < end && (**p == '{' || **p == '['))
		return container(p, end, depth, **p == '{' ? &inner : NULL);
	if (*p < end && **p == '"')
		return string(p, end, &s);
	for (; *p < end && strchr(",]}", **p) == NULL; s.n++)
		(*p)++;
	return integer(s) || is(s, "null") || is(s, "true") || is(s, "false");
}

int quoin_read_object(struct quoin_proof *o, const char *json, size_t n)
{
	const char *p = json, *end = json + n;
	o->members = 0;
	return n > 0 && *p == '{' && container(&p, end, 1, o) && p == end;
}

int quoin_key_add(struct quoin_keys *keys, const char *kid, const char *x)
{
	struct quoin_key *key = &keys->key[keys->n];
	char text[44] = {[43] = '='};
	if (keys->n == QUOIN_KEYS_MOST || kid[0] == '\0' || strlen(kid) >= sizeof(key->kid) || strlen(x) != 43)
		return 0;
	for (size_t i = 0; i < 43; i++) /* from base64url */
		text[i] = x[i] == '-' ? '+' : x[i] == '_' ? '/' : x[i] == '+' || x[i] == '/' ? '=' : x[i];
	if (base64((slice){text, 44}, key->bytes, 32) != 32)
		return 0;
	memcpy(key->kid, kid, strlen(kid) + 1);
	return keys->n++, 1;
}

/* What stands in the armour, decoded: base64 in lines of 64, each but the last of them full. */
static enum quoin_code unarmour(slice file, enum quoin_kind kind, char *out, size_t *ret_n)
{
	size_t n = 0, found = 0, begin = 0, end = 0, m = 0;
	for (size_t i = 0; i < file.n; i++)
		if (file.p[i] != '\r' || i + 1 == file.n || file.p[i + 1] != '\n')
			out[n++] = file.p[i];
	n -= n > 0 && out[n - 1] == '\n';
	for (; found < 3; found++) {
		begin = strlen(kinds[found].begin), end = strlen(kinds[found].end);
		if (n > begin + end && memcmp(out, kinds[found].begin, begin) == 0 &&
		    memcmp(out + n - end, kinds[found].end, end) == 0)
			break;
	}
	if (found != (size_t)kind)
		return found == 3 ? QUOIN_BAD_ARMOR : QUOIN_WRONG_KIND;
	n -= begin + end;
	for (size_t i = 0; i < n; i++)
		if (i % (LINE + 1) != LINE)
			out[m++] = out[begin + i];
		else if (out[begin + i] != '\n')
			return QUOIN_BAD_ENCODING;
	long decoded = n % (LINE + 1) != 0 ? base64((slice){out, m}, (unsigned char *)out, m) : -1;
	*ret_n = (size_t)decoded;
	return decoded < 0 ? QUOIN_BAD_ENCODING : QUOIN_OK;
}

static int signed_by(const unsigned char key[32], slice text, const unsigned char sig[SIG])
{
	EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, 32);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int ok = pkey != NULL && ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
	         EVP_DigestVerify(ctx, sig, SIG, (const unsigned char *)text.p, text.n) == 1;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	return ok;
}

/* enc of an encrypted file is base64(ciphertext) "." base64(iv) "." base64(tag). */
static enum quoin_code decrypt(const struct quoin_expect *want, slice enc, unsigned char *out, long *ret_n)
{
	const char *machine = want->kind == QUOIN_MACHINE ? want->machine : NULL;
	size_t prefix = strlen(kinds[want->kind].prefix);
	unsigned char salt[32], *iv = salt + prefix, tag[TAG], key[32 + 1024];
	char *password = (char *)key + 32; /* wiped together */
	int n = 0, more = 0;
	if (enc.n < 42 || enc.p[enc.n - 25] != '.' || enc.p[enc.n - 42] != '.')
		return QUOIN_BAD_ENCODING;
	*ret_n = base64((slice){enc.p, enc.n - 42}, out, enc.n);
	memcpy(salt, kinds[want->kind].prefix, prefix);
	if (*ret_n < 0 || base64((slice){enc.p + enc.n - 41, 16}, iv, IV) != IV ||
	    base64((slice){enc.p + enc.n - 24, 24}, tag, TAG) != TAG)
		return QUOIN_BAD_ENCODING;
	if (want->license_key != NULL)
		n = snprintf(password, 1024, "%s%s%s", want->license_key, machine != NULL ? "\n" : "",
		    machine != NULL ? machine : "");
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int ok = ctx != NULL && n > 0 && n < 1024 &&
	         PKCS5_PBKDF2_HMAC(password, n, salt, (int)prefix + IV, ROUNDS, EVP_sha256(), 32, key) == 1 &&
	         EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, iv) == 1 &&
	         EVP_DecryptUpdate(ctx, out, &n, out, (int)*ret_n) == 1 &&
	         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1 &&
	         EVP_DecryptFinal_ex(ctx, out + n, &more) == 1;
	EVP_CIPHER_CTX_free(ctx);
	OPENSSL_cleanse(key, sizeof(key));
	return ok ? QUOIN_OK : QUOIN_CANNOT_DECRYPT;
}

/* The payload of a file that one of the keys has signed, at the beginning of `work`. */
static enum quoin_code unwrap(slice file, const struct quoin_keys *keys, const struct quoin_expect *want, char *work,
    long *ret_n, const char **ret_kid)
{
	size_t n, key = 0, prefix = strlen(kinds[want->kind].prefix);
	unsigned char sig[SIG];
	struct quoin_proof e;
	enum quoin_code code = unarmour(file, want->kind, work, &n);
	if (code != QUOIN_OK)
		return code;
	int read = quoin_read_object(&e, work, n) && e.members == 4;
	slice enc = quoin_text(&e, "enc"), s = quoin_text(&e, "sig"), alg = quoin_text(&e, "alg");
	REFUSE(!read || enc.p == NULL || s.p == NULL || alg.p == NULL || quoin_text(&e, "kid").p == NULL, BAD_JSON);
	int secret = is(alg, "aes-256-gcm+ed25519") && want->kind != QUOIN_REVOCATIONS;
	REFUSE(!secret && !is(alg, "base64+ed25519"), BAD_ALGORITHM);
	REFUSE(want->encrypted && !secret, NOT_ENCRYPTED);
	while (key < keys->n && !is(quoin_text(&e, "kid"), keys->key[key].kid))
		key++;
	REFUSE(key == keys->n, UNKNOWN_KEY);
	*ret_kid = keys->key[key].kid;
	REFUSE(s.n != 88 || base64(s, sig, SIG) != SIG, BAD_ENCODING);
	memcpy(work + n, kinds[want->kind].prefix, prefix);
	memcpy(work + n + prefix, enc.p, enc.n);
	enc.p = work + n + prefix; /* so that it may be decoded over itself */
	REFUSE(!signed_by(keys->key[key].bytes, (slice){work + n, prefix + enc.n}, sig), BAD_SIGNATURE);
	if (secret)
		return decrypt(want, enc, (unsigned char *)work, ret_n);
	*ret_n = base64(enc, (unsigned char *)work, enc.n);
	return *ret_n < 0 ? QUOIN_BAD_ENCODING : QUOIN_OK;
}

static int listed(const struct quoin_proof *list, slice id)
{
	slice all = quoin_member(list, "revoked");
	unsigned char hash[32];
	char hex[HEX + 1];
	SHA256((const unsigned char *)id.p, id.n, hash);
	for (size_t i = 0; i < sizeof(hash); i++)
		snprintf(hex + 2 * i, 3, "%02x", hash[i]);
	for (size_t at = 1; at + HEX + 2 < all.n; at += HEX + 3)
		if (memcmp(all.p + at + 1, hex, HEX) == 0)
			return 1;
	return 0;
}

static enum quoin_code judge(const struct quoin_proof *p, const struct quoin_expect *want, const char *kid)
{
	const struct quoin_proof *list = want->revocations;
	slice revoked = quoin_member(p, "revoked"), ends = quoin_member(p, "license_expires");
	int is_list = want->kind == QUOIN_REVOCATIONS;
	REFUSE(quoin_number(p, "version", 0) != 1, BAD_VERSION);
	REFUSE(!is(quoin_text(p, "kind"), kinds[want->kind].name), WRONG_KIND);
	REFUSE(!is(quoin_text(p, "kid"), kid), WRONG_KEY_ID);
	REFUSE(!is(quoin_text(p, "product"), want->product), WRONG_PRODUCT);
	REFUSE(quoin_number(p, "issued", -1) < 0 || quoin_number(p, "expires", -1) < 0, BAD_JSON);
	REFUSE(is_list && (quoin_number(p, "sequence", 0) < 1 || revoked.n < 2 || revoked.p[0] != '['), BAD_JSON);
	REFUSE(is_list && revoked.n > 2 && ((revoked.n - 1) % (HEX + 3) != 0 || revoked.p[1] != '"'), BAD_JSON);
	REFUSE(!is_list && (quoin_text(p, "license_id").p == NULL || quoin_text(p, "key").p == NULL), BAD_JSON);
	REFUSE(!is_list && !is(ends, "null") && quoin_number(p, "license_expires", -1) < 0, BAD_JSON);
	REFUSE(want->kind == QUOIN_MACHINE && !is(quoin_text(p, "machine"), want->machine), WRONG_MACHINE);
	REFUSE(want->nonce != NULL && !is(quoin_text(p, "nonce"), want->nonce), WRONG_NONCE);
	REFUSE(want->license_key != NULL && !is(quoin_text(p, "key"), want->license_key), WRONG_LICENSE);
	REFUSE(want->now + QUOIN_CLOCK_SKEW < want->last_seen, CLOCK_ROLLED_BACK);
	REFUSE(quoin_number(p, "issued", 0) > want->now + QUOIN_CLOCK_SKEW, NOT_YET_VALID);
	REFUSE(quoin_number(p, "expires", 0) <= want->now, EXPIRED);
	REFUSE(is_list && quoin_number(p, "sequence", 0) < want->sequence, STALE_LIST);
	REFUSE(is_list, OK);
	REFUSE(list != NULL && !is(quoin_text(list, "kind"), "revocations"), WRONG_KIND);
	REFUSE(list != NULL && !is(quoin_text(list, "product"), want->product), WRONG_PRODUCT);
	REFUSE(list != NULL && listed(list, quoin_text(p, "license_id")), REVOKED);
	REFUSE(!is(quoin_text(p, "status"), "active"), NOT_ACTIVE);
	REFUSE(quoin_number(p, "license_expires", INT64_MAX) <= want->now, LICENSE_EXPIRED);
	return QUOIN_OK;
}

enum quoin_code quoin_verify(
    struct quoin_proof *ret, const char *file, size_t n, const struct quoin_keys *keys, const struct quoin_expect *want)
{
	struct quoin_proof p = {.payload = n <= QUOIN_FILE_MOST ? malloc(2 * n + 64) : NULL};
	enum quoin_code code = n <= QUOIN_FILE_MOST ? QUOIN_NO_MEMORY : QUOIN_BAD_ARMOR;
	const char *kid = "";
	long length = 0;
	ERR_set_mark();
	if (p.payload != NULL)
		code = unwrap((slice){file, n}, keys, want, p.payload, &length, &kid);
	ERR_pop_to_mark();
	if (code == QUOIN_OK) {
		p.n = (size_t)length;
		p.payload[p.n] = '\0';
		code = quoin_read_object(&p, p.payload, p.n) ? judge(&p, want, kid) : QUOIN_BAD_JSON;
	}
	if (code == QUOIN_OK)
		*ret = p;
	else
		free(p.payload);
	return code;
}
