/* audit: a log read, and its chain computed again, by which the first row is found that is not as it was written. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "quoin/base/rand.h"
#include "quoin/store/audit.h"
#include "quoin/store/organization.h"

enum { LIST_MOST = 100 };

static enum qn_err verify(struct ctl *c, const struct audit_chain *chain, bool *ret_whole)
{
	const char *kind = chain->organization_id != NULL ? "organization" : "app";
	struct audit_fault fault;

	QN_TRY(audit_verify(c->db, c->arena, chain->chain, &fault));
	*ret_whole = fault.why == NULL;
	if (*ret_whole)
		printf("%s %s: %" PRId64 " rows are as they were written\n", kind, chain->chain,
		    chain->seq - chain->anchor_seq);
	else
		printf("%s %s: broken at row %" PRId64 " (%s): %s\n", kind, chain->chain, fault.seq,
		    fault.id != NULL ? fault.id : "none is left", fault.why);
	return QN_OK;
}

/* An organization by its id or slug; one that is deleted still has its log, by its id. */
static const char *org_id(struct ctl *c, const char *app, const char *name)
{
	char id[QN_UUID_LEN + 1];
	struct organization o;

	if (qn_uuid_parse(name, strlen(name), id))
		return qn_strdup(c->arena, id);
	if (app == NULL) {
		fputs("quoinctl: a slug belongs to an app: say which with --app\n", stderr);
		return NULL;
	}
	enum qn_err e = organization_find(c->db, c->arena, app, name, &o);
	if (e == QN_OK)
		return o.id;
	ctl_fail(c, name, e);
	return NULL;
}

static int verify_all(struct ctl *c, const char *app, const char *org)
{
	struct qn_list chains;
	int status = CTL_OK;

	enum qn_err e = audit_chains(c->db, c->arena, app, org, &chains);
	const struct audit_chain *all = chains.items;
	for (size_t i = 0; e == QN_OK && i < chains.n; i++) {
		bool whole = false;
		e = verify(c, &all[i], &whole);
		if (!whole)
			status = CTL_FAILED;
	}
	return e == QN_OK ? status : ctl_fail(c, "audit", e);
}

/* The newest of an organization, else of the app itself: what the accounts of its users went through. */
static int list(struct ctl *c, const char *app, const char *org, const struct audit_filter *filter,
    const char *before)
{
	struct qn_list found;
	enum qn_err e = audit_list(
	    c->db, c->arena, app, org != NULL ? org : app, filter, before, LIST_MOST, &found);

	if (e != QN_OK)
		return ctl_fail(c, "audit", e);
	const struct audit_row *rows = found.items;
	for (size_t i = 0; i < found.n; i++)
		if (!ctl_print_json(&audit_row_object, &rows[i]))
			return CTL_FAILED;
	return CTL_OK;
}

/* By his address, or by his id, which outlives him. */
static const char *user_id(struct ctl *c, const char *app, const char *name)
{
	char id[QN_UUID_LEN + 1];

	return qn_uuid_parse(name, strlen(name), id) ? qn_strdup(c->arena, id)
	                                             : ctl_user_id(c, app, name);
}

int ctl_audit(struct ctl *c, int argc, char **argv)
{
	const char *slug = ctl_option(&argc, argv, "--app"), *app = NULL;
	const char *org = ctl_option(&argc, argv, "--org");
	const char *user = ctl_option(&argc, argv, "--user");
	const char *before = ctl_option(&argc, argv, "--before");
	struct audit_filter filter = {.action = ctl_option(&argc, argv, "--action"),
	    .from = QN_TIME_NULL,
	    .to = QN_TIME_NULL};
	bool listing = argc == 1 && strcmp(argv[0], "list") == 0;
	bool filtered = user != NULL || before != NULL || filter.action != NULL;
	int64_t seq;

	if (argc != 1 || (listing ? slug == NULL : filtered || strcmp(argv[0], "verify") != 0) ||
	    (before != NULL && !qn_json_i64(qn_span_of(before), &seq)))
		return ctl_usage("audit");
	if (slug != NULL && (app = ctl_app_id(c, slug)) == NULL)
		return CTL_FAILED;
	if (org != NULL && (org = org_id(c, app, org)) == NULL)
		return CTL_FAILED;
	if (user != NULL && (filter.user_id = user_id(c, app, user)) == NULL)
		return CTL_FAILED;
	return listing ? list(c, app, org, &filter, before) : verify_all(c, app, org);
}
