#include "api.h"

#include <ctype.h>
#include <stdarg.h>

#include "quoin/base/buf.h"
#include "quoin/base/utf8.h"

enum { DETAILS_BYTES = 16384 };

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

const char *api_user_agent(const struct qn_request *r)
{
	const char *s = qn_fcgi_param(r->fcgi, "HTTP_USER_AGENT");
	size_t n = s != NULL ? strlen(s) : 0;

	for (size_t i = 0, len; i < n; i += len)
		if ((len = qn_utf8_len(s + i, n - i)) == 0)
			return NULL;
	return s;
}

const char *api_lower(struct qn_request *r, const char *s)
{
	char *out = qn_strdup(r->arena, s);

	for (char *p = out; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	return out;
}

enum qn_err api_audit(struct qn_request *r, const struct audit_event *event)
{
	struct audit_event e = *event;

	e.app = r->who.app->id;
	if (e.user == NULL && r->who.known)
		e.user = r->who.user_id;
	e.ip = r->remote_addr;
	e.user_agent = api_user_agent(r);
	e.request_id = r->id;
	return audit_write(r->db, r->arena, &e);
}

struct qn_span api_details(struct qn_request *r, ...)
{
	struct qn_buf b;
	const char *name;
	va_list pairs;

	qn_buf_init(&b, DETAILS_BYTES);
	va_start(pairs, r);
	while ((name = va_arg(pairs, const char *)) != NULL) {
		const char *value = va_arg(pairs, const char *);
		if (value == NULL)
			continue;
		qn_buf_char(&b, b.n == 0 ? '{' : ',');
		qn_buf_json(&b, name, strlen(name));
		qn_buf_char(&b, ':');
		qn_buf_json(&b, value, strlen(value));
	}
	va_end(pairs);
	qn_buf_str(&b, b.n == 0 ? "{}" : "}");
	struct qn_span text = {b.over ? NULL : qn_strndup(r->arena, b.p, b.n), b.over ? 0 : b.n};
	qn_buf_done(&b);
	return text;
}

/* Plans are stored by their code and shown as the app spells them (CONTRACT K6). */
const char *api_shown_tier(struct qn_request *r, const char *code)
{
	const struct qn_plan *plan = qn_app_plan(r->who.app, code);
	char *tier = qn_strdup(r->arena, plan != NULL ? plan->shown : code);

	for (char *p = tier; plan == NULL && r->who.app->tier_upper && *p != '\0'; p++)
		*p = (char)toupper((unsigned char)*p);
	return tier;
}
