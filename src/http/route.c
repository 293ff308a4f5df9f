#include "quoin/http/route.h"

#include <stdlib.h>
#include <string.h>

#include "quoin/base/log.h"

/* What the next version does not do in a way of its own it does as the first (CONTRACT D2). */
#define NEXT "/api/v2/"

struct node {
	struct qn_span segment; /* literal; absent for a parameter */
	struct node *children;  /* literals */
	struct node *param;
	struct node *next;         /* sibling */
	int route[QN_METHOD__MAX]; /* index, -1 none */
	unsigned methods;
};

struct qn_routes {
	const struct qn_route **list;
	size_t n;
	struct node *root;
};

static const char *const methods[QN_METHOD__MAX] = {"", "GET", "POST", "PUT", "PATCH", "DELETE"};

const char *qn_method_name(enum qn_method m)
{
	return methods[m];
}

enum qn_method qn_method_by_name(const char *name)
{
	if (strcmp(name, "HEAD") == 0)
		return QN_GET;
	for (int m = QN_GET; m < QN_METHOD__MAX; m++)
		if (strcmp(methods[m], name) == 0)
			return (enum qn_method)m;
	return QN_METHOD_NONE;
}

/* A part of a path that is a parameter: "{id}", "{n:int}" or "{word:name}". */
static bool good_param(struct qn_span s)
{
	size_t name = s.n > 0 && s.p[0] == '{' ? strspn(s.p + 1, "abcdefghijklmnopqrstuvwxyz_") : 0;
	struct qn_span rest = {s.p + 1 + name, s.n - 1 - name};

	return name > 0 && name + 1 < s.n &&
	       (qn_span_is(rest, "}") || qn_span_is(rest, ":int}") || qn_span_is(rest, ":name}"));
}

/* The segment that starts at *path, which is moved to the next one (NULL at the end). */
static struct qn_span take_segment(const char **path)
{
	const char *start = *path;
	const char *slash = strchr(start, '/');
	size_t n = slash != NULL ? (size_t)(slash - start) : strlen(start);

	*path = slash != NULL ? slash + 1 : NULL;
	return (struct qn_span){start, n};
}

static const char *path_fault(const struct qn_route *r)
{
	const char *at = r->path + 1;
	size_t params = 0, tenant = r->tenant != NULL ? strlen(r->tenant) : 0;
	bool found = tenant == 0;

	while (at != NULL && r->path[1] != '\0') {
		struct qn_span s = take_segment(&at);
		if (s.n == 0)
			return "its path is not canonical";
		if (memchr(s.p, '{', s.n) == NULL && memchr(s.p, '}', s.n) == NULL)
			continue;
		if (!good_param(s) || ++params > QN_PATH_PARAMS)
			return "it has a parameter of no known form, or too many parameters";
		found = found || (strncmp(s.p + 1, r->tenant, tenant) == 0 &&
				     strchr(":}", s.p[1 + tenant]) != NULL);
	}
	if (params > 0 && r->missing == QN_OK)
		return "it has a parameter and no error for what is not there";
	return found ? NULL : "its tenant is not in its path";
}

/* What comes in is flat: body.c reads no objects inside objects. */
static const char *input_fault(const struct qn_object *o)
{
	const char *fault = o != NULL ? qn_object_fault(o) : NULL;

	for (size_t i = 0; o != NULL && fault == NULL && i < o->n; i++)
		if (o->fields[i].sub != NULL)
			fault = "its body or query has nested objects";
	if (fault == NULL && o != NULL && o->n > 64)
		fault = "its body or query has more than 64 members";
	return fault;
}

/* Of an organization or of a plan: a forgotten role would let in whoever is signed in. */
static const char *gate_fault(const struct qn_route *r)
{
	bool of_org = r->tenant != NULL && strcmp(r->tenant, "org_id") == 0;

	if (of_org != (r->role != QN_ROLE_NONE))
		return "a route of an organization, and no other, says which role it asks for";
	if (of_org && (r->auth & ~(unsigned)(QN_AUTH_USER | QN_AUTH_KEY)) != 0)
		return "it asks for a role of callers whom nobody knows";
	if (r->role >= QN_ROLE_ADMIN && (r->auth & QN_AUTH_KEY) != 0)
		return "an API key cannot administer an organization";
	if (r->rank != 0 && (r->rank < 0 || (r->auth & (QN_AUTH_USER | QN_AUTH_KEY)) == 0))
		return "it asks for a plan of callers whom nobody knows";
	if ((r->flags & QN_R_SUPPORT) && (r->method != QN_GET || !(r->flags & QN_R_STAFF)))
		return "support looks, and only at what is the staff's";
	return NULL;
}

