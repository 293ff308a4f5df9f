/*
 * A server of its own, with a table of its own, over FastCGI: what it makes of bodies, queries,
 * headers and of clients that lie (SECURITY S5, S7, T19, F26). There is no database: no route here
 * asks one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fcgi_client.h"
#include "quoin/base/clock.h"
#include "quoin/base/json.h"
#include "quoin/base/log.h"
#include "quoin/http/request.h"
#include "quoin/http/server.h"
#include "settings.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SOME_ID  "0190a2b3-0000-7000-8000-00000000aaaa"
#define BIG      ((size_t)6 << 20)
#define SOON_US  4000000 /* where one second is given, however slow the machine */

/* the routes */

static const char *const colours[] = {"red", "green", NULL};

struct in {
	const char *title, *note, *ref_id, *colour, *shade, *lines;
	int64_t count, any_number, retries;
	qn_tri is_open, is_new;
	qn_time due_at;
	struct qn_span data, extra;
};

static const struct qn_field in_fields[] = {
    QN_FIELD(struct in, title, STR, QN_F_REQUIRED, 2, 5, "Title."),
    QN_FIELD_DEF(struct in, note, STR, 0, 0, 5, "none", "Note."),
    QN_FIELD(struct in, ref_id, UUID, 0, 0, 0, "Reference."),
    QN_FIELD_ENUM(struct in, colour, 0, colours, NULL, "Colour."),
    QN_FIELD_ENUM(struct in, shade, 0, colours, "red", "Shade."),
    QN_FIELD(struct in, count, I64, 0, 1, 100, "Count."),
    QN_FIELD(struct in, any_number, I64, 0, 0, 0, "Any."),
    QN_FIELD_DEF(struct in, retries, I64, 0, 0, 9, "3", "Retries."),
    QN_FIELD(struct in, is_open, BOOL, 0, 0, 0, "Open."),
    QN_FIELD_DEF(struct in, is_new, BOOL, 0, 0, 0, "true", "New."),
    QN_FIELD(struct in, due_at, TIME, 0, 0, 0, "Due."),
    QN_FIELD(struct in, data, JSON, QN_F_OBJECT, 0, 0, "Data."),
    QN_FIELD(struct in, extra, JSON, 0, 0, 12, "Extra."),
    QN_FIELD(struct in, lines, STR, QN_F_LINES, 0, 8, "Base64."),
};
static const struct qn_object in_object = QN_OBJECT("In", struct in, in_fields);

#define OPTIONAL(m, type) QN_FIELD(struct in, m, type, QN_F_OPTIONAL, 0, 0, "As it was read.")
static const struct qn_field out_fields[] = {
    OPTIONAL(title, STR),
    OPTIONAL(note, STR),
    OPTIONAL(ref_id, UUID),
    OPTIONAL(colour, STR),
    OPTIONAL(shade, STR),
    OPTIONAL(count, I64),
    OPTIONAL(any_number, I64),
    OPTIONAL(retries, I64),
    OPTIONAL(is_open, BOOL),
    OPTIONAL(is_new, BOOL),
    OPTIONAL(due_at, TIME),
    OPTIONAL(data, JSON),
    OPTIONAL(extra, JSON),
    OPTIONAL(lines, STR),
};
static const struct qn_object out_object = QN_OBJECT("Out", struct in, out_fields);

static enum qn_err echo(struct qn_request *r)
{
	return qn_reply(r, r->in != NULL ? r->in : r->query);
}

struct params {
	const char *id;
	int64_t n;
};
static const struct qn_field params_fields[] = {
    QN_FIELD(struct params, id, STR, QN_F_OPTIONAL, 0, 0, "Id."),
    QN_FIELD(struct params, n, I64, QN_F_OPTIONAL, 0, 0, "Number."),
};
static const struct qn_object params_object = QN_OBJECT("Params", struct params, params_fields);

static enum qn_err show_params(struct qn_request *r)
{
	struct params *out = qn_new(r->arena, struct params);

	out->id = r->param[0];
	out->n = r->param[1] == NULL && strstr(r->route->path, ":int}") != NULL ? r->param_int[1]
	                                                                        : QN_I64_NULL;
	return qn_reply(r, out);
}

static enum qn_err tagged(struct qn_request *r)
{
	r->etag = "\"v12\"";
	return show_params(r);
}

static enum qn_err text(struct qn_request *r)
{
	char *p = qn_alloc(r->arena, 3 << 20);

	memset(p, 'x', 3 << 20);
	r->raw = (struct qn_span){p, 3 << 20};
	return QN_OK;
}

static enum qn_err nothing(struct qn_request *r)
{
	(void)r;
	return QN_OK;
}

static enum qn_err sick(struct qn_request *r)
{
	r->status = 503;
	return show_params(r);
}

static int attempts;

static enum qn_err contended(struct qn_request *r)
{
	attempts++;
	return strcmp(r->query_string, "for=ever") == 0 || attempts < 3 ? QN_RETRY : show_params(r);
}

static enum qn_err not_there(struct qn_request *r)
{
	(void)r;
	return QN_NOT_FOUND;
}

static enum qn_err next(struct qn_request *r)
{
	r->next = "NEXT";
	return show_params(r);
}

static enum qn_err cookie(struct qn_request *r)
{
	struct params *out = qn_new(r->arena, struct params);
	struct qn_span value;

	QN_TRY(qn_request_cookie(r, "__Host-flow", &value));
	out->id = value.p != NULL ? qn_strndup(r->arena, value.p, value.n) : NULL;
	out->n = QN_I64_NULL;
	return qn_reply(r, out);
}

static enum qn_err size(struct qn_request *r)
{
	struct params *out = qn_new(r->arena, struct params);

	out->n = (int64_t)r->body.n;
	return qn_reply(r, out);
}

#define ROW(method_, path_, id_) \
	.method = (method_), .path = (path_), .id = (id_), .summary = "S.", .pool = QN_POOL_API
#define PARAMS .reply = &params_object
#define ANYONE .auth = QN_AUTH_PUBLIC
#define HERE   .missing = QN_GRAPH_NOT_FOUND

static const struct qn_route rows[] = {
    {ROW(QN_PUT, "/echo", "echo"), ANYONE, .body = &in_object, .body_max = 1000,
	.reply = &out_object, .handler = echo},
    {ROW(QN_PATCH, "/echo", "camel"), ANYONE, .body = &in_object, .body_max = 1000,
	.flags = QN_R_CAMEL, .reply = &out_object, .handler = echo},
    {ROW(QN_GET, "/query", "query"), ANYONE, .query = &in_object, .reply = &out_object,
	.handler = echo},
    {ROW(QN_POST, "/loose", "loose"), ANYONE, .body = &in_object, .body_max = 1000,
	.flags = QN_R_QUERY_BODY | QN_R_ONCE, .reply = &out_object, .handler = echo},
    {ROW(QN_POST, "/form", "form"), ANYONE, .body = &in_object, .body_max = 1000,
	.flags = QN_R_FORM | QN_R_ONCE, .reply = &out_object, .handler = echo},
    {ROW(QN_PUT, "/pick", "pick"), ANYONE, .body = &in_object, .body_max = 1000, .flags = QN_R_PICK,
	.reply = &out_object, .handler = echo},
    {ROW(QN_GET, "/cookie", "cookie"), ANYONE, PARAMS, .handler = cookie},
    {ROW(QN_GET, "/named/{word:name}", "named"), HERE, .auth = QN_AUTH_LOCAL, PARAMS,
	.handler = show_params},
    {ROW(QN_POST, "/big", "big"), ANYONE, .body = &in_object, .body_max = BIG, .flags = QN_R_ONCE,
	PARAMS, .handler = size},
    {ROW(QN_GET, "/tag", "tag"), ANYONE, .flags = QN_R_ETAG, PARAMS, .handler = tagged},
    {ROW(QN_GET, "/text", "text"), ANYONE, .content_type = "text/plain", .handler = text},
    {ROW(QN_GET, "/nothing", "nothing"), ANYONE, PARAMS, .handler = nothing},
    {ROW(QN_GET, "/sick", "sick"), ANYONE, .flags = QN_R_HEALTH, PARAMS, .handler = sick},
    {ROW(QN_GET, "/contended", "contended"), ANYONE, PARAMS, .handler = contended},
    {ROW(QN_GET, "/next", "next"), ANYONE, PARAMS, .handler = next},
    {ROW(QN_DELETE, "/contended", "delete"), ANYONE, PARAMS, .handler = show_params},
    /* Rows with parameters belong to an app, unless they are for this host alone. */
    {ROW(QN_GET, "/{id}/{n:int}", "params"), HERE, .auth = QN_AUTH_LOCAL, PARAMS,
	.handler = show_params},
    {ROW(QN_GET, "/{id}", "gone"), HERE, .auth = QN_AUTH_LOCAL, PARAMS, .handler = not_there},
};
static const struct qn_route_table table = {rows, COUNT(rows)};
static const struct qn_route_table *const tables[] = {&table, NULL};

