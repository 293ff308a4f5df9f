#include "quoin/auth/webhook.h"

#include <openssl/evp.h>

#include "quoin/auth/outbox.h"
#include "quoin/auth/seal.h"
#include "quoin/base/buf.h"
#include "quoin/base/rand.h"
#include "quoin/base/utf8.h"
#include "quoin/net/outcall.h"

enum {
	SECRET_BYTES = 32,
	LEAST_BYTES = 24,
	MOST_BYTES = 64,
	TEXT_MOST = 88, /* base64 of 64 bytes */
	BODY_BYTES = 1024 * 1024,
	EXCERPT_BYTES = 1024,
	SHOWN_URL = 200,
	ATTEMPTS_MOST = 10, /* as webhook_settle() has it */
};

static const char prefix[] = "whsec_";
static const char label[] = "quoin webhook 1";

static struct qn_secret secret_of(const struct qn_conf *conf)
{
	return (struct qn_secret){1, qn_span_of(qn_conf_str(conf, QN_CONF_KEY_QUOIN_SECRET_KEY))};
}

void qn_webhook_secret(char out[QN_WEBHOOK_SECRET])
{
	uint8_t key[SECRET_BYTES];

	qn_random(key, sizeof(key));
	memcpy(out, prefix, sizeof(prefix) - 1);
	EVP_EncodeBlock((unsigned char *)out + sizeof(prefix) - 1, key, sizeof(key));
	qn_wipe(key, sizeof(key));
}

/* The key of a secret: its bytes, 0 when it is none. `key` has room for TEXT_MOST. */
static size_t key_of(const char *secret, uint8_t key[TEXT_MOST])
{
	if (strncmp(secret, prefix, sizeof(prefix) - 1) != 0)
		return 0;
	const char *text = secret + sizeof(prefix) - 1;
	size_t n = strlen(text), pad = 0;
	if (n == 0 || n > TEXT_MOST || n % 4 != 0)
		return 0;
	while (pad < 2 && text[n - 1 - pad] == '=')
		pad++;
	int got = EVP_DecodeBlock(key, (const unsigned char *)text, (int)n);
	if (got < LEAST_BYTES + (int)pad || got > MOST_BYTES + (int)pad)
		return 0;
	return (size_t)got - pad;
}

bool qn_webhook_sign(const char *secret, const char *id, int64_t seconds, struct qn_span body,
    char out[QN_WEBHOOK_SIGNATURE])
{
	uint8_t key[TEXT_MOST], mac[QN_SHA256_LEN];
	struct qn_buf text;
	size_t n = key_of(secret, key);

	qn_buf_init(&text, BODY_BYTES + 200);
	qn_buf_printf(&text, "%s.%lld.", id, (long long)seconds);
	qn_buf_add(&text, body.p, body.n);
	bool ok = n > 0 && !text.over;
	if (ok) {
		qn_hmac_sha256(key, n, text.p, text.n, mac);
		memcpy(out, "v1,", 3);
		EVP_EncodeBlock((unsigned char *)out + 3, mac, sizeof(mac));
	}
	qn_wipe(key, sizeof(key));
	qn_buf_done(&text);
	return ok;
}

bool qn_webhook_seal(const struct qn_conf *conf, struct qn_arena *a, const char *endpoint,
    const char *secret, struct qn_span *ret)
{
	struct qn_secret with = secret_of(conf);
	size_t n = strlen(secret);
	uint8_t *out = qn_alloc(a, n + QN_SEAL_OVERHEAD);

	*ret = (struct qn_span){(const char *)out, n + QN_SEAL_OVERHEAD};
	return qn_seal(&with, label, qn_span_of(endpoint), (struct qn_span){secret, n}, out);
}

/* One more signature, behind a space; false when the secret does not open. */
static bool add_signature(const struct qn_conf *conf, struct qn_arena *a,
    const struct webhook_due *d, struct qn_span sealed, int64_t seconds, struct qn_span body,
    struct qn_buf *out)
{
	struct qn_secret with = secret_of(conf);
	char signature[QN_WEBHOOK_SIGNATURE];

	if (sealed.n < QN_SEAL_OVERHEAD)
		return false;
	size_t n = sealed.n - QN_SEAL_OVERHEAD;
	char *secret = qn_alloc(a, n + 1);
	bool ok = qn_unseal(&with, label, qn_span_of(d->endpoint_id), sealed, (uint8_t *)secret) &&
	          qn_webhook_sign(secret, d->event_id, seconds, body, signature);
	qn_wipe(secret, n);
	if (ok)
		qn_buf_printf(out, "%s%s", out->n > 0 ? " " : "", signature);
	return ok;
}

/* The new secret's first, then that of the one before while it is good. NULL: the new one's does not open. */
static const char *signatures(const struct qn_conf *conf, struct qn_arena *a,
    const struct webhook_due *d, int64_t seconds, struct qn_span body)
{
	struct qn_buf b;
	const char *ret = NULL;

	qn_buf_init(&b, 4 * QN_WEBHOOK_SIGNATURE);
	if (add_signature(conf, a, d, d->secret_sealed, seconds, body, &b)) {
		if (d->old_secret_sealed.p != NULL)
			(void)add_signature(conf, a, d, d->old_secret_sealed, seconds, body, &b);
		ret = qn_strndup(a, b.p, b.n);
	}
	qn_buf_done(&b);
	return ret;
}

/* The same at each attempt. p NULL: it is too large. */
static struct qn_span body_of(struct qn_arena *a, const struct webhook_due *d)
{
	char at[QN_RFC3339_MAX];
	struct qn_span ret = {NULL, 0};
	struct qn_buf b;

