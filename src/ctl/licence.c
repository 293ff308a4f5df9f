/* licence: what an operator does with licences by hand (CONTRACT D14, D19; docs/licences.md). */
#include "licence.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "quoin/auth/licencekey.h"
#include "quoin/base/rand.h"
#include "quoin/store/organization.h"
#include "quoin/store/user.h"

enum { JSON_BYTES = 32768, LIST_MOST = 1000000 };

#define OPERATOR QN_SPAN_LIT("{\"by\":\"operator\"}")

const struct ctl_licence_column ctl_licence_columns[] = {
    {"plan", "--plan", CTL_LICENCE_TEXT},
    {"name", "--name", CTL_LICENCE_TEXT},
    {"kind", "--kind", CTL_LICENCE_TEXT},
    {"expires_at", "--until", CTL_LICENCE_TIME},
    {"term_days", "--days", CTL_LICENCE_NUMBER},
    {"renewal", "--renewal", CTL_LICENCE_TEXT},
    {"expiry", "--expiry", CTL_LICENCE_TEXT},
    {"max_devices", "--devices", CTL_LICENCE_NUMBER},
    {"max_leases", "--leases", CTL_LICENCE_NUMBER},
    {"lease_seconds", "--lease-seconds", CTL_LICENCE_NUMBER},
    {"heartbeat_seconds", "--heartbeat", CTL_LICENCE_NUMBER},
    {"check_in_days", "--check-in", CTL_LICENCE_NUMBER},
    {"max_version", "--max-version", CTL_LICENCE_TEXT},
    {"max_releases", "--releases", CTL_LICENCE_NUMBER},
    {"overage", "--overage", CTL_LICENCE_TRUTH},
    {"limits", "--limits", CTL_LICENCE_JSON},
    {"features", "--features", CTL_LICENCE_JSON},
    {"metadata", "--metadata", CTL_LICENCE_JSON},
    {"status", NULL, CTL_LICENCE_TEXT},
    {"created_at", NULL, CTL_LICENCE_TIME},
    {"email", NULL, CTL_LICENCE_TEXT},
    {"organization", NULL, CTL_LICENCE_TEXT},
};
const size_t ctl_licence_columns_n = sizeof(ctl_licence_columns) / sizeof(ctl_licence_columns[0]);

static bool is_object(struct qn_arena *a, const char *text)
{
	struct qn_json_object o;

	return qn_json_scan(a, qn_span_of(text), &qn_json_default_limits, &o, NULL) == QN_JSON_OK &&
	       o.members != NULL;
}

bool ctl_licence_member(
    struct qn_buf *b, struct qn_arena *a, const struct ctl_licence_column *column, const char *text)
{
	qn_time at;
	int64_t n;

	qn_buf_printf(b, "%c\"%s\":", b->n > 0 ? ',' : '{', column->name);
	switch (column->type) {
	case CTL_LICENCE_NUMBER:
		if (!qn_json_i64(qn_span_of(text), &n))
			return false;
		qn_buf_i64(b, n);
		break;
	case CTL_LICENCE_TRUTH:
		if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
			return false;
		qn_buf_str(b, text);
		break;
	case CTL_LICENCE_JSON:
		if (!is_object(a, text))
			return false;
		qn_buf_str(b, text);
		break;
	case CTL_LICENCE_TIME:
		if (!qn_time_parse(text, strlen(text), &at))
			return false;
		qn_buf_json(b, text, strlen(text));
		break;
	default:
		qn_buf_json(b, text, strlen(text));
	}
	return !b->over;
}

/* What every verb has. */
struct job {
	struct ctl *c;
	const char *app, *until;
	const char *user_id, *organization_id; /* of --user and --org */
	struct qn_span in;                     /* of issue */
	struct licence licence;                /* of those that name one */
};

static const char *owner_of(const struct licence *l)
{
	return l->user_id != NULL           ? l->user_id
	       : l->organization_id != NULL ? l->organization_id
	                                    : "-";
}

static const char *time_of(struct job *j, qn_time t)
{
	char *text = qn_alloc(j->c->arena, QN_RFC3339_MAX);

	if (t == QN_TIME_NULL)
		return "-";
	qn_time_print(text, t);
	return text;
}

/* A key by the plan's spelling; its owner's is not looked up for that. */
static enum qn_err new_key(struct job *j, struct qn_licence_key *ret)
{
	struct qn_registry *g = qn_registry_new(j->c->conf, NULL);
	struct qn_json_object in;
	const char *plan = "";
	enum qn_err e = qn_registry_reload(g, j->c->db, j->c->arena);
	const struct qn_app *app = e == QN_OK ? qn_registry_app_by_id(g, j->app) : NULL;

