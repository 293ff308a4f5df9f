#include "quoin/store/webhook.h"

#include <string.h>

#include "rows.h"

#define OF "app_id = $1 AND owner_id = coalesce($2::uuid, $1)"
#define COLUMNS \
	"id, url, description, array_to_json(events) AS events, ordered, enabled, disabled_reason, failing_since, " \
	"CASE WHEN old_secret_until > now() THEN old_secret_until END AS old_secret_until, created_at, updated_at"
#define DELIVERY \
	"d.seq, d.id, d.event_id, d.type, d.state, d.attempts, d.status AS response_status, d.error, " \
	"d.response AS response_body, d.duration_ms, d.created_at, d.ended_at, " \
	"CASE d.state WHEN 'pending' THEN d.next_at END AS next_at"

#define WEBHOOK_STMTS(X) \
	X(WEBHOOK_LIST, FRESH, 2, \
	    "SELECT " COLUMNS " FROM webhook_endpoints WHERE " OF " ORDER BY id DESC") \
	X(WEBHOOK_CREATE, WRITE, 10, \
	    "INSERT INTO webhook_endpoints (app_id, organization_id, id, url, description, events, ordered, " \
	    "secret_sealed, created_by) SELECT $1, $2, $3, $4, coalesce($5, ''), " \
	    "ARRAY(SELECT json_array_elements_text(coalesce($6::json, '[]'))), coalesce($7, true), $8, $9 " \
	    "WHERE (SELECT count(*) FROM webhook_endpoints WHERE " OF \
	    ") < $10::integer RETURNING " COLUMNS) \
	X(WEBHOOK_BY_ID, FRESH, 3, \
	    "SELECT " COLUMNS " FROM webhook_endpoints WHERE " OF " AND id = $3") \
	X(WEBHOOK_UPDATE, WRITE, 8, \
	    "UPDATE webhook_endpoints SET url = coalesce($4, url), description = coalesce($5, description), " \
	    "events = CASE WHEN $6::json IS NULL THEN events ELSE ARRAY(SELECT json_array_elements_text($6)) END, " \
	    "ordered = coalesce($7, ordered), enabled = coalesce($8::boolean, enabled), disabled_reason = " \
	    "CASE WHEN NOT coalesce($8, enabled) THEN coalesce(disabled_reason, 'paused') END, " \
	    "failing_since = CASE WHEN $8 THEN NULL ELSE failing_since END, " \
	    "silent = CASE WHEN $8 THEN 0 ELSE silent END, " \
	    "rest_until = CASE WHEN $8 THEN '-infinity' ELSE rest_until END, updated_at = clock_timestamp() " \
	    "WHERE " OF " AND id = $3 RETURNING " COLUMNS) \
	X(WEBHOOK_DELETE, WRITE, 3, \
	    "DELETE FROM webhook_endpoints WHERE " OF " AND id = $3 RETURNING id") \
	X(WEBHOOK_ROTATE, WRITE, 5, \
	    "UPDATE webhook_endpoints SET old_secret_sealed = CASE WHEN $5::integer > 0 THEN secret_sealed END, " \
	    "old_secret_until = CASE WHEN $5 > 0 THEN clock_timestamp() + $5 * interval '1 hour' END, " \
	    "secret_sealed = $4, updated_at = clock_timestamp() " \
	    "WHERE " OF " AND id = $3 RETURNING " COLUMNS) \
	X(WEBHOOK_TEST, WRITE, 3, "SELECT webhook_test($1, $2, $3)") \
	X(WEBHOOK_DELIVERIES, FRESH, 7, \
	    "SELECT " DELIVERY \
	    " FROM webhook_deliveries d JOIN webhook_endpoints w ON w.id = d.endpoint_id " \
	    "WHERE w.id = $3 AND w.app_id = $1 AND w.owner_id = coalesce($2::uuid, $1) " \
	    "AND d.endpoint_id = $3 AND d.seq < coalesce($4, 9223372036854775807) " \
	    "AND ($5::text IS NULL OR d.state = $5) AND ($6::text IS NULL OR d.type = $6) " \
	    "ORDER BY d.seq DESC LIMIT $7") \
	X(WEBHOOK_RESEND, WRITE, 4, "SELECT webhook_resend($1, $2, $3, $4)") \
	X(WEBHOOK_DELIVERY, FRESH, 1, \
	    "SELECT " DELIVERY " FROM webhook_deliveries d WHERE d.id = $1") \
	X(WEBHOOK_TAKE, WRITE, 0, \
	    "SELECT t.id, t.endpoint_id, t.event_id, t.type, t.attempts, e.data::json AS data, e.created_at, w.url, " \
	    "w.secret_sealed, CASE WHEN w.old_secret_until > now() THEN w.old_secret_sealed END AS old_secret_sealed " \
	    "FROM webhook_take() t JOIN webhook_endpoints w ON w.id = t.endpoint_id " \
	    "JOIN events e ON e.id = t.event_id") \
	X(WEBHOOK_SETTLE, WRITE, 8, \
	    "SELECT outcome, disabled, app_id, user_id, notify, url " \
	    "FROM webhook_settle($1, $2, $3, $4, $5, $6, $7, $8)") \
	X(WEBHOOK_RELEASE, WRITE, 0, "SELECT webhook_release()") \
	X(WEBHOOK_PRUNE, WRITE, 0, \
	    "WITH told AS (DELETE FROM webhook_deliveries WHERE ctid = ANY (ARRAY(SELECT ctid " \
	    "FROM webhook_deliveries WHERE created_at < now() - interval '30 days' LIMIT 1000)) RETURNING 1), " \
	    "gone AS (DELETE FROM events WHERE ctid = ANY (ARRAY(SELECT ctid FROM events " \
	    "WHERE created_at < now() - interval '30 days' LIMIT 1000)) RETURNING 1) " \
	    "SELECT (SELECT count(*) FROM told) + (SELECT count(*) FROM gone)")

