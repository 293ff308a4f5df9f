#include "quoin/auth/token.h"

#include <stdint.h>
#include <strings.h>

#include "quoin/base/rand.h"

enum {
	EMAIL_MAX = 320, /* bytes; what the users table takes */
	SHOWN_NAME_MAX = 200,
	ALG_MAX = 40,
};

#define SECOND    1000000LL
#define YEAR_9999 253402300799LL /* its last second: RFC 3339 has no later one */

/* The three parts between dots. false: not three. */
static bool split(struct qn_span compact, struct qn_span part[3])
{
	const char *p = compact.p, *end = compact.p + compact.n;

	for (int i = 0; i < 3; i++) {
		const char *dot = memchr(p, '.', (size_t)(end - p));
		if ((dot == NULL) != (i == 2))
			return false;
		part[i] = (struct qn_span){p, (size_t)((dot != NULL ? dot : end) - p)};
		p += part[i].n + 1;
	}
	return true;
}

/* false for an empty text too. */
static bool decode(struct qn_arena *a, struct qn_span text, struct qn_span *ret)
{
	uint8_t *out = qn_alloc(a, 3 * text.n / 4 + 1);
	long n = qn_b64url_decode(text.p, text.n, out);

	if (n <= 0)
		return false;
	*ret = (struct qn_span){(const char *)out, (size_t)n};
	return true;
}

/* A part that must be one JSON object; there is none that could do without members. */
static bool decode_object(struct qn_arena *a, struct qn_span text, struct qn_json_object *ret)
{
	static const struct qn_json_limits limits = {.depth = 16, .nodes = 1024};
	struct qn_span json;

	return decode(a, text, &json) && qn_json_scan(a, json, &limits, ret, NULL) == QN_JSON_OK &&
	       ret->n != 0;
}

static bool has(const struct qn_json_object *o, const char *name)
{
	return qn_json_get(o, name).p != NULL;
}

/* A string of 1 to `most` bytes without control bytes. */
static bool get_str(struct qn_arena *a, const struct qn_json_object *o, const char *name,
    size_t most, const char **ret)
{
	struct qn_span value = qn_json_get(o, name);
	const char *s;
	size_t n;

	if (value.p == NULL || !qn_json_str(a, value, &s, &n) || n == 0 || n > most)
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return false;
	*ret = s;
	return true;
}

/* The same, but it may be absent (NULL). */
static bool get_optional(struct qn_arena *a, const struct qn_json_object *o, const char *name,
    size_t most, const char **ret)
{
	*ret = NULL;
	return !has(o, name) || get_str(a, o, name, most, ret);
}

static bool read_typ(
    struct qn_arena *a, const struct qn_json_object *header, enum qn_token_typ *ret)
{
	static const char prefix[] = "application/";
	const char *typ;

	*ret = QN_TYP_ANY;
	if (!get_optional(a, header, "typ", 40, &typ))
		return false;
	if (typ == NULL)
		return true;
	if (strncasecmp(typ, prefix, sizeof(prefix) - 1) == 0)
		typ += sizeof(prefix) - 1;
	if (strcasecmp(typ, "JWT") == 0)
		*ret = QN_TYP_JWT;
	else if (strcasecmp(typ, "at+jwt") == 0)
		*ret = QN_TYP_ACCESS;
	return *ret != QN_TYP_ANY;
}

/* An issuer that means b64 or anything critical means something that we do not know. */
static bool read_header(struct qn_arena *a, const struct qn_json_object *header, struct qn_token *t)
{
	return !has(header, "crit") && !has(header, "b64") &&
	       get_str(a, header, "alg", ALG_MAX, &t->alg) &&
	       get_str(a, header, "kid", QN_KID_MAX, &t->kid) && read_typ(a, header, &t->typ);
}

enum qn_err qn_token_open(struct qn_arena *a, struct qn_span compact, struct qn_token *ret)
{
	struct qn_token t = {.arena = a};
	struct qn_json_object header;
	struct qn_span part[3];

	if (compact.p == NULL || compact.n > QN_TOKEN_MAX || !split(compact, part))
		return QN_TOKEN_MALFORMED;
	if (!decode_object(a, part[0], &header) || !read_header(a, &header, &t) ||
	    !decode_object(a, part[1], &t.claims) || !decode(a, part[2], &t.signature))
		return QN_TOKEN_MALFORMED;
	if (!get_str(a, &t.claims, "iss", QN_TOKEN_MAX, &t.iss))
		return QN_TOKEN_ISSUER;
	t.signed_text = (struct qn_span){compact.p, part[0].n + 1 + part[1].n};
	*ret = t;
	return QN_OK;
}

/* Whose it is and whether they signed it. */
static enum qn_err check_origin(
    const struct qn_token *t, const struct qn_issuer_policy *p, const struct qn_jwks *keys)
{
	if (p->issuer == NULL || strcmp(t->iss, p->issuer) != 0)
		return QN_TOKEN_ISSUER;
	const struct qn_key *key = qn_jwks_find(keys, qn_span_of(t->kid));
	if (key == NULL)
		return QN_KEY_UNKNOWN;
	enum qn_alg alg = qn_key_alg(key);
	if (strcmp(t->alg, qn_alg_name(alg)) != 0 || (p->algs & QN_ALG_BIT(alg)) == 0)
		return QN_TOKEN_ALGORITHM;
	return qn_key_verify(key, t->signed_text, t->signature) ? QN_OK : QN_TOKEN_SIGNATURE;
}