/* the server */

static struct qn_conf *conf, *hasty_conf;
static struct qn_board *board;
static struct qn_server *server, *patient, *hasty; /* `server` is one of the two */

static struct qn_server *make_server(const struct qn_conf *c)
{
	struct qn_server_spec spec = {
	    .pool = QN_POOL_API, .conf = c, .board = board, .listen_fd = -1, .tables = tables};

	return qn_server_new(&spec);
}

static int set_up(void **state)
{
	(void)state;
	qn_log_init("test", QN_ERROR);
	board = qn_board_create(NULL, QN_POOL_API);
	conf = test_settings(NULL);
	hasty_conf = test_settings((const char *const[]){"QUOIN_READ_TIMEOUT_S=1", NULL});
	server = patient = make_server(conf);
	hasty = make_server(hasty_conf);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	qn_server_free(patient);
	qn_server_free(hasty);
	qn_board_unmap(board);
	qn_conf_free(conf);
	qn_conf_free(hasty_conf);
	return 0;
}

/* A client may take one second. */
static int hurry(void **state)
{
	(void)state;
	server = hasty;
	return 0;
}

static int take_time(void **state)
{
	(void)state;
	server = patient;
	return 0;
}

static bool take(struct qn_buf *request, bool hang_up, struct qn_buf *ret)
{
	struct fcgi_talk talk = {.request = request->p, .n = request->n, .hang_up = hang_up};
	int fd = fcgi_talk_start(&talk);
	bool taken = qn_server_take(server, fd);

	fcgi_talk_end(&talk);
	*ret = talk.answer;
	return taken;
}

static void ask(const char *const *params, const void *body, size_t n, struct fcgi_answer *ret)
{
	struct qn_buf request, answer;

	qn_buf_init(&request, 2 * BIG);
	fcgi_request(&request, params, body, n);
	assert_true(take(&request, false, &answer));
	assert_true(fcgi_answer_read(&answer, ret));
	assert_int_equal(ret->protocol_status, 0);
	qn_buf_done(&request);
	qn_buf_done(&answer);
}

/* Method, target, and more parameters as name and value. */
static void call(const char *method, const char *target, const char *const *more, const char *body,
    struct fcgi_answer *ret)
{
	char length[24];
	const char *params[64] = {
	    "REQUEST_METHOD", method, "REQUEST_URI", target, "REMOTE_ADDR", "127.0.0.1"};
	size_t n = 6;

	for (; more != NULL && *more != NULL && n < 58; more++)
		params[n++] = *more;
	if (body != NULL) {
		snprintf(length, sizeof(length), "%zu", strlen(body));
		params[n++] = "CONTENT_LENGTH";
		params[n++] = length;
	}
	params[n] = NULL;
	ask(params, body, body != NULL ? strlen(body) : 0, ret);
}

static void still_serves(void)
{
	struct fcgi_answer a;

	call("GET", "/tag", NULL, NULL, &a);
	assert_int_equal(a.status, 200);
	assert_int_equal(a.n, 2);
	fcgi_answer_done(&a);
}

/* bodies */

static const char *const json[] = {"CONTENT_TYPE", "application/json", NULL};

#define DEFAULTS "\"note\":\"none\",\"shade\":\"red\",\"retries\":3,\"is_new\":true"
#define OK(more) \
	"{\"title\":\"abc\",\"note\":\"none\",\"shade\":\"red\"," more \
	"\"retries\":3,\"is_new\":true}"
#define FAULT(field, type) "{\"loc\":[\"body\",\"" field "\"],\"msg\":\"*\",\"type\":\"" type "\"}"

