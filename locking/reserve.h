/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A LUN without COMPARE AND WRITE made to have it: RESERVE, read, compare,
 * write, RELEASE (LOCK_RESERVE).  While a host is in there the LUN refuses
 * everybody else with RESERVATION CONFLICT; reads are tried again here, other
 * commands by the guard, which looks at the lease before.
 *
 * The reservation belongs to the nexus.  One whose host dies in there goes
 * with its session; the LUN must have ended the session's commands by then,
 * or a late write of it lands in somebody else's section.  Nobody breaks a
 * reservation by a reset; of one for another reason the section hears by the
 * unit attention of its next command.
 */
#ifndef VMFS_LOCKING_RESERVE_H
#define VMFS_LOCKING_RESERVE_H

#include "libvmfs/env/disk.h"
#include "libvmfs/env/env.h"

struct disk_reserve_conf {
	struct env *env;
	struct disk *below;	/* the caller's, outlives it */
	/* One of these over the same `below`, which outlives this one; NULL.
	 * RESERVE does not nest: the two take turns, on one thread. */
	struct disk *beside;
	/* Is the lease still good?  Asked before the write of a section, which
	 * may have waited; what it forbids ends with -VMFS_EATTENTION. */
	bool (*may_write)(void *arg);
	void *arg;
};
/* Free with disk_close.  Sections of one disk follow each other.  -ENOMEM. */
int disk_reserve_open(const struct disk_reserve_conf *conf,
    struct disk **ret_d) MUST_CHECK;

#endif
