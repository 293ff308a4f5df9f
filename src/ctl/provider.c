#include "provider.h"

#include <stdio.h>
#include <string.h>

#include "quoin/auth/oauth.h"
#include "quoin/base/rand.h"

enum { SHOWN_BYTES = 64 * 1024, SCOPES_MOST = 500, FINGERPRINT = 6 };

/* What everybody knows of the two that everybody has (CONTRACT C3, C4, C6). Google's older userinfo has no sub. */
static const struct provider known[] = {
    {.name = "google",
	.kind = "oidc",
	.issuer = "https://accounts.google.com",
	.token_auth = "basic",
	.authorize_url = "https://accounts.google.com/o/oauth2/auth",
	.token_url = "https://oauth2.googleapis.com/token",
	.userinfo_url = "https://openidconnect.googleapis.com/v1/userinfo",
	.jwks_url = "https://www.googleapis.com/oauth2/v3/certs",
	.scopes = "openid email profile",
	.trusted_email = 1},
    {.name = "github",
	.kind = "github",
	.issuer = "https://github.com",
	.token_auth = "post",
	.authorize_url = "https://github.com/login/oauth/authorize",
	.token_url = "https://github.com/login/oauth/access_token",
	.userinfo_url = "https://api.github.com/user",
	.emails_url = "https://api.github.com/user/emails",
	.scopes = "user:email",
	.trusted_email = 1},
};
static const struct provider other = {
    .kind = "oidc", .token_auth = "basic", .scopes = "openid email profile", .trusted_email = 0};

/* One entry of the list while it is read. */
struct entry {
	struct ctl *c;
	const char *path, *name;
	struct qn_json_object o;
	bool bad;
};

static int reject(struct entry *e, const char *what)
{
	fprintf(stderr, "quoinctl: %s: oauth: %s: %s\n", e->path, e->name, what);
	e->bad = true;
	return CTL_FAILED;
}

/* A string member, or what it is otherwise. */
static const char *text(struct entry *e, const char *member, const char *otherwise)
{
	struct qn_span value = qn_json_get(&e->o, member);
	const char *s;

	if (value.p == NULL)
		return otherwise;
	if (qn_json_str(e->c->arena, value, &s, NULL) && s[0] != '\0' && strlen(s) <= 500)
		return s;
	reject(e, qn_printf(e->c->arena, "\"%s\" must be a string of 1 to 500 bytes", member));
	return otherwise;
}

static const char *url(struct entry *e, const char *member, const char *otherwise, bool needed)
{
	const char *s = text(e, member, otherwise);

	if (s == NULL ? needed : !qn_oauth_url_ok(e->c->conf, s))
		reject(e, qn_printf(e->c->arena, "\"%s\" must be an https address", member));
	return s;
}

static const char *choice(
    struct entry *e, const char *member, const char *otherwise, const char *a, const char *b)
{
	const char *s = text(e, member, otherwise);

	if (strcmp(s, a) != 0 && strcmp(s, b) != 0)
		reject(e, qn_printf(e->c->arena, "\"%s\" must be %s or %s", member, a, b));
	return s;
}

static bool printable(const char *s, const char *but)
{
	for (; *s != '\0'; s++)
		if (*s < 0x20 || *s > 0x7e || strchr(but, *s) != NULL)
			return false;
	return true;
}

static void check_members(struct entry *e)
{
	static const char *const fit[] = {"name", "kind", "issuer", "client_id", "client_secret",
	    "authorize_url", "token_url", "userinfo_url", "emails_url", "jwks_url", "scopes",
	    "trusted_email", "token_auth", "optional", NULL};

	for (size_t i = 0; i < e->o.n; i++) {
		size_t k = 0;
		while (fit[k] != NULL && !qn_span_is(e->o.members[i].name, fit[k]))
			k++;
		if (fit[k] == NULL)
			reject(e, qn_printf(e->c->arena, "\"%.*s\" is not known; see docs/apps.md",
				      (int)e->o.members[i].name.n, e->o.members[i].name.p));
	}
}

