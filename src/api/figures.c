/* Business figures for the deployment's administrators (CONTRACT D55, D47). */
#include "quoin/store/figures.h"

#include "api.h"

struct figures_query {
	const char *from, *to;
};

static const struct qn_field query_fields[] = {
    QN_FIELD(struct figures_query, from, STR, 0, 10, 10, "The first day; 30 days are usual."),
    QN_FIELD(struct figures_query, to, STR, 0, 10, 10, "The last day; else today."),
};
static const struct qn_object query_object =
    QN_OBJECT("FiguresQuery", struct figures_query, query_fields);

static enum qn_err get(struct qn_request *r)
{
	struct figures *out = qn_new(r->arena, struct figures);
	const struct figures_query *q = r->query;
	struct figures_range range;
	const char *field, *fault = figures_range(q->from, q->to, &range, &field);

	if (fault != NULL) {
		qn_fault_add(r, "query", field, fault, "day");
		return QN_INVALID;
	}
	QN_TRY(figures_of(r->db, r->arena, r->who.app->id, &range, out));
	return qn_reply(r, out);
}

static const struct qn_route routes[] = {
    {QN_GET, "/api/v1/admin/figures", "admin.figures",
	"Users, customers and money of the app, day by day.", .pool = QN_POOL_API,
	.auth = QN_AUTH_USER, .rate = QN_RATE_EXPENSIVE, .flags = QN_R_STAFF,
	.query = &query_object, .reply = &figures_object, .handler = get},
};
API_TABLE(figures_table, routes);
