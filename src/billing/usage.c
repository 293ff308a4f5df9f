/* Use that is paid for by the meter (CONTRACT D28): what came on top since Stripe was last told. */
#include "billing.h"

#include <inttypes.h>
#include <stdio.h>

#include "quoin/base/clock.h"
#include "quoin/base/log.h"
#include "quoin/net/form.h"

enum { ROWS = 100 };

#define REPORT_US 30000000 /* of a job's minute */

/* The same row sends the same until it arrived: Stripe counts it once, by its key and by its identifier. */
static enum qn_err send_one(struct qn_billing *b, const struct billing_usage *u)
{
	struct qn_json_object sent;
	struct qn_buf form;
	char value[24];

	const char *key = billing_key(b, "usage", u->customer, u->meter, u->period,
	    qn_printf(b->stripe.arena, "%" PRId64 "-%" PRId64, u->reported, u->sending), NULL);
	snprintf(value, sizeof(value), "%" PRId64, u->sending - u->reported);
	qn_buf_init(&form, QN_STRIPE_FORM_BYTES);
	qn_form_add(&form, "event_name", u->event_name);
	qn_form_add(&form, "payload[stripe_customer_id]", u->stripe_customer_id);
	qn_form_add(&form, "payload[value]", value);
	qn_form_add(&form, "identifier", key);
	billing_form_i64(&form, "timestamp", u->at / 1000000);
	QN_TRY(billing_post(b, "/v1/billing/meter_events", &form, key, &sent));
	return billing_usage_sent(b->db, b->stripe.arena, u);
}

enum qn_err qn_billing_report(struct qn_billing *b)
{
	int64_t until = qn_mono_us() + REPORT_US;
	enum qn_err first = QN_OK;
	struct qn_list due;

	do {
		QN_TRY(billing_usage_due(b->db, b->stripe.arena, b->account.app_id, ROWS, &due));
		const struct billing_usage *u = due.items;
		for (size_t i = 0; i < due.n && qn_mono_us() < until; i++) {
			enum qn_err e = send_one(b, &u[i]);
			first = first == QN_OK ? e : first;
		}
	} while (due.n == ROWS && first == QN_OK && qn_mono_us() < until);
	return first;
}