	if (qn_json_members(j->c->arena, j->in, &in))
		qn_json_str(j->c->arena, qn_json_get(&in, "plan"), &plan, NULL);
	if (app != NULL)
		qn_licence_key_new(
		    app->licence_prefix, qn_app_plan_or_lowest(app, plan)->shown, ret);
	qn_registry_free(g);
	return e == QN_OK && app == NULL ? QN_NOT_FOUND : e;
}

static enum qn_err issue(struct job *j)
{
	struct qn_licence_key key;
	const char *id;

	QN_TRY(new_key(j, &key));
	QN_TRY(licence_issue(j->c->db, j->c->arena, j->app, key.text, j->in, OPERATOR, &id));
	printf("%s %s\n", key.text, id);
	return QN_OK;
}

static enum qn_err list(struct job *j)
{
	static const char nobody[] = "00000000-0000-0000-0000-000000000000";
	const struct licence_who all = {j->app, nobody, true};
	const struct licence_filter filter = {
	    .user = j->user_id, .organization = j->organization_id};
	struct qn_list found;

	QN_TRY(licence_list(
	    j->c->db, j->c->arena, &all, &filter, (struct page){NULL, LIST_MOST}, &found));
	const struct licence *l = found.items;
	for (size_t i = 0; i < found.n; i++)
		printf("%s %s %-9s %-12s %" PRId64 "/%" PRId64 " %s %s\n", l[i].id,
		    l[i].license_key, l[i].status, l[i].plan, l[i].devices, l[i].max_devices,
		    owner_of(&l[i]), time_of(j, l[i].expires_at));
	return QN_OK;
}

static enum qn_err show(struct job *j)
{
	const struct licence *l = &j->licence;

	printf("id        %s\nkey       %s\nstatus    %s\nkind      %s\nplan      %s%s\n", l->id,
	    l->license_key, l->status, l->kind, l->plan,
	    l->follows_owner == 1 ? ", as its owner has" : "");
	printf("owner     %s\nends      %s\ndevices   %" PRId64 " of %" PRId64 "\n", owner_of(l),
	    time_of(j, l->expires_at), l->devices, l->max_devices);
	if (l->max_leases != QN_I64_NULL)
		printf("leases    %" PRId64 " of %" PRId64 "\n", l->leases, l->max_leases);
	printf("features  %.*s\nquotas    %.*s\nmetadata  %.*s\ncreated   %s\n", (int)l->features.n,
	    l->features.p, (int)l->quotas.n, l->quotas.p, (int)l->metadata.n, l->metadata.p,
	    time_of(j, l->created_at));
	return QN_OK;
}

static enum qn_err change(struct job *j, const char *verb)
{
	struct licence_change c = {.verb = verb,
	    .until = QN_TIME_NULL,
	    .user = j->user_id,
	    .organization = j->organization_id,
	    .by = OPERATOR};

	if (j->until != NULL && !qn_time_parse(j->until, strlen(j->until), &c.until))
		return QN_INVALID;
	return licence_change(j->c->db, j->c->arena, j->app, j->licence.id, &c);
}

static enum qn_err renew(struct job *j)
{
	return change(j, "renew");
}

static enum qn_err suspend(struct job *j)
{
	return change(j, "suspend");
}

static enum qn_err reinstate(struct job *j)
{
	return change(j, "reinstate");
}

static enum qn_err revoke_licence(struct job *j)
{
	return change(j, "revoke");
}

static enum qn_err transfer(struct job *j)
{
	return change(j, "transfer");
}

enum { NAMED = 1, UNTIL = 2, OWNER = 4, POLICY = 8 };

static const struct verb {
	const char *name;
	unsigned takes;
	enum qn_err (*run)(struct job *j);
	const char *usage;
} verbs[] = {
    {"issue", OWNER | POLICY, issue,
	"[--plan P] [--user EMAIL|--org ORG] [--days N|--until TIME] [--devices N] [--kind K] ..."},
    {"list", OWNER, list, "[--user EMAIL|--org ORG]"},
    {"show", NAMED, show, "KEY|ID"},
    {"renew", NAMED | UNTIL, renew, "[--until TIME] KEY|ID"},
    {"suspend", NAMED, suspend, "KEY|ID"},
    {"reinstate", NAMED, reinstate, "KEY|ID"},
    {"revoke", NAMED, revoke_licence, "KEY|ID"},
    {"transfer", NAMED | OWNER, transfer, "[--user EMAIL|--org ORG] KEY|ID"},
};
enum { VERBS = sizeof(verbs) / sizeof(verbs[0]) };

