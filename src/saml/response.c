/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "response.h"

#include <stdio.h>
#include <string.h>

#include "document.h"

enum { NAME_ID_MAX = 255, VALUE_MAX = 320 };

static bool one_of(const char *s, const char *const *list)
{
	for (; s != NULL && *list != NULL; list++)
		if (strcmp(s, *list) == 0)
			return true;
	return false;
}

/* shape */

#define EXC_C14N "http://www.w3.org/2001/10/xml-exc-c14n#"

static const char *const signature_methods[] = {"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512", NULL};
static const char *const digests[] = {"http://www.w3.org/2001/04/xmlenc#sha256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384", "http://www.w3.org/2001/04/xmlenc#sha512",
    NULL};
static const char *const canonical[] = {EXC_C14N, NULL};
static const char *const transforms[] = {
    EXC_C14N, "http://www.w3.org/2000/09/xmldsig#enveloped-signature", NULL};

static bool algorithm_in(xmlNode *parent, const char *name, const char *const *list)
{
	return one_of(node_attr(node_only(parent, NS_SIGNATURE, name), "Algorithm"), list);
}

static bool transforms_fit(xmlNode *reference)
{
	xmlNode *parent = node_only(reference, NS_SIGNATURE, "Transforms");
	unsigned n = 0;

	for (xmlNode *t = parent != NULL ? parent->children : NULL; t != NULL; t = t->next) {
		if (t->type != XML_ELEMENT_NODE)
			continue;
		if (!node_is(t, NS_SIGNATURE, "Transform") ||
		    !one_of(node_attr(t, "Algorithm"), transforms) || ++n > 2)
			return false;
	}
	return n > 0;
}

static const char *signature_fault(xmlNode *signature)
{
	const char *id = node_attr(signature->parent, "ID");
	xmlNode *info = node_only(signature, NS_SIGNATURE, "SignedInfo");
	xmlNode *reference = node_only(info, NS_SIGNATURE, "Reference");
	const char *uri = node_attr(reference, "URI");

	if (id == NULL || *id == '\0' || uri == NULL || uri[0] != '#' || strcmp(uri + 1, id) != 0)
		return "structure";
	return algorithm_in(info, "CanonicalizationMethod", canonical) &&
	               algorithm_in(info, "SignatureMethod", signature_methods) &&
	               algorithm_in(reference, "DigestMethod", digests) && transforms_fit(reference)
	           ? NULL
	           : "algorithm";
}

struct seen {
	const xmlNode *root;
	const char *why;
	unsigned responses, assertions, signatures;
};

static void look(struct seen *s, xmlNode *node)
{
	const char *name = (const char *)node->name;

	/* by local name: of whatever namespace, there is no second one to be taken for the first */
	if (strcmp(name, "Response") == 0) {
		s->responses++;
	} else if (strcmp(name, "Assertion") == 0) {
		s->assertions +=
		    node->parent == s->root && node_is(node, NS_ASSERTION, name) ? 1 : 2;
	} else if (strncmp(name, "Encrypted", 9) == 0) {
		s->why = "encrypted";
	} else if (strcmp(name, "Object") == 0 || strcmp(name, "Manifest") == 0) {
		s->why = "structure";
	} else if (strcmp(name, "Signature") == 0) {
		bool placed = node->parent == s->root ||
		              (node->parent->parent == s->root &&
				  node_is(node->parent, NS_ASSERTION, "Assertion"));
		s->signatures++;
		s->why = !placed || node_only(node->parent, NS_SIGNATURE, "Signature") != node
		             ? "structure"
		             : signature_fault(node);
	}
}

static void look_all(struct seen *s, xmlNode *node)
{
	for (; node != NULL && s->why == NULL; node = node->next) {
		if (node->type != XML_ELEMENT_NODE)
			continue;
		look(s, node);
		if (s->why == NULL)
			look_all(s, node->children);
	}
}

const char *response_shape(const xmlDoc *doc)
{
	xmlNode *root = xmlDocGetRootElement(doc);
	struct seen s = {.root = root};

	if (root == NULL || !node_is(root, NS_PROTOCOL, "Response"))
		return "structure";
	look_all(&s, root);
	if (s.why != NULL)
		return s.why;
	if (s.responses != 1 || s.assertions > 1)
		return "structure";
	/* One who is refused at the identity provider comes with a status, and with no assertion. */
	if (s.assertions == 0)
		return "status";
	return s.signatures == 0 ? "unsigned" : NULL;
}

