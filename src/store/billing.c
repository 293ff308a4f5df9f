#include "quoin/store/billing.h"

#include "quoin/base/rand.h"
#include "rows.h"

#include <string.h>

/* Of a payer: $1 app, $2 user, $3 organisation or null. */
#define OF_PAYER \
	"c.app_id = $1 AND ((c.user_id = $2 AND $3::uuid IS NULL) OR c.organization_id = $3::uuid)"
#define WHO \
	"u.email, coalesce(o.name, u.display_name) AS name FROM billing_customers c " \
	"LEFT JOIN organizations o ON o.id = c.organization_id " \
	"LEFT JOIN LATERAL billing_addressee(c) b ON true LEFT JOIN users u ON u.id = b.user_id "
/* Stripe forgets a key after 24 hours (docs.stripe.com/api/idempotent_requests). */
#define LOST \
	"(c.stripe_customer_id IS NULL AND coalesce(c.making_at < clock_timestamp() - interval '20 hours', false)) " \
	"AS making_lost, "
#define SEAT_PRICE \
	"(SELECT s.price FROM plan_prices s WHERE s.app_id = p.app_id AND s.plan = p.plan " \
	"AND s.interval = p.interval AND s.per = 'seat' AND p.per = 'plan' ORDER BY s.price LIMIT 1) AS seat_price"
/* Further seats of a plan that is sold itself are no way into it: who bought one of them alone would have the plan. */
#define ALONE \
	"(p.per = 'plan' OR NOT EXISTS (SELECT 1 FROM plan_prices b WHERE b.app_id = p.app_id AND b.plan = p.plan " \
	"AND b.per = 'plan' AND b.interval <> 'once'))"
#define PRICE \
	"SELECT p.price, p.plan, p.interval, p.per, p.amount, p.seats, plan_rank(p.app_id, p.plan) AS rank, " SEAT_PRICE \
	" FROM plan_prices p "

