#include "quoin/http/openapi.h"

#include <string.h>

static void str(struct qn_buf *b, const char *s)
{
	qn_buf_json(b, s, strlen(s));
}

static void name_of(struct qn_buf *b, const char *name, bool camel)
{
	char shown[128];

	if (camel && strlen(name) < sizeof(shown)) {
		qn_camel(name, shown);
		name = shown;
	}
	str(b, name);
}

static void reference(struct qn_buf *b, const struct qn_object *o, const char *suffix)
{
	qn_buf_printf(b, "{\"$ref\":\"#/components/schemas/%s%s\"}", o->name, suffix);
}

/* "string" or ["string","null"]. */
static void type_of(struct qn_buf *b, const char *type, bool nullable)
{
	if (nullable)
		qn_buf_printf(b, "\"type\":[\"%s\",\"null\"]", type);
	else
		qn_buf_printf(b, "\"type\":\"%s\"", type);
}

static void bounds(struct qn_buf *b, const struct qn_field *f, const char *least, const char *most)
{
	if (f->least != 0)
		qn_buf_printf(b, ",\"%s\":%lld", least, (long long)f->least);
	if (f->most != 0)
		qn_buf_printf(b, ",\"%s\":%lld", most, (long long)f->most);
}

static void choices(struct qn_buf *b, const struct qn_field *f, bool nullable)
{
	qn_buf_str(b, ",\"enum\":[");
	for (size_t i = 0; f->choices[i] != NULL; i++) {
		qn_buf_str(b, i > 0 ? "," : "");
		str(b, f->choices[i]);
	}
	qn_buf_str(b, nullable ? ",null]" : "]");
}

static void schema_of(struct qn_buf *b, const struct qn_field *f, bool input, const char *suffix)
{
	bool nullable = input ? !(f->flags & QN_F_REQUIRED) : (f->flags & QN_F_NULLABLE) != 0;

	qn_buf_char(b, '{');
	switch (f->type) {
	case QN_T_STR:
		type_of(b, "string", nullable);
		bounds(b, f, "minLength", "maxLength");
		break;
	case QN_T_UUID:
		type_of(b, "string", nullable);
		if ((f->flags & QN_F_USER) == 0) /* with a prefix in one dialect */
			qn_buf_str(b, ",\"format\":\"uuid\"");
		break;
	case QN_T_ENUM:
		type_of(b, "string", nullable);
		choices(b, f, nullable);
		break;
	case QN_T_I64:
		type_of(b, "integer", nullable);
		bounds(b, f, "minimum", "maximum");
		break;
	case QN_T_BOOL:
		type_of(b, "boolean", nullable);
		break;
	case QN_T_TIME:
		type_of(b, "string", nullable);
		qn_buf_str(b, ",\"format\":\"date-time\"");
		break;
	case QN_T_JSON:
		qn_buf_str(b, f->flags & QN_F_OBJECT ? "\"type\":\"object\""
						     : "\"title\":\"Any JSON value\"");
		break;
	case QN_T_LIST:
		qn_buf_str(b, "\"type\":\"array\",\"items\":");
		reference(b, f->sub, suffix);
		break;
	case QN_T_OBJ:
		qn_buf_str(b, nullable ? "\"anyOf\":[{\"type\":\"null\"}," : "\"allOf\":[");
		reference(b, f->sub, suffix);
		qn_buf_char(b, ']');
		break;
	default:
		break;
	}
	if (f->def != NULL) {
		qn_buf_str(b, ",\"default\":");
		if (f->type == QN_T_I64 || f->type == QN_T_BOOL)
			qn_buf_str(b, f->def);
		else
			str(b, f->def);
	}
	qn_buf_str(b, ",\"description\":");
	str(b, f->doc);
	qn_buf_char(b, '}');
}

/* Which members must be there: of input the required ones, of output all that are never left out. */
static void required(struct qn_buf *b, const struct qn_object *o, bool input, bool camel)
{
	bool any = false;

	for (size_t i = 0; i < o->n; i++) {
		bool must = input ? (o->fields[i].flags & QN_F_REQUIRED) != 0
		                  : !(o->fields[i].flags & QN_F_OPTIONAL);
		if (!must)
			continue;
		qn_buf_str(b, any ? "," : ",\"required\":[");
		name_of(b, o->fields[i].name, camel);
		any = true;
	}
	if (any)
		qn_buf_char(b, ']');
}

