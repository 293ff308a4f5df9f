#include "quoin/auth/link.h"

#include <string.h>

#include "quoin/auth/opaque.h"
#include "quoin/auth/outbox.h"
#include "quoin/base/buf.h"
#include "quoin/base/json.h"
#include "quoin/store/account.h"
#include "quoin/store/job.h"

enum { PAYLOAD_BYTES = 4096, MINUTE = 60, HOUR = 3600 };

static const struct {
	const char *purpose;
	enum qn_mail_template mail;
	int64_t seconds;
	const char *expires;
} links[QN_LINK__MAX] = {
    [QN_LINK_VERIFY] = {"verify-email", QN_MAIL_VERIFY_EMAIL, 24 * HOUR, "24 hours"},
    [QN_LINK_RESET] = {"reset-password", QN_MAIL_RESET_PASSWORD, 30 * MINUTE, "30 minutes"},
    [QN_LINK_MAGIC] = {"magic-link", QN_MAIL_MAGIC_LINK, 15 * MINUTE, "15 minutes"},
};

const char *qn_link_purpose(enum qn_link link)
{
	return links[link].purpose;
}

enum qn_err qn_link_ask(
    struct qn_db *db, struct qn_arena *a, const char *app_id, enum qn_link link, const char *email)
{
	struct qn_buf b;

	qn_buf_init(&b, PAYLOAD_BYTES);
	qn_buf_printf(&b, "{\"link\":\"%s\",\"email\":", links[link].purpose);
	qn_buf_json(&b, email, strlen(email));
	qn_buf_char(&b, '}');
	enum qn_err e = b.over ? QN_INVALID
	                       : job_add(db, a, QN_LINK_JOB, app_id, (struct qn_span){b.p, b.n},
				     qn_printf(a, "%s:%s:%s", links[link].purpose, app_id, email));
	qn_buf_done(&b);
	return e;
}

/* The newest link is the only one that is good. */
enum qn_err qn_link_mail(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const char *app_id, enum qn_link link, const char *user, const char *email)
{
	struct qn_opaque token;
	struct qn_buf b;
	struct qn_mail_order order = {.app_id = app_id,
	    .user_id = user,
	    .to = email,
	    .template = links[link].mail,
	    .vars.v = {[QN_MAIL_VAR_EXPIRES] = links[link].expires}};

	QN_TRY(one_time_drop(db, a, app_id, user, links[link].purpose));
	qn_opaque_new(&token);
	qn_buf_init(&b, PAYLOAD_BYTES);
	qn_buf_str(&b, "{\"email\":");
	qn_buf_json(&b, email, strlen(email));
	qn_buf_char(&b, '}');
	struct one_time what = {user, {b.p, b.n}};
	enum qn_err e = one_time_put(
	    db, a, app_id, links[link].purpose, token.hash, &what, links[link].seconds);
	qn_buf_done(&b);
	order.vars.v[QN_MAIL_VAR_TOKEN] = token.text;
	if (e == QN_OK)
		e = qn_mail_queue(conf, db, a, &order, NULL);
	qn_wipe(&token, sizeof(token));
	return e;
}

/* An address that is verified is not verified again. */
static bool wanted(enum qn_link link, const struct account *who)
{
	return who->suspended != 1 && (link != QN_LINK_VERIFY || who->email_verified != 1);
}

enum qn_err qn_link_send(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const char *app_id, struct qn_span payload)
{
	struct qn_json_object o;
	struct account who;
	const char *name, *email;
	int link = 0;

	if (!qn_json_members(a, payload, &o) ||
	    !qn_json_str(a, qn_json_get(&o, "link"), &name, NULL) ||
	    !qn_json_str(a, qn_json_get(&o, "email"), &email, NULL))
		return QN_INVALID;
	while (link < QN_LINK__MAX && strcmp(links[link].purpose, name) != 0)
		link++;
	if (link == QN_LINK__MAX || app_id == NULL)
		return QN_INVALID;
	QN_TX(tx, db);
	enum qn_err e = account_by_email(db, a, app_id, email, &who);
	if (e == QN_USER_NOT_FOUND || (e == QN_OK && !wanted((enum qn_link)link, &who)))
		return QN_OK;
	QN_TRY(e);
	QN_TRY(qn_link_mail(conf, db, a, app_id, (enum qn_link)link, who.id, who.email));
	return qn_tx_commit(&tx);
}
