/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scrub: reads and verifies all metadata of a mounted datastore, in small
 * steps, while this and other hosts use it.  Blocks are read from the LUN and
 * not from the cache: it is the medium that is looked at.  One that is being
 * written just then is looked at again.
 *
 * An inode that a damaged block belongs to is not changed by this host any
 * more (fs_set_damaged); nothing else is affected.  fsck.vmfs repairs.
 */
#ifndef VMFS_CHECK_SCRUB_H
#define VMFS_CHECK_SCRUB_H

#include "libvmfs/core/fs.h"

struct scrub_finding {
	uint64_t block;		/* of type extent: of its LUN */
	enum block_type type;
	uint64_t owner;		/* lock that covers it; 0: not known */
	const char *object;	/* path, or "cluster 3" */
	const char *text;	/* one sentence */
};

struct scrub {
	struct fs *fs;
	void (*finding)(void *arg, const struct scrub_finding *f);
	void *arg;
	/* Of the step that was done; add up. */
	uint64_t blocks, bytes, damaged;
};

/* Steps of a whole scrub: superblocks, slots and what says which LUN is which
 * extent, then the clusters. */
uint64_t scrub_steps(const struct fs *fs);
/*
 * Suspends; a step reads at most the metadata of one cluster.  0, or what
 * stopped it: -ENOMEM, an I/O error of the LUN, -VMFS_EFENCED.
 */
int scrub_step(struct scrub *s, uint64_t step) MUST_CHECK;

#endif