#define BILLING_STMTS(X) \
	X(STRIPE_ACCOUNT_GET, FRESH, 1, \
	    "SELECT app_id, key_sealed, webhooks_sealed, api_base, success_path, cancel_path, portal_path, " \
	    "trial_days, grace_days, promotion_codes, meters::json AS meters FROM stripe_accounts WHERE app_id = $1") \
	X(STRIPE_ACCOUNT_PUT, WRITE, 11, \
	    "INSERT INTO stripe_accounts (app_id, key_sealed, webhooks_sealed, api_base, success_path, cancel_path, " \
	    "portal_path, trial_days, grace_days, promotion_codes, meters) " \
	    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::json::jsonb) ON CONFLICT (app_id) DO UPDATE SET " \
	    "key_sealed = excluded.key_sealed, webhooks_sealed = excluded.webhooks_sealed, " \
	    "api_base = excluded.api_base, success_path = excluded.success_path, cancel_path = excluded.cancel_path, " \
	    "portal_path = excluded.portal_path, trial_days = excluded.trial_days, grace_days = excluded.grace_days, " \
	    "promotion_codes = excluded.promotion_codes, meters = excluded.meters") \
	X(STRIPE_ACCOUNT_REMOVE, WRITE, 1, "DELETE FROM stripe_accounts WHERE app_id = $1") \
	X(BILLING_EVENT_TAKE, WRITE, 8, \
	    "SELECT billing_event_take($1, $2, $3, $4::bigint, $5, $6, $7, $8)") \
	X(BILLING_EVENT_OPEN, WRITE, 2, "SELECT customer FROM billing_event_open($1, $2)") \
	X(BILLING_EVENT_REPLAY, WRITE, 3, \
	    "WITH e AS (UPDATE billing_events SET applied_at = NULL, outcome = NULL WHERE app_id = $1 AND id = $2 " \
	    "RETURNING id), j AS (INSERT INTO jobs (id, kind, app_id, payload, unique_key) " \
	    "SELECT $3::uuid, 'billing.event', $1, json_build_object('event', e.id), " \
	    "'billing.event:' || $1::uuid || ':' || e.id FROM e " \
	    "ON CONFLICT (unique_key) WHERE dead_at IS NULL DO NOTHING) SELECT id FROM e") \
	X(BILLING_CUSTOMER_CLAIM, WRITE, 4, \
	    "SELECT k.id, k.stripe_customer_id FROM billing_customer($4, $1, $2, $3) k") \
	X(BILLING_CUSTOMER_FIND, FRESH, 3, \
	    "SELECT c.id, c.stripe_customer_id, " LOST WHO "WHERE " OF_PAYER \
	    " AND c.stripe_customer_id IS NOT NULL") \
	X(BILLING_CUSTOMER_WHO, FRESH, 1, \
	    "SELECT c.id, c.stripe_customer_id, " LOST WHO "WHERE c.id = $1") \
	X(BILLING_CUSTOMER_MAKING, WRITE, 1, \
	    "UPDATE billing_customers SET making_at = coalesce(making_at, clock_timestamp()) WHERE id = $1 " \
	    "AND stripe_customer_id IS NULL") \
	X(BILLING_CUSTOMER_NAME, WRITE, 2, \
	    "UPDATE billing_customers SET stripe_customer_id = coalesce(stripe_customer_id, $2) WHERE id = $1 " \
	    "RETURNING stripe_customer_id") \
	X(BILLING_CUSTOMER_WATCH, WRITE, 1, \
	    "UPDATE billing_customers SET watch_until = clock_timestamp() + interval '25 hours', " \
	    "look_at = least(look_at, clock_timestamp() + interval '1 hour') WHERE id = $1") \
	X(BILLING_TILL_TAKE, WRITE, 2, \
	    "UPDATE billing_customers SET till = $2, till_until = clock_timestamp() + interval '1 min' WHERE id = $1 " \
	    "AND (till_until IS NULL OR till_until NOT BETWEEN clock_timestamp() " \
	    "AND clock_timestamp() + interval '1 min') RETURNING till") \
	X(BILLING_TILL_LEAVE, WRITE, 2, \
	    "UPDATE billing_customers SET till = NULL, till_until = NULL WHERE id = $1 AND till = $2") \
	X(BILLING_SURPLUS_DUE, FRESH, 1, \
	    "SELECT stripe_subscription_id AS subscription, status, payment FROM billing_surplus_due($1)") \
	X(BILLING_CUSTOMERS_LOOK, WRITE, 2, \
	    "WITH d AS (UPDATE billing_customers c SET look_at = CASE WHEN $2::uuid IS NULL THEN clock_timestamp() " \
	    "ELSE '-infinity' END WHERE c.app_id = $1 " \
	    "AND c.stripe_customer_id IS NOT NULL AND ($2::uuid IS NULL OR c.user_id = $2 OR c.organization_id IN (" \
	    "SELECT m.organization_id FROM organization_members m WHERE m.user_id = $2 AND m.role = 'owner')) " \
	    "RETURNING 1) SELECT count(*) FROM d") \
	X(BILLING_ASK, WRITE, 1, \
	    "SELECT seq, app_id, stripe_customer_id, array_to_string(events, ' ') AS events FROM billing_ask($1)") \
	X(BILLING_APPLY, WRITE, 4, \
	    "SELECT template, user_id, email, plan, amount, at FROM " \
	    "billing_apply($1, $2, string_to_array($3, ' '), $4::json::jsonb)") \
	X(SUBSCRIPTION_CURRENT, FRESH, 3, \
	    "SELECT s.id AS subscription_id, c.user_id, c.organization_id, c.stripe_customer_id, " \
	    "s.stripe_subscription_id, s.plan, s.status, s.price AS price_id, s.quantity, s.seats, " \
	    "s.current_period_start, s.current_period_end, s.cancel_at, s.cancel_at_period_end, s.trial_end, " \
	    "s.created_at, s.updated_at, s.item, c.id AS customer_id, s.pending_plan, " \
	    "s.pending_price AS pending_price_id, s.pending_seats, s.pending_at, s.schedule FROM billing_customers c " \
	    "JOIN subscriptions s ON s.customer_id = c.id WHERE " OF_PAYER \
	    " ORDER BY s.surplus_of IS NULL DESC, s.status IN ('active', 'trialing', 'past_due', 'unpaid', 'paused') DESC, " \
	    "s.status = 'incomplete' DESC, s.created_at DESC, s.id DESC LIMIT 1") \
	X(SUBSCRIPTION_ORPHANS, FRESH, 1, \
	    "SELECT s.stripe_subscription_id, s.status, c.id AS customer_id FROM billing_customers c " \
	    "JOIN subscriptions s ON s.customer_id = c.id WHERE c.id = $1 " \
	    "AND num_nonnulls(c.user_id, c.organization_id) = 0 " \
	    "AND s.status NOT IN ('canceled', 'incomplete_expired')") \
	X(SUBSCRIPTION_IDLE_SCHEDULES, FRESH, 1, \
	    "SELECT s.stripe_subscription_id, s.status, s.schedule, s.customer_id FROM subscriptions s " \
	    "WHERE s.customer_id = $1 AND s.schedule IS NOT NULL AND s.pending_at IS NULL " \
	    "AND (s.schedule_ours OR s.scheduling_at < clock_timestamp() - interval '15 min') " \
	    "AND s.status NOT IN ('canceled', 'incomplete_expired')") \
	X(SUBSCRIPTION_SCHEDULING, WRITE, 1, \
	    "WITH s AS (UPDATE subscriptions SET scheduling_at = clock_timestamp() WHERE id = $1 " \
	    "AND status NOT IN ('canceled', 'incomplete_expired') RETURNING customer_id) " \
	    "UPDATE billing_customers c SET look_at = least(c.look_at, clock_timestamp() + interval '30 min') " \
	    "FROM s WHERE c.id = s.customer_id") \
	X(SUBSCRIPTION_COMES_LATER, FRESH, 5, \
	    "SELECT item, later FROM billing_comes_later($1, $2::json::jsonb, $3, $4, $5)") \
	X(INVOICE_LIST, FRESH, 4, \
	    "SELECT i.id AS invoice_id, i.subscription_id, i.stripe_invoice_id, i.number, i.amount_cents, " \
	    "i.currency, i.status, i.invoice_date, i.due_date, i.paid_at, i.hosted_url, i.pdf_url " \
	    "FROM billing_customers c JOIN invoices i ON i.customer_id = c.id WHERE " OF_PAYER \
	    " ORDER BY i.invoice_date DESC, i.id DESC LIMIT $4") \
	X(PRICE_FIND, FRESH, 2, \
	    PRICE \
	    "WHERE p.app_id = $1 AND " ALONE \
	    " AND (p.price = $2 OR p.per = 'plan' AND $2 = p.plan || '_' || " \
	    "CASE p.interval WHEN 'month' THEN 'monthly' WHEN 'year' THEN 'yearly' ELSE 'once' END) " \
	    "ORDER BY p.price = $2 DESC, p.price LIMIT 1") \
	X(PRICE_ONCE, FRESH, 2, \
	    PRICE \
	    "WHERE p.app_id = $1 AND p.interval = 'once' AND ($2::bigint IS NULL OR p.amount = $2) " \
	    "ORDER BY plan_rank(p.app_id, p.plan), p.price LIMIT 1") \
	X(BILLING_USAGE_DUE, WRITE, 2, \
	    "SELECT customer, stripe_customer_id, meter, event_name, period_start::text AS period, reported, " \
	    "sending, at FROM billing_usage_due($1, $2)") \
	X(BILLING_USAGE_SENT, WRITE, 4, \
	    "UPDATE billing_usage SET reported = sending, sending = NULL, sending_at = NULL " \
	    "WHERE customer_id = $1 AND meter = $2 AND period_start = $3::text::date AND sending = $4") \
	X(BILLING_METERING, FRESH, 0, "SELECT app_id FROM stripe_accounts WHERE meters <> '{}'") \
	X(BILLING_PRUNE, WRITE, 0, \
	    "WITH gone AS (DELETE FROM billing_events WHERE (app_id, id) IN (SELECT app_id, id FROM billing_events " \
	    "WHERE received_at < now() - interval '90 days' AND applied_at IS NOT NULL LIMIT 1000) RETURNING 1) " \
	    "SELECT count(*) FROM gone")

