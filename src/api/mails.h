/* Mails that requests send. */
#ifndef QUOIN_API_MAILS_H
#define QUOIN_API_MAILS_H

#include "api.h"
#include "quoin/auth/outbox.h"

/* Queues a mail, in the open transaction. `vars` may be NULL; time, address and program are filled in. */
enum qn_err api_mail(struct qn_request *r, const char *user, const char *to,
    enum qn_mail_template t, const struct qn_mail_vars *vars) QN_MUST_CHECK;

/* "21 November 2026, 08:30 UTC" */
const char *api_shown_time(struct qn_request *r, qn_time t);

#endif
