#include "quoin/net/outcall.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "quoin/base/buf.h"

static const char no_memory[] = "no memory for a call";

enum { TELL_READS = 64 * 1024 };

struct answer {
	struct qn_buf body;
	bool refused; /* the address was not public */
};

static bool public_v4(uint32_t ip)
{
	static const struct {
		uint32_t net;
		unsigned bits;
	} closed[] = {
	    {0x00000000, 8},
	    {0x0a000000, 8},
	    {0x64400000, 10},
	    {0x7f000000, 8},
	    {0xa9fe0000, 16},
	    {0xac100000, 12},
	    {0xc0000000, 24},
	    {0xc0000200, 24},
	    {0xc0586300, 24},
	    {0xc0a80000, 16},
	    {0xc6120000, 15},
	    {0xc6336400, 24},
	    {0xcb007100, 24},
	    {0xe0000000, 4},
	    {0xf0000000, 4},
	};

	for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++)
		if ((ip ^ closed[i].net) >> (32 - closed[i].bits) == 0)
			return false;
	return true;
}

/* Global unicast is 2000::/3; of it documentation, 6to4 and Teredo lead elsewhere. */
static bool public_v6(const uint8_t ip[16])
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	if (memcmp(ip, mapped, sizeof(mapped)) == 0)
		return public_v4((uint32_t)ip[12] << 24 | (uint32_t)ip[13] << 16 |
				 (uint32_t)ip[14] << 8 | ip[15]);
	if ((ip[0] & 0xe0) != 0x20)
		return false;
	bool documentation = ip[0] == 0x20 && ip[1] == 0x01 && ip[2] == 0x0d && ip[3] == 0xb8;
	bool teredo = ip[0] == 0x20 && ip[1] == 0x01 && ip[2] == 0 && ip[3] == 0;
	bool six_to_four = ip[0] == 0x20 && ip[1] == 0x02;
	return !documentation && !teredo && !six_to_four;
}

static bool public_address(const struct curl_sockaddr *to)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (to->family == AF_INET) {
		memcpy(&v4, &to->addr, sizeof(v4));
		return public_v4(ntohl(v4.sin_addr.s_addr));
	}
	if (to->family != AF_INET6)
		return false;
	memcpy(&v6, &to->addr, sizeof(v6));
	return public_v6(v6.sin6_addr.s6_addr);
}

/* curl asks for a socket to the very address that it resolved: nothing can be swapped in between. */
static curl_socket_t open_public(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
	(void)purpose;
	if (!public_address(to)) {
		((struct answer *)arg)->refused = true;
		return CURL_SOCKET_BAD;
	}
	return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

/* Whether the host of a URL, as curl has read it, is an address that is not public. */
static bool closed_host(const char *host)
{
	struct in_addr v4;
	struct in6_addr v6;
	char text[INET6_ADDRSTRLEN];
	size_t n = strlen(host);

	if (inet_pton(AF_INET, host, &v4) == 1)
		return !public_v4(ntohl(v4.s_addr));
	if (host[0] != '[')
		return false;
	if (n - 2 >= sizeof(text) || host[n - 1] != ']')
		return true;
	memcpy(text, host + 1, n - 2);
	text[n - 2] = '\0';
	return inet_pton(AF_INET6, text, &v6) != 1 || !public_v6(v6.s6_addr);
}

static size_t take(char *p, size_t size, size_t n, void *arg)
{
	struct answer *answer = arg;

	qn_buf_add(&answer->body, p, size * n);
	return answer->body.over ? 0 : size * n;
}

static void set_up(CURL *c, const struct qn_outcall *call, struct answer *answer)
{
	curl_easy_setopt(c, CURLOPT_URL, call->url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, call->local_ok ? "https,http" : "https");
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)call->timeout_ms);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "quoin/" PACKAGE_VERSION);
	curl_easy_setopt(c, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)call->most);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, answer);
	if (call->local_ok)
		return;
	curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_public);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, answer);
}

static void set_credentials(CURL *c, const struct qn_outcall *call)
{
	if (call->bearer != NULL) {
		curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
		curl_easy_setopt(c, CURLOPT_XOAUTH2_BEARER, call->bearer);
	} else if (call->user != NULL) {
		curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(c, CURLOPT_USERNAME, call->user);
		curl_easy_setopt(c, CURLOPT_PASSWORD, call->password);
	}
}

