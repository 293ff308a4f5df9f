/*
 * Files that prove a licence without a network (CONTRACT X10, X11; SECURITY T22; auth/proof.h): checked out by who looks
 * after it, or by a program with its key, also for a machine that has no network at all; and what was revoked.
 */
#include <string.h>

#include "licences.h"
#include "quoin/auth/proof.h"

#define DAY_S   INT64_C(86400)
#define DAY_US  (DAY_S * 1000000)
#define TTL_DEF "604800" /* the week of grace of X11 */

enum { TTL_LEAST = 3600, TTL_OWN_DAYS = 30, TTL_MOST_DAYS = 3660, LIST_DAYS = 7, FRESH_S = 300 };

/* What a file is to be. */
struct wish {
	int64_t ttl_seconds;
	qn_tri encrypt;
};

#define WISH(s, m) \
	{.name = "ttl_seconds", \
	    .type = QN_T_I64, \
	    .least = TTL_LEAST, \
	    .most = TTL_MOST_DAYS * DAY_S, \
	    .def = TTL_DEF, \
	    .offset = offsetof(s, m.ttl_seconds), \
	    .doc = \
		"How long programs believe the file: a week; more than 30 days only for staff."}, \
	{ \
		.name = "encrypt", .type = QN_T_BOOL, .def = "false", \
		.offset = offsetof(s, m.encrypt), \
		.doc = "Whether only who knows the key (and the machine) can read it." \
	}

struct file {
	const char *certificate, *algorithm, *kid;
	qn_time issued_at, expires_at;
};

static const struct qn_field file_fields[] = {
    QN_FIELD(struct file, certificate, STR, 0, 0, 0, "The text of the file."),
    QN_FIELD(struct file, algorithm, STR, 0, 0, 0, "base64+ed25519 or aes-256-gcm+ed25519."),
    QN_FIELD(struct file, kid, STR, 0, 0, 0, "Name of the key that proves it."),
    QN_FIELD(struct file, issued_at, TIME, 0, 0, 0, "Since when it is good."),
    QN_FIELD(struct file, expires_at, TIME, 0, 0, 0, "Until when."),
};
static const struct qn_object file_object = QN_OBJECT("LicenseFile", struct file, file_fields);

/* It ends with what it rests on: the licence, a lease, a sign of life, the owner's plan. */
static enum qn_err end_of(struct qn_request *r, const struct licence *l, const char *machine,
    qn_time wanted, qn_time *ret)
{
	qn_time most;

	QN_TRY(licence_file_until(r->db, r->arena, l->id, machine, &most));
	*ret = most != QN_TIME_NULL && most < wanted ? most : wanted;
	return QN_OK;
}

/* QN_LICENCE_STATE: it is not one to be used. */
static enum qn_err make(struct qn_request *r, const struct licence *l, const char *machine,
    const char *nonce, const struct wish *wish, struct file **ret)
{
	qn_time now = qn_now();
	struct qn_proof_license license = {.product = r->who.app->slug,
	    .license_id = l->id,
	    .key = l->license_key,
	    .plan = l->plan,
	    .status = "active",
	    .seats = l->max_devices >= 0 ? l->max_devices : QN_I64_NULL,
	    .features = l->features,
	    .limits = l->quotas,
	    .issued = now,
	    .license_expires = l->expires_at,
	    .machine = machine,
	    .nonce = nonce};
	struct file *f = qn_new(r->arena, struct file);
	const struct qn_proof_key *key;

	QN_TRY(end_of(r, l, machine, now + wish->ttl_seconds * 1000000, &license.expires));
	if (strcmp(l->status, "ACTIVE") != 0 || license.expires <= now)
		return QN_LICENCE_STATE;
	QN_TRY(qn_server_proof_key(r, &key));
	QN_TRY(qn_proof_file(r->arena, key, &license, wish->encrypt == 1, &f->certificate));
	f->algorithm = wish->encrypt == 1 ? "aes-256-gcm+ed25519" : "base64+ed25519";
	f->kid = qn_strdup(r->arena, qn_proof_key_kid(key));
	f->issued_at = now;
	f->expires_at = license.expires;
	*ret = f;
	return api_audit(r, &(struct audit_event){.organization = l->organization_id,
				.action = "licence.check-out",
				.resource_type = "licence",
				.resource_id = l->id,
				.details = api_details(r, "machine", machine, NULL)});
}

/* A file outlives a revocation: who holds a licence may not make one that does so for long. */
static enum qn_err check_wish(struct qn_request *r, const struct wish *wish, bool staff)
{
	if (staff || wish->ttl_seconds <= TTL_OWN_DAYS * DAY_S)
		return QN_OK;
	qn_fault_add(r, "body", "ttl_seconds", "At most 30 days.", "less_than_equal");
	return QN_INVALID;
}

/* A text that a file can hold. */
static enum qn_err check_word(struct qn_request *r, const char *field, const char *s)
{
	if (s == NULL || qn_proof_word(s))
		return QN_OK;
	qn_fault_add(
	    r, "body", field, "Letters, digits and signs of ASCII, but for \" and \\.", "plain");
	return QN_INVALID;
}

