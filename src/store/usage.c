#include "quoin/store/usage.h"

#include <string.h>

#include "quoin/base/buf.h"

/* In the order of the key, so that two hosts that add at once do not wait for each other in a ring. */
#define USAGE_STMTS(X) \
	X(USAGE_ADD, WRITE, 1, \
	    "INSERT INTO usage_daily AS t (app_id, user_id, day, api_calls) " \
	    "SELECT u.app_id, u.id, date '1970-01-01' + r.day, r.n " \
	    "FROM json_to_recordset($1::json) AS r (app uuid, who uuid, day integer, n bigint) " \
	    "JOIN users u ON u.app_id = r.app AND u.id = r.who ORDER BY 1, 2, 3 " \
	    "ON CONFLICT (app_id, user_id, day) DO UPDATE SET api_calls = t.api_calls + excluded.api_calls " \
	    "RETURNING user_id, day - date '1970-01-01', api_calls, app_id") \
	X(USAGE_COUNT, WRITE, 4, \
	    "INSERT INTO usage_daily AS t (app_id, user_id, day, api_calls) " \
	    "VALUES ($1, $2, date '1970-01-01' + $3::integer, 1) " \
	    "ON CONFLICT (app_id, user_id, day) DO UPDATE SET api_calls = t.api_calls + 1 " \
	    "WHERE t.api_calls < $4::bigint RETURNING api_calls") \
	X(USAGE_OF, FRESH, 3, \
	    "SELECT coalesce(sum(api_calls) FILTER (WHERE day = d.is), 0)::bigint, " \
	    "coalesce(sum(api_calls), 0)::bigint " \
	    "FROM (SELECT date '1970-01-01' + $3::integer AS is) d, usage_daily " \
	    "WHERE app_id = $1 AND user_id = $2 AND day BETWEEN date_trunc('month', d.is)::date AND d.is")

QN_STATEMENTS(usage, USAGE_STMTS);

enum { ROWS_BYTES = 256 * 160 };

static void print(struct qn_buf *b, const struct usage_calls *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		qn_buf_printf(b, "%c{\"app\":\"%s\",\"who\":\"%s\",\"day\":%lld,\"n\":%lld}",
		    i > 0 ? ',' : '[', rows[i].app, rows[i].user, (long long)rows[i].day,
		    (long long)rows[i].n);
	qn_buf_char(b, ']');
}

static void note(struct usage_calls *rows, size_t n, const struct qn_rows *sums, size_t at)
{
	const char *user = qn_rows_str(sums, at, 0), *app = qn_rows_str(sums, at, 3);

	for (size_t i = 0; i < n; i++) {
		struct usage_calls *r = &rows[i];
		if (r->stored || r->day != qn_rows_i64(sums, at, 1) || strcmp(r->user, user) != 0 ||
		    strcmp(r->app, app) != 0)
			continue;
		r->n = qn_rows_i64(sums, at, 2);
		r->stored = true;
		return;
	}
}

enum qn_err usage_add(struct qn_db *db, struct qn_arena *a, struct usage_calls *rows, size_t n)
{
	struct qn_rows *sums;
	struct qn_buf text;

	if (n == 0)
		return QN_OK;
	qn_buf_init(&text, ROWS_BYTES);
	print(&text, rows, n);
	struct qn_span json = {qn_strndup(a, text.p, text.n), text.n};
	bool over = text.over;
	qn_buf_done(&text);
	if (over || n > USAGE_BATCH)
		return QN_INTERNAL;
	QN_TRY(QN_EXEC(db, a, usage_set, USAGE_ADD, &sums, qn_a_json(json)));
	for (size_t i = 0; i < n; i++)
		rows[i].stored = false;
	for (size_t i = 0; i < qn_rows_n(sums); i++)
		note(rows, n, sums, i);
	return QN_OK;
}

enum qn_err usage_count(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    int64_t day, int64_t max, int64_t *ret_sum)
{
	struct qn_rows *rows;

	*ret_sum = -1;
	if (max == 0)
		return QN_OK;
	QN_TRY(QN_EXEC(db, a, usage_set, USAGE_COUNT, &rows, qn_a_str(app), qn_a_str(user),
	    qn_a_i64(day), qn_a_i64(max < 0 ? INT64_MAX : max)));
	if (qn_rows_n(rows) > 0)
		*ret_sum = qn_rows_i64(rows, 0, 0);
	return QN_OK;
}

enum qn_err usage_of(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    int64_t day, int64_t *ret_day, int64_t *ret_month)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(
	    db, a, usage_set, USAGE_OF, &rows, qn_a_str(app), qn_a_str(user), qn_a_i64(day)));
	*ret_day = qn_rows_i64(rows, 0, 0);
	*ret_month = qn_rows_i64(rows, 0, 1);
	return QN_OK;
}
