/* SPDX-License-Identifier: BSD-2-Clause */
/* See crash_disk.h. */
#include <stdlib.h>

#include "libvmfs/base/prng.h"
#include "tests/crash/pages.h"
#include "tests/unit/crash_disk.h"

struct crash_disk {
	struct pages live;
	struct events events;
};

int
crash_disk_open(uint64_t size, uint32_t block_size, struct crash_disk **ret_c)
{
	struct crash_disk *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	pages_init(&c->live, NULL, size, block_size);
	c->live.unhashed = true;
	c->live.events = &c->events;
	*ret_c = c;
	return 0;
}

struct disk *
crash_disk_disk(struct crash_disk *c)
{
	return &c->live.disk;
}

void
crash_disk_close(struct crash_disk *c)
{
	pages_fini(&c->live);
	events_fini(&c->events);
	free(c);
}

size_t
crash_disk_writes(const struct crash_disk *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->events.count; i++)
		n += !c->events.e[i].flush;
	return n;
}

/* The event behind the n-th write, and behind the flushes that follow it. */
static size_t
behind_write(const struct crash_disk *c, size_t n, bool with_flush)
{
	size_t i = 0;

	for (; i < c->events.count; i++) {
		if (n == 0 && (!with_flush || !c->events.e[i].flush))
			break;
		n -= !c->events.e[i].flush;
	}
	return i;
}

/* Events before it are durable. */
static size_t
last_flush(const struct crash_disk *c, size_t end)
{
	while (end > 0 && !c->events.e[end - 1].flush)
		end--;
	return end;
}

/* Some of its sectors, each with even chance. */
static void
apply_torn(struct pages *p, const struct event *e, struct prng *prng)
{
	size_t sector = p->disk.info.block_size;

	for (size_t at = 0; at < e->length; at += sector)
		if ((prng_u64(prng) & 1) != 0)
			pages_write(p, e->offset + at, e->data + at, sector);
}

int
crash_disk_image(struct crash_disk *c, size_t n, enum crash_kind kind,
    uint64_t seed, struct disk **ret_d)
{
	size_t end = behind_write(c, n, kind != CRASH_UNFLUSHED);
	size_t last = behind_write(c, n, false), flushed = last_flush(c, end);
	struct pages *p;
	struct prng prng;

	*ret_d = pages_image(&c->live.disk.info, &p);
	prng_seed(&prng, seed);
	for (size_t i = 0; i < end; i++) {
		const struct event *e = &c->events.e[i];

		if (e->flush)
			continue;
		if (kind == CRASH_TORN && i + 1 == last)
			apply_torn(p, e, &prng);
		else if ((kind != CRASH_LOST && kind != CRASH_UNFLUSHED) ||
		    e->durable || i < flushed || (prng_u64(&prng) & 1) != 0)
			pages_write(p, e->offset, e->data, e->length);
	}
	return 0;
}
