#include "quoin/http/page.h"

#include <string.h>

#include "quoin/base/rand.h"
#include "server.h"

enum { MAC_BYTES = 16, KEY_MAX = 64 };

#define CURSOR \
	QN_FIELD(struct qn_page_query, cursor, STR, 0, 1, 200, "next_cursor of the page before.")

static const struct qn_field page_fields[] = {
    QN_FIELD_DEF(struct qn_page_query, limit, I64, 0, 1, 1000, "1000", "Rows of a page."),
    CURSOR,
};
const struct qn_object qn_page_query_object = QN_OBJECT("Page", struct qn_page_query, page_fields);

static const struct qn_field short_fields[] = {
    QN_FIELD_DEF(struct qn_page_query, limit, I64, 0, 1, 100, "100", "Rows of a page."),
    CURSOR,
};
const struct qn_object qn_page_short_object =
    QN_OBJECT("ShortPage", struct qn_page_query, short_fields);

/* Bound to the path and the caller: a cursor of another list or another user is none. */
static void sign(const struct qn_request *r, const char *key, uint8_t mac[QN_SHA256_LEN])
{
	const char *secret = qn_conf_str(r->server->spec.conf, QN_CONF_KEY_QUOIN_SECRET_KEY);
	const char *text = qn_printf(
	    r->arena, "cursor\n%s\n%s\n%s\n%s", r->who.app->slug, r->who.user_id, r->path, key);

	qn_hmac_sha256(secret, strlen(secret), text, strlen(text), mac);
}

static bool open_cursor(struct qn_request *r, const char *cursor, const char **ret)
{
	size_t n = strlen(cursor);
	uint8_t bytes[MAC_BYTES + KEY_MAX + 1], mac[QN_SHA256_LEN];

	if (n / 4 * 3 + 3 > sizeof(bytes))
		return false;
	long len = qn_b64url_decode(cursor, n, bytes);
	if (len <= MAC_BYTES || len > MAC_BYTES + KEY_MAX)
		return false;
	char *key = qn_strndup(r->arena, (const char *)bytes + MAC_BYTES, (size_t)len - MAC_BYTES);
	if (strlen(key) != (size_t)len - MAC_BYTES)
		return false;
	sign(r, key, mac);
	*ret = key;
	return qn_equal_ct(mac, bytes, MAC_BYTES);
}

enum qn_err qn_page_start(struct qn_request *r, const char **ret_after, int64_t *ret_limit)
{
	const struct qn_page_query *q = r->query;

	*ret_after = NULL;
	*ret_limit = q->limit;
	if (q->cursor == NULL || open_cursor(r, q->cursor, ret_after))
		return QN_OK;
	qn_fault_add(r, "query", "cursor", "This is no cursor of this list.", "cursor");
	return QN_INVALID;
}

bool qn_page_more(struct qn_list *list, int64_t limit)
{
	if (list->n <= (size_t)limit)
		return false;
	list->n = (size_t)limit;
	return true;
}

void qn_page_next(struct qn_request *r, const char *last)
{
	uint8_t bytes[QN_SHA256_LEN + KEY_MAX];
	size_t n = strlen(last);

	if (n > KEY_MAX)
		return;
	sign(r, last, bytes);
	memcpy(bytes + MAC_BYTES, last, n);
	char *cursor = qn_alloc(r->arena, (MAC_BYTES + n) * 4 / 3 + 3);
	qn_b64url_encode(bytes, MAC_BYTES + n, cursor);
	r->next = cursor;
}