QN_STATEMENTS(billing, BILLING_STMTS);

#undef PRICE
#undef ALONE
#define TEXT(s, name, doc) QN_FIELD(s, name, STR, QN_F_NULLABLE, 0, 0, doc)

static const struct qn_field account_fields[] = {
    QN_FIELD(struct stripe_account, app_id, UUID, 0, 0, 0, "App."),
    QN_FIELD(struct stripe_account, key_sealed, JSON, 0, 0, 0, "Sealed."),
    QN_FIELD(struct stripe_account, webhooks_sealed, JSON, 0, 0, 0, "Sealed."),
    TEXT(struct stripe_account, api_base, "Where the API is."),
    TEXT(struct stripe_account, success_path, "Where who paid is sent."),
    TEXT(struct stripe_account, cancel_path, "Where who did not is sent."),
    TEXT(struct stripe_account, portal_path, "Where the portal leads back to."),
    QN_FIELD(struct stripe_account, trial_days, I64, 0, 0, 0, "Days before the first payment."),
    QN_FIELD(struct stripe_account, grace_days, I64, 0, 0, 0, "Days after one that failed."),
    QN_FIELD(struct stripe_account, promotion_codes, BOOL, 0, 0, 0, "Whether codes are taken."),
    QN_FIELD(struct stripe_account, meters, JSON, 0, 0, 0, "Meters at Stripe."),
};
static const struct qn_object account_object =
    QN_OBJECT("StripeAccount", struct stripe_account, account_fields);

