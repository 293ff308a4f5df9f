/* Licences as their owners see them, and as staff makes and changes them (CONTRACT D14, D18-D20). */
#include "licences.h"
#include "quoin/http/reply.h"

#include <string.h>

static const char *const statuses[] = {"ACTIVE", "EXPIRED", "SUSPENDED", "REVOKED", NULL};
static const char *const kinds[] = {"perpetual", "term", "trial", "floating", NULL};
static const char *const renewals[] = {"from_expiry", "from_now", NULL};
static const char *const expiries[] = {"restrict", "maintain", NULL};

/* lists */

struct list_query {
	struct qn_page_query page;
	const char *status, *plan, *organization_id, *user_id, *metadata;
};

#define LIST_FIELDS \
	QN_PAGE_FIELDS(struct list_query, 100), \
	    QN_FIELD_ENUM(struct list_query, status, 0, statuses, NULL, "Only of this status."), \
	    QN_FIELD(struct list_query, plan, STR, 0, 1, 32, "Only of this plan, by its code."), \
	    QN_FIELD( \
		struct list_query, organization_id, UUID, 0, 0, 0, "Only of this organization."), \
	    QN_FIELD(struct list_query, metadata, STR, 0, 2, 2000, \
		"Only those whose metadata contains this JSON object: {\"order\":\"A-17\"}.")

static const struct qn_field mine_fields[] = {LIST_FIELDS};
static const struct qn_object mine_object =
    QN_OBJECT("LicenseQuery", struct list_query, mine_fields);

static const struct qn_field all_fields[] = {
    LIST_FIELDS, QN_FIELD(struct list_query, user_id, UUID, QN_F_USER, 0, 0, "Only of this user.")};
static const struct qn_object all_object =
    QN_OBJECT("LicenseQueryAll", struct list_query, all_fields);

struct list_reply {
	struct qn_list licenses;
	qn_tri has_more;
	const char *next_cursor;
};

static const struct qn_field list_fields[] = {
    QN_FIELD_SUB(struct list_reply, licenses, LIST, 0, &licence_object, "Newest first."),
    API_PAGE_FIELDS(struct list_reply),
};
static const struct qn_object list_object =
    QN_OBJECT("LicenseList", struct list_reply, list_fields);

static enum qn_err check_metadata(struct qn_request *r, const char *text, struct qn_span *ret)
{
	struct qn_json_object o;

	*ret = (struct qn_span){NULL, 0};
	if (text == NULL)
		return QN_OK;
	*ret = qn_span_of(text);
	if (qn_json_scan(r->arena, *ret, &qn_json_default_limits, &o, NULL) == QN_JSON_OK &&
	    o.members != NULL)
		return QN_OK;
	qn_fault_add(r, "query", "metadata", "This must be a JSON object.", "object");
	return QN_INVALID;
}

static enum qn_err list_for(struct qn_request *r, bool staff)
{
	const struct list_query *q = r->query;
	const struct licence_who who = {r->who.app->id, r->who.user_id, staff};
	struct licence_filter filter = {.user = q->user_id,
	    .organization = q->organization_id,
	    .status = q->status,
	    .plan = q->plan};
	struct list_reply *out = qn_new(r->arena, struct list_reply);
	const char *after;
	int64_t limit;

	QN_TRY(qn_page_start(r, &after, &limit));
	QN_TRY(check_metadata(r, q->metadata, &filter.metadata));
	QN_TRY(licence_list(
	    r->db, r->arena, &who, &filter, (struct page){after, limit + 1}, &out->licenses));
	out->has_more = qn_page_more(&out->licenses, limit);
	if (out->has_more)
		qn_page_next(r, ((const struct licence *)out->licenses.items)[limit - 1].id);
	out->next_cursor = r->next;
	return qn_reply(r, out);
}

static enum qn_err list_mine(struct qn_request *r)
{
	return list_for(r, false);
}

static enum qn_err list_all(struct qn_request *r)
{
	return list_for(r, true);
}

/* one */

struct one_reply {
	const struct licence *license;
};

static const struct qn_field one_fields[] = {
    QN_FIELD_SUB(struct one_reply, license, OBJ, 0, &licence_object, "The licence."),
};
static const struct qn_object one_object = QN_OBJECT("LicenseReply", struct one_reply, one_fields);

static enum qn_err show(struct qn_request *r, const char *id)
{
	const struct licence_who who = api_licence_who(r);
	struct licence *licence = qn_new(r->arena, struct licence);
	struct one_reply *out = qn_new(r->arena, struct one_reply);

	QN_TRY(licence_by_id(r->db, r->arena, &who, id, licence));
	out->license = licence;
	return qn_reply(r, out);
}

static enum qn_err get(struct qn_request *r)
{
	return show(r, r->param[0]);
}

/* issue */

