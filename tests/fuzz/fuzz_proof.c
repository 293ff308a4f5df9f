/*
 * What vendors' programs and the server read of files that people carry. The first byte of the input says what the rest is:
 *   f  a file, in its armour
 *   e  an envelope, put into the armour here
 *   p  a payload, signed here, so that the fuzzer is not kept out by the signature
 *   j  JSON
 *   a  an activation request
 *   n  a nonce
 * What must hold beside not crashing is asserted: what the strict reader takes, the server's takes too and finds the
 * same members; a proof is of the product that was asked for, and what comes out is what was signed.
 */
#include <openssl/err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quoin-verify.h"
#include "quoin/auth/httpsig.h"
#include "quoin/auth/proof.h"
#include "quoin/base/buf.h"
#include "quoin/base/json.h"
#include "quoin/base/rand.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW INT64_C(1800000000)

static struct qn_arena *arena;
static struct qn_proof_key *key;
static struct quoin_keys keys;

static void must(int ok)
{
	if (!ok)
		abort();
}

/* RFC 8037's key, by whose name the seeds go; its set is read from its published form. */
static void start(void)
{
	static const struct qn_secret secret = {1, {"0123456789abcdef0123456789abcdef", 32}};
	static const char kid[] = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
	uint8_t seed[QN_PROOFKEY_SEED_LEN + 2], sealed[QN_PROOFKEY_SEALED_LEN];
	struct quoin_proof jwk;
	char x[44] = "";
	struct qn_buf b;

	arena = qn_arena_new((size_t)64 << 20);
	must(qn_b64url_decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", 43, seed) == 32);
	must(qn_seal(&secret, "quoin licence key 1", QN_SPAN_LIT(kid),
	    (struct qn_span){(const char *)seed, QN_PROOFKEY_SEED_LEN}, sealed));
	key = qn_proof_key_unseal(
	    &secret, QN_SPAN_LIT(kid), (struct qn_span){(const char *)sealed, sizeof(sealed)});
	must(key != NULL);
	qn_buf_init(&b, 4096);
	qn_proof_key_jwk(key, &b);
	must(quoin_read_object(&jwk, b.p, b.n));
	struct quoin_slice text = quoin_text(&jwk, "x");
	must(text.n == 43);
	memcpy(x, text.p, 43);
	must(quoin_key_add(&keys, qn_proof_key_kid(key), x));
	qn_buf_done(&b);
}

static enum quoin_code verify(
    const char *text, size_t n, enum quoin_kind kind, struct quoin_proof *ret)
{
	struct quoin_expect want = {.kind = kind,
	    .product = "p",
	    .machine = "m",
	    .license_key = NULL,
	    .now = NOW,
	    .last_seen = NOW};

	return quoin_verify(ret, text, n, &keys, &want);
}

static void judge(const char *text, size_t n)
{
	struct quoin_proof p;

	for (int kind = QUOIN_LICENSE; kind <= QUOIN_REVOCATIONS; kind++) {
		enum quoin_code code = verify(text, n, (enum quoin_kind)kind, &p);
		must(quoin_code_name(code)[0] != '\0' && code != QUOIN_NO_MEMORY);
		if (code != QUOIN_OK)
			continue;
		struct quoin_slice product = quoin_text(&p, "product");
		must(product.n == 1 && product.p[0] == 'p' && strlen(p.payload) == p.n);
		must(quoin_number(&p, "expires", 0) > NOW);
		quoin_proof_free(&p);
	}
}

static void armoured(struct qn_span text)
{
	static const char *const labels[] = {"LICENSE FILE", "MACHINE FILE", "LICENSE REVOCATIONS"};
	char line[72];
	struct qn_buf b;

	for (size_t k = 0; k < 3; k++) {
		qn_buf_init(&b, 1 << 20);
		qn_buf_printf(&b, "-----BEGIN %s-----\n", labels[k]);
		for (size_t i = 0; i < text.n; i += 48) {
			qn_buf_add(&b, line,
			    qn_b64_encode(text.p + i, text.n - i < 48 ? text.n - i : 48, line));
			qn_buf_char(&b, '\n');
		}
		qn_buf_printf(&b, "-----END %s-----\n", labels[k]);
		judge(b.p, b.n);
		qn_buf_done(&b);
	}
}

static void payload(struct qn_span text)
{
	static const char *const prefixes[] = {"license/", "machine/", "revocations/"};
	char *enc = qn_alloc(arena, 4 * (text.n / 3) + 8), sig64[96];
	uint8_t sig[QN_PROOF_SIG_LEN];

	qn_b64_encode(text.p, text.n, enc);
	for (size_t k = 0; k < 3; k++) {
		qn_proof_key_sign(key, qn_span_of(qn_printf(arena, "%s%s", prefixes[k], enc)), sig);
		qn_b64_encode(sig, sizeof(sig), sig64);
		armoured(qn_span_of(qn_printf(arena,
		    "{\"enc\":\"%s\",\"sig\":\"%s\",\"alg\":\"base64+ed25519\",\"kid\":\"%s\"}",
		    enc, sig64, qn_proof_key_kid(key))));
	}
}

/* The small reader is stricter than the server's, and reads the same. */
static void json(struct qn_span text)
{
	struct quoin_proof strict;
	struct qn_json_object wide;

	if (!quoin_read_object(&strict, text.p, text.n))
		return;
	must(qn_json_scan(arena, text, &qn_json_default_limits, &wide, NULL) == QN_JSON_OK);
	must(wide.n == strict.members);
	for (size_t i = 0; i < wide.n; i++) {
		must(wide.members[i].name.n == strict.name[i].n);
		must(memcmp(wide.members[i].name.p, strict.name[i].p, strict.name[i].n) == 0);
		must(wide.members[i].value.p == strict.value[i].p);
		must(wide.members[i].value.n == strict.value[i].n);
	}
}

/* What is read can be answered, and the answer is proved. */
static void request(struct qn_span text)
{
	struct qn_activation r;
	struct quoin_proof p;
	const char *why = NULL, *file;

	if (qn_activation_read(arena, text, &r, &why) != QN_OK) {
		must(why != NULL && *why != '\0');
		return;
	}
	struct qn_proof_license l = {.product = "p",
	    .license_id = "i",
	    .key = r.key,
	    .plan = "x",
	    .status = "active",
	    .seats = QN_I64_NULL,
	    .issued = NOW * 1000000,
	    .expires = (NOW + 1) * 1000000,
	    .license_expires = QN_TIME_NULL,
	    .machine = r.machine,
	    .nonce = r.nonce};
	must(qn_proof_file(arena, key, &l, false, &file) == QN_OK);
	struct quoin_expect want = {.kind = QUOIN_MACHINE,
	    .product = "p",
	    .machine = r.machine,
	    .nonce = r.nonce,
	    .now = NOW};
	must(quoin_verify(&p, file, strlen(file), &keys, &want) == QUOIN_OK);
	quoin_proof_free(&p);
}

static void nonce(struct qn_span text)
{
	const char *s = qn_strndup(arena, text.p, text.n);
	struct qn_signature_fields f;

	if (!qn_nonce_ok(s))
		return;
	must(qn_sign_reply(key,
	    &(struct qn_signed_reply){
		.status = 200, .body = &text, .pieces = 1, .nonce = s, .at = NOW},
	    &f));
	must(strstr(f.input, s) != NULL && strlen(f.input) < sizeof(f.input) - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (arena == NULL)
		start();
	if (size == 0 || size > 64 * 1024)
		return 0;
	char *copy = malloc(size); /* ends where its memory ends */
	memcpy(copy, data + 1, size - 1);
	struct qn_span text = {copy, size - 1};
	switch (data[0]) {
	case 'f':
		judge(text.p, text.n);
		break;
	case 'e':
		armoured(text);
		break;
	case 'p':
		payload(text);
		break;
	case 'j':
		json(text);
		break;
	case 'a':
		request(text);
		break;
	case 'n':
		nonce(text);
		break;
	default:
		break;
	}
	must(ERR_peek_error() == 0);
	free(copy);
	qn_arena_reset(arena);
	return 0;
}