static const struct {
	const char *name, *body;
	int status;
	const char *holds; /* the answer, whole or in part */
} bodies[] = {
    {"the least", "{\"title\":\"abc\"}", 200,
	"{\"title\":\"abc\",\"note\":\"none\",\"shade\":\"red\",\"retries\":3,\"is_new\":true}"},
    {"all",
	"{\"title\":\"abcde\",\"note\":\"\",\"ref_id\":\"" SOME_ID
	"\",\"colour\":\"green\",\"shade\":\"green\","
	"\"count\":100,\"any_number\":9223372036854775807,\"retries\":0,\"is_open\":false,\"is_new\":false,"
	"\"due_at\":\"2026-11-21T08:30:00Z\",\"data\":{ \"a\": 1.50 },\"extra\":[1]}",
	200,
	"{\"title\":\"abcde\",\"note\":\"\",\"ref_id\":\"" SOME_ID
	"\",\"colour\":\"green\",\"shade\":\"green\","
	"\"count\":100,\"any_number\":9223372036854775807,\"retries\":0,\"is_open\":false,\"is_new\":false,"
	"\"due_at\":\"2026-11-21T08:30:00Z\",\"data\":{ \"a\": 1.50 },\"extra\":[1]}"},
    {"space around", " \r\n\t{ \"title\" : \"abc\" } \n", 200, "\"title\":\"abc\""},
    {"camelCase is read too", "{\"title\":\"abc\",\"anyNumber\":7,\"isOpen\":true}", 200,
	"\"any_number\":7,\"retries\":3,\"is_open\":true"},
    {"escaped name", "{\"\\u0074itle\":\"abc\"}", 200, "\"title\":\"abc\""},
    {"letters are counted, not bytes", "{\"title\":\"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\"}",
	200, "\xc3\xa9\""},
    {"escapes are counted as letters", "{\"title\":\"\\u00e9\\u00e9\\ud83d\\ude00\"}", 200,
	"\xc3\xa9\xc3\xa9\xf0\x9f\x98\x80"},
    {"id in capitals", "{\"title\":\"abc\",\"ref_id\":\"0190A2B3-0000-7000-8000-00000000AAAA\"}",
	200, "\"ref_id\":\"" SOME_ID "\""},
    {"null is as good as absent",
	"{\"title\":\"abc\",\"note\":null,\"count\":null,\"data\":null,\"is_new\":null}", 200,
	"{\"title\":\"abc\",\"note\":\"none\",\"shade\":\"red\",\"retries\":3,\"is_new\":true}"},
    {"null of any JSON is a value", "{\"title\":\"abc\",\"extra\":null}", 200, "\"extra\":null"},
    {"time with an offset", "{\"title\":\"abc\",\"due_at\":\"2026-11-21T10:30:00.5+02:00\"}", 200,
	"\"due_at\":\"2026-11-21T08:30:00.5"},
    {"bounds are inside", "{\"title\":\"abc\",\"count\":1}", 200, "\"count\":1"},
    {"no bounds", "{\"title\":\"abc\",\"any_number\":-9223372036854775807}", 200,
	"\"any_number\":-9223372036854775807"},

    {"required missing", "{}", 422, FAULT("title", "missing")},
    {"required null", "{\"title\":null}", 422, FAULT("title", "missing")},
    {"text too short", "{\"title\":\"a\"}", 422, FAULT("title", "string_too_short")},
    {"empty text", "{\"title\":\"\"}", 422, FAULT("title", "string_too_short")},
    {"text too long", "{\"title\":\"abcdef\"}", 422, FAULT("title", "string_too_long")},
    {"number for text", "{\"title\":1}", 422, FAULT("title", "string")},
    {"list for text", "{\"title\":[\"abc\"]}", 422, FAULT("title", "string")},
    {"truth for text", "{\"title\":true}", 422, FAULT("title", "string")},
    {"no id", "{\"title\":\"abc\",\"ref_id\":\"x\"}", 422, FAULT("ref_id", "uuid")},
    {"id in braces", "{\"title\":\"abc\",\"ref_id\":\"{" SOME_ID "}\"}", 422,
	FAULT("ref_id", "uuid")},
    {"number for an id", "{\"title\":\"abc\",\"ref_id\":1}", 422, FAULT("ref_id", "string")},
    {"no choice", "{\"title\":\"abc\",\"colour\":\"blue\"}", 422, FAULT("colour", "enum")},
    {"choice in capitals", "{\"title\":\"abc\",\"colour\":\"Red\"}", 422, FAULT("colour", "enum")},
    {"empty choice", "{\"title\":\"abc\",\"colour\":\"\"}", 422, FAULT("colour", "enum")},
    {"below the bounds", "{\"title\":\"abc\",\"count\":0}", 422, FAULT("count", "range")},
    {"above the bounds", "{\"title\":\"abc\",\"count\":101}", 422, FAULT("count", "range")},
    {"negative", "{\"title\":\"abc\",\"count\":-1}", 422, FAULT("count", "range")},
    {"fraction for a number", "{\"title\":\"abc\",\"count\":1.0}", 422, FAULT("count", "int")},
    {"exponent for a number", "{\"title\":\"abc\",\"count\":1e1}", 422, FAULT("count", "int")},
    {"text for a number", "{\"title\":\"abc\",\"count\":\"1\"}", 422, FAULT("count", "int")},
    {"number above 63 bits", "{\"title\":\"abc\",\"any_number\":9223372036854775808}", 422,
	FAULT("any_number", "int")},
    {"the number that stands for null", "{\"title\":\"abc\",\"any_number\":-9223372036854775808}",
	422, FAULT("any_number", "range")},
    {"number for truth", "{\"title\":\"abc\",\"is_open\":1}", 422, FAULT("is_open", "bool")},
    {"text for truth", "{\"title\":\"abc\",\"is_open\":\"true\"}", 422, FAULT("is_open", "bool")},
    {"no time", "{\"title\":\"abc\",\"due_at\":\"tomorrow\"}", 422, FAULT("due_at", "datetime")},
    {"time without offset", "{\"title\":\"abc\",\"due_at\":\"2026-11-21T08:30:00\"}", 422,
	FAULT("due_at", "datetime")},
    {"number for a time", "{\"title\":\"abc\",\"due_at\":1700000000}", 422,
	FAULT("due_at", "datetime")},
    {"list for an object", "{\"title\":\"abc\",\"data\":[]}", 422, FAULT("data", "object")},
    {"text for an object", "{\"title\":\"abc\",\"data\":\"{}\"}", 422, FAULT("data", "object")},
    {"JSON too long", "{\"title\":\"abc\",\"extra\":[1,2,3,4,5,6]}", 413,
	FAULT("extra", "too_large")},
    {"unknown member", "{\"title\":\"abc\",\"admin\":true}", 422,
	FAULT("admin", "extra_forbidden")},
    {"unknown member of no name", "{\"title\":\"abc\",\"\":1}", 422, "\"extra_forbidden\""},
    {"name in capitals", "{\"Title\":\"abc\"}", 422, FAULT("Title", "extra_forbidden")},
    {"name of a prototype", "{\"title\":\"abc\",\"__proto__\":{}}", 422,
	FAULT("__proto__", "extra_forbidden")},
    {"name with what escapes", "{\"title\":\"abc\",\"a\\\"\\n\":1}", 422, "\"a\\\"\\n\""},
    {"member in both spellings", "{\"title\":\"abc\",\"any_number\":1,\"anyNumber\":2}", 422,
	FAULT("any_number", "duplicate")},
    {"member in both spellings, alike", "{\"title\":\"abc\",\"anyNumber\":1,\"any_number\":1}", 422,
	FAULT("any_number", "duplicate")},
    {"member in both spellings, one null",
	"{\"title\":\"abc\",\"any_number\":null,\"anyNumber\":2}", 422,
	FAULT("any_number", "duplicate")},
    {"member in both spellings, both null", "{\"title\":\"abc\",\"is_open\":null,\"isOpen\":null}",
	422, FAULT("is_open", "duplicate")},
    {"list", "[]", 422, "\"loc\":[\"body\"],"},
    {"text", "\"title\"", 422, "\"loc\":[\"body\"],"},
    {"null", "null", 422, "\"loc\":[\"body\"],"},

    {"nothing", "", 400, "bad-json"},
    {"space", "   ", 400, "bad-json"},
    {"member twice", "{\"title\":\"abc\",\"title\":\"abc\"}", 400, "bad-json"},
    {"member twice, escaped", "{\"title\":\"abc\",\"titl\\u0065\":\"abd\"}", 400, "bad-json"},
    {"cut short", "{\"title\":\"abc\"", 400, "\"byte 14\""},
    {"something behind it", "{\"title\":\"abc\"}x", 400, "bad-json"},
    {"single quotes", "{'title':'abc'}", 400, "bad-json"},
    {"comma too many", "{\"title\":\"abc\",}", 400, "bad-json"},
    {"NaN", "{\"title\":\"abc\",\"count\":NaN}", 400, "bad-json"},
    {"NUL in text", "{\"title\":\"abc\\u0000\"}", 400, "bad-json"},
    {"lone surrogate", "{\"title\":\"abc\\ud800\"}", 400, "bad-json"},
    {"no UTF-8", "{\"title\":\"abc\xff\"}", 400, "bad-json"},
    {"too deep",
	"{\"title\":\"abc\",\"data\":{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
	400, "bad-json"},
};

/* Whether `text` is or holds `pattern`, in which a star stands for anything but a quote. */
static bool holds(const char *p, const char *pattern)
{
	for (; *p != '\0'; p++) {
		const char *a = p, *b = pattern;
		for (; *b != '\0'; a++, b++) {
			if (*b == '*') {
				a += strcspn(a, "\"");
				b++;
			}
			if (*a != *b)
				break;
		}
		if (*b == '\0')
			return true;
	}
	return false;
}

static void check(const char *name, const struct fcgi_answer *a, int status, const char *part)
{
	char *body = strndup(a->body, a->n);
	const char *type = fcgi_answer_header(a, "Content-Type"), *length;
	char n[24];

	if (a->status != status || !holds(body, part))
		fail_msg("%s: %d %s", name, a->status, body);
	if (status >= 400 && (type == NULL || strcmp(type, "application/problem+json") != 0))
		fail_msg("%s: an error of type %s", name, type != NULL ? type : "(none)");
	length = fcgi_answer_header(a, "Content-Length");
	snprintf(n, sizeof(n), "%zu", a->n);
	assert_non_null(length);
	assert_string_equal(length, n);
	free(body);
}

static void bodies_are_read_by_their_table(void **state)
{
	struct fcgi_answer a;

	(void)state;
	for (size_t i = 0; i < COUNT(bodies); i++) {
		call("PUT", "/echo", json, bodies[i].body, &a);
		check(bodies[i].name, &a, bodies[i].status, bodies[i].holds);
		fcgi_answer_done(&a);
	}
}

static void the_dialect_of_a_route_is_answered(void **state)
{
	struct fcgi_answer a;

	(void)state;
	call("PATCH", "/echo", json, "{\"title\":\"abc\",\"any_number\":1,\"isOpen\":true}", &a);
	check("camel", &a, 200,
	    "{\"title\":\"abc\",\"note\":\"none\",\"shade\":\"red\",\"anyNumber\":1,\"retries\":3,"
	    "\"isOpen\":true,\"isNew\":true}");
	fcgi_answer_done(&a);
}

static void faults_are_listed_up_to_a_limit(void **state)
{
	char body[1000];
	size_t n = 1;
	struct fcgi_answer a;
	int found = 0;

	(void)state;
	body[0] = '{';
	for (int i = 0; i < 40; i++)
		n += (size_t)snprintf(
		    body + n, sizeof(body) - n, "%s\"x%d\":1", i > 0 ? "," : "", i);
	snprintf(body + n, sizeof(body) - n, "}");
	call("PUT", "/echo", json, body, &a);
	check("many", &a, 422, "extra_forbidden");
	char *said = strndup(a.body, a.n);
	for (const char *p = said; (p = strstr(p, "extra_forbidden")) != NULL; p++)
		found++;
	assert_int_equal(found, QN_FAULTS);
	free(said);
	fcgi_answer_done(&a);
}

/* A name as long as a body may be does not come back whole, let alone sixteen times. */
static void long_names_are_cut(void **state)
{
	char *body = malloc(BIG + 1);
	struct fcgi_answer a;
	size_t n = BIG - 100;

	(void)state;
	memset(body, 'x', BIG);
	memcpy(body, "{\"", 2);
	memcpy(body + n, "\":1,\"title\":\"abc\"}", 19);
	call("POST", "/big", json, body, &a);
	check("long name", &a, 422, "extra_forbidden");
	assert_in_range(a.n, 100, 2000);
	fcgi_answer_done(&a);
	memset(body + 2, '\x01', n - 2);
	for (size_t i = 2; i + 2 <= n; i += 2)
		memcpy(body + i, "\xc3\xa9", 2);
	call("POST", "/big", json, body, &a);
	assert_int_equal(a.status, 422);
	assert_in_range(a.n, 100, 2000);
	char *said = strndup(a.body, a.n);
	assert_null(strstr(said, "\\ufffd")); /* not cut inside a letter */
	free(said);
	fcgi_answer_done(&a);
	free(body);
	still_serves();
}

