/*
 * Webhooks that go out, by Standard Webhooks (standardwebhooks.com): who receives one can tell by its signature that
 * it is ours, whole and not old, with one of the libraries that exist for that.
 */
#ifndef QUOIN_AUTH_WEBHOOK_H
#define QUOIN_AUTH_WEBHOOK_H

#include <stdbool.h>

#include "quoin/base/clock.h"
#include "quoin/base/conf.h"
#include "quoin/store/webhook.h"

#define QN_WEBHOOK_SECRET \
	51 /* bytes of one made by us, NUL included: "whsec_" and base64 of 32 bytes */
#define QN_WEBHOOK_SIGNATURE 48 /* "v1," and base64 of 32 bytes, NUL included */

/* A new secret. The caller wipes it. */
void qn_webhook_secret(char out[QN_WEBHOOK_SECRET]);

/*
 * HMAC-SHA256 over "ID.SECONDS.BODY". false: the secret is not "whsec_" and base64 of 24 to 64 bytes; then
 * nothing is written.
 */
bool qn_webhook_sign(const char *secret, const char *id, int64_t seconds, struct qn_span body,
    char out[QN_WEBHOOK_SIGNATURE]) __attribute__((warn_unused_result));

/* Sealed for the endpoint of that id, in the arena. false: there is no QUOIN_SECRET_KEY. */
bool qn_webhook_seal(const struct qn_conf *conf, struct qn_arena *a, const char *endpoint,
    const char *secret, struct qn_span *ret) __attribute__((warn_unused_result));

/* A delivery that was made or tried, for the log and the counters. */
struct qn_webhook_call {
	struct webhook_due due;
	struct webhook_result result;
	struct webhook_settled settled;
};

/*
 * The next delivery that is due: called, and what came of it kept. When that disables the endpoint, its owner is
 * told by mail. QN_NOT_FOUND: none is due. QN_DB_DOWN: Postgres is away; then it comes again in a minute.
 */
enum qn_err qn_webhook_next(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    struct qn_webhook_call *ret) QN_MUST_CHECK;

#endif
