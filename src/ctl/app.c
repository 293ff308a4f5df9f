/* app: apply, show, list. An app is a file (DESIGN §3, docs/apps.md); this is its only reader. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provider.h"
#include "quoin/auth/jwk.h"
#include "quoin/auth/registry.h"
#include "quoin/base/json.h"
#include "quoin/net/address.h"
#include "quoin/store/app.h"
#include "stripe.h"

enum { FILE_BYTES = 1024 * 1024 };

struct file {
	struct ctl *c;
	const char *path;
	struct qn_json_object top;
	struct ctl_providers providers;
	struct ctl_stripe stripe;
};

static int reject(const char *path, const char *where, const char *what)
{
	fprintf(stderr, "quoinctl: %s: %s: %s\n", path, where, what);
	return CTL_FAILED;
}

static bool read_file(const char *path, struct qn_buf *out)
{
	char block[8192];
	size_t n;
	FILE *f = fopen(path, "re");

	if (f == NULL)
		return false;
	while ((n = fread(block, 1, sizeof(block), f)) > 0)
		qn_buf_add(out, block, n);
	bool ok = ferror(f) == 0 && !out->over && out->n > 0;
	fclose(f);
	return ok;
}

/* ${NAME} or ${NAME:-otherwise} at p (behind "${"); what follows it. */
static const char *expand_one(
    struct qn_arena *a, const char *p, const char *close, struct qn_buf *out)
{
	size_t n = strcspn(p, ":}");
	const char *name = qn_strndup(a, p, n);
	const char *value = getenv(name);
	struct qn_buf quoted;

	if (value == NULL || value[0] == '\0') {
		if (p[n] == ':' && p[n + 1] == '-') {
			qn_buf_add(out, p + n + 2, (size_t)(close - p) - n - 2);
		} else {
			qn_buf_str(out, CTL_UNSET);
			qn_buf_str(out, name);
		}
		return close + 1;
	}
	qn_buf_init(&quoted, FILE_BYTES);
	qn_buf_json(&quoted, value, strlen(value));
	qn_buf_add(out, quoted.p + 1, quoted.n - 2);
	qn_buf_done(&quoted);
	return close + 1;
}

/* Variables of the environment are put in before the text is read. */
static void expand(struct qn_arena *a, const char *text, struct qn_buf *out)
{
	for (;;) {
		const char *at = strstr(text, "${");
		const char *close = at != NULL ? strchr(at, '}') : NULL;
		if (close == NULL)
			break;
		qn_buf_add(out, text, (size_t)(at - text));
		text = expand_one(a, at + 2, close, out);
	}
	qn_buf_str(out, text);
}

/* A string member, or NULL after saying that it is missing. */
static const char *need_str(
    const struct file *f, const struct qn_json_object *o, const char *where, const char *name)
{
	const char *s;

	if (qn_json_str(f->c->arena, qn_json_get(o, name), &s, NULL) && s[0] != '\0')
		return s;
	reject(f->path, where, qn_printf(f->c->arena, "\"%s\" must be a string", name));
	return NULL;
}

static bool unset(struct qn_span s)
{
	return memmem(s.p, s.n, CTL_UNSET, 3) != NULL;
}

/* "RS256 ES256", RS256 when none are named; NULL when one is not known. */
static const char *algorithms(struct qn_arena *a, struct qn_span list)
{
	struct qn_span *items;
	const char *all = "", *name;
	size_t n = 0;

	if (list.p == NULL)
		return "RS256";
	if (!qn_json_elements(a, list, &items, &n) || n == 0)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (!qn_json_str(a, items[i], &name, NULL) || qn_alg_by_name(name) == QN_ALG_NONE)
			return NULL;
		all = qn_printf(a, "%s%s%s", all, i > 0 ? " " : "", name);
	}
	return all;
}

/* One issuer; adds its name to `keep`. An optional one whose variables have no value is left out. */
static int apply_issuer(
    struct file *f, const char *app_id, const char *own, struct qn_span text, struct qn_buf *keep)
{
	struct qn_arena *a = f->c->arena;
	struct qn_json_object o;
	bool optional = false;

