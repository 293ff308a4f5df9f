#include "quoin/base/board.h"

#include <string.h>

const char *qn_pool_name(enum qn_pool p)
{
	static const char *const names[QN_POOL__MAX] = {"none", "api", "slow", "ingest", "jobs"};
	return (unsigned)p < QN_POOL__MAX ? names[p] : names[QN_POOL_NONE];
}

enum qn_pool qn_pool_by_name(const char *name)
{
	for (int p = QN_POOL_API; p < QN_POOL__MAX; p++)
		if (strcmp(qn_pool_name((enum qn_pool)p), name) == 0)
			return (enum qn_pool)p;
	return QN_POOL_NONE;
}