QN_STATEMENTS(webhook, WEBHOOK_STMTS);

#define EVENT(type_, text_) {type_, text_},
static const struct webhook_event events[] = {WEBHOOK_EVENTS(EVENT)};
#undef EVENT

static const struct qn_field event_fields[] = {
    QN_FIELD(struct webhook_event, type, STR, 0, 0, 0, "Its name."),
    QN_FIELD(struct webhook_event, description, STR, 0, 0, 0, "What it says."),
};
const struct qn_object webhook_event_object =
    QN_OBJECT("WebhookEvent", struct webhook_event, event_fields);

struct qn_list webhook_events(void)
{
	return (struct qn_list){events, sizeof(events) / sizeof(events[0])};
}

bool webhook_is_event(const char *type)
{
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (strcmp(events[i].type, type) == 0)
			return true;
	return false;
}

static const struct qn_field webhook_fields[] = {
    QN_FIELD(struct webhook, id, UUID, 0, 0, 0, "Id of the endpoint."),
    QN_FIELD(struct webhook, url, STR, 0, 0, 0, "Where it is told."),
    QN_FIELD(struct webhook, description, STR, 0, 0, 0, "What it is for."),
    QN_FIELD(struct webhook, events, JSON, 0, 0, 0, "Types of events, a list; empty: all."),
    QN_FIELD(struct webhook, ordered, BOOL, 0, 0, 0,
	"Whether an event waits for the one before it of the same organization or user."),
    QN_FIELD(struct webhook, enabled, BOOL, 0, 0, 0, "Whether it is told."),
    QN_FIELD(struct webhook, disabled_reason, STR, QN_F_NULLABLE, 0, 0,
	"Why it is not: paused by somebody, gone (it answered 410), failing (for five days)."),
    QN_FIELD(struct webhook, failing_since, TIME, QN_F_NULLABLE, 0, 0,
	"The first failure since the last success."),
    QN_FIELD(struct webhook, old_secret_until, TIME, QN_F_NULLABLE, 0, 0,
	"How long the secret before this one signs too."),
    QN_FIELD(struct webhook, created_at, TIME, 0, 0, 0, "When it was made."),
    QN_FIELD(struct webhook, updated_at, TIME, 0, 0, 0, "When it was changed last."),
};
const struct qn_object webhook_object = QN_OBJECT("Webhook", struct webhook, webhook_fields);

