#include "quoin/net/samlclient.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "quoin/base/buf.h"
#include "quoin/base/clock.h"
#include "quoin/base/json.h"

enum { FRAME_MAX = 256 * 1024, HEAD = 4, METADATA_MAX = 8192 };

struct wire {
	int fd;
	int64_t end_us; /* monotonic */
};

static void wire_done(struct wire *w)
{
	if (w->fd >= 0)
		close(w->fd);
}

/* false: the time is over. */
static bool ready(const struct wire *w, short events)
{
	struct pollfd p = {.fd = w->fd, .events = events};

	for (;;) {
		int64_t left_ms = (w->end_us - qn_mono_us() + 999) / 1000;
		if (left_ms <= 0)
			return false;
		int n = poll(&p, 1, left_ms < INT32_MAX ? (int)left_ms : INT32_MAX);
		if (n > 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
	}
}

/* Whether the call that just failed is to be tried again. */
static bool again(const struct wire *w, short events)
{
	return errno == EINTR || ((errno == EAGAIN || errno == EWOULDBLOCK) && ready(w, events));
}

static bool write_all(const struct wire *w, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t put = send(w->fd, p, n, MSG_NOSIGNAL);
		if (put < 0 && again(w, POLLOUT))
			continue;
		if (put <= 0)
			return false;
		p += put;
		n -= (size_t)put;
	}
	return true;
}

static bool read_all(const struct wire *w, char *p, size_t n)
{
	while (n > 0) {
		ssize_t got = recv(w->fd, p, n, 0);
		if (got < 0 && again(w, POLLIN))
			continue;
		if (got <= 0)
			return false;
		p += got;
		n -= (size_t)got;
	}
	return true;
}

