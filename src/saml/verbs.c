/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "verbs.h"

#include <json-c/json.h>
#include <lasso/lasso.h>
#include <lasso/xml/saml-2.0/samlp2_authn_request.h>
#include <lasso/xml/saml-2.0/samlp2_name_id_policy.h>
#include <stdlib.h>
#include <string.h>

#include "document.h"
#include "response.h"

enum { JSON_DEPTH = 4 };

/* One question and what it is answered from. A child answers one only: what lasso keeps, ends with it. */
struct question {
	json_object *in, *out;
	LassoServer *server;
	LassoLogin *login;
	const char *idp; /* its entity id */
};

static const char *text(const json_object *o, const char *name)
{
	json_object *value;

	return json_object_object_get_ex(o, name, &value) &&
	               json_object_is_type(value, json_type_string)
	           ? json_object_get_string(value)
	           : NULL;
}

static void put(json_object *o, const char *name, const char *value)
{
	if (value != NULL)
		json_object_object_add(o, name, json_object_new_string(value));
}

/* Metadata of one entity. Behind a declaration: lasso is given what was looked at. */
static const char *metadata(const struct question *q, const char *name, char **ret_entity)
{
	const char *xml = text(q->in, name), *why;
	size_t n = xml != NULL ? strlen(xml) : 0;
	xmlDoc *doc = xml != NULL ? document_read(&xml, &n, &why) : NULL;

	if (doc == NULL)
		return NULL;
	const xmlNode *root = xmlDocGetRootElement(doc);
	const char *entity =
	    node_is(root, NS_METADATA, "EntityDescriptor") ? node_attr(root, "entityID") : NULL;
	*ret_entity = entity != NULL ? strdup(entity) : NULL;
	xmlFreeDoc(doc);
	return *ret_entity != NULL ? xml : NULL;
}

static const char *set_up(struct question *q)
{
	char *sp = NULL, *idp = NULL;
	const char *sp_xml = metadata(q, "sp", &sp), *idp_xml = metadata(q, "idp", &idp);

	q->idp = idp;
	free(sp);
	if (sp_xml == NULL || idp_xml == NULL)
		return "metadata";
	q->server = lasso_server_new_from_buffers(sp_xml, NULL, NULL, NULL);
	if (q->server == NULL || lasso_server_add_provider_from_buffer(
				     q->server, LASSO_PROVIDER_ROLE_IDP, idp_xml, NULL, NULL) != 0)
		return "metadata";
	q->login = lasso_login_new(q->server);
	return q->login != NULL ? NULL : "internal";
}

static const char *authn_request(struct question *q)
{
	LassoProfile *profile = LASSO_PROFILE(q->login);
	const char *relay_state = text(q->in, "relay_state");

	/* before anything else: lasso would look for a key of ours */
	lasso_profile_set_signature_hint(profile, LASSO_PROFILE_SIGNATURE_HINT_FORBID);
	if (relay_state == NULL ||
	    lasso_login_init_authn_request(q->login, q->idp, LASSO_HTTP_METHOD_REDIRECT) != 0)
		return "metadata";
	LassoSamlp2AuthnRequest *request = LASSO_SAMLP2_AUTHN_REQUEST(profile->request);
	request->ProtocolBinding = g_strdup(LASSO_SAML2_METADATA_BINDING_POST);
	request->NameIDPolicy->AllowCreate = TRUE;
	g_free(request->NameIDPolicy->Format);
	request->NameIDPolicy->Format = g_strdup(LASSO_SAML2_NAME_IDENTIFIER_FORMAT_UNSPECIFIED);
	profile->msg_relayState = g_strdup(relay_state);
	if (lasso_login_build_authn_request_msg(q->login) != 0 || profile->msg_url == NULL)
		return "metadata";
	put(q->out, "issuer", q->idp);
	put(q->out, "url", profile->msg_url);
	put(q->out, "id", LASSO_SAMLP2_REQUEST_ABSTRACT(request)->ID);
	return NULL;
}

/*
 * The same bytes in the form that lasso wants. MAYBE: the response or its assertion has to be signed, and a
 * signature that is there has to be right on each (FORCE demands both, and few providers sign both).
 */
