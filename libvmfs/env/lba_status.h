/* SPDX-License-Identifier: BSD-2-Clause */
/* GET LBA STATUS for disks whose map a SCSI device tells; pure functions. */
#ifndef VMFS_ENV_LBA_STATUS_H
#define VMFS_ENV_LBA_STATUS_H

#include <stddef.h>
#include <stdint.h>

#include "libvmfs/env/disk.h"

/* Bytes of an answer that are asked for: 256 descriptors. */
#define LBA_STATUS_SIZE (8U + 256U * 16U)

/* SBC-3 5.6, from block `lba` on. */
void lba_status_cdb(uint8_t cdb[16], uint64_t lba, uint32_t allocation);
/*
 * Adds the blocks that an answer of len bytes describes, from *lba up to `end`,
 * to the map.  *lba is then the first block that is not described; it is `end`
 * also when the map is full.  -VMFS_EPROTO: it says nothing of *lba.
 */
int lba_status_add(const uint8_t *data, size_t len, uint32_t block_size,
    uint64_t end, uint64_t *lba, struct disk_map *map) MUST_CHECK;

#endif
