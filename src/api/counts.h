/* What is counted so that nobody tries without end (SECURITY T9, T40). */
#ifndef QUOIN_API_COUNTS_H
#define QUOIN_API_COUNTS_H

#include "api.h"
#include "quoin/store/attempt.h"

/* The three lines that a guess is counted on, for statements that count it themselves. */
struct attempt_guess api_guess_at(struct qn_request *r, const char *what, const char *subject);
/* QN_TOO_MANY, with r->retry_after_s, unless `seconds` is 0. */
enum qn_err api_wait(struct qn_request *r, int64_t seconds) QN_MUST_CHECK;

/*
 * Counts a guess (SECURITY T9) at `subject` of kind `what`: by this client, by all, and the client's at
 * all subjects. QN_TOO_MANY, with r->retry_after_s, when it has to wait. Never inside a transaction.
 */
enum qn_err api_guess(struct qn_request *r, const char *what, const char *subject);
/* It was right: it does not count, and this client's count for the subject begins anew. */
enum qn_err api_guessed(struct qn_request *r, const char *what, const char *subject);

/* Counts one more of `what` from this client's network; QN_TOO_MANY beyond `free` an hour. */
enum qn_err api_count(struct qn_request *r, const char *what, int64_t free) QN_MUST_CHECK;
/* Counts one more mail of `what` to an address, from wherever it is asked for; QN_TOO_MANY beyond a few an hour. */
enum qn_err api_count_mail(struct qn_request *r, const char *what, const char *email) QN_MUST_CHECK;
/* It came to a good end: takes it back, so that an office behind one address may go on all day. */
void api_uncount(struct qn_request *r, const char *what, int64_t free);

#endif