/* claims */

/* xs:dateTime in UTC (SAML core §1.3.3); -1. */
static time_t time_of(const char *s)
{
	struct tm tm = {.tm_year = 0};
	int n = 0;

	if (s == NULL || strlen(s) < 20 || strspn(s, "0123456789") != 4 ||
	    sscanf(s, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		&tm.tm_hour, &tm.tm_min, &tm.tm_sec, &n) != 6 ||
	    n != 19)
		return -1;
	if (tm.tm_year < 2000 || tm.tm_year > 2200 || tm.tm_mon < 1 || tm.tm_mon > 12 ||
	    tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour < 0 || tm.tm_hour > 23 ||
	    tm.tm_min < 0 || tm.tm_min > 59 || tm.tm_sec < 0 || tm.tm_sec > 60)
		return -1;
	s += 19;
	if (*s == '.') {
		size_t digits = strspn(s + 1, "0123456789");
		if (digits == 0)
			return -1;
		s += 1 + digits;
	}
	if (strcmp(s, "Z") != 0)
		return -1;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	return timegm(&tm);
}

/* The two bounds that an element may have. */
static const char *time_fault(const xmlNode *node, time_t now)
{
	const char *before = node_attr(node, "NotBefore"), *until = node_attr(node, "NotOnOrAfter");
	time_t from = time_of(before), to = time_of(until);

	if ((before != NULL && from < 0) || (until != NULL && to < 0))
		return "malformed";
	if (before != NULL && from > now + RESPONSE_SKEW_S)
		return "early";
	return until != NULL && to + RESPONSE_SKEW_S <= now ? "expired" : NULL;
}

