/* grant: why somebody has a plan, and what an operator says in its place (CONTRACT K13; docs/apps.md). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "quoin/auth/registry.h"
#include "quoin/base/buf.h"
#include "quoin/base/clock.h"
#include "quoin/base/json.h"
#include "quoin/store/audit.h"
#include "quoin/store/entitlement.h"
#include "quoin/store/organization.h"
#include "quoin/store/user.h"

enum { WORDS_BYTES = 8192 };

/* Whose grants: of one user, of one organization, or (of a list) of all. */
struct subject {
	const char *app, *user, *org;
};

static enum qn_err find(struct ctl *c, const char *email, const char *name, struct subject *s)
{
	struct organization org;
	struct user user;

	if (email != NULL) {
		QN_TRY(user_by_email(c->db, c->arena, s->app, email, &user));
		s->user = user.id;
	}
	if (name != NULL) {
		QN_TRY(organization_find(c->db, c->arena, s->app, name, &org));
		s->org = org.id;
	}
	return QN_OK;
}

static enum qn_err note(
    struct ctl *c, const struct subject *s, const char *action, const char *plan)
{
	return audit_write(c->db, c->arena,
	    &(struct audit_event){.app = s->app,
		.organization = s->org,
		.user = s->user,
		.action = action,
		.resource_type = "grant",
		.resource_id = s->org != NULL ? s->org : s->user,
		.details = qn_span_of(qn_printf(
		    c->arena, "{\"by\":\"operator\",\"plan\":\"%s\"}", plan != NULL ? plan : ""))});
}

static enum qn_err list(struct ctl *c, const struct subject *s)
{
	char until[QN_RFC3339_MAX];
	struct qn_list all;

	QN_TRY(grant_list(c->db, c->arena, s->app, s->user, s->org, &all));
	const struct grant *g = all.items;
	for (size_t i = 0; i < all.n; i++) {
		if (g[i].ends_at != QN_TIME_NULL)
			qn_time_print(until, g[i].ends_at);
		printf("%-12s %s %-12s %-6s %s %.*s %.*s %s%s%s\n", g[i].source,
		    g[i].user_id != NULL ? g[i].user_id : g[i].organization_id,
		    g[i].plan != NULL ? g[i].plan : "-", g[i].in_force == 1 ? "counts" : "over",
		    g[i].ends_at != QN_TIME_NULL ? until : "-", (int)g[i].limits.n, g[i].limits.p,
		    (int)g[i].features.n, g[i].features.p, g[i].source_id,
		    g[i].note != NULL ? " " : "", g[i].note != NULL ? g[i].note : "");
	}
	return QN_OK;
}

/* ^[a-z][a-z0-9_]{0,31}$, of n bytes */
static bool is_word(const char *s, size_t n)
{
	return n >= 1 && n <= 32 && s[0] >= 'a' && s[0] <= 'z' &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_") >= n;
}

/* The --limit METER=MAX of argv as an object, the --feature WORD as a list. */
static bool read_words(struct ctl *c, int *argc, char **argv, struct grant *g)
{
	struct qn_buf limits, features;
	const char *s;
	int64_t max;
	bool good = true;

	qn_buf_init(&limits, WORDS_BYTES);
	qn_buf_init(&features, WORDS_BYTES);
	while (good && (s = ctl_option(argc, argv, "--limit")) != NULL) {
		size_t n = strcspn(s, "=");
		good = is_word(s, n) && s[n] == '=' && qn_json_i64(qn_span_of(s + n + 1), &max) &&
		       max >= -1 && max <= METER_MOST;
		if (good)
			qn_buf_printf(&limits, "%c\"%.*s\":%" PRId64, limits.n > 0 ? ',' : '{',
			    (int)n, s, max);
	}
	while (good && (s = ctl_option(argc, argv, "--feature")) != NULL) {
		good = is_word(s, strlen(s));
		if (good)
			qn_buf_printf(&features, "%c\"%s\"", features.n > 0 ? ',' : '[', s);
	}
	qn_buf_str(&limits, limits.n > 0 ? "}" : "{}");
	qn_buf_str(&features, features.n > 0 ? "]" : "[]");
	good = good && !limits.over && !features.over;
	g->limits = qn_span_of(qn_strndup(c->arena, limits.p, limits.n));
	g->features = qn_span_of(qn_strndup(c->arena, features.p, features.n));
	qn_buf_done(&limits);
	qn_buf_done(&features);
	return good;
}

