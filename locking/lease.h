/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one timing table (L9).  A datastore's timers are in its superblock and
 * published in every slot; what follows from them is derived here and nowhere
 * else.  Nothing here is a safety argument: fencing is (doc/LOCKING.md).
 */
#ifndef VMFS_LOCKING_LEASE_H
#define VMFS_LOCKING_LEASE_H

#include <assert.h>

#include "libvmfs/base/units.h"
#include "libvmfs/format/super.h"

/* Defaults, milliseconds. */
enum {
	LEASE_PULSE_MS = 3000,		/* between two pulses */
	LEASE_IO_MS = 8000,		/* a pulse's I/O may take so long */
	LEASE_FREEZE_MS = 12000,	/* since the last good submission */
	LEASE_FENCE_MS = 18000,		/* silence without the network's word */
	LEASE_FENCE_HINT_MS = 7000,	/* silence with it */
	/* Of protocols without a fence at the LUN. */
	LEASE_WATCHDOG_MS = 30000,	/* a stuck host is reset after it */
	LEASE_BOUND_MS = 30000,		/* the life of an I/O in flight; also
					 * where nobody saw its abort end */
	LEASE_PULSE_MIN_MS = 10,
	LEASE_TIMER_MAX_MS = 600000,
};

/* The inequalities, which join asks of a superblock, too: lease_timers_ok. */
/* A pulse that takes as long as it may, and the wait before it, do not freeze
 * the host. */
#define LEASE_PULSE_FITS(pulse, io, freeze) ((pulse) + (io) <= (freeze))
/* An owner has frozen itself before an observer, who may have seen the last
 * pulse a pulse late, starts to fence it. */
#define LEASE_FREEZES_FIRST(pulse, freeze, fence) \
	((freeze) + (pulse) < (fence))
/* The hint never fences on fewer than two missed pulses. */
#define LEASE_HINT_MISSES_TWO(pulse, hint) ((hint) >= 2 * (pulse))

/*
 * Without a fence at the LUN time is the proof: after the last good pulse I/O
 * is submitted until the lease is over, or until the watchdog ends a host that
 * is stuck in the middle; and what was submitted has an end, too.
 */
#define LEASE_OUTLIVES(pulse, freeze, watchdog, bound) \
	((pulse) + (freeze) + (watchdog) + (bound))

/*
 * Clocks may gain or lose so much (quartz: 100, a bad virtual machine: 500).
 * What ends after `rest` by a clock that is slow has ended before `fence` is
 * over by one that is fast.
 */
#define LEASE_DRIFT_PPM 1000ull
#define LEASE_KEEPS_TIME(fence, rest) \
	((fence) * (1000000 - LEASE_DRIFT_PPM) >= \
	(rest) * (1000000 + LEASE_DRIFT_PPM))
static_assert(LEASE_KEEPS_TIME(LEASE_OUTLIVES(LEASE_PULSE_MS, LEASE_FREEZE_MS,
    LEASE_WATCHDOG_MS, LEASE_BOUND_MS), LEASE_FREEZE_MS + LEASE_WATCHDOG_MS +
    LEASE_BOUND_MS), "the proof by time has no room for clocks");

static_assert(LEASE_PULSE_FITS(LEASE_PULSE_MS, LEASE_IO_MS, LEASE_FREEZE_MS),
    "a slow pulse freezes the host");
static_assert(LEASE_FREEZES_FIRST(LEASE_PULSE_MS, LEASE_FREEZE_MS,
    LEASE_FENCE_MS), "fenced before it froze");
static_assert(LEASE_HINT_MISSES_TWO(LEASE_PULSE_MS, LEASE_FENCE_HINT_MS),
    "hint fences after one missed pulse");
static_assert(LEASE_FENCE_HINT_MS < LEASE_FENCE_MS, "hint is no faster");

/* Derived, nanoseconds. */
struct lease {
	uint64_t pulse_ns;
	uint64_t freeze_ns;
	uint64_t fence_ns, fence_hint_ns;
	/* A reader that saw nothing for so long knows nothing about others:
	 * it starts to time them anew. */
	uint64_t blind_ns;
	/* Long enough for a live host to pulse at least once. */
	uint64_t listen_ns;
	/* Between two attempts after an error. */
	uint64_t retry_ns;
};

static inline struct lease
lease_of(const struct timers *t)
{
	uint64_t hint = t->fence_hint_ms == 0 ||
	    t->fence_hint_ms > t->fence_ms ? t->fence_ms : t->fence_hint_ms;

	return (struct lease){
		.pulse_ns = t->pulse_ms * NSEC_PER_MSEC,
		.freeze_ns = t->freeze_ms * NSEC_PER_MSEC,
		.fence_ns = t->fence_ms * NSEC_PER_MSEC,
		.fence_hint_ns = hint * NSEC_PER_MSEC,
		.blind_ns = t->freeze_ms * NSEC_PER_MSEC,
		.listen_ns = t->pulse_ms * NSEC_PER_MSEC * 3 / 2,
		.retry_ns = t->pulse_ms * NSEC_PER_MSEC / 4,
	};
}

/* Silence that proves by time alone that nothing more lands. */
static inline uint64_t
lease_proof_ms(const struct timers *t)
{
	return LEASE_OUTLIVES((uint64_t)t->pulse_ms, t->freeze_ms,
	    t->watchdog_ms, t->bound_ms);
}

/* Has that silence room for clocks of different rates?  mkfs asks. */
static inline bool
lease_keeps_time(const struct timers *t)
{
	return LEASE_KEEPS_TIME((uint64_t)t->fence_ms, (uint64_t)t->freeze_ms +
	    t->watchdog_ms + t->bound_ms);
}

static inline bool
lease_by_time(enum lock_protocol p)
{
	return p == LOCK_ATS_WATCHDOG || p == LOCK_RESERVE;
}

/* Does the table hold the inequalities? */
static inline bool
lease_timers_ok(const struct timers *t, enum lock_protocol p)
{
	if (lease_by_time(p) && (t->watchdog_ms == 0 || t->bound_ms == 0 ||
	    t->fence_ms < lease_proof_ms(t) ||
	    t->fence_hint_ms < t->fence_ms))
		return false;
	return t->pulse_ms >= LEASE_PULSE_MIN_MS && t->io_ms > 0 &&
	    t->fence_ms <= LEASE_TIMER_MAX_MS &&
	    t->freeze_ms <= LEASE_TIMER_MAX_MS && t->io_ms <= t->freeze_ms &&
	    LEASE_PULSE_FITS((uint64_t)t->pulse_ms, t->io_ms, t->freeze_ms) &&
	    LEASE_FREEZES_FIRST((uint64_t)t->pulse_ms, t->freeze_ms,
	    t->fence_ms) && (t->fence_hint_ms == 0 ||
	    LEASE_HINT_MISSES_TWO((uint64_t)t->pulse_ms, t->fence_hint_ms));
}

#endif