static const struct qn_field customer_fields[] = {
    QN_FIELD(struct billing_customer, id, UUID, 0, 0, 0, "Id."),
    TEXT(struct billing_customer, stripe_customer_id, "Its name at Stripe."),
    TEXT(struct billing_customer, email, "Address."),
    TEXT(struct billing_customer, name, "Name."),
    QN_FIELD(struct billing_customer, making_lost, BOOL, 0, 0, 0, "Its making had no answer."),
};
static const struct qn_object customer_object =
    QN_OBJECT("BillingCustomer", struct billing_customer, customer_fields);

static const struct qn_field question_fields[] = {
    QN_FIELD(struct billing_question, seq, I64, 0, 0, 0, "Which question."),
    QN_FIELD(struct billing_question, app_id, UUID, 0, 0, 0, "App."),
    TEXT(struct billing_question, stripe_customer_id, "Of whom."),
    TEXT(struct billing_question, events, "What it answers."),
};
static const struct qn_object question_object =
    QN_OBJECT("BillingQuestion", struct billing_question, question_fields);

static const struct qn_field news_fields[] = {
    TEXT(struct billing_news, template, "Which mail."),
    QN_FIELD(struct billing_news, user_id, UUID, 0, 0, 0, "To whom."),
    TEXT(struct billing_news, email, "Where."),
    TEXT(struct billing_news, plan, "Of which plan."),
    TEXT(struct billing_news, amount, "How much."),
    QN_FIELD(struct billing_news, at, TIME, QN_F_NULLABLE, 0, 0, "When."),
};
static const struct qn_object news_object =
    QN_OBJECT("BillingNews", struct billing_news, news_fields);

