/*
 * What programs ask with nothing but a licence's key, and with a token beside it if they like (CONTRACT D15-D18, D22, K23):
 * is it valid here, use some of it, I am alive, lend me a seat. Who asks changes no answer (SECURITY T22).
 */
#include "licences.h"

#include <string.h>

struct qn_span api_licence_by(struct qn_request *r)
{
	return api_details(r, "user", r->who.known ? r->who.user_id : NULL, "ip", r->remote_addr,
	    "agent", api_user_agent(r), "request", r->id, NULL);
}

void api_licence_changed(struct qn_request *r, const char *id)
{
	r->revoked = qn_printf(r->arena, "licence:%s", id);
}

struct licence_who api_licence_who(const struct qn_request *r)
{
	return (struct licence_who){
	    r->who.app->id, r->who.user_id, strcmp(r->who.platform_role, "admin") == 0};
}

void api_licence_key(const struct qn_request *r, const char *plan, struct qn_licence_key *ret)
{
	const struct qn_plan *p = qn_app_plan_or_lowest(r->who.app, plan != NULL ? plan : "");

	qn_licence_key_new(r->who.app->licence_prefix, p->shown, ret);
}

enum qn_err api_licence_of_user(struct qn_request *r, const char *user, const char **ret)
{
	struct qn_licence_key key;

	*ret = NULL;
	if (!r->who.app->licence_each)
		return QN_OK;
	api_licence_key(r, NULL, &key);
	return licence_of_user(r->db, r->arena, r->who.app->id, user, key.text, ret);
}

/* A text that workers and tables keep: it is printable, and so as long as it seems. */
static void check_plain(struct qn_request *r, const char *field, const char *s)
{
	for (; s != NULL && *s != '\0'; s++)
		if (*s < '!' || *s > '~') {
			qn_fault_add(r, "body", field,
			    "Letters, digits and signs of ASCII, without spaces.", "plain");
			return;
		}
}

/* of every body: the key, and where and in what it is used */
struct used_in {
	const char *license_key, *machine_id, *version;
};

static enum qn_err check_used(struct qn_request *r, const struct used_in *in)
{
	check_plain(r, "machine_id", in->machine_id);
	check_plain(r, "version", in->version);
	return r->nfaults > 0 ? QN_INVALID : QN_OK;
}

/* validate */

struct validate_in {
	struct used_in used;
	const char *name, *platform;
	int64_t commands;
};

static const struct qn_field validate_fields[] = {
    {.name = "license_key",
	.type = QN_T_STR,
	.flags = QN_F_REQUIRED,
	.least = 1,
	.most = API_LICENCE_KEY_MOST,
	.offset = QN_FIELD_C(STR, struct validate_in, used.license_key),
	.doc = "The licence's key."},
    {.name = "machine_id",
	.type = QN_T_STR,
	.flags = QN_F_REQUIRED,
	.least = 1,
	.most = 256,
	.offset = QN_FIELD_C(STR, struct validate_in, used.machine_id),
	.doc = "What the machine calls itself, the same each time: SHA-256 of a hardware id, say."},
    {.name = "version",
	.type = QN_T_STR,
	.least = 1,
	.most = 64,
	.offset = QN_FIELD_C(STR, struct validate_in, used.version),
	.doc = "Version of the program."},
    QN_FIELD(struct validate_in, name, STR, 0, 1, 100, "Shown name of a machine that is new."),
    QN_FIELD(struct validate_in, platform, STR, 0, 1, 100, "Its system."),
    QN_FIELD(struct validate_in, commands, I64, 0, 1, 1000000,
	"So many commands are used with it, or the code is QUOTA_EXCEEDED."),
};
static const struct qn_object validate_object =
    QN_OBJECT("LicenseValidate", struct validate_in, validate_fields);

struct validated_reply {
	qn_tri valid;
	const char *code, *reason, *tier;
	qn_time expires_at;
	struct qn_span features, quotas;
	qn_time cached_until;
	qn_tri stale;
};

