/* The table of routes: what it refuses at start, what it finds, and which errors a row implies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "quoin/api/tables.h"
#include "quoin/http/page.h"
#include "quoin/http/route.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct thing {
	const char *name;
	int64_t size;
	const struct thing *inner;
};

static const struct qn_field thing_fields[] = {
    QN_FIELD(struct thing, name, STR, 0, 0, 10, "A name."),
    QN_FIELD(struct thing, size, I64, 0, 0, 10, "A size."),
};
static const struct qn_object thing_object = QN_OBJECT("Thing", struct thing, thing_fields);

static const struct qn_field bad_fields[] = {
    {.name = "name", .type = QN_T_STR, .doc = ""},
};
static const struct qn_object bad_object = QN_OBJECT("Bad", struct thing, bad_fields);

static const struct qn_field nested_fields[] = {
    QN_FIELD_SUB(struct thing, inner, OBJ, 0, &thing_object, "Another."),
};
static const struct qn_object nested_object = QN_OBJECT("Nested", struct thing, nested_fields);

static enum qn_err answer(struct qn_request *r)
{
	(void)r;
	return QN_OK;
}

#define ROW(method_, path_, id_) \
	.method = (method_), .path = (path_), .id = (id_), .summary = "S.", .pool = QN_POOL_API, \
	.auth = QN_AUTH_PUBLIC, .reply = &thing_object, .handler = answer

static const struct qn_route_table *const *only(const struct qn_route *rows, size_t n)
{
	static struct qn_route_table table;
	static const struct qn_route_table *const tables[] = {&table, NULL};

	table = (struct qn_route_table){rows, n};
	return tables;
}

/* finding */

static const struct qn_route rows[] = {
    {ROW(QN_GET, "/", "root")},
    {ROW(QN_GET, "/a", "a.get")},
    {ROW(QN_POST, "/a", "a.post"), .flags = QN_R_ONCE},
    {ROW(QN_DELETE, "/a", "a.delete")},
    {ROW(QN_PUT, "/a", "a.put")},
    {ROW(QN_PATCH, "/a", "a.patch")},
    {ROW(QN_GET, "/a/shared", "shared")},
    {ROW(QN_GET, "/a/{id}", "one"), .missing = QN_NOT_FOUND},
    {ROW(QN_PUT, "/a/{id}", "one.put"), .missing = QN_NOT_FOUND},
    {ROW(QN_GET, "/a/{id}/b", "one.b"), .missing = QN_NOT_FOUND},
    {ROW(QN_GET, "/a/{id}/b/{n:int}", "two"), .missing = QN_NOT_FOUND},
    {ROW(QN_GET, "/a/{id}/b/{n:int}/{c}/{d}", "four"), .missing = QN_NOT_FOUND},
    {ROW(QN_GET, "/a/shared/deep", "deep")},
    {ROW(QN_GET, "/.well-known/x.json", "dots")},
    {ROW(QN_GET, "/api/v1/q/{id}", "first"), .missing = QN_NOT_FOUND},
    {ROW(QN_GET, "/api/v1/p", "first.p")},
    {ROW(QN_GET, "/api/v2/p", "second.p")},
};

