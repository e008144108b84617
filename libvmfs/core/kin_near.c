/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which trees of a family may share space with a given one, so that not all of
 * them have to be looked at.
 *
 * A tree grows from its parent: what it has with a birth up to the parent's
 * epoch, the parent has at the same place.  So with a tree further away it
 * shares only what a neighbour has as well: its parent, its children, and
 * those beside it, which grew from the same parent and may have been one
 * with it until a snapshot between them was deleted.  A snapshot that is
 * being deleted has lost a part of its tree already: whatever is behind it
 * counts as well.  The origin of a clone always counts, because a copy takes
 * space over from it at any time (share.c).
 */
#include <stdlib.h>

#include "libvmfs/core/fs_impl.h"

#define NONE UINT32_MAX

/* Chains of the entries with the same parent, by hash. */
struct kin_index {
	unsigned mask;
	uint32_t *first, *next;
};

static unsigned
hash_of(const struct kin_index *x, uint64_t ino)
{
	return (unsigned)(ino * 0x9e3779b97f4a7c15ull >> 40) & x->mask;
}

void
kin_changed(struct inode *ip)
{
	free(ip->kin_index);
	ip->kin_index = NULL;
	free(ip->near);
	ip->near = NULL;
	ip->n_near = 0;
}

static int
index_make(struct inode *ip)
{
	struct kin_index *x;
	unsigned size = 16;

	if (ip->kin_index != NULL)
		return 0;
	while (size < ip->n_kin)
		size *= 2;
	x = malloc(sizeof(*x) + (size + (size_t)ip->n_kin) *
	    sizeof(*x->first));
	if (x == NULL)
		return -ENOMEM;
	x->mask = size - 1;
	x->first = (uint32_t *)(void *)(x + 1);
	x->next = x->first + size;
	memset(x->first, 0xff, size * sizeof(*x->first));
	for (unsigned i = 0; i < ip->n_kin; i++) {
		unsigned h = hash_of(x, ip->kin[i].parent);

		if (ip->kin[i].origin)
			continue;
		x->next[i] = x->first[h];
		x->first[h] = i;
	}
	ip->kin_index = x;
	return 0;
}

struct near {
	struct inode *ip;
	uint64_t self;		/* 0: the head */
	uint32_t *list;
	unsigned count;
	bool head;
	bool lies;		/* one stands there twice */
};

/* Each belongs there once: of a table that says otherwise the list is as long
 * as the family all the same. */
static void
near_add(struct near *n, uint32_t i)
{
	n->lies = n->lies || n->count == n->ip->n_kin;
	if (!n->lies)
		n->list[n->count++] = i;
}

/* What grew from `parent`. */
static void
near_children(struct near *n, uint64_t parent)
{
	const struct inode *ip = n->ip;
	const struct kin_index *x = ip->kin_index;

	if (n->self != 0 && ip->info.base_snapshot == parent)
		n->head = true;
	for (uint32_t i = x->first[hash_of(x, parent)]; i != NONE;
	    i = x->next[i])
		if (ip->kin[i].parent == parent && ip->kin[i].ino != n->self)
			near_add(n, i);
}

/* Parents that are not in the list: the table is damaged, all count. */
static bool
near_ancestor(struct near *n, uint64_t parent, uint64_t *ret)
{
	const struct kin *k = NULL;

	for (unsigned i = 0; parent != 0; i++) {
		k = kin_find(n->ip, parent);
		if (k == NULL || i > n->ip->n_kin)
			return false;
		if ((k->flags & SNAPTAB_DELETING) == 0)
			break;
		parent = k->parent;
	}
	*ret = parent;
	return true;
}

static void
near_all(struct near *n)
{
	n->count = 0;
	n->lies = false;
	for (unsigned i = 0; i < n->ip->n_kin; i++)
		if (n->ip->kin[i].origin || n->ip->kin[i].ino != n->self)
			near_add(n, i);
	n->head = n->self != 0;
}

static void
near_fill(struct near *n, uint64_t parent)
{
	struct inode *ip = n->ip;
	uint64_t top = 0;
	unsigned from;

	if (!near_ancestor(n, parent, &top)) {
		near_all(n);
		return;
	}
	/* The likeliest first. */
	if (top != 0)
		near_add(n, (uint32_t)(kin_find(ip, top) - ip->kin));
	from = n->count;
	near_children(n, top);
	if (n->self != 0)
		near_children(n, n->self);
	for (unsigned i = from; i < n->count; i++)
		if (ip->kin[n->list[i]].flags & SNAPTAB_DELETING)
			near_children(n, ip->kin[n->list[i]].ino);
	for (unsigned i = 0; i < ip->n_kin; i++)
		if (ip->kin[i].origin)
			near_add(n, i);
	if (n->lies)
		near_all(n);
}

int
kin_near(struct inode *ip, uint64_t self, uint32_t **ret_list,
    unsigned *ret_count, bool *ret_head)
{
	const struct kin *k = self != 0 ? kin_find(ip, self) : NULL;
	struct near n = { .ip = ip, .self = self };
	uint64_t parent = self == 0 ? ip->info.base_snapshot :
	    k != NULL ? k->parent : UINT64_MAX;
	int r;

	r = index_make(ip);
	if (r != 0)
		return r;
	n.list = calloc((size_t)ip->n_kin + 1, sizeof(*n.list));
	if (n.list == NULL)
		return -ENOMEM;
	near_fill(&n, parent);
	*ret_list = n.list;
	*ret_count = n.count;
	*ret_head = n.head;
	return 0;
}

int
kin_near_head(struct inode *ip)
{
	bool head;

	if (ip->near != NULL)
		return 0;
	return kin_near(ip, 0, &ip->near, &ip->n_near, &head);
}
