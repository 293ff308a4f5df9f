/* nginx: what the site files need to know of the apps and the routes (DESIGN §2, §9). */
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "quoin/api/tables.h"
#include "quoin/base/json.h"
#include "quoin/http/openapi.h"
#include "quoin/store/app.h"

enum { OUT_BYTES = 1024 * 1024 };

/* Prints a line for each string of a list member of the app's file. */
static void each(struct ctl *c, const struct app_row *app, const char *member, struct qn_buf *out,
    void (*line)(const struct app_row *app, const char *value, struct qn_buf *out))
{
	struct qn_json_object config;
	struct qn_span *items;
	const char *s;
	size_t n;

	if (!qn_json_members(c->arena, app->config, &config) ||
	    !qn_json_elements(c->arena, qn_json_get(&config, member), &items, &n))
		return;
	for (size_t i = 0; i < n; i++)
		if (qn_json_str(c->arena, items[i], &s, NULL))
			line(app, s, out);
}

static void host_line(const struct app_row *app, const char *host, struct qn_buf *out)
{
	qn_buf_printf(out, "    %s %s;\n", host, app->slug);
}

/* nginx's maps know no case, so the answer is the origin as the file has it and not as the client wrote it. */
static void origin_line(const struct app_row *app, const char *origin, struct qn_buf *out)
{
	qn_buf_printf(out, "    \"%s:%s\" \"%s\";\n", app->slug, origin, origin);
}

static void upstream(struct ctl *c, enum qn_pool pool, struct qn_buf *out)
{
	const char *name = qn_pool_name(pool);

	qn_buf_printf(out, "upstream quoin_%s {\n    server unix:%s/%s.sock;\n}\n", name,
	    qn_conf_str(c->conf, QN_CONF_KEY_QUOIN_RUN_DIR), name);
}

int ctl_nginx(struct ctl *c, int argc, char **argv)
{
	struct qn_routes *routes;
	struct qn_list apps;
	struct qn_buf out;

	const char *only = ctl_option(&argc, argv, "--app");
	if (argc != 0)
		return ctl_usage("nginx");
	if (only != NULL && ctl_app_id(c, only) == NULL)
		return CTL_FAILED;
	enum qn_err e = app_list(c->db, c->arena, &apps);
	if (e != QN_OK)
		return ctl_fail(c, "apps", e);
	const struct app_row *rows = apps.items;
	qn_buf_init(&out, OUT_BYTES);
	qn_buf_str(
	    &out, "# Made by quoinctl nginx: make it again when an app or Quoin itself changes.\n");
	/* Where there is one product only, whatever name it is called by is that product's. */
	qn_buf_printf(
	    &out, "map $host $quoin_app {\n    default \"%s\";\n", only != NULL ? only : "");
	for (size_t i = 0; i < apps.n; i++)
		if (only == NULL || strcmp(only, rows[i].slug) == 0)
			each(c, &rows[i], "hosts", &out, host_line);
	qn_buf_str(
	    &out, "}\nmap \"$quoin_app:$http_origin\" $quoin_cors_origin {\n    default \"\";\n");
	for (size_t i = 0; i < apps.n; i++)
		each(c, &rows[i], "origins", &out, origin_line);
	qn_buf_str(&out, "}\n");
	routes = qn_routes_new(qn_api_tables);
	qn_routes_nginx(routes, &out);
	qn_routes_free(routes);
	for (int p = QN_POOL_API; p < QN_POOL_JOBS; p++)
		upstream(c, (enum qn_pool)p, &out);
	bool whole = !out.over && fwrite(out.p, 1, out.n, stdout) == out.n;
	qn_buf_done(&out);
	return whole ? CTL_OK : CTL_FAILED;
}
