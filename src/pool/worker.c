/* For the time being: a worker that accepts and hangs up, so that the masters can be started. */
#include "quoin/pool/worker.h"

#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

int qn_worker_main(const struct qn_child *child)
{
	struct pollfd p = {.fd = child->listen_fd, .events = POLLIN};
	sigset_t mask;

	qn_child_wait_mask(&mask);
	qn_board_stage(child->board, child->slot, QN_STAGE_IDLE, -1);
	while (!qn_child_leaving()) {
		if (ppoll(&p, 1, NULL, &mask) != 1)
			continue;
		int fd = accept4(child->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			close(fd);
	}
	return 0;
}

static int wait_only(const struct qn_child *child)
{
	sigset_t mask;

	qn_child_wait_mask(&mask);
	qn_board_stage(child->board, child->slot, QN_STAGE_IDLE, -1);
	while (!qn_child_leaving())
		ppoll(NULL, 0, NULL, &mask);
	return 0;
}

int qn_jobs_main(const struct qn_child *child)
{
	return wait_only(child);
}

int qn_listener_main(const struct qn_child *child)
{
	return wait_only(child);
}
