/*
 * Invitations to an organization (SECURITY T6, T11, T18): made, listed, sent again, revoked, accepted. What is
 * answered never tells whether the address has an account.
 */
#include "orgs.h"
#include "password.h"
#include "mails.h"
#include "quoin/auth/opaque.h"
#include "quoin/store/attempt.h"
#include "quoin/store/invitation.h"
#include "quoin/store/organization.h"

#include <string.h>

enum { DAYS = 7, FREE_MAILS = 10 };

struct list_reply {
	struct qn_list invitations;
	qn_tri has_more;
	const char *next_cursor;
};

static const struct qn_field list_fields[] = {
    QN_FIELD_SUB(struct list_reply, invitations, LIST, 0, &invitation_object,
	"Those that were not accepted, newest first; some may be over."),
    API_PAGE_FIELDS(struct list_reply),
};
static const struct qn_object list_object =
    QN_OBJECT("InvitationList", struct list_reply, list_fields);

struct one_reply {
	const struct invitation *invitation;
};

static const struct qn_field one_fields[] = {
    QN_FIELD_SUB(struct one_reply, invitation, OBJ, 0, &invitation_object, "The invitation."),
};
static const struct qn_object one_object =
    QN_OBJECT("InvitationReply", struct one_reply, one_fields);

struct accepted_reply {
	const char *organization_id, *role;
};

static const struct qn_field accepted_fields[] = {
    QN_FIELD(struct accepted_reply, organization_id, UUID, 0, 0, 0, "What was joined."),
    QN_FIELD_ENUM(struct accepted_reply, role, 0, member_roles, NULL, "As what."),
};
static const struct qn_object accepted_object =
    QN_OBJECT("InvitationAccepted", struct accepted_reply, accepted_fields);

static const struct qn_field new_fields[] = {
    QN_FIELD(struct invitation, email, STR, QN_F_REQUIRED, 3, 320, "Whom to invite."),
    QN_FIELD_ENUM(struct invitation, role, 0, member_roles, "member",
	"What whoever accepts it will be: none above the caller's own."),
};
static const struct qn_object new_object =
    QN_OBJECT("InvitationNew", struct invitation, new_fields);

struct accept_in {
	const char *token;
};

static const struct qn_field accept_fields[] = {
    QN_FIELD(struct accept_in, token, STR, QN_F_REQUIRED, 1, 100, "As it was mailed."),
};
static const struct qn_object accept_object =
    QN_OBJECT("InvitationAccept", struct accept_in, accept_fields);

/* Nobody's mailbox is filled through us, whoever does it and from how many organizations (T9). */
static enum qn_err count_mail(struct qn_request *r, const char *email)
{
	const char *subject = qn_printf(r->arena, "invitation %s", api_lower(r, email));
	int64_t wait;

	QN_TRY(attempt_count(r->db, r->arena, r->who.app->id, subject, FREE_MAILS, &wait));
	if (wait == 0)
		return QN_OK;
	r->retry_after_s = wait;
	return QN_TOO_MANY;
}

/* Its token goes nowhere but into this mail. */
static enum qn_err mail(struct qn_request *r, const struct invitation *i, const char *token)
{
	struct qn_mail_vars vars = {{NULL}};
	struct organization o;
	struct user user;

	QN_TRY(
	    organization_by_id(r->db, r->arena, r->who.app->id, r->who.user_id, r->who.org_id, &o));
	QN_TRY(user_by_id(r->db, r->arena, r->who.app->id, r->who.user_id, &user));
	vars.v[QN_MAIL_VAR_TOKEN] = token;
	vars.v[QN_MAIL_VAR_EXPIRES] = "seven days";
	vars.v[QN_MAIL_VAR_ORGANIZATION] = o.name;
	vars.v[QN_MAIL_VAR_INVITER] = user.display_name != NULL ? user.display_name
	                              : user.email != NULL      ? user.email
	                                                        : o.name;
	return api_mail(r, NULL, i->email, QN_MAIL_INVITATION, &vars);
}

static enum qn_err sent(
    struct qn_request *r, const struct invitation *i, const char *action, struct qn_opaque *token)
{
	enum qn_err e = mail(r, i, token->text);

	qn_wipe(token, sizeof(*token));
	QN_TRY(e);
	return org_audit(r, action, "invitation", i->id,
	    api_details(r, "email", i->email, "role", i->role, NULL));
}

static enum qn_err reply_one(struct qn_request *r, const struct invitation *i)
{
	struct one_reply *out = qn_new(r->arena, struct one_reply);

	out->invitation = i;
	return qn_reply(r, out);
}

static enum qn_err create(struct qn_request *r)
{
	const struct invitation *in = r->in;
	struct invitation *i = qn_new(r->arena, struct invitation);
	struct qn_opaque token;

