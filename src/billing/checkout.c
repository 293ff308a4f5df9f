#include "billing.h"
#include "quoin/net/form.h"

#include <stdio.h>
#include <string.h>

enum { SEATS_MOST = 100000 };

enum qn_err billing_seats(
    const struct price *price, int64_t seats, int64_t *ret_quantity, int64_t *ret_more)
{
	bool by_seat = strcmp(price->per, "seat") == 0;
	int64_t included = price->seats != QN_I64_NULL ? price->seats : 1;

	*ret_quantity = 1;
	*ret_more = 0;
	if (seats == QN_I64_NULL)
		return QN_OK;
	if (seats < 1 || seats > SEATS_MOST)
		return QN_INVALID;
	if (by_seat)
		*ret_quantity = seats;
	else if (seats > included)
		*ret_more = seats - included;
	return *ret_more == 0 || price->seat_price != NULL ? QN_OK : QN_INVALID;
}

/* Whose it is, for those who look at Stripe's pages: nothing here reads it. "quoin" is read, and stands beside it. */
static void add_owner(struct qn_buf *form, const char *group, const struct payer *p)
{
	char name[64];
	static const char *const names[] = {"user_id", "userId", "organization_id"};
	const char *const values[] = {p->user, p->user, p->org};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (values[i] == NULL)
			continue;
		snprintf(name, sizeof(name), "%s[%s]", group, names[i]);
		qn_form_add(form, name, values[i]);
	}
}

static void add_line(struct qn_buf *form, const char *which, const char *price, int64_t quantity)
{
	static const struct {
		const char *which, *price, *quantity;
	} names[] = {
	    {"first", "line_items[0][price]", "line_items[0][quantity]"},
	    {"second", "line_items[1][price]", "line_items[1][quantity]"},
	};
	size_t i = strcmp(which, "first") == 0 ? 0 : 1;

	qn_form_add(form, names[i].price, price);
	billing_form_i64(form, names[i].quantity, quantity);
}

static bool is_once(const struct price *p)
{
	return strcmp(p->interval, "once") == 0;
}

/* A trial is for who never had a subscription. */
static enum qn_err add_subscription(
    struct qn_billing *b, const struct qn_checkout *c, struct qn_buf *form)
{
	struct subscription before;
	enum qn_err e = subscription_current(b->db, b->stripe.arena, c->payer, &before);

	if (e == QN_OK && subscription_is_live(&before))
		return QN_SUBSCRIBED;
	add_owner(form, "subscription_data[metadata]", c->payer);
	qn_form_add(form, "subscription_data[metadata][quoin]", "checkout");
	qn_form_add(form, "metadata[quoin]", c->key);
	if (e == QN_NOT_FOUND && b->account.trial_days > 0)
		billing_form_i64(
		    form, "subscription_data[trial_period_days]", b->account.trial_days);
	return e == QN_NOT_FOUND ? QN_OK : e;
}

static enum qn_err fill(struct qn_billing *b, const struct qn_checkout *c,
    const struct billing_customer *customer, struct qn_buf *form)
{
	struct qn_arena *a = b->stripe.arena;
	int64_t quantity, more;

	QN_TRY(billing_seats(c->price, c->seats, &quantity, &more));
	qn_form_add(form, "mode", is_once(c->price) ? "payment" : "subscription");
	qn_form_add(form, "customer", customer->stripe_customer_id);
	qn_form_add(
	    form, "client_reference_id", c->payer->org != NULL ? c->payer->org : c->payer->user);
	qn_form_add(form, "payment_method_types[0]", "card");
	add_line(form, "first", c->price->price, quantity);
	if (more > 0)
		add_line(form, "second", c->price->seat_price, more);
	qn_form_add(
	    form, "success_url", qn_printf(a, "%s%s", c->frontend_url, b->account.success_path));
	qn_form_add(
	    form, "cancel_url", qn_printf(a, "%s%s", c->frontend_url, b->account.cancel_path));
	add_owner(form, "metadata", c->payer);
	if (b->account.promotion_codes == 1)
		qn_form_add(form, "allow_promotion_codes", "true");
	return is_once(c->price) ? QN_OK : add_subscription(b, c, form);
}

/* The form is freed. */
static enum qn_err post_session(
    struct qn_billing *b, const struct qn_checkout *c, struct qn_buf *form, const char **ret_url)
{
	struct qn_json_object session;

	QN_TRY(billing_post(b, "/v1/checkout/sessions", form, c->key, &session));
	*ret_url = qn_stripe_str(b->stripe.arena, &session, "url");
	return *ret_url != NULL ? QN_OK : QN_PAYMENT_REFUSED;
}

/* The same, when all that was begun before is over. The page that the same request made before stays: it is this one. */
static enum qn_err post_only_session(struct qn_billing *b, const struct qn_checkout *c,
    const struct billing_customer *customer, struct qn_buf *form, const char **ret_url)
{
	struct billing_begun begun = {.session_key = c->key};
	struct billing_till till;
	enum qn_err e = billing_till_come(b, customer, &till);

	if (e != QN_OK) {
		qn_buf_done(form);
		return e;
	}
	e = billing_till_clear(b, &till, c->payer, &begun);
	if (e == QN_OK)
		e = post_session(b, c, form, ret_url);
	else
		qn_buf_done(form);
	billing_till_go(b, &till);
	return e;
}

enum qn_err qn_billing_checkout(
    struct qn_billing *b, const struct qn_checkout *c, const char **ret_url)
{
	struct billing_customer customer;
	struct qn_buf form;

