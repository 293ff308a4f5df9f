/*
 * Signing in by SAML 2.0, at the provider of a mail domain (CONTRACT D6, E52). A provider's answer is posted by
 * the browser from the provider's page, so none of our cookies comes with it: it is bound by what it answers,
 * which is good once, and only a request of our own site that has the cookie of the browser that began makes a
 * session of it. Whatever goes wrong on the way back, the browser lands on the app's page with ?error=….
 */
#include <string.h>

#include "quoin/auth/opaque.h"
#include "quoin/base/buf.h"
#include "quoin/base/json.h"
#include "quoin/net/address.h"
#include "quoin/net/samlclient.h"
#include "quoin/store/saml.h"
#include "signin.h"

enum {
	ASK_MS = 9000,     /* quoin-saml gives up after eight seconds */
	THERE_S = 600,     /* at the provider */
	FINISH_S = 60,     /* from its answer to the request of our own site */
	NOTE_BYTES = 8192, /* of what is kept meanwhile */
	ANSWER_BYTES = 192 * 1024
};

/* Our own addresses: of the settings alone (T12). */

static const char *own_url(struct qn_request *r, const char *path)
{
	static const char callback[] = "/auth/callback";
	const char *url = r->who.app->callback_url;

	return qn_printf(
	    r->arena, "%.*s%s", (int)(strlen(url) - (sizeof(callback) - 1)), url, path);
}

static struct qn_saml_sides sides(struct qn_request *r, const char *idp)
{
	return (struct qn_saml_sides){
	    .socket = qn_printf(r->arena, "%s/saml.sock",
		qn_conf_str(qn_server_conf(r->server), QN_CONF_KEY_QUOIN_RUN_DIR)),
	    .timeout_ms = ASK_MS,
	    .sp_entity = own_url(r, "/api/v1/auth/saml/metadata"),
	    .acs = own_url(r, "/auth/saml/callback"),
	    .idp = idp,
	};
}

static enum qn_err metadata(struct qn_request *r)
{
	struct qn_saml_sides us = sides(r, NULL);

	r->raw = qn_span_of(qn_saml_metadata(r->arena, us.sp_entity, us.acs));
	return QN_OK;
}

/* What is kept of a sign-in between two of its requests. */

struct note {
	const char *connection, *request_id, *browser, *return_to; /* browser: the digest, in hex */
	const char *subject, *email, *first_name, *last_name;      /* NULL before the answer */
};

static const struct qn_field note_fields[] = {
    QN_FIELD(struct note, connection, UUID, QN_F_OPTIONAL, 0, 0, "At whose provider."),
    QN_FIELD(struct note, request_id, STR, QN_F_OPTIONAL, 0, 0, "Which request is answered."),
    QN_FIELD(struct note, browser, STR, QN_F_OPTIONAL, 0, 0, "Whose browser began."),
    QN_FIELD(struct note, return_to, STR, QN_F_OPTIONAL, 0, 0, "Where the user wants to be."),
    QN_FIELD(struct note, subject, STR, QN_F_OPTIONAL, 0, 0, "Who it is."),
    QN_FIELD(struct note, email, STR, QN_F_OPTIONAL, 0, 0, "Address."),
    QN_FIELD(struct note, first_name, STR, QN_F_OPTIONAL, 0, 0, "First name."),
    QN_FIELD(struct note, last_name, STR, QN_F_OPTIONAL, 0, 0, "Last name."),
};

static enum qn_err note_put(struct qn_request *r, const char *purpose,
    const uint8_t hash[QN_SHA256_LEN], const struct note *n, int64_t seconds)
{
	struct qn_buf b;

	qn_buf_init(&b, NOTE_BYTES);
	for (size_t i = 0; i < sizeof(note_fields) / sizeof(note_fields[0]); i++) {
		const char *s = *(const char *const *)((const char *)n + note_fields[i].offset);
		if (s == NULL)
			continue;
		qn_buf_printf(&b, "%c\"%s\":", b.n == 0 ? '{' : ',', note_fields[i].name);
		qn_buf_json(&b, s, strlen(s));
	}
	qn_buf_char(&b, '}');
	struct one_time what = {NULL, {b.p, b.n}};
	enum qn_err e =
	    b.over ? QN_BAD_CODE
		   : one_time_put(r->db, r->arena, r->who.app->id, purpose, hash, &what, seconds);
	qn_buf_done(&b);
	return e;
}

