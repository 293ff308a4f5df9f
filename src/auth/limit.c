#include "quoin/auth/limit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quoin/base/log.h"
#include "quoin/base/netaddr.h"
#include "quoin/base/siphash.h"
#include "quoin/store/usage.h"

#define SECOND_US INT64_C(1000000)
#define STORE_US  (2 * SECOND_US)
#define DAY_S     INT64_C(86400)

/* The hosts tell each other of every sixteenth of a limit: no host is further behind than that. */
enum { SHARE_PARTS = 16, SHARE_S = 180, MINUTE_S = 60 };

struct qn_limits {
	struct qn_tally *tally;
	struct qn_board *board;
	struct qn_sipkey key;
	int64_t address_per_minute[QN_RATE__MAX]; /* where there is no app */
	bool silent;                              /* what could not be stored was said already */
};

struct qn_limits *qn_limits_new(
    const struct qn_conf *conf, struct qn_tally *tally, struct qn_board *board)
{
	static const char label[] = "quoin limits";
	const char *secret = qn_conf_str(conf, QN_CONF_KEY_QUOIN_SECRET_KEY);
	struct qn_limits *l = calloc(1, sizeof(*l));
	uint8_t digest[QN_SHA256_LEN];

	if (l == NULL)
		qn_fatal("out of memory");
	l->tally = tally;
	l->board = board;
	qn_rates_default(conf, true, l->address_per_minute);
	qn_hmac_sha256(secret, strlen(secret), label, sizeof(label) - 1, digest);
	memcpy(&l->key, digest, sizeof(l->key)); /* the same on every host */
	qn_wipe(digest, sizeof(digest));
	return l;
}

void qn_limits_free(struct qn_limits *l)
{
	if (l == NULL)
		return;
	qn_wipe(&l->key, sizeof(l->key));
	free(l);
}

/* subjects */

enum subject { OF_KEY = 1, OF_USER, OF_ADDRESS };

/* Apps' ids are of one length, and the kind of subject says how long it is: no two run into one another. */
static uint64_t hash(
    const struct qn_limits *l, const struct qn_app *app, enum subject kind, const void *p, size_t n)
{
	char text[QN_UUID_LEN + 1 + QN_NET_LEN];
	size_t at = 0;

	if (app != NULL) {
		memcpy(text, app->id, QN_UUID_LEN);
		at = QN_UUID_LEN;
	}
	text[at++] = (char)kind;
	memcpy(text + at, p, n);
	return qn_siphash(&l->key, text, at + n);
}

/* Who calls, as a number, and his user: the same unless he shows a key. */
struct subject_hash {
	uint64_t caller, user;
};

static struct subject_hash hashes(const struct qn_limits *l, const struct qn_limit_ask *ask)
{
	const struct qn_principal *who = ask->who;
	char net[QN_NET_LEN];
	struct subject_hash h;

	if (!who->known) {
		qn_net_of(ask->remote_addr, net);
		h.caller = h.user = hash(l, ask->app, OF_ADDRESS, net, strlen(net));
		return h;
	}
	h.caller = h.user = hash(l, ask->app, OF_USER, who->user_id, QN_UUID_LEN);
	if (who->key_id[0] != '\0')
		h.caller = hash(l, ask->app, OF_KEY, who->key_id, QN_UUID_LEN);
	return h;
}

/* The key of a subject in a class: each class has an order of its own, in which no two subjects meet. */
static uint64_t of_class(uint64_t subject, enum qn_rate rate)
{
	uint64_t z = subject + ((uint64_t)rate + 1) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9); /* splitmix64 */
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* minutes */

/* Tells the other hosts what they do not know yet, and learns what they have counted. */
static void share(struct qn_limits *l, struct qn_cache *cache, struct qn_tally_line *line,
    uint64_t key, int64_t limit, int64_t now)
{
	struct qn_tally_debt debt;
	uint64_t sum;
	char id[48];
	uint32_t least = limit > SHARE_PARTS ? (uint32_t)(limit / SHARE_PARTS) : 1;

	if (!qn_tally_owes(l->tally, line, least, now, &debt))
		return;
	snprintf(id, sizeof(id), "%016" PRIx64 " %" PRId64, key,
	    qn_tally_minute(l->tally, &debt, now, qn_now()));
	if (qn_cache_add(cache, "rate", id, debt.n, debt.all, SHARE_S, &sum))
		qn_tally_told(line, &debt, sum);
	else
		qn_tally_untold(line, &debt);
	qn_board_count(l->board, QN_COUNT_RATE_SHARED, 1);
}