/* queries */

static const struct {
	const char *name, *target;
	int status;
	const char *holds;
} queries[] = {
    {"all",
	"/query?title=a+b&ref_id=" SOME_ID
	"&colour=red&count=5&is_open=true&due_at=2026-11-21T08:30:00Z",
	200,
	"{\"title\":\"a b\",\"note\":\"none\",\"ref_id\":\"" SOME_ID
	"\",\"colour\":\"red\",\"shade\":\"red\","
	"\"count\":5,\"retries\":3,\"is_open\":true,\"is_new\":true,\"due_at\":\"2026-11-21T08:30:00Z\"}"},
    {"camelCase", "/query?title=abc&isOpen=false", 200, "\"is_open\":false"},
    {"escapes", "/query?%74itle=%61bc", 200, "\"title\":\"abc\""},
    {"what is not known is left alone", "/query?title=abc&_=123&utm%5f=x&%ff=1&=&&", 200,
	"\"title\":\"abc\""},
    {"empty value", "/query?title=abc&note=", 200, "\"note\":\"\""},
    {"no value", "/query?title=abc&note", 200, "\"note\":\"\""},
    {"equals sign in a value", "/query?title=a=b", 200, "\"title\":\"a=b\""},
    {"last without ampersand", "/query?count=7&title=abc", 200, "\"count\":7"},

    {"required missing", "/query", 422,
	"{\"loc\":[\"query\",\"title\"],\"msg\":\"*\",\"type\":\"missing\"}"},
    {"required empty", "/query?title=", 422, "string_too_short"},
    {"no number", "/query?title=abc&count=x", 422, "\"int\""},
    {"empty number", "/query?title=abc&count=", 422, "\"int\""},
    {"sign alone", "/query?title=abc&any_number=-", 422, "\"int\""},
    {"plus sign", "/query?title=abc&count=%2B5", 422, "\"int\""},
    {"zeros in front", "/query?title=abc&count=005", 422, "\"int\""},
    {"number with something behind it", "/query?title=abc&count=5x", 422, "\"int\""},
    {"null for a number", "/query?title=abc&count=null", 422, "\"int\""},
    {"out of range", "/query?title=abc&count=101", 422, "\"range\""},
    {"no truth", "/query?title=abc&is_open=tomato", 422, "\"bool\""},
    {"half a truth", "/query?title=abc&is_open=f", 422, "\"bool\""},
    {"empty truth", "/query?title=abc&is_open=", 422, "\"bool\""},
    {"truth in digits", "/query?title=abc&is_open=1", 422, "\"bool\""},
    {"twice", "/query?title=abc&title=abc", 422, "\"duplicate\""},
    {"twice, in both spellings", "/query?title=abc&is_open=true&isOpen=true", 422, "\"duplicate\""},
    {"twice, first empty", "/query?title=abc&note=&note=x", 422, "\"duplicate\""},
    {"list", "/query?title[]=abc", 422, "\"missing\""},
    {"value that is no UTF-8", "/query?title=%ff%fe", 422, "\"encoding\""},
    {"value with NUL", "/query?title=abc%00d", 422, "\"encoding\""},
    {"value with a newline", "/query?title=a%0Ab", 422, "\"encoding\""},
    {"escape cut short", "/query?title=abc%4", 422, "\"encoding\""},
    {"object", "/query?title=abc&data={}", 422, "\"data\""},
};

static void queries_are_read_by_their_table(void **state)
{
	struct fcgi_answer a;

	(void)state;
	for (size_t i = 0; i < COUNT(queries); i++) {
		call("GET", queries[i].target, NULL, NULL, &a);
		check(queries[i].name, &a, queries[i].status, queries[i].holds);
		fcgi_answer_done(&a);
	}
}

static void a_body_may_come_as_a_query(void **state)
{
	struct fcgi_answer a;

	(void)state;
	call("POST", "/loose?title=abc&count=5", NULL, NULL, &a);
	check(
	    "query", &a, 200, "\"title\":\"abc\",\"note\":\"none\",\"shade\":\"red\",\"count\":5");
	fcgi_answer_done(&a);
	call("POST", "/loose?title=abc&count=5", json, "{\"title\":\"body\"}", &a);
	check("a body wins whole", &a, 200,
	    "{\"title\":\"body\",\"note\":\"none\",\"shade\":\"red\",\"retries\":3,\"is_new\":true}");
	fcgi_answer_done(&a);
	call("POST", "/loose", NULL, NULL, &a);
	check("nothing", &a, 422, "\"missing\"");
	fcgi_answer_done(&a);
	call("PUT", "/echo?title=abc", NULL, NULL, &a);
	check("not where the row does not say so", &a, 415, "unsupported-media-type");
	fcgi_answer_done(&a);
}

/* forms, picked members, cookies, words in paths */

static const char *const form[] = {"CONTENT_TYPE", "application/x-www-form-urlencoded", NULL};

static const struct {
	const char *name, *body;
	int status;
	const char *holds;
} forms[] = {
    {"the least", "title=abc", 200, OK("")},
    {"escapes", "title=a%C3%A9+b&count=7", 200, "\"title\":\"a\xc3\xa9 b\""},
    {"what is not known is left alone", "title=abc&client_id=x", 200, OK("")},
    {"nothing", "", 422, FAULT("title", "missing")},
    {"twice", "title=abc&title=abd", 422, FAULT("title", "duplicate")},
    {"base64 in lines", "title=abc&lines=QUJD%0D%0ARE%2BG%0a", 200, "\"lines\":\"QUJDRE+G\""},
    {"that is too long without them", "title=abc&lines=QUJD%0D%0AREVGR", 422,
	FAULT("lines", "string_too_long")},
    {"another end of line in it", "title=abc&lines=QUJD%0B%00", 422, FAULT("lines", "encoding")},
    {"lines of what is no base64", "title=a%0Ac", 422, FAULT("title", "encoding")},
    {"a control byte", "title=a%00c", 422, FAULT("title", "encoding")},
    {"no UTF-8", "title=a%ffc", 422, FAULT("title", "encoding")},
    {"a wrong type", "title=abc&count=x", 422, FAULT("count", "int")},
    {"JSON by a form's name", "{\"title\":\"abc\"}", 422, FAULT("title", "missing")},
};

static void a_body_may_be_a_form(void **state)
{
	struct fcgi_answer a;

	(void)state;
	for (size_t i = 0; i < COUNT(forms); i++) {
		call("POST", "/form", form, forms[i].body, &a);
		check(forms[i].name, &a, forms[i].status, forms[i].holds);
		fcgi_answer_done(&a);
	}
	call("POST", "/form", json, "{\"title\":\"abc\"}", &a);
	check("or JSON", &a, 200, OK(""));
	fcgi_answer_done(&a);
	call("PUT", "/echo", form, "title=abc", &a);
	check("not where the row does not say so", &a, 415, "unsupported-media-type");
	fcgi_answer_done(&a);
}

static void known_members_may_be_picked(void **state)
{
	struct fcgi_answer a;

	(void)state;
	call("PUT", "/pick", json, "{\"admin\":true,\"title\":\"abc\",\"x\":{\"title\":1}}", &a);
	check("others are left alone", &a, 200, OK(""));
	fcgi_answer_done(&a);
	call("PUT", "/pick", json, "{\"admin\":true,\"title\":5}", &a);
	check("they are checked as ever", &a, 422, FAULT("title", "string"));
	fcgi_answer_done(&a);
}

static const struct {
	const char *header;
	int status;
	const char *holds;
} cookies[] = {
    {"__Host-flow=abc", 200, "{\"id\":\"abc\"}"},
    {"a=1; __Host-flow=abc; b=2", 200, "{\"id\":\"abc\"}"},
    {"a=1;__Host-flow=abc", 200, "{\"id\":\"abc\"}"},
    {"__Host-flow=a=b", 200, "{\"id\":\"a=b\"}"},
    {"__Host-flow=", 200, "{\"id\":\"\"}"},
    {"__Host-flow", 200, "{}"},
    {"__Host-flow2=abc; x__Host-flow=abc; __host-flow=abc", 200, "{}"},
    {"a=__Host-flow=abc", 200, "{}"},
    {"", 200, "{}"},
    {"__Host-flow=abc; __Host-flow=abc", 400, "bad-request"},
    {"__Host-flow=; __Host-flow=abc", 400, "bad-request"},
};

