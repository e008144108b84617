/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's watchdog shared by the heartbeats of its datastores: it is
 * petted only while every one of them may go on living.  Armed by the first
 * heartbeat, disarmed when the last one has left in good order.
 *
 * Who is strict builds a fence on it: its lease must be good, so that the
 * machine is reset at the latest freeze + time-out after the submission of its
 * last good pulse.  Where the LUN fences (persistent reservations, holds) it
 * only ends a heartbeat or a lease check that is stuck: a host that knows that
 * its lease is old holds its I/O back and lives on (L7).
 */
#ifndef VMFS_LOCKING_WATCHDOG_H
#define VMFS_LOCKING_WATCHDOG_H

#include "libvmfs/base/list.h"
#include "libvmfs/env/env.h"
#include "libvmfs/env/watchdog.h"
#include "locking/guard.h"
#include "locking/why.h"

/* What is asked of the device. */
#define WATCHDOG_TIMEOUT_MS 30000

struct watchdog_share_conf {
	/* As watchdog_dev_open. */
	int (*open)(void *arg, struct watchdog **ret_w);
	void *arg;		/* of open */
	const char *name;	/* for people; copied */
	struct log *log;
};
struct watchdog_share;
int watchdog_share_new(const struct watchdog_share_conf *conf,
    struct watchdog_share **ret_s) MUST_CHECK;
/* No lease is left.  NULL is fine. */
void watchdog_share_free(struct watchdog_share *s);

/* One heartbeat's share; fields are private to watchdog.c. */
struct watchdog_lease {
	struct list node;
	uint64_t until_ns;
};
/*
 * Arms the watchdog if it is the first.  Any thread, as all of these; times
 * are sched_now's, which is one clock for all reactors of a machine.
 */
int watchdog_enter(struct watchdog_share *s, struct watchdog_lease *l,
    uint64_t until_ns, char why[WHY_SIZE]) MUST_CHECK;
/* Good until until_ns; pets when all others still are good, too. */
void watchdog_renew(struct watchdog_share *s, struct watchdog_lease *l,
    uint64_t now_ns, uint64_t until_ns);
/* Nothing of this heartbeat's host can reach the LUN any more. */
void watchdog_leave(struct watchdog_share *s, struct watchdog_lease *l);
/* What conf.name was. */
const char *watchdog_name(const struct watchdog_share *s);
/* Time-out of the armed watchdog, ms; 0: unknown or not armed. */
unsigned watchdog_timeout_ms(struct watchdog_share *s);

/* ---- the fiber that pets, on the heartbeat's thread ---- */

struct petter {
	struct env *env;	/* of the heartbeat's thread */
	struct guard *guard;
	struct watchdog_share *share;
	bool strict;
	uint64_t every_ns;	/* between two looks at the lease */
	struct watchdog_lease lease;	/* entered by the caller */
	bool stop, running;	/* private from here */
	struct fiber_cond wake;
};
int petter_start(struct petter *p) MUST_CHECK;
/* Suspends until the fiber has ended.  The lease stays entered. */
void petter_stop(struct petter *p);

#endif