static const char *row_fault(const struct qn_route *r)
{
	bool has_body = r->method == QN_POST || r->method == QN_PUT || r->method == QN_PATCH;

	if (r->method == QN_METHOD_NONE || r->path == NULL || r->path[0] != '/')
		return "it has no method or path";
	if (r->id == NULL || r->summary == NULL || r->handler == NULL)
		return "it has no id, summary or handler";
	if (r->pool == QN_POOL_NONE || r->pool == QN_POOL_JOBS)
		return "it has no pool";
	if ((unsigned)r->rate > QN_RATE_NONE)
		return "it has no rate class";
	if (r->auth == 0)
		return "it does not say who may call it";
	if (r->body != NULL && (!has_body || r->body_max == 0))
		return "it has a body without a method for one, or without a size";
	if ((r->flags & QN_R_REDIRECT) ? r->reply != NULL || r->content_type != NULL
				       : (r->reply == NULL) == (r->content_type == NULL))
		return "it has no reply, or two";
	if ((r->flags & QN_R_FORM) && (r->auth != QN_AUTH_PUBLIC || r->body == NULL))
		return "a form is for a body, and for those who show nothing else";
	if (r->method == QN_POST && (r->flags & (QN_R_ONCE | QN_R_KEYED | QN_R_UNKEPT)) == 0)
		return "a POST must honour Idempotency-Key";
	if (r->once_by != NULL &&
	    ((r->flags & QN_R_ONCE) == 0 || qn_object_field(r->body, r->once_by) == NULL))
		return "its Idempotency-Keys are of a member that its body has not";
	if (r->fresh_s != 0 && (r->fresh_s < 0 || r->method != QN_GET || r->auth != QN_AUTH_PUBLIC))
		return "what others may keep is for everybody, and asked for with GET";
	if ((r->flags & QN_R_SIGNED) && !(r->auth & (QN_AUTH_USER | QN_AUTH_KEY)) &&
	    r->missing == QN_OK && !(r->flags & QN_R_APP))
		return "its replies are signed by an app that it does not know";
	if ((r->flags & QN_R_PAGED) && r->query == NULL)
		return "it has pages and no query to ask for them";
	const char *fault = path_fault(r);
	if (fault == NULL)
		fault = gate_fault(r);
	if (fault == NULL)
		fault = input_fault(r->body);
	if (fault == NULL)
		fault = input_fault(r->query);
	if (fault == NULL && r->reply != NULL)
		fault = qn_object_fault(r->reply);
	return fault;
}

static struct node *node_new(struct qn_span segment)
{
	struct node *n = calloc(1, sizeof(*n));

	if (n == NULL)
		qn_fatal("out of memory");
	n->segment = segment;
	for (int m = 0; m < QN_METHOD__MAX; m++)
		n->route[m] = -1;
	return n;
}

static void node_free(struct node *n)
{
	while (n != NULL) {
		struct node *next = n->next;
		node_free(n->children);
		node_free(n->param);
		free(n);
		n = next;
	}
}

static struct node *find_child(const struct node *parent, struct qn_span segment)
{
	for (struct node *c = parent->children; c != NULL; c = c->next)
		if (c->segment.n == segment.n && memcmp(c->segment.p, segment.p, segment.n) == 0)
			return c;
	return NULL;
}

static struct node *grow(struct node *parent, struct qn_span segment)
{
	if (segment.n > 0 && segment.p[0] == '{') {
		if (parent->param == NULL)
			parent->param = node_new((struct qn_span){NULL, 0});
		return parent->param;
	}
	struct node *c = find_child(parent, segment);
	if (c == NULL) {
		c = node_new(segment);
		c->next = parent->children;
		parent->children = c;
	}
	return c;
}

static void add_route(struct qn_routes *routes, const struct qn_route *r)
{
	const char *fault = row_fault(r);
	const char *at = r->path + 1;
	struct node *n = routes->root;

	if (fault != NULL)
		qn_fatal("route %s: %s", r->id != NULL ? r->id : r->path, fault);
	for (size_t i = 0; i < routes->n; i++)
		if (strcmp(routes->list[i]->id, r->id) == 0)
			qn_fatal("route %s stands twice", r->id);
	while (at != NULL)
		n = grow(n, take_segment(&at));
	if (n->route[r->method] >= 0)
		qn_fatal("route %s: %s %s is taken", r->id, methods[r->method], r->path);
	n->route[r->method] = (int)routes->n;
	n->methods |= 1u << r->method;
	routes->list[routes->n++] = r;
}

struct qn_routes *qn_routes_new(const struct qn_route_table *const *tables)
{
	struct qn_routes *routes = calloc(1, sizeof(*routes));
	size_t n = 0;

	for (size_t t = 0; tables[t] != NULL; t++)
		n += tables[t]->n;
	if (n > QN_BOARD_ROUTES)
		qn_fatal("more routes than the board has lines for");
	if (routes == NULL || (routes->list = calloc(n, sizeof(*routes->list))) == NULL)
		qn_fatal("out of memory");
	routes->root = node_new((struct qn_span){NULL, 0});
	for (size_t t = 0; tables[t] != NULL; t++)
		for (size_t i = 0; i < tables[t]->n; i++)
			add_route(routes, &tables[t]->rows[i]);
	return routes;
}

void qn_routes_free(struct qn_routes *routes)
{
	if (routes == NULL)
		return;
	node_free(routes->root);
	free(routes->list);
	free(routes);
}

