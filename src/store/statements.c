/* Every statement that Quoin can send. A set that is not listed here cannot be used. */
#include "quoin/store/db.h"

extern const struct qn_stmt_set account_set, apikey_set, app_set, attempt_set, audit_set,
    credential_set, document_set, execution_set, idempotency_set, job_set, mail_set, session_set,
    share_set, user_set, workspace_set;

const struct qn_stmt_set *const qn_stmt_sets[] = {
    &app_set,
    &user_set,
    &credential_set,
    &account_set,
    &session_set,
    &apikey_set,
    &attempt_set,
    &audit_set,
    &workspace_set,
    &document_set,
    &share_set,
    &execution_set,
    &idempotency_set,
    &job_set,
    &mail_set,
    NULL,
};
