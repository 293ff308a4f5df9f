#include "quoin/base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quoin/base/log.h"
#include "quoin/base/rand.h"

/* What is larger than LARGE has a block of its own, so that the end of no other is thrown away. */
enum { BLOCK = 32 * 1024, LARGE = BLOCK / 4, ALIGN = alignof(max_align_t) };

struct block {
	struct block *next; /* older */
	size_t size, used;  /* bytes of data */
	alignas(max_align_t) char data[];
};

struct kept {
	struct kept *next; /* older */
	void (*free_fn)(void *);
	void *p;
};

struct qn_arena {
	struct block *blocks; /* newest first; the last one is the first block and stays */
	struct block *large;
	struct kept *kept;
	size_t in_use, ceiling;
};

static struct block *block_new(size_t size)
{
	struct block *b = malloc(sizeof(*b) + size);

	if (b == NULL)
		qn_fatal("out of memory (%zu bytes)", size);
	b->next = NULL;
	b->size = size;
	b->used = 0;
	return b;
}

struct qn_arena *qn_arena_new(size_t ceiling)
{
	struct qn_arena *a = calloc(1, sizeof(*a));

	if (a == NULL)
		qn_fatal("out of memory");
	a->ceiling = ceiling < SIZE_MAX / 2 ? ceiling : SIZE_MAX / 2; /* sizes are rounded up */
	a->blocks = block_new(BLOCK);
	return a;
}

static void run_kept(struct qn_arena *a)
{
	while (a->kept != NULL) {
		struct kept *k = a->kept;
		a->kept = k->next;
		k->free_fn(k->p);
	}
}

void qn_arena_free(struct qn_arena *a)
{
	if (a == NULL)
		return;
	qn_arena_reset(a);
	free(a->blocks);
	free(a);
}

/* Wipes and frees the blocks down to `last`. */
static void drop_blocks(struct block **list, const struct block *last)
{
	while (*list != last) {
		struct block *b = *list;
		*list = b->next;
		qn_wipe(b->data, b->used);
		free(b);
	}
}

void qn_arena_reset(struct qn_arena *a)
{
	struct block *first = a->blocks;

	run_kept(a);
	while (first->next != NULL)
		first = first->next;
	drop_blocks(&a->large, NULL);
	drop_blocks(&a->blocks, first);
	qn_wipe(a->blocks->data, a->blocks->used);
	a->blocks->used = 0;
	a->in_use = 0;
}

static size_t round_up(size_t n)
{
	return (n + ALIGN - 1) / ALIGN * ALIGN;
}

/* A block with room for `size` bytes. */
static struct block *block_for(struct qn_arena *a, size_t size)
{
	struct block **list = size > LARGE ? &a->large : &a->blocks;

	if (size <= LARGE && a->blocks->size - a->blocks->used >= size)
		return a->blocks;
	struct block *b = block_new(size > LARGE ? size : BLOCK);
	b->next = *list;
	*list = b;
	return b;
}

void *qn_alloc(struct qn_arena *a, size_t size)
{
	if (size > a->ceiling || round_up(size ? size : 1) > a->ceiling - a->in_use)
		qn_fatal("the request's memory reached its ceiling of %zu bytes", a->ceiling);
	size = round_up(size ? size : 1);
	struct block *b = block_for(a, size);
	void *p = b->data + b->used;
	b->used += size;
	a->in_use += size;
	memset(p, 0, size);
	return p;
}

void *qn_alloc_array(struct qn_arena *a, size_t n, size_t size)
{
	if (size != 0 && n > a->ceiling / size)
		qn_fatal("the request's memory reached its ceiling of %zu bytes", a->ceiling);
	return qn_alloc(a, n * size);
}

char *qn_strndup(struct qn_arena *a, const char *s, size_t n)
{
	char *p = qn_alloc(a, n < SIZE_MAX ? n + 1 : n);

	if (n != 0)
		memcpy(p, s, n);
	return p;
}

char *qn_strdup(struct qn_arena *a, const char *s)
{
	return qn_strndup(a, s, strlen(s));
}

char *qn_printf(struct qn_arena *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		qn_fatal("vsnprintf failed");
	char *p = qn_alloc(a, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

void *qn_keep(struct qn_arena *a, void (*free_fn)(void *), void *p)
{
	if (p == NULL)
		return NULL;
	struct kept *k = qn_new(a, struct kept);
	*k = (struct kept){a->kept, free_fn, p};
	a->kept = k;
	return p;
}

size_t qn_arena_peak(const struct qn_arena *a)
{
	return a->in_use;
}
