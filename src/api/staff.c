/* Accounts as the deployment's administrators see them: find, suspend, sign out (CONTRACT D47; T18). */
#include <string.h>

#include "api.h"
#include "quoin/store/session.h"
#include "quoin/store/staff.h"

struct list_reply {
	struct qn_list users;
	qn_tri has_more;
	const char *next_cursor;
};

static const struct qn_field list_fields[] = {
    QN_FIELD_SUB(struct list_reply, users, LIST, 0, &staff_user_object, "Newest first."),
    API_PAGE_FIELDS(struct list_reply),
};
static const struct qn_object list_object =
    QN_OBJECT("StaffUserList", struct list_reply, list_fields);

struct one_reply {
	const struct staff_user *user;
};

static const struct qn_field one_fields[] = {
    QN_FIELD_SUB(struct one_reply, user, OBJ, 0, &staff_user_object, "The user."),
};
static const struct qn_object one_object =
    QN_OBJECT("StaffUserReply", struct one_reply, one_fields);

/* Begins as struct qn_page_query does. */
struct list_query {
	int64_t limit;
	const char *cursor, *email;
};

static const struct qn_field query_fields[] = {
    QN_FIELD_DEF(struct list_query, limit, I64, 0, 1, 200, "50", "Rows of a page."),
    QN_FIELD(struct list_query, cursor, STR, 0, 1, 200, "next_cursor of the page before."),
    QN_FIELD(struct list_query, email, STR, 0, 1, 320, "What the address begins with."),
};
static const struct qn_object query_object =
    QN_OBJECT("StaffUserQuery", struct list_query, query_fields);

static enum qn_err list(struct qn_request *r)
{
	struct list_reply *out = qn_new(r->arena, struct list_reply);
	const struct list_query *q = r->query;
	const char *after;
	int64_t limit;

	QN_TRY(qn_page_start(r, &after, &limit));
	QN_TRY(staff_users(r->db, r->arena, r->who.app->id, q->email,
	    (struct page){after, limit + 1}, &out->users));
	out->has_more = qn_page_more(&out->users, limit);
	if (out->has_more)
		qn_page_next(r, ((const struct staff_user *)out->users.items)[limit - 1].id);
	out->next_cursor = r->next;
	return qn_reply(r, out);
}

static enum qn_err reply_one(struct qn_request *r, const struct staff_user *user)
{
	struct one_reply *out = qn_new(r->arena, struct one_reply);

	out->user = user;
	return qn_reply(r, out);
}

static enum qn_err get(struct qn_request *r)
{
	struct staff_user *user = qn_new(r->arena, struct staff_user);

	QN_TRY(staff_user(r->db, r->arena, r->who.app->id, r->param[0], user));
	return reply_one(r, user);
}

static enum qn_err note(struct qn_request *r, const char *action)
{
	return api_audit(
	    r, &(struct audit_event){
		   .action = action, .resource_type = "user", .resource_id = r->param[0]});
}

/* Nobody locks himself out. */
static enum qn_err set_suspended(struct qn_request *r, bool suspended)
{
	struct staff_user *user = qn_new(r->arena, struct staff_user);

	if (strcmp(r->param[0], r->who.user_id) == 0)
		return QN_CONFLICT;
	QN_TX(tx, r->db);
	QN_TRY(staff_suspend(r->db, r->arena, r->who.app->id, r->param[0], suspended, user));
	QN_TRY(note(r, suspended ? "user.suspend" : "user.unsuspend"));
	QN_TRY(qn_tx_commit(&tx));
	return reply_one(r, user);
}

static enum qn_err suspend(struct qn_request *r)
{
	return set_suspended(r, true);
}

static enum qn_err unsuspend(struct qn_request *r)
{
	return set_suspended(r, false);
}

static enum qn_err sign_out(struct qn_request *r)
{
	struct staff_user *user = qn_new(r->arena, struct staff_user);
	int64_t ended;

	QN_TX(tx, r->db);
	QN_TRY(staff_user(r->db, r->arena, r->who.app->id, r->param[0], user));
	QN_TRY(session_revoke_all(
	    r->db, r->arena, r->who.app->id, r->param[0], NULL, "ended by staff", &ended));
	QN_TRY(note(r, "user.sign-out"));
	QN_TRY(qn_tx_commit(&tx));
	return reply_one(r, user);
}

#define STAFF .pool = QN_POOL_API, .auth = QN_AUTH_USER
#define ONE   STAFF, .missing = QN_USER_NOT_FOUND, .reply = &one_object
#define POST  .flags = QN_R_STAFF | QN_R_ONCE

static const struct qn_route routes[] = {
    {QN_GET, "/api/v1/admin/users", "admin.users", "Find users of the app.", STAFF,
	.flags = QN_R_STAFF | QN_R_SUPPORT | QN_R_PAGED, .query = &query_object,
	.reply = &list_object, .handler = list},
    {QN_GET, "/api/v1/admin/users/{user_id}", "admin.user", "Show a user.", ONE,
	.flags = QN_R_STAFF | QN_R_SUPPORT, .handler = get},
    {QN_POST, "/api/v1/admin/users/{user_id}/suspend", "admin.suspend", "Suspend a user.", ONE,
	POST, .errors = {QN_CONFLICT}, .handler = suspend},
    {QN_POST, "/api/v1/admin/users/{user_id}/unsuspend", "admin.unsuspend",
	"Let a suspended user in again.", ONE, POST, .errors = {QN_CONFLICT}, .handler = unsuspend},
    {QN_POST, "/api/v1/admin/users/{user_id}/sign-out", "admin.sign-out",
	"End all sessions of a user.", ONE, POST, .handler = sign_out},
};
API_TABLE(staff_table, routes);
