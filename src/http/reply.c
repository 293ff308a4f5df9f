#include "quoin/http/reply.h"

#include <string.h>

#include "quoin/auth/httpsig.h"

/* JSON shorter than this is copied into the text; longer is left where it is. */
enum { SESSION_S = 30 * 86400, FLOW_S = 600 };
enum { GAP_BYTES = 2048, TEXT_BYTES = 16 * 1024 * 1024, HEADER_BYTES = 8192, LINK_BYTES = 4096 };

void qn_reply_text_init(struct qn_reply_text *t, const struct qn_app *app)
{
	t->gaps = 0;
	t->id_prefix = app != NULL ? app->id_prefix : "";
	qn_buf_init(&t->text, TEXT_BYTES);
}

void qn_reply_text_done(struct qn_reply_text *t)
{
	qn_buf_done(&t->text);
}

size_t qn_reply_text_n(const struct qn_reply_text *t)
{
	size_t n = t->text.n;

	for (size_t i = 0; i < t->gaps; i++)
		n += t->gap[i].bytes.n;
	return n;
}

size_t qn_reply_pieces(const struct qn_reply_text *t, struct qn_span out[2 * QN_REPLY_GAPS + 1])
{
	size_t at = 0, n = 0;

	for (size_t i = 0; i < t->gaps; i++) {
		out[n++] = (struct qn_span){t->text.p + at, t->gap[i].at - at};
		out[n++] = t->gap[i].bytes;
		at = t->gap[i].at;
	}
	if (t->text.n > at)
		out[n++] = (struct qn_span){t->text.p + at, t->text.n - at};
	return n;
}

static void add_json(struct qn_reply_text *t, struct qn_span v)
{
	if (v.n < GAP_BYTES || t->gaps == QN_REPLY_GAPS) {
		qn_buf_add(&t->text, v.p, v.n);
		return;
	}
	t->gap[t->gaps].at = t->text.n;
	t->gap[t->gaps++].bytes = v;
}

static void add_string(struct qn_buf *b, const char *s)
{
	qn_buf_json(b, s, strlen(s));
}

static bool is_null(const struct qn_field *f, const void *at)
{
	switch (f->type) {
	case QN_T_STR:
	case QN_T_UUID:
	case QN_T_ENUM:
	case QN_T_OBJ:
		return *(void *const *)at == NULL;
	case QN_T_I64:
	case QN_T_TIME:
		return *(const int64_t *)at == INT64_MIN;
	case QN_T_BOOL:
		return *(const qn_tri *)at == QN_UNSET;
	case QN_T_JSON:
		return ((const struct qn_span *)at)->p == NULL;
	default:
		return false;
	}
}

static void add_list(
    struct qn_reply_text *t, const struct qn_object *o, const struct qn_list *list, bool camel)
{
	qn_buf_char(&t->text, '[');
	for (size_t i = 0; i < list->n; i++) {
		if (i > 0)
			qn_buf_char(&t->text, ',');
		qn_reply_object(t, o, (const char *)list->items + i * o->size, camel);
	}
	qn_buf_char(&t->text, ']');
}

static void add_time(struct qn_buf *b, qn_time v)
{
	char text[QN_RFC3339_MAX];
	size_t n = qn_time_print(text, v);

	qn_buf_char(b, '"');
	qn_buf_add(b, text, n);
	qn_buf_char(b, '"');
}

static void add_value(struct qn_reply_text *t, const struct qn_field *f, const void *at, bool camel)
{
	switch (f->type) {
	case QN_T_STR:
	case QN_T_ENUM:
		add_string(&t->text, *(const char *const *)at);
		break;
	case QN_T_UUID:
		qn_buf_printf(&t->text, "\"%s%s\"", f->flags & QN_F_USER ? t->id_prefix : "",
		    *(const char *const *)at);
		break;
	case QN_T_I64:
		qn_buf_i64(&t->text, *(const int64_t *)at);
		break;
	case QN_T_BOOL:
		qn_buf_str(&t->text, *(const qn_tri *)at ? "true" : "false");
		break;
	case QN_T_TIME:
		add_time(&t->text, *(const qn_time *)at);
		break;
	case QN_T_JSON:
		add_json(t, *(const struct qn_span *)at);
		break;
	case QN_T_OBJ:
		qn_reply_object(t, f->sub, *(const void *const *)at, camel);
		break;
	case QN_T_LIST:
		add_list(t, f->sub, at, camel);
		break;
	default:
		qn_buf_str(&t->text, "null");
	}
}

