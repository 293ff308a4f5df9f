/*
 * Signing a program in that can open a browser and listen on the loopback (CONTRACT X4; RFC 8252, RFC 7636): the
 * page that the user is signed in at gets a code and hands it over, the program exchanges it for tokens.
 */
#include <string.h>

#include "quoin/auth/opaque.h"
#include "quoin/base/buf.h"
#include "quoin/base/json.h"
#include "quoin/net/form.h"
#include "signin.h"

enum { CODE_S = 60, JSON_BYTES = 1024 };

static const char purpose[] = "cli-code";

/* http://localhost:PORT/callback or http://127.0.0.1:PORT/callback, and nothing like it. */
static bool is_loopback(const char *s)
{
	static const char *const hosts[] = {
	    "http://localhost:", "http://127.0.0.1:", "http://[::1]:", NULL};

	for (size_t i = 0; hosts[i] != NULL; i++) {
		size_t n = strlen(hosts[i]), digits;
		if (strncmp(s, hosts[i], n) != 0)
			continue;
		digits = strspn(s + n, "0123456789");
		return digits > 0 && digits <= 5 && s[n] != '0' &&
		       strcmp(s + n + digits, "/callback") == 0;
	}
	return false;
}

struct code_in {
	const char *code_challenge, *code_challenge_method, *redirect_uri, *state;
};

static const char *const methods[] = {"S256", NULL};

static const struct qn_field code_fields[] = {
    QN_FIELD(struct code_in, code_challenge, STR, 0, 43, 43,
	"BASE64URL(SHA256(code_verifier)): who exchanges the code must know the verifier."),
    QN_FIELD_ENUM(struct code_in, code_challenge_method, 0, methods, "S256", "S256."),
    QN_FIELD_DEF(struct code_in, redirect_uri, STR, 0, 1, 100, "http://localhost:8787/callback",
	"Where the program listens: /callback at a port of this computer."),
    QN_FIELD(struct code_in, state, STR, 0, 1, 500, "Handed back as it is."),
};
static const struct qn_object code_object = QN_OBJECT("CliCodeNew", struct code_in, code_fields);

struct code_reply {
	const char *auth_code, *redirect_url;
	int64_t expires_in;
};

static const struct qn_field code_reply_fields[] = {
    QN_FIELD(struct code_reply, auth_code, STR, 0, 0, 0, "Good once."),
    QN_FIELD(struct code_reply, redirect_url, STR, 0, 0, 0, "Send the browser there."),
    QN_FIELD(struct code_reply, expires_in, I64, 0, 0, 0, "Seconds that it is good."),
};
static const struct qn_object code_reply_object =
    QN_OBJECT("CliCode", struct code_reply, code_reply_fields);

static enum qn_err check_in(struct qn_request *r, const struct code_in *in)
{
	uint8_t challenge[QN_OPAQUE_LEN];

	if (!is_loopback(in->redirect_uri))
		qn_fault_add(r, "body", "redirect_uri",
		    "This must be http://localhost:PORT/callback.", "loopback");
	if (in->code_challenge != NULL &&
	    qn_b64url_decode(in->code_challenge, strlen(in->code_challenge), challenge) !=
		QN_SHA256_LEN)
		qn_fault_add(r, "body", "code_challenge", "This must be a SHA-256 in base64url.",
		    "challenge");
	return r->nfaults > 0 ? QN_INVALID : QN_OK;
}

static enum qn_err keep(struct qn_request *r, const struct code_in *in, const uint8_t hash[])
{
	struct qn_buf b;

	qn_buf_init(&b, JSON_BYTES);
	qn_buf_printf(&b, "{\"aal\":%d", r->who.aal);
	if (in->code_challenge != NULL)
		qn_buf_printf(&b, ",\"challenge\":\"%s\"", in->code_challenge);
	qn_buf_char(&b, '}');
	struct one_time what = {r->who.user_id, {b.p, b.n}};
	enum qn_err e = one_time_put(r->db, r->arena, r->who.app->id, purpose, hash, &what, CODE_S);
	qn_buf_done(&b);
	return e;
}

static enum qn_err make(struct qn_request *r)
{
	const struct code_in *in = r->in;
	struct code_reply *out = qn_new(r->arena, struct code_reply);
	struct qn_opaque code;
	struct qn_buf url;

