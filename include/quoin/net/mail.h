/*
 * Sending mail (CONTRACT C29, D11, E14), in the way that the settings say: EMAIL_SERVER by SMTP, else
 * SENDGRID_API_KEY by SendGrid's API, else files in QUOIN_MAIL_DIR. A connection that leaves the host is
 * encrypted and the other side's name checked; QUOIN_OUTBOUND_TIMEOUT_MS ends what takes longer. Only jobs
 * sends.
 */
#ifndef QUOIN_NET_MAIL_H
#define QUOIN_NET_MAIL_H

#include "quoin/base/conf.h"
#include "quoin/net/message.h"

enum qn_mail_result {
	QN_MAIL_SENT,
	QN_MAIL_LATER, /* nobody is there, or not now, or it is our settings that are refused: try again */
	QN_MAIL_FAILED,  /* this mail is refused for good */
	QN_MAIL_BOUNCED, /* the receiver is refused for good */
};

#define QN_MAIL_WHY 500 /* bytes, NUL included */

struct qn_mail_outcome {
	enum qn_mail_result result;
	bool slow;             /* the deadline passed */
	char why[QN_MAIL_WHY]; /* UTF-8 without control bytes; "" when it was sent */
};

/*
 * `secret` (may be NULL) must not come back in a reason, whatever the other side says; nor do the settings'
 * own. The message was taken over when the result is QN_MAIL_SENT; it may have been when it is QN_MAIL_LATER.
 */
void qn_mail_send(const struct qn_conf *conf, struct qn_arena *a, const struct qn_message *m,
    const char *secret, struct qn_mail_outcome *ret);

/* What is wrong with the settings above, or NULL. */
const char *qn_mail_fault(const struct qn_conf *conf, struct qn_arena *a);

#endif
