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
	free(ip->kin);
	ip->kin = NULL;
	ip->n_kin = 0;
}

struct kin *
kin_find(struct inode *ip, uint64_t ino)
{
	for (unsigned i = 0; i < ip->n_kin; i++)
		if (ip->kin[i].ino == ino && !ip->kin[i].origin)
			return &ip->kin[i];
	return NULL;
}

int
kin_add(struct inode *ip, const struct kin *k)
{
	struct kin *grown;

	grown = realloc(ip->kin, (ip->n_kin + 1) * sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	grown[ip->n_kin++] = *k;
	ip->kin = grown;
	return 0;
}

/* Root of a snapshot; its inode was checkpointed when it was made. */
static int
kin_root(struct inode *ip, uint64_t ino, struct map_root *ret_root)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct inode_info info;
	int r;

	if (buf == NULL)
		return -ENOMEM;
	r = block_read_unlocked(ip->fs->ds, ino, BLOCK_INODE, ino, buf);
	if (r == 0)
		r = inode_decode(buf, &info);
	if (r != 0)
		return r;
	/* A deletion that has freed the tree, but not yet the name. */
	*ret_root = info.type == INODE_SNAPSHOT ? info.map :
	    (struct map_root){ 0 };
	return 0;
}

struct kin_list {
	struct kin *kin;
	unsigned count;
	int error;
};

static int
kin_list_add(struct kin_list *l, const struct kin *k)
{
	struct kin *grown = realloc(l->kin, (l->count + 1) * sizeof(*grown));

	if (grown == NULL)
		return -ENOMEM;
	grown[l->count++] = *k;
	l->kin = grown;
	return 0;
}

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

	l->error = kin_list_add(l, &k);
	return l->error != 0;
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
	if (r == 0 && origin.ino != 0)
		r = kin_list_add(&l, &origin);
	for (unsigned i = 0; i < l.count && r == 0; i++)
		r = kin_root(ip, l.kin[i].ino, &l.kin[i].root);
	/* Two fibers may load: the first one's list is in use. */
	if (r == 0 && ip->kin == NULL) {
		ip->kin = l.kin;
		ip->n_kin = l.count;
	} else {
		free(l.kin);
	}
	return r;
}

int
kin_has_chunk(struct inode *ip, uint64_t off, uint64_t chunk, bool *ret)
{
	struct map_view v;
	int r;

	/* The newest snapshot is last and the likeliest. */
	for (unsigned i = ip->n_kin; i-- > 0;) {
		r = map_view(ip, inode_held(ip), &ip->kin[i].root, off, &v);
		if (r != 0)
			return r;
		if (v.c.own == chunk || v.c.base == chunk) {
			*ret = true;
			return 0;
		}
	}
	*ret = false;
	return 0;
}

int
kin_has_node(struct inode *ip, uint64_t off, unsigned level, uint64_t addr,
    bool *ret)
{
	uint64_t at;
	uint32_t birth;
	int r;

	for (unsigned i = ip->n_kin; i-- > 0;) {
		r = map_node_at(ip, inode_held(ip), &ip->kin[i].root, off, level, &at,
		    &birth);
		if (r != 0)
			return r;
		if (at == addr) {
			*ret = true;
			return 0;
		}
	}
	*ret = false;
	return 0;
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
	return shared ? 0 : free_chunks(t, chunk, 1);
}
