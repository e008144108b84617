/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A way down the head's tree that may be changed: nodes that snapshots share
 * are copied on the first change (path copy), missing ones are made.  Each step
 * alone leaves a tree with the same content.
 */
#include "libvmfs/core/fs_impl.h"

static struct map_node_disk *
node(struct mblk *b)
{
	return (struct map_node_disk *)b->data;
}

static void
all_dirty(struct txn *t, struct mblk *b)
{
	mb_dirty(t, b, sizeof(struct block_hdr_disk), BLOCK_PAYLOAD);
}

static int
node_make(struct txn *t, struct inode *ip, enum block_type type,
    struct mblk **ret_b)
{
	uint64_t addr;
	int r;

	r = alloc_meta(t, ip->ino, type, &addr);
	if (r != 0)
		return r;
	r = mb_new(t, &ip->grant, addr, type, ret_b);
	if (r != 0) {
		if (meta_free(t, addr) != 0)
			r = -EIO;
		return r;
	}
	return 0;
}

/* Who reads on another host sees by the inode that a node has gone. */
static int
node_free(struct txn *t, struct inode *ip, uint64_t addr)
{
	int r = meta_free(t, addr);

	return r != 0 ? r : inode_store(t, ip);
}

/* Offset, birth and level fields, which level 1 does not have. */
static void
node_describe(struct mblk *b, unsigned level, uint64_t off, uint32_t birth)
{
	struct map_leaf_disk *leaf = (struct map_leaf_disk *)b->data;
	uint64_t mask;

	if (level == 1)
		return;
	mask = level == 0 ? ((uint64_t)1 << 24) - 1 : map_reach(level) - 1;
	if (level == 0) {
		leaf->offset = le64(off & ~mask);
		leaf->birth = le32(birth);
		return;
	}
	node(b)->u.info.offset = le64(off & ~mask);
	node(b)->u.info.birth = le32(birth);
	node(b)->u.info.level = (uint8_t)level;
}

/*
 * A node of the tree to change: *addr and *birth are updated when it was made
 * or copied, *ret_new tells so that the caller stores them in the parent.
 */
static int
node_writable(struct txn *t, struct inode *ip, unsigned level, uint64_t off,
    uint64_t *addr, uint32_t *birth, struct mblk **ret_b, bool *ret_new)
{
	enum block_type type = level == 0 ? BLOCK_MAP_LEAF : BLOCK_MAP_NODE;
	uint64_t old = *addr;
	bool shared;
	struct mblk *b;
	struct nref n;
	int r;

	*ret_new = false;
	if (old != 0 && *birth > ip->info.snap_epoch)
		return mb_read(ip->fs->ds, &ip->grant, old, type, ret_b);
	r = node_make(t, ip, type, &b);
	if (r != 0)
		return r;
	if (old != 0) {
		r = node_get(ip, true, old, type, *birth, &n);
		if (r == 0) {
			memcpy(b->data + sizeof(struct block_hdr_disk),
			    n.data + sizeof(struct block_hdr_disk),
			    BLOCK_PAYLOAD);
			node_put(&n);
			r = kin_has_node(ip, off, level, old, &shared);
		}
		if (r == 0 && !shared)
			r = node_free(t, ip, old);
		if (r != 0) {
			int e = meta_free(t, b->addr);

			mb_put(b);
			return e != 0 ? e : r;
		}
	}
	node_describe(b, level, off, ip->info.epoch);
	all_dirty(t, b);
	*addr = b->addr;
	*birth = ip->info.epoch;
	*ret_b = b;
	*ret_new = true;
	return 0;
}