#define SHOWN_FIELDS \
	QN_FIELD(struct subscription, subscription_id, UUID, 0, 0, 0, "Id."), \
	    TEXT(struct subscription, user_id, \
		"Whose it is: the id of the user, as the app shows it."), \
	    QN_FIELD(struct subscription, organization_id, UUID, QN_F_NULLABLE, 0, 0, \
		"Or which organization's."), \
	    TEXT(struct subscription, stripe_customer_id, "The customer at Stripe."), \
	    TEXT(struct subscription, stripe_subscription_id, "The subscription at Stripe."), \
	    QN_FIELD(struct subscription, status, STR, 0, 0, 0, \
		"Stripe's word: active, trialing, past_due, canceled and others; capitals where the app has them."), \
	    TEXT(struct subscription, price_id, "The price at Stripe."), \
	    QN_FIELD(struct subscription, quantity, I64, 0, 0, 0, "How many of it."), \
	    QN_FIELD(struct subscription, seats, I64, QN_F_NULLABLE, 0, 0, \
		"Seats that are paid for; null: what the plan includes."), \
	    QN_FIELD(struct subscription, current_period_start, TIME, QN_F_NULLABLE, 0, 0, \
		"When what is paid for began."), \
	    QN_FIELD(struct subscription, current_period_end, TIME, QN_F_NULLABLE, 0, 0, \
		"When it ends, or is renewed."), \
	    QN_FIELD(struct subscription, cancel_at_period_end, BOOL, 0, 0, 0, \
		"Whether it ends then."), \
	    QN_FIELD(struct subscription, cancel_at, TIME, QN_F_NULLABLE, 0, 0, \
		"When it ends at another time."), \
	    QN_FIELD(struct subscription, trial_end, TIME, QN_F_NULLABLE, 0, 0, \
		"When the trial ends, or ended."), \
	    QN_FIELD(struct subscription, pending_price_id, STR, QN_F_NULLABLE, 0, 0, \
		"The price from pending_at on."), \
	    QN_FIELD(struct subscription, pending_seats, I64, QN_F_NULLABLE, 0, 0, \
		"The seats from pending_at on; null: what the plan includes."), \
	    QN_FIELD(struct subscription, pending_at, TIME, QN_F_NULLABLE, 0, 0, \
		"When a change begins that was asked for; null: none was."), \
	    QN_FIELD(struct subscription, created_at, TIME, 0, 0, 0, "When it was made."), \
	    QN_FIELD(struct subscription, updated_at, TIME, 0, 0, 0, "When it last changed here.")

static const struct qn_field shown_fields[] = {
    QN_FIELD(struct subscription, tier, STR, QN_F_NULLABLE, 0, 0,
	"The plan, in the app's spelling; null: none of the app's."),
    QN_FIELD(struct subscription, pending_tier, STR, QN_F_NULLABLE, 0, 0,
	"The plan from pending_at on, in the app's spelling."),
    SHOWN_FIELDS,
};
const struct qn_object subscription_object =
    QN_OBJECT("Subscription", struct subscription, shown_fields);

static const struct qn_field row_fields[] = {
    SHOWN_FIELDS,
    TEXT(struct subscription, plan, "The plan's code."),
    TEXT(struct subscription, item, "Its line at Stripe."),
    QN_FIELD(struct subscription, customer_id, UUID, 0, 0, 0, "Our customer."),
    TEXT(struct subscription, pending_plan, "The code of the plan that is to come."),
    TEXT(struct subscription, schedule, "What it is under at Stripe."),
};
static const struct qn_object row_object =
    QN_OBJECT("SubscriptionRow", struct subscription, row_fields);

static const struct qn_field surplus_fields[] = {
    TEXT(struct billing_surplus, subscription, "Its name at Stripe."),
    TEXT(struct billing_surplus, status, "Stripe's word."),
    TEXT(struct billing_surplus, payment, "To give back."),
};
static const struct qn_object surplus_object =
    QN_OBJECT("BillingSurplus", struct billing_surplus, surplus_fields);

static const struct qn_field invoice_fields[] = {
    QN_FIELD(struct invoice, invoice_id, UUID, 0, 0, 0, "Id."),
    QN_FIELD(struct invoice, subscription_id, UUID, QN_F_NULLABLE, 0, 0, "Of which subscription."),
    QN_FIELD(struct invoice, stripe_invoice_id, STR, 0, 0, 0, "The invoice at Stripe."),
    TEXT(struct invoice, number, "Its number."),
    QN_FIELD(struct invoice, amount_cents, I64, 0, 0, 0, "Total, in the smallest unit."),
    QN_FIELD(struct invoice, currency, STR, 0, 0, 0, "Currency; capitals where the app has them."),
    QN_FIELD(struct invoice, status, STR, 0, 0, 0,
	"open, paid, void or uncollectible; capitals where the app has them."),
    QN_FIELD(struct invoice, invoice_date, TIME, 0, 0, 0, "When it was made out."),
    QN_FIELD(struct invoice, due_date, TIME, QN_F_NULLABLE, 0, 0, "When it is due."),
    QN_FIELD(struct invoice, paid_at, TIME, QN_F_NULLABLE, 0, 0, "When it was paid."),
    TEXT(struct invoice, hosted_url, "Its page at Stripe."),
    TEXT(struct invoice, pdf_url, "It as a PDF."),
};
const struct qn_object invoice_object = QN_OBJECT("Invoice", struct invoice, invoice_fields);

