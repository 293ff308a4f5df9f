/* A worker of jobs: takes due jobs and deliveries of webhooks from their queues, one at a time. */
#include <stdlib.h>
#include <string.h>

#include "quoin/auth/jwksfetch.h"
#include "quoin/auth/link.h"
#include "quoin/auth/outbox.h"
#include "quoin/auth/warning.h"
#include "quoin/auth/webhook.h"
#include "quoin/base/clock.h"
#include "quoin/base/json.h"
#include "quoin/base/log.h"
#include "quoin/billing/billing.h"
#include "quoin/pool/worker.h"
#include "quoin/store/account.h"
#include "quoin/store/app.h"
#include "quoin/store/audit.h"
#include "quoin/store/entitlement.h"
#include "quoin/store/figures.h"
#include "quoin/store/idempotency.h"
#include "quoin/store/invitation.h"
#include "quoin/store/job.h"
#include "quoin/store/licence.h"
#include "quoin/store/mail.h"
#include "quoin/store/session.h"

enum { ARENA_BYTES = 16 * 1024 * 1024, WAIT_MS = 1000 };

#define SCHEDULE_US 10000000
#define PRUNE_US    5000000
#define REST_US     10000000
#define SLOW_US     1000000

struct jobs {
	const struct qn_child *child;
	struct qn_arena *arena;
	struct qn_db *db;
	int64_t scheduled_at; /* monotonic µs */
	int64_t mail_rests;   /* no mail before then: monotonic µs, 0 now */
	int64_t hooks_rest;   /* likewise no webhook */
};

typedef enum qn_err job_fn(struct jobs *j, const struct job *job);

static const char *const lost = "No attempt came to its end: each ended its worker.";

/* A member of the payload; NULL when it has none of that name. */
static const char *named(struct jobs *j, const struct job *job, const char *member)
{
	struct qn_json_object payload;
	const char *value = NULL;

	if (qn_json_members(j->arena, job->payload, &payload))
		qn_json_str(j->arena, qn_json_get(&payload, member), &value, NULL);
	return value;
}

/* What came of it stands in the issuer's row; the schedule asks again, so a failure is no job's. */
static enum qn_err refresh_keys(struct jobs *j, const struct job *job)
{
	const char *id = named(j, job, "issuer");
	struct issuer_row issuer;

	if (id == NULL)
		return QN_INVALID;
	enum qn_err e = issuer_by_id(j->db, j->arena, id, &issuer);
	if (e != QN_OK)
		return e == QN_NOT_FOUND ? QN_OK : e;
	qn_jwks_refetch(
	    j->child->conf, j->db, j->arena, &qn_jwks_of_issuers, issuer.id, issuer.jwks_url);
	return QN_OK;
}

/* As many as there are, but no longer than a job may take. */
static enum qn_err prune(
    struct jobs *j, enum qn_err (*some)(struct qn_db *db, struct qn_arena *a, int64_t *ret_n))
{
	int64_t until = qn_mono_us() + PRUNE_US, n = 0;

	do
		QN_TRY(some(j->db, j->arena, &n));
	while (n > 0 && qn_mono_us() < until && !qn_child_leaving());
	return QN_OK;
}

static enum qn_err prune_keys(struct jobs *j, const struct job *job)
{
	(void)job;
	return prune(j, idempotency_prune);
}

static enum qn_err prune_sessions(struct jobs *j, const struct job *job)
{
	(void)job;
	return prune(j, session_prune);
}

static enum qn_err erase_accounts(struct jobs *j, const struct job *job)
{
	(void)job;
	return prune(j, account_erase);
}

static enum qn_err send_link(struct jobs *j, const struct job *job)
{
	return qn_link_send(j->child->conf, j->db, j->arena, job->app_id, job->payload);
}

static enum qn_err prune_mail(struct jobs *j, const struct job *job)
{
	(void)job;
	return prune(j, mail_prune);
}

