#include "quoin/auth/proof.h"

#include "quoin/base/json.h"

/* A member that can stand in a file; NULL when it cannot. */
static const char *text_of(struct qn_arena *a, const struct qn_json_object *o, const char *name,
    bool (*good)(const char *))
{
	const char *s;
	size_t n;

	return qn_json_str(a, qn_json_get(o, name), &s, &n) && strlen(s) == n && good(s) ? s : NULL;
}

static const char *word_of(struct qn_arena *a, const struct qn_json_object *o, const char *name)
{
	return text_of(a, o, name, qn_proof_word);
}

static const char *fault_of(const struct qn_activation *r, const char *kind, bool version)
{
	if (kind == NULL || strcmp(kind, "activation-request") != 0)
		return "It is no activation request: kind is not \"activation-request\".";
	if (!version)
		return "It is of another version than 1.";
	if (r->product == NULL || r->key == NULL)
		return "It lacks product or key.";
	if (r->machine == NULL)
		return "Its machine must be 1 to 255 printable ASCII characters, without quotes and backslashes.";
	if (r->nonce == NULL)
		return "Its nonce must be 1 to 255 printable ASCII characters, without quotes and backslashes.";
	return NULL;
}

enum qn_err qn_activation_read(
    struct qn_arena *a, struct qn_span text, struct qn_activation *ret, const char **ret_why)
{
	static const struct qn_json_limits limits = {.depth = 8, .nodes = 256};
	struct qn_activation r = {.name = NULL};
	struct qn_json_object o = {NULL, 0};
	const char *why = "It is larger than an activation request can be.";
	int64_t version = 0;

	if (text.n <= QN_ACTIVATION_MOST) {
		enum qn_json_err e = qn_json_scan(a, text, &limits, &o, NULL);
		why = e != QN_JSON_OK ? qn_json_err_text(e) : "It is no JSON object.";
	}
	if (o.members != NULL) {
		qn_json_i64(qn_json_get(&o, "version"), &version);
		r.product = word_of(a, &o, "product");
		r.key = text_of(a, &o, "key", qn_proof_licence_key);
		r.machine = word_of(a, &o, "machine");
		r.nonce = word_of(a, &o, "nonce");
		qn_json_str(a, qn_json_get(&o, "name"), &r.name, NULL);
		why = fault_of(&r, word_of(a, &o, "kind"), version == 1);
	}
	if (why != NULL) {
		if (ret_why != NULL)
			*ret_why = why;
		return QN_INVALID;
	}
	*ret = r;
	return QN_OK;
}
