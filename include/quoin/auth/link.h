/*
 * Links that are mailed to whoever has an address: to verify it, to set a new password, to sign in (X2, X5,
 * E14). Asking for one costs the same whether or not there is an account: the rest is a job's (SECURITY T11).
 */
#ifndef QUOIN_AUTH_LINK_H
#define QUOIN_AUTH_LINK_H

#include "quoin/base/conf.h"
#include "quoin/store/db.h"

enum qn_link { QN_LINK_VERIFY, QN_LINK_RESET, QN_LINK_MAGIC, QN_LINK__MAX };

#define QN_LINK_JOB "account.link"

const char *qn_link_purpose(enum qn_link link); /* of the one-time token: "reset-password" */

/* Adds the job that mails the link to `email`, if there is reason to. */
enum qn_err qn_link_ask(struct qn_db *db, struct qn_arena *a, const char *app_id, enum qn_link link,
    const char *email) QN_MUST_CHECK;
/* The job: `payload` is what qn_link_ask made. QN_OK also when there is no such account. */
enum qn_err qn_link_send(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const char *app_id, struct qn_span payload) QN_MUST_CHECK;
/* Mails a link to a user who is known, in the open transaction. */
enum qn_err qn_link_mail(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const char *app_id, enum qn_link link, const char *user, const char *email) QN_MUST_CHECK;

#endif
