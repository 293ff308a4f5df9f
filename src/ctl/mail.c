/* mail: list, retry, test. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "quoin/auth/outbox.h"
#include "quoin/base/rand.h"
#include "quoin/store/mail.h"

static bool is_state(const char *s)
{
	return strcmp(s, "queued") == 0 || strcmp(s, "sent") == 0 || strcmp(s, "failed") == 0 ||
	       strcmp(s, "bounced") == 0;
}

static int list(struct ctl *c, const char *app, const char *state)
{
	const char *app_id = app != NULL ? ctl_app_id(c, app) : NULL;
	char at[QN_RFC3339_MAX];
	struct qn_list mails;

	if (app != NULL && app_id == NULL)
		return CTL_FAILED;
	enum qn_err e = mail_list(c->db, c->arena, app_id, state, &mails);
	if (e != QN_OK)
		return ctl_fail(c, "mail", e);
	const struct mail *m = mails.items;
	for (size_t i = 0; i < mails.n; i++) {
		qn_time_print(at, m[i].created_at);
		printf("%s %s %-7s attempts=%" PRId64 " %s %s %s%s%s\n", m[i].id, at, m[i].state,
		    m[i].attempts, m[i].app_slug, m[i].template, m[i].to_address,
		    m[i].last_error != NULL ? " " : "",
		    m[i].last_error != NULL ? m[i].last_error : "");
	}
	return CTL_OK;
}

static int retry(struct ctl *c, const char *text)
{
	char id[QN_UUID_LEN + 1];
	struct mail mail;

	if (!qn_uuid_parse(text, strlen(text), id))
		return ctl_usage("mail");
	enum qn_err e = mail_by_id(c->db, c->arena, id, &mail);
	if (e == QN_OK && strcmp(mail.state, "queued") != 0) {
		fprintf(stderr,
		    "quoinctl: %s is %s: what stood in it is gone, so it has to be asked for again\n",
		    id, mail.state);
		return CTL_FAILED;
	}
	if (e == QN_OK)
		e = mail_retry(c->db, c->arena, id);
	return e == QN_OK ? CTL_OK : ctl_fail(c, id, e);
}

/* A mail with example values, through the queue. */
static int test(struct ctl *c, const char *app, const char *name, const char *to)
{
	struct qn_mail_order order = {
	    .to = to, .template = name != NULL ? qn_mail_template_by_name(name) : QN_MAIL_TEST};
	const char *fault = qn_mail_fault(c->conf, c->arena), *id;

	if (order.template == QN_MAIL__MAX) {
		fprintf(stderr, "quoinctl: there is no template '%s'\n", name);
		return CTL_FAILED;
	}
	if (fault != NULL) {
		fprintf(stderr, "quoinctl: mail: %s\n", fault);
		return CTL_FAILED;
	}
	if (!qn_address_ok(qn_span_of(to))) {
		fprintf(stderr, "quoinctl: '%s' is no e-mail address\n", to);
		return CTL_FAILED;
	}
	if (!ctl_has_secret(c))
		return CTL_FAILED;
	order.app_id = ctl_app_id(c, app);
	if (order.app_id == NULL)
		return CTL_FAILED;
	for (unsigned v = 0; v < QN_MAIL_VAR__MAX; v++)
		if (qn_mail_template_has(order.template, (enum qn_mail_var)v))
			order.vars.v[v] = qn_mail_var_example((enum qn_mail_var)v);
	enum qn_err e = qn_mail_queue(c->conf, c->db, c->arena, &order, &id);
	if (e != QN_OK)
		return ctl_fail(c, to, e);
	puts(id);
	return CTL_OK;
}

int ctl_mail(struct ctl *c, int argc, char **argv)
{
	const char *app = ctl_option(&argc, argv, "--app");
	const char *state = ctl_option(&argc, argv, "--state");
	const char *template = ctl_option(&argc, argv, "--template");

	if (argc == 1 && strcmp(argv[0], "list") == 0 && template == NULL &&
	    (state == NULL || is_state(state)))
		return list(c, app, state);
	if (argc == 2 && strcmp(argv[0], "retry") == 0 && app == NULL && state == NULL &&
	    template == NULL)
		return retry(c, argv[1]);
	if (argc == 2 && strcmp(argv[0], "test") == 0 && app != NULL && state == NULL)
		return test(c, app, template, argv[1]);
	return ctl_usage("mail");
}
