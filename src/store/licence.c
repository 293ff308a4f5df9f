#include "quoin/store/licence.h"

#include <string.h>

#include "quoin/base/rand.h"
#include "rows.h"

#define COLUMNS \
	"l.id, l.license_key, l.name, l.user_id, l.organization_id, license_plan(l) AS plan, " \
	"CASE WHEN l.status = 'ACTIVE' AND l.expires_at <= now() THEN 'EXPIRED' ELSE l.status END AS status, " \
	"l.kind, l.renewal, l.expiry, l.expires_at, l.term_days, license_max_devices(l) AS max_devices, " \
	"(SELECT count(*) FROM license_devices d WHERE d.license_id = l.id) AS devices, l.max_leases, " \
	"(SELECT count(*) FROM license_leases d WHERE d.license_id = l.id AND d.expires_at > now()) AS leases, " \
	"l.lease_seconds, l.heartbeat_seconds, l.check_in_days, l.max_releases, l.overage, " \
	"l.plan IS NULL AS follows_owner, l.imported, l.max_version, license_features(l) AS features, " \
	"license_quotas(l) AS quotas, l.metadata::json AS metadata, l.created_at, l.updated_at, l.renewed_at, " \
	"l.checked_in_at, l.suspended_at, l.revoked_at"
/* $1 the app, $2 who asks, $3 whether he is staff */
#define OF "l.app_id = $1 AND ($3::boolean OR license_is_of(l, $2))"
#define DEVICE \
	"d.id, d.machine_id, d.name, d.platform, d.version, d.ip, d.first_seen_at, d.last_seen_at, " \
	"d.last_heartbeat_at"

