/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commits in memory that outlives the process (doc/adr/0011).  A write is
 * acknowledged when its data is on the LUN; its map entry is in the running
 * transaction, which dies with the process, and no guest expects that as long
 * as the machine is up.  So what a transaction has changed is copied here
 * before anything is acknowledged, in records of the journal, at a moment when
 * nobody is in the middle of a change.
 *
 * Two areas: one of the running transaction, one of that which is on its way
 * to the journal.  An area is emptied when its transaction is durable.
 */
#ifndef VMFS_CORE_SOFTLOG_H
#define VMFS_CORE_SOFTLOG_H

#include <stdatomic.h>

#include "libvmfs/core/recover.h"

#define SOFTLOG_AREA_BYTES ((size_t)4 << 20)

struct softlog_area {
	/* Stored after the bytes: what lies behind it was never told. */
	_Atomic uint64_t used;
	uint64_t lsn;		/* of the last commit in it */
	uint8_t bytes[SOFTLOG_AREA_BYTES];
};

/* Shared memory, zeroes at first. */
struct softlog {
	_Atomic uint32_t active;	/* area of the running transaction */
	/* Of the newest commit in the journal, as far as the process knew. */
	_Atomic uint64_t durable_lsn;
	/* Of the newest that outlived the last process, see softlog_replay. */
	uint64_t replayed_lsn;
	struct softlog_area area[2];
};

/*
 * After recover_journal, whose report is *r: what lies here is committed to the
 * same journal, so that it is there as a whole or not at all, and replayed; *r
 * goes on.  `dead` is the own slot.  Empties it.  -VMFS_ECORRUPT: the memory is
 * damaged.  Suspends.
 */
int softlog_replay(struct softlog *s, struct env *env, struct disk *disk,
    const struct super *super, const struct heartbeat *dead,
    struct recover_report *r) MUST_CHECK;
/* Does not suspend. */
void softlog_clear(struct softlog *s);

#endif
