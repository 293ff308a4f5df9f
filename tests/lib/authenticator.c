#include "authenticator.h"

#include <stdio.h>
#include <stdlib.h>

#include "quoin/base/rand.h"

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "authenticator: %s failed\n", what);
	abort();
}

struct qn_span joined(struct qn_arena *a, struct qn_span one, struct qn_span two)
{
	char *p = qn_alloc(a, one.n + two.n + 1);

	if (one.n > 0)
		memcpy(p, one.p, one.n);
	if (two.n > 0)
		memcpy(p + one.n, two.p, two.n);
	return (struct qn_span){p, one.n + two.n};
}

struct qn_span cbor_head(struct qn_arena *a, unsigned major, size_t value)
{
	unsigned char *p = qn_alloc(a, 3);

	must(value < 65536, "a short head");
	if (value < 24) {
		p[0] = (unsigned char)(major << 5 | value);
		return (struct qn_span){(char *)p, 1};
	}
	if (value < 256) {
		p[0] = (unsigned char)(major << 5 | 24);
		p[1] = (unsigned char)value;
		return (struct qn_span){(char *)p, 2};
	}
	p[0] = (unsigned char)(major << 5 | 25);
	p[1] = (unsigned char)(value >> 8);
	p[2] = (unsigned char)value;
	return (struct qn_span){(char *)p, 3};
}

struct qn_span cbor_string(struct qn_arena *a, unsigned major, struct qn_span bytes)
{
	return joined(a, cbor_head(a, major, bytes.n), bytes);
}

static struct qn_span unb64(struct qn_arena *a, const char *text)
{
	uint8_t *out = qn_alloc(a, strlen(text));
	long n = qn_b64url_decode(text, strlen(text), out);

	must(n > 0, "base64url");
	return (struct qn_span){(const char *)out, (size_t)n};
}

struct qn_span authenticator_cose(struct qn_arena *a, enum jose_by by)
{
	struct qn_span key;

	switch (by) {
	case JOSE_EC:
		key = joined(a, QN_SPAN_LIT("\xa5\x01\x02\x03\x26\x20\x01\x21"),
		    cbor_string(a, 2, unb64(a, JOSE_EC_X)));
		key = joined(a, key, QN_SPAN_LIT("\x22"));
		return joined(a, key, cbor_string(a, 2, unb64(a, JOSE_EC_Y)));
	case JOSE_ED:
		return joined(a, QN_SPAN_LIT("\xa4\x01\x01\x03\x27\x20\x06\x21"),
		    cbor_string(a, 2, unb64(a, JOSE_ED_X)));
	default:
		key = joined(a, QN_SPAN_LIT("\xa4\x01\x03\x03\x39\x01\x00\x20"),
		    cbor_string(a, 2, unb64(a, JOSE_RSA_N)));
		return joined(a, key, QN_SPAN_LIT("\x21\x43\x01\x00\x01"));
	}
}

struct qn_span authenticator_data(
    struct qn_arena *a, const struct authenticator *d, bool with_credential)
{
	unsigned flags = d->flags | (with_credential ? AT : 0u);
	uint8_t head[37], lead[18] = "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20";
	struct qn_span data, cose = d->cose.p != NULL ? d->cose : authenticator_cose(a, d->by);

	qn_sha256(d->party, strlen(d->party), head);
	head[32] = (uint8_t)flags;
	for (int i = 0; i < 4; i++)
		head[33 + i] = (uint8_t)(d->count >> (24 - 8 * i));
	data = joined(a, (struct qn_span){(char *)head, sizeof(head)}, QN_SPAN_LIT(""));
	lead[16] = (uint8_t)(d->id.n >> 8);
	lead[17] = (uint8_t)d->id.n;
	if (with_credential) {
		data = joined(a, data, (struct qn_span){(char *)lead, sizeof(lead)});
		data = joined(a, joined(a, data, d->id), cose);
	}
	return joined(a, data, d->extensions);
}

