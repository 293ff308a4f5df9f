#include "quoin/pool/children.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "quoin/auth/turn.h"
#include "quoin/base/log.h"
#include "quoin/pool/child.h"

#define SECOND_US INT64_C(1000000)
#define LOOK_US   INT64_C(20000)  /* how often a starting worker is looked at: it cannot call us */
#define START_US  (5 * SECOND_US) /* after that, once a second will do */

static bool stays(const struct child *k)
{
	return k->pid != 0 && k->told_us == 0 && !k->killed;
}

static enum qn_stage stage_of(const struct children *c, int slot)
{
	return (enum qn_stage)atomic_load_explicit(
	    &c->board->worker[slot].stage, memory_order_acquire);
}

static bool is_up(const struct children *c, int slot)
{
	return stage_of(c, slot) >= QN_STAGE_IDLE;
}

int children_want(const struct children *c)
{
	return (int)qn_conf_int(c->conf, c->spec->workers);
}

struct census children_count(const struct children *c)
{
	struct census n = {0};

	for (int i = 0; i < QN_BOARD_WORKERS; i++) {
		const struct child *k = &c->worker[i];
		if (!stays(k)) {
			n.leaving += k->pid != 0;
			continue;
		}
		n.fresh += k->gen == c->gen;
		n.old += k->gen != c->gen;
		n.up += is_up(c, i);
	}
	return n;
}

bool children_settled(const struct children *c)
{
	struct census n = children_count(c);
	return n.old == 0 && n.up >= children_want(c);
}

bool children_gone(const struct children *c)
{
	struct census n = children_count(c);
	return n.fresh + n.old + n.leaving == 0 && c->listener.pid == 0;
}

void children_renew(struct children *c, const struct qn_conf *conf)
{
	c->conf = conf;
	c->gen = atomic_fetch_add(&c->board->config_gen, 1) + 1;
	c->held = 0;
	throttle_reset(&c->young);
	throttle_reset(&c->listeners);
}

/* starting */

static bool start(
    struct children *c, struct child *k, int slot, int (*run)(const struct qn_child *), int64_t now)
{
	struct qn_child child = {c->spec->pool, c->conf, c->board, c->tally, c->listen_fd, slot};
	pid_t master = getpid(), pid = fork();

	if (pid == 0)
		child_run(&child, run, master, c->signal_fd);
	if (pid < 0) {
		throttle_fail(&c->forks, now, now);
		qn_log(QN_ERROR, "fork: %s; next try in %d ms", strerror(errno),
		    (int)(c->forks.pause_us / 1000));
		return false;
	}
	*k = (struct child){.pid = pid, .gen = c->gen, .started_us = now};
	return true;
}

/* That of one who died comes first: what he had not stored waits in a file of his line. */
static int free_slot(const struct children *c)
{
	int first = -1;

	for (int i = QN_BOARD_WORKERS - 1; i >= 0; i--)
		if (c->worker[i].pid == 0 && (first < 0 || c->died[i] || !c->died[first]))
			first = i;
	return first;
}

static void clear_line(struct children *c, int slot, enum qn_stage stage)
{
	struct qn_board_worker *w = &c->board->worker[slot];

	atomic_store(&w->pid, 0);
	atomic_store(&w->requests, 0);
	atomic_store(&w->arena_peak, 0);
	qn_turn_forget(c->board, slot);
	qn_board_stage(c->board, slot, stage, -1);
}

static bool start_worker(struct children *c, int64_t now)
{
	int slot = free_slot(c);

	if (slot < 0)
		return false;
	clear_line(c, slot, QN_STAGE_START);
	if (!start(c, &c->worker[slot], slot, c->spec->worker, now)) {
		clear_line(c, slot, QN_STAGE_EMPTY);
		return false;
	}
	c->died[slot] = false;
	atomic_store(&c->board->worker[slot].pid, c->worker[slot].pid);
	qn_board_count(c->board, QN_COUNT_WORKER_STARTS, 1);
	qn_log(QN_DEBUG, "worker %d started as %d", slot, (int)c->worker[slot].pid);
	return true;
}

/* While old workers still serve, the new ones come a few at a time: each holds a connection to
 * Postgres. */
