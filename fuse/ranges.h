/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locks of byte ranges that programs of this host have on one file, as fcntl(2)
 * and flock(2) define them; the two kinds do not see each other.  Who may have
 * one as far as other hosts are concerned is in byte_locks.c.
 */
#ifndef VMFS_FUSE_RANGES_H
#define VMFS_FUSE_RANGES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fuse/share.h"
#include "libvmfs/base/err.h"
#include "libvmfs/base/list.h"

#define RANGE_END ((uint64_t)INT64_MAX)	/* to the end of any file */
/* Of one file: what a program can make this process remember. */
#define RANGES_MAX 8192u

/* range_kept.used */
enum { RANGE_FREE, RANGE_USED, RANGE_RESERVED };

/* A lock where the next process finds it.  Zeroes: none. */
struct range_kept {
	uint64_t start, end, owner;
	uint32_t handle;	/* number of the open file */
	int32_t pid;
	uint8_t write, flock;
	_Atomic uint32_t used;
};
struct range_keep {
	struct range_kept *slot;
	uint32_t next;
	struct share share;	/* of them */
};

struct range_lock {
	struct list node;
	uint64_t start, end;	/* both inside */
	uint64_t owner;		/* the kernel's word for it */
	void *by;		/* the open file that it was made by */
	uint32_t handle;	/* its number */
	pid_t pid;
	uint32_t uid;		/* who asks for it */
	bool write, flock;
	struct range_kept *kept;	/* its own */
};

struct ranges {
	struct list locks;
	unsigned count;
	struct range_keep *keep;	/* of all files; outlives this */
};

void ranges_init(struct ranges *t, struct range_keep *keep);
/* What is kept stays, as when a process dies. */
void ranges_fini(struct ranges *t);
/* The lock that another process has left in a slot.  -ENOMEM. */
int ranges_restore(struct ranges *t, struct range_kept *kept, void *by)
    MUST_CHECK;
/* A lock of another owner that `want` cannot be beside; NULL. */
const struct range_lock *ranges_conflict(const struct ranges *t,
    const struct range_lock *want);
/*
 * What the owner has in that range becomes `want`, or nothing when `unlock`.
 * Nobody is asked.  -ENOMEM, -ENOLCK (too many of this file, or of this user):
 * all is as before.  Whoever dies in the middle of it has it done again.
 */
int ranges_set(struct ranges *t, const struct range_lock *want, bool unlock)
    MUST_CHECK;
/* Does the owner have fcntl(2) locks?  They go with any close by it. */
bool ranges_owned(const struct ranges *t, uint64_t owner);
void ranges_drop_owner(struct ranges *t, uint64_t owner);
/* All that were made by an open file. */
void ranges_drop_by(struct ranges *t, const void *by);

#endif
