/*
 * Addresses of mail, as narrow as they can be without shutting anybody out (SECURITY T36): an RFC 5321 dot-string,
 * one @, and a domain of two labels or more. No quoted local parts, comments, domain literals, spaces, control
 * bytes or bytes above 0x7f (a domain of other letters is written in its xn-- form).
 */
#ifndef QUOIN_NET_ADDRESS_H
#define QUOIN_NET_ADDRESS_H

#include <stdbool.h>

#include "quoin/base/arena.h"

#define QN_ADDRESS_MAX 320 /* bytes; what columns of addresses hold */

bool qn_address_ok(struct qn_span s);

/* Who a mail is from: "Name <address>" or an address. */
struct qn_sender {
	const char *name; /* UTF-8, unquoted; NULL: none */
	const char *address;
};

/* false, and nothing written: no such sender, or one with control bytes or other than UTF-8. */
bool qn_sender_parse(struct qn_arena *a, const char *text, struct qn_sender *ret);

#endif
