/* Comma-separated values as RFC 4180 has them: read from memory, written to a stream. */
#ifndef QUOIN_CTL_CSV_H
#define QUOIN_CTL_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { CSV_FIELDS = 32 };

struct csv {
	char *at;  /* of a text that ends with NUL and is changed while it is read */
	long line; /* of the record that was read last, from 1 */
	long next;
	const char *why; /* a record that is none: what is wrong with it */
};

struct csv_record {
	const char *field[CSV_FIELDS]; /* in the text */
	size_t n;
};

void csv_open(struct csv *c, char *text);
/* false at the end, and when a record is none: then `why` says so. Empty lines are passed over. */
bool csv_next(struct csv *c, struct csv_record *ret);
/* One field, quoted where it must be; NULL is an empty one. */
void csv_put(FILE *out, const char *s, bool last);
/* The same of what somebody else wrote: a spreadsheet takes none of it for a formula, and csv_text gives it back. */
void csv_put_text(FILE *out, const char *s, bool last);
const char *csv_text(const char *s);

#endif
