/* Addresses of clients, in the form that limits and counts are kept by (SECURITY T10). */
#ifndef QUOIN_BASE_NETADDR_H
#define QUOIN_BASE_NETADDR_H

#include <stdbool.h>

#define QN_NET_LEN 48 /* bytes of a printed network, NUL included */

/*
 * The network that counts as one client: an IPv4 address by itself, also in its IPv6 form; of an IPv6
 * address its /64. What is no address reads as "none".
 */
void qn_net_of(const char *addr, char out[QN_NET_LEN]);

/* Whether `addr` lies in `network`, "203.0.113.0/24" or an address. */
bool qn_net_holds(const char *network, const char *addr);

#endif
