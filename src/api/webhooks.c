/*
 * Webhooks (ECOSYSTEM "Webhooks out"; SECURITY T17, T24, T33): endpoints of the app, which its administrators keep,
 * and of an organization, which its admins keep. One resource in two scopes: each handler serves both.
 */
#include "orgs.h"

#include <inttypes.h>

#include "quoin/auth/webhook.h"
#include "quoin/base/json.h"
#include "quoin/base/rand.h"
#include "quoin/net/outcall.h"

enum { EVENTS_MOST = 64 };

struct list_reply {
	struct qn_list webhooks;
};

static const struct qn_field list_fields[] = {
    QN_FIELD_SUB(struct list_reply, webhooks, LIST, 0, &webhook_object, "Newest first."),
};
static const struct qn_object list_object =
    QN_OBJECT("WebhookList", struct list_reply, list_fields);

struct one_reply {
	const struct webhook *webhook;
};

static const struct qn_field one_fields[] = {
    QN_FIELD_SUB(struct one_reply, webhook, OBJ, 0, &webhook_object, "The endpoint."),
};
static const struct qn_object one_object = QN_OBJECT("WebhookReply", struct one_reply, one_fields);

struct secret_reply {
	const char *secret;
	const struct webhook *webhook;
};

static const struct qn_field secret_fields[] = {
    QN_FIELD(struct secret_reply, secret, STR, 0, 0, 0,
	"What signs what is sent there. It is not shown again."),
    QN_FIELD_SUB(struct secret_reply, webhook, OBJ, 0, &webhook_object, "The endpoint."),
};
static const struct qn_object secret_object =
    QN_OBJECT("WebhookSecret", struct secret_reply, secret_fields);

struct events_reply {
	struct qn_list event_types;
};

static const struct qn_field events_fields[] = {
    QN_FIELD_SUB(struct events_reply, event_types, LIST, 0, &webhook_event_object,
	"What an endpoint can listen to."),
};
static const struct qn_object events_object =
    QN_OBJECT("WebhookEvents", struct events_reply, events_fields);

struct deliveries_reply {
	struct qn_list deliveries;
	qn_tri has_more;
	const char *next_cursor;
};

static const struct qn_field deliveries_fields[] = {
    QN_FIELD_SUB(struct deliveries_reply, deliveries, LIST, 0, &webhook_delivery_object,
	"Newest event first."),
    API_PAGE_FIELDS(struct deliveries_reply),
};
static const struct qn_object deliveries_object =
    QN_OBJECT("WebhookDeliveries", struct deliveries_reply, deliveries_fields);

struct delivery_reply {
	const struct webhook_delivery *delivery;
};

static const struct qn_field delivery_fields[] = {
    QN_FIELD_SUB(
	struct delivery_reply, delivery, OBJ, 0, &webhook_delivery_object, "The delivery."),
};
static const struct qn_object delivery_object =
    QN_OBJECT("WebhookDeliveryReply", struct delivery_reply, delivery_fields);

struct test_reply {
	const char *delivery_id;
};

static const struct qn_field test_fields[] = {
    QN_FIELD(struct test_reply, delivery_id, UUID, 0, 0, 0, "Of the delivery that was queued."),
};
static const struct qn_object test_object =
    QN_OBJECT("WebhookTested", struct test_reply, test_fields);

#define DESCRIPTION QN_FIELD(struct webhook, description, STR, 0, 0, 500, "What it is for.")
#define EVENTS \
	QN_FIELD(struct webhook, events, JSON, 0, 0, 4000, \
	    "Types of events, a list; empty: all, also those to come.")
#define ORDERED \
	QN_FIELD(struct webhook, ordered, BOOL, 0, 0, 0, \
	    "Whether an event waits for the one before it of the same organization or user.")

static const struct qn_field new_fields[] = {
    QN_FIELD(struct webhook, url, STR, QN_F_REQUIRED, 8, 2000, "Where to send it: https://…"),
    DESCRIPTION,
    EVENTS,
    ORDERED,
};
static const struct qn_object new_object = QN_OBJECT("WebhookNew", struct webhook, new_fields);

