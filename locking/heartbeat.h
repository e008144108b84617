/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pulse (R4): one fiber on the heartbeat's own thread with its own path to
 * the LUN.  It allocates nothing and waits for nobody.  The datastore's thread
 * talks to it by orders posted to its scheduler.
 */
#ifndef VMFS_LOCKING_HEARTBEAT_H
#define VMFS_LOCKING_HEARTBEAT_H

#include "libvmfs/format/heartbeat.h"
#include "locking/caw.h"
#include "locking/guard.h"
#include "locking/lease.h"
#include "locking/watchdog.h"

struct beat_order;

struct beat {
	/* Set before beat_start. */
	struct env *env;		/* of the heartbeat's thread */
	struct guard *guard;
	struct uuid volume;
	struct lease lease;
	/* The own slot: caw.old is its image on the LUN, rec the same. */
	struct caw caw;
	struct heartbeat rec;
	struct petter *petter;		/* NULL: no watchdog */

	/* The heartbeat thread's. */
	struct fiber_cond kick;
	struct beat_order *order;	/* the one being carried out */
	bool stop;
	_Atomic uint64_t failures;	/* pulses not written, for people */
};

/* Starts the fiber on env's thread.  Suspends. */
int beat_start(struct beat *b) MUST_CHECK;
/*
 * Ends it; afterwards caw and rec are the caller's again.  Suspends until an
 * I/O in flight is done.
 */
void beat_stop(struct beat *b);
/* Is what caw found in the slot, instead of our last image, still us? */
bool beat_still_ours(const struct beat *b);
/* Writes where the journal is.  Suspends until it is on the LUN;
 * -VMFS_EFENCED. */
int beat_set_journal(struct beat *b, uint64_t block, uint32_t blocks)
    MUST_CHECK;
/* The same for a request for space to all others. */
int beat_ask_space(struct beat *b) MUST_CHECK;
/* The same for the generation of the superblock that this host goes by. */
int beat_set_super(struct beat *b, uint64_t generation) MUST_CHECK;

#endif