static int64_t seconds_up(int64_t us)
{
	return (us + SECOND_US - 1) / SECOND_US;
}

static void show_minute(const struct qn_limit_ask *ask, const struct qn_window *w, int64_t limit,
    bool in, struct qn_policy *ret)
{
	int64_t used = qn_window_used(w), wait = in ? 0 : qn_window_wait(w, limit);

	*ret = (struct qn_policy){
	    .name = qn_rate_name(ask->rate),
	    .suffix = ask->who->known ? "" : "-address",
	    .quota = limit,
	    .window_s = MINUTE_S,
	    .left = used < limit ? limit - used : 0,
	    .reset_s = seconds_up(wait > 0 ? wait : QN_WINDOW_US - w->age_us),
	};
}

static bool take_minute(struct qn_limits *l, struct qn_cache *cache, const struct qn_limit_ask *ask,
    uint64_t subject, int64_t limit, struct qn_policy *ret)
{
	enum qn_tally_set set = ask->who->known ? QN_TALLY_CALLERS : QN_TALLY_ADDRESSES;
	struct qn_tally_line *line;
	struct qn_window w;
	uint64_t key = of_class(subject, ask->rate);
	int64_t now = qn_mono_us();
	bool in = qn_tally_hit(l->tally, set, key, limit, now, &w, &line);

	if (line == NULL)
		qn_board_count(l->board, QN_COUNT_RATE_SPILLS, 1);
	else if (in && limit > 0)
		share(l, cache, line, key, limit, now);
	show_minute(ask, &w, limit, in, ret);
	return in;
}

/* days */

static void to_calls(const struct qn_tally_owed *owed, struct usage_calls *ret)
{
	memcpy(ret->app, owed->app, sizeof(ret->app));
	memcpy(ret->user, owed->user, sizeof(ret->user));
	ret->day = owed->day;
	ret->n = (int64_t)owed->n;
}

/* What is not known to have failed is not added twice: nobody pays for our doubts. */
static enum qn_err store_batch(struct qn_limits *l, struct qn_db *db, struct qn_arena *a,
    const struct qn_tally_owed *owed, size_t n)
{
	struct usage_calls rows[USAGE_BATCH];

	for (size_t i = 0; i < n; i++)
		to_calls(&owed[i], &rows[i]);
	enum qn_err e = usage_add(db, a, rows, n);
	for (size_t i = 0; i < n; i++) {
		if (e == QN_OK && rows[i].stored)
			qn_tally_learn(l->tally, owed[i].key, owed[i].day, (uint64_t)rows[i].n);
		else if (e != QN_OK && e != QN_UNCERTAIN)
			qn_tally_give_back(l->tally, &owed[i]);
	}
	return e;
}

enum qn_err qn_limits_store(struct qn_limits *l, struct qn_db *db, struct qn_arena *a)
{
	struct qn_tally_owed owed[USAGE_BATCH];
	size_t n;

	while ((n = qn_tally_take(l->tally, owed, USAGE_BATCH)) > 0) {
		QN_TRY(store_batch(l, db, a, owed, n));
		if (n + 1 < USAGE_BATCH)
			break;
	}
	return QN_OK;
}

/* A Postgres that does not answer the listener is not waited for here: what is owed stays in memory. */
bool qn_limits_tick(struct qn_limits *l, struct qn_db *db, struct qn_arena *a)
{
	if (!qn_tally_due(l->tally, STORE_US, qn_mono_us()) || !qn_board_live(l->board))
		return false;
	bool failed = qn_limits_store(l, db, a) != QN_OK;
	if (failed && !l->silent)
		qn_log(QN_WARNING, "what was used today was not stored yet: %s", qn_db_why(db));
	l->silent = failed;
	return true;
}

/* The first of a user on this host and day: what was stored before is read, nothing is added. */
static enum qn_err learn(struct qn_limits *l, struct qn_db *db, struct qn_arena *a,
    const struct qn_tally_user *who, uint32_t day)
{
	struct qn_tally_owed nothing = {.key = who->key, .day = day};

	memcpy(nothing.app, who->app, sizeof(nothing.app));
	memcpy(nothing.user, who->user, sizeof(nothing.user));
	return store_batch(l, db, a, &nothing, 1);
}