static enum qn_err refuse(struct qn_request *r, const char *why)
{
	r->why = why;
	return QN_BAD_CODE;
}

/* Takes the note of what somebody shows: nobody else can (T6). */
static enum qn_err note_take(
    struct qn_request *r, const char *purpose, const char *shown, struct note *ret)
{
	uint8_t hash[QN_SHA256_LEN];
	struct one_time what;
	struct qn_json_object o;

	if (shown == NULL || !qn_opaque_hash(qn_span_of(shown), hash))
		return refuse(r, "no state");
	enum qn_err e = one_time_take(r->db, r->arena, r->who.app->id, purpose, hash, &what);
	if (e == QN_LINK_INVALID)
		return refuse(r, "no sign-in has this state");
	QN_TRY(e);
	if (qn_json_scan(r->arena, what.payload, &qn_json_default_limits, &o, NULL) != QN_JSON_OK)
		return QN_INTERNAL;
	*ret = (struct note){.connection = NULL};
	for (size_t i = 0; i < sizeof(note_fields) / sizeof(note_fields[0]); i++) {
		const char *s;
		if (qn_json_str(r->arena, qn_json_get(&o, note_fields[i].name), &s, NULL))
			*(const char **)((char *)ret + note_fields[i].offset) = s;
	}
	return ret->connection != NULL && ret->browser != NULL && ret->return_to != NULL
	           ? QN_OK
	           : QN_INTERNAL;
}

/* there */

struct start_in {
	const char *email, *return_to;
};

static const struct qn_field start_fields[] = {
    QN_FIELD(struct start_in, email, STR, QN_F_REQUIRED, 3, 320, "Address."),
    QN_FIELD_DEF(struct start_in, return_to, STR, 0, 1, 200, "/",
	"Where on the app's own pages the user wants to be afterwards."),
};
static const struct qn_object start_object = QN_OBJECT("SamlStart", struct start_in, start_fields);

struct start_reply {
	const char *redirect_url;
};

static const struct qn_field reply_fields[] = {
    QN_FIELD(struct start_reply, redirect_url, STR, 0, 0, 0, "Send the browser there."),
};
static const struct qn_object reply_object =
    QN_OBJECT("SamlStarted", struct start_reply, reply_fields);

/* Metadata was good when it was loaded: what is refused now is our own trouble. */
static enum qn_err ask_for(struct qn_request *r, const struct saml_connection *c,
    const char *relay_state, struct qn_saml_asked *ret)
{
	struct qn_saml_sides both = sides(r, c->idp_metadata);
	enum qn_err e = qn_saml_request(r->arena, &both, relay_state, ret, &r->why);

	return e == QN_DENIED ? QN_INTERNAL : e;
}

static enum qn_err begin(struct qn_request *r, const struct saml_connection *c,
    const char *return_to, const char **ret_url)
{
	char browser_hex[2 * QN_SHA256_LEN + 1];
	struct qn_opaque state, browser;
	struct qn_saml_asked asked;

	qn_opaque_new(&state);
	qn_opaque_new(&browser);
	qn_hex(browser.hash, sizeof(browser.hash), browser_hex);
	enum qn_err e = ask_for(r, c, state.text, &asked);
	if (e == QN_OK) {
		struct note n = {.connection = c->id,
		    .request_id = asked.id,
		    .browser = browser_hex,
		    .return_to = return_to};
		e = note_put(r, "saml-state", state.hash, &n, THERE_S);
		r->set_flow = qn_strdup(r->arena, browser.text);
		*ret_url = asked.url;
	}
	qn_wipe(&state, sizeof(state));
	qn_wipe(&browser, sizeof(browser));
	return e;
}

static enum qn_err start(struct qn_request *r)
{
	const struct start_in *in = r->in;
	struct start_reply *out = qn_new(r->arena, struct start_reply);
	struct saml_connection c;

