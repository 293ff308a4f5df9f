/* Passkeys: made, named, removed, and signed in with (Web Authentication; SECURITY T6, T14). */
#include <string.h>

#include "factors.h"
#include "counts.h"
#include "quoin/auth/opaque.h"
#include "quoin/auth/webauthn.h"
#include "quoin/base/json.h"
#include "quoin/store/passkey.h"
#include "quoin/store/session.h"

enum { CHALLENGE_S = 300, ASKED_NET = 100, REPLY_BYTES = 65536 };

#define FOR_NEW    "passkey-new"
#define FOR_LOGIN  "passkey-login"
#define FOR_FACTOR "passkey-mfa"

_Static_assert(PASSKEY_MOST <= QN_PASSKEY_LIST_MOST, "all of a user's fit into one question");

/*
 * User verification is always demanded, so that a passkey is two factors wherever it is used. Pages of the app's
 * origins may ask; the domain is that of its file.
 */
static void begin_terms(
    struct qn_request *r, struct qn_webauthn_party *party, struct qn_webauthn_terms *ret)
{
	*party = (struct qn_webauthn_party){
	    .id = r->who.app->rp_id, .name = r->who.app->name, .origins = r->who.app->origins};
	*ret = (struct qn_webauthn_terms){.party = party, .user_verification = true};
}

/* questions */

struct options_reply {
	struct qn_span options;
};

static const struct qn_field options_fields[] = {
    QN_FIELD(struct options_reply, options, JSON, QN_F_OBJECT, 0, 0,
	"For PublicKeyCredential.parseCreationOptionsFromJSON() or parseRequestOptionsFromJSON()."),
};
static const struct qn_object options_object =
    QN_OBJECT("PasskeyOptions", struct options_reply, options_fields);

/* The challenge is a one-time token of its own: whoever answers names it, and it is taken (T6). */
static enum qn_err new_challenge(
    struct qn_request *r, const char *purpose, const char *user, struct qn_webauthn_terms *terms)
{
	struct one_time what = {user, {NULL, 0}};
	struct qn_opaque token;

	qn_opaque_new(&token);
	if (qn_b64url_decode(token.text, QN_OPAQUE_LEN, terms->challenge) !=
	    QN_WEBAUTHN_CHALLENGE_LEN)
		return QN_INTERNAL;
	return one_time_put(
	    r->db, r->arena, r->who.app->id, purpose, token.hash, &what, CHALLENGE_S);
}

static struct qn_passkey kept_of(const struct passkey *p)
{
	return (struct qn_passkey){.id = p->credential_id,
	    .key = p->public_key,
	    .user = qn_span_of(p->user_id),
	    .count = (uint32_t)p->sign_count,
	    .transports = (unsigned)p->transports,
	    .backup_eligible = p->backup_eligible == 1,
	    .backed_up = p->backed_up == 1};
}

static enum qn_err known_of(
    struct qn_request *r, const char *user, struct qn_passkey **ret, size_t *ret_n)
{
	struct qn_list list;

	QN_TRY(passkey_list(r->db, r->arena, r->who.app->id, user, &list));
	const struct passkey *rows = list.items;
	*ret = qn_alloc_array(r->arena, list.n + 1, sizeof(**ret));
	for (size_t i = 0; i < list.n; i++)
		(*ret)[i] = kept_of(&rows[i]);
	*ret_n = list.n;
	return QN_OK;
}

static enum qn_err reply_options(struct qn_request *r, const char *text)
{
	struct options_reply *out = qn_new(r->arena, struct options_reply);

	if (text == NULL)
		return QN_INTERNAL;
	out->options = qn_span_of(text);
	return qn_reply(r, out);
}

/* answers */

struct answer {
	struct qn_webauthn_party party;
	struct qn_webauthn_terms terms;
	struct qn_webauthn_reply reply;
	const char *asked; /* the user whom the question was for; NULL: anybody */
};

static bool challenge_of(struct qn_request *r, struct qn_span client_data, struct answer *ret,
    uint8_t hash[QN_SHA256_LEN])
{
	struct qn_json_object o;
	const char *text;
	size_t n;

	return qn_json_scan(r->arena, client_data, &qn_json_default_limits, &o, NULL) ==
	           QN_JSON_OK &&
	       qn_json_str(r->arena, qn_json_get(&o, "challenge"), &text, &n) &&
	       qn_opaque_hash((struct qn_span){text, n}, hash) &&
	       qn_b64url_decode(text, n, ret->terms.challenge) == QN_WEBAUTHN_CHALLENGE_LEN;
}

