/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Metadata moves away from LUNs that are to leave: a copy under the same lock,
 * and in the same transaction all that point to the block point to that.
 * Inodes stay: their number is their place.
 */
#include <stdlib.h>

#include "libvmfs/core/evacuate.h"

/* A new block like the old one, which is free when the transaction is. */
static int
block_move(struct txn *t, struct inode *owner, struct mblk *old,
    uint64_t *ret_addr)
{
	struct mblk *b;
	uint64_t addr;
	int r = alloc_meta(t, owner->ino, old->type, &addr);

	if (r != 0)
		return r;
	r = mb_new(t, &owner->grant, addr, old->type, &b);
	if (r != 0)
		return meta_free(t, addr) != 0 ? -EIO : r;
	memcpy(b->data + sizeof(struct block_hdr_disk),
	    old->data + sizeof(struct block_hdr_disk), BLOCK_PAYLOAD);
	mb_dirty(t, b, sizeof(struct block_hdr_disk), BLOCK_PAYLOAD);
	mb_put(b);
	r = meta_free(t, old->addr);
	if (r == 0)
		*ret_addr = addr;
	return r;
}

/* ---- map nodes ---- */

/* A node, and what points to it: nodes above it, inodes. */
struct moving {
	struct forest *f;
	uint64_t off, addr;
	unsigned level;
	struct inode *owner;
	struct mblk *old, **ref;
	unsigned n_refs;
};

static bool
has_it(const struct moving *m, const struct tree *t)
{
	return t->top >= m->level && t->addr[m->level] == m->addr;
}

static struct inode *
root_inode(const struct tree *t)
{
	return t->snapshot == 0 ? t->disk : t->sp;
}

static int
ref_load(struct moving *m, unsigned i)
{
	struct tree *t = &m->f->tree[i];
	struct inode *ip;
	int r = forest_hold(m->f, t);

	if (r != 0)
		return r;
	if (t->top > m->level) {
		if (!forest_first(m->f, i, m->level + 1))
			return 0;
		r = forest_read(m->f, t, m->level + 1, &m->ref[m->n_refs]);
	} else {
		ip = root_inode(t);
		r = mb_read(m->f->fs->ds, &ip->grant, ip->ino, BLOCK_INODE,
		    &m->ref[m->n_refs]);
	}
	m->n_refs += r == 0;
	return r;
}

static int
refs_load(struct moving *m)
{
	int r = 0;

	m->ref = calloc(m->f->n_trees, sizeof(struct mblk *));
	if (m->ref == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < m->f->n_trees && r == 0; i++)
		if (has_it(m, &m->f->tree[i]))
			r = ref_load(m, i);
	return r;
}

static void
child_set(struct txn *t, const struct moving *m, struct mblk *parent,
    uint64_t addr)
{
	unsigned i = (unsigned)(m->off >> map_entry_shift(m->level + 1)) &
	    (MAP_FANOUT - 1);
	struct map_node_disk *d = (struct map_node_disk *)parent->data;
	le48_t *at = m->level == 0 ? &d->u.group[i / MAP_GROUPS].block :
	    &d->entry[i].block;

	*at = le48(addr);
	mb_dirty(t, parent, (size_t)((uint8_t *)at - parent->data),
	    sizeof(*at));
}

static int
root_set(struct txn *t, const struct moving *m, struct tree *tree,
    uint64_t addr)
{
	struct inode *ip = root_inode(tree);

	ip->info.map.block = addr;
	if (tree->snapshot != 0)
		tree->root.block = addr;
	for (unsigned i = 0; i < m->f->n_disks; i++)
		for (unsigned k = 0; k < m->f->disk[i]->n_kin; k++) {
			struct kin *kin = &m->f->disk[i]->kin[k];

			if (kin->loaded && kin->root.block == m->addr)
				kin->root.block = addr;
		}
	return inode_store(t, ip);
}