#define LICENCE_STMTS(X) \
	X(LICENCE_LOOK, FRESH, 4, "SELECT * FROM license_look($1, $2, $3, $4)") \
	X(LICENCE_SEAT, WRITE, 8, "SELECT * FROM license_seat($1, $2, $3, $4, $5, $6, $7, $8)") \
	X(LICENCE_HEARTBEAT, WRITE, 4, "SELECT * FROM license_heartbeat($1, $2, $3, $4)") \
	X(LICENCE_VALIDATED, WRITE, 1, "SELECT license_validated($1)") \
	X(LICENCE_TAKE, WRITE, 5, "SELECT * FROM license_take($1, $2, $3, $4, $5)") \
	X(LICENCE_LEASE, WRITE, 7, "SELECT * FROM license_lease($1, $2, $3, $4, $5, $6, $7)") \
	X(LICENCE_OF_USER, WRITE, 4, "SELECT license_of_user($1, $2, $3, $4)") \
	X(LICENCE_BY_ID, FRESH, 4, \
	    "SELECT " COLUMNS " FROM licenses l WHERE " OF " AND l.id = $4") \
	X(LICENCE_BY_KEY, FRESH, 2, \
	    "SELECT " COLUMNS " FROM licenses l WHERE l.app_id = $1 AND l.key_hash = $2") \
	X(LICENCE_MINE, FRESH, 9, \
	    "SELECT " COLUMNS \
	    " FROM licenses l WHERE l.app_id = $1 AND NOT $3::boolean AND l.id IN (" \
	    "SELECT x.id FROM licenses x WHERE x.user_id = $2 UNION ALL " \
	    "SELECT x.id FROM organization_members m JOIN licenses x ON x.organization_id = m.organization_id " \
	    "WHERE m.user_id = $2 AND m.role IN ('owner', 'admin')) " LICENCE_FILTER) \
	X(LICENCE_ALL, FRESH, 10, \
	    "SELECT " COLUMNS \
	    " FROM licenses l WHERE l.app_id = $1 AND $3::boolean AND $2::uuid IS NOT NULL " \
	    "AND ($10::uuid IS NULL OR l.user_id = $10) " LICENCE_FILTER) \
	X(LICENCE_ISSUE, WRITE, 5, \
	    "SELECT outcome FROM license_issue($1, $2, $3, $4::json::jsonb, $5::json::jsonb)") \
	X(LICENCE_CHANGE, WRITE, 7, \
	    "SELECT outcome FROM license_change($1, $2, $3, to_timestamp($4::bigint / 1000000.0), $5, $6, " \
	    "$7::json::jsonb)") \
	X(LICENCE_IS_OF, FRESH, 4, "SELECT l.id FROM licenses l WHERE " OF " AND l.id = $4") \
	X(LICENCE_DEVICES, FRESH, 1, \
	    "SELECT " DEVICE " FROM license_devices d WHERE d.license_id = $1 " \
	    "ORDER BY d.first_seen_at, d.id LIMIT 1000") \
	X(LICENCE_DEVICE_RENAME, WRITE, 6, \
	    "UPDATE license_devices d SET name = $6 FROM licenses l WHERE " OF \
	    " AND l.id = $4 AND d.license_id = l.id AND d.id = $5 RETURNING " DEVICE) \
	X(LICENCE_RELEASE, WRITE, 7, \
	    "SELECT outcome FROM license_release($1, $2, $3, $4, $5, $6, $7::json::jsonb)") \
	X(LICENCE_LEASES, FRESH, 1, \
	    "SELECT x.id, x.machine_id, x.ip, x.acquired_at, x.expires_at FROM license_leases x " \
	    "WHERE x.license_id = $1 AND x.expires_at > clock_timestamp() ORDER BY x.acquired_at LIMIT 1000") \
	X(LICENCE_ROWS, READ, 3, \
	    "SELECT l.id, l.license_key, u.email, o.slug AS organization, l.plan, l.name, l.status, l.kind, " \
	    "l.expires_at, l.term_days, l.renewal, l.expiry, l.max_devices, l.max_leases, l.lease_seconds, " \
	    "l.heartbeat_seconds, l.check_in_days, l.max_version, l.max_releases, l.overage, l.created_at, " \
	    "l.limits::json AS limits, l.features::json AS features, l.metadata::json AS metadata " \
	    "FROM licenses l LEFT JOIN users u ON u.id = l.user_id " \
	    "LEFT JOIN organizations o ON o.id = l.organization_id WHERE l.app_id = $1 AND NOT l.own " \
	    "AND l.id > coalesce($2, '00000000-0000-0000-0000-000000000000'::uuid) ORDER BY l.id LIMIT $3") \
	X(LICENCE_IMPORT, WRITE, 4, \
	    "SELECT outcome FROM license_import($1, $2, $3, $4::json::jsonb)") \
	X(LICENCE_REVOKED, FRESH, 2, \
	    "SELECT floor(extract(epoch FROM clock_timestamp()))::bigint, l.id FROM (SELECT) always " \
	    "LEFT JOIN (SELECT r.id FROM (" \
	    "(SELECT x.id FROM licenses x WHERE x.app_id = $1 AND x.status IN ('REVOKED', 'SUSPENDED') " \
	    "ORDER BY x.id DESC LIMIT $2) UNION SELECT x.id FROM users u JOIN licenses x ON x.user_id = u.id " \
	    "WHERE u.app_id = $1 AND u.suspended_at IS NOT NULL) r ORDER BY r.id DESC LIMIT $2) l ON true") \
	X(LICENCE_FILE_UNTIL, FRESH, 2, \
	    "SELECT floor(extract(epoch FROM license_file_until(l, $2)) * 1000000)::bigint FROM licenses l " \
	    "WHERE l.id = $1") \
	X(LICENCE_SWEEP, WRITE, 0, "SELECT license_sweep()")

/* $4 the last id of the page before, $5 rows, $6 organisation, $7 status, $8 plan, $9 metadata */
#define LICENCE_FILTER \
	"AND l.id < coalesce($4, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid) " \
	"AND ($6::uuid IS NULL OR l.organization_id = $6) " \
	"AND ($7::text IS NULL OR $7 = CASE WHEN l.status = 'ACTIVE' AND l.expires_at <= now() " \
	"THEN 'EXPIRED' ELSE l.status END) AND ($8::text IS NULL OR license_plan(l) = $8) " \
	"AND ($9::json IS NULL OR l.metadata @> $9::json::jsonb) ORDER BY l.id DESC LIMIT $5"

