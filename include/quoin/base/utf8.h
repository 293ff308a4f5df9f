/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef QUOIN_BASE_UTF8_H
#define QUOIN_BASE_UTF8_H

#include <stddef.h>

/* Bytes of the sequence at p, of which n can be read; 0 when there is no valid one. */
static inline size_t qn_utf8_len(const void *at, size_t n)
{
	const unsigned char *p = at;
	size_t len = 0;

	if (n == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] < 0xf5)
		len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (len == 0 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

#endif
