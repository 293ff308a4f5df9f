/*
 * The master of one pool: owns the socket, forks workers and keeps their number, ends a worker that
 * spends too long on one request, drains on TERM, starts new workers and retires the old on HUP,
 * answers early deaths with a growing pause, and tells systemd (sd_notify). It never does work of its
 * own that could block: a second child, the listener, hears Postgres for it.
 */
#ifndef QUOIN_POOL_MASTER_H
#define QUOIN_POOL_MASTER_H

#include <signal.h>

#include "quoin/base/board.h"
#include "quoin/base/conf.h"
#include "quoin/base/tally.h"

/* What a child is given. Everything else it makes itself after the fork. */
struct qn_child {
	enum qn_pool pool;
	const struct qn_conf *conf;
	struct qn_board *board;
	struct qn_tally *tally; /* NULL: jobs */
	int listen_fd;          /* -1: jobs */
	int slot;               /* its line of the board; -1: the listener, which has none */
};

struct qn_pool_spec {
	enum qn_pool pool;
	const char *config_path; /* as given to qn_conf_load, for HUP; may be NULL */
	const char *listen_path; /* Unix socket to bind; NULL: fd 0 is the listening socket */
	unsigned listen_mode;    /* of that socket, e.g. 0660 */
	enum qn_setting workers; /* the setting that says how many */
	/* Sets its stage (board.h): IDLE says that it is up, and one that is longer in READ or HANDLE
	 * than QUOIN_REQUEST_TIMEOUT_S is killed; setting the stage again is a sign of life. Returns
	 * the exit status: 0 means "told to", or its use or age is up. */
	int (*worker)(const struct qn_child *child);
	int (*listener)(const struct qn_child *child); /* NULL: none */
};

/* Runs until told to stop; returns the exit status of the program. Takes `conf` over. */
int qn_master_run(const struct qn_pool_spec *spec, struct qn_conf *conf);

/*
 * In a child: whether it was told to leave (TERM, QUIT, HUP's retirement, or the master's death). Those
 * signals are blocked in a child, so that nothing it calls is interrupted; this also finds a pending one.
 */
bool qn_child_leaving(void);
/* In a child that waits for nothing but signals and fds: the mask to wait with (epoll_pwait, ppoll),
 * so that a signal between the check and the wait is not lost. No other wait ends by being told. */
void qn_child_wait_mask(sigset_t *ret);
/* In a child: waits so long, or until it is told to leave. */
void qn_child_pause(int64_t ms);

#endif
