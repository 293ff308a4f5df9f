#include "quoin/api/tables.h"

extern const struct qn_route_table health_table, account_table, signin_table, session_table,
    apikey_table, workspace_table, graph_table, share_table, execution_table;

const struct qn_route_table *const qn_api_tables[] = {
    &health_table,
    &account_table,
    &signin_table,
    &session_table,
    &apikey_table,
    &workspace_table,
    &graph_table,
    &share_table,
    &execution_table,
    NULL,
};
