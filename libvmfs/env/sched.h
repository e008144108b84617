/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scheduler port: fibers, timers and time.
 *
 * A struct sched runs fibers cooperatively on one thread.  In production each
 * reactor thread has one, driven by io_uring (env/reactor.h); in the simulator
 * one scheduler with a virtual clock and a seeded choice of the next fiber
 * runs all hosts (tests/sim).  Code on top never sees the difference.
 *
 * Between two calls that can suspend (marked "suspends" everywhere in the
 * tree) a fiber runs alone on its scheduler: state owned by one scheduler
 * needs no lock.
 */
#ifndef VMFS_ENV_SCHED_H
#define VMFS_ENV_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libvmfs/base/err.h"
#include "libvmfs/base/list.h"

struct sched;
struct fiber;

/* ---- fibers ---- */

/*
 * Starts fn(arg) as a fiber of s; it first runs when the caller suspends or
 * returns to the loop.  Call on s's own thread.  `name` is copied (15 bytes).
 * -ENOMEM when no stack can be had.
 */
int sched_spawn(struct sched *s, const char *name, void (*fn)(void *arg),
    void *arg) MUST_CHECK;

/* Scheduler and fiber that run now on this thread; NULL outside. */
struct sched *sched_current(void);
struct fiber *fiber_self(void);
const char *fiber_name(const struct fiber *f);

/* Suspends until fiber_unpark; an unpark that came first makes it return. */
void fiber_park(void);
/* Makes a parked fiber runnable.  Same thread as the fiber's scheduler. */
void fiber_unpark(struct fiber *f);
/* Lets others run.  Suspends. */
void fiber_yield(void);
/* Suspends for at least ns nanoseconds of the scheduler's clock. */
void fiber_sleep(uint64_t ns);

/*
 * Runs fn(arg) soon on s's thread, outside any fiber: it must not suspend.
 * May be called from any thread; the only call of this file that may.
 * Never fails: the node is the caller's and must live until fn runs.
 */
struct sched_work {
	void (*fn)(void *arg);
	void *arg;
	struct sched_work *next;	/* private */
};
void sched_post(struct sched *s, struct sched_work *w);

/* ---- time ---- */

/*
 * Nanoseconds of a clock that never jumps and goes on during suspend
 * (CLOCK_BOOTTIME).  Clocks of two hosts are never compared.
 */
uint64_t sched_now(struct sched *s);

struct sched_timer {
	uint64_t deadline_ns;
	void (*fn)(void *arg);	/* outside any fiber: must not suspend */
	void *arg;
	size_t heap_index;		/* private; 0 = not armed */
};
/* (Re)arms; `t` zero-initialised before first use, stays with the caller. */
int sched_timer_arm(struct sched *s, struct sched_timer *t,
    uint64_t deadline_ns) MUST_CHECK;
/* Afterwards fn will not be called; harmless when not armed. */
void sched_timer_cancel(struct sched *s, struct sched_timer *t);

/* ---- what fibers of one scheduler wait on; each needs its x_init ---- */

struct fiber_mutex {
	struct fiber *owner;
	struct list waiters;
};
void fiber_mutex_init(struct fiber_mutex *m);
/* Suspends; first come first served. */
void fiber_mutex_lock(struct fiber_mutex *m);
bool fiber_mutex_trylock(struct fiber_mutex *m);
void fiber_mutex_unlock(struct fiber_mutex *m);

/* Many readers or one writer; writers are not starved. */
struct fiber_rwlock {
	unsigned readers;
	struct fiber *writer;
	struct list waiters;
};
void fiber_rwlock_init(struct fiber_rwlock *l);
void fiber_rwlock_rdlock(struct fiber_rwlock *l);	/* suspends */
void fiber_rwlock_wrlock(struct fiber_rwlock *l);	/* suspends */
void fiber_rwlock_unlock(struct fiber_rwlock *l);

/* Condition: re-check the predicate after each return, as always. */
struct fiber_cond {
	struct list waiters;
};
void fiber_cond_init(struct fiber_cond *c);
void fiber_cond_wait(struct fiber_cond *c);		/* suspends */
/* True when signalled, false when deadline_ns (sched_now scale) passed. */
bool fiber_cond_wait_until(struct fiber_cond *c, uint64_t deadline_ns);
void fiber_cond_signal(struct fiber_cond *c);
void fiber_cond_broadcast(struct fiber_cond *c);

#endif
