/* Limits: one caller is not held for another, and each is told how he stands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "quoin/auth/limit.h"
#include "settings.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* callers */

enum { MANY = 5, FEW = 2 };

static const struct qn_plan plans[] = {
    {.code = "free", .per_minute = {MANY, FEW, 0, -1, FEW, FEW}, .calls_per_day = -1},
    {.code = "pro", .rank = 1, .per_minute = {2 * MANY, FEW, FEW, FEW, FEW, FEW}},
};
static const struct qn_app app = {.id = "01890a5d-ac96-774b-bcce-b302099a8057",
			       .plans = plans,
			       .nplans = COUNT(plans),
			       .address_per_minute = {FEW, FEW, FEW, FEW, FEW, FEW}},
			   other_app = {.id = "01890a5d-ac96-774b-bcce-b302099a8058",
			       .plans = plans,
			       .nplans = COUNT(plans)};

static struct qn_conf *conf;
static struct qn_board *board;
static struct qn_tally *tally;
static struct qn_limits *limits;
static struct qn_cache *cache;
static struct qn_arena *arena;

static int set_up(void **state)
{
	(void)state;
	conf = test_settings((const char *const[]){"QUOIN_RATE_MAIL_ADDRESS=3", NULL});
	board = qn_board_create(NULL, QN_POOL_API);
	tally = qn_tally_open(NULL);
	limits = qn_limits_new(conf, tally, board);
	cache = qn_cache_new("", "", 100, board);
	arena = qn_arena_new(1 << 20);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	qn_limits_free(limits);
	qn_tally_close(tally);
	qn_cache_free(cache);
	qn_arena_free(arena);
	qn_board_unmap(board);
	qn_conf_free(conf);
	return 0;
}

static struct qn_principal caller(const char *plan, char who, const char *key)
{
	struct qn_principal p = {.app = &app, .known = true};

	snprintf(p.user_id, sizeof(p.user_id), "01890a5d-ac96-774b-bcce-b302099a800%c", who);
	snprintf(p.plan, sizeof(p.plan), "%s", plan);
	snprintf(p.key_id, sizeof(p.key_id), "%s", key);
	return p;
}

/* How many of ten are let in; *ret is the state after the last. */
static int let_in(const struct qn_principal *who, const struct qn_app *of, enum qn_rate rate,
    const char *addr, struct qn_limit_state *ret)
{
	struct qn_limit_ask ask = {rate, of, who, addr};
	int n = 0;

	for (int i = 0; i < 10; i++) {
		enum qn_err e = qn_limit_take(limits, NULL, cache, arena, &ask, ret);
		assert_true(e == QN_OK || e == QN_RATE_LIMITED);
		n += e == QN_OK;
	}
	return n;
}

static void subjects_are_held_apart(void **state)
{
	struct qn_principal a = caller("free", '1', ""), b = caller("free", '2', ""),
			    key = caller("free", '1', "01890a5d-ac96-774b-bcce-b302099a8001"),
			    nobody = {.app = &app};
	struct qn_limit_state s;

	(void)state;
	assert_int_equal(let_in(&a, &app, QN_RATE_API, "192.0.2.1", &s), MANY);
	assert_int_equal(let_in(&b, &app, QN_RATE_API, "192.0.2.1", &s), MANY);
	/* A key whose id is its user's, the address, another class, another app: each of its own. */
	assert_int_equal(let_in(&key, &app, QN_RATE_API, "192.0.2.1", &s), MANY);
	assert_int_equal(let_in(&nobody, &app, QN_RATE_API, "192.0.2.1", &s), FEW);
	assert_int_equal(let_in(&nobody, &app, QN_RATE_API, "::ffff:192.0.2.1", &s), 0);
	assert_int_equal(let_in(&nobody, &app, QN_RATE_API, "192.0.2.2", &s), FEW);
	assert_int_equal(let_in(&nobody, &app, QN_RATE_API, "2001:db8::1", &s), FEW);
	assert_int_equal(let_in(&nobody, &app, QN_RATE_API, "2001:db8::ffff:0:0:1", &s), 0);
	assert_int_equal(let_in(&nobody, &app, QN_RATE_API, "2001:db8:0:1::1", &s), FEW);
	assert_int_equal(let_in(&nobody, &app, QN_RATE_API, "unix:", &s), FEW);
	assert_int_equal(let_in(&nobody, &app, QN_RATE_API, "nonsense", &s), 0);
	assert_int_equal(let_in(&a, &app, QN_RATE_ACCOUNT, "192.0.2.1", &s), FEW);
	assert_int_equal(let_in(&a, &other_app, QN_RATE_API, "192.0.2.1", &s), MANY);
	assert_int_equal(let_in(&a, &app, QN_RATE_SIGN_IN, "192.0.2.1", &s), 0);
	assert_int_equal(
	    let_in(&nobody, NULL, QN_RATE_MAIL, "192.0.2.1", &s), 3); /* the settings' */
	assert_int_equal(board->counter[QN_COUNT_RATE_SPILLS], 0);
}

static void states_are_told(void **state)
{
	struct qn_principal a = caller("free", '3', ""), nobody = {.app = &app};
	struct qn_limit_state s;

	(void)state;
	let_in(&a, &app, QN_RATE_ACCOUNT, "", &s);
	assert_int_equal(s.n, 1);
	assert_string_equal(s.policy[0].name, "account");
	assert_string_equal(s.policy[0].suffix, "");
	assert_int_equal(s.policy[0].quota, FEW);
	assert_int_equal(s.policy[0].window_s, 60);
	assert_int_equal(s.policy[0].left, 0);
	assert_true(s.retry_after_s >= 1 && s.retry_after_s <= 120);
	assert_int_equal(s.retry_after_s, s.policy[0].reset_s);
	let_in(&nobody, &app, QN_RATE_ACCOUNT, "192.0.2.9", &s);
	assert_string_equal(s.policy[0].suffix, "-address");
	assert_int_equal(
	    let_in(&a, &app, QN_RATE_MAIL, "", &s), 10); /* -1: no limit, nothing to tell */
	assert_int_equal(s.n, 0);
	assert_true(board->counter[QN_COUNT_RATE_LIMITED] > 0);
}

static void plans_are_found(void **state)
{
	(void)state;
	assert_ptr_equal(qn_app_plan(&app, "pro"), &plans[1]);
	assert_null(qn_app_plan(&app, "gone"));
	assert_ptr_equal(qn_app_plan_or_lowest(&app, "pro"), &plans[1]);
	assert_ptr_equal(qn_app_plan_or_lowest(&app, "free"), &plans[0]);
	assert_ptr_equal(qn_app_plan_or_lowest(&app, "gone"), &plans[0]);
	assert_ptr_equal(qn_app_plan_or_lowest(&app, ""), &plans[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(subjects_are_held_apart),
	    cmocka_unit_test(states_are_told),
	    cmocka_unit_test(plans_are_found),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
