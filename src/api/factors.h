/* What the routes about second factors share (CONTRACT X6; SECURITY T9, T14). */
#ifndef QUOIN_API_FACTORS_H
#define QUOIN_API_FACTORS_H

#include "quoin/store/account.h"
#include "quoin/store/factor.h"
#include "signin.h"

/* Who is to show a second factor: a sign-in that waits for it, by its mfa_token, or the caller's session. */
struct api_turn {
	struct account who;
	bool waiting; /* a sign-in; the rest is its */
	uint8_t token[32];
	struct signin how;
};

/*
 * Finds out: mfa_token NULL means the session. QN_BAD_MFA_TOKEN; QN_UNAUTHENTICATED without either;
 * QN_REAUTHENTICATE for a caller who has no session.
 */
enum qn_err api_turn(
    struct qn_request *r, const char *mfa_token, struct api_turn *ret) QN_MUST_CHECK;
/* Counts a guess before it is verified; a sign-in has five. Never inside a transaction. */
enum qn_err api_turn_count(struct qn_request *r, const struct api_turn *turn) QN_MUST_CHECK;
/*
 * The factor was right: in its transaction, signs in or raises the session. Of several at once with one
 * mfa_token one does; the others have QN_BAD_MFA_TOKEN.
 */
enum qn_err api_turn_end(
    struct qn_request *r, const struct api_turn *turn, struct signin_reply *ret) QN_MUST_CHECK;
/* After that was committed: the count begins anew. */
void api_turn_forget(struct qn_request *r, const struct api_turn *turn);

/* Who enrols a factor has a session, which it raises. QN_REAUTHENTICATE. */
enum qn_err api_own_session(struct qn_request *r) QN_MUST_CHECK;
/*
 * The caller's session has shown its second factor. A browser's has another cookie from then on: whoever knew the
 * one before does not know this one (T14). QN_UNAUTHENTICATED: it was ended meanwhile.
 */
enum qn_err api_raise(struct qn_request *r) QN_MUST_CHECK;
/* In the transaction: notes `action` and tells the owner that two-step sign-in was "changed: …". */
enum qn_err api_factor_changed(struct qn_request *r, const struct account *who, const char *action,
    const char *change) QN_MUST_CHECK;
/* In the transaction: codes for who has none, {NULL, 0} for who has some. A JSON list, shown once. */
enum qn_err api_first_codes(
    struct qn_request *r, const char *user, struct qn_span *ret) QN_MUST_CHECK;

#define API_CODES_DOC "Codes that each let in once, when the factor is lost. Not shown again."

#endif
