#include "csv.h"

#include <string.h>

void csv_open(struct csv *c, char *text)
{
	if (strncmp(text, "\xef\xbb\xbf", 3) == 0) /* as spreadsheets begin it */
		text += 3;
	*c = (struct csv){.at = text, .next = 1};
}

/* Up to the quote that ends it; what follows it, or NULL. */
static char *quoted(struct csv *c, char *from, const char **ret)
{
	char *to = from;

	*ret = from;
	for (; *from != '\0'; from++) {
		if (*from == '\n')
			c->next++;
		if (*from == '"' && *++from != '"') {
			*to = '\0';
			return from;
		}
		*to++ = *from;
	}
	return NULL;
}

static char *line_end(struct csv *c, char *at)
{
	if (at[0] == '\r' && at[1] == '\n')
		*at++ = '\0';
	if (*at == '\n') {
		*at++ = '\0';
		c->next++;
	}
	return at;
}

static bool fault(struct csv *c, const char *why)
{
	c->why = why;
	return false;
}

static bool field(struct csv *c, struct csv_record *ret, bool *ret_more)
{
	char *at = c->at;

	if (ret->n == CSV_FIELDS)
		return fault(c, "it has too many fields");
	if (*at == '"') {
		at = quoted(c, at + 1, &ret->field[ret->n++]);
		if (at == NULL)
			return fault(c, "a quote has no end");
	} else {
		ret->field[ret->n++] = at;
		at += strcspn(at, ",\r\n\"");
	}
	*ret_more = *at == ',';
	if (*ret_more)
		*at++ = '\0';
	else if (*at == '\n' || (at[0] == '\r' && at[1] == '\n'))
		at = line_end(c, at);
	else if (*at != '\0')
		return fault(c, "a quote stands where none may");
	c->at = at;
	return true;
}

bool csv_next(struct csv *c, struct csv_record *ret)
{
	bool more = true;

	while (*c->at == '\n' || (c->at[0] == '\r' && c->at[1] == '\n'))
		c->at = line_end(c, c->at);
	ret->n = 0;
	c->line = c->next;
	if (*c->at == '\0')
		return false;
	while (more)
		if (!field(c, ret, &more))
			return false;
	return true;
}

static void put_field(FILE *out, const char *before, const char *s, bool last)
{
	s = s != NULL ? s : "";
	if (s[strcspn(s, ",\"\r\n")] == '\0') {
		fprintf(out, "%s%s", before, s);
	} else {
		fprintf(out, "\"%s", before);
		for (; *s != '\0'; s++) {
			if (*s == '"')
				fputc('"', out);
			fputc(*s, out);
		}
		fputc('"', out);
	}
	fputs(last ? "\n" : ",", out);
}

void csv_put(FILE *out, const char *s, bool last)
{
	put_field(out, "", s, last);
}

/* A field that begins so is a formula to spreadsheets; behind a quote it is a text, and so a quote gets one too. */
static const char formulas[] = "=+-@\t\r'";

void csv_put_text(FILE *out, const char *s, bool last)
{
	bool formula = s != NULL && s[0] != '\0' && strchr(formulas, s[0]) != NULL;

	put_field(out, formula ? "'" : "", s, last);
}

const char *csv_text(const char *s)
{
	return s[0] == '\'' && s[1] != '\0' && strchr(formulas, s[1]) != NULL ? s + 1 : s;
}
