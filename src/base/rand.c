#include "quoin/base/rand.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <string.h>

#include "quoin/base/clock.h"
#include "quoin/base/log.h"

void qn_random(void *p, size_t n)
{
	if (RAND_bytes(p, (int)n) != 1)
		qn_fatal("no random bytes");
}

void qn_hex(const uint8_t *p, size_t n, char *out)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		*out++ = hex[p[i] >> 4];
		*out++ = hex[p[i] & 15];
	}
	*out = '\0';
}

void qn_uuid_print(char out[QN_UUID_LEN + 1], const uint8_t bytes[16])
{
	static const char hex[] = "0123456789abcdef";
	char *p = out;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[bytes[i] >> 4];
		*p++ = hex[bytes[i] & 15];
	}
	*p = '\0';
}

void qn_uuid_new(char out[QN_UUID_LEN + 1])
{
	uint8_t b[16];
	uint64_t us = (uint64_t)qn_now(), ms = us / 1000;
	unsigned part = (unsigned)(us % 1000) * 4096 / 1000; /* RFC 9562 §6.2, method 3 */

	qn_random(b + 8, 8);
	for (int i = 0; i < 6; i++)
		b[i] = (uint8_t)(ms >> (40 - 8 * i));
	b[6] = (uint8_t)(0x70 | part >> 8);
	b[7] = (uint8_t)part;
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	qn_uuid_print(out, b);
}

static unsigned nibble(char c)
{
	return c >= 'a' ? (unsigned)(c - 'a') + 10 : (unsigned)(c - '0');
}

void qn_uuid_bytes(const char *uuid, uint8_t out[16])
{
	for (int i = 0; i < 16; i++) {
		uuid += *uuid == '-';
		out[i] = (uint8_t)(nibble(uuid[0]) << 4 | nibble(uuid[1]));
		uuid += 2;
	}
}

bool qn_uuid_parse(const char *s, size_t n, char out[QN_UUID_LEN + 1])
{
	char low[QN_UUID_LEN + 1];

	if (n != QN_UUID_LEN)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = s[i];
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (c != '-')
				return false;
		} else if (c >= 'A' && c <= 'F') {
			c = (char)(c - 'A' + 'a');
		} else if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
			return false;
		}
		low[i] = c;
	}
	low[QN_UUID_LEN] = '\0';
	memcpy(out, low, sizeof(low));
	return true;
}

void qn_sha256(const void *p, size_t n, uint8_t out[QN_SHA256_LEN])
{
	SHA256(p, n, out);
}

void qn_hmac_sha256(
    const void *key, size_t key_n, const void *p, size_t n, uint8_t out[QN_SHA256_LEN])
{
	unsigned len = 0;

	if (HMAC(EVP_sha256(), key, (int)key_n, p, n, out, &len) == NULL || len != QN_SHA256_LEN)
		qn_fatal("HMAC failed");
}

bool qn_equal_ct(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}

void qn_wipe(void *p, size_t n)
{
	if (n != 0)
		OPENSSL_cleanse(p, n);
}

#define B64_COMMON "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static size_t encode(const char *alphabet, const uint8_t *p, size_t n, char *out)
{
	char *o = out;
	size_t i = 0;

	for (; i + 2 < n; i += 3) {
		*o++ = alphabet[p[i] >> 2];
		*o++ = alphabet[(p[i] & 3) << 4 | p[i + 1] >> 4];
		*o++ = alphabet[(p[i + 1] & 15) << 2 | p[i + 2] >> 6];
		*o++ = alphabet[p[i + 2] & 63];
	}
	if (n - i == 1) {
		*o++ = alphabet[p[i] >> 2];
		*o++ = alphabet[(p[i] & 3) << 4];
	} else if (n - i == 2) {
		*o++ = alphabet[p[i] >> 2];
		*o++ = alphabet[(p[i] & 3) << 4 | p[i + 1] >> 4];
		*o++ = alphabet[(p[i + 1] & 15) << 2];
	}
	*o = '\0';
	return (size_t)(o - out);
}

size_t qn_b64url_encode(const void *p, size_t n, char *out)
{
	return encode(B64_COMMON "-_", p, n, out);
}

size_t qn_b64_encode(const void *p, size_t n, char *out)
{
	size_t len = encode(B64_COMMON "+/", p, n, out);

	while (len % 4 != 0)
		out[len++] = '=';
	out[len] = '\0';
	return len;
}

static int b64url_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

long qn_b64url_decode(const char *s, size_t n, uint8_t *out)
{
	uint32_t bits = 0;
	unsigned have = 0;
	uint8_t *o = out;

	if (n % 4 == 1)
		return -1;
	for (size_t i = 0; i < n; i++) {
		int v = b64url_value(s[i]);
		if (v < 0)
			return -1;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			*o++ = (uint8_t)(bits >> have);
		}
	}
	if ((bits & ((1u << have) - 1)) != 0)
		return -1;
	return o - out;
}
