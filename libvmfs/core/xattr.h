/* SPDX-License-Identifier: BSD-2-Clause */
/* Extended attributes for the rest of the core; private. */
#ifndef VMFS_CORE_XATTR_H
#define VMFS_CORE_XATTR_H

#include "libvmfs/core/fs_impl.h"
#include "libvmfs/format/xattr.h"

/* All of an inode, as its block has them. */
struct xattr_list {
	size_t used;
	uint8_t data[XATTR_ROOM];
};

/* As a reader, of an inode that anybody may hold. */
int xattr_load(struct fs *fs, uint64_t ino, struct xattr_list *ret_l)
    MUST_CHECK;
/* A block with the list, under the lock of a new inode. */
int xattr_make(struct txn *t, const struct lock_grant *g,
    const struct xattr_list *l, uint64_t *ret_block) MUST_CHECK;
/* Of an inode that goes, held exclusively. */
int xattr_free(struct inode *ip) MUST_CHECK;
/* Without one attribute, if it is there; held exclusively. */
int xattr_strip(struct inode *ip, const char *name) MUST_CHECK;

#endif