enum { SCHEMAS = 512 };

struct schemas {
	struct {
		const struct qn_object *o;
		bool input, camel;
	} seen[SCHEMAS];
	size_t n;
	struct qn_buf *b;
};

static const char *suffix_of(bool camel)
{
	return camel ? "Camel" : "";
}

static bool is_new(struct schemas *s, const struct qn_object *o, bool input, bool camel)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->seen[i].o->name, o->name) == 0 && s->seen[i].camel == camel)
			return false;
	if (s->n == SCHEMAS)
		return false;
	s->seen[s->n].o = o;
	s->seen[s->n].input = input;
	s->seen[s->n++].camel = camel;
	return true;
}

static void schema(struct schemas *s, const struct qn_object *o, bool input, bool camel, bool pick)
{
	if (o == NULL || !is_new(s, o, input, camel))
		return;
	for (size_t i = 0; i < o->n; i++)
		schema(s, o->fields[i].sub, input, camel, false);
	qn_buf_str(s->b, ",\n      ");
	qn_buf_printf(
	    s->b, "\"%s%s\":{\"type\":\"object\",\"properties\":{", o->name, suffix_of(camel));
	for (size_t i = 0; i < o->n; i++) {
		qn_buf_str(s->b, i > 0 ? ",\n        " : "\n        ");
		name_of(s->b, o->fields[i].name, camel);
		qn_buf_char(s->b, ':');
		schema_of(s->b, &o->fields[i], input, suffix_of(camel));
	}
	qn_buf_str(s->b, "\n      }");
	required(s->b, o, input, camel);
	qn_buf_printf(s->b, ",\"additionalProperties\":%s}", pick ? "true" : "false");
}

static const char problem_schema[] =
    "\"Problem\":{\"type\":\"object\",\"properties\":{"
    "\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},\"status\":{\"type\":\"integer\"},"
    "\"detail\":{\"type\":\"string\"},\"error\":{\"type\":\"string\"},\"code\":{\"type\":\"string\"},"
    "\"request_id\":{\"type\":\"string\"},\"errors\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
    "\"properties\":{\"loc\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},\"msg\":{\"type\":\"string\"},"
    "\"type\":{\"type\":\"string\"}},\"required\":[\"loc\",\"msg\",\"type\"]}}},"
    "\"required\":[\"type\",\"title\",\"status\",\"detail\",\"error\",\"code\",\"request_id\"],"
    "\"additionalProperties\":false}";

static const char rate_limited[] =
    "\n    \"RateLimited\":{\"description\":\"Too many requests in a minute, or in a day (UTC).\","
    "\"x-codes\":[\"rate-limited\"],\"headers\":{"
    "\"Retry-After\":{\"required\":true,\"schema\":{\"type\":\"integer\"},"
    "\"description\":\"Seconds to wait.\"},"
    "\"RateLimit-Policy\":{\"required\":true,\"schema\":{\"type\":\"string\"},"
    "\"description\":\"Each limit: its name, quota and window in seconds. On every reply that is limited.\"},"
    "\"RateLimit\":{\"required\":true,\"schema\":{\"type\":\"string\"},"
    "\"description\":\"Of each limit what is left, and the seconds until it is renewed.\"},"
    "\"X-RateLimit-Limit\":{\"required\":true,\"schema\":{\"type\":\"integer\"}},"
    "\"X-RateLimit-Remaining\":{\"required\":true,\"schema\":{\"type\":\"integer\"}},"
    "\"X-RateLimit-Reset\":{\"required\":true,\"schema\":{\"type\":\"integer\"},"
    "\"description\":\"Seconds since 1970-01-01 UTC.\"}},"
    "\"content\":{\"application/problem+json\":{\"schema\":"
    "{\"$ref\":\"#/components/schemas/Problem\"}}}}},";

