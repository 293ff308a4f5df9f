#include "quoin/auth/proof.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "quoin/base/buf.h"
#include "quoin/base/json.h"
#include "quoin/base/rand.h"

enum { LINE = 64, IV_BYTES = 12, TAG_BYTES = 16, AES_BYTES = 32, DEPTH = 8, MEMBERS = 64 };
#define SECOND     1000000LL
#define LIST_BYTES ((size_t)16 << 20)
#define SAFE_MOST  9007199254740991LL /* 2^53-1 */

static const struct kind {
	const char *name, *armour, *prefix;
} licenses = {"license", "LICENSE FILE", "license/"},
  machines = {"machine", "MACHINE FILE", "machine/"},
  lists = {"revocations", "LICENSE REVOCATIONS", "revocations/"};

static bool plain(char c)
{
	return c >= ' ' && c <= '~' && c != '"' && c != '\\';
}

static bool plain_text(const char *s, size_t most)
{
	size_t n = s != NULL ? strlen(s) : 0;

	for (size_t i = 0; i < n; i++)
		if (!plain(s[i]))
			return false;
	return n > 0 && n <= most;
}

bool qn_proof_word(const char *s)
{
	return plain_text(s, QN_PROOF_WORD_MOST);
}

bool qn_proof_licence_key(const char *s)
{
	return plain_text(s, QN_LICENCE_KEY_MAX);
}

static bool good_name(struct qn_span name)
{
	if (name.n == 0 || strchr("0123456789.-", name.p[0]) != NULL)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!(name.p[i] >= '0' && name.p[i] <= '9') &&
		    !((name.p[i] | 0x20) >= 'a' && (name.p[i] | 0x20) <= 'z') &&
		    strchr("_.-", name.p[i]) == NULL)
			return false;
	return true;
}

static bool add_value(struct qn_buf *b, struct qn_arena *a, struct qn_span v, unsigned depth);

static bool add_object(struct qn_buf *b, struct qn_arena *a, struct qn_span v, unsigned depth)
{
	struct qn_json_object o;

	if (!qn_json_members(a, v, &o) || o.n > MEMBERS)
		return false;
	qn_buf_char(b, '{');
	for (size_t i = 0; i < o.n; i++) {
		if (!good_name(o.members[i].name))
			return false;
		qn_buf_str(b, i > 0 ? ",\"" : "\"");
		qn_buf_add(b, o.members[i].name.p, o.members[i].name.n);
		qn_buf_str(b, "\":");
		if (!add_value(b, a, o.members[i].value, depth))
			return false;
	}
	qn_buf_char(b, '}');
	return true;
}

static bool add_array(struct qn_buf *b, struct qn_arena *a, struct qn_span v, unsigned depth)
{
	struct qn_span *items;
	size_t n;

	if (!qn_json_elements(a, v, &items, &n))
		return false;
	qn_buf_char(b, '[');
	for (size_t i = 0; i < n; i++) {
		qn_buf_str(b, i > 0 ? "," : "");
		if (!add_value(b, a, items[i], depth))
			return false;
	}
	qn_buf_char(b, ']');
	return true;
}

static bool add_number(struct qn_buf *b, struct qn_span v)
{
	int64_t n;

	if (!qn_json_i64(v, &n) || n > SAFE_MOST || n < -SAFE_MOST)
		return false;
	qn_buf_i64(b, n);
	return true;
}

/* A scanned value as JSON.stringify has it; false when a proof cannot hold it. */
static bool add_value(struct qn_buf *b, struct qn_arena *a, struct qn_span v, unsigned depth)
{
	switch (qn_json_kind(v)) {
	case '{':
		return depth <= DEPTH && add_object(b, a, v, depth + 1);
	case '[':
		return depth <= DEPTH && add_array(b, a, v, depth + 1);
	case '0':
		return add_number(b, v);
	case '"':
		for (size_t i = 1; i + 1 < v.n; i++)
			if (!plain(v.p[i]))
				return false;
		break;
	default:
		break;
	}
	qn_buf_add(b, v.p, v.n);
	return true;
}

