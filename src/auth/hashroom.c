/*
 * libsodium has no door for an allocator of one's own, but calls mmap and munmap by name, and a program's own
 * functions go before those of its libraries. So these two are ours. All that does not come from a hash goes on to
 * the kernel as it is; and should libsodium ask in another way one day, it gets fresh memory as before.
 */
#include "hashroom.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LEAST_BYTES = 64 * 1024, PRIVATE = MAP_PRIVATE | MAP_ANONYMOUS };

/* Of the one thread that answers requests: those of libcurl never hash. */
static _Thread_local struct {
	void *p;
	size_t n;
	bool open, used;
} room;

void hashroom_enter(void)
{
	room.open = true;
}

void hashroom_leave(void)
{
	room.open = false;
}

/* The sanitizers count every mapping themselves; the system calls of other machines have other arguments (mmap(2)). */
#if defined(__LP64__) && !defined(__s390x__) && !defined(__SANITIZE_ADDRESS__)

static void *map(void *at, size_t n, int prot, int flags, int fd, off_t from)
{
	return (void *)syscall(SYS_mmap, at, n, prot, flags, fd, from); /* NOLINT */
}

static void unmap_room(void)
{
	if (room.p != NULL)
		syscall(SYS_munmap, room.p, room.n);
	room.p = NULL;
}

/* Room of exactly n bytes, all zero at first, wiped since. */
static void *take_room(size_t n, int prot, int flags)
{
	if (room.n != n)
		unmap_room();
	if (room.p == NULL) {
		void *p = map(NULL, n, prot, flags, -1, 0);
		if (p == MAP_FAILED)
			return p;
		room.p = p;
		room.n = n;
	}
	room.used = true;
	return room.p;
}

void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t from)
{
	if (room.open && !room.used && at == NULL && n >= LEAST_BYTES && fd == -1 && from == 0 &&
	    prot == (PROT_READ | PROT_WRITE) && (flags & PRIVATE) == PRIVATE &&
	    (flags & MAP_FIXED) == 0)
		return take_room(n, prot, flags);
	return map(at, n, prot, flags, fd, from);
}

/* What was hashed must not stay there. */
int munmap(void *p, size_t n)
{
	if (!room.used || p != room.p || n != room.n)
		return (int)syscall(SYS_munmap, p, n);
	explicit_bzero(p, n);
	room.used = false;
	return 0;
}

void hashroom_close(void)
{
	if (!room.used)
		unmap_room();
}

#else

void hashroom_close(void)
{
}

#endif