QN_STATEMENTS(licence, LICENCE_STMTS);

#define LOOK(m, type, doc) QN_FIELD(struct licence_look, m, type, QN_F_NULLABLE, 0, 0, doc)

static const struct qn_field look_fields[] = {
    LOOK(code, STR, "What it is."),
    LOOK(valid, BOOL, "Whether it may be used."),
    LOOK(id, UUID, "Id."),
    LOOK(plan, STR, "Code of the plan."),
    LOOK(expires_at, TIME, "When it ends."),
    LOOK(features, JSON, "Flags."),
    LOOK(quotas, JSON, "Limits."),
    LOOK(good_until, TIME, "When the answer is another."),
    LOOK(organization_id, UUID, "Whose it is."),
    LOOK(user_id, UUID, "Whose it is."),
    LOOK(last_seen_at, TIME, "When the machine was seen."),
};
static const struct qn_object look_object =
    QN_OBJECT("LicenceLook", struct licence_look, look_fields);

static const struct qn_field take_fields[] = {
    QN_FIELD(struct licence_take, code, STR, 0, 0, 0, "What came of it."),
    QN_FIELD(struct licence_take, license_id, UUID, QN_F_NULLABLE, 0, 0, "Id."),
    QN_FIELD(struct licence_take, used, I64, QN_F_NULLABLE, 0, 0, "Used so far."),
    QN_FIELD(struct licence_take, max, I64, QN_F_NULLABLE, 0, 0, "Allowed."),
    QN_FIELD(struct licence_take, resets_at, TIME, QN_F_NULLABLE, 0, 0, "When it begins anew."),
};
static const struct qn_object take_object =
    QN_OBJECT("LicenceTake", struct licence_take, take_fields);

static const struct qn_field lease_fields[] = {
    QN_FIELD(struct licence_lease, code, STR, 0, 0, 0, "What came of it."),
    QN_FIELD(struct licence_lease, license_id, UUID, QN_F_NULLABLE, 0, 0, "Id."),
    QN_FIELD(struct licence_lease, until, TIME, QN_F_NULLABLE, 0, 0, "Until when it is held."),
    QN_FIELD(struct licence_lease, taken, I64, QN_F_NULLABLE, 0, 0, "How many are."),
    QN_FIELD(struct licence_lease, max_leases, I64, QN_F_NULLABLE, 0, 0, "How many may be."),
};
static const struct qn_object lease_object =
    QN_OBJECT("LicenceLeaseTaken", struct licence_lease, lease_fields);

#define FIELD(m, type, doc) QN_FIELD(struct licence, m, type, 0, 0, 0, doc)
#define MAYBE(m, type, doc) QN_FIELD(struct licence, m, type, QN_F_NULLABLE, 0, 0, doc)

