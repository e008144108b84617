/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changes of directories.  Room is made by steps that each leave a directory
 * with the same entries, so an error in between does no harm.
 */
#include <stdlib.h>

#include "libvmfs/core/fs_impl.h"

#define LEAF_MAX (sizeof(((struct dir_leaf_disk *)0)->data))

/* Where a hash leads: nodes from the root, then a leaf or nothing. */
struct dir_pos {
	struct mblk *node[4];
	unsigned idx[4];
	unsigned depth;		/* of the last node */
	struct mblk *leaf;
};

static struct dir_node_disk *
dnode(struct mblk *b)
{
	return (struct dir_node_disk *)b->data;
}

static struct dir_leaf_disk *
dleaf(struct mblk *b)
{
	return (struct dir_leaf_disk *)b->data;
}

static void
pos_put(struct dir_pos *p)
{
	for (unsigned i = 0; i < 4; i++)
		mb_put(p->node[i]);
	mb_put(p->leaf);
	*p = (struct dir_pos){ 0 };
}

static int
pos_get(struct inode *ip, uint32_t hash, struct dir_pos *p)
{
	struct ds *ds = ip->fs->ds;
	uint64_t addr = ip->info.dir_root;
	struct mblk *b;
	int r;

	*p = (struct dir_pos){ 0 };
	for (unsigned depth = 0; depth <= 4; depth++) {
		r = mb_read(ds, &ip->grant, addr, 0, &b);
		if (r != 0)
			goto out;
		if (b->type == BLOCK_DIR_LEAF && depth > 0) {
			p->leaf = b;
			if (le16_get(dleaf(b)->used) <= LEAF_MAX &&
			    dleaf(b)->prefix_bits <= 32)
				return 0;
			r = -VMFS_ECORRUPT;
			goto out;
		}
		if (b->type != BLOCK_DIR_NODE || depth > 3) {
			mb_put(b);
			break;
		}
		p->node[depth] = b;
		p->depth = depth;
		p->idx[depth] = hash >> (24 - 8 * depth) & 0xff;
		addr = le64_get(dnode(b)->child[p->idx[depth]]);
		if (addr == 0)
			return 0;
	}
	r = -VMFS_ECORRUPT;
out:
	pos_put(p);
	return r;
}

static int
block_make(struct txn *t, struct inode *ip, enum block_type type,
    struct mblk **ret_b)
{
	uint64_t addr;
	int r;

	r = alloc_meta(t, ip->ino, type, &addr);
	if (r != 0)
		return r;
	r = mb_new(t, &ip->grant, addr, type, ret_b);
	if (r != 0 && free_meta(t, addr) == 0)
		mb_freed(t, addr);
	return r;
}

static void
all_dirty(struct txn *t, struct mblk *b)
{
	mb_dirty(t, b, sizeof(struct block_hdr_disk), BLOCK_PAYLOAD);
}

/* Children [first, last] of the node become addr. */
static void
children_set(struct txn *t, struct mblk *node, unsigned first, unsigned last,
    uint64_t addr)
{
	struct dir_node_disk *d = dnode(node);

	for (unsigned i = first; i <= last; i++)
		d->child[i] = le64(addr);
	mb_dirty(t, node, offsetof(struct dir_node_disk, child) + 8 * first,
	    8 * (last - first + 1));
}

/* Children of the node at `depth` that a leaf of this prefix serves. */
static void
children_of(const struct dir_leaf_disk *l, unsigned depth, unsigned *first,
    unsigned *last)
{
	unsigned bits = l->prefix_bits > 8 * depth ?
	    l->prefix_bits - 8 * depth : 0;

	if (bits > 8)
		bits = 8;
	*first = le32_get(l->prefix) >> (24 - 8 * depth) & 0xff;
	*first &= 0xffu << (8 - bits) & 0xff;
	*last = *first + (1u << (8 - bits)) - 1;
}

