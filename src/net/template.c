#include "quoin/net/template.h"

#include <stdio.h>

#include "quoin/base/utf8.h"

static void escape(char c, struct qn_buf *out)
{
	switch (c) {
	case '&':
		qn_buf_str(out, "&amp;");
		break;
	case '<':
		qn_buf_str(out, "&lt;");
		break;
	case '>':
		qn_buf_str(out, "&gt;");
		break;
	case '"':
		qn_buf_str(out, "&quot;");
		break;
	case '\'':
		qn_buf_str(out, "&#39;");
		break;
	default:
		qn_buf_char(out, c);
	}
}

/* C1 controls (U+0080 to U+009F) are controls too, and U+2028 and U+2029 break lines. */
static bool breaks(const unsigned char *p, size_t n)
{
	return (n == 1 && (p[0] < 0x20 || p[0] == 0x7f)) ||
	       (n == 2 && p[0] == 0xc2 && p[1] < 0xa0) ||
	       (n == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9));
}

static void put(const char *value, bool html, struct qn_buf *out)
{
	size_t len = strlen(value);

	for (size_t i = 0, n; i < len; i += n) {
		n = qn_utf8_len(value + i, len - i);
		if (n == 0) {
			qn_buf_str(out, "\xef\xbf\xbd");
			n = 1;
		} else if (breaks((const unsigned char *)value + i, n)) {
			qn_buf_char(out, ' ');
		} else if (n == 1 && html) {
			escape(value[i], out);
		} else {
			qn_buf_add(out, value + i, n);
		}
	}
}

static unsigned line_of(struct qn_span text, const char *at)
{
	unsigned line = 1;

	for (const char *p = text.p; p < at; p++)
		line += *p == '\n';
	return line;
}

static bool refuse(
    char *why, struct qn_span text, const char *at, const char *what, struct qn_span name)
{
	snprintf(why, QN_TEMPLATE_WHY, "line %u: %s%.*s", line_of(text, at), what,
	    (int)(name.n < 40 ? name.n : 40), name.n > 0 ? name.p : "");
	return false;
}

static const struct qn_template_var *find(
    struct qn_span name, const struct qn_template_var *vars, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (qn_span_is(name, vars[i].name))
			return &vars[i];
	return NULL;
}

/* Lower-case letters, digits and _; so that a reason shows nothing else. */
static bool is_name(struct qn_span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= '0' && s.p[i] <= '9') ||
			s.p[i] == '_'))
			return false;
	return s.n > 0;
}

static struct qn_span trimmed(struct qn_span s)
{
	while (s.n > 0 && s.p[0] == ' ')
		s = (struct qn_span){s.p + 1, s.n - 1};
	while (s.n > 0 && s.p[s.n - 1] == ' ')
		s.n--;
	return s;
}

/* The first byte that is no part of UTF-8, or is NUL; NULL when all is well. */
static const char *not_text(struct qn_span text)
{
	for (size_t i = 0, n; i < text.n; i += n) {
		n = qn_utf8_len(text.p + i, text.n - i);
		if (n == 0 || text.p[i] == '\0')
			return text.p + i;
	}
	return NULL;
}

bool qn_template_fill(struct qn_span text, const struct qn_template_var *vars, size_t n, bool html,
    struct qn_buf *out, char why[QN_TEMPLATE_WHY])
{
	const struct qn_span none = {NULL, 0};
	const char *p = text.p, *end = text.p + text.n, *open, *bad = not_text(text);

	if (bad != NULL)
		return refuse(why, text, bad, "it is no UTF-8 text", none);
	while ((open = memmem(p, (size_t)(end - p), "{{", 2)) != NULL) {
		const char *close = memmem(open, (size_t)(end - open), "}}", 2);
		if (close == NULL)
			return refuse(why, text, open, "{{ has no }}", none);
		struct qn_span name =
		    trimmed((struct qn_span){open + 2, (size_t)(close - open - 2)});
		const struct qn_template_var *var = find(name, vars, n);
		if (!is_name(name))
			return refuse(why, text, open, "{{ is not followed by a name and }}", none);
		if (var == NULL)
			return refuse(why, text, open, "there is no variable ", name);
		qn_buf_add(out, p, (size_t)(open - p));
		put(var->value, html, out);
		p = close + 2;
	}
	qn_buf_add(out, p, (size_t)(end - p));
	return !out->over || refuse(why, text, end, "it is too long", none);
}

/* A literal of a plain text in HTML: its lines too. */
static void put_lines(struct qn_span s, struct qn_buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\n')
			qn_buf_str(out, "<br>\n");
		else
			escape(s.p[i], out);
	}
}

static void put_paragraph(struct qn_span s, struct qn_buf *out)
{
	if (qn_span_is(s, "{{link}}")) {
		qn_buf_str(out,
		    "<p style=\"margin:1.5em 0\"><a href=\"{{link}}\" style=\"background:#1f4fd8;color:#fff;"
		    "padding:.7em 1.4em;border-radius:.4em;text-decoration:none\">Continue</a></p>\n"
		    "<p style=\"font-size:.85em;color:#555\">Or copy this address into your browser:<br>\n"
		    "<a href=\"{{link}}\" style=\"word-break:break-all\">{{link}}</a></p>\n");
		return;
	}
	qn_buf_str(out, "<p>");
	put_lines(s, out);
	qn_buf_str(out, "</p>\n");
}

void qn_template_html(struct qn_span text, struct qn_buf *out)
{
	qn_buf_str(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">"
			"<meta name=\"viewport\" content=\"width=device-width\"></head>\n"
			"<body style=\"font-family:sans-serif;line-height:1.5;color:#222\">\n"
			"<div style=\"max-width:34em;margin:2em auto;padding:0 1em\">\n");
	while (text.n > 0) {
		const char *gap = memmem(text.p, text.n, "\n\n", 2);
		struct qn_span s = {text.p, gap != NULL ? (size_t)(gap - text.p) : text.n};
		size_t skip = s.n;
		while (skip < text.n && text.p[skip] == '\n')
			skip++;
		while (s.n > 0 && s.p[s.n - 1] == '\n')
			s.n--;
		if (s.n > 0)
			put_paragraph(s, out);
		text = (struct qn_span){text.p + skip, text.n - skip};
	}
	qn_buf_str(out, "</div>\n</body>\n</html>\n");
}
