/* Second factors: authenticator apps, recovery codes, and showing them (CONTRACT D10, X6; SECURITY T9, T14). */
#include "factors.h"

#include <string.h>

#include "password.h"
#include "counts.h"
#include "mails.h"
#include "quoin/auth/opaque.h"
#include "quoin/auth/qr.h"
#include "quoin/auth/recovery.h"
#include "quoin/auth/seal.h"
#include "quoin/auth/totp.h"
#include "quoin/base/json.h"
#include "quoin/store/session.h"

enum { TURN_GUESSES = 5, SEALED_BYTES = QN_TOTP_SECRET_LEN + QN_SEAL_OVERHEAD };

static const char label[] = "quoin totp secret";

static struct qn_secret secret_of(const struct qn_request *r)
{
	return (struct qn_secret){
	    1, qn_span_of(qn_conf_str(qn_server_conf(r->server), QN_CONF_KEY_QUOIN_SECRET_KEY))};
}

/* turns */

static const char *payload_str(
    struct qn_request *r, const struct qn_json_object *payload, const char *name)
{
	const char *s = NULL;

	return qn_json_str(r->arena, qn_json_get(payload, name), &s, NULL) ? s : NULL;
}

/* How the sign-in began, as api_sign_in noted it. */
static enum qn_err waiting_turn(struct qn_request *r, const char *mfa_token, struct api_turn *ret)
{
	struct qn_json_object payload;
	struct one_time found;

	if (!qn_opaque_hash(qn_span_of(mfa_token), ret->token))
		return QN_BAD_MFA_TOKEN;
	enum qn_err e = one_time_peek(r->db, r->arena, r->who.app->id, "mfa", ret->token, &found);
	if (e != QN_OK)
		return e == QN_LINK_INVALID ? QN_BAD_MFA_TOKEN : e;
	if (found.user == NULL || !qn_json_members(r->arena, found.payload, &payload))
		return QN_INTERNAL;
	ret->waiting = true;
	ret->how = (struct signin){.method = payload_str(r, &payload, "method"),
	    .aal = 2,
	    .device_id = payload_str(r, &payload, "device_id"),
	    .device_name = payload_str(r, &payload, "device_name")};
	return account_by_id(r->db, r->arena, r->who.app->id, found.user, &ret->who);
}

enum qn_err api_own_session(struct qn_request *r)
{
	return r->who.session_id[0] != '\0' ? QN_OK : QN_REAUTHENTICATE;
}

enum qn_err api_turn(struct qn_request *r, const char *mfa_token, struct api_turn *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (mfa_token != NULL)
		return waiting_turn(r, mfa_token, ret);
	if (!r->who.known)
		return QN_UNAUTHENTICATED;
	QN_TRY(api_own_session(r));
	return account_by_id(r->db, r->arena, r->who.app->id, r->who.user_id, &ret->who);
}

enum qn_err api_turn_count(struct qn_request *r, const struct api_turn *turn)
{
	struct one_time same;

	QN_TRY(api_guess(r, "mfa", turn->who.id));
	if (!turn->waiting)
		return QN_OK;
	enum qn_err e =
	    one_time_try(r->db, r->arena, r->who.app->id, "mfa", turn->token, TURN_GUESSES, &same);
	return e == QN_LINK_INVALID ? QN_BAD_MFA_TOKEN : e;
}

enum qn_err api_raise(struct qn_request *r)
{
	struct qn_opaque cookie;

	qn_opaque_new(&cookie);
	enum qn_err e = session_prove(r->db, r->arena, r->who.app->id, r->who.session_id, 2,
	    r->who.cookie ? cookie.hash : NULL);
	if (e == QN_OK && r->who.cookie)
		r->set_cookie = qn_strdup(r->arena, cookie.text);
	qn_wipe(&cookie, sizeof(cookie));
	return e == QN_SESSION_NOT_FOUND ? QN_UNAUTHENTICATED : e; /* it was ended meanwhile */
}

static enum qn_err raise_session(
    struct qn_request *r, const struct account *who, struct signin_reply *ret)
{
	const char *id = r->who.session_id;

	qn_object_init(&signin_reply_object, ret);
	ret->user = api_user_of(r, who);
	QN_TRY(api_raise(r));
	return api_audit(
	    r, &(struct audit_event){
		   .action = "session.raise", .resource_type = "session", .resource_id = id});
}

