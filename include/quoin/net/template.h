/*
 * Texts with holes: {{name}} is replaced by a value, and that is all there is. In HTML the value is escaped, so
 * that it stays text inside an element or a quoted attribute; in both, a control byte in it becomes a space
 * and what is no UTF-8 becomes U+FFFD.
 */
#ifndef QUOIN_NET_TEMPLATE_H
#define QUOIN_NET_TEMPLATE_H

#include <stdbool.h>

#include "quoin/base/buf.h"

struct qn_template_var {
	const char *name, *value;
};

#define QN_TEMPLATE_WHY 160

/*
 * Adds `text`, filled in, to `out`. false for a name that is not among the variables, an open {{ without its
 * }}, a text that is no UTF-8 or holds a NUL, or more than `out` can take; then the reason, with its line, is
 * in `why` and what stands in `out` is of no use.
 */
bool qn_template_fill(struct qn_span text, const struct qn_template_var *vars, size_t n, bool html,
    struct qn_buf *out, char why[QN_TEMPLATE_WHY]) __attribute__((warn_unused_result));

/*
 * A plain template as an HTML one: paragraphs, line breaks, and a paragraph that is {{link}} alone becomes a
 * button with the link spelt out below it. The holes stay.
 */
void qn_template_html(struct qn_span text, struct qn_buf *out);

#endif