/* Reads it and takes the challenge that it names, right or wrong. QN_BAD_PASSKEY. */
static enum qn_err read_answer(struct qn_request *r, enum qn_webauthn_kind kind,
    struct qn_span json, const char *purpose, struct answer *ret)
{
	uint8_t hash[QN_SHA256_LEN];
	struct one_time taken;

	begin_terms(r, &ret->party, &ret->terms);
	if (!qn_webauthn_read(r->arena, kind, json, &ret->reply, &r->why))
		return QN_BAD_PASSKEY;
	if (!challenge_of(r, ret->reply.client_data, ret, hash)) {
		r->why = "the challenge is none of ours";
		return QN_BAD_PASSKEY;
	}
	enum qn_err e = one_time_take(r->db, r->arena, r->who.app->id, purpose, hash, &taken);
	if (e == QN_LINK_INVALID) {
		r->why = "the challenge was used or has expired";
		return QN_BAD_PASSKEY;
	}
	ret->asked = e == QN_OK ? taken.user : NULL;
	return e;
}

/* Which passkey answered, and that it did; `named`: the question said which may. */
static enum qn_err judge(struct qn_request *r, const struct answer *in, bool named,
    struct passkey *ret, struct qn_passkey_use *ret_use)
{
	enum qn_err e = passkey_by_credential(r->db, r->arena, r->who.app->id, in->reply.id, ret);

	if (e != QN_OK) {
		r->why = "no such passkey";
		return e == QN_PASSKEY_NOT_FOUND ? QN_BAD_PASSKEY : e;
	}
	if (named && (in->asked == NULL || strcmp(in->asked, ret->user_id) != 0)) {
		r->why = "somebody else's passkey";
		return QN_BAD_PASSKEY;
	}
	struct qn_passkey kept = kept_of(ret);
	return qn_webauthn_verify(&in->reply, &in->terms, &kept, named, ret_use, &r->why)
	           ? QN_OK
	           : QN_BAD_PASSKEY;
}

/* In the transaction. A count that does not grow speaks of a copy: it is refused, and noted. */
static enum qn_err use(
    struct qn_request *r, const struct passkey *key, const struct qn_passkey_use *use)
{
	enum qn_err e = use->regressed ? QN_PASSKEY_NOT_FOUND
	                               : passkey_used(r->db, r->arena, r->who.app->id, key,
					     use->count, use->backed_up);

	if (e != QN_PASSKEY_NOT_FOUND)
		return e;
	r->why = "the count of signatures did not grow";
	return QN_BAD_PASSKEY;
}

static enum qn_err note_copy(struct qn_request *r, const struct passkey *key)
{
	QN_TRY(api_audit(r, &(struct audit_event){.user = key->user_id,
				.action = "passkey.regressed",
				.resource_type = "passkey",
				.resource_id = key->id}));
	return QN_BAD_PASSKEY;
}

/* making one */

static enum qn_err ask_new(struct qn_request *r)
{
	const char *app = r->who.app->id, *user = r->who.user_id;
	struct qn_webauthn_party party;
	struct qn_webauthn_terms terms;
	struct qn_passkey *known;
	struct account who;
	size_t n;

	QN_TRY(api_own_session(r));
	QN_TRY(account_by_id(r->db, r->arena, app, user, &who));
	QN_TRY(known_of(r, user, &known, &n));
	begin_terms(r, &party, &terms);
	QN_TRY(new_challenge(r, FOR_NEW, user, &terms));
	const char *name = who.email != NULL ? who.email : who.id;
	struct qn_webauthn_user u = {
	    qn_span_of(who.id), name, who.display_name != NULL ? who.display_name : name};
	return reply_options(r, qn_webauthn_creation(r->arena, &terms, &u, known, n));
}

struct new_in {
	struct qn_span credential;
	const char *name;
};

#define CREDENTIAL(s) \
	QN_FIELD(s, credential, JSON, QN_F_REQUIRED | QN_F_OBJECT, 2, REPLY_BYTES, \
	    "What the browser gave: PublicKeyCredential.toJSON().")

static const struct qn_field new_fields[] = {
    CREDENTIAL(struct new_in),
    QN_FIELD_DEF(struct new_in, name, STR, 0, 1, 100, "Passkey", "Shown name."),
};
static const struct qn_object new_object = QN_OBJECT("PasskeyNew", struct new_in, new_fields);

struct made_reply {
	const struct passkey *passkey;
	struct qn_span backup_codes;
};

static const struct qn_field made_fields[] = {
    QN_FIELD_SUB(struct made_reply, passkey, OBJ, 0, &passkey_object, "The passkey."),
    QN_FIELD(struct made_reply, backup_codes, JSON, QN_F_NULLABLE, 0, 0,
	API_CODES_DOC " Null: those that there are stay good."),
};
static const struct qn_object made_object =
    QN_OBJECT("PasskeyMade", struct made_reply, made_fields);