enum qn_err api_turn_end(
    struct qn_request *r, const struct api_turn *turn, struct signin_reply *ret)
{
	struct one_time taken;

	if (!turn->waiting)
		return raise_session(r, &turn->who, ret);
	enum qn_err e = one_time_take(r->db, r->arena, r->who.app->id, "mfa", turn->token, &taken);
	if (e != QN_OK)
		return e == QN_LINK_INVALID ? QN_BAD_MFA_TOKEN : e;
	return api_sign_in(r, &turn->who, &turn->how, ret);
}

void api_turn_forget(struct qn_request *r, const struct api_turn *turn)
{
	if (api_guessed(r, "mfa", turn->who.id) != QN_OK)
		r->why = "the guesses were not forgotten";
}

enum qn_err api_factor_changed(
    struct qn_request *r, const struct account *who, const char *action, const char *change)
{
	struct qn_mail_vars vars = {.v = {[QN_MAIL_VAR_CHANGE] = change}};

	QN_TRY(api_audit(r, &(struct audit_event){.user = who->id,
				.action = action,
				.resource_type = "user",
				.resource_id = who->id}));
	return who->email != NULL ? api_mail(r, who->id, who->email, QN_MAIL_MFA_CHANGED, &vars)
	                          : QN_OK;
}

/* recovery codes */

static enum qn_err new_codes(struct qn_request *r, const char *user, struct qn_span *ret)
{
	struct qn_secret secret = secret_of(r);
	uint8_t hash[QN_RECOVERY_HASH_LEN];
	char code[QN_RECOVERY_TEXT_LEN + 1], hex[2 * QN_RECOVERY_HASH_LEN + 1];
	const char *codes = "", *hashes = "";

	for (int i = 0; i < QN_RECOVERY_CODES; i++) {
		const char *comma = i > 0 ? "," : "";
		qn_recovery_new(code);
		if (!qn_recovery_hash(&secret, qn_span_of(user), qn_span_of(code), hash))
			return QN_INTERNAL;
		qn_hex(hash, sizeof(hash), hex);
		codes = qn_printf(r->arena, "%s%s\"%s\"", codes, comma, code);
		hashes = qn_printf(r->arena, "%s%s\"%s\"", hashes, comma, hex);
	}
	qn_wipe(code, sizeof(code));
	*ret = qn_span_of(qn_printf(r->arena, "[%s]", codes));
	return recovery_replace(
	    r->db, r->arena, r->who.app->id, user, qn_span_of(qn_printf(r->arena, "[%s]", hashes)));
}

enum qn_err api_first_codes(struct qn_request *r, const char *user, struct qn_span *ret)
{
	struct factors have;

	*ret = (struct qn_span){NULL, 0};
	QN_TRY(factors_of(r->db, r->arena, r->who.app->id, user, &have));
	return have.recovery_codes == 0 ? new_codes(r, user, ret) : QN_OK;
}

/* codes */

/* A factor that was right; it is used up in the transaction of its effect. */
struct shown {
	bool recovery;
	int64_t step;
	uint8_t hash[QN_RECOVERY_HASH_LEN];
};

static enum qn_err check_totp(struct qn_request *r, const char *user, const struct totp *totp,
    const char *code, int64_t *ret_step)
{
	struct qn_secret secret = secret_of(r);
	uint8_t key[QN_TOTP_SECRET_LEN];

	if (totp->secret_sealed.n != SEALED_BYTES ||
	    !qn_unseal(&secret, label, qn_span_of(user), totp->secret_sealed, key)) {
		r->why = "the secret does not open";
		return QN_INTERNAL;
	}
	bool right = qn_totp_verify(key, qn_span_of(code), qn_now(), ret_step);
	qn_wipe(key, sizeof(key));
	return right ? QN_OK : QN_BAD_CODE;
}

