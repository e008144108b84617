/* SPDX-License-Identifier: BSD-2-Clause */
/* Freed buffers by sizes, those last used first. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "libvmfs/base/units.h"
#include "libvmfs/env/fiber_ctx.h"
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
		free(buf);
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
			free(b);
		}
	cache.bytes = 0;
	cache.open = false;
}