static const struct {
	const char *name;
	enum qn_method method;
	const char *path, *id; /* NULL: none */
	const char *param[QN_PATH_PARAMS];
	unsigned methods;
} finds[] = {
    {"root", QN_GET, "/", "root", {NULL}, 1u << QN_GET},
    {"literal", QN_GET, "/a", "a.get", {NULL}, 0x3e},
    {"by method", QN_POST, "/a", "a.post", {NULL}, 0x3e},
    {"put", QN_PUT, "/a", "a.put", {NULL}, 0x3e},
    {"patch", QN_PATCH, "/a", "a.patch", {NULL}, 0x3e},
    {"delete", QN_DELETE, "/a", "a.delete", {NULL}, 0x3e},
    {"unknown method", QN_METHOD_NONE, "/a", NULL, {NULL}, 0x3e},
    {"method not there", QN_DELETE, "/a/x", NULL, {"x"}, 1u << QN_GET | 1u << QN_PUT},
    {"literal before parameter", QN_GET, "/a/shared", "shared", {NULL}, 1u << QN_GET},
    {"literal, other method", QN_PUT, "/a/shared", NULL, {NULL}, 1u << QN_GET},
    {"longer than the literal", QN_GET, "/a/shared2", "one", {"shared2"},
	1u << QN_GET | 1u << QN_PUT},
    {"shorter than the literal", QN_GET, "/a/share", "one", {"share"}, 1u << QN_GET | 1u << QN_PUT},
    {"case counts", QN_GET, "/a/Shared", "one", {"Shared"}, 1u << QN_GET | 1u << QN_PUT},
    {"no way back from a literal", QN_GET, "/a/shared/b", NULL, {NULL}, 0},
    {"below the literal", QN_GET, "/a/shared/deep", "deep", {NULL}, 1u << QN_GET},
    {"parameter inside", QN_GET, "/a/x/b", "one.b", {"x"}, 1u << QN_GET},
    {"two parameters", QN_GET, "/a/x/b/7", "two", {"x", "7"}, 1u << QN_GET},
    {"four parameters", QN_GET, "/a/x/b/7/y/z", "four", {"x", "7", "y", "z"}, 1u << QN_GET},
    {"a node without routes", QN_GET, "/a/x/b/7/y", NULL, {"x", "7", "y"}, 0},
    {"too deep", QN_GET, "/a/x/b/7/y/z/q", NULL, {"x", "7", "y", "z"}, 0},
    {"not there", QN_GET, "/b", NULL, {NULL}, 0},
    {"prefix", QN_GET, "/aa", NULL, {NULL}, 0},
    {"dots are letters", QN_GET, "/.well-known/x.json", "dots", {NULL}, 1u << QN_GET},
    {"and no wildcards", QN_GET, "/.well-known/xajson", NULL, {NULL}, 0},
    {"the next version is as the first", QN_GET, "/api/v2/q/x", "first", {"x"}, 1u << QN_GET},
    {"but where it is itself", QN_GET, "/api/v2/p", "second.p", {NULL}, 1u << QN_GET},
    {"which the first is not", QN_GET, "/api/v1/p", "first.p", {NULL}, 1u << QN_GET},
    {"there is no third", QN_GET, "/api/v3/q/x", NULL, {NULL}, 0},
    {"nor a way in below", QN_GET, "/api/v2/v1/q/x", NULL, {NULL}, 0},
    {"braces of a client", QN_GET, "/a/{id}", "one", {"{id}"}, 1u << QN_GET | 1u << QN_PUT},
};

static void routes_are_found(void **state)
{
	struct qn_routes *routes = qn_routes_new(only(rows, COUNT(rows)));

	(void)state;
	for (size_t i = 0; i < COUNT(finds); i++) {
		struct qn_match m;
		qn_routes_match(routes, finds[i].method, finds[i].path, &m);
		const char *id = m.index >= 0 ? qn_routes_at(routes, (size_t)m.index)->id : NULL;
		if (id == NULL ? finds[i].id != NULL
			       : finds[i].id == NULL || strcmp(id, finds[i].id) != 0)
			fail_msg("%s: found %s", finds[i].name, id != NULL ? id : "none");
		if (m.methods != finds[i].methods)
			fail_msg("%s: methods %#x", finds[i].name, m.methods);
		for (size_t k = 0; k < QN_PATH_PARAMS; k++)
			if (finds[i].param[k] == NULL ? m.param[k].p != NULL
						      : !qn_span_is(m.param[k], finds[i].param[k]))
				fail_msg("%s: parameter %zu is %.*s", finds[i].name, k,
				    (int)m.param[k].n, m.param[k].p != NULL ? m.param[k].p : "");
	}
	qn_routes_free(routes);
}

static void methods_have_names(void **state)
{
	(void)state;
	for (int m = QN_GET; m < QN_METHOD__MAX; m++)
		assert_int_equal(qn_method_by_name(qn_method_name((enum qn_method)m)), m);
	assert_int_equal(qn_method_by_name("HEAD"), QN_GET);
	assert_int_equal(qn_method_by_name("get"), QN_METHOD_NONE);
	assert_int_equal(qn_method_by_name(""), QN_METHOD_NONE);
	assert_int_equal(qn_method_by_name("OPTIONS"), QN_METHOD_NONE);
	assert_int_equal(qn_method_by_name("GET "), QN_METHOD_NONE);
}