	if (!qn_json_members(a, text, &o))
		return reject(f->path, "issuers", "each must be an object");
	qn_json_bool(qn_json_get(&o, "optional"), &optional);
	if (unset(text))
		return optional
		           ? CTL_OK
		           : reject(f->path, "issuers", "one names a variable that has no value");
	const char *issuer = need_str(f, &o, "issuers", "issuer"),
		   *audience = need_str(f, &o, "issuers", "audience");
	const char *url = need_str(f, &o, "issuers", "jwks_url"),
		   *algs = algorithms(a, qn_json_get(&o, "algorithms"));
	if (issuer == NULL || audience == NULL || url == NULL)
		return CTL_FAILED;
	if (algs == NULL)
		return reject(
		    f->path, issuer, "\"algorithms\" must name some of RS256, ES256, EdDSA");
	if (strcmp(issuer, own) == 0)
		return reject(
		    f->path, issuer, "is this app's own issuer: only Quoin speaks in its name");
	if (strncmp(url, "https://", 8) != 0 &&
	    !qn_conf_bool(f->c->conf, QN_CONF_KEY_QUOIN_OUTBOUND_LOCAL))
		return reject(f->path, issuer, "\"jwks_url\" must be https");
	qn_buf_str(keep, keep->n > 1 ? "," : "");
	qn_buf_json(keep, issuer, strlen(issuer));
	enum qn_err e = issuer_put(f->c->db, a, app_id, issuer, audience, url, algs);
	return e == QN_OK ? CTL_OK : ctl_fail(f->c, issuer, e);
}

static int apply_issuers(struct file *f, const char *slug, const char *app_id)
{
	const char *own = qn_own_issuer(f->c->arena, f->c->conf, &f->top, slug);
	struct qn_span list = qn_json_get(&f->top, "issuers"), *items = NULL;
	struct qn_buf keep;
	size_t n = 0;
	int status = CTL_OK;

	if (list.p != NULL && !qn_json_elements(f->c->arena, list, &items, &n))
		return reject(f->path, "issuers", "must be a list");
	qn_buf_init(&keep, FILE_BYTES);
	qn_buf_char(&keep, '[');
	for (size_t i = 0; i < n && status == CTL_OK; i++)
		status = apply_issuer(f, app_id, own, items[i], &keep);
	qn_buf_char(&keep, ']');
	if (status == CTL_OK) {
		enum qn_err e =
		    issuer_prune(f->c->db, f->c->arena, app_id, (struct qn_span){keep.p, keep.n});
		status = e == QN_OK ? CTL_OK : ctl_fail(f->c, "issuers", e);
	}
	qn_buf_done(&keep);
	return status;
}

/* What a member of the file must be: { [ " or any number or text. Unknown members are refused. */
static const struct {
	const char *name;
	char kind;
} members[] = {
    {"slug", '"'},
    {"name", '"'},
    {"hosts", '['},
    {"origins", '['},
    {"frontend_url", '"'},
    {"public_url", '"'},
    {"issuers", '['},
    {"dialect", '{'},
    {"token", '{'},
    {"plans", '['},
    {"address_limits", '['},
    {"licence", '{'},
    {"api_key_prefix", '"'},
    {"mail", '{'},
    {"oauth", '['},
    {"webauthn", '{'},
    {"stripe", '{'},
};

static int check_member(const struct file *f, const struct qn_json_member *m)
{
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		if (!qn_span_is(m->name, members[i].name))
			continue;
		if (qn_json_kind(m->value) != members[i].kind)
			return reject(
			    f->path, members[i].name, "is of the wrong kind; see docs/apps.md");
		if (strcmp(members[i].name, "issuers") != 0 &&
		    strcmp(members[i].name, "oauth") != 0 &&
		    strcmp(members[i].name, "stripe") != 0 && unset(m->value))
			return reject(
			    f->path, members[i].name, "names a variable that has no value");
		return CTL_OK;
	}
	return reject(f->path, qn_strndup(f->c->arena, m->name.p, m->name.n),
	    "is not known; see docs/apps.md");
}