	QN_TRY(api_check_path(r, in->return_to));
	if (!qn_address_ok(qn_span_of(in->email)))
		return QN_SSO;
	enum qn_err e =
	    saml_by_domain(r->db, r->arena, r->who.app->id, strrchr(in->email, '@') + 1, &c);
	if (e == QN_NOT_FOUND)
		return QN_SSO;
	QN_TRY(e);
	QN_TRY(begin(r, &c, in->return_to, &out->redirect_url));
	return qn_reply(r, out);
}

/* the provider's answer */

struct answer_in {
	const char *saml_response, *relay_state;
};

static const struct qn_field answer_fields[] = {
    {.name = "SAMLResponse",
	.type = QN_T_STR,
	.flags = QN_F_OPTIONAL | QN_F_LINES,
	.offset = offsetof(struct answer_in, saml_response),
	.most = ANSWER_BYTES,
	.doc = "The response, in base64."},
    {.name = "RelayState",
	.type = QN_T_STR,
	.flags = QN_F_OPTIONAL,
	.offset = offsetof(struct answer_in, relay_state),
	.most = 100,
	.doc = "What the sign-in began with."},
};
static const struct qn_object answer_object =
    QN_OBJECT("SamlAnswer", struct answer_in, answer_fields);

static enum qn_err judge(struct qn_request *r, const struct note *n, const char *response,
    const struct saml_connection *c, struct qn_saml_subject *ret)
{
	struct qn_saml_sides both = sides(r, c->idp_metadata);
	enum qn_err e = qn_saml_response(r->arena, &both, response, n->request_id, ret, &r->why);

	if (e == QN_DENIED)
		return QN_BAD_CODE;
	QN_TRY(e);
	if (strcmp(ret->issuer, c->idp_entity) != 0)
		return refuse(r, "another provider answers");
	if (!qn_address_ok(qn_span_of(ret->email != NULL ? ret->email : "")) ||
	    !api_of_domain(ret->email, c->domain))
		return refuse(r, "the address is not of the provider's domain");
	return QN_OK;
}

/* Accepted once, and handed to the request of our own site that is to follow. */
static enum qn_err accept_answer(struct qn_request *r, const struct note *was,
    const struct qn_saml_subject *who, const char **ret_ticket)
{
	struct note n = {.connection = was->connection,
	    .browser = was->browser,
	    .return_to = was->return_to,
	    .subject = who->name_id,
	    .email = who->email,
	    .first_name = who->first_name,
	    .last_name = who->last_name};
	struct qn_opaque ticket;

	QN_TX(tx, r->db);
	enum qn_err e =
	    saml_accept(r->db, r->arena, was->connection, who->assertion_id, who->expires_s);
	if (e == QN_CONFLICT)
		return refuse(r, "the assertion was shown before");
	QN_TRY(e);
	qn_opaque_new(&ticket);
	e = note_put(r, "saml-ticket", ticket.hash, &n, FINISH_S);
	*ret_ticket = qn_strdup(r->arena, ticket.text);
	qn_wipe(&ticket, sizeof(ticket));
	QN_TRY(e);
	return qn_tx_commit(&tx);
}

/* What the page is told. Our own trouble is none of a sign-in's ends: it can be tried again. */
static enum qn_err ending(struct qn_request *r, enum qn_err e)
{
	r->set_cookie = NULL;
	if (e == QN_CONFLICT)
		return api_land(r, "/", "error=account_exists");
	if (e == QN_SUSPENDED)
		return api_land(r, "/", "error=account_suspended");
	return e == QN_BAD_CODE ? api_land(r, "/", "error=sso_failed") : e;
}

static enum qn_err receive(struct qn_request *r, const char **ret_ticket)
{
	const struct answer_in *in = r->in;
	struct saml_connection c;
	struct qn_saml_subject who;
	struct note n;

	QN_TRY(note_take(r, "saml-state", in->relay_state, &n));
	if (in->saml_response == NULL || n.request_id == NULL)
		return refuse(r, "no response");
	enum qn_err e = saml_by_id(r->db, r->arena, r->who.app->id, n.connection, &c);
	if (e == QN_NOT_FOUND)
		return refuse(r, "the provider was removed");
	QN_TRY(e);
	QN_TRY(judge(r, &n, in->saml_response, &c, &who));
	return accept_answer(r, &n, &who, ret_ticket);
}

static enum qn_err callback(struct qn_request *r)
{
	const char *ticket;

