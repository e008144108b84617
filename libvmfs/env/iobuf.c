/* SPDX-License-Identifier: BSD-2-Clause */
/* Freed buffers by sizes, those last used first. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "libvmfs/base/units.h"
#include "libvmfs/env/fiber_ctx.h"
#include "libvmfs/env/hugepage.h"
#include "libvmfs/env/iobuf.h"

#define ALIGN ((size_t)4096)
/* Doubled from 4 KiB to 64 KiB, then in quarters of that up to 16 MiB. */
#define DOUBLED 4
#define CLASSES (DOUBLED + 4 * 8 + 1)
/* Enough for the transfers in flight of a few busy sessions. */
#define KEEP_MAX ((size_t)(32 * MIB))

/* Lies in the free buffer itself. */
struct spare_buf {
	struct spare_buf *next;
};

struct cache {
	struct spare_buf *head[CLASSES];
	size_t bytes;
	bool open;
};

static _Thread_local struct cache cache;

/* Huge pages, each for buffers of one size, those of 64 KiB to 1 MiB. */
#define HUGE_MAX ((size_t)(64 * MIB))
/* Of them, for one size. */
#define HUGE_SIZE_MAX ((size_t)(16 * MIB))

static struct {
	pthread_mutex_t mutex;
	pthread_once_t once;
	_Atomic(char *) base;		/* NULL: there are none */
	size_t used;			/* bytes that have a size */
	size_t sized[CLASSES];
	struct spare_buf *head[CLASSES];
} huge = { .mutex = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT };

static size_t
class_size(unsigned c)
{
	size_t base;

	if (c < DOUBLED)
		return ALIGN << c;
	base = (ALIGN << DOUBLED) << (c - DOUBLED) / 4;
	return base + base / 4 * ((c - DOUBLED) % 4);
}

static unsigned
class_of(size_t len)
{
	unsigned c = 0;

	while (c < CLASSES && class_size(c) < len)
		c++;
	return c;
}

/* ---- in huge pages ---- */

static void
huge_map(void)
{
	/* AddressSanitizer shall see who uses a buffer given back. */
#ifndef FIBER_ASAN
	void *mem;

	if (hugepage_map(HUGE_MAX, -1, &mem) == 0) {
		hugepage_want(mem, HUGE_MAX);
		atomic_store(&huge.base, mem);
	}
#endif
}

static bool
is_huge(const void *buf)
{
	const char *base = atomic_load(&huge.base);

	return base != NULL && (uintptr_t)buf >= (uintptr_t)base &&
	    (uintptr_t)buf - (uintptr_t)base < HUGE_MAX;
}

/* The mutex is held. */
static void
huge_divide(unsigned c)
{
	char *page = huge.base + huge.used;

	for (size_t at = 0; at + class_size(c) <= HUGEPAGE;
	    at += class_size(c)) {
		struct spare_buf *b = (void *)(page + at);

		b->next = huge.head[c];
		huge.head[c] = b;
	}
	huge.used += HUGEPAGE;
	huge.sized[c] += HUGEPAGE;
}

/* NULL: not of this size, or no more. */
static void *
huge_get(unsigned c)
{
	struct spare_buf *b;

	if (c < DOUBLED || c >= CLASSES || class_size(c) > HUGEPAGE / 2)
		return NULL;
	(void)pthread_once(&huge.once, huge_map);
	if (huge.base == NULL)
		return NULL;
	(void)pthread_mutex_lock(&huge.mutex);
	if (huge.head[c] == NULL && huge.used < HUGE_MAX &&
	    huge.sized[c] < HUGE_SIZE_MAX)
		huge_divide(c);
	b = huge.head[c];
	if (b != NULL)
		huge.head[c] = b->next;
	(void)pthread_mutex_unlock(&huge.mutex);
	return b;
}

static void
give_back(void *buf, unsigned c)
{
	struct spare_buf *b = buf;

	if (!is_huge(buf)) {
		free(buf);
		return;
	}
	(void)pthread_mutex_lock(&huge.mutex);
	b->next = huge.head[c];
	huge.head[c] = b;
	(void)pthread_mutex_unlock(&huge.mutex);
}

/* ---- kept by a thread ---- */

size_t
iobuf_size(size_t len)
{
	unsigned c = class_of(len);

	return c < CLASSES ? class_size(c) :
	    (len + ALIGN - 1) / ALIGN * ALIGN;
}

void *
iobuf_get(size_t len, size_t *ret_size)
{
	unsigned c = class_of(len);
	struct spare_buf *b;
	void *fresh;

	if (len > SIZE_MAX / 2)
		return NULL;
	if (c < CLASSES && (b = cache.head[c]) != NULL) {
		cache.head[c] = b->next;
		cache.bytes -= class_size(c);
		*ret_size = class_size(c);
		return b;
	}
	fresh = huge_get(c);
	if (fresh == NULL)
		fresh = aligned_alloc(ALIGN, iobuf_size(len));
	if (fresh != NULL)
		*ret_size = iobuf_size(len);
	return fresh;
}

void
iobuf_put(void *buf, size_t size)
{
	unsigned c = class_of(size);
	struct spare_buf *b = buf;

	if (buf == NULL)
		return;
	if (!cache.open || c == CLASSES || cache.bytes + size > KEEP_MAX) {
		give_back(buf, c);
		return;
	}
	b->next = cache.head[c];
	cache.head[c] = b;
	cache.bytes += size;
}

void
iobuf_thread_begin(void)
{
	/* AddressSanitizer shall see who uses a buffer given back. */
#ifndef FIBER_ASAN
	cache.open = true;
#endif
}

void
iobuf_thread_end(void)
{
	for (unsigned c = 0; c < CLASSES; c++)
		while (cache.head[c] != NULL) {
			struct spare_buf *b = cache.head[c];

			cache.head[c] = b->next;
			give_back(b, c);
		}
	cache.bytes = 0;
	cache.open = false;
}