static const struct qn_field licence_fields[] = {
    FIELD(id, UUID, "Id of the licence."),
    FIELD(license_key, STR, "The key."),
    MAYBE(name, STR, "Shown name."),
    MAYBE(user_id, UUID, "The user whose it is."),
    MAYBE(organization_id, UUID, "The organization whose it is."),
    FIELD(plan, STR, "Code of the plan that it gives."),
    FIELD(follows_owner, BOOL, "Whether that is its owner's plan, whichever he has."),
    FIELD(status, STR, "ACTIVE, EXPIRED, SUSPENDED or REVOKED."),
    FIELD(kind, STR, "perpetual, term, trial or floating."),
    MAYBE(expires_at, TIME, "When it ends; null: never."),
    MAYBE(term_days, I64, "Days that a renewal adds."),
    FIELD(renewal, STR, "from_expiry or from_now: what they are added to."),
    FIELD(expiry, STR, "restrict: it is refused after its end; maintain: it is not."),
    FIELD(max_devices, I64, "Machines that may have a seat; -1: any number."),
    FIELD(devices, I64, "Machines that have one."),
    MAYBE(max_leases, I64, "Leases of a floating licence; -1: any number."),
    FIELD(leases, I64, "Leases that are held."),
    FIELD(lease_seconds, I64, "How long one lasts."),
    FIELD(overage, BOOL, "Whether more are let in all the same."),
    MAYBE(heartbeat_seconds, I64, "How often a machine must be heard of."),
    MAYBE(check_in_days, I64, "How often somebody must check in."),
    MAYBE(max_version, STR, "The last version of the program that it is good for."),
    FIELD(max_releases, I64, "Seats that its holder may free in 30 days; -1: any number."),
    QN_FIELD(struct licence, features, JSON, QN_F_OBJECT, 0, 0, "Flags: true or false."),
    QN_FIELD(struct licence, quotas, JSON, QN_F_OBJECT, 0, 0, "What it allows; -1: without limit."),
    QN_FIELD(struct licence, metadata, JSON, QN_F_OBJECT, 0, 0, "The vendor's own notes."),
    FIELD(imported, BOOL, "Whether its key was made elsewhere."),
    FIELD(created_at, TIME, "When it was made."),
    FIELD(updated_at, TIME, "When it was changed."),
    MAYBE(renewed_at, TIME, "When it was renewed."),
    FIELD(checked_in_at, TIME, "When somebody checked in."),
    MAYBE(suspended_at, TIME, "When it was suspended."),
    MAYBE(revoked_at, TIME, "When it was revoked."),
};
const struct qn_object licence_object = QN_OBJECT("License", struct licence, licence_fields);

static const struct qn_field device_fields[] = {
    QN_FIELD(struct licence_device, id, UUID, 0, 0, 0, "Id of the seat."),
    QN_FIELD(struct licence_device, machine_id, STR, 0, 0, 256, "What the machine calls itself."),
    QN_FIELD(struct licence_device, name, STR, QN_F_NULLABLE, 0, 100, "Shown name."),
    QN_FIELD(struct licence_device, platform, STR, QN_F_NULLABLE, 0, 100, "Its system."),
    QN_FIELD(
	struct licence_device, version, STR, QN_F_NULLABLE, 0, 64, "Of the program, when it came."),
    QN_FIELD(struct licence_device, ip, STR, QN_F_NULLABLE, 0, 0, "Where it came from."),
    QN_FIELD(struct licence_device, first_seen_at, TIME, 0, 0, 0, "When it got its seat."),
    QN_FIELD(
	struct licence_device, last_seen_at, TIME, 0, 0, 0, "When it was seen, to ten minutes."),
    QN_FIELD(struct licence_device, last_heartbeat_at, TIME, 0, 0, 0, "Its last sign of life."),
};
const struct qn_object licence_device_object =
    QN_OBJECT("LicenseDevice", struct licence_device, device_fields);

static const struct qn_field lease_row_fields[] = {
    QN_FIELD(struct licence_lease_row, id, UUID, 0, 0, 0, "Id of the lease."),
    QN_FIELD(
	struct licence_lease_row, machine_id, STR, 0, 0, 256, "What the machine calls itself."),
    QN_FIELD(struct licence_lease_row, ip, STR, QN_F_NULLABLE, 0, 0, "Where it is."),
    QN_FIELD(struct licence_lease_row, acquired_at, TIME, 0, 0, 0, "Since when it is held."),
    QN_FIELD(struct licence_lease_row, expires_at, TIME, 0, 0, 0, "Until when."),
};
const struct qn_object licence_lease_object =
    QN_OBJECT("LicenseLease", struct licence_lease_row, lease_row_fields);

#define ROW(m, type) QN_FIELD(struct licence_row, m, type, QN_F_NULLABLE, 0, 0, "As in licence.")