	enum qn_err e = receive(r, &ticket);
	if (e != QN_OK)
		return ending(r, e);
	r->location =
	    qn_printf(r->arena, "%s?ticket=%s", own_url(r, "/api/v1/auth/saml/finish"), ticket);
	return QN_OK;
}

/* and the session */

struct finish_query {
	const char *ticket;
};

static const struct qn_field finish_fields[] = {
    QN_FIELD(struct finish_query, ticket, STR, 0, 0, 100, "What the provider's answer led to."),
};
static const struct qn_object finish_object =
    QN_OBJECT("SamlFinish", struct finish_query, finish_fields);

static bool same_browser(const struct qn_request *r, const char *browser_hex)
{
	char hex[2 * QN_SHA256_LEN + 1];
	uint8_t hash[QN_SHA256_LEN];
	struct qn_span cookie;

	if (qn_request_cookie(r, "__Host-flow", &cookie) != QN_OK || cookie.p == NULL ||
	    !qn_opaque_hash(cookie, hash))
		return false;
	qn_hex(hash, sizeof(hash), hex);
	return strcmp(hex, browser_hex) == 0;
}

static enum qn_err enter(struct qn_request *r, const struct note *n, bool *ret_second)
{
	struct saml_connection c;

	enum qn_err e = saml_by_id(r->db, r->arena, r->who.app->id, n->connection, &c);
	if (e == QN_NOT_FOUND || n->subject == NULL)
		return refuse(r, "the provider was removed");
	QN_TRY(e);
	/* An operator has said that this provider answers for the domain: its word on an address is believed. */
	struct flow_identity who = {.issuer = qn_printf(r->arena, "saml:%s", c.idp_entity),
	    .subject = n->subject,
	    .email = n->email,
	    .first_name = n->first_name,
	    .last_name = n->last_name,
	    .domain = c.domain,
	    .verified = true};
	return api_sign_in_by(r, &who, "saml", ret_second);
}

/* In one transaction with the session: after contention the ticket is still there, and all is run anew. */
static enum qn_err finish(struct qn_request *r)
{
	const struct finish_query *in = r->query;
	bool second = false;
	struct note n;

	QN_TX(tx, r->db);
	enum qn_err e = note_take(r, "saml-ticket", in->ticket, &n);
	if (e == QN_OK && !same_browser(r, n.browser))
		e = refuse(r, "another browser began");
	if (e == QN_OK)
		e = enter(r, &n, &second);
	if (e != QN_OK)
		return ending(r, e);
	QN_TRY(qn_tx_commit(&tx));
	r->set_flow = "";
	return api_land(r, n.return_to, second ? "success=true&mfa_required=true" : "success=true");
}

static const struct qn_route routes[] = {
    {QN_POST, "/api/v1/auth/saml/start", "saml.start",
	"Sign in by SAML, where the domain of an address says.", .pool = QN_POOL_SLOW,
	.auth = QN_AUTH_PUBLIC, .flags = QN_R_APP | QN_R_UNKEPT, .body = &start_object,
	.body_max = 4096, .reply = &reply_object, .errors = {QN_SSO}, .handler = start},
    {QN_POST, "/auth/saml/callback", "saml.callback", "Take a provider's answer.",
	.pool = QN_POOL_SLOW, .auth = QN_AUTH_PUBLIC,
	.flags = QN_R_APP | QN_R_REDIRECT | QN_R_UNKEPT | QN_R_FORM | QN_R_PICK,
	.body = &answer_object, .body_max = 2 * ANSWER_BYTES, .handler = callback},
    {QN_GET, "/api/v1/auth/saml/finish", "saml.finish", "Come back from a provider's answer.",
	.pool = QN_POOL_SLOW, .auth = QN_AUTH_PUBLIC, .flags = QN_R_APP | QN_R_REDIRECT,
	.query = &finish_object, .handler = finish},
    {QN_GET, "/api/v1/auth/saml/metadata", "saml.metadata", "What providers want to know of us.",
	.pool = QN_POOL_API, .auth = QN_AUTH_PUBLIC, .flags = QN_R_APP,
	.content_type = "application/samlmetadata+xml", .handler = metadata},
};
API_TABLE(saml_table, routes);
