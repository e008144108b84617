/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of a scheduler, for those who drive one: the reactor, and the
 * simulator with its virtual clock and seeded choice.  A driver's loop is
 *
 *	for (;;) {
 *		sched_run_posted(s);
 *		sched_run_timers(s);
 *		if (!sched_run_fiber(s))
 *			wait until sched_next_deadline(s) or a wake-up,
 *			or set the virtual clock to that deadline
 *	}
 *
 * Several schedulers may be driven in turn by one thread (one per simulated
 * host, each with a clock of its own).
 */
#ifndef VMFS_ENV_SCHED_IMPL_H
#define VMFS_ENV_SCHED_IMPL_H

#include <stdatomic.h>

#include "libvmfs/env/fiber_ctx.h"
#include "libvmfs/env/sched.h"

struct sched_ops {
	/* Nanoseconds, never going back. */
	uint64_t (*now)(struct sched *s);
	/* Something was posted to s: end its wait.  Any thread; may be NULL
	 * where the driver polls. */
	void (*wake)(struct sched *s);
	/* Index below n of the fiber to run next among those runnable, in the
	 * order they became so; NULL: always the first. */
	size_t (*choose)(struct sched *s, size_t n);
};

/* Armed timers, a binary heap; slot 0 is unused. */
struct timer_slot {
	struct sched_timer *timer;
	uint64_t seq;		/* equal deadlines fire in arming order */
	bool reserved;		/* armed by a suspended fiber */
};
struct timer_heap {
	struct timer_slot *slots;
	size_t count, capacity;
	size_t reserved;	/* how many of `count` are reserved */
	uint64_t seq;
};

struct sched {
	const struct sched_ops *ops;
	void *arg;		/* of the driver */

	/* private to sched.c */
	struct list runnable;
	size_t n_runnable;
	struct list fibers;	/* all that live */
	size_t n_fibers;
	struct list pool;	/* ended ones, with their stacks */
	size_t n_pool;
	struct fiber *current;
	struct fiber_ctx loop;
	struct timer_heap timers;
	_Atomic(struct sched_work *) posted;	/* newest first */
	atomic_uint posting;	/* threads inside sched_post */
};

void sched_init(struct sched *s, const struct sched_ops *ops, void *arg);
/*
 * Drops fibers that still live (a simulated host that loses power) without
 * running them, and works not run.  From outside of its fibers.
 */
void sched_fini(struct sched *s);

/* Runs what was posted; true if anything. */
bool sched_run_posted(struct sched *s);
/* Fires the timers that are due, at most those armed before; true if any. */
bool sched_run_timers(struct sched *s);
/* Runs one runnable fiber until it suspends; false when there is none. */
bool sched_run_fiber(struct sched *s);
/* Runs fn(arg) as the loop of s would: for completions, outside fibers. */
void sched_run_callback(struct sched *s, void (*fn)(void *arg), void *arg);

size_t sched_fibers(const struct sched *s);
bool sched_has_posted(struct sched *s);
/* Deadline of the earliest timer, UINT64_MAX when none is armed. */
uint64_t sched_next_deadline(const struct sched *s);

/* ---- between sched.c, timer.c and fiber_sync.c ---- */

/* Room for one timer of each of n_fibers beside those of users. */
int timer_heap_reserve(struct timer_heap *h, size_t n_fibers) MUST_CHECK;
/* Arms t out of that room, for a fiber about to suspend: cannot fail. */
void timer_arm_reserved(struct sched *s, struct sched_timer *t,
    uint64_t deadline_ns);
void timer_heap_fini(struct timer_heap *h);

#endif