static void read_urls(struct entry *e, const struct provider *d, struct provider *p)
{
	bool oidc = strcmp(p->kind, "oidc") == 0;

	p->issuer = url(e, "issuer", d->issuer, true);
	p->authorize_url = url(e, "authorize_url", d->authorize_url, true);
	p->token_url = url(e, "token_url", d->token_url, true);
	p->userinfo_url = url(e, "userinfo_url", d->userinfo_url, !oidc);
	p->emails_url = url(e, "emails_url", d->emails_url, !oidc);
	p->jwks_url = url(e, "jwks_url", d->jwks_url, oidc);
}

static int read_provider(struct entry *e, struct provider *p, const char **ret_secret)
{
	const struct provider *d = &other;
	bool trusted;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(e->name, known[i].name) == 0)
			d = &known[i];
	check_members(e);
	p->name = e->name;
	p->kind = choice(e, "kind", d->kind, "oidc", "github");
	p->token_auth = choice(e, "token_auth", d->token_auth, "basic", "post");
	p->client_id = text(e, "client_id", "");
	*ret_secret = text(e, "client_secret", "");
	p->scopes = text(e, "scopes", d->scopes);
	trusted = d->trusted_email == 1;
	struct qn_span member = qn_json_get(&e->o, "trusted_email");
	if (member.p != NULL && !qn_json_bool(member, &trusted))
		reject(e, "\"trusted_email\" must be true or false");
	p->trusted_email = trusted;
	read_urls(e, d, p);
	if (p->client_id[0] == '\0' || (*ret_secret)[0] == '\0')
		reject(e, "\"client_id\" and \"client_secret\" must be strings");
	if (!printable(p->client_id, "") || !printable(p->scopes, "\"\\") ||
	    !printable(*ret_secret, ""))
		reject(e, "client_id, client_secret and scopes are of printable ASCII");
	return e->bad ? CTL_FAILED : CTL_OK;
}

/* Tells one secret from another and nothing else of it. */
static void add_fingerprint(
    const struct ctl *c, const struct provider *p, const char *secret, struct qn_buf *out)
{
	const char *key = qn_conf_str(c->conf, QN_CONF_KEY_QUOIN_SECRET_KEY);
	const char *said =
	    qn_printf(c->arena, "quoin client secret\n%s\n%s\n%s", p->name, p->client_id, secret);
	uint8_t mac[QN_SHA256_LEN];
	char hex[2 * FINGERPRINT + 1];

	qn_hmac_sha256(key, strlen(key), said, strlen(said), mac);
	qn_hex(mac, FINGERPRINT, hex);
	qn_buf_printf(out, ",\"client_secret\":\"sealed:%s\"", hex);
}

static void add_text(struct qn_buf *out, const char *name, const char *value)
{
	if (value == NULL)
		return;
	qn_buf_printf(out, "%s\"%s\":", out->p[out->n - 1] == '{' ? "" : ",", name);
	qn_buf_json(out, value, strlen(value));
}

static void add_shown(
    const struct ctl *c, const struct provider *p, const char *secret, struct qn_buf *out)
{
	qn_buf_str(out, out->n > 1 ? ",{" : "{");
	add_text(out, "name", p->name);
	add_text(out, "kind", p->kind);
	add_text(out, "issuer", p->issuer);
	add_text(out, "client_id", p->client_id);
	add_fingerprint(c, p, secret, out);
	add_text(out, "token_auth", p->token_auth);
	add_text(out, "authorize_url", p->authorize_url);
	add_text(out, "token_url", p->token_url);
	add_text(out, "userinfo_url", p->userinfo_url);
	add_text(out, "emails_url", p->emails_url);
	add_text(out, "jwks_url", p->jwks_url);
	add_text(out, "scopes", p->scopes);
	qn_buf_printf(out, ",\"trusted_email\":%s}", p->trusted_email == 1 ? "true" : "false");
}

