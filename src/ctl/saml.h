#ifndef QUOIN_CTL_SAML_H
#define QUOIN_CTL_SAML_H

#include "ctl.h"

/* `domain` is in lower case; `path` of the provider's metadata. */
int ctl_saml_add(struct ctl *c, const char *app, const char *domain, const char *path);
int ctl_saml_list(struct ctl *c, const char *app_id);

#endif
