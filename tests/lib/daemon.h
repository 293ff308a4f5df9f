/*
 * A program that a test needs beside itself. It runs in a directory of its own, as an unprivileged
 * user when the test is root; both are gone when the test is, whatever way that ends: a keeper,
 * which is the program's parent, sees to it.
 */
#ifndef TESTS_LIB_DAEMON_H
#define TESTS_LIB_DAEMON_H

#include <stdbool.h>
#include <sys/types.h>

struct daemon {
	char dir[48];
	pid_t pid; /* 0: it does not run */
	pid_t keeper;
	int line; /* to the keeper */
};

/* Makes directory and keeper. `stop` is the signal that ends the program. Fails the test. */
void daemon_new(struct daemon *d, int stop);
void daemon_free(struct daemon *d);

/* Starts the program; what it says goes to `log` in its directory. Arguments end with NULL. */
void daemon_run(struct daemon *d, const char *const *argv);
/* Runs a program to its end; returns its status as of waitpid(2). */
int daemon_do(struct daemon *d, const char *const *argv);
/* Sends a signal that ends the program, and waits for the end. */
void daemon_kill(struct daemon *d, int sig);

/* Stops a process, all of it, as SIGSTOP does but not until it gets to it; lets it go on. */
void process_freeze(pid_t pid);
void process_thaw(pid_t pid);

/* The last of what was said, on stderr. */
void daemon_show_log(const struct daemon *d);

#endif