static enum qn_err check_shown(struct qn_request *r, const char *user, const char *code,
    const char *recovery, struct shown *ret)
{
	struct qn_secret secret = secret_of(r);
	struct totp totp;

	*ret = (struct shown){.recovery = recovery != NULL};
	if (recovery != NULL)
		return qn_recovery_hash(&secret, qn_span_of(user), qn_span_of(recovery), ret->hash)
		           ? QN_OK
		           : QN_BAD_CODE;
	enum qn_err e = totp_of(r->db, r->arena, r->who.app->id, user, &totp);
	if (e != QN_OK)
		return e == QN_NOT_FOUND ? QN_BAD_CODE : e;
	return totp.confirmed == 1 ? check_totp(r, user, &totp, code, &ret->step) : QN_BAD_CODE;
}

/* In the transaction: of two with the same code the second is refused (T14). */
static enum qn_err use_shown(struct qn_request *r, const char *user, const struct shown *shown)
{
	const char *app = r->who.app->id;

	if (!shown->recovery)
		return totp_use(r->db, r->arena, app, user, shown->step);
	return recovery_use(r->db, r->arena, app, user,
	    (struct qn_span){(const char *)shown->hash, sizeof(shown->hash)});
}

/* what there is */

static enum qn_err status(struct qn_request *r)
{
	struct factors *out = qn_new(r->arena, struct factors);

	QN_TRY(factors_of(r->db, r->arena, r->who.app->id, r->who.user_id, out));
	return qn_reply(r, out);
}

/* enrolment */

struct enroll_reply {
	const char *secret, *otpauth_url, *qr_svg;
};

static const struct qn_field enroll_fields[] = {
    QN_FIELD(struct enroll_reply, secret, STR, 0, 0, 0, "In base 32, to be typed."),
    QN_FIELD(struct enroll_reply, otpauth_url, STR, 0, 0, 0, "The same for programs."),
    QN_FIELD(struct enroll_reply, qr_svg, STR, 0, 0, 0, "The same to be scanned: an SVG document."),
};
static const struct qn_object enroll_object =
    QN_OBJECT("MfaEnrolment", struct enroll_reply, enroll_fields);

static enum qn_err describe(struct qn_request *r, const struct account *who,
    const uint8_t key[QN_TOTP_SECRET_LEN], struct enroll_reply *ret)
{
	char *text = qn_alloc(r->arena, QN_TOTP_BASE32_LEN + 1);

	qn_totp_base32(key, text);
	ret->secret = text;
	ret->otpauth_url = qn_totp_uri(r->arena, key, qn_span_of(r->who.app->name),
	    qn_span_of(who->email != NULL ? who->email : who->id));
	if (ret->otpauth_url == NULL)
		return QN_INTERNAL;
	ret->qr_svg = qn_qr_svg(r->arena, ret->otpauth_url);
	return ret->qr_svg != NULL ? QN_OK : QN_INTERNAL;
}

static enum qn_err enroll(struct qn_request *r)
{
	struct enroll_reply *out = qn_new(r->arena, struct enroll_reply);
	const char *app = r->who.app->id, *user = r->who.user_id;
	struct qn_secret secret = secret_of(r);
	uint8_t key[QN_TOTP_SECRET_LEN], sealed[SEALED_BYTES];
	struct account who;

	QN_TRY(api_own_session(r));
	QN_TRY(account_by_id(r->db, r->arena, app, user, &who));
	qn_totp_new(key);
	enum qn_err e = describe(r, &who, key, out);
	bool ok = qn_seal(&secret, label, qn_span_of(user),
	    (struct qn_span){(const char *)key, sizeof(key)}, sealed);
	qn_wipe(key, sizeof(key));
	if (e != QN_OK || !ok)
		return QN_INTERNAL;
	QN_TRY(totp_enroll(
	    r->db, r->arena, app, user, (struct qn_span){(const char *)sealed, sizeof(sealed)}));
	return qn_reply(r, out);
}

#define CODE_FIELD(s, flags) \
	QN_FIELD(s, code, STR, flags, 6, 16, "The six digits that the authenticator app shows.")

struct code_in {
	const char *code;
};
static const struct qn_field code_fields[] = {CODE_FIELD(struct code_in, QN_F_REQUIRED)};
static const struct qn_object code_object = QN_OBJECT("MfaCode", struct code_in, code_fields);

struct codes_reply {
	struct qn_span backup_codes;
};

static const struct qn_field codes_fields[] = {
    QN_FIELD(struct codes_reply, backup_codes, JSON, QN_F_NULLABLE, 0, 0,
	API_CODES_DOC " Null: those that there are stay good."),
};
static const struct qn_object codes_object =
    QN_OBJECT("RecoveryCodes", struct codes_reply, codes_fields);

