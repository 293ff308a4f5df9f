/*
 * Business figures: what there was of users, validations, customers and money on each UTC day of an app
 * (CONTRACT D55). docs/figures.md says what each of them is.
 */
#ifndef QUOIN_STORE_FIGURES_H
#define QUOIN_STORE_FIGURES_H

#include "quoin/store/db.h"

enum { FIGURES_DAYS = 366, FIGURES_USUAL = 30 };

/* In the currency's smallest unit. The sums of a day are of what its customers had at its begin and its end. */
struct figures_money {
	const char *day, *currency; /* "2026-11-21", "USD" */
	int64_t mrr, arr, mrr_new, mrr_expanded, mrr_contracted, mrr_lost, mrr_past_due;
};

struct figures_day {
	const char *day;
	qn_tri complete; /* the day is over, and will not be counted again */
	qn_time computed_at;
	int64_t signups, dau, mau, validations, validations_refused, conversions;
	struct qn_span conversions_by_plan; /* {"pro":2} */
	int64_t paying_customers, new_customers, churned_customers, trials, past_due;
	struct qn_list money; /* of struct figures_money, one for a currency */
};

/* Days in order, and today as it is at this moment. */
struct figures {
	struct qn_list figures; /* of struct figures_day */
	const struct figures_day *today;
};
extern const struct qn_object figures_object;

/* Both included, in days since 1970-01-01. */
struct figures_range {
	int64_t from, to;
};

/*
 * From two days as "2026-11-21", each of which may be NULL: `to` is today then, and `from` as many days before it that
 * there are FIGURES_USUAL. At most FIGURES_DAYS. Returns what is wrong, and in *ret_field with which, or NULL.
 */
const char *figures_range(
    const char *from, const char *to, struct figures_range *ret, const char **ret_field);

/* `figures` are days that are over; those that were not counted yet are not there. `today` is counted now. */
enum qn_err figures_of(struct qn_db *db, struct qn_arena *a, const char *app,
    const struct figures_range *range, struct figures *ret) QN_MUST_CHECK;

/* What /metrics shows, read from days that were counted: ordered by gauge. */
struct figures_gauge {
	const char *gauge, *app; /* "mrr", the app's slug */
	const char *currency;    /* NULL: it has none */
	int64_t value;
};
enum qn_err figures_gauges(struct qn_db *db, struct qn_arena *a, struct qn_list *ret) QN_MUST_CHECK;

/* Counts some of the days that are due, of all apps. *ret_n: how many; 0 when there is nothing more to do. */
enum qn_err figures_roll(struct qn_db *db, struct qn_arena *a, int64_t *ret_n) QN_MUST_CHECK;

#endif
