#include "quoin/http/request.h"

#include <stdlib.h>
#include <string.h>

#include "quoin/base/json.h"
#include "quoin/base/rand.h"
#include "quoin/base/utf8.h"
#include "server.h"

/* Some clients send {} where no body is wanted. */
enum { NO_BODY_BYTES = 1024 };

/* What may decide something must come once: a second one is a way around the first (S5). */
static const struct qn_span once[] = {
    QN_SPAN_LIT("REQUEST_METHOD"),
    QN_SPAN_LIT("REQUEST_URI"),
    QN_SPAN_LIT("CONTENT_TYPE"),
    QN_SPAN_LIT("CONTENT_LENGTH"),
    QN_SPAN_LIT("REMOTE_ADDR"),
    QN_SPAN_LIT("QUOIN_APP"),
    QN_SPAN_LIT("HTTP_AUTHORIZATION"),
    QN_SPAN_LIT("HTTP_X_API_KEY"),
    QN_SPAN_LIT("HTTP_COOKIE"),
    QN_SPAN_LIT("HTTP_ORIGIN"),
    QN_SPAN_LIT("HTTP_HOST"),
    QN_SPAN_LIT("HTTP_IF_MATCH"),
    QN_SPAN_LIT("HTTP_IF_NONE_MATCH"),
    QN_SPAN_LIT("HTTP_IDEMPOTENCY_KEY"),
    QN_SPAN_LIT("HTTP_CONTENT_TYPE"),
    QN_SPAN_LIT("HTTP_CONTENT_LENGTH"),
};
_Static_assert(sizeof(once) / sizeof(once[0]) <= 32, "qn_fcgi_repeated takes no more");

void qn_fault_add(
    struct qn_request *r, const char *where, const char *field, const char *msg, const char *type)
{
	if (r->nfaults < QN_FAULTS)
		r->faults[r->nfaults++] = (struct qn_fault){where, field, msg, type};
}

static int hex_value(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
	                              : -1;
}

/* Decodes n bytes to out (n+1 bytes). -1 on a bad escape. */
static long percent_decode(const char *p, size_t n, char *out, bool plus)
{
	char *o = out;

	for (size_t i = 0; i < n; i++) {
		if (p[i] == '%') {
			if (n - i < 3 || hex_value(p[i + 1]) < 0 || hex_value(p[i + 2]) < 0)
				return -1;
			*o++ = (char)(hex_value(p[i + 1]) << 4 | hex_value(p[i + 2]));
			i += 2;
		} else {
			*o++ = plus && p[i] == '+' ? ' ' : p[i];
		}
	}
	*o = '\0';
	return o - out;
}

/* UTF-8 without control bytes. */
static bool clean_text(const char *s, size_t n)
{
	for (size_t i = 0; i < n;) {
		unsigned char c = (unsigned char)s[i];
		if (c < 0x20 || c == 0x7f)
			return false;
		size_t len = qn_utf8_len(s + i, n - i);
		if (len == 0)
			return false;
		i += len;
	}
	return true;
}

const char *qn_query_decode(struct qn_arena *a, const char *p, size_t n)
{
	char *out = qn_alloc(a, n + 1);
	long len = percent_decode(p, n, out, true);

	return len >= 0 && clean_text(out, (size_t)len) ? out : NULL;
}