struct issue_in {
	const char *license_key, *name, *user_id, *organization_id, *plan, *kind, *renewal, *expiry,
	    *max_version;
	qn_time expires_at;
	int64_t term_days, max_devices, max_leases, lease_seconds, heartbeat_seconds, check_in_days,
	    max_releases;
	qn_tri overage;
	struct qn_span limits, features, metadata;
};

#define NEW(m, type, least, most, doc) QN_FIELD(struct issue_in, m, type, 0, least, most, doc)

static const struct qn_field issue_fields[] = {
    NEW(name, STR, 1, 200, "Shown name."),
    NEW(user_id, UUID, 0, 0, "The user whose it is."),
    NEW(organization_id, UUID, 0, 0, "The organization whose it is."),
    NEW(plan, STR, 1, 32, "Code of the plan that it gives. Null: its owner's, whichever he has."),
    QN_FIELD_ENUM(struct issue_in, kind, 0, kinds, NULL, "perpetual, or term where it has an end."),
    NEW(expires_at, TIME, 0, 0, "When it ends. Null: after term_days, else never."),
    NEW(term_days, I64, 1, 36500, "Days that it lasts, and that a renewal adds."),
    QN_FIELD_ENUM(
	struct issue_in, renewal, 0, renewals, NULL, "What a renewal adds to: from_expiry."),
    QN_FIELD_ENUM(struct issue_in, expiry, 0, expiries, NULL,
	"restrict: it is refused after its end; maintain: its code is EXPIRED, and it is valid."),
    NEW(max_devices, I64, -1, 1000000,
	"Machines that may have a seat, in place of the plan's number."),
    NEW(max_leases, I64, -1, 1000000, "Leases of a floating licence."),
    NEW(lease_seconds, I64, 30, 2592000, "How long one lasts: 600."),
    NEW(overage, BOOL, 0, 0, "Let more in all the same."),
    NEW(heartbeat_seconds, I64, 30, 31536000, "How often a machine must be heard of."),
    NEW(check_in_days, I64, 1, 3650, "How often somebody must check in."),
    NEW(max_version, STR, 1, 39, "The last version that it is good for: 3, 3.2."),
    NEW(max_releases, I64, -1, 1000000, "Seats that its holder may free in 30 days: 5."),
    QN_FIELD(struct issue_in, limits, JSON, QN_F_OBJECT, 0, 2000,
	"By meter, in place of the plan's: {\"commands\":50}."),
    QN_FIELD(struct issue_in, features, JSON, QN_F_OBJECT, 0, 2000,
	"Flags in place of the plan's: {\"cloud_sync\":true}."),
    QN_FIELD(struct issue_in, metadata, JSON, QN_F_OBJECT, 0, 8000, "Notes of the vendor's."),
};
static const struct qn_object issue_object = QN_OBJECT("LicenseNew", struct issue_in, issue_fields);

/* The members that are given, as the database takes them; long ones are put in where they belong. */
static struct qn_span as_json(struct qn_request *r)
{
	struct qn_reply_text t;
	size_t from = 0, to = 0;

	qn_reply_text_init(&t, NULL);
	qn_reply_object(&t, &issue_object, r->in, false);
	char *all = qn_alloc(r->arena, qn_reply_text_n(&t) + 1);
	for (size_t i = 0; i < t.gaps; i++) {
		memcpy(all + to, t.text.p + from, t.gap[i].at - from);
		to += t.gap[i].at - from;
		from = t.gap[i].at;
		memcpy(all + to, t.gap[i].bytes.p, t.gap[i].bytes.n);
		to += t.gap[i].bytes.n;
	}
	memcpy(all + to, t.text.p + from, t.text.n - from);
	struct qn_span text = {all, qn_reply_text_n(&t)};
	qn_reply_text_done(&t);
	return text;
}

static enum qn_err issue(struct qn_request *r)
{
	const struct issue_in *in = r->in;
	struct qn_licence_key key;
	const char *id;

	api_licence_key(r, in->plan, &key);
	QN_TX(tx, r->db);
	QN_TRY(licence_issue(
	    r->db, r->arena, r->who.app->id, key.text, as_json(r), api_licence_by(r), &id));
	QN_TRY(show(r, id));
	return qn_tx_commit(&tx);
}

/* changes */

static enum qn_err change(struct qn_request *r, struct licence_change *c)
{
	c->by = api_licence_by(r);
	QN_TX(tx, r->db);
	QN_TRY(licence_change(r->db, r->arena, r->who.app->id, r->param[0], c));
	QN_TRY(show(r, r->param[0]));
	api_licence_changed(r, r->param[0]);
	return qn_tx_commit(&tx);
}

static enum qn_err simply(struct qn_request *r, const char *verb)
{
	struct licence_change c = {.verb = verb, .until = QN_TIME_NULL};

	return change(r, &c);
}

static enum qn_err suspend(struct qn_request *r)
{
	return simply(r, "suspend");
}

static enum qn_err reinstate(struct qn_request *r)
{
	return simply(r, "reinstate");
}

static enum qn_err revoke_licence(struct qn_request *r)
{
	return simply(r, "revoke");
}

