/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What this host has of the cluster's lock of a file that is open in the mount,
 * and what those who have it open need of it; locks.c tells when they do.
 * On virtual disks the bytes are QEMU's, see byte_locks.c.
 */
#ifndef VMFS_FUSE_CLUSTER_LOCK_H
#define VMFS_FUSE_CLUSTER_LOCK_H

#include "fuse/append.h"
#include "fuse/mount_impl.h"
#include "fuse/ranges.h"

/* fuse_keep_handle.may */
#define MAY_CLAIM 1u
#define MAY_WRITE 2u

/* Bytes of a disk: who has one locked ... */
#define QEMU_FIRST 100u
#define QEMU_LAST 299u
#define QEMU_WRITES 101u	/* ... may write it */
#define QEMU_ALONE 201u		/* ... lets nobody else write it */

struct file_locks {
	struct list node;	/* in fuse_mount.locked */
	uint64_t ino;
	uint32_t generation;
	unsigned refs;
	bool disk;
	bool local;		/* multi-writer disk, or mounted read-only */
	struct fiber_mutex mutex;	/* all below, but for file_use */
	struct ranges ranges;
	struct list handles;
	struct fs_file *ex, *sh;	/* what this host has; NULL */
	unsigned users;			/* of ex, just now ... */
	struct fiber_cond idle;		/* ... became 0 */
	struct fiber_cond changed;	/* locks have gone */
	struct append append;		/* by users of ex */
};

static inline bool
range_covers(const struct range_lock *r, uint64_t byte)
{
	return r->start <= byte && r->end >= byte;
}

/* Of a file; NULL: there is none. */
struct file_locks *file_locks_find(struct fuse_mount *m, uint64_t ino,
    uint32_t generation);
/* h->locks, the file's own; -ENOMEM. */
int file_locks_get(struct fuse_mount *m, struct handle *h,
    const struct fs_attr *a) MUST_CHECK;
void file_locks_put(struct file_locks *l);

/* All below under the mutex. */

enum lock_mode lock_stronger(enum lock_mode a, enum lock_mode b);
/* What a lock of a program needs, and what all do. */
enum lock_mode cluster_lock_need_of(const struct file_locks *l,
    const struct range_lock *r);
enum lock_mode cluster_lock_need(const struct file_locks *l);
enum lock_mode cluster_lock_have(const struct file_locks *l);
/* At least that.  -VMFS_ELOCKED with *holder.  Suspends, as do the others. */
int cluster_lock_raise(struct fuse_mount *m, struct file_locks *l,
    enum lock_mode mode, struct lock_holder *holder) MUST_CHECK;
/*
 * Gives back what nobody needs.  Not weaker than it was while a lock is left:
 * there would be a moment without any.
 */
int cluster_lock_settle(struct file_locks *l) MUST_CHECK;
/* Locks have come, or did not: who may write follows. */
int cluster_lock_adjust(struct file_locks *l) MUST_CHECK;
/* Locks have gone: those who wait are told as well. */
int cluster_lock_gone(struct file_locks *l) MUST_CHECK;
/* What h may, for the process after this one. */
void cluster_lock_note(const struct handle *h);
/* Who has it, without the mutex. */
int cluster_lock_holder(struct fuse_mount *m, const struct file_locks *l,
    struct lock_holder *ret_holder) MUST_CHECK;

#endif
