/* SPDX-License-Identifier: BSD-2-Clause */
/* Conflicts, splitting and joining of locked ranges. */
#include "fuse/ranges.h"

#include <stdlib.h>

void
ranges_init(struct ranges *t, struct range_keep *keep)
{
	list_init(&t->locks);
	t->count = 0;
	t->keep = keep;
}

static struct range_kept *
slot_find(struct range_keep *k)
{
	for (uint32_t i = 0; i < k->share.count; i++) {
		struct range_kept *s =
		    &k->slot[(k->next + i) % k->share.count];

		if (atomic_load(&s->used) != 0)
			continue;
		k->next = (uint32_t)(s - k->slot) + 1;
		return s;
	}
	return NULL;
}

static uint32_t
place_of(const struct range_keep *k, const struct range_kept *kept)
{
	return (uint32_t)(kept - k->slot);
}

static void
slot_free(struct range_keep *k, struct range_kept *kept)
{
	atomic_store(&kept->used, RANGE_FREE);
	share_give(&k->share, place_of(k, kept));
}

static int
lock_new(struct ranges *t, uint32_t uid, struct range_lock **ret_l)
{
	struct range_keep *k = t->keep;
	struct range_kept *kept = share_allows(&k->share, uid) ?
	    slot_find(k) : NULL;
	struct range_lock *l;

	if (kept == NULL)
		return -ENOLCK;
	l = malloc(sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	l->kept = kept;
	atomic_store(&kept->used, RANGE_RESERVED);
	share_take(&k->share, place_of(k, kept), uid);
	*ret_l = l;
	return 0;
}

static void
lock_give_up(struct ranges *t, struct range_lock *l)
{
	if (l != NULL)
		slot_free(t->keep, l->kept);
	free(l);
}

/* A copy of `from`, with a place of its own, becomes part of the table. */
static void
lock_fill(struct ranges *t, struct range_lock *l, const struct range_lock *from)
{
	struct range_kept *kept = l->kept;

	*l = *from;
	l->kept = kept;
	list_add_tail(&t->locks, &l->node);
	t->count++;
}

static void
keep(const struct range_lock *l)
{
	l->kept->start = l->start;
	l->kept->end = l->end;
	l->kept->owner = l->owner;
	l->kept->handle = l->handle;
	l->kept->pid = l->pid;
	l->kept->write = l->write;
	l->kept->flock = l->flock;
	atomic_store(&l->kept->used, RANGE_USED);
}

static void
forget(struct ranges *t, struct range_lock *l)
{
	list_del(&l->node);
	free(l);
	t->count--;
}

static void
drop(struct ranges *t, struct range_lock *l)
{
	slot_free(t->keep, l->kept);
	forget(t, l);
}

void
ranges_fini(struct ranges *t)
{
	list_for_each(node, tmp, &t->locks)
		forget(t, list_entry(node, struct range_lock, node));
}

int
ranges_restore(struct ranges *t, struct range_kept *kept, void *by)
{
	struct range_lock *l = malloc(sizeof(*l));

	if (l == NULL)
		return -ENOMEM;
	*l = (struct range_lock){
		.start = kept->start, .end = kept->end, .owner = kept->owner,
		.handle = kept->handle, .pid = kept->pid, .by = by,
		.write = kept->write != 0, .flock = kept->flock != 0,
		.kept = kept,
	};
	share_take(&t->keep->share, place_of(t->keep, kept), SHARE_NOBODY);
	list_add_tail(&t->locks, &l->node);
	t->count++;
	return 0;
}

const struct range_lock *
ranges_conflict(const struct ranges *t, const struct range_lock *want)
{
	list_for_each(node, tmp, &t->locks) {
		const struct range_lock *l =
		    list_entry(node, struct range_lock, node);

		if (l->flock == want->flock && l->owner != want->owner &&
		    (l->write || want->write) && l->start <= want->end &&
		    l->end >= want->start)
			return l;
	}
	return NULL;
}

static bool
same_owner(const struct range_lock *a, const struct range_lock *b)
{
	return a->flock == b->flock && a->owner == b->owner;
}

/* Takes [start, end] out of l; `spare` becomes what is left behind it. */
static void
cut(struct ranges *t, struct range_lock *l, uint64_t start, uint64_t end,
    struct range_lock **spare)
{
	if (l->start >= start && l->end <= end) {
		drop(t, l);
		return;
	}
	if (l->start < start && l->end > end) {
		lock_fill(t, *spare, l);
		(*spare)->start = end + 1;
		keep(*spare);
		*spare = NULL;
		l->end = start - 1;
	} else if (l->start < start) {
		l->end = start - 1;
	} else {
		l->start = end + 1;
	}
	keep(l);
}

/* Neighbours that are alike become one, so that the table stays short. */
static void
join(struct ranges *t, struct range_lock *mine)
{
	list_for_each(node, tmp, &t->locks) {
		struct range_lock *l =
		    list_entry(node, struct range_lock, node);

		if (l == mine || !same_owner(l, mine) ||
		    l->write != mine->write || l->by != mine->by)
			continue;
		if (l->end + 1 == mine->start)
			mine->start = l->start;
		else if (mine->end + 1 == l->start)
			mine->end = l->end;
		else
			continue;
		keep(mine);
		drop(t, l);
	}
}

static bool
splits(const struct ranges *t, const struct range_lock *want)
{
	list_for_each(node, tmp, &t->locks) {
		const struct range_lock *l =
		    list_entry(node, struct range_lock, node);

		if (same_owner(l, want) && l->start < want->start &&
		    l->end > want->end)
			return true;
	}
	return false;
}

int
ranges_set(struct ranges *t, const struct range_lock *want, bool unlock)
{
	/* One range may fall into two, and there is the new one. */
	struct range_lock *spare = NULL, *mine = NULL;
	bool split = splits(t, want);
	int rc = 0;

	if (t->count + split + !unlock > RANGES_MAX)
		rc = -ENOLCK;
	if (rc == 0 && split)
		rc = lock_new(t, want->uid, &spare);
	if (rc == 0 && !unlock)
		rc = lock_new(t, want->uid, &mine);
	if (rc < 0) {
		lock_give_up(t, spare);
		return rc;
	}
	list_for_each(node, tmp, &t->locks) {
		struct range_lock *l =
		    list_entry(node, struct range_lock, node);

		if (same_owner(l, want) && l->start <= want->end &&
		    l->end >= want->start)
			cut(t, l, want->start, want->end, &spare);
	}
	if (unlock)
		return 0;
	lock_fill(t, mine, want);
	keep(mine);
	join(t, mine);
	return 0;
}

bool
ranges_owned(const struct ranges *t, uint64_t owner)
{
	list_for_each(node, tmp, &t->locks) {
		const struct range_lock *l =
		    list_entry(node, struct range_lock, node);

		if (!l->flock && l->owner == owner)
			return true;
	}
	return false;
}

void
ranges_drop_owner(struct ranges *t, uint64_t owner)
{
	list_for_each(node, tmp, &t->locks) {
		struct range_lock *l =
		    list_entry(node, struct range_lock, node);

		if (!l->flock && l->owner == owner)
			drop(t, l);
	}
}

void
ranges_drop_by(struct ranges *t, const void *by)
{
	list_for_each(node, tmp, &t->locks) {
		struct range_lock *l =
		    list_entry(node, struct range_lock, node);

		if (l->by == by)
			drop(t, l);
	}
}
