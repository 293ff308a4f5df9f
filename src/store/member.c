#include "quoin/store/member.h"

#include <string.h>

#define MEMBER_STMTS(X) \
	X(MEMBER_FIND, FRESH, 3, \
	    "SELECT m.role, o.plan FROM organization_members m JOIN organizations o " \
	    "ON o.id = m.organization_id WHERE m.app_id = $1 AND m.organization_id = $2 AND m.user_id = $3") \
	X(MEMBER_LIST, FRESH, 4, \
	    "SELECT m.user_id, u.email, u.display_name, m.role, m.joined_at " \
	    "FROM organization_members m CROSS JOIN LATERAL (SELECT x.email, x.display_name FROM users x " \
	    "WHERE x.id = m.user_id OFFSET 0) u WHERE m.app_id = $1 AND m.organization_id = $2 AND m.user_id < " \
	    "coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid) " \
	    "ORDER BY m.user_id DESC LIMIT $4") \
	X(MEMBER_SET_ROLE, WRITE, 5, \
	    "SELECT outcome, was FROM organization_set_role($1, $2, $3, $4, $5)") \
	X(MEMBER_TRANSFER, WRITE, 4, \
	    "SELECT outcome, was FROM organization_transfer($1, $2, $3, $4)") \
	X(MEMBER_REMOVE, WRITE, 4, "SELECT outcome, was FROM organization_remove($1, $2, $3, $4)") \
	X(MEMBER_ADD, WRITE, 4, "SELECT outcome FROM organization_add($1, $2, $3, $4)") \
	X(MEMBER_JOIN_BY_DOMAIN, WRITE, 3, \
	    "SELECT outcome, organization FROM organization_sso_join($1, $2, $3)")

QN_STATEMENTS(member, MEMBER_STMTS);

const char *const member_roles[] = {"member", "admin", "owner", NULL};

const char *member_role_name(enum qn_role role)
{
	return role == QN_ROLE_NONE ? "" : member_roles[role - QN_ROLE_MEMBER];
}

enum qn_role member_role_by_name(const char *name)
{
	for (int i = 0; member_roles[i] != NULL; i++)
		if (strcmp(member_roles[i], name) == 0)
			return (enum qn_role)(QN_ROLE_MEMBER + i);
	return QN_ROLE_NONE;
}

static const struct qn_field member_fields[] = {
    QN_FIELD(struct member, user_id, UUID, QN_F_USER, 0, 0, "Who."),
    QN_FIELD(struct member, email, STR, QN_F_NULLABLE, 0, 320, "That user's address."),
    QN_FIELD(struct member, display_name, STR, QN_F_NULLABLE, 0, 200, "That user's shown name."),
    QN_FIELD_ENUM(struct member, role, 0, member_roles, NULL, "What the user may do there."),
    QN_FIELD(struct member, joined_at, TIME, 0, 0, 0, "Since when."),
};
const struct qn_object member_object = QN_OBJECT("Member", struct member, member_fields);

enum qn_err member_find(struct qn_db *db, struct qn_arena *a, const char *app, const char *org,
    const char *user, struct membership *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(
	    db, a, member_set, MEMBER_FIND, &rows, qn_a_str(app), qn_a_str(org), qn_a_str(user)));
	if (qn_rows_n(rows) == 0)
		return QN_ORGANIZATION_NOT_FOUND;
	ret->role = member_role_by_name(qn_rows_str(rows, 0, 0));
	ret->plan = qn_rows_str(rows, 0, 1);
	return QN_OK;
}

enum qn_err member_list(struct qn_db *db, struct qn_arena *a, const char *app, const char *org,
    struct page page, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, member_set, MEMBER_LIST, &rows, qn_a_str(app), qn_a_str(org),
	    qn_a_str(page.after), qn_a_i64(page.limit)));
	*ret = qn_rows_list(rows, a, &member_object);
	return QN_OK;
}

enum qn_err member_outcome(const struct qn_rows *rows)
{
	static const struct {
		const char *word;
		enum qn_err err;
	} words[] = {{"saved", QN_OK}, {"missing", QN_ORGANIZATION_NOT_FOUND}, {"role", QN_ROLE},
	    {"nobody", QN_MEMBER_NOT_FOUND}, {"owner", QN_LAST_OWNER}, {"member", QN_CONFLICT},
	    {"seats", QN_SEATS}, {"unverified", QN_EMAIL_UNVERIFIED}, {"invalid", QN_LINK_INVALID},
	    {"invited", QN_CONFLICT}, {"limit", QN_LIMIT}, {"invitation", QN_INVITATION_NOT_FOUND}};
	const char *word = qn_rows_n(rows) == 1 ? qn_rows_str(rows, 0, 0) : "";

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i].word, word) == 0)
			return words[i].err;
	return QN_INTERNAL;
}

/* The answer of the functions that change one member. */
static enum qn_err changed(const struct qn_rows *rows, const char **ret_was)
{
	QN_TRY(member_outcome(rows));
	*ret_was = qn_rows_str(rows, 0, 1);
	return QN_OK;
}

enum qn_err member_set_role(struct qn_db *db, struct qn_arena *a, const char *app, const char *org,
    const char *actor, const char *user, const char *role, const char **ret_was)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, member_set, MEMBER_SET_ROLE, &rows, qn_a_str(app), qn_a_str(org),
	    qn_a_str(actor), qn_a_str(user), qn_a_str(role)));
	return changed(rows, ret_was);
}

enum qn_err member_transfer(struct qn_db *db, struct qn_arena *a, const char *app, const char *org,
    const char *actor, const char *user, const char **ret_was)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, member_set, MEMBER_TRANSFER, &rows, qn_a_str(app), qn_a_str(org),
	    qn_a_str(actor), qn_a_str(user)));
	return changed(rows, ret_was);
}

enum qn_err member_remove(struct qn_db *db, struct qn_arena *a, const char *app, const char *org,
    const char *actor, const char *user, const char **ret_was)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, member_set, MEMBER_REMOVE, &rows, qn_a_str(app), qn_a_str(org),
	    qn_a_str(actor), qn_a_str(user)));
	return changed(rows, ret_was);
}

enum qn_err member_add(struct qn_db *db, struct qn_arena *a, const char *app, const char *org,
    const char *user, const char *role)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, member_set, MEMBER_ADD, &rows, qn_a_str(app), qn_a_str(org),
	    qn_a_str(user), qn_a_str(role)));
	return member_outcome(rows);
}

enum qn_err member_join_by_domain(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *domain, const char *user, const char **ret_org)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, member_set, MEMBER_JOIN_BY_DOMAIN, &rows, qn_a_str(app),
	    qn_a_str(domain), qn_a_str(user)));
	*ret_org = strcmp(qn_rows_str(rows, 0, 0), "saved") == 0 ? qn_rows_str(rows, 0, 1) : NULL;
	return QN_OK;
}
