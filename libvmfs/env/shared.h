/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * State that several reactors share: a lock that is held for moments only,
 * and a condition on which fibers of any reactor wait for a change of it.
 *
 * A fiber must not suspend while it holds the lock, but by shared_wait.
 */
#ifndef VMFS_ENV_SHARED_H
#define VMFS_ENV_SHARED_H

#include <pthread.h>

#include "libvmfs/base/list.h"
#include "libvmfs/env/sched.h"

struct shared_lock {
	pthread_mutex_t mutex;
};
void shared_lock_init(struct shared_lock *l);
void shared_lock_fini(struct shared_lock *l);
/* Any thread; the thread that took it leaves it. */
void shared_enter(struct shared_lock *l);
void shared_leave(struct shared_lock *l);

struct shared_cond {
	struct list waiters;
};
void shared_cond_init(struct shared_cond *c);
/*
 * Leaves l, suspends the calling fiber until the next broadcast, and takes l
 * again.  Check the predicate anew.
 */
void shared_wait(struct shared_cond *c, struct shared_lock *l);
/* Wakes all that wait.  Any thread, l held. */
void shared_broadcast(struct shared_cond *c);

#endif
