/* Bodies and queries to structs, by the tables of the route. Unknown members are refused (T19). */
#include <string.h>
#include <strings.h>

#include "quoin/base/json.h"
#include "quoin/base/rand.h"
#include "server.h"

enum { NAME_SHOWN = 100 }; /* bytes of a name that is not ours */

static size_t characters(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* Of what the app's dialect puts before the ids of users; 0 where it does not stand. */
static size_t prefix_length(const struct qn_request *r, const char *s)
{
	const char *prefix = r->who.app != NULL ? r->who.app->id_prefix : "";
	size_t n = strlen(prefix);

	return strncmp(s, prefix, n) == 0 ? n : 0;
}

/* A text value to where it belongs; the type of the fault, or NULL. */
static const char *set_text(
    const struct qn_request *r, const struct qn_field *f, const char *s, void *at)
{
	size_t n = characters(s);

	if (f->type == QN_T_UUID) {
		char *id = qn_alloc(r->arena, QN_UUID_LEN + 1);
		if (f->flags & QN_F_USER)
			s += prefix_length(r, s);
		if (!qn_uuid_parse(s, strlen(s), id))
			return "uuid";
		*(const char **)at = id;
		return NULL;
	}
	if (f->type == QN_T_ENUM) {
		for (size_t i = 0; f->choices[i] != NULL; i++) {
			if (strcmp(f->choices[i], s) == 0) {
				*(const char **)at = f->choices[i];
				return NULL;
			}
		}
		return "enum";
	}
	if ((int64_t)n < f->least)
		return "string_too_short";
	if (f->most > 0 && (int64_t)n > f->most)
		return "string_too_long";
	*(const char **)at = s;
	return NULL;
}

static const char *set_i64(const struct qn_field *f, struct qn_span v, void *at)
{
	int64_t n;

	if (!qn_json_i64(v, &n))
		return "int";
	if (n == QN_I64_NULL || (f->least != f->most && (n < f->least || n > f->most)))
		return "range";
	*(int64_t *)at = n;
	return NULL;
}

static const char *set_json(const struct qn_field *f, struct qn_span v, void *at)
{
	if ((f->flags & QN_F_OBJECT) && qn_json_kind(v) != '{')
		return "object";
	if (f->most > 0 && v.n > (size_t)f->most)
		return "too_large";
	*(struct qn_span *)at = v;
	return NULL;
}

static const char *set_value(
    const struct qn_request *r, const struct qn_field *f, struct qn_span v, void *at)
{
	struct qn_arena *a = r->arena;
	const char *s;
	size_t n;
	bool b;

	switch (f->type) {
	case QN_T_STR:
	case QN_T_UUID:
	case QN_T_ENUM:
		return qn_json_str(a, v, &s, &n) ? set_text(r, f, s, at) : "string";
	case QN_T_I64:
		return set_i64(f, v, at);
	case QN_T_BOOL:
		if (!qn_json_bool(v, &b))
			return "bool";
		*(qn_tri *)at = b;
		return NULL;
	case QN_T_TIME:
		return qn_json_str(a, v, &s, &n) && qn_time_parse(s, n, at) ? NULL : "datetime";
	case QN_T_JSON:
		return set_json(f, v, at);
	default:
		return "type";
	}
}

/* What a fault's type says to a person. */
static const char *sentence(const char *type)
{
	static const char *const said[][2] = {
	    {"missing", "This member is required."},
	    {"extra_forbidden", "There is no such member."},
	    {"duplicate", "This stands twice."},
	    {"string", "This must be a string."},
	    {"string_too_short", "This is too short."},
	    {"string_too_long", "This is too long."},
	    {"uuid", "This must be a UUID."},
	    {"enum", "This is not one of the allowed values."},
	    {"int", "This must be a whole number."},
	    {"range", "This number is out of range."},
	    {"bool", "This must be true or false."},
	    {"datetime", "This must be an RFC 3339 time."},
	    {"object", "This must be an object."},
	    {"too_large", "This is too large."},
	    {"encoding", "This is not UTF-8 without control characters."},
	};

	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
		if (strcmp(said[i][0], type) == 0)
			return said[i][1];
	return "This is not of the right kind.";
}

static void blame(struct qn_request *r, const char *where, const char *field, const char *type)
{
	qn_fault_add(r, where, field, sentence(type), type);
}

/* The field of a name as the wire spells it: snake_case, or camelCase in any dialect (K5). */
static const struct qn_field *find_field(const struct qn_object *o, struct qn_span name)
{
	char camel[128];

	for (size_t i = 0; i < o->n; i++) {
		const struct qn_field *f = &o->fields[i];
		if (qn_span_is(name, f->name))
			return f;
		if (strlen(f->name) < sizeof(camel)) {
			qn_camel(f->name, camel);
			if (qn_span_is(name, camel))
				return f;
		}
	}
	return NULL;
}

static bool is_set(const struct qn_field *f, const void *at)
{
	switch (f->type) {
	case QN_T_I64:
	case QN_T_TIME:
		return *(const int64_t *)at != INT64_MIN;
	case QN_T_BOOL:
		return *(const qn_tri *)at != QN_UNSET;
	case QN_T_JSON:
		return ((const struct qn_span *)at)->p != NULL;
	default:
		return *(const void *const *)at != NULL;
	}
}

static void default_value(struct qn_request *r, const struct qn_field *f, void *at)
{
	if (f->type == QN_T_STR || f->type == QN_T_ENUM)
		*(const char **)at = f->def;
	else if (set_value(r, f, qn_span_of(f->def), at) != NULL)
		r->why = "a default that does not fit its field";
}

static bool blamed(const struct qn_request *r, const char *where, const char *field)
{
	for (size_t i = 0; i < r->nfaults; i++)
		if (strcmp(r->faults[i].where, where) == 0 &&
		    strcmp(r->faults[i].field, field) == 0)
			return true;
	return false;
}

/* Required members that are missing; defaults for the others. */
static void complete(struct qn_request *r, const struct qn_object *o, const char *where, void *dst)
{
	for (size_t i = 0; i < o->n; i++) {
		const struct qn_field *f = &o->fields[i];
		void *at = (char *)dst + f->offset;
		if (is_set(f, at) || blamed(r, where, f->name))
			continue;
		if (f->flags & QN_F_REQUIRED)
			blame(r, where, f->name, "missing");
		else if (f->def != NULL)
			default_value(r, f, at);
	}
}

/* Marks a field as read; whether it was before: a name may come in both spellings. */
static bool seen_before(const struct qn_object *o, const struct qn_field *f, uint64_t *seen)
{
	uint64_t bit = UINT64_C(1) << (f - o->fields);
	bool before = (*seen & bit) != 0;

	*seen |= bit;
	return before;
}

/* A client's own word in our answer: its beginning is enough to find it. */
static const char *shown_name(struct qn_arena *a, struct qn_span name)
{
	size_t n = name.n < NAME_SHOWN ? name.n : NAME_SHOWN;

	while (n > 0 && n < name.n && ((unsigned char)name.p[n] & 0xc0) == 0x80)
		n--;
	return qn_strndup(a, name.p, n);
}

static void decode_members(
    struct qn_request *r, const struct qn_object *o, const struct qn_json_object *body, void *dst)
{
	uint64_t seen = 0;

	for (size_t i = 0; i < body->n && r->nfaults < QN_FAULTS; i++) {
		const struct qn_json_member *m = &body->members[i];
		const struct qn_field *f = find_field(o, m->name);
		if (f == NULL && (r->route->flags & QN_R_PICK))
			continue;
		if (f == NULL) {
			blame(r, "body", shown_name(r->arena, m->name), "extra_forbidden");
			continue;
		}
		void *at = (char *)dst + f->offset;
		if (seen_before(o, f, &seen)) {
			blame(r, "body", f->name, "duplicate");
			continue;
		}
		if (qn_json_kind(m->value) == 'n' &&
		    (f->type != QN_T_JSON || (f->flags & QN_F_OBJECT)))
			continue; /* null is as good as absent */
		const char *fault = set_value(r, f, m->value, at);
		if (fault != NULL)
			blame(r, "body", f->name, fault);
	}
}

static bool has_type(const struct qn_request *r, const char *wanted)
{
	const char *type = qn_fcgi_param(r->fcgi, "CONTENT_TYPE");
	size_t n = strlen(wanted);

	if (type == NULL || strncasecmp(type, wanted, n) != 0)
		return false;
	type += n;
	type += strspn(type, " \t");
	return *type == '\0' || *type == ';';
}

static enum qn_err decode_json(struct qn_request *r, const struct qn_object *o, void *dst)
{
	struct qn_json_object body = {NULL, 0};
	size_t offset = 0;

	if (!has_type(r, "application/json"))
		return QN_MEDIA_TYPE;
	enum qn_json_err e =
	    qn_json_scan(r->arena, r->body, &qn_json_default_limits, &body, &offset);
	if (e != QN_JSON_OK) {
		qn_fault_add(r, "body", qn_printf(r->arena, "byte %zu", offset),
		    qn_json_err_text(e), "json");
		return QN_BAD_JSON;
	}
	if (body.members == NULL) {
		blame(r, "body", "", "object");
		return QN_INVALID;
	}
	decode_members(r, o, &body, dst);
	return QN_OK;
}

/* A query value, which is always text, by the type of its field. */
static const char *set_query(
    struct qn_request *r, const struct qn_field *f, const char *text, void *at)
{
	struct qn_span v = qn_span_of(text);

	if (f->type == QN_T_STR || f->type == QN_T_UUID || f->type == QN_T_ENUM)
		return set_text(r, f, text, at);
	if (f->type == QN_T_TIME)
		return qn_time_parse(text, strlen(text), at) ? NULL : "datetime";
	if (f->type == QN_T_JSON)
		return "type";
	/* A number or a truth: the readers of JSON take only what was scanned. */
	if (qn_json_scan(r->arena, v, &qn_json_default_limits, NULL, NULL) != QN_JSON_OK)
		return f->type == QN_T_BOOL ? "bool" : "int";
	return set_value(r, f, v, at);
}

/* An escaped value without its line ends: the whole of it is in the arena. */
static const char *joined(struct qn_arena *a, const char *p, size_t *n)
{
	char *out = qn_alloc(a, *n + 1);
	size_t at = 0;

	for (size_t i = 0; i < *n; i++) {
		if (i + 3 <= *n && p[i] == '%' && p[i + 1] == '0' &&
		    strchr("aAdD", p[i + 2]) != NULL)
			i += 2;
		else
			out[at++] = p[i];
	}
	*n = at;
	return out;
}

static const char *form_value(struct qn_arena *a, const struct qn_field *f, const char *p, size_t n)
{
	if (f->flags & QN_F_LINES)
		p = joined(a, p, &n);
	return qn_query_decode(a, p, n);
}

/* Parameters that the table does not know are left alone: clients add their own (?_=123). */
static void decode_form(
    struct qn_request *r, const struct qn_object *o, const char *text, const char *where, void *dst)
{
	uint64_t seen = 0;

	for (const char *p = text; *p != '\0' && r->nfaults < QN_FAULTS;) {
		size_t n = strcspn(p, "&"), name_n = strcspn(p, "=&");
		const char *name = qn_query_decode(r->arena, p, name_n);
		const struct qn_field *f = name != NULL ? find_field(o, qn_span_of(name)) : NULL;
		if (f != NULL) {
			void *at = (char *)dst + f->offset;
			const char *value =
			    name_n < n ? form_value(r->arena, f, p + name_n + 1, n - name_n - 1)
				       : "";
			const char *fault = seen_before(o, f, &seen) ? "duplicate"
			                    : value == NULL          ? "encoding"
			                                             : set_query(r, f, value, at);
			if (fault != NULL)
				blame(r, where, f->name, fault);
		}
		p += n + (p[n] == '&');
	}
}

static void decode_query(struct qn_request *r, const struct qn_object *o, void *dst)
{
	decode_form(r, o, r->query_string, "query", dst);
}

static void *blank(struct qn_request *r, const struct qn_object *o)
{
	void *dst = qn_alloc(r->arena, o->size);

	qn_object_init(o, dst);
	return dst;
}

/* A document over its size is as much too large as the body that holds it. */
static enum qn_err judge(const struct qn_request *r)
{
	for (size_t i = 0; i < r->nfaults; i++)
		if (strcmp(r->faults[i].type, "too_large") == 0)
			return QN_TOO_LARGE;
	return r->nfaults > 0 ? QN_INVALID : QN_OK;
}

static const struct qn_object no_members = {.name = "Nothing"};

enum qn_err qn_body_decode(struct qn_request *r)
{
	const struct qn_route *route = r->route;

	if (route->query != NULL) {
		r->query = blank(r, route->query);
		decode_query(r, route->query, r->query);
		complete(r, route->query, "query", r->query);
	}
	if (route->body != NULL && !(route->flags & QN_R_RAW)) {
		bool from_query = r->body.n == 0 && (route->flags & QN_R_QUERY_BODY) != 0;
		r->in = blank(r, route->body);
		if (from_query)
			decode_query(r, route->body, r->in);
		else if ((route->flags & QN_R_FORM) &&
			 has_type(r, "application/x-www-form-urlencoded"))
			decode_form(r, route->body, qn_strndup(r->arena, r->body.p, r->body.n),
			    "body", r->in);
		else
			QN_TRY(decode_json(r, route->body, r->in));
		complete(r, route->body, from_query ? "query" : "body", r->in);
	}
	/* Where no body is wanted one may come, but it may not want anything. */
	if (route->body == NULL && route->method != QN_GET && r->body.n > 0)
		QN_TRY(decode_json(r, &no_members, NULL));
	return judge(r);
}