/* The session that confirms it has shown it; all others have to, from now on. */
static enum qn_err confirm(struct qn_request *r, const struct account *who, const struct totp *totp,
    int64_t step, struct codes_reply *ret)
{
	const char *app = r->who.app->id;

	QN_TX(tx, r->db);
	QN_TRY(totp_confirm(r->db, r->arena, app, who->id, totp->secret_sealed, step));
	QN_TRY(api_first_codes(r, who->id, &ret->backup_codes));
	QN_TRY(api_raise(r));
	QN_TRY(api_factor_changed(r, who, "mfa.enable", "switched on with an authenticator app"));
	return qn_tx_commit(&tx);
}

static enum qn_err verify(struct qn_request *r)
{
	const struct code_in *in = r->in;
	struct codes_reply *out = qn_new(r->arena, struct codes_reply);
	struct api_turn turn;
	struct totp totp;
	int64_t step;

	QN_TRY(api_turn(r, NULL, &turn));
	enum qn_err e = totp_of(r->db, r->arena, r->who.app->id, turn.who.id, &totp);
	if (e == QN_NOT_FOUND || (e == QN_OK && totp.confirmed == 1))
		return QN_CONFLICT;
	QN_TRY(e);
	QN_TRY(api_turn_count(r, &turn));
	QN_TRY(check_totp(r, turn.who.id, &totp, in->code, &step));
	QN_TRY(confirm(r, &turn.who, &totp, step, out));
	api_turn_forget(r, &turn);
	return qn_reply(r, out);
}

/* showing one */

struct challenge_in {
	const char *mfa_token, *code, *recovery_code;
};

static const struct qn_field challenge_fields[] = {
    QN_FIELD(struct challenge_in, mfa_token, STR, 0, 1, 200,
	"Of the sign-in that waits. Without it the caller's session is meant."),
    CODE_FIELD(struct challenge_in, 0),
    QN_FIELD(struct challenge_in, recovery_code, STR, 0, 1, 64, "One of the recovery codes."),
};
static const struct qn_object challenge_object =
    QN_OBJECT("MfaChallenge", struct challenge_in, challenge_fields);

static enum qn_err challenge(struct qn_request *r)
{
	const struct challenge_in *in = r->in;
	struct signin_reply *out = qn_new(r->arena, struct signin_reply);
	struct api_turn turn;
	struct shown shown;

	QN_TRY(api_turn(r, in->mfa_token, &turn));
	if ((in->code == NULL) == (in->recovery_code == NULL)) {
		qn_fault_add(r, "body", "code", "Give code or recovery_code.", "missing");
		return QN_INVALID;
	}
	QN_TRY(api_turn_count(r, &turn));
	QN_TRY(check_shown(r, turn.who.id, in->code, in->recovery_code, &shown));
	QN_TX(tx, r->db);
	QN_TRY(use_shown(r, turn.who.id, &shown));
	QN_TRY(api_turn_end(r, &turn, out));
	if (shown.recovery)
		QN_TRY(api_factor_changed(
		    r, &turn.who, "mfa.recovery-code", "passed with a recovery code"));
	QN_TRY(qn_tx_commit(&tx));
	api_turn_forget(r, &turn);
	return qn_reply(r, out);
}

/* the end of it */

struct disable_in {
	const char *password, *code;
};

static const struct qn_field disable_fields[] = {
    QN_FIELD(struct disable_in, password, STR, 0, 1, 1024, "Password; or"),
    CODE_FIELD(struct disable_in, 0),
};
static const struct qn_object disable_object =
    QN_OBJECT("MfaDisable", struct disable_in, disable_fields);

/* Either of the two once more. */
static enum qn_err prove_again(struct qn_request *r, const struct api_turn *turn, struct shown *ret)
{
	const struct disable_in *in = r->in;

	if (in->code == NULL)
		return api_prove(r, &turn->who, in->password);
	QN_TRY(api_turn_count(r, turn));
	return check_shown(r, turn->who.id, in->code, NULL, ret);
}

static enum qn_err disable(struct qn_request *r)
{
	const struct disable_in *in = r->in;
	struct factors *out = qn_new(r->arena, struct factors);
	const char *app = r->who.app->id;
	struct api_turn turn;
	struct shown shown;

