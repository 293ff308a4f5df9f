#include "quoin/store/figures.h"

#include <stdio.h>
#include <string.h>

#include "rows.h"

#define DAY_US INT64_C(86400000000)

#define DAY "date '1970-01-01' + "
#define DAY_COLUMNS \
	"to_char(f.day, 'YYYY-MM-DD') AS day, f.complete, f.computed_at, f.signups, f.dau, f.mau, f.validations, " \
	"f.validations_refused, f.conversions, f.conversions_by_plan::json, f.paying_customers, f.new_customers, " \
	"f.churned_customers, f.trials, f.past_due"
#define MONTH(column) "round(m." column " / 12.0)::bigint"
#define MONEY_COLUMNS \
	"to_char(m.day, 'YYYY-MM-DD') AS day, upper(m.currency) AS currency, " MONTH("arr") " AS mrr, m.arr, " MONTH("arr_new") " AS mrr_new, " MONTH( \
	    "arr_expanded") " AS mrr_expanded, " MONTH("arr_contracted") " AS mrr_contracted, " MONTH("arr_lost") " AS mrr_lost, " MONTH("arr_past_due") " AS mrr_past_due"

/* Of /metrics: states as of the newest day there is, counts of the last one that is complete. */
#define FIGURES_STMTS(X) \
	X(FIGURES_DAYS_OF, READ, 3, \
	    "SELECT " DAY_COLUMNS " FROM figures_daily f WHERE f.app_id = $1 " \
	    "AND f.day BETWEEN " DAY "$2::integer AND " DAY "$3::integer ORDER BY f.day") \
	X(FIGURES_MONEY_OF, READ, 3, \
	    "SELECT " MONEY_COLUMNS " FROM figures_money m WHERE m.app_id = $1 " \
	    "AND m.day BETWEEN " DAY "$2::integer AND " DAY \
	    "$3::integer ORDER BY m.day, m.currency") \
	X(FIGURES_COUNT, FRESH, 2, \
	    "SELECT " DAY_COLUMNS " FROM figures_count($1, " DAY "$2::integer) f") \
	X(FIGURES_COUNT_MONEY, FRESH, 2, \
	    "SELECT " MONEY_COLUMNS " FROM figures_count_money($1, " DAY \
	    "$2::integer) m ORDER BY m.currency") \
	X(FIGURES_GAUGES, READ, 0, \
	    "WITH newest AS MATERIALIZED (SELECT a.slug, f.* FROM apps a CROSS JOIN LATERAL (SELECT * FROM figures_daily d " \
	    "WHERE d.app_id = a.id ORDER BY d.day DESC LIMIT 1) f), " \
	    "whole AS MATERIALIZED (SELECT a.slug, f.* FROM apps a CROSS JOIN LATERAL (SELECT * FROM figures_daily d " \
	    "WHERE d.app_id = a.id AND d.complete ORDER BY d.day DESC LIMIT 1) f) " \
	    "SELECT g.gauge, n.slug AS app, NULL AS currency, g.value FROM newest n CROSS JOIN LATERAL (VALUES " \
	    "('paying_customers', n.paying_customers), ('trials', n.trials), ('past_due', n.past_due), " \
	    "('active_users_month', n.mau)) g (gauge, value) " \
	    "UNION ALL SELECT g.gauge, n.slug, m.currency, g.value FROM newest n JOIN figures_money m " \
	    "ON m.app_id = n.app_id AND m.day = n.day CROSS JOIN LATERAL (VALUES " \
	    "('mrr', round(m.arr / 12.0)::bigint), ('arr', m.arr)) g (gauge, value) " \
	    "UNION ALL SELECT g.gauge, w.slug, NULL, g.value FROM whole w CROSS JOIN LATERAL (VALUES " \
	    "('active_users_day', w.dau), ('signups', w.signups), ('validations', w.validations), " \
	    "('validations_refused', w.validations_refused), ('conversions', w.conversions), " \
	    "('churned_customers', w.churned_customers)) g (gauge, value) " \
	    "UNION ALL SELECT 'mrr_lost', w.slug, m.currency, round(m.arr_lost / 12.0)::bigint FROM whole w " \
	    "JOIN figures_money m ON m.app_id = w.app_id AND m.day = w.day ORDER BY 1, 2, 3") \
	X(FIGURES_ROLL, WRITE, 0, "SELECT figures_roll()")

