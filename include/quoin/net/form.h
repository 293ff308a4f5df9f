/* application/x-www-form-urlencoded (WHATWG URL §5): queries of addresses, and bodies of posts. */
#ifndef QUOIN_NET_FORM_H
#define QUOIN_NET_FORM_H

#include "quoin/base/arena.h"
#include "quoin/base/buf.h"

/* Adds "name=value", and "&" before it unless `b` is empty or ends with '?' or '&'. Both are UTF-8. */
void qn_form_add(struct qn_buf *b, const char *name, const char *value);
/* One value as it stands in a form. In the arena. */
const char *qn_form_encode(struct qn_arena *a, const char *value);

#endif