static const struct qn_field validated_fields[] = {
    QN_FIELD(struct validated_reply, valid, BOOL, 0, 0, 0, "Whether the licence may be used."),
    QN_FIELD(struct validated_reply, code, STR, 0, 0, 0,
	"VALID, NOT_FOUND, WRONG_PRODUCT, REVOKED, SUSPENDED, EXPIRED, OVERDUE, TOO_MANY_DEVICES, HEARTBEAT_MISSED, "
	"LEASE_REQUIRED, QUOTA_EXCEEDED, …"),
    QN_FIELD(struct validated_reply, reason, STR, 0, 0, 0, "The same for a person."),
    QN_FIELD(
	struct validated_reply, tier, STR, QN_F_NULLABLE, 0, 0, "The plan as the app spells it."),
    QN_FIELD(struct validated_reply, expires_at, TIME, QN_F_NULLABLE, 0, 0,
	"When it ends; null: never."),
    QN_FIELD(struct validated_reply, features, JSON, QN_F_OBJECT, 0, 0,
	"Flags; none when it may not be used."),
    QN_FIELD(struct validated_reply, quotas, JSON, QN_F_OBJECT, 0, 0,
	"What it allows; -1: without limit."),
    QN_FIELD(struct validated_reply, cached_until, TIME, 0, 0, 0,
	"Until then a client may believe this without asking again: a day at most."),
    QN_FIELD(struct validated_reply, stale, BOOL, QN_F_OPTIONAL, 0, 0,
	"True: the database does not answer, and this is what was known before."),
};
static const struct qn_object validated_object =
    QN_OBJECT("LicenseValidated", struct validated_reply, validated_fields);

static enum qn_err reply_answer(struct qn_request *r, const struct qn_licence_answer *ans)
{
	struct validated_reply *out = qn_new(r->arena, struct validated_reply);
	const struct qn_span none = QN_SPAN_LIT("{}");

	*out = (struct validated_reply){
	    .valid = ans->valid,
	    .code = qn_licence_code_name(ans->code),
	    .reason = qn_licence_code_reason(ans->code),
	    .tier = ans->plan != NULL ? api_shown_tier(r, ans->plan) : NULL,
	    .expires_at = ans->expires_at,
	    .features = ans->valid && ans->features.p != NULL ? ans->features : none,
	    .quotas = ans->quotas.p != NULL ? ans->quotas : none,
	    .cached_until = ans->cached_until,
	    .stale = ans->stale ? 1 : QN_UNSET,
	};
	return qn_reply(r, out);
}

/* false: it has no such key, and the code says why. */
static bool is_key(
    struct qn_request *r, const struct used_in *in, struct licence_of *ret, const char **ret_code)
{
	uint8_t *hash = qn_alloc(r->arena, QN_SHA256_LEN);
	enum qn_licence_code why;

	*ret = (struct licence_of){r->who.app->id, hash, in->machine_id, in->version};
	if (qn_licence_key_of(r->who.app, qn_span_of(in->license_key), hash, &why))
		return true;
	*ret_code = qn_licence_code_name(why);
	return false;
}

/* With the answer that it is valid, so many commands. */
static enum qn_err use_commands(
    struct qn_request *r, const struct validate_in *in, struct qn_licence_answer *ans)
{
	struct licence_take took;
	struct licence_of of;
	const char *code;

	if (!ans->valid || in->commands == QN_I64_NULL || !is_key(r, &in->used, &of, &code))
		return QN_OK;
	QN_TRY(licence_take(r->db, r->arena, &of, "commands", in->commands, &took));
	if (strcmp(took.code, "VALID") == 0)
		return QN_OK;
	ans->code = qn_licence_code_by_name(took.code);
	ans->valid = false;
	ans->cached_until = qn_now();
	return ans->code != QN_LICENCE_IS__MAX ? QN_OK : QN_INTERNAL;
}

static enum qn_err validate(struct qn_request *r)
{
	const struct validate_in *in = r->in;
	const struct qn_licence_ask ask = {.app = r->who.app,
	    .key = qn_span_of(in->used.license_key),
	    .machine = in->used.machine_id,
	    .version = in->used.version,
	    .name = in->name,
	    .platform = in->platform,
	    .ip = r->remote_addr};
	struct qn_licence_answer ans;

	QN_TRY(check_used(r, &in->used));
	QN_TRY(
	    qn_licence_check(qn_server_licences(r->server), r->db, r->cache, r->arena, &ask, &ans));
	QN_TRY(use_commands(r, in, &ans));
	return reply_answer(r, &ans);
}

/* usage */

struct usage_in {
	const char *license_key, *meter, *version;
	int64_t n;
};

static const struct qn_field usage_fields[] = {
    QN_FIELD(struct usage_in, license_key, STR, QN_F_REQUIRED, 1, API_LICENCE_KEY_MOST,
	"The licence's key."),
    QN_FIELD_DEF(struct usage_in, meter, STR, 0, 1, 32, "commands",
	"What is used: commands, or a meter of the app's plans that only programs count."),
    QN_FIELD_DEF(
	struct usage_in, n, I64, 0, 1, 1000000, "1", "How much of it: all of that, or nothing."),
    QN_FIELD(struct usage_in, version, STR, 0, 1, 64, "Version of the program."),
};
static const struct qn_object usage_object =
    QN_OBJECT("LicenseUsage", struct usage_in, usage_fields);

struct used_reply {
	qn_tri taken;
	const char *code, *reason;
	int64_t used, max, remaining;
	qn_time resets_at;
};

