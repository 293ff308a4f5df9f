/*
 * Signatures of Stripe's events (SECURITY T23), and where a secret key may be sent. The vectors were made by
 * openssl dgst -sha256 -hmac; the official SDK is the oracle of tests/api/billing.test.mjs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "quoin/billing/billing.h"
#include "settings.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define BODY     "{\"id\":\"evt_1\"}"
#define T        INT64_C(1700000000)
#define MAC      "97ea69f91fd566038386bacf87292eb0d73a8207414ee62ed313d49996fe0639"
#define MAC_NEW  "c0c4c9e4637bb269965a5df170a9c6c3c973e3fafe3d4bed97086daad7fdc63c"

static const struct {
	const char *what, *header, *secrets;
	int64_t now;
	bool good;
} cases[] = {
    {"as it was made", "t=1700000000,v1=" MAC, "whsec_a", T, true},
    {"300 s old", "t=1700000000,v1=" MAC, "whsec_a", T + 300, true},
    {"301 s old", "t=1700000000,v1=" MAC, "whsec_a", T + 301, false},
    {"301 s early", "t=1700000000,v1=" MAC, "whsec_a", T - 301, false},
    {"the second of two signatures", "t=1700000000,v1=00,v1=" MAC, "whsec_a", T, true},
    {"beside another scheme", "t=1700000000,v0=x,v1=" MAC ",v2=y", "whsec_a", T, true},
    {"the second of two secrets", "t=1700000000,v1=" MAC, "whsec_b whsec_a", T, true},
    {"the first of two secrets", "t=1700000000,v1=" MAC_NEW, "whsec_b whsec_a", T, true},
    {"neither of two secrets", "t=1700000000,v1=" MAC, "whsec_b whsec_c", T, false},
    {"no secret", "t=1700000000,v1=" MAC, "", T, false},
    {"spaces for secrets", "t=1700000000,v1=" MAC, "  ", T, false},
    {"no header", NULL, "whsec_a", T, false},
    {"an empty header", "", "whsec_a", T, false},
    {"only commas", ",,,", "whsec_a", T, false},
    {"no time", "v1=" MAC, "whsec_a", T, false},
    {"an empty time", "t=,v1=" MAC, "whsec_a", T, false},
    {"a time with a sign", "t=+1700000000,v1=" MAC, "whsec_a", T, false},
    {"a time beyond all numbers", "t=99999999999999999999,v1=" MAC, "whsec_a", T, false},
    {"two times, the first counts", "t=1,t=1700000000,v1=" MAC, "whsec_a", T, false},
    {"the other scheme alone", "t=1700000000,v0=" MAC, "whsec_a", T, false},
    {"a longer name", "t=1700000000,xv1=" MAC, "whsec_a", T, false},
    {"half of it", "t=1700000000,v1=abcdef", "whsec_a", T, false},
    {"one digit more", "t=1700000000,v1=" MAC "0", "whsec_a", T, false},
};

static void signatures(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		if (qn_billing_signed(cases[i].header, QN_SPAN_LIT(BODY), cases[i].secrets,
			cases[i].now) != cases[i].good)
			fail_msg("%s", cases[i].what);
	assert_false(
	    qn_billing_signed("t=1700000000,v1=" MAC, QN_SPAN_LIT(BODY " "), "whsec_a", T));
}

/* Every bit of it counts. */
static void mutations(void **state)
{
	char header[] = "t=1700000000,v1=" MAC;

	(void)state;
	for (size_t i = 2; i < strlen(header); i++)
		for (int bit = 0; bit < 7; bit++) {
			header[i] ^= (char)(1 << bit);
			assert_false(qn_billing_signed(header, QN_SPAN_LIT(BODY), "whsec_a", T));
			header[i] ^= (char)(1 << bit);
		}
	assert_true(qn_billing_signed(header, QN_SPAN_LIT(BODY), "whsec_a", T));
}

static void addresses(void **state)
{
	static const char *const good[] = {"https://api.stripe.com", "http://127.0.0.1:4010",
	    "http://localhost", "http://[::1]:1"};
	static const char *const bad[] = {"http://api.stripe.com", "http://127.0.0.1.example.com",
	    "http://localhost@example.com", "https://api.stripe.com/", "ftp://api.stripe.com",
	    "api.stripe.com", "https://a b", "https://a\r\nb", "https://user:pw@host"};
	struct qn_conf *c = test_settings(NULL);

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++)
		assert_null(qn_stripe_base_fault(c, good[i]));
	for (size_t i = 0; i < COUNT(bad); i++)
		if (qn_stripe_base_fault(c, bad[i]) == NULL)
			fail_msg("%s", bad[i]);
	qn_conf_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(signatures),
	    cmocka_unit_test(mutations),
	    cmocka_unit_test(addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
