/* What somebody may do, and what is left of it (CONTRACT B23, B29, K6, K13). */
#include "orgs.h"
#include "quoin/store/entitlement.h"
#include "quoin/store/usage.h"

#define MEBIBYTE INT64_C(1048576)

struct entitlement_reply {
	const struct entitlement *entitlement;
};

static const struct qn_field reply_fields[] = {
    QN_FIELD_SUB(struct entitlement_reply, entitlement, OBJ, 0, &entitlement_object,
	"The plan in force, and what is left of it."),
};
static const struct qn_object reply_object =
    QN_OBJECT("EntitlementReply", struct entitlement_reply, reply_fields);

static enum qn_err show(struct qn_request *r, const char *user, const char *org)
{
	struct entitlement_reply *out = qn_new(r->arena, struct entitlement_reply);
	struct entitlement *e = qn_new(r->arena, struct entitlement);

	QN_TRY(entitlement_of(r->db, r->arena, r->who.app->id, user, org, e));
	out->entitlement = e;
	return qn_reply(r, out);
}

static enum qn_err own(struct qn_request *r)
{
	/* What this host has counted since it was stored last is part of it. */
	QN_TRY(qn_limits_store(qn_server_limits(r->server), r->db, r->arena));
	return show(r, r->who.user_id, NULL);
}

static enum qn_err of_organization(struct qn_request *r)
{
	return show(r, NULL, r->who.org_id);
}

/* B23 */

struct stats {
	int64_t memory_count, api_calls_this_month, storage_used_mb;
	const char *subscription_tier;
};

static const struct qn_field stats_fields[] = {
    QN_FIELD(struct stats, memory_count, I64, 0, 0, 0, "Memories that the caller keeps."),
    QN_FIELD(struct stats, api_calls_this_month, I64, 0, 0, 0, "Since the first, UTC."),
    QN_FIELD(struct stats, storage_used_mb, I64, 0, 0, 0, "In whole mebibytes, rounded up."),
    QN_FIELD(struct stats, subscription_tier, STR, 0, 0, 0, "The plan, in the app's spelling."),
};
static const struct qn_object stats_object =
    QN_OBJECT("DashboardStats", struct stats, stats_fields);

static enum qn_err stats(struct qn_request *r)
{
	const char *app = r->who.app->id, *user = r->who.user_id;
	struct stats *out = qn_new(r->arena, struct stats);
	int64_t today, bytes;

	QN_TRY(qn_limits_store(qn_server_limits(r->server), r->db, r->arena));
	QN_TRY(usage_of(r->db, r->arena, app, user, qn_now() / INT64_C(86400000000), &today,
	    &out->api_calls_this_month));
	QN_TRY(meter_used(r->db, r->arena, app, user, "memories", &out->memory_count));
	QN_TRY(meter_used(r->db, r->arena, app, user, "storage_bytes", &bytes));
	out->storage_used_mb = (bytes + MEBIBYTE - 1) / MEBIBYTE;
	out->subscription_tier = api_shown_tier(r, r->who.plan);
	return qn_reply(r, out);
}

static const struct qn_route routes[] = {
    {QN_GET, "/api/v1/entitlements", "entitlement.get",
	"Show the caller's plan, its features, and what is left of its limits.",
	.pool = QN_POOL_API, .auth = QN_AUTH_USER | QN_AUTH_KEY, .rate = QN_RATE_ACCOUNT,
	.reply = &reply_object, .handler = own},
    {QN_GET, "/api/v1/orgs/{org_id}/entitlements", "org.entitlement",
	"Show an organization's plan, its features, and what is left of its limits.",
	ORG(QN_ROLE_MEMBER), .reply = &reply_object, .handler = of_organization},
    {QN_GET, "/api/v1/dashboard/stats", "dashboard.stats", "Show what the caller keeps and used.",
	.pool = QN_POOL_API, .auth = QN_AUTH_USER | QN_AUTH_KEY, .rate = QN_RATE_ACCOUNT,
	.reply = &stats_object, .handler = stats},
};
API_TABLE(entitlement_table, routes);