static bool read_grant(struct ctl *c, int *argc, char **argv, struct grant *g)
{
	const char *seats = ctl_option(argc, argv, "--seats");
	const char *until = ctl_option(argc, argv, "--until");

	*g = (struct grant){.seats = QN_I64_NULL, .ends_at = QN_TIME_NULL};
	g->plan = ctl_option(argc, argv, "--plan");
	g->note = ctl_option(argc, argv, "--note");
	if (seats != NULL &&
	    (!qn_json_i64(qn_span_of(seats), &g->seats) || g->seats < -1 || g->seats == 0))
		return false;
	if (until != NULL && !qn_time_parse(until, strlen(until), &g->ends_at))
		return false;
	return read_words(c, argc, argv, g);
}

/* A plan that is misspelt would be the lowest. */
static enum qn_err plan_known(struct ctl *c, const char *app, const char *plan)
{
	struct qn_registry *g = qn_registry_new(c->conf, NULL);
	enum qn_err e = qn_registry_reload(g, c->db, c->arena);
	bool known = e == QN_OK && qn_app_plan(qn_registry_app_by_id(g, app), plan) != NULL;

	qn_registry_free(g);
	if (e == QN_OK && !known) {
		fprintf(stderr, "quoinctl: the app's file has no plan '%s'\n", plan);
		return QN_INVALID;
	}
	return e;
}

static enum qn_err put(struct ctl *c, const struct subject *s, const struct grant *g)
{
	if (g->plan != NULL)
		QN_TRY(plan_known(c, s->app, g->plan));
	if (g->ends_at != QN_TIME_NULL && g->ends_at <= qn_now()) {
		fputs("quoinctl: --until is over already; grant drop ends one now\n", stderr);
		return QN_INVALID;
	}
	QN_TX(tx, c->db);
	QN_TRY(grant_override(c->db, c->arena, s->app, s->user, s->org, g));
	QN_TRY(note(c, s, "grant.set", g->plan));
	return qn_tx_commit(&tx);
}

static enum qn_err drop(struct ctl *c, const struct subject *s)
{
	QN_TX(tx, c->db);
	QN_TRY(grant_drop_override(c->db, c->arena, s->app, s->org != NULL ? s->org : s->user));
	QN_TRY(note(c, s, "grant.drop", NULL));
	return qn_tx_commit(&tx);
}

int ctl_grant(struct ctl *c, int argc, char **argv)
{
	const char *app = ctl_option(&argc, argv, "--app");
	const char *email = ctl_option(&argc, argv, "--user");
	const char *org = ctl_option(&argc, argv, "--org");
	struct subject s = {NULL, NULL, NULL};
	struct grant g;
	bool good = read_grant(c, &argc, argv, &g);
	bool one = (email != NULL) != (org != NULL);

	if (!good || app == NULL || argc != 1)
		return ctl_usage("grant");
	bool is_list = strcmp(argv[0], "list") == 0, is_set = strcmp(argv[0], "set") == 0;
	if ((!one && !(is_list && email == NULL)) ||
	    (!is_list && !is_set && strcmp(argv[0], "drop") != 0))
		return ctl_usage("grant");
	s.app = ctl_app_id(c, app);
	if (s.app == NULL)
		return CTL_FAILED;
	enum qn_err e = find(c, email, org, &s);
	if (e == QN_OK)
		e = is_list ? list(c, &s) : is_set ? put(c, &s, &g) : drop(c, &s);
	return e == QN_OK ? CTL_OK : ctl_fail(c, argv[0], e);
}