static void schemas(const struct qn_routes *routes, struct qn_buf *b)
{
	struct schemas s = {.b = b};

	qn_buf_str(b,
	    "  \"components\":{\n    \"responses\":{\"Unauthorized\":{\"description\":\"No bearer token, or one that is not "
	    "accepted; code says why.\",\"content\":{\"application/problem+json\":{\"schema\":"
	    "{\"$ref\":\"#/components/schemas/Problem\"}}}},");
	qn_buf_str(b, rate_limited);
	qn_buf_str(b,
	    "\n    \"securitySchemes\":{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\","
	    "\"bearerFormat\":\"JWT\"},"
	    "\"apiKey\":{\"type\":\"apiKey\",\"in\":\"header\",\"name\":\"X-API-Key\"},"
	    "\"session\":{\"type\":\"apiKey\",\"in\":\"cookie\",\"name\":\"__Host-session\"}},"
	    "\n    \"schemas\":{\n      ");
	qn_buf_str(b, problem_schema);
	for (size_t i = 0; i < qn_routes_n(routes); i++) {
		const struct qn_route *r = qn_routes_at(routes, i);
		bool camel = (r->flags & QN_R_CAMEL) != 0;
		schema(&s, r->body, true, camel, (r->flags & (QN_R_PICK | QN_R_RAW)) != 0);
		schema(&s, r->reply, false, camel, false);
	}
	qn_buf_str(b, "\n    }\n  }\n");
}

/* "/x/{version:int}" as "/x/{version}". */
static void path_of(struct qn_buf *b, const char *path)
{
	for (; *path != '\0'; path++) {
		if (*path == ':')
			path = strchr(path, '}');
		qn_buf_char(b, *path);
	}
}

static void path_params(struct qn_buf *b, const char *path, bool *first)
{
	for (const char *p = path; (p = strchr(p, '{')) != NULL; p++) {
		size_t n = strcspn(p + 1, ":}");
		qn_buf_str(b, *first ? "" : ",");
		*first = false;
		qn_buf_str(b, "{\"in\":\"path\",\"name\":");
		qn_buf_json(b, p + 1, n);
		qn_buf_str(b, ",\"required\":true,\"schema\":");
		qn_buf_str(b, strncmp(p + 1 + n, ":int", 4) == 0 ? "{\"type\":\"integer\"}}"
			      : strncmp(p + 1 + n, ":name", 5) == 0
				  ? "{\"type\":\"string\"}}"
				  : "{\"type\":\"string\",\"format\":\"uuid\"}}");
	}
}

static void query_params(struct qn_buf *b, const struct qn_object *o, bool camel, bool *first)
{
	for (size_t i = 0; o != NULL && i < o->n; i++) {
		qn_buf_str(b, *first ? "" : ",");
		*first = false;
		qn_buf_str(b, "{\"in\":\"query\",\"name\":");
		name_of(b, o->fields[i].name, camel);
		qn_buf_str(b, o->fields[i].flags & QN_F_REQUIRED ? ",\"required\":true" : "");
		qn_buf_str(b, ",\"schema\":");
		schema_of(b, &o->fields[i], true, "");
		qn_buf_char(b, '}');
	}
}

static void header_param(struct qn_buf *b, unsigned wanted, unsigned flags, const char *name,
    const char *doc, bool *first)
{
	if (!(flags & wanted))
		return;
	qn_buf_printf(b,
	    "%s{\"in\":\"header\",\"name\":\"%s\",\"schema\":{\"type\":\"string\"},\"description\":\"%s\"}",
	    *first ? "" : ",", name, doc);
	*first = false;
}

static void parameters(struct qn_buf *b, const struct qn_route *r)
{
	bool first = true, camel = (r->flags & QN_R_CAMEL) != 0;

	qn_buf_str(b, ",\"parameters\":[");
	path_params(b, r->path, &first);
	query_params(b, r->query, camel, &first);
	if (r->flags & QN_R_QUERY_BODY)
		query_params(b, r->body, camel, &first);
	header_param(b, QN_R_ONCE | QN_R_KEYED, r->flags, "Idempotency-Key",
	    "A request sent again with the same key within a day has no second effect.", &first);
	header_param(b, QN_R_IF_MATCH, r->flags, "If-Match",
	    "The ETag of the version that was edited.", &first);
	header_param(b, QN_R_ETAG, r->flags, "If-None-Match",
	    "An ETag that the client has: 304 when it is still right.", &first);
	header_param(b, QN_R_SIGNED, r->flags, "Quoin-Nonce",
	    "8 to 128 characters of base64: the reply is signed (RFC 9421), with them as its nonce.",
	    &first);
	qn_buf_char(b, ']');
}

