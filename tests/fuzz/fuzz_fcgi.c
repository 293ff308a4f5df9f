/*
 * A server and its client's bytes. An input that begins with a zero is the bytes themselves, for
 * libfcgi; any other is a request in lines, NAME=VALUE up to an empty one and then the body, so
 * that what lies behind the records is reached too. Each answer is whole, and its body is the JSON
 * that it says.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sanitizer/lsan_interface.h>

#include "fcgi_client.h"
#include "quoin/base/json.h"
#include "quoin/base/log.h"
#include "quoin/http/request.h"
#include "quoin/http/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what); \
			abort(); \
		} \
	} while (0)

enum { REQUEST_BYTES = 128 * 1024 };

static const char *const colours[] = {"red", "green", NULL};

struct in {
	const char *title, *ref_id, *colour;
	int64_t count;
	qn_tri is_open;
	qn_time due_at;
	struct qn_span data, extra;
};

#define FIELDS(flags) \
	QN_FIELD(struct in, title, STR, flags, 1, 9, "Title."), \
	    QN_FIELD(struct in, ref_id, UUID, flags, 0, 0, "Reference."), \
	    QN_FIELD_ENUM(struct in, colour, flags, colours, NULL, "Colour."), \
	    QN_FIELD(struct in, count, I64, flags, -5, 100, "Count."), \
	    QN_FIELD(struct in, is_open, BOOL, flags, 0, 0, "Open."), \
	    QN_FIELD(struct in, due_at, TIME, flags, 0, 0, "Due."), \
	    QN_FIELD(struct in, data, JSON, (flags) | QN_F_OBJECT, 0, 0, "Data."), \
	    QN_FIELD(struct in, extra, JSON, flags, 0, 3000, "Extra.")

static const struct qn_field in_fields[] = {FIELDS(0)};
static const struct qn_object in_object = QN_OBJECT("In", struct in, in_fields);
static const struct qn_field out_fields[] = {FIELDS(QN_F_OPTIONAL)};
static const struct qn_object out_object = QN_OBJECT("Out", struct in, out_fields);

static enum qn_err echo(struct qn_request *r)
{
	r->etag = "\"v1\"";
	return qn_reply(r, r->in != NULL ? r->in : r->query);
}

static enum qn_err show(struct qn_request *r)
{
	struct in *out = qn_new(r->arena, struct in);

	qn_object_init(&out_object, out);
	out->ref_id = r->param[0];
	out->count = r->param_int[1];
	r->next = "NEXT";
	return qn_reply(r, out);
}

#define ROW(method_, path_, id_) \
	.method = (method_), .path = (path_), .id = (id_), .summary = "S.", .pool = QN_POOL_API, \
	.reply = &out_object
#define ANYONE .auth = QN_AUTH_PUBLIC, .handler = echo

static const struct qn_route rows[] = {
    {ROW(QN_PUT, "/e", "put"), ANYONE, .body = &in_object, .body_max = 5000},
    {ROW(QN_PATCH, "/e", "camel"), ANYONE, .body = &in_object, .body_max = 5000,
	.flags = QN_R_CAMEL},
    {ROW(QN_POST, "/e", "loose"), ANYONE, .body = &in_object, .body_max = 5000,
	.flags = QN_R_QUERY_BODY | QN_R_ONCE},
    {ROW(QN_GET, "/e", "query"), ANYONE, .query = &in_object, .flags = QN_R_ETAG},
    {ROW(QN_GET, "/{id}/{n:int}", "params"), .auth = QN_AUTH_LOCAL, .missing = QN_NOT_FOUND,
	.handler = show},
};
static const struct qn_route_table table = {rows, sizeof(rows) / sizeof(rows[0])};
static const struct qn_route_table *const tables[] = {&table, NULL};

static struct qn_server *server;
static struct qn_arena *arena;

static void start(void)
{
	static struct qn_server_spec spec = {
	    .pool = QN_POOL_API, .listen_fd = -1, .tables = tables};

	qn_log_init("fuzz", QN_ERROR + 1);
	MUST(setenv("MEMCACHED_SERVERS", "", 1) == 0 &&
	     setenv("DATABASE_URL", "host=/nonexistent", 1) == 0);
	MUST(setenv("QUOIN_READ_TIMEOUT_S", "1", 1) == 0 &&
	     setenv("QUOIN_RATE_API_ADDRESS", "-1", 1) == 0);
	MUST(setenv("QUOIN_SECRET_KEY", "kD8f2-PzQ0vXw7LmNs41RtYbHcJe9UgA", 1) == 0);
	spec.conf = qn_conf_load("/dev/null");
	spec.board = qn_board_create(NULL, QN_POOL_API);
	MUST(spec.conf != NULL && spec.board != NULL);
	server = qn_server_new(&spec);
	arena = qn_arena_new((size_t)64 << 20);
}

/* NAME=VALUE lines to parameters; what follows the empty line is the body. */
static void build(const char *text, size_t n, struct qn_buf *out)
{
	struct qn_buf pairs;
	const char *end = text + n, *line = text;

	qn_buf_init(&pairs, REQUEST_BYTES);
	while (line < end && *line != '\n') {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		size_t len = (size_t)((stop != NULL ? stop : end) - line);
		char *name = qn_strndup(arena, line, len);
		char *value = strchr(name, '=');
		if (value != NULL)
			*value++ = '\0';
		fcgi_pair(&pairs, name, value != NULL ? value : "");
		line = stop != NULL ? stop + 1 : end;
	}
	fcgi_begin(out, 1, 0);
	if (pairs.n > 0)
		fcgi_record(out, FCGI_T_PARAMS, pairs.p, pairs.n);
	fcgi_record(out, FCGI_T_PARAMS, NULL, 0);
	if (end - line > 1)
		fcgi_record(out, FCGI_T_STDIN, line + 1, (size_t)(end - line) - 1);
	fcgi_record(out, FCGI_T_STDIN, NULL, 0);
	qn_buf_done(&pairs);
}

