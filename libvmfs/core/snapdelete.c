/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deleting a snapshot: it is marked first, its space freed step by step, then
 * its table entry and its inode go in one transaction.  Whoever holds the disk
 * exclusively next finishes what a crash cut short.
 */
#include "libvmfs/core/fs_impl.h"

#define SNAP_BLOCKS 12u

/*
 * Space with a birth above the newest remaining snapshot's epoch is in none of
 * them: every snapshot holds births up to its own epoch only.
 */
static void
epoch_lower(struct inode *ip)
{
	uint32_t newest = ip->info.origin_epoch;

	for (unsigned i = 0; i < ip->n_kin; i++)
		if (!ip->kin[i].origin && ip->kin[i].epoch > newest)
			newest = ip->kin[i].epoch;
	if (newest < ip->info.snap_epoch)
		ip->info.snap_epoch = newest;
}

static void
kin_remove(struct inode *ip, uint64_t ino)
{
	struct kin *k = kin_find(ip, ino);

	if (k == NULL)
		return;
	*k = ip->kin[--ip->n_kin];
}

struct cut {
	struct inode *ip;
	uint64_t ino;
};

static int
cut_entry(struct txn *t, void *arg)
{
	struct cut *c = arg;
	int r;

	r = snaptab_cut(t, c->ip, c->ino);
	if (r != 0)
		return r;
	c->ip->info.snapshots--;
	kin_remove(c->ip, c->ino);
	epoch_lower(c->ip);
	return inode_store(t, c->ip);
}

static int
snapshot_mark(struct inode *ip, struct inode *sp)
{
	struct snaptab_entry_disk e;
	struct txn *t;
	int r;

	r = snaptab_get(ip, sp->ino, &e);
	if (r != 0)
		return r;
	r = txn_begin(ip->fs->ds, 4, &t);
	if (r != 0)
		return r;
	e.flags = le32(le32_get(e.flags) | SNAPTAB_DELETING);
	r = snaptab_put(t, ip, sp->ino, &e);
	if (r == 0) {
		sp->info.flags |= INODE_DELETING;
		r = inode_store(t, sp);
	}
	txn_end(t);
	if (r == 0 && kin_find(ip, sp->ino) != NULL)
		kin_find(ip, sp->ino)->flags |= SNAPTAB_DELETING;
	return r;
}

int
snapshot_free(struct inode *ip, uint64_t ino, struct lock_holder *ret_holder)
{
	struct cut cut = { .ip = ip, .ino = ino };
	struct inode *sp;
	uint64_t bytes;
	int r;

	r = kin_load(ip);
	if (r == 0)
		r = inode_take(ip->fs, ino, LOCK_EXCLUSIVE, false, &sp,
		    ret_holder);
	if (r != 0)
		return r;
	if (sp->info.type != INODE_SNAPSHOT || sp->info.disk != ip->ino)
		r = -VMFS_ECORRUPT;
	else if (sp->info.clones > 0 || sp->opens > 0)
		r = -EBUSY;
	if (r == 0)
		r = snapshot_mark(ip, sp);
	if (r == 0)
		r = map_prune(ip, ino, &sp->info.map, sp, &bytes);
	if (r != 0)
		return inode_give(sp, LOCK_EXCLUSIVE, r);
	/* The head must not look into the table while an entry goes. */
	fiber_rwlock_wrlock(&ip->map);
	r = inode_vanish(sp, cut_entry, &cut);
	fiber_rwlock_unlock(&ip->map);
	inode_unref(sp);
	return r;
}

void
snapshot_reap(struct inode *ip)
{
	int r;

	r = kin_load(ip);
	for (unsigned i = 0; i < ip->n_kin && r == 0;) {
		uint64_t ino = ip->kin[i].ino;

		if (ip->kin[i].origin ||
		    (ip->kin[i].flags & SNAPTAB_DELETING) == 0) {
			i++;
			continue;
		}
		r = snapshot_free(ip, ino, NULL);
	}
	if (r != 0)
		log_warn(ds_env(ip->fs->ds)->log, "core: a deleted snapshot "
		    "is not freed yet disk=%llu error=\"%s\"; tried again "
		    "at the next delete or revert",
		    (unsigned long long)ip->ino, vmfs_strerror(r));
}

int
fs_snapshot_delete(struct fs *fs, uint64_t ino, uint32_t id,
    struct lock_holder *ret_holder)
{
	struct inode *ip;
	uint64_t sino;
	int r;

	r = fs_writable(fs);
	if (r == 0)
		r = inode_take(fs, ino, LOCK_EXCLUSIVE, false, &ip,
		    ret_holder);
	if (r != 0)
		return r;
	fiber_mutex_lock(&ip->snaps);
	r = snaptab_by_id(ip, id, &sino);
	if (r == 0) {
		snapshot_reap(ip);
		r = snapshot_free(ip, sino, ret_holder);
	}
	fiber_mutex_unlock(&ip->snaps);
	return inode_give(ip, LOCK_EXCLUSIVE, r);
}