static const struct qn_field price_fields[] = {
    TEXT(struct price, price, "Id at Stripe."),
    TEXT(struct price, plan, "Plan."),
    TEXT(struct price, interval, "How often."),
    TEXT(struct price, per, "Of what."),
    QN_FIELD(struct price, amount, I64, QN_F_NULLABLE, 0, 0, "How much."),
    QN_FIELD(struct price, seats, I64, QN_F_NULLABLE, 0, 0, "Seats included."),
    TEXT(struct price, seat_price, "Of a further seat."),
    QN_FIELD(struct price, rank, I64, 0, 0, 0, "Of the plan."),
};
static const struct qn_object price_object = QN_OBJECT("PriceRow", struct price, price_fields);

static const struct qn_field usage_fields[] = {
    QN_FIELD(struct billing_usage, customer, UUID, 0, 0, 0, "Our customer."),
    TEXT(struct billing_usage, stripe_customer_id, "Its name at Stripe."),
    TEXT(struct billing_usage, meter, "Meter."),
    TEXT(struct billing_usage, event_name, "Its name at Stripe."),
    TEXT(struct billing_usage, period, "First day."),
    QN_FIELD(struct billing_usage, reported, I64, 0, 0, 0, "What Stripe knows."),
    QN_FIELD(struct billing_usage, sending, I64, 0, 0, 0, "What it is to know."),
    QN_FIELD(struct billing_usage, at, TIME, 0, 0, 0, "When it was."),
};
static const struct qn_object usage_object =
    QN_OBJECT("BillingUsage", struct billing_usage, usage_fields);

#define PAYER(p) qn_a_str((p)->app), qn_a_str((p)->user), qn_a_str((p)->org)

enum qn_err stripe_account_get(
    struct qn_db *db, struct qn_arena *a, const char *app, struct stripe_account *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, billing_set, STRIPE_ACCOUNT_GET, &rows, qn_a_str(app)));
	return qn_rows_one(rows, &account_object, QN_NOT_FOUND, ret);
}

enum qn_err stripe_account_put(
    struct qn_db *db, struct qn_arena *a, const struct stripe_account *in)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, billing_set, STRIPE_ACCOUNT_PUT, &rows, qn_a_str(in->app_id),
	    qn_a_bytes(in->key_sealed.p, in->key_sealed.n),
	    qn_a_bytes(in->webhooks_sealed.p, in->webhooks_sealed.n), qn_a_str(in->api_base),
	    qn_a_str(in->success_path), qn_a_str(in->cancel_path), qn_a_str(in->portal_path),
	    qn_a_i64(in->trial_days), qn_a_i64(in->grace_days), qn_a_bool(in->promotion_codes),
	    qn_a_json(in->meters));
}

enum qn_err stripe_account_remove(struct qn_db *db, struct qn_arena *a, const char *app)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, billing_set, STRIPE_ACCOUNT_REMOVE, &rows, qn_a_str(app));
}

enum qn_err billing_event_take(struct qn_db *db, struct qn_arena *a, const char *app,
    const struct billing_event *e, bool *ret_new)
{
	char job[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(job);
	QN_TRY(QN_EXEC(db, a, billing_set, BILLING_EVENT_TAKE, &rows, qn_a_str(app),
	    qn_a_str(e->id), qn_a_str(e->type), qn_a_i64(e->created), qn_a_str(e->customer),
	    qn_a_str(e->payment), qn_a_bytes(e->hash, sizeof(e->hash)), qn_a_str(job)));
	*ret_new = qn_rows_i64(rows, 0, 0) == 1;
	return QN_OK;
}

enum qn_err billing_event_open(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *id, const char **ret_customer)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, billing_set, BILLING_EVENT_OPEN, &rows, qn_a_str(app), qn_a_str(id)));
	*ret_customer = qn_rows_str(rows, 0, 0);
	return QN_OK;
}

