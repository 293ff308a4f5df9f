/* billing: what an operator does about money. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "quoin/store/billing.h"
#include "quoin/store/organization.h"
#include "quoin/store/user.h"

enum { INVOICES = 20 };

/* All customers of the app, or what one user and the organizations that he owns have. */
static enum qn_err reconcile(struct ctl *c, const char *app, const char *email)
{
	struct user user = {.id = NULL};
	int64_t n;

	if (email != NULL)
		QN_TRY(user_by_email(c->db, c->arena, app, email, &user));
	QN_TRY(billing_customers_look(c->db, c->arena, app, user.id, &n));
	printf("%" PRId64 " to be looked at\n", n);
	return QN_OK;
}

static enum qn_err replay(struct ctl *c, const char *app, const char *event)
{
	return billing_event_replay(c->db, c->arena, app, event);
}

static void print_time(const char *name, qn_time t)
{
	char text[QN_RFC3339_MAX];

	if (t == QN_TIME_NULL)
		return;
	qn_time_print(text, t);
	printf("%-12s %s\n", name, text);
}

static void print_subscription(const struct subscription *s)
{
	printf("subscription %s\nplan         %s\nstatus       %s%s\n", s->stripe_subscription_id,
	    s->plan != NULL ? s->plan : "-", s->status,
	    s->cancel_at_period_end == 1 ? ", ends with its period" : "");
	print_time("period end", s->current_period_end);
	if (s->pending_at != QN_TIME_NULL)
		printf("then         %s\n", s->pending_plan != NULL ? s->pending_plan : "-");
}

static void print_invoices(const struct qn_list *list)
{
	const struct invoice *i = list->items;
	char text[QN_RFC3339_MAX];

	for (size_t k = 0; k < list->n; k++) {
		qn_time_print(text, i[k].invoice_date);
		printf("invoice      %s %s %" PRId64 " %s %s\n", i[k].stripe_invoice_id, text,
		    i[k].amount_cents, i[k].currency, i[k].status);
	}
}

/* Those that are paid for although there is one, as long as they are not ended and paid back. */
static enum qn_err print_surplus(struct ctl *c, const char *customer)
{
	struct qn_list due;

	QN_TRY(billing_surplus_due(c->db, c->arena, customer, &due));
	const struct billing_surplus *s = due.items;
	for (size_t i = 0; i < due.n; i++)
		printf("duplicate    %s %s%s%s\n", s[i].subscription, s[i].status,
		    s[i].payment != NULL ? ", to be paid back: " : "",
		    s[i].payment != NULL ? s[i].payment : "");
	return QN_OK;
}

static enum qn_err show_payer(struct ctl *c, const struct payer *p)
{
	struct billing_customer customer;
	struct subscription s;
	struct qn_list invoices;
	enum qn_err e = billing_customer_find(c->db, c->arena, p, &customer);

	if (e == QN_NOT_FOUND) {
		puts("customer     -");
		return QN_OK;
	}
	QN_TRY(e);
	printf("customer     %s\n", customer.stripe_customer_id);
	e = subscription_current(c->db, c->arena, p, &s);
	if (e == QN_OK)
		print_subscription(&s);
	else if (e != QN_NOT_FOUND)
		return e;
	QN_TRY(print_surplus(c, customer.id));
	QN_TRY(invoice_list(c->db, c->arena, p, INVOICES, &invoices));
	print_invoices(&invoices);
	return QN_OK;
}

/* A user by address, or an organization by slug or id. */
static enum qn_err show(struct ctl *c, const char *app, const char *who)
{
	struct payer p = {.app = app};
	struct organization org;
	struct user user;

	if (strchr(who, '@') != NULL) {
		QN_TRY(user_by_email(c->db, c->arena, app, who, &user));
		p.user = user.id;
	} else {
		QN_TRY(organization_find(c->db, c->arena, app, who, &org));
		p.org = org.id;
	}
	return show_payer(c, &p);
}

int ctl_billing(struct ctl *c, int argc, char **argv)
{
	const char *slug = ctl_option(&argc, argv, "--app"), *app;
	static const struct {
		const char *name;
		int least, most;
		enum qn_err (*run)(struct ctl *c, const char *app, const char *arg);
	} verbs[] = {
	    {"reconcile", 0, 1, reconcile}, {"replay", 1, 1, replay}, {"show", 1, 1, show}};

	for (size_t i = 0; argc > 0 && slug != NULL && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(argv[0], verbs[i].name) != 0 || argc - 1 < verbs[i].least ||
		    argc - 1 > verbs[i].most)
			continue;
		if ((app = ctl_app_id(c, slug)) == NULL)
			return CTL_FAILED;
		enum qn_err e = verbs[i].run(c, app, argc > 1 ? argv[1] : NULL);
		return e == QN_OK ? CTL_OK : ctl_fail(c, argv[0], e);
	}
	return ctl_usage("billing");
}
