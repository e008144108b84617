/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the reactor and offload.c share. */
#ifndef VMFS_ENV_REACTOR_IMPL_H
#define VMFS_ENV_REACTOR_IMPL_H

#include <liburing.h>
#include <pthread.h>
#include <stdatomic.h>

#include "libvmfs/env/reactor.h"
#include "libvmfs/env/sched_impl.h"
#include "libvmfs/env/spin.h"
#include "libvmfs/env/yield.h"

struct reactor {
	struct sched sched;
	struct io_uring ring;
	bool enabled;		/* ring belongs to a thread */
	unsigned unsubmitted;	/* turns since something was submitted */
	/*
	 * One time-out stays on the ring, never later than the first timer: a
	 * time-out of each wait would cost a look at the clock and a hardware
	 * timer each.  It counts the time that the machine sleeps.
	 */
	struct reactor_op timeout_op;
	bool timeout_armed;
	uint64_t timeout_at;
	struct __kernel_timespec timeout_ts;
	bool timers_due;	/* it came */
	unsigned untimed;	/* turns without a look at the timers */
	unsigned inflight;	/* operations on the ring */
	unsigned disk_ops;	/* of them those for disks */
	int offloads;
	int wake_fd;
	uint64_t wake_count;	/* read from wake_fd */
	struct reactor_op wake_op;
	struct reactor_op *ready, **ready_tail; /* completed, done not called */
	struct list watches;	/* struct reactor_watch, of fibers that wait */
	bool spins, yields;	/* wanted */
	unsigned working;	/* see reactor_works */
	struct spin spin[2];	/* for peers, for what they have asked for */
	struct yield yield;
	struct list resting;	/* struct rest_wait */
	uint64_t rest_end;	/* of all of them */
	unsigned rest_pause;	/* that shall not be, others want to run */
	atomic_bool sleeping;
	atomic_bool stop;
	pthread_t thread;
	bool realtime;		/* wanted */
	struct realtime granted;	/* its thread's */
	char name[16];
};

/* ---- reactor.c ---- */

/* CLOCK_BOOTTIME in ns. */
uint64_t reactor_now(struct sched *s);
/* Was it asked for? */
bool reactor_is_realtime(struct sched *s);
/* Counts offloaded calls that will be posted to s; on s's thread. */
void reactor_offload_count(struct sched *s, int change);

/* ---- reactor_ring.c; all but the first on the reactor's thread ---- */

/* Any thread: the ring, disabled; `flags` are the kernel's.  Negative errno. */
int reactor_ring_init(struct reactor *r, unsigned flags) MUST_CHECK;
/* From now on it is the calling thread's. */
void reactor_ring_enable(struct reactor *r);
/*
 * Moves what has completed from the ring to the ready list.  Calls nothing,
 * so that it may be used while a fiber or callback is at work.
 */
void reactor_reap(struct reactor *r);
/* Empties the ready list; its operations are linked by `next`. */
struct reactor_op *reactor_take_ready(struct reactor *r);
/* Calls done of all that has completed.  False: nothing has. */
bool reactor_run_completions(struct reactor *r);
/* Has writes to wake_fd end a sleep. */
void reactor_wake_arm(struct reactor *r);
/* Between two turns: submits if enough is queued. */
void reactor_submit_some(struct reactor *r);
/* Before a wait: the time-out ends it when the first timer is due. */
void reactor_timeout_arm(struct reactor *r);
/* Completions are there, or the kernel has some to deliver at the next call. */
bool reactor_ring_has_news(const struct reactor *r);

/* ---- reactor_wait.c ---- */

/* Wakes who waits for what has news.  False: none has. */
bool reactor_run_watches(struct reactor *r);
/* Submits what is queued; sleeps until something happens unless `busy`. */
void reactor_wait(struct reactor *r, bool busy);

/* ---- offload.c ---- */

/* Starts a thread that takes no signals.  0 or negative errno. */
int thread_start(pthread_t *ret_t, void *(*fn)(void *arg), void *arg)
    MUST_CHECK;
/* Sees to it that there is a helper thread.  0 or negative errno. */
int offload_init(void) MUST_CHECK;
/* The same for calls of reactors that shall not starve. */
int offload_realtime_init(void) MUST_CHECK;

#endif
