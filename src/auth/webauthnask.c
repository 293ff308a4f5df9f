/* The questions to a browser: WebAuthn Level 3 §5.1.8 and §5.1.9, the JSON forms. */
#include "cosekey.h"
#include "quoin/auth/webauthn.h"
#include "quoin/base/buf.h"
#include "quoin/base/rand.h"
#include "transport.h"

enum { TEXT_MOST = 256 * 1024, TIMEOUT_MS = 300000, B64_MOST = QN_PASSKEY_ID_MOST * 4 / 3 + 3 };

static void add_bytes(struct qn_buf *b, const void *p, size_t n)
{
	char text[B64_MOST];

	qn_buf_char(b, '"');
	qn_buf_add(b, text, qn_b64url_encode(p, n, text));
	qn_buf_char(b, '"');
}

static void add_text(struct qn_buf *b, const char *name, const char *value)
{
	qn_buf_printf(b, "\"%s\":", name);
	qn_buf_json(b, value, strlen(value));
}

static void add_transports(struct qn_buf *b, unsigned transports)
{
	const char *sep = ",\"transports\":[\"";

	for (unsigned t = 0; t < QN_TRANSPORT__MAX; t++) {
		if ((transports & QN_TRANSPORT_BIT(t)) == 0)
			continue;
		qn_buf_str(b, sep);
		qn_buf_str(b, qn_transport_names[t]);
		sep = "\",\"";
	}
	if (transports != 0)
		qn_buf_str(b, "\"]");
}

static void add_known(struct qn_buf *b, const char *name, const struct qn_passkey *known, size_t n)
{
	qn_buf_printf(b, ",\"%s\":[", name);
	for (size_t i = 0; i < n; i++) {
		qn_buf_str(b, i > 0 ? ",{\"type\":\"public-key\",\"id\":"
				    : "{\"type\":\"public-key\",\"id\":");
		add_bytes(b, known[i].id.p, known[i].id.n);
		add_transports(b, known[i].transports);
		qn_buf_char(b, '}');
	}
	qn_buf_char(b, ']');
}

static void add_challenge(struct qn_buf *b, const struct qn_webauthn_terms *t)
{
	qn_buf_str(b, "\"challenge\":");
	add_bytes(b, t->challenge, sizeof(t->challenge));
	qn_buf_printf(b, ",\"timeout\":%d", TIMEOUT_MS);
}

static const char *verification(const struct qn_webauthn_terms *t)
{
	return t->user_verification ? "required" : "preferred";
}

static bool few_and_short(const struct qn_passkey *known, size_t n)
{
	for (size_t i = 0; i < n && n <= QN_PASSKEY_LIST_MOST; i++)
		if (known[i].id.n > QN_PASSKEY_ID_MOST)
			return false;
	return n <= QN_PASSKEY_LIST_MOST;
}

static const char *finish(struct qn_arena *a, struct qn_buf *b)
{
	const char *text = b->over ? NULL : qn_strndup(a, b->p, b->n);

	qn_buf_done(b);
	return text;
}

const char *qn_webauthn_creation(struct qn_arena *a, const struct qn_webauthn_terms *t,
    const struct qn_webauthn_user *user, const struct qn_passkey *known, size_t n)
{
	struct qn_buf b;

	if (user->handle.n == 0 || user->handle.n > QN_PASSKEY_USER_MOST ||
	    !few_and_short(known, n))
		return NULL;
	qn_buf_init(&b, TEXT_MOST);
	qn_buf_str(&b, "{\"rp\":{");
	add_text(&b, "id", t->party->id);
	qn_buf_char(&b, ',');
	add_text(&b, "name", t->party->name);
	qn_buf_str(&b, "},\"user\":{\"id\":");
	add_bytes(&b, user->handle.p, user->handle.n);
	qn_buf_char(&b, ',');
	add_text(&b, "name", user->name);
	qn_buf_char(&b, ',');
	add_text(&b, "displayName", user->display_name);
	qn_buf_str(&b, "},");
	add_challenge(&b, t);
	qn_buf_printf(&b,
	    ",\"pubKeyCredParams\":[{\"type\":\"public-key\",\"alg\":%d},"
	    "{\"type\":\"public-key\",\"alg\":%d},{\"type\":\"public-key\",\"alg\":%d}]",
	    COSE_ES256, COSE_EDDSA, COSE_RS256);
	add_known(&b, "excludeCredentials", known, n);
	qn_buf_printf(&b,
	    ",\"authenticatorSelection\":{\"residentKey\":\"preferred\",\"requireResidentKey\":false,"
	    "\"userVerification\":\"%s\"},\"attestation\":\"none\"}",
	    verification(t));
	return finish(a, &b);
}

const char *qn_webauthn_request(
    struct qn_arena *a, const struct qn_webauthn_terms *t, const struct qn_passkey *known, size_t n)
{
	struct qn_buf b;

	if (!few_and_short(known, n))
		return NULL;
	qn_buf_init(&b, TEXT_MOST);
	qn_buf_char(&b, '{');
	add_challenge(&b, t);
	qn_buf_char(&b, ',');
	add_text(&b, "rpId", t->party->id);
	add_known(&b, "allowCredentials", known, n);
	qn_buf_printf(&b, ",\"userVerification\":\"%s\"}", verification(t));
	return finish(a, &b);
}
