/* Every statement that Quoin can send. A set that is not listed here cannot be used. */
#include "quoin/store/db.h"

extern const struct qn_stmt_set app_set;
extern const struct qn_stmt_set user_set;
extern const struct qn_stmt_set credential_set;
extern const struct qn_stmt_set account_set;
extern const struct qn_stmt_set session_set;
extern const struct qn_stmt_set factor_set;
extern const struct qn_stmt_set passkey_set;
extern const struct qn_stmt_set staff_set;
extern const struct qn_stmt_set apikey_set;
extern const struct qn_stmt_set attempt_set;
extern const struct qn_stmt_set audit_set;
extern const struct qn_stmt_set organization_set;
extern const struct qn_stmt_set member_set;
extern const struct qn_stmt_set invitation_set;
extern const struct qn_stmt_set workspace_set;
extern const struct qn_stmt_set document_set;
extern const struct qn_stmt_set share_set;
extern const struct qn_stmt_set execution_set;
extern const struct qn_stmt_set idempotency_set;
extern const struct qn_stmt_set job_set;
extern const struct qn_stmt_set mail_set;
extern const struct qn_stmt_set entitlement_set;
extern const struct qn_stmt_set usage_set;
extern const struct qn_stmt_set licence_set;
extern const struct qn_stmt_set provider_set;
extern const struct qn_stmt_set flow_set;
extern const struct qn_stmt_set device_set;
extern const struct qn_stmt_set saml_set;
extern const struct qn_stmt_set webhook_set;
extern const struct qn_stmt_set billing_set;
extern const struct qn_stmt_set figures_set;

const struct qn_stmt_set *const qn_stmt_sets[] = {
    &app_set,
    &user_set,
    &credential_set,
    &account_set,
    &session_set,
    &factor_set,
    &passkey_set,
    &staff_set,
    &apikey_set,
    &attempt_set,
    &audit_set,
    &organization_set,
    &member_set,
    &invitation_set,
    &workspace_set,
    &document_set,
    &share_set,
    &execution_set,
    &idempotency_set,
    &job_set,
    &mail_set,
    &entitlement_set,
    &usage_set,
    &licence_set,
    &provider_set,
    &flow_set,
    &device_set,
    &saml_set,
    &webhook_set,
    &billing_set,
    &figures_set,
    NULL,
};
