/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A LUN in memory that remembers every write in order, and can give the
 * LUN as a power cut after any of them would have left it.
 */
#ifndef TESTS_UNIT_CRASH_DISK_H
#define TESTS_UNIT_CRASH_DISK_H

#include "libvmfs/env/disk.h"

struct crash_disk;

/* All zeroes; reads, writes, flush, UNMAP, compare-and-write. */
int crash_disk_open(uint64_t size, uint32_t block_size,
    struct crash_disk **ret_c) MUST_CHECK;
/* The disk to use; closed by crash_disk_close, not by disk_close. */
struct disk *crash_disk_disk(struct crash_disk *c);
/* No image may be open any more. */
void crash_disk_close(struct crash_disk *c);
/* Writes recorded so far, since crash_disk_open. */
size_t crash_disk_writes(const struct crash_disk *c);

enum crash_kind {
	CRASH_CLEAN,	/* the first n writes are there, no other */
	CRASH_TORN,	/* of the n-th only some sectors, chosen by seed */
	CRASH_LOST,	/* of those not flushed nor FUA some are lost */
	CRASH_UNFLUSHED, /* the same before the flush that follows the n-th */
};
/*
 * The LUN after the first n writes, as a disk of its own: it can be written
 * without changing c.  Close it with disk_close.
 */
int crash_disk_image(struct crash_disk *c, size_t n, enum crash_kind kind,
    uint64_t seed, struct disk **ret_d) MUST_CHECK;

#endif