static struct qn_span trimmed(struct qn_span v)
{
	while (v.n > 0 && (unsigned char)v.p[0] <= ' ')
		v.p++, v.n--;
	while (v.n > 0 && (unsigned char)v.p[v.n - 1] <= ' ')
		v.n--;
	return v;
}

/* Foreign JSON that must be of one of `kinds`; `otherwise` when there is none. */
static bool add_foreign(struct qn_buf *b, struct qn_arena *a, const char *name, struct qn_span v,
    const char *kinds, const char *otherwise)
{
	static const struct qn_json_limits limits = {.depth = DEPTH, .nodes = 16384};

	qn_buf_printf(b, ",\"%s\":", name);
	if (v.p == NULL) {
		qn_buf_str(b, otherwise);
		return true;
	}
	if (v.n > QN_PROOF_MOST || qn_json_scan(a, v, &limits, NULL, NULL) != QN_JSON_OK)
		return false;
	v = trimmed(v);
	return strchr(kinds, v.p[0]) != NULL && add_value(b, a, v, 2);
}

static void add_word(struct qn_buf *b, const char *name, const char *value)
{
	if (value != NULL)
		qn_buf_printf(b, ",\"%s\":\"%s\"", name, value);
}

static void add_time(struct qn_buf *b, const char *name, qn_time t)
{
	if (t == QN_TIME_NULL)
		qn_buf_printf(b, ",\"%s\":null", name);
	else
		qn_buf_printf(b, ",\"%s\":%lld", name, (long long)(t / SECOND));
}

static void add_head(
    struct qn_buf *b, const struct kind *kind, const struct qn_proof_key *k, const char *product)
{
	qn_buf_printf(b, "{\"version\":%d,\"kind\":\"%s\"", QN_PROOF_VERSION, kind->name);
	add_word(b, "kid", qn_proof_key_kid(k));
	add_word(b, "product", product);
}

static bool add_license(struct qn_buf *b, struct qn_arena *a, const struct kind *kind,
    const struct qn_proof_key *k, const struct qn_proof_license *l)
{
	add_head(b, kind, k, l->product);
	add_word(b, "license_id", l->license_id);
	add_word(b, "key", l->key);
	add_word(b, "plan", l->plan);
	add_word(b, "status", l->status);
	if (l->seats == QN_I64_NULL)
		qn_buf_str(b, ",\"seats\":null");
	else
		qn_buf_printf(b, ",\"seats\":%lld", (long long)l->seats);
	bool ok = add_foreign(b, a, "features", l->features, "[{", "[]") &&
	          add_foreign(b, a, "limits", l->limits, "{", "{}");
	add_time(b, "issued", l->issued);
	add_time(b, "expires", l->expires);
	add_time(b, "license_expires", l->license_expires);
	add_word(b, "machine", l->machine);
	add_word(b, "nonce", l->nonce);
	qn_buf_char(b, '}');
	return ok && !b->over;
}

static bool add_base64(struct qn_buf *b, const void *p, size_t n)
{
	char *text = malloc(4 * (n / 3) + 8);

	if (text == NULL)
		return false;
	qn_buf_add(b, text, qn_b64_encode(p, n, text));
	free(text);
	return !b->over;
}

static bool derive(const struct kind *kind, const struct qn_proof_license *l,
    const uint8_t iv[IV_BYTES], uint8_t out[AES_BYTES])
{
	char password[QN_LICENCE_KEY_MAX + QN_PROOF_WORD_MOST + 2], salt[32];
	int n = snprintf(password, sizeof(password), "%s%s%s", l->key,
	    l->machine != NULL ? "\n" : "", l->machine != NULL ? l->machine : "");
	size_t prefix = strlen(kind->prefix);

	memcpy(salt, kind->prefix, prefix);
	memcpy(salt + prefix, iv, IV_BYTES);
	bool ok = PKCS5_PBKDF2_HMAC(password, n, (const uint8_t *)salt, (int)(prefix + IV_BYTES),
		      QN_PROOF_ROUNDS, EVP_sha256(), AES_BYTES, out) == 1;
	qn_wipe(password, sizeof(password));
	return ok;
}

