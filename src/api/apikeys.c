/* API keys (CONTRACT B6, B24-B26, B28, E10, E19): made, shown once, named, rerolled, revoked. */
#include "api.h"
#include "quoin/auth/opaque.h"
#include "quoin/base/json.h"
#include "quoin/base/netaddr.h"
#include "quoin/store/apikey.h"

#include <stdio.h>
#include <string.h>

enum { LIST_MOST = 16, DAY_S = 86400 };

struct list_reply {
	struct qn_list api_keys;
};

static const struct qn_field list_fields[] = {
    QN_FIELD_SUB(
	struct list_reply, api_keys, LIST, 0, &apikey_object, "Those that live, newest first."),
};
static const struct qn_object list_object = QN_OBJECT("ApiKeyList", struct list_reply, list_fields);

struct made_reply {
	const char *api_key;
	const struct apikey *key;
};

static const struct qn_field made_fields[] = {
    QN_FIELD(struct made_reply, api_key, STR, 0, 0, 0, "The key. It is not shown again."),
    QN_FIELD_SUB(struct made_reply, key, OBJ, 0, &apikey_object, "What is kept of it."),
};
static const struct qn_object made_object = QN_OBJECT("ApiKeyMade", struct made_reply, made_fields);

struct one_reply {
	const struct apikey *key;
};

static const struct qn_field one_fields[] = {
    QN_FIELD_SUB(struct one_reply, key, OBJ, 0, &apikey_object, "The key."),
};
static const struct qn_object one_object = QN_OBJECT("ApiKeyReply", struct one_reply, one_fields);

struct status_reply {
	const char *status;
};

static const struct qn_field status_fields[] = {
    QN_FIELD(struct status_reply, status, STR, 0, 0, 0, "revoked"),
};
static const struct qn_object status_object =
    QN_OBJECT("ApiKeyRevoked", struct status_reply, status_fields);

struct new_in {
	const char *name;
	struct qn_span scopes, ip_allow;
	int64_t expires_in_days;
};

static const struct qn_field new_fields[] = {
    QN_FIELD_DEF(struct new_in, name, STR, 0, 1, 100, "API key", "Shown name."),
    QN_FIELD(struct new_in, scopes, JSON, 0, 0, 2000,
	"What it may do, a list: read, write, or one area of it, \"graph:read\". [\"read\",\"write\"]."),
    QN_FIELD(struct new_in, ip_allow, JSON, 0, 0, 2000,
	"Networks that it may come from, a list of addresses and CIDR ranges. []: any."),
    QN_FIELD(struct new_in, expires_in_days, I64, 0, 1, 3650, "When it ends. Null: never."),
};
static const struct qn_object new_object = QN_OBJECT("ApiKeyNew", struct new_in, new_fields);

struct rename_in {
	const char *name;
};

static const struct qn_field rename_fields[] = {
    QN_FIELD(struct rename_in, name, STR, QN_F_REQUIRED, 1, 100, "Shown name."),
};
static const struct qn_object rename_object =
    QN_OBJECT("ApiKeyRename", struct rename_in, rename_fields);

struct reroll_in {
	int64_t overlap_hours;
};

static const struct qn_field reroll_fields[] = {
    QN_FIELD_DEF(struct reroll_in, overlap_hours, I64, 0, 0, 168, "24",
	"How long the old key is good beside the new one."),
};
static const struct qn_object reroll_object =
    QN_OBJECT("ApiKeyReroll", struct reroll_in, reroll_fields);

/* read, write, or AREA:read, AREA:write with the first word of a route's id. */
static bool good_scope(const char *s)
{
	size_t area = strspn(s, "abcdefghijklmnopqrstuvwxyz");

	if (s[area] == ':' && area > 0)
		s += area + 1;
	return strcmp(s, "read") == 0 || strcmp(s, "write") == 0;
}

static bool good_network(const char *s)
{
	size_t n = strcspn(s, "/");
	char net[QN_NET_LEN], addr[QN_NET_LEN];

	if (n >= sizeof(addr) || strspn(s, "0123456789abcdefABCDEF.:/") != strlen(s))
		return false;
	snprintf(addr, sizeof(addr), "%.*s", (int)n, s);
	qn_net_of(addr, net);
	return strcmp(net, "none") != 0 && qn_net_holds(s, addr);
}

/* A list of strings that are each `good`; together no longer than what a worker remembers. */
static bool good_list(struct qn_request *r, struct qn_span list, bool (*good)(const char *s),
    size_t least, size_t most)
{
	struct qn_span *items = NULL;
	const char *s;
	size_t n = 0, length = 0, bytes;

	if (!qn_json_elements(r->arena, list, &items, &n) || n < least || n > LIST_MOST)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!qn_json_str(r->arena, items[i], &s, &bytes) || !good(s))
			return false;
		length += bytes + 1;
	}
	return length < most;
}

/* Postgres knows better what a network is: 10.0.0.1/8 has bits beyond its mask, and is refused there. */
static enum qn_err check(struct qn_request *r, struct new_in *in)
{
	if (in->scopes.p == NULL)
		in->scopes = qn_span_of("[\"read\",\"write\"]");
	if (in->ip_allow.p == NULL)
		in->ip_allow = qn_span_of("[]");
	if (!good_list(r, in->scopes, good_scope, 1, QN_SCOPES_MAX))
		qn_fault_add(r, "body", "scopes",
		    "Give a short list of read, write, AREA:read and AREA:write.", "scopes");
	if (!good_list(r, in->ip_allow, good_network, 0, QN_NETWORKS_MAX))
		qn_fault_add(r, "body", "ip_allow",
		    "Give a short list of addresses and CIDR ranges.", "networks");
	return r->nfaults > 0 ? QN_INVALID : QN_OK;
}