static void add_name(struct qn_buf *b, const char *name, bool camel)
{
	char shown[128];

	qn_buf_char(b, '"');
	if (camel && strlen(name) < sizeof(shown))
		qn_buf_add(b, shown, qn_camel(name, shown));
	else
		qn_buf_str(b, name);
	qn_buf_add(b, "\":", 2);
}

void qn_reply_object(
    struct qn_reply_text *t, const struct qn_object *o, const void *src, bool camel)
{
	bool first = true;

	qn_buf_char(&t->text, '{');
	for (size_t i = 0; i < o->n; i++) {
		const struct qn_field *f = &o->fields[i];
		const char *at = (const char *)src + f->offset;
		bool null = is_null(f, at);
		if (null && (f->flags & QN_F_OPTIONAL))
			continue;
		if (!first)
			qn_buf_char(&t->text, ',');
		first = false;
		add_name(&t->text, f->name, camel);
		if (null)
			qn_buf_add(&t->text, "null", 4);
		else
			add_value(t, f, at, camel);
	}
	qn_buf_char(&t->text, '}');
}

static void add_faults(struct qn_buf *b, const struct qn_request *r)
{
	qn_buf_str(b, ",\"errors\":[");
	for (size_t i = 0; i < r->nfaults; i++) {
		const struct qn_fault *f = &r->faults[i];
		qn_buf_str(b, i > 0 ? ",{\"loc\":[" : "{\"loc\":[");
		add_string(b, f->where);
		if (f->field[0] != '\0') {
			qn_buf_char(b, ',');
			add_string(b, f->field);
		}
		qn_buf_str(b, "],\"msg\":");
		add_string(b, f->msg);
		qn_buf_str(b, ",\"type\":");
		add_string(b, f->type);
		qn_buf_char(b, '}');
	}
	qn_buf_char(b, ']');
}

static const char *status_title(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 302:
		return "Found";
	case 304:
		return "Not Modified";
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 409:
		return "Conflict";
	case 410:
		return "Gone";
	case 412:
		return "Precondition Failed";
	case 413:
		return "Content Too Large";
	case 415:
		return "Unsupported Media Type";
	case 422:
		return "Unprocessable Content";
	case 428:
		return "Precondition Required";
	case 429:
		return "Too Many Requests";
	case 503:
		return "Service Unavailable";
	default:
		return "Internal Server Error";
	}
}

/* Texts are the errors', but where an app's clients read another one (CONTRACT E17, C8). */
static const char *problem_text(const struct qn_request *r, enum qn_err e)
{
	const struct qn_app *app = r->who.app;

	if (e == QN_UNAUTHENTICATED && app != NULL && app->unauthenticated != NULL)
		return app->unauthenticated;
	return qn_err_text(e);
}

void qn_reply_problem(
    struct qn_reply_text *t, const struct qn_request *r, enum qn_err e, int status)
{
	struct qn_buf *b = &t->text;
	const char *text = problem_text(r, e);

	qn_buf_str(b, "{\"type\":\"urn:quoin:error:");
	qn_buf_str(b, qn_err_code(e));
	qn_buf_str(b, "\",\"title\":");
	add_string(b, status_title(status));
	qn_buf_printf(b, ",\"status\":%d,\"detail\":", status);
	add_string(b, text);
	qn_buf_str(b, ",\"error\":");
	add_string(b, text);
	qn_buf_str(b, ",\"code\":");
	add_string(b, qn_err_code(e));
	qn_buf_str(b, ",\"request_id\":");
	add_string(b, r->id);
	if (r->nfaults > 0)
		add_faults(b, r);
	qn_buf_char(b, '}');
}

static void add_allow(struct qn_buf *h, unsigned allowed)
{
	const char *sep = "Allow: ";

	for (int m = QN_GET; m < QN_METHOD__MAX; m++) {
		if ((allowed & 1u << m) == 0)
			continue;
		qn_buf_str(h, sep);
		qn_buf_str(h, qn_method_name((enum qn_method)m));
		qn_buf_str(h, m == QN_GET ? ", HEAD" : "");
		sep = ", ";
	}
	qn_buf_str(h, "\r\n");
}

