#include "quoin/store/entitlement.h"

#include "rows.h"

#define ENTITLEMENT_STMTS(X) \
	X(ENTITLEMENT_OF, FRESH, 3, \
	    "SELECT plan, shown AS tier, rank, source, ends_at, seats, to_json(features) AS features " \
	    "FROM entitlement($1, $2, $3)") \
	X(ENTITLEMENT_LIMITS, FRESH, 3, \
	    "SELECT meter, period, max, used, resets_at FROM entitlement_limits($1, $2, $3)") \
	X(METER_USED, FRESH, 3, \
	    "SELECT coalesce(sum(used), 0)::bigint FROM usage_meters WHERE app_id = $1 AND subject_id = $2 " \
	    "AND meter = $3 AND period_start IN (period_start('day', now()), period_start('month', now()), " \
	    "period_start('none', now()))") \
	X(GRANT_OVERRIDE, WRITE, 9, \
	    "INSERT INTO grants AS g (app_id, user_id, organization_id, source, source_id, plan, seats, limits, " \
	    "features, ends_at, note) VALUES ($1, $2, $3, 'override', coalesce($2::uuid, $3::uuid)::text, $4, $5, " \
	    "coalesce($6::json, '{}')::jsonb, ARRAY(SELECT json_array_elements_text(coalesce($7::json, '[]'))), " \
	    "to_timestamp($8::bigint / 1000000.0), $9) " \
	    "ON CONFLICT (app_id, source, source_id) DO UPDATE SET plan = excluded.plan, seats = excluded.seats, " \
	    "limits = excluded.limits, features = excluded.features, ends_at = excluded.ends_at, " \
	    "note = excluded.note, in_force = true, updated_at = clock_timestamp()") \
	X(GRANT_DROP_OVERRIDE, WRITE, 2, \
	    "SELECT grant_drop($1, 'override', $2::uuid::text)::integer") \
	X(GRANT_LIST, FRESH, 3, \
	    "SELECT id, user_id, organization_id, source, source_id, plan, seats, limits::json, " \
	    "to_json(features) AS features, ends_at, note, " \
	    "(ends_at IS NULL OR ends_at > clock_timestamp()) AS in_force, created_at FROM grants " \
	    "WHERE app_id = $1 AND (($2::uuid IS NULL AND $3::uuid IS NULL) OR user_id = $2 " \
	    "OR organization_id = $3) ORDER BY created_at DESC LIMIT 1000") \
	X(GRANTS_END, WRITE, 0, "SELECT grants_end()") \
	X(METERS_PRUNE, WRITE, 0, "SELECT usage_meters_prune()") \
	X(WARNED_OF, FRESH, 3, \
	    "SELECT u.id AS user_id, u.email FROM users u WHERE u.app_id = $1 AND u.email IS NOT NULL " \
	    "AND u.suspended_at IS NULL AND CASE WHEN $3::uuid IS NULL THEN u.id = $2 ELSE u.id IN " \
	    "(SELECT m.user_id FROM organization_members m WHERE m.organization_id = $3 AND m.role <> 'member') " \
	    "END ORDER BY u.id LIMIT 100")

QN_STATEMENTS(entitlement, ENTITLEMENT_STMTS);

static const struct qn_field limit_fields[] = {
    QN_FIELD(struct entitlement_limit, meter, STR, 0, 0, 0, "What is counted."),
    QN_FIELD(struct entitlement_limit, period, STR, 0, 0, 0,
	"day or month, by UTC; none: a balance, which goes down again."),
    QN_FIELD(struct entitlement_limit, max, I64, 0, 0, 0, "As much is allowed; -1: no limit."),
    QN_FIELD(struct entitlement_limit, used, I64, 0, 0, 0, "As much was used."),
    QN_FIELD(struct entitlement_limit, resets_at, TIME, QN_F_NULLABLE, 0, 0,
	"When the next period begins."),
};
static const struct qn_object limit_object =
    QN_OBJECT("EntitlementLimit", struct entitlement_limit, limit_fields);

static const struct qn_field entitlement_fields[] = {
    QN_FIELD(struct entitlement, plan, STR, 0, 0, 0, "Code of the plan."),
    QN_FIELD(struct entitlement, tier, STR, 0, 0, 0, "The plan, in the app's spelling."),
    QN_FIELD(struct entitlement, rank, I64, 0, 0, 0, "Plans are ordered by it."),
    QN_FIELD(struct entitlement, source, STR, QN_F_NULLABLE, 0, 0,
	"Where it comes from: subscription, purchase, licence, override or organization."),
    QN_FIELD(struct entitlement, ends_at, TIME, QN_F_NULLABLE, 0, 0, "When it ends by itself."),
    QN_FIELD(struct entitlement, seats, I64, QN_F_OPTIONAL, 0, 0,
	"Of an organization: its seats; -1: no limit."),
    QN_FIELD(struct entitlement, features, JSON, 0, 0, 0, "A list of words."),
    QN_FIELD_SUB(struct entitlement, limits, LIST, 0, &limit_object, "By meter."),
};
const struct qn_object entitlement_object =
    QN_OBJECT("Entitlement", struct entitlement, entitlement_fields);