/* Why there is no whole answer; NULL: there is one. */
static const char *why_not(CURLcode rc, const struct answer *answer)
{
	if (answer->refused)
		return "the address is not public";
	if (answer->body.over || rc == CURLE_FILESIZE_EXCEEDED)
		return "the answer is too large";
	return rc != CURLE_OK ? curl_easy_strerror(rc) : NULL;
}

/* The head's own lines; false when there is no memory for them. */
static bool set_headers(CURL *c, const struct qn_outcall *call, struct curl_slist **ret_list)
{
	static const char *const none[] = {NULL};
	const char *const *more = call->headers != NULL ? call->headers : none;
	struct curl_slist *list =
	    call->json ? curl_slist_append(NULL, "Accept: application/json") : NULL;
	bool ok = !call->json || list != NULL;

	for (; ok && *more != NULL; more++) {
		struct curl_slist *longer = curl_slist_append(list, *more);
		ok = longer != NULL;
		list = ok ? longer : list;
	}
	*ret_list = list;
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, list);
	return ok;
}

static void set_post(CURL *c, const struct qn_outcall *call)
{
	curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->form.n);
	curl_easy_setopt(c, CURLOPT_POSTFIELDS, call->form.p != NULL ? call->form.p : "");
}

static const char *header_of(struct qn_arena *a, CURL *c, const char *name)
{
	struct curl_header *h;

	return curl_easy_header(c, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK
	           ? qn_strdup(a, h->value)
	           : NULL;
}

static enum qn_err finish(struct qn_arena *a, CURL *c, struct answer *answer,
    struct qn_outcall_answer *ret, const char **ret_why)
{
	CURLcode rc = curl_easy_perform(c);

	*ret_why = why_not(rc, answer);
	if (*ret_why != NULL)
		return QN_DB_DOWN;
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &ret->status);
	ret->body = (struct qn_span){
	    qn_strndup(a, answer->body.p != NULL ? answer->body.p : "", answer->body.n),
	    answer->body.n};
	ret->retry_after = header_of(a, c, "Retry-After");
	ret->should_retry = header_of(a, c, "Stripe-Should-Retry");
	return QN_OK;
}

static enum qn_err run(struct qn_arena *a, const struct qn_outcall *call, const char *method,
    struct qn_outcall_answer *ret, const char **ret_why)
{
	struct answer answer = {.refused = false};
	struct curl_slist *headers = NULL;
	CURL *c = curl_easy_init();
	enum qn_err e = QN_DB_DOWN;

	*ret_why = no_memory;
	qn_buf_init(&answer.body, call->most + 1);
	if (c != NULL && set_headers(c, call, &headers)) {
		set_up(c, call, &answer);
		set_credentials(c, call);
		if (strcmp(method, "POST") == 0)
			set_post(c, call);
		curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
		e = finish(a, c, &answer, ret, ret_why);
	}
	curl_easy_cleanup(c);
	curl_slist_free_all(headers);
	qn_buf_done(&answer.body);
	return e;
}

/* Only a 200 will do. */
static enum qn_err run_200(struct qn_arena *a, const struct qn_outcall *call, const char *method,
    struct qn_span *ret_body, const char **ret_why)
{
	struct qn_outcall_answer answer;

	QN_TRY(run(a, call, method, &answer, ret_why));
	if (answer.status != 200) {
		*ret_why = "the answer is not 200";
		return QN_DB_DOWN;
	}
	*ret_body = answer.body;
	return QN_OK;
}

enum qn_err qn_outcall_get(struct qn_arena *a, const struct qn_outcall *call,
    struct qn_span *ret_body, const char **ret_why)
{
	return run_200(a, call, "GET", ret_body, ret_why);
}

enum qn_err qn_outcall_post(struct qn_arena *a, const struct qn_outcall *call,
    struct qn_span *ret_body, const char **ret_why)
{
	return run_200(a, call, "POST", ret_body, ret_why);
}

enum qn_err qn_outcall_any(struct qn_arena *a, const struct qn_outcall *call,
    struct qn_outcall_answer *ret, const char **ret_why)
{
	return run(a, call, call->method, ret, ret_why);
}