	QN_TRY(api_check_address(r, "email", in->email));
	QN_TRY(count_mail(r, in->email));
	qn_opaque_new(&token);
	QN_TX(tx, r->db);
	QN_TRY(invitation_create(r->db, r->arena, r->who.app->id, r->who.org_id, r->who.user_id, in,
	    token.hash, DAYS, i));
	QN_TRY(sent(r, i, "org.invitation.create", &token));
	QN_TRY(qn_tx_commit(&tx));
	return reply_one(r, i);
}

static enum qn_err resend(struct qn_request *r)
{
	struct invitation *i = qn_new(r->arena, struct invitation);
	struct qn_opaque token;

	QN_TRY(invitation_by_id(r->db, r->arena, r->who.app->id, r->who.org_id, r->param[1], i));
	QN_TRY(count_mail(r, i->email));
	qn_opaque_new(&token);
	QN_TX(tx, r->db);
	QN_TRY(invitation_renew(r->db, r->arena, r->who.app->id, r->who.org_id, r->who.user_id,
	    r->param[1], token.hash, DAYS, i));
	QN_TRY(sent(r, i, "org.invitation.resend", &token));
	QN_TRY(qn_tx_commit(&tx));
	return reply_one(r, i);
}

static enum qn_err list(struct qn_request *r)
{
	struct list_reply *out = qn_new(r->arena, struct list_reply);
	const char *after;
	int64_t limit;

	QN_TRY(qn_page_start(r, &after, &limit));
	QN_TRY(invitation_list(r->db, r->arena, r->who.app->id, r->who.org_id,
	    (struct page){after, limit + 1}, &out->invitations));
	out->has_more = qn_page_more(&out->invitations, limit);
	if (out->has_more)
		qn_page_next(r, ((const struct invitation *)out->invitations.items)[limit - 1].id);
	out->next_cursor = r->next;
	return qn_reply(r, out);
}

static enum qn_err take_back(struct qn_request *r)
{
	QN_TX(tx, r->db);
	QN_TRY(invitation_delete(r->db, r->arena, r->who.app->id, r->who.org_id, r->param[1]));
	QN_TRY(org_audit(
	    r, "org.invitation.revoke", "invitation", r->param[1], (struct qn_span){NULL, 0}));
	QN_TRY(qn_tx_commit(&tx));
	return api_success(r);
}

static enum qn_err accept(struct qn_request *r)
{
	const struct accept_in *in = r->in;
	struct accepted_reply *out = qn_new(r->arena, struct accepted_reply);
	uint8_t hash[QN_SHA256_LEN];
	struct accepted got;

	if (!qn_opaque_hash(qn_span_of(in->token), hash))
		return QN_LINK_INVALID;
	QN_TX(tx, r->db);
	QN_TRY(invitation_accept(r->db, r->arena, r->who.app->id, r->who.user_id, hash, &got));
	QN_TRY(api_audit(r, &(struct audit_event){.organization = got.organization_id,
				.action = "org.member.join",
				.resource_type = "invitation",
				.resource_id = got.invitation_id,
				.details = api_details(r, "role", got.role, NULL)}));
	QN_TRY(qn_tx_commit(&tx));
	*out = (struct accepted_reply){got.organization_id, got.role};
	return qn_reply(r, out);
}

#define ALL "/api/v1/orgs/{org_id}/invitations"

static const struct qn_route routes[] = {
    {QN_GET, ALL, "org.invitation-list", "List the invitations of an organization.",
	ORG(QN_ROLE_ADMIN), .flags = QN_R_PAGED, .query = &qn_page_query_object,
	.reply = &list_object, .handler = list},
    {QN_POST, ALL, "org.invite", "Invite somebody by mail.", ORG(QN_ROLE_ADMIN), .flags = QN_R_ONCE,
	.rate = QN_RATE_MAIL, .body = &new_object, .body_max = 4096, .reply = &one_object,
	.errors = {QN_CONFLICT, QN_LIMIT, QN_TOO_MANY}, .handler = create},
    {QN_DELETE, ALL "/{invitation_id}", "org.invitation-revoke", "Take an invitation back.",
	ORG(QN_ROLE_ADMIN), .reply = &api_success_object, .errors = {QN_INVITATION_NOT_FOUND},
	.handler = take_back},
    {QN_POST, ALL "/{invitation_id}/resend", "org.invitation-resend",
	"Send an invitation again, with a new link that takes the old one's place.",
	ORG(QN_ROLE_ADMIN), .flags = QN_R_ONCE, .rate = QN_RATE_MAIL, .reply = &one_object,
	.errors = {QN_INVITATION_NOT_FOUND, QN_TOO_MANY}, .handler = resend},
    {QN_POST, "/api/v1/orgs/invitations/accept", "org.join",
	"Accept an invitation that was sent to the caller's verified address.", .pool = QN_POOL_API,
	.auth = QN_AUTH_USER, .flags = QN_R_ONCE, .body = &accept_object, .body_max = 1024,
	.reply = &accepted_object,
	.errors = {QN_EMAIL_UNVERIFIED, QN_LINK_INVALID, QN_CONFLICT, QN_SEATS}, .handler = accept},
};
API_TABLE(invitation_table, routes);
