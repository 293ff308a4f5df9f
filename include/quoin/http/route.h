/*
 * Routes. A row carries all that can be known before the handler runs; zero means refused, so a
 * forgotten field fails at start. From the same rows come openapi.json, nginx's pool map, the
 * permission listing, the metrics' labels and the attack matrix of the tests (DESIGN §4).
 */
#ifndef QUOIN_HTTP_ROUTE_H
#define QUOIN_HTTP_ROUTE_H

#include <stddef.h>

#include "quoin/auth/rate.h"
#include "quoin/base/board.h"
#include "quoin/base/err.h"
#include "quoin/base/field.h"
#include "quoin/store/member.h"

struct qn_request;

enum qn_method { QN_METHOD_NONE, QN_GET, QN_POST, QN_PUT, QN_PATCH, QN_DELETE, QN_METHOD__MAX };

const char *qn_method_name(enum qn_method m);
enum qn_method qn_method_by_name(
    const char *name); /* QN_METHOD_NONE for any other; HEAD is QN_GET */

/* Kinds of caller that a row lets in. Of PUBLIC and USER: who shows a credential is held to it. */
enum {
	QN_AUTH_PUBLIC = 1 << 0, /* anyone */
	QN_AUTH_USER = 1 << 1,   /* a user, by bearer token or session */
	QN_AUTH_LOCAL = 1 << 2,  /* anyone on this host: monitoring */
	QN_AUTH_KEY = 1 << 3, /* an API key: its scopes are held against the first word of the id */
};

enum {
	QN_R_QUERY_BODY =
	    1 << 0,             /* the body's members may come as query parameters instead (A13) */
	QN_R_ETAG = 1 << 1,     /* replies carry an ETag, If-None-Match is honoured */
	QN_R_IF_MATCH = 1 << 2, /* If-Match is honoured */
	QN_R_ONCE = 1 << 3,     /* Idempotency-Key is honoured */
	QN_R_PAGED = 1 << 4,    /* limit and cursor; the reply has has_more and next_cursor */
	QN_R_CAMEL = 1 << 5,    /* the dialect of the wire is camelCase */
	QN_R_HEALTH = 1 << 6,   /* the reply may come with 503 */
	QN_R_APP = 1 << 7,      /* a public route that needs to know the app */
	QN_R_ONE_FACTOR = 1 << 8, /* also for who has still to show a second factor */
	QN_R_RECENT = 1 << 9,     /* only soon after a factor was shown (T14) */
	QN_R_STAFF = 1 << 10,     /* only for the deployment's own administrators */
	QN_R_REDIRECT = 1 << 11,  /* answers 302 */
	QN_R_UNKEPT =
	    1 << 12, /* a POST whose reply holds a secret: it is kept for no Idempotency-Key */
	QN_R_FORM = 1 << 13, /* the body may be a form, as RFC 6749 has it; never with a cookie */
	QN_R_PICK = 1 << 14, /* members of the body that the table does not know are left alone */
	QN_R_SIGNED =
	    1 << 15, /* replies are signed by the app's key for licences, when asked to be */
	QN_R_RAW =
	    1 << 16, /* the body is the handler's to read; the table is there for the reader */
	/* like QN_R_ONCE, but the effect is of whom the handler calls, with a key of its own */
	QN_R_KEYED = 1 << 17,
	QN_R_STALE =
	    1 << 18, /* public: while Postgres is away callers are those of before, or unknown */
	QN_R_SUPPORT = 1 << 19, /* of QN_R_STAFF: support may look, too */
};

enum { QN_PATH_PARAMS = 4, QN_ROUTE_ERRORS = 12 };

typedef enum qn_err qn_handler(struct qn_request *r);

struct qn_route {
	enum qn_method method;
	const char
	    *path;      /* "/api/v1/graphs/{graph_id}/restore/{version:int}"; a bare name is a UUID,
	             {x:name} a word of a-z, 0-9, - */
	const char *id; /* "graph.restore": in logs, metrics and openapi.json */
	const char *summary; /* one sentence */
	enum qn_pool pool;
	unsigned auth, flags;
	bool
	    calls_out; /* asks third parties: needs one of the pool's turns at that (auth/turn.h) */
	const char *once_by; /* the body's member that says who asks where nobody is signed in: an
	             Idempotency-Key is that one's then; NULL: only who is signed in has any */
	enum qn_rate rate;   /* what a request costs: zero is the ordinary class */
	const char *tenant;  /* the path parameter that must be the caller's, NULL none */
	enum qn_role role;   /* what the caller must at least be in the organization {org_id} */
	int rank;            /* of the plan, the organization's there, else the caller's; 0 any */
	enum qn_err missing; /* what QN_NOT_FOUND means here; also of an id that is no id */
	const struct qn_object *query, *body, *reply;
	size_t body_max;                     /* bytes */
	const char *content_type;            /* of a reply that is not JSON by `reply` */
	int fresh_s;                         /* anyone may keep its reply for so long; 0 nobody */
	enum qn_err errors[QN_ROUTE_ERRORS]; /* those that the rest of the row does not imply */
	qn_handler *handler;
};

struct qn_route_table {
	const struct qn_route *rows;
	size_t n;
};

struct qn_routes; /* all tables, checked and compiled to a trie */

/* NULL-terminated list of tables. Ends the process, naming the row, when one is not fit. */
struct qn_routes *qn_routes_new(const struct qn_route_table *const *tables);
void qn_routes_free(struct qn_routes *routes);

size_t qn_routes_n(const struct qn_routes *routes);
const struct qn_route *qn_routes_at(const struct qn_routes *routes, size_t index);

struct qn_match {
	int index; /* of the route, -1 none */
	struct qn_span param[QN_PATH_PARAMS];
	unsigned methods; /* 1 << method of every route of this path, for Allow */
};

/*
 * `path` is canonical (request.h) and outlives the match. /api/v2/… is what its own rows say, otherwise /api/v1/…
 * (CONTRACT D2).
 */
void qn_routes_match(
    const struct qn_routes *routes, enum qn_method method, const char *path, struct qn_match *ret);

/* Every error that a row can answer: its own and those that it implies. Returns how many. */
enum { QN_ROUTE_ALL_ERRORS = 40 };
size_t qn_route_errors(const struct qn_route *route, enum qn_err out[QN_ROUTE_ALL_ERRORS]);

#endif
