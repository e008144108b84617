/* SPDX-License-Identifier: BSD-2-Clause */
/* Files that are opened and closed. */
#include <stdlib.h>

#include "libvmfs/core/fs_impl.h"

#define OPEN_TRIES 4u

static bool
holds_content(enum inode_type type)
{
	return type == INODE_FILE || type == INODE_DISK ||
	    type == INODE_SNAPSHOT;
}

static int
open_check(const struct inode_info *i, uint32_t generation, unsigned flags)
{
	int r = inode_is_meant(i, generation);

	if (r != 0)
		return r;
	if (i->type == INODE_DIR)
		return -EISDIR;
	if (!holds_content(i->type))
		return -EINVAL;
	if (i->type == INODE_SNAPSHOT && (flags & FS_WRITE))
		return -EROFS;
	if ((i->flags & INODE_DELETING) && i->type == INODE_SNAPSHOT)
		return -ENOENT;
	return 0;
}

/* Exclusive for a writer unless the disk has many, shared for a snapshot's
 * reader and who asks for it, else none. */
static enum lock_mode
open_mode(const struct inode *ip, const struct inode_info *i, unsigned flags)
{
	if (flags & FS_WRITE)
		return i->flags & INODE_MULTI_WRITER ? LOCK_MULTI_WRITER :
		    LOCK_EXCLUSIVE;
	return (i->type == INODE_SNAPSHOT || (flags & FS_SHARED)) &&
	    !ds_readonly(ip->fs->ds) ? LOCK_SHARED : LOCK_FREE;
}

/* -EAGAIN: how the disk is shared was changed before we had the lock. */
static int
open_sharing(const struct inode *ip, enum lock_mode mode)
{
	bool multi = (ip->info.flags & INODE_MULTI_WRITER) != 0;

	if (mode == LOCK_SHARED)
		return 0;
	if (multi != (mode == LOCK_MULTI_WRITER))
		return -EAGAIN;
	/* What snapshots have is not to be written in place. */
	return multi && ip->info.snapshots > 0 ? -EBUSY : 0;
}

static int
open_lock(struct inode *ip, const struct inode_info *i, unsigned flags,
    enum lock_mode *ret_mode, struct lock_holder *holder)
{
	enum lock_mode mode = open_mode(ip, i, flags);
	int r;

	if (mode != LOCK_FREE) {
		r = inode_hold(ip, mode, false, holder);
		if (r != 0)
			return r;
	}
	*ret_mode = mode;
	return 0;
}

static int
meter_open(struct inode *ip, const struct inode_info *i)
{
	if (ip->meter == NULL)
		ip->meter = meter_new(ip->fs->pacer);
	if (ip->meter == NULL)
		return -ENOMEM;
	meter_limit(ip->meter, &i->limits);
	return 0;
}

/* Last of all: whoever comes next must find us. */
static int
open_beside(struct inode *ip, unsigned flags, struct lock_holder *holder)
{
	unsigned other = flags & FS_BY_ANY ? FS_BY_ANY & ~flags : 0, by = 0;
	int r;

	list_for_each(node, tmp, &ip->fs->files) {
		const struct fs_file *f = list_entry(node, struct fs_file,
		    node);

		if (f->ip == ip)
			by |= f->flags & other;
	}
	if (by == 0)
		return 0;
	r = multi_refuse(ip, holder);
	if (holder != NULL)
		holder->by = by;
	return r;
}

static int
open_once(struct fs *fs, uint64_t ino, uint32_t generation, unsigned flags,
    struct fs_file **ret_f, struct lock_holder *ret_holder)
{
	enum lock_mode mode = LOCK_FREE;
	struct fs_file *f = NULL;
	struct inode_info info;
	struct inode *ip;
	int r;

