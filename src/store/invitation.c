#include "quoin/store/invitation.h"

#include "quoin/base/rand.h"
#include "rows.h"

#define COLUMNS "i.id, i.email, i.role, i.invited_by, i.created_at, i.expires_at"

#define INVITATION_STMTS(X) \
	X(INVITATION_CREATE, WRITE, 8, \
	    "SELECT outcome, $1::uuid AS id, $5::text AS email, $6::text AS role, $4::uuid AS invited_by, " \
	    "created_at, expires_at FROM organization_invite($1, $2, $3, $4, $5, $6, $7, $8)") \
	X(INVITATION_RENEW, WRITE, 6, \
	    "SELECT outcome, id, email, role, invited_by, created_at, expires_at " \
	    "FROM organization_reinvite($1, $2, $3, $4, $5, $6)") \
	X(INVITATION_LIST, FRESH, 4, \
	    "SELECT " COLUMNS \
	    " FROM organization_invitations i WHERE i.app_id = $1 AND i.organization_id = $2 " \
	    "AND i.id < coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid) " \
	    "ORDER BY i.id DESC LIMIT $4") \
	X(INVITATION_BY_ID, FRESH, 3, \
	    "SELECT " COLUMNS \
	    " FROM organization_invitations i WHERE i.app_id = $1 AND i.organization_id = $2 AND i.id = $3") \
	X(INVITATION_DELETE, WRITE, 3, \
	    "DELETE FROM organization_invitations i WHERE i.app_id = $1 AND i.organization_id = $2 " \
	    "AND i.id = $3 RETURNING i.id") \
	X(INVITATION_ACCEPT, WRITE, 3, \
	    "SELECT outcome, organization_id, role, invitation_id FROM organization_accept($1, $2, $3)") \
	X(INVITATION_PRUNE, WRITE, 0, \
	    "WITH gone AS (DELETE FROM organization_invitations i WHERE i.id IN (SELECT x.id " \
	    "FROM organization_invitations x WHERE x.expires_at < now() - interval '30 days' LIMIT 1000) " \
	    "RETURNING 1) SELECT count(*) FROM gone")

QN_STATEMENTS(invitation, INVITATION_STMTS);

static const struct qn_field fields[] = {
    QN_FIELD(struct invitation, id, UUID, 0, 0, 0, "Id of the invitation."),
    QN_FIELD(struct invitation, email, STR, 0, 3, 320, "The address that it was sent to."),
    QN_FIELD_ENUM(
	struct invitation, role, 0, member_roles, NULL, "What whoever accepts it will be."),
    QN_FIELD(
	struct invitation, invited_by, UUID, QN_F_NULLABLE | QN_F_USER, 0, 0, "Who sent it last."),
    QN_FIELD(struct invitation, created_at, TIME, 0, 0, 0, "When it was made."),
    QN_FIELD(struct invitation, expires_at, TIME, 0, 0, 0, "Until when it can be accepted."),
};
const struct qn_object invitation_object = QN_OBJECT("Invitation", struct invitation, fields);

static const struct qn_field accepted_fields[] = {
    QN_FIELD(struct accepted, organization_id, UUID, 0, 0, 0, "What was joined."),
    QN_FIELD(struct accepted, role, STR, 0, 0, 0, "As what."),
    QN_FIELD(struct accepted, invitation_id, UUID, 0, 0, 0, "By which invitation."),
};
static const struct qn_object accepted_object =
    QN_OBJECT("Accepted", struct accepted, accepted_fields);

enum qn_err invitation_create(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *org, const char *actor, const struct invitation *in, const uint8_t hash[32],
    int64_t days, struct invitation *ret)
{
	char id[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(id);
	QN_TRY(QN_EXEC(db, a, invitation_set, INVITATION_CREATE, &rows, qn_a_str(id), qn_a_str(app),
	    qn_a_str(org), qn_a_str(actor), qn_a_str(in->email), qn_a_str(in->role),
	    qn_a_bytes(hash, QN_SHA256_LEN), qn_a_i64(days)));
	QN_TRY(member_outcome(rows));
	return qn_rows_one(rows, &invitation_object, QN_INVITATION_NOT_FOUND, ret);
}

enum qn_err invitation_renew(struct qn_db *db, struct qn_arena *a, const char *app, const char *org,
    const char *actor, const char *id, const uint8_t hash[32], int64_t days, struct invitation *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, invitation_set, INVITATION_RENEW, &rows, qn_a_str(app), qn_a_str(org),
	    qn_a_str(actor), qn_a_str(id), qn_a_bytes(hash, QN_SHA256_LEN), qn_a_i64(days)));
	QN_TRY(member_outcome(rows));
	return qn_rows_one(rows, &invitation_object, QN_INVITATION_NOT_FOUND, ret);
}

enum qn_err invitation_list(struct qn_db *db, struct qn_arena *a, const char *app, const char *org,
    struct page page, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, invitation_set, INVITATION_LIST, &rows, qn_a_str(app), qn_a_str(org),
	    qn_a_str(page.after), qn_a_i64(page.limit)));
	*ret = qn_rows_list(rows, a, &invitation_object);
	return QN_OK;
}

enum qn_err invitation_by_id(struct qn_db *db, struct qn_arena *a, const char *app, const char *org,
    const char *id, struct invitation *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, invitation_set, INVITATION_BY_ID, &rows, qn_a_str(app), qn_a_str(org),
	    qn_a_str(id)));
	return qn_rows_one(rows, &invitation_object, QN_INVITATION_NOT_FOUND, ret);
}

enum qn_err invitation_delete(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *org, const char *id)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, invitation_set, INVITATION_DELETE, &rows, qn_a_str(app),
	    qn_a_str(org), qn_a_str(id)));
	return qn_rows_n(rows) == 0 ? QN_INVITATION_NOT_FOUND : QN_OK;
}

enum qn_err invitation_accept(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const uint8_t hash[32], struct accepted *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, invitation_set, INVITATION_ACCEPT, &rows, qn_a_str(app),
	    qn_a_str(user), qn_a_bytes(hash, QN_SHA256_LEN)));
	QN_TRY(member_outcome(rows));
	qn_rows_get(rows, 0, &accepted_object, ret);
	return QN_OK;
}

enum qn_err invitation_prune(struct qn_db *db, struct qn_arena *a, int64_t *ret_n)
{
	return qn_exec_number(db, a, &invitation_set, INVITATION_PRUNE, ret_n);
}