static const struct qn_field row_fields[] = {
    ROW(id, UUID),
    ROW(license_key, STR),
    ROW(email, STR),
    ROW(organization, STR),
    ROW(plan, STR),
    ROW(name, STR),
    ROW(status, STR),
    ROW(kind, STR),
    ROW(expires_at, TIME),
    ROW(term_days, I64),
    ROW(renewal, STR),
    ROW(expiry, STR),
    ROW(max_devices, I64),
    ROW(max_leases, I64),
    ROW(lease_seconds, I64),
    ROW(heartbeat_seconds, I64),
    ROW(check_in_days, I64),
    ROW(max_version, STR),
    ROW(max_releases, I64),
    ROW(overage, BOOL),
    ROW(created_at, TIME),
    ROW(limits, JSON),
    ROW(features, JSON),
    ROW(metadata, JSON),
};
static const struct qn_object row_object = QN_OBJECT("LicenceRow", struct licence_row, row_fields);

/* how it stands */

static struct qn_arg hash_arg(const uint8_t *hash)
{
	return qn_a_bytes(hash, QN_SHA256_LEN);
}

enum qn_err licence_look(
    struct qn_db *db, struct qn_arena *a, const struct licence_of *of, struct licence_look *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, licence_set, LICENCE_LOOK, &rows, qn_a_str(of->app),
	    hash_arg(of->hash), qn_a_str(of->machine), qn_a_str(of->version)));
	qn_rows_get(rows, 0, &look_object, ret);
	return QN_OK;
}

enum qn_err licence_seat(struct qn_db *db, struct qn_arena *a, const struct licence_of *of,
    const char *name, const char *platform, const char *ip, struct licence_look *ret)
{
	char id[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(id);
	QN_TRY(QN_EXEC(db, a, licence_set, LICENCE_SEAT, &rows, qn_a_str(of->app),
	    hash_arg(of->hash), qn_a_str(of->machine), qn_a_str(of->version), qn_a_str(id),
	    qn_a_str(name), qn_a_str(platform), qn_a_str(ip)));
	qn_rows_get(rows, 0, &look_object, ret);
	return QN_OK;
}

enum qn_err licence_heartbeat(
    struct qn_db *db, struct qn_arena *a, const struct licence_of *of, struct licence_look *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, licence_set, LICENCE_HEARTBEAT, &rows, qn_a_str(of->app),
	    hash_arg(of->hash), qn_a_str(of->machine), qn_a_str(of->version)));
	qn_rows_get(rows, 0, &look_object, ret);
	return QN_OK;
}

enum qn_err licence_validated(struct qn_db *db, struct qn_arena *a, struct qn_span rows)
{
	struct qn_rows *none;

	return QN_EXEC(db, a, licence_set, LICENCE_VALIDATED, &none, qn_a_json(rows));
}

enum qn_err licence_take(struct qn_db *db, struct qn_arena *a, const struct licence_of *of,
    const char *meter, int64_t n, struct licence_take *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, licence_set, LICENCE_TAKE, &rows, qn_a_str(of->app),
	    hash_arg(of->hash), qn_a_str(of->version), qn_a_str(meter), qn_a_i64(n)));
	qn_rows_get(rows, 0, &take_object, ret);
	return QN_OK;
}

enum qn_err licence_lease(struct qn_db *db, struct qn_arena *a, const struct licence_of *of,
    const char *ip, bool release, struct licence_lease *ret)
{
	char id[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(id);
	QN_TRY(QN_EXEC(db, a, licence_set, LICENCE_LEASE, &rows, qn_a_str(of->app),
	    hash_arg(of->hash), qn_a_str(of->machine), qn_a_str(of->version), qn_a_str(id),
	    qn_a_str(ip), qn_a_bool(release)));
	qn_rows_get(rows, 0, &lease_object, ret);
	return QN_OK;
}

enum qn_err licence_of_user(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *key, const char **ret)
{
	char id[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(id);
	QN_TRY(QN_EXEC(db, a, licence_set, LICENCE_OF_USER, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_str(id), qn_a_str(key)));
	*ret = qn_rows_str(rows, 0, 0);
	return *ret != NULL ? QN_OK : QN_RETRY; /* another's, which is not committed yet */
}

/* as shown */

enum qn_err licence_by_id(struct qn_db *db, struct qn_arena *a, const struct licence_who *who,
    const char *id, struct licence *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, licence_set, LICENCE_BY_ID, &rows, qn_a_str(who->app),
	    qn_a_str(who->user), qn_a_bool(who->staff), qn_a_str(id)));
	return qn_rows_one(rows, &licence_object, QN_NOT_FOUND, ret);
}

