/* What a new password must be (CONTRACT X8). Not the last five: those who can see them ask that. */
#ifndef QUOIN_AUTH_PASSRULE_H
#define QUOIN_AUTH_PASSRULE_H

#include "quoin/auth/breached.h"
#include "quoin/base/err.h"
#include "quoin/base/span.h"

#define QN_PASSWORD_LEAST \
	12 /* characters: code points, not bytes; the most is QN_PASSWORD_MOST bytes */

/* In the order in which they are looked at; type and msg are those of a field error. */
#define QN_PASSWORD_FAULTS(X) \
	X(OK, "", "") \
	X(TEXT, "encoding", "This is not UTF-8 without control characters.") \
	X(SHORT, "string_too_short", "Use at least 12 characters.") \
	X(LONG, "string_too_long", "Use at most 1024 bytes.") \
	X(CLASSES, "password_classes", \
	    "Use a lower-case letter, a capital, a digit and another character.") \
	X(EMAIL, "password_email", "Do not make it of your e-mail address.") \
	X(COMMON, "password_common", "This is among the first that somebody would try.") \
	X(BREACHED, "password_breached", "This password is known from a breach elsewhere.")

enum qn_password_fault {
#define X(name, type, msg) QN_PASSWORD_##name,
	QN_PASSWORD_FAULTS(X)
#undef X
	    QN_PASSWORD__MAX
};

const char *qn_password_fault_type(enum qn_password_fault f);
const char *qn_password_fault_msg(enum qn_password_fault f);

/*
 * The first rule that the password breaks, in *ret. EMAIL: without the part of `email` before its @
 * (three characters or more, case ignored) fewer than eight bytes remain. COMMON: a few of the words
 * that people choose (commonwords.h), with letters swapped for digits or signs, or decorated; a walk
 * over the keyboard; or fewer than six different characters. CLASSES counts ASCII; any other character
 * is "another". QN_INTERNAL: the list of breached ones (may be NULL) cannot be read.
 */
enum qn_err qn_password_judge(const struct qn_breached *list, struct qn_span password,
    struct qn_span email, enum qn_password_fault *ret) QN_MUST_CHECK;

#endif
