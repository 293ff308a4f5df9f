/* The `stripe` member of an app's file: its account there (docs/apps.md). */
#ifndef QUOIN_CTL_STRIPE_H
#define QUOIN_CTL_STRIPE_H

#include "ctl.h"
#include "quoin/store/billing.h"

struct ctl_stripe {
	bool there; /* false: the app sells nothing through Stripe */
	struct stripe_account account;
	const char *key, *secrets;
	struct qn_span shown; /* what is kept and shown of the member: no secret is in it */
};

/* Checks the member; one that is optional and lacks a variable is left out. Says what is wrong. */
int ctl_stripe_read(struct ctl *c, const char *path, struct qn_span member, struct ctl_stripe *ret);
/* Stores it, or takes away what there was. In a transaction of the caller's. */
int ctl_stripe_store(struct ctl *c, const char *app_id, struct ctl_stripe *s);

#endif
