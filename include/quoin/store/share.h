/* Shares of a document as stored (CONTRACT A10). */
#ifndef QUOIN_STORE_SHARE_H
#define QUOIN_STORE_SHARE_H

#include "quoin/store/document.h"

struct share {
	const char *user_id, *email, *permission;
	qn_time created_at;
};

extern const char *const share_permissions[]; /* read, write, admin */
extern const struct qn_object share_object;

/* For those who administer the document (QN_DENIED for other readers). */
enum qn_err share_list(struct qn_db *db, struct qn_arena *a, const struct document_ref *ref,
    qn_tri *ret_public, struct qn_list *ret) QN_MUST_CHECK;
/* By user_id or, when that is NULL, by verified address; again: changes it. QN_USER_NOT_FOUND; QN_CONFLICT
 * for the owner. */
enum qn_err share_grant(struct qn_db *db, struct qn_arena *a, const struct document_ref *ref,
    const struct share *in, struct share *ret) QN_MUST_CHECK;
/* QN_SHARE_NOT_FOUND when there is none of in->user_id. */
enum qn_err share_change(struct qn_db *db, struct qn_arena *a, const struct document_ref *ref,
    const struct share *in, struct share *ret) QN_MUST_CHECK;
/* By an administrator, or by the user whose share it is. QN_SHARE_NOT_FOUND. */
enum qn_err share_delete(struct qn_db *db, struct qn_arena *a, const struct document_ref *ref,
    const char *who) QN_MUST_CHECK;

#endif
