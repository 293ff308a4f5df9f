#include "quoin/auth/opaque.h"

#include <stdio.h>
#include <string.h>

enum { RANDOM_LEN = 32, SECRET_LEN = 32, CHECK_LEN = 6 };

void qn_opaque_new(struct qn_opaque *ret)
{
	uint8_t random[RANDOM_LEN];

	qn_random(random, sizeof(random));
	ret->text[qn_b64url_encode(random, sizeof(random), ret->text)] = '\0';
	qn_sha256(ret->text, QN_OPAQUE_LEN, ret->hash);
	qn_wipe(random, sizeof(random));
}

bool qn_opaque_hash(struct qn_span text, uint8_t out[QN_SHA256_LEN])
{
	uint8_t raw[3 * QN_OPAQUE_LEN / 4 + 1];
	bool ok = text.n == QN_OPAQUE_LEN && qn_b64url_decode(text.p, text.n, raw) == RANDOM_LEN;

	if (ok)
		qn_sha256(text.p, text.n, out);
	qn_wipe(raw, sizeof(raw));
	return ok;
}

/* API keys */

static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static void random_text(char *out, size_t n)
{
	uint8_t byte;

	while (n > 0) {
		qn_random(&byte, 1);
		if (byte >= 4 * 62) /* the rest would make some letters likelier */
			continue;
		*out++ = base62[byte % 62];
		n--;
	}
}

/* Not a secret: it tells a slip of the pen from a key. */
static void checksum(const char *text, size_t n, char out[CHECK_LEN])
{
	uint8_t digest[QN_SHA256_LEN];
	uint32_t v;

	qn_sha256(text, n, digest);
	v = (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 | (uint32_t)digest[2] << 8 |
	    digest[3];
	for (int i = CHECK_LEN - 1; i >= 0; i--, v /= 62)
		out[i] = base62[v % 62];
}

void qn_apikey_new(const char *prefix, struct qn_apikey *ret)
{
	size_t n =
	    (size_t)snprintf(ret->text, sizeof(ret->text), "%.*s", QN_APIKEY_PREFIX_MAX, prefix);

	random_text(ret->text + n, QN_APIKEY_ID_LEN + SECRET_LEN);
	memcpy(ret->public_id, ret->text + n, QN_APIKEY_ID_LEN);
	ret->public_id[QN_APIKEY_ID_LEN] = '\0';
	n += QN_APIKEY_ID_LEN + SECRET_LEN;
	checksum(ret->text, n, ret->text + n);
	ret->text[n + CHECK_LEN] = '\0';
	qn_sha256(ret->text, n + CHECK_LEN, ret->hash);
}

bool qn_apikey_read(const char *prefix, struct qn_span text, struct qn_apikey *ret)
{
	size_t lead = strlen(prefix), n = lead + QN_APIKEY_ID_LEN + SECRET_LEN;
	char check[CHECK_LEN];

	if (lead == 0 || text.n != n + CHECK_LEN || memcmp(text.p, prefix, lead) != 0)
		return false;
	for (size_t i = lead; i < text.n; i++)
		if (text.p[i] == '\0' || strchr(base62, text.p[i]) == NULL)
			return false;
	checksum(text.p, n, check);
	if (!qn_equal_ct(check, text.p + n, CHECK_LEN))
		return false;
	memcpy(ret->public_id, text.p + lead, QN_APIKEY_ID_LEN);
	ret->public_id[QN_APIKEY_ID_LEN] = '\0';
	qn_sha256(text.p, text.n, ret->hash);
	return true;
}

/* refresh tokens: 16 bytes of the session's id, 4 of the generation, 32 of the MAC */

enum { ID_BYTES = 16, PLAIN = ID_BYTES + 4, RAW = PLAIN + QN_SHA256_LEN };

static const char lead[] = "qr_";

static void mac(
    const char *secret, const char *app_id, const uint8_t plain[PLAIN], uint8_t out[QN_SHA256_LEN])
{
	uint8_t text[128];
	int n = snprintf((char *)text, sizeof(text) - PLAIN, "refresh token of %s ", app_id);

	memcpy(text + n, plain, PLAIN);
	qn_hmac_sha256(secret, strlen(secret), text, (size_t)n + PLAIN, out);
}

static uint8_t nibble(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* `uuid` is in the form that qn_uuid_print gives. */
static void id_bytes(const char *uuid, uint8_t out[ID_BYTES])
{
	for (size_t i = 0; i < ID_BYTES; i++, uuid += 2) {
		uuid += *uuid == '-';
		out[i] = (uint8_t)(nibble(uuid[0]) << 4 | nibble(uuid[1]));
	}
}

void qn_refresh_make(const char *secret, const char *app_id, const char session[QN_UUID_LEN + 1],
    int64_t generation, char out[QN_REFRESH_LEN + 1])
{
	uint8_t raw[RAW] = {0};

	id_bytes(session, raw);
	for (int i = 0; i < 4; i++)
		raw[ID_BYTES + i] = (uint8_t)((uint64_t)generation >> (24 - 8 * i));
	mac(secret, app_id, raw, raw + PLAIN);
	memcpy(out, lead, sizeof(lead) - 1);
	size_t n = qn_b64url_encode(raw, sizeof(raw), out + sizeof(lead) - 1);
	out[sizeof(lead) - 1 + n] = '\0';
	qn_wipe(raw, sizeof(raw));
}

bool qn_refresh_read(const char *secret, const char *app_id, struct qn_span text,
    char ret_session[QN_UUID_LEN + 1], int64_t *ret_generation)
{
	uint8_t raw[3 * QN_REFRESH_LEN / 4 + 1], good[QN_SHA256_LEN];
	size_t skip = sizeof(lead) - 1;

	if (text.n != QN_REFRESH_LEN || memcmp(text.p, lead, skip) != 0 ||
	    qn_b64url_decode(text.p + skip, text.n - skip, raw) != RAW)
		return false;
	mac(secret, app_id, raw, good);
	if (!qn_equal_ct(good, raw + PLAIN, sizeof(good)))
		return false;
	qn_uuid_print(ret_session, raw);
	*ret_generation = 0;
	for (int i = 0; i < 4; i++)
		*ret_generation = *ret_generation << 8 | raw[ID_BYTES + i];
	return true;
}
