/*
 * Pages of a list: `limit` and a cursor that only this deployment can have made, for this route and
 * this caller (SECURITY T20).
 */
#ifndef QUOIN_HTTP_PAGE_H
#define QUOIN_HTTP_PAGE_H

#include "quoin/http/request.h"

struct qn_page_query {
	int64_t limit;
	const char *cursor;
};
/* The fields of a query that holds more: `struct qn_page_query page` is its first member. */
#define QN_PAGE_FIELDS(s, most_) \
	{.name = "limit", \
	    .type = QN_T_I64, \
	    .least = 1, \
	    .most = (most_), \
	    .def = #most_, \
	    .offset = offsetof(s, page.limit) + 0 * sizeof(char[offsetof(s, page) == 0 ? 1 : -1]), \
	    .doc = "Rows of a page."}, \
	{ \
		.name = "cursor", .type = QN_T_STR, .least = 1, .most = 200, \
		.offset = offsetof(s, page.cursor), .doc = "next_cursor of the page before." \
	}
extern const struct qn_object qn_page_query_object; /* ?limit=1..1000&cursor=… */
extern const struct qn_object
    qn_page_short_object; /* ?limit=1..100&cursor=…, where rows may be large */

/* Where the page starts: *ret_after is the text given to qn_page_next, or NULL at the first page. */
enum qn_err qn_page_start(
    struct qn_request *r, const char **ret_after, int64_t *ret_limit) QN_MUST_CHECK;
/* `list` was asked for with one row more than the limit: whether that row is there, which is dropped. */
bool qn_page_more(struct qn_list *list, int64_t limit);
/* There is more: makes r->next of the key of the last row that stays. */
void qn_page_next(struct qn_request *r, const char *last);

#endif