static bool same(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static const char *message_fault(xmlNode *root, const struct expected *want)
{
	xmlNode *status =
	    node_only(node_only(root, NS_PROTOCOL, "Status"), NS_PROTOCOL, "StatusCode");

	if (!same(node_attr(root, "Version"), "2.0"))
		return "structure";
	if (!same(node_attr(status, "Value"), "urn:oasis:names:tc:SAML:2.0:status:Success"))
		return "status";
	if (!same(node_attr(root, "Destination"), want->acs))
		return "destination";
	if (!same(node_attr(root, "InResponseTo"), want->request_id))
		return "in-response-to";
	if (node_find(root->children, NS_ASSERTION, "Issuer") != NULL &&
	    !same(node_text(node_only(root, NS_ASSERTION, "Issuer")), want->idp))
		return "issuer";
	return NULL;
}

static const char *subject_fault(
    xmlNode *assertion, const struct expected *want, struct claims *ret)
{
	xmlNode *subject = node_only(assertion, NS_ASSERTION, "Subject");
	xmlNode *name = node_only(subject, NS_ASSERTION, "NameID");
	xmlNode *confirmation = node_only(subject, NS_ASSERTION, "SubjectConfirmation");
	xmlNode *data = node_only(confirmation, NS_ASSERTION, "SubjectConfirmationData");
	const char *format = node_attr(name, "Format");

	ret->name_id = node_text(name);
	if (ret->name_id == NULL || ret->name_id[strspn(ret->name_id, " \t\r\n")] == '\0' ||
	    strlen(ret->name_id) > NAME_ID_MAX ||
	    same(format, "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"))
		return "name-id";
	if (same(format, "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"))
		ret->email = ret->name_id;
	if (!same(node_attr(confirmation, "Method"), "urn:oasis:names:tc:SAML:2.0:cm:bearer"))
		return "confirmation";
	if (!same(node_attr(data, "Recipient"), want->acs))
		return "recipient";
	if (!same(node_attr(data, "InResponseTo"), want->request_id))
		return "in-response-to";
	ret->expires = time_of(node_attr(data, "NotOnOrAfter"));
	if (ret->expires < 0)
		return "confirmation";
	ret->expires += RESPONSE_SKEW_S;
	return time_fault(data, want->now);
}

/* Each restriction has to have us among its audiences, and there has to be one (profiles §4.1.4.2). */
static const char *audience_fault(xmlNode *conditions, const struct expected *want)
{
	unsigned n = 0;

	for (xmlNode *r = node_find(conditions->children, NS_ASSERTION, "AudienceRestriction");
	     r != NULL; r = node_find(r->next, NS_ASSERTION, "AudienceRestriction"), n++) {
		xmlNode *a = node_find(r->children, NS_ASSERTION, "Audience");
		while (a != NULL && !same(node_text(a), want->sp))
			a = node_find(a->next, NS_ASSERTION, "Audience");
		if (a == NULL)
			return "audience";
	}
	return n == 0 ? "audience" : NULL;
}

static const char *statement_fault(
    xmlNode *assertion, const struct expected *want, struct claims *ret)
{
	xmlNode *statement = node_only(assertion, NS_ASSERTION, "AuthnStatement");
	const char *until = node_attr(statement, "SessionNotOnOrAfter");
	time_t at = time_of(node_attr(statement, "AuthnInstant")), end = time_of(until);

	if (statement == NULL || at < 0 || (until != NULL && end < 0))
		return "statement";
	if (at > want->now + RESPONSE_SKEW_S)
		return "early";
	if (until != NULL && end + RESPONSE_SKEW_S <= want->now)
		return "expired";
	ret->session_index = node_attr(statement, "SessionIndex");
	return NULL;
}

#define WS_CLAIM(name) ("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/" name)

static const char *const email_names[] = {"email", "mail", "emailaddress", "emailAddress",
    "urn:oid:0.9.2342.19200300.100.1.3", WS_CLAIM("emailaddress"), NULL};
static const char *const first_names[] = {"firstName", "first_name", "givenName", "given_name",
    "givenname", "urn:oid:2.5.4.42", WS_CLAIM("givenname"), NULL};
static const char *const last_names[] = {"lastName", "last_name", "surname", "sn", "family_name",
    "urn:oid:2.5.4.4", WS_CLAIM("surname"), NULL};

/* What has a second value or is too long is left out: none of it decides who it is. */
static void take(xmlNode *attribute, const char *const *names, const char **ret)
{
	const char *value = node_text(node_only(attribute, NS_ASSERTION, "AttributeValue"));

	if (one_of(node_attr(attribute, "Name"), names) && value != NULL && *value != '\0' &&
	    strlen(value) <= VALUE_MAX)
		*ret = value;
}

static void attributes(xmlNode *assertion, struct claims *ret)
{
	xmlNode *s = node_find(assertion->children, NS_ASSERTION, "AttributeStatement");

	for (; s != NULL; s = node_find(s->next, NS_ASSERTION, "AttributeStatement")) {
		xmlNode *a = node_find(s->children, NS_ASSERTION, "Attribute");
		for (; a != NULL; a = node_find(a->next, NS_ASSERTION, "Attribute")) {
			take(a, email_names, &ret->email);
			take(a, first_names, &ret->first_name);
			take(a, last_names, &ret->last_name);
		}
	}
}

const char *response_claims(const xmlDoc *doc, const struct expected *want, struct claims *ret)
{
	xmlNode *root = xmlDocGetRootElement(doc);
	xmlNode *assertion = node_only(root, NS_ASSERTION, "Assertion");
	xmlNode *conditions = node_only(assertion, NS_ASSERTION, "Conditions");
	const char *why = message_fault(root, want);

	*ret = (struct claims){.assertion_id = node_attr(assertion, "ID")};
	if (why != NULL)
		return why;
	if (ret->assertion_id == NULL || strlen(ret->assertion_id) > NAME_ID_MAX ||
	    !same(node_attr(assertion, "Version"), "2.0") || conditions == NULL)
		return "structure";
	if (!same(node_text(node_only(assertion, NS_ASSERTION, "Issuer")), want->idp))
		return "issuer";
	why = subject_fault(assertion, want, ret);
	if (why == NULL)
		why = time_fault(conditions, want->now);
	if (why == NULL)
		why = audience_fault(conditions, want);
	if (why == NULL)
		why = statement_fault(assertion, want, ret);
	if (why == NULL)
		attributes(assertion, ret);
	return why;
}
