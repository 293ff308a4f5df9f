#include "quoin/base/netaddr.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { V4 = 4, V6 = 16, NET6 = 8 };

static const uint8_t mapped[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* The bytes of an address; 0 when it is none. An IPv4 address in IPv6 form is an IPv4 address. */
static size_t read_addr(const char *text, uint8_t out[V6])
{
	if (inet_pton(AF_INET, text, out) == 1)
		return V4;
	if (inet_pton(AF_INET6, text, out) != 1)
		return 0;
	if (memcmp(out, mapped, sizeof(mapped)) != 0)
		return V6;
	memmove(out, out + sizeof(mapped), V4);
	return V4;
}

void qn_net_of(const char *addr, char out[QN_NET_LEN])
{
	uint8_t b[V6] = {0};
	size_t n = read_addr(addr, b);

	if (n == V6)
		memset(b + NET6, 0, V6 - NET6);
	if (n == 0 || inet_ntop(n == V4 ? AF_INET : AF_INET6, b, out, QN_NET_LEN) == NULL)
		snprintf(out, QN_NET_LEN, "none");
}

bool qn_net_holds(const char *network, const char *addr)
{
	char text[QN_NET_LEN];
	uint8_t net[V6], host[V6];
	size_t n = strcspn(network, "/");

	if (n >= sizeof(text))
		return false;
	memcpy(text, network, n);
	text[n] = '\0';
	size_t bytes = read_addr(text, net);
	if (bytes == 0 || read_addr(addr, host) != bytes)
		return false;
	unsigned long bits = network[n] == '/' ? strtoul(network + n + 1, NULL, 10) : bytes * 8;
	if (bits > bytes * 8 || memcmp(net, host, bits / 8) != 0)
		return false;
	return bits % 8 == 0 || (net[bits / 8] ^ host[bits / 8]) >> (8 - bits % 8) == 0;
}