	QN_TRY(qn_billing_customer(b, c->payer, &customer));
	qn_buf_init(&form, QN_STRIPE_FORM_BYTES);
	enum qn_err e = fill(b, c, &customer, &form);
	if (e != QN_OK) {
		qn_buf_done(&form);
		return e;
	}
	/* Before Stripe is asked: whoever pays although its answer was lost is found all the same. */
	e = billing_customer_watch(b->db, b->stripe.arena, customer.id);
	if (e != QN_OK) {
		qn_buf_done(&form);
		return e;
	}
	return is_once(c->price) ? post_session(b, c, &form, ret_url)
	                         : post_only_session(b, c, &customer, &form, ret_url);
}

/* Of a subscription with its first invoice: where the secret stood until 2025-03-31, and where it stands since. */
static const char *client_secret(struct qn_arena *a, const struct qn_json_object *s)
{
	static const char *const places[] = {"confirmation_secret", "payment_intent"};
	struct qn_json_object invoice, o;
	const char *secret;

	for (size_t i = 0; i < 2 && qn_stripe_object(a, s, "latest_invoice", &invoice); i++)
		if (qn_stripe_object(a, &invoice, places[i], &o) &&
		    (secret = qn_stripe_str(a, &o, "client_secret")) != NULL)
			return secret;
	return qn_stripe_object(a, s, "pending_setup_intent", &o)
	           ? qn_stripe_str(a, &o, "client_secret")
	           : NULL;
}

#define EXPAND "expand%5B0%5D=latest_invoice.confirmation_secret&expand%5B1%5D=pending_setup_intent"

static enum qn_err begin(struct qn_billing *b, const struct payer *p, const struct price *price,
    const struct billing_customer *customer, const char *before, struct qn_json_object *ret)
{
	struct qn_buf form;

	qn_buf_init(&form, QN_STRIPE_FORM_BYTES);
	qn_form_add(&form, "customer", customer->stripe_customer_id);
	qn_form_add(&form, "items[0][price]", price->price);
	qn_form_add(&form, "payment_behavior", "default_incomplete");
	qn_form_add(&form, "payment_settings[save_default_payment_method]", "on_subscription");
	add_owner(&form, "metadata", p);
	qn_form_add(&form, "metadata[quoin]", "element");
	if (before == NULL && b->account.trial_days > 0)
		billing_form_i64(&form, "trial_period_days", b->account.trial_days);
	qn_buf_str(&form, "&" EXPAND);
	/* An answer that was lost is found again: whatever came before, there is one next. */
	return billing_post(b, "/v1/subscriptions", &form,
	    billing_key(
		b, "subscription", customer->id, price->price, before != NULL ? before : "", NULL),
	    ret);
}

/* The one that waits for its payment, or a new one when all else that was begun is over. */
static enum qn_err begin_only(struct qn_billing *b, const struct payer *p,
    const struct price *price, const struct billing_customer *customer, struct qn_json_object *ret)
{
	struct billing_begun begun = {.price = price->price};
	struct billing_till till;

	QN_TRY(billing_till_come(b, customer, &till));
	enum qn_err e = billing_till_clear(b, &till, p, &begun);
	if (e == QN_OK && begun.waiting != NULL)
		e = billing_get(b,
		    qn_printf(b->stripe.arena, "/v1/subscriptions/%s?%s", begun.waiting, EXPAND),
		    ret);
	else if (e == QN_OK)
		e = begin(b, p, price, customer, begun.newest, ret);
	billing_till_go(b, &till);
	return e;
}

enum qn_err qn_billing_start(
    struct qn_billing *b, const struct payer *p, const struct price *price, struct qn_started *ret)
{
	struct qn_arena *a = b->stripe.arena;
	struct billing_customer customer;
	struct subscription before;
	struct qn_json_object s;
	enum qn_err e = is_once(price) ? QN_PRICE : subscription_current(b->db, a, p, &before);

	if (e == QN_OK && subscription_is_live(&before))
		return QN_SUBSCRIBED;
	if (e != QN_OK && e != QN_NOT_FOUND)
		return e;
	QN_TRY(qn_billing_customer(b, p, &customer));
	QN_TRY(billing_customer_watch(b->db, a, customer.id));
	QN_TRY(begin_only(b, p, price, &customer, &s));
	ret->subscription = qn_stripe_str(a, &s, "id");
	ret->client_secret = client_secret(a, &s);
	return ret->subscription != NULL ? QN_OK : QN_PAYMENT_DOWN;
}

enum qn_err qn_billing_portal(struct qn_billing *b, const struct payer *p, const char *frontend_url,
    const char *key, const char **ret_url)
{
	struct billing_customer customer;
	struct qn_json_object session;
	struct qn_buf form;

	enum qn_err e = billing_customer_find(b->db, b->stripe.arena, p, &customer);
	if (e != QN_OK)
		return e == QN_NOT_FOUND ? QN_SUBSCRIPTION_NOT_FOUND : e;
	qn_buf_init(&form, QN_STRIPE_FORM_BYTES);
	qn_form_add(&form, "customer", customer.stripe_customer_id);
	qn_form_add(&form, "return_url",
	    qn_printf(b->stripe.arena, "%s%s", frontend_url, b->account.portal_path));
	QN_TRY(billing_post(b, "/v1/billing_portal/sessions", &form, key, &session));
	*ret_url = qn_stripe_str(b->stripe.arena, &session, "url");
	return *ret_url != NULL ? QN_OK : QN_PAYMENT_DOWN;
}
