/* sso add --metadata: the SAML provider of a mail domain (CONTRACT D6, E52). */
#include "saml.h"

#include <stdio.h>
#include <stdlib.h>

#include "quoin/net/samlclient.h"
#include "quoin/store/saml.h"

enum { METADATA_MAX = 65536, ASK_MS = 9000 };

/* NULL after saying why. */
static const char *read_file(struct ctl *c, const char *path)
{
	char *text = qn_alloc(c->arena, METADATA_MAX + 1);
	FILE *f = fopen(path, "re");
	size_t n = f != NULL ? fread(text, 1, METADATA_MAX + 1, f) : 0;
	bool whole = f != NULL && !ferror(f) && n > 0 && n <= METADATA_MAX;

	if (f != NULL)
		fclose(f);
	if (whole) {
		text[n] = '\0';
		return text;
	}
	fprintf(stderr, "quoinctl: %s: cannot be read, or is not 1 to %d bytes\n", path,
	    (int)METADATA_MAX);
	return NULL;
}

/* quoin-saml reads it, as it will at each sign-in, and says whose it is. */
static int look_at(struct ctl *c, const char *path, const char *xml, const char **ret_entity)
{
	struct qn_saml_sides sides = {.socket = qn_printf(c->arena, "%s/saml.sock",
					  qn_conf_str(c->conf, QN_CONF_KEY_QUOIN_RUN_DIR)),
	    .timeout_ms = ASK_MS,
	    .sp_entity = "https://localhost/",
	    .acs = "https://localhost/",
	    .idp = xml};
	struct qn_saml_asked asked = {.idp = NULL};
	const char *why;
	enum qn_err e = qn_saml_request(c->arena, &sides, "-", &asked, &why);

	*ret_entity = asked.idp;
	if (e == QN_OK)
		return CTL_OK;
	fprintf(stderr, "quoinctl: %s: %s\n", path,
	    e == QN_DENIED
		? "this is no metadata of an identity provider that is reached by HTTP-Redirect"
		: why);
	return CTL_FAILED;
}

static int store(struct ctl *c, const struct ctl_domain *d, const struct saml_connection *in)
{
	QN_TX(tx, c->db);
	enum qn_err e = saml_put(c->db, c->arena, d->app_id, in);
	if (e == QN_CONFLICT) {
		fprintf(stderr, "quoinctl: %s signs another domain in already\n", in->idp_entity);
		return CTL_FAILED;
	}
	if (e == QN_OK && ctl_domain_joins(c, d) != CTL_OK)
		return CTL_FAILED;
	if (e == QN_OK)
		e = qn_tx_commit(&tx);
	return e == QN_OK ? CTL_OK : ctl_fail(c, d->domain, e);
}

int ctl_saml_add(struct ctl *c, const struct ctl_domain *d, const char *path)
{
	struct saml_connection in = {.domain = d->domain, .idp_metadata = read_file(c, path)};

	if (in.idp_metadata == NULL ||
	    look_at(c, path, in.idp_metadata, &in.idp_entity) != CTL_OK ||
	    store(c, d, &in) != CTL_OK)
		return CTL_FAILED;
	printf("%s: users of %s sign in at %s\n", d->app, d->domain, in.idp_entity);
	return CTL_OK;
}

int ctl_saml_list(struct ctl *c, const char *app_id)
{
	struct qn_list all;
	enum qn_err e = saml_list(c->db, c->arena, app_id, &all);
	const struct saml_connection *s = all.items;

	if (e != QN_OK)
		return ctl_fail(c, "sso", e);
	for (size_t i = 0; i < all.n; i++)
		printf("%-30s %s SAML\n", s[i].domain, s[i].idp_entity);
	return CTL_OK;
}
