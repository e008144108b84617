/* SPDX-License-Identifier: BSD-2-Clause */
/* Range locks between the commands of one logical unit. */
#include "iscsi/scsi/range.h"

#include "libvmfs/base/list.h"

void
range_set_init(struct range_set *s)
{
	list_init(&s->shared);
	list_init(&s->exclusive);
	list_init(&s->waiting);
}

static bool
range_overlaps(const struct range_lock *a, const struct range_lock *b)
{
	return a->start < b->start + b->count && b->start < a->start + a->count;
}

static bool
range_blocked_by_held(const struct list *held, const struct range_lock *r)
{
	list_for_each(node, tmp, held) {
		if (range_overlaps(list_entry(node, struct range_lock, node),
		    r))
			return true;
	}
	return false;
}

/* Whether one that came before `end` waits for blocks of r. */
static bool
range_blocked_by_waiting(const struct range_set *s, const struct list *end,
    const struct range_lock *r)
{
	for (const struct list *node = s->waiting.next; node != end;
	    node = node->next) {
		const struct range_lock *w =
		    list_entry(node, struct range_lock, node);

		if ((w->exclusive || r->exclusive) && range_overlaps(w, r))
			return true;
	}
	return false;
}

static bool
range_grantable(const struct range_set *s, const struct list *end,
    const struct range_lock *r)
{
	return !range_blocked_by_held(&s->exclusive, r) &&
	    !(r->exclusive && range_blocked_by_held(&s->shared, r)) &&
	    !range_blocked_by_waiting(s, end, r);
}

static void
range_hold(struct range_set *s, struct range_lock *r)
{
	list_add_tail(r->exclusive ? &s->exclusive : &s->shared, &r->node);
	r->state = RANGE_HELD;
}

bool
range_acquire(struct range_set *s, struct range_lock *r)
{
	r->set = s;
	if (range_grantable(s, &s->waiting, r)) {
		range_hold(s, r);
		return true;
	}
	list_add_tail(&s->waiting, &r->node);
	r->state = RANGE_WAITING;
	return false;
}

/*
 * Grants what can be granted now.  The callbacks may release or acquire other
 * ranges, which changes the list under the loop: it starts anew after each.
 */
static void
range_wake(struct range_set *s)
{
	for (struct list *node = s->waiting.next; node != &s->waiting;) {
		struct range_lock *r =
		    list_entry(node, struct range_lock, node);

		if (!range_grantable(s, node, r)) {
			node = node->next;
			continue;
		}
		list_del(&r->node);
		range_hold(s, r);
		r->fn(r, true);
		node = s->waiting.next;
	}
}

void
range_release(struct range_lock *r)
{
	if (r->state != RANGE_HELD)
		return;
	list_del(&r->node);
	r->state = RANGE_IDLE;
	if (!list_empty(&r->set->waiting))
		range_wake(r->set);
}

void
range_cancel(struct range_lock *r)
{
	struct range_set *s = r->set;

	if (r->state != RANGE_WAITING)
		return;
	list_del(&r->node);
	r->state = RANGE_IDLE;
	r->fn(r, false);
	range_wake(s);
}