static int places(const struct children *c)
{
	struct census n = children_count(c);
	int want = children_want(c), missing = want - n.fresh - c->held;
	int room = want + 1 + want / 4 - n.fresh - n.old;

	return n.old > 0 && room < missing ? room : missing;
}

/* stopping */

static void tell(struct child *k, int64_t now)
{
	if (k->pid == 0 || k->told_us != 0)
		return;
	k->told_us = now;
	kill(k->pid, SIGTERM);
}

void children_tell_all(struct children *c, int64_t now)
{
	for (int i = 0; i < QN_BOARD_WORKERS; i++)
		tell(&c->worker[i], now);
	tell(&c->listener, now);
}

/* An old worker goes when enough others are up. One that is not up itself serves nobody and goes at
 * once; and one goes when the board has no line left for its successor. */
static void retire_old(struct children *c, int64_t now)
{
	struct census n = children_count(c);
	int spare = n.up - children_want(c);

	if (spare <= 0 && n.leaving == 0 && free_slot(c) < 0)
		spare = 1;
	for (int i = 0; i < QN_BOARD_WORKERS; i++) {
		struct child *k = &c->worker[i];
		if (!stays(k) || k->gen == c->gen || (is_up(c, i) && spare <= 0))
			continue;
		spare -= is_up(c, i);
		tell(k, now);
	}
}

static void look_again(const struct children *c, int64_t now, int64_t *wake)
{
	for (int i = 0; i < QN_BOARD_WORKERS; i++) {
		const struct child *k = &c->worker[i];
		if (stays(k) && !is_up(c, i))
			wake_at(wake, now + (now - k->started_us < START_US ? LOOK_US : SECOND_US));
	}
}

static void keep_listener(struct children *c, int64_t now, int64_t *wake)
{
	struct child *k = &c->listener;

	if (c->spec->listener == NULL)
		return;
	if (k->pid != 0 && k->gen != c->gen)
		tell(k, now);
	if (k->pid == 0 && now >= c->listeners.until_us && now >= c->forks.until_us)
		start(c, k, -1, c->spec->listener, now);
	if (k->pid == 0 && now < c->listeners.until_us)
		wake_at(wake, c->listeners.until_us);
}

void children_keep(struct children *c, int64_t now, int64_t *wake)
{
	if (now >= c->young.until_us)
		c->held = 0;
	else if (c->held > 0)
		wake_at(wake, c->young.until_us);
	for (int n = places(c); n > 0 && now >= c->forks.until_us && start_worker(c, now); n--)
		;
	keep_listener(c, now, wake);
	if (now < c->forks.until_us)
		wake_at(wake, c->forks.until_us);
	retire_old(c, now);
	look_again(c, now, wake);
}

/* watching */

static int64_t setting_us(const struct children *c, enum qn_setting key)
{
	return qn_conf_int(c->conf, key) * SECOND_US;
}

static void put_down(struct children *c, struct child *k, int slot, bool request, int64_t now)
{
	const struct qn_board_worker *w = slot < 0 ? NULL : &c->board->worker[slot];
	struct qn_logline l;

	qn_log_begin(&l, QN_ERROR,
	    request ? "killed a worker: its request takes too long"
		    : "killed a child that did not leave when told to");
	qn_log_i64(&l, "pid", k->pid);
	if (w != NULL) {
		qn_log_i64(&l, "route_index", atomic_load(&w->route));
		qn_log_i64(&l, "ms", (now - atomic_load(&w->since_us)) / 1000);
	}
	qn_log_end(&l);
	if (request)
		qn_board_count(c->board, QN_COUNT_WATCHDOG_KILLS, 1);
	k->killed = true;
	kill(k->pid, SIGKILL); /* not ABRT: a core would hold the client's secrets */
}

