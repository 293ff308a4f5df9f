/* The other side of FastCGI (its specification, 1.0): builds requests record by record, reads
 * answers. */
#ifndef TESTS_LIB_FCGI_CLIENT_H
#define TESTS_LIB_FCGI_CLIENT_H

#include <pthread.h>
#include <stdbool.h>

#include "quoin/base/buf.h"

enum {
	FCGI_T_BEGIN = 1,
	FCGI_T_ABORT,
	FCGI_T_END,
	FCGI_T_PARAMS,
	FCGI_T_STDIN,
	FCGI_T_STDOUT,
	FCGI_T_STDERR,
	FCGI_T_DATA,
	FCGI_T_GET_VALUES,
	FCGI_T_GET_VALUES_RESULT,
	FCGI_T_UNKNOWN
};

/* Pieces; each adds to `out`. A stream of no bytes is the record that ends it. */
void fcgi_record(struct qn_buf *out, int type, const void *p, size_t n);
void fcgi_begin(struct qn_buf *out, int role, int flags);
void fcgi_pair(struct qn_buf *params, const char *name, const char *value);

/* A whole request of a responder: names and values in turn, NULL at the end. */
void fcgi_request(struct qn_buf *out, const char *const *params, const void *body, size_t n);

/* One conversation: a thread sends the request and takes what comes back until the end. */
struct fcgi_talk {
	const char *request;
	size_t n;
	bool hang_up;         /* after the request: no more will come */
	struct qn_buf answer; /* all records */
	int fd;
	pthread_t thread;
};
/* Returns the server's end of the connection. */
int fcgi_talk_start(struct fcgi_talk *t);
void fcgi_talk_end(struct fcgi_talk *t);

/* What an answer says. Strings live until fcgi_answer_done. */
struct fcgi_answer {
	bool ended; /* with END_REQUEST, all streams closed */
	int protocol_status;
	int status;
	char *header; /* lines, each with its CRLF */
	const char *body;
	size_t n;
	struct qn_buf out; /* of STDOUT */
};
/* false when it is not one well-formed answer of one request. */
bool fcgi_answer_read(const struct qn_buf *records, struct fcgi_answer *ret);
void fcgi_answer_done(struct fcgi_answer *a);
/* The value of a header line, NULL when there is none; good until the next call. */
const char *fcgi_answer_header(const struct fcgi_answer *a, const char *name);

#endif
