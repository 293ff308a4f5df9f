/* Prometheus text (format 0.0.4) from the boards of all pools of the host, and business figures from Postgres. */
#ifndef QUOIN_API_METRICS_H
#define QUOIN_API_METRICS_H

#include "quoin/base/buf.h"
#include "quoin/base/conf.h"
#include "quoin/http/route.h"
#include "quoin/store/figures.h"

enum { API_METRICS_BYTES = 4 * 1024 * 1024 };

/* Whether a pool's listener has heard of Postgres lately. */
bool api_metrics(const struct qn_conf *conf, const struct qn_routes *routes, struct qn_buf *out);
/* Of figures_gauges(). */
void api_metrics_business(const struct qn_list *gauges, struct qn_buf *out);

#endif