/* What the server says to these bytes, of which there are no more. */
static bool talk(const struct qn_buf *request, struct qn_buf *answer)
{
	char block[65536];
	int pair[2];
	ssize_t got;

	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	/* All of it fits: the sending side has more room than an input is long. */
	got =
	    request->n > 0 ? send(pair[0], request->p, request->n, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
	MUST(got == (ssize_t)request->n);
	shutdown(pair[0], SHUT_WR);
	bool taken = qn_server_take(server, pair[1]);
	while ((got = recv(pair[0], block, sizeof(block), MSG_DONTWAIT)) > 0)
		qn_buf_add(answer, block, (size_t)got);
	close(pair[0]);
	return taken;
}

/* The lines of a header are a name and a value each, and there are no others. */
static void check_header(const char *header)
{
	while (*header != '\0') {
		size_t n = strcspn(header, "\r\n"), name = strcspn(header, ":");
		MUST(name > 0 && name < n && header[name + 1] == ' ');
		MUST(strspn(header, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") ==
		     name);
		MUST(strncmp(header + n, "\r\n", 2) == 0);
		header += n + 2;
	}
}

/* `head`: it may have been asked for without a body. */
static void check(const struct qn_buf *answer, bool head)
{
	struct fcgi_answer a;
	size_t offset = 0;

	MUST(fcgi_answer_read(answer, &a));
	MUST(a.protocol_status == 0);
	MUST(a.status >= 200 && a.status <= 503 && a.status != 500);
	check_header(a.header);
	if (a.n == 0)
		MUST(head || a.status == 304);
	else
		MUST(qn_json_scan(arena, (struct qn_span){a.body, a.n}, &qn_json_default_limits,
			 NULL, &offset) == QN_JSON_OK);
	fcgi_answer_done(&a);
}

/*
 * libfcgi ends the process when the lengths of a name and its value come to 2 GiB or more, as the
 * fix of CVE-2025-23016 looks at each alone: one of them then begins with a byte from 0xc0 on. Only
 * who may write to the socket can do that.
 */
static bool kills_libfcgi(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (data[i] >= 0xc0)
			return true;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qn_buf request, answer;
	bool lines = size > 0 && data[0] != 0;

	if (server == NULL)
		start();
	if (size > REQUEST_BYTES / 4 || (!lines && kills_libfcgi(data, size)))
		return 0;
	qn_buf_init(&request, REQUEST_BYTES);
	qn_buf_init(&answer, REQUEST_BYTES);
	if (lines)
		build((const char *)data, size, &request);
	else if (size > 0)
		qn_buf_add(&request, data + 1, size - 1);
	if (!lines)
		__lsan_disable(); /* libfcgi loses 48 bytes for a management record of no known type
		                   */
	bool taken = talk(&request, &answer);
	if (!lines)
		__lsan_enable();
	if (lines) {
		MUST(taken);
		check(&answer, memmem(data, size, "REQUEST_METHOD=HEAD", 19) != NULL);
	}
	qn_buf_done(&request);
	qn_buf_done(&answer);
	qn_arena_reset(arena);
	return 0;
}
