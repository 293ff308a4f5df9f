#include "quoin/store/flow.h"

#include <string.h>

#define FLOW_STMTS(X) \
	X(FLOW_PUT, WRITE, 7, \
	    "INSERT INTO oauth_flows (state_hash, app_id, provider_id, browser_hash, nonce, verifier_sealed, " \
	    "return_path, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp() + " \
	    "interval '10 minutes')") \
	X(FLOW_TAKE, WRITE, 3, \
	    "DELETE FROM oauth_flows WHERE app_id = $1 AND state_hash = $2 AND browser_hash = $3 AND " \
	    "expires_at > clock_timestamp() RETURNING provider_id, nonce, return_path, verifier_sealed") \
	X(FLOW_SIGN_IN, WRITE, 10, \
	    "SELECT outcome, account FROM sign_in_identity($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")

QN_STATEMENTS(flow, FLOW_STMTS);

static const struct qn_field flow_fields[] = {
    QN_FIELD(struct flow, provider_id, UUID, 0, 0, 0, "Provider."),
    QN_FIELD(struct flow, nonce, STR, 0, 0, 0, "Nonce."),
    QN_FIELD(struct flow, return_path, STR, 0, 0, 0, "Where the user wants to go."),
    QN_FIELD(struct flow, verifier_sealed, JSON, 0, 0, 0, "PKCE verifier, sealed."),
};
static const struct qn_object flow_object = QN_OBJECT("FlowRow", struct flow, flow_fields);

enum qn_err flow_put(struct qn_db *db, struct qn_arena *a, const char *app,
    const uint8_t state[QN_SHA256_LEN], const uint8_t browser[QN_SHA256_LEN], const struct flow *in)
{
	struct qn_rows *rows;

	return QN_EXEC(db, a, flow_set, FLOW_PUT, &rows, qn_a_bytes(state, QN_SHA256_LEN),
	    qn_a_str(app), qn_a_str(in->provider_id), qn_a_bytes(browser, QN_SHA256_LEN),
	    qn_a_str(in->nonce), qn_a_bytes(in->verifier_sealed.p, in->verifier_sealed.n),
	    qn_a_str(in->return_path));
}

enum qn_err flow_take(struct qn_db *db, struct qn_arena *a, const char *app,
    const uint8_t state[QN_SHA256_LEN], const uint8_t browser[QN_SHA256_LEN], struct flow *ret)
{
	struct qn_rows *rows;

	QN_TRY(QN_EXEC(db, a, flow_set, FLOW_TAKE, &rows, qn_a_str(app),
	    qn_a_bytes(state, QN_SHA256_LEN), qn_a_bytes(browser, QN_SHA256_LEN)));
	if (qn_rows_n(rows) == 0)
		return QN_NOT_FOUND;
	qn_rows_get(rows, 0, &flow_object, ret);
	return QN_OK;
}

static enum flow_outcome outcome_of(const char *word)
{
	static const char *const words[] = {
	    [FLOW_KNOWN] = "known", [FLOW_LINKED] = "linked", [FLOW_NEW] = "new"};

	for (int i = 0; i < FLOW_EXISTS; i++)
		if (strcmp(words[i], word) == 0)
			return (enum flow_outcome)i;
	return FLOW_EXISTS;
}

enum qn_err flow_sign_in(struct qn_db *db, struct qn_arena *a, const char *app,
    const struct flow_identity *who, enum flow_outcome *ret, const char **ret_user)
{
	char id[QN_UUID_LEN + 1];
	struct qn_rows *rows;

	qn_uuid_new(id);
	QN_TRY(QN_EXEC(db, a, flow_set, FLOW_SIGN_IN, &rows, qn_a_str(id), qn_a_str(app),
	    qn_a_str(who->issuer), qn_a_str(who->subject), qn_a_str(who->email),
	    qn_a_bool(who->verified && who->email != NULL), qn_a_str(who->first_name),
	    qn_a_str(who->last_name), qn_a_str(who->name), qn_a_str(who->avatar_url)));
	*ret = outcome_of(qn_rows_str(rows, 0, 0));
	*ret_user = qn_rows_str(rows, 0, 1);
	return QN_OK;
}
