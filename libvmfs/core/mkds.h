/* SPDX-License-Identifier: BSD-2-Clause */
/* Making a datastore: a pure plan, and writing it. */
#ifndef VMFS_CORE_MKDS_H
#define VMFS_CORE_MKDS_H

#include "libvmfs/env/disk.h"
#include "libvmfs/env/env.h"
#include "libvmfs/format/super.h"

#define MKDS_SIZE_MIN (64ull << 20)	/* bytes */

struct mkds_conf {
	const char *label;		/* NULL: none */
	struct uuid uuid;		/* null: random */
	enum lock_protocol protocol;	/* 0: the best the disk can do */
	struct timers timers;		/* 0 fields: defaults of L9 */
	uint32_t journal_blocks;	/* 0: by size */
	uint32_t cluster_blocks;	/* 0: by size */
	/* Called now and then; may be NULL. */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *progress_arg;
};

/* Does not suspend and touches no disk.  -ENOSPC: too small. -EINVAL. */
int mkds_plan(const struct disk_info *info, const struct mkds_conf *conf,
    struct super *ret_s) MUST_CHECK;
/*
 * Writes slots, cluster table, root directory, then the superblocks last, so
 * that an interrupted run leaves no datastore.  Suspends.  What was on the
 * LUN before is not looked at: the caller has checked.
 */
int mkds_write(struct env *env, struct disk *disk, const struct mkds_conf *conf,
    struct super *s) MUST_CHECK;

#endif
