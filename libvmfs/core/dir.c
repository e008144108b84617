/* SPDX-License-Identifier: BSD-2-Clause */
/* Directories for readers: look-up and iteration by stable cookies. */
#include <stdlib.h>

#include "libvmfs/core/fs_impl.h"

int
name_check(const char *name)
{
	size_t len = strlen(name);

	if (len > DIR_NAME_MAX)
		return -ENAMETOOLONG;
	if (len == 0 || strchr(name, '/') != NULL ||
	    strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	return 0;
}

/* The second hash is no CRC: names whose CRCs collide often do so under every
 * seed. */
static uint64_t
dir_place(uint32_t hash, const char *name, size_t len)
{
	uint32_t fnv = 2166136261u;

	for (size_t i = 0; i < len; i++)
		fnv = (fnv ^ (uint8_t)name[i]) * 16777619u;
	return ((uint64_t)hash << 16 | ((fnv ^ fnv >> 16) & 0xffff)) <<
	    DIR_TWIN_BITS;
}

/* Who means to finds names that share a place under every seed, too.  They are
 * counted from the last, so that who removes what it has been told misses none. */
static void
items_number(struct dir_items *l)
{
	uint64_t place = UINT64_MAX, left = 0;

	for (size_t i = l->count; i-- > 0;) {
		uint64_t *cookie = &l->item[i].cookie;

		left = *cookie != place ? DIR_TWINS_MAX :
		    left > 0 ? left - 1 : 0;
		place = *cookie;
		*cookie += left;
	}
}

static bool
dirent_is(const struct dirent *e, const char *name, size_t len)
{
	return e->name_len == len && memcmp(e->name, name, len) == 0;
}

static int
list_find(const uint8_t *data, size_t used, const char *name,
    struct dirent *ret_e)
{
	size_t pos = 0, len = strlen(name);
	struct dirent e;
	int r;

	while ((r = dirent_next(data, used, &pos, &e)) == 0)
		if (dirent_is(&e, name, len)) {
			e.name = NULL;
			*ret_e = e;
			return 0;
		}
	return r;
}

static unsigned
child_index(uint64_t hash, unsigned depth)
{
	return (unsigned)(hash >> (24 - 8 * depth)) & 0xff;
}

/*
 * The leaf for a hash: *ret_n, or -ENOENT with *ret_next the first hash that
 * the empty child does not cover.
 */
static int
leaf_get(struct inode *ip, const struct inode_info *info, bool locked,
    uint64_t hash, struct nref *ret_n, uint64_t *ret_next)
{
	uint64_t addr = info->dir_root, child;
	const struct dir_node_disk *d;
	struct nref n;
	int r;

	for (unsigned depth = 0; depth <= 4; depth++) {
		r = node_get(ip, locked, addr, 0, 1, &n);
		if (r != 0)
			return r;
		if (node_type(&n) == BLOCK_DIR_LEAF && depth > 0) {
			*ret_n = n;
			return 0;
		}
		if (node_type(&n) != BLOCK_DIR_NODE || depth > 3)
			break;
		d = (const void *)n.data;
		child = le64_get(d->child[child_index(hash, depth)]);
		node_put(&n);
		if (child == 0) {
			unsigned shift = 24 - 8 * depth;

			*ret_next = ((hash >> shift) + 1) << shift;
			return -ENOENT;
		}
		addr = child;
	}
	node_put(&n);
	return -VMFS_ECORRUPT;
}

static int
leaf_used(const struct dir_leaf_disk *d, size_t *ret_used)
{
	size_t used = le16_get(d->used);

	if (used > sizeof(d->data) || d->prefix_bits > 32)
		return -VMFS_ECORRUPT;
	*ret_used = used;
	return 0;
}

/* Brent: the mark moves on ever later, so that a circle comes by it. */
bool
dir_chain_closed(struct dir_chain *c, uint64_t next)
{
	if (next == c->mark)
		return true;
	c->steps++;
	if ((c->steps & (c->steps - 1)) == 0)
		c->mark = next;
	return false;
}

/* Next leaf of a chain in place of *n; -ENOENT at its end. */
static int
leaf_next(struct inode *ip, bool locked, struct nref *n, struct dir_chain *c)
{
	const struct dir_leaf_disk *d = (const void *)n->data;
	uint64_t next = le64_get(d->next);

	node_put(n);
	if (next == 0)
		return -ENOENT;
	if (dir_chain_closed(c, next))
		return -VMFS_ECORRUPT;
	return node_get(ip, locked, next, BLOCK_DIR_LEAF, 1, n);
}

int
dir_find(struct inode *ip, const struct inode_info *info, bool locked,
    const char *name, struct dirent *ret_e)
{
	const struct inode_disk *id;
	const struct dir_leaf_disk *d;
	struct dir_chain chain = { 0 };
	struct nref n;
	uint64_t next;
	size_t used;
	int r;

	if (info->type != INODE_DIR)
		return -ENOTDIR;
	if (info->dir_root == 0) {
		r = node_get(ip, locked, ip->ino, BLOCK_INODE, 0, &n);
		if (r != 0)
			return r;
		id = (const void *)n.data;
		r = list_find(id->inline_data, info->inline_size, name, ret_e);
		node_put(&n);
		return r;
	}
	r = leaf_get(ip, info, locked, dirent_hash(info->dir_seed, name,
	    strlen(name)), &n, &next);
	while (r == 0) {
		d = (const void *)n.data;
		r = leaf_used(d, &used);
		if (r == 0)
			r = list_find(d->data, used, name, ret_e);
		if (r != -ENOENT) {
			node_put(&n);
			return r;
		}
		r = leaf_next(ip, locked, &n, &chain);
	}
	return r;
}

void
dir_items_free(struct dir_items *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->item[i].name);
	free(l->item);
	*l = (struct dir_items){ 0 };
}