static enum qn_err refuse_new(struct qn_request *r)
{
	qn_fault_add(r, "body", "credential",
	    "This is no answer to a question of the last five minutes, or it is not right.",
	    "passkey");
	return QN_INVALID;
}

/* The session that makes it has shown it; all others have to show a factor, from now on. */
static enum qn_err keep(struct qn_request *r, const struct account *who,
    const struct qn_passkey *made, struct made_reply *ret)
{
	const struct new_in *in = r->in;
	struct passkey *row = qn_new(r->arena, struct passkey);
	struct passkey wanted = {.name = in->name,
	    .credential_id = made->id,
	    .public_key = made->key,
	    .aaguid = {(const char *)made->aaguid, QN_AAGUID_LEN},
	    .sign_count = made->count,
	    .transports = made->transports,
	    .backup_eligible = made->backup_eligible,
	    .backed_up = made->backed_up};

	QN_TX(tx, r->db);
	QN_TRY(passkey_create(r->db, r->arena, r->who.app->id, who->id, &wanted, row));
	QN_TRY(api_first_codes(r, who->id, &ret->backup_codes));
	QN_TRY(api_raise(r));
	QN_TRY(api_factor_changed(r, who, "passkey.create",
	    who->mfa_enabled == 1 ? "changed: a passkey was added" : "switched on with a passkey"));
	ret->passkey = row;
	return qn_tx_commit(&tx);
}

static enum qn_err create(struct qn_request *r)
{
	const struct new_in *in = r->in;
	struct made_reply *out = qn_new(r->arena, struct made_reply);
	struct qn_passkey made;
	struct account who;
	struct answer answer;

	QN_TRY(api_own_session(r));
	enum qn_err e = read_answer(r, QN_WEBAUTHN_CREATE, in->credential, FOR_NEW, &answer);
	if (e != QN_OK)
		return e == QN_BAD_PASSKEY ? refuse_new(r) : e;
	if (answer.asked == NULL || strcmp(answer.asked, r->who.user_id) != 0 ||
	    !qn_webauthn_register(&answer.reply, &answer.terms, &made, &r->why))
		return refuse_new(r);
	QN_TRY(account_by_id(r->db, r->arena, r->who.app->id, r->who.user_id, &who));
	QN_TRY(keep(r, &who, &made, out));
	return qn_reply(r, out);
}

/* those that there are */

struct list_reply {
	struct qn_list passkeys;
};

static const struct qn_field list_fields[] = {
    QN_FIELD_SUB(struct list_reply, passkeys, LIST, 0, &passkey_object, "Oldest first."),
};
static const struct qn_object list_object =
    QN_OBJECT("PasskeyList", struct list_reply, list_fields);

static enum qn_err list(struct qn_request *r)
{
	struct list_reply *out = qn_new(r->arena, struct list_reply);

	QN_TRY(passkey_list(r->db, r->arena, r->who.app->id, r->who.user_id, &out->passkeys));
	return qn_reply(r, out);
}

struct rename_in {
	const char *name;
};

static const struct qn_field rename_fields[] = {
    QN_FIELD(struct rename_in, name, STR, QN_F_REQUIRED, 1, 100, "Shown name."),
};
static const struct qn_object rename_object =
    QN_OBJECT("PasskeyRename", struct rename_in, rename_fields);

struct one_reply {
	const struct passkey *passkey;
};

static const struct qn_field one_fields[] = {
    QN_FIELD_SUB(struct one_reply, passkey, OBJ, 0, &passkey_object, "The passkey."),
};
static const struct qn_object one_object = QN_OBJECT("PasskeyReply", struct one_reply, one_fields);

static enum qn_err rename_one(struct qn_request *r)
{
	const struct rename_in *in = r->in;
	struct one_reply *out = qn_new(r->arena, struct one_reply);
	struct passkey *row = qn_new(r->arena, struct passkey);

	QN_TRY(passkey_rename(
	    r->db, r->arena, r->who.app->id, r->who.user_id, r->param[0], in->name, row));
	out->passkey = row;
	return qn_reply(r, out);
}

static enum qn_err drop(struct qn_request *r)
{
	const char *app = r->who.app->id;
	struct account who;

