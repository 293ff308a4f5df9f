#include "settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

extern char **environ;

struct qn_conf *test_settings(const char *const *set)
{
	const char *const base[] = {"QUOIN_SECRET_KEY=" TEST_SECRET,
	    "MEMCACHED_SERVERS=", "DATABASE_URL=host=/nonexistent", "QUOIN_READ_TIMEOUT_S=20",
	    "QUOIN_RATE_API_ADDRESS=-1"};
	char *now[32], **before = environ;
	size_t n = 0;

	/* The last of a name wins. */
	for (size_t i = 0; i < sizeof(base) / sizeof(base[0]); i++)
		memcpy(&now[n++], &base[i], sizeof(now[0])); /* environ forgot a const */
	for (; set != NULL && *set != NULL && n < 31; set++)
		memcpy(&now[n++], set, sizeof(now[0]));
	now[n] = NULL;
	environ = now;
	struct qn_conf *c = qn_conf_load("/dev/null");
	environ = before;
	assert_non_null(c);
	return c;
}