static bool encrypt(const uint8_t key[AES_BYTES], const uint8_t iv[IV_BYTES], struct qn_span text,
    uint8_t *out, uint8_t tag[TAG_BYTES])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0, more = 0;
	bool ok = ctx != NULL && EVP_EncryptInit_ex2(ctx, EVP_aes_256_gcm(), key, iv, NULL) == 1 &&
	          EVP_EncryptUpdate(ctx, out, &n, (const uint8_t *)text.p, (int)text.n) == 1 &&
	          EVP_EncryptFinal_ex(ctx, out + n, &more) == 1 && (size_t)n == text.n &&
	          EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, tag) == 1;

	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

/* `enc` of an encrypted file. */
static bool add_encrypted(struct qn_buf *b, const struct kind *kind,
    const struct qn_proof_license *l, struct qn_span payload)
{
	uint8_t key[AES_BYTES], iv[IV_BYTES], tag[TAG_BYTES], *text = malloc(payload.n);

	qn_random(iv, sizeof(iv));
	bool ok = text != NULL && derive(kind, l, iv, key) &&
	          encrypt(key, iv, payload, text, tag) && add_base64(b, text, payload.n);
	if (ok) {
		qn_buf_char(b, '.');
		add_base64(b, iv, sizeof(iv));
		qn_buf_char(b, '.');
		add_base64(b, tag, sizeof(tag));
	}
	qn_wipe(key, sizeof(key));
	free(text);
	ERR_clear_error();
	return ok && !b->over;
}

/* The envelope of `signed_text`, which is the prefix and enc. */
static void envelope(struct qn_buf *b, const struct kind *kind, const struct qn_proof_key *k,
    const char *alg, struct qn_span signed_text)
{
	size_t prefix = strlen(kind->prefix);
	uint8_t sig[QN_PROOF_SIG_LEN];

	qn_proof_key_sign(k, signed_text, sig);
	qn_buf_str(b, "{\"enc\":\"");
	qn_buf_add(b, signed_text.p + prefix, signed_text.n - prefix);
	qn_buf_str(b, "\",\"sig\":\"");
	add_base64(b, sig, sizeof(sig));
	qn_buf_printf(b, "\",\"alg\":\"%s\",\"kid\":\"%s\"}", alg, qn_proof_key_kid(k));
}

static void armour(struct qn_buf *b, const struct kind *kind, struct qn_span text)
{
	char line[LINE + 5];

	qn_buf_printf(b, "-----BEGIN %s-----\n", kind->armour);
	for (size_t i = 0; i < text.n; i += LINE / 4 * 3) {
		size_t n = text.n - i < LINE / 4 * 3 ? text.n - i : LINE / 4 * 3;
		qn_buf_add(b, line, qn_b64_encode(text.p + i, n, line));
		qn_buf_char(b, '\n');
	}
	qn_buf_printf(b, "-----END %s-----\n", kind->armour);
}

/* Payload to file; `l` is there when it is to be encrypted. */
static enum qn_err seal_file(struct qn_arena *a, const struct qn_proof_key *k,
    const struct kind *kind, const struct qn_proof_license *l, struct qn_span payload,
    const char **ret)
{
	struct qn_buf text, file;
	bool ok;

	qn_buf_init(&text, LIST_BYTES);
	qn_buf_init(&file, LIST_BYTES);
	qn_buf_str(&text, kind->prefix);
	if (l != NULL)
		ok = add_encrypted(&text, kind, l, payload);
	else
		ok = add_base64(&text, payload.p, payload.n);
	struct qn_buf inner;
	qn_buf_init(&inner, LIST_BYTES);
	if (ok)
		envelope(&inner, kind, k, l != NULL ? "aes-256-gcm+ed25519" : "base64+ed25519",
		    (struct qn_span){text.p, text.n});
	if (ok && !inner.over)
		armour(&file, kind, (struct qn_span){inner.p, inner.n});
	ok = ok && !inner.over && !file.over;
	if (ok)
		*ret = qn_strndup(a, file.p, file.n);
	qn_buf_done(&text);
	qn_buf_done(&inner);
	qn_buf_done(&file);
	return ok ? QN_OK : QN_INTERNAL;
}