	if (flags & FS_WRITE) {
		r = fs_writable(fs);
		if (r != 0)
			return r;
	}
	r = inode_ref(fs, ino, &ip);
	if (r != 0)
		return r;
	f = calloc(1, sizeof(*f));
	r = f == NULL ? -ENOMEM : inode_peek(ip, &info);
	if (r == 0)
		r = open_check(&info, generation, flags);
	if (r == 0 && info.nlink == 0 && ip->opens == 0 && !ip->unlinked)
		r = -ESTALE;	/* on its way out */
	if (r == 0)
		r = open_lock(ip, &info, flags, &mode, ret_holder);
	if (r == 0 && mode != LOCK_FREE)
		r = open_check(&ip->info, generation, flags);
	if (r == 0 && mode != LOCK_FREE)
		r = open_sharing(ip, mode);
	if (r == 0 && mode != LOCK_FREE)
		info = ip->info;
	if (r == 0)
		r = cipher_open(ip, &info);
	if (r == 0)
		r = meter_open(ip, &info);
	if (r == 0 && mode == LOCK_EXCLUSIVE)
		r = open_beside(ip, flags, ret_holder);
	if (r != 0) {
		if (mode != LOCK_FREE)
			r = inode_give(ip, mode, r);
		else
			inode_unref(ip);
		free(f);
		return r;
	}
	*f = (struct fs_file){ .fs = fs, .ip = ip, .flags = flags,
		.mode = mode, .generation = info.generation };
	ip->opens++;
	list_add_tail(&fs->files, &f->node);
	if ((flags & FS_WRITE) && (flags & FS_TRUNC)) {
		r = fs_file_truncate(f, 0);
		if (r != 0) {
			int e = fs_file_close(f);

			return e == -VMFS_EFENCED ? e : r;
		}
	}
	*ret_f = f;
	return 0;
}

int
fs_file_open(struct fs *fs, uint64_t ino, uint32_t generation, unsigned flags,
    struct fs_file **ret_f, struct lock_holder *ret_holder)
{
	int r = -EAGAIN;

	for (unsigned i = 0; i < OPEN_TRIES && r == -EAGAIN; i++)
		r = open_once(fs, ino, generation, flags, ret_f, ret_holder);
	return r == -EAGAIN ? -EBUSY : r;
}

/* Its last close goes on, as that of one unlinked a moment ago. */
static int
keep_unlinked(struct fs *fs, uint64_t ino, uint32_t generation)
{
	struct inode *ip;
	int r;

	r = inode_take(fs, ino, LOCK_EXCLUSIVE, false, &ip, NULL);
	if (r != 0)
		return r;
	if (generation != ip->info.generation || ip->info.nlink != 0)
		r = -ESTALE;
	if (r != 0 || ip->unlinked)
		return inode_give(ip, LOCK_EXCLUSIVE, r);
	ip->unlinked = true;
	return 0;
}

int
fs_file_reopen(struct fs *fs, uint64_t ino, uint32_t generation,
    unsigned flags, struct fs_file **ret_f)
{
	struct inode_info info;
	struct inode *ip;
	int r;

	r = inode_ref(fs, ino, &ip);
	if (r != 0)
		return r;
	r = inode_peek(ip, &info);
	inode_unref(ip);
	/* Nobody else may see it. */
	if (r == -ESTALE)
		r = keep_unlinked(fs, ino, generation);
	return r != 0 ? r : fs_file_open(fs, ino, generation,
	    flags & ~(unsigned)FS_TRUNC, ret_f, NULL);
}

bool
fs_is_written(struct fs *fs, uint64_t ino)
{
	list_for_each(node, tmp, &fs->files) {
		const struct fs_file *f = list_entry(node, struct fs_file,
		    node);

		if (f->ip->ino == ino && (f->flags & FS_WRITE) != 0)
			return true;
	}
	return false;
}

int
fs_file_close(struct fs_file *f)
{
	struct inode *ip = f->ip;
	enum lock_mode mode = f->mode;
	int r = 0;

	/* Also those that its user may have forgotten. */
	fast_pause(ip);
	fast_resume(ip);
	list_del(&f->node);
	free(f);
	if (mode == LOCK_EXCLUSIVE && !ip->unlinked) {
		r = file_store_times(ip);
		/* Else it is given back at the next close. */
		if (r == 0 && ip->ex == 1)
			(void)!quota_settle(ip, true);
	} else if (mode == LOCK_MULTI_WRITER)
		r = multi_flush(ip);
	ip->opens--;
	if (ip->opens == 0 && ip->unlinked) {
		/* The unlink left its hold for this moment. */
		if (mode != LOCK_FREE)
			r = inode_drop(ip, mode);
		inode_unref(ip);
		return inode_destroy(ip);
	}
	if (mode != LOCK_FREE)
		return inode_give(ip, mode, r);
	inode_unref(ip);
	return r;
}