size_t qn_routes_n(const struct qn_routes *routes)
{
	return routes->n;
}

const struct qn_route *qn_routes_at(const struct qn_routes *routes, size_t index)
{
	return routes->list[index];
}

/* From `n` down the parts of a path that begin at `at`. */
static void walk(const struct node *n, enum qn_method method, const char *at, struct qn_match *ret)
{
	size_t params = 0;

	*ret = (struct qn_match){.index = -1};
	while (at != NULL) {
		struct qn_span segment = take_segment(&at);
		const struct node *child = find_child(n, segment);
		if (child == NULL && (child = n->param) != NULL && params < QN_PATH_PARAMS)
			ret->param[params++] = segment;
		if (child == NULL)
			return;
		n = child;
	}
	ret->methods = n->methods;
	ret->index = n->route[method];
}

void qn_routes_match(
    const struct qn_routes *routes, enum qn_method method, const char *path, struct qn_match *ret)
{
	const struct node *api = find_child(routes->root, QN_SPAN_LIT("api"));
	const struct node *v1 = api != NULL ? find_child(api, QN_SPAN_LIT("v1")) : NULL;

	walk(routes->root, method, path + 1, ret);
	if (ret->methods == 0 && v1 != NULL && strncmp(path, NEXT, sizeof(NEXT) - 1) == 0)
		walk(v1, method, path + sizeof(NEXT) - 1, ret);
}

static size_t add_error(enum qn_err *out, size_t n, enum qn_err e)
{
	for (size_t i = 0; i < n; i++)
		if (out[i] == e)
			return n;
	if (n == QN_ROUTE_ALL_ERRORS)
		qn_fatal("a route with too many errors");
	out[n] = e;
	return n + 1;
}

static size_t add_caller_errors(const struct qn_route *r, enum qn_err *out, size_t n)
{
	n = add_error(out, n, QN_UNAUTHENTICATED);
	n = add_error(out, n, QN_MIXED_CREDENTIALS);
	n = add_error(out, n, QN_SUSPENDED);
	n = add_error(out, n, QN_BAD_KEY);
	n = add_error(out, n, r->auth & QN_AUTH_KEY ? QN_SCOPE : QN_KEY_REFUSED);
	if (!(r->auth & QN_AUTH_USER))
		n = add_error(out, n, QN_KEY_REQUIRED);
	if ((r->auth & QN_AUTH_USER) && r->method != QN_GET)
		n = add_error(out, n, QN_ORIGIN);
	if ((r->auth & QN_AUTH_USER) && !(r->flags & QN_R_ONE_FACTOR))
		n = add_error(out, n, QN_MFA_REQUIRED);
	if (r->flags & QN_R_RECENT)
		n = add_error(out, n, QN_REAUTHENTICATE);
	if (r->flags & QN_R_STAFF)
		n = add_error(out, n, QN_DENIED);
	if (r->role > QN_ROLE_MEMBER)
		n = add_error(out, n, QN_ROLE);
	if (r->rank > 0)
		n = add_error(out, n, QN_TIER);
	return n;
}

size_t qn_route_errors(const struct qn_route *r, enum qn_err out[QN_ROUTE_ALL_ERRORS])
{
	size_t n = 0;

	for (size_t i = 0; i < QN_ROUTE_ERRORS && r->errors[i] != QN_OK; i++) {
		n = add_error(out, n, r->errors[i]);
		if (qn_err_status(r->errors[i]) == qn_err_status(QN_DB_DOWN))
			n = add_error(out, n, QN_DB_DOWN); /* that every route can answer */
	}
	if (strchr(r->path, '{') != NULL)
		n = add_error(out, n, r->missing);
	if (strstr(r->path, ":int}") != NULL)
		n = add_error(out, n, QN_NOT_FOUND);
	if (r->flags & QN_R_IF_MATCH)
		n = add_error(out, n, QN_PRECONDITION);
	if (r->rate != QN_RATE_NONE)
		n = add_error(out, n, QN_RATE_LIMITED);
	if (r->auth & QN_AUTH_LOCAL)
		n = add_error(out, n, QN_DENIED);
	if (r->auth & (QN_AUTH_USER | QN_AUTH_KEY))
		n = add_caller_errors(r, out, n);
	if (r->body != NULL)
		n = add_error(out, n, QN_TOO_LARGE);
	if (r->body != NULL && !(r->flags & QN_R_RAW)) {
		n = add_error(out, n, QN_BAD_JSON);
		n = add_error(out, n, QN_MEDIA_TYPE);
	}
	if (r->query != NULL ||
	    (r->method != QN_GET &&
		!(r->flags & QN_R_RAW))) /* where no body is wanted, one that says something */
		n = add_error(out, n, QN_INVALID);
	if (r->flags & (QN_R_ONCE | QN_R_KEYED))
		n = add_error(out, n, QN_KEY_REUSED);
	if (r->flags & QN_R_ONCE)
		n = add_error(out, n, QN_IN_PROGRESS);
	return n;
}
