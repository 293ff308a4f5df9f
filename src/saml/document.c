/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "document.h"

#include <libxml/parser.h>
#include <string.h>
#include <strings.h>

bool node_is(const xmlNode *node, const char *ns, const char *name)
{
	return node->type == XML_ELEMENT_NODE && node->ns != NULL &&
	       strcmp((const char *)node->ns->href, ns) == 0 &&
	       strcmp((const char *)node->name, name) == 0;
}

xmlNode *node_find(xmlNode *node, const char *ns, const char *name)
{
	while (node != NULL && !node_is(node, ns, name))
		node = node->next;
	return node;
}

xmlNode *node_only(xmlNode *parent, const char *ns, const char *name)
{
	xmlNode *found = parent != NULL ? node_find(parent->children, ns, name) : NULL;

	return found != NULL && node_find(found->next, ns, name) == NULL ? found : NULL;
}

/* Text in one piece: without entities and CDATA the parser makes no second one. */
static const char *only_text(const xmlNode *first)
{
	if (first == NULL || first->type != XML_TEXT_NODE || first->next != NULL)
		return NULL;
	return (const char *)first->content;
}

const char *node_attr(const xmlNode *node, const char *name)
{
	for (const xmlAttr *a = node != NULL ? node->properties : NULL; a != NULL; a = a->next)
		if (a->ns == NULL && strcmp((const char *)a->name, name) == 0)
			return only_text(a->children);
	return NULL;
}

const char *node_text(const xmlNode *node)
{
	return node != NULL ? only_text(node->children) : NULL;
}

/* The library guesses encodings; what it may guess from is taken away: a declaration of any other, and NULs. */
static bool skip_declaration(const char **text, size_t *n)
{
	static const char begin[] = "<?xml ";
	char head[128];

	if (*n < sizeof(begin) || memcmp(*text, begin, sizeof(begin) - 1) != 0)
		return true;
	size_t len = *n < sizeof(head) - 1 ? *n : sizeof(head) - 1;
	memcpy(head, *text, len);
	head[len] = '\0';
	char *end = strstr(head, "?>");
	if (end == NULL)
		return false;
	*end = '\0';
	const char *encoding = strstr(head, "encoding");
	if (encoding != NULL) {
		encoding += strlen("encoding");
		encoding += strspn(encoding, " =\"'");
		if (strncasecmp(encoding, "utf-8", 5) != 0 || strchr("\"'", encoding[5]) == NULL)
			return false;
	}
	size_t skip = (size_t)(end - head) + 2;
	*text += skip;
	*n -= skip;
	while (*n > 0 && strchr("\r\n\t ", **text) != NULL) {
		++*text;
		--*n;
	}
	return true;
}

/* "<!" begins a DTD, an entity, a comment or CDATA; in well-formed XML a '<' of text is never bare. */
static const char *bytes_fault(const char *p, size_t n)
{
	if (n == 0 || p[0] != '<' || memchr(p, '\0', n) != NULL)
		return "malformed";
	if (n > DOCUMENT_BYTES)
		return "too-large";
	for (size_t i = 0; i + 1 < n; i++)
		if (p[i] == '<' && (p[i + 1] == '!' || p[i + 1] == '?'))
			return "markup";
	return NULL;
}

struct walk {
	const xmlAttr *ids[DOCUMENT_ELEMENTS];
	size_t n_ids, elements;
};

static bool ids_fit(struct walk *w, const xmlNode *node)
{
	for (const xmlAttr *a = node->properties; a != NULL; a = a->next) {
		if (strcasecmp((const char *)a->name, "id") != 0)
			continue;
		const char *value = only_text(a->children);
		if (value == NULL || w->n_ids == DOCUMENT_ELEMENTS)
			return false;
		for (size_t i = 0; i < w->n_ids; i++)
			if (strcmp(value, only_text(w->ids[i]->children)) == 0)
				return false;
		w->ids[w->n_ids++] = a;
	}
	return true;
}

static const char *walk(struct walk *w, const xmlNode *node, unsigned depth)
{
	const char *why = NULL;

	if (depth > DOCUMENT_DEPTH)
		return "too-deep";
	for (; node != NULL && why == NULL; node = node->next) {
		if (node->type == XML_TEXT_NODE)
			continue;
		if (node->type != XML_ELEMENT_NODE)
			return "markup";
		if (++w->elements > DOCUMENT_ELEMENTS)
			return "too-large";
		if (!ids_fit(w, node))
			return "structure";
		why = walk(w, node->children, depth + 1);
	}
	return why;
}

xmlDoc *document_read(const char **text, size_t *n, const char **why)
{
	struct walk w = {.n_ids = 0};

	/* No entity can be declared here: NOENT only makes one text of what has &amp; in it. */
	*why = skip_declaration(text, n) ? bytes_fault(*text, *n) : "malformed";
	if (*why != NULL)
		return NULL;
	xmlDoc *doc = xmlReadMemory(*text, (int)*n, NULL, "UTF-8",
	    XML_PARSE_NONET | XML_PARSE_NOENT | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
		XML_PARSE_NODICT);
	*why = doc == NULL ? "malformed" : walk(&w, doc->children, 1);
	if (*why == NULL)
		return doc;
	xmlFreeDoc(doc);
	return NULL;
}