static int
move_in(struct txn *t, struct moving *m)
{
	uint64_t addr;
	int r = block_move(t, m->owner, m->old, &addr);

	for (unsigned i = 0; i < m->n_refs && r == 0; i++)
		if (m->ref[i]->type == BLOCK_MAP_NODE)
			child_set(t, m, m->ref[i], addr);
	for (unsigned i = 0; i < m->f->n_trees && r == 0; i++) {
		struct tree *tree = &m->f->tree[i];

		if (!has_it(m, tree))
			continue;
		if (tree->top == m->level)
			r = root_set(t, m, tree, addr);
		tree->addr[m->level] = addr;
	}
	return r;
}

static int
moving_run(struct moving *m)
{
	struct ds *ds = m->f->fs->ds;
	struct txn *t;
	int r = alloc_reserve(ds, 0, 4);

	if (r != 0)
		return r;
	forest_map_lock(m->f, m->off);
	r = txn_begin(ds, MOVE_BLOCKS + m->n_refs, &t);
	if (r == 0) {
		r = move_in(t, m);
		txn_end(t);
	}
	forest_map_unlock(m->f);
	return r;
}

static int
node_move(struct forest *f, const struct tree *tree, uint64_t off,
    unsigned level)
{
	struct moving m = {
		.f = f, .off = off, .level = level, .addr = tree->addr[level],
	};
	int r = forest_owner(f, tree, tree->birth[level], &m.owner);

	if (r == 0)
		r = forest_read(f, tree, level, &m.old);
	if (r == 0)
		r = refs_load(&m);
	if (r == 0)
		r = moving_run(&m);
	for (unsigned i = 0; i < m.n_refs; i++)
		mb_put(m.ref[i]);
	free(m.ref);
	mb_put(m.old);
	return r;
}

int
nodes_move(struct forest *f, uint64_t off, bool *moved)
{
	int r = 0;

	for (unsigned i = 0; i < f->n_trees && r == 0; i++) {
		const struct tree *t = &f->tree[i];

		for (unsigned k = t->top + 1; k-- > 0 && r == 0; ) {
			if (!block_leaves(f->fs, t->addr[k]))
				continue;
			r = node_move(f, t, off, k);
			*moved |= r == 0;
		}
	}
	return r;
}

/* ---- what is under a file's own lock ---- */

/* The block that *addr names, which changes with the inode. */
static int
from_inode(struct inode *ip, enum block_type type, uint64_t *addr)
{
	struct ds *ds = ip->fs->ds;
	struct mblk *old;
	struct txn *t;
	int r, e;

	if (!block_leaves(ip->fs, *addr))
		return 0;
	r = alloc_reserve(ds, 0, 4);
	if (r == 0)
		r = mb_read(ds, &ip->grant, *addr, type, &old);
	if (r != 0)
		return r;
	r = txn_begin(ds, MOVE_BLOCKS, &t);
	if (r == 0) {
		r = block_move(t, ip, old, addr);
		e = inode_store(t, ip);
		txn_end(t);
		r = r != 0 ? r : e;
	}
	mb_put(old);
	return r;
}

/* The block that `at`, in block b, names. */
static int
from_block(struct inode *ip, struct mblk *b, enum block_type type, le64_t *at,
    unsigned count)
{
	struct ds *ds = ip->fs->ds;
	uint64_t addr = le64_get(*at);
	struct mblk *old;
	struct txn *t;
	int r;

	if (!block_leaves(ip->fs, addr))
		return 0;
	r = alloc_reserve(ds, 0, 4);
	if (r == 0)
		r = mb_read(ds, &ip->grant, addr, type, &old);
	if (r != 0)
		return r;
	r = txn_begin(ds, MOVE_BLOCKS, &t);
	if (r == 0) {
		r = block_move(t, ip, old, &addr);
		for (unsigned i = 0; i < count && r == 0; i++)
			at[i] = le64(addr);
		if (r == 0)
			mb_dirty(t, b, (size_t)((uint8_t *)at - b->data),
			    count * sizeof(*at));
		txn_end(t);
	}
	mb_put(old);
	return r;
}

