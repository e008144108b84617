/* SPDX-License-Identifier: BSD-2-Clause */
/* Timers of a scheduler: a binary heap on the deadline. */
#include <stdlib.h>

#include "libvmfs/env/sched_impl.h"

static bool
slot_before(const struct timer_slot *a, const struct timer_slot *b)
{
	if (a->timer->deadline_ns != b->timer->deadline_ns)
		return a->timer->deadline_ns < b->timer->deadline_ns;
	return a->seq < b->seq;
}

static void
slot_set(struct timer_heap *h, size_t i, struct timer_slot slot)
{
	h->slots[i] = slot;
	slot.timer->heap_index = i;
}

static void
sift_up(struct timer_heap *h, size_t i, struct timer_slot slot)
{
	while (i > 1 && slot_before(&slot, &h->slots[i / 2])) {
		slot_set(h, i, h->slots[i / 2]);
		i /= 2;
	}
	slot_set(h, i, slot);
}

static void
sift_down(struct timer_heap *h, size_t i, struct timer_slot slot)
{
	for (;;) {
		size_t child = 2 * i;

		if (child > h->count)
			break;
		if (child < h->count &&
		    slot_before(&h->slots[child + 1], &h->slots[child]))
			child++;
		if (!slot_before(&h->slots[child], &slot))
			break;
		slot_set(h, i, h->slots[child]);
		i = child;
	}
	slot_set(h, i, slot);
}

static void
heap_remove(struct timer_heap *h, struct sched_timer *t)
{
	size_t i = t->heap_index;
	struct timer_slot last = h->slots[h->count];

	if (h->slots[i].reserved)
		h->reserved--;
	h->count--;
	t->heap_index = 0;
	if (last.timer == t)
		return;
	if (i > 1 && slot_before(&last, &h->slots[i / 2]))
		sift_up(h, i, last);
	else
		sift_down(h, i, last);
}

static void
heap_add(struct timer_heap *h, struct sched_timer *t, bool reserved)
{
	struct timer_slot slot = {
		.timer = t, .seq = h->seq++, .reserved = reserved,
	};

	if (reserved)
		h->reserved++;
	sift_up(h, ++h->count, slot);
}

/* Room for `need` timers; slot 0 comes on top. */
static int
heap_grow(struct timer_heap *h, size_t need)
{
	size_t capacity = h->capacity > 0 ? h->capacity : 16;
	struct timer_slot *slots;

	if (need <= h->capacity)
		return 0;
	while (capacity < need)
		capacity *= 2;
	slots = realloc(h->slots, (capacity + 1) * sizeof(*slots));
	if (slots == NULL)
		return -ENOMEM;
	h->slots = slots;
	h->capacity = capacity;
	return 0;
}

int
timer_heap_reserve(struct timer_heap *h, size_t n_fibers)
{
	return heap_grow(h, h->count - h->reserved + n_fibers);
}

void
timer_heap_fini(struct timer_heap *h)
{
	free(h->slots);
	*h = (struct timer_heap){ 0 };
}

int
sched_timer_arm(struct sched *s, struct sched_timer *t, uint64_t deadline_ns)
{
	struct timer_heap *h = &s->timers;

	if (t->heap_index == 0) {
		int rc = heap_grow(h,
		    h->count - h->reserved + 1 + s->n_fibers);

		if (rc < 0)
			return rc;
	} else {
		heap_remove(h, t);
	}
	t->deadline_ns = deadline_ns;
	heap_add(h, t, false);
	return 0;
}

void
timer_arm_reserved(struct sched *s, struct sched_timer *t,
    uint64_t deadline_ns)
{
	t->deadline_ns = deadline_ns;
	heap_add(&s->timers, t, true);
}

void
sched_timer_cancel(struct sched *s, struct sched_timer *t)
{
	if (t->heap_index != 0)
		heap_remove(&s->timers, t);
}

uint64_t
sched_next_deadline(const struct sched *s)
{
	return s->timers.count > 0 ? s->timers.slots[1].timer->deadline_ns :
	    UINT64_MAX;
}

bool
sched_run_timers(struct sched *s)
{
	struct timer_heap *h = &s->timers;
	uint64_t now, end = h->seq;
	bool any = false;

	if (h->count == 0)
		return false;
	now = sched_now(s);
	/* A timer that arms itself for now again waits for the next round. */
	while (h->count > 0 && h->slots[1].seq < end &&
	    h->slots[1].timer->deadline_ns <= now) {
		struct sched_timer *t = h->slots[1].timer;

		heap_remove(h, t);
		sched_run_callback(s, t->fn, t->arg);
		any = true;
	}
	return any;
}