	QN_TX(tx, r->db);
	QN_TRY(passkey_drop(r->db, r->arena, app, r->who.user_id, r->param[0]));
	QN_TRY(account_by_id(r->db, r->arena, app, r->who.user_id, &who));
	QN_TRY(api_factor_changed(r, &who, "passkey.delete",
	    who.mfa_enabled == 1 ? "changed: a passkey was removed" : "switched off"));
	QN_TRY(qn_tx_commit(&tx));
	return api_success(r);
}

/* signing in with one alone */

static enum qn_err ask_login(struct qn_request *r)
{
	struct qn_webauthn_party party;
	struct qn_webauthn_terms terms;

	QN_TRY(api_count(r, FOR_LOGIN, ASKED_NET));
	begin_terms(r, &party, &terms);
	QN_TRY(new_challenge(r, FOR_LOGIN, NULL, &terms));
	return reply_options(r, qn_webauthn_request(r->arena, &terms, NULL, 0));
}

struct login_in {
	struct qn_span credential;
	const char *session, *device_id, *device_name;
};

static const struct qn_field login_fields[] = {
    CREDENTIAL(struct login_in),
    SIGNIN_FIELDS(struct login_in),
};
static const struct qn_object login_object =
    QN_OBJECT("PasskeyLogin", struct login_in, login_fields);

static enum qn_err login_with(struct qn_request *r, const struct passkey *key,
    const struct qn_passkey_use *how_used, struct signin_reply *ret)
{
	const struct login_in *in = r->in;
	struct signin how = {.method = "passkey",
	    .aal = 2,
	    .cookie = strcmp(in->session, "cookie") == 0,
	    .device_id = in->device_id,
	    .device_name = in->device_name};
	struct account who;

	QN_TX(tx, r->db);
	QN_TRY(use(r, key, how_used));
	QN_TRY(account_by_id(r->db, r->arena, r->who.app->id, key->user_id, &who));
	QN_TRY(api_sign_in(r, &who, &how, ret));
	return qn_tx_commit(&tx);
}

static enum qn_err login(struct qn_request *r)
{
	const struct login_in *in = r->in;
	struct signin_reply *out = qn_new(r->arena, struct signin_reply);
	struct qn_passkey_use how_used;
	struct answer answer;
	struct passkey key;

	QN_TRY(read_answer(r, QN_WEBAUTHN_GET, in->credential, FOR_LOGIN, &answer));
	QN_TRY(judge(r, &answer, false, &key, &how_used));
	enum qn_err e = login_with(r, &key, &how_used, out);
	if (e != QN_OK)
		return e == QN_BAD_PASSKEY ? note_copy(r, &key) : e;
	api_uncount(r, FOR_LOGIN, ASKED_NET);
	return qn_reply(r, out);
}

/* as the second factor */

struct factor_ask_in {
	const char *mfa_token;
};

#define MFA_TOKEN(s) \
	QN_FIELD(s, mfa_token, STR, 0, 1, 200, \
	    "Of the sign-in that waits. Without it the caller's session is meant.")

static const struct qn_field factor_ask_fields[] = {MFA_TOKEN(struct factor_ask_in)};
static const struct qn_object factor_ask_object =
    QN_OBJECT("MfaPasskeyAsk", struct factor_ask_in, factor_ask_fields);

static enum qn_err ask_factor(struct qn_request *r)
{
	const struct factor_ask_in *in = r->in;
	struct qn_webauthn_party party;
	struct qn_webauthn_terms terms;
	struct qn_passkey *known;
	struct api_turn turn;
	size_t n;

	QN_TRY(api_turn(r, in->mfa_token, &turn));
	QN_TRY(api_count(r, FOR_FACTOR, ASKED_NET));
	QN_TRY(known_of(r, turn.who.id, &known, &n));
	if (n == 0)
		return QN_PASSKEY_NOT_FOUND;
	begin_terms(r, &party, &terms);
	QN_TRY(new_challenge(r, FOR_FACTOR, turn.who.id, &terms));
	return reply_options(r, qn_webauthn_request(r->arena, &terms, known, n));
}

struct factor_in {
	const char *mfa_token;
	struct qn_span credential;
};

static const struct qn_field factor_fields[] = {
    MFA_TOKEN(struct factor_in),
    CREDENTIAL(struct factor_in),
};
static const struct qn_object factor_object =
    QN_OBJECT("MfaPasskey", struct factor_in, factor_fields);

static enum qn_err end_factor(struct qn_request *r, const struct api_turn *turn,
    const struct passkey *key, const struct qn_passkey_use *how_used, struct signin_reply *ret)
{
	QN_TX(tx, r->db);
	QN_TRY(use(r, key, how_used));
	QN_TRY(api_turn_end(r, turn, ret));
	return qn_tx_commit(&tx);
}

