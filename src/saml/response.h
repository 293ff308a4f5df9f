/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a SAML response has to be, apart from its signature being right (SAML core, profiles §4.1.4). */
#ifndef QUOIN_SAML_RESPONSE_H
#define QUOIN_SAML_RESPONSE_H

#include <libxml/tree.h>
#include <time.h>

enum { RESPONSE_SKEW_S = 60 };

struct expected {
	const char *idp, *sp;   /* entity ids */
	const char *acs;        /* where it was to be posted */
	const char *request_id; /* that it answers */
	time_t now;
};

/* Strings are the document's. Those from session_index on may be NULL. */
struct claims {
	const char *name_id, *assertion_id;
	time_t expires;
	const char *session_index, *email, *first_name, *last_name;
};

/*
 * Its shape: one response with one assertion in it, and signatures that each cover the whole of the element
 * that they are in, by algorithms that are good. So what a signature covers is what is read, wherever else
 * copies could hide. NULL, or one word that says what is wrong.
 */
const char *response_shape(const xmlDoc *doc);
/* After that: from whom, for whom, in answer to what and when. */
const char *response_claims(const xmlDoc *doc, const struct expected *want, struct claims *ret);

#endif
