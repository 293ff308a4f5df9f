/* What the handlers share. */
#ifndef QUOIN_API_API_H
#define QUOIN_API_API_H

#include "quoin/http/page.h"
#include "quoin/http/request.h"
#include "quoin/http/server.h"
#include "quoin/store/audit.h"

#define API_TABLE(name, rows) \
	extern const struct qn_route_table name; \
	const struct qn_route_table name = {rows, sizeof(rows) / sizeof((rows)[0])}

/* {"success":true} (CONTRACT A19, K16) */
struct api_success {
	qn_tri success;
};
extern const struct qn_object api_success_object;
enum qn_err api_success(struct qn_request *r);

/* {"message":"…"} (CONTRACT C9, K16) */
struct api_message {
	const char *message;
};
extern const struct qn_object api_message_object;

/* What the client's program calls itself; NULL when it says nothing, or nothing that is UTF-8. */
const char *api_user_agent(const struct qn_request *r);

/*
 * Notes what was done, in the open transaction: who it was (unless event->user says), from where and in
 * which request is filled in.
 */
enum qn_err api_audit(struct qn_request *r, const struct audit_event *event) QN_MUST_CHECK;

/* {"name":"value",…} for `details`: pairs, NULL at the end; a pair without a value is left out. */
struct qn_span api_details(struct qn_request *r, ...) __attribute__((sentinel));

/* A to Z in small letters, as addresses are compared (store/account.c): what is counted of an address is of every spelling. */
const char *api_lower(struct qn_request *r, const char *s);

/* The plan of that code as the app spells it, in the arena (CONTRACT K6). */
const char *api_shown_tier(struct qn_request *r, const char *plan);

/* The tail of every paged reply. */
#define API_PAGE_FIELDS(s) \
	QN_FIELD(s, has_more, BOOL, 0, 0, 0, "Whether there is another page."), \
	    QN_FIELD(s, next_cursor, STR, QN_F_NULLABLE, 0, 200, "Cursor of the next page.")

#endif