/* by who looks after it */

struct out_in {
	struct wish wish;
};

static const struct qn_field out_fields[] = {WISH(struct out_in, wish)};
static const struct qn_object out_object = QN_OBJECT("LicenseCheckOut", struct out_in, out_fields);

struct out_reply {
	const struct file *license_file;
};

static const struct qn_field out_reply_fields[] = {
    QN_FIELD_SUB(struct out_reply, license_file, OBJ, 0, &file_object, "The file."),
};
static const struct qn_object out_reply_object =
    QN_OBJECT("LicenseFileReply", struct out_reply, out_reply_fields);

static enum qn_err reply_file(struct qn_request *r, const struct file *f)
{
	struct out_reply *out = qn_new(r->arena, struct out_reply);

	out->license_file = f;
	return qn_reply(r, out);
}

/* device NULL: for any machine. */
static enum qn_err check_out_for(struct qn_request *r, const char *device)
{
	const struct licence_who who = api_licence_who(r);
	const struct out_in *in = r->in;
	const char *machine = NULL;
	struct licence l;
	struct qn_list seated;
	struct file *f = NULL;

	QN_TRY(check_wish(r, &in->wish, who.staff));
	QN_TX(tx, r->db);
	QN_TRY(licence_by_id(r->db, r->arena, &who, r->param[0], &l));
	if (device != NULL) {
		QN_TRY(licence_devices(r->db, r->arena, &who, r->param[0], &seated));
		const struct licence_device *d = seated.items;
		for (size_t i = 0; i < seated.n && machine == NULL; i++)
			machine = strcmp(d[i].id, device) == 0 ? d[i].machine_id : NULL;
		if (machine == NULL)
			return QN_MACHINE_NOT_FOUND;
	}
	QN_TRY(make(r, &l, machine, NULL, &in->wish, &f));
	QN_TRY(qn_tx_commit(&tx));
	return reply_file(r, f);
}

static enum qn_err check_out(struct qn_request *r)
{
	return check_out_for(r, NULL);
}

static enum qn_err check_out_device(struct qn_request *r)
{
	return check_out_for(r, r->param[1]);
}

/* by a program, with the key alone */

struct own_in {
	const char *license_key, *machine_id, *version, *name, *platform, *nonce;
	struct wish wish;
};

static const struct qn_field own_fields[] = {
    QN_FIELD(struct own_in, license_key, STR, QN_F_REQUIRED, 1, API_LICENCE_KEY_MOST,
	"The licence's key."),
    QN_FIELD(struct own_in, machine_id, STR, QN_F_REQUIRED, 1, QN_PROOF_WORD_MOST,
	"The machine it is for, which has or gets a seat."),
    QN_FIELD(struct own_in, version, STR, 0, 1, 64, "Version of the program."),
    QN_FIELD(struct own_in, name, STR, 0, 1, 100, "Shown name of a new machine."),
    QN_FIELD(struct own_in, platform, STR, 0, 1, 64, "Its system."),
    QN_FIELD(struct own_in, nonce, STR, 0, 1, QN_PROOF_WORD_MOST, "Given back in the file."),
    WISH(struct own_in, wish),
};
static const struct qn_object own_object = QN_OBJECT("MachineCheckOut", struct own_in, own_fields);

struct own_reply {
	qn_tri valid;
	const char *code, *reason;
	const struct file *machine_file;
};

static const struct qn_field own_reply_fields[] = {
    QN_FIELD(struct own_reply, valid, BOOL, 0, 0, 0, "Whether there is a file."),
    QN_FIELD(struct own_reply, code, STR, 0, 0, 0, "VALID, or why there is none; as of validate."),
    QN_FIELD(struct own_reply, reason, STR, 0, 0, 0, "The same for a person."),
    QN_FIELD_SUB(
	struct own_reply, machine_file, OBJ, QN_F_NULLABLE, &file_object, "Null when not valid."),
};
static const struct qn_object own_reply_object =
    QN_OBJECT("MachineFileReply", struct own_reply, own_reply_fields);

/* What validate would say; and the file, if it would say yes. */
static enum qn_err check_out_machine(struct qn_request *r, const struct own_in *in)
{
	const struct qn_licence_ask ask = {.app = r->who.app,
	    .key = qn_span_of(in->license_key),
	    .machine = in->machine_id,
	    .version = in->version,
	    .name = in->name,
	    .platform = in->platform,
	    .ip = r->remote_addr};
	struct own_reply *out = qn_new(r->arena, struct own_reply);
	uint8_t hash[QN_SHA256_LEN];
	struct qn_licence_answer ans;
	enum qn_licence_code why;
	struct licence l;
	struct file *f = NULL;

