#ifndef QUOIN_CTL_SAML_H
#define QUOIN_CTL_SAML_H

#include "ctl.h"

/* Whose users sign in elsewhere, and which organization they join. */
struct ctl_domain {
	const char *app, *app_id; /* its slug */
	const char *domain;       /* in lower case */
	const char *org;          /* its id; NULL: they join none that they did not before */
};

/* In the transaction that stores the provider. */
int ctl_domain_joins(struct ctl *c, const struct ctl_domain *d);

/* `path` of the provider's metadata. */
int ctl_saml_add(struct ctl *c, const struct ctl_domain *d, const char *path);
int ctl_saml_list(struct ctl *c, const char *app_id);

#endif