/* what is refused at start */

#define OF_ORG \
	.auth = QN_AUTH_USER, .path = "/x/{org_id}", .tenant = "org_id", .missing = QN_NOT_FOUND

/* A good row, and behind it what makes it bad. */
#pragma GCC diagnostic ignored "-Woverride-init"
#define GOOD ROW(QN_GET, "/x", "x")
static const struct {
	const char *name, *says;
	struct qn_route row[2];
} bad[] = {
    {"no method", "no method or path", {{GOOD, .method = QN_METHOD_NONE}}},
    {"no path", "no method or path", {{GOOD, .path = NULL}}},
    {"relative path", "no method or path", {{GOOD, .path = "x"}}},
    {"no id", "no id, summary or handler", {{GOOD, .id = NULL}}},
    {"no summary", "no id, summary or handler", {{GOOD, .summary = NULL}}},
    {"no handler", "no id, summary or handler", {{GOOD, .handler = NULL}}},
    {"no pool", "no pool", {{GOOD, .pool = QN_POOL_NONE}}},
    {"the pool of jobs", "no pool", {{GOOD, .pool = QN_POOL_JOBS}}},
    {"nobody may call it", "who may call", {{GOOD, .auth = 0}}},
    {"body without size", "without a size", {{GOOD, .method = QN_PUT, .body = &thing_object}}},
    {"body of a GET", "without a method", {{GOOD, .body = &thing_object, .body_max = 10}}},
    {"no reply", "no reply", {{GOOD, .reply = NULL}}},
    {"two replies", "two", {{GOOD, .content_type = "text/plain"}}},
    {"parameter without its error", "no error for what is not there", {{GOOD, .path = "/x/{id}"}}},
    {"tenant that is not in the path", "tenant",
	{{GOOD, .path = "/x/{id}", .missing = QN_NOT_FOUND, .tenant = "other"}}},
    {"tenant that is in the path as a word only", "tenant",
	{{GOOD, .path = "/x/{id}", .missing = QN_NOT_FOUND, .tenant = "x"}}},
    {"tenant that begins like a parameter", "tenant",
	{{GOOD, .path = "/x/{id}", .missing = QN_NOT_FOUND, .tenant = "i"}}},
    {"POST that may not be repeated", "Idempotency-Key", {{GOOD, .method = QN_POST}}},
    {"body whose table is faulty", "without a sentence",
	{{GOOD, .method = QN_PUT, .body = &bad_object, .body_max = 10}}},
    {"query whose table is faulty", "without a sentence", {{GOOD, .query = &bad_object}}},
    {"reply whose table is faulty", "without a sentence", {{GOOD, .reply = &bad_object}}},
    {"body with an object inside", "nested",
	{{GOOD, .method = QN_PUT, .body = &nested_object, .body_max = 10}}},
    {"query with an object inside", "nested", {{GOOD, .query = &nested_object}}},
    {"list of pages without their query", "pages", {{GOOD, .flags = QN_R_PAGED}}},
    {"too many parameters", "parameters",
	{{GOOD, .path = "/{a}/{b}/{c}/{d}/{e}", .missing = QN_NOT_FOUND}}},
    {"parameter without its end", "parameter", {{GOOD, .path = "/x/{id", .missing = QN_NOT_FOUND}}},
    {"parameter with something behind it", "parameter",
	{{GOOD, .path = "/x/{id}.json", .missing = QN_NOT_FOUND}}},
    {"parameter behind something", "parameter",
	{{GOOD, .path = "/x/v{id}", .missing = QN_NOT_FOUND}}},
    {"parameter of an unknown kind", "parameter",
	{{GOOD, .path = "/x/{id:float}", .missing = QN_NOT_FOUND}}},
    {"path that is never asked for", "canonical", {{GOOD, .path = "/x/"}}},
    {"same id", "stands twice", {{GOOD}, {GOOD, .path = "/y"}}},
    {"same method and path", "is taken", {{GOOD}, {GOOD, .id = "y"}}},
    {"same but for the name of the parameter", "is taken",
	{{GOOD, .path = "/x/{a}", .missing = QN_NOT_FOUND},
	    {GOOD, .id = "y", .path = "/x/{b}", .missing = QN_NOT_FOUND}}},
    {"organization without a role", "which role", {{GOOD, OF_ORG}}},
    {"role without an organization", "which role",
	{{GOOD, .auth = QN_AUTH_USER, .role = QN_ROLE_MEMBER}}},
    {"role of another tenant", "which role",
	{{GOOD, .auth = QN_AUTH_USER, .path = "/x/{id}", .tenant = "id", .missing = QN_NOT_FOUND,
	    .role = QN_ROLE_MEMBER}}},
    {"role of anybody", "nobody knows",
	{{GOOD, OF_ORG, .role = QN_ROLE_MEMBER, .auth = QN_AUTH_USER | QN_AUTH_PUBLIC}}},
    {"key that administers", "API key",
	{{GOOD, OF_ORG, .role = QN_ROLE_ADMIN, .auth = QN_AUTH_KEY}}},
    {"plan of anybody", "nobody knows", {{GOOD, .rank = 1}}},
    {"plan below all", "nobody knows", {{GOOD, .auth = QN_AUTH_USER, .rank = -1}}},
};

