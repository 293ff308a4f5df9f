/*
 * A mail as bytes (RFC 5322, 2045-2047): text and HTML as multipart/alternative in quoted-printable. Written
 * here and not by libcurl's MIME API, which gives its bytes to nobody but a socket: the file of a mail is so
 * what SMTP would have sent. No value can begin a header or a part (SECURITY T36).
 */
#ifndef QUOIN_NET_MESSAGE_H
#define QUOIN_NET_MESSAGE_H

#include "quoin/base/buf.h"
#include "quoin/base/clock.h"
#include "quoin/net/address.h"

struct qn_message {
	const char *
	    id; /* UUID: its Message-ID and its boundary are made from it, so a second sending is known as one */
	struct qn_sender from;
	const char *to;                    /* qn_address_ok */
	const char *subject, *text, *html; /* UTF-8; lines end in \n */
	qn_time date;
};

#define QN_MESSAGE_MAX (1024 * 1024) /* bytes */

/* "<id@domain of the sender>", in the arena. */
const char *qn_message_id(struct qn_arena *a, const struct qn_message *m);
/* All of it, lines end in \r\n. false when it does not fit. */
bool qn_message_compose(struct qn_arena *a, const struct qn_message *m, struct qn_buf *out)
    __attribute__((warn_unused_result));

#endif
