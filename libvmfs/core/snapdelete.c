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
	/* Begun before. */
	if (r == 0 && le32_get(e.flags) & SNAPTAB_DELETING)
		return 0;
	if (r == 0)
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
	if (r != 0)
		return r;
	map_lock(ip, 0, 0);
	kin_changed(ip);
	if (kin_find(ip, sp->ino) != NULL)
		kin_find(ip, sp->ino)->flags |= SNAPTAB_DELETING;
	map_unlock(ip);
	return 0;
}

/*
 * Those that grew from it grow from its parent.  In steps, because the table
 * may be long; until the last one they stand behind one that is being deleted.
 */
static int
snapshot_orphans(struct inode *ip, uint64_t ino)
{
	struct kin *self = kin_find(ip, ino);
	uint64_t parent = self != NULL ? self->parent : 0;
	int r;

	r = snaptab_reparent(ip, ino, parent);
	if (r != 0)
		return r;
	map_lock(ip, 0, 0);
	kin_changed(ip);
	for (unsigned i = 0; i < ip->n_kin; i++)
		if (ip->kin[i].parent == ino && !ip->kin[i].origin)
			ip->kin[i].parent = parent;
	map_unlock(ip);
	return 0;
}

static int
snapshot_hold(struct inode *ip, uint64_t ino, struct inode **ret_sp,
    struct lock_holder *ret_holder)
{
	struct inode *sp;
	int r;

	r = kin_load(ip);
	if (r == 0)
		r = inode_take(ip->fs, ino, LOCK_EXCLUSIVE, false, &sp,
		    ret_holder);
	if (r != 0)
		return r;
	if (sp->info.type != INODE_SNAPSHOT || sp->info.disk != ip->ino)
		r = -VMFS_ECORRUPT;
	else
		r = sp->info.clones > 0 ? -EBUSY : opens_bar(sp);
	if (r == 0) {
		/* Marked, it refuses who opens it. */
		r = snapshot_mark(ip, sp);
		opens_unbar(sp);
	}
	if (r != 0)
		return inode_give(sp, LOCK_EXCLUSIVE, r);
	*ret_sp = sp;
	return 0;
}

int
snapshot_free(struct inode *ip, uint64_t ino, struct lock_holder *ret_holder)
{
	struct cut cut = { .ip = ip, .ino = ino };
	struct inode *sp;
	uint64_t bytes;
	int r;

	r = snapshot_hold(ip, ino, &sp, ret_holder);
	if (r != 0)
		return r;
	r = map_prune(ip, ino, &sp->info.map, sp, &bytes);
	if (r == 0)
		r = snapshot_orphans(ip, ino);
	if (r != 0)
		return inode_give(sp, LOCK_EXCLUSIVE, r);
	/* The head must not look into the table while an entry goes. */
	map_lock(ip, 0, UINT64_MAX);
	r = inode_vanish(sp, cut_entry, &cut);
	map_unlock(ip);
	inode_unref(sp);
	return r;
}

/* Clones of a snapshot, as its inode says without its lock. */
static int
snapshot_clones(struct inode *ip, uint64_t ino, uint32_t *ret_clones)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct inode_info info;
	int r;

	if (buf == NULL)
		return -ENOMEM;
	r = block_read_unlocked(ip->fs->ds, ino, BLOCK_INODE, ino, buf);
	if (r == 0)
		r = inode_decode(buf, &info);
	if (r == 0)
		*ret_clones = info.type == INODE_SNAPSHOT ? info.clones : 0;
	return r;
}

bool
snapshot_idle_copy(struct inode *ip, const struct kin *k)
{
	uint32_t clones;

	return !k->origin && (k->flags & SNAPTAB_COPY) && ip->sharing == 0 &&
	    snapshot_clones(ip, k->ino, &clones) == 0 && clones == 0;
}

/* What somebody reads stays until the next time. */
static int
copies_reap(struct inode *ip)
{
	int r = 0;

	for (unsigned i = 0; i < ip->n_kin && r == 0;) {
		if (!snapshot_idle_copy(ip, &ip->kin[i])) {
			i++;
			continue;
		}
		r = snapshot_free(ip, ip->kin[i].ino, NULL);
		if (r == -EBUSY || r == -VMFS_ELOCKED) {
			r = 0;
			i++;
		}
	}
	return r;
}

