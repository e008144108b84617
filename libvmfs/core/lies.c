/* SPDX-License-Identifier: BSD-2-Clause */
/* What of a file or directory lies on LUNs that are to leave. */
#include "libvmfs/core/evacuate.h"

struct look {
	struct inode *ip;
	bool locked;
	bool lies;
};

static void
see(struct look *l, uint64_t block)
{
	l->lies |= block_leaves(l->ip->fs, block);
}

static int
leaf_look(struct look *l, const struct map_group_disk *g)
{
	const struct map_leaf_disk *d;
	struct map_chunk c;
	struct nref n;
	int r;

	see(l, le48_get(g->block));
	if (le48_get(g->block) == 0 || l->lies)
		return 0;
	r = node_get(l->ip, l->locked, le48_get(g->block), BLOCK_MAP_LEAF,
	    le32_get(g->birth), &n);
	if (r != 0)
		return r;
	d = (const void *)n.data;
	for (unsigned k = 0; k < MAP_FANOUT; k++) {
		map_chunk_get(&d->entry[k], &c);
		see(l, c.own * CHUNK_BLOCKS);
		see(l, c.base * CHUNK_BLOCKS);
	}
	node_put(&n);
	return 0;
}

static int
l1_look(struct look *l, const struct map_node_disk *d)
{
	struct map_entry e;
	int r = 0;

	for (unsigned i = 0; i < MAP_FANOUT && r == 0; i++) {
		r = map_entry_get(&d->entry[i], 1, &e);
		if (r == 0 && e.state == MAP_HUGE)
			see(l, e.block);
	}
	for (unsigned g = 0; g < MAP_GROUPS && r == 0 && !l->lies; g++)
		r = leaf_look(l, &d->u.group[g]);
	return r;
}

/* Down to the node of level 1 at *off, which goes behind what was seen. */
static int
way_look(struct look *l, const struct map_root *root, uint64_t *off)
{
	struct map_entry e = { root->block, root->birth, MAP_CHILD };
	unsigned level = root->level;
	struct nref n;
	int r = 0;

	for (; r == 0 && e.state == MAP_CHILD && level > 0; level--) {
		const struct map_node_disk *d;

		see(l, e.block);
		r = node_get(l->ip, l->locked, e.block, BLOCK_MAP_NODE,
		    e.birth, &n);
		if (r != 0)
			return r;
		d = (const void *)n.data;
		if (level == 1)
			r = l1_look(l, d);
		else
			r = map_entry_get(&d->entry[*off >>
			    map_entry_shift(level) & (MAP_FANOUT - 1)], level,
			    &e);
		node_put(&n);
	}
	/* The level of what is a hole, or else of the last node. */
	*off |= map_reach(level > 0 ? level : 1) - 1;
	return r;
}

/* The root moves when the guest writes in between. */
static int
tree_look(struct look *l, const struct map_root *root)
{
	uint64_t off = 0;
	int r = 0;

	while (r == 0 && !l->lies && root->block != 0 &&
	    off < map_reach(root->level)) {
		fiber_rwlock_rdlock(&l->ip->map);
		r = way_look(l, root, &off);
		fiber_rwlock_unlock(&l->ip->map);
		if (++off == 0)
			break;
	}
	return r;
}

/* A chain of blocks that have the next one's number at `at`. */
static int
chain_look(struct look *l, uint64_t addr, enum block_type type, size_t at)
{
	struct nref n;
	int r;

	for (uint64_t blocks = 0; addr != 0 && !l->lies; blocks++) {
		see(l, addr);
		if (blocks > UINT32_MAX)
			return -VMFS_ECORRUPT;
		r = node_get(l->ip, l->locked, addr, type, UINT32_MAX, &n);
		if (r != 0)
			return r;
		addr = le64_get(*(const le64_t *)(const void *)(n.data + at));
		node_put(&n);
	}
	return 0;
}

static int
dir_look(struct look *l, uint64_t addr, unsigned depth)
{
	const struct dir_node_disk *d;
	struct nref n;
	int r;

	see(l, addr);
	r = node_get(l->ip, l->locked, addr, 0, UINT32_MAX, &n);
	if (r != 0)
		return r;
	d = (const void *)n.data;
	if (node_type(&n) == BLOCK_DIR_LEAF)
		r = chain_look(l, addr, BLOCK_DIR_LEAF,
		    offsetof(struct dir_leaf_disk, next));
	else if (node_type(&n) != BLOCK_DIR_NODE || depth > 3)
		r = -VMFS_ECORRUPT;
	else
		for (unsigned i = 0; i < DIR_NODE_FANOUT && r == 0 &&
		    !l->lies; i++) {
			uint64_t child = le64_get(d->child[i]);

			if (child != 0 && (i == 0 ||
			    child != le64_get(d->child[i - 1])))
				r = dir_look(l, child, depth + 1);
		}
	node_put(&n);
	return r;
}

static int
content_look(struct look *l, const struct inode_info *info)
{
	int r = 0;

	see(l, info->xattr);
	if (info->type == INODE_DIR) {
		if (info->dir_root == 0)
			return 0;
		fiber_rwlock_rdlock(&l->ip->content);
		r = dir_look(l, info->dir_root, 0);
		fiber_rwlock_unlock(&l->ip->content);
		return r;
	}
	r = tree_look(l, l->locked ? &l->ip->info.map : &info->map);
	if (r == 0)
		r = chain_look(l, info->snaptab, BLOCK_SNAPTAB,
		    offsetof(struct snaptab_disk, next));
	return r;
}

int
fs_lies_on_leaving(struct fs *fs, uint64_t ino, unsigned *ret_what)
{
	struct look l = { .lies = false };
	struct reader rd;
	int r = inode_ref(fs, ino, &l.ip);

	if (r != 0)
		return r;
	for (reader_init(&rd, l.ip); (r = reader_begin(&rd)) == 0; ) {
		l.lies = false;
		l.locked = rd.locked;
		r = content_look(&l, &rd.info);
		if (!reader_again(&rd, &r))
			break;
	}
	inode_unref(l.ip);
	if (r == 0)
		*ret_what = (block_leaves(fs, ino) ? FS_LIES_INODE : 0) |
		    (l.lies ? FS_LIES_CONTENT : 0);
	return r;
}
