#include "quoin/net/outcall.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "quoin/base/buf.h"

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

static const char *why_not(CURLcode rc, long status, const struct answer *answer)
{
	if (answer->refused)
		return "the address is not public";
	if (answer->body.over || rc == CURLE_FILESIZE_EXCEEDED)
		return "the answer is too large";
	if (rc != CURLE_OK)
		return curl_easy_strerror(rc);
	return status == 200 ? NULL : "the answer is not 200";
}

static enum qn_err finish(struct qn_arena *a, CURL *c, struct answer *answer,
    struct qn_span *ret_body, const char **ret_why)
{
	long status = 0;

	CURLcode rc = curl_easy_perform(c);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	*ret_why = why_not(rc, status, answer);
	if (*ret_why != NULL)
		return QN_DB_DOWN;
	*ret_body = (struct qn_span){
	    qn_strndup(a, answer->body.p != NULL ? answer->body.p : "", answer->body.n),
	    answer->body.n};
	return QN_OK;
}

static enum qn_err run(struct qn_arena *a, const struct qn_outcall *call, bool post,
    struct qn_span *ret_body, const char **ret_why)
{
	struct answer answer = {.refused = false};
	struct curl_slist *headers =
	    call->json ? curl_slist_append(NULL, "Accept: application/json") : NULL;
	CURL *c = curl_easy_init();

	*ret_why = "no memory for a call";
	if (c == NULL || (call->json && headers == NULL)) {
		curl_easy_cleanup(c);
		curl_slist_free_all(headers);
		return QN_DB_DOWN;
	}
	qn_buf_init(&answer.body, call->most + 1);
	set_up(c, call, &answer);
	set_credentials(c, call);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	if (post) {
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->form.n);
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, call->form.p);
	}
	enum qn_err e = finish(a, c, &answer, ret_body, ret_why);
	curl_easy_cleanup(c);
	curl_slist_free_all(headers);
	qn_buf_done(&answer.body);
	return e;
}

enum qn_err qn_outcall_get(struct qn_arena *a, const struct qn_outcall *call,
    struct qn_span *ret_body, const char **ret_why)
{
	return run(a, call, false, ret_body, ret_why);
}

enum qn_err qn_outcall_post(struct qn_arena *a, const struct qn_outcall *call,
    struct qn_span *ret_body, const char **ret_why)
{
	return run(a, call, true, ret_body, ret_why);
}
