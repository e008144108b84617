/* SPDX-License-Identifier: BSD-2-Clause */
/* Several inodes locked at once, in the order of their numbers; private. */
#ifndef VMFS_CORE_NAMES_SET_H
#define VMFS_CORE_NAMES_SET_H

#include "libvmfs/core/fs_impl.h"

#define NAMES_SET_MAX 6u

struct names_set {
	uint64_t ino[NAMES_SET_MAX];
	struct inode *ip[NAMES_SET_MAX];
	unsigned count, held;
};

/* 0 and doubles are left out. */
void names_set_add(struct names_set *s, uint64_t ino);
/* Takes every lock exclusively, waiting: no two hosts can wait in a circle. */
int names_set_lock(struct names_set *s, struct fs *fs) MUST_CHECK;
struct inode *names_set_get(const struct names_set *s, uint64_t ino);
/* Returns r, or the first error of a release when r is 0. */
int names_set_unlock(struct names_set *s, int r);
/* The entry of a name in a directory of the set. */
int names_find(struct inode *dip, const char *name, struct dirent *ret_e)
    MUST_CHECK;

/*
 * The inode of an entry about to be unlinked: held exclusively at once, with
 * what its deletion needs.  When it has further names only this one goes.
 * -EAGAIN, unless `wait`: its snapshots are at long work, which victim_finish
 * waits for, without the names; they would be kept from all hosts meanwhile.
 */
struct victim {
	bool wait;		/* what comes may be there, but not for ever */
	struct inode *ip;
	struct inode **snap;	/* its snapshots, held */
	unsigned n_snap;
	bool snaps_locked, busy;
};
int victim_take(struct fs *fs, const struct dirent *e, struct victim *v,
    struct lock_holder *ret_holder) MUST_CHECK;
/* Unlinked in the transaction; victim_finish deletes. */
int victim_unlink(struct txn *t, struct victim *v) MUST_CHECK;
/* done: victim_unlink was committed to; else, or with names left, only gives
 * back. */
void victim_finish(struct victim *v, bool done);

#endif
