#include "ctl.h"

#include <string.h>

#include "quoin/base/log.h"
#include "quoin/http/reply.h"
#include "quoin/store/app.h"
#include "quoin/store/user.h"

enum { ARENA_BYTES = 64 * 1024 * 1024, TIMEOUT_MS = 10000 };

int ctl_run(struct ctl *c, ctl_verb_fn *run, int argc, char **argv)
{
	qn_log_init("quoinctl", QN_WARNING);
	c->conf = qn_conf_load(c->config);
	if (c->conf == NULL)
		return CTL_FAILED;
	c->arena = qn_arena_new(ARENA_BYTES);
	c->db = qn_db_new(
	    qn_conf_str(c->conf, QN_CONF_KEY_DATABASE_URL), "", TIMEOUT_MS, "quoinctl", NULL);
	int status = run(c, argc, argv);
	if (fflush(stdout) != 0)
		status = CTL_FAILED;
	qn_db_free(c->db);
	qn_arena_free(c->arena);
	qn_conf_free(c->conf);
	return status;
}

int ctl_fail(const struct ctl *c, const char *what, enum qn_err e)
{
	const char *why = qn_db_why(c->db);

	fprintf(
	    stderr, "quoinctl: %s: %s%s%s\n", what, qn_err_text(e), why[0] != '\0' ? " " : "", why);
	return CTL_FAILED;
}

const char *ctl_option(int *argc, char **argv, const char *name)
{
	for (int i = 0; i + 1 < *argc; i++) {
		if (strcmp(argv[i], name) != 0)
			continue;
		const char *value = argv[i + 1];
		memmove(argv + i, argv + i + 2, (size_t)(*argc - i - 2) * sizeof(*argv));
		*argc -= 2;
		return value;
	}
	return NULL;
}

const char *ctl_app_id(struct ctl *c, const char *slug)
{
	struct app_row row;
	enum qn_err e = app_by_slug(c->db, c->arena, slug, &row);

	if (e == QN_OK)
		return row.id;
	if (e == QN_NOT_FOUND)
		fprintf(
		    stderr, "quoinctl: there is no app '%s'; quoinctl app list shows them\n", slug);
	else
		ctl_fail(c, slug, e);
	return NULL;
}

bool ctl_has_secret(const struct ctl *c)
{
	if (qn_conf_str(c->conf, QN_CONF_KEY_QUOIN_SECRET_KEY)[0] != '\0')
		return true;
	fputs("quoinctl: QUOIN_SECRET_KEY is not set\n", stderr);
	return false;
}

const char *ctl_user_id(struct ctl *c, const char *app, const char *email)
{
	struct user user;
	enum qn_err e = user_by_email(c->db, c->arena, app, email, &user);

	if (e == QN_OK)
		return user.id;
	ctl_fail(c, email, e);
	return NULL;
}

bool ctl_print_json(const struct qn_object *object, const void *value)
{
	struct qn_reply_text t;
	struct qn_span pieces[2 * QN_REPLY_GAPS + 1];
	bool whole = true;

	qn_reply_text_init(&t, NULL);
	qn_reply_object(&t, object, value, false);
	size_t n = qn_reply_pieces(&t, pieces);
	for (size_t i = 0; i < n; i++)
		whole = whole && fwrite(pieces[i].p, 1, pieces[i].n, stdout) == pieces[i].n;
	whole = whole && !t.text.over && putchar('\n') != EOF;
	qn_reply_text_done(&t);
	return whole;
}
