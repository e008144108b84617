/* SPDX-License-Identifier: BSD-2-Clause */
/* Arithmetic of a volume's layout; nothing here suspends. */
#ifndef VMFS_CORE_VOLUME_H
#define VMFS_CORE_VOLUME_H

#include <stdint.h>

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
/* Block of a cluster in its segment's table; 0: no such cluster. */
uint64_t volume_cluster_block(const struct super *s, uint64_t cluster);

#endif
