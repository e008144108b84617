/* SPDX-License-Identifier: BSD-2-Clause */
/* All files below a directory of a datastore. */
#ifndef VMFS_VMFSD_WALK_H
#define VMFS_VMFSD_WALK_H

#include "libvmfs/core/fs.h"

struct walk_entry {
	uint64_t dir, ino;
	enum inode_type type;
	const char *path;	/* from the root */
	const char *name;	/* its last component */
};
/*
 * Calls fn for every entry below `path`, directories before what is in them,
 * until it returns negative.  fn may suspend.  Suspends.
 */
int walk_tree(struct fs *fs, const char *path,
    int (*fn)(void *arg, const struct walk_entry *e), void *arg) MUST_CHECK;

#endif
