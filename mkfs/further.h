/* SPDX-License-Identifier: BSD-2-Clause */
/* Further LUNs of a new datastore. */
#ifndef VMFS_MKFS_FURTHER_H
#define VMFS_MKFS_FURTHER_H

#include "libvmfs/env/disk.h"
#include "libvmfs/env/env.h"
#include "libvmfs/format/super.h"

/*
 * Adds the LUN, named `place`, to the datastore that was just made on `first`;
 * owns lun.  *s becomes the superblock.  why: 256 bytes, for a sentence.
 * Suspends.
 */
int further_add(struct env *env, struct disk *first, struct disk *lun,
    const char *place, struct super *s, char *why) MUST_CHECK;

#endif