static bool good_name(const char *s)
{
	return s != NULL && strlen(s) <= 32 && s[0] >= 'a' && s[0] <= 'z' &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(s);
}

/* CTL_OK too when it is left out. */
static int read_entry(struct ctl *c, const char *path, struct qn_span item,
    struct ctl_providers *ret, struct qn_buf *shown)
{
	struct entry e = {.c = c, .path = path, .name = "each"};
	bool optional = false;
	const char *name;

	if (!qn_json_members(c->arena, item, &e.o))
		return reject(&e, "must be an object");
	if (!qn_json_str(c->arena, qn_json_get(&e.o, "name"), &name, NULL) || !good_name(name))
		return reject(&e, "\"name\" must be of a-z, 0-9 and -");
	e.name = name;
	qn_json_bool(qn_json_get(&e.o, "optional"), &optional);
	if (memmem(item.p, item.n, CTL_UNSET, 3) != NULL)
		return optional ? CTL_OK : reject(&e, "names a variable that has no value");
	for (size_t i = 0; i < ret->n; i++)
		if (strcmp(ret->list[i].name, name) == 0)
			return reject(&e, "stands twice");
	if (ret->n == CTL_PROVIDERS)
		return reject(&e, "is one more than there may be");
	struct provider *p = &ret->list[ret->n];
	if (!ctl_has_secret(c) || read_provider(&e, p, &ret->secret[ret->n]) != CTL_OK)
		return CTL_FAILED;
	add_shown(c, p, ret->secret[ret->n++], shown);
	return CTL_OK;
}

int ctl_providers_read(
    struct ctl *c, const char *path, struct qn_span member, struct ctl_providers *ret)
{
	struct qn_span *items = NULL;
	struct qn_buf shown;
	size_t n = 0;
	int status = CTL_OK;

	*ret = (struct ctl_providers){.n = 0};
	if (member.p == NULL)
		return CTL_OK;
	if (!qn_json_elements(c->arena, member, &items, &n))
		return CTL_FAILED;
	qn_buf_init(&shown, SHOWN_BYTES);
	qn_buf_char(&shown, '[');
	for (size_t i = 0; i < n && status == CTL_OK; i++)
		status = read_entry(c, path, items[i], ret, &shown);
	qn_buf_char(&shown, ']');
	ret->shown = (struct qn_span){qn_strndup(c->arena, shown.p, shown.n), shown.n};
	qn_buf_done(&shown);
	return status;
}

int ctl_provider_secret(struct ctl *c, const char *id, const char *secret)
{
	struct qn_span sealed;

	if (!qn_provider_seal(c->conf, c->arena, id, secret, &sealed)) {
		fputs("quoinctl: the client secret could not be sealed\n", stderr);
		return CTL_FAILED;
	}
	enum qn_err e = provider_set_secret(c->db, c->arena, id, sealed);
	return e == QN_OK ? CTL_OK : ctl_fail(c, "the client secret", e);
}

int ctl_providers_store(struct ctl *c, const char *app_id, const struct ctl_providers *p)
{
	struct qn_buf keep;
	const char *id;
	enum qn_err e = QN_OK;
	int status = CTL_OK;

	qn_buf_init(&keep, SHOWN_BYTES);
	qn_buf_char(&keep, '[');
	for (size_t i = 0; i < p->n && status == CTL_OK; i++) {
		struct provider one = p->list[i];
		one.app_id = app_id;
		qn_buf_str(&keep, i > 0 ? "," : "");
		qn_buf_json(&keep, one.name, strlen(one.name));
		e = provider_put(c->db, c->arena, &one, &id);
		status = e == QN_OK ? ctl_provider_secret(c, id, p->secret[i])
		                    : ctl_fail(c, one.name, e);
	}
	qn_buf_char(&keep, ']');
	if (status == CTL_OK) {
		e = provider_prune(c->db, c->arena, app_id, (struct qn_span){keep.p, keep.n});
		status = e == QN_OK ? CTL_OK : ctl_fail(c, "oauth", e);
	}
	qn_buf_done(&keep);
	return status;
}
