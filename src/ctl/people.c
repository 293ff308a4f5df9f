/* token, jobs. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl.h"
#include "quoin/base/rand.h"
#include "quoin/auth/appkey.h"
#include "quoin/auth/issue.h"
#include "quoin/auth/password.h"
#include "quoin/auth/registry.h"
#include "quoin/base/json.h"
#include "quoin/store/account.h"
#include "quoin/net/address.h"
#include "quoin/store/app.h"
#include "quoin/store/credential.h"
#include "quoin/store/job.h"
#include "quoin/store/session.h"
#include "quoin/store/user.h"

#define SECOND_US INT64_C(1000000)

/* A token of the second in which all were taken back would be among them: that second is let pass. */
static enum qn_err issued_at(
    struct ctl *c, const struct app_row *app, const struct user *user, qn_time *ret)
{
	const struct timespec moment = {.tv_nsec = 10000000};
	struct credential who;

	QN_TRY(credential_of_user(c->db, c->arena, app->id, user->id, &who));
	for (;;) {
		*ret = qn_now();
		if (who.signed_out_at == QN_TIME_NULL ||
		    who.signed_out_at / SECOND_US != *ret / SECOND_US)
			return QN_OK;
		nanosleep(&moment, NULL);
	}
}

static enum qn_err issue(struct ctl *c, const struct app_row *app, const struct user *user,
    int64_t minutes, const char **ret)
{
	struct qn_json_object config = {NULL, 0};
	struct qn_signing_key *key = NULL;
	qn_time at;

	if (!qn_json_members(c->arena, app->config, &config))
		return QN_INTERNAL;
	QN_TRY(issued_at(c, app, user, &at));
	QN_TRY(qn_app_key(c->conf, c->db, c->arena, app->id, &key));
	struct qn_claims_out claims = {.typ = QN_TYP_ACCESS,
	    .iss = qn_own_issuer(c->arena, c->conf, &config, app->slug),
	    .sub = user->id,
	    .iat = at,
	    .email = user->email,
	    .email_verified = user->email_verified == 1};
	claims.aud = qn_own_audience(c->arena, &config, claims.iss);
	claims.exp = claims.iat + minutes * 60000000;
	enum qn_err e = qn_token_issue(c->arena, key, &claims, ret);
	qn_signing_key_free(key);
	return e;
}

int ctl_token(struct ctl *c, int argc, char **argv)
{
	const char *slug = ctl_option(&argc, argv, "--app");
	const char *minutes = ctl_option(&argc, argv, "--minutes");
	int64_t n = 60;
	const char *token;
	struct app_row app;
	struct user user;

	if (slug == NULL || argc != 1 ||
	    (minutes != NULL && !qn_json_i64(qn_span_of(minutes), &n)) || n < 1 || n > 525600)
		return ctl_usage("token");
	if (!ctl_has_secret(c) || ctl_app_id(c, slug) == NULL)
		return CTL_FAILED;
	enum qn_err e = app_by_slug(c->db, c->arena, slug, &app);
	if (e == QN_OK)
		e = user_by_email(c->db, c->arena, app.id, argv[0], &user);
	if (e == QN_OK)
		e = issue(c, &app, &user, n, &token);
	if (e != QN_OK)
		return ctl_fail(c, argv[0], e);
	puts(token);
	return CTL_OK;
}

static int list_jobs(struct ctl *c)
{
	struct qn_list list;
	enum qn_err e = job_list(c->db, c->arena, &list);
	const struct job *jobs = list.items;
	char due[QN_RFC3339_MAX];

	if (e != QN_OK)
		return ctl_fail(c, "jobs", e);
	for (size_t i = 0; i < list.n; i++) {
		qn_time_print(due, jobs[i].run_at);
		printf("%s %-18s %s attempts=%" PRId64 " %s%s%s\n", jobs[i].id, jobs[i].kind, due,
		    jobs[i].attempts, jobs[i].dead_at != QN_TIME_NULL ? "dead" : "waiting",
		    jobs[i].failure != NULL ? " " : "",
		    jobs[i].failure != NULL ? jobs[i].failure : "");
	}
	return CTL_OK;
}

int ctl_jobs(struct ctl *c, int argc, char **argv)
{
	char id[QN_UUID_LEN + 1];

	if (argc == 1 && strcmp(argv[0], "list") == 0)
		return list_jobs(c);
	if (argc != 2 || strcmp(argv[0], "retry") != 0 ||
	    !qn_uuid_parse(argv[1], strlen(argv[1]), id))
		return ctl_usage("jobs");
	enum qn_err e = job_retry(c->db, c->arena, id);
	return e == QN_OK ? CTL_OK : ctl_fail(c, id, e);
}
