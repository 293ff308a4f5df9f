/* Idempotency-Key (SECURITY T39): a request sent twice has one effect and one answer. */
#include <openssl/evp.h>
#include <string.h>

#include "quoin/base/log.h"
#include "quoin/http/reply.h"
#include "quoin/store/idempotency.h"
#include "server.h"

enum { KEY_MAX = 255, KEPT_BYTES = 65536 };

/* What was asked: method, target and body. */
static void digest_request(const struct qn_request *r, uint8_t out[QN_SHA256_LEN])
{
	char body[2 * QN_SHA256_LEN + 1];

	qn_sha256(r->body.p, r->body.n, out);
	qn_hex(out, QN_SHA256_LEN, body);
	const char *text = qn_printf(
	    r->arena, "%s\n%s\n%s\n%s", qn_method_name(r->method), r->path, r->query_string, body);
	qn_sha256(text, strlen(text), out);
}

static bool good_key(const char *key)
{
	size_t n = strlen(key);

	for (size_t i = 0; i < n; i++)
		if (key[i] < 0x21 || key[i] > 0x7e)
			return false;
	return n > 0 && n <= KEY_MAX;
}

/* Whose the key is: the caller's, or that of what he shows in place of a name (kept as a hash). NULL: nobody's. */
static const char *asker(const struct qn_request *r)
{
	const struct qn_field *f =
	    r->route->once_by != NULL ? qn_object_field(r->route->body, r->route->once_by) : NULL;
	uint8_t hash[QN_SHA256_LEN];
	char hex[2 * QN_SHA256_LEN + 1];
	const char *shown;

	if (r->who.known)
		return r->who.user_id;
	if (f == NULL || (shown = *(const char *const *)((const char *)r->in + f->offset)) == NULL)
		return NULL;
	qn_sha256(shown, strlen(shown), hash);
	qn_hex(hash, sizeof(hash), hex);
	return qn_printf(r->arena, "%s:%s", f->name, hex);
}

static struct idempotency_key make_key(
    const struct qn_request *r, const char *principal, const char *key)
{
	struct idempotency_key k = {.app = r->who.app->id, .principal = principal};
	const char *text = qn_printf(r->arena, "%s\n%s", r->route->id, key);

	qn_sha256(text, strlen(text), k.key);
	digest_request(r, k.request);
	return k;
}

static enum qn_err replay(struct qn_request *r, const struct idempotency_reply *kept)
{
	r->replayed = true;
	r->status = (int)kept->status;
	r->raw = kept->body;
	r->etag = kept->etag;
	qn_board_count(r->server->spec.board, QN_COUNT_REPLAYS, 1);
	return QN_OK;
}

static enum qn_err keep(struct qn_request *r, const struct idempotency_key *k)
{
	struct qn_reply_text t;
	struct idempotency_reply reply = {
	    .status = r->status != 0 ? r->status : 200, .etag = r->etag};

	qn_reply_text_init(&t, r->who.app);
	qn_reply_object(&t, r->route->reply, r->out, (r->route->flags & QN_R_CAMEL) != 0);
	if (t.gaps > 0 || t.text.over || t.text.n > KEPT_BYTES)
		qn_fatal("route %s: its reply is too large to be kept", r->route->id);
	reply.body = (struct qn_span){t.text.p, t.text.n};
	enum qn_err e = idempotency_keep(r->db, r->arena, k, &reply);
	qn_reply_text_done(&t);
	return e;
}

/* One request, one effect, one answer: all in a transaction. */
static enum qn_err once_here(struct qn_request *r, const struct idempotency_key *k, qn_run_fn *run)
{
	struct idempotency_reply kept;

	QN_TX(tx, r->db);
	QN_TRY(idempotency_take(r->db, r->arena, k, &kept));
	if (kept.status != 0)
		return replay(r, &kept);
	QN_TRY(run(r));
	if (!r->without_effect)
		QN_TRY(keep(r, k));
	return qn_tx_commit(&tx);
}

/*
 * The effect is somebody else's, who knows the key too and has it once, so no transaction waits for them. What is
 * kept here is the answer, and what it was an answer to; that it could not be kept takes nothing back.
 */
static enum qn_err once_there(struct qn_request *r, const struct idempotency_key *k, qn_run_fn *run)
{
	struct idempotency_reply kept;

	QN_TRY(idempotency_look(r->db, r->arena, k, &kept));
	if (kept.status != 0)
		return replay(r, &kept);
	QN_TRY(run(r));
	enum qn_err e = keep(r, k);
	if (e != QN_OK && e != QN_RETRY)
		qn_log(QN_WARNING, "an answer is not kept: %s", qn_db_why(r->db));
	return QN_OK;
}

enum qn_err qn_once(struct qn_request *r, qn_run_fn *run)
{
	const char *header = (r->route->flags & (QN_R_ONCE | QN_R_KEYED))
	                         ? qn_fcgi_param(r->fcgi, "HTTP_IDEMPOTENCY_KEY")
	                         : NULL;

	const char *principal = header != NULL ? asker(r) : NULL;
	if (principal == NULL)
		return run(r);
	if (!good_key(header)) {
		r->why = "Idempotency-Key is empty, too long or not printable";
		return QN_BAD_REQUEST;
	}
	struct idempotency_key k = make_key(r, principal, header);
	return r->route->flags & QN_R_KEYED ? once_there(r, &k, run) : once_here(r, &k, run);
}
