/* audit verify: recomputes the chains and names the first row of each that is not as it was written. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "quoin/base/rand.h"
#include "quoin/store/audit.h"
#include "quoin/store/organization.h"

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

int ctl_audit(struct ctl *c, int argc, char **argv)
{
	const char *slug = ctl_option(&argc, argv, "--app"), *app = NULL;
	const char *org = ctl_option(&argc, argv, "--org");
	struct qn_list chains;
	int status = CTL_OK;

	if (argc != 1 || strcmp(argv[0], "verify") != 0)
		return ctl_usage("audit");
	if (slug != NULL && (app = ctl_app_id(c, slug)) == NULL)
		return CTL_FAILED;
	if (org != NULL && (org = org_id(c, app, org)) == NULL)
		return CTL_FAILED;
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
