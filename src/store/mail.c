#include "quoin/store/mail.h"

#include "quoin/base/rand.h"
#include "rows.h"

/*
 * 58 attempts are about two days: the first eleven take 68 minutes, then there is one an hour. The job's
 * key lets an operator find it by its mail.
 */
#define MAIL_STMTS(X) \
	X(MAIL_ADD, WRITE, 7, \
	    "WITH mail AS (INSERT INTO mails (id, app_id, user_id, to_address, template, variables) " \
	    "VALUES ($1, $2, $3, $4, $5, $6) RETURNING id, app_id) " \
	    "INSERT INTO jobs (id, kind, app_id, payload, unique_key, max_attempts) " \
	    "SELECT $7::uuid, 'mail.send', app_id, json_build_object('mail', id), 'mail:' || id, 58 FROM mail") \
	X(MAIL_BY_ID, FRESH, 1, \
	    "SELECT m.id, m.app_id, m.user_id, m.to_address, m.template, m.state, m.variables, m.attempts, " \
	    "m.created_at, p.slug AS app_slug, p.name AS app_name, p.config AS app_config " \
	    "FROM mails m JOIN apps p ON p.id = m.app_id WHERE m.id = $1") \
	X(MAIL_SENT, WRITE, 2, \
	    "UPDATE mails SET state = 'sent', variables = NULL, attempts = attempts + 1, last_error = NULL, " \
	    "message_id = $2, sent_at = clock_timestamp() WHERE id = $1 AND state = 'queued'") \
	X(MAIL_TRIED, WRITE, 2, \
	    "UPDATE mails SET attempts = attempts + 1, last_error = $2 WHERE id = $1 AND state = 'queued'") \
	X(MAIL_GIVEN_UP, WRITE, 3, \
	    "UPDATE mails SET state = $2, variables = NULL, attempts = attempts + 1, last_error = $3 " \
	    "WHERE id = $1 AND state = 'queued'") \
	X(MAIL_LIST, FRESH, 2, \
	    "SELECT m.id, m.app_id, m.user_id, m.to_address, m.template, m.state, m.attempts, m.last_error, " \
	    "m.message_id, m.created_at, m.sent_at, p.slug AS app_slug " \
	    "FROM mails m JOIN apps p ON p.id = m.app_id " \
	    "WHERE ($1::uuid IS NULL OR m.app_id = $1) AND ($2::text IS NULL OR m.state = $2) " \
	    "ORDER BY m.id DESC LIMIT 100") \
	X(MAIL_RETRY, WRITE, 1, \
	    "UPDATE jobs SET attempts = 0, run_at = clock_timestamp() " \
	    "WHERE unique_key = 'mail:' || $1 AND dead_at IS NULL RETURNING id") \
	X(MAIL_PRUNE, WRITE, 0, \
	    "WITH gone AS (DELETE FROM mails WHERE ctid = ANY (ARRAY(SELECT ctid FROM mails " \
	    "WHERE created_at < now() - interval '30 days' LIMIT 1000)) RETURNING 1) " \
	    "SELECT count(*) FROM gone")

QN_STATEMENTS(mail, MAIL_STMTS);

static const struct qn_field mail_fields[] = {
    QN_FIELD(struct mail, id, UUID, 0, 0, 0, "Id."),
    QN_FIELD(struct mail, app_id, UUID, 0, 0, 0, "In whose name."),
    QN_FIELD(struct mail, user_id, UUID, QN_F_NULLABLE, 0, 0, "To which user."),
    QN_FIELD(struct mail, to_address, STR, 0, 0, 0, "To which address."),
    QN_FIELD(struct mail, template, STR, 0, 0, 0, "What it says."),
    QN_FIELD(struct mail, state, STR, 0, 0, 0, "Whether it was sent."),
    QN_FIELD(struct mail, last_error, STR, QN_F_NULLABLE, 0, 0, "Why it last failed."),
    QN_FIELD(struct mail, message_id, STR, QN_F_NULLABLE, 0, 0, "Its Message-ID."),
    QN_FIELD(struct mail, variables, JSON, QN_F_NULLABLE, 0, 0, "What is put in, sealed."),
    QN_FIELD(struct mail, attempts, I64, 0, 0, 0, "Attempts so far."),
    QN_FIELD(struct mail, created_at, TIME, 0, 0, 0, "When it was queued."),
    QN_FIELD(struct mail, sent_at, TIME, QN_F_NULLABLE, 0, 0, "When it was sent."),
    QN_FIELD(struct mail, app_slug, STR, 0, 0, 0, "The app's slug."),
    QN_FIELD(struct mail, app_name, STR, 0, 0, 0, "The app's name."),
    QN_FIELD(struct mail, app_config, JSON, 0, 0, 0, "The app's file."),
};
const struct qn_object mail_object = QN_OBJECT("Mail", struct mail, mail_fields);

enum qn_err mail_add(struct qn_db *db, struct qn_arena *a, const struct mail *mail)
{
	char job[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(job);
	return QN_EXEC(db, a, mail_set, MAIL_ADD, &rows, qn_a_str(mail->id), qn_a_str(mail->app_id),
	    qn_a_str(mail->user_id), qn_a_str(mail->to_address), qn_a_str(mail->template),
	    qn_a_bytes(mail->variables.p, mail->variables.n), qn_a_str(job));
}

enum qn_err mail_by_id(struct qn_db *db, struct qn_arena *a, const char *id, struct mail *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, mail_set, MAIL_BY_ID, &rows, qn_a_str(id)));
	if (qn_rows_n(rows) == 0)
		return QN_NOT_FOUND;
	qn_rows_get(rows, 0, &mail_object, ret);
	return QN_OK;
}

enum qn_err mail_sent(struct qn_db *db, struct qn_arena *a, const char *id, const char *message_id)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, mail_set, MAIL_SENT, &rows, qn_a_str(id), qn_a_str(message_id));
}

enum qn_err mail_tried(struct qn_db *db, struct qn_arena *a, const char *id, const char *why)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, mail_set, MAIL_TRIED, &rows, qn_a_str(id), qn_a_str(why));
}

enum qn_err mail_given_up(
    struct qn_db *db, struct qn_arena *a, const char *id, const char *state, const char *why)
{
	struct qn_rows *rows;

	return QN_EXEC(
	    db, a, mail_set, MAIL_GIVEN_UP, &rows, qn_a_str(id), qn_a_str(state), qn_a_str(why));
}

enum qn_err mail_list(struct qn_db *db, struct qn_arena *a, const char *app_id, const char *state,
    struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, mail_set, MAIL_LIST, &rows, qn_a_str(app_id), qn_a_str(state)));
	*ret = qn_rows_list(rows, a, &mail_object);
	return QN_OK;
}

enum qn_err mail_retry(struct qn_db *db, struct qn_arena *a, const char *id)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, mail_set, MAIL_RETRY, &rows, qn_a_str(id)));
	return qn_rows_n(rows) == 1 ? QN_OK : QN_NOT_FOUND;
}

enum qn_err mail_prune(struct qn_db *db, struct qn_arena *a, int64_t *ret_n)
{
	return qn_exec_number(db, a, &mail_set, MAIL_PRUNE, ret_n);
}
