/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks that several hosts write at once (L2).  Each block has its place
 * before the first of them comes, and nothing but data changes while they are
 * there: no map, no size, no times.  So there is nothing to replay for a host
 * that dies, and nothing that one host would have to tell the others.
 */
#include <stdlib.h>

#include "libvmfs/core/fs_impl.h"

#define MULTI_SECTOR 512u	/* guests write no less at once */

int
multi_refuse(struct inode *ip, struct lock_holder *ret_holder)
{
	struct lockops *l = ds_locks(ip->fs->ds);
	struct lock_holder h;
	int r = l->vt->query(l, ip->ino, &h);

	if (r != 0)
		return r;
	if (ret_holder != NULL)
		*ret_holder = h;
	return -VMFS_ELOCKED;
}

static int
place_check(const struct inode *ip, uint64_t off, size_t len)
{
	if (off % MULTI_SECTOR != 0 || len % MULTI_SECTOR != 0)
		return -EINVAL;
	return off > ip->info.size || len > ip->info.size - off ? -ENOSPC : 0;
}

/* Sharing was allowed for a whole disk only: otherwise it is damaged. */
static int
whole_check(struct inode *ip, uint64_t off, size_t len)
{
	bool whole = false;
	int r = file_is_whole(ip, off, off + len, &whole);

	if (r != 0 || whole)
		return r;
	log_error(ds_env(ip->fs->ds)->log, "fs: multi-writer disk is not "
	    "fully allocated inode=%llu offset=%llu",
	    (unsigned long long)ip->ino, (unsigned long long)off);
	return -VMFS_ECORRUPT;
}

int
multi_write(struct inode *ip, uint64_t off, const void *buf, size_t len)
{
	int r;

	fiber_rwlock_rdlock(&ip->content);
	r = place_check(ip, off, len);
	if (r == 0)
		r = whole_check(ip, off, len);
	if (r == 0)
		r = file_overwrite(ip, off, buf, len);
	fiber_rwlock_unlock(&ip->content);
	return r;
}

int
multi_caw(struct inode *ip, uint64_t off, const void *expect,
    const void *image, size_t len)
{
	struct disk *lun = ds_disk(ip->fs->ds);
	uint64_t in = off % BLOCK_SIZE;
	struct map_run run;
	int r;

	r = place_check(ip, off, len);
	if (r == 0)
		r = whole_check(ip, off, len);
	if (r != 0)
		return r;
	fiber_rwlock_rdlock(&ip->map);
	r = map_run(ip, true, &ip->info.map, off - in, in + len, &run);
	fiber_rwlock_unlock(&ip->map);
	if (r != 0)
		return r;
	/* Two places cannot be compared at once. */
	if (run.len < in + len || len > lun->info.max_caw)
		return -EOPNOTSUPP;
	return disk_caw(lun, run.block * BLOCK_SIZE + in, expect, image, len);
}

int
multi_flush(struct inode *ip)
{
	return disk_flush(ds_disk(ip->fs->ds));
}

/* ---- who may share ---- */

static int
share_check(struct inode *ip)
{
	struct inode_info *i = &ip->info;
	bool whole = false;
	int r;

	if (i->type != INODE_DISK)
		return -EINVAL;
	if (i->snapshots > 0)
		return -EBUSY;
	if (ds_disk(ip->fs->ds)->info.block_size > MULTI_SECTOR)
		return -EOPNOTSUPP;
	/* Sectors are no units that a host could write alone. */
	if (is_encrypted(i))
		return -EPERM;
	r = file_is_whole(ip, 0, i->size, &whole);
	return r != 0 ? r : whole ? 0 : -ENODATA;
}

static int
share_store(struct inode *ip, bool on)
{
	struct txn *t;
	int r;

	r = txn_begin(ip->fs->ds, 1, &t);
	if (r != 0)
		return r;
	ip->info.flags &= ~(uint32_t)INODE_MULTI_WRITER;
	if (on)
		ip->info.flags |= INODE_MULTI_WRITER;
	ip->info.ctime_ns = fs_now_ns(ip->fs);
	r = inode_store(t, ip);
	txn_end(t);
	return r;
}

int
fs_set_multi_writer(struct fs *fs, uint64_t ino, bool on,
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
	if (opens_bar(ip) != 0) {
		/* A writer here has the exclusive lock, as we do. */
		r = multi_refuse(ip, ret_holder);
		return inode_give(ip, LOCK_EXCLUSIVE, r);
	}
	content_lock(ip);
	if (on)
		r = share_check(ip);
	if (r == 0)
		r = share_store(ip, on);
	content_unlock(ip);
	opens_unbar(ip);
	return inode_give(ip, LOCK_EXCLUSIVE, r);
}

/* ---- a place for every block ---- */

int
fs_file_inflate(struct fs_file *f, const struct fs_progress *p)
{
	const uint64_t step = (uint64_t)1 << MAP_L1_SHIFT;
	cleanup_free void *buf = disk_buf_alloc(step);
	struct inode *ip = f->ip;
	uint64_t off = 0, n;
	int r = file_may_write(f);

	if (r == 0 && buf == NULL)
		r = -ENOMEM;
	if (f->mode == LOCK_MULTI_WRITER || ip->info.type != INODE_DISK)
		return r != 0 || ip->info.type == INODE_DISK ? r : -EINVAL;
	for (; r == 0 && off < ip->info.size; off += n) {
		bool whole = false;

		if (!progress_step(p, off, ip->info.size))
			return -ECANCELED;
		content_lock(ip);
		/* To the end of the last block, where nobody can write. */
		n = ip->info.size - off < step ? ip->info.size - off : step;
		r = file_is_whole(ip, off, off + n, &whole);
		if (r == 0 && !whole) {
			r = file_read_at(ip, true, &ip->info, off, buf, n);
			if (r == 0)
				r = file_write_at(ip, off, buf, n);
		}
		content_unlock(ip);
	}
	return r;
}