enum qn_err licence_by_key(struct qn_db *db, struct qn_arena *a, const char *app,
    const uint8_t hash[QN_SHA256_LEN], struct licence *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, licence_set, LICENCE_BY_KEY, &rows, qn_a_str(app), hash_arg(hash)));
	return qn_rows_one(rows, &licence_object, QN_NOT_FOUND, ret);
}

enum qn_err licence_list(struct qn_db *db, struct qn_arena *a, const struct licence_who *who,
    const struct licence_filter *f, struct page page, struct qn_list *ret)
{
	const struct qn_arg args[] = {qn_a_str(who->app), qn_a_str(who->user),
	    qn_a_bool(who->staff), qn_a_str(page.after), qn_a_i64(page.limit),
	    qn_a_str(f->organization), qn_a_str(f->status), qn_a_str(f->plan),
	    qn_a_json(f->metadata), qn_a_str(f->user)};
	struct qn_rows *rows;

	if (who->staff)
		QN_TRY(qn_exec(db, a, &licence_set, LICENCE_ALL, args, 10, &rows));
	else
		QN_TRY(qn_exec(db, a, &licence_set, LICENCE_MINE, args, 9, &rows));
	*ret = qn_rows_list(rows, a, &licence_object);
	return QN_OK;
}

/* changes */

static enum qn_err outcome(const struct qn_rows *rows)
{
	static const struct {
		const char *said;
		enum qn_err e;
	} means[] = {
	    {"saved", QN_OK},
	    {"missing", QN_NOT_FOUND},
	    {"state", QN_LICENCE_STATE},
	    {"owner", QN_OWNER_UNKNOWN},
	    {"plan", QN_PLAN_UNKNOWN},
	    {"key", QN_CONFLICT},
	    {"limits", QN_INVALID},
	};
	const char *s = qn_rows_str(rows, 0, 0);

	for (size_t i = 0; s != NULL && i < sizeof(means) / sizeof(means[0]); i++)
		if (strcmp(means[i].said, s) == 0)
			return means[i].e;
	return QN_INTERNAL;
}

enum qn_err licence_issue(struct qn_db *db, struct qn_arena *a, const char *app, const char *key,
    struct qn_span in, struct qn_span by, const char **ret_id)
{
	char *id = qn_alloc(a, QN_UUID_LEN + 1);
	struct qn_rows *rows;

	qn_uuid_new(id);
	*ret_id = id;
	QN_TRY(QN_EXEC(db, a, licence_set, LICENCE_ISSUE, &rows, qn_a_str(app), qn_a_str(id),
	    qn_a_str(key), qn_a_json(in), qn_a_json(by)));
	return outcome(rows);
}

enum qn_err licence_rows(struct qn_db *db, struct qn_arena *a, const char *app, const char *after,
    int64_t limit, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, licence_set, LICENCE_ROWS, &rows, qn_a_str(app), qn_a_str(after),
	    qn_a_i64(limit)));
	*ret = qn_rows_list(rows, a, &row_object);
	return QN_OK;
}

enum qn_err licence_import(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *key, struct qn_span in)
{
	char id[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(id);
	QN_TRY(QN_EXEC(db, a, licence_set, LICENCE_IMPORT, &rows, qn_a_str(app), qn_a_str(id),
	    qn_a_str(key), qn_a_json(in)));
	return outcome(rows);
}

enum qn_err licence_change(struct qn_db *db, struct qn_arena *a, const char *app, const char *id,
    const struct licence_change *c)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, licence_set, LICENCE_CHANGE, &rows, qn_a_str(app), qn_a_str(id),
	    qn_a_str(c->verb), qn_a_i64(c->until), qn_a_str(c->user), qn_a_str(c->organization),
	    qn_a_json(c->by)));
	return outcome(rows);
}