static void cookies_are_found_by_their_whole_name(void **state)
{
	struct fcgi_answer a;

	(void)state;
	for (size_t i = 0; i < COUNT(cookies); i++) {
		call("GET", "/cookie",
		    (const char *const[]){"HTTP_COOKIE", cookies[i].header, NULL}, NULL, &a);
		check(cookies[i].header, &a, cookies[i].status, cookies[i].holds);
		fcgi_answer_done(&a);
	}
}

static const struct {
	const char *target;
	int status;
} words[] = {
    {"/named/google", 200},
    {"/named/a", 200},
    {"/named/my-idp-2", 200},
    {"/named/abcdefghijklmnopqrstuvwxyzabcdef", 200},
    {"/named/abcdefghijklmnopqrstuvwxyzabcdefg", 404},
    {"/named/Google", 404},
    {"/named/2fa", 404},
    {"/named/-a", 404},
    {"/named/a_b", 404},
    {"/named/a%20b", 404},
    {"/named/%C3%A9", 404},
};

static void words_in_paths_have_a_form(void **state)
{
	struct fcgi_answer a;

	(void)state;
	for (size_t i = 0; i < COUNT(words); i++) {
		call("GET", words[i].target, NULL, NULL, &a);
		check(words[i].target, &a, words[i].status,
		    words[i].status == 200 ? words[i].target + strlen("/named/")
					   : "graph-not-found");
		fcgi_answer_done(&a);
	}
}

/* types, sizes and lengths */

static const struct {
	const char *name, *type;
	int status;
} types[] = {
    {"plain", "application/json", 200},
    {"charset", "application/json; charset=utf-8", 200},
    {"space", "application/json ;charset=utf-8", 200},
    {"capitals", "Application/JSON", 200},
    {"none", NULL, 415},
    {"empty", "", 415},
    {"form", "application/x-www-form-urlencoded", 415},
    {"text, as a form can send", "text/plain", 415},
    {"longer word", "application/jsonp", 415},
    {"patch", "application/json-patch+json", 415},
    {"multipart", "multipart/form-data; boundary=application/json", 415},
    {"in second place", "text/plain, application/json", 415},
};

static void only_json_is_read(void **state)
{
	struct fcgi_answer a;

	(void)state;
	for (size_t i = 0; i < COUNT(types); i++) {
		const char *const more[] = {
		    types[i].type != NULL ? "CONTENT_TYPE" : NULL, types[i].type, NULL};
		call("PUT", "/echo", more, "{\"title\":\"abc\"}", &a);
		check(types[i].name, &a, types[i].status,
		    types[i].status == 200 ? "abc" : "media-type");
		fcgi_answer_done(&a);
	}
}

static void bodies_have_a_size(void **state)
{
	char body[1002];
	struct fcgi_answer a;

	(void)state;
	memset(body, ' ', sizeof(body));
	memcpy(body, "{\"title\":\"abc\"}", 15);
	body[1000] = '\0';
	call("PUT", "/echo", json, body, &a);
	check("just fits", &a, 200, "abc");
	fcgi_answer_done(&a);
	body[1000] = ' ';
	body[1001] = '\0';
	call("PUT", "/echo", json, body, &a);
	check("one too many", &a, 413, "body-too-large");
	fcgi_answer_done(&a);
	char *large = malloc(BIG + 1);
	memset(large, ' ', BIG);
	memcpy(large, "{\"title\":\"abc\"}", 15);
	large[BIG] = '\0';
	call("POST", "/big", json, large, &a);
	check("large", &a, 200, "{\"n\":6291456}");
	fcgi_answer_done(&a);
	call("PUT", "/echo", json, large, &a);
	check("far too many", &a, 413, "body-too-large");
	fcgi_answer_done(&a);
	free(large);
}

static const struct {
	const char *name, *method, *target, *length, *body; /* length NULL: not sent */
	int status;
} lengths[] = {
    {"right", "PUT", "/echo", "15", "{\"title\":\"abc\"}", 200},
    {"zeros in front", "PUT", "/echo", "015", "{\"title\":\"abc\"}", 400},
    {"longer than the body", "PUT", "/echo", "16", "{\"title\":\"abc\"}", 400},
    {"shorter than the body", "PUT", "/echo", "14", "{\"title\":\"abc\"}", 400},
    {"none", "PUT", "/echo", NULL, "{\"title\":\"abc\"}", 400},
    {"empty", "PUT", "/echo", "", "{\"title\":\"abc\"}", 400},
    {"zero", "PUT", "/echo", "0", "{\"title\":\"abc\"}", 400},
    {"negative", "PUT", "/echo", "-1", "{\"title\":\"abc\"}", 400},
    {"sign", "PUT", "/echo", "+15", "{\"title\":\"abc\"}", 400},
    {"word", "PUT", "/echo", "ten", "{\"title\":\"abc\"}", 400},
    {"two", "PUT", "/echo", "15, 15", "{\"title\":\"abc\"}", 400},
    {"hexadecimal", "PUT", "/echo", "0xf", "{\"title\":\"abc\"}", 400},
    {"beyond 31 bits", "PUT", "/echo", "4294967311", "{\"title\":\"abc\"}", 400},
    {"beyond 64 bits", "PUT", "/echo", "18446744073709551631", "{\"title\":\"abc\"}", 400},
    {"body where none is wanted", "DELETE", "/contended", "2", "{}", 200},
    {"body where none is wanted, and no length", "DELETE", "/contended", NULL, "{}", 400},
};

static void lengths_must_be_true(void **state)
{
	struct fcgi_answer a;

	(void)state;
	for (size_t i = 0; i < COUNT(lengths); i++) {
		const char *params[] = {"REQUEST_METHOD", lengths[i].method, "REQUEST_URI",
		    lengths[i].target, "CONTENT_TYPE", "application/json", "CONTENT_LENGTH",
		    lengths[i].length, NULL};
		if (lengths[i].length == NULL)
			params[6] = NULL;
		ask(params, lengths[i].body, strlen(lengths[i].body), &a);
		if (a.status != lengths[i].status)
			fail_msg("%s: %d", lengths[i].name, a.status);
		fcgi_answer_done(&a);
		still_serves();
	}
}

/* what must be there, and once */

static const struct {
	const char *name;
	const char *params[10];
	int status;
} heads[] = {
    {"good", {"REQUEST_METHOD", "GET", "REQUEST_URI", "/tag"}, 200},
    {"no method", {"REQUEST_URI", "/tag"}, 400},
    {"no target", {"REQUEST_METHOD", "GET"}, 400},
    {"nothing", {NULL}, 400},
    {"empty method", {"REQUEST_METHOD", "", "REQUEST_URI", "/tag"}, 405},
    {"empty target", {"REQUEST_METHOD", "GET", "REQUEST_URI", ""}, 400},
    {"unknown method", {"REQUEST_METHOD", "BREW", "REQUEST_URI", "/tag"}, 405},
    {"method in small letters", {"REQUEST_METHOD", "get", "REQUEST_URI", "/tag"}, 405},
    {"path that is not canonical", {"REQUEST_METHOD", "GET", "REQUEST_URI", "/x/../tag"}, 400},
    {"path only in another parameter", {"REQUEST_METHOD", "GET", "DOCUMENT_URI", "/tag"}, 400},
    {"two methods", {"REQUEST_METHOD", "GET", "REQUEST_METHOD", "GET", "REQUEST_URI", "/tag"}, 400},
    {"two targets", {"REQUEST_METHOD", "GET", "REQUEST_URI", "/tag", "REQUEST_URI", "/tag"}, 400},
    {"two lengths",
	{"REQUEST_METHOD", "GET", "REQUEST_URI", "/tag", "CONTENT_LENGTH", "0", "CONTENT_LENGTH",
	    "0"},
	400},
    {"two types",
	{"REQUEST_METHOD", "GET", "REQUEST_URI", "/tag", "CONTENT_TYPE", "a", "CONTENT_TYPE", "b"},
	400},
    {"two credentials",
	{"REQUEST_METHOD", "GET", "REQUEST_URI", "/tag", "HTTP_AUTHORIZATION", "a",
	    "HTTP_AUTHORIZATION", "a"},
	400},
    {"two keys",
	{"REQUEST_METHOD", "GET", "REQUEST_URI", "/tag", "HTTP_X_API_KEY", "a", "HTTP_X_API_KEY",
	    "b"},
	400},
    {"two cookies",
	{"REQUEST_METHOD", "GET", "REQUEST_URI", "/tag", "HTTP_COOKIE", "a", "HTTP_COOKIE", "b"},
	400},
    {"two origins",
	{"REQUEST_METHOD", "GET", "REQUEST_URI", "/tag", "HTTP_ORIGIN", "a", "HTTP_ORIGIN", "b"},
	400},
    {"two hosts",
	{"REQUEST_METHOD", "GET", "REQUEST_URI", "/tag", "HTTP_HOST", "a", "HTTP_HOST", "b"}, 400},
    {"two apps",
	{"REQUEST_METHOD", "GET", "REQUEST_URI", "/tag", "QUOIN_APP", "a", "QUOIN_APP", "b"}, 400},
    {"two addresses",
	{"REQUEST_METHOD", "GET", "REQUEST_URI", "/tag", "REMOTE_ADDR", "1.1.1.1", "REMOTE_ADDR",
	    "::1"},
	400},
    {"two preconditions",
	{"REQUEST_METHOD", "GET", "REQUEST_URI", "/tag", "HTTP_IF_MATCH", "a", "HTTP_IF_MATCH",
	    "b"},
	400},
    {"two keys of a repetition",
	{"REQUEST_METHOD", "GET", "REQUEST_URI", "/tag", "HTTP_IDEMPOTENCY_KEY", "a",
	    "HTTP_IDEMPOTENCY_KEY", "b"},
	400},
    {"two of what decides nothing",
	{"REQUEST_METHOD", "GET", "REQUEST_URI", "/tag", "HTTP_ACCEPT", "a", "HTTP_ACCEPT", "b"},
	200},
    {"a name that begins alike",
	{"REQUEST_METHOD", "GET", "REQUEST_METHOD_X", "PUT", "REQUEST_URI", "/tag", "REQUEST_URI_",
	    "/x"},
	200},
};

