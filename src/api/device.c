/* Device login: a program without a browser shows a code, somebody who is signed in approves it (RFC 8628). */
#include <ctype.h>
#include <string.h>

#include "quoin/auth/opaque.h"
#include "quoin/store/device.h"
#include "signin.h"
#include "counts.h"

enum { CODE_LEN = 8, CODE_TRIES = 4 };

/* RFC 8628 §6.1: no vowels, so no words; 34 bits, and every guess is counted. */
static const char code_letters[] = "BCDFGHJKLMNPQRSTVWXZ";

static void make_code(char out[CODE_LEN + 1])
{
	size_t n = 0;
	uint8_t byte;

	while (n < CODE_LEN) {
		qn_random(&byte, 1);
		if (byte < 240) /* twelve times twenty: each letter is as likely */
			out[n++] = code_letters[byte % 20];
	}
	out[CODE_LEN] = '\0';
}

/* As people type it: in any case, with a dash or a space. false: it can be none. */
static bool read_code(const char *s, char out[CODE_LEN + 1])
{
	size_t n = 0;

	for (; *s != '\0'; s++) {
		char c = (char)toupper((unsigned char)*s);
		if (c == '-' || c == ' ')
			continue;
		if (n == CODE_LEN || strchr(code_letters, c) == NULL)
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	return n == CODE_LEN;
}

/* the device asks */

struct start_in {
	const char *client_id, *scope, *device_id, *device_name;
};

static const struct qn_field start_fields[] = {
    QN_FIELD(struct start_in, client_id, STR, 0, 0, 200,
	"Taken and not looked at: the app is the host's."),
    QN_FIELD(struct start_in, scope, STR, 0, 0, 1000, "Taken and not looked at."),
    QN_FIELD(struct start_in, device_id, STR, 0, 1, 200, "What the client calls this device."),
    QN_FIELD(struct start_in, device_name, STR, 0, 1, 200, "Shown to who approves."),
};
static const struct qn_object start_object =
    QN_OBJECT("DeviceStart", struct start_in, start_fields);

struct start_reply {
	const char *device_code, *user_code, *verification_uri, *verification_uri_complete;
	int64_t expires_in, interval;
};

static const struct qn_field start_reply_fields[] = {
    QN_FIELD(struct start_reply, device_code, STR, 0, 0, 0, "The device asks with it."),
    QN_FIELD(struct start_reply, user_code, STR, 0, 0, 0, "The user types it in."),
    QN_FIELD(struct start_reply, verification_uri, STR, 0, 0, 0, "The page for it."),
    QN_FIELD(struct start_reply, verification_uri_complete, STR, 0, 0, 0, "The page with it."),
    QN_FIELD(struct start_reply, expires_in, I64, 0, 0, 0, "Seconds that both are good."),
    QN_FIELD(struct start_reply, interval, I64, 0, 0, 0, "Seconds between two questions."),
};
static const struct qn_object start_reply_object =
    QN_OBJECT("DeviceCodes", struct start_reply, start_reply_fields);

/* A user code that is taken is drawn again: with a million that wait it happens once in 25,000. */
static enum qn_err put(
    struct qn_request *r, const struct qn_opaque *device, char code[CODE_LEN + 1])
{
	const struct start_in *in = r->in;
	struct device row = {
	    .device_id = in->device_id, .device_name = in->device_name, .ip = r->remote_addr};
	enum qn_err e = QN_CONFLICT;

	for (int i = 0; i < CODE_TRIES && e == QN_CONFLICT; i++) {
		make_code(code);
		e = device_put(r->db, r->arena, r->who.app->id, device->hash, code, &row);
	}
	return e;
}

static enum qn_err start(struct qn_request *r)
{
	struct start_reply *out = qn_new(r->arena, struct start_reply);
	char code[CODE_LEN + 1];
	struct qn_opaque device;

	qn_opaque_new(&device);
	QN_TRY(put(r, &device, code));
	out->device_code = qn_strdup(r->arena, device.text);
	qn_wipe(&device, sizeof(device));
	out->user_code = qn_printf(r->arena, "%.4s-%s", code, code + 4);
	out->verification_uri = qn_printf(r->arena, "%s/device", r->who.app->frontend_url);
	out->verification_uri_complete =
	    qn_printf(r->arena, "%s?user_code=%s", out->verification_uri, out->user_code);
	out->expires_in = DEVICE_S;
	out->interval = DEVICE_INTERVAL_S;
	return qn_reply(r, out);
}

/* somebody answers */

struct code_in {
	const char *user_code;
	qn_tri approve;
};

static const struct qn_field code_fields[] = {
    QN_FIELD(struct code_in, user_code, STR, QN_F_REQUIRED, 1, 20, "As the device shows it."),
    QN_FIELD_DEF(struct code_in, approve, BOOL, 0, 0, 0, "true", "false refuses."),
};
static const struct qn_object code_object = QN_OBJECT("DeviceAnswer", struct code_in, code_fields);

struct device_reply {
	const char *device_id, *device_name, *ip;
	qn_time expires_at;
	qn_tri approved;
};

static const struct qn_field device_reply_fields[] = {
    QN_FIELD(struct device_reply, device_id, STR, QN_F_NULLABLE, 0, 0, "What it calls itself."),
    QN_FIELD(struct device_reply, device_name, STR, QN_F_NULLABLE, 0, 0, "Shown name."),
    QN_FIELD(struct device_reply, ip, STR, QN_F_NULLABLE, 0, 0, "Where it asked from."),
    QN_FIELD(struct device_reply, expires_at, TIME, 0, 0, 0, "Until when it waits."),
    QN_FIELD(struct device_reply, approved, BOOL, QN_F_OPTIONAL, 0, 0, "What was answered."),
};
static const struct qn_object device_reply_object =
    QN_OBJECT("Device", struct device_reply, device_reply_fields);

static enum qn_err shown(struct qn_request *r, const struct device *d, qn_tri approved)
{
	struct device_reply *out = qn_new(r->arena, struct device_reply);

	*out = (struct device_reply){d->device_id, d->device_name, d->ip, d->expires_at, approved};
	return qn_reply(r, out);
}

/* Every code that is typed in counts as a guess at all of them (T9). */
static enum qn_err guessed_code(struct qn_request *r, const char *text, char code[CODE_LEN + 1])
{
	QN_TRY(api_guess(r, "device", r->who.user_id));
	return read_code(text, code) ? QN_OK : QN_DEVICE_NOT_FOUND;
}

struct look_query {
	const char *user_code;
};

static const struct qn_field look_fields[] = {
    QN_FIELD(struct look_query, user_code, STR, QN_F_REQUIRED, 1, 20, "As the device shows it."),
};
static const struct qn_object look_object = QN_OBJECT("DeviceLook", struct look_query, look_fields);

static enum qn_err look(struct qn_request *r)
{
	const struct look_query *in = r->query;
	char code[CODE_LEN + 1];
	struct device d;

	QN_TRY(guessed_code(r, in->user_code, code));
	QN_TRY(device_by_code(r->db, r->arena, r->who.app->id, code, r->who.user_id, &d));
	QN_TRY(api_guessed(r, "device", r->who.user_id));
	return shown(r, &d, QN_UNSET);
}

static enum qn_err answer_in_tx(
    struct qn_request *r, const char *code, bool approve, struct device *ret)
{
	QN_TX(tx, r->db);
	QN_TRY(approve ? device_approve(
			     r->db, r->arena, r->who.app->id, code, r->who.user_id, r->who.aal, ret)
		       : device_deny(r->db, r->arena, r->who.app->id, code, ret));
	QN_TRY(
	    api_audit(r, &(struct audit_event){.action = approve ? "device.approve" : "device.deny",
			     .resource_type = "device",
			     .resource_id = ret->device_id}));
	return qn_tx_commit(&tx);
}

static enum qn_err answer(struct qn_request *r)
{
	const struct code_in *in = r->in;
	char code[CODE_LEN + 1];
	struct device d;

	QN_TRY(guessed_code(r, in->user_code, code));
	QN_TRY(answer_in_tx(r, code, in->approve == 1, &d));
	QN_TRY(api_guessed(r, "device", r->who.user_id));
	return shown(r, &d, in->approve == 1);
}

/* and the device asks again */

static const char *const grant_types[] = {"urn:ietf:params:oauth:grant-type:device_code", NULL};

struct poll_in {
	const char *grant_type, *device_code, *client_id;
};

static const struct qn_field poll_fields[] = {
    QN_FIELD_ENUM(struct poll_in, grant_type, 0, grant_types,
	"urn:ietf:params:oauth:grant-type:device_code", "As RFC 8628 has it."),
    QN_FIELD(struct poll_in, device_code, STR, QN_F_REQUIRED, 1, 200, "What the device was given."),
    QN_FIELD(struct poll_in, client_id, STR, 0, 0, 200, "Taken and not looked at."),
};
static const struct qn_object poll_object = QN_OBJECT("DevicePoll", struct poll_in, poll_fields);

/* What polling notes is kept, whatever is answered. */
static enum qn_err poll(struct qn_request *r)
{
	const struct poll_in *in = r->in;
	struct signin_reply *out = qn_new(r->arena, struct signin_reply);
	struct device d = {.user = NULL};
	uint8_t hash[QN_SHA256_LEN];
	struct account who;

	if (!qn_opaque_hash(qn_span_of(in->device_code), hash))
		return QN_BAD_GRANT;
	QN_TX(tx, r->db);
	enum qn_err said = device_poll(r->db, r->arena, r->who.app->id, hash, &d);
	if (said == QN_OK) {
		struct signin how = {.method = "device",
		    .aal = d.aal,
		    .device_id = d.device_id,
		    .device_name = d.device_name};
		QN_TRY(account_by_id(r->db, r->arena, r->who.app->id, d.user, &who));
		QN_TRY(api_sign_in(r, &who, &how, out));
	}
	QN_TRY(qn_tx_commit(&tx));
	QN_TRY(said);
	return qn_reply(r, out);
}

#define OPEN .pool = QN_POOL_API, .auth = QN_AUTH_PUBLIC, .body_max = 4096
#define USER .pool = QN_POOL_API, .auth = QN_AUTH_USER, .reply = &device_reply_object

static const struct qn_route routes[] = {
    {QN_POST, "/api/v1/auth/device", "device.start", "Ask for a code to sign a device in with.",
	OPEN, .flags = QN_R_APP | QN_R_UNKEPT | QN_R_FORM, .body = &start_object,
	.reply = &start_reply_object, .rate = QN_RATE_SIGN_IN, .handler = start},
    {QN_GET, "/api/v1/auth/device", "device.look", "Show the device that waits with a code.", USER,
	.query = &look_object, .errors = {QN_DEVICE_NOT_FOUND, QN_TOO_MANY},
	.rate = QN_RATE_ACCOUNT, .handler = look},
    {QN_POST, "/api/v1/auth/device/approve", "device.answer", "Sign a device in, or refuse it.",
	USER, .flags = QN_R_UNKEPT, .body = &code_object, .body_max = 4096,
	.errors = {QN_DEVICE_NOT_FOUND, QN_TOO_MANY}, .rate = QN_RATE_ACCOUNT, .handler = answer},
    {QN_POST, "/api/v1/auth/device/token", "device.poll", "Ask whether the device was approved.",
	OPEN, .flags = QN_R_APP | QN_R_UNKEPT | QN_R_FORM, .body = &poll_object,
	.reply = &signin_reply_object,
	.errors = {QN_GRANT_PENDING, QN_SLOW_DOWN, QN_GRANT_EXPIRED, QN_GRANT_DENIED, QN_BAD_GRANT,
	    QN_SUSPENDED},
	.rate = QN_RATE_ACCOUNT, .handler = poll},
};
API_TABLE(device_table, routes);
