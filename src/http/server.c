#include "server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quoin/auth/httpsig.h"
#include "quoin/base/log.h"
#include "quoin/http/reply.h"

enum { ARENA_BYTES = 48 * 1024 * 1024, ATTEMPTS = 4 };

static struct qn_breached *open_breached(const struct qn_conf *c)
{
	const char *path = qn_conf_str(c, QN_CONF_KEY_QUOIN_BREACHED_PASSWORDS), *why;
	struct qn_breached *b = *path != '\0' ? qn_breached_open(path, &why) : NULL;

	if (b == NULL && *path != '\0')
		qn_fatal("QUOIN_BREACHED_PASSWORDS: %s: %s", path, why);
	return b;
}

static struct qn_limits *open_limits(struct qn_server *s)
{
	if (s->spec.tally == NULL)
		s->spec.tally = s->own_tally = qn_tally_open(NULL);
	if (s->spec.tally == NULL)
		qn_fatal("no memory to count requests in");
	return qn_limits_new(s->spec.conf, s->spec.tally, s->spec.board);
}

struct qn_server *qn_server_new(const struct qn_server_spec *spec)
{
	struct qn_arena *a = qn_arena_new(ARENA_BYTES);
	struct qn_server *s = calloc(1, sizeof(*s));
	const struct qn_conf *c = spec->conf;

	if (s == NULL)
		qn_fatal("out of memory");
	s->spec = *spec;
	s->arena = a;
	s->fcgi =
	    qn_fcgi_new(spec->listen_fd, (int)qn_conf_int(c, QN_CONF_KEY_QUOIN_READ_TIMEOUT_S));
	s->db = qn_db_new(qn_conf_str(c, QN_CONF_KEY_DATABASE_URL),
	    qn_conf_str(c, QN_CONF_KEY_DATABASE_REPLICA_URL),
	    qn_conf_int(c, QN_CONF_KEY_DATABASE_TIMEOUT_MS), "quoin", spec->board);
	s->cache = qn_cache_new(qn_conf_str(c, QN_CONF_KEY_MEMCACHED_SERVERS),
	    qn_conf_str(c, QN_CONF_KEY_MEMCACHED_PREFIX),
	    qn_conf_int(c, QN_CONF_KEY_MEMCACHED_TIMEOUT_MS), spec->board);
	s->auth = qn_auth_new(c, spec->board);
	s->limits = open_limits(s);
	char log[256];
	snprintf(log, sizeof(log), "%s/%s.%d.validations",
	    qn_conf_str(c, QN_CONF_KEY_QUOIN_RUN_DIR), qn_pool_name(spec->pool), spec->slot);
	s->licences = qn_licences_new(c, spec->board, log);
	s->routes = qn_routes_new(spec->tables);
	s->proof_keys = qn_proof_ring_new(c);
	qn_hasher_init(&s->hasher, c, spec->board, spec->slot,
	    (int)qn_conf_int(c, QN_CONF_KEY_QUOIN_SLOW_WORKERS));
	qn_turns_init(&s->calls, QN_TURN_CALL, spec->board, spec->slot,
	    (int)qn_conf_int(c, QN_CONF_KEY_QUOIN_SLOW_WORKERS));
	if (spec->pool == QN_POOL_SLOW)
		s->breached = open_breached(c);
	return s;
}

void qn_server_free(struct qn_server *s)
{
	if (s == NULL)
		return;
	if (qn_limits_store(s->limits, s->db, s->arena) != QN_OK)
		qn_log(QN_WARNING, "what was used today is left to others: %s", qn_db_why(s->db));
	if (qn_licences_store(s->licences, s->db, s->arena) != QN_OK)
		qn_log(QN_WARNING, "validations were not stored: %s", qn_db_why(s->db));
	qn_licences_free(s->licences);
	qn_limits_free(s->limits);
	qn_tally_close(s->own_tally);
	qn_breached_close(s->breached);
	qn_proof_ring_free(s->proof_keys);
	qn_routes_free(s->routes);
	qn_auth_free(s->auth);
	qn_cache_free(s->cache);
	qn_db_free(s->db);
	qn_fcgi_free(s->fcgi);
	qn_arena_free(s->arena);
	free(s);
}

const struct qn_conf *qn_server_conf(const struct qn_server *s)
{
	return s->spec.conf;
}

const struct qn_board *qn_server_board(const struct qn_server *s)
{
	return s->spec.board;
}

struct qn_limits *qn_server_limits(const struct qn_server *s)
{
	return s->limits;
}

struct qn_licences *qn_server_licences(const struct qn_server *s)
{
	return s->licences;
}

const struct qn_routes *qn_server_routes(const struct qn_server *s)
{
	return s->routes;
}

const struct qn_hasher *qn_server_hasher(const struct qn_server *s)
{
	return &s->hasher;
}

const struct qn_breached *qn_server_breached(const struct qn_server *s)
{
	return s->breached;
}

