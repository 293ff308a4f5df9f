/* Passkeys: the examples of the standard, an authenticator of our own, and its forgeries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#include "authenticator.h"
#include "cbor.h"
#include "cosekey.h"
#include "quoin/auth/webauthn.h"
#include "quoin/base/json.h"
#include "quoin/base/rand.h"
#include "webauthn_vectors.h"

#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))
#define CHALLENGE "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8" /* 00 to 1f */
#define OTHER     "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh4"
#define USER      QN_SPAN_LIT("user-7")

static const char *const origins[] = {"https://example.org", "https://app.example.org:8443", NULL};
static const struct qn_webauthn_party party = {"example.org", "Example", origins};
static struct qn_webauthn_terms terms = {.party = &party};
static struct qn_arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = qn_arena_new((size_t)64 << 20);
	for (size_t i = 0; i < sizeof(terms.challenge); i++)
		terms.challenge[i] = (uint8_t)i;
	terms.user_verification = false;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	qn_arena_free(arena);
	return ERR_peek_error() != 0;
}

static struct qn_span unb64(const char *text)
{
	uint8_t *out = qn_alloc(arena, strlen(text) + 1);
	long n = qn_b64url_decode(text, strlen(text), out);

	assert_true(n > 0);
	return (struct qn_span){(const char *)out, (size_t)n};
}

static bool registers(struct qn_span json, const struct qn_webauthn_terms *t,
    struct qn_passkey *ret, const char **why)
{
	struct qn_webauthn_reply reply;

	return qn_webauthn_read(arena, QN_WEBAUTHN_CREATE, json, &reply, why) &&
	       qn_webauthn_register(&reply, t, ret, why);
}

static bool verifies(struct qn_span json, const struct qn_webauthn_terms *t,
    const struct qn_passkey *kept, bool named, struct qn_passkey_use *ret, const char **why)
{
	struct qn_webauthn_reply reply;

	return qn_webauthn_read(arena, QN_WEBAUTHN_GET, json, &reply, why) &&
	       qn_webauthn_verify(&reply, t, kept, named, ret, why);
}

/* the examples */

static struct qn_webauthn_terms asked(const char *challenge)
{
	struct qn_webauthn_terms t = {.party = &party};
	struct qn_span bytes = unb64(challenge);

	assert_int_equal(bytes.n, sizeof(t.challenge));
	memcpy(t.challenge, bytes.p, bytes.n);
	return t;
}

static void check_vector(const struct webauthn_vector *v)
{
	struct qn_webauthn_terms create = asked(v->create_challenge), get = asked(v->get_challenge);
	struct qn_span created = authenticator_created(
	    arena, unb64(v->id), unb64(v->create_client_data), unb64(v->attestation));
	struct qn_span got = authenticator_got(arena, unb64(v->id), unb64(v->get_client_data),
	    unb64(v->authdata), unb64(v->signature), USER);
	const char *why = "";
	struct qn_passkey key;
	struct qn_passkey_use use;

	if (registers(created, &create, &key, &why) != (v->end == GOOD))
		fail_msg("%s: %s", v->name, why);
	if (v->end != GOOD) {
		assert_string_equal(why,
		    v->end == FRAMED ? "asked inside a page of another origin"
				     : "a key of a kind that we did not ask for, or a damaged one");
		return;
	}
	key.user = USER;
	if (!verifies(got, &get, &key, false, &use, &why))
		fail_msg("%s: %s", v->name, why);
	assert_false(use.regressed); /* these do not count */
	assert_false(verifies(got, &create, &key, false, &use, &why));
	assert_string_equal(why, "another challenge");
}

static void test_examples(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(webauthn_vectors); i++)
		check_vector(&webauthn_vectors[i]);
}

/* An answer of one is no answer for another. */
static void test_examples_are_not_mixed(void **state)
{
	struct qn_passkey key[COUNT(webauthn_vectors)];
	struct qn_passkey_use use;
	const char *why;

	(void)state;
	for (size_t i = 0; i < COUNT(webauthn_vectors); i++) {
		const struct webauthn_vector *v = &webauthn_vectors[i];
		struct qn_webauthn_terms t = asked(v->create_challenge);
		if (v->end == GOOD)
			assert_true(
			    registers(authenticator_created(arena, unb64(v->id),
					  unb64(v->create_client_data), unb64(v->attestation)),
				&t, &key[i], &why));
	}
	for (size_t i = 0; i < COUNT(webauthn_vectors); i++) {
		const struct webauthn_vector *v = &webauthn_vectors[i];
		struct qn_webauthn_terms t = asked(v->get_challenge);
		for (size_t j = 0; j < COUNT(webauthn_vectors); j++) {
			if (webauthn_vectors[j].end != GOOD || v->end == FRAMED)
				continue;
			struct qn_passkey kept = key[j];
			struct qn_span id = kept.id;
			kept.backup_eligible = (unb64(v->authdata).p[32] & BE) != 0;
			struct qn_span got = authenticator_got(arena, id, unb64(v->get_client_data),
			    unb64(v->authdata), unb64(v->signature), (struct qn_span){NULL, 0});
			assert_int_equal(verifies(got, &t, &kept, true, &use, &why), i == j);
			if (i != j)
				assert_string_equal(why, "the signature is not the passkey's");
		}
	}
}

/* our own */

struct creation {
	struct authenticator d;
	const char *type, *challenge, *fmt;
	struct qn_span statement;
	struct qn_span id, client_data, authdata, attestation; /* in place of what would be made */
};

static struct creation creation(void)
{
	return (struct creation){
	    .d = {.by = JOSE_EC,
		.id = QN_SPAN_LIT("\1\2\3\4credential"),
		.party = "example.org",
		.origin = "https://example.org",
		.flags = UP | UV,
		.count = 1},
	    .type = "webauthn.create",
	    .challenge = CHALLENGE,
	    .fmt = "none",
	    .statement = QN_SPAN_LIT("\xa0"),
	};
}

static struct qn_span created(const struct creation *c)
{
	struct qn_span client = c->client_data, data = c->authdata, attestation = c->attestation;

	if (client.p == NULL)
		client = authenticator_client_data(arena, &c->d, c->type, c->challenge);
	if (data.p == NULL)
		data = authenticator_data(arena, &c->d, true);
	if (attestation.p == NULL)
		attestation = authenticator_attestation(arena, c->fmt, c->statement, data);
	return authenticator_created(arena, c->id.p != NULL ? c->id : c->d.id, client, attestation);
}

static struct qn_passkey registered(struct creation *c)
{
	struct qn_passkey key;
	const char *why = "";

	if (!registers(created(c), &terms, &key, &why))
		fail_msg("not registered: %s", why);
	key.user = USER;
	return key;
}

