#include "quoin/pool/master.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "quoin/base/clock.h"
#include "quoin/base/log.h"
#include "quoin/pool/children.h"
#include "quoin/pool/notify.h"
#include "quoin/pool/socket.h"

#define SECOND_US INT64_C(1000000)
#define PATIENCE  (5 * SECOND_US) /* for workers to come up, before systemd is told READY anyway */
#define LONG      (3600 * SECOND_US)

static const int signals[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGCHLD};
enum { SIGNALS = sizeof(signals) / sizeof(signals[0]) };

enum phase { STARTING, SERVING, RELOADING, DRAINING };

struct master {
	const struct qn_pool_spec *spec;
	struct qn_conf *conf;
	struct children kids;
	enum phase phase;
	int64_t phase_us;            /* when it began */
	int64_t beat_us, beat_every; /* systemd's watchdog: the next and the interval, 0 none */
	char status[80];             /* as last told */
};

/* settings */

static bool level_by_name(const char *name, enum qn_level *ret)
{
	static const char *const names[] = {"debug", "info", "warning", "error"};

	for (int i = 0; i < 4; i++) {
		if (strcmp(names[i], name) == 0) {
			*ret = (enum qn_level)i;
			return true;
		}
	}
	return false;
}

static bool set_log(const struct qn_pool_spec *spec, const struct qn_conf *conf)
{
	static char logger[32]; /* the log keeps it */
	enum qn_level level;

	if (!level_by_name(qn_conf_str(conf, QN_CONF_KEY_QUOIN_LOG_LEVEL), &level)) {
		qn_log(QN_ERROR, "settings: QUOIN_LOG_LEVEL is debug, info, warning or error");
		return false;
	}
	snprintf(logger, sizeof(logger), "quoind.%s", qn_pool_name(spec->pool));
	qn_log_init(logger, level);
	return true;
}

/* The first key that differs though it may not change while running; NULL when there is none. */
static const char *frozen_key(const struct qn_conf *was, const struct qn_conf *is)
{
	static const struct {
		const char *name;
		bool reload;
	} keys[QN_CONF__MAX] = {
#define X(key, type, def, least, most, reload, text) {#key, reload},
	    QN_SETTINGS(X)
#undef X
	};

	for (int i = 0; i < QN_CONF__MAX; i++)
		if (!keys[i].reload && strcmp(qn_conf_str(was, (enum qn_setting)i),
					   qn_conf_str(is, (enum qn_setting)i)) != 0)
			return keys[i].name;
	return NULL;
}

/* The new settings, or NULL when they are refused; the reason is on stderr. */
static struct qn_conf *load_anew(const struct master *m)
{
	struct qn_conf *conf = qn_conf_load(m->spec->config_path);
	const char *frozen;

	if (conf == NULL)
		return NULL;
	frozen = frozen_key(m->conf, conf);
	if (frozen != NULL)
		qn_log(QN_ERROR, "settings: %s cannot change on HUP, only on a restart", frozen);
	if (frozen == NULL && set_log(m->spec, conf))
		return conf;
	qn_conf_free(conf);
	return NULL;
}

/* systemd */

/* What it may miss is said again later; what it must hear is tried until it is taken. */
static bool say(const char *state)
{
	return qn_notify(state) == 0 || errno != EAGAIN;
}

static void say_status(struct master *m)
{
	struct census n = children_count(&m->kids);
	char status[sizeof(m->status)];

	if (m->phase == DRAINING)
		snprintf(status, sizeof(status), "STATUS=Stopping, %d workers left", n.leaving);
	else
		snprintf(status, sizeof(status), "STATUS=%d of %d workers serving", n.up,
		    children_want(&m->kids));
	if (strcmp(status, m->status) != 0 && say(status))
		memcpy(m->status, status, sizeof(status));
}

static void beat(struct master *m, int64_t now, int64_t *wake)
{
	if (m->beat_every == 0)
		return;
	if (now >= m->beat_us) {
		say("WATCHDOG=1");
		m->beat_us = now + m->beat_every;
	}
	wake_at(wake, m->beat_us);
}

/* phases */

static void enter(struct master *m, enum phase phase, int64_t now)
{
	m->phase = phase;
	m->phase_us = now;
}

static void reload(struct master *m, int64_t now)
{
	struct qn_conf *conf, *old = m->conf;
	char state[80];

	if (m->phase == DRAINING)
		return;
	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRId64, now);
	say(state);
	enter(m, RELOADING, now);
	conf = load_anew(m);
	if (conf == NULL) {
		qn_log(QN_ERROR, "the new settings are refused, the old ones stay");
		return;
	}
	m->conf = conf;
	children_renew(&m->kids, conf);
	qn_conf_free(old);
	qn_log(QN_INFO, "settings loaded anew; replacing the workers");
}

static void drain(struct master *m, int64_t now)
{
	char state[80];

	if (m->phase == DRAINING)
		return;
	/* systemd's own patience may be shorter than ours. */
	snprintf(state, sizeof(state), "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRId64,
	    (qn_conf_int(m->conf, QN_CONF_KEY_QUOIN_DRAIN_S) + 5) * SECOND_US);
	say(state);
	enter(m, DRAINING, now);
	qn_log(QN_INFO, "told to stop; waiting for the requests in hand");
	if (m->kids.listen_fd >= 0)
		close(m->kids.listen_fd);
	m->kids.listen_fd = -1;
	children_tell_all(&m->kids, now);
}

