#include "billing.h"
#include "quoin/net/form.h"

#include <string.h>

/*
 * One who is nobody's but this user's or organisation's. What is sent is always the same, so that Stripe answers
 * whoever asks with the same customer, at once or after a lost answer; what may change is added afterwards.
 */
static enum qn_err make(struct qn_billing *b, const struct payer *p, const char **ret)
{
	const char *owner = p->org != NULL ? p->org : p->user;
	struct qn_json_object made;
	struct qn_buf form;

	qn_buf_init(&form, QN_STRIPE_FORM_BYTES);
	qn_form_add(
	    &form, p->org != NULL ? "metadata[organization_id]" : "metadata[user_id]", owner);
	qn_form_add(&form, "metadata[app_id]", p->app);
	QN_TRY(billing_post(
	    b, "/v1/customers", &form, billing_key(b, "customer", p->app, owner, NULL), &made));
	*ret = qn_stripe_str(b->stripe.arena, &made, "id");
	return *ret != NULL ? QN_OK : QN_PAYMENT_DOWN;
}

/* Only for those who look at Stripe's pages, and for its mail: that it did not come through is no reason to stop. */
static void describe(struct qn_billing *b, const struct billing_customer *c)
{
	struct qn_json_object changed;
	struct qn_buf form;

	if (c->email == NULL && c->name == NULL)
		return;
	qn_buf_init(&form, QN_STRIPE_FORM_BYTES);
	if (c->email != NULL)
		qn_form_add(&form, "email", c->email);
	if (c->name != NULL)
		qn_form_add(&form, "name", c->name);
	const char *key = billing_key(b, "describe", c->stripe_customer_id,
	    c->email != NULL ? c->email : "", c->name != NULL ? c->name : "", NULL);
	if (billing_post(b, qn_printf(b->stripe.arena, "/v1/customers/%s", c->stripe_customer_id),
		&form, key, &changed) == QN_OK)
		b->why = NULL;
}

enum qn_err qn_billing_customer(
    struct qn_billing *b, const struct payer *p, struct billing_customer *ret)
{
	const char *made;

	QN_TRY(billing_customer_claim(b->db, b->stripe.arena, p, ret));
	if (ret->stripe_customer_id != NULL)
		return QN_OK;
	QN_TRY(make(b, p, &made));
	QN_TRY(
	    billing_customer_name(b->db, b->stripe.arena, ret->id, made, &ret->stripe_customer_id));
	describe(b, ret);
	return QN_OK;
}
