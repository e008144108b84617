/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Undo files: what stood on the LUN before fsck wrote there, and a way back.
 *
 *   0   "VMFSUND1"; 8 LUN size; 16 volume UUID; 32 .. 4095 zero
 *   then records: 0 magic; 4 kind; 8 offset; 16 length; 20 crc32c of the
 *   data; 24 zero; 32 data.  OLD: what stood there, in the order of the writes.
 *   NEW, written at the end, without data: the CRC of what stands there now.
 *   END: closed in good order.  Integers are little-endian.
 */
#ifndef FSCK_UNDO_H
#define FSCK_UNDO_H

#include <stdbool.h>

#include "libvmfs/env/disk.h"

struct undo;
/*
 * A disk over `below`, which it borrows, that keeps in a new file at `path`
 * what it overwrites: durable there before the write goes on.  -EEXIST: there
 * is such a file.  Suspends.
 */
int undo_open(const char *path, struct disk *below, const struct uuid *volume,
    struct disk **ret_d) MUST_CHECK;
/* Notes what stands on the LUN now and closes the file; before disk_close. */
int undo_finish(struct disk *d) MUST_CHECK;

struct undo_result {
	uint64_t records, bytes;	/* put back */
	bool unfinished;	/* the run that wrote the file has not ended */
};
/*
 * Puts back what the file has.  -VMFS_EMISCOMPARE: the LUN is another one or was
 * written since; -VMFS_ECORRUPT: no undo file, or one that is damaged; -EAGAIN:
 * the run did not end, nobody can tell, and not `force`.  Nothing is written
 * then.  Suspends.
 */
int undo_rollback(const char *path, struct disk *lun, bool force,
    struct undo_result *ret_r) MUST_CHECK;

#endif
