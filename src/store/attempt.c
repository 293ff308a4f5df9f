#include "quoin/store/attempt.h"

#include <string.h>

#include "quoin/base/rand.h"

#define ATTEMPT_STMTS(X) \
	X(ATTEMPT_COUNT, WRITE, 3, "SELECT attempt($1, $2, $3::integer)") \
	X(ATTEMPT_REFUND, WRITE, 3, \
	    "UPDATE attempts SET tried = greatest(tried - 1, 0), blocked_until = CASE WHEN tried - 1 < " \
	    "$3::integer THEN '-infinity' ELSE blocked_until END WHERE app_id = $1 AND subject = $2") \
	X(ATTEMPT_GUESS, WRITE, 7, \
	    "SELECT guess($1, ARRAY[$2, $4, $6]::bytea[], ARRAY[$3, $5, $7]::integer[])") \
	X(ATTEMPT_GUESSED, WRITE, 6, \
	    "SELECT guessed($1, ARRAY[$2, $4, $5]::bytea[], ARRAY[$3, NULL, $6]::integer[])")

QN_STATEMENTS(attempt, ATTEMPT_STMTS);

enum qn_err attempt_count(struct qn_db *db, struct qn_arena *a, const char *app,
    const char *subject, int64_t free, int64_t *ret_wait_s)
{
	uint8_t hash[QN_SHA256_LEN];
	struct qn_rows *rows;

	qn_sha256(subject, strlen(subject), hash);
	QN_TRY(QN_EXEC(db, a, attempt_set, ATTEMPT_COUNT, &rows, qn_a_str(app),
	    qn_a_bytes(hash, sizeof(hash)), qn_a_i64(free)));
	*ret_wait_s = qn_rows_i64(rows, 0, 0);
	return QN_OK;
}

enum qn_err attempt_refund(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *subject, int64_t free)
{
	uint8_t hash[QN_SHA256_LEN];
	struct qn_rows *rows;

	qn_sha256(subject, strlen(subject), hash);
	return QN_EXEC(db, a, attempt_set, ATTEMPT_REFUND, &rows, qn_a_str(app),
	    qn_a_bytes(hash, sizeof(hash)), qn_a_i64(free));
}

struct qn_arg attempt_subject(struct qn_arena *a, const char *subject)
{
	uint8_t *hash = qn_alloc(a, QN_SHA256_LEN);

	if (subject == NULL)
		return qn_a_bytes(NULL, 0);
	qn_sha256(subject, strlen(subject), hash);
	return qn_a_bytes(hash, QN_SHA256_LEN);
}

enum qn_err attempt_guess(struct qn_db *db, struct qn_arena *a, const char *app,
    const struct attempt_guess *g, int64_t *ret_wait_s)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, attempt_set, ATTEMPT_GUESS, &rows, qn_a_str(app),
	    attempt_subject(a, g->network), qn_a_i64(g->free_network),
	    attempt_subject(a, g->client), qn_a_i64(g->free_client), attempt_subject(a, g->all),
	    qn_a_i64(g->free_all)));
	*ret_wait_s = qn_rows_i64(rows, 0, 0);
	return QN_OK;
}

enum qn_err attempt_guessed(
    struct qn_db *db, struct qn_arena *a, const char *app, const struct attempt_guess *g)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, attempt_set, ATTEMPT_GUESSED, &rows, qn_a_str(app),
	    attempt_subject(a, g->network), qn_a_i64(g->free_network),
	    attempt_subject(a, g->client), attempt_subject(a, g->all), qn_a_i64(g->free_all));
}