static const struct qn_field change_fields[] = {
    QN_FIELD(struct webhook, url, STR, 0, 8, 2000, "Where to send it: https://…"),
    DESCRIPTION,
    EVENTS,
    ORDERED,
    QN_FIELD(struct webhook, enabled, BOOL, 0, 0, 0,
	"false: nothing is sent; true: what waited is, and what happens from now on."),
};
static const struct qn_object change_object =
    QN_OBJECT("WebhookChange", struct webhook, change_fields);

struct rotate_in {
	int64_t overlap_hours;
};

static const struct qn_field rotate_fields[] = {
    QN_FIELD_DEF(struct rotate_in, overlap_hours, I64, 0, 0, 168, "24",
	"How long the old secret signs beside the new one."),
};
static const struct qn_object rotate_object =
    QN_OBJECT("WebhookRotate", struct rotate_in, rotate_fields);

struct deliveries_query {
	struct qn_page_query page;
	const char *state, *type;
};

static const struct qn_field query_fields[] = {
    QN_PAGE_FIELDS(struct deliveries_query, 100),
    QN_FIELD_ENUM(struct deliveries_query, state, 0, webhook_states, NULL, "Only in this state."),
    QN_FIELD(struct deliveries_query, type, STR, 0, 1, 64, "Only of this type."),
};
static const struct qn_object query_object =
    QN_OBJECT("WebhookDeliveriesQuery", struct deliveries_query, query_fields);

static bool of_org(const struct qn_request *r)
{
	return r->who.org_id[0] != '\0';
}

static struct webhook_scope scope(const struct qn_request *r)
{
	return (struct webhook_scope){r->who.app->id, of_org(r) ? r->who.org_id : NULL};
}

/* The path's parameter behind the organization, if there is one. */
static const char *param(const struct qn_request *r, size_t i)
{
	return r->param[i + (of_org(r) ? 1 : 0)];
}

static enum qn_err note(
    struct qn_request *r, const char *action, const char *id, struct qn_span details)
{
	return api_audit(r, &(struct audit_event){.organization = scope(r).org,
				.action = action,
				.resource_type = "webhook",
				.resource_id = id,
				.details = details});
}

/* A list of types that there are, each once or more. */
static bool good_events(struct qn_request *r, struct qn_span list)
{
	struct qn_span *items = NULL;
	const char *s;
	size_t n = 0;

	if (!qn_json_elements(r->arena, list, &items, &n) || n > EVENTS_MOST)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!qn_json_str(r->arena, items[i], &s, NULL) || !webhook_is_event(s))
			return false;
	return true;
}

static enum qn_err check(struct qn_request *r, const struct webhook *in)
{
	bool local = qn_conf_bool(qn_server_conf(r->server), QN_CONF_KEY_QUOIN_OUTBOUND_LOCAL);
	const char *fault = in->url != NULL ? qn_outcall_fault(in->url, local) : NULL;

	if (fault != NULL)
		qn_fault_add(r, "body", "url", fault, "url");
	if (in->events.p != NULL && !good_events(r, in->events))
		qn_fault_add(r, "body", "events",
		    "Give a list of types: GET …/webhooks/event-types shows them.", "events");
	return r->nfaults > 0 ? QN_INVALID : QN_OK;
}

static enum qn_err reply_one(struct qn_request *r, const struct webhook *w)
{
	struct one_reply *out = qn_new(r->arena, struct one_reply);

	out->webhook = w;
	return qn_reply(r, out);
}

/* A new secret for the endpoint of that id: shown in *ret, sealed for the store. The arena is wiped with the reply. */
static enum qn_err make_secret(
    struct qn_request *r, const char *id, const char **ret, struct qn_span *ret_sealed)
{
	char *secret = qn_alloc(r->arena, QN_WEBHOOK_SECRET);

	qn_webhook_secret(secret);
	*ret = secret;
	return qn_webhook_seal(qn_server_conf(r->server), r->arena, id, secret, ret_sealed)
	           ? QN_OK
	           : QN_INTERNAL;
}

static enum qn_err list(struct qn_request *r)
{
	struct list_reply *out = qn_new(r->arena, struct list_reply);