QN_STATEMENTS(figures, FIGURES_STMTS);

static const struct qn_field money_fields[] = {
    QN_FIELD(struct figures_money, day, STR, 0, 0, 0, "The day, by UTC."),
    QN_FIELD(struct figures_money, currency, STR, 0, 0, 0, "As ISO 4217 has it."),
    QN_FIELD(struct figures_money, mrr, I64, 0, 0, 0,
	"Recurring a month, at the day's end, in the currency's smallest unit."),
    QN_FIELD(struct figures_money, arr, I64, 0, 0, 0, "The same a year."),
    QN_FIELD(struct figures_money, mrr_new, I64, 0, 0, 0, "Of who had none at the day's begin."),
    QN_FIELD(struct figures_money, mrr_expanded, I64, 0, 0, 0, "What customers have more of."),
    QN_FIELD(struct figures_money, mrr_contracted, I64, 0, 0, 0, "What customers have less of."),
    QN_FIELD(struct figures_money, mrr_lost, I64, 0, 0, 0, "Of who has none at the day's end."),
    QN_FIELD(struct figures_money, mrr_past_due, I64, 0, 0, 0, "Part of mrr that is owed."),
};
static const struct qn_object money_object =
    QN_OBJECT("FiguresMoney", struct figures_money, money_fields);

static const struct qn_field day_fields[] = {
    QN_FIELD(struct figures_day, day, STR, 0, 0, 0, "The day, by UTC."),
    QN_FIELD(struct figures_day, complete, BOOL, 0, 0, 0,
	"Whether the day is over, and will not be counted again."),
    QN_FIELD(struct figures_day, computed_at, TIME, 0, 0, 0, "When it was counted."),
    QN_FIELD(struct figures_day, signups, I64, 0, 0, 0, "Accounts made."),
    QN_FIELD(struct figures_day, dau, I64, 0, 0, 0, "Users active on the day."),
    QN_FIELD(
	struct figures_day, mau, I64, 0, 0, 0, "Users active in the 30 days that end with it."),
    QN_FIELD(struct figures_day, validations, I64, 0, 0, 0, "Validations of licences."),
    QN_FIELD(struct figures_day, validations_refused, I64, 0, 0, 0, "Those that were refused."),
    QN_FIELD(
	struct figures_day, conversions, I64, 0, 0, 0, "Customers who paid for the first time."),
    QN_FIELD(struct figures_day, conversions_by_plan, JSON, QN_F_OBJECT, 0, 0,
	"The same by the plan that they paid for."),
    QN_FIELD(struct figures_day, paying_customers, I64, 0, 0, 0,
	"Customers with a subscription that is paid for, at the day's end."),
    QN_FIELD(
	struct figures_day, new_customers, I64, 0, 0, 0, "Those who had none at the day's begin."),
    QN_FIELD(
	struct figures_day, churned_customers, I64, 0, 0, 0, "Customers who have none any more."),
    QN_FIELD(struct figures_day, trials, I64, 0, 0, 0, "Customers on trial, at the day's end."),
    QN_FIELD(struct figures_day, past_due, I64, 0, 0, 0, "Paying customers who owe."),
    QN_FIELD_SUB(struct figures_day, money, LIST, 0, &money_object, "By currency."),
};
static const struct qn_object day_object = QN_OBJECT("FiguresDay", struct figures_day, day_fields);

static const struct qn_field figures_fields[] = {
    QN_FIELD_SUB(struct figures, figures, LIST, 0, &day_object, "A day each, in order."),
    QN_FIELD_SUB(struct figures, today, OBJ, 0, &day_object, "Today until now."),
};
const struct qn_object figures_object = QN_OBJECT("Figures", struct figures, figures_fields);

