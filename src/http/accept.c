#include "quoin/http/accept.h"

#include <errno.h>
#include <fcgiapp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "quoin/base/log.h"

struct qn_fcgi {
	FCGX_Request request;
	int listen_fd, epoll_fd;
	struct timeval patience; /* of a read or a write on a connection, and of a whole request */
	timer_t timer;           /* sends SIGALRM when a client takes longer to send one */
	volatile int reading;    /* the socket that it watches, -1 none */
	bool open;               /* a request is in hand */
	bool lost;               /* a write failed */
};

/*
 * Nothing more is read than what has come: the read that waits, or the next one, finds the end. A reply
 * that is being written is not touched.
 */
static void on_alarm(int sig, siginfo_t *info, void *context)
{
	struct qn_fcgi *f = info->si_value.sival_ptr;
	int kept = errno;

	(void)sig;
	(void)context;
	if (info->si_code == SI_TIMER && f->reading >= 0)
		shutdown(f->reading, SHUT_RD);
	errno = kept;
}

static bool make_timer(struct qn_fcgi *f)
{
	struct sigaction sa = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct sigevent ev = {
	    .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM, .sigev_value.sival_ptr = f};

	return sigaction(SIGALRM, &sa, NULL) == 0 &&
	       timer_create(CLOCK_MONOTONIC, &ev, &f->timer) == 0;
}

/* Watches the socket until a request was read to its end; -1 when it was. */
static void watch(struct qn_fcgi *f, int fd)
{
	struct itimerspec t = {.it_value = {.tv_sec = fd < 0 ? 0 : f->patience.tv_sec}};

	if (fd < 0 && f->reading < 0)
		return;
	f->reading = fd;
	timer_settime(f->timer, 0, &t, NULL);
}

struct qn_fcgi *qn_fcgi_new(int listen_fd, int read_timeout_s)
{
	struct qn_fcgi *f = calloc(1, sizeof(*f));
	struct epoll_event e = {.events = EPOLLIN | EPOLLEXCLUSIVE};

	/* No listening socket for libfcgi: it must not accept by itself when a connection was bad. */
	if (f == NULL || FCGX_Init() != 0 ||
	    FCGX_InitRequest(&f->request, -1, FCGI_FAIL_ACCEPT_ON_INTR) != 0)
		qn_fatal("libfcgi does not start");
	f->listen_fd = listen_fd;
	f->patience.tv_sec = read_timeout_s;
	f->reading = -1;
	if (!make_timer(f))
		qn_fatal("no timer: %s", strerror(errno));
	f->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (f->epoll_fd < 0 ||
	    (listen_fd >= 0 && epoll_ctl(f->epoll_fd, EPOLL_CTL_ADD, listen_fd, &e) != 0))
		qn_fatal("cannot wait for the socket: %s", strerror(errno));
	return f;
}

void qn_fcgi_free(struct qn_fcgi *f)
{
	if (f == NULL)
		return;
	if (f->open)
		qn_fcgi_finish(f);
	timer_delete(f->timer);
	close(f->epoll_fd);
	free(f);
}

enum qn_accepted qn_fcgi_take(struct qn_fcgi *f, int fd)
{
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &f->patience, sizeof(f->patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &f->patience, sizeof(f->patience));
	f->request.ipcFd = fd;
	f->request.keepConnection = 1; /* or FCGX_Accept_r would close it before reading */
	/* No lingering when it is closed, which may take two seconds: by then the body was read to its end, or
	 * is not worth waiting for. */
	f->request.detached = 1;
	watch(f, fd);
	if (FCGX_Accept_r(&f->request) != 0) {
		watch(f, -1);
		return QN_ACCEPT_DROPPED;
	}
	f->request.keepConnection = 0;
	f->open = true;
	f->lost = false;
	return QN_ACCEPT_REQUEST;
}

enum qn_accepted qn_fcgi_accept(struct qn_fcgi *f, int timeout_ms, const sigset_t *mask)
{
	struct epoll_event e;
	int fd = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0 && epoll_pwait(f->epoll_fd, &e, 1, timeout_ms, mask) > 0)
		fd = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	return fd < 0 ? QN_ACCEPT_NOTHING : qn_fcgi_take(f, fd);
}

const char *qn_fcgi_param(const struct qn_fcgi *f, const char *name)
{
	return FCGX_GetParam(name, f->request.envp);
}

/* One walk over all that was sent: this is asked of every request. */
const char *qn_fcgi_repeated(const struct qn_fcgi *f, const struct qn_span *names, size_t n)
{
	uint32_t seen = 0;

	for (char **e = f->request.envp; e != NULL && *e != NULL; e++) {
		size_t len = strcspn(*e, "=");
		for (size_t i = 0; i < n; i++) {
			if (names[i].n != len || memcmp(names[i].p, *e, len) != 0)
				continue;
			if (seen & UINT32_C(1) << i)
				return names[i].p;
			seen |= UINT32_C(1) << i;
		}
	}
	return NULL;
}

ssize_t qn_fcgi_read(struct qn_fcgi *f, void *p, size_t n)
{
	int want = n > 1 << 20 ? 1 << 20 : (int)n;
	int got = FCGX_GetStr(p, want, f->request.in);

	if (got > 0)
		return got;
	watch(f, -1); /* before the reply: a write that is interrupted would be lost */
	return FCGX_GetError(f->request.in) != 0 ? -1 : 0;
}

bool qn_fcgi_write(struct qn_fcgi *f, const void *p, size_t n)
{
	const char *at = p;

	while (n > 0 && !f->lost) {
		int part = n > 1 << 20 ? 1 << 20 : (int)n;
		f->lost = FCGX_PutStr(at, part, f->request.out) != part;
		at += part;
		n -= (size_t)part;
	}
	return !f->lost;
}

bool qn_fcgi_finish(struct qn_fcgi *f)
{
	/* In this order the end of the request leaves in the same write as the last of the reply. */
	watch(f, -1);
	FCGX_FClose(f->request.err);
	bool flushed = FCGX_FClose(f->request.out) == 0 && !f->lost;

	FCGX_Finish_r(&f->request);
	f->open = false;
	return flushed;
}
