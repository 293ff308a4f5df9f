/* key, session: the API keys and the sessions of one user, and the end of one of them. */
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "quoin/base/rand.h"
#include "quoin/store/apikey.h"
#include "quoin/store/audit.h"
#include "quoin/store/session.h"

/* Whose it is; which one, when one is to end. */
struct job {
	struct ctl *c;
	const char *app, *user, *id;
};

static const char *shown_time(struct ctl *c, qn_time t)
{
	char text[QN_RFC3339_MAX];

	if (t == QN_TIME_NULL)
		return "-";
	qn_time_print(text, t);
	return qn_strdup(c->arena, text);
}

static enum qn_err list_keys(const struct job *j)
{
	struct qn_list all;

	QN_TRY(apikey_list(j->c->db, j->c->arena, j->app, j->user, &all));
	const struct apikey *k = all.items;
	for (size_t i = 0; i < all.n; i++)
		printf("%s %s made=%s used=%s ends=%s %.*s %.*s %s\n", k[i].id, k[i].key_prefix,
		    shown_time(j->c, k[i].created_at), shown_time(j->c, k[i].last_used_at),
		    shown_time(j->c, k[i].expires_at), (int)k[i].scopes.n, k[i].scopes.p,
		    (int)k[i].ip_allow.n, k[i].ip_allow.p, k[i].name);
	return QN_OK;
}

static enum qn_err list_sessions(const struct job *j)
{
	struct qn_list all;

	QN_TRY(session_list(j->c->db, j->c->arena, j->app, j->user, &all));
	const struct session *s = all.items;
	for (size_t i = 0; i < all.n; i++)
		printf("%s %s aal=%d began=%s used=%s ends=%s %s %s\n", s[i].id, s[i].method,
		    (int)s[i].aal, shown_time(j->c, s[i].created_at),
		    shown_time(j->c, s[i].last_used_at), shown_time(j->c, s[i].expires_at),
		    s[i].ip != NULL ? s[i].ip : "-",
		    s[i].device_name != NULL ? s[i].device_name : "-");
	return QN_OK;
}

static enum qn_err revoked(const struct job *j, const char *action, const char *type)
{
	return audit_write(j->c->db, j->c->arena,
	    &(struct audit_event){
		.app = j->app, .action = action, .resource_type = type, .resource_id = j->id});
}

static enum qn_err revoke_key(const struct job *j)
{
	QN_TX(tx, j->c->db);
	QN_TRY(apikey_revoke(j->c->db, j->c->arena, j->app, j->user, j->id));
	QN_TRY(revoked(j, "api-key.revoke", "api-key"));
	return qn_tx_commit(&tx);
}

static enum qn_err revoke_session(const struct job *j)
{
	QN_TX(tx, j->c->db);
	QN_TRY(
	    session_revoke(j->c->db, j->c->arena, j->app, j->user, j->id, "ended by an operator"));
	QN_TRY(revoked(j, "session.revoke", "session"));
	return qn_tx_commit(&tx);
}

/* --app APP list EMAIL, or revoke EMAIL ID. */
static int run(struct ctl *c, int argc, char **argv, const char *verb,
    enum qn_err (*list)(const struct job *j), enum qn_err (*revoke)(const struct job *j))
{
	const char *app = ctl_option(&argc, argv, "--app");
	bool listing = argc == 2 && strcmp(argv[0], "list") == 0;
	struct job j = {.c = c};
	char id[QN_UUID_LEN + 1];

	if (app == NULL || (!listing && (argc != 3 || strcmp(argv[0], "revoke") != 0 ||
					    !qn_uuid_parse(argv[2], strlen(argv[2]), id))))
		return ctl_usage(verb);
	j.app = ctl_app_id(c, app);
	if (j.app == NULL || (j.user = ctl_user_id(c, j.app, argv[1])) == NULL)
		return CTL_FAILED;
	j.id = listing ? NULL : id;
	enum qn_err e = listing ? list(&j) : revoke(&j);
	return e == QN_OK ? CTL_OK : ctl_fail(c, argv[listing ? 1 : 2], e);
}

int ctl_key(struct ctl *c, int argc, char **argv)
{
	return run(c, argc, argv, "key", list_keys, revoke_key);
}

int ctl_session(struct ctl *c, int argc, char **argv)
{
	return run(c, argc, argv, "session", list_sessions, revoke_session);
}