	QN_TRY(webhook_list(r->db, r->arena, scope(r), &out->webhooks));
	return qn_reply(r, out);
}

static enum qn_err event_types(struct qn_request *r)
{
	struct events_reply *out = qn_new(r->arena, struct events_reply);

	out->event_types = webhook_events();
	return qn_reply(r, out);
}

static enum qn_err create(struct qn_request *r)
{
	struct webhook *in = r->in, *w = qn_new(r->arena, struct webhook);
	struct secret_reply *out = qn_new(r->arena, struct secret_reply);
	char *id = qn_alloc(r->arena, QN_UUID_LEN + 1);
	struct qn_span sealed;

	QN_TRY(check(r, in));
	qn_uuid_new(id);
	in->id = id;
	QN_TRY(make_secret(r, id, &out->secret, &sealed));
	QN_TX(tx, r->db);
	QN_TRY(webhook_create(r->db, r->arena, scope(r), r->who.user_id, in, sealed, w));
	QN_TRY(note(r, "webhook.create", id, api_details(r, "url", in->url, NULL)));
	QN_TRY(qn_tx_commit(&tx));
	out->webhook = w;
	return qn_reply(r, out);
}

static enum qn_err get(struct qn_request *r)
{
	struct webhook *w = qn_new(r->arena, struct webhook);

	QN_TRY(webhook_by_id(r->db, r->arena, scope(r), param(r, 0), w));
	return reply_one(r, w);
}

static enum qn_err update(struct qn_request *r)
{
	const struct webhook *in = r->in;
	struct webhook *w = qn_new(r->arena, struct webhook);
	const char *enabled = in->enabled == QN_UNSET ? NULL : in->enabled ? "true" : "false";

	QN_TRY(check(r, in));
	QN_TX(tx, r->db);
	QN_TRY(webhook_update(r->db, r->arena, scope(r), param(r, 0), in, w));
	QN_TRY(note(
	    r, "webhook.update", w->id, api_details(r, "url", in->url, "enabled", enabled, NULL)));
	QN_TRY(qn_tx_commit(&tx));
	return reply_one(r, w);
}

static enum qn_err delete (struct qn_request *r) {
	QN_TX(tx, r->db); QN_TRY(webhook_delete(r->db, r->arena, scope(r), param(r, 0)));
	QN_TRY(note(r, "webhook.delete", param(r, 0), (struct qn_span){NULL, 0}));
	QN_TRY(qn_tx_commit(&tx));
	return api_success(r);
}

static enum qn_err rotate(struct qn_request *r)
{
	const struct rotate_in *in = r->in;
	struct webhook *w = qn_new(r->arena, struct webhook);
	struct secret_reply *out = qn_new(r->arena, struct secret_reply);
	struct qn_span sealed;

	QN_TRY(make_secret(r, param(r, 0), &out->secret, &sealed));
	QN_TX(tx, r->db);
	QN_TRY(
	    webhook_rotate(r->db, r->arena, scope(r), param(r, 0), sealed, in->overlap_hours, w));
	QN_TRY(note(r, "webhook.rotate-secret", w->id, (struct qn_span){NULL, 0}));
	QN_TRY(qn_tx_commit(&tx));
	out->webhook = w;
	return qn_reply(r, out);
}

static enum qn_err test(struct qn_request *r)
{
	struct test_reply *out = qn_new(r->arena, struct test_reply);

	QN_TRY(webhook_test(r->db, r->arena, scope(r), param(r, 0), &out->delivery_id));
	return qn_reply(r, out);
}

static enum qn_err deliveries(struct qn_request *r)
{
	const struct deliveries_query *q = r->query;
	const struct webhook_filter filter = {q->state, q->type};
	struct deliveries_reply *out = qn_new(r->arena, struct deliveries_reply);
	const char *before;
	int64_t limit;

	QN_TRY(qn_page_start(r, &before, &limit));
	QN_TRY(webhook_deliveries(
	    r->db, r->arena, scope(r), param(r, 0), &filter, before, limit + 1, &out->deliveries));
	out->has_more = qn_page_more(&out->deliveries, limit);
	if (out->has_more)
		qn_page_next(r,
		    qn_printf(r->arena, "%" PRId64,
			((const struct webhook_delivery *)out->deliveries.items)[limit - 1].seq));
	out->next_cursor = r->next;
	return qn_reply(r, out);
}

