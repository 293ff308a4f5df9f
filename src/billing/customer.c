#include "billing.h"
#include "quoin/net/form.h"

#include <stdio.h>
#include <string.h>

/* Whose a customer is, as its metadata say. */
struct owner {
	const char *kind, *id;
};

static struct owner owner_of(const struct payer *p)
{
	return p->org != NULL ? (struct owner){"organization_id", p->org}
	                      : (struct owner){"user_id", p->user};
}

/*
 * One who is nobody's but this user's or organisation's. What is sent is always the same, so that Stripe answers
 * whoever asks with the same customer, at once or after a lost answer; what may change is added afterwards.
 */
static enum qn_err make(struct qn_billing *b, const struct payer *p, const char **ret)
{
	struct owner o = owner_of(p);
	struct qn_json_object made;
	struct qn_buf form;
	char name[64];

	qn_buf_init(&form, QN_STRIPE_FORM_BYTES);
	snprintf(name, sizeof(name), "metadata[%s]", o.kind);
	qn_form_add(&form, name, o.id);
	qn_form_add(&form, "metadata[app_id]", p->app);
	QN_TRY(billing_post(
	    b, "/v1/customers", &form, billing_key(b, "customer", p->app, o.id, NULL), &made));
	*ret = qn_stripe_str(b->stripe.arena, &made, "id");
	return *ret != NULL ? QN_OK : QN_PAYMENT_DOWN;
}

static bool is_of(struct qn_arena *a, const struct qn_json_object *customer, const struct payer *p)
{
	struct owner o = owner_of(p);
	struct qn_json_object metadata;

	if (!qn_stripe_object(a, customer, "metadata", &metadata))
		return false;
	const char *app = qn_stripe_str(a, &metadata, "app_id"),
		   *id = qn_stripe_str(a, &metadata, o.kind);
	return app != NULL && id != NULL && strcmp(app, p->app) == 0 && strcmp(id, o.id) == 0;
}

/*
 * The first that was made for it when an answer was lost; *ret stays NULL where there is none. Stripe's search is some
 * time behind, an hour at worst: what is looked for here is as old as its keys live. Where search is not to be had
 * (it says 400 to accounts in India) there is nothing to find it by.
 */
static enum qn_err find(struct qn_billing *b, const struct payer *p, const char **ret)
{
	struct qn_arena *a = b->stripe.arena;
	struct owner o = owner_of(p);
	struct qn_json_object answer, customer;
	int64_t created, first = INT64_MAX;
	struct qn_span *list;
	size_t n = 0;

	const char *query =
	    qn_printf(a, "metadata['%s']:'%s' AND metadata['app_id']:'%s'", o.kind, o.id, p->app);
	enum qn_err e = billing_get(b,
	    qn_printf(a, "/v1/customers/search?limit=100&query=%s", qn_form_encode(a, query)),
	    &answer);
	if (e != QN_OK)
		return e == QN_PAYMENT_REFUSED ? QN_OK : e;
	if (!qn_json_elements(a, qn_json_get(&answer, "data"), &list, &n))
		return QN_PAYMENT_DOWN;
	for (size_t i = 0; i < n; i++)
		if (qn_json_members(a, list[i], &customer) && is_of(a, &customer, p) &&
		    qn_json_i64(qn_json_get(&customer, "created"), &created) && created < first) {
			first = created;
			*ret = qn_stripe_str(a, &customer, "id");
		}
	return QN_OK;
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
	const char *made = NULL;

	QN_TRY(billing_customer_claim(b->db, b->stripe.arena, p, ret));
	if (ret->stripe_customer_id != NULL)
		return QN_OK;
	if (ret->making_lost == 1)
		QN_TRY(find(b, p, &made));
	QN_TRY(billing_customer_making(b->db, b->stripe.arena, ret->id));
	if (made == NULL)
		QN_TRY(make(b, p, &made));
	QN_TRY(
	    billing_customer_name(b->db, b->stripe.arena, ret->id, made, &ret->stripe_customer_id));
	describe(b, ret);
	return QN_OK;
}
