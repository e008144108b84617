/* SPDX-License-Identifier: BSD-2-Clause */
/* Locks and conditions between reactors. */
#include "libvmfs/env/shared.h"

struct waiter {
	struct list node;
	struct sched *sched;
	struct fiber *fiber;
	struct sched_work work;
	bool woken;		/* only its own thread looks at it */
};

void
shared_lock_init(struct shared_lock *l)
{
	pthread_mutexattr_t attr;

	/* Held for less time than a sleep would take. */
	(void)pthread_mutexattr_init(&attr);
	(void)pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
	(void)pthread_mutex_init(&l->mutex, &attr);
	(void)pthread_mutexattr_destroy(&attr);
}

void
shared_lock_fini(struct shared_lock *l)
{
	(void)pthread_mutex_destroy(&l->mutex);
}

void
shared_enter(struct shared_lock *l)
{
	(void)pthread_mutex_lock(&l->mutex);
}

void
shared_leave(struct shared_lock *l)
{
	(void)pthread_mutex_unlock(&l->mutex);
}

void
shared_cond_init(struct shared_cond *c)
{
	list_init(&c->waiters);
}

/* On the waiter's own thread. */
static void
wake(void *arg)
{
	struct waiter *w = arg;

	w->woken = true;
	fiber_unpark(w->fiber);
}

void
shared_wait(struct shared_cond *c, struct shared_lock *l)
{
	struct waiter w = {
		.sched = sched_current(), .fiber = fiber_self(),
		.work = { .fn = wake, .arg = &w },
	};

	list_add_tail(&c->waiters, &w.node);
	shared_leave(l);
	while (!w.woken)
		fiber_park();
	shared_enter(l);
}

void
shared_broadcast(struct shared_cond *c)
{
	struct list *node;

	while ((node = list_pop(&c->waiters)) != NULL) {
		struct waiter *w = list_entry(node, struct waiter, node);

		sched_post(w->sched, &w->work);
	}
}