	QN_TRY(check_in(r, in));
	qn_opaque_new(&code);
	QN_TRY(keep(r, in, code.hash));
	qn_buf_init(&url, 4 * JSON_BYTES);
	qn_buf_str(&url, in->redirect_uri);
	qn_buf_char(&url, '?');
	qn_form_add(&url, "auth_code", code.text);
	if (in->state != NULL)
		qn_form_add(&url, "state", in->state);
	out->auth_code = qn_strdup(r->arena, code.text);
	out->redirect_url = qn_strndup(r->arena, url.p, url.n);
	out->expires_in = CODE_S;
	qn_buf_done(&url);
	qn_wipe(&code, sizeof(code));
	return qn_reply(r, out);
}

/* exchanging it */

struct exchange_in {
	const char *auth_code, *code_verifier, *device_id, *device_name;
};

static const struct qn_field exchange_fields[] = {
    QN_FIELD(
	struct exchange_in, auth_code, STR, QN_F_REQUIRED, 1, 200, "What the page handed over."),
    QN_FIELD(struct exchange_in, code_verifier, STR, 0, 43, 128,
	"Wanted when the code was made with a challenge, and only then."),
    QN_FIELD(struct exchange_in, device_id, STR, 0, 1, 200, "What the client calls this device."),
    QN_FIELD(struct exchange_in, device_name, STR, 0, 1, 200, "Shown name of the device."),
};
static const struct qn_object exchange_object =
    QN_OBJECT("DeviceToken", struct exchange_in, exchange_fields);

static bool verifier_fits(const char *challenge, const char *verifier)
{
	uint8_t hash[QN_SHA256_LEN];
	char made[QN_OPAQUE_LEN + 2];

	if (challenge == NULL || verifier == NULL)
		return challenge == NULL && verifier == NULL;
	qn_sha256(verifier, strlen(verifier), hash);
	made[qn_b64url_encode(hash, sizeof(hash), made)] = '\0';
	return strlen(challenge) == strlen(made) && qn_equal_ct(made, challenge, strlen(made));
}

/* Who the code stands for; a code that was shown with a wrong verifier is gone. */
static enum qn_err take(struct qn_request *r, struct one_time *ret, int64_t *ret_aal)
{
	const struct exchange_in *in = r->in;
	struct qn_json_object o = {NULL, 0};
	const char *challenge = NULL;
	uint8_t hash[QN_SHA256_LEN];

	if (!qn_opaque_hash(qn_span_of(in->auth_code), hash))
		return QN_BAD_CODE;
	enum qn_err e = one_time_take(r->db, r->arena, r->who.app->id, purpose, hash, ret);
	if (e != QN_OK)
		return e == QN_LINK_INVALID ? QN_BAD_CODE : e;
	if (ret->user == NULL || !qn_json_members(r->arena, ret->payload, &o) ||
	    !qn_json_i64(qn_json_get(&o, "aal"), ret_aal))
		return QN_BAD_CODE;
	qn_json_str(r->arena, qn_json_get(&o, "challenge"), &challenge, NULL);
	return verifier_fits(challenge, in->code_verifier) ? QN_OK : QN_BAD_CODE;
}

static enum qn_err exchange(struct qn_request *r)
{
	const struct exchange_in *in = r->in;
	struct signin_reply *out = qn_new(r->arena, struct signin_reply);
	struct signin how = {
	    .method = "cli", .device_id = in->device_id, .device_name = in->device_name};
	struct one_time what;
	struct account who;

	QN_TX(tx, r->db);
	enum qn_err e = take(r, &what, &how.aal);
	if (e == QN_OK) {
		QN_TRY(account_by_id(r->db, r->arena, r->who.app->id, what.user, &who));
		QN_TRY(api_sign_in(r, &who, &how, out));
	}
	QN_TRY(qn_tx_commit(&tx));
	QN_TRY(e);
	return qn_reply(r, out);
}

static const struct qn_route routes[] = {
    {QN_POST, "/api/v1/auth/cli-code", "cli.code", "Make a code that signs a program in.",
	.pool = QN_POOL_API, .auth = QN_AUTH_USER, .flags = QN_R_UNKEPT, .body = &code_object,
	.body_max = 4096, .reply = &code_reply_object, .rate = QN_RATE_ACCOUNT, .handler = make},
    {QN_POST, "/api/v1/auth/device-token", "cli.exchange", "Change such a code for tokens.",
	.pool = QN_POOL_API, .auth = QN_AUTH_PUBLIC, .flags = QN_R_APP | QN_R_UNKEPT,
	.body = &exchange_object, .body_max = 4096, .reply = &signin_reply_object,
	.errors = {QN_BAD_CODE, QN_SUSPENDED}, .rate = QN_RATE_SIGN_IN, .handler = exchange},
};
API_TABLE(clicode_table, routes);
