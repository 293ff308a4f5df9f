/* Executions of a document as stored (CONTRACT A9). */
#ifndef QUOIN_STORE_EXECUTION_H
#define QUOIN_STORE_EXECUTION_H

#include "quoin/store/document.h"

struct execution {
	const char *id, *graph_id, *status, *error;
	int64_t version, progress;
	struct qn_span results;
	qn_time started_at, completed_at;
};

extern const char *const execution_states[]; /* pending, running, completed, failed */
extern const struct qn_object execution_object, execution_item_object;

/* QN_NOT_FOUND when the document is not there for the user. Items come without results. */
enum qn_err execution_list(struct qn_db *db, struct qn_arena *a, const struct document_ref *ref,
    struct page page, struct qn_list *ret) QN_MUST_CHECK;
/* Pending, of the document's present version; needs the right to write (QN_DENIED). */
enum qn_err execution_start(struct qn_db *db, struct qn_arena *a, const struct document_ref *ref,
    struct execution *ret) QN_MUST_CHECK;
/* QN_EXECUTION_NOT_FOUND when it is not there for the user. */
enum qn_err execution_by_id(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *id, struct execution *ret) QN_MUST_CHECK;
/* Null members of `in` stay. QN_DENIED, QN_EXECUTION_STATE. */
enum qn_err execution_update(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *user, const char *id, const struct execution *in,
    struct execution *ret) QN_MUST_CHECK;

#endif
