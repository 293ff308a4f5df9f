#include "oauth.h"

#include <string.h>

#include "quoin/auth/seal.h"
#include "quoin/net/address.h"
#include "quoin/net/form.h"
#include "quoin/net/outcall.h"

enum {
	ADDRESS_BYTES = 4096,
	FORM_BYTES = 16384,
	ANSWER_BYTES = 64 * 1024,
	TOKEN_MOST = 4096,
	SECRET_MOST = 1000,
	PICTURE_MOST = 2000
};

static const char verifier_label[] = "quoin oauth verifier 1",
		  secret_label[] = "quoin client secret 1";

/* what is made up, and how it is kept */

void qn_oauth_flow_new(struct qn_oauth_flow *ret)
{
	qn_opaque_new(&ret->state);
	qn_opaque_new(&ret->browser);
	qn_opaque_new(&ret->nonce);
	qn_opaque_new(&ret->verifier);
}

static struct qn_secret secret_of(const struct qn_conf *conf)
{
	return (struct qn_secret){1, qn_span_of(qn_conf_str(conf, QN_CONF_KEY_QUOIN_SECRET_KEY))};
}

static bool seal(const struct qn_conf *conf, struct qn_arena *a, const char *label,
    struct qn_span context, struct qn_span plain, struct qn_span *ret)
{
	struct qn_secret secret = secret_of(conf);
	uint8_t *out = qn_alloc(a, plain.n + QN_SEAL_OVERHEAD);

	*ret = (struct qn_span){(const char *)out, plain.n + QN_SEAL_OVERHEAD};
	return qn_seal(&secret, label, context, plain, out);
}

static bool unseal(const struct qn_conf *conf, struct qn_arena *a, const char *label,
    struct qn_span context, struct qn_span sealed, const char **ret)
{
	struct qn_secret secret = secret_of(conf);
	char *out = qn_alloc(a, sealed.n + 1);

	*ret = out;
	return sealed.p != NULL && qn_unseal(&secret, label, context, sealed, (uint8_t *)out);
}

static struct qn_span digest(const uint8_t hash[QN_SHA256_LEN])
{
	return (struct qn_span){(const char *)hash, QN_SHA256_LEN};
}

bool qn_oauth_seal_verifier(const struct qn_conf *conf, struct qn_arena *a,
    const uint8_t state[QN_SHA256_LEN], const struct qn_opaque *verifier, struct qn_span *ret)
{
	return seal(conf, a, verifier_label, digest(state),
	    (struct qn_span){verifier->text, QN_OPAQUE_LEN}, ret);
}

bool qn_oauth_open_verifier(const struct qn_conf *conf, struct qn_arena *a,
    const uint8_t state[QN_SHA256_LEN], struct qn_span sealed, const char **ret)
{
	return unseal(conf, a, verifier_label, digest(state), sealed, ret);
}

bool qn_provider_seal(const struct qn_conf *conf, struct qn_arena *a, const char *provider_id,
    const char *secret, struct qn_span *ret)
{
	return strlen(secret) <= SECRET_MOST &&
	       seal(conf, a, secret_label, qn_span_of(provider_id), qn_span_of(secret), ret);
}

/* the way there */

const char *qn_oauth_address(struct qn_arena *a, const struct provider *p,
    const struct qn_oauth_flow *f, const char *redirect_uri)
{
	char challenge[QN_OPAQUE_LEN + 1];
	struct qn_buf b;

	qn_b64url_encode(f->verifier.hash, QN_SHA256_LEN, challenge);
	qn_buf_init(&b, ADDRESS_BYTES);
	qn_buf_str(&b, p->authorize_url);
	qn_buf_char(&b, strchr(p->authorize_url, '?') != NULL ? '&' : '?');
	qn_form_add(&b, "client_id", p->client_id);
	qn_form_add(&b, "redirect_uri", redirect_uri);
	qn_form_add(&b, "response_type", "code");
	qn_form_add(&b, "scope", p->scopes);
	qn_form_add(&b, "state", f->state.text);
	qn_form_add(&b, "code_challenge", challenge);
	qn_form_add(&b, "code_challenge_method", "S256");
	if (strcmp(p->kind, "oidc") == 0)
		qn_form_add(&b, "nonce", f->nonce.text);
	const char *out = qn_strndup(a, b.p, b.n);
	qn_buf_done(&b);
	return out;
}

