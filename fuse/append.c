/* SPDX-License-Identifier: BSD-2-Clause */
/* Places for the parts of a write to the end. */
#include "fuse/append.h"
#include "libvmfs/base/units.h"

/* What has overtaken the lowest part waits so long for it; then there is none:
 * another host has cut off the file. */
#define LOWEST_NS (100 * NSEC_PER_MSEC)

void
append_init(struct append *a)
{
	*a = (struct append){ 0 };
	fiber_cond_init(&a->came);
}

static void
came(struct append *a, uint64_t off, uint64_t eof)
{
	if (a->parts++ == 0) {
		a->placed = false;
		a->first = off;
		a->start = a->end = eof;
	} else if (!a->placed && off < a->first) {
		a->first = off;
	}
}

static void
place(struct append *a)
{
	a->placed = true;
	a->fresh = a->fresh || a->first == a->start;
	fiber_cond_broadcast(&a->came);
}

static uint64_t
reserve(struct append *a, uint64_t pos, uint64_t size)
{
	if (pos + size > a->end)
		a->end = pos + size;
	return pos;
}

uint64_t
append_begin(struct append *a, uint64_t off, uint64_t size, uint64_t eof)
{
	uint64_t deadline = sched_now(sched_current()) + LOWEST_NS;

	came(a, off, eof);
	while (!a->fresh && !a->placed && a->first > a->start &&
	    fiber_cond_wait_until(&a->came, deadline))
		;
	place(a);
	if (a->fresh)
		return reserve(a, off, size);
	/* Too low, too late: it follows, lest it overwrites something. */
	return reserve(a, off < a->first ? a->end :
	    a->start + (off - a->first), size);
}

void
append_again(struct append *a, uint64_t off, uint64_t size, uint64_t pos)
{
	came(a, off, pos);
	if (!a->placed) {
		a->first = off;
		a->start = pos;
		place(a);
	}
	(void)reserve(a, pos, size);
}

void
append_end(struct append *a)
{
	a->parts--;
}

void
append_forget(struct append *a)
{
	a->fresh = false;
}
