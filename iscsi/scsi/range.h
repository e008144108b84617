/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ranges of blocks in use by commands of one logical unit.
 *
 * Reads and writes take a range shared: among themselves they may overlap, as
 * SAM lets simple tasks.  COMPARE AND WRITE and its like take it exclusive and
 * so conflict with whatever overlaps.  First come, first served between
 * overlapping requests, so that a stream of writes starves nobody.
 */
#ifndef VMFS_ISCSI_SCSI_RANGE_H
#define VMFS_ISCSI_SCSI_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "libvmfs/base/list.h"

struct range_set {
	struct list shared, exclusive;	/* held */
	struct list waiting;		/* in order of arrival */
};

struct range_lock {
	struct range_set *set;		/* that it was last acquired in */
	struct list node;
	uint64_t start, count;		/* blocks */
	bool exclusive;
	enum range_state { RANGE_IDLE, RANGE_WAITING, RANGE_HELD } state;
	/*
	 * Called when a range that had to wait is held, or with granted false
	 * when range_cancel took it out of the queue.
	 */
	void (*fn)(struct range_lock *r, bool granted);
};

void range_set_init(struct range_set *s);
/*
 * The caller has filled start, count, exclusive and fn.  True: held at once,
 * fn is not called.
 */
bool range_acquire(struct range_set *s, struct range_lock *r);
/* Frees a held range, and lets those go on that waited for it; harmless when
 * idle. */
void range_release(struct range_lock *r);
/* Ends the wait of r, if it waits. */
void range_cancel(struct range_lock *r);

#endif