enum qn_err qn_server_proof_key(struct qn_request *r, const struct qn_proof_key **ret)
{
	struct qn_server *s = r->server;

	return qn_proof_ring_get(s->proof_keys, r->db, r->arena, r->who.app,
	    qn_registry_generation(qn_auth_registry(s->auth)), ret);
}

/* A caller asks for a signature with a nonce, or with RFC 9421's Accept-Signature: it costs as much as all the rest. */
static enum qn_err find_signer(struct qn_request *r)
{
	const char *nonce = qn_fcgi_param(r->fcgi, "HTTP_QUOIN_NONCE");

	if (!(r->route->flags & QN_R_SIGNED) ||
	    (nonce == NULL && qn_fcgi_param(r->fcgi, "HTTP_ACCEPT_SIGNATURE") == NULL))
		return QN_OK;
	if (nonce != NULL && !qn_nonce_ok(nonce)) {
		r->why = "Quoin-Nonce is not 8 to 128 characters of base64";
		return QN_BAD_REQUEST;
	}
	r->nonce = nonce;
	return qn_server_proof_key(r, &r->signer);
}

static enum qn_err match(struct qn_request *r)
{
	struct qn_match m;

	qn_routes_match(r->server->routes, r->method, r->path, &m);
	r->allowed = m.methods;
	if (m.index < 0)
		return m.methods != 0 ? QN_METHOD : QN_NOT_FOUND;
	r->route = qn_routes_at(r->server->routes, (size_t)m.index);
	r->route_index = m.index;
	qn_board_stage(r->server->spec.board, r->server->spec.slot, QN_STAGE_HANDLE, m.index);
	return qn_request_params(r, &m);
}

/* A stray request for another pool (a stale map of nginx) is handed on, once. */
static bool misplaced(const struct qn_request *r)
{
	return r->route->pool != QN_POOL_API && r->route->pool != r->server->spec.pool &&
	       qn_fcgi_param(r->fcgi, "QUOIN_ESCALATED") == NULL;
}

static enum qn_err run_once(struct qn_request *r)
{
	enum qn_err e = r->route->handler(r);

	return e == QN_NOT_FOUND && r->route->missing != QN_OK ? r->route->missing : e;
}

/*
 * After contention the whole handler runs again: it has no effect but those of its transaction. Not
 * when a wait for a lock has used up the time.
 */
static enum qn_err run(struct qn_request *r)
{
	int64_t until =
	    qn_mono_us() + qn_conf_int(r->server->spec.conf, QN_CONF_KEY_DATABASE_TIMEOUT_MS) * 500;
	enum qn_err e = QN_RETRY;

	for (int attempt = 0; attempt < ATTEMPTS && e == QN_RETRY && qn_mono_us() < until;
	     attempt++) {
		if (attempt > 0)
			qn_board_count(r->server->spec.board, QN_COUNT_RETRIES, 1);
		r->out = NULL;
		r->etag = r->next = r->revoked = NULL;
		r->without_effect = false;
		e = qn_once(r, run_once);
	}
	if (e == QN_OK && r->revoked != NULL)
		qn_board_bump(r->server->spec.board, r->revoked);
	return e;
}

/* The turn comes before the effects: who is told to come later has used nothing up. */
static enum qn_err run_in_turn(struct qn_request *r)
{
	if (!r->route->calls_out)
		return run(r);
	QN_TRY(qn_turn_take(&r->server->calls));
	enum qn_err e = run(r);
	qn_turn_end(&r->server->calls);
	return e;
}

/* If-None-Match against the reply's ETag: a list of tags, weak ones too, or a star (RFC 9110 §13.1.2). */
static bool none_match(const struct qn_request *r)
{
	const char *header = qn_fcgi_param(r->fcgi, "HTTP_IF_NONE_MATCH");

	if (header == NULL || r->etag == NULL || r->method != QN_GET)
		return true;
	if (strcmp(header, "*") == 0)
		return false;
	size_t n = strlen(r->etag);
	for (const char *at = header; (at = strstr(at, r->etag)) != NULL; at += n)
		if ((at == header || strchr(" ,/", at[-1]) != NULL) &&
		    (at[n] == '\0' || strchr(" ,", at[n]) != NULL))
			return false;
	return true;
}

static enum qn_err handle(struct qn_request *r)
{
	QN_TRY(qn_request_read(r));
	QN_TRY(match(r));
	r->escalate = misplaced(r);
	if (!r->escalate)
		QN_TRY(qn_guard(r));
	if (r->escalate)
		return QN_OK;
	QN_TRY(find_signer(r));
	QN_TRY(qn_request_body(r));
	QN_TRY(qn_body_decode(r));
	QN_TRY(run_in_turn(r));
	return none_match(r) ? QN_OK : QN_NOT_MODIFIED;
}

/* A handler that says QN_OK and leaves no reply broke its promise. */
static enum qn_err outward(const struct qn_request *r, enum qn_err e)
{
	if (e == QN_OK && !r->escalate && r->out == NULL && r->raw.p == NULL && r->location == NULL)
		return QN_INTERNAL;
	return e;
}

