/*
 * Two subscriptions that one customer paid for: the database says which of them is surplus and what is left to do
 * (migrations/0027), from the state that was fetched last. Each step is one that Stripe does once: what is ended is
 * gone, a refund has its key for a day, and no charge is given back twice.
 */
#include "billing.h"
#include "quoin/base/log.h"
#include "quoin/net/form.h"

#include <string.h>

/* Not now, or not at all, is for people to see to (quoinctl billing show); the next look tries again. */
static enum qn_err refund(struct qn_billing *b, const struct billing_surplus *s)
{
	struct qn_json_object made;
	struct qn_buf form;

	qn_buf_init(&form, QN_STRIPE_FORM_BYTES);
	qn_form_add(&form, "payment_intent", s->payment);
	qn_form_add(&form, "reason", "duplicate");
	qn_form_add(&form, "metadata[subscription]", s->subscription);
	enum qn_err e = billing_post(b, "/v1/refunds", &form,
	    billing_key(b, "refund", s->subscription, s->payment, NULL), &made);
	if (e != QN_PAYMENT_REFUSED && e != QN_NOT_FOUND)
		return e;
	qn_log(QN_WARNING, "what was paid twice is not given back: %s: %s", s->payment, b->why);
	b->why = NULL;
	return QN_OK;
}

static bool has_ended(const struct billing_surplus *s)
{
	return strcmp(s->status, "canceled") == 0 || strcmp(s->status, "incomplete_expired") == 0;
}

enum qn_err billing_give_back(struct qn_billing *b, const char *customer, size_t *ret_n)
{
	struct qn_list due;

	QN_TRY(billing_surplus_due(b->db, b->stripe.arena, customer, &due));
	const struct billing_surplus *s = due.items;
	for (size_t i = 0; i < due.n; i++) {
		if (!has_ended(&s[i]))
			QN_TRY(billing_end_now(b, s[i].subscription));
		if (s[i].payment != NULL)
			QN_TRY(refund(b, &s[i]));
	}
	*ret_n = due.n;
	return QN_OK;
}