/* Whether it is the one of its status. */
static bool only(const enum qn_err *errors, size_t n, enum qn_err e)
{
	for (size_t i = 0; i < n; i++)
		if (errors[i] != e && qn_err_status(errors[i]) == qn_err_status(e))
			return false;
	return true;
}

/* The errors of one status: their codes are listed. */
static void error_response(struct qn_buf *b, const enum qn_err *errors, size_t n, int status)
{
	bool first = true;

	if (status == 429 && only(errors, n, QN_RATE_LIMITED)) {
		qn_buf_str(
		    b, ",\n        \"429\":{\"$ref\":\"#/components/responses/RateLimited\"}");
		return;
	}

	/* Why a token is not taken has a dozen codes, which are the same everywhere. */
	if (status == 401) {
		qn_buf_str(
		    b, ",\n        \"401\":{\"$ref\":\"#/components/responses/Unauthorized\"}");
		return;
	}
	qn_buf_printf(b, ",\n        \"%d\":{\"description\":\"A problem.\",\"x-codes\":[", status);
	for (size_t i = 0; i < n; i++) {
		if (qn_err_status(errors[i]) != status)
			continue;
		qn_buf_printf(b, "%s\"%s\"", first ? "" : ",", qn_err_code(errors[i]));
		first = false;
	}
	qn_buf_str(b, "],\"content\":{\"application/problem+json\":{\"schema\":"
		      "{\"$ref\":\"#/components/schemas/Problem\"}}}}");
}

static const char signed_headers[] =
    "\"headers\":{\"Signature-Input\":{\"schema\":{\"type\":\"string\"},"
    "\"description\":\"RFC 9421, when it was asked for: of status, content-digest and date.\"},"
    "\"Signature\":{\"schema\":{\"type\":\"string\"}},"
    "\"Content-Digest\":{\"schema\":{\"type\":\"string\"}}},";

static void success(struct qn_buf *b, const struct qn_route *r)
{
	if (r->flags & QN_R_REDIRECT) {
		qn_buf_str(b, "\"302\":{\"description\":\"Go on there.\"}");
		return;
	}
	qn_buf_str(b, "\"200\":{\"description\":\"Done.\",");
	if (r->flags & QN_R_SIGNED)
		qn_buf_str(b, signed_headers);
	qn_buf_str(b, "\"content\":{");
	if (r->reply != NULL) {
		qn_buf_str(b, "\"application/json\":{\"schema\":");
		reference(b, r->reply, suffix_of((r->flags & QN_R_CAMEL) != 0));
		qn_buf_str(b, "}}}");
	} else {
		qn_buf_json(b, r->content_type, strcspn(r->content_type, ";"));
		qn_buf_str(b, ":{}}}");
	}
}

static void responses(struct qn_buf *b, const struct qn_route *r)
{
	enum qn_err errors[QN_ROUTE_ALL_ERRORS];
	size_t n = qn_route_errors(r, errors);
	int last = 0;

	qn_buf_str(b, ",\n      \"responses\":{\n        ");
	success(b, r);
	if (r->flags & QN_R_ETAG)
		qn_buf_str(b,
		    ",\n        \"304\":{\"description\":\"What the client has is still right.\"}");
	if ((r->flags & QN_R_HEALTH) != 0 && r->reply != NULL) {
		qn_buf_str(b,
		    ",\n        \"503\":{\"description\":\"Not now.\",\"content\":{\"application/json\":{\"schema\":");
		reference(b, r->reply, "");
		qn_buf_str(b, "}}}");
	}
	for (;;) {
		int next = 1000;
		for (size_t i = 0; i < n; i++) {
			int status = qn_err_status(errors[i]);
			if (status > last && status < next)
				next = status;
		}
		if (next == 1000)
			break;
		error_response(b, errors, n, next);
		last = next;
	}
	qn_buf_str(b,
	    ",\n        \"default\":{\"description\":\"Any other problem.\",\"content\":{"
	    "\"application/problem+json\":{\"schema\":{\"$ref\":\"#/components/schemas/Problem\"}}}}}");
}

