/*
 * Templates of mail and addresses (SECURITY T36). A template that is taken fills in to text without the values' own
 * markup, control bytes or holes; one that is filled in once has none left to fill. An address that is taken, and
 * any subject and sender, make a message whose header has just the fields that it should.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quoin/net/message.h"
#include "quoin/net/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what); \
			abort(); \
		} \
	} while (0)

static struct qn_arena *arena;

/* The first line of the input is a value, the rest the template. */
static void try_template(const char *value, struct qn_span text)
{
	const struct qn_template_var vars[] = {{"name", value}, {"link", "L"}};
	char why[QN_TEMPLATE_WHY] = "";
	struct qn_buf plain, html, derived;

	qn_buf_init(&plain, 1 << 20);
	qn_buf_init(&html, 1 << 20);
	qn_buf_init(&derived, 1 << 20);
	bool ok = qn_template_fill(text, vars, 2, false, &plain, why);
	MUST(ok == (why[0] == '\0'));
	MUST(qn_template_fill(text, vars, 2, true, &html, why) == ok);
	if (ok && text.n > 0) {
		qn_template_html(text, &derived);
		MUST(qn_template_fill(
		    (struct qn_span){derived.p, derived.n}, vars, 2, true, &html, why));
	}
	/* Of the value alone nothing is left that HTML or a header would read. */
	qn_buf_clear(&html);
	MUST(qn_template_fill(QN_SPAN_LIT("{{name}}"), vars, 2, true, &html, why));
	for (size_t i = 0; i < html.n; i++)
		MUST(strchr("<>\"'", html.p[i]) == NULL && (unsigned char)html.p[i] >= 0x20);
	qn_buf_done(&plain);
	qn_buf_done(&html);
	qn_buf_done(&derived);
}

static size_t lines_that_begin(const char *head, size_t n, const char *with)
{
	size_t count = 0;

	for (const char *p = head; p != NULL && p < head + n; p = p != NULL ? p + 2 : NULL) {
		count += strncmp(p, with, strlen(with)) == 0;
		p = strstr(p, "\r\n");
	}
	return count;
}

static void try_message(const char *text, const char *value)
{
	struct qn_message m = {.id = "01a1fcc9-9805-790a-a896-365bf2d2a0c3",
	    .from = {NULL, "a@b.co"},
	    .to = qn_address_ok(qn_span_of(value)) ? value : "c@d.co",
	    .subject = value,
	    .text = text,
	    .html = text};
	struct qn_buf b;

	if (!qn_sender_parse(arena, text, &m.from))
		qn_sender_parse(arena, value, &m.from);
	qn_buf_init(&b, QN_MESSAGE_MAX);
	if (qn_message_compose(arena, &m, &b)) {
		const char *end = strstr(b.p, "\r\n\r\n");
		MUST(end != NULL);
		size_t n = (size_t)(end - b.p), fields = 0;
		for (const char *p = b.p; p < end; p = strstr(p, "\r\n") + 2)
			fields += *p != ' ';
		MUST(fields == 8);
		MUST(lines_that_begin(b.p, n, "To: ") == 1);
		MUST(lines_that_begin(b.p, b.n, "--=_") == 3);
		MUST(memchr(b.p, '\0', b.n) == NULL);
		for (size_t i = 0; i < b.n; i++)
			MUST(b.p[i] != '\n' || b.p[i - 1] == '\r');
	}
	qn_buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *line = memchr(data, '\n', size);
	size_t n = line != NULL ? (size_t)(line - data) : size;

	if (arena == NULL)
		arena = qn_arena_new((size_t)64 << 20);
	if (size > 64 * 1024)
		return 0;
	const char *value = qn_strndup(arena, (const char *)data, n);
	const char *rest = (const char *)data + (n < size ? n + 1 : n);
	size_t left = size - (size_t)(rest - (const char *)data);
	char *exact = malloc(left + 1); /* nothing behind it may be read */
	memcpy(exact, rest, left);
	try_template(value, (struct qn_span){exact, left});
	free(exact);
	try_message(qn_strndup(arena, rest, left), value);
	qn_arena_reset(arena);
	return 0;
}
