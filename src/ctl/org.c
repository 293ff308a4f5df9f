/* org: what an operator does for the organizations of an app. Each change stands in their audit log. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "quoin/auth/registry.h"
#include "quoin/base/json.h"
#include "quoin/base/rand.h"
#include "quoin/store/app.h"
#include "quoin/store/audit.h"
#include "quoin/store/organization.h"
#include "quoin/store/member.h"
#include "quoin/store/user.h"

enum { MEMBERS_MOST = 1000000 };

/* What every verb has: the app, and the organization where one is named. */
struct job {
	struct ctl *c;
	const char *app, *seats;
	struct organization org;
};

static enum qn_err note(
    struct job *j, const char *action, const char *type, const char *id, const char *details)
{
	return audit_write(j->c->db, j->c->arena,
	    &(struct audit_event){.app = j->app,
		.organization = j->org.id,
		.action = action,
		.resource_type = type,
		.resource_id = id,
		.details = qn_span_of(details)});
}

static enum qn_err list(struct job *j, char **argv)
{
	struct qn_list all;

	(void)argv;
	QN_TRY(organization_list_all(j->c->db, j->c->arena, j->app, &all));
	const struct organization *o = all.items;
	for (size_t i = 0; i < all.n; i++)
		printf("%s %-30s %-12s %" PRId64 "/%" PRId64 " %s\n", o[i].id, o[i].slug, o[i].plan,
		    o[i].seats_used, o[i].max_seats, o[i].name);
	return QN_OK;
}

static enum qn_err show(struct job *j, char **argv)
{
	const struct organization *o = &j->org;
	char made[QN_RFC3339_MAX];

	(void)argv;
	qn_time_print(made, o->created_at);
	printf("id         %s\nslug       %s\nname       %s\nplan       %s\n", o->id, o->slug,
	    o->name, o->plan);
	printf("seats      %" PRId64 " of %" PRId64 "\nretention  %" PRId64
	       " days\nsso        %s\n",
	    o->seats_used, o->max_seats, o->audit_log_retention_days,
	    o->sso_enabled == 1 ? o->sso_domain : "-");
	printf("created    %s\nsettings   %.*s\n", made, (int)o->settings.n, o->settings.p);
	return QN_OK;
}

static enum qn_err members(struct job *j, char **argv)
{
	struct qn_list all;

	(void)argv;
	QN_TRY(member_list(
	    j->c->db, j->c->arena, j->app, j->org.id, (struct page){NULL, MEMBERS_MOST}, &all));
	const struct member *m = all.items;
	for (size_t i = 0; i < all.n; i++)
		printf(
		    "%s %-6s %s\n", m[i].user_id, m[i].role, m[i].email != NULL ? m[i].email : "-");
	return QN_OK;
}

/* NAME SLUG EMAIL: E13's first organization is made so. */
static enum qn_err create(struct job *j, char **argv)
{
	struct user user;

	QN_TRY(user_by_email(j->c->db, j->c->arena, j->app, argv[2], &user));
	QN_TX(tx, j->c->db);
	QN_TRY(
	    organization_create(j->c->db, j->c->arena, j->app, user.id, argv[0], argv[1], &j->org));
	QN_TRY(note(j, "org.create", "organization", j->org.id, "{\"by\":\"operator\"}"));
	QN_TRY(qn_tx_commit(&tx));
	printf("%s %s\n", j->org.id, j->org.slug);
	return QN_OK;
}

static enum qn_err add_member(struct job *j, char **argv)
{
	struct user user;

	if (member_role_by_name(argv[2]) == QN_ROLE_NONE)
		return QN_INVALID;
	QN_TRY(user_by_email(j->c->db, j->c->arena, j->app, argv[1], &user));
	QN_TX(tx, j->c->db);
	QN_TRY(member_add(j->c->db, j->c->arena, j->app, j->org.id, user.id, argv[2]));
	QN_TRY(note(j, "org.member.join", "user", user.id,
	    qn_printf(j->c->arena, "{\"by\":\"operator\",\"role\":\"%s\"}", argv[2])));
	return qn_tx_commit(&tx);
}

static enum qn_err set_role(struct job *j, char **argv)
{
	struct user user;
	const char *was;

