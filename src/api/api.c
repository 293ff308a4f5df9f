#include "api.h"

static const struct qn_field success_fields[] = {
    QN_FIELD(struct api_success, success, BOOL, 0, 0, 0, "Always true."),
};
const struct qn_object api_success_object =
    QN_OBJECT("Success", struct api_success, success_fields);

enum qn_err api_success(struct qn_request *r)
{
	static const struct api_success yes = {1};

	return qn_reply(r, &yes);
}

static const struct qn_field message_fields[] = {
    QN_FIELD(struct api_message, message, STR, 0, 0, 0, "What was done."),
};
const struct qn_object api_message_object =
    QN_OBJECT("Message", struct api_message, message_fields);

enum qn_err api_audit(struct qn_request *r, const struct audit_event *event)
{
	struct audit_event e = *event;

	e.app = r->who.app->id;
	if (e.user == NULL && r->who.known)
		e.user = r->who.user_id;
	e.ip = r->remote_addr;
	e.user_agent = qn_fcgi_param(r->fcgi, "HTTP_USER_AGENT");
	e.request_id = r->id;
	return audit_write(r->db, r->arena, &e);
}
