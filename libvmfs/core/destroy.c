/* SPDX-License-Identifier: BSD-2-Clause */
/* The end of inodes: content freed in steps, then the inode's own block. */
#include "libvmfs/core/xattr.h"
#include "libvmfs/format/heartbeat.h"

int
pin_release(struct inode *ip, bool wait, uint64_t *ret_idle)
{
	struct inode *sp;
	struct txn *t;
	int r;

	if ((ip->info.flags & INODE_CLONE) == 0)
		return 0;
	r = inode_take(ip->fs, ip->info.origin_snapshot, LOCK_EXCLUSIVE, wait,
	    &sp, NULL);
	if (r != 0)
		return r;
	r = txn_begin(ip->fs->ds, 2, &t);
	if (r == 0) {
		if (sp->info.clones > 0)
			sp->info.clones--;
		if (sp->info.clones == 0)
			*ret_idle = sp->info.disk;
		ip->info.flags &= ~(uint32_t)INODE_CLONE;
		ip->info.origin_snapshot = 0;
		r = inode_store(t, sp);
		if (r == 0)
			r = inode_store(t, ip);
		txn_end(t);
	}
	kin_forget(ip);
	return inode_give(sp, LOCK_EXCLUSIVE, r);
}

void
pin_released(struct fs *fs, uint64_t idle)
{
	int r = idle != 0 ? fs_snapshot_tidy(fs, idle) : 0;

	if (r != 0)
		log_debug(ds_env(fs->ds)->log, "fs: snapshots of copies are "
		    "left disk=%llu error=\"%s\"; tried again at the next "
		    "mount", (unsigned long long)idle, vmfs_strerror(r));
}

static int
tables_free(struct inode *ip)
{
	int r;

	if (ip->info.snaptab == 0)
		return 0;
	r = snaptab_free(ip);
	kin_forget(ip);
	return r;
}

static int
content_free(struct inode *ip, uint64_t *ret_idle)
{
	uint64_t bytes;
	int r;

	r = kin_load(ip);
	for (unsigned i = 0; i < ip->n_kin && r == 0;) {
		if (ip->kin[i].origin)
			i++;
		else
			r = snapshot_free(ip, ip->kin[i].ino, NULL);
	}
	if (r == 0)
		r = map_prune(ip, 0, &ip->info.map, ip, &bytes);
	if (r == 0)
		r = tables_free(ip);
	return r != 0 ? r : pin_release(ip, true, ret_idle);
}

/*
 * The lock is released before the transaction ends: until then nobody can be
 * given the block, and a lock record must not be written into another's.
 * Until the commit the block on the disk says that it is being deleted.
 */
int
inode_vanish(struct inode *ip, int (*last)(struct txn *t, void *arg),
    void *arg)
{
	struct ds *ds = ip->fs->ds;
	struct lockops *l = ds_locks(ds);
	struct txn *t;
	int r, e;

	r = ds_checkpoint(ds, ip->ino);
	if (r != 0) {
		e = inode_drop(ip, LOCK_EXCLUSIVE);
		return e == -VMFS_EFENCED ? e : r;
	}
	fiber_mutex_lock(&ip->lock);
	inode_unpin(ip);
	mb_forget(ds, ip->ino);
	fast_forget(ip);
	r = txn_begin(ds, 16, &t);
	if (r == 0) {
		r = last(t, arg);
		if (r == 0)
			r = meta_free(t, ip->ino);
		e = l->vt->release(l, &ip->grant);
		r = r != 0 ? r : e;
		txn_end(t);
		ip->grant = (struct lock_grant){ 0 };
		ip->info.type = INODE_FREE;
	}
	ip->ex--;
	node_cache_flush(ip);
	kin_forget(ip);
	fiber_cond_broadcast(&ip->holds_cond);
	fiber_mutex_unlock(&ip->lock);
	return r;
}

static int
orphan_done(struct txn *t, void *arg)
{
	const uint64_t *ino = arg;

	return orphan_remove(t, *ino);
}

int
inode_destroy(struct inode *ip)
{
	struct fs *fs = ip->fs;
	uint64_t ino = ip->ino, idle = 0;
	int r = 0;

	snaps_lock(ip);
	content_lock(ip);
	if (ip->info.type == INODE_FILE || ip->info.type == INODE_DISK)
		r = content_free(ip, &idle);
	if (r == 0)
		r = xattr_free(ip);
	content_unlock(ip);
	snaps_unlock(ip);
	if (r == 0 && ip->info.type != INODE_QUOTA)
		r = quota_settle(ip, true);
	if (r != 0)
		return inode_give(ip, LOCK_EXCLUSIVE, r);
	r = inode_vanish(ip, orphan_done, &ino);
	inode_unref(ip);
	if (r == 0)
		pin_released(fs, idle);
	return r;
}

static int
orphan_forget(struct fs *fs, uint64_t ino)
{
	struct txn *t;
	int r;

	r = txn_begin(fs->ds, 1, &t);
	if (r != 0)
		return r;
	r = orphan_remove(t, ino);
	txn_end(t);
	return r;
}

static int
orphan_reap(struct fs *fs, uint64_t ino)
{
	struct inode *ip;
	int r;

	r = inode_take(fs, ino, LOCK_EXCLUSIVE, false, &ip, NULL);
	if (r == -ESTALE)
		return orphan_forget(fs, ino);
	if (r != 0)
		return r;
	if ((ip->info.flags & INODE_DELETING) == 0 ||
	    ip->info.type == INODE_SNAPSHOT) {
		r = orphan_forget(fs, ino);
		return inode_give(ip, LOCK_EXCLUSIVE, r);
	}
	return inode_destroy(ip);
}

int
fs_reap_orphans(struct fs *fs, bool (*is_open)(void *arg, uint64_t ino),
    void *arg)
{
	uint64_t inos[SLOT_ORPHANS_MAX];
	struct log *log = ds_env(fs->ds)->log;
	unsigned n;
	int r;

	n = orphan_list(fs->ds, inos, SLOT_ORPHANS_MAX);
	for (unsigned i = 0; i < n; i++) {
		if (is_open != NULL && is_open(arg, inos[i]))
			continue;
		r = orphan_reap(fs, inos[i]);
		if (r == -VMFS_EFENCED || r == -VMFS_EGONE)
			return r;
		if (r != 0)
			log_info(log, "fs: deletion put off inode=%llu "
			    "error=%s", (unsigned long long)inos[i],
			    vmfs_strerror(r));
	}
	return 0;
}
