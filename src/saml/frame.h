/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What goes over the socket: four bytes of length, highest first, then as much JSON. */
#ifndef QUOIN_SAML_FRAME_H
#define QUOIN_SAML_FRAME_H

#include <stdbool.h>
#include <stddef.h>

enum { SAML_FRAME_MAX = 256 * 1024, SAML_DEADLINE_S = 8 };

/* The peer's frame with a NUL after it; the caller frees it. NULL: the peer left, or sent too much. */
char *frame_read(int fd, size_t *ret_n);
bool frame_write(int fd, const char *p, size_t n);

#endif