/* Rows that were kept as long as their organization wants, and invitations that nobody took. */
static enum qn_err prune_audit(struct jobs *j, const struct job *job)
{
	(void)job;
	QN_TRY(prune(j, audit_prune));
	return prune(j, invitation_prune);
}

static enum qn_err end_grants(struct jobs *j, const struct job *job)
{
	(void)job;
	return prune(j, grants_end);
}

static enum qn_err prune_meters(struct jobs *j, const struct job *job)
{
	(void)job;
	return prune(j, meters_prune);
}

static enum qn_err warn(struct jobs *j, const struct job *job)
{
	return qn_warning_mail(j->child->conf, j->db, j->arena, job->app_id, job->payload);
}

static enum qn_err prune_webhooks(struct jobs *j, const struct job *job)
{
	(void)job;
	return prune(j, webhook_prune);
}

/* Licences that expired, machines and leases that were given up. */
static enum qn_err sweep_licences(struct jobs *j, const struct job *job)
{
	(void)job;
	return prune(j, licence_sweep);
}

static void log_mail(const char *id, const struct qn_delivery *d)
{
	static const char *const results[] = {"sent", "later", "failed", "bounced"};
	struct qn_logline l;

	if (d->passed_over != NULL)
		qn_log(QN_ERROR, "a text of mail is passed over: %s", d->passed_over);
	if (d->template == NULL)
		return;
	qn_log_begin(&l, d->outcome.result == QN_MAIL_SENT ? QN_INFO : QN_WARNING, "mail");
	qn_log_str(&l, "mail_id", id);
	qn_log_str(&l, "template", d->template);
	qn_log_str(&l, "result", results[d->outcome.result]);
	qn_log_str(&l, "error", d->outcome.why[0] != '\0' ? d->outcome.why : NULL);
	qn_log_end(&l);
}

static enum qn_err send_mail(struct jobs *j, const struct job *job)
{
	const char *id = named(j, job, "mail");
	struct qn_delivery d;

	if (id == NULL)
		return QN_INVALID;
	enum qn_err e = qn_mail_deliver(
	    j->child->conf, j->db, j->arena, id, job->attempts >= job->max_attempts, &d);
	log_mail(id, &d);
	if (d.template != NULL)
		qn_board_count(j->child->board,
		    d.outcome.result == QN_MAIL_SENT ? QN_COUNT_MAILS_SENT : QN_COUNT_MAILS_FAILED,
		    1);
	/* While a server lets every call run into its deadline, other jobs have their turn. */
	if (d.outcome.slow)
		j->mail_rests = qn_mono_us() + REST_US;
	return e;
}

static enum qn_err lose_mail(struct jobs *j, const struct job *job)
{
	const char *id = named(j, job, "mail");

	return id == NULL ? QN_OK : mail_given_up(j->db, j->arena, id, "failed", lost);
}

/* Looks at a customer of the app at Stripe. */
static enum qn_err look(struct jobs *j, const char *app, const char *customer)
{
	struct qn_billing b;
	enum qn_err e = qn_billing_open(j->child->conf, j->db, j->arena, app, &b);

	if (e == QN_OK)
		e = qn_billing_look(&b, customer);
	if (e != QN_OK && b.why != NULL)
		qn_log(QN_WARNING, "a customer was not looked at: %s", b.why);
	return e;
}

static enum qn_err apply_event(struct jobs *j, const struct job *job)
{
	const char *id = named(j, job, "event"), *customer;

	if (id == NULL || job->app_id == NULL)
		return QN_INVALID;
	QN_TRY(billing_event_open(j->db, j->arena, job->app_id, id, &customer));
	return customer != NULL ? look(j, job->app_id, customer) : QN_OK;
}

static enum qn_err look_at_customer(struct jobs *j, const struct job *job)
{
	const char *id = named(j, job, "customer");

	return id != NULL && job->app_id != NULL ? look(j, job->app_id, id) : QN_INVALID;
}

