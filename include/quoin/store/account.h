/* Accounts: users who sign in here, their passwords and what is mailed to them once (X1-X8, C8-C10). */
#ifndef QUOIN_STORE_ACCOUNT_H
#define QUOIN_STORE_ACCOUNT_H

#include "quoin/store/attempt.h"
#include "quoin/store/db.h"

struct account {
	const char *id, *email, *display_name, *plan, *password_hash;
	const char *first_name, *last_name, *avatar_url, *company_name, *industry, *job_role,
	    *usage_purpose;
	qn_tri email_verified, suspended, mfa_enabled;
	qn_time created_at, updated_at, delete_after;
	const char
	    *organization_id; /* of those that he is a member of, the one for longest; NULL: none */
};
extern const struct qn_object account_object;

/* QN_CONFLICT when the address is taken. */
enum qn_err account_create(struct qn_db *db, struct qn_arena *a, const char *app,
    const struct account *in, struct account *ret) QN_MUST_CHECK;
/* Both QN_USER_NOT_FOUND. */
enum qn_err account_by_id(struct qn_db *db, struct qn_arena *a, const char *app, const char *id,
    struct account *ret) QN_MUST_CHECK;
enum qn_err account_by_email(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *email, struct account *ret) QN_MUST_CHECK;

/*
 * attempt_guess() at the password of an address, and the account, in one round trip: the guess is counted whether
 * there is one or not. QN_USER_NOT_FOUND: there is none, or *ret_wait_s is not 0.
 */
enum qn_err account_guess(struct qn_db *db, struct qn_arena *a, const char *app,
    const struct attempt_guess *g, const char *email, int64_t *ret_wait_s,
    struct account *ret) QN_MUST_CHECK;

/* The hashes of the last five passwords, the present one too: a list of struct account_secret. */
struct account_secret {
	const char *password_hash;
};
enum qn_err account_passwords(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, struct qn_list *ret) QN_MUST_CHECK;
/* Sets it, and notes it in the history, which keeps five. */
enum qn_err account_set_password(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const char *hash) QN_MUST_CHECK;
/* The user signs in by other means from now on. */
enum qn_err account_drop_password(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *user) QN_MUST_CHECK;
/* The same password under new parameters: only while `old` is still the hash. */
enum qn_err account_rehash(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *old, const char *hash) QN_MUST_CHECK;

/*
 * Whether that hash, which was just found to be right, still is the user's: QN_RETRY when not. In a transaction: a
 * change of the password under way is waited for, and one that comes after finds what was made here (SECURITY T13).
 */
enum qn_err account_still(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *password_hash) QN_MUST_CHECK;
/* Only while `email` is still the user's address; QN_USER_NOT_FOUND otherwise. */
enum qn_err account_verify_email(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const char *email, struct account *ret) QN_MUST_CHECK;
/* The new address is a verified one. QN_CONFLICT when it is taken. */
enum qn_err account_set_email(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const char *email, struct account *ret) QN_MUST_CHECK;
/* Members that are NULL stay as they are. */
enum qn_err account_set_profile(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const struct account *in, struct account *ret) QN_MUST_CHECK;
/* Gives the account up: it is erased after `days`, and comes back until then. 0 days: it comes back. */
enum qn_err account_give_up(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    int64_t days, struct account *ret) QN_MUST_CHECK;

/* Erases accounts whose time has come, ten at most; *ret_n of them. What is theirs goes with them. */
enum qn_err account_erase(struct qn_db *db, struct qn_arena *a, int64_t *ret_n) QN_MUST_CHECK;

/* One-time tokens. `hash` is the SHA-256 of what the user is given. */
struct one_time {
	const char *user; /* NULL: none */
	struct qn_span payload;
};
enum qn_err one_time_put(struct qn_db *db, struct qn_arena *a, const char *app, const char *purpose,
    const uint8_t hash[32], const struct one_time *what, int64_t seconds) QN_MUST_CHECK;
/* Takes it: nobody else can. QN_LINK_INVALID when there is none that is still good. */
enum qn_err one_time_take(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *purpose, const uint8_t hash[32], struct one_time *ret) QN_MUST_CHECK;
/* Looks at it without taking it. */
enum qn_err one_time_peek(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *purpose, const uint8_t hash[32], struct one_time *ret) QN_MUST_CHECK;
/*
 * Looks at it and counts a guess under it, in one statement; QN_LINK_INVALID also after `most` of them. Not to be
 * called inside a transaction (SECURITY T9).
 */
enum qn_err one_time_try(struct qn_db *db, struct qn_arena *a, const char *app, const char *purpose,
    const uint8_t hash[32], int64_t most, struct one_time *ret) QN_MUST_CHECK;
/* All of a user's of this purpose. */
enum qn_err one_time_drop(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *purpose) QN_MUST_CHECK;

#endif
