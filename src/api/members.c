/* Members of an organization (CONTRACT E3, E18; SECURITY T18): list, change a role, remove, leave, hand over. */
#include "orgs.h"
#include "quoin/store/member.h"

struct list_reply {
	struct qn_list members;
	qn_tri has_more;
	const char *next_cursor;
};

static const struct qn_field list_fields[] = {
    QN_FIELD_SUB(struct list_reply, members, LIST, 0, &member_object, "Its members."),
    API_PAGE_FIELDS(struct list_reply),
};
static const struct qn_object list_object = QN_OBJECT("MemberList", struct list_reply, list_fields);

struct role_in {
	const char *role;
};

static const struct qn_field role_fields[] = {
    QN_FIELD_ENUM(struct role_in, role, QN_F_REQUIRED, member_roles, NULL,
	"member: uses it; admin: and its members; owner: and all of it. None above the caller's own."),
};
static const struct qn_object role_object = QN_OBJECT("MemberChange", struct role_in, role_fields);

struct owner_in {
	const char *user_id;
};

static const struct qn_field owner_fields[] = {
    QN_FIELD(struct owner_in, user_id, UUID, QN_F_REQUIRED | QN_F_USER, 0, 0,
	"The member who becomes owner."),
};
static const struct qn_object owner_object =
    QN_OBJECT("OwnerChange", struct owner_in, owner_fields);

static enum qn_err list(struct qn_request *r)
{
	struct list_reply *out = qn_new(r->arena, struct list_reply);
	const char *after;
	int64_t limit;

	QN_TRY(qn_page_start(r, &after, &limit));
	QN_TRY(member_list(r->db, r->arena, r->who.app->id, r->who.org_id,
	    (struct page){after, limit + 1}, &out->members));
	out->has_more = qn_page_more(&out->members, limit);
	if (out->has_more)
		qn_page_next(r, ((const struct member *)out->members.items)[limit - 1].user_id);
	out->next_cursor = r->next;
	return qn_reply(r, out);
}

static enum qn_err set_role(struct qn_request *r)
{
	const struct role_in *in = r->in;
	const char *was;

	QN_TX(tx, r->db);
	QN_TRY(member_set_role(r->db, r->arena, r->who.app->id, r->who.org_id, r->who.user_id,
	    r->param[1], in->role, &was));
	QN_TRY(org_audit(r, "org.member.role", "user", r->param[1],
	    api_details(r, "role", in->role, "was", was, NULL)));
	QN_TRY(qn_tx_commit(&tx));
	return api_success(r);
}

static enum qn_err take_out(struct qn_request *r, const char *user, const char *action)
{
	const char *was;

	QN_TX(tx, r->db);
	QN_TRY(member_remove(
	    r->db, r->arena, r->who.app->id, r->who.org_id, r->who.user_id, user, &was));
	QN_TRY(org_audit(r, action, "user", user, api_details(r, "was", was, NULL)));
	QN_TRY(qn_tx_commit(&tx));
	return api_success(r);
}

static enum qn_err remove_other(struct qn_request *r)
{
	return take_out(r, r->param[1], "org.member.remove");
}

static enum qn_err leave(struct qn_request *r)
{
	return take_out(r, r->who.user_id, "org.member.leave");
}

static enum qn_err hand_over(struct qn_request *r)
{
	const struct owner_in *in = r->in;
	const char *was;

	QN_TX(tx, r->db);
	QN_TRY(member_transfer(
	    r->db, r->arena, r->who.app->id, r->who.org_id, r->who.user_id, in->user_id, &was));
	QN_TRY(org_audit(
	    r, "org.owner.transfer", "user", in->user_id, api_details(r, "was", was, NULL)));
	QN_TRY(qn_tx_commit(&tx));
	return api_success(r);
}

#define ALL "/api/v1/orgs/{org_id}/members"

static const struct qn_route routes[] = {
    {QN_GET, ALL, "org.member-list", "List the members of an organization.", ORG(QN_ROLE_MEMBER),
	.flags = QN_R_PAGED, .query = &qn_page_query_object, .reply = &list_object,
	.handler = list},
    {QN_DELETE, ALL "/me", "org.leave", "Leave an organization.", ORG(QN_ROLE_MEMBER),
	.reply = &api_success_object, .errors = {QN_LAST_OWNER}, .handler = leave},
    {QN_PUT, ALL "/{user_id}", "org.member-role", "Change a member's role.", ORG(QN_ROLE_ADMIN),
	.body = &role_object, .body_max = 1024, .reply = &api_success_object,
	.errors = {QN_MEMBER_NOT_FOUND, QN_LAST_OWNER}, .handler = set_role},
    {QN_DELETE, ALL "/{user_id}", "org.member-remove", "Take a member out of an organization.",
	ORG(QN_ROLE_ADMIN), .reply = &api_success_object,
	.errors = {QN_MEMBER_NOT_FOUND, QN_LAST_OWNER}, .handler = remove_other},
    {QN_PUT, "/api/v1/orgs/{org_id}/owner", "org.transfer",
	"Make a member owner in the caller's place, who becomes an admin.", ORG(QN_ROLE_OWNER),
	.flags = QN_R_RECENT, .body = &owner_object, .body_max = 1024, .reply = &api_success_object,
	.errors = {QN_MEMBER_NOT_FOUND}, .handler = hand_over},
};
API_TABLE(member_table, routes);
