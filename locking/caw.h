/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compare-and-write of a record with its three outcomes (L3).  A record is the
 * first 512 bytes of a block; on LUNs of 4 KiB sectors the rest of the block
 * is carried along unchanged.
 */
#ifndef VMFS_LOCKING_CAW_H
#define VMFS_LOCKING_CAW_H

#include "libvmfs/env/disk.h"
#include "libvmfs/format/layout.h"

struct caw {
	struct disk *disk;
	uint64_t block;
	uint32_t sector;	/* bytes of one compare-and-write */
	uint8_t *old;		/* the block's first sector as last seen */
	uint8_t *image;		/* what caw_commit writes */
	uint8_t *found;		/* of read-backs */
};

/* Allocates all that the other calls need.  -ENOMEM. */
int caw_init(struct caw *c, struct disk *disk, uint64_t block,
    uint32_t sector) MUST_CHECK;
void caw_fini(struct caw *c);
/*
 * A LUN that is a file has no atomic sectors: who reads a record while it is
 * written may get bytes of both.  That is soon over, and damage is not: one that
 * is not whole is read so often, pauses between them.
 */
#define RECORD_LOOKS 5u
/* Before look i, 1 to RECORD_LOOKS - 1.  Suspends. */
void record_pause(unsigned i);
/* Reads the record into c->old and stages it as c->image.  Suspends. */
int caw_load(struct caw *c) MUST_CHECK;
/* The same where anything may lie. */
int caw_load_any(struct caw *c) MUST_CHECK;
/*
 * Makes the on-disk record c->image, whose record differs from c->old (it has
 * a fresh nonce), if it still is c->old.  0: it is, and c->old follows.
 * -VMFS_EMISCOMPARE: lost to another writer; c->old and c->image are what was
 * found.  Any other error: outcome unknown, c->old as before.  Suspends.
 */
int caw_commit(struct caw *c) MUST_CHECK;

#endif
