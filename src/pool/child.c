#include "quoin/pool/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { GROUP_TRIES = 50, GROUP_PAUSE_MS = 100 };

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

/* 0, or what the kernel has against it. */
static int write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), failed;

	if (fd < 0)
		return errno;
	failed = write(fd, text, strlen(text)) < 0 ? errno : 0;
	close(fd);
	return failed;
}

/* When memory runs out the kernel should take a worker and not the master. */
static void offer_to_oom_killer(void)
{
	(void)write_to(
	    "/proc/self/oom_score_adj", "500"); /* else the kernel chooses by size alone */
}

/*
 * Who is not root is let change one such group in a tenth of a second, on the whole machine (kernel/sched/autogroup.c),
 * and workers start several at a time. A group that keeps its weight would get more than before.
 */
static void weigh_group(int nice)
{
	char text[12];

	snprintf(text, sizeof(text), "%d", nice);
	for (int i = 0; i < GROUP_TRIES && !qn_child_leaving(); i++) {
		if (write_to("/proc/self/autogroup", text) != EAGAIN)
			return;
		qn_child_pause(GROUP_PAUSE_MS);
	}
}

/*
 * Who hashes or works through a queue gives way to those who are waited for, the pool's listener among them: what is
 * revoked must be heard at once. Where Linux weighs sessions first (sched(7), autogroup) a worker needs one of its
 * own for that; it is no terminal's. Under systemd CPUWeight= decides.
 */
static void give_way(const struct qn_child *child, pid_t master)
{
	static const int niceness[QN_POOL__MAX] = {[QN_POOL_SLOW] = 10, [QN_POOL_JOBS] = 10};
	int nice = niceness[child->pool];

	if (child->slot < 0 || nice <= getpriority(PRIO_PROCESS, 0))
		return;
	if (setpriority(PRIO_PROCESS, 0, nice) != 0 || getsid(0) != master || setsid() < 0)
		return;
	weigh_group(nice);
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
	give_way(child, master);
	exit(run(child));
}