static int usage(void)
{
	for (size_t i = 0; i < VERBS; i++)
		fprintf(stderr, "%s quoinctl licence %s --app APP %s\n",
		    i == 0 ? "Usage:" : "      ", verbs[i].name, verbs[i].usage);
	fputs("       quoinctl licence import --app APP [--dry-run] FILE|-\n"
	      "       quoinctl licence export --app APP\n",
	    stderr);
	return CTL_USAGE;
}

static enum qn_err find_owner(struct job *j, const char *email, const char *name)
{
	struct organization org;
	struct user user;

	if (email != NULL) {
		QN_TRY(user_by_email(j->c->db, j->c->arena, j->app, email, &user));
		j->user_id = user.id;
	}
	if (name != NULL) {
		QN_TRY(organization_find(j->c->db, j->c->arena, j->app, name, &org));
		j->organization_id = org.id;
	}
	return QN_OK;
}

/* By its key, as it stands or as it is meant, or by its id. */
static enum qn_err find_licence(struct job *j, const char *named)
{
	const struct licence_who all = {j->app, NULL, true};
	struct qn_licence_key key;
	char id[QN_UUID_LEN + 1];

	if (qn_uuid_parse(named, strlen(named), id))
		return licence_by_id(j->c->db, j->c->arena, &all, id, &j->licence);
	if (qn_licence_key_read("", qn_span_of(named), &key) == QN_LICENCE_KEY_NONE)
		return QN_NOT_FOUND;
	return licence_by_key(j->c->db, j->c->arena, j->app, key.hash, &j->licence);
}

/* The options of a policy as an object; false after saying which is wrong. */
static bool read_policy(struct job *j, int *argc, char **argv)
{
	struct qn_buf b;
	bool good = true;

	qn_buf_init(&b, JSON_BYTES);
	for (size_t i = 0; good && i < ctl_licence_columns_n; i++) {
		const struct ctl_licence_column *column = &ctl_licence_columns[i];
		const char *value =
		    column->option != NULL ? ctl_option(argc, argv, column->option) : NULL;
		if (value != NULL && !ctl_licence_member(&b, j->c->arena, column, value)) {
			fprintf(stderr, "quoinctl: %s: not one\n", column->option);
			good = false;
		}
	}
	const char *ids[][2] = {{"user_id", j->user_id}, {"organization_id", j->organization_id}};
	for (size_t i = 0; i < 2; i++)
		if (ids[i][1] != NULL)
			qn_buf_printf(
			    &b, "%c\"%s\":\"%s\"", b.n > 0 ? ',' : '{', ids[i][0], ids[i][1]);
	qn_buf_str(&b, b.n > 0 ? "}" : "{}");
	good = good && !b.over;
	j->in = qn_span_of(qn_strndup(j->c->arena, b.p, b.n));
	qn_buf_done(&b);
	return good;
}

static int run(struct job *j, const struct verb *v, int argc, char **argv)
{
	const char *email = v->takes & OWNER ? ctl_option(&argc, argv, "--user") : NULL;
	const char *org = v->takes & OWNER ? ctl_option(&argc, argv, "--org") : NULL;

	j->until = v->takes & UNTIL ? ctl_option(&argc, argv, "--until") : NULL;
	if (email != NULL && org != NULL)
		return usage();
	enum qn_err e = find_owner(j, email, org);
	if (e != QN_OK)
		return ctl_fail(j->c, argv[0], e);
	if ((v->takes & POLICY) && !read_policy(j, &argc, argv))
		return CTL_FAILED;
	if (argc - 1 != ((v->takes & NAMED) != 0))
		return usage();
	if (v->takes & NAMED)
		e = find_licence(j, argv[1]);
	if (e == QN_OK)
		e = v->run(j);
	return e == QN_OK ? CTL_OK : ctl_fail(j->c, argv[0], e);
}

int ctl_licence(struct ctl *c, int argc, char **argv)
{
	const char *app = ctl_option(&argc, argv, "--app");
	bool dry = argc == 3 && strcmp(argv[1], "--dry-run") == 0;
	struct job j = {.c = c};

	if (app == NULL || argc < 1)
		return usage();
	j.app = ctl_app_id(c, app);
	if (j.app == NULL)
		return CTL_FAILED;
	if (strcmp(argv[0], "import") == 0 && argc == 2 + dry)
		return ctl_licence_import(c, j.app, argv[1 + dry], dry);
	if (strcmp(argv[0], "export") == 0 && argc == 1)
		return ctl_licence_export(c, j.app);
	for (size_t i = 0; i < VERBS; i++)
		if (strcmp(argv[0], verbs[i].name) == 0)
			return run(&j, &verbs[i], argc, argv);
	return usage();
}