static bool good_license(const struct qn_proof_license *l)
{
	return qn_proof_word(l->product) && qn_proof_word(l->license_id) &&
	       qn_proof_licence_key(l->key) && qn_proof_word(l->plan) && qn_proof_word(l->status) &&
	       (l->machine == NULL || qn_proof_word(l->machine)) &&
	       (l->nonce == NULL || qn_proof_word(l->nonce)) && l->issued >= 0 &&
	       l->expires > l->issued &&
	       (l->license_expires == QN_TIME_NULL || l->license_expires >= 0) &&
	       (l->seats == QN_I64_NULL || (l->seats >= 0 && l->seats <= SAFE_MOST));
}

enum qn_err qn_proof_file(struct qn_arena *a, const struct qn_proof_key *k,
    const struct qn_proof_license *l, bool encrypted, const char **ret)
{
	const struct kind *kind = l->machine != NULL ? &machines : &licenses;
	struct qn_buf payload;
	enum qn_err e = QN_INVALID;

	if (!good_license(l))
		return QN_INVALID;
	qn_buf_init(&payload, QN_PROOF_MOST);
	if (add_license(&payload, a, kind, k, l))
		e = seal_file(
		    a, k, kind, encrypted ? l : NULL, (struct qn_span){payload.p, payload.n}, ret);
	if (payload.p != NULL)
		qn_wipe(payload.p, payload.n);
	qn_buf_done(&payload);
	return e;
}

static int by_bytes(const void *x, const void *y)
{
	return memcmp(x, y, QN_SHA256_LEN);
}

static void add_hashes(struct qn_buf *b, struct qn_arena *a, const struct qn_proof_list *l)
{
	uint8_t(*hashes)[QN_SHA256_LEN] = qn_alloc_array(a, l->n + 1, QN_SHA256_LEN);
	char hex[2 * QN_SHA256_LEN + 1];

	for (size_t i = 0; i < l->n; i++)
		qn_sha256(l->license_ids[i], strlen(l->license_ids[i]), hashes[i]);
	qsort(hashes, l->n, QN_SHA256_LEN, by_bytes);
	qn_buf_str(b, ",\"revoked\":[");
	for (size_t i = 0; i < l->n; i++) {
		qn_hex(hashes[i], QN_SHA256_LEN, hex);
		qn_buf_printf(b, "%s\"%s\"", i > 0 ? "," : "", hex);
	}
	qn_buf_str(b, "]}");
}

enum qn_err qn_proof_revocations(struct qn_arena *a, const struct qn_proof_key *k,
    const struct qn_proof_list *l, const char **ret)
{
	struct qn_buf payload;

	if (!qn_proof_word(l->product) || l->sequence < 1 || l->sequence > SAFE_MOST ||
	    l->issued < 0 || l->expires <= l->issued || l->n > QN_PROOF_LIST_MOST)
		return QN_INVALID;
	qn_buf_init(&payload, LIST_BYTES);
	add_head(&payload, &lists, k, l->product);
	qn_buf_printf(&payload, ",\"sequence\":%lld", (long long)l->sequence);
	add_time(&payload, "issued", l->issued);
	add_time(&payload, "expires", l->expires);
	add_hashes(&payload, a, l);
	enum qn_err e = payload.over ? QN_INTERNAL
	                             : seal_file(a, k, &lists, NULL,
					   (struct qn_span){payload.p, payload.n}, ret);
	qn_buf_done(&payload);
	return e;
}