static void security(struct qn_buf *b, const struct qn_route *r)
{
	qn_buf_str(b, ",\"security\":[");
	if (r->auth & QN_AUTH_PUBLIC)
		qn_buf_str(b, "{},");
	if (r->auth & QN_AUTH_USER)
		qn_buf_str(b, "{\"bearer\":[]},{\"session\":[]}");
	if (r->auth & QN_AUTH_KEY)
		qn_buf_str(b, r->auth & QN_AUTH_USER ? ",{\"apiKey\":[]}" : "{\"apiKey\":[]}");
	qn_buf_char(b, ']');
}

static void operation(struct qn_buf *b, const struct qn_route *r)
{
	static const char *const verbs[QN_METHOD__MAX] = {
	    "", "get", "post", "put", "patch", "delete"};

	qn_buf_printf(b, "\"%s\":{\"operationId\":\"%s\",\"tags\":[", verbs[r->method], r->id);
	qn_buf_json(b, r->id, strcspn(r->id, "."));
	qn_buf_str(b, "],\"summary\":");
	str(b, r->summary);
	if (r->auth & (QN_AUTH_USER | QN_AUTH_KEY))
		security(b, r);
	if (r->role != QN_ROLE_NONE)
		qn_buf_printf(b, ",\"x-role\":\"%s\"", member_role_name(r->role));
	if (r->rank > 0)
		qn_buf_printf(b, ",\"x-plan-rank\":%d", r->rank);
	parameters(b, r);
	if (r->body != NULL) {
		qn_buf_printf(b,
		    ",\n      \"requestBody\":{\"required\":%s,\"content\":{\"application/json\":{\"schema\":",
		    r->flags & QN_R_QUERY_BODY ? "false" : "true");
		reference(b, r->body, suffix_of((r->flags & QN_R_CAMEL) != 0));
		if (r->flags & QN_R_FORM) {
			qn_buf_str(b, "},\"application/x-www-form-urlencoded\":{\"schema\":");
			reference(b, r->body, "");
		}
		qn_buf_str(b, "}}}");
	}
	responses(b, r);
	qn_buf_char(b, '}');
}

static bool first_of_path(const struct qn_routes *routes, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (strcmp(qn_routes_at(routes, i)->path, qn_routes_at(routes, at)->path) == 0)
			return false;
	return true;
}

void qn_openapi(const struct qn_routes *routes, struct qn_buf *b)
{
	bool first = true;

	qn_buf_str(b,
	    "{\n  \"openapi\":\"3.1.0\",\n  \"info\":{\"title\":\"Quoin\",\"version\":\"" PACKAGE_VERSION
	    "\","
	    "\"license\":{\"name\":\"Apache-2.0\",\"identifier\":\"Apache-2.0\"}},\n  \"paths\":{");
	for (size_t i = 0; i < qn_routes_n(routes); i++) {
		const char *path = qn_routes_at(routes, i)->path;
		bool sibling = false;
		if (!first_of_path(routes, i))
			continue;
		qn_buf_str(b, first ? "\n    \"" : ",\n    \"");
		first = false;
		path_of(b, path);
		qn_buf_str(b, "\":{\n      ");
		for (size_t k = i; k < qn_routes_n(routes); k++) {
			if (strcmp(qn_routes_at(routes, k)->path, path) != 0)
				continue;
			qn_buf_str(b, sibling ? ",\n      " : "");
			operation(b, qn_routes_at(routes, k));
			sibling = true;
		}
		qn_buf_str(b, "\n    }");
	}
	qn_buf_str(b, "\n  },\n");
	schemas(routes, b);
	qn_buf_str(b, "}\n");
}

