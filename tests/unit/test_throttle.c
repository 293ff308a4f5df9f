/* The pause before children that fail young are started again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "quoin/pool/throttle.h"

#define MS INT64_C(1000)

static void pause_doubles_up_to_ten_seconds(void **state)
{
	static const int64_t ms[] = {100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};
	struct throttle t = {0};
	int64_t now = 5000 * MS;

	(void)state;
	for (size_t i = 0; i < sizeof(ms) / sizeof(ms[0]); i++) {
		throttle_fail(&t, now, now + 10 * MS);
		assert_int_equal(t.pause_us, ms[i] * MS);
		assert_int_equal(t.until_us, now + 10 * MS + ms[i] * MS);
		now = t.until_us;
	}
}

static void siblings_fail_as_one(void **state)
{
	struct throttle t = {0};

	(void)state;
	throttle_fail(&t, 1000 * MS, 1010 * MS);
	throttle_fail(&t, 1000 * MS, 1011 * MS);
	throttle_fail(&t, 1001 * MS, 1012 * MS);
	assert_int_equal(t.pause_us, 100 * MS);
	assert_int_equal(t.until_us, 1112 * MS);
	throttle_fail(&t, 1112 * MS, 1120 * MS);
	throttle_fail(&t, 1112 * MS, 1121 * MS);
	assert_int_equal(t.pause_us, 200 * MS);
}

static void a_life_forgives(void **state)
{
	struct throttle t = {0};

	(void)state;
	throttle_fail(&t, 1000 * MS, 1010 * MS);
	throttle_fail(&t, 1110 * MS, 1120 * MS);
	throttle_fail(&t, 1320 * MS, 1330 * MS);
	assert_int_equal(t.pause_us, 400 * MS);
	throttle_fail(&t, 1730 * MS, 9000 * MS);
	assert_int_equal(t.pause_us, 100 * MS);
	throttle_reset(&t);
	assert_int_equal(t.until_us, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pause_doubles_up_to_ten_seconds),
	    cmocka_unit_test(siblings_fail_as_one),
	    cmocka_unit_test(a_life_forgives),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
