/* SPDX-License-Identifier: BSD-2-Clause */
/* Look-ups in the map of a tree: the head's, a snapshot's, a clone's origin's. */
#include "libvmfs/core/fs_impl.h"

static unsigned
entry_index(uint64_t off, unsigned level)
{
	return (unsigned)(off >> map_entry_shift(level)) & (MAP_FANOUT - 1);
}

static int
entry_at(const struct nref *n, unsigned level, uint64_t off,
    struct map_entry *ret_e)
{
	const struct map_node_disk *d = (const void *)n->data;

	return map_entry_get(&d->entry[entry_index(off, level)], level, ret_e);
}

/*
 * Goes down to `level`: entry of the node there, or of the one above where the
 * way ends (*ret_level tells).  -ENOENT: beyond the root.
 */
static int
descend(struct inode *ip, bool locked, const struct map_root *root,
    uint64_t off, unsigned level, struct nref *ret_n, unsigned *ret_level,
    struct map_entry *ret_e)
{
	struct map_entry e = { root->block, root->birth, MAP_CHILD };
	unsigned at = root->level;
	struct nref n;
	int r;

	if (root->block == 0 || at < level || off >= map_reach(at))
		return -ENOENT;
	for (;; at--) {
		r = node_get(ip, locked, e.block, BLOCK_MAP_NODE, e.birth, &n);
		if (r != 0)
			return r;
		r = entry_at(&n, at, off, &e);
		if (r != 0) {
			node_put(&n);
			return r;
		}
		if (at == level || e.state != MAP_CHILD)
			break;
		node_put(&n);
	}
	*ret_n = n;
	*ret_level = at;
	*ret_e = e;
	return 0;
}

static int
view_split(struct inode *ip, bool locked, const struct nref *l1, uint64_t off,
    struct map_view *ret_v)
{
	const struct map_node_disk *d = (const void *)l1->data;
	const struct map_group_disk *g;
	const struct map_leaf_disk *leaf;
	struct nref n;
	int r;

	g = &d->u.group[entry_index(off, 1) / MAP_GROUPS];
	if (le48_get(g->block) == 0)
		return -VMFS_ECORRUPT;
	r = node_get(ip, locked, le48_get(g->block), BLOCK_MAP_LEAF,
	    le32_get(g->birth), &n);
	if (r != 0)
		return r;
	leaf = (const void *)n.data;
	map_chunk_get(&leaf->entry[entry_index(off, 0)], &ret_v->c);
	node_put(&n);
	ret_v->state = MAP_SPLIT;
	ret_v->span = CHUNK_SIZE;
	return 0;
}

int
map_view(struct inode *ip, bool locked, const struct map_root *root,
    uint64_t off, struct map_view *ret_v)
{
	struct map_view v = { .state = MAP_HOLE };
	uint64_t size, in;
	struct map_entry e;
	unsigned level;
	struct nref n;
	int r;

	off &= ~(uint64_t)(CHUNK_SIZE - 1);
	r = descend(ip, locked, root, off, 1, &n, &level, &e);
	if (r == -ENOENT) {
		v.span = UINT64_MAX - off;
		*ret_v = v;
		return 0;
	}
	if (r != 0)
		return r;
	size = (uint64_t)1 << map_entry_shift(level);
	in = off & (size - 1);
	v.span = size - in;
	if (e.state == MAP_SPLIT) {
		r = view_split(ip, locked, &n, off, &v);
	} else if (e.state == MAP_HUGE) {
		v.state = MAP_HUGE;
		v.c.own = e.block / CHUNK_BLOCKS + in / CHUNK_SIZE;
		v.c.birth = e.birth;
		v.c.valid = 0xffff;
	}
	node_put(&n);
	if (r != 0)
		return r;
	/* The head's own root: what it says is true for others, too. */
	if (locked && root == &ip->info.map)
		fast_learn(ip, off, &v);
	*ret_v = v;
	return 0;
}

/* Source of block b of a chunk: block number, 0 = zeroes. */
static uint64_t
chunk_source(const struct map_chunk *c, unsigned b)
{
	if (c->own != 0 && c->valid & 1u << b)
		return c->own * CHUNK_BLOCKS + b;
	return c->base != 0 ? c->base * CHUNK_BLOCKS + b : 0;
}

/* The run at block b of one chunk. */
static void
chunk_run(const struct map_view *v, unsigned b, struct map_run *ret_r)
{
	uint64_t first = chunk_source(&v->c, b);
	unsigned n = 1;

	while (b + n < CHUNK_BLOCKS &&
	    chunk_source(&v->c, b + n) == (first == 0 ? 0 : first + n))
		n++;
	ret_r->data = first != 0;
	ret_r->block = first;
	ret_r->len = (uint64_t)n * BLOCK_SIZE;
}

int
map_run(struct inode *ip, bool locked, const struct map_root *root,
    uint64_t off, uint64_t max, struct map_run *ret_r)
{
	struct map_run run = { 0 }, next;
	struct map_view v;
	int r;

	while (run.len < max) {
		uint64_t at = off + run.len;
		unsigned b = (unsigned)(at / BLOCK_SIZE % CHUNK_BLOCKS);

		r = map_view(ip, locked, root, at, &v);
		if (r != 0)
			return r;
		if (v.state == MAP_SPLIT) {
			chunk_run(&v, b, &next);
		} else {
			next.data = v.state == MAP_HUGE;
			next.block = next.data ? chunk_source(&v.c, b) : 0;
			next.len = v.span - (uint64_t)b * BLOCK_SIZE;
		}
		if (run.len == 0)
			run = next;
		else if (next.data == run.data && (!run.data || next.block ==
		    run.block + run.len / BLOCK_SIZE))
			run.len += next.len;
		else
			break;
	}
	if (run.len > max)
		run.len = max;
	*ret_r = run;
	return 0;
}

int
map_node_at(struct inode *ip, bool locked, const struct map_root *root,
    uint64_t off, unsigned level, uint64_t *ret_addr, uint32_t *ret_birth)
{
	const struct map_node_disk *d;
	uint64_t addr = 0;
	uint32_t birth = 0;
	struct map_entry e;
	unsigned at;
	struct nref n;
	int r;

	if (root->block != 0 && root->level == level &&
	    off < map_reach(level)) {
		*ret_addr = root->block;
		*ret_birth = root->birth;
		return 0;
	}
	r = descend(ip, locked, root, off, level + 1, &n, &at, &e);
	if (r == -ENOENT) {
		*ret_addr = 0;
		*ret_birth = 0;
		return 0;
	}
	if (r != 0)
		return r;
	if (at == level + 1 && level > 0 && e.state == MAP_CHILD) {
		addr = e.block;
		birth = e.birth;
	} else if (at == 1 && level == 0) {
		d = (const void *)n.data;
		addr = le48_get(d->u.group[entry_index(off, 1) /
		    MAP_GROUPS].block);
		birth = le32_get(d->u.group[entry_index(off, 1) /
		    MAP_GROUPS].birth);
	}
	node_put(&n);
	*ret_addr = addr;
	*ret_birth = birth;
	return 0;
}