/* Its owner checks in too: he must be who looks after it. */
static enum qn_err check_in(struct qn_request *r)
{
	const struct licence_who who = api_licence_who(r);
	struct licence licence;

	QN_TRY(licence_by_id(r->db, r->arena, &who, r->param[0], &licence));
	return simply(r, "check-in");
}

struct renew_in {
	qn_time expires_at;
};

static const struct qn_field renew_fields[] = {
    QN_FIELD(struct renew_in, expires_at, TIME, 0, 0, 0, "Its new end. Null: by its term."),
};
static const struct qn_object renew_object =
    QN_OBJECT("LicenseRenew", struct renew_in, renew_fields);

static enum qn_err renew(struct qn_request *r)
{
	const struct renew_in *in = r->in;
	struct licence_change c = {.verb = "renew", .until = in->expires_at};

	return change(r, &c);
}

struct transfer_in {
	const char *user_id, *organization_id;
};

static const struct qn_field transfer_fields[] = {
    QN_FIELD(struct transfer_in, user_id, UUID, QN_F_USER, 0, 0, "The user whose it becomes."),
    QN_FIELD(struct transfer_in, organization_id, UUID, 0, 0, 0,
	"Or the organization. Neither: it is nobody's."),
};
static const struct qn_object transfer_object =
    QN_OBJECT("LicenseTransfer", struct transfer_in, transfer_fields);

static enum qn_err transfer(struct qn_request *r)
{
	const struct transfer_in *in = r->in;
	struct licence_change c = {.verb = "transfer",
	    .until = QN_TIME_NULL,
	    .user = in->user_id,
	    .organization = in->organization_id};

	if (in->user_id != NULL && in->organization_id != NULL) {
		qn_fault_add(
		    r, "body", "organization_id", "A user or an organization, not both.", "owner");
		return QN_INVALID;
	}
	return change(r, &c);
}

#define STAFF .pool = QN_POOL_API, .auth = QN_AUTH_USER
#define BOOK  "/api/v1/admin/licenses"
#define CHANGE \
	STAFF, .missing = QN_LICENCE_NOT_FOUND, .flags = QN_R_STAFF | QN_R_ONCE, \
	       .reply = &one_object
#define ONE_BOOK BOOK "/{license_id}"

static const struct qn_route routes[] = {
    {QN_GET, "/api/v1/licenses", "licence.list", "List the licences that the caller looks after.",
	.pool = QN_POOL_API, .auth = QN_AUTH_USER, .flags = QN_R_PAGED, .query = &mine_object,
	.reply = &list_object, .rate = QN_RATE_ACCOUNT, .handler = list_mine},
    {QN_GET, "/api/v1/licenses/{license_id}", "licence.get", "Show a licence.", LICENCE_ONE,
	.reply = &one_object, .rate = QN_RATE_ACCOUNT, .handler = get},
    {QN_POST, "/api/v1/licenses/{license_id}/check-in", "licence.check-in",
	"Say that a licence is still looked after.", LICENCE_ONE, .flags = QN_R_ONCE,
	.reply = &one_object, .errors = {QN_LICENCE_STATE}, .rate = QN_RATE_ACCOUNT,
	.handler = check_in},
    {QN_GET, BOOK, "admin.licences", "Find licences of the app.", STAFF,
	.flags = QN_R_STAFF | QN_R_SUPPORT | QN_R_PAGED, .query = &all_object,
	.reply = &list_object, .handler = list_all},
    {QN_POST, BOOK, "admin.licence-issue", "Issue a licence.", STAFF,
	.flags = QN_R_STAFF | QN_R_ONCE, .body = &issue_object, .body_max = 16384,
	.reply = &one_object, .errors = {QN_PLAN_UNKNOWN, QN_OWNER_UNKNOWN}, .handler = issue},
    {QN_POST, ONE_BOOK "/renew", "admin.licence-renew", "Renew a licence.", CHANGE,
	.body = &renew_object, .body_max = 4096, .errors = {QN_LICENCE_STATE}, .handler = renew},
    {QN_POST, ONE_BOOK "/suspend", "admin.licence-suspend", "Suspend a licence.", CHANGE,
	.errors = {QN_LICENCE_STATE}, .handler = suspend},
    {QN_POST, ONE_BOOK "/reinstate", "admin.licence-reinstate",
	"Let a suspended licence be used again.", CHANGE, .errors = {QN_LICENCE_STATE},
	.handler = reinstate},
    {QN_POST, ONE_BOOK "/revoke", "admin.licence-revoke", "Revoke a licence for ever.", CHANGE,
	.handler = revoke_licence},
    {QN_POST, ONE_BOOK "/transfer", "admin.licence-transfer",
	"Give a licence to somebody else; its seats are free then.", CHANGE,
	.body = &transfer_object, .body_max = 4096, .errors = {QN_LICENCE_STATE, QN_OWNER_UNKNOWN},
	.handler = transfer},
};
API_TABLE(licence_book_table, routes);
