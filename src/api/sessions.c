/* The caller's sessions and devices (CONTRACT X7): list, end one, end all. */
#include "api.h"
#include "quoin/store/session.h"

#include <string.h>

struct list_reply {
	struct qn_list sessions;
};

static const struct qn_field list_fields[] = {
    QN_FIELD_SUB(
	struct list_reply, sessions, LIST, 0, &session_object, "Those that live, newest first."),
};
static const struct qn_object list_object =
    QN_OBJECT("SessionList", struct list_reply, list_fields);

struct ended_reply {
	int64_t ended;
};

static const struct qn_field ended_fields[] = {
    QN_FIELD(struct ended_reply, ended, I64, 0, 0, 0, "How many sessions were ended."),
};
static const struct qn_object ended_object =
    QN_OBJECT("SessionsEnded", struct ended_reply, ended_fields);

struct which {
	qn_tri keep_current;
};

static const struct qn_field which_fields[] = {
    QN_FIELD(struct which, keep_current, BOOL, 0, 0, 0,
	"Spare the session of this request; a token of another issuer has none."),
};
static const struct qn_object which_object = QN_OBJECT("SessionsWhich", struct which, which_fields);

static enum qn_err list(struct qn_request *r)
{
	struct list_reply *out = qn_new(r->arena, struct list_reply);

	QN_TRY(session_list(r->db, r->arena, r->who.app->id, r->who.user_id, &out->sessions));
	struct session *s = (struct session *)(uintptr_t)out->sessions.items;
	for (size_t i = 0; i < out->sessions.n; i++)
		s[i].current = strcmp(s[i].id, r->who.session_id) == 0;
	return qn_reply(r, out);
}

static enum qn_err end(struct qn_request *r)
{
	QN_TX(tx, r->db);
	QN_TRY(session_revoke(
	    r->db, r->arena, r->who.app->id, r->who.user_id, r->param[0], "ended by the user"));
	QN_TRY(api_audit(r, &(struct audit_event){.action = "session.revoke",
				.resource_type = "session",
				.resource_id = r->param[0]}));
	QN_TRY(qn_tx_commit(&tx));
	return api_success(r);
}

static enum qn_err end_all(struct qn_request *r)
{
	const struct which *which = r->query;
	struct ended_reply *out = qn_new(r->arena, struct ended_reply);
	const char *spared =
	    which->keep_current == 1 && r->who.session_id[0] != '\0' ? r->who.session_id : NULL;

	QN_TX(tx, r->db);
	QN_TRY(session_revoke_all(r->db, r->arena, r->who.app->id, r->who.user_id, spared,
	    "ended by the user", &out->ended));
	QN_TRY(api_audit(
	    r, &(struct audit_event){.action = "session.revoke-all", .resource_type = "session"}));
	QN_TRY(qn_tx_commit(&tx));
	r->set_cookie = r->who.cookie && spared == NULL ? "" : NULL;
	return qn_reply(r, out);
}

#define USER .pool = QN_POOL_API, .auth = QN_AUTH_USER

static const struct qn_route routes[] = {
    {QN_GET, "/api/v1/auth/sessions", "session.list", "List the caller's sessions.", USER,
	.reply = &list_object, .rate = QN_RATE_ACCOUNT, .handler = list},
    {QN_DELETE, "/api/v1/auth/sessions", "session.revoke-all", "Sign out everywhere.", USER,
	.query = &which_object, .reply = &ended_object, .rate = QN_RATE_ACCOUNT,
	.handler = end_all},
    {QN_DELETE, "/api/v1/auth/sessions/{session_id}", "session.revoke",
	"End one of the caller's sessions.", USER, .tenant = "session_id",
	.missing = QN_SESSION_NOT_FOUND, .reply = &api_success_object, .rate = QN_RATE_ACCOUNT,
	.handler = end},
};
API_TABLE(session_table, routes);