/* From the list in the inode to a node with one leaf. */
static int
dir_spill(struct txn *t, struct inode *ip)
{
	struct ds *ds = ip->fs->ds;
	struct mblk *node = NULL, *leaf = NULL, *b = NULL;
	struct inode_disk *d;
	int r;

	r = mb_read(ds, &ip->grant, ip->ino, BLOCK_INODE, &b);
	if (r != 0)
		return r;
	r = block_make(t, ip, BLOCK_DIR_LEAF, &leaf);
	if (r != 0)
		goto out;
	r = block_make(t, ip, BLOCK_DIR_NODE, &node);
	if (r != 0) {
		if (meta_free(t, leaf->addr) != 0)
			r = -EIO;
		goto out;
	}
	d = (struct inode_disk *)b->data;
	memcpy(dleaf(leaf)->data, d->inline_data, ip->info.inline_size);
	dleaf(leaf)->used = le16((uint16_t)ip->info.inline_size);
	all_dirty(t, leaf);
	children_set(t, node, 0, DIR_NODE_FANOUT - 1, leaf->addr);
	all_dirty(t, node);
	memset(d->inline_data, 0, sizeof(d->inline_data));
	mb_dirty(t, b, offsetof(struct inode_disk, inline_data),
	    INODE_INLINE_MAX);
	ip->info.inline_size = 0;
	ip->info.dir_root = node->addr;
	ip->info.flags &= ~(uint32_t)INODE_INLINE;
	r = inode_store(t, ip);
out:
	mb_put(b);
	mb_put(node);
	mb_put(leaf);
	return r;
}

static int
leaf_add(struct txn *t, struct inode *ip, struct dir_pos *p)
{
	struct mblk *leaf;
	unsigned shift = 24 - 8 * p->depth, i = p->idx[p->depth];
	uint32_t prefix;
	int r;

	r = block_make(t, ip, BLOCK_DIR_LEAF, &leaf);
	if (r != 0)
		return r;
	prefix = le32_get(dnode(p->node[p->depth])->prefix) |
	    (uint32_t)i << shift;
	dleaf(leaf)->prefix = le32(prefix);
	dleaf(leaf)->prefix_bits = (uint8_t)(8 * (p->depth + 1));
	all_dirty(t, leaf);
	children_set(t, p->node[p->depth], i, i, leaf->addr);
	mb_put(leaf);
	return 0;
}

/* Entries whose hash has `bit` move to the new leaf. */
static int
leaf_share_out(struct dir_leaf_disk *from, struct dir_leaf_disk *to,
    uint32_t seed, uint32_t bit)
{
	cleanup_free uint8_t *keep = calloc(1, LEAF_MAX);
	size_t pos = 0, kept = 0, moved = 0, used = le16_get(from->used);
	struct dirent e;
	int r;

	if (keep == NULL)
		return -ENOMEM;
	while ((r = dirent_next(from->data, used, &pos, &e)) == 0) {
		size_t n = dirent_size(e.name_len);

		if (dirent_hash(seed, e.name, e.name_len) & bit) {
			dirent_put(to->data, moved, &e);
			moved += n;
		} else {
			dirent_put(keep, kept, &e);
			kept += n;
		}
	}
	if (r != -ENOENT)
		return r;
	memcpy(from->data, keep, LEAF_MAX);
	from->used = le16((uint16_t)kept);
	to->used = le16((uint16_t)moved);
	return 0;
}

static int
leaf_split(struct txn *t, struct inode *ip, struct dir_pos *p)
{
	struct dir_leaf_disk *old = dleaf(p->leaf);
	unsigned bits = old->prefix_bits, first, last;
	uint32_t bit = 0x80000000u >> bits;
	struct mblk *leaf;
	int r;

	r = block_make(t, ip, BLOCK_DIR_LEAF, &leaf);
	if (r != 0)
		return r;
	r = leaf_share_out(old, dleaf(leaf), ip->info.dir_seed, bit);
	if (r != 0) {
		mb_put(leaf);
		return r;
	}
	dleaf(leaf)->prefix = le32(le32_get(old->prefix) | bit);
	dleaf(leaf)->prefix_bits = (uint8_t)(bits + 1);
	old->prefix_bits = (uint8_t)(bits + 1);
	children_of(dleaf(leaf), p->depth, &first, &last);
	all_dirty(t, leaf);
	all_dirty(t, p->leaf);
	children_set(t, p->node[p->depth], first, last, leaf->addr);
	mb_put(leaf);
	return 0;
}

