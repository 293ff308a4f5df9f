/* What the routes about passwords, addresses and links share. */
#ifndef QUOIN_API_PASSWORD_H
#define QUOIN_API_PASSWORD_H

#include "api.h"
#include "quoin/auth/link.h"
#include "quoin/auth/outbox.h"
#include "quoin/store/account.h"

/* {"email":"…"} */
struct api_address_in {
	const char *email;
};
extern const struct qn_object api_address_object;

/* 422 with the field's name when it is no address that mail can be sent to. */
enum qn_err api_check_address(
    struct qn_request *r, const char *field, const char *email) QN_MUST_CHECK;
/* 422 with the rule that a new password breaks (X8). */
enum qn_err api_judge_password(
    struct qn_request *r, const char *field, const char *password, const char *email) QN_MUST_CHECK;

/*
 * Whether the caller is `who` once more: by the password, which is counted as a guess; who has none must have
 * signed in lately. QN_BAD_CREDENTIALS, QN_TOO_MANY, QN_REAUTHENTICATE. In the slow pool.
 */
enum qn_err api_prove(
    struct qn_request *r, const struct account *who, const char *password) QN_MUST_CHECK;

/*
 * Whether what api_prove found still holds, in the transaction of what follows from it: a password that is changed
 * meanwhile is waited for. QN_RETRY: the request begins anew, and fails with the old one.
 */
enum qn_err api_still(struct qn_request *r, const struct account *who) QN_MUST_CHECK;

/* The whole of a route that mails a link to the address in its body, by a job: who asks learns nothing (T11). */
enum qn_err api_ask_link(struct qn_request *r, enum qn_link link) QN_MUST_CHECK;
/* Takes the token of a link; *ret_email is the address that it was sent to. QN_LINK_INVALID. */
enum qn_err api_take_link(struct qn_request *r, enum qn_link link, const uint8_t hash[32],
    struct one_time *ret, const char **ret_email) QN_MUST_CHECK;

/*
 * Takes from the user what somebody made who never showed that the address was his: API keys and second factors.
 * In the transaction in which a mailed link shows it first.
 */
enum qn_err api_reclaim(struct qn_request *r, const char *user) QN_MUST_CHECK;

/* Waits for the next multiple of a fixed time since `began_us` (monotonic). */
void api_even_out(int64_t began_us);

#endif
