/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Replay of a dead host's journal by a survivor (L8), by itself at its next
 * mount, or by fsck.  The caller has fenced the host and owns its slot in state
 * RECOVERING; any host may start over after a failed or half-done replay.
 */
#ifndef VMFS_CORE_RECOVER_H
#define VMFS_CORE_RECOVER_H

#include "libvmfs/core/ds.h"
#include "libvmfs/format/heartbeat.h"

struct recover_report {
	uint64_t commits, records;	/* found */
	uint64_t applied;
	uint64_t stale;		/* skipped: the block or its lock moved on */
	uint64_t last_lsn;	/* merge into lockops.lsn */
	bool cut;		/* what lay behind damage was given up */
};

/*
 * `dead` is the slot as the dead host left it: its journal, which it must have,
 * and incarnation.
 * Applies, flushes, then empties the journal.  Suspends.  `disk` is the
 * recovering host's guarded disk.  -VMFS_ECORRUPT: the journal is damaged, with
 * commits lost that were acknowledged; what comes before them is in place.
 */
int recover_journal(struct env *env, struct disk *disk,
    const struct super *super, const struct heartbeat *dead,
    struct recover_report *ret_r) MUST_CHECK;
/* The same for fsck, to which the damage is the end of the journal. */
int recover_journal_cut(struct env *env, struct disk *disk,
    const struct super *super, const struct heartbeat *dead,
    struct recover_report *ret_r) MUST_CHECK;

#endif