/* Of every app that has meters at Stripe; one that fails does not keep the others. */
static enum qn_err report_usage(struct jobs *j, const struct job *job)
{
	struct qn_billing b;
	struct qn_list apps;
	enum qn_err first = QN_OK;

	(void)job;
	QN_TRY(billing_metering(j->db, j->arena, &apps));
	const struct stripe_account *app = apps.items;
	for (size_t i = 0; i < apps.n; i++) {
		enum qn_err e = qn_billing_open(j->child->conf, j->db, j->arena, app[i].app_id, &b);
		if (e == QN_OK)
			e = qn_billing_report(&b);
		if (e != QN_OK)
			qn_log(QN_WARNING, "use was not reported: %s", b.why != NULL ? b.why : "");
		first = first == QN_OK ? e : first;
	}
	return first;
}

static enum qn_err prune_billing(struct jobs *j, const struct job *job)
{
	(void)job;
	return prune(j, billing_prune);
}

/* Days of business that were not counted yet, and today once more. */
static enum qn_err roll_figures(struct jobs *j, const struct job *job)
{
	(void)job;
	return prune(j, figures_roll);
}

static const struct kind {
	const char *name;
	job_fn *fn;
	job_fn *lost; /* told when no attempt came to its end; may be NULL */
} kinds[] = {
    {"jwks.refresh", refresh_keys, NULL},
    {"idempotency.prune", prune_keys, NULL},
    {"session.prune", prune_sessions, NULL},
    {"account.erase", erase_accounts, NULL},
    {QN_LINK_JOB, send_link, NULL},
    {"mail.send", send_mail, lose_mail},
    {"mail.prune", prune_mail, NULL},
    {"audit.prune", prune_audit, NULL},
    {"grants.end", end_grants, NULL},
    {"meters.prune", prune_meters, NULL},
    {"usage.warning", warn, NULL},
    {"webhook.prune", prune_webhooks, NULL},
    {"billing.event", apply_event, NULL},
    {"billing.look", look_at_customer, NULL},
    {"billing.prune", prune_billing, NULL},
    {"billing.usage", report_usage, NULL},
    {"licence.sweep", sweep_licences, NULL},
    {"figures.roll", roll_figures, NULL},
};

static const struct kind *kind_of(const struct job *job)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, job->kind) == 0)
			return &kinds[i];
	return NULL;
}

static void log_job(const struct job *job, enum qn_err e, int64_t us)
{
	struct qn_logline l;

	qn_log_begin(&l, e == QN_OK ? QN_INFO : QN_WARNING, "job");
	qn_log_str(&l, "job_id", job->id);
	qn_log_str(&l, "kind", job->kind);
	qn_log_i64(&l, "attempt", job->attempts);
	qn_log_i64(&l, "latency_us", us);
	qn_log_str(&l, "error", e == QN_OK ? NULL : qn_err_code(e));
	qn_log_end(&l);
}

static enum qn_err give_up(struct jobs *j, const struct kind *kind, const struct job *job)
{
	qn_board_count(j->child->board, QN_COUNT_JOBS_FAILED, 1);
	if (kind != NULL && kind->lost != NULL)
		QN_TRY(kind->lost(j, job));
	return job_failed(j->db, j->arena, job->id, lost);
}

/* One job, if one is due. */
static enum qn_err work(struct jobs *j)
{
	struct job job;
	int64_t began = qn_mono_us();

	QN_TRY(job_take(j->db, j->arena, &job));
	const struct kind *kind = kind_of(&job);
	if (job.attempts > job.max_attempts)
		return give_up(j, kind, &job);
	if (kind != NULL && kind->fn == send_mail && began < j->mail_rests)
		return job_put_off(j->db, j->arena, job.id);
	enum qn_err e = kind != NULL ? kind->fn(j, &job) : QN_INVALID;
	log_job(&job, e, qn_mono_us() - began);
	qn_board_count(j->child->board, e == QN_OK ? QN_COUNT_JOBS_DONE : QN_COUNT_JOBS_FAILED, 1);
	return e == QN_OK ? job_done(j->db, j->arena, job.id)
	                  : job_failed(j->db, j->arena, job.id, qn_err_text(e));
}

