/* What the ways of sending mail have in common; for src/net only. */
#ifndef QUOIN_SRC_NET_MAIL_H
#define QUOIN_SRC_NET_MAIL_H

#include <curl/curl.h>

#include "quoin/net/mail.h"

/* One sending. */
struct sending {
	const struct qn_conf *conf;
	struct qn_arena *arena;
	const struct qn_message *message;
	const char *secrets[3]; /* what no reason may hold; NULL: none */
	struct qn_mail_outcome *outcome;
};

/* The outcome; `why` is cleaned. */
void sending_ends(struct sending *s, enum qn_mail_result result, const char *why);

/* The limits of every call, whatever the protocol. */
void sending_limits(const struct sending *s, CURL *c, const char *protocols);

/* This host itself, by its usual names: nobody listens on the way there. */
bool host_is_loopback(const char *host);

void send_by_smtp(struct sending *s, const char *server);
void send_by_sendgrid(struct sending *s, const char *key);
void send_to_folder(struct sending *s, const char *dir);

/* What is wrong with EMAIL_SERVER, with SENDGRID_URL; NULL: nothing. Static. */
const char *smtp_fault(const char *server);
const char *sendgrid_fault(const char *url);

#endif