/* Makes the root reach off: a new one over the old as its first child. */
static int
root_raise(struct txn *t, struct inode *ip, uint64_t off)
{
	struct map_root *root = &ip->info.map;
	struct map_entry e;
	struct mblk *b;
	int r;

	if (root->block == 0) {
		root->level = 1;
		while (off >= map_reach(root->level) ||
		    ip->info.size > map_reach(root->level))
			if (++root->level > MAP_LEVEL_MAX)
				return -EFBIG;
		return 0;
	}
	while (off >= map_reach(root->level)) {
		if (root->level == MAP_LEVEL_MAX)
			return -EFBIG;
		r = node_make(t, ip, BLOCK_MAP_NODE, &b);
		if (r != 0)
			return r;
		e = (struct map_entry){ root->block, root->birth, MAP_CHILD };
		map_entry_put(&node(b)->entry[0], &e);
		node_describe(b, root->level + 1, 0, ip->info.epoch);
		all_dirty(t, b);
		root->block = b->addr;
		root->birth = ip->info.epoch;
		root->level++;
		mb_put(b);
		r = inode_store(t, ip);
		if (r != 0)
			return r;
	}
	return 0;
}

static int
root_writable(struct txn *t, struct inode *ip, struct mblk **ret_b)
{
	struct map_root *root = &ip->info.map;
	bool new;
	int r;

	r = node_writable(t, ip, root->level, 0, &root->block, &root->birth,
	    ret_b, &new);
	if (r != 0 || !new)
		return r;
	r = inode_store(t, ip);
	if (r != 0)
		mb_put(*ret_b);
	return r;
}

/* Child of b (of `level`) at off, writable. */
static int
child_writable(struct txn *t, struct inode *ip, struct mblk *b, unsigned level,
    uint64_t off, struct mblk **ret_b)
{
	unsigned i = (unsigned)(off >> map_entry_shift(level)) &
	    (MAP_FANOUT - 1);
	struct map_entry_disk *d = &node(b)->entry[i];
	struct map_entry e;
	bool new;
	int r;

	r = map_entry_get(d, level, &e);
	if (r != 0)
		return r;
	if (e.state == MAP_HUGE)
		return -VMFS_ECORRUPT;	/* never written by this version */
	if (e.state == MAP_HOLE)
		e = (struct map_entry){ 0 };
	r = node_writable(t, ip, level - 1, off, &e.block, &e.birth, ret_b,
	    &new);
	if (r != 0 || !new)
		return r;
	e.state = MAP_CHILD;
	map_entry_put(d, &e);
	mb_dirty(t, b, (size_t)((uint8_t *)d - b->data), sizeof(*d));
	return 0;
}

/* The leaf of the MiB's group, made when `make`. */
static int
leaf_writable(struct txn *t, struct inode *ip, struct map_path *p,
    bool make)
{
	struct map_group_disk *g = &node(p->l1)->u.group[p->i / MAP_GROUPS];
	uint64_t addr = le48_get(g->block);
	uint32_t birth = le32_get(g->birth);
	bool new;
	int r;

	if (addr == 0 && !make)
		return 0;
	r = node_writable(t, ip, 0, p->off, &addr, &birth, &p->leaf, &new);
	if (r != 0 || !new)
		return r;
	g->block = le48(addr);
	g->birth = le32(birth);
	mb_dirty(t, p->l1, (size_t)((uint8_t *)g - p->l1->data), sizeof(*g));
	return 0;
}

int
map_path_entry(const struct map_path *p, struct map_entry *ret_e)
{
	return map_entry_get(&node(p->l1)->entry[p->i], 1, ret_e);
}

int
map_path_get(struct txn *t, struct inode *ip, uint64_t off,
    struct map_path *ret_p)
{
	struct map_path p = { .off = off };
	struct mblk *b, *below;
	struct map_entry e;
	int r;