static const struct qn_field grant_fields[] = {
    QN_FIELD(struct grant, id, UUID, 0, 0, 0, "Id."),
    QN_FIELD(struct grant, user_id, UUID, QN_F_NULLABLE, 0, 0, "Whose."),
    QN_FIELD(struct grant, organization_id, UUID, QN_F_NULLABLE, 0, 0, "Or whose."),
    QN_FIELD(struct grant, source, STR, 0, 0, 0, "Where it comes from."),
    QN_FIELD(struct grant, source_id, STR, 0, 0, 0, "Which of those."),
    QN_FIELD(struct grant, plan, STR, QN_F_NULLABLE, 0, 0, "Code of the plan."),
    QN_FIELD(struct grant, seats, I64, QN_F_NULLABLE, 0, 0, "Seats."),
    QN_FIELD(struct grant, limits, JSON, 0, 0, 0, "In place of the plan's."),
    QN_FIELD(struct grant, features, JSON, 0, 0, 0, "Beside the plan's."),
    QN_FIELD(struct grant, ends_at, TIME, QN_F_NULLABLE, 0, 0, "Until when."),
    QN_FIELD(struct grant, note, STR, QN_F_NULLABLE, 0, 0, "Why."),
    QN_FIELD(struct grant, in_force, BOOL, 0, 0, 0, "Whether it counts."),
    QN_FIELD(struct grant, created_at, TIME, 0, 0, 0, "Since when."),
};
static const struct qn_object grant_object = QN_OBJECT("Grant", struct grant, grant_fields);

static const struct qn_field warned_fields[] = {
    QN_FIELD(struct warned, user_id, UUID, 0, 0, 0, "Who."),
    QN_FIELD(struct warned, email, STR, 0, 0, 0, "Where."),
};
static const struct qn_object warned_object = QN_OBJECT("Warned", struct warned, warned_fields);

enum qn_err entitlement_of(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *org, struct entitlement *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, entitlement_set, ENTITLEMENT_OF, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(org)));
	if (qn_rows_n(rows) == 0)
		return QN_NOT_FOUND;
	qn_rows_get(rows, 0, &entitlement_object, ret);
	QN_TRY(QN_EXEC(db, a, entitlement_set, ENTITLEMENT_LIMITS, &rows, qn_a_str(app),
	    qn_a_str(user), qn_a_str(org)));
	ret->limits = qn_rows_list(rows, a, &limit_object);
	return QN_OK;
}

enum qn_err meter_used(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *meter, int64_t *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, entitlement_set, METER_USED, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(meter)));
	*ret = qn_rows_i64(rows, 0, 0);
	return QN_OK;
}

enum qn_err grant_override(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *org, const struct grant *g)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, entitlement_set, GRANT_OVERRIDE, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(org), qn_a_str(g->plan), qn_a_i64(g->seats), qn_a_json(g->limits),
	    qn_a_json(g->features), qn_a_i64(g->ends_at), qn_a_str(g->note));
}

enum qn_err grant_drop_override(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *subject)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(
	    db, a, entitlement_set, GRANT_DROP_OVERRIDE, &rows, qn_a_str(app), qn_a_str(subject)));
	return qn_rows_i64(rows, 0, 0) == 1 ? QN_OK : QN_NOT_FOUND;
}

enum qn_err grant_list(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *org, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, entitlement_set, GRANT_LIST, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(org)));
	*ret = qn_rows_list(rows, a, &grant_object);
	return QN_OK;
}

enum qn_err grants_end(struct qn_db *db, struct qn_arena *a, int64_t *ret_n)
{
	return qn_exec_number(db, a, &entitlement_set, GRANTS_END, ret_n);
}

enum qn_err meters_prune(struct qn_db *db, struct qn_arena *a, int64_t *ret_n)
{
	return qn_exec_number(db, a, &entitlement_set, METERS_PRUNE, ret_n);
}

enum qn_err warned_of(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *org, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, entitlement_set, WARNED_OF, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(org)));
	*ret = qn_rows_list(rows, a, &warned_object);
	return QN_OK;
}