/* No line is free: Postgres counts. */
static enum qn_err count_directly(struct qn_limits *l, struct qn_db *db, struct qn_arena *a,
    const struct qn_tally_user *who, uint32_t day, int64_t limit, uint64_t *ret_used, bool *ret_in)
{
	int64_t sum;

	qn_board_count(l->board, QN_COUNT_RATE_SPILLS, 1);
	enum qn_err e = usage_count(db, a, who->app, who->user, day, limit, &sum);
	if (e != QN_OK) /* a conflict: there is no such user any more */
		return e == QN_CONFLICT ? QN_UNAUTHENTICATED : e;
	*ret_in = sum >= 0;
	*ret_used = (uint64_t)(*ret_in ? sum : limit);
	return QN_OK;
}

static enum qn_err take_day(struct qn_limits *l, struct qn_db *db, struct qn_arena *a,
    const struct qn_tally_user *who, uint32_t day, int64_t limit, uint64_t *ret_used, bool *ret_in)
{
	for (int tries = 0; tries < 3; tries++) {
		enum qn_tally_day got =
		    qn_tally_day(l->tally, who, day, limit, qn_mono_us(), ret_used);
		*ret_in = got == QN_DAY_COUNTED;
		if (got == QN_DAY_FULL)
			break;
		if (got != QN_DAY_UNKNOWN)
			return QN_OK;
		QN_TRY(learn(l, db, a, who, day));
	}
	return count_directly(l, db, a, who, day, limit, ret_used, ret_in);
}

static struct qn_policy show_day(const struct qn_plan *plan, uint64_t used, int64_t until_midnight)
{
	return (struct qn_policy){
	    .name = plan->code,
	    .suffix = "-day",
	    .quota = plan->calls_per_day,
	    .window_s = DAY_S,
	    .left = used < (uint64_t)plan->calls_per_day ? plan->calls_per_day - (int64_t)used : 0,
	    .reset_s = until_midnight,
	};
}

/* all of it */

static bool counts_as_call(enum qn_rate rate)
{
	static const bool calls[QN_RATE__MAX] = {
#define X(name, policy, meter, calls_) [QN_RATE_##name] = calls_,
	    QN_RATES(X)
#undef X
	};

	return (unsigned)rate < QN_RATE__MAX && calls[rate];
}

static enum qn_err refuse(struct qn_limits *l, struct qn_limit_state *s)
{
	s->nearest = s->n - 1;
	s->policy[s->nearest].left = 0;
	s->retry_after_s = s->policy[s->nearest].reset_s;
	qn_board_count(l->board, QN_COUNT_RATE_LIMITED, 1);
	return QN_RATE_LIMITED;
}

static enum qn_err day(struct qn_limits *l, struct qn_db *db, struct qn_arena *a,
    const struct qn_tally_user *who, const struct qn_plan *plan, struct qn_limit_state *s)
{
	int64_t now_s = qn_now() / SECOND_US;
	uint64_t used = 0;
	bool in = false;

	QN_TRY(take_day(l, db, a, who, (uint32_t)(now_s / DAY_S), plan->calls_per_day, &used, &in));
	if (plan->calls_per_day < 0)
		return QN_OK;
	s->policy[s->n++] = show_day(plan, used, DAY_S - now_s % DAY_S);
	if (!in)
		return refuse(l, s);
	s->nearest = s->n > 1 && s->policy[0].left <= s->policy[1].left ? 0 : s->n - 1;
	return QN_OK;
}

enum qn_err qn_limit_take(struct qn_limits *l, struct qn_db *db, struct qn_cache *cache,
    struct qn_arena *a, const struct qn_limit_ask *ask, struct qn_limit_state *ret)
{
	const struct qn_plan *plan =
	    ask->who->known ? qn_app_plan_or_lowest(ask->app, ask->who->plan) : NULL;
	const int64_t *per_minute = plan != NULL       ? plan->per_minute
	                            : ask->app != NULL ? ask->app->address_per_minute
	                                               : l->address_per_minute;
	int64_t limit = per_minute[ask->rate];
	struct subject_hash h = hashes(l, ask);

	*ret = (struct qn_limit_state){.n = 0};
	if (limit >= 0) {
		bool in = take_minute(l, cache, ask, h.caller, limit, &ret->policy[ret->n++]);
		if (!in)
			return refuse(l, ret);
	}
	if (plan == NULL || !counts_as_call(ask->rate))
		return QN_OK;
	struct qn_tally_user who = {h.user, ask->app->id, ask->who->user_id};
	return day(l, db, a, &who, plan, ret);
}
