/* Organizations (CONTRACT E2, E15, E18, D13): the caller's, one of them, its seats. */
#include "orgs.h"
#include "quoin/base/rand.h"
#include "quoin/store/organization.h"

#include <string.h>

enum { SLUG_MAX = 30, SLUG_TAIL = 6 };

struct list_reply {
	struct qn_list organizations;
	qn_tri has_more;
	const char *next_cursor;
};

static const struct qn_field list_fields[] = {
    QN_FIELD_SUB(struct list_reply, organizations, LIST, 0, &organization_item_object,
	"Those that the caller is a member of, newest first."),
    API_PAGE_FIELDS(struct list_reply),
};
static const struct qn_object list_object =
    QN_OBJECT("OrganizationList", struct list_reply, list_fields);

struct one_reply {
	const struct organization *organization;
};

static const struct qn_field one_fields[] = {
    QN_FIELD_SUB(struct one_reply, organization, OBJ, 0, &organization_object, "The organization."),
};
static const struct qn_object one_object =
    QN_OBJECT("OrganizationReply", struct one_reply, one_fields);

struct seats_reply {
	const struct organization_seats *seats;
};

static const struct qn_field seats_fields[] = {
    QN_FIELD_SUB(struct seats_reply, seats, OBJ, 0, &organization_seats_object, "Its seats."),
};
static const struct qn_object seats_object =
    QN_OBJECT("SeatsReply", struct seats_reply, seats_fields);

static const struct qn_field new_fields[] = {
    QN_FIELD(struct organization, name, STR, QN_F_REQUIRED, 1, 200, "Shown name."),
    QN_FIELD(struct organization, slug, STR, 0, 1, SLUG_MAX,
	"Its name in addresses: a-z, 0-9 and -, neither first nor last. Made of the name otherwise."),
};
static const struct qn_object new_object =
    QN_OBJECT("OrganizationNew", struct organization, new_fields);

static const struct qn_field change_fields[] = {
    QN_FIELD(struct organization, name, STR, 0, 1, 200, "Shown name."),
    QN_FIELD(struct organization, settings, JSON, QN_F_OBJECT, 0, 16384,
	"What its clients keep there, as a whole."),
    QN_FIELD(struct organization, audit_log_retention_days, I64, 0, 1, 3650,
	"How long its audit log is kept. An owner's to say."),
};
static const struct qn_object change_object =
    QN_OBJECT("OrganizationChange", struct organization, change_fields);

enum qn_err org_audit(struct qn_request *r, const char *action, const char *type, const char *id,
    struct qn_span details)
{
	return api_audit(r, &(struct audit_event){.organization = r->who.org_id,
				.action = action,
				.resource_type = type,
				.resource_id = id,
				.details = details});
}

static enum qn_err reply_one(struct qn_request *r, struct organization *o)
{
	struct one_reply *out = qn_new(r->arena, struct one_reply);

	o->tier = api_shown_tier(r, o->plan);
	out->organization = o;
	return qn_reply(r, out);
}

static enum qn_err list(struct qn_request *r)
{
	struct list_reply *out = qn_new(r->arena, struct list_reply);
	const char *after;
	int64_t limit;

	QN_TRY(qn_page_start(r, &after, &limit));
	QN_TRY(organization_list(r->db, r->arena, r->who.app->id, r->who.user_id,
	    (struct page){after, limit + 1}, &out->organizations));
	struct organization *o = (struct organization *)(uintptr_t)out->organizations.items;
	for (size_t i = 0; i < out->organizations.n; i++)
		o[i].tier = api_shown_tier(r, o[i].plan);
	out->has_more = qn_page_more(&out->organizations, limit);
	if (out->has_more)
		qn_page_next(r, o[limit - 1].id);
	out->next_cursor = r->next;
	return qn_reply(r, out);
}

/* Of a name: its letters a-z and digits, the rest as dashes, and an end that nobody else has. */
static const char *make_slug(struct qn_request *r, const char *name)
{
	char *slug = qn_alloc(r->arena, SLUG_MAX + 1);
	uint8_t random[SLUG_TAIL / 2];
	size_t n = 0;

	for (; *name != '\0' && n < SLUG_MAX - SLUG_TAIL - 1; name++) {
		char c = *name >= 'A' && *name <= 'Z' ? (char)(*name - 'A' + 'a') : *name;
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			slug[n++] = c;
		else if (n > 0 && slug[n - 1] != '-')
			slug[n++] = '-';
	}
	if (n > 0 && slug[n - 1] != '-')
		slug[n++] = '-';
	qn_random(random, sizeof(random));
	qn_hex(random, sizeof(random), slug + n);
	return slug;
}