/* Neither the URL nor the answer: both are other people's (T33). */
static void log_call(const struct qn_webhook_call *c)
{
	struct qn_logline l;

	qn_log_begin(&l, c->result.ok ? QN_INFO : QN_WARNING, "webhook");
	qn_log_str(&l, "delivery_id", c->due.id);
	qn_log_str(&l, "webhook_id", c->due.endpoint_id);
	qn_log_str(&l, "type", c->due.type);
	qn_log_i64(&l, "attempt", c->due.attempts);
	qn_log_str(&l, "outcome", c->settled.outcome);
	if (c->result.error == NULL)
		qn_log_i64(&l, "status", c->result.status);
	qn_log_i64(&l, "latency_ms", c->result.duration_ms);
	qn_log_str(&l, "error", c->result.error);
	qn_log_str(&l, "disabled", c->settled.disabled);
	qn_log_end(&l);
}

/* One delivery, if one is due. While receivers are slow the rest of the jobs has half of the time. */
static enum qn_err tell(struct jobs *j)
{
	int64_t began = qn_mono_us();
	struct qn_webhook_call c;

	if (began < j->hooks_rest)
		return QN_NOT_FOUND;
	QN_TRY(qn_webhook_next(j->child->conf, j->db, j->arena, &c));
	int64_t took = qn_mono_us() - began;
	if (took > SLOW_US)
		j->hooks_rest = began + 2 * took;
	log_call(&c);
	qn_board_count(
	    j->child->board, c.result.ok ? QN_COUNT_HOOKS_DELIVERED : QN_COUNT_HOOKS_FAILED, 1);
	return QN_OK;
}

static void schedule(struct jobs *j)
{
	if (qn_mono_us() < j->scheduled_at)
		return;
	j->scheduled_at = qn_mono_us() + SCHEDULE_US;
	if (job_schedule(j->db, j->arena) != QN_OK || webhook_release(j->db, j->arena) != QN_OK)
		qn_log(QN_WARNING, "nothing was scheduled: %s", qn_db_why(j->db));
}

static void heard(void *arg, const char *channel, const char *payload)
{
	(void)arg;
	(void)channel;
	(void)payload;
}

/* Until somebody adds a job, or for a moment. */
static void wait_for_work(struct jobs *j)
{
	static const char *const channels[] = {"quoin_jobs", NULL};

	if (qn_db_listen(j->db, channels) != QN_OK ||
	    qn_db_wait(j->db, WAIT_MS, heard, NULL) != QN_OK)
		qn_child_pause(WAIT_MS);
}

/* Each has its turn, however much waits in the other. */
static enum qn_err (*const queues[])(struct jobs *j) = {work, tell};

int qn_jobs_main(const struct qn_child *child)
{
	struct jobs j = {.child = child, .arena = qn_arena_new(ARENA_BYTES)};

	j.db = qn_db_new(qn_conf_str(child->conf, QN_CONF_KEY_DATABASE_URL), "",
	    qn_conf_int(child->conf, QN_CONF_KEY_DATABASE_TIMEOUT_MS), "quoin-jobs", child->board);
	while (!qn_child_leaving()) {
		qn_board_stage(child->board, child->slot, QN_STAGE_HANDLE, -1);
		schedule(&j);
		bool more = false;
		for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]); i++) {
			qn_board_stage(child->board, child->slot, QN_STAGE_HANDLE, -1);
			more = queues[i](&j) == QN_OK || more;
			qn_db_reset(j.db);
			qn_arena_reset(j.arena);
		}
		qn_board_stage(child->board, child->slot, QN_STAGE_IDLE, -1);
		if (!more)
			wait_for_work(&j);
	}
	qn_db_free(j.db);
	qn_arena_free(j.arena);
	return 0;
}
