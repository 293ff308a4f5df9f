/* Every statement that Quoin can send. A set that is not listed here cannot be used. */
#include "quoin/store/db.h"

extern const struct qn_stmt_set app_set, document_set, execution_set, idempotency_set, job_set,
    mail_set, share_set, user_set, workspace_set;

const struct qn_stmt_set *const qn_stmt_sets[] = {
    &app_set,
    &user_set,
    &workspace_set,
    &document_set,
    &share_set,
    &execution_set,
    &idempotency_set,
    &job_set,
    &mail_set,
    NULL,
};
