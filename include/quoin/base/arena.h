/*
 * One arena per worker, reset when a request is over: nothing in a handler calls free().
 * Reaching the ceiling, or having no memory, ends the process: bodies are bounded by their route
 * and lists by LIMIT, so it means a bug, and the master starts another worker.
 */
#ifndef QUOIN_BASE_ARENA_H
#define QUOIN_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "quoin/base/span.h"

struct qn_arena;

struct qn_arena *qn_arena_new(size_t ceiling /* bytes */);
void qn_arena_free(struct qn_arena *a);

/* Runs the kept cleanups last in first out, wipes what was used and gives large blocks back. */
void qn_arena_reset(struct qn_arena *a);

/* Zeroed, aligned for any type, never NULL. */
void *qn_alloc(struct qn_arena *a, size_t size) __attribute__((malloc, returns_nonnull));
void *qn_alloc_array(struct qn_arena *a, size_t n, size_t size) __attribute__((returns_nonnull));
#define qn_new(a, type) ((type *)qn_alloc((a), sizeof(type)))

char *qn_strndup(struct qn_arena *a, const char *s, size_t n) __attribute__((returns_nonnull));
char *qn_strdup(struct qn_arena *a, const char *s) __attribute__((returns_nonnull));
char *qn_printf(struct qn_arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), returns_nonnull));

/* Hang a foreign object on the arena: `free_fn(p)` runs at reset. NULL is passed through. */
void *qn_keep(struct qn_arena *a, void (*free_fn)(void *), void *p);

size_t qn_arena_peak(const struct qn_arena *a); /* bytes in use since the last reset */

#endif