const char *const webhook_states[] = {"pending", "waiting", "delivered", "failed", NULL};

static const struct qn_field delivery_fields[] = {
    QN_FIELD(struct webhook_delivery, seq, I64, 0, 0, 0, "Its place: later events have more."),
    QN_FIELD(struct webhook_delivery, id, UUID, 0, 0, 0, "Id of the delivery."),
    QN_FIELD(struct webhook_delivery, event_id, UUID, 0, 0, 0, "Id of the event: webhook-id."),
    QN_FIELD(struct webhook_delivery, type, STR, 0, 0, 0, "Type of the event."),
    QN_FIELD(struct webhook_delivery, state, STR, 0, 0, 0,
	"pending, waiting (for an earlier one), delivered, failed."),
    QN_FIELD(struct webhook_delivery, attempts, I64, 0, 0, 0, "Attempts so far."),
    QN_FIELD(struct webhook_delivery, response_status, I64, QN_F_NULLABLE, 0, 0,
	"Of the last attempt. Null: there was no answer."),
    QN_FIELD(struct webhook_delivery, error, STR, QN_F_NULLABLE, 0, 0, "Why there was none."),
    QN_FIELD(struct webhook_delivery, response_body, STR, QN_F_NULLABLE, 0, 0,
	"How the last answer began."),
    QN_FIELD(struct webhook_delivery, duration_ms, I64, QN_F_NULLABLE, 0, 0,
	"How long the last attempt took."),
    QN_FIELD(struct webhook_delivery, created_at, TIME, 0, 0, 0, "When it was queued."),
    QN_FIELD(struct webhook_delivery, next_at, TIME, QN_F_NULLABLE, 0, 0, "The next attempt."),
    QN_FIELD(struct webhook_delivery, ended_at, TIME, QN_F_NULLABLE, 0, 0,
	"When it was delivered or given up."),
};
const struct qn_object webhook_delivery_object =
    QN_OBJECT("WebhookDelivery", struct webhook_delivery, delivery_fields);

static const struct qn_field due_fields[] = {
    QN_FIELD(struct webhook_due, id, UUID, 0, 0, 0, "Of the delivery."),
    QN_FIELD(struct webhook_due, endpoint_id, UUID, 0, 0, 0, "Of the endpoint."),
    QN_FIELD(struct webhook_due, event_id, UUID, 0, 0, 0, "Of the event."),
    QN_FIELD(struct webhook_due, type, STR, 0, 0, 0, "Of the event."),
    QN_FIELD(struct webhook_due, url, STR, 0, 0, 0, "Where to."),
    QN_FIELD(struct webhook_due, data, JSON, 0, 0, 0, "Of the event."),
    QN_FIELD(struct webhook_due, secret_sealed, JSON, 0, 0, 0, "What signs."),
    QN_FIELD(struct webhook_due, old_secret_sealed, JSON, QN_F_NULLABLE, 0, 0, "What signs too."),
    QN_FIELD(struct webhook_due, attempts, I64, 0, 0, 0, "This one included."),
    QN_FIELD(struct webhook_due, created_at, TIME, 0, 0, 0, "Of the event."),
};
static const struct qn_object due_object = QN_OBJECT("Due", struct webhook_due, due_fields);