/* The leaf fills one child of its node: a node of its own comes between. */
static int
node_add(struct txn *t, struct inode *ip, struct dir_pos *p)
{
	unsigned i = p->idx[p->depth];
	struct mblk *node;
	int r;

	r = block_make(t, ip, BLOCK_DIR_NODE, &node);
	if (r != 0)
		return r;
	dnode(node)->prefix = dleaf(p->leaf)->prefix;
	dnode(node)->depth = (uint8_t)(p->depth + 1);
	children_set(t, node, 0, DIR_NODE_FANOUT - 1, p->leaf->addr);
	all_dirty(t, node);
	children_set(t, p->node[p->depth], i, i, node->addr);
	mb_put(node);
	return 0;
}

/* All 32 bits are equal: a new leaf behind the first. */
static int
chain_add(struct txn *t, struct inode *ip, struct dir_pos *p)
{
	struct mblk *leaf;
	int r;

	r = block_make(t, ip, BLOCK_DIR_LEAF, &leaf);
	if (r != 0)
		return r;
	dleaf(leaf)->prefix = dleaf(p->leaf)->prefix;
	dleaf(leaf)->prefix_bits = 32;
	dleaf(leaf)->next = dleaf(p->leaf)->next;
	all_dirty(t, leaf);
	dleaf(p->leaf)->next = le64(leaf->addr);
	mb_dirty(t, p->leaf, offsetof(struct dir_leaf_disk, next), 8);
	mb_put(leaf);
	return 0;
}

static int
leaf_put(struct txn *t, struct mblk *leaf, const struct dirent *e)
{
	size_t used = le16_get(dleaf(leaf)->used);
	size_t n = dirent_size(e->name_len);

	if (used + n > LEAF_MAX)
		return -ENOSPC;
	dirent_put(dleaf(leaf)->data, used, e);
	dleaf(leaf)->used = le16((uint16_t)(used + n));
	mb_dirty(t, leaf, offsetof(struct dir_leaf_disk, prefix),
	    offsetof(struct dir_leaf_disk, data) -
	    offsetof(struct dir_leaf_disk, prefix));
	mb_dirty(t, leaf, offsetof(struct dir_leaf_disk, data) + used, n);
	return 0;
}

/* One step: 0 done, -EAGAIN room was made, look again. */
static int
insert_step(struct txn *t, struct inode *ip, struct dir_pos *p,
    const struct dirent *e)
{
	struct mblk *chain;
	int r;

	if (p->leaf == NULL) {
		r = leaf_add(t, ip, p);
		return r != 0 ? r : -EAGAIN;
	}
	if (leaf_put(t, p->leaf, e) == 0)
		return 0;
	if (dleaf(p->leaf)->prefix_bits < 8 * (p->depth + 1)) {
		r = leaf_split(t, ip, p);
	} else if (p->depth < 3) {
		r = node_add(t, ip, p);
	} else {
		uint64_t next = le64_get(dleaf(p->leaf)->next);

		if (next != 0) {
			r = mb_read(ip->fs->ds, &ip->grant, next,
			    BLOCK_DIR_LEAF, &chain);
			if (r != 0)
				return r;
			r = leaf_put(t, chain, e);
			mb_put(chain);
			if (r == 0)
				return 0;
		}
		r = chain_add(t, ip, p);
	}
	return r != 0 ? r : -EAGAIN;
}

static int
insert_inline(struct txn *t, struct inode *ip, const struct dirent *e)
{
	size_t used = ip->info.inline_size, n = dirent_size(e->name_len);
	struct inode_disk *d;
	struct mblk *b;
	int r;

	r = mb_read(ip->fs->ds, &ip->grant, ip->ino, BLOCK_INODE, &b);
	if (r != 0)
		return r;
	d = (struct inode_disk *)b->data;
	dirent_put(d->inline_data, used, e);
	ip->info.inline_size = (unsigned)(used + n);
	mb_dirty(t, b, offsetof(struct inode_disk, inline_data) + used, n);
	mb_put(b);
	return 0;
}

