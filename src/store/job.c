#include "quoin/store/job.h"

#include "quoin/base/rand.h"

#define COLUMNS "id, kind, app_id, payload, attempts, max_attempts, run_at, failure, dead_at"

#define JOB_STMTS(X) \
	X(JOB_ADD, WRITE, 5, \
	    "INSERT INTO jobs (id, kind, app_id, payload, unique_key) VALUES ($1, $2, $3, $4, $5) " \
	    "ON CONFLICT (unique_key) WHERE dead_at IS NULL DO NOTHING") \
	X(JOB_TAKE, WRITE, 0, \
	    "UPDATE jobs SET attempts = attempts + 1, touched_at = clock_timestamp(), run_at = clock_timestamp() + interval '1 min' " \
	    "WHERE id = (SELECT id FROM jobs WHERE dead_at IS NULL AND run_at <= clock_timestamp() " \
	    "ORDER BY run_at LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING " COLUMNS) \
	X(JOB_DONE, WRITE, 1, "DELETE FROM jobs WHERE id = $1") \
	X(JOB_FAILED, WRITE, 2, \
	    "UPDATE jobs SET failure = $2, touched_at = clock_timestamp(), " \
	    "dead_at = CASE WHEN attempts >= max_attempts THEN clock_timestamp() END, " \
	    "run_at = clock_timestamp() + least(interval '1 hour', interval '1 s' * (2 ^ least(attempts, 12))) " \
	    "WHERE id = $1") \
	X(JOB_PUT_OFF, WRITE, 1, \
	    "UPDATE jobs SET attempts = attempts - 1, touched_at = clock_timestamp(), " \
	    "run_at = clock_timestamp() + interval '10 s' " \
	    "WHERE id = $1") \
	X(JOB_OF_TOMORROW, WRITE, \
	    0, /* put off by a clock that was ahead: it would wait for that one's time */ \
	    "UPDATE jobs SET run_at = clock_timestamp(), touched_at = clock_timestamp() " \
	    "WHERE dead_at IS NULL AND run_at > clock_timestamp() + interval '1 min' " \
	    "AND touched_at > clock_timestamp() + interval '1 min'") \
	X(JOB_SCHEDULE, WRITE, 0, \
	    "INSERT INTO jobs (id, kind, app_id, payload, unique_key, max_attempts) " \
	    "SELECT gen_random_uuid(), 'jwks.refresh', app_id, json_build_object('issuer', id), 'jwks:' || id, 1 " \
	    "FROM issuers WHERE (" QN_LATELY("fetched_at", \
		"10 min") ") IS NOT TRUE " \
			  "AND (" QN_LATELY("attempted_at", \
			      "60 s") ") IS NOT TRUE " \
				      "UNION ALL SELECT gen_random_uuid(), 'session.prune', NULL, '{}', 'sessions', 1 " \
				      "WHERE EXISTS (SELECT 1 FROM sessions WHERE expires_at < now() - interval '25 hours') " \
				      "OR EXISTS (SELECT 1 FROM one_time_tokens WHERE expires_at < now() - interval '25 hours') " \
				      "OR EXISTS (SELECT 1 FROM attempts WHERE last_at < now() - interval '25 hours') " \
				      "UNION ALL SELECT gen_random_uuid(), 'licence.sweep', NULL, '{}', 'licences', 1 " \
				      "WHERE license_sweep_due() " \
				      "UNION ALL SELECT gen_random_uuid(), 'account.erase', NULL, '{}', 'erase', 1 " \
				      "WHERE EXISTS (SELECT 1 FROM users WHERE delete_after < now()) " \
				      "UNION ALL SELECT gen_random_uuid(), 'idempotency.prune', NULL, '{}', 'idempotency', 1 " \
				      "WHERE EXISTS (SELECT 1 FROM idempotency_keys WHERE created_at < now() - interval '25 hours') " \
				      "UNION ALL SELECT gen_random_uuid(), 'mail.prune', NULL, '{}', 'mail.prune', 1 " \
				      "WHERE EXISTS (SELECT 1 FROM mails WHERE created_at < now() - interval '31 days') " \
				      "UNION ALL SELECT gen_random_uuid(), 'grants.end', NULL, '{}', 'grants.end', 1 " \
				      "WHERE EXISTS (SELECT 1 FROM grants WHERE in_force AND ends_at <= now()) " \
				      "ON CONFLICT (unique_key) WHERE dead_at IS NULL DO NOTHING") \
	X(JOB_SCHEDULE_LOOKS, WRITE, 0, \
	    "WITH due AS (UPDATE billing_customers SET look_at = clock_timestamp() + interval '1 hour' " \
	    "WHERE id IN (SELECT c.id FROM billing_customers c WHERE (c.look_at <= clock_timestamp() " \
	    "OR c.look_at > clock_timestamp() + interval '8 days') " \
	    "AND EXISTS (SELECT 1 FROM stripe_accounts s WHERE s.app_id = c.app_id) AND NOT EXISTS (" \
	    "SELECT 1 FROM jobs j WHERE j.unique_key = 'billing.look:' || c.id AND j.dead_at IS NULL) " \
	    "ORDER BY c.look_at LIMIT 20 FOR UPDATE OF c SKIP LOCKED) RETURNING id, app_id) " \
	    "INSERT INTO jobs (id, kind, app_id, payload, unique_key, max_attempts) " \
	    "SELECT gen_random_uuid(), 'billing.look', app_id, json_build_object('customer', id), " \
	    "'billing.look:' || id, 3 FROM due ON CONFLICT (unique_key) WHERE dead_at IS NULL DO NOTHING") \
	X(JOB_SCHEDULE_HOURLY, WRITE, 0, \
	    "INSERT INTO jobs (id, kind, unique_key, max_attempts, run_at) " \
	    "SELECT gen_random_uuid(), kind, kind, 1, date_trunc('hour', now()) + interval '1 hour' " \
	    "FROM unnest(ARRAY['audit.prune', 'meters.prune', 'webhook.prune', 'billing.prune', " \
	    "'billing.usage', 'figures.roll']) kind " \
	    "ON CONFLICT (unique_key) WHERE dead_at IS NULL DO NOTHING") \
	X(JOB_LIST, FRESH, 0, "SELECT " COLUMNS " FROM jobs ORDER BY run_at LIMIT 1000") \
	X(JOB_RETRY, WRITE, 1, \
	    "UPDATE jobs SET dead_at = NULL, attempts = 0, run_at = clock_timestamp() WHERE id = $1 RETURNING id")

