/*
 * The memory that a worker hashes in. libsodium maps it anew for each hash, and the kernel clears it page by page: two
 * fifths of the CPU time of a sign-in. A room is mapped once, wiped after each use, and stays the worker's while there
 * is work.
 */
#ifndef QUOIN_AUTH_HASHROOM_H
#define QUOIN_AUTH_HASHROOM_H

#include <stdbool.h>

/* Between enter and leave the room serves one large mapping at a time; whoever finds it in use gets fresh memory. */
void hashroom_enter(void);
void hashroom_leave(void);

/* Gives its memory back to the kernel; the next hash has it anew. */
void hashroom_close(void);

#endif
