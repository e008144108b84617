/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files that are opened and closed, and what must not be done beside that.  An
 * open waits, for locks, keys and the LUN, so it counts from its beginning; and
 * who has found none keeps those out that come later, until its change is made.
 */
#include <stdlib.h>

#include "libvmfs/core/fs_impl.h"

#define OPEN_TRIES 4u

/* ---- beside an open ---- */

bool
opens_any(const struct inode *ip)
{
	return ip->opens > 0 || ip->opening > 0;
}

int
opens_bar(struct inode *ip)
{
	/* Who still tries to open a snapshot that goes is refused. */
	if (opens_any(ip) && (ip->info.type != INODE_SNAPSHOT ||
	    (ip->info.flags & INODE_DELETING) == 0))
		return -EBUSY;
	ip->barred++;
	return 0;
}

void
opens_unbar(struct inode *ip)
{
	if (--ip->barred == 0)
		fiber_cond_broadcast(&ip->unbarred);
}

void
opens_begin(struct inode *ip)
{
	while (ip->barred > 0)
		fiber_cond_wait(&ip->unbarred);
	ip->opening++;
}

void
opens_end(struct inode *ip)
{
	ip->opening--;
}

/* One less that has it open, or that could not open it. */
static int
open_ends(struct inode *ip, enum lock_mode mode, int r)
{
	int e;

	if (opens_any(ip) || !ip->unlinked) {
		if (mode != LOCK_FREE)
			return inode_give(ip, mode, r);
		inode_unref(ip);
		return r;
	}
	/* The unlink left its hold for this moment.  Nobody comes any more. */
	ip->unlinked = false;
	e = mode != LOCK_FREE ? inode_drop(ip, mode) : 0;
	r = r != 0 ? r : e;
	inode_unref(ip);
	e = inode_destroy(ip);
	return r != 0 ? r : e;
}

/* ---- open ---- */

struct opening {
	struct inode *ip;
	unsigned flags;
	uint32_t generation;		/* 0: any */
	enum lock_mode mode;		/* its hold so far */
	struct inode_info info;
	struct lock_holder *holder;
};

static bool
holds_content(enum inode_type type)
{
	return type == INODE_FILE || type == INODE_DISK ||
	    type == INODE_SNAPSHOT;
}

static int
open_check(const struct opening *o, const struct inode_info *i)
{
	int r = inode_is_meant(i, o->generation);

	if (r != 0)
		return r;
	if (i->type == INODE_DIR)
		return -EISDIR;
	if (!holds_content(i->type))
		return -EINVAL;
	if (i->type == INODE_SNAPSHOT && (o->flags & FS_WRITE))
		return -EROFS;
	if ((i->flags & INODE_DELETING) && i->type == INODE_SNAPSHOT)
		return -ENOENT;
	/* On its way out. */
	return i->nlink == 0 && o->ip->opens == 0 && !o->ip->unlinked ?
	    -ESTALE : 0;
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
	if (!multi || ip->info.snapshots == 0)
		return 0;
	/* What snapshots have is not to be written in place. */
	log_warn(ds_env(ip->fs->ds)->log, "fs: a multi-writer disk with "
	    "snapshots is not opened to write: remove them, or run vmfsctl "
	    "disk set --sharing=none inode=%llu",
	    (unsigned long long)ip->ino);
	return -EBUSY;
}

static int
open_lock(struct opening *o)
{
	struct inode *ip = o->ip;
	enum lock_mode mode = open_mode(ip, &o->info, o->flags);
	int r;

	if (mode == LOCK_FREE)
		return 0;
	r = inode_hold(ip, mode, false, o->holder);
	if (r != 0)
		return r;
	o->mode = mode;
	r = open_check(o, &ip->info);
	if (r == 0)
		r = open_sharing(ip, mode);
	o->info = ip->info;
	return r;
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
open_beside(const struct opening *o)
{
	unsigned other = o->flags & FS_BY_ANY ? FS_BY_ANY & ~o->flags : 0;
	unsigned by = 0;
	int r;

	list_for_each(node, tmp, &o->ip->fs->files) {
		const struct fs_file *f = list_entry(node, struct fs_file,
		    node);

		if (f->ip == o->ip)
			by |= f->flags & other;
	}
	if (by == 0)
		return 0;
	r = multi_refuse(o->ip, o->holder);
	if (o->holder != NULL)
		o->holder->by = by;
	return r;
}

static int
open_ready(struct opening *o)
{
	int r;

	r = inode_peek(o->ip, &o->info);
	if (r == 0)
		r = open_check(o, &o->info);
	if (r == 0)
		r = open_lock(o);
	if (r == 0)
		r = cipher_open(o->ip, &o->info);
	if (r == 0)
		r = meter_open(o->ip, &o->info);
	if (r == 0 && o->mode == LOCK_EXCLUSIVE)
		r = open_beside(o);
	return r;
}

static int
open_once(struct fs *fs, uint64_t ino, uint32_t generation, unsigned flags,
    struct fs_file **ret_f, struct lock_holder *ret_holder)
{
	struct opening o = { .flags = flags, .generation = generation,
		.mode = LOCK_FREE, .holder = ret_holder };
	struct fs_file *f;
	int r, e;

	r = flags & FS_WRITE ? fs_writable(fs) : 0;
	if (r == 0)
		r = inode_ref(fs, ino, &o.ip);
	if (r != 0)
		return r;
	opens_begin(o.ip);
	f = calloc(1, sizeof(*f));
	r = f == NULL ? -ENOMEM : open_ready(&o);
	opens_end(o.ip);
	if (r != 0) {
		free(f);
		return open_ends(o.ip, o.mode, r);
	}
	*f = (struct fs_file){ .fs = fs, .ip = o.ip, .flags = flags,
		.mode = o.mode, .generation = o.info.generation };
	o.ip->opens++;
	list_add_tail(&fs->files, &f->node);
	if ((flags & FS_WRITE) && (flags & FS_TRUNC))
		r = fs_file_truncate(f, 0);
	if (r != 0) {
		e = fs_file_close(f);
		return e == -VMFS_EFENCED ? e : r;
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
	/* Nobody else may see it, unless it is another host's. */
	if (r == -ESTALE && !ds_readonly(fs->ds))
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
	return open_ends(ip, mode, r);
}