QN_STATEMENTS(job, JOB_STMTS);

static const struct qn_field job_fields[] = {
    QN_FIELD(struct job, id, UUID, 0, 0, 0, "Id."),
    QN_FIELD(struct job, kind, STR, 0, 0, 0, "What is to be done."),
    QN_FIELD(struct job, app_id, UUID, QN_F_NULLABLE, 0, 0, "For which app."),
    QN_FIELD(struct job, payload, JSON, 0, 0, 0, "With what."),
    QN_FIELD(struct job, attempts, I64, 0, 0, 0, "Attempts so far."),
    QN_FIELD(struct job, max_attempts, I64, 0, 0, 0, "Attempts at the most."),
    QN_FIELD(struct job, run_at, TIME, 0, 0, 0, "When it is due."),
    QN_FIELD(struct job, failure, STR, QN_F_NULLABLE, 0, 0, "Why it last failed."),
    QN_FIELD(struct job, dead_at, TIME, QN_F_NULLABLE, 0, 0, "When it was given up."),
};
const struct qn_object job_object = QN_OBJECT("Job", struct job, job_fields);

enum qn_err job_add(struct qn_db *db, struct qn_arena *a, const char *kind, const char *app_id,
    struct qn_span payload, const char *unique_key)
{
	char id[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(id);
	return QN_EXEC(db, a, job_set, JOB_ADD, &rows, qn_a_str(id), qn_a_str(kind),
	    qn_a_str(app_id), qn_a_json(payload), qn_a_str(unique_key));
}

enum qn_err job_take(struct qn_db *db, struct qn_arena *a, struct job *ret)
{
	struct qn_rows *rows;

	QN_TRY(qn_exec(db, a, &job_set, JOB_TAKE, NULL, 0, &rows));
	if (qn_rows_n(rows) == 0)
		return QN_NOT_FOUND;
	qn_rows_get(rows, 0, &job_object, ret);
	return QN_OK;
}

enum qn_err job_done(struct qn_db *db, struct qn_arena *a, const char *id)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, job_set, JOB_DONE, &rows, qn_a_str(id));
}

enum qn_err job_failed(struct qn_db *db, struct qn_arena *a, const char *id, const char *why)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, job_set, JOB_FAILED, &rows, qn_a_str(id), qn_a_str(why));
}

enum qn_err job_put_off(struct qn_db *db, struct qn_arena *a, const char *id)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, job_set, JOB_PUT_OFF, &rows, qn_a_str(id));
}

enum qn_err job_schedule(struct qn_db *db, struct qn_arena *a)
{
	struct qn_rows *rows;

	QN_TRY(qn_exec(db, a, &job_set, JOB_OF_TOMORROW, NULL, 0, &rows));
	QN_TRY(qn_exec(db, a, &job_set, JOB_SCHEDULE, NULL, 0, &rows));
	QN_TRY(qn_exec(db, a, &job_set, JOB_SCHEDULE_LOOKS, NULL, 0, &rows));
	return qn_exec(db, a, &job_set, JOB_SCHEDULE_HOURLY, NULL, 0, &rows);
}

enum qn_err job_list(struct qn_db *db, struct qn_arena *a, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(qn_exec(db, a, &job_set, JOB_LIST, NULL, 0, &rows));
	*ret = qn_rows_list(rows, a, &job_object);
	return QN_OK;
}

enum qn_err job_retry(struct qn_db *db, struct qn_arena *a, const char *id)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, job_set, JOB_RETRY, &rows, qn_a_str(id)));
	return qn_rows_n(rows) == 1 ? QN_OK : QN_NOT_FOUND;
}