	r = root_raise(t, ip, off);
	if (r != 0)
		return r;
	r = root_writable(t, ip, &b);
	if (r != 0)
		return r;
	for (unsigned level = ip->info.map.level; level > 1; level--) {
		r = child_writable(t, ip, b, level, off, &below);
		mb_put(b);
		if (r != 0)
			return r;
		b = below;
	}
	p.l1 = b;
	p.i = (unsigned)(off >> MAP_L1_SHIFT) & (MAP_FANOUT - 1);
	r = map_path_entry(&p, &e);
	if (r == 0 && e.state == MAP_SPLIT)
		r = leaf_writable(t, ip, &p, false);
	if (r == 0 && e.state == MAP_SPLIT && p.leaf == NULL)
		r = -VMFS_ECORRUPT;
	if (r != 0) {
		map_path_put(&p);
		return r;
	}
	*ret_p = p;
	return 0;
}

void
map_path_put(struct map_path *p)
{
	mb_put(p->l1);
	mb_put(p->leaf);
	*p = (struct map_path){ 0 };
}

struct map_chunk_disk *
map_path_chunk(struct map_path *p, unsigned k)
{
	struct map_leaf_disk *d = (struct map_leaf_disk *)p->leaf->data;

	return &d->entry[p->i % MAP_GROUPS * CHUNK_BLOCKS + k];
}

void
map_path_set_chunk(struct txn *t, struct map_path *p, unsigned k,
    const struct map_chunk *c)
{
	struct map_chunk_disk *d = map_path_chunk(p, k);

	map_chunk_put(d, c);
	mb_dirty(t, p->leaf, (size_t)((uint8_t *)d - p->leaf->data),
	    sizeof(*d));
}

static void
entry_put(struct txn *t, struct map_path *p, const struct map_entry *e)
{
	struct map_entry_disk *d = &node(p->l1)->entry[p->i];

	map_entry_put(d, e);
	mb_dirty(t, p->l1, (size_t)((uint8_t *)d - p->l1->data), sizeof(*d));
}

int
map_path_split(struct txn *t, struct inode *ip, struct map_path *p)
{
	struct map_chunk c = { 0 };
	struct map_entry e;
	int r;

	r = map_path_entry(p, &e);
	if (r != 0 || e.state == MAP_SPLIT)
		return r;
	r = leaf_writable(t, ip, p, true);
	if (r != 0)
		return r;
	for (unsigned k = 0; k < CHUNK_BLOCKS; k++) {
		if (e.state == MAP_HUGE) {
			c.own = e.block / CHUNK_BLOCKS + k;
			c.birth = e.birth;
			c.valid = 0xffff;
		}
		map_path_set_chunk(t, p, k, &c);
	}
	e = (struct map_entry){ .state = MAP_SPLIT };
	entry_put(t, p, &e);
	return 0;
}

static bool
leaf_is_empty(const struct mblk *leaf)
{
	const struct map_leaf_disk *d = (const void *)leaf->data;
	const uint8_t *b = (const uint8_t *)d->entry;

	for (size_t i = 0; i < sizeof(d->entry); i++)
		if (b[i] != 0)
			return false;
	return true;
}

int
map_path_set_entry(struct txn *t, struct inode *ip, struct map_path *p,
    const struct map_entry *e)
{
	const struct map_chunk none = { 0 };
	struct map_group_disk *g = &node(p->l1)->u.group[p->i / MAP_GROUPS];
	bool others = false;
	struct map_entry o;

	entry_put(t, p, e);
	if (p->leaf == NULL)
		return 0;
	for (unsigned k = 0; k < CHUNK_BLOCKS; k++)
		map_path_set_chunk(t, p, k, &none);
	for (unsigned j = 0; j < MAP_GROUPS; j++) {
		unsigned i = p->i / MAP_GROUPS * MAP_GROUPS + j;

		if (map_entry_get(&node(p->l1)->entry[i], 1, &o) != 0 ||
		    o.state == MAP_SPLIT)
			others = true;
	}
	if (others || !leaf_is_empty(p->leaf))
		return 0;
	*g = (struct map_group_disk){ 0 };
	mb_dirty(t, p->l1, (size_t)((uint8_t *)g - p->l1->data), sizeof(*g));
	return node_free(t, ip, p->leaf->addr);
}
