/* sd_notify(3) without libsystemd: one datagram to $NOTIFY_SOCKET. */
#ifndef QUOIN_POOL_NOTIFY_H
#define QUOIN_POOL_NOTIFY_H

#include <stdint.h>

/* "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=…". 0 when sent or nobody listens, else -1 and errno. */
int qn_notify(const char *state);
/* Half of $WATCHDOG_USEC when it is for this process, else 0. */
int64_t qn_notify_interval_us(void);

#endif
