/* SPDX-License-Identifier: BSD-2-Clause */
/* The snapshot table of a disk: a chain of blocks under the disk's lock. */
#include "libvmfs/core/fs_impl.h"

int
snaptab_each(struct inode *ip, bool (*fn)(void *arg,
    const struct snaptab_entry_disk *e), void *arg)
{
	uint64_t addr = ip->info.snaptab, blocks = 0;
	const struct snaptab_disk *d;
	bool stop = false;
	struct nref n;
	int r;

	while (addr != 0 && !stop) {
		/* Each block was made for a snapshot: more are a circle. */
		if (blocks++ > ip->info.next_snapshot_id)
			return -VMFS_ECORRUPT;
		r = node_get(ip, inode_held(ip), addr, BLOCK_SNAPTAB,
		    UINT32_MAX, &n);
		if (r != 0)
			return r;
		d = (const void *)n.data;
		for (unsigned i = 0; i < SNAPTAB_ENTRIES && !stop; i++)
			if (le64_get(d->entry[i].ino) != 0)
				stop = fn(arg, &d->entry[i]);
		addr = le64_get(d->next);
		node_put(&n);
	}
	return 0;
}

struct get {
	uint64_t ino;
	struct snaptab_entry_disk e;
	bool found;
};

static bool
get_match(void *arg, const struct snaptab_entry_disk *e)
{
	struct get *g = arg;

	if (le64_get(e->ino) != g->ino)
		return false;
	g->e = *e;
	g->found = true;
	return true;
}

int
snaptab_get(struct inode *ip, uint64_t ino, struct snaptab_entry_disk *ret_e)
{
	struct get g = { .ino = ino };
	int r;

	r = snaptab_each(ip, get_match, &g);
	if (r != 0)
		return r;
	if (!g.found)
		return -ENOENT;
	*ret_e = g.e;
	return 0;
}

struct by_id {
	uint32_t id;
	uint64_t ino;
};

static bool
id_match(void *arg, const struct snaptab_entry_disk *e)
{
	struct by_id *b = arg;

	if (le32_get(e->id) != b->id ||
	    le32_get(e->flags) & SNAPTAB_DELETING)
		return false;
	b->ino = le64_get(e->ino);
	return true;
}

int
snaptab_by_id(struct inode *ip, uint32_t id, uint64_t *ret_ino)
{
	struct by_id b = { .id = id };
	int r;

	if (ip->info.type != INODE_DISK && ip->info.type != INODE_FILE)
		return -EINVAL;
	r = snaptab_each(ip, id_match, &b);
	if (r == 0 && b.ino == 0)
		r = -ENOENT;
	if (r == 0)
		*ret_ino = b.ino;
	return r;
}

static struct snaptab_disk *
tab(struct mblk *b)
{
	return (struct snaptab_disk *)b->data;
}

static void
entry_write(struct txn *t, struct mblk *b, unsigned i,
    const struct snaptab_entry_disk *e)
{
	struct snaptab_disk *d = tab(b);
	unsigned used = 0;

	d->entry[i] = *e;
	for (unsigned k = 0; k < SNAPTAB_ENTRIES; k++)
		used += le64_get(d->entry[k].ino) != 0;
	d->used = le32(used);
	mb_dirty(t, b, offsetof(struct snaptab_disk, next), 64);
	mb_dirty(t, b, offsetof(struct snaptab_disk, entry) + i * sizeof(*e),
	    sizeof(*e));
}

/* A new block in front of the chain. */
static int
tab_add(struct txn *t, struct inode *ip, struct mblk **ret_b)
{
	uint64_t addr;
	int r;

	r = alloc_meta(t, ip->ino, BLOCK_SNAPTAB, &addr);
	if (r != 0)
		return r;
	r = mb_new(t, &ip->grant, addr, BLOCK_SNAPTAB, ret_b);
	if (r != 0) {
		int e = meta_free(t, addr);

		return e != 0 ? e : r;
	}
	tab(*ret_b)->next = le64(ip->info.snaptab);
	mb_dirty(t, *ret_b, offsetof(struct snaptab_disk, next), 8);
	ip->info.snaptab = addr;
	return inode_store(t, ip);
}

