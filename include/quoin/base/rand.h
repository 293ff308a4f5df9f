/* Random bytes, digests and ids. OpenSSL is the source; a failure of it ends the process. */
#ifndef QUOIN_BASE_RAND_H
#define QUOIN_BASE_RAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void qn_random(void *p, size_t n);

#define QN_UUID_LEN 36
/* A UUIDv7 (RFC 9562) of now to the microsecond, so ids sort as they were made; lower case, NUL-terminated. */
void qn_uuid_new(char out[QN_UUID_LEN + 1]);
void qn_uuid_print(char out[QN_UUID_LEN + 1], const uint8_t bytes[16]);
/* Any UUID in its 36-byte form; writes it in lower case. */
bool qn_uuid_parse(const char *s, size_t n, char out[QN_UUID_LEN + 1]);
/* The bytes of one that qn_uuid_print has written. */
void qn_uuid_bytes(const char *uuid, uint8_t out[16]);

#define QN_SHA256_LEN 32
void qn_sha256(const void *p, size_t n, uint8_t out[QN_SHA256_LEN]);
void qn_hmac_sha256(
    const void *key, size_t key_n, const void *p, size_t n, uint8_t out[QN_SHA256_LEN]);
void qn_hex(const uint8_t *p, size_t n, char *out /* 2n+1 bytes */);

/* Constant time in n. */
bool qn_equal_ct(const void *a, const void *b, size_t n);
/* Not optimised away. */
void qn_wipe(void *p, size_t n);

/* Base64 with padding (RFC 4648 §4). `out` holds 4n/3+5 bytes. Returns bytes written. */
size_t qn_b64_encode(const void *p, size_t n, char *out);

/* Base64url without padding (RFC 7515 §2). Decoding refuses padding, other alphabets and spare bits
 * that are not zero. `out` holds 4n/3+2 bytes for encode, 3n/4+1 for decode. Returns bytes written;
 * decode returns -1 when it is refused. */
size_t qn_b64url_encode(const void *p, size_t n, char *out);
long qn_b64url_decode(const char *s, size_t n, uint8_t *out);

#endif