/* What a process that makes these routes says as it ends; "" when it makes them. */
static const char *refusal(const struct qn_route *list, size_t n)
{
	static char said[1024];
	int line[2], status;
	size_t have = 0;
	ssize_t got;

	assert_return_code(pipe(line), errno);
	fflush(NULL);
	pid_t pid = fork();
	assert_return_code(pid, errno);
	if (pid == 0) {
		dup2(line[1], STDERR_FILENO);
		qn_routes_free(qn_routes_new(only(list, n)));
		_exit(0);
	}
	close(line[1]);
	while ((got = read(line[0], said + have, sizeof(said) - 1 - have)) > 0)
		have += (size_t)got;
	said[have] = '\0';
	close(line[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), have > 0 ? 1 : 0);
	return said;
}

static void bad_rows_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		const char *said = refusal(bad[i].row, bad[i].row[1].path != NULL ? 2 : 1);
		if (strstr(said, bad[i].says) == NULL)
			fail_msg("%s: said '%s'", bad[i].name, said);
	}
	assert_string_equal(refusal(rows, COUNT(rows)), "");
}

/* errors that a row implies */

static const struct qn_route plain = {GOOD};
static const struct qn_route health = {GOOD, .rate = QN_RATE_NONE};
static const struct qn_route full = {ROW(QN_POST, "/x/{id}", "full"), .missing = QN_GRAPH_NOT_FOUND,
    .auth = QN_AUTH_USER, .flags = QN_R_ONCE | QN_R_IF_MATCH, .body = &thing_object, .body_max = 9,
    .errors = {QN_DENIED, QN_CONFLICT, QN_BAD_JSON}};
static const struct qn_route mine = {
    ROW(QN_GET, "/x", "local"), .auth = QN_AUTH_LOCAL, .query = &thing_object};

static const struct qn_route keys = {
    ROW(QN_GET, "/x", "keys"), .auth = QN_AUTH_USER | QN_AUTH_KEY, .flags = QN_R_ONE_FACTOR};
static const struct qn_route keys_only = {ROW(QN_GET, "/x", "only"), .auth = QN_AUTH_KEY};
static const struct qn_route staff = {
    ROW(QN_GET, "/x", "staff"), .auth = QN_AUTH_USER, .flags = QN_R_RECENT | QN_R_STAFF};

static const struct qn_route member = {
    ROW(QN_GET, "/x/{org_id}", "member"), OF_ORG, .role = QN_ROLE_MEMBER, .flags = QN_R_ONE_FACTOR};
static const struct qn_route admin = {ROW(QN_GET, "/x/{org_id}", "admin"), OF_ORG,
    .role = QN_ROLE_ADMIN, .rank = 2, .flags = QN_R_ONE_FACTOR};

