/* What is seen from outside: /health, /ready, /metrics, /openapi.json (CONTRACT A28, K17, DESIGN §8). */
#include <string.h>

#include "api.h"
#include "metrics.h"
#include "quoin/http/openapi.h"

struct alive {
	const char *status;
};

struct health {
	const char *status, *database, *cache, *version, *error;
};

struct pool_state {
	const char *name;
	int64_t workers;
};

struct ready {
	const char *status, *database;
	struct qn_list pools;
};

static const struct qn_field alive_fields[] = {
    QN_FIELD(struct alive, status, STR, 0, 0, 0, "Always \"alive\"."),
};
static const struct qn_object alive_object = QN_OBJECT("Alive", struct alive, alive_fields);

static const struct qn_field health_fields[] = {
    QN_FIELD(struct health, status, STR, 0, 0, 0, "healthy or unhealthy."),
    QN_FIELD(struct health, database, STR, 0, 0, 0, "connected or disconnected."),
    QN_FIELD(struct health, cache, STR, 0, 0, 0,
	"connected, disconnected or off; Quoin serves without it."),
    QN_FIELD(struct health, version, STR, 0, 0, 0, "Version of Quoin."),
    QN_FIELD(struct health, error, STR, QN_F_OPTIONAL, 0, 0, "What is wrong."),
};
static const struct qn_object health_object = QN_OBJECT("Health", struct health, health_fields);

static const struct qn_field pool_fields[] = {
    QN_FIELD(struct pool_state, name, STR, 0, 0, 0, "Name of the pool."),
    QN_FIELD(struct pool_state, workers, I64, 0, 0, 0, "Workers that are there."),
};
static const struct qn_object pool_object = QN_OBJECT("Pool", struct pool_state, pool_fields);

static const struct qn_field ready_fields[] = {
    QN_FIELD(struct ready, status, STR, 0, 0, 0, "ready or not ready."),
    QN_FIELD(struct ready, database, STR, 0, 0, 0, "connected or disconnected."),
    QN_FIELD_SUB(struct ready, pools, LIST, 0, &pool_object, "The pools of this host."),
};
static const struct qn_object ready_object = QN_OBJECT("Ready", struct ready, ready_fields);

static enum qn_err alive(struct qn_request *r)
{
	static const struct alive yes = {"alive"};

	return qn_reply(r, &yes);
}

static const char *cache_state(struct qn_request *r)
{
	if (qn_conf_str(qn_server_conf(r->server), QN_CONF_KEY_MEMCACHED_SERVERS)[0] == '\0')
		return "off";
	return qn_cache_ping(r->cache) ? "connected" : "disconnected";
}

static enum qn_err health(struct qn_request *r)
{
	struct health *out = qn_new(r->arena, struct health);
	bool up = qn_db_ping(r->db) == QN_OK;

	*out = (struct health){
	    .status = up ? "healthy" : "unhealthy",
	    .database = up ? "connected" : "disconnected",
	    .cache = cache_state(r),
	    .version = PACKAGE_VERSION,
	    .error = up ? NULL : "The database does not answer.",
	};
	r->status = up ? 200 : 503;
	return qn_reply(r, out);
}

static int64_t count_workers(const struct qn_board *b)
{
	int64_t n = 0;

	for (int i = 0; i < QN_BOARD_WORKERS; i++)
		n += atomic_load(&b->worker[i].pid) != 0 &&
		     atomic_load(&b->worker[i].stage) >= QN_STAGE_IDLE;
	return n;
}

static enum qn_err ready(struct qn_request *r)
{
	struct ready *out = qn_new(r->arena, struct ready);
	struct pool_state *pools = qn_alloc_array(r->arena, QN_POOL__MAX, sizeof(*pools));
	const char *dir = qn_conf_str(qn_server_conf(r->server), QN_CONF_KEY_QUOIN_RUN_DIR);
	bool up = qn_db_ping(r->db) == QN_OK, all = true;

	for (int p = QN_POOL_API; p < QN_POOL__MAX; p++) {
		const struct qn_board *b = qn_board_map(dir, (enum qn_pool)p);
		pools[out->pools.n++] = (struct pool_state){
		    qn_pool_name((enum qn_pool)p), b != NULL ? count_workers(b) : 0};
		all = all && pools[out->pools.n - 1].workers > 0;
		qn_board_unmap(b);
	}
	out->pools.items = pools;
	out->database = up ? "connected" : "disconnected";
	out->status = up && all ? "ready" : "not ready";
	r->status = up && all ? 200 : 503;
	return qn_reply(r, out);
}

static void release(void *p)
{
	qn_buf_done(p);
}

static struct qn_buf *text(struct qn_request *r, size_t ceiling)
{
	struct qn_buf *b = qn_new(r->arena, struct qn_buf);

	qn_buf_init(b, ceiling);
	return qn_keep(r->arena, release, b);
}

static enum qn_err metrics(struct qn_request *r)
{
	struct qn_buf *b = text(r, API_METRICS_BYTES);
	struct qn_list gauges;

	/* Without Postgres what this host has counted is told all the same, and at once. */
	if (api_metrics(qn_server_conf(r->server), qn_server_routes(r->server), b) &&
	    figures_gauges(r->db, r->arena, &gauges) == QN_OK)
		api_metrics_business(&gauges, b);
	else
		r->why = "there are no business figures";
	r->raw = (struct qn_span){b->p, b->n};
	return b->over ? QN_INTERNAL : QN_OK;
}

static enum qn_err openapi(struct qn_request *r)
{
	struct qn_buf *b = text(r, QN_OPENAPI_BYTES);

	qn_openapi(qn_server_routes(r->server), b);
	r->raw = (struct qn_span){b->p, b->n};
	return b->over ? QN_INTERNAL : QN_OK;
}

#define PUBLIC .pool = QN_POOL_API, .auth = QN_AUTH_PUBLIC, .rate = QN_RATE_NONE

static const struct qn_route routes[] = {
    {QN_GET, "/health", "health.health", "Whether Quoin and its database work.", PUBLIC,
	.flags = QN_R_HEALTH, .reply = &health_object, .handler = health},
    {QN_GET, "/health/alive", "health.alive", "Whether a worker answers at all.", PUBLIC,
	.reply = &alive_object, .handler = alive},
    {QN_GET, "/ready", "health.ready", "Whether every pool of this host is at work.", PUBLIC,
	.flags = QN_R_HEALTH, .reply = &ready_object, .handler = ready},
    {QN_GET, "/metrics", "health.metrics",
	"Counters of all pools of this host, and business figures, for Prometheus.",
	.pool = QN_POOL_API, .auth = QN_AUTH_LOCAL, .rate = QN_RATE_NONE,
	.content_type = "text/plain; version=0.0.4", .handler = metrics},
    {QN_GET, "/openapi.json", "health.openapi", "This description.", PUBLIC,
	.content_type = "application/json", .handler = openapi},
};
API_TABLE(health_table, routes);