static int
items_add(struct dir_items *l, uint32_t seed, const struct dirent *e)
{
	struct dir_item *it;
	size_t max;

	if (l->count == l->max) {
		max = l->max == 0 ? 64 : 2 * l->max;
		it = realloc(l->item, max * sizeof(*it));
		if (it == NULL)
			return -ENOMEM;
		l->item = it;
		l->max = max;
	}
	it = &l->item[l->count];
	it->name = strndup(e->name, e->name_len);
	if (it->name == NULL)
		return -ENOMEM;
	it->cookie = dir_place(dirent_hash(seed, e->name, e->name_len),
	    e->name, e->name_len);
	it->ino = e->ino;
	it->type = e->type;
	l->count++;
	return 0;
}

static int
items_add_all(struct dir_items *l, uint32_t seed, const uint8_t *data,
    size_t used)
{
	struct dirent e;
	size_t pos = 0;
	int r;

	while ((r = dirent_next(data, used, &pos, &e)) == 0) {
		r = items_add(l, seed, &e);
		if (r != 0)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

static int
item_compare(const void *a, const void *b)
{
	const struct dir_item *x = a, *y = b;

	if (x->cookie != y->cookie)
		return x->cookie < y->cookie ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int
collect_inline(struct inode *ip, const struct inode_info *info, bool locked,
    struct dir_items *l)
{
	const struct inode_disk *id;
	struct nref n;
	int r;

	r = node_get(ip, locked, ip->ino, BLOCK_INODE, 0, &n);
	if (r != 0)
		return r;
	id = (const void *)n.data;
	r = items_add_all(l, info->dir_seed, id->inline_data,
	    info->inline_size);
	node_put(&n);
	return r;
}

int
dir_collect(struct inode *ip, const struct inode_info *info, bool locked,
    uint64_t hash, struct dir_items *l, uint64_t *ret_next)
{
	const struct dir_leaf_disk *d;
	struct dir_chain chain = { 0 };
	struct nref n;
	uint64_t next = (uint64_t)1 << 32;
	size_t used;
	int r;

	if (info->type != INODE_DIR)
		return -ENOTDIR;
	if (info->dir_root == 0) {
		r = collect_inline(ip, info, locked, l);
	} else {
		r = leaf_get(ip, info, locked, hash, &n, &next);
		if (r == 0) {
			unsigned shift;

			d = (const void *)n.data;
			shift = d->prefix_bits > 32 ? 0 : 32u - d->prefix_bits;
			next = ((hash >> shift) + 1) << shift;
		}
		while (r == 0) {
			d = (const void *)n.data;
			r = leaf_used(d, &used);
			if (r == 0)
				r = items_add_all(l, info->dir_seed, d->data,
				    used);
			if (r != 0) {
				node_put(&n);
				return r;
			}
			r = leaf_next(ip, locked, &n, &chain);
		}
		if (r == -ENOENT)
			r = 0;
	}
	if (r != 0)
		return r;
	if (l->count > 1)
		qsort(l->item, l->count, sizeof(*l->item), item_compare);
	items_number(l);
	*ret_next = next;
	return 0;
}
