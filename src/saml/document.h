/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * XML of strangers, read before lasso sees it. A document here is UTF-8 and has no DTD, no comment, no CDATA
 * section and no processing instruction; it is bounded in bytes, depth and elements; no two of its elements
 * have the same id.
 */
#ifndef QUOIN_SAML_DOCUMENT_H
#define QUOIN_SAML_DOCUMENT_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>

enum { DOCUMENT_BYTES = 192 * 1024, DOCUMENT_DEPTH = 32, DOCUMENT_ELEMENTS = 4096 };

#define NS_PROTOCOL  "urn:oasis:names:tc:SAML:2.0:protocol"
#define NS_ASSERTION "urn:oasis:names:tc:SAML:2.0:assertion"
#define NS_METADATA  "urn:oasis:names:tc:SAML:2.0:metadata"
#define NS_SIGNATURE "http://www.w3.org/2000/09/xmldsig#"

/* Moves *text and *n behind an XML declaration. NULL, with one word in *why, when it is refused. */
xmlDoc *document_read(const char **text, size_t *n, const char **why);

bool node_is(const xmlNode *node, const char *ns, const char *name);
/* The next element from `node` on, itself included, that is one of these; NULL. */
xmlNode *node_find(xmlNode *node, const char *ns, const char *name);
/* The one child of that name; NULL when there is none or a second. */
xmlNode *node_only(xmlNode *parent, const char *ns, const char *name);
/* The value of an attribute without a namespace; NULL. The document's, as long as it lives. */
const char *node_attr(const xmlNode *node, const char *name);
/* The text of an element that has nothing else in it; NULL. */
const char *node_text(const xmlNode *node);

#endif