static const char *signature_fault(struct question *q, const char *xml, size_t n)
{
	gchar *base64 = g_base64_encode((const guchar *)xml, n);

	lasso_profile_set_signature_verify_hint(
	    LASSO_PROFILE(q->login), LASSO_PROFILE_SIGNATURE_VERIFY_HINT_MAYBE);
	int e = lasso_login_process_authn_response_msg(q->login, base64);
	g_free(base64);
	switch (e) {
	case 0:
		return NULL;
	case LASSO_PROFILE_ERROR_STATUS_NOT_SUCCESS:
	case LASSO_LOGIN_ERROR_STATUS_NOT_SUCCESS:
		return "status";
	case LASSO_PROFILE_ERROR_INVALID_ISSUER:
	case LASSO_SERVER_ERROR_PROVIDER_NOT_FOUND:
		return "issuer";
	default:
		return "signature";
	}
}

static const char *judge(struct question *q, const xmlDoc *doc, const char *xml, size_t n)
{
	struct expected want = {.idp = q->idp,
	    .sp = LASSO_PROVIDER(q->server)->ProviderID,
	    .acs =
		lasso_provider_get_assertion_consumer_service_url(LASSO_PROVIDER(q->server), NULL),
	    .request_id = text(q->in, "request_id"),
	    .now = time(NULL)};
	struct claims who;
	const char *why = response_shape(doc);

	if (why == NULL)
		why = signature_fault(q, xml, n);
	if (why == NULL)
		why = response_claims(doc, &want, &who);
	if (why != NULL)
		return why;
	put(q->out, "issuer", q->idp);
	put(q->out, "name_id", who.name_id);
	put(q->out, "assertion_id", who.assertion_id);
	json_object_object_add(q->out, "expires", json_object_new_int64(who.expires));
	put(q->out, "session_index", who.session_index);
	put(q->out, "email", who.email);
	put(q->out, "first_name", who.first_name);
	put(q->out, "last_name", who.last_name);
	return NULL;
}

static const char *response(struct question *q)
{
	const char *base64 = text(q->in, "response"), *why = NULL;
	gsize n = 0;

	if (base64 == NULL || *base64 == '\0')
		return "malformed";
	guchar *bytes = g_base64_decode(base64, &n);
	const char *xml = (const char *)bytes;
	xmlDoc *doc = document_read(&xml, &n, &why);
	if (doc != NULL) {
		why = judge(q, doc, xml, n);
		xmlFreeDoc(doc);
	}
	g_free(bytes);
	return why;
}

static const char *answer(struct question *q)
{
	const char *verb = text(q->in, "verb"), *why;

	if (verb == NULL)
		return "question";
	const char *(*handler)(struct question *) = strcmp(verb, "authn-request") == 0
	                                                ? authn_request
	                                            : strcmp(verb, "response") == 0 ? response
	                                                                            : NULL;
	if (handler == NULL)
		return "question";
	why = set_up(q);
	return why != NULL ? why : handler(q);
}

static json_object *parse(const char *p, size_t n)
{
	json_tokener *t = json_tokener_new_ex(JSON_DEPTH);

	if (t == NULL)
		return NULL;
	json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	json_object *o = json_tokener_parse_ex(t, p, (int)n);
	if (json_tokener_get_error(t) != json_tokener_success ||
	    json_tokener_get_parse_end(t) != n) {
		json_object_put(o);
		o = NULL;
	}
	json_tokener_free(t);
	return o;
}

char *verb_answer(const char *p, size_t n)
{
	struct question q = {.in = parse(p, n), .out = json_object_new_object()};
	const char *why = json_object_is_type(q.in, json_type_object) ? answer(&q) : "question";

	if (why != NULL) {
		json_object_put(q.out);
		q.out = json_object_new_object();
		put(q.out, "reason", why);
	}
	json_object_object_add(q.out, "ok", json_object_new_boolean(why == NULL));
	const char *out = json_object_to_json_string_ext(q.out, JSON_C_TO_STRING_PLAIN);
	char *copy = out != NULL ? strdup(out) : NULL;
	json_object_put(q.out);
	json_object_put(q.in);
	free((char *)q.idp);
	return copy;
}
