#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "quoin/auth/tokencache.h"

#define S 1000000LL

struct record {
	char name[48];
};

static const struct qn_moment t0 = {1800000000 * S, 5000 * S};
static const qn_time later = (1800000000 + 3600) * S;

static struct qn_moment at(int64_t wall_us, int64_t mono_us)
{
	return (struct qn_moment){t0.wall + wall_us, t0.mono_us + mono_us};
}

static struct qn_tokencache_key key_of(unsigned n)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "token %u", n);

	return qn_tokencache_key("app", (struct qn_span){text, (size_t)len});
}

static void put(struct qn_tokencache *c, unsigned n, qn_time exp, struct qn_moment now)
{
	struct qn_tokencache_key key = key_of(n);
	struct record r = {{0}};

	snprintf(r.name, sizeof(r.name), "record %u", n);
	qn_tokencache_put(c, &key, &r, n + 7, exp, now);
}

static bool holds(struct qn_tokencache *c, unsigned n, struct qn_moment now)
{
	struct qn_tokencache_key key = key_of(n);
	uint32_t generation = 0;
	const struct record *r = qn_tokencache_get(c, &key, now, &generation);
	char name[48];

	if (r == NULL) {
		assert_int_equal(generation, 0);
		return false;
	}
	snprintf(name, sizeof(name), "record %u", n);
	assert_string_equal(r->name, name);
	assert_int_equal(generation, n + 7);
	return true;
}