static void what_decides_must_come_once(void **state)
{
	struct fcgi_answer a;

	(void)state;
	for (size_t i = 0; i < COUNT(heads); i++) {
		ask(heads[i].params, NULL, 0, &a);
		if (a.status != heads[i].status)
			fail_msg("%s: %d %.*s", heads[i].name, a.status, (int)a.n, a.body);
		assert_non_null(fcgi_answer_header(&a, "X-Request-Id"));
		fcgi_answer_done(&a);
	}
}

/* paths, methods, statuses */

static const struct {
	const char *name, *method, *target;
	int status;
	const char *header, *value, *holds;
} routes[] = {
    {"parameters", "GET", "/" SOME_ID "/7", 200, NULL, NULL, "{\"id\":\"" SOME_ID "\",\"n\":7}"},
    {"id in capitals", "GET", "/0190A2B3-0000-7000-8000-00000000AAAA/0", 200, NULL, NULL,
	"{\"id\":\"" SOME_ID "\",\"n\":0}"},
    {"escaped id", "GET", "/%30190a2b3-0000-7000-8000-00000000aaaa/2147483647", 200, NULL, NULL,
	"\"n\":2147483647"},
    {"no id", "GET", "/x/7", 404, NULL, NULL, "graph-not-found"},
    {"no number", "GET", "/" SOME_ID "/x", 404, NULL, NULL, "\"code\":\"not-found\""},
    {"negative number", "GET", "/" SOME_ID "/-1", 404, NULL, NULL, "\"code\":\"not-found\""},
    {"zeros in front", "GET", "/" SOME_ID "/07", 404, NULL, NULL, "\"code\":\"not-found\""},
    {"too large a number", "GET", "/" SOME_ID "/2147483648", 404, NULL, NULL,
	"\"code\":\"not-found\""},
    {"fraction", "GET", "/" SOME_ID "/1.0", 404, NULL, NULL, "\"code\":\"not-found\""},
    {"the handler's not found is the row's", "GET", "/" SOME_ID, 404, NULL, NULL,
	"graph-not-found"},
    {"no such route", "GET", "/a/b/c", 404, NULL, NULL, "\"code\":\"not-found\""},
    {"no such method", "POST", "/echo", 405, "Allow", "PUT, PATCH", "method-not-allowed"},
    {"no such method where there is GET", "PUT", "/contended", 405, "Allow", "GET, HEAD, DELETE",
	""},
    {"options", "OPTIONS", "/tag", 405, "Allow", "GET, HEAD", ""},
    {"trailing slash", "GET", "/tag/", 400, NULL, NULL, "bad-request"},
    {"a handler that says nothing", "GET", "/nothing", 500, NULL, NULL, "\"code\":\"internal\""},
    {"a status of its own", "GET", "/sick", 503, "Retry-After", "1", "{}"},
    {"contention that ends", "GET", "/contended", 200, NULL, NULL, "{}"},
    {"contention that does not", "GET", "/contended?for=ever", 503, "Retry-After", "1",
	"contention"},
    {"nothing is kept by caches", "GET", "/query?title=abc", 200, "Cache-Control", "no-store", ""},
    {"but asked for again", "GET", "/tag", 200, "Cache-Control", "private, no-cache", ""},
    {"tag", "GET", "/tag", 200, "ETag", "\"v12\"", ""},
};

static void requests_are_routed(void **state)
{
	struct fcgi_answer a;

	(void)state;
	for (size_t i = 0; i < COUNT(routes); i++) {
		attempts = 0;
		call(routes[i].method, routes[i].target, NULL, NULL, &a);
		char *body = strndup(a.body, a.n);
		if (a.status != routes[i].status ||
		    (routes[i].holds[0] != '\0' && !holds(body, routes[i].holds)))
			fail_msg("%s: %d %s", routes[i].name, a.status, body);
		free(body);
		const char *value =
		    routes[i].header != NULL ? fcgi_answer_header(&a, routes[i].header) : NULL;
		if (routes[i].header != NULL &&
		    (value == NULL || strcmp(value, routes[i].value) != 0))
			fail_msg("%s: %s: %s", routes[i].name, routes[i].header,
			    value != NULL ? value : "(none)");
		fcgi_answer_done(&a);
	}
	assert_int_equal(attempts, 0);
}

static void contention_is_tried_four_times(void **state)
{
	struct fcgi_answer a;
	uint64_t before = board->counter[QN_COUNT_RETRIES];

	(void)state;
	attempts = 0;
	call("GET", "/contended?for=ever", NULL, NULL, &a);
	fcgi_answer_done(&a);
	assert_int_equal(attempts, 4);
	assert_int_equal(board->counter[QN_COUNT_RETRIES] - before, 3);
}

static void local_routes_are_for_this_host(void **state)
{
	static const struct {
		const char *address;
		int status;
	} from[] = {{"127.0.0.1", 404}, {"::1", 404}, {"unix:", 404}, {"", 403}, {"127.0.0.2", 403},
	    {"10.0.0.1", 403}, {"::ffff:127.0.0.1", 403}, {"127.0.0.1 ", 403}, {NULL, 403}};
	struct fcgi_answer a;

	(void)state;
	for (size_t i = 0; i < COUNT(from); i++) {
		const char *const params[] = {"REQUEST_METHOD", "GET", "REQUEST_URI", "/" SOME_ID,
		    from[i].address != NULL ? "REMOTE_ADDR" : NULL, from[i].address, NULL};
		ask(params, NULL, 0, &a);
		if (a.status != from[i].status)
			fail_msg("%s: %d", from[i].address != NULL ? from[i].address : "(none)",
			    a.status);
		fcgi_answer_done(&a);
	}
}

static void head_is_get_without_its_body(void **state)
{
	static const char *const targets[] = {
	    "/tag", "/text", "/query?title=abc", "/a/b/c", "/query", "/sick"};
	struct fcgi_answer get, head;

	(void)state;
	for (size_t i = 0; i < COUNT(targets); i++) {
		const char *const id[] = {"HTTP_X_REQUEST_ID", "same", NULL};
		call("GET", targets[i], id, NULL, &get);
		call("HEAD", targets[i], id, NULL, &head);
		assert_string_equal(head.header, get.header);
		assert_int_equal(head.n, 0);
		assert_true(get.n > 0);
		fcgi_answer_done(&get);
		fcgi_answer_done(&head);
	}
}

static const struct {
	const char *header;
	int status;
} if_none_match[] = {
    {"\"v12\"", 304},
    {"*", 304},
    {"W/\"v12\"", 304},
    {"\"a\", \"v12\"", 304},
    {"\"a\",\"v12\"", 304},
    {"\"v12\", \"a\"", 304},
    {"\"v1\"", 200},
    {"v12", 200},
    {"\"v123\"", 200},
    {"\"v12", 200},
    {"", 200},
    {"x\"v12\"", 200},
    {"\"v12\"x", 200},
    {"**", 200},
};

