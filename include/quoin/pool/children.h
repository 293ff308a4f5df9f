/*
 * The children of one master: N workers and a listener. Keeps their number, buries the dead, kills
 * the stuck, and replaces those that were started with older settings. It never waits: every call
 * does what is due at `now` and moves `*wake` to the time when it wants to be called again.
 */
#ifndef QUOIN_POOL_CHILDREN_H
#define QUOIN_POOL_CHILDREN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "quoin/pool/master.h"
#include "quoin/pool/throttle.h"

struct child {
	pid_t pid;    /* 0: none */
	uint32_t gen; /* of the settings that it was started with */
	int64_t started_us;
	int64_t told_us; /* when it was told to leave; 0: it stays */
	bool killed;     /* by the master */
};

struct children {
	const struct qn_pool_spec *spec;
	const struct qn_conf *conf;
	struct qn_board *board;
	struct qn_tally *tally;
	int listen_fd, signal_fd;
	uint32_t gen;                          /* of the settings in `conf` */
	struct child worker[QN_BOARD_WORKERS]; /* by line of the board */
	bool died[QN_BOARD_WORKERS]; /* by line too: whoever was there last was cut short */
	struct child listener;
	int held;                                /* places that wait for `young` */
	struct throttle young, listeners, forks; /* what failed: workers, the listener, fork(2) */
};

/* Those that stay, by the settings they have; `up` of them have come past their start. */
struct census {
	int fresh, old, up;
	int leaving; /* told to, but still there */
};

int children_want(const struct children *c); /* workers, by the settings */
struct census children_count(const struct children *c);
bool children_settled(const struct children *c); /* all workers are up, and none has old settings */
bool children_gone(const struct children *c);

/* New settings: everyone there is old now, and earlier failures are forgiven. */
void children_renew(struct children *c, const struct qn_conf *conf);

void children_bury(struct children *c, int64_t now);
void children_keep(struct children *c, int64_t now, int64_t *wake);
void children_watch(struct children *c, int64_t now, int64_t *wake);
void children_tell_all(struct children *c, int64_t now); /* to leave */

static inline void wake_at(int64_t *wake, int64_t at)
{
	if (at < *wake)
		*wake = at;
}

#endif
