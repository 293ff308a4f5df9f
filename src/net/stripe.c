#include "quoin/net/stripe.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "quoin/base/clock.h"
#include "quoin/base/log.h"
#include "quoin/base/rand.h"
#include "quoin/net/outcall.h"

enum { ANSWER_BYTES = 2 * 1024 * 1024, TRIES = 4, PAUSE_MS = 100, PAUSE_MOST_MS = 2000 };

#define DEADLINE_US 12000000 /* of all tries together; a worker has QUOIN_REQUEST_TIMEOUT_S */

const char *qn_stripe_str(struct qn_arena *a, const struct qn_json_object *o, const char *name)
{
	const char *s;

	return qn_json_str(a, qn_json_get(o, name), &s, NULL) ? s : NULL;
}

bool qn_stripe_object(struct qn_arena *a, const struct qn_json_object *o, const char *name,
    struct qn_json_object *ret)
{
	struct qn_span value = qn_json_get(o, name);

	return qn_json_kind(value) == '{' && qn_json_members(a, value, ret);
}

const char *qn_stripe_id(struct qn_arena *a, const struct qn_json_object *o, const char *name)
{
	struct qn_json_object whole;

	return qn_stripe_object(a, o, name, &whole) ? qn_stripe_str(a, &whole, "id")
	                                            : qn_stripe_str(a, o, name);
}

static bool is_loopback(const char *base)
{
	static const char *const hosts[] = {"http://127.0.0.1", "http://localhost", "http://[::1]"};

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		size_t n = strlen(hosts[i]);
		if (strncmp(base, hosts[i], n) == 0 && (base[n] == '\0' || base[n] == ':'))
			return true;
	}
	return false;
}

const char *qn_stripe_base_fault(const struct qn_conf *conf, const char *base)
{
	static const char fit[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:/[]";
	bool https = strncmp(base, "https://", 8) == 0, http = strncmp(base, "http://", 7) == 0;

	if (strspn(base, fit) != strlen(base) || strlen(base) > 200 ||
	    base[strlen(base) - 1] == '/' || (!https && !http))
		return "must be an https:// address without a slash at the end";
	if (http && !is_loopback(base) && !qn_conf_bool(conf, QN_CONF_KEY_QUOIN_OUTBOUND_LOCAL))
		return "must be an https:// address: the secret key goes there";
	return NULL;
}

/* One try of a call. */
struct attempt {
	const struct qn_stripe *s;
	const struct qn_stripe_ask *ask;
	struct qn_outcall_answer answer;
	struct qn_json_object object, error; /* as far as they are there */
	const char *why;
	bool reached;
};

static void call_once(struct attempt *t, int64_t until)
{
	const struct qn_stripe *s = t->s;
	int64_t left = (until - qn_mono_us()) / 1000,
		most = qn_conf_int(s->conf, QN_CONF_KEY_QUOIN_OUTBOUND_TIMEOUT_MS);
	const char *headers[] = {"Stripe-Version: " QN_STRIPE_VERSION, NULL, NULL};
	struct qn_outcall call = {.url = qn_printf(s->arena, "%s%s", s->base, t->ask->path),
	    .timeout_ms = left < most ? left : most,
	    .most = ANSWER_BYTES,
	    .local_ok = strncmp(s->base, "http://", 7) == 0 ||
	                qn_conf_bool(s->conf, QN_CONF_KEY_QUOIN_OUTBOUND_LOCAL),
	    .json = true,
	    .bearer = s->key,
	    .method = t->ask->method,
	    .headers = headers};

	if (t->ask->form != NULL)
		call.form = (struct qn_span){t->ask->form->p, t->ask->form->n};
	if (t->ask->idempotency_key != NULL)
		headers[1] = qn_printf(s->arena, "Idempotency-Key: %s", t->ask->idempotency_key);
	t->object = t->error = (struct qn_json_object){NULL, 0};
	t->reached = qn_outcall_any(s->arena, &call, &t->answer, &t->why) == QN_OK;
	if (t->reached && qn_json_scan(s->arena, t->answer.body, &qn_json_default_limits,
			      &t->object, NULL) != QN_JSON_OK)
		t->object = (struct qn_json_object){NULL, 0};
	if (t->object.members != NULL)
		qn_stripe_object(s->arena, &t->object, "error", &t->error);
}

/* Stripe says itself whether to try again; else what may be otherwise in a moment. */
static bool is_worth_a_try(const struct attempt *t)
{
	if (!t->reached)
		return true;
	if (t->answer.should_retry != NULL)
		return strcmp(t->answer.should_retry, "true") == 0;
	return t->answer.status == 409 || t->answer.status == 429 || t->answer.status >= 500;
}

/* Longer each time, and not all at once; Stripe's word on it counts. */
static int64_t pause_ms(const struct attempt *t, int tries)
{
	uint8_t random;
	int64_t ms = (int64_t)PAUSE_MS << tries;

	qn_random(&random, sizeof(random));
	ms = ms / 2 + ms * random / 512;
	if (t->reached && t->answer.retry_after != NULL)
		ms = strtol(t->answer.retry_after, NULL, 10) * 1000;
	return ms < 0 ? 0 : ms > PAUSE_MOST_MS ? PAUSE_MOST_MS : ms;
}

static const char *said(const struct attempt *t)
{
	const char *code = qn_stripe_str(t->s->arena, &t->error, "code"),
		   *text = qn_stripe_str(t->s->arena, &t->error, "message");

	if (!t->reached)
		return t->why;
	return qn_printf(t->s->arena, "Stripe: %ld %s%s%s", t->answer.status,
	    code != NULL ? code : "", code != NULL ? ": " : "", text != NULL ? text : "");
}

static enum qn_err outcome(const struct attempt *t)
{
	long status = t->reached ? t->answer.status : 0;
	const char *type = qn_stripe_str(t->s->arena, &t->error, "type");

	if (status == 200)
		return t->object.members != NULL ? QN_OK : QN_PAYMENT_DOWN;
	if (status == 401 || status == 403)
		return QN_BILLING;
	if (type != NULL && strcmp(type, "idempotency_error") == 0)
		return status == 409 ? QN_PAYMENT_DOWN : QN_KEY_REUSED;
	if (status == 404)
		return QN_NOT_FOUND;
	if (status == 400 || status == 402)
		return QN_PAYMENT_REFUSED;
	return QN_PAYMENT_DOWN;
}

enum qn_err qn_stripe_call(const struct qn_stripe *s, const struct qn_stripe_ask *ask,
    struct qn_json_object *ret, const char **ret_why)
{
	int64_t until = qn_mono_us() + DEADLINE_US;
	struct attempt t = {.s = s, .ask = ask};

	if (strcmp(ask->method, "POST") == 0 && ask->idempotency_key == NULL)
		qn_fatal("a POST to Stripe without an Idempotency-Key: %s", ask->path);
	for (int tries = 0; tries < TRIES; tries++) {
		call_once(&t, until);
		if (!is_worth_a_try(&t))
			break;
		int64_t ms = pause_ms(&t, tries);
		if (tries + 1 == TRIES || qn_mono_us() + (ms + 200) * 1000 > until)
			break;
		poll(NULL, 0, (int)ms);
	}
	enum qn_err e = outcome(&t);
	*ret_why = e == QN_OK ? NULL : said(&t);
	if (e == QN_OK)
		*ret = t.object;
	else if (e == QN_BILLING)
		qn_log(QN_ERROR, "the secret key is refused: %s", *ret_why);
	return e;
}
