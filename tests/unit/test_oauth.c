/*
 * What leaves for a provider and what is kept meanwhile: addresses, PKCE, sealed verifiers and secrets (SECURITY T6,
 * T12, T38). What a provider answers is the business of tests/api/oauth.test.mjs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "quoin/auth/oauth.h"
#include "quoin/base/arena.h"
#include "settings.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct qn_arena *arena;
static struct qn_conf *conf, *other, *local, *none;

static int start(void **state)
{
	(void)state;
	arena = qn_arena_new((size_t)1 << 20);
	conf = test_settings(NULL);
	other = test_settings(
	    (const char *const[]){"QUOIN_SECRET_KEY=another-secret-of-32-characters-Q7", NULL});
	local = test_settings((const char *const[]){
	    "QUOIN_SECRET_KEY=" TEST_SECRET, "QUOIN_OUTBOUND_LOCAL=yes", NULL});
	none = test_settings((const char *const[]){"QUOIN_SECRET_KEY=", NULL});
	return 0;
}

static int stop(void **state)
{
	(void)state;
	qn_conf_free(conf);
	qn_conf_free(other);
	qn_conf_free(local);
	qn_conf_free(none);
	qn_arena_free(arena);
	return 0;
}

static struct provider provider(const char *kind, const char *url)
{
	return (struct provider){.kind = kind,
	    .client_id = "a client&more",
	    .authorize_url = url,
	    .scopes = "openid email"};
}

/* The value of a parameter, as it stands. */
static const char *value_of(const char *url, const char *name)
{
	const char *lead = qn_printf(arena, "%s=", name), *at = strpbrk(url, "?&");

	for (; at != NULL; at = strchr(at + 1, '&'))
		if (strncmp(at + 1, lead, strlen(lead)) == 0)
			return qn_strndup(
			    arena, at + 1 + strlen(lead), strcspn(at + 1 + strlen(lead), "&"));
	return "";
}

static void the_address_carries_what_it_must(void **state)
{
	struct provider p = provider("oidc", "https://idp.example/authorize");
	char challenge[QN_OPAQUE_LEN + 2];
	uint8_t hash[QN_SHA256_LEN];
	struct qn_oauth_flow f;

	(void)state;
	qn_oauth_flow_new(&f);
	const char *url = qn_oauth_address(arena, &p, &f, "https://api.example/auth/callback");
	assert_true(strncmp(url, "https://idp.example/authorize?", 30) == 0);
	assert_string_equal(value_of(url, "client_id"), "a%20client%26more");
	assert_string_equal(
	    value_of(url, "redirect_uri"), "https%3A%2F%2Fapi.example%2Fauth%2Fcallback");
	assert_string_equal(value_of(url, "response_type"), "code");
	assert_string_equal(value_of(url, "scope"), "openid%20email");
	assert_string_equal(value_of(url, "state"), f.state.text);
	assert_string_equal(value_of(url, "nonce"), f.nonce.text);
	assert_string_equal(value_of(url, "code_challenge_method"), "S256");
	qn_sha256(f.verifier.text, QN_OPAQUE_LEN, hash);
	challenge[qn_b64url_encode(hash, sizeof(hash), challenge)] = '\0';
	assert_string_equal(value_of(url, "code_challenge"), challenge);
	assert_null(strstr(url, f.verifier.text));
	assert_null(strstr(url, f.browser.text));
}

static void an_address_may_have_a_query_of_its_own(void **state)
{
	struct provider p = provider("github", "https://idp.example/authorize?tenant=7");
	struct qn_oauth_flow f;

	(void)state;
	qn_oauth_flow_new(&f);
	const char *url = qn_oauth_address(arena, &p, &f, "https://api.example/auth/callback");
	assert_true(strncmp(url, "https://idp.example/authorize?tenant=7&client_id=", 49) == 0);
	assert_string_equal(value_of(url, "nonce"), "");
}