int
dir_insert(struct txn *t, struct inode *ip, const struct dirent *e)
{
	uint32_t hash = dirent_hash(ip->info.dir_seed, e->name, e->name_len);
	struct dir_pos p;
	int r;

	if (ip->info.dir_root == 0) {
		if (ip->info.inline_size + dirent_size(e->name_len) <=
		    INODE_INLINE_MAX) {
			r = insert_inline(t, ip, e);
			goto out;
		}
		r = dir_spill(t, ip);
		if (r != 0)
			return r;
	}
	do {
		r = pos_get(ip, hash, &p);
		if (r != 0)
			return r;
		r = insert_step(t, ip, &p, e);
		pos_put(&p);
	} while (r == -EAGAIN);
out:
	if (r == 0)
		ip->info.dir_entries++;
	return r;
}

/* Position and size of the named entry in a list. */
static int
list_seek(const uint8_t *data, size_t used, const char *name, size_t *ret_at,
    size_t *ret_size)
{
	size_t pos = 0, at = 0, len = strlen(name);
	struct dirent e;
	int r;

	while ((r = dirent_next(data, used, &pos, &e)) == 0) {
		if (e.name_len == len && memcmp(e.name, name, len) == 0) {
			*ret_at = at;
			*ret_size = pos - at;
			return 0;
		}
		at = pos;
	}
	return r;
}

/* Bytes of the list behind it, which the caller marks dirty. */
static void
list_cut(uint8_t *data, size_t used, size_t at, size_t size)
{
	memmove(data + at, data + at + size, used - at - size);
	memset(data + used - size, 0, size);
}

/* Where the entry is: the leaf (or inode block) and its place there. */
struct dir_slot {
	struct dir_pos pos;
	struct mblk *b;		/* holds it; borrowed from pos, or `own` */
	struct mblk *own;	/* inode block or chained leaf */
	struct mblk *before;	/* leaf that chains to b */
	struct mblk *after;	/* b is the head of a chain: what takes its
				 * place when it becomes empty */
	uint8_t *data;
	size_t used, at, size;
};

static void
slot_put(struct dir_slot *s)
{
	pos_put(&s->pos);
	mb_put(s->own);
	if (s->before != NULL)
		mb_put(s->before);
	mb_put(s->after);
	*s = (struct dir_slot){ 0 };
}

static int
slot_get_after(struct inode *ip, struct dir_slot *s)
{
	uint64_t next = s->b == s->pos.leaf ? le64_get(dleaf(s->b)->next) : 0;

	return next == 0 ? 0 : mb_read(ip->fs->ds, &ip->grant, next,
	    BLOCK_DIR_LEAF, &s->after);
}

static int
slot_get_leaf(struct inode *ip, const char *name, struct dir_slot *s)
{
	uint32_t hash = dirent_hash(ip->info.dir_seed, name, strlen(name));
	struct dir_chain chain = { 0 };
	struct mblk *next;
	uint64_t addr;
	int r;

	r = pos_get(ip, hash, &s->pos);
	if (r != 0)
		return r;
	s->b = s->pos.leaf;
	for (;;) {
		if (s->b == NULL)
			return -ENOENT;
		s->data = dleaf(s->b)->data;
		s->used = le16_get(dleaf(s->b)->used);
		if (s->used > LEAF_MAX)
			return -VMFS_ECORRUPT;
		r = list_seek(s->data, s->used, name, &s->at, &s->size);
		if (r != -ENOENT)
			return r == 0 ? slot_get_after(ip, s) : r;
		addr = le64_get(dleaf(s->b)->next);
		if (addr == 0)
			return -ENOENT;
		if (dir_chain_closed(&chain, addr))
			return -VMFS_ECORRUPT;
		r = mb_read(ip->fs->ds, &ip->grant, addr, BLOCK_DIR_LEAF,
		    &next);
		if (r != 0)
			return r;
		mb_put(s->before == s->pos.leaf ? NULL : s->before);
		s->before = s->b;
		s->own = next;
		s->b = next;
	}
}

