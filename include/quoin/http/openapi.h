/* The tables made visible: OpenAPI 3.1, the list of routes, nginx's map of pools. */
#ifndef QUOIN_HTTP_OPENAPI_H
#define QUOIN_HTTP_OPENAPI_H

#include "quoin/base/buf.h"
#include "quoin/http/route.h"

enum { QN_OPENAPI_BYTES = 2 * 1024 * 1024 };

/* One line a path, parameter and schema, so that a change shows in review (docs/openapi.json). */
void qn_openapi(const struct qn_routes *routes, struct qn_buf *out);
/* One JSON object with "routes": [...]: what the attack matrix and the permission listing read. */
void qn_routes_json(const struct qn_routes *routes, struct qn_buf *out);
/* `map "$request_method:$uri" $quoin_pool { … }` */
void qn_routes_nginx(const struct qn_routes *routes, struct qn_buf *out);

#endif
