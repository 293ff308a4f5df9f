/* Tells by mail that a meter is nearly used up, or is (CONTRACT B39): what the job "usage.warning" does. */
#ifndef QUOIN_AUTH_WARNING_H
#define QUOIN_AUTH_WARNING_H

#include "quoin/base/conf.h"
#include "quoin/store/db.h"

/*
 * `payload` is what meter_take() wrote: {"user","org","meter","used","max","percent"}. Queues a mail to the user, or
 * to the organization's owners and admins. QN_INVALID: it is none of that. Nobody to be told is no failure.
 */
enum qn_err qn_warning_mail(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const char *app_id, struct qn_span payload) QN_MUST_CHECK;

#endif
