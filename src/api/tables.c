#include "quoin/api/tables.h"

extern const struct qn_route_table health_table;
extern const struct qn_route_table account_table;
extern const struct qn_route_table signin_table;
extern const struct qn_route_table whoami_table;
extern const struct qn_route_table session_table;
extern const struct qn_route_table apikey_table;
extern const struct qn_route_table registration_table;
extern const struct qn_route_table password_table;
extern const struct qn_route_table address_table;
extern const struct qn_route_table factor_table;
extern const struct qn_route_table passkey_table;
extern const struct qn_route_table staff_table;
extern const struct qn_route_table figures_table;
extern const struct qn_route_table oauth_table;
extern const struct qn_route_table saml_table;
extern const struct qn_route_table device_table;
extern const struct qn_route_table clicode_table;
extern const struct qn_route_table profile_table;
extern const struct qn_route_table workspace_table;
extern const struct qn_route_table graph_table;
extern const struct qn_route_table share_table;
extern const struct qn_route_table execution_table;
extern const struct qn_route_table entitlement_table;
extern const struct qn_route_table usage_table;
extern const struct qn_route_table licence_file_table;
extern const struct qn_route_table licence_table;
extern const struct qn_route_table licence_book_table;
extern const struct qn_route_table licence_device_table;
extern const struct qn_route_table org_table;
extern const struct qn_route_table member_table;
extern const struct qn_route_table invitation_table;
extern const struct qn_route_table audit_table;
extern const struct qn_route_table webhook_table;
extern const struct qn_route_table proof_table;
extern const struct qn_route_table billing_table;
extern const struct qn_route_table payment_table;
extern const struct qn_route_table stripe_table;

const struct qn_route_table *const qn_api_tables[] = {
    &health_table,
    &account_table,
    &signin_table,
    &whoami_table,
    &session_table,
    &apikey_table,
    &registration_table,
    &password_table,
    &address_table,
    &factor_table,
    &passkey_table,
    &staff_table,
    &figures_table,
    &oauth_table,
    &saml_table,
    &device_table,
    &clicode_table,
    &profile_table,
    &workspace_table,
    &graph_table,
    &share_table,
    &execution_table,
    &entitlement_table,
    &usage_table,
    &licence_file_table,
    &licence_table,
    &licence_book_table,
    &licence_device_table,
    &org_table,
    &member_table,
    &invitation_table,
    &audit_table,
    &webhook_table,
    &proof_table,
    &billing_table,
    &payment_table,
    &stripe_table,
    NULL,
};