enum qn_err billing_event_replay(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *id)
{
	char job[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(job);
	QN_TRY(QN_EXEC(db, a, billing_set, BILLING_EVENT_REPLAY, &rows, qn_a_str(app), qn_a_str(id),
	    qn_a_str(job)));
	return qn_rows_n(rows) == 1 ? QN_OK : QN_NOT_FOUND;
}

enum qn_err billing_customer_claim(
    struct qn_db *db, struct qn_arena *a, const struct payer *p, struct billing_customer *ret)
{
	char id[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(id);
	QN_TRY(QN_EXEC(db, a, billing_set, BILLING_CUSTOMER_CLAIM, &rows, PAYER(p), qn_a_str(id)));
	if (qn_rows_n(rows) == 0)
		return QN_RETRY; /* another's first sight of it is not over */
	const char *claimed = qn_rows_str(rows, 0, 0);
	QN_TRY(QN_EXEC(db, a, billing_set, BILLING_CUSTOMER_WHO, &rows, qn_a_str(claimed)));
	return qn_rows_one(rows, &customer_object, QN_NOT_FOUND, ret);
}

enum qn_err billing_customer_name(
    struct qn_db *db, struct qn_arena *a, const char *id, const char *stripe_id, const char **ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(
	    db, a, billing_set, BILLING_CUSTOMER_NAME, &rows, qn_a_str(id), qn_a_str(stripe_id)));
	if (qn_rows_n(rows) == 0)
		return QN_NOT_FOUND;
	*ret = qn_rows_str(rows, 0, 0);
	return QN_OK;
}

enum qn_err billing_customer_making(struct qn_db *db, struct qn_arena *a, const char *id)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, billing_set, BILLING_CUSTOMER_MAKING, &rows, qn_a_str(id));
}

enum qn_err billing_customer_find(
    struct qn_db *db, struct qn_arena *a, const struct payer *p, struct billing_customer *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, billing_set, BILLING_CUSTOMER_FIND, &rows, PAYER(p)));
	return qn_rows_one(rows, &customer_object, QN_NOT_FOUND, ret);
}

enum qn_err billing_customer_watch(struct qn_db *db, struct qn_arena *a, const char *id)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, billing_set, BILLING_CUSTOMER_WATCH, &rows, qn_a_str(id));
}

enum qn_err billing_till_take(
    struct qn_db *db, struct qn_arena *a, const char *customer, const char *who, bool *ret_taken)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(
	    db, a, billing_set, BILLING_TILL_TAKE, &rows, qn_a_str(customer), qn_a_str(who)));
	*ret_taken = qn_rows_n(rows) == 1;
	return QN_OK;
}

enum qn_err billing_till_leave(
    struct qn_db *db, struct qn_arena *a, const char *customer, const char *who)
{
	struct qn_rows *rows;

	return QN_EXEC(
	    db, a, billing_set, BILLING_TILL_LEAVE, &rows, qn_a_str(customer), qn_a_str(who));
}

enum qn_err billing_surplus_due(
    struct qn_db *db, struct qn_arena *a, const char *customer, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, billing_set, BILLING_SURPLUS_DUE, &rows, qn_a_str(customer)));
	*ret = qn_rows_list(rows, a, &surplus_object);
	return QN_OK;
}

enum qn_err billing_customers_look(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *user, int64_t *ret_n)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(
	    db, a, billing_set, BILLING_CUSTOMERS_LOOK, &rows, qn_a_str(app), qn_a_str(user)));
	*ret_n = qn_rows_i64(rows, 0, 0);
	return QN_OK;
}

enum qn_err billing_ask(
    struct qn_db *db, struct qn_arena *a, const char *customer, struct billing_question *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, billing_set, BILLING_ASK, &rows, qn_a_str(customer)));
	return qn_rows_one(rows, &question_object, QN_NOT_FOUND, ret);
}

enum qn_err billing_apply(struct qn_db *db, struct qn_arena *a, const char *customer,
    const struct billing_question *q, struct qn_span state, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, billing_set, BILLING_APPLY, &rows, qn_a_str(customer),
	    qn_a_i64(q->seq), qn_a_str(q->events), qn_a_json(state)));
	*ret = qn_rows_list(rows, a, &news_object);
	return QN_OK;
}

