/* The child's side of a fork by the master. What workers may call is in master.h. */
#ifndef QUOIN_POOL_CHILD_H
#define QUOIN_POOL_CHILD_H

#include <sys/types.h>

#include "quoin/pool/master.h"

/*
 * Makes the process that fork(2) has just made a child of `master` and runs it; ends it with the
 * result. `signal_fd` is the master's and is closed.
 */
void child_run(const struct qn_child *child, int (*run)(const struct qn_child *child), pid_t master,
    int signal_fd) __attribute__((noreturn));

#endif
