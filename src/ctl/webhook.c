/* webhook: what an operator does for the endpoints of an app, or of one of its organizations. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "quoin/auth/webhook.h"
#include "quoin/base/rand.h"
#include "quoin/net/outcall.h"
#include "quoin/store/audit.h"
#include "quoin/store/organization.h"

enum { SHOWN = 100, LIST_BYTES = 4096 };

struct task {
	struct ctl *c;
	struct webhook_scope of;
	const char *events; /* --events: types with commas between; NULL: all */
};

static enum qn_err note(struct task *t, const char *action, const char *id)
{
	return audit_write(t->c->db, t->c->arena,
	    &(struct audit_event){.app = t->of.app,
		.organization = t->of.org,
		.action = action,
		.resource_type = "webhook",
		.resource_id = id,
		.details = qn_span_of("{\"by\":\"operator\"}")});
}

/* As a JSON list; false after saying which is none. */
static bool read_events(struct task *t, struct qn_span *ret)
{
	const char *all = t->events;
	struct qn_buf b;

	qn_buf_init(&b, LIST_BYTES);
	qn_buf_char(&b, '[');
	while (all != NULL && *all != '\0') {
		size_t n = strcspn(all, ",");
		const char *type = qn_strndup(t->c->arena, all, n);
		if (!webhook_is_event(type)) {
			fprintf(stderr, "quoinctl: there is no event '%s'\n", type);
			qn_buf_done(&b);
			return false;
		}
		qn_buf_str(&b, b.n > 1 ? "," : "");
		qn_buf_json(&b, type, n);
		all += n + (all[n] == ',');
	}
	qn_buf_char(&b, ']');
	*ret = (struct qn_span){qn_strndup(t->c->arena, b.p, b.n), b.n};
	qn_buf_done(&b);
	return true;
}

static enum qn_err add(struct task *t, char **argv)
{
	const char *fault =
	    qn_outcall_fault(argv[0], qn_conf_bool(t->c->conf, QN_CONF_KEY_QUOIN_OUTBOUND_LOCAL));
	char id[QN_UUID_LEN + 1], secret[QN_WEBHOOK_SECRET];
	struct webhook in = {.id = id, .url = argv[0], .ordered = QN_UNSET}, made;
	struct qn_span sealed;

	if (fault != NULL)
		fprintf(stderr, "quoinctl: %s: %s\n", argv[0], fault);
	if (fault != NULL || !read_events(t, &in.events))
		return QN_INVALID;
	qn_uuid_new(id);
	qn_webhook_secret(secret);
	if (!qn_webhook_seal(t->c->conf, t->c->arena, id, secret, &sealed))
		return QN_INTERNAL;
	QN_TX(tx, t->c->db);
	QN_TRY(webhook_create(t->c->db, t->c->arena, t->of, NULL, &in, sealed, &made));
	QN_TRY(note(t, "webhook.create", id));
	QN_TRY(qn_tx_commit(&tx));
	printf("%s %s\n", id, secret);
	qn_wipe(secret, sizeof(secret));
	return QN_OK;
}

static enum qn_err list(struct task *t, char **argv)
{
	struct qn_list all;

	(void)argv;
	QN_TRY(webhook_list(t->c->db, t->c->arena, t->of, &all));
	const struct webhook *w = all.items;
	for (size_t i = 0; i < all.n; i++)
		printf("%s %-8s %s %.*s\n", w[i].id,
		    w[i].disabled_reason != NULL ? w[i].disabled_reason : "enabled", w[i].url,
		    (int)w[i].events.n, w[i].events.p);
	return QN_OK;
}

static enum qn_err remove_one(struct task *t, char **argv)
{
	QN_TX(tx, t->c->db);
	QN_TRY(webhook_delete(t->c->db, t->c->arena, t->of, argv[0]));
	QN_TRY(note(t, "webhook.delete", argv[0]));
	return qn_tx_commit(&tx);
}

static enum qn_err deliveries(struct task *t, char **argv)
{
	const struct webhook_filter any = {NULL, NULL};
	char at[QN_RFC3339_MAX];
	struct qn_list all;

	QN_TRY(webhook_deliveries(t->c->db, t->c->arena, t->of, argv[0], &any, NULL, SHOWN, &all));
	const struct webhook_delivery *d = all.items;
	for (size_t i = 0; i < all.n; i++) {
		qn_time_print(at, d[i].created_at);
		printf("%s %s %-9s attempts=%" PRId64 " %s", d[i].id, at, d[i].state, d[i].attempts,
		    d[i].type);
		if (d[i].response_status != QN_I64_NULL)
			printf(" %" PRId64, d[i].response_status);
		printf(
		    "%s%s\n", d[i].error != NULL ? " " : "", d[i].error != NULL ? d[i].error : "");
	}
	return QN_OK;
}

static enum qn_err resend(struct task *t, char **argv)
{
	struct webhook_delivery d;

	QN_TX(tx, t->c->db);
	QN_TRY(webhook_resend(t->c->db, t->c->arena, t->of, argv[0], argv[1], &d));
	QN_TRY(note(t, "webhook.resend", argv[0]));
	return qn_tx_commit(&tx);
}

static const struct {
	const char *name;
	int args; /* ids, but for the URL of add */
	enum qn_err (*run)(struct task *t, char **argv);
	const char *usage;
} verbs[] = {
    {"add", 1, add, "[--events TYPE,…] URL"},
    {"list", 0, list, ""},
    {"remove", 1, remove_one, "ID"},
    {"deliveries", 1, deliveries, "ID"},
    {"resend", 2, resend, "ID DELIVERY"},
};
enum { VERBS = sizeof(verbs) / sizeof(verbs[0]) };

static int usage(void)
{
	for (size_t i = 0; i < VERBS; i++)
		fprintf(stderr, "%s quoinctl webhook %s --app APP [--org ORG] %s\n",
		    i == 0 ? "Usage:" : "      ", verbs[i].name, verbs[i].usage);
	return CTL_USAGE;
}

static bool all_ids(int argc, char **argv)
{
	char id[QN_UUID_LEN + 1];

	for (int i = 0; i < argc; i++)
		if (!qn_uuid_parse(argv[i], strlen(argv[i]), id))
			return false;
	return true;
}

int ctl_webhook(struct ctl *c, int argc, char **argv)
{
	const char *app = ctl_option(&argc, argv, "--app"), *org = ctl_option(&argc, argv, "--org");
	struct task t = {.c = c, .events = ctl_option(&argc, argv, "--events")};
	struct organization o;
	size_t i = 0;

	while (i < VERBS && (argc == 0 || strcmp(argv[0], verbs[i].name) != 0))
		i++;
	if (app == NULL || i == VERBS || argc - 1 != verbs[i].args ||
	    (verbs[i].run == add ? false : t.events != NULL || !all_ids(argc - 1, argv + 1)))
		return usage();
	t.of.app = ctl_has_secret(c) ? ctl_app_id(c, app) : NULL;
	if (t.of.app == NULL)
		return CTL_FAILED;
	enum qn_err e = org != NULL ? organization_find(c->db, c->arena, t.of.app, org, &o) : QN_OK;
	t.of.org = e == QN_OK && org != NULL ? o.id : NULL;
	if (e == QN_OK)
		e = verbs[i].run(&t, argv + 1);
	return e == QN_OK ? CTL_OK : ctl_fail(c, argv[0], e);
}