/* A start or a reload is over when all workers are up, or when waiting longer helps nobody. */
static void settle(struct master *m, int64_t now, int64_t *wake)
{
	if (m->phase != STARTING && m->phase != RELOADING)
		return;
	if (!children_settled(&m->kids) && now < m->phase_us + PATIENCE) {
		wake_at(wake, m->phase_us + PATIENCE);
		return;
	}
	if (!say("READY=1")) {
		wake_at(wake, now + SECOND_US / 10);
		return;
	}
	qn_log(QN_INFO, "%d of %d workers serving", children_count(&m->kids).up,
	    children_want(&m->kids));
	enter(m, SERVING, now);
}

/* the loop */

static void take_signals(struct master *m)
{
	struct signalfd_siginfo si;

	while (read(m->kids.signal_fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGHUP)
			reload(m, qn_mono_us());
		else if (si.ssi_signo != SIGCHLD)
			drain(m, qn_mono_us());
	}
}

static void wait_until(struct master *m, int64_t wake)
{
	struct pollfd p = {.fd = m->kids.signal_fd, .events = POLLIN};
	int64_t ms = (wake - qn_mono_us() + 999) / 1000;

	poll(&p, 1, ms < 0 ? 0 : (int)ms);
	take_signals(m);
}

static void run(struct master *m)
{
	for (;;) {
		int64_t now = qn_mono_us(), wake = now + LONG;

		children_bury(&m->kids, now);
		if (m->phase == DRAINING && children_gone(&m->kids))
			return;
		if (m->phase != DRAINING)
			children_keep(&m->kids, now, &wake);
		children_watch(&m->kids, now, &wake);
		settle(m, now, &wake);
		say_status(m);
		beat(m, now, &wake);
		wait_until(m, wake);
	}
}

/* start and end */

/* Blocked here, they are blocked in a child too until it has its own handlers: none is lost. Those
 * that our parent ignored would never come, and children that it ignores could not be waited for.
 */
static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	for (int i = 0; i < SIGNALS; i++) {
		sigaddset(&set, signals[i]);
		signal(signals[i], SIG_DFL);
	}
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return -1;
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static int open_socket(const struct qn_pool_spec *spec)
{
	if (spec->listen_path != NULL)
		return pool_socket_bind(spec->listen_path, spec->listen_mode);
	return pool_socket_inherit(STDIN_FILENO);
}

/* Shared with the other pools; jobs answers no requests. */
static bool open_tally(struct master *m, const char *run_dir)
{
	if (m->spec->pool == QN_POOL_JOBS)
		return true;
	m->kids.tally = qn_tally_open(run_dir);
	if (m->kids.tally == NULL)
		qn_log(QN_ERROR, "cannot make %s/limits.tally: %s", run_dir, strerror(errno));
	return m->kids.tally != NULL;
}

static bool open_all(struct master *m)
{
	struct children *c = &m->kids;
	const char *run_dir = qn_conf_str(m->conf, QN_CONF_KEY_QUOIN_RUN_DIR);

	c->signal_fd = open_signals();
	if (c->signal_fd < 0) {
		qn_log(QN_ERROR, "signalfd: %s", strerror(errno));
		return false;
	}
	if (m->spec->pool != QN_POOL_JOBS && (c->listen_fd = open_socket(m->spec)) < 0)
		return false;
	c->board = qn_board_create(run_dir, m->spec->pool);
	if (c->board == NULL)
		qn_log(QN_ERROR, "cannot make %s/%s.board: %s", run_dir,
		    qn_pool_name(m->spec->pool), strerror(errno));
	return c->board != NULL && open_tally(m, run_dir);
}

/* The name of the socket stays: it may be our successor's by now, and nobody can tell for sure. */
static void close_all(struct master *m)
{
	struct children *c = &m->kids;

	if (c->board != NULL) {
		atomic_store(&c->board->listener_us, 0);
		atomic_store(&c->board->master, 0);
	}
	qn_board_unmap(c->board);
	qn_tally_close(c->tally);
	if (c->listen_fd >= 0)
		close(c->listen_fd);
	if (c->signal_fd >= 0)
		close(c->signal_fd);
	qn_conf_free(m->conf);
	free(m);
}

int qn_master_run(const struct qn_pool_spec *spec, struct qn_conf *conf)
{
	struct master *m = calloc(1, sizeof(*m));
	bool ok;

	if (m == NULL)
		qn_fatal("out of memory");
	*m = (struct master){.spec = spec, .conf = conf, .beat_every = qn_notify_interval_us()};
	m->kids.spec = spec;
	m->kids.listen_fd = m->kids.signal_fd = -1;
	ok = set_log(spec, conf) && open_all(m);
	if (ok) {
		if (geteuid() == 0)
			qn_log(QN_WARNING, "running as root: give this pool a user of its own");
		enter(m, STARTING, qn_mono_us());
		children_renew(&m->kids, conf);
		run(m);
		qn_log(QN_INFO, "stopped");
	}
	close_all(m);
	return ok ? 0 : 1;
}