static void if_none_match_is_honoured(void **state)
{
	struct fcgi_answer a;

	(void)state;
	for (size_t i = 0; i < COUNT(if_none_match); i++) {
		const char *const more[] = {"HTTP_IF_NONE_MATCH", if_none_match[i].header, NULL};
		call("GET", "/tag", more, NULL, &a);
		if (a.status != if_none_match[i].status)
			fail_msg("%s: %d", if_none_match[i].header, a.status);
		assert_string_equal(fcgi_answer_header(&a, "ETag"), "\"v12\"");
		assert_int_equal(a.n, a.status == 304 ? 0 : 2);
		if (a.status == 304)
			assert_null(fcgi_answer_header(&a, "Content-Length"));
		fcgi_answer_done(&a);
	}
}

static const struct {
	const char *target, *link;
} links[] = {
    {"/next", "</next?cursor=NEXT>; rel=\"next\""},
    {"/next?limit=5", "</next?cursor=NEXT&limit=5>; rel=\"next\""},
    {"/next?limit=5&cursor=OLD&a=b", "</next?cursor=NEXT&limit=5&a=b>; rel=\"next\""},
    {"/next?cursor=OLD", "</next?cursor=NEXT>; rel=\"next\""},
    {"/next?&&a=b&", "</next?cursor=NEXT&a=b>; rel=\"next\""},
    {"/next?a=>;rel=x&b=c", "</next?cursor=NEXT&b=c>; rel=\"next\""},
};

static void the_next_page_is_linked(void **state)
{
	char target[16000];
	struct fcgi_answer a;

	(void)state;
	for (size_t i = 0; i < COUNT(links); i++) {
		call("GET", links[i].target, NULL, NULL, &a);
		assert_string_equal(fcgi_answer_header(&a, "Link"), links[i].link);
		fcgi_answer_done(&a);
	}
	/* However long the query, the header is whole. */
	for (size_t n = 3900; n < sizeof(target); n += n < 8300 ? 1 : 1000) {
		memset(target, 'x', n);
		memcpy(target, "/next?a=", 8);
		target[n] = '\0';
		call("GET", target, NULL, NULL, &a);
		assert_int_equal(a.n, 2);
		assert_int_equal(a.status, 200);
		assert_string_equal(fcgi_answer_header(&a, "Cache-Control"), "no-store");
		fcgi_answer_done(&a);
	}
}

#define LONG64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct {
	const char *name, *clients, *nginx, *answered; /* NULL: a new one */
} ids[] = {
    {"the client's", "abc-1._X", "0123", "abc-1._X"},
    {"nginx's", NULL, "0123456789abcdef", "0123456789abcdef"},
    {"none", NULL, NULL, NULL},
    {"empty", "", "0123", "0123"},
    {"longest", LONG64, NULL, LONG64},
    {"too long", LONG64 "0", "0123", "0123"},
    {"with a space", "a b", NULL, NULL},
    {"with a line end", "a\r\nSet-Cookie: x=y", NULL, NULL},
    {"with a quote", "a\"b", NULL, NULL},
    {"no ASCII", "\xc3\xa9", NULL, NULL},
    {"both of no use", "a/b", "a b", NULL},
};

static void request_ids_are_kept_or_made(void **state)
{
	struct fcgi_answer a;

	(void)state;
	for (size_t i = 0; i < COUNT(ids); i++) {
		const char *more[5] = {NULL};
		size_t n = 0;
		if (ids[i].clients != NULL) {
			more[n++] = "HTTP_X_REQUEST_ID";
			more[n++] = ids[i].clients;
		}
		if (ids[i].nginx != NULL) {
			more[n++] = "REQUEST_ID";
			more[n++] = ids[i].nginx;
		}
		call("GET", "/x", more, NULL, &a);
		const char *id = fcgi_answer_header(&a, "X-Request-Id");
		assert_non_null(id);
		if (ids[i].answered != NULL ? strcmp(id, ids[i].answered) != 0 : strlen(id) != 36)
			fail_msg("%s: %s", ids[i].name, id);
		char *body = strndup(a.body, a.n);
		assert_non_null(strstr(body, id));
		free(body);
		fcgi_answer_done(&a);
	}
}

static void large_answers_arrive_whole(void **state)
{
	struct fcgi_answer a;

	(void)state;
	call("GET", "/text", NULL, NULL, &a);
	assert_int_equal(a.status, 200);
	assert_string_equal(fcgi_answer_header(&a, "Content-Type"), "text/plain");
	assert_int_equal(a.n, 3 << 20);
	for (size_t i = 0; i < a.n; i++)
		if (a.body[i] != 'x')
			fail_msg("byte %zu is %d", i, a.body[i]);
	fcgi_answer_done(&a);
}

/* clients that break off, lie or say nothing */

static void good_pairs(struct qn_buf *pairs)
{
	qn_buf_init(pairs, 65536);
	fcgi_pair(pairs, "REQUEST_METHOD", "PUT");
	fcgi_pair(pairs, "REQUEST_URI", "/echo");
	fcgi_pair(pairs, "CONTENT_TYPE", "application/json");
	fcgi_pair(pairs, "CONTENT_LENGTH", "15");
}

/* Cut after every byte, the connection either ends or is answered with an error, at once. */
static void requests_cut_short_cost_nothing(void **state)
{
	struct qn_buf whole, part, answer, pairs;
	struct fcgi_answer a;
	int64_t began = qn_mono_us();

	(void)state;
	good_pairs(&pairs);
	qn_buf_init(&whole, 65536);
	fcgi_begin(&whole, 1, 0);
	fcgi_record(&whole, FCGI_T_PARAMS, pairs.p, pairs.n);
	fcgi_record(&whole, FCGI_T_PARAMS, NULL, 0);
	fcgi_record(&whole, FCGI_T_STDIN, "{\"title\":\"abc\"}", 15);
	fcgi_record(&whole, FCGI_T_STDIN, NULL, 0);
	for (size_t n = 0; n <= whole.n; n++) {
		qn_buf_init(&part, 65536);
		qn_buf_add(&part, whole.p, n);
		bool taken = take(&part, true, &answer);
		if (taken && fcgi_answer_read(&answer, &a) &&
		    a.status != (n == whole.n ? 200 : 400))
			fail_msg("cut after %zu of %zu bytes: %d", n, whole.n, a.status);
		if (n == whole.n)
			assert_true(taken);
		if (taken)
			fcgi_answer_done(&a);
		qn_buf_done(&part);
		qn_buf_done(&answer);
	}
	assert_in_range(qn_mono_us() - began, 0, 20000000);
	qn_buf_done(&whole);
	qn_buf_done(&pairs);
	still_serves();
}