bool qn_oauth_url_ok(const struct qn_conf *conf, const char *url)
{
	static const char fit[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_~:/[]?=&%+,";
	size_t scheme = strncmp(url, "https://", 8) == 0 ? 8
	                : strncmp(url, "http://", 7) == 0 &&
	                        qn_conf_bool(conf, QN_CONF_KEY_QUOIN_OUTBOUND_LOCAL)
	                    ? 7
	                    : 0;

	return scheme > 0 && strlen(url) <= 500 && strspn(url, fit) == strlen(url) &&
	       url[scheme] != '\0' && strchr("/?:", url[scheme]) == NULL;
}

/* and back */

enum qn_err qn_oauth_refuse(struct qn_oauth_try *t, const char *why)
{
	t->why = why;
	return QN_BAD_CODE;
}

static struct qn_outcall call_of(const struct qn_oauth_try *t, const char *url)
{
	int64_t left = (t->until - qn_mono_us()) / 1000;

	return (struct qn_outcall){
	    .url = url,
	    .timeout_ms = left > 1 ? left : 1, /* 0 would be for ever */
	    .most = ANSWER_BYTES,
	    .local_ok = qn_conf_bool(t->in->conf, QN_CONF_KEY_QUOIN_OUTBOUND_LOCAL),
	    .json = true,
	};
}

enum qn_err qn_oauth_get(
    struct qn_oauth_try *t, const char *url, const char *access_token, struct qn_span *ret)
{
	struct qn_outcall call = call_of(t, url);
	const char *why;

	call.bearer = access_token;
	return qn_outcall_get(t->in->arena, &call, ret, &why) == QN_OK
	           ? QN_OK
	           : qn_oauth_refuse(t, qn_printf(t->in->arena, "%s: %s", url, why));
}

bool qn_oauth_scan(struct qn_arena *a, struct qn_span text, struct qn_json_object *ret_root)
{
	static const struct qn_json_limits limits = {.depth = 16, .nodes = 4096};

	return qn_json_scan(a, text, &limits, ret_root, NULL) == QN_JSON_OK;
}

const char *qn_oauth_str(
    struct qn_arena *a, const struct qn_json_object *o, const char *name, size_t most)
{
	struct qn_span value = qn_json_get(o, name);
	const char *s;
	size_t n;

	if (value.p == NULL || !qn_json_str(a, value, &s, &n) || n == 0 || n > most)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return NULL;
	return s;
}

/* What is put into a header is of the characters that RFC 6750 §2.1 allows. */
const char *qn_oauth_access_token(struct qn_arena *a, const struct qn_json_object *tokens)
{
	static const char fit[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/=";
	const char *s = qn_oauth_str(a, tokens, "access_token", TOKEN_MOST);

	return s != NULL && strspn(s, fit) == strlen(s) ? s : NULL;
}

static void write_form(const struct qn_oauth_try *t, struct qn_buf *b)
{
	const struct qn_oauth_answer *in = t->in;

	qn_form_add(b, "grant_type", "authorization_code");
	qn_form_add(b, "code", in->code);
	qn_form_add(b, "redirect_uri", in->redirect_uri);
	qn_form_add(b, "code_verifier", in->verifier);
	if (strcmp(in->provider->token_auth, "post") == 0) {
		qn_form_add(b, "client_id", in->provider->client_id);
		qn_form_add(b, "client_secret", t->secret);
	}
}

static enum qn_err exchange(struct qn_oauth_try *t, struct qn_json_object *ret)
{
	const struct provider *p = t->in->provider;
	struct qn_outcall call = call_of(t, p->token_url);
	struct qn_span text;
	struct qn_buf form;
	const char *why;

	if (strcmp(p->token_auth, "basic") == 0) { /* encoded before: RFC 6749 §2.3.1 */
		call.user = qn_form_encode(t->in->arena, p->client_id);
		call.password = qn_form_encode(t->in->arena, t->secret);
	}
	qn_buf_init(&form, FORM_BYTES);
	write_form(t, &form);
	call.form = (struct qn_span){form.p, form.n};
	enum qn_err e = form.over ? QN_BAD_CODE : qn_outcall_post(t->in->arena, &call, &text, &why);
	if (form.over)
		why = "the code is too long";
	qn_wipe(form.p, form.n);
	qn_buf_done(&form);
	if (e != QN_OK)
		return qn_oauth_refuse(t, qn_printf(t->in->arena, "%s: %s", p->token_url, why));
	if (!qn_oauth_scan(t->in->arena, text, ret) || ret->members == NULL)
		return qn_oauth_refuse(t, "the token endpoint's answer is no JSON object");
	return QN_OK;
}

/* What describes the user and decides nothing: what is odd is left out. "Ada Lovelace" is Ada, Lovelace (C7). */
static void tidy(struct qn_arena *a, struct qn_profile *p)
{
	const char *space = p->name != NULL ? strchr(p->name, ' ') : NULL;

	if (p->first_name == NULL && p->name != NULL)
		p->first_name =
		    space != NULL ? qn_strndup(a, p->name, (size_t)(space - p->name)) : p->name;
	if (p->last_name == NULL && space != NULL && space[1] != '\0')
		p->last_name = space + 1;
	if (p->name == NULL && p->first_name != NULL)
		p->name = p->last_name != NULL ? qn_printf(a, "%s %s", p->first_name, p->last_name)
		                               : p->first_name;
	if (p->picture != NULL &&
	    (strlen(p->picture) > PICTURE_MOST || (strncmp(p->picture, "https://", 8) != 0 &&
						      strncmp(p->picture, "http://", 7) != 0)))
		p->picture = NULL;
	if (p->email != NULL && !qn_address_ok(qn_span_of(p->email)))
		p->email = NULL;
	p->email_verified = p->email_verified && p->email != NULL;
}

enum qn_err qn_oauth_finish(
    const struct qn_oauth_answer *in, struct qn_profile *ret, const char **ret_why)
{
	struct qn_oauth_try t = {.in = in,
	    .until =
		qn_mono_us() + 1000 * qn_conf_int(in->conf, QN_CONF_KEY_QUOIN_OUTBOUND_TIMEOUT_MS)};
	struct qn_json_object tokens = {NULL, 0};
	struct qn_profile profile = {.subject = NULL};
	bool oidc = strcmp(in->provider->kind, "oidc") == 0;

	*ret_why = "its client secret was sealed with another QUOIN_SECRET_KEY";
	if (!unseal(in->conf, in->arena, secret_label, qn_span_of(in->provider->id),
		in->provider->secret_sealed, &t.secret))
		return QN_BAD_CODE;
	enum qn_err e = exchange(&t, &tokens);
	if (e == QN_OK)
		e = oidc ? qn_oidc_profile(&t, &tokens, &profile)
		         : qn_github_profile(&t, &tokens, &profile);
	*ret_why = t.why;
	QN_TRY(e);
	tidy(in->arena, &profile);
	*ret = profile;
	return QN_OK;
}