static int
slot_get(struct inode *ip, const char *name, struct dir_slot *s)
{
	int r;

	*s = (struct dir_slot){ 0 };
	if (ip->info.dir_root != 0) {
		r = slot_get_leaf(ip, name, s);
	} else {
		r = mb_read(ip->fs->ds, &ip->grant, ip->ino, BLOCK_INODE,
		    &s->own);
		if (r != 0)
			return r;
		s->b = s->own;
		s->data = ((struct inode_disk *)s->b->data)->inline_data;
		s->used = ip->info.inline_size;
		r = list_seek(s->data, s->used, name, &s->at, &s->size);
	}
	/* The leaf of the position is put with it. */
	if (s->before == s->pos.leaf)
		s->before = NULL;
	if (r != 0)
		slot_put(s);
	return r;
}

/* The leaf of p is empty: it and the nodes it leaves empty go. */
static void
leaf_remove(struct txn *t, struct inode *ip, struct dir_pos *p)
{
	uint64_t addr = p->leaf->addr;
	unsigned first, last;

	children_of(dleaf(p->leaf), p->depth, &first, &last);
	children_set(t, p->node[p->depth], first, last, 0);
	meta_lose(ip->fs, t, addr);
	for (unsigned depth = p->depth; ; depth--) {
		struct mblk *b = p->node[depth];

		for (unsigned i = 0; i < DIR_NODE_FANOUT; i++)
			if (le64_get(dnode(b)->child[i]) != 0)
				return;
		if (depth == 0)
			ip->info.dir_root = 0;
		else
			children_set(t, p->node[depth - 1], p->idx[depth - 1],
			    p->idx[depth - 1], 0);
		meta_lose(ip->fs, t, b->addr);
		if (depth == 0)
			return;
	}
}

/* An empty leaf with neighbours in its chain. */
static void
chain_remove(struct txn *t, struct inode *ip, struct dir_slot *s)
{
	struct mblk *head = s->pos.leaf;
	uint64_t next = le64_get(dleaf(s->b)->next);

	if (s->b != head) {
		struct mblk *before = s->before != NULL ? s->before : head;

		dleaf(before)->next = le64(next);
		mb_dirty(t, before, offsetof(struct dir_leaf_disk, next), 8);
		meta_lose(ip->fs, t, s->b->addr);
		return;
	}
	memcpy(head->data + sizeof(struct block_hdr_disk),
	    s->after->data + sizeof(struct block_hdr_disk), BLOCK_PAYLOAD);
	all_dirty(t, head);
	meta_lose(ip->fs, t, next);
}

int
dir_hold(struct inode *ip, const char *name, struct dir_slot **ret_s)
{
	struct dir_slot *s = calloc(1, sizeof(*s));
	int r = s != NULL ? slot_get(ip, name, s) : -ENOMEM;

	if (r != 0)
		free(s);
	else
		*ret_s = s;
	return r;
}

void
dir_let_go(struct dir_slot *s)
{
	if (s != NULL)
		slot_put(s);
	free(s);
}

int
dir_remove(struct txn *t, struct inode *ip, const char *name)
{
	struct dir_slot s;
	int r;

	r = slot_get(ip, name, &s);
	if (r != 0)
		return r;
	list_cut(s.data, s.used, s.at, s.size);
	ip->info.dir_entries--;
	if (ip->info.dir_root == 0) {
		ip->info.inline_size -= (unsigned)s.size;
		mb_dirty(t, s.b, (size_t)(s.data - s.b->data) + s.at,
		    s.used - s.at);
	} else {
		dleaf(s.b)->used = le16((uint16_t)(s.used - s.size));
		all_dirty(t, s.b);
		if (s.used == s.size && s.b == s.pos.leaf && s.after == NULL)
			leaf_remove(t, ip, &s.pos);
		else if (s.used == s.size)
			chain_remove(t, ip, &s);
	}
	slot_put(&s);
	return 0;
}

int
dir_replace(struct txn *t, struct inode *ip, const char *name,
    const struct dirent *e)
{
	struct dir_slot s;
	struct dirent n = *e;
	int r;

	r = slot_get(ip, name, &s);
	if (r != 0)
		return r;
	n.name = name;
	n.name_len = strlen(name);
	dirent_put(s.data, s.at, &n);
	mb_dirty(t, s.b, (size_t)(s.data - s.b->data) + s.at, s.size);
	slot_put(&s);
	return 0;
}
