/*
 * Keys, files and signed replies, against the verifier in C and OpenSSL. With PROOF_VECTORS=FILE it writes the vectors
 * that tests/proof reads (make update-vectors).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quoin-verify.h"
#include "quoin/auth/httpsig.h"
#include "quoin/auth/proof.h"
#include "quoin/base/buf.h"
#include "quoin/base/rand.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define S        1000000LL
#define NOW      1800000000LL
#define DAY      86400LL

#define ID      "01a1fcc9-9805-790a-a896-365bf2d2a0c3"
#define REVOKED "01a1fcc9-9805-790a-a896-365bf2d2a0c4"
#define KEY     "CODITECT-PRO-A7F3E9D2C4B1-8F2A"
#define MACHINE "3f0d9c1e5a7b42d6"

static struct qn_arena *arena;
static const struct qn_secret secret = {1, {"0123456789abcdef0123456789abcdef", 32}};

static int setup(void **state)
{
	(void)state;
	arena = qn_arena_new((size_t)256 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	qn_arena_free(arena);
	return 0;
}

/* The keys of the vectors: the first is that of RFC 8037; the third is another app's. */
static const struct {
	const char *d, *x, *kid;
} keys[] = {
    {"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
	"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
    {"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA", "ebVWLo_mVPlAeLES6KmLp5AfhTrmlb7X4OORC60ElmQ",
	"WWpn_pfHui9YKR4CZtQsDGMu7_Gch2zYChfSvnxgtPk"},
    {"ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8", "Kay64UG8yvCyLhqU000LxzYeUm0L_hLIl5S8kyKWbdc",
	"AkXIZFzonb59ZmGwyKgi3H3BwMi6amevqdKQiLZhdtc"},
};

static struct qn_proof_key *unsealed(const char *label, struct qn_span seed, const char *kid)
{
	uint8_t sealed[QN_PROOFKEY_SEALED_LEN + 1];

	assert_true(seed.n <= QN_PROOFKEY_SEED_LEN + 1);
	assert_true(qn_seal(&secret, label, qn_span_of(kid), seed, sealed));
	return qn_proof_key_unseal(&secret, qn_span_of(kid),
	    (struct qn_span){(const char *)sealed, seed.n + QN_SEAL_OVERHEAD});
}

static struct qn_proof_key *key_of(size_t i)
{
	uint8_t seed[34];

	assert_int_equal(qn_b64url_decode(keys[i].d, strlen(keys[i].d), seed), 32);
	struct qn_proof_key *k =
	    unsealed("quoin licence key 1", (struct qn_span){(const char *)seed, 32}, keys[i].kid);
	assert_non_null(k);
	return k;
}

/* keys */

static void test_known_key(void **state)
{
	static const char text[] = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
	uint8_t sig[QN_PROOF_SIG_LEN];
	char shown[96];
	struct qn_buf jwk;

	(void)state;
	for (size_t i = 0; i < COUNT(keys); i++) {
		struct qn_proof_key *k = key_of(i);
		assert_string_equal(qn_proof_key_kid(k), keys[i].kid);
		qn_buf_init(&jwk, 1000);
		qn_proof_key_jwk(k, &jwk);
		assert_string_equal(jwk.p,
		    qn_printf(arena,
			"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\",\"use\":\"sig\",\"alg\":\"EdDSA\",\"kid\":\"%s\"}",
			keys[i].x, keys[i].kid));
		qn_buf_done(&jwk);
		if (i == 0) { /* RFC 8037 A.4 */
			qn_proof_key_sign(k, qn_span_of(text), sig);
			qn_b64url_encode(sig, sizeof(sig), shown);
			assert_string_equal(shown,
			    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
		}
		qn_proof_key_free(k);
	}
	qn_proof_key_free(NULL);
}

static void test_sealing(void **state)
{
	static const struct qn_secret other = {1, {"1123456789abcdef0123456789abcdef", 32}};
	uint8_t sealed[QN_PROOFKEY_SEALED_LEN], seed[33] = {1};
	struct qn_proof_key *k = qn_proof_key_new();
	struct qn_span all = {(const char *)sealed, sizeof(sealed)},
		       kid = qn_span_of(qn_proof_key_kid(k));

	(void)state;
	assert_true(qn_proof_key_seal(k, &secret, sealed));
	struct qn_proof_key *again = qn_proof_key_unseal(&secret, kid, all);
	assert_non_null(again);
	assert_string_equal(qn_proof_key_kid(again), qn_proof_key_kid(k));
	qn_proof_key_free(again);
	assert_null(qn_proof_key_unseal(&other, kid, all));
	assert_null(qn_proof_key_unseal(&secret, qn_span_of(keys[0].kid), all));
	for (size_t n = 0; n < all.n; n++)
		assert_null(qn_proof_key_unseal(&secret, kid, (struct qn_span){all.p, n}));
	qn_proof_key_free(k);
	/* Well sealed, but for another purpose, not under its own name, or no seed. */
	struct qn_span zeros = {(const char *)seed, 32};
	assert_null(unsealed("quoin signing key 1", zeros, keys[0].kid));
	assert_null(unsealed("quoin licence key 1", zeros, keys[0].kid));
	assert_null(
	    unsealed("quoin licence key 1", (struct qn_span){(const char *)seed, 33}, keys[0].kid));
	assert_null(
	    unsealed("quoin licence key 1", (struct qn_span){(const char *)seed, 31}, keys[0].kid));
	assert_int_equal(ERR_peek_error(), 0);
}

/* files */

static struct qn_proof_license a_license(void)
{
	return (struct qn_proof_license){
	    .product = "coditect",
	    .license_id = ID,
	    .key = KEY,
	    .plan = "pro",
	    .status = "active",
	    .seats = 5,
	    .features = QN_SPAN_LIT("[ \"export\", \"offline\" ]"),
	    .limits = QN_SPAN_LIT("{\"commands_per_day\": -1, \"devices\":{\"most\": 5}}"),
	    .issued = NOW * S + 999999,
	    .expires = (NOW + 7 * DAY) * S,
	    .license_expires = (NOW + 365 * DAY) * S,
	};
}

static struct qn_proof_list a_list(void)
{
	static const char *const ids[] = {REVOKED, "one", "two"};

	return (struct qn_proof_list){.product = "coditect",
	    .sequence = 7,
	    .issued = NOW * S,
	    .expires = (NOW + DAY) * S,
	    .license_ids = ids,
	    .n = 3};
}

static struct quoin_keys both(void)
{
	struct quoin_keys set = {0};

	assert_true(quoin_key_add(&set, keys[0].kid, keys[0].x));
	assert_true(quoin_key_add(&set, keys[1].kid, keys[1].x));
	return set;
}

static const char *file_of(const struct qn_proof_license *l, size_t key, bool encrypt)
{
	struct qn_proof_key *k = key_of(key);
	const char *text = NULL;

	assert_int_equal(qn_proof_file(arena, k, l, encrypt, &text), QN_OK);
	qn_proof_key_free(k);
	return text;
}

static const char *list_of(const struct qn_proof_list *l)
{
	struct qn_proof_key *k = key_of(0);
	const char *text = NULL;

	assert_int_equal(qn_proof_revocations(arena, k, l, &text), QN_OK);
	qn_proof_key_free(k);
	return text;
}

/* The code alone. */
static const char *verdict(const char *text, size_t n, const struct quoin_expect *want)
{
	struct quoin_keys set = both();
	struct quoin_proof proof;
	char *exact = malloc(n + 1); /* nothing behind it may be read */

	assert_non_null(exact);
	memcpy(exact, text, n);
	enum quoin_code code = quoin_verify(&proof, exact, n, &set, want);
	free(exact);
	if (code == QUOIN_OK)
		quoin_proof_free(&proof);
	assert_int_equal(ERR_peek_error(), 0);
	return quoin_code_name(code);
}

static struct quoin_expect plain_want(void)
{
	return (struct quoin_expect){
	    .kind = QUOIN_LICENSE, .product = "coditect", .now = NOW + 60, .last_seen = NOW};
}

static void test_license_file(void **state)
{
	struct qn_proof_license l = a_license();
	struct quoin_expect want = plain_want();
	struct quoin_keys set = both();
	struct quoin_proof p;

	(void)state;
	for (size_t key = 0; key < 2; key++) {
		const char *text = file_of(&l, key, false);
		assert_int_equal(quoin_verify(&p, text, strlen(text), &set, &want), QUOIN_OK);
		assert_string_equal(p.payload,
		    qn_printf(arena,
			"{\"version\":1,\"kind\":\"license\",\"kid\":\"%s\",\"product\":\"coditect\","
			"\"license_id\":\"" ID "\",\"key\":\"" KEY
			"\",\"plan\":\"pro\",\"status\":\"active\","
			"\"seats\":5,\"features\":[\"export\",\"offline\"],"
			"\"limits\":{\"commands_per_day\":-1,\"devices\":{\"most\":5}},"
			"\"issued\":1800000000,\"expires\":1800604800,\"license_expires\":1831536000}",
			keys[key].kid));
		assert_int_equal(quoin_number(&p, "seats", -1), 5);
		assert_int_equal(quoin_number(&p, "plan", -1), -1);
		assert_int_equal(quoin_number(&p, "none", -2), -2);
		struct quoin_slice key_text = quoin_text(&p, "key"),
				   features = quoin_member(&p, "features");
		assert_int_equal(key_text.n, strlen(KEY));
		assert_memory_equal(key_text.p, KEY, key_text.n);
		assert_memory_equal(features.p, "[\"export\"", 9);
		assert_null(quoin_text(&p, "features").p);
		quoin_proof_free(&p);
	}
	l.seats = QN_I64_NULL;
	l.license_expires = QN_TIME_NULL;
	l.features = l.limits = (struct qn_span){NULL, 0};
	const char *text = file_of(&l, 0, false);
	assert_int_equal(quoin_verify(&p, text, strlen(text), &set, &want), QUOIN_OK);
	assert_non_null(strstr(p.payload, "\"seats\":null,\"features\":[],\"limits\":{},"));
	assert_non_null(strstr(p.payload, "\"license_expires\":null}"));
	quoin_proof_free(&p);
}

static void test_encrypted(void **state)
{
	struct qn_proof_license l = a_license();
	struct quoin_expect want = plain_want();

	(void)state;
	l.machine = MACHINE;
	l.nonce = "bm9uY2U";
	const char *text = file_of(&l, 0, true), *other = file_of(&l, 0, true);
	assert_string_not_equal(text, other); /* another iv */
	want.kind = QUOIN_MACHINE;
	want.machine = MACHINE;
	want.encrypted = 1;
	assert_string_equal(verdict(text, strlen(text), &want), "cannot-decrypt");
	want.license_key = KEY "x";
	assert_string_equal(verdict(text, strlen(text), &want), "cannot-decrypt");
	want.license_key = KEY;
	assert_string_equal(verdict(text, strlen(text), &want), "ok");
	want.nonce = "bm9uY2U";
	assert_string_equal(verdict(text, strlen(text), &want), "ok");
	want.machine = "another";
	assert_string_equal(verdict(text, strlen(text), &want), "cannot-decrypt");
}

static void test_list(void **state)
{
	struct qn_proof_list l = a_list();
	struct qn_proof_license license = a_license();
	struct quoin_expect want = plain_want();
	struct quoin_keys set = both();
	struct quoin_proof list;
	const char *text = list_of(&l), *file = file_of(&license, 1, false);

	(void)state;
	want.kind = QUOIN_REVOCATIONS;
	want.sequence = 7;
	assert_int_equal(quoin_verify(&list, text, strlen(text), &set, &want), QUOIN_OK);
	want.sequence = 8;
	assert_string_equal(verdict(text, strlen(text), &want), "stale-list");
	want = plain_want();
	want.revocations = &list;
	assert_string_equal(verdict(file, strlen(file), &want), "ok");
	license.license_id = REVOKED;
	file = file_of(&license, 1, false);
	assert_string_equal(verdict(file, strlen(file), &want), "revoked");
	quoin_proof_free(&list);
	l.n = 0;
	text = list_of(&l);
	want = (struct quoin_expect){.kind = QUOIN_REVOCATIONS, .product = "coditect", .now = NOW};
	assert_string_equal(verdict(text, strlen(text), &want), "ok");
}

static void test_large_list(void **state)
{
	struct qn_proof_list l = a_list();
	const char **ids = qn_alloc_array(arena, QN_PROOF_LIST_MOST + 1, sizeof(*ids));
	struct quoin_expect want = {.kind = QUOIN_REVOCATIONS, .product = "coditect", .now = NOW};
	struct qn_proof_key *k = key_of(0);
	const char *text;

	(void)state;
	for (size_t i = 0; i <= QN_PROOF_LIST_MOST; i++)
		ids[i] = qn_printf(arena, "%zu", i);
	l.license_ids = ids;
	l.n = QN_PROOF_LIST_MOST;
	text = list_of(&l);
	assert_true(strlen(text) < QUOIN_FILE_MOST);
	assert_string_equal(verdict(text, strlen(text), &want), "ok");
	l.n++;
	assert_int_equal(qn_proof_revocations(arena, k, &l, &text), QN_INVALID);
	qn_proof_key_free(k);
}

/* What no verifier would read is not signed. */
static void test_unfit(void **state)
{
	static const char long_word[] =
	    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	static const char *const words[] = {
	    NULL, "", "a\"b", "a\\b", "a\nb", "ü", "\x7f", long_word};
	static const char *const json[] = {"", "1", "\"x\"", "null", "[", "[1.5]",
	    "[9007199254740992]", "[\"ü\"]", "[\"a\\u0041\"]", "[\"\\n\"]", "{\"\":1}",
	    "{\"1a\":1}", "{\"a b\":1}", "{\"ü\":1}", "{\"a\":1,\"a\":2}", "[[[[[[[[1]]]]]]]]"};
	struct qn_proof_key *k = key_of(0);
	char long_key[QN_LICENCE_KEY_MAX + 2] = "";
	const char *text;

	(void)state;
	memset(long_key, 'x', QN_LICENCE_KEY_MAX + 1);
	for (size_t i = 0; i < COUNT(words); i++) {
		struct qn_proof_license l[7];
		for (size_t f = 0; f < COUNT(l); f++)
			l[f] = a_license();
		l[0].product = l[1].license_id = l[2].key = l[3].plan = l[4].status = words[i];
		l[5].machine = l[6].nonce = words[i];
		if (words[i] == long_word)
			l[2].key = long_key;
		for (size_t f = 0; f < (words[i] != NULL ? COUNT(l) : 5); f++)
			assert_int_equal(qn_proof_file(arena, k, &l[f], false, &text), QN_INVALID);
	}
	for (size_t i = 0; i < COUNT(json); i++) {
		struct qn_proof_license l = a_license();
		l.features = qn_span_of(json[i]);
		assert_int_equal(qn_proof_file(arena, k, &l, false, &text), QN_INVALID);
		l = a_license();
		l.limits = qn_span_of(json[i]);
		assert_int_equal(qn_proof_file(arena, k, &l, false, &text), QN_INVALID);
	}
	struct qn_proof_license l = a_license();
	l.limits = QN_SPAN_LIT("[]");
	assert_int_equal(qn_proof_file(arena, k, &l, false, &text), QN_INVALID);
	l = a_license();
	l.expires = l.issued;
	assert_int_equal(qn_proof_file(arena, k, &l, false, &text), QN_INVALID);
	l = a_license();
	l.seats = -1;
	assert_int_equal(qn_proof_file(arena, k, &l, false, &text), QN_INVALID);
	qn_proof_key_free(k);
}

/* As deep and as wide as it may be. */
static void test_bounds(void **state)
{
	struct qn_proof_license l = a_license();
	struct quoin_expect want = plain_want();
	struct qn_proof_key *k = key_of(0);
	struct qn_buf b;
	const char *text;

	(void)state;
	l.features = QN_SPAN_LIT("[[[[[[[1,true,null,\"~ \"]]]]]]]");
	text = file_of(&l, 0, false);
	assert_string_equal(verdict(text, strlen(text), &want), "ok");
	for (int members = 64; members <= 65; members++) {
		qn_buf_init(&b, 4096);
		for (int i = 0; i < members; i++)
			qn_buf_printf(&b, "%c\"m%d\":-%d", i == 0 ? '{' : ',', i, i + 1);
		qn_buf_char(&b, '}');
		l.limits = (struct qn_span){b.p, b.n};
		assert_int_equal(
		    qn_proof_file(arena, k, &l, false, &text), members == 64 ? QN_OK : QN_INVALID);
		qn_buf_done(&b);
	}
	assert_string_equal(verdict(text, strlen(text), &want), "ok");
	qn_proof_key_free(k);
}

/* Every byte changed, and every length but the whole one. */
static void test_damage(void **state)
{
	struct qn_proof_license l = a_license();
	struct quoin_expect want = plain_want();
	const char *text = file_of(&l, 0, false);
	size_t n = strlen(text);
	char *copy = qn_strndup(arena, text, n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		copy[i] = (char)(copy[i] ^ 1 << i % 7);
		assert_string_not_equal(verdict(copy, n, &want), "ok");
		copy[i] = text[i];
	}
	for (size_t i = 0; i + 1 < n; i++)
		assert_string_not_equal(verdict(text, i, &want), "ok");
	assert_string_equal(verdict(text, n - 1, &want), "ok"); /* the last line may lack its end */
}

/* A file around this envelope. */
static const char *around(const char *envelope)
{
	size_t n = strlen(envelope);
	char *line = qn_alloc(arena, 80);
	struct qn_buf b;

	qn_buf_init(&b, 1 << 20);
	qn_buf_str(&b, "-----BEGIN LICENSE FILE-----\n");
	for (size_t i = 0; i < n; i += 48) {
		qn_buf_add(&b, line, qn_b64_encode(envelope + i, n - i < 48 ? n - i : 48, line));
		qn_buf_char(&b, '\n');
	}
	qn_buf_str(&b, "-----END LICENSE FILE-----\n");
	const char *file = qn_strndup(arena, b.p, b.n);
	qn_buf_done(&b);
	return file;
}

/* What stands where bytes of a known number belong has any other number of them: the sanitizers look on. */
static void test_sizes(void **state)
{
	struct quoin_expect want = plain_want();
	uint8_t bytes[80] = {0};
	char sig[120];

	(void)state;
	want.license_key = KEY;
	for (size_t n = 0; n < sizeof(bytes); n++) {
		qn_b64_encode(bytes, n, sig);
		const char *file = around(qn_printf(arena,
		    "{\"enc\":\"e30=\",\"sig\":\"%s\",\"alg\":\"base64+ed25519\",\"kid\":\"%s\"}",
		    sig, keys[0].kid));
		assert_string_equal(verdict(file, strlen(file), &want),
		    n == QN_PROOF_SIG_LEN ? "bad-signature" : "bad-encoding");
	}
	struct qn_proof_key *k = key_of(0);
	for (size_t n = 0; n < 40; n++) { /* characters of enc, without what they should be */
		char enc[64] = "AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA==";
		uint8_t good[QN_PROOF_SIG_LEN];
		enc[sizeof("AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA==") - 1 - n] = 'A';
		qn_proof_key_sign(k, qn_span_of(qn_printf(arena, "license/.%s", enc)), good);
		qn_b64_encode(good, sizeof(good), sig);
		const char *file = around(qn_printf(arena,
		    "{\"enc\":\".%s\",\"sig\":\"%s\",\"alg\":\"aes-256-gcm+ed25519\",\"kid\":\"%s\"}",
		    enc, sig, keys[0].kid));
		assert_string_not_equal(verdict(file, strlen(file), &want), "ok");
	}
	qn_proof_key_free(k);
}

static void test_key_set(void **state)
{
	struct quoin_keys set = {0};

	(void)state;
	assert_false(quoin_key_add(&set, "", keys[0].x));
	assert_false(quoin_key_add(&set, "k", ""));
	assert_false(quoin_key_add(&set, "k", "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo"));
	assert_false(quoin_key_add(&set, "k", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURp"));
	assert_false(quoin_key_add(&set, "k", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUR="));
	assert_false(quoin_key_add(&set, "k", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo="));
	assert_false(quoin_key_add(
	    &set, "0123456789012345678901234567890123456789012345678901234567890123", keys[0].x));
	assert_int_equal(set.n, 0);
	for (size_t i = 0; i < QUOIN_KEYS_MOST; i++)
		assert_true(quoin_key_add(&set, qn_printf(arena, "k%zu", i), keys[0].x));
	assert_false(quoin_key_add(&set, "k", keys[0].x));
}

/* activation requests */

#define REQUEST(more) \
	"{\"version\":1,\"kind\":\"activation-request\",\"product\":\"coditect\",\"key\":\"" KEY \
	"\"," more "}"

static void test_activation(void **state)
{
	static const char *const bad[] = {"", "{", "[]", "null", REQUEST("\"machine\":\"m\""),
	    REQUEST("\"nonce\":\"n\""), REQUEST("\"machine\":\"\",\"nonce\":\"n\""),
	    REQUEST("\"machine\":\"a\\nb\",\"nonce\":\"n\""),
	    REQUEST("\"machine\":7,\"nonce\":\"n\""),
	    REQUEST("\"machine\":\"m\",\"machine\":\"m\",\"nonce\":\"n\""),
	    "{\"version\":2,\"kind\":\"activation-request\",\"product\":\"p\",\"key\":\"k\",\"machine\":\"m\",\"nonce\":\"n\"}",
	    "{\"version\":1,\"kind\":\"machine\",\"product\":\"p\",\"key\":\"k\",\"machine\":\"m\",\"nonce\":\"n\"}",
	    "{\"version\":1,\"kind\":\"activation-request\",\"key\":\"k\",\"machine\":\"m\",\"nonce\":\"n\"}"};
	struct qn_activation r;
	const char *why;

	(void)state;
	assert_int_equal(
	    qn_activation_read(arena,
		QN_SPAN_LIT(" " REQUEST(
		    "\"machine\":\"" MACHINE
		    "\",\r\n\"nonce\":\"n-1\",\"name\":\"Zo\\u00eb's\",\"x\":[1.5]") "\n"),
		&r, NULL),
	    QN_OK);
	assert_string_equal(r.product, "coditect");
	assert_string_equal(r.key, KEY);
	assert_string_equal(r.machine, MACHINE);
	assert_string_equal(r.nonce, "n-1");
	assert_string_equal(r.name, "Zo\xc3\xab's");
	for (size_t i = 0; i < COUNT(bad); i++) {
		why = "";
		assert_int_equal(
		    qn_activation_read(arena, qn_span_of(bad[i]), &r, &why), QN_INVALID);
		assert_string_not_equal(why, "");
	}
	char *large = qn_alloc(arena, QN_ACTIVATION_MOST + 1);
	memset(large, ' ', QN_ACTIVATION_MOST + 1);
	assert_int_equal(
	    qn_activation_read(arena, (struct qn_span){large, QN_ACTIVATION_MOST + 1}, &r, &why),
	    QN_INVALID);
}

/* signed replies */

static bool signed_by(size_t key, const char *text, const char *signature)
{
	uint8_t public[34], sig[QN_PROOF_SIG_LEN + 2];

	assert_int_equal(strncmp(signature, "quoin=:", 7), 0);
	assert_int_equal(EVP_DecodeBlock(sig, (const uint8_t *)signature + 7, 88), 66);
	assert_int_equal(qn_b64url_decode(keys[key].x, 43, public), 32);
	EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public, 32);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey), 1);
	bool ok =
	    EVP_DigestVerify(ctx, sig, QN_PROOF_SIG_LEN, (const uint8_t *)text, strlen(text)) == 1;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	return ok;
}

static const char *base_of(int status, const char *digest, const char *more)
{
	return qn_printf(arena,
	    "\"@status\": %d\n\"content-digest\": %s\n\"date\": Tue, 20 Apr 2021 02:07:53 GMT\n"
	    "\"@signature-params\": (\"@status\" \"content-digest\" \"date\");created=1618884473;keyid=\"%s\";alg=\"ed25519\"%s",
	    status, digest, keys[0].kid, more);
}

static void test_signed_reply(void **state)
{
	static const struct qn_span body[] = {
	    QN_SPAN_LIT("{\"hello\": "), {NULL, 0}, QN_SPAN_LIT("\"world\"}")};
	struct qn_signature_fields f;
	struct qn_signed_reply r = {.status = 200, .body = body, .pieces = 3, .at = 1618884473 * S};
	struct qn_proof_key *k = key_of(0);

	(void)state;
	assert_true(qn_sign_reply(k, &r, &f));
	assert_string_equal(f.date, "Tue, 20 Apr 2021 02:07:53 GMT");
	/* RFC 9530, appendix */
	assert_string_equal(f.digest, "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:");
	assert_string_equal(f.input,
	    qn_printf(arena,
		"quoin=(\"@status\" \"content-digest\" \"date\");created=1618884473;keyid=\"%s\";alg=\"ed25519\"",
		keys[0].kid));
	assert_true(signed_by(0, base_of(200, f.digest, ""), f.signature));
	assert_false(signed_by(0, base_of(404, f.digest, ""), f.signature));
	assert_false(signed_by(1, base_of(200, f.digest, ""), f.signature));
	char nonce[QN_NONCE_MOST + 1];
	memset(nonce, '+', QN_NONCE_MOST);
	nonce[QN_NONCE_MOST] = '\0';
	r.nonce = nonce;
	r.status = 404;
	assert_true(qn_sign_reply(k, &r, &f));
	assert_true(signed_by(
	    0, base_of(404, f.digest, qn_printf(arena, ";nonce=\"%s\"", nonce)), f.signature));
	qn_proof_key_free(k);
}

static void test_nonce(void **state)
{
	char text[QN_NONCE_MOST + 2];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[QN_NONCE_MOST + 1] = '\0';
	assert_false(qn_nonce_ok(text));
	assert_true(qn_nonce_ok(text + 1));
	assert_true(qn_nonce_ok("Az09+/=_"));
	assert_true(qn_nonce_ok("-_aaaaaa"));
	assert_false(qn_nonce_ok("1234567"));
	assert_false(qn_nonce_ok(""));
	assert_false(qn_nonce_ok("1234567\""));
	assert_false(qn_nonce_ok("1234567 "));
	assert_false(qn_nonce_ok("1234567\xc3\xa9"));
}

static void test_base64(void **state)
{
	static const char *const cases[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="},
	    {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"},
	    {"\xfb\xff\xbf", "+/+/"}};
	char out[16];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(
		    qn_b64_encode(cases[i][0], strlen(cases[i][0]), out), strlen(cases[i][1]));
		assert_string_equal(out, cases[i][1]);
	}
}

/* vectors */

struct vector {
	const char *name, *kind, *text, *machine, *key, *nonce;
	size_t signer;
	bool encrypted;
};

enum { VECTORS = 8 };

static void make_vectors(struct vector out[VECTORS])
{
	struct qn_proof_license l = a_license(), revoked = l, other = l, bare = l;
	struct qn_proof_list list = a_list();

	revoked.license_id = REVOKED;
	other.product = "other";
	bare.seats = QN_I64_NULL;
	bare.license_expires = QN_TIME_NULL;
	bare.features = bare.limits = (struct qn_span){NULL, 0};
	out[0] = (struct vector){"license", "license", file_of(&l, 0, false), .signer = 0};
	out[1] = (struct vector){"rotated", "license", file_of(&bare, 1, false), .signer = 1};
	out[2] = (struct vector){"revoked", "license", file_of(&revoked, 0, false), .signer = 0};
	out[3] = (struct vector){"other", "license", file_of(&other, 2, false), .signer = 2};
	out[4] = (struct vector){
	    "secret", "license", file_of(&l, 0, true), .key = KEY, .signer = 0, .encrypted = true};
	l.machine = MACHINE;
	l.nonce = "bm9uY2U";
	out[5] = (struct vector){
	    "machine", "machine", file_of(&l, 0, false), MACHINE, KEY, "bm9uY2U", 0, false};
	out[6] = (struct vector){
	    "secret-machine", "machine", file_of(&l, 1, true), MACHINE, KEY, "bm9uY2U", 1, true};
	out[7] = (struct vector){"revocations", "revocations", list_of(&list), .signer = 0};
}

static void add_str(struct qn_buf *b, const char *name, const char *value)
{
	if (value == NULL)
		return;
	qn_buf_printf(b, ",\n   \"%s\":", name);
	qn_buf_json(b, value, strlen(value));
}

static void print_vectors(const struct vector *v, struct qn_buf *b)
{
	qn_buf_printf(b, "{\n \"now\":%lld,\n \"keys\":[", NOW + 60);
	for (size_t i = 0; i < COUNT(keys); i++)
		qn_buf_printf(b, "%s\n  {\"kid\":\"%s\",\"x\":\"%s\",\"d\":\"%s\",\"app\":\"%s\"}",
		    i > 0 ? "," : "", keys[i].kid, keys[i].x, keys[i].d,
		    i < 2 ? "coditect" : "other");
	qn_buf_str(b, "],\n \"files\":[");
	for (size_t i = 0; i < VECTORS; i++) {
		qn_buf_printf(b,
		    "%s\n  {\"name\":\"%s\",\"kind\":\"%s\",\"signer\":%zu,\"encrypted\":%s",
		    i > 0 ? "," : "", v[i].name, v[i].kind, v[i].signer,
		    v[i].encrypted ? "true" : "false");
		add_str(b, "machine", v[i].machine);
		add_str(b, "licenseKey", v[i].key);
		add_str(b, "nonce", v[i].nonce);
		add_str(b, "text", v[i].text);
		qn_buf_char(b, '}');
	}
	qn_buf_str(b, "\n ]\n}\n");
}

static char *read_whole(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = qn_alloc(arena, 1 << 20);

	assert_non_null(f);
	assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
	fclose(f);
	return text;
}

/* The vectors that are committed are what this code makes; those with a random iv differ each time. */
static void test_vectors(void **state)
{
	const char *write_to = getenv("PROOF_VECTORS");
	struct vector v[VECTORS];
	struct qn_buf b, one;

	(void)state;
	make_vectors(v);
	qn_buf_init(&b, 1 << 20);
	print_vectors(v, &b);
	if (write_to != NULL) {
		FILE *f = fopen(write_to, "w");
		assert_non_null(f);
		assert_int_equal(fwrite(b.p, 1, b.n, f), b.n);
		assert_int_equal(fclose(f), 0);
	}
	const char *kept = read_whole(TEST_VECTORS "/proof.json");
	for (size_t i = 0; i < VECTORS; i++) {
		qn_buf_init(&one, 1 << 20);
		qn_buf_json(&one, v[i].text, strlen(v[i].text));
		if (!v[i].encrypted && strstr(kept, one.p) == NULL)
			fail_msg("%s is not as tests/vectors/proof/proof.json has it", v[i].name);
		qn_buf_done(&one);
	}
	qn_buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_known_key),
	    cmocka_unit_test(test_sealing),
	    cmocka_unit_test(test_license_file),
	    cmocka_unit_test(test_encrypted),
	    cmocka_unit_test(test_list),
	    cmocka_unit_test(test_large_list),
	    cmocka_unit_test(test_unfit),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_damage),
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_key_set),
	    cmocka_unit_test(test_activation),
	    cmocka_unit_test(test_signed_reply),
	    cmocka_unit_test(test_nonce),
	    cmocka_unit_test(test_base64),
	    cmocka_unit_test(test_vectors),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
