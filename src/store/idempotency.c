#include "quoin/store/idempotency.h"

#include "rows.h"

#define IDEMPOTENCY_STMTS(X) \
	X(IDEMPOTENCY_TAKE, WRITE, 3, \
	    "SELECT l.mine, k.request_hash, k.status, k.reply, k.etag FROM " \
	    "(SELECT pg_try_advisory_xact_lock(hashtextextended($1::text || $2 || encode($3, 'hex'), 1)) AS mine) l " \
	    "LEFT JOIN idempotency_keys k ON k.app_id = $1::uuid AND k.principal = $2 AND k.key_hash = $3 " \
	    "AND k.created_at > now() - interval '1 day'") \
	X(IDEMPOTENCY_LOOK, FRESH, 3, \
	    "SELECT request_hash, status, reply, etag FROM idempotency_keys WHERE app_id = $1 AND principal = $2 " \
	    "AND key_hash = $3 AND created_at > now() - interval '1 day'") \
	X(IDEMPOTENCY_KEEP, WRITE, 7, \
	    "INSERT INTO idempotency_keys AS k (app_id, principal, key_hash, request_hash, status, reply, etag) " \
	    "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (app_id, principal, key_hash) DO UPDATE " \
	    "SET request_hash = excluded.request_hash, status = excluded.status, reply = excluded.reply, " \
	    "etag = excluded.etag, created_at = now() WHERE k.created_at <= now() - interval '1 day' " \
	    "RETURNING 1") \
	X(IDEMPOTENCY_PRUNE, WRITE, 0, \
	    "WITH gone AS (DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(SELECT ctid " \
	    "FROM idempotency_keys WHERE created_at < now() - interval '1 day' LIMIT 1000)) RETURNING 1) " \
	    "SELECT count(*) FROM gone")

QN_STATEMENTS(idempotency, IDEMPOTENCY_STMTS);

#define KEY(k) qn_a_str((k)->app), qn_a_str((k)->principal), qn_a_bytes((k)->key, sizeof((k)->key))

/* What is kept stands in four columns from `first`; nulls: nothing is. */
static enum qn_err read_kept(
    struct qn_rows *rows, int first, const struct idempotency_key *k, struct idempotency_reply *ret)
{
	struct qn_span request = qn_rows_bytes(rows, 0, first);

	if (request.p == NULL)
		return QN_OK;
	if (request.n != sizeof(k->request) || memcmp(request.p, k->request, request.n) != 0)
		return QN_KEY_REUSED;
	ret->status = qn_rows_i64(rows, 0, first + 1);
	ret->body = qn_rows_bytes(rows, 0, first + 2);
	ret->etag = qn_rows_str(rows, 0, first + 3);
	return QN_OK;
}

enum qn_err idempotency_take(struct qn_db *db, struct qn_arena *a, const struct idempotency_key *k,
    struct idempotency_reply *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, idempotency_set, IDEMPOTENCY_TAKE, &rows, KEY(k)));
	*ret = (struct idempotency_reply){0};
	return qn_rows_i64(rows, 0, 0) == 0 ? QN_IN_PROGRESS : read_kept(rows, 1, k, ret);
}

enum qn_err idempotency_look(struct qn_db *db, struct qn_arena *a, const struct idempotency_key *k,
    struct idempotency_reply *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, idempotency_set, IDEMPOTENCY_LOOK, &rows, KEY(k)));
	*ret = (struct idempotency_reply){0};
	return qn_rows_n(rows) == 1 ? read_kept(rows, 0, k, ret) : QN_OK;
}

enum qn_err idempotency_keep(struct qn_db *db, struct qn_arena *a, const struct idempotency_key *k,
    const struct idempotency_reply *reply)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, idempotency_set, IDEMPOTENCY_KEEP, &rows, KEY(k),
	    qn_a_bytes(k->request, sizeof(k->request)), qn_a_i64(reply->status),
	    qn_a_bytes(reply->body.p, reply->body.n), qn_a_str(reply->etag)));
	/* idempotency_take looked with a snapshot from before the other's commit, and got the lock after. */
	return qn_rows_n(rows) == 1 ? QN_OK : QN_RETRY;
}

enum qn_err idempotency_prune(struct qn_db *db, struct qn_arena *a, int64_t *ret_n)
{
	return qn_exec_number(db, a, &idempotency_set, IDEMPOTENCY_PRUNE, ret_n);
}
