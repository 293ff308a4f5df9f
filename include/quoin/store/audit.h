/* The audit log (CONTRACT E8): one append-only table, hash-chained per organisation, else per app. */
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

#endif
