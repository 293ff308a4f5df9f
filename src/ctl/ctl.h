/* quoinctl's verbs. Each returns the exit status: 0, 1 (it failed, and said why) or CTL_USAGE. */
#ifndef QUOIN_CTL_CTL_H
#define QUOIN_CTL_CTL_H

#include "quoin/base/buf.h"
#include "quoin/base/conf.h"
#include "quoin/base/field.h"
#include "quoin/base/json.h"
#include "quoin/http/route.h"
#include "quoin/store/db.h"

enum { CTL_OK, CTL_FAILED, CTL_USAGE };

struct ctl {
	const char *config; /* settings file, NULL the usual one */
	struct qn_conf *conf;
	struct qn_arena *arena;
	struct qn_db *db; /* connects when it is first used */
};

typedef int ctl_verb_fn(struct ctl *c, int argc, char **argv); /* what follows the verb */

struct ctl_verb {
	const char *name, *usage, *text;
	ctl_verb_fn *run;
};

/* Opens what the verb needs, runs it, and closes it. */
int ctl_run(struct ctl *c, ctl_verb_fn *run, int argc, char **argv);
/* Says how the verb (NULL: the program) is used; returns CTL_USAGE. */
int ctl_usage(const char *verb);
/* Says "quoinctl: WHAT: why" of an error; returns CTL_FAILED. */
int ctl_fail(const struct ctl *c, const char *what, enum qn_err e);
/* Takes "--name VALUE" out of argv; NULL when it is not there. */
const char *ctl_option(int *argc, char **argv, const char *name);
/* Prints it in a line, as the reference has it; false: not all of it could be printed. */
bool ctl_print_json(const struct qn_object *object, const void *value);
/* The id of an app, or NULL after saying that there is none. */
const char *ctl_app_id(struct ctl *c, const char *slug);
/* Likewise of a user of the app (its id), in the arena. */
const char *ctl_user_id(struct ctl *c, const char *app, const char *email);
/* What is wrong with the plans, limits and licences of an app's file, and in which member; NULL: nothing. */
const char *ctl_plans_fault(
    struct qn_arena *a, const struct qn_json_object *app, const char **ret_where);
/* Whether there is a QUOIN_SECRET_KEY; says so when there is none. */
bool ctl_has_secret(const struct ctl *c);

ctl_verb_fn ctl_migrate, ctl_app, ctl_user, ctl_org, ctl_licence, ctl_grant, ctl_audit, ctl_keys,
    ctl_key, ctl_session, ctl_token, ctl_jobs, ctl_mail, ctl_webhook, ctl_billing, ctl_figures,
    ctl_sso, ctl_routes, ctl_openapi, ctl_nginx, ctl_config, ctl_statements;

#endif