static int reply(struct qn_request *r, enum qn_err e)
{
	struct qn_reply_text t;
	int status = e == QN_OK && r->status != 0 ? r->status : qn_err_status(e);

	if (e == QN_OK && r->location != NULL)
		status = 302;

	if (e != QN_OK)
		r->set_cookie = NULL; /* of what was rolled back */
	qn_reply_text_init(&t, r->who.app);
	if (e != QN_OK && e != QN_NOT_MODIFIED)
		qn_reply_problem(&t, r, e, status);
	else if (e == QN_OK && r->raw.p != NULL)
		qn_buf_add(&t.text, r->raw.p, r->raw.n);
	else if (e == QN_OK && !r->escalate && r->location == NULL)
		qn_reply_object(&t, r->route->reply, r->out, (r->route->flags & QN_R_CAMEL) != 0);
	if (t.text.over)
		qn_fatal("route %s: the reply reached its ceiling",
		    r->route != NULL ? r->route->id : "");
	if (!qn_reply_send(r, e, status, &t))
		qn_board_count(r->server->spec.board, QN_COUNT_LOST_REPLIES, 1);
	qn_reply_text_done(&t);
	return status;
}

static void log_line(const struct qn_request *r, enum qn_err e, int status, int64_t us)
{
	int64_t statements, sql_us;
	struct qn_logline l;
	const char *why = r->why != NULL ? r->why : e == QN_OK ? NULL : qn_db_why(r->db);

	if (qn_log_level() > QN_INFO && status < 500)
		return;
	qn_db_cost(r->db, &statements, &sql_us);
	qn_log_begin(&l, status >= 500 ? QN_ERROR : QN_INFO, "request");
	qn_log_str(&l, "request_id", r->id);
	qn_log_str(&l, "app", r->who.app != NULL ? r->who.app->slug : NULL);
	qn_log_str(&l, "user_id", r->who.known ? r->who.user_id : NULL);
	qn_log_str(&l, "method", r->head ? "HEAD" : qn_method_name(r->method));
	qn_log_str(&l, "endpoint", r->route != NULL ? r->route->id : NULL);
	if (r->route == NULL)
		qn_log_str(&l, "path", r->path);
	qn_log_i64(&l, "status", status);
	qn_log_i64(&l, "latency_us", us);
	qn_log_i64(&l, "sql", statements);
	qn_log_i64(&l, "sql_us", sql_us);
	qn_log_i64(&l, "memory", (int64_t)qn_arena_peak(r->arena));
	if (e != QN_OK && e != QN_NOT_MODIFIED)
		qn_log_str(&l, "error", qn_err_code(e));
	if (why != NULL && why[0] != '\0')
		qn_log_str(&l, "why", why);
	if (r->escalate)
		qn_log_str(&l, "handed_to", "slow");
	qn_log_end(&l);
}

static void serve(struct qn_server *s)
{
	int64_t began = qn_mono_us();
	struct qn_request r = {.server = s,
	    .arena = s->arena,
	    .db = s->db,
	    .cache = s->cache,
	    .fcgi = s->fcgi,
	    .route_index = -1};

	qn_board_stage(s->spec.board, s->spec.slot, QN_STAGE_READ, -1);
	enum qn_err e = outward(&r, handle(&r));
	qn_request_drain(&r);
	int status = reply(&r, e);
	int64_t us = qn_mono_us() - began;
	log_line(&r, e, status, us);
	qn_board_request(
	    s->spec.board, s->spec.slot, r.route_index, status, us, qn_arena_peak(s->arena));
	qn_db_reset(s->db);
	qn_arena_reset(s->arena);
	qn_board_stage(s->spec.board, s->spec.slot, QN_STAGE_IDLE, -1);
}

/* Between requests: what was counted goes to Postgres. */
static void tick(struct qn_server *s)
{
	bool stored = qn_limits_tick(s->limits, s->db, s->arena);

	if (!qn_licences_tick(s->licences, s->db, s->arena) && !stored)
		return;
	qn_db_reset(s->db);
	qn_arena_reset(s->arena);
}

static bool after_accept(struct qn_server *s, enum qn_accepted got)
{
	if (got == QN_ACCEPT_DROPPED)
		qn_board_count(s->spec.board, QN_COUNT_BAD_CONNECTIONS, 1);
	if (got != QN_ACCEPT_REQUEST)
		return false;
	serve(s);
	return true;
}

bool qn_server_step(struct qn_server *s, int timeout_ms, const sigset_t *mask)
{
	bool served = after_accept(s, qn_fcgi_accept(s->fcgi, timeout_ms, mask));

	tick(s);
	if (!served)
		qn_hasher_rest();
	return served;
}

bool qn_server_take(struct qn_server *s, int fd)
{
	return after_accept(s, qn_fcgi_take(s->fcgi, fd));
}
