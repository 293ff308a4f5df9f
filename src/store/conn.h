/* One connection to Postgres, for db.c and the listener only. */
#ifndef QUOIN_STORE_CONN_H
#define QUOIN_STORE_CONN_H

#include <libpq-fe.h>

#include "quoin/store/db.h"

enum { CONN_STATEMENTS = 512, CONN_ARGS = 20, CONN_STEPS = 4 };

struct conn {
	const char *url; /* "" when there is none */
	const char *name;
	struct qn_board *board;
	int64_t timeout_us;
	int64_t connect_us,
	    rest_us;        /* how long it tries to connect; and then not, when that failed */
	PGconn *pg;         /* NULL: not connected */
	bool ending;        /* the server said that it ends this connection */
	int64_t rest_until; /* monotonic µs: no new attempt before */
	size_t largest;     /* bytes of the largest result or parameter since it was opened */
	bool prepared[CONN_STATEMENTS]; /* by statement number */
	bool sent;                      /* the last batch reached the server, maybe */
	bool timed_out;                 /* the last failure was a deadline */
	int64_t statements, waited_us;  /* since conn_clear_cost */
	char why[256];
};

/* A text ("BEGIN") or a prepared statement, and where its result goes. */
struct step {
	const char *text; /* NULL: stmt */
	const struct qn_stmt *stmt;
	int number; /* of the statement among all sets */
	const struct qn_arg *args;
	size_t nargs;
	PGresult *res; /* owned by the caller after conn_run, NULL on failure */
};

/* Ready to use, or QN_DB_DOWN with why set. */
enum qn_err conn_ready(struct conn *c);
/* Runs the steps in one round trip. On an error of the connection c->sent says whether they may have run. */
enum qn_err conn_run(struct conn *c, struct step *steps, size_t n);
/* Has the statement of a step prepared; also checks how many parameters it has. */
enum qn_err conn_prepare(struct conn *c, const struct step *s);
void conn_close(struct conn *c);
/* Waits for the socket; false when the deadline (monotonic µs) passes. */
bool conn_wait(struct conn *c, short events, int64_t deadline);

#endif
