/* Signatures of webhooks (standardwebhooks.com), what a secret is, and that only the right one opens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "quoin/auth/seal.h"
#include "quoin/auth/webhook.h"
#include "settings.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ENDPOINT "00000000-0000-7000-8000-000000000001"

static struct qn_arena *arena;

static int start(void **state)
{
	(void)state;
	arena = qn_arena_new((size_t)8 << 20);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	qn_arena_free(arena);
	return 0;
}

/* The first is of the specification's own libraries; the others were made by node:crypto. */
static const struct {
	const char *secret, *id, *body, *signature;
	int64_t seconds;
} vectors[] = {
    {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek",
	"{\"test\": 2432232314}", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", 1614265330},
    {"whsec_AAMGCQwPEhUYGx4hJCcqLTAzNjk8P0JFSEtOUVRXWl1gY2ZpbG9ydXh7foGEh4qNkJOWmZyfoqWoq66xtLe6vQ==",
	"a", "", "v1,EaQEaYqmIcn4ZgRLFzjp0tLFG+hfD6VRZKQFQLh7+Fs=", 0},
    {"whsec_//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA=", "01a1fd4d-ac4c-734f-a044-9d66a583eb91",
	"{\"type\":\"invoice.paid\",\"data\":{\"é\":\"😀\"}}",
	"v1,88RVw+x4i+3TOrMqqap/5BEyz+HX1CEkQjv+WNANUe4=", 1795250000},
    {"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGA==", "x", "{}",
	"v1,aUNbIZFe46VeBfAD+Ax6Qa8f0bNRm2sRgrH9qS4gEgM=", 1},
};

static void signatures_are_those_of_the_standard(void **state)
{
	char out[QN_WEBHOOK_SIGNATURE];

	(void)state;
	for (size_t i = 0; i < COUNT(vectors); i++) {
		assert_true(qn_webhook_sign(vectors[i].secret, vectors[i].id, vectors[i].seconds,
		    qn_span_of(vectors[i].body), out));
		assert_string_equal(out, vectors[i].signature);
	}
}

static const char *const no_secrets[] = {
    "",
    "whsec_",
    "whsec",
    "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",  /* no whole number of groups */
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS=", /* 23 bytes */
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaL!Sw", /* not the alphabet */
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaL-_w", /* that of another */
    "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
};

static void what_is_no_secret_signs_nothing(void **state)
{
	char out[QN_WEBHOOK_SIGNATURE] = "untouched";

	(void)state;
	for (size_t i = 0; i < COUNT(no_secrets); i++)
		if (qn_webhook_sign(no_secrets[i], "id", 1, qn_span_of("{}"), out))
			fail_msg("'%s' signs", no_secrets[i]);
	assert_string_equal(out, "untouched");
}

static void secrets_are_made(void **state)
{
	char one[QN_WEBHOOK_SECRET], other[QN_WEBHOOK_SECRET], out[QN_WEBHOOK_SIGNATURE];

	(void)state;
	qn_webhook_secret(one);
	qn_webhook_secret(other);
	assert_int_equal(strlen(one), sizeof(one) - 1);
	assert_memory_equal(one, "whsec_", 6);
	assert_string_not_equal(one, other);
	assert_true(qn_webhook_sign(one, "id", 1, qn_span_of("{}"), out));
}

static void a_sealed_secret_is_of_its_endpoint(void **state)
{
	struct qn_conf *conf = test_settings(NULL);
	const struct qn_secret with = {1, qn_span_of(TEST_SECRET)};
	char secret[QN_WEBHOOK_SECRET];
	uint8_t opened[QN_WEBHOOK_SECRET];
	struct qn_span sealed;

	(void)state;
	qn_webhook_secret(secret);
	assert_true(qn_webhook_seal(conf, arena, ENDPOINT, secret, &sealed));
	assert_int_equal(sealed.n, strlen(secret) + QN_SEAL_OVERHEAD);
	assert_null(memmem(sealed.p, sealed.n, secret + 6, 8));
	assert_true(qn_unseal(&with, "quoin webhook 1", qn_span_of(ENDPOINT), sealed, opened));
	assert_memory_equal(opened, secret, strlen(secret));
	assert_false(qn_unseal(&with, "quoin webhook 1",
	    qn_span_of("00000000-0000-7000-8000-000000000002"), sealed, opened));
	assert_false(qn_unseal(&with, "quoin mail 1", qn_span_of(ENDPOINT), sealed, opened));
	qn_conf_free(conf);
	conf = test_settings((const char *const[]){"QUOIN_SECRET_KEY=", NULL});
	assert_false(qn_webhook_seal(conf, arena, ENDPOINT, secret, &sealed));
	qn_conf_free(conf);
}

static void the_types_of_events_are_names(void **state)
{
	struct qn_list all = webhook_events();
	const struct webhook_event *e = all.items;

	(void)state;
	assert_true(all.n >= 18);
	for (size_t i = 0; i < all.n; i++) {
		const char *dot = strchr(e[i].type, '.');
		assert_non_null(dot);
		assert_int_equal(
		    strspn(e[i].type, "abcdefghijklmnopqrstuvwxyz_."), strlen(e[i].type));
		assert_true(webhook_is_event(e[i].type));
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(e[k].type, e[i].type);
	}
	assert_false(webhook_is_event("webhook.test"));
	assert_false(webhook_is_event(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(signatures_are_those_of_the_standard),
	    cmocka_unit_test(what_is_no_secret_signs_nothing),
	    cmocka_unit_test(secrets_are_made),
	    cmocka_unit_test(a_sealed_secret_is_of_its_endpoint),
	    cmocka_unit_test(the_types_of_events_are_names),
	};
	return cmocka_run_group_tests_name("webhook", tests, start, stop);
}