static void test_register(void **state)
{
	static const enum jose_by by[] = {JOSE_EC, JOSE_ED, JOSE_RSA};

	(void)state;
	for (size_t i = 0; i < COUNT(by); i++) {
		struct creation c = creation();
		c.d.by = by[i];
		c.d.count = 0xfedcba98;
		c.d.flags = UP | BE | BS;
		struct qn_passkey key = registered(&c);
		struct qn_span cose = authenticator_cose(arena, by[i]);
		assert_int_equal(key.id.n, c.d.id.n);
		assert_memory_equal(key.id.p, c.d.id.p, key.id.n);
		assert_int_equal(key.key.n, cose.n);
		assert_memory_equal(key.key.p, cose.p, cose.n);
		assert_int_equal(key.count, 0xfedcba98);
		assert_memory_equal(
		    key.aaguid, "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20", QN_AAGUID_LEN);
		assert_true(key.backup_eligible && key.backed_up && !key.user_verified);
		assert_int_equal(key.transports, QN_TRANSPORT_BIT(QN_TRANSPORT_INTERNAL) |
						     QN_TRANSPORT_BIT(QN_TRANSPORT_HYBRID));
	}
}

/* What is beside the point does not harm. */
static void test_register_tolerates(void **state)
{
	static const struct {
		const char *fmt, *more, *origin;
		struct qn_span statement, extensions;
		unsigned flags;
	} cases[] = {
	    {"packed", "", "https://example.org",
		QN_SPAN_LIT("\xa1\x63"
			    "alg\x26"),
		{NULL, 0}, UP},
	    {"fido-u2f", "", "https://example.org", QN_SPAN_LIT("\xa2\x63sig\x41x\x63x5c\x81\x41y"),
		{NULL, 0}, UP},
	    {"none", ",\"new\":{\"a\":[1,2]}", "https://example.org", QN_SPAN_LIT("\xa0"),
		{NULL, 0}, UP},
	    {"none", ",\"tokenBinding\":{\"status\":\"supported\"}", "https://example.org",
		QN_SPAN_LIT("\xa0"), {NULL, 0}, UP},
	    {"none", "", "https://app.example.org:8443", QN_SPAN_LIT("\xa0"), {NULL, 0}, UP},
	    {"none", "", "https://example.org", QN_SPAN_LIT("\xa0"),
		QN_SPAN_LIT("\xa1\x6b"
			    "credProtect\x02"),
		UP | ED},
	    {"none", "", "https://example.org", QN_SPAN_LIT("\xa0"),
		QN_SPAN_LIT("\xa2\x6bhmac-secret\xf5\x69"
			    "minPinLen\x04"),
		UP | ED},
	    {"none", "", "https://example.org", QN_SPAN_LIT("\xa0"), QN_SPAN_LIT("\xa0"), UP | ED},
	    {"none", "", "https://example.org", QN_SPAN_LIT("\xa0"), {NULL, 0}, UP | 0x22},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct creation c = creation();
		c.fmt = cases[i].fmt;
		c.statement = cases[i].statement;
		c.d.more = cases[i].more;
		c.d.origin = cases[i].origin;
		c.d.extensions = cases[i].extensions;
		c.d.flags = cases[i].flags;
		registered(&c);
	}
}

#define JSON_AS(origin, more) \
	QN_SPAN_LIT("{\"type\":\"webauthn.create\",\"challenge\":\"" CHALLENGE \
		    "\",\"origin\":" origin more "}")

