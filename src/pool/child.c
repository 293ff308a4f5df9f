#include "quoin/pool/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static volatile sig_atomic_t leaving;

static void on_leave(int sig)
{
	(void)sig;
	leaving = 1;
}

static void handle(int sig, void (*handler)(int))
{
	struct sigaction sa = {.sa_handler = handler};

	sigaction(sig, &sa, NULL);
}

/*
 * TERM and QUIT stay blocked except while the child waits with qn_child_wait_mask(): nothing that a
 * handler calls is ever interrupted by them. INT and HUP are for the master: a terminal sends them
 * to all, and the request in hand must end well.
 */
static void set_signals(void)
{
	sigset_t blocked;

	handle(SIGTERM, on_leave);
	handle(SIGQUIT, on_leave);
	handle(SIGINT, SIG_IGN);
	handle(SIGHUP, SIG_IGN);
	handle(SIGPIPE, SIG_IGN);
	handle(SIGCHLD, SIG_DFL);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGQUIT);
	sigprocmask(SIG_SETMASK, &blocked, NULL);
}

bool qn_child_leaving(void)
{
	sigset_t pending;

	if (leaving)
		return true;
	sigemptyset(&pending);
	sigpending(&pending);
	if (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGQUIT) == 1)
		leaving = 1;
	return leaving;
}

void qn_child_wait_mask(sigset_t *ret)
{
	sigemptyset(ret);
}

void qn_child_pause(int64_t ms)
{
	struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	sigset_t mask;

	qn_child_wait_mask(&mask);
	if (!qn_child_leaving())
		ppoll(NULL, 0, &left, &mask);
}

/* When memory runs out the kernel should take a worker and not the master. */
static void offer_to_oom_killer(void)
{
	static const char score[] = "500";
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, score, sizeof(score) - 1) < 0) {
		/* then the kernel chooses by size alone */
	}
	close(fd);
}

/* OpenSSL 3 notices the fork and seeds its generator anew by itself: nothing to do for it here. */
void child_run(const struct qn_child *child, int (*run)(const struct qn_child *child), pid_t master,
    int signal_fd)
{
	close(signal_fd);
	set_signals();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != master) /* it died before prctl: nobody will tell us */
		_exit(0);
	offer_to_oom_killer();
	exit(run(child));
}
