/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two questions. Members of both: sp and idp, the metadata of each side as XML.
 *   {"verb":"authn-request", "relay_state"} -> {"ok":true, "issuer", "url", "id"}
 *   {"verb":"response", "response": base64, "request_id"} ->
 *       {"ok":true, "issuer", "name_id", "assertion_id", "expires": unix seconds until which the assertion
 *        may come again, and those of email, first_name, last_name, session_index that it has}
 * What is refused: {"ok":false, "reason": one word}.
 */
#ifndef QUOIN_SAML_VERBS_H
#define QUOIN_SAML_VERBS_H

#include <stddef.h>

/* JSON to JSON; the caller frees it. NULL: no memory. */
char *verb_answer(const char *question, size_t n);

#endif