static void every_sign_in_is_another(void **state)
{
	struct qn_oauth_flow a, b;

	(void)state;
	qn_oauth_flow_new(&a);
	qn_oauth_flow_new(&b);
	const char *texts[] = {a.state.text, a.browser.text, a.nonce.text, a.verifier.text,
	    b.state.text, b.browser.text, b.nonce.text, b.verifier.text};
	for (size_t i = 0; i < COUNT(texts); i++)
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(texts[i], texts[k]);
}

static void a_verifier_opens_for_its_state_alone(void **state)
{
	struct qn_oauth_flow f, g;
	struct qn_span sealed;
	const char *opened;

	(void)state;
	qn_oauth_flow_new(&f);
	qn_oauth_flow_new(&g);
	assert_true(qn_oauth_seal_verifier(conf, arena, f.state.hash, &f.verifier, &sealed));
	assert_null(memmem(sealed.p, sealed.n, f.verifier.text, 8));
	assert_true(qn_oauth_open_verifier(conf, arena, f.state.hash, sealed, &opened));
	assert_string_equal(opened, f.verifier.text);
	assert_false(qn_oauth_open_verifier(conf, arena, g.state.hash, sealed, &opened));
	assert_false(qn_oauth_open_verifier(other, arena, f.state.hash, sealed, &opened));
	sealed.n--;
	assert_false(qn_oauth_open_verifier(conf, arena, f.state.hash, sealed, &opened));
}

static void a_secret_needs_a_key_and_has_a_size(void **state)
{
	static char large[1002];
	struct qn_span sealed;

	(void)state;
	memset(large, 'x', sizeof(large) - 1);
	assert_true(qn_provider_seal(conf, arena, "id", "secret", &sealed));
	assert_null(memmem(sealed.p, sealed.n, "secret", 6));
	assert_false(qn_provider_seal(conf, arena, "id", large, &sealed));
	large[1000] = '\0';
	assert_true(qn_provider_seal(conf, arena, "id", large, &sealed));
	assert_false(qn_provider_seal(none, arena, "id", "secret", &sealed));
}

static const struct {
	const char *url;
	bool ok, local_ok;
} urls[] = {
    {"https://idp.example", true, true},
    {"https://idp.example/", true, true},
    {"https://idp.example:8443/a/b?c=d&e=%20", true, true},
    {"https://[2001:db8::1]/token", true, true},
    {"http://127.0.0.1:4001/token", false, true},
    {"http://idp.example", false, true},
    {"", false, false},
    {"https://", false, false},
    {"https:///token", false, false},
    {"https://:443", false, false},
    {"https://?x", false, false},
    {"HTTPS://idp.example", false, false},
    {"ftp://idp.example", false, false},
    {"file:///etc/passwd", false, false},
    {"//idp.example", false, false},
    {"https://user@idp.example", false, false},
    {"https://idp.example/#x", false, false},
    {"https://idp.example/a b", false, false},
    {"https://idp.example/\r\nX: y", false, false},
    {"https://idp.example\\@evil.example", false, false},
    {"https://idp.example/\xc3\xa9", false, false},
};

static void addresses_of_endpoints_are_plain(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(urls); i++)
		if (qn_oauth_url_ok(conf, urls[i].url) != urls[i].ok ||
		    qn_oauth_url_ok(local, urls[i].url) != urls[i].local_ok)
			fail_msg("%s", urls[i].url);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_address_carries_what_it_must),
	    cmocka_unit_test(an_address_may_have_a_query_of_its_own),
	    cmocka_unit_test(every_sign_in_is_another),
	    cmocka_unit_test(a_verifier_opens_for_its_state_alone),
	    cmocka_unit_test(a_secret_needs_a_key_and_has_a_size),
	    cmocka_unit_test(addresses_of_endpoints_are_plain),
	};
	return cmocka_run_group_tests_name("oauth", tests, start, stop);
}
