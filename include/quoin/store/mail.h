/*
 * Mail as stored: queued with its job in the transaction of its effect, so it is sent at least once (SECURITY
 * F29). What its template puts in is sealed by the caller, and gone once the mail is sent or given up.
 */
#ifndef QUOIN_STORE_MAIL_H
#define QUOIN_STORE_MAIL_H

#include "quoin/store/db.h"

struct mail {
	const char *id, *app_id, *user_id, *to_address, *template;
	const char *state; /* queued, sent, failed, bounced */
	const char *last_error, *message_id;
	struct qn_span variables; /* absent but while it is queued */
	int64_t attempts;
	qn_time created_at, sent_at;
	const char *app_slug, *app_name;
	struct qn_span app_config;
};

extern const struct qn_object mail_object;

/* Adds mail->id, app_id, user_id (NULL: nobody's), to_address, template and variables, and its job. */
enum qn_err mail_add(struct qn_db *db, struct qn_arena *a, const struct mail *mail) QN_MUST_CHECK;
/* With its app. QN_NOT_FOUND. */
enum qn_err mail_by_id(
    struct qn_db *db, struct qn_arena *a, const char *id, struct mail *ret) QN_MUST_CHECK;

/* One attempt more: it was sent; it comes again; it is given up (`state` failed or bounced). Each changes
 * only a mail that is still queued. */
enum qn_err mail_sent(
    struct qn_db *db, struct qn_arena *a, const char *id, const char *message_id) QN_MUST_CHECK;
enum qn_err mail_tried(
    struct qn_db *db, struct qn_arena *a, const char *id, const char *why) QN_MUST_CHECK;
enum qn_err mail_given_up(struct qn_db *db, struct qn_arena *a, const char *id, const char *state,
    const char *why) QN_MUST_CHECK;

/* The newest hundred, of an app and of a state unless NULL; without their variables. */
enum qn_err mail_list(struct qn_db *db, struct qn_arena *a, const char *app_id, const char *state,
    struct qn_list *ret) QN_MUST_CHECK;
/* Makes a queued one due now, with all its attempts before it. QN_NOT_FOUND when none of that id waits. */
enum qn_err mail_retry(struct qn_db *db, struct qn_arena *a, const char *id) QN_MUST_CHECK;
/* Forgets mail of more than thirty days ago, a thousand at a time; *ret_n of them. */
enum qn_err mail_prune(struct qn_db *db, struct qn_arena *a, int64_t *ret_n) QN_MUST_CHECK;

#endif
