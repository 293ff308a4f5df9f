/* The `oauth` member of an app's file: who may sign its users in (docs/apps.md). */
#ifndef QUOIN_CTL_PROVIDER_H
#define QUOIN_CTL_PROVIDER_H

#include "ctl.h"
#include "quoin/base/json.h"
#include "quoin/store/provider.h"

enum { CTL_PROVIDERS = 10 };

/* Stands in an expanded text where a variable had no value: U+E000, which no file of ours has. */
#define CTL_UNSET "\xee\x80\x80"

struct ctl_providers {
	struct provider list[CTL_PROVIDERS];
	const char *secret[CTL_PROVIDERS];
	size_t n;
	struct qn_span shown; /* what is kept and shown of the member: no secret is in it */
};

/* Checks the member; those that are optional and lack a variable are left out. Says what is wrong. */
int ctl_providers_read(
    struct ctl *c, const char *path, struct qn_span member, struct ctl_providers *ret);
/* Stores them, and removes those that the app had and has no more. In a transaction of the caller's. */
int ctl_providers_store(struct ctl *c, const char *app_id, const struct ctl_providers *p);
/* Its secret, sealed for it. */
int ctl_provider_secret(struct ctl *c, const char *id, const char *secret);

#endif