struct qn_span authenticator_attestation(
    struct qn_arena *a, const char *fmt, struct qn_span statement, struct qn_span authdata)
{
	struct qn_span all = joined(a,
	    QN_SPAN_LIT("\xa3\x63"
			"fmt"),
	    cbor_string(a, 3, qn_span_of(fmt)));

	all = joined(a,
	    joined(a, all,
		QN_SPAN_LIT("\x67"
			    "attStmt")),
	    statement);
	all = joined(a, all,
	    QN_SPAN_LIT("\x68"
			"authData"));
	return joined(a, all, cbor_string(a, 2, authdata));
}

struct qn_span authenticator_client_data(
    struct qn_arena *a, const struct authenticator *d, const char *type, const char *challenge)
{
	return qn_span_of(qn_printf(a,
	    "{\"type\":\"%s\",\"challenge\":\"%s\",\"origin\":\"%s\",\"crossOrigin\":false%s}",
	    type, challenge, d->origin, d->more != NULL ? d->more : ""));
}

struct qn_span authenticator_sign(
    struct qn_arena *a, enum jose_by by, struct qn_span authdata, struct qn_span client_data)
{
	uint8_t hash[QN_SHA256_LEN], *out = qn_alloc(a, 256);
	EVP_PKEY *pkey = jose_key(by);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n = 256;

	qn_sha256(client_data.p, client_data.n, hash);
	struct qn_span text = joined(a, authdata, (struct qn_span){(char *)hash, sizeof(hash)});
	must(ctx != NULL &&
		 EVP_DigestSignInit(ctx, NULL, by == JOSE_ED ? NULL : EVP_sha256(), NULL, pkey) ==
		     1 &&
		 EVP_DigestSign(ctx, out, &n, (const uint8_t *)text.p, text.n) == 1,
	    "EVP_DigestSign");
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	return (struct qn_span){(char *)out, n};
}

const char *authenticator_b64(struct qn_arena *a, struct qn_span bytes)
{
	char *text = qn_alloc(a, 4 * bytes.n / 3 + 3);

	text[qn_b64url_encode(bytes.p, bytes.n, text)] = '\0';
	return text;
}

struct qn_span authenticator_created(
    struct qn_arena *a, struct qn_span id, struct qn_span client_data, struct qn_span attestation)
{
	const char *name = authenticator_b64(a, id);

	return qn_span_of(qn_printf(a,
	    "{\"id\":\"%s\",\"rawId\":\"%s\",\"type\":\"public-key\",\"clientExtensionResults\":{},"
	    "\"authenticatorAttachment\":\"platform\",\"response\":{\"clientDataJSON\":\"%s\","
	    "\"attestationObject\":\"%s\",\"transports\":[\"internal\",\"hybrid\",\"pigeon\"],"
	    "\"publicKeyAlgorithm\":-7}}",
	    name, name, authenticator_b64(a, client_data), authenticator_b64(a, attestation)));
}

struct qn_span authenticator_got(struct qn_arena *a, struct qn_span id, struct qn_span client_data,
    struct qn_span authdata, struct qn_span signature, struct qn_span handle)
{
	const char *name = authenticator_b64(a, id);
	const char *user =
	    handle.p == NULL ? ""
			     : qn_printf(a, ",\"userHandle\":\"%s\"", authenticator_b64(a, handle));

	return qn_span_of(qn_printf(a,
	    "{\"id\":\"%s\",\"rawId\":\"%s\",\"type\":\"public-key\",\"clientExtensionResults\":{},"
	    "\"response\":{\"clientDataJSON\":\"%s\",\"authenticatorData\":\"%s\","
	    "\"signature\":\"%s\"%s}}",
	    name, name, authenticator_b64(a, client_data), authenticator_b64(a, authdata),
	    authenticator_b64(a, signature), user));
}