int
snaptab_put(struct txn *t, struct inode *ip, uint64_t ino,
    const struct snaptab_entry_disk *e)
{
	uint64_t addr = ip->info.snaptab;
	struct mblk *b;
	int r;

	while (addr != 0) {
		r = mb_read(ip->fs->ds, &ip->grant, addr, BLOCK_SNAPTAB, &b);
		if (r != 0)
			return r;
		for (unsigned i = 0; i < SNAPTAB_ENTRIES; i++) {
			if (le64_get(tab(b)->entry[i].ino) != ino)
				continue;
			entry_write(t, b, i, e);
			mb_put(b);
			return 0;
		}
		addr = le64_get(tab(b)->next);
		mb_put(b);
	}
	if (ino != 0)
		return -ENOENT;
	r = tab_add(t, ip, &b);
	if (r != 0)
		return r;
	entry_write(t, b, 0, e);
	mb_put(b);
	return 0;
}

static bool
has_child(const struct mblk *b, uint64_t parent)
{
	const struct snaptab_disk *d = (const void *)b->data;

	for (unsigned i = 0; i < SNAPTAB_ENTRIES; i++)
		if (le64_get(d->entry[i].ino) != 0 &&
		    le64_get(d->entry[i].parent) == parent)
			return true;
	return false;
}

static int
block_reparent(struct inode *ip, struct mblk *b, uint64_t from, uint64_t to)
{
	struct txn *t;
	int r;

	r = txn_begin(ip->fs->ds, 2, &t);
	if (r != 0)
		return r;
	for (unsigned i = 0; i < SNAPTAB_ENTRIES; i++) {
		struct snaptab_entry_disk e = tab(b)->entry[i];

		if (le64_get(e.ino) == 0 || le64_get(e.parent) != from)
			continue;
		e.parent = le64(to);
		entry_write(t, b, i, &e);
	}
	txn_end(t);
	return 0;
}

int
snaptab_reparent(struct inode *ip, uint64_t from, uint64_t to)
{
	uint64_t addr = ip->info.snaptab;
	struct mblk *b;
	int r = 0;

	while (addr != 0 && r == 0) {
		r = mb_read(ip->fs->ds, &ip->grant, addr, BLOCK_SNAPTAB, &b);
		if (r != 0)
			return r;
		if (has_child(b, from))
			r = block_reparent(ip, b, from, to);
		addr = le64_get(tab(b)->next);
		mb_put(b);
	}
	return r;
}

int
snaptab_cut(struct txn *t, struct inode *ip, uint64_t ino)
{
	static const struct snaptab_entry_disk none;
	struct snaptab_entry_disk e;
	int r;

	r = snaptab_get(ip, ino, &e);
	if (r == 0)
		r = snaptab_put(t, ip, ino, &none);
	if (r == 0 && ip->info.base_snapshot == ino) {
		kin_changed(ip);
		ip->info.base_snapshot = le64_get(e.parent);
	}
	return r;
}

int
snaptab_free(struct inode *ip)
{
	struct mblk *b;
	struct txn *t;
	uint64_t next;
	int r = 0, e;

	while (ip->info.snaptab != 0 && r == 0) {
		r = mb_read(ip->fs->ds, &ip->grant, ip->info.snaptab,
		    BLOCK_SNAPTAB, &b);
		if (r != 0)
			return r;
		next = le64_get(tab(b)->next);
		mb_put(b);
		r = txn_begin(ip->fs->ds, 4, &t);
		if (r != 0)
			return r;
		r = meta_free(t, ip->info.snaptab);
		if (r == 0)
			ip->info.snaptab = next;
		e = inode_store(t, ip);
		r = r != 0 ? r : e;
		txn_end(t);
	}
	return r;
}