static void string_list(struct qn_buf *b, const char *name, const char *const *words, unsigned bits)
{
	bool first = true;

	qn_buf_printf(b, ",\"%s\":[", name);
	for (unsigned i = 0; words[i] != NULL; i++) {
		if (!(bits & 1u << i))
			continue;
		qn_buf_printf(b, "%s\"%s\"", first ? "" : ",", words[i]);
		first = false;
	}
	qn_buf_char(b, ']');
}

static void route_json(struct qn_buf *b, const struct qn_route *r)
{
	static const char *const auths[] = {"public", "user", "local", "key", NULL};
	static const char *const flags[] = {"query_body", "etag", "if_match", "once", "paged",
	    "camel", "health", "app", "one_factor", "recent", "staff", "redirect", "unkept", "form",
	    "pick", "signed", "raw", "keyed", "stale", "support", NULL};
	enum qn_err errors[QN_ROUTE_ALL_ERRORS];
	size_t n = qn_route_errors(r, errors);

	qn_buf_printf(
	    b, "{\"id\":\"%s\",\"method\":\"%s\",\"path\":\"", r->id, qn_method_name(r->method));
	path_of(b, r->path);
	qn_buf_printf(b, "\",\"pool\":\"%s\"", qn_pool_name(r->pool));
	string_list(b, "auth", auths, r->auth);
	string_list(b, "flags", flags, r->flags);
	qn_buf_printf(b, ",\"rate\":\"%s\"", qn_rate_name(r->rate));
	qn_buf_printf(b, ",\"tenant\":%s%s%s", r->tenant ? "\"" : "",
	    r->tenant ? r->tenant : "null", r->tenant ? "\"" : "");
	qn_buf_printf(b, ",\"role\":\"%s\",\"rank\":%d", member_role_name(r->role), r->rank);
	qn_buf_printf(b, ",\"body\":%s%s%s", r->body ? "\"" : "", r->body ? r->body->name : "null",
	    r->body ? "\"" : "");
	qn_buf_printf(b, ",\"body_max\":%zu,\"missing\":%s%s%s,\"errors\":[", r->body_max,
	    r->missing ? "\"" : "", r->missing ? qn_err_code(r->missing) : "null",
	    r->missing ? "\"" : "");
	for (size_t i = 0; i < n; i++)
		qn_buf_printf(b, "%s{\"status\":%d,\"code\":\"%s\"}", i > 0 ? "," : "",
		    qn_err_status(errors[i]), qn_err_code(errors[i]));
	qn_buf_str(b, "],\"summary\":");
	str(b, r->summary);
	qn_buf_char(b, '}');
}

void qn_routes_json(const struct qn_routes *routes, struct qn_buf *b)
{
	qn_buf_str(b, "{\"routes\":[");
	for (size_t i = 0; i < qn_routes_n(routes); i++) {
		qn_buf_str(b, i > 0 ? ",\n" : "\n");
		route_json(b, qn_routes_at(routes, i));
	}
	qn_buf_str(b, "\n]}\n");
}

/* The path as a regular expression: each parameter is one segment. */
static void nginx_path(struct qn_buf *b, const char *path)
{
	for (; *path != '\0'; path++) {
		if (*path == '{') {
			qn_buf_str(b, "[^/]+");
			path = strchr(path, '}');
		} else {
			if (*path == '.')
				qn_buf_char(b, '\\');
			qn_buf_char(b, *path);
		}
	}
}

void qn_routes_nginx(const struct qn_routes *routes, struct qn_buf *b)
{
	qn_buf_str(b, "map \"$request_method:$uri\" $quoin_pool {\n    default api;\n");
	for (size_t i = 0; i < qn_routes_n(routes); i++) {
		const struct qn_route *r = qn_routes_at(routes, i);
		if (r->pool == QN_POOL_API)
			continue;
		if (strchr(r->path, '{') ==
		    NULL) { /* found by its hash, and costs the others nothing */
			qn_buf_printf(b, "    \"%s:%s\" %s;\n", qn_method_name(r->method), r->path,
			    qn_pool_name(r->pool));
			continue;
		}
		qn_buf_printf(b, "    \"~^%s:", qn_method_name(r->method));
		nginx_path(b, r->path);
		qn_buf_printf(b, "$\" %s;\n", qn_pool_name(r->pool));
	}
	qn_buf_str(b, "}\n");
}