	if (member_role_by_name(argv[2]) == QN_ROLE_NONE)
		return QN_INVALID;
	QN_TRY(user_by_email(j->c->db, j->c->arena, j->app, argv[1], &user));
	QN_TX(tx, j->c->db);
	QN_TRY(member_set_role(
	    j->c->db, j->c->arena, j->app, j->org.id, NULL, user.id, argv[2], &was));
	QN_TRY(note(j, "org.member.role", "user", user.id,
	    qn_printf(j->c->arena, "{\"by\":\"operator\",\"role\":\"%s\",\"was\":\"%s\"}", argv[2],
		was)));
	return qn_tx_commit(&tx);
}

static enum qn_err remove_member(struct job *j, char **argv)
{
	struct user user;
	const char *was;

	QN_TRY(user_by_email(j->c->db, j->c->arena, j->app, argv[1], &user));
	QN_TX(tx, j->c->db);
	QN_TRY(member_remove(j->c->db, j->c->arena, j->app, j->org.id, NULL, user.id, &was));
	QN_TRY(note(j, "org.member.remove", "user", user.id,
	    qn_printf(j->c->arena, "{\"by\":\"operator\",\"was\":\"%s\"}", was)));
	return qn_tx_commit(&tx);
}

/* The seats that are given, else the plan's, else as many as before. */
static enum qn_err set_plan(struct job *j, char **argv)
{
	struct qn_registry *g = qn_registry_new(j->c->conf, NULL);
	const struct qn_plan *plan = NULL;
	int64_t seats = QN_I64_NULL;

	enum qn_err e = qn_registry_reload(g, j->c->db, j->c->arena);
	if (e == QN_OK && (plan = qn_app_plan(qn_registry_app_by_id(g, j->app), argv[1])) != NULL)
		seats = plan->seats;
	qn_registry_free(g);
	QN_TRY(e);
	if (plan == NULL) {
		fprintf(stderr, "quoinctl: the app's file has no plan '%s'\n", argv[1]);
		return QN_INVALID;
	}
	if (j->seats != NULL &&
	    (!qn_json_i64(qn_span_of(j->seats), &seats) || seats < -1 || seats == 0))
		return QN_INVALID;
	QN_TX(tx, j->c->db);
	QN_TRY(organization_set_plan(j->c->db, j->c->arena, j->app, j->org.id, argv[1], seats));
	QN_TRY(note(j, "org.plan", "organization", j->org.id,
	    qn_printf(j->c->arena, "{\"by\":\"operator\",\"plan\":\"%s\"}", argv[1])));
	return qn_tx_commit(&tx);
}

static const struct {
	const char *name;
	int args; /* the first is the organization's id or slug, but of those that name none */
	bool named;
	enum qn_err (*run)(struct job *j, char **argv);
	const char *usage;
} verbs[] = {
    {"list", 0, false, list, ""},
    {"show", 1, true, show, "ORG"},
    {"members", 1, true, members, "ORG"},
    {"create", 3, false, create, "NAME SLUG OWNER-EMAIL"},
    {"add-member", 3, true, add_member, "ORG EMAIL member|admin|owner"},
    {"set-role", 3, true, set_role, "ORG EMAIL member|admin|owner"},
    {"remove-member", 2, true, remove_member, "ORG EMAIL"},
    {"set-plan", 2, true, set_plan, "[--seats N] ORG PLAN"},
};
enum { VERBS = sizeof(verbs) / sizeof(verbs[0]) };

static int usage(void)
{
	for (size_t i = 0; i < VERBS; i++)
		fprintf(stderr, "%s quoinctl org %s --app APP %s\n", i == 0 ? "Usage:" : "      ",
		    verbs[i].name, verbs[i].usage);
	return CTL_USAGE;
}

int ctl_org(struct ctl *c, int argc, char **argv)
{
	const char *app = ctl_option(&argc, argv, "--app");
	struct job j = {.c = c, .seats = ctl_option(&argc, argv, "--seats")};
	size_t i = 0;

	while (i < VERBS && (argc == 0 || strcmp(argv[0], verbs[i].name) != 0))
		i++;
	if (app == NULL || i == VERBS || argc - 1 != verbs[i].args ||
	    (j.seats != NULL && verbs[i].run != set_plan))
		return usage();
	j.app = ctl_app_id(c, app);
	if (j.app == NULL)
		return CTL_FAILED;
	enum qn_err e =
	    verbs[i].named ? organization_find(c->db, c->arena, j.app, argv[1], &j.org) : QN_OK;
	if (e == QN_OK)
		e = verbs[i].run(&j, argv + 1);
	return e == QN_OK ? CTL_OK : ctl_fail(c, argv[0], e);
}
