/*
 * What mail says (CONTRACT B4): a closed list of templates, each with the variables it is given. The built-in
 * texts can be replaced per app by files, DIR/SLUG/NAME.txt ("Subject: …", an empty line, the text) and
 * DIR/SLUG/NAME.html; without the second, the HTML part is made from the first. Links are made of the app's
 * frontend URL and of nothing that a client sent (SECURITY T12); a token stands behind their #, which no
 * browser sends to a server and so no log holds.
 */
#ifndef QUOIN_NET_MAILTEXT_H
#define QUOIN_NET_MAILTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "quoin/base/arena.h"
#include "quoin/base/buf.h"
#include "quoin/net/template.h"

/* enumerator, name in templates, an example. The caller gives them all as text. */
#define QN_MAIL_VARS(X) \
	X(TOKEN, "token", "an-example-and-no-token") \
	X(EXPIRES, "expires", "one hour") \
	X(NEW_ADDRESS, "new_address", "new@example.com") \
	X(WHEN, "when", "21 November 2026, 08:30 UTC") \
	X(IP, "ip", "192.0.2.7") \
	X(DEVICE, "device", "Firefox on Debian") \
	X(INVITER, "inviter", "ann@example.com") \
	X(ORGANIZATION, "organization", "Example Ltd") \
	X(CHANGE, "change", "switched on") \
	X(METER, "meter", "API calls") \
	X(USED, "used", "9000") \
	X(LIMIT, "limit", "10000") \
	X(URL, "url", "example.com/hooks") \
	X(REASON, "reason", "no call to it has succeeded for five days") \
	X(PLAN, "plan", "Pro") \
	X(AMOUNT, "amount", "20.00 USD")

enum qn_mail_var {
#define X(var, name, example) QN_MAIL_VAR_##var,
	QN_MAIL_VARS(X)
#undef X
	    QN_MAIL_VAR__MAX
};

#define QN_MAIL_BIT(var) (1U << QN_MAIL_VAR_##var)

/* enumerator, name, the variables it needs, where its {{link}} leads: behind the app's frontend URL */
#define QN_MAIL_TEMPLATES(X) \
	X(WELCOME, "welcome", 0, "/") \
	X(VERIFY_EMAIL, "verify-email", QN_MAIL_BIT(TOKEN) | QN_MAIL_BIT(EXPIRES), \
	    "/verify-email") \
	X(RESET_PASSWORD, "reset-password", QN_MAIL_BIT(TOKEN) | QN_MAIL_BIT(EXPIRES), \
	    "/reset-password") \
	X(PASSWORD_CHANGED, "password-changed", QN_MAIL_BIT(WHEN), "/forgot-password") \
	X(MAGIC_LINK, "magic-link", QN_MAIL_BIT(TOKEN) | QN_MAIL_BIT(EXPIRES), "/magic-link") \
	X(CHANGE_EMAIL, "change-email", QN_MAIL_BIT(TOKEN) | QN_MAIL_BIT(EXPIRES), \
	    "/change-email") \
	X(EMAIL_CHANGED, "email-changed", QN_MAIL_BIT(NEW_ADDRESS) | QN_MAIL_BIT(WHEN), "/") \
	X(ACCOUNT_EXISTS, "account-exists", 0, "/forgot-password") \
	X(INVITATION, "invitation", \
	    QN_MAIL_BIT(TOKEN) | QN_MAIL_BIT(EXPIRES) | QN_MAIL_BIT(INVITER) | \
		QN_MAIL_BIT(ORGANIZATION), \
	    "/invitation") \
	X(NEW_SIGN_IN, "new-sign-in", QN_MAIL_BIT(WHEN) | QN_MAIL_BIT(IP) | QN_MAIL_BIT(DEVICE), \
	    "/account") \
	X(MFA_CHANGED, "mfa-changed", QN_MAIL_BIT(WHEN) | QN_MAIL_BIT(CHANGE), "/account") \
	X(ACCOUNT_DELETION, "account-deletion", QN_MAIL_BIT(WHEN), "/account") \
	X(QUOTA_NEAR, "quota-near", QN_MAIL_BIT(METER) | QN_MAIL_BIT(USED) | QN_MAIL_BIT(LIMIT), \
	    "/billing") \
	X(WEBHOOK_DISABLED, "webhook-disabled", QN_MAIL_BIT(URL) | QN_MAIL_BIT(REASON), \
	    "/webhooks") \
	X(RECEIPT, "receipt", QN_MAIL_BIT(PLAN) | QN_MAIL_BIT(AMOUNT) | QN_MAIL_BIT(WHEN), \
	    "/billing") \
	X(PAYMENT_FAILED, "payment-failed", \
	    QN_MAIL_BIT(PLAN) | QN_MAIL_BIT(AMOUNT) | QN_MAIL_BIT(WHEN), "/billing") \
	X(PAYMENT_RETURNED, "payment-returned", QN_MAIL_BIT(PLAN) | QN_MAIL_BIT(AMOUNT), \
	    "/billing") \
	X(PAID_TWICE, "paid-twice", QN_MAIL_BIT(PLAN) | QN_MAIL_BIT(AMOUNT), "/billing") \
	X(TRIAL_ENDING, "trial-ending", QN_MAIL_BIT(PLAN) | QN_MAIL_BIT(WHEN), "/billing") \
	X(PLAN_CHANGING, "plan-changing", QN_MAIL_BIT(PLAN) | QN_MAIL_BIT(WHEN), "/billing") \
	X(SUBSCRIPTION_ENDED, "subscription-ended", QN_MAIL_BIT(PLAN), "/billing") \
	X(TEST, "test", 0, "/")

enum qn_mail_template {
#define X(template, name, vars, path) QN_MAIL_##template,
	QN_MAIL_TEMPLATES(X)
#undef X
	    QN_MAIL__MAX
};

/* What is put in; NULL where the template has no use for it. */
struct qn_mail_vars {
	const char *v[QN_MAIL_VAR__MAX];
};

/* In whose name. */
struct qn_mail_app {
	const char *slug, *name;
	const char *url; /* its frontend, without a slash at the end */
};

struct qn_mailtext {
	const char *subject, *text, *html; /* in the arena */
};

const char *qn_mail_template_name(enum qn_mail_template t);
enum qn_mail_template qn_mail_template_by_name(const char *name); /* QN_MAIL__MAX: none */
const char *qn_mail_var_name(enum qn_mail_var v);
const char *qn_mail_var_example(enum qn_mail_var v);
/* Whether the template is given that variable. */
bool qn_mail_template_has(enum qn_mail_template t, enum qn_mail_var v);

/*
 * Fills in. `dir` is QUOIN_MAIL_TEMPLATES, "" for none. An app's own text that is refused is passed over for
 * the built-in one, as the mail has to go out: *ret_why then says why, else it is NULL. false: the result
 * does not fit.
 */
bool qn_mailtext(struct qn_arena *a, const char *dir, const struct qn_mail_app *app,
    enum qn_mail_template t, const char *address, const struct qn_mail_vars *vars,
    struct qn_mailtext *ret, const char **ret_why) __attribute__((warn_unused_result));

/* Looks at every file below `dir`: NULL when each is a template that can be filled in, else what is wrong. */
const char *qn_mailtext_fault(struct qn_arena *a, const char *dir);

#endif
