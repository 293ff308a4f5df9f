/* Replies: a struct printed by its table, large JSON passed through without a copy, and problems. */
#ifndef QUOIN_HTTP_REPLY_H
#define QUOIN_HTTP_REPLY_H

#include "quoin/base/buf.h"
#include "quoin/http/request.h"

enum { QN_REPLY_GAPS = 4 };

/* Text with foreign bytes to be put in at some places; those bytes outlive it. */
struct qn_reply_text {
	struct qn_buf text;
	struct {
		size_t at; /* in text */
		struct qn_span bytes;
	} gap[QN_REPLY_GAPS];
	size_t gaps;
	const char *id_prefix; /* of users' ids; "" none */
};

/* In the dialect of the app that is called; none for NULL. */
void qn_reply_text_init(struct qn_reply_text *t, const struct qn_app *app);
void qn_reply_text_done(struct qn_reply_text *t);
size_t qn_reply_text_n(const struct qn_reply_text *t); /* bytes in all */
/* All of it in order; returns how many pieces there are. */
size_t qn_reply_pieces(const struct qn_reply_text *t, struct qn_span out[2 * QN_REPLY_GAPS + 1]);

/* Prints `src` by its table. */
void qn_reply_object(
    struct qn_reply_text *t, const struct qn_object *o, const void *src, bool camel);
/* application/problem+json (RFC 9457) of an error of this request. */
void qn_reply_problem(
    struct qn_reply_text *t, const struct qn_request *r, enum qn_err e, int status);

/* Header and body to the client. false when it could not be delivered. */
bool qn_reply_send(struct qn_request *r, enum qn_err e, int status, const struct qn_reply_text *t);

#endif
