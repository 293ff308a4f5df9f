#include "stripe.h"

#include <stdio.h>
#include <string.h>

#include "provider.h"
#include "quoin/base/rand.h"
#include "quoin/billing/billing.h"

enum {
	SHOWN_BYTES = 16 * 1024,
	FINGERPRINT = 6,
	KEY_MOST = 255,
	SECRETS_MOST = 1000,
	METERS_MOST = 20
};

/* The member while it is read. */
struct entry {
	struct ctl *c;
	const char *path;
	struct qn_json_object o;
	bool bad;
};

static int reject(struct entry *e, const char *what)
{
	fprintf(stderr, "quoinctl: %s: stripe: %s\n", e->path, what);
	e->bad = true;
	return CTL_FAILED;
}

static void check_members(struct entry *e)
{
	static const char *const fit[] = {"secret_key", "webhook_secrets", "api_base",
	    "success_path", "cancel_path", "portal_path", "trial_days", "grace_days",
	    "promotion_codes", "meters", "optional", NULL};

	for (size_t i = 0; i < e->o.n; i++) {
		size_t k = 0;
		while (fit[k] != NULL && !qn_span_is(e->o.members[i].name, fit[k]))
			k++;
		if (fit[k] == NULL)
			reject(e, qn_printf(e->c->arena, "\"%.*s\" is not known; see docs/apps.md",
				      (int)e->o.members[i].name.n, e->o.members[i].name.p));
	}
}

/* A string of printable ASCII without quotes, or `otherwise`. */
static const char *text(struct entry *e, const char *member, const char *otherwise, size_t most)
{
	struct qn_span value = qn_json_get(&e->o, member);
	const char *s;

	if (value.p == NULL)
		return otherwise;
	bool ok = qn_json_str(e->c->arena, value, &s, NULL) && strlen(s) <= most;
	for (const char *p = ok ? s : ""; *p != '\0'; p++)
		ok = ok && *p >= 0x20 && *p <= 0x7e && *p != '"' && *p != '\\';
	if (ok)
		return s;
	reject(e, qn_printf(e->c->arena,
		      "\"%s\" must be a string of at most %zu characters of ASCII", member, most));
	return "";
}

static const char *need(struct entry *e, const char *member, size_t most)
{
	const char *s = text(e, member, "", most);

	if (s[0] == '\0')
		reject(e, qn_printf(e->c->arena, "\"%s\" must be a string", member));
	return s;
}

/* What is put behind the app's frontend URL. */
static const char *page(struct entry *e, const char *member, const char *otherwise)
{
	const char *s = text(e, member, otherwise, 500);

	if (s[0] != '/')
		reject(e, qn_printf(e->c->arena, "\"%s\" must begin with /", member));
	return s;
}

static int64_t days(struct entry *e, const char *member, int64_t otherwise, int64_t most)
{
	struct qn_span value = qn_json_get(&e->o, member);
	int64_t n = otherwise;

	if (value.p != NULL && (!qn_json_i64(value, &n) || n < 0 || n > most))
		reject(e, qn_printf(e->c->arena, "\"%s\" must be a number of 0 to %d", member,
			      (int)most));
	return n;
}

/* Between commas or spaces; with single spaces as they are kept. */
static const char *secrets(struct entry *e)
{
	const char *all = need(e, "webhook_secrets", SECRETS_MOST), *out = "";

	for (const char *p = all + strspn(all, ", "); *p != '\0'; p += strspn(p, ", ")) {
		size_t n = strcspn(p, ", ");
		out = qn_printf(e->c->arena, "%s%s%.*s", out, out[0] != '\0' ? " " : "", (int)n, p);
		p += n;
	}
	return out;
}

static struct qn_span meters(struct entry *e)
{
	struct qn_span value = qn_json_get(&e->o, "meters");
	struct qn_json_object o;
	const char *s;

	if (value.p == NULL)
		return QN_SPAN_LIT("{}");
	bool ok = qn_json_members(e->c->arena, value, &o) && o.n <= METERS_MOST;
	for (size_t i = 0; ok && i < o.n; i++)
		ok = qn_json_str(e->c->arena, o.members[i].value, &s, NULL) && s[0] != '\0' &&
		     strlen(s) <= 100;
	if (!ok)
		reject(e, "\"meters\" must be an object of meters and their event names at Stripe");
	return value;
}

