/* A Postgres of the test's own, on a Unix socket. A test that finds none installed is skipped. */
#ifndef TESTS_LIB_PG_H
#define TESTS_LIB_PG_H

#include <libpq-fe.h>

#include "daemon.h"

struct pg {
	struct daemon daemon;
	char url[128];  /* database "quoin", as its superuser */
	PGconn *asking; /* for pg_ask */
};

/* Whether there are programs to start. */
bool pg_installed(void);

/* A fresh cluster that answers. */
void pg_start(struct pg *pg);
void pg_stop(struct pg *pg);

/* The server alone: the cluster stays. */
void pg_server_up(struct pg *pg);
void pg_server_down(struct pg *pg, int sig);

/* A connection of the test's own; the caller closes it. */
PGconn *pg_connect(const struct pg *pg);

/* Runs a text of one or more statements; what fails, fails the test. */
void pg_do(struct pg *pg, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The first value, "" for null or none; good until the next call. */
const char *pg_ask(struct pg *pg, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
long pg_ask_i(struct pg *pg, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Waits until the statement says `t`. */
void pg_until(struct pg *pg, const char *sql);

#endif
