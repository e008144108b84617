/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The LUNs of a datastore as one disk.  Its addresses are the volume's: the
 * first LUN begins at 0, the others where the superblock's table says.  A flush
 * reaches every LUN that has writes which none has reached, so "flush, then
 * commit with FUA" holds whatever lies where.  Reservations and holds are
 * commands to one LUN: here they go to the first, and whoever fences asks for
 * all of them (extents_luns).
 *
 * Requests may come from any thread; all else is one scheduler's.
 */
#ifndef VMFS_CORE_EXTENTS_H
#define VMFS_CORE_EXTENTS_H

#include "libvmfs/env/disk.h"
#include "libvmfs/format/extent.h"

/* LUNs that one mount has seen: addresses, and so places, are never reused. */
#define EXTENTS_SEEN_MAX 64u

/* Owns `first` on success.  Does not suspend. */
int extents_open(struct disk *first, struct disk **ret_d) MUST_CHECK;
/* Is it such a disk?  What other disks wrap is not seen. */
bool extents_is(const struct disk *d);
/*
 * Goes by this superblock's table: addresses are those of its extents, extents
 * that are no longer in it are closed when their requests have ended and nobody
 * holds them.  What is not attached is refused with -VMFS_EEXTENT.
 * -VMFS_ELIMIT.  Suspends.
 */
int extents_follow(struct disk *d, const struct super *s) MUST_CHECK;
/* The LUN of the extent with that UUID; owns it on success.  Its first use is
 * the caller's: it must be one that can be fenced. */
int extents_attach(struct disk *d, const struct uuid *uuid, struct disk *lun)
    MUST_CHECK;
/* The other way round, for who could not go on; the LUN is the caller's, and
 * its requests have ended.  Not while holding.  Suspends. */
void extents_detach(struct disk *d, const struct uuid *uuid);
/* Is that extent attached, and its LUN not gone for good? */
bool extents_has(struct disk *d, const struct uuid *uuid);
/*
 * Between the two no LUN is closed: for who uses what the next calls give, past
 * this disk, and suspends.  Of any disk.  extents_release suspends, when one
 * has left meanwhile.
 */
void extents_hold(struct disk *d);
void extents_release(struct disk *d);
/* The LUN of that extent, or NULL. */
struct disk *extents_lun(struct disk *d, const struct uuid *uuid);
/* All LUNs that are attached, the first one first; of any other disk itself. */
unsigned extents_luns(struct disk *d, struct disk *ret[EXTENTS_SEEN_MAX]);

/* The same without those that do not answer now. */
unsigned extents_luns_well(struct disk *d, struct disk *ret[EXTENTS_SEEN_MAX]);

/*
 * A further LUN that is permanently gone, or that has not answered for this
 * long, is lost: requests to it fail with -VMFS_EEXTENT, flushes leave it out, but
 * for those with DISK_ALL_LUNS.
 */
#define EXTENT_SILENT_NS (60 * (uint64_t)1000000000)
/* Is any one that was attached? */
bool extents_lost(struct disk *d);
/*
 * How often a LUN has got lost, or was left out by a flush for being so; and
 * whether the block's has since.  Then what was written there meanwhile is not
 * durable, however well flushes have ended, and even if the LUN is back.
 */
uint64_t extents_losses(struct disk *d);
bool extents_lost_since(struct disk *d, uint64_t block, uint64_t losses);
/* It answers again, and is the same. */
void extents_back(struct disk *d, const struct uuid *uuid);
/* Does the block lie on a LUN that is there? */
bool extents_has_block(struct disk *d, uint64_t block);

/* ---- what a LUN says (extents_io.c); all suspend ---- */

/* -VMFS_ENOTVMFS: no further LUN of any datastore; -VMFS_ECORRUPT. */
int extent_read(struct disk *lun, struct extent_info *ret_e) MUST_CHECK;
/* Makes the LUN an extent: its front is zeroed but for the two copies. */
int extent_write(struct disk *lun, const struct extent_info *e) MUST_CHECK;
/* The LUN is none any more. */
int extent_erase(struct disk *lun) MUST_CHECK;
/*
 * Is this the LUN of extent i of this volume?  0, or -VMFS_ENOTVMFS,
 * -VMFS_ECORRUPT, -VMFS_ESTALE_VOLUME (a copy of it), -ENXIO (another extent,
 * or one of another volume), -ERANGE (too small) or an I/O error.
 */
int extent_check(struct disk *lun, const struct super *s, unsigned i)
    MUST_CHECK;
/* The first LUN's note of where extent i is; -ENOENT. */
int extent_note_read(struct disk *first, const struct super *s, unsigned i,
    struct extent_info *ret_e) MUST_CHECK;
/* Over one of an extent that is no more. */
int extent_note_write(struct disk *first, const struct super *s,
    const struct extent_info *e) MUST_CHECK;

#endif
