/*
 * One FastCGI request at a time, through libfcgi, which is seen nowhere but in accept.c. It accepts by
 * itself, so that a silent client costs no more than a deadline (SECURITY F26) and a signal is never
 * missed; libfcgi reads the records.
 */
#ifndef QUOIN_HTTP_ACCEPT_H
#define QUOIN_HTTP_ACCEPT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "quoin/base/span.h"

struct qn_fcgi;

struct qn_fcgi *qn_fcgi_new(int listen_fd, int read_timeout_s);
void qn_fcgi_free(struct qn_fcgi *f);

enum qn_accepted {
	QN_ACCEPT_REQUEST, /* a request is in hand, until qn_fcgi_finish */
	QN_ACCEPT_DROPPED, /* somebody connected and sent no request: nothing to do */
	QN_ACCEPT_NOTHING, /* a signal or the time-out came first */
};
/* `mask` is the signal mask to wait with. */
enum qn_accepted qn_fcgi_accept(struct qn_fcgi *f, int timeout_ms, const sigset_t *mask);

/* Reads one request from a connected socket: what qn_fcgi_accept does after accept(2). Takes fd over. */
enum qn_accepted qn_fcgi_take(struct qn_fcgi *f, int fd);

/* A parameter, or NULL. */
const char *qn_fcgi_param(const struct qn_fcgi *f, const char *name);
/* The first of n names (at most 32) that was sent more than once, as repeated headers are; or NULL. */
const char *qn_fcgi_repeated(const struct qn_fcgi *f, const struct qn_span *names, size_t n);

/* Up to n bytes of the body; 0 at its end, -1 when the client went away. */
ssize_t qn_fcgi_read(struct qn_fcgi *f, void *p, size_t n);
bool qn_fcgi_write(struct qn_fcgi *f, const void *p, size_t n);
/* Ends the request. false when the reply could not be delivered. */
bool qn_fcgi_finish(struct qn_fcgi *f);

#endif
