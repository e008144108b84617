/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The disk that stands between the file system and the LUN (L6, L7).  Each
 * request passes only while the own lease is good.  Otherwise it waits until
 * the pulse is good again and the own slot was read and is still ours, or
 * fails when the host was fenced.  What the LUN certainly did not execute is
 * sent again after that check; a compare-and-write of unknown outcome is
 * passed up, because only its owner can read back.
 *
 *   state     a request                leaves the state when
 *   OK        passes                   lease too old, or doubt -> FROZEN
 *   FROZEN    waits                    own slot read and ours -> OK
 *   FENCED    fails                    never
 *   LEFT      fails                    never
 *
 * Any thread with a scheduler may submit.  State changes are the datastore
 * thread's, except that the heartbeat thread may set FENCED.
 */
#ifndef VMFS_LOCKING_GUARD_H
#define VMFS_LOCKING_GUARD_H

#include <stdatomic.h>

#include "libvmfs/env/disk.h"
#include "libvmfs/env/env.h"
#include "locking/host.h"
#include "locking/why.h"



struct guard_conf {
	struct env *env;
	struct disk *below;
	uint64_t freeze_ns, retry_ns;
	/*
	 * Is this incarnation still a member?  0; -VMFS_EFENCED with a
	 * sentence; -VMFS_EGONE; any other error: cannot tell now.  Suspends.
	 */
	int (*validate)(void *arg, char why[WHY_SIZE]);
	/* A reservation conflict says that another host is changing a lock
	 * record, not that we were fenced (LOCK_RESERVE). */
	bool conflicts_pass;
	/* Runs in a fiber of env's scheduler. */
	void (*on_status)(void *arg, enum host_status status, const char *why);
	void *arg;
};

struct guard {
	struct disk disk;		/* the datastore's */
	/* The same LUN for the replay of others' journals, whose flushes must
	 * not swallow what one has to tell the datastore. */
	struct disk replay;
	_Atomic int flush_error;	/* 0: no flush has failed */
	struct guard_conf conf;
	_Atomic int status;		/* enum host_status */
	_Atomic int error;		/* requests get it when FENCED, LEFT */
	_Atomic uint64_t good_ns;	/* submission of the last good pulse */
	_Atomic unsigned in_flight;	/* taken and not completed */
	/* Between the look at the lease and the submission. */
	_Atomic unsigned entering;
	/* Set: validate before any other I/O.  Static strings, why. */
	_Atomic(const char *) doubt;
	_Atomic(const char *) fence_why;

	/* The datastore thread's. */
	struct list parked;
	struct fiber_cond wake;
	struct fiber_cond settled;	/* status left FROZEN */
	bool told_frozen;
	bool stopping, running;
	char why[WHY_SIZE];
	struct sched_work poke;
	atomic_flag poked;
};

/* Starts the fiber that watches the lease. */
int guard_start(struct guard *g, const struct guard_conf *conf) MUST_CHECK;
/*
 * Fails what waits and what comes with `error`, waits for what is in flight
 * and for the fiber.  Suspends.
 */
void guard_stop(struct guard *g, int error);

/* A good pulse was submitted at submit_ns.  Any thread. */
void guard_pulse(struct guard *g, uint64_t submit_ns);
/* This incarnation is over.  `why` is static.  Any thread; does not suspend. */
void guard_fence(struct guard *g, int error, const char *why);
/* Something looked wrong: check before any other I/O.  As guard_fence. */
void guard_doubt(struct guard *g, const char *why);

enum host_status guard_status(const struct guard *g);
/* May a request pass now?  Any thread. */
bool guard_lease_good(struct guard *g, struct sched *s);
/* Does the state machine have this edge? */
bool guard_move_ok(enum host_status from, enum host_status to);
const char *host_status_name(enum host_status s);

#endif
