#include "quoin/auth/outbox.h"

#include "quoin/auth/registry.h"
#include "quoin/auth/seal.h"
#include "quoin/base/json.h"
#include "quoin/base/rand.h"
#include "quoin/store/mail.h"

enum { PLAIN_BYTES = QN_MAIL_VAR__MAX * (6 * QN_MAIL_VAR_MAX + 32) };

static const char label[] = "quoin mail 1";

static struct qn_secret secret_of(const struct qn_conf *conf)
{
	return (struct qn_secret){1, qn_span_of(qn_conf_str(conf, QN_CONF_KEY_QUOIN_SECRET_KEY))};
}

static enum qn_err check(const struct qn_mail_order *o)
{
	if (!qn_address_ok(qn_span_of(o->to)))
		return QN_INVALID;
	for (unsigned v = 0; v < QN_MAIL_VAR__MAX; v++) {
		if (qn_mail_template_has(o->template, (enum qn_mail_var)v) !=
		    (o->vars.v[v] != NULL))
			return QN_INTERNAL;
		if (o->vars.v[v] != NULL && strlen(o->vars.v[v]) > QN_MAIL_VAR_MAX)
			return QN_INVALID;
	}
	return QN_OK;
}

/* As a JSON object. */
static void write_vars(const struct qn_mail_vars *vars, struct qn_buf *out)
{
	qn_buf_char(out, '{');
	for (unsigned v = 0; v < QN_MAIL_VAR__MAX; v++) {
		if (vars->v[v] == NULL)
			continue;
		qn_buf_printf(
		    out, "%s\"%s\":", out->n > 1 ? "," : "", qn_mail_var_name((enum qn_mail_var)v));
		qn_buf_json(out, vars->v[v], strlen(vars->v[v]));
	}
	qn_buf_char(out, '}');
}

/* Bound to the id of the mail: in another's row they do not open. */
static bool seal_vars(const struct qn_conf *conf, struct qn_arena *a, const char *id,
    const struct qn_mail_vars *vars, struct qn_span *ret)
{
	struct qn_secret secret = secret_of(conf);
	struct qn_buf plain;

	qn_buf_init(&plain, PLAIN_BYTES);
	write_vars(vars, &plain);
	uint8_t *out = qn_alloc(a, plain.n + QN_SEAL_OVERHEAD);
	bool ok = !plain.over &&
	          qn_seal(&secret, label, qn_span_of(id), (struct qn_span){plain.p, plain.n}, out);
	*ret = (struct qn_span){(const char *)out, plain.n + QN_SEAL_OVERHEAD};
	if (plain.p != NULL)
		qn_wipe(plain.p, plain.n);
	qn_buf_done(&plain);
	return ok;
}

enum qn_err qn_mail_queue(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const struct qn_mail_order *order, const char **ret_id)
{
	char id[QN_UUID_LEN + 1];
	struct mail mail = {
	    .id = id, .app_id = order->app_id, .user_id = order->user_id, .to_address = order->to};

	QN_TRY(check(order));
	mail.template = qn_mail_template_name(order->template);
	qn_uuid_new(id);
	if (!seal_vars(conf, a, id, &order->vars, &mail.variables))
		return QN_INTERNAL;
	QN_TRY(mail_add(db, a, &mail));
	if (ret_id != NULL)
		*ret_id = qn_strdup(a, id);
	return QN_OK;
}

static bool open_vars(const struct qn_conf *conf, struct qn_arena *a, const struct mail *mail,
    struct qn_mail_vars *ret)
{
	struct qn_secret secret = secret_of(conf);
	struct qn_span sealed = mail->variables;
	struct qn_json_object o;

