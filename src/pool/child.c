#include "quoin/pool/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
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

static void write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0) {
		/* then it stays as the kernel has it */
	}
	close(fd);
}

/* When memory runs out the kernel should take a worker and not the master. */
static void offer_to_oom_killer(void)
{
	write_to("/proc/self/oom_score_adj", "500");
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
	char text[12];

	if (child->slot < 0 || nice <= getpriority(PRIO_PROCESS, 0))
		return;
	if (setpriority(PRIO_PROCESS, 0, nice) != 0 || getsid(0) != master || setsid() < 0)
		return;
	snprintf(text, sizeof(text), "%d", nice);
	write_to("/proc/self/autogroup", text);
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
