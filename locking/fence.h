/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a lock protocol makes sure that a host cannot write any more (L4), and
 * how a host makes itself one that can be fenced.  One object per protocol.
 */
#ifndef VMFS_LOCKING_FENCE_H
#define VMFS_LOCKING_FENCE_H

#include "libvmfs/format/heartbeat.h"
#include "locking/guard.h"

struct fence_paths {
	/* May be the same.  `lun` stands for all LUNs of the datastore: what is
	 * to hold has to hold on each of them (extents_luns). */
	struct disk *lun, *hb_lun;
	struct log *log;
	unsigned slot;			/* own */
	uint64_t incarnation;		/* own */
	const struct timers *timers;
	const struct heartbeat *self;	/* our own record */
	bool replaced;			/* by enter: what our past was fenced
					 * by has become ours */
};

struct fence_ops {
	enum lock_protocol protocol;
	unsigned caps;		/* of the disks, DISK_CAP_* */
	const char *needs;	/* the same for people */
	bool needs_watchdog;
	bool needs_luns;	/* `prove` asks every LUN of the datastore */
	/*
	 * Before the slot is claimed.  -VMFS_EINUSE: slot is somebody's, try
	 * another; other errors with a sentence.  Suspends, as all here.
	 */
	int (*enter)(struct fence_paths *p, char why[WHY_SIZE]);
	/*
	 * After the slot was given back, nothing is in flight.  at_large: a
	 * fenced host may yet wake up, what keeps it out must stay.
	 */
	void (*leave)(const struct fence_paths *p, bool at_large);
	/*
	 * The same for a LUN that the datastore gets while we are a member,
	 * before its first use; and after its last.  May be NULL, both.
	 */
	int (*enter_lun)(const struct fence_paths *p, struct disk *lun,
	    char why[WHY_SIZE]);
	void (*leave_lun)(const struct fence_paths *p, struct disk *lun);
	/* Clears what members that are gone left.  over(): the incarnation in
	 * a slot has ended.  May be NULL. */
	void (*sweep)(const struct fence_paths *p,
	    bool (*over)(void *arg, unsigned slot, uint64_t incarnation),
	    void *arg);
	/*
	 * Makes the victim unable to write and proves it.  0: proven;
	 * -VMFS_EINUSE: cannot be proven, with a sentence; -EINPROGRESS: it
	 * can begin nothing, but what it has begun may be on its way;
	 * -VMFS_EFENCED: we are the ones who were fenced.  silent_ms: how long
	 * its image is known to have been the same.
	 */
	int (*prove)(const struct fence_paths *p, const struct heartbeat *victim,
	    uint64_t silent_ms, char why[WHY_SIZE]);
	/* Proven, and then?  Whether it could write again.  May be NULL. */
	int (*came_back)(const struct fence_paths *p,
	    const struct heartbeat *victim, bool *ret_back,
	    char why[WHY_SIZE]);
	/* May we still write, as far as the LUN says?  0, -VMFS_EFENCED. */
	int (*check_self)(const struct fence_paths *p, char why[WHY_SIZE]);
	/*
	 * Makes us one that can be fenced on paths that came up after `enter`;
	 * then lets them in, or, when the slot turns out not to be ours, takes
	 * it back.  May be NULL, both.
	 */
	void (*late_enter)(const struct fence_paths *p);
	void (*late_settle)(const struct fence_paths *p, bool admit);
	/* Looks only.  0: provably cannot write; -VMFS_EINUSE: may be alive;
	 * *ret_certain tells whether -VMFS_EINUSE means it surely is. */
	int (*look)(struct disk *lun, unsigned slot, bool *ret_certain);
};

extern const struct fence_ops fence_pr;
extern const struct fence_ops fence_hold;
extern const struct fence_ops fence_watchdog;
extern const struct fence_ops fence_reserve;
/* NULL with a sentence: this version does not have the protocol. */
const struct fence_ops *fence_of(enum lock_protocol protocol,
    char why[WHY_SIZE]);

#endif