	qn_time_print(at, d->created_at);
	qn_buf_init(&b, BODY_BYTES);
	qn_buf_str(&b, "{\"type\":");
	qn_buf_json(&b, d->type, strlen(d->type));
	qn_buf_printf(&b, ",\"timestamp\":\"%s\",\"data\":", at);
	qn_buf_add(&b, d->data.p, d->data.n);
	qn_buf_char(&b, '}');
	if (!b.over)
		ret = (struct qn_span){qn_strndup(a, b.p, b.n), b.n};
	qn_buf_done(&b);
	return ret;
}

/* How an answer begins, as text that can be kept and shown: what is none becomes question marks. */
static const char *excerpt(struct qn_arena *a, struct qn_span s)
{
	char *out = qn_strndup(a, s.p, s.n < EXCERPT_BYTES ? s.n : EXCERPT_BYTES);
	size_t n = s.n < EXCERPT_BYTES ? s.n : EXCERPT_BYTES;

	for (size_t i = 0; i < n;) {
		size_t len = qn_utf8_len(out + i, n - i);
		bool space = out[i] == '\n' || out[i] == '\t';
		if (len == 0 || ((unsigned char)out[i] < 0x20 && !space) || out[i] == 0x7f) {
			out[i] = '?';
			len = 1;
		}
		i += len;
	}
	return out;
}

static void fails(struct webhook_result *r, const char *why)
{
	*r = (struct webhook_result){.status = QN_I64_NULL, .error = why};
}

/* No answer, or one that says that it is too much or that nobody is in. */
static bool unwell(const struct qn_outcall_told *t)
{
	return t->why != NULL || t->status == 429 || (t->status >= 502 && t->status <= 504);
}

/* Before the watchdog takes the call for a worker that hangs. */
static int64_t deadline_ms(const struct qn_conf *conf)
{
	int64_t wanted = qn_conf_int(conf, QN_CONF_KEY_QUOIN_WEBHOOK_TIMEOUT_MS);
	int64_t most = qn_conf_int(conf, QN_CONF_KEY_QUOIN_REQUEST_TIMEOUT_S) * 750;

	return wanted < most ? wanted : most;
}

static void call(const struct qn_conf *conf, struct qn_arena *a, const struct webhook_due *d,
    struct webhook_result *r)
{
	int64_t seconds = qn_now() / 1000000;
	struct qn_span body = body_of(a, d);
	const char *signed_by = body.p != NULL ? signatures(conf, a, d, seconds, body) : NULL;
	struct qn_outcall_told told;

	if (body.p == NULL || signed_by == NULL) {
		fails(r, body.p == NULL ? "the event is too large" : "its secret does not open");
		return;
	}
	const char *const headers[] = {"Content-Type: application/json",
	    qn_printf(a, "webhook-id: %s", d->event_id),
	    qn_printf(a, "webhook-timestamp: %lld", (long long)seconds),
	    qn_printf(a, "webhook-signature: %s", signed_by), NULL};
	const struct qn_outcall out = {.url = d->url,
	    .timeout_ms = deadline_ms(conf),
	    .most = EXCERPT_BYTES,
	    .local_ok = qn_conf_bool(conf, QN_CONF_KEY_QUOIN_OUTBOUND_LOCAL),
	    .form = body,
	    .headers = headers};
	qn_outcall_tell(a, &out, &told);
	*r = (struct webhook_result){.ok = told.why == NULL && told.status / 100 == 2,
	    .silent = unwell(&told),
	    .status = told.why == NULL ? told.status : QN_I64_NULL,
	    .error = told.why,
	    .response = told.why == NULL ? excerpt(a, told.text) : NULL,
	    .duration_ms = told.us / 1000};
}

/* Without its query, where a token may stand (T33); and no link, as links in mail lead to the app (T12). */
static const char *shown_url(struct qn_arena *a, const char *url)
{
	const char *host = strstr(url, "://");

	url = host != NULL ? host + 3 : url;
	size_t n = strcspn(url, "?");
	return qn_strndup(a, url, n < SHOWN_URL ? n : SHOWN_URL);
}

static enum qn_err tell_owner(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const struct webhook_settled *s)
{
	struct qn_mail_order order = {.app_id = s->app_id,
	    .user_id = s->user_id,
	    .to = s->notify,
	    .template = QN_MAIL_WEBHOOK_DISABLED};

	order.vars.v[QN_MAIL_VAR_URL] = shown_url(a, s->url);
	order.vars.v[QN_MAIL_VAR_REASON] = strcmp(s->disabled, "gone") == 0
	                                       ? "it answered that it is gone (410)"
	                                       : "no call to it has succeeded for five days";
	enum qn_err e = qn_mail_queue(conf, db, a, &order, NULL);
	return e == QN_INVALID ? QN_OK : e; /* no address that mail can be sent to */
}

static enum qn_err settle(
    const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a, struct qn_webhook_call *c)
{
	QN_TX(tx, db);
	QN_TRY(webhook_settle(db, a, &c->due, &c->result, &c->settled));
	if (c->settled.disabled != NULL && c->settled.notify != NULL)
		QN_TRY(tell_owner(conf, db, a, &c->settled));
	return qn_tx_commit(&tx);
}

enum qn_err qn_webhook_next(
    const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a, struct qn_webhook_call *ret)
{
	QN_TRY(webhook_take(db, a, &ret->due));
	if (ret->due.attempts > ATTEMPTS_MOST)
		fails(&ret->result, "no attempt came to its end: each ended its worker");
	else
		call(conf, a, &ret->due, &ret->result);
	return settle(conf, db, a, ret);
}