/* One that the caller chose is refused by the database when it is not fit or taken. */
static enum qn_err create(struct qn_request *r)
{
	const struct organization *in = r->in;
	struct organization *o = qn_new(r->arena, struct organization);
	const char *slug = in->slug != NULL ? in->slug : make_slug(r, in->name);

	QN_TX(tx, r->db);
	QN_TRY(organization_create(
	    r->db, r->arena, r->who.app->id, r->who.user_id, in->name, slug, o));
	QN_TRY(
	    api_audit(r, &(struct audit_event){.organization = o->id,
			     .action = "org.create",
			     .resource_type = "organization",
			     .resource_id = o->id,
			     .details = api_details(r, "name", o->name, "slug", o->slug, NULL)}));
	QN_TRY(qn_tx_commit(&tx));
	return reply_one(r, o);
}

static enum qn_err get(struct qn_request *r)
{
	struct organization *o = qn_new(r->arena, struct organization);

	QN_TRY(
	    organization_by_id(r->db, r->arena, r->who.app->id, r->who.user_id, r->who.org_id, o));
	return reply_one(r, o);
}

static enum qn_err update(struct qn_request *r)
{
	const struct organization *in = r->in;
	struct organization *o = qn_new(r->arena, struct organization);
	const char *days =
	    in->audit_log_retention_days == QN_I64_NULL
		? NULL
		: qn_printf(r->arena, "%lld", (long long)in->audit_log_retention_days);

	QN_TX(tx, r->db);
	QN_TRY(organization_update(
	    r->db, r->arena, r->who.app->id, r->who.user_id, r->who.org_id, in, o));
	QN_TRY(org_audit(r, "org.update", "organization", o->id,
	    api_details(r, "name", in->name, "audit_log_retention_days", days, "settings",
		in->settings.p != NULL ? "changed" : NULL, NULL)));
	QN_TRY(qn_tx_commit(&tx));
	return reply_one(r, o);
}

/* Its own log can be read by nobody then, so the app's has it too. */
static enum qn_err delete (struct qn_request *r) {
	struct audit_event e = {.action = "org.delete",
	    .resource_type = "organization",
	    .resource_id = r->who.org_id};

	QN_TX(tx, r->db);
	QN_TRY(organization_delete(r->db, r->arena, r->who.app->id, r->who.user_id, r->who.org_id));
	QN_TRY(org_audit(r, e.action, e.resource_type, e.resource_id, e.details));
	QN_TRY(api_audit(r, &e));
	QN_TRY(qn_tx_commit(&tx));
	return api_success(r);
}

static enum qn_err seats(struct qn_request *r)
{
	struct seats_reply *out = qn_new(r->arena, struct seats_reply);
	struct organization_seats *s = qn_new(r->arena, struct organization_seats);

	QN_TRY(organization_seats(r->db, r->arena, r->who.app->id, r->who.org_id, s));
	out->seats = s;
	return qn_reply(r, out);
}

#define USER .pool = QN_POOL_API, .auth = QN_AUTH_USER
#define ONE  "/api/v1/orgs/{org_id}"

static const struct qn_route routes[] = {
    {QN_GET, "/api/v1/orgs", "org.list", "List the caller's organizations, with his role in each.",
	USER, .flags = QN_R_PAGED, .query = &qn_page_query_object, .reply = &list_object,
	.handler = list},
    {QN_POST, "/api/v1/orgs", "org.create", "Make an organization, whose owner the caller is.",
	USER, .flags = QN_R_ONCE, .body = &new_object, .body_max = 4096, .reply = &one_object,
	.errors = {QN_CONFLICT}, .handler = create},
    {QN_GET, ONE, "org.get", "Show an organization.", ORG(QN_ROLE_MEMBER), .reply = &one_object,
	.handler = get},
    {QN_PUT, ONE, "org.update", "Change an organization's name, settings or retention.",
	ORG(QN_ROLE_ADMIN), .body = &change_object, .body_max = 20480, .reply = &one_object,
	.handler = update},
    {QN_DELETE, ONE, "org.delete", "Delete an organization, its workspaces and all in them.",
	ORG(QN_ROLE_OWNER), .flags = QN_R_RECENT, .reply = &api_success_object, .handler = delete},
    {QN_GET, ONE "/seats", "org.seats", "Show how many seats there are, and how many are taken.",
	ORG(QN_ROLE_MEMBER), .reply = &seats_object, .handler = seats},
};
API_TABLE(org_table, routes);
