/* SPDX-License-Identifier: BSD-2-Clause */
/* What fibers wait on: sleep, mutex, read-write lock, condition. */
#include <assert.h>

#include "libvmfs/env/sched_impl.h"

/* One suspended fiber; lives on its stack. */
struct waiter {
	struct list node;
	struct fiber *fiber;
	bool woken;
	bool exclusive;		/* rwlock: waits to write */
};

static void
waiter_wake(struct waiter *w)
{
	list_del(&w->node);
	w->woken = true;
	fiber_unpark(w->fiber);
}

/* Appends w to `queue` and suspends until waiter_wake has taken it off. */
static void
wait_in(struct list *queue, struct waiter *w)
{
	w->fiber = fiber_self();
	assert(w->fiber != NULL);
	list_add_tail(queue, &w->node);
	while (!w->woken)
		fiber_park();
	/* Done by waiter_wake; the compiler wants to see it. */
	list_del(&w->node);
}

static struct waiter *
first_waiter(const struct list *queue)
{
	return list_empty(queue) ? NULL :
	    list_entry(queue->next, struct waiter, node);
}

static void
timer_wake(void *arg)
{
	waiter_wake(arg);
}

void
fiber_sleep(uint64_t ns)
{
	struct sched *s = sched_current();
	struct waiter w = { .fiber = fiber_self() };
	struct sched_timer t = { .fn = timer_wake, .arg = &w };
	uint64_t now = sched_now(s);

	assert(w.fiber != NULL);
	list_init(&w.node);
	timer_arm_reserved(s, &t, ns < UINT64_MAX - now ? now + ns :
	    UINT64_MAX);
	while (!w.woken)
		fiber_park();
}

void
fiber_mutex_init(struct fiber_mutex *m)
{
	m->owner = NULL;
	list_init(&m->waiters);
}

bool
fiber_mutex_trylock(struct fiber_mutex *m)
{
	assert(fiber_self() != NULL);
	if (m->owner != NULL)
		return false;
	m->owner = fiber_self();
	return true;
}

void
fiber_mutex_lock(struct fiber_mutex *m)
{
	assert(m->owner != fiber_self());
	/* Unlock hands the mutex on, so that no newcomer slips in between. */
	if (!fiber_mutex_trylock(m))
		wait_in(&m->waiters, &(struct waiter){ 0 });
}

void
fiber_mutex_unlock(struct fiber_mutex *m)
{
	struct waiter *w = first_waiter(&m->waiters);

	assert(m->owner == fiber_self());
	m->owner = w != NULL ? w->fiber : NULL;
	if (w != NULL)
		waiter_wake(w);
}

void
fiber_rwlock_init(struct fiber_rwlock *l)
{
	l->readers = 0;
	l->writer = NULL;
	list_init(&l->waiters);
}

void
fiber_rwlock_rdlock(struct fiber_rwlock *l)
{
	assert(l->writer != fiber_self());
	/* Readers queue behind a waiting writer: it is not starved. */
	if (l->writer != NULL || !list_empty(&l->waiters))
		wait_in(&l->waiters, &(struct waiter){ 0 });
	else
		l->readers++;
}

void
fiber_rwlock_wrlock(struct fiber_rwlock *l)
{
	assert(l->writer != fiber_self());
	if (l->writer != NULL || l->readers > 0)
		wait_in(&l->waiters, &(struct waiter){ .exclusive = true });
	else
		l->writer = fiber_self();
}

void
fiber_rwlock_unlock(struct fiber_rwlock *l)
{
	struct waiter *w;

	if (l->writer != NULL) {
		assert(l->writer == fiber_self());
		l->writer = NULL;
	} else {
		assert(l->readers > 0);
		l->readers--;
	}
	while ((w = first_waiter(&l->waiters)) != NULL && !w->exclusive) {
		l->readers++;
		waiter_wake(w);
	}
	if (w != NULL && l->readers == 0) {
		l->writer = w->fiber;
		waiter_wake(w);
	}
}

void
fiber_cond_init(struct fiber_cond *c)
{
	list_init(&c->waiters);
}

void
fiber_cond_wait(struct fiber_cond *c)
{
	wait_in(&c->waiters, &(struct waiter){ 0 });
}

/* A condition's waiter whose time may run out. */
struct timed_waiter {
	struct waiter w;
	bool timed_out;
};

static void
cond_timeout(void *arg)
{
	struct timed_waiter *tw = arg;

	tw->timed_out = true;
	waiter_wake(&tw->w);
}

bool
fiber_cond_wait_until(struct fiber_cond *c, uint64_t deadline_ns)
{
	struct sched *s = sched_current();
	struct timed_waiter tw = { 0 };
	struct sched_timer t = { .fn = cond_timeout, .arg = &tw };

	timer_arm_reserved(s, &t, deadline_ns);
	wait_in(&c->waiters, &tw.w);
	sched_timer_cancel(s, &t);
	return !tw.timed_out;
}

void
fiber_cond_signal(struct fiber_cond *c)
{
	struct waiter *w = first_waiter(&c->waiters);

	if (w != NULL)
		waiter_wake(w);
}

void
fiber_cond_broadcast(struct fiber_cond *c)
{
	struct list woken = LIST_INIT(woken);
	struct waiter *w;

	/* Only those waiting now. */
	while ((w = first_waiter(&c->waiters)) != NULL) {
		list_del(&w->node);
		list_add_tail(&woken, &w->node);
	}
	while ((w = first_waiter(&woken)) != NULL)
		waiter_wake(w);
}