static const struct qn_field gauge_fields[] = {
    QN_FIELD(struct figures_gauge, gauge, STR, 0, 0, 0, "What."),
    QN_FIELD(struct figures_gauge, app, STR, 0, 0, 0, "Whose."),
    QN_FIELD(struct figures_gauge, currency, STR, QN_F_NULLABLE, 0, 0, "Of money."),
    QN_FIELD(struct figures_gauge, value, I64, 0, 0, 0, "How much."),
};
static const struct qn_object gauge_object =
    QN_OBJECT("FiguresGauge", struct figures_gauge, gauge_fields);

static bool day_parse(const char *s, int64_t *ret)
{
	char text[QN_RFC3339_MAX];
	qn_time at;

	if (strlen(s) != 10)
		return false;
	int n = snprintf(text, sizeof(text), "%sT00:00:00Z", s);
	if (!qn_time_parse(text, (size_t)n, &at))
		return false;
	*ret = (at - (at % DAY_US + DAY_US) % DAY_US) / DAY_US;
	return true;
}

const char *figures_range(
    const char *from, const char *to, struct figures_range *ret, const char **ret_field)
{
	static const char *const no_day = "This must be a day, as 2026-11-21.";
	struct figures_range r = {.to = qn_now() / DAY_US};

	*ret_field = "to";
	if (to != NULL && !day_parse(to, &r.to))
		return no_day;
	r.from = r.to - FIGURES_USUAL + 1;
	*ret_field = "from";
	if (from != NULL && !day_parse(from, &r.from))
		return no_day;
	if (r.from > r.to)
		return "This must not be after \"to\".";
	if (r.to - r.from >= FIGURES_DAYS)
		return "No more than 366 days are shown at once.";
	*ret = r;
	return NULL;
}

/* Gives each day its part of `money`, which is in the same order. */
static void deal(const struct qn_list *days, const struct qn_list *money)
{
	struct figures_day *day = (struct figures_day *)days->items;
	const struct figures_money *m = money->items;
	size_t at = 0;

	for (size_t i = 0; i < days->n; i++) {
		while (at < money->n && strcmp(m[at].day, day[i].day) < 0)
			at++;
		day[i].money = (struct qn_list){m + at, 0};
		for (; at < money->n && strcmp(m[at].day, day[i].day) == 0; at++)
			day[i].money.n++;
	}
}

/* Counted days, or one that is counted now. */
static enum qn_err days_of(struct qn_db *db, struct qn_arena *a, bool now, const char *app,
    const struct figures_range *range, struct qn_list *ret)
{
	const struct qn_arg args[] = {qn_a_str(app), qn_a_i64(range->from), qn_a_i64(range->to)};
	struct qn_rows *rows;

	QN_TRY(qn_exec(
	    db, a, &figures_set, now ? FIGURES_COUNT : FIGURES_DAYS_OF, args, now ? 2 : 3, &rows));
	*ret = qn_rows_list(rows, a, &day_object);
	QN_TRY(qn_exec(db, a, &figures_set, now ? FIGURES_COUNT_MONEY : FIGURES_MONEY_OF, args,
	    now ? 2 : 3, &rows));
	struct qn_list money = qn_rows_list(rows, a, &money_object);
	deal(ret, &money);
	return QN_OK;
}

enum qn_err figures_of(struct qn_db *db, struct qn_arena *a, const char *app,
    const struct figures_range *range, struct figures *ret)
{
	const int64_t day = qn_now() / DAY_US;
	const struct figures_range today = {day, day};
	const struct figures_range past = {range->from, range->to < day ? range->to : day - 1};
	struct qn_list now;

	QN_TRY(days_of(db, a, false, app, &past, &ret->figures));
	QN_TRY(days_of(db, a, true, app, &today, &now));
	ret->today = now.items;
	return QN_OK;
}

enum qn_err figures_gauges(struct qn_db *db, struct qn_arena *a, struct qn_list *ret)
{
	struct qn_rows *rows;

	QN_TRY(qn_exec(db, a, &figures_set, FIGURES_GAUGES, NULL, 0, &rows));
	*ret = qn_rows_list(rows, a, &gauge_object);
	return QN_OK;
}

enum qn_err figures_roll(struct qn_db *db, struct qn_arena *a, int64_t *ret_n)
{
	return qn_exec_number(db, a, &figures_set, FIGURES_ROLL, ret_n);
}