static void watch_worker(struct children *c, int slot, int64_t now, int64_t *wake)
{
	struct child *k = &c->worker[slot];
	enum qn_stage stage = stage_of(c, slot); /* before the time: see qn_board_stage() */
	int64_t since =
	    atomic_load_explicit(&c->board->worker[slot].since_us, memory_order_relaxed);
	bool busy = stage == QN_STAGE_READ || stage == QN_STAGE_HANDLE;
	int64_t due = now + setting_us(c, QN_CONF_KEY_QUOIN_REQUEST_TIMEOUT_S);

	if (busy)
		due = since + setting_us(c, QN_CONF_KEY_QUOIN_REQUEST_TIMEOUT_S);
	else if (stage == QN_STAGE_LEAVE)
		due = since + setting_us(c, QN_CONF_KEY_QUOIN_DRAIN_S);
	if (now >= due)
		put_down(c, k, slot, busy, now);
	wake_at(wake, due);
}

static void watch_told(struct children *c, struct child *k, int slot, int64_t now, int64_t *wake)
{
	int64_t due = k->told_us + setting_us(c, QN_CONF_KEY_QUOIN_DRAIN_S);

	if (k->pid == 0 || k->told_us == 0 || k->killed)
		return;
	if (now >= due)
		put_down(c, k, slot, false, now);
	wake_at(wake, due);
}

void children_watch(struct children *c, int64_t now, int64_t *wake)
{
	for (int i = 0; i < QN_BOARD_WORKERS; i++) {
		if (c->worker[i].pid != 0 && !c->worker[i].killed)
			watch_worker(c, i, now, wake);
		watch_told(c, &c->worker[i], i, now, wake);
	}
	watch_told(c, &c->listener, -1, now, wake);
}

/* burying */

static void log_death(const char *what, const struct child *k, int status, int route, int64_t now)
{
	struct qn_logline l;

	qn_log_begin(&l, QN_WARNING, what);
	qn_log_i64(&l, "pid", k->pid);
	if (WIFSIGNALED(status))
		qn_log_i64(&l, "signal", WTERMSIG(status));
	else
		qn_log_i64(&l, "exit_status", WEXITSTATUS(status));
	qn_log_i64(&l, "lived_ms", (now - k->started_us) / 1000);
	qn_log_i64(&l, "route_index", route);
	qn_log_end(&l);
}

static bool ended_well(int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool was_killed(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* Whether a worker failed at its start: it died young, nobody killed it in service, and it did not
 * leave after requests served, as it does when its use is limited to a few. */
static bool failed_young(
    const struct children *c, const struct child *k, int slot, int status, int64_t now)
{
	if (now - k->started_us >= QN_YOUNG_US || k->told_us != 0)
		return false;
	if (was_killed(status) && is_up(c, slot))
		return false;
	return !(ended_well(status) && atomic_load(&c->board->worker[slot].requests) > 0);
}

static void bury_worker(struct children *c, int slot, int status, int64_t now)
{
	struct child *k = &c->worker[slot];
	bool expected = ended_well(status) || (k->told_us != 0 && was_killed(status));

	if (!expected) {
		log_death(
		    "worker died", k, status, atomic_load(&c->board->worker[slot].route), now);
		qn_board_count(c->board, QN_COUNT_WORKER_DEATHS, 1);
	}
	if (failed_young(c, k, slot, status, now)) {
		throttle_fail(&c->young, k->started_us, now);
		c->held += k->gen == c->gen;
		qn_log(QN_WARNING, "worker failed at its start; the next starts in %d ms",
		    (int)(c->young.pause_us / 1000));
	}
	c->died[slot] = !ended_well(status);
	*k = (struct child){0};
	clear_line(c, slot, QN_STAGE_EMPTY);
}

/* Nobody hears Postgres now: the workers stop trusting what they cached, at once. */
static void bury_listener(struct children *c, int status, int64_t now)
{
	struct child *k = &c->listener;
	bool young = now - k->started_us < QN_YOUNG_US;

	atomic_store(&c->board->listener_us, 0);
	if (k->told_us == 0) {
		log_death("listener died", k, status, -1, now);
		if (young && !was_killed(status))
			throttle_fail(&c->listeners, k->started_us, now);
	}
	*k = (struct child){0};
}

void children_bury(struct children *c, int64_t now)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == c->listener.pid)
			bury_listener(c, status, now);
		for (int i = 0; i < QN_BOARD_WORKERS; i++)
			if (c->worker[i].pid == pid)
				bury_worker(c, i, status, now);
		if (now < c->forks.until_us)
			c->forks.until_us = now; /* it has left room for another */
	}
}
