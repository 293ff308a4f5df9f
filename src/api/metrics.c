#include "metrics.h"

#include <string.h>

#include "quoin/base/clock.h"

struct boards {
	const struct qn_board *of[QN_POOL__MAX]; /* NULL: that pool is not there */
};

static void head(struct qn_buf *b, const char *name, const char *type, const char *help)
{
	qn_buf_printf(b, "# HELP quoin_%s %s\n# TYPE quoin_%s %s\n", name, help, name, type);
}

#define EACH_POOL(p, boards) \
	for (int p = QN_POOL_API; p < QN_POOL__MAX; p++) \
		if ((boards)->of[p] != NULL)

static void counters(const struct boards *boards, struct qn_buf *b)
{
	static const struct {
		const char *name, *help;
	} rows[] = {
#define X(name, metric, help) {metric, help},
	    QN_BOARD_COUNTERS(X)
#undef X
	};

	for (int c = 0; c < QN_COUNT__MAX; c++) {
		head(b, rows[c].name, "counter", rows[c].help);
		EACH_POOL(p, boards)
		qn_buf_printf(b, "quoin_%s{pool=\"%s\"} %llu\n", rows[c].name,
		    qn_pool_name((enum qn_pool)p),
		    (unsigned long long)atomic_load(&boards->of[p]->counter[c]));
	}
}

static int64_t in_stage(const struct qn_board *board, int stage)
{
	int64_t n = 0;

	for (int i = 0; i < QN_BOARD_WORKERS; i++)
		n += atomic_load(&board->worker[i].pid) != 0 &&
		     atomic_load(&board->worker[i].stage) == stage;
	return n;
}

static void workers(const struct boards *boards, struct qn_buf *b)
{
	static const char *const stages[] = {
	    "empty", "starting", "idle", "reading", "handling", "leaving"};

	head(b, "workers", "gauge", "Workers by what they do.");
	EACH_POOL(p, boards)
	for (int s = QN_STAGE_START; s <= QN_STAGE_LEAVE; s++)
		qn_buf_printf(b, "quoin_workers{pool=\"%s\",stage=\"%s\"} %lld\n",
		    qn_pool_name((enum qn_pool)p), stages[s],
		    (long long)in_stage(boards->of[p], s));
	head(b, "listener_up", "gauge", "Whether the pool hears what Postgres announces.");
	EACH_POOL(p, boards)
	qn_buf_printf(b, "quoin_listener_up{pool=\"%s\"} %d\n", qn_pool_name((enum qn_pool)p),
	    qn_board_live(boards->of[p]));
	head(b, "start_time_seconds", "gauge", "When the pool was started.");
	EACH_POOL(p, boards)
	qn_buf_printf(b, "quoin_start_time_seconds{pool=\"%s\"} %lld\n",
	    qn_pool_name((enum qn_pool)p),
	    (long long)(atomic_load(&boards->of[p]->started_us) / 1000000));
}

static uint64_t calls_of(const struct qn_board_route *r)
{
	uint64_t n = 0;

	for (int s = 0; s < 6; s++)
		n += atomic_load(&r->status[s]);
	return n;
}

static void requests(const struct qn_routes *routes, const struct boards *boards, struct qn_buf *b)
{
	head(b, "requests_total", "counter", "Requests by route and class of status.");
	EACH_POOL(p, boards)
	for (size_t i = 0; i < qn_routes_n(routes); i++)
		for (int s = 2; s < 6; s++) {
			uint64_t n = atomic_load(&boards->of[p]->route[i].status[s]);
			if (n > 0)
				qn_buf_printf(b,
				    "quoin_requests_total{pool=\"%s\",route=\"%s\",status=\"%dxx\"} %llu\n",
				    qn_pool_name((enum qn_pool)p), qn_routes_at(routes, i)->id, s,
				    (unsigned long long)n);
		}
}

