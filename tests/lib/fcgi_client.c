#include "fcgi_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of the machine, not of what is tested. */
#define MUST(what) \
	do { \
		if (!(what)) { \
			perror(#what); \
			abort(); \
		} \
	} while (0)

enum { ANSWER_BYTES = 64 * 1024 * 1024, RECORD_MAX = 65535, HEADER = 8 };

void fcgi_record(struct qn_buf *out, int type, const void *p, size_t n)
{
	const char *at = p;

	do {
		size_t part = n > RECORD_MAX ? RECORD_MAX : n, padding = (8 - part % 8) % 8;
		const unsigned char head[HEADER] = {1, (unsigned char)type, 0, 1,
		    (unsigned char)(part >> 8), (unsigned char)part, (unsigned char)padding, 0};
		qn_buf_add(out, head, sizeof(head));
		qn_buf_add(out, at, part);
		qn_buf_add(out, "\0\0\0\0\0\0\0", padding);
		at = at != NULL ? at + part : NULL;
		n -= part;
	} while (n > 0);
}

void fcgi_begin(struct qn_buf *out, int role, int flags)
{
	const unsigned char body[8] = {
	    (unsigned char)(role >> 8), (unsigned char)role, (unsigned char)flags};

	fcgi_record(out, FCGI_T_BEGIN, body, sizeof(body));
}

static void add_length(struct qn_buf *out, size_t n)
{
	const unsigned char four[4] = {(unsigned char)(n >> 24 | 0x80), (unsigned char)(n >> 16),
	    (unsigned char)(n >> 8), (unsigned char)n};

	if (n < 128)
		qn_buf_char(out, (char)n);
	else
		qn_buf_add(out, four, sizeof(four));
}

void fcgi_pair(struct qn_buf *params, const char *name, const char *value)
{
	add_length(params, strlen(name));
	add_length(params, strlen(value));
	qn_buf_str(params, name);
	qn_buf_str(params, value);
}

void fcgi_request(struct qn_buf *out, const char *const *params, const void *body, size_t n)
{
	struct qn_buf pairs;

	qn_buf_init(&pairs, ANSWER_BYTES);
	for (; params[0] != NULL; params += 2)
		fcgi_pair(&pairs, params[0], params[1]);
	fcgi_begin(out, 1, 0);
	if (pairs.n > 0)
		fcgi_record(out, FCGI_T_PARAMS, pairs.p, pairs.n);
	fcgi_record(out, FCGI_T_PARAMS, NULL, 0);
	if (n > 0)
		fcgi_record(out, FCGI_T_STDIN, body, n);
	fcgi_record(out, FCGI_T_STDIN, NULL, 0);
	qn_buf_done(&pairs);
}

static void *talk(void *arg)
{
	struct fcgi_talk *t = arg;
	char block[65536];
	ssize_t got;

	for (size_t at = 0; at < t->n;) {
		ssize_t put = send(t->fd, t->request + at, t->n - at, MSG_NOSIGNAL);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			break;
		at += (size_t)put;
	}
	if (t->hang_up)
		shutdown(t->fd, SHUT_WR);
	while ((got = recv(t->fd, block, sizeof(block), 0)) > 0 || (got < 0 && errno == EINTR))
		if (got > 0)
			qn_buf_add(&t->answer, block, (size_t)got);
	return NULL;
}

int fcgi_talk_start(struct fcgi_talk *t)
{
	int pair[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	t->fd = pair[0];
	qn_buf_init(&t->answer, ANSWER_BYTES);
	MUST(pthread_create(&t->thread, NULL, talk, t) == 0);
	return pair[1];
}

void fcgi_talk_end(struct fcgi_talk *t)
{
	MUST(pthread_join(t->thread, NULL) == 0);
	close(t->fd);
	MUST(!t->answer.over);
}

/* One record at *at; false when there is no whole one of ours. */
static bool take_record(const struct qn_buf *in, size_t *at, int *ret_type, struct qn_span *ret)
{
	const unsigned char *p = (const unsigned char *)in->p + *at;

	if (in->n - *at < HEADER || p[0] != 1 || p[2] != 0 || p[3] != 1)
		return false;
	size_t n = (size_t)p[4] << 8 | p[5], all = HEADER + n + p[6];
	if (in->n - *at < all)
		return false;
	*ret_type = p[1];
	*ret = (struct qn_span){(const char *)p + HEADER, n};
	*at += all;
	return true;
}

/* Status, header lines and body of what came on STDOUT. */
static bool split(struct fcgi_answer *a)
{
	const char *end = a->out.n > 0 ? memmem(a->out.p, a->out.n, "\r\n\r\n", 4) : NULL;

	if (end == NULL)
		return false;
	a->header = strndup(a->out.p, (size_t)(end - a->out.p) + 2);
	a->body = end + 4;
	a->n = a->out.n - (size_t)(a->body - a->out.p);
	if (a->header == NULL || strlen(a->header) != (size_t)(end - a->out.p) + 2)
		return false;
	const char *status = fcgi_answer_header(a, "Status");
	a->status = status != NULL ? (int)strtol(status, NULL, 10) : 200;
	return true;
}

bool fcgi_answer_read(const struct qn_buf *records, struct fcgi_answer *ret)
{
	size_t at = 0;
	bool closed = false;
	int type;
	struct qn_span body;

	*ret = (struct fcgi_answer){.protocol_status = -1};
	qn_buf_init(&ret->out, ANSWER_BYTES);
	while (at < records->n) {
		if (ret->ended || !take_record(records, &at, &type, &body))
			return false;
		if (type == FCGI_T_STDOUT && closed)
			return false;
		if (type == FCGI_T_STDOUT)
			qn_buf_add(&ret->out, body.p, body.n);
		closed = closed || (type == FCGI_T_STDOUT && body.n == 0);
		if (type == FCGI_T_END && body.n == 8) {
			ret->ended = closed;
			ret->protocol_status = body.p[4];
		}
	}
	return ret->ended && split(ret);
}

void fcgi_answer_done(struct fcgi_answer *a)
{
	free(a->header);
	qn_buf_done(&a->out);
}

const char *fcgi_answer_header(const struct fcgi_answer *a, const char *name)
{
	static char value[16384];
	size_t n = strlen(name);

	for (const char *line = a->header; line != NULL && *line != '\0';) {
		const char *end = strstr(line, "\r\n");
		if (end == NULL)
			return NULL;
		if (strncasecmp(line, name, n) == 0 && strncmp(line + n, ": ", 2) == 0) {
			snprintf(value, sizeof(value), "%.*s", (int)(end - line - (long)n - 2),
			    line + n + 2);
			return value;
		}
		line = end + 2;
	}
	return NULL;
}
