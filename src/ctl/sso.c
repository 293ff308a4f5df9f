/* sso: add, list, remove: the OpenID providers that sign the users of a mail domain in (CONTRACT D6, E52). */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "provider.h"
#include "quoin/auth/oauth.h"
#include "quoin/base/rand.h"
#include "quoin/net/address.h"
#include "quoin/store/audit.h"
#include "quoin/store/organization.h"
#include "quoin/store/saml.h"
#include "saml.h"

enum { SECRET_MOST = 1000 };

/* In lower case; NULL after saying that it is none. */
static const char *good_domain(struct ctl *c, const char *domain)
{
	char *lower = qn_strdup(c->arena, domain);
	const char *address = qn_printf(c->arena, "a@%s", domain);

	for (char *p = lower; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	if (strlen(domain) <= 253 && qn_address_ok(qn_span_of(address)))
		return lower;
	fprintf(stderr, "quoinctl: '%s' is no domain\n", domain);
	return NULL;
}

/* The first line of standard input. */
static int read_secret(char *out, size_t size)
{
	if (fgets(out, (int)size, stdin) != NULL) {
		out[strcspn(out, "\r\n")] = '\0';
		if (out[0] != '\0')
			return CTL_OK;
	}
	fputs(
	    "quoinctl: the client secret is read from standard input, and there is none\n", stderr);
	return CTL_FAILED;
}

static int note(struct ctl *c, const struct ctl_domain *d, const char *org, const char *enabled)
{
	/* A domain has no byte that JSON would escape. */
	enum qn_err e = audit_write(c->db, c->arena,
	    &(struct audit_event){.app = d->app_id,
		.organization = org,
		.action = "org.sso",
		.resource_type = "organization",
		.resource_id = org,
		.details = qn_span_of(
		    qn_printf(c->arena, "{\"by\":\"operator\",\"domain\":\"%s\",\"enabled\":%s}",
			d->domain, enabled))});

	return e == QN_OK ? CTL_OK : ctl_fail(c, d->domain, e);
}

int ctl_domain_joins(struct ctl *c, const struct ctl_domain *d)
{
	if (d->org == NULL)
		return CTL_OK;
	enum qn_err e = organization_set_sso(c->db, c->arena, d->app_id, d->org, d->domain);
	if (e == QN_CONFLICT) {
		fprintf(stderr,
		    "quoinctl: the organization has another domain, or another has %s\n",
		    d->domain);
		return CTL_FAILED;
	}
	return e == QN_OK ? note(c, d, d->org, "true") : ctl_fail(c, d->domain, e);
}

static int store(struct ctl *c, const struct ctl_domain *d, const struct provider *p)
{
	char secret[SECRET_MOST + 2];
	const char *id;
	int status = read_secret(secret, sizeof(secret));

	if (status == CTL_OK) {
		QN_TX(tx, c->db);
		enum qn_err e = provider_put(c->db, c->arena, p, &id);
		status =
		    e == QN_OK ? ctl_provider_secret(c, id, secret) : ctl_fail(c, p->domain, e);
		if (status == CTL_OK)
			status = ctl_domain_joins(c, d);
		e = status == CTL_OK ? qn_tx_commit(&tx) : QN_OK;
		if (e != QN_OK)
			status = ctl_fail(c, p->domain, e);
	}
	qn_wipe(secret, sizeof(secret));
	return status;
}

static int add(struct ctl *c, const struct ctl_domain *d, const char *issuer, const char *client)
{
	struct provider p = {.app_id = d->app_id,
	    .domain = d->domain,
	    .client_id = client,
	    .scopes = "openid email profile",
	    .trusted_email = 1};
	const char *why;

	if (!ctl_has_secret(c))
		return CTL_FAILED;
	if (qn_oidc_discover(c->conf, c->arena, issuer, &p, &why) != QN_OK) {
		fprintf(stderr, "quoinctl: %s: %s\n", issuer, why);
		return CTL_FAILED;
	}
	if (store(c, d, &p) != CTL_OK)
		return CTL_FAILED;
	printf("%s: users of %s sign in at %s\n", d->app, p.domain, p.issuer);
	return CTL_OK;
}

static int list(struct ctl *c, const char *app_id)
{
	struct qn_list all;
	enum qn_err e = provider_domains(c->db, c->arena, app_id, &all);
	const struct provider *p = all.items;

	if (e != QN_OK)
		return ctl_fail(c, "sso", e);
	for (size_t i = 0; i < all.n; i++)
		printf("%-30s %s %s\n", p[i].domain, p[i].issuer, p[i].client_id);
	return ctl_saml_list(c, app_id);
}

/* The domain's provider, of either kind. Who is in its organization stays there. */
static int drop(struct ctl *c, const struct ctl_domain *d)
{
	const char *org = NULL;

	QN_TX(tx, c->db);
	enum qn_err e = provider_remove_domain(c->db, c->arena, d->app_id, d->domain);
	if (e == QN_NOT_FOUND)
		e = saml_remove(c->db, c->arena, d->app_id, d->domain);
	if (e == QN_OK)
		e = organization_clear_sso(c->db, c->arena, d->app_id, d->domain, &org);
	if (e == QN_OK && org != NULL && note(c, d, org, "false") != CTL_OK)
		return CTL_FAILED;
	if (e == QN_OK)
		e = qn_tx_commit(&tx);
	return e == QN_OK ? CTL_OK : ctl_fail(c, d->domain, e);
}

/* Says what is wrong with what was named. `org` may be NULL. */
static int find(struct ctl *c, const char *org, struct ctl_domain *d)
{
	struct organization o;

	d->domain = good_domain(c, d->domain);
	d->app_id = d->domain != NULL ? ctl_app_id(c, d->app) : NULL;
	if (d->app_id == NULL)
		return CTL_FAILED;
	if (org == NULL)
		return CTL_OK;
	enum qn_err e = organization_find(c->db, c->arena, d->app_id, org, &o);
	if (e != QN_OK)
		return ctl_fail(c, org, e);
	d->org = o.id;
	return CTL_OK;
}

/* What an `add` was given; members may be NULL. */
struct given {
	const char *issuer, *client, *metadata, *org;
};

/* OpenID or SAML, and all that it takes. */
static bool one_kind(const struct given *g)
{
	return g->metadata != NULL ? g->issuer == NULL && g->client == NULL
	                           : g->issuer != NULL && g->client != NULL;
}

static bool nothing(const struct given *g)
{
	return g->metadata == NULL && g->issuer == NULL && g->client == NULL && g->org == NULL;
}

int ctl_sso(struct ctl *c, int argc, char **argv)
{
	struct ctl_domain d = {
	    .app = ctl_option(&argc, argv, "--app"), .domain = ctl_option(&argc, argv, "--domain")};
	struct given g = {.issuer = ctl_option(&argc, argv, "--issuer"),
	    .client = ctl_option(&argc, argv, "--client-id"),
	    .metadata = ctl_option(&argc, argv, "--metadata"),
	    .org = ctl_option(&argc, argv, "--org")};
	const char *verb = argc == 1 ? argv[0] : "";
	bool adds = strcmp(verb, "add") == 0 && one_kind(&g);
	bool removes = strcmp(verb, "remove") == 0 && nothing(&g);

	if (d.app != NULL && d.domain == NULL && strcmp(verb, "list") == 0 && nothing(&g)) {
		const char *id = ctl_app_id(c, d.app);
		return id != NULL ? list(c, id) : CTL_FAILED;
	}
	if (d.app == NULL || d.domain == NULL || (!adds && !removes))
		return ctl_usage("sso");
	if (find(c, g.org, &d) != CTL_OK)
		return CTL_FAILED;
	if (removes)
		return drop(c, &d);
	return g.metadata != NULL ? ctl_saml_add(c, &d, g.metadata)
	                          : add(c, &d, g.issuer, g.client);
}
