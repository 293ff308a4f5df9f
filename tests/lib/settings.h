/* Settings for a test: those named and nothing of the machine's. */
#ifndef TESTS_LIB_SETTINGS_H
#define TESTS_LIB_SETTINGS_H

#include "quoin/base/conf.h"

#define TEST_SECRET "kD8f2-PzQ0vXw7LmNs41RtYbHcJe9UgA"

/* "KEY=VALUE", …, NULL; without them there is a secret, no memcached and a Postgres that is not
 * there. */
struct qn_conf *test_settings(const char *const *set);

#endif