static const struct {
	const char *name;
	const struct qn_route *row;
	enum qn_err errors[32];
} implied[] = {
    {"nothing", &health, {QN_OK}},
    {"its rate alone", &plain, {QN_RATE_LIMITED}},
    {"all", &full,
	{QN_DENIED, QN_CONFLICT, QN_BAD_JSON, QN_GRAPH_NOT_FOUND, QN_PRECONDITION,
	    QN_UNAUTHENTICATED, QN_TOO_LARGE, QN_MEDIA_TYPE, QN_INVALID, QN_KEY_REUSED,
	    QN_IN_PROGRESS, QN_MIXED_CREDENTIALS, QN_SUSPENDED, QN_BAD_KEY, QN_KEY_REFUSED,
	    QN_ORIGIN, QN_MFA_REQUIRED, QN_RATE_LIMITED}},
    {"keys and one factor", &keys,
	{QN_UNAUTHENTICATED, QN_MIXED_CREDENTIALS, QN_SUSPENDED, QN_BAD_KEY, QN_SCOPE,
	    QN_RATE_LIMITED}},
    {"keys only", &keys_only,
	{QN_UNAUTHENTICATED, QN_MIXED_CREDENTIALS, QN_SUSPENDED, QN_BAD_KEY, QN_SCOPE,
	    QN_KEY_REQUIRED, QN_RATE_LIMITED}},
    {"staff, lately", &staff,
	{QN_UNAUTHENTICATED, QN_MIXED_CREDENTIALS, QN_SUSPENDED, QN_BAD_KEY, QN_KEY_REFUSED,
	    QN_MFA_REQUIRED, QN_REAUTHENTICATE, QN_DENIED, QN_RATE_LIMITED}},
    {"local", &mine, {QN_DENIED, QN_INVALID, QN_RATE_LIMITED}},
    {"member", &member,
	{QN_UNAUTHENTICATED, QN_MIXED_CREDENTIALS, QN_SUSPENDED, QN_BAD_KEY, QN_KEY_REFUSED,
	    QN_NOT_FOUND, QN_RATE_LIMITED}},
    {"admin with a plan", &admin,
	{QN_UNAUTHENTICATED, QN_MIXED_CREDENTIALS, QN_SUSPENDED, QN_BAD_KEY, QN_KEY_REFUSED,
	    QN_NOT_FOUND, QN_ROLE, QN_TIER, QN_RATE_LIMITED}},
};

static void errors_are_implied(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(implied); i++) {
		enum qn_err got[QN_ROUTE_ALL_ERRORS];
		size_t n = qn_route_errors(implied[i].row, got), want = 0;
		for (; implied[i].errors[want] != QN_OK; want++) {
			bool there = false;
			for (size_t k = 0; k < n; k++)
				there = there || got[k] == implied[i].errors[want];
			if (!there)
				fail_msg("%s lacks %s", implied[i].name,
				    qn_err_code(implied[i].errors[want]));
		}
		if (n != want)
			fail_msg("%s has %zu errors, not %zu", implied[i].name, n, want);
	}
}

/* the tables that are served */

static void visit(const struct qn_object *o, const struct qn_object **seen, size_t *n)
{
	for (size_t i = 0; i < *n; i++) {
		if (seen[i] == o)
			return;
		if (strcmp(seen[i]->name, o->name) == 0)
			fail_msg("two objects are shown as %s", o->name);
	}
	assert_in_range(*n, 0, 255);
	seen[(*n)++] = o;
	for (size_t i = 0; i < o->n; i++)
		if (o->fields[i].sub != NULL)
			visit(o->fields[i].sub, seen, n);
}

/* openapi.json has one schema a name: another object of the same name would be left out. */
static void objects_have_names_of_their_own(void **state)
{
	struct qn_routes *routes = qn_routes_new(qn_api_tables);
	const struct qn_object *seen[256];
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < qn_routes_n(routes); i++) {
		const struct qn_route *r = qn_routes_at(routes, i);
		if (r->body != NULL)
			visit(r->body, seen, &n);
		if (r->reply != NULL)
			visit(r->reply, seen, &n);
	}
	qn_routes_free(routes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(routes_are_found),
	    cmocka_unit_test(methods_have_names),
	    cmocka_unit_test(bad_rows_are_refused),
	    cmocka_unit_test(errors_are_implied),
	    cmocka_unit_test(objects_have_names_of_their_own),
	};
	return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}
