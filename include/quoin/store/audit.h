/*
 * The audit log (CONTRACT E8): one append-only table, hash-chained per organisation, else per app. The database
 * lets nobody change or delete a row but retention, which leaves the hash that the next row builds on.
 */
#ifndef QUOIN_STORE_AUDIT_H
#define QUOIN_STORE_AUDIT_H

#include "quoin/store/db.h"

/* Strings may be NULL but for app and action. */
struct audit_event {
	const char *app, *organization, *user;
	const char *action; /* "session.revoke" */
	const char *resource_type, *resource_id;
	struct qn_span details; /* a JSON object; p NULL: none */
	const char *ip, *user_agent, *request_id;
};

/* Belongs into the transaction of what it records. */
enum qn_err audit_write(
    struct qn_db *db, struct qn_arena *a, const struct audit_event *e) QN_MUST_CHECK;

struct audit_row {
	int64_t seq; /* its place in the chain, from 1 */
	const char *id, *user_id, *action, *resource_type, *resource_id;
	struct qn_span details;
	const char *ip_address, *user_agent, *request_id;
	qn_time created_at;
};
extern const struct qn_object audit_row_object;

/* NULL and the null times: any. */
struct audit_filter {
	const char *action, *user_id;
	qn_time from, to; /* from included, to not */
};

/* Of an organisation, newest first, below `before` (NULL: from the newest), `limit` rows at most. */
enum qn_err audit_list(struct qn_db *db, struct qn_arena *a, const char *app, const char *org,
    const struct audit_filter *filter, const char *before, int64_t limit,
    struct qn_list *ret) QN_MUST_CHECK;

struct audit_chain {
	const char *chain; /* of the organisation, else of the app: its id */
	const char *app_id;
	const char *organization_id; /* NULL: the app's own */
	int64_t seq, anchor_seq;     /* of its last row, and of the last one that retention took */
};

/* All chains, of an app unless NULL, of an organisation unless NULL. A list of struct audit_chain. */
enum qn_err audit_chains(struct qn_db *db, struct qn_arena *a, const char *app, const char *org,
    struct qn_list *ret) QN_MUST_CHECK;

/* The first row that is not as it was written. */
struct audit_fault {
	int64_t seq;
	const char *id;  /* NULL: no row is left */
	const char *why; /* NULL: there is none, the chain is whole */
};
enum qn_err audit_verify(
    struct qn_db *db, struct qn_arena *a, const char *chain, struct audit_fault *ret) QN_MUST_CHECK;

/* Takes rows that were kept as long as their organisation wants, some thousand at a time; *ret_n of them. */
enum qn_err audit_prune(struct qn_db *db, struct qn_arena *a, int64_t *ret_n) QN_MUST_CHECK;

#endif
