/* Second factors: one-time passwords and recovery codes (CONTRACT D10, X6; SECURITY T14). Passkeys: passkey.h. */
#ifndef QUOIN_STORE_FACTOR_H
#define QUOIN_STORE_FACTOR_H

#include "quoin/store/db.h"

/* What a user has. That there is any at all is users.mfa_enabled: the database keeps the two in step. */
struct factors {
	qn_tri enabled, totp;
	int64_t passkeys, recovery_codes;
};
extern const struct qn_object factors_object;
enum qn_err factors_of(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    struct factors *ret) QN_MUST_CHECK;

struct totp {
	struct qn_span secret_sealed; /* in the arena */
	qn_tri confirmed;
};
/* QN_NOT_FOUND. */
enum qn_err totp_of(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    struct totp *ret) QN_MUST_CHECK;
/* Keeps a secret that is still to be confirmed, in place of another one. QN_CONFLICT: one is confirmed. */
enum qn_err totp_enroll(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    struct qn_span secret_sealed) QN_MUST_CHECK;
/* `step` is that of the code. QN_CONFLICT when the secret is another by now, or confirmed. */
enum qn_err totp_confirm(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    struct qn_span secret_sealed, int64_t step) QN_MUST_CHECK;
/* Uses up the code of this step and those before. QN_BAD_CODE when it was used: by whomever. */
enum qn_err totp_use(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    int64_t step) QN_MUST_CHECK;
/* QN_CONFLICT when none is confirmed. */
enum qn_err totp_drop(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *user) QN_MUST_CHECK;

/* Puts new recovery codes in place of all there are: `hashes` is a JSON list of them in hex. */
enum qn_err recovery_replace(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, struct qn_span hashes) QN_MUST_CHECK;
/* QN_BAD_CODE when there is none like it that is unused. */
enum qn_err recovery_use(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    struct qn_span hash) QN_MUST_CHECK;

/* Takes all factors away, for who lost them: passkeys too. */
enum qn_err factors_reset(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *user) QN_MUST_CHECK;

#endif
