/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What quoin-saml looks at before lasso does (SECURITY T32). A document that is taken is elements and text within its
 * bounds; a response of the right shape has one assertion and a signature; one whose claims fit says who it is.
 */
#include <libxml/parser.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "document.h"
#include "response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what); \
			abort(); \
		} \
	} while (0)

/* Of the seeds: tests/lib/saml.mjs made them. */
static const struct expected want = {.idp = "https://idp.example.test/metadata",
    .sp = "https://quoin.example.test/api/v1/auth/saml/metadata",
    .acs = "https://quoin.example.test/auth/saml/callback",
    .request_id = "_request-1",
    .now = 4070908800};

static unsigned count(const xmlNode *node, const char *name, unsigned depth)
{
	unsigned n = 0;

	MUST(node == NULL || depth <= DOCUMENT_DEPTH);
	for (; node != NULL; node = node->next) {
		MUST(node->type == XML_ELEMENT_NODE || node->type == XML_TEXT_NODE);
		if (node->type != XML_ELEMENT_NODE)
			continue;
		n += strcmp((const char *)node->name, name) == 0;
		n += count(node->children, name, depth + 1);
	}
	return n;
}

static void try_response(const xmlDoc *doc)
{
	struct claims who;

	if (response_shape(doc) != NULL)
		return;
	unsigned signatures = count(doc->children, "Signature", 1);
	MUST(count(doc->children, "Assertion", 1) == 1);
	MUST(signatures == 1 || signatures == 2);
	if (response_claims(doc, &want, &who) != NULL)
		return;
	MUST(who.name_id != NULL && who.name_id[0] != '\0' && who.assertion_id != NULL);
	MUST(who.expires > want.now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *exact = malloc(size + 1); /* nothing behind it may be read */
	const char *text = exact, *why = NULL;
	size_t n = size;

	MUST(exact != NULL);
	memcpy(exact, data, size);
	exact[size] = '\0';
	xmlDoc *doc = document_read(&text, &n, &why);
	MUST((doc == NULL) == (why != NULL));
	if (doc != NULL) {
		MUST(n <= DOCUMENT_BYTES && text + n == exact + size);
		count(doc->children, "", 1);
		try_response(doc);
		xmlFreeDoc(doc);
	}
	free(exact);
	xmlResetLastError();
	return 0;
}