/* Makes a key like `in`, inside the open transaction. */
static enum qn_err make(struct qn_request *r, struct apikey *in, struct made_reply *ret)
{
	struct qn_apikey *key = qn_new(r->arena, struct qn_apikey);
	struct apikey *row = qn_new(r->arena, struct apikey);

	qn_apikey_new(r->who.app->key_prefix, key);
	in->public_id = key->public_id;
	in->key_prefix = qn_strndup(r->arena, key->text, QN_APIKEY_SHOWN);
	enum qn_err e =
	    apikey_create(r->db, r->arena, r->who.app->id, r->who.user_id, in, key->hash, row);
	if (e != QN_OK)
		return e;
	*ret = (struct made_reply){key->text, row};
	return api_audit(
	    r, &(struct audit_event){
		   .action = "api-key.create", .resource_type = "api-key", .resource_id = row->id});
}

static enum qn_err list(struct qn_request *r)
{
	struct list_reply *out = qn_new(r->arena, struct list_reply);

	QN_TRY(apikey_list(r->db, r->arena, r->who.app->id, r->who.user_id, &out->api_keys));
	return qn_reply(r, out);
}

static enum qn_err create(struct qn_request *r)
{
	struct new_in *in = r->in;
	struct made_reply *out = qn_new(r->arena, struct made_reply);

	QN_TRY(check(r, in));
	struct apikey wanted = {.name = in->name,
	    .scopes = in->scopes,
	    .ip_allow = in->ip_allow,
	    .expires_at = QN_TIME_NULL};
	if (in->expires_in_days != QN_I64_NULL)
		wanted.expires_at = qn_now() + in->expires_in_days * DAY_S * 1000000;
	QN_TX(tx, r->db);
	QN_TRY(make(r, &wanted, out));
	QN_TRY(qn_tx_commit(&tx));
	return qn_reply(r, out);
}

/* A new key with the name, scopes and end of an old one, which goes on for a while (B26). */
static enum qn_err reroll(struct qn_request *r)
{
	const struct reroll_in *in = r->in;
	struct made_reply *out = qn_new(r->arena, struct made_reply);
	const char *app = r->who.app->id, *user = r->who.user_id;
	struct apikey old;

	QN_TX(tx, r->db);
	QN_TRY(apikey_like(r->db, r->arena, app, user, r->param[0], &old));
	if (in->overlap_hours == 0)
		QN_TRY(apikey_revoke(r->db, r->arena, app, user, r->param[0]));
	else
		QN_TRY(
		    apikey_end(r->db, r->arena, app, user, r->param[0], in->overlap_hours * 3600));
	QN_TRY(make(r, &old, out));
	QN_TRY(qn_tx_commit(&tx));
	return qn_reply(r, out);
}

static enum qn_err rename_key(struct qn_request *r)
{
	const struct rename_in *in = r->in;
	struct one_reply *out = qn_new(r->arena, struct one_reply);
	struct apikey *key = qn_new(r->arena, struct apikey);

	QN_TX(tx, r->db);
	QN_TRY(apikey_rename(
	    r->db, r->arena, r->who.app->id, r->who.user_id, r->param[0], in->name, key));
	QN_TRY(api_audit(r, &(struct audit_event){.action = "api-key.rename",
				.resource_type = "api-key",
				.resource_id = r->param[0]}));
	QN_TRY(qn_tx_commit(&tx));
	out->key = key;
	return qn_reply(r, out);
}

static enum qn_err revoke_key(struct qn_request *r)
{
	static const struct status_reply revoked = {"revoked"};

	QN_TX(tx, r->db);
	QN_TRY(apikey_revoke(r->db, r->arena, r->who.app->id, r->who.user_id, r->param[0]));
	QN_TRY(api_audit(r, &(struct audit_event){.action = "api-key.revoke",
				.resource_type = "api-key",
				.resource_id = r->param[0]}));
	QN_TRY(qn_tx_commit(&tx));
	return qn_reply(r, &revoked);
}

/* No key makes, changes or ends keys. */
#define USER .pool = QN_POOL_API, .auth = QN_AUTH_USER
#define ONE  USER, .tenant = "key_id", .missing = QN_KEY_NOT_FOUND

static const struct qn_route routes[] = {
    {QN_GET, "/api/v1/api-keys", "apikey.list", "List the caller's API keys.", USER,
	.reply = &list_object, .rate = QN_RATE_ACCOUNT, .handler = list},
    {QN_POST, "/api/v1/api-keys", "apikey.create", "Make an API key.", USER, .flags = QN_R_UNKEPT,
	.body = &new_object, .body_max = 16384, .reply = &made_object, .errors = {QN_LIMIT},
	.rate = QN_RATE_ACCOUNT, .handler = create},
    {QN_PUT, "/api/v1/api-keys/{key_id}", "apikey.rename", "Rename an API key.", ONE,
	.body = &rename_object, .body_max = 4096, .reply = &one_object, .rate = QN_RATE_ACCOUNT,
	.handler = rename_key},
    {QN_POST, "/api/v1/api-keys/{key_id}/reroll", "apikey.reroll",
	"Make a key that takes an old one's place.", ONE, .flags = QN_R_UNKEPT,
	.body = &reroll_object, .body_max = 4096, .reply = &made_object,
	.errors = {QN_LIMIT, QN_KEY_OVER}, .rate = QN_RATE_ACCOUNT, .handler = reroll},
    {QN_DELETE, "/api/v1/api-keys/{key_id}", "apikey.revoke", "Revoke an API key.", ONE,
	.reply = &status_object, .rate = QN_RATE_ACCOUNT, .handler = revoke_key},
};
API_TABLE(apikey_table, routes);