static enum qn_err factor(struct qn_request *r)
{
	const struct factor_in *in = r->in;
	struct signin_reply *out = qn_new(r->arena, struct signin_reply);
	struct qn_passkey_use how_used;
	struct answer answer;
	struct api_turn turn;
	struct passkey key;

	QN_TRY(api_turn(r, in->mfa_token, &turn));
	QN_TRY(api_turn_count(r, &turn));
	QN_TRY(read_answer(r, QN_WEBAUTHN_GET, in->credential, FOR_FACTOR, &answer));
	QN_TRY(judge(r, &answer, true, &key, &how_used));
	if (strcmp(key.user_id, turn.who.id) != 0)
		return QN_BAD_PASSKEY;
	enum qn_err e = end_factor(r, &turn, &key, &how_used, out);
	if (e != QN_OK)
		return e == QN_BAD_PASSKEY ? note_copy(r, &key) : e;
	api_turn_forget(r, &turn);
	api_uncount(r, FOR_FACTOR, ASKED_NET);
	return qn_reply(r, out);
}

#define USER .pool = QN_POOL_API, .auth = QN_AUTH_USER, .rate = QN_RATE_ACCOUNT
#define ONE  USER, .tenant = "passkey_id", .missing = QN_PASSKEY_NOT_FOUND
#define PUBLIC \
	.pool = QN_POOL_API, .auth = QN_AUTH_PUBLIC, .rate = QN_RATE_SIGN_IN, \
	.flags = QN_R_APP | QN_R_UNKEPT
#define FACTOR \
	.pool = QN_POOL_API, .auth = QN_AUTH_PUBLIC | QN_AUTH_USER, .rate = QN_RATE_SIGN_IN, \
	.flags = QN_R_APP | QN_R_UNKEPT | QN_R_ONE_FACTOR
#define CHANGE QN_R_UNKEPT | QN_R_RECENT
#define ANSWER (REPLY_BYTES + 4096)

static const struct qn_route routes[] = {
    {QN_GET, "/api/v1/auth/passkeys", "passkey.list", "List the caller's passkeys.", USER,
	.reply = &list_object, .handler = list},
    {QN_POST, "/api/v1/auth/passkeys/options", "passkey.options",
	"What to ask the browser for, to make a passkey.", USER, .flags = CHANGE,
	.reply = &options_object, .handler = ask_new},
    {QN_POST, "/api/v1/auth/passkeys", "passkey.create", "Keep a passkey that the browser made.",
	USER, .flags = CHANGE, .body = &new_object, .body_max = ANSWER, .reply = &made_object,
	.errors = {QN_CONFLICT, QN_LIMIT}, .handler = create},
    {QN_PUT, "/api/v1/auth/passkeys/{passkey_id}", "passkey.rename", "Rename a passkey.", ONE,
	.body = &rename_object, .body_max = 4096, .reply = &one_object, .handler = rename_one},
    {QN_DELETE, "/api/v1/auth/passkeys/{passkey_id}", "passkey.delete", "Remove a passkey.", ONE,
	.flags = QN_R_RECENT, .reply = &api_success_object, .handler = drop},
    {QN_POST, "/api/v1/auth/passkeys/login/options", "passkey.login-options",
	"What to ask the browser for, to sign in with a passkey.", PUBLIC, .reply = &options_object,
	.errors = {QN_TOO_MANY}, .handler = ask_login},
    {QN_POST, "/api/v1/auth/passkeys/login", "passkey.login",
	"Sign in with a passkey: it is both factors.", PUBLIC, .body = &login_object,
	.body_max = ANSWER, .reply = &signin_reply_object, .errors = {QN_BAD_PASSKEY, QN_SUSPENDED},
	.handler = login},
    {QN_POST, "/api/v1/auth/mfa/passkey/options", "mfa.passkey-options",
	"What to ask the browser for, to show a passkey as the second factor.", FACTOR,
	.body = &factor_ask_object, .body_max = 4096, .reply = &options_object,
	.errors = {QN_BAD_MFA_TOKEN, QN_PASSKEY_NOT_FOUND, QN_TOO_MANY, QN_REAUTHENTICATE},
	.handler = ask_factor},
    {QN_POST, "/api/v1/auth/mfa/passkey", "mfa.passkey",
	"Show a passkey as the second factor: to finish a sign-in, or for the caller's session.",
	FACTOR, .body = &factor_object, .body_max = ANSWER, .reply = &signin_reply_object,
	.errors = {QN_BAD_PASSKEY, QN_BAD_MFA_TOKEN, QN_TOO_MANY, QN_REAUTHENTICATE},
	.handler = factor},
};
API_TABLE(passkey_table, routes);