static void durations_of(
    const char *pool, const char *route, const struct qn_board_route *r, struct qn_buf *b)
{
	uint64_t sum = 0;

	for (int k = 0; k < QN_BOARD_BUCKETS; k++) {
		sum += atomic_load(&r->bucket[k]);
		if (k == QN_BOARD_BUCKETS - 1)
			qn_buf_printf(b,
			    "quoin_request_seconds_bucket{pool=\"%s\",route=\"%s\",le=\"+Inf\"} %llu\n",
			    pool, route, (unsigned long long)sum);
		else
			qn_buf_printf(b,
			    "quoin_request_seconds_bucket{pool=\"%s\",route=\"%s\",le=\"%g\"} %llu\n",
			    pool, route, (double)qn_board_bounds[k] / 1e6, (unsigned long long)sum);
	}
	qn_buf_printf(b, "quoin_request_seconds_sum{pool=\"%s\",route=\"%s\"} %.6f\n", pool, route,
	    (double)atomic_load(&r->total_us) / 1e6);
	qn_buf_printf(b, "quoin_request_seconds_count{pool=\"%s\",route=\"%s\"} %llu\n", pool,
	    route, (unsigned long long)sum);
}

static void durations(const struct qn_routes *routes, const struct boards *boards, struct qn_buf *b)
{
	head(b, "request_seconds", "histogram",
	    "Time from the first byte of a request to the last of its reply.");
	EACH_POOL(p, boards)
	for (size_t i = 0; i < qn_routes_n(routes); i++)
		if (calls_of(&boards->of[p]->route[i]) > 0)
			durations_of(qn_pool_name((enum qn_pool)p), qn_routes_at(routes, i)->id,
			    &boards->of[p]->route[i], b);
}

bool api_metrics(const struct qn_conf *conf, const struct qn_routes *routes, struct qn_buf *b)
{
	const char *dir = qn_conf_str(conf, QN_CONF_KEY_QUOIN_RUN_DIR);
	struct boards boards = {{NULL}};
	bool live = false;

	for (int p = QN_POOL_API; p < QN_POOL__MAX; p++)
		boards.of[p] = qn_board_map(dir, (enum qn_pool)p);
	requests(routes, &boards, b);
	durations(routes, &boards, b);
	workers(&boards, b);
	counters(&boards, b);
	for (int p = QN_POOL_API; p < QN_POOL__MAX; p++) {
		live = live || (boards.of[p] != NULL && qn_board_live(boards.of[p]));
		qn_board_unmap(boards.of[p]);
	}
	return live;
}

/* Gauges of figures, by the name that the store has for them (docs/figures.md). */
static const char *help_of(const char *gauge)
{
	static const struct {
		const char *name, *help;
	} rows[] = {
	    {"active_users_day", "Users active on the last whole day."},
	    {"active_users_month", "Users active within the last 30 days."},
	    {"arr", "Recurring a year, in the currency's smallest unit."},
	    {"churned_customers", "Customers who stopped paying on the last whole day."},
	    {"conversions", "Customers who paid for the first time on the last whole day."},
	    {"mrr", "Recurring a month, in the currency's smallest unit."},
	    {"mrr_lost", "Recurring a month that ended on the last whole day."},
	    {"past_due", "Paying customers who owe."},
	    {"paying_customers", "Customers with a subscription that is paid for."},
	    {"signups", "Accounts made on the last whole day."},
	    {"trials", "Customers on trial."},
	    {"validations", "Validations of licences on the last whole day."},
	    {"validations_refused", "Those that were refused."},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(rows[i].name, gauge) == 0)
			return rows[i].help;
	return NULL;
}

/* A currency is Stripe's word: three letters, or it is no label of ours. */
static bool is_currency(const char *s)
{
	return strlen(s) == 3 && strspn(s, "abcdefghijklmnopqrstuvwxyz") == 3;
}

void api_metrics_business(const struct qn_list *gauges, struct qn_buf *b)
{
	const struct figures_gauge *g = gauges->items;
	const char *last = "";

	for (size_t i = 0; i < gauges->n; i++) {
		const char *help = help_of(g[i].gauge);
		if (help == NULL || (g[i].currency != NULL && !is_currency(g[i].currency)))
			continue;
		if (strcmp(last, g[i].gauge) != 0)
			qn_buf_printf(b,
			    "# HELP quoin_business_%s %s\n# TYPE quoin_business_%s gauge\n",
			    g[i].gauge, help, g[i].gauge);
		last = g[i].gauge;
		qn_buf_printf(b, "quoin_business_%s{app=\"%s\"", g[i].gauge, g[i].app);
		if (g[i].currency != NULL)
			qn_buf_printf(b, ",currency=\"%s\"", g[i].currency);
		qn_buf_printf(b, "} %lld\n", (long long)g[i].value);
	}
}