static void test_sizes(void **state)
{
	static const struct {
		size_t entries, value_size;
		bool fits;
	} cases[] = {
	    {QN_TOKENCACHE_ENTRIES, 416, true},
	    {QN_TOKENCACHE_ENTRIES, 417, false},
	    {0, 16, false},
	    {1, 1, true},
	    {65535, 0, false},
	    {100000, 1, false},
	    {1, QN_TOKENCACHE_BYTES, false},
	    {1, SIZE_MAX, false},
	    {SIZE_MAX, 1, false},
	    {3, 100000, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct qn_tokencache *c = qn_tokencache_new(cases[i].entries, cases[i].value_size);
		if ((c != NULL) != cases[i].fits)
			fail_msg("%zu entries of %zu bytes", cases[i].entries, cases[i].value_size);
		qn_tokencache_free(c);
	}
	qn_tokencache_free(NULL);
}

static void test_key_covers_realm_and_token(void **state)
{
	struct qn_tokencache_key a = qn_tokencache_key("app", QN_SPAN_LIT("token"));
	struct qn_tokencache_key other[] = {
	    qn_tokencache_key("apq", QN_SPAN_LIT("token")),
	    qn_tokencache_key("app", QN_SPAN_LIT("tokem")),
	    qn_tokencache_key("appt", QN_SPAN_LIT("oken")),
	    qn_tokencache_key("ap", QN_SPAN_LIT("ptoken")),
	    qn_tokencache_key("app", QN_SPAN_LIT("token.")),
	};
	struct qn_tokencache_key again = qn_tokencache_key("app", QN_SPAN_LIT("token"));

	(void)state;
	assert_memory_equal(&a, &again, sizeof(a));
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
		assert_memory_not_equal(&a, &other[i], sizeof(a));
}

/* How long an entry is believed, by either clock, in microseconds after it was put. */
static void test_freshness(void **state)
{
	static const struct {
		const char *name;
		int64_t exp, wall, mono;
		bool fresh;
	} cases[] = {
	    {"at once", 3600 * S, 0, 0, true},
	    {"just under a minute", 3600 * S, 60 * S - 1, 60 * S - 1, true},
	    {"a minute by both", 3600 * S, 60 * S, 60 * S, false},
	    {"a minute by the wall clock", 3600 * S, 60 * S, 1, false},
	    {"a minute by the monotonic clock", 3600 * S, 1, 60 * S, false},
	    {"wall clock set back", 3600 * S, -1, 1, false},
	    {"wall clock set back for an hour", 3600 * S, -3600 * S, 61 * S, false},
	    {"before the token's end", 10 * S, 10 * S - 1, 10 * S - 1, true},
	    {"at the token's end", 10 * S, 10 * S, 9 * S, false},
	    {"at the token's end by the monotonic clock", 10 * S, 9 * S, 10 * S, false},
	    {"expired when it was put", 0, 0, 0, false},
	    {"long expired", -5 * S, 0, 0, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct qn_tokencache *c = qn_tokencache_new(4, sizeof(struct record));
		put(c, 1, t0.wall + cases[i].exp, t0);
		if (holds(c, 1, at(cases[i].wall, cases[i].mono)) != cases[i].fresh)
			fail_msg("%s", cases[i].name);
		assert_int_equal(
		    holds(c, 1, t0), cases[i].fresh); /* a stale one does not come back */
		qn_tokencache_free(c);
	}
}

static void test_least_recently_used_leaves(void **state)
{
	struct qn_tokencache *c = qn_tokencache_new(3, sizeof(struct record));

	(void)state;
	put(c, 1, later, t0);
	put(c, 2, later, t0);
	put(c, 3, later, t0);
	assert_true(holds(c, 1, t0));
	put(c, 4, later, t0);
	assert_false(holds(c, 2, t0));
	assert_true(holds(c, 3, t0));
	put(c, 1, later, t0); /* again: no entry leaves */
	put(c, 5, later, t0);
	assert_false(holds(c, 4, t0));
	assert_true(holds(c, 1, t0) && holds(c, 3, t0) && holds(c, 5, t0));
	qn_tokencache_free(c);
}

static void test_drop_and_clear(void **state)
{
	struct qn_tokencache *c = qn_tokencache_new(3, sizeof(struct record));
	struct qn_tokencache_key key = key_of(2);

	(void)state;
	for (unsigned n = 1; n <= 3; n++)
		put(c, n, later, t0);
	qn_tokencache_drop(c, &key);
	qn_tokencache_drop(c, &key);
	assert_true(holds(c, 1, t0) && !holds(c, 2, t0) && holds(c, 3, t0));
	put(c, 4, later, t0);
	assert_true(holds(c, 1, t0) && holds(c, 3, t0) && holds(c, 4, t0));
	qn_tokencache_clear(c);
	for (unsigned n = 1; n <= 4; n++)
		assert_false(holds(c, n, t0));
	put(c, 5, later, t0);
	assert_true(holds(c, 5, t0));
	qn_tokencache_free(c);
}

static bool is_zero(const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (((const unsigned char *)p)[i] != 0)
			return false;
	return true;
}

static void test_what_leaves_is_wiped(void **state)
{
	struct qn_tokencache *c = qn_tokencache_new(1, sizeof(struct record));
	struct qn_tokencache_key key = key_of(1);
	uint32_t generation;

	(void)state;
	put(c, 1, later, t0);
	const struct record *r = qn_tokencache_get(c, &key, t0, &generation);
	assert_non_null(r);
	qn_tokencache_drop(c, &key);
	assert_true(is_zero(r, sizeof(*r)));
	put(c, 1, later, t0);
	r = qn_tokencache_get(c, &key, t0, &generation);
	assert_null(qn_tokencache_get(c, &key, at(60 * S, 60 * S), &generation));
	assert_true(is_zero(r, sizeof(*r)));
	put(c, 1, later, t0);
	r = qn_tokencache_get(c, &key, t0, &generation);
	qn_tokencache_clear(c);
	assert_true(is_zero(r, sizeof(*r)));
	qn_tokencache_free(c);
}

/* The plain list: tokens, most recently used first. */
enum { MODEL_ENTRIES = 16 };
struct model {
	unsigned token[MODEL_ENTRIES], n;
};

static bool model_remove(struct model *m, unsigned token)
{
	unsigned at = 0;

	while (at < m->n && m->token[at] != token)
		at++;
	if (at == m->n)
		return false;
	for (m->n--; at < m->n; at++)
		m->token[at] = m->token[at + 1];
	return true;
}

static void model_add(struct model *m, unsigned token)
{
	if (m->n < MODEL_ENTRIES)
		m->n++;
	for (unsigned at = m->n - 1; at > 0; at--)
		m->token[at] = m->token[at - 1];
	m->token[0] = token;
}

/* The cache against a plain list that does the same, over many steps. */
static void test_against_a_model(void **state)
{
	enum { TOKENS = 40, STEPS = 20000 };
	struct qn_tokencache *c = qn_tokencache_new(MODEL_ENTRIES, sizeof(struct record));
	struct model m = {.n = 0};
	uint32_t seed = 12345;

	(void)state;
	for (int step = 0; step < STEPS; step++) {
		seed = seed * 1664525u + 1013904223u;
		unsigned token = (seed >> 8) % TOKENS, verb = (seed >> 24) % 16;
		struct qn_tokencache_key key = key_of(token);
		bool had = model_remove(&m, token), has = had;
		if (verb < 8) {
			assert_int_equal(holds(c, token, t0), had);
		} else if (verb < 14) {
			put(c, token, later, t0);
			has = true;
		} else {
			qn_tokencache_drop(c, &key);
			has = false;
		}
		if (has)
			model_add(&m, token);
	}
	for (unsigned token = 0; token < TOKENS; token++)
		assert_int_equal(holds(c, token, t0), model_remove(&m, token));
	qn_tokencache_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_key_covers_realm_and_token),
	    cmocka_unit_test(test_freshness),
	    cmocka_unit_test(test_least_recently_used_leaves),
	    cmocka_unit_test(test_drop_and_clear),
	    cmocka_unit_test(test_what_leaves_is_wiped),
	    cmocka_unit_test(test_against_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
