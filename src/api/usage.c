/* What the caller used, and what the plan allows (CONTRACT B29, B33-B36). */
#include "quoin/store/usage.h"
#include "signin.h"

#define SECOND_US INT64_C(1000000)
#define DAY_S     INT64_C(86400)

struct usage {
	const char *tier;
	int64_t requests_per_minute, api_calls_per_day, api_calls_today, api_calls_this_month;
	qn_time resets_at;
};

struct usage_reply {
	const struct usage *usage;
};

static const struct qn_field usage_fields[] = {
    QN_FIELD(struct usage, tier, STR, 0, 0, 0, "The plan, in the app's spelling."),
    QN_FIELD(struct usage, requests_per_minute, I64, 0, 0, 0,
	"What the plan allows one user or key on ordinary routes; -1: no limit."),
    QN_FIELD(struct usage, api_calls_per_day, I64, 0, 0, 0,
	"What the plan allows the user with all keys; -1: no limit."),
    QN_FIELD(struct usage, api_calls_today, I64, 0, 0, 0, "Since midnight UTC."),
    QN_FIELD(struct usage, api_calls_this_month, I64, 0, 0, 0, "Since the first, UTC."),
    QN_FIELD(struct usage, resets_at, TIME, 0, 0, 0, "When the next day begins."),
};
static const struct qn_object usage_object = QN_OBJECT("Usage", struct usage, usage_fields);

static const struct qn_field usage_reply_fields[] = {
    QN_FIELD_SUB(struct usage_reply, usage, OBJ, 0, &usage_object, "The caller's."),
};
static const struct qn_object usage_reply_object =
    QN_OBJECT("UsageReply", struct usage_reply, usage_reply_fields);

static enum qn_err usage_get(struct qn_request *r)
{
	const struct qn_plan *plan = qn_app_plan_or_lowest(r->who.app, r->who.plan);
	struct usage *u = qn_new(r->arena, struct usage);
	struct usage_reply *out = qn_new(r->arena, struct usage_reply);
	int64_t day = qn_now() / SECOND_US / DAY_S;

	/* What this host has counted since it was stored last is part of it. */
	QN_TRY(qn_limits_store(qn_server_limits(r->server), r->db, r->arena));
	*u = (struct usage){
	    .tier = api_shown_tier(r, r->who.plan),
	    .requests_per_minute = plan->per_minute[QN_RATE_API],
	    .api_calls_per_day = plan->calls_per_day,
	    .resets_at = (day + 1) * DAY_S * SECOND_US,
	};
	QN_TRY(usage_of(r->db, r->arena, r->who.app->id, r->who.user_id, day, &u->api_calls_today,
	    &u->api_calls_this_month));
	out->usage = u;
	return qn_reply(r, out);
}

static const struct qn_route routes[] = {
    {QN_GET, "/api/v1/usage", "usage.get", "Show what was used and what the plan allows.",
	.pool = QN_POOL_API, .auth = QN_AUTH_USER | QN_AUTH_KEY, .rate = QN_RATE_ACCOUNT,
	.reply = &usage_reply_object, .handler = usage_get},
};
API_TABLE(usage_table, routes);