static void broken(struct qn_buf *out, int how)
{
	static const unsigned char huge[8] = {0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff};
	struct qn_buf pairs;

	good_pairs(&pairs);
	switch (how) {
	case 0: /* CVE-2025-23016 */
		fcgi_begin(out, 1, 0);
		fcgi_record(out, FCGI_T_PARAMS, huge, sizeof(huge));
		break;
	case 1: /* no FastCGI at all */
		qn_buf_str(out, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
		break;
	case 2: /* an authorizer */
		fcgi_begin(out, 2, 0);
		fcgi_record(out, FCGI_T_PARAMS, pairs.p, pairs.n);
		break;
	case 3: /* no such role */
		fcgi_begin(out, 77, 0);
		break;
	case 4: /* parameters without a beginning */
		fcgi_record(out, FCGI_T_PARAMS, pairs.p, pairs.n);
		break;
	case 5: /* a beginning within a request */
		fcgi_begin(out, 1, 0);
		fcgi_record(out, FCGI_T_PARAMS, pairs.p, pairs.n);
		fcgi_begin(out, 1, 0);
		break;
	case 6: /* aborted */
		fcgi_begin(out, 1, 0);
		fcgi_record(out, FCGI_T_PARAMS, pairs.p, pairs.n);
		fcgi_record(out, FCGI_T_ABORT, NULL, 0);
		break;
	case 7: /* a value longer than its record */
		fcgi_begin(out, 1, 0);
		fcgi_record(out, FCGI_T_PARAMS, "\x0e\x7fREQUEST_METHODGET", 19);
		fcgi_record(out, FCGI_T_PARAMS, NULL, 0);
		break;
	case 8: /* no such type */
		fcgi_begin(out, 1, 0);
		fcgi_record(out, 99, "x", 1);
		break;
	case 9: /* another version */
		qn_buf_add(
		    out, "\x02\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00", 16);
		break;
	default:
		fcgi_begin(out, 1, 0);
		fcgi_record(out, FCGI_T_STDIN, "x", 1);
	}
	qn_buf_done(&pairs);
}

static void broken_records_cost_a_connection(void **state)
{
	struct qn_buf request, answer;
	struct fcgi_answer a;

	(void)state;
	for (int how = 0; how <= 10; how++) {
		int64_t began = qn_mono_us();
		qn_buf_init(&request, 65536);
		broken(&request, how);
		if (take(&request, true, &answer) && fcgi_answer_read(&answer, &a)) {
			if (a.status < 400)
				fail_msg("case %d was answered with %d", how, a.status);
			fcgi_answer_done(&a);
		}
		if (qn_mono_us() - began > SOON_US)
			fail_msg("case %d took too long", how);
		qn_buf_done(&request);
		qn_buf_done(&answer);
		still_serves();
	}
}

static void a_management_record_may_come_first(void **state)
{
	static const char *const params[] = {"REQUEST_METHOD", "GET", "REQUEST_URI", "/tag", NULL};
	struct qn_buf request, answer, values;

	(void)state;
	qn_buf_init(&request, 65536);
	qn_buf_init(&values, 1024);
	fcgi_pair(&values, "FCGI_MAX_CONNS", "");
	fcgi_record(&request, FCGI_T_GET_VALUES, values.p, values.n);
	request.p[3] = 0; /* belongs to no request */
	fcgi_request(&request, params, NULL, 0);
	assert_true(take(&request, false, &answer));
	assert_non_null(memmem(answer.p, answer.n, "FCGI_MAX_CONNS", 14));
	assert_non_null(memmem(answer.p, answer.n, "\r\n\r\n{}", 6));
	qn_buf_done(&request);
	qn_buf_done(&answer);
	qn_buf_done(&values);
}

/* A client who says so much and then nothing more, though it stays: the worker is free soon. */
static void silence_has_a_deadline(void **state)
{
	static const char *const params[] = {"REQUEST_METHOD", "PUT", "REQUEST_URI", "/echo",
	    "CONTENT_TYPE", "application/json", "CONTENT_LENGTH", "15", NULL};
	struct qn_buf whole;
	size_t cuts[5];

	(void)state;
	qn_buf_init(&whole, 65536);
	fcgi_request(&whole, params, "{\"title\":\"abc\"}", 15);
	cuts[0] = 0;
	cuts[1] = 1;
	cuts[2] = 20;           /* among the parameters */
	cuts[3] = whole.n - 12; /* in the body */
	cuts[4] = whole.n - 8;  /* before its end */
	for (size_t i = 0; i < COUNT(cuts); i++) {
		int pair[2];
		int64_t began = qn_mono_us();
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		assert_int_equal(write(pair[0], whole.p, cuts[i]), cuts[i]);
		qn_server_take(server, pair[1]);
		if (qn_mono_us() - began > SOON_US)
			fail_msg("silence after %zu bytes took %lld ms", cuts[i],
			    (long long)(qn_mono_us() - began) / 1000);
		close(pair[0]);
	}
	qn_buf_done(&whole);
	still_serves();
}

struct dribble {
	int fd;
	const struct qn_buf *bytes;
};

static void *dribble(void *arg)
{
	const struct dribble *d = arg;

	for (size_t i = 0; i < d->bytes->n; i++) {
		if (send(d->fd, d->bytes->p + i, 1, MSG_NOSIGNAL) != 1)
			break;
		poll(NULL, 0, 300);
	}
	return NULL;
}

/* The deadline is for the whole request, not for each byte of it. */
static void a_request_in_drops_has_a_deadline(void **state)
{
	static const char *const params[] = {"REQUEST_METHOD", "PUT", "REQUEST_URI", "/echo",
	    "CONTENT_TYPE", "application/json", "CONTENT_LENGTH", "15", NULL};
	struct qn_buf whole;
	int pair[2];
	pthread_t thread;

	(void)state;
	qn_buf_init(&whole, 65536);
	fcgi_request(&whole, params, "{\"title\":\"abc\"}", 15);
	for (size_t at_once = 0; at_once < whole.n;
	     at_once += whole.n - 20) { /* all of it, or the body */
		struct qn_buf drops = {.p = whole.p + at_once, .n = whole.n - at_once};
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		assert_int_equal(write(pair[0], whole.p, at_once), at_once);
		struct dribble d = {pair[0], &drops};
		assert_int_equal(pthread_create(&thread, NULL, dribble, &d), 0);
		int64_t began = qn_mono_us();
		qn_server_take(server, pair[1]);
		int64_t us = qn_mono_us() - began;
		pthread_join(thread, NULL);
		close(pair[0]);
		assert_in_range(us, 0, SOON_US); /* the body alone takes 6 s */
	}
	qn_buf_done(&whole);
	still_serves();
}

/* One who does not take the answer, and one who has left before it. */
static void answers_that_nobody_takes_have_a_deadline(void **state)
{
	static const char *const params[] = {"REQUEST_METHOD", "GET", "REQUEST_URI", "/text", NULL};
	struct qn_buf whole;

	(void)state;
	qn_buf_init(&whole, 65536);
	fcgi_request(&whole, params, NULL, 0);
	for (int gone = 0; gone <= 1; gone++) {
		int pair[2];
		uint64_t lost = board->counter[QN_COUNT_LOST_REPLIES];
		int64_t began = qn_mono_us();
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		assert_int_equal(write(pair[0], whole.p, whole.n), whole.n);
		if (gone)
			close(pair[0]);
		assert_true(qn_server_take(server, pair[1]));
		if (!gone)
			close(pair[0]);
		assert_in_range(qn_mono_us() - began, 0, SOON_US);
		assert_int_equal(board->counter[QN_COUNT_LOST_REPLIES] - lost, 1);
	}
	qn_buf_done(&whole);
	still_serves();
}

static void counters_know_what_was_served(void **state)
{
	struct fcgi_answer a;
	struct qn_buf nothing_at_all = {.p = NULL}, answer;
	uint64_t bad = board->counter[QN_COUNT_BAD_CONNECTIONS], served = board->worker[0].requests;

	(void)state;
	assert_false(take(&nothing_at_all, true, &answer));
	qn_buf_done(&answer);
	assert_int_equal(board->counter[QN_COUNT_BAD_CONNECTIONS] - bad, 1);
	assert_int_equal(board->worker[0].requests - served, 0);
	size_t tag = 9;
	assert_string_equal(rows[tag].id, "tag");
	uint64_t good = board->route[tag].status[2];
	call("GET", "/tag", NULL, NULL, &a);
	fcgi_answer_done(&a);
	assert_int_equal(board->route[tag].status[2] - good, 1);
	assert_int_equal(board->worker[0].requests - served, 1);
	assert_int_equal(board->worker[0].stage, QN_STAGE_IDLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bodies_are_read_by_their_table),
	    cmocka_unit_test(the_dialect_of_a_route_is_answered),
	    cmocka_unit_test(faults_are_listed_up_to_a_limit),
	    cmocka_unit_test(long_names_are_cut),
	    cmocka_unit_test(queries_are_read_by_their_table),
	    cmocka_unit_test(a_body_may_come_as_a_query),
	    cmocka_unit_test(a_body_may_be_a_form),
	    cmocka_unit_test(known_members_may_be_picked),
	    cmocka_unit_test(cookies_are_found_by_their_whole_name),
	    cmocka_unit_test(words_in_paths_have_a_form),
	    cmocka_unit_test(only_json_is_read),
	    cmocka_unit_test(bodies_have_a_size),
	    cmocka_unit_test(lengths_must_be_true),
	    cmocka_unit_test(what_decides_must_come_once),
	    cmocka_unit_test(requests_are_routed),
	    cmocka_unit_test(contention_is_tried_four_times),
	    cmocka_unit_test(local_routes_are_for_this_host),
	    cmocka_unit_test(head_is_get_without_its_body),
	    cmocka_unit_test(if_none_match_is_honoured),
	    cmocka_unit_test(request_ids_are_kept_or_made),
	    cmocka_unit_test(the_next_page_is_linked),
	    cmocka_unit_test(large_answers_arrive_whole),
	    cmocka_unit_test(requests_cut_short_cost_nothing),
	    cmocka_unit_test(broken_records_cost_a_connection),
	    cmocka_unit_test(a_management_record_may_come_first),
	    cmocka_unit_test_setup_teardown(silence_has_a_deadline, hurry, take_time),
	    cmocka_unit_test_setup_teardown(a_request_in_drops_has_a_deadline, hurry, take_time),
	    cmocka_unit_test_setup_teardown(
		answers_that_nobody_takes_have_a_deadline, hurry, take_time),
	    cmocka_unit_test(counters_know_what_was_served),
	};
	return cmocka_run_group_tests_name("body", tests, set_up, tear_down);
}
