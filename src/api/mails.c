/* Mails that requests send: queued in the transaction of what they tell of. */
#include "mails.h"

#include <time.h>

const char *api_shown_time(struct qn_request *r, qn_time t)
{
	char text[64];
	time_t seconds = (time_t)(t / 1000000);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%d %B %Y, %H:%M UTC", &tm);
	return qn_strdup(r->arena, text);
}

/* What every mail about something that was done may say. */
static void fill(struct qn_request *r, struct qn_mail_order *o)
{
	const char *agent = api_user_agent(r);
	const char *known[QN_MAIL_VAR__MAX] = {[QN_MAIL_VAR_WHEN] = api_shown_time(r, qn_now()),
	    [QN_MAIL_VAR_IP] = r->remote_addr,
	    [QN_MAIL_VAR_DEVICE] =
		qn_printf(r->arena, "%.200s", agent != NULL ? agent : "an unknown program")};

	for (unsigned v = 0; v < QN_MAIL_VAR__MAX; v++)
		if (o->vars.v[v] == NULL && qn_mail_template_has(o->template, (enum qn_mail_var)v))
			o->vars.v[v] = known[v];
}

enum qn_err api_mail(struct qn_request *r, const char *user, const char *to,
    enum qn_mail_template t, const struct qn_mail_vars *vars)
{
	struct qn_mail_order order = {
	    .app_id = r->who.app->id, .user_id = user, .to = to, .template = t};

	if (vars != NULL)
		order.vars = *vars;
	fill(r, &order);
	return qn_mail_queue(qn_server_conf(r->server), r->db, r->arena, &order, NULL);
}