static const struct qn_field used_fields[] = {
    QN_FIELD(struct used_reply, taken, BOOL, 0, 0, 0, "Whether it may be used, and was counted."),
    QN_FIELD(struct used_reply, code, STR, 0, 0, 0,
	"VALID, QUOTA_EXCEEDED, UNKNOWN_METER, or why the licence is not valid."),
    QN_FIELD(struct used_reply, reason, STR, 0, 0, 0, "The same for a person."),
    QN_FIELD(struct used_reply, used, I64, QN_F_NULLABLE, 0, 0, "Used in this period."),
    QN_FIELD(
	struct used_reply, max, I64, QN_F_NULLABLE, 0, 0, "Allowed in one; -1: without limit."),
    QN_FIELD(struct used_reply, remaining, I64, QN_F_NULLABLE, 0, 0, "Left; -1: without limit."),
    QN_FIELD(struct used_reply, resets_at, TIME, QN_F_NULLABLE, 0, 0, "When the next one begins."),
};
static const struct qn_object used_object =
    QN_OBJECT("LicenseUsed", struct used_reply, used_fields);

static int64_t left_of(const struct licence_take *t)
{
	if (t->max == QN_I64_NULL || t->max < 0)
		return t->max;
	return t->used < t->max ? t->max - t->used : 0;
}

static const char *reason_of(const char *code)
{
	return qn_licence_code_reason(qn_licence_code_by_name(code));
}

static enum qn_err use(struct qn_request *r)
{
	const struct usage_in *in = r->in;
	const struct used_in used = {in->license_key, NULL, in->version};
	struct used_reply *out = qn_new(r->arena, struct used_reply);
	struct licence_take t = {
	    .used = QN_I64_NULL, .max = QN_I64_NULL, .resets_at = QN_TIME_NULL};
	struct licence_of of;

	if (strspn(in->meter, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(in->meter) ||
	    in->meter[0] < 'a')
		qn_fault_add(r, "body", "meter", "Small letters, digits and _.", "plain");
	QN_TRY(check_used(r, &used));
	if (is_key(r, &used, &of, &t.code))
		QN_TRY(licence_take(r->db, r->arena, &of, in->meter, in->n, &t));
	r->without_effect = strcmp(t.code, "VALID") != 0; /* asked again later it may be another */
	*out = (struct used_reply){
	    !r->without_effect, t.code, reason_of(t.code), t.used, t.max, left_of(&t), t.resets_at};
	return qn_reply(r, out);
}

/* signs of life */

static const struct qn_field here_fields[] = {
    QN_FIELD(struct used_in, license_key, STR, QN_F_REQUIRED, 1, API_LICENCE_KEY_MOST,
	"The licence's key."),
    QN_FIELD(
	struct used_in, machine_id, STR, QN_F_REQUIRED, 1, 256, "What the machine calls itself."),
    QN_FIELD(struct used_in, version, STR, 0, 1, 64, "Version of the program."),
};
static const struct qn_object here_object = QN_OBJECT("LicenseHere", struct used_in, here_fields);

struct code_reply {
	qn_tri valid;
	const char *code, *reason;
};

static const struct qn_field code_fields[] = {
    QN_FIELD(struct code_reply, valid, BOOL, 0, 0, 0, "Whether the licence may be used here."),
    QN_FIELD(
	struct code_reply, code, STR, 0, 0, 0, "As of a validation; NEW_DEVICE: it has no seat."),
    QN_FIELD(struct code_reply, reason, STR, 0, 0, 0, "The same for a person."),
};
static const struct qn_object code_object =
    QN_OBJECT("LicenseStanding", struct code_reply, code_fields);

static enum qn_err reply_code(struct qn_request *r, bool valid, const char *code)
{
	struct code_reply *out = qn_new(r->arena, struct code_reply);

	*out = (struct code_reply){valid, code, reason_of(code)};
	return qn_reply(r, out);
}

static enum qn_err heartbeat(struct qn_request *r)
{
	const struct used_in *in = r->in;
	struct licence_look look = {.valid = 0};
	struct licence_of of;

	QN_TRY(check_used(r, in));
	if (is_key(r, in, &of, &look.code))
		QN_TRY(licence_heartbeat(r->db, r->arena, &of, &look));
	return reply_code(r, look.valid == 1, look.code);
}

/* A machine that gives its own seat back: it counts as one that its holder frees. */
static enum qn_err leave(struct qn_request *r)
{
	const struct used_in *in = r->in;
	const struct licence_who who = {r->who.app->id, NULL, false};
	struct licence_of of;
	struct licence licence;
	const char *code;

