/* sso: add, list, remove: the OpenID providers that sign the users of a mail domain in (CONTRACT D6, E52). */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "provider.h"
#include "quoin/auth/oauth.h"
#include "quoin/base/rand.h"
#include "quoin/net/address.h"
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

static int store(struct ctl *c, const struct provider *p)
{
	char secret[SECRET_MOST + 2];
	const char *id;
	int status = read_secret(secret, sizeof(secret));

	if (status == CTL_OK) {
		QN_TX(tx, c->db);
		enum qn_err e = provider_put(c->db, c->arena, p, &id);
		status =
		    e == QN_OK ? ctl_provider_secret(c, id, secret) : ctl_fail(c, p->domain, e);
		e = status == CTL_OK ? qn_tx_commit(&tx) : QN_OK;
		if (e != QN_OK)
			status = ctl_fail(c, p->domain, e);
	}
	qn_wipe(secret, sizeof(secret));
	return status;
}

static int add(
    struct ctl *c, const char *app, const char *domain, const char *issuer, const char *client)
{
	struct provider p = {.scopes = "openid email profile", .trusted_email = 1};
	const char *why;

	p.domain = good_domain(c, domain);
	p.app_id = p.domain != NULL && ctl_has_secret(c) ? ctl_app_id(c, app) : NULL;
	if (p.app_id == NULL)
		return CTL_FAILED;
	p.client_id = client;
	if (qn_oidc_discover(c->conf, c->arena, issuer, &p, &why) != QN_OK) {
		fprintf(stderr, "quoinctl: %s: %s\n", issuer, why);
		return CTL_FAILED;
	}
	if (store(c, &p) != CTL_OK)
		return CTL_FAILED;
	printf("%s: users of %s sign in at %s\n", app, p.domain, p.issuer);
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

/* The domain's, of either kind. */
static int drop(struct ctl *c, const char *app_id, const char *domain)
{
	enum qn_err e = provider_remove_domain(c->db, c->arena, app_id, domain);

	if (e == QN_NOT_FOUND)
		e = saml_remove(c->db, c->arena, app_id, domain);
	return e == QN_OK ? CTL_OK : ctl_fail(c, domain, e);
}

int ctl_sso(struct ctl *c, int argc, char **argv)
{
	const char *app = ctl_option(&argc, argv, "--app"),
		   *domain = ctl_option(&argc, argv, "--domain");
	const char *issuer = ctl_option(&argc, argv, "--issuer"),
		   *client = ctl_option(&argc, argv, "--client-id"),
		   *metadata = ctl_option(&argc, argv, "--metadata");

	if (app == NULL || argc != 1)
		return ctl_usage("sso");
	if (strcmp(argv[0], "add") == 0 && domain != NULL && issuer != NULL && client != NULL &&
	    metadata == NULL)
		return add(c, app, domain, issuer, client);
	if (strcmp(argv[0], "add") == 0 && domain != NULL && metadata != NULL && issuer == NULL &&
	    client == NULL) {
		domain = good_domain(c, domain);
		return domain != NULL ? ctl_saml_add(c, app, domain, metadata) : CTL_FAILED;
	}
	if (issuer != NULL || client != NULL || metadata != NULL)
		return ctl_usage("sso");
	const char *id = ctl_app_id(c, app);
	if (id == NULL)
		return CTL_FAILED;
	if (strcmp(argv[0], "list") == 0 && domain == NULL)
		return list(c, id);
	if (strcmp(argv[0], "remove") != 0 || domain == NULL)
		return ctl_usage("sso");
	return drop(c, id, domain);
}