static void read_account(struct entry *e, struct ctl_stripe *s)
{
	struct stripe_account *a = &s->account;
	struct qn_span codes = qn_json_get(&e->o, "promotion_codes");
	const char *fault = NULL;
	bool yes = false;

	s->key = need(e, "secret_key", KEY_MOST);
	s->secrets = secrets(e);
	a->api_base = text(e, "api_base", "", 200);
	a->success_path =
	    page(e, "success_path", "/billing/success?session_id={CHECKOUT_SESSION_ID}");
	a->cancel_path = page(e, "cancel_path", "/billing/cancel");
	a->portal_path = page(e, "portal_path", "/settings");
	a->trial_days = days(e, "trial_days", 0, 730);
	a->grace_days = days(e, "grace_days", 7, 90);
	if (codes.p != NULL && !qn_json_bool(codes, &yes))
		reject(e, "\"promotion_codes\" must be true or false");
	a->promotion_codes = yes;
	a->meters = meters(e);
	if (a->api_base[0] != '\0')
		fault = qn_stripe_base_fault(e->c->conf, a->api_base);
	if (fault != NULL)
		reject(e, qn_printf(e->c->arena, "\"api_base\" %s", fault));
}

/* Tells one secret from another and nothing else of it. */
static const char *fingerprint(const struct ctl *c, const char *what, const char *secret)
{
	const char *key = qn_conf_str(c->conf, QN_CONF_KEY_QUOIN_SECRET_KEY);
	const char *said = qn_printf(c->arena, "quoin stripe secret\n%s\n%s", what, secret);
	uint8_t mac[QN_SHA256_LEN];
	char hex[2 * FINGERPRINT + 1];

	qn_hmac_sha256(key, strlen(key), said, strlen(said), mac);
	qn_hex(mac, FINGERPRINT, hex);
	return qn_printf(c->arena, "sealed:%s", hex);
}

static struct qn_span shown(const struct ctl *c, const struct ctl_stripe *s)
{
	const struct stripe_account *a = &s->account;
	struct qn_buf b;

	qn_buf_init(&b, SHOWN_BYTES);
	qn_buf_printf(&b, "{\"secret_key\":\"%s\",\"webhook_secrets\":\"%s\",",
	    fingerprint(c, "key", s->key), fingerprint(c, "webhooks", s->secrets));
	qn_buf_printf(&b,
	    "\"api_base\":\"%s\",\"success_path\":\"%s\",\"cancel_path\":\"%s\",\"portal_path\":\"%s\",",
	    a->api_base, a->success_path, a->cancel_path, a->portal_path);
	qn_buf_printf(&b, "\"trial_days\":%d,\"grace_days\":%d,\"promotion_codes\":%s,\"meters\":",
	    (int)a->trial_days, (int)a->grace_days, a->promotion_codes == 1 ? "true" : "false");
	qn_buf_add(&b, a->meters.p, a->meters.n);
	qn_buf_char(&b, '}');
	struct qn_span out = {qn_strndup(c->arena, b.p, b.n), b.n};
	qn_buf_done(&b);
	return out;
}

int ctl_stripe_read(struct ctl *c, const char *path, struct qn_span member, struct ctl_stripe *ret)
{
	struct entry e = {.c = c, .path = path};
	bool optional = false;

	*ret = (struct ctl_stripe){.there = false, .shown = QN_SPAN_LIT("{}")};
	if (member.p == NULL)
		return CTL_OK;
	if (!qn_json_members(c->arena, member, &e.o))
		return reject(&e, "must be an object");
	qn_json_bool(qn_json_get(&e.o, "optional"), &optional);
	if (memmem(member.p, member.n, CTL_UNSET, 3) != NULL)
		return optional ? CTL_OK : reject(&e, "names a variable that has no value");
	check_members(&e);
	read_account(&e, ret);
	if (e.bad || !ctl_has_secret(c))
		return CTL_FAILED;
	ret->there = true;
	ret->shown = shown(c, ret);
	return CTL_OK;
}

int ctl_stripe_store(struct ctl *c, const char *app_id, struct ctl_stripe *s)
{
	enum qn_err e;

	s->account.app_id = app_id;
	if (s->there)
		e = qn_billing_put(c->conf, c->db, c->arena, &s->account, s->key, s->secrets);
	else
		e = stripe_account_remove(c->db, c->arena, app_id);
	return e == QN_OK ? CTL_OK : ctl_fail(c, "stripe", e);
}
