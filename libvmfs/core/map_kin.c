/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The family of a disk: its snapshots, and of a clone the pinned snapshot it
 * came from.  Space is freed when no tree of the family has it at the same
 * offset; there are no reference counts.  The head is held exclusively.
 */
#include <stdlib.h>

#include "libvmfs/core/fs_impl.h"

void
kin_forget(struct inode *ip)
{
	kin_changed(ip);
	free(ip->kin);
	ip->kin = NULL;
	ip->n_kin = 0;
}

struct kin *
kin_find(struct inode *ip, uint64_t ino)
{
	for (unsigned i = ip->n_kin; i-- > 0;)
		if (ip->kin[i].ino == ino && !ip->kin[i].origin)
			return &ip->kin[i];
	return NULL;
}

static int
kin_grow(struct kin **kin, unsigned *n, const struct kin *k)
{
	struct kin *grown = *kin;

	/* A power of two is full. */
	if ((*n & (*n - 1)) == 0)
		grown = reallocarray(*kin, *n == 0 ? 1 : *n * 2,
		    sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	grown[(*n)++] = *k;
	*kin = grown;
	return 0;
}

int
kin_add(struct inode *ip, const struct kin *k)
{
	kin_changed(ip);
	return kin_grow(&ip->kin, &ip->n_kin, k);
}

void
kin_remove(struct inode *ip, uint64_t ino)
{
	struct kin *k = kin_find(ip, ino);

	if (k == NULL)
		return;
	kin_changed(ip);
	/* The order stays: the newest is last. */
	memmove(k, k + 1, (size_t)(ip->kin + ip->n_kin - k - 1) * sizeof(*k));
	ip->n_kin--;
}

struct kin_list {
	struct kin *kin;
	unsigned count;
	int error;
};

static bool
kin_collect(void *arg, const struct snaptab_entry_disk *e)
{
	struct kin_list *l = arg;
	struct kin k = {
		.ino = le64_get(e->ino),
		.parent = le64_get(e->parent),
		.id = le32_get(e->id),
		.epoch = le32_get(e->epoch),
		.flags = le32_get(e->flags),
	};

	l->error = kin_grow(&l->kin, &l->count, &k);
	return l->error != 0;
}

static int
kin_order(const void *a, const void *b)
{
	const struct kin *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

int
kin_load(struct inode *ip)
{
	struct kin origin = {
		.ino = ip->info.origin_snapshot, .origin = true,
	};
	struct kin_list l = { 0 };
	int r = 0;

	if (ip->kin != NULL ||
	    (ip->info.snaptab == 0 && ip->info.origin_snapshot == 0))
		return 0;
	if (ip->info.snaptab != 0)
		r = snaptab_each(ip, kin_collect, &l);
	if (r == 0)
		r = l.error;
	if (r == 0 && l.count > 1)
		qsort(l.kin, l.count, sizeof(*l.kin), kin_order);
	if (r == 0 && origin.ino != 0)
		r = kin_grow(&l.kin, &l.count, &origin);
	/* Two fibers may load: the first one's list is in use. */
	if (r == 0 && ip->kin == NULL) {
		kin_changed(ip);
		ip->kin = l.kin;
		ip->n_kin = l.count;
	} else {
		free(l.kin);
	}
	return r;
}

/* Root of a snapshot; its inode was checkpointed when it was made. */
int
kin_root(struct inode *ip, unsigned i, struct map_root *ret_root)
{
	cleanup_free uint8_t *buf = NULL;
	uint64_t ino = ip->kin[i].ino;
	struct inode_info info;
	int r;

	if (ip->kin[i].loaded) {
		*ret_root = ip->kin[i].root;
		return 0;
	}
	buf = disk_buf_alloc(BLOCK_SIZE);
	if (buf == NULL)
		return -ENOMEM;
	r = block_read_unlocked(ip->fs->ds, ino, BLOCK_INODE, ino, buf);
	if (r == 0)
		r = inode_decode(buf, &info);
	if (r != 0)
		return r;
	/* A deletion that has freed the tree, but not yet the name. */
	if (info.type != INODE_SNAPSHOT)
		info.map = (struct map_root){ 0 };
	/* Another fiber may have been quicker, and changed it since. */
	if (i < ip->n_kin && ip->kin[i].ino == ino && !ip->kin[i].loaded) {
		ip->kin[i].root = info.map;
		ip->kin[i].loaded = true;
	}
	*ret_root = i < ip->n_kin && ip->kin[i].ino == ino ?
	    ip->kin[i].root : info.map;
	return 0;
}

/* ---- who has it as well ---- */

struct has {
	struct inode *ip;
	uint64_t off, what;
	unsigned level;
	bool chunk;
};

static int
tree_has(const struct has *h, const struct map_root *root, bool *ret)
{
	bool locked = inode_held(h->ip);
	struct map_view v;
	uint64_t at;
	uint32_t birth;
	int r;

	if (h->chunk) {
		r = map_view(h->ip, locked, root, h->off, &v);
		if (r == 0)
			*ret = v.c.own == h->what || v.c.base == h->what;
		return r;
	}
	r = map_node_at(h->ip, locked, root, h->off, h->level, &at, &birth);
	if (r == 0)
		*ret = at == h->what;
	return r;
}

/* inode.map is held, so that the family does not change meanwhile. */
static int
kin_has(const struct has *h, bool *ret)
{
	struct inode *ip = h->ip;
	struct map_root root;
	bool has = false;
	int r;

	r = kin_near_head(ip);
	for (unsigned i = 0; r == 0 && !has && i < ip->n_near; i++) {
		r = kin_root(ip, ip->near[i], &root);
		if (r == 0)
			r = tree_has(h, &root, &has);
	}
	if (r == 0)
		*ret = has;
	return r;
}

int
kin_has_chunk(struct inode *ip, uint64_t off, uint64_t chunk, bool *ret)
{
	const struct has h = {
		.ip = ip, .off = off, .what = chunk, .chunk = true,
	};

	return kin_has(&h, ret);
}

int
kin_has_node(struct inode *ip, uint64_t off, unsigned level, uint64_t addr,
    bool *ret)
{
	const struct has h = {
		.ip = ip, .off = off, .what = addr, .level = level,
	};

	return kin_has(&h, ret);
}

int
chunk_drop(struct txn *t, struct inode *ip, uint64_t off, uint64_t chunk,
    uint32_t birth)
{
	bool shared = false;
	int r;

	if (birth == 0 || birth <= ip->info.snap_epoch) {
		r = kin_has_chunk(ip, off, chunk, &shared);
		if (r != 0)
			return r;
	}
	if (shared)
		return 0;
	reads_drain(ip);
	quota_freed(ip, 1);
	return free_chunks(t, chunk, 1);
}