static enum qn_err resend(struct qn_request *r)
{
	struct webhook_delivery *d = qn_new(r->arena, struct webhook_delivery);
	struct delivery_reply *out = qn_new(r->arena, struct delivery_reply);

	QN_TX(tx, r->db);
	QN_TRY(webhook_resend(r->db, r->arena, scope(r), param(r, 0), param(r, 1), d));
	QN_TRY(note(r, "webhook.resend", param(r, 0), api_details(r, "delivery_id", d->id, NULL)));
	QN_TRY(qn_tx_commit(&tx));
	out->delivery = d;
	return qn_reply(r, out);
}

/* One set of rows a scope: where, the ids' beginning, who may, its flags, and what is not there. */
#define ROWS(all, id, who, flag, ...) \
	{QN_GET, all, id "-list", "List the endpoints that are told of events.", who, \
	    .flags = flag, .reply = &list_object, .handler = list}, \
	    {QN_POST, all, id "-create", "Add an endpoint that is told of events.", who, \
		.flags = flag | QN_R_UNKEPT, .body = &new_object, .body_max = 16384, \
		.reply = &secret_object, .errors = {QN_LIMIT}, .handler = create}, \
	    {QN_GET, all "/event-types", id "-events", "List the types of events.", who, \
		.flags = flag, .reply = &events_object, .handler = event_types}, \
	    {QN_GET, all ONE, id, "Show an endpoint.", who, .flags = flag, .reply = &one_object, \
		.errors = {__VA_ARGS__}, .handler = get}, \
	    {QN_PUT, all ONE, id "-update", "Change an endpoint, or switch it off and on.", who, \
		.flags = flag, .body = &change_object, .body_max = 16384, .reply = &one_object, \
		.errors = {__VA_ARGS__}, .handler = update}, \
	    {QN_DELETE, all ONE, id "-delete", "Remove an endpoint and its deliveries.", who, \
		.flags = flag, .reply = &api_success_object, .errors = {__VA_ARGS__}, \
		.handler = delete}, \
	    {QN_POST, all ONE "/rotate-secret", id "-rotate", \
		"Give an endpoint a new secret; the old one signs beside it for a while.", who, \
		.flags = flag | QN_R_UNKEPT, .body = &rotate_object, .body_max = 1024, \
		.reply = &secret_object, .errors = {__VA_ARGS__}, .handler = rotate}, \
	    {QN_POST, all ONE "/test", id "-test", "Send an event of type webhook.test.", who, \
		.flags = flag | QN_R_ONCE, .reply = &test_object, \
		.errors = {QN_CONFLICT, __VA_ARGS__}, .handler = test}, \
	    {QN_GET, all ONE "/deliveries", id "-deliveries", \
		"List what was sent to an endpoint, or waits.", who, .flags = flag | QN_R_PAGED, \
		.query = &query_object, .reply = &deliveries_object, .errors = {__VA_ARGS__}, \
		.handler = deliveries}, \
	{ \
		QN_POST, all ONE "/deliveries/{delivery_id}/resend", id "-resend", \
		    "Send a delivery once more, or now instead of later.", who, \
		    .flags = flag | QN_R_ONCE, .reply = &delivery_object, \
		    .errors = {QN_CONFLICT, QN_DELIVERY_NOT_FOUND, __VA_ARGS__}, .handler = resend \
	}

#define ONE   "/{webhook_id}"
#define STAFF .pool = QN_POOL_API, .auth = QN_AUTH_USER, .missing = QN_WEBHOOK_NOT_FOUND
#define ADMIN ORG(QN_ROLE_ADMIN)

static const struct qn_route routes[] = {
    ROWS("/api/v1/admin/webhooks", "admin.webhook", STAFF, QN_R_STAFF, QN_OK),
    ROWS("/api/v1/orgs/{org_id}/webhooks", "org.webhook", ADMIN, 0, QN_WEBHOOK_NOT_FOUND),
};
API_TABLE(webhook_table, routes);
