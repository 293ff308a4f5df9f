/*
 * What browsers and authenticators send. The first byte of the input says what the rest is:
 *   r, g  the JSON of a reply, to a creation and to a request
 *   a     an attestation object in a reply that is good otherwise
 *   d     authenticator data in such an object
 *   s     authenticator data, properly signed, in an answer that is good otherwise
 *   c     client data, properly signed, likewise
 *   k     a COSE key
 *   b     CBOR; libcbor must read what we read, and end where we end
 * What must hold beside not crashing is asserted.
 */
#include <cbor.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/auth/cbor.h"
#include "authenticator.h"
#include "cosekey.h"
#include "quoin/auth/webauthn.h"
#include "quoin/base/rand.h"

#define CHALLENGE "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const origins[] = {"https://example.org", NULL};
static const struct qn_webauthn_party party = {"example.org", "Example", origins};
static struct qn_webauthn_terms terms = {.party = &party};
static const struct authenticator device = {.by = JOSE_EC,
    .id = {"\1\2\3\4credential", 14},
    .party = "example.org",
    .origin = "https://example.org",
    .flags = UP,
    .count = 5};
static struct qn_arena *arena;

static void must(int ok)
{
	if (!ok)
		abort();
}

static void create(struct qn_span json)
{
	struct qn_webauthn_reply reply;
	struct qn_passkey key;
	const char *why = NULL;
	struct cose_key k;

	if (!qn_webauthn_read(arena, QN_WEBAUTHN_CREATE, json, &reply, &why) ||
	    !qn_webauthn_register(&reply, &terms, &key, &why)) {
		must(why != NULL);
		return;
	}
	must(key.id.n > 0 && key.id.n <= QN_PASSKEY_ID_MOST && cose_key_read(key.key, &k));
	must(key.backup_eligible || !key.backed_up);
}

static void get(struct qn_span json)
{
	const struct qn_passkey kept = {.id = device.id,
	    .key = authenticator_cose(arena, JOSE_EC),
	    .user = QN_SPAN_LIT("user"),
	    .count = 4};
	struct qn_webauthn_reply reply;
	struct qn_passkey_use use;
	const char *why = NULL;

	if (!qn_webauthn_read(arena, QN_WEBAUTHN_GET, json, &reply, &why) ||
	    !qn_webauthn_verify(&reply, &terms, &kept, true, &use, &why)) {
		must(why != NULL);
		return;
	}
	must(reply.id.n == device.id.n && use.regressed == (use.count <= 4));
	must(reply.user_handle.p == NULL || reply.user_handle.n == 4);
	must((reply.authdata.p[32] & (UP | AT | BE)) == UP);
}

static void attested(struct qn_span object)
{
	create(authenticator_created(arena, device.id,
	    authenticator_client_data(arena, &device, "webauthn.create", CHALLENGE), object));
}

static void answered(struct qn_span authdata, struct qn_span client_data)
{
	get(authenticator_got(arena, device.id, client_data, authdata,
	    authenticator_sign(arena, JOSE_EC, authdata, client_data), (struct qn_span){NULL, 0}));
}

static void key(struct qn_span text)
{
	static const uint8_t hash[QN_SHA256_LEN] = {0};
	struct cose_key k;

	if (!cose_key_read(text, &k))
		return;
	must(k.n == (k.alg == COSE_ES256 ? 64 : k.alg == COSE_EDDSA ? 32 : 259));
	struct cose_signed s = {.rp_id = "example.org",
	    .authdata = authenticator_data(arena, &device, false),
	    .client_hash = hash,
	    .signature = text};
	must(!cose_key_verify(&k, &s));
}

static void same_for_libcbor(struct qn_span text)
{
	struct cbor c = cbor_of(text);
	struct cbor_load_result result;
	struct qn_span item;

	if (!cbor_skip(&c, &item))
		return;
	cbor_item_t *read = cbor_load((const unsigned char *)text.p, text.n, &result);
	must(read != NULL && result.read == item.n);
	cbor_decref(&read);
}

static void run(char kind, struct qn_span text)
{
	switch (kind) {
	case 'r':
		create(text);
		break;
	case 'g':
		get(text);
		break;
	case 'a':
		attested(text);
		break;
	case 'd':
		attested(authenticator_attestation(arena, "none", QN_SPAN_LIT("\xa0"), text));
		break;
	case 's':
		answered(
		    text, authenticator_client_data(arena, &device, "webauthn.get", CHALLENGE));
		break;
	case 'c':
		answered(authenticator_data(arena, &device, false), text);
		break;
	case 'k':
		key(text);
		break;
	case 'b':
		same_for_libcbor(text);
		break;
	default:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (arena == NULL) {
		arena = qn_arena_new((size_t)32 << 20);
		for (size_t i = 0; i < sizeof(terms.challenge); i++)
			terms.challenge[i] = (uint8_t)i;
	}
	if (size == 0 || size > 60000)
		return 0;
	char *copy = malloc(size); /* ends where its memory ends */
	memcpy(copy, data + 1, size - 1);
	run((char)data[0], (struct qn_span){copy, size - 1});
	must(ERR_peek_error() == 0);
	free(copy);
	qn_arena_reset(arena);
	return 0;
}
