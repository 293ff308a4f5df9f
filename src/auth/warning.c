#include "quoin/auth/warning.h"

#include <inttypes.h>
#include <string.h>

#include "quoin/auth/outbox.h"
#include "quoin/base/json.h"
#include "quoin/store/entitlement.h"

/* "storage_bytes" as "storage bytes". */
static const char *spoken(struct qn_arena *a, const char *meter)
{
	char *s = qn_strdup(a, meter);

	for (char *p = s; (p = strchr(p, '_')) != NULL;)
		*p = ' ';
	return s;
}

static const char *text_of(struct qn_arena *a, const struct qn_json_object *o, const char *member)
{
	const char *s = NULL;

	qn_json_str(a, qn_json_get(o, member), &s, NULL);
	return s;
}

enum qn_err qn_warning_mail(const struct qn_conf *conf, struct qn_db *db, struct qn_arena *a,
    const char *app_id, struct qn_span payload)
{
	struct qn_mail_order order = {.app_id = app_id, .template = QN_MAIL_QUOTA_NEAR};
	struct qn_json_object o;
	struct qn_list told;
	int64_t used, max;

	if (!qn_json_members(a, payload, &o) || !qn_json_i64(qn_json_get(&o, "used"), &used) ||
	    !qn_json_i64(qn_json_get(&o, "max"), &max))
		return QN_INVALID;
	const char *meter = text_of(a, &o, "meter");
	if (meter == NULL)
		return QN_INVALID;
	order.vars.v[QN_MAIL_VAR_METER] = spoken(a, meter);
	order.vars.v[QN_MAIL_VAR_USED] = qn_printf(a, "%" PRId64, used);
	order.vars.v[QN_MAIL_VAR_LIMIT] = qn_printf(a, "%" PRId64, max);
	QN_TX(tx, db);
	QN_TRY(warned_of(db, a, app_id, text_of(a, &o, "user"), text_of(a, &o, "org"), &told));
	for (size_t i = 0; i < told.n; i++) {
		const struct warned *who = (const struct warned *)told.items + i;
		order.user_id = who->user_id;
		order.to = who->email;
		QN_TRY(qn_mail_queue(conf, db, a, &order, NULL));
	}
	return qn_tx_commit(&tx);
}
