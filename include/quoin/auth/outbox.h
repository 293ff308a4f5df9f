/*
 * The outbox of mail (DESIGN §10, SECURITY F29): who has to tell somebody something queues it in the transaction
 * of its effect, and jobs sends it. What a template puts in is sealed under QUOIN_SECRET_KEY meanwhile.
 */
#ifndef QUOIN_AUTH_OUTBOX_H
#define QUOIN_AUTH_OUTBOX_H

#include "quoin/base/conf.h"
#include "quoin/net/mail.h"
#include "quoin/net/mailtext.h"
#include "quoin/store/db.h"

#define QN_MAIL_VAR_MAX 1000 /* bytes of a variable */

struct qn_mail_order {
	const char *app_id;
	const char *user_id; /* NULL: nobody's yet */
	const char *to;
	enum qn_mail_template template;
	struct qn_mail_vars vars; /* those of the template, all of them */
};

/*
 * In the transaction that is open, if one is. QN_INVALID, and nothing is queued: `to` is no address (qn_address_ok,
 * T36), or a variable is longer than QN_MAIL_VAR_MAX. QN_INTERNAL: a variable is missing, or there is no
 * QUOIN_SECRET_KEY. *ret_id (may be NULL) is the mail's, in the arena.
 */
enum qn_err qn_mail_queue(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const struct qn_mail_order *order, const char **ret_id) QN_MUST_CHECK;

/* What came of an attempt, for the log and the counters. */
struct qn_delivery {
	const char *template; /* NULL: there was nothing to send any more */
	struct qn_mail_outcome outcome;
	const char *passed_over; /* why a text of the app's own was not used; NULL */
};

/*
 * One attempt at a queued mail; after the `last` one it is given up. QN_OK: nothing more is to be done for it,
 * whatever came of it. QN_DB_DOWN: it comes again, or Postgres is away.
 */
enum qn_err qn_mail_deliver(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const char *id, bool last, struct qn_delivery *ret) QN_MUST_CHECK;

#endif