/* An integer of seconds; absent reads as QN_TIME_NULL. false: it is there and something else. */
static bool get_time(const struct qn_json_object *claims, const char *name, qn_time *ret)
{
	struct qn_span value = qn_json_get(claims, name);
	int64_t seconds;

	*ret = QN_TIME_NULL;
	if (value.p == NULL)
		return true;
	if (!qn_json_i64(value, &seconds) || seconds < 0 || seconds > YEAR_9999)
		return false;
	*ret = seconds * SECOND;
	return true;
}

static enum qn_err check_times(
    const struct qn_token *t, const struct qn_issuer_policy *p, qn_time now, struct qn_claims *c)
{
	qn_time skew = (p->skew_s < QN_TOKEN_SKEW_S ? p->skew_s : QN_TOKEN_SKEW_S) * SECOND;
	qn_time nbf;

	if (!get_time(&t->claims, "exp", &c->exp) || c->exp == QN_TIME_NULL ||
	    !get_time(&t->claims, "nbf", &nbf) || !get_time(&t->claims, "iat", &c->iat))
		return QN_TOKEN_CLAIMS;
	if (c->exp <= now - skew)
		return QN_TOKEN_EXPIRED;
	/* QN_TIME_NULL is earlier than any time */
	return nbf > now + skew || c->iat > now + skew ? QN_TOKEN_EARLY : QN_OK;
}

static bool is_audience(const struct qn_issuer_policy *p, struct qn_span aud)
{
	for (size_t i = 0; i < QN_TOKEN_AUDIENCES; i++)
		if (p->audiences[i] != NULL && qn_span_is(aud, p->audiences[i]))
			return true;
	return false;
}

/* One audience, or an array of nothing but audiences, with ours among them. */
static bool check_audience(const struct qn_token *t, const struct qn_issuer_policy *p)
{
	struct qn_span value = qn_json_get(&t->claims, "aud"), *list = &value, aud;
	size_t n = 1;
	bool ours = false;

	if (value.p == NULL ||
	    (qn_json_kind(value) == '[' && !qn_json_elements(t->arena, value, &list, &n)))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!qn_json_str(t->arena, list[i], &aud.p, &aud.n))
			return false;
		ours = ours || is_audience(p, aud);
	}
	return ours;
}

static bool is_client(const struct qn_issuer_policy *p, const char *client)
{
	for (const char *const *c = p->clients; *c != NULL; c++)
		if (strcmp(*c, client) == 0)
			return true;
	return false;
}

/* azp is OpenID Connect's name for the client, client_id that of RFC 9068. */
static bool check_client(
    const struct qn_token *t, const struct qn_issuer_policy *p, struct qn_claims *c)
{
	const char *azp, *id;

	if (!get_optional(t->arena, &t->claims, "azp", QN_SUB_MAX, &azp) ||
	    !get_optional(t->arena, &t->claims, "client_id", QN_SUB_MAX, &id))
		return false;
	c->client = azp != NULL ? azp : id;
	if (p->clients == NULL)
		return true;
	return c->client != NULL && (azp == NULL || is_client(p, azp)) &&
	       (id == NULL || is_client(p, id));
}

static bool check_subject(const struct qn_token *t, struct qn_claims *c)
{
	return get_str(t->arena, &t->claims, "sub", QN_SUB_MAX, &c->sub) &&
	       get_optional(t->arena, &t->claims, "jti", QN_SUB_MAX, &c->jti);
}

/* What describes the subject and decides nothing: an odd one is none, see the header. */
static void read_profile(const struct qn_token *t, struct qn_claims *c)
{
	struct qn_span verified = qn_json_get(&t->claims, "email_verified");
	bool yes = false;

	(void)get_optional(t->arena, &t->claims, "scope", QN_TOKEN_MAX, &c->scope);
	(void)get_optional(t->arena, &t->claims, "email", EMAIL_MAX, &c->email);
	(void)get_optional(t->arena, &t->claims, "name", SHOWN_NAME_MAX, &c->name);
	c->email_verified =
	    c->email != NULL && verified.p != NULL && qn_json_bool(verified, &yes) && yes;
}

enum qn_err qn_token_verify(const struct qn_token *t, const struct qn_issuer_policy *p,
    const struct qn_jwks *keys, qn_time now, struct qn_claims *ret)
{
	struct qn_claims c = {.iss = t->iss, .typ = t->typ, .all = t->claims};

	QN_TRY(check_origin(t, p, keys));
	QN_TRY(check_times(t, p, now, &c));
	if (!check_audience(t, p))
		return QN_TOKEN_AUDIENCE;
	if ((p->typ != QN_TYP_ANY && p->typ != t->typ) || !check_subject(t, &c) ||
	    !check_client(t, p, &c))
		return QN_TOKEN_CLAIMS;
	read_profile(t, &c);
	*ret = c;
	return QN_OK;
}
