#include "billing.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "quoin/auth/seal.h"
#include "quoin/base/rand.h"
#include "quoin/net/form.h"

static const char key_label[] = "quoin stripe key 1", hook_label[] = "quoin stripe webhook 1";

static struct qn_secret secret_of(const struct qn_conf *conf)
{
	return (struct qn_secret){1, qn_span_of(qn_conf_str(conf, QN_CONF_KEY_QUOIN_SECRET_KEY))};
}

/* Bound to its app: in another's row it does not open. */
static bool unseal(const struct qn_conf *conf, struct qn_arena *a, const char *label,
    const char *app, struct qn_span sealed, const char **ret)
{
	struct qn_secret secret = secret_of(conf);
	char *out = qn_alloc(a, sealed.n + 1);

	*ret = out;
	return sealed.p != NULL && sealed.n >= QN_SEAL_OVERHEAD &&
	       qn_unseal(&secret, label, qn_span_of(app), sealed, (uint8_t *)out);
}

static bool seal(const struct qn_conf *conf, struct qn_arena *a, const char *label, const char *app,
    const char *plain, struct qn_span *ret)
{
	struct qn_secret secret = secret_of(conf);
	size_t n = strlen(plain) + QN_SEAL_OVERHEAD;
	uint8_t *out = qn_alloc(a, n);

	*ret = (struct qn_span){(const char *)out, n};
	return qn_seal(&secret, label, qn_span_of(app), qn_span_of(plain), out);
}

enum qn_err qn_billing_open(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const char *app, struct qn_billing *ret)
{
	*ret = (struct qn_billing){.db = db, .stripe = {.conf = conf, .arena = a}};
	enum qn_err e = stripe_account_get(db, a, app, &ret->account);
	if (e != QN_OK)
		return e == QN_NOT_FOUND ? QN_BILLING : e;
	ret->stripe.base = ret->account.api_base[0] != '\0'
	                       ? ret->account.api_base
	                       : qn_conf_str(conf, QN_CONF_KEY_STRIPE_API_BASE);
	ret->why = qn_stripe_base_fault(conf, ret->stripe.base);
	if (ret->why != NULL)
		return QN_BILLING;
	ret->why = "the secret key was sealed with another QUOIN_SECRET_KEY";
	if (!unseal(conf, a, key_label, app, ret->account.key_sealed, &ret->stripe.key))
		return QN_BILLING;
	ret->why = NULL;
	return QN_OK;
}

enum qn_err qn_billing_secrets(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const char *app, const char **ret)
{
	struct stripe_account account;
	enum qn_err e = stripe_account_get(db, a, app, &account);

	if (e != QN_OK)
		return e == QN_NOT_FOUND ? QN_BILLING : e;
	return unseal(conf, a, hook_label, app, account.webhooks_sealed, ret) ? QN_OK : QN_BILLING;
}

enum qn_err qn_billing_put(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    struct stripe_account *in, const char *key, const char *secrets)
{
	if (!seal(conf, a, key_label, in->app_id, key, &in->key_sealed) ||
	    !seal(conf, a, hook_label, in->app_id, secrets, &in->webhooks_sealed))
		return QN_INTERNAL;
	return stripe_account_put(db, a, in);
}

const char *billing_key(struct qn_billing *b, const char *what, ...)
{
	uint8_t hash[QN_SHA256_LEN];
	char hex[2 * QN_SHA256_LEN + 1];
	const char *text = what, *part;
	va_list parts;

	va_start(parts, what);
	while ((part = va_arg(parts, const char *)) != NULL)
		text = qn_printf(b->stripe.arena, "%s\n%s", text, part);
	va_end(parts);
	qn_sha256(text, strlen(text), hash);
	qn_hex(hash, sizeof(hash), hex);
	return qn_printf(b->stripe.arena, "quoin-%s-%s", what, hex);
}

enum qn_err billing_post(struct qn_billing *b, const char *path, struct qn_buf *form,
    const char *key, struct qn_json_object *ret)
{
	struct qn_stripe_ask ask = {"POST", path, form, key};
	enum qn_err e = form->over ? QN_INVALID : qn_stripe_call(&b->stripe, &ask, ret, &b->why);

	qn_buf_done(form);
	return e;
}

enum qn_err billing_get(struct qn_billing *b, const char *path, struct qn_json_object *ret)
{
	return qn_stripe_call(
	    &b->stripe, &(struct qn_stripe_ask){"GET", path, NULL, NULL}, ret, &b->why);
}

void billing_form_i64(struct qn_buf *form, const char *name, int64_t value)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%" PRId64, value);
	qn_form_add(form, name, digits);
}