static void test_register_refuses(void **state)
{
	static const char client[] = "the client data is no JSON object",
			  type[] = "the client data is of another type",
			  challenge[] = "another challenge", origin[] = "another origin",
			  framed[] = "asked inside a page of another origin",
			  attestation[] = "the attestation object is malformed",
			  data[] = "the authenticator data is malformed",
			  credential[] = "no credential, or another than its id says";
	const struct {
		const char *why;
		struct creation c; /* what differs */
		unsigned flags;    /* 0: as ever */
	} cases[] = {
	    {type, {.type = "webauthn.get"}, 0},
	    {type, {.type = "webauthn.Create"}, 0},
	    {type, {.type = "webauthn.create "}, 0},
	    {type, {.type = ""}, 0},
	    {challenge, {.challenge = OTHER}, 0},
	    {challenge, {.challenge = ""}, 0},
	    {challenge, {.challenge = CHALLENGE "="}, 0},
	    {challenge, {.challenge = CHALLENGE "A"}, 0},
	    {challenge, {.challenge = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9"},
		0}, /* spare bits */
	    {origin, {.d = {.origin = "https://example.org/"}}, 0},
	    {origin, {.d = {.origin = "https://example.org:443"}}, 0},
	    {origin, {.d = {.origin = "http://example.org"}}, 0},
	    {origin, {.d = {.origin = "https://Example.org"}}, 0},
	    {origin, {.d = {.origin = "https://example.org.evil.net"}}, 0},
	    {origin, {.d = {.origin = "https://evil-example.org"}}, 0},
	    {origin, {.d = {.origin = "https://other.example.org"}}, 0},
	    {origin, {.d = {.origin = "https://example.org\\u0020"}}, 0},
	    {origin, {.d = {.origin = ""}}, 0},
	    {origin, {.d = {.origin = "null"}}, 0},
	    {origin, {.client_data = JSON_AS("null", "")}, 0},
	    {origin, {.client_data = JSON_AS("[\"https://example.org\"]", "")}, 0},
	    {framed, {.client_data = JSON_AS("\"https://example.org\"", ",\"crossOrigin\":true")},
		0},
	    {framed,
		{.client_data = JSON_AS("\"https://example.org\"", ",\"crossOrigin\":\"false\"")},
		0},
	    {framed, {.client_data = JSON_AS("\"https://example.org\"", ",\"crossOrigin\":null")},
		0},
	    {framed, {.d = {.more = ",\"topOrigin\":\"https://example.com\""}}, 0},
	    {client, {.d = {.more = ",\"origin\":\"https://example.org\""}}, 0}, /* twice */
	    {client, {.d = {.more = ",\"x\":\"\\ud800\""}}, 0},
	    {client, {.d = {.more = ",\"x\":[[[[[[[[1]]]]]]]]"}}, 0},
	    {client, {.d = {.more = "}{"}}, 0},
	    {client, {.client_data = QN_SPAN_LIT("[]")}, 0},
	    {client, {.client_data = QN_SPAN_LIT("\xef\xbb\xbf{}")}, 0},
	    {client, {.client_data = QN_SPAN_LIT("\"webauthn.create\"")}, 0},
	    {type, {.client_data = QN_SPAN_LIT("{}")}, 0},
	    {"made for another party", {.d = {.party = "example.com"}}, 0},
	    {"made for another party", {.d = {.party = "https://example.org"}}, 0},
	    {"made for another party", {.d = {.party = "app.example.org"}}, 0},
	    {"nobody was present", {.id = {NULL, 0}}, UV},
	    {"backed up, and not to be backed up", {.id = {NULL, 0}}, UP | BS},
	    {credential, {.id = QN_SPAN_LIT("\1\2\3\5credential")}, 0},
	    {credential, {.id = QN_SPAN_LIT("\1\2\3\4credentia")}, 0},
	    {data, {.id = {NULL, 0}}, UP | ED},                    /* there are no extensions */
	    {data, {.d = {.extensions = QN_SPAN_LIT("\xa0")}}, 0}, /* nobody said so */
	    {data, {.d = {.extensions = QN_SPAN_LIT("\0")}}, 0},
	    {data, {.d = {.extensions = QN_SPAN_LIT("\xa0\0")}}, UP | ED},
	    {data, {.d = {.extensions = QN_SPAN_LIT("\x80")}}, UP | ED},
	    {data, {.d = {.extensions = QN_SPAN_LIT("\xa1\x01\x01")}}, UP | ED},
	    {data, {.d = {.extensions = QN_SPAN_LIT("\xa1\x61x")}}, UP | ED},
	    {data, {.d = {.extensions = QN_SPAN_LIT("\xbf\xff")}}, UP | ED},
	    {data, {.d = {.cose = QN_SPAN_LIT("\x40")}}, 0},             /* no map */
	    {attestation, {.statement = QN_SPAN_LIT("\xa1\x61x\1")}, 0}, /* of "none" */
	    {attestation, {.statement = QN_SPAN_LIT("\x80"), .fmt = "packed"}, 0},
	    {attestation, {.statement = QN_SPAN_LIT("\xbf\xff"), .fmt = "packed"}, 0},
	    {attestation, {.fmt = "a-format-whose-name-is-far-too-long"}, 0},
	    {attestation, {.attestation = QN_SPAN_LIT("\xa0")}, 0},
	    {attestation, {.attestation = QN_SPAN_LIT("\x80")}, 0},
	    {attestation,
		{.attestation = QN_SPAN_LIT("\xa2\x63"
					    "fmt\x64none\x67"
					    "attStmt\xa0")},
		0},
	    {attestation,
		{.attestation = QN_SPAN_LIT("\xa3\x63"
					    "fmt\x64none\x67"
					    "attStmt\xa0\x68"
					    "authData\x60")},
		0},
	    {attestation,
		{.attestation = QN_SPAN_LIT("\xa3\x63"
					    "fmt\x64none\x63"
					    "fmt\x64none\x67"
					    "attStmt\xa0")},
		0},
	    {attestation,
		{.attestation = QN_SPAN_LIT("\xbb\xff\xff\xff\xff\xff\xff\xff\xff\x63"
					    "fmt")},
		0},
	    {data,
		{.attestation = QN_SPAN_LIT("\xa3\x63"
					    "fmt\x64none\x67"
					    "attStmt\xa0\x68"
					    "authData\x40")},
		0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct creation c = creation();
		const struct creation *o = &cases[i].c;
		const char *why = "nothing";
		struct qn_passkey key = {.count = 77};

		c.type = o->type != NULL ? o->type : c.type;
		c.challenge = o->challenge != NULL ? o->challenge : c.challenge;
		c.fmt = o->fmt != NULL ? o->fmt : c.fmt;
		c.statement = o->statement.p != NULL ? o->statement : c.statement;
		c.d.origin = o->d.origin != NULL ? o->d.origin : c.d.origin;
		c.d.party = o->d.party != NULL ? o->d.party : c.d.party;
		c.d.more = o->d.more;
		c.d.extensions = o->d.extensions;
		c.d.cose = o->d.cose;
		c.d.flags = cases[i].flags != 0 ? cases[i].flags : c.d.flags;
		c.id = o->id;
		c.client_data = o->client_data;
		c.attestation = o->attestation;
		if (registers(created(&c), &terms, &key, &why) || strcmp(why, cases[i].why) != 0)
			fail_msg("case %zu: %s, not %s", i, why, cases[i].why);
		assert_int_equal(key.count, 77);
	}
}

static void test_register_wants_verification(void **state)
{
	struct creation c = creation();
	struct qn_passkey key;
	const char *why;

	(void)state;
	terms.user_verification = true;
	assert_true(registered(&c).user_verified);
	c.d.flags = UP;
	assert_false(registers(created(&c), &terms, &key, &why));
	assert_string_equal(why, "the user was not verified");
}

/* The flag says that there is a credential; without it there is none. */
static void test_register_needs_a_credential(void **state)
{
	struct creation c = creation();
	struct qn_passkey key;
	const char *why;

	(void)state;
	c.authdata = authenticator_data(arena, &c.d, false);
	assert_false(registers(created(&c), &terms, &key, &why));
	assert_string_equal(why, "no credential, or another than its id says");
	c.d.id = QN_SPAN_LIT("");
	c.id = QN_SPAN_LIT("x");
	c.authdata = (struct qn_span){NULL, 0};
	assert_false(registers(created(&c), &terms, &key, &why));
	assert_string_equal(why, "the authenticator data is malformed");
}

static void test_register_cut_short(void **state)
{
	struct creation c = creation();
	struct qn_passkey key;
	const char *why;

	(void)state;
	struct qn_span data = authenticator_data(arena, &c.d, true);
	struct qn_span whole = authenticator_attestation(arena, "none", QN_SPAN_LIT("\xa0"), data);
	for (size_t n = 0; n < data.n; n++) {
		c.authdata = (struct qn_span){data.p, n};
		assert_false(registers(created(&c), &terms, &key, &why));
	}
	c.authdata = joined(arena, data, QN_SPAN_LIT("\0"));
	assert_false(registers(created(&c), &terms, &key, &why));
	for (size_t n = 1; n < whole.n; n++) {
		c.attestation = (struct qn_span){whole.p, n};
		assert_false(registers(created(&c), &terms, &key, &why));
		assert_string_equal(why, "the attestation object is malformed");
	}
	c.attestation = joined(arena, whole, QN_SPAN_LIT("\0"));
	assert_false(registers(created(&c), &terms, &key, &why));
	c.attestation = whole;
	registered(&c);
}

/* The length of an id that claims more than there is, or more than may be. */
static void test_register_long_ids(void **state)
{
	char id[QN_PASSKEY_ID_MOST + 1];
	struct creation c = creation();
	struct qn_passkey key;
	const char *why;

	(void)state;
	memset(id, 7, sizeof(id));
	c.d.id = (struct qn_span){id, QN_PASSKEY_ID_MOST};
	assert_int_equal(registered(&c).id.n, QN_PASSKEY_ID_MOST);
	c.d.id.n++;
	assert_false(registers(created(&c), &terms, &key, &why));
	assert_string_equal(why, "the reply has no id, or two");
	c.id = QN_SPAN_LIT("x");
	assert_false(registers(created(&c), &terms, &key, &why));
	assert_string_equal(why, "the authenticator data is malformed");
	c = creation();
	struct qn_span data = authenticator_data(arena, &c.d, true);
	for (unsigned n = 0; n <= 0xffff; n += n < 300 ? 1 : 251) {
		char *bytes = qn_strndup(arena, data.p, data.n);
		bytes[53] = (char)(n >> 8);
		bytes[54] = (char)n;
		c.authdata = (struct qn_span){bytes, data.n};
		assert_int_equal(registers(created(&c), &terms, &key, &why), n == c.d.id.n);
	}
}

/* keys */

static struct qn_span flipped(struct qn_span s, size_t at, unsigned mask)
{
	char *copy = qn_strndup(arena, s.p, s.n);

	copy[at] = (char)((unsigned char)copy[at] ^ mask);
	return (struct qn_span){copy, s.n};
}

static struct qn_span part(struct qn_span s, size_t from, size_t n)
{
	return (struct qn_span){s.p + from, n};
}

static void test_keys(void **state)
{
	static const enum jose_by by[] = {JOSE_EC, JOSE_ED, JOSE_RSA};
	static const int alg[] = {COSE_ES256, COSE_EDDSA, COSE_RS256};
	struct cose_key k;

	(void)state;
	for (size_t i = 0; i < COUNT(by); i++) {
		struct qn_span cose = authenticator_cose(arena, by[i]);
		assert_true(cose_key_read(cose, &k));
		assert_int_equal(k.alg, alg[i]);
		for (size_t n = 0; n < cose.n; n++)
			assert_false(cose_key_read(part(cose, 0, n), &k));
		assert_false(cose_key_read(joined(arena, cose, QN_SPAN_LIT("\0")), &k));
		for (size_t at = 0; at < 8; at++) /* the head, kty, alg, crv: all say what it is */
			for (unsigned bit = 1; bit < 256; bit <<= 1)
				assert_false(cose_key_read(flipped(cose, at, bit), &k));
	}
}

static void test_keys_refused(void **state)
{
	struct qn_span ec = authenticator_cose(arena, JOSE_EC),
		       ed = authenticator_cose(arena, JOSE_ED),
		       rsa = authenticator_cose(arena, JOSE_RSA);
	struct cose_key k;

	(void)state;
	const struct qn_span cases[] = {
	    /* off the curve, both zero, x too large */
	    flipped(ec, ec.n - 1, 1),
	    flipped(ec, 20, 1),
	    joined(arena, joined(arena, part(ec, 0, 10), (struct qn_span){(char[32]){0}, 32}),
		joined(arena, part(ec, 42, 3), (struct qn_span){(char[32]){0}, 32})),
	    joined(arena,
		joined(arena, part(ec, 0, 10),
		    QN_SPAN_LIT(
			"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
			"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")),
		part(ec, 42, 35)),
	    /* y as a sign (compressed), x of 31 bytes, x twice, another member, y under another label */
	    joined(arena, part(ec, 0, 43), QN_SPAN_LIT("\xf5")),
	    joined(
		arena, joined(arena, part(ec, 0, 9), QN_SPAN_LIT("\x1f")), part(ec, 11, ec.n - 11)),
	    joined(arena, part(ec, 0, 42), joined(arena, QN_SPAN_LIT("\x21"), part(ec, 43, 34))),
	    joined(arena, QN_SPAN_LIT("\xa6"),
		joined(arena, part(ec, 1, ec.n - 1), QN_SPAN_LIT("\x02\x41x"))),
	    joined(arena, part(ec, 0, 42), joined(arena, QN_SPAN_LIT("\x02"), part(ec, 43, 34))),
	    joined(arena, part(ec, 0, 42), joined(arena, QN_SPAN_LIT("\x61x"), part(ec, 43, 34))),
	    /* a map that says more, or less */
	    joined(arena, QN_SPAN_LIT("\xa4"), part(ec, 1, ec.n - 1)),
	    joined(arena, QN_SPAN_LIT("\xa6"), part(ec, 1, ec.n - 1)),
	    joined(arena, QN_SPAN_LIT("\xbf"), part(ec, 1, ec.n - 1)),
	    /* Ed25519 with a y of the curve's other kind, ES384 */
	    joined(
		arena, QN_SPAN_LIT("\xa5"), joined(arena, part(ed, 1, ed.n - 1), part(ec, 42, 35))),
	    joined(arena, QN_SPAN_LIT("\xa5\x01\x02\x03\x38\x22\x20\x02"), part(ec, 7, ec.n - 7)),
	    /* RSA: even, short by its first bit, e = 1, e even, e too short, n too long, PS256 */
	    flipped(rsa, rsa.n - 6, 1),
	    flipped(rsa, 11, 0x80),
	    joined(arena, part(rsa, 0, rsa.n - 3), QN_SPAN_LIT("\0\0\1")),
	    joined(arena, part(rsa, 0, rsa.n - 3), QN_SPAN_LIT("\1\0\0")),
	    joined(arena, part(rsa, 0, rsa.n - 4), QN_SPAN_LIT("\x41\3")),
	    joined(arena, joined(arena, part(rsa, 0, 8), QN_SPAN_LIT("\x59\x01\x01\0")),
		part(rsa, 11, rsa.n - 11)),
	    joined(arena, QN_SPAN_LIT("\xa4\x01\x03\x03\x38\x24"), part(rsa, 7, rsa.n - 7)),
	};
	for (size_t i = 0; i < COUNT(cases); i++)
		if (cose_key_read(cases[i], &k) || ERR_peek_error() != 0)
			fail_msg("case %zu", i);
}

/* answers */

struct answer {
	struct authenticator d;
	enum jose_by signer;
	const char *type, *challenge;
	struct qn_span id, client_data, authdata, signature, handle;
};

static struct answer answer(void)
{
	struct creation c = creation();

	c.d.count = 2;
	return (struct answer){.d = c.d,
	    .signer = JOSE_EC,
	    .type = "webauthn.get",
	    .challenge = CHALLENGE,
	    .handle = USER};
}

/* Makes what is not there, so that the caller can change it. */
static struct qn_span got(struct answer *s)
{
	if (s->client_data.p == NULL)
		s->client_data = authenticator_client_data(arena, &s->d, s->type, s->challenge);
	if (s->authdata.p == NULL)
		s->authdata = authenticator_data(arena, &s->d, false);
	if (s->signature.p == NULL)
		s->signature = authenticator_sign(arena, s->signer, s->authdata, s->client_data);
	return authenticator_got(arena, s->id.p != NULL ? s->id : s->d.id, s->client_data,
	    s->authdata, s->signature, s->handle);
}

static void must_verify(struct answer *s, const struct qn_passkey *kept, struct qn_passkey_use *use)
{
	const char *why = "";

	if (!verifies(got(s), &terms, kept, false, use, &why))
		fail_msg("not verified: %s", why);
}

static void must_fail(struct answer *s, const struct qn_passkey *kept, const char *expected)
{
	struct qn_passkey_use use = {.count = 77};
	const char *why = "nothing";

	if (verifies(got(s), &terms, kept, false, &use, &why) || strcmp(why, expected) != 0)
		fail_msg("%s, not %s", why, expected);
	assert_int_equal(use.count, 77);
}

static void test_verify(void **state)
{
	static const enum jose_by by[] = {JOSE_EC, JOSE_ED, JOSE_RSA};

	(void)state;
	for (size_t i = 0; i < COUNT(by); i++) {
		struct creation c = creation();
		c.d.by = by[i];
		struct qn_passkey kept = registered(&c);
		struct answer s = answer();
		struct qn_passkey_use use = {0};
		s.signer = by[i];
		must_verify(&s, &kept, &use);
		assert_int_equal(use.count, 2);
		assert_true(use.user_verified && !use.regressed && !use.backed_up);
		s.signature.p = NULL;
		s.signer = by[(i + 1) % COUNT(by)];
		must_fail(&s, &kept, "the signature is not the passkey's");
	}
}

static void test_counts(void **state)
{
	static const struct {
		uint32_t kept, now;
		bool regressed;
	} cases[] = {
	    {0, 0, false},
	    {0, 1, false},
	    {1, 2, false},
	    {1, 1, true},
	    {1, 0, true},
	    {2, 1, true},
	    {0x7fffffff, 0x80000000, false},
	    {0x80000000, 0x7fffffff, true},
	    {0xfffffffe, 0xffffffff, false},
	    {0xffffffff, 0, true},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct creation c = creation();
		struct answer s = answer();
		struct qn_passkey_use use = {0};
		c.d.count = cases[i].kept;
		s.d.count = cases[i].now;
		struct qn_passkey kept = registered(&c);
		must_verify(&s, &kept, &use);
		assert_int_equal(use.count, cases[i].now);
		assert_int_equal(use.regressed, cases[i].regressed);
	}
}

static void test_verify_tolerates(void **state)
{
	static const struct {
		struct qn_span extensions;
		unsigned flags;
		const char *more;
	} cases[] = {
	    {{NULL, 0}, UP, ""},
	    {{NULL, 0}, UP | 0x22, ""},
	    {{NULL, 0}, UP, ",\"other_keys_can_be_added_here\":\"do not compare\""},
	    {QN_SPAN_LIT("\xa0"), UP | ED, ""},
	    {QN_SPAN_LIT("\xa1\x63uvm\x81\x83\x02\x04\x02"), UP | ED, ""},
	    {QN_SPAN_LIT("\xa1\x6bhmac-secret\x58\x20"
			 "0123456789abcdef0123456789abcdef"),
		UP | ED, ""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct creation c = creation();
		struct qn_passkey kept = registered(&c);
		struct answer s = answer();
		struct qn_passkey_use use;
		s.d.extensions = cases[i].extensions;
		s.d.flags = cases[i].flags;
		s.d.more = cases[i].more;
		must_verify(&s, &kept, &use);
		assert_false(use.user_verified);
	}
}

/* Properly signed, and not what was asked. */
static void test_verify_refuses(void **state)
{
	static const char data[] = "the authenticator data is malformed",
			  other[] = "another user's passkey";
	const struct {
		const char *why;
		struct answer s;
		unsigned flags;
	} cases[] = {
	    {"the client data is of another type", {.type = "webauthn.create"}, 0},
	    {"another challenge", {.challenge = OTHER}, 0},
	    {"another origin", {.d = {.origin = "https://example.com"}}, 0},
	    {"another origin", {.d = {.origin = "https://example.org.evil.net"}}, 0},
	    {"asked inside a page of another origin",
		{.d = {.more = ",\"topOrigin\":\"https://example.org\""}}, 0},
	    {"made for another party", {.d = {.party = "example.com"}}, 0},
	    {"nobody was present", {.id = {NULL, 0}}, UV},
	    {"backed up, and not to be backed up", {.id = {NULL, 0}}, UP | BS},
	    {"the passkey has changed its kind", {.id = {NULL, 0}}, UP | BE},
	    {data, {.id = {NULL, 0}}, UP | ED},
	    {data, {.id = {NULL, 0}}, UP | AT},
	    {data, {.d = {.extensions = QN_SPAN_LIT("\xa0")}}, 0},
	    {data, {.d = {.extensions = QN_SPAN_LIT("\xa0\xa0")}}, UP | ED},
	    {data, {.d = {.extensions = QN_SPAN_LIT("\xa1\x61x\xc0\x01")}}, UP | ED},
	    {"another passkey", {.id = QN_SPAN_LIT("another")}, 0},
	    {other, {.handle = QN_SPAN_LIT("user-8")}, 0},
	    {other, {.handle = QN_SPAN_LIT("user-77")}, 0},
	    {other, {.handle = QN_SPAN_LIT("user-")}, 0},
	};
	struct creation c = creation();
	struct qn_passkey kept = registered(&c);

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct answer *o = &cases[i].s;
		struct answer s = answer();
		s.type = o->type != NULL ? o->type : s.type;
		s.challenge = o->challenge != NULL ? o->challenge : s.challenge;
		s.d.origin = o->d.origin != NULL ? o->d.origin : s.d.origin;
		s.d.party = o->d.party != NULL ? o->d.party : s.d.party;
		s.d.more = o->d.more;
		s.d.extensions = o->d.extensions;
		s.d.flags = cases[i].flags != 0 ? cases[i].flags : s.d.flags;
		s.id = o->id;
		s.handle = o->handle.p != NULL ? o->handle : s.handle;
		must_fail(&s, &kept, cases[i].why);
	}
	struct answer s = answer();
	s.authdata = authenticator_data(arena, &s.d, true);
	must_fail(&s, &kept, "a credential where none belongs");
	s = answer();
	s.d.flags = UP;
	terms.user_verification = true;
	must_fail(&s, &kept, "the user was not verified");
}

/* A passkey found by the device must say whose it is; one that was named need not. */
static void test_user_handle(void **state)
{
	struct creation c = creation();
	struct qn_passkey kept = registered(&c);
	struct answer s = answer();
	struct qn_passkey_use use;
	const char *why = "";

	(void)state;
	s.handle = (struct qn_span){NULL, 0};
	must_fail(&s, &kept, "another user's passkey");
	assert_true(verifies(got(&s), &terms, &kept, true, &use, &why));
	s.handle = QN_SPAN_LIT("user-8");
	assert_false(verifies(got(&s), &terms, &kept, true, &use, &why));
	assert_string_equal(why, "another user's passkey");
}

/* Any bit of what is signed, and of the signature. */
static void test_every_bit_counts(void **state)
{
	struct creation c = creation();
	struct qn_passkey kept = registered(&c);
	struct answer good = answer(), s;
	struct qn_passkey_use use;
	const char *why;

	(void)state;
	got(&good);
	for (size_t bit = 0; bit < good.signature.n * 8; bit++) {
		s = good;
		s.signature = flipped(good.signature, bit / 8, 1u << bit % 8);
		must_fail(&s, &kept, "the signature is not the passkey's");
	}
	for (size_t bit = 0; bit < good.authdata.n * 8; bit++) {
		s = good;
		s.authdata = flipped(good.authdata, bit / 8, 1u << bit % 8);
		assert_false(verifies(got(&s), &terms, &kept, false, &use, &why));
	}
	for (size_t bit = 0; bit < good.client_data.n * 8; bit++) {
		s = good;
		s.client_data = flipped(good.client_data, bit / 8, 1u << bit % 8);
		assert_false(verifies(got(&s), &terms, &kept, false, &use, &why));
	}
	must_verify(&good, &kept, &use);
}

static void test_verify_cut_short(void **state)
{
	struct creation c = creation();
	struct qn_passkey kept = registered(&c);
	struct answer good = answer(), s;

	(void)state;
	got(&good);
	for (size_t n = 1; n < good.authdata.n; n++) { /* signed as it is */
		s = answer();
		s.authdata = part(good.authdata, 0, n);
		must_fail(&s, &kept, "the authenticator data is malformed");
	}
	s = answer();
	s.authdata = joined(arena, good.authdata, QN_SPAN_LIT("\0"));
	must_fail(&s, &kept, "the authenticator data is malformed");
	for (size_t n = 1; n < good.signature.n; n++) {
		s = good;
		s.signature = part(good.signature, 0, n);
		must_fail(&s, &kept, "the signature is not the passkey's");
	}
	s = good;
	s.signature = joined(arena, good.signature, QN_SPAN_LIT("\0"));
	must_fail(&s, &kept, "the signature is not the passkey's");
}

/* A database that has lost or mixed something is no way in. */
static void test_damaged_passkeys(void **state)
{
	struct creation c = creation();
	const struct qn_passkey good = registered(&c);
	struct answer s = answer();

	(void)state;
	struct qn_passkey kept = good;
	kept.key = QN_SPAN_LIT("");
	must_fail(&s, &kept, "the signature is not the passkey's");
	kept.key = part(good.key, 0, good.key.n - 1);
	must_fail(&s, &kept, "the signature is not the passkey's");
	kept.key = authenticator_cose(arena, JOSE_ED);
	must_fail(&s, &kept, "the signature is not the passkey's");
	kept = (struct qn_passkey){.user = USER};
	must_fail(&s, &kept, "another passkey");
}

static void test_kinds_are_not_mixed(void **state)
{
	struct creation c = creation();
	struct qn_passkey kept = registered(&c);
	struct answer s = answer();
	struct qn_webauthn_reply create, get;
	struct qn_passkey_use use;
	const char *why;

	(void)state;
	assert_true(qn_webauthn_read(arena, QN_WEBAUTHN_CREATE, created(&c), &create, &why));
	assert_true(qn_webauthn_read(arena, QN_WEBAUTHN_GET, got(&s), &get, &why));
	assert_false(qn_webauthn_verify(&create, &terms, &kept, true, &use, &why));
	assert_string_equal(why, "a reply to another question");
	assert_false(qn_webauthn_register(&get, &terms, &kept, &why));
	assert_string_equal(why, "a reply to another question");
	assert_false(qn_webauthn_read(arena, QN_WEBAUTHN_GET, created(&c), &get, &why));
	assert_false(qn_webauthn_read(arena, QN_WEBAUTHN_CREATE, got(&s), &create, &why));
}

/* replies */

#define RESPONSE \
	"\"response\":{\"clientDataJSON\":\"e30\",\"authenticatorData\":\"AAAA\",\"signature\":\"AAAA\"}"

static void test_read(void **state)
{
	static const char json[] = "the reply is no JSON object",
			  type[] = "the reply is of another type",
			  id[] = "the reply has no id, or two",
			  response[] = "the response lacks a member, or has one of another form";
	static const struct {
		const char *text, *why; /* NULL: it is good */
	} cases[] = {
	    {"{\"id\":\"AAAA\",\"type\":\"public-key\"," RESPONSE "}", NULL},
	    {"{\"id\":\"AAAA\",\"type\":\"public-key\",\"x\":[{}]," RESPONSE "}", NULL},
	    {"{\"id\":\"AAAA\",\"rawId\":\"AAAA\",\"type\":\"public-key\"," RESPONSE "}", NULL},
	    {"{\"id\":\"AAAA\",\"rawId\":\"AAAB\",\"type\":\"public-key\"," RESPONSE "}", id},
	    {"{\"id\":\"AAAA\",\"rawId\":null,\"type\":\"public-key\"," RESPONSE "}", id},
	    {"{\"id\":\"\",\"type\":\"public-key\"," RESPONSE "}", id},
	    {"{\"id\":\"AAAA=\",\"type\":\"public-key\"," RESPONSE "}", id},
	    {"{\"id\":\"AA+A\",\"type\":\"public-key\"," RESPONSE "}", id},
	    {"{\"id\":\"AAB\",\"type\":\"public-key\"," RESPONSE "}", id},
	    {"{\"id\":[65],\"type\":\"public-key\"," RESPONSE "}", id},
	    {"{\"type\":\"public-key\"," RESPONSE "}", id},
	    {"{\"id\":\"AAAA\"," RESPONSE "}", type},
	    {"{\"id\":\"AAAA\",\"type\":\"password\"," RESPONSE "}", type},
	    {"{\"id\":\"AAAA\",\"type\":1," RESPONSE "}", type},
	    {"{\"id\":\"AAAA\",\"id\":\"AAAA\",\"type\":\"public-key\"," RESPONSE "}", json},
	    {"{\"id\":\"AAAA\",\"type\":\"public-key\"," RESPONSE "} x", json},
	    {"[{\"id\":\"AAAA\",\"type\":\"public-key\"," RESPONSE "}]", json},
	    {"", json},
	    {"{\"id\":\"AAAA\",\"type\":\"public-key\"}", response},
	    {"{\"id\":\"AAAA\",\"type\":\"public-key\",\"response\":[]}", response},
	    {"{\"id\":\"AAAA\",\"type\":\"public-key\",\"response\":{\"clientDataJSON\":\"e30\","
	     "\"authenticatorData\":\"AAAA\"}}",
		response},
	    {"{\"id\":\"AAAA\",\"type\":\"public-key\",\"response\":{\"clientDataJSON\":\"e30\","
	     "\"authenticatorData\":\"AAAA\",\"signature\":\"\"}}",
		response},
	    {"{\"id\":\"AAAA\",\"type\":\"public-key\",\"response\":{\"authenticatorData\":\"AAAA\","
	     "\"signature\":\"AAAA\"}}",
		response},
	    {"{\"id\":\"AAAA\",\"type\":\"public-key\",\"response\":{\"clientDataJSON\":\"e30\","
	     "\"authenticatorData\":\"AAAA\",\"signature\":\"AAAA\",\"userHandle\":null}}",
		NULL},
	    {"{\"id\":\"AAAA\",\"type\":\"public-key\",\"response\":{\"clientDataJSON\":\"e30\","
	     "\"authenticatorData\":\"AAAA\",\"signature\":\"AAAA\",\"userHandle\":7}}",
		response},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct qn_webauthn_reply r;
		const char *why = NULL;
		bool ok =
		    qn_webauthn_read(arena, QN_WEBAUTHN_GET, qn_span_of(cases[i].text), &r, &why);
		if (ok != (cases[i].why == NULL) || (!ok && strcmp(why, cases[i].why) != 0))
			fail_msg("case %zu: %s", i, why != NULL ? why : "read");
	}
}

static void test_read_bounds(void **state)
{
	char *big = qn_alloc(arena, QN_WEBAUTHN_REPLY_MOST + 1), user[QN_PASSKEY_USER_MOST + 1];
	struct qn_webauthn_reply r;
	struct answer s = answer();
	const char *why;

	(void)state;
	memset(big, ' ', QN_WEBAUTHN_REPLY_MOST + 1);
	memset(user, 'u', sizeof(user));
	assert_false(qn_webauthn_read(
	    arena, QN_WEBAUTHN_GET, (struct qn_span){big, QN_WEBAUTHN_REPLY_MOST + 1}, &r, &why));
	assert_string_equal(why, "the reply is too long");
	struct qn_span small = got(&s);
	memcpy(big, small.p, small.n);
	assert_true(qn_webauthn_read(
	    arena, QN_WEBAUTHN_GET, (struct qn_span){big, QN_WEBAUTHN_REPLY_MOST}, &r, &why));
	s.handle = (struct qn_span){user, QN_PASSKEY_USER_MOST};
	assert_true(qn_webauthn_read(arena, QN_WEBAUTHN_GET, got(&s), &r, &why));
	s.handle.n++;
	assert_false(qn_webauthn_read(arena, QN_WEBAUTHN_GET, got(&s), &r, &why));
	s = answer();
	s.signature = (struct qn_span){big, 513};
	assert_false(qn_webauthn_read(arena, QN_WEBAUTHN_GET, got(&s), &r, &why));
	s = answer();
	s.authdata = (struct qn_span){big, 4097};
	assert_false(qn_webauthn_read(arena, QN_WEBAUTHN_GET, got(&s), &r, &why));
	s = answer();
	s.client_data = (struct qn_span){big, 4097};
	assert_false(qn_webauthn_read(arena, QN_WEBAUTHN_GET, got(&s), &r, &why));
}

/* questions */

static void test_questions(void **state)
{
	static const struct qn_passkey known[] = {
	    {.id = QN_SPAN_LIT("\1\2\3"),
		.transports =
		    QN_TRANSPORT_BIT(QN_TRANSPORT_USB) | QN_TRANSPORT_BIT(QN_TRANSPORT_HYBRID)},
	    {.id = QN_SPAN_LIT("\377\377")},
	};
	struct qn_webauthn_user user = {USER, "ann@example.org", "Ann \"A\" <b>"};

	(void)state;
	assert_string_equal(qn_webauthn_creation(arena, &terms, &user, known, 2),
	    "{\"rp\":{\"id\":\"example.org\",\"name\":\"Example\"},\"user\":{\"id\":\"dXNlci03\","
	    "\"name\":\"ann@example.org\",\"displayName\":\"Ann \\\"A\\\" <b>\"},\"challenge\":\"" CHALLENGE
	    "\",\"timeout\":300000,\"pubKeyCredParams\":[{\"type\":\"public-key\","
	    "\"alg\":-7},{\"type\":\"public-key\",\"alg\":-8},{\"type\":\"public-key\",\"alg\":-257}],"
	    "\"excludeCredentials\":[{\"type\":\"public-key\",\"id\":\"AQID\",\"transports\":[\"usb\","
	    "\"hybrid\"]},{\"type\":\"public-key\",\"id\":\"__8\"}],\"authenticatorSelection\":{"
	    "\"residentKey\":\"preferred\",\"requireResidentKey\":false,\"userVerification\":"
	    "\"preferred\"},\"attestation\":\"none\"}");
	terms.user_verification = true;
	assert_string_equal(qn_webauthn_request(arena, &terms, known, 1),
	    "{\"challenge\":\"" CHALLENGE "\",\"timeout\":300000,\"rpId\":\"example.org\","
	    "\"allowCredentials\":[{\"type\":\"public-key\",\"id\":\"AQID\",\"transports\":[\"usb\","
	    "\"hybrid\"]}],\"userVerification\":\"required\"}");
	assert_non_null(
	    strstr(qn_webauthn_request(arena, &terms, NULL, 0), "\"allowCredentials\":[],"));
	assert_non_null(
	    strstr(qn_webauthn_creation(arena, &terms, &user, NULL, 0), "\"required\""));
}

static void test_questions_have_bounds(void **state)
{
	struct qn_passkey many[QN_PASSKEY_LIST_MOST + 1];
	char id[QN_PASSKEY_ID_MOST + 1];
	struct qn_webauthn_user user = {{id, QN_PASSKEY_USER_MOST}, "a", "b"};
	struct qn_json_object o;

	(void)state;
	memset(id, 7, sizeof(id));
	for (size_t i = 0; i < COUNT(many); i++)
		many[i] = (struct qn_passkey){
		    .id = {id, QN_PASSKEY_ID_MOST}, .transports = (1u << QN_TRANSPORT__MAX) - 1};
	const char *most = qn_webauthn_creation(arena, &terms, &user, many, QN_PASSKEY_LIST_MOST);
	assert_int_equal(
	    qn_json_scan(arena, qn_span_of(most), &qn_json_default_limits, &o, NULL), QN_JSON_OK);
	assert_null(qn_webauthn_creation(arena, &terms, &user, many, QN_PASSKEY_LIST_MOST + 1));
	assert_null(qn_webauthn_request(arena, &terms, many, QN_PASSKEY_LIST_MOST + 1));
	many[3].id.n++;
	assert_null(qn_webauthn_request(arena, &terms, many, 4));
	user.handle.n++;
	assert_null(qn_webauthn_creation(arena, &terms, &user, NULL, 0));
	user.handle.n = 0;
	assert_null(qn_webauthn_creation(arena, &terms, &user, NULL, 0));
}

/* CBOR */

static void test_cbor_items(void **state)
{
#define DEEP8 "\x81\x81\x81\x81\x81\x81\x81\x81"
	static const struct {
		struct qn_span text;
		long n; /* bytes of the first item, -1: none */
	} cases[] = {
	    {QN_SPAN_LIT("\0"), 1},
	    {QN_SPAN_LIT("\x17\x17"), 1},
	    {QN_SPAN_LIT("\x18\xff"), 2},
	    {QN_SPAN_LIT("\x18\x01"), 2}, /* not the shortest */
	    {QN_SPAN_LIT("\x19\xff\xff"), 3},
	    {QN_SPAN_LIT("\x1a\xff\xff\xff\xff"), 5},
	    {QN_SPAN_LIT("\x3b\xff\xff\xff\xff\xff\xff\xff\xff"), 9},
	    {QN_SPAN_LIT("\x40"), 1},
	    {QN_SPAN_LIT("\x43xyz"), 4},
	    {QN_SPAN_LIT("\x63xyz"), 4},
	    {QN_SPAN_LIT("\x80"), 1},
	    {QN_SPAN_LIT("\x82\1\2"), 3},
	    {QN_SPAN_LIT("\xa0"), 1},
	    {QN_SPAN_LIT("\xa1\1\xa1\2\3"), 5},
	    {QN_SPAN_LIT("\x82\x80\xa1\x80\x81\xf6"), 6},
	    {QN_SPAN_LIT("\xf4"), 1},
	    {QN_SPAN_LIT("\xf7"), 1},
	    {QN_SPAN_LIT(DEEP8 "\1"), 9},
	    {QN_SPAN_LIT(DEEP8 "\x80"), 9},
	    {QN_SPAN_LIT(DEEP8 "\x81\1"), -1},
	    {QN_SPAN_LIT(""), -1},
	    {QN_SPAN_LIT("\x18"), -1},
	    {QN_SPAN_LIT("\x1b\0\0\0\0\0\0\0"), -1},
	    {QN_SPAN_LIT("\x1c"), -1},
	    {QN_SPAN_LIT("\x1f"), -1},
	    {QN_SPAN_LIT("\x62\xc3\xa9"), 3},
	    {QN_SPAN_LIT("\x62\xc3\x28"), -1},
	    {QN_SPAN_LIT("\x61\xc3\xa9"), -1},
	    {QN_SPAN_LIT("\x43xy"), -1},
	    {QN_SPAN_LIT("\x5b\xff\xff\xff\xff\xff\xff\xff\xffxyz"), -1},
	    {QN_SPAN_LIT("\x5b\0\0\0\0\0\0\0\4xyz"), -1},
	    {QN_SPAN_LIT("\x82\1"), -1},
	    {QN_SPAN_LIT("\x9b\xff\xff\xff\xff\xff\xff\xff\xff\1"), -1},
	    {QN_SPAN_LIT("\x9b\x80\0\0\0\0\0\0\0\1"), -1},
	    {QN_SPAN_LIT("\xa1\1"), -1},
	    {QN_SPAN_LIT("\xbb\x80\0\0\0\0\0\0\0"), -1}, /* twice as many is none */
	    {QN_SPAN_LIT("\xbb\x80\0\0\0\0\0\0\1\1\1"), -1},
	    {QN_SPAN_LIT("\x5f\x41x\xff"), -1},
	    {QN_SPAN_LIT("\x9f\xff"), -1},
	    {QN_SPAN_LIT("\xbf\xff"), -1},
	    {QN_SPAN_LIT("\xff"), -1},
	    {QN_SPAN_LIT("\xc0\1"), -1},
	    {QN_SPAN_LIT("\xf0"), -1},
	    {QN_SPAN_LIT("\xf8\x20"), -1},
	    {QN_SPAN_LIT("\xf9\0\0"), -1},
	    {QN_SPAN_LIT("\xfb\0\0\0\0\0\0\0\0"), -1},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct cbor c = cbor_of(cases[i].text);
		struct qn_span item = {NULL, 0};
		bool ok = cbor_skip(&c, &item);
		if ((ok ? (long)item.n : -1) != cases[i].n)
			fail_msg("case %zu: %s, %zu bytes", i, ok ? "taken" : "refused", item.n);
		if (ok)
			assert_ptr_equal(c.p, cases[i].text.p + item.n);
	}
}

static void test_cbor_ints(void **state)
{
	static const struct {
		struct qn_span text;
		int64_t value;
		bool ok;
	} cases[] = {
	    {QN_SPAN_LIT("\0"), 0, true},
	    {QN_SPAN_LIT("\x20"), -1, true},
	    {QN_SPAN_LIT("\x39\x01\x00"), -257, true},
	    {QN_SPAN_LIT("\x1b\x7f\xff\xff\xff\xff\xff\xff\xff"), INT64_MAX, true},
	    {QN_SPAN_LIT("\x3b\x7f\xff\xff\xff\xff\xff\xff\xff"), INT64_MIN, true},
	    {QN_SPAN_LIT("\x1b\x80\0\0\0\0\0\0\0"), 0, false},
	    {QN_SPAN_LIT("\x3b\x80\0\0\0\0\0\0\0"), 0, false},
	    {QN_SPAN_LIT("\x41\1"), 0, false},
	    {QN_SPAN_LIT("\xf4"), 0, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct cbor c = cbor_of(cases[i].text);
		int64_t value = 0;
		assert_int_equal(cbor_int(&c, &value), cases[i].ok);
		assert_true(value == cases[i].value);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_examples),
	    TEST(test_examples_are_not_mixed),
	    TEST(test_register),
	    TEST(test_register_tolerates),
	    TEST(test_register_refuses),
	    TEST(test_register_wants_verification),
	    TEST(test_register_needs_a_credential),
	    TEST(test_register_cut_short),
	    TEST(test_register_long_ids),
	    TEST(test_keys),
	    TEST(test_keys_refused),
	    TEST(test_verify),
	    TEST(test_counts),
	    TEST(test_verify_tolerates),
	    TEST(test_verify_refuses),
	    TEST(test_user_handle),
	    TEST(test_every_bit_counts),
	    TEST(test_verify_cut_short),
	    TEST(test_damaged_passkeys),
	    TEST(test_kinds_are_not_mixed),
	    TEST(test_read),
	    TEST(test_read_bounds),
	    TEST(test_questions),
	    TEST(test_questions_have_bounds),
	    TEST(test_cbor_items),
	    TEST(test_cbor_ints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