enum qn_err subscription_current(
    struct qn_db *db, struct qn_arena *a, const struct payer *p, struct subscription *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, billing_set, SUBSCRIPTION_CURRENT, &rows, PAYER(p)));
	return qn_rows_one(rows, &row_object, QN_NOT_FOUND, ret);
}

enum qn_err subscription_orphans(
    struct qn_db *db, struct qn_arena *a, const char *customer, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, billing_set, SUBSCRIPTION_ORPHANS, &rows, qn_a_str(customer)));
	*ret = qn_rows_list(rows, a, &row_object);
	return QN_OK;
}

enum qn_err subscription_idle_schedules(
    struct qn_db *db, struct qn_arena *a, const char *customer, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, billing_set, SUBSCRIPTION_IDLE_SCHEDULES, &rows, qn_a_str(customer)));
	*ret = qn_rows_list(rows, a, &row_object);
	return QN_OK;
}

enum qn_err subscription_scheduling(struct qn_db *db, struct qn_arena *a, const char *id)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, billing_set, SUBSCRIPTION_SCHEDULING, &rows, qn_a_str(id));
}

enum qn_err subscription_comes_later(struct qn_db *db, struct qn_arena *a, const char *app,
    struct qn_span items, const char *price, int64_t quantity, int64_t more, const char **ret_item,
    bool *ret_later)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, billing_set, SUBSCRIPTION_COMES_LATER, &rows, qn_a_str(app),
	    qn_a_json(items), qn_a_str(price), qn_a_i64(quantity), qn_a_i64(more)));
	*ret_item = qn_rows_n(rows) > 0 ? qn_rows_str(rows, 0, 0) : NULL;
	*ret_later = qn_rows_n(rows) > 0 && qn_rows_i64(rows, 0, 1) == 1;
	return QN_OK;
}

bool subscription_is_live(const struct subscription *s)
{
	static const char *const live[] = {"active", "trialing", "past_due", "unpaid", "paused"};

	for (size_t i = 0; i < sizeof(live) / sizeof(live[0]); i++)
		if (strcmp(s->status, live[i]) == 0)
			return true;
	return false;
}

enum qn_err invoice_list(
    struct qn_db *db, struct qn_arena *a, const struct payer *p, int64_t limit, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, billing_set, INVOICE_LIST, &rows, PAYER(p), qn_a_i64(limit)));
	*ret = qn_rows_list(rows, a, &invoice_object);
	return QN_OK;
}

enum qn_err price_find(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *name, struct price *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, billing_set, PRICE_FIND, &rows, qn_a_str(app), qn_a_str(name)));
	return qn_rows_one(rows, &price_object, QN_PRICE, ret);
}

enum qn_err price_once(
    struct qn_db *db, struct qn_arena *a, const char *app, int64_t amount, struct price *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, billing_set, PRICE_ONCE, &rows, qn_a_str(app), qn_a_i64(amount)));
	return qn_rows_one(rows, &price_object, QN_PRICE, ret);
}

enum qn_err billing_prune(struct qn_db *db, struct qn_arena *a, int64_t *ret_n)
{
	return qn_exec_number(db, a, &billing_set, BILLING_PRUNE, ret_n);
}

enum qn_err billing_usage_due(
    struct qn_db *db, struct qn_arena *a, const char *app, int64_t most, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(
	    QN_EXEC(db, a, billing_set, BILLING_USAGE_DUE, &rows, qn_a_str(app), qn_a_i64(most)));
	*ret = qn_rows_list(rows, a, &usage_object);
	return QN_OK;
}

enum qn_err billing_usage_sent(struct qn_db *db, struct qn_arena *a, const struct billing_usage *u)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, billing_set, BILLING_USAGE_SENT, &rows, qn_a_str(u->customer),
	    qn_a_str(u->meter), qn_a_str(u->period), qn_a_i64(u->sending));
}

enum qn_err billing_metering(struct qn_db *db, struct qn_arena *a, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(qn_exec(db, a, &billing_set, BILLING_METERING, NULL, 0, &rows));
	*ret = qn_rows_list(rows, a, &account_object);
	return QN_OK;
}
