/* SPDX-License-Identifier: BSD-2-Clause */
/* Parts of moving away from LUNs that are to leave; private to the core. */
#ifndef VMFS_CORE_EVACUATE_H
#define VMFS_CORE_EVACUATE_H

#include "libvmfs/core/forest.h"

#define MOVE_BLOCKS 16u		/* of a transaction, beside what names a place */

static inline bool
block_leaves(const struct fs *fs, uint64_t block)
{
	return block != 0 && ds_chunk_leaves(fs->ds, block / CHUNK_BLOCKS);
}

/*
 * Map nodes on the ways to the MiB; f->tree goes along.  Disks are stopped.
 * *moved becomes true when there was one.
 */
int nodes_move(struct forest *f, uint64_t off, bool *moved) MUST_CHECK;
/* Attributes and snapshot table of a file that is held exclusively. */
int inode_blocks_move(struct inode *ip) MUST_CHECK;

#endif