static int
snaptab_move(struct inode *ip)
{
	int r = from_inode(ip, BLOCK_SNAPTAB, &ip->info.snaptab);

	for (uint64_t at = ip->info.snaptab; at != 0 && r == 0; ) {
		struct snaptab_disk *d;
		struct mblk *b;

		r = mb_read(ip->fs->ds, &ip->grant, at, BLOCK_SNAPTAB, &b);
		if (r != 0)
			return r;
		d = (struct snaptab_disk *)b->data;
		r = from_block(ip, b, BLOCK_SNAPTAB, &d->next, 1);
		at = le64_get(d->next);
		mb_put(b);
	}
	return r;
}

int
inode_blocks_move(struct inode *ip)
{
	int r;

	snaps_lock(ip);
	content_lock(ip);
	r = from_inode(ip, BLOCK_XATTR, &ip->info.xattr);
	if (r == 0)
		r = snaptab_move(ip);
	content_unlock(ip);
	snaps_unlock(ip);
	return r;
}

/* ---- directories ---- */

/* Leaves behind the first, of names with one hash. */
static int
chain_move(struct inode *ip, struct mblk *leaf)
{
	struct dir_leaf_disk *d = (struct dir_leaf_disk *)leaf->data;
	uint64_t next;
	struct mblk *b;
	int r = from_block(ip, leaf, BLOCK_DIR_LEAF, &d->next, 1);

	next = le64_get(d->next);
	while (next != 0 && r == 0) {
		r = mb_read(ip->fs->ds, &ip->grant, next, BLOCK_DIR_LEAF, &b);
		if (r != 0)
			return r;
		d = (struct dir_leaf_disk *)b->data;
		r = from_block(ip, b, BLOCK_DIR_LEAF, &d->next, 1);
		next = le64_get(d->next);
		mb_put(b);
	}
	return r;
}

static int
below_move(struct inode *ip, uint64_t addr, unsigned depth)
{
	struct dir_node_disk *d;
	struct mblk *b;
	int r = mb_read(ip->fs->ds, &ip->grant, addr, 0, &b);

	if (r != 0)
		return r;
	d = (struct dir_node_disk *)b->data;
	if (b->type == BLOCK_DIR_LEAF)
		r = chain_move(ip, b);
	else if (b->type != BLOCK_DIR_NODE || depth > 3)
		r = -VMFS_ECORRUPT;
	for (unsigned i = 0, n; b->type == BLOCK_DIR_NODE && r == 0 &&
	    i < DIR_NODE_FANOUT; i += n) {
		uint64_t child = le64_get(d->child[i]);

		/* Neighbours may have one leaf. */
		for (n = 1; i + n < DIR_NODE_FANOUT &&
		    le64_get(d->child[i + n]) == child; n++)
			;
		if (child == 0)
			continue;
		r = from_block(ip, b, 0, &d->child[i], n);
		if (r == 0)
			r = below_move(ip, le64_get(d->child[i]), depth + 1);
	}
	mb_put(b);
	return r;
}

int
fs_dir_evacuate(struct fs *fs, uint64_t ino, struct lock_holder *ret_holder)
{
	struct inode *ip;
	int r = fs_writable(fs);

	if (r == 0)
		r = inode_take(fs, ino, LOCK_EXCLUSIVE, true, &ip, ret_holder);
	if (r != 0)
		return r;
	content_lock(ip);
	if (ip->info.type != INODE_DIR)
		r = -ENOTDIR;
	if (r == 0)
		r = from_inode(ip, BLOCK_XATTR, &ip->info.xattr);
	if (r == 0 && ip->info.dir_root != 0)
		r = from_inode(ip, BLOCK_DIR_NODE, &ip->info.dir_root);
	if (r == 0 && ip->info.dir_root != 0)
		r = below_move(ip, ip->info.dir_root, 0);
	content_unlock(ip);
	return inode_give(ip, LOCK_EXCLUSIVE, r);
}
