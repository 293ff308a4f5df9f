#include "conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quoin/base/clock.h"

/*
 * A refused connection costs nothing and is tried again soon. One that is not answered holds a worker as
 * long as it is waited for, and all that queue behind: after a silence the next attempt is a short one,
 * and after that fails too, requests are refused at once for a while.
 */
enum { SILENT_REST_US = 1000000, DOUBT_US = 500000 };

static void set_why(struct conn *c, const char *what, const char *detail)
{
	snprintf(c->why, sizeof(c->why), "%s: %s", what, detail);
	size_t n = strlen(c->why);
	while (n > 0 && (c->why[n - 1] == '\n' || c->why[n - 1] == ' '))
		c->why[--n] = '\0';
}

void conn_close(struct conn *c)
{
	PQfinish(c->pg);
	c->pg = NULL;
	c->ending = false;
	c->largest = 0;
	memset(c->prepared, 0, sizeof(c->prepared));
}

/* The connection is of no more use. */
static enum qn_err lose(struct conn *c, const char *what, int64_t deadline)
{
	c->timed_out = qn_mono_us() >= deadline;
	if (c->timed_out)
		what = "no answer in time";
	set_why(c, what, c->pg != NULL ? PQerrorMessage(c->pg) : "no connection");
	conn_close(c);
	if (c->board != NULL)
		qn_board_count(c->board, QN_COUNT_DB_ERRORS, 1);
	return QN_DB_DOWN;
}

bool conn_wait(struct conn *c, short events, int64_t deadline)
{
	struct pollfd p = {.fd = PQsocket(c->pg), .events = events};

	for (;;) {
		int64_t left = deadline - qn_mono_us();
		if (left <= 0)
			return false;
		int got = poll(&p, 1, (int)(left / 1000 + 1));
		if (got > 0)
			return true;
		if (got < 0 && errno != EINTR)
			return false;
	}
}

/* A server that shuts down says so to idle connections too; all other notices are nobody's business. */
static void notice(void *arg, const PGresult *res)
{
	struct conn *c = arg;
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	c->ending = c->ending || (state != NULL && strncmp(state, "57P", 3) == 0);
}

/*
 * Settings of every session: no statement, lock or forgotten transaction outlives our patience. The server
 * gives up first, so that only one that is frozen costs the connection.
 */
static PGconn *start(struct conn *c)
{
	char options[256];
	int64_t ms = c->timeout_us / 1000;

	snprintf(options, sizeof(options),
	    "-c statement_timeout=%lld -c lock_timeout=%lld -c idle_in_transaction_session_timeout=%lld "
	    "-c TimeZone=UTC -c client_encoding=UTF8",
	    (long long)(ms * 7 / 8), (long long)(ms * 3 / 4), (long long)(ms * 2));
	const char *const keys[] = {"dbname", "application_name", "options", NULL};
	const char *const values[] = {c->url, c->name, options, NULL};
	return PQconnectStartParams(keys, values, 1);
}

static enum qn_err connect_within(struct conn *c, int64_t deadline)
{
	PostgresPollingStatusType want = PGRES_POLLING_WRITING;

	c->pg = start(c);
	if (c->pg == NULL || PQstatus(c->pg) == CONNECTION_BAD)
		return lose(c, "connect", deadline);
	PQsetNoticeReceiver(c->pg, notice, c);
	PQsetErrorVerbosity(
	    c->pg, PQERRORS_TERSE); /* no DETAIL, which quotes what people sent, in the log */
	while (want != PGRES_POLLING_OK) {
		if (want == PGRES_POLLING_FAILED ||
		    !conn_wait(c, want == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline))
			return lose(c, "connect", deadline);
		want = PQconnectPoll(c->pg);
	}
	if (PQsetnonblocking(c->pg, 1) != 0)
		return lose(c, "connect", deadline);
	return QN_OK;
}

/* Whether the server closed an idle connection, or said that it will: by a look at the socket. */
static bool went_away(struct conn *c)
{
	struct pollfd p = {.fd = PQsocket(c->pg), .events = POLLIN};

	if (PQstatus(c->pg) != CONNECTION_OK)
		return true;
	while (poll(&p, 1, 0) > 0)
		if (PQconsumeInput(c->pg) == 0 || PQstatus(c->pg) != CONNECTION_OK)
			return true;
	PQisBusy(c->pg); /* reads what came, and so calls `notice` */
	return c->ending;
}

enum qn_err conn_ready(struct conn *c)
{
	int64_t now = qn_mono_us();

	if (c->pg != NULL && !went_away(c))
		return QN_OK;
	conn_close(c);
	if (now < c->rest_until)
		return QN_DB_DOWN;
	int64_t patience = c->timed_out ? DOUBT_US : c->connect_us;
	int64_t deadline = now + (c->timeout_us < patience ? c->timeout_us : patience);
	enum qn_err e = connect_within(c, deadline);
	c->timed_out = false;
	now = qn_mono_us();
	if (e != QN_OK)
		c->rest_until =
		    now +
		    (now < deadline || c->rest_us > SILENT_REST_US ? c->rest_us : SILENT_REST_US);
	else if (c->board != NULL)
		qn_board_count(c->board, QN_COUNT_DB_CONNECTS, 1);
	return e;
}

static bool flush(struct conn *c, int64_t deadline)
{
	int left;

	while ((left = PQflush(c->pg)) > 0) {
		if (!conn_wait(c, POLLIN | POLLOUT, deadline))
			return false;
		if (PQconsumeInput(c->pg) == 0)
			return false;
	}
	return left == 0;
}

