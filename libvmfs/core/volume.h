/* SPDX-License-Identifier: BSD-2-Clause */
/* Arithmetic of a volume's layout, its identity; nothing here suspends. */
#ifndef VMFS_CORE_VOLUME_H
#define VMFS_CORE_VOLUME_H

#include <stdbool.h>
#include <stdint.h>

#include "libvmfs/env/disk.h"
#include "libvmfs/format/super.h"

/* Where mkfs puts the third superblock; volume of `blocks` blocks. */
uint64_t volume_copy2_block(uint64_t blocks, uint32_t cluster_blocks);
/* The same for every size of a cluster that mkfs may have chosen. */
#define VOLUME_COPY2_MAX 8
unsigned volume_copy2_candidates(uint64_t blocks,
    uint64_t at[VOLUME_COPY2_MAX]);

uint64_t volume_clusters(const struct super *s);
/* Chunks of a cluster; the last may be short. */
uint32_t volume_cluster_chunks(const struct super *s, uint64_t cluster);
/* The same of a volume that ends at `blocks`; 0 behind its end. */
uint32_t volume_chunks_below(const struct super *s, uint64_t blocks,
    uint64_t cluster);
/* The extent that has the block; -1: none, it is no space. */
int volume_extent_of(const struct super *s, uint64_t block);
bool volume_has_block(const struct super *s, uint64_t block);
/* Blocks of all extents. */
uint64_t volume_space(const struct super *s);
/* Block of a cluster in its segment's table; 0: no such cluster. */
uint64_t volume_cluster_block(const struct super *s, uint64_t cluster);

/*
 * Is this LUN not the one on which the volume was made?  False also when one
 * of the two has no identity, or they are of different kinds (file, SCSI).
 */
bool volume_is_copy(const struct super *s, const struct disk_info *lun);
/* What makes a copy a volume of its own, in its superblock: a UUID, a label
 * "snap-xxxxxxxx-OLD" unless one is given, this LUN's identity. */
int volume_resign(struct super *s, const struct disk_info *lun,
    const struct uuid *uuid, const char *label) MUST_CHECK;
/* The volume has moved to this LUN and stays what it was. */
void volume_rehome(struct super *s, const struct disk_info *lun);

/*
 * Tables of segments that were added by growing occupy a multiple of so many
 * blocks: what is spare takes the clusters of later growth.
 */
#define VOLUME_TABLE_STEP 256u
uint64_t volume_table_blocks(const struct super *s, unsigned segment);
/*
 * The superblock of the volume once it covers a LUN of so many blocks; moves
 * nothing.  -ENODATA: nothing to gain; -EFBIG; -VMFS_ELIMIT: no segment left.
 */
int volume_plan_grow(const struct super *now, uint64_t lun_blocks,
    struct super *ret_s) MUST_CHECK;
#define EXTENT_BLOCKS_MIN 4096u		/* 16 MiB of space */
/*
 * The superblock of the volume with a further LUN of so many blocks.  -ENOSPC:
 * it is too small; -EFBIG; -VMFS_ELIMIT: there are 32, or no segment is left.
 */
int volume_plan_extent(const struct super *now, uint64_t lun_blocks,
    const struct uuid *uuid, struct super *ret_s) MUST_CHECK;

#endif