static const struct qn_field settled_fields[] = {
    QN_FIELD(struct webhook_settled, outcome, STR, 0, 0, 0, "What came of it."),
    QN_FIELD(struct webhook_settled, disabled, STR, QN_F_NULLABLE, 0, 0, "Of the endpoint."),
    QN_FIELD(struct webhook_settled, app_id, UUID, QN_F_NULLABLE, 0, 0, "Of the app."),
    QN_FIELD(struct webhook_settled, user_id, UUID, QN_F_NULLABLE, 0, 0, "Who is told."),
    QN_FIELD(struct webhook_settled, notify, STR, QN_F_NULLABLE, 0, 0, "The address."),
    QN_FIELD(struct webhook_settled, url, STR, QN_F_NULLABLE, 0, 0, "Of the endpoint."),
};
static const struct qn_object settled_object =
    QN_OBJECT("Settled", struct webhook_settled, settled_fields);

enum qn_err webhook_list(
    struct qn_db *db, struct qn_arena *a, struct webhook_scope of, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(
	    QN_EXEC(db, a, webhook_set, WEBHOOK_LIST, &rows, qn_a_str(of.app), qn_a_str(of.org)));
	*ret = qn_rows_list(rows, a, &webhook_object);
	return QN_OK;
}

enum qn_err webhook_create(struct qn_db *db, struct qn_arena *a, struct webhook_scope of,
    const char *by, const struct webhook *in, struct qn_span sealed, struct webhook *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, webhook_set, WEBHOOK_CREATE, &rows, qn_a_str(of.app),
	    qn_a_str(of.org), qn_a_str(in->id), qn_a_str(in->url), qn_a_str(in->description),
	    qn_a_json(in->events), qn_a_bool(in->ordered), qn_a_bytes(sealed.p, sealed.n),
	    qn_a_str(by), qn_a_i64(WEBHOOK_MOST)));
	return qn_rows_n(rows) == 0 ? QN_LIMIT
	                            : qn_rows_one(rows, &webhook_object, QN_WEBHOOK_NOT_FOUND, ret);
}

enum qn_err webhook_by_id(struct qn_db *db, struct qn_arena *a, struct webhook_scope of,
    const char *id, struct webhook *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, webhook_set, WEBHOOK_BY_ID, &rows, qn_a_str(of.app), qn_a_str(of.org),
	    qn_a_str(id)));
	return qn_rows_one(rows, &webhook_object, QN_WEBHOOK_NOT_FOUND, ret);
}

enum qn_err webhook_update(struct qn_db *db, struct qn_arena *a, struct webhook_scope of,
    const char *id, const struct webhook *in, struct webhook *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, webhook_set, WEBHOOK_UPDATE, &rows, qn_a_str(of.app),
	    qn_a_str(of.org), qn_a_str(id), qn_a_str(in->url), qn_a_str(in->description),
	    qn_a_json(in->events), qn_a_bool(in->ordered), qn_a_bool(in->enabled)));
	return qn_rows_one(rows, &webhook_object, QN_WEBHOOK_NOT_FOUND, ret);
}

enum qn_err webhook_delete(
    struct qn_db *db, struct qn_arena *a, struct webhook_scope of, const char *id)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, webhook_set, WEBHOOK_DELETE, &rows, qn_a_str(of.app),
	    qn_a_str(of.org), qn_a_str(id)));
	return qn_rows_n(rows) == 0 ? QN_WEBHOOK_NOT_FOUND : QN_OK;
}

enum qn_err webhook_rotate(struct qn_db *db, struct qn_arena *a, struct webhook_scope of,
    const char *id, struct qn_span sealed, int64_t hours, struct webhook *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, webhook_set, WEBHOOK_ROTATE, &rows, qn_a_str(of.app),
	    qn_a_str(of.org), qn_a_str(id), qn_a_bytes(sealed.p, sealed.n), qn_a_i64(hours)));
	return qn_rows_one(rows, &webhook_object, QN_WEBHOOK_NOT_FOUND, ret);
}