	QN_TRY(
	    qn_licence_check(qn_server_licences(r->server), r->db, r->cache, r->arena, &ask, &ans));
	if (ans.valid && qn_licence_key_of(r->who.app, ask.key, hash, &why)) {
		QN_TX(tx, r->db);
		QN_TRY(licence_by_key(r->db, r->arena, r->who.app->id, hash, &l));
		QN_TRY(make(r, &l, in->machine_id, in->nonce, &in->wish, &f));
		QN_TRY(qn_tx_commit(&tx));
	}
	out->valid = f != NULL;
	out->code = qn_licence_code_name(ans.code);
	out->reason = qn_licence_code_reason(ans.code);
	out->machine_file = f;
	return qn_reply(r, out);
}

static enum qn_err check_out_own(struct qn_request *r)
{
	const struct own_in *in = r->in;

	QN_TRY(check_word(r, "machine_id", in->machine_id));
	QN_TRY(check_word(r, "nonce", in->nonce));
	QN_TRY(check_wish(r, &in->wish, false));
	return check_out_machine(r, in);
}

/* for a machine without a network: a person carries what it wrote */

struct activate_in {
	struct qn_span request;
	struct wish wish;
};

static const struct qn_field activate_fields[] = {
    QN_FIELD(struct activate_in, request, JSON, QN_F_REQUIRED | QN_F_OBJECT, 2,
	(int64_t)QN_ACTIVATION_MOST, "The activation request that the program wrote."),
    WISH(struct activate_in, wish),
};
static const struct qn_object activate_object =
    QN_OBJECT("LicenseActivate", struct activate_in, activate_fields);

static enum qn_err activate(struct qn_request *r)
{
	const struct activate_in *in = r->in;
	struct qn_activation carried;
	const char *why = NULL;

	QN_TRY(check_wish(r, &in->wish, false));
	if (qn_activation_read(r->arena, in->request, &carried, &why) != QN_OK) {
		qn_fault_add(r, "body", "request", why, "activation_request");
		return QN_INVALID;
	}
	if (strcmp(carried.product, r->who.app->slug) != 0) {
		qn_fault_add(r, "body", "request", "It is for another product.", "product");
		return QN_INVALID;
	}
	return check_out_machine(r, &(struct own_in){.license_key = carried.key,
					.machine_id = carried.machine,
					.name = carried.name,
					.nonce = carried.nonce,
					.wish = in->wish});
}

/* what was revoked */

static enum qn_err revocations(struct qn_request *r)
{
	struct qn_proof_list list = {.product = r->who.app->slug};
	const struct qn_proof_key *key;
	const char *text;

	QN_TRY(licence_revoked(r->db, r->arena, r->who.app->id, QN_PROOF_LIST_MOST,
	    &list.license_ids, &list.n, &list.sequence));
	list.issued = list.sequence * 1000000;
	list.expires = list.issued + LIST_DAYS * DAY_US;
	QN_TRY(qn_server_proof_key(r, &key));
	QN_TRY(qn_proof_revocations(r->arena, key, &list, &text));
	r->raw = qn_span_of(text);
	return QN_OK;
}

#define FILES "/api/v1/licenses"
#define OF_ONE \
	.pool = QN_POOL_SLOW, .auth = QN_AUTH_USER, .tenant = "license_id", \
	.missing = QN_LICENCE_NOT_FOUND, .rate = QN_RATE_ACCOUNT, .flags = QN_R_UNKEPT, \
	.body = &out_object, .body_max = 4096, .reply = &out_reply_object
#define BY_KEY \
	.pool = QN_POOL_SLOW, .auth = QN_AUTH_PUBLIC | QN_AUTH_USER | QN_AUTH_KEY, \
	.flags = QN_R_APP | QN_R_UNKEPT | QN_R_ONE_FACTOR, .rate = QN_RATE_LICENCE, \
	.reply = &own_reply_object, .errors = {QN_LICENCE_STATE}

static const struct qn_route routes[] = {
    {QN_POST, FILES "/{license_id}/check-out", "licence.check-out",
	"Make a file that proves a licence without a network, on any machine.", OF_ONE,
	.errors = {QN_LICENCE_STATE}, .handler = check_out},
    {QN_POST, FILES "/{license_id}/devices/{device_id}/check-out", "licence.device-check-out",
	"Make a file that proves a licence without a network, on one machine.", OF_ONE,
	.errors = {QN_LICENCE_STATE, QN_MACHINE_NOT_FOUND}, .handler = check_out_device},
    {QN_POST, FILES "/check-out", "licence.check-out-own",
	"Make a file for the machine that asks, which has or gets a seat.", BY_KEY,
	.body = &own_object, .body_max = 8192, .handler = check_out_own},
    {QN_POST, FILES "/activate", "licence.activate",
	"Make a file for a machine without a network, of what it asked for.", BY_KEY,
	.body = &activate_object, .body_max = QN_ACTIVATION_MOST + 4096, .handler = activate},
    {QN_GET, FILES "/revocations", "licence.revocations",
	"Show the licences of the app that were revoked or are suspended, signed.",
	.pool = QN_POOL_API, .auth = QN_AUTH_PUBLIC, .flags = QN_R_APP, .missing = QN_NOT_FOUND,
	.content_type = "text/plain; charset=utf-8", .fresh_s = FRESH_S, .rate = QN_RATE_LICENCE,
	.handler = revocations},
};
API_TABLE(licence_file_table, routes);
