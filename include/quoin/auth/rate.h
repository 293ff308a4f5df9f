/* Rate classes: what a route costs, and how often a minute it may be asked for (docs/limits.md). */
#ifndef QUOIN_AUTH_RATE_H
#define QUOIN_AUTH_RATE_H

#include <stdint.h>

/* enumerator and setting, policy name in RateLimit, meter in an app's file, whether it counts as a call of the day */
#define QN_RATES(X) \
	X(API, "api", "requests", true) \
	X(ACCOUNT, "account", "account_requests", false) \
	X(SIGN_IN, "sign-in", "sign_in_requests", false) \
	X(MAIL, "mail", "mail_requests", false) \
	X(EXPENSIVE, "expensive", "expensive_requests", true) \
	X(INGEST, "ingest", "ingest_requests", true) \
	X(LICENCE, "licence", "licence_requests", false)

enum qn_rate {
#define X(name, policy, meter, calls) QN_RATE_##name,
	QN_RATES(X)
#undef X
	    QN_RATE__MAX,
	QN_RATE_NONE = QN_RATE__MAX /* no limit: what tells whether Quoin is well */
};

const char *qn_rate_name(enum qn_rate rate); /* "api", "none" */

/* What one plan allows; -1 everywhere: no limit. */
struct qn_plan {
	const char *code, *shown;
	int64_t rank;
	int64_t per_minute[QN_RATE__MAX]; /* of one user, or of one of his keys */
	int64_t calls_per_day;            /* of one user with all his keys, by UTC day */
	int64_t seats;                    /* of an organization; QN_I64_NULL: it does not say */
};

#endif