	QN_TRY(api_turn(r, NULL, &turn));
	QN_TRY(factors_of(r->db, r->arena, app, turn.who.id, out));
	if (out->totp != 1)
		return QN_CONFLICT;
	QN_TRY(prove_again(r, &turn, &shown));
	QN_TX(tx, r->db);
	QN_TRY(in->code != NULL ? use_shown(r, turn.who.id, &shown) : api_still(r, &turn.who));
	QN_TRY(totp_drop(r->db, r->arena, app, turn.who.id));
	QN_TRY(factors_of(r->db, r->arena, app, turn.who.id, out));
	QN_TRY(api_factor_changed(r, &turn.who, "mfa.disable",
	    out->enabled == 1 ? "changed: the authenticator app was removed" : "switched off"));
	QN_TRY(qn_tx_commit(&tx));
	if (in->code != NULL)
		api_turn_forget(r, &turn);
	return qn_reply(r, out);
}

static enum qn_err renew_codes(struct qn_request *r)
{
	struct codes_reply *out = qn_new(r->arena, struct codes_reply);
	struct account who;

	QN_TRY(account_by_id(r->db, r->arena, r->who.app->id, r->who.user_id, &who));
	if (who.mfa_enabled != 1)
		return QN_CONFLICT;
	QN_TX(tx, r->db);
	QN_TRY(new_codes(r, who.id, &out->backup_codes));
	QN_TRY(api_factor_changed(
	    r, &who, "mfa.recovery-codes", "changed: new recovery codes were made"));
	QN_TRY(qn_tx_commit(&tx));
	return qn_reply(r, out);
}

#define USER   .pool = QN_POOL_API, .auth = QN_AUTH_USER, .rate = QN_RATE_ACCOUNT
#define CHANGE QN_R_UNKEPT | QN_R_RECENT

static const struct qn_route routes[] = {
    {QN_GET, "/api/v1/auth/mfa", "mfa.show", "What second factors the caller has.", USER,
	.reply = &factors_object, .handler = status},
    {QN_POST, "/api/v1/auth/mfa/enroll", "mfa.enroll",
	"Begin with an authenticator app; it counts once a code of it was verified.", USER,
	.flags = CHANGE, .reply = &enroll_object, .errors = {QN_CONFLICT}, .handler = enroll},
    {QN_POST, "/api/v1/auth/mfa/verify", "mfa.verify",
	"Confirm the authenticator app: two-step sign-in is on.", USER, .flags = CHANGE,
	.body = &code_object, .body_max = 4096, .reply = &codes_object,
	.errors = {QN_BAD_CODE, QN_CONFLICT, QN_TOO_MANY}, .handler = verify},
    {QN_POST, "/api/v1/auth/mfa/challenge", "mfa.challenge",
	"Show the second factor: to finish a sign-in, or for the caller's session.",
	.pool = QN_POOL_API, .auth = QN_AUTH_PUBLIC | QN_AUTH_USER, .rate = QN_RATE_SIGN_IN,
	.flags = QN_R_UNKEPT | QN_R_APP | QN_R_ONE_FACTOR, .body = &challenge_object,
	.body_max = 4096, .reply = &signin_reply_object,
	.errors = {QN_BAD_CODE, QN_BAD_MFA_TOKEN, QN_TOO_MANY, QN_REAUTHENTICATE},
	.handler = challenge},
    {QN_POST, "/api/v1/auth/mfa/disable", "mfa.disable",
	"Remove the authenticator app; without a passkey two-step sign-in is off.",
	.pool = QN_POOL_SLOW, .auth = QN_AUTH_USER, .rate = QN_RATE_SIGN_IN, .flags = CHANGE,
	.body = &disable_object, .body_max = 16384, .reply = &factors_object,
	.errors = {QN_BAD_CREDENTIALS, QN_BAD_CODE, QN_CONFLICT, QN_TOO_MANY}, .handler = disable},
    {QN_POST, "/api/v1/auth/mfa/recovery-codes", "mfa.recovery-codes",
	"Make new recovery codes; the old ones are good no more.", USER, .flags = CHANGE,
	.reply = &codes_object, .errors = {QN_CONFLICT}, .handler = renew_codes},
};
API_TABLE(factor_table, routes);