	*ret = (struct qn_mail_vars){{NULL}};
	if (sealed.n < QN_SEAL_OVERHEAD)
		return false;
	size_t n = sealed.n - QN_SEAL_OVERHEAD;
	uint8_t *plain = qn_alloc(a, n + 1);
	if (!qn_unseal(&secret, label, qn_span_of(mail->id), sealed, plain) ||
	    qn_json_scan(a, (struct qn_span){(const char *)plain, n}, &qn_json_default_limits, &o,
		NULL) != QN_JSON_OK)
		return false;
	for (unsigned v = 0; v < QN_MAIL_VAR__MAX; v++)
		qn_json_str(
		    a, qn_json_get(&o, qn_mail_var_name((enum qn_mail_var)v)), &ret->v[v], NULL);
	return true;
}

/* A mail on its way out. */
struct parcel {
	struct mail row;
	struct qn_mail_vars vars;
	struct qn_mailtext text;
	struct qn_message message;
};

static void ends(struct qn_delivery *d, enum qn_mail_result result, const char *why)
{
	d->outcome = (struct qn_mail_outcome){.result = result};
	memcpy(d->outcome.why, why, strlen(why) + 1);
}

/* false: it cannot be made, and the outcome says why. */
static bool make(
    const struct qn_conf *conf, struct qn_arena *a, struct parcel *p, struct qn_delivery *d)
{
	enum qn_mail_template t = qn_mail_template_by_name(p->row.template);
	struct qn_json_object config = {NULL, 0};
	struct qn_mail_app app = {.slug = p->row.app_slug, .name = p->row.app_name};

	if (t == QN_MAIL__MAX || !open_vars(conf, a, &p->row, &p->vars)) {
		ends(d, QN_MAIL_FAILED,
		    "its variables do not open: of another QUOIN_SECRET_KEY, or damaged");
		return false;
	}
	if (qn_json_scan(a, p->row.app_config, &qn_json_default_limits, &config, NULL) !=
		QN_JSON_OK ||
	    !qn_sender_parse(a, qn_mail_from(a, conf, &config), &p->message.from)) {
		ends(d, QN_MAIL_LATER,
		    "there is no sender: mail.from of the app's file, or EMAIL_FROM, must be one");
		return false;
	}
	app.url = qn_frontend_url(a, conf, &config);
	if (!qn_mailtext(a, qn_conf_str(conf, QN_CONF_KEY_QUOIN_MAIL_TEMPLATES), &app, t,
		p->row.to_address, &p->vars, &p->text, &d->passed_over)) {
		ends(d, QN_MAIL_FAILED, "its text is too long");
		return false;
	}
	p->message.id = p->row.id;
	p->message.to = p->row.to_address;
	p->message.subject = p->text.subject;
	p->message.text = p->text.text;
	p->message.html = p->text.html;
	p->message.date = p->row.created_at;
	return true;
}

static enum qn_err settle(struct qn_db *db, struct qn_arena *a, const struct parcel *p, bool last,
    const struct qn_delivery *d)
{
	const char *id = p->row.id, *why = d->outcome.why;

	switch (d->outcome.result) {
	case QN_MAIL_SENT:
		return mail_sent(db, a, id, qn_message_id(a, &p->message));
	case QN_MAIL_BOUNCED:
		return mail_given_up(db, a, id, "bounced", why);
	case QN_MAIL_FAILED:
		return mail_given_up(db, a, id, "failed", why);
	case QN_MAIL_LATER:
		break;
	}
	if (last)
		return mail_given_up(db, a, id, "failed", why);
	QN_TRY(mail_tried(db, a, id, why));
	return QN_DB_DOWN;
}

enum qn_err qn_mail_deliver(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const char *id, bool last, struct qn_delivery *ret)
{
	struct parcel p = {.row = {.id = NULL}};
	enum qn_err e = mail_by_id(db, a, id, &p.row);

	*ret = (struct qn_delivery){.template = NULL};
	if (e == QN_NOT_FOUND)
		return QN_OK; /* it went with its app */
	QN_TRY(e);
	if (strcmp(p.row.state, "queued") != 0)
		return QN_OK;
	ret->template = p.row.template;
	if (make(conf, a, &p, ret))
		qn_mail_send(conf, a, &p.message, p.vars.v[QN_MAIL_VAR_TOKEN], &ret->outcome);
	return settle(db, a, &p, last, ret);
}