enum qn_err webhook_test(struct qn_db *db, struct qn_arena *a, struct webhook_scope of,
    const char *id, const char **ret_delivery)
{
	struct webhook w;
	struct qn_rows *rows;

	QN_TRY(webhook_by_id(db, a, of, id, &w));
	if (w.enabled != 1)
		return QN_CONFLICT;
	QN_TRY(QN_EXEC(db, a, webhook_set, WEBHOOK_TEST, &rows, qn_a_str(of.app), qn_a_str(of.org),
	    qn_a_str(id)));
	*ret_delivery = qn_rows_str(rows, 0, 0);
	return *ret_delivery != NULL ? QN_OK : QN_WEBHOOK_NOT_FOUND;
}

enum qn_err webhook_deliveries(struct qn_db *db, struct qn_arena *a, struct webhook_scope of,
    const char *id, const struct webhook_filter *filter, const char *before, int64_t limit,
    struct qn_list *ret)
{
	struct webhook w;
	struct qn_rows *rows;

	QN_TRY(webhook_by_id(db, a, of, id, &w));
	QN_TRY(QN_EXEC(db, a, webhook_set, WEBHOOK_DELIVERIES, &rows, qn_a_str(of.app),
	    qn_a_str(of.org), qn_a_str(id), qn_a_str(before), qn_a_str(filter->state),
	    qn_a_str(filter->type), qn_a_i64(limit)));
	*ret = qn_rows_list(rows, a, &webhook_delivery_object);
	return QN_OK;
}

static enum qn_err delivery_by_id(
    struct qn_db *db, struct qn_arena *a, const char *id, struct webhook_delivery *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, webhook_set, WEBHOOK_DELIVERY, &rows, qn_a_str(id)));
	if (qn_rows_n(rows) == 0)
		return QN_DELIVERY_NOT_FOUND;
	qn_rows_get(rows, 0, &webhook_delivery_object, ret);
	return QN_OK;
}

enum qn_err webhook_resend(struct qn_db *db, struct qn_arena *a, struct webhook_scope of,
    const char *id, const char *delivery, struct webhook_delivery *ret)
{
	struct webhook w;
	struct qn_rows *rows;

	QN_TRY(webhook_by_id(db, a, of, id, &w));
	QN_TRY(QN_EXEC(db, a, webhook_set, WEBHOOK_RESEND, &rows, qn_a_str(of.app),
	    qn_a_str(of.org), qn_a_str(id), qn_a_str(delivery)));
	const char *outcome = qn_rows_str(rows, 0, 0);
	if (strcmp(outcome, "saved") != 0)
		return strcmp(outcome, "missing") == 0 ? QN_DELIVERY_NOT_FOUND : QN_CONFLICT;
	return delivery_by_id(db, a, delivery, ret);
}

enum qn_err webhook_take(struct qn_db *db, struct qn_arena *a, struct webhook_due *ret)
{
	struct qn_rows *rows;

	QN_TRY(qn_exec(db, a, &webhook_set, WEBHOOK_TAKE, NULL, 0, &rows));
	if (qn_rows_n(rows) == 0)
		return QN_NOT_FOUND;
	qn_rows_get(rows, 0, &due_object, ret);
	return QN_OK;
}

enum qn_err webhook_settle(struct qn_db *db, struct qn_arena *a, const struct webhook_due *due,
    const struct webhook_result *result, struct webhook_settled *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, webhook_set, WEBHOOK_SETTLE, &rows, qn_a_str(due->id),
	    qn_a_i64(due->attempts), qn_a_bool(result->ok ? 1 : 0), qn_a_i64(result->status),
	    qn_a_str(result->error), qn_a_str(result->response), qn_a_i64(result->duration_ms),
	    qn_a_bool(result->silent ? 1 : 0)));
	qn_rows_get(rows, 0, &settled_object, ret);
	return QN_OK;
}

enum qn_err webhook_release(struct qn_db *db, struct qn_arena *a)
{
	struct qn_rows *rows;

	return qn_exec(db, a, &webhook_set, WEBHOOK_RELEASE, NULL, 0, &rows);
}

enum qn_err webhook_prune(struct qn_db *db, struct qn_arena *a, int64_t *ret_n)
{
	return qn_exec_number(db, a, &webhook_set, WEBHOOK_PRUNE, ret_n);
}