/* The beginning of an answer, and when to stop reading. */
struct beginning {
	struct answer answer; /* first, as open_public finds it there */
	size_t read;
};

static size_t take_beginning(char *p, size_t size, size_t n, void *arg)
{
	struct beginning *b = arg;
	size_t room = b->answer.body.ceiling - b->answer.body.n - 1; /* and a NUL */

	qn_buf_add(&b->answer.body, p, size * n < room ? size * n : room);
	b->read += size * n;
	return b->read > TELL_READS ? 0 : size * n;
}

/* Whether a name exists inside is nobody's business, so both say the same. */
static const char *why_untold(CURLcode rc, long status, const struct beginning *b)
{
	if (b->answer.refused || rc == CURLE_COULDNT_RESOLVE_HOST)
		return "its host has no public address";
	if (rc == CURLE_OK || (rc == CURLE_WRITE_ERROR && b->read > TELL_READS))
		return status >= 200 ? NULL : "the answer is none";
	if (rc == CURLE_OPERATION_TIMEDOUT)
		return "there was no answer in time";
	return curl_easy_strerror(rc);
}

static void tell(CURL *c, struct qn_arena *a, const struct qn_outcall *call, struct beginning *b,
    struct qn_outcall_told *ret)
{
	long status = 0;
	curl_off_t us = 0;

	set_up(c, call, &b->answer);
	set_post(c, call);
	curl_easy_setopt(c, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)0);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_beginning);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, b);
	CURLcode rc = curl_easy_perform(c);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(c, CURLINFO_TOTAL_TIME_T, &us);
	const char *p = b->answer.body.p;
	ret->why = why_untold(rc, status, b);
	ret->status = status;
	ret->us = us;
	ret->text =
	    (struct qn_span){qn_strndup(a, p != NULL ? p : "", b->answer.body.n), b->answer.body.n};
}

void qn_outcall_tell(struct qn_arena *a, const struct qn_outcall *call, struct qn_outcall_told *ret)
{
	struct beginning b = {.read = 0};
	struct curl_slist *headers = NULL;
	CURL *c = curl_easy_init();

	*ret = (struct qn_outcall_told){.why = no_memory};
	qn_buf_init(&b.answer.body, call->most + 1);
	if (c != NULL && set_headers(c, call, &headers))
		tell(c, a, call, &b, ret);
	curl_easy_cleanup(c);
	curl_slist_free_all(headers);
	qn_buf_done(&b.answer.body);
}

/* A part of a URL; NULL when it has none. The caller gives it back to curl. */
static char *part(CURLU *u, CURLUPart what)
{
	char *s = NULL;

	return curl_url_get(u, what, &s, 0) == CURLUE_OK ? s : NULL;
}

static const char *parts_fault(CURLU *u, bool local_ok)
{
	char *scheme = part(u, CURLUPART_SCHEME), *host = part(u, CURLUPART_HOST);
	char *user = part(u, CURLUPART_USER), *password = part(u, CURLUPART_PASSWORD);
	char *fragment = part(u, CURLUPART_FRAGMENT);
	const char *fault = NULL;

	if (scheme == NULL || host == NULL || host[0] == '\0')
		fault = "This is no URL.";
	else if (strcmp(scheme, "https") != 0 && !(local_ok && strcmp(scheme, "http") == 0))
		fault = "The URL must begin with https://.";
	else if (user != NULL || password != NULL || fragment != NULL)
		fault = "The URL must have no user, no password and no fragment.";
	else if (!local_ok && closed_host(host))
		fault = "The URL must lead to a public address.";
	curl_free(scheme);
	curl_free(host);
	curl_free(user);
	curl_free(password);
	curl_free(fragment);
	return fault;
}

const char *qn_outcall_fault(const char *url, bool local_ok)
{
	static const char none[] = "This is no URL.";
	const char *host = strstr(url, "://"), *fault = none;

	/* What curl would mend, others read in other ways. */
	if (host == NULL || strspn(host + 3, "/\\") > 0)
		return none;
	for (const char *p = url; *p != '\0'; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return none;
	CURLU *u = curl_url();
	if (u != NULL && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK)
		fault = parts_fault(u, local_ok);
	curl_url_cleanup(u);
	return fault;
}