/* Host names and origins end in nginx's maps: nothing but their own characters may be in them. */
static int check_names(const struct file *f, const char *list)
{
	static const char fit[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:/[]";
	struct qn_span *items = NULL;
	const char *s;
	size_t n = 0;

	if (qn_json_get(&f->top, list).p != NULL &&
	    !qn_json_elements(f->c->arena, qn_json_get(&f->top, list), &items, &n))
		return reject(f->path, list, "must be a list");
	for (size_t i = 0; i < n; i++) {
		if (!qn_json_str(f->c->arena, items[i], &s, NULL) || s[0] == '\0' ||
		    strspn(s, fit) != strlen(s))
			return reject(f->path, list, "holds something that is no host or origin");
		if (strcmp(list, "origins") == 0 && strncmp(s, "https://", 8) != 0 &&
		    strncmp(s, "http://", 7) != 0)
			return reject(f->path, list, "an origin begins with https:// or http://");
	}
	return CTL_OK;
}

/* What links and redirections begin with: an address of a web page, and nothing behind a ? or #. */
static int check_url(const struct file *f, const char *member)
{
	static const char fit[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_~:/[]";
	const char *url;

	if (!qn_json_str(f->c->arena, qn_json_get(&f->top, member), &url, NULL))
		return CTL_OK;
	size_t scheme = strncmp(url, "https://", 8) == 0  ? 8
	                : strncmp(url, "http://", 7) == 0 ? 7
	                                                  : 0;
	if (scheme == 0 || url[scheme] == '\0' || url[scheme] == '/' ||
	    strspn(url, fit) != strlen(url) || strlen(url) > 200)
		return reject(f->path, member, "must be the https:// or http:// address of a page");
	return CTL_OK;
}

/* Empty is as good as absent: it may come from a variable. */
static int check_public_url(const struct file *f)
{
	const char *url;

	if (!qn_json_str(f->c->arena, qn_json_get(&f->top, "public_url"), &url, NULL) ||
	    url[0] == '\0')
		return CTL_OK;
	return check_url(f, "public_url");
}

static int check_mail(const struct file *f)
{
	struct qn_span mail = qn_json_get(&f->top, "mail");
	struct qn_json_object o;
	struct qn_sender sender;

	if (mail.p == NULL || !qn_json_members(f->c->arena, mail, &o))
		return CTL_OK;
	const char *from = need_str(f, &o, "mail", "from");
	if (from == NULL)
		return CTL_FAILED;
	if (!qn_sender_parse(f->c->arena, from, &sender))
		return reject(
		    f->path, "mail.from", "must be an address, or a name and an <address>");
	return CTL_OK;
}

static int check_plans(const struct file *f)
{
	const char *where, *fault = ctl_plans_fault(f->c->arena, &f->top, &where);

	return fault != NULL ? reject(f->path, where, fault) : CTL_OK;
}

/* A passkey's domain is the host of the frontend or above it: a browser takes no other. */
static int check_webauthn(const struct file *f)
{
	const char *id = qn_rp_id(f->c->arena, &f->top, "");
	const char *host = qn_rp_id(f->c->arena, &(struct qn_json_object){NULL, 0},
	    qn_frontend_url(f->c->arena, f->c->conf, &f->top));
	struct qn_json_object o;
	size_t n = strlen(id), all = strlen(host);

	if (qn_json_get(&f->top, "webauthn").p == NULL)
		return CTL_OK;
	if (!qn_json_members(f->c->arena, qn_json_get(&f->top, "webauthn"), &o) ||
	    need_str(f, &o, "webauthn", "rp_id") == NULL)
		return CTL_FAILED;
	if (n > all || strcmp(host + all - n, id) != 0 ||
	    (n < all && (host[all - n - 1] != '.' || strchr(id, '.') == NULL)))
		return reject(f->path, "webauthn.rp_id",
		    "must be the host of frontend_url, or a domain that it is in");
	return CTL_OK;
}

static int check_all(const struct file *f)
{
	for (size_t i = 0; i < f->top.n; i++)
		if (check_member(f, &f->top.members[i]) != CTL_OK)
			return CTL_FAILED;
	if (check_names(f, "hosts") != CTL_OK || check_names(f, "origins") != CTL_OK ||
	    check_url(f, "frontend_url") != CTL_OK || check_public_url(f) != CTL_OK)
		return CTL_FAILED;
	if (check_mail(f) != CTL_OK || check_plans(f) != CTL_OK)
		return CTL_FAILED;
	return check_webauthn(f);
}

static bool same(struct qn_span a, struct qn_span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Member by member: + new, ~ changed, - gone. Whether there was any difference. */
static bool show_diff(
    const char *slug, const struct qn_json_object *before, const struct qn_json_object *after)
{
	bool any = false;

	for (size_t i = 0; i < after->n; i++) {
		struct qn_span old = {NULL, 0};
		for (size_t k = 0; k < before->n; k++)
			if (same(before->members[k].name, after->members[i].name))
				old = before->members[k].value;
		if (same(old, after->members[i].value))
			continue;
		printf("%s: %c %.*s\n", slug, old.p == NULL ? '+' : '~',
		    (int)after->members[i].name.n, after->members[i].name.p);
		any = true;
	}
	for (size_t k = 0; k < before->n; k++) {
		bool kept = false;
		for (size_t i = 0; i < after->n; i++)
			kept = kept || same(before->members[k].name, after->members[i].name);
		if (!kept)
			printf("%s: - %.*s\n", slug, (int)before->members[k].name.n,
			    before->members[k].name.p);
		any = any || !kept;
	}
	return any;
}

/* The file as it is kept: of the providers only what may be shown. */
static struct qn_span kept_text(struct file *f)
{
	struct qn_buf b;

	qn_buf_init(&b, 2 * FILE_BYTES);
	for (size_t i = 0; i < f->top.n; i++) {
		struct qn_json_member *m = &f->top.members[i];
		if (qn_span_is(m->name, "oauth"))
			m->value = f->providers.shown;
		if (qn_span_is(m->name, "stripe"))
			m->value = f->stripe.shown;
		qn_buf_str(&b, i > 0 ? ",\n" : "{");
		qn_buf_json(&b, m->name.p, m->name.n);
		qn_buf_char(&b, ':');
		qn_buf_add(&b, m->value.p, m->value.n);
	}
	qn_buf_char(&b, '}');
	struct qn_span out = {qn_strndup(f->c->arena, b.p, b.n), b.n};
	qn_buf_done(&b);
	return out;
}

static int store(struct file *f)
{
	const char *slug = need_str(f, &f->top, "app", "slug"),
		   *name = need_str(f, &f->top, "app", "name"), *id;
	struct qn_json_object before = {NULL, 0};
	struct app_row row;

	if (slug == NULL || name == NULL)
		return CTL_FAILED;
	if (ctl_providers_read(f->c, f->path, qn_json_get(&f->top, "oauth"), &f->providers) !=
	    CTL_OK)
		return CTL_FAILED;
	if (ctl_stripe_read(f->c, f->path, qn_json_get(&f->top, "stripe"), &f->stripe) != CTL_OK)
		return CTL_FAILED;
	struct qn_span text = kept_text(f);
	QN_TX(tx, f->c->db);
	enum qn_err e = app_by_slug(f->c->db, f->c->arena, slug, &row);
	if (e == QN_OK)
		qn_json_members(f->c->arena, row.config, &before);
	else if (e != QN_NOT_FOUND)
		return ctl_fail(f->c, slug, e);
	e = app_put(f->c->db, f->c->arena, slug, name, text, &id);
	if (e != QN_OK)
		return ctl_fail(f->c, slug, e);
	if (apply_issuers(f, slug, id) != CTL_OK ||
	    ctl_providers_store(f->c, id, &f->providers) != CTL_OK ||
	    ctl_stripe_store(f->c, id, &f->stripe) != CTL_OK)
		return CTL_FAILED;
	e = qn_tx_commit(&tx);
	if (e != QN_OK)
		return ctl_fail(f->c, slug, e);
	if (!show_diff(slug, &before, &f->top))
		printf("%s: unchanged\n", slug);
	return CTL_OK;
}

static int apply_file(struct ctl *c, const char *path)
{
	struct file f = {.c = c, .path = path};
	struct qn_buf raw, text;
	size_t offset = 0;
	int status;

	qn_buf_init(&raw, FILE_BYTES);
	qn_buf_init(&text, FILE_BYTES);
	if (!read_file(path, &raw)) {
		status = reject(path, "file", "cannot be read, is empty, or is larger than 1 MiB");
	} else {
		expand(c->arena, raw.p, &text);
		struct qn_span span = {qn_strndup(c->arena, text.p, text.n), text.n};
		enum qn_json_err e =
		    qn_json_scan(c->arena, span, &qn_json_default_limits, &f.top, &offset);
		if (e != QN_JSON_OK)
			status = reject(
			    path, qn_printf(c->arena, "byte %zu", offset), qn_json_err_text(e));
		else if (f.top.members == NULL)
			status = reject(path, "file", "must be a JSON object");
		else
			status = check_all(&f) == CTL_OK ? store(&f) : CTL_FAILED;
	}
	qn_buf_done(&raw);
	qn_buf_done(&text);
	return status;
}

static int show(struct ctl *c, const char *slug)
{
	struct app_row row;

	if (ctl_app_id(c, slug) == NULL)
		return CTL_FAILED;
	enum qn_err e = app_by_slug(c->db, c->arena, slug, &row);
	if (e != QN_OK)
		return ctl_fail(c, slug, e);
	printf("%.*s\n", (int)row.config.n, row.config.p);
	return CTL_OK;
}

static int list(struct ctl *c)
{
	struct qn_list apps;
	enum qn_err e = app_list(c->db, c->arena, &apps);
	const struct app_row *rows = apps.items;

	if (e != QN_OK)
		return ctl_fail(c, "apps", e);
	for (size_t i = 0; i < apps.n; i++)
		printf("%-20s %s  %s\n", rows[i].slug, rows[i].id, rows[i].name);
	return CTL_OK;
}

int ctl_app(struct ctl *c, int argc, char **argv)
{
	int status = CTL_OK;

	if (argc == 1 && strcmp(argv[0], "list") == 0)
		return list(c);
	if (argc == 2 && strcmp(argv[0], "show") == 0)
		return show(c, argv[1]);
	if (argc < 2 || strcmp(argv[0], "apply") != 0)
		return ctl_usage("app");
	for (int i = 1; i < argc; i++)
		if (apply_file(c, argv[i]) != CTL_OK)
			status = CTL_FAILED;
	return status;
}