/* The next result, waiting for it. false: the deadline passed or the connection broke. */
static bool next_result(struct conn *c, int64_t deadline, PGresult **ret)
{
	while (PQisBusy(c->pg)) {
		if (!conn_wait(c, POLLIN, deadline) || PQconsumeInput(c->pg) == 0)
			return false;
	}
	*ret = PQgetResult(c->pg);
	return *ret != NULL || PQstatus(c->pg) == CONNECTION_OK;
}

/* Takes results until the end of the current command; the last one is kept. */
static bool finish_command(struct conn *c, int64_t deadline, PGresult **ret)
{
	PGresult *res;

	*ret = NULL;
	for (;;) {
		if (!next_result(c, deadline, &res)) {
			PQclear(*ret);
			*ret = NULL;
			return false;
		}
		if (res == NULL)
			return true;
		PQclear(*ret);
		*ret = res;
		if (PQstatus(c->pg) != CONNECTION_OK)
			return true; /* FATAL: the error is in the result */
	}
}

static enum qn_err prepare(struct conn *c, const struct step *s, int64_t deadline)
{
	char name[16];
	PGresult *res;

	if (s->text != NULL || c->prepared[s->number])
		return QN_OK;
	snprintf(name, sizeof(name), "q%d", s->number);
	if (PQsendPrepare(c->pg, name, s->stmt->sql, 0, NULL) == 0 || !flush(c, deadline) ||
	    !finish_command(c, deadline, &res))
		return lose(c, "prepare", deadline);
	bool ok = PQresultStatus(res) == PGRES_COMMAND_OK;
	if (!ok)
		set_why(c, s->stmt->name, PQresultErrorMessage(res));
	PQclear(res);
	if (!ok)
		return PQstatus(c->pg) == CONNECTION_OK ? QN_INTERNAL
		                                        : lose(c, "prepare", deadline);
	c->prepared[s->number] = true;
	return QN_OK;
}

/* The server's own count of the parameters. */
static int parameters(struct conn *c, const struct step *s)
{
	char name[16];
	PGresult *res = NULL;
	int n = -1;

	snprintf(name, sizeof(name), "q%d", s->number);
	if (PQsendDescribePrepared(c->pg, name) != 0 && flush(c, qn_mono_us() + c->timeout_us) &&
	    finish_command(c, qn_mono_us() + c->timeout_us, &res))
		n = PQnparams(res);
	PQclear(res);
	return n;
}

enum qn_err conn_prepare(struct conn *c, const struct step *s)
{
	QN_TRY(prepare(c, s, qn_mono_us() + c->timeout_us));
	int n = parameters(c, s);
	if (n == s->stmt->params)
		return QN_OK;
	snprintf(c->why, sizeof(c->why), "the server counts %d parameters, the table %d", n,
	    s->stmt->params);
	return QN_INTERNAL;
}

static int send_step(struct conn *c, const struct step *s)
{
	const char *values[CONN_ARGS];
	int lengths[CONN_ARGS], formats[CONN_ARGS];
	char name[16];

	if (s->text != NULL)
		return PQsendQueryParams(c->pg, s->text, 0, NULL, NULL, NULL, NULL, 1);
	for (size_t i = 0; i < s->nargs; i++) {
		values[i] = s->args[i].number ? s->args[i].digits : s->args[i].p;
		lengths[i] = (int)s->args[i].n;
		formats[i] = s->args[i].binary;
		if (s->args[i].n > c->largest)
			c->largest = s->args[i].n;
	}
	snprintf(name, sizeof(name), "q%d", s->number);
	c->statements++;
	return PQsendQueryPrepared(c->pg, name, (int)s->nargs, values, lengths, formats, 1);
}

static void drop_results(struct step *steps, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		PQclear(steps[i].res);
		steps[i].res = NULL;
	}
}

/* Several steps in pipeline mode: one write, one read. */
static bool run_pipeline(struct conn *c, struct step *steps, size_t n, int64_t deadline)
{
	PGresult *sync = NULL;

	if (PQenterPipelineMode(c->pg) == 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (send_step(c, &steps[i]) == 0)
			return false;
	c->sent = true;
	if (PQpipelineSync(c->pg) == 0 || !flush(c, deadline))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!finish_command(c, deadline, &steps[i].res) || steps[i].res == NULL)
			return false;
	if (!next_result(c, deadline, &sync))
		return false;
	bool ok = PQresultStatus(sync) == PGRES_PIPELINE_SYNC;
	PQclear(sync);
	return ok && PQexitPipelineMode(c->pg) == 1;
}

static bool run_one(struct conn *c, struct step *s, int64_t deadline)
{
	if (send_step(c, s) == 0)
		return false;
	c->sent = true;
	return flush(c, deadline) && finish_command(c, deadline, &s->res) && s->res != NULL;
}

static void count(struct conn *c, size_t n, int64_t began)
{
	int64_t us = qn_mono_us() - began;

	c->waited_us += us;
	if (c->board == NULL)
		return;
	qn_board_count(c->board, QN_COUNT_DB_QUERIES, n);
	qn_board_count(c->board, QN_COUNT_DB_US, (uint64_t)us);
}

enum qn_err conn_run(struct conn *c, struct step *steps, size_t n)
{
	int64_t began = qn_mono_us(), deadline = began + c->timeout_us;

	c->sent = c->timed_out = false;
	c->why[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		steps[i].res = NULL;
		QN_TRY(prepare(c, &steps[i], deadline));
	}
	bool ok = n == 1 ? run_one(c, steps, deadline) : run_pipeline(c, steps, n, deadline);
	count(c, n, began);
	if (!ok) {
		drop_results(steps, n);
		return lose(c, "connection lost", deadline);
	}
	for (size_t i = 0; i < n; i++) {
		size_t size = PQresultMemorySize(steps[i].res);
		if (size > c->largest)
			c->largest = size;
	}
	return QN_OK;
}
