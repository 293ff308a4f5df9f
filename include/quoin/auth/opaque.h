/*
 * Credentials that only Quoin reads: what is random and looked up by its SHA-256 (cookies, links), API
 * keys, and refresh tokens (DESIGN §5; CONTRACT B6, D23, E10, X4, X5).
 */
#ifndef QUOIN_AUTH_OPAQUE_H
#define QUOIN_AUTH_OPAQUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "quoin/base/rand.h"
#include "quoin/base/span.h"

/* 256 random bits in base64url, and the SHA-256 of that text. The caller wipes it. */
#define QN_OPAQUE_LEN 43
struct qn_opaque {
	char text[QN_OPAQUE_LEN + 1];
	uint8_t hash[QN_SHA256_LEN];
};
void qn_opaque_new(struct qn_opaque *ret);
/* Of a text that somebody shows. false when it is none of ours by its form. */
bool qn_opaque_hash(struct qn_span text, uint8_t out[QN_SHA256_LEN]);

/*
 * An API key: the app's prefix, 10 characters that name it, 32 that are secret (190 bits), 6 that check
 * the rest, all base62 but the prefix; a key with a slip in it costs no query.
 */
#define QN_APIKEY_PREFIX_MAX 9 /* "abcdefgh_" */
#define QN_APIKEY_ID_LEN     10
#define QN_APIKEY_MAX        (QN_APIKEY_PREFIX_MAX + QN_APIKEY_ID_LEN + 32 + 6)
#define QN_APIKEY_SHOWN      8 /* characters that stay visible (E10) */
struct qn_apikey {
	char text[QN_APIKEY_MAX + 1];
	char public_id[QN_APIKEY_ID_LEN + 1];
	uint8_t hash[QN_SHA256_LEN];
};
/* `prefix` is at most QN_APIKEY_PREFIX_MAX bytes. The caller wipes it. */
void qn_apikey_new(const char *prefix, struct qn_apikey *ret);
/* Reads one; only public_id and hash are set. false: it has not the form of this app's keys. */
bool qn_apikey_read(const char *prefix, struct qn_span text, struct qn_apikey *ret);

/*
 * A refresh token names its session and a generation under a MAC of the deployment's secret, so that an
 * old one is known for what it is (SECURITY T8) and nothing of it is stored.
 */
#define QN_REFRESH_LEN 73 /* "qr_" and 70 of base64url */
void qn_refresh_make(const char *secret, const char *app_id, const char session[QN_UUID_LEN + 1],
    int64_t generation, char out[QN_REFRESH_LEN + 1]);
/* false: it was not made here for this app. */
bool qn_refresh_read(const char *secret, const char *app_id, struct qn_span text,
    char ret_session[QN_UUID_LEN + 1], int64_t *ret_generation);

#endif