int
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
	if (r == 0)
		r = copies_reap(ip);
	if (r != 0)
		log_warn(ds_env(ip->fs->ds)->log, "core: a deleted snapshot "
		    "is not freed yet disk=%llu error=\"%s\"; tried again "
		    "at the next delete or revert",
		    (unsigned long long)ip->ino, vmfs_strerror(r));
	return r;
}

/* -EBUSY when one that a clone needs is among them. */
static int
none_pinned(struct inode *ip)
{
	uint32_t clones = 0;
	int r = 0;

	for (unsigned i = 0; i < ip->n_kin && r == 0; i++) {
		if (ip->kin[i].origin)
			continue;
		r = snapshot_clones(ip, ip->kin[i].ino, &clones);
		if (r == 0 && clones > 0)
			r = -EBUSY;
	}
	return r;
}

static int
thin_locked(struct inode *ip, unsigned keep, const struct fs_progress *p)
{
	unsigned i = 0, all = ip->info.snapshots;
	int r;

	r = kin_load(ip);
	if (r == 0)
		r = none_pinned(ip);
	while (r == 0 && ip->info.snapshots > keep && i < ip->n_kin) {
		if (!progress_step(p, all - ip->info.snapshots, all))
			return -ECANCELED;
		if (ip->kin[i].origin)
			i++;
		else
			r = snapshot_free(ip, ip->kin[i].ino, NULL);
	}
	return r;
}

int
snapshot_thin(struct fs *fs, uint64_t ino, unsigned keep,
    const struct fs_progress *p, struct lock_holder *ret_holder)
{
	struct inode *ip;
	int r;

	r = inode_take(fs, ino, LOCK_EXCLUSIVE, false, &ip, ret_holder);
	if (r != 0)
		return r;
	snaps_lock(ip);
	if (ip->info.snapshots > keep)
		r = thin_locked(ip, keep, p);
	snaps_unlock(ip);
	return inode_give(ip, LOCK_EXCLUSIVE, r);
}

int
fs_snapshot_thin(struct fs *fs, uint64_t ino, const struct fs_progress *p,
    struct lock_holder *ret_holder)
{
	int r = fs_writable(fs);

	return r != 0 ? r : snapshot_thin(fs, ino, VICTIM_SNAPSHOTS, p,
	    ret_holder);
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
	snaps_lock(ip);
	r = snaptab_by_id(ip, id, &sino);
	if (r == 0) {
		r = snapshot_free(ip, sino, ret_holder);
		(void)snapshot_reap(ip);
	}
	snaps_unlock(ip);
	if (r == 0)
		r = quota_settle(ip, ip->opens == 0);
	return inode_give(ip, LOCK_EXCLUSIVE, r);
}

int
fs_snapshot_forget(struct fs *fs, uint64_t ino, uint32_t id,
    struct lock_holder *ret_holder)
{
	struct inode *ip, *sp;
	uint64_t sino;
	int r;

	r = fs_writable(fs);
	if (r == 0)
		r = inode_take(fs, ino, LOCK_EXCLUSIVE, false, &ip,
		    ret_holder);
	if (r != 0)
		return r;
	snaps_lock(ip);
	r = snaptab_by_id(ip, id, &sino);
	if (r == 0)
		r = snapshot_hold(ip, sino, &sp, ret_holder);
	if (r == 0)
		r = inode_give(sp, LOCK_EXCLUSIVE, 0);
	snaps_unlock(ip);
	return inode_give(ip, LOCK_EXCLUSIVE, r);
}

int
fs_snapshot_tidy(struct fs *fs, uint64_t ino)
{
	struct lockops *l = ds_locks(fs->ds);
	struct lock_holder h = { 0 };
	int r = l->vt->query(l, ino, &h);

	/* The heir's host would use the offer up, ours take it back. */
	if (r == 0 && h.from[0] != '\0')
		r = -VMFS_ELOCKED;
	return r != 0 ? r : fs_snapshot_reap(fs, ino, NULL, NULL);
}

int
fs_snapshot_reap(struct fs *fs, uint64_t ino, const struct fs_progress *p,
    struct lock_holder *ret_holder)
{
	struct inode *ip;
	int r;

	r = fs_writable(fs);
	if (r == 0)
		r = inode_take(fs, ino, LOCK_EXCLUSIVE, false, &ip,
		    ret_holder);
	if (r != 0)
		return r;
	snaps_lock(ip);
	ip->progress = p;
	r = snapshot_reap(ip);
	ip->progress = NULL;
	snaps_unlock(ip);
	if (r == 0)
		r = quota_settle(ip, ip->opens == 0);
	return inode_give(ip, LOCK_EXCLUSIVE, r);
}
