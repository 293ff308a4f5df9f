/* routes, openapi, statements, config, migrate: the tables made visible, and the schema. */
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "quoin/api/tables.h"
#include "quoin/http/openapi.h"
#include "quoin/store/migrate.h"

static int print_from_routes(void (*print)(const struct qn_routes *routes, struct qn_buf *out))
{
	struct qn_routes *routes = qn_routes_new(qn_api_tables);
	struct qn_buf b;

	qn_buf_init(&b, QN_OPENAPI_BYTES);
	print(routes, &b);
	bool whole = !b.over && fwrite(b.p, 1, b.n, stdout) == b.n;
	qn_buf_done(&b);
	qn_routes_free(routes);
	return whole ? CTL_OK : CTL_FAILED;
}

int ctl_openapi(struct ctl *c, int argc, char **argv)
{
	(void)c;
	(void)argv;
	return argc == 0 ? print_from_routes(qn_openapi) : ctl_usage("openapi");
}

static const char *who(const struct qn_route *r)
{
	if (r->auth & QN_AUTH_LOCAL)
		return "local";
	if (r->auth & QN_AUTH_KEY)
		return r->auth & QN_AUTH_USER ? "user, key" : "key";
	if ((r->auth & QN_AUTH_USER) && (r->auth & QN_AUTH_PUBLIC))
		return "public, user";
	return r->auth & QN_AUTH_USER ? "user" : "public";
}

/* What else it asks for: a role in the organization, a plan of that rank. */
static const char *gates(const struct qn_route *r, char out[32])
{
	int n = snprintf(out, 32, "%s", member_role_name(r->role));

	if (r->rank > 0)
		snprintf(out + n, 32 - (size_t)n, "%srank %d", n > 0 ? ", " : "", r->rank);
	return out[0] != '\0' ? out : "-";
}

int ctl_routes(struct ctl *c, int argc, char **argv)
{
	(void)c;
	if (argc == 1 && strcmp(argv[0], "--json") == 0)
		return print_from_routes(qn_routes_json);
	if (argc != 0)
		return ctl_usage("routes");
	struct qn_routes *routes = qn_routes_new(qn_api_tables);
	char gate[32];
	for (size_t i = 0; i < qn_routes_n(routes); i++) {
		const struct qn_route *r = qn_routes_at(routes, i);
		printf("%-6s %-58s %-6s %-9s %-14s %s\n", qn_method_name(r->method), r->path,
		    qn_pool_name(r->pool), who(r), gates(r, gate), r->id);
	}
	qn_routes_free(routes);
	return CTL_OK;
}

/* Every statement as the server understands it: an unknown column or a wrong count is found here. */
static int check(struct ctl *c, const struct qn_stmt_set *set, size_t i)
{
	enum qn_err e = qn_db_prepare(c->db, set, (int)i);

	if (e == QN_OK)
		return CTL_OK;
	return ctl_fail(c, set->list[i].name, e);
}

int ctl_statements(struct ctl *c, int argc, char **argv)
{
	static const char *const kinds[] = {"", "read", "fresh", "write"};
	bool checking = argc == 1 && strcmp(argv[0], "--check") == 0;
	int status = CTL_OK;

	if (argc != 0 && !checking)
		return ctl_usage("statements");
	for (size_t s = 0; qn_stmt_sets[s] != NULL; s++) {
		for (size_t i = 0; i < qn_stmt_sets[s]->n; i++) {
			const struct qn_stmt *q = &qn_stmt_sets[s]->list[i];
			if (!checking)
				printf("%s %s %d\n    %s\n", q->name, kinds[q->kind], q->params,
				    q->sql);
			else if (check(c, qn_stmt_sets[s], i) != CTL_OK)
				status = CTL_FAILED;
		}
	}
	return status;
}

int ctl_config(struct ctl *c, int argc, char **argv)
{
	if (argc == 1 && strcmp(argv[0], "--markdown") == 0)
		qn_conf_markdown(stdout);
	else if (argc == 0)
		qn_conf_print(c->conf, stdout);
	else
		return ctl_usage("config");
	return CTL_OK;
}

int ctl_migrate(struct ctl *c, int argc, char **argv)
{
	const char *dir = ctl_option(&argc, argv, "--dir");
	const char *url = qn_conf_str(c->conf, QN_CONF_KEY_DATABASE_ADMIN_URL);
	struct migrate_options o = {
	    .url = url[0] != '\0' ? url : qn_conf_str(c->conf, QN_CONF_KEY_DATABASE_URL),
	    .dir = dir != NULL ? dir : QUOIN_DATADIR "/migrations",
	    .role = qn_conf_str(c->conf, QN_CONF_KEY_DATABASE_APP_ROLE),
	    .dry_run = argc == 1 && strcmp(argv[0], "--dry-run") == 0,
	    .status = argc == 1 && strcmp(argv[0], "status") == 0,
	};

	if (argc > 1 || (argc == 1 && !o.dry_run && !o.status))
		return ctl_usage("migrate");
	return migrate_run(&o, stdout) == QN_OK ? CTL_OK : CTL_FAILED;
}
