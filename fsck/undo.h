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

/* A disk over `below`, which it owns on success. */
int undo_open(struct disk *below, struct disk **ret_d) MUST_CHECK;
/*
 * From now on it keeps in a new file at `path` what it overwrites: durable
 * there before the write goes on.  -EEXIST: there is such a file.  Suspends.
 */
int undo_begin(struct disk *d, const char *path, const struct uuid *volume)
    MUST_CHECK;
/* Notes what stands on the LUN now and closes the file; before disk_close. */
int undo_finish(struct disk *d) MUST_CHECK;

struct undo_result {
	uint64_t records, bytes;	/* put back */
};
/* A datastore of several LUNs has a file for each: of extent i, "PATH.i". */
void undo_path(const char *path, unsigned i, char *buf, size_t size);
/* Where to put it back. */
struct undo_luns {
	struct disk *const *lun;	/* extent 0 first */
	unsigned n;
	const struct uuid *volume;	/* NULL: no superblock can be read */
};
/*
 * Puts back what the files of these LUNs have.  -VMFS_EMISCOMPARE: a LUN is
 * another one or was written since; -VMFS_ECORRUPT: no undo file, or one that
 * is damaged; -VMFS_EEXTENT: there is a file of a further LUN; -EAGAIN: the run
 * did not end, nobody can tell, and not `force`; -VMFS_ENOTVMFS: nor is there a
 * superblock, that is not forced.  Nothing is written then.  One that was cut
 * short is done again.  Suspends.
 */
int undo_rollback(const char *path, const struct undo_luns *luns, bool force,
    struct undo_result *ret_r) MUST_CHECK;

#endif