/* The address of the next page: this one's, with the cursor in place of its own. Too long a one is left out. */
static void add_link(struct qn_buf *h, const struct qn_request *r)
{
	struct qn_buf link;

	qn_buf_init(&link, LINK_BYTES);
	qn_buf_str(&link, "Link: <");
	qn_buf_str(&link, r->path);
	qn_buf_str(&link, "?cursor=");
	qn_buf_str(&link, r->next);
	for (const char *p = r->query_string; *p != '\0';) {
		size_t n = strcspn(p, "&");
		if (n > 0 && strncmp(p, "cursor=", 7) != 0 && memchr(p, '>', n) == NULL) {
			qn_buf_char(&link, '&');
			qn_buf_add(&link, p, n);
		}
		p += n + (p[n] == '&');
	}
	qn_buf_str(&link, ">; rel=\"next\"\r\n");
	if (!link.over)
		qn_buf_add(h, link.p, link.n);
	qn_buf_done(&link);
}

static void add_error_headers(
    struct qn_buf *h, const struct qn_request *r, enum qn_err e, int status)
{
	if (status == 401)
		qn_buf_str(h, e == QN_UNAUTHENTICATED
				  ? "WWW-Authenticate: Bearer\r\n"
				  : "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n");
	if (status == 405)
		add_allow(h, r->allowed);
	if (r->retry_after_s > 0)
		qn_buf_printf(h, "Retry-After: %lld\r\n", (long long)r->retry_after_s);
	else if (status == 503 || e == QN_IN_PROGRESS)
		qn_buf_str(h, "Retry-After: 1\r\n");
	if (e == QN_BUSY && r->route != NULL && (r->route->flags & QN_R_REDIRECT))
		qn_buf_str(h, "Refresh: 1\r\n"); /* browsers know no Retry-After */
}

/* A short text of which there is much: in place, and copied once. */
struct words {
	char p[768];
	size_t n;
};

static void word(struct words *w, const char *s)
{
	size_t n = strlen(s);

	if (n > sizeof(w->p) - w->n)
		return;
	memcpy(w->p + w->n, s, n);
	w->n += n;
}

static void number(struct words *w, const char *name, int64_t v)
{
	char digits[24], *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do
		*--p = (char)('0' + v % 10);
	while ((v /= 10) > 0);
	word(w, name);
	word(w, p);
}

static void policy(struct words *w, const char *lead, const struct qn_policy *p)
{
	word(w, lead);
	word(w, p->name);
	word(w, p->suffix);
}

/*
 * RateLimit-Policy and RateLimit of draft-ietf-httpapi-ratelimit-headers-08, each a list, and what clients
 * knew before: the limit that will be met first (CONTRACT B38).
 */
static void add_limits(struct qn_buf *h, const struct qn_limit_state *s)
{
	const struct qn_policy *p = s->policy;
	struct words w;

	if (s->n == 0)
		return;
	w.n = 0;
	for (size_t i = 0; i < s->n; i++) {
		policy(&w, i == 0 ? "RateLimit-Policy: \"" : ", \"", &p[i]);
		number(&w, "\";q=", p[i].quota);
		number(&w, ";w=", p[i].window_s);
	}
	for (size_t i = 0; i < s->n; i++) {
		policy(&w, i == 0 ? "\r\nRateLimit: \"" : ", \"", &p[i]);
		number(&w, "\";r=", p[i].left);
		number(&w, ";t=", p[i].reset_s);
	}
	p += s->nearest;
	number(&w, "\r\nX-RateLimit-Limit: ", p->quota);
	number(&w, "\r\nX-RateLimit-Remaining: ", p->left);
	number(&w, "\r\nX-RateLimit-Reset: ", qn_now() / 1000000 + p->reset_s);
	word(&w, "\r\n");
	qn_buf_add(h, w.p, w.n);
}

static const char *content_type(const struct qn_request *r, enum qn_err e)
{
	if (e != QN_OK && e != QN_NOT_MODIFIED)
		return "application/problem+json";
	return r->route->content_type != NULL ? r->route->content_type : "application/json";
}

/* __Host-: sent over TLS alone (or to localhost), to this host alone, and set by it (SECURITY T16). */
static void add_cookie(struct qn_buf *h, const char *name, const char *value, int seconds)
{
	if (value != NULL)
		qn_buf_printf(h,
		    "Set-Cookie: %s=%s; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=%d\r\n",
		    name, value, value[0] != '\0' ? seconds : 0);
}

