#include "quoin/net/message.h"

#include <time.h>

#include "quoin/base/utf8.h"

/* RFC 2047 §2: an encoded word has 75 characters, a line that holds one 76; "Subject: " begins the first. */
enum { WORD_CHARS = 54, LINE_CHARS = 75 };

static const char hex[] = "0123456789ABCDEF";

static bool is_alnum(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static void put_hex(unsigned char c, struct qn_buf *out)
{
	qn_buf_char(out, '=');
	qn_buf_char(out, hex[c >> 4]);
	qn_buf_char(out, hex[c & 15]);
}

/* Printable ASCII that nobody takes for an encoded word. */
static bool plain(const char *s)
{
	for (const char *p = s; *p != '\0'; p++)
		if (*p < 0x20 || *p > 0x7e)
			return false;
	return strstr(s, "=?") == NULL;
}

/* Characters that a sequence of n bytes takes in the Q encoding, RFC 2047 §4.2 and §5 (3). */
static size_t q_width(const unsigned char *p, size_t n)
{
	return n == 1 && (is_alnum(*p) || *p == ' ') ? 1 : 3 * n;
}

/* As encoded words, cut between characters, each on a line of its own. */
static void put_words(const char *s, struct qn_buf *out)
{
	size_t len = strlen(s), width = 0;

	qn_buf_str(out, "=?UTF-8?Q?");
	for (size_t i = 0, n; i < len; i += n) {
		const unsigned char *p = (const unsigned char *)s + i;
		n = qn_utf8_len(p, len - i);
		n = n > 0 ? n : 1;
		if (width + q_width(p, n) > WORD_CHARS) {
			qn_buf_str(out, "?=\r\n =?UTF-8?Q?");
			width = 0;
		}
		width += q_width(p, n);
		for (size_t k = 0; k < n; k++) {
			if (is_alnum(p[k]))
				qn_buf_char(out, (char)p[k]);
			else if (p[k] == ' ')
				qn_buf_char(out, '_');
			else
				put_hex(p[k], out);
		}
	}
	qn_buf_str(out, "?=");
}

static void put_sender(const struct qn_sender *s, struct qn_buf *out)
{
	if (s->name == NULL) {
		qn_buf_str(out, s->address);
		return;
	}
	if (plain(s->name)) {
		qn_buf_char(out, '"');
		for (const char *p = s->name; *p != '\0'; p++) {
			if (*p == '"' || *p == '\\')
				qn_buf_char(out, '\\');
			qn_buf_char(out, *p);
		}
		qn_buf_char(out, '"');
	} else {
		put_words(s->name, out);
	}
	/* On a line of its own: the last encoded word may have filled this one. */
	qn_buf_printf(out, "\r\n <%s>", s->address);
}

/* Whether the byte at p stands for itself, RFC 2045 §6.7; not a dot or From_ at the start of a line. */
static bool literal(const char *p, size_t left, size_t column)
{
	unsigned char c = (unsigned char)*p;

	if (c == ' ' || c == '\t')
		return left > 1 && p[1] != '\n';
	if (column == 0 && (c == '.' || (left >= 5 && memcmp(p, "From ", 5) == 0)))
		return false;
	return c > 0x20 && c < 0x7f && c != '=';
}

static void put_quoted_printable(const char *s, struct qn_buf *out)
{
	size_t n = strlen(s), column = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\n') {
			qn_buf_str(out, "\r\n");
			column = 0;
			continue;
		}
		size_t width = literal(s + i, n - i, column) ? 1 : 3;
		if (column + width > LINE_CHARS) {
			qn_buf_str(out, "=\r\n");
			column = 0;
			width = literal(s + i, n - i, column) ? 1 : 3;
		}
		if (width == 1)
			qn_buf_char(out, s[i]);
		else
			put_hex((unsigned char)s[i], out);
		column += width;
	}
	if (column > 0)
		qn_buf_str(out, "\r\n");
}

/* RFC 5322 §3.3; nobody sets a locale, so the names are English. */
static void put_date(qn_time t, struct qn_buf *out)
{
	time_t seconds = (time_t)(t / 1000000);
	char text[64];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S +0000", &tm);
	qn_buf_printf(out, "Date: %s\r\n", text);
}

/* No line of quoted-printable can be a boundary: in it, = is followed by two digits or the end. */
static void put_part(
    const struct qn_message *m, const char *type, const char *content, struct qn_buf *out)
{
	qn_buf_printf(out,
	    "--=_%s\r\nContent-Type: %s; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
	    m->id, type);
	put_quoted_printable(content, out);
	qn_buf_str(out, "\r\n");
}

const char *qn_message_id(struct qn_arena *a, const struct qn_message *m)
{
	return qn_printf(a, "<%s%s>", m->id, strchr(m->from.address, '@'));
}

bool qn_message_compose(struct qn_arena *a, const struct qn_message *m, struct qn_buf *out)
{
	qn_buf_str(out, "From: ");
	put_sender(&m->from, out);
	qn_buf_printf(out, "\r\nTo: %s\r\nSubject: ", m->to);
	if (plain(m->subject))
		qn_buf_str(out, m->subject);
	else
		put_words(m->subject, out);
	qn_buf_str(out, "\r\n");
	put_date(m->date, out);
	qn_buf_printf(out,
	    "Message-ID: %s\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: multipart/alternative;\r\n boundary=\"=_%s\"\r\n\r\n",
	    qn_message_id(a, m), m->id);
	put_part(m, "text/plain", m->text, out);
	put_part(m, "text/html", m->html, out);
	qn_buf_printf(out, "--=_%s--\r\n", m->id);
	return !out->over;
}