/* machines and leases */

static enum qn_err is_of(
    struct qn_db *db, struct qn_arena *a, const struct licence_who *who, const char *licence)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, licence_set, LICENCE_IS_OF, &rows, qn_a_str(who->app),
	    qn_a_str(who->user), qn_a_bool(who->staff), qn_a_str(licence)));
	return qn_rows_n(rows) == 1 ? QN_OK : QN_NOT_FOUND;
}

enum qn_err licence_devices(struct qn_db *db, struct qn_arena *a, const struct licence_who *who,
    const char *licence, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(is_of(db, a, who, licence));
	QN_TRY(QN_EXEC(db, a, licence_set, LICENCE_DEVICES, &rows, qn_a_str(licence)));
	*ret = qn_rows_list(rows, a, &licence_device_object);
	return QN_OK;
}

enum qn_err licence_device_rename(struct qn_db *db, struct qn_arena *a,
    const struct licence_who *who, const char *licence, const char *device, const char *name,
    struct licence_device *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, licence_set, LICENCE_DEVICE_RENAME, &rows, qn_a_str(who->app),
	    qn_a_str(who->user), qn_a_bool(who->staff), qn_a_str(licence), qn_a_str(device),
	    qn_a_str(name)));
	if (qn_rows_n(rows) == 0)
		return QN_MACHINE_NOT_FOUND;
	qn_rows_get(rows, 0, &licence_device_object, ret);
	return QN_OK;
}

enum qn_err licence_release(struct qn_db *db, struct qn_arena *a, const struct licence_who *who,
    const char *licence, const char *device, const char *machine, struct qn_span by)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, licence_set, LICENCE_RELEASE, &rows, qn_a_str(who->app),
	    qn_a_str(licence), qn_a_str(device), qn_a_str(machine), qn_a_str(who->user),
	    qn_a_bool(who->staff), qn_a_json(by)));
	const char *s = qn_rows_str(rows, 0, 0);
	if (s != NULL && strcmp(s, "missing") == 0)
		return QN_MACHINE_NOT_FOUND;
	if (s != NULL && strcmp(s, "limit") == 0)
		return QN_RELEASES;
	return outcome(rows);
}

enum qn_err licence_leases(struct qn_db *db, struct qn_arena *a, const struct licence_who *who,
    const char *licence, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(is_of(db, a, who, licence));
	QN_TRY(QN_EXEC(db, a, licence_set, LICENCE_LEASES, &rows, qn_a_str(licence)));
	*ret = qn_rows_list(rows, a, &licence_lease_object);
	return QN_OK;
}

enum qn_err licence_file_until(
    struct qn_db *db, struct qn_arena *a, const char *licence, const char *machine, qn_time *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(
	    db, a, licence_set, LICENCE_FILE_UNTIL, &rows, qn_a_str(licence), qn_a_str(machine)));
	if (qn_rows_n(rows) == 0)
		return QN_NOT_FOUND;
	*ret = qn_rows_i64(rows, 0, 0);
	return QN_OK;
}

enum qn_err licence_sweep(struct qn_db *db, struct qn_arena *a, int64_t *ret_n)
{
	return qn_exec_number(db, a, &licence_set, LICENCE_SWEEP, ret_n);
}

enum qn_err licence_revoked(struct qn_db *db, struct qn_arena *a, const char *app, int64_t most,
    const char *const **ret, size_t *ret_n, int64_t *ret_sequence)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, licence_set, LICENCE_REVOKED, &rows, qn_a_str(app), qn_a_i64(most)));
	size_t n =
	    qn_rows_str(rows, 0, 1) == NULL ? 0 : qn_rows_n(rows); /* none: one row without an id */
	const char **ids = qn_alloc_array(a, n + 1, sizeof(*ids));
	for (size_t i = 0; i < n; i++)
		ids[i] = qn_rows_str(rows, i, 1);
	*ret = ids;
	*ret_n = n;
	*ret_sequence = qn_rows_i64(rows, 0, 0);
	return QN_OK;
}
