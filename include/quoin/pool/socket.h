/* The listening socket of a pool: bound here, or handed over by the service manager. */
#ifndef QUOIN_POOL_SOCKET_H
#define QUOIN_POOL_SOCKET_H

/*
 * A listening Unix socket at `path` with the permissions `mode`, non-blocking and close-on-exec. It
 * is made under another name and renamed, so that a restart never leaves a moment without a socket.
 * -1 when it cannot be had; the reason is in the log.
 */
int pool_socket_bind(const char *path, unsigned mode);

/*
 * The same for a descriptor that was inherited: `fd` itself, or -1 when it is not a listening
 * stream socket of the families that FastCGI knows (Unix, IPv4); the reason is in the log.
 */
int pool_socket_inherit(int fd);

#endif