static void add_line(struct qn_buf *h, const char *name, const char *value)
{
	qn_buf_str(h, name);
	qn_buf_str(h, value);
	qn_buf_str(h, "\r\n");
}

/* A signed reply is to one request; what anyone may keep has no caller. */
static void add_cache_control(struct qn_buf *h, const struct qn_request *r, enum qn_err e)
{
	bool good = e == QN_OK || e == QN_NOT_MODIFIED;

	if (r->signer == NULL && good && r->route->fresh_s > 0)
		qn_buf_printf(h, "Cache-Control: public, max-age=%d\r\n", r->route->fresh_s);
	else
		qn_buf_str(h, r->etag != NULL && r->signer == NULL
				  ? "Cache-Control: private, no-cache\r\n"
				  : "Cache-Control: no-store\r\n");
}

/* RFC 9421 (auth/httpsig.h). What cannot be signed goes out unsigned, and a client that asked will not take it. */
static void add_signature(
    struct qn_buf *h, const struct qn_request *r, int status, const struct qn_reply_text *t)
{
	struct qn_span pieces[2 * QN_REPLY_GAPS + 1];
	struct qn_signature_fields f;
	size_t n = qn_reply_pieces(t, pieces);

	if (r->signer == NULL || status == 304 ||
	    !qn_sign_reply(r->signer,
		&(struct qn_signed_reply){.status = status,
		    .body = pieces,
		    .pieces = n,
		    .nonce = r->nonce,
		    .at = qn_now()},
		&f))
		return;
	add_line(h, "Date: ", f.date);
	add_line(h, "Content-Digest: ", f.digest);
	add_line(h, "Signature-Input: ", f.input);
	add_line(h, "Signature: ", f.signature);
}

static void add_header(struct qn_buf *h, const struct qn_request *r, enum qn_err e, int status,
    const struct qn_reply_text *t)
{
	if (status != 200)
		qn_buf_printf(h, "Status: %d %s\r\n", status, status_title(status));
	add_line(h, "X-Request-Id: ", r->id);
	if (status != 304) {
		add_line(h, "Content-Type: ", content_type(r, e));
		qn_buf_str(h, "Content-Length: ");
		qn_buf_i64(h, (int64_t)qn_reply_text_n(t));
		qn_buf_str(h, "\r\n");
	}
	if (r->etag != NULL) /* on a conflict too: it names the version that is there */
		add_line(h, "ETag: ", r->etag);
	if (r->next != NULL && e == QN_OK)
		add_link(h, r);
	if (r->location != NULL && status == 302)
		add_line(h, "Location: ", r->location);
	add_cookie(h, "__Host-session", r->set_cookie, SESSION_S);
	add_cookie(h, "__Host-flow", r->set_flow, FLOW_S);
	if (r->replayed)
		qn_buf_str(h, "Idempotent-Replayed: true\r\n");
	add_cache_control(h, r, e);
	add_signature(h, r, status, t);
	add_limits(h, &r->limits);
	add_error_headers(h, r, e, status);
	qn_buf_str(h, "\r\n");
}

static void send_body(struct qn_request *r, const struct qn_reply_text *t)
{
	struct qn_span pieces[2 * QN_REPLY_GAPS + 1];
	size_t n = qn_reply_pieces(t, pieces);

	for (size_t i = 0; i < n; i++)
		qn_fcgi_write(r->fcgi, pieces[i].p, pieces[i].n);
}

bool qn_reply_send(struct qn_request *r, enum qn_err e, int status, const struct qn_reply_text *t)
{
	struct qn_buf h;

	qn_buf_init(&h, HEADER_BYTES);
	if (r->escalate)
		qn_buf_printf(&h, "X-Request-Id: %s\r\nX-Accel-Redirect: @%s\r\n\r\n", r->id,
		    r->route->pool == QN_POOL_API ? "slow" : qn_pool_name(r->route->pool));
	else
		add_header(&h, r, e, status, t);
	qn_fcgi_write(r->fcgi, h.p, h.n);
	qn_buf_done(&h);
	if (!r->escalate && !r->head && status != 304)
		send_body(r, t);
	return qn_fcgi_finish(r->fcgi);
}
