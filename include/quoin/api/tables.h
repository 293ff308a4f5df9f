/* Every route of Quoin: the tables of src/api, NULL at the end. */
#ifndef QUOIN_API_TABLES_H
#define QUOIN_API_TABLES_H

#include "quoin/http/route.h"

extern const struct qn_route_table *const qn_api_tables[];

#endif
