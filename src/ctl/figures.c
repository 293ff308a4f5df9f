/* figures: what an operator sees of the business (CONTRACT D55; docs/figures.md). */
#include "quoin/store/figures.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"

static const char heading[] = "day          signups    dau    mau  validations  refused  "
			      "converted  paying  new  churned  trials  past due\n";

static void print_day(const struct figures_day *d)
{
	const struct figures_money *m = d->money.items;

	printf("%s%c %8" PRId64 " %6" PRId64 " %6" PRId64 " %12" PRId64 " %8" PRId64 " %10" PRId64
	       " %7" PRId64 " %4" PRId64 " %8" PRId64 " %7" PRId64 " %9" PRId64 "\n",
	    d->day, d->complete == 1 ? ' ' : '*', d->signups, d->dau, d->mau, d->validations,
	    d->validations_refused, d->conversions, d->paying_customers, d->new_customers,
	    d->churned_customers, d->trials, d->past_due);
	for (size_t i = 0; i < d->money.n; i++)
		printf("  %s mrr %" PRId64 " arr %" PRId64 " new %" PRId64 " expanded %" PRId64
		       " contracted %" PRId64 " lost %" PRId64 " past due %" PRId64 "\n",
		    m[i].currency, m[i].mrr, m[i].arr, m[i].mrr_new, m[i].mrr_expanded,
		    m[i].mrr_contracted, m[i].mrr_lost, m[i].mrr_past_due);
}

static void print_table(const struct figures *f)
{
	const struct figures_day *days = f->figures.items;

	fputs(heading, stdout);
	for (size_t i = 0; i < f->figures.n; i++)
		print_day(&days[i]);
	print_day(f->today);
}

int ctl_figures(struct ctl *c, int argc, char **argv)
{
	const char *slug = ctl_option(&argc, argv, "--app"), *app;
	const char *from = ctl_option(&argc, argv, "--from"), *to = ctl_option(&argc, argv, "--to");
	bool json = argc == 1 && strcmp(argv[0], "--json") == 0;
	struct figures_range range;
	struct figures f;
	const char *field;

	if (slug == NULL || argc != json)
		return ctl_usage("figures");
	const char *fault = figures_range(from, to, &range, &field);
	if (fault != NULL) {
		fprintf(stderr, "quoinctl: --%s: %s\n", field, fault);
		return CTL_USAGE;
	}
	if ((app = ctl_app_id(c, slug)) == NULL)
		return CTL_FAILED;
	enum qn_err e = figures_of(c->db, c->arena, app, &range, &f);
	if (e != QN_OK)
		return ctl_fail(c, "figures", e);
	if (json)
		return ctl_print_json(&figures_object, &f) ? CTL_OK : CTL_FAILED;
	print_table(&f);
	return CTL_OK;
}