/* A Unix socket connects at once, or has a full backlog, which is as good as nobody there. */
static int connect_to(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(at.sun_path))
		return -1;
	memcpy(at.sun_path, path, strlen(path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof(at)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool read_frame(struct qn_arena *a, const struct wire *w, struct qn_span *ret)
{
	unsigned char head[HEAD];

	if (!read_all(w, (char *)head, sizeof(head)))
		return false;
	size_t n = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
	if (n == 0 || n > FRAME_MAX)
		return false;
	char *p = qn_alloc(a, n);
	*ret = (struct qn_span){p, n};
	return read_all(w, p, n);
}

static enum qn_err exchange(struct qn_arena *a, const struct qn_saml_sides *sides,
    const struct qn_buf *question, struct qn_span *ret, const char **ret_why)
{
	size_t n = question->n;
	const char head[HEAD] = {
	    (char)(n >> 24 & 255), (char)(n >> 16 & 255), (char)(n >> 8 & 255), (char)(n & 255)};
	__attribute__((cleanup(wire_done))) struct wire w = {
	    connect_to(sides->socket), qn_mono_us() + sides->timeout_ms * 1000};

	*ret_why = "quoin-saml is not there";
	if (w.fd < 0)
		return QN_DB_DOWN;
	*ret_why = "quoin-saml did not answer";
	return write_all(&w, head, sizeof(head)) && write_all(&w, question->p, n) &&
	               read_frame(a, &w, ret)
	           ? QN_OK
	           : QN_DB_DOWN;
}

static void put(struct qn_buf *b, const char *name, const char *value)
{
	qn_buf_printf(b, "%c\"%s\":", b->n == 0 ? '{' : ',', name);
	qn_buf_json(b, value, strlen(value));
}

static bool get_bool(const struct qn_json_object *o, const char *name)
{
	bool b = false;

	return qn_json_bool(qn_json_get(o, name), &b) && b;
}

static const char *get(struct qn_arena *a, const struct qn_json_object *o, const char *name)
{
	const char *s = NULL;

	return qn_json_str(a, qn_json_get(o, name), &s, NULL) ? s : NULL;
}

/* Asks, and reads the answer's members. What does not fit a frame is refused as it would be there. */
static enum qn_err ask(struct qn_arena *a, const struct qn_saml_sides *sides, struct qn_buf *b,
    struct qn_json_object *ret, const char **ret_why)
{
	struct qn_span answer;

	put(b, "sp", qn_saml_metadata(a, sides->sp_entity, sides->acs));
	put(b, "idp", sides->idp);
	qn_buf_char(b, '}');
	*ret_why = "too-large";
	if (b->over)
		return QN_DENIED;
	QN_TRY(exchange(a, sides, b, &answer, ret_why));
	*ret_why = "quoin-saml answered what is no answer";
	if (qn_json_scan(a, answer, &qn_json_default_limits, ret, NULL) != QN_JSON_OK ||
	    ret->members == NULL)
		return QN_DB_DOWN;
	if (get_bool(ret, "ok"))
		return QN_OK;
	const char *reason = get(a, ret, "reason");
	if (reason == NULL)
		return QN_DB_DOWN;
	*ret_why = reason;
	return QN_DENIED;
}

static void buf_done(struct qn_buf *b)
{
	qn_buf_done(b);
}

enum qn_err qn_saml_request(struct qn_arena *a, const struct qn_saml_sides *sides,
    const char *relay_state, struct qn_saml_asked *ret, const char **ret_why)
{
	__attribute__((cleanup(buf_done))) struct qn_buf b;
	struct qn_json_object o;

	qn_buf_init(&b, FRAME_MAX);
	put(&b, "verb", "authn-request");
	put(&b, "relay_state", relay_state);
	QN_TRY(ask(a, sides, &b, &o, ret_why));
	*ret = (struct qn_saml_asked){get(a, &o, "url"), get(a, &o, "id"), get(a, &o, "issuer")};
	*ret_why = "quoin-saml answered too little";
	return ret->url != NULL && ret->id != NULL && ret->idp != NULL ? QN_OK : QN_DB_DOWN;
}

enum qn_err qn_saml_response(struct qn_arena *a, const struct qn_saml_sides *sides,
    const char *response, const char *request_id, struct qn_saml_subject *ret, const char **ret_why)
{
	__attribute__((cleanup(buf_done))) struct qn_buf b;
	struct qn_json_object o;

	qn_buf_init(&b, FRAME_MAX);
	put(&b, "verb", "response");
	put(&b, "request_id", request_id);
	put(&b, "response", response);
	QN_TRY(ask(a, sides, &b, &o, ret_why));
	*ret = (struct qn_saml_subject){
	    .issuer = get(a, &o, "issuer"),
	    .name_id = get(a, &o, "name_id"),
	    .assertion_id = get(a, &o, "assertion_id"),
	    .session_index = get(a, &o, "session_index"),
	    .email = get(a, &o, "email"),
	    .first_name = get(a, &o, "first_name"),
	    .last_name = get(a, &o, "last_name"),
	};
	*ret_why = "quoin-saml answered too little";
	return ret->issuer != NULL && ret->name_id != NULL && ret->assertion_id != NULL &&
	               qn_json_i64(qn_json_get(&o, "expires"), &ret->expires_s)
	           ? QN_OK
	           : QN_DB_DOWN;
}

/* An attribute's value. */
static void escaped(struct qn_buf *b, const char *s)
{
	for (; *s != '\0'; s++) {
		switch (*s) {
		case '&':
			qn_buf_str(b, "&amp;");
			break;
		case '<':
			qn_buf_str(b, "&lt;");
			break;
		case '"':
			qn_buf_str(b, "&quot;");
			break;
		default:
			qn_buf_char(b, *s);
		}
	}
}

const char *qn_saml_metadata(struct qn_arena *a, const char *sp_entity, const char *acs)
{
	__attribute__((cleanup(buf_done))) struct qn_buf b;

	qn_buf_init(&b, METADATA_MAX);
	qn_buf_str(&b,
	    "<md:EntityDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" entityID=\"");
	escaped(&b, sp_entity);
	qn_buf_str(&b,
	    "\"><md:SPSSODescriptor AuthnRequestsSigned=\"false\" WantAssertionsSigned=\"true\" "
	    "protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\">"
	    "<md:AssertionConsumerService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\" Location=\"");
	escaped(&b, acs);
	qn_buf_str(
	    &b, "\" index=\"0\" isDefault=\"true\"/></md:SPSSODescriptor></md:EntityDescriptor>\n");
	return qn_strndup(a, b.p, b.n);
}
