/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Helper threads for system calls that block and that io_uring cannot do.
 * They are made when needed, up to a bound, and shared by all reactors.
 */
#include <pthread.h>
#include <signal.h>
#include <stddef.h>

#include "libvmfs/env/reactor.h"
#include "libvmfs/env/reactor_impl.h"

/*
 * Calls may wait for other processes (a file lock), never for another call in
 * the queue: whoever waits inside the process queues outside of the pool.
 */
#define OFFLOAD_THREADS_MAX 16

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct offload *head, **tail;
	unsigned threads, idle, queued;
} pool = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.more = PTHREAD_COND_INITIALIZER,
	.tail = &pool.head,
};

static void
offload_deliver(void *arg)
{
	struct offload *o = arg;

	reactor_offload_count(o->home, -1);
	o->done(o, o->result);
}

static void
offload_run(struct offload *o)
{
	o->result = o->fn(o->arg);
	o->work = (struct sched_work){ .fn = offload_deliver, .arg = o };
	sched_post(o->home, &o->work);
}

static struct offload *
pool_pop(void)
{
	struct offload *o;

	pthread_mutex_lock(&pool.lock);
	pool.idle++;
	while (pool.head == NULL)
		pthread_cond_wait(&pool.more, &pool.lock);
	pool.idle--;
	pool.queued--;
	o = pool.head;
	pool.head = o->next;
	if (pool.head == NULL)
		pool.tail = &pool.head;
	pthread_mutex_unlock(&pool.lock);
	return o;
}

static void *
pool_thread(void *arg)
{
	(void)arg;
	(void)pthread_setname_np(pthread_self(), "vmfs-offload");
	for (;;)
		offload_run(pool_pop());
	return NULL;
}

int
thread_start(pthread_t *ret_t, void *(*fn)(void *arg), void *arg)
{
	sigset_t all, old;
	pthread_t t;
	int rc;

	/* Signals belong to the program's main thread. */
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&t, NULL, fn, arg);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc == 0)
		*ret_t = t;
	return -rc;
}

/* One more thread if all are busy; false when there is none at all. */
static bool
pool_grow(void)
{
	pthread_t t;

	if (pool.idle >= pool.queued || pool.threads == OFFLOAD_THREADS_MAX)
		return true;
	if (thread_start(&t, pool_thread, NULL) == 0) {
		(void)pthread_detach(t);
		pool.threads++;
	}
	return pool.threads > 0;
}

void
offload_submit(struct offload *o)
{
	bool served;

	o->home = sched_current();
	reactor_offload_count(o->home, 1);
	pthread_mutex_lock(&pool.lock);
	pool.queued++;
	served = pool_grow();
	if (served) {
		o->next = NULL;
		*pool.tail = o;
		pool.tail = &o->next;
		pthread_cond_signal(&pool.more);
	} else {
		pool.queued--;
	}
	pthread_mutex_unlock(&pool.lock);
	/* No thread can be had: slow is better than never. */
	if (!served)
		offload_run(o);
}

struct offload_wait {
	struct offload o;
	struct fiber *fiber;
	bool done;
};

static void
offload_wake(struct offload *o, int result)
{
	struct offload_wait *w = container_of(o, struct offload_wait, o);

	(void)result;
	w->done = true;
	fiber_unpark(w->fiber);
}

int
offload_call(int (*fn)(void *arg), void *arg)
{
	struct offload_wait w = {
		.o = { .fn = fn, .arg = arg, .done = offload_wake },
		.fiber = fiber_self(),
	};

	offload_submit(&w.o);
	while (!w.done)
		fiber_park();
	return w.o.result;
}