static bool good_segment(const char *s, size_t n)
{
	if (n == 0 || (n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
		return false;
	return memchr(s, '/', n) == NULL && memchr(s, '\\', n) == NULL && clean_text(s, n);
}

/* A request line has neither spaces nor control bytes; what has them must not get into a header of ours. */
static bool good_target(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s <= 0x20 || *s == 0x7f)
			return false;
	return true;
}

const char *qn_path_canonical(struct qn_arena *a, const char *target, const char **ret_query)
{
	const char *end = strchr(target, '?');
	size_t n = end != NULL ? (size_t)(end - target) : strlen(target);
	char *path = qn_alloc(a, n + 2), *o = path;

	*ret_query = end != NULL ? end + 1 : "";
	if (n == 0 || target[0] != '/' || !good_target(target))
		return NULL;
	if (n == 1)
		return "/";
	for (const char *p = target + 1, *stop = target + n;;) {
		const char *slash = memchr(p, '/', (size_t)(stop - p));
		size_t len = (size_t)((slash != NULL ? slash : stop) - p);
		*o++ = '/';
		long got = percent_decode(p, len, o, false);
		if (got < 0 || !good_segment(o, (size_t)got))
			return NULL;
		o += got;
		if (slash == NULL)
			return path;
		p = slash + 1;
	}
}

/* The caller's request id when it is fit to be logged and echoed, else nginx's, else our own. */
static const char *request_id(struct qn_request *r)
{
	static const char fit[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	const char *const names[] = {"HTTP_X_REQUEST_ID", "REQUEST_ID"};

	for (size_t i = 0; i < 2; i++) {
		const char *id = qn_fcgi_param(r->fcgi, names[i]);
		size_t n = id != NULL ? strlen(id) : 0;
		if (n > 0 && n <= 64 && strspn(id, fit) == n)
			return qn_strdup(
			    r->arena, id); /* libfcgi's copy goes before the log line */
	}
	char *made = qn_alloc(r->arena, QN_UUID_LEN + 1);
	qn_uuid_new(made);
	return made;
}

enum qn_err qn_request_cookie(const struct qn_request *r, const char *name, struct qn_span *ret)
{
	const char *header = qn_fcgi_param(r->fcgi, "HTTP_COOKIE");
	size_t lead = strlen(name);

	*ret = (struct qn_span){NULL, 0};
	while (header != NULL && *header != '\0') {
		header += strspn(header, "; ");
		size_t n = strcspn(header, ";");
		if (n > lead && memcmp(header, name, lead) == 0 && header[lead] == '=') {
			if (ret->p != NULL)
				return QN_BAD_REQUEST;
			*ret = (struct qn_span){header + lead + 1, n - lead - 1};
		}
		header += n;
	}
	return QN_OK;
}

enum qn_err qn_request_read(struct qn_request *r)
{
	const char *method = qn_fcgi_param(r->fcgi, "REQUEST_METHOD");
	const char *target = qn_fcgi_param(r->fcgi, "REQUEST_URI");

	r->id = request_id(r);
	r->remote_addr = qn_fcgi_param(r->fcgi, "REMOTE_ADDR");
	if (r->remote_addr == NULL)
		r->remote_addr = "";
	r->path = r->query_string = "";
	if (method == NULL || target == NULL) {
		r->why = "no REQUEST_METHOD or REQUEST_URI";
		return QN_BAD_REQUEST;
	}
	r->why = qn_fcgi_repeated(r->fcgi, once, sizeof(once) / sizeof(once[0]));
	if (r->why != NULL)
		return QN_BAD_REQUEST;
	r->head = strcmp(method, "HEAD") == 0;
	r->method = qn_method_by_name(method);
	r->path = qn_path_canonical(r->arena, target, &r->query_string);
	if (r->path != NULL)
		return QN_OK;
	r->path = "";
	r->why = "the path is not canonical";
	return QN_BAD_REQUEST;
}

/* The i-th parameter of the path and what follows: "version:int}/…" of "/{id}/{version:int}/…"; NULL: there is none. */
static const char *param_at(const char *path, size_t i)
{
	const char *p = strchr(path, '{');

	while (p != NULL && i-- > 0)
		p = strchr(p + 1, '{');
	return p != NULL ? p + 1 : NULL;
}

/* The part after what a dialect puts before the ids of users, "usr_" (CONTRACT K8); whose it is is not known yet. */
static struct qn_span bare_id(const char *path, size_t i, struct qn_span s)
{
	const char *name = param_at(path, i);
	size_t n = 0;

	if (name == NULL || strncmp(name, "user_id}", 8) != 0)
		return s;
	while (n < s.n && s.p[n] >= 'a' && s.p[n] <= 'z')
		n++;
	return n > 0 && n < s.n && s.p[n] == '_' ? (struct qn_span){s.p + n + 1, s.n - n - 1} : s;
}

/* Whether the i-th parameter of the path is of this kind: ":int}" of "{version:int}". */
static bool param_is(const char *path, size_t i, const char *kind)
{
	const char *p = param_at(path, i);

	if (p == NULL)
		return false;
	const char *colon = strchr(p, ':'), *end = strchr(p, '}');
	return colon != NULL && colon < end && strncmp(colon, kind, strlen(kind)) == 0;
}

static bool read_name(struct qn_arena *a, struct qn_span s, const char **ret)
{
	static const char fit[] = "abcdefghijklmnopqrstuvwxyz0123456789-";

	*ret = qn_strndup(a, s.p, s.n);
	return s.n <= 32 && (*ret)[0] >= 'a' && (*ret)[0] <= 'z' && strspn(*ret, fit) == s.n;
}

/* One spelling for each number: no sign, no zeros in front. */
static bool read_int(struct qn_span s, int64_t *ret)
{
	if (s.n == 0 || s.p[0] == '-' || (s.n > 1 && s.p[0] == '0'))
		return false;
	return qn_json_i64(s, ret) && *ret <= INT32_MAX;
}

enum qn_err qn_request_params(struct qn_request *r, const struct qn_match *m)
{
	for (size_t i = 0; i < QN_PATH_PARAMS && m->param[i].p != NULL; i++) {
		if (param_is(r->route->path, i, ":name}")) {
			if (!read_name(r->arena, m->param[i], &r->param[i]))
				return r->route->missing;
			continue;
		}
		if (param_is(r->route->path, i, ":int}")) {
			if (!read_int(m->param[i], &r->param_int[i]))
				return QN_NOT_FOUND;
			continue;
		}
		char *id = qn_alloc(r->arena, QN_UUID_LEN + 1);
		struct qn_span bare = bare_id(r->route->path, i, m->param[i]);
		if (!qn_uuid_parse(bare.p, bare.n, id))
			return r->route->missing;
		r->param[i] = id;
	}
	return QN_OK;
}

void qn_request_drain(struct qn_request *r)
{
	char trash[4096];

	while (qn_fcgi_read(r->fcgi, trash, sizeof(trash)) > 0)
		;
}

/* What CONTENT_LENGTH says; 0 when there is none, -1 when it is no number. */
static int64_t content_length(const struct qn_request *r)
{
	const char *s = qn_fcgi_param(r->fcgi, "CONTENT_LENGTH");
	int64_t n = 0;

	if (s == NULL || *s == '\0')
		return 0;
	return read_int(qn_span_of(s), &n) ? n : -1;
}

enum qn_err qn_request_body(struct qn_request *r)
{
	int64_t n = content_length(r);
	size_t most = r->route->body != NULL ? r->route->body_max : NO_BODY_BYTES;

	if (n < 0)
		return QN_BAD_REQUEST;
	if ((size_t)n > most)
		return QN_TOO_LARGE;
	char *p = qn_alloc(r->arena, (size_t)n + 1);
	size_t have = 0;
	for (;;) {
		ssize_t got = qn_fcgi_read(r->fcgi, p + have, (size_t)n + 1 - have);
		if (got < 0 || (got == 0 && have < (size_t)n) || have + (size_t)got > (size_t)n) {
			r->why = "the body is not as long as it says";
			return QN_BAD_REQUEST;
		}
		if (got == 0)
			break;
		have += (size_t)got;
	}
	r->body = (struct qn_span){p, have};
	return QN_OK;
}
