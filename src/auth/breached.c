#include "quoin/auth/breached.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SHA1_BYTES = 20, HEX_CHARS = 2 * SHA1_BYTES, LINE_MAX_BYTES = 64 /* its end included */ };

struct qn_breached {
	int fd;
	off_t size;
};

struct line {
	off_t start, next;
	uint8_t hash[SHA1_BYTES];
};

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool unhex(const char *text, uint8_t out[SHA1_BYTES])
{
	for (int i = 0; i < SHA1_BYTES; i++) {
		int high = nibble(text[2 * i]), low = nibble(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* What is after the hash: a count or nothing, then the end of the line. */
static bool ends_well(const char *p, size_t n)
{
	if (n > 0 && p[n - 1] == '\r')
		n--;
	if (n == 0)
		return true;
	if (p[0] != ':' || n == 1)
		return false;
	for (size_t i = 1; i < n; i++)
		if (p[i] < '0' || p[i] > '9')
			return false;
	return true;
}

/* Up to n bytes from `at`, as many as there are. */
static bool read_at(const struct qn_breached *b, off_t at, char *out, size_t n, size_t *ret_n)
{
	size_t have = 0;
	ssize_t got = 1;

	while (have < n && got != 0) {
		got = pread(b->fd, out + have, n - have, at + (off_t)have);
		if (got < 0 && errno != EINTR)
			return false;
		have += got > 0 ? (size_t)got : 0;
	}
	*ret_n = have;
	return true;
}

static bool read_line(const struct qn_breached *b, off_t start, struct line *ret)
{
	char text[LINE_MAX_BYTES];
	size_t n, all;

	if (!read_at(b, start, text, sizeof(text), &n))
		return false;
	const char *end = memchr(text, '\n', n);
	if (end == NULL && (n == sizeof(text) || n == 0))
		return false;
	all = end != NULL ? (size_t)(end - text) : n;
	ret->start = start;
	ret->next = start + (off_t)all + (end != NULL);
	return all >= HEX_CHARS && unhex(text, ret->hash) &&
	       ends_well(text + HEX_CHARS, all - HEX_CHARS);
}

/* The line that holds the byte `at`; `least` is the start of some line before it. */
static bool line_at(const struct qn_breached *b, off_t least, off_t at, struct line *ret)
{
	char before[LINE_MAX_BYTES];
	off_t from = at - LINE_MAX_BYTES < least ? least : at - LINE_MAX_BYTES;
	size_t n;

	if (!read_at(b, from, before, (size_t)(at - from), &n) || n != (size_t)(at - from))
		return false;
	const char *end = n == 0 ? NULL : memrchr(before, '\n', n);
	if (end == NULL && from != least)
		return false;
	return read_line(b, end != NULL ? from + (end - before) + 1 : least, ret);
}

struct qn_breached *qn_breached_open(const char *path, const char **ret_why)
{
	struct qn_breached *b = calloc(1, sizeof(*b));
	struct line first;
	struct stat st;

	*ret_why = "out of memory";
	if (b == NULL)
		return NULL;
	b->fd = open(path, O_RDONLY | O_CLOEXEC);
	bool ok = b->fd >= 0 && fstat(b->fd, &st) == 0;
	if (!ok)
		*ret_why = strerror(errno);
	if (ok) {
		b->size = st.st_size;
		*ret_why = "not lines of SHA-1 in hexadecimal, a colon and a count";
		ok = S_ISREG(st.st_mode) && read_line(b, 0, &first);
	}
	if (ok)
		return b;
	qn_breached_close(b);
	return NULL;
}

void qn_breached_close(struct qn_breached *b)
{
	if (b == NULL)
		return;
	if (b->fd >= 0)
		close(b->fd);
	free(b);
}

static bool search(const struct qn_breached *b, const uint8_t hash[SHA1_BYTES], bool *ret_found)
{
	off_t low = 0, high = b->size; /* both are starts of lines, or the end */
	struct line l;

	while (low < high) {
		if (!line_at(b, low, low + (high - low) / 2, &l))
			return false;
		int order = memcmp(hash, l.hash, SHA1_BYTES);
		if (order == 0) {
			*ret_found = true;
			return true;
		}
		if (order < 0)
			high = l.start;
		else
			low = l.next;
	}
	*ret_found = false;
	return true;
}

enum qn_err qn_breached_find(const struct qn_breached *b, struct qn_span password, bool *ret_found)
{
	uint8_t hash[SHA1_BYTES];

	if (b == NULL) {
		*ret_found = false;
		return QN_OK;
	}
	if (EVP_Digest(password.p, password.n, hash, NULL, EVP_sha1(), NULL) != 1) {
		ERR_clear_error();
		return QN_INTERNAL;
	}
	bool ok = search(b, hash, ret_found);
	OPENSSL_cleanse(hash, sizeof(hash));
	return ok ? QN_OK : QN_INTERNAL;
}