	QN_TRY(check_used(r, in));
	if (!is_key(r, in, &of, &code))
		return QN_MACHINE_NOT_FOUND;
	QN_TX(tx, r->db);
	enum qn_err e = licence_by_key(r->db, r->arena, r->who.app->id, of.hash, &licence);
	if (e != QN_OK)
		return e == QN_NOT_FOUND ? QN_MACHINE_NOT_FOUND : e;
	QN_TRY(licence_release(
	    r->db, r->arena, &who, licence.id, NULL, in->machine_id, api_licence_by(r)));
	QN_TRY(qn_tx_commit(&tx));
	api_licence_changed(r, licence.id);
	return api_success(r);
}

/* leases */

struct leased_reply {
	qn_tri valid;
	const char *code, *reason;
	qn_time expires_at;
	int64_t leases, max_leases;
};

static const struct qn_field leased_fields[] = {
    QN_FIELD(struct leased_reply, valid, BOOL, 0, 0, 0, "Whether this machine holds a lease."),
    QN_FIELD(struct leased_reply, code, STR, 0, 0, 0,
	"VALID, NO_LEASE_LEFT, LEASE_REQUIRED, NOT_FLOATING, or why the licence is not valid."),
    QN_FIELD(struct leased_reply, reason, STR, 0, 0, 0, "The same for a person."),
    QN_FIELD(struct leased_reply, expires_at, TIME, QN_F_NULLABLE, 0, 0, "Until when it holds it."),
    QN_FIELD(struct leased_reply, leases, I64, QN_F_NULLABLE, 0, 0, "How many are held."),
    QN_FIELD(struct leased_reply, max_leases, I64, QN_F_NULLABLE, 0, 0,
	"How many may be; -1: any number."),
};
static const struct qn_object leased_object =
    QN_OBJECT("LicenseLeased", struct leased_reply, leased_fields);

static enum qn_err lease_or_not(struct qn_request *r, bool release)
{
	const struct used_in *in = r->in;
	struct leased_reply *out = qn_new(r->arena, struct leased_reply);
	struct licence_lease got = {
	    .until = QN_TIME_NULL, .taken = QN_I64_NULL, .max_leases = QN_I64_NULL};
	struct licence_of of;

	QN_TRY(check_used(r, in));
	if (is_key(r, in, &of, &got.code))
		QN_TRY(licence_lease(r->db, r->arena, &of, r->remote_addr, release, &got));
	if (release && got.license_id != NULL)
		api_licence_changed(r, got.license_id);
	*out = (struct leased_reply){strcmp(got.code, "VALID") == 0, got.code, reason_of(got.code),
	    got.until, got.taken, got.max_leases};
	return qn_reply(r, out);
}

static enum qn_err lease(struct qn_request *r)
{
	return lease_or_not(r, false);
}

static enum qn_err give_back(struct qn_request *r)
{
	return lease_or_not(r, true);
}

/* A second factor that is still to be shown opens nothing here that the key alone does not. */
#define BY_KEY \
	.pool = QN_POOL_API, .auth = QN_AUTH_PUBLIC | QN_AUTH_USER | QN_AUTH_KEY, \
	.rate = QN_RATE_LICENCE, .body_max = 4096
#define FLAGS QN_R_APP | QN_R_UNKEPT | QN_R_ONE_FACTOR

static const struct qn_route routes[] = {
    {QN_POST, "/api/v1/licenses/validate", "licence.validate",
	"Ask whether a licence may be used on a machine.", BY_KEY,
	.flags = FLAGS | QN_R_STALE | QN_R_SIGNED, .body = &validate_object,
	.reply = &validated_object, .handler = validate},
    {QN_POST, "/api/v1/licenses/usage", "licence.use", "Use some of what a licence allows.", BY_KEY,
	.flags = QN_R_APP | QN_R_ONCE | QN_R_ONE_FACTOR, .once_by = "license_key",
	.body = &usage_object, .reply = &used_object, .handler = use},
    {QN_PUT, "/api/v1/licenses/heartbeat", "licence.heartbeat", "Give a sign of life of a machine.",
	BY_KEY, .flags = QN_R_APP | QN_R_ONE_FACTOR, .body = &here_object, .reply = &code_object,
	.handler = heartbeat},
    {QN_POST, "/api/v1/licenses/release", "licence.leave", "Give a machine's own seat back.",
	BY_KEY, .flags = FLAGS, .body = &here_object, .reply = &api_success_object,
	.errors = {QN_MACHINE_NOT_FOUND, QN_RELEASES}, .handler = leave},
    {QN_POST, "/api/v1/licenses/leases", "licence.lease",
	"Take a lease of a floating licence, or make it longer.", BY_KEY, .flags = FLAGS,
	.body = &here_object, .reply = &leased_object, .handler = lease},
    {QN_POST, "/api/v1/licenses/leases/release", "licence.give-back", "Give a lease back.", BY_KEY,
	.flags = FLAGS, .body = &here_object, .reply = &leased_object, .handler = give_back},
};
API_TABLE(licence_table, routes);
