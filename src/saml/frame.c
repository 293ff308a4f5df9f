/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frame.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

static bool read_all(int fd, char *p, size_t n)
{
	while (n > 0) {
		ssize_t got = recv(fd, p, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		p += got;
		n -= (size_t)got;
	}
	return true;
}

static bool write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t put = send(fd, p, n, MSG_NOSIGNAL);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return false;
		p += put;
		n -= (size_t)put;
	}
	return true;
}

char *frame_read(int fd, size_t *ret_n)
{
	unsigned char head[4];

	if (!read_all(fd, (char *)head, sizeof(head)))
		return NULL;
	size_t n = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
	if (n == 0 || n > SAML_FRAME_MAX)
		return NULL;
	char *p = malloc(n + 1);
	if (p == NULL || !read_all(fd, p, n)) {
		free(p);
		return NULL;
	}
	p[n] = '\0';
	*ret_n = n;
	return p;
}

bool frame_write(int fd, const char *p, size_t n)
{
	const char head[4] = {
	    (char)(n >> 24 & 255), (char)(n >> 16 & 255), (char)(n >> 8 & 255), (char)(n & 255)};

	return n <= SAML_FRAME_MAX && write_all(fd, head, sizeof(head)) && write_all(fd, p, n);
}
